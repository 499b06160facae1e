"""`OrderManager`: lifetime, checks, words; the algorithms are ``include/mftcore/orders.h`` and ``order_state.h``."""

from enum import IntEnum

cimport cython
from cpython.long cimport PyLong_CheckExact
from cpython.unicode cimport PyUnicode_DecodeUTF8

from mftcore.segment cimport MFT_E_ARGUMENT, MFT_E_EXISTS, MFT_FULL, MFT_OK

from mftcore.endpoint import whole_number
from mftcore.errors import OrderTableFull, RecordError, UnknownOrder

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL

FILLS_REMEMBERED = 65_536
CLOSED_REMEMBERED = 4_096
GRACE_NS = 1_000_000_000
cdef int64_t grace_ns = GRACE_NS


class OrderState(IntEnum):
    """Where an order is. Only FILLED, CANCELLED and REJECTED are final."""

    INSERTING = MFT_ORDER_INSERTING
    LIVE = MFT_ORDER_LIVE
    AMENDING = MFT_ORDER_AMENDING
    CANCELLING = MFT_ORDER_CANCELLING
    UNKNOWN = MFT_ORDER_UNKNOWN
    FILLED = MFT_ORDER_FILLED
    CANCELLED = MFT_ORDER_CANCELLED
    REJECTED = MFT_ORDER_REJECTED

    @property
    def terminal(self):
        """True when the order can never trade again."""
        return self >= MFT_ORDER_FILLED


cdef tuple STATES = tuple(OrderState)


cdef uint64_t client_id_of(object value) except? 0:
    if PyLong_CheckExact(value):
        try:
            return value
        except OverflowError:
            pass
    return whole_number(value, 0, 0xFFFFFFFFFFFFFFFF, "a client order id")


cdef int64_t number_of(object value, str what) except? -1:
    if PyLong_CheckExact(value):
        try:
            return value
        except OverflowError:
            pass
    return whole_number(value, -0x8000000000000000, 0x7FFFFFFFFFFFFFFF, what)


cdef int set_id(mft_id_t *id, str text, str what) except -1:
    cdef Py_ssize_t length
    cdef const char *bytes
    try:
        bytes = PyUnicode_AsUTF8AndSize(text, &length)
    except UnicodeEncodeError as error:
        raise RecordError(f"{what} cannot be written in UTF-8: {error}") from None
    if mft_id_set(id, bytes, length) != MFT_OK:
        raise RecordError(
            f"{what} of {length} bytes is longer than {MFT_ID_LONGEST}, so it cannot be kept whole: {text[:60]!r}"
        )
    return 0


cdef inline mft_order_event_t event_of(uint32_t kind, int64_t price_ticks, int64_t total_lots, int64_t filled_lots):
    cdef mft_order_event_t event
    event.kind, event.listed = kind, 0
    event.price_ticks, event.total_lots, event.filled_lots = price_ticks, total_lots, filled_lots
    return event


