"""`JournalWriter`, `JournalDrainer`: lifetime, checks, exceptions; the algorithms are ``include/mftcore/journal*.h``."""

import os
import sys
import threading

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno
from libc.string cimport memset

from mftcore.doorbell cimport ring_also
from mftcore.endpoint cimport (
    MFT_LONGEST_SLEEP_NS,
    deadline_of,
    mft_bell_arm,
    mft_bell_ring,
    mft_bell_t,
    mft_bell_want,
    mft_bells_sleep,
)
from mftcore.journal cimport (
    MFT_JOURNAL_DRAINER,
    MFT_JOURNAL_VERSION,
    MFT_JOURNAL_WRITER,
    mft_cursor_close,
    mft_cursor_init,
    mft_cursor_t,
    mft_drain_attempts,
    mft_drain_close,
    mft_drain_open,
    mft_drain_step,
    mft_journal_append,
    mft_journal_open,
    mft_journal_refused,
    mft_journal_retired,
    mft_journal_ring,
    mft_journal_safe,
    mft_journal_tail,
    mft_journal_take_over,
    mft_recover,
    mft_recovery_t,
    unlock,
)
from mftcore.segment cimport (
    MFT_E_ARGUMENT,
    MFT_E_CORRUPT,
    MFT_E_LAYOUT,
    MFT_E_NO_SPACE,
    MFT_E_NOT_FOUND,
    MFT_E_SYSTEM,
    MFT_EMPTY,
    MFT_FULL,
    MFT_KIND_JOURNAL,
    MFT_OK,
    Segment,
    mft_now_ns,
)

from mftcore.errors import (
    JournalDamaged,
    JournalDiskError,
    JournalFull,
    KernelError,
    LayoutError,
    NoSuchSegment,
    RecordError,
    RoleTaken,
)
from mftcore.journal import disk_error, opening


cdef enum:
    ENDPOINT_BUSY = 2

cdef int64_t LOOK_UP_NS = 50_000_000    # a drainer whose writer never pauses looks at signals this often
LONGEST_CLOSE_S = 10.0                  # how long a writer that drains by itself waits for the disk when it is closed


@cython.no_gc_clear
cdef class JournalEnd(Endpoint):
    """Base of `JournalWriter` and `JournalDrainer`. Not public."""

    def __cinit__(self, *args, **kwargs):
        memset(&self.j, 0, sizeof(self.j))
        self.lock_fd = -1

    def __dealloc__(self):
        if self.lock_fd >= 0:
            unlock(self.lock_fd)

    cdef int usable(self) except -1:
        raise TypeError("a journal's writer and drainer are not waited for; its readers are, and `flush` waits for the disk")

    cdef int give_back(self) except -1:
        if self.lock_fd >= 0:
            unlock(self.lock_fd)
            self.lock_fd = -1
        if self.journal is not None and self.segment is not None:
            self.journal.retire(self.segment)
            self.segment.close()
            self.journal.close()
        return 0

    cdef uint64_t left(self) noexcept:
        return mft_journal_tail(&self.j) - mft_journal_safe(&self.j)

    @property
    def disk_error(self):
        """int: error number of the last attempt to bring records to disk; 0: it succeeded, or there was none yet."""
        cdef int code
        self.check()
        mft_drain_attempts(&self.j, &code)
        return code

    @property
    def undrained_bytes(self):
        """int: appended and not yet on disk."""
        self.check()
        return self.left()


