"""Volatility: against Brownian motion, a slow twin, known mistakes, silences, and mids that are none."""

import math

import numpy as np
import pytest

from mftpy.model.volatility import (
    SAMPLING,
    VOLATILITY,
    estimate_sigma,
    restart,
    sample_mid,
)

S = 1_000_000_000
FOREVER_S = 1e12
SIGMA = 8.0


class Fast:
    """The compiled estimate, fed mid by mid."""

    def __init__(self, step_s=1.0, half_life_s=FOREVER_S, gap_s=30.0):
        self.state, self.sampling = np.zeros(1, VOLATILITY), np.zeros(1, SAMPLING)
        self.sampling["step_ns"], self.sampling["gap_ns"] = round(step_s * S), round(gap_s * S)
        self.sampling["half_life_s"] = half_life_s

    def mid(self, now_ns, mid):
        sample_mid(self.state, self.sampling, now_ns, mid)

    def estimate(self, now_ns, prior=0.0, prior_s=0.0):
        return estimate_sigma(self.state, self.sampling, now_ns, prior, prior_s)

    def sigma(self, now_ns):
        return self.estimate(now_ns).sigma


class Twin:
    """The same estimate from a list of all samples, looked through anew each time."""

    def __init__(self, step_s=1.0, half_life_s=FOREVER_S, gap_s=30.0):
        self.step_s, self.half_life_s, self.gap_s = step_s, half_life_s, gap_s
        self.moves, self.last, self.seen_ns, self.newest = [], None, None, None

    def mid(self, now_ns, mid):
        if self.seen_ns is not None and now_ns - self.seen_ns > self.gap_s * S:
            self.last = None
        self.seen_ns = now_ns
        if self.last is None:
            self.last = now_ns, mid
        steps = (now_ns - self.last[0]) // round(self.step_s * S)
        if steps:
            ended_ns = self.last[0] + steps * round(self.step_s * S)
            self.moves.append((ended_ns, self.newest - self.last[1], (ended_ns - self.last[0]) / S))
            self.last = ended_ns, self.newest
        self.newest = mid

    def estimate(self, now_ns, prior=0.0, prior_s=0.0):
        weights = [0.5 ** ((now_ns - at_ns) / S / self.half_life_s) for at_ns, _, _ in self.moves]
        time_s = math.fsum(w * dt for w, (_, _, dt) in zip(weights, self.moves, strict=True))
        squares = math.fsum(w * dp * dp for w, (_, dp, _) in zip(weights, self.moves, strict=True))
        variance = (squares + prior_s * prior**2) / (time_s + prior_s)
        fourth = math.fsum(
            (w * (dp * dp - variance * dt)) ** 2 for w, (_, dp, dt) in zip(weights, self.moves, strict=True)
        )
        lengths = math.fsum((w * dt) ** 2 for w, (_, _, dt) in zip(weights, self.moves, strict=True))
        scatter = max(fourth, 2 * variance**2 * lengths) + 2 * variance**2 * prior_s * self.step_s
        error = math.sqrt(scatter) / (time_s + prior_s) / 2 / math.sqrt(variance)
        return math.sqrt(variance), error, time_s**2 / lengths, time_s

    def sigma(self, now_ns):
        return self.estimate(now_ns)[0]


def brownian(seed, n, mean_gap_s=0.3, sigma=SIGMA, start=61_700.0):
    """Return (times in ns, mids) of a Brownian motion that is seen at irregular times."""
    rng = np.random.default_rng(seed)
    gaps_s = rng.exponential(mean_gap_s, n)
    mids = start + np.cumsum(rng.normal(0.0, sigma * np.sqrt(gaps_s)))
    return (S + np.cumsum(gaps_s) * S).astype(np.int64).tolist(), mids.tolist()


