"""Ways of getting the records of one process to several others: the broadcast, and what else there is.

A reader's `take` gives one record, or None (or nothing in it) when there was none: at once in a way that polls, after
`QUIET_S` in one that blocks.
"""

import ctypes
import fcntl
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from _harness import work_directory
from _peers import FORK, Zmq, iceoryx, iceoryx_node, iceoryx_remove
from _ways import BATCH, CAPACITY

from mftcore import Broadcast, SpscRing

RECORD = 64
QUIET_S = 0.05
Send = Callable[[bytes], Any]
Take = Callable[[], Any]


class Fan:
    """How records get across. A subclass says how; `name` is shown, and `readers` is how many there will be."""

    name: ClassVar[str]
    per_send: ClassVar[int] = 1

    def __init__(self, readers: int) -> None:
        self.readers = readers

    def make(self) -> Any:
        """Return what all processes need, in the process that starts them."""
        raise NotImplementedError

    def writer(self, made: Any) -> Send:
        raise NotImplementedError

    def reader(self, made: Any, which: int) -> Take:
        raise NotImplementedError

    def how_many(self, record: Any) -> int:  # noqa: ARG002
        """Return how many records one `take` has given."""
        return 1

    def stamp(self, record: Any) -> int:
        """Return the first eight bytes of a record."""
        return int.from_bytes(record[:8], "little")

    def behind(self) -> int | None:
        """Return how many records this reader has still to read; None: not known."""
        return None

    def lost(self) -> int | None:
        """Return how many records this reader knows to have missed; None: it does not know."""
        return None

    def finish(self, made: Any) -> None:
        """Let readers that block come back, in the writer's process, after the last record."""

    def close(self, made: Any) -> None:
        """Give back what was made."""


class BroadcastSpin(Fan):
    name = "mftcore Broadcast, spin"

    def make(self) -> Broadcast:
        return Broadcast.create(RECORD, CAPACITY - 1)

    def writer(self, made: Broadcast) -> Send:
        return made.writer().write

    def reader(self, made: Broadcast, which: int) -> Take:  # noqa: ARG002
        self.end = made.reader()
        return self.end.read

    def behind(self) -> int:
        return self.end.behind

    def lost(self) -> int:
        return self.end.lost

    def close(self, made: Broadcast) -> None:
        made.close()


class BroadcastPark(BroadcastSpin):
    """Its readers sleep while there is nothing, so that others on their core get on."""

    name = "mftcore Broadcast, park"

    def reader(self, made: Broadcast, which: int) -> Take:
        read, wait = super().reader(made, which), self.end.wait

        def take() -> bytes | None:
            record: bytes | None = read()
            if record is None and wait(QUIET_S):
                record = read()
            return record

        return take


class BroadcastMany(BroadcastSpin):
    """64 records a call, and up to 64 of them read in one."""

    name = f"mftcore Broadcast, batches of {BATCH}, park"
    per_send = BATCH

    def writer(self, made: Broadcast) -> Send:
        write_many, batch = made.writer().write_many, np.zeros(BATCH, f"V{RECORD}")
        return lambda _record: write_many(batch)

    def reader(self, made: Broadcast, which: int) -> Take:
        super().reader(made, which)
        read_many, wait, out = self.end.read_many, self.end.wait, np.zeros(BATCH, f"V{RECORD}")

        def take() -> int:
            count = read_many(out)
            if not count and wait(QUIET_S):
                count = read_many(out)
            return count

        return take

    def how_many(self, record: int) -> int:
        return record


class Rings(Fan):
    """A ring for each reader: the writer waits for the slowest."""

    name = "mftcore an SpscRing each, park"

    def make(self) -> list[SpscRing]:
        return [SpscRing.create(RECORD, CAPACITY) for _ in range(self.readers)]

    def writer(self, made: list[SpscRing]) -> Send:
        pushes = [ring.producer().push for ring in made]

        def send(record: bytes) -> None:
            for push in pushes:
                while not push(record):
                    pass

        return send

    def reader(self, made: list[SpscRing], which: int) -> Take:
        end = made[which].consumer()
        pop, wait = end.pop, end.wait

        def take() -> bytes | None:
            record = pop()
            if record is None and wait(QUIET_S):
                record = pop()
            return record

        return take

    def close(self, made: list[SpscRing]) -> None:
        for ring in made:
            ring.close()