@cython.final
cdef class JournalWriter(JournalEnd):
    """The writing end of a `Journal`; from `Journal.writer`. Never waits for the disk, but in `flush` and `close`.

    Attributes
    ----------
    epoch : int
        Which writer the journal's memory has had, counted from 1.
    sequence : int
        Number of the newest record, over all writers; 0: none yet.
    capacity : int
        Longest record in bytes.
    refused : int
        Records refused for want of room (`JournalFull`).
    disk_error : int
        Error number of the last attempt to bring records to disk; 0: it succeeded.
    undrained_bytes : int
        Appended and not yet on disk.
    drainer_alive : bool
        Whether a live process brings records to disk; at most one millisecond old.
    recovered_bytes : int
        What a torn tail had, that was cut off when this writer opened the journal; it is kept aside, as ``recovered_file``.
    recovered_file : str or None
    """

    cdef int cannot(self, int rc, uint64_t length) except -1:
        cdef int code
        if rc == MFT_E_ARGUMENT:
            raise RecordError(
                f"a record of {length} bytes is longer than {self.segment.what} can ever hold: {self.j.longest} bytes; "
                "make it with more memory and larger files"
            )
        if rc == MFT_FULL:
            mft_drain_attempts(&self.j, &code)
            if code:
                why = f"the disk refuses ({os.strerror(code)})"
            elif not self.peer_alive():
                why = "nobody brings it to disk: open the writer with drain=True, or run a drainer"
            else:
                why = "the disk is slower than what is appended: flush() waits for it, more memory bridges it"
            raise JournalFull(f"{self.segment.what} has no room: {self.undrained_bytes} bytes are not on disk, and {why}")
        self.segment.corrupt("its positions make no sense")

    def append(self, type, payload, stamp_ns=None):
        """Append one record; when this returns it survives the death of every process.

        Parameters
        ----------
        type : int
            Yours, from 0 to 2^32 - 1.
        payload : bytes or any contiguous buffer
            Of 0 to `capacity` bytes.
        stamp_ns : int, optional
            Default: CLOCK_MONOTONIC now. Kept as it is, whatever the clock does; the order is that of the sequence numbers.

        Returns
        -------
        int
            Its sequence number: one more than that of the record before it.

        Raises
        ------
        JournalFull
            Too little is on disk yet; nothing was appended, and it is counted. The message says why.
        RecordError
            Longer than `capacity`, or a type or stamp out of bounds.
        LayoutError
            The positions in memory make no sense: something else wrote there.
        """
        cdef Py_buffer view
        cdef uint64_t sequence = 0
        cdef uint32_t kind
        cdef int64_t stamp
        cdef int rc
        self.check()
        try:
            kind = type
            stamp = mft_now_ns() if stamp_ns is None else stamp_ns
        except (OverflowError, TypeError):
            raise RecordError(
                f"a type is a whole number from 0 to 2^32 - 1 and a stamp one of 64 bits, not {type!r}, {stamp_ns!r}"
            ) from None
        if PyBytes_CheckExact(payload):
            rc = mft_journal_append(
                &self.j, kind, stamp, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), &sequence
            )
            if rc != MFT_OK:
                self.cannot(rc, PyBytes_GET_SIZE(payload))
        else:
            PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
            try:
                self.check()  # the payload's own code has run and may have closed us
                rc = mft_journal_append(&self.j, kind, stamp, view.buf, view.len, &sequence)
                if rc != MFT_OK:
                    self.cannot(rc, view.len)
            finally:
                PyBuffer_Release(&view)
        mft_journal_ring(&self.j)
        self.ring_outer()
        return sequence

    cdef int wait_until(self, uint64_t position, int64_t deadline_ns) except -1:
        """1: all before the position is on disk; 0: the time passed. Raises when an attempt that began later failed."""
        cdef mft_bell_t *done = &self.j.shared.done
        cdef int code = 0, rc, number
        cdef uint64_t first = mft_drain_attempts(&self.j, &code), attempts
        cdef uint32_t armed
        cdef int64_t sleep_ns
        while mft_journal_safe(&self.j) < position:
            attempts = mft_drain_attempts(&self.j, &code)
            if code and attempts >= first + 2:
                raise disk_error(self.journal.path, code, f"{self.left()} bytes are not on disk")
            sleep_ns = min(deadline_ns - mft_now_ns(), MFT_LONGEST_SLEEP_NS)
            if sleep_ns <= 0:
                return 0
            sleep_ns = min(sleep_ns, mft_bell_want(done))
            armed = mft_bell_arm(done)
            mft_bell_ring(&self.j.shared.work)
            if mft_journal_safe(&self.j) < position:
                with nogil:
                    rc = mft_bells_sleep(&done, &armed, 1, sleep_ns)
                    number = errno
                if rc == MFT_E_SYSTEM and number != EINTR:
                    raise KernelError(number, f"cannot wait: {os.strerror(number)}")
            PyErr_CheckSignals()
        return 1

    def flush(self, timeout_s=10.0):
        """Wait until all that was appended is on disk (fdatasync).

        Returns
        -------
        bool
            False: it is not within that time. Is there a drainer (`drainer_alive`)?

        Raises
        ------
        JournalDiskError
            The disk refuses; ``errno`` says how. The records are kept and tried again: flush again when it was mended.
        """
        cdef int64_t deadline_ns = deadline_of(timeout_s)
        self.enter()
        try:
            return self.wait_until(mft_journal_tail(&self.j), deadline_ns) == 1
        finally:
            self.leave()

    def close(self):
        """Give the role back. With ``drain=True`` all is brought to disk first. Twice does nothing.

        Raises
        ------
        JournalDiskError
            The disk refused for ten seconds. What it did not take stays in memory, until the machine stops or a
            writer or drainer brings it to disk.
        """
        failure = None
        if self.own is not None and self.state == 0 and self.born == self.generation[0]:
            try:
                if self.own.state == ENDPOINT_BUSY:
                    self.flush(LONGEST_CLOSE_S)
                if self.undrained_bytes:
                    failure = JournalDiskError(
                        f"journal {self.journal.path}: {self.undrained_bytes} bytes are not on disk; they stay in memory "
                        "for the next writer or drainer"
                    )
            except JournalDiskError as error:
                failure = error
            self.own.close()
        Endpoint.close(self)
        self.give_back()
        if failure is not None:
            raise failure

    def __del__(self):
        # Dropped and not closed: the thread of its drainer would hold that role for ever. At the interpreter's end such
        # threads do not run any more, and the process's death gives the role back.
        if self.own is not None and self.own.born == self.generation[0] and not sys.is_finalizing():
            self.own.close()

    def __exit__(self, kind, error, trace):
        try:
            self.close()
        except JournalDiskError as failure:
            if error is None:
                raise
            error.add_note(str(failure))  # the error must not be hidden by another

    cdef str peer_name(self):
        return "drainer"

    @property
    def sequence(self):
        self.check()
        return self.j.sequence

    @property
    def capacity(self):
        return self.j.longest

    @property
    def refused(self):
        self.check()
        return mft_journal_refused(&self.j)

    @property
    def drainer_alive(self):
        return self.peer_alive()


