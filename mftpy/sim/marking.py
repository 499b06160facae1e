"""Index, mark and funding: what positions are worth between trades. Pure; stepped once a second."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

from mftpy.sim.instrument import Listed
from mftpy.sim.money import UNIT

PREMIUM_S: Final = 30.0
"""Time constant of the mark's premium over the index."""

DAY_S: Final = 86_400
EXPIRY_WINDOW_S: Final = 1_800
"""A dated future is settled at the index's average over so long before its expiry (07:30 to 08:00 UTC)."""

_ALPHA: Final = -math.expm1(-1.0 / PREMIUM_S)


class Underlying:
    """An index.

    Attributes
    ----------
    name : str
    index_units : int
    previous_settlement_units : int
        The index at the last 08:00 UTC, or at the exchange's start.
    updated_s : float
        Unix seconds of the last change.
    """

    def __init__(self, name: str, index_units: int) -> None:
        self.name = name
        self.index_units = index_units
        self.previous_settlement_units = index_units
        self.updated_s = 0.0
        self._window_sum = self._window_count = 0

    def second(self, *, in_window: bool) -> None:
        """Sample the index for the average of an expiry."""
        if not in_window:
            self._window_sum = self._window_count = 0
            return
        self._window_sum += self.index_units
        self._window_count += 1

    @property
    def expiry_units(self) -> int:
        """Average of the window so far; the index itself outside of one."""
        return self._window_sum // self._window_count if self._window_count else self.index_units

    def content(self, expiry_s: int | None, now_s: float) -> dict[str, Any]:
        """Content of ``price_index`` and ``public/index``."""
        said: dict[str, Any] = {
            "index_name": self.name,
            "price": self.index_units / UNIT,
            "timestamp": self.updated_s,
            "previous_settlement_price": self.previous_settlement_units / UNIT,
        }
        if self._window_count and expiry_s is not None:
            progress = min(max((now_s - (expiry_s - EXPIRY_WINDOW_S)) / EXPIRY_WINDOW_S, 0.0), 1.0)
            average = self.expiry_units / UNIT
            said["expiration_print_average"] = average
            said["expiration_progress"] = progress
            said["expected_expiration_price"] = progress * average + (1 - progress) * self.index_units / UNIT
        return said


class Marking:
    """Mark and funding of one instrument.

    The mark is the index plus an exponential average of the premium (the middle of the best prices less the index),
    one step a second. A perpetual's funding accrues by (mark - index) / 86,400 per second and coin; longs pay when it
    is positive.

    Parameters
    ----------
    listed : Listed
    underlying : Underlying
    dampener_units : int
        Funding counts only what of the premium lies beyond this fraction of the index, in 1e-8; 0 for none.

    Attributes
    ----------
    funding_units : int
        Funding paid by a long of one coin since the exchange's start, in 1e-8 quote currency.
    """

    def __init__(self, listed: Listed, underlying: Underlying, dampener_units: int = 0) -> None:
        self.listed = listed
        self.underlying = underlying
        self.funding_units = 0
        self._dampener_units = dampener_units
        self._premium: float | None = None
        self._premium_units = 0
        self._rest = 0  # of funding, in 1/86,400 units: carried on, so that nothing is lost by rounding
        self._daily: deque[int] = deque(maxlen=DAY_S // 60 + 1)
        self._daily.append(0)
        self._seconds = 0

    @property
    def mark_units(self) -> int:
        """Index plus premium, at least one unit."""
        mark = self.underlying.index_units + self._premium_units
        return mark if mark > 0 else 1

    def second(self, best_bid: int | None, best_ask: int | None) -> None:
        """Let one second pass; best prices in ticks."""
        if best_bid is not None and best_ask is not None:
            middle = (best_bid + best_ask) * self.listed.tick_units / 2
            premium = middle - self.underlying.index_units
            self._premium = premium if self._premium is None else self._premium + _ALPHA * (premium - self._premium)
            self._premium_units = round(self._premium)
        if self.listed.expiry_s is not None:
            return
        quotient, self._rest = divmod(self._rest + self._funded_units(), DAY_S)
        self.funding_units += quotient
        self._seconds += 1
        if self._seconds % 60 == 0:
            self._daily.append(self.funding_units)

    def _funded_units(self) -> int:
        index = self.underlying.index_units
        premium = self.mark_units - index
        free = self._dampener_units * index // UNIT
        return max(premium - free, 0) + min(premium + free, 0)

    def funding_of(self, lots: int, entry_units: int) -> int:
        """Money that a position owes since its funding stood at `entry_units`; negative when it is owed."""
        return lots * self.listed.lot_units * (self.funding_units - entry_units)

    def content(self) -> dict[str, Any]:
        """Return the ticker's members of a perpetual; rates are per day, as a fraction of the index."""
        if self.listed.expiry_s is not None:
            return {}
        index = self.underlying.index_units
        paid = self.funding_units - self._daily[0]
        days = max(min(self._seconds / DAY_S, 1.0), 1 / DAY_S)
        return {
            "funding_rate": self._funded_units() / index,
            "funding_mark": self.funding_units / UNIT,
            "realised_funding_24h": paid / UNIT,
            "average_funding_rate_24h": paid / index / days,
        }
