"""The decisions that a run has kept, live or finished: finding the run, and one of them by time, number or order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mftcore import Journal, JournalDamaged, MftError, NoSuchJournal, RecordError
from mftpy import journals
from mftpy.decisions import ACTION, DECISION, Outcome
from mftpy.errors import ConfigError, InputFileError
from mftpy.instance import noted_run, noted_runs, state_directory
from mftpy.journal_meta import ACTIONS, DECISIONS, Meta
from mftpy.records import Reason

CHUNK: Final = 512
_LEFT_ALONE: Final = [
    Outcome.RESTS_ALREADY, Outcome.WAITS_FOR_ANSWER, Outcome.THROTTLED, Outcome.REFUSED_BY_LIMITS,
    Outcome.PAUSED_AFTER_REFUSAL, Outcome.HELD_POSSIBLY_FILLED,
]  # fmt: skip
LOOK_BACK: Final = 50_000
"""So many decisions before one are searched for the last that was passed on."""

_RELATIVE: Final = re.compile(r"-(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)", re.ASCII)
_UNIT_NS: Final = {"ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_CLOCK: Final = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?", re.ASCII)


def find_run(directory: str | None, instance: str | None) -> Path:
    """Return a run's directory: the one named, that instance's newest, or the newest of all.

    Raises
    ------
    InputFileError
        There is no such directory, or none that has kept its decisions.
    """
    if directory is not None:
        if not Path(directory).is_dir():
            raise InputFileError(f"there is no directory {directory}")
        return Path(directory)
    if instance is not None:
        noted = noted_run(instance)
        if noted is None:
            raise InputFileError(
                f'no run of an instance named "{instance}" is known here; name its directory with --run'
            )
        return noted.directory
    base = state_directory() / "runs"
    runs = [(path.name, path) for path in base.iterdir()] if base.is_dir() else []
    runs += [(noted.run_id, noted.directory) for noted in noted_runs()]
    kept = [(run_id, path) for run_id, path in runs if (path / DECISIONS).is_dir()]
    if not kept:
        raise InputFileError(f"no run in {base} has kept its decisions; name a run's directory with --run")
    return max(kept)[1]


class KeptRun:
    """The journals of a run, for reading; a context manager.

    Attributes
    ----------
    directory : Path
    meta : Meta
    live : bool
        The run goes on.
    damage : str
        The sentence about what cannot be read; empty when all can.
    """

    def __init__(self, directory: Path) -> None:
        """Open the journals.

        Raises
        ------
        InputFileError
            The run has kept none, or the journal's very beginning is damaged.
        """
        self.directory = directory
        self.damage = ""
        self._sequences: dict[int, int] = {}
        self._bounds: tuple[int, int] | None = None
        self._actions: NDArray[np.void] | None = None
        try:
            journals.finish(directory)
        except MftError as error:
            self._cannot(error)  # on a read-only disk, say: what is in memory can be read nevertheless
        try:
            self._journal = Journal.open(directory / DECISIONS)
        except NoSuchJournal as error:
            raise InputFileError(
                f"{directory} holds no decisions of a run: it has not come so far, or could not keep them; its "
                "summary.json has the warnings"
            ) from error
        except MftError as error:
            raise InputFileError(f"the decisions in {directory} cannot be read: {error}") from error
        try:
            self.meta = Meta.read(self._journal, DECISIONS)
            with self._journal.reader(at="newest") as reader:
                self.live = reader.writer_alive
        except JournalDamaged as error:
            self.live = False
            self._cannot(error)
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> KeptRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def _cannot(self, error: MftError) -> None:
        self.damage = self.damage or str(error)

    # decisions

    def bounds(self) -> tuple[int, int]:
        """Return the numbers of the oldest and the newest record that can be read.

        Raises
        ------
        InputFileError
            There is none.
        """
        if self._bounds is not None and not self.live:
            return self._bounds
        newest = 0
        try:
            with self._journal.reader(at="newest") as reader:
                newest = reader.next_sequence - 1
        except JournalDamaged as error:
            self._cannot(error)
            newest = error.sequence
        try:
            with self._journal.reader() as reader:
                record = reader.read()
        except JournalDamaged as error:
            self._cannot(error)
            record = None
        if record is None or newest < record.sequence:
            what = self.damage or "nothing has been decided yet"
            raise InputFileError(f"run {self.meta.run_id} has no decision to explain: {what}")
        self._bounds = record.sequence, newest
        return self._bounds

    def read(self, first: int, last: int) -> list[np.void]:
        """Return the decisions with these numbers of records, as far as they can be read."""
        rows: list[np.void] = []
        try:
            with self._journal.reader(sequence=first) as reader:
                while reader.next_sequence <= last and (record := reader.read()) is not None:
                    if record.sequence <= last:
                        rows.append(_row(record.payload, DECISION, self._journal.path, record.sequence))
                        self._sequences[int(rows[-1]["decision_id"])] = record.sequence
        except JournalDamaged as error:
            self._cannot(error)
        except RecordError:
            pass  # a number beyond the newest: it cannot be read
        return rows

    def last(self, count: int) -> list[np.void]:
        """Return the newest decisions, oldest first."""
        oldest, newest = self.bounds()
        return self.read(max(oldest, newest - count + 1), newest)

    def newest(self) -> np.void:
        """Return the newest decision that was not made because the run was ending; the newest if all were."""
        found = self._newest_that(lambda row: not int(row["reasons"]) & Reason.STOPPING)
        return found if found is not None else self.last(1)[0]

    def at(self, time_ns: int) -> np.void:
        """Return the decision in force at a time of CLOCK_MONOTONIC.

        Raises
        ------
        ConfigError
            The oldest that is kept was made later.
        """
        found = self._newest_that(lambda row: int(row["decided_ns"]) <= time_ns)
        if found is None:
            (oldest,) = self.read(self.bounds()[0], self.bounds()[0])
            first = self.local(int(oldest["decided_ns"]))
            raise ConfigError(f"the oldest decision that is kept was made at {first}; give a later time")
        return found

    def by_number(self, decision_id: int) -> np.void | None:
        """Return the decision of this number; None when it is not kept."""
        found = self._newest_that(lambda row: int(row["decision_id"]) <= decision_id)
        return found if found is not None and int(found["decision_id"]) == decision_id else None

    def _newest_that(self, early: Callable[[np.void], bool]) -> np.void | None:
        """Return the newest decision that is early enough, of decisions in order: by bisection."""
        low, high = self.bounds()
        found = None
        while low <= high:
            middle = probe = (low + high) // 2
            step = 1
            while not (rows := self.read(probe, probe)) and probe < high:
                probe, step = min(probe + step, high), 2 * step  # damaged, or removed meanwhile: over it
            if rows and early(rows[0]):
                found, low = rows[0], probe + 1
            else:
                high = middle - 1
        return found

    def passed_on_before(self, row: np.void) -> int | None:
        """Return the number of the last decision that was passed on before this one; None when none is found."""
        oldest, _ = self.bounds()
        first = self._sequences[int(row["decision_id"])]
        high, count = first - 1, 16
        while high >= oldest and first - high < LOOK_BACK:
            low = max(oldest, high - count + 1)
            rows = self.read(low, high)
            for earlier in reversed(rows):
                if int(earlier["passed_on"]):
                    return int(earlier["decision_id"])
            if len(rows) < high - low + 1:
                return None  # damaged, or removed meanwhile
            high, count = low - 1, min(2 * count, CHUNK)
        return None

    # actions

    @property
    def actions(self) -> NDArray[np.void]:
        """Every action that is kept, in order; an array of ACTION, shape (n,). Read once."""
        if self._actions is None:
            payloads: list[bytes] = []
            try:
                with Journal.open(self.directory / ACTIONS) as journal:
                    Meta.read(journal, ACTIONS)
                    with journal.reader() as reader:
                        for record in reader:
                            _row(record.payload, ACTION, journal.path, record.sequence)
                            payloads.append(record.payload)
            except NoSuchJournal:
                self.damage = self.damage or f"{self.directory} holds no actions of execution"
            except MftError as error:
                self._cannot(error)
            self._actions = np.frombuffer(b"".join(payloads), ACTION)
        return self._actions

    def actions_of(self, decision_id: int) -> NDArray[np.void]:
        """Return what execution did about a decision, in order."""
        return np.compress(self.actions["decision_id"] == decision_id, self.actions)

    def actions_on(self, client_order_id: int) -> NDArray[np.void]:
        """Return what is kept of an order, in order.

        Raises
        ------
        ConfigError
            Nothing.
        InputFileError
            Nothing, of what can be read.
        """
        found = np.compress(self.actions["client_order_id"] == client_order_id, self.actions)
        if not len(found) and self.damage:
            raise InputFileError(
                f"not all of run {self.meta.run_id} can be read, and in the rest is nothing about an order "
                f"{client_order_id}: {self.damage}"
            )
        if not len(found) or client_order_id == 0:  # what was done about no order has number 0
            numbers = self.actions["client_order_id"][self.actions["client_order_id"] > 0]
            known = f"orders {numbers.min()} to {numbers.max()} are" if len(numbers) else "of no order anything is"
            raise ConfigError(f"run {self.meta.run_id} has kept nothing about an order {client_order_id}; {known} kept")
        return found

    # times

    def local(self, monotonic_ns: int) -> str:
        """Write a time of CLOCK_MONOTONIC of this run as local time."""
        return str(self._datetime(monotonic_ns).isoformat(sep=" ", timespec="microseconds"))

    def _datetime(self, monotonic_ns: int) -> datetime:
        return datetime.fromtimestamp(0).astimezone() + timedelta(
            microseconds=(monotonic_ns + self.meta.wall_minus_monotonic_ns) // 1000
        )

    def monotonic_ns(self, text: str) -> int:
        """Return the time of CLOCK_MONOTONIC that a user means.

        Parameters
        ----------
        text : str
            ISO date and time, local or with a zone; a time of the run's day; or ``-10s`` (ms, s, m, h) before now, or
            before the end of a run that has ended.

        Raises
        ------
        ConfigError
            It is none of these.
        """
        if (relative := _RELATIVE.fullmatch(text)) is not None:
            end = time.monotonic_ns() if self.live else self._decided_ns(self.bounds()[1])
            return end - round(float(relative[1]) * _UNIT_NS[relative[2]])
        try:
            if _CLOCK.fullmatch(text):
                return self._time_of_day(text)
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(
                f"--at {text}: give a time as 2026-01-31T12:00:00, 12:00:00 on the run's day, or -10s before its end"
            ) from error
        return self._from(at)

    def _from(self, at: datetime) -> int:
        return round(at.astimezone().timestamp() * 1e6) * 1000 - self.meta.wall_minus_monotonic_ns

    def _time_of_day(self, text: str) -> int:
        """The last such time that lies within the run, else that of the day of its newest decision."""
        first, last = (self._datetime(self._decided_ns(number)) for number in self.bounds())
        clock = datetime.strptime(text + ":00" * (text.count(":") == 1), "%H:%M:%S.%f" if "." in text else "%H:%M:%S")
        day = last.date()
        while day >= first.date():
            if first <= datetime.combine(day, clock.time()).astimezone() <= last:
                return self._from(datetime.combine(day, clock.time()))
            day -= timedelta(days=1)
        return self._from(datetime.combine(last.date(), clock.time()))

    def _decided_ns(self, number: int) -> int:
        rows = self.read(number, number)
        if not rows:
            raise InputFileError(f"decisions of run {self.meta.run_id} cannot be read: {self.damage}")
        return int(rows[0]["decided_ns"])


def changes(actions: NDArray[np.void]) -> NDArray[np.void]:
    """Return those actions that changed an order: the others say why it was left alone."""
    return np.compress(~np.isin(actions["outcome"], _LEFT_ALONE), actions)


def _row(payload: bytes, dtype: np.dtype[Any], path: str, sequence: int) -> np.void:
    if len(payload) != dtype.itemsize:
        raise InputFileError(f"record {sequence} of {path} has {len(payload)} bytes, not {dtype.itemsize}")
    return np.frombuffer(payload, dtype)[0]  # type: ignore[no-any-return]
