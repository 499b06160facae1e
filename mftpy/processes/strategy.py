"""The strategy process: reads book and account, asks the model, publishes what should rest. No I/O.

The work is in `mftpy.strategy.loop`, without the interpreter; here it is put together, and watched between its runs.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mftcore import JournalWriter, SeqlockWriter
from mftpy.journal_meta import DECISIONS
from mftpy.journals import writing
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
from mftpy.strategy.shown import as_report

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


class Strategy:
    """The loop with all that it needs, for the process that runs it.

    Parameters
    ----------
    links : Links
    job : Job
    child : Child
    beside : bool
        Load estimates that no decision needs beside the running loop; for a loop that runs without the interpreter.
    journal : JournalWriter, optional
        For its decisions.

    Attributes
    ----------
    loop : StrategyLoop
    """

    def __init__(
        self, links: Links, job: Job, child: Child, *, beside: bool, journal: JournalWriter | None = None
    ) -> None:
        config = job.config
        self._child, self._config, self._instrument = child, config, links.instrument
        at_once = not beside or are_used(config.model)
        code = Code(load_model(config, self._progress), load_estimates(self._progress) if at_once else None)
        if note := cache_note():
            child.send("warning", note)
        self.loop = make_loop(
            links, config, code, child.status, child.status_writer, journal=journal, wait_mode=job.placement.wait_mode
        )
        self._code = code
        self._loading: LoadingEstimates | None = None
        self._told_of_reducing = False
        child.status["compilations"] = compilations()

    def begin(self) -> None:
        """Say that it is ready, and load what is to be loaded beside it."""
        self._child.enter(State.READY)
        if self._code.estimates is None:
            self._loading = LoadingEstimates()

    def run(self) -> None:
        """Let the loop run for a while, then look what there is to do in Python."""
        loading = self._loading
        self.loop.run(time.monotonic_ns() + (LONG_RUN_NS if loading and loading.goes_on else RUN_NS))
        self.look_at_model()
        if loading and not loading.goes_on:
            if loading.failure:
                self._child.send("warning", loading.failure)
            self._code = Code(self._code.model, loading.take())
            instrument = self._instrument
            self.loop.attach(self._code.estimates_for(self._config, instrument.tick_size, instrument.lot_size))
            self._child.status["compilations"] = compilations()
            self._loading = None

    def look_at_model(self) -> None:
        """Warn, once, of a model that has failed so often that only what reduces the position is quoted.

        That it answers again by the time of this look changes nothing about it.
        """
        if not self._told_of_reducing and self.loop.quoter.latched:
            self._told_of_reducing = True
            self._child.send(
                "warning",
                f"the model failed {self._config.model.failures_to_reducing} times in a row: only what reduces the "
                "position is quoted until the next start; mftpy explain shows why",
            )

    def close(self) -> dict[str, Any]:
        """Let whoever still looks find that nothing is wanted, and return what was done."""
        child, loop = self._child, self.loop
        self.look_at_model()
        counts = loop.counts
        if loop.estimates is not None and loop.estimates.failures:
            child.send(
                "warning",
                f"the estimators failed {loop.estimates.failures} times, and what was estimated before stayed in use; "
                "that is a defect of ours, please report it",
            )
        if failed := counts.get("MODEL_FAILED"):
            child.send("warning", f"the model failed in {failed} of {counts['decisions']} decisions")
        loop.orphaned = child.orphaned
        for _ in range(LAST_TRIES):
            if loop.turn(time.monotonic_ns()):
                break
        child.enter(State.STOPPING)
        return {
            "quotes_decided": int(child.status["decisions"][0]),
            "reasons": loop.counts,
            "unstable_reads": loop.unstable,
            "journal_refused": loop.journal_refused,
            "compilations": compilations(),
            "estimates": as_report(loop.estimates.record[0]) if loop.estimates is not None else {},
        }

    def stop_loading(self) -> bool:
        """Give up what is loaded beside the loop; False when it does not end soon."""
        return self._loading is None or self._loading.end(COMPILED_S)

    def _progress(self, what: str) -> None:
        self._child.send("progress", what)


def _loop(links: Links, job: Job, child: Child, journal: JournalWriter | None) -> Strategy:
    strategy = Strategy(links, job, child, beside=True, journal=journal)
    child.freeze_garbage_collector()
    strategy.begin()
    while child.command() != Command.EXIT:
        strategy.run()
    child.final({**strategy.close(), "resources": child.resources()})
    return strategy


def _end_while_compiling(child: Child) -> None:
    """End at once: a thread that compiles can neither be stopped nor outlive the libraries that it is in."""
    child.enter(State.STOPPED)
    child.conn.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main(links: Links, job: Job, conn: Connection) -> None:
    """Run the process; the target that the supervisor starts."""

    def body(child: Child) -> None:
        with writing(job.journals, DECISIONS, partial(child.send, "warning"), child.supervisor_gone) as journal:
            strategy = _loop(links, job, child, journal)
        if not strategy.stop_loading():
            _end_while_compiling(child)

    run_child(
        "strategy",
        links.strategy,
        links.control,
        conn,
        job.placement.strategy_cores,
        body,
    )
