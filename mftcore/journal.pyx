"""`Journal`: a directory with a journal's files, found, made and locked; formats and algorithms are ``include/mftcore/journal*.h``.

Its ends are ``journal_writer.pyx`` and ``journal_reader.pyx``.
"""

import errno as errno_codes
import fcntl
import os
import struct
import threading

from libc.errno cimport errno
from libc.string cimport memcpy, memset

from mftcore.segment cimport (
    MFT_E_CORRUPT,
    MFT_E_LAYOUT,
    MFT_E_NOT_FOUND,
    MFT_KIND_JOURNAL,
    MFT_OK,
)

from mftcore.endpoint import whole_number
from mftcore.errors import (
    ClosedError,
    JournalDamaged,
    JournalDiskError,
    JournalExists,
    KernelError,
    NoSuchJournal,
    NoSuchSegment,
    RecordError,
    RoleTaken,
)


cdef extern from "unistd.h" nogil:
    int os_close "close"(int fd) noexcept


ADVICE = {
    errno_codes.ENOSPC: "free space on that disk",
    errno_codes.EDQUOT: "free space within the quota",
    errno_codes.EROFS: "mount that disk writable",
    errno_codes.EIO: "replace that disk",
    errno_codes.EACCES: "give this user write permission there",
    errno_codes.EBADMSG: "something else writes to the journal's memory: find it",
}

opening = threading.Lock()  # one thread of this process at a time looks for a live memory and makes one


def disk_error(path, code, what):
    """Return the exception for an error number of the disk."""
    advice = ADVICE.get(code, "see to that disk")
    return JournalDiskError(code, f"journal {path}: {what}: {os.strerror(code)}; {advice}")


# The files that this process has locked, by descriptor. The kernel does not refuse a lock to the process that has it, and
# takes it back as soon as that process closes any descriptor of the file.
cdef dict locked = {}


cdef void unlock(int fd) noexcept:
    locked.pop(fd, None)
    os_close(fd)


