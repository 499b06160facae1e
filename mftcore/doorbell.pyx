"""`Doorbell`: lifetime, checks, exceptions; the protocol is ``include/mftcore/wait.h``."""

import fcntl
import os

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno

from mftcore.endpoint cimport mft_bell_arm, mft_bell_disarm, mft_bell_ring_fd, mft_bell_rung, mft_bell_want
from mftcore.segment cimport MFT_KIND_DOORBELL, MFT_OK, MFT_TIMEOUT, mft_now_ns

from mftcore.errors import ClosedError, KernelError, LayoutError, RecordError


cdef extern from "unistd.h" nogil:
    int os_close "close"(int fd) noexcept


cdef enum:
    LONGEST_WAIT_S = 1_000_000_000


@cython.final
@cython.no_gc_clear
cdef class Doorbell(Handle):
    """A bell for one waiting loop: others ring it after they published, at no cost while the loop is awake.

    A handle without roles, made by `create` and given to child processes as an argument. One loop waits on it; any
    number of processes and threads ring it.

    The loop that also waits for sockets::

        bell.arm()
        if not work():                      # once more, after arming: else a wake-up can be lost
            epoll.poll(timeout)             # bell.fileno() is registered
        bell.disarm()

    The loop that waits for nothing else::

        while running:
            work()
            bell.wait(0.1)

    Notes
    -----
    A ringer killed between publishing and ringing rings nobody: always wait with a timeout (100 ms is good) and look
    for work when it passes. Protocol and fences: ``mftcore/include/mftcore/wait.h``.
    """

    KIND = MFT_KIND_DOORBELL
    VERSION = MFT_DOORBELL_VERSION

    def __cinit__(self, *args, **kwargs):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            os_close(self.fd)

    @staticmethod
    def create():
        """Make a doorbell: a page of anonymous memory and an eventfd.

        Raises
        ------
        MemoryRefused, KernelError
            No memory; no descriptors left.
        """
        cdef Doorbell self = Doorbell.__new__(Doorbell)
        self.start(Segment.make(
            MFT_KIND_DOORBELL, MFT_DOORBELL_VERSION, "Doorbell", record_bytes=4, capacity=1,
            data_bytes=sizeof(mft_bell_t),
        ))
        self.fd = mft_doorbell_eventfd()
        if self.fd < 0:
            code = errno
            self.close()
            raise KernelError(code, f"a doorbell needs an eventfd: {os.strerror(code)}")
        self.segment.publish()
        return self

    @classmethod
    def attach(cls, name, dtype=None):
        """Refused: a doorbell has no name, since an eventfd has none; hand it over as an argument."""
        raise TypeError("a Doorbell has no name to attach to; give it to the other process as an argument")

    @classmethod
    def attach_fd(cls, fd):
        """Refused: a doorbell is two descriptors; hand it over as an argument."""
        raise TypeError("a Doorbell is two descriptors; give it to the other process as an argument")

    @classmethod
    def remove(cls, name):
        """Refused: a doorbell has no name."""
        raise TypeError("a Doorbell has no name that could be taken away")

    cdef int opened(self) except -1:
        self.shared = <mft_bell_t *>self.segment.seg.data
        mft_bell_want(self.shared)  # somebody will sleep here, and with poll or epoll nothing bounds the first sleep
        return 0

    def ring(self):
        """Wake the waiter if it sleeps or is about to; call it after publishing, once per batch.

        Returns
        -------
        bool
            True when a system call was needed; False when the waiter was awake, a matter of nanoseconds.
        """
        cdef int rc
        self.check()
        rc = mft_bell_ring_fd(self.shared, self.fd)
        if rc < 0:
            code = errno
            raise KernelError(code, f"this Doorbell cannot be rung: {os.strerror(code)}")
        return rc == 1

    def arm(self):
        """Waiter: from now on rings make `fileno` readable. Look for work once more before sleeping."""
        self.check()
        self.word = mft_bell_arm(self.shared)
        self.armed = True

    def disarm(self):
        """Waiter: awake again; takes the rings that came. True when there were any."""
        cdef bint rung = False
        self.check()
        if self.armed:
            rung = mft_bell_disarm(self.shared, self.word)
            self.armed = False
        return mft_doorbell_take(self.fd) == 1 or rung

    def fileno(self):
        """Return the eventfd, to be polled for reading; it stays this handle's own."""
        self.check()
        return self.fd

    def wait(self, timeout_s):
        """Waiter: sleep until rung.

        The first call after work arms the bell and returns True at once, so that the caller looks for work once more
        (it may have come just before); the next call sleeps. So ``while True: work(); bell.wait(0.1)`` loses nothing.

        Parameters
        ----------
        timeout_s : float
            Seconds, from 0.

        Returns
        -------
        bool
            True: look for work. False: nobody rang in that time (look all the same: a ringer may have been killed
            before it rang). The bell stays armed then.

        Raises
        ------
        KeyboardInterrupt
            Or whatever a signal handler raises; the bell stays as it was.
        """
        cdef int64_t left_ns, deadline_ns
        cdef int rc, code
        cdef double seconds = timeout_s
        self.check()
        if not 0 <= seconds <= LONGEST_WAIT_S:
            raise RecordError(f"a timeout is between 0 and {LONGEST_WAIT_S} seconds, not {timeout_s!r}")
        if not self.armed:
            self.arm()
            return True
        deadline_ns = mft_now_ns() + <int64_t>(seconds * 1e9)
        while True:
            left_ns = deadline_ns - mft_now_ns()
            if left_ns < 0:
                left_ns = 0
            with nogil:
                rc = mft_doorbell_sleep(self.fd, left_ns)
                code = errno
            self.check()  # another thread may have closed the bell meanwhile
            if rc == MFT_OK:
                self.disarm()
                return True
            if rc == MFT_TIMEOUT:
                return False
            if code != EINTR:
                raise KernelError(code, f"this Doorbell cannot wait: {os.strerror(code)}")
            PyErr_CheckSignals()

    # ---- in wait_any ----

    cdef int usable(self) except -1:
        return self.check()

    cdef mft_bell_t *bell(self) noexcept nogil:
        return self.shared

    cdef bint ready(self) noexcept nogil:
        return self.looked or mft_bell_rung(self.shared, self.word)

    cdef int begin_wait(self) except -1:
        self.segment.pin()
        if not self.armed:
            self.arm()
            self.looked = True  # what was published before the arm was not rung for: the caller looks once more
        return 0

    cdef int still(self) except -1:
        return self.check()

    cdef void end_wait(self) noexcept:
        if not self.looked and mft_bell_rung(self.shared, self.word):
            self.armed = False
            mft_bell_disarm(self.shared, self.word)
            mft_doorbell_take(self.fd)
        self.looked = False
        self.segment.unpin()

    def close(self):
        """Give memory and descriptor back; a thread that waits here gets `ClosedError`. Twice does nothing."""
        if self.segment is not None and not self.segment.closed:
            self.segment.closed = True  # first: whoever is woken now finds it closed
            mft_bell_ring_fd(self.shared, self.fd)
            self.segment.closed = False
            self.segment.close()
        if self.fd >= 0:
            os_close(self.fd)
            self.fd = -1

    def __copy__(self):
        raise TypeError("a Doorbell cannot be copied; give it to the other process as an argument")

    def __reduce__(self):
        self.check()
        from multiprocessing import reduction  # here: it is dear to import

        return _receive, (self.segment, reduction.DupFd(self.fd))


def _receive(Segment segment, handed):
    cdef Doorbell self = Doorbell.__new__(Doorbell)
    fd = handed.detach()
    if segment.kind != MFT_KIND_DOORBELL or os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:[eventfd]":
        os.close(fd)
        raise LayoutError("what was sent as a Doorbell is none")
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    self.fd = fd  # closed with this object, also when the next line fails
    self.start(segment)
    return self


cdef int ring_also(Endpoint endpoint, object bell) except -1:
    """Let an endpoint ring a doorbell after each call that published; None: none."""
    cdef Doorbell doorbell
    if bell is not None:
        if not isinstance(bell, Doorbell):
            raise TypeError(f"bell is a Doorbell, not {bell!r}")
        doorbell = bell
        doorbell.check()
        endpoint.ring_as_well(doorbell.segment, doorbell.shared, doorbell.fd)
    return 0
