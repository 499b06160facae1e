"""What the two ends of an `SpscRing` share: checks, lending of the ring's own memory, bound records."""

cimport cython
from cpython.buffer cimport PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memset

from mftcore.doorbell cimport ring_also
from mftcore.endpoint cimport MFT_END_CONSUMER, MFT_END_PRODUCER
from mftcore.record_fit cimport check_batch, wrong_size
from mftcore.segment cimport MFT_FULL, MFT_OK

import numpy

from mftcore.endpoint import whole_number
from mftcore.errors import ClosedError, RecordError


@cython.no_gc_clear
cdef class RingEnd(Endpoint):
    """Base of `SpscProducer` and `SpscConsumer`. Not public.

    Attributes
    ----------
    record_size, capacity : int
        Bytes per record; records that fit.
    dtype : numpy.dtype
        Of a record.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.ring, 0, sizeof(self.ring))
        self.sole = True

    cdef int start(self, Segment segment, object dtype, int role, str role_name, int peer, object bell) except -1:
        cdef int rc
        self.open(segment, role, role_name, peer)
        try:
            rc = mft_ring_open(&self.ring, &segment.seg)
            if rc != MFT_OK:
                self.bad(rc)
            ring_also(self, bell)
        except BaseException:
            self.shut()
            raise
        self._dtype = dtype
        return 0

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle = &self.ring
        port.end = MFT_END_PRODUCER if self.role == MFT_RING_PRODUCER else MFT_END_CONSUMER
        return 0

    cdef int bad(self, int64_t rc) except -1:
        return self.segment.corrupt(f"more records in it than fit, or more popped than pushed ({rc})")

    @property
    def record_size(self):
        return self.ring.record_bytes

    @property
    def capacity(self):
        return self.ring.capacity

    @property
    def dtype(self):
        return self._dtype


cdef RecordsLent lent(type kind, RingEnd end, object count):
    """A `Claim` or `Peek` of at most `count` records."""
    cdef RecordsLent self = kind.__new__(kind)
    self.wanted = whole_number(count, 1, 1 << 62, "the number of records")
    end.check()
    self.owner = self.end = end
    return self


cdef class RecordsLent(Lent):
    """Records in the ring's own memory, for the time of a ``with`` block: base of `Claim` and `Peek`.

    Attributes
    ----------
    records : ndarray of the ring's dtype, shape (n,)
        A fresh array over the ring's memory at each access. Use it in place, or delete the name before the block ends.
    view : memoryview
        The same memory as bytes; it is dead after the block.
    used : int
        How many of the records count when the block ends: all of them, unless it is set lower.
    """

    cdef int found(self, int rc, void *place) except -1:
        """Take note of what the ring had to lend."""
        if rc < 0:
            self.end.bad(rc)
        if rc != MFT_OK:
            self.count = 0
        self.place = <unsigned char *>place
        self.nbytes = self.count * self.end.ring.record_bytes
        self._used = self.count
        return 0

    def __len__(self):
        return self.count

    @property
    def used(self):
        return self._used

    @used.setter
    def used(self, count):
        used = whole_number(count, 0, self.count, "the number of lent records that are used")
        self.in_block()
        self._used = used

    @property
    def records(self):
        self.in_block()
        return numpy.frombuffer(self, self.end._dtype, self.count)


@cython.final
cdef class Claim(RecordsLent):
    """Free records at the end of a ring, to be filled in place; from `SpscProducer.claim`.

    They become visible together when the block ends; if it ends by an exception, none does. ``len(claim)`` is how many
    were to be had: 0 when the ring is full, fewer than asked for at the end of its memory.

    Attributes
    ----------
    records, view, used
        The records as an array, their memory as bytes, and how many of them count: see `RecordsLent`.
    """

    cdef int lend(self) except -1:
        cdef void *place = NULL
        cdef int rc
        self.writable = True
        self.count = self.wanted
        rc = mft_ring_claim(&self.end.ring, &self.count, &place)
        if rc == MFT_FULL:
            mft_ring_count_full(&self.end.ring, 1)
        return self.found(rc, place)

    cdef int take_back(self) except -1:
        if self._used:
            mft_ring_commit(&self.end.ring, self._used)
            self.end.pushed()
        return 0


@cython.final
cdef class Peek(RecordsLent):
    """The oldest records of a ring, read where they lie; from `SpscConsumer.peek`. They cannot be written to.

    They go back to the producer when the block ends; if it ends by an exception, or this process by a kill, they are
    seen again. ``len(peek)`` is how many there were: 0 when the ring is empty, fewer than asked for at the end of its
    memory.

    Attributes
    ----------
    records, view, used
        The records as an array, their memory as bytes, and how many of them count: see `RecordsLent`.
    """

    cdef int lend(self) except -1:
        cdef const void *place = NULL
        cdef int rc
        self.count = self.wanted
        rc = mft_ring_peek(&self.end.ring, &self.count, &place)
        return self.found(rc, <void *>place)

    cdef int take_back(self) except -1:
        if self._used:
            mft_ring_release(&self.end.ring, self._used)
            self.end.popped()
        return 0


@cython.no_gc_clear
cdef class Bound:
    """A record of the caller's own, kept for many calls: base of `BoundPush` and `BoundPop`.

    The buffer behind it stays exported, so it can be written to and read but not resized.
    """

    def __init__(self):
        raise TypeError(f"{type(self).__name__} has no constructor; use bind() of an endpoint")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.record)

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} can be neither pickled nor copied: it belongs to an endpoint")

    cdef int check(self) except -1:
        if self.end is None:
            raise ClosedError(f"this {type(self).__name__} was never bound; use bind() of an endpoint")
        return self.end.check()

    cdef int bind(self, RingEnd end, object record, int flags) except -1:
        end.check()
        PyObject_GetBuffer(record, &self.record, flags)
        self.held = True
        check_batch(end.segment, end._dtype, end.ring.record_bytes, record, self.record.len)
        if <uint64_t>self.record.len != end.ring.record_bytes:
            wrong_size(end.segment, end.ring.record_bytes, record, self.record.len)
        self.end = end
        return 0


@cython.final
cdef class BoundPush(Bound):
    """Pushes one record of the caller's, as it is at the call; from `SpscProducer.bind`."""

    def push(self):
        """Append the record as it is now; False when full, as `SpscProducer.push`."""
        cdef int rc
        self.check()
        rc = mft_ring_push(&self.end.ring, self.record.buf)
        if rc == MFT_OK:
            self.end.pushed()
            return True
        if rc < 0:
            self.end.bad(rc)
        return False


@cython.final
cdef class BoundPop(Bound):
    """Pops into one record of the caller's; from `SpscConsumer.bind`."""

    def pop(self):
        """Take the oldest record into the bound one; False when empty, and it is then untouched."""
        cdef int rc
        self.check()
        rc = mft_ring_pop(&self.end.ring, self.record.buf)
        if rc == MFT_OK:
            self.end.popped()
            return True
        if rc < 0:
            self.end.bad(rc)
        return False