class IceoryxFan(Fan):
    """Publish and subscribe, polled; as in the broadcast, a full subscriber loses its oldest."""

    name = "iceoryx2 pub/sub polled"
    made: ClassVar[int] = 0

    def make(self) -> str:
        iceoryx()
        IceoryxFan.made += 1
        return f"bench/fan{IceoryxFan.made}"

    def _service(self, made: str) -> Any:
        self.payload = ctypes.c_uint8 * RECORD
        with (work_directory() / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one after the other: the others must find what the first one makes
            iox2, node = iceoryx_node()
            service = (
                node.service_builder(iox2.ServiceName.new(made))
                .publish_subscribe(self.payload)
                .enable_safe_overflow(True)
                .subscriber_max_buffer_size(CAPACITY)
                .max_subscribers(self.readers)
                .max_nodes(self.readers + 1)
                .open_or_create()
            )
        self.kept = [node, service]
        return service

    def writer(self, made: str) -> Send:
        send_copy = self._service(made).publisher_builder().create().send_copy
        payload, last = self.payload(), bytes(RECORD)

        def send(record: bytes) -> None:
            nonlocal last
            if record is not last:
                ctypes.memmove(payload, record, RECORD)
                last = record
            send_copy(payload)

        return send

    def reader(self, made: str, which: int) -> Take:  # noqa: ARG002
        return self._service(made).subscriber_builder().buffer_size(CAPACITY).create().receive  # type: ignore[no-any-return]

    def stamp(self, record: Any) -> int:
        return int.from_bytes(bytes(record.payload().contents[:8]), "little")

    def close(self, made: str) -> None:  # noqa: ARG002
        iceoryx_remove()


class ZmqFan(Fan):
    """PUB (as XPUB, which says when each has subscribed) and SUB over a Unix socket: a full one is passed over."""

    name = "pyzmq PUB/SUB ipc"

    def make(self) -> str:
        return Zmq(RECORD).make()

    def writer(self, made: str) -> Send:
        zmq = importlib.import_module("zmq")
        end = zmq.Context.instance().socket(zmq.XPUB)
        end.linger, end.sndhwm, end.xpub_verbose = -1, CAPACITY, True
        end.bind(f"ipc://{made}")
        self.end = end
        for _ in range(self.readers):
            end.recv()
        return end.send  # type: ignore[no-any-return]

    def reader(self, made: str, which: int) -> Take:  # noqa: ARG002
        zmq = importlib.import_module("zmq")
        end = zmq.Context.instance().socket(zmq.SUB)
        end.linger, end.rcvhwm, end.rcvtimeo = 0, CAPACITY, int(1000 * QUIET_S)
        end.subscribe(b"")
        end.connect(f"ipc://{made}")
        recv, nothing = end.recv, zmq.Again

        def take() -> bytes | None:
            try:
                return recv()  # type: ignore[no-any-return]
            except nothing:
                return None

        return take

    def close(self, made: str) -> None:
        Path(made).unlink(missing_ok=True)


class Pipes(Fan):
    """A pipe for each reader: the writer waits for the slowest."""

    name = "mp.Pipe each, send_bytes"

    def make(self) -> Any:
        return [FORK.Pipe(duplex=False) for _ in range(self.readers)]

    def writer(self, made: Any) -> Send:
        sends = [end.send_bytes for _, end in made]

        def send(record: bytes) -> None:
            for one in sends:
                one(record)

        return send

    def reader(self, made: Any, which: int) -> Take:
        return made[which][0].recv_bytes  # type: ignore[no-any-return]

    def finish(self, made: Any) -> None:
        for _, end in made:
            end.send_bytes(b"")  # the reader looks whether this was the end,
            end.send_bytes(b"")  # and then whether there is really nothing more

    def close(self, made: Any) -> None:
        for ends in made:
            for end in ends:
                end.close()


PACED: tuple[type[Fan], ...] = (BroadcastPark, BroadcastSpin, Rings, IceoryxFan, ZmqFan, Pipes)
SATURATED: tuple[type[Fan], ...] = (BroadcastPark, BroadcastSpin, BroadcastMany, Rings, IceoryxFan, ZmqFan, Pipes)
