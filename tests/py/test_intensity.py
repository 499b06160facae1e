"""A and k: from arrivals whose A and k are known, against a slow twin, known mistakes, a recording, and the prior."""

import math

import numpy as np
import pytest

from mftpy.model.intensity import ASK, BID, BUY
from mftpy.model.volatility import SAMPLING, VOLATILITY, estimate_sigma, sample_mid
from mftpy.sim.recording import Print, Recording, Top
from tests.py.arrivals import FOREVER_S, MID, A, Fast, K, S, Twin, play
from tests.shared_data import shared_path


def z_scores(seeds, n, make=Fast, requote_s=0.5, tick=0.0, half_life_s=FOREVER_S, **world):
    """Return z of A and of k for both sides, shape (seeds, 2 sides, 2)."""
    scores = []
    for seed in seeds:
        estimator = make(requote_s, tick, half_life_s)
        now_ns = play(estimator, seed, n, requote_s, tick=tick, **world)
        for side in (BID, ASK):
            a, a_error, k, k_error = estimator.found(side, now_ns)
            scores.append([(a - A[side]) / a_error, (k - K[side]) / k_error] if k_error else [99.0, 99.0])
    return np.array(scores).reshape(-1, 2, 2)


WORLDS = {
    "0.1 s": {"requote_s": 0.1, "n": 8000},
    "0.5 s": {"requote_s": 0.5, "n": 4000},
    "1 s": {"requote_s": 1.0, "n": 3000},
    "censored by our own quotes": {"n": 4000, "own": (4.0, 3.0)},
    "one quote near, one beyond the range": {"requote_s": 0.2, "n": 6000, "own": (1.5, 30.0)},
    "coarse ticks": {"requote_s": 0.2, "n": 6000, "tick": 1.0},
    "coarse ticks and our own quotes": {"requote_s": 0.2, "n": 6000, "tick": 0.5, "own": (4.0, 3.0)},
    "weights that fall": {"n": 5000, "half_life_s": 600.0},
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_and_k_of_poisson_arrivals_are_found_within_four_standard_errors(world):
    assert np.abs(z_scores(range(4), **world)).max() < 4


def test_the_standard_errors_are_honest():
    z = np.concatenate([z_scores(range(10 * i, 10 * i + 4), **world) for i, world in enumerate(WORLDS.values())])
    assert z.shape == (32, 2, 2)
    assert np.abs(z.mean(axis=(0, 1))).max() < 0.5  # 64 of each: 4 standard errors of a mean
    assert z.std() == pytest.approx(1.0, abs=0.25)  # 128: 4 standard errors


@pytest.mark.long
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_standard_errors_are_honest_in_each_of_the_worlds(world):
    z = z_scores(range(1000, 1064), **world)
    assert np.abs(z).max() < 4.5
    assert np.abs(z.mean(axis=(0, 1))).max() < 0.45
    assert z.std(axis=(0, 1)) == pytest.approx([1.0, 1.0], abs=0.25)


def test_k_is_not_bent_by_a_tail_beyond_the_range():
    scores = z_scores(range(8), 4000, tail=0.02)
    assert np.abs(scores).max() < 4


def test_it_equals_its_slow_twin():
    for tick, own, half_life_s in ((0.0, (3.0, 20.0), FOREVER_S), (0.5, (4.0, 2.0), 200.0)):
        fast, twin = (kind(0.2, tick, half_life_s) for kind in (Fast, Twin))
        for estimator in (fast, twin):
            now_ns = play(estimator, 5, 1200, 0.2, own=own, tick=tick, tail=0.02)
        for side in (BID, ASK):
            a, a_error, k, k_error = fast.found(side, now_ns)
            exact_a, exact_k = twin.found(side, now_ns)
            # approximate: several takers in an interval are corrected for by bins, and the size of a basis point drifts
            assert abs(a - exact_a) < 0.05 * a_error
            assert abs(k - exact_k) < 0.05 * k_error


def test_the_errors_are_those_of_the_curvature_of_the_twin_s_likelihood():
    fast, twin = Fast(0.2), Twin(0.2)
    for estimator in (fast, twin):
        now_ns = play(estimator, 6, 2500, 0.2)
    a, a_error, k, k_error = fast.found(BID, now_ns)
    h = 1e-3

    def value(i, j):
        return twin.log_likelihood(BID, now_ns, math.log(a) + i * h, k + j * h * k)

    uu = (value(1, 0) - 2 * value(0, 0) + value(-1, 0)) / h**2
    kk = (value(0, 1) - 2 * value(0, 0) + value(0, -1)) / (h * k) ** 2
    uk = (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1)) / (4 * h * h * k)
    covariance = np.linalg.inv(-np.array([[uu, uk], [uk, kk]]))
    assert (a_error, k_error) == pytest.approx((a * math.sqrt(covariance[0, 0]), math.sqrt(covariance[1, 1])), rel=0.01)
    fit = fast.fit(BID, now_ns)
    assert fit.covariance * 1e4 / fast.mid_px == pytest.approx(covariance[0, 1], rel=0.02)


