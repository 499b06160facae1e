"""Other ways of getting records from one Python process to another: the standard library's and the extra ``bench``'s.

Each is given what is best for it: exact bytes and no pickling where it allows that, room for as many messages as our
ring has, and a receiver that does not even look at what it got.
"""

import contextlib
import ctypes
import fcntl
import importlib
import importlib.util
import mmap
import multiprocessing
import os
import select
import shutil
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from _harness import NotMeasured, work_directory
from _ways import BATCH, Way, room

FORK = multiprocessing.get_context("fork")


class Queue(Way):
    name = "mp.Queue"
    calls = "sleeps"
    rounds = 4_000
    messages = 40_000

    def make(self) -> Any:
        return FORK.Queue(room(self.record_bytes))

    def sender(self, channel: Any) -> Callable[..., Any]:
        return channel.put  # type: ignore[no-any-return]

    def receiver(self, channel: Any) -> Callable[..., Any]:
        return channel.get  # type: ignore[no-any-return]

    def close(self, channel: Any) -> None:
        channel.close()
        channel.join_thread()


class SimpleQueue(Queue):
    name = "mp.SimpleQueue"

    def make(self) -> Any:
        return FORK.SimpleQueue()

    def close(self, channel: Any) -> None:
        channel.close()


class Pipe(Way):
    name = "mp.Pipe send_bytes"
    calls = "sleeps"
    rounds = 6_000
    messages = 60_000

    def make(self) -> Any:
        return FORK.Pipe(duplex=False)

    def sender(self, channel: Any) -> Callable[..., Any]:
        return channel[1].send_bytes  # type: ignore[no-any-return]

    def receiver(self, channel: Any) -> Callable[..., Any]:
        return channel[0].recv_bytes  # type: ignore[no-any-return]

    def close(self, channel: Any) -> None:
        for end in channel:
            end.close()


class OsPipe(Way):
    """Bytes without boundaries: both sides know the length, and short messages lie in a pipe in one piece."""

    name = "os.pipe"
    calls = "sleeps"
    rounds = 6_000
    messages = 200_000

    def make(self) -> tuple[int, int]:
        ends = os.pipe()
        with contextlib.suppress(OSError):  # the system's limit of all pipes of a user may be reached
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, min(room(self.record_bytes) * self.record_bytes, 1 << 20))
        return ends

    def sender(self, channel: tuple[int, int]) -> Callable[..., Any]:
        write, end = os.write, channel[1]
        return lambda record: write(end, record)

    def receiver(self, channel: tuple[int, int]) -> Callable[..., Any]:
        read, end, size = os.read, channel[0], self.record_bytes
        if size <= select.PIPE_BUF:
            return lambda: read(end, size)
        view = memoryview(bytearray(size))

        def take() -> None:
            got = 0
            while got < size:
                got += os.readv(end, [view[got:]])

        return take

    def close(self, channel: tuple[int, int]) -> None:
        for end in channel:
            os.close(end)


class Stream(Way):
    """A pair of connected Unix sockets; bytes without boundaries, as in a pipe."""

    name = "socketpair STREAM"
    calls = "sleeps"
    rounds = 6_000
    messages = 100_000
    kind = socket.SOCK_STREAM

    def make(self) -> tuple[socket.socket, socket.socket]:
        ends = socket.socketpair(socket.AF_UNIX, self.kind)
        wanted = room(self.record_bytes) * (self.record_bytes + 1024)  # the kernel counts its own overhead, too
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, wanted)  # it gives as much as the system allows
        return ends

    def sender(self, channel: Any) -> Callable[..., Any]:
        return channel[0].sendall  # type: ignore[no-any-return]

    def receiver(self, channel: Any) -> Callable[..., Any]:
        recv, size, whole = channel[1].recv, self.record_bytes, socket.MSG_WAITALL
        return lambda: recv(size, whole)

    def close(self, channel: Any) -> None:
        for end in channel:
            end.close()


class SeqPacket(Stream):
    """The same with boundaries."""

    name = "socketpair SEQPACKET"
    kind = socket.SOCK_SEQPACKET

    def sender(self, channel: Any) -> Callable[..., Any]:
        return channel[0].send  # type: ignore[no-any-return]

    def receiver(self, channel: Any) -> Callable[..., Any]:
        recv, size = channel[1].recv, self.record_bytes
        return lambda: recv(size)


