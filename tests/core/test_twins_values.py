"""Seqlock, Histogram and Doorbell beside plain Python twins, whatever the order of calls."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mftcore import Doorbell, Histogram, RecordError, Seqlock

RECORD_BYTES = 13
STEPS = settings(max_examples=40, stateful_step_count=30)


class SeqlockBesideItsLastValue(RuleBasedStateMachine):
    """The twin is the last value, the count of writes and the number of writers."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = Seqlock.create(RECORD_BYTES)
        self.writer, self.readers = self.lock.writer(), [self.lock.reader()]
        self.value, self.version, self.epoch, self.written_by = bytes(RECORD_BYTES), 0, 1, 0

    @rule(value=st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES), how=st.sampled_from([bytes, bytearray]))
    def write(self, value: bytes, how: type) -> None:
        self.version += 1
        assert self.writer.write(how(value)) == self.version
        self.value, self.written_by = value, self.epoch

    @rule(value=st.binary(max_size=2 * RECORD_BYTES).filter(lambda value: len(value) != RECORD_BYTES))
    def refuse_another_length(self, value: bytes) -> None:
        try:
            self.writer.write(value)
        except RecordError:
            return
        raise AssertionError("a record of another length was taken")

    @rule()
    def succeed_the_writer(self) -> None:
        self.writer.close()
        self.writer = self.lock.writer()
        self.epoch += 1
        assert self.writer.epoch == self.epoch

    @rule()
    def another_reader(self) -> None:
        self.readers.append(self.lock.reader())

    @invariant()
    def every_reader_reads_the_last_value(self) -> None:
        for reader in self.readers:
            out = bytearray(b"\xee" * RECORD_BYTES)
            stamp = reader.read_into(out)
            assert (stamp.version, stamp.epoch, stamp.writer_alive) == (self.version, self.written_by, True)
            assert reader.version == self.version
            if self.version:
                assert bytes(out) == self.value == reader.read()[0]
                assert stamp.age_ns >= 0

    def teardown(self) -> None:
        self.lock.close()


class HistogramBesideAList(RuleBasedStateMachine):
    """The twin keeps every value; a percentile is at most 1/128 above the exact one, and never below it."""

    def __init__(self) -> None:
        super().__init__()
        self.histogram = Histogram.create()
        self.recorder = self.histogram.recorder()
        self.values: list[int] = []
        self.negative = 0

    @rule(ns=st.integers(-5, 2**41 - 1) | st.integers(0, 2000))
    def record(self, ns: int) -> None:
        self.recorder.record(ns)
        self._keep([ns])

    @rule(values=st.lists(st.integers(-5, 2**41 - 1), max_size=20))
    def record_many(self, values: list[int]) -> None:
        self.recorder.record_many(np.array(values, np.int64))
        self._keep(values)

    def _keep(self, values: list[int]) -> None:
        self.values += [ns for ns in values if ns >= 0]
        self.negative += sum(ns < 0 for ns in values)

    @rule()
    def succeed_the_recorder(self) -> None:
        self.recorder.close()
        self.recorder = self.histogram.recorder()

    @rule(percent=st.sampled_from([1, 25, 50, 90, 99, 100]))
    def percentile(self, percent: int) -> None:
        if not self.values:
            return
        rank = -(-percent * len(self.values) // 100)  # upwards: so many per cent do not exceed it
        exact = sorted(self.values)[rank - 1]
        assert exact <= self.histogram.percentile(percent) <= exact + exact // 128

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.histogram.count == len(self.values) == self.histogram.counts().sum()
        assert self.histogram.negative == self.negative
        assert self.histogram.max_ns == max(self.values, default=0)

    def teardown(self) -> None:
        self.histogram.close()


class DoorbellBesideTwoFlags(RuleBasedStateMachine):
    """The twin: is the waiter armed, and was it rung since."""

    def __init__(self) -> None:
        super().__init__()
        self.bell = Doorbell.create()
        self.armed = self.rung = False

    @rule()
    def arm(self) -> None:
        if not self.armed:
            self.bell.arm()
            self.armed, self.rung = True, False

    @rule()
    def ring(self) -> None:
        assert self.bell.ring() is (self.armed and not self.rung)
        self.rung = self.rung or self.armed

    @rule()
    def disarm(self) -> None:
        if self.armed:
            assert self.bell.disarm() is self.rung
            self.armed = self.rung = False

    @rule()
    def wait_for_a_ring_that_came(self) -> None:
        if self.armed and self.rung:
            assert self.bell.wait(10.0) is True
            self.armed = self.rung = False

    def teardown(self) -> None:
        self.bell.close()


TestSeqlock = SeqlockBesideItsLastValue.TestCase
TestSeqlock.settings = STEPS
TestHistogram = HistogramBesideAList.TestCase
TestHistogram.settings = settings(max_examples=25, stateful_step_count=20)
TestDoorbell = DoorbellBesideTwoFlags.TestCase
TestDoorbell.settings = STEPS
