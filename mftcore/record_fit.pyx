"""Does what the caller gave fit the records of a structure? Not public."""

import numpy

from mftcore.errors import RecordError
from mftcore.layout import canonical_text


cdef object ndarray = numpy.ndarray


cdef int wrong_size(Segment segment, uint64_t record_bytes, object what, Py_ssize_t found) except -1:
    """Say that a buffer is no record: it has another size."""
    raise RecordError(f"a record of {segment.what} has {record_bytes} bytes, this {type(what).__name__} has {found}")


cdef int check_batch(Segment segment, object dtype, uint64_t record_bytes, object array, Py_ssize_t found) except -1:
    """Refuse an array of another dtype, and a buffer that is no whole number of records."""
    if type(array) is ndarray and array.dtype is not dtype and array.dtype != dtype:
        # opaque bytes on either side: only the size can be compared; titles of fields make no difference
        if dtype.type is not numpy.void or dtype.names is not None:
            if canonical_text(array.dtype) != canonical_text(dtype):
                raise RecordError(f"records of {segment.what} are {dtype}, this array has {array.dtype}")
    if <uint64_t>found % record_bytes != 0:
        wrong_size(segment, record_bytes, array, found)
    return 0
