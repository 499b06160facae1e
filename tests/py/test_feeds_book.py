"""Snapshot and changes are the book, for every subscriber of every channel; against the slow way of computing it."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mftpy.sim.feeds_book import BookTopic, Ladder
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.settings import ExchangeSettings
from tests.py.exchange_box import QUIET, Box
from tests.py.feeds_rig import MS, PRICE, Rig, shown_book

GROUPINGS = {"none": 1, "1": 1, "2": 2, "5.0": 5, "7": 7, "1000": 1000}
LEVELS = {"all": None, "1": 1, "2": 2, "3": 3, "1000": 1000}
DELAYS = {"raw": 0, "100ms": 100, "500ms": 500}

steps = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", "amend", "cancel", "level", "book", "take", "time", "time", "subscribe"]),
        st.sampled_from([BUY, SELL]),
        st.integers(-8, 8),
        st.integers(0, 9),
    ),
    max_size=50,
)
channels = st.lists(
    st.tuples(st.sampled_from(sorted(GROUPINGS)), st.sampled_from(sorted(LEVELS)), st.sampled_from(sorted(DELAYS))),
    min_size=1,
    max_size=6,
    unique=True,
)


class Reader:
    """One subscriber's book, kept as any client would."""

    def __init__(self, name, step_ticks, levels, interval_ns):
        self.name, self.step_ticks, self.levels, self.interval_ns = name, step_ticks, levels, interval_ns
        self.book = None
        self.totals = None
        self.trades = []
        self.last_ns = None

    def hear(self, message, now_ns):
        said = message["notification"]
        if message.get("snapshot", False):
            self.book = {BUY: {}, SELL: {}}
            assert said["trades"] == []
        else:
            assert self.last_ns is None or now_ns - self.last_ns >= self.interval_ns
            self.last_ns = now_ns
        for side, name in ((BUY, "bid_changes"), (SELL, "ask_changes")):
            prices = [price for price, _, _ in said[name]]
            assert prices == sorted(set(prices), reverse=side == BUY)
            for price, amount, outright in said[name]:
                assert outright == amount
                if amount:
                    self.book[side][price] = amount
                else:
                    del self.book[side][price]  # only what was shown is removed
        self.totals = (said["total_bid_amount"], said["total_ask_amount"])
        self.trades += said["trades"]
        if self.book[BUY] and self.book[SELL]:
            assert max(self.book[BUY]) < min(self.book[SELL])

    def check(self, contract):
        assert self.book == shown_book(contract, self.step_ticks, self.levels), self.name
        assert self.totals == tuple(contract.listed.amount(contract.book.total(side)) for side in (BUY, SELL))


class World:
    """A rig, and readers of book channels that come early and late."""

    def __init__(self, wanted):
        self.rig = Rig()
        self.wanted = wanted
        self.readers = {}
        self.orders = []
        self.prints = 0
        contract = self.rig.perpetual
        note = contract.trade
        contract.trade = lambda *trade: (setattr(self, "prints", self.prints + 1), note(*trade))

    def subscribe(self, pick):
        grouping, levels, delay = self.wanted[pick % len(self.wanted)]
        name = f"book.BTC-PERPETUAL.{grouping}.{levels}.{delay}"
        session = self.rig.session()
        reader = Reader(name, GROUPINGS[grouping], LEVELS[levels], DELAYS[delay] * MS)
        self.readers[session.number] = reader
        before = len(self.rig.told[session.number])
        self.rig.subscribe(session, name)
        (snapshot,) = self.rig.told[session.number][before:]
        reader.hear(json.loads(snapshot), self.rig.clock.now_ns)
        return reader

    def deliver(self, outputs):
        """Let readers hear; whoever has heard something must know the book as it is now, and agree with its fellows."""
        for number, payload in outputs:
            self.readers[number].hear(json.loads(payload), self.rig.clock.now_ns)
            self.readers[number].check(self.rig.perpetual)
        fellows = {}
        for reader in self.readers.values():
            if reader.interval_ns == 0:
                reader.check(self.rig.perpetual)
            first = fellows.setdefault(reader.name, reader)
            assert (first.book, first.totals) == (reader.book, reader.totals)

    def pass_time(self, ms):
        rig = self.rig
        end = rig.clock.now_ns + ms * MS
        while (due := rig.feeds.next_due_ns()) is not None and due <= end:
            rig.clock.now_ns = due
            self.deliver(rig.collect())
        rig.clock.now_ns = end
        self.deliver(rig.collect())

    def step(self, kind, side, away, lots):
        rig, market, price = self.rig, self.rig.market, PRICE + away
        if kind == "insert" and lots:
            self.orders.append(rig.insert(self.trader, side, price, lots))
        elif kind in ("amend", "cancel") and self.orders:
            order = self.orders[away % len(self.orders)]
            if order is not None and kind == "amend":
                rig.amend(order, price, lots)
            elif order is not None:
                rig.cancel(order)
        elif kind == "level" and (not lots or not self._background_at(-side, price)):
            market.set_level(side, price, lots)
        elif kind == "book":
            middle = PRICE + away
            market.set_background(
                {
                    one: {middle - one * (near + 1): (lots + near) % 10 + 1 for near in range(lots)}
                    for one in (BUY, SELL)
                }
            )
        elif kind == "take" and lots:
            market.take(side, None if away > 4 else price, lots)
        elif kind == "subscribe":
            self.subscribe(away + lots)
        if kind == "time":
            self.pass_time(lots * 37)
        else:
            self.deliver(rig.collect())

    def _background_at(self, side, price):
        """Whether background of this side would be crossed at a price: flows do not cross themselves."""
        best = self.rig.market.best(side)
        return best is not None and side * (best - price) >= 0

    @property
    def trader(self):
        return self.rig.sessions.get(0) or self.rig.session(0)


