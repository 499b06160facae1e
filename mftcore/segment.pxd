"""Shared memory for the structures of this package: mapping, lifetime, roles. Not a public class.

How a structure uses it: ``Segment.make(...)``, fill ``segment.seg.data``, ``segment.publish()``; elsewhere
``Segment.attach(...)`` or unpickling; endpoints derive from `Endpoint` and call ``self.check()`` first in each method.
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
        MFT_PARAMS

    ctypedef struct mft_layout_t:
        uint32_t kind
        uint32_t version
        uint64_t total_bytes
        uint64_t record_bytes
        uint64_t capacity
        uint64_t *params
        uint8_t *instance
        uint64_t creator
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
        unsigned char *data
        uint64_t data_bytes
        int fd
        int error
        mft_fault_t fault
        mft_layout_t layout

    ctypedef struct mft_watch_t:
        uint64_t word
        int alive

    int64_t mft_now_ns() noexcept
    uint64_t mft_segment_self(const mft_segment_t *s) noexcept
    uint64_t mft_role_epoch(const mft_segment_t *s, unsigned role) noexcept
    void mft_watch_init(mft_watch_t *w) noexcept
    void mft_watch_close(mft_watch_t *w) noexcept
    int mft_watch_alive(mft_watch_t *w, const mft_segment_t *s, unsigned role, uint64_t self, int64_t now_ns) noexcept


cdef class Segment:
    cdef mft_segment_t seg              # the mapping; seg.layout is the checked copy of the header
    cdef readonly str name              # None: anonymous
    cdef readonly str what              # "SpscRing 'trades'", for messages
    cdef int pins                       # endpoints and exported buffers that still use the mapping
    cdef bint closed
    cdef bint unmapped
    cdef object remover                 # takes the name away; None: not this handle's task
    cdef object __weakref__

    cdef int check(self) except -1                                  # ClosedError
    cdef int publish(self) except -1                                # let others attach; last step of making
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    cdef uint64_t claim(self, unsigned role, str role_name, uint64_t *word) except 0    # the new epoch; RoleTaken
    cdef void release(self, unsigned role, uint64_t word) noexcept
    cdef int corrupt(self, str what) except -1                      # raises LayoutError
    cdef int _fail(self, int rc, uint64_t needed) except -1


cdef class Endpoint:
    """Base of producers, consumers, writers, readers: keeps the mapping alive, holds at most one role."""
    cdef Segment segment
    cdef int role                       # -1: none
    cdef uint64_t word                  # with which the role was claimed
    cdef readonly uint64_t epoch        # of the role; 0 without one
    cdef uint32_t state                 # 0: usable; else ENDPOINT_CLOSED, ENDPOINT_BUSY
    cdef uint64_t born                  # fork generation in which it was made
    cdef const uint64_t *generation     # the process's current fork generation

    cdef int open(self, Segment segment, int role, str role_name) except -1
    cdef int refuse(self) except -1     # says why: ClosedError, ForkedError, RoleBusy
    cdef void shut(self) noexcept       # give role and mapping back; twice does nothing

    cdef inline int check(self) except -1:
        """First in every method: closed, forked or in use by another thread raises; about one nanosecond."""
        if self.state == 0 and self.born == self.generation[0]:
            return 0
        return self.refuse()

    cdef inline int enter(self) except -1:
        """Like check, and marks the endpoint busy: around code that releases the GIL or calls foreign code."""
        self.check()
        self.state = 2
        return 0

    cdef inline void leave(self) noexcept:
        self.state &= ~<uint32_t>2
