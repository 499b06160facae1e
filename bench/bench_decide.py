"""One decision: ten levels of book a side in, five quotes a side out, the model called by its address.

A regression means that every change of the book takes the strategy longer. The model of two constants shows what the
decision costs around the model; the difference to the built-in ones is theirs. Each is a call from Python, with some
tens of ns of Python in it, with four orders of ours in the book.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from _harness import Figures, contest, pinned, scaled, two_cores

from mftcore import LEVEL
from mftpy.config import load
from mftpy.model.builtin import MODELS
from mftpy.model.by_address import compile_model
from mftpy.strategy.decide import Quoter
from mftpy.strategy.parameters import parameters

LEVELS = 10
CALLS = 100


def constant(x: Any, out: Any) -> None:
    """Answer five quotes a side at once."""
    out.n_bids = 5
    out.n_asks = 5
    for i in range(5):
        out.bid_price[i] = x.fair - 10.0 - i
        out.ask_price[i] = x.fair + 10.0 + i


def decisions(model: Callable[[Any, Any], None]) -> Figures:
    """Return the ns of a decision: the median over runs, and of the slowest of a hundred runs."""
    code = compile_model(model)
    q = Quoter(parameters(load(None, {"quoting.levels": 5}), 1.0, 0.001), code.address, code)
    q.account["ready"], q.account["n_own"] = 1, 4
    q.account["own_side"][0, :4] = [1, 1, -1, -1]
    q.account["own_lots"][0, :4] = 10
    bids, asks = np.zeros(LEVELS, LEVEL), np.zeros(LEVELS, LEVEL)
    bids["price_ticks"], asks["price_ticks"] = 61_699 - np.arange(LEVELS), 61_701 + np.arange(LEVELS)
    bids["size_lots"] = asks["size_lots"] = 1000
    q.account["own_ticks"][0, :4] = [61_699, 61_693, 61_701, 61_707]
    now_ns, decide, spans = 10**12, q.decide, []
    q.transport_ns = now_ns
    q.observe_book(bids, asks, LEVELS, LEVELS, now_ns)
    with pinned(two_cores()[0]):
        for number in range(-2, scaled(2000, 100)):
            start = time.perf_counter_ns()
            for _ in range(CALLS):
                decide(now_ns)
            if number >= 0:
                spans.append(time.perf_counter_ns() - start)
    d = q.decision[0]
    assert (d["n_bids"], d["n_asks"], d["x"]["n_bids"]) == (5, 5, LEVELS)
    return {"ns": float(np.median(spans)) / CALLS, "p99_ns": float(np.percentile(spans, 99)) / CALLS}


@pytest.mark.benchmark(group="decide")
def bench_decide(benchmark: Any) -> None:
    """One after the other on the same core."""
    contestants = {
        "mftpy, avellaneda_stoikov": lambda: decisions(MODELS["avellaneda_stoikov"]),
        "mftpy, glft": lambda: decisions(MODELS["glft"]),
        "mftpy, a model of two constants": lambda: decisions(constant),
    }
    contest(benchmark, "decide: one decision, ns", contestants, key="ns")
