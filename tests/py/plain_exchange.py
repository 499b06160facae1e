"""A slow, obvious exchange, written from the protocol's rules: fractions for money, one list of what rests.

The twin of ``mftpy.sim``'s core. Nothing is shared with it, and nothing is kept that can be worked out again: the book
is a list in the order of joining the lines, sorted by price whenever it is looked at.
"""

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

BUY, SELL = 1, -1
DAY_S = 86_400
ZERO = Fraction(0)


class Refused(Exception):  # noqa: N818 (an answer)
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False)
class Instrument:
    name: str
    underlying: str
    tick: Fraction
    lot: Fraction
    expiry_s: int | None = None
    lines: list["Entry"] = field(default_factory=list)
    """What rests, in the order in which it joined its line."""
    premium: float | None = None
    funding: Fraction = ZERO
    """Paid by a long of one coin, exactly."""

    def sorted(self, side: int) -> list["Entry"]:
        """One side, best price first, the earlier first at a price."""
        return sorted((one for one in self.lines if one.side == side), key=lambda one: -side * one.price)

    def best(self, side: int) -> Fraction | None:
        found = self.sorted(side)
        return found[0].price if found else None


@dataclass(eq=False)
class Entry:
    side: int
    price: Fraction
    size: Fraction
    order: "Order | None"


@dataclass
class Holding:
    size: Fraction = ZERO
    carried: Fraction = ZERO
    cost: Fraction = ZERO
    funding: Fraction = ZERO
    realised: Fraction = ZERO


@dataclass(eq=False)
class Account:
    name: str
    customer: str
    cash: Fraction
    holdings: dict[str, Holding] = field(default_factory=dict)
    fees: Fraction = ZERO

    def of(self, instrument: Instrument) -> Holding:
        return self.holdings.setdefault(instrument.name, Holding())


@dataclass(eq=False)
class Session:
    account: Account
    persistent: bool


@dataclass(eq=False)
class Order:
    number: int
    account: Account
    session: Session | None
    instrument: Instrument
    side: int
    price: Fraction | None
    total: Fraction
    time_in_force: str
    client_order_id: int | None = None
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    stp_level: str = "customer"
    stp_whole: bool = False
    insert_reason: str = "client_request"
    filled: Fraction = ZERO
    gone: str | None = None

    @property
    def open(self) -> Fraction:
        return self.total - self.filled


