"""Several quotes a side: prices behind the first, and sizes that keep every worst case within the limit.

Prices are floats in any unit of price, unrounded; sizes and positions are integers in lots.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mftpy.model.avellaneda_stoikov import Refusal
from mftpy.model.compiled import compiled

_FAIR: Final = int(Refusal.FAIR)
_POSITION: Final = int(Refusal.POSITION)
_CLIP: Final = int(Refusal.CLIP)
_RESULT: Final = int(Refusal.RESULT)


@compiled
def prices(
    bid: float,
    ask: float,
    skew_per_clip: float,
    least_step: float,
    bid_prices: NDArray[np.float64],
    ask_prices: NDArray[np.float64],
) -> int:
    """Prices of the levels, the model's own quote first.

    Level i of a side is what the model quotes when the i levels before it have been filled: each shifts that side by
    the skew of one clip. (With the closed form exactly: ``fair - bid = c + c1 + skew (q + L/2)``.)

    Parameters
    ----------
    bid, ask : float
        The model's quote.
    skew_per_clip : float
        Not negative, finite.
    least_step : float
        Distance that two levels of a side keep at least; not negative, finite.
    bid_prices, ask_prices : ndarray of float64, shape (levels,)
        Filled, best first; left as they are when refused.

    Returns
    -------
    int
        A `Refusal`: `FAIR` for a quote that is none, `RESULT` for steps that are none or lead to no positive price.
    """
    if not (math.isfinite(bid) and math.isfinite(ask) and bid > 0.0 and bid < ask):
        return _FAIR
    step = max(skew_per_clip, least_step)
    if not (skew_per_clip >= 0.0 and least_step >= 0.0 and math.isfinite(step)):
        return _RESULT
    if not (bid - step * (len(bid_prices) - 1) > 0.0 and math.isfinite(ask + step * (len(ask_prices) - 1))):
        return _RESULT
    for i in range(len(bid_prices)):
        bid_prices[i] = bid - step * i
    for i in range(len(ask_prices)):
        ask_prices[i] = ask + step * i
    return 0


@compiled
def growing_lots(clip_lots: int, position_lots: int, shrink: float) -> int:
    """Size of a quote that would make the position larger: ``clip exp(-shrink |position| / clip)``, rounded down."""
    held = abs(float(position_lots)) / clip_lots
    # the lot that rounding of the exponential would lose at the exact sizes
    return math.floor(clip_lots * math.exp(-shrink * held) + 1e-9)


@compiled
def sizes(
    position_lots: int,
    clip_lots: int,
    max_position_lots: int,
    shrink: float,
    bid_lots: NDArray[np.int64],
    ask_lots: NDArray[np.int64],
) -> int:
    """Sizes of the levels.

    The side that reduces the position keeps full clips, the growing side alone shrinks. A side's levels together never
    lead beyond the limit, so that at the limit the growing side is gone and the other is whole. Beyond the limit the
    same holds: only what leads back is quoted.

    Parameters
    ----------
    position_lots : int
        Signed: what is held, and what may still be filled outside these levels. Where that differs between the sides,
        call once for each and keep that side.
    clip_lots : int
        Positive.
    max_position_lots : int
        Not negative.
    shrink : float
        How much smaller the growing side is per clip held: 0 for not at all, 0.1 for about 10 %.
    bid_lots, ask_lots : ndarray of int64, shape (levels,)
        Filled, best first; 0 for a level that is not quoted; left as they are when refused.

    Returns
    -------
    int
        A `Refusal`: `CLIP` for a clip or `shrink` that is none, `POSITION` for a limit or position that is none.
    """
    if not (0 < clip_lots <= 2**53 and math.isfinite(shrink) and shrink >= 0.0):
        return _CLIP
    if not (0 <= max_position_lots <= 2**53 and -(2**53) <= position_lots <= 2**53):
        return _POSITION
    smaller = growing_lots(clip_lots, position_lots, shrink)
    room = max_position_lots - position_lots
    for i in range(len(bid_lots)):
        bid_lots[i] = max(min(smaller if position_lots > 0 else clip_lots, room), 0)
        room -= bid_lots[i]
    room = max_position_lots + position_lots
    for i in range(len(ask_lots)):
        ask_lots[i] = max(min(smaller if position_lots < 0 else clip_lots, room), 0)
        room -= ask_lots[i]
    return 0
