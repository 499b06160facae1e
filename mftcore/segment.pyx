"""Shared memory for the structures of this package: lifetime, handing to children, errors.

No algorithm here: ``include/mftcore/segment.h`` and ``named.h`` make, check and attach; this module raises for them.
"""

import fcntl
import os
import weakref

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport errno
from libc.string cimport memset, strerror

from mftcore import memory
from mftcore.errors import (
    ClosedError,
    KernelError,
    LayoutError,
    MemoryRefused,
    NameInUse,
    NoSuchSegment,
    RecordError,
    RoleTaken,
    UnsafePath,
)


cdef extern from *:
    """
    #include "mftcore/fork.h"
    /* Whoever calls fork: endpoints of the parent then know that they crossed. */
    static mft_forks_t mft_forks = {.lock = PTHREAD_MUTEX_INITIALIZER, .generation = 1};
    static void mft_before_fork(void) { pthread_mutex_lock(&mft_forks.lock); }
    static void mft_after_fork(void) { pthread_mutex_unlock(&mft_forks.lock); }
    static void mft_in_child(void) { mft_forks_in_child(&mft_forks); pthread_mutex_unlock(&mft_forks.lock); }
    static int mft_watch_forks(void) { return pthread_atfork(mft_before_fork, mft_after_fork, mft_in_child); }
    """
    ctypedef struct mft_forks_t:
        uint64_t generation

    mft_forks_t mft_forks
    int mft_watch_forks() nogil
    void mft_forks_add(mft_forks_t *forks, mft_mapping_t *m, void *address, size_t bytes, size_t mirror,
                       int fd) noexcept nogil
    void mft_forks_drop(mft_forks_t *forks, mft_mapping_t *m) noexcept nogil


cdef const uint64_t *fork_generation() noexcept:
    return &mft_forks.generation


cdef extern from "fcntl.h" nogil:
    const int F_DUPFD_CLOEXEC
    int c_fcntl "fcntl"(int fd, int command, ...) noexcept


cdef extern from "sys/mman.h" nogil:
    int mlock(const void *address, size_t bytes) noexcept


cdef extern from "mftcore/named.h" nogil:
    ctypedef struct mft_spec_t:
        uint32_t kind
        uint32_t version
        uint64_t record_bytes
        uint64_t capacity
        uint64_t data_bytes
        uint64_t *params
        const char *dtype
        const char *meta

    const unsigned MFT_META_BYTES
    const unsigned MFT_DTYPE_BYTES
    const unsigned MFT_PAGE
    int mft_segment_make(mft_segment_t *s, const mft_spec_t *spec) noexcept
    int mft_segment_attach(mft_segment_t *s, int fd, uint32_t kind, uint32_t version) noexcept
    int mft_segment_mirror(mft_segment_t *s, uint64_t bytes) noexcept
    void mft_segment_publish(mft_segment_t *s) noexcept
    void mft_segment_init(mft_segment_t *s) noexcept
    void mft_segment_detach(mft_segment_t *s) noexcept
    int mft_role_claim(mft_segment_t *s, unsigned role, uint64_t *epoch, uint64_t *holder) noexcept
    int mft_role_release(mft_segment_t *s, unsigned role, uint64_t word) noexcept
    int mft_named_directory(const char *path, int make) noexcept
    int mft_named_make(mft_segment_t *s, int directory, const mft_spec_t *spec) noexcept
    int mft_named_publish(mft_segment_t *s, int directory, const char *name) noexcept
    int mft_named_attach(mft_segment_t *s, int directory, const char *name, uint32_t kind, uint32_t version) noexcept
    int mft_named_remove(const mft_segment_t *s, int directory, const char *name) noexcept
    int mft_name_ok(const char *name) noexcept


if mft_watch_forks() != 0:
    raise MemoryError("pthread_atfork has no memory to watch for forks")


def directory_path():
    """Return the directory of named segments of this user: 0700, on the tmpfs `mftcore.memory.SHM_ROOT`."""
    return f"{memory.SHM_ROOT}/mftcore-{os.geteuid()}"


def process_generation():
    """Return how many forks lie between this process and the one that first imported the package, plus one."""
    return mft_forks.generation


