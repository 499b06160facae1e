"""What the type checker must make of the public names: what they give, and which calls it must refuse.

Never run, only checked. A refused call stands with the kind of error that it must be; if it is no error any more, the
ignored error that is not there is one.
"""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import mftcore
from mftcore import (
    BookReader,
    BookStamp,
    BookWriter,
    ByteConsumer,
    ByteProducer,
    ByteRing,
    BytesCounters,
    Doorbell,
    Histogram,
    HistogramRecorder,
    MasterBook,
    MftError,
    PeerDied,
    Removal,
    RingCounters,
    RoleTaken,
    SegmentInfo,
    Seqlock,
    SeqlockBook,
    SeqlockReader,
    SeqlockWriter,
    SpscConsumer,
    SpscProducer,
    SpscRing,
    Stamp,
    WaitChoice,
    inspect_segment,
    remove_dead,
    segments,
    wait_any,
)
from mftcore.ring_end import BoundPop, BoundPush, Claim, Peek

RECORD = np.dtype([("price_ticks", "<i8")])


def handles(bell: Doorbell) -> None:
    with SpscRing.create(RECORD, 8) as ring:
        assert_type(ring, SpscRing)
    assert_type(SpscRing.create(64, capacity=8, name="x"), SpscRing)
    assert_type(SpscRing.attach("x"), SpscRing)
    assert_type(SpscRing.attach("x", 64), SpscRing)
    assert_type(Seqlock.attach("x", dtype=RECORD), Seqlock)
    assert_type(SeqlockBook.attach_fd(3), SeqlockBook)
    assert_type(Histogram.create(name="x"), Histogram)
    assert_type(ring.name, str | None)
    assert_type(ring.fileno(), int)
    assert_type(ring.lock(), bool)
    assert_type(ring.dtype, "np.dtype[Any]")
    assert_type((ring.record_size, ring.capacity), tuple[int, int])
    assert_type(ring.counters(), RingCounters)
    assert_type(ring.counters().high_water, int)
    assert_type(ring.producer(bell=bell), SpscProducer)
    assert_type(ring.consumer(), SpscConsumer)


def the_ring(tx: SpscProducer, rx: SpscConsumer, records: npt.NDArray[np.void]) -> None:
    assert_type(tx.push(b"x"), bool)
    assert_type(tx.push(memoryview(b"x")), bool)
    assert_type(tx.push(records), bool)
    assert_type(tx.push_many(records), int)
    assert_type(tx.push_wait(b"x", None, mode="yield"), bool)
    assert_type((tx.consumer_alive, tx.consumer_epoch, tx.epoch), tuple[bool, int, int])
    assert_type(rx.pop(), bytes | None)
    assert_type(rx.pop_into(bytearray(8)), bool)
    assert_type(rx.pop_many(records), int)
    assert_type(rx.pop_wait(0.1), bytes | None)
    assert_type((rx.waiting, rx.producer_alive, rx.producer_epoch), tuple[int, bool, int])
    with tx.claim(4) as claim:
        assert_type(claim, Claim)
        assert_type(claim.records, npt.NDArray[Any])
        assert_type(claim.view, memoryview)
        assert_type((len(claim), claim.used), tuple[int, int])
        claim.used = 1
    with rx.peek(4) as peek:
        assert_type(peek, Peek)
    assert_type(tx.bind(records), BoundPush)
    assert_type(tx.bind(records).push(), bool)
    assert_type(rx.bind(bytearray(8)), BoundPop)
    assert_type(rx.bind(bytearray(8)).pop(), bool)


def messages(ring: ByteRing, tx: ByteProducer, rx: ByteConsumer) -> None:
    assert_type(ByteRing.create(4096), ByteRing)
    assert_type((ring.producer(), ring.consumer()), tuple[ByteProducer, ByteConsumer])
    assert_type(ring.counters(), BytesCounters)
    assert_type(tx.push(b"x"), bool)
    assert_type(tx.push_many([b"x", bytearray(2)]), int)
    assert_type(rx.pop(), bytes | None)
    assert_type(rx.pop_many(3), list[bytes])
    assert_type(rx.pop_wait(0.1), bytes | None)
    with rx.peek() as peek:
        assert_type(peek.view, memoryview | None)
    with tx.claim(9) as claim:
        assert_type(claim.view, memoryview | None)
        claim.length = 3


async def awaiting(rx: SpscConsumer, messages: ByteConsumer, reader: BookReader, out: npt.NDArray[np.void]) -> None:
    assert_type(await rx.pop_async(), bytes)
    assert_type(await messages.pop_async(), bytes)
    assert_type(await reader.wait_async(0.1), bool)
    async for record in rx:
        assert_type(record, bytes)
    async for part in rx.batches(out):
        assert_type(part, npt.NDArray[Any])
    async for message in messages:
        assert_type(message, bytes)


