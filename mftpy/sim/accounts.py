"""Position and money of one account, exact: fractions, never floats, until they are written into a message."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

CENT = Fraction(1, 100)


def fee_of(index: Fraction, rate: Fraction, amount: Fraction) -> Fraction:
    """Fee of one fill: a rate on index times amount, rounded to cents (half to even)."""
    return round(index * rate * amount / CENT) * CENT


class Account:
    """One account with one instrument.

    Attributes
    ----------
    cash : Fraction
        Realised profit and fees are in it at once.
    position_lots : int
    entry_value : Fraction
        What the open position cost (negative for a short one).
    """

    def __init__(self, cash: Fraction, tick_size: Fraction, lot_size: Fraction) -> None:
        self.cash = cash
        self.position_lots = 0
        self.entry_value = Fraction(0)
        self.realised = Fraction(0)
        self.fees = Fraction(0)
        self._unit = tick_size * lot_size
        self._lot_size = lot_size

    def fill(self, side: int, price_ticks: int, lots: int, fee: Fraction) -> None:
        """Apply one fill."""
        before = self.position_lots
        value = price_ticks * lots * self._unit
        self.position_lots += side * lots
        self.cash -= fee
        self.fees += fee
        if before * side >= 0:
            self.entry_value += side * value
            return
        closed = min(lots, abs(before))
        cost = self.entry_value * Fraction(closed, abs(before))
        gain = -side * price_ticks * closed * self._unit - cost
        self.realised += gain
        self.cash += gain
        self.entry_value += side * price_ticks * (lots - closed) * self._unit - cost

    @property
    def position(self) -> Fraction:
        """Coins, signed."""
        return self.position_lots * self._lot_size

    def unrealised(self, mark: Fraction) -> Fraction:
        """Profit of the open position at a mark."""
        return self.position * mark - self.entry_value

    def portfolio(self, instrument: str, mark: Fraction, index: Fraction) -> list[dict[str, Any]]:
        """Lines of ``private/portfolio``: none when flat."""
        if not self.position_lots:
            return []
        average = float(self.entry_value / self.position)
        return [
            {
                "instrument_name": instrument,
                "position": float(self.position),
                "mark_price": float(mark),
                "index": float(index),
                "start_price": average,
                "average_price": average,
                "unrealised_pnl": float(self.unrealised(mark)),
                "realised_pnl": float(self.realised),
                "entry_value": float(self.entry_value),
                "perpetual_funding_entry_value": 0,
                "unrealised_perpetual_funding": 0,
            }
        ]

    def summary(self, mark: Fraction) -> dict[str, Any]:
        """Content of ``private/account_summary``; required margin is 5 % of the position's value."""
        unrealised = self.unrealised(mark)
        margin = self.cash + unrealised
        required = abs(self.position) * mark / 20
        return {
            "cash": [
                {
                    "currency": "USDT",
                    "balance": float(self.cash),
                    "collateral_factor": 1,
                    "collateral_index_price": None,
                    "transactable": True,
                }
            ],
            "unrealised_pnl": float(unrealised),
            "session_realised_pnl": float(self.realised),
            "cash_collateral": float(self.cash),
            "margin": float(margin),
            "required_margin": float(required),
            "remaining_margin": float(margin - required),
        }
