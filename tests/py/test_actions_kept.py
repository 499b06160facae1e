"""What is kept of execution's doings: every message, every reason for none, and nothing while nothing happens."""

import numpy as np
import pytest

from mftcore import Journal, JournalFull
from mftpy.decisions import ACTION, Outcome
from mftpy.execution.actions_kept import ActionsKept
from mftpy.execution.desk import REFUSALS_REMEMBERED_NS
from mftpy.execution.slots import Kind
from mftpy.venue.error_codes import THROTTLED
from tests.py import test_desk
from tests.py.test_desk import SECOND, fill, tell, want


class Writer:
    """A journal in a list, as far as it is used here."""

    def __init__(self):
        self.kept = []

    def append(self, kind, payload):
        assert kind == 1
        self.kept.append(np.frombuffer(bytes(payload), ACTION)[0])


desk = test_desk.desk


@pytest.fixture
def world(desk):
    return World(desk)


class World:
    """A desk and what is kept of it; a decision is a target, a turn sends what the desk names."""

    def __init__(self, desk):
        self.desk, self.writer, self.said = desk, Writer(), []
        self.kept = ActionsKept(desk, self.writer, self.said.append)
        self.decision_id = 0
        self.seen = 0

    def decide(self, **wishes):
        self.decision_id += 1
        want(self.desk, **wishes)
        self.kept.on_target(self.decision_id)

    def hold(self, **wishes):
        self.decision_id += 1
        want(self.desk, hold_bids=1, **wishes)
        self.kept.on_target(self.decision_id)

    def turn(self, now_ns):
        """Send, settle; returns (outcome, decision, price, lots, order) of what was kept since the last call."""
        for sent in self.desk.actions(now_ns):
            self.kept.sent(sent, now_ns + 1)
        self.kept.settle(now_ns)
        return self.news()

    def news(self):
        rows, self.seen = self.writer.kept[self.seen :], len(self.writer.kept)
        return [
            (
                Outcome(row["outcome"]).name,
                *(int(row[n]) for n in ("decision_id", "price_ticks", "lots", "client_order_id")),
            )
            for row in rows
        ]

    def live(self, number, now_ns=2):
        tell(self.desk, self.desk.orders.get(number), now_ns)


def test_an_insert_is_kept_once_and_nothing_follows_while_nothing_happens(world):
    world.decide(bid=616_900)
    assert world.turn(1) == [("INSERTED", 1, 616_900, 10, 1)]
    assert world.turn(2) == []
    world.live(1)
    for now_ns in range(3, 50):
        assert world.turn(now_ns) == []
    world.decide(bid=616_900)  # the same wish again: no decision about this slot
    assert world.turn(60) == []
    row = world.writer.kept[0]
    assert (row["side"], row["level"], row["time_ns"], row["sent_ns"]) == (1, 0, 2, 2)


def test_a_wish_within_the_threshold_rests_already_and_a_farther_one_is_an_amend(world):
    world.decide(bid=616_900)
    world.turn(1)
    world.live(1)
    world.turn(2)
    world.decide(bid=616_905)
    assert world.turn(3) == [("RESTS_ALREADY", 2, 616_900, 10, 1)]
    world.decide(bid=616_950)
    assert world.turn(4) == [("AMENDED", 3, 616_950, 10, 1)]
    world.decide(bid=616_800)
    assert world.turn(5) == [("WAITS_FOR_ANSWER", 4, 616_900, 10, 1)]
    world.desk.orders.on_amended(1, 616_950, 10, 6)
    world.live(1, 6)
    assert world.turn(6) == [("AMENDED", 4, 616_800, 10, 1)]


def test_a_cancel_is_kept_and_the_end_that_follows_it_is_not_an_end_of_another_kind(world):
    world.decide(bid=616_900)
    world.turn(1)
    world.live(1)
    world.decide()
    assert world.turn(2) == [("CANCELLED", 2, 616_900, 10, 1)]
    tell(world.desk, world.desk.orders.get(1), 3, "cancelled", 0, "cancel")
    assert world.turn(3) == []


def test_fills_are_kept_with_what_was_filled_and_an_end_that_was_not_ours_is(world):
    world.decide(bid=616_900, ask=617_100)
    world.turn(1)
    world.live(1)
    world.live(2)
    first = world.desk.orders.get(1)
    fill(world.desk, first, tell(world.desk, first, 2, "partially_filled", 4, "fill"), "T1", 4)
    assert world.turn(3) == [("FILLED", 1, 616_900, 4, 1), ("AMENDED", 1, 616_900, 10, 1)]
    fill(world.desk, first, tell(world.desk, first, 4, "filled", 10, "fill"), "T2", 6)
    tell(world.desk, world.desk.orders.get(2), 4, "cancelled", 0, "cancel")
    news = world.turn(5)
    assert news[:2] == [("FILLED", 1, 616_900, 6, 1), ("ENDED", 1, 617_100, 10, 2)]
    assert "ENDED" not in [outcome for outcome, *_ in news[2:]]