cdef class Journal:
    """Append-only records of any length, in files of their own directory: one writer, any number of readers.

    A handle: it holds no role, and can be given to a child process as an argument.

    Promise: what was appended survives the death of every process, at any instant; what is older than 100 ms (or was
    flushed) survives the loss of power as well. Readers get whole records, each once, in the order of their sequence numbers,
    while they are written or afterwards. Damaged files are refused, never skipped.

    Attributes
    ----------
    path : str
        The directory.
    id : bytes
        16 random bytes that name this journal among all.
    meta : str
        The maker's own text.
    memory_bytes, file_bytes : int
        Of the live memory, and of each file.
    keep_files : int or None
        How many files stay; None: all.

    Notes
    -----
    Formats, memory orders and limits: ``mftcore/include/mftcore/journal.h``, ``journal_file.h``, ``journal_drain.h`` and
    ``docs/journal.md``.
    """

    def __cinit__(self):
        self.directory = -1

    def __init__(self):
        raise TypeError("Journal has no constructor; use Journal.create(path) or Journal.open(path)")

    def __dealloc__(self):
        if self.directory >= 0:
            os_close(self.directory)

    @staticmethod
    def create(path, *, memory_bytes=1 << 24, file_bytes=1 << 26, keep_files=None, meta=""):
        """Make a journal, and its directory if there is none.

        Parameters
        ----------
        path : str or path-like
            A directory on a disk, not on a tmpfs if the loss of power matters.
        memory_bytes : int
            What may be appended before it is on disk, rounded up to a power of two, 64 KiB at least: for bursts, and for as
            long as the disk refuses. It is taken when a writer opens the journal.
        file_bytes : int
            Size of each file, 8 KiB at least; preallocated. No record is longer than this or the memory, less 32 or 4128.
        keep_files : int, optional
            When one more is begun the oldest are removed; 2 at least. None: all stay.
        meta : str
            Up to 3,975 bytes of UTF-8 of your own.

        Raises
        ------
        JournalExists
            There is one already.
        RecordError
            A size out of bounds, a text too long.
        JournalDiskError
            The disk refuses: full, read-only.
        """
        cdef Journal self
        cdef mft_file_header_t header
        cdef mft_files_t files
        cdef int fd = -1, directory, rc
        cdef bytes text
        memory = whole_number(memory_bytes, 1, MFT_JOURNAL_MOST, "the memory of a journal in bytes")
        size = whole_number(file_bytes, MFT_FILE_LEAST, MFT_FILE_MOST, "the size of a file in bytes")
        keep = 0 if keep_files is None else whole_number(keep_files, 2, 1 << 62, "the number of files to keep")
        if not isinstance(meta, str) or len(meta.encode()) >= MFT_FILE_META_BYTES:
            raise RecordError(f"the text of a journal is a string of less than {MFT_FILE_META_BYTES} bytes")
        text = meta.encode()
        memset(&header, 0, sizeof(header))
        header.number = header.first_sequence = 1
        header.memory_bytes = max(1 << (memory - 1).bit_length(), MFT_JOURNAL_LEAST)
        header.file_bytes, header.keep_files = size // 8 * 8, keep
        memcpy(header.id, <char *>(fresh := os.urandom(16)), 16)
        header.meta_length = len(text)
        memcpy(header.meta, <char *>text, len(text))
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error(os.fspath(path), error.errno, "its directory cannot be made") from error
        try:
            with opening:
                try:
                    fcntl.flock(directory, fcntl.LOCK_EX)  # two makers would write over each other
                except OSError as error:
                    raise disk_error(os.fspath(path), error.errno, "its directory cannot be locked") from error
                rc = mft_files_list(directory, &files)
                if rc == MFT_OK:
                    raise JournalExists(f"there is a journal in {os.fspath(path)} already; open it, or choose another place")
                if rc == MFT_E_NOT_FOUND:
                    rc = mft_file_create(directory, &header, &fd)
                if rc != MFT_OK:
                    raise disk_error(os.fspath(path), errno, "its first file cannot be made")
                os.close(fd)
        finally:
            fcntl.flock(directory, fcntl.LOCK_UN)  # said: a child forked meanwhile holds the descriptor open
            os.close(directory)
        self = Journal.open(path)
        return self

    @staticmethod
    def open(path):
        """Open a journal that is there; read-only disks and copies from elsewhere can be read.

        Raises
        ------
        NoSuchJournal
            The directory is not there, or holds no journal.
        JournalDamaged
            Its newest file is not of this version, or its first page is damaged, or a file is missing in the middle.
        KernelError
            It cannot be read: no permission, say.
        """
        cdef Journal self = Journal.__new__(Journal)
        self.start(path)
        return self

    cdef int start(self, path) except -1:
        cdef mft_files_t files
        cdef mft_cursor_t c
        cdef int rc
        self.path = os.fsdecode(path)
        try:
            self.directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoSuchJournal(f"there is no directory {self.path}, so no journal; make one with Journal.create") from error
        except OSError as error:
            raise KernelError(error.errno, f"journal {self.path} cannot be opened: {os.strerror(error.errno)}") from error
        rc = mft_files_list(self.directory, &files)
        if rc == MFT_E_NOT_FOUND:
            raise NoSuchJournal(f"{self.path} holds no journal (no 000001.mftj or later); make one with Journal.create")
        if rc != MFT_OK:
            raise KernelError(errno, f"journal {self.path} cannot be listed: {os.strerror(errno)}")
        mft_cursor_init(&c, self.directory)
        try:
            rc = mft_cursor_open(&c, files.newest)
            if rc != MFT_OK:
                self.damaged(rc, &c.fault, c.error, files.newest, 0, 0)
            self.id = (<char *>c.file.id)[:16]
            self.meta = c.file.meta[:c.file.meta_length].decode(errors="replace")
            self.memory_bytes, self.file_bytes = c.file.memory_bytes, c.file.file_bytes
            self.keep = c.file.keep_files
        finally:
            mft_cursor_close(&c)
        return 0

    cdef int check(self) except -1:
        if self.directory < 0:
            raise ClosedError(f"journal {self.path or ''} is closed, or was never opened")
        return 0

    cdef Journal again(self):
        """The same journal for an end, which closes it by itself."""
        cdef Journal other = Journal.__new__(Journal)
        self.check()
        other.path, other.id, other.meta = self.path, self.id, self.meta
        other.memory_bytes, other.file_bytes, other.keep = self.memory_bytes, self.file_bytes, self.keep
        other.directory = os.dup(self.directory)
        return other

    cdef int damaged(self, int rc, mft_fault_t *fault, int error, uint64_t number, uint64_t offset,
                     uint64_t sequence) except -1:
        """Raise for what reading the files said."""
        cdef char name[MFT_FILE_NAME_BYTES]
        mft_file_name(name, number)
        file = name.decode("ascii")
        if rc == MFT_E_CORRUPT or rc == MFT_E_LAYOUT:
            field = fault.field.decode("ascii") if fault.field is not NULL else "checksum"
            raise JournalDamaged(
                f"journal {self.path} is damaged in {file} at byte {offset}: {field} is {fault.found:#x}, expected "
                f"{fault.expected:#x}; the last good record before it is number {sequence}. Restore the file from a copy, "
                "or move it and what follows away", file, offset, sequence,
            )
        if rc == MFT_E_NOT_FOUND:
            raise JournalDamaged(
                f"journal {self.path} is damaged: {file} is missing; the last good record before it is number {sequence}. "
                "Restore it from a copy, or move what follows away", file, 0, sequence,
            )
        raise KernelError(error, f"journal {self.path}: {file} cannot be read: {os.strerror(error)}")

    # ---- live memory ----

    cdef Segment live_memory(self):
        cdef Segment segment
        try:
            segment = Segment.attach(MFT_KIND_JOURNAL, MFT_JOURNAL_VERSION, "Journal", self.memory_name)
        except NoSuchSegment:
            return None
        segment.what = f"journal '{self.path}'"
        if struct.pack("<2Q", segment.seg.layout.params[MFT_JOURNAL_ID_LOW],
                       segment.seg.layout.params[MFT_JOURNAL_ID_HIGH]) != self.id:
            segment.close()  # of a journal that was removed, whose directory's number this one has got
            return None
        if segment.seg.layout.capacity > segment.seg.data_bytes:
            segment.corrupt("its size does not fit the memory")
        segment.mirror(segment.seg.layout.capacity)
        return segment

    cdef Segment new_memory(self, uint64_t position, uint64_t sequence, bint named):
        """Memory that goes on at a position; without a name, for a reader that has nothing but files."""
        cdef Segment segment
        cdef uint64_t size = self.memory_bytes if named else MFT_JOURNAL_LEAST
        cdef mft_journal_t j
        low, high = struct.unpack("<2Q", self.id)
        segment = Segment.make(
            MFT_KIND_JOURNAL, MFT_JOURNAL_VERSION, "Journal", record_bytes=1, capacity=size,
            data_bytes=mft_journal_data_bytes(size), params=(self.file_bytes, low, high, position),
            name=self.memory_name if named else None,
        )
        segment.what = f"journal '{self.path}'"
        mft_journal_begin(&segment.seg, position, sequence)
        segment.publish()
        if named:
            segment.outlive()  # it must survive us: until it is on disk, and somebody retires it
        segment.mirror(size)
        if not named:
            if mft_journal_open(&j, &segment.seg) != MFT_OK:
                segment.corrupt("it was made wrong")
            mft_journal_retire(&j)
        return segment

    cdef int lock(self, str name, str role) except -1:
        """Lock a file of the directory against processes that cannot see our memory; its descriptor, to be kept open."""
        cdef int fd
        try:
            status = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
            if (os.getpid(), status.st_dev, status.st_ino) in locked.values():
                pid = os.getpid()
                raise RoleTaken(f"journal '{self.path}': this process is its {role} already, and there is one at a time", pid)
        except FileNotFoundError:
            pass  # nobody has locked it ever
        except OSError as error:
            raise disk_error(self.path, error.errno, f"its lock {name} cannot be looked at") from error
        try:
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self.directory)
        except OSError as error:
            raise disk_error(self.path, error.errno, f"its lock {name} cannot be opened") from error
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno_codes.EAGAIN, errno_codes.EACCES):
                asked = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))
                pid = struct.unpack("hhqqi", asked)[4]
                os.close(fd)
                who = f"process {pid}" if pid else "a process of another container"
                raise RoleTaken(f"journal '{self.path}': {who} is its {role} already, and there is one at a time", pid) \
                    from None
            os.close(fd)
            raise disk_error(self.path, error.errno, f"its lock {name} cannot be had") from error
        status = os.fstat(fd)
        locked[fd] = (os.getpid(), status.st_dev, status.st_ino)
        return fd

    cdef int retire(self, Segment segment) except -1:
        """Let a memory go that nobody writes to and that is all on disk: its name, now; itself with its last reader."""
        cdef uint64_t writer = 0, drainer = 0
        cdef mft_journal_t j
        if segment.name is None or mft_journal_open(&j, &segment.seg) != MFT_OK or mft_journal_retired(&j):
            return 0
        if mft_journal_tail(&j) != mft_journal_safe(&j):
            return 0
        try:
            segment.claim(MFT_JOURNAL_WRITER, "writer", &writer)
            segment.claim(MFT_JOURNAL_DRAINER, "drainer", &drainer)
            if mft_journal_tail(&j) == mft_journal_safe(&j):
                mft_journal_retire(&j)
                segment.unname()
        except RoleTaken:  # whoever that is retires it later
            pass
        finally:
            if drainer:
                segment.release(MFT_JOURNAL_DRAINER, drainer)
            if writer:
                segment.release(MFT_JOURNAL_WRITER, writer)
        return 0

    @property
    def memory_name(self):
        """str: name of the live memory, made of the directory's identity: a copy of the directory is another journal's."""
        self.check()
        status = os.fstat(self.directory)
        return f"journal-{status.st_dev:x}-{status.st_ino:x}"

    @property
    def keep_files(self):
        return self.keep or None

    # ---- ends ----

    def writer(self, *, drain=False, bell=None):
        """Claim the writing end.

        Parameters
        ----------
        drain : bool
            Bring what is appended to disk in a thread of this endpoint. False: somebody else holds a `drainer`, or will.
        bell : Doorbell, optional
            Rung after each append as well.

        Raises
        ------
        RoleTaken
            Another process, which it names, is the writer (or with `drain` the drainer).
        JournalDamaged
            The files end otherwise than a killed or cut-off writer leaves them.
        JournalDiskError
            The disk refuses: read-only, say.
        MemoryRefused
            So much memory is not there.
        """
        from mftcore.journal_writer import open_writer

        self.check()
        return open_writer(self, bool(drain), bell)

    def drainer(self):
        """Claim the end that brings records to disk, a `JournalDrainer`; of a journal that has a live memory.

        Raises
        ------
        NoSuchSegment
            There is no live memory: nobody has opened it for writing since the machine started, or all is on disk.
        RoleTaken, JournalDamaged, JournalDiskError
            As `writer`.
        """
        from mftcore.journal_writer import open_drainer

        self.check()
        return open_drainer(self)

    def reader(self, *, at="oldest", sequence=None):
        """Return a reading end, a `JournalReader`; there may be any number, also on read-only disks.

        Parameters
        ----------
        at : {"oldest", "newest"}
            At the oldest record that is kept, or behind the newest.
        sequence : int, optional
            In place of `at`: at the record of this number, or at the next that is kept.

        Raises
        ------
        RecordError
            No such place; a number beyond the next one.
        JournalDamaged
            A file is missing, or of another journal or version.
        """
        from mftcore.journal_reader import open_reader

        self.check()
        return open_reader(self, at, sequence)

    def close(self):
        """Give the handle back; its ends go on until they are closed. Twice does nothing."""
        if self.directory >= 0:
            os.close(self.directory)
            self.directory = -1

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, *exc):
        self.close()

    def __reduce__(self):
        self.check()
        return Journal.open, (os.path.abspath(self.path),)

    def __repr__(self):
        return f"<Journal {self.path!r}{' closed' if self.directory < 0 else ''}>"
