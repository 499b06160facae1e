"""`Broadcast`: lifetime, checks, exceptions, words; the algorithm is ``include/mftcore/broadcast.h``."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memset

from mftcore.doorbell cimport ring_also
from mftcore.endpoint cimport MFT_END_BROADCAST_READER, MFT_END_BROADCAST_WRITER
from mftcore.record_fit cimport check_batch, wrong_size
from mftcore.segment cimport (
    MFT_E_CORRUPT,
    MFT_EMPTY,
    MFT_KIND_BROADCAST,
    MFT_OK,
    mft_now_ns,
    mft_role_epoch,
)
from mftcore.seqlock cimport mft_seqlock_ring, mft_seqlock_write

from mftcore.endpoint import checked_name, whole_number
from mftcore.errors import LayoutError, RecordError, Unstable
from mftcore.layout import canonical_text, dtype_from_text, record_dtype


@cython.final
cdef class Broadcast(Handle):
    """Fixed-size records from one writer to any number of readers, in shared memory.

    A handle: it holds no role and can be given to a child process as an argument.

    Promise: each reader sees whole records, each once, in order, from where it joined. The writer never waits: a reader
    that falls further behind than `capacity` is lapped, goes on further ahead, and knows exactly how many it `lost`. Readers
    come and go and write nothing, so their deaths and delays matter to nobody. A writer killed at any instant leaves every
    record before the one it was writing; its successor goes on from there.

    Attributes
    ----------
    dtype : numpy.dtype
        Of a record; ``V64`` for 64 opaque bytes.
    record_size : int
        Bytes per record.
    capacity : int
        Records that a reader may be behind without losing any.
    written : int
        Records ever written; the number of the newest.
    name : str or None
        None for anonymous memory.

    Notes
    -----
    Layout and memory orders: ``mftcore/include/mftcore/broadcast.h``, ``seqlock.h`` and ``docs/broadcast.md``.
    """

    KIND = MFT_KIND_BROADCAST
    VERSION = MFT_BROADCAST_VERSION

    @staticmethod
    def create(dtype, capacity, *, name=None):
        """Make a broadcast.

        Parameters
        ----------
        dtype : dtype-like or int
            Of a record, or its size in bytes.
        capacity : int
            Records that a reader must be able to be behind, at least 1; one more is kept, rounded up to a power of two.
        name : str, optional
            See `SpscRing.create`.

        Raises
        ------
        LayoutError, RecordError
            A record type that cannot be shared, or is none; a capacity out of bounds; a bad name.
        MemoryRefused, NameInUse
            So much memory is not available; the name is taken.
        """
        cdef Broadcast self = Broadcast.__new__(Broadcast)
        cdef uint64_t data_bytes
        record = record_dtype(dtype)
        behind = whole_number(capacity, 1, MFT_BROADCAST_MOST_CELLS - 1, "a capacity in records")
        cells = max(1 << behind.bit_length(), MFT_BROADCAST_LEAST_CELLS)
        data_bytes = mft_cells_data_bytes(cells, record.itemsize)
        if data_bytes == 0:
            raise RecordError(f"{cells} records of {record.itemsize} bytes are beyond any machine")
        self.start(Segment.make(
            MFT_KIND_BROADCAST, MFT_BROADCAST_VERSION, "Broadcast", record_bytes=record.itemsize, capacity=cells,
            data_bytes=data_bytes, dtype=canonical_text(record), name=None if name is None else checked_name(name),
        ))
        self.segment.publish()
        return self

    cdef int opened(self) except -1:
        if mft_broadcast_open(&self.cells, &self.segment.seg) != MFT_OK:
            self.segment.corrupt("its number of cells does not fit the memory")
        self.dtype = dtype_from_text(self.segment.dtype_text)
        if <uint64_t>self.dtype.itemsize != self.cells.cells.bytes:
            raise LayoutError(
                f"{self.segment.what}: records have {self.cells.cells.bytes} bytes and {self.dtype} has "
                f"{self.dtype.itemsize}"
            )
        return 0

    def writer(self, bell=None):
        """Claim the writing end; `bell` and errors as for `Seqlock.writer`."""
        cdef BroadcastWriter endpoint = BroadcastWriter.__new__(BroadcastWriter)
        self.check()
        endpoint.start(self, MFT_BROADCAST_WRITER, "writer", -1)
        try:
            ring_also(endpoint, bell)
        except BaseException:
            endpoint.close()
            raise
        return endpoint

    def reader(self, *, at="newest"):
        """Return a reading end; there may be any number.

        Parameters
        ----------
        at : {"newest", "oldest"}
            Where it joins: behind the newest record, so that only later ones are seen, or at the oldest that is kept.
        """
        cdef BroadcastReader endpoint
        self.check()
        if at not in ("newest", "oldest"):
            raise RecordError(f'a reader joins at "newest" or "oldest", not {at!r}')
        endpoint = BroadcastReader.__new__(BroadcastReader)
        endpoint.start(self, -1, "reader", MFT_BROADCAST_WRITER)
        mft_broadcast_join(&endpoint.cells, at == "oldest")
        return endpoint

    @property
    def record_size(self):
        return self.cells.cells.bytes

    @property
    def capacity(self):
        return self.cells.cells.cells - 1

    @property
    def written(self):
        self.check()
        return mft_broadcast_newest(&self.cells)


@cython.no_gc_clear
cdef class BroadcastEnd(Endpoint):
    """Base of `BroadcastWriter` and `BroadcastReader`. Not public."""

    def __cinit__(self, *args, **kwargs):
        memset(&self.cells, 0, sizeof(self.cells))

    cdef int start(self, Broadcast broadcast, int role, str role_name, int peer) except -1:
        self.open(broadcast.segment, role, role_name, peer)
        if mft_broadcast_open(&self.cells, &self.segment.seg) != MFT_OK:
            self.shut()
            self.segment.corrupt("its number of cells does not fit the memory")
        self.dtype = broadcast.dtype
        return 0

    @property
    def record_size(self):
        return self.cells.cells.bytes

    @property
    def capacity(self):
        return self.cells.cells.cells - 1


@cython.final
cdef class BroadcastWriter(BroadcastEnd):
    """The writing end of a `Broadcast`; from `Broadcast.writer`. Never waits.

    Attributes
    ----------
    epoch : int
        Which writer this broadcast has had, counted from 1.
    dtype : numpy.dtype
    record_size, capacity : int
        As of the `Broadcast`.
    """

    cdef int usable(self) except -1:
        raise TypeError("a writer never waits; readers do")

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle, port.end = &self.cells.cells, MFT_END_BROADCAST_WRITER
        return 0

    cdef void written(self) noexcept:
        mft_seqlock_ring(&self.cells.cells)
        self.ring_outer()

    def write(self, record):
        """Append one record.

        Parameters
        ----------
        record : any contiguous buffer
            Of exactly the record's size.

        Returns
        -------
        int
            Its number, from 1.

        Raises
        ------
        RecordError
            Another size; nothing was written.
        """
        cdef Py_buffer view
        cdef uint64_t number
        self.check()
        PyObject_GetBuffer(record, &view, PyBUF_SIMPLE)
        try:
            self.check()
            if <uint64_t>view.len != self.cells.cells.bytes:
                wrong_size(self.segment, self.cells.cells.bytes, record, view.len)
            number = mft_seqlock_write(&self.cells.cells, view.buf, self.epoch, mft_now_ns())
            self.written()
        finally:
            PyBuffer_Release(&view)
        return number

    def write_many(self, records):
        """Append all records of an array; each becomes visible at once, and sleepers are woken once.

        Returns
        -------
        int
            The number of the last one; of the newest when there were none.

        Raises
        ------
        RecordError
            An array of another dtype, or no whole number of records; nothing was written.
        """
        cdef Py_buffer view
        cdef uint64_t i, count, number
        cdef char *at
        self.check()
        PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
        try:
            check_batch(self.segment, self.dtype, self.cells.cells.bytes, records, view.len)
            self.check()
            count = <uint64_t>view.len // self.cells.cells.bytes
            number = mft_broadcast_newest(&self.cells)
            at = <char *>view.buf
            for i in range(count):
                number = mft_seqlock_write(
                    &self.cells.cells, at + i * self.cells.cells.bytes, self.epoch, mft_now_ns()
                )
            if count:
                self.written()
        finally:
            PyBuffer_Release(&view)
        return number


@cython.final
cdef class BroadcastReader(BroadcastEnd):
    """A reading end of a `Broadcast`; from `Broadcast.reader`. `wait` waits for a record that it has not read.

    Attributes
    ----------
    lost : int
        Records that it missed because it was lapped.
    behind : int
        Records that are there and not yet read (more than `capacity`: some of them are lost).
    number : int
        Of the record that was read last, counted from 1 over all writers; 0 before the first.
    record_epoch : int
        Which writer wrote that record.
    record_age_ns : int
        Nanoseconds since that record was written; -1 before the first.
    writer_alive : bool
        Whether a live process holds the writing end; at most a millisecond old.
    writer_epoch : int
        Which writer the broadcast has had last; 0: none yet.
    dtype : numpy.dtype
    record_size, capacity : int
        As of the `Broadcast`.
    """

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle, port.end, port.stamp = &self.cells, MFT_END_BROADCAST_READER, &self.stamp
        return 0

    cdef int take(self, void *record, uint64_t *skipped) noexcept:
        cdef mft_stamp_t stamp
        cdef int rc = mft_broadcast_next(&self.cells, record, &stamp, skipped)
        if rc == MFT_OK:
            self.stamp = stamp
        return rc

    cdef bint took(self, int rc) except -1:
        if rc == MFT_OK:
            return True
        if rc == MFT_EMPTY:
            return False
        if rc == MFT_E_CORRUPT:
            self.segment.corrupt("the number of its newest record went back")
        raise Unstable(f"{self.segment.what} was written round all its cells during each of 64 attempts; try again")

    def read(self):
        """Take the next record.

        Returns
        -------
        bytes or None
            None when there is none yet. `lost` has risen when some were skipped before it.

        Raises
        ------
        Unstable
            The writer went round all cells during each of 64 attempts: it is far too fast for so small a capacity.
        LayoutError
            The number of the newest record went back: something else writes to this memory.
        """
        cdef uint64_t skipped
        self.check()
        record = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.cells.cells.bytes)
        return record if self.took(self.take(PyBytes_AS_STRING(record), &skipped)) else None

    def read_into(self, buffer):
        """Take the next record into a writable, contiguous buffer of exactly its size.

        Returns
        -------
        bool
            False when there is none yet; the buffer may then hold anything.

        Raises
        ------
        RecordError
            Another size. Else as `read`.
        """
        cdef Py_buffer view
        cdef uint64_t skipped
        self.check()
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            self.check()
            if <uint64_t>view.len != self.cells.cells.bytes:
                wrong_size(self.segment, self.cells.cells.bytes, buffer, view.len)
            return self.took(self.take(view.buf, &skipped))
        finally:
            PyBuffer_Release(&view)

    def read_many(self, out):
        """Take the next records, as many as there are and as fit into an array.

        Parameters
        ----------
        out : writable, contiguous ndarray of the broadcast's dtype, or any such buffer of whole records

        Returns
        -------
        int
            How many of its first records were filled. They follow each other without a gap: where records were lost, the
            call ends, and the next one begins behind the gap. An error after the first record ends the call, too; the next
            one raises it.

        Raises
        ------
        RecordError
            An array of another dtype, or no whole number of records. Else as `read`.
        """
        cdef Py_buffer view
        cdef uint64_t done = 0, count, skipped
        cdef mft_stamp_t last
        cdef char *at
        cdef int rc
        self.check()
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
        try:
            check_batch(self.segment, self.dtype, self.cells.cells.bytes, out, view.len)
            self.check()
            count = <uint64_t>view.len // self.cells.cells.bytes
            at = <char *>view.buf
            while done < count:
                last = self.stamp
                rc = self.take(at + done * self.cells.cells.bytes, &skipped)
                if rc != MFT_OK:
                    if not done:  # else the caller would never learn of what was taken before
                        self.took(rc)
                    break
                if done and skipped:  # it does not follow on the one before: the next call begins with it
                    self.cells.next -= 1
                    self.stamp = last
                    break
                done += 1
            return done
        finally:
            PyBuffer_Release(&view)

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.cells.cells.shared.news

    cdef bint ready(self) noexcept nogil:
        return mft_broadcast_newest(&self.cells) != self.cells.next - 1

    cdef str peer_name(self):
        return "writer"

    @property
    def lost(self):
        return self.cells.lost

    @property
    def behind(self):
        self.check()
        return mft_broadcast_newest(&self.cells) - (self.cells.next - 1)

    @property
    def number(self):
        return self.stamp.version

    @property
    def record_epoch(self):
        return self.stamp.epoch

    @property
    def record_age_ns(self):
        return mft_now_ns() - self.stamp.written_ns if self.stamp.version else -1

    @property
    def writer_alive(self):
        return self.peer_alive()

    @property
    def writer_epoch(self):
        self.check()
        return mft_role_epoch(&self.segment.seg, MFT_BROADCAST_WRITER)
