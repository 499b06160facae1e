"""The control groups that this process is in, versions 1 and 2: where limits on memory and processors stand."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Group(NamedTuple):
    """One control group's directory, and which version of the interface it has."""

    path: Path
    version: int


def groups_above(controller: str, proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[Group]:
    """Yield the groups whose limits of a controller (``memory``, ``cpu``) bind this process, its own first."""
    for line in (text_of(proc / "self" / "cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top, version = root, 2
        elif controller in controllers.split(","):
            top, version = root / controller, 1
        else:
            continue
        group = top / path.lstrip("/")
        if not group.is_dir():  # a container sees its own group as the root
            group = top
        yield Group(group, version)
        while group != top and top in group.parents:
            group = group.parent
            yield Group(group, version)


def number_in(path: Path) -> int | None:
    """Return the whole number that a file holds; None when it holds none ("max": no limit) or is not there."""
    text = (text_of(path) or "").strip()
    return int(text) if text.isdigit() else None


def text_of(path: Path) -> str | None:
    """Return a file's text; None when it is not there or not for us: then it sets no limit that could be known."""
    try:
        return path.read_text()
    except OSError:
        return None
