"""One writer and 1, 2 or 8 readers: what a record costs the writer, what gets to each reader, and what is lost.

A regression of "write" means that the writer pays more for each record. It must not grow with the number of readers
that keep up; where readers sleep it includes waking them. One of the rate means that a reader got slower.

The writer has a core for itself; the readers share the others, so that 8 of them on a machine of two cores take turns
on one: "reader_cpu" says what part of a core each had, and what it could not read in that time, the broadcast counts
as lost. Ways that wait for their slowest reader lose nothing, and their writer has its pace.
"""

import mmap
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import _harness
import numpy as np
import pytest
from _fans import PACED, RECORD, SATURATED, Fan
from _harness import Figures, c_program, contest, group, in_full, percentiles, scaled
from _targets import FAN_PACED, FAN_READERS, FAN_SATURATED
from _ways import CAPACITY

READERS = pytest.mark.parametrize("readers", FAN_READERS)
LASTS_S = 0.3
AT_ONCE = 256  # records between two looks at the clock
EVERY = 64  # takes between two looks at how far behind a reader is
MESSAGES = 2_000
GAPS_NS = (50_000, 150_000)
SEED = 1
TURNS = 3
DONE, READY = 0, 1


class Run:
    """One writer's and all readers' processes; the first half of a run is the same for both measures."""

    def __init__(self, fan: Fan) -> None:
        self.fan = fan
        self.marks = np.frombuffer(mmap.mmap(-1, 4096), np.int64)

    def measure(self, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
        """Run both; `write` gets the function that sends, and `read` the one that takes."""
        fan, marks = self.fan, self.marks
        made = fan.make()

        def writer(_: Any) -> Any:
            send = fan.writer(made)
            while not marks[READY : READY + fan.readers].all():
                time.sleep(0.0005)
            found = write(send)
            marks[DONE] = 1
            fan.finish(made)
            while marks[READY : READY + fan.readers].any():  # who ends may take the last records with it
                time.sleep(0.0005)
            return found

        def reader(which: int, _: Any) -> Any:
            take = fan.reader(made, which)
            marks[READY + which] = 1
            found = read(take)
            marks[READY + which] = 0
            return found

        try:
            first, *others = group([writer, *(partial(reader, i) for i in range(fan.readers))])
        finally:
            fan.close(made)
        return first, others


def saturated(kind: type[Fan], readers: int) -> Figures:
    """The writer writes as fast as it can."""
    fan = kind(readers)
    run = Run(fan)
    marks, clock, cpu = run.marks, time.perf_counter_ns, time.process_time_ns
    lasts_ns = int(LASTS_S * (0.1 if _harness.quick else 1) * 1e9)
    at_once = range(AT_ONCE // fan.per_send)

    def write(send: Callable[[bytes], Any]) -> tuple[int, int, float]:
        record, written = bytes(RECORD), 0
        for _ in range(CAPACITY // AT_ONCE):  # one lap to warm up
            for _ in at_once:
                send(record)
            written += AT_ONCE
        warm, start, busy = written, clock(), cpu()
        while (now := clock()) - start < lasts_ns:
            for _ in at_once:
                send(record)
            written += AT_ONCE
        used = (cpu() - busy) / (now - start)
        return written, (now - start) * written // max(written - warm, 1), used  # as if all had been timed

    def read(take: Callable[[], Any]) -> tuple[int, int | None, list[int], float]:
        how_many, behind = fan.how_many, fan.behind
        got, done, lags = 0, False, [0] * 100_000
        looks = 0
        while not (record := take()) and not marks[DONE]:
            pass
        got += how_many(record) if record else 0
        start, busy = clock(), cpu()
        while True:
            for _ in range(EVERY):
                record = take()
                if record:
                    got += how_many(record)
                    continue
                if done:
                    used = (cpu() - busy) / (clock() - start)
                    return got, fan.lost(), lags[: min(looks, len(lags))], used
                done = bool(marks[DONE])
            if (lag := behind()) is not None:
                lags[looks % len(lags)] = lag
                looks += 1

    (written, span_ns, writer_cpu), found = run.measure(write, read)
    for got, lost, _, _ in found:
        if lost is not None and got + lost != written:
            raise RuntimeError(f"{got} read and {lost} lost of {written}: they must add up")
    delivered = [got for got, *_ in found]
    figures = {
        "million_per_s": float(np.mean(delivered)) * 1e3 / span_ns,
        "slowest": min(delivered) * 1e3 / span_ns,
        "write": span_ns / written,
        "lost_pct": 100 * (1 - float(np.mean(delivered)) / written),
        "writer_cpu": writer_cpu,
        "reader_cpu": float(np.mean([used for *_, used in found])),
        "count": written,
    }
    lags = [lag for _, _, some, _ in found for lag in some]
    if lags:
        figures |= {"lag_p50": float(np.percentile(lags, 50)), "lag_p99": float(np.percentile(lags, 99))}
        figures["lag_max"] = float(max(lags))
    return figures


def paced(kind: type[Fan], readers: int) -> Figures:
    """The writer writes at intervals, and each reader notes how long the record took to it."""
    fan, messages = kind(readers), scaled(MESSAGES, 200)
    run = Run(fan)
    marks, clock, cpu = run.marks, time.perf_counter_ns, time.process_time_ns

    def write(send: Callable[[bytes], Any]) -> tuple[float, float]:
        gaps = [int(gap) for gap in np.random.default_rng(SEED).integers(*GAPS_NS, messages)]
        told, rest = np.zeros(messages, np.int64), bytes(RECORD - 8)
        began, busy = clock(), cpu()
        due = began + gaps[0]
        for i in range(messages):
            while clock() < due:
                pass
            start = clock()
            send(start.to_bytes(8, "little") + rest)
            told[i] = clock() - start
            due = start + gaps[i]
        return float(np.median(told)), (cpu() - busy) / (clock() - began)

    def read(take: Callable[[], Any]) -> tuple["np.ndarray[Any, Any]", float]:
        taken, got, done, stamp = np.zeros(messages, np.int64), 0, False, fan.stamp
        start, busy = clock(), cpu()
        while True:
            record = take()
            now = clock()
            if record:
                taken[got] = now - stamp(record)
                got += 1
            elif done:
                return taken[:got], (cpu() - busy) / (clock() - start)
            else:
                done = bool(marks[DONE])

    (told, _), found = run.measure(write, read)
    ways = np.concatenate([taken for taken, _ in found])
    if not len(ways):
        raise RuntimeError("nothing came across")
    return {
        **percentiles(ways),
        "send": told,
        "lost_pct": 100 * (1 - len(ways) / (messages * readers)),
        "reader_cpu": float(np.mean([used for _, used in found])),
    }


def from_c(readers: int) -> Callable[[], Figures]:
    first, *others = sorted(os.sched_getaffinity(0))
    return partial(c_program, "bench_broadcast.c", readers, scaled(3_000_000, 100_000), first, *others)


def turns() -> int:
    return min(TURNS, _harness.repeats())


@pytest.mark.benchmark(group="broadcast")
@READERS
def bench_fan_saturated(benchmark: Any, readers: int) -> None:
    """ "million_per_s" is what got to a reader, "slowest" to the slowest; lags are in records, and 1,023 are kept."""
    _harness.two_cores()
    contestants: dict[str, Callable[[], Figures]] = {"C broadcast, spin": from_c(readers)}
    contestants |= {kind.name: partial(saturated, kind, readers) for kind in SATURATED}
    contestants = in_full(first=readers == 2, contestants=contestants)
    contest(benchmark, FAN_SATURATED.format(readers), contestants, key="million_per_s", turns=turns())


@pytest.mark.benchmark(group="broadcast")
@READERS
def bench_fan_paced(benchmark: Any, readers: int) -> None:
    """Percentiles over all readers; "send" is the median cost of the send, with the waking of those that sleep."""
    _harness.two_cores()
    contestants: dict[str, Callable[[], Figures]] = {kind.name: partial(paced, kind, readers) for kind in PACED}
    contestants = in_full(first=readers == 2, contestants=contestants)
    contest(benchmark, FAN_PACED.format(readers), contestants, key="p50", turns=turns())
