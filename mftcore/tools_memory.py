"""``python -m mftcore list``, ``inspect`` and ``clean``: words for the terminal around `mftcore.named_memory`."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from mftcore.errors import LayoutError, MftError, NoSuchSegment, UnsafePath
from mftcore.layout import dtype_from_text
from mftcore.named_memory import RoleInfo, SegmentInfo, inspect_segment, remove_dead, segments
from mftcore.segment import directory_path

DONE, NOT_USABLE, MACHINE = 0, 3, 5


def add_parser(subparsers: Any) -> None:
    """Add ``list``, ``inspect`` and ``clean`` to the commands of ``python -m mftcore``."""
    lists = subparsers.add_parser(
        "list", help="what stands in named memory, whose it is, who uses it", allow_abbrev=False
    )
    lists.add_argument("--json", action="store_true", help="print one JSON array in place of the table")
    lists.set_defaults(run=_list)

    inspect = subparsers.add_parser("inspect", help="everything of one named segment", allow_abbrev=False)
    inspect.add_argument("name", metavar="NAME")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    inspect.set_defaults(run=_inspect)

    clean = subparsers.add_parser(
        "clean", help="take away names whose maker and holders of roles are all dead", allow_abbrev=False
    )
    clean.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    clean.add_argument("--dry-run", action="store_true", help="only say what would be done")
    clean.add_argument("--damaged", action="store_true", help="also damaged and foreign files that no process has open")
    clean.add_argument("--json", action="store_true", help="print one JSON array")
    clean.set_defaults(run=_clean)


def printable(text: str) -> str:
    r"""Return text that a terminal shows and does not obey: control characters, undecodable bytes as ``\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _list(options: argparse.Namespace) -> int:
    try:
        found = segments()
    except MftError as error:
        return _fail("list", error)
    if options.json:
        print(json.dumps([_plain(info) for info in found], indent=2))
        return DONE
    if not found:
        print(f"there is no named memory in {printable(directory_path())}")
        return DONE
    head = ("NAME", "STRUCTURE", "RECORD", "CAPACITY", "BYTES", "AGE", "MAKER", "ROLES")
    rows = [_row(info) for info in found if not info.fault]
    if rows:
        _table([head, *rows])
    for info in found:
        if info.fault:
            print(f"{printable(info.name)}: no usable segment: {printable(info.fault)}")
    return DONE


def _row(info: SegmentInfo) -> tuple[str, ...]:
    return (
        printable(info.name),
        f"{info.structure} v{info.layout_version}",
        printable(_record(info)),
        f"{info.capacity} {info.capacity_unit}".strip(),
        str(info.total_bytes),
        _age(info.age_ns),
        _process(info.maker_pid, info.maker_alive, info.maker_foreign),
        "; ".join(_role(role) for role in info.roles) or "-",
    )


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _record(info: SegmentInfo) -> str:
    """Return the record type in a few words: the fields' names, or the format, and the size."""
    if not info.record:
        return _size(info.record_bytes)
    try:
        dtype = dtype_from_text(info.record)
    except LayoutError:
        return f"{_size(info.record_bytes)}, type unreadable"
    shown = ",".join(dtype.names) if dtype.names else dtype.str
    return f"{shown if len(shown) <= 40 else shown[:37] + '...'} ({_size(info.record_bytes)})"


def _size(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"


def _age(ns: int | None) -> str:
    """Return an age with the largest unit that it has one of."""
    if ns is None:
        return "unknown"
    seconds = ns / 1e9
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{ns / 1e6:.3f} ms"


def _process(pid: int, alive: bool, foreign: bool) -> str:
    if pid == 0:
        return "-"
    return f"{pid} {'of another namespace' if foreign else 'alive' if alive else 'dead'}"


def _role(role: RoleInfo) -> str:
    epoch = f" epoch {role.epoch}" if role.epoch else ""
    return f"{role.role} {_process(role.pid, role.alive, role.foreign)}{epoch}"


def _inspect(options: argparse.Namespace) -> int:
    try:
        found = inspect_segment(options.name)
    except MftError as error:
        return _fail("inspect", error)
    info = found.pop("info")
    if options.json:
        dtype = found.pop("dtype")
        print(json.dumps({**_plain(info), **found, "dtype": None if dtype is None else str(dtype)}, indent=2))
        return DONE
    lines = [
        ("name", info.name),
        ("structure", f"{info.structure}, layout version {info.layout_version}"),
        ("record", _size(info.record_bytes) + (f": {found['dtype']}" if found["dtype"] is not None else "")),
        ("capacity", f"{info.capacity} {info.capacity_unit}".strip()),
        ("memory", f"{info.total_bytes} bytes"),
        ("age", _age(info.age_ns)),
        ("maker", f"process {_process(info.maker_pid, info.maker_alive, info.maker_foreign)}"),
        ("instance", found["instance"]),
        *([("text", found["meta"])] if found["meta"] else []),
        *([("parameters", " ".join(map(str, found["params"])))] if any(found["params"]) else []),
        *[(role.role, _holder(role)) for role in info.roles],
        *[(_words(key), _value(key, value)) for key, value in found["state"].items()],
    ]
    width = max(len(key) for key, _ in lines) + 2
    for key, value in lines:
        print(f"{key + ':':<{width}}{printable(value)}")
    return DONE


def _holder(role: RoleInfo) -> str:
    who = f"process {_process(role.pid, role.alive, role.foreign)}" if role.pid else "nobody"
    return f"{who}, epoch {role.epoch}"


def _words(key: str) -> str:
    return key.removesuffix("_ns").replace("_", " ")


def _value(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "in order"
    return f"{value} ns" if key.endswith("_ns") else str(value)


def _clean(options: argparse.Namespace) -> int:
    try:
        done = remove_dead(options.names or None, damaged=options.damaged, dry_run=options.dry_run)
    except MftError as error:
        return _fail("clean", error)
    if options.json:
        print(json.dumps([dataclasses.asdict(removal) for removal in done], indent=2))
        return DONE
    taken = "would be removed" if options.dry_run else "removed"
    for removal in done:
        print(f"{printable(removal.name)}: {taken if removal.removed else 'kept'}: {printable(removal.reason)}")
    count = sum(removal.removed for removal in done)
    print(f"{count} {taken}, {len(done) - count} kept")
    return DONE


def _plain(info: SegmentInfo) -> dict[str, Any]:
    return dataclasses.asdict(info)


def _fail(command: str, error: MftError) -> int:
    print(f"mftcore {command}: {printable(str(error))}", file=sys.stderr)
    usable = (NoSuchSegment, LayoutError)
    if command == "inspect" and isinstance(error, (*usable, UnsafePath)):
        return NOT_USABLE
    return MACHINE
