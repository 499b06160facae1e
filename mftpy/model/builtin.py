"""The built-in models as functions ``quote(x, out)``: a `MODEL_INPUT` in, a `MODEL_OUTPUT` out.

They run compiled, by `by_address.compile_model`, and as they stand on NumPy records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mftpy.model import glft as closed_form
from mftpy.model.avellaneda_stoikov import Refusal, quote, stationary_horizon_s, stationary_skew, usable
from mftpy.model.levels import prices
from mftpy.records import SLOTS_PER_SIDE

STATIONARY: Final = -1.0
"""``x.horizon_s`` when the horizon is to be solved from the other parameters at every decision."""

_MAX_TICKS: Final = 2.0**53  # up to here a float holds every whole number
_A: Final = int(Refusal.A)
_RESULT: Final = int(Refusal.RESULT)


def answer(x: Any, out: Any, terms: Any, refusal: int, skew_per_clip: float, horizon_s: float) -> None:
    """Put terms, levels and what explains them into `out`, or the refusal.

    A rebate that is more than the model wants to earn would make the quotes cross: of it only so much counts that they
    stay a tick apart. How near to the market they may come is for the limits behind the model.
    """
    fee = terms.fee
    best_bid = terms.bid
    best_ask = terms.ask
    if refusal == 0 and not best_bid < best_ask:
        fee = 0.5 * x.tick - terms.model_half
        best_bid = x.fair - terms.skew - 0.5 * x.tick
        best_ask = x.fair - terms.skew + 0.5 * x.tick
    bid = best_bid / x.tick
    ask = best_ask / x.tick
    if refusal == 0 and not (bid > 0.0 and ask > 0.0 and bid < _MAX_TICKS and ask < _MAX_TICKS):
        refusal = _RESULT
    if refusal != 0:
        out.refusal = refusal
        return
    levels = min(max(x.levels, 1), SLOTS_PER_SIDE)
    out.bid_price[0] = best_bid
    out.ask_price[0] = best_ask
    if levels > 1:
        refusal = prices(
            best_bid, best_ask, skew_per_clip, x.level_step, out.bid_price[:levels], out.ask_price[:levels]
        )
        if refusal != 0:
            out.refusal = refusal
            return
    out.n_bids = levels
    out.n_asks = levels
    out.skew = terms.skew
    out.model_half = terms.model_half
    out.fee = fee
    out.horizon_s = horizon_s


def avellaneda_stoikov(x: Any, out: Any) -> None:
    """Quote as `mftpy.model.avellaneda_stoikov.quote` does, with the horizon of `x` or the stationary one.

    A and k are the means of the two sides.
    """
    A = 0.5 * (x.A_bid + x.A_ask)
    k = 0.5 * (x.k_bid + x.k_ask)
    horizon_s = x.horizon_s
    if horizon_s == STATIONARY:
        horizon_s = stationary_horizon_s(x.gamma, x.clip, x.sigma, A, k, x.fee)
    terms = quote(x.fair, x.position, x.gamma, x.clip, x.sigma, k, x.fee, horizon_s, x.drift)
    refusal = terms.refusal
    if x.horizon_s == STATIONARY and not usable(A):
        refusal = _A
    skew_per_clip = x.gamma * x.sigma * x.sigma * horizon_s * x.clip
    answer(x, out, terms, refusal, skew_per_clip, horizon_s)


def glft(x: Any, out: Any) -> None:
    """Quote as `mftpy.model.glft.quote` does with ``xi = gamma``; ``x.horizon_s`` is not used.

    A and k are the means of the two sides.
    """
    A = 0.5 * (x.A_bid + x.A_ask)
    k = 0.5 * (x.k_bid + x.k_ask)
    terms = closed_form.quote(x.fair, x.position, x.gamma, x.clip, x.sigma, A, k, x.fee, x.gamma, x.drift)
    skew_per_clip = 0.0
    horizon_s = 0.0
    if terms.refusal == 0:
        skew_per_clip = stationary_skew(x.gamma, x.clip, x.sigma, A, k, x.fee) * x.clip
        horizon_s = stationary_horizon_s(x.gamma, x.clip, x.sigma, A, k, x.fee)
    answer(x, out, terms, terms.refusal, skew_per_clip, horizon_s)


MODELS: Final[dict[str, Callable[[Any, Any], None]]] = {"avellaneda_stoikov": avellaneda_stoikov, "glft": glft}
"""The models by the names that the setting ``model.name`` knows them by."""
