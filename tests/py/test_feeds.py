"""Who is told what and when: names, subscriptions, orders, trades, portfolio, periodic and delayed channels."""

import gc
import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mftpy.sim.feeds import MOST_CHANNELS
from mftpy.sim.feeds_book import BookTopic
from mftpy.sim.feeds_names import DELAYS_MS, PRIVATE
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.requests import IOC
from tests.py.feeds_rig import MS, PRICE, Rig
from tests.shared_data import shared_path

PUBLIC = [
    "book.BTC-PERPETUAL.none.all.raw",
    "book.BTC-PERPETUAL.5.3.100ms",
    "book.ETH-PERPETUAL.0.5.10.1000ms",
    "ticker.BTC-PERPETUAL.raw",
    "ticker.BTC-26JUN26.100ms",
    "ticker.ETH-PERPETUAL.raw",
    "lwt.BTC-PERPETUAL.raw",
    "lwt.ETH-PERPETUAL.200ms",
    "price_index.BTCUSD",
    "price_index.ETHUSD",
    "recent_trades.BTC-PERPETUAL.single",
    "recent_trades.BTCUSD.all",
    "recent_trades.BTCUSD.options",
    "recent_trades.BTCUSD.future_rolls",
    "instruments",
    "system",
]
ACCOUNT = sorted(PRIVATE)


# names


@pytest.mark.parametrize("name", PUBLIC)
def test_public_channels_are_for_everybody(name):
    feeds = Rig().feeds
    assert feeds.is_channel(name, private=False)
    assert feeds.is_channel(name, private=True)


@pytest.mark.parametrize("name", ACCOUNT)
def test_private_channels_need_private_subscribe_and_a_login(name):
    rig = Rig()
    assert not rig.feeds.is_channel(name, private=False)
    assert rig.feeds.is_channel(name, private=True)
    stranger = rig.session()
    assert rig.feeds.subscribe(stranger, name) == []
    assert stranger.channels == {}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "book",
        "book.BTC-PERPETUAL",
        "book.BTC-PERPETUAL.none.all",
        "book.BTC-PERPETUAL.none.all.raw\n",
        " book.BTC-PERPETUAL.none.all.raw",
        "book.BTC-PERPETUAL.none.all.50ms",
        "book.BTC-PERPETUAL.none.all.RAW",
        "book.btc-perpetual.none.all.raw",
        "book.DOGE-PERPETUAL.none.all.raw",
        "book.BTC-PERPETUAL.none.0.raw",
        "book.BTC-PERPETUAL.none.1001.raw",
        "book.BTC-PERPETUAL.none.01.raw",
        "book.BTC-PERPETUAL.none.-1.raw",
        "book.BTC-PERPETUAL.none.1e3.raw",
        "book.BTC-PERPETUAL.none.٣.raw",
        "book.BTC-PERPETUAL.٣.all.raw",
        "book.BTC-PERPETUAL.0.1.raw",
        "book.BTC-PERPETUAL.0.all.raw",
        "book.BTC-PERPETUAL.0.0.all.raw",
        "book.BTC-PERPETUAL.0.5.all.raw",
        "book.BTC-PERPETUAL.1.5.all.raw",
        "book.BTC-PERPETUAL.05.all.raw",
        "book.BTC-PERPETUAL.-5.all.raw",
        "book.BTC-PERPETUAL.nan.all.raw",
        "book.BTC-PERPETUAL." + "9" * 400 + ".all.raw",
        "book.BTC-PERPETUAL.none." + "9" * 400 + ".raw",
        "book." + "A" * 100_000 + ".none.all.raw",
        "book.[BTC-26JUN26:1,BTC-PERPETUAL:-1].none.all.raw",
        "ticker.BTC-PERPETUAL",
        "ticker.NOT_EXISTING.raw",
        "ticker.BTC-PERPETUAL.none.raw",
        "lwt.BTCUSD.raw",
        "price_index.BTC",
        "price_index.BTC-PERPETUAL",
        "recent_trades.BTC-PERPETUAL.all",
        "recent_trades.BTCUSD.single",
        "recent_trades.BTCUSD",
        "session.orders ",
        "account.*",
        "orders",
        "index.BTC",
        "session.mm_protection",
    ],
)
def test_what_is_no_channel_is_refused(name):
    rig = Rig()
    session = rig.session(0)
    assert not rig.feeds.is_channel(name, private=True)
    assert rig.feeds.subscribe(session, name) == []
    assert session.channels == {}
    assert not rig.feeds.unsubscribe(session, name)


