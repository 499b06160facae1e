"""The order state machine: messages in any order, twice or never."""

import itertools

import pytest

from mftcore.orders import FILLS_REMEMBERED, OrderManager, OrderState, OrderTableFull, UnknownOrder


def told(orders, *, filled_lots=0, open_=True, filled=False, price=100, total=10, client_order_id=1, order_id="A"):
    return orders.on_order(
        client_order_id,
        order_id,
        open_=open_,
        filled=filled,
        price_ticks=price,
        total_lots=total,
        filled_lots=filled_lots,
        now_ns=5,
    )


@pytest.fixture
def orders():
    manager = OrderManager(capacity=4)
    manager.insert(1, 1, 100, 10, now_ns=0)
    return manager


def test_an_order_counts_as_exposure_from_the_moment_it_is_sent(orders):
    assert orders.exposure(1) == 10
    assert orders.exposure(-1) == 0


def test_of_an_amend_in_flight_the_larger_size_counts(orders):
    told(orders)
    orders.amend(1, 101, 25, now_ns=1)
    assert orders.exposure(1) == 25
    orders.on_amend_refused(1, now_ns=2, gone=False)
    assert orders.exposure(1) == 10
    assert orders.get(1).price_ticks == 100
    orders.amend(1, 101, 4, now_ns=3)
    assert orders.exposure(1) == 10


def test_a_notice_from_before_the_amend_does_not_end_it(orders):
    told(orders)
    orders.amend(1, 105, 10, now_ns=1)
    told(orders, filled_lots=3)
    assert orders.get(1).state is OrderState.AMENDING
    told(orders, price=105, filled_lots=3)
    assert orders.get(1).state is OrderState.LIVE
    assert orders.exposure(1) == 7


MESSAGES = {
    "reply": lambda o: told(o),
    "notice": lambda o: told(o),
    "partial": lambda o: (told(o, filled_lots=4), o.on_fill(1, "A", "t1", 0, 4)),
    "rest": lambda o: (told(o, filled_lots=10, open_=False, filled=True), o.on_fill(1, "A", "t2", 0, 6)),
    "cancelled": lambda o: told(o, filled_lots=4, open_=False),
    "existing": lambda o: (told(o, filled_lots=4), o.on_fill(1, "A", "t1", 0, 4)),
}


@pytest.mark.parametrize("names", list(itertools.permutations(MESSAGES, 3)))
def test_in_every_order_exposure_is_never_understated_and_an_end_is_an_end(names):
    orders = OrderManager()
    orders.insert(1, 1, 100, 10, now_ns=0)
    orders.cancel(1, now_ns=1)
    ended, done = False, 0
    for name in names:
        MESSAGES[name](orders)
        order = orders.get(1)
        ended = ended or name in ("rest", "cancelled")
        done = max(done, {"rest": 10, "partial": 4, "existing": 4, "cancelled": 4}.get(name, 0))
        assert order.state.terminal == ended
        assert order.filled_lots >= done
        assert orders.exposure(1) == (0 if ended else 10 - order.done_lots)
    assert orders.overfills == 0


def test_a_fill_counts_once_and_a_self_trade_twice(orders):
    orders.insert(2, -1, 100, 10, now_ns=0)
    assert orders.on_fill(1, "A", "t", 0, 5)
    assert not orders.on_fill(1, "A", "t", 0, 5)
    assert orders.on_fill(2, "B", "t", 0, 5)
    assert orders.duplicate_fills == 1


def test_more_than_the_size_is_counted_as_an_overfill(orders):
    orders.on_fill(1, "A", "t1", 0, 10)
    assert orders.overfills == 0
    orders.on_fill(1, "A", "t2", 0, 1)
    assert orders.overfills == 1


def test_a_refused_insert_ends_the_order_unless_the_exchange_had_shown_it(orders):
    orders.on_insert_refused(1, now_ns=1)
    assert orders.get(1).state is OrderState.REJECTED
    orders.insert(2, 1, 100, 10, now_ns=0)
    told(orders, client_order_id=2, order_id="B")
    orders.on_insert_refused(2, now_ns=1)
    assert orders.get(2).state is OrderState.UNKNOWN
    assert orders.exposure(1) == 10
    assert orders.illegal == 1


def test_not_found_does_not_prove_not_filled(orders):
    told(orders)
    orders.cancel(1, now_ns=1)
    orders.on_cancel_refused(1, now_ns=2, gone=True)
    assert orders.get(1).state is OrderState.UNKNOWN
    assert orders.exposure(1) == 10
    told(orders, filled_lots=10, open_=False, filled=True)
    assert orders.get(1).state is OrderState.FILLED


def test_messages_about_orders_never_sent_are_counted(orders):
    assert told(orders, client_order_id=9, order_id="Z") is None
    told(orders, order_id="A")
    assert told(orders, order_id="another") is None
    assert orders.unknown == 2


@pytest.mark.parametrize("call", ["amend", "cancel", "doubt"])
def test_what_is_not_live_cannot_be_changed(orders, call):
    arguments = {"amend": (7, 100, 10, 0), "cancel": (7, 0), "doubt": (7, 0)}[call]
    with pytest.raises(UnknownOrder, match="7"):
        getattr(orders, call)(*arguments)


def test_only_a_live_order_can_be_amended(orders):
    with pytest.raises(ValueError, match="INSERTING"):
        orders.amend(1, 101, 10, now_ns=1)


@pytest.mark.parametrize(
    "arguments", [(2, 0, 100, 10), (2, 1, 0, 10), (2, 1, 100, 0), (2, 1, 100, -1), (1, 1, 100, 10)]
)
def test_a_senseless_insert_is_refused_and_adds_nothing(orders, arguments):
    with pytest.raises(ValueError, match=r"must be|in use"):
        orders.insert(*arguments, now_ns=0)
    assert len(orders) == 1


def test_a_full_table_refuses_and_a_closed_order_makes_room(orders):
    for client_order_id in (2, 3, 4):
        orders.insert(client_order_id, 1, 100, 10, now_ns=0)
    with pytest.raises(OrderTableFull):
        orders.insert(5, 1, 100, 10, now_ns=0)
    told(orders, open_=False)
    orders.insert(5, 1, 100, 10, now_ns=0)


def test_memory_is_flat():
    orders = OrderManager(capacity=2)
    for client_order_id in range(1, 3 * 4096):
        orders.insert(client_order_id, 1, 100, 1, now_ns=0)
        told(orders, client_order_id=client_order_id, order_id=f"o{client_order_id}", open_=False, total=1)
    assert len(orders._closed) == len(orders._by_order_id) == 4096
    for number in range(FILLS_REMEMBERED + 10):
        orders.on_fill(0, "x", str(number), 0, 1)
    assert len(orders._fills) == FILLS_REMEMBERED
