"""What the structures' handles and endpoints share: lifetime, forks, threads, waiting.

No algorithm here: sleeping and waking is ``include/mftcore/wait.h``, roles ``segment.h``, forks ``fork.h``.
"""

import os

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno

from mftcore.segment cimport (
    MFT_E_SYSTEM,
    fork_generation,
    mft_now_ns,
    mft_owner_pid,
    mft_segment_self,
    mft_watch_alive,
    mft_watch_close,
    mft_watch_dead,
    mft_watch_init,
)

from mftcore.errors import ClosedError, ForkedError, KernelError, LayoutError, PeerDied, RecordError, RoleBusy


cdef extern from "unistd.h" nogil:
    int os_close "close"(int fd) noexcept


cdef enum:
    ENDPOINT_CLOSED = 1
    ENDPOINT_BUSY = 2
    ENDPOINT_LENT = 4
    MOST_ITEMS = 128                    # MFT_MOST_BELLS
    SPINS_AT_ONCE = 256                 # between two looks at clock and signals

cdef double LONGEST_WAIT_S = 1e9


cdef class Waitable:
    """What `wait_any` can wait for. Not public."""

    cdef int usable(self) except -1:
        raise TypeError(f"a {type(self).__name__} cannot be waited for; ask it for an endpoint")

    cdef mft_bell_t *bell(self) noexcept nogil:
        return NULL

    cdef bint ready(self) noexcept nogil:
        return True

    cdef bint bereaved(self) noexcept:
        return False

    cdef void mourn(self) noexcept:
        pass

    cdef int begin_wait(self) except -1:
        return 0

    cdef int still(self) except -1:
        return 0

    cdef void end_wait(self) noexcept:
        pass


cdef object _aio = None


cdef object event_loops():
    """Return `mftcore.aio`; imported when it is first needed: asyncio is dear to import, and most do without."""
    global _aio
    if _aio is None:
        from mftcore import aio

        _aio = aio
    return _aio


@cython.no_gc_clear
cdef class Handle(Waitable):
    """Base of the structures' handles. Not public.

    A handle holds memory and no role, and can be given to a child process as an argument.

    Attributes
    ----------
    name : str or None
        None for anonymous memory.
    """

    # of the subclass: which structure this is, for attaching
    KIND = 0
    VERSION = 0

    def __cinit__(self, *args, **kwargs):
        self.generation = fork_generation()

    def __init__(self):
        name = type(self).__name__
        raise TypeError(f"{name} has no constructor; use {name}.create(...) or {name}.attach(name)")

    cdef int start(self, Segment segment) except -1:
        self.segment = segment
        self.born = self.generation[0]
        try:
            self.opened()
        except BaseException:
            segment.close()
            raise
        return 0

    cdef int opened(self) except -1:
        return 0

    cdef int refuse(self) except -1:
        cdef Segment fresh, old
        if self.segment is None:
            name = type(self).__name__
            raise ClosedError(f"this {name} was never opened; use {name}.create(...) or {name}.attach(name)")
        old = self.segment
        old.check()
        fresh = old.renewed()
        # Another thread may be here as well. Between the next line and the moment at which `opened` has taken the new
        # pointers the GIL is not given away, so no thread ever uses those into memory that is gone.
        self.segment = fresh
        self.opened()
        self.born = self.generation[0]
        old.close()
        return 0

    @classmethod
    def attach(cls, name, dtype=None):
        """Attach to a named structure that another process made.

        Parameters
        ----------
        name : str
        dtype : dtype-like or int, optional
            What the records should be; refused when they are not. Without it, the structure's own type is taken.

        Raises
        ------
        NoSuchSegment, LayoutError, UnsafePath
            There is none; it is damaged, of another kind, version or record type; it is not ours alone.
        """
        from mftcore.layout import canonical_text, record_dtype  # here: layout needs NumPy, most of the import time

        cdef Handle self = cls.__new__(cls)
        expected = None if dtype is None else canonical_text(record_dtype(dtype))
        self.start(Segment.attach(cls.KIND, cls.VERSION, cls.__name__, checked_name(name)))
        if expected is not None and self.segment.dtype_text != expected:
            found = self.segment.dtype_text
            self.close()
            raise LayoutError(f"{cls.__name__} '{name}' holds records of {found}, expected {expected}")
        return self

    @classmethod
    def attach_fd(cls, fd):
        """Attach to the structure behind a descriptor from SCM_RIGHTS; takes the descriptor over.

        Raises
        ------
        LayoutError
            The descriptor is not of such a structure of this user.
        """
        cdef Handle self = cls.__new__(cls)
        self.start(Segment.attach_fd(cls.KIND, cls.VERSION, cls.__name__, fd))
        return self

    @classmethod
    def remove(cls, name):
        """Take away the name of a structure whose users are all dead; `RoleTaken` names the one who lives."""
        Segment.remove(cls.KIND, cls.VERSION, cls.__name__, checked_name(name))

    @property
    def name(self):
        return None if self.segment is None else self.segment.name

    def fileno(self):
        """Return the descriptor of the memory, for SCM_RIGHTS; it stays this handle's own."""
        self.check()
        return self.segment.fileno()

    def lock(self):
        """Keep the memory from being swapped out (``mlock``), as long as it is mapped.

        Returns
        -------
        bool
            False when the limit for locked memory (``ulimit -l``) does not allow it; the memory is usable all the same.
        """
        self.check()
        return self.segment.lock()

    def close(self):
        """Give the handle back; its endpoints go on until they are closed. Twice does nothing."""
        if self.segment is not None:
            self.segment.close()

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, *exc):
        self.close()

    def __reduce__(self):
        self.check()
        return _receive, (type(self), self.segment)

    def __copy__(self):
        """Return another handle of the same memory, which is closed by itself."""
        self.check()
        return _receive(type(self), self.segment.renewed())

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __repr__(self):
        if self.segment is None or self.segment.is_closed:
            return f"<{type(self).__name__} closed>"
        return f"<{self.segment.what} of {self.segment.total_bytes} bytes>"


