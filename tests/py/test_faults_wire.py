"""Every kind of fault as a plain WebSocket client sees it."""

import asyncio
import time

import msgspec
import pytest
import websockets

from mftpy.sim.faults import KINDS
from tests.py.exchange_served import BOOK, PATIENCE_S, TICKER, fault, frame, on_loop, served

LWT, INDEX = "lwt.BTC-PERPETUAL.raw", "price_index.BTCUSD"
SHOWN = set()


def shows(kind):
    """Say which kind a test shows."""
    assert kind in KINDS
    SHOWN.add(kind)
    return lambda test: test


def test_every_kind_is_shown_by_a_test_below():
    assert set(KINDS) == SHOWN


def follow(book, message):
    """Apply a book notice to {side: {price: amount}}; returns (best bid, best ask)."""
    content = message["notification"]
    for side in ("bid", "ask"):
        if message.get("snapshot"):
            book[side] = {}
        for price, amount, *_ in content[f"{side}_changes"]:
            book[side].pop(price, None)
            if amount:
                book[side][price] = amount
    return max(book["bid"]), min(book["ask"])


def total(book, side):
    return round(sum(book[side].values()), 8)


@shows("drop")
@on_loop
async def test_a_dropped_answer_never_comes_and_the_order_rests_all_the_same():
    async with served(fault(kind="drop", methods=["private/buy"], count=1)) as exchange:
        client = await exchange.client()
        await client.login()
        lost = await client.ask("private/buy", instrument_name="BTC-PERPETUAL", price=900, amount=0.01)
        assert len((await client.call("private/open_orders"))["result"]) == 1
        assert all(message["id"] != lost for message in client.seen)
        assert "result" in await client.insert("buy", 900)


@on_loop
async def test_a_dropped_request_never_reaches_the_exchange():
    async with served(fault(kind="drop", methods=["private/*"], direction="in", count=1)) as exchange:
        client = await exchange.client()
        await client.login()
        await client.ask("private/buy", instrument_name="BTC-PERPETUAL", price=900, amount=0.01)
        assert (await client.call("private/open_orders"))["result"] == []


@shows("delay")
@on_loop
async def test_a_delayed_message_is_overtaken():
    async with served(fault(kind="delay", delay_ms=300, methods=["public/index"])) as exchange:
        client = await exchange.client()
        late = await client.ask("public/index", underlying="BTCUSD")
        soon = await client.ask("public/system_info")
        assert [(await client.read())["id"], (await client.read())["id"]] == [soon, late]


@shows("duplicate")
@on_loop
async def test_a_duplicated_answer_comes_twice_and_a_duplicated_request_is_obeyed_twice():
    async with served(fault(kind="duplicate", methods=["public/index"], count=1)) as exchange:
        client = await exchange.client()
        await client.ask("public/index", underlying="BTCUSD")
        assert await client.read() == await client.read()
        await client.login()
        exchange.add(kind="duplicate", methods=["private/buy"], direction="in", count=1)
        await client.insert("buy", 900)
        assert len((await client.call("private/open_orders"))["result"]) == 2


@shows("reorder")
@pytest.mark.parametrize("faulty", [False, True])
@on_loop
async def test_an_answer_and_its_notice_change_places(faulty):
    async with served(*[fault(kind="reorder", methods=["private/buy"])] * faulty) as exchange:
        client = await exchange.client()
        await client.login()
        await client.subscribe("session.orders")
        await client.notice("session.orders")
        await client.ask("private/buy", instrument_name="BTC-PERPETUAL", price=900, amount=0.01)
        told = [await client.read(), await client.read()]
        assert ["id" in message for message in told] == ([False, True] if faulty else [True, False])
        assert told[faulty]["result"]["order_id"] == told[not faulty]["notification"][0]["order_id"]


@shows("truncated_frame")
@on_loop
async def test_a_truncated_frame_is_half_of_one_and_the_end():
    async with served(fault(kind="truncated_frame", methods=["public/index"])) as exchange:
        reader, writer = await exchange.raw()
        writer.write(frame(1, b'{"method":"public/index","params":{"underlying":"BTCUSD"},"id":1}'))
        async with asyncio.timeout(PATIENCE_S):
            data = await reader.read()
        assert data[2:8] == b'{"id":' or data[4:10] == b'{"id":'
        size = data[1] if data[1] < 126 else int.from_bytes(data[2:4], "big")
        assert 0 < len(data) < size
        client = await exchange.client()
        await client.ask("public/index", underlying="BTCUSD")
        assert await client.closed() == 1006


@shows("garbage_frame")
@on_loop
async def test_garbage_is_either_no_frame_or_no_json():
    async with served(fault(kind="garbage_frame", form="text", message="{nonsense", count=1)) as exchange:
        client = await exchange.client()
        await client.ask("public/index", underlying="BTCUSD")
        assert await client.ws.recv() == "{nonsense"
        assert (await client.read())["id"] == 1
        exchange.add(kind="garbage_frame")
        await client.ask("public/index", underlying="BTCUSD")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.ws.recv()
        assert closed.value.sent.code == 1002


