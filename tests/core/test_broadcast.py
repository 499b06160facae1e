"""The broadcast: every reader sees every record in order, or knows exactly how many it missed."""

import contextlib
import os
import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mftcore import (
    Broadcast,
    ClosedError,
    ForkedError,
    LayoutError,
    PeerDied,
    RecordError,
    RoleTaken,
    Unstable,
    wait_any,
)
from tests.core.children import child

NUMBERED = np.dtype([("number", "<u8"), ("epoch", "<u8"), ("copies", "<u8", (6,))])


def numbered(numbers: range, epoch: int) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    records = np.zeros(len(numbers), NUMBERED)
    records["number"], records["epoch"] = numbers, epoch
    records["copies"] = records["number"][:, None]
    return records


class BroadcastBesideList(RuleBasedStateMachine):
    """A broadcast that keeps 7 records behind or more, three readers, and a plain list of what each writer wrote."""

    @initialize(capacity=st.sampled_from([7, 7, 8, 31]))
    def make(self, capacity: int) -> None:
        self.broadcast = Broadcast.create("<u8", capacity)
        self.kept = self.broadcast.capacity  # one less than a power of two
        assert self.kept >= capacity
        self.writer, self.epoch = self.broadcast.writer(), 1
        self.written: list[int] = []
        self.writers: list[int] = []  # the epoch of each record
        self.readers = [self.broadcast.reader() for _ in range(3)]
        self.seen = [0, 0, 0]  # numbers of the records that were read last, or where the reader joined
        self.read_any = [False, False, False]
        self.lost = [0, 0, 0]

    def teardown(self) -> None:
        if hasattr(self, "broadcast"):
            for end in (self.writer, *self.readers, self.broadcast):
                end.close()

    def values(self, count: int) -> list[int]:
        return [1000 + len(self.written) + i for i in range(count)]

    @rule(count=st.integers(0, 30))
    def write_many(self, count: int) -> None:
        values = self.values(count)
        assert self.writer.write_many(np.array(values, "<u8")) == len(self.written) + count
        self.written += values
        self.writers += [self.epoch] * count

    @rule(how=st.sampled_from([bytes, bytearray, memoryview]))
    def write(self, how: Any) -> None:
        (value,) = self.values(1)
        assert self.writer.write(how(value.to_bytes(8, "little"))) == len(self.written) + 1
        self.written.append(value)
        self.writers.append(self.epoch)

    def took(self, who: int, values: list[int], most: int) -> None:
        """What a reader took must follow on what it has seen, but for what it counts as lost."""
        reader = self.readers[who]
        skipped = reader.lost - self.lost[who]
        first = self.seen[who] + skipped
        assert values == self.written[first : first + len(values)]
        assert (skipped == 0) == (len(self.written) - self.seen[who] <= self.kept)
        assert len(values) == min(most, len(self.written) - first)
        self.seen[who], self.lost[who] = first + len(values), reader.lost
        self.read_any[who] = self.read_any[who] or bool(values)

    @rule(who=st.integers(0, 2), most=st.integers(1, 20))
    def read_many(self, who: int, most: int) -> None:
        out = np.zeros(most, "<u8")
        count = self.readers[who].read_many(out)
        assert not out[count:].any()
        self.took(who, out[:count].tolist(), most)

    @rule(who=st.integers(0, 2))
    def read(self, who: int) -> None:
        record = self.readers[who].read()
        self.took(who, [] if record is None else [int.from_bytes(record, "little")], 1)

    @rule(who=st.integers(0, 2))
    def read_into(self, who: int) -> None:
        out = bytearray(8)
        found = self.readers[who].read_into(out)
        self.took(who, [int.from_bytes(out, "little")] if found else [], 1)

    @rule(who=st.integers(0, 2), oldest=st.booleans())
    def rejoin(self, who: int, oldest: bool) -> None:
        self.readers[who].close()
        self.readers[who] = self.broadcast.reader(at="oldest" if oldest else "newest")
        self.seen[who] = max(0, len(self.written) - self.kept) if oldest else len(self.written)
        self.read_any[who], self.lost[who] = False, 0

    @rule()
    def succeed(self) -> None:
        self.writer.close()
        self.writer = self.broadcast.writer()
        self.epoch += 1
        assert self.writer.epoch == self.epoch

    @invariant()
    def every_reader_knows_where_it_is(self) -> None:
        if not hasattr(self, "broadcast"):
            return
        assert self.broadcast.written == len(self.written)
        for who, reader in enumerate(self.readers):
            assert reader.behind == len(self.written) - self.seen[who]  # what will be lost included
            assert reader.wait(0) == (reader.behind > 0)
            if self.read_any[who]:
                assert (reader.number, reader.record_epoch) == (self.seen[who], self.writers[self.seen[who] - 1])
            else:
                assert (reader.number, reader.record_epoch) == (0, 0)


