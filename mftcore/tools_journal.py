"""``python -m mftcore journal PATH``: print a journal's records and check them.

Reads like every reader: also while the journal is written, also on a read-only disk, also a copy from another machine.
"""

import argparse
import datetime
import json
from collections.abc import Iterator
from typing import Any, Final

from mftcore.endpoint import wait_any
from mftcore.errors import JournalDamaged
from mftcore.journal import Journal
from mftcore.journal_reader import JournalReader, JournalRecord

SHOWN_BYTES: Final = 64
FOLLOW_S: Final = 1.0


def add_parser(subparsers: Any) -> None:
    """Add the command ``journal``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "journal",
        help="print and verify a journal",
        description="Print a journal's records, one per line: number, time, type, length, payload as text or hex. "
        "Every checksum is verified on the way; a summary comes last.",
        epilog="exit codes: 0 fine; 2 usage; 3 damaged, or cannot be read",
    )
    parser.add_argument("path", metavar="PATH", help="the journal's directory")
    parser.add_argument("--follow", action="store_true", help="go on with what is appended, until Ctrl-C")
    parser.add_argument("--from", dest="first", type=_number, metavar="N", help="begin at the record of this number")
    parser.add_argument("--type", dest="type", type=_number, metavar="T", help="print records of this type alone")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, payloads whole and in hex")
    parser.add_argument("--verify", action="store_true", help="print the summary alone")
    parser.set_defaults(run=run)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Print and verify; 0, or `JournalDamaged` after what could be read."""
    printed = 0
    first = None if arguments.first is None else max(arguments.first, 1)
    with Journal.open(arguments.path) as journal, journal.reader(sequence=first) as reader:
        first, lost = reader.next_sequence, reader.lost
        try:
            for record in _records(reader, arguments.follow):
                if arguments.verify or arguments.type not in (None, record.type):
                    continue
                print(_as_json(record) if arguments.json else _as_line(record), flush=arguments.follow)
                printed += 1
        except (JournalDamaged, KeyboardInterrupt) as error:
            whole = not isinstance(error, JournalDamaged)
            _summary(arguments, reader, first + reader.lost - lost, printed, whole=whole)
            if not whole:
                raise
            return 0
        _summary(arguments, reader, first + reader.lost - lost, printed, whole=True)
    return 0


def _records(reader: JournalReader, follow: bool) -> Iterator[JournalRecord]:
    while True:
        yield from reader
        if not follow:
            return
        wait_any([reader], FOLLOW_S)  # a writer that died is no reason to end: another may go on


def _time(ns: int) -> str:
    try:
        second = datetime.datetime.fromtimestamp(ns // 1_000_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):  # a stamp that is no CLOCK_MONOTONIC
        return f"{ns}ns"
    return f"{second:%Y-%m-%dT%H:%M:%S}.{ns % 1_000_000_000:09d}Z"


def _as_line(record: JournalRecord) -> str:
    shown = record.payload[:SHOWN_BYTES]
    try:
        text = shown.decode()
    except UnicodeDecodeError:
        text = ""
    # what a terminal would obey is shown as hex
    payload = text if text and text.isprintable() else shown.hex()
    more = "..." if len(record.payload) > SHOWN_BYTES else ""
    return f"{record.sequence} {_time(record.wall_ns)} {record.type} {len(record.payload)} {payload}{more}"


def _as_json(record: JournalRecord) -> str:
    return json.dumps(
        {
            "sequence": record.sequence,
            "time": _time(record.wall_ns),
            "stamp_ns": record.stamp_ns,
            "type": record.type,
            "length": len(record.payload),
            "payload": record.payload.hex(),
        }
    )


def _summary(arguments: argparse.Namespace, reader: JournalReader, first: int, printed: int, *, whole: bool) -> None:
    found = {
        "records": reader.next_sequence - first,
        "printed": printed,
        "first": first,
        "last": reader.next_sequence - 1,
        "removed": reader.lost,
        "torn_tail": reader.torn,
        "whole": whole,
    }
    if arguments.json:
        print(json.dumps({"summary": found}))
        return
    count = found["records"]
    line = f"{count} records" + (f", {first} to {found['last']}" if count else "")
    line += ", all whole" if whole else ", whole so far; then damage"
    if reader.lost:
        line += f"; {reader.lost} before them were removed by retention"
    if reader.torn:
        line += "; behind them a part of one, torn off"
    print(line)
