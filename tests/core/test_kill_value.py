"""`Seqlock` and `SeqlockBook`: their Python writers killed at random instants, beside a reader that never pauses."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mftcore import LEVEL, BookReader, MasterBook, Seqlock, SeqlockBook, SeqlockReader, Unstable
from tests.core.test_kill_records import Victims, derived, kills, report, victims

__all__ = ["victims"]

WORDS = 300  # 2,400 bytes
LEVELS, DEPTH = 10, 25  # published, and in the master book
SIGNS = 0


def value(version: int, epoch: int) -> npt.NDArray[np.uint64]:
    return derived(np.array([version], np.uint64), np.array([epoch], np.uint64), WORDS)[0]


def side(version: int, epoch: int, bid: bool) -> npt.NDArray[np.void]:
    """Return the levels of a version, best first; prices wander, and sizes say version and epoch."""
    levels = np.zeros(DEPTH, LEVEL)
    steps = np.arange(DEPTH)
    levels["price_ticks"] = 1000 + version % 5 + (-steps if bid else 10 + steps)
    levels["size_lots"] = 1 + (version * 31 + epoch * 1009 + steps * 7 + bid) % 100_000
    levels["outright_lots"] = version
    return levels


def changes(before: npt.NDArray[np.void], after: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    gone = before[~np.isin(before["price_ticks"], after["price_ticks"])].copy()
    gone["size_lots"] = 0
    return np.concatenate([gone, after])


# ---- in the children ----


def write(said: Any, lock: Seqlock) -> None:
    version = lock.reader().version
    with lock.writer() as writer:
        said[SIGNS] += 1
        while True:
            version += 1
            assert writer.write(value(version, writer.epoch)) == version


def publish(said: Any, book: SeqlockBook) -> None:
    version, master = book.reader().version, MasterBook(64)
    with book.writer() as writer:
        old = [side(version, 0, bid) for bid in (True, False)]
        master.snapshot(*old)
        said[SIGNS] += 1
        while True:
            version += 1
            new = [side(version, writer.epoch, bid) for bid in (True, False)]
            master.apply(changes(old[0], new[0]), changes(old[1], new[1]))
            assert writer.publish(master, exchange_time_ns=version, receive_ns=version) == version
            old = new


# ---- the readers ----


class Reader:
    """Reads all the time; notes the first fault, and counts reads that gave up beside a live writer."""

    def __init__(self) -> None:
        self.version = self.epoch = self.unstable = 0
        self.fault = ""

    def read(self) -> tuple[int, int, bool]:
        """Return version, epoch and whether all of it is of that version and epoch."""
        raise NotImplementedError

    def __call__(self) -> None:
        try:
            version, epoch, whole = self.read()
        except Unstable:
            self.unstable += 1
            return
        if not whole:
            self.fault = self.fault or f"torn at version {version}"
        if version < self.version or epoch < self.epoch:
            self.fault = self.fault or f"version {version} of epoch {epoch} after {self.version} of {self.epoch}"
        self.version, self.epoch = version, epoch


class ValueReader(Reader):
    def __init__(self, reader: SeqlockReader) -> None:
        super().__init__()
        self.reader, self.out = reader, np.zeros(WORDS, np.uint64)

    def read(self) -> tuple[int, int, bool]:
        stamp = self.reader.read_into(self.out)
        return (
            stamp.version,
            stamp.epoch,
            stamp.version == 0 or bool((self.out == value(stamp.version, stamp.epoch)).all()),
        )


class WindowReader(Reader):
    def __init__(self, reader: BookReader) -> None:
        super().__init__()
        self.reader, self.bids, self.asks = reader, np.zeros(LEVELS, LEVEL), np.zeros(LEVELS, LEVEL)

    def read(self) -> tuple[int, int, bool]:
        stamp = self.reader.read_into(self.bids, self.asks)
        if stamp.version == 0:
            return 0, 0, True
        whole = (
            (self.bids == side(stamp.version, stamp.epoch, True)[:LEVELS]).all()
            and (self.asks == side(stamp.version, stamp.epoch, False)[:LEVELS]).all()
            and stamp.exchange_time_ns == stamp.receive_ns == stamp.version
        )
        return stamp.version, stamp.epoch, bool(whole)


def kill_writers(name: str, victims: Victims, structure: Any, work: Any, reader: Reader) -> None:
    method = victims.context.get_start_method()
    total, done = kills(method), 0
    for _ in range(total):
        version, epoch, signs = reader.version, reader.epoch, victims.said[SIGNS]
        child = victims.start(work, structure)
        victims.kill_at_random(child, reader, signs)
        unstable = reader.unstable
        reader()  # at once, whatever the writer was doing
        assert reader.fault == ""
        assert reader.unstable == unstable, "a dead writer blocks the reader"
        if reader.version > version:
            assert reader.epoch > epoch
            done += 1
        with structure.writer() as writer:  # a successor while the dead one is still a zombie
            assert writer.epoch > reader.epoch
        child.join()
    assert done > 0
    report(name, method, done, total, handed_over=reader.version)


@pytest.fixture
def lock() -> Iterator[Seqlock]:
    with Seqlock.create(8 * WORDS) as made:
        yield made


@pytest.fixture
def book() -> Iterator[SeqlockBook]:
    with SeqlockBook.create("BTC-PERPETUAL", 0.5, 0.001, levels=LEVELS) as made:
        yield made


def test_a_reader_gets_whole_values_that_never_get_older_whoever_dies(lock: Seqlock, victims: Victims) -> None:
    kill_writers("Python: seqlock writer", victims, lock, write, ValueReader(lock.reader()))


def test_a_reader_gets_whole_books_that_never_get_older_whoever_dies(book: SeqlockBook, victims: Victims) -> None:
    kill_writers("Python: book writer", victims, book, publish, WindowReader(book.reader()))


# ---- planted bugs ----


@pytest.mark.parametrize("torn_after", [random.Random(3).randrange(1, WORDS), WORDS - 1])
def test_a_mixture_of_two_values_is_found(lock: Seqlock, torn_after: int) -> None:
    reader = ValueReader(lock.reader())
    with lock.writer() as writer:
        writer.write(value(1, 1))
        reader()
        assert reader.fault == ""
        writer.write(np.concatenate([value(2, 1)[:torn_after], value(1, 1)[torn_after:]]))
    reader()
    assert reader.fault == "torn at version 2"


def test_a_mixture_of_two_books_is_found(book: SeqlockBook) -> None:
    reader, master = WindowReader(book.reader()), MasterBook(64)
    with book.writer() as writer:
        master.snapshot(side(1, 1, True), side(1, 1, False))
        writer.publish(master, exchange_time_ns=1, receive_ns=1)
        reader()
        assert reader.fault == ""
        master.apply(side(2, 1, True)[3:4], side(2, 1, False)[:0])
        writer.publish(master, exchange_time_ns=2, receive_ns=2)
    reader()
    assert reader.fault == "torn at version 2"


def test_a_value_older_than_the_last_one_is_found(lock: Seqlock) -> None:
    reader = ValueReader(lock.reader())
    lock.writer().write(value(1, 1))
    reader.version = 2
    reader()
    assert reader.fault == "version 1 of epoch 1 after 2 of 0"
