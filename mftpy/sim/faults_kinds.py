"""What each kind of fault does to requests, to what the exchange sends, and at the ends of its occasions."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, Final

from mftpy.sim import faults_content as content
from mftpy.sim.acts import Act, Close, Halt, Raw, Reset, text_frame
from mftpy.sim.faults import Fault
from mftpy.sim.faults_books import CrossedBook, FrozenBook, MissingChange
from mftpy.sim.faults_working import Message, Said, Stage, Working
from mftpy.sim.protocol import THROTTLED, Refusal, failure, read_request

TEMPORARY_FAILURE: Final = 20


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
        text = self.fault.message or "{" + self.rng.randbytes(12).hex()
        return [Raw(text_frame(text.encode())), message.payload]  # raw, for the faults after this read what passes


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
        return [(message.number, failure(_request_id(message.payload), Refusal(self.code, self.text)))]


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


def _request_id(payload: bytes) -> Any:
    try:
        return read_request(payload)[0]
    except Refusal as refusal:
        return refusal.request_id


def _is_answer(said: Said) -> bool:
    return isinstance(said, bytes) and content.channel_of(said) is None
