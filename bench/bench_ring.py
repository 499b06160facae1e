"""The ring: what the hand-over of one record costs at each level, beside C rings and beside other Python transports.

A regression of the round trip means that the hand-over of one record between two processes got dearer, in C or at the
Python boundary: compare the level that got worse with the C rows of the same run. A regression of the throughputs means
that a burst of calls costs more: call overhead, or the two index lines move between the cores too often.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from _harness import Figures, c_program, contest, in_runs, pinned, scaled, two_cores
from _nopython_ways import RingNumba
from _peers import PEERS, FasterFifoBatch
from _ways import OURS, RingBatch, RingBound, RingBytes, RingInto, Way

from mftcore import SpscRing

SIZES = pytest.mark.parametrize("record_bytes", [64, 1024])
Contestants = dict[str, Callable[[], Figures]]


def ours(record_bytes: int) -> tuple[type[Way], ...]:
    """Return our ways. Numba compiles for each record anew, so it takes part with one size."""
    return (*OURS, RingNumba) if record_bytes == 64 else OURS


def from_c(ring: str, measure: str, record_bytes: int, count: int) -> Callable[[], Figures]:
    here, other = two_cores()
    return partial(
        c_program, "bench_ring.c", ring, measure, scaled(count, 1000), here, other, define=f"RECORD={record_bytes}"
    )


@pytest.mark.benchmark(group="ring")
@SIZES
def bench_round_trip(benchmark: Any, record_bytes: int) -> None:
    """A sends a record, B on another core sends it back, A has it. "mftcore" and "C" rows spin, as iceoryx2 does."""
    contestants: Contestants = {
        "C ring": from_c("ours", "round_trip", record_bytes, 50_000),
        "C ring, claim": from_c("ours", "round_trip_claim", record_bytes, 50_000),
        "C rigtorp's design rebuilt, copied": from_c("cached", "round_trip", record_bytes, 50_000),
        "C rigtorp's design rebuilt": from_c("cached", "round_trip_claim", record_bytes, 50_000),
        "C sequence in the slot": from_c("inslot", "round_trip", record_bytes, 50_000),
    }
    contestants |= {way.name: way(record_bytes).round_trip for way in (*ours(record_bytes), *PEERS)}
    contest(benchmark, f"round trip, {record_bytes}-byte records, ns", contestants, key="p50")


@pytest.mark.benchmark(group="ring")
@SIZES
def bench_throughput(benchmark: Any, record_bytes: int) -> None:
    """One way, as fast as both can, 1,024 records of room."""
    contestants: Contestants = {
        "C ring": from_c("ours", "throughput", record_bytes, 1_000_000),
        "C ring, claim": from_c("ours", "throughput_claim", record_bytes, 1_000_000),
        "C ring, batches of 64": from_c("ours", "throughput_batch", record_bytes, 3_200_000),
        "C rigtorp's design rebuilt, copied": from_c("cached", "throughput", record_bytes, 1_000_000),
        "C rigtorp's design rebuilt": from_c("cached", "throughput_claim", record_bytes, 1_000_000),
        "C sequence in the slot": from_c("inslot", "throughput", record_bytes, 1_000_000),
    }
    contestants |= {
        way.name: way(record_bytes).throughput for way in (*ours(record_bytes), RingBatch, *PEERS, FasterFifoBatch)
    }
    contest(benchmark, f"throughput, {record_bytes}-byte records, one way", contestants, key="million_per_s")


@pytest.mark.benchmark(group="ring")
@SIZES
def bench_push_and_pop_in_one_process(benchmark: Any, record_bytes: int) -> None:
    """Two calls, no other core involved: a regression means that they got dearer at the Python boundary."""
    program = from_c("ours", "one_process", record_bytes, 500_000)
    contestants: Contestants = {"C ring": lambda: {"ns": program()["ns_per_message"]}}
    contestants |= {way.name: partial(two_calls, way(record_bytes)) for way in (RingBound, RingInto, RingBytes)}
    contest(benchmark, f"push and pop in one process, {record_bytes}-byte records, ns for both", contestants, key="ns")


def two_calls(way: Any) -> Figures:
    ring: SpscRing = way.make()
    push, pop, record, out = way.sender(ring), way.receiver(ring), way.record, bytearray(way.record_bytes)

    def call_bytes() -> None:
        push(record)
        pop()

    def call_into() -> None:
        push(record)
        pop(out)

    def call_bound() -> None:
        push()
        pop()

    call = {"bytes": call_bytes, "into": call_into, "bound": call_bound}[way.calls]
    with ring, pinned(two_cores()[0]):
        return in_runs(call, scaled(200_000, 6400))
