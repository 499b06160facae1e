"""One exchange, one contract and one client, driven by typed calls: no JSON, no socket, no clock of its own."""

from __future__ import annotations

from typing import Final, NamedTuple

from mftpy.sim.accounts import Account
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.flow import Flow, Market
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT, decimal_units
from mftpy.sim.orders import ClientOrder
from mftpy.sim.protocol import Refusal
from mftpy.sim.requests import Amend, Insert
from mftpy.sim.sessions import Session
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Rules, Trading

SECOND_NS: Final = 10**9


class Fill(NamedTuple):
    """One fill of ours."""

    side: int
    price_ticks: int
    lots: int
    maker: bool
    order: ClientOrder | None = None


class Venue:
    """The exchange's core with a flow, and one account's orders in it.

    Parameters
    ----------
    settings : ExchangeSettings
    flow : Flow
        Already made from the same settings.
    listed : Listed

    Attributes
    ----------
    account, house : Account
        The client's, and the other side of everything that it trades.
    messages : int
        Requests that were answered.
    """

    def __init__(self, settings: ExchangeSettings, flow: Flow, listed: Listed) -> None:
        self.listed = listed
        underlying = Underlying(listed.underlying, decimal_units(settings.initial_price))
        self.contract = Contract(listed, underlying)
        self.account = Account("A000000001", "C1", decimal_units(settings.initial_cash) * UNIT)
        self._start_cash = self.account.cash
        rates = FeeRates(decimal_units(settings.maker_fee_rate), decimal_units(settings.taker_fee_rate))
        self.clearing = Clearing(Clock(0, 0), [self.account], rates)
        self.trading = Trading(self.clearing, [self.contract], Rules())
        self.market = Market(self.trading, self.contract)
        self.flow = flow
        self._session = Session(1, 0, self.account)
        self._session.arm(5.0, 0)
        self._next_second_ns = SECOND_NS
        self._best = self.contract.book.best
        self._resting: dict[int, ClientOrder | None] = {BUY: None, SELL: None}
        self.messages = 0
        flow.start(self.market, 0)

    @property
    def house(self) -> Account:
        """Whoever takes the other side."""
        return self.clearing.house

    def next_due_ns(self) -> int:
        """Return when the market next does something."""
        due_ns = self.flow.next_due_ns()
        assert due_ns is not None
        return due_ns

    def step(self, now_ns: int) -> None:
        """Let the market do what is due."""
        self._at(now_ns)
        self.flow.step(self.market, now_ns)

    def insert(self, now_ns: int, side: int, price_ticks: int, lots: int) -> ClientOrder | None:
        """Insert post-only; None when it was refused."""
        self._request(now_ns)
        try:
            said = self.trading.insert(
                self._session, Insert(self.contract, side, price_ticks, lots, post_only=True, client_order_id=None)
            )
        except Refusal:
            return None
        order = self._resting[side] = self.account.orders.get(said["order_id"])
        return order

    def amend(self, now_ns: int, order: ClientOrder, price_ticks: int, lots: int) -> None:
        """Move an order that may have ended meanwhile."""
        self._request(now_ns)
        if order.resting is not None:
            try:
                self.trading.amend(order, Amend(price_ticks, lots))
            except Refusal:
                return

    def cancel(self, now_ns: int, order: ClientOrder) -> None:
        """Cancel an order that may have ended meanwhile."""
        self._request(now_ns)
        if order.resting is not None:
            self.trading.cancel(order)

    def net_best(self) -> tuple[int, int]:
        """Best bid and ask of others; 0 where there is none."""
        return self._net_best(BUY), self._net_best(SELL)

    def _net_best(self, side: int) -> int:
        best = self._best(side)
        order = self._resting[side]
        if best is None:
            return 0
        if order is None or order.price_ticks != best or order.resting is None:
            return best
        if self.market.background(side, best):
            return best
        return next((price for price in self.contract.book.prices(side) if self.market.background(side, price)), 0)

    def fills(self) -> list[Fill]:
        """Return the fills since the last call, and forget what else there was to tell."""
        self.contract.prints.clear()
        self.contract.book.changed.clear()
        told = self.trading.told
        if not told:
            return []
        found = []
        if self.clearing.records:
            for _, record in self.clearing.records:
                ticks = record.price_units // self.listed.tick_units
                found.append(Fill(record.side, ticks, record.lots, record.role == "maker", record.order))
            self.clearing.records.clear()
            self.clearing.moved.clear()
        told.clear()
        return found

    @property
    def profit(self) -> float:
        """Equity less the start's, fees and funding in it, at the mark; quote currency."""
        return (self.account.equity() - self._start_cash) / MONEY

    @property
    def position_lots(self) -> int:
        """Position of the client."""
        return self.account.position(self.contract).lots

    @property
    def imbalance(self) -> tuple[int, int]:
        """Sum of all positions, and of all money that came from nowhere; both are zero, always."""
        lots = money = 0
        for account in (self.account, self.house):
            position = account.position(self.contract)
            funding = self.contract.marking.funding_of(position.lots, position.funding_entry)
            lots += position.lots
            money += account.cash - position.start_value - funding
        return lots, money + self.clearing.fees - self._start_cash

    @property
    def fees(self) -> float:
        """Fees paid; quote currency."""
        return self.account.fees / MONEY

    def _request(self, now_ns: int) -> None:
        self.messages += 1
        self._at(now_ns)

    def _at(self, now_ns: int) -> None:
        self.clearing.clock.now_ns = now_ns
        while self._next_second_ns <= now_ns:
            self._next_second_ns += SECOND_NS
            self.contract.marking.second(self.market.best(BUY), self.market.best(SELL))


def bitcoin() -> Listed:
    """Return the perpetual that the study trades."""
    return Listed("BTC-PERPETUAL", "perpetual", "BTCUSD", UNIT, UNIT // 1000)
