"""The codec: what it reads, what it refuses, and that nothing in between exists."""

import json
import math
import pickle
import random
from decimal import Decimal

import numpy as np
import pytest

from mftpy.errors import VenueError
from mftpy.venue import codec
from mftpy.venue.codec import Notification, ProtocolError, Reply
from mftpy.venue.error_codes import NAMES, RefusedError
from mftpy.venue.messages import Error, Level
from mftpy.venue.scale import MOST_UNITS, Scale, Unit

SCALE = Scale(0.1, 0.001)

BOOK = (
    b'{"channel_name":"book.BTC-PERPETUAL.none.all.raw","notification":{"bid_changes":[[61700.3,1.002,1],[61700.2,0,0]],'
    b'"ask_changes":[[61700.4,0.3,0.3]],"trades":[[61700.3,0.4,"sell",1776715498.02,false]],"total_bid_amount":12.3,'
    b'"total_ask_amount":14.2,"time":1776715498.02}}'
)
ORDERS = (
    b'{"channel_name":"session.orders","notification":[{"order_id":"001F24B7000000B4","order_type":"limit",'
    b'"time_in_force":"good_till_cancelled","instrument_name":"BTC-PERPETUAL","direction":"buy","price":45000,'
    b'"amount":0.1,"filled_amount":0.04,"remaining_amount":0.06,"client_order_id":100,"label":"mm-b0",'
    b'"status":"partially_filled","fills":[{"trade_id":"0000000000000001182EF416616CF972","price":45000,"amount":0.04,'
    b'"time":1776715501.2,"maker_taker":"maker","leg_index":0}],"change_reason":"fill",'
    b'"insert_reason":"client_request","create_time":1776715497.71,"persistent":false}]}'
)
REPLY = b'{"id":100,"error":{"code":4,"message":"throttle exceeded"}}'


def notification(payload):
    event = codec.decode(payload)
    assert isinstance(event, Notification)
    return event


def orders(**changes):
    """Return the decoded order of ORDERS with members replaced; a value of ... removes the member."""
    order = json.loads(ORDERS)["notification"][0] | changes
    raw = json.dumps([{name: value for name, value in order.items() if value is not ...}]).encode()
    return codec.decode_orders(raw)[0]


# envelopes


def test_an_answer_keeps_its_id_and_a_null_result_is_a_result():
    reply = codec.decode(b'{"id":105,"result":null}')
    assert reply == Reply(105, reply.result, None)
    assert codec.decode_result("private/cancel_session", reply.result) is None


def test_an_error_is_told_apart_from_a_result():
    assert codec.decode(REPLY) == Reply(100, None, Error(4, "throttle exceeded"))


@pytest.mark.parametrize("number", ["0", "null", '"abc"', "1.5", "18446744073709551615"])
def test_any_scalar_may_be_an_id(number):
    assert codec.decode(b'{"result":1,"id":%b}' % number.encode()).id == json.loads(number)


def test_members_may_come_in_any_order_with_spaces_and_unknown_ones_between():
    note = notification(b' { "new" : {"x":[1,{}]}, "notification" : [ ], "snapshot" : true , "channel_name":"x.y"} ')
    assert note[:2] == ("x.y", True)
    assert codec.decode_orders(note.data) == []


def test_the_snapshot_flag_is_false_when_absent_false_or_null():
    for flag in (b"", b',"snapshot":false', b',"snapshot":null'):
        assert not notification(b'{"channel_name":"x","notification":[]%b}' % flag).snapshot


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"id":1}',
        b'{"id":1,"result":1,"error":{"code":1}}',
        b'{"id":1,"error":null}',
        b'{"id":1,"error":{"message":"no code"}}',
        b'{"id":1,"error":{"code":"4"}}',
        b'{"id":[1],"result":1}',
        b'{"channel_name":"x"}',
        b'{"channel_name":7,"notification":[]}',
        b'{"channel_name":"x","notification":[],"result":1}',
        b'{"channel_name":"x","notification":[],"error":{"code":1}}',
        b'{"channel_name":"x","notification":NaN}',
        b'{"id":1,"result":Infinity}',
        b'{"id":1,"result":1}{"id":2,"result":2}',
        b'{"id":1,"result":"\xff"}',
        b'{"id":1,"result":1,"new":"\xc0\xaf"}',
        b'{"id":1,"result":' + b"[" * 100_000,
        b'{"id":1,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_message_is_refused_with_a_short_sentence(payload):
    with pytest.raises(ProtocolError, match="the exchange sent") as caught:
        codec.decode(payload)
    assert isinstance(caught.value, VenueError)
    assert len(str(caught.value)) < 300


