"""The strategy process: reads book and account, asks the model, publishes what should rest. No I/O.

The work is in `mftpy.strategy.loop`, without the interpreter; here it is put together, and watched between its runs.
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing.connection import Connection
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mftcore import JournalWriter, SeqlockWriter
from mftpy.links import Links
from mftpy.model.compiled import cache_note
from mftpy.model.estimator import Estimator
from mftpy.processes.child import Child, run_child
from mftpy.processes.jobs import Job
from mftpy.records import Command, State
from mftpy.settings import Config
from mftpy.strategy.code import Code, LoadingEstimates, are_used, compilations, load_estimates, load_model
from mftpy.strategy.decide import Quoter
from mftpy.strategy.loop import StrategyLoop
from mftpy.strategy.parameters import parameters

RUN_NS: Final = 50_000_000
"""How long the loop goes on before the supervisor's pipe is looked at."""

LONG_RUN_NS: Final = 1_000_000_000
"""The same while another thread compiles: to get the interpreter back from it takes some milliseconds."""

LAST_TRIES: Final = 100
COMPILED_S: Final = 2.0


def make_loop(
    links: Links,
    config: Config,
    code: Code,
    status: NDArray[np.void],
    status_writer: SeqlockWriter,
    *,
    journal: JournalWriter | None = None,
    wait_mode: str = "park",
    estimator: Estimator | None = None,
) -> StrategyLoop:
    """Put the strategy together; it takes its ends of `links`.

    Parameters
    ----------
    links : Links
    config : Config
    code : Code
        Without estimates, nothing is estimated until `StrategyLoop.attach`.
    status : ndarray of records.STATUS, shape (1,)
    status_writer : SeqlockWriter
    journal : JournalWriter, optional
        For its decisions.
    wait_mode : str
    estimator : Estimator, optional
        What is known already.

    Raises
    ------
    ConfigError
        The settings make no sense for this instrument.
    """
    instrument = links.instrument
    tick_size, lot_size = instrument.tick_size, instrument.lot_size
    return StrategyLoop(
        links,
        Quoter(parameters(config, tick_size, lot_size, instrument.min_order_lots), code.model.address, code.model),
        code.estimates_for(config, tick_size, lot_size, estimator=estimator),
        status=status,
        status_writer=status_writer,
        journal=journal,
        wait_mode=wait_mode,
    )


def _loop(links: Links, job: Job, child: Child, journal: JournalWriter | None = None) -> None:
    config, instrument = job.config, links.instrument

    def progress(what: str) -> None:
        child.send("progress", what)

    code = Code(load_model(config, progress), load_estimates(progress) if are_used(config.model) else None)
    if note := cache_note():
        child.send("warning", note)
    loop = make_loop(
        links, config, code, child.status, child.status_writer, journal=journal, wait_mode=job.placement.wait_mode
    )
    child.status["compilations"] = compilations()
    child.freeze_garbage_collector()
    child.enter(State.READY)
    loading = LoadingEstimates() if code.estimates is None else None
    while child.command() != Command.EXIT:
        loop.run(time.monotonic_ns() + (LONG_RUN_NS if loading and loading.goes_on else RUN_NS))
        if loading and not loading.goes_on:
            if loading.failure:
                child.send("warning", loading.failure)
            code = Code(code.model, loading.take())
            loop.attach(code.estimates_for(config, instrument.tick_size, instrument.lot_size))
            child.status["compilations"] = compilations()
            loading = None
    loop.orphaned = child.orphaned
    for _ in range(LAST_TRIES):
        if loop.turn(time.monotonic_ns()):  # whoever still looks finds that nothing is wanted
            break
    child.enter(State.STOPPING)
    child.send(
        "final",
        {
            "quotes_decided": int(child.status["decisions"][0]),
            "reasons": loop.counts,
            "unstable_reads": loop.unstable,
            "journal_refused": loop.journal_refused,
            "compilations": compilations(),
            "resources": child.resources(),
        },
    )
    if loading and not loading.end(COMPILED_S):
        _end_while_compiling(child)


def _end_while_compiling(child: Child) -> None:
    """End at once: a thread that compiles can neither be stopped nor outlive the libraries that it is in."""
    child.enter(State.STOPPED)
    child.conn.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main(links: Links, job: Job, conn: Connection) -> None:
    """Run the process; the target that the supervisor starts."""
    run_child(
        "strategy",
        links.strategy,
        links.control,
        conn,
        job.placement.strategy_cores,
        lambda child: _loop(links, job, child),
    )
