"""What our three processes share: signals, pinning, telling the supervisor, ending with a sentence."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

import psutil

from mftcore import MftError, Seqlock
from mftpy import records
from mftpy.errors import MftpyError
from mftpy.records import Command, Mode, State

log = logging.getLogger(__name__)

IGNORED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Child:
    """A process's line to the supervisor: its status record, the control word, and a pipe for what is rare.

    Parameters
    ----------
    name : str
        One of `mftpy.links.PROCESSES`.
    status, control : Seqlock
        This process's status record and the supervisor's control record.
    conn : multiprocessing.connection.Connection
        End-of-file on it means that the supervisor is gone; the process then behaves as if told to stop.

    Attributes
    ----------
    status : ndarray of records.STATUS, shape (1,)
        To be counted in; `turn` publishes it.
    status_writer : SeqlockWriter
        For a loop that publishes it by itself.
    """

    def __init__(self, name: str, status: Seqlock, control: Seqlock, conn: Connection) -> None:
        self.name = name
        self.conn = conn
        self.status = records.blank(records.STATUS)
        self._status_row = self.status[0]
        self.status_writer = status.writer()
        self._control = records.blank(records.CONTROL)
        self._control_reader = control.reader()
        self._orphaned = False
        self._gc_before = 0
        self.status["pid"] = os.getpid()
        self.enter(State.STARTING)

    def enter(self, state: State) -> None:
        """Publish a new state. That is progress too: READY before its first turn, a process is not stalled."""
        self.status["state"] = state
        self.status["turn_ns"] = time.monotonic_ns()
        self.publish()

    def publish(self) -> None:
        """Publish the status record as it stands."""
        self.status_writer.write(self.status)

    def turn(self) -> None:
        """Say that a turn of the loop was completed; the proof of progress that the others watch."""
        self._status_row["turns"] += 1
        self._status_row["turn_ns"] = time.monotonic_ns()
        self.status_writer.write(self.status)

    def command(self) -> Command:
        """Return what the supervisor asks for; EXIT for ever once it is gone."""
        if self._orphaned or self._supervisor_gone():
            return Command.EXIT
        self._control_reader.read_into(self._control)
        return Command(int(self._control["command"][0]))

    @property
    def mode(self) -> Mode:
        """How much may be quoted, as the supervisor said when `command` was last asked."""
        return Mode(int(self._control["mode"][0]))

    @property
    def orphaned(self) -> bool:
        """True when the supervisor's end of the pipe was closed."""
        return self._orphaned

    def supervisor_gone(self) -> bool:
        """Look whether the supervisor's end of the pipe was closed; `orphaned` tells what was seen last."""
        return self._orphaned or self._supervisor_gone()

    def send(self, kind: str, *values: Any) -> None:
        """Tell the supervisor something rare: ``warning``, ``error``."""
        try:
            self.conn.send((kind, *values))
        except OSError as error:
            self._orphaned = True
            log.warning("%s: the supervisor is gone, could not tell it %s: %s", self.name, kind, error)

    def final(self, report: dict[str, Any]) -> None:
        """Tell the supervisor, as the last word, what was done; under this child's name."""
        self.send("final", report, self.name)

    def freeze_garbage_collector(self) -> None:
        """Take the collector out of the loop: what exists now is never traced again, nothing is collected."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._gc_before = _collections()

    def resources(self) -> dict[str, float | int | None]:
        """CPU time, proportional memory and collections since the loop began, for the summary."""
        return {
            "cpu_seconds": round(time.process_time(), 3),
            "pss_bytes": pss_bytes(),
            "gc_collections": _collections() - self._gc_before,
        }

    def _supervisor_gone(self) -> bool:
        try:
            while self.conn.poll():
                self.conn.recv()  # nothing is ever sent this way: it raises EOFError, or is ignored
        except (EOFError, OSError):
            self._orphaned = True
        return self._orphaned


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def pss_bytes() -> int | None:
    """Proportional set size of this process in bytes; None where the kernel does not tell."""
    try:
        return int(psutil.Process().memory_full_info().pss)
    except psutil.AccessDenied:
        return None


def ignore_terminal_signals() -> None:
    """Leave Ctrl-C, hang-up and terminate to the supervisor, which ends its children in the right order."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def pin(cores: tuple[int, ...]) -> None:
    """Bind this process to cores; an empty tuple leaves it where it is."""
    if cores:
        os.sched_setaffinity(0, cores)


def run_child(
    name: str,
    status: Seqlock,
    control: Seqlock,
    conn: Connection,
    cores: tuple[int, ...],
    body: Callable[[Child], None],
) -> None:
    """Run a process's body, and turn whatever ends it into a message, a state and an exit code."""
    ignore_terminal_signals()
    pin(cores)
    child = Child(name, status, control, conn)
    try:
        body(child)
    except MftpyError as error:
        child.enter(State.FAILED)
        child.send("error", error.exit_code, f"{name.replace('_', ' ')}: {error}", "")
        raise SystemExit(error.exit_code) from error
    except MftError as error:
        child.enter(State.FAILED)
        child.send("error", 5, f"{name.replace('_', ' ')}: {error}", traceback.format_exc())
        raise SystemExit(5) from error
    except Exception as error:
        child.enter(State.FAILED)
        child.send(
            "error",
            70,
            f"{name.replace('_', ' ')} failed with {type(error).__name__}: {error}",
            traceback.format_exc(),
        )
        raise SystemExit(70) from error
    child.enter(State.STOPPED)
