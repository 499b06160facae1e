"""Every strategy in every market: one process per core, one market after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable
from typing import Final

from mftpy.errors import MftpyError
from mftpy.settings import Config
from mftpy.sim.flow_realistic import RealisticFlow
from mftpy.sim.settings import ExchangeSettings
from mftpy.study.accounting import Ledger, Row
from mftpy.study.maker import Maker
from mftpy.study.quoters import Naive, Shipped, Strategy
from mftpy.study.venue import Venue, bitcoin

HOUR_NS: Final = 3_600 * 10**9

TO_US_NS: Final = 2_000_000
TO_VENUE_NS: Final = 2_000_000
"""Each way, from the exchange's matching to a decision and back: 4 ms, a server in the same region."""
SLOWER_NS: Final = 50_000_000
"""What the slow strategy has more, half of it each way."""

NAIVE_USD: Final = 5.0
NAIVE: Final = "naive"
SHIPPED: Final = "shipped"
SLOW: Final = "slow"
STRATEGIES: Final = (NAIVE, SHIPPED, SLOW)


def make_venue(seed: int) -> Venue:
    """Return a market of one seed: always the same until somebody trades in it."""
    settings = ExchangeSettings(flow="realistic", seed=seed)
    return Venue(settings, RealisticFlow(settings), bitcoin())


def run_one(seed: int, hours: float, strategy: str, config: Config) -> Row:
    """Let one strategy quote in one market."""
    venue = make_venue(seed)
    listed = venue.listed
    quotes: Strategy
    if strategy == NAIVE:
        quotes = Naive(NAIVE_USD, config, listed.tick_size, listed.lot_size)
    else:
        quotes = Shipped(config, listed.tick_size, listed.lot_size)
    slower_ns = SLOWER_NS // 2 if strategy == SLOW else 0
    ledger = Ledger()
    maker = Maker(venue, quotes, config, TO_US_NS + slower_ns, TO_VENUE_NS + slower_ns, ledger)
    end_ns = int(hours * HOUR_NS)
    maker.run(end_ns)
    lots, money = venue.imbalance
    if lots or money or venue.position_lots != ledger.position_lots:
        raise MftpyError(f"the exchange's books do not balance in market {seed}: {lots} lots, {money} money")
    windows, empty = ledger.windows(end_ns)
    return Row(
        seed,
        strategy,
        hours,
        ledger.fills,
        ledger.taker_fills,
        venue.profit + venue.fees,
        venue.fees,
        venue.profit,
        ledger.inventory_mean_square(end_ns),
        windows,
        empty,
        venue.messages,
    )


def _run(job: tuple[int, float, str, Config]) -> Row:
    gc.disable()  # what a run leaves in circles is little, and looking for it takes a tenth of the time
    try:
        return run_one(*job)
    finally:
        gc.enable()
        gc.collect()


def run(seeds: int, hours: float, progress: Callable[[int, int], None], workers: int | None = None) -> list[Row]:
    """Run all strategies, with the settings as shipped, in the markets 1 to `seeds`.

    Parameters
    ----------
    seeds : int
    hours : float
        Length of each run.
    progress : callable
        Called with the number of runs done, and of all.
    workers : int or None
        Processes; None for one per usable core.
    """
    config = Config()
    jobs = [(seed, hours, strategy, config) for seed in range(1, seeds + 1) for strategy in STRATEGIES]
    rows: list[Row] = []
    count = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    with contextlib.ExitStack() as stack:
        results: Iterable[Row] = map(_run, jobs)
        if count > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(count))
            results = pool.imap_unordered(_run, jobs)
        for row in results:
            rows.append(row)
            progress(len(rows), len(jobs))
    rows.sort(key=lambda row: (row.seed, STRATEGIES.index(row.strategy)))
    return rows


def as_json(rows: list[Row]) -> list[dict[str, float | int | str]]:
    """Return the rows as plain data."""
    return [dataclasses.asdict(row) for row in rows]
