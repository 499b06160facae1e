"""What each kind of fault does to requests, to what the exchange sends, and at the ends of its occasions."""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mftpy.sim import faults_content as content
from mftpy.sim.acts import Act, Close, Halt, Raw, Reset
from mftpy.sim.connection import text_frame
from mftpy.sim.faults import KINDS, Fault
from mftpy.sim.faults_when import Occasions
from mftpy.sim.protocol import THROTTLED, Refusal, failure, request_id

TEMPORARY_FAILURE: Final = 20
MOST_HELD: Final = 20_000
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

    def forget(self, _number: int) -> None:
        """A session is gone."""


class _BothWays(Working):
    """A fault of messages of either direction."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self.is_of_requests = fault.direction == "in"


class Drop(_BothWays):
    """The message is lost."""

    def instead_of_said(self, _message: Message) -> list[Said]:
        return []


class Delay(_BothWays):
    """The message comes late."""

    def instead_of_request(self, message: Message) -> Iterable[Act]:
        self.stage.later(self._delay_ns, lambda: self.stage.request(message.number, message.payload))
        return []

    def instead_of_said(self, message: Message) -> list[Said]:
        self.stage.later(self._delay_ns, lambda: [(message.number, message.payload)])
        return []

    @property
    def _delay_ns(self) -> int:
        return round(self.fault.delay_ms * 1e6)


class Duplicate(_BothWays):
    """The message comes twice."""

    def instead_of_request(self, message: Message) -> Iterable[Act]:
        return [act for _ in range(2) for act in self.stage.request(message.number, message.payload)]

    def instead_of_said(self, message: Message) -> list[Said]:
        return [message.payload, message.payload]


class Reorder(Working):
    """The answer changes places with the notices of its turn that go to the same session."""

    def on_said(self, message: Message) -> list[Said]:
        return [message.payload]

    def on_turn(self, acts: list[Act], request: Message | None) -> list[Act]:
        if request is None:
            return acts
        mine = [place for place, (number, _) in enumerate(acts) if number == request.number]
        answers = [place for place in mine if _is_answer(acts[place][1])]
        if len(answers) != 1 or len(mine) < 2 or not self.hit(request):
            return acts
        place = answers[0]
        others = acts[:place] + acts[place + 1 :]
        to = mine[-1] if place == mine[0] else mine[0]
        return [*others[:to], acts[place], *others[to:]]


class TruncatedFrame(Working):
    """Half a frame, and the end."""

    def instead_of_said(self, message: Message) -> list[Said]:
        frame = text_frame(message.payload)
        return [Raw(frame[: len(frame) // 2], then_close=True)]


class GarbageFrame(Working):
    """A message that is none before the one that is hit."""

    def instead_of_said(self, message: Message) -> list[Said]:
        if self.fault.form == "bytes":
            return [Raw(b"\xff\xff" + self.rng.randbytes(30)), message.payload]  # opcode 15 is nobody's
        return [(self.fault.message or "{" + self.rng.randbytes(12).hex()).encode(), message.payload]


class StuckFeed(Working):
    """Notices are lost."""

    def instead_of_said(self, _message: Message) -> list[Said]:
        return []


class _Refuse(Working):
    """Requests are answered with an error and do not reach the exchange."""

    is_of_requests = True
    code = 0
    text = ""

    def instead_of_request(self, message: Message) -> Iterable[Act]:
        return [(message.number, failure(request_id(message.payload), Refusal(self.code, self.text)))]


class ThrottleStorm(_Refuse):
    """Code 4."""

    code, text = THROTTLED, "throttle exceeded"


class RejectStorm(_Refuse):
    """Any code."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self.code, self.text = fault.code, fault.message or "rejected"


class Maintenance(_Refuse):
    """Code 20, and a banner."""

    code, text = TEMPORARY_FAILURE, "temporary failure"

    def on_said(self, message: Message) -> list[Said]:
        if message.method != "public/system_info" or not self.concerns(message.number):
            return [message.payload]
        if not self.occasions.within(self.stage.now_ns):
            return [message.payload]
        text = self.fault.message or "The exchange is under maintenance."
        what = {"id": 1, "time": self.stage.unix_s, "severity": "critical", "title": "Maintenance", "message": text}
        return [content.with_banner(message.payload, what)]


class MissingChange(Working):
    """One level is left out."""

    def on_said(self, message: Message) -> list[Said]:
        if self.matches(message) and self.occasions.within(self.stage.now_ns):
            left = content.without_one_level(message.payload, self.rng)
            if left is not None and self.hit(message):
                return [left]
        return [message.payload]


