"""Roles between Python processes: live and stopped holders keep them, dead ones are succeeded by exactly one."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from mftcore import Histogram, RoleTaken, Seqlock, SeqlockBook, SpscRing
from tests.core.test_kill_records import DEADLINE_S, Victims, kills, report, victims

__all__ = ["victims"]

SIGNS, GO, EPOCH, ANSWERS = range(4)  # words of `said`; two answers
WON, LOST = 1, 2

KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "producer": (lambda: SpscRing.create(8, 64), "producer"),
    "consumer": (lambda: SpscRing.create(8, 64), "consumer"),
    "seqlock": (lambda: Seqlock.create(8), "writer"),
    "book": (lambda: SeqlockBook.create("BTC-PERPETUAL", 0.5, 0.001, levels=3), "writer"),
    "histogram": (Histogram.create, "recorder"),
}


def hold(said: Any, structure: Any, role: str) -> None:
    endpoint = getattr(structure, role)()
    said[EPOCH] = endpoint.epoch
    while True:
        said[SIGNS] += 1
        time.sleep(0.0001)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "the other process does nothing"
        time.sleep(0.0001)


@pytest.mark.parametrize(
    ("victims", "kind"),
    [
        *(("fork", kind) for kind in KINDS),
        ("spawn", "producer"),
        *(pytest.param("spawn", kind, marks=pytest.mark.long) for kind in KINDS if kind != "producer"),
    ],
    indirect=["victims"],
)
def test_a_stopped_holder_keeps_its_role_and_a_dead_one_loses_it_reaped_or_not(kind: str, victims: Victims) -> None:
    make, role = KINDS[kind]
    with make() as structure:
        claim = getattr(structure, role)
        first = victims.start(hold, structure, role)
        wait_until(lambda: victims.said[SIGNS] > 0)
        assert first.pid is not None
        with pytest.raises(RoleTaken) as live:
            claim()
        os.kill(first.pid, signal.SIGSTOP)
        stopped = os.waitid(os.P_PID, first.pid, os.WSTOPPED)
        assert stopped is not None
        with pytest.raises(RoleTaken) as still:
            claim()
        assert live.value.pid == still.value.pid == first.pid
        signs = victims.said[SIGNS]
        os.kill(first.pid, signal.SIGCONT)
        wait_until(lambda: victims.said[SIGNS] > signs)  # it goes on, and nobody has displaced it
        os.kill(first.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, first.pid, os.WSTOPPED)
        os.kill(first.pid, signal.SIGKILL)  # also a stopped one dies
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        with claim() as unreaped:
            assert unreaped.epoch == victims.said[EPOCH] + 1 == 2
        first.join()
        second = victims.start(hold, structure, role)
        wait_until(lambda: victims.said[EPOCH] == 3)
        second.kill()
        second.join()
        with claim() as reaped:
            assert reaped.epoch == 4


def compete(said: Any, structure: Any, role: str, rival: int) -> None:
    said[SIGNS] += 1  # one competitor is started after the other
    while not said[GO]:
        pass
    try:
        endpoint = getattr(structure, role)()
    except RoleTaken:
        answer = LOST
    else:
        said[EPOCH] = endpoint.epoch
        answer = WON
    said[ANSWERS + rival] = answer
    while True:
        time.sleep(1)


def test_of_two_claimants_of_a_dead_holders_role_exactly_one_succeeds() -> None:
    victims = Victims(multiprocessing.get_context("fork"))
    total = kills("fork")
    with SpscRing.create(8, 64) as ring:
        for turn in range(total):
            holder = victims.start(hold, ring, "producer")
            victims.kill_at_random(holder, lambda: None, victims.said[SIGNS])
            before = ring.consumer().producer_epoch
            for word in (SIGNS, GO, ANSWERS, ANSWERS + 1):
                victims.said[word] = 0
            rivals = []
            for rival in (0, 1):
                rivals.append(victims.start(compete, ring, "producer", rival))
                wait_until(lambda rival=rival: victims.said[SIGNS] == rival + 1)  # type: ignore[misc]
            victims.said[GO] = 1
            wait_until(lambda: victims.said[ANSWERS] > 0 and victims.said[ANSWERS + 1] > 0)
            assert sorted(victims.said[ANSWERS : ANSWERS + 2]) == [WON, LOST], f"turn {turn}"
            assert victims.said[EPOCH] == before + 1
            for process in (*rivals, holder):
                process.kill()
                process.join()
    report("Python: two claimants", "fork", total, total)
