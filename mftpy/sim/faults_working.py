"""A fault at work: what every kind has in common, what it may ask of the injector, and what it is asked."""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from mftpy.sim.acts import Act, Close, Halt, Raw, Reset
from mftpy.sim.faults import KINDS, Fault
from mftpy.sim.faults_when import Occasions

Said = bytes | Raw | Close | Reset | Halt


@dataclass(slots=True)
class Message:
    """A request, or a message to a session.

    Attributes
    ----------
    number : int
        The session's.
    payload : bytes
    channel : str or None
        Of a notice.
    method : str or None
        Of a request, or of the one that this answers.
    """

    number: int
    payload: bytes
    channel: str | None = None
    method: str | None = None


class Stage(Protocol):
    """What a fault may ask of the injector."""

    @property
    def now_ns(self) -> int:
        """The time."""

    @property
    def unix_s(self) -> float:
        """The exchange's time."""

    @property
    def live(self) -> Collection[int]:
        """Sessions that are open."""

    def is_logged_in(self, number: int) -> bool:
        """Whether a session has logged in."""

    def later(self, delay_ns: int, do: Callable[[], Iterable[Act]]) -> None:
        """Let something happen later."""

    def request(self, number: int, payload: bytes) -> Iterable[Act]:
        """Let a request reach the exchange, past the other faults of requests."""

    def ask(self, method: str, params: dict[str, Any]) -> bytes:
        """Return the exchange's answer to a public request of our own."""

    def announce_reconnect(self) -> Iterable[Act]:
        """Tell subscribers that the exchange will close their connections."""

    def refuse_sessions(self, length_ns: int) -> None:
        """Admit nobody for a while."""

    def replay_existing(self, number: int) -> Iterable[Act]:
        """Send a session's orders again."""

    def move_clock(self, change_ns: int) -> None:
        """Move the exchange's clock."""


class Working:
    """A fault at work; this class does nothing, and its children only what they are for."""

    is_of_requests = False

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        kind = KINDS[fault.kind]
        self.fault = fault
        self.stage = stage
        self.rng = rng
        self.occasions = Occasions(fault, stage.now_ns, rng)
        self.hits = 0
        """Messages or connections that were hit."""
        named = bool(fault.channels or fault.methods)
        self._channels = _globs(fault.channels if named else kind.channels)
        self._methods = _globs(fault.methods if named else kind.methods)

    def concerns(self, number: int) -> bool:
        """Whether a session is one of those that are meant."""
        sessions = self.fault.sessions
        if sessions == "all":
            return True
        return self.stage.is_logged_in(number) if isinstance(sessions, str) else number in sessions

    def chosen(self) -> list[int]:
        """Return the open sessions that are meant; counts them as hit."""
        found = [number for number in sorted(self.stage.live) if self.concerns(number)]
        self.hits += len(found)
        return found

    def matches(self, message: Message) -> bool:
        """Whether a message is one of those that are meant."""
        if not self.concerns(message.number):
            return False
        if self._channels is None and self._methods is None:
            return True
        globs, name = self._methods, message.method
        if message.channel is not None:
            globs, name = self._channels, message.channel
        return globs is not None and name is not None and globs.fullmatch(name) is not None

    def hit(self, message: Message) -> bool:
        """Whether a message is hit; counts it, if so."""
        if self.matches(message) and self.occasions.hit(self.stage.now_ns):
            self.hits += 1
            return True
        return False

    def on_request(self, message: Message) -> Iterable[Act] | None:
        """Deal with a request that matches in the exchange's place; None leaves it alone."""
        if self.is_of_requests and self.hit(message):
            return self.instead_of_request(message)
        return None

    def instead_of_request(self, _message: Message) -> Iterable[Act]:
        """Deal with a request that is hit."""
        return []

    def on_said(self, message: Message) -> list[Said]:
        """Return what a session gets in place of a message."""
        if not self.is_of_requests and self.hit(message):
            return self.instead_of_said(message)
        return [message.payload]

    def instead_of_said(self, message: Message) -> list[Said]:
        """Return what a session gets in place of a message that is hit."""
        return [message.payload]

    def on_turn(self, acts: list[Act], _request: Message | None) -> list[Act]:
        """Return what a whole turn's messages become."""
        return acts

    def begin(self) -> list[Act]:
        """Begin an occasion."""
        return []

    def end(self) -> list[Act]:
        """End an occasion, or the fault itself."""
        return []

    @property
    def lingers(self) -> bool:
        """Whether something is still to be undone after its end."""
        return False

    def forget(self, _number: int) -> None:
        """A session is gone."""


def _globs(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None