def _receive(cls, Segment segment):
    cdef Handle self = cls.__new__(cls)
    if segment.kind != cls.KIND:
        segment.close()
        raise LayoutError(f"what was sent as a {cls.__name__} is none")
    self.start(segment)
    return self


def whole_number(value, low, high, str what):
    """Return a whole number between two bounds, asked for it once; `RecordError` when it is none."""
    try:
        number = value.__index__()
    except AttributeError:
        raise RecordError(f"{what} is a whole number, not {value!r}") from None
    if isinstance(value, bool) or not low <= number <= high:
        raise RecordError(f"{what} is between {low} and {high}, not {value!r}")
    return number


def checked_name(name):
    """Return a segment's name; `RecordError` when it is no string. Its letters are checked where it is used."""
    if not isinstance(name, str):
        raise RecordError(f"a name is a string, not {name!r}")
    return str(name)


@cython.no_gc_clear
cdef class Endpoint(Waitable):
    """Base of what producers, consumers, writers and readers share; see ``endpoint.pxd``. Not public.

    Attributes
    ----------
    epoch : int
        Which holder of the role this is, from 1; 0 when the endpoint holds none.
    """

    def __cinit__(self, *args, **kwargs):
        self.role = self.peer = self.outer_fd = -1
        self.state = ENDPOINT_CLOSED
        self.generation = fork_generation()
        mft_watch_init(&self.watch)

    def __init__(self):
        raise TypeError(f"{type(self).__name__} has no constructor; ask a handle for one")

    def __dealloc__(self):
        self.shut()

    cdef int open(self, Segment segment, int role, str role_name, int peer) except -1:
        segment.pin()
        try:
            if role >= 0:
                self.epoch = segment.claim(role, role_name, &self.word)
        except BaseException:
            segment.unpin()
            raise
        self.segment = segment
        self.role = role
        self.peer = peer
        self.self_word = mft_segment_self(&segment.seg)
        self.born = self.generation[0]
        self.state = 0
        return 0

    cdef int ring_as_well(self, Segment segment, mft_bell_t *bell, int fd) except -1:
        cdef int own = os.dup(fd)
        try:
            segment.pin()
        except BaseException:
            os.close(own)
            raise
        self.outer, self.outer_bell, self.outer_fd = segment, bell, own
        return 0

    cdef int refuse(self) except -1:
        if self.segment is None:
            raise ClosedError(f"this {type(self).__name__} was never opened; ask a handle for one")
        if self.born != self.generation[0]:
            raise ForkedError(
                f"this {type(self).__name__} of {self.segment.what} was made before the fork and belongs to the "
                "parent; ask the handle for a new one in this process"
            )
        if self.state & ENDPOINT_CLOSED:
            raise ClosedError(f"this {type(self).__name__} of {self.segment.what} is closed")
        if self.state & ENDPOINT_BUSY:
            raise RoleBusy(
                f"another thread is inside a call of this {type(self).__name__} of {self.segment.what}; "
                "one thread at a time, with a lock of yours if need be"
            )
        raise RoleBusy(
            f"records of {self.segment.what} are lent to a claim or peek of this {type(self).__name__}: leave its "
            "block, and delete every array made from it, before the next call"
        )

    cdef void shut(self) noexcept:
        if self.state & ENDPOINT_CLOSED:
            return
        self.state = ENDPOINT_CLOSED
        if self.role >= 0 and self.born == self.generation[0]:
            self.segment.release(self.role, self.word)
        mft_watch_close(&self.watch)
        self.segment.unpin()
        if self.outer_bell is not NULL:
            self.outer_bell = NULL
            os_close(self.outer_fd)
            self.outer.unpin()

    cdef int fill_port(self, mft_port_t *port) except -1:
        raise TypeError(f"a {type(self).__name__} cannot be used from compiled code")

    @property
    def port(self):
        """int: address of what compiled code needs, valid as long as this endpoint; see ``mftcore/port.h``."""
        self.check()
        self._port.state, self._port.epoch = &self.state, &self.epoch
        self._port.born, self._port.generation = &self.born, self.generation
        self._port.outer, self._port.outer_fd = self.outer_bell, self.outer_fd
        self.fill_port(&self._port)
        return <size_t>&self._port

    cdef bint peer_alive(self) except -1:
        self.check()
        return mft_watch_alive(&self.watch, &self.segment.seg, self.peer, self.self_word, mft_now_ns()) == 1

    cdef str peer_name(self):
        return "other side"

    # ---- waiting ----

    cdef int usable(self) except -1:
        return self.check()

    cdef bint bereaved(self) noexcept:
        cdef uint64_t word
        if self.peer < 0:
            return False
        word = mft_watch_dead(&self.watch, &self.segment.seg, self.peer, self.self_word, mft_now_ns())
        return word != 0 and word != self.mourned

    cdef void mourn(self) noexcept:
        self.mourned = self.watch.word
        self.grieving = True

    cdef int begin_wait(self) except -1:
        return self.enter()

    cdef int still(self) except -1:
        if self.born != self.generation[0]:  # a signal handler has forked, and this is the child
            self.refuse()
        return 0

    cdef void end_wait(self) noexcept:
        self.leave()

    def wait(self, timeout_s, *, str mode="park"):
        """Wait until there is something to do here: a record, room for one, a newer value.

        Parameters
        ----------
        timeout_s : float or None
            Seconds, from 0; None for ever.
        mode : {"park", "yield", "spin"}
            Sleep in the kernel; give the core away between looks; only look. The GIL is released.

        Returns
        -------
        bool
            False when the time passed.

        Raises
        ------
        PeerDied
            The process on the other side died and nobody has taken its place; raised once for each that died, and only
            when there is nothing to do. What it had committed was delivered. Wait again for its successor.
        RoleBusy, ClosedError, ForkedError
            As for every call.
        KeyboardInterrupt
            Or whatever a signal handler raises.
        """
        if not wait_for([self], timeout_s, mode):
            return False
        if self.grieving:
            self.grieving = False
            pid = mft_owner_pid(self.mourned)
            raise PeerDied(
                f"process {pid}, the {self.peer_name()} of {self.segment.what}, died and nothing is left of it to be "
                "read; wait again for a successor, or end", pid,
            )
        return True

    def wait_async(self, timeout_s=None):
        """As `wait`, for a task of asyncio or uvloop: ``await endpoint.wait_async(1.0)``.

        Cancelling the task loses nothing. One task at a time may wait at an endpoint.

        Raises
        ------
        RecordError
            A timeout that makes no sense.
        PeerDied, RoleBusy, ClosedError, ForkedError
            As `wait`.
        """
        self.check()
        deadline_of(timeout_s)  # a timeout that makes no sense is refused as by `wait`
        return event_loops().wait(self, timeout_s)

    def close(self):
        """Give the role back, so that another may claim it; the endpoint is then of no use. Twice does nothing."""
        if self.state & (ENDPOINT_BUSY | ENDPOINT_LENT) and self.born == self.generation[0]:
            self.refuse()
        self.shut()

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and self.state & ENDPOINT_LENT and self.born == self.generation[0]:
            self.closing = True  # as soon as what was lent is back; the error must not be hidden by another
        else:
            self.close()

    def __reduce__(self):
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled: it holds a role of this process; hand over the handle and "
            "ask it for an endpoint there"
        )


