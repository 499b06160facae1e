"""The header page of a segment of any kind, read without mapping it."""

from libc.stdint cimport uint64_t

from mftcore.segment cimport mft_segment_t


cdef extern from "mftcore/segment.h" nogil:
    ctypedef struct mft_role_t:
        uint64_t owner
        uint64_t epoch

    ctypedef struct mft_header_t:
        mft_role_t *roles

    int mft_segment_look(mft_segment_t *s, int fd, mft_header_t *header) noexcept


cdef extern from "mftcore/journal.h" nogil:
    ctypedef struct mft_journal_shared_t:
        uint64_t tail
        uint64_t drained
        uint64_t full
        uint64_t disk_error
        uint64_t retired

    ctypedef struct mft_journal_t:
        mft_journal_shared_t *shared

    void mft_journal_retire(mft_journal_t *j) noexcept
