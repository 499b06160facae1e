"""Shared memory for the structures of this package: mapping, lifetime, roles. Not a public class.

How a structure uses it: ``Segment.make(...)``, fill ``segment.seg.data``, ``segment.publish()``; elsewhere
``Segment.attach(...)`` or unpickling. Handles and endpoints on it: ``mftcore/endpoint.pxd``.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "mftcore/segment.h" nogil:
    enum:
        MFT_OK
        MFT_FULL
        MFT_EMPTY
        MFT_UNSTABLE
        MFT_TIMEOUT
        MFT_E_SYSTEM
        MFT_E_CORRUPT
        MFT_E_LAYOUT
        MFT_E_TAKEN
        MFT_E_EXISTS
        MFT_E_UNSAFE
        MFT_E_NO_SPACE
        MFT_E_ARGUMENT
        MFT_E_NOT_FOUND
        MFT_E_LOST
        MFT_KIND_RING
        MFT_KIND_SEQLOCK
        MFT_KIND_BOOK
        MFT_KIND_HISTOGRAM
        MFT_KIND_DOORBELL
        MFT_KIND_BYTES
        MFT_KIND_BROADCAST
        MFT_KIND_JOURNAL
        MFT_PARAMS

    ctypedef struct mft_layout_t:
        uint32_t kind
        uint32_t version
        uint64_t total_bytes
        uint64_t record_bytes
        uint64_t capacity
        uint64_t *params
        uint8_t *instance
        uint64_t pid_namespace
        uint64_t time_namespace
        uint64_t creator
        int64_t created_ns
        uint64_t dtype_hash
        uint32_t dtype_length
        uint32_t meta_length
        char *meta
        char *dtype

    ctypedef struct mft_fault_t:
        const char *field
        uint64_t expected
        uint64_t found

    ctypedef struct mft_segment_t:
        void *header
        unsigned char *data
        size_t mapped_bytes
        uint64_t data_bytes
        uint64_t mirror_bytes
        int fd
        int error
        mft_fault_t fault
        mft_layout_t layout

    ctypedef struct mft_watch_t:
        uint64_t word
        int alive

    ctypedef struct mft_process_t:
        uint64_t pid_namespace
        uint64_t time_namespace

    const unsigned MFT_ROLES
    const uint64_t MFT_OWNER_FOREIGN
    int64_t mft_now_ns() noexcept
    void mft_self(mft_process_t *self) noexcept
    int mft_role_dead(uint64_t word, uint64_t self) noexcept
    int mft_owner_pid(uint64_t word) noexcept
    uint64_t mft_segment_self(const mft_segment_t *s) noexcept
    uint64_t mft_role_epoch(const mft_segment_t *s, unsigned role) noexcept
    void mft_watch_init(mft_watch_t *w) noexcept
    void mft_watch_close(mft_watch_t *w) noexcept
    int mft_watch_alive(mft_watch_t *w, const mft_segment_t *s, unsigned role, uint64_t self, int64_t now_ns) noexcept
    uint64_t mft_watch_dead(mft_watch_t *w, const mft_segment_t *s, unsigned role, uint64_t self,
                            int64_t now_ns) noexcept


cdef extern from "mftcore/fork.h" nogil:
    ctypedef struct mft_mapping_t:
        int fd


cdef const uint64_t *fork_generation() noexcept     # counted up in each forked child


cdef class Segment:
    cdef mft_segment_t seg              # the mapping; seg.layout is the checked copy of the header
    cdef readonly str name              # None: anonymous
    cdef readonly str what              # "SpscRing 'trades'", for messages
    cdef int pins                       # endpoints and exported buffers that still use the mapping
    cdef bint closed
    cdef bint unmapped
    cdef uint64_t born                  # fork generation in which it was mapped; in a later one its pages are private
    cdef mft_mapping_t mapping          # for the forks
    cdef object remover                 # takes the name away; None: not this handle's task
    cdef object __weakref__

    cdef int check(self) except -1                                  # ClosedError
    cdef int publish(self) except -1                                # let others attach; last step of making
    cdef int outlive(self) except -1                                # the name stays when its maker goes
    cdef int unname(self) except -1                                 # take it away
    cdef int mirror(self, uint64_t bytes) except -1                 # the end of the data once more behind it
    cdef int mapped(self) except -1                                 # seg was filled: it is in use from now on
    cdef Segment renewed(self)                                      # the same memory, mapped anew
    cdef int pin(self) except -1
    cdef void hold(self) noexcept
    cdef void unpin(self) noexcept
    cdef void unmap(self) noexcept
    cdef uint64_t claim(self, unsigned role, str role_name, uint64_t *word) except 0    # the new epoch; RoleTaken
    cdef void release(self, unsigned role, uint64_t word) noexcept
    cdef int refuse_users(self) except -1                           # RoleTaken
    cdef int corrupt(self, str what) except -1                      # raises LayoutError
    cdef int _fail(self, int rc, uint64_t needed) except -1
