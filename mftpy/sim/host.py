"""Between a connection and who serves it: what a client may take, and what the connection tells and asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mftpy.sim.latency import Latency

if TYPE_CHECKING:
    from mftpy.sim.connection import ClientConnection


@dataclass(frozen=True)
class Limits:
    """What a client may take, and how long it may stay silent.

    Attributes
    ----------
    connections : int
        Open ones in all; further handshakes are answered with HTTP 503.
    handshake_s : float
        For the client's whole request.
    anonymous_s : float
        For a login or a subscription; pings do not prolong it.
    ping_s, pong_s : float
        Time between our pings; patience for the answer.
    close_s : float
        For the client's part of a close, before the socket is taken away.
    message_bytes : int
        Largest message of a client.
    backlog_bytes : int
        What may wait for a client that does not read; with more it is cut off.
    sweep_s : float
        How often all of this is looked at.
    """

    connections: int = 100
    handshake_s: float = 10.0
    anonymous_s: float = 60.0
    ping_s: float = 15.0
    pong_s: float = 20.0
    close_s: float = 1.0
    message_bytes: int = 1 << 20
    backlog_bytes: int = 1 << 23
    sweep_s: float = 0.5


class Host(Protocol):
    """Who serves the connections."""

    @property
    def limits(self) -> Limits:
        """What a client may take."""

    @property
    def latency(self) -> Latency:
        """What every connection takes longer."""

    def now_ns(self) -> int:
        """Return the time, monotonic."""

    def made(self, connection: ClientConnection) -> int:
        """Take note of a socket; returns how many there have been, or 0 when far too many are there."""

    def admit(self, connection: ClientConnection) -> str | None:
        """Open a session for a client whose handshake is good; one phrase when that cannot be."""

    def heard(self, connection: ClientConnection) -> None:
        """Take note that some frame of this client arrived."""

    def received(self, connection: ClientConnection, message: bytes) -> None:
        """Answer a client's message."""

    def ended(self, connection: ClientConnection) -> None:
        """End the session; it is called once for every one that was admitted."""

    def cut_off(self, connection: ClientConnection, waiting_bytes: int) -> None:
        """Take note that this client does not read, and is cut off."""

    def gone(self, connection: ClientConnection) -> None:
        """Forget the socket."""