@cython.final
cdef class JournalDrainer(JournalEnd):
    """The end of a `Journal` that brings its records to disk; from `Journal.drainer`, or inside ``writer(drain=True)``.

    In a thread (`start`, `stop`), in a process of its own (`run`), or step by step (`drain`). One killed at any instant is
    succeeded by another, which writes the same bytes again.

    Attributes
    ----------
    epoch : int
        Which drainer the journal's memory has had, counted from 1.
    disk_error, undrained_bytes : int
        As of the writer.
    writer_alive : bool
        Whether a live process appends; at most one millisecond old.
    """

    cdef int failed(self, int rc) except -1:
        if rc == MFT_E_SYSTEM or rc == MFT_E_NO_SPACE:
            raise disk_error(self.journal.path, self.drain_to.error, f"{self.left()} bytes are not on disk")
        if rc == MFT_E_LAYOUT or rc == MFT_E_NOT_FOUND:
            self.journal.damaged(
                rc, &self.drain_to.fault, self.drain_to.error, self.drain_to.file.number, 0, 0
            )
        self.segment.corrupt("what was appended is not as it was appended")

    def drain(self):
        """Bring what is in memory to disk: at most 4 MiB, and at most to the end of a file.

        Returns
        -------
        int
            Bytes that are on disk now and were not before; 0: everything is.

        Raises
        ------
        JournalDiskError
            The disk refuses; nothing is lost, call again later.
        LayoutError
            The memory is damaged; what is damaged is not written.
        """
        cdef uint64_t count = 0
        cdef int rc
        self.enter()
        try:
            with nogil:
                rc = mft_drain_step(&self.drain_to, &count)
            if rc != MFT_OK and rc != MFT_EMPTY:
                self.failed(rc)
        finally:
            self.leave()
        return count

    def run(self, interval_s=0.05):
        """Drain until `stop`: every `interval_s` seconds, and when the writer asks. Errors are told to the writer.

        Raises
        ------
        LayoutError
            The memory is damaged. (What the disk refuses is tried again for ever, and shows as `disk_error`.)
        """
        cdef int64_t interval_ns = <int64_t>(float(interval_s) * 1e9)
        cdef mft_bell_t *work = &self.j.shared.work
        cdef uint64_t count = 0
        cdef uint32_t armed
        cdef int64_t look_up_ns
        cdef int rc = MFT_OK
        if not 0 <= interval_ns <= 10_000_000_000:
            raise RecordError(f"an interval is between 0 and 10 seconds, not {interval_s!r}")
        self.enter()
        try:
            while True:
                mft_bell_want(work)
                armed = mft_bell_arm(work)
                if self.stopping:
                    return
                look_up_ns = mft_now_ns() + LOOK_UP_NS
                with nogil:
                    rc = MFT_OK
                    while rc == MFT_OK and not self.stopping and mft_now_ns() < look_up_ns:
                        rc = mft_drain_step(&self.drain_to, &count)
                if rc == MFT_E_CORRUPT or rc == MFT_E_LAYOUT:
                    self.failed(rc)
                if rc != MFT_OK:
                    with nogil:
                        mft_bells_sleep(&work, &armed, 1, interval_ns)
                PyErr_CheckSignals()
        finally:
            self.leave()

    def start(self):
        """Run in a thread of this process, until `stop` or `close`."""
        self.check()
        self.stopping = False
        self.thread = threading.Thread(target=self._run_in_thread, name="mftcore-drainer", daemon=True)
        self.thread.start()
        while self.state == 0 and self.thread.is_alive():  # it is this endpoint's user from its first instruction on
            self.thread.join(0.001)

    def _run_in_thread(self):
        try:
            self.run()
        except (JournalDamaged, LayoutError):  # the writer has been told, by its `disk_error`, and says so when it is closed
            pass

    def stop(self):
        """Let `run` return, in whichever thread it runs."""
        if self.segment is None or self.born != self.generation[0] or self.state & 1:
            return
        self.stopping = True
        mft_bell_ring(&self.j.shared.work)
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join()
            self.thread = None

    def close(self):
        """Stop, and give the role back. What is not on disk stays in memory. Twice does nothing."""
        self.stop()
        Endpoint.close(self)
        mft_drain_close(&self.drain_to)
        self.give_back()

    def __dealloc__(self):
        mft_drain_close(&self.drain_to)

    def __cinit__(self, *args, **kwargs):
        memset(&self.drain_to, 0, sizeof(self.drain_to))
        self.drain_to.fd = -1

    cdef str peer_name(self):
        return "writer"

    @property
    def writer_alive(self):
        return self.peer_alive()


