"""The order state machine from Python: messages in any order, twice or never; views; what is refused, with its reason.

The machine itself is explored to the end by tests/c/test_order_states.c, the table by tests/c/test_orders.c.
"""

import gc
import itertools
import pickle

import numpy as np
import pytest

from mftcore import Order, OrderManager, OrderState, OrderTableFull, RecordError, UnknownOrder
from mftcore.orders import CLOSED_REMEMBERED, FILLS_REMEMBERED, GRACE_NS


def told(
    orders, *, filled_lots=0, open_=True, filled=False, price=100, total=10, number=1, order_id="A", asked_ns=0,
    now_ns=5,
):  # fmt: skip
    return orders.on_order(number, order_id, open_, filled, price, total, filled_lots, now_ns, asked_ns=asked_ns)


@pytest.fixture
def orders():
    manager = OrderManager(capacity=4)
    manager.insert(1, 1, 100, 10, now_ns=0)
    return manager


def test_an_order_counts_as_exposure_from_the_moment_it_is_sent(orders):
    assert (orders.exposure(1), orders.exposure(-1)) == (10, 0)
    with pytest.raises(RecordError, match="side"):
        orders.exposure(0)


def test_of_amends_in_flight_the_largest_size_counts_until_they_are_answered(orders):
    told(orders)
    orders.amend(1, 101, 25, now_ns=1)
    told(orders)  # a notice from before the amend
    assert (orders.exposure(1), orders.get(1).state) == (25, OrderState.AMENDING)
    orders.on_amend_refused(1, now_ns=2, gone=False)
    assert (orders.exposure(1), orders.get(1).price_ticks) == (10, 100)
    orders.amend(1, 101, 4, now_ns=3)
    assert orders.exposure(1) == 10
    orders.on_amended(1, 101, 4, now_ns=4)
    assert (orders.exposure(1), orders.get(1).state) == (4, OrderState.LIVE)


def test_a_notice_never_makes_exposure_smaller_by_its_size_nor_changes_the_price(orders):
    order = told(orders)
    orders.amend(1, 105, 20, now_ns=1)
    orders.on_amended(1, 105, 20, now_ns=2)
    told(orders, filled_lots=3)  # sent before the amend, told after its answer
    assert (order.state, order.price_ticks, order.total_lots) == (OrderState.LIVE, 105, 20)
    assert orders.exposure(1) == 20  # three of them are filled, and not in the position yet
    orders.on_fill(1, "A", "t1", 0, 3)
    assert (orders.exposure(1), orders.illegal) == (17, 0)


def test_a_cancel_that_is_refused_leaves_the_amend_in_flight(orders):
    order = told(orders)
    orders.amend(1, 105, 20, now_ns=1)
    orders.cancel(1, now_ns=2)
    assert order.state is OrderState.CANCELLING
    orders.on_cancel_refused(1, now_ns=3, gone=False)
    assert (order.state, orders.exposure(1)) == (OrderState.AMENDING, 20)
    orders.cancel(1, now_ns=4)
    orders.on_amend_refused(1, now_ns=5, gone=False)
    assert (order.state, orders.exposure(1)) == (OrderState.CANCELLING, 10)


MESSAGES = {
    "reply": lambda o: told(o),
    "partial": lambda o: (told(o, filled_lots=4), o.on_fill(1, "A", "t1", 0, 4)),
    "rest": lambda o: (told(o, filled_lots=10, open_=False, filled=True), o.on_fill(1, "A", "t2", 0, 6)),
    "cancelled": lambda o: told(o, filled_lots=4, open_=False),
    "existing": lambda o: (told(o, filled_lots=4, asked_ns=4), o.on_fill(1, "A", "t1", 0, 4)),
}


@pytest.mark.parametrize("names", list(itertools.permutations(MESSAGES, 4)))
def test_in_every_order_an_end_is_an_end_and_exposure_is_what_the_fills_may_still_bring(names):
    orders = OrderManager()
    order = orders.insert(1, 1, 100, 10, now_ns=0)
    orders.cancel(1, now_ns=1)
    ended, known, seen = False, 0, 0
    for name in names:
        MESSAGES[name](orders)
        ended = ended or name in ("rest", "cancelled")
        known = max(known, {"rest": 10, "partial": 4, "existing": 4, "cancelled": 4}.get(name, 0))
        seen = order.fill_sum_lots
        assert order.state.terminal == ended
        assert order.filled_lots == known
        assert orders.exposure(1) == (max(known - seen, 0) if ended else 10 - min(known, seen))
    assert (orders.overfills, orders.illegal, orders.unknown) == (0, 0, 0)