cdef int _directory(bint make) except -1:
    """An open descriptor of the directory, or the exception that says why not."""
    cdef bytes path = os.fsencode(directory_path())
    cdef int fd = mft_named_directory(path, make)
    cdef int code = errno
    if fd >= 0:
        return fd
    if fd == MFT_E_UNSAFE:
        raise UnsafePath(
            f"{directory_path()} is not a directory of this user with mode 0700; somebody else may have made it: "
            "have it removed, or use anonymous memory"
        )
    if fd == MFT_E_NOT_FOUND:
        raise NoSuchSegment(f"there is no {directory_path()}, so no named segment of this user exists")
    if fd == MFT_E_NO_SPACE:
        raise MemoryRefused(f"{memory.SHM_ROOT} is full: there is not even room for a directory")
    raise KernelError(
        code, f"cannot use {directory_path()} for named segments ({strerror(code).decode()}); is {memory.SHM_ROOT} a "
        "writable tmpfs?",
    )


def open_directory():
    """Return an open descriptor of the directory of named segments; `NoSuchSegment` when there is none."""
    return _directory(False)


cdef bytes _checked_name(str name):
    cdef bytes encoded
    try:
        encoded = name.encode("ascii")
    except UnicodeEncodeError:
        encoded = b""
    if b"\0" in encoded or not mft_name_ok(encoded):
        raise RecordError(f"a name has 1 to 200 letters, digits, '.', '_' or '-' and no leading dot, not {name!r}")
    return encoded


