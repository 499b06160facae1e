"""Books and other newest values: a reader and a writer in a pair of processes, ours and the blackboard of iceoryx2."""

import ctypes
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from _harness import Figures, in_runs, one_by_one, pair, scaled
from _peers import iceoryx, iceoryx_node, iceoryx_remove

from mftcore import LEVEL, MasterBook, Seqlock, SeqlockBook

DEPTH = 1000
LEVELS = 50
VALUE_BYTES = 2 * LEVELS * LEVEL.itemsize  # 2,400: what a window of 50 levels a side holds
PUBLISHED = 1000
READY, OPENED, SENT, DONE = 0, 1, 2, 3
Call = Callable[[], Any]


def master_book() -> MasterBook:
    """Return a book of 1,000 levels a side."""
    master = MasterBook()
    steps = np.arange(DEPTH)
    bids, asks = np.zeros(DEPTH, LEVEL), np.zeros(DEPTH, LEVEL)
    bids["price_ticks"], asks["price_ticks"] = 1_000_000 - steps, 1_000_001 + steps
    bids["size_lots"] = asks["size_lots"] = 10 + steps
    master.snapshot(bids, asks)
    return master


class Newest:
    """One value that a writer replaces and a reader copies. A subclass says how; `name` is shown."""

    name: ClassVar[str]

    def make(self) -> Any:
        """Return what both processes need, in the process that starts them."""
        raise NotImplementedError

    def writer(self, made: Any) -> Call:
        raise NotImplementedError

    def reader(self, made: Any) -> Call:
        raise NotImplementedError

    def close(self, made: Any) -> None:
        """Give back what was made."""

    def read(self, *, busy: bool) -> Figures:
        """Read in one process while the other writes as fast as it can, or does nothing."""
        count = scaled(30_000, 1280)
        made = self.make()

        def first(marks: Any) -> Figures:
            while not marks[READY]:
                time.sleep(0.0005)
            read = self.reader(made)
            marks[OPENED] = 1
            while busy and not marks[SENT]:
                time.sleep(0.0005)
            writes, start = int(marks[SENT]), time.perf_counter_ns()
            found = dict(in_runs(read, count))
            per_us = (int(marks[SENT]) - writes) * 1e3 / (time.perf_counter_ns() - start)
            found |= {"writes_per_us": per_us, **one_by_one(read, count)}
            marks[DONE] = 1
            return found

        def second(marks: Any) -> None:
            write = self.writer(made)
            write()
            marks[READY] = 1
            while not marks[OPENED]:
                time.sleep(0.0005)
            while not marks[DONE]:
                if busy:
                    for _ in range(PUBLISHED):
                        write()
                    marks[SENT] += PUBLISHED
                else:
                    time.sleep(0.001)

        try:
            found: Figures = pair(first, second)
        finally:
            self.close(made)
        return found

    def write(self) -> Figures:
        """Write while nobody reads."""
        count = scaled(60_000, 1280)
        made = self.make()
        try:
            found: Figures = pair(lambda _: in_runs(self.writer(made), count), lambda _: None)
        finally:
            self.close(made)
        return found


class Window(Newest):
    """`SeqlockBook` of 50 levels a side, read whole."""

    name = f"mftcore read(), {LEVELS} levels"

    def make(self) -> SeqlockBook:
        return SeqlockBook.create("BENCH", 1.0, 1.0, levels=LEVELS)

    def writer(self, made: SeqlockBook) -> Call:
        writer, master = made.writer(), master_book()
        publish = writer.publish

        def write() -> None:
            publish(master, exchange_time_ns=1, receive_ns=2)

        return write

    def reader(self, made: SeqlockBook) -> Call:
        return made.reader().read

    def close(self, made: SeqlockBook) -> None:
        made.close()


class Window10(Window):
    name = "mftcore read(10)"

    def reader(self, made: SeqlockBook) -> Call:
        read = made.reader().read
        return lambda: read(10)


class WindowInto(Window):
    """Into two arrays of the caller's."""

    name = f"mftcore read_into(), {LEVELS} levels"

    def reader(self, made: SeqlockBook) -> Call:
        bids, asks = np.zeros(LEVELS, LEVEL), np.zeros(LEVELS, LEVEL)
        read_into = made.reader().read_into
        return lambda: read_into(bids, asks)


class Top(Window):
    name = "mftcore top()"

    def reader(self, made: SeqlockBook) -> Call:
        return made.reader().top


class Value(Newest):
    """A `Seqlock` of the same size."""

    name = "mftcore Seqlock of 2,400 bytes"

    def make(self) -> Seqlock:
        return Seqlock.create(VALUE_BYTES)

    def writer(self, made: Seqlock) -> Call:
        write, value = made.writer().write, bytes(VALUE_BYTES)
        return lambda: write(value)

    def reader(self, made: Seqlock) -> Call:
        read_into, out = made.reader().read_into, bytearray(VALUE_BYTES)
        return lambda: read_into(out)

    def close(self, made: Seqlock) -> None:
        made.close()


class Blackboard(Newest):
    """iceoryx2's key-value board; its read gives a copy as bytes."""

    name = "iceoryx2 blackboard"
    made: ClassVar[int] = 0

    def make(self) -> str:
        iceoryx()
        Blackboard.made += 1
        return f"bench/board{Blackboard.made}"

    def _service(self, made: str) -> tuple[Any, Any]:
        iox2, node = iceoryx_node()
        self.value = ctypes.c_uint8 * VALUE_BYTES
        self.kept = [node]
        return node.service_builder(iox2.ServiceName.new(made)), ctypes.c_uint64(0)

    def writer(self, made: str) -> Call:
        builder, key = self._service(made)
        value = self.value()
        service = builder.blackboard_creator(ctypes.c_uint64).add(key, value).create()
        port = service.writer_builder().create()
        update = port.entry(key, self.value).update_with_copy
        self.kept += [service, port]
        return lambda: update(value)

    def reader(self, made: str) -> Call:
        builder, key = self._service(made)
        service = builder.blackboard_opener(ctypes.c_uint64).open()
        port = service.reader_builder().create()
        self.kept += [service, port]
        return port.entry(key, self.value).get  # type: ignore[no-any-return]

    def close(self, made: str) -> None:  # noqa: ARG002
        iceoryx_remove()
