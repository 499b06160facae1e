"""`Journal`: append-only records on disk, through memory that survives its processes."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from mftcore.endpoint cimport mft_bell_t
from mftcore.segment cimport Segment, mft_fault_t, mft_segment_t


cdef extern from "mftcore/journal_drain.h" nogil:
    enum:
        MFT_JOURNAL_VERSION
        MFT_JOURNAL_WRITER
        MFT_JOURNAL_DRAINER
        MFT_JOURNAL_FILE_BYTES
        MFT_JOURNAL_ID_LOW
        MFT_JOURNAL_ID_HIGH
        MFT_JOURNAL_START
        MFT_RECORD_HEADER
        MFT_FILE_META_BYTES
        MFT_FILE_NAME_BYTES

    const uint64_t MFT_JOURNAL_LEAST
    const uint64_t MFT_JOURNAL_MOST
    const uint64_t MFT_FILE_LEAST
    const uint64_t MFT_FILE_MOST
    const uint64_t MFT_EVERYWHERE

    ctypedef struct mft_journal_shared_t:
        mft_bell_t news
        mft_bell_t work
        mft_bell_t done

    ctypedef struct mft_journal_t:
        mft_journal_shared_t *shared
        uint64_t bytes
        uint64_t longest
        uint64_t sequence

    ctypedef struct mft_record_t:
        uint64_t position
        uint64_t sequence
        int64_t stamp_ns
        uint32_t type
        uint32_t length

    # live memory
    uint64_t mft_record_taken(uint64_t length) noexcept
    uint64_t mft_journal_data_bytes(uint64_t bytes) noexcept
    void mft_journal_begin(mft_segment_t *s, uint64_t position, uint64_t sequence) noexcept
    int mft_journal_open(mft_journal_t *j, mft_segment_t *s) noexcept
    int mft_journal_take_over(mft_journal_t *j) noexcept
    int mft_journal_newest(const mft_journal_t *j, uint64_t *position, uint64_t *sequence) noexcept
    # writer; a Cython caller may use these without the GIL, from one thread: append, then ring once per batch
    int mft_journal_append(mft_journal_t *j, uint32_t type, int64_t stamp_ns, const void *payload, uint64_t length,
                           uint64_t *sequence) noexcept
    void mft_journal_ring(mft_journal_t *j) noexcept
    # readers
    int mft_journal_look(const mft_journal_t *j, uint64_t position, mft_record_t *r) noexcept
    int mft_journal_copy(const mft_journal_t *j, const mft_record_t *r, void *payload) noexcept
    int mft_journal_has_news(const mft_journal_t *j, uint64_t position) noexcept
    # anybody
    uint64_t mft_journal_tail(const mft_journal_t *j) noexcept
    uint64_t mft_journal_safe(const mft_journal_t *j) noexcept
    uint64_t mft_journal_refused(const mft_journal_t *j) noexcept
    int mft_journal_retired(const mft_journal_t *j) noexcept
    void mft_journal_retire(mft_journal_t *j) noexcept
    uint64_t mft_drain_attempts(const mft_journal_t *j, int *error) noexcept

    # files
    ctypedef struct mft_file_header_t:
        uint8_t *id
        uint64_t number
        uint64_t first_position
        uint64_t first_sequence
        uint64_t file_bytes
        uint64_t memory_bytes
        uint64_t keep_files
        int64_t realtime_ns
        int64_t monotonic_ns
        uint32_t meta_length
        char *meta

    ctypedef struct mft_files_t:
        uint64_t count
        uint64_t oldest
        uint64_t newest

    ctypedef struct mft_cursor_t:
        int directory
        int fd
        int error
        mft_fault_t fault
        uint64_t number
        mft_file_header_t file
        int has_id
        uint8_t *id
        uint64_t position
        uint64_t sequence

    ctypedef struct mft_recovery_t:
        uint64_t position
        uint64_t sequence
        uint64_t number
        uint64_t offset
        uint64_t cut_bytes
        char *side

    ctypedef struct mft_drain_t:
        int fd
        int error
        mft_fault_t fault
        mft_file_header_t file

    void mft_file_name(char *name, uint64_t number) noexcept
    int mft_file_create(int directory, mft_file_header_t *h, int *fd) noexcept
    int mft_files_list(int directory, mft_files_t *files) noexcept
    void mft_cursor_init(mft_cursor_t *c, int directory) noexcept
    void mft_cursor_close(mft_cursor_t *c) noexcept
    int mft_cursor_open(mft_cursor_t *c, uint64_t number) noexcept
    uint64_t mft_cursor_offset(const mft_cursor_t *c) noexcept
    int mft_cursor_next(mft_cursor_t *c, uint64_t limit, mft_record_t *r, const unsigned char **payload) noexcept
    int mft_cursor_find(mft_cursor_t *c, const mft_files_t *files, uint64_t key, int by_sequence) noexcept
    void mft_cursor_jump(mft_cursor_t *c, uint64_t position, uint64_t sequence) noexcept
    int mft_recover(mft_cursor_t *c, int cut, mft_recovery_t *found) noexcept
    int mft_drain_open(mft_drain_t *d, mft_journal_t *journal, int directory, const uint8_t *id) noexcept
    int mft_drain_step(mft_drain_t *d, uint64_t *count) noexcept
    void mft_drain_close(mft_drain_t *d) noexcept


cdef void unlock(int fd) noexcept   # gives back what `Journal.lock` returned


cdef class Journal:
    cdef readonly str path
    cdef readonly bytes id              # 16 random bytes
    cdef readonly str meta
    cdef readonly uint64_t memory_bytes
    cdef readonly uint64_t file_bytes
    cdef uint64_t keep                  # 0: all
    cdef int directory                  # -1: closed

    cdef int check(self) except -1
    cdef int start(self, path) except -1
    cdef Journal again(self)            # another handle, with a descriptor of its own
    cdef int damaged(self, int rc, mft_fault_t *fault, int error, uint64_t number, uint64_t offset, uint64_t sequence) \
        except -1
    cdef Segment live_memory(self)      # None: there is none now
    cdef Segment new_memory(self, uint64_t position, uint64_t sequence, bint named)
    cdef int lock(self, str name, str role) except -1
    cdef int retire(self, Segment segment) except -1
