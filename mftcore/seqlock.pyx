"""`Seqlock`: lifetime, checks, exceptions, words; the algorithm is ``include/mftcore/seqlock.h``."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memset

from mftcore.doorbell cimport ring_also
from mftcore.endpoint cimport MFT_END_READER, MFT_END_WRITER
from mftcore.record_fit cimport wrong_size
from mftcore.segment cimport MFT_KIND_SEQLOCK, MFT_OK, Segment, mft_now_ns, mft_watch_alive

from mftcore.endpoint import checked_name
from mftcore.errors import LayoutError, Unstable
from mftcore.layout import canonical_text, dtype_from_text, record_dtype


@cython.final
@cython.freelist(8)
cdef class Stamp:
    """What comes with every value of a `Seqlock`: there is no way to get the value without its age.

    Attributes
    ----------
    version : int
        Counts the values ever written; 0: none yet, and the buffer is zeroed.
    epoch : int
        Which writer wrote it, counted from 1.
    age_ns : int
        Nanoseconds since it was written, by CLOCK_MONOTONIC; -1 when nothing was.
    writer_alive : bool
        Whether a live process holds the writing end; at most a millisecond old.
    """

    def __init__(self):
        raise TypeError("a Stamp comes from a reading of a seqlock")

    def __repr__(self):
        return (
            f"Stamp(version={self.version}, epoch={self.epoch}, age_ns={self.age_ns}, "
            f"writer_alive={self.writer_alive})"
        )


@cython.final
cdef class Seqlock(Handle):
    """The newest value of one record in shared memory: one writer, any number of readers.

    A handle: it holds no role and can be given to a child process as an argument. Make one with `create` or `attach`,
    then ask it for a `writer` or `reader`.

    Promise: a read gives one whole value, never older than the one before, with its age. A writer killed at any
    instant leaves the last whole value; its successor goes on. Readers cannot slow the writer, and a writer that never
    pauses does not starve them: 8 cells rotate.

    Attributes
    ----------
    dtype : numpy.dtype
    record_size : int
        Bytes.
    name : str or None
        None for anonymous memory.

    Notes
    -----
    Layout and memory orders: ``mftcore/include/mftcore/seqlock.h`` and ``docs/seqlock.md``.
    """

    KIND = MFT_KIND_SEQLOCK
    VERSION = MFT_SEQLOCK_VERSION

    @staticmethod
    def create(dtype, *, name=None):
        """Make a seqlock that was never written.

        Parameters
        ----------
        dtype : dtype-like or int
            Of the record, or its size in bytes.
        name : str, optional
            See `SpscRing.create`.

        Raises
        ------
        LayoutError, RecordError
            A record type that cannot be shared, or is none; a bad name.
        MemoryRefused, NameInUse
            So much memory is not available; the name is taken.
        """
        cdef Seqlock self = Seqlock.__new__(Seqlock)
        record = record_dtype(dtype)
        self.start(Segment.make(
            MFT_KIND_SEQLOCK, MFT_SEQLOCK_VERSION, "Seqlock", record_bytes=record.itemsize, capacity=MFT_SEQLOCK_CELLS,
            data_bytes=mft_seqlock_data_bytes(record.itemsize), dtype=canonical_text(record), name=None if name is None else checked_name(name),
        ))
        self.segment.publish()
        return self

    cdef int opened(self) except -1:
        cdef mft_seqlock_t lock
        if mft_seqlock_open(&lock, &self.segment.seg) != MFT_OK:
            self.segment.corrupt("the record size does not fit the memory")
        self.dtype = dtype_from_text(self.segment.dtype_text)
        if <uint64_t>self.dtype.itemsize != self.segment.seg.layout.record_bytes:
            raise LayoutError(
                f"{self.segment.what}: the record has {self.segment.seg.layout.record_bytes} bytes and {self.dtype} "
                f"{self.dtype.itemsize}"
            )
        return 0

    def writer(self, bell=None):
        """Claim the writing end.

        Parameters
        ----------
        bell : Doorbell, optional
            Rung after each write, for a reader that waits there. One that waits with `wait` or `wait_any` needs none.

        Raises
        ------
        RoleTaken
            There is a writer, and its process lives. A dead one is succeeded, under a new epoch.
        """
        cdef SeqlockWriter endpoint = SeqlockWriter.__new__(SeqlockWriter)
        self.check()
        endpoint.start(self.segment, bell)
        return endpoint

    def reader(self):
        """Return a reading end; there may be any number."""
        cdef SeqlockReader endpoint = SeqlockReader.__new__(SeqlockReader)
        self.check()
        endpoint.start(self.segment)
        return endpoint

    @property
    def record_size(self):
        return self.dtype.itemsize


@cython.final
cdef class SeqlockWriter(Endpoint):
    """The writing end of a `Seqlock`; from `Seqlock.writer`. Never locks, and enters the kernel only to wake sleepers.

    Attributes
    ----------
    epoch : int
        Which writer this seqlock has had, counted from 1.
    dtype : numpy.dtype
        Of the record.
    """

    cdef int start(self, Segment segment, object bell) except -1:
        self.open(segment, MFT_SEQLOCK_WRITER, "writer", -1)
        try:
            if mft_seqlock_open(&self.lock, &segment.seg) != MFT_OK:
                segment.corrupt("the record size does not fit the memory")
            ring_also(self, bell)
        except BaseException:
            self.shut()
            raise
        return 0

    cdef int usable(self) except -1:
        raise TypeError("a writer never waits; readers do")

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle, port.end = &self.lock, MFT_END_WRITER
        return 0

    @property
    def dtype(self):
        """numpy.dtype: of the record."""
        return dtype_from_text(self.segment.dtype_text)

    def write(self, record):
        """Publish a new value.

        Parameters
        ----------
        record : any contiguous buffer
            Of exactly the record's size.

        Returns
        -------
        int
            The version it became.

        Raises
        ------
        RecordError
            Another size; nothing was written.
        """
        cdef Py_buffer view
        cdef uint64_t version
        self.check()
        PyObject_GetBuffer(record, &view, PyBUF_SIMPLE)
        try:
            self.check()
            if <uint64_t>view.len != self.lock.bytes:
                wrong_size(self.segment, self.lock.bytes, record, view.len)
            version = mft_seqlock_write(&self.lock, view.buf, self.epoch, mft_now_ns())
            mft_seqlock_ring(&self.lock)
            self.ring_outer()
        finally:
            PyBuffer_Release(&view)  # last: it may run code that closes us
        return version


@cython.no_gc_clear
cdef class VersionReader(Endpoint):
    """Base of the reading ends. Not public.

    Attributes
    ----------
    unstable : int
        Readings that were given up after 64 attempts.
    """

    cdef int fetch_value(self, void *record, uint64_t bytes, mft_stamp_t *stamp) except -1:
        if mft_seqlock_read(&self.lock, record, bytes, stamp) != MFT_OK:
            self.unstable += 1
            raise Unstable(f"{self.segment.what} was overwritten during each of 64 attempts to read it; try again")
        self.seen = stamp.version
        return 0

    cdef int fill_port(self, mft_port_t *port) except -1:
        port.handle, port.end, port.seen = &self.lock, MFT_END_READER, &self.seen
        return 0

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.lock.shared.news

    cdef bint ready(self) noexcept nogil:
        return mft_seqlock_version(&self.lock) != self.seen

    cdef str peer_name(self):
        return "writer"

    @property
    def version(self):
        """Newest version; one load, for polling."""
        self.check()
        return mft_seqlock_version(&self.lock)

    @property
    def writer_alive(self):
        """Whether a live process holds the writing end; at most a millisecond old."""
        return self.peer_alive()


@cython.final
cdef class SeqlockReader(VersionReader):
    """A reading end of a `Seqlock`; from `Seqlock.reader`. `wait` waits for a newer value than it has read.

    Attributes
    ----------
    version : int
        Newest version; one load, for polling.
    unstable : int
        Readings that were given up after 64 attempts.
    writer_alive : bool
        Whether a live process holds the writing end; at most a millisecond old.
    dtype : numpy.dtype
        Of the record.
    epoch : int
        0: a reader holds no role.
    """

    cdef int start(self, Segment segment) except -1:
        self.open(segment, -1, "reader", MFT_SEQLOCK_WRITER)
        if mft_seqlock_open(&self.lock, &segment.seg) != MFT_OK:
            self.shut()
            segment.corrupt("the record size does not fit the memory")
        return 0

    @property
    def dtype(self):
        """numpy.dtype: of the record."""
        return dtype_from_text(self.segment.dtype_text)

    cdef Stamp stamp(self, const mft_stamp_t *s):
        cdef int64_t now_ns = mft_now_ns()
        cdef Stamp stamp = Stamp.__new__(Stamp)
        stamp.version, stamp.epoch = s.version, s.epoch
        stamp.age_ns = now_ns - s.written_ns if s.version else -1
        stamp.writer_alive = mft_watch_alive(&self.watch, &self.segment.seg, self.peer, self.self_word, now_ns) == 1
        return stamp

    def read_into(self, buffer):
        """Copy the newest value into a writable, contiguous buffer of exactly the record's size.

        Returns
        -------
        Stamp
            Version 0 when nothing was ever written; the buffer is then zeroed.

        Raises
        ------
        Unstable
            64 tries failed, in each of which the writer wrote 8 values; the buffer may hold anything. Counted.
        RecordError
            Another size.
        """
        cdef Py_buffer view
        cdef mft_stamp_t s
        self.check()
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            self.check()
            if <uint64_t>view.len != self.lock.bytes:
                wrong_size(self.segment, self.lock.bytes, buffer, view.len)
            self.fetch_value(view.buf, self.lock.bytes, &s)
            if s.version == 0:
                memset(view.buf, 0, view.len)
            return self.stamp(&s)
        finally:
            PyBuffer_Release(&view)

    def read(self):
        """Return (bytes, `Stamp`): the newest value and its age; see `read_into`."""
        cdef mft_stamp_t s
        cdef bytes value
        self.check()
        value = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.lock.bytes)
        self.fetch_value(PyBytes_AS_STRING(value), self.lock.bytes, &s)
        if s.version == 0:
            memset(PyBytes_AS_STRING(value), 0, <size_t>self.lock.bytes)
        return value, self.stamp(&s)
