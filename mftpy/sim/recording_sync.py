"""Makes one feed without gaps of recorded files: snapshot first, then each depth update where the one before ended.

Source of the rule: "How to manage a local order book correctly", developers.binance.com, of USD-M, COIN-M and spot:
take a depth snapshot, drop the updates that it contains, let the first one that is left reach back to it, and let each
go on exactly where the one before ended (``pu`` is the previous ``u``; for spot ``U`` is the previous ``u`` plus one).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mftpy.errors import InputFileError
from mftpy.sim.recording_file import Depth, Print, RecordedFile, Steps, Top

BUFFERED_LINES: Final = 100_000

MOST_SILENCE_NS: Final = 5_000_000_000
"""Of the time between two files at most so much is played."""


@dataclass(frozen=True, slots=True)
class Join:
    """How a file goes on from the one before.

    Attributes
    ----------
    path : str
        The file that follows.
    silence_ns : int
        Recorded time from the last line before to the first line of the file.
    played_ns : int
        What is played of it: at most `MOST_SILENCE_NS`.
    resynchronised : bool
        Whether its own snapshot replaces the book, rather than its updates going on from the last ones.
    """

    path: str
    silence_ns: int
    played_ns: int
    resynchronised: bool


class Synchroniser:
    """Plays files in turn; keeps what has to hold from one to the next.

    Parameters
    ----------
    joins : list of Join
        Each file after the first appends one, once it is known how it goes on.
    """

    def __init__(self, joins: list[Join]) -> None:
        self._joins = joins
        self._last_id = 0
        """Final id of the last update that was played; 0 before the first snapshot."""
        self._last_ns = 0
        self._shift_ns = 0
        self._before: RecordedFile | None = None

    def play(self, file: RecordedFile, steps: Steps) -> Iterator[Depth | Top | Print]:
        """Yield a file's events, from its snapshot on, or from its first line on if it continues the one before.

        What comes before a snapshot that is needed is passed over, but for the updates that go on from it.

        Raises
        ------
        InputFileError
            Depth updates are missing or are there twice, time goes backwards from file to file, or there is no
            snapshot where one is needed.
        """
        silence_ns = self._silence_ns(file)
        for event in self._continuous(file, steps, silence_ns):
            yield event._replace(local_ns=event.local_ns - self._shift_ns) if self._shift_ns else event
        self._before = file

    def _silence_ns(self, file: RecordedFile) -> int:
        """Return how long nothing was recorded before this file, and leave out what is too much of it."""
        if self._before is None:
            return 0
        silence_ns = file.begin_ns - self._last_ns
        if silence_ns < 0:
            raise file.refusal(
                1,
                f"begins {-silence_ns * 1e-9:.3f} s before {self._before.path} ends; "
                "give files that do not overlap, in the order of their time",
            )
        self._shift_ns += max(silence_ns - MOST_SILENCE_NS, 0)
        return silence_ns

    def _continuous(self, file: RecordedFile, steps: Steps, silence_ns: int) -> Iterator[Depth | Top | Print]:
        held: list[Depth | Top | Print] | None = []  # None once it is known how the file begins
        fresh = False  # whether the last thing that was played is a snapshot: an update may begin before its id
        for event in file.events(steps):
            self._last_ns = max(self._last_ns, event.local_ns)
            if held is not None:
                resynchronised = isinstance(event, Depth) and event.snapshot
                held.append(event)
                if resynchronised or self._continues(file, event, held):
                    if self._before is not None:
                        played_ns = min(silence_ns, MOST_SILENCE_NS)
                        self._joins.append(Join(file.path, silence_ns, played_ns, resynchronised))
                    if resynchronised:
                        held = self._from_snapshot(file, held)
                        fresh = len(held) == 1
                    yield from held
                    held = None
                elif len(held) > BUFFERED_LINES:
                    raise file.refusal(event.line, "still no depth snapshot; giving up")
            elif not isinstance(event, Depth):
                yield event
            elif not (event.snapshot or (fresh and event.final_id <= self._last_id)):
                self._follow(file, event, fresh=fresh)
                fresh = False
                yield event
        if held is not None:
            raise self._no_snapshot(file, held)

    def _continues(self, file: RecordedFile, event: Depth | Top | Print, held: list[Depth | Top | Print]) -> bool:
        """Return whether a file's first depth update goes on where the file before ended."""
        if not isinstance(event, Depth) or not self._last_id or any(isinstance(other, Depth) for other in held[:-1]):
            return False
        if event.previous_id < self._last_id:
            raise self._overlap(file, event, event.previous_id)
        if event.previous_id > self._last_id:
            return False
        self._last_id = event.final_id
        return True

    def _from_snapshot(self, file: RecordedFile, held: list[Depth | Top | Print]) -> list[Depth | Top | Print]:
        """Return the snapshot, which is the last event held, and the updates among those before that go on from it."""
        snapshot = held[-1]
        assert isinstance(snapshot, Depth)
        if snapshot.final_id < self._last_id:
            raise self._overlap(file, snapshot, snapshot.final_id)
        self._last_id = snapshot.final_id
        found: list[Depth | Top | Print] = [snapshot]
        for update in held[:-1]:
            if isinstance(update, Depth) and update.final_id > snapshot.final_id:
                self._follow(file, update, fresh=len(found) == 1)
                found.append(update)
        return found

    def _follow(self, file: RecordedFile, update: Depth, *, fresh: bool) -> None:
        """Go on with an update; what follows a snapshot may hold changes from before it as well."""
        goes_on = update.previous_id <= self._last_id if fresh else update.previous_id == self._last_id
        if not goes_on and update.previous_id < self._last_id:
            raise file.refusal(
                update.line,
                f"a depth update goes back: it goes on from {update.previous_id}, the last one ended at "
                f"{self._last_id}; the file holds updates twice or out of order",
            )
        if not goes_on:
            raise file.refusal(
                update.line,
                f"depth updates are missing before this one: it goes on from {update.previous_id}, the last one ended "
                f"at {self._last_id}; end the file before this line, and play what follows as a second --recording "
                "if it holds a depth snapshot",
            )
        self._last_id = update.final_id

    def _overlap(self, file: RecordedFile, event: Depth, from_id: int) -> InputFileError:
        assert self._before is not None
        return file.refusal(
            event.line,
            f"goes on from the update {from_id}, but {self._before.path} has been played up to {self._last_id}; "
            "give files that do not overlap, in the order of their time",
        )

    def _no_snapshot(self, file: RecordedFile, held: list[Depth | Top | Print]) -> InputFileError:
        first = next((event for event in held if isinstance(event, Depth)), None)
        if self._before is None or first is None:
            return InputFileError(f"{file.path}: no depth snapshot (lastUpdateId) in the whole file")
        return file.refusal(
            first.line,
            f"goes on from the update {first.previous_id}, but {self._before.path} ended at {self._last_id}, and the "
            "file has no depth snapshot to begin anew from; a file between them is missing",
        )
