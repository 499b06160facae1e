"""`JournalReader`: from the files and the live memory, as if they were one; formats are ``include/mftcore/journal*.h``."""

import time

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.string cimport memset

from mftcore.endpoint cimport event_loops, mft_bell_t
from mftcore.journal cimport (
    MFT_EVERYWHERE,
    MFT_JOURNAL_WRITER,
    mft_cursor_close,
    mft_cursor_find,
    mft_cursor_init,
    mft_cursor_jump,
    mft_cursor_next,
    mft_cursor_offset,
    mft_cursor_open,
    mft_files_list,
    mft_files_t,
    mft_journal_copy,
    mft_journal_has_news,
    mft_journal_look,
    mft_journal_newest,
    mft_journal_open,
    mft_journal_retired,
    mft_journal_safe,
    mft_journal_tail,
    mft_record_taken,
)
from mftcore.segment cimport (
    MFT_E_CORRUPT,
    MFT_E_LAYOUT,
    MFT_E_NOT_FOUND,
    MFT_E_SYSTEM,
    MFT_EMPTY,
    MFT_OK,
    MFT_UNSTABLE,
    mft_watch_close,
    mft_watch_init,
)

from mftcore.endpoint import whole_number
from mftcore.errors import KernelError, RecordError, Unstable

cdef enum:
    TRIES = 64


@cython.final
@cython.freelist(64)
cdef class JournalRecord:
    """One record of a journal.

    Attributes
    ----------
    sequence : int
        From 1, without a gap, over all writers.
    type : int
        The writer's.
    stamp_ns : int
        The writer's: CLOCK_MONOTONIC when it was appended, unless the writer gave another.
    wall_ns : int
        The stamp as nanoseconds since 1970, if it is of CLOCK_MONOTONIC: by the two clocks in the file's first page.
    payload : bytes
    """

    def __init__(self):
        raise TypeError("a JournalRecord comes from a JournalReader")

    def __repr__(self):
        return f"<JournalRecord {self.sequence} type {self.type}, {len(self.payload)} bytes>"


