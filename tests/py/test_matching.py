"""Price-time priority against a slow, obvious twin: one sorted list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mftpy.sim.matching import BUY, SELL, OrderBook, Resting

steps = st.lists(
    st.tuples(
        st.sampled_from(["order", "order", "cancel", "background", "shrink"]),
        st.sampled_from([BUY, SELL]),
        st.integers(1, 12),
        st.integers(0, 9),
    ),
    max_size=60,
)


class Twin:
    """All resting orders in one list, in the order in which they joined their lines."""

    def __init__(self):
        self.lines = []  # [side, price, lots, owner]

    def queue(self, side):
        mine = [line for line in self.lines if line[0] == side]
        return sorted(mine, key=lambda line: -side * line[1])  # stable: time within price

    def take(self, side, limit, lots):
        trades = []
        for line in self.queue(-side):
            if lots == 0 or side * (limit - line[1]) < 0:
                break
            part = min(lots, line[2])
            trades.append((line[1], part, line[3]))
            line[2] -= part
            lots -= part
        self.lines = [line for line in self.lines if line[2]]
        return trades, lots


@given(steps)
def test_book_and_twin_trade_the_same_and_are_never_crossed(steps):
    book, twin, resting, owners = OrderBook(), Twin(), {}, 0
    for kind, side, price, lots in steps:
        if kind == "order" and lots:
            owners += 1
            plan = book.plan(side, price, lots, lambda item: True)
            book.apply(plan)
            trades, left = twin.take(side, price, lots)
            assert [(match.price_ticks, match.lots, match.maker.owner) for match in plan] == trades
            assert sum(match.lots for match in plan) == lots - left
            if left:
                resting[owners] = Resting(side, price, left, owners)
                book.add(resting[owners])
                twin.lines.append([side, price, left, owners])
        elif kind in ("cancel", "shrink") and resting:
            owner = sorted(resting)[price % len(resting)]
            item = resting[owner]
            line = next((line for line in twin.lines if line[3] == owner), None)
            if line is None:
                assert item.lots == 0
            elif kind == "cancel":
                book.remove(item)
                twin.lines.remove(line)
            elif item.lots > 1:
                book.resize(item, item.lots - 1)
                line[2] -= 1
            if kind == "cancel" or line is None:
                del resting[owner]
        elif kind == "background" and not book.crosses(side, price):
            book.set_background(side, price, lots)
            have = sum(line[2] for line in twin.lines if line[:2] == [side, price] and line[3] is None)
            if lots > have:
                twin.lines.append([side, price, lots - have, None])
            for line in reversed([line for line in twin.lines if line[:2] == [side, price] and line[3] is None]):
                cut = min(max(have - lots, 0), line[2])
                line[2] -= cut
                have -= cut
            twin.lines = [line for line in twin.lines if line[2]]
        for one in (BUY, SELL):
            wanted = twin.queue(one)
            found = [(price, item.lots, item.owner) for price in book.prices(one) for item in book.queue(one, price)]
            assert found == [(line[1], line[2], line[3]) for line in wanted]
            assert book.total(one) == sum(line[2] for line in wanted)
        if book.best(BUY) is not None and book.best(SELL) is not None:
            assert book.best(BUY) < book.best(SELL)


def test_an_order_keeps_its_place_only_when_it_shrinks():
    book = OrderBook()
    item = Resting(BUY, 5, 3, "a")
    book.add(item)
    for lots in (0, 4, -1):
        with pytest.raises(ValueError, match="keeps its place"):
            book.resize(item, lots)


def test_a_plan_changes_nothing_and_stops_at_what_may_not_be_met():
    book = OrderBook()
    items = [Resting(SELL, price, lots, owner) for price, lots, owner in ((5, 2, "a"), (5, 3, "b"), (6, 4, "c"))]
    for item in items:
        book.add(item)
    book.changed.clear()
    plan = book.plan(BUY, None, 9, lambda item: True)
    assert [(match.maker, match.price_ticks, match.lots) for match in plan] == [
        (items[0], 5, 2),
        (items[1], 5, 3),
        (items[2], 6, 4),
    ]
    assert sum(match.lots for match in book.plan(BUY, 5, 9, lambda item: True)) == 5
    assert [match.lots for match in book.plan(BUY, None, 9, lambda item: item.owner != "b")] == [2]
    assert (book.total(SELL), book.changed) == (9, set())


def test_turns_are_in_the_order_of_joining_a_line():
    book = OrderBook()
    items = [Resting(BUY, price, 1) for price in (5, 7, 5, 6)]
    for item in items:
        book.add(item)
    assert [item.turn for item in items] == sorted(item.turn for item in items)
    assert list(book.queue(BUY, 5)) == [items[0], items[2]]
    assert list(book.prices(BUY)) == [7, 6, 5]
    assert list(book.queue(BUY, 4)) == []


def test_each_level_that_changes_is_noted_and_empty_ones_leave_nothing():
    book = OrderBook()
    book.set_background(SELL, 9, 4)
    item = Resting(SELL, 9, 2, "a")
    book.add(item)
    assert (book.size(SELL, 9), book.background(SELL, 9), book.changed) == (6, 4, {(SELL, 9)})
    book.changed.clear()
    book.apply(book.plan(BUY, 9, 6, lambda item: True))
    assert book.changed == {(SELL, 9)}
    assert (book.best(SELL), book.size(SELL, 9), book.background(SELL, 9), book.total(SELL)) == (None, 0, 0, 0)
    book.changed.clear()
    book.set_background(SELL, 9, 0)
    assert book.changed == set()