def test_a_step_of_prices_is_read_as_a_decimal():
    rig = Rig()
    assert rig.feeds.is_channel("book.ETH-PERPETUAL.0.3.all.raw", private=False)  # 0.3 is no multiple of 0.1 in floats
    assert rig.feeds.is_channel("book.ETH-PERPETUAL.0.30000000.1.raw", private=False)
    assert not rig.feeds.is_channel("book.ETH-PERPETUAL.0.25.all.raw", private=False)


# subscriptions


def test_a_second_subscription_shows_the_snapshot_again_and_changes_nothing_else():
    rig = Rig()
    session = rig.session(0)
    rig.subscribe(session, *PUBLIC, *ACCOUNT)
    first = list(rig.told[session.number])
    rig.subscribe(session, *PUBLIC, *ACCOUNT)
    assert rig.told[session.number] == first * 2
    rig.market.set_level(BUY, PRICE - 1, 5)
    outputs = rig.collect()
    assert len(outputs) == len(set(outputs)) > 2


def test_everybody_gets_the_same_bytes():
    rig = Rig()
    sessions = [rig.session(0) for _ in range(3)]
    shared = [name for name in (*PUBLIC, *ACCOUNT) if name != "session.orders"]
    for session in sessions:
        rig.subscribe(session, *shared)
    rig.market.set_level(SELL, PRICE + 1, 5)
    rig.insert(sessions[0], BUY, PRICE + 1, 3)
    rig.market.set_index((PRICE + 7) * UNIT)
    outputs = rig.collect() + rig.run(1500)
    heard = {json.loads(payload)["channel_name"] for _, payload in outputs}
    assert heard >= {*ACCOUNT, "price_index.BTCUSD", "recent_trades.BTCUSD.all"} - {"session.orders"}
    per_session = [[payload for number, payload in outputs if number == session.number] for session in sessions]
    for other in per_session[1:]:
        assert [id(payload) for payload in other] == [id(payload) for payload in per_session[0]]


def test_who_has_unsubscribed_or_gone_hears_no_more():
    rig = Rig()
    stays, leaves, goes = (rig.session(0) for _ in range(3))
    for session in (stays, leaves, goes):
        rig.subscribe(session, *PUBLIC, *ACCOUNT)
    for name in (*PUBLIC, *ACCOUNT):
        assert rig.feeds.unsubscribe(leaves, name)
        assert not rig.feeds.unsubscribe(leaves, name)
    rig.feeds.drop(goes)
    assert leaves.channels == goes.channels == {}
    rig.market.set_level(SELL, PRICE + 1, 5)
    rig.insert(stays, BUY, PRICE + 1, 3)
    outputs = rig.collect() + rig.run(3000) + rig.feeds.announce_reconnect()
    assert {number for number, _ in outputs} == {stays.number}
    rig.feeds.drop(stays)
    rig.market.set_level(SELL, PRICE + 2, 5)
    assert rig.run(120_000) == []
    assert rig.feeds.next_due_ns() is None


def test_without_subscribers_the_lists_are_emptied_and_nothing_becomes_due():
    rig = Rig()
    trader = rig.session(0)
    rig.market.set_level(SELL, PRICE + 1, 5)
    rig.insert(trader, BUY, PRICE + 1, 3)
    assert rig.collect() == []
    assert rig.trading.told == rig.clearing.records == rig.perpetual.prints == []
    assert rig.clearing.moved == rig.perpetual.book.changed == set()
    assert rig.feeds.next_due_ns() is None


