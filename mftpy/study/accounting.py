"""What one run did: fills, inventory over time, and windows without any fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mftpy.study.venue import Fill

WINDOW_NS: Final = 120 * 10**9
"""Two minutes: somebody who starts a quoter and sees nothing for so long thinks that it is broken."""


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy in one market. Money is in quote currency, and of the whole run."""

    seed: int
    strategy: str
    hours: float
    fills: int
    taker_fills: int
    before_fees: float
    fees: float
    after_fees: float
    inventory_mean_square: float
    """Lots squared, over time."""
    windows: int
    empty_windows: int
    messages: int


class Ledger:
    """Counts fills as the exchange makes them."""

    def __init__(self) -> None:
        self.fills = 0
        self.taker_fills = 0
        self.position_lots = 0
        self._windows: dict[int, int] = {}
        self._last_ns = 0
        self._weighted_square = 0

    def fill(self, now_ns: int, fill: Fill) -> None:
        """Count one fill."""
        self._weigh(now_ns)
        self.fills += 1
        self.taker_fills += not fill.maker
        self.position_lots += fill.side * fill.lots
        window = now_ns // WINDOW_NS
        self._windows[window] = self._windows.get(window, 0) + 1

    def windows(self, end_ns: int) -> tuple[int, int]:
        """Return how many whole windows there were, and how many of them had no fill."""
        whole = end_ns // WINDOW_NS
        return whole, sum(window not in self._windows for window in range(whole))

    def inventory_mean_square(self, end_ns: int) -> float:
        """Mean of the squared position over time, lots squared."""
        self._weigh(end_ns)
        return self._weighted_square / end_ns

    def _weigh(self, now_ns: int) -> None:
        self._weighted_square += self.position_lots**2 * (now_ns - self._last_ns)
        self._last_ns = now_ns
