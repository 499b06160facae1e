"""`ByteRing`: lifetime, checks, exceptions, words; the algorithm is ``include/mftcore/byte_ring.h``."""

from collections import namedtuple

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from mftcore.doorbell cimport ring_also
from mftcore.endpoint cimport MFT_END_BYTES_CONSUMER, MFT_END_BYTES_PRODUCER, event_loops
from mftcore.segment cimport MFT_E_ARGUMENT, MFT_E_CORRUPT, MFT_EMPTY, MFT_KIND_BYTES, MFT_OK, Segment, mft_role_epoch

from mftcore.endpoint import checked_name, whole_number
from mftcore.errors import RecordError, Unstable

BytesCounters = namedtuple("BytesCounters", ["pushed", "popped", "full", "used_bytes"])
BytesCounters.__doc__ = """What went through a ring of messages, over all its producers and consumers, at one instant.

Attributes
----------
pushed, popped : int
    Messages. Exact, whoever was killed at whatever instant.
full : int
    Messages refused because there was no room.
used_bytes : int
    Of the ring, now: each message takes its length, rounded up to 8, and 8.
"""


@cython.final
cdef class ByteRing(Handle):
    """A ring of messages of any length from one producer to one consumer, in shared memory.

    A handle, as `SpscRing` is, with the same promises for whole messages. Each lies in one piece, wherever the end of the
    memory is, so a reader needs no copy.

    Attributes
    ----------
    capacity : int
        Longest message in bytes. So much fits altogether, less 8 and the rounding up to 8 for each further message.
    name : str or None
        None for anonymous memory.

    Notes
    -----
    The data is mapped twice, one copy right behind the other. Layout and memory orders:
    ``mftcore/include/mftcore/byte_ring.h`` and ``docs/byte-ring.md``.
    """

    KIND = MFT_KIND_BYTES
    VERSION = MFT_BYTES_VERSION

    @staticmethod
    def create(capacity, *, name=None):
        """Make a ring.

        Parameters
        ----------
        capacity : int
            Bytes of the longest message, at least 1; the memory is that and 8, rounded up to a power of two, of 64 KiB at
            least.
        name : str, optional
            See `SpscRing.create`.

        Raises
        ------
        RecordError
            A capacity below 1 or beyond 2^32 - 8 bytes, a bad name.
        MemoryRefused, NameInUse
            So much memory is not available; the name is taken.
        """
        cdef ByteRing self = ByteRing.__new__(ByteRing)
        cdef uint64_t size
        longest = whole_number(capacity, 1, MFT_BYTES_MOST - MFT_BYTES_HEADER, "a capacity in bytes")
        size = max(1 << (longest + MFT_BYTES_HEADER - 1).bit_length(), MFT_BYTES_LEAST)
        self.start(Segment.make(
            MFT_KIND_BYTES, MFT_BYTES_VERSION, "ByteRing", record_bytes=1, capacity=size,
            data_bytes=mft_bytes_data_bytes(size), name=None if name is None else checked_name(name),
        ))
        self.segment.publish()
        return self

    cdef int opened(self) except -1:
        cdef int rc
        if self.segment.seg.layout.capacity > self.segment.seg.data_bytes:
            self.segment.corrupt("its size does not fit the memory")
        self.segment.mirror(self.segment.seg.layout.capacity)
        rc = mft_bytes_open(&self.ring, &self.segment.seg)
        if rc == MFT_E_CORRUPT:
            self.segment.corrupt("more bytes released than committed, or more in it than fit")
        if rc != MFT_OK:
            self.segment._fail(rc, 0)
        return 0

    def producer(self, bell=None):
        """Claim the pushing end; `bell` and errors as for `SpscRing.producer`."""
        cdef ByteProducer endpoint = ByteProducer.__new__(ByteProducer)
        self.check()
        endpoint.start(self, MFT_BYTES_PRODUCER, "producer", MFT_BYTES_CONSUMER, bell)
        return endpoint

    def consumer(self, bell=None):
        """Claim the popping end, at the oldest message that nobody popped; else as `SpscRing.consumer`."""
        cdef ByteConsumer endpoint = ByteConsumer.__new__(ByteConsumer)
        self.check()
        endpoint.start(self, MFT_BYTES_CONSUMER, "consumer", MFT_BYTES_PRODUCER, bell)
        return endpoint

    def counters(self):
        """Return `BytesCounters`, all of one instant; needs no role.

        Raises
        ------
        Unstable
            Both sides were at work during each of 1,000 attempts; try again.
        """
        cdef mft_bytes_counters_t c
        self.check()
        if mft_bytes_counters(&self.ring, &c) != MFT_OK:
            raise Unstable(f"{self.segment.what} was used by both sides during each of 1,000 looks at it; try again")
        return BytesCounters(c.pushed, c.popped, c.full, c.used_bytes)

    @property
    def capacity(self):
        return self.ring.bytes - MFT_BYTES_HEADER


