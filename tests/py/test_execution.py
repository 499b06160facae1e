"""The execution process's handling of targets, on real shared structures and without an exchange."""

import json
import math
import time
from types import SimpleNamespace

import pytest

from mftpy import config, records
from mftpy.links import Instrument, Links
from mftpy.processes import execution
from mftpy.processes.alarms import FILL_LATE_S
from mftpy.processes.jobs import Credentials, Job, choose_placement
from mftpy.records import Mode, Side, State
from mftpy.venue import codec


class Wire:
    """A session that takes what is sent and hears nothing."""

    def __init__(self):
        self.sent = []
        self.last_receive_ns = time.monotonic_ns()

    def send(self, payload):
        self.sent.append(payload)
        return time.monotonic_ns()


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setattr(execution, "connect", lambda _url, _config: Wire())
    settings = config.load()
    job = Job("run", "ws://127.0.0.1:1/", settings, choose_placement(settings))
    child = SimpleNamespace(status=records.blank(records.STATUS), said=[])
    child.send = lambda *words: child.said.append(words)
    instrument = Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD")
    links = Links.create(instrument)
    made = execution.Executor(links, job, Credentials("K"), child)
    made.desk.index_price = 61_700.0
    made.targets = links.target.writer()
    yield made
    links.close()


def publish(executor, cause_version, bid_ticks, received_ago_ns=0, account_fills=None):
    """Let the strategy ask for one bid, and say which book update made it ask for something else last."""
    target = records.blank(records.TARGET)
    target["cause_version"] = cause_version
    target["cause_receive_ns"] = time.monotonic_ns() - received_ago_ns
    target["net_bid_ticks"], target["net_ask_ticks"] = 616_999, 617_001
    target["fair"] = 61_700.0
    target["account_fills"] = executor.desk.position.fills if account_fills is None else account_fills
    target["n_bids"] = 1
    target["bid_ticks"][0][0], target["bid_lots"][0][0] = bid_ticks, 10
    executor.targets.write(target)


def acknowledge(executor):
    """Let the exchange confirm every order as it is wanted."""
    for order in executor.desk.orders:
        executor.desk.orders.on_amended(
            order.client_order_id, order.pending_price_ticks, order.pending_total_lots, time.monotonic_ns()
        )
        executor.desk.orders.on_order(
            order.client_order_id, f"X{order.client_order_id}", open_=True, filled=False,
            price_ticks=order.price_ticks, total_lots=order.total_lots, filled_lots=0, now_ns=time.monotonic_ns(),
        )  # fmt: skip


def turn(executor):
    """Take over what there is and act on it; returns how many messages went out and how many were timed."""
    sent, timed = len(executor.session.sent), executor.links.latency.summary()["count"]
    executor.act(new_book=executor.take_target())
    acknowledge(executor)
    return len(executor.session.sent) - sent, executor.links.latency.summary()["count"] - timed


def test_a_message_that_a_new_book_update_caused_is_timed(executor):
    publish(executor, 7, 616_900)
    turn(executor)
    publish(executor, 8, 616_850)
    assert turn(executor) == (1, 1)


def test_a_message_that_no_new_book_update_caused_is_sent_and_not_timed(executor):
    publish(executor, 7, 616_900)
    turn(executor)
    publish(executor, 8, 616_850)
    turn(executor)
    publish(executor, 8, 616_800, received_ago_ns=50_000_000)  # a fill moved the quotes; the book is old
    assert turn(executor) == (1, 0)
    assert executor.links.latency.summary()["max"] < 50_000_000


def test_what_was_asked_for_before_the_loop_runs_is_not_timed(executor):
    publish(executor, 7, 616_900, received_ago_ns=50_000_000)
    executor.begin()
    assert turn(executor) == (1, 0)


def test_a_turn_without_a_new_target_times_nothing(executor):
    publish(executor, 7, 616_900)
    turn(executor)
    publish(executor, 8, 616_850)
    turn(executor)
    executor.desk.slots.want(Side.BUY, 0, 616_700, 10)
    assert turn(executor) == (1, 0)


