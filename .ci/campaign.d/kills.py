#!/usr/bin/env python3
"""Kill 10,000 processes of each kind in C, and 200 of each kind of real Python process; write the table of the results.

The table goes into ``docs/crash-safety.md`` between its two markers, with date, machine and commit. A kind that was
killed less often than it should be, or a machine on which processes cannot be traced, is an error: nothing is written
then.
"""

import csv
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "crash-safety.md"
BEGIN, END = "<!-- campaign:begin -->", "<!-- campaign:end -->"
KILLS_IN_C, KILLS_IN_PYTHON = 10_000, 200  # of the latter a tenth again with spawned processes


class Row(NamedTuple):
    """A kind in one build, or summed over the builds; the columns of KILL_RESULTS."""

    name: str
    build: str
    places: int
    kills: int
    done: int
    torn: int
    lost: int
    repeated: int
    blocked: int
    wrong: int
    again: int
    gone: int
    handed_over: int


def total(rows: list[Row]) -> Row:
    builds = ", ".join(sorted({row.build for row in rows}))
    sums = [sum(column) for column in zip(*(row[2:] for row in rows), strict=True)]
    return Row(rows[0].name, builds, *sums)


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def compiler() -> str:
    ran = subprocess.run([os.environ.get("CC", "gcc"), "--version"], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[0]


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = [line for line in git("status", "--porcelain").splitlines() if not line.endswith("docs/crash-safety.md")]
    return git("rev-parse", "--short=12", "HEAD") + (" with uncommitted changes" if changed else "")


def table(rows: list[Row], seconds: int) -> str:
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, commit {commit()}, {seconds} s. {machine()}; {compiler()}.",
        "",
        "| Killed | builds | places | kills | after the effect | torn | lost | repeated | blocked | wrong | "
        "again, as promised | gone, as promised | handed over |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row.name} | {row.build} | " + " | ".join(f"{n:,}" if n or i else "" for i, n in enumerate(row[2:])) + " |"
        for row in rows
    ]
    summed = total(rows)
    faults = summed.torn + summed.lost + summed.repeated + summed.blocked + summed.wrong
    lines += [
        "",
        f"{summed.kills:,} kills in all; records or values torn, lost, repeated, blocked or wrong: {faults}. "
        "Every planted bug was found.",
    ]
    return "\n".join(lines)


def main() -> int:
    began = datetime.datetime.now()
    with tempfile.TemporaryDirectory() as work:
        results = Path(work, "results")
        environment = {**os.environ, "KILL_RESULTS": str(results), "MFTCORE_KILLS": str(KILLS_IN_PYTHON)}
        tests = [str(path) for path in sorted((ROOT / "tests" / "core").glob("test_kill_*.py"))]
        for command in (
            [str(ROOT / "tests/c/kill/run"), "campaign"],
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        ):
            if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
                print(f"{command[0]} failed: the page stays as it was")
                return 1
        with results.open(newline="") as file:
            found = [Row(name, build, *map(int, numbers)) for name, build, *numbers in csv.reader(file, delimiter="\t")]
    kinds: dict[str, list[Row]] = {}
    for row in found:
        kinds.setdefault(row.name, []).append(row)
    rows = [total(of_kind) for of_kind in kinds.values()]
    if not any(row.places for row in rows):
        print("NOT VERIFIED: killed at every instruction: the page stays as it was")
        return 1
    few = [row for row in rows if row.kills < (KILLS_IN_PYTHON if row.name.startswith("Python") else KILLS_IN_C)]
    if few:
        print(f"too few kills: {few}")
        return 1
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    text = table(rows, (datetime.datetime.now() - began).seconds)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
