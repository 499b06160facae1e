"""Waking up: from one process's send to the moment the other has the record, per way of waiting, with system calls.

The sender is paced: gaps of 0.5 to 1.5 ms, uniform, from a fixed seed, so that a receiver that can sleep does. A
regression of a sleeping mode is mostly the machine's; of the spinning ones, ours. A regression of the system calls is
ours alone: a send must cost none while the receiver is awake, and one wake-up while it sleeps.
"""

import ctypes
import mmap
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from _harness import (
    Figures,
    NotMeasured,
    c_program,
    contest,
    meet,
    pair,
    percentiles,
    scaled,
    two_cores,
    work_directory,
)
from _peers import FasterFifo, Pipe, Queue, Zmq
from _report import Table
from _ways import Way

from mftcore import Doorbell, SpscRing

RECORD = 64
MESSAGES = 300
BURST = 100_000
SEED = 1
FIRST_NS = 20_000_000
PACED = "waking up, paced, one way, ns"
CALLS = "waking up, system calls per message"
PR_SET_PTRACER = 0x59616D61


class Waiting(Way):
    """Our ring, and a receiver that waits for its next record in one of the modes."""

    calls = "bytes"

    def __init__(self, mode: Literal["spin", "yield", "park"]) -> None:
        super().__init__(RECORD)
        self.mode = mode

    def make(self) -> Any:
        return SpscRing.create(RECORD, 1024)

    def sender(self, channel: SpscRing) -> Callable[..., Any]:
        return channel.producer().push

    def receiver(self, channel: SpscRing) -> Callable[..., Any]:
        rx, out, mode = channel.consumer(), bytearray(RECORD), self.mode
        pop_into, wait = rx.pop_into, rx.wait

        def take() -> None:
            while not pop_into(out):
                wait(1.0, mode=mode)

        return take

    def close(self, channel: SpscRing) -> None:
        channel.close()


class Epoll(Way):
    """Our ring, and a receiver in an epoll loop with a `Doorbell`, as one that also has sockets would be."""

    calls = "bytes"

    def __init__(self) -> None:
        super().__init__(RECORD)

    def make(self) -> tuple[SpscRing, Doorbell]:
        return SpscRing.create(RECORD, 1024), Doorbell.create()

    def sender(self, channel: tuple[SpscRing, Doorbell]) -> Callable[..., Any]:
        push, ring = channel[0].producer().push, channel[1].ring

        def send(record: bytes) -> bool:
            if not push(record):
                return False
            ring()
            return True

        return send

    def receiver(self, channel: tuple[SpscRing, Doorbell]) -> Callable[..., Any]:
        pop_into, bell, out = channel[0].consumer().pop_into, channel[1], bytearray(RECORD)
        loop = select.epoll()
        loop.register(bell.fileno(), select.EPOLLIN)

        def take() -> None:
            while not pop_into(out):
                bell.arm()
                if pop_into(out):  # it came between the look and the arming
                    bell.disarm()
                    return
                loop.poll(1.0)
                bell.disarm()

        return take

    def close(self, channel: tuple[SpscRing, Doorbell]) -> None:
        channel[0].close()
        channel[1].close()


OURS: dict[str, Callable[[], Way]] = {
    "mftcore wait, spin": lambda: Waiting("spin"),
    "mftcore wait, yield": lambda: Waiting("yield"),
    "mftcore wait, park": lambda: Waiting("park"),
    "mftcore Doorbell in epoll": Epoll,
}


def gaps_ns(messages: int) -> list[int]:
    return [int(gap) for gap in np.random.default_rng(SEED).integers(500_000, 1_500_000, messages)]


def paced(make: Callable[[], Way], messages: int, *, pauses: bool = True, count_calls: bool = False) -> Figures:
    """Send `messages`, paced or as fast as it goes; percentiles of the way and the median cost of a send.

    With `count_calls`, the system calls per message of either side instead.
    """
    way = make()
    channel = way.make()
    memory = np.frombuffer(mmap.mmap(-1, 16 * messages), np.int64)
    sent, got = memory[:messages], memory[messages:]

    def first(marks: Any) -> Figures:
        send, record, clock = way.sender(channel), way.record, time.perf_counter_ns
        gaps, told = gaps_ns(messages) if pauses else [0] * messages, np.zeros(messages, np.int64)
        meet(marks, 0)
        with system_calls(messages, on=count_calls) as calls:
            both_ready(marks, 0)
            due = clock() + FIRST_NS
            for i in range(messages):
                while clock() < due:
                    pass
                start = clock()
                sent[i] = start
                while send(record) is False:
                    pass
                told[i] = clock() - start
                due = start + gaps[i]
            while not got[-1]:
                pass
        return {"sender": sum(calls.values()), **calls} if count_calls else {"send": float(np.median(told))}

    def second(marks: Any) -> Figures:
        take, clock = way.receiver(channel), time.perf_counter_ns
        meet(marks, 1)
        with system_calls(messages, on=count_calls) as calls:
            both_ready(marks, 1)
            for i in range(messages):
                take()
                got[i] = clock()
        return {"receiver": sum(calls.values()), **calls}

    try:
        told, called = pair(first, second, both=True)
    finally:
        way.close(channel)
    if count_calls:
        return {"sender": told["sender"], "receiver": called["receiver"], "sent": told, "took": called}  # type: ignore[dict-item]
    return {**percentiles(got - sent), "send": told["send"]}


