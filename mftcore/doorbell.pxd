"""`Doorbell`: how a loop sleeps until there is work."""

from libc.stdint cimport int64_t, uint32_t

from mftcore.endpoint cimport Endpoint, Handle, mft_bell_t
from mftcore.segment cimport Segment


cdef extern from "mftcore/wait.h" nogil:
    enum:
        MFT_DOORBELL_VERSION

    int mft_doorbell_eventfd() noexcept
    int mft_doorbell_take(int fd) noexcept
    int mft_doorbell_sleep(int fd, int64_t timeout_ns) noexcept


cdef class Doorbell(Handle):
    cdef mft_bell_t *shared
    cdef int fd                         # -1: closed
    cdef bint armed                     # by this handle
    cdef uint32_t word                  # the value that arming it left
    cdef bint looked                    # the wait that goes on has sent its caller to look once more


cdef int ring_also(Endpoint endpoint, object bell) except -1    # a Doorbell or None
