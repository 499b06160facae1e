"""The reading end of a `Journal`, and what it gives."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from mftcore.endpoint cimport Endpoint
from mftcore.journal cimport Journal, mft_cursor_t, mft_files_t, mft_journal_t, mft_record_t
from mftcore.segment cimport Segment


cdef class JournalRecord:
    cdef readonly uint64_t sequence
    cdef readonly int64_t stamp_ns
    cdef readonly uint32_t type
    cdef readonly int64_t wall_ns
    cdef readonly bytes payload


cdef class JournalReader(Endpoint):
    cdef mft_journal_t j                # the live memory; of a reader that is `alone`, one that says that it has ended
    cdef mft_cursor_t c                 # the files
    cdef Journal journal
    cdef uint64_t position              # of the next record
    cdef uint64_t sequence              # of the next record
    cdef readonly uint64_t lost
    cdef bint alone                     # no live memory, or it was read to its end: the files are all there is
    cdef bint more                      # found by `look` while waiting: there is something in the files
    cdef int last                       # what the files said last
    cdef int64_t live_offset_ns         # wall time less CLOCK_MONOTONIC, of what is appended now

    cdef int use(self, Segment segment) except -1       # a live memory, or one that has ended
    cdef int join(self, at, sequence) except -1         # find the first record
    cdef int complete(self, mft_files_t *files) except -1
    cdef int place(self) except -1                      # stand at our position in the files; counts what was removed
    cdef JournalRecord take(self)                       # the next record, None: not yet
    cdef JournalRecord from_memory(self, mft_record_t *r, int *rc)
    cdef JournalRecord from_files(self, uint64_t limit, int *rc)
    cdef bint rejoin(self) except -1                    # is there a new live memory?
    cdef int look(self) except -1                       # while waiting
