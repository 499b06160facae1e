"""`Seqlock`: the newest value of one record; one writer, many readers."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.endpoint cimport Endpoint, Handle, mft_bell_t, mft_port_t
from mftcore.segment cimport Segment, mft_segment_t


cdef extern from "mftcore/seqlock.h" nogil:
    enum:
        MFT_SEQLOCK_VERSION
        MFT_SEQLOCK_WRITER
        MFT_SEQLOCK_CELLS

    ctypedef struct mft_seqlock_shared_t:
        mft_bell_t news

    ctypedef struct mft_seqlock_t:
        mft_seqlock_shared_t *shared
        uint64_t bytes
        uint64_t cells

    ctypedef struct mft_stamp_t:
        uint64_t version
        uint64_t epoch
        int64_t written_ns

    uint64_t mft_seqlock_data_bytes(uint64_t bytes) noexcept
    int mft_seqlock_open(mft_seqlock_t *q, mft_segment_t *s) noexcept
    uint64_t mft_seqlock_write(mft_seqlock_t *q, const void *record, uint64_t epoch, int64_t now_ns) noexcept
    int mft_seqlock_ring(mft_seqlock_t *q) noexcept
    uint64_t mft_seqlock_version(const mft_seqlock_t *q) noexcept
    int mft_seqlock_read(const mft_seqlock_t *q, void *record, uint64_t bytes, mft_stamp_t *stamp) noexcept


cdef class Seqlock(Handle):
    cdef readonly object dtype


cdef class Stamp:
    cdef readonly uint64_t version
    cdef readonly uint64_t epoch
    cdef readonly int64_t age_ns
    cdef readonly bint writer_alive


cdef class SeqlockWriter(Endpoint):
    cdef mft_seqlock_t lock             # without the GIL, from one thread; modules of users: port.pxd

    cdef int start(self, Segment segment, object bell) except -1


cdef class VersionReader(Endpoint):
    """Base of the reading ends: waits for a newer version than was read last."""
    cdef mft_seqlock_t lock
    cdef uint64_t seen                  # version that was read last
    cdef readonly uint64_t unstable

    cdef int fetch_value(self, void *record, uint64_t bytes, mft_stamp_t *stamp) except -1  # Unstable, counted


cdef class SeqlockReader(VersionReader):
    cdef int start(self, Segment segment) except -1
    cdef Stamp stamp(self, const mft_stamp_t *s)
