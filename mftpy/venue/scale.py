"""Prices and amounts of the wire to whole ticks and lots, and back to the exact decimal text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from operator import index
from typing import Final

import numpy as np
import numpy.typing as npt

from mftpy.venue.messages import Level, ProtocolError

TOLERANCE: Final = 1e-6
"""How far from a whole number of ticks or lots a value may be; larger is not noise of doubles."""

NOISE: Final = 4e-16
"""Relative error of a quotient of two doubles; above 2.5e9 units it exceeds `TOLERANCE`, which then grows with it."""

MOST_UNITS: Final = 10**12
MOST_DECIMALS: Final = 8
VECTOR_FROM: Final = 8
"""Levels from which NumPy's fixed cost is less than a Python loop's."""

Levels = npt.NDArray[np.int64]


class Unit:
    """One step of a price or an amount, as the exact decimal that the exchange lists.

    Parameters
    ----------
    size : float
        Tick or lot size, as read from JSON; its shortest decimal form is what counts.
    name : str
        For messages.

    Raises
    ------
    ProtocolError
        The size is not a positive number of at most eight decimals.
    """

    __slots__ = ("_decimals", "_divisor", "_multiple", "name", "size")

    def __init__(self, size: float, name: str) -> None:
        self.size = float(size)
        self.name = name
        if not 0.0 < self.size < math.inf:
            raise ProtocolError(f"a {name} size of {size!r} cannot be used: it must be a positive number")
        # normalised: repr of a whole float ends in ".0", which is no decimal
        _sign, digits, exponent = Decimal(repr(self.size)).normalize().as_tuple()
        assert isinstance(exponent, int)  # NaN and infinity are refused above
        if exponent < -MOST_DECIMALS:
            raise ProtocolError(f"a {name} size of {size!r} cannot be used: it has more than {MOST_DECIMALS} decimals")
        self._decimals = max(0, -exponent)
        self._divisor: int = 10**self._decimals
        self._multiple: int = int("".join(map(str, digits))) * 10 ** max(0, exponent)

    def count(self, value: float) -> int:
        """Return how many units `value` is.

        Raises
        ------
        ProtocolError
            It is no whole number of them, or out of range; it is never rounded silently.
        """
        quotient = value / self.size
        # written so that NaN refuses
        if abs(quotient) <= MOST_UNITS:
            units = round(quotient)
            if abs(quotient - units) <= max(TOLERANCE, abs(quotient) * NOISE):
                return units
        raise self.refusal(value)

    def refusal(self, value: float) -> ProtocolError:
        """Return the error for a value that `count` refuses."""
        return ProtocolError(
            f"{value!r} is not a whole number of {self.name}s of {self.size:g}, or too many of them; "
            "the exchange and the instrument's listing disagree"
        )

    def text(self, units: int) -> str:
        """Return `units` as the shortest decimal text, a JSON number without an exponent.

        Raises
        ------
        TypeError
            `units` is no integer.
        """
        value = index(units) * self._multiple
        if self._divisor == 1:
            return str(value)
        whole, fraction = divmod(abs(value), self._divisor)
        sign = "-" if value < 0 else ""
        if not fraction:
            return f"{sign}{whole}"
        return f"{sign}{whole}.{fraction:0{self._decimals}d}".rstrip("0")

    def value(self, units: int) -> float:
        """Return `units` as the double nearest to the exact decimal."""
        return index(units) * self._multiple / self._divisor


class Scale:
    """Ticks and lots of one instrument.

    Parameters
    ----------
    tick_size : float
        Quote currency per tick.
    lot_size : float
        Coins per lot: the exchange's ``volume_tick_size``.

    Raises
    ------
    ProtocolError
        A size is not a positive number of at most eight decimals.

    Examples
    --------
    >>> scale = Scale(0.1, 0.001)
    >>> scale.ticks(61700.3), scale.price_text(617003), scale.price_text(617000)
    (617003, '61700.3', '61700')
    """

    __slots__ = ("_sizes", "lot", "tick")

    def __init__(self, tick_size: float, lot_size: float) -> None:
        self.tick = Unit(tick_size, "tick")
        self.lot = Unit(lot_size, "lot")
        self._sizes = np.array([self.tick.size, self.lot.size, self.lot.size])

    def ticks(self, price: float) -> int:
        """Return a price in ticks; `ProtocolError` when it is no whole number of them."""
        return self.tick.count(price)

    def lots(self, amount: float) -> int:
        """Return an amount in lots; `ProtocolError` when it is no whole number of them."""
        return self.lot.count(amount)

    def price(self, ticks: int) -> float:
        """Return a price in quote currency."""
        return self.tick.value(ticks)

    def amount(self, lots: int) -> float:
        """Return an amount in coins."""
        return self.lot.value(lots)

    def price_text(self, ticks: int) -> str:
        """Return a price as exact decimal text."""
        return self.tick.text(ticks)

    def amount_text(self, lots: int) -> str:
        """Return an amount as exact decimal text."""
        return self.lot.text(lots)

    def levels(self, levels: Sequence[Level]) -> Levels:
        """Return book levels as integers.

        Returns
        -------
        ndarray of int64, shape (n, 3)
            Columns: price in ticks, size in lots, outright size in lots; what `mftcore.MasterBook` takes.

        Raises
        ------
        ProtocolError
            A number is not whole.
        """
        if len(levels) < VECTOR_FROM:
            return self._levels_one_by_one(levels)
        return self._levels_at_once(levels)

    def _levels_one_by_one(self, levels: Sequence[Level]) -> Levels:
        ticks, lots = self.tick.count, self.lot.count
        rows = [(ticks(level.price), lots(level.amount), lots(level.outright)) for level in levels]
        return np.array(rows, np.int64).reshape(-1, 3)

    def _levels_at_once(self, levels: Sequence[Level]) -> Levels:
        values = np.array([(level.price, level.amount, level.outright) for level in levels])
        with np.errstate(over="ignore"):  # 1e308 / 0.1: refused below
            quotients = values / self._sizes
        whole = np.rint(quotients)
        size = np.abs(quotients)
        with np.errstate(invalid="ignore"):
            good = (size <= MOST_UNITS) & (np.abs(quotients - whole) <= np.maximum(TOLERANCE, size * NOISE))
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise (self.lot if column else self.tick).refusal(float(values[row, column]))
        units: Levels = whole.astype(np.int64)
        return units