class Exchange:
    """All of it. `said` collects the notices (order, its message), `records` the lines of the trade histories."""

    def __init__(
        self,
        instruments: list[Instrument],
        accounts: list[Account],
        index: dict[str, Fraction],
        *,
        rates: dict[str, Fraction],
        dampener: Fraction = ZERO,
        keeps_post_only: bool = False,
        stp_override: bool = True,
        most_orders: int = 1000,
        most_value: Fraction = Fraction(50_000_000),
    ) -> None:
        self.instruments = {one.name: one for one in instruments}
        self.listed = dict(self.instruments)
        self.accounts = accounts
        self.house = Account("house", "house", ZERO)
        self.index = index
        self.rates = rates
        self.dampener = dampener
        self.keeps_post_only = keeps_post_only
        self.stp_override = stp_override
        self.most_orders = most_orders
        self.most_value = most_value
        self.orders: list[Order] = []
        self.fees = ZERO
        self.said: list[tuple[Order, dict[str, Any]]] = []
        self.records: list[tuple[Any, ...]] = []
        self.windows: dict[str, list[Fraction]] = {name: [] for name in index}
        self.count = 0

    # numbers

    @staticmethod
    def is_number(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(6)

    @staticmethod
    def decimals(value: float, code: int) -> Fraction:
        """Eight of them, as the exchange rounds what it is sent before it looks at it."""
        if not abs(value) < 1e15:
            raise Refused(code)
        return Fraction(round(Fraction(value) * 10**8), 10**8)

    def mark(self, instrument: Instrument) -> Fraction:
        premium = Fraction(round(instrument.premium or 0.0), 10**8)
        return max(self.index[instrument.underlying] + premium, Fraction(1, 10**8))

    def funding(self, instrument: Instrument) -> Fraction:
        return Fraction(math.floor(instrument.funding * 10**8), 10**8)

    def collar(self, instrument: Instrument, side: int) -> Fraction:
        """Farthest price of a side, on a tick, within 2 % of the mark."""
        mark, tick = self.mark(instrument), instrument.tick
        if side == BUY:
            return math.floor(mark * Fraction(102, 100) / tick) * tick
        return math.ceil(mark * Fraction(98, 100) / tick) * tick

    # requests

    def insert(self, session: Session, asked: dict[str, Any]) -> dict[str, Any]:
        asked = {name: value for name, value in asked.items() if value is not None}
        instrument = self.listed.get(asked["instrument_name"])
        if instrument is None:
            raise Refused(5)
        market = asked.get("order_type", "limit") == "market"
        time_in_force = asked.get("time_in_force", "immediate_or_cancel" if market else "good_till_cancelled")
        if not re.fullmatch(r"[A-Za-z0-9<>|_-]{0,64}", asked.get("label", "")):
            raise Refused(6)
        price = None
        for name in ("amount",) if market else ("price", "amount"):
            self.is_number(asked.get(name))
        if not market:
            price = self.decimals(asked["price"], 13)
            if price <= 0:
                raise Refused(13)
            if price % instrument.tick:
                raise Refused(15)
        amount = self.decimals(asked["amount"], 14)
        if amount % instrument.lot or amount < instrument.lot:
            raise Refused(14)
        post_only, ioc = asked.get("post_only", False), time_in_force == "immediate_or_cancel"
        if (market and not ioc) or (post_only and ioc):
            raise Refused(25)
        if asked.get("reject_post_only", False) and not post_only:
            raise Refused(6)
        collar = asked.get("collar", "clamp" if market else "reject")
        if market and collar == "ignore":
            raise Refused(45)
        number = asked.get("client_order_id")
        if number is not None and any(
            one.session is session and one.client_order_id == number and one.gone is None for one in self.orders
        ):
            raise Refused(2)
        order = self.new_order(
            session.account,
            session,
            instrument,
            {"buy": BUY, "sell": SELL}[asked["direction"]],
            price,
            amount,
            time_in_force,
            client_order_id=number,
            post_only=post_only,
            reject_post_only=asked.get("reject_post_only", False),
            reduce_only=asked.get("reduce_only", False),
            stp_level=asked.get("stp_level", "customer") if self.stp_override else "customer",
            stp_whole=asked.get("stp_action") == "cancel_aggressive_no_fill",
        )
        if order.reduce_only:
            order.total = min(order.total, self.reducible(order))
            if order.total <= 0:
                raise Refused(57)
        limit = self.collared(order, price, collar)
        if not market:
            order.price = limit
        self.check_limits(order, order.total, new=True)
        if post_only and not self.step_back(order):
            return self.end(order, "insert", "immediate_cancel", [])
        self.orders.append(order)
        return self.enter(order, "insert", order.price if limit is None or not market else limit)

    def amend(self, order: Order, asked: dict[str, Any]) -> dict[str, Any]:
        instrument = order.instrument
        for name in ("price", "amount"):
            self.is_number(asked.get(name))
        if asked["amount"] == 0:
            return self.end(order, "amend", "client_cancel", [])
        price = self.decimals(asked["price"], 13)
        if price <= 0:
            raise Refused(13)
        if price % instrument.tick:
            raise Refused(15)
        total = self.decimals(asked["amount"], 14)
        if total < 0 or total % instrument.lot:
            raise Refused(14)
        if total <= order.filled:
            return self.end(order, "amend", "client_cancel", [])
        if order.reduce_only:
            total = min(total, order.filled + self.reducible(order))
            if total <= order.filled:
                raise Refused(57)
        price = self.collared(order, price, asked.get("collar", "reject"))
        if total > order.total:
            self.check_limits(order, total - order.total, new=False)
        entry = self.entry(order)
        assert entry is not None
        if price == order.price and total <= order.total:
            order.total = total
            entry.size = order.open
            return self.say(order, "amend", [])
        instrument.lines.remove(entry)
        order.price, order.total = price, total
        if order.post_only and self.keeps_post_only and not self.step_back(order):
            return self.end(order, "amend", "immediate_cancel", [])
        return self.enter(order, "amend", order.price)

    def cancel(self, order: Order) -> dict[str, Any]:
        return self.end(order, "cancel", "client_cancel", [])

    def cancel_all(self, account: Account, reason: str = "client_bulk_cancel") -> int:
        mine = [one for one in self.orders if one.account is account and one.gone is None]
        for order in mine:
            self.end(order, "cancel", reason, [])
        return len(mine)

    def cancel_session(self, session: Session) -> int:
        mine = [one for one in self.orders if one.session is session and not session.persistent and one.gone is None]
        for order in mine:
            self.end(order, "cancel", "session_end", [])
        return len(mine)

    # the rules

    def new_order(self, *args: Any, **named: Any) -> Order:
        self.count += 1
        return Order(self.count, *args, **named)

    def entry(self, order: Order) -> Entry | None:
        return next((one for one in order.instrument.lines if one.order is order), None)

    def reducible(self, order: Order) -> Fraction:
        return -order.side * order.account.of(order.instrument).size

    def collared(self, order: Order, price: Fraction | None, collar: str) -> Fraction | None:
        bound, side = self.collar(order.instrument, order.side), order.side
        if collar == "ignore":
            return price
        if price is not None and side * (price - bound) <= 0:
            return price
        if collar == "reject":  # a market order's limit is infinite
            raise Refused(43)
        return bound

    def open_size(self, account: Account, instrument: Instrument, side: int) -> Fraction:
        return sum(
            (one.size for one in instrument.lines if one.order and one.order.account is account and one.side == side),
            ZERO,
        )

    def worst(self, account: Account, instrument: Instrument, extra: dict[int, Fraction]) -> Fraction:
        """Largest position, long or short, that the orders could make."""
        size = account.of(instrument).size
        buys = self.open_size(account, instrument, BUY) + extra.get(BUY, ZERO)
        sells = self.open_size(account, instrument, SELL) + extra.get(SELL, ZERO)
        return max(size + buys, sells - size)

    def required(
        self, account: Account, where: Instrument | None = None, side: int = BUY, more: Fraction = ZERO
    ) -> Any:
        extra = {side: more}
        return Fraction(5, 100) * sum(
            self.worst(account, one, extra if one is where else {}) * self.mark(one)
            for one in self.instruments.values()
        )

    def equity(self, account: Account) -> Fraction:
        total = account.cash
        for one in self.instruments.values():
            held = account.of(one)
            total += held.size * self.mark(one) - held.carried - held.size * (self.funding(one) - held.funding)
        return total

    def check_limits(self, order: Order, more: Fraction, *, new: bool) -> None:
        account, side = order.account, order.side
        if new and sum(one.account is account and one.gone is None for one in self.orders) >= self.most_orders:
            raise Refused(49)
        value = more * self.mark(order.instrument)
        for one in self.instruments.values():
            if one.underlying == order.instrument.underlying:
                value += self.open_size(account, one, side) * self.mark(one)
        if value > self.most_value:
            raise Refused(50)
        needed = self.required(account, order.instrument, side, more)
        if needed > self.required(account) and needed > self.equity(account):
            raise Refused(24)

    @staticmethod
    def step_back(order: Order) -> bool:
        """Post-only: one tick behind the opposite best in place of taking; False when the order has to go."""
        opposite = order.instrument.best(-order.side)
        assert order.price is not None
        if opposite is None or order.side * (order.price - opposite) < 0:
            return True
        if order.reject_post_only or opposite - order.side * order.instrument.tick <= 0:
            return False
        order.price = opposite - order.side * order.instrument.tick
        return True

    @staticmethod
    def is_own(order: Order, other: Order | None) -> bool:
        if other is None or order.stp_level == "disabled":
            return False
        if order.stp_level == "account":
            return other.account is order.account
        return other.account.customer == order.account.customer

    def enter(self, order: Order, change: str, limit: Fraction | None) -> dict[str, Any]:
        fills: list[Any] = []
        meets, left, own = [], order.open, False
        for entry in order.instrument.sorted(-order.side):
            if left <= 0 or (limit is not None and order.side * (entry.price - limit) > 0):
                break
            if self.is_own(order, entry.order):
                own = True
                break
            part = min(left, entry.size)
            meets.append((entry, part))
            left -= part
        if not (own and order.stp_whole):
            for entry, part in meets:
                fills.append(self.meet(order.instrument, entry, part, order.side, order))
        if order.open == 0:
            said = self.end(order, change, "filled", fills)
        elif own:
            said = self.end(order, change, "self_trade_prevention", fills)
        elif order.time_in_force == "immediate_or_cancel":
            said = self.end(order, change, "immediate_cancel", fills)
        else:
            assert order.price is not None
            order.instrument.lines.append(Entry(order.side, order.price, order.open, order))
            said = self.say(order, change, fills)
        self.reduce()
        return said

    def meet(self, instrument: Instrument, entry: Entry, size: Fraction, side: int, taker: Order | None) -> Any:
        """One trade of a taker (None: of the background) with what rests."""
        entry.size -= size
        if entry.size == 0:
            instrument.lines.remove(entry)
        if taker is None and entry.order is None:
            return None
        self.book(instrument, taker, side, entry.price, size, "taker")
        self.book(instrument, entry.order, -side, entry.price, size, "maker")
        maker = entry.order
        if maker is not None:
            fill = (entry.price, size, "maker")
            if maker.open == 0:
                self.end(maker, "fill", "filled", [fill])
            else:
                self.say(maker, "fill", [fill])
        return (entry.price, size, "taker")

    def book(
        self, instrument: Instrument, order: Order | None, side: int, price: Fraction, size: Fraction, role: str
    ) -> None:
        account = self.house if order is None else order.account
        fee, rate = ZERO, ZERO
        if order is not None:
            rate = self.rates["liquidation" if order.insert_reason == "liquidation" else role]
            fee = Fraction(round(self.index[instrument.underlying] * rate * size * 100), 100)
            order.filled += size
        held = account.of(instrument)
        funding = self.pay_funding(account, instrument)
        gain = ZERO
        closing = min(size, abs(held.size)) if held.size * side < 0 else ZERO
        if closing:
            share = closing / abs(held.size)
            carried, cost = self.finest(held.carried * share), self.finest(held.cost * share)
            gain = -side * closing * price - carried
            held.carried -= carried
            held.cost -= cost
        held.carried += side * (size - closing) * price
        held.cost += side * (size - closing) * price
        held.size += side * size
        held.realised += gain
        account.cash += gain - fee
        account.fees += fee
        self.fees += fee
        if order is not None:
            kind = "liquidation" if order.insert_reason == "liquidation" else "normal"
            self.record(account.name, instrument.name, kind, side, price, size, role, held, gain, funding, fee)

    def record(self, *line: Any) -> None:
        """A line of a trade history; of the holding what it has become."""
        *before, held, gain, funding, fee = line
        self.records.append((*before, held.size, held.realised, gain, funding, fee))

    @staticmethod
    def finest(money: Fraction) -> Fraction:
        return Fraction(round(money * 10**16), 10**16)

    def pay_funding(self, account: Account, instrument: Instrument) -> Fraction:
        held, now = account.of(instrument), self.funding(instrument)
        profit = -held.size * (now - held.funding)
        held.funding = now
        held.realised += profit
        account.cash += profit
        return profit

    def reduce(self) -> None:
        """Shrink reduce-only orders to the positions that are left."""
        for order in sorted((one for one in self.orders if one.reduce_only), key=lambda one: one.number):
            entry = self.entry(order)
            if entry is None:
                continue
            room = self.reducible(order)
            if room <= 0:
                self.end(order, "cancel", "immediate_cancel", [])
            elif room < order.open:
                order.total = order.filled + room
                entry.size = room
                self.say(order, "amend", [])

    def end(self, order: Order, change: str, reason: str, fills: list[Any]) -> dict[str, Any]:
        order.gone = reason
        order.instrument.lines = [one for one in order.instrument.lines if one.order is not order]
        return self.say(order, change, fills)

    def say(self, order: Order, change: str, fills: list[Any]) -> dict[str, Any]:
        status = "open"
        if order.gone == "filled":
            status = "filled"
        elif order.gone:
            status = "cancelled_partially_filled" if order.filled else "cancelled"
        elif order.filled:
            status = "partially_filled"
        said = {
            "price": None if order.price is None else float(order.price),
            "amount": float(order.total),
            "filled_amount": float(order.filled),
            "remaining_amount": 0.0 if order.gone else float(order.open),
            "status": status,
            "fills": [(float(price), float(size), role) for price, size, role in fills],
            "change_reason": change,
            "delete_reason": order.gone,
            "insert_reason": order.insert_reason,
            "client_order_id": order.client_order_id,
        }
        self.said.append((order, said))
        return said

    # the background

    def fill(self, order: Order, size: Fraction) -> None:
        entry = self.entry(order)
        if entry is not None:
            self.meet(order.instrument, entry, min(size, entry.size), -order.side, None)
            self.reduce()

    def take(self, instrument: Instrument, side: int, limit: Fraction | None, size: Fraction) -> Fraction:
        done = ZERO
        for entry in instrument.sorted(-side):
            if done == size or (limit is not None and side * (entry.price - limit) > 0):
                break
            part = min(size - done, entry.size)
            self.meet(instrument, entry, part, side, None)
            done += part
        self.reduce()
        return done

    def set_level(self, instrument: Instrument, side: int, price: Fraction, size: Fraction) -> None:
        if size:
            self.fill_through(instrument, side, price)
        self.set_size(instrument, side, price, size)

    def set_background(self, instrument: Instrument, wanted: dict[int, dict[Fraction, Fraction]]) -> None:
        for side in (BUY, SELL):
            for price in wanted[side]:
                if side * price == max(side * one for one in wanted[side]):
                    self.fill_through(instrument, side, price)
        for one in instrument.lines:
            if one.order is None and one.price not in wanted[one.side]:
                one.size = ZERO
        for side in (BUY, SELL):
            for price, size in wanted[side].items():
                self.set_size(instrument, side, price, size)

    def fill_through(self, instrument: Instrument, side: int, price: Fraction) -> None:
        """Fill the client orders that a level of the background would cross, at their prices."""
        for entry in instrument.sorted(-side):
            if entry.order is not None and side * (price - entry.price) >= 0:
                self.fill(entry.order, entry.size)

    @staticmethod
    def set_size(instrument: Instrument, side: int, price: Fraction, size: Fraction) -> None:
        here = [one for one in instrument.lines if one.order is None and (one.side, one.price) == (side, price)]
        have = sum((one.size for one in here), ZERO)
        if size > have:
            instrument.lines.append(Entry(side, price, size - have, None))
        for one in reversed(here):
            cut = min(max(have - size, ZERO), one.size)
            one.size -= cut
            have -= cut
        instrument.lines = [one for one in instrument.lines if one.size]

    # the clock

    def second(self, now_s: int, settlement_s: int) -> None:
        for name, window in self.windows.items():
            dated = [one.expiry_s for one in self.listed.values() if one.underlying == name and one.expiry_s]
            if dated and dated[0] - 1800 <= now_s <= dated[0]:
                window.append(self.index[name])
            else:
                window.clear()
        for one in self.listed.values():
            bid, ask, index = one.best(BUY), one.best(SELL), self.index[one.underlying]
            if bid is not None and ask is not None:
                premium = float(((bid + ask) / 2 - index) * 10**8)
                before = premium if one.premium is None else one.premium
                one.premium = before + -math.expm1(-1 / 30) * (premium - before)
            if one.expiry_s is None:
                premium = self.mark(one) - index
                free = Fraction(math.floor(self.dampener * index * 10**8), 10**8)
                one.funding += (max(premium - free, ZERO) + min(premium + free, ZERO)) / DAY_S
        self.check_margins()
        if now_s == settlement_s:
            for one in self.listed.values():
                for account in (*self.accounts, self.house):
                    self.settle(account, one, self.mark(one))
            for account in (*self.accounts, self.house):
                for held in account.holdings.values():
                    held.realised = ZERO
        for one in list(self.listed.values()):
            if one.expiry_s is not None and now_s >= one.expiry_s:
                self.expire(one)

    def check_margins(self) -> None:
        for account in self.accounts:
            equity = self.equity(account)
            if equity < self.required(account):
                self.cancel_all(account, "margin_breach")
            held = sum(abs(account.of(one).size) * self.mark(one) for one in self.instruments.values())
            if equity < held * Fraction(25, 1000):  # which a debt alone is, too
                self.liquidate(account)

    def liquidate(self, account: Account) -> None:
        for name in list(account.holdings):
            instrument, size = self.instruments[name], account.holdings[name].size
            if size and name in self.listed:
                side = SELL if size > 0 else BUY
                order = self.new_order(account, None, instrument, side, None, abs(size), "immediate_or_cancel")
                order.stp_level, order.insert_reason = "disabled", "liquidation"
                self.orders.append(order)
                self.enter(order, "insert", self.collar(instrument, side))
        if account.cash < 0 and not any(held.size for held in account.holdings.values()):
            self.house.cash += account.cash
            account.cash = ZERO

    def settle(self, account: Account, instrument: Instrument, price: Fraction) -> Fraction:
        held = account.of(instrument)
        self.pay_funding(account, instrument)
        gain = held.size * price - held.carried
        account.cash += gain
        held.carried = held.size * price
        return gain

    def expire(self, instrument: Instrument) -> None:
        for order in [one for one in self.orders if one.instrument is instrument and one.gone is None]:
            self.end(order, "cancel", "instrument_deactivated", [])
        window = self.windows[instrument.underlying]
        exact = sum(window, ZERO) / len(window) if window else self.index[instrument.underlying]
        price = Fraction(math.floor(exact * 10**8), 10**8)
        for account in (*self.accounts, self.house):
            held = account.of(instrument)
            gain = self.settle(account, instrument, price)
            held.realised += gain
            size, held.size, held.carried, held.cost = held.size, ZERO, ZERO, ZERO
            if size and account is not self.house:
                side = SELL if size > 0 else BUY
                self.record(
                    account.name, instrument.name, "expiration", side, price, abs(size), None, held, gain, ZERO, ZERO
                )
        del self.listed[instrument.name]
