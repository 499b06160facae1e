"""Risk aversion from what a user can say: how much inventory is to vary, or how far the quotes shift at the limit.

Units as in `avellaneda_stoikov`. With s the skew per clip, N the limit in clips, c the fee and n the position in clips,
the closed form quotes ``c + c1 + s/2`` away from the fair price, shifted by ``s n``, and is filled at ``A exp(-k d)``.
So a step from n to n + 1 is ``exp(-k s (2n + 1))`` times as likely as the one back, and the position's law in the long
run is

    p(n) ~ exp(-k s n^2),      |n| <= N,

exactly. Without a limit its standard deviation is ``1/sqrt(2 k s)`` to 1e-6 from one clip on (0.2 % too much at 0.7,
8 % at 0.5); a limit makes it smaller. `glft_exact` has the law ``v_n^2`` instead, as its quotes are others.

Sources: the law is the square of the Gaussian eigenvector of Gueant, Lehalle and Fernandez-Tapia, arXiv 1105.3115
(2013). The 0.5826 of `requotes_per_s` is ``-zeta(1/2)/sqrt(2 pi)``: Siegmund, "Sequential Analysis" (1985), chapter X.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftpy.errors import ConfigError
from mftpy.model import glft
from mftpy.model.avellaneda_stoikov import Refusal, stationary_horizon_s, stationary_skew
from mftpy.settings_quoting import LARGEST

MAX_CLIPS: Final = 10_000
"""Largest limit that is summed over."""

DAY_S: Final = 86_400.0
FEWEST_FILLS_PER_DAY: Final = 1.0
OFTEN_AT_LIMIT: Final = 0.05
OFTEN_CLAMPED: Final = 0.001
FEWEST_CLIPS: Final = 0.7
"""Of these shares of the time, and below this inventory, `warnings` speaks."""

_OVERSHOOT: Final = 0.5826
_STEEPEST: Final = 700.0  # of k s: the law is then 1e-304 at one clip
_FLATTEST: Final = 1e-18


@dataclass(frozen=True)
class Market:
    """What a solution depends on beside the wish.

    Attributes
    ----------
    fair : float
        USD per coin.
    sigma, A, k, clip : float
        Positive.
    fee : float
        USD per coin, negative for a rebate.
    max_clips : int
        Limit of the position.
    tick : float
        USD.
    threshold_ticks : int
        A resting order is moved when it is off by this much.
    min_distance_ticks : int
        Neither quote comes nearer to the fair price.
    interval_s : float
        Between two looks at the fair price; 0: at every moment.
    """

    fair: float
    sigma: float
    A: float
    k: float
    fee: float
    clip: float
    max_clips: int
    tick: float
    threshold_ticks: int
    min_distance_ticks: int = 0
    interval_s: float = 0.1


class Solution(NamedTuple):
    """What a gamma means. Distances are in USD per coin, rates count both sides.

    Attributes
    ----------
    gamma : float
        1/USD.
    half_spread : float
        Without a position: the fee and the model's half.
    skew_per_clip : float
        By how much a clip held shifts both quotes.
    horizon_s : float
        tau*.
    shift_at_limit : float
    std_clips, std_unlimited_clips : float
        Of the position in the long run, within the limit; and if there were none.
    share_at_limit : float
        Of the time, at either end: only one side is quoted then.
    fills_per_s : float
        Averaged over the position's law, at unrounded prices.
    requotes_per_s, requotes_at_most_per_s : float
        Amends because the fair price moves, as it is looked at; and at every moment.
    fill_messages_per_s : float
        An insert for each fill, and an amend of the other side if the skew reaches the threshold.
    clamped_clips : int or None
        From this position on the quote that would reduce it is nearer to the fair price than allowed, or beyond it, and
        is held back; None when that does not happen within the limit.
    """

    gamma: float
    half_spread: float
    skew_per_clip: float
    horizon_s: float
    shift_at_limit: float
    std_clips: float
    std_unlimited_clips: float
    share_at_limit: float
    fills_per_s: float
    requotes_per_s: float
    requotes_at_most_per_s: float
    fill_messages_per_s: float
    clamped_clips: int | None

    @property
    def messages_per_s(self) -> float:
        """Order messages that count against the budget; cancels have their own."""
        return self.requotes_per_s + self.fill_messages_per_s

    def fills_error_per_s(self, seconds: float) -> float:
        """Standard error of the fills per second counted for so long, were they Poisson; real ones cluster."""
        return math.sqrt(self.fills_per_s / seconds)


def _bisect(above: Callable[[float], bool], low: float, high: float) -> float:
    """Return the last float at which a condition that is false first and true later is false."""
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            return low
        if above(middle):
            high = middle
        else:
            low = middle


def inventory_law(skew_per_clip: float, k: float, max_clips: int) -> NDArray[np.float64]:
    """Share of the time at each position from ``-max_clips`` to ``max_clips`` clips, in the long run."""
    n = np.arange(-max_clips, max_clips + 1, dtype=np.float64)
    weights = np.exp(-k * skew_per_clip * n * n)
    return np.asarray(weights / weights.sum())


def std_clips(skew_per_clip: float, k: float, max_clips: int) -> float:
    """Standard deviation of `inventory_law`."""
    n = np.arange(-max_clips, max_clips + 1, dtype=np.float64)
    return math.sqrt(float(inventory_law(skew_per_clip, k, max_clips) @ (n * n)))


def skew_for_std(target_clips: float, k: float, max_clips: int) -> float:
    """Skew per clip with which the position has a standard deviation, USD per coin.

    Raises
    ------
    ConfigError
        No skew does that within the limit.
    """
    _check_limit(max_clips)
    if not (k > 0 and math.isfinite(_STEEPEST / k)):
        raise ConfigError(f"k must be a positive number that is not next to nothing, not {k:g} per USD")
    if not (math.isfinite(target_clips) and target_clips > 0):
        raise ConfigError(
            f"the standard deviation of the inventory must be a positive number of clips, not {target_clips:g}"
        )
    widest = math.sqrt(max_clips * (max_clips + 1) / 3)
    if not target_clips < std_clips(_FLATTEST / k, k, max_clips) * (1 - 1e-9):
        raise ConfigError(
            f"a limit of {max_clips} clips allows a standard deviation of less than {widest:.3g} clips, that of "
            f"no skew at all, not {target_clips:g}; raise max_clips, or ask for less"
        )
    if not target_clips > std_clips(_STEEPEST / k, k, max_clips):
        raise ConfigError(
            f"a standard deviation of {target_clips:g} clips is no inventory at all; ask for 0.5 clips or more, or for "
            "a smaller clip"
        )
    steepness = _bisect(
        lambda x: std_clips(math.exp(x) / k, k, max_clips) < target_clips, math.log(_FLATTEST), math.log(_STEEPEST)
    )
    return math.exp(steepness) / k


def gamma_for_skew(skew_per_clip: float, market: Market) -> float:
    """Risk aversion with which a clip held shifts the quotes by so much, 1/USD; the inverse of `stationary_skew`.

    With ``x = gamma clip/k`` and ``u = ln x`` the skew s is ``s^2 2 A exp(-k c)/sigma^2 = x (1 + x)^(1 + 1/x)``; the
    logarithm of the right side is ``u + (1 + 1/x) ln(1 + x)``, whose second term is at least 1, grows with u, and
    slower than u: that encloses the root.

    Raises
    ------
    ConfigError
        There is none that is a finite number and a valid setting.
    """
    m = market
    _check(m)
    if not (math.isfinite(skew_per_clip) and skew_per_clip > 0):
        raise ConfigError(
            f"a skew of {skew_per_clip:g} USD per clip cannot be solved for; give a positive, finite number"
        )
    wanted = math.log(2 * m.A) - m.k * m.fee + 2 * (math.log(skew_per_clip) - math.log(m.sigma))

    def power(u: float) -> float:
        """``(1 + 1/x) ln(1 + x)``, of any x without overflow."""
        if u > 30:
            return u + math.exp(-u) * (u + 1)
        x = math.exp(u)
        return 1.0 + 0.5 * x if x < 1e-9 else (1.0 + x) * math.log1p(x) / x

    highest = wanted - 1.0
    u = _bisect(lambda u: u + power(u) > wanted, highest - (power(highest) - 1.0) - 1e-9, highest)
    logarithm = u + math.log(m.k) - math.log(m.clip)
    if not -700 < logarithm <= math.log(LARGEST) + 1e-12:
        raise ConfigError(
            f"gamma would have to be 10^{logarithm / math.log(10):.0f} /USD, which is no usable setting (above 0, at "
            f"most {LARGEST:g}); ask for {'less' if logarithm > 0 else 'more'} skew, or check sigma, A, k and the fee"
        )
    return math.exp(logarithm)


def gamma_for_std(target_clips: float, market: Market) -> float:
    """Risk aversion with which the position has a standard deviation of so many clips within its limit; see `solve`."""
    _check(market)
    return gamma_for_skew(skew_for_std(target_clips, market.k, market.max_clips), market)


def gamma_for_shift(ticks: float, market: Market) -> float:
    """Risk aversion with which both quotes are shifted by so many ticks when the position is at its limit; see `solve`.

    Raises
    ------
    ConfigError
        The shift is not positive, or no gamma gives it.
    """
    _check(market)
    if not (math.isfinite(ticks) and ticks > 0):
        raise ConfigError(
            f"the shift at the limit must be a positive number of ticks, not {ticks:g}: without one nothing brings the "
            "position back"
        )
    return gamma_for_skew(ticks * market.tick / market.max_clips, market)


def requotes_per_s(sigma: float, tick: float, threshold_ticks: int, interval_s: float) -> float:
    """Rate at which one resting order is amended because the fair price diffuses.

    A Brownian motion leaves ``(-a, b)`` after ``a b / sigma^2`` on average. Prices are rounded to whole ticks, so just
    after an amend the wanted price sits at a rounding edge: h ticks from the next amend one way, h - 1 the other way::

        h (h - 1) tick^2 / sigma^2        seconds between amends (h^2 without rounding)

    Looked at every `interval_s` only, an edge is passed by ``0.5826 sigma sqrt(interval)`` on average before that is
    seen. With e that in ticks, ``(h + e) (h - 1 + e)`` takes the place of ``h (h - 1)``; at most one amend a look.

    Returns
    -------
    float
        1/s; infinite for a threshold of 1 tick looked at all the time (the price flickers over the edge). Against a
        simulation: at most 3 % too few; at most 10 % too many while ``sigma sqrt(interval)`` is below half the
        threshold, at most 45 % beyond that; up to twice as many for a threshold of 1.
    """
    passed = _OVERSHOOT * sigma * math.sqrt(interval_s) / tick
    room = (threshold_ticks + passed) * (threshold_ticks - 1 + passed)
    between_s = max(interval_s, room * (tick / sigma) * (tick / sigma))  # a power would raise where this is infinite
    return 1.0 / between_s if between_s > 0.0 else math.inf


def solve(gamma: float, market: Market) -> Solution:
    """Return what a gamma means in a market; gamma from `gamma_for_std`, `gamma_for_shift`, or the user.

    Raises
    ------
    ConfigError
        The setting is impossible: a number that the model refuses, a fee that leaves no fills, a rebate that puts both
        quotes beyond the fair price. One sentence.
    """
    m = market
    _check(m)
    terms = glft.quote(m.fair, 0.0, gamma, m.clip, m.sigma, m.A, m.k, m.fee, gamma, 0.0)
    if terms.refusal:
        raise ConfigError(f"these numbers give no quote: {Refusal(terms.refusal).sentence}")
    skew = stationary_skew(gamma, m.clip, m.sigma, m.A, m.k, m.fee) * m.clip
    horizon_s = stationary_horizon_s(gamma, m.clip, m.sigma, m.A, m.k, m.fee)
    if not (horizon_s > 0 and skew > 0 and math.isfinite(m.k * skew)):
        raise ConfigError(f"these numbers give no quote: {Refusal.RESULT.sentence}")
    half = terms.model_half + m.fee
    if not half > 0:
        raise ConfigError(
            f"the rebate of {-m.fee:g} USD per coin is more than the model's half spread of {terms.model_half:.4g}: "
            "both quotes would lie beyond the fair price, where the model knows nothing"
        )
    if not half < m.fair:
        raise ConfigError(
            f"the bid would be {half:.4g} USD below a fair price of {m.fair:g}, at nothing or less; ask for less skew"
        )
    law = inventory_law(skew, m.k, m.max_clips)
    n = np.arange(-m.max_clips, m.max_clips, dtype=np.float64)
    # both sides: the rates of the bid below the upper limit, and as much for the ask; n (n + 1) is never negative
    weights = np.exp(-m.k * skew * n * (n + 1))
    fills_per_s = 2 * m.A * math.exp(-m.k * half) * float(weights.sum()) * float(law[m.max_clips])
    if fills_per_s * DAY_S < FEWEST_FILLS_PER_DAY:
        raise ConfigError(
            f"quotes {half:.4g} USD from the fair price, the fee being {m.fee:.4g}, are filled less than once a day"
        )
    per_fill = 2.0 if skew >= m.threshold_ticks * m.tick else 1.0
    first = (half - m.min_distance_ticks * m.tick) / skew
    clamped = max(0, math.floor(first) + 1) if first < m.max_clips else None
    return Solution(
        gamma=gamma,
        half_spread=half,
        skew_per_clip=skew,
        horizon_s=horizon_s,
        shift_at_limit=skew * m.max_clips,
        std_clips=std_clips(skew, m.k, m.max_clips),
        std_unlimited_clips=glft.stationary_std_clips(skew, m.k),
        share_at_limit=2 * float(law[0]),
        fills_per_s=fills_per_s,
        requotes_per_s=2 * requotes_per_s(m.sigma, m.tick, m.threshold_ticks, m.interval_s),
        requotes_at_most_per_s=2 * requotes_per_s(m.sigma, m.tick, m.threshold_ticks, 0.0),
        fill_messages_per_s=per_fill * fills_per_s,
        clamped_clips=clamped,
    )


def warnings(solution: Solution, market: Market, own_per_s: float, venue_per_s: float) -> list[str]:
    """Return a sentence for each thing that such a run would not do as planned.

    Parameters
    ----------
    own_per_s, venue_per_s : float
        Messages per second that the user and the venue allow.
    """
    s, m, found = solution, market, []
    limit, whose = (
        (venue_per_s, "the exchange allows") if venue_per_s <= own_per_s else (own_per_s, "our own limit allows")
    )
    if s.messages_per_s > limit:
        found.append(
            f"{s.messages_per_s:.1f} messages/s are planned and {whose} {limit:g}: quotes would be held back and grow "
            "stale; raise the requote threshold"
        )
    if s.clamped_clips is not None:
        share = float(inventory_law(s.skew_per_clip, m.k, m.max_clips)[m.max_clips + s.clamped_clips :].sum())
        share = 2 * share if s.clamped_clips else 1.0
        if share > OFTEN_CLAMPED:
            found.append(
                f"from {s.clamped_clips} clips on ({share:.1%} of the time) the quote that reduces the position would "
                f"be nearer to the fair price than {m.min_distance_ticks} ticks, or beyond it: it is held back, and "
                "inventory lasts longer than said here"
            )
    if s.share_at_limit > OFTEN_AT_LIMIT:
        found.append(
            f"the position is at its limit {s.share_at_limit:.1%} of the time: there the limit, not the skew, holds it "
            f"(without one: {s.std_unlimited_clips:.3g} clips)"
        )
    if s.std_unlimited_clips < FEWEST_CLIPS:
        found.append(
            f"with an inventory of {s.std_clips:.2g} clips the closed form is far from the best quotes; a smaller clip "
            "would do the same better"
        )
    return found


def _check(market: Market) -> None:
    """Refuse what no gamma can make good."""
    m = market
    _check_limit(m.max_clips)
    for name, value in (
        ("fair price", m.fair),
        ("tick", m.tick),
        ("sigma", m.sigma),
        ("A", m.A),
        ("k", m.k),
        ("clip", m.clip),
    ):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be a positive, finite number, not {value:g}")
    if not math.isfinite(m.fee):
        raise ConfigError(Refusal.FEE.sentence)
    if m.threshold_ticks < 1 or m.min_distance_ticks < 0:
        raise ConfigError("the requote threshold must be at least 1 tick, and the least distance not negative")
    if not (math.isfinite(m.interval_s) and m.interval_s >= 0):
        raise ConfigError(f"the interval between two looks at the price cannot be {m.interval_s:g} s")
    if math.log(2 * m.A * DAY_S / FEWEST_FILLS_PER_DAY) < m.k * m.fee:
        raise ConfigError(
            f"a quote that earns nothing but the fee of {m.fee:.4g} USD per coin would be filled less than once a day, "
            "at A exp(-k fee) per second and side; no gamma changes that"
        )


def _check_limit(max_clips: int) -> None:
    if not 1 <= max_clips <= MAX_CLIPS:
        raise ConfigError(f"a limit of {max_clips} clips cannot be solved for; give between 1 and {MAX_CLIPS}")
