"""What a run found: tables, ratios of figures taken in the same turn, and the file of raw results."""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

HERE = Path(__file__).parent
Figures = dict[str, float]
PEERS = ("faster-fifo", "pyzmq", "iceoryx2", "spsc-ring-threadsafe", "numba", "uvloop")
SHOWN = ("p50", "p90", "p99", "p999", "max")


class Table:
    """The figures of one measure, by contestant and repeat.

    Attributes
    ----------
    key : str
        The figure that ratios are made of.
    rows : dict of str to list of Figures
        Per contestant, one entry per repeat.
    absent : dict of str to str
        Why a contestant was not measured.
    """

    all: ClassVar[dict[str, "Table"]] = {}

    def __init__(self, measure: str, key: str) -> None:
        self.measure = measure
        self.key = key
        self.rows: dict[str, list[Figures]] = {}
        self.absent: dict[str, str] = {}
        self.notes: list[str] = []

    @classmethod
    def of(cls, measure: str, key: str) -> "Table":
        return cls.all.setdefault(measure, cls(measure, key))

    def add(self, contestant: str, figures: Figures) -> None:
        self.rows.setdefault(contestant, []).append(figures)

    def not_measured(self, contestant: str, reason: str) -> None:
        self.absent[contestant] = reason
        self.rows.pop(contestant, None)

    def value(self, contestant: str, figure: str = "") -> float | None:
        """Return the median over the repeats, the largest of all for ``max``; None: not measured."""
        values = [row[figure or self.key] for row in self.rows.get(contestant, []) if (figure or self.key) in row]
        if not values:
            return None
        return max(values) if figure == "max" else sum(values) if figure == "count" else median(values)

    def summary(self) -> dict[str, dict[str, float | None]]:
        names = {name: {figure for row in rows for figure in row} for name, rows in self.rows.items()}
        return {name: {figure: self.value(name, figure) for figure in sorted(names[name])} for name in self.rows}


def ratio(over: tuple[str, str], under: tuple[str, str], figure: str = "") -> float | None:
    """Return the median over the repeats of (figure of `over`) / (figure of `under`), taken in the same turn.

    Each of the two is (measure, contestant). None when either was not measured.
    """
    a, b = (Table.all.get(measure) for measure, _ in (over, under))
    if a is None or b is None:
        return None
    tops, bottoms = a.rows.get(over[1], []), b.rows.get(under[1], [])
    pairs = [
        (top[figure or a.key], bottom[figure or b.key])
        for top, bottom in zip(tops, bottoms, strict=False)
        if (figure or a.key) in top and (figure or b.key) in bottom
    ]
    found = [top / bottom for top, bottom in pairs if bottom]
    return median(found) if found else None


def lines() -> list[str]:
    """Return all tables as text."""
    text: list[str] = []
    for table in Table.all.values():
        text += ["", *_rows(table), *(f"  note: {note}" for note in table.notes)]
    return text


def _rows(table: Table) -> list[str]:
    names = [name for name in table.rows if name not in table.absent]
    width = max((len(name) for name in (*names, *table.absent)), default=0) + 2
    figures = list(dict.fromkeys(figure for rows in table.rows.values() for row in rows for figure in row))
    against = {
        "x ours": next((name for name in names if name.startswith("mftcore")), ""),
        "x C": next((name for name in names if name.startswith("C ")), ""),
    }
    against = {head: name for head, name in against.items() if name and table.value(name)}
    means = "".join(f"; {head}: {table.key} / that of {name!r}" for head, name in against.items())
    text = [table.measure + means, " " * (width + 2) + "".join(f"{head:>15}" for head in (*figures, *against))]
    for name in names:
        row = f"  {name:<{width}}" + "".join(f"{_shown(table.value(name, figure)):>15}" for figure in figures)
        for other in against.values():
            found = ratio((table.measure, name), (table.measure, other))
            row += f"{'-' if found is None else f'{found:.3g}':>15}"
        text.append(row)
    return text + [f"  {name:<{width}}  not measured: {reason}" for name, reason in table.absent.items()]


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Return processor, cores of our affinity mask, kernel, Python, versions and commit."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = sorted(os.sched_getaffinity(0))
    return {
        "cpu": model,
        "cores": cores,
        "pinning": f"first side on core {cores[0]}, second on core {cores[min(1, len(cores) - 1)]}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("mftpy", "numpy", "Cython", *PEERS)},
        "commit": _commit(),
        "load_at_end": [round(load, 2) for load in os.getloadavg()],
    }


def machine_line() -> str:
    m = machine()
    versions = ", ".join(f"{name} {found}" for name, found in m["versions"].items())
    cores = f"{m['pinning']} of {len(m['cores'])}"
    return f"{m['cpu']}; {cores}; Linux {m['kernel']}; CPython {m['python']}; {versions}; commit {m['commit']}"


def waits_line() -> str:
    """Return how the receivers of the tables wait."""
    return (
        'waiting: rows of mftcore, C and iceoryx2 spin, unless their name says "park", "yield" or "epoll"; '
        "tasks of event loops and all other rows sleep in the kernel"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(HERE), *words], capture_output=True, text=True, check=True).stdout

    try:
        # results themselves are no change of what was measured
        changed = git("status", "--porcelain", "--", ":/", ":(exclude,top)bench/results")
        return git("rev-parse", "--short=10", "HEAD").strip() + ("-changed" if changed.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write(directory: Path, targets: list[dict[str, Any]]) -> Path:
    """Write everything that was measured to ``<commit>.<cpu>.json`` in `directory`; returns the path."""
    found = machine()
    cpu = "-".join("".join(c if c.isalnum() else " " for c in found["cpu"].lower()).split())
    content = {
        "machine": found,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "units": "ns unless the name says otherwise; one entry per repeat",
        "targets": targets,
        "measures": {
            table.measure: {
                "key": table.key,
                "notes": table.notes,
                "repeats": table.rows,
                "not_measured": table.absent,
            }
            for table in Table.all.values()
        },
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{found['commit']}.{cpu}.json"
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path