def test_ten_thousand_subscriptions_are_cut_at_the_limit_and_do_not_reach_others():
    rig = Rig()
    greedy, modest = rig.session(), rig.session()
    names = [
        f"book.{name}.{step}.{levels}.{delay}"
        for levels in range(1, 501)
        for step in ("none", "5")
        for delay in ("1000ms", "5000ms", "60000ms", "500ms", "200ms")
        for name in ("BTC-PERPETUAL", "ETH-PERPETUAL")
    ]
    assert len(names) == 10_000
    for name in names:
        rig.feeds.subscribe(greedy, name)
    assert len(greedy.channels) == MOST_CHANNELS
    assert list(greedy.channels) == names[:MOST_CHANNELS]
    rig.subscribe(modest, "book.BTC-PERPETUAL.none.all.raw")
    rig.market.set_level(BUY, PRICE, 5)
    assert len([1 for number, _ in rig.collect() if number == modest.number]) == 1
    assert len(rig.run(60_000)) == MOST_CHANNELS // 2  # every other one is of this contract
    assert rig.feeds.unsubscribe(greedy, names[0])
    rig.feeds.subscribe(greedy, names[-1])
    assert names[-1] in greedy.channels
    rig.feeds.drop(greedy)
    rig.market.set_level(BUY, PRICE, 6)
    assert [number for number, _ in rig.run(60_000)] == [modest.number]


def test_topics_that_are_left_before_they_are_due_do_not_pile_up():
    rig = Rig()
    session = rig.session()
    rig.subscribe(session, "book.BTC-PERPETUAL.none.all.60000ms")
    for number in range(5000):
        name = f"book.BTC-PERPETUAL.none.{number % 1000 + 1}.60000ms"
        rig.subscribe(session, name)
        rig.market.set_level(BUY, PRICE - 1, number % 9 + 1)
        rig.collect()
        rig.feeds.unsubscribe(session, name)
    objects = [one for one in gc.get_objects() if type(one) is BookTopic]  # isinstance would ask dead proxies
    assert len(objects) < 2500
    assert [number for number, _ in rig.run(60_000)] == [session.number]


def test_what_is_too_much_for_one_message_comes_in_several_at_once():
    rig = Rig()
    quoter, taker = rig.session(0), rig.session(1)
    for session in (quoter, taker):
        rig.subscribe(session, "account.orders", "account.trade_history", "recent_trades.BTC-PERPETUAL.single")
    for _ in range(3):  # a thousand orders each, before the feeds look
        while len(rig.accounts[0].orders) < 1000:
            rig.insert(quoter, BUY, PRICE, 1, label="x" * 64)
        rig.insert(taker, SELL, PRICE, 1000, time_in_force=IOC)
    rig.run(30)
    assert max(len(payload) for payload in rig.told[quoter.number]) < 2**20
    orders = [items for flagged, items in rig.heard(quoter, "account.orders") if not flagged]
    assert [len(items) for items in orders] == [1000] * 6
    assert sum(len(item["fills"]) for items in orders for item in items) == 3000
    lines = [items for _, items in rig.heard(quoter, "account.trade_history")]
    assert [len(items) for items in lines] == [1000, 1000, 1000]
    assert len({line["trade_id"] for items in lines for line in items}) == 3000
    trades = [items for _, items in rig.heard(taker, "recent_trades.BTC-PERPETUAL.single")]
    assert [len(items) for items in trades] == [0, 1000, 1000, 1000]


# orders, trades, portfolio