@cython.no_gc_clear
cdef class BytesEnd(Endpoint):
    """Base of `ByteProducer` and `ByteConsumer`. Not public."""

    def __cinit__(self, *args, **kwargs):
        memset(&self.ring, 0, sizeof(self.ring))
        self.sole = True

    cdef int start(self, ByteRing ring, int role, str role_name, int peer, object bell) except -1:
        cdef int rc
        self.open(ring.segment, role, role_name, peer)
        try:
            rc = mft_bytes_open(&self.ring, &self.segment.seg)
            if rc != MFT_OK:
                self.bad(rc)
            ring_also(self, bell)
        except BaseException:
            self.shut()
            raise
        return 0

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle = &self.ring
        port.end = MFT_END_BYTES_PRODUCER if self.role == MFT_BYTES_PRODUCER else MFT_END_BYTES_CONSUMER
        return 0

    cdef int bad(self, int rc) except -1:
        return self.segment.corrupt(f"its indices or a message's length make no sense ({rc})")

    cdef int too_long(self, uint64_t length) except -1:
        raise RecordError(
            f"a message of {length} bytes is longer than {self.segment.what} can ever hold: "
            f"{self.ring.bytes - MFT_BYTES_HEADER} bytes"
        )

    @property
    def capacity(self):
        return self.ring.bytes - MFT_BYTES_HEADER