def test_an_event_outlives_the_buffer_it_was_read_from():
    buffer = bytearray(BOOK)
    note = codec.decode(memoryview(buffer))
    buffer[:] = b" " * len(buffer)
    buffer.clear()
    assert codec.decode_book(note.data, SCALE).bids[0, 0] == 617003


# books


def test_a_book_comes_out_in_ticks_and_lots():
    book = codec.decode_book(notification(BOOK).data, SCALE)
    assert book.bids.tolist() == [[617003, 1002, 1000], [617002, 0, 0]]
    assert book.asks.tolist() == [[617004, 300, 300]]
    assert book.bids.dtype == np.int64
    assert book.trades == [(617003, 400, -1, 1776715498020000000, False)]
    assert book.exchange_time_ns == 1776715498020000000
    assert (book.total_bid_amount, book.total_ask_amount) == (12.3, 14.2)


@pytest.mark.parametrize("empty", [b"{}", b'{"bid_changes":null,"ask_changes":[],"trades":null,"time":null}'])
def test_a_side_that_is_absent_null_or_empty_has_no_levels_but_three_columns(empty):
    book = codec.decode_book(empty, SCALE)
    assert book.bids.shape == book.asks.shape == (0, 3)
    assert book.trades == []
    assert book.exchange_time_ns == 0


def test_levels_and_trades_may_grow_members_at_their_end():
    book = codec.decode_book(b'{"bid_changes":[[1,2,1,"new"]],"trades":[[1,2,"buy",3,null,"new"]]}', SCALE)
    assert book.bids.tolist() == [[10, 2000, 1000]]
    assert book.trades == [(10, 2000, 1, 3_000_000_000, False)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"bid_changes":[[61700.35,1,1]]}',
        b'{"ask_changes":[[61700.3,0.0005,0]]}',
        b'{"ask_changes":[[61700.3,1,0.0005]]}',
        b'{"bid_changes":[[61700.3,-1,0]]}',
        b'{"bid_changes":[[61700.3,1]]}',
        b'{"bid_changes":[[null,1,1]]}',
        b'{"bid_changes":[["61700.3",1,1]]}',
        b'{"bid_changes":[[true,1,1]]}',
        b'{"bid_changes":[[1e400,1,1]]}',
        b'{"bid_changes":[[1e308,1,1]]}',
        b'{"bid_changes":[[1,1,%b]]}' % (b"9" * 30),
        b'{"bid_changes":[[1,1,%b]]}' % (b"9" * 400),
        b'{"bid_changes":{"61700.3":1}}',
        b'{"trades":[[61700.3,0.4,"short",1776715498.02,false]]}',
        b'{"trades":[[61700.3,0.4,null,1776715498.02,false]]}',
        b'{"trades":[[61700.3,0.4,"buy",-1,false]]}',
        b'{"time":1e300}',
        b'{"time":9000000000}',
    ],
)
def test_a_book_that_cannot_be_meant_is_refused(body):
    with pytest.raises(ProtocolError):
        codec.decode_book(body, SCALE)


def test_levels_one_by_one_and_at_once_agree():
    rng = random.Random(5)
    for tick, lot in ((0.1, 0.001), (1.0, 0.00001), (0.5, 0.1), (25.0, 1.0), (1e-8, 1e-8)):
        scale = Scale(tick, lot)
        for size in (1, 3, 100):
            units = [(rng.randrange(10**9), rng.randrange(10**9), rng.randrange(10**9)) for _ in range(size)]
            levels = [Level(scale.price(p), scale.amount(a), scale.amount(o)) for p, a, o in units]
            assert [tuple(row) for row in scale._levels_one_by_one(levels).tolist()] == units
            assert [tuple(row) for row in scale._levels_at_once(levels).tolist()] == units


@pytest.mark.parametrize("bad", [Level(0.15, 1, 1), Level(1, 0.0015, 1), Level(1, 1, 1e308), Level(math.nan, 1, 1)])
def test_levels_one_by_one_and_at_once_refuse_the_same_with_the_same_words(bad):
    levels = [Level(1, 1, 1), bad, Level(2, 1, 1)]
    with pytest.raises(ProtocolError) as first:
        SCALE._levels_one_by_one(levels)
    with pytest.raises(ProtocolError) as second:
        SCALE._levels_at_once(levels)
    assert str(first.value) == str(second.value)


# scale


def test_every_tick_survives_the_way_to_text_and_back():
    rng = random.Random(1)
    for size in (0.1, 0.01, 0.5, 0.25, 1.0, 5.0, 25.0, 0.001, 1e-5, 1e-8, 0.00000025, 1000.0):
        unit = Unit(size, "tick")
        for units in [0, 1, 2, 617000, 617003, *(rng.randrange(10**9) for _ in range(300))]:
            text = unit.text(units)
            exact = units * Decimal(repr(size))
            assert Decimal(text) == exact
            assert "e" not in text.lower()
            assert not ("." in text and text.endswith("0"))
            assert unit.value(units) == float(text) == json.loads(text)
            assert unit.count(float(text)) == units
            assert unit.count(-float(text)) == -units
            assert Decimal(unit.text(-units)) == -exact