cdef object senseless(price_ticks, lots):
    return RecordError(
        f"prices are below 2^53 ticks in magnitude, sizes positive (those that are told, not negative) and below 2^40 "
        f"lots, not {price_ticks} ticks and {lots} lots"
    )


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Order:
    """One order of an `OrderManager`, as it is now: a view onto the manager's slot, from `insert`, `get` and the like.

    It shows each change at once and stays valid while the order is remembered: while it lives, and until 4,096 others
    have ended after it. Every attribute but `client_order_id` then raises `UnknownOrder`; it never shows another order.
    Two views of one order are equal.

    Attributes
    ----------
    client_order_id : int
        Ours, 64-bit.
    order_id : str
        The exchange's; empty until a message brings it.
    side : int
        +1 buys, -1 sells.
    price_ticks, total_lots : int
        As last acknowledged (as sent, until then). `total_lots` includes what has been filled.
    pending_price_ticks, pending_total_lots : int
        What an amend in flight asks for; equal to the acknowledged values when none is.
    most_lots : int
        The largest total that the exchange may hold now or come to hold: of those in flight the largest.
    filled_lots : int
        Cumulative, as told by the exchange; never decreases.
    fill_sum_lots : int
        Sum of the distinct fills seen; equals `filled_lots` when nothing is missing.
    done_lots : int
        Lots that have certainly traded: the larger of the two.
    missing_lots : int
        Lots told as filled whose fills have not been seen.
    exposed_lots : int
        By how much `fill_sum_lots` may still grow: `most_lots` less what figure and fills both know; of an order that
        has ended, `missing_lots`.
    state : OrderState
    created_ns, changed_ns : int
        When it was sent; when a message of ours, an answer or a change of state came last. By the caller's clock.
    """

    cdef mft_order_t *order(self) except NULL:
        if self.slot == NULL:
            raise UnknownOrder("an Order comes from an OrderManager; this one was made by hand and stands for none")
        if self.slot.serial != self.serial:
            raise UnknownOrder(
                f"order {self.client_order_id} has been forgotten: more than {CLOSED_REMEMBERED} orders have ended "
                "after it; keep what you need of an order, not the Order"
            )
        return self.slot

    @property
    def order_id(self):
        cdef mft_order_t *o = self.order()
        return PyUnicode_DecodeUTF8(<const char *>&o.order_id, mft_id_length(&o.order_id), NULL)

    @property
    def side(self):
        return self.order().side

    @property
    def price_ticks(self):
        return self.order().facts.price_ticks

    @property
    def total_lots(self):
        return self.order().facts.total_lots

    @property
    def pending_price_ticks(self):
        return self.order().facts.asked_price_ticks

    @property
    def pending_total_lots(self):
        return self.order().facts.asked_total_lots

    @property
    def most_lots(self):
        return self.order().facts.most_lots

    @property
    def filled_lots(self):
        return self.order().facts.filled_lots

    @property
    def fill_sum_lots(self):
        return self.order().facts.fill_sum_lots

    @property
    def done_lots(self):
        return mft_order_done(&self.order().facts)

    @property
    def missing_lots(self):
        return mft_order_missing(&self.order().facts)

    @property
    def exposed_lots(self):
        return mft_order_exposure(&self.order().facts)

    @property
    def state(self):
        return <object>STATES[self.order().facts.state]

    @property
    def created_ns(self):
        return self.order().created_ns

    @property
    def changed_ns(self):
        return self.order().changed_ns

    def __eq__(self, other):
        if not isinstance(other, Order):
            return NotImplemented
        return self.slot == (<Order>other).slot and self.serial == (<Order>other).serial

    def __hash__(self):
        return hash(self.serial)

    def __repr__(self):
        if self.slot == NULL or self.slot.serial != self.serial:
            return f"<Order {self.client_order_id}, forgotten>"
        return (
            f"<Order {self.client_order_id} {self.state.name} {'buy' if self.side > 0 else 'sell'} "
            f"{self.done_lots}/{self.total_lots} at {self.price_ticks}>"
        )


