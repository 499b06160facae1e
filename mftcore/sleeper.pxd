"""A thread's sleep at many bells on behalf of an event loop."""

from libc.stdint cimport int64_t, uint32_t

from mftcore.endpoint cimport Waitable, mft_bell_t
from mftcore.segment cimport Segment


cdef class Entry:
    cdef Segment segment                # pinned: the thread may look at its bell until this object is gone
    cdef mft_bell_t *bell
    cdef uint32_t armed
    cdef object token


cdef class Sleeper:
    cdef dict entries                   # by the token's identity
    cdef mft_bell_t own                 # rung when there is a new entry, or to end
    cdef bint ending
