"""What execution holds every order message to, on its own data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mftpy.links import Instrument
from mftpy.settings import Config


@dataclass(frozen=True)
class Limits:
    """The last line of defence, checked on execution's own data before every message that can build a position.

    Attributes
    ----------
    max_position_lots : int
        Worst case a side: position plus all live, in-flight and doubtful orders of that side.
    max_order_lots : int
    price_band : float
        Largest allowed distance from the index, as a fraction of it.
    message_rate_per_s : float
        Ours; the venue's applies as well where it is lower.
    """

    max_position_lots: int
    max_order_lots: int
    price_band: float
    message_rate_per_s: float


def limits_of(config: Config, instrument: Instrument) -> Limits:
    """Return the limits of a configuration in lots."""

    def lots(coins: float) -> int:
        return math.floor(coins / instrument.lot_size + 1e-6)

    return Limits(
        max_position_lots=lots(config.max_position_coins),
        max_order_lots=lots(config.limits.max_order_coins),
        price_band=config.limits.price_band_bps * 1e-4,
        message_rate_per_s=config.limits.message_rate_per_s,
    )
