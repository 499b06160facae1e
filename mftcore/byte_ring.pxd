"""`ByteRing`: one producer, one consumer, messages of any length."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.endpoint cimport Endpoint, Handle, mft_bell_t, mft_port_t
from mftcore.lent cimport Lent
from mftcore.segment cimport mft_segment_t


cdef extern from "mftcore/byte_ring.h" nogil:
    enum:
        MFT_BYTES_VERSION
        MFT_BYTES_PRODUCER
        MFT_BYTES_CONSUMER
        MFT_BYTES_HEADER

    const uint64_t MFT_BYTES_LEAST
    const uint64_t MFT_BYTES_MOST

    ctypedef struct mft_bytes_shared_t:
        mft_bell_t messages
        mft_bell_t room

    ctypedef struct mft_bytes_t:
        mft_bytes_shared_t *shared
        uint64_t bytes

    ctypedef struct mft_bytes_counters_t:
        uint64_t pushed
        uint64_t popped
        uint64_t full
        uint64_t used_bytes

    uint64_t mft_bytes_data_bytes(uint64_t bytes) noexcept
    int mft_bytes_open(mft_bytes_t *r, mft_segment_t *s) noexcept
    # producer
    int mft_bytes_push(mft_bytes_t *r, const void *message, uint64_t length) noexcept
    int mft_bytes_claim(mft_bytes_t *r, uint64_t length, unsigned char **place) noexcept
    void mft_bytes_put(mft_bytes_t *r, unsigned char *place, uint64_t length) noexcept
    void mft_bytes_commit(mft_bytes_t *r) noexcept
    void mft_bytes_drop(mft_bytes_t *r) noexcept
    int mft_bytes_has_room(const mft_bytes_t *r, uint64_t length) noexcept
    # consumer
    int mft_bytes_peek(mft_bytes_t *r, const unsigned char **place, uint64_t *length) noexcept
    void mft_bytes_take(mft_bytes_t *r, uint64_t length) noexcept
    void mft_bytes_release(mft_bytes_t *r) noexcept
    int mft_bytes_has_messages(const mft_bytes_t *r) noexcept
    # anybody
    int mft_bytes_counters(const mft_bytes_t *r, mft_bytes_counters_t *c) noexcept
    int mft_bell_ring(mft_bell_t *b) noexcept


cdef class ByteRing(Handle):
    cdef mft_bytes_t ring               # for the counters only


cdef class BytesEnd(Endpoint):
    cdef mft_bytes_t ring               # without the GIL, from one thread; modules of users: port.pxd

    cdef int start(self, ByteRing ring, int role, str role_name, int peer, object bell) except -1
    cdef int bad(self, int rc) except -1
    cdef int too_long(self, uint64_t length) except -1


cdef class ByteProducer(BytesEnd):
    cdef uint64_t wanted                # room that the wait that goes on is for

    cdef int put(self, object message) except -1        # MFT_OK or MFT_FULL; not yet committed
    cdef void pushed(self) noexcept


cdef class ByteConsumer(BytesEnd):
    cdef void popped(self) noexcept


cdef class BytesClaim(Lent):
    cdef ByteProducer end
    cdef uint64_t length


cdef class BytesPeek(Lent):
    cdef ByteConsumer end
