"""The strategy process: reads book and account, asks the model, publishes what should rest. No I/O.

Every decision is published, with the terms that explain it; execution is woken only when it differs enough.
"""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from mftcore import BOOK_RESYNCING, BOOK_STALE, LEVEL, BookStamp, Unstable
from mftpy import records
from mftpy.links import BOOK_LEVELS, Links
from mftpy.model import quoting
from mftpy.model.quoting import Quoter
from mftpy.processes.child import Child, run_child
from mftpy.processes.jobs import Job
from mftpy.processes.waiting import Waiter
from mftpy.records import Command, Reason, State

WAIT_S: Final = 0.05


class Decider:
    """Reads what there is to read, decides, publishes."""

    def __init__(self, links: Links, job: Job, child: Child) -> None:
        instrument, config = links.instrument, job.config
        self._quoter = Quoter(
            quoting.parameters(config, instrument.tick_size, instrument.lot_size),
            config.quoting.requote_threshold_ticks,
        )
        self._stale_ns = int(config.limits.stale_feed_s * 1e9)
        self._status = child.status
        self._book = links.book.reader()
        self._account_reader = links.account.reader()
        self._market_data = links.market_data.reader()
        self._market_data_status = records.blank(records.STATUS)
        self._trades = links.trades.consumer()
        self._target_writer = links.target.writer()
        self._execution_bell = links.execution_bell
        self._bids = np.zeros(BOOK_LEVELS, LEVEL)
        self._asks = np.zeros(BOOK_LEVELS, LEVEL)
        self._account = records.blank(records.ACCOUNT)
        self._drained = np.zeros(256, records.TRADE)
        self._seen = (-1, -1)
        self._decided_version: int | None = None
        self._fills_passed_on = 0
        self._command = Command.RUN
        self.unstable = 0

    def has_news(self) -> bool:
        """True when book or account have changed since the last decision."""
        return (self._book.version, self._account_reader.version) != self._seen

    def turn(self, command: Command) -> None:
        """Decide and publish."""
        while self._trades.pop_many(self._drained):
            pass  # nothing is estimated from them yet; a ring that is not drained would count drops
        self._seen = (self._book.version, self._account_reader.version)
        try:
            stamp = self._book.read_into(self._bids, self._asks)
            self._account_reader.read_into(self._account)
        except Unstable:
            self.unstable += 1
            self._seen = (-1, -1)
            return
        self._market_data.read_into(self._market_data_status)
        refusal = self._refusal(stamp, command)
        if refusal:
            self._quoter.refuse(refusal, int(self._account["position_lots"][0]))
        else:
            self._quoter.decide(self._bids, self._asks, stamp.n_bids, stamp.n_asks, self._account)
        self._publish(stamp)

    def _refusal(self, stamp: BookStamp, command: Command) -> Reason:
        if command != Command.RUN:
            return Reason.STOPPING
        if not self._account["ready"][0]:
            return Reason.ACCOUNT_NOT_READY
        silence_ns = time.monotonic_ns() - int(self._market_data_status["turn_ns"][0])
        if stamp.state & BOOK_STALE or not stamp.writer_alive or silence_ns > self._stale_ns:
            return Reason.BOOK_STALE
        if stamp.version == 0 or stamp.state & BOOK_RESYNCING or stamp.state:
            return Reason.BOOK_NOT_READY
        return Reason.NONE

    def _publish(self, stamp: BookStamp) -> None:
        self._status["decisions"] += 1
        target = self._quoter.target
        target["decision_id"] = self._status["decisions"]
        target["book_version"] = stamp.version
        target["receive_ns"] = stamp.receive_ns
        target["published_ns"] = stamp.published_ns
        target["account_fills"] = fills = int(self._account["fills"][0])
        target["threshold_ticks"] = self._quoter.threshold_ticks
        changed = self._quoter.changed
        if changed and self._decided_version not in (None, stamp.version):  # None: it came before we were there
            target["cause_version"], target["cause_receive_ns"] = stamp.version, stamp.receive_ns
        self._decided_version = stamp.version
        target["decided_ns"] = time.monotonic_ns()
        self._target_writer.write(target)
        self._status["published"] += 1
        if changed:
            self._quoter.passed_on()
        if changed or fills != self._fills_passed_on:  # execution inserts nothing until it hears that its fill is known
            self._fills_passed_on = fills
            self._execution_bell.ring()

    @property
    def counts(self) -> dict[str, int]:
        """Decisions, and how many under each reason."""
        return self._quoter.counts


class Strategy:
    """The decider and its child, one turn at a time."""

    def __init__(self, links: Links, job: Job, child: Child) -> None:
        warmed = quoting.warm_up()
        if warmed.note:
            child.send("warning", warmed.note)
        self.decider = Decider(links, job, child)
        self._child = child
        child.status["compilations"] = self._compiled = quoting.compilations()

    def turn(self, _now_ns: int) -> Command:
        """Decide, publish, and say that a turn was completed."""
        command = self._child.command()
        self.decider.turn(command)
        self._child.turn()
        return command

    def close(self) -> dict[str, Any]:
        """Return what was done."""
        child, compiled = self._child, quoting.compilations()
        child.enter(State.STOPPING)
        if compiled != self._compiled:
            child.send("warning", f"the model was compiled {compiled - self._compiled} times after the start")
        return {
            "quotes_decided": int(child.status["decisions"][0]),
            "reasons": self.decider.counts,
            "unstable_reads": self.decider.unstable,
            "compilations": compiled,
        }


def _loop(links: Links, job: Job, child: Child) -> None:
    strategy = Strategy(links, job, child)
    waiter = Waiter(links.strategy_bell, job.placement.wait_mode, child.conn.fileno())
    child.freeze_garbage_collector()
    child.enter(State.READY)
    while strategy.turn(0) != Command.EXIT:
        waiter.wait(WAIT_S, strategy.decider.has_news)
    report = strategy.close()
    waiter.close()
    child.final({**report, "resources": child.resources()})


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