def test_each_order_feed_tells_of_its_own_orders():
    rig = Rig()
    quoter, sibling, stranger = rig.session(0), rig.session(0), rig.session(1)
    quoter.arm(6, 0)
    for session in (quoter, sibling, stranger):
        rig.subscribe(session, "session.orders", "account.orders", "account.persistent_orders")
    mine = rig.insert(quoter, BUY, PRICE - 5, 10, client_order_id=7)
    rig.collect()
    theirs = rig.insert(sibling, BUY, PRICE - 6, 10)
    rig.insert(stranger, SELL, PRICE - 5, 4, time_in_force=IOC)
    rig.collect()

    def updates(session, name):
        return [
            (item["order_id"], item["change_reason"], item["status"], len(item["fills"]))
            for flagged, items in rig.heard(session, name)
            if not flagged
            for item in items
        ]

    filled = [(mine.order_id, "insert", "open", 0), (mine.order_id, "fill", "partially_filled", 1)]
    assert updates(quoter, "session.orders") == filled
    assert updates(sibling, "session.orders") == [(theirs.order_id, "insert", "open", 0)]
    assert sorted(updates(quoter, "account.orders")) == sorted([*filled, (theirs.order_id, "insert", "open", 0)])
    assert updates(sibling, "account.persistent_orders") == [(theirs.order_id, "insert", "open", 0)]
    assert [item[1:3] for item in updates(stranger, "account.orders")] == [("insert", "filled")]
    assert rig.heard(quoter, "session.orders")[0] == (True, [])
    for payload in rig.told[stranger.number]:
        assert mine.order_id.encode() not in payload


def test_open_orders_are_shown_to_a_new_subscriber_and_again_on_demand_with_all_fills():
    rig = Rig()
    quoter, taker, watcher = rig.session(0), rig.session(1), rig.session(0)
    order = rig.insert(quoter, BUY, PRICE - 5, 10)
    for _ in range(2):
        rig.insert(taker, SELL, PRICE - 5, 3, time_in_force=IOC)
    rig.collect()
    rig.subscribe(watcher, "account.orders", "session.orders")
    rig.told[watcher.number] += rig.feeds.replay_existing(watcher)
    assert rig.heard(watcher, "session.orders") == [(True, []), (True, [])]
    shown = rig.heard(watcher, "account.orders")
    assert len(shown) == 2
    for flagged, (item,) in shown:
        assert flagged
        assert (item["order_id"], item["change_reason"], len(item["fills"])) == (order.order_id, "existing", 2)
        assert (item["filled_amount"], item["remaining_amount"]) == (0.006, 0.004)


def test_the_trade_history_comes_20_ms_after_the_notices():
    rig = Rig()
    quoter, taker = rig.session(0), rig.session(1)
    for session in (quoter, taker):
        rig.subscribe(session, "account.orders", "account.trade_history")
    rig.insert(quoter, BUY, PRICE - 5, 10)
    for wait in (0, 5):
        rig.clock.now_ns += wait * MS
        rig.insert(taker, SELL, PRICE - 5, 3, time_in_force=IOC)
        rig.collect()
    assert rig.heard(quoter, "account.trade_history") == []
    assert len(rig.heard(quoter, "account.orders")) == 3
    assert rig.feeds.next_due_ns() == 20 * MS
    rig.run(30)
    lines = [items for _, items in rig.heard(quoter, "account.trade_history")]
    assert [len(items) for items in lines] == [1, 1]
    assert [(one["direction"], one["maker_taker"], one["amount"], one["position_after"]) for (one,) in lines] == [
        ("buy", "maker", 0.003, 0.003),
        ("buy", "maker", 0.003, 0.006),
    ]
    updates = [item for _, items in rig.heard(quoter, "account.orders") for item in items]
    fills = [fill["trade_id"] for item in updates for fill in item["fills"]]
    assert [one["trade_id"] for (one,) in lines] == fills
    assert [one["trade_id"] for _, (one,) in rig.heard(taker, "account.trade_history")] == fills


