"""The quoting model of Avellaneda and Stoikov, with the closed form of Gueant, Lehalle and Fernandez-Tapia.

Units: prices and distances in quote currency per coin (USD), sizes and positions in coins, times in seconds.

=========== ============= ====================================================================================
gamma       1/USD         risk aversion on money
clip        coins         size of one fill; the papers' lot
sigma       USD/sqrt(s)   ARITHMETIC volatility of the fair price: not of log returns, not annualised
A           1/s           fills per second and SIDE of a quote at the fair price
k           1/USD         decay of that rate with the distance d: A exp(-k d)
fee         USD per coin  cost of a fill; negative for a rebate
horizon_s   s             time over which inventory is held at risk
drift       USD/s         expected movement of the fair price; positive when it is to rise
=========== ============= ====================================================================================

``gamma * clip`` is what the papers, whose fills have size 1, call gamma.

Sources: Avellaneda and Stoikov, Quantitative Finance 8(3) 217-224 (2008), equations 29 and 30. Gueant, Lehalle and
Fernandez-Tapia, arXiv 1105.3115 (2013); its closed form as in Gueant, arXiv 1605.01862, equations 4.6 and 4.7 with
xi = gamma.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple

from mftpy.model.compiled import compiled


class Refusal(IntEnum):
    """Why the model gives no quote; which of its inputs is not a number that it can use."""

    NONE = 0
    FAIR = 1
    POSITION = 2
    GAMMA = 3
    CLIP = 4
    SIGMA = 5
    A = 6
    K = 7
    FEE = 8
    HORIZON = 9
    RESULT = 10
    DRIFT = 11
    XI = 12
    BOUND = 13

    @property
    def sentence(self) -> str:
        """What to give the model in place of what it refused; empty when nothing was."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Refusal.NONE: "",
    Refusal.FAIR: "the fair price must be a positive, finite number",
    Refusal.POSITION: "the position must be a finite number; of whole clips and within the bound in the exact solution",
    Refusal.GAMMA: "gamma must be a positive, finite number",
    Refusal.CLIP: "the clip must be a positive, finite number",
    Refusal.SIGMA: "sigma must be a positive, finite number",
    Refusal.A: "A must be a positive, finite number",
    Refusal.K: "k must be a positive, finite number",
    Refusal.FEE: "the fee must be a finite number",
    Refusal.HORIZON: "the horizon must be a finite number of seconds, not negative; in the exact solution not too long",
    Refusal.RESULT: "the quote that follows from these numbers is too large or too small to be a number",
    Refusal.DRIFT: "the drift must be a finite number",
    Refusal.XI: "xi must be a finite number, not negative",
    Refusal.BOUND: "the bound of the inventory must be between 1 and 200 clips",
}


class Quote(NamedTuple):
    """The terms of a quote, before rounding and limits.

    ``fair - skew - (model_half + fee)`` is `bid` and ``fair - skew + (model_half + fee)`` is `ask`, to the last bit.

    Attributes
    ----------
    refusal : int
        A `Refusal`. When it is not zero there is no quote, and all other members are 0.
    skew : float
        By how much both prices are shifted down, USD per coin: positive when long, less what the drift is to bring.
    model_half : float
        Half of the model's spread, USD per coin; does not depend on the position.
    fee : float
        What is added on either side so that the model earns its half after the fee.
    bid, ask : float
        Unrounded prices.
    """

    refusal: int
    skew: float
    model_half: float
    fee: float
    bid: float
    ask: float


_FAIR: Final = int(Refusal.FAIR)
_POSITION: Final = int(Refusal.POSITION)
_GAMMA: Final = int(Refusal.GAMMA)
_CLIP: Final = int(Refusal.CLIP)
_SIGMA: Final = int(Refusal.SIGMA)
_K: Final = int(Refusal.K)
_FEE: Final = int(Refusal.FEE)
_HORIZON: Final = int(Refusal.HORIZON)
_RESULT: Final = int(Refusal.RESULT)
_DRIFT: Final = int(Refusal.DRIFT)


@compiled
def usable(value: float) -> bool:
    """Whether a parameter is a positive, finite number."""
    return math.isfinite(value) and value > 0.0


@compiled
def log_ratio(x: float) -> float:
    """``ln(1 + x) / x``, exact for tiny x; 1 at 0."""
    return 1.0 if x == 0.0 else math.log1p(x) / x


