"""Between the exchange and where its market comes from."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

from mftpy.errors import MftpyError
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.orders import ClientOrder
from mftpy.sim.trading import Trading


class Market:
    """What a flow may do to the exchange's book."""

    def __init__(self, trading: Trading) -> None:
        self._trading = trading

    @property
    def instrument(self) -> Listed:
        """The instrument."""
        return self._trading.instrument

    def set_index(self, price: Fraction) -> None:
        """Set index and mark, in quote currency."""
        self._trading.index = price

    def client_orders(self, side: int) -> list[ClientOrder]:
        """Client orders that rest on a side, best first."""
        return self._trading.client_orders(side)

    def fill(self, order: ClientOrder, lots: int) -> None:
        """Fill a resting client order at its price; prints the trade."""
        self._trading.fill(order, lots)

    def print_trade(self, price_ticks: int, lots: int, taker_side: int) -> None:
        """Show a trade among others."""
        self._trading.prints.append((price_ticks, lots, taker_side))

    def set_background(self, wanted: dict[int, dict[int, int]]) -> None:
        """Make the background's whole book what is given: side -> price in ticks -> lots.

        What would cross a resting client order trades with it first, at its price: nothing moves through a client's
        order without filling it.
        """
        for side in (BUY, SELL):
            best = max((side * price for price in wanted[side]), default=None)
            if best is None:
                continue
            for order in self._trading.client_orders(-side):
                assert order.price_ticks is not None
                if best < side * order.price_ticks:
                    break
                self._trading.fill(order, order.open_lots)
        book = self._trading.book
        for side in (BUY, SELL):
            for price in list(book.prices(side)):
                if price not in wanted[side]:
                    book.set_background(side, price, 0)
        for side in (BUY, SELL):
            for price, lots in wanted[side].items():
                self.set_level(side, price, lots)

    def set_level(self, side: int, price_ticks: int, lots: int) -> None:
        """Make the background's size at one price what is given."""
        self._trading.book.set_background(side, price_ticks, lots)


class Flow(Protocol):
    """Where a market comes from. Deterministic: all randomness is seeded, all time is given."""

    finished: str | None
    """One phrase once there is nothing more to come."""
    failure: MftpyError | None
    """What went wrong with the source; the exchange serves on, so that clients can end in order."""

    def start(self, market: Market, now_ns: int) -> None:
        """Make the first book."""

    def next_due_ns(self) -> int | None:
        """Return when `step` wants to be called next; None when never again."""

    def step(self, market: Market, now_ns: int) -> None:
        """Do what is due at `now_ns`."""


def wire_side(side: int) -> Any:
    """Name a side as the protocol does."""
    return "buy" if side == BUY else "sell"