TestBroadcastBesideList = BroadcastBesideList.TestCase
TestBroadcastBesideList.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


def write_for_ever(broadcast: Broadcast) -> None:
    writer, number = broadcast.writer(), broadcast.written
    while True:
        number = writer.write_many(numbered(range(number + 1, number + 11), writer.epoch))


def check(records: Any, reader: Any, before: int) -> None:
    """Whole, numbered without a gap from behind record `before`, and by the writer that the reader says."""
    first = reader.number - len(records) + 1  # not by what is lost: that may lie behind these
    assert first > before
    assert (records["copies"] == records["number"][:, None]).all()
    assert (records["number"] == np.arange(first, first + len(records))).all()
    assert records["epoch"][-1] == reader.record_epoch
    assert records["number"][-1] == reader.number


@pytest.mark.parametrize("capacity", [7, 1000])
def test_killed_writers_leave_whole_records_in_order_and_losses_are_counted(capacity: int) -> None:
    out = np.zeros(64, NUMBERED)
    with Broadcast.create(NUMBERED, capacity) as broadcast:
        reader, got = broadcast.reader(), 0
        for epoch in range(1, 9):
            with child(write_for_ever, broadcast) as process:
                goal = got + reader.lost + 2000
                while got + reader.lost < goal:
                    assert reader.wait(60.0)
                    before, count = reader.number, reader.read_many(out)
                    if count:
                        got += count
                        check(out[:count], reader, before)
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                before = reader.number
                while count := reader.read_many(out):
                    got += count
                    check(out[:count], reader, before)
                    before = reader.number
                assert reader.record_epoch == reader.writer_epoch == epoch
                assert got + reader.lost == broadcast.written  # each one was seen or is counted
                with pytest.raises(PeerDied):
                    reader.wait(60.0)


def test_readers_come_and_go_and_a_killed_one_does_not_matter() -> None:
    def read_and_die(broadcast: Broadcast) -> None:
        reader = broadcast.reader()
        reader.wait(60.0)
        os.kill(os.getpid(), signal.SIGKILL)

    with Broadcast.create(8, 4) as broadcast, broadcast.writer() as writer:
        with child(read_and_die, broadcast) as process:
            while process.exitcode is None:
                writer.write(bytes(8))
                process.join(0.001)
        writer.write_many(bytes(8 * 2 * broadcast.capacity))
        with broadcast.reader(at="oldest") as reader:
            assert reader.behind == broadcast.capacity
            assert wait_any([reader], 0) == [reader]
            writer.write(b"newest..")
            while (record := reader.read()) is not None:
                last = record
            assert last == b"newest.."
            assert (reader.behind, reader.wait(0)) == (0, False)


