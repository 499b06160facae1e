"""`SpscRing`: lifetime, checks, exceptions, words; the algorithm is ``include/mftcore/ring.h``."""

from collections import namedtuple

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from mftcore.endpoint cimport event_loops, mft_bell_t
from mftcore.ring_end cimport (
    MFT_RING_CONSUMER,
    MFT_RING_MAX_CAPACITY,
    MFT_RING_PRODUCER,
    MFT_RING_VERSION,
    BoundPop,
    BoundPush,
    Claim,
    Peek,
    lent,
    mft_ring_data_bytes,
    mft_ring_open,
)
from mftcore.record_fit cimport check_batch, wrong_size
from mftcore.segment cimport MFT_E_CORRUPT, MFT_KIND_RING, MFT_OK, Segment, mft_role_epoch

from mftcore.endpoint import checked_name
from mftcore.errors import LayoutError, RecordError
from mftcore.layout import canonical_text, dtype_from_text, record_dtype


cdef enum:
    RELEASE_GIL_BYTES = 1 << 18     # below this a batch copy is shorter than giving the GIL away and back


RingCounters = namedtuple("RingCounters", ["pushed", "popped", "full", "high_water"])
RingCounters.__doc__ = """What went through a ring, ever, over all its producers and consumers.

Attributes
----------
pushed, popped : int
    Records; their difference is the fill.
full : int
    Records refused because the ring was full.
high_water : int
    Largest fill seen. Exact from an eighth of the capacity on; below that a sample by the consumer, never too large.
"""


