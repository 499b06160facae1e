"""`Doorbell`: how a loop sleeps until there is work."""

from libc.stdint cimport int64_t, uint32_t

from mftcore.segment cimport Segment


cdef extern from "mftcore/wait.h" nogil:
    enum:
        MFT_DOORBELL_VERSION

    ctypedef struct mft_doorbell_shared_t:
        pass

    int mft_doorbell_eventfd() noexcept
    void mft_doorbell_arm(mft_doorbell_shared_t *b) noexcept
    int mft_doorbell_disarm(mft_doorbell_shared_t *b, int fd) noexcept
    int mft_doorbell_ring(mft_doorbell_shared_t *b, int fd) noexcept
    int mft_doorbell_sleep(int fd, int64_t timeout_ns) noexcept
    void mft_pause() noexcept


cdef class Doorbell:
    cdef Segment segment
    cdef mft_doorbell_shared_t *shared  # NULL: closed
    cdef int fd
    cdef bint armed                     # by `wait` or `arm` of this handle

    cdef int check(self) except -1
    cdef int start(self, Segment segment, int fd) except -1