@cython.final
cdef class ByteProducer(BytesEnd):
    """The pushing endpoint of a `ByteRing`; from `ByteRing.producer`. Errors and threads: as `SpscProducer`.

    Attributes
    ----------
    capacity : int
        Longest message in bytes.
    epoch : int
        Which producer this ring has had, counted from 1.
    consumer_alive : bool
        Whether a live process holds the other end; at most one millisecond old.
    consumer_epoch : int
        Which consumer the ring has had last; 0: none yet.
    """

    cdef void pushed(self) noexcept:
        mft_bell_ring(&self.ring.shared.messages)
        self.ring_outer()

    cdef int put(self, object message) except -1:
        cdef Py_buffer view
        cdef unsigned char *place = NULL
        cdef int rc
        PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
        try:
            self.check()  # the message's own code has run and may have closed us
            rc = mft_bytes_claim(&self.ring, view.len, &place)
            if rc == MFT_OK:
                memcpy(place, view.buf, view.len)
                mft_bytes_put(&self.ring, place, view.len)
                return rc
            if rc == MFT_E_ARGUMENT:
                self.too_long(view.len)
            if rc < 0:
                self.bad(rc)
            return rc
        finally:
            PyBuffer_Release(&view)

    def push(self, message):
        """Append one message.

        Parameters
        ----------
        message : bytes or any contiguous buffer
            Of 0 to `capacity` bytes.

        Returns
        -------
        bool
            False when there is no room for it: back-pressure, not an error; it is counted and nothing was written.

        Raises
        ------
        RecordError
            Longer than `capacity`: it would never fit.
        LayoutError
            The indices in shared memory are out of their bounds: something else wrote there.
        """
        cdef int rc
        self.check()
        if type(message) is bytes:
            rc = mft_bytes_push(&self.ring, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
            if rc == MFT_E_ARGUMENT:
                self.too_long(PyBytes_GET_SIZE(message))
            if rc < 0:
                self.bad(rc)
        else:
            rc = self.put(message)
            if rc == MFT_OK:
                mft_bytes_commit(&self.ring)
        if rc != MFT_OK:
            return False
        self.pushed()
        return True

    def push_many(self, messages):
        """Append the first of several messages, as many as there is room for; they become visible at once.

        Parameters
        ----------
        messages : iterable of bytes or contiguous buffers

        Returns
        -------
        int
            How many were appended.

        Raises
        ------
        RecordError
            One of them is longer than `capacity`; none was appended.
        """
        cdef uint64_t count = 0
        self.check()
        try:
            for message in list(messages):
                if self.put(message) != MFT_OK:
                    break
                count += 1
        except BaseException:
            mft_bytes_drop(&self.ring)
            raise
        if count:
            mft_bytes_commit(&self.ring)
            self.pushed()
        return count

    def claim(self, length):
        """Return a `BytesClaim`: room for a message of at most `length` bytes, to be written in place.

        Raises
        ------
        RecordError
            `length` is negative or beyond `capacity`; at the end of the block: an array made from the claim is still in use.
        """
        cdef BytesClaim claim = BytesClaim.__new__(BytesClaim)
        self.check()
        claim.length = whole_number(length, 0, self.ring.bytes - MFT_BYTES_HEADER, "the length of a message")
        claim.owner = claim.end = self
        return claim

    def push_wait(self, message, timeout_s, *, str mode="park"):
        """Append one message, waiting for room for it; parameters and errors as for `push` and `wait`.

        Returns
        -------
        bool
            False when the time passed without room; nothing was written.
        """
        self.check()
        length = len(message) if type(message) is bytes else memoryview(message).nbytes
        if length > self.ring.bytes - MFT_BYTES_HEADER:
            self.too_long(length)
        if not mft_bytes_has_room(&self.ring, length):
            self.wanted = length
            try:
                if not self.wait(timeout_s, mode=mode):
                    return False
            finally:
                self.wanted = 0
        return self.push(message)

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.ring.shared.room

    cdef bint ready(self) noexcept nogil:
        return mft_bytes_has_room(&self.ring, self.wanted)

    cdef str peer_name(self):
        return "consumer"

    @property
    def consumer_alive(self):
        return self.peer_alive()

    @property
    def consumer_epoch(self):
        self.check()
        return mft_role_epoch(&self.segment.seg, MFT_BYTES_CONSUMER)


@cython.final
cdef class ByteConsumer(BytesEnd):
    """The popping endpoint of a `ByteRing`; from `ByteRing.consumer`. Errors and threads: as `SpscConsumer`.

    Attributes
    ----------
    capacity : int
        Longest message in bytes.
    epoch : int
        Which consumer this ring has had, counted from 1.
    producer_alive : bool
        Whether a live process holds the other end; at most one millisecond old.
    producer_epoch : int
        Which producer the ring has had last; 0: none yet.
    """

    cdef void popped(self) noexcept:
        mft_bell_ring(&self.ring.shared.room)
        self.ring_outer()

    def pop(self):
        """Take the oldest message.

        Returns
        -------
        bytes or None
            None when empty; an empty message is ``b""``. If this process is killed between this call and the use of the
            message, it is lost.

        Raises
        ------
        LayoutError
            The indices or a length in shared memory make no sense.
        """
        cdef const unsigned char *place = NULL
        cdef uint64_t length = 0
        cdef int rc
        self.check()
        rc = mft_bytes_peek(&self.ring, &place, &length)
        if rc == MFT_EMPTY:
            return None
        if rc != MFT_OK:
            self.bad(rc)
        message = PyBytes_FromStringAndSize(<const char *>place, length)
        mft_bytes_take(&self.ring, length)
        mft_bytes_release(&self.ring)
        self.popped()
        return message

    def pop_many(self, most):
        """Take the oldest messages, `most` at the most; returns a list of bytes, empty when there is none.

        They are given back to the producer together. Raises as `pop`; `RecordError` when `most` is below 1.
        """
        cdef const unsigned char *place = NULL
        cdef uint64_t length = 0, left
        cdef int rc = MFT_OK
        cdef list messages = []
        self.check()
        left = whole_number(most, 1, 1 << 62, "the number of messages")
        self.check()
        try:
            while left:
                rc = mft_bytes_peek(&self.ring, &place, &length)
                if rc != MFT_OK:
                    break
                messages.append(PyBytes_FromStringAndSize(<const char *>place, length))
                mft_bytes_take(&self.ring, length)
                left -= 1
        except MemoryError:
            mft_bytes_drop(&self.ring)
            raise
        if messages:
            mft_bytes_release(&self.ring)
            self.popped()
        elif rc < 0:
            self.bad(rc)
        return messages

    def peek(self):
        """Return a `BytesPeek`: the oldest message, read where it lies.

        ``with rx.peek() as peek: parse(peek.view)`` copies nothing. The message goes back to the producer when the block
        ends; by an exception, it stays. ``peek.view`` is None when there is no message.
        """
        cdef BytesPeek peek = BytesPeek.__new__(BytesPeek)
        self.check()
        peek.owner = peek.end = self
        return peek

    def pop_wait(self, timeout_s, *, str mode="park"):
        """Take the oldest message, waiting for one as `wait` does; None when the time passed without."""
        self.check()
        if not mft_bytes_has_messages(&self.ring) and not self.wait(timeout_s, mode=mode):
            return None
        return self.pop()

    def pop_async(self):
        """Take the oldest message, waiting for one in a task of asyncio or uvloop: ``message = await rx.pop_async()``.

        A task that is cancelled has taken nothing. Raises as `wait_async`.
        """
        self.check()
        return event_loops().pop(self)

    def __aiter__(self):
        """``async for message in rx`` takes messages for ever; it ends by `PeerDied`, or by leaving the loop."""
        self.check()
        return event_loops().records(self, self.pop)

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.ring.shared.messages

    cdef bint ready(self) noexcept nogil:
        return mft_bytes_has_messages(&self.ring)

    cdef str peer_name(self):
        return "producer"

    @property
    def producer_alive(self):
        return self.peer_alive()

    @property
    def producer_epoch(self):
        self.check()
        return mft_role_epoch(&self.segment.seg, MFT_BYTES_PRODUCER)


@cython.final
cdef class BytesClaim(Lent):
    """Room for one message, to be written in place; from `ByteProducer.claim`.

    The message becomes visible when the block ends; if it ends by an exception, it does not.

    Attributes
    ----------
    view : memoryview or None
        None when there was no room, which is counted.
    length : int
        Of the message; set it lower when less was written.
    """

    cdef int lend(self) except -1:
        cdef int rc = mft_bytes_claim(&self.end.ring, self.length, &self.place)
        if rc < 0:
            self.end.bad(rc)
        self.writable = True
        self.nbytes = self.length if rc == MFT_OK else 0
        if rc != MFT_OK:
            self.place = NULL
        return 0

    cdef int take_back(self) except -1:
        if self.place is not NULL:
            mft_bytes_put(&self.end.ring, self.place, self.length)
            mft_bytes_commit(&self.end.ring)
            self.end.pushed()
        return 0

    @property
    def view(self):
        self.in_block()
        return None if self.place is NULL else Lent.view.__get__(self)

    @property
    def length(self):
        return self.length

    @length.setter
    def length(self, length):
        shorter = whole_number(length, 0, self.nbytes, "the length of the message")
        self.in_block()
        self.length = shorter


@cython.final
cdef class BytesPeek(Lent):
    """The oldest message of a ring, read where it lies; from `ByteConsumer.peek`. It cannot be written to.

    Attributes
    ----------
    view : memoryview or None
        None when there was no message.
    """

    cdef int lend(self) except -1:
        cdef const unsigned char *place = NULL
        cdef int rc = mft_bytes_peek(&self.end.ring, &place, &self.nbytes)
        if rc < 0:
            self.end.bad(rc)
        self.place = <unsigned char *>place if rc == MFT_OK else NULL
        return 0

    cdef int take_back(self) except -1:
        if self.place is not NULL:
            mft_bytes_take(&self.end.ring, self.nbytes)
            mft_bytes_release(&self.end.ring)
            self.end.popped()
        return 0

    @property
    def view(self):
        self.in_block()
        return None if self.place is NULL else Lent.view.__get__(self)