STATES = {  # how an order gets there; the cancel of the one in doubt is not answered
    "INSERTING": lambda o: None,
    "LIVE": told,
    "AMENDING": lambda o: (told(o), o.amend(1, 101, 12, now_ns=6)),
    "CANCELLING": lambda o: (told(o), o.cancel(1, now_ns=6)),
    "UNKNOWN": lambda o: (told(o), o.cancel(1, now_ns=6), o.doubt(1, now_ns=7)),
    "FILLED": lambda o: told(o, open_=False, filled=True, filled_lots=10),
    "CANCELLED": lambda o: told(o, open_=False),
    "REJECTED": lambda o: o.on_insert_refused(1, now_ns=6),
}
SAID = {
    "amend": lambda o: o.amend(1, 102, 11, now_ns=8),
    "cancel": lambda o: o.cancel(1, now_ns=8),
    "doubt": lambda o: o.doubt(1, now_ns=8),
    "open": told,
    "listed": lambda o: told(o, asked_ns=8, now_ns=9),
    "filled": lambda o: told(o, open_=False, filled=True, filled_lots=10),
    "cancelled": lambda o: told(o, open_=False),
    "amended": lambda o: o.on_amended(1, 101, 12, now_ns=8),
    "insert refused": lambda o: o.on_insert_refused(1, now_ns=8),
    "amend refused": lambda o: o.on_amend_refused(1, now_ns=8, gone=False),
    "amend missed": lambda o: o.on_amend_refused(1, now_ns=8, gone=True),
    "cancel refused": lambda o: o.on_cancel_refused(1, now_ns=8, gone=False),
    "cancel missed": lambda o: o.on_cancel_refused(1, now_ns=8, gone=True),
    "not listed": lambda o: o.on_not_open(1, asked_ns=8, now_ns=9),
    "fill": lambda o: o.on_fill(1, "A", "t", 0, 1),
}
# the table of docs/orders.md: "." the state stays, "!" illegal, "~" late, "x" refused
RESULTS = """
                INSERTING   LIVE        AMENDING    CANCELLING  UNKNOWN     FILLED  CANCELLED  REJECTED
amend           x           AMENDING    x           x           x           x       x          x
cancel          CANCELLING  CANCELLING  CANCELLING  .           .           x       x          x
doubt           UNKNOWN     UNKNOWN     UNKNOWN     UNKNOWN     .           x       x          x
open            LIVE        .           .           .           .           ~       ~          UNKNOWN!
listed          LIVE        .           LIVE        LIVE        LIVE        ~       ~          LIVE!
filled          FILLED      FILLED      FILLED      FILLED      FILLED      ~       ~          FILLED!
cancelled       CANCELLED   CANCELLED   CANCELLED   CANCELLED   CANCELLED   ~       ~          CANCELLED!
amended         !           !           LIVE        !           !           ~       ~          ~
insert_refused  REJECTED    UNKNOWN!    UNKNOWN!    UNKNOWN!    !           ~       ~          ~
amend_refused   !           !           LIVE        !           !           ~       ~          ~
amend_missed    !           !           UNKNOWN     !           !           ~       ~          ~
cancel_refused  !           !           !           LIVE        LIVE        ~       ~          ~
cancel_missed   !           !           !           UNKNOWN     .           ~       ~          ~
not_listed      .           .           .           .           .           .       .          .
fill            .           .           .           .           .           .       .          .
"""
HEADER, *LINES = [line.split() for line in RESULTS.strip().splitlines()]
CELLS = [(line[0].replace("_", " "), *cell) for line in LINES for cell in zip(HEADER, line[1:], strict=True)]


@pytest.mark.parametrize(("said", "state", "result"), CELLS)
def test_every_message_in_every_state_has_its_result(orders, said, state, result):
    STATES[state](orders)
    order = orders.get(1)
    assert order.state.name == state
    before = (orders.illegal, orders.late, orders.unknown)
    if result == "x":
        with pytest.raises((RecordError, UnknownOrder)):
            SAID[said](orders)
    else:
        SAID[said](orders)
    assert order.state.name == (result.rstrip("!~.x") or state)
    assert (orders.illegal - before[0], orders.late - before[1]) == ("!" in result, "~" in result)
    assert (orders.unknown, len(orders)) == (before[2], 0 if order.state.terminal else 1)


