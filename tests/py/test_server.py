"""The exchange's server on the wire: framing, limits, bad input, many clients, and a defect of ours."""

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import random
import time

import pytest
import websockets

from mftpy.errors import ConfigError, InputFileError
from mftpy.sim import server
from mftpy.sim.acts import text_frame
from mftpy.sim.connection import SLICE_BYTES, ClientConnection
from mftpy.sim.host import Limits
from mftpy.sim.serving import Serving
from mftpy.sim.settings import ExchangeSettings
from tests.py.exchange_served import BOOK, PATIENCE_S, Served, frame, on_loop, read_frame, served
from tests.py.test_recording import depth, made

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0


def close_code(payload):
    return int.from_bytes(payload[:2], "big")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_text_frame_is_what_websockets_own_reader_takes_it_for(size):
    protocol = websockets.ClientProtocol(websockets.uri.parse_uri("ws://x/"), state=websockets.protocol.OPEN)
    protocol.receive_data(text_frame(b"x" * size))
    (found,) = protocol.events_received()
    assert (found.opcode, found.fin, bytes(found.data)) == (TEXT, True, b"x" * size)


@on_loop
async def test_nothing_is_sent_before_the_first_request_and_compression_is_declined():
    async with served() as exchange:
        client = await exchange.client(compression="deflate")
        assert client.ws.protocol.extensions == []
        await (await client.ws.ping())  # whatever was sent before the pong has arrived by now
        assert (await client.call("public/system_info"))["id"] == 1
        assert len(client.seen) == 1


@on_loop
async def test_every_subscriber_gets_the_same_changes_in_the_same_order():
    async with served() as exchange:
        clients = [await exchange.client() for _ in range(3)]
        for client in clients:
            await client.subscribe(BOOK)
        for client in clients:
            for _ in range(20):
                await client.notice(BOOK)
        told = [[json.dumps(message) for message in client.seen[2:]] for client in clients]
        common = told[2]
        assert all("".join(common[:10]) in "".join(one) for one in told)


@on_loop
async def test_a_message_in_fragments_with_pings_between_them_is_answered():
    async with served() as exchange:
        reader, writer = await exchange.raw()
        request = json.dumps({"method": "public/system_info", "params": {}, "id": "\u00e4"}).encode()
        for place in range(len(request)):
            last = place == len(request) - 1
            writer.write(frame(CONT if place else TEXT, request[place : place + 1], fin=last))
            if place == 20:
                writer.write(frame(PING, b"between"))
        assert await read_frame(reader) == (PONG, b"between")
        opcode, answer = await read_frame(reader)
        assert (opcode, json.loads(answer)["result"]["environment"]) == (TEXT, "testnet")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(BINARY, b"{}"), 1003),
        (frame(BINARY, b"{", fin=False), 1003),
        (frame(TEXT, b'{"method":"\xff"}'), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"\x28"), 1007),
        (frame(TEXT, b" " * ((1 << 20) + 1)), 1009),
        (frame(TEXT, b" " * (1 << 19), fin=False) + frame(CONT, b" " * ((1 << 19) + 1)), 1009),
        (b"\xc1\x80\1\2\3\4", 1002),
        (b"\x81\x00", 1002),
        (frame(CONT, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"\x03\xe8"), 1000),
        (frame(CLOSE, b"\x00\x01"), 1002),
        (frame(11, b""), 1002),
    ],
)
@on_loop
async def test_what_is_no_message_ends_in_a_clean_close_with_its_code(sent, code):
    async with served() as exchange:
        reader, writer = await exchange.raw()
        writer.write(sent)
        opcode, payload = await read_frame(reader)
        assert (opcode, close_code(payload)) == (CLOSE, code)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        assert await (await exchange.client()).call("public/system_info")


@on_loop
async def test_what_came_before_a_close_is_obeyed_and_answered_before_it_is():
    async with served() as exchange:
        reader, writer = await exchange.raw()
        request = frame(TEXT, b'{"method":"public/system_info","params":{},"id":7}')
        writer.write(request + request + frame(CLOSE, b"\x03\xe8"))
        assert [(await read_frame(reader))[0] for _ in range(3)] == [TEXT, TEXT, CLOSE]


@on_loop
async def test_a_message_of_exactly_the_largest_size_is_answered():
    async with served() as exchange:
        client = await exchange.client()
        request = '{"method":"public/system_info","params":{},"id":1}'
        await client.ws.send(request + " " * ((1 << 20) - len(request)))
        assert "result" in await client.read()


