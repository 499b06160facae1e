"""The journals of a run: every decision, and what execution did about it, on disk within a bound.

``decisions`` holds a `mftpy.decisions.DECISION` for each decision, ``actions`` an `ACTION` for each outcome; both lie
in the run's directory. Strategy and execution each hold a writer. The drainers are threads of the supervisor: what a
killed child had appended lies in memory that outlives it, and they bring it to disk. When the supervisor is gone, the
children do that for themselves as they end; when all were killed, the next start of the instance or ``mftpy explain``.

That nothing can be kept never stops quoting: it is told once, and what was not kept is counted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from mftcore import (
    Journal,
    JournalDiskError,
    JournalDrainer,
    JournalWriter,
    MftError,
    NoSuchJournal,
    NoSuchSegment,
    RoleTaken,
    inspect_segment,
)
from mftpy.journal_meta import ACTIONS, DECISIONS, NAMES, Meta
from mftpy.links import Instrument
from mftpy.settings import Config

MEMORY_BYTES: Final = {DECISIONS: 1 << 23, ACTIONS: 1 << 20}
"""What may be appended before it is on disk: 3,600 decisions and 10,000 actions."""

MIB: Final = 1 << 20
ACTIONS_SHARE: Final = 16
"""One part in so many of what may be kept is for actions."""

FILES: Final = 16
LARGEST_FILE: Final = 8 * MIB
MOST_FILES: Final = 1024
LOOK_NS: Final = 1_000_000_000
LONGEST_CLOSE_S: Final = 2.0
POLL_S: Final = 0.02

Gone: TypeAlias = Callable[[], bool]


class Kept(NamedTuple):
    """How a journal of a run ended.

    Attributes
    ----------
    records : int
        Appended, and on disk but for `undrained_bytes`; retention may have removed the oldest.
    refused : int
        Not appended for want of room.
    undrained_bytes : int
        What the disk did not take; it stays in memory until somebody can bring it there.
    """

    records: int
    refused: int
    undrained_bytes: int


def sizes(total_mib: int, name: str) -> tuple[int, int]:
    """Return the bytes of a file and how many are kept, so that both journals together stay within `total_mib`.

    One file more than is kept exists for a moment, when one is begun and the oldest not yet removed.
    """
    share = total_mib * MIB // ACTIONS_SHARE
    if name == DECISIONS:
        share = total_mib * MIB - share
    file_bytes = max(min(share // FILES, LARGEST_FILE), share // MOST_FILES) // 4096 * 4096
    return file_bytes, share // file_bytes - 1


class RunJournals:
    """The journals of the run that begins, in the supervisor: made and brought to disk.

    Attributes
    ----------
    path : str
        The run's directory, for the children; empty when nothing is kept.
    warnings : list of str
        What the user must be told, once; the caller empties it.
    """

    def __init__(self) -> None:
        self.path = ""
        self.warnings: list[str] = []
        self._journals: dict[str, Journal] = {}
        self._drainers: dict[str, JournalDrainer] = {}
        self._told = False
        self._looked_ns = 0

    @classmethod
    def create(cls, directory: Path, config: Config, instrument: Instrument, run_id: str) -> RunJournals:
        """Make both journals in a run's directory, in place of those of an earlier run, and begin to drain them."""
        made = cls()
        try:
            for name in NAMES:
                made._begin(name, directory.absolute(), config, instrument, run_id)
            made.path = str(directory.absolute())
        except (MftError, OSError) as error:
            made._tell(f"what is decided in this run is not kept, and mftpy explain cannot explain it: {error}")
            made.close()
        return made

    def _begin(self, name: str, directory: Path, config: Config, instrument: Instrument, run_id: str) -> None:
        _remove(directory, name)
        file_bytes, keep_files = sizes(config.output.decisions_mb, name)
        self._journals[name] = journal = Journal.create(
            directory / name,
            memory_bytes=MEMORY_BYTES[name],
            file_bytes=file_bytes,
            keep_files=keep_files,
            meta=Meta.of(config, instrument, run_id, name).text,
        )
        with journal.writer():  # makes the memory, which stays for the drainer that is claimed meanwhile
            self._drainers[name] = drainer = journal.drainer()
        drainer.start()

    def _tell(self, sentence: str) -> None:
        if not self._told:
            self._told = True
            self.warnings.append(sentence)

    def look(self) -> None:
        """Notice a disk that refuses; to be called often, it looks once a second until it has told of one."""
        now_ns = time.monotonic_ns()
        if self._told or now_ns - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now_ns
        for name, journal in self._journals.items():
            try:
                code = int(inspect_segment(journal.memory_name)["state"]["disk_error"])
            except MftError as error:
                self._tell(f"what becomes of the {name} of this run cannot be seen: {error}")
                continue
            if code:
                self._tell(
                    f"the {name} of this run cannot be written to {self.path}: {os.strerror(code)}; quoting goes on, "
                    "and what does not fit into memory until that is mended is not kept"
                )

    def close(self) -> dict[str, Kept]:
        """Bring the rest to disk, when no child writes any more; returns how each ended."""
        kept = {}
        for name, drainer in self._drainers.items():
            with self._journals[name] as journal:
                kept[name] = self._close_one(name, journal, drainer)
        self._drainers.clear()
        self._journals.clear()
        return kept

    def _close_one(self, name: str, journal: Journal, drainer: JournalDrainer) -> Kept:
        drainer.stop()
        refused = 0
        try:
            refused = int(inspect_segment(journal.memory_name)["state"]["full"])
            while drainer.drain():
                pass
        except MftError as error:
            self._tell(f"not all {name} of this run are on disk: {error}; mftpy explain brings them there later")
        left = drainer.undrained_bytes
        drainer.close()
        records = 0
        try:
            with journal.reader(at="newest") as reader:
                records = reader.next_sequence - 1
        except MftError as error:
            self._tell(f"the {name} of this run cannot be read back: {error}")
        return Kept(records, refused, left)