def the_seqlock(lock: Seqlock, writer: SeqlockWriter, reader: SeqlockReader) -> None:
    assert_type(lock.writer(), SeqlockWriter)
    assert_type(lock.reader(), SeqlockReader)
    assert_type(writer.write(np.zeros(1)), int)
    assert_type(reader.read(), tuple[bytes, Stamp])
    stamp = reader.read_into(np.zeros(1))
    assert_type(stamp, Stamp)
    assert_type((stamp.version, stamp.epoch, stamp.age_ns, stamp.writer_alive), tuple[int, int, int, bool])
    assert_type((reader.version, reader.unstable, reader.writer_alive), tuple[int, int, bool])


def the_book(book: SeqlockBook, master: MasterBook) -> None:
    levels = np.zeros((0, 3), np.int64)
    master.snapshot(levels, levels)
    assert_type(master.best_bid(), tuple[int, int] | None)
    assert_type(master.best(5), tuple[npt.NDArray[Any], npt.NDArray[Any]])
    assert_type(book.writer(), BookWriter)
    assert_type(book.writer().publish(master, exchange_time_ns=1, receive_ns=2), int)
    assert_type(book.reader(), BookReader)
    assert_type(book.reader().bids, npt.NDArray[Any])
    stamp = book.reader().top()
    assert_type(stamp, BookStamp)
    assert_type((stamp.mid_ticks, stamp.spread_ticks, stamp.state), tuple[float, int, int])
    assert_type(book.reader().read(5), BookStamp)


def the_histogram(histogram: Histogram) -> None:
    assert_type(histogram.recorder(), HistogramRecorder)
    assert_type(histogram.percentile(99.9), int)
    assert_type(histogram.summary(histogram), dict[str, int])
    assert_type(histogram.counts(), npt.NDArray[np.uint64])


def waiting(tx: SpscProducer, rx: SpscConsumer, reader: BookReader, bell: Doorbell) -> None:
    assert_type(rx.wait(0.1), bool)
    assert_type(reader.wait(None, mode="spin"), bool)
    assert_type(wait_any([rx, rx], 0.1), list[SpscConsumer])  # of what they are, when they are all the same
    for item in wait_any([tx, rx, reader, bell], None, mode="park"):
        if isinstance(item, SpscConsumer):
            assert_type(item.pop(), bytes | None)
    assert_type((bell.ring(), bell.disarm(), bell.wait(0.1)), tuple[bool, bool, bool])
    assert_type(mftcore.choose_wait_mode("auto", [0, 1], 2), WaitChoice)
    assert_type(mftcore.get_include(), str)


def errors(taken: RoleTaken, died: PeerDied) -> None:
    assert_type((taken.pid, died.pid), tuple[int, int])
    caught: list[MftError] = [taken, died]
    del caught


def named_memory() -> None:
    assert_type(segments(), list[SegmentInfo])
    assert_type(segments()[0].age_ns, int | None)
    assert_type(segments()[0].roles[0].alive, bool)
    assert_type(inspect_segment("x"), dict[str, Any])
    assert_type(remove_dead(["x"], damaged=True, dry_run=True), list[Removal])
    remove_dead(["x"], True)  # type: ignore[call-arg]


def refused(ring: SpscRing, tx: SpscProducer, rx: SpscConsumer, lock: Seqlock, master: MasterBook) -> None:
    tx.push("text")  # type: ignore[arg-type]
    tx.push(7)  # type: ignore[arg-type]
    tx.pop()  # type: ignore[attr-defined]
    rx.push(b"x")  # type: ignore[attr-defined]
    ring.push(b"x")  # type: ignore[attr-defined]
    ring.consumer("bell")  # type: ignore[arg-type]
    ring.capacity = 5  # type: ignore[misc]
    rx.wait(0.1, mode="doze")  # type: ignore[arg-type]
    rx.wait("soon")  # type: ignore[arg-type]
    wait_any([ring.name], 0.1)  # type: ignore[type-var]
    lock.writer().write([1.0])  # type: ignore[arg-type]
    print(lock.reader().read().age_ns)  # type: ignore[attr-defined]
    SpscRing.create(64)  # type: ignore[call-arg]
    SpscRing.create(64, 8, "name")  # type: ignore[call-arg]
    SeqlockBook.create("X", 0.1, 0.1).writer().publish(master)  # type: ignore[call-arg]
    rx.peek(1).used = "all"  # type: ignore[assignment]
