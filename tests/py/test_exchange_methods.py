"""Every method answers as the protocol's description says, and the same actions give the same bytes."""

import json
import random
import re
import sys

import pytest

from mftpy.sim.matching import BUY, SELL
from tests.py.exchange_box import PERPETUAL, Box, Refused
from tests.shared_data import shared_path


@pytest.fixture
def box():
    return Box()


def examples(kind):
    text = shared_path("thalex-protocol.md").read_text(encoding="utf-8")
    return re.findall(rf"<!-- schema: (rpc\.\S+\.{kind}) -->\n```json\n(.*?)\n```", text, re.DOTALL)


NOT_OFFERED = {"private/mass_quote": 51, "private/set_mm_protection": 51, "private/cancel_mass_quote": 51}


def test_every_example_of_a_request_is_answered_in_kind():
    box = Box(most_open_orders=10)
    asked = 0
    for _, text in examples("request"):
        request = json.loads(text)
        method, params = request["method"], request["params"]
        client = box.connect(0, timeout_s=60)
        if params.get("instrument_name", PERPETUAL) != PERPETUAL:
            params["instrument_name"] = next(iter(set(box.exchange.trading.contracts) - {PERPETUAL}))
        if method == "public/login":
            params.update(token=box.token(), account="A000000001")
        if method in ("private/amend", "private/cancel"):
            client.buy(60_000, 0.1, client_order_id=params["client_order_id"])
        if method in ("private/insert", "private/buy"):  # the example's price is far below this market
            params.update(price=box.bid - 100)
        if method == "private/amend":
            params["price"] = box.bid - 200
        if method == "unsubscribe":
            client.call("private/subscribe", channels=params["channels"])
        if method == "public/all_instruments":
            params.update(time_low=box.unix_s - 86_400, time_high=box.unix_s)
        answer = client.ask(method, **params)
        if method in NOT_OFFERED:
            assert answer["error"]["code"] == NOT_OFFERED[method]
        else:
            assert "result" in answer, (method, answer)
        if "channels" in params:
            assert answer["result"] == params["channels"]
        asked += 1
        client.close()
        box.connect(0).call("private/cancel_all")
    assert asked >= 25


def test_each_answer_has_the_members_of_its_example(box):
    client, other = box.connect(0), box.connect(1)
    client.buy(box.bid - 5, 0.1, client_order_id=1)
    other.sell(box.ask + 5, 0.1)
    client.call("private/buy", instrument_name=PERPETUAL, amount=0.05, order_type="market")
    for name, text in examples("response"):
        method = re.sub(r"^(public|private)_", r"\1/", name.removeprefix("rpc.").removesuffix(".response"))
        if not method.startswith(("private/portfolio", "public/book", "public/ticker", "private/account_summary")):
            continue
        said = client.call(method, instrument_name=PERPETUAL)
        wanted = json.loads(text)["result"]
        if isinstance(wanted, list):
            said, wanted = said[0], wanted[0]
        assert set(wanted) <= set(said), method


def test_what_is_listed_has_the_published_steps(box):
    client = box.connect()
    found = {item["instrument_name"]: item for item in client.call("public/instruments")}
    steps = {name: (item["tick_size"], item["volume_tick_size"], item["type"]) for name, item in found.items()}
    dated = next(name for name, item in found.items() if item["type"] == "future")
    assert steps == {
        "BTC-PERPETUAL": (1, 0.001, "perpetual"),
        "ETH-PERPETUAL": (0.1, 0.01, "perpetual"),
        dated: (1, 0.001, "future"),
    }
    assert dated == "BTC-26JUN26"
    assert found[dated]["expiry_date"] == "2026-06-26"
    assert found[dated]["expiration_timestamp"] % 86_400 == 8 * 3600


@pytest.mark.parametrize("name", ["time_low", "time_high"])
def test_a_whole_number_that_no_double_can_hold_is_code_6(box, name):
    assert box.connect().code("public/all_instruments", **{name: 10**400}) == 6