async def answer_to(exchange, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    writer.close()
    return answer


HEAD = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEAD % (b"/", b""), b"404"),
        (HEAD % (b"/ws/api/v2x", b""), b"404"),
        (HEAD.replace(b"GET", b"PUT") % (b"/ws/api/v2", b""), b"405"),
        (HEAD.replace(b"Version: 13", b"Version: 8") % (b"/ws/api/v2", b""), b"400"),
        (HEAD.replace(b"Upgrade: websocket\r\n", b"") % (b"/ws/api/v2", b""), b"426"),
        (HEAD % (b"/ws/api/v2", b"X: \xff\r\n"), b"400"),
        (HEAD.replace(b"dGhl", b"\xff\xfe\xfd\xfc") % (b"/ws/api/v2", b""), b"400"),
        (HEAD % (b"/ws/api/v2", b"X: 1\r\n" * 200), b"431"),
        (HEAD % (b"/" + b"x" * 9000, b""), b"414"),
    ],
)
@on_loop
async def test_a_handshake_that_is_none_is_refused_with_its_status(request_, status):
    async with served() as exchange:
        assert (await answer_to(exchange, request_)).startswith(b"HTTP/1.1 " + status)


@on_loop
async def test_a_query_after_the_path_is_no_other_path():
    async with served() as exchange:
        await exchange.raw("/ws/api/v2?x=1")


@on_loop
async def test_connections_beyond_the_limit_are_told_so_and_the_others_go_on():
    async with served(limits=Limits(connections=2)) as exchange:
        first, _ = await exchange.client(), await exchange.client()
        for _ in range(3):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await exchange.client()
            assert refused.value.response.status_code == 503
        await first.ws.close()
        while True:  # the place is free once the server has noticed
            try:
                again = await exchange.client()
                break
            except websockets.InvalidStatus:
                await asyncio.sleep(0)
        assert await again.call("public/system_info")


@on_loop
async def test_half_a_handshake_ends_and_so_does_a_flood_of_sockets():
    async with served(limits=Limits(handshake_s=0.3, sweep_s=0.02, connections=5)) as exchange:
        client = await exchange.client()
        half = [await asyncio.open_connection("127.0.0.1", exchange.port) for _ in range(200)]
        for number, (_, writer) in enumerate(half):
            writer.write((HEAD % (b"/ws/api/v2", b""))[: number % 100])
        assert await client.call("public/system_info")
        for reader, writer in half:
            async with asyncio.timeout(PATIENCE_S):
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()
        assert await client.call("public/system_info")


@on_loop
async def test_who_neither_logs_in_nor_subscribes_is_closed_in_the_end_whatever_it_pings():
    async with served(limits=Limits(anonymous_s=0.5, sweep_s=0.02)) as exchange:
        feed = await exchange.client()
        await feed.subscribe("system")
        owner = await exchange.client()
        assert "result" in await owner.login()
        idle = await exchange.client()
        closed = asyncio.ensure_future(idle.closed())
        while not closed.done():
            with contextlib.suppress(websockets.ConnectionClosed):
                await (await idle.ws.ping())
            await asyncio.sleep(0.01)
        assert closed.result() == 1008
        assert await feed.call("public/system_info")
        assert await owner.call("public/system_info")


@on_loop
async def test_a_client_that_answers_pings_stays_and_one_that_does_not_is_closed():
    async with served(limits=Limits(ping_s=0.03, pong_s=0.5, sweep_s=0.01)) as exchange:
        client, (reader, _) = await exchange.client(), await exchange.raw()
        reading = asyncio.ensure_future(client.closed())
        opcode, payload = await read_frame(reader)
        assert opcode == PING
        while opcode != CLOSE:
            opcode, payload = await read_frame(reader)
        assert close_code(payload) == 1011
        assert not reading.done()
        reading.cancel()


@on_loop
async def test_a_ping_is_a_sign_of_life_and_silence_is_none():
    async with served() as exchange:
        watcher = await exchange.client()
        await watcher.login()
        await watcher.subscribe("account.orders")
        quiet, pinging = await exchange.client(), await exchange.client()
        for client, number in ((quiet, 1), (pinging, 2)):
            await client.login()
            await client.call("private/set_cancel_on_disconnect", timeout_secs=1)
            await client.insert("buy", 900, client_order_id=number)
        gone = asyncio.ensure_future(watcher.until(lambda message: "session_end" in str(message)))
        while not gone.done():
            await (await pinging.ws.ping())
            await asyncio.sleep(0.05)
        assert gone.result()["notification"][0]["client_order_id"] == 1
        assert await quiet.closed() == 1008
        answer = await watcher.call("private/open_orders")
        assert [order["client_order_id"] for order in answer["result"]] == [2]


