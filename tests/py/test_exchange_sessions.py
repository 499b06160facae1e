"""What a connection may do, and what becomes of its orders: login, cancel on disconnect, limits, envelopes."""

import json

import jwt
import pytest

from mftpy.sim.sessions import CANCEL_RATE
from tests.py.exchange_box import PERPETUAL, Box, Refused, private_key


@pytest.fixture
def box():
    return Box()


# login


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_a_token_of_each_algorithm_logs_in(box, algorithm):
    client = box.connect()
    result = client.call("public/login", token=box.token(algorithm=algorithm), account=None)
    assert result == {"account_number": "A000000001"}


def test_each_key_is_of_its_own_account_and_of_no_other(box):
    assert box.connect().login(1, account="A000000002") == {"account_number": "A000000002"}
    with pytest.raises(Refused, match="not of this account") as refused:
        box.connect().login(0, account="A000000002")
    assert refused.value.code == 19


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iat": None}, "no iat"),
        ({"iat": "1776715497"}, "no iat"),
        ({"iat": True}, "no iat"),
        ({"iat": 1e400}, "no iat"),
        ({"iat": 10**400}, "no iat"),
        ({"iat": 1_776_715_497 - 31}, "within 30 s"),
        ({"iat": 1_776_715_497 + 32}, "within 30 s"),
    ],
)
def test_a_token_of_the_wrong_time_is_refused(box, claims, words):
    with pytest.raises(Refused, match=words) as refused:
        box.connect().login(**claims)
    assert refused.value.code == 19


def test_a_token_must_be_later_than_every_one_before_on_its_key_and_other_keys_are_free(box):
    token = box.token(0, iat=box.unix_s)
    assert box.connect().call("public/login", token=token)
    for again in (token, box.token(0, iat=box.unix_s), box.token(0, iat=box.unix_s - 1)):
        with pytest.raises(Refused, match="later than the last one"):
            box.connect().call("public/login", token=again)
    assert box.connect().call("public/login", token=box.token(1, iat=box.unix_s - 1))
    assert box.connect().call("public/login", token=box.token(0, iat=box.unix_s + 0.5))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c",
        "\x00" * 100,
        "x" * 100_000,
        jwt.encode({"iat": 1_776_715_497.3}, "secret" * 8, algorithm="HS256", headers={"kid": "K000000001"}),
        jwt.encode({"iat": 1_776_715_497.3}, None, algorithm="none", headers={"kid": "K000000001"}),
    ],
)
def test_what_is_no_token_of_ours_is_code_19(box, token):
    assert box.connect().code("public/login", token=token) == 19


def test_a_key_that_is_unknown_and_a_header_that_names_none_are_code_19(box):
    assert box.connect().code("public/login", token=box.token(kid="K999999999")) == 19
    bare = jwt.encode({"iat": box.unix_s}, private_key(), algorithm="RS512")
    assert box.connect().code("public/login", token=bare) == 19
    assert box.connect().code("public/login", account=None) == 6


def test_private_calls_before_login_are_code_7_and_unknown_ones_31(box):
    client = box.connect()
    for method in ("private/insert", "private/open_orders", "private/subscribe", "private/cancel_session"):
        assert client.code(method, channels=[]) == 7
    for method in ("public/nothing", "nothing", "", "mass_quote", "public/login/x", "private", "rfq/insert"):
        assert client.code(method) == 31
    client.login()
    assert client.code("private/create_bot") == 31
    assert client.code("private/mass_quote") == 51


def test_a_second_login_of_the_same_account_is_fine_and_of_another_is_not(box):
    client = box.connect(0)
    client.login(0)
    assert client.code("public/login", token=box.token(1)) == 37
    client.buy(60_000, 0.1)
    assert len(client.call("private/open_orders")) == 1


# envelopes


@pytest.mark.parametrize("number", [0, 7, -1, 2**63, "a", 1.5, True, None])
def test_an_id_is_echoed_as_it_came_wherever_it_stands(box, number):
    client = box.connect()
    text = json.dumps({"method": "public/system_info", "params": {}, "id": number})
    client.send(text, number)
    assert client.raw[-1].startswith(b'{"id":' + json.dumps(number).encode() + b',"result":{')


