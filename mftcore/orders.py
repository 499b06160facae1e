"""Orders of one session and their state machine.

Knows ids, sides, prices in ticks and sizes in lots; no venue and no socket. The calls are the final interface; the
storage is a plain dictionary.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from mftcore.errors import MftError

FILLS_REMEMBERED: Final = 65_536
CLOSED_REMEMBERED: Final = 4_096


class OrderState(IntEnum):
    """Where an order is. Only FILLED, CANCELLED and REJECTED are final."""

    INSERTING = 0
    LIVE = 1
    AMENDING = 2
    CANCELLING = 3
    UNKNOWN = 4
    FILLED = 5
    CANCELLED = 6
    REJECTED = 7

    @property
    def terminal(self) -> bool:
        """True when the order can never trade again."""
        return self >= OrderState.FILLED


class OrderTableFull(MftError):  # noqa: N818 (the condition is the name)
    """All slots hold live orders; nothing was added. Cancel some, or create the manager with more capacity."""


class UnknownOrder(MftError, KeyError):  # noqa: N818
    """No order of that id is known; nothing was changed."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(slots=True)
class Order:
    """One order as we know it.

    Attributes
    ----------
    client_order_id : int
        Ours, 64-bit, unique among the orders that this manager remembers.
    order_id : str
        The exchange's; empty until a reply or a notice brings it.
    side : int
        +1 buys, -1 sells.
    price_ticks, total_lots : int
        As last acknowledged (as sent, until then). `total_lots` includes what has been filled.
    pending_price_ticks, pending_total_lots : int
        What an amend in flight asks for; equal to the acknowledged values when none is.
    filled_lots : int
        Cumulative, as told by the exchange; never decreases.
    fill_sum_lots : int
        Sum of the distinct fills seen; equals `filled_lots` when nothing is missing.
    state : OrderState
    created_ns, changed_ns : int
        When it was sent, and when its state last changed, by the caller's clock.
    """

    client_order_id: int
    side: int
    price_ticks: int
    total_lots: int
    pending_price_ticks: int
    pending_total_lots: int
    created_ns: int
    changed_ns: int
    order_id: str = ""
    filled_lots: int = 0
    fill_sum_lots: int = 0
    state: OrderState = OrderState.INSERTING

    @property
    def done_lots(self) -> int:
        """Lots that have certainly traded: the larger of the cumulative figure and the sum of the fills."""
        return max(self.filled_lots, self.fill_sum_lots)

    @property
    def exposed_lots(self) -> int:
        """Lots that may still trade: of the sizes in flight the larger, less what has traded; 0 when final."""
        if self.state.terminal:
            return 0
        return max(max(self.total_lots, self.pending_total_lots) - self.done_lots, 0)


