"""Between the exchange and where its market comes from."""

from __future__ import annotations

from typing import Protocol

from mftpy.errors import MftpyError
from mftpy.sim.contract import Contract
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.orders import ClientOrder
from mftpy.sim.trading import Trading


class Market:
    """What a flow may do to one contract: its index, the background's size in its book, and takers."""

    def __init__(self, trading: Trading, contract: Contract) -> None:
        self._trading = trading
        self._contract = contract
        self._book = contract.book

    @property
    def instrument(self) -> Listed:
        """The instrument."""
        return self._contract.listed

    @property
    def index_units(self) -> int:
        """Index of the underlying in 1e-8 quote currency."""
        return self._contract.underlying.index_units

    def set_index(self, units: int) -> None:
        """Set the underlying's index."""
        underlying = self._contract.underlying
        if units < 1:
            raise ValueError(f"an index is positive, not {units}")
        if units != underlying.index_units:
            underlying.index_units = units
            underlying.updated_s = self._trading.clock.unix_s

    def best(self, side: int) -> int | None:
        """Best price of a side in ticks, clients' orders included."""
        return self._book.best(side)

    def size(self, side: int, price_ticks: int) -> int:
        """Lots at a price, clients' orders included."""
        return self._book.size(side, price_ticks)

    def background(self, side: int, price_ticks: int) -> int:
        """Lots of the background at a price."""
        return self._book.background(side, price_ticks)

    def client_orders(self, side: int) -> list[ClientOrder]:
        """Client orders that rest on a side, best first."""
        return self._trading.client_orders(self._contract, side) if self._trading.orders else []

    def fill(self, order: ClientOrder, lots: int) -> int:
        """Fill a resting client order at its price, whatever stands before it; returns the lots that have traded.

        Fewer than asked for when another fill has meanwhile shrunk or ended it, as it does with reduce-only orders.
        """
        lots = min(lots, order.open_lots) if order.resting is not None else 0
        if lots:
            self._trading.fill(order, lots)
        return lots

    def take(self, side: int, limit_ticks: int | None, lots: int) -> int:
        """Let an anonymous taker meet what rests, by price and time; returns the lots that have traded."""
        return self._trading.take(self._contract, side, limit_ticks, lots)

    def print_trade(self, price_ticks: int, lots: int, taker_side: int) -> None:
        """Show a trade among others."""
        self._contract.trade(price_ticks, lots, taker_side, self._trading.clock.unix_s)

    def set_background(self, wanted: dict[int, dict[int, int]]) -> None:
        """Make the background's whole book what is given: side -> price in ticks -> lots.

        What would cross a resting client order trades with it first, at its price: nothing moves through a client's
        order without filling it.
        """
        for side in (BUY, SELL):
            best = max((side * price for price in wanted[side]), default=None)
            if best is not None:
                self._fill_through(side, side * best)
        unlike = {side: self._book.unlike(side, wanted[side]) for side in (BUY, SELL)}
        for side in (BUY, SELL):
            for price in unlike[side][0]:
                self._book.set_background(side, price, 0)
        for side in (BUY, SELL):
            for price in unlike[side][1]:
                self._book.set_background(side, price, wanted[side][price])

    def set_level(self, side: int, price_ticks: int, lots: int) -> None:
        """Make the background's size at one price what is given; client orders that it would cross are filled first."""
        if lots and self._trading.orders and self._book.crosses(side, price_ticks):
            self._fill_through(side, price_ticks)
        self._book.set_background(side, price_ticks, lots)

    def _fill_through(self, side: int, price_ticks: int) -> None:
        for order in self.client_orders(-side):
            assert order.price_ticks is not None
            if side * (price_ticks - order.price_ticks) < 0:
                break
            self.fill(order, order.open_lots)


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
