"""The compiled code that a strategy calls by its address: its model, and the estimates, which may come later."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from mftpy.model.by_address import CALLABLES, ByAddress
from mftpy.model.estimator import Estimator
from mftpy.model.estimator_by_address import FUNCTIONS, EstimatorCode, compile_estimator
from mftpy.model.own import compile_named
from mftpy.settings import Config, Model
from mftpy.strategy.estimates import Estimates

Progress = Callable[[str], None]

LOADING_NICENESS: Final = 10


class Code(NamedTuple):
    """What is called by its address.

    Attributes
    ----------
    model : ByAddress
    estimates : mftpy.model.estimator_by_address.EstimatorCode or None
        None: not loaded yet.
    """

    model: ByAddress
    estimates: EstimatorCode | None

    def estimates_for(
        self, config: Config, tick_size: float, lot_size: float, *, estimator: Estimator | None = None
    ) -> Estimates | None:
        """Return the estimates of one instrument, which begin with nothing seen; None without their code."""
        if self.estimates is None:
            return None
        made = estimator or Estimator(config.estimation, tick_size)
        return Estimates(made, self.estimates, config.model, tick_size, lot_size)


def are_used(model: Model) -> bool:
    """Whether decisions are made with any of the estimates."""
    return any(isinstance(value, str) for value in (model.sigma_usd_sqrt_s, model.A_per_s, model.k_per_usd))


def load_model(config: Config, progress: Progress) -> ByAddress:
    """Compile the model that the settings name, or load it from disk.

    Parameters
    ----------
    config : Config
    progress : callable
        Told what is compiled, before it is; not when it is loaded.

    Raises
    ------
    ConfigError
        The user's own model is not found, is no model, or does not compile: with file and line.
    ResourceError
        What is on disk is damaged; the sentence says which directory to delete.
    """
    return compile_named(config.model.name, lambda: progress(f"compiling the model {config.model.name}"))


def load_estimates(progress: Progress) -> EstimatorCode:
    """Compile the estimates, or load them from disk; `progress` and `ResourceError` as for `load_model`."""
    return compile_estimator(
        lambda number, what: progress(
            f"compiling the estimates, {what.replace('_', ' ')}, {number} of {len(FUNCTIONS)}"
        )
    )


def compilations() -> int:
    """Return how many functions were compiled in this process since they were not on disk."""
    return sum(not function.from_cache for function in CALLABLES)


class _EnoughError(Exception):
    pass


class LoadingEstimates:
    """Loads the estimates in a thread, beside a loop that runs without the interpreter and does not need them yet.

    Attributes
    ----------
    failure : str
        One sentence, when they could not be loaded.
    """

    def __init__(self) -> None:
        self.failure = ""
        self._made: EstimatorCode | None = None
        self._enough = False
        # not waited for at the end of the process: a function that is being compiled takes seconds
        self._thread = threading.Thread(target=self._load, name="loading-estimates", daemon=True)
        self._thread.start()

    @property
    def goes_on(self) -> bool:
        """True until they are loaded, or cannot be."""
        return self._thread.is_alive()

    def take(self) -> EstimatorCode | None:
        """Return them, once; None while they are not there."""
        made, self._made = self._made, None
        return made

    def end(self, timeout_s: float) -> bool:
        """Give up after the function that is being compiled; False when it takes longer than that."""
        self._enough = True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _load(self) -> None:
        # of this thread alone: on a core that it shares, whoever quotes comes first
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOADING_NICENESS)
        try:
            self._made = load_estimates(self._next)
        except _EnoughError:
            pass  # nobody waits for them any more
        except Exception as error:  # noqa: BLE001 (told to the user; quoting goes on)
            self.failure = f"nothing is estimated in this run: {type(error).__name__}: {error}"

    def _next(self, _what: str) -> None:
        if self._enough:
            raise _EnoughError