@cython.final
@cython.no_gc_clear
cdef class JournalReader(Endpoint):
    """A reading end of a `Journal`; from `Journal.reader`. `wait` waits for a record that it has not read.

    History comes from the files, what was just appended from memory: without a gap and without repetition. Iterating ends
    where there is nothing more now; ``async for`` goes on for ever.

    Attributes
    ----------
    next_sequence : int
        Number of the record that it reads next.
    lost : int
        Records that retention removed before they were read.
    torn : bool
        The newest file ends with a part of a record: what was cut off when power was lost, say. A writer puts it aside.
    writer_alive : bool
        Whether a live process appends; at most a millisecond old.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.j, 0, sizeof(self.j))
        mft_cursor_init(&self.c, -1)

    def __dealloc__(self):
        mft_cursor_close(&self.c)

    cdef int use(self, Segment segment) except -1:
        """Take a live memory over, or one that has ended."""
        cdef Segment old = self.segment
        cdef mft_journal_t j
        if mft_journal_open(&j, &segment.seg) != MFT_OK:
            segment.corrupt("its positions make no sense")
        if old is None:
            self.open(segment, -1, "reader", MFT_JOURNAL_WRITER)
        else:
            segment.pin()
            mft_watch_close(&self.watch)
            mft_watch_init(&self.watch)
            self.segment = segment
            old.unpin()
        segment.close()  # as soon as this end is closed
        self.j = j
        self.alone = mft_journal_retired(&j)
        self.live_offset_ns = time.time_ns() - time.monotonic_ns()
        return 0

    cdef int complete(self, mft_files_t *files) except -1:
        """Refuse a listing in which a file is missing in the middle."""
        cdef const unsigned char *payload
        cdef uint64_t number, last = 0
        cdef mft_record_t r
        cdef int rc
        if files.count != files.newest - files.oldest + 1:
            for number in range(files.oldest, files.newest):
                rc = mft_cursor_open(&self.c, number)
                if rc != MFT_OK:
                    if number > files.oldest:
                        while mft_cursor_next(&self.c, MFT_EVERYWHERE, &r, &payload) == MFT_OK:
                            last = r.sequence
                    self.journal.damaged(rc, &self.c.fault, self.c.error, number, 0, last)
        return 0

    cdef int place(self) except -1:
        cdef mft_files_t files
        cdef int rc = MFT_OK, tries
        for tries in range(TRIES):
            rc = mft_files_list(self.c.directory, &files)
            if rc != MFT_OK:
                raise KernelError(errno, f"journal {self.journal.path}: its files are gone, or cannot be listed")
            self.complete(&files)
            rc = mft_cursor_find(&self.c, &files, self.position, 0)
            if rc == MFT_OK:
                mft_cursor_jump(&self.c, self.position, self.sequence)
                return 0
            if rc == MFT_EMPTY:  # retention was quicker
                self.lost += self.c.sequence - self.sequence
                self.position, self.sequence = self.c.position, self.c.sequence
                return 0
            if rc != MFT_E_NOT_FOUND:
                break
        self.journal.damaged(rc, &self.c.fault, self.c.error, self.c.number, 0, self.sequence - 1)

    cdef JournalRecord from_memory(self, mft_record_t *r, int *rc):
        cdef JournalRecord record
        cdef bytes payload
        rc[0] = mft_journal_look(&self.j, self.position, r)
        if rc[0] != MFT_OK:
            return None
        payload = PyBytes_FromStringAndSize(NULL, r.length)
        rc[0] = mft_journal_copy(&self.j, r, PyBytes_AS_STRING(payload))
        if rc[0] != MFT_OK:
            return None
        record = JournalRecord.__new__(JournalRecord)
        record.sequence, record.stamp_ns, record.type, record.payload = r.sequence, r.stamp_ns, r.type, payload
        record.wall_ns = r.stamp_ns + self.live_offset_ns
        return record

    cdef JournalRecord from_files(self, uint64_t limit, int *rc):
        cdef const unsigned char *payload = NULL
        cdef JournalRecord record
        cdef mft_files_t files
        cdef mft_record_t r
        if self.c.fd < 0 or self.c.position != self.position:
            self.place()
        rc[0] = mft_cursor_next(&self.c, limit, &r, &payload)
        if rc[0] != MFT_OK:
            if rc[0] != MFT_E_SYSTEM and mft_files_list(self.c.directory, &files) == MFT_OK and \
                    files.oldest > self.c.file.number:  # retention has overtaken us: go on at the oldest
                self.place()
                rc[0] = mft_cursor_next(&self.c, limit, &r, &payload)
            if rc[0] != MFT_OK:
                self.last = rc[0]
                return None
        self.last = MFT_OK
        record = JournalRecord.__new__(JournalRecord)
        record.sequence, record.stamp_ns, record.type = r.sequence, r.stamp_ns, r.type
        record.payload = PyBytes_FromStringAndSize(<const char *>payload, r.length)
        record.wall_ns = r.stamp_ns + (self.c.file.realtime_ns - self.c.file.monotonic_ns)
        self.position = r.position
        return record

    cdef bint rejoin(self) except -1:
        cdef Segment segment = self.journal.live_memory()
        if segment is None:
            return False
        self.use(segment)
        return not self.alone

    cdef JournalRecord take(self):
        cdef JournalRecord record
        cdef mft_record_t r
        cdef int rc = MFT_OK, tries
        for tries in range(TRIES):
            if not self.alone:
                record = self.from_memory(&r, &rc)
                if rc == MFT_EMPTY and mft_journal_retired(&self.j) and mft_journal_tail(&self.j) == self.position:
                    self.alone = True  # its end was read: who appends now does it to another memory
                elif rc == MFT_EMPTY:
                    return None
                elif rc == MFT_UNSTABLE:
                    record = self.from_files(mft_journal_safe(&self.j), &rc)
                    if rc == MFT_EMPTY:
                        continue  # it is not on disk, so it was in memory after all
                elif rc == MFT_OK and r.sequence != self.sequence:
                    rc = MFT_E_CORRUPT
                if rc == MFT_E_CORRUPT and self.last >= 0:
                    self.segment.corrupt(f"its record {self.sequence} is not as it was appended")
            if self.alone:
                record = self.from_files(MFT_EVERYWHERE, &rc)
                if rc != MFT_OK and rc != MFT_E_SYSTEM and self.rejoin():  # a new writer's memory knows better
                    continue
                if rc == MFT_EMPTY or rc == MFT_UNSTABLE:
                    return None
            if rc != MFT_OK:
                self.journal.damaged(
                    rc, &self.c.fault, self.c.error, self.c.number,
                    mft_cursor_offset(&self.c) if rc == MFT_E_CORRUPT else 0, self.sequence - 1,
                )
            self.position += mft_record_taken(len(record.payload))
            self.sequence = record.sequence + 1
            return record
        raise Unstable(f"journal {self.journal.path} was written round its memory during each of {TRIES} attempts; try again")

    def read(self):
        """Take the next record.

        Returns
        -------
        JournalRecord or None
            None when there is none yet.

        Raises
        ------
        JournalDamaged
            The files are damaged here, or one is missing; whatever was before has been read.
        LayoutError
            The live memory is damaged.
        KernelError
            A file cannot be read.
        """
        self.check()
        self.more = False
        return self.take()

    def read_many(self, most):
        """Take the next records, at most so many; returns a list, empty when there is none. Raises as `read`."""
        cdef uint64_t left = whole_number(most, 1, 1 << 62, "the number of records")
        cdef list records = []
        cdef JournalRecord record
        self.check()
        self.more = False
        while left:
            record = self.take()
            if record is None:
                break
            records.append(record)
            left -= 1
        return records

    def __iter__(self):
        return self

    def __next__(self):
        record = self.read()
        if record is None:
            raise StopIteration
        return record

    def __aiter__(self):
        """``async for record in reader`` takes records for ever; it ends by `PeerDied`, or by leaving the loop."""
        self.check()
        return event_loops().records(self, self.read)

    cdef int join(self, at, sequence) except -1:
        """Find the first record."""
        cdef mft_files_t files
        cdef uint64_t wanted, position = 0, newest = 0
        cdef int rc
        if at not in ("oldest", "newest"):
            raise RecordError(f'a reader joins at "oldest" or "newest", not {at!r}')
        if sequence is None and at == "newest" and not self.alone:
            if mft_journal_newest(&self.j, &position, &newest) != MFT_OK:
                self.segment.corrupt("it does not say which record is its newest")
            self.position, self.sequence = position, newest + 1
            return 0
        wanted = 1 if sequence is None else whole_number(sequence, 1, 1 << 62, "the number of a record")
        for _ in range(TRIES):
            rc = mft_files_list(self.c.directory, &files)
            if rc != MFT_OK:
                raise KernelError(errno, f"journal {self.journal.path}: its files are gone, or cannot be listed")
            self.complete(&files)
            if sequence is None and at == "newest":
                rc = mft_cursor_open(&self.c, files.newest)
            else:
                rc = mft_cursor_find(&self.c, &files, wanted, 1)
            if rc != MFT_E_NOT_FOUND:
                break
        if rc != MFT_OK and rc != MFT_EMPTY:
            self.journal.damaged(rc, &self.c.fault, self.c.error, self.c.number, 0, 0)
        self.position, self.sequence = self.c.position, self.c.sequence
        if sequence is None and at == "newest":
            while self.take() is not None:
                pass
        elif sequence is not None:
            if rc == MFT_EMPTY:
                self.lost = self.sequence - wanted
            while self.sequence < wanted:
                if self.take() is None:
                    raise RecordError(
                        f"journal {self.journal.path} has records up to {self.sequence - 1}, and none has the number {wanted}"
                    )
        return 0

    # ---- waiting ----

    cdef mft_bell_t *bell(self) noexcept nogil:
        return &self.j.shared.news

    cdef bint ready(self) noexcept nogil:
        return self.more or (not self.alone and mft_journal_has_news(&self.j, self.position))

    cdef int look(self) except -1:
        """What no bell rings for: more in the files alone, or a new memory after the old one ended."""
        cdef const unsigned char *payload
        cdef mft_record_t r
        cdef int rc
        if not self.alone and mft_journal_retired(&self.j) and mft_journal_tail(&self.j) == self.position:
            self.alone = True
        if not self.alone or self.more:
            return 0
        if self.rejoin():
            return 0
        if self.c.fd < 0 or self.c.position != self.position:
            self.place()
        rc = mft_cursor_next(&self.c, MFT_EVERYWHERE, &r, &payload)
        mft_cursor_jump(&self.c, self.position, self.sequence)
        self.more = rc != MFT_EMPTY and rc != MFT_UNSTABLE  # damage counts: the next call says so
        return 0

    cdef int begin_wait(self) except -1:
        self.enter()
        try:
            self.look()
        except BaseException:
            self.leave()
            raise
        return 0

    cdef int still(self) except -1:
        Endpoint.still(self)
        return self.look()

    cdef str peer_name(self):
        return "writer"

    def close(self):
        """Give the end back. Twice does nothing."""
        Endpoint.close(self)
        mft_cursor_close(&self.c)
        if self.journal is not None:
            self.journal.close()

    @property
    def next_sequence(self):
        return self.sequence

    @property
    def torn(self):
        return self.last == MFT_UNSTABLE

    @property
    def writer_alive(self):
        return self.peer_alive()


def open_reader(Journal journal, at, sequence):
    """See `Journal.reader`."""
    cdef JournalReader end = JournalReader.__new__(JournalReader)
    cdef Segment segment
    end.journal = journal.again()
    mft_cursor_init(&end.c, end.journal.directory)
    end.c.has_id = 1
    for i in range(16):
        end.c.id[i] = end.journal.id[i]
    segment = end.journal.live_memory()
    end.use(end.journal.new_memory(0, 0, False) if segment is None else segment)
    try:
        end.join(at, sequence)
    except BaseException:
        end.close()
        raise
    return end
