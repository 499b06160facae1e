"""The ring: what one hand-over of a 64-byte record costs, within one process and between two pinned ones.

A regression of the one-process figures means the calls got dearer at the Python boundary; of the round trip, the
hand-over between two processes; of the throughputs, what a burst costs. The floor without Python is
bench/c/bench_ring.c, built and run in the same session.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _harness import beside, c_floor, percentiles, pinned, report, two_cores

from mftcore import SpscRing

RECORD = 64
CAPACITY = 1024
STOP = b"\xff" * RECORD
GROUP = "ring, 64-byte records"


@pytest.mark.benchmark(group=GROUP)
def bench_push_and_pop_bytes_in_one_process(benchmark: Any) -> None:
    """push(bytes) and pop() -> bytes: two calls and one allocation, no other core involved."""
    with SpscRing.create(RECORD, CAPACITY) as ring, ring.producer() as tx, ring.consumer() as rx:
        record, push, pop = bytes(RECORD), tx.push, rx.pop

        def push_and_pop() -> None:
            push(record)
            pop()

        benchmark(push_and_pop)


@pytest.mark.benchmark(group=GROUP)
def bench_push_and_pop_into_in_one_process(benchmark: Any) -> None:
    """push(bytes) and pop_into(bytearray): two calls, nothing allocated."""
    with SpscRing.create(RECORD, CAPACITY) as ring, ring.producer() as tx, ring.consumer() as rx:
        record, out, push, pop_into = bytes(RECORD), bytearray(RECORD), tx.push, rx.pop_into

        def push_and_pop() -> None:
            push(record)
            pop_into(out)

        benchmark(push_and_pop)


def echo(there: SpscRing, back: SpscRing) -> None:
    rx, tx = there.consumer(), back.producer()
    record, parent, idle = bytearray(RECORD), os.getppid(), 0
    while record != STOP:
        while not rx.pop_into(record):
            idle += 1
            if idle % (1 << 22) == 0 and os.getppid() != parent:
                return
        tx.push(record)


@pytest.mark.benchmark(group=GROUP)
def bench_round_trip_between_two_processes(benchmark: Any) -> None:
    """A pushes, B on another core echoes, A pops; both spin. One clock reading pair is in each sample."""
    warm_up, rounds = 5_000, 50_000
    here, other = two_cores()
    taken_ns = np.empty((3, rounds), np.int64)
    record, out = bytes(RECORD), bytearray(RECORD)
    clock = time.perf_counter_ns
    with SpscRing.create(RECORD, CAPACITY) as there, SpscRing.create(RECORD, CAPACITY) as back, pinned(here):
        tx, rx = there.producer(), back.consumer()
        push, pop_into = tx.push, rx.pop_into
        repeats = iter([np.empty(warm_up, np.int64), *taken_ns])

        def run() -> None:
            samples = next(repeats)
            for i in range(len(samples)):
                start = clock()
                push(record)
                while not pop_into(out):
                    pass
                samples[i] = clock() - start

        with beside(other, echo, there, back):
            benchmark.pedantic(run, rounds=3, iterations=1, warmup_rounds=1)
            push(STOP)
        rx.close()
        tx.close()
    report(benchmark, "ring.round_trip", percentiles(taken_ns.ravel()), note=f"cores {here} and {other}")


def drain(ring: SpscRing, messages: int, batch: int) -> None:
    rx, parent, idle, got = ring.consumer(), os.getppid(), 0, 0
    out, many = bytearray(RECORD), np.zeros(batch, f"V{RECORD}")
    while got < messages:
        n = rx.pop_many(many) if batch > 1 else rx.pop_into(out)
        got += n
        if not n:
            idle += 1
            if idle % (1 << 22) == 0 and os.getppid() != parent:
                return


def throughput(benchmark: Any, name: str, messages: int, batch: int) -> None:
    """Time from the first push until the other process has popped the last of `messages`, three times."""
    here, other = two_cores()
    repeats = 3
    seconds: list[float] = []
    with SpscRing.create(RECORD, CAPACITY) as ring, pinned(here):
        tx = ring.producer()
        push, push_many, record = tx.push, tx.push_many, bytes(RECORD)
        many = np.zeros(batch, f"V{RECORD}")

        def run() -> None:
            start, goal = time.perf_counter(), ring.counters().popped + messages
            sent = 0
            if batch > 1:
                while sent < messages:
                    sent += push_many(many)  # messages is a multiple of batch; a partial push is made up for below
                    if sent + batch > messages:
                        while sent < messages:
                            sent += push(record)
            else:
                for _ in range(messages):
                    while not push(record):
                        pass
            while ring.counters().popped < goal:
                pass
            seconds.append(time.perf_counter() - start)

        with beside(other, drain, ring, messages * (repeats + 1), batch):
            benchmark.pedantic(run, rounds=repeats, iterations=1, warmup_rounds=1)
        tx.close()
    best, median = min(seconds[1:]), sorted(seconds[1:])[repeats // 2]
    figures = {"million_per_s": messages / median / 1e6, "best_million_per_s": messages / best / 1e6, "count": messages}
    report(benchmark, name, figures, note=f"cores {here} and {other}")


@pytest.mark.benchmark(group=GROUP)
def bench_throughput_one_call_per_message(benchmark: Any) -> None:
    """push(bytes) here, pop_into(bytearray) on another core, as fast as both can."""
    throughput(benchmark, "ring.throughput", 1_000_000, 1)


@pytest.mark.benchmark(group=GROUP)
def bench_throughput_in_batches_of_64(benchmark: Any) -> None:
    """push_many and pop_many of 64 records at a time."""
    throughput(benchmark, "ring.throughput_batch_64", 6_400_000, 64)


@pytest.mark.benchmark(group=GROUP)
def bench_c_floor(benchmark: Any, tmp_path: Path) -> None:
    """The same ring from C: the program times itself, what pytest-benchmark shows here is its whole run."""
    here, other = two_cores()
    figures: dict[str, dict[str, Any]] = {}
    benchmark.pedantic(lambda: figures.update(c_floor("bench_ring.c", tmp_path, here, other)), rounds=1, iterations=1)
    for name, values in figures.items():
        shown = dict(values)
        if "ns_per_message" in shown:
            shown["million_per_s"] = 1e3 / shown["ns_per_message"]
        report(benchmark, f"C ring.{name}", shown, note=f"cores {here} and {other}")
