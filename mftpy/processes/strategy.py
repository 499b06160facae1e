"""The strategy process: reads book and account, asks the model, publishes what should rest. No I/O.

The work is in `mftpy.strategy.loop`, without the interpreter; here it is put together, and watched between its runs.
"""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftcore import JournalWriter, SeqlockWriter
from mftpy.links import Links
from mftpy.model.builtin import MODELS
from mftpy.model.by_address import CALLABLES, CompiledModel, compile_model
from mftpy.model.compiled import cache_note
from mftpy.model.estimator import Estimator
from mftpy.model.estimator_by_address import EstimatorCode, compile_estimator
from mftpy.processes.child import Child, run_child
from mftpy.processes.jobs import Job
from mftpy.records import Command, State
from mftpy.settings import Config
from mftpy.strategy.decide import Quoter
from mftpy.strategy.estimates import Estimates
from mftpy.strategy.loop import StrategyLoop
from mftpy.strategy.parameters import parameters

RUN_NS: Final = 50_000_000
"""How long the loop goes on before the supervisor's pipe is looked at."""

LAST_TRIES: Final = 100


class Code(NamedTuple):
    """What is called by its address."""

    model: CompiledModel
    estimator: EstimatorCode


def compile_code(config: Config) -> Code:
    """Compile model and estimators, or load them from disk."""
    return Code(compile_model(MODELS[config.model.name], config.model.name), compile_estimator())


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

    Raises
    ------
    ConfigError
        The settings make no sense for this instrument.
    """
    instrument = links.instrument
    known = parameters(config, instrument.tick_size, instrument.lot_size, instrument.min_order_lots)
    return StrategyLoop(
        links,
        Quoter(known, code.model.address, code.model),
        Estimates(
            estimator or Estimator(config.estimation, instrument.tick_size),
            code.estimator,
            config.model,
            instrument.tick_size,
            instrument.lot_size,
        ),
        status=status,
        status_writer=status_writer,
        journal=journal,
        wait_mode=wait_mode,
    )


def _loop(links: Links, job: Job, child: Child, journal: JournalWriter | None = None) -> None:
    child.send("progress", f"loading or compiling the model {job.config.model.name} and the estimators")
    code = compile_code(job.config)
    if note := cache_note():
        child.send("warning", note)
    loop = make_loop(
        links,
        job.config,
        code,
        child.status,
        child.status_writer,
        journal=journal,
        wait_mode=job.placement.wait_mode,
    )
    child.status["compilations"] = sum(not function.from_cache for function in CALLABLES)
    child.freeze_garbage_collector()
    child.enter(State.READY)
    while child.command() != Command.EXIT:
        loop.run(time.monotonic_ns() + RUN_NS)
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
            "compilations": int(child.status["compilations"][0]),
            "resources": child.resources(),
        },
    )


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
