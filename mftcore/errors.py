"""What can go wrong in the structures; every message says what happened and what to do about it."""

# ruff: noqa: N818  (the names say what is the case; "RoleTaken" reads better than "RoleTakenError")


class MftError(Exception):
    """Base of all exceptions that this package raises on purpose."""


class LayoutError(MftError, ValueError):
    """Shared memory or a record type is not what it must be; the message names what was expected and what was found.

    Foreign, damaged, truncated or half-built memory, another layout version, another record type, an index out of
    its bounds; also record types that cannot be shared (object and big-endian ones).
    """


class RecordError(MftError, ValueError):
    """An argument has the wrong size, type or number: a record of another length, a capacity below one."""


class RoleTaken(MftError):
    """Another endpoint holds the role, and its process lives (or cannot be proved dead from here).

    Attributes
    ----------
    pid : int
        The holder, in the process-id namespace in which the memory was made.
    """

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class RoleBusy(MftError):
    """Another thread is inside a call of this endpoint; an endpoint serves one thread at a time."""


class PeerDied(MftError):
    """The process on the other side died, and nobody has taken its place yet; raised once for each that died.

    Attributes
    ----------
    pid : int
        Of the dead process, in the process-id namespace in which the memory was made.
    """

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class ForkedError(MftError):
    """The endpoint was made before a fork and is used in the child; claim a new one from the handle there."""


class ClosedError(MftError, ValueError):
    """The handle or endpoint was closed, or was never opened."""


class Unstable(MftError):
    """A reader used up its bounded number of retries, because the value changed under it each time."""


class NameInUse(MftError, FileExistsError):
    """A segment of this name exists already; attach to it, or remove it when nobody uses it."""


class NoSuchSegment(MftError, FileNotFoundError):
    """There is no segment of this name."""


class UnsafePath(MftError, PermissionError):
    """The directory or file of a named segment belongs to somebody else, or others may write to it."""


class MemoryRefused(MftError, MemoryError):
    """There is not enough memory for the segment; said before it is made, not by a signal at the first use."""


class KernelError(MftError, OSError):
    """A system call failed: no descriptors left, say; ``errno`` tells which way."""


class OrderTableFull(MftError):
    """Live orders hold all slots, or their fills all places for fills; nothing was added.

    Cancel some orders, or create the manager with more room. A fill that found no room was *not* counted: the order's
    `missing_lots` and the exposure say so.
    """


class UnknownOrder(MftError, KeyError):
    """No live order of that id is known, or the one that an `Order` stood for was forgotten; nothing was changed."""

    def __str__(self) -> str:
        return str(self.args[0])


class NoSuchJournal(MftError, FileNotFoundError):
    """There is no journal in this directory; make one with ``Journal.create``."""


class JournalExists(MftError, FileExistsError):
    """There is a journal in this directory already; go on with it by ``Journal.open``, or choose another directory."""


class JournalFull(MftError):
    """The memory holds as much as was not yet brought to disk; the message says why. The record was not appended."""


class JournalDamaged(MftError, ValueError):
    """A journal cannot be read further: something was changed, is missing, or is of another journal or version.

    Attributes
    ----------
    file : str
        Its name in the journal's directory.
    offset : int
        Of the damage in the file.
    sequence : int
        Number of the last good record before it; 0: none.
    """

    def __init__(self, message: str, file: str = "", offset: int = 0, sequence: int = 0) -> None:
        super().__init__(message)
        self.file, self.offset, self.sequence = file, offset, sequence


class JournalDiskError(MftError, OSError):
    """The disk refuses a journal's records; they are kept in memory and tried again. ``errno`` tells which way."""
