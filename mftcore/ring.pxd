"""`SpscRing`: one producer, one consumer, records of one size."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.endpoint cimport Handle
from mftcore.ring_end cimport (
    RingEnd,
    mft_ring_claim,
    mft_ring_commit,
    mft_ring_counters,
    mft_ring_counters_t,
    mft_ring_has_records,
    mft_ring_has_room,
    mft_ring_peek,
    mft_ring_pop,
    mft_ring_pop_many,
    mft_ring_push,
    mft_ring_push_many,
    mft_ring_release,
    mft_ring_ring_records,
    mft_ring_ring_room,
    mft_ring_t,
)


cdef class SpscRing(Handle):
    cdef mft_ring_t ring                # for the counters only
    cdef readonly object dtype


cdef class SpscProducer(RingEnd):
    cdef object push_buffer(self, object record)


cdef class SpscConsumer(RingEnd):
    pass
