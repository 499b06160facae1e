"""Does what the caller gave fit the records of a structure?"""

from libc.stdint cimport uint64_t

from mftcore.segment cimport Segment


cdef int wrong_size(Segment segment, uint64_t record_bytes, object what, Py_ssize_t found) except -1
cdef int check_batch(Segment segment, object dtype, uint64_t record_bytes, object array, Py_ssize_t found) except -1
