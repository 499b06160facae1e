"""Run by test_strategy_run.py with a counting allocator preloaded: prints how often turns call it."""

import ctypes
import json
import sys
import time
from pathlib import Path

import numpy as np

from mftcore import Journal
from mftpy.model.by_address import compile_model
from mftpy.records import TRADE
from tests.py import strategy_world
from tests.py.strategy_world import MS, World


def allocating(x, out):
    """A model that takes memory in each call."""
    numbers = np.zeros(100 + x.levels)
    numbers[x.levels] = x.fair
    out.n_bids = out.n_asks = 1
    out.bid_price[0] = numbers.sum() - 10.0
    out.ask_price[0] = numbers.sum() + 10.0


def count(directory, model=None):
    """Return the turns that were taken without the interpreter, and the calls of the allocator meanwhile."""
    code = strategy_world.code_of("avellaneda_stoikov")
    if model is not None:
        code = code._replace(model=compile_model(model))
    journal = Journal.create(directory, memory_bytes=1 << 21, file_bytes=1 << 20)
    writer = journal.writer()
    world = World({"model.sigma_usd_sqrt_s": "estimated"}, journal=writer, wait_mode="yield", code=code)
    world.loop.timer_ns = 1
    world.loop.estimates.every_ns = 10_000
    trades = np.zeros(8_000, TRADE)
    trades["price_ticks"], trades["size_lots"], trades["taker_side"] = 617_040, 10, 1
    calls = ctypes.CDLL(None).allocator_calls
    calls.restype = ctypes.c_long
    for _ in range(2):  # the first time, what is bound late is bound
        now_ns = time.monotonic_ns()
        world.heard(now_ns)
        world.show(617_000, now_ns)
        trades["receive_ns"] = now_ns
        world.trades.push_many(trades)
        turns, before = int(world.strategy_status["turns"][0]), calls()
        world.loop.run(time.monotonic_ns() + 100 * MS)
        after = calls()
        turns = int(world.strategy_status["turns"][0]) - turns
    target = world.target()
    sequence = writer.sequence
    writer.close()
    journal.writer(drain=True).close()  # nothing stays in memory
    return {
        "turns": turns,
        "calls": after - before,
        "quoted": [int(target["n_bids"]), int(target["n_asks"])],
        "trades": int(world.strategy_status["trades"][0]),
        "estimated": float(world.loop.estimates.record["value"][0][0]),
        "appended": sequence,
        "refused": world.loop.journal_refused,
        "decisions": int(world.strategy_status["decisions"][0]),
    }


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(json.dumps([count(place / "ours"), count(place / "allocating", allocating)]))
