"""`Broadcast`: records that each count, from one writer to any number of readers."""

from libc.stdint cimport uint64_t

from mftcore.endpoint cimport Endpoint, Handle, mft_bell_t, mft_port_t
from mftcore.segment cimport Segment, mft_segment_t
from mftcore.seqlock cimport mft_seqlock_t, mft_stamp_t


cdef extern from "mftcore/broadcast.h" nogil:
    enum:
        MFT_BROADCAST_VERSION
        MFT_BROADCAST_WRITER

    const uint64_t MFT_BROADCAST_LEAST_CELLS
    const uint64_t MFT_BROADCAST_MOST_CELLS

    ctypedef struct mft_broadcast_t:
        mft_seqlock_t cells
        uint64_t next
        uint64_t lost

    uint64_t mft_cells_data_bytes(uint64_t cells, uint64_t bytes) noexcept
    int mft_broadcast_open(mft_broadcast_t *b, mft_segment_t *s) noexcept
    uint64_t mft_broadcast_newest(const mft_broadcast_t *b) noexcept
    void mft_broadcast_join(mft_broadcast_t *b, int at_the_oldest) noexcept
    int mft_broadcast_next(mft_broadcast_t *b, void *record, mft_stamp_t *stamp, uint64_t *skipped) noexcept


cdef class Broadcast(Handle):
    cdef mft_broadcast_t cells          # for the counts only
    cdef readonly object dtype


cdef class BroadcastEnd(Endpoint):
    cdef mft_broadcast_t cells          # without the GIL, from one thread; modules of users: port.pxd
    cdef readonly object dtype

    cdef int start(self, Broadcast broadcast, int role, str role_name, int peer) except -1


cdef class BroadcastWriter(BroadcastEnd):
    cdef void written(self) noexcept


cdef class BroadcastReader(BroadcastEnd):
    cdef mft_stamp_t stamp              # of the record that was read last

    cdef int take(self, void *record, uint64_t *skipped) noexcept   # a code, which `took` turns into an exception
    cdef bint took(self, int rc) except -1
