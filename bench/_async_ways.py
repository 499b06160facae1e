"""Ways of getting records to a task of an event loop. The sender is a plain loop, except in the round trips.

Each part of a run is one `Runner.run` in the receiving process, on the same event loop.
"""

import asyncio
import importlib
import mmap
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Literal

import numpy as np
import uvloop
from _peers import Zmq, import_peer
from _ways import CAPACITY, Way

from mftcore import SpscRing

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
LoopName = Literal["asyncio", "uvloop"]


class AsyncWay(Way):
    """A way whose receiver is a task. A subclass says how one record is awaited, or how all are.

    Its `sender` gives a function that returns False when there is no room; its `receiver` an end for `take`.
    """

    title: ClassVar[str]
    calls = "bytes"
    rounds = 3_000
    messages = 200_000

    def __init__(self, record_bytes: int, loop: LoopName) -> None:
        super().__init__(record_bytes)
        self.loop = loop
        self.runner: asyncio.Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self.runner is None:  # made in the process that uses it
            self.runner = asyncio.Runner(loop_factory=LOOPS[self.loop])
        return self.runner.run(coroutine)

    async def take(self, end: Any) -> Any:
        """Await one record."""
        raise NotImplementedError

    async def take_all(self, end: Any, count: int) -> None:
        """Await so many records."""
        for _ in range(count):
            await self.take(end)

    async def _ping(self, send: Any, end: Any, taken: Any) -> None:
        record, take, clock = self.record, self.take, self.loops["clock"]
        for i in range(len(taken)):
            start = clock()
            send(record)
            await take(end)
            taken[i] = clock() - start

    async def _echo(self, end: Any, send: Any, count: int) -> None:
        record, take = self.record, self.take
        for _ in range(count):
            await take(end)
            send(record)

    def ping(self, there: Any, back: Any, taken: Any) -> None:
        self.run(self._ping(there, back, taken))

    def echo(self, there: Any, back: Any, count: int) -> None:
        self.run(self._echo(there, back, count))

    def consume(self, there: Any, count: int) -> None:
        self.run(self.take_all(there, count))


class Awaited(AsyncWay):
    """One awaited call for each record."""

    title = "mftcore await pop_async()"

    def make(self) -> SpscRing:
        return SpscRing.create(self.record_bytes, CAPACITY)

    def sender(self, channel: SpscRing) -> Callable[..., Any]:
        return channel.producer().push

    def receiver(self, channel: SpscRing) -> Any:
        return channel.consumer()

    async def take(self, end: Any) -> Any:
        return await end.pop_async()

    async def take_all(self, end: Any, count: int) -> None:
        for _ in range(count):
            await end.pop_async()

    def close(self, channel: SpscRing) -> None:
        channel.close()


class Iterated(Awaited):
    title = "mftcore async for"
    messages = 400_000

    async def take_all(self, end: Any, count: int) -> None:
        got = 0
        async for _ in end:
            got += 1
            if got == count:
                break


class Batched(Awaited):
    """All that is there, copied into an array."""

    title = "mftcore batches()"
    messages = 2_000_000

    over = 0

    async def take_all(self, end: Any, count: int) -> None:
        got, out = self.over, np.zeros(CAPACITY, f"V{self.record_bytes}")
        if got < count:
            async for part in end.batches(out):
                got += len(part)
                if got >= count:
                    break
        self.over = got - count  # they belong to the next part of the run


TAIL, HEAD, WAITING, SLOTS = 0, 16, 32, 512  # words, and the byte where the slots begin


class EventfdRing(AsyncWay):
    """A ring as one writes it in Python: indices in a memoryview of 64-bit words, an eventfd that the loop reads.

    The receiver works through all that is there in the callback of `add_reader`; the sender writes the eventfd for each
    record, which is simple and can lose no wake-up.
    """

    title = "memoryview ring + eventfd"

    def make(self) -> tuple[mmap.mmap, int]:
        return mmap.mmap(-1, SLOTS + CAPACITY * self.record_bytes), os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def sender(self, channel: tuple[mmap.mmap, int]) -> Callable[..., Any]:
        memory, event = channel
        slots, words = memoryview(memory)[SLOTS:], memoryview(memory)[:SLOTS].cast("Q")
        tail = seen = 0
        size, tell = self.record_bytes, self.teller(words, event)

        def send(record: bytes) -> bool:
            nonlocal tail, seen
            if tail - seen >= CAPACITY:
                seen = words[HEAD]
                if tail - seen >= CAPACITY:
                    return False
            at = tail % CAPACITY * size
            slots[at : at + size] = record
            tail += 1
            words[TAIL] = tail
            tell()
            return True

        return send

    def teller(self, _words: memoryview, event: int) -> Callable[[], None]:
        write = os.eventfd_write
        return lambda: write(event, 1)

    def receiver(self, channel: tuple[mmap.mmap, int]) -> "EventfdEnd":
        return EventfdEnd(*channel, self.record_bytes)

    async def take(self, end: Any) -> bytes:
        while (record := end.pop()) is None:
            await end.wait()
        return record  # type: ignore[no-any-return]

    async def take_all(self, end: Any, count: int) -> None:
        await end.drained(count, end.pop_each)

    def close(self, channel: tuple[mmap.mmap, int]) -> None:
        os.close(channel[1])


class EventfdRingBatched(EventfdRing):
    """All that is there is copied out at once, in one or two pieces."""

    title = "memoryview ring + eventfd, batches"

    async def take_all(self, end: Any, count: int) -> None:
        await end.drained(count, end.pop_all)


