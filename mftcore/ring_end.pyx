"""What the two ends of an `SpscRing` share: checks, lending of the ring's own memory, bound records."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memset

from mftcore.doorbell cimport Doorbell
from mftcore.segment cimport MFT_EMPTY, MFT_FULL, MFT_OK

import numpy

from mftcore.errors import ClosedError, RecordError


cdef enum:
    ENDPOINT_LENT = 4

    NOT_ENTERED = 0
    IN_BLOCK = 1
    LEFT = 2

cdef object ndarray = numpy.ndarray


@cython.no_gc_clear
cdef class RingEnd(Endpoint):
    """Base of `SpscProducer` and `SpscConsumer`. Not public.

    Attributes
    ----------
    record_size, capacity : int
        Bytes per record; records that fit.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.ring, 0, sizeof(self.ring))
        self.sole = True

    cdef int start(self, Segment segment, object dtype, int role, str role_name, int peer, object bell) except -1:
        cdef int rc
        cdef Doorbell doorbell
        if bell is not None:
            if not isinstance(bell, Doorbell):
                raise TypeError(f"bell is a Doorbell, not {bell!r}")
            doorbell = bell
            doorbell.check()
        self.open(segment, role, role_name, peer)
        try:
            rc = mft_ring_open(&self.ring, &segment.seg)
            if rc != MFT_OK:
                self.bad(rc)
            if bell is not None:
                self.ring_as_well(doorbell.segment, doorbell.shared, doorbell.fd)
        except BaseException:
            self.shut()
            raise
        self._dtype = dtype
        return 0

    cdef int bad(self, int64_t rc) except -1:
        return self.segment.corrupt(f"more records in it than fit, or more popped than pushed ({rc})")

    cdef int wrong_size(self, object what, Py_ssize_t found) except -1:
        raise RecordError(
            f"a record of {self.segment.what} has {self.ring.record_bytes} bytes, this {type(what).__name__} has {found}"
        )

    cdef int check_batch(self, object array, Py_ssize_t found) except -1:
        if type(array) is ndarray and array.dtype is not self._dtype and array.dtype != self._dtype:
            # opaque bytes on either side: only the size can be compared
            if self._dtype.type is not numpy.void or self._dtype.names is not None:
                raise RecordError(f"records of {self.segment.what} are {self._dtype}, this array has {array.dtype}")
        if <uint64_t>found % self.ring.record_bytes != 0:
            self.wrong_size(array, found)
        return 0

    @property
    def record_size(self):
        return self.ring.record_bytes

    @property
    def capacity(self):
        return self.ring.capacity

    @property
    def dtype(self):
        return self._dtype


cdef Lent lent(type kind, RingEnd end, object count):
    """A `Claim` or `Peek` of at most `count` records."""
    cdef Lent self = kind.__new__(kind)
    if isinstance(count, bool) or not hasattr(count, "__index__") or not 1 <= count.__index__() < 1 << 62:
        raise RecordError(f"the number of records is at least 1, not {count!r}")
    end.check()
    self.end = end
    self.wanted = count
    return self


