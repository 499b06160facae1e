"""How loops should wait on their cores: ``spin``, ``yield`` or ``park``, chosen once and for all loops of a core.

* ``spin``: only look. A core for each loop; two spinners on one core wait whole time slices for each other.
* ``yield``: give the core away between looks. Only loops of ours share the core; they then rotate within microseconds.
* ``park``: sleep in the kernel. Anything else: whoever shares a core with foreign load is let in at once only when it
  slept.

Modes must not be mixed on one core: a woken sleeper does not always preempt a spinner.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from mftcore.control_groups import groups_above, number_in, text_of
from mftcore.endpoint import whole_number
from mftcore.errors import RecordError

WaitMode = Literal["park", "yield", "spin"]
"""How one wait goes on; `choose_wait_mode` also takes ``auto``."""

WAIT_MODES: Final = ("auto", "park", "yield", "spin")
PROBE_S: Final = 0.05
FOREIGN_SHARE: Final = 0.02
"""A core of which others take more than this while we would use all of it is not ours alone."""

LONGEST_GAP_NS: Final = 3_000_000
"""So is one on which we were off the core for this long at a stretch: a time slice of somebody else."""


class CoreLoad(NamedTuple):
    """What a probe found on one core.

    Attributes
    ----------
    core : int
    foreign_share : float
        Part of the probe's time in which something else had the core.
    longest_gap_ns : int
        Longest stretch between two looks at the clock.
    """

    core: int
    foreign_share: float
    longest_gap_ns: int

    @property
    def ours_alone(self) -> bool:
        """Whether nothing else seems to want the core."""
        return self.foreign_share <= FOREIGN_SHARE and self.longest_gap_ns <= LONGEST_GAP_NS


class WaitChoice(NamedTuple):
    """A wait mode and, in one phrase for the log, why."""

    mode: WaitMode
    reason: str


def cpu_quota(proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return how many cores the control groups allow at once; None: no quota is set."""
    found = []
    for group, version in groups_above("cpu", proc, root):
        if version == 2:
            words = (text_of(group / "cpu.max") or "").split()
            quota, period = words if len(words) == 2 else ("max", "")
            if quota.isdigit() and period.isdigit() and int(period) > 0:
                found.append(int(quota) / int(period))
        else:
            allowed, every = number_in(group / "cpu.cfs_quota_us"), number_in(group / "cpu.cfs_period_us")
            if allowed and every:  # -1, which is no whole number here: no quota
                found.append(allowed / every)
    return min(found, default=None)


def probe_core(core: int, seconds: float = PROBE_S) -> CoreLoad:
    """Spin on one core and see how much of it we get.

    The calling thread is bound to the core meanwhile, and to what it was bound to afterwards.

    Raises
    ------
    RecordError
        This process may not use the core.
    """
    before = os.sched_getaffinity(0)
    if core not in before:
        raise RecordError(f"core {core} may not be used by this process; usable are {sorted(before)}")
    os.sched_setaffinity(0, {core})
    try:
        longest, used_ns = 0, time.thread_time_ns()
        last = start = time.monotonic_ns()
        end = start + int(seconds * 1e9)
        while last < end:
            now = time.monotonic_ns()
            longest = max(longest, now - last)
            last = now
        used_ns = time.thread_time_ns() - used_ns
    finally:
        os.sched_setaffinity(0, before)
    return CoreLoad(core, max(0.0, 1.0 - used_ns / (last - start)), longest)


def choose_wait_mode(
    asked: str,
    cores: Sequence[int],
    loops: int,
    *,
    probe: Callable[[int], CoreLoad] = probe_core,
    quota: Callable[[], float | None] = cpu_quota,
) -> WaitChoice:
    """Choose how `loops` loops wait on `cores`.

    Parameters
    ----------
    asked : {"auto", "park", "yield", "spin"}
        ``auto`` parks, unless no quota is set and the probe finds every core free of foreign load; then it spins if
        there is a core for each loop, and yields otherwise.
    cores : sequence of int
        That the loops are bound to.
    probe, quota : callable
        Replaced by tests.

    Raises
    ------
    RecordError
        No such mode, no core, or ``spin`` with fewer cores than loops.
    """
    if asked not in WAIT_MODES:
        raise RecordError(f"a wait mode is one of {', '.join(WAIT_MODES)}, not {asked!r}")
    count = len(set(cores))
    if count == 0:
        raise RecordError("loops need at least one core to run on")
    if asked == "spin" and count < loops:
        raise RecordError(
            f'"spin" needs a core for each of {loops} loops and there are {count}: use "yield" when only these loops '
            'share them, else "park"'
        )
    if asked != "auto":
        return WaitChoice(cast(WaitMode, asked), "as asked")
    allowed = quota()
    if allowed is not None:
        return WaitChoice("park", f"a CPU quota of {allowed:g} cores is set")
    for core in sorted(set(cores)):
        load = probe(core)
        if not load.ours_alone:
            return WaitChoice(
                "park",
                f"something else had {load.foreign_share:.0%} of core {core}, {load.longest_gap_ns / 1e6:.1f} ms at a "
                "stretch",
            )
    if count >= loops:
        return WaitChoice("spin", "a core for each loop, free of other load")
    return WaitChoice("yield", f"{loops} loops share {count} cores, free of other load")


class GapWatch:
    """Tells a loop that spins or yields when to give that up: when it is kept off its core again and again.

    Parameters
    ----------
    longest_ns : int
        A turn that ended so long after the one before is a gap.
    most, within_ns : int
        So many gaps in so long a time are too many.

    Attributes
    ----------
    gaps : int
        All gaps that were seen.
    """

    def __init__(self, longest_ns: int = LONGEST_GAP_NS, most: int = 20, within_ns: int = 10_000_000_000) -> None:
        longest_ns = whole_number(longest_ns, 1, 1 << 62, "a gap in ns")
        most = whole_number(most, 1, 1 << 20, "how many gaps are too many")
        within_ns = whole_number(within_ns, 1, 1 << 62, "the time in ns in which they are")
        self.gaps = 0
        self._longest_ns = longest_ns
        self._within_ns = within_ns
        self._recent = [-within_ns - 1] * most  # a ring of the last gaps' times
        self._last_ns: int | None = None
        self._said = False

    def turn(self, now_ns: int) -> bool:
        """Note a turn of the loop that had nothing to do; True once: from now on it should park.

        Parameters
        ----------
        now_ns : int
            CLOCK_MONOTONIC.
        """
        last_ns, self._last_ns = self._last_ns, now_ns
        if last_ns is None or now_ns - last_ns <= self._longest_ns:
            return False
        at = self.gaps % len(self._recent)
        oldest, self._recent[at] = self._recent[at], now_ns
        self.gaps += 1
        if self._said or self.gaps < len(self._recent) or now_ns - oldest > self._within_ns:
            return False
        self._said = True
        return True

    def busy(self) -> None:
        """Note that the loop is about to do work, whose length is no gap."""
        self._last_ns = None
