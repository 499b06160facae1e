"""Make the golden files of this version: a segment of each structure, as its maker left it, and the calls for Cython.

    python -m tests.golden.make             # writes what is missing for the current layouts
    python -m tests.golden.make --again     # before a release, and only then: all of the current layouts anew

A golden file is a segment whose maker was killed: its roles are held, there are records in it, some were popped.
`FORMS` has a row for each structure: what is asked for, what is written into it, and which of its words hold a time.
"""

import argparse
import ctypes
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mftcore.port
from mftcore import (
    Broadcast,
    ByteRing,
    Doorbell,
    Histogram,
    Journal,
    MasterBook,
    Seqlock,
    SeqlockBook,
    SpscRing,
    abi,
)
from mftcore.segment import directory_path
from mftcore.version import __version__
from tests.golden.layout import PAGE

HERE = Path(__file__).parent
TRADE = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i4"), ("side", "<i2"), ("flags", "u1", (2,))])
MESSAGES = [b"", b"a message", bytes(range(256)) * 3]
LATENCIES_NS = [0, 1, 127, 128, 1_000, 1_000_000, 1 << 41, -5]
BIDS = [[99, 5, 6], [98, 7, 8]]
ASKS = [[101, 3, 4]]


RECORDS = [(1, b""), (2, b"an intent"), (3, bytes(range(256)) * 2), (1, b"a fill"), (4, b"not yet on disk")]
ON_DISK = 3


def trades(first: int, count: int) -> Any:
    """Return `count` trades whose every field follows from their number."""
    records = np.zeros(count, TRADE)
    numbers = np.arange(first, first + count)
    records["price_ticks"] = 1_000_000 + numbers
    records["size_lots"] = numbers % 7
    records["side"] = np.where(numbers % 2, 1, -1)
    records["flags"] = np.stack([numbers % 251, numbers % 241], axis=1)
    return records


def _ring(name: str) -> list[Any]:
    ring = SpscRing.create(TRADE, 16, name=name)
    tx, rx = ring.producer(), ring.consumer()
    assert tx.push_many(trades(0, 20)) == 16  # four refused
    assert rx.pop_many(np.zeros(10, TRADE)) == 10
    assert tx.push_many(trades(16, 6)) == 6  # 12 in it, over the end of the memory
    return [ring, tx, rx]


def _byte_ring(name: str) -> list[Any]:
    ring = ByteRing.create(1000, name=name)
    tx, rx = ring.producer(), ring.consumer()
    assert tx.push(b"popped")
    assert rx.pop() == b"popped"
    assert tx.push_many(MESSAGES) == len(MESSAGES)
    return [ring, tx, rx]


def _seqlock(name: str) -> list[Any]:
    seqlock = Seqlock.create(TRADE, name=name)
    writer = seqlock.writer()
    for record in trades(0, 11):
        writer.write(record.tobytes())
    return [seqlock, writer]


def _broadcast(name: str) -> list[Any]:
    broadcast = Broadcast.create(TRADE, 7, name=name)
    writer = broadcast.writer()
    writer.write_many(trades(0, 11))
    return [broadcast, writer]


def _book(name: str) -> list[Any]:
    book = SeqlockBook.create("BTC-PERPETUAL", 0.5, 0.001, levels=3, name=name)
    master, writer = MasterBook(), book.writer()
    master.snapshot(np.array(BIDS), np.array(ASKS))
    writer.publish(master, exchange_time_ns=1_700_000_000_000_000_000, receive_ns=1_000)
    return [book, writer]


def _histogram(name: str) -> list[Any]:
    histogram = Histogram.create(name=name)
    recorder = histogram.recorder()
    for ns in LATENCIES_NS:
        recorder.record(ns)
    return [histogram, recorder]


def _doorbell(_name: str) -> list[Any]:
    bell = Doorbell.create()  # it never has a name
    bell.arm()
    return [bell.__reduce__()[1][0], bell]  # the memory first: `fileno` of a doorbell is its eventfd


