"""The experiment of Avellaneda and Stoikov (2008), section 3.3, repeated: what the model promises, in its own world.

Prices in any unit, one unit of time for the whole, clips of 1: s = 100, T = 1, sigma = 2, k = 1.5, A = 140, 200 steps,
no inventory at first. In every step the quotes are those of the state at its beginning; with probability
``A exp(-k d) dt``, at most 1, the ask is filled, independently the bid; then the price moves by ``sigma sqrt(dt)`` up
or down. Profit is cash plus inventory at the last price. (A fill in continuous time has ``1 - exp(-A exp(-k d) dt)``,
which is right physics and another experiment: the profit is 57 in place of 65.)

"Inventory" quotes by the model of 2008 with the time that is left. "Symmetric" quotes the average of that strategy's
spread (over the 200 beginnings of steps), always, around the price.

Sources: Avellaneda and Stoikov, Quantitative Finance 8(3) 217-224 (2008), tables 1 and 2 (`PRINTED`). `REFERENCE` is an
independent simulation of 20,000 paths. The moments of the symmetric strategy are exact: fills are independent of
everything.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftpy.model.avellaneda_stoikov import Refusal, quote, total_spread
from mftpy.model.compiled import compiled

PRICE: Final = 100.0
HORIZON: Final = 1.0
SIGMA: Final = 2.0
K: Final = 1.5
A: Final = 140.0
STEPS: Final = 200
DT: Final = HORIZON / STEPS

_CHUNK: Final = 1000  # paths whose random numbers are held at once: 5 MB


class Row(NamedTuple):
    """One line of the tables, in units of price and clips."""

    spread: float
    profit: float
    std_profit: float
    mean_q: float
    std_q: float


class Result(NamedTuple):
    """One strategy's line, and the standard error of each number (0 for the spread of quotes that are not random)."""

    row: Row
    error: Row


class Experiment(NamedTuple):
    """Both strategies, simulated with the same random numbers."""

    inventory: Result
    symmetric: Result


PRINTED: Final = {
    0.1: {"inventory": Row(1.49, 65.0, 6.6, 0.08, 2.9), "symmetric": Row(1.49, 68.4, 12.7, 0.26, 8.4)},
    0.01: {"inventory": Row(1.35, 68.6, 8.7, 0.12, 5.1), "symmetric": Row(1.35, 68.8, 12.8, 0.09, 8.7)},
}
"""The paper's lines by gamma, of 1000 paths; the standard deviation of the symmetric profit is printed too low."""

REFERENCE: Final = {
    0.1: {
        "inventory": (Row(1.492, 64.87, 6.54, 0.01, 2.91), Row(0.0, 0.09, 0.06, 0.04, 0.03)),
        "symmetric": (Row(1.492, 68.16, 13.48, 0.00, 8.36), Row(0.0, 0.19, 0.20, 0.12, 0.08)),
    },
    0.01: {
        "inventory": (Row(1.349, 68.43, 9.05, -0.04, 5.26), Row(0.0, 0.13, 0.10, 0.07, 0.05)),
        "symmetric": (Row(1.349, 68.59, 13.58, 0.05, 8.63), Row(0.0, 0.19, 0.19, 0.12, 0.08)),
    },
}
"""Lines by gamma of an independent simulation of 20,000 paths, and half of their 95 % confidence intervals."""


class Tables(NamedTuple):
    """What a strategy does in every state: probabilities of a fill within a step, and distances from the price.

    A side that is not quoted has both 0, so a spread that is averaged over such states means little.

    Arrays of float64, shape (steps, 2N + 1): at inventory n in column n + N, at step t in row t; the last row goes on.
    """

    bid_fill: NDArray[np.float64]
    ask_fill: NDArray[np.float64]
    bid_distance: NDArray[np.float64]
    ask_distance: NDArray[np.float64]


def tables(
    bid_distance: NDArray[np.float64], ask_distance: NDArray[np.float64], intensity: float, k: float, dt: float
) -> Tables:
    """Return the tables of quotes at these distances; an infinite distance is never filled.

    Parameters
    ----------
    bid_distance, ask_distance : ndarray of float64, shape (steps, 2N + 1)
    intensity : float
        Fills per unit of time and side at the price itself.
    k : float
        Decay of that rate with the distance.
    dt : float
        Length of a step.
    """
    with np.errstate(over="ignore"):  # far beyond the price a fill is certain
        fills = [np.minimum(intensity * dt * np.exp(-k * side), 1.0) for side in (bid_distance, ask_distance)]
    # never filled, and the kernel must not multiply by infinity
    finite = [np.where(np.isfinite(side), side, 0.0) for side in (bid_distance, ask_distance)]
    return Tables(fills[0], fills[1], finite[0], finite[1])


