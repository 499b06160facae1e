"""A child process as the supervisor sees it: how it is started, its pipe, and what it said."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from mftpy.errors import ResourceError

END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks the supervisor to end a run; its children leave all of them to it."""

_CONTEXT: Final = multiprocessing.get_context("spawn")


@dataclass
class Watched:
    """A child process, our end of its pipe, and what it said."""

    name: str
    process: SpawnProcess
    conn: Connection
    heard: list[tuple[Any, ...]] = field(default_factory=list)
    open: bool = True

    def drain(self) -> list[tuple[Any, ...]]:
        """Return the messages that arrived since the last call."""
        messages: list[tuple[Any, ...]] = []
        try:
            while self.open and self.conn.poll():
                messages.append(self.conn.recv())
        except (EOFError, OSError):
            self.open = False
        self.heard += messages
        return messages


def start(name: str, main: Callable[..., None], *args: Any) -> Watched:
    """Start `main(*args, conn)` in a process of its own.

    The signals that end a run are blocked while it starts, and a child inherits that: Ctrl-C reaches the whole
    foreground group, and a child that still imports its modules would die of it, before it can ignore it.

    Raises
    ------
    ResourceError
        The machine allows no further process or descriptor.
    """
    try:
        resource_tracker.ensure_running()  # started here, since its own start unblocks the signals again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        try:
            ours, theirs = _CONTEXT.Pipe()
            process = _CONTEXT.Process(target=main, args=(*args, theirs), name=f"mftpy-{name.replace('_', '-')}")
            process.start()
            theirs.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except OSError as error:
        raise ResourceError(f"cannot start the {name.replace('_', ' ')} process: {error.strerror or error}") from error
    return Watched(name, process, ours)