def play(wanted, steps):
    world = World(wanted)
    assert world.trader.number == 0
    early = [world.subscribe(number) for number in range(len(wanted))]
    for step in steps:
        world.step(*step)
    world.pass_time(1000)
    assert world.rig.feeds.next_due_ns() is None
    for reader in world.readers.values():
        reader.check(world.rig.perpetual)
    for reader in early:
        assert len(reader.trades) == world.prints


@settings(max_examples=300)
@given(channels, steps)
def test_snapshot_and_changes_are_the_book_for_every_subscriber(wanted, steps):
    play(wanted, steps)


def drawn_steps(seed, count):
    """Draw steps by a plain seed, more than hypothesis would."""
    draw = random.Random(seed)
    kinds = ["insert", "amend", "cancel", "level", "book", "take", "time", "subscribe"]
    weights = [6, 3, 3, 4, 1, 3, 4, 1]
    return [
        (kind, draw.choice([BUY, SELL]), draw.randint(-8, 8), draw.randint(0, 9))
        for kind in draw.choices(kinds, weights, k=count)
    ]


ALL = [(grouping, levels, delay) for grouping in ("none", "5.0") for levels in ("all", "2") for delay in DELAYS]


def test_a_long_run_with_all_kinds_of_channels():
    play(ALL, drawn_steps(1, 250))


