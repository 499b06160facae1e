"""What the two ends of an `SpscRing` share: checks, lending of the ring's own memory, bound records."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.endpoint cimport Endpoint, mft_bell_t, mft_port_t
from mftcore.lent cimport Lent
from mftcore.segment cimport Segment, mft_segment_t


cdef extern from "mftcore/ring.h" nogil:
    enum:
        MFT_RING_VERSION
        MFT_RING_PRODUCER
        MFT_RING_CONSUMER

    const uint64_t MFT_RING_MAX_CAPACITY

    ctypedef struct mft_ring_shared_t:
        mft_bell_t records
        mft_bell_t room

    ctypedef struct mft_ring_t:
        mft_ring_shared_t *shared
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
    void mft_ring_count_full(mft_ring_t *r, uint64_t records) noexcept
    int mft_ring_has_room(const mft_ring_t *r) noexcept
    int mft_ring_ring_records(mft_ring_t *r) noexcept
    # consumer
    int mft_ring_pop(mft_ring_t *r, void *record) noexcept
    int64_t mft_ring_pop_many(mft_ring_t *r, void *records, uint64_t count) noexcept
    int mft_ring_peek(mft_ring_t *r, uint64_t *count, const void **place) noexcept
    void mft_ring_release(mft_ring_t *r, uint64_t count) noexcept
    int mft_ring_has_records(const mft_ring_t *r) noexcept
    int mft_ring_ring_room(mft_ring_t *r) noexcept
    # anybody
    void mft_ring_counters(const mft_ring_t *r, mft_ring_counters_t *c) noexcept


cdef class RingEnd(Endpoint):
    cdef mft_ring_t ring                # without the GIL, from one thread; modules of users: port.pxd
    cdef object _dtype

    cdef int start(self, Segment segment, object dtype, int role, str role_name, int peer, object bell) except -1
    cdef int bad(self, int64_t rc) except -1            # raises LayoutError

    cdef inline void pushed(self) noexcept:
        """After a call that published: wake the consumer if it sleeps."""
        mft_ring_ring_records(&self.ring)
        self.ring_outer()

    cdef inline void popped(self) noexcept:
        """After a call that made room: wake the producer if it sleeps."""
        mft_ring_ring_room(&self.ring)
        self.ring_outer()


cdef class RecordsLent(Lent):
    cdef RingEnd end
    cdef uint64_t wanted, count, _used

    cdef int found(self, int rc, void *place) except -1


cdef class Claim(RecordsLent):
    pass


cdef class Peek(RecordsLent):
    pass


cdef class Bound:
    cdef RingEnd end
    cdef Py_buffer record
    cdef bint held

    cdef int check(self) except -1
    cdef int bind(self, RingEnd end, object record, int flags) except -1


cdef class BoundPush(Bound):
    pass


cdef class BoundPop(Bound):
    pass


cdef RecordsLent lent(type kind, RingEnd end, object count)
