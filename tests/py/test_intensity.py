"""A and k: from arrivals whose A and k are known, against a slow twin, known mistakes, a recording, and bad input."""

import math

import numpy as np
import pytest

from mftpy.model.intensity import (
    ASK,
    BID,
    BUY,
    INTENSITY,
    OBSERVING,
    SELL,
    observe_mid,
    observe_print,
    unwatch,
)
from mftpy.model.intensity_fit import estimate_intensity
from mftpy.model.volatility import SAMPLING, VOLATILITY, estimate_sigma, sample_mid
from mftpy.sim.recording import Print, Recording, Top
from tests.shared_data import shared_path

S = 1_000_000_000
FOREVER_S = 1e12
MID = 61_700.0
A, K = (0.55, 0.8), (0.25, 0.4)  # bid, ask; per second, per USD
FROM_BP, TO_BP = 0.15, 3.0


class Fast:
    """The compiled estimate; distances and k in price units."""

    def __init__(self, requote_s=0.5, tick=0.0, half_life_s=FOREVER_S, touch_ticks=0.0, from_bp=FROM_BP, gap_s=5.0):
        self.state, self.observing = np.zeros(1, INTENSITY), np.zeros(1, OBSERVING)
        rule = self.observing
        rule["requote_ns"], rule["gap_ns"] = round(requote_s * S), round(gap_s * S)
        rule["half_life_s"], rule["from_bp"], rule["to_bp"] = half_life_s, from_bp, TO_BP
        rule["touch_ticks"], rule["tick_size"] = touch_ticks, tick
        self.mid_px = MID

    def mid(self, now_ns, mid, own_bid=0.0, own_ask=0.0):
        self.mid_px = mid
        observe_mid(self.state, self.observing, now_ns, mid, own_bid, own_ask)

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        observe_print(self.state, self.observing, now_ns, price, size, taker, own, snapshot)

    def fit(self, side, now_ns, prior_s=0.0, prior=(0.55, 1.5), given_k=0.0):
        return estimate_intensity(self.state, self.observing, side, now_ns, self.mid_px, *prior, prior_s, given_k)

    def found(self, side, now_ns):
        """Return A, its error, k per price unit, its error."""
        fit = self.fit(side, now_ns)
        scale = 1e4 / self.mid_px
        return fit.A, fit.A_error, fit.k * scale, fit.k_error * scale


