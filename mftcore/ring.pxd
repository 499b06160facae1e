"""`SpscRing`: one producer, one consumer, records of one size."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.segment cimport Endpoint, Segment, mft_segment_t, mft_watch_t


cdef extern from "mftcore/ring.h" nogil:
    enum:
        MFT_RING_VERSION
        MFT_RING_PRODUCER
        MFT_RING_CONSUMER

    const uint64_t MFT_RING_MAX_CAPACITY

    ctypedef struct mft_ring_t:
        uint64_t capacity
        uint64_t record_bytes

    ctypedef struct mft_ring_counters_t:
        uint64_t pushed
        uint64_t popped
        uint64_t full
        uint64_t high_water

    uint64_t mft_ring_data_bytes(uint64_t capacity, uint64_t record_bytes) noexcept
    int mft_ring_open(mft_ring_t *r, mft_segment_t *s) noexcept
    # producer
    int mft_ring_push(mft_ring_t *r, const void *record) noexcept
    int64_t mft_ring_push_many(mft_ring_t *r, const void *records, uint64_t count) noexcept
    int mft_ring_claim(mft_ring_t *r, uint64_t *count, void **place) noexcept
    void mft_ring_commit(mft_ring_t *r, uint64_t count) noexcept
    # consumer
    int mft_ring_pop(mft_ring_t *r, void *record) noexcept
    int64_t mft_ring_pop_many(mft_ring_t *r, void *records, uint64_t count) noexcept
    int mft_ring_peek(mft_ring_t *r, uint64_t *count, const void **place) noexcept
    void mft_ring_release(mft_ring_t *r, uint64_t count) noexcept
    # anybody
    void mft_ring_counters(const mft_ring_t *r, mft_ring_counters_t *c) noexcept


cdef class SpscRing:
    cdef Segment segment
    cdef mft_ring_t ring                # for the counters only
    cdef readonly object dtype

    cdef int start(self, Segment segment) except -1
    cdef int check(self) except -1


cdef class RingEndpoint(Endpoint):
    cdef mft_ring_t ring                # a Cython caller may use it without the GIL, from one thread
    cdef mft_watch_t watch              # of the other side
    cdef uint64_t self_word
    cdef object _dtype

    cdef int start(self, SpscRing ring, int role, str role_name) except -1
    cdef bint peer_alive(self, unsigned role) except -1
    cdef int bad(self, int64_t rc) except -1
    cdef int wrong_size(self, object what, Py_ssize_t found) except -1
    cdef int check_batch(self, object array, Py_ssize_t found) except -1


cdef class SpscProducer(RingEndpoint):
    cdef object push_buffer(self, object record)


cdef class SpscConsumer(RingEndpoint):
    pass