@shows("stuck_feed")
@on_loop
async def test_a_stuck_feed_says_nothing_while_answers_and_pings_go_on():
    async with served() as exchange:
        client = await exchange.client()
        await client.subscribe(BOOK, TICKER)
        await client.notice(BOOK)
        number = exchange.add(kind="stuck_feed")
        await client.call("public/index", underlying="BTCUSD")  # what was sent before has arrived
        before = len(client.seen)
        for _ in range(5):
            await (await client.ws.ping())
            await client.call("public/index", underlying="BTCUSD")
            await asyncio.sleep(0.005)
        assert [("id" in message) for message in client.seen[before:]] == [True] * 5
        exchange.clear(number)
        await client.notice(BOOK)


@shows("half_open")
@on_loop
async def test_a_half_open_connection_is_silent_and_its_orders_go_by_time_out():
    async with served() as exchange:
        dead, alive = await exchange.client(), await exchange.client()
        await alive.login()
        await alive.subscribe("account.orders")
        await dead.login()
        await dead.subscribe(BOOK)
        await dead.insert("buy", 899)
        await dead.call("private/set_cancel_on_disconnect", timeout_secs=1)
        await dead.insert("buy", 900)
        number = exchange.add(kind="half_open", sessions=[1])
        halted_s = time.time()
        pong = await dead.ws.ping()
        assert "result" in await alive.call("public/system_info")
        told = await alive.until(lambda message: "session_end" in str(message))
        assert told["notification"][0]["delete_reason"] == "session_end"
        assert not pong.done()
        assert dead.ws.state is websockets.protocol.State.OPEN
        ended = asyncio.ensure_future(dead.closed())
        await asyncio.sleep(0)
        assert not ended.done()
        exchange.clear(number)
        assert await ended == 1006
        stamps = [message["notification"]["time"] for message in dead.seen if message.get("channel_name") == BOOK]
        assert max(stamps) < halted_s + 0.001  # what was under way, and nothing of the second that has passed


@shows("throttle_storm")
@on_loop
async def test_a_throttle_storm_refuses_what_matches_with_code_4():
    async with served(fault(kind="throttle_storm", sessions=[2])) as exchange:
        clients = [await exchange.client() for _ in range(2)]
        answers = []
        for client in clients:
            await client.login()
            answers.append(await client.insert("buy", 900))
        assert "result" in answers[0]
        assert answers[1]["error"] == {"code": 4, "message": "throttle exceeded"}
        assert len(await clients[1].call("private/cancel_all")) == 2


@shows("session_kill")
@on_loop
async def test_a_killed_session_ends_with_a_reset_and_others_go_on():
    async with served() as exchange:
        reader, _ = await exchange.raw()
        logged_in = await exchange.client()
        await logged_in.login()
        exchange.add(kind="session_kill", sessions=[1])
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                await reader.read()
        assert await logged_in.call("public/system_info")
        exchange.add(kind="session_kill", sessions="logged in")
        assert await logged_in.closed() == 1006
        assert await (await exchange.client()).call("public/system_info")


@shows("planned_restart")
@on_loop
async def test_a_planned_restart_is_announced_and_what_rests_persists():
    restart = msgspec.structs.replace(fault(kind="planned_restart", pause_s=1000), notice_s=0.05)  # the file allows 10
    async with served() as exchange:
        client, other = await exchange.client(), await exchange.client()
        await client.login()
        await client.insert("buy", 900, label="persists")
        await client.call("private/set_cancel_on_disconnect", timeout_secs=60)
        await client.insert("buy", 901, label="goes")
        await client.subscribe("system")
        exchange.add(restart)
        assert (await client.notice("system"))["notification"] == {"event": "reconnect"}
        assert await client.closed() == 1012
        assert await other.closed() == 1012
        with pytest.raises(websockets.InvalidStatus) as refused:
            await exchange.client()
        assert refused.value.response.status_code == 503
        assert exchange.injector.refusal(time.monotonic_ns() + 1001 * 10**9) is None
        exchange.injector.refuse_sessions(0)
        again = await exchange.client()
        await again.login()
        assert [order["label"] for order in (await again.call("private/open_orders"))["result"]] == ["persists"]


@shows("crossed_book")
@on_loop
async def test_a_crossed_book_is_crossed_and_then_the_market_again():
    async with served() as exchange:
        client, twin = await exchange.client(), await exchange.client()
        await client.subscribe(BOOK)
        book = {"bid": {}, "ask": {}}
        bid, ask = follow(book, await client.notice(BOOK))
        assert bid < ask
        exchange.add(kind="crossed_book", sessions=[1])
        crossed = 0
        while True:
            message = await client.notice(BOOK)
            bid, ask = follow(book, message)
            assert message["notification"]["total_bid_amount"] == total(book, "bid")
            if bid >= ask:
                crossed += 1
                if crossed == 5:
                    exchange.clear()
            elif crossed:
                break
        assert crossed >= 5
        await twin.subscribe(BOOK)
        other = {"bid": {}, "ask": {}}
        told = await twin.notice(BOOK)
        follow(other, told)
        while message["notification"]["time"] <= told["notification"]["time"]:
            message = await client.notice(BOOK)
            follow(book, message)
        while told["notification"]["time"] < message["notification"]["time"]:
            told = await twin.notice(BOOK)
            follow(other, told)
        assert book == other


