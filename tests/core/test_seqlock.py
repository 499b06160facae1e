"""`Seqlock` from Python: whole values with their age, through any death of the writer."""

import multiprocessing
import os
import random
import struct
import time

import numpy as np
import pytest

from mftcore import ClosedError, LayoutError, RecordError, RoleTaken, Seqlock, Unstable
from tests.core.seqlock_writer import WORDS, value, write_without_pause

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def lock():
    with Seqlock.create(8 * WORDS) as made:
        yield made


def whole(data):
    """Return (epoch, number) of a record, having checked that all of it is of one writing."""
    pairs = set(struct.iter_unpack("<QQ", data))
    assert len(pairs) == 1, f"torn: {pairs}"
    return pairs.pop()


def test_a_value_comes_with_version_epoch_and_age(lock):
    reader = lock.reader()
    data, stamp = reader.read()
    assert (stamp.version, stamp.age_ns, stamp.writer_alive, data) == (0, -1, False, bytes(8 * WORDS))
    writer = lock.writer()
    for number in range(1, 40):
        assert writer.write(value(1, number)) == number
        data, stamp = reader.read()
        assert whole(data) == (1, number)
        assert (stamp.version, stamp.epoch, stamp.writer_alive) == (number, 1, True)
        assert stamp.age_ns >= 0
        assert reader.version == number


def test_structured_records_of_any_size_go_through():
    dtype = np.dtype([("a", "<i8"), ("b", "<f4"), ("c", "u1", (3,))])
    with Seqlock.create(dtype) as lock:
        written, read = np.zeros(1, dtype), np.ones(1, dtype)
        lock.reader().read_into(read)
        assert read == np.zeros(1, dtype)
        written["a"], written["b"], written["c"] = -5, 2.5, (1, 2, 3)
        lock.writer().write(written)
        lock.reader().read_into(read)
        assert read == written


@pytest.mark.parametrize("size", [0, 8 * WORDS - 1, 8 * WORDS + 1])
def test_another_size_is_refused_and_nothing_is_written(lock, size):
    writer = lock.writer()
    with pytest.raises(RecordError, match=str(8 * WORDS)):
        writer.write(bytes(size))
    with pytest.raises(RecordError):
        lock.reader().read_into(bytearray(size))
    assert lock.reader().version == 0


def test_one_writer_at_a_time_and_a_closed_one_is_of_no_use(lock):
    first = lock.writer()
    with pytest.raises(RoleTaken, match="already"):
        lock.writer()
    first.close()
    with pytest.raises(ClosedError):
        first.write(bytes(8 * WORDS))
    assert lock.writer().epoch == 2


def test_a_named_one_is_attached_and_another_record_type_refused():
    name = f"test-seqlock-{os.getpid()}"
    with Seqlock.create("<i8", name=name) as lock:
        lock.writer().write(struct.pack("<q", 7))
        with Seqlock.attach(name, "<i8") as other:
            assert other.reader().read()[0] == struct.pack("<q", 7)
        with pytest.raises(LayoutError, match="expected"):
            Seqlock.attach(name, "<f8")


def test_a_writer_that_never_pauses_neither_tears_nor_starves_a_reader(lock):
    ready = SPAWN.Event()
    child = SPAWN.Process(target=write_without_pause, args=(lock, ready))
    child.start()
    try:
        assert ready.wait(60)
        reader, buffer, last, unstable = lock.reader(), bytearray(8 * WORDS), 0, 0
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            try:
                stamp = reader.read_into(buffer)
            except Unstable:
                unstable += 1
                continue
            assert stamp.version >= last
            if stamp.version:
                assert whole(buffer)[1] == stamp.version
            last = stamp.version
        assert last > 1000
    finally:
        child.kill()
        child.join()


def test_the_last_whole_value_survives_every_kill_and_a_successor_goes_on(lock):
    rng = random.Random(5)
    reader, last, epoch = lock.reader(), 0, 0
    for _ in range(8):
        ready = SPAWN.Event()
        child = SPAWN.Process(target=write_without_pause, args=(lock, ready))
        child.start()
        assert ready.wait(60)
        time.sleep(rng.random() * 0.01)  # the instant of the kill, at random
        child.kill()
        child.join()
        data, stamp = reader.read()
        assert not stamp.writer_alive
        if not stamp.version:
            continue  # killed before its first value
        written_by, number = whole(data)
        assert number == stamp.version >= last
        assert written_by == stamp.epoch > epoch or number == last
        last, epoch = number, written_by
    assert last > 0


def test_damage_ends_in_unstable_and_never_in_a_wrong_value(lock):
    lock.writer().write(value(1, 1))
    os.pwrite(lock.fileno(), struct.pack("<Q", 1 + 8), _begun_offset(lock))
    with pytest.raises(Unstable, match="try again"):
        lock.reader().read()


def _begun_offset(lock):
    """Where the word `begun` is: after the page of the header and `version`."""
    data = os.pread(lock.fileno(), 8192, 0)
    assert struct.unpack_from("<QQ", data, 4096) == (1, 1)
    return 4096 + 8