def sweeps(seed, seconds, per_sweep=20, sigma=SIGMA):
    """Return (times, mids): about one sweep a second, of many small moves of one sign within some milliseconds."""
    rng = np.random.default_rng(seed)
    times, mids, mid, now_ns = [], [], 61_700.0, S
    for _ in range(seconds):
        now_ns += round(rng.exponential(1.0) * S)
        move = rng.normal(0.0, sigma)
        for _ in range(per_sweep):
            mid += move / per_sweep
            now_ns += 1_000_000
            times.append(now_ns)
            mids.append(mid)
    return times, mids


def fed(estimator, times, mids):
    for now_ns, mid in zip(times, mids, strict=True):
        estimator.mid(now_ns, mid)
    return estimator


@pytest.mark.parametrize("mean_gap_s", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("step_s", [0.5, 1.0])
def test_sigma_of_brownian_motion_at_irregular_times_is_found_within_three_percent(mean_gap_s, step_s):
    times, mids = brownian(2, 40_000 if mean_gap_s < 0.1 else 20_000, mean_gap_s)
    assert fed(Fast(step_s, gap_s=60), times, mids).sigma(times[-1]) == pytest.approx(SIGMA, rel=0.03)


def test_the_standard_error_is_honest_with_equal_and_with_falling_weights():
    for half_life_s in (FOREVER_S, 60.0):
        z = []
        for seed in range(150):
            times, mids = brownian(100 + seed, 1200)
            found = fed(Fast(half_life_s=half_life_s), times, mids).estimate(times[-1])
            z.append((found.sigma - SIGMA) / found.standard_error)
        assert max(map(abs, z)) < 4.5
        assert abs(np.mean(z)) < 0.35
        assert 0.8 < np.std(z) < 1.2


def test_it_equals_its_slow_twin_with_silences_and_weights_that_fall():
    times, mids = brownian(3, 3000)
    later = [at + (60 * S if i > 1000 else 0) + (100 * S if i > 2000 else 0) for i, at in enumerate(times)]
    for half_life_s in (5.0, 300.0, FOREVER_S):
        fast, twin = Fast(half_life_s=half_life_s), Twin(half_life_s=half_life_s)
        for i, (now_ns, mid) in enumerate(zip(later, mids, strict=True)):
            fast.mid(now_ns, mid)
            twin.mid(now_ns, mid)
            if i % 300 == 299:
                for prior_s in (0.0, 72.0):
                    found = fast.estimate(now_ns + S, 5.0, prior_s)
                    assert found == pytest.approx(twin.estimate(now_ns + S, 5.0, prior_s), rel=1e-9)
        assert fast.state["gaps"][0] == 2


def test_the_prior_counts_as_so_many_seconds_of_data():
    times, mids = brownian(4, 3000)
    fast = fed(Fast(), times, mids)
    alone = fast.estimate(times[-1])
    equal = fast.estimate(times[-1], 2.0, alone.weight_s)
    assert equal.sigma == pytest.approx(math.sqrt((alone.sigma**2 + 4.0) / 2))
    assert Fast().estimate(0, 2.0, 72.0)[:2] == pytest.approx((2.0, 2.0 / math.sqrt(2 * 72)))


def test_data_that_has_become_old_gives_way_to_the_prior():
    times, mids = brownian(5, 3000)
    fast = fed(Fast(half_life_s=300.0), times, mids)
    sigmas = [fast.estimate(times[-1] + minutes * 60 * S, 2.0, 72.0).sigma for minutes in (0, 5, 15, 60)]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[-1] == pytest.approx(2.0, rel=0.02)


# known mistakes: each must be told from the right estimate by the checks above


class TickByTick(Twin):
    """All squared moves: those of a sweep are small, and have one sign."""

    def __init__(self):
        super().__init__(step_s=1e-9)


class SeededByTheFirst:
    """An average that begins with the first squared return, with weights by sample: half after twenty."""

    def __init__(self):
        self.last = self.variance = None

    def mid(self, now_ns, mid):
        if self.last is not None and now_ns - self.last[0] >= S:
            kept = 0.5 ** (1 / 20)
            square = (mid - self.last[1]) ** 2 / ((now_ns - self.last[0]) / S)
            self.variance = square if self.variance is None else kept * self.variance + (1 - kept) * square
        if self.last is None or now_ns - self.last[0] >= S:
            self.last = now_ns, mid

    def sigma(self, now_ns):
        return math.sqrt(self.variance)


class PerSample(Twin):
    """The scatter of a sample, not divided by the time it took."""

    def sigma(self, now_ns):
        return math.sqrt(sum(dp * dp for _, dp, _ in self.moves) / len(self.moves))


class MoveAcrossSilence(Twin):
    """A move is one over a step, whatever the time since the last look."""

    def mid(self, now_ns, mid):
        if self.last is not None:
            self.moves.append((now_ns, mid - self.last[1], self.step_s))
        self.last = now_ns, mid


class Buffer:
    """A circular buffer of moves, read in the order of storage."""

    def __init__(self):
        self.prices, self.n = [0.0] * 500, 0

    def mid(self, now_ns, mid):
        self.prices[self.n % 500] = mid
        self.n += 1

    def sigma(self, now_ns):
        return math.sqrt(np.mean(np.diff(self.prices) ** 2))


class TradesToo(Fast):
    """Trade prices between the mids."""

    def mid(self, now_ns, mid):
        super().mid(now_ns, mid + 0.5 * (-1) ** (now_ns // S))


def of_sweeps(estimator):
    times, mids = sweeps(7, 6000)
    return fed(estimator, times, mids).sigma(times[-1]) * math.sqrt((times[-1] - times[0]) / 6000 / S)


def of_a_jump_first(estimator):
    """A first move twelve times the usual, and then some minutes: five half-lives of either average."""
    times, mids = brownian(9, 100, 1.5)
    return fed(estimator, [0, *[at + S for at in times]], [mids[0] - 100.0, *mids]).sigma(times[-1] + S)


def of_uneven_times(estimator):
    times, mids = brownian(10, 8000, 2.0)
    return fed(estimator, times, mids).sigma(times[-1])


def of_silences(estimator):
    rng = np.random.default_rng(11)
    now_ns, mid = S, 61_700.0
    for i in range(6000):
        pause_s = 120.0 if i % 100 == 99 else 1.0
        now_ns, mid = now_ns + round(pause_s * S), mid + rng.normal(0.0, SIGMA * math.sqrt(pause_s))
        estimator.mid(now_ns, mid)
    return estimator.sigma(now_ns)


def of_a_trend(estimator):
    """A mid that rises evenly by a cent a second, and has no other move: sigma is a cent."""
    for i in range(1250):
        estimator.mid(i * S, 61_700.0 + 0.01 * i)
    return estimator.sigma(1250 * S)


def of_a_mid_that_stands(estimator):
    for i in range(200):
        estimator.mid(i * S, 61_700.0)
    return estimator.sigma(200 * S)


CASES = [
    (of_sweeps, SIGMA, 0.03, TickByTick),
    (of_uneven_times, SIGMA, 0.03, PerSample),
    (of_silences, SIGMA, 0.03, MoveAcrossSilence),
    (of_a_trend, 0.01, 0.001, Buffer),
]


@pytest.mark.parametrize(
    ("case", "expected", "within", "mistaken"), CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_known_mistakes_are_told_from_the_right_estimate(case, expected, within, mistaken):
    assert case(Fast()) == pytest.approx(expected, rel=within)
    assert case(mistaken()) != pytest.approx(expected, rel=5 * within)


def test_the_first_sample_does_not_outweigh_the_others():
    assert of_a_jump_first(Fast(half_life_s=30.0)) == pytest.approx(SIGMA, rel=0.3)
    assert of_a_jump_first(SeededByTheFirst()) != pytest.approx(SIGMA, rel=0.6)


def test_a_mid_that_stands_has_no_volatility_and_trades_between_would_give_it_one():
    assert of_a_mid_that_stands(Fast()) == 0.0
    assert of_a_mid_that_stands(TradesToo()) > 0.5


def test_sampling_oftener_does_not_change_sigma():
    times, mids = brownian(12, 40_000, 0.1)
    per_second = fed(Fast(1.0), times, mids).sigma(times[-1])
    per_half_second = fed(Fast(0.5), times, mids).sigma(times[-1])
    assert per_second == pytest.approx(per_half_second, rel=0.04)


def test_sigma_scales_with_the_price_and_the_unit_of_time():
    times, mids = brownian(13, 3000, start=1e6)
    one = fed(Fast(), times, mids).estimate(times[-1])
    for scale in (1e-14, 1e3):
        scaled = fed(Fast(), times, [scale * mid for mid in mids]).estimate(times[-1])
        assert scaled[:2] == pytest.approx((scale * one.sigma, scale * one.standard_error), rel=1e-6)


# bad input


def test_a_silence_is_no_move_and_a_resync_neither():
    fast = Fast(gap_s=5.0)
    for second in range(10):
        fast.mid(second * S, 61_700.0 + second % 2)
    before = fast.estimate(9 * S)
    assert before.weight_s == pytest.approx(9)
    fast.mid(20 * S, 70_000.0)
    assert fast.estimate(9 * S) == before
    restart(fast.state)
    fast.mid(21 * S, 50_000.0)
    assert fast.estimate(9 * S) == before
    fast.mid(21 * S + 1, 50_001.0)
    fast.mid(22 * S, 50_009.0)
    assert fast.state["samples"][0] == 10
    assert fast.state["gaps"][0] == 2
    assert fast.sigma(22 * S) == pytest.approx(math.sqrt(0.9))  # nine moves of 1 in ten seconds


@pytest.mark.parametrize("mid", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 1e-300])
def test_a_mid_that_is_none_is_passed_over(mid):
    fast = Fast()
    for second in range(10):
        fast.mid(2 * second * S, 61_700.0 + second % 2)
        fast.mid((2 * second + 1) * S, mid)
    assert fast.state["missing"][0] == 10
    assert fast.sigma(20 * S) == pytest.approx(math.sqrt(8 / 18))  # nine steps of two seconds, eight of them moves


def test_time_that_runs_backwards_neither_counts_nor_makes_the_past_young():
    fast = Fast(half_life_s=100.0, gap_s=5.0)
    for second in range(100, 200):
        fast.mid(second * S, 61_700.0 + second % 2)
    before = fast.estimate(199 * S)
    fast.mid(198 * S, 1.0)  # a little: passed over
    assert fast.estimate(199 * S) == before
    fast.mid(10 * S, 61_700.0)  # another clock
    assert fast.state["backwards"][0] == 2
    assert fast.estimate(10 * S) == before
    fast.mid(-5, 61_700.0)
    fast.mid(11 * S, 61_703.0)
    assert fast.state["samples"][0] == 100
    after = fast.estimate(11 * S)
    assert after.weight_s == pytest.approx(before.weight_s * 0.5**0.01 + 1)


@pytest.mark.parametrize("price", [1e-8, 1e9])
def test_prices_of_any_size_give_numbers(price):
    fast = Fast()
    for second in range(50):
        fast.mid(second * S, price * (1 + 1e-4 * (second % 2)))
    found = fast.estimate(50 * S)
    assert found.sigma == pytest.approx(1e-4 * price * math.sqrt(48 / 49), rel=1e-6)
    assert all(map(math.isfinite, found))


def test_wild_jumps_and_equal_times_give_numbers():
    fast, rng = Fast(step_s=1e-9), np.random.default_rng(14)
    now_ns = 0
    for _ in range(2000):
        now_ns += int(rng.integers(0, 3))
        fast.mid(now_ns, float(10 ** rng.uniform(-15, 15)))
        assert all(map(math.isfinite, fast.estimate(now_ns, 1.0, 10.0)))
    assert all(map(math.isfinite, fast.estimate(now_ns)))


def test_nothing_seen_is_no_estimate():
    assert Fast().estimate(0) == (0.0, 0.0, 0.0, 0.0)
    fast = Fast()
    fast.mid(5 * S, 61_700.0)
    assert fast.estimate(6 * S) == (0.0, 0.0, 0.0, 0.0)
