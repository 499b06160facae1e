"""Starts, pins, watches and stops the embedded exchange and the three processes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, Final

from mftcore import SeqlockWriter
from mftpy import records
from mftpy.errors import ConfigError, HaltedError, InputFileError, MftpyError, ResourceError, VenueError
from mftpy.journals import Kept, RunJournals
from mftpy.links import PROCESSES, Links
from mftpy.processes import canceller, entries, execution, market_data
from mftpy.processes.discovery import find_instrument
from mftpy.processes.jobs import Credentials, Job, Placement
from mftpy.processes.watched import END_SIGNALS, Watched, start
from mftpy.records import Command, State
from mftpy.settings import Config
from mftpy.sim.server import ReadyInfo, ServerSettings, exchange_main
from mftpy.sim.settings import ExchangeSettings

log = logging.getLogger(__name__)

POLL_S: Final = 0.05
EXCHANGE_START_S: Final = 60.0
START_S: Final = 120.0
STOP_S: Final = 12.0
HASTY_STOP_S: Final = 4.0
CANCELLER_S: Final = 15.0
EXIT_S: Final = 3.0


class _Interrupted(Exception):  # noqa: N818 (no failure: the user has asked for it)
    """A signal came while this thread waited in a call that does not look for one, with nothing to undo."""


@dataclass
class Outcome:
    """How a run went: the processes' last words, and what went wrong.

    Attributes
    ----------
    finals : dict
        What each process reported of itself when it ended, by name.
    errors, warnings : list of str
    failure : MftpyError or None
        Why the run ended before it was asked to; decides the exit code.
    ended_by : str
        One phrase: what ended the run.
    in_doubt : str
        One sentence when orders of ours may rest that nobody could cancel.
    kept : dict
        How the journals of decisions and actions ended, by name; empty when nothing was kept.
    """

    finals: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: MftpyError | None = None
    ended_by: str = ""
    in_doubt: str = ""
    kept: dict[str, Kept] = field(default_factory=dict)


class Supervisor:
    """One run, from the first process started to the last one ended.

    Parameters
    ----------
    config : Config
    run_id : str
        Goes into the order label, so that a later run knows its own.
    placement : Placement
        Cores and wait mode.
    credentials : Credentials or None
        For an exchange elsewhere; None starts the embedded one, which makes its own.
    directory : Path or None
        Where decisions and actions are kept; None: nowhere.
    """

    def __init__(
        self,
        config: Config,
        run_id: str,
        placement: Placement,
        credentials: Credentials | None,
        url: str | None,
        directory: Path | None = None,
    ) -> None:
        self.config = config
        self.run_id = run_id
        self.placement = placement
        self.outcome = Outcome()
        self.links: Links | None = None
        self.url = url or ""
        self.phase = "starting"
        self.started_ns = time.monotonic_ns()
        self.ready_ns = 0
        self.stopped_ns = 0
        self._credentials = credentials
        self._embedded = url is None
        self._directory = directory
        self._journals = RunJournals()
        self._exchange: Watched | None = None
        self._children: dict[str, Watched] = {}
        self._control: SeqlockWriter | None = None
        self._signals = 0
        self._interruptible = False
        self._may_have_orders = False
        self._progress = ""

    # the whole run

    def run(self, duration_s: float | None, observe: Callable[[Supervisor], None]) -> Outcome:
        """Run until a signal, `duration_s` after both sides could be quoted, the end of a recording, or a failure.

        `observe` is called several times a second from this thread, for the view. Call it inside `heeding_signals`.
        """
        try:
            self._start()
            self._watch(duration_s, observe)
        except MftpyError as error:
            self.fail(error)
        finally:
            self.phase = "stopping"
            observe(self)
            self._stop(observe)
        return self.outcome

    @contextlib.contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Let the signals that end a run end it in order, inside the block: from the first word that is shown on."""
        before = {number: signal.signal(number, self._on_signal) for number in END_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def request_stop(self, why: str) -> None:
        """End the run in order, at the next opportunity."""
        self.outcome.ended_by = self.outcome.ended_by or why

    def fail(self, error: MftpyError) -> None:
        """End the run in order, at the next opportunity, with this as the reason and for the exit code."""
        if self.outcome.failure is None:
            self.outcome.failure = error
        if str(error) not in self.outcome.errors:
            self.outcome.errors.append(str(error))
        self.outcome.ended_by = self.outcome.ended_by or "a failure"

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self.request_stop({signal.SIGINT: "Ctrl-C"}.get(signal.Signals(number), signal.Signals(number).name))
        if self._interruptible:
            self._interruptible = False
            raise _Interrupted

    # start

    def _start(self) -> None:
        if self._embedded:
            self._start_exchange()
        if self.outcome.ended_by:
            return
        self.phase = "asking the exchange for its instruments"
        try:
            try:
                self._interruptible = True
                instrument = find_instrument(self.url, self.config)
            finally:
                self._interruptible = False
        except _Interrupted:
            return
        self.links = links = Links.create(instrument)
        self._control = links.control.writer()
        self._order(Command.RUN)
        assert self._credentials is not None
        if self._directory is not None:
            self._journals = RunJournals.create(self._directory, self.config, instrument, self.run_id)
            self._take_warnings()
        job = self._job()
        self.phase = "starting the processes"
        if self.config.system.mode == "single":
            self._spawn("trading", entries.single, links, job, self._credentials)
            return
        self._spawn("market_data", market_data.main, links, job)
        self._spawn("execution", execution.main, links, job, self._credentials)
        self._spawn("strategy", entries.strategy, links, job)

    def _job(self) -> Job:
        return Job(
            run_id=self.run_id,
            url=self.url,
            config=self.config,
            placement=self.placement,
            journals=self._journals.path,
        )

    def _start_exchange(self) -> None:
        self.phase = "starting the embedded exchange"
        settings = ExchangeSettings(**self.config.exchange_arguments())
        server = ServerSettings.of(self.config)
        self._exchange = start("exchange", _exchange_child, settings, server, self.placement.exchange_cores)
        process, conn = self._exchange.process, self._exchange.conn
        deadline = time.monotonic() + EXCHANGE_START_S
        while time.monotonic() < deadline and not self.outcome.ended_by:
            wait([conn, process.sentinel], POLL_S)
            for message in self._exchange.drain():
                if message[0] == "ready":
                    ready: ReadyInfo = message[1]
                    self.url = ready.url
                    client = ready.clients[0]
                    self._credentials = Credentials(client.key_id, private_key_pem=client.private_key_pem)
                    return
                self._hear(message)
            if self.outcome.failure is not None:
                raise self.outcome.failure
            if process.exitcode is not None:
                raise HaltedError(f"the embedded exchange ended at its start with exit code {process.exitcode}")
        if not self.outcome.ended_by:
            raise HaltedError(f"the embedded exchange was not ready within {EXCHANGE_START_S:.0f} s")

    def _spawn(self, name: str, main: Callable[..., None], links: Links, *args: Any) -> None:
        if not self.outcome.ended_by:  # who is asked to end starts nothing more, and need not wait for it either
            self._children[name] = start(name, main, links, *args)

    # watch

    def _watch(self, duration_s: float | None, observe: Callable[[Supervisor], None]) -> None:
        start_deadline = time.monotonic() + START_S
        while not self.outcome.ended_by:
            self._listen()
            if self.outcome.failure is not None:
                raise self.outcome.failure
            self._check_alive()
            if not self.ready_ns and self._all_ready():
                self.ready_ns = time.monotonic_ns()
                self.phase = "quoting"
                self._tell_exchange("play")
            if not self.ready_ns:
                self.phase = self._starting_phase()
                if time.monotonic() > start_deadline:
                    raise HaltedError(f"not ready within {START_S:.0f} s: {self.phase}")
            elif duration_s is not None and time.monotonic_ns() - self.ready_ns >= duration_s * 1e9:
                self.request_stop(f"--duration {duration_s:g}")
            self._check_progress()
            self._journals.look()
            self._take_warnings()
            observe(self)

    def _listen(self) -> None:
        watched = [*self._children.values()]
        if self._exchange is not None:
            watched.append(self._exchange)
        wait([item.conn for item in watched if item.open] + [item.process.sentinel for item in watched], POLL_S)
        for item in watched:
            for message in item.drain():
                self._hear(message)

    def _hear(self, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == "warning":
            self._warn(message[1])
        elif kind == "error":
            code, sentence = message[1], message[2]
            if len(message) > 3 and message[3]:
                log.error("%s\n%s", sentence, message[3])
            self.outcome.errors.append(sentence)
            if self.outcome.failure is None:
                self.outcome.failure = _failure(code, sentence)
        elif kind == "final":
            self.outcome.finals[message[2]] = message[1]
        elif kind == "began":
            self._may_have_orders = True
        elif kind == "progress":
            self._progress = message[1]
        elif kind == "finished":
            self.request_stop(message[1])

    def _take_warnings(self) -> None:
        for sentence in self._journals.warnings:
            self._warn(sentence)
        self._journals.warnings.clear()

    def _warn(self, sentence: str) -> None:
        self.outcome.warnings.append(sentence)
        log.warning("%s", sentence)

    def _check_alive(self) -> None:
        watched = [*self._children.values()]
        if self._exchange is not None:
            watched.append(self._exchange)
        for item in watched:
            if item.process.exitcode is not None and not self.outcome.ended_by:
                for message in item.drain():
                    self._hear(message)
                if self.outcome.failure is None:
                    name = item.name.replace("_", " ")
                    self.fail(HaltedError(f"the {name} process died ({_how(item.process.exitcode)}); quoting stopped"))
                assert self.outcome.failure is not None
                raise self.outcome.failure

    def _check_progress(self) -> None:
        """Kill a process that has made no progress for the configured time: it can no longer be trusted to stop."""
        limit_ns = int(self.config.system.kill_after_s * 1e9)
        now_ns = time.monotonic_ns()
        for name in PROCESSES:
            status = self.status(name)
            if status is None or status["state"][0] != State.READY or not status["turn_ns"][0]:
                continue
            stalled_ns = now_ns - int(status["turn_ns"][0])
            if stalled_ns > limit_ns:
                self._process_of(name).kill()
                raise HaltedError(
                    f"the {name.replace('_', ' ')} process made no progress for {stalled_ns / 1e9:.1f} s "
                    "and was killed; quoting stopped"
                )

    def _process_of(self, name: str) -> SpawnProcess:
        """Return the process that does this work: its own, or the single one."""
        return (self._children.get(name) or self._children["trading"]).process

    def _all_ready(self) -> bool:
        return all(
            (status := self.status(name)) is not None and status["state"][0] == State.READY for name in PROCESSES
        )

    def _starting_phase(self) -> str:
        waiting = [
            f"{name.replace('_', ' ')} {State(int(status['state'][0])).name.lower()}"
            for name in PROCESSES
            if (status := self.status(name)) is not None and status["state"][0] != State.READY
        ]
        return f"{', '.join(waiting)} ({self._progress})" if self._progress else ", ".join(waiting)

    def status(self, name: str) -> Any:
        """Return a process's `records.STATUS` as an array of length 1, or None before it exists."""
        if self.links is None:
            return None
        status = records.blank(records.STATUS)
        with getattr(self.links, name).reader() as reader:
            reader.read_into(status)
        return status

    # stop: quoting, orders, question, children, exchange

    def _stop(self, observe: Callable[[Supervisor], None]) -> None:
        self.stopped_ns = time.monotonic_ns()
        self._order(Command.STOP_QUOTING)
        executor = self._children.get("execution") or self._children.get("trading")
        signals, started = self._signals, time.monotonic()
        while executor is not None and "execution" not in self.outcome.finals and executor.process.exitcode is None:
            self._listen()
            observe(self)
            limit_s = HASTY_STOP_S if self._signals > signals else STOP_S
            if time.monotonic() - started > limit_s:
                self.outcome.errors.append(
                    f"execution did not finish within {limit_s:.0f} s of the stop and was killed"
                )
                executor.process.kill()
                break
        if executor is not None:
            executor.process.join(EXIT_S)
            for message in executor.drain():
                self._hear(message)
            if "execution" not in self.outcome.finals:
                self._cancel_in_its_place()
        self._order(Command.EXIT)
        for item in self._children.values():
            self._end(item)
        self.outcome.kept = self._journals.close()  # nobody appends any more
        self._take_warnings()
        if self._exchange is not None:
            self._tell_exchange("stop")
            self._end(self._exchange)

    def _tell_exchange(self, word: str) -> None:
        if self._exchange is not None and self._exchange.open:
            try:
                self._exchange.conn.send((word,))
            except OSError as error:
                log.info("the exchange has closed its pipe: %s", error)  # that it ended is noticed elsewhere

    def _cancel_in_its_place(self) -> None:
        """Execution is gone without its report: a one-shot process cancels our orders and asks the exchange."""
        exchange_gone = self._exchange is not None and self._exchange.process.exitcode is not None
        if not self._may_have_orders or self._credentials is None or self.links is None or exchange_gone:
            return
        try:
            item = start("canceller", canceller.main, self.links.instrument, self._job(), self._credentials)
        except ResourceError as error:
            self.fail(error)
            self._not_sure()
            return
        item.process.join(CANCELLER_S)
        for message in item.drain():
            self._hear(message)
        self._end(item)
        if "canceller" not in self.outcome.finals:
            self._not_sure()

    def _not_sure(self) -> None:
        self.outcome.in_doubt = f"could not make sure that no order is left at {self.url}: look there yourself, now"
        self.fail(VenueError(self.outcome.in_doubt))

    def _end(self, item: Watched) -> None:
        deadline = time.monotonic() + EXIT_S
        while item.process.exitcode is None and time.monotonic() < deadline:
            item.process.join(POLL_S)
            for message in item.drain():  # a child blocked on a full pipe could not end
                self._hear(message)
        if item.process.exitcode is None:
            self.outcome.warnings.append(f"{item.name.replace('_', ' ')} did not end by itself and was killed")
            item.process.kill()
            item.process.join()
        for message in item.drain():
            self._hear(message)
        item.conn.close()

    def _order(self, command: Command) -> None:
        if self._control is None or self.links is None:
            return
        control = records.blank(records.CONTROL)
        control["command"] = command
        self._control.write(control)
        self.links.ring_all()


def _exchange_child(
    settings: ExchangeSettings, server: ServerSettings, cores: tuple[int, ...], conn: Connection
) -> None:
    if cores:
        os.sched_setaffinity(0, cores)
    exchange_main(settings, server, conn)


def _failure(code: int, sentence: str) -> MftpyError:
    kinds: dict[int, type[MftpyError]] = {
        kind.exit_code: kind for kind in (ConfigError, InputFileError, VenueError, ResourceError, HaltedError)
    }
    return kinds.get(code, MftpyError)(sentence)


def _how(exit_code: int) -> str:
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