def _remove(directory: Path, name: str) -> None:
    """Take away an earlier run's journal: its directory was given to this run, as its summary was.

    Raises
    ------
    RoleTaken
        A run that goes on writes to it.
    OSError
        It cannot be removed.
    """
    place = directory / name
    try:
        with Journal.open(place) as journal, journal.drainer() as drainer:
            while drainer.drain():
                pass
            if drainer.writer_alive:
                journal.writer().close()  # raises with the number of the process
    except (NoSuchJournal, NoSuchSegment):
        pass  # none there, or nobody uses it
    if place.is_dir():
        for path in place.iterdir():
            if ".mftj" in path.name or path.name in ("writer.lock", "drainer.lock"):
                path.unlink()


def remove_oldest(runs: Path, total_mib: int) -> int:
    """Remove the journals of the oldest runs while those of all runs together take more than `total_mib`.

    Parameters
    ----------
    runs : Path
        Holds a directory for each run; their names sort by time.
    total_mib : int

    Returns
    -------
    int
        Runs whose decisions were removed. One that goes on is left alone.

    Raises
    ------
    MftError, OSError
        What is there cannot be looked at or removed.
    """
    places = [path for path in sorted(runs.iterdir()) if (path / DECISIONS).is_dir()] if runs.is_dir() else []
    taken = {path: sum(file.stat().st_size for name in NAMES for file in (path / name).glob("*")) for path in places}
    removed, total = 0, sum(taken.values())
    for path in places:
        if total <= total_mib * MIB:
            break
        try:
            for name in NAMES:
                _remove(path, name)
                (path / name).rmdir()
        except RoleTaken:
            continue
        removed, total = removed + 1, total - taken[path]
    return removed


def finish(directory: Path) -> None:
    """Bring to disk what a run whose processes were all killed left in memory; nothing to do after any other end.

    Raises
    ------
    MftError
        The disk refuses, or what is there is damaged.
    """
    for name in NAMES:
        with contextlib.suppress(NoSuchJournal, NoSuchSegment), Journal.open(directory / name) as journal:
            memory = inspect_segment(journal.memory_name)
            if any(role.alive for role in memory["info"].roles):
                continue  # it goes on
            with journal.drainer() as drainer:
                while drainer.drain():
                    pass


def open_writer(directory: str, name: str, warn: Callable[[str], None]) -> JournalWriter | None:
    """Claim the writing end of a journal of this run, in the process that owns it.

    Parameters
    ----------
    directory : str
        `Job.journals`; empty when nothing is kept.
    name : str
        `DECISIONS` or `ACTIONS`.
    warn : callable
        Takes a sentence for the user.

    Returns
    -------
    JournalWriter or None
        None when nothing is or can be kept.
    """
    if not directory:
        return None
    try:
        with Journal.open(Path(directory) / name) as journal:
            return journal.writer()
    except MftError as error:
        warn(f"the {name} of this run are not kept: {error}")
        return None


def close_writer(writer: JournalWriter, directory: str, name: str, warn: Callable[[str], None], gone: Gone) -> None:
    """Give a writing end back, when all is on disk; if the supervisor, which drains, is gone, bring it there ourselves.

    Parameters
    ----------
    writer : JournalWriter
    directory, name, warn
        As of `open_writer`.
    gone : callable
        True when the supervisor has gone. It may be seen to have, its pipe being closed, before its end is complete and
        its role as drainer free.
    """
    deadline = time.monotonic() + LONGEST_CLOSE_S
    try:
        while (supervisor_gone := gone()) or writer.undrained_bytes:
            if not writer.drainer_alive:
                with Journal.open(Path(directory) / name) as journal, journal.drainer() as drainer:
                    while drainer.drain():
                        pass
                break
            if time.monotonic() > deadline:
                break
            if supervisor_gone:
                time.sleep(POLL_S)
            else:
                writer.flush(POLL_S)
    except JournalDiskError:
        pass  # the supervisor has told, or is gone with whoever would be told; it stays in memory for `finish`
    except MftError as error:
        warn(f"not all {name} of this run are on disk: {error}")
    writer.close()


@contextlib.contextmanager
def writing(
    directory: str, name: str, warn: Callable[[str], None], gone: Gone = lambda: False
) -> Iterator[JournalWriter | None]:
    """Hold the writing end of a journal of this run, as `open_writer`, until the block ends in whichever way.

    The other parameters are those of `close_writer`.
    """
    writer = open_writer(directory, name, warn)
    try:
        yield writer
    finally:
        if writer is not None:
            close_writer(writer, directory, name, warn, gone)
