"""Records to a task of asyncio and of uvloop, beside what else wakes an event loop.

A regression of the rates with an unchanged C ring means that a turn of our awaiting code got dearer: per record in
`pop_async` and ``async for``, per batch in `batches`. One of the round trip means that waking the loop did: the
sleeping thread, its call into the loop, or the machine's own wake-up, which the other ways show as well.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from _async_ways import LOOPS, RATES, TRIPS, AsyncWay
from _harness import Figures, contest, repeats
from _targets import ASYNC_RATE, ASYNC_TRIP

RECORD = 64
TURNS = 3


def turns() -> int:
    return min(TURNS, repeats())


def contestants(kinds: tuple[type[AsyncWay], ...], measure: str) -> dict[str, Callable[[], Figures]]:
    return {f"{kind.title}, {loop}": partial(measured, kind, loop, measure) for kind in kinds for loop in LOOPS}


def measured(kind: Any, loop: str, measure: str) -> Figures:
    found: Figures = getattr(kind(RECORD, loop), measure)()
    return found


@pytest.mark.benchmark(group="asyncio")
def bench_async_round_trip(benchmark: Any) -> None:
    """Both sides are tasks, one in each process, and sleep while the record is under way."""
    contest(benchmark, ASYNC_TRIP, contestants(TRIPS, "round_trip"), key="p50", turns=turns())


@pytest.mark.benchmark(group="asyncio")
def bench_async_throughput(benchmark: Any) -> None:
    """A plain loop sends one record a call, as fast as it can; a task receives. "batches" are the receiver's alone."""
    contest(benchmark, ASYNC_RATE, contestants(RATES, "throughput"), key="million_per_s", turns=turns())