def test_a_request_without_id_is_answered_with_null(box):
    client = box.connect()
    assert client.send('{"params": {}, "method": "public/system_info"}')["id"] is None


def test_a_result_that_is_null_is_there(box):
    client = box.connect(0, timeout_s=5)
    client.call("private/cancel_session")
    assert client.raw[-1] == b'{"id":3,"result":null}'


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[]",
        "null",
        "1",
        '"x"',
        "{",
        "{}",
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"method":1,"params":{},"id":null}',
        '{"method":"public/system_info","id":null}',
        '{"method":"public/system_info","params":null,"id":null}',
        '{"method":"public/system_info","params":[],"id":null}',
        '{"method":"public/system_info","params":{},"id":{}}',
        '{"method":"public/system_info","params":{},"id":1' + "0" * 400 + "}",
        '{"method":"public/ticker","params":{"instrument_name":NaN},"id":null}',
        '{"method":"public/ticker","params":{"instrument_name":1e999},"id":null}',
        '{"method":"public/ticker","params":{"instrument_name":"\\ud800"},"id":null}',
        b"\xff\xfe\x00",
        b'{"method":"\xc3\x28","params":{}}',
    ],
)
def test_what_cannot_be_read_is_code_6_with_the_id_if_there_was_one(box, payload):
    answer = box.connect().send(payload)
    assert answer["error"]["code"] == 6
    assert answer["error"]["message"]


def test_the_id_of_a_request_that_is_wrong_otherwise_is_echoed(box):
    client = box.connect()
    assert client.send('{"method":"public/ticker","params":[],"id":12}', 12)["error"]["code"] == 6


# cancel on disconnect


def test_orders_of_before_stay_and_those_of_after_go_when_the_connection_closes(box):
    client, other = box.connect(0), box.connect(0)
    kept = client.buy(60_000, 0.1)
    assert kept["persistent"]
    assert client.call("private/set_cancel_on_disconnect", timeout_secs=6) == {"message_rate": 50}
    gone = client.buy(60_001, 0.1, client_order_id=1)
    assert not gone["persistent"]
    other.call("private/subscribe", channels=["account.orders"])
    client.close()
    left = other.call("private/open_orders")
    assert [order["order_id"] for order in left] == [kept["order_id"]]
    notice = other.take("account.orders")[-1]["notification"][0]
    assert (notice["order_id"], notice["delete_reason"]) == (gone["order_id"], "session_end")
    assert notice["status"] == "cancelled"


def test_silence_ends_a_session_at_its_time_and_any_frame_puts_it_off(box):
    client, other = box.connect(0, timeout_s=6), box.connect(0)
    client.buy(60_000, 0.1)
    for _ in range(3):
        box.pass_s(5.9)
        box.exchange.touch(client.number, box.now_ns)  # a ping
    assert len(other.call("private/open_orders")) == 1
    box.pass_s(6.0)
    assert len(other.call("private/open_orders")) == 1
    box.pass_s(0.001)
    assert other.call("private/open_orders") == []
    assert box.exchange.to_close == [client.number]


def test_a_persistent_session_may_be_silent_for_long(box):
    client, other = box.connect(0), box.connect(0)
    client.buy(60_000, 0.1)
    box.pass_s(600)
    assert len(other.call("private/open_orders")) == 1
    assert box.exchange.to_close == []


def test_cancel_session_takes_its_own_non_persistent_orders_and_needs_such_a_session(box):
    client, other = box.connect(0, timeout_s=10), box.connect(0)
    assert other.code("private/cancel_session") == 52
    client.buy(60_000, 0.1)
    other.buy(60_000, 0.1)
    assert client.call("private/cancel_session") is None
    assert [order["persistent"] for order in other.call("private/open_orders")] == [True]
    client.buy(60_000, 0.1)  # and it goes on