def test_a_record_comes_with_its_number_its_writer_and_its_age() -> None:
    with Broadcast.create(8, 3) as broadcast:
        reader = broadcast.reader()
        assert (reader.number, reader.record_epoch, reader.record_age_ns, reader.read()) == (0, 0, -1, None)
        for epoch in (1, 2):
            with broadcast.writer() as writer:
                assert writer.write(bytes(8)) == epoch
                with pytest.raises(RoleTaken):
                    broadcast.writer()
            out = bytearray(8)
            assert reader.read_into(out)
            assert (reader.number, reader.record_epoch) == (epoch, epoch)
            assert reader.record_age_ns >= 0
        assert not reader.writer_alive


def test_what_does_not_fit_is_refused_and_nothing_is_written() -> None:
    with Broadcast.create(NUMBERED, 4) as broadcast, broadcast.writer() as writer, broadcast.reader() as reader:
        for call in (
            lambda: writer.write(bytes(63)),
            lambda: writer.write_many(bytes(65)),
            lambda: writer.write_many(np.zeros(8, "<f8")),
            lambda: reader.read_into(bytearray(63)),
            lambda: reader.read_many(np.zeros(8, "<f8")),
            lambda: broadcast.reader(at="middle"),  # type: ignore[arg-type]
            lambda: Broadcast.create(8, 0),
            lambda: Broadcast.create(8, 1.5),  # type: ignore[arg-type]
            lambda: Broadcast.create(8, 1 << 33),
            lambda: Broadcast.create(1 << 30, 1 << 31),
        ):
            with pytest.raises(RecordError):
                call()
        for wrong in (7, "text", None):
            with pytest.raises(TypeError):
                writer.write(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="never waits"):
            writer.wait(0)
        with Broadcast.create(8, 4) as other:
            with pytest.raises(TypeError, match="Doorbell"):
                other.writer("bell")  # type: ignore[arg-type]
            assert other.writer().epoch == 2  # the first was given back
        assert (broadcast.written, writer.write_many(np.zeros(0, NUMBERED))) == (0, 0)
    with pytest.raises(ClosedError):
        broadcast.reader()


def test_a_count_that_went_back_is_an_error() -> None:
    with Broadcast.create(8, 4) as broadcast, broadcast.writer() as writer, broadcast.reader() as reader:
        for _ in range(3):
            writer.write(bytes(8))
            reader.read()
        with open(f"/proc/self/fd/{broadcast.fileno()}", "r+b", buffering=0) as file:  # noqa: PTH123
            file.seek(4096)
            file.write((1).to_bytes(8, "little"))
        with pytest.raises(LayoutError, match="went back"):
            reader.read()


def test_what_a_batch_took_before_an_error_is_delivered_and_the_next_call_raises() -> None:
    with Broadcast.create("<u8", 7) as broadcast, broadcast.writer() as writer, broadcast.reader() as reader:
        writer.write_many(np.arange(1, 4, dtype="<u8"))
        with open(f"/proc/self/fd/{broadcast.fileno()}", "r+b", buffering=0) as file:  # noqa: PTH123
            file.seek(4096 + 8)
            file.write((1).to_bytes(8, "little"))  # as if only record 1 had been begun
        out = np.zeros(3, "<u8")
        assert (reader.read_many(out), out[0], reader.number, reader.lost) == (1, 1, 1, 0)
        with pytest.raises(Unstable):
            reader.read_many(out)
        assert (reader.number, reader.behind) == (1, 2)


def test_names_and_forks_are_as_everywhere() -> None:
    name = f"test-broadcast-{os.getpid()}"
    with Broadcast.create("<u8", 4, name=name) as broadcast:
        reader, writer = broadcast.reader(), broadcast.writer()
        writer.write_many(np.arange(3, dtype="<u8"))
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(AssertionError):
                with contextlib.suppress(ForkedError):
                    reader.read()
                    raise AssertionError
                with Broadcast.attach(name, "<u8") as other:
                    assert other.reader(at="oldest").read() == bytes(8)
                assert broadcast.written == 3
                status = 0
            os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        with pytest.raises(LayoutError, match="holds records of"):
            Broadcast.attach(name, "<f8")
        assert reader.read() == bytes(8)