# known mistakes


class TouchIncluded(Fast):
    """The range begins at the mid."""

    def __init__(self, *arguments):
        super().__init__(*arguments, from_bp=0.0)


class BothSidesPooled(Fast):
    """Sellers count as buyers, mirrored at the mid."""

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        super().trade(now_ns, self.mid_px + abs(price - self.mid_px), BUY, own, snapshot)


class EveryPrint(Fast):
    """Each print is an arrival: the estimate is of intervals as short as the time between them."""

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        for part in range(1, 6):
            super().trade(now_ns, price, taker, own, snapshot)
            super().mid(now_ns + part * 1000, self.mid_px)

    def __init__(self, requote_s, *arguments):
        super().__init__(1e-6, *arguments)


class OwnFillsAsReach(Fast):
    """What hit our own quote is taken to have ended there."""

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        super().trade(now_ns, price, taker, 0, snapshot)


class NewMid(Fast):
    """Distances are from the mid of the print's own moment, after the sweep has moved it."""

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        super().trade(now_ns, price - 0.5 * (price - self.mid_px), taker, own, snapshot)


class HalfTicks(Fast):
    """Distances are numbered in half ticks, and the numbers read as ticks."""

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        super().trade(now_ns, self.mid_px + 2 * (price - self.mid_px), taker, own, snapshot)


MISTAKES = {
    "touch": (TouchIncluded, {"touch": 2.0}),
    "both sides in one": (BothSidesPooled, {}),
    "sweeps as many arrivals": (EveryPrint, {"requote_s": 0.5}),
    "own fills as full reach": (OwnFillsAsReach, {"own": (4.0, 3.0)}),
    "the mid of afterwards": (NewMid, {}),
    "half ticks": (HalfTicks, {}),
}


@pytest.mark.parametrize(("mistaken", "world"), MISTAKES.values(), ids=MISTAKES)
def test_known_mistakes_are_told_from_the_right_estimate(mistaken, world):
    seeds = range(30, 32)
    assert np.abs(z_scores(seeds, 4000, **world)).max() < 4
    assert np.abs(z_scores(seeds, 4000, mistaken, **world)).max() > 6