@on_loop
async def test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on():
    async with served(limits=Limits(backlog_bytes=100_000)) as exchange:
        slow, fast = await exchange.client(), await exchange.client()
        await fast.subscribe(BOOK)
        await slow.subscribe(BOOK)
        slow.ws.transport.pause_reading()
        request = json.dumps({"method": "public/system_info", "params": {}, "id": "x" * 500_000})  # the id is echoed
        while not exchange.serving.slow_consumers:
            with contextlib.suppress(websockets.ConnectionClosed):
                await slow.ws.send(request)
            await fast.ws.recv()
        await fast.notice(BOOK)
        assert exchange.serving.slow_consumers == 1


test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on.__wrapped__.warnings = ("does not read",)


class Recorder:
    """A host that takes note."""

    limits, latency = Limits(), None
    now_ns = staticmethod(time.monotonic_ns)

    def __init__(self):
        self.messages, self.heard_of, self.endings = [], 0, 0

    def made(self, connection):
        return 1

    def admit(self, connection):
        connection.number = 1

    def heard(self, connection):
        self.heard_of += 1

    def received(self, connection, message):
        self.messages.append(message)

    def ended(self, connection):
        self.endings += 1

    def gone(self, connection):
        pass


class Pipe:
    """A transport that takes note."""

    def __init__(self):
        self.written, self.reading, self.closing = b"", True, False

    def writelines(self, chunks):
        self.written += b"".join(chunks)

    def get_write_buffer_size(self):
        return 0

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def can_write_eof(self):
        return False

    def close(self):
        self.closing = True

    abort = close


@on_loop
async def test_one_clients_flood_is_read_in_slices_with_turns_for_others_between_them():
    host, pipe = Recorder(), Pipe()
    connection = ClientConnection(host)
    connection.connection_made(pipe)
    connection.data_received(HEAD % (b"/ws/api/v2", b""))
    one = frame(TEXT, b"{}")
    connection.data_received(one * 10_000)
    seen, turns = [], 0
    while len(host.messages) < 10_000:
        assert not pipe.reading
        seen.append(len(host.messages))
        await asyncio.sleep(0)
        turns += 1
    assert max(after - before for before, after in itertools.pairwise(seen)) <= SLICE_BYTES // len(one) + 1
    assert turns > 10_000 * len(one) // SLICE_BYTES - 2
    assert pipe.reading
    connection.data_received(one * 1000)  # what was sent before the end counts, also when much is left of it
    connection.eof_received()
    connection.connection_lost(None)
    assert (len(host.messages), host.endings) == (10_000, 0)
    while not host.endings:
        await asyncio.sleep(0)
    assert (len(host.messages), host.endings) == (11_000, 1)


