"""A model called by its address from a compiled loop, as the strategy calls it: 10 levels of the book in, quotes out.

A regression means that every decision takes longer. Each call is made with another position, so that nothing is known
beforehand; `out` is not zeroed here, the caller does that. What the guard around a user's function costs is the
difference between the two with and without it. The same function uncompiled shows what compiling saves.
"""

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from _harness import Figures, contest, pinned, scaled, two_cores

from mftpy.model.avellaneda_stoikov import quote, stationary_horizon_s
from mftpy.model.builtin import MODELS
from mftpy.model.by_address import compile_model
from mftpy.model.own import find
from mftpy.model.plain import PlainRecord, blank_output, example_input

CALLS = 1000
Array = npt.NDArray[Any]


@numba.njit(error_model="numpy")
def by_address(model: Any, x: Array, out: Array, x_address: int, out_address: int) -> float:
    """Call a model `CALLS` times; returns what depends on every answer."""
    total = 0.0
    for i in range(CALLS):
        x[0].position = 1e-3 * (i & 63)
        total += model(x_address, out_address) + out[0].bid_price[0]
    return total


@numba.njit(error_model="numpy")
def the_formula(x: Array) -> float:
    """The formula alone, without records."""
    total = 0.0
    m = x[0]
    for i in range(CALLS):
        m.position = 1e-3 * (i & 63)
        horizon_s = stationary_horizon_s(m.gamma, m.clip, m.sigma, m.A_bid, m.k_bid, m.fee)
        total += quote(m.fair, m.position, m.gamma, m.clip, m.sigma, m.k_bid, m.fee, horizon_s).bid
    return total


def per_call(run: Any, calls: int) -> Figures:
    """Return the ns of one of the `calls` in a run: the median and the 99th percentile over runs."""
    spans = []
    with pinned(two_cores()[0]):
        for number in range(-2, scaled(400, 20)):
            start = time.perf_counter_ns()
            run()
            if number >= 0:
                spans.append(time.perf_counter_ns() - start)
    return {"ns": float(np.median(spans)) / calls, "p99_ns": float(np.percentile(spans, 99)) / calls}


def compiled(function: Any, levels: int) -> Figures:
    model = compile_model(function)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_size_t, ctypes.c_size_t)(model.address)
    x, out = inputs(levels), blank_output()
    addresses = x.array.ctypes.data, out.array.ctypes.data
    figures = per_call(lambda: by_address(call, x.array, out.array, *addresses), CALLS)
    assert out.n_bids == out.n_asks == levels
    return figures


def inputs(levels: int) -> PlainRecord:
    return example_input(levels=levels, imbalance=0.3, parameter=[3.0, 0, 0, 0, 0, 0, 0, 0])


def example() -> Any:
    """Return the documentation's model: a user's own, with the guard, on top of a built-in one."""
    directory = str(Path(__file__).resolve().parents[1] / "docs" / "examples" / "own_model")
    if directory not in sys.path:
        sys.path.append(directory)
    return find("imbalance:quote")


def uncompiled() -> Figures:
    x, out, model = inputs(5), blank_output(), example()
    return per_call(lambda: model(x, out), 1)


def formula() -> Figures:
    array = inputs(1).array
    return per_call(lambda: the_formula(array), CALLS)


@pytest.mark.benchmark(group="model")
def bench_model(benchmark: Any) -> None:
    """One call of each."""
    contestants = {
        "Avellaneda-Stoikov, stationary, 1 level": lambda: compiled(MODELS["avellaneda_stoikov"], 1),
        "Avellaneda-Stoikov, stationary, 5 levels": lambda: compiled(MODELS["avellaneda_stoikov"], 5),
        "GLFT, 5 levels": lambda: compiled(MODELS["glft"], 5),
        "the example of a user's own, 5 levels": lambda: compiled(example(), 5),
        "the formula of the first alone, in a loop": formula,
        "the example, in plain Python": uncompiled,
    }
    contest(benchmark, "model: one call, ns", contestants, key="ns")
