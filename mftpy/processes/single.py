"""Market data, strategy and execution one after the other in one process and thread: ``--mode single``.

The parts are those of the three processes, over the same structures; only the order of their turns is fixed. A failure
of one of them ends the run as the end of its process would: execution still takes every order out of the market.
"""

from __future__ import annotations

import time
import traceback
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

from mftcore import JournalWriter, MftError
from mftpy.errors import MftpyError
from mftpy.journal_meta import ACTIONS, DECISIONS
from mftpy.journals import writing
from mftpy.links import Links
from mftpy.processes.child import Child, run_child
from mftpy.processes.execution import Executor
from mftpy.processes.jobs import Credentials, Job
from mftpy.processes.market_data import MarketData
from mftpy.processes.strategy import Strategy
from mftpy.processes.waiting import Waiter
from mftpy.records import Command, State

WAIT_S: Final = 0.05


def _loop(
    links: Links,
    job: Job,
    credentials: Credentials,
    child: Child,
    decisions: JournalWriter | None,
    actions: JournalWriter | None,
) -> None:
    conn = child.conn
    of_market = Child("market_data", links.market_data, links.control, conn)
    of_strategy = Child("strategy", links.strategy, links.control, conn)
    # first what takes longest, while nothing depends on us
    strategy = Strategy(links, job, of_strategy, beside=False, journal=decisions)
    market = MarketData(links, job, of_market)
    child.enter(State.CONNECTING)
    executor = Executor(links, job, credentials, child, actions)
    executor.open()
    sockets = (market.session, executor.session)
    waiter = Waiter(
        links.execution_bell, job.placement.wait_mode, *(session.fileno() for session in sockets), conn.fileno()
    )
    child.freeze_garbage_collector()
    executor.begin()
    child.enter(State.READY)
    strategy.begin()
    account = links.account.reader()
    exit_code, failed = 0, ""
    while child.command() == Command.RUN:
        told = account.version
        try:
            part = "market data"
            market.turn()
            part = "strategy"
            strategy.loop.turn(time.monotonic_ns())
            strategy.look_at_model()
        except Exception as error:  # noqa: BLE001 (told below; execution, whose it is not, can cancel what rests)
            exit_code, failed = _tell(child, part, error), part
            break
        executor.work(child.mode)
        # what execution has just told of fills and orders is decided upon at once
        if account.version == told and not any(session.has_pending for session in sockets):
            for session in sockets:
                waiter.want_write(session.fileno(), session.wants_write)
            waiter.wait(WAIT_S, lambda: False)
    report = executor.close()
    waiter.close()
    child.final({**report, "resources": child.resources()})  # first: no end of the others makes it unsaid
    executor.session.close()
    if failed != "market data":
        of_market.final(market.close())
    if failed != "strategy":
        of_strategy.final(strategy.close())
    if failed:
        child.enter(State.FAILED)
        raise SystemExit(exit_code)


def _tell(child: Child, part: str, error: Exception) -> int:
    """Tell the supervisor what ended the run as the process of that part would; returns the exit code."""
    if isinstance(error, MftpyError):
        code, sentence, trace = error.exit_code, f"{part}: {error}", ""
    elif isinstance(error, MftError):
        code, sentence, trace = 5, f"{part}: {error}", traceback.format_exc()
    else:
        code, sentence, trace = 70, f"{part} failed with {type(error).__name__}: {error}", traceback.format_exc()
    child.send("error", code, sentence, trace)
    return code


def main(links: Links, job: Job, credentials: Credentials, conn: Connection) -> None:
    """Run the process; the target that the supervisor starts."""

    def body(child: Child) -> None:
        warn, gone = partial(child.send, "warning"), child.supervisor_gone
        with (
            writing(job.journals, DECISIONS, warn, gone) as decisions,
            writing(job.journals, ACTIONS, warn, gone) as actions,
        ):
            _loop(links, job, credentials, child, decisions, actions)

    run_child(
        "execution",
        links.execution,
        links.control,
        conn,
        job.placement.execution_cores,
        body,
    )