@on_loop
async def test_random_bytes_and_damaged_frames_reach_no_log_and_harm_nobody():
    rng = random.Random(1)
    good = [
        frame(TEXT, b'{"method":"public/system_info","params":{},"id":1}'),
        frame(TEXT, b'{"method":"public/sub', fin=False),
        frame(CONT, b'scribe","params":{"channels":["system"]}}'),
        frame(PING, b"ping"),
        frame(PONG, b"x"),
        frame(CLOSE, b"\x03\xe8bye"),
    ]
    async with served() as exchange:
        client = await exchange.client()
        for turn in range(150):
            data = bytearray(b"".join(rng.choices(good, k=5)))
            if turn % 3 == 0:
                data[:0] = HEAD % (b"/ws/api/v2", b"")
            for _ in range(rng.randrange(4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            if turn % 3:
                reader, writer = await exchange.raw()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
            writer.write(bytes(data))
            if turn % 2:
                writer.write_eof()
                async with asyncio.timeout(PATIENCE_S):
                    with contextlib.suppress(ConnectionResetError):
                        await reader.read()
            writer.transport.abort()
        assert await client.call("public/system_info")


class Broken:
    """A core with a defect."""

    def __init__(self, where):
        self._where = where

    def _do(self, where):
        if where == self._where:
            raise ZeroDivisionError(where)
        return []

    def refusal(self, now_ns):
        return None

    def connect(self, number, now_ns):
        pass

    def touch(self, number, now_ns):
        pass

    def disconnect(self, number, now_ns):
        return self._do("disconnect")

    def handle(self, number, payload, now_ns):
        return self._do("handle")

    def advance(self, now_ns):
        return self._do("advance")

    def next_due_ns(self):
        return time.monotonic_ns()

    def is_anonymous(self, number):
        return False


@pytest.mark.parametrize("where", ["handle", "advance", "disconnect"])
@on_loop
async def test_a_defect_in_the_core_ends_the_exchange(where):
    serving = Serving(Broken(where))
    port = await serving.start(0)
    exchange = Served(serving, None, None, port)
    async with exchange._clients:
        client = await exchange.client()
        await client.ws.send("{}")
        await client.ws.close()
        with pytest.raises(ZeroDivisionError, match=where):
            async with asyncio.timeout(PATIENCE_S):
                await serving.failed
    await serving.stop()


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [(ZeroDivisionError("a book"), 70, "a defect of ours: ZeroDivisionError: a book"), (ConfigError("no"), 2, "no")],
)
def test_a_child_process_tells_its_parent_what_ended_it(monkeypatch, what, code, words):
    def advance(_injector, now_ns):
        raise what

    monkeypatch.setattr(server.Injector, "advance", advance)
    monkeypatch.setattr(server.signal, "signal", lambda *_: None)
    here, there = multiprocessing.Pipe()
    with here, there:
        with pytest.raises(SystemExit) as ended:
            server.exchange_main(ExchangeSettings(accounts=1), server.ServerSettings(), there)
        assert ended.value.code == code
        assert here.recv()[0] == "ready"
        kind, told_code, sentence, trace = here.recv()
        assert (kind, told_code) == ("error", code)
        assert words in sentence
        assert ("ZeroDivisionError" in trace) == (code == 70)


@pytest.mark.parametrize(("update", "ends"), [(12, "the end of the recording"), (13, None)])
def test_an_exchange_alone_ends_with_its_recording_and_says_how(tmp_path, monkeypatch, update, ends):
    monkeypatch.setattr(server.Exchange, "hold", lambda _, **__: None)  # nobody will log in
    book = {"lastUpdateId": 10, "bids": [["100.0", "1.000"]], "asks": [["100.5", "2.001"]]}
    path = made(tmp_path / "r.gz", book, depth(11, 11, 10), depth(update, update, update - 1))
    settings = ExchangeSettings(flow="recording", recording=(str(path),), accounts=1)

    def alone():
        return server.serve_alone(settings, server.ServerSettings(), tmp_path / "keys", lambda *_: None)

    if ends is None:
        with pytest.raises(InputFileError, match="depth updates are missing"):
            alone()
    else:
        assert alone() == ends


class Alarm(Broken):
    """A core that wants to be called at certain times."""

    def __init__(self, *delays_ms):
        start_ns = time.monotonic_ns()
        self.dues = [start_ns + delay * 1_000_000 for delay in delays_ms]
        self.calls = []
        self.done = asyncio.get_running_loop().create_future()

    def advance(self, now_ns):
        self.calls.append(now_ns)
        self.dues = [due for due in self.dues if due > now_ns]
        if not self.dues and not self.done.done():
            self.done.set_result(None)
        return []

    def next_due_ns(self):
        return min(self.dues, default=None)


@on_loop
async def test_the_clock_sleeps_until_something_is_due_and_never_spins():
    core = Alarm(1, 30, 30, 31, 90)
    serving = Serving(core)
    await serving.start(0)
    await core.done
    assert len(core.calls) <= 30  # four times that are due, and what a clock of milliseconds is early; not thousands
    calls = len(core.calls)
    await asyncio.sleep(0.03)
    assert len(core.calls) == calls
    core.dues = [time.monotonic_ns()]
    serving.perform([])
    while len(core.calls) == calls:
        await asyncio.sleep(0.001)
    await serving.stop()


@on_loop
async def test_the_end_says_goodbye_to_everybody():
    async with served() as exchange:
        clients = [await exchange.client() for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        stopping = asyncio.ensure_future(exchange.serving.stop())
        assert [await client.closed() for client in clients] == [1001] * 3
        await stopping
        assert await reader.read() == b""
        writer.close()