def test_without_an_index_nothing_is_sent(executor):
    executor.desk.index_price = math.nan
    publish(executor, 7, 616_900)
    assert turn(executor) == (0, 0)


def account_order(executor, order, price_ticks, status="open"):
    """Let the account's channel, whose delay is not stated, tell of an order of this session."""
    said = {
        "order_id": order.order_id, "client_order_id": order.client_order_id, "label": executor.job.label,
        "status": status, "direction": "buy", "price": price_ticks * 0.1, "amount": 0.01, "filled_amount": 0.0,
        "remaining_amount": 0.01, "instrument_name": "BTC-PERPETUAL", "order_type": "limit", "fills": [],
        "time_in_force": "good_till_cancelled", "change_reason": "insert", "insert_reason": "client_request",
        "create_time": 0.0, "persistent": False,
    }  # fmt: skip
    note = {"channel_name": "account.orders", "notification": [said]}
    executor.on_notification(codec.decode(json.dumps(note).encode()), time.monotonic_ns())


def test_late_news_by_another_channel_does_not_put_an_order_back_to_its_old_price(executor):
    publish(executor, 7, 616_900)
    turn(executor)
    (order,) = executor.desk.orders
    publish(executor, 8, 616_850)
    turn(executor)
    assert order.price_ticks == 616_850
    account_order(executor, order, 616_900)
    assert order.price_ticks == 616_850
    assert turn(executor) == (0, 0)


def test_that_an_order_has_ended_counts_by_whichever_channel_it_comes(executor):
    publish(executor, 7, 616_900)
    turn(executor)
    (order,) = executor.desk.orders
    account_order(executor, order, 616_900, status="cancelled")
    assert order.state.terminal
    assert not executor.foreign


def test_the_supervisor_is_told_before_the_first_order_and_not_before_there_is_one(executor):
    executor.begin()
    assert executor.child.said == []
    publish(executor, 7, 616_900)
    turn(executor)
    publish(executor, 8, 616_850)
    turn(executor)
    assert executor.child.said == [("began",)]


def test_a_fill_that_does_not_come_is_told_once_until_none_is_missing(executor):
    orders, late_ns = executor.desk.orders, int(FILL_LATE_S * 1e9)
    orders.insert(7, Side.BUY, 616_900, 10, now_ns=1)
    orders.on_order(7, "X7", True, False, 616_900, 10, 4, now_ns=2)
    for now_ns in (10, 10 + late_ns):
        executor.alarms.lost_fills(now_ns)
    assert executor.child.said == []  # it may still come
    for now_ns in (11 + late_ns, 12 + late_ns, 10 * late_ns):
        executor.alarms.lost_fills(now_ns)
    assert [(kind, words.split(" lots")[0]) for kind, words in executor.child.said] == [("warning", "4")]
    orders.on_fill(7, "X7", "T1", 0, 4)
    executor.alarms.lost_fills(11 * late_ns)
    orders.on_order(7, "X7", True, False, 616_900, 10, 9, now_ns=3)
    for now_ns in (12 * late_ns, 14 * late_ns):
        executor.alarms.lost_fills(now_ns)
    assert [words.split(" lots")[0] for _, words in executor.child.said] == ["4", "5"]


def test_an_order_that_is_presumed_gone_is_told_at_once(executor):
    orders, second = executor.desk.orders, 1_000_000_000
    orders.insert(7, Side.BUY, 616_900, 10, now_ns=1)
    orders.doubt(7, now_ns=2)
    for asked_ns in (3, 4, 3 * second):
        executor.alarms.lost_fills(asked_ns)
        assert executor.child.said == []
        orders.on_not_open(7, asked_ns, asked_ns + 1)
    for now_ns in (4 * second, 5 * second):
        executor.alarms.lost_fills(now_ns)
    assert [kind for kind, _ in executor.child.said] == ["warning"]
    assert "position shown is wrong" in executor.child.said[0][1]


