"""Both ends of the protocol against its written description: examples in, requests out. And what requests refuse."""

import json
import math
import re

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mftpy.venue import codec, requests
from mftpy.venue.codec import Notification, ProtocolError, Reply
from mftpy.venue.messages import OrderStatus
from mftpy.venue.requests import MOST_CLIENT_ORDER_ID, OrderRequests, RequestError, RequestIds
from mftpy.venue.scale import Scale
from tests.shared_data import shared_path

SCALE = Scale(0.1, 0.001)
ORDERS = OrderRequests("BTC-PERPETUAL", SCALE, label="mft-1")
BUILT = [
    requests.login(1, "a.b.c"),
    requests.login(1, "a.b.c", "A123456789"),
    requests.set_cancel_on_disconnect(2, 6),
    requests.public_subscribe(
        3, ["book.BTC-PERPETUAL.none.all.raw", "ticker.BTC-PERPETUAL.100ms", "price_index.BTCUSD"]
    ),
    requests.private_subscribe(4, ["session.orders", "account.orders", "account.trade_history", "account.portfolio"]),
    requests.unsubscribe(5, ["session.orders", "price_index.BTCUSD"]),
    requests.instruments(6),
    requests.ticker(7, "BTC-PERPETUAL"),
    ORDERS.insert(8, "buy", 617003, 10, 1),
    ORDERS.insert(8, "sell", 617000, 1, MOST_CLIENT_ORDER_ID, label="x<>|_-9", reject_post_only=False),
    ORDERS.insert(8, "sell", 1, 1500, 0, post_only=False, reduce_only=True, time_in_force="immediate_or_cancel"),
    OrderRequests("BTC-PERPETUAL", SCALE).insert(8, "buy", 617003, 10, 1, post_only=False),
    ORDERS.amend(9, 1, 617004, 20),
    ORDERS.amend(9, 1, 617004, 0),
    ORDERS.cancel(10, 1),
    requests.cancel_by_order_id(11, "001F24B7000000B4"),
    requests.cancel_session(12),
    requests.open_orders(13),
    requests.portfolio(14),
    requests.account_summary(15),
    requests.trade_history(16),
    requests.trade_history(
        16,
        limit=10,
        time_low_s=1776600000.5,
        time_high_s=1776700000,
        bookmark="b",
        sort="ascending",
        instrument_names=["A", "B"],
    ),
]

NOT_READ = {
    "private/cancel_mass_quote",
    "private/mass_quote",
    "private/order_history",
    "private/set_mm_protection",
    "public/book",
    "channel.instruments",
    "channel.recent_trades",
    "channel.session.mm_protection",
    "channel.underlying_statistics",
}
"""Parts of the protocol that this program does not use."""


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(shared_path("thalex-schema.json").read_text(encoding="utf-8"))
    registry = Registry().with_resource("urn:thalex", Resource.from_contents(schema, DRAFT202012))

    def check(message, name):
        jsonschema.Draft202012Validator({"$ref": f"urn:thalex#/$defs/{name}"}, registry=registry).validate(message)

    return check


def examples():
    """Return (schema name, text) of every example in the description."""
    text = shared_path("thalex-protocol.md").read_text(encoding="utf-8")
    return re.findall(r"<!-- schema: (\S+) -->\n```json\n(.*?)\n```", text, re.DOTALL)


def schema_name(method):
    return f"rpc.{method.replace('/', '_')}.request"


def method_of(name):
    """Return the method that ``rpc.<method>.<kind>`` belongs to."""
    middle = name.removeprefix("rpc.").rpartition(".")[0]
    return re.sub(r"^(public|private)_", r"\1/", middle)


@pytest.mark.parametrize("payload", BUILT, ids=lambda payload: json.loads(payload)["method"])
def test_every_request_is_what_the_description_says(payload, validator):
    message = json.loads(payload)
    validator(message, schema_name(message["method"]))
    validator(message, "AnyRequest")


def test_the_validator_would_object(validator):
    for wrong in (b'"direction":"buy"', b'"amount":0.01', b'"price":61700.3'):
        payload = ORDERS.insert(8, "buy", 617003, 10, 1).replace(wrong, b'"x":1')
        with pytest.raises(jsonschema.ValidationError):
            validator(json.loads(payload), "rpc.private_insert.request")


@pytest.mark.parametrize("payload", BUILT, ids=lambda payload: json.loads(payload)["method"])
def test_requests_are_compact_and_carry_no_null(payload):
    message = json.loads(payload)
    assert payload == json.dumps(message, separators=(",", ":")).encode()
    assert set(message) == {"method", "params", "id"}
    assert None not in message["params"].values()