@cython.final
cdef class SpscRing(Handle):
    """A ring of fixed-size records from one producer to one consumer, in shared memory.

    A handle: it holds no role and can be given to a child process as an argument. Make one with `create` or `attach`,
    then ask it for a `producer` or a `consumer`.

    Promise: the consumer gets whole records, each once, in the order of their pushes. Full and empty are results, not
    errors. A producer killed at any instant leaves no torn record, and its successor carries on. A consumer killed
    inside a call leaves the records of that call in the ring or loses them, never a part of one.

    Attributes
    ----------
    dtype : numpy.dtype
        Of a record; ``V64`` for a ring of 64 opaque bytes.
    record_size : int
        Bytes per record.
    capacity : int
        Records that fit: the power of two at or above what was asked for.
    name : str or None
        None for anonymous memory.

    Notes
    -----
    Layout and memory orders: ``mftcore/include/mftcore/ring.h`` and ``docs/ring.md``. Processes of the same user can
    write to the memory; the promise holds against their deaths, not against their ill will.
    """

    KIND = MFT_KIND_RING
    VERSION = MFT_RING_VERSION

    @staticmethod
    def create(dtype, capacity, *, name=None):
        """Make a ring.

        Parameters
        ----------
        dtype : dtype-like or int
            Of a record, or its size in bytes.
        capacity : int
            Records that must fit, at least 1; rounded up to a power of two.
        name : str, optional
            For processes that are not each other's children: up to 200 letters, digits, ``.``, ``_``, ``-``. Without
            one the memory is anonymous. Closing this handle takes the name away.

        Raises
        ------
        LayoutError
            A record type that cannot be shared: with object or big-endian fields.
        RecordError
            A capacity below 1 or beyond 2^32, something that is no record type, a bad name.
        MemoryRefused
            So much memory is not available; nothing was made.
        NameInUse
            A segment of this name exists.
        """
        cdef SpscRing self = SpscRing.__new__(SpscRing)
        cdef uint64_t data_bytes, slots
        record = record_dtype(dtype)
        slots = _checked_capacity(capacity)
        data_bytes = mft_ring_data_bytes(slots, record.itemsize)
        if data_bytes == 0:
            raise RecordError(f"a ring of {slots} records of {record.itemsize} bytes is beyond any machine")
        self.start(Segment.make(
            MFT_KIND_RING, MFT_RING_VERSION, "SpscRing", record_bytes=record.itemsize, capacity=slots,
            data_bytes=data_bytes, dtype=canonical_text(record), name=None if name is None else checked_name(name),
        ))
        self.segment.publish()
        return self

    cdef int opened(self) except -1:
        cdef int rc = mft_ring_open(&self.ring, &self.segment.seg)
        if rc == MFT_E_CORRUPT:
            self.segment.corrupt("more records popped than pushed, or more in it than fit")
        if rc != MFT_OK:
            self.segment._fail(rc, 0)
        self.dtype = dtype_from_text(self.segment.dtype_text)
        if <uint64_t>self.dtype.itemsize != self.ring.record_bytes:
            raise LayoutError(
                f"{self.segment.what}: records have {self.ring.record_bytes} bytes and {self.dtype} has "
                f"{self.dtype.itemsize}"
            )
        return 0

    def producer(self, bell=None):
        """Claim the pushing end.

        Parameters
        ----------
        bell : Doorbell, optional
            Rung after each call that pushed, for a consumer that waits there. One that waits with `wait` or `wait_any`
            needs none.

        Raises
        ------
        RoleTaken
            There is a producer, and its process lives. A dead one is succeeded, under a new epoch.
        """
        cdef SpscProducer endpoint = SpscProducer.__new__(SpscProducer)
        self.check()
        endpoint.start(self.segment, self.dtype, MFT_RING_PRODUCER, "producer", MFT_RING_CONSUMER, bell)
        return endpoint

    def consumer(self, bell=None):
        """Claim the popping end; it starts at the oldest record that nobody popped.

        Parameters
        ----------
        bell : Doorbell, optional
            Rung after each call that made room, for a producer that waits there.

        Raises
        ------
        RoleTaken
            There is a consumer, and its process lives. A dead one is succeeded, under a new epoch.
        """
        cdef SpscConsumer endpoint = SpscConsumer.__new__(SpscConsumer)
        self.check()
        endpoint.start(self.segment, self.dtype, MFT_RING_CONSUMER, "consumer", MFT_RING_PRODUCER, bell)
        return endpoint

    def counters(self):
        """Return `RingCounters`; needs no role. Each number was right at some instant of the call."""
        cdef mft_ring_counters_t c
        self.check()
        mft_ring_counters(&self.ring, &c)
        return RingCounters(c.pushed, c.popped, c.full, c.high_water)

    @property
    def record_size(self):
        return self.ring.record_bytes

    @property
    def capacity(self):
        return self.ring.capacity

    def __repr__(self):
        if self.segment is None or self.segment.is_closed:
            return "<SpscRing closed>"
        return f"<{self.segment.what} of {self.capacity} x {self.record_size} bytes>"


cdef uint64_t _checked_capacity(object capacity) except 0:
    try:
        wanted = capacity.__index__()
    except AttributeError:
        raise RecordError(f"a capacity is a whole number of records, not {capacity!r}") from None
    if isinstance(capacity, bool) or not 1 <= wanted <= MFT_RING_MAX_CAPACITY:
        raise RecordError(f"a capacity is between 1 and {MFT_RING_MAX_CAPACITY} records, not {capacity!r}")
    return 1 << (wanted - 1).bit_length()