def both_ready(marks: Any, side: int) -> None:
    """Wait for the other side without a system call."""
    marks[2 + side] = 1
    while not marks[3 - side]:
        pass


_of_counting: dict[str, int] = {}
"""The calls that starting and stopping the counting itself adds; found once, before anything is counted."""


@contextmanager
def system_calls(messages: int, *, on: bool) -> Iterator[dict[str, float]]:
    """Count this process's system calls inside the block by ``strace -c``, per message and by name.

    Those of the counting itself are taken off.
    """
    found: dict[str, float] = {}
    if not on:
        yield found
        return
    counted: dict[str, int] = {}
    with traced(counted):
        yield found
    for name, calls in counted.items():
        if calls > _of_counting.get(name, 0):
            found[name] = (calls - _of_counting.get(name, 0)) / messages


@contextmanager
def traced(counted: dict[str, int]) -> Iterator[None]:
    """Run ``strace -c`` on this process, all threads, inside the block."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
    path = work_directory() / f"strace{os.getpid()}"
    tracer = subprocess.Popen(
        ["strace", "-f", "-c", "-U", "calls,name", "-o", str(path), "-p", str(os.getpid())],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            tracer.kill()
            tracer.wait()
            raise NotMeasured("strace may not watch this process")
        time.sleep(0.005)
    time.sleep(0.02)  # attached: from here on every call counts, those of the loop above would differ from run to run
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=20)
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and words[1] != "total":
            counted[words[1]] = int(words[0])


@pytest.mark.benchmark(group="waking up")
def bench_wake_up(benchmark: Any) -> None:
    """ "send" is the median cost of the send itself: with a sleeping receiver, of waking it."""
    here, other = two_cores()
    messages = scaled(MESSAGES, 40)
    contestants: dict[str, Callable[[], Figures]] = {
        f"C {mode}": partial(c_program, "bench_wake.c", mode, messages, here, other)
        for mode in ("spin", "yield", "futex", "eventfd")
    }
    contestants |= {name: partial(paced, make, messages) for name, make in OURS.items()}
    contestants |= {
        peer.name: partial(paced, partial(peer, RECORD), messages) for peer in (FasterFifo, Zmq, Pipe, Queue)
    }
    contest(benchmark, PACED, contestants, key="p50")


@pytest.mark.benchmark(group="waking up")
def bench_system_calls(benchmark: Any) -> None:
    """Counted by strace in runs of their own, which are slower; "burst": the sender never pauses."""
    if shutil.which("strace") is None:
        pytest.skip("counting system calls needs strace")
    with traced(_of_counting):
        pass
    peers: dict[str, Callable[[], Way]] = {peer.name: partial(peer, RECORD) for peer in (FasterFifo, Pipe, Queue)}
    contestants: dict[str, Callable[[], Figures]] = {}
    for name, make in (OURS | peers).items():
        burst = f"{name}, burst"
        contestants[name] = partial(counted, name, make, scaled(100, 50))
        contestants[burst] = partial(counted, burst, make, scaled(BURST if name in OURS else 2_000), pauses=False)
    contest(benchmark, CALLS, contestants, key="sender", turns=1)


def counted(name: str, make: Callable[[], Way], messages: int, *, pauses: bool = True) -> Figures:
    found: Any = paced(make, messages, pauses=pauses, count_calls=True)
    sent, took = found.pop("sent"), found.pop("took")
    Table.all[CALLS].notes.append(f"{name}: sender {names(sent, 'sender')}; receiver {names(took, 'receiver')}")
    return dict(found)


def names(calls: dict[str, float], total: str) -> str:
    listed = [f"{name} {per:.3g}" for name, per in sorted(calls.items(), key=lambda c: -c[1]) if name != total]
    return ", ".join(listed) or "none"