def wait_any(items, timeout_s, *, str mode="park"):
    """Wait until there is something to do at any of several endpoints and doorbells.

    Parameters
    ----------
    items : iterable of consumers, producers, readers and `Doorbell`, at most 128
        A consumer is ready when there are records, a producer when there is room, a reader when there is a newer value
        than it has read, a doorbell when it was rung.
    timeout_s : float or None
        Seconds, from 0; None for ever.
    mode : {"park", "yield", "spin"}
        Sleep in the kernel; give the core away between looks; only look.

    Returns
    -------
    list
        Those that are ready, in the given order; empty when the time passed. An endpoint whose other side has died is
        in it once, although there may be nothing to do: look at its ``..._alive``.

    Raises
    ------
    RecordError
        More than 128 items, a timeout or mode that makes no sense.
    RoleBusy, ClosedError, ForkedError
        One of them cannot be waited for.

    Notes
    -----
    Sleeps on all of them with one system call (``futex_waitv``, Linux 5.16; before that it looks every millisecond).
    For waiting on sockets as well, use a `Doorbell` and its ``fileno()``.
    """
    cdef list found = wait_for(list(items), timeout_s, mode)
    for item in found:
        if isinstance(item, Endpoint):
            (<Endpoint>item).grieving = False
    return found


cdef int64_t deadline_of(object timeout_s) except? -1:
    """CLOCK_MONOTONIC in ns at which a timeout passes."""
    cdef double seconds
    if timeout_s is None:
        return 1 << 62
    seconds = timeout_s
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise RecordError(f"a timeout is between 0 and {LONGEST_WAIT_S:g} seconds, or None, not {timeout_s!r}")
    return mft_now_ns() + <int64_t>(seconds * 1e9)