@pytest.mark.parametrize("planted", ["window", "grouping", "shown"])
def test_the_check_finds_a_planted_mistake(planted, monkeypatch):
    if planted == "window":  # levels that others push out of the window stay
        window = BookTopic._window
        monkeypatch.setattr(
            BookTopic,
            "_window",
            lambda self, side: list(self._shown[side]) if hasattr(self, "_shown") else window(self, side),
        )
    elif planted == "grouping":  # asks stand at the step below
        move = Ladder.move

        def wrong(self, side, price_ticks, more_lots):
            return move(self, side, price_ticks // self.step_ticks * self.step_ticks, more_lots)

        monkeypatch.setattr(Ladder, "move", wrong)
    else:  # a view that forgets every fifth change
        touch = BookTopic.touch
        monkeypatch.setattr(BookTopic, "touch", lambda self, side, key: touch(self, side, key) if key % 5 else None)
    with pytest.raises((AssertionError, KeyError)):
        play(ALL, drawn_steps(1, 250))


def test_over_a_minute_of_a_flow_every_book_is_known_at_every_message(monkeypatch):
    box = Box(**{name: getattr(ExchangeSettings(), name) for name in QUIET})
    exchange, readers = box.exchange, {}
    for grouping, levels, delay in ALL:
        name = f"book.BTC-PERPETUAL.{grouping}.{levels}.{delay}"
        client = box.connect()
        assert client.call("public/subscribe", channels=[name]) == [name]
        reader = readers[client.number] = Reader(name, GROUPINGS[grouping], LEVELS[levels], DELAYS[delay] * MS)
        (snapshot,) = client.take(name)
        reader.hear(snapshot, exchange.clock.now_ns)
    heard, collect = [], exchange.feeds.collect

    def collect_and_check():
        outputs = collect()
        for number, payload in outputs:
            readers[number].hear(json.loads(payload), exchange.clock.now_ns)
            readers[number].check(box.contract())
        heard.extend(outputs)
        return outputs

    monkeypatch.setattr(exchange.feeds, "collect", collect_and_check)
    exchange.advance(box.now_ns + 60_000 * MS)
    assert len(heard) > 1000
    assert all(len(reader.trades) > 10 for reader in readers.values())


def test_steps_and_depths_are_shown_as_asked():
    rig = Rig()
    for side, near in ((BUY, 1), (BUY, 3), (BUY, 6), (SELL, 1), (SELL, 4), (SELL, 11)):
        rig.market.set_level(side, PRICE - side * near, 10 + near)
    session = rig.session()
    name = "book.BTC-PERPETUAL.5.2.raw"
    rig.subscribe(session, name)
    ((flagged, said),) = rig.heard(session, name)
    assert flagged
    assert said["bid_changes"] == [[61695.0, 0.024, 0.024], [61690.0, 0.016, 0.016]]
    assert said["ask_changes"] == [[61705.0, 0.025, 0.025], [61715.0, 0.021, 0.021]]
    assert (said["total_bid_amount"], said["total_ask_amount"]) == (0.04, 0.046)
    rig.market.set_level(SELL, PRICE + 7, 5)  # a step between the two: the last one leaves
    rig.market.set_level(BUY, PRICE - 30, 1)  # beyond what is shown: only the total tells
    rig.collect()
    _, (flagged, said) = rig.heard(session, name)
    assert not flagged
    assert said["ask_changes"] == [[61710.0, 0.005, 0.005], [61715.0, 0.0, 0.0]]
    assert said["bid_changes"] == []
    assert said["total_bid_amount"] == 0.041


def test_a_change_that_is_taken_back_before_it_is_told_is_not_told():
    rig = Rig()
    session = rig.session()
    rig.subscribe(session, "book.BTC-PERPETUAL.none.all.100ms")
    rig.market.set_level(BUY, PRICE, 5)
    assert rig.collect() == []
    rig.market.set_level(BUY, PRICE, 0)
    assert rig.run(500) == []


def test_the_first_change_after_a_quiet_time_is_told_at_once_and_the_next_ones_together():
    rig = Rig()
    session = rig.session()
    rig.subscribe(session, "book.BTC-PERPETUAL.none.all.100ms")
    rig.run(1000)
    for number in range(3):
        rig.market.set_level(BUY, PRICE - number, 5)
        assert len(rig.collect()) == (number == 0)
        rig.clock.now_ns += 10 * MS
    assert rig.feeds.next_due_ns() == 1100 * MS
    ((_, payload),) = rig.run(500)
    assert [level[0] for level in json.loads(payload)["notification"]["bid_changes"]] == [61699.0, 61698.0]


def test_a_late_subscriber_is_shown_what_the_others_know():
    rig = Rig()
    early, late = rig.session(), rig.session()
    name = "book.BTC-PERPETUAL.none.all.60000ms"
    rig.market.set_level(BUY, PRICE, 5)
    rig.subscribe(early, name)
    rig.clock.now_ns += 5 * MS
    rig.market.set_level(BUY, PRICE + 1, 5)
    rig.subscribe(late, name)  # before the change is even collected
    rig.collect()
    rig.clock.now_ns += 5 * MS
    rig.subscribe(late, name)
    states = [said for flagged, said in rig.heard(late, name) if flagged]
    assert len(states) == 2
    for said in states:
        assert said["bid_changes"] == [[61700.0, 0.005, 0.005]]
    assert states[1]["time"] == states[0]["time"] < rig.clock.unix_s  # of the view, not of the moment
    first, second = rig.run(60_000)
    assert first[1] is second[1]


def test_more_trades_than_one_message_holds_leave_the_last_ones():
    rig = Rig()
    session = rig.session()
    name = "book.BTC-PERPETUAL.none.all.5000ms"
    rig.subscribe(session, name)
    for number in range(2500):
        rig.market.print_trade(PRICE, number + 1, BUY)
        rig.collect()
    rig.run(6000)
    _, (_, said) = rig.heard(session, name)
    assert len(said["trades"]) == 1000
    assert said["trades"][-1][:3] == [61700.0, 2.5, "buy"]
