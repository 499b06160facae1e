"""When a fault is at work: its occasions on an injected clock, and which message of each is hit."""

from __future__ import annotations

import random

from mftpy.sim.faults import KINDS, Fault


class Occasions:
    """The occasions of one fault: each begins at a known time and ends after a known length, if it ends.

    Parameters
    ----------
    fault : Fault
    start_ns : int
        From which `at_s` counts.
    rng : random.Random
        The fault's own.
    """

    def __init__(self, fault: Fault, start_ns: int, rng: random.Random) -> None:
        at_s = fault.at_s if fault.at_s is not None else fault.every_s or 0.0
        self._first_ns = start_ns + round(at_s * 1e9)
        self._every_ns = None if fault.every_s is None else max(round(fault.every_s * 1e9), 1)
        self._length_ns = None if fault.duration_s is None else max(round(fault.duration_s * 1e9), 1)
        self._count = fault.count
        self._of_messages = KINDS[fault.kind].hits == "messages"
        self._probability = fault.probability
        self._rng = rng
        self._current = -1
        self._hits = 0
        self._stopped = False

    def stop(self) -> None:
        """Let there be no more."""
        self._stopped = True

    def begin_ns(self, number: int) -> int | None:
        """Return when occasion `number` (from 0) begins; None when there is none."""
        if not self._of_messages and self._count is not None and number >= self._count:
            return None
        if self._every_ns is None:
            return self._first_ns if number == 0 else None
        return self._first_ns + number * self._every_ns

    def end_ns(self, number: int) -> int | None:
        """Return when it ends; None when it does not."""
        begin_ns = self.begin_ns(number)
        return None if begin_ns is None or self._length_ns is None else begin_ns + self._length_ns

    def draw(self) -> bool:
        """Draw whether this message or occasion is hit."""
        return self._probability >= 1 or self._rng.random() < self._probability

    def hit(self, now_ns: int) -> bool:
        """Whether a message that matches is hit; counts it, if so."""
        if self._stopped or now_ns < self._first_ns:
            return False
        number = 0 if self._every_ns is None else (now_ns - self._first_ns) // self._every_ns
        end_ns = self.end_ns(number)
        if end_ns is not None and now_ns >= end_ns:
            return False
        if number != self._current:
            self._current, self._hits = number, 0
        if self._count is not None and self._hits >= self._count:
            return False
        if not self.draw():
            return False
        self._hits += 1
        return True

    def within(self, now_ns: int) -> bool:
        """Whether an occasion has room for more."""
        if self._stopped or now_ns < self._first_ns:
            return False
        number = 0 if self._every_ns is None else (now_ns - self._first_ns) // self._every_ns
        end_ns = self.end_ns(number)
        full = self._count is not None and number == self._current and self._hits >= self._count
        return not full and (end_ns is None or now_ns < end_ns)