class QuietRing(EventfdRing):
    """The sender writes the eventfd only when the receiver says that it waits; a lock's two calls are the fence."""

    title = "memoryview ring + eventfd when waited for"

    def teller(self, words: memoryview, event: int) -> Callable[[], None]:
        write, lock = os.eventfd_write, threading.Lock()
        acquire, release = lock.acquire, lock.release

        def tell() -> None:
            acquire()
            release()
            if words[WAITING]:
                words[WAITING] = 0
                write(event, 1)

        return tell


class QuietRingBatched(QuietRing, EventfdRingBatched):
    title = "memoryview ring + eventfd when waited for, batches"


class EventfdEnd:
    """The receiving end of both rings: it says in any case that it waits, before its last look."""

    def __init__(self, memory: mmap.mmap, event: int, size: int) -> None:
        self.slots, self.words = memoryview(memory)[SLOTS:], memoryview(memory)[:SLOTS].cast("Q")
        self.event, self.size, self.head = event, size, 0
        self.fence = threading.Lock()
        self.out = memoryview(bytearray(CAPACITY * size))
        self.registered = False
        self.future: asyncio.Future[None] | None = None
        self.work: Callable[[], int] = self.pop_each
        self.left = 0

    def pop(self) -> bytes | None:
        if self.words[TAIL] == self.head:
            return None
        at = self.head % CAPACITY * self.size
        record = bytes(self.slots[at : at + self.size])
        self.head += 1
        self.words[HEAD] = self.head
        return record

    def pop_each(self) -> int:
        """Take all records that are there as bytes, one by one; they go back to the sender at the end."""
        slots, size, tail, head = self.slots, self.size, self.words[TAIL], self.head
        for number in range(head, tail):
            at = number % CAPACITY * size
            bytes(slots[at : at + size])
        self.head = self.words[HEAD] = tail
        return tail - head

    def pop_all(self) -> int:
        slots, size, tail, head = self.slots, self.size, self.words[TAIL], self.head
        if tail == head:
            return 0
        first, last = head % CAPACITY * size, ((tail - 1) % CAPACITY + 1) * size
        if first < last:
            self.out[: last - first] = slots[first:last]
        else:
            rest = CAPACITY * size - first
            self.out[:rest] = slots[first : CAPACITY * size]
            self.out[rest : rest + last] = slots[:last]
        self.head = self.words[HEAD] = tail
        return tail - head

    def must_wait(self) -> bool:
        self.words[WAITING] = 1
        with self.fence:
            pass
        return bool(self.words[TAIL] == self.head)

    async def wait(self) -> None:
        self.register()
        if self.must_wait():
            self.future = asyncio.get_running_loop().create_future()
            await self.future

    async def drained(self, count: int, work: Callable[[], int]) -> None:
        """Take so many records from inside the loop's callback; what was taken beyond them counts for the next time."""
        self.register()
        self.work, self.left = work, self.left + count
        self.future = asyncio.get_running_loop().create_future()
        self.drain()
        await self.future

    def register(self) -> None:
        if not self.registered:
            asyncio.get_running_loop().add_reader(self.event, self.ready)
            self.registered = True

    def ready(self) -> None:
        try:
            os.eventfd_read(self.event)
        except BlockingIOError:
            return
        if self.left > 0:
            self.drain()
        elif self.future is not None and not self.future.done():
            self.future.set_result(None)

    def drain(self) -> None:
        self.left -= self.work()
        if self.left <= 0:
            if self.future is not None and not self.future.done():
                self.future.set_result(None)
        elif not self.must_wait():
            asyncio.get_running_loop().call_soon(self.drain)


class Streams(AsyncWay):
    """A `StreamReader` on a Unix socket; the sender's socket blocks, which is its fastest way."""

    title = "asyncio streams, readexactly"

    def make(self) -> tuple[socket.socket, socket.socket]:
        return socket.socketpair()

    def sender(self, channel: Any) -> Callable[..., Any]:
        sendall = channel[0].sendall

        def send(record: bytes) -> bool:
            sendall(record)
            return True

        return send

    def receiver(self, channel: Any) -> Any:
        reader, self.writer = self.run(asyncio.open_unix_connection(sock=channel[1]))
        return reader

    async def take(self, end: Any) -> Any:
        return await end.readexactly(self.record_bytes)

    def close(self, channel: Any) -> None:
        for end in channel:
            end.close()


class StreamsBatched(Streams):
    title = "asyncio streams, read of what is there"

    async def take_all(self, end: Any, count: int) -> None:
        left = count * self.record_bytes
        while left > 0:
            left -= len(await end.read(min(left, 1 << 16)))


class ZmqAsync(AsyncWay):
    title = "pyzmq.asyncio PAIR ipc"
    rounds = 2_000
    messages = 40_000

    def make(self) -> str:
        return Zmq(self.record_bytes).make()

    def sender(self, channel: str) -> Callable[..., Any]:
        send_now = Zmq(self.record_bytes).sender(channel)

        def send(record: bytes) -> bool:
            send_now(record)
            return True

        return send

    def receiver(self, channel: str) -> Any:
        import_peer("zmq", "pyzmq")
        module, zmq = importlib.import_module("zmq.asyncio"), importlib.import_module("zmq")
        end = module.Context().socket(zmq.PAIR)
        end.linger = 0
        end.connect(f"ipc://{channel}")
        return end

    async def take(self, end: Any) -> Any:
        return await end.recv()

    def close(self, channel: str) -> None:
        Zmq(self.record_bytes).close(channel)


TRIPS: tuple[type[AsyncWay], ...] = (Awaited, EventfdRing, QuietRing, Streams, ZmqAsync)
RATES: tuple[type[AsyncWay], ...] = (
    Batched,
    Iterated,
    Awaited,
    EventfdRing,
    EventfdRingBatched,
    QuietRing,
    QuietRingBatched,
    Streams,
    StreamsBatched,
    ZmqAsync,
)
