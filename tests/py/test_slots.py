"""What a slot sends: one message at a time, the newest wish, never an unsafe amend."""

import pytest

from mftcore.orders import OrderManager
from mftpy.execution.slots import AMEND_SAFE_TICKS, Action, Kind, QuoteSlots
from mftpy.records import Side

BID, ASK = 1_000, 1_010


@pytest.fixture
def orders():
    return OrderManager()


@pytest.fixture
def slots(orders):
    return QuoteSlots(orders, threshold_ticks=5)


def slot_of(slots, side=Side.BUY, level=0):
    return next(slot for slot in slots if (slot.side, slot.level) == (side, level))


def rest(orders, slot, price_ticks, lots, client_order_id=1):
    """Put a live order into a slot."""
    slot.client_order_id = client_order_id
    orders.insert(client_order_id, slot.side, price_ticks, lots, now_ns=0)
    tell(orders, client_order_id, price_ticks, lots)


def tell(orders, client_order_id, price_ticks, lots, filled=0, *, open_=True):
    orders.on_order(
        client_order_id, "A", open_=open_, filled=False, price_ticks=price_ticks, total_lots=lots, filled_lots=filled,
        now_ns=1,
    )  # fmt: skip


def test_an_empty_slot_inserts_what_is_wanted_and_nothing_else(slots):
    slot = slot_of(slots)
    assert slots.next_action(slot, BID, ASK) is None
    slots.want(Side.BUY, 0, 990, 10)
    assert slots.next_action(slot, BID, ASK) == Action(Kind.INSERT, Side.BUY, 0, 0, 990, 10)


def test_nothing_is_sent_while_an_answer_is_awaited_and_then_the_newest_wish(slots, orders):
    slot = slot_of(slots)
    slots.want(Side.BUY, 0, 990, 10)
    slot.client_order_id = 1
    orders.insert(1, Side.BUY, 990, 10, now_ns=0)
    for price in (980, 970, 960):
        slots.want(Side.BUY, 0, price, 10)
        assert slots.next_action(slot, BID, ASK) is None
    tell(orders, 1, 990, 10)
    assert slots.next_action(slot, BID, ASK) == Action(Kind.AMEND, Side.BUY, 0, 1, 960, 10)


def test_a_difference_below_the_threshold_is_left_alone(slots, orders):
    slot = slot_of(slots)
    rest(orders, slot, 990, 10)
    slots.want(Side.BUY, 0, 986, 10)
    assert slots.next_action(slot, BID, ASK) is None
    slots.want(Side.BUY, 0, 985, 10)
    assert slots.next_action(slot, BID, ASK).kind is Kind.AMEND


def test_an_amend_asks_for_filled_plus_wanted(slots, orders):
    slot = slot_of(slots)
    rest(orders, slot, 990, 10)
    tell(orders, 1, 990, 10, filled=4)
    slots.want(Side.BUY, 0, 990, 10)
    assert slots.next_action(slot, BID, ASK) == Action(Kind.AMEND, Side.BUY, 0, 1, 990, 14)


@pytest.mark.parametrize(
    ("side", "near", "far"),
    [
        (Side.BUY, ASK - AMEND_SAFE_TICKS + 1, ASK - AMEND_SAFE_TICKS),
        (Side.SELL, BID + AMEND_SAFE_TICKS - 1, BID + AMEND_SAFE_TICKS),
    ],
)
def test_an_amend_near_the_opposite_best_becomes_a_cancel_since_it_could_take(slots, orders, side, near, far):
    slot = slot_of(slots, side)
    rest(orders, slot, 900 if side == Side.BUY else 1_100, 10)
    slots.want(side, 0, near, 10)
    assert slots.next_action(slot, BID, ASK).kind is Kind.CANCEL
    slots.want(side, 0, far, 10)
    assert slots.next_action(slot, BID, ASK).kind is Kind.AMEND
    assert slots.next_action(slot, 0, 0).kind is Kind.CANCEL  # no opposite best known: not safe
    slots.amend_allowed = False
    assert slots.next_action(slot, BID, ASK).kind is Kind.CANCEL