class Form(NamedTuple):
    """A structure, its golden contents, and the offsets of the words that hold the time of a write."""

    structure: str
    kind: int
    version: int
    write: Callable[[str], list[Any]]
    times: tuple[int, ...]


def _cell_times(cells: int, record_bytes: int) -> tuple[int, ...]:
    """Return where the cells of a seqlock keep the time of their write: the second word of each."""
    stride = (2 + (record_bytes + 7) // 8 + 7) // 8 * 64
    return tuple(PAGE + 128 + cell * stride + 8 for cell in range(cells))


FORMS = (
    Form("ring", SpscRing.KIND, SpscRing.VERSION, _ring, ()),
    Form("byte_ring", ByteRing.KIND, ByteRing.VERSION, _byte_ring, ()),
    Form("seqlock", Seqlock.KIND, Seqlock.VERSION, _seqlock, _cell_times(8, TRADE.itemsize)),
    Form("broadcast", Broadcast.KIND, Broadcast.VERSION, _broadcast, _cell_times(8, TRADE.itemsize)),
    Form("book", SeqlockBook.KIND, SeqlockBook.VERSION, _book, _cell_times(8, 64 + 3 * 48)),
    Form("histogram", Histogram.KIND, Histogram.VERSION, _histogram, ()),
    Form("doorbell", Doorbell.KIND, Doorbell.VERSION, _doorbell, ()),
)


def image(form: Form) -> bytes:
    """Return the bytes of a fresh segment with the golden contents, as a maker leaves them that is killed then."""
    things = form.write(f"golden-{form.structure}-{os.getpid()}")
    try:
        fd = things[0].fileno()
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        for thing in reversed(things):
            thing.close()


def journal_images() -> tuple[bytes, bytes]:
    """Return file and memory of a fresh journal, its processes killed when `ON_DISK` of `RECORDS` were on disk."""
    with (
        tempfile.TemporaryDirectory() as place,
        Journal.create(place, memory_bytes=1 << 16, file_bytes=8192, keep_files=2, meta="golden") as journal,
    ):
        memory = Path(directory_path(), journal.memory_name)
        with journal.writer() as writer, journal.drainer() as drainer:
            for number, (kind, payload) in enumerate(RECORDS):
                writer.append(kind, payload, number * 1000)
                if number + 1 == ON_DISK:
                    drainer.drain()
            found = Path(place, "000001.mftj").read_bytes(), memory.read_bytes()
            drainer.drain()
        return found


def exported_calls() -> dict[str, str]:
    """Return the signature, as Cython compares it, of each call that modules of users may look up."""
    text = ctypes.pythonapi.PyCapsule_GetName
    text.restype, text.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return {name: text(capsule).decode() for name, capsule in mftcore.port.__pyx_capi__.items()}


def golden_files(form: Form) -> list[Path]:
    """Return the golden files of a structure, one for each release."""
    return sorted(HERE.glob(f"*/{form.structure}.z"))


def main() -> None:
    """Write the golden files of this version; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.make", allow_abbrev=False)
    parser.add_argument("--again", action="store_true", help="also those that are there: only before their release")
    again = parser.parse_args().again
    for form in FORMS:
        path = HERE / __version__ / f"{form.structure}.z"
        if path.exists() and not again:
            print(f"{path.relative_to(HERE)} is there already")
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(image(form), 9))
        print(f"{path.relative_to(HERE)}: {path.stat().st_size} bytes")
    for name, content in zip(("journal_file", "journal_memory"), journal_images(), strict=True):
        path = HERE / __version__ / f"{name}.z"
        if again or not path.exists():
            path.write_bytes(zlib.compress(content, 9))
            print(f"{path.relative_to(HERE)}: {path.stat().st_size} bytes")
    calls = HERE / __version__ / "port.txt"
    if again or not calls.exists():
        lines = [f"{name} {signature}" for name, signature in sorted(exported_calls().items())]
        calls.write_text("\n".join([str(abi.ABI), *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
