"""Choosing a wait mode: what the cores are found to be like decides, and recurring gaps decide anew, once."""

import os
import threading
from pathlib import Path

import pytest

from mftcore import RecordError
from mftcore.wait_modes import CoreLoad, GapWatch, choose_wait_mode, cpu_quota, probe_core


def free(core: int) -> CoreLoad:
    return CoreLoad(core, 0.001, 10_000)


def no_quota() -> None:
    return None


def test_auto_spins_with_a_core_for_each_loop_and_yields_when_only_ours_share_them() -> None:
    assert choose_wait_mode("auto", [0, 1, 2], 3, probe=free, quota=no_quota).mode == "spin"
    assert choose_wait_mode("auto", [1, 1, 1], 3, probe=free, quota=no_quota).mode == "yield"


def test_auto_parks_beside_foreign_load_and_under_a_quota() -> None:
    def busy(core: int) -> CoreLoad:
        return CoreLoad(core, 0.5 if core == 2 else 0.0, 10_000)

    def gaps(core: int) -> CoreLoad:
        return CoreLoad(core, 0.0, 4_000_000)

    choice = choose_wait_mode("auto", [1, 2], 2, probe=busy, quota=no_quota)
    assert (choice.mode, choice.reason) == ("park", "something else had 50% of core 2, 0.0 ms at a stretch")
    assert choose_wait_mode("auto", [1], 1, probe=gaps, quota=no_quota).mode == "park"
    choice = choose_wait_mode("auto", [1], 1, probe=free, quota=lambda: 0.5)
    assert (choice.mode, choice.reason) == ("park", "a CPU quota of 0.5 cores is set")


def test_what_was_asked_for_is_taken_without_a_probe_unless_it_cannot_work() -> None:
    def never(core: int) -> CoreLoad:
        raise AssertionError("probed")

    for mode in ("park", "yield", "spin"):
        assert choose_wait_mode(mode, [0, 1], 2, probe=never).mode == mode
    with pytest.raises(RecordError, match="needs a core for each of 3 loops and there are 2"):
        choose_wait_mode("spin", [0, 1, 0], 3)
    for mode, cores in (("doze", [0]), ("auto", [])):
        with pytest.raises(RecordError):
            choose_wait_mode(mode, cores, 1)


def test_a_probe_sees_who_shares_the_core_and_leaves_the_affinity_as_it_was() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    done = threading.Event()

    def hog() -> None:
        os.sched_setaffinity(0, {core})
        while not done.is_set():
            sum(range(1000))

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        load = probe_core(core, 0.2)  # the other thread takes the GIL, hence the core, in turns with us
    finally:
        done.set()
        thread.join()
    assert load.foreign_share > 0.1
    assert not load.ours_alone
    assert os.sched_getaffinity(0) == before
    with pytest.raises(RecordError, match="may not be used"):
        probe_core(max(before) + 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "cg/a/b/cpu.max": "max 100000", "cg/a/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "cg/a/b/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/not/seen\n", "cg/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a\n2:memory:/m\n",
                "cg/cpu/a/cpu.cfs_quota_us": "25000",
                "cg/cpu/a/cpu.cfs_period_us": "100000",
            },
            0.25,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/a\n",
                "cg/cpu/a/cpu.cfs_quota_us": "-1",
                "cg/cpu/a/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/a\n", "cg/a/cpu.max": "damaged"}, None),
        ({}, None),
    ],
)
def test_the_tightest_quota_above_us_counts(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path / "proc", tmp_path / "cg") == expected


def test_recurring_gaps_are_said_once_and_neither_rare_ones_nor_work_count() -> None:
    watch, now, said = GapWatch(longest_ns=1000, most=3, within_ns=100_000), 0, []
    for step in [500, 2000, 500, 90_000, 60_000, 1000]:  # three gaps in more than the time
        now += step
        said.append(watch.turn(now))
    assert (any(said), watch.gaps) == (False, 3)
    watch.busy()
    now += 5000
    assert (watch.turn(now), watch.gaps) == (False, 3)
    for step in [2000, 2000, 2000, 2000]:
        now += step
        said.append(watch.turn(now))
    assert said[-4:].count(True) == 1
    with pytest.raises(RecordError):
        GapWatch(most=0)
