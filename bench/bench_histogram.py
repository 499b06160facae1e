"""The latency histogram: what it costs to record one value.

A regression means that measuring disturbs what is measured: every hop records at least one value per message.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
from _harness import Figures, c_program, contest, in_runs, pinned, scaled, two_cores

from mftcore import Histogram

VALUES = 1024
SEED = 1


@pytest.mark.benchmark(group="histogram")
def bench_record(benchmark: Any) -> None:
    """One value per call; and arrays of 1,024 values, per value."""
    here, other = two_cores()
    contestants = {
        "C record": partial(c_program, "bench_book.c", "histogram", 64, "idle", scaled(1_000_000, 6400), here, other),
        "mftcore record": one_value,
        "mftcore record_many, 1,024 values": many_values,
    }
    contest(benchmark, "histogram, one value recorded, ns", contestants, key="ns")


def one_value() -> Figures:
    with Histogram.create() as histogram, histogram.recorder() as recorder, pinned(two_cores()[0]):
        record = recorder.record
        return in_runs(lambda: record(1234), scaled(200_000, 6400))


def many_values() -> Figures:
    values = np.random.default_rng(SEED).integers(500, 2500, VALUES)
    with Histogram.create() as histogram, histogram.recorder() as recorder, pinned(two_cores()[0]):
        record_many = recorder.record_many
        found = in_runs(lambda: record_many(values), scaled(3_000, 640))
        return {**found, "ns": found["ns"] / VALUES}
