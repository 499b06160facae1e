"""The structures without the GIL, for Cython code of yours: ``from mftcore cimport port_of, port_push``.

A *port* is what compiled code knows of an endpoint that Python made. Ask for it with the GIL, use it without::

    cdef mft_port_t *port = port_of(consumer)       # ClosedError and the like are raised here
    with nogil:
        while port_pop(port, &trade) == 1:
            ...

A port is good as long as its endpoint: keep the Python object while you use it. An endpoint that is closed meanwhile, or
belongs to a parent process, is a negative result and not a crash; one thread at a time uses it.

What you build against one version goes on working with the next: it holds no size and no field of ours, only the names of
these functions, which are looked up when your module is imported, and `MFT_PORT_ABI`, which `port_of` compares.
"""

from libc.stdint cimport int64_t


cdef extern from *:
    """
    typedef struct mft_port mft_port_t;
    """
    ctypedef struct mft_port_t:
        pass


cdef enum:
    MFT_PORT_ABI = 1                    # goes up when a call below changes its meaning

cdef enum:                              # negative results
    MFT_PORT_CORRUPT = -2               # indices in shared memory are out of their bounds: something else writes to it
    MFT_PORT_ARGUMENT = -8              # a negative count; a message longer than its ring
    MFT_PORT_UNUSABLE = -12             # closed, of before a fork, in use by another thread, or its records are lent
    MFT_PORT_UNSTABLE = -13             # overwritten during each of 64 attempts to read it: try again
    MFT_PORT_SMALL = -14                # the message is longer than the place for it
    MFT_PORT_WRONG_END = -15            # this kind of endpoint has no such call


cdef inline mft_port_t *port_of(object endpoint) except NULL:
    """Of an endpoint, or an exception: closed, in use, of before a fork, none, or your module is too old."""
    return port_for(endpoint, MFT_PORT_ABI)

cdef int port_error(int64_t result) except -1   # raises what a negative result means; with the GIL

# SpscProducer: 1: pushed, 0: full; how many
cdef int64_t port_push(mft_port_t *p, const void *record) noexcept nogil
cdef int64_t port_push_many(mft_port_t *p, const void *records, int64_t count) noexcept nogil
# SpscConsumer: 1: popped, 0: empty; how many
cdef int64_t port_pop(mft_port_t *p, void *record) noexcept nogil
cdef int64_t port_pop_many(mft_port_t *p, void *records, int64_t count) noexcept nogil
# ByteProducer: 1: pushed, 0: no room
cdef int64_t port_push_bytes(mft_port_t *p, const void *message, int64_t length) noexcept nogil
# ByteConsumer: 1: popped, 0: empty; with MFT_PORT_SMALL the message stays, and `length` is what it needs
cdef int64_t port_pop_bytes(mft_port_t *p, void *message, int64_t size, int64_t *length) noexcept nogil
# SeqlockWriter: the version; BroadcastWriter: the number of the record
cdef int64_t port_write(mft_port_t *p, const void *record) noexcept nogil
# BroadcastWriter: the number of the last one
cdef int64_t port_write_many(mft_port_t *p, const void *records, int64_t count) noexcept nogil
# SeqlockReader: the version, 0: never written, and `record` is zeroed
cdef int64_t port_read(mft_port_t *p, void *record, int64_t *age_ns) noexcept nogil
# BookReader: the version, 0: none; into the reader's `bids` and `asks`. found: age_ns, state, n_bids, n_asks
cdef int64_t port_read_book(mft_port_t *p, int64_t levels, int64_t *found) noexcept nogil
# BroadcastReader: the number of the record, 0: none yet; `lost`: missed by this reader in all
cdef int64_t port_next(mft_port_t *p, void *record, int64_t *lost) noexcept nogil
# HistogramRecorder: 0
cdef int64_t port_record(mft_port_t *p, int64_t ns) noexcept nogil
# nanoseconds of CLOCK_MONOTONIC, the clock of every age
cdef int64_t port_now_ns() noexcept nogil

# for `port_of`
cdef mft_port_t *port_for(object endpoint, int abi) except NULL