def test_an_unwanted_order_is_cancelled_once_in_whatever_state_it_is(slots, orders):
    slot = slot_of(slots)
    slots.want(Side.BUY, 0, 990, 10)
    slot.client_order_id = 1
    orders.insert(1, Side.BUY, 990, 10, now_ns=0)
    slots.want_nothing()
    assert slots.next_action(slot, BID, ASK).kind is Kind.CANCEL  # even before the insert is answered
    orders.cancel(1, now_ns=1)
    assert slots.next_action(slot, BID, ASK) is None


def test_an_order_in_doubt_keeps_its_slot(slots, orders):
    slot = slot_of(slots)
    rest(orders, slot, 990, 10)
    orders.doubt(1, now_ns=2)
    slots.want(Side.BUY, 0, 950, 10)
    assert slots.next_action(slot, BID, ASK) is None
    tell(orders, 1, 990, 10, open_=False)
    assert slots.next_action(slot, BID, ASK).kind is Kind.INSERT


def test_stale_means_too_aggressive_not_too_far(slots, orders):
    slot = slot_of(slots, Side.SELL)
    rest(orders, slot, 1_020, 10)
    order = orders.get(1)
    slots.want(Side.SELL, 0, 1_030, 10)
    assert slots.is_stale(slot, order)
    slots.want(Side.SELL, 0, 1_010, 10)
    assert not slots.is_stale(slot, order)


def test_a_target_may_ask_for_a_smaller_threshold_and_what_is_stale_does_not_change(slots, orders):
    slot = slot_of(slots)
    rest(orders, slot, 990, 10)
    slots.want(Side.BUY, 0, 989, 10)
    assert slots.next_action(slot, BID, ASK) is None
    slots.use_threshold(1)
    assert slots.next_action(slot, BID, ASK) == Action(Kind.AMEND, Side.BUY, 0, 1, 989, 10)
    slots.want(Side.BUY, 0, 981, 10)
    assert not slots.is_stale(slot, orders.get(1))
    for none in (0, -3):
        slots.use_threshold(none)
        slots.want(Side.BUY, 0, 986, 10)
        assert slots.next_action(slot, BID, ASK) is None


@pytest.mark.parametrize(
    ("side", "resting", "better", "worse"), [(Side.BUY, 990, 995, 960), (Side.SELL, 1020, 1015, 1050)]
)
def test_a_side_that_may_have_been_filled_gets_no_insert_and_no_amend_but_cancels(
    slots, orders, side, resting, better, worse
):
    other = slot_of(slots, Side(-side))
    slots.held[side] = True
    slot = slot_of(slots, side)
    slots.want(side, 0, resting, 10)
    assert slots.next_action(slot, BID, ASK) is None  # no insert
    rest(orders, slot, resting, 10)
    slots.want(side, 0, better, 10)
    assert slots.next_action(slot, BID, ASK) is None  # no amend
    slots.want(side, 0, better, 7)
    assert slots.next_action(slot, BID, ASK) is None  # nor one of the size
    slots.want(side, 0, worse, 10)
    assert slots.next_action(slot, BID, ASK).kind is Kind.CANCEL  # far too aggressive, and it cannot be moved
    slots.want(side, 0, resting, 0)
    assert slots.next_action(slot, BID, ASK).kind is Kind.CANCEL
    slots.want(other.side, 0, 1_100 if side == Side.BUY else 900, 10)
    assert slots.next_action(other, BID, ASK).kind is Kind.INSERT  # the other side goes on
    slots.held[side] = False
    slots.want(side, 0, better, 10)
    assert slots.next_action(slot, 0, 2_000).kind in (Kind.AMEND, Kind.CANCEL)
