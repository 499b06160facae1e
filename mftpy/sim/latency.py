"""A longer wire: what enters one end of a connection leaves the other later, in order, as TCP keeps it."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mftpy.errors import ConfigError

MOST_MS: Final = 60_000.0

Item = TypeVar("Item")


@dataclass(frozen=True)
class Latency:
    """Time that a connection takes one way, on top of what the kernel takes.

    Attributes
    ----------
    ms : float
        Mean.
    jitter_ms : float
        Largest deviation from it, either way; every item draws its own, evenly.
    seed : int
    """

    ms: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.ms <= MOST_MS:
            raise ConfigError(f"the latency must be from 0 to {MOST_MS:g} ms, not {self.ms:g}")
        if not 0 <= self.jitter_ms <= self.ms:
            raise ConfigError(f"the jitter must be from 0 to the latency, {self.ms:g} ms, not {self.jitter_ms:g}")

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.ms > 0

    def line(self, number: int, direction: str) -> DelayLine[Item]:
        """Return one direction of connection `number`, with random numbers of its own."""
        return DelayLine(self, random.Random(f"{self.seed}/{number}/{direction}"))


class DelayLine(Generic[Item]):
    """One direction of a connection: items on their way, first in, first out.

    Without I/O; the caller says what time it is, never less than before.
    """

    def __init__(self, latency: Latency, rng: random.Random) -> None:
        self._latency = latency
        self._rng = rng
        self._items: deque[tuple[int, Item]] = deque()
        self._last_ns = -(1 << 63)

    def put(self, item: Item, now_ns: int) -> None:
        """Let an item set out now."""
        latency = self._latency
        delay_ms = latency.ms + latency.jitter_ms * (2 * self._rng.random() - 1)
        due_ns = max(now_ns + round(delay_ms * 1_000_000), self._last_ns)  # nothing overtakes
        self._last_ns = due_ns
        self._items.append((due_ns, item))

    def next_due_ns(self) -> int | None:
        """Return when the first item arrives; None when nothing is on its way."""
        return self._items[0][0] if self._items else None

    def take(self, now_ns: int) -> list[Item]:
        """Return what has arrived by now."""
        arrived = []
        while self._items and self._items[0][0] <= now_ns:
            arrived.append(self._items.popleft()[1])
        return arrived