@cython.final
cdef class SpscProducer(RingEnd):
    """The pushing endpoint of an `SpscRing`; from `SpscRing.producer`.

    One at a time on the machine: a second claimant gets `RoleTaken`, a second thread `RoleBusy`. Never locks, and
    enters the kernel only to sleep, or to wake the other side when that sleeps.

    Attributes
    ----------
    record_size, capacity : int
        Bytes per record; records that fit.
    dtype : numpy.dtype
        Of a record.
    epoch : int
        Which producer this ring has had, counted from 1; the consumer sees it change when a dead one is succeeded.
    consumer_alive : bool
        Whether a live process holds the other end; at most one millisecond old.
    consumer_epoch : int
        Which consumer the ring has had last; 0: none yet.

    Raises
    ------
    ForkedError
        In a forked child: endpoints do not cross fork; claim a new one there.
    ClosedError
        After `close`.

    Notes
    -----
    Layout and orders: ``mftcore/include/mftcore/ring.h``. Last-seen indices: rigtorp/SPSCQueue, README,
    "Implementation".
    """

    def push(self, record):
        """Append one record.

        Parameters
        ----------
        record : bytes or any contiguous buffer
            Of exactly `record_size` bytes. Exact ``bytes`` are fastest.

        Returns
        -------
        bool
            False when full: back-pressure, not an error; it is counted and nothing was written.

        Raises
        ------
        RecordError
            Another size.
        LayoutError
            The indices in shared memory are out of their bounds: something else wrote there.
        """
        cdef int rc
        if type(record) is bytes and <uint64_t>PyBytes_GET_SIZE(record) == self.ring.record_bytes:
            self.check()
            rc = mft_ring_push(&self.ring, PyBytes_AS_STRING(record))
            if rc == MFT_OK:
                self.pushed()
                return True
            if rc < 0:
                self.bad(rc)
            return False
        return self.push_buffer(record)

    cdef object push_buffer(self, object record):
        cdef Py_buffer view
        cdef int rc
        self.check()
        PyObject_GetBuffer(record, &view, PyBUF_SIMPLE)
        try:
            self.check()  # again: the record's own code has run and may have closed us
            if <uint64_t>view.len != self.ring.record_bytes:
                wrong_size(self.segment, self.ring.record_bytes, record, view.len)
            rc = mft_ring_push(&self.ring, view.buf)
            if rc == MFT_OK:
                self.pushed()
        finally:
            PyBuffer_Release(&view)  # last: it may run code that closes us
        if rc == MFT_OK:
            return True
        if rc < 0:
            self.bad(rc)
        return False

    def push_many(self, records):
        """Append the first records of an array, as many as fit.

        Parameters
        ----------
        records : contiguous ndarray of the ring's dtype, or any contiguous buffer of whole records

        Returns
        -------
        int
            How many were appended; the rest, refused for want of room, is counted. Each run up to the end of the
            memory becomes visible at once.

        Raises
        ------
        RecordError
            An array of another dtype, or no whole number of records.
        LayoutError
            The indices in shared memory are out of their bounds.
        """
        cdef Py_buffer view
        cdef int64_t done = 0
        cdef uint64_t count
        self.check()
        PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
        try:
            check_batch(self.segment, self._dtype, self.ring.record_bytes, records, view.len)
            count = <uint64_t>view.len // self.ring.record_bytes
            if view.len < RELEASE_GIL_BYTES:
                self.check()
                done = mft_ring_push_many(&self.ring, view.buf, count)
            else:
                self.enter()
                with nogil:
                    done = mft_ring_push_many(&self.ring, view.buf, count)
                self.leave()
            if done > 0:
                self.pushed()
        finally:
            PyBuffer_Release(&view)
        if done < 0:
            self.bad(done)
        return done

    def claim(self, count):
        """Return a `Claim` of at most `count` free records, to be filled in place.

        ``with tx.claim(64) as claim: claim.records["price_ticks"] = prices`` saves the copy into the ring. What is not
        needed is given back by setting ``claim.used`` lower.

        Raises
        ------
        RecordError
            `count` is below 1; at the end of the block: an array made from the claim is still in use.
        RoleBusy
            Every other call of this endpoint, while the block lasts.
        """
        return lent(Claim, self, count)

    def bind(self, record):
        """Return a `BoundPush` for a record that is filled and pushed many times.

        Parameters
        ----------
        record : ndarray of the ring's dtype with one element, or any contiguous buffer of `record_size` bytes
            Written by the caller (keep a view of each field: ``price = record["price_ticks"]``), copied by each push.

        Raises
        ------
        RecordError
            Another size or dtype.
        """
        cdef BoundPush bound = BoundPush.__new__(BoundPush)
        bound.bind(self, record, PyBUF_SIMPLE)
        return bound

    def push_wait(self, record, timeout_s, *, str mode="park"):
        """Append one record, waiting for room.

        Parameters
        ----------
        record : bytes or any contiguous buffer
        timeout_s, mode
            As for `wait`, which says what else is raised.

        Returns
        -------
        bool
            False when the time passed without room; nothing was written.
        """
        self.check()
        if not mft_ring_has_room(&self.ring) and not self.wait(timeout_s, mode=mode):
            return False
        return self.push(record)

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.ring.shared.room

    cdef bint ready(self) noexcept nogil:
        return mft_ring_has_room(&self.ring)

    cdef str peer_name(self):
        return "consumer"

    @property
    def consumer_alive(self):
        return self.peer_alive()

    @property
    def consumer_epoch(self):
        self.check()
        return mft_role_epoch(&self.segment.seg, MFT_RING_CONSUMER)


