"""What the exchange lists: one perpetual, with exact conversion between its units and the wire's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mftpy.sim.protocol import BAD_AMOUNT, BAD_PRICE, OFF_TICK, Refusal


@dataclass(frozen=True)
class Listed:
    """The instrument."""

    name: str
    underlying: str
    tick: Fraction
    lot: Fraction
    create_time: float

    def price(self, ticks: int) -> float:
        """Price of so many ticks, as the nearest double of the exact decimal."""
        return float(ticks * self.tick)

    def amount(self, lots: int) -> float:
        """Amount of so many lots."""
        return float(lots * self.lot)

    def ticks(self, price: Any) -> int:
        """Ticks of a client's price, which is rounded to 8 decimals first."""
        exact = _rounded(price, BAD_PRICE, "price")
        if exact <= 0:
            raise Refusal(BAD_PRICE, "invalid price")
        if (exact / self.tick).denominator != 1:
            raise Refusal(OFF_TICK, "price is not a multiple of the tick size")
        return int(exact / self.tick)

    def lots(self, amount: Any) -> int:
        """Lots of a client's amount, which is rounded to 8 decimals first."""
        exact = _rounded(amount, BAD_AMOUNT, "amount")
        if exact < 0 or (exact / self.lot).denominator != 1:
            raise Refusal(BAD_AMOUNT, "amount is not a multiple of the volume tick size")
        return int(exact / self.lot)

    @property
    def listing(self) -> dict[str, Any]:
        """Item of ``public/instruments``."""
        return {
            "instrument_name": self.name,
            "product": "F" + self.underlying,
            "tick_size": float(self.tick),
            "volume_tick_size": float(self.lot),
            "min_order_amount": float(self.lot),
            "underlying": self.underlying,
            "type": "perpetual",
            "base_currency": "USD",
            "create_time": self.create_time,
        }


def _rounded(value: Any, code: int, name: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise Refusal(code, f"invalid {name}")
    return Fraction(round(Fraction(value) * 10**8), 10**8)
