"""What the exchange lists, with exact conversion between its units and the wire's numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from mftpy.sim.money import UNIT, rounded_units
from mftpy.sim.protocol import BAD_AMOUNT, BAD_PRICE, OFF_TICK, Refusal

SETTLEMENT_HOUR: Final = 8
"""Hour (UTC) of the daily settlement and of every expiry."""

_LARGEST: Final = 1e15
_MONTHS: Final = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@dataclass(frozen=True)
class Listed:
    """An instrument: a perpetual or a dated future, linear, sized in coins.

    Attributes
    ----------
    name : str
    kind : str
        ``perpetual`` or ``future``.
    underlying : str
        Name of the index.
    tick_units, lot_units : int
        Price step in 1e-8 quote currency; size step in 1e-8 coins.
    create_time_s : float
        Unix seconds.
    expiry_s : int or None
        Unix seconds; None for a perpetual.
    """

    name: str
    kind: str
    underlying: str
    tick_units: int
    lot_units: int
    create_time_s: float = 0.0
    expiry_s: int | None = None
    money_per_tick_lot: int = field(init=False)

    def __post_init__(self) -> None:
        if self.tick_units < 1 or self.lot_units < 1:
            raise ValueError("tick and lot are at least 1e-8")
        object.__setattr__(self, "money_per_tick_lot", self.tick_units * self.lot_units)

    @property
    def tick(self) -> Fraction:
        """Quote currency per tick."""
        return Fraction(self.tick_units, UNIT)

    @property
    def lot(self) -> Fraction:
        """Coins per lot."""
        return Fraction(self.lot_units, UNIT)

    @property
    def tick_size(self) -> float:
        """Quote currency per tick, as messages carry it."""
        return self.tick_units / UNIT

    @property
    def lot_size(self) -> float:
        """Coins per lot, as messages carry it."""
        return self.lot_units / UNIT

    def price(self, ticks: int) -> float:
        """Price of so many ticks, as the nearest double of the exact decimal."""
        return ticks * self.tick_units / UNIT

    def amount(self, lots: int) -> float:
        """Amount of so many lots."""
        return lots * self.lot_units / UNIT

    def ticks(self, price: Any) -> int:
        """Ticks of a client's price, which is rounded to 8 decimals first; raises `Refusal` 13 or 15."""
        units = _units(price, BAD_PRICE, "price")
        if units <= 0:
            raise Refusal(BAD_PRICE, "invalid price")
        ticks, rest = divmod(units, self.tick_units)
        if rest:
            raise Refusal(OFF_TICK, "price is not a multiple of the tick size")
        return ticks

    def lots(self, amount: Any) -> int:
        """Lots of a client's amount, which is rounded to 8 decimals first; raises `Refusal` 14."""
        units = _units(amount, BAD_AMOUNT, "amount")
        lots, rest = divmod(units, self.lot_units)
        if units < 0 or rest:
            raise Refusal(BAD_AMOUNT, "amount is not a multiple of the volume tick size")
        return lots

    @property
    def listing(self) -> dict[str, Any]:
        """Item of ``public/instruments``."""
        said: dict[str, Any] = {
            "instrument_name": self.name,
            "product": "F" + self.underlying,
            "tick_size": self.tick_size,
            "volume_tick_size": self.lot_size,
            "min_order_amount": self.lot_size,
            "underlying": self.underlying,
            "type": self.kind,
            "base_currency": "USD",
            "create_time": self.create_time_s,
        }
        if self.expiry_s is not None:
            said["expiry_date"] = datetime.fromtimestamp(self.expiry_s, UTC).date().isoformat()
            said["expiration_timestamp"] = self.expiry_s
        return said


def next_quarter(unix_s: float) -> int:
    """Return the next quarterly expiry that is at least a week away: last Friday of a quarter, 08:00 UTC."""
    today = datetime.fromtimestamp(unix_s, UTC)
    for ahead in range(8):
        year, quarter = divmod(today.year * 4 + (today.month - 1) // 3 + ahead, 4)
        after = date(year + (quarter == 3), (quarter * 3 + 3) % 12 + 1, 1)
        friday = next(
            after - timedelta(days=back) for back in range(1, 8) if (after - timedelta(days=back)).weekday() == 4
        )
        expiry = datetime(friday.year, friday.month, friday.day, SETTLEMENT_HOUR, tzinfo=UTC)
        if expiry - today >= timedelta(days=7):
            return int(expiry.timestamp())
    raise AssertionError("two years hold a quarter's end")


def dated_name(coin: str, expiry_s: int) -> str:
    """Name of a dated future: ``BTC-25DEC26``."""
    day = datetime.fromtimestamp(expiry_s, UTC)
    return f"{coin}-{day.day:02d}{_MONTHS[day.month - 1]}{day.year % 100:02d}"


def next_settlement(unix_s: float) -> int:
    """Return the first 08:00 UTC after a time, in Unix seconds."""
    day = 86_400
    shift = SETTLEMENT_HOUR * 3_600
    return (int(unix_s - shift) // day + 1) * day + shift


def _units(value: Any, code: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise Refusal(code, f"invalid {name}")
    return rounded_units(value)