@compiled
def reservation_price(fair: float, position_coins: float, gamma: float, sigma: float, horizon_s: float) -> float:
    """Price at which a further coin leaves us indifferent (equation 29)."""
    return fair - position_coins * gamma * sigma * sigma * horizon_s


@compiled
def total_spread(gamma: float, clip: float, sigma: float, k: float, horizon_s: float) -> float:
    """Ask less bid, both sides together (equation 30); half of it goes on each side of the reservation price."""
    g = gamma * clip
    return g * sigma * sigma * horizon_s + 2.0 * log_ratio(g / k) / k


@compiled
def stationary_skew(gamma: float, clip: float, sigma: float, A: float, k: float, fee: float) -> float:
    """Shift of both quotes per coin held in the closed form, USD per coin and coin.

    The fee is exact in that solution: a quote at ``d + fee`` earns ``d`` and is filled at the rate
    ``A exp(-k fee) exp(-k d)``, so the fee replaces A by ``A exp(-k fee)``.
    """
    x = gamma * clip / k
    # (1 + x)^(1 + 1/x) as exp((1 + x) ln(1 + x)/x), which neither overflows nor loses digits as x goes to 0, and the
    # fee's factor in the same exponent, where it cannot underflow
    exponent = 0.5 * (k * fee + (1.0 + x) * log_ratio(x))
    return sigma * math.sqrt(gamma / (2.0 * A * clip * k)) * math.exp(exponent)


@compiled
def stationary_horizon_s(gamma: float, clip: float, sigma: float, A: float, k: float, fee: float) -> float:
    """Constant horizon with which the quotes of 2008 are those of the closed form, with the fee in force.

    A market that never closes has no time T; with a horizon far from this one inventory is held too tightly or too
    loosely (a day: a thousand dollars of shift per clip).

    Returns
    -------
    float
        Seconds; -1 when a parameter is not a number that can be used, or the result is none. `quote` refuses that.
    """
    if not (usable(gamma) and usable(clip) and usable(sigma) and usable(A) and usable(k) and math.isfinite(fee)):
        return -1.0
    horizon_s = stationary_skew(gamma, clip, sigma, A, k, fee) / (gamma * sigma * sigma)
    return horizon_s if usable(horizon_s) else -1.0


@compiled
def refused(reason: int) -> Quote:
    """No quote, for a reason."""
    return Quote(reason, 0.0, 0.0, 0.0, 0.0, 0.0)


@compiled
def quote(
    fair: float,
    position_coins: float,
    gamma: float,
    clip: float,
    sigma: float,
    k: float,
    fee: float,
    horizon_s: float,
    drift: float = 0.0,
) -> Quote:
    """Quote around a fair price.

    The position shifts both prices the same way and leaves the spread as it is; so does the drift, by what it brings
    within the horizon: with the stationary one that is the term of the closed form. A enters through
    `stationary_horizon_s` alone.

    Parameters
    ----------
    fair : float
        USD per coin, positive.
    position_coins : float
        Signed; long is positive.
    gamma, clip, sigma, k : float
        Positive; see the units above.
    fee : float
        USD per coin; any finite number.
    horizon_s : float
        From `stationary_horizon_s`, or a constant of the user's; 0 for no skew.
    drift : float
        USD per coin and second; any finite number. A signal that is known in USD rather moves `fair`.

    Returns
    -------
    Quote
        With finite members always, and with none but zeros when it is refused.
    """
    # one call for all refusals: Numba compiles a function anew for every constant that it is called with
    refusal = 0
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
    elif not usable(k):
        refusal = _K
    elif not math.isfinite(fee):
        refusal = _FEE
    elif not (math.isfinite(horizon_s) and horizon_s >= 0.0):
        refusal = _HORIZON
    elif not math.isfinite(drift):
        refusal = _DRIFT
    if refusal != 0:
        return refused(refusal)
    skew = position_coins * gamma * sigma * sigma * horizon_s - drift * horizon_s
    model_half = 0.5 * total_spread(gamma, clip, sigma, k, horizon_s)
    bid = fair - skew - (model_half + fee)
    ask = fair - skew + (model_half + fee)
    if not (math.isfinite(bid) and math.isfinite(ask) and usable(model_half)):
        refusal = _RESULT
        return refused(refusal)
    return Quote(0, skew, model_half, fee, bid, ask)