cdef class Lent:
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

    def __init__(self):
        raise TypeError(f"{type(self).__name__} has no constructor; ask an endpoint for one")

    cdef int lend(self) except -1:
        return 0

    cdef int take_back(self) except -1:
        return 0

    def __enter__(self):
        if self.end is None or self.stage != NOT_ENTERED:
            raise ClosedError(f"a {type(self).__name__} is for one block; ask the endpoint for a new one")
        self.end.check()
        self.lend()
        self._used = self.count
        self.stage = IN_BLOCK
        self.end.state |= ENDPOINT_LENT
        return self

    def __exit__(self, kind, error, trace):
        self.stage = LEFT
        if self.memory is not None:
            try:
                self.memory.release()
            except BufferError:
                pass  # an array was made from it: counted in `views`, and dealt with below
            self.memory = None
        if self.views:
            # the endpoint stays lent until the last of them is gone: they still reach the ring's memory
            if error is None:
                raise RecordError(
                    f"an array or view of the records that {self.end.segment.what} lent outlives the block, so nothing "
                    "was done with them; use .records in place, or delete what was made from it inside the block"
                )
            return
        self.end.state &= ~<unsigned>ENDPOINT_LENT
        self.end.check()
        if error is None and self._used:
            self.take_back()

    def __len__(self):
        return self.count

    @property
    def used(self):
        return self._used

    @used.setter
    def used(self, count):
        if isinstance(count, bool) or not hasattr(count, "__index__") or not 0 <= count.__index__() <= self.count:
            raise RecordError(f"between 0 and {self.count} of the lent records can be used, not {count!r}")
        self._used = count

    @property
    def view(self):
        if self.memory is None:
            self.memory = memoryview(self)
        return self.memory

    @property
    def records(self):
        return numpy.frombuffer(self, self.end._dtype, self.count)

    cdef int export(self, Py_buffer *view, int flags, bint readonly) except -1:
        if self.stage != IN_BLOCK:
            raise ClosedError("lent records can be used inside the block only")
        PyBuffer_FillInfo(view, self, self.place, self.count * self.end.ring.record_bytes, readonly, flags)
        self.views += 1
        return 0

    def __releasebuffer__(self, Py_buffer *view):
        self.views -= 1
        if self.views == 0 and self.stage == LEFT:
            self.end.state &= ~<unsigned>ENDPOINT_LENT


@cython.final
cdef class Claim(Lent):
    """Free records at the end of a ring, to be filled in place; from `SpscProducer.claim`.

    They become visible together when the block ends; if it ends by an exception, none does. ``len(claim)`` is how many
    were to be had: 0 when the ring is full, fewer than asked for at the end of its memory.
    """

    cdef int lend(self) except -1:
        cdef void *place = NULL
        cdef int rc
        self.count = self.wanted
        rc = mft_ring_claim(&self.end.ring, &self.count, &place)
        if rc < 0:
            self.end.bad(rc)
        if rc == MFT_FULL:
            mft_ring_count_full(&self.end.ring, 1)
            self.count = 0
        self.place = <unsigned char *>place
        return 0

    cdef int take_back(self) except -1:
        mft_ring_commit(&self.end.ring, self._used)
        self.end.pushed()
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.export(view, flags, False)


@cython.final
cdef class Peek(Lent):
    """The oldest records of a ring, read where they lie; from `SpscConsumer.peek`. They cannot be written to.

    They go back to the producer when the block ends; if it ends by an exception, or this process by a kill, they are
    seen again. ``len(peek)`` is how many there were: 0 when the ring is empty, fewer than asked for at the end of its
    memory.
    """

    cdef int lend(self) except -1:
        cdef const void *place = NULL
        cdef int rc
        self.count = self.wanted
        rc = mft_ring_peek(&self.end.ring, &self.count, &place)
        if rc < 0:
            self.end.bad(rc)
        if rc == MFT_EMPTY:
            self.count = 0
        self.place = <unsigned char *>place
        return 0

    cdef int take_back(self) except -1:
        mft_ring_release(&self.end.ring, self._used)
        self.end.popped()
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.export(view, flags, True)


cdef class Bound:
    """A record of the caller's own, kept for many calls: base of `BoundPush` and `BoundPop`.

    The buffer behind it stays exported, so it can be written to and read but not resized.
    """

    def __init__(self):
        raise TypeError(f"{type(self).__name__} has no constructor; use bind() of an endpoint")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.record)

    cdef int bind(self, RingEnd end, object record, int flags) except -1:
        end.check()
        PyObject_GetBuffer(record, &self.record, flags)
        self.held = True
        end.check_batch(record, self.record.len)
        if <uint64_t>self.record.len != end.ring.record_bytes:
            end.wrong_size(record, self.record.len)
        self.end = end
        return 0


@cython.final
cdef class BoundPush(Bound):
    """Pushes one record of the caller's, as it is at the call; from `SpscProducer.bind`."""

    def push(self):
        """Append the record as it is now; False when full, as `SpscProducer.push`."""
        cdef int rc
        self.end.check()
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
        self.end.check()
        rc = mft_ring_pop(&self.end.ring, self.record.buf)
        if rc == MFT_OK:
            self.end.popped()
            return True
        if rc < 0:
            self.end.bad(rc)
        return False
