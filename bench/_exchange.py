"""The embedded exchange under load: a process that serves a synthetic flow, and clients that listen and trade."""

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

import jwt
import psutil
import uvloop
import websockets

from mftpy.sim.exchange import Exchange as Core
from mftpy.sim.faults import Plan
from mftpy.sim.faults_injector import Injector
from mftpy.sim.keys import Keys
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.serving import Serving
from mftpy.sim.settings import ExchangeSettings

BOOK = "book.BTC-PERPETUAL.none.all.raw"
MID, DEPTH = 600_000, 500  # ticks of 0.1 USD
CHANGES_PER_S = 2_500
KEY_ID = "K000000001"


class Changes:
    """A flow that changes one level of its book every 1 / `per_s` seconds, and the index once a second."""

    finished = failure = None

    def __init__(self, per_s: int) -> None:
        self._gap_ns = 1_000_000_000 // per_s
        self.made = 0

    def start(self, market: Any, now_ns: int) -> None:
        self._due_ns = now_ns + self._gap_ns
        market.set_index(MID * UNIT // 10)
        market.set_background({side: {MID - side * (1 + i): 100 for i in range(DEPTH)} for side in (BUY, SELL)})

    def next_due_ns(self) -> int:
        return self._due_ns

    def step(self, market: Any, now_ns: int) -> None:
        while self._due_ns <= now_ns:
            self._due_ns += self._gap_ns
            self.made += 1
            side = BUY if self.made % 2 else SELL
            place = self.made * 7 % DEPTH
            market.set_level(side, MID - side * (1 + place), 50 + self.made % 90)


def _serve(conn: Connection, per_s: int, core: int) -> None:
    async def serve() -> None:
        keys = Keys()
        pem = keys.make(KEY_ID, "A000000001")
        flow = Changes(per_s)
        now_ns, unix_ns = time.monotonic_ns(), time.time_ns()
        with mock.patch("mftpy.sim.world.ModelFlow", side_effect=[flow, Changes(1)]):  # the second is another coin's
            exchange = Core(ExchangeSettings(flow="model", tick_size=0.1), keys, now_ns, unix_ns)
        serving = Serving(Injector(exchange, Plan(), now_ns, unix_ns))
        conn.send((serving.address(await serving.start(0)), pem))
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def command() -> None:
            if conn.recv() == "stop":
                loop.remove_reader(conn.fileno())
                stop.set()
            else:
                conn.send((time.process_time(), time.monotonic(), flow.made))

        loop.add_reader(conn.fileno(), command)
        await stop.wait()
        await serving.stop()

    os.sched_setaffinity(0, {core})
    uvloop.run(serve())


class Exchange:
    """The process, seen from outside."""

    def __init__(self, conn: Connection, url: str, pid: int, pem: bytes) -> None:
        self._conn, self.url, self._process, self._pem = conn, url, psutil.Process(pid), pem

    def used(self) -> tuple[float, float, int]:
        """Return (seconds of CPU, seconds of the clock, changes made), all since some beginning."""
        self._conn.send("used")
        found: tuple[float, float, int] = self._conn.recv()
        return found

    @property
    def rss_bytes(self) -> int:
        """Memory that it holds."""
        return int(self._process.memory_info().rss)

    def token(self, iat: float) -> str:
        """Return a login token."""
        return jwt.encode({"iat": iat}, self._pem, algorithm="RS256", headers={"kid": KEY_ID})


@contextmanager
def exchange(core: int, per_s: int = CHANGES_PER_S) -> Iterator[Exchange]:
    """An exchange in a process of its own, on one core."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_serve, args=(there, per_s, core), daemon=True)
    child.start()
    there.close()
    try:
        if not here.poll(30):
            raise RuntimeError("the exchange did not start")
        assert child.pid is not None
        url, pem = here.recv()
        yield Exchange(here, url, child.pid, pem)
        here.send("stop")
        child.join(10)
        if child.exitcode != 0:
            raise RuntimeError(f"the exchange ended with {child.exitcode}")
    finally:
        child.kill()
        child.join()
        here.close()


async def listen(url: str, told: list[int]) -> None:
    """Count book notices until cancelled."""
    async with websockets.connect(url, compression=None, max_size=None, proxy=None, close_timeout=0.2) as ws:
        await ws.send(json.dumps({"method": "public/subscribe", "params": {"channels": [BOOK]}, "id": 0}))
        await ws.recv()
        while True:
            await ws.recv()
            told[0] += 1


def feed(core: int, seconds: float, subscribers: int) -> dict[str, float]:
    """Return what the exchange's process used per second of the clock while it told subscribers of every change."""
    with exchange(core) as served:

        async def measure() -> tuple[Any, Any, int]:
            told = [0]
            tasks = [asyncio.ensure_future(listen(served.url, told)) for _ in range(subscribers)]
            await asyncio.sleep(0.5)
            before, count = served.used(), told[0]
            await asyncio.sleep(seconds)
            after, count = served.used(), told[0] - count
            for task in tasks:
                if task.done():
                    task.result()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return before, after, count

        before, after, notices = uvloop.run(measure())
    elapsed = after[1] - before[1]
    return {
        "cpu_share": (after[0] - before[0]) / elapsed,
        "changes_per_s": (after[2] - before[2]) / elapsed,
        "notices_per_s": notices / elapsed / max(subscribers, 1),
    }


async def trade(served: Exchange, number: int, orders: int, ready: asyncio.Barrier | asyncio.Event) -> None:
    """Let `orders` rest on a session, and amend one of them five times a second until cancelled."""
    async with websockets.connect(served.url, compression=None, proxy=None, close_timeout=0.2) as ws:

        async def call(method: str, **params: Any) -> Any:
            await ws.send(json.dumps({"method": method, "params": params, "id": method}))
            while True:
                answer = json.loads(await ws.recv())
                if answer.get("id") == method:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']}")
                    return answer["result"]

        await call("public/login", token=served.token(time.time() + number * 1e-3))
        await call("private/set_cancel_on_disconnect", timeout_secs=60)
        await call("private/subscribe", channels=["session.orders"])
        await call("public/subscribe", channels=[BOOK, "ticker.BTC-PERPETUAL.raw"])
        name = "BTC-PERPETUAL"
        for order in range(orders):
            await call(
                "private/buy", instrument_name=name, price=50_000 + number, amount=0.01, client_order_id=order + 1
            )
            await asyncio.sleep(0.03)
        assert isinstance(ready, asyncio.Barrier)
        await ready.wait()
        turn = 0
        while True:
            turn += 1
            await call("private/amend", client_order_id=turn % orders + 1, price=50_000 + turn % 100, amount=0.01)
            await asyncio.sleep(0.2)


def hold(core: int, seconds: float, sessions: int = 20, orders: int = 1_000, per_s: int = 250) -> dict[str, float]:
    """Return the memory of the exchange's process with so many sessions and resting orders, early and late."""
    with exchange(core, per_s) as served:

        async def measure() -> tuple[int, int, Any, Any]:
            barrier = asyncio.Barrier(sessions + 1)
            tasks = [
                asyncio.ensure_future(trade(served, number, orders // sessions, barrier)) for number in range(sessions)
            ]
            waiting = asyncio.ensure_future(barrier.wait())
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(seconds * 0.1)  # what fills up once has done so
            early, before = served.rss_bytes, served.used()
            await asyncio.sleep(seconds)
            late, after = served.rss_bytes, served.used()
            for task in tasks:
                if task.done():
                    task.result()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return early, late, before, after

        early, late, before, after = asyncio.run(measure())
    return {
        "rss_start_mb": early / 1e6,
        "rss_end_mb": late / 1e6,
        "growth_mb": (late - early) / 1e6,
        "cpu_share": (after[0] - before[0]) / (after[1] - before[1]),
    }
