"""Memory of a structure that is lent for the time of a ``with`` block."""

from libc.stdint cimport uint64_t

from mftcore.endpoint cimport Endpoint


cdef class Lent:
    cdef Endpoint owner
    cdef unsigned char *place           # NULL: nothing was to be had
    cdef uint64_t nbytes
    cdef bint writable
    cdef int views                      # exported and not yet dropped
    cdef int stage                      # not yet entered, in the block, left
    cdef object memory                  # the memoryview that was handed out

    cdef int lend(self) except -1                       # of the subclass: find the memory, set place and nbytes
    cdef int take_back(self) except -1                  # of the subclass: the block ended well
    cdef void free(self) noexcept
    cdef int in_block(self) except -1