def test_a_word_that_is_nested_however_deeply_is_code_6(box):
    """Just below the depth at which a request cannot be read, one may still not be written out."""
    client, found = box.connect(), set()
    for depth in range(sys.getrecursionlimit() - 120, sys.getrecursionlimit() + 20):
        nested = "[" * depth + "]" * depth
        # an id that comes first is still unread when the rest cannot be
        request = f'{{"method":"public/instruments","params":{{"instrument_type":{nested}}}}}'
        error = client.send(request)["error"]
        assert error["code"] == 6
        found.add("unknown variant" in error["message"])
    assert found == {True, False}


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"underlying": "BTCUSD"}, 2),
        ({"underlying": "NOPE"}, 0),
        ({"instrument_type": "futures"}, 3),
        ({"instrument_type": "options"}, 0),
        ({"expiry_date": "2026-06-26"}, 1),
        ({"underlying": None, "instrument_type": None}, 3),
    ],
)
def test_instruments_are_filtered(box, filters, count):
    assert len(box.connect().call("public/instruments", **filters)) == count


def test_a_window_of_more_than_three_days_and_an_unknown_kind_are_refused(box):
    client = box.connect()
    assert client.code("public/all_instruments", time_low=0, time_high=4 * 86_400) == 6
    assert client.code("public/all_instruments", time_low="x") == 6
    assert client.code("public/instruments", instrument_type="swaps") == 6


@pytest.mark.parametrize("method", ["public/instrument", "public/ticker", "public/book"])
def test_an_instrument_that_is_unknown_is_code_5_and_one_that_is_missing_6(box, method):
    client = box.connect()
    assert client.code(method, instrument_name="NOPE") == 5
    assert client.code(method, instrument_name=5) == 6
    assert client.code(method) == 6
    assert client.code("public/index", underlying="NOPE") == 5


def test_a_label_may_be_a_number_of_64_bits_and_no_longer_one(box):
    client = box.connect(0)
    for label in (5, 5.5, 2**64 - 1):
        assert client.buy(60_000, 0.1, label=label)["label"] == label
    for label in (2**64, -(10**4000), True):
        assert client.code("private/buy", instrument_name=PERPETUAL, price=60_000, amount=0.1, label=label) == 6


def test_histories_are_filtered_sorted_and_paged(box):
    client, other = box.connect(0, timeout_s=1000), box.connect(1, timeout_s=1000)
    other.sell(box.ask + 9, 5, client_order_id=1)
    times = []
    for number in range(7):
        box.market().set_background({BUY: {60_000: 1}, SELL: {}})
        market_order = {"instrument_name": PERPETUAL, "amount": 0.1, "order_type": "market"}
        client.call("private/buy", label=f"L{number % 2}", **market_order)
        times.append(box.unix_s)
        box.pass_s(1.0)
    trades = client.call("private/trade_history", sort="ascending")["trades"]
    assert [trade["time"] for trade in trades] == pytest.approx(times)
    assert client.call("private/trade_history")["trades"] == trades[::-1]
    pages, bookmark = [], None
    while True:
        page = client.call("private/trade_history", sort="ascending", limit=3, bookmark=bookmark)
        pages.append(page["trades"])
        bookmark = page["bookmark"]
        if bookmark is None:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [trade for page in pages for trade in page] == trades
    assert len(client.call("private/trade_history", label="L1")["trades"]) == 3
    assert len(client.call("private/trade_history", time_low=times[2], time_high=times[4])["trades"]) == 3
    assert client.call("private/trade_history", direction="sell")["trades"] == []
    assert client.call("private/trade_history", instrument_names="ETH-PERPETUAL")["trades"] == []
    one = trades[0]["order_id"]
    assert len(client.call("private/trade_history", order_ids=f"{one},zzz")["trades"]) == 1
    orders = client.call("private/order_history", limit=2)["orders"]
    assert [order["status"] for order in orders] == ["filled", "filled"]
    assert not {"remaining_amount", "change_reason", "persistent"} & set(orders[0])
    for wrong in ({"limit": 0}, {"limit": 1001}, {"sort": "up"}, {"bookmark": "x"}, {"time_low": "x"}):
        assert client.code("private/trade_history", **wrong) == 6


