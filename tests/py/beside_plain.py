"""The exchange's core and its slow twin side by side: each operation is done by both, and everything is compared."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

from mftpy.sim.accounts import Account
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.daily import Daily
from mftpy.sim.flow import Market
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT
from mftpy.sim.orders import ClientOrder, TradeRecord
from mftpy.sim.protocol import Refusal
from mftpy.sim.requests import client_order_id_of, read_amend, read_insert
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Rules, Trading
from tests.py import plain_exchange as plain

DAY_S = 86_400
EIGHT = 1_798_185_600
"""A day's 08:00 UTC (25 December 2026), in Unix seconds."""

RATES = {"maker": Fraction(1, 10_000), "taker": Fraction(5, 10_000), "liquidation": Fraction(50, 10_000)}
OWNERS = [("A000000001", "ann"), ("A000000002", "ann"), ("A000000003", "bob")]
SESSIONS = [(0, True), (0, False), (1, False), (2, True)]
"""Account, and whether its orders are persistent."""

PERPETUAL, DATED = "BTC-PERPETUAL", "BTC-25DEC26"

Line = tuple[int, int, plain.Order | None]
"""Price in ticks, lots, whose; None is the background's."""


class NoFeeds:
    """What `Daily` tells of listings."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []

    def listed(self, changes: list[dict[str, Any]]) -> None:
        self.changes += changes


class Beside:
    """Both exchanges, with three accounts of two customers, four sessions, two contracts on one index."""

    def __init__(
        self,
        *,
        before_eight_s: int = 3_600,
        expires: bool = False,
        keeps_post_only: bool = False,
        stp_override: bool = True,
        dampener_bps: int = 0,
        cash: int = 400,
        index: int = 500,
        most_orders: int = 8,
        most_value: int = 4_000,
    ) -> None:
        expiry_s = EIGHT if expires else EIGHT + 7 * DAY_S
        dampener = dampener_bps * UNIT // 10_000
        self.clock = Clock(5_000_000_000, (EIGHT - before_eight_s) * 10**9)
        self.underlying = Underlying("BTCUSD", index * UNIT)
        listed = [
            Listed(PERPETUAL, "perpetual", "BTCUSD", UNIT, UNIT // 10),
            Listed(DATED, "future", "BTCUSD", UNIT // 2, UNIT // 20, expiry_s=expiry_s),
        ]
        self.contracts = [Contract(one, self.underlying, dampener) for one in listed]
        accounts = [Account(number, customer, cash * MONEY) for number, customer in OWNERS]
        rates = FeeRates(**{name: int(rate * UNIT) for name, rate in RATES.items()})
        self.clearing = Clearing(self.clock, accounts, rates)
        rules = Rules(keeps_post_only, stp_override, most_open_orders=most_orders, most_side_value=most_value * MONEY)
        self.trading = Trading(self.clearing, self.contracts, rules)
        self.accounts = accounts
        self.markets = [Market(self.trading, contract) for contract in self.contracts]
        self.feeds = NoFeeds()
        self.daily = Daily(self.trading, self.feeds)  # type: ignore[arg-type]
        self.sessions = []
        for number, (owner, persistent) in enumerate(SESSIONS):
            session = Session(number, self.clock.now_ns)
            session.account = accounts[owner]
            if not persistent:
                session.arm(6, self.clock.now_ns)
            self.sessions.append(session)
        self.began_with = self.wealth()

        owners = [plain.Account(number, customer, Fraction(cash)) for number, customer in OWNERS]
        self.instruments = [
            plain.Instrument(one.name, one.underlying, one.tick, one.lot, one.expiry_s) for one in listed
        ]
        self.plain = plain.Exchange(
            self.instruments,
            owners,
            {"BTCUSD": Fraction(index)},
            rates=RATES,
            dampener=Fraction(dampener_bps, 10_000),
            keeps_post_only=keeps_post_only,
            stp_override=stp_override,
            most_orders=most_orders,
            most_value=Fraction(most_value),
        )
        self.plain_sessions = [plain.Session(owners[owner], persistent) for owner, persistent in SESSIONS]
        self.settlement_s = EIGHT if before_eight_s > 0 else EIGHT + DAY_S
        self.now_s = EIGHT - before_eight_s
        self.pairs: dict[str, plain.Order] = {}
        self.known: dict[str, ClientOrder] = {}
        self.answer: dict[str, Any] | None = None
        """To the last request; None when it was refused."""
        self.notices: list[dict[str, Any]] = []
        self.trades: list[TradeRecord] = []

    # operations

    def insert(self, session: int, asked: dict[str, Any]) -> int | None:
        """Returns the code of a refusal."""
        return self._both(
            lambda: self.trading.insert(self.sessions[session], read_insert(asked, None, self.trading.contracts)),
            lambda: self.plain.insert(self.plain_sessions[session], asked),
        )

    def amend(self, order: ClientOrder, asked: dict[str, Any]) -> int | None:
        return self._both(
            lambda: self.trading.amend(self.found(order), read_amend(asked, order.contract)),
            lambda: self.plain.amend(self.pairs[order.order_id], asked),
        )

    def cancel(self, order: ClientOrder) -> int | None:
        return self._both(
            lambda: self.trading.cancel(self.found(order)), lambda: self.plain.cancel(self.pairs[order.order_id])
        )

    def found(self, order: ClientOrder) -> ClientOrder:
        """The order as the core finds it by what its client knows of it."""
        session = order.session
        by_id = self.trading.find(session, order.order_id, None)
        if order.client_order_id is not None:
            number = client_order_id_of({"client_order_id": order.client_order_id})
            assert self.trading.find(session, None, number) is by_id
        return by_id

    def cancel_all(self, account: int) -> None:
        done = self.trading.cancel_where("client_bulk_cancel", account=self.accounts[account])
        assert done == self.plain.cancel_all(self.plain.accounts[account])
        self.check()

    def cancel_session(self, session: int) -> None:
        done = self.trading.cancel_where("session_end", session=self.sessions[session])
        assert done == self.plain.cancel_session(self.plain_sessions[session])
        self.check()

    def set_index(self, units: int) -> None:
        self.markets[0].set_index(units)
        self.plain.index["BTCUSD"] = Fraction(units, UNIT)
        self.check()

    def set_level(self, which: int, side: int, ticks: int, lots: int) -> None:
        """As flows do, they never let the background cross itself."""
        instrument = self.instruments[which]
        price = ticks * instrument.tick
        if lots and any(one.order is None and side * (price - one.price) >= 0 for one in instrument.sorted(-side)):
            return
        self.markets[which].set_level(side, ticks, lots)
        self.plain.set_level(instrument, side, price, lots * instrument.lot)
        self.check()

    def set_background(self, which: int, wanted: dict[int, dict[int, int]]) -> None:
        tick, lot = self.instruments[which].tick, self.instruments[which].lot
        self.markets[which].set_background(wanted)
        exact = {side: {price * tick: lots * lot for price, lots in levels.items()} for side, levels in wanted.items()}
        self.plain.set_background(self.instruments[which], exact)
        self.check()

    def take(self, which: int, side: int, limit_ticks: int | None, lots: int) -> None:
        instrument = self.instruments[which]
        limit = None if limit_ticks is None else limit_ticks * instrument.tick
        done = self.markets[which].take(side, limit_ticks, lots)
        assert done * instrument.lot == self.plain.take(instrument, side, limit, lots * instrument.lot)
        self.check()

    def fill(self, order: ClientOrder, lots: int) -> None:
        which = self.contracts.index(order.contract)
        self.markets[which].fill(order, lots)
        self.plain.fill(self.pairs[order.order_id], lots * self.instruments[which].lot)
        self.check()

    def pass_seconds(self, count: int) -> None:
        for _ in range(count):
            self.clock.now_ns = self.daily.next_due_ns()
            self.daily.second()
            self.now_s += 1
            self.plain.second(self.now_s, self.settlement_s)
            if self.now_s == self.settlement_s:
                self.settlement_s += DAY_S
        self.check()
        self._compare_margins()

    def live(self) -> list[ClientOrder]:
        """Orders that can be amended, oldest first."""
        return list(self.trading.orders.values())

    # comparison

    def _both(self, ours: Any, theirs: Any) -> int | None:
        code = plain_code = said = plain_said = None
        try:
            said = ours()
        except Refusal as refusal:
            code = refusal.code
        try:
            plain_said = theirs()
        except plain.Refused as refused:
            plain_code = refused.code
        assert code == plain_code
        self.answer = said
        if said is not None:
            self._look_for_trade_through(said)
        assert (said and essence(said)) == plain_said
        self.check()
        return code

    def _look_for_trade_through(self, said: dict[str, Any]) -> None:
        """Each fill of a taker is no better for it than the one before, within its limit, and leaves nothing better."""
        side = BUY if said["direction"] == "buy" else SELL
        taken = [side * fill["price"] for fill in said["fills"] if fill["maker_taker"] == "taker"]
        assert taken == sorted(taken)
        if not taken:
            return
        assert "price" not in said or taken[-1] <= side * said["price"]
        contract = self.trading.contracts[said["instrument_name"]]
        best = contract.book.best(-side)
        assert best is None or side * contract.listed.price(best) >= taken[-1]

    def check(self) -> None:
        """Everything is the same on both sides, and what never changes has not changed."""
        self._compare_notices()
        self._compare_books()
        self._compare_accounts()
        self._compare_records()
        self._look_at_invariants()

    def _compare_notices(self) -> None:
        told, said = self.trading.told, self.plain.said
        assert [essence(message) for _, message in told] == [message for _, message in said]
        for (order, message), (theirs, _) in zip(told, said, strict=True):
            assert self.pairs.setdefault(order.order_id, theirs) is theirs
            self.known[order.order_id] = order
            assert message["order_id"] == order.order_id
            self.notices.append(message)
        told.clear()
        said.clear()

    def _compare_books(self) -> None:
        live = {self.pairs[order_id] for order_id in self.trading.orders}
        assert live == {one for one in self.plain.orders if one.gone is None}
        for market, contract, instrument in zip(self.markets, self.contracts, self.instruments, strict=True):
            book, listed = contract.book, contract.listed
            for side in (BUY, SELL):
                found: list[Line] = []
                for price in book.prices(side):
                    here = list(book.queue(side, price))
                    assert book.size(side, price) == sum(item.lots for item in here) > 0
                    assert book.background(side, price) == sum(item.lots for item in here if item.owner is None)
                    found += [(price, item.lots, item.owner and self.pairs[item.owner.order_id]) for item in here]
                wanted = [
                    (whole(one.price, UNIT, listed.tick_units), whole(one.size, UNIT, listed.lot_units), one.order)
                    for one in instrument.sorted(side)
                ]
                assert merged(found) == merged(wanted)
                assert book.total(side) == sum(lots for _, lots, _ in wanted)
                orders = [self.pairs[one.order_id] for one in market.client_orders(side)]
                assert orders == [order for _, _, order in wanted if order]
            bid, ask = book.best(BUY), book.best(SELL)
            assert bid is None or ask is None or bid < ask, "the book is crossed"
            assert contract.mark_units == whole(self.plain.mark(instrument), UNIT)
            assert contract.marking.funding_units == whole(self.plain.funding(instrument), UNIT)
        assert set(self.trading.contracts) == set(self.plain.listed)

    def _compare_accounts(self) -> None:
        ours, theirs = [*self.accounts, self.clearing.house], [*self.plain.accounts, self.plain.house]
        for account, twin in zip(ours, theirs, strict=True):
            assert (account.cash, account.fees) == (whole(twin.cash, MONEY), whole(twin.fees, MONEY))
            for contract, instrument in zip(self.contracts, self.instruments, strict=True):
                position, held, lot_units = account.position(contract), twin.of(instrument), contract.listed.lot_units
                assert position.lots == whole(held.size, UNIT, lot_units)
                found = (position.start_value, position.cost, position.realised)
                assert found == tuple(whole(money, MONEY) for money in (held.carried, held.cost, held.realised))
                if account is not self.clearing.house:
                    for side in (BUY, SELL):
                        size = self.plain.open_size(twin, instrument, side)
                        assert position.open_lots[side] == whole(size, UNIT, lot_units)

    def _compare_margins(self) -> None:
        for account, twin in zip(self.accounts, self.plain.accounts, strict=True):
            assert account.equity() == whole(self.plain.equity(twin), MONEY)
            assert account.required() == whole(self.plain.required(twin), MONEY)

    def _compare_records(self) -> None:
        found = [
            (
                account.number,
                one.contract.listed.name,
                one.trade_type,
                one.side,
                Fraction(one.price_units, UNIT),
                one.lots * one.contract.listed.lot,
                one.role,
                one.position_lots * one.contract.listed.lot,
                *(Fraction(money, MONEY) for money in (one.session_realised, one.position_pnl)),
                *(Fraction(money, MONEY) for money in (one.funding_pnl, one.fee)),
            )
            for account, one in self.clearing.records
        ]
        assert found == self.plain.records
        assert {(account, one.contract) for account, one in self.clearing.records} <= self.clearing.moved
        before = len(self.trades)
        self.trades += [record for _, record in self.clearing.records]
        for last, one in pairwise(self.trades[max(before - 1, 0) :]):
            assert one.sequence > last.sequence
            assert one.trade_id >= last.trade_id  # the same for both sides of a trade
        self.clearing.moved.clear()
        self.clearing.records.clear()
        self.plain.records.clear()

    def _look_at_invariants(self) -> None:
        everybody = [*self.accounts, self.clearing.house]
        assert self.wealth() == self.began_with, "money came or went"
        assert self.clearing.fees == whole(self.plain.fees, MONEY) == sum(one.fees for one in self.accounts)
        for contract in self.contracts:
            assert sum(account.position(contract).lots for account in everybody) == 0
        for order_id, order in self.trading.orders.items():
            assert order.order_id == order_id
            assert order.account.orders[order_id] is order
            assert order.delete_reason is None
            assert order.resting is not None
            assert order.resting.lots == order.open_lots > 0
            assert order.resting in list(order.contract.book.queue(order.side, order.price_ticks))
            if order.client_order_id is not None:
                assert order.session.client_ids[order.client_order_id] is order
        assert sum(len(account.orders) for account in self.accounts) == len(self.trading.orders)
        for session in self.sessions:
            assert all(self.trading.orders.get(one.order_id) is one for one in session.client_ids.values())
        for order in self.known.values():
            lot = order.contract.listed.lot_size
            assert round(sum(fill["amount"] for fill in order.fills) / lot) == order.filled_lots <= order.total_lots
            assert (order.order_id in self.trading.orders) == (order.delete_reason is None)
        for account in self.accounts:
            for contract in self.trading.contracts.values():
                fills = (one for one in self.known.values() if one.account is account and one.contract is contract)
                assert account.position(contract).lots == sum(one.side * one.filled_lots for one in fills)

    def wealth(self) -> int:
        """Money of everybody, funding that has run up included: no operation changes it."""
        total = self.clearing.fees
        for account in (*self.accounts, self.clearing.house):
            total += account.cash
            for contract in self.contracts:
                position = account.position(contract)
                total -= position.start_value
                total -= contract.marking.funding_of(position.lots, position.funding_entry)
        return total


def essence(message: dict[str, Any]) -> dict[str, Any]:
    """Of an order object what the twin says too."""
    names = ("price", "amount", "filled_amount", "remaining_amount", "status", "change_reason", "delete_reason")
    said = {name: message.get(name) for name in (*names, "insert_reason", "client_order_id")}
    return said | {"fills": [(fill["price"], fill["amount"], fill["maker_taker"]) for fill in message["fills"]]}


def whole(value: Fraction, unit: int, step: int = 1) -> int:
    """How many steps of 1/unit; the twin's numbers are such."""
    found, rest = divmod(value.numerator * unit, value.denominator * step)
    assert rest == 0
    return found


def merged(lines: list[Line]) -> list[Line]:
    """The line with neighbouring pieces of the background as one: how it is cut up is nobody's business."""
    found: list[Line] = []
    for price, size, order in lines:
        if found and order is None and found[-1][2] is None and found[-1][0] == price:
            found[-1] = (price, found[-1][1] + size, None)
        else:
            found.append((price, size, order))
    return found
