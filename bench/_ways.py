"""Ways of getting records from one process to another, behind one interface, and the loops that time them.

The loops are written out for each way of calling: a function in between, so that one loop could serve all, would cost
as much as what is measured. A way that spins polls in a loop; one that sleeps blocks in its call.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import _harness
import numpy as np
from _harness import Figures, NotMeasured, meet, pair, percentiles, scaled

import mftcore

CAPACITY = 1024
MOST_BYTES = 8 << 20  # of long messages, all ways have room for fewer
LONG_BYTES = 4096  # longer messages are measured by fewer of them
BATCH = 64
PARTS = 10
LONGEST_S = 0.5  # of one repeat: on a busy machine it has fewer parts
ANNOUNCED, TAKEN, LAST, ENDED, OVER = 2, 3, 4, 5, 6  # marks beyond the two of `meet`

LOOPS = """
def ping(send, take, record, out, taken):
    for i in range(len(taken)):
        start = clock()
        {send_once}
        {take_one}
        taken[i] = clock() - start

def echo(send, take, record, out, count):
    for _ in steps(count):
        {take_one}
        {send_once}

def produce(send, record, count):
    for _ in steps(count):
        {send_one}

def consume(take, out, count):
    for _ in steps(count):
        {take_one}
"""
CALLS = {
    "bytes": {"send_one": "while not send(record): pass", "take_one": "while take() is None: pass"},
    "into": {"send_one": "while not send(record): pass", "take_one": "while not take(out): pass"},
    "bound": {"send_one": "while not send(): pass", "take_one": "while not take(): pass"},
    "sleeps": {"send_one": "send(record)", "take_one": "take()"},
}


def room(record_bytes: int) -> int:
    """Return for how many messages of this size each way has room."""
    return min(CAPACITY, MOST_BYTES // record_bytes)


def _loops(calls: str) -> dict[str, Callable[..., None]]:
    words = CALLS[calls]
    once = {"send_once": words["send_one"].replace("while not ", "").replace(": pass", "")}
    space: dict[str, Any] = {"clock": time.perf_counter_ns, "steps": range}
    exec(LOOPS.format(**words, **once), space)
    return space


class Way:
    """How records get across. A subclass says how a channel is made, and how its two ends are opened.

    Attributes
    ----------
    name : str
        As shown.
    calls : str
        Which loops fit: see `CALLS`.
    rounds, messages : int
        Of one repeat: about 0.1 s.
    """

    name: ClassVar[str]
    calls: ClassVar[str]
    rounds: ClassVar[int] = 50_000
    messages: ClassVar[int] = 500_000

    def __init__(self, record_bytes: int) -> None:
        self.record_bytes = record_bytes
        self.record = bytes(record_bytes)
        self.loops = _loops(self.calls)

    def make(self) -> Any:
        """Return a channel of one direction, in the process that starts the two."""
        raise NotImplementedError

    def sender(self, channel: Any) -> Callable[..., Any]:
        raise NotImplementedError

    def receiver(self, channel: Any) -> Callable[..., Any]:
        raise NotImplementedError

    def close(self, channel: Any) -> None:
        """Give a channel back, in the process that made it."""

    def ping(self, there: Any, back: Any, taken: Any) -> None:
        self.loops["ping"](there, back, self.record, bytearray(self.record_bytes), taken)

    def echo(self, there: Any, back: Any, count: int) -> None:
        self.loops["echo"](back, there, self.record, bytearray(self.record_bytes), count)

    def produce(self, there: Any, count: int) -> None:
        self.loops["produce"](there, self.record, count)

    def consume(self, there: Any, count: int) -> None:
        self.loops["consume"](there, bytearray(self.record_bytes), count)

    # ---- the two measures ----

    def round_trip(self) -> Figures:
        """A sends, B on another core sends it back, A has it: percentiles of single round trips."""
        part = scaled(self._count(self.rounds)) // PARTS
        there, back = self.make(), self.make()

        def first(marks: Any) -> Figures:
            send, take = self.sender(there), self.receiver(back)
            taken = np.zeros((PARTS + 1, part), np.int64)
            meet(marks, 0)
            done = in_parts(marks, lambda k: self.ping(send, take, taken[k]))
            return dict(percentiles(taken[1:done].ravel()))

        def second(marks: Any) -> None:
            take, send = self.receiver(there), self.sender(back)
            meet(marks, 1)
            as_announced(marks, lambda: self.echo(take, send, part))

        return self._pair(first, second, there, back)

    def throughput(self) -> Figures:
        """As fast as both can: from A's first send until B has the last of the messages, after a warm-up."""
        part = max(scaled(self._count(self.messages)) // PARTS // BATCH, 1) * BATCH
        there = self.make()

        def first(marks: Any) -> Figures:
            send = self.sender(there)
            start = 0

            def produce(k: int) -> None:
                nonlocal start
                if k == 1:  # the part before it was the warm-up
                    while marks[TAKEN] < 1:
                        pass
                    start = time.perf_counter_ns()
                self.produce(send, part)

            meet(marks, 0)
            parts = in_parts(marks, produce) - 1
            ns = (int(marks[ENDED]) - start) / (parts * part)
            return {"million_per_s": 1e3 / ns, "ns_per_message": ns, "count": parts * part}

        def second(marks: Any) -> None:
            take = self.receiver(there)

            def consume() -> None:
                self.consume(take, part)
                marks[ENDED] = time.perf_counter_ns()

            meet(marks, 1)
            as_announced(marks, consume)

        return self._pair(first, second, there)

    def _count(self, count: int) -> int:
        return count * LONG_BYTES // max(self.record_bytes, LONG_BYTES)

    def _pair(self, first: Any, second: Any, *channels: Any) -> Figures:
        try:
            found: Figures = pair(first, second)
        finally:
            for channel in channels:
                self.close(channel)
        return found


def in_parts(marks: Any, work: Callable[[int], None]) -> int:
    """Do the parts 0 (the warm-up) to `PARTS`, fewer when the time is up, each announced; returns how many were done.

    The other side goes through the same parts by `as_announced`, and is done with them when this returns.
    """
    until = time.monotonic() + (LONGEST_S / 10 if _harness.quick else LONGEST_S)
    for k in range(PARTS + 1):
        marks[ANNOUNCED] = k + 1
        work(k)
        if k > 0 and time.monotonic() > until:
            break
    marks[LAST] = marks[ANNOUNCED]
    while marks[TAKEN] < marks[LAST]:
        time.sleep(0.0005)
    marks[OVER] = 1
    return int(marks[LAST])


def as_announced(marks: Any, work: Callable[[], None]) -> None:
    """Do one part of the work for each that the other side announces."""
    while not marks[LAST] or marks[TAKEN] < marks[LAST]:
        if marks[TAKEN] < marks[ANNOUNCED]:
            work()
            marks[TAKEN] += 1
    while not marks[OVER]:  # who ends may take the last message with it, where threads do the sending
        time.sleep(0.0005)


# ---- our ring ----


class Ring(Way):
    """What the levels of our ring share."""

    messages = 640_000

    def make(self) -> mftcore.SpscRing:
        return mftcore.SpscRing.create(self.record_bytes, CAPACITY)

    def close(self, channel: mftcore.SpscRing) -> None:
        channel.close()


class RingBytes(Ring):
    name = "mftcore push(bytes), pop()"
    calls = "bytes"

    def sender(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.producer().push

    def receiver(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.consumer().pop


class RingInto(Ring):
    name = "mftcore push(bytes), pop_into(bytearray)"
    calls = "into"

    def sender(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.producer().push

    def receiver(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.consumer().pop_into


class RingBound(Ring):
    name = "mftcore bound record"
    calls = "bound"

    def sender(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.producer().bind(np.zeros(1, channel.dtype)).push

    def receiver(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.consumer().bind(np.zeros(1, channel.dtype)).pop


class RingBatch(Ring):
    name = f"mftcore batches of {BATCH}"
    calls = "bytes"
    messages = 3_200_000

    def sender(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.producer().push_many

    def receiver(self, channel: mftcore.SpscRing) -> Callable[..., Any]:
        return channel.consumer().pop_many

    def produce(self, there: Any, count: int) -> None:
        many = np.zeros(BATCH, f"V{self.record_bytes}")
        full, sent, most = memoryview(many.view(np.uint8)), 0, BATCH
        size = self.record_bytes
        while sent < count:
            n = there(many)
            sent += n
            if n == most:
                continue
            while n < most:  # the rest of this batch
                got = there(full[n * size :])
                n += got
                sent += got

    def consume(self, there: Any, count: int) -> None:
        many, left, most = np.zeros(BATCH, f"V{self.record_bytes}"), count, BATCH
        while left >= most:
            left -= there(many)
        while left:  # no record of the next part with them
            left -= there(many[:left])


class RingCython(Ring):
    """The C calls from a compiled loop, without the interpreter: built when the suite runs."""

    name = "mftcore from Cython"
    calls = "bytes"
    messages = 1_280_000

    def make(self) -> mftcore.SpscRing:
        self.level = _cython_level()
        return super().make()

    def sender(self, channel: mftcore.SpscRing) -> Any:
        return channel.producer()

    def receiver(self, channel: mftcore.SpscRing) -> Any:
        return channel.consumer()

    def ping(self, there: Any, back: Any, taken: Any) -> None:
        self.level.ping(there, back, taken)

    def echo(self, there: Any, back: Any, count: int) -> None:
        self.level.echo(there, back, count)

    def produce(self, there: Any, count: int) -> None:
        self.level.produce(there, count)

    def consume(self, there: Any, count: int) -> None:
        self.level.consume(there, count)


_levels: list[Any] = []


def _cython_level() -> Any:
    if not _levels:
        _levels.append(_build())
    if isinstance(_levels[0], NotMeasured):
        raise _levels[0]
    return _levels[0]


def _build() -> Any:
    import importlib.util
    import os
    import shutil
    import subprocess
    import sys

    if importlib.util.find_spec("Cython") is None or importlib.util.find_spec("setuptools") is None:
        return NotMeasured("Cython or setuptools is not installed")
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        return NotMeasured("no C compiler")
    folder = _harness.work_directory() / "cython"
    shutil.copytree(_harness.HERE / "cython", folder)
    environment = dict(os.environ, CFLAGS="-O3 -DNDEBUG", MFTCORE_INCLUDE=mftcore.get_include())
    found_at = str(Path(mftcore.__file__).parent.parent)  # Cython looks for our .pxd there, installed or not
    environment["PYTHONPATH"] = os.pathsep.join([found_at, *filter(None, [os.environ.get("PYTHONPATH")])])
    built = subprocess.run(
        [sys.executable, "build_level.py", "build_ext", "--inplace"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise RuntimeError(f"bench/cython does not build: {built.stderr.strip()[-600:]}")
    found = next(folder.glob("ring_level*.so"))
    spec = importlib.util.spec_from_file_location("ring_level", found)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OURS: tuple[type[Ring], ...] = (RingBound, RingInto, RingBytes, RingCython)