def test_a_fill_counts_once_and_a_self_trade_twice(orders):
    orders.insert(2, -1, 100, 10, now_ns=0)
    assert orders.on_fill(1, "A", "t", 0, 5)
    assert not orders.on_fill(1, "A", "t", 0, 5)
    assert orders.on_fill(2, "B", "t", 0, 5)
    assert orders.on_fill(1, "A", "t", 1, 5)
    assert orders.duplicate_fills == 1


def test_a_fill_before_any_answer_binds_the_order_id_and_proves_that_the_order_was_there(orders):
    orders.on_fill(1, "A", "t", 0, 2)
    assert orders.by_order_id("A") == orders.get(1)
    orders.on_insert_refused(1, now_ns=1)
    assert (orders.get(1).state, orders.illegal) == (OrderState.UNKNOWN, 1)
    assert orders.exposure(1) == 10


def test_more_than_the_size_is_counted_and_so_is_a_fill_that_its_ended_order_did_not_know(orders):
    orders.on_fill(1, "A", "t1", 0, 10)
    assert orders.overfills == 0
    orders.on_fill(1, "A", "t2", 0, 1)
    assert (orders.overfills, orders.late_fills) == (1, 0)
    orders.insert(2, 1, 100, 10, now_ns=0)
    told(orders, number=2, order_id="B", open_=False, filled_lots=4)
    orders.on_fill(2, "B", "t1", 0, 4)
    assert orders.late_fills == 0
    assert orders.on_fill(2, "B", "t2", 0, 1)
    assert (orders.late_fills, orders.get(2).state, orders.get(2).done_lots) == (1, OrderState.CANCELLED, 5)


def test_lots_told_as_filled_stay_in_exposure_until_their_fill_is_seen(orders):
    order = told(orders, filled_lots=6, open_=False)
    assert (order.missing_lots, order.exposed_lots, orders.exposure(1), orders.missing_lots) == (6, 6, 6, 6)
    orders.on_fill(1, "A", "t1", 0, 6)
    assert (order.missing_lots, orders.exposure(1), orders.missing_lots) == (0, 0, 0)


def test_a_refused_insert_ends_the_order_unless_the_exchange_had_shown_it(orders):
    orders.on_insert_refused(1, now_ns=1)
    assert orders.get(1).state is OrderState.REJECTED
    orders.insert(2, 1, 100, 10, now_ns=0)
    told(orders, number=2, order_id="B")
    orders.on_insert_refused(2, now_ns=1)
    assert orders.get(2).state is OrderState.UNKNOWN
    assert (orders.exposure(1), orders.illegal) == (10, 1)


def test_not_found_does_not_prove_not_filled(orders):
    order = told(orders)
    orders.cancel(1, now_ns=1)
    orders.on_cancel_refused(1, now_ns=2, gone=True)
    told(orders)  # an old notice settles nothing
    assert (order.state, orders.exposure(1)) == (OrderState.UNKNOWN, 10)
    told(orders, filled_lots=10, open_=False, filled=True)
    assert order.state is OrderState.FILLED


def test_a_list_that_holds_a_doubtful_order_settles_it_if_it_was_asked_for_since(orders):
    order = told(orders)
    orders.cancel(1, now_ns=6)
    orders.doubt(1, now_ns=10)
    told(orders, asked_ns=10)
    assert order.state is OrderState.UNKNOWN
    told(orders, asked_ns=11, now_ns=20)
    assert (order.state, order.changed_ns) == (OrderState.LIVE, 20)


def test_a_doubtful_order_is_gone_when_three_lists_lack_it_over_a_second(orders):
    order = told(orders)
    orders.doubt(1, now_ns=10)
    assert not orders.on_not_open(1, asked_ns=9, now_ns=11)
    assert not orders.on_not_open(1, asked_ns=11, now_ns=12)
    assert not orders.on_not_open(1, asked_ns=12, now_ns=13)
    assert not orders.on_not_open(1, asked_ns=13, now_ns=14)
    assert (order.state, orders.exposure(1)) == (OrderState.UNKNOWN, 10)
    assert orders.on_not_open(1, asked_ns=10 + GRACE_NS, now_ns=11 + GRACE_NS)
    assert (order.state, orders.exposure(1), orders.presumed) == (OrderState.CANCELLED, 0, 1)
    told(orders)  # it rests after all
    assert (order.state, orders.exposure(1), orders.illegal, len(orders)) == (OrderState.UNKNOWN, 10, 1, 1)