@cython.final
cdef class OrderManager:
    """The orders of one session, their legal transitions, and what they may still cost.

    Messages about an order may arrive in any order, twice or not at all: what an order object says is the end is never
    left, the cumulative filled size never decreases, a fill counts once, and what may still trade is never understated.
    What should not happen is counted, never applied silently. See ``docs/orders.md`` for every message in every state.

    All memory is taken at creation (`nbytes`), and belongs to this process: a forked child has a copy of its own. One
    thread at a time. Client order ids are those of one session of the exchange: make a new manager for a new one.

    Parameters
    ----------
    capacity : int
        Most orders that may be live at once, up to 65,536.
    live_fills : int
        Most fills that live orders may have together, up to 2,097,152. They are never forgotten; `on_fill` refuses the
        next one.

    Attributes
    ----------
    illegal : int
        Messages that asked for a transition which does not exist, or contradict what is known.
    unknown : int
        Messages about orders that this manager does not know, or whose two ids do not belong together.
    late : int
        Messages about orders that had ended; that reply and notice both tell an end is normal.
    presumed : int
        Orders that count as gone because lists of open orders lacked them: the trade history knows whether they traded.
    duplicate_fills : int
        Fills that had been counted before.
    late_fills : int
        Fills that came after the end of their order and were not in its cumulative size; the position they bring is real.
    overfills : int
        Times that an order had more filled than its size; the position that it brings is real all the same.
    refused_fills : int
        Fills that found no room.
    missing_lots : int
        Lots told as filled whose fills were not seen, of all orders ever: cumulative sizes against the sum of the fills.
    nbytes : int
        Memory of the table.

    Raises
    ------
    RecordError
        A parameter outside its bounds.
    MemoryError
        There is not so much memory.
    """

    def __cinit__(self, capacity=1024, *, live_fills=65_536):
        cdef uint32_t orders = whole_number(capacity, 1, MFT_ORDERS_MOST_LIVE, "the capacity of an OrderManager")
        cdef uint32_t fills = whole_number(live_fills, 1, MFT_ORDERS_MOST_FILLS // 2, "live_fills")
        if mft_orders_init(&self.table, orders, CLOSED_REMEMBERED, fills, FILLS_REMEMBERED) != MFT_OK:
            raise MemoryError(f"no memory for {orders} orders and {fills} fills")

    def __dealloc__(self):
        mft_orders_free(&self.table)

    cdef Order view(self, mft_order_t *order):
        cdef Order found = Order.__new__(Order)
        found.manager, found.slot = self, order
        found.serial, found.client_order_id = order.serial, order.client_order_id
        return found

    # what we do

    def insert(self, client_order_id, side, price_ticks, lots, now_ns):
        """Note an order that is about to be sent; returns its `Order`.

        Raises
        ------
        RecordError
            The id is 0 or in use, the side is neither +1 nor -1, or price or size is not positive.
        OrderTableFull
            `capacity` orders are live.
        """
        cdef mft_order_t *order
        cdef uint64_t number = client_id_of(client_order_id)
        cdef int64_t sign = number_of(side, "side"), price = number_of(price_ticks, "price_ticks")
        cdef int64_t size = number_of(lots, "lots")
        if sign != 1 and sign != -1:
            raise RecordError(f"side must be +1 (buy) or -1 (sell), not {side}")
        if number == 0:
            raise RecordError("a client order id must be positive: 0 stands for a message without one")
        cdef int rc = MFT_E_ARGUMENT
        if price > 0:
            rc = mft_orders_insert(
                &self.table, number, <int32_t>sign, price, size, number_of(now_ns, "now_ns"), &order
            )
        if rc == MFT_OK:
            return self.view(order)
        if rc == MFT_E_EXISTS:
            raise RecordError(f"client order id {number} is in use; ids count upwards")
        if rc == MFT_FULL:
            raise OrderTableFull(f"{self.table.capacity} orders are live; cancel some before inserting more")
        raise RecordError(f"price and size must be positive, below 2^53 ticks and 2^40 lots, not {price} and {size}")

    cdef object ours(self, object client_order_id, uint32_t kind, object price_ticks, object total_lots, object now_ns):
        cdef mft_order_t *order
        cdef uint64_t number = client_id_of(client_order_id)
        cdef int64_t price = number_of(price_ticks, "price_ticks"), total = number_of(total_lots, "total_lots")
        cdef int rc = MFT_E_ARGUMENT
        if kind != MFT_ORDER_AMEND or price > 0:
            rc = mft_orders_ours(&self.table, number, kind, price, total, number_of(now_ns, "now_ns"), &order)
        if rc == MFT_ORDER_APPLIED:
            return None
        if rc == MFT_E_ARGUMENT:
            raise RecordError(
                f"price and size must be positive, below 2^53 ticks and 2^40 lots, not {price} and {total}"
            )
        if rc == MFT_ORDER_STRANGE or order.facts.state >= MFT_ORDER_FILLED:
            raise UnknownOrder(f"no live order has the client order id {number}")
        state = STATES[order.facts.state].name
        raise RecordError(f"order {number} is {state}; only a LIVE order can be amended")

    def amend(self, client_order_id, price_ticks, total_lots, now_ns):
        """Note an amend that is about to be sent; legal from LIVE only.

        Until each amend is answered the order counts with the largest total that was asked for.

        Raises
        ------
        UnknownOrder
            No live order has this id.
        RecordError
            The order is not LIVE, or price or size is not positive.
        """
        self.ours(client_order_id, MFT_ORDER_AMEND, price_ticks, total_lots, now_ns)

    def cancel(self, client_order_id, now_ns):
        """Note a cancel that is about to be sent; legal from every state that is not final.

        Raises
        ------
        UnknownOrder
            No live order has this id.
        """
        self.ours(client_order_id, MFT_ORDER_CANCEL, 0, 0, now_ns)

    def doubt(self, client_order_id, now_ns):
        """Mark an order of which an answer did not come in time; it keeps its exposure until a message settles it.

        Raises
        ------
        UnknownOrder
            No live order has this id.
        """
        self.ours(client_order_id, MFT_ORDER_DOUBT, 0, 0, now_ns)

    # what the exchange says

    def on_order(
        self, client_order_id, str order_id not None, bint open_, bint filled, price_ticks, total_lots, filled_lots,
        now_ns, asked_ns=0,
    ):
        """Apply what an order object says, in a reply, a notice or a list, whichever comes first and however often.

        Price and size of an open order are taken from the first one; after that only answers to amends (`on_amended`)
        and lists of open orders change them, since a notice may be older than they are.

        Parameters
        ----------
        client_order_id : int
            0 when the message has none; the order is then found by `order_id`.
        order_id : str
            At most 47 bytes; empty when the message has none.
        open_ : bool
            The exchange calls it open or partially filled.
        filled : bool
            The exchange calls it filled; neither flag means cancelled.
        price_ticks, total_lots, filled_lots : int
            As told; `filled_lots` is cumulative.
        asked_ns : int
            When the list of open orders (or the subscription that replays them) was asked for, in which this was told.
            It settles what was sent, or put in doubt, before.

        Returns
        -------
        Order or None
            The order, or None when this manager does not know it, or the ids do not belong together (`unknown`).

        Raises
        ------
        RecordError
            An id that is too long, numbers beyond their bounds, both flags; nothing was changed.
        """
        cdef mft_id_t id
        cdef mft_order_t *order
        cdef uint32_t kind = (
            MFT_ORDER_TOLD_OPEN if open_ else MFT_ORDER_TOLD_FILLED if filled else MFT_ORDER_TOLD_CANCELLED
        )
        cdef mft_order_event_t event = event_of(
            kind, number_of(price_ticks, "price_ticks"), number_of(total_lots, "total_lots"),
            number_of(filled_lots, "filled_lots"),
        )
        cdef uint64_t number = client_id_of(client_order_id)
        if open_ and filled:
            raise RecordError("an order is not open and filled at once")
        set_id(&id, order_id, "an order id")
        cdef int rc = mft_orders_told(
            &self.table, number, &id, event, number_of(asked_ns, "asked_ns"), number_of(now_ns, "now_ns"), &order
        )
        if rc == MFT_E_ARGUMENT:
            raise senseless(price_ticks, f"{total_lots} and {filled_lots}")
        return None if rc == MFT_ORDER_STRANGE else self.view(order)

    cdef int answered(self, object client_order_id, mft_order_event_t event, object now_ns) except -1:
        cdef mft_order_t *order
        cdef int rc = mft_orders_answered(
            &self.table, client_id_of(client_order_id), event, number_of(now_ns, "now_ns"), &order
        )
        if rc == MFT_E_ARGUMENT:
            raise senseless(event.price_ticks, event.total_lots)
        return 0

    cdef int refused(self, object client_order_id, uint32_t kind, object now_ns) except -1:
        return self.answered(client_order_id, event_of(kind, 0, 0, 0), now_ns)

    def on_amended(self, client_order_id, price_ticks, total_lots, now_ns):
        """Apply the answer to an amend, which may carry another price than was asked for.

        Pass each answer once. An answer to no amend of ours is counted in `illegal`.
        """
        cdef int64_t price = number_of(price_ticks, "price_ticks"), total = number_of(total_lots, "total_lots")
        self.answered(client_order_id, event_of(MFT_ORDER_AMENDED, price, total, 0), now_ns)

    def on_insert_refused(self, client_order_id, now_ns):
        """Apply an error answer to an insert: the order never existed, unless it was told of before (then: in doubt)."""
        self.refused(client_order_id, MFT_ORDER_INSERT_REFUSED, now_ns)

    def on_amend_refused(self, client_order_id, now_ns, *, bint gone):
        """Apply an error answer to an amend: the old order rests as it was, or is `gone` and its end not yet told."""
        self.refused(client_order_id, MFT_ORDER_AMEND_MISSED if gone else MFT_ORDER_AMEND_REFUSED, now_ns)

    def on_cancel_refused(self, client_order_id, now_ns, *, bint gone):
        """Apply an error answer to a cancel. "Not found" does not prove "not filled": the order is in doubt."""
        self.refused(client_order_id, MFT_ORDER_CANCEL_MISSED if gone else MFT_ORDER_CANCEL_REFUSED, now_ns)

    def on_not_open(self, client_order_id, asked_ns, now_ns):
        """Apply that a list of open orders, asked for at `asked_ns`, lacks an order; True when it now counts as gone.

        Only an order in doubt since before the asking, lacking from three lists, the last of which was asked for a
        second (`GRACE_NS`) or more after the doubt, is CANCELLED by this; it is counted in `presumed`. Should an order
        object then say that it rests, it is in doubt again, and `illegal` counts.
        """
        cdef mft_order_t *order
        cdef int rc = mft_orders_absent(
            &self.table, client_id_of(client_order_id), number_of(asked_ns, "asked_ns"), grace_ns,
            number_of(now_ns, "now_ns"), &order,
        )
        return rc == MFT_ORDER_APPLIED and order.facts.state == MFT_ORDER_CANCELLED

    def on_fill(self, client_order_id, str order_id not None, str trade_id not None, leg_index, lots):
        """Count a fill once; True when it is new.

        The key is (trade id, order id, leg): a trade with ourselves has one trade id on two orders. Fills of live orders
        are never forgotten; of others the last 65,536 are known. A fill of an order that this manager does not know is
        new all the same, and counted in `unknown`.

        Raises
        ------
        RecordError
            A missing id, or one longer than 47 bytes; a size that is not positive: what is no key is not guessed.
        OrderTableFull
            Live orders have `live_fills` fills: it was not counted (`refused_fills`, `missing_lots`).
        """
        cdef mft_id_t id, trade
        cdef mft_order_t *order
        cdef uint64_t number = client_id_of(client_order_id)
        cdef int64_t leg = number_of(leg_index, "leg_index"), size = number_of(lots, "lots")
        set_id(&id, order_id, "an order id")
        set_id(&trade, trade_id, "a trade id")
        cdef int rc = MFT_E_ARGUMENT
        if -0x80000000 <= leg <= 0x7FFFFFFF:
            rc = mft_orders_fill(&self.table, number, &trade, &id, <int32_t>leg, size, &order)
        if rc == MFT_FILL_NEW:
            return True
        if rc == MFT_FILL_REPEATED:
            return False
        if rc == MFT_FILL_NO_ROOM:
            raise OrderTableFull(
                f"live orders hold all places for fills, so {size} lots of order {number} were not counted: cancel the "
                "orders with most fills, and create the manager with more live_fills"
            )
        raise RecordError(
            f"a fill has a trade id, an order id, a leg of 32 bits and a positive size below 2^40 lots, not "
            f"{trade_id!r}, {order_id!r}, {leg_index} and {lots}"
        )

    # what is known

    def get(self, client_order_id):
        """Return the order of this id, live or among the last 4,096 that have ended, or None."""
        cdef mft_order_t *order = mft_orders_get(&self.table, client_id_of(client_order_id))
        return None if order == NULL else self.view(order)

    def by_order_id(self, str order_id not None):
        """Return the order that the exchange calls `order_id`, or None."""
        cdef mft_id_t id
        set_id(&id, order_id, "an order id")
        if mft_id_length(&id) == 0:
            return None
        cdef mft_order_t *order = mft_orders_get_by_order_id(&self.table, &id)
        return None if order == NULL else self.view(order)

    def __iter__(self):
        """All orders that are not final, oldest first."""
        cdef list found = []
        cdef uint32_t at = self.table.live.first
        while at != MFT_NO_ENTRY:
            found.append(self.view(&self.table.orders[at]))
            at = self.table.orders[at].after
        return iter(found)

    def __len__(self):
        return self.table.live.count

    def exposure(self, side):
        """Lots by which the fills of one side may still grow: live, in flight and in doubt, and told but not yet seen."""
        cdef int64_t sign = number_of(side, "side")
        if sign != 1 and sign != -1:
            raise RecordError(f"side must be +1 (buy) or -1 (sell), not {side}")
        return self.table.exposure_lots[sign < 0]

    @property
    def capacity(self):
        return self.table.capacity

    @property
    def nbytes(self):
        return mft_orders_bytes(&self.table)

    @property
    def illegal(self):
        return self.table.illegal

    @property
    def unknown(self):
        return self.table.unknown

    @property
    def late(self):
        return self.table.late

    @property
    def presumed(self):
        return self.table.presumed

    @property
    def duplicate_fills(self):
        return self.table.duplicate_fills

    @property
    def late_fills(self):
        return self.table.late_fills

    @property
    def overfills(self):
        return self.table.overfills

    @property
    def refused_fills(self):
        return self.table.refused_fills

    @property
    def missing_lots(self):
        return self.table.missing_lots