cdef JournalDrainer _drain(Journal journal, Segment segment):
    """Claim the drainer's role of a live memory."""
    cdef JournalDrainer end = JournalDrainer.__new__(JournalDrainer)
    cdef int rc
    end.journal = journal.again()
    end.open(segment, MFT_JOURNAL_DRAINER, "drainer", MFT_JOURNAL_WRITER)
    try:
        rc = mft_journal_open(&end.j, &segment.seg)
        if rc != MFT_OK:
            segment.corrupt("its positions make no sense")
        end.lock_fd = end.journal.lock("drainer.lock", "drainer")
        rc = mft_drain_open(&end.drain_to, &end.j, end.journal.directory, end.journal.id)
        if rc != MFT_OK:
            end.failed(rc)
    except BaseException:
        end.shut()
        raise
    return end


def open_drainer(Journal journal):
    """See `Journal.drainer`."""
    cdef Segment segment
    with opening:
        segment = journal.live_memory()
        if segment is None:
            raise NoSuchSegment(
                f"journal {journal.path} has no live memory: nobody has opened it for writing since the machine was "
                "started, or all of it is on disk"
            )
        return _drain(journal, segment)


cdef int _remove_foreign(Journal journal) except -1:
    """Take away the memory of a journal that was removed, and whose directory's number this one has got."""
    cdef Segment segment
    try:
        segment = Segment.attach(MFT_KIND_JOURNAL, MFT_JOURNAL_VERSION, "Journal", journal.memory_name)
    except NoSuchSegment:
        return 0
    try:
        for role in (MFT_JOURNAL_WRITER, MFT_JOURNAL_DRAINER):
            pid = segment.role_pid(role)
            if pid:
                raise RoleTaken(
                    f"journal '{journal.path}': process {pid} still writes to a journal that was in this directory before "
                    "and was removed under it; end that process first", pid,
                )
        segment.unname()
    finally:
        segment.close()
    return 0