def test_messages_about_orders_never_sent_are_counted(orders):
    assert told(orders, number=9, order_id="Z") is None
    told(orders, order_id="A")
    assert told(orders, order_id="another") is None
    orders.insert(2, 1, 100, 10, now_ns=0)
    assert told(orders, number=2, order_id="A") is None  # that is what the first is called
    assert (orders.unknown, orders.get(2).order_id, orders.get(2).state) == (3, "", OrderState.INSERTING)
    assert told(orders, number=0, order_id="A") == orders.get(1)  # a message without our id


@pytest.mark.parametrize("call", ["amend", "cancel", "doubt"])
def test_what_is_not_live_cannot_be_changed(orders, call):
    for number in (1, 7):
        told(orders, open_=False)
        arguments = {"amend": (number, 100, 10, 0), "cancel": (number, 0), "doubt": (number, 0)}[call]
        with pytest.raises(UnknownOrder, match=f"no live order has the client order id {number}"):
            getattr(orders, call)(*arguments)


def test_only_a_live_order_can_be_amended(orders):
    with pytest.raises(RecordError, match="INSERTING; only a LIVE"):
        orders.amend(1, 101, 10, now_ns=1)
    told(orders)
    for price, total in ((0, 10), (-5, 10), (100, 0), (100, 2**40), (2**53, 10)):
        with pytest.raises(RecordError, match="must be positive"):
            orders.amend(1, price, total, now_ns=1)


@pytest.mark.parametrize(
    "arguments",
    [
        (2, 0, 100, 10), (2, 1, 0, 10), (2, 1, -1, 10), (2, 1, 100, 0), (2, 1, 100, -1), (1, 1, 100, 10),
        (0, 1, 100, 10), (-1, 1, 100, 10), (2**64, 1, 100, 10), (2.0, 1, 100, 10), (True, 1, 100, 10),
        ("2", 1, 100, 10), (2, 1, 2**80, 10), (2, 1, 100, 2**40), (2, 2**32 + 1, 100, 10), (2, 1, 1.5, 10),
    ],
)  # fmt: skip
def test_a_senseless_insert_is_refused_and_adds_nothing(orders, arguments):
    with pytest.raises(RecordError, match=r"must be|in use|whole number|between"):
        orders.insert(*arguments, now_ns=0)
    assert (len(orders), orders.exposure(1)) == (1, 10)


def test_an_id_is_kept_whole_or_refused(orders):
    longest = "x" * 45 + "é"  # 47 bytes
    assert told(orders, order_id=longest).order_id == longest
    for call in (
        lambda: told(orders, order_id=longest + "x"),
        lambda: orders.on_fill(1, longest, "t" * 48, 0, 1),
        lambda: orders.by_order_id("x" * 48),
        lambda: orders.on_fill(1, longest, "\ud800", 0, 1),
    ):
        with pytest.raises(RecordError, match=r"47, so it cannot be kept whole|cannot be written in UTF-8"):
            call()
    for trade_id, order_id, lots in (("", longest, 1), ("t", "", 1), ("t", longest, 0)):
        with pytest.raises(RecordError, match="a fill has a trade id"):
            orders.on_fill(1, order_id, trade_id, 0, lots)
    assert (orders.get(1).fill_sum_lots, orders.by_order_id("")) == (0, None)


@pytest.mark.parametrize("numbers", [(100, 2**40, 0), (100, -1, 0), (100, 10, -1), (2**53, 10, 0)])
def test_numbers_that_no_order_has_are_refused_whole(orders, numbers):
    price, total, filled = numbers
    with pytest.raises(RecordError, match="below 2"):
        orders.on_order(1, "A", True, False, price, total, filled, 1)
    with pytest.raises(RecordError, match="not open and filled at once"):
        orders.on_order(1, "A", True, True, 100, 10, 0, 1)
    assert (orders.get(1).order_id, orders.get(1).state) == ("", OrderState.INSERTING)


def test_numpys_numbers_are_numbers(orders):
    order = orders.insert(np.uint64(2**64 - 1), np.int8(-1), np.int64(100), np.int32(7), np.int64(3))
    assert (order.client_order_id, order.side, order.total_lots, order.created_ns) == (2**64 - 1, -1, 7, 3)