class OrderManager:
    """The orders of one session, their legal transitions, and what they may still cost.

    Messages about an order may arrive in any order, twice or not at all: a final state is never left, the cumulative
    filled size never decreases, a fill counts once. What should not happen (a fill beyond the order's size, a message
    about an order that was never sent) is counted in a public counter, never applied silently.

    Parameters
    ----------
    capacity : int
        Most orders that may be live at once.

    Attributes
    ----------
    illegal : int
        Messages that asked for a transition which does not exist.
    unknown : int
        Messages about orders that this manager never sent.
    duplicate_fills : int
        Fills that had been counted before.
    overfills : int
        Fills beyond the size of their order; the position they bring is real all the same.
    """

    def __init__(self, capacity: int = 1024) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._capacity = capacity
        self._live: dict[int, Order] = {}
        self._closed: OrderedDict[int, Order] = OrderedDict()
        self._by_order_id: dict[str, Order] = {}
        self._fills: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self.illegal = 0
        self.unknown = 0
        self.duplicate_fills = 0
        self.overfills = 0

    # what we do

    def insert(self, client_order_id: int, side: int, price_ticks: int, lots: int, now_ns: int) -> Order:
        """Note an order that is about to be sent.

        Raises
        ------
        ValueError
            The id is in use, the side is neither +1 nor -1, or price or size is not positive.
        OrderTableFull
            `capacity` orders are live.
        """
        if side not in (1, -1):
            raise ValueError(f"side must be +1 (buy) or -1 (sell), not {side}")
        if lots <= 0 or price_ticks <= 0:
            raise ValueError(f"price and size must be positive, not {price_ticks} ticks and {lots} lots")
        if client_order_id in self._live or client_order_id in self._closed:
            raise ValueError(f"client order id {client_order_id} is in use; ids count upwards")
        if len(self._live) >= self._capacity:
            raise OrderTableFull(f"{self._capacity} orders are live; cancel some before inserting more")
        order = Order(client_order_id, side, price_ticks, lots, price_ticks, lots, now_ns, now_ns)
        self._live[client_order_id] = order
        return order

    def amend(self, client_order_id: int, price_ticks: int, total_lots: int, now_ns: int) -> None:
        """Note an amend that is about to be sent; legal from LIVE only.

        Raises
        ------
        UnknownOrder
            No live order has this id.
        ValueError
            The order is not LIVE, or price or size is not positive.
        """
        order = self._require(client_order_id)
        if order.state is not OrderState.LIVE:
            raise ValueError(f"order {client_order_id} is {order.state.name}; only a LIVE order can be amended")
        if total_lots <= 0 or price_ticks <= 0:
            raise ValueError(f"price and size must be positive, not {price_ticks} ticks and {total_lots} lots")
        order.pending_price_ticks = price_ticks
        order.pending_total_lots = total_lots
        self._enter(order, OrderState.AMENDING, now_ns)

    def cancel(self, client_order_id: int, now_ns: int) -> None:
        """Note a cancel that is about to be sent; legal from every state that is not final.

        Raises
        ------
        UnknownOrder
            No live order has this id.
        """
        self._enter(self._require(client_order_id), OrderState.CANCELLING, now_ns)

    def doubt(self, client_order_id: int, now_ns: int) -> None:
        """Mark an order whose fate is not known; it keeps its exposure until a message settles it."""
        self._enter(self._require(client_order_id), OrderState.UNKNOWN, now_ns)

    # what the exchange says

    def on_order(
        self,
        client_order_id: int,
        order_id: str,
        *,
        open_: bool,
        filled: bool,
        price_ticks: int,
        total_lots: int,
        filled_lots: int,
        now_ns: int,
    ) -> Order | None:
        """Apply what a reply or a notice says about an order, whichever comes first and however often.

        Parameters
        ----------
        open_ : bool
            The exchange calls it open or partially filled.
        filled : bool
            The exchange calls it filled; neither flag means cancelled.
        price_ticks, total_lots, filled_lots : int
            As told; `filled_lots` is cumulative.

        Returns
        -------
        Order or None
            The order, or None when this manager never sent it (counted in `unknown`).
        """
        order = self._live.get(client_order_id) or self._closed.get(client_order_id)
        if order is None or (order.order_id and order_id and order.order_id != order_id):
            self.unknown += 1
            return None
        if order_id and not order.order_id:
            order.order_id = order_id
            self._by_order_id[order_id] = order
        order.filled_lots = max(order.filled_lots, filled_lots)
        if order.state.terminal:
            return order  # a late or repeated message: the final state stays
        if not open_:
            order.total_lots = total_lots
            self._close(order, OrderState.FILLED if filled else OrderState.CANCELLED, now_ns)
            return order
        if order.state is OrderState.AMENDING:
            if (price_ticks, total_lots) == (order.pending_price_ticks, order.pending_total_lots):
                self._acknowledge(order, price_ticks, total_lots)
                self._enter(order, OrderState.LIVE, now_ns)
            return order  # a notice from before the amend: still in flight
        self._acknowledge(order, price_ticks, total_lots)
        if order.state is not OrderState.CANCELLING:
            self._enter(order, OrderState.LIVE, now_ns)
        return order

    def on_amended(self, client_order_id: int, price_ticks: int, total_lots: int, now_ns: int) -> None:
        """Apply the answer to an amend, which may carry another price than was asked for."""
        order = self._live.get(client_order_id)
        if order is None:
            return
        self._acknowledge(order, price_ticks, total_lots)
        if order.state is OrderState.AMENDING:
            self._enter(order, OrderState.LIVE, now_ns)

    def on_insert_refused(self, client_order_id: int, now_ns: int) -> None:
        """Apply an error answer to an insert: the order never existed."""
        order = self._live.get(client_order_id)
        if order is None:
            return
        if order.order_id:
            self.illegal += 1  # told earlier that it rests: the refusal contradicts it
            self._enter(order, OrderState.UNKNOWN, now_ns)
            return
        self._close(order, OrderState.REJECTED, now_ns)

    def on_amend_refused(self, client_order_id: int, now_ns: int, *, gone: bool) -> None:
        """Apply an error answer to an amend: the old order rests as it was, or is `gone` and its end not yet told."""
        order = self._live.get(client_order_id)
        if order is None:
            return
        order.pending_price_ticks, order.pending_total_lots = order.price_ticks, order.total_lots
        if gone:
            self._enter(order, OrderState.UNKNOWN, now_ns)
        elif order.state is OrderState.AMENDING:
            self._enter(order, OrderState.LIVE, now_ns)

    def on_cancel_refused(self, client_order_id: int, now_ns: int, *, gone: bool) -> None:
        """Apply an error answer to a cancel. "Not found" does not prove "not filled": the order is in doubt."""
        order = self._live.get(client_order_id)
        if order is not None:
            self._enter(order, OrderState.UNKNOWN if gone else OrderState.LIVE, now_ns)

    def on_not_open(self, client_order_id: int, now_ns: int) -> None:
        """Apply the proof that an order does not rest: a list of open orders, asked for after it was in doubt."""
        order = self._live.get(client_order_id)
        if order is not None:
            self._close(order, OrderState.CANCELLED, now_ns)

    def on_fill(self, client_order_id: int, order_id: str, trade_id: str, leg_index: int, lots: int) -> bool:
        """Count a fill once; True when it is new.

        The key is (trade id, order id, leg): a trade with ourselves has one trade id on two orders.
        """
        key = (trade_id, order_id, leg_index)
        if key in self._fills:
            self.duplicate_fills += 1
            return False
        self._fills[key] = None
        while len(self._fills) > FILLS_REMEMBERED:
            self._fills.popitem(last=False)
        order = self._live.get(client_order_id) or self._closed.get(client_order_id)
        if order is None:
            self.unknown += 1
        else:
            order.fill_sum_lots += lots
            if order.fill_sum_lots > max(order.total_lots, order.pending_total_lots):
                self.overfills += 1
        return True

    # what is known

    def get(self, client_order_id: int) -> Order | None:
        """Return the order of this id, live or recently closed, or None."""
        return self._live.get(client_order_id) or self._closed.get(client_order_id)

    def by_order_id(self, order_id: str) -> Order | None:
        """Return the order that the exchange calls `order_id`, or None."""
        return self._by_order_id.get(order_id)

    def __iter__(self) -> Iterator[Order]:
        """All orders that are not final, oldest first."""
        return iter(list(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def exposure(self, side: int) -> int:
        """Lots that may still trade on one side: live, in flight and in doubt."""
        return sum(order.exposed_lots for order in self._live.values() if order.side == side)

    # inside

    def _require(self, client_order_id: int) -> Order:
        order = self._live.get(client_order_id)
        if order is None:
            raise UnknownOrder(f"no live order has the client order id {client_order_id}")
        return order

    @staticmethod
    def _enter(order: Order, state: OrderState, now_ns: int) -> None:
        order.state = state
        order.changed_ns = now_ns

    @staticmethod
    def _acknowledge(order: Order, price_ticks: int, total_lots: int) -> None:
        order.price_ticks = order.pending_price_ticks = price_ticks
        order.total_lots = order.pending_total_lots = total_lots

    def _close(self, order: Order, state: OrderState, now_ns: int) -> None:
        self._enter(order, state, now_ns)
        self._live.pop(order.client_order_id, None)
        self._closed[order.client_order_id] = order
        while len(self._closed) > CLOSED_REMEMBERED:
            _, old = self._closed.popitem(last=False)
            self._by_order_id.pop(old.order_id, None)
