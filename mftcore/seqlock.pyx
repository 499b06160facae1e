"""`Seqlock`: lifetime, checks, exceptions, words; the algorithm is ``include/mftcore/seqlock.h``."""

from collections import namedtuple

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memset

from mftcore.segment cimport (
    MFT_KIND_SEQLOCK,
    MFT_OK,
    mft_now_ns,
    mft_segment_self,
    mft_watch_alive,
    mft_watch_close,
    mft_watch_init,
)

from mftcore.errors import LayoutError, RecordError, Unstable
from mftcore.layout import canonical_text, dtype_from_text, record_dtype

Stamp = namedtuple("Stamp", ["version", "epoch", "age_ns", "writer_alive"])
Stamp.__doc__ = """What comes with every value of a `Seqlock`: there is no way to get the value without its age.

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


@cython.final
cdef class Seqlock:
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

    def __init__(self):
        raise TypeError("Seqlock has no constructor; use Seqlock.create(...) or Seqlock.attach(name)")

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
            data_bytes=mft_seqlock_data_bytes(record.itemsize), dtype=canonical_text(record), name=name,
        ))
        self.segment.publish()
        return self

    @staticmethod
    def attach(str name not None, dtype=None):
        """Attach to a named seqlock; with `dtype`, `LayoutError` when its records are of another type."""
        cdef Seqlock self = Seqlock.__new__(Seqlock)
        self.start(Segment.attach(MFT_KIND_SEQLOCK, MFT_SEQLOCK_VERSION, "Seqlock", name))
        if dtype is not None:
            expected = canonical_text(record_dtype(dtype))
            if self.segment.dtype_text != expected:
                found = self.segment.dtype_text
                self.close()
                raise LayoutError(f"Seqlock '{name}' holds records of {found}, expected {expected}")
        return self

    @staticmethod
    def remove(str name not None):
        """Take away the name of a seqlock whose users are all dead; `RoleTaken` names the one who lives."""
        Segment.remove(MFT_KIND_SEQLOCK, MFT_SEQLOCK_VERSION, "Seqlock", name)

    cdef int start(self, Segment segment) except -1:
        cdef mft_seqlock_t lock
        if mft_seqlock_open(&lock, &segment.seg) != MFT_OK:
            segment.corrupt("the record size does not fit the memory")
        self.segment = segment
        self.dtype = dtype_from_text(segment.dtype_text)
        if <uint64_t>self.dtype.itemsize != lock.bytes:
            raise LayoutError(f"{segment.what}: the record has {lock.bytes} bytes and {self.dtype} {self.dtype.itemsize}")
        return 0

    cdef int check(self) except -1:
        if self.segment is None:
            raise TypeError("this Seqlock was never opened; use Seqlock.create(...) or Seqlock.attach(name)")
        self.segment.check()
        return 0

    def writer(self):
        """Claim the writing end; `RoleTaken` while another process (or endpoint) holds it and lives."""
        cdef SeqlockWriter endpoint = SeqlockWriter.__new__(SeqlockWriter)
        self.check()
        endpoint.start(self.segment)
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

    @property
    def name(self):
        return None if self.segment is None else self.segment.name

    def fileno(self):
        """Return the descriptor of the memory, for SCM_RIGHTS; it stays this handle's own."""
        self.check()
        return self.segment.fileno()

    def close(self):
        """Give the handle back; its endpoints go on until they are closed. Twice does nothing."""
        if self.segment is not None:
            self.segment.close()

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, *exc):
        self.close()

    def __reduce__(self):
        self.check()
        return _receive, (self.segment,)


def _receive(Segment segment):
    cdef Seqlock self = Seqlock.__new__(Seqlock)
    self.start(segment)
    return self


@cython.final
cdef class SeqlockWriter(Endpoint):
    """The writing end of a `Seqlock`; from `Seqlock.writer`. Never locks, never enters the kernel.

    Attributes
    ----------
    epoch : int
        Which writer this seqlock has had, counted from 1.
    """

    cdef int start(self, Segment segment) except -1:
        self.open(segment, MFT_SEQLOCK_WRITER, "writer")
        if mft_seqlock_open(&self.lock, &self.segment.seg) != MFT_OK:
            self.shut()
            segment.corrupt("the record size does not fit the memory")
        return 0

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
        self.check()
        PyObject_GetBuffer(record, &view, PyBUF_SIMPLE)
        try:
            self.check()
            if <uint64_t>view.len != self.lock.bytes:
                raise RecordError(
                    f"a record of {self.segment.what} has {self.lock.bytes} bytes, "
                    f"this {type(record).__name__} has {view.len}"
                )
            return mft_seqlock_write(&self.lock, view.buf, self.epoch, mft_now_ns())
        finally:
            PyBuffer_Release(&view)


@cython.final
cdef class SeqlockReader(Endpoint):
    """A reading end of a `Seqlock`; from `Seqlock.reader`."""

    def __cinit__(self):
        mft_watch_init(&self.watch)

    def __dealloc__(self):
        mft_watch_close(&self.watch)

    cdef int start(self, Segment segment) except -1:
        self.open(segment, -1, "reader")
        if mft_seqlock_open(&self.lock, &self.segment.seg) != MFT_OK:
            self.shut()
            segment.corrupt("the record size does not fit the memory")
        self.self_word = mft_segment_self(&self.segment.seg)
        return 0

    cdef object stamp(self, const mft_stamp_t *s):
        cdef int64_t now_ns = mft_now_ns()
        alive = mft_watch_alive(&self.watch, &self.segment.seg, MFT_SEQLOCK_WRITER, self.self_word, now_ns) == 1
        return Stamp(s.version, s.epoch, now_ns - s.written_ns if s.version else -1, alive)

    def read_into(self, buffer):
        """Copy the newest value into a writable, contiguous buffer of exactly the record's size.

        Returns
        -------
        Stamp
            Version 0 when nothing was ever written; the buffer is then zeroed.

        Raises
        ------
        Unstable
            64 tries failed, in each of which the writer wrote 8 values; the buffer may hold anything.
        RecordError
            Another size.
        """
        cdef Py_buffer view
        cdef mft_stamp_t s
        cdef int rc
        self.check()
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            self.check()
            if <uint64_t>view.len != self.lock.bytes:
                raise RecordError(
                    f"a record of {self.segment.what} has {self.lock.bytes} bytes, "
                    f"this {type(buffer).__name__} has {view.len}"
                )
            rc = mft_seqlock_read(&self.lock, view.buf, self.lock.bytes, &s)
            if rc == MFT_OK and s.version == 0:
                memset(view.buf, 0, view.len)
        finally:
            PyBuffer_Release(&view)
        if rc != MFT_OK:
            raise Unstable(f"{self.segment.what} was overwritten during each of 64 attempts to read it; try again")
        return self.stamp(&s)

    def read(self):
        """Return (bytes, `Stamp`): the newest value and its age; see `read_into`."""
        cdef mft_stamp_t s
        cdef bytes value
        self.check()
        value = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.lock.bytes)
        if mft_seqlock_read(&self.lock, PyBytes_AS_STRING(value), self.lock.bytes, &s) != MFT_OK:
            raise Unstable(f"{self.segment.what} was overwritten during each of 64 attempts to read it; try again")
        if s.version == 0:
            memset(PyBytes_AS_STRING(value), 0, <size_t>self.lock.bytes)
        return value, self.stamp(&s)

    @property
    def version(self):
        """Newest version; one load, for polling."""
        self.check()
        return mft_seqlock_version(&self.lock)
