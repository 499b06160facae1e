"""The two ends of a `Journal` that move records: writer and drainer."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from mftcore.endpoint cimport Endpoint
from mftcore.journal cimport Journal, mft_drain_t, mft_journal_t


cdef class JournalEnd(Endpoint):
    cdef mft_journal_t j                # a Cython caller may use it without the GIL, from one thread
    cdef Journal journal
    cdef int lock_fd                    # -1: none

    cdef uint64_t left(self) noexcept   # bytes not on disk
    cdef int give_back(self) except -1  # after the role: lock and memory


cdef class JournalWriter(JournalEnd):
    cdef JournalDrainer own             # None: somebody else drains
    cdef readonly uint64_t recovered_bytes
    cdef readonly str recovered_file

    cdef int cannot(self, int rc, uint64_t length) except -1
    cdef int wait_until(self, uint64_t position, int64_t deadline_ns) except -1


cdef class JournalDrainer(JournalEnd):
    cdef mft_drain_t drain_to
    cdef bint stopping
    cdef object thread

    cdef int failed(self, int rc) except -1