def test_a_fill_that_comes_after_the_slot_holds_another_order_is_kept(world):
    world.decide(bid=616_900)
    world.turn(1)
    first = world.desk.orders.get(1)
    item = tell(world.desk, first, 2, "filled", 10, "fill")  # the figure comes before its fill
    assert world.turn(3) == [("INSERTED", 1, 616_900, 10, 2)]
    fill(world.desk, first, item, "T1", 10)
    assert ("FILLED", 1, 616_900, 10, 1) in world.turn(4)


def test_what_the_budget_holds_back_is_kept_once(world):
    world.desk.matching.empty(1)
    world.decide(bid=616_900)
    assert world.turn(1) == [("THROTTLED", 1, 616_900, 10, 0)]
    assert world.turn(2) == []
    assert world.turn(SECOND) == [("INSERTED", 1, 616_900, 10, 1)]


def test_what_the_limits_refuse_is_kept_once_a_decision(world):
    world.decide(bid=616_900, lots=5000)
    assert world.turn(1) == [("REFUSED_BY_LIMITS", 1, 616_900, 5000, 0)]
    assert world.turn(2) == []
    world.decide(bid=616_900, lots=4000)
    assert world.turn(3) == [("REFUSED_BY_LIMITS", 2, 616_900, 4000, 0)]


def test_a_pause_after_a_refusal_is_kept(world):
    world.decide(bid=616_900)
    world.turn(1)
    world.desk.on_refused(Kind.INSERT, 1, 22, 2)
    assert world.turn(3) == [("ENDED", 1, 616_900, 10, 1), ("PAUSED_AFTER_REFUSAL", 1, 616_900, 10, 0)]
    assert world.turn(4) == []
    assert world.turn(REFUSALS_REMEMBERED_NS + 3) == [("INSERTED", 1, 616_900, 10, 2)]


def test_a_refusal_for_the_budget_is_told_as_one(world):
    world.decide(bid=616_900)
    world.turn(1)
    world.desk.on_refused(Kind.INSERT, 1, THROTTLED, 2)
    assert world.turn(3) == [("ENDED", 1, 616_900, 10, 1), ("THROTTLED", 1, 616_900, 10, 0)]


def test_a_side_that_may_have_been_filled_is_kept_as_held_only_where_it_differs(world):
    world.hold(bid=616_900)
    assert world.turn(1) == [("HELD_POSSIBLY_FILLED", 1, 616_900, 10, 0)]
    world.decide(bid=616_900)
    assert world.turn(2) == [("INSERTED", 2, 616_900, 10, 1)]
    world.live(1)
    world.hold(bid=616_900)
    assert world.turn(3) == [("RESTS_ALREADY", 3, 616_900, 10, 1)]
    world.hold(bid=616_950)
    assert world.turn(4) == [("HELD_POSSIBLY_FILLED", 4, 616_950, 10, 1)]


def test_an_insert_that_waits_for_a_decision_that_knows_of_the_last_fill_is_kept_as_waiting(world):
    world.decide(bid=616_900)
    world.turn(1)
    world.live(1)
    first = world.desk.orders.get(1)
    fill(world.desk, first, tell(world.desk, first, 2, "filled", 10, "fill"), "T1", 10)
    assert world.turn(3) == [("FILLED", 1, 616_900, 10, 1), ("WAITS_FOR_ANSWER", 1, 616_900, 10, 0)]
    world.decide(bid=616_890, account_fills=0)
    assert world.turn(4) == [("WAITS_FOR_ANSWER", 2, 616_890, 10, 0)]
    world.decide(bid=616_890)
    assert world.turn(5) == [("INSERTED", 2, 616_890, 10, 2)]


def test_what_is_pulled_is_kept_as_pulled(world):
    world.decide(bid=616_900, ask=617_100)
    world.turn(1)
    world.live(1)
    world.live(2)
    for sent in world.desk.cancels_for_all(5):
        world.kept.sent(sent, 6, pulled=True)
    world.kept.settle(6)
    assert world.news() == [("PULLED", 1, 616_900, 10, 1), ("PULLED", 1, 617_100, 10, 2)]


def test_without_a_journal_nothing_happens_and_a_full_one_is_no_trouble(world):
    class Full(Writer):
        def append(self, kind, payload):
            raise JournalFull("no room")

    for writer in (None, Full()):
        world.kept = ActionsKept(world.desk, writer, world.said.append)
        world.decide(bid=616_900 + world.decision_id * 50)
        world.turn(world.decision_id + 1)
    assert world.said == []


def test_a_journal_that_breaks_is_told_of_once_and_no_longer_written(world, tmp_path):
    with Journal.create(tmp_path / "j") as journal:
        writer = journal.writer(drain=True)
    world.kept = ActionsKept(world.desk, writer, world.said.append)
    world.decide(bid=616_900)
    world.turn(1)
    assert writer.sequence == 1
    writer.close()
    for ticks in (616_800, 616_700):
        world.live(1)
        world.decide(bid=ticks)
        world.turn(2)
    (sentence,) = world.said
    assert "no longer kept" in sentence
