"""`Doorbell`: how a loop sleeps until there is work."""

from libc.stdint cimport int64_t, uint32_t

from mftcore.segment cimport Segment


cdef extern from "mftcore/wait.h" nogil:
    enum:
        MFT_DOORBELL_VERSION

    const int64_t MFT_LONGEST_SLEEP_NS
    const uint32_t MFT_MOST_BELLS

    ctypedef struct mft_bell_t:
        pass

    # waiter
    int64_t mft_bell_want(mft_bell_t *b) noexcept
    uint32_t mft_bell_arm(mft_bell_t *b) noexcept
    int mft_bell_disarm(mft_bell_t *b, uint32_t armed) noexcept
    int mft_bell_sleep(mft_bell_t *b, uint32_t armed, int64_t timeout_ns) noexcept
    int mft_bells_sleep(mft_bell_t **bells, const uint32_t *armed, uint32_t count, int64_t timeout_ns) noexcept
    # anybody
    int mft_bell_ring(mft_bell_t *b) noexcept
    int mft_bell_ring_fd(mft_bell_t *b, int fd) noexcept
    # the eventfd
    int mft_doorbell_eventfd() noexcept
    int mft_doorbell_take(int fd) noexcept
    int mft_doorbell_sleep(int fd, int64_t timeout_ns) noexcept
    # idle steps
    void mft_idle_spin() noexcept
    void mft_idle_yield() noexcept


cdef class Doorbell:
    cdef Segment segment
    cdef mft_bell_t *shared  # NULL: closed
    cdef int fd
    cdef bint armed                     # by `wait` or `arm` of this handle
    cdef uint32_t word                  # the value that arming it left

    cdef int check(self) except -1
    cdef int start(self, Segment segment, int fd) except -1