@cython.final
cdef class SpscConsumer(RingEnd):
    """The popping endpoint of an `SpscRing`; from `SpscRing.consumer`.

    One at a time on the machine: a second claimant gets `RoleTaken`, a second thread `RoleBusy`. Never locks, and
    enters the kernel only to sleep, or to wake the other side when that sleeps.

    Attributes
    ----------
    record_size, capacity : int
        Bytes per record; records that fit.
    dtype : numpy.dtype
        Of a record.
    epoch : int
        Which consumer this ring has had, counted from 1.
    waiting : int
        Records that can be popped now.
    producer_alive : bool
        Whether a live process holds the other end; at most one millisecond old. Records of a dead one are still there.
    producer_epoch : int
        Which producer the ring has had last; 0: none yet. Read it when the stream may have changed hands: a strict
        sequence inside the records shows where.

    Raises
    ------
    ForkedError
        In a forked child: endpoints do not cross fork; claim a new one there.
    ClosedError
        After `close`.
    """

    def pop(self):
        """Take the oldest record.

        Returns
        -------
        bytes or None
            None when empty. If this process is killed between this call and the use of the record, it is lost.

        Raises
        ------
        LayoutError
            The indices in shared memory are out of their bounds.
        """
        cdef uint64_t count = 1
        cdef const void *place = NULL
        cdef int rc
        self.check()
        rc = mft_ring_peek(&self.ring, &count, &place)
        if rc == MFT_OK:
            record = PyBytes_FromStringAndSize(<const char *>place, self.ring.record_bytes)
            mft_ring_release(&self.ring, 1)  # only now: without memory for the copy, the record stays
            self.popped()
            return record
        if rc < 0:
            self.bad(rc)
        return None

    def pop_into(self, buffer):
        """Take the oldest record into a writable, contiguous buffer of exactly `record_size` bytes.

        Returns
        -------
        bool
            False when empty; the buffer is then untouched.

        Raises
        ------
        RecordError
            Another size.
        LayoutError
            The indices in shared memory are out of their bounds.
        """
        cdef Py_buffer view
        cdef int rc
        self.check()
        if type(buffer) is bytearray and <uint64_t>PyByteArray_GET_SIZE(buffer) == self.ring.record_bytes:
            rc = mft_ring_pop(&self.ring, PyByteArray_AS_STRING(buffer))
            if rc == MFT_OK:
                self.popped()
        else:
            PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
            try:
                self.check()
                if <uint64_t>view.len != self.ring.record_bytes:
                    wrong_size(self.segment, self.ring.record_bytes, buffer, view.len)
                rc = mft_ring_pop(&self.ring, view.buf)
                if rc == MFT_OK:
                    self.popped()
            finally:
                PyBuffer_Release(&view)
        if rc == MFT_OK:
            return True
        if rc < 0:
            self.bad(rc)
        return False

    def pop_many(self, out):
        """Take the oldest records, as many as there are and as fit into an array.

        Parameters
        ----------
        out : writable, contiguous ndarray of the ring's dtype, or any such buffer of whole records

        Returns
        -------
        int
            How many of its first records were filled; 0 when empty. If this process is killed inside the call,
            the records of this call are lost or still there, whole.

        Raises
        ------
        RecordError
            An array of another dtype, or no whole number of records.
        LayoutError
            The indices in shared memory are out of their bounds.
        """
        cdef Py_buffer view
        cdef int64_t done = 0
        cdef uint64_t count
        self.check()
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
        try:
            check_batch(self.segment, self._dtype, self.ring.record_bytes, out, view.len)
            count = <uint64_t>view.len // self.ring.record_bytes
            if view.len < RELEASE_GIL_BYTES:
                self.check()
                done = mft_ring_pop_many(&self.ring, view.buf, count)
            else:
                self.enter()
                with nogil:
                    done = mft_ring_pop_many(&self.ring, view.buf, count)
                self.leave()
            if done > 0:
                self.popped()
        finally:
            PyBuffer_Release(&view)
        if done < 0:
            self.bad(done)
        return done

    def peek(self, count):
        """Return a `Peek` at the oldest records, at most `count`, read where they lie.

        ``with rx.peek(64) as peek: total += peek.records["size_lots"].sum()`` saves the copy out of the ring. They go
        back to the producer when the block ends; fewer of them, if ``peek.used`` is set lower.

        Raises
        ------
        RecordError
            `count` is below 1; at the end of the block: an array made from the peek is still in use.
        RoleBusy
            Every other call of this endpoint, while the block lasts.
        """
        return lent(Peek, self, count)

    def bind(self, record):
        """Return a `BoundPop` for a record that is popped into many times.

        Parameters
        ----------
        record : writable ndarray of the ring's dtype with one element, or any such buffer of `record_size` bytes

        Raises
        ------
        RecordError
            Another size or dtype.
        """
        cdef BoundPop bound = BoundPop.__new__(BoundPop)
        bound.bind(self, record, PyBUF_WRITABLE)
        return bound

    def pop_wait(self, timeout_s, *, str mode="park"):
        """Take the oldest record, waiting for one.

        Parameters
        ----------
        timeout_s, mode
            As for `wait`, which says what else is raised.

        Returns
        -------
        bytes or None
            None when the time passed without a record.
        """
        self.check()
        if not mft_ring_has_records(&self.ring) and not self.wait(timeout_s, mode=mode):
            return None
        return self.pop()

    def pop_async(self):
        """Take the oldest record, waiting for one in a task of asyncio or uvloop: ``record = await rx.pop_async()``.

        A task that is cancelled has taken nothing. Raises as `wait_async`.
        """
        self.check()
        return event_loops().pop(self)

    def __aiter__(self):
        """``async for record in rx`` takes records for ever; it ends by `PeerDied`, or by leaving the loop."""
        self.check()
        return event_loops().records(self, self.pop)

    def batches(self, out):
        """``async for part in rx.batches(out)``: all records that are there, popped into an array of the caller's.

        Parameters
        ----------
        out : ndarray of the ring's dtype
            Filled anew for each turn; `part` is a view of its beginning.
        """
        self.check()
        return event_loops().batches(self, out)

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.ring.shared.records

    cdef bint ready(self) noexcept nogil:
        return mft_ring_has_records(&self.ring)

    cdef str peer_name(self):
        return "producer"

    @property
    def waiting(self):
        cdef mft_ring_counters_t c
        self.check()
        mft_ring_counters(&self.ring, &c)
        return c.pushed - c.popped

    @property
    def producer_alive(self):
        return self.peer_alive()

    @property
    def producer_epoch(self):
        self.check()
        return mft_role_epoch(&self.segment.seg, MFT_RING_PRODUCER)
