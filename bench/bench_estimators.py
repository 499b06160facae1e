"""The estimates of sigma, A and k: what a book change, a trade and an estimate cost a compiled loop.

A regression means that each turn of the strategy takes longer: the first two are paid for every message of the market,
the last whenever quotes are made anew. None of them depends on how much has been seen before. Fitting the same hour of
observations from a list shows what keeping sums saves.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from _harness import Figures, contest, pinned, scaled, two_cores

from mftpy.model.estimate import estimate
from mftpy.model.estimator import Estimator
from mftpy.model.intensity import observe_mid, observe_print
from mftpy.model.volatility import sample_mid
from mftpy.settings import Estimation

STEP_NS = 5_000_000  # 200 changes of the book a second
SEED = 1
Array = npt.NDArray[Any]


@numba.njit(error_model="numpy")
def mids(volatility: Array, sampling: Array, intensity: Array, observing: Array, prices: Array, start_ns: int) -> None:
    """Take note of a mid, for both estimates."""
    for i in range(len(prices)):
        now_ns = start_ns + i * STEP_NS
        sample_mid(volatility, sampling, now_ns, prices[i])
        observe_mid(intensity, observing, now_ns, prices[i], prices[i] - 10.0, prices[i] + 10.0)


@numba.njit(error_model="numpy")
def prints(intensity: Array, observing: Array, prices: Array, start_ns: int) -> None:
    """Take note of a trade, of either side in turn."""
    for i in range(len(prices)):
        side = 1 - 2 * (i & 1)
        observe_print(intensity, observing, start_ns + i, prices[i] + 5.0 * side, 0.1, side, 0, 0)


@numba.njit(error_model="numpy")
def estimates(
    volatility: Array,
    sampling: Array,
    intensity: Array,
    observing: Array,
    blending: Array,
    out: Array,
    now_ns: int,
    n: int,
) -> float:
    """Estimate all five values; the price changes so that nothing is found before it is asked for."""
    total = 0.0
    for i in range(n):
        estimate(volatility, sampling, intensity, observing, blending, now_ns, 61_700.0 + i, out)
        total += out[0].value
    return total


class Market:
    """An estimator that has seen an hour of a market, and the prices that follow."""

    def __init__(self) -> None:
        self.estimator = Estimator(Estimation(), 0.1)
        rng = np.random.default_rng(SEED)
        n = scaled(36_000, 3600)
        self.prices = 61_700.0 + np.cumsum(rng.normal(0.0, 8.0 * math.sqrt(0.1), n))
        for i, price in enumerate(self.prices.tolist()):
            self.estimator.on_mid(i * 100_000_000, price)
            for sign in (-1, 1):
                if rng.random() < 0.055:
                    self.estimator.on_print(i * 100_000_000 + 1, price + sign * float(rng.exponential(4.0)), 0.1, sign)
        self.now_ns = n * 100_000_000
        self.runs = np.full(1000, self.prices[-1])

    def arrays(self) -> tuple[Array, ...]:
        e = self.estimator
        return e.volatility, e.sampling, e.intensity, e.observing, e.blending, e.estimates


def per_call(run: Callable[[int], Any], calls: int) -> Figures:
    """Return the ns of one of the `calls` in a run: the median over runs. `run` is told how many there were before."""
    spans = []
    with pinned(two_cores()[0]):
        for number in range(-2, scaled(200, 20)):
            start = time.perf_counter_ns()
            run(number + 2)
            if number >= 0:
                spans.append(time.perf_counter_ns() - start)
    return {"ns": float(np.median(spans)) / calls, "p99_ns": float(np.percentile(spans, 99)) / calls}


def book_change() -> Figures:
    market = Market()
    arrays, span_ns = market.arrays()[:4], 1000 * STEP_NS
    return per_call(lambda number: mids(*arrays, market.runs, market.now_ns + number * span_ns), 1000)


def trade() -> Figures:
    market = Market()
    arrays, span_ns = market.arrays()[2:4], 1000
    return per_call(lambda number: prints(*arrays, market.runs, market.now_ns + number * span_ns), 1000)


def five_estimates() -> Figures:
    market = Market()
    arrays = market.arrays()
    return per_call(lambda _: estimates(*arrays, market.now_ns, 20), 20)


def from_a_list() -> Figures:
    """A and k of both sides by Newton's steps over all reaches, sigma from all samples, with NumPy."""
    rng = np.random.default_rng(SEED)
    reaches = [rng.exponential(0.65, 1500) for _ in range(2)]
    moves = rng.normal(0.0, 8.0, 3600)
    ages = np.arange(3600.0)

    def run(_: int) -> None:
        weights = 0.5 ** (ages / 300.0)
        math.sqrt(np.sum(weights * moves**2) / np.sum(weights))
        for reach in reaches:
            w = 0.5 ** (np.linspace(1.0, 0.0, len(reach)))
            k, span = 1.0, 2.85
            for _ in range(6):
                inside = reach < span
                n, s = np.sum(w[inside]), np.sum(w[inside] * reach[inside])
                tail = math.exp(k * span) - 1.0
                k += (n / k - s - n * span / tail) / (n / k**2 - n * span**2 * (tail + 1.0) / tail**2)

    return per_call(run, 1)


@pytest.mark.benchmark(group="estimators")
def bench_estimators(benchmark: Any) -> None:
    """Each from a compiled loop, as the strategy has it."""
    contestants = {
        "mftpy book change": book_change,
        "mftpy trade": trade,
        "mftpy five estimates": five_estimates,
        "NumPy, five estimates from lists": from_a_list,
    }
    contest(benchmark, "estimates: one call, ns", contestants, key="ns")
