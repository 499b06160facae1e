"""Between the exchange and its connections: lets faults happen, on the same injected clock, without I/O."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from mftpy.sim import faults_content as content
from mftpy.sim.acts import Act, Close
from mftpy.sim.faults import KINDS, Fault, Plan
from mftpy.sim.faults_kinds import WORKING
from mftpy.sim.faults_working import Message, Said, Working

OURS: Final = 0
"""Session number of the injector's own questions; clients begin at 1."""


class Exchange(Protocol):
    """What the injector needs of `mftpy.sim.exchange.Exchange`."""

    unix_offset_ns: int
    to_close: list[int]

    def connect(self, number: int, now_ns: int) -> None: ...
    def touch(self, number: int, now_ns: int) -> None: ...
    def disconnect(self, number: int, now_ns: int) -> list[tuple[int, bytes]]: ...
    def handle(self, number: int, payload: bytes | str, now_ns: int) -> list[tuple[int, bytes]]: ...
    def advance(self, now_ns: int) -> list[tuple[int, bytes]]: ...
    def next_due_ns(self) -> int: ...
    def is_anonymous(self, number: int) -> bool: ...
    def is_logged_in(self, number: int) -> bool: ...
    def announce_reconnect(self, now_ns: int) -> list[tuple[int, bytes]]: ...
    def replay_existing(self, number: int, now_ns: int) -> list[tuple[int, bytes]]: ...


