"""Position and money, exact where the exchange is exact.

Lots and ticks are integers, so cash from trades is an integer number of tick-lots and no rounding accumulates; it
becomes a float in quote currency only when it is read.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Where the profit comes from, in quote currency: ``edge + inventory - fees + funding = net``.

    Attributes
    ----------
    edge : float
        Sum over fills of the distance between fair price and fill price: what quoting earned.
    inventory : float
        What price moves did to the position since: everything else before fees.
    fees, funding : float
        Fees paid, funding received.
    net : float
        Change of equity at the mark.
    """

    edge: float
    inventory: float
    fees: float
    funding: float
    net: float


class Position:
    """Position, average entry, realised profit and cash of one instrument.

    Parameters
    ----------
    tick_size, lot_size : float
        Quote currency per tick, coins per lot.
    start_lots : int
        Position before the first fill of this run.
    start_price : float
        Price at which that position is valued at the start; profit is counted from there.
    """

    def __init__(self, tick_size: float, lot_size: float, *, start_lots: int = 0, start_price: float = 0.0) -> None:
        self._tick_size = tick_size
        self._unit = tick_size * lot_size
        self._lot_size = lot_size
        self.lots = start_lots
        self.start_lots = start_lots
        self.start_price = start_price
        self.fills = 0
        self.fees = 0.0
        self.funding = 0.0
        self._traded_tick_lots = 0  # -side * ticks * lots, summed
        self._edge_tick_lots = 0.0
        self._average_ticks = start_price / tick_size if start_lots else 0.0
        self._realised_tick_lots = 0.0

    def on_fill(self, side: int, price_ticks: int, lots: int, fair: float) -> None:
        """Apply one fill of ours, which the caller has made sure is new.

        Parameters
        ----------
        side : int
            +1 bought, -1 sold.
        fair : float
            Fair price in force when it was decided to quote, in quote currency; NaN when there was none, in which
            case the fill has no edge and its whole result is inventory's.
        """
        self.fills += 1
        before = self.lots
        self.lots += side * lots
        self._traded_tick_lots -= side * price_ticks * lots
        if not math.isnan(fair):
            self._edge_tick_lots += side * lots * (fair / self._tick_size - price_ticks)
        if before * side >= 0:  # grows
            self._average_ticks = (abs(before) * self._average_ticks + lots * price_ticks) / abs(self.lots)
            return
        closed = min(lots, abs(before))
        self._realised_tick_lots += (price_ticks - self._average_ticks) * closed * (1 if before > 0 else -1)
        if self.lots == 0:
            self._average_ticks = 0.0
        elif abs(before) < lots:  # turned round: what is left was opened by this fill
            self._average_ticks = float(price_ticks)

    @property
    def coins(self) -> float:
        """Position in coins."""
        return self.lots * self._lot_size

    @property
    def average_price(self) -> float:
        """Average entry in quote currency; 0 when flat."""
        return self._average_ticks * self._tick_size

    @property
    def traded_cash(self) -> float:
        """Cash that the fills brought (negative: cost), before fees, in quote currency."""
        return self._traded_tick_lots * self._unit

    @property
    def start_value(self) -> float:
        """Value of the position that this run began with."""
        return self.start_lots * self._lot_size * self.start_price

    @property
    def edge(self) -> float:
        """Sum over fills of fair price less fill price, signed by side, in quote currency."""
        return self._edge_tick_lots * self._unit

    @property
    def realised(self) -> float:
        """Profit of what was closed against the average entry, before fees."""
        return self._realised_tick_lots * self._unit

    def unrealised(self, mark: float) -> float:
        """Profit of what is open, at a mark in quote currency."""
        return (mark / self._tick_size - self._average_ticks) * self.lots * self._unit if self.lots else 0.0

    def waterfall(self, mark: float) -> Waterfall:
        """Split the profit since the start, the open position valued at `mark`."""
        return waterfall(
            traded_cash=self.traded_cash,
            coins=self.coins,
            start_value=self.start_value,
            edge=self.edge,
            fees=self.fees,
            funding=self.funding,
            mark=mark,
        )


def waterfall(
    *, traded_cash: float, coins: float, start_value: float, edge: float, fees: float, funding: float, mark: float
) -> Waterfall:
    """Split a profit into edge, inventory, fees and funding; see `Waterfall`."""
    before_fees = traded_cash + (coins * mark if coins else 0.0) - start_value
    return Waterfall(edge, before_fees - edge, fees, funding, before_fees - fees + funding)
