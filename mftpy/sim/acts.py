"""What may be done to a client's connection: a text message, or what a fault does to the wire."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol


def text_frame(payload: bytes) -> bytes:
    """Return the frame that carries one text message from a server."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


class Wire(Protocol):
    """What acts need of a connection; see `mftpy.sim.connection.ClientConnection`."""

    def send_raw(self, data: bytes, *, then_close: bool) -> None:
        """Send bytes that are no frame."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye."""

    def reset(self) -> None:
        """Take the connection away with RST."""

    def halt(self) -> None:
        """Neither read nor send any more."""


@dataclass(frozen=True)
class Raw:
    """Bytes as they are."""

    data: bytes
    then_close: bool = False

    def perform(self, wire: Wire) -> None:
        """Do it."""
        wire.send_raw(self.data, then_close=self.then_close)


@dataclass(frozen=True)
class Close:
    """A closing handshake."""

    code: int
    reason: str

    def perform(self, wire: Wire) -> None:
        """Do it."""
        wire.close(self.code, self.reason)


@dataclass(frozen=True)
class Reset:
    """RST."""

    def perform(self, wire: Wire) -> None:
        """Do it."""
        wire.reset()


@dataclass(frozen=True)
class Halt:
    """A half-open connection from now on."""

    def perform(self, wire: Wire) -> None:
        """Do it."""
        wire.halt()


Act = tuple[int, bytes | Raw | Close | Reset | Halt]
"""Session number, and what happens to it; bytes are the JSON of one text message."""
