"""One running instance per name: a lock that the kernel frees when its holder dies, and the directories of a run."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from mftpy.errors import ResourceError


def state_directory() -> Path:
    """Return our directory under ``$XDG_STATE_HOME`` (``~/.local/state`` by default), made 0700 when missing.

    Raises
    ------
    ResourceError
        It cannot be made, or belongs to somebody else.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    directory = Path(base if base.startswith("/") else "~/.local/state") / "mftpy"
    try:
        directory = directory.expanduser()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = directory.lstat()
    except (OSError, RuntimeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).rstrip(".")
        raise ResourceError(
            f"cannot make the state directory {directory}: {why}; set XDG_STATE_HOME to a directory you can write"
        ) from error
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise ResourceError(f"{directory} is not a directory of yours; set XDG_STATE_HOME to one")
    return directory


def new_run_id() -> str:
    """Return an id for a run: UTC time and process, sortable, unique on this machine."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"


def make_run_directory(asked: str | None, run_id: str) -> Path:
    """Return the directory for a run's files: `asked`, or a new one in the state directory.

    Raises
    ------
    ResourceError
        It cannot be made or written.
    """
    directory = Path(asked) if asked else state_directory() / "runs" / run_id
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f".{run_id}.probe"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise ResourceError(f"the output directory {directory} is not a directory; name another with --out") from error
    except OSError as error:
        raise ResourceError(
            f"cannot write to the output directory {directory}: {error.strerror}; name another with --out"
        ) from error
    return directory


class NotedRun(NamedTuple):
    """A run as its instance's lock notes it.

    Attributes
    ----------
    run_id : str
    directory : Path
        Where its files are.
    """

    run_id: str
    directory: Path


def _noted(text: bytes) -> NotedRun | None:
    """Read what `InstanceLock.note` wrote: the pid, the run, and the directory, which may hold any byte but NUL."""
    parts = text.split(b"\n", 2)
    if len(parts) < 3 or not parts[1] or not parts[2].endswith(b"\n"):
        return None
    return NotedRun(parts[1].decode("ascii", "replace"), Path(os.fsdecode(parts[2][:-1])))


def noted_run(instance: str) -> NotedRun | None:
    """Return the newest run of an instance; None when none is known."""
    try:
        return _noted((state_directory() / f"{instance}.lock").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ResourceError(f'cannot read the lock of the instance "{instance}": {error}') from error


def noted_runs() -> list[NotedRun]:
    """Return the newest run of every instance that is known."""
    names = [path.stem for path in state_directory().glob("*.lock")]
    return [noted for name in names if (noted := noted_run(name)) is not None]


class InstanceLock:
    """The right to run under an instance name; a context manager.

    Attributes
    ----------
    previous : NotedRun or None
        The run of this name before this one.

    Notes
    -----
    A POSIX record lock on a file that is opened once: the kernel frees it when the process dies, and a forked child
    does not inherit it (``flock`` would outlive us in one). The file stays (to unlink it would let
    two processes lock two files of one name); it holds the owner's pid for the message, and where its files are.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._path = state_directory() / f"{name}.lock"
        self._fd = -1
        self.previous: NotedRun | None = None

    def __enter__(self) -> InstanceLock:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ResourceError(f"cannot open the instance lock {self._path}: {error.strerror}") from error
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").split("\n")[0].strip() or "another process"
            os.close(self._fd)
            self._fd = -1
            raise ResourceError(
                f'an instance named "{self._name}" is running (pid {owner}); '
                "stop it first, or choose another name with --instance"
            ) from error
        self.previous = _noted(os.pread(self._fd, os.fstat(self._fd).st_size, 0))
        self._write(f"{os.getpid()}\n".encode())
        return self

    def note(self, run_id: str, directory: Path) -> None:
        """Say where this run's files are; that stays when it has ended."""
        self._write(f"{os.getpid()}\n{run_id}\n".encode() + os.fsencode(directory.absolute()) + b"\n")

    def _write(self, text: bytes) -> None:
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text, 0)
        except OSError as error:
            raise ResourceError(f"cannot write the instance lock {self._path}: {error.strerror}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
