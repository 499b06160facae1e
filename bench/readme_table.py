"""The table of the README, from a file of raw results: ``python bench/readme_table.py bench/results/<file>.json``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _report import Table, ratio
from _targets import (
    ASYNC_RATE,
    ASYNC_TRIP,
    FAN_PACED,
    FAN_READERS,
    FAN_SATURATED,
    MESSAGE_SIZES,
    MESSAGE_THROUGHPUT,
    MESSAGE_TRIP,
    READ_BUSY,
    READ_IDLE,
)

OURS = "mftcore"
C = "C "
TRIPS = ("round trip, 64-byte records, ns", "round trip, 1024-byte records, ns")
RATES = ("throughput, 64-byte records, one way", "throughput, 1024-byte records, one way")
PACED = "waking up, paced, one way, ns"
COMPARED = {"p50": "median", "p99": "99th percentile", "p999": "99.9th percentile", "send": "cost of the send"}


def load(path: Path) -> dict[str, Any]:
    """Fill the tables from a file of raw results; returns its content."""
    content: dict[str, Any] = json.loads(path.read_text())
    for measure, found in content["measures"].items():
        table = Table.of(measure, found["key"])
        table.rows, table.absent = found["repeats"], found["not_measured"]
    return content


def number(measure: str, contestant: str, figure: str = "") -> str:
    value = Table.all[measure].value(contestant, figure) if measure in Table.all else None
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ways(trips: Sequence[str], rates: Sequence[str], heads: Sequence[str]) -> list[str]:
    """Round trips and throughputs, every way that was measured; ours and C first."""
    names = dict.fromkeys(
        name for measure in (*trips, *rates) if measure in Table.all for name in Table.all[measure].rows
    )
    text = [
        "| way | " + " | ".join(f"{head} round trip: p50 / p99, ns | M messages/s" for head in heads) + " |",
        "|---|" + "--:|--:|" * len(heads),
    ]
    for name in names:
        cells = []
        for trip, rate in zip(trips, rates, strict=True):
            both = [number(trip, name, "p50"), number(trip, name, "p99")]
            cells += [" / ".join(both) if all(both) else "", number(rate, name)]
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    return text


def fans() -> list[str]:
    """The broadcast and other ways to several readers."""
    measured = [(FAN_SATURATED.format(n), FAN_PACED.format(n), n) for n in FAN_READERS]
    measured = [found for found in measured if found[0] in Table.all]
    names = dict.fromkeys(name for saturated, _, _ in measured for name in Table.all[saturated].rows)
    head = "readers: a write, ns; M records/s a reader; lost, %; paced p50 / p99, ns"
    text = [
        "| way | " + " | ".join(f"{n} {head}" for *_, n in measured) + " |",
        "|---|" + "--:|" * len(measured),
    ]
    for name in names:
        cells = []
        for saturated, paced, _ in measured:
            found = [number(saturated, name, figure) for figure in ("write", "million_per_s", "lost_pct")]
            late = [number(paced, name, "p50"), number(paced, name, "p99")]
            cells.append("; ".join([*found, *([" / ".join(late)] if all(late) else [])]))
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    return text


def books() -> list[str]:
    """Reads of 2,400 bytes, alone and under a saturating writer."""
    if READ_IDLE not in Table.all:
        return []
    text = ["| newest value, 2,400 bytes | read, ns | under a saturating writer, ns |", "|---|--:|--:|"]
    for name in Table.all[READ_IDLE].rows:
        text.append(f"| {name} | {number(READ_IDLE, name)} | {number(READ_BUSY, name)} |")
    return text


def better() -> list[str]:
    """Where a peer beats the best of ours, in any figure that is compared."""
    text = []
    for measure, table in Table.all.items():
        ours = [name for name in table.rows if name.startswith(OURS)]
        peers = [name for name in table.rows if not name.startswith((OURS, C))]
        more_is_better = table.key == "million_per_s"
        for figure in dict.fromkeys((table.key, *COMPARED)):
            best = [(table.value(name, figure), name) for name in ours if table.value(name, figure) is not None]
            if not best or measure.startswith("starting"):
                continue
            own = (max if more_is_better and figure == table.key else min)(best)  # type: ignore[type-var]
            for peer in peers:
                found = ratio((measure, peer), (measure, own[1]), figure)
                if found is not None and (found > 1 if more_is_better and figure == table.key else found < 1):
                    text.append(
                        f"- {measure}: {peer}, {COMPARED.get(figure, figure)} {number(measure, peer, figure)} "
                        f"against {number(measure, own[1], figure)} ({own[1]})"
                    )
    return text or ["- nowhere in this run"]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python bench/readme_table.py RESULTS.json", file=sys.stderr)
        return 2
    content = load(Path(sys.argv[1]))
    machine = content["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    text = [
        f"{machine['cpu']}, {len(machine['cores'])} cores, Linux {machine['kernel']}, CPython {machine['python']}; "
        f"{peers}; commit {machine['commit']}; {machine['pinning']}; medians of the repeats.",
        "",
        *ways(TRIPS, RATES, ("64 B", "1 KiB")),
        "",
        *ways(
            [MESSAGE_TRIP.format(n) for n in MESSAGE_SIZES],
            [MESSAGE_THROUGHPUT.format(n) for n in MESSAGE_SIZES],
            [f"message of {n:,} bytes," for n in MESSAGE_SIZES],
        ),
        "",
        *fans(),
        "",
        *ways([ASYNC_TRIP], [ASYNC_RATE], ["task,"]),
        "",
        *books(),
        "",
        "| to reach | measured | bar | met |",
        "|---|--:|--:|---|",
    ]
    for row in content["targets"]:
        measured = "" if row["measured"] is None else f"{row['measured']:.3g} {row['unit']}"
        text.append(f"| {row['what']} | {measured} | {row['limit']} {row['bar']:g} | {row['met']} |")
    text += ["", "Where another way is better:", "", *better()]
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
