"""What the tests that kill Python processes share: records that can be judged, kills at random instants, the tally.

Each record carries its sequence number, the epoch of the process that wrote it, and words that follow from both. A
record that agrees with itself is not enough: a ring that hands out old slots again hands out whole records. Hence
sequences must be strict and epochs those that were at work. The judge is tested here with each fault.
"""

import ctypes
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

RECORD = np.dtype([("sequence", "<u8"), ("epoch", "<u8"), ("derived", "<u8", (6,))])
Records = npt.NDArray[Any]

KILLS = int(os.environ.get("MFTCORE_KILLS", "30"))  # of each kind; a tenth of them with spawned processes
LONGEST_S = 0.01  # from the first sign of life to the kill
DEADLINE_S = 120  # for one succession: beyond it, somebody hangs


def kills(method: str) -> int:
    return KILLS if method == "fork" else max(KILLS // 10, 3)


def derived(sequence: npt.NDArray[np.uint64], epoch: npt.NDArray[np.uint64], count: int = 6) -> npt.NDArray[np.uint64]:
    """Return the words that follow from sequence and epoch, shape (records, count)."""
    x = (sequence + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ epoch * np.uint64(0xC2B2AE3D27D4EB4F)
    return x[:, None] + np.arange(count, dtype=np.uint64) * np.uint64(0x165667B19E3779F9)


def records(first: int, count: int, epoch: int) -> Records:
    made = np.zeros(count, RECORD)
    made["sequence"] = np.arange(first, first + count, dtype=np.uint64)
    made["epoch"] = epoch
    made["derived"] = derived(made["sequence"], made["epoch"])
    return made


def judge(found: Records, first: int, lowest_epoch: int, highest_epoch: int) -> str | None:
    """Return what is wrong with records that must be number `first` and following; None when nothing is."""
    if (found["derived"] != derived(found["sequence"], found["epoch"])).any():
        return "torn"
    expected = np.arange(first, first + len(found), dtype=np.uint64)
    if (found["sequence"] < expected).any():
        return "repeated"
    if (found["sequence"] > expected).any():
        return "lost"
    if ((found["epoch"] < lowest_epoch) | (found["epoch"] > highest_epoch)).any():
        return "wrong"
    return None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda r: None, None),
        (lambda r: r.__setitem__(2, r[1]), "repeated"),
        (lambda r: r.__setitem__(slice(0, 4), records(6, 4, 3)), "repeated"),
        (lambda r: r.__setitem__(slice(2, 4), r[3:5].copy()), "lost"),
        (lambda r: r["derived"].__setitem__((3, 5), 0), "torn"),
        (lambda r: r["sequence"].__setitem__(3, 12), "torn"),
        (lambda r: r["epoch"].__setitem__(3, 2), "torn"),
        (lambda r: r.__setitem__(3, records(13, 1, 2)[0]), "wrong"),
        (lambda r: r.__setitem__(3, records(13, 1, 5)[0]), "wrong"),
    ],
)
def test_the_judge_finds_each_fault_that_it_is_fed_with(change: Callable[[Records], None], fault: str | None) -> None:
    found = records(10, 8, 3)
    change(found)
    assert judge(found, 10, 3, 4) == fault


def die_with(parent_pid: int) -> None:
    """In a child: be killed when the tests are."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent_pid:
        os._exit(1)


def _work(parent_pid: int, work: Callable[..., None], said: Any, arguments: tuple[Any, ...]) -> None:
    die_with(parent_pid)
    work(said, *arguments)


@dataclass
class Victims:
    """Starts processes and kills them at random instants.

    `said` is shared with them: eight words, of which the first counts signs of life.
    """

    context: BaseContext
    seed: int = 1
    said: Any = None
    count: int = 0
    _rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.said = self.context.RawArray(ctypes.c_uint64, 8)
        self._rng.seed(self.seed)

    def start(self, work: Callable[..., None], *arguments: Any) -> BaseProcess:
        # spawned children inherit nothing and are not forked by us: their parent is this process all the same
        process = self.context.Process(target=_work, args=(os.getpid(), work, self.said, arguments), daemon=True)  # type: ignore[attr-defined]
        process.start()
        return process

    def kill_at_random(
        self, process: BaseProcess, meanwhile: Callable[[], None], signs: int | None = None, early: float = 0.2
    ) -> None:
        """Kill it up to LONGEST_S after its sign of life (in a part `early` of the calls after its start).

        It is then dead and not reaped. `signs` is how many signs of life there were before it was started; None: it
        gave its sign long ago.
        """
        at = None
        if signs is None or self._rng.random() < early:
            at = time.monotonic() + self._rng.random() * LONGEST_S
        deadline = time.monotonic() + DEADLINE_S
        while at is None or time.monotonic() < at:
            if at is None and self.said[0] != signs:
                at = time.monotonic() + self._rng.random() * LONGEST_S
            meanwhile()
            assert time.monotonic() < deadline, "the process gives no sign of life"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        assert ended.si_status == signal.SIGKILL, f"it ended by itself: {ended}"
        self.count += 1


@pytest.fixture(params=["fork", "spawn"])
def victims(request: pytest.FixtureRequest) -> Victims:
    return Victims(multiprocessing.get_context(request.param))


def report(
    name: str, method: str, done: int, kills_done: int, again: int = 0, gone: int = 0, handed_over: int = 0
) -> None:
    """Print the tally of a kind in which nothing was wrong; add it to the file that KILL_RESULTS names, if any."""
    print(f"{name}, {method}: {kills_done} kills, {done} done, seen again {again}, lost with the consumer {gone}")
    if path := os.environ.get("KILL_RESULTS"):
        row = [name, method, 0, kills_done, done, 0, 0, 0, 0, 0, again, gone, handed_over]
        with Path(path).open("a") as file:
            file.write("\t".join(map(str, row)) + "\n")
