"""How the model's functions are compiled: Numba, cached on disk where that is possible, and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

DISPATCHERS: Final[list[Any]] = []
"""Every function of the package that `compiled` made, in the order of their modules' import."""

_UNCACHED: Final[list[str]] = []


def compiled(function: F) -> F:
    """Compile a function with Numba at its first call, and keep the machine code on disk.

    Numba looks for a directory that it can write: ``$NUMBA_CACHE_DIR``, ``__pycache__`` beside the source, the user's
    cache directory. When there is none the function still compiles, at every start anew; `cache_note` says so.

    Notes
    -----
    No fastmath: the guards against NaN and infinity would be compiled away. Division follows NumPy (inf, NaN), so that
    nothing raises inside; what comes out is checked instead.
    """
    try:
        dispatcher = njit(cache=True, error_model="numpy")(function)
    except RuntimeError as error:  # "no locator available": there is no directory to write to
        dispatcher = njit(error_model="numpy")(function)
        note_uncached(str(error))
    DISPATCHERS.append(dispatcher)
    return cast("F", dispatcher)


def note_uncached(why: str) -> None:
    """Remember that machine code could not be kept, and why."""
    _UNCACHED.append(why.strip().splitlines()[0] if why.strip() else "no reason given")


def cache_note() -> str:
    """Return one sentence when compiled code cannot be kept on disk, else an empty string."""
    if not _UNCACHED:
        return ""
    return (
        f"the compiled model cannot be kept on disk ({_UNCACHED[0]}), so every start compiles it for some seconds; "
        "set NUMBA_CACHE_DIR to a directory that you can write"
    )


def sources_key(*modules: ModuleType) -> int:
    """Return a number that changes with the source text of these modules.

    Numba keys a function's cached code by its own file alone, though code from other files is compiled into it. A
    function that calls into other modules closes over this number, which then is part of its key: otherwise an edited
    formula would go on quoting as before.
    """
    digest = hashlib.sha256()
    for module in modules:
        path = Path(module.__file__ or "")
        digest.update(path.read_bytes() if path.is_file() else module.__name__.encode())
    return int.from_bytes(digest.digest()[:7], "little")