class Injector:
    """The exchange, with faults: `mftpy.sim.serving.Core`, and the stage of `mftpy.sim.faults_working`.

    Parameters
    ----------
    exchange : Exchange
    plan : Plan
    now_ns, unix_ns : int
        Monotonic time, and the exchange's Unix time at it; `at_s` of the plan's faults counts from it.
    """

    def __init__(self, exchange: Exchange, plan: Plan, now_ns: int, unix_ns: int) -> None:
        self._exchange = exchange
        self._seed = plan.seed
        self.now_ns = now_ns
        self._unix_base_ns = unix_ns - now_ns
        self._working: dict[int, Working] = {}
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._ending: set[int] = set()
        self._added = self._sequence = 0
        self._agenda: list[tuple[int, int, Callable[[], Iterable[Act]]]] = []
        self._extra: deque[tuple[int, bytes]] = deque()
        self._live: set[int] = set()
        self._closed_until_ns = 0
        self._asked = False
        for fault in plan.faults:
            self.add(fault, now_ns)

    # the control channel's

    def add(self, fault: Fault, now_ns: int) -> int:
        """Let a fault be at work from now on; returns its number."""
        self.now_ns = now_ns
        self._added += 1
        rng = random.Random(f"{self._seed}/{self._added}")
        self._working[self._added] = WORKING[fault.kind](fault, self, rng)
        if KINDS[fault.kind].hits != "messages":
            self._begins[self._added] = 0
        return self._added

    def clear(self, number: int | None, now_ns: int) -> tuple[int, Sequence[Act]]:
        """End a fault, or all when None; returns how many there were, and what their ends do."""
        self.now_ns = now_ns
        chosen = [found for found in self._working if number in (None, found) and found not in self._ending]
        acts: list[Act] = []
        for found in chosen:
            if self._ends.pop(found, None) is not None:
                acts += self._working[found].end()
            self._begins.pop(found, None)
            self._working[found].occasions.stop()
            self._ending.add(found)
        self._forget_ended()
        return len(chosen), acts

    def _forget_ended(self) -> None:
        for number in [number for number in self._ending if not self._working[number].lingers]:
            self._ending.remove(number)
            del self._working[number]

    def listed(self) -> list[dict[str, Any]]:
        """Return every fault with its number and how often it has hit."""
        return [
            {"number": number, "hits": working.hits, "fault": msgspec.to_builtins(working.fault)}
            for number, working in self._working.items()
            if number not in self._ending
        ]

    # the server's

    def refusal(self, now_ns: int) -> str | None:
        """Return why no new session can be opened now, if so."""
        return "The exchange restarts." if now_ns < self._closed_until_ns else None

    def connect(self, number: int, now_ns: int) -> None:
        """A client connected."""
        self._live.add(number)
        self._exchange.connect(number, now_ns)

    def touch(self, number: int, now_ns: int) -> None:
        """Some frame of this client arrived."""
        self._exchange.touch(number, now_ns)

    def is_anonymous(self, number: int) -> bool:
        """Whether a session has neither logged in nor subscribed to anything."""
        return self._exchange.is_anonymous(number)

    def disconnect(self, number: int, now_ns: int) -> Sequence[Act]:
        """A client is gone."""
        self.now_ns = now_ns
        self._live.discard(number)
        for working in self._working.values():
            working.forget(number)
        return self._through(self._exchange.disconnect(number, now_ns))

    def handle(self, number: int, payload: bytes, now_ns: int) -> Sequence[Act]:
        """Answer one message."""
        if not self._working:
            return self._through(self._exchange.handle(number, payload, now_ns))
        self.now_ns = now_ns
        request = Message(number, payload, method=content.method_of(payload))
        for working in self._working.values():
            acts = working.on_request(request)
            if acts is not None:
                self._exchange.touch(number, now_ns)
                return list(acts)
        return self._through(self._exchange.handle(number, payload, now_ns), request)

    def advance(self, now_ns: int) -> Sequence[Act]:
        """Let the market move, time-outs pass and faults begin and end, up to now."""
        self.now_ns = now_ns
        acts: list[Act] = []
        if self._ending:
            self._forget_ended()
        if self._begins:
            acts += self._begin_and_end()
        while self._agenda and self._agenda[0][0] <= now_ns:
            acts += heapq.heappop(self._agenda)[2]()
        said = self._through(self._exchange.advance(now_ns))
        return [*acts, *said] if acts else said

    def next_due_ns(self) -> int:
        """Return when `advance` wants to be called next."""
        due_ns = self._exchange.next_due_ns()
        if not self._agenda and not self._begins:
            return due_ns
        dues: list[int | None] = [due_ns, self._agenda[0][0] if self._agenda else None]
        dues += [end_ns for end_ns in self._ends.values() if end_ns < _NEVER_NS]
        dues += [self._working[number].occasions.begin_ns(begun) for number, begun in self._begins.items()]
        return min(due for due in dues if due is not None)

    def _begin_and_end(self) -> list[Act]:
        acts: list[Act] = []
        for number in self._begins:
            working = self._working[number]
            occasions = working.occasions
            while True:
                end_ns, begin_ns = self._ends.get(number), occasions.begin_ns(self._begins[number])
                if end_ns is not None and end_ns <= self.now_ns:
                    del self._ends[number]
                    acts += working.end()
                elif begin_ns is not None and begin_ns <= self.now_ns:
                    if occasions.draw():
                        acts += working.begin()
                        end_ns = occasions.end_ns(self._begins[number])
                        self._ends[number] = _NEVER_NS if end_ns is None else end_ns
                    self._begins[number] += 1
                else:
                    break
        return acts

    def _through(self, outputs: list[tuple[int, bytes]], request: Message | None = None) -> Sequence[Act]:
        """Let what the exchange says pass by every fault, in their order."""
        if not self._working:
            return [*outputs, *self._silenced()] if self._exchange.to_close else outputs
        acts: list[Act] = []
        self._extra.extend(outputs)
        while self._extra:
            number, payload = self._extra.popleft()
            channel = content.channel_of(payload)
            answered = channel is None and request is not None and number == request.number
            method = request.method if request is not None and answered else None
            said: list[Said] = [payload]
            for working in self._working.values():
                changed: list[Said] = []
                for item in said:
                    if isinstance(item, bytes):
                        changed += working.on_said(Message(number, item, channel, method))
                    else:
                        changed.append(item)
                said = changed
            acts += [(number, item) for item in said]
        for working in self._working.values():
            acts = working.on_turn(acts, request)
        return [*acts, *self._silenced()]

    def _silenced(self) -> list[Act]:
        """Close the connections of sessions that were silent for too long: their orders are gone."""
        numbers, self._exchange.to_close = self._exchange.to_close, []
        return [(number, Close(1008, "nothing was heard for timeout_secs")) for number in numbers]

    # the faults'

    @property
    def live(self) -> set[int]:
        """Sessions that are open."""
        return self._live

    def is_logged_in(self, number: int) -> bool:
        """Whether a session has logged in."""
        return self._exchange.is_logged_in(number)

    def later(self, delay_ns: int, do: Callable[[], Iterable[Act]]) -> None:
        """Let something happen later."""
        self._sequence += 1
        heapq.heappush(self._agenda, (self.now_ns + delay_ns, self._sequence, do))

    def request(self, number: int, payload: bytes) -> Iterable[Act]:
        """Let a request reach the exchange, past the other faults of requests."""
        if number not in self._live:
            return []
        request = Message(number, payload, method=content.method_of(payload))
        return self._through(self._exchange.handle(number, payload, self.now_ns), request)

    def ask(self, method: str, params: dict[str, Any]) -> bytes:
        """Return the exchange's answer to a public request of our own; what it tells others comes after this turn."""
        if not self._asked:
            self._asked = True
            self._exchange.connect(OURS, self.now_ns)
        request = msgspec.json.encode({"method": method, "params": params, "id": 0})
        answer = b"{}"
        for number, payload in self._exchange.handle(OURS, request, self.now_ns):
            if number == OURS:
                answer = payload
            else:
                self._extra.append((number, payload))
        return answer

    def announce_reconnect(self) -> Iterable[Act]:
        """Tell subscribers that the exchange will close their connections."""
        return self._exchange.announce_reconnect(self.now_ns)

    def refuse_sessions(self, length_ns: int) -> None:
        """Admit nobody for a while."""
        self._closed_until_ns = self.now_ns + length_ns

    def replay_existing(self, number: int) -> Iterable[Act]:
        """Send a session's orders again."""
        return self._exchange.replay_existing(number, self.now_ns)

    def move_clock(self, change_ns: int) -> None:
        """Move the exchange's clock."""
        self._exchange.unix_offset_ns += change_ns

    @property
    def unix_s(self) -> float:
        """The exchange's time."""
        return (self.now_ns + self._unix_base_ns + self._exchange.unix_offset_ns) / 1e9


_NEVER_NS: Final = 1 << 62
