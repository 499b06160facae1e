"""An exchange served in this process, and clients of it; for tests of what can be seen on the wire."""

import asyncio
import contextlib
import functools
import json
import logging
import time
from unittest import mock

import jwt
import uvloop
import websockets

from mftpy.sim.exchange import Exchange
from mftpy.sim.faults import Plan, make_fault
from mftpy.sim.faults_injector import Injector
from mftpy.sim.keys import Keys
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.serving import Serving
from mftpy.sim.settings import ExchangeSettings

BOOK = "book.BTC-PERPETUAL.none.all.raw"
TICKER = "ticker.BTC-PERPETUAL.raw"
PATIENCE_S = 20.0
STEP_NS = 4_000_000
KEYS = Keys()
PEMS = {number: KEYS.make(f"K00000000{number}", "A000000001") for number in (1, 2)}  # the second for times to come


class Ladder:
    """A flow whose book moves by a tick every step, around 1000 USD, or stays as it was made."""

    finished = failure = None

    def __init__(self, *, still=False):
        self._still = still

    def start(self, market, now_ns):
        self._due_ns, self._turn = now_ns, 0
        self.step(market, now_ns)

    def next_due_ns(self):
        return None if self._still else self._due_ns

    def step(self, market, now_ns):
        self._due_ns, self._turn = now_ns + STEP_NS, self._turn + 1
        mid = 10_000 + self._turn % 2
        market.set_index((10_000 + self._turn % 2) * UNIT // 10)
        market.set_background(
            {
                BUY: {mid - 1 - step: 10 + (self._turn + step) % 3 for step in range(6)},
                SELL: {mid + 1 + step: 10 + (self._turn + step) % 3 for step in range(6)},
            }
        )


class Client:
    """What a plain WebSocket client sees: answers by id, everything in order."""

    def __init__(self, ws):
        self.ws = ws
        self.seen = []
        self._id = 0

    async def read(self):
        """Return the next message."""
        async with asyncio.timeout(PATIENCE_S):
            text = await self.ws.recv()
        self.seen.append(json.loads(text))
        return self.seen[-1]

    async def ask(self, method, **params):
        """Send a request; returns its id."""
        self._id += 1
        await self.ws.send(json.dumps({"method": method, "params": params, "id": self._id}))
        return self._id

    async def call(self, method, **params):
        """Send a request and return its answer."""
        number = await self.ask(method, **params)
        return await self.until(lambda message: message.get("id", 0) == number)

    async def until(self, wanted):
        """Return the next message that is wanted."""
        while True:
            message = await self.read()
            if wanted(message):
                return message

    async def notice(self, channel):
        """Return the next notice of a channel."""
        return await self.until(lambda message: message.get("channel_name") == channel)

    async def subscribe(self, *channels):
        """Subscribe; private channels need a login."""
        private = any(name.startswith(("session.", "account.")) for name in channels)
        answer = await self.call("private/subscribe" if private else "public/subscribe", channels=channels)
        assert answer["result"] == list(channels)

    async def login(self, offset_s=0.0):
        """Log in; returns the answer."""
        key = 2 if offset_s else 1
        claims, header = {"iat": next_iat() + offset_s}, {"kid": f"K00000000{key}"}
        token = jwt.encode(claims, PEMS[key], algorithm="RS256", headers=header)
        return await self.call("public/login", token=token)

    async def insert(self, direction, price, amount=0.01, **more):
        """Insert an order; returns the answer."""
        return await self.call(
            f"private/{direction}", instrument_name="BTC-PERPETUAL", price=price, amount=amount, **more
        )

    async def closed(self):
        """Read on until the connection ends; returns the close code that was received, 1006 without one."""
        while True:
            try:
                await self.read()
            except websockets.ConnectionClosed as error:
                return error.rcvd.code if error.rcvd is not None else 1006


@functools.cache
def _clock():
    return [time.time()]


def next_iat():
    """Return a time for a token, later than every one before."""
    _clock()[0] = max(time.time(), _clock()[0] + 1e-5)
    return _clock()[0]


def fault(**entry):
    """Return one entry of a file of faults."""
    return make_fault(entry, "test")


class Served:
    """A running exchange."""

    def __init__(self, serving, injector, exchange, port):
        self.serving, self.injector, self.exchange, self.port = serving, injector, exchange, port
        self.url = serving.address(port)
        self._clients = contextlib.AsyncExitStack()

    async def client(self, **options):
        """Connect."""
        options = {"compression": None, "ping_interval": None, "close_timeout": 1, "proxy": None, **options}
        ws = await self._clients.enter_async_context(websockets.connect(self.url, **options))
        return Client(ws)

    async def raw(self, path="/ws/api/v2"):
        """Connect with a socket and the handshake alone; returns (reader, writer)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._clients.callback(writer.close)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return reader, writer

    def add(self, made=None, **entry):
        """Let a fault begin now."""
        number = self.injector.add(made or fault(**entry), time.monotonic_ns())
        self.serving.perform(self.injector.advance(time.monotonic_ns()))
        return number

    def clear(self, number=None):
        """End faults."""
        self.serving.perform(self.injector.clear(number, time.monotonic_ns())[1])


@contextlib.asynccontextmanager
async def served(*faults, seed=1, limits=None, latency=None, still=False):
    """An exchange with these faults from its start on; checks at the end that nothing of ours went wrong."""
    now_ns, unix_ns = time.monotonic_ns(), time.time_ns()
    with mock.patch("mftpy.sim.world.ModelFlow", lambda own: Ladder(still=still or own.instrument != "BTC-PERPETUAL")):
        exchange = Exchange(ExchangeSettings(flow="model", tick_size=0.1, initial_price=1000.0), KEYS, now_ns, unix_ns)
    injector = Injector(exchange, Plan(tuple(faults), seed), now_ns, unix_ns)
    serving = Serving(injector, limits, latency)
    found = Served(serving, injector, exchange, await serving.start(0))
    try:
        async with found._clients:
            yield found
    finally:
        await serving.stop()
    if serving.failed.done():
        serving.failed.result()


def frame(opcode, payload=b"", *, fin=True, mask=b"\1\2\3\4"):
    """Return a client's frame."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else (
        b"\xfe" + size.to_bytes(2, "big") if size < 65_536 else b"\xff" + size.to_bytes(8, "big")
    )  # fmt: skip
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | opcode]) + length + mask + masked


async def read_frame(reader):
    """Return (opcode, payload) of a server's frame."""
    async with asyncio.timeout(PATIENCE_S):
        first, size = await reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        return first & 15, await reader.readexactly(size)


def on_loop(test):
    """Run a test's coroutine; it must not leave a warning in the log unless it asks for `caplog` and says which."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        records = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = records.append
        logging.getLogger().addHandler(handler)
        try:
            uvloop.run(test(*args, **kwargs))
        finally:
            logging.getLogger().removeHandler(handler)
        wanted = getattr(test, "warnings", ())
        said = [record.getMessage() for record in records]
        assert len(said) == len(wanted), said
        assert all(words in text for words, text in zip(wanted, said, strict=True)), said

    return run
