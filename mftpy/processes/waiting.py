"""How a process's loop waits: for its sockets, its doorbell, and a timer, in the wait mode of its core."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Final

from mftcore import Doorbell
from mftpy.errors import ConfigError

WAIT_MODES: Final = ("auto", "park", "yield", "spin")


def choose_wait_mode(asked: str, cores: int, loops: int) -> str:
    """Return the wait mode for a machine of `cores` usable cores and `loops` busy loops.

    ``auto`` parks: the embedded exchange or other programs may share the cores, and a loop that spins beside them
    waits whole time slices.

    Raises
    ------
    ConfigError
        ``spin`` with fewer cores than loops: they would starve each other.
    """
    if asked == "spin" and cores < loops:
        raise ConfigError(
            f'wait_mode = "spin" needs a core for each of {loops} loops and there are {cores}; use "yield" or "park"'
        )
    return "park" if asked == "auto" else asked


class Waiter:
    """One loop's idle step.

    Parameters
    ----------
    bell : Doorbell
        Rung by whoever has work for this loop.
    mode : str
        ``park`` sleeps in the kernel; ``yield`` polls and gives the core away; ``spin`` polls.
    fds : int
        File descriptors whose readability is work as well.
    """

    def __init__(self, bell: Doorbell, mode: str, *fds: int) -> None:
        self._bell = bell
        self._mode = mode
        self._epoll = select.epoll()
        for fd in fds:
            self._epoll.register(fd, select.EPOLLIN)
        self._epoll.register(bell.fileno(), select.EPOLLIN)

    def want_write(self, fd: int, wanted: bool) -> None:
        """Also wake when `fd` can be written, or no longer."""
        self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor that is about to be closed."""
        self._epoll.unregister(fd)

    def wait(self, timeout_s: float, ready: Callable[[], bool]) -> None:
        """Return when there may be work, after `timeout_s` at the latest.

        `ready` looks for work once more after the bell is armed: whoever published before that saw no sleeper and
        did not ring.
        """
        if self._mode == "park":
            self._bell.arm()
            try:
                if not ready():
                    self._epoll.poll(timeout_s)
            finally:
                self._bell.disarm()
            return
        if not ready():
            self._epoll.poll(0)
            if self._mode == "yield":
                os.sched_yield()

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()
