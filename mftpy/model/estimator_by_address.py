"""The estimates of `estimator` as C functions, for a loop that holds no interpreter.

Each is ``int64_t (...)`` and returns 0, or 1 when something raised an exception, which nothing in them does.

================  ==================================================================================================
observe_mid       ``(VOLATILITY *, SAMPLING *, INTENSITY *, OBSERVING *, int64_t now_ns, double mid, double own_bid,
                  double own_ask)``
observe_print     ``(INTENSITY *, OBSERVING *, int64_t now_ns, double price, double size, int64_t taker_side,
                  int64_t is_own, int64_t in_snapshot)``
estimate          ``(VOLATILITY *, SAMPLING *, INTENSITY *, OBSERVING *, BLENDING *, int64_t now_ns, double price,
                  ESTIMATE *)``, five of the last
restart           ``(VOLATILITY *, INTENSITY *)``
================  ==================================================================================================

All pointers but the last one are to single records. What each does is told at `Estimator.on_mid`, `Estimator.on_print`,
`Estimator.update` and `Estimator.restart`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from mftpy.model import intensity as of_trades
from mftpy.model import volatility as of_mids
from mftpy.model.by_address import ByAddress, Pointer, by_address
from mftpy.model.estimate import BLENDING, ESTIMATE, estimate
from mftpy.model.intensity import INTENSITY, OBSERVING, observe_print
from mftpy.model.relinked import Relinked
from mftpy.model.standing import NAMES
from mftpy.model.volatility import SAMPLING, VOLATILITY

Records = NDArray[np.void]


def observe_mid(
    volatility: Records,
    sampling: Records,
    intensity: Records,
    observing: Records,
    now_ns: int,
    mid: float,
    own_bid: float,
    own_ask: float,
) -> None:
    """Take note of the mid without our own orders, and of our nearest quotes; 0 for what there is not."""
    of_mids.sample_mid(volatility, sampling, now_ns, mid)
    of_trades.observe_mid(intensity, observing, now_ns, mid, own_bid, own_ask)


def restart(volatility: Records, intensity: Records) -> None:
    """Begin anew with the next mid, after a time of which not everything was seen; what is known stays."""
    of_mids.restart(volatility)
    of_trades.unwatch(intensity)


class EstimatorCode(NamedTuple):
    """The C functions of the estimates; keep it for as long as their addresses are in use."""

    observe_mid: ByAddress
    observe_print: ByAddress
    estimate: ByAddress
    restart: ByAddress


_VOLATILITY: Final = Pointer(VOLATILITY)
_SAMPLING: Final = Pointer(SAMPLING)
_INTENSITY: Final = Pointer(INTENSITY)
_OBSERVING: Final = Pointer(OBSERVING)
_BLENDING: Final = Pointer(BLENDING)
_ESTIMATES: Final = Pointer(ESTIMATE, len(NAMES))
_i8, _f8 = types.int64, types.float64

FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "observe_mid": (observe_mid, (_VOLATILITY, _SAMPLING, _INTENSITY, _OBSERVING, _i8, _f8, _f8, _f8)),
    "observe_print": (observe_print, (_INTENSITY, _OBSERVING, _i8, _f8, _f8, _i8, _i8, _i8)),
    "estimate": (
        estimate,
        (_VOLATILITY, _SAMPLING, _INTENSITY, _OBSERVING, _BLENDING, _i8, _f8, _ESTIMATES),
    ),
    "restart": (restart, (_VOLATILITY, _INTENSITY)),
}


def compile_estimator(compiling: Callable[[int, str], None] | None = None) -> EstimatorCode:
    """Compile the estimates, or load them from disk.

    Parameters
    ----------
    compiling : callable, optional
        Called with the number, from 1, and the name of each function that is not found on disk, before it is compiled.

    Raises
    ------
    ResourceError
        What is on disk is damaged; the sentence says which directory to delete.
    """
    relinked = Relinked([function for function, _ in FUNCTIONS.values()], Path(__file__))
    made = {}
    for number, (name, (_, parameters)) in enumerate(FUNCTIONS.items()):
        say = None if compiling is None else partial(compiling, number + 1, name)
        made[name] = by_address(name, relinked.dispatchers[number], parameters, relinked.key, say)
    return EstimatorCode(**made)
