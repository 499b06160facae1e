"""The closed form of Gueant, Lehalle and Fernandez-Tapia: the quotes of a market that never closes.

Units as in `avellaneda_stoikov`; beside them

=========== ============= ====================================================================================
xi          1/USD         risk aversion to the randomness of the fills: gamma (CARA, the paper of 2013), or 0 (only
                          the square of the inventory is penalised)
=========== ============= ====================================================================================

The eigenvector of the exact solution (`glft_exact`) is replaced by a Gaussian; so this is an approximation that is good
when the standard deviation of the inventory is several clips.

Sources: Gueant, Lehalle and Fernandez-Tapia, arXiv 1105.3115 (2013), section 4, with the trend of section 5.1; with
clip and xi as in Gueant, arXiv 1605.01862, equations 4.6 and 4.7. (What section 5.2 of the former calls xi is market
impact, another thing.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from mftpy.model import avellaneda_stoikov
from mftpy.model.avellaneda_stoikov import Quote, Refusal, log_ratio, refused, usable
from mftpy.model.compiled import compiled, sources_key

_FAIR: Final = int(Refusal.FAIR)
_POSITION: Final = int(Refusal.POSITION)
_GAMMA: Final = int(Refusal.GAMMA)
_CLIP: Final = int(Refusal.CLIP)
_SIGMA: Final = int(Refusal.SIGMA)
_A: Final = int(Refusal.A)
_K: Final = int(Refusal.K)
_FEE: Final = int(Refusal.FEE)
_RESULT: Final = int(Refusal.RESULT)
_DRIFT: Final = int(Refusal.DRIFT)
_XI: Final = int(Refusal.XI)


def _make_quote(sources: int) -> Callable[..., Quote]:
    def quote(
        fair: float,
        position_coins: float,
        gamma: float,
        clip: float,
        sigma: float,
        A: float,
        k: float,
        fee: float,
        xi: float,
        drift: float,
    ) -> Quote:
        """Quote around a fair price.

        With L the clip, q the position, c the fee and mu the drift::

            c1   = ln(1 + xi L/k) / (xi L)
            skew = sigma sqrt(gamma / (2 A exp(-k c) L k) (1 + xi L/k)^(1 + k/(xi L)))      per coin held
            fair - bid = c + c1 + skew (q + L/2) - mu skew / (gamma sigma^2)
            ask - fair = c + c1 - skew (q - L/2) + mu skew / (gamma sigma^2)

        With xi = gamma these are the quotes of `avellaneda_stoikov.quote` with the stationary horizon.

        Parameters
        ----------
        fair : float
            USD per coin, positive.
        position_coins : float
            Signed; long is positive.
        gamma, clip, sigma, A, k : float
            Positive.
        fee : float
            USD per coin; any finite number.
        xi : float
            Not negative; `gamma` for the model of 2013.
        drift : float
            USD per coin and second; any finite number.

        Returns
        -------
        Quote
            With finite members always, and with none but zeros when it is refused.
        """
        _ = sources
        refusal = 0  # one call for all refusals, as in `avellaneda_stoikov.quote`
        if not usable(fair):
            refusal = _FAIR
        elif not math.isfinite(position_coins):
            refusal = _POSITION
        elif not usable(gamma):
            refusal = _GAMMA
        elif not usable(clip):
            refusal = _CLIP
        elif not usable(sigma):
            refusal = _SIGMA
        elif not usable(A):
            refusal = _A
        elif not usable(k):
            refusal = _K
        elif not math.isfinite(fee):
            refusal = _FEE
        elif not (math.isfinite(xi) and xi >= 0.0):
            refusal = _XI
        elif not math.isfinite(drift):
            refusal = _DRIFT
        if refusal != 0:
            return refused(refusal)
        x = xi * clip / k
        # the power and the fee's factor in one exponent, which neither overflows nor loses digits as x goes to 0
        root = math.exp(0.5 * ((1.0 + x) * log_ratio(x) + k * fee)) / math.sqrt(2.0 * A * clip * k)
        skew_per_coin = sigma * math.sqrt(gamma) * root
        # mu skew / (gamma sigma^2), with what cancels taken out
        drift_term = 0.0 if drift == 0.0 else drift * root / (math.sqrt(gamma) * sigma)
        skew = skew_per_coin * position_coins - drift_term
        model_half = log_ratio(x) / k + 0.5 * skew_per_coin * clip
        bid = fair - skew - (model_half + fee)
        ask = fair - skew + (model_half + fee)
        if not (math.isfinite(bid) and math.isfinite(ask) and usable(model_half) and usable(skew_per_coin)):
            refusal = _RESULT
            return refused(refusal)
        return Quote(0, skew, model_half, fee, bid, ask)

    return compiled(quote)


quote: Final = _make_quote(sources_key(avellaneda_stoikov))


@compiled
def stationary_std_clips(skew_per_clip: float, k: float) -> float:
    """Standard deviation of the inventory, in clips, that quotes with this skew lead to in the long run.

    The inventory's law is the square of the Gaussian eigenvector: ``exp(-k s n^2)`` over whole n.

    Parameters
    ----------
    skew_per_clip : float
        By how much a clip held shifts both prices, USD per coin; positive.
    k : float
        1/USD, positive.

    Returns
    -------
    float
        ``1 / sqrt(2 k s)``, good from about 1 clip on; -1 when a parameter is not a number that can be used.
    """
    product = 2.0 * k * skew_per_clip
    if not (k > 0.0 and skew_per_clip > 0.0 and math.isfinite(product) and product > 0.0):
        return -1.0
    return 1.0 / math.sqrt(product)