def test_of_one_event_orders_are_told_first_then_markets_then_portfolios():
    rig = Rig()
    trader = rig.session(0)
    names = ["account.portfolio", "book.BTC-PERPETUAL.none.all.raw", "account.orders", "session.orders"]
    rig.subscribe(trader, *names)
    rig.market.set_level(SELL, PRICE, 5)
    rig.collect()
    rig.insert(trader, BUY, PRICE, 5)
    heard = [json.loads(payload)["channel_name"] for _, payload in rig.collect()]
    assert heard == names[::-1]


trades = st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 9), st.booleans()), max_size=30)


@settings(max_examples=50)
@given(trades, st.integers(0, 30))
def test_the_portfolio_told_is_the_sum_of_the_fills_told(trades, when):
    rig = Rig()
    trader, other, late = rig.session(0), rig.session(1), rig.session(0)
    names = ("session.orders", "account.portfolio")
    rig.subscribe(trader, *names)
    assert rig.heard(trader, "account.portfolio") == [(True, [])]
    for number, (side, lots, twice) in enumerate(trades):
        if number == when:
            rig.subscribe(late, *names)
        rig.insert(other, -side, PRICE, lots)
        if twice:  # two fills before the feeds look
            rig.insert(trader, side, PRICE, max(lots // 2, 1), time_in_force=IOC)
        rig.insert(trader, side, PRICE, lots, time_in_force=IOC)
        rig.collect()
        told = sum(
            (1 if item["direction"] == "buy" else -1) * round(fill["amount"] * 1000)
            for _, items in rig.heard(trader, "session.orders")
            for item in items
            for fill in item["fills"]
        )
        for session in (trader, *([late] if number >= when else [])):
            lines = [line for _, items in rig.heard(session, "account.portfolio") for line in items]
            assert round((lines[-1]["position"] if lines else 0) * 1000) == told
        assert rig.accounts[0].position(rig.perpetual).lots == told
        for order in list(rig.trading.orders.values()):
            rig.cancel(order)


def test_the_portfolio_is_told_again_when_the_mark_has_moved_by_more_than_one_percent():
    rig = Rig()
    trader = rig.session(0)
    rig.market.set_level(SELL, PRICE, 100)
    rig.insert(trader, BUY, PRICE, 10)
    rig.collect()
    rig.subscribe(trader, "account.portfolio")

    def moved(usd):
        rig.perpetual.underlying.index_units = usd * UNIT
        rig.collect()
        return len(rig.heard(trader, "account.portfolio"))

    assert moved(PRICE + 617) == 1
    assert moved(PRICE + 618) == 2
    assert moved(PRICE + 1) == 2
    assert moved(PRICE - 6) == 3
    late = rig.session(0)
    moved(PRICE + 500)
    rig.subscribe(late, "account.portfolio")
    before = len(rig.heard(late, "account.portfolio"))
    moved(PRICE - 130)  # one percent from what the late one was shown, though not from what the first was told
    assert len(rig.heard(late, "account.portfolio")) == before + 1


def test_a_flat_line_is_told_once_and_no_more():
    rig = Rig()
    trader = rig.session(0)
    rig.subscribe(trader, "account.portfolio")
    rig.market.set_level(SELL, PRICE + 1, 10)
    rig.market.set_level(BUY, PRICE, 10)
    rig.insert(trader, BUY, PRICE + 1, 10)
    rig.collect()
    rig.insert(trader, SELL, PRICE, 10)
    rig.collect()
    rig.perpetual.underlying.index_units = 2 * PRICE * UNIT
    rig.collect()
    assert [line["position"] for _, items in rig.heard(trader, "account.portfolio") for line in items] == [0.01, 0.0]
    late = rig.session(0)
    rig.subscribe(late, "account.portfolio")
    assert rig.heard(late, "account.portfolio") == [(True, [])]


def test_the_summary_comes_every_second_whatever_happens():
    rig = Rig()
    trader = rig.session(0)
    rig.subscribe(trader, "account.summary")
    rig.run(3500)
    messages = rig.heard(trader, "account.summary")
    assert len(messages) == 4
    assert not any(flagged for flagged, _ in messages)
    assert messages[0][1]["margin"] == 10**7


# public channels


@pytest.mark.parametrize("delay", sorted(DELAYS_MS))
def test_tickers_come_when_something_in_them_has_changed_and_no_faster_than_asked(delay):
    rig = Rig()
    session = rig.session()
    names = [f"ticker.BTC-PERPETUAL.{delay}", f"lwt.BTC-PERPETUAL.{delay}"]
    rig.subscribe(session, *names)
    rig.market.set_level(BUY, PRICE - 9, 1)
    rig.run(120_000)
    for name in names:
        assert len(rig.heard(session, name)) == 2
    for number in range(8):
        rig.market.set_level(BUY, PRICE - 8 + number, 5)
        rig.run(10)
    rig.market.set_level(BUY, PRICE - 20, 5)  # behind the best: no news
    rig.run(120_000)
    interval = DELAYS_MS[delay]
    for name in names:
        assert len(rig.heard(session, name)) == 2 + (8 if interval == 0 else 2)
    assert rig.heard(session, names[0])[-1][1]["best_bid_price"] == PRICE - 1
    assert rig.heard(session, names[1])[-1][1]["b"] == [PRICE - 1, 0.005, 0.005]


def test_the_index_is_told_when_it_changes():
    rig = Rig()
    session = rig.session()
    rig.subscribe(session, "price_index.BTCUSD")
    for usd in (PRICE, PRICE + 1, PRICE + 1, PRICE):
        rig.market.set_index(usd * UNIT)
        rig.run(5)
    assert [said["price"] for _, said in rig.heard(session, "price_index.BTCUSD")] == [PRICE, PRICE + 1, PRICE]


def test_recent_trades_show_the_last_ones_of_an_instrument_or_an_underlying_then_the_new_ones():
    rig = Rig()
    session = rig.session()
    unix_s = rig.clock.unix_s
    rig.market.print_trade(PRICE, 1, BUY)
    rig.dated.trade(PRICE + 50, 2, SELL, unix_s + 1)
    rig.ether.trade(26_500, 3, SELL, unix_s + 1)
    rig.collect()
    rig.dated.trade(PRICE + 51, 4, BUY, unix_s + 2)  # not collected yet: a snapshot does not tell it twice
    rig.subscribe(
        session, "recent_trades.BTC-PERPETUAL.single", "recent_trades.BTCUSD.all", "recent_trades.BTCUSD.options"
    )
    rig.collect()
    first, second = [61700.0, 0.001, "buy", unix_s, "BTC-PERPETUAL", False], [61750.0, 0.002, "sell", unix_s + 1]
    assert rig.heard(session, "recent_trades.BTC-PERPETUAL.single") == [(True, [first])]
    assert rig.heard(session, "recent_trades.BTCUSD.options") == [(True, [])]
    shown, new = rig.heard(session, "recent_trades.BTCUSD.all")
    assert shown == (True, [first, [*second, "BTC-26JUN26", False]])
    assert new == (False, [[61751.0, 0.004, "buy", unix_s + 2, "BTC-26JUN26", False]])


def test_listings_and_the_notice_of_a_reconnect_reach_their_subscribers():
    rig = Rig()
    session, other = rig.session(), rig.session()
    rig.subscribe(session, "instruments", "system")
    ((flagged, items),) = rig.heard(session, "instruments")
    assert flagged
    assert [item["added"]["instrument_name"] for item in items] == ["BTC-PERPETUAL", "ETH-PERPETUAL", "BTC-26JUN26"]
    assert rig.heard(session, "system") == []
    ((number, payload),) = rig.feeds.announce_reconnect()
    assert (number, json.loads(payload)) == (
        session.number,
        {"channel_name": "system", "notification": {"event": "reconnect"}},
    )
    rig.subscribe(other, "book.BTC-PERPETUAL.none.all.raw")
    listing = rig.dated.listed.listing
    rig.feeds.listed([{"removed": listing}])
    rig.collect()
    assert rig.heard(session, "instruments")[-1] == (False, [{"removed": listing}])


def test_the_channels_of_an_expired_contract_fall_silent():
    rig = Rig()
    session = rig.session()
    names = ["book.BTC-26JUN26.none.all.100ms", "ticker.BTC-26JUN26.raw", "recent_trades.BTC-26JUN26.single"]
    rig.subscribe(session, *names)
    rig.dated.book.set_background(BUY, PRICE, 5)
    rig.collect()
    del rig.trading.contracts["BTC-26JUN26"]
    rig.feeds.listed([{"removed": rig.dated.listed.listing}])
    rig.dated.book.set_background(BUY, PRICE, 0)
    rig.dated.trade(PRICE, 1, BUY, 0.0)
    assert rig.run(60_000) == []
    assert not rig.feeds.is_channel(names[0], private=True)
    assert all(rig.feeds.unsubscribe(session, name) for name in names)


# the description


def test_every_message_of_every_channel_is_what_the_description_says():
    schema = json.loads(shared_path("thalex-schema.json").read_text(encoding="utf-8"))
    registry = Registry().with_resource("urn:thalex", Resource.from_contents(schema, DRAFT202012))
    families = {name.removesuffix(".message") for name in schema["$defs"] if name.startswith("channel.")}
    rig = Rig()
    session, other = rig.session(0), rig.session(1)
    session.arm(6, 0)
    for _ in range(2):
        rig.subscribe(session, *PUBLIC, *ACCOUNT)
    for side in (BUY, SELL):
        for near in range(1, 6):
            rig.market.set_level(side, PRICE - side * near, near)
            rig.ether.book.set_background(side, 26_500 - side * near, near)
        rig.collect()
    order = rig.insert(session, BUY, PRICE, 10, client_order_id=1, label="mm-b0")
    rig.collect()
    rig.insert(other, SELL, PRICE, 4)
    rig.amend(order, PRICE - 1, 20)
    rig.insert(session, BUY, PRICE + 5, 3, time_in_force=IOC, label=7)
    rig.collect()
    rig.cancel(order)
    rig.market.set_index((PRICE + 700) * UNIT)
    rig.feeds.listed([{"removed": rig.dated.listed.listing}, {"added": rig.dated.listed.listing}])
    rig.run(2500)
    for side in (BUY, SELL):
        for near in range(1, 6):
            rig.market.set_level(side, PRICE - side * near, 0)
    rig.run(2500)
    rig.told[session.number] += [payload for _, payload in rig.feeds.announce_reconnect()]
    heard = set()
    for payload in rig.told[session.number]:
        message = json.loads(payload)
        assert payload.startswith(b'{"channel_name":"')
        assert payload == json.dumps(message, separators=(",", ":")).encode()
        name = message["channel_name"]
        family = name if name in PRIVATE else name.partition(".")[0]
        wanted = f"urn:thalex#/$defs/channel.{family}.message"
        jsonschema.Draft202012Validator({"$ref": wanted}, registry=registry).validate(message)
        heard.add((name, message.get("snapshot", False)))
    assert {f"channel.{name if name in PRIVATE else name.partition('.')[0]}" for name, _ in heard} <= families
    assert {name for name, _ in heard} == {*PUBLIC, *ACCOUNT}
    quiet = {"recent_trades.BTCUSD.options", "recent_trades.BTCUSD.future_rolls", "account.persistent_orders"}
    assert {name for name, flagged in heard if not flagged} == {*PUBLIC, *ACCOUNT} - quiet
    flagged = {"book", "recent_trades", "instruments", "session.orders", "account.orders", "account.portfolio"}
    flagged.add("account.persistent_orders")
    families = {name if name in PRIVATE else name.partition(".")[0] for name, snapshot in heard if snapshot}
    assert families == flagged