def test_trades_of_a_snapshot_are_not_counted_and_counting_them_would_show():
    found = []
    for as_snapshot in (1, 0):
        fast = Fast(0.5)
        fast.mid(0, MID)
        for i in range(600):  # as a subscription begins: what was traded in the last minutes, at prices of then
            fast.trade(i * S // 10, MID + 10.0, BUY, 0, as_snapshot)
        start_ns = 60 * S
        fast.mid(start_ns, MID)
        now_ns = play(Shifted(fast, start_ns), 40, 4000) + start_ns
        a, a_error, k, k_error = fast.found(ASK, now_ns)
        found.append(max(abs(a - A[ASK]) / a_error, abs(k - K[ASK]) / k_error))
        assert fast.state["snapshot_prints"][0] == 600 * as_snapshot
    assert found[0] < 4
    assert found[1] > 6


class Shifted:
    """An estimator whose clock began earlier."""

    def __init__(self, estimator, by_ns):
        self.estimator, self.by_ns = estimator, by_ns

    def mid(self, now_ns, *rest):
        self.estimator.mid(now_ns + self.by_ns, *rest)

    def trade(self, now_ns, *rest):
        self.estimator.trade(now_ns + self.by_ns, *rest)


class BySize(Fast):
    """Passes on a size that belongs to the time of the trade."""

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        super().trade(now_ns, price, taker, own, snapshot, 0.001 * (1 + now_ns % 997))


def test_it_is_arrivals_that_count_whatever_their_size():
    fits = []
    for kind in (Fast, BySize):
        estimator = kind()
        fits.append(estimator.fit(BID, play(estimator, 41, 1000)))
    assert fits[0] == fits[1]


# reality


def test_a_recorded_market_gives_plausible_numbers():
    recording = Recording(str(shared_path("data/binance-usdm-btcusdt-20240808.gz")))
    tick = float(recording.tick_size)
    fast = Fast(0.1, tick, touch_ticks=2.0)
    volatility, sampling = np.zeros(1, VOLATILITY), np.zeros(1, SAMPLING)
    sampling["step_ns"], sampling["gap_ns"], sampling["half_life_s"] = S, 5 * S, FOREVER_S
    for event in recording.events():
        now_ns = event.local_ns
        if isinstance(event, Top):
            mid = 0.5 * (event.bid_ticks + event.ask_ticks) * tick
            fast.mid(now_ns, mid)
            sample_mid(volatility, sampling, now_ns, mid)
        elif isinstance(event, Print):
            fast.trade(now_ns, event.price_ticks * tick, event.taker_side)
    for side in (BID, ASK):
        a, a_error, k, k_error = fast.found(side, now_ns)
        assert 0.3 < a < 0.8
        assert 0.15 < k < 0.35
        assert a_error < 0.1
        assert k_error < 0.04
    sigma = estimate_sigma(volatility, sampling, now_ns, 0.0, 0.0)
    assert 4 < sigma.sigma < 14
    assert sigma.sigma == pytest.approx(8.6, abs=0.1)  # measured apart, from the same feed at the same step


# the prior


def test_the_prior_alone_gives_itself_back_and_counts_as_so_many_seconds():
    for tick in (0.0, 0.1, 5.0):
        fast = Fast(0.1, tick, touch_ticks=1.0)
        few, many = (fast.fit(BID, 0, prior_s, (0.7, 2.0)) for prior_s in (360.0, 36_000.0))
        assert (many.A, many.k) == pytest.approx((0.7, 2.0), rel=1e-9)
        assert few.A_error == pytest.approx(10 * many.A_error)
        assert few.k_error == pytest.approx(10 * many.k_error)
        assert (few.effective, few.weight_s) == (0, 0)


def test_data_gains_on_the_prior_and_loses_when_it_is_old():
    fast = Fast(half_life_s=1800.0)
    now_ns = play(fast, 50, 8000)
    prior = (2.0, 0.8)
    alone = fast.fit(BID, now_ns)
    ks = [fast.fit(BID, now_ns, prior_s, prior).k for prior_s in (1.0, 100.0, 10_000.0, 1e6)]
    assert ks[0] == pytest.approx(alone.k, rel=0.01)
    assert ks[0] > ks[1] > ks[2]
    assert ks[-1] == pytest.approx(0.8, rel=0.01)
    old = fast.fit(BID, now_ns + 10 * 3600 * S, 100.0, prior)
    assert (old.A, old.k) == pytest.approx(prior, rel=0.05)
    assert fast.fit(BID, now_ns + 1_000_000 * 3600 * S, 100.0, prior).k == pytest.approx(0.8)


def test_with_k_given_a_is_the_best_for_it():
    fast = Fast()
    now_ns = play(fast, 51, 4000)
    free = fast.fit(BID, now_ns)
    assert pytest.approx(free.A) == fast.fit(BID, now_ns, given_k=free.k).A
    assert fast.fit(BID, now_ns, given_k=2 * free.k).A > free.A


def test_unequal_weights_make_the_error_larger_than_their_sum_says():
    fast = Fast(half_life_s=100.0)
    now_ns = play(fast, 54, 3000)
    fit = fast.fit(BID, now_ns, given_k=1.5)
    assert fit.A_error / fit.A == pytest.approx(1 / math.sqrt(fit.effective))
    later = fast.fit(BID, now_ns + 1000 * S, given_k=1.5)
    assert later[:6] == pytest.approx(fit[:6])  # age takes weight against a prior; the data is as good as it was


def test_distances_are_in_basis_points_so_that_markets_of_any_price_are_alike():
    fits = []
    for scale in (1.0, 1e9 / MID, 1e-8 / MID):
        fast = Fast(0.2)
        world = Scaled(fast, scale)
        now_ns = play(world, 52, 2000, 0.2)
        fits.append(fast.fit(ASK, now_ns))
    assert fits[1] == pytest.approx(fits[0], rel=1e-4)
    assert fits[2] == pytest.approx(fits[0], rel=1e-4)


class Scaled:
    """An estimator whose prices are multiples."""

    def __init__(self, estimator, scale):
        self.estimator, self.scale = estimator, scale

    def mid(self, now_ns, mid, *own):
        self.estimator.mid(now_ns, self.scale * mid, *(self.scale * price for price in own))

    def trade(self, now_ns, price, *rest):
        self.estimator.trade(now_ns, self.scale * price, *rest)


def test_sums_are_rescaled_before_their_weights_grow_too_large():
    long, short = Fast(half_life_s=10.0), Fast(half_life_s=10.0)
    now_ns = play(long, 53, 3000)  # 1500 s: 150 half-lives
    start_ns = 2500 * S // 2
    play(Later(short, start_ns), 53, 3000)
    assert long.fit(BID, now_ns) == pytest.approx(short.fit(BID, now_ns), rel=1e-6)
    assert long.state["reached"][0].max() < 1e9


class Later:
    """An estimator that is told only what comes after a time."""

    def __init__(self, estimator, from_ns):
        self.estimator, self.from_ns = estimator, from_ns

    def mid(self, now_ns, *rest):
        if now_ns >= self.from_ns:
            self.estimator.mid(now_ns, *rest)

    def trade(self, now_ns, *rest):
        if now_ns >= self.from_ns:
            self.estimator.trade(now_ns, *rest)
