"""The structures from asyncio: ``await rx.pop_async()``, ``async for``, ``await reader.wait_async()``.

An event loop (asyncio's or uvloop's) gets one thread that sleeps, without the GIL, at the bells of all endpoints that
its tasks wait for, and wakes the loop when one is rung. Nothing polls; whoever publishes pays one system call, and only
while the loop's side sleeps. The endpoints themselves are used in the loop's thread alone.
"""

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from mftcore.endpoint import Endpoint
from mftcore.sleeper import Sleeper

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_Taken = TypeVar("_Taken")

LOOK_AGAIN_S: Final = 0.1
"""How long at most a task sleeps before it looks by itself: for work whose ringer was killed, and for deaths."""

FIRST_SLEEP_NS: Final = 1_000_000
"""What `Sleeper.add` says of a bell at which nobody ever slept (``wait.h``): look again soon."""


class _Popping(Protocol):
    def pop(self) -> bytes | None: ...
    async def wait_async(self, timeout_s: float | None = None) -> bool: ...


class _LoopSleeper:
    """The sleeping threads of one event loop: one for up to 127 tasks that wait at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._sleepers: list[Sleeper] = []

    def add(self, endpoint: Endpoint, future: "asyncio.Future[None]") -> tuple[Sleeper, int]:
        sleeper = next((sleeper for sleeper in self._sleepers if sleeper.room > 0), None)
        if sleeper is None:
            sleeper = Sleeper()
            thread = threading.Thread(
                target=sleeper.run, args=(_deliverer(self._loop),), name="mftcore-sleeper", daemon=True
            )
            thread.start()
            self._sleepers.append(sleeper)
        return sleeper, sleeper.add(endpoint, future)

    def __del__(self) -> None:
        for sleeper in self._sleepers:
            sleeper.end()


def _deliverer(loop_reference: "weakref.ref[asyncio.AbstractEventLoop]") -> Any:
    """Return what a sleeping thread calls with the futures to wake; False from it: the loop is gone or closed."""

    def deliver(futures: "list[asyncio.Future[None]]") -> bool:
        loop = loop_reference()
        if loop is None or loop.is_closed():
            return False
        if futures:
            try:
                loop.call_soon_threadsafe(_wake, futures)
            except RuntimeError:  # closed between the look and the call: nobody waits there any more
                return False
        return True

    return deliver


def _wake(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


_of_loops: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopSleeper]" = weakref.WeakKeyDictionary()


async def wait(endpoint: Endpoint, timeout_s: float | None = None) -> bool:
    """Wait until there is something to do at an endpoint; see `Endpoint.wait_async`."""
    loop = asyncio.get_running_loop()
    deadline = None if timeout_s is None else loop.time() + timeout_s
    sleepers = _of_loops.get(loop)
    if sleepers is None:
        sleepers = _of_loops[loop] = _LoopSleeper(loop)
    while not endpoint.wait(0):  # raises PeerDied, once for each death
        left_s = LOOK_AGAIN_S if deadline is None else min(LOOK_AGAIN_S, deadline - loop.time())
        if left_s <= 0:
            return False
        future: asyncio.Future[None] = loop.create_future()
        sleeper, look_again_ns = sleepers.add(endpoint, future)
        if not look_again_ns:
            continue
        timer = loop.call_later(left_s if look_again_ns > FIRST_SLEEP_NS else min(left_s, 0.001), _wake, [future])
        try:
            await future
        finally:  # also when the task is cancelled: nothing was taken, so nothing is lost
            timer.cancel()
            sleeper.drop(future)
    return True


async def pop(consumer: _Popping) -> bytes:
    """Take the oldest record or message, waiting for one."""
    while (record := consumer.pop()) is None:
        await consumer.wait_async()
    return record


async def records(endpoint: Endpoint, take: "Callable[[], _Taken | None]") -> "AsyncIterator[_Taken]":
    """Yield for ever what an endpoint gives, one call of `take` each, with a turn of the loop between batches."""
    while True:
        for _ in range(256):
            record = take()
            if record is None:
                break
            yield record
        else:
            await asyncio.sleep(0)
            continue
        await endpoint.wait_async()


async def batches(consumer: Any, out: "npt.NDArray[Any]") -> "AsyncIterator[npt.NDArray[np.void]]":
    """Yield the filled part of `out` for ever: all records that were there, as many as fit."""
    while True:
        count = consumer.pop_many(out)
        if count:
            yield out[:count]
            await asyncio.sleep(0)
        else:
            await consumer.wait_async()
