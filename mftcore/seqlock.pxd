"""`Seqlock`: the newest value of one record; one writer, many readers."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.segment cimport Endpoint, Segment, mft_segment_t, mft_watch_t


cdef extern from "mftcore/seqlock.h" nogil:
    enum:
        MFT_SEQLOCK_VERSION
        MFT_SEQLOCK_WRITER
        MFT_SEQLOCK_CELLS

    ctypedef struct mft_seqlock_t:
        uint64_t bytes

    ctypedef struct mft_stamp_t:
        uint64_t version
        uint64_t epoch
        int64_t written_ns

    uint64_t mft_seqlock_data_bytes(uint64_t bytes) noexcept
    int mft_seqlock_open(mft_seqlock_t *q, mft_segment_t *s) noexcept
    uint64_t mft_seqlock_write(mft_seqlock_t *q, const void *record, uint64_t epoch, int64_t now_ns) noexcept
    uint64_t mft_seqlock_version(const mft_seqlock_t *q) noexcept
    int mft_seqlock_read(const mft_seqlock_t *q, void *record, uint64_t bytes, mft_stamp_t *stamp) noexcept


cdef class Seqlock:
    cdef Segment segment
    cdef readonly object dtype

    cdef int start(self, Segment segment) except -1
    cdef int check(self) except -1


cdef class SeqlockWriter(Endpoint):
    cdef mft_seqlock_t lock             # a Cython caller may use it without the GIL, from one thread

    cdef int start(self, Segment segment) except -1


cdef class SeqlockReader(Endpoint):
    cdef mft_seqlock_t lock
    cdef mft_watch_t watch
    cdef uint64_t self_word

    cdef int start(self, Segment segment) except -1
    cdef object stamp(self, const mft_stamp_t *s)