def import_peer(name: str, distribution: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise NotMeasured(f"{distribution} is not installed: pip install '.[bench]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


class FasterFifo(Way):
    name = "faster-fifo"
    calls = "sleeps"
    rounds = 4_000
    messages = 60_000

    def make(self) -> Any:
        module = import_peer("faster_fifo", "faster-fifo")
        return module.Queue(room(self.record_bytes) * (self.record_bytes + 64), loads=bytes, dumps=bytes)

    def sender(self, channel: Any) -> Callable[..., Any]:
        return channel.put  # type: ignore[no-any-return]

    def receiver(self, channel: Any) -> Callable[..., Any]:
        return channel.get  # type: ignore[no-any-return]


class FasterFifoBatch(FasterFifo):
    name = f"faster-fifo batches of {BATCH}"
    messages = 256_000

    def produce(self, there: Any, count: int) -> None:
        many = [self.record] * BATCH
        put_many = there.__self__.put_many
        for _ in range(count // BATCH):
            put_many(many)

    def consume(self, there: Any, count: int) -> None:
        get_many, got = there.__self__.get_many, 0
        while got < count:
            got += len(get_many(max_messages_to_get=min(BATCH, count - got)))


class ThreadsafeRing(Way):
    """Bytes of any length in a ring that any buffer holds; full and empty are exceptions."""

    name = "spsc-ring-threadsafe"
    calls = "bytes"

    def make(self) -> mmap.mmap:
        if importlib.util.find_spec("spsc_ring_threadsafe") is None:
            raise NotMeasured("spsc-ring-threadsafe is not installed: it needs CPython 3.14, and the extra 'bench'")
        memory = mmap.mmap(-1, 1 << (room(self.record_bytes) * (self.record_bytes + 16)).bit_length())
        importlib.import_module("spsc_ring_threadsafe").init(memory)
        return memory

    def sender(self, channel: mmap.mmap) -> Callable[..., Any]:
        module = importlib.import_module("spsc_ring_threadsafe")
        put, full = module.put, module.QueueFullError

        def send(record: bytes) -> bool:
            try:
                put(channel, record)
            except full:
                return False
            return True

        return send

    def receiver(self, channel: mmap.mmap) -> Callable[..., Any]:
        module = importlib.import_module("spsc_ring_threadsafe")
        get, empty = module.get, module.QueueEmptyError

        def take() -> bytes | None:
            try:
                return get(channel)  # type: ignore[no-any-return]
            except empty:
                return None

        return take


class Zmq(Way):
    """A PAIR over a Unix socket."""

    name = "pyzmq PAIR ipc"
    calls = "sleeps"
    rounds = 3_000
    messages = 150_000
    made: ClassVar[int] = 0

    def make(self) -> str:
        import_peer("zmq", "pyzmq")
        Zmq.made += 1
        return str(work_directory() / f"zmq{Zmq.made}")

    def sender(self, channel: str) -> Callable[..., Any]:
        return self._socket(channel, bind=True).send  # type: ignore[no-any-return]

    def receiver(self, channel: str) -> Callable[..., Any]:
        return self._socket(channel, bind=False).recv  # type: ignore[no-any-return]

    def _socket(self, path: str, *, bind: bool) -> Any:
        zmq = importlib.import_module("zmq")
        socket = zmq.Context.instance().socket(zmq.PAIR)
        socket.linger = 0
        (socket.bind if bind else socket.connect)(f"ipc://{path}")
        return socket

    def close(self, channel: str) -> None:
        Path(channel).unlink(missing_ok=True)


class Iceoryx(Way):
    """Publish and subscribe, polled. Its files get a name of their own, and are taken away by us."""

    name = "iceoryx2 pub/sub polled"
    calls = "bytes"
    rounds = 15_000
    messages = 150_000
    made: ClassVar[int] = 0

    def make(self) -> str:
        iceoryx()
        Iceoryx.made += 1
        return f"bench/{Iceoryx.made}"

    def _service(self, channel: str) -> Any:
        self.payload = ctypes.c_uint8 * self.record_bytes
        with (work_directory() / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one after the other: the second must find what the first one makes
            iox2, node = iceoryx_node()
            self.kept = node
            return (
                node.service_builder(iox2.ServiceName.new(channel))
                .publish_subscribe(self.payload)
                .enable_safe_overflow(False)
                .subscriber_max_buffer_size(room(self.record_bytes))
                .open_or_create()
            )

    def sender(self, channel: str) -> Callable[..., Any]:
        iox2 = iceoryx()
        service = self._service(channel)
        publisher = service.publisher_builder().backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
        send_copy = publisher.create().send_copy
        record = self.payload()
        self.kept_service = service

        def send(_record: bytes) -> bool:
            send_copy(record)
            return True

        return send

    def receiver(self, channel: str) -> Callable[..., Any]:
        service = self._service(channel)
        self.kept_receiver = service
        return service.subscriber_builder().buffer_size(room(self.record_bytes)).create().receive  # type: ignore[no-any-return]

    def close(self, channel: str) -> None:  # noqa: ARG002
        iceoryx_remove()


PREFIX = f"bench{os.getpid()}_"


def iceoryx() -> Any:
    return import_peer("iceoryx2", "iceoryx2")


def iceoryx_node() -> tuple[Any, Any]:
    """Return the module and a new node whose files stand under a name and a folder of this run."""
    iox2 = iceoryx()
    iox2.set_log_level(iox2.LogLevel.Error)
    config = iox2.config.default()
    config.global_cfg.prefix = iox2.FileName.new(PREFIX)
    config.global_cfg.root_path = iox2.Path.new(str(work_directory() / "iceoryx2"))
    return iox2, iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)


def iceoryx_remove() -> None:
    """Remove what its processes left behind: they end without taking their segments away."""
    for path in Path("/dev/shm").glob(f"{PREFIX}*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(work_directory() / "iceoryx2", ignore_errors=True)


PEERS: tuple[type[Way], ...] = (Iceoryx, FasterFifo, Zmq, Pipe, SimpleQueue, Queue)
BYTE_PEERS: tuple[type[Way], ...] = (
    Iceoryx,
    ThreadsafeRing,
    FasterFifo,
    Zmq,
    OsPipe,
    Stream,
    SeqPacket,
    Pipe,
    Queue,
)
