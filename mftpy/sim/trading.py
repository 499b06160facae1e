"""Insert, amend, cancel: the rules of section 6 around the order book. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from mftpy.sim.accounts import Account, fee_of
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL, Match, OrderBook, Resting
from mftpy.sim.orders import ClientOrder
from mftpy.sim.protocol import (
    BAD_AMOUNT,
    BAD_TIME_IN_FORCE,
    DUPLICATE_ORDER_ID,
    INSUFFICIENT_MARGIN,
    INVALID_REQUEST,
    ORDER_NOT_FOUND,
    REDUCE_ONLY,
    UNKNOWN_INSTRUMENT,
    Refusal,
    choice_of,
    flag_of,
    number_of,
    text_of,
)
from mftpy.sim.sessions import Session

TIMES: Final = ("good_till_cancelled", "immediate_or_cancel")


class Trading:
    """The order book of one instrument, its client orders, one account.

    Attributes
    ----------
    told : list of (ClientOrder, str, list)
        Order updates that the exchange has not yet sent: order, change reason, new fills.
    trade_records : list of dict
        New lines of the trade history, likewise.
    prints : list of (price_ticks, lots, taker_side)
        New public trades, likewise.
    index : Fraction
        Basis of fees and, for now, the mark.
    """

    def __init__(self, instrument: Listed, account: Account, maker_rate: Fraction, taker_rate: Fraction) -> None:
        self.instrument = instrument
        self.account = account
        self.book = OrderBook()
        self.orders: dict[str, ClientOrder] = {}
        self.history: list[dict[str, Any]] = []
        self.closed: list[ClientOrder] = []
        self.told: list[tuple[ClientOrder, str, list[dict[str, Any]]]] = []
        self.trade_records: list[dict[str, Any]] = []
        self.prints: list[tuple[int, int, int]] = []
        self.index = Fraction(0)
        self.unix_s = 0.0
        self._rates = {"maker": maker_rate, "taker": taker_rate}
        self._next_order = 0x001F24B700000001
        self._next_trade = 0x182EF416616CF971

    # what clients ask

    def insert(self, session: Session, params: dict[str, Any], direction: str) -> dict[str, Any]:
        """``private/insert``: returns the order object."""
        side = BUY if direction == "buy" else SELL
        if text_of(params, "instrument_name") != self.instrument.name:
            raise Refusal(UNKNOWN_INSTRUMENT, "unknown instrument")
        order_type = choice_of(params, "order_type", ("limit", "market"), "limit")
        time_in_force = choice_of(params, "time_in_force", TIMES, TIMES[order_type == "market"])
        post_only, reduce_only = flag_of(params, "post_only"), flag_of(params, "reduce_only")
        reject_post_only = flag_of(params, "reject_post_only")
        if (order_type == "market" and time_in_force != TIMES[1]) or (post_only and time_in_force == TIMES[1]):
            raise Refusal(BAD_TIME_IN_FORCE, "invalid time in force")
        price_ticks = None if order_type == "market" else self.instrument.ticks(number_of(params, "price"))
        lots = self.instrument.lots(number_of(params, "amount"))
        if lots < 1:
            raise Refusal(BAD_AMOUNT, "amount is below the minimum")
        number = params.get("client_order_id")
        if number is not None:
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**64:
                raise Refusal(INVALID_REQUEST, "request parsing error: client_order_id must be an unsigned integer")
            if number in session.client_ids:
                raise Refusal(DUPLICATE_ORDER_ID, "duplicate order id")
        if reduce_only:
            room = -side * self.account.position_lots
            if room <= 0:
                raise Refusal(REDUCE_ONLY, "reduce only order would increase the position")
            lots = min(lots, room)
        self._check_margin(side, lots)
        label = params.get("label")
        order = ClientOrder(
            order_id=f"{self._next_order:016X}",
            session=session,
            side=side,
            price_ticks=price_ticks,
            total_lots=lots,
            order_type=order_type,
            time_in_force=time_in_force,
            client_order_id=number,
            label=None if label is None else str(label),
            reduce_only=reduce_only,
            create_time=self.unix_s,
            persistent=session.persistent,
        )
        self._next_order += 1
        if post_only and price_ticks is not None and self.book.crosses(side, price_ticks):
            opposite = self.book.best(-side)
            assert opposite is not None
            order.price_ticks = price_ticks = opposite - side
            if reject_post_only or price_ticks <= 0:
                return self._tell(order, "insert", [], end="immediate_cancel")
        self.orders[order.order_id] = order
        if number is not None:
            session.client_ids[number] = order
        fills, self_trade = self._take(order)
        end = None
        if order.open_lots == 0:
            end = "filled"
        elif self_trade:
            end = "self_trade_prevention"
        elif time_in_force == TIMES[1]:
            end = "immediate_cancel"
        else:
            self._rest(order)
        return self._tell(order, "insert", fills, end=end)

    def amend(self, session: Session, params: dict[str, Any]) -> dict[str, Any]:
        """``private/amend``: `amount` is the new total; at or below what is filled it deletes."""
        order = self._find(session, params)
        if order.price_ticks is None:
            raise Refusal(INVALID_REQUEST, "a market order cannot be amended")
        amount = number_of(params, "amount")
        price = number_of(params, "price")
        price_ticks = self.instrument.ticks(price) if price != 0 or amount != 0 else order.price_ticks
        lots = self.instrument.lots(amount)
        if lots <= order.filled_lots:
            return self._tell(order, "amend", [], end="client_cancel")
        if lots > order.total_lots:
            self._check_margin(order.side, lots - order.total_lots)
        assert order.resting is not None
        if price_ticks == order.price_ticks and lots <= order.total_lots:
            order.total_lots = lots
            self.book.resize(order.resting, order.open_lots)
            return self._tell(order, "amend", [])
        self.book.remove(order.resting)
        order.resting = None
        order.price_ticks, order.total_lots = price_ticks, lots
        fills, self_trade = self._take(order)
        end = None
        if order.open_lots == 0:
            end = "filled"
        elif self_trade:
            end = "self_trade_prevention"
        else:
            self._rest(order)
        return self._tell(order, "amend", fills, end=end)

    def cancel(self, session: Session, params: dict[str, Any]) -> dict[str, Any]:
        """``private/cancel``: returns the order object."""
        return self._tell(self._find(session, params), "cancel", [], end="client_cancel")

    def cancel_where(self, reason: str, session: Session | None = None) -> int:
        """Cancel all orders, or the non-persistent ones of a session; returns how many."""
        chosen = [
            order
            for order in self.orders.values()
            if session is None or (order.session is session and not order.persistent)
        ]
        for order in chosen:
            self._tell(order, "cancel", [], end=reason)
        return len(chosen)

    # what the market does

    def client_orders(self, side: int) -> list[ClientOrder]:
        """Client orders that rest on a side, best first, at a price the earlier first."""
        mine = [order for order in self.orders.values() if order.side == side and order.resting is not None]
        mine.sort(key=lambda order: (-side * (order.price_ticks or 0), order.resting.turn if order.resting else 0))
        return mine

    def fill(self, order: ClientOrder, lots: int) -> None:
        """Fill a resting client order at its price, by the background; prints the trade."""
        assert order.resting is not None
        assert order.price_ticks is not None
        match = Match(order.resting, order.price_ticks, lots)
        trade_id = self._trade_id()
        self.book.apply([match])
        self._fill_maker(match, trade_id)
        self.prints.append((order.price_ticks, lots, -order.side))

    # inside

    def _take(self, order: ClientOrder) -> tuple[list[dict[str, Any]], bool]:
        """Match a taker; returns its fills, and whether it stopped at an order of its own account."""
        plan = self.book.plan(order.side, order.price_ticks, order.open_lots, lambda item: item.owner is None)
        fills = []
        wanted = order.open_lots
        self.book.apply(plan)
        for match in plan:
            trade_id = self._trade_id()
            wanted -= match.lots
            fills.append(self._record(order, trade_id, match.price_ticks, match.lots, "taker"))
            self.prints.append((match.price_ticks, match.lots, order.side))
        blocked = wanted > 0 and (
            self.book.best(-order.side) is not None
            and (order.price_ticks is None or self.book.crosses(order.side, order.price_ticks))
        )
        return fills, blocked

    def _rest(self, order: ClientOrder) -> None:
        assert order.price_ticks is not None
        order.resting = Resting(order.side, order.price_ticks, order.open_lots, order)
        self.book.add(order.resting)

    def _fill_maker(self, match: Match, trade_id: str) -> None:
        order: ClientOrder = match.maker.owner
        fill = self._record(order, trade_id, match.price_ticks, match.lots, "maker")
        if order.open_lots == 0:
            order.resting = None
        self._tell(order, "fill", [fill], end=None if order.open_lots else "filled")

    def _record(self, order: ClientOrder, trade_id: str, price_ticks: int, lots: int, role: str) -> dict[str, Any]:
        order.filled_lots += lots
        instrument = self.instrument
        fee = fee_of(self.index, self._rates[role], lots * instrument.lot)
        self.account.fill(order.side, price_ticks, lots, fee)
        fill = {
            "trade_id": trade_id,
            "price": instrument.price(price_ticks),
            "amount": instrument.amount(lots),
            "time": self.unix_s,
            "maker_taker": role,
            "leg_index": 0,
        }
        order.fills.append(fill)
        record = {
            "trade_type": "normal",
            "order_id": order.order_id,
            "instrument_name": instrument.name,
            "direction": "buy" if order.side == BUY else "sell",
            **fill,
            "position_after": float(self.account.position),
            "session_realised_after": float(self.account.realised),
            "fee": float(fee),
            "index": float(self.index),
            "fee_rate": float(self._rates[role]),
            "fee_basis": float(self.index),
            "funding_mark": 0,
        }
        if order.client_order_id is not None:
            record["client_order_id"] = order.client_order_id
        if order.label is not None:
            record["label"] = order.label
        self.history.append(record)
        self.trade_records.append(record)
        return fill

    def _tell(
        self, order: ClientOrder, change: str, fills: list[dict[str, Any]], *, end: str | None = None
    ) -> dict[str, Any]:
        if end is not None:
            if order.resting is not None:
                self.book.remove(order.resting)
                order.resting = None
            order.delete_reason, order.close_time = end, self.unix_s
            self.orders.pop(order.order_id, None)
            if order.client_order_id is not None and order.session.client_ids.get(order.client_order_id) is order:
                del order.session.client_ids[order.client_order_id]
            self.closed.append(order)
        self.told.append((order, change, fills))
        return order.message(self.instrument, change, fills)

    def _find(self, session: Session, params: dict[str, Any]) -> ClientOrder:
        order_id, number = params.get("order_id"), params.get("client_order_id")
        if (order_id is None) == (number is None):
            raise Refusal(INVALID_REQUEST, "exactly one of order_id and client_order_id is needed")
        found: ClientOrder | None = None
        if order_id is not None:
            found = self.orders.get(str(order_id))
        elif isinstance(number, int):
            found = session.client_ids.get(number)
        if found is None:
            raise Refusal(ORDER_NOT_FOUND, "order not found")
        return found

    def _check_margin(self, side: int, lots: int) -> None:
        worst = max(
            abs(side * self.account.position_lots + self._open_lots(side) + lots), abs(self.account.position_lots)
        )
        equity = self.account.cash + self.account.unrealised(self.index)
        if worst * self.instrument.lot * self.index / 20 > equity:
            raise Refusal(INSUFFICIENT_MARGIN, "insufficient margin")

    def _open_lots(self, side: int) -> int:
        return sum(order.open_lots for order in self.orders.values() if order.side == side)

    def _trade_id(self) -> str:
        self._next_trade += 1
        return f"{self._next_trade:032X}"