@shows("frozen_book")
@on_loop
async def test_a_frozen_book_stands_still_while_the_rest_goes_on_and_then_catches_up():
    async with served() as exchange:
        client = await exchange.client()
        await client.subscribe(BOOK, TICKER, LWT, INDEX)
        book = {"bid": {}, "ask": {}}
        follow(book, await client.notice(BOOK))
        exchange.add(kind="frozen_book", duration_s=3600)
        await client.call("public/system_info")
        before = len(client.seen)
        for channel in (TICKER, LWT, INDEX) * 2:
            await client.notice(channel)
        assert BOOK not in [message.get("channel_name") for message in client.seen[before:]]
        exchange.clear()
        await client.notice(BOOK)
        await client.notice(BOOK)
        for message in client.seen:
            if message.get("channel_name") == BOOK and message is not client.seen[1]:
                follow(book, message)
                assert message["notification"]["total_ask_amount"] == total(book, "ask")


@shows("missing_change")
@on_loop
async def test_a_missing_change_leaves_a_book_that_its_totals_contradict():
    async with served() as exchange:
        client = await exchange.client()
        await client.subscribe(BOOK)
        book = {"bid": {}, "ask": {}}
        follow(book, await client.notice(BOOK))
        exchange.add(kind="missing_change", count=1)
        agrees = True
        while agrees:
            message = await client.notice(BOOK)
            follow(book, message)
            agrees = all(message["notification"][f"total_{side}_amount"] == total(book, side) for side in book)


@shows("clock_offset")
@on_loop
async def test_a_clock_that_is_off_is_so_in_stamps_and_for_logins():
    async with served() as exchange:
        client = await exchange.client()
        number = exchange.add(kind="clock_offset", offset_s=100)
        await client.subscribe(INDEX)
        while not 90 < (await client.notice(INDEX))["notification"]["timestamp"] - time.time() < 110:
            pass  # the first may say when the index moved last
        assert (await client.login())["error"]["code"] == 19
        assert "result" in await client.login(offset_s=100)
        exchange.clear(number)
        while abs((await client.notice(INDEX))["notification"]["timestamp"] - time.time()) > 10:
            pass  # what was under way


@shows("reject_storm")
@on_loop
async def test_a_reject_storm_refuses_inserts_with_its_code():
    async with served(fault(kind="reject_storm", code=43, message="price collar breach", probability=0.5)) as exchange:
        client = await exchange.client()
        await client.login()
        answers = [await client.insert("buy", 900) for _ in range(8)]
        refused = [answer["error"] for answer in answers if "error" in answer]
        assert 0 < len(refused) < 8
        assert refused == [{"code": 43, "message": "price collar breach"}] * len(refused)
        assert len((await client.call("private/open_orders"))["result"]) == 8 - len(refused)


@shows("maintenance")
@on_loop
async def test_maintenance_shows_a_banner_and_refuses_matching():
    async with served(fault(kind="maintenance", message="back at 08:00 UTC")) as exchange:
        client = await exchange.client()
        await client.login()
        (banner,) = (await client.call("public/system_info"))["result"]["banners"]
        assert (banner["severity"], banner["message"]) == ("critical", "back at 08:00 UTC")
        assert (await client.insert("buy", 900))["error"] == {"code": 20, "message": "temporary failure"}
        assert "result" in await client.call("private/cancel_all")
        exchange.clear()
        assert (await client.call("public/system_info"))["result"]["banners"] == []
        assert "result" in await client.insert("buy", 900)


@shows("existing_replay")
@on_loop
async def test_a_replay_sends_existing_orders_with_all_their_fills_again():
    async with served(still=True) as exchange:
        client = await exchange.client()
        await client.login()
        await client.subscribe("session.orders")
        await client.notice("session.orders")
        order = (await client.insert("buy", 1000.2, amount=0.02))["result"]  # takes what is there, and the rest rests
        await client.notice("session.orders")
        exchange.add(kind="existing_replay")
        told = await client.until(lambda message: "existing" in str(message))
        (again,) = told["notification"]
        assert (again["order_id"], again["change_reason"]) == (order["order_id"], "existing")
        assert again["fills"] == order["fills"] != []


@on_loop
async def test_the_same_seed_hits_the_same_messages():
    async def refused(seed):
        async with served(fault(kind="reject_storm", code=2, probability=0.4), seed=seed) as exchange:
            client = await exchange.client()
            await client.login()
            return ["error" in await client.insert("buy", 900) for _ in range(9)]

    assert await refused(3) == await refused(3)
    assert len({tuple(await refused(seed)) for seed in (3, 4, 5)}) > 1