def test_a_page_of_a_history_is_no_larger_than_what_clients_take(box):
    client = box.connect(0, timeout_s=1000)
    client.buy(60_000, 0.1, label="x" * 64)
    client.call("private/cancel_all")
    account = box.exchange.clearing.accounts["A000000001"]
    client.buy(box.ask, 0.008, label="x" * 64)
    order = account.closed[-1]
    order.fills.extend([*order.fills] * 7)
    account.closed.extend([order] * 1500)
    found, bookmark = 0, None
    while bookmark is not None or not found:
        page = client.call("private/order_history", bookmark=bookmark)
        assert len(client.raw[-1]) < 1 << 20
        found, bookmark = found + len(page["orders"]), page["bookmark"]
    assert found == len(account.closed)


def test_an_order_that_its_client_cancelled_unfilled_is_recorded_only_when_persistent(box):
    client = box.connect(0)
    client.call("private/cancel", order_id=client.buy(60_000, 0.1)["order_id"])
    client.call("private/set_cancel_on_disconnect", timeout_secs=9)
    client.call("private/cancel", order_id=client.buy(60_000, 0.2)["order_id"])
    client.buy(60_000, 0.3)
    client.call("private/cancel_session")
    amounts = [order["amount"] for order in client.call("private/order_history")["orders"]]
    assert sorted(amounts) == [0.1, 0.3]


def script(box, seed):
    """A session of everything, drawn from a seed; returns all bytes that were sent."""
    rng = random.Random(seed)
    clients = [box.connect(key, timeout_s=3) for key in (0, 1, 0)]
    private = ["session.orders", "account.orders", "account.portfolio", "account.summary", "account.trade_history"]
    for client in clients:
        client.call("private/subscribe", channels=private)
        client.call("public/subscribe", channels=[f"book.{PERPETUAL}.none.all.raw", f"lwt.{PERPETUAL}.100ms"])
    for _ in range(100):
        box.pass_s(rng.expovariate(40))
        client = rng.choice(clients)
        side = rng.choice(["buy", "sell"])
        price = (box.bid if side == "buy" else box.ask) + rng.randrange(-3, 4)
        what = rng.random()
        if what < 0.7:
            params = {"instrument_name": PERPETUAL, "price": price, "amount": rng.randrange(1, 9) / 1000}
            client.ask(f"private/{side}", **params, post_only=rng.random() < 0.5)
        elif what < 0.9:
            client.ask("private/cancel_all")
        else:
            client.ask("private/trade_history")
    return [client.raw for client in clients]


def test_the_same_seed_and_actions_are_the_same_bytes_and_another_seed_is_not():
    one, two, three = (script(Box(flow="model", sigma_usd_sqrt_s=8.0, A_per_s=1.5, seed=seed), 9) for seed in (3, 3, 4))
    assert one == two
    assert one != three
    assert sum(len(raw) for raw in one) > 300


def test_it_makes_no_difference_how_often_the_clock_is_looked_at():
    def run(steps):
        box = Box(sigma_usd_sqrt_s=8.0, A_per_s=1.5)
        client = box.connect(0, timeout_s=3)
        client.call("public/subscribe", channels=[f"book.{PERPETUAL}.none.all.raw", f"ticker.{PERPETUAL}.200ms"])
        client.call("private/subscribe", channels=["account.summary"])
        for _ in range(steps):
            box.pass_s(2.5 / steps)
        client.buy(box.bid, 0.01)
        return client.raw

    assert run(1) == run(2) == run(500)


def test_the_flow_of_a_contract_ends_with_it():
    box = Box()
    dated = next(one for one in box.exchange.trading.contracts.values() if one.listed.expiry_s is not None)
    object.__setattr__(dated.listed, "expiry_s", int(box.unix_s) + 2)
    box.pass_s(3)
    assert dated.listed.name not in box.exchange.trading.contracts
    dated.book.changed.clear()
    dated.prints.clear()
    box.pass_s(60)
    assert not dated.prints
    assert not dated.book.changed
    assert box.contract().listed.name == PERPETUAL


def test_refused_is_what_the_harness_raises(box):
    with pytest.raises(Refused):
        box.connect().call("private/portfolio")