@compiled
def simulate(
    bid_fill: NDArray[np.float64],
    ask_fill: NDArray[np.float64],
    bid_distance: NDArray[np.float64],
    ask_distance: NDArray[np.float64],
    price: float,
    move: float,
    uniform: NDArray[np.float64],
    profit: NDArray[np.float64],
    inventory: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    """Run paths of a strategy.

    Parameters
    ----------
    bid_fill, ask_fill, bid_distance, ask_distance : ndarray of float64, shape (rows, 2N + 1)
        `Tables`, N at least the number of steps.
    price : float
        At the beginning.
    move : float
        What the price moves by in a step, up or down.
    uniform : ndarray of float64, shape (paths, steps, 3)
        Between 0 and 1: for the ask, the bid, and the price.
    profit, inventory, spread : ndarray of float64, shape (paths,)
        Filled: money at the end, clips at the end, mean of ask less bid over the steps.
    """
    paths, steps, _ = uniform.shape
    rows, places = bid_fill.shape
    middle = (places - 1) // 2
    for path in range(paths):
        s = price
        cash = 0.0
        n = 0
        total = 0.0
        for t in range(steps):
            row = min(t, rows - 1)
            place = min(max(n + middle, 0), places - 1)
            above = ask_distance[row, place]
            below = bid_distance[row, place]
            total += above + below
            if uniform[path, t, 0] < ask_fill[row, place]:
                n -= 1
                cash += s + above
            if uniform[path, t, 1] < bid_fill[row, place]:
                n += 1
                cash -= s - below
            s += move if uniform[path, t, 2] < 0.5 else -move
        profit[path] = cash + n * s
        inventory[path] = n
        spread[path] = total / steps


def run(strategies: list[Tables], paths: int, steps: int, move: float, seed: int) -> list[Result]:
    """Run every strategy on the same random numbers.

    Parameters
    ----------
    strategies : list of Tables
    paths : int
        At least 2.
    steps : int
    move : float
        What the price moves by in a step.
    seed : int
        The same seed gives the same numbers, bit for bit.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    profit, inventory, spread = (np.empty((len(strategies), paths)) for _ in range(3))
    for first in range(0, paths, _CHUNK):
        chunk = slice(first, min(first + _CHUNK, paths))
        uniform = random.random((chunk.stop - first, steps, 3))
        for i, strategy in enumerate(strategies):
            simulate(*strategy, PRICE, move, uniform, profit[i, chunk], inventory[i, chunk], spread[i, chunk])
    return [_result(*arrays) for arrays in zip(profit, inventory, spread, strict=True)]


def _result(profit: NDArray[np.float64], inventory: NDArray[np.float64], spread: NDArray[np.float64]) -> Result:
    row = Row(float(spread.mean()), float(profit.mean()), _std(profit), float(inventory.mean()), _std(inventory))
    root = math.sqrt(len(profit))
    varies = float(np.ptp(spread)) > 1e-9 * row.spread  # by more than rounding
    error = Row(
        _std(spread) / root if varies else 0.0,
        row.std_profit / root,
        _std_error(profit),
        row.std_q / root,
        _std_error(inventory),
    )
    return Result(row, error)


def _std(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1))


def _std_error(values: NDArray[np.float64]) -> float:
    """Standard error of a standard deviation, from the fourth moment: the law of the profit has heavier tails."""
    square = (values - values.mean()) ** 2
    variance = float(square.mean())
    return float(square.std()) / (2.0 * math.sqrt(variance * len(values))) if variance > 0.0 else 0.0


def average_half(gamma: float) -> float:
    """Half of the inventory strategy's spread, averaged over the beginnings of the steps."""
    return 0.5 * sum(total_spread(gamma, 1.0, SIGMA, K, HORIZON - DT * t) for t in range(STEPS)) / STEPS


def inventory_tables(gamma: float) -> Tables | None:
    """Return what the model of 2008 quotes in every state; None when it quotes nothing in one."""
    bids, asks = (np.empty((STEPS, 2 * STEPS + 1)) for _ in range(2))
    for t in range(STEPS):
        for n in range(-STEPS, STEPS + 1):
            terms = quote(PRICE, float(n), gamma, 1.0, SIGMA, K, 0.0, HORIZON - DT * t)
            if terms.refusal:
                return None
            bids[t, n + STEPS] = terms.model_half + terms.skew
            asks[t, n + STEPS] = terms.model_half - terms.skew
    return tables(bids, asks, A, K, DT)


def symmetric_tables(gamma: float) -> Tables:
    """Return the quotes at a constant distance."""
    flat = np.full((1, 2 * STEPS + 1), average_half(gamma))
    return tables(flat, flat, A, K, DT)


def symmetric_moments(gamma: float) -> Row:
    """Exact expectation and standard deviations of the symmetric strategy."""
    half = average_half(gamma)
    p = min(A * math.exp(-K * half) * DT, 1.0)
    fills = 2 * STEPS * p * (1.0 - p)  # variance of bids and of asks, together
    held = SIGMA * SIGMA * DT * p * (1.0 - p) * STEPS * (STEPS + 1)
    return Row(2 * half, 2 * STEPS * p * half, math.sqrt(fills * half * half + held), 0.0, math.sqrt(fills))


def experiment(gamma: float, paths: int, seed: int) -> Experiment | Refusal:
    """Run the experiment.

    Parameters
    ----------
    gamma : float
        Risk aversion per unit of price and clip, positive.
    paths : int
        At least 2; the paper has 1000.
    seed : int

    Returns
    -------
    Experiment or Refusal
        The latter for a gamma that gives no quote in some state.
    """
    inventory = inventory_tables(gamma)
    if inventory is None:
        return Refusal.GAMMA if not (math.isfinite(gamma) and gamma > 0.0) else Refusal.RESULT
    both = [inventory, symmetric_tables(gamma)]
    return Experiment(*run(both, paths, STEPS, SIGMA * math.sqrt(DT), seed))
