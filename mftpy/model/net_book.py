"""The public book without our own orders, and the fair price that is taken from it.

Our quotes are in the book that we read. Were they counted, our skew would move our own mid on a thin book: the fair
price, and how near to the opposite side we may quote, are taken from what the others have.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mftpy.model.compiled import compiled

LEVEL: Final = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i8"), ("outright_lots", "<i8")])
"""One price level, best first; `mftcore.LEVEL`."""


@compiled
def own_lots_at(
    price_ticks: int,
    side: int,
    own_side: NDArray[np.int64],
    own_ticks: NDArray[np.int64],
    own_lots: NDArray[np.int64],
    n_own: int,
) -> int:
    """Lots of ours that may be part of a level: the sum over our live and in-flight orders at that price and side."""
    total = 0
    for i in range(min(n_own, len(own_ticks))):
        if own_side[i] == side and own_ticks[i] == price_ticks:
            total += own_lots[i]
    return total


@compiled
def net_best(
    levels: NDArray[np.void],
    n_levels: int,
    side: int,
    own_side: NDArray[np.int64],
    own_ticks: NDArray[np.int64],
    own_lots: NDArray[np.int64],
    n_own: int,
    thin_lots: int,
) -> int:
    """Best price of one side of the book without our own orders.

    A level that is only ours is not there. So is one where others have no more than an order of ours that is still in
    flight: which of the two it is cannot be known, and our own order must not be taken for the market.

    Parameters
    ----------
    levels : ndarray of LEVEL, shape (n,)
        Best first.
    side : int
        +1 for bids, -1 for asks.
    own_side, own_ticks, own_lots : ndarray of int64, shape (m,)
        Every price at which an order of ours may be part of the book; the first `n_own` count.
    thin_lots : int
        What others must have on the side in total.

    Returns
    -------
    int
        In ticks; 0 when the side is empty or thinner than `thin_lots`.
    """
    best = 0
    total = 0
    for i in range(min(n_levels, len(levels))):
        ticks = levels[i].price_ticks
        lots = levels[i].size_lots
        net = lots - own_lots_at(ticks, side, own_side, own_ticks, own_lots, n_own)
        if net <= 0:
            continue
        if best == 0:
            best = ticks
        total += net
        if total >= thin_lots:
            return best
    return 0


@compiled
def fair_ticks(net_bid_ticks: int, net_ask_ticks: int, thin_spread: float) -> float:
    """Mid of the net book in ticks; 0 when a side is missing, the two cross, or lie too far apart."""
    if net_bid_ticks <= 0 or net_ask_ticks <= net_bid_ticks:
        return 0.0
    mid = 0.5 * (net_bid_ticks + net_ask_ticks)
    return mid if net_ask_ticks - net_bid_ticks <= thin_spread * mid else 0.0
