"""The core with a planted bug beside its twin, which must find it: a comparison that agrees with all proves nothing.

One function of the core is replaced by one that errs; the bug is what the test's name says. The walks are the same
each time.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mftpy.sim import clearing, instrument, trading
from mftpy.sim.accounts import Account, Position
from mftpy.sim.clearing import Clearing
from mftpy.sim.contract import Contract
from mftpy.sim.marking import Marking, Underlying
from mftpy.sim.matching import OrderBook
from mftpy.sim.trading import Trading
from tests.py.test_trading_twin import walk

WALKS = 100
STEPS = 60


def walks(count: int) -> None:
    for seed in range(count):
        draw = random.Random(seed)
        walk(draw.randrange(2**48) for _ in range(STEPS))


Bug = tuple[Any, str, Callable[..., Any]]


def last_come_first_served(real: Any) -> Any:
    def add(self: OrderBook, item: Any) -> None:
        real(self, item)
        line = self._levels[item.side][item.price_ticks].line
        others = [one for one in line if one is not item]
        line.clear()
        line.update(dict.fromkeys([item, *others]))

    return add


def growing_keeps_its_place(real: Any) -> Any:
    def amend(self: Trading, order: Any, asked: Any) -> Any:
        if asked.price_ticks == order.price_ticks and asked.lots > order.total_lots:
            more = asked.lots - order.total_lots
            book = order.contract.book
            book._count(book._levels[order.side][order.price_ticks], order.resting, more)
            order.resting.lots += more
            order.account.position(order.contract).open_lots[order.side] += more
            order.total_lots = asked.lots
            return self._tell(order, "amend", [])
        return real(self, order, asked)

    return amend


def fee_on_the_price(real: Any) -> Any:
    def book(self: Clearing, contract: Contract, side: int, price_ticks: int, *rest: Any) -> Any:
        underlying = contract.underlying
        before, underlying.index_units = underlying.index_units, price_ticks * contract.listed.tick_units
        try:
            return real(self, contract, side, price_ticks, *rest)
        finally:
            underlying.index_units = before

    return book


def counted_twice(real: Any) -> Any:
    def book(self: Clearing, contract: Contract, side: int, price: int, lots: int, order: Any, *rest: Any) -> Any:
        if order is not None and order.open_lots > lots:
            order.filled_lots += 1
        return real(self, contract, side, price, lots, order, *rest)

    return book


def number_not_given_back(real: Any) -> Any:
    def end(self: Trading, order: Any, *rest: Any) -> Any:
        said = real(self, order, *rest)
        if order.client_order_id == 7:
            order.session.client_ids[7] = order
        return said

    return end


def carried_at_the_old_price(real: Any) -> Any:
    def settle(self: Account, contract: Contract, units: int) -> int:
        position = self.position(contract)
        before = position.start_value
        gain: int = real(self, contract, units)
        position.start_value = before
        return gain

    return settle


def counter_forgotten(real: Any) -> Any:
    def take_away(self: Trading, order: Any) -> None:
        resting, counters = order.resting, order.account.position(order.contract).open_lots
        before = counters[order.side]
        real(self, order)
        if resting is not None:
            counters[order.side] = before

    return take_away


def behind_by_two(real: Any) -> Any:
    def stand(order: Any) -> bool:
        before = order.price_ticks
        stands: bool = real(order)
        if stands and order.price_ticks != before:
            order.price_ticks -= order.side
        return stands

    return staticmethod(stand)


def everything_of_the_account(real: Any) -> Any:
    def cancel_where(self: Trading, reason: str, *, session: Any = None, **named: Any) -> int:
        if session is not None:
            return int(real(self, reason, account=session.account))
        return int(real(self, reason, **named))

    return cancel_where


def only_clients(real: Any) -> Any:
    def take(self: Trading, contract: Contract, side: int, limit_ticks: int | None, lots: int) -> int:
        done = 0
        for order in self.client_orders(contract, -side):
            if done < lots and (limit_ticks is None or side * (limit_ticks - order.price_ticks) >= 0):
                part = min(lots - done, order.open_lots)
                self.fill(order, part)
                done += part
        return done

    return take


def without_memory(real: Any) -> Any:
    def second(self: Marking, best_bid: int | None, best_ask: int | None) -> None:
        self._premium = None
        real(self, best_bid, best_ask)

    return second


def method(of: Any, name: str, wrong: Callable[[Any], Any]) -> Bug:
    return of, name, wrong(getattr(of, name))


BUGS: dict[str, Bug] = {
    "last come, first served": method(OrderBook, "add", last_come_first_served),
    "an amend that grows keeps its place": method(Trading, "amend", growing_keeps_its_place),
    "an amend that stays is sent to the end": method(
        Trading,
        "amend",
        lambda real: (
            lambda self, order, asked: (
                (self._take_away(order), self._execute(order, "amend", order.price_ticks))[1]
                if (asked.price_ticks, asked.lots) == (order.price_ticks, order.total_lots)
                else real(self, order, asked)
            )
        ),
    ),
    "an amend adds to what is filled": method(
        Trading,
        "amend",
        lambda real: (
            lambda self, order, asked: real(
                self, order, asked._replace(lots=asked.lots + order.filled_lots if asked.lots else 0)
            )
        ),
    ),
    "self-trades go through": (trading, "_is_own", lambda order, other: False),
    "self-trades are prevented in the account only": (
        trading,
        "_is_own",
        lambda order, other: other is not None and other.account is order.account and order.stp_level != "disabled",
    ),
    "self-trade prevention cancels nothing": method(
        Trading,
        "insert",
        lambda real: lambda self, session, asked: real(self, session, asked._replace(stp_whole=False)),
    ),
    "the fee's basis is the price": method(Clearing, "_book", fee_on_the_price),
    "fees are cut to cents": (
        clearing,
        "fee_of",
        lambda index, rate, size: index * size * rate // (clearing.UNIT * 10**14) * 10**14,
    ),
    "a fill counts for one lot more": method(Clearing, "_book", counted_twice),
    "funding the wrong way round": method(
        Marking, "funding_of", lambda real: lambda self, lots, entry: -real(self, lots, entry)
    ),
    "funding is never paid": (Account, "realise_funding", lambda self, contract, position: 0),
    "liquidations pay the taker's fee": method(
        Clearing,
        "__init__",
        lambda real: (
            lambda self, clock, accounts, rates: real(self, clock, accounts, replace(rates, liquidation=50_000))
        ),
    ),
    "a debt stays": (Clearing, "cover", lambda self, account: 0),
    "the premium has no memory": method(Marking, "second", without_memory),
    "profit stays carried at the old price": method(Account, "settle", carried_at_the_old_price),
    "a cancelled order stays in the margin": method(Trading, "_take_away", counter_forgotten),
    "post-only stands two ticks behind": method(Trading, "_stand_behind", behind_by_two),
    "post-only takes": (Trading, "_stand_behind", staticmethod(lambda order: True)),
    "reduce-only orders do not shrink": (Trading, "_shrink_reducing", lambda self: None),
    "reduce-only is not cut": (Trading, "_room", lambda self, order: order.total_lots),
    "collars do not hold": (Trading, "_bounded", staticmethod(lambda order, price_ticks, collar: price_ticks)),
    "margin is not looked at": (Account, "required", lambda self, contract=None, side=0, more=0: 0),
    "one side's orders only count": (
        Position,
        "worst_lots",
        lambda self, side=0, more=0: abs(self.lots) + (more if side else 0),
    ),
    "a number that is in use stays so": method(Trading, "_end", number_not_given_back),
    "a session's end takes the account's orders": method(Trading, "cancel_where", everything_of_the_account),
    "the background is passed over": method(Trading, "take", only_clients),
    "an expiry is at the index of the moment": (Underlying, "expiry_units", property(lambda self: self.index_units)),
    "amounts are cut, not rounded": (instrument, "rounded_units", lambda value: int(value * 10**8)),
}


LATE = {
    "self-trade prevention cancels nothing",
    "an amend that grows keeps its place",
    "an expiry is at the index of the moment",
    "a session's end takes the account's orders",
}
"""These are met only after seconds of walking: for the campaign."""


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=[pytest.mark.long] if bug in LATE else []) for bug in BUGS])
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of, name, wrong = BUGS[bug]
    monkeypatch.setattr(of, name, wrong)
    with pytest.raises(AssertionError):
        walks(WALKS)


def test_without_a_bug_the_same_walks_agree() -> None:
    walks(8)