def test_texts_are_the_ones_a_person_would_write():
    assert SCALE.price_text(617000) == "61700"
    assert SCALE.price_text(617003) == "61700.3"
    assert SCALE.price_text(1) == "0.1"
    assert SCALE.price_text(-1) == "-0.1"
    assert SCALE.price_text(0) == "0"
    assert SCALE.amount_text(10) == "0.01"
    assert SCALE.amount_text(1500) == "1.5"
    assert Unit(1e-8, "lot").text(3) == "0.00000003"


def test_numpy_integers_are_integers_and_floats_are_not():
    assert SCALE.price_text(np.int64(617003)) == "61700.3"
    with pytest.raises(TypeError):
        SCALE.price_text(617003.0)


def test_noise_of_doubles_is_no_off_tick_price():
    for ticks in range(1, 200_000, 7):
        noisy = ticks * 0.1  # 3 * 0.1 is 0.30000000000000004
        assert SCALE.ticks(noisy) == ticks


@pytest.mark.parametrize("value", [0.15, 61700.05, 1e-5, math.nan, math.inf, -math.inf, 1e300, MOST_UNITS * 0.2])
def test_a_value_that_is_no_whole_number_of_ticks_is_refused_not_rounded(value):
    with pytest.raises(ProtocolError, match="whole number"):
        SCALE.ticks(value)


@pytest.mark.parametrize("size", [0, -0.1, math.nan, math.inf, 1e-9, 0.1 + 0.2])
def test_a_tick_size_that_cannot_be_exact_is_refused(size):
    with pytest.raises(ProtocolError, match="cannot be used"):
        Scale(size, 1.0)


def test_a_scale_travels_between_processes():
    assert pickle.loads(pickle.dumps(SCALE)).price_text(617003) == "61700.3"


# orders and the rest


def test_an_order_object_is_read_with_its_fills():
    (order,) = codec.decode_orders(notification(ORDERS).data)
    assert (order.order_id, order.client_order_id, order.direction, order.is_open) == (
        "001F24B7000000B4",
        100,
        "buy",
        True,
    )
    (fill,) = order.fills
    assert (fill.trade_id, fill.leg_index, fill.is_maker) == ("0000000000000001182EF416616CF972", 0, True)
    assert fill.exchange_time_ns == 1776715501200000000


def test_an_order_needs_only_what_the_exchange_always_sends():
    order = orders(
        price=...,
        client_order_id=...,
        label=...,
        fills=...,
        create_time=...,
        persistent=...,
        order_type=None,
        time_in_force=None,
    )
    assert order.price is None
    assert order.new_fills == []


@pytest.mark.parametrize(
    ("status", "is_open"),
    [
        ("open", True),
        ("partially_filled", True),
        ("cancelled", False),
        ("cancelled_partially_filled", False),
        ("filled", False),
        ("a status of tomorrow", True),
    ],
)
def test_an_order_counts_as_open_unless_its_status_is_known_to_be_closed(status, is_open):
    assert orders(status=status, remaining_amount=0).is_open is is_open


def test_new_words_in_reasons_are_read_and_a_new_direction_is_not():
    assert orders(delete_reason="new", insert_reason="new", change_reason="new").delete_reason == "new"
    for direction in ("Buy", "short", None, ...):
        with pytest.raises(ProtocolError):
            orders(direction=direction)


def test_a_label_may_be_a_number_and_a_client_order_id_may_exceed_a_double():
    order = orders(label=7, client_order_id=2**64 - 1)
    assert (order.label, order.client_order_id) == (7, 2**64 - 1)


def test_a_fill_of_an_unknown_kind_counts_as_taker():
    fill = json.loads(ORDERS)["notification"][0]["fills"][0]
    for word in ("taker", "new", None):
        assert not orders(fills=[fill | {"maker_taker": word}]).fills[0].is_maker


def test_a_ticker_of_an_empty_book_has_none_where_the_exchange_says_null():
    ticker = codec.decode_ticker(
        b'{"mark_price":53.2,"mark_timestamp":1776715497.5,"index":7.5,"delta":1,"best_bid_price":null,"last_price":null}'
    )
    assert (ticker.best_bid_price, ticker.best_ask_price, ticker.last_price) == (None, None, None)
    assert ticker.exchange_time_ns == 1776715497500000000


