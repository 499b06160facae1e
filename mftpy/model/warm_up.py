"""Everything that a strategy's loop calls, compiled or loaded from disk before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from mftpy.model.by_address import ByAddress
from mftpy.model.compiled import cache_note
from mftpy.model.estimator_by_address import FUNCTIONS, EstimatorCode, compile_estimator
from mftpy.model.own import compile_named


class WarmUp(NamedTuple):
    """What `warm_up` made; keep it for as long as the addresses in it are in use.

    Attributes
    ----------
    model : ByAddress
    estimator : EstimatorCode
    seconds : float
    from_cache : bool
        Everything was loaded from disk, nothing compiled.
    note : str
        One sentence when compiled code cannot be kept on disk, else empty.
    """

    model: ByAddress
    estimator: EstimatorCode
    seconds: float
    from_cache: bool
    note: str


def warm_up(name: str, progress: Callable[[str], None] | None = None) -> WarmUp:
    """Compile, or load from disk, the model and the estimates.

    After it `compilations` does not rise.

    Parameters
    ----------
    name : str
        The setting ``model.name``.
    progress : callable, optional
        Called with a line like "compiling the model, 1 of 5" before each step that compiles; not when code is loaded.

    Raises
    ------
    ConfigError
        The user's own model is not found, is no model, or does not compile: with file and line.
    ResourceError
        What is on disk is damaged; the sentence says which directory to delete.
    """
    started_s = time.monotonic()
    steps = 1 + len(FUNCTIONS)
    say = progress or (lambda _: None)
    model = compile_named(name, lambda: say(f"compiling the model, 1 of {steps}"))
    estimator = compile_estimator(
        lambda number, what: say(f"compiling the estimates, {what.replace('_', ' ')}, {number + 1} of {steps}")
    )
    from_cache = model.from_cache and all(function.from_cache for function in estimator)
    return WarmUp(model, estimator, time.monotonic() - started_s, from_cache, cache_note())