cdef class Segment:
    """One mapped piece of shared memory; see ``segment.pxd`` for its use. Not public.

    Attributes
    ----------
    name : str or None
        None for anonymous memory.
    what : str
        What it is, for messages: ``"SpscRing 'trades'"``.
    """

    def __cinit__(self):
        mft_segment_init(&self.seg)
        self.closed = True
        self.unmapped = True

    def __init__(self):
        raise TypeError("Segment has no constructor; use Segment.make, Segment.attach or unpickling")

    def __dealloc__(self):
        self.unmap()

    cdef int mapped(self) except -1:
        self.closed = self.unmapped = False
        self.born = mft_forks.generation
        mft_forks_add(
            &mft_forks, &self.mapping, self.seg.header, self.seg.mapped_bytes, self.seg.mirror_bytes, self.seg.fd
        )
        return 0

    cdef int mirror(self, uint64_t bytes) except -1:
        """Map the last bytes of the data once more behind them; before any pointer or view into it is taken."""
        cdef int rc
        mft_forks_drop(&mft_forks, &self.mapping)
        rc = mft_segment_mirror(&self.seg, bytes)
        mft_forks_add(
            &mft_forks, &self.mapping, self.seg.header, self.seg.mapped_bytes, self.seg.mirror_bytes, self.seg.fd
        )
        if rc != MFT_OK:
            self._fail(rc, bytes)
        return 0

    cdef void unmap(self) noexcept:
        if not self.unmapped:
            self.unmapped = True
            mft_forks_drop(&mft_forks, &self.mapping)
            mft_segment_detach(&self.seg)

    cdef Segment renewed(self):
        """The same memory, mapped anew; in a forked child, where our pages have become private, the parent's.

        The GIL is held throughout: see `Handle.refuse`.
        """
        cdef Segment fresh = Segment.__new__(Segment)
        cdef int fd, rc
        self.check()
        fresh.what, fresh.name = self.what, self.name  # but whoever made it takes the name away
        fd = c_fcntl(self.seg.fd, F_DUPFD_CLOEXEC, 0)
        if fd < 0:
            raise KernelError(errno, f"{self.what} cannot be mapped anew: {strerror(errno).decode()}")
        rc = mft_segment_attach(&fresh.seg, fd, self.seg.layout.kind, self.seg.layout.version)
        if rc != MFT_OK:
            fresh._fail(rc, 0)
        fresh.mapped()
        return fresh

    # ---- making and attaching ----

    @staticmethod
    def make(int kind, int version, str what, *, record_bytes, capacity, data_bytes, str dtype="", str meta="",
             params=(), str name=None):
        """Make a segment that is not ready yet: fill its data, then `publish` it.

        Raises
        ------
        MemoryRefused
            The machine, the control group or the tmpfs has not so much memory left; said before anything is made.
        RecordError
            A size below one or beyond 2^62, a text too long, a name that is none.
        UnsafePath, KernelError
            The directory of named segments is not ours alone; a system call failed.
        """
        cdef Segment self = Segment.__new__(Segment)
        cdef mft_spec_t spec
        cdef bytes dtype_bytes = dtype.encode("ascii"), meta_bytes = meta.encode()
        cdef int rc, directory
        memset(&spec, 0, sizeof(spec))
        self.what = what if name is None else f"{what} '{name}'"
        if name is not None:
            _checked_name(name)
        for size in (record_bytes, capacity, data_bytes):
            if not 1 <= size < 1 << 62:
                raise RecordError(f"{self.what}: a size must be between 1 and 2^62, not {size}")
        if len(dtype_bytes) >= MFT_DTYPE_BYTES or len(meta_bytes) >= MFT_META_BYTES or b"\0" in meta_bytes:
            raise RecordError(
                f"{self.what}: the description of the record type must be shorter than {MFT_DTYPE_BYTES} bytes "
                f"({len(dtype_bytes)} given), its text shorter than {MFT_META_BYTES} and without NUL "
                f"({len(meta_bytes)} given)"
            )
        if len(params) > MFT_PARAMS:
            raise RecordError(f"{self.what}: at most {MFT_PARAMS} parameters")
        spec.kind, spec.version = kind, version
        spec.record_bytes, spec.capacity, spec.data_bytes = record_bytes, capacity, data_bytes
        spec.dtype, spec.meta = dtype_bytes, meta_bytes
        for i, value in enumerate(params):
            spec.params[i] = value
        memory.require(data_bytes + MFT_PAGE, self.what)
        if name is None:
            with nogil:
                rc = mft_segment_make(&self.seg, &spec)
        else:
            directory = _directory(True)
            try:
                with nogil:
                    rc = mft_named_make(&self.seg, directory, &spec)
            finally:
                os.close(directory)
        if rc != MFT_OK:
            self._fail(rc, data_bytes + MFT_PAGE)
        self.name = name
        self.mapped()
        return self

    cdef int publish(self) except -1:
        """Let others attach. Raises NameInUse when the name is taken; the memory is then gone again."""
        cdef int rc, directory
        cdef bytes name
        if self.name is None:
            mft_segment_publish(&self.seg)
            return 0
        name = _checked_name(self.name)
        directory = _directory(True)
        try:
            rc = mft_named_publish(&self.seg, directory, name)
            if rc != MFT_OK:
                self.close()
                if rc == MFT_E_EXISTS:
                    raise NameInUse(self._name_in_use())
                self._fail(rc, 0)
        finally:
            os.close(directory)
        # called by close, or else when the handle is dropped or the interpreter ends
        self.remover = weakref.finalize(self, remove_name, self.name, self.what, os.getpid(), os.dup(self.seg.fd))
        return 0

    cdef int outlive(self) except -1:
        """The name stays when this handle, which made it, goes; somebody takes it away with `unname`."""
        _, _, arguments, _ = self.remover.detach()
        os.close(arguments[-1])
        self.remover = None
        return 0

    cdef int unname(self) except -1:
        """Take the name away if it still means this memory; who is attached keeps it."""
        remove_name(self.name, self.what, os.getpid(), os.dup(self.seg.fd))
        return 0

    @staticmethod
    def attach(int kind, int version, str what, str name):
        """Attach to a named segment; `LayoutError`, `NoSuchSegment`, `UnsafePath` when it cannot be used."""
        cdef Segment self = Segment.__new__(Segment)
        cdef bytes encoded = _checked_name(name)
        cdef const char *c_name = encoded
        cdef uint32_t c_kind = kind, c_version = version
        cdef int rc, directory
        self.what = f"{what} '{name}'"
        directory = _directory(False)
        try:
            with nogil:
                rc = mft_named_attach(&self.seg, directory, c_name, c_kind, c_version)
        finally:
            os.close(directory)
        if rc != MFT_OK:
            self._fail(rc, 0)
        self.name = name
        self.mapped()
        return self

    @staticmethod
    def attach_fd(int kind, int version, str what, int fd):
        """Attach to an anonymous segment through its descriptor, which this takes over, also when it fails."""
        cdef Segment self = Segment.__new__(Segment)
        cdef int rc
        self.what = what
        with nogil:
            rc = mft_segment_attach(&self.seg, fd, kind, version)
        if rc != MFT_OK:
            self._fail(rc, 0)
        self.mapped()
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        return self

    @staticmethod
    def remove(int kind, int version, str what, str name, refuse=None):
        """Take a name away whose users are all dead; `RoleTaken` names the one who is not.

        For what a killed creator left behind. Processes that are still attached keep the memory. The roles are held
        meanwhile, so that nobody who attaches in this very moment becomes a holder in memory that loses its name. In this
        time ``refuse(segment)`` is called, if given: an exception that it raises keeps the name.

        Returns
        -------
        bool
            False when the name had gone, or had come to mean another segment, by the time it was taken.
        """
        cdef Segment self = Segment.attach(kind, version, what, name)
        cdef uint64_t words[8]              # MFT_ROLES
        cdef unsigned held = 0
        try:
            self.refuse_users()
            try:
                while held < MFT_ROLES:
                    try:
                        self.claim(held, "remover", &words[held])
                    except RoleTaken as taken:
                        pid = taken.pid
                        raise RoleTaken(f"{self.what} is in use: process {pid} has just taken a role in it", pid) from None
                    held += 1
                if refuse is not None:
                    refuse(self)
                return remove_name(name, self.what, os.getpid(), os.dup(self.seg.fd))
            finally:
                while held:
                    held -= 1
                    self.release(held, words[held])
        finally:
            self.close()

    cdef int refuse_users(self) except -1:
        """Raise `RoleTaken` when the process that made it, or one that holds a role in it, is not proved dead."""
        cdef uint64_t me = mft_segment_self(&self.seg)
        if not mft_role_dead(self.seg.layout.creator, me):
            pid = mft_owner_pid(self.seg.layout.creator)
            raise RoleTaken(f"{self.what} is in use: process {pid}, which made it, lives", pid)
        for role in range(MFT_ROLES):
            pid = self.role_pid(role)
            if pid:
                raise RoleTaken(f"{self.what} is in use: process {pid} holds a role in it", pid)
        return 0

    # ---- use ----

    cdef int check(self) except -1:
        if self.closed:
            raise ClosedError(f"{self.what or 'this handle'} is closed")
        return 0

    cdef int pin(self) except -1:
        self.check()
        self.pins += 1
        return 0

    cdef void hold(self) noexcept:
        """Pin for somebody who knows that it is mapped, closed or not."""
        self.pins += 1

    cdef void unpin(self) noexcept:
        self.pins -= 1
        if self.closed and self.pins == 0:
            self.unmap()

    cdef uint64_t claim(self, unsigned role, str role_name, uint64_t *word) except 0:
        """Claim a role; return its new epoch, and in `word` what `release` wants. RoleTaken names the holder."""
        cdef uint64_t epoch = 0, holder = 0
        cdef int rc
        self.check()
        rc = mft_role_claim(&self.seg, role, &epoch, &holder)
        if rc == MFT_E_SYSTEM or rc == MFT_E_NO_SPACE:
            raise KernelError(self.seg.error, f"{self.what} has no {role_name} yet: {strerror(self.seg.error).decode()}")
        if rc == MFT_E_TAKEN:
            pid = mft_owner_pid(holder)
            who = "this process" if pid == os.getpid() else f"process {pid}"
            raise RoleTaken(f"{self.what}: {who} is its {role_name} already, and there is one at a time", pid)
        if rc != MFT_OK:
            self.corrupt(f"the word that says who is its {role_name} is damaged")
        word[0] = holder
        return epoch

    cdef void release(self, unsigned role, uint64_t word) noexcept:
        mft_role_release(&self.seg, role, word)

    cdef int corrupt(self, str what) except -1:
        raise LayoutError(f"{self.what}: {what}; something else writes to this memory, make a new one")

    def close(self):
        """Give the memory back, once the last endpoint and view of it are gone too. Twice does nothing.

        The handle that made a named segment also takes its name away.
        """
        if self.closed:
            return
        self.closed = True
        if self.pins == 0:
            self.unmap()
        if self.remover is not None:
            self.remover()

    @property
    def is_closed(self):
        """bool: whether `close` was called."""
        return self.closed

    @property
    def kind(self):
        """int: which structure lies in it."""
        self.check()
        return self.seg.layout.kind

    @property
    def dtype_text(self):
        """str: the canonical text of the record type."""
        self.check()
        return self.seg.layout.dtype[:self.seg.layout.dtype_length].decode("ascii")

    @property
    def meta(self):
        """str: the structure's own text."""
        self.check()
        return self.seg.layout.meta[:self.seg.layout.meta_length].decode()

    @property
    def instance(self):
        """bytes: 16 random bytes that name this segment among all."""
        self.check()
        return (<char *>self.seg.layout.instance)[:16]

    @property
    def total_bytes(self):
        """int: size of the memory, header page included."""
        self.check()
        return self.seg.layout.total_bytes

    def fileno(self):
        """Return the descriptor of the memory; to hand over by SCM_RIGHTS. It stays this handle's own."""
        self.check()
        return self.seg.fd

    def lock(self):
        """Keep the memory from being swapped out; False when the limit for locked memory does not allow it."""
        self.check()
        return mlock(self.seg.header, self.seg.mapped_bytes) == 0

    def role_pid(self, unsigned role):
        """Return the process id of the live holder of a role, 0 when there is none."""
        cdef mft_watch_t watch
        cdef int alive
        self.check()
        if role >= MFT_ROLES:
            raise RecordError(f"there are {MFT_ROLES} roles, and none is {role}")
        mft_watch_init(&watch)
        alive = mft_watch_alive(&watch, &self.seg, role, mft_segment_self(&self.seg), mft_now_ns())
        pid = mft_owner_pid(watch.word)
        mft_watch_close(&watch)
        return pid if alive else 0

    def role_epoch(self, unsigned role):
        """Return how many holders a role has had."""
        self.check()
        if role >= MFT_ROLES:
            raise RecordError(f"there are {MFT_ROLES} roles, and none is {role}")
        return mft_role_epoch(&self.seg, role)

    def __getbuffer__(self, Py_buffer *view, int flags):
        # the structure's data, read-only: for looking at it, in tests and tools
        self.pin()
        try:
            PyBuffer_FillInfo(view, self, self.seg.data, self.seg.data_bytes, 1, flags)
        except BaseException:
            self.unpin()
            raise

    def __releasebuffer__(self, Py_buffer *view):
        self.unpin()

    # ---- to children ----

    def __reduce__(self):
        self.check()
        kind, version = self.seg.layout.kind, self.seg.layout.version
        what = self.what
        from multiprocessing import reduction  # here: it is a quarter of the import time, and few need it

        if self.name is not None:
            return _receive_name, (kind, version, what.partition(" ")[0], self.name, self.instance)
        return _receive_fd, (kind, version, what, reduction.DupFd(self.seg.fd))

    # ---- errors ----

    def _name_in_use(self):
        return (
            f"a segment named {self.name!r} exists already in {directory_path()}; attach to it, choose another name, "
            "or take it away with remove() if its users were killed"
        )

    cdef int _fail(self, int rc, uint64_t needed) except -1:
        if rc == MFT_E_LAYOUT:
            field = self.seg.fault.field.decode("ascii")
            raise LayoutError(
                f"this is no {self.what} that can be used: {field} is {self.seg.fault.found:#x}, "
                f"expected {self.seg.fault.expected:#x}"
            )
        if rc == MFT_E_NO_SPACE:
            reason = strerror(self.seg.error).decode()
            if self.what.endswith("'"):
                raise MemoryRefused(
                    f"{self.what} needs {needed} bytes and {memory.SHM_ROOT} has {_free_bytes()} left ({reason}); "
                    "a container's /dev/shm is 64 MiB by default (docker run --shm-size=1g)"
                )
            raise MemoryRefused(f"{self.what} needs {needed} bytes, which the kernel refuses ({reason})")
        if rc == MFT_E_NOT_FOUND:
            raise NoSuchSegment(f"there is no {self.what} in {directory_path()}; was it made, by this user?")
        if rc == MFT_E_UNSAFE:
            raise UnsafePath(f"{self.what} in {directory_path()} is no plain file; somebody put it there")
        if rc == MFT_E_ARGUMENT:
            raise RecordError(f"{self.what}: sizes or texts out of bounds")
        raise KernelError(self.seg.error, f"{self.what}: {strerror(self.seg.error).decode()}")


