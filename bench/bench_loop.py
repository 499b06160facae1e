"""The strategy's loop: from a book that is published to the target that answers it, and what a turn costs.

Two processes: one publishes a book whose mid has moved and looks for the target that was decided on it, giving its core
away in between; the other runs the strategy. Both stamp what they publish. On one core, which is what a small machine
has for all processes of a run, they take turns by `sched_yield` or by sleeping; the change of the process is then part
of the way. A regression of the turn is ours alone; one of the way with an unchanged turn is waiting's.
"""

import os
import time
from collections.abc import Callable
from contextlib import closing
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from _harness import Figures, contest, in_runs, pair, percentiles, pinned, scaled, two_cores
from _targets import BOOK_TO_TARGET, TURN

from mftcore import LEVEL, MasterBook
from mftpy import config, records
from mftpy.links import Instrument, Links
from mftpy.processes.strategy import make_loop
from mftpy.records import State
from mftpy.strategy.code import Code, load_estimates, load_model

UPDATES = 20_000
WARMING = 500
MID = 617_000
RUN_NS = 50_000_000
PATIENCE_NS = 5_000_000_000
SEEN, ENOUGH = 0, 1  # places in the marks


class Market:
    """What the strategy reads, written by the bench."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.book, account = links.book.writer(), links.account.writer()
        self.control, self.status = links.control.writer(), links.market_data.writer()
        self.control.write(records.blank(records.CONTROL))
        row = records.blank(records.ACCOUNT)
        row["ready"] = 1
        account.write(row)
        self.account = account
        self.row = records.blank(records.STATUS)
        self.master = MasterBook()
        self.levels = np.zeros(50, LEVEL)
        self.levels["size_lots"] = 1000
        self.moves = [self._levels(MID), self._levels(MID + 20)]
        self.hear()

    def _levels(self, mid: int) -> Any:
        bids, asks = self.levels.copy(), self.levels.copy()
        bids["price_ticks"], asks["price_ticks"] = mid - np.arange(1, 51), mid + np.arange(1, 51)
        return bids, asks

    def hear(self) -> None:
        """Say that the exchange was heard of just now."""
        self.row["transport_ns"], self.row["state"] = time.monotonic_ns(), State.READY
        self.status.write(self.row)

    def prepare(self, number: int) -> None:
        """Move the mid to and fro: each time the quotes must change."""
        self.master.snapshot(*self.moves[number % 2])

    def publish(self) -> int:
        """Publish it; returns the version."""
        return self.book.publish(self.master, exchange_time_ns=0, receive_ns=time.monotonic_ns())


def made_links() -> Links:
    return Links.create(Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD"))


@cache
def code() -> Code:
    """Return the compiled code; loaded before the processes are forked, so that none of them compiles."""
    told: list[str] = []
    return Code(load_model(config.load(), told.append), load_estimates(told.append))


def strategy(links: Links, mode: str, core: int, marks: Any) -> None:
    """One side: quotes until told that it is enough."""
    with pinned(core):
        loop = make_loop(
            links, config.load(), code(), records.blank(records.STATUS), links.strategy.writer(), wait_mode=mode
        )
        while not marks[ENOUGH]:
            loop.run(time.monotonic_ns() + RUN_NS)
        loop.close()


def publisher(links: Links, updates: int, core: int, rings: bool, marks: Any) -> Figures:
    """The other side: times from the publication of each book to that of the target that answers it."""
    market, targets = Market(links), links.target.reader()
    target, bell = records.blank(records.TARGET), links.strategy_bell
    taken, clock, give_away = np.zeros(updates, np.int64), time.monotonic_ns, os.sched_yield
    with pinned(core):
        for i in range(-WARMING, updates):
            market.hear()
            market.prepare(i)
            seen, given_up = targets.version, clock() + PATIENCE_NS
            version = market.publish()
            if rings:
                bell.ring()
            while True:
                give_away()
                if targets.version != seen:
                    before_ns = clock()
                    stamp = targets.read_into(target)
                    seen = stamp.version
                    at_ns = (before_ns + clock()) // 2 - stamp.age_ns  # the age is as of some moment between the two
                    if target["book_version"][0] == version:
                        break
                elif clock() > given_up:
                    marks[ENOUGH] = 1
                    raise RuntimeError("a book was not answered within 5 s")
            if i >= 0:
                taken[i] = at_ns - int(target["published_ns"][0])
    marks[ENOUGH] = 1
    if not target["n_bids"][0]:
        raise RuntimeError("nothing was quoted")
    return dict(percentiles(taken))


def way(mode: str, *, shared: bool) -> Figures:
    """Both sides at once."""
    first, second = two_cores()
    code()
    with closing(made_links()) as links:
        return pair(
            partial(publisher, links, scaled(UPDATES), first, mode == "park"),
            partial(strategy, links, mode, first if shared else second),
        )


@pytest.mark.benchmark(group="loop")
def bench_book_to_target(benchmark: Any) -> None:
    """From the publication of a book to that of the target that answers it."""
    contestants: dict[str, Callable[[], Figures]] = {
        "mftpy yield, one core": partial(way, "yield", shared=True),
        "mftpy park, one core": partial(way, "park", shared=True),
        "mftpy yield, two cores": partial(way, "yield", shared=False),
        "mftpy park, two cores": partial(way, "park", shared=False),
    }
    contest(benchmark, BOOK_TO_TARGET, contestants, key="p50")


def turn(*, fresh: bool) -> Figures:
    """A turn in one process, with what Python adds to the call; the making of a new book is not in it."""
    with closing(made_links()) as links, pinned(two_cores()[0]):
        market = Market(links)
        loop = make_loop(links, config.load(), code(), records.blank(records.STATUS), links.strategy.writer())
        market.prepare(0)
        market.publish()
        clock = time.monotonic_ns
        if not fresh:
            return in_runs(lambda: loop.turn(clock()), scaled(100_000, 6400))
        taken = np.zeros(scaled(UPDATES), np.int64)
        for i in range(len(taken)):
            market.hear()
            market.prepare(i)
            market.publish()
            began = clock()
            loop.turn(began)
            taken[i] = clock() - began
        return {"ns": float(np.median(taken)), **percentiles(taken)}


@pytest.mark.benchmark(group="loop")
def bench_turn(benchmark: Any) -> None:
    """One turn: read everything, take trades, decide, publish."""
    contestants: dict[str, Callable[[], Figures]] = {
        "mftpy turn, new book": partial(turn, fresh=True),
        "mftpy turn, nothing new": partial(turn, fresh=False),
    }
    contest(benchmark, TURN, contestants, key="ns")
