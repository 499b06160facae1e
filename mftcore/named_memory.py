"""Named memory looked at and cleaned up: what stands in the directory of this user, whose it is, what nobody uses.

Looking takes no role, maps nothing that it has not checked, and changes nothing: it works while the owners run.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mftcore.book import (
    BOOK_CROSSED,
    BOOK_EMPTY,
    BOOK_ONE_SIDED,
    BOOK_RESYNCING,
    BOOK_STALE,
    SeqlockBook,
)
from mftcore.broadcast import Broadcast
from mftcore.byte_ring import ByteRing, BytesCounters
from mftcore.doorbell import Doorbell
from mftcore.errors import (
    KernelError,
    LayoutError,
    MftError,
    NoSuchSegment,
    RecordError,
    RoleTaken,
    UnsafePath,
    Unstable,
)
from mftcore.header import Header, Holder, journal_state, read_header, retire_journal
from mftcore.histogram import Histogram
from mftcore.layout import dtype_from_text
from mftcore.ring import SpscRing
from mftcore.segment import Segment, directory_path, open_directory, remove_name
from mftcore.seqlock import Seqlock


@dataclass(frozen=True)
class RoleInfo:
    """A role of a named segment and who holds it.

    Attributes
    ----------
    role : str
        ``"producer"``, ``"writer"``, ...
    pid : int
        Of the holder, in the pid namespace in which the segment was made; 0: nobody.
    alive : bool
        False when the holder is proved dead. One of another pid namespace counts as alive.
    foreign : bool
        The holder cannot be judged from here, for that reason.
    epoch : int
        How many holders the role has had.
    """

    role: str
    pid: int
    alive: bool
    foreign: bool
    epoch: int


@dataclass(frozen=True)
class SegmentInfo:
    """What the header of a named segment says.

    Attributes
    ----------
    name : str
    fault : str
        Why it is no segment that can be used; empty when it is one. All that follows is then 0, empty or None.
    kind : int
        Number of the structure, as it stands in the header.
    structure : str
        ``"SpscRing"``, ...; ``"kind 9"`` when this version does not know it.
    layout_version : int
        Of that structure's layout.
    record : str
        Canonical text of the record type; empty where there is none.
    record_bytes, capacity, total_bytes : int
        Bytes of a record; records, bytes, levels or buckets that fit (`capacity_unit`); bytes of the memory altogether.
    capacity_unit : str
    maker_pid : int
        The process that made it.
    maker_alive, maker_foreign : bool
        As of a `RoleInfo`.
    roles : tuple of RoleInfo
    age_ns : int or None
        Since it was made; None when that was in another time namespace.
    """

    name: str
    fault: str = ""
    kind: int = 0
    structure: str = ""
    layout_version: int = 0
    record: str = ""
    record_bytes: int = 0
    capacity: int = 0
    capacity_unit: str = ""
    total_bytes: int = 0
    maker_pid: int = 0
    maker_alive: bool = False
    maker_foreign: bool = False
    roles: tuple[RoleInfo, ...] = ()
    age_ns: int | None = None

    @property
    def users(self) -> list[str]:
        """Who is not proved dead: ``"process 12, which made it"``, ``"process 13, its producer"``."""
        maker = [f"process {self.maker_pid}, which made it"] if self.maker_alive else []
        return maker + [f"process {role.pid}, its {role.role}" for role in self.roles if role.alive]


@dataclass(frozen=True)
class Removal:
    """What `remove_dead` did with one name.

    Attributes
    ----------
    name : str
    removed : bool
        With ``dry_run``: it would have been.
    reason : str
        Why it was removed or kept, as the end of a sentence.
    """

    name: str
    removed: bool
    reason: str


class Kind(NamedTuple):
    """One kind of structure: how it is called, which roles it has, what can be said of it beside its header."""

    structure: str
    version: int
    roles: tuple[str, ...]
    unit: str  # of its capacity
    spare: int  # of the header's capacity, what a user does not get
    open: Callable[[int], Any]  # takes a descriptor over; returns what has a close()
    state: Callable[[Any], dict[str, Any]]


def _ring(ring: SpscRing) -> dict[str, Any]:
    counters = ring.counters()
    return {**counters._asdict(), "waiting": counters.pushed - counters.popped}


def _bytes(ring: ByteRing) -> dict[str, Any]:
    try:
        return dict(ring.counters()._asdict())
    except Unstable:  # both sides at full speed
        return dict.fromkeys(BytesCounters._fields)


def _broadcast(broadcast: Broadcast) -> dict[str, Any]:
    return {"written": broadcast.written}


def _seqlock(seqlock: Seqlock) -> dict[str, Any]:
    with seqlock.reader() as reader:
        try:
            stamp = reader.read()[1]
        except Unstable:  # a writer at full speed
            return {"version": reader.version, "epoch": None, "value_age_ns": None}
        age_ns = stamp.age_ns if stamp.version else None
        return {"version": stamp.version, "epoch": stamp.epoch, "value_age_ns": age_ns}


_BOOK_STATES: Final = {
    BOOK_EMPTY: "empty",
    BOOK_ONE_SIDED: "one-sided",
    BOOK_CROSSED: "crossed",
    BOOK_STALE: "stale",
    BOOK_RESYNCING: "resyncing",
}


def _book(book: SeqlockBook) -> dict[str, Any]:
    found: dict[str, Any] = {"instrument": book.instrument, "tick_size": book.tick_size, "lot_size": book.lot_size}
    with book.reader() as reader:
        try:
            top = reader.top()
        except Unstable:
            return {**found, "version": reader.version}
        if top.version == 0:
            return {**found, "version": 0}
        return {
            **found,
            "version": top.version,
            "epoch": top.epoch,
            "value_age_ns": top.age_ns,
            "state": [name for flag, name in _BOOK_STATES.items() if top.state & flag],
            **{name: getattr(top, name) for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")},
        }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    summary = histogram.summary()
    count = summary.pop("count")
    return {"count": count, "negative": histogram.negative, **{f"{name}_ns": ns for name, ns in summary.items()}}


def _open_doorbell(fd: int) -> Segment:  # its handle is two descriptors; here only the memory is of interest
    return Segment.attach_fd(Doorbell.KIND, Doorbell.VERSION, "Doorbell", fd)


def _doorbell(segment: Segment) -> dict[str, Any]:
    with memoryview(segment) as data:
        words = data[:8].cast("I")
        return {"word": words[0], "sleeping": bool(words[0] & 1), "ever_slept_on": bool(words[1])}


JOURNAL_KIND, JOURNAL_VERSION = 8, 1  # its handle is the directory of its files; here is its live memory


def _open_journal(fd: int) -> Segment:
    return Segment.attach_fd(JOURNAL_KIND, JOURNAL_VERSION, "Journal", fd)


class _LossError(MftError):
    """A name must stay although nobody uses it: what is in this memory is nowhere else."""


def _refuse_undrained(segment: Segment) -> None:
    left = journal_state(segment)["undrained_bytes"] if segment.kind == JOURNAL_KIND else 0
    if left:
        raise _LossError(f"{left} bytes of records in it are not on disk yet: run a drainer of this journal first")


def _end(segment: Segment) -> None:
    """Refuse or, while all roles are held, tell the readers to look for the memory of the next writer."""
    _refuse_undrained(segment)
    if segment.kind == JOURNAL_KIND:
        retire_journal(segment)


KINDS: Final[dict[int, Kind]] = {
    SpscRing.KIND: Kind(
        "SpscRing", SpscRing.VERSION, ("producer", "consumer"), "records", 0, SpscRing.attach_fd, _ring
    ),
    Seqlock.KIND: Kind("Seqlock", Seqlock.VERSION, ("writer",), "cells", 0, Seqlock.attach_fd, _seqlock),
    SeqlockBook.KIND: Kind("SeqlockBook", SeqlockBook.VERSION, ("writer",), "levels", 0, SeqlockBook.attach_fd, _book),
    Histogram.KIND: Kind("Histogram", Histogram.VERSION, ("recorder",), "buckets", 0, Histogram.attach_fd, _histogram),
    Doorbell.KIND: Kind("Doorbell", Doorbell.VERSION, (), "bells", 0, _open_doorbell, _doorbell),
    ByteRing.KIND: Kind("ByteRing", ByteRing.VERSION, ("producer", "consumer"), "bytes", 8, ByteRing.attach_fd, _bytes),
    JOURNAL_KIND: Kind("Journal", JOURNAL_VERSION, ("writer", "drainer"), "bytes", 0, _open_journal, journal_state),
    Broadcast.KIND: Kind("Broadcast", Broadcast.VERSION, ("writer",), "records", 1, Broadcast.attach_fd, _broadcast),
}
"""By the number that stands in a header (``MFT_KIND_...`` in ``segment.h``). A new kind is a row here."""


def segments() -> list[SegmentInfo]:
    """Return what stands in the directory of named memory of this user, sorted by name; empty when there is none.

    Takes no role and changes nothing. A file that is no segment, or a damaged one, is in the list with its `fault`; one
    that vanishes meanwhile is not.

    Raises
    ------
    UnsafePath, KernelError
        The directory is not ours alone, or cannot be read.
    """
    with _directory() as directory:
        if directory is None:
            return []
        return [info for name in _names(directory) if (info := _look(directory, name)) is not None]


def inspect_segment(name: str) -> dict[str, Any]:
    """Return everything that can be told of one named segment without taking a role.

    Returns
    -------
    dict
        ``info`` (`SegmentInfo`), ``dtype`` (`numpy.dtype`, or None), ``meta`` (the structure's own text), ``instance``
        (16 random bytes in hex), ``params`` (eight numbers of the kind), ``state``: of a ring ``pushed``, ``popped``,
        ``full``, ``high_water``; of a seqlock ``version`` and ``value_age_ns``; of a book its top; of a histogram
        ``count`` and percentiles, ...; empty for a kind that this version does not know.

    Raises
    ------
    NoSuchSegment
        There is none of this name.
    LayoutError, UnsafePath
        It is no segment, or damaged, or of another layout version.
    """
    with _directory() as directory:
        if directory is None:
            raise NoSuchSegment(f"there is no {directory_path()}, so no named segment of this user exists")
        with _file(directory, name) as fd:
            header = read_header(fd)
            info = _info(name, header)
            kind = KINDS.get(header.kind)
            state = {}
            if kind is not None:  # the very file whose header was read, whatever its name means now
                opened = kind.open(os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC))
                try:
                    state = kind.state(opened)
                finally:
                    opened.close()
    return {
        "info": info,
        "dtype": dtype_from_text(header.dtype_text) if header.dtype_text else None,
        "meta": header.meta,
        "instance": header.instance.hex(),
        "params": list(header.params),
        "state": state,
    }


def remove_dead(names: Iterable[str] | None = None, *, damaged: bool = False, dry_run: bool = False) -> list[Removal]:
    """Take away the names whose maker and holders of roles are all proved dead, never another one.

    Processes that are still attached, readers say, keep the memory. A holder of another pid namespace counts as alive.
    The memory of a journal stays until all its records are on disk, and so does what this version does not know: a
    structure or layout of a later one.

    Parameters
    ----------
    names : iterable of str, optional
        Only these; all by default.
    damaged : bool
        Also plain files of ours that are no segments or damaged ones, if no process has them open for writing (whoever
        is attached has).
    dry_run : bool
        Only say what would be done.

    Returns
    -------
    list of Removal
        For each name, what was done and why. Names that vanish meanwhile were removed by somebody else and are kept
        out, unless asked for by name.

    Raises
    ------
    UnsafePath, KernelError
        The directory is not ours alone, or cannot be read.
    """
    if isinstance(names, str):
        raise RecordError(f"names are several, not {names!r}: give a list")
    asked = None if names is None else list(dict.fromkeys(names))
    with _directory() as directory:
        present = [] if directory is None else _names(directory)
        done = [
            _clean(directory, name, damaged, dry_run)
            for name in (present if asked is None else asked)
            if directory is not None
        ]
    found = [removal for removal in done if removal is not None]
    seen = {removal.name for removal in found}
    return found + [Removal(name, False, "there is none of this name") for name in asked or () if name not in seen]


# ---- one name ----


@contextlib.contextmanager
def _directory() -> Iterator[int | None]:
    """Give the open, checked directory; None when there is none."""
    try:
        fd = open_directory()
    except NoSuchSegment:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _names(directory: int) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        raise KernelError(error.errno, f"cannot read {directory_path()}: {error.strerror}") from error


@contextlib.contextmanager
def _file(directory: int, name: str) -> Iterator[int]:
    """Give the file of a name, opened for reading; what it is must be asked of the descriptor.

    Raises
    ------
    NoSuchSegment, UnsafePath, KernelError
        There is none; it is a link, a socket; it cannot be opened.
    """
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise NoSuchSegment(f"{name!r} is no name of a segment")
    try:  # O_NONBLOCK: a FIFO of that name must not hold us up
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        where = f"{name!r} in {directory_path()}"
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            raise NoSuchSegment(f"there is no segment {where}") from error
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise UnsafePath(f"{where} is no plain file") from error
        raise KernelError(error.errno, f"{where} cannot be opened: {error.strerror}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _look(directory: int, name: str) -> SegmentInfo | None:
    """Return what stands under a name; None when nothing does (any more)."""
    try:
        with _file(directory, name) as fd:
            return _info(name, read_header(fd))
    except NoSuchSegment:
        return None
    except UnsafePath:
        return SegmentInfo(name, "no plain file")
    except MftError as error:
        return SegmentInfo(name, str(error))


def _info(name: str, header: Header) -> SegmentInfo:
    kind = KINDS.get(header.kind)
    names = () if kind is None else kind.roles
    roles = tuple(
        _role(names[i] if i < len(names) else f"role {i}", holder)
        for i, holder in enumerate(header.roles)
        if i < len(names) or holder.pid or holder.epoch
    )
    return SegmentInfo(
        name=name,
        kind=header.kind,
        structure=f"kind {header.kind}" if kind is None else kind.structure,
        layout_version=header.version,
        record=header.dtype_text,
        record_bytes=header.record_bytes,
        capacity=header.capacity - (0 if kind is None else kind.spare),
        capacity_unit="" if kind is None else kind.unit,
        total_bytes=header.total_bytes,
        maker_pid=header.maker.pid,
        maker_alive=header.maker.alive,
        maker_foreign=header.maker.foreign,
        roles=roles,
        age_ns=header.age_ns,
    )


def _role(name: str, holder: Holder) -> RoleInfo:
    return RoleInfo(name, holder.pid, holder.alive, holder.foreign, holder.epoch)


def _clean(directory: int, name: str, damaged: bool, dry_run: bool) -> Removal | None:
    """Remove one name if nobody uses it; None when it is gone anyway."""
    info = _look(directory, name)
    if info is None:
        return None
    if info.fault:
        return _clean_damaged(directory, info, damaged, dry_run)
    if info.users:
        return Removal(name, False, f"in use by {info.users[0]}")
    kind = KINDS.get(info.kind)
    if kind is None or info.layout_version != kind.version:
        return Removal(
            name, False, f"{info.structure} of layout version {info.layout_version}, of which we know nothing"
        )
    dead = f"its maker, process {info.maker_pid}, and all holders of its roles are dead"
    try:
        if dry_run:
            with _file(directory, name) as fd, _attached(info, fd) as segment:
                _refuse_undrained(segment)
            return Removal(name, True, dead)
        taken = Segment.remove(info.kind, info.layout_version, info.structure, name, _end)
    except RoleTaken as user:  # attached a moment ago
        return Removal(name, False, str(user))
    except NoSuchSegment:
        return None
    except MftError as error:  # it has come to mean something else since we looked
        return Removal(name, False, str(error))
    return Removal(name, True, dead) if taken else None


@contextlib.contextmanager
def _attached(info: SegmentInfo, fd: int) -> Iterator[Segment]:
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    segment = Segment.attach_fd(info.kind, info.layout_version, info.structure, own)
    try:
        yield segment
    finally:
        segment.close()


def _clean_damaged(directory: int, info: SegmentInfo, damaged: bool, dry_run: bool) -> Removal | None:
    """Remove a file that is no segment, if that was asked for and no process has it open for writing."""
    if not damaged:
        return Removal(info.name, False, f"no usable segment ({info.fault}): only with damaged files asked for")
    try:
        with _file(directory, info.name) as fd:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                return Removal(info.name, False, f"no plain file of this user ({info.fault})")
            try:
                read_header(fd)
            except LayoutError:
                pass
            else:
                return Removal(info.name, False, "a usable segment was put in its place meanwhile")
            if not _unused(fd):
                return Removal(info.name, False, f"no usable segment ({info.fault}), and a process may have it open")
            if not dry_run and not remove_name(info.name, repr(info.name), os.getpid(), os.dup(fd)):
                return None
    except NoSuchSegment:
        return None
    except MftError as error:
        return Removal(info.name, False, str(error))
    return Removal(info.name, True, f"no usable segment ({info.fault}), and no process has it open")


def _unused(fd: int) -> bool:
    """Return whether no process has this file open for writing, as everybody has who is attached; asked of the kernel.

    It grants a lease for reading only if that is so. Whoever opens the file in the microseconds of the lease is told to
    try again, and we get a signal, which is made one that does nothing.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:  # EAGAIN: it is in use; anything else: it cannot be told
        return False
    return True