def test_every_example_of_an_answer_or_a_notification_is_read():
    read = set()
    for name, text in examples():
        payload = text.encode()
        if name.endswith(".request"):
            with pytest.raises(ProtocolError):
                codec.decode(payload)
            continue
        event = codec.decode(payload)
        if name == "RpcError":
            assert event == Reply(100, None, event.error)
            assert (event.error.code, event.error.message) == (4, "throttle exceeded")
        elif name.startswith("rpc."):
            method = method_of(name)
            assert isinstance(event, Reply)
            if method in NOT_READ:
                continue
            result = codec.decode_result(method, event.result)
            _same(result, json.loads(text)["result"], method)
        else:
            family = name.removesuffix(".message")
            assert isinstance(event, Notification)
            assert event.snapshot is json.loads(text).get("snapshot", False)
            if family in NOT_READ:
                continue
            _same(codec.decode_notification(event), json.loads(text)["notification"], family)
            if family == "channel.book":
                codec.decode_book(event.data, Scale(1.0, 0.001))
        read.add(name)
    assert len(read) > 25
    for needed in (
        "session.orders",
        "account.portfolio",
        "account.trade_history",
        "book",
        "lwt",
        "ticker",
        "price_index",
    ):
        assert f"channel.{needed}.message" in read
    for needed in ("private_insert", "private_amend", "private_cancel", "public_login", "public_instruments"):
        assert f"rpc.{needed}.response" in read


def _same(got, want, where):
    """Check that every member we have says what the text says; members that we leave out do not count."""
    if hasattr(got, "__struct_config__") and got.__struct_config__.array_like:
        names = got.__struct_fields__
        assert [getattr(got, name) for name in names] == want[: len(names)], where
    elif hasattr(got, "__struct_fields__"):
        for name in got.__struct_fields__:
            _same(getattr(got, name), want.get(name), f"{where}.{name}")
    elif isinstance(got, list):
        assert len(got) == len(want), where
        for item, other in zip(got, want, strict=True):
            _same(item, other, where)
    else:
        assert got == want, where


def test_every_member_of_the_hot_objects_that_the_description_requires_is_read(validator):
    schema = json.loads(shared_path("thalex-schema.json").read_text(encoding="utf-8"))["$defs"]
    assert set(schema["OrderStatus"]["required"]) <= set(OrderStatus.__struct_fields__)


def test_prices_and_amounts_are_sent_without_noise():
    for ticks in range(617000, 617200):
        message = ORDERS.insert(1, "buy", ticks, ticks % 97 + 1, 1)
        whole, tenth = divmod(ticks, 10)
        price = f"{whole}.{tenth}" if tenth else f"{whole}"
        assert b'"price":%b,' % price.encode() in message
        assert json.loads(message)["params"]["amount"] == (ticks % 97 + 1) / 1000


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("long", 617003, 10, 1), {}),
        (("buy", 617003, 0, 1), {}),
        (("buy", 617003, -1, 1), {}),
        (("buy", 617003, 10, -1), {}),
        (("buy", 617003, 10, 2**32), {}),
        (("buy", 617003, 10, 1), {"time_in_force": "fill_or_kill", "post_only": False}),
        (("buy", 617003, 10, 1), {"time_in_force": "immediate_or_cancel"}),
        (("buy", 617003, 10, 1), {"label": 'x","reduce_only":"'}),
        (("buy", 617003, 10, 1), {"label": "x" * 33}),
        (("buy", 617003, 10, 1), {"label": ""}),
        (("buy", 617003, 10, 1), {"label": "x\n"}),
    ],
)
def test_an_insert_that_the_exchange_would_refuse_is_not_built(arguments, options):
    with pytest.raises(RequestError):
        ORDERS.insert(1, *arguments, **options)


def test_an_amend_to_less_than_nothing_and_a_timeout_below_a_second_are_not_built():
    with pytest.raises(RequestError):
        ORDERS.amend(1, 1, 617003, -1)
    with pytest.raises(RequestError):
        requests.set_cancel_on_disconnect(1, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_a_parameter_that_json_cannot_say_is_refused_and_not_sent_as_null(value):
    with pytest.raises(RequestError, match="cannot be sent"):
        requests.request(1, "private/trade_history", {"time_low": value})


def test_a_float_is_no_price_in_ticks():
    with pytest.raises(TypeError):
        ORDERS.insert(1, "buy", 617003.5, 10, 1)


def test_ids_are_unique_and_each_answer_finds_its_request_once():
    ids = RequestIds()
    numbers = [ids.issue("private/insert", number, now_ns=number) for number in range(100)]
    assert len(set(numbers)) == 100
    assert ids.take(Reply(numbers[7], None, None)) == ("private/insert", 7, 7)
    assert ids.take(Reply(numbers[7], None, None)) is None
    assert ids.unknown == 1
    assert len(ids) == 99


@pytest.mark.parametrize("foreign", [None, "1", 1.0, True, 99])
def test_an_answer_to_nothing_is_counted_and_finds_nothing(foreign):
    ids = RequestIds()
    ids.issue("private/insert", None, now_ns=0)
    assert ids.take(Reply(foreign, None, None)) is None
    assert (ids.unknown, len(ids)) == (1, 1)


def test_what_is_overdue_is_listed_oldest_first_and_can_be_forgotten():
    ids = RequestIds()
    first, second, _third = (ids.issue("m", None, now_ns=when) for when in (10, 20, 30))
    assert [number for number, _pending in ids.overdue(30)] == [first, second]
    ids.forget(first)
    assert [number for number, _pending in ids.overdue(30)] == [second]
