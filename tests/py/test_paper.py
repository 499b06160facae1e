"""The experiment of 2008: within four combined standard errors of an independent simulation, and of exact moments."""

import math

import numpy as np
import pytest

from mftpy.model import glft, glft_exact, paper
from mftpy.model.avellaneda_stoikov import Refusal, quote
from mftpy.model.glft import stationary_std_clips
from mftpy.model.paper import DT, HORIZON, PRINTED, REFERENCE, SIGMA, STEPS, A, K, Result, Row, Tables, run, tables

PATHS = 20_000
MOVE = SIGMA * math.sqrt(DT)


def far(result, expected, expected_error):
    """Names of the numbers that are more than four combined standard errors away (the spread: half a printed digit)."""
    found = [] if abs(result.row.spread - expected.spread) <= 0.5e-3 else ["spread"]
    for name in Row._fields[1:]:
        error = math.hypot(getattr(result.error, name), getattr(expected_error, name))
        if abs(getattr(result.row, name) - getattr(expected, name)) > 4 * error:
            found.append(name)
    return found


def reference(gamma, strategy):
    row, confidence = REFERENCE[gamma][strategy]
    return row, Row(*[half / 1.96 for half in confidence])


EXACTLY = Row(0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module", params=[0.1, 0.01])
def experiment(request):
    return request.param, paper.experiment(request.param, PATHS, 1)


def test_the_inventory_strategy_is_that_of_the_reference_and_of_the_paper(experiment):
    gamma, found = experiment
    assert far(found.inventory, *reference(gamma, "inventory")) == []
    printed = PRINTED[gamma]["inventory"]
    assert found.inventory.row.profit == pytest.approx(printed.profit, abs=1.0)
    assert found.inventory.row.std_q == pytest.approx(printed.std_q, abs=0.7)
    assert found.inventory.row.spread == pytest.approx(printed.spread, abs=0.02)


def test_the_symmetric_strategy_has_its_exact_moments(experiment):
    gamma, found = experiment
    exact = paper.symmetric_moments(gamma)
    assert far(found.symmetric, exact, EXACTLY) == []
    printed = {0.1: (0.7459, 68.223, 13.456, 8.399), 0.01: (0.6745, 68.666, 13.677, 8.712)}
    half, profit, std_profit, std_q = printed[gamma]
    assert exact.spread / 2 == pytest.approx(half, abs=0.5e-4)
    assert exact.profit == pytest.approx(profit, abs=0.5e-3)
    assert exact.std_profit == pytest.approx(std_profit, abs=0.5e-3)
    assert exact.std_q == pytest.approx(std_q, abs=0.5e-3)


def test_the_paper_s_deviation_of_the_symmetric_profit_is_not_met():
    """A known discrepancy of the print: an implementation that met it would be wrong."""
    for gamma, rows in PRINTED.items():
        assert rows["symmetric"].std_profit < paper.symmetric_moments(gamma).std_profit - 0.7


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    one, again, other = (paper.experiment(0.1, 1500, seed) for seed in (5, 5, 6))
    assert one == again
    assert one.inventory.row.profit != other.inventory.row.profit


def test_a_fill_is_certain_at_most():
    below = np.array([[-1.0, 0.0, np.inf]])
    made = tables(below, below, A, K, DT)
    assert made.bid_fill.tolist() == [[1.0, A * DT, 0.0]]
    assert made.bid_distance.tolist() == [[-1.0, 0.0, 0.0]]


@pytest.mark.parametrize("gamma", [math.nan, math.inf, 0.0, -1.0])
def test_a_gamma_that_is_none_is_refused(gamma):
    assert paper.experiment(gamma, 10, 1) is Refusal.GAMMA
    assert paper.experiment(1e308, 10, 1) is Refusal.RESULT


@pytest.mark.parametrize("gamma", [1e-300, 1e-6, 5.0, 1e6, 1e100])
def test_any_other_gamma_gives_finite_numbers(gamma):
    found = paper.experiment(gamma, 20, 1)
    assert all(math.isfinite(value) for result in found for row in result for value in row)


# the closed form and the exact solution in the same world


def constant(bids, asks):
    """Tables of quotes that do not change with time, at every inventory that the steps can lead to."""
    return tables(np.array([bids]), np.array([asks]), A, K, DT)


def test_the_closed_form_of_2013_does_better_at_this_gamma_and_as_in_the_reference():
    terms = [glft.quote(100.0, float(n), 0.1, 1.0, SIGMA, A, K, 0.0, 0.1, 0.0) for n in range(-STEPS, STEPS + 1)]
    closed = constant([100.0 - t.bid for t in terms], [t.ask - 100.0 for t in terms])
    bids, asks = np.empty((STEPS, 61)), np.empty((STEPS, 61))
    for t in range(STEPS):
        glft_exact.distances(0.1, 1.0, SIGMA, A, K, 0.0, HORIZON - DT * t, False, 0.0, bids[t], asks[t])
    found, exact = run([closed, tables(bids, asks, A, K, DT)], PATHS, STEPS, MOVE, 2)
    half = 0.10 / 1.96
    errors = Row(0.0, half, half / math.sqrt(2), 0.04, 0.02)  # those of the profit are given, the others by its size
    assert far(found, Row(1.342, 67.79, 7.14, 0.0, 2.22), errors) == []
    assert exact.row.spread == pytest.approx(1.338, abs=1e-3)  # it varies with the inventory
    assert far(exact._replace(row=exact.row._replace(spread=1.338)), Row(1.338, 67.87, 7.20, 0.0, 3.12), errors) == []


def stationary_std(strength):
    """Standard deviation of the inventory after five relaxation times, found and expected; BTC-like parameters."""
    gamma, clip, sigma, rate, k = 0.04, 0.01, 8.0, 0.55, 0.25
    terms = [
        glft.quote(61700.0, strength * clip * n, gamma, clip, sigma, rate, k, 0.0, gamma, 0.0) for n in range(-60, 61)
    ]
    bids, asks = [t.model_half + t.skew for t in terms], [t.model_half - t.skew for t in terms]
    dt = 0.1  # one fill in fifty steps and side
    (found,) = run([tables(np.array([bids]), np.array([asks]), rate, k, dt)], 4000, 1000, sigma * math.sqrt(dt), 3)
    one_clip = glft.quote(61700.0, clip, gamma, clip, sigma, rate, k, 0.0, gamma, 0.0)
    return found.row.std_q, stationary_std_clips(one_clip.skew, k)


def test_the_inventory_of_the_closed_loop_is_the_stationary_one():
    found, expected = stationary_std(1.0)
    assert found == pytest.approx(expected, rel=0.06)


def test_a_skew_of_a_wrong_strength_leads_to_another_inventory():
    found, expected = stationary_std(0.5)
    assert abs(found / expected - 1) > 0.2


# wrong experiments: each plausible, each seen


def inventory_tables(formula):
    """Tables from a function of the time left, which returns what a clip adds to each distance, and half the spread."""
    n = np.arange(-STEPS, STEPS + 1)
    bids, asks = (np.empty((STEPS, 2 * STEPS + 1)) for _ in range(2))
    for t in range(STEPS):
        bid_skew, ask_skew, half = formula(HORIZON - DT * t)
        bids[t], asks[t] = half + bid_skew * n, half + ask_skew * n
    return tables(bids, asks, A, K, DT)


def skew_and_half(left, sigma=SIGMA):
    terms = quote(100.0, 1.0, 0.1, 1.0, sigma, K, 0.0, left)
    return terms.skew, terms.model_half


def right(left):
    skew, half = skew_and_half(left)
    return skew, -skew, half


def log_returns(left):
    skew, half = skew_and_half(left, SIGMA / 100)
    return skew, -skew, half


def not_squared(left):
    skew, half = skew_and_half(left, math.sqrt(SIGMA))
    return skew, -skew, half


def total_on_each_side(left):
    skew, half = skew_and_half(left)
    return skew, -skew, 2 * half


def widening(left):
    skew, half = skew_and_half(left)
    return skew, skew, half


def wrong_sign(left):
    skew, half = skew_and_half(left)
    return -skew, skew, half


def whole_horizon(left):
    skew, half = skew_and_half(HORIZON)
    return skew, -skew, half


def judged(strategy, paths=4000):
    (found,) = run([strategy], paths, STEPS, MOVE, 4)
    return far(found, *reference(0.1, "inventory"))


def test_the_judge_of_wrong_experiments_accepts_the_right_one():
    assert judged(inventory_tables(right)) == []
    ours, theirs = inventory_tables(right), paper.inventory_tables(0.1)
    assert np.allclose(ours.bid_distance, theirs.bid_distance, rtol=0, atol=1e-12)
    assert np.allclose(ours.ask_distance, theirs.ask_distance, rtol=0, atol=1e-12)


@pytest.mark.parametrize("formula", [log_returns, not_squared, total_on_each_side, widening, wrong_sign, whole_horizon])
def test_a_wrong_but_plausible_formula_is_seen(formula):
    assert len(judged(inventory_tables(formula))) >= 2


def test_the_chance_of_a_fill_in_continuous_time_is_seen_to_be_another_experiment():
    made = paper.inventory_tables(0.1)
    other = made._replace(bid_fill=1 - np.exp(-made.bid_fill), ask_fill=1 - np.exp(-made.ask_fill))
    (found,) = run([other], 4000, STEPS, MOVE, 4)
    assert found.row.profit == pytest.approx(57.20, abs=0.5)
    assert "profit" in far(found, *reference(0.1, "inventory"))


def test_one_random_number_for_both_sides_is_seen():
    class Twins(np.random.Generator):
        """Bid and ask draw the same."""

        def random(self, *arguments):
            drawn = super().random(*arguments)
            drawn[:, :, 1] = drawn[:, :, 0]
            return drawn

    strategy = paper.symmetric_tables(0.1)
    uniform = Twins(np.random.PCG64(4)).random((4000, STEPS, 3))
    profit, inventory, spread = (np.empty(4000) for _ in range(3))
    paper.simulate(*strategy, 100.0, MOVE, uniform, profit, inventory, spread)
    assert inventory.std() < 0.5 * paper.symmetric_moments(0.1).std_q


def test_a_quote_of_the_state_after_the_move_is_seen():
    """Fills at the moved price: what the kernel does when its order is changed, in plain Python."""
    strategy = paper.symmetric_tables(0.1)
    uniform = np.random.Generator(np.random.PCG64(4)).random((200, STEPS, 3))
    assert plain(strategy, uniform, ahead=False) == compiled(strategy, uniform)
    assert plain(strategy, uniform, ahead=True) != compiled(strategy, uniform)


def plain(strategy: Tables, uniform, *, ahead):
    """The experiment once more, as the text says it."""
    profits = []
    for path in uniform:
        s, cash, n = 100.0, 0.0, 0
        for t, (for_ask, for_bid, for_price) in enumerate(path):
            row, place = min(t, len(strategy.bid_fill) - 1), n + STEPS
            move = MOVE if for_price < 0.5 else -MOVE
            base = s + move if ahead else s
            if for_ask < strategy.ask_fill[row, place]:
                n, cash = n - 1, cash + (base + strategy.ask_distance[row, place])
            if for_bid < strategy.bid_fill[row, place]:
                n, cash = n + 1, cash - (base - strategy.bid_distance[row, place])
            s += move
        profits.append(cash + n * s)
    return profits


def compiled(strategy: Tables, uniform):
    profit, inventory, spread = (np.empty(len(uniform)) for _ in range(3))
    paper.simulate(*strategy, 100.0, MOVE, uniform, profit, inventory, spread)
    return profit.tolist()


def test_standard_errors_are_those_of_repeated_runs():
    strategy = paper.inventory_tables(0.1)
    many = [run([strategy], 200, STEPS, MOVE, seed)[0] for seed in range(100)]
    for name in Row._fields[1:]:
        of_runs = np.std([getattr(result.row, name) for result in many])
        assert np.mean([getattr(result.error, name) for result in many]) == pytest.approx(of_runs, rel=0.25), name


def test_a_result_names_its_numbers():
    found = paper.experiment(0.1, 2, 1).inventory
    assert isinstance(found, Result)
    assert found.error.spread == 0.0
    assert Row._fields == ("spread", "profit", "std_profit", "mean_q", "std_q")
