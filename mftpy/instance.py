"""One running instance per name: a lock that the kernel frees when its holder dies, and the directories of a run."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path
from types import TracebackType

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


class InstanceLock:
    """The right to run under an instance name; a context manager.

    Notes
    -----
    A POSIX record lock on a file that is opened once: the kernel frees it when the process dies, and a forked child
    does not inherit it (``flock`` would outlive us in one). The file stays (to unlink it would let
    two processes lock two files of one name); it holds the owner's pid for the message.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._path = state_directory() / f"{name}.lock"
        self._fd = -1

    def __enter__(self) -> InstanceLock:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ResourceError(f"cannot open the instance lock {self._path}: {error.strerror}") from error
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "another process"
            os.close(self._fd)
            self._fd = -1
            raise ResourceError(
                f'an instance named "{self._name}" is running (pid {owner}); '
                "stop it first, or choose another name with --instance"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
