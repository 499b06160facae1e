"""The journal: one record of 192 bytes appended, so that it survives the death of the process.

A regression means that what must be written down before it is acted on delays the acting. Rows that write to a file
reach the kernel's cache with each call and survive a killed process, as ours do; none of them waits for the disk.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _harness import Figures, c_program, contest, in_runs, one_by_one, pinned, scaled, two_cores

from mftcore import Journal

RECORD = bytes(range(192))
AT_ONCE = 10_000  # appended between two flushes, which are not timed


@pytest.mark.benchmark(group="journal")
def bench_append(benchmark: Any) -> None:
    """One record per call, single calls timed; the journal's own drainer writes to disk on the other core."""
    here, _ = two_cores()
    contestants = {
        "C append": partial(c_program, "bench_journal.c", "append", len(RECORD), scaled(200_000, 6400), here),
        "mftcore append": appended,
        "file write and flush": written_to_a_file,
        "sqlite3 insert, WAL, commit": inserted,
    }
    contest(benchmark, "journal, one record of 192 bytes appended, ns", contestants, key="p50")


@pytest.mark.benchmark(group="journal")
def bench_read(benchmark: Any) -> None:
    """Records read back in lists of 1,000: from memory, and from the files alone; per record."""
    contestants = {
        "mftcore read_many, memory": partial(read_back, from_files=False),
        "mftcore read_many, files": partial(read_back, from_files=True),
    }
    contest(benchmark, "journal, one record of 192 bytes read, ns", contestants, key="ns")


@contextmanager
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def measured(call: Callable[[], Any]) -> Figures:
    with pinned(two_cores()[0]):
        in_runs(call, 640)
        return {**one_by_one(call, scaled(AT_ONCE, 1000))}


def appended() -> Figures:
    with (
        disk() as place,
        Journal.create(place / "j", memory_bytes=1 << 23) as journal,
        journal.writer(drain=True) as writer,
    ):
        append = writer.append
        return measured(lambda: append(1, RECORD))


def written_to_a_file() -> Figures:
    with disk() as place, (place / "file").open("wb") as file:

        def write() -> None:
            file.write(RECORD)
            file.flush()

        return measured(write)


def inserted() -> Figures:
    with disk() as place:
        database = sqlite3.connect(place / "database")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE record (payload BLOB)")
        database.commit()

        def insert() -> None:
            database.execute("INSERT INTO record VALUES (?)", (RECORD,))
            database.commit()

        try:
            return measured(insert)
        finally:
            database.close()


def read_back(from_files: bool) -> Figures:
    count = scaled(20_000, 2_000)
    with disk() as place, Journal.create(place / "j", memory_bytes=1 << 23) as journal:
        writer = journal.writer(drain=True)
        reader = None if from_files else journal.reader()
        for _ in range(count):
            writer.append(1, RECORD)
        if from_files:
            writer.close()
            reader = journal.reader()
        assert reader is not None
        with pinned(two_cores()[0]), reader:
            read_many = reader.read_many
            found = in_runs(lambda: read_many(10), count // 20, 10)
        writer.close()
        return {**found, "ns": found["ns"] / 10}
