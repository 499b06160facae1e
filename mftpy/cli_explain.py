"""``mftpy explain``: why it quoted what it quoted, or did not; of a run that goes on or has ended."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from mftpy.console import Parser, complain, say, whole
from mftpy.errors import ConfigError, InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from mftpy.kept_run import KeptRun

MOST: Final = 100_000
INSTANCE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


def add(commands: Any) -> None:
    """Add the command ``explain`` to the subparsers of the command line."""
    explain: Parser = commands.add_parser(
        "explain",
        help="why it quoted what it quoted, or did not",
        allow_abbrev=False,
        description="Explain decisions of a run, live or finished: by default the newest one of the newest run, "
        "those at its end left out.",
    )
    which = explain.add_mutually_exclusive_group()
    which.add_argument("--last", type=whole, metavar="N", help="the newest N decisions, whatever they were made for")
    which.add_argument(
        "--at",
        metavar="TIME",
        help="the one in force then: 2026-01-31T12:00:00 (local, or with a zone), 12:00:00 on the run's day, or -10s "
        "before now or before the end",
    )
    which.add_argument("--order", type=whole, metavar="ID", help="those behind an order: its client_order_id")
    where = explain.add_mutually_exclusive_group()
    where.add_argument("--run", metavar="DIR", help="a run's directory, as named with --out or under .../mftpy/runs")
    where.add_argument("--instance", metavar="NAME", help="the newest run of this instance")
    explain.add_argument("--json", action="store_true", help="print JSON: every number, and sums that are exact")
    explain.set_defaults(action=_explain)


def _explain(options: argparse.Namespace) -> int:
    if options.last is not None and not 1 <= options.last <= MOST:
        raise ConfigError(f"--last {options.last}: give between 1 and {MOST}")
    if options.instance is not None and not INSTANCE.fullmatch(options.instance):
        raise ConfigError(f"--instance {options.instance}: that is no name of an instance")
    from mftpy.kept_run import KeptRun, find_run

    with KeptRun(find_run(options.run, options.instance)) as run:
        if options.order is not None:
            found = _of_order(run, options.order)
        elif options.at is not None:
            found = [run.at(run.monotonic_ns(options.at))]
        else:
            found = [run.newest()] if options.last is None else run.last(options.last)
        (_say_json if options.json else _say_text)(run, found, options.order)
        if run.damage:
            complain(f"not all of run {run.meta.run_id} can be read: {run.damage}")
            return InputFileError.exit_code
    return 0


def _of_order(run: KeptRun, client_order_id: int) -> list[np.void]:
    from mftpy.kept_run import changes

    numbers = dict.fromkeys(int(action["decision_id"]) for action in changes(run.actions_on(client_order_id)))
    return [row for number in numbers if (row := run.by_number(number)) is not None]


def _say_text(run: KeptRun, found: list[np.void], order: int | None) -> None:
    from mftpy.explain_text import as_text, order_text
    from mftpy.kept_run import changes

    if order is not None:
        say(order_text(order, changes(run.actions_on(order)), run.meta, {int(row["decision_id"]) for row in found}))
        if found:
            say("")
    for number, (row, standing) in enumerate(_with_standing(run, found)):
        if number:
            say("")
        say(as_text(row, run.meta, run.actions_of(int(row["decision_id"])), standing))


def _say_json(run: KeptRun, found: list[np.void], order: int | None) -> None:
    from mftpy.explain_text import action_json, as_json

    told: dict[str, Any] = {
        "run": {**asdict(run.meta), "directory": str(run.directory), "live": run.live},
        "decisions": [
            as_json(row, run.meta, run.actions_of(int(row["decision_id"])), standing)
            for row, standing in _with_standing(run, found)
        ],
    }
    if order is not None:
        told["order"] = {
            "client_order_id": order,
            "actions": [action_json(action, run.meta) for action in run.actions_on(order)],
        }
    if run.damage:
        told["damage"] = run.damage
    say(json.dumps(told, indent=1, allow_nan=False))


def _with_standing(run: KeptRun, found: list[np.void]) -> Iterator[tuple[np.void, int | None]]:
    """Yield each decision with the number of the one that was passed on last before it."""
    before, standing = -1, None
    for row in found:
        number = int(row["decision_id"])
        if number != before + 1:
            standing = None if int(row["passed_on"]) else run.passed_on_before(row)
        yield row, standing
        before, standing = number, number if int(row["passed_on"]) else standing
