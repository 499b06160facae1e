"""The estimates of one instrument, for callers in Python: settings, state and functions put together."""

from __future__ import annotations

import math
from typing import get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from mftpy.errors import ConfigError
from mftpy.model import volatility
from mftpy.model.estimate import BLENDING, ESTIMATE, estimate
from mftpy.model.intensity import INTENSITY, OBSERVING, observe_mid, observe_print, unwatch
from mftpy.model.standing import NAMES, Doubt, Standing
from mftpy.model.volatility import SAMPLING, VOLATILITY, sample_mid
from mftpy.settings import Estimation
from mftpy.settings_quoting import contradiction


def check(settings: Estimation) -> None:
    """Refuse what is out of range, bounds that hold nothing, priors outside of them, and a k that none could tell.

    Raises
    ------
    ConfigError
        One sentence with the names of the settings.
    """
    for name, hint in get_type_hints(Estimation, include_extras=True).items():
        key, value = get_args(hint)[1], getattr(settings, name)
        low = key.least is not None and value < key.least
        if not math.isfinite(value) or low or (key.above is not None and value <= key.above) or value > key.most:
            raise ConfigError(f"{name} ({value:g}) is out of its range")
    if found := contradiction(settings):
        raise ConfigError(found)


def parameters(settings: Estimation, tick_size: float) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void]]:
    """Return one record each of `SAMPLING`, `OBSERVING` and `BLENDING`; raises `ConfigError` as `check` does."""
    check(settings)
    sampling, observing, blending = np.zeros(1, SAMPLING), np.zeros(1, OBSERVING), np.zeros(1, BLENDING)
    sampling["step_ns"] = round(settings.sigma_step_s * 1e9)
    sampling["gap_ns"] = observing["gap_ns"] = round(settings.gap_s * 1e9)
    sampling["half_life_s"] = settings.sigma_half_life_s
    observing["requote_ns"] = round(settings.requote_s * 1e9)
    observing["half_life_s"] = settings.intensity_half_life_hours * 3600
    observing["from_bp"], observing["to_bp"] = settings.range_from_bp, settings.range_to_bp
    observing["touch_ticks"], observing["tick_size"] = settings.touch_ticks, tick_size
    blending["sigma_prior_bp"], blending["sigma_prior_s"] = settings.sigma_prior_bp, settings.sigma_prior_hours * 3600
    blending["sigma_least_bp"], blending["sigma_most_bp"] = settings.sigma_least_bp, settings.sigma_most_bp
    blending["A_prior"], blending["k_prior_bp"] = settings.A_prior_per_s, settings.k_prior_per_bp
    blending["intensity_prior_s"] = settings.intensity_prior_hours * 3600
    blending["A_least"], blending["A_most"] = settings.A_least_per_s, settings.A_most_per_s
    blending["k_least_bp"], blending["k_most_bp"] = settings.k_least_per_bp, settings.k_most_per_bp
    blending["least_samples"], blending["least_reached"] = settings.least_samples, settings.least_reached
    blending["most_relative_error"] = settings.most_relative_error
    blending["stale_ns"] = round(settings.stale_s * 1e9)
    return sampling, observing, blending


class Estimator:
    """The estimates of one instrument, with their state, for callers in Python.

    Compiled callers use the arrays and the functions of this package's modules.

    Parameters
    ----------
    settings : Estimation
    tick_size : float
        In price units; 0 for continuous prices.

    Attributes
    ----------
    estimates : ndarray of ESTIMATE, shape (5,)
        As of the last `update`.
    """

    def __init__(self, settings: Estimation, tick_size: float) -> None:
        self.volatility = np.zeros(1, VOLATILITY)
        self.intensity = np.zeros(1, INTENSITY)
        self.sampling, self.observing, self.blending = parameters(settings, tick_size)
        self.estimates = np.zeros(5, ESTIMATE)

    def on_mid(self, now_ns: int, mid: float, own_bid: float = 0.0, own_ask: float = 0.0) -> None:
        """Take note of the mid without our own orders, and of our nearest quotes; 0 for what there is not."""
        sample_mid(self.volatility, self.sampling, now_ns, mid)
        observe_mid(self.intensity, self.observing, now_ns, mid, own_bid, own_ask)

    def on_print(
        self, now_ns: int, price: float, size: float, taker_side: int, *, own: bool = False, in_snapshot: bool = False
    ) -> None:
        """Take note of one public trade; see `observe_print`."""
        observe_print(self.intensity, self.observing, now_ns, price, size, taker_side, int(own), int(in_snapshot))

    def restart(self) -> None:
        """Begin anew with the next mid, after a time of which not everything was seen; what is known stays."""
        volatility.restart(self.volatility)
        unwatch(self.intensity)

    def update(self, now_ns: int, price: float) -> NDArray[np.void]:
        """Estimate anew, at a price by which basis points are reckoned; returns ``estimates``."""
        estimate(
            self.volatility, self.sampling, self.intensity, self.observing, self.blending, now_ns, price, self.estimates
        )
        return self.estimates

    def describe(self) -> list[str]:
        """Return one line for each estimate: value, error, unit, standing, doubt, and how much data there is."""
        lines = []
        for name, unit, row in zip(NAMES, ("USD/sqrt(s)", *2 * ("1/s", "1/USD")), self.estimates, strict=True):
            standing = Standing(row["standing"]).name.lower()
            if row["doubt"]:
                standing += f" ({Doubt(row['doubt']).name.lower().replace('_', ' ')})"
            lines.append(
                f"{name} {row['value']:.4g} +- {row['error']:.2g} {unit}, {standing}, "
                f"{row['effective']:.0f} in {row['weight_hours']:.2g} h"
            )
        return lines