class CrossedBook(Working):
    """A bid above the asks, until the occasion is over or the market itself says something about that price."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self._crossed: dict[tuple[int, str], tuple[float, float]] = {}

    def on_said(self, message: Message) -> list[Said]:
        key = (message.number, message.channel or "")
        bid = self._crossed.get(key)
        if bid is None:
            return super().on_said(message)
        over = not self.occasions.within(self.stage.now_ns)
        if content.is_snapshot(message.payload) or content.has_bid_change(message.payload, bid[0]):
            del self._crossed[key]
            return [message.payload]
        if over:
            del self._crossed[key]
            return [content.with_bid(message.payload, bid[0], 0)]
        return [content.with_more_in_total(message.payload, bid[1])]

    def instead_of_said(self, message: Message) -> list[Said]:
        assert message.channel is not None
        asked = {"instrument_name": content.instrument_of(message.channel)}
        bid = content.crossing_bid(self.stage.ask("public/book", asked))
        if bid is None:
            return [message.payload]
        self._crossed[message.number, message.channel] = bid
        return [content.with_more_in_total(content.with_bid(message.payload, *bid), bid[1])]

    def forget(self, number: int) -> None:
        for key in [key for key in self._crossed if key[0] == number]:
            del self._crossed[key]


class FrozenBook(Working):
    """Book notices wait for the end of the occasion."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self._frozen = False
        self._held: list[Act] = []

    def begin(self) -> list[Act]:
        self._frozen = True
        return []

    def on_said(self, message: Message) -> list[Said]:
        if not self._frozen or not self.matches(message):
            return [message.payload]
        self.hits += 1
        if self.fault.duration_s is not None:
            self._held.append((message.number, message.payload))
            if len(self._held) > MOST_HELD:  # it thaws early, so that memory stays bounded
                held = self.end()
                self.stage.later(0, lambda: held)
        return []

    def end(self) -> list[Act]:
        self._frozen = False
        held, self._held = self._held, []
        return held

    def forget(self, number: int) -> None:
        self._held = [act for act in self._held if act[0] != number]


class ClockOffset(Working):
    """The exchange's clock is off."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self._moved_ns = 0

    def begin(self) -> list[Act]:
        self._moved_ns = round(self.fault.offset_s * 1e9)
        self.stage.move_clock(self._moved_ns)
        self.hits += 1
        return []

    def end(self) -> list[Act]:
        self.stage.move_clock(-self._moved_ns)
        self._moved_ns = 0
        return []


class HalfOpen(Working):
    """Connections that stay and are dead."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self._halted: list[int] = []

    def begin(self) -> list[Act]:
        self._halted = self.chosen()
        return [(number, Halt()) for number in self._halted]

    def end(self) -> list[Act]:
        halted, self._halted = self._halted, []
        return [(number, Reset()) for number in halted]

    def forget(self, number: int) -> None:
        self._halted = [halted for halted in self._halted if halted != number]


class SessionKill(Working):
    """RST."""

    def begin(self) -> list[Act]:
        return [(number, Reset()) for number in self.chosen()]


class PlannedRestart(Working):
    """A notice, an end, a beginning."""

    def begin(self) -> list[Act]:
        self.stage.later(round(self.fault.notice_s * 1e9), self._restart)
        return list(self.stage.announce_reconnect())

    def _restart(self) -> list[Act]:
        self.stage.refuse_sessions(round(self.fault.pause_s * 1e9))
        return [(number, Close(1012, "service restart")) for number in self.chosen()]


class ExistingReplay(Working):
    """What was sent on subscribing, again."""

    def begin(self) -> list[Act]:
        return [act for number in self.chosen() for act in self.stage.replay_existing(number)]


WORKING: Final[dict[str, type[Working]]] = {
    "drop": Drop,
    "delay": Delay,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "truncated_frame": TruncatedFrame,
    "garbage_frame": GarbageFrame,
    "stuck_feed": StuckFeed,
    "half_open": HalfOpen,
    "throttle_storm": ThrottleStorm,
    "session_kill": SessionKill,
    "planned_restart": PlannedRestart,
    "crossed_book": CrossedBook,
    "frozen_book": FrozenBook,
    "missing_change": MissingChange,
    "clock_offset": ClockOffset,
    "reject_storm": RejectStorm,
    "maintenance": Maintenance,
    "existing_replay": ExistingReplay,
}
"""By kind; the keys are those of `mftpy.sim.faults.KINDS`."""


def _is_answer(said: Said) -> bool:
    return isinstance(said, bytes) and content.channel_of(said) is None


def _globs(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None
