"""The order desk: no fill lost or counted twice, nothing sent beyond the limits, nothing left in doubt for ever."""

import pytest

from mftcore.orders import OrderState
from mftpy import records
from mftpy.execution.desk import DOUBT_AFTER_NS, REFUSALS_REMEMBERED_NS, Desk
from mftpy.execution.limits import Limits
from mftpy.execution.slots import Kind
from mftpy.links import Instrument
from mftpy.venue.error_codes import ORDER_NOT_FOUND, THROTTLED
from mftpy.venue.messages import OrderStatus, Trade

INSUFFICIENT_MARGIN = 22
SECOND = 1_000_000_000


@pytest.fixture
def desk():
    made = Desk(Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD"), Limits(100, 1000, 0.05, 40.0), 10, 0)
    made.index_price = 61_700.0
    return made


def want(desk, bid=None, ask=None, lots=10, net=(616_999, 617_001), **more):
    """Let the strategy, which knows of every fill unless told otherwise, ask for up to one quote a side."""
    target = records.blank(records.TARGET)[0]
    target["fair"] = 61_700.0
    target["account_fills"] = desk.position.fills
    for name, value in more.items():
        target[name] = value
    target["net_bid_ticks"], target["net_ask_ticks"] = net
    for name, ticks in (("bid", bid), ("ask", ask)):
        if ticks is not None:
            target[f"n_{name}s"] = 1
            target[f"{name}_ticks"][0], target[f"{name}_lots"][0] = ticks, lots
    desk.on_target(target)


def said(order, status="open", filled=0, change="insert", **more):
    """Return what the exchange says of an order, in coins and quote currency."""
    return OrderStatus(
        order_id=f"X{order.client_order_id}", client_order_id=order.client_order_id, status=status,
        direction="buy" if order.side > 0 else "sell", amount=order.pending_total_lots * 0.001,
        filled_amount=filled * 0.001, remaining_amount=0.0, price=order.pending_price_ticks * 0.1,
        instrument_name="BTC-PERPETUAL", order_type="limit", time_in_force="good_till_cancelled",
        change_reason=change, insert_reason="client_request", create_time=0.0, persistent=False, **more,
    )  # fmt: skip


def tell(desk, order, now_ns, status="open", filled=0, change="insert", asked_ns=0, **more):
    """Let the exchange say something of an order."""
    item = said(order, status, filled, change, **more)
    desk.on_order(item, order.pending_price_ticks, order.pending_total_lots, filled, now_ns, asked_ns=asked_ns)
    return item


def fill(desk, order, item, trade_id, lots, now_ns=2):
    desk.on_fill(item, trade_id, 0, order.price_ticks, lots, maker=True, exchange_time_ns=0, now_ns=now_ns)


def resting_bid(desk, ticks=616_900):
    want(desk, bid=ticks)
    (action,) = desk.actions(1)
    assert action.kind is Kind.INSERT
    order = desk.orders.get(action.client_order_id)
    tell(desk, order, 1)
    assert order.state is OrderState.LIVE
    return order


def trade(trade_id, order_id, fee):
    return Trade(
        "BTC-PERPETUAL", "buy", 61_690.0, 0.01, 0.0, trade_id=trade_id, order_id=order_id, leg_index=0, fee=fee
    )


def test_a_fill_that_reply_and_notice_both_tell_counts_once(desk):
    order = resting_bid(desk)
    for _ in range(3):
        fill(desk, order, tell(desk, order, 2, "filled", 10, "fill"), "T1", 10)
    assert (desk.position.lots, desk.position.fills) == (10, 1)


def test_a_fill_told_after_the_order_was_called_gone_still_counts(desk):
    order = resting_bid(desk)
    item = tell(desk, order, 2, "cancelled", 0, "cancel")
    fill(desk, order, item, "T1", 10)
    assert desk.position.lots == 10


def test_one_trade_id_on_two_of_our_orders_is_two_fills(desk):
    want(desk, bid=616_900, ask=617_100)
    bid, ask = (desk.orders.get(action.client_order_id) for action in list(desk.actions(1)))
    for order in (bid, ask):
        fill(desk, order, tell(desk, order, 2, "filled", 10, "fill"), "T1", 10)
    assert (desk.position.lots, desk.position.fills) == (0, 2)


def test_a_fee_counts_once_and_another_sessions_fill_is_counted_apart(desk):
    order = resting_bid(desk)
    fill(desk, order, tell(desk, order, 2, "filled", 10, "fill"), "T1", 10)
    assert desk.fees_missing == 1
    for _ in range(2):
        desk.on_trade(trade("T1", order.order_id, 0.06))
    desk.on_trade(trade("T9", "SOMEBODY", 5.0))
    desk.on_trade(trade("T10", "AN-ID-THAT-IS-LONGER-THAN-ANY-ORDER-OF-OURS-CAN-HAVE", 5.0))
    assert (desk.fees_missing, desk.position.fees, desk.counts["foreign_fills"]) == (0, 0.06, 2)


def test_the_newest_wish_replaces_the_older_and_cancels_go_first(desk):
    order = resting_bid(desk)
    want(desk, bid=616_800)
    want(desk, ask=617_100)
    kinds = [action.kind for action in desk.actions(2)]
    assert kinds == [Kind.CANCEL, Kind.INSERT]
    assert order.state is OrderState.CANCELLING


def test_an_order_in_flight_gets_no_second_message(desk):
    order = resting_bid(desk)
    want(desk, bid=616_800)
    assert [action.kind for action in desk.actions(2)] == [Kind.AMEND]
    want(desk, bid=616_700)
    assert list(desk.actions(3)) == []
    assert desk.worst_case(1) == 10
    tell(desk, order, 4, change="amend")
    assert list(desk.actions(4)) == []  # a notice may be an old one: the answer counts
    desk.orders.on_amended(1, 616_800, 10, 5)
    (action,) = desk.actions(5)
    assert (action.kind, action.price_ticks) == (Kind.AMEND, 616_700)


def test_the_amount_of_an_amend_is_what_was_filled_plus_what_is_wanted(desk):
    order = resting_bid(desk)
    fill(desk, order, tell(desk, order, 2, "partially_filled", 4, "fill"), "T1", 4)
    want(desk, bid=616_800)
    (action,) = desk.actions(3)
    assert (action.kind, action.total_lots) == (Kind.AMEND, 14)


def test_too_near_the_opposite_side_an_amend_becomes_cancel_and_insert(desk):
    order = resting_bid(desk)
    want(desk, bid=616_997)
    assert [action.kind for action in desk.actions(2)] == [Kind.CANCEL]
    tell(desk, order, 3, "cancelled", 0, "cancel", delete_reason="client_cancel")
    assert [action.kind for action in desk.actions(4)] == [Kind.INSERT]
    assert desk.counts["cancelled"] == 1


@pytest.mark.parametrize("up", [True, False])
def test_an_amend_never_reaches_what_of_ours_rests_on_the_other_side(desk, up):
    want(desk, bid=616_900, ask=617_000)
    for action in list(desk.actions(1)):
        tell(desk, desk.orders.get(action.client_order_id), 1)
    if up:  # by more than our own spread, and nobody else near: the ask is still where the bid is to be
        want(desk, bid=617_000, ask=617_100, net=(616_000, 618_000))
    else:
        want(desk, bid=616_800, ask=616_900, net=(616_000, 618_000))
    cancel, amend = desk.actions(2)
    assert (cancel.kind, cancel.side) == (Kind.CANCEL, 1 if up else -1)
    assert (amend.kind, amend.side) == (Kind.AMEND, -cancel.side)


def test_an_order_on_its_way_out_of_reach_is_still_where_it_was(desk):
    want(desk, bid=616_900, ask=617_000)
    for action in list(desk.actions(1)):
        tell(desk, desk.orders.get(action.client_order_id), 1)
    want(desk, bid=616_900, ask=617_100, net=(616_000, 618_000))
    (amend,) = desk.actions(2)
    assert (amend.kind, amend.side) == (Kind.AMEND, -1)
    want(desk, bid=617_050, ask=617_100, net=(616_000, 618_000))
    (cancel,) = desk.actions(3)
    assert (cancel.kind, cancel.side) == (Kind.CANCEL, 1)


def test_a_stale_order_that_the_budget_keeps_from_moving_is_cancelled(desk):
    resting_bid(desk)
    desk.on_refused(Kind.AMEND, 1, THROTTLED, 2)  # the venue says that we sent too much: our budget is empty
    assert desk.counts["throttled"] == 1
    want(desk, bid=616_895)
    assert list(desk.actions(3)) == []
    want(desk, bid=616_700)
    assert [action.kind for action in desk.actions(3)] == [Kind.CANCEL]


def test_a_refused_amend_leaves_the_old_order_and_is_not_repeated_at_once(desk):
    order = resting_bid(desk)
    want(desk, bid=616_910)
    assert [action.kind for action in desk.actions(2)] == [Kind.AMEND]
    desk.on_refused(Kind.AMEND, 1, INSUFFICIENT_MARGIN, 3)
    assert (order.state, order.price_ticks, desk.worst_case(1)) == (OrderState.LIVE, 616_900, 10)
    assert list(desk.actions(4)) == []
    assert [action.kind for action in desk.actions(3 + REFUSALS_REMEMBERED_NS)] == [Kind.AMEND]


def test_a_refused_insert_is_not_repeated_at_once(desk):
    want(desk, bid=616_900)
    list(desk.actions(1))
    desk.on_refused(Kind.INSERT, 1, INSUFFICIENT_MARGIN, 2)
    assert (list(desk.actions(3)), desk.counts["rejected"], desk.worst_case(1)) == ([], 1, 0)
    assert [action.kind for action in desk.actions(2 + REFUSALS_REMEMBERED_NS)] == [Kind.INSERT]


@pytest.mark.parametrize("up", [True, False])
def test_what_would_have_taken_is_not_tried_again_as_near_until_the_book_tells_something_else(desk, up):
    side, name, net = (1, "bid", (616_900, 617_001)) if up else (-1, "ask", (616_999, 617_100))

    def wanted(ticks, net=net):
        want(desk, net=net, **{name: ticks})

    def tried(now_ns):
        sent = list(desk.actions(now_ns))
        for action in sent:
            order = desk.orders.get(action.client_order_id)
            tell(desk, order, now_ns, "cancelled", delete_reason="immediate_cancel")
        return [action.price_ticks for action in sent]

    wanted(617_000)
    assert tried(1) == [617_000]
    assert desk.counts["rejected"] == 1
    assert tried(2) == []
    wanted(617_000 + side)
    assert tried(3) == []
    wanted(617_000 - side)
    assert tried(4) == [617_000 - side]
    assert tried(5) == []
    wanted(617_000 - side, net=(net[0] - 3, net[1] + 3))
    assert tried(6) == [617_000 - side]
    assert tried(5 + REFUSALS_REMEMBERED_NS) == []
    assert tried(6 + REFUSALS_REMEMBERED_NS) == [617_000 - side]


def test_a_cancel_of_an_order_that_is_not_found_leaves_it_in_doubt_until_the_exchange_was_asked(desk):
    order = resting_bid(desk)
    want(desk)
    assert [action.kind for action in desk.actions(2)] == [Kind.CANCEL]
    desk.on_refused(Kind.CANCEL, 1, ORDER_NOT_FOUND, 3)
    assert (order.state, desk.worst_case(1)) == (OrderState.UNKNOWN, 10)  # it may have been filled
    assert desk.doubt_unanswered(3 + SECOND)
    desk.settle_doubts(set(), asked_ns=2, now_ns=4)  # asked before it was in doubt: proves nothing
    for asked_ns in (SECOND // 2, SECOND, 2 * SECOND):
        assert (order.state, desk.worst_case(1)) == (OrderState.UNKNOWN, 10)
        desk.settle_doubts(set(), asked_ns=asked_ns, now_ns=asked_ns + 1)
    assert (order.state, desk.worst_case(1)) == (OrderState.CANCELLED, 0)
    assert desk.orders.presumed == 1


def test_an_order_that_was_believed_gone_and_rests_is_cancelled_although_its_slot_has_another(desk):
    order = resting_bid(desk)
    desk.orders.doubt(1, 3)
    for asked_ns in (SECOND, 2 * SECOND, 3 * SECOND):
        desk.settle_doubts(set(), asked_ns=asked_ns, now_ns=asked_ns + 1)
    (action,) = desk.actions(3 * SECOND)
    assert (order.state, action.kind, action.client_order_id) == (OrderState.CANCELLED, Kind.INSERT, 2)
    tell(desk, order, 4 * SECOND)
    assert (order.state, desk.worst_case(1), desk.orders.illegal) == (OrderState.UNKNOWN, 20, 1)
    assert [(a.kind, a.client_order_id) for a in desk.actions(4 * SECOND)] == [(Kind.CANCEL, 1)]
    assert list(desk.actions(5 * SECOND)) == []  # its answer is under way
    assert [a.client_order_id for a in desk.cancels_for_all(4 * SECOND + DOUBT_AFTER_NS + 1)] == [1, 2]
    tell(desk, order, 7 * SECOND, "cancelled", 0, "cancel")
    assert (list(desk.actions(20 * SECOND)), desk.worst_case(1)) == ([], 10)


def test_an_order_that_was_believed_gone_and_is_still_in_its_slot_is_cancelled_and_not_amended(desk):
    order = resting_bid(desk)
    desk.orders.doubt(1, 3)
    for asked_ns in (SECOND, 2 * SECOND, 3 * SECOND):
        desk.settle_doubts(set(), asked_ns=asked_ns, now_ns=asked_ns + 1)
    assert order.state is OrderState.CANCELLED
    tell(desk, order, 4 * SECOND + 1, asked_ns=4 * SECOND)  # a list has it after all
    assert order.state is OrderState.LIVE
    want(desk, bid=616_800)
    assert [(a.kind, a.client_order_id) for a in desk.actions(5 * SECOND)] == [(Kind.CANCEL, 1)]


@pytest.mark.parametrize("kind", [Kind.INSERT, Kind.AMEND, Kind.CANCEL])
def test_a_message_without_an_answer_is_in_doubt_and_counts_until_settled(desk, kind):
    if kind is Kind.INSERT:
        want(desk, bid=616_900)
    else:
        resting_bid(desk)
        want(desk, bid=616_800 if kind is Kind.AMEND else None)
    assert [action.kind for action in desk.actions(2)] == [kind]
    later = 2 + DOUBT_AFTER_NS + 1
    assert not desk.doubt_unanswered(later)
    assert desk.orders.get(1).state is OrderState.UNKNOWN
    assert desk.worst_case(1) == 10
    assert desk.doubt_unanswered(later + SECOND)
    tell(desk, desk.orders.get(1), later + SECOND, asked_ns=later + 1)  # the list of open orders holds it
    assert desk.orders.get(1).state is OrderState.LIVE


def test_the_worst_case_a_side_may_not_pass_the_limit(desk):
    desk.start_with(95, 61_700.0)
    want(desk, bid=616_900, ask=617_100)
    assert [(action.kind, action.side) for action in desk.actions(1)] == [(Kind.INSERT, -1)]
    assert desk.counts["refused_by_limits"] == 1


def test_an_order_that_leads_beyond_the_limit_and_may_not_be_made_smaller_is_cancelled(desk):
    desk.start_with(80, 61_700.0)
    want(desk, bid=616_900, lots=20)
    (insert,) = desk.actions(1)
    order = desk.orders.get(insert.client_order_id)
    tell(desk, order, 1)
    desk.position.on_fill(1, 616_900, 10, 61_700.0)  # of an order that was believed gone
    assert desk.worst_case(1) == 110
    want(desk, bid=616_900, lots=10)
    (action,) = desk.actions(2)
    assert (action.kind, action.client_order_id) == (Kind.CANCEL, insert.client_order_id)


def test_an_amend_counts_what_was_told_as_filled_and_is_not_in_the_position_yet(desk):
    desk.start_with(85, 61_700.0)
    order = resting_bid(desk)
    item = tell(desk, order, 2, "partially_filled", 6, "fill")
    want(desk, bid=616_950)  # 85, 6 that are on their way, 10 more: beyond 100
    assert list(desk.actions(3)) == []
    assert desk.worst_case(1) <= 100
    fill(desk, order, item, "T1", 6)
    want(desk, bid=616_950, lots=9)
    assert [(action.kind, action.total_lots) for action in desk.actions(4)] == [(Kind.AMEND, 15)]
    assert desk.worst_case(1) == 100


@pytest.mark.parametrize(("bid", "lots"), [(500_000, 10), (616_900, 1001), (616_900, 0)])
def test_a_price_far_from_the_index_and_a_size_beyond_the_largest_are_refused(desk, bid, lots):
    want(desk, bid=bid, lots=lots)
    assert list(desk.actions(1)) == []


def test_a_taking_fill_ends_the_use_of_amends(desk):
    order = resting_bid(desk)
    item = tell(desk, order, 2, "partially_filled", 4, "fill")
    desk.on_fill(item, "T1", 0, order.price_ticks, 4, maker=False, exchange_time_ns=0, now_ns=2)
    want(desk, bid=616_800)
    assert [action.kind for action in desk.actions(3)] == [Kind.CANCEL]
    assert desk.counts["taker_fills"] == 1


def test_every_order_that_may_rest_is_cancelled_at_the_end(desk):
    want(desk, bid=616_900, ask=617_100)
    bid, ask = (desk.orders.get(action.client_order_id) for action in list(desk.actions(1)))
    tell(desk, bid, 2)
    assert bid.state is OrderState.LIVE
    assert ask.state is OrderState.INSERTING  # its answer is still under way
    assert {action.client_order_id for action in desk.cancels_for_all(3)} == {1, 2}
    assert list(desk.actions(4)) == []


def test_nothing_is_inserted_by_a_target_that_does_not_know_of_the_last_fill(desk):
    order = resting_bid(desk)
    want(desk, bid=616_900, ask=617_100)
    fill(desk, order, tell(desk, order, 2, "filled", 10, "fill"), "T1", 10)
    assert list(desk.actions(3)) == []  # the same bid again would be one for another position
    assert desk.held_since_ns == 3
    assert list(desk.actions(7)) == []
    assert desk.held_since_ns == 3  # it is the first look that counts
    want(desk, bid=616_850, ask=617_050)
    assert [(action.kind, action.side) for action in desk.actions(9)] == [(Kind.INSERT, 1), (Kind.INSERT, -1)]
    assert desk.held_since_ns == 0


def test_what_rests_is_moved_and_cancelled_also_by_a_target_that_does_not_know_of_the_last_fill(desk):
    bid = resting_bid(desk)
    want(desk, bid=616_900, ask=617_100)
    (action,) = desk.actions(2)
    ask = desk.orders.get(action.client_order_id)
    tell(desk, ask, 2)
    fill(desk, bid, tell(desk, bid, 3, "partially_filled", 4, "fill"), "T1", 4)
    want(desk, bid=616_800, account_fills=0)
    assert [(a.kind, a.side) for a in desk.actions(4)] == [(Kind.CANCEL, -1), (Kind.AMEND, 1)]
    assert desk.held_since_ns == 0  # no insert was kept back


def test_inserts_wait_for_no_answer_that_cannot_come(desk):
    """Whatever fills come in between: once the strategy has read the account as it stands, everything goes out."""
    account = records.blank(records.ACCOUNT)[0]
    for number in range(SECOND, 30 * SECOND, SECOND):
        want(desk, bid=616_900, ask=617_100)
        for action in list(desk.actions(number)):
            order = desk.orders.get(action.client_order_id)
            if number // SECOND % 3:
                fill(desk, order, tell(desk, order, number, "filled", 10, "fill"), f"T{number}", 10)
        list(desk.actions(number))
        desk.write_account(account, ready=True)
        assert account["fills"] == desk.position.fills
        want(desk, bid=616_900, ask=617_100, account_fills=account["fills"])
        list(desk.actions(number))
        slots = [slot for slot in desk.slots if slot.want_lots]
        assert len(slots) == 2
        assert all(desk.slots.order_of(slot) is not None for slot in slots)
        assert desk.held_since_ns == 0
        for slot in slots:
            order = desk.slots.order_of(slot)
            tell(desk, order, number, "cancelled", 0, "cancel", delete_reason="client_cancel")


def test_a_held_side_neither_inserts_nor_amends_and_still_cancels(desk):
    resting_bid(desk)
    want(desk, bid=616_920, ask=617_100, hold_bids=1, hold_asks=1)
    assert list(desk.actions(2)) == []
    want(desk, ask=617_100, hold_bids=1)
    assert [(a.kind, a.side) for a in desk.actions(3)] == [(Kind.CANCEL, 1), (Kind.INSERT, -1)]


def test_the_threshold_of_the_target_is_the_one_in_force(desk):
    resting_bid(desk)
    want(desk, bid=616_897)
    assert list(desk.actions(2)) == []  # 3 ticks of 10
    want(desk, bid=616_897, threshold_ticks=1)
    (action,) = desk.actions(3)
    assert (action.kind, action.price_ticks) == (Kind.AMEND, 616_897)


def outside(desk):
    """Return what the account says of it."""
    account = records.blank(records.ACCOUNT)[0]
    desk.write_account(account, ready=True)
    return int(account["outside_long_lots"]), int(account["outside_short_lots"])


def test_what_no_slot_holds_is_told_apart_from_what_the_slots_hold(desk):
    order = resting_bid(desk)
    want(desk, bid=616_900, ask=617_100)
    list(desk.actions(2))
    assert outside(desk) == (0, 0)  # a live and an inserting order, both in their slots
    want(desk, bid=616_800, ask=617_100)
    list(desk.actions(2))
    assert outside(desk) == (0, 0)  # an amend in flight
    item = tell(desk, order, 3, "partially_filled", 4, "fill")
    assert outside(desk) == (4, 0)  # told, and not in the position yet
    fill(desk, order, item, "T1", 4)
    assert (outside(desk), desk.position.lots) == ((0, 0), 4)
    item = tell(desk, order, 4, "filled", 10, "fill")
    assert outside(desk) == (6, 0)  # its order has ended, and its fill has not come
    fill(desk, order, item, "T2", 6)
    assert outside(desk) == (0, 0)


def test_an_order_that_rests_after_all_beside_another_in_its_slot_is_outside(desk):
    order = resting_bid(desk)
    desk.orders.doubt(1, 3)
    for asked_ns in (SECOND, 2 * SECOND, 3 * SECOND):
        desk.settle_doubts(set(), asked_ns=asked_ns, now_ns=asked_ns + 1)
    list(desk.actions(3 * SECOND))
    tell(desk, order, 4 * SECOND)
    assert (outside(desk), desk.worst_case(1)) == ((10, 0), 20)
