"""The calls of ``include/mftcore/port.h`` for Cython modules of users, which look these functions up by name when they are
imported; see ``port.pxd``. No algorithm here."""

from mftcore.abi cimport (
    MFT_ABI,
    MFT_E_RETIRED,
    MFT_E_SMALL,
    MFT_E_UNSTABLE,
    MFT_E_UNUSABLE,
    MFT_E_WRONG_END,
    mft_port_next,
    mft_port_pop,
    mft_port_pop_bytes,
    mft_port_pop_many,
    mft_port_push,
    mft_port_push_bytes,
    mft_port_push_many,
    mft_port_read,
    mft_port_read_book,
    mft_port_record,
    mft_port_write,
    mft_port_write_many,
)
from mftcore.endpoint cimport Endpoint
from mftcore.endpoint cimport mft_port_t as filled_t
from mftcore.segment cimport MFT_E_ARGUMENT, MFT_E_CORRUPT, mft_now_ns

from mftcore.errors import ClosedError, LayoutError, MftError, RecordError, Unstable

cdef extern from *:
    """
    _Static_assert(MFT_ABI == 1 && MFT_E_CORRUPT == -2 && MFT_E_ARGUMENT == -8 && MFT_E_UNUSABLE == -12 &&
                       MFT_E_UNSTABLE == -13 && MFT_E_SMALL == -14 && MFT_E_WRONG_END == -15,
                   "port.pxd says the same numbers, and modules of users hold them");
    """


cdef mft_port_t *port_for(object endpoint, int abi) except NULL:
    if not isinstance(endpoint, Endpoint):
        raise TypeError(f"compiled code takes a producer, consumer, writer, reader or recorder, not {endpoint!r}")
    if abi != MFT_ABI:
        raise LayoutError(
            f"this module was compiled for binary interface {abi} of mftcore, and this version has {MFT_ABI}: build it anew"
        )
    return <mft_port_t *><size_t>endpoint.port


cdef int port_error(int64_t result) except -1:
    if result >= 0:
        return 0
    if result == MFT_E_UNUSABLE:
        raise ClosedError("the endpoint is closed, of before a fork, in use by another thread, or lends its records")
    if result == MFT_E_WRONG_END:
        raise TypeError("this kind of endpoint has no such call; port.pxd says which has")
    if result == MFT_E_UNSTABLE:
        raise Unstable("the value was overwritten during each of 64 attempts to read it: try again")
    if result == MFT_E_SMALL:
        raise RecordError("the message is longer than the place for it, and stays in the ring: give a larger one")
    if result == MFT_E_ARGUMENT:
        raise RecordError("a count is negative, or a message longer than its ring has room for, ever")
    if result == MFT_E_CORRUPT:
        raise LayoutError("the indices in shared memory are out of their bounds: something else writes to it")
    if result == MFT_E_RETIRED:
        raise LayoutError("this module was compiled for another version of mftcore: build it anew")
    raise MftError(f"a call of a structure failed with code {result}")


cdef int64_t port_now_ns() noexcept nogil:
    return mft_now_ns()


cdef int64_t port_push(mft_port_t *p, const void *record) noexcept nogil:
    return mft_port_push(<filled_t *>p, record)


cdef int64_t port_push_many(mft_port_t *p, const void *records, int64_t count) noexcept nogil:
    return mft_port_push_many(<filled_t *>p, records, count)


cdef int64_t port_pop(mft_port_t *p, void *record) noexcept nogil:
    return mft_port_pop(<filled_t *>p, record)


cdef int64_t port_pop_many(mft_port_t *p, void *records, int64_t count) noexcept nogil:
    return mft_port_pop_many(<filled_t *>p, records, count)


cdef int64_t port_push_bytes(mft_port_t *p, const void *message, int64_t length) noexcept nogil:
    return mft_port_push_bytes(<filled_t *>p, message, length)


cdef int64_t port_pop_bytes(mft_port_t *p, void *message, int64_t size, int64_t *length) noexcept nogil:
    return mft_port_pop_bytes(<filled_t *>p, message, size, length)


cdef int64_t port_write(mft_port_t *p, const void *record) noexcept nogil:
    return mft_port_write(<filled_t *>p, record)


cdef int64_t port_write_many(mft_port_t *p, const void *records, int64_t count) noexcept nogil:
    return mft_port_write_many(<filled_t *>p, records, count)


cdef int64_t port_read(mft_port_t *p, void *record, int64_t *age_ns) noexcept nogil:
    return mft_port_read(<filled_t *>p, record, age_ns)


cdef int64_t port_read_book(mft_port_t *p, int64_t levels, int64_t *found) noexcept nogil:
    return mft_port_read_book(<filled_t *>p, levels, found)


cdef int64_t port_next(mft_port_t *p, void *record, int64_t *lost) noexcept nogil:
    return mft_port_next(<filled_t *>p, record, lost)


cdef int64_t port_record(mft_port_t *p, int64_t ns) noexcept nogil:
    return mft_port_record(<filled_t *>p, ns)