def _free_bytes():
    try:
        return os.statvfs(memory.SHM_ROOT).f_bavail * os.statvfs(memory.SHM_ROOT).f_frsize
    except OSError:
        return "an unknown number of bytes"


def remove_name(str name, str what, int pid, int fd):
    """Take the name of a segment away if it still means the file `fd`, which this takes over; True when it was taken."""
    cdef mft_segment_t seg
    cdef int directory, rc = MFT_E_NOT_FOUND
    cdef bytes encoded = os.fsencode(name)
    cdef const char *c_name = encoded
    try:
        if pid != os.getpid():  # a forked child that inherited the finaliser
            return False
        mft_segment_init(&seg)
        seg.fd = fd
        try:
            directory = _directory(False)
        except NoSuchSegment:
            return False
        try:
            with nogil:
                rc = mft_named_remove(&seg, directory, c_name)
        finally:
            os.close(directory)
    finally:
        os.close(fd)
    if rc == MFT_E_TAKEN:
        raise KernelError(f"{what}: another process has held the lock of {directory_path()} for a second")
    if rc != MFT_OK and rc != MFT_E_NOT_FOUND:
        raise KernelError(f"{what}: its name in {directory_path()} cannot be removed")
    return rc == MFT_OK


def _receive_name(kind, version, what, name, instance):
    segment = Segment.attach(kind, version, what, name)
    if segment.instance != instance:
        segment.close()
        raise LayoutError(f"{segment.what} is another segment than the one that was sent: made anew under the same name")
    return segment


def _receive_fd(kind, version, what, handed):
    return Segment.attach_fd(kind, version, what, handed.detach())
