"""`Histogram`: lifetime, checks, words; the counting is ``include/mftcore/histogram.h``."""

cimport cython

from libc.math cimport ceil

from mftcore.endpoint cimport MFT_END_RECORDER
from mftcore.segment cimport MFT_KIND_HISTOGRAM, MFT_OK, Segment

import numpy

from mftcore.endpoint import checked_name, whole_number
from mftcore.errors import RecordError


cdef object percentile_of(uint64_t[::1] counts, uint64_t total, uint64_t max_ns, double percent):
    cdef uint64_t wanted, seen = 0
    cdef uint32_t bucket
    if total == 0:
        return 0
    # the rank that so much of the values does not exceed; a hair less, so that 99.9 % of 1000 is 999 and not 1000
    wanted = min(max(<uint64_t>ceil(total * (percent / 100.0) * (1.0 - 1e-15 * 8)), <uint64_t>1), total)
    for bucket in range(<uint32_t>MFT_HISTOGRAM_BUCKETS):
        seen += counts[bucket]
        if seen >= wanted:
            return min(mft_histogram_upper_ns(bucket), max_ns)
    return max_ns


@cython.final
cdef class Histogram(Handle):
    """Latency counts in nanoseconds, in shared memory: one recorder, read by any process while it records.

    Values below 2^41 ns (36 minutes) are counted with a relative error of at most 1/128 and reported as the largest
    value of their bucket; the maximum is exact. Negative values are counted apart, in `negative`.

    Attributes
    ----------
    count : int
        Values recorded, negative ones not included.
    max_ns : int
    negative : int
    name : str or None
        None for anonymous memory.
    """

    KIND = MFT_KIND_HISTOGRAM
    VERSION = MFT_HISTOGRAM_VERSION

    @staticmethod
    def create(*, name=None):
        """Make an empty histogram of about 36 KB; raises as `SpscRing.create`."""
        cdef Histogram self = Histogram.__new__(Histogram)
        self.start(Segment.make(
            MFT_KIND_HISTOGRAM, MFT_HISTOGRAM_VERSION, "Histogram", record_bytes=8, capacity=MFT_HISTOGRAM_BUCKETS,
            data_bytes=64 + 8 * MFT_HISTOGRAM_BUCKETS, name=None if name is None else checked_name(name),
        ))
        self.segment.publish()
        return self

    cdef int opened(self) except -1:
        if mft_histogram_open(&self.histogram, &self.segment.seg) != MFT_OK:
            self.segment.corrupt("the number of buckets does not fit the memory")
        return 0

    def recorder(self):
        """Claim the recording end; `RoleTaken` while another holds it and lives."""
        cdef HistogramRecorder endpoint = HistogramRecorder.__new__(HistogramRecorder)
        self.check()
        endpoint.start(self.segment)
        return endpoint

    def counts(self):
        """Return a copy of the bucket counts, uint64 of shape (4480,); each was right at some instant of the call."""
        self.check()
        copy = numpy.empty(MFT_HISTOGRAM_BUCKETS, numpy.uint64)
        cdef uint64_t[::1] view = copy
        mft_histogram_copy(&self.histogram, &view[0])
        return copy

    @property
    def count(self):
        return int(self.counts().sum())

    @property
    def max_ns(self):
        self.check()
        return self.histogram.shared.max_ns

    @property
    def negative(self):
        self.check()
        return self.histogram.shared.negative

    def percentile(self, double percent):
        """Return the value in ns that `percent` of the values do not exceed; 0 when nothing was recorded.

        Raises
        ------
        RecordError
            Not between 0 and 100.
        """
        if not 0 <= percent <= 100:
            raise RecordError(f"a percentile is between 0 and 100, not {percent}")
        copy = self.counts()
        return percentile_of(copy, int(copy.sum()), self.max_ns, percent)

    def summary(self, *others):
        """Return ``{"p50", "p90", "p99", "p999", "max", "count"}`` in ns of this and of other histograms together."""
        copy, largest = self.counts(), self.max_ns
        for other in others:
            if not isinstance(other, Histogram):
                raise TypeError(f"a Histogram is summed up with others of its kind, not with {other!r}")
            copy += other.counts()
            largest = max(largest, other.max_ns)
        total = int(copy.sum())
        names = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
        found = {name: percentile_of(copy, total, largest, percent) for name, percent in names.items()}
        return {**found, "max": largest, "count": total}


@cython.final
cdef class HistogramRecorder(Endpoint):
    """The recording end of a `Histogram`; from `Histogram.recorder`.

    Attributes
    ----------
    epoch : int
        Which recorder this histogram has had, counted from 1.
    """

    cdef int start(self, Segment segment) except -1:
        self.open(segment, MFT_HISTOGRAM_RECORDER, "recorder", -1)
        if mft_histogram_open(&self.histogram, &self.segment.seg) != MFT_OK:
            self.shut()
            segment.corrupt("the number of buckets does not fit the memory")
        return 0

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle, port.end = &self.histogram, MFT_END_RECORDER
        return 0

    cdef int usable(self) except -1:
        raise TypeError("a recorder never waits")

    def record(self, ns):
        """Count one value in ns.

        Raises
        ------
        RecordError
            No whole number.
        """
        cdef int64_t value = ns if type(ns) is int else whole_number(ns, -(1 << 63), (1 << 63) - 1, "a latency in ns")
        self.check()
        mft_histogram_record(&self.histogram, value)

    def record_many(self, const int64_t[::1] values_ns not None):
        """Count an int64 array of values; ValueError or TypeError for anything else."""
        cdef Py_ssize_t i
        self.check()
        for i in range(values_ns.shape[0]):
            mft_histogram_record(&self.histogram, values_ns[i])

    def record_corrected(self, ns, interval_ns):
        """Count one value, and those that it hid from a loop that asks every `interval_ns` and waits for the answer.

        They are counted as `ns` less one interval, less two, and so on down to one interval (coordinated omission; the
        method is HdrHistogram's). Without a positive interval only the value itself is counted.

        Raises
        ------
        RecordError
            No whole number.
        """
        cdef int64_t value = whole_number(ns, -(1 << 63), (1 << 63) - 1, "a latency in ns")
        cdef int64_t interval = whole_number(interval_ns, -(1 << 63), (1 << 63) - 1, "an interval in ns")
        self.check()
        mft_histogram_record_corrected(&self.histogram, value, interval)