cdef Segment _recovered(Journal journal, JournalWriter end):
    """Without a live memory: look at the files, cut a torn tail off, make a memory that goes on at their end.

    Nobody may bring records of another memory to disk meanwhile, in another container say: hence both locks.
    """
    cdef mft_recovery_t found
    cdef mft_cursor_t c
    cdef int rc, drainer_lock = journal.lock("drainer.lock", "drainer")
    mft_cursor_init(&c, journal.directory)
    try:
        rc = mft_recover(&c, 1, &found)
        if rc != MFT_OK:
            journal.damaged(rc, &c.fault, c.error, found.number, found.offset, found.sequence)
        end.recovered_bytes = found.cut_bytes
        if found.cut_bytes:
            end.recovered_file = found.side.decode("ascii")
        _remove_foreign(journal)
        return journal.new_memory(found.position, found.sequence, True)
    finally:
        mft_cursor_close(&c)
        unlock(drainer_lock)


def open_writer(Journal journal, bint drain, bell):
    """See `Journal.writer`."""
    cdef JournalWriter end = JournalWriter.__new__(JournalWriter)
    cdef Segment segment
    cdef int rc
    end.journal = journal.again()
    with opening:
        while True:
            segment = end.journal.live_memory()
            if segment is None:
                if end.lock_fd < 0:
                    end.lock_fd = end.journal.lock("writer.lock", "writer")
                segment = end.journal.live_memory()  # of a writer that came and was killed since we looked
            if segment is None:
                segment = _recovered(end.journal, end)
            end.open(segment, MFT_JOURNAL_WRITER, "writer", MFT_JOURNAL_DRAINER)
            rc = mft_journal_open(&end.j, &segment.seg)
            if rc == MFT_OK and mft_journal_retired(&end.j):  # between the look and the claim
                end.shut()
                segment.unname()  # whose task it was may have been killed before it came to that
                segment.close()
                continue
            break
        try:
            if rc != MFT_OK or mft_journal_take_over(&end.j) != MFT_OK:
                segment.corrupt("its positions make no sense")
            if end.lock_fd < 0:
                end.lock_fd = end.journal.lock("writer.lock", "writer")
            ring_also(end, bell)
            if drain:
                end.own = _drain(end.journal, end.journal.live_memory())
        except BaseException:
            end.shut()
            raise
    if drain:
        end.own.start()
    return end
