"""What a decision depends on beside book, account and time: settings and the instrument, in ticks and lots."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mftpy.decisions import PARAMETERS_OF_USER, FairSource
from mftpy.errors import ConfigError
from mftpy.settings import Config

PARAMETERS: Final = np.dtype(
    [
        ("gamma", "<f8"),
        ("sigma", "<f8"),
        ("A_bid", "<f8"),
        ("A_ask", "<f8"),
        ("k_bid", "<f8"),
        ("k_ask", "<f8"),
        ("horizon_s", "<f8"),
        ("drift", "<f8"),
        ("maker_fee_rate", "<f8"),
        ("tick_size", "<f8"),
        ("lot_size", "<f8"),
        ("size_shrink", "<f8"),
        ("thin_spread", "<f8"),
        ("basis_half_life_ns", "<f8"),
        ("frozen_book", "<f8"),
        ("sigma_standing", "<i8"),
        ("bid_standing", "<i8"),
        ("ask_standing", "<i8"),
        ("clip_lots", "<i8"),
        ("max_position_lots", "<i8"),
        ("min_order_lots", "<i8"),
        ("min_distance_ticks", "<i8"),
        ("max_distance_ticks", "<i8"),
        ("levels", "<i8"),
        ("level_step_ticks", "<i8"),
        ("thin_lots", "<i8"),
        ("fair_source", "<i8"),
        ("fallback", "<i8"),
        ("threshold_ticks", "<i8"),
        ("failures_to_reducing", "<i8"),
        ("stale_ns", "<i8"),
        ("frozen_book_ns", "<i8"),
        ("min_interval_ns", "<i8"),
        ("max_lifetime_ns", "<i8"),
        ("possibly_filled_ns", "<i8"),
        ("parameter", "<f8", (PARAMETERS_OF_USER,)),
    ]
)
"""What a `Quoter` reads at every decision; from `parameters`, and changed in place by whoever estimates.

Model units as in `mftpy.model.avellaneda_stoikov`. ``horizon_s`` -1 means the stationary one. ``maker_fee_rate``,
``thin_spread`` and ``frozen_book`` are fractions of the price. ``*_standing`` is -1 for a number from the
configuration. ``max_distance_ticks`` and ``max_lifetime_ns`` are 0 for none, ``fallback`` is 1 for the index. What is
to be estimated is NaN until it is: that is refused by every model.
"""

STATIONARY: Final = -1.0
CONFIGURED: Final = -1
_SOURCES: Final = {"mid": FairSource.MID, "micro": FairSource.MICRO, "index": FairSource.INDEX}


def parameters(config: Config, tick_size: float, lot_size: float, min_order_lots: int = 1) -> NDArray[np.void]:
    """Return one `PARAMETERS` record from the settings and what the exchange says of the instrument.

    Parameters
    ----------
    config : Config
    tick_size : float
        Quote currency per tick.
    lot_size : float
        Coins per lot.
    min_order_lots : int
        Smallest order that the exchange takes.

    Raises
    ------
    ConfigError
        The clip is not a whole number of lots, or less than the smallest order.
    """
    model, quoting, limits = config.model, config.quoting, config.limits
    clip_lots = round(quoting.clip_coins / lot_size)
    if clip_lots < 1 or abs(clip_lots * lot_size - quoting.clip_coins) > 1e-6 * lot_size:
        raise ConfigError(
            f"quoting.clip_coins ({quoting.clip_coins:g}) must be a whole number of the instrument's lots "
            f"of {lot_size:g}"
        )
    if clip_lots < min_order_lots:
        raise ConfigError(
            f"quoting.clip_coins ({quoting.clip_coins:g}) is less than the smallest order that the exchange takes, "
            f"{min_order_lots * lot_size:g}"
        )
    row = np.zeros(1, PARAMETERS)
    row["gamma"] = model.gamma_per_usd
    row["sigma"], row["sigma_standing"] = _number(model.sigma_usd_sqrt_s), CONFIGURED
    row["A_bid"] = row["A_ask"] = _number(model.A_per_s)
    row["k_bid"] = row["k_ask"] = _number(model.k_per_usd)
    row["bid_standing"] = row["ask_standing"] = CONFIGURED
    row["horizon_s"] = STATIONARY if isinstance(model.horizon, str) else model.horizon
    row["drift"] = model.drift_usd_per_s
    row["maker_fee_rate"] = config.fees.maker_bps * 1e-4
    row["tick_size"], row["lot_size"] = tick_size, lot_size
    row["size_shrink"] = quoting.size_shrink
    row["thin_spread"] = quoting.thin_spread_bps * 1e-4
    row["basis_half_life_ns"] = quoting.basis_half_life_s * 1e9
    row["frozen_book"] = limits.frozen_book_bps * 1e-4
    row["clip_lots"] = clip_lots
    row["max_position_lots"] = clip_lots * quoting.max_position_clips
    row["min_order_lots"] = min_order_lots
    row["min_distance_ticks"] = quoting.min_distance_ticks
    row["max_distance_ticks"] = 0 if isinstance(quoting.max_distance_ticks, str) else quoting.max_distance_ticks
    row["levels"], row["level_step_ticks"] = quoting.levels, quoting.level_step_ticks
    row["thin_lots"] = max(1, math.ceil(quoting.thin_side_coins / lot_size - 1e-6))
    row["fair_source"] = _SOURCES[quoting.fair_price]
    row["fallback"] = quoting.fair_price_fallback == "index"
    row["threshold_ticks"] = quoting.requote_threshold_ticks
    row["failures_to_reducing"] = model.failures_to_reducing
    row["stale_ns"] = round(limits.stale_feed_s * 1e9)
    row["frozen_book_ns"] = round(limits.frozen_book_s * 1e9)
    row["min_interval_ns"] = round(quoting.min_interval_ms * 1e6)
    lifetime = quoting.max_lifetime_s
    row["max_lifetime_ns"] = 0 if isinstance(lifetime, str) else round(lifetime * 1e9)
    row["possibly_filled_ns"] = round(quoting.possibly_filled_ms * 1e6)
    row["parameter"][0, : len(model.parameters)] = model.parameters
    return row


def _number(value: float | str) -> float:
    return math.nan if isinstance(value, str) else value
