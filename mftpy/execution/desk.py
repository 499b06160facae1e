"""The order desk: own orders, position and money of one session, from messages and targets. No socket, no clock.

It is told what the exchange says (`on_order`, `on_trade`, `on_refused`) and what should rest (`on_target`), and names
the messages to send (`actions`). Everything is counted; nothing is sent that the limits do not allow.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from mftcore.errors import RecordError
from mftcore.orders import FILLS_REMEMBERED, Order, OrderManager, OrderState
from mftpy.execution.budget import MessageRate, TokenBucket
from mftpy.execution.limits import Limits
from mftpy.execution.position import Position
from mftpy.execution.slots import Action, Kind, QuoteSlots, Slot
from mftpy.links import Instrument
from mftpy.records import OWN_ORDERS, SLOTS_PER_SIDE, Side
from mftpy.venue.error_codes import ORDER_NOT_FOUND, THROTTLED
from mftpy.venue.messages import OrderStatus, Trade

CANCELS_PER_S: Final = 1000.0
REFUSALS_REMEMBERED_NS: Final = 500_000_000
DOUBT_AFTER_NS: Final = 2_000_000_000
ASK_AFTER_NS: Final = 300_000_000


class Desk:
    """Own orders, position and money of one session.

    Parameters
    ----------
    instrument : Instrument
    limits : Limits
    threshold_ticks : int
        See `QuoteSlots`.
    now_ns : int
        CLOCK_MONOTONIC; the desk never reads a clock itself.

    Attributes
    ----------
    orders : OrderManager
    slots : QuoteSlots
    position : Position
    counts : Counter
        ``inserted``, ``amended``, ``cancelled`` (orders that ended unfilled by a cancel), ``rejected``, ``throttled``,
        ``refused_by_limits``, ``taker_fills``, ``foreign_fills``.
    index_price : float
        Newest index that execution itself received; NaN until then, and nothing is inserted without it.
    held_since_ns : int
        Since when inserts wait for a target that knows of the last fill; 0 while none does.
    new_fills : list of dict
        Fills since the caller last took them, for the event ring.
    """

    def __init__(self, instrument: Instrument, limits: Limits, threshold_ticks: int, now_ns: int) -> None:
        self.instrument = instrument
        self.limits = limits
        self.orders = OrderManager()
        self.slots = QuoteSlots(self.orders, threshold_ticks)
        self.position = Position(instrument.tick_size, instrument.lot_size)
        self.counts: Counter[str] = Counter()
        self.index_price = math.nan
        self.fair = math.nan
        self.new_fills: list[dict[str, Any]] = []
        self.rate = MessageRate()
        self.matching = TokenBucket(limits.message_rate_per_s, now_ns)
        self.cancels = TokenBucket(CANCELS_PER_S, now_ns)
        self.net_bid_ticks = 0
        self.net_ask_ticks = 0
        self.last_event_ns = now_ns
        self.held_since_ns = 0
        self._fills_known = 0
        self._next_client_order_id = 1
        self._awaiting_fee: set[tuple[str, str, int]] = set()
        self._fees_seen: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._pause_until_ns = dict.fromkeys(Side, 0)
        self._would_take: dict[Side, tuple[int, int, int]] = {}  # price, the others' best then, until when
        self._ended: set[int] = set()
        self._orphans: dict[int, int] = {}  # client order id: when its last cancel was sent

    def start_with(self, lots: int, mark_price: float) -> None:
        """Begin with a position that the account already holds, valued at the mark."""
        instrument = self.instrument
        self.position = Position(instrument.tick_size, instrument.lot_size, start_lots=lots, start_price=mark_price)

    # what the exchange says

    def on_order(
        self, item: OrderStatus, price_ticks: int, total_lots: int, filled_lots: int, now_ns: int, *, asked_ns: int = 0
    ) -> bool:
        """Apply an order object of this session, from a reply, a notice or a list; False when the order is not ours.

        The caller has converted price and sizes, and says when the list was asked for. Fills are applied by `on_fill`.
        """
        self.last_event_ns = now_ns
        number = item.client_order_id or 0
        known = self.orders.get(number)
        had_ended = known is not None and known.state.terminal
        order = self.orders.on_order(
            number,
            item.order_id,
            open_=item.is_open,
            filled=item.status == "filled",
            price_ticks=price_ticks,
            total_lots=total_lots,
            filled_lots=filled_lots,
            now_ns=now_ns,
            asked_ns=asked_ns,
        )
        if order is None:
            return False
        if had_ended and not order.state.terminal:
            self._orphans.setdefault(order.client_order_id, 0)  # its slot may hold another by now: it must go
        if order.state is OrderState.CANCELLED and order.client_order_id not in self._ended:
            self._end(order)
            if item.delete_reason == "immediate_cancel" and item.change_reason == "insert":
                self.counts["rejected"] += 1  # post-only: it would have taken
                until_ns = now_ns + REFUSALS_REMEMBERED_NS
                self._would_take[Side(order.side)] = order.price_ticks, self._opposite_ticks(order.side), until_ns
            else:
                self.counts["cancelled"] += 1
        return True

    def on_fill(
        self, item: OrderStatus, trade_id: str, leg_index: int, price_ticks: int, lots: int, *, maker: bool,
        exchange_time_ns: int, now_ns: int,
    ) -> None:  # fmt: skip
        """Apply one fill of one of our orders, once."""
        if not self.orders.on_fill(item.client_order_id or 0, item.order_id, trade_id, leg_index, lots):
            return
        key = (trade_id, item.order_id, leg_index)
        if key not in self._fees_seen:
            self._awaiting_fee.add(key)
        side = Side.BUY if item.direction == "buy" else Side.SELL
        self.position.on_fill(side, price_ticks, lots, self.fair)
        if not maker:
            self.counts["taker_fills"] += 1
            self.slots.amend_allowed = False  # an amend crossed: from now on cancel and insert post-only
        self.new_fills.append(
            {
                "side": int(side),
                "price_ticks": price_ticks,
                "size_lots": lots,
                "position_lots": self.position.lots,
                "fair": self.fair,
                "maker": int(maker),
                "exchange_time_ns": exchange_time_ns,
                "receive_ns": now_ns,
            }
        )

    def on_trade(self, item: Trade) -> None:
        """Take the fee of one of our fills from the trade history, once."""
        key = (item.trade_id or "", item.order_id or "", item.leg_index or 0)
        if key in self._fees_seen:
            return
        if key not in self._awaiting_fee and not self._knows(key[1]):
            self.counts["foreign_fills"] += 1
            return
        self._awaiting_fee.discard(key)
        self._fees_seen[key] = None
        while len(self._fees_seen) > FILLS_REMEMBERED:
            self._fees_seen.popitem(last=False)
        self.position.fees += item.fee or 0.0

    def _knows(self, order_id: str) -> bool:
        try:
            return self.orders.by_order_id(order_id) is not None
        except RecordError:  # longer than any id that an order of ours can have: whatever others do must not end us
            return False

    @property
    def fees_missing(self) -> int:
        """Fills whose fee the trade history has not yet told."""
        return len(self._awaiting_fee)

    def on_refused(self, kind: Kind, client_order_id: int, code: int, now_ns: int) -> None:
        """Apply an error answer to one of our order messages."""
        gone = code == ORDER_NOT_FOUND
        if code == THROTTLED:
            self.counts["throttled"] += 1
            (self.cancels if kind is Kind.CANCEL else self.matching).empty(now_ns)
        elif not gone:
            self.counts["rejected"] += 1
        order = self.orders.get(client_order_id)
        if kind is Kind.INSERT:
            self.orders.on_insert_refused(client_order_id, now_ns)
            if order is not None and code != THROTTLED:
                # the same insert would be refused again: wait before the next try on this side
                self._pause_until_ns[Side(order.side)] = now_ns + REFUSALS_REMEMBERED_NS
        elif kind is Kind.AMEND:
            self.orders.on_amend_refused(client_order_id, now_ns, gone=gone)
            if order is not None and code != THROTTLED and not gone:
                self._pause_until_ns[Side(order.side)] = now_ns + REFUSALS_REMEMBERED_NS  # likewise
        else:
            self.orders.on_cancel_refused(client_order_id, now_ns, gone=gone)

    # what is in doubt

    def doubt_unanswered(self, now_ns: int) -> bool:
        """Put orders whose message was not answered in time in doubt; True when the exchange must be asked."""
        ask = False
        for order in self.orders:
            age_ns = now_ns - order.changed_ns
            if order.state is OrderState.UNKNOWN:
                ask = ask or age_ns > ASK_AFTER_NS
            elif order.state is not OrderState.LIVE and age_ns > DOUBT_AFTER_NS:
                self.orders.doubt(order.client_order_id, now_ns)
        return ask

    def settle_doubts(self, open_order_ids: set[str], asked_ns: int, now_ns: int) -> None:
        """Apply a list of open orders, asked for at `asked_ns`: what is in doubt and not in it is gone in the end.

        An order that is in the list is told by `on_order`, with the same `asked_ns`.
        """
        for order in self.orders:
            if order.state is OrderState.UNKNOWN and order.order_id not in open_order_ids:
                self.orders.on_not_open(order.client_order_id, asked_ns, now_ns)

    # what should rest

    def on_target(self, target: Any) -> None:
        """Take over a `records.TARGET` row: the newest wish for every slot replaces the older."""
        self.fair = float(target["fair"]) if target["fair"] > 0 else math.nan
        self.net_bid_ticks, self.net_ask_ticks = int(target["net_bid_ticks"]), int(target["net_ask_ticks"])
        self._fills_known = int(target["account_fills"])
        self.slots.use_threshold(int(target["threshold_ticks"]))
        self.slots.held[Side.BUY] = bool(target["hold_bids"])
        self.slots.held[Side.SELL] = bool(target["hold_asks"])
        for side, name in ((Side.BUY, "bid"), (Side.SELL, "ask")):
            count = int(target[f"n_{name}s"])
            ticks, lots = target[f"{name}_ticks"], target[f"{name}_lots"]
            for level in range(SLOTS_PER_SIDE):
                self.slots.want(side, level, int(ticks[level]), int(lots[level]) if level < count else 0)

    def actions(self, now_ns: int) -> Iterator[Action]:
        """Yield the messages to send now, in order of urgency: cancels first.

        Each is noted as sent when it is yielded; the caller sends it and reports what happens to it. Nothing is
        inserted while the target does not know of the last fill: it was made for another position.
        """
        yield from self._cancel_orphans(now_ns)  # before planning: an orphan may still stand in a slot, and be amended
        planned = [
            (slot, action)
            for slot in self.slots
            if (action := self.slots.next_action(slot, self.net_bid_ticks, self.net_ask_ticks)) is not None
        ]
        planned.sort(key=lambda pair: pair[1].kind is not Kind.CANCEL)
        planned = self._without_uninformed_inserts(planned, now_ns)
        for slot, action in planned:
            if action.kind is Kind.CANCEL:
                yield from self._cancel(action, now_ns)
            elif not self._allowed(action, now_ns):
                order = self.slots.order_of(slot)
                if order is not None and (self.slots.is_stale(slot, order) or self._must_shrink(slot, order)):
                    yield from self._cancel(self.slots.cancel(slot, order), now_ns)
            elif not self.matching.take(now_ns):
                self.counts["throttled"] += not slot.throttled  # once for each message held back, not for each look
                slot.throttled = True
                order = self.slots.order_of(slot)
                if order is not None and self.slots.is_stale(slot, order):
                    yield from self._cancel(self.slots.cancel(slot, order), now_ns)
            else:
                yield self._send(slot, action, now_ns)

    def _without_uninformed_inserts(self, planned: list[tuple[Slot, Action]], now_ns: int) -> list[tuple[Slot, Action]]:
        if not self.uninformed:
            self.held_since_ns = 0
            return planned
        informed = [pair for pair in planned if pair[1].kind is not Kind.INSERT]
        if len(informed) == len(planned):
            self.held_since_ns = 0
        elif not self.held_since_ns:
            self.held_since_ns = now_ns
        return informed

    @property
    def uninformed(self) -> bool:
        """Whether the target does not know of the last fill: nothing is inserted by it."""
        return self._fills_known < self.position.fills

    def paused(self, side: int, price_ticks: int, now_ns: int) -> bool:
        """Whether a side waits because the exchange has just refused its last message, or an order at this price.

        One that would have taken would do so again, as near or nearer, until the book tells something else.
        """
        if now_ns < self._pause_until_ns[Side(side)]:
            return True
        refused_ticks, opposite_ticks, until_ns = self._would_take.get(Side(side), (0, 0, 0))
        as_near = (price_ticks - refused_ticks) * side >= 0
        return now_ns < until_ns and as_near and opposite_ticks == self._opposite_ticks(side)

    def _opposite_ticks(self, side: int) -> int:
        return self.net_ask_ticks if side == Side.BUY else self.net_bid_ticks

    def cancels_for_all(self, now_ns: int) -> Iterator[Action]:
        """Empty all wishes and yield a cancel for every order that may rest."""
        self.slots.want_nothing()
        self.held_since_ns = 0  # nothing is wanted, so nothing waits
        yield from self._cancel_orphans(now_ns)
        for slot in self.slots:
            action = self.slots.next_action(slot, self.net_bid_ticks, self.net_ask_ticks)
            if action is not None:
                yield from self._cancel(action, now_ns)

    def _send(self, slot: Slot, action: Action, now_ns: int) -> Action:
        self.rate.add(now_ns)
        slot.throttled = False
        if action.kind is Kind.AMEND:
            self.orders.amend(action.client_order_id, action.price_ticks, action.total_lots, now_ns)
            self.counts["amended"] += 1
            return action
        client_order_id = self._next_client_order_id
        self._next_client_order_id += 1
        self.orders.insert(client_order_id, action.side, action.price_ticks, action.total_lots, now_ns)
        slot.client_order_id = client_order_id
        self.counts["inserted"] += 1
        return action._replace(client_order_id=client_order_id)

    def _cancel(self, action: Action, now_ns: int) -> Iterator[Action]:
        if not self.cancels.take(now_ns):
            self.counts["throttled"] += 1
            return
        self.rate.add(now_ns)
        self.orders.cancel(action.client_order_id, now_ns)
        yield action

    def _cancel_orphans(self, now_ns: int) -> Iterator[Action]:
        """Cancel what was believed gone and rests after all; again while nothing comes of it."""
        for number, sent_ns in list(self._orphans.items()):
            order = self.orders.get(number)
            if order is None or order.state.terminal:
                del self._orphans[number]
            elif now_ns - sent_ns > DOUBT_AFTER_NS or not sent_ns:
                for action in self._cancel(
                    Action(Kind.CANCEL, order.side, 0, number, order.price_ticks, order.total_lots), now_ns
                ):
                    self._orphans[number] = now_ns
                    yield action

    def _allowed(self, action: Action, now_ns: int) -> bool:
        """Check size, price and worst case; a refusal is counted."""
        if self.paused(action.side, action.price_ticks, now_ns):
            return False
        order = self.orders.get(action.client_order_id) if action.kind is Kind.AMEND else None
        already = order.exposed_lots if order is not None else 0
        adds = action.total_lots - (order.done_lots if order is not None else 0)
        # what only the figure or only the fills say is not taken off: it may not be in the position yet
        sure = min(order.filled_lots, order.fill_sum_lots) if order is not None else 0
        price = action.price_ticks * self.instrument.tick_size
        worst = self.worst_case(action.side) - already + max(action.total_lots - sure, already)
        # written so that a missing index (NaN) refuses
        near_index = abs(price - self.index_price) <= self.limits.price_band * self.index_price
        shrinks = action.side * self.position.lots < 0 and worst <= 0
        if (
            near_index
            and self.instrument.min_order_lots <= adds <= self.limits.max_order_lots
            and (worst <= self.limits.max_position_lots or shrinks)
        ):
            return True
        self.counts["refused_by_limits"] += 1
        return False

    def _must_shrink(self, slot: Slot, order: Order) -> bool:
        """Whether an order is larger than wanted where all that rests leads beyond the limit: an amend that makes it
        smaller counts as what it was until it is answered, and is refused."""
        smaller = slot.want_lots < order.total_lots - order.done_lots
        return smaller and self.worst_case(slot.side) > self.limits.max_position_lots

    def worst_case(self, side: int) -> int:
        """Lots that the position would reach, in the direction of `side`, if every order of that side filled."""
        return side * self.position.lots + self.orders.exposure(side)

    def outside(self, side: int) -> int:
        """Lots of that worst case that no slot holds: orders believed gone that rest after all, fills yet to come."""
        in_slots = 0
        for slot in self.slots:
            if slot.side == side and (order := self.slots.order_of(slot)) is not None:
                in_slots += order.exposed_lots - order.missing_lots
        return self.orders.exposure(side) - in_slots

    def _end(self, order: Order) -> None:
        self._ended.add(order.client_order_id)
        if len(self._ended) > 10_000:
            self._ended = {number for number in self._ended if number > order.client_order_id - 5_000}

    # what the others read

    def write_account(self, account: Any, *, ready: bool) -> None:
        """Fill a `records.ACCOUNT` row."""
        position = self.position
        account["ready"] = ready
        account["position_lots"] = position.lots
        account["average_price"] = position.average_price
        account["cash"] = position.traded_cash - position.fees + position.funding
        account["fees"] = position.fees
        account["funding"] = position.funding
        account["edge"] = position.edge
        account["traded_cash"] = position.traded_cash
        account["start_value"] = position.start_value
        account["worst_long_lots"] = self.worst_case(Side.BUY)
        account["worst_short_lots"] = self.worst_case(Side.SELL)
        account["outside_long_lots"] = self.outside(Side.BUY)
        account["outside_short_lots"] = self.outside(Side.SELL)
        account["fills"] = position.fills
        account["last_event_ns"] = self.last_event_ns
        count = 0
        for order in self.orders:
            for ticks, lots in own_prices(order):
                if count < OWN_ORDERS:
                    account["own_side"][count] = order.side
                    account["own_ticks"][count] = ticks
                    account["own_lots"][count] = lots
                    count += 1
        account["n_own"] = count


def own_prices(order: Order) -> list[tuple[int, int]]:
    """Return the prices and lots at which an order may be part of the public book at this moment."""
    lots = order.exposed_lots
    if not lots:
        return []
    if order.pending_price_ticks != order.price_ticks:
        return [(order.price_ticks, lots), (order.pending_price_ticks, lots)]
    return [(order.price_ticks, lots)]