class Twin(Fast):
    """The same from a list of all intervals, by the exact likelihood, and by trying out where its maximum is."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.intervals = {BID: [], ASK: []}
        self.open = None

    def mid(self, now_ns, mid, own_bid=0.0, own_ask=0.0):
        rule = self.observing[0]
        while self.open is not None and now_ns >= self.open["at_ns"] + rule["requote_ns"]:
            at_ns = self.open["at_ns"]
            self.close()
            self.begin(at_ns + int(rule["requote_ns"]))
        self.newest = mid, own_bid, own_ask
        self.mid_px = mid
        if self.open is None or self.open["at_ns"] == now_ns:
            self.begin(now_ns)

    def begin(self, at_ns):
        self.open = {"at_ns": at_ns, "mid": self.newest[0], "own": self.newest[1:], "prints": []}

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        mid, *own_prices = self.newest
        self.mid(now_ns, mid, *own_prices)
        self.open["prints"].append((price, taker, own))

    def first(self, side, distance):
        mid, tick = self.open["mid"], float(self.observing["tick_size"][0])
        if not tick:
            return distance
        if side == ASK:
            return math.ceil(round((mid + distance) / tick, 6)) * tick - mid
        return mid - math.floor(round((mid - distance) / tick, 6)) * tick

    def close(self):
        rule, mid = self.observing[0], self.open["mid"]
        for side, taker in ((BID, SELL), (ASK, BUY)):
            low = self.first(side, max(rule["from_bp"] * mid * 1e-4, rule["touch_ticks"] * rule["tick_size"]))
            high = self.first(side, rule["to_bp"] * mid * 1e-4)
            prints = [(round(taker * (p - mid), 6), own) for p, by, own in self.open["prints"] if by == taker]
            deepest, is_own = max(prints, default=(0.0, 0))
            own_price = self.open["own"][side]
            resting = bool(own_price) and low - 1e-6 <= taker * (own_price - mid) < high - 1e-6
            kind = "quiet"
            if deepest >= low - 1e-6:
                kind = "own" if is_own else "beyond" if deepest >= high - 1e-6 else "exact"
            elif is_own:
                continue
            if kind == "beyond" and not resting:
                continue
            if kind in ("own", "beyond"):
                deepest, kind = min(deepest, high), "own"
            untruncated = resting or kind == "own"
            self.intervals[side].append((self.open["at_ns"], kind, untruncated, low, high, deepest))

    def log_likelihood(self, side, now_ns, log_A, k):
        length_s, tick = float(self.observing["requote_ns"][0]) / S, float(self.observing["tick_size"][0])
        at_ns, kind, untruncated, low, high, x = self.columns(side)
        weight = 0.5 ** ((now_ns - at_ns) / S / self.observing["half_life_s"][0])
        arrivals = math.exp(log_A) * length_s

        def below(distance):
            return arrivals * np.exp(-k * distance)

        beyond = np.where(untruncated, 0.0, below(high))
        quiet = -(below(low) - beyond)
        if tick:
            exact = np.log(np.exp(-below(x + tick)) - np.exp(-below(x))) + beyond
        else:
            exact = np.log(below(np.where(kind == "exact", x, 1.0)) * k) - below(x) + beyond
        own = np.log(-np.expm1(-below(np.where(kind == "own", x, 1.0))))
        return float(np.sum(weight * np.select([kind == "quiet", kind == "exact"], [quiet, exact], own)))

    def columns(self, side):
        at_ns, kind, untruncated, low, high, x = zip(*self.intervals[side], strict=True)
        return (np.array(at_ns), np.array(kind), np.array(untruncated), np.array(low), np.array(high), np.array(x))

    def found(self, side, now_ns):
        """Return A and k at the maximum, which is closed in on by ever smaller steps."""
        log_A, k, step = math.log(0.6), 0.3, 0.1
        best = self.log_likelihood(side, now_ns, log_A, k)
        while step > 1e-5:
            tries = [(log_A + i * step, k * (1 + j * step)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
            value, there = max((self.log_likelihood(side, now_ns, *there), there) for there in tries)
            if value > best:
                best, (log_A, k) = value, there
            else:
                step /= 2
        return math.exp(log_A), k


def play(estimator, seed, n, requote_s=0.5, own=(0.0, 0.0), tick=0.0, a=A, k=K, touch=0.0, tail=0.0):
    """Let takers arrive at Poisson times, each side by itself, for n intervals; return the time at the end.

    The mid wanders; distances are from the mid at the interval's beginning. `own` holds the distances of our quotes, at
    which all that would go further ends, `touch` the rate of prints at the touch, `tail` of trades that reach far.
    """
    rng = np.random.default_rng(seed)
    length_ns = round(requote_s * S)
    mids = MID + np.cumsum(rng.normal(0.0, 2.0 * math.sqrt(requote_s), n))
    if tick:
        mids = np.round(mids / tick * 2) * tick / 2
    arrivals = []
    for side in (BID, ASK):
        for rate, mean, least in ((a[side], 1 / k[side], 0.0), (touch, 0.05, 0.0), (tail, 20.0, 20.0)):
            count = rng.poisson(rate * n * requote_s)
            times = rng.uniform(0, n, count)
            arrivals += zip(times, np.full(count, side), least + rng.exponential(mean, count), strict=True)
    arrivals = sorted(map(tuple, np.array(arrivals).tolist()))
    at = 0
    for number, mid in enumerate(mids.tolist()):
        quotes = [mid + (2 * side - 1) * own[side] if own[side] else 0.0 for side in (BID, ASK)]
        if tick:
            quotes = [math.floor(quotes[0] / tick) * tick, math.ceil(quotes[1] / tick) * tick]
        estimator.mid(number * length_ns, mid, *quotes)
        while at < len(arrivals) and arrivals[at][0] < number + 1:
            time, side, distance = arrivals[at]
            at += 1
            sign = 1 if side == ASK else -1
            price = mid + sign * distance
            if tick:
                price = sign * math.floor(sign * price / tick + 1e-9) * tick
            ours = bool(quotes[int(side)]) and sign * (price - quotes[int(side)]) >= -1e-9
            now_ns = number * length_ns + int((time - number) * length_ns)
            estimator.trade(now_ns, quotes[int(side)] if ours else price, sign, int(ours))
    estimator.mid(n * length_ns, float(mids[-1]))
    return n * length_ns


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


# what is observed


def test_a_sweep_is_one_arrival_at_its_deepest_print():
    fast = Fast(1.0)
    fast.mid(0, MID)
    for i, distance in enumerate((1.0, 2.0, 3.5, 6.0, 4.0)):
        fast.trade(S // 2 + i, MID + distance, BUY)
    fast.trade(S - 1, MID - 2.0, SELL)
    fast.mid(S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [1, 1]
    assert fast.state["reach"][0] * MID / 1e4 == pytest.approx([2.0, 6.0])


def test_distance_is_from_the_mid_one_interval_before():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.mid(S // 4, MID + 5.0)
    fast.trade(S // 2, MID + 6.0, BUY)
    fast.mid(S, MID + 5.0)
    fast.trade(S + 1, MID + 6.0, BUY)
    fast.mid(2 * S, MID + 5.0)
    assert fast.state["reach"][0, ASK] * MID / 1e4 == pytest.approx(6.0 + 1.0, rel=1e-4)


def test_a_print_at_the_touch_reaches_nothing():
    fast = Fast(1.0, tick=0.5, touch_ticks=2.0)
    fast.mid(0, MID + 0.25)
    fast.trade(1, MID + 0.5, BUY)
    fast.trade(2, MID + 1.0, BUY)  # 1.5 ticks
    fast.mid(S, MID + 0.25)
    fast.trade(S + 1, MID + 1.5, BUY)  # 2.5 ticks: the first price in the range
    fast.mid(2 * S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [0, 1]
    assert fast.state["quiet"][0].tolist() == [2, 1]
    assert fast.state["quiet_from"][0] / fast.state["quiet"][0] * MID / 1e4 == pytest.approx([1.25, 1.25], rel=1e-4)


def test_a_fill_of_ours_is_censored_and_a_deeper_print_of_another_is_not():
    fast = Fast(1.0)
    for second, deeper in enumerate((0.0, 2.0)):
        fast.mid(second * S, MID, MID - 5.0, MID + 5.0)
        fast.trade(second * S + 1, MID + 5.0, BUY, own=1)
        if deeper:
            fast.trade(second * S + 2, MID + 5.0 + deeper, BUY)
    fast.mid(2 * S, MID)
    assert fast.state["reached"][0, ASK] == 2
    assert fast.state["exact"][0, ASK] == 1
    assert fast.state["censored"][0, ASK] == 1
    assert fast.state["ended"][0].tolist() == [0, 0]  # our order lay in the range: it does not end the likelihood


def test_a_fill_of_ours_nearer_than_the_range_hides_that_side_of_the_interval():
    fast = Fast(1.0)
    fast.mid(0, MID, 0.0, MID + 0.3)
    fast.trade(1, MID + 0.3, BUY, own=1)
    fast.mid(S, MID)
    assert fast.state["watched"][0].tolist() == [1, 0]


def test_what_reaches_beyond_the_range_is_left_out():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, MID - 100.0, SELL)
    fast.mid(S, MID)
    assert fast.state["beyond"][0].tolist() == [1, 0]
    assert fast.state["watched"][0].tolist() == [0, 1]


def test_the_side_is_the_taker_s_and_where_that_is_unknown_the_price_tells():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, MID + 3.0, SELL)  # a seller above the old mid reaches no bid of then
    fast.mid(S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [0, 0]
    fast.trade(S + 1, MID + 3.0, 0)
    fast.mid(2 * S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [0, 1]
    fast.trade(2 * S + 1, MID - 3.0, 0)
    fast.mid(3 * S, MID)
    assert fast.state["reached"][0] == pytest.approx([1, 1])


def test_quiet_time_counts_as_intervals_and_silence_does_not():
    fast = Fast(0.1, gap_s=5.0)
    fast.mid(0, MID)
    fast.mid(4 * S, MID)
    assert fast.state["intervals"][0] == 40
    assert fast.state["quiet"][0] == pytest.approx([40, 40])
    fast.mid(100 * S, MID)
    assert fast.state["intervals"][0] == 40
    assert fast.state["gaps"][0] == 1
    fast.mid(101 * S, MID)
    unwatch(fast.state)
    fast.trade(101 * S + 1, MID + 5, BUY)
    assert fast.state["unwatched"][0] == 1
    assert fast.state["intervals"][0] == 50


# bad input


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_what_is_no_number_is_counted_and_not_used(bad):
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, bad, BUY)
    fast.trade(2, MID + 5, BUY, size=0.0 if bad == 1e300 else bad)
    fast.mid(S, MID, bad, bad)
    assert fast.state["unusable"][0] == 2
    assert fast.state["reached"][0].round(6).tolist() == [0, 0]
    fast.mid(2 * S, bad)
    fast.mid(3 * S, bad)
    fast.trade(3 * S + 1, MID + 5, BUY)
    assert fast.state["unwatched"][0] == 1
    fast.mid(4 * S, MID)
    fast.mid(5 * S, MID)
    assert fast.state["intervals"][0] == 3  # none began while there was no mid
    assert all(map(math.isfinite, fast.fit(ASK, 5 * S, 360.0)))


def test_one_trade_ever_gives_numbers_and_the_prior_keeps_it_sensible():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, MID + 5, BUY)
    fast.mid(S, MID)
    assert all(map(math.isfinite, fast.fit(ASK, S)))
    assert fast.fit(BID, S) == (0, 0, 0, 0, 0, 0, 1, False)
    blended = fast.fit(ASK, S, 360.0)
    assert (blended.A, blended.k) == pytest.approx((0.55, 1.5), rel=0.02)


def test_reaches_that_no_exponential_explains_are_no_fit():
    for distance in (16.0, 0.9256):  # all at the far end of the range; all at its very beginning
        fast = Fast(1.0)
        for second in range(100):
            fast.mid(second * S, MID)
            if second % 10 == 0:
                fast.trade(second * S + 1, MID + distance, BUY)
        fast.mid(100 * S, MID)
        fit = fast.fit(ASK, 100 * S)
        assert fit[:5] == (0, 0, 0, 0, 0)
        assert not fit.found
        assert fit.effective == pytest.approx(10)
        assert fast.fit(ASK, 100 * S, 3600.0).found


def test_time_that_runs_backwards_is_a_little_late_or_another_clock():
    fast = Fast(1.0, half_life_s=100.0, gap_s=5.0)
    for second in range(1000, 1010):
        fast.mid(second * S, MID)
        fast.trade(second * S + 1, MID + 5, BUY)
    fast.mid(1010 * S, MID)
    fast.trade(1010 * S - 1000, MID + 4, BUY)  # another feed, a microsecond late: counts in the open interval
    fast.mid(1011 * S, MID)
    assert fast.state["reached"][0, ASK] > 10
    before = fast.fit(ASK, 1011 * S)
    fast.mid(10 * S, MID)
    assert fast.state["backwards"][0] == 2
    assert fast.fit(ASK, 10 * S) == pytest.approx(before)
    fast.mid(-1, MID)
    fast.trade(-1, MID, BUY)
    assert fast.state["unusable"][0] == 2
    fast.mid(11 * S, MID)
    assert fast.state["intervals"][0] == 12


def test_whatever_comes_results_are_numbers():
    rng = np.random.default_rng(60)
    odd = [0.0, -1.0, math.nan, math.inf, 1e-8, 1e9, 1e15, 1e-15]
    for tick in (0.0, 0.1, 1e-9):
        fast, now_ns = Fast(0.1, tick, half_life_s=5.0), 0
        for _ in range(1500):
            now_ns = max(0, now_ns + int(rng.integers(-S, S)))
            price = float(rng.choice(odd)) if rng.random() < 0.1 else MID + float(rng.normal(0, 5))
            if rng.random() < 0.5:
                fast.mid(now_ns, price, float(rng.choice(odd)), MID + 3.0)
            else:
                fast.trade(now_ns, price, int(rng.integers(-2, 3)), int(rng.integers(0, 2)))
            fast.mid_px = price
            for prior_s in (0.0, 100.0):
                for given_k in (0.0, 1e-9, 50.0):
                    fit = fast.fit(int(rng.integers(0, 2)), now_ns, prior_s, given_k=given_k)
                    assert all(map(math.isfinite, fit))
                    assert min(fit.A, fit.A_error, fit.k, fit.k_error) >= 0
