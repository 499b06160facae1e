"""The harness of bench/: nothing that hangs or fails outlives its turn, and the report says what happened."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


class Rounds:
    """What a suite uses of pytest-benchmark's fixture."""

    def __init__(self) -> None:
        self.extra_info: dict[str, Any] = {}

    def pedantic(self, turn: Callable[[], None], *, rounds: int, iterations: int) -> None:
        for _ in range(rounds * iterations):
            turn()


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCH))
    report = import_module("_report")
    monkeypatch.setattr(report.Table, "all", {})
    yield import_module("_harness")
    assert multiprocessing.active_children() == []


def hang(_marks: Any) -> None:
    while True:
        signal.pause()


def hanging(harness: Any, calls: list[str]) -> Callable[[], Any]:
    def measured() -> Any:
        calls.append("hang")
        harness.group([hang, lambda _: 1, hang], timeout_s=0.2)

    return measured


def test_a_peer_that_hangs_is_killed_and_named_and_not_tried_again(harness: Any) -> None:
    calls: list[str] = []
    good = {"mftcore": lambda: {"ns": 1.0}, "a peer": hanging(harness, calls)}
    harness.contest(Rounds(), "hanging", good, key="ns", turns=3)
    table = import_module("_report").Table.all["hanging"]
    assert calls == ["hang"]
    assert table.absent == {"a peer": "hung: did not end in time"}
    assert len(table.rows["mftcore"]) == 3
    assert any("hung" in line for line in import_module("_report").lines())


def test_one_of_ours_that_hangs_fails_the_suite(harness: Any) -> None:
    calls: list[str] = []
    with pytest.raises(RuntimeError, match="mftcore ring: did not end in time"):
        harness.contest(Rounds(), "ours", {"mftcore ring": hanging(harness, calls)}, key="ns", turns=2)
    assert len(calls) == 2


def test_a_side_that_fails_takes_the_others_with_it_and_says_why(harness: Any) -> None:
    def fail(_marks: Any) -> None:
        raise ValueError("seven")

    with pytest.raises(RuntimeError, match="ValueError: seven"):
        harness.group([hang, fail])


def test_what_cannot_take_part_is_named_with_its_reason_and_has_no_figures(harness: Any) -> None:
    def absent() -> Any:
        raise harness.NotMeasured("it is not installed")

    harness.contest(Rounds(), "absent", {"a peer": absent}, key="ns", turns=2)
    table = import_module("_report").Table.all["absent"]
    assert table.absent == {"a peer": "it is not installed"}
    assert table.value("a peer") is None


def test_a_number_to_reach_is_a_ratio_within_each_turn(harness: Any) -> None:
    del harness
    report, targets = import_module("_report"), import_module("_targets")
    assert {row.met for row in targets.targets()} == {"not measured"}
    table = report.Table.of(targets.ASYNC_RATE, "million_per_s")
    for ours, ring in [(1.0, 1.0), (40.0, 10.0), (9.0, 3.0)]:
        table.add(f"{targets.ASYNC_BATCHES}, asyncio", {"million_per_s": ours})
        table.add(f"{targets.EVENTFD}, asyncio", {"million_per_s": ring})
    (row,) = targets.async_targets()
    assert (row.found, row.met) == (3.0, "aim")
    table.not_measured(f"{targets.EVENTFD}, asyncio", "hung")
    assert targets.async_targets()[0].met == "not measured"
