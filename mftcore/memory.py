"""How much memory a new segment may take, asked before it is made.

Memory that is not there would show as a SIGBUS in the middle of trading, or as the control group's killer; here it is
an error at creation. Tests replace `available` and never fill the machine.
"""

from pathlib import Path
from typing import NamedTuple

from mftcore.control_groups import groups_above, number_in, text_of
from mftcore.errors import MemoryRefused

SHM_ROOT = "/dev/shm"
"""The tmpfs on which the directory of named segments stands."""


class Available(NamedTuple):
    """Memory that can be had, and who says so.

    Attributes
    ----------
    free_bytes : int
        The smaller of what the machine and what the control groups leave.
    source : str
        What sets that limit, for the error message.
    """

    free_bytes: int
    source: str


def available(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> "Available | None":
    """Return what the machine and the control groups (v2 or v1, each up to the root) leave; None: nobody tells."""
    found = [limit for limit in (_machine(proc), *_control_groups(proc, groups)) if limit is not None]
    return min(found, key=lambda limit: limit.free_bytes, default=None)


def require(needed_bytes: int, what: str) -> None:
    """Raise `MemoryRefused`, naming needed and available bytes, when `needed_bytes` cannot be had now."""
    limit = available()
    if limit is not None and needed_bytes > limit.free_bytes:
        raise MemoryRefused(
            f"{what} needs {needed_bytes} bytes of memory, and {limit.source} leaves {max(limit.free_bytes, 0)}; "
            "ask for a smaller capacity or free memory first"
        )


def _machine(proc: Path) -> Available | None:
    text = text_of(proc / "meminfo")
    for line in (text or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable" and rest.split()[:1] and rest.split()[0].isdigit():
            return Available(int(rest.split()[0]) * 1024, "the machine")
    return None


def _control_groups(proc: Path, groups: Path) -> list[Available]:
    found = []
    for group, version in groups_above("memory", proc, groups):
        limit, used, cache = (
            ("memory.max", "memory.current", "inactive_file")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        bounds = number_in(group / limit), number_in(group / used)
        if bounds[0] is not None and bounds[1] is not None:
            free = bounds[0] - bounds[1] + _statistic(group / "memory.stat", cache)
            found.append(Available(free, "the memory limit of the control group"))
    return found


def _statistic(path: Path, name: str) -> int:
    for line in (text_of(path) or "").splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return 0