def test_a_full_table_refuses_and_a_closed_order_makes_room(orders):
    for number in (2, 3, 4):
        orders.insert(number, 1, 100, 10, now_ns=0)
    with pytest.raises(OrderTableFull, match="4 orders are live"):
        orders.insert(5, 1, 100, 10, now_ns=0)
    told(orders, open_=False)
    orders.insert(5, 1, 100, 10, now_ns=0)
    assert [order.client_order_id for order in orders] == [2, 3, 4, 5]


def test_a_fill_without_room_is_refused_loudly_and_exposure_keeps_it():
    orders = OrderManager(capacity=2, live_fills=2)
    orders.insert(1, 1, 100, 10**6, now_ns=0)
    told(orders, total=10**6)
    for number in range(2 + FILLS_REMEMBERED):
        assert orders.on_fill(1, "A", str(number), 0, 1)
    told(orders, total=10**6, filled_lots=3 + FILLS_REMEMBERED)
    with pytest.raises(OrderTableFull, match="1 lots of order 1 were not counted"):
        orders.on_fill(1, "A", "one more", 0, 1)
    assert (orders.refused_fills, orders.missing_lots) == (1, 1)
    assert orders.exposure(1) == 10**6 - 2 - FILLS_REMEMBERED
    assert not orders.on_fill(1, "A", "0", 0, 1)


def test_memory_is_flat_and_so_many_orders_and_fills_are_remembered():
    orders = OrderManager(capacity=2)
    nbytes = orders.nbytes
    for number in range(1, 3 * CLOSED_REMEMBERED):
        orders.insert(number, 1, 100, 1, now_ns=0)
        told(orders, number=number, order_id=f"o{number}", open_=False, total=1)
    assert sum(orders.get(number) is not None for number in range(1, 3 * CLOSED_REMEMBERED)) == CLOSED_REMEMBERED
    assert (orders.by_order_id("o1"), len(orders)) == (None, 0)
    for number in range(FILLS_REMEMBERED + 10):
        orders.on_fill(0, "x", str(number), 0, 1)
    assert not orders.on_fill(0, "x", "10", 0, 1)
    assert orders.on_fill(0, "x", "9", 0, 1)
    assert orders.nbytes == nbytes < 20_000_000


def test_a_view_shows_each_change_and_raises_when_its_order_is_forgotten():
    orders = OrderManager(capacity=1)
    first = orders.insert(1, 1, 100, 10, now_ns=0)
    assert first == orders.get(1)
    told(orders, open_=False)
    assert first.state is OrderState.CANCELLED
    for number in range(2, CLOSED_REMEMBERED + 1):
        orders.insert(number, 1, 100, 10, now_ns=0)
        assert first != orders.get(number)
        told(orders, number=number, order_id=str(number), open_=False)
    assert first.order_id == "A"
    orders.insert(CLOSED_REMEMBERED + 1, -1, 100, 10, now_ns=0)
    told(orders, number=CLOSED_REMEMBERED + 1, order_id="last", open_=False)
    tenant = orders.insert(CLOSED_REMEMBERED + 2, -1, 7, 10, now_ns=0)
    names = [name for name in dir(Order) if not name.startswith("_") and name != "client_order_id"]
    assert len(names) == 15
    for name in names:
        with pytest.raises(UnknownOrder, match="order 1 has been forgotten"):
            getattr(first, name)
    assert (first.client_order_id, repr(first), first == tenant) == (1, "<Order 1, forgotten>", False)


def test_a_view_keeps_the_memory_it_shows():
    order = OrderManager().insert(1, 1, 100, 10, now_ns=0)
    gc.collect()
    assert (order.price_ticks, order.state) == (100, OrderState.INSERTING)


def test_a_view_made_by_hand_stands_for_no_order():
    with pytest.raises(UnknownOrder, match="by hand"):
        _ = Order().state
    assert len({OrderManager().insert(1, 1, 1, 1, 0), Order()}) == 2
    for thing in (OrderManager(), Order()):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


@pytest.mark.parametrize("arguments", [{"capacity": 0}, {"capacity": 65_537}, {"capacity": 1.5}, {"live_fills": 0}])
def test_a_table_that_cannot_be_is_refused(arguments):
    with pytest.raises(RecordError, match=r"between|whole number"):
        OrderManager(**arguments)
