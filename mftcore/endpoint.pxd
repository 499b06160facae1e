"""What the structures' handles and endpoints share: lifetime, forks, threads, waiting."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from mftcore.segment cimport Segment, mft_watch_t


cdef extern from "mftcore/wait.h" nogil:
    const int64_t MFT_LONGEST_SLEEP_NS
    const uint32_t MFT_MOST_BELLS

    ctypedef struct mft_bell_t:
        pass

    # waiter
    int64_t mft_bell_want(mft_bell_t *b) noexcept
    uint32_t mft_bell_arm(mft_bell_t *b) noexcept
    int mft_bell_disarm(mft_bell_t *b, uint32_t armed) noexcept
    int mft_bell_rung(const mft_bell_t *b, uint32_t armed) noexcept
    int mft_bells_sleep(mft_bell_t **bells, const uint32_t *armed, uint32_t count, int64_t timeout_ns) noexcept
    # anybody
    int mft_bell_ring(mft_bell_t *b) noexcept
    int mft_bell_ring_fd(mft_bell_t *b, int fd) noexcept
    # idle steps
    void mft_idle_spin() noexcept
    void mft_idle_yield() noexcept


cdef extern from "mftcore/port.h" nogil:
    enum:
        MFT_END_PRODUCER
        MFT_END_CONSUMER
        MFT_END_BYTES_PRODUCER
        MFT_END_BYTES_CONSUMER
        MFT_END_WRITER
        MFT_END_READER
        MFT_END_BOOK_READER
        MFT_END_BROADCAST_WRITER
        MFT_END_BROADCAST_READER
        MFT_END_RECORDER

    ctypedef struct mft_port_t:
        void *handle
        uint32_t end
        const uint32_t *state
        const uint64_t *born
        const uint64_t *generation
        const uint64_t *epoch
        mft_bell_t *outer
        int outer_fd
        void *window
        uint64_t levels
        uint64_t *seen
        void *stamp


cdef class Waitable:
    """What `wait_any` can wait for."""
    cdef bint sole                      # nobody else ever sleeps at this bell, so it may be disarmed

    cdef int usable(self) except -1                     # raises when it cannot be waited for (any more)
    cdef mft_bell_t *bell(self) noexcept nogil          # where to sleep
    cdef bint ready(self) noexcept nogil                # there is something to do; damage counts, the next call says so
    cdef bint bereaved(self) noexcept                   # the other side has died, and was not yet said to have
    cdef void mourn(self) noexcept                      # it is said now
    cdef int begin_wait(self) except -1                 # until end_wait, which always follows: keep the memory
    cdef int still(self) except -1                      # in the middle of a wait: can it go on?
    cdef void end_wait(self) noexcept


cdef class Handle(Waitable):
    """Base of `SpscRing` and the like: holds the memory, no role; travels to children."""
    cdef Segment segment                # None: never opened
    cdef uint64_t born                  # fork generation in which the segment was mapped
    cdef const uint64_t *generation

    cdef int start(self, Segment segment) except -1     # take a segment over
    cdef int opened(self) except -1                     # of the subclass: check the geometry, take the pointers
    cdef int refuse(self) except -1                     # says why; or maps anew, in a forked child

    cdef inline int check(self) except -1:
        """First in every method: closed or never opened raises; after a fork it maps the memory anew."""
        if self.segment is not None and not self.segment.closed and self.born == self.generation[0]:
            return 0
        return self.refuse()


cdef class Endpoint(Waitable):
    """Base of producers, consumers, writers, readers: keeps the mapping alive, holds at most one role."""
    cdef Segment segment
    cdef int role                       # -1: none
    cdef uint64_t word                  # with which the role was claimed
    cdef readonly uint64_t epoch        # of the role; 0 without one
    cdef uint32_t state                 # 0: usable; else ENDPOINT_CLOSED, ENDPOINT_BUSY, ENDPOINT_LENT
    cdef uint64_t born                  # fork generation in which it was made
    cdef const uint64_t *generation     # the process's current fork generation
    cdef int peer                       # role on the other side, whose death ends a wait; -1: none
    cdef mft_watch_t watch              # of that holder
    cdef uint64_t self_word             # this process, as roles know it
    cdef uint64_t mourned               # the dead holder that was told about
    cdef bint closing                   # to be closed when what it lends is back
    cdef bint grieving                  # told in the wait that goes on
    cdef Segment outer                  # of a doorbell that is rung as well
    cdef mft_bell_t *outer_bell         # NULL: none
    cdef int outer_fd
    cdef mft_port_t _port               # for compiled code: filled when it is first asked for

    cdef int fill_port(self, mft_port_t *port) except -1    # of the subclass: the handle, which end, what a reader needs
    cdef int open(self, Segment segment, int role, str role_name, int peer) except -1
    cdef int ring_as_well(self, Segment segment, mft_bell_t *bell, int fd) except -1
    cdef bint peer_alive(self) except -1
    cdef str peer_name(self)            # "producer" of ...
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

    cdef inline void ring_outer(self) noexcept:
        """After publishing: the doorbell that was given to this endpoint, if any."""
        if self.outer_bell is not NULL:
            mft_bell_ring_fd(self.outer_bell, self.outer_fd)


cdef list wait_for(list items, object timeout_s, str mode)
cdef object event_loops()               # mftcore.aio
cdef int64_t deadline_of(object timeout_s) except? -1