def take_fill(executor, trade_id, lots=10):
    """Let an order of another slot be filled, as its notice would tell."""
    number = 1_000 + executor.desk.position.fills
    executor.desk.orders.insert(number, Side.BUY, 616_900, lots, now_ns=1)
    executor.desk.orders.on_order(number, f"X{number}", False, True, 616_900, lots, lots, now_ns=2)
    item = SimpleNamespace(client_order_id=number, order_id=f"X{number}", direction="buy")
    executor.desk.on_fill(item, trade_id, 0, 616_900, lots, maker=True, exchange_time_ns=0, now_ns=2)


def test_an_insert_waits_for_a_target_that_knows_of_the_last_fill_and_a_long_wait_is_told(executor):
    second = 1_000_000_000
    take_fill(executor, "T1")
    publish(executor, 7, 616_900, account_fills=0)
    assert turn(executor) == (0, 0)
    since_ns = executor.desk.held_since_ns
    for now_ns in (since_ns, since_ns + second):
        executor.alarms.held_inserts(now_ns)
    assert executor.child.said == []
    for now_ns in (since_ns + second + 1, since_ns + 9 * second):
        executor.alarms.held_inserts(now_ns)
    assert [kind for kind, _ in executor.child.said] == ["warning"]
    publish(executor, 7, 616_900)
    assert turn(executor)[0] == 1
    executor.alarms.held_inserts(since_ns + 10 * second)
    assert len([kind for kind, *_ in executor.child.said if kind == "warning"]) == 1


def test_a_fill_is_always_published_since_inserts_wait_for_it(executor):
    account = records.blank(records.ACCOUNT)
    executor.publish()
    executor.desk.position.on_fill(Side.BUY, 616_900, 10, 61_700.0)  # by a way that forgot to say so
    executor.publish()
    executor.links.account.reader().read_into(account)
    assert account["fills"][0] == 1


def test_the_age_of_the_transport_is_told_with_every_turn(executor):
    status = records.blank(records.STATUS)
    writer = executor.links.execution.writer()
    executor.child.turn = lambda: writer.write(executor.child.status)
    executor.session.last_receive_ns = 4_711
    executor.turn()
    executor.links.execution.reader().read_into(status)
    assert status["transport_ns"][0] == 4_711


def peers_make_progress(executor):
    status = records.blank(records.STATUS)
    status["state"], status["turn_ns"] = State.READY, time.monotonic_ns() + 10**12
    executor.writers = [getattr(executor.links, name).writer() for name in ("market_data", "strategy")]
    for writer in executor.writers:
        writer.write(status)


def methods(executor):
    return [json.loads(payload)["method"].removeprefix("private/") for payload in executor.session.sent]


def test_halted_takes_every_order_out_at_once_and_run_brings_them_back(executor):
    peers_make_progress(executor)
    publish(executor, 7, 616_900)
    executor.quote(Mode.RUN)
    acknowledge(executor)
    executor.quote(Mode.REDUCING)  # what is quoted then is the strategy's to say
    executor.quote(Mode.HALTED)
    assert methods(executor) == ["insert", "cancel"]
    publish(executor, 8, 616_850)
    executor.quote(Mode.HALTED)
    assert (methods(executor), executor.pulls) == (["insert", "cancel"], 0)
    (order,) = executor.desk.orders
    executor.desk.orders.on_order(
        order.client_order_id, order.order_id, open_=False, filled=False, price_ticks=order.price_ticks,
        total_lots=order.total_lots, filled_lots=0, now_ns=time.monotonic_ns(),
    )  # fmt: skip
    publish(executor, 9, 616_850)
    executor.quote(Mode.RUN)
    assert methods(executor) == ["insert", "cancel", "insert"]


def test_a_peer_that_makes_no_progress_pulls_the_quotes_and_is_counted_once(executor):
    peers_make_progress(executor)
    publish(executor, 7, 616_900)
    executor.quote(Mode.RUN)
    acknowledge(executor)
    executor.writers[1].write(records.blank(records.STATUS))  # not READY
    for _ in range(2):
        executor.quote(Mode.RUN)
    assert (methods(executor), executor.pulls) == (["insert", "cancel"], 1)
