"""`Histogram`: latency counts in nanoseconds; one recorder, read by anybody."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from mftcore.endpoint cimport Endpoint, Handle, mft_port_t
from mftcore.segment cimport Segment, mft_segment_t


cdef extern from "mftcore/histogram.h" nogil:
    enum:
        MFT_HISTOGRAM_VERSION
        MFT_HISTOGRAM_RECORDER
        MFT_HISTOGRAM_BUCKETS

    ctypedef struct mft_histogram_shared_t:
        uint64_t max_ns
        uint64_t negative

    ctypedef struct mft_histogram_t:
        mft_histogram_shared_t *shared

    int mft_histogram_open(mft_histogram_t *h, mft_segment_t *s) noexcept
    uint64_t mft_histogram_upper_ns(uint32_t bucket) noexcept
    void mft_histogram_record(mft_histogram_t *h, int64_t ns) noexcept
    void mft_histogram_record_corrected(mft_histogram_t *h, int64_t ns, int64_t interval_ns) noexcept
    uint64_t mft_histogram_copy(const mft_histogram_t *h, uint64_t *counts) noexcept


cdef class Histogram(Handle):
    cdef mft_histogram_t histogram


cdef class HistogramRecorder(Endpoint):
    cdef mft_histogram_t histogram      # without the GIL, from one thread; modules of users: port.pxd

    cdef int start(self, Segment segment) except -1