def test_cancel_all_takes_the_account_s_orders_of_all_sessions_and_no_one_else_s(box):
    one, two, foreign = box.connect(0), box.connect(0, timeout_s=9), box.connect(1)
    for client in (one, two, foreign):
        client.call("private/subscribe", channels=["session.orders"])
        client.buy(60_000, 0.1)
    assert one.call("private/cancel_all") == 2
    assert two.take("session.orders")[-1]["notification"][0]["delete_reason"] == "client_bulk_cancel"
    assert len(foreign.call("private/open_orders")) == 1


@pytest.mark.parametrize("timeout_s", [0, -1, 1e9, None, "6", True])
def test_a_time_out_that_is_none_is_refused(box, timeout_s):
    assert box.connect(0).code("private/set_cancel_on_disconnect", timeout_secs=timeout_s) == 6


def test_the_shortest_time_out_makes_a_session_non_persistent_too(box):
    client = box.connect(0, timeout_s=1e-12)
    assert client.buy(60_000, 0.1)["persistent"] is False


# numbers of the client's own


def test_a_client_s_own_number_is_of_its_session_and_free_again_once_its_order_is_closed(box):
    one, two = box.connect(0), box.connect(0)
    first = one.buy(60_000, 0.1, client_order_id=2**64 - 1)
    assert b'"client_order_id":18446744073709551615' in one.raw[-1]
    assert one.code("private/buy", instrument_name=PERPETUAL, price=1, amount=1, client_order_id=2**64 - 1) == 2
    assert two.code("private/cancel", client_order_id=2**64 - 1) == 1
    two.buy(60_000, 0.1, client_order_id=2**64 - 1)
    assert one.call("private/cancel", client_order_id=2**64 - 1)["order_id"] == first["order_id"]
    assert one.buy(60_000, 0.1, client_order_id=2**64 - 1)["order_id"] != first["order_id"]


def test_an_order_of_another_account_cannot_be_seen_amended_or_cancelled(box):
    one, two = box.connect(0), box.connect(1)
    order = one.buy(60_000, 0.1)
    assert two.code("private/cancel", order_id=order["order_id"]) == 1
    assert two.code("private/amend", order_id=order["order_id"], price=1, amount=0) == 1
    assert two.call("private/open_orders") == []


def test_exactly_one_of_the_two_ids_is_needed(box):
    client = box.connect(0)
    order = client.buy(60_000, 0.1, client_order_id=5)
    assert client.code("private/cancel") == 6
    assert client.code("private/cancel", order_id=order["order_id"], client_order_id=5) == 6
    assert client.code("private/cancel", order_id=5) == 6
    assert client.code("private/cancel", client_order_id="5") == 6
    assert client.call("private/cancel", order_id=order["order_id"], client_order_id=None)["status"] == "cancelled"


# rates


@pytest.mark.parametrize(("timeout_s", "rate"), [(None, 10), (30, 50)])
def test_the_budget_of_matching_messages_is_a_burst_and_a_rate_and_cancels_have_their_own(box, timeout_s, rate):
    client = box.connect(0, timeout_s=timeout_s)
    orders = [client.buy(60_000, 0.1) for _ in range(rate)]
    assert client.code("private/buy", instrument_name=PERPETUAL, price=60_000, amount=0.1) == 4
    assert client.code("private/amend", order_id=orders[0]["order_id"], price=1, amount=1) == 4
    assert client.call("private/cancel", order_id=orders[0]["order_id"])["status"] == "cancelled"
    box.pass_s(1 / rate)
    client.buy(60_000, 0.1)
    assert client.code("private/buy", instrument_name=PERPETUAL, price=60_000, amount=0.1) == 4
    box.pass_s(20)
    assert sum(client.ask("private/buy", instrument_name=PERPETUAL, price=60_000, amount=0.1).get("result") is not None
               for _ in range(2 * rate)) == rate  # fmt: skip


def test_cancels_have_a_budget_too(box):
    client = box.connect(0)
    codes = [client.code("private/cancel", client_order_id=1) for _ in range(CANCEL_RATE + 3)]
    assert codes == [1] * CANCEL_RATE + [4] * 3


def test_a_connection_s_budget_is_its_own(box):
    for _ in range(3):
        client = box.connect(0)
        for _ in range(10):
            client.buy(60_000, 0.1)