cdef list wait_for(list items, object timeout_s, str mode):
    cdef int64_t deadline_ns = deadline_of(timeout_s)
    cdef bint park = mode == "park", give_away = mode == "yield"
    cdef list begun = [], found
    cdef Waitable item
    if not park and not give_away and mode != "spin":
        raise RecordError(f'a wait mode is "park", "yield" or "spin", not {mode!r}')
    if not 1 <= len(items) <= MOST_ITEMS:
        raise RecordError(f"one can wait for 1 to {MOST_ITEMS} items at once, not {len(items)}; use a Doorbell")
    for thing in items:
        if not isinstance(thing, Waitable):
            raise TypeError(f"{type(thing).__name__} cannot be waited for; endpoints and doorbells can")
    if len(set(map(id, items))) != len(items):
        raise RecordError("something stands twice among the items to wait for")
    try:
        for item in items:
            item.usable()
            item.begin_wait()
            begun.append(item)
        while True:
            found = [item for item in items if is_ready(item)]
            if found or mft_now_ns() >= deadline_ns:
                for item in found:
                    if not item.ready():
                        item.mourn()
                return found
            if park:
                sleep_at(items, deadline_ns)
            elif len(items) == 1:
                look_at(<Waitable>items[0], give_away)
            else:
                with nogil:  # whoever is waited for may be a thread of this process
                    if give_away:
                        mft_idle_yield()
                    else:
                        mft_idle_spin()
            PyErr_CheckSignals()
            for item in items:
                item.still()
    finally:
        for item in begun:
            item.end_wait()


cdef bint is_ready(Waitable item) noexcept:
    return item.ready() or item.bereaved()


cdef void look_at(Waitable item, bint give_away) noexcept:
    """Look at one item many times without the GIL."""
    cdef int i
    with nogil:
        for i in range(SPINS_AT_ONCE):
            if item.ready():
                break
            if give_away:
                mft_idle_yield()
            else:
                mft_idle_spin()


cdef int sleep_at(list items, int64_t deadline_ns) except -1:
    """Arm all bells, look once more, sleep for a bounded time. A signal ends the sleep; the caller looks at it."""
    cdef mft_bell_t *bells[MOST_ITEMS]
    cdef uint32_t armed[MOST_ITEMS]
    cdef uint32_t count = len(items), i
    cdef int64_t sleep_ns = MFT_LONGEST_SLEEP_NS
    cdef bint ready = False
    cdef int rc = 0, code = 0
    cdef Waitable item
    for i in range(count):
        bells[i] = (<Waitable>items[i]).bell()
        sleep_ns = min(sleep_ns, mft_bell_want(bells[i]))
        armed[i] = mft_bell_arm(bells[i])
    for item in items:
        ready = ready or item.ready()
    if not ready:
        sleep_ns = max(min(sleep_ns, deadline_ns - mft_now_ns()), 0)
        with nogil:
            rc = mft_bells_sleep(bells, armed, count, sleep_ns)
            code = errno
    for i in range(count):
        if (<Waitable>items[i]).sole:
            mft_bell_disarm(bells[i], armed[i])
    if rc == MFT_E_SYSTEM and code != EINTR:
        raise KernelError(code, f"cannot wait: {os.strerror(code)}")
    return 0