def test_a_light_ticker_of_an_empty_side_has_none_there():
    lwt = codec.decode_light_ticker(b'{"m":45001.16,"a":[45005,0.6,0.5]}')
    assert lwt.b is None
    assert (lwt.a.price, lwt.a.amount) == (45005, 0.6)


def test_a_channel_that_was_never_asked_for_is_refused():
    with pytest.raises(ProtocolError, match="not asked for"):
        codec.decode_notification(notification(b'{"channel_name":"rumours","notification":[]}'))


def test_an_answer_of_the_wrong_kind_is_refused_by_the_name_of_its_request():
    with pytest.raises(ProtocolError, match="an answer to private/portfolio"):
        codec.decode_result("private/portfolio", b'{"instrument_name":"BTC-PERPETUAL","position":1}')


def test_a_refusal_says_what_was_refused_and_why():
    error = RefusedError("private/insert", Error(15, "price must be a multiple of 1"))
    assert str(error) == (
        'the exchange refused private/insert: price off tick (error 15): "price must be a multiple of 1"'
    )
    assert (error.code, error.exit_code) == (15, 4)
    assert "does not know" in str(RefusedError("x", Error(59)))
    assert set(NAMES) == set(range(1, 59))


# damage


def _mutate(rng, payload):
    data = bytearray(payload)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place, kind = rng.randrange(len(data)), rng.random()
        if kind < 0.5:
            data[place] = rng.choice(b'0123456789.-+eE"[]{},:ntfu\\ \x00\xff')
        elif kind < 0.7:
            del data[place : place + rng.randrange(1, 4)]
        elif kind < 0.9:
            data[place:place] = rng.choice((b"0", b"9", b".", b"e5", b"[", b"}", b'"', b"null", b"NaN", b"-", b"1e400"))
        else:
            del data[place:]
        if not data:
            return b"{"
    return bytes(data)


def _levels(side):
    return [[Decimal(str(number)) for number in level[:3]] for level in side or ()]


def _check_book(book, read):
    for array, side in ((book.bids, read.get("bid_changes")), (book.asks, read.get("ask_changes"))):
        expected = _levels(side)
        assert len(array) == len(expected)
        for (ticks, lots, outright), (price, amount, native) in zip(array.tolist(), expected, strict=True):
            for units, size, value in ((ticks, "0.1", price), (lots, "0.001", amount), (outright, "0.001", native)):
                # a whole number of units, but for the noise that doubles have
                assert abs(units - value / Decimal(size)) <= max(Decimal("1e-6"), abs(units) * Decimal("1e-15"))
    trades = read.get("trades") or []
    assert [trade.taker_side for trade in book.trades] == [1 if item[2] == "buy" else -1 for item in trades]


def _check_orders(items, read):
    for item, want in zip(items, read, strict=True):
        for name in ("order_id", "direction", "status", "amount", "filled_amount", "client_order_id", "price", "label"):
            assert getattr(item, name) == want.get(name)
        for fill, told in zip(item.new_fills, want.get("fills") or (), strict=True):
            for name in ("trade_id", "price", "amount", "leg_index", "maker_taker"):
                assert getattr(fill, name) == told.get(name)


def test_damaged_messages_are_refused_or_read_as_any_other_reader_would():
    rng, refused, read = random.Random(7), 0, 0
    for _ in range(12_000):
        payload = _mutate(rng, rng.choice((BOOK, ORDERS, REPLY)))
        try:
            event = codec.decode(payload)
            if isinstance(event, Reply):
                wanted = json.loads(payload)
                assert event.id == wanted.get("id")
                assert (event.error is None) == ("error" not in wanted)
                if event.error is not None:
                    assert event.error.code == wanted["error"]["code"]
            elif event.channel.startswith("book."):
                book = codec.decode_book(event.data, SCALE)
                _check_book(book, json.loads(payload)["notification"])
            elif event.channel == "session.orders":
                items = codec.decode_orders(event.data)
                _check_orders(items, json.loads(payload)["notification"])
        except ProtocolError:
            refused += 1
        else:
            read += 1
    # both happen often, or this test shows nothing
    assert refused > 5_000
    assert read > 1_000


def test_random_bytes_are_refused_by_every_decoder():
    rng = random.Random(11)
    decoders = [
        codec.decode,
        codec.decode_ticker,
        codec.decode_index,
        codec.decode_light_ticker,
        codec.decode_orders,
        codec.decode_trades,
        codec.decode_portfolio,
        codec.decode_account_summary,
        codec.decode_system,
        lambda raw: codec.decode_book(raw, SCALE),
    ]
    for _ in range(300):
        payload = rng.randbytes(rng.randrange(40))
        for decoder in decoders:
            with pytest.raises(ProtocolError):
                decoder(payload)
