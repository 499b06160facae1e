"""`SpscRing` from Python: the promise, the results, the refusals."""

import gc
import multiprocessing
import os
import pickle
import random
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import mftcore
from mftcore import (
    ClosedError,
    ForkedError,
    LayoutError,
    MemoryRefused,
    NameInUse,
    NoSuchSegment,
    RecordError,
    RoleBusy,
    RoleTaken,
    SpscConsumer,
    SpscProducer,
    SpscRing,
    memory,
)

RECORD = np.dtype([("sequence", "<u8"), ("epoch", "<u8"), ("copies", "<u8", (6,))])
START_METHODS = ["fork", "spawn", "forkserver"]


def test_agrees_with_a_bounded_deque_whatever_the_interleaving() -> None:
    rng, model, out = random.Random(1), deque[int](), bytearray(8)
    with SpscRing.create(8, capacity=4) as ring:
        tx, rx = ring.producer(), ring.consumer()
        for i in range(10_000):
            if rng.random() < 0.5:
                assert tx.push(i.to_bytes(8, "little")) == (len(model) < 4)
                if len(model) < 4:
                    model.append(i)
            else:
                assert rx.pop_into(out) == bool(model)
                if model:
                    assert int.from_bytes(out, "little") == model.popleft()


class RingBesideDeque(RuleBasedStateMachine):
    """All calls of both ends, and successors of both, beside a deque and plain counters."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = SpscRing.create("<u8", 8)
        self.tx, self.rx = self.ring.producer(), self.ring.consumer()
        self.twin: deque[int] = deque()
        self.pushed = self.popped = self.full = self.most = 0
        self.epochs = [1, 1]

    def _append(self, values: list[int]) -> int:
        fits = min(len(values), 8 - len(self.twin))
        self.twin.extend(values[:fits])
        self.pushed += fits
        self.full += len(values) - fits
        self.most = max(self.most, len(self.twin))
        return fits

    @rule(value=st.integers(0, 2**64 - 1), how=st.sampled_from(["bytes", "view", "array"]))
    def push(self, value: int, how: str) -> None:
        raw = value.to_bytes(8, "little")
        record = {"bytes": raw, "view": memoryview(bytearray(raw)), "array": np.array([value], "<u8")}[how]
        assert self.tx.push(record) is bool(self._append([value]))

    @rule(values=st.lists(st.integers(0, 2**64 - 1), max_size=12))
    def push_many(self, values: list[int]) -> None:
        assert self.tx.push_many(np.array(values, "<u8")) == self._append(values)

    @rule()
    def pop(self) -> None:
        expected = self.twin.popleft().to_bytes(8, "little") if self.twin else None
        self.popped += expected is not None
        assert self.rx.pop() == expected

    @rule(how=st.sampled_from([bytearray, lambda n: memoryview(bytearray(n)), lambda n: np.zeros(1, "<u8")]))
    def pop_into(self, how) -> None:  # type: ignore[no-untyped-def]
        out = how(8)
        there = bool(self.twin)
        assert self.rx.pop_into(out) is there
        self.popped += there
        assert int.from_bytes(bytes(out), "little") == (self.twin.popleft() if there else 0)

    @rule(room=st.integers(0, 12))
    def pop_many(self, room: int) -> None:
        out = np.zeros(room, "<u8")
        expected = [self.twin.popleft() for _ in range(min(room, len(self.twin)))]
        assert self.rx.pop_many(out) == len(expected)
        assert out[: len(expected)].tolist() == expected
        self.popped += len(expected)

    @rule()
    def another_producer_carries_on(self) -> None:
        self.tx.close()
        self.tx = self.ring.producer()
        self.epochs[0] += 1

    @rule()
    def another_consumer_carries_on(self) -> None:
        self.rx.close()
        self.rx = self.ring.consumer()
        self.epochs[1] += 1

    @invariant()
    def counters_agree(self) -> None:
        counters = self.ring.counters()
        assert (counters.pushed, counters.popped, counters.full) == (self.pushed, self.popped, self.full)
        assert counters.high_water == self.most  # an eighth of this capacity is one
        assert self.rx.waiting == len(self.twin)
        assert [self.tx.epoch, self.rx.epoch] == self.epochs == [self.rx.producer_epoch, self.tx.consumer_epoch]

    def teardown(self) -> None:
        self.tx.close()
        self.rx.close()
        self.ring.close()


TestRingBesideDeque = RingBesideDeque.TestCase
TestRingBesideDeque.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


# ---- two processes ----


def send_sequence(ring: SpscRing, first: int, last: int) -> None:
    tx = ring.producer()
    records = np.zeros(16, RECORD)
    sequence, rng = first, random.Random(first)
    while sequence < last:
        n = min(rng.randint(1, 16), last - sequence)
        records["sequence"][:n] = np.arange(sequence, sequence + n)
        records["copies"][:n] = records["sequence"][:n, None]
        records["epoch"] = tx.epoch
        done = tx.push_many(records[:n]) if n > 1 else int(tx.push(records[:1].tobytes()))
        sequence += done
        if not done:
            os.sched_yield()


@pytest.mark.parametrize("method", START_METHODS)
def test_a_child_process_sends_every_record_once_in_order_and_whole(method: str) -> None:
    total, out = 30_000, np.zeros(32, RECORD)
    with SpscRing.create(RECORD, 64) as ring:
        rx = ring.consumer()
        child = multiprocessing.get_context(method).Process(target=send_sequence, args=(ring, 0, total))
        child.start()
        expected, deadline = 0, time.monotonic() + 60
        while expected < total and time.monotonic() < deadline:
            n = rx.pop_many(out)
            assert out["sequence"][:n].tolist() == list(range(expected, expected + n))
            assert (out["copies"][:n] == out["sequence"][:n, None]).all()
            assert (out["epoch"][:n] == 1).all()
            expected += n
        child.join()
        assert child.exitcode == 0
        assert (expected, rx.pop()) == (total, None)
        counters = ring.counters()
        assert counters.pushed == counters.popped == total
        assert 1 <= counters.high_water <= 64


def send_for_ever(ring: SpscRing, first: int) -> None:
    send_sequence(ring, first, 1 << 60)


def test_a_killed_producer_is_succeeded_and_the_stream_has_no_gap_tear_or_repeat() -> None:
    context, out, rng = multiprocessing.get_context("fork"), np.zeros(64, RECORD), random.Random(3)
    with SpscRing.create(RECORD, 32) as ring:
        rx = ring.consumer()
        expected = 0
        for epoch in range(1, 9):
            child = context.Process(target=send_for_ever, args=(ring, expected))
            child.start()
            goal = expected + rng.randint(100, 3000)
            deadline = time.monotonic() + 30
            killed = False
            while True:
                n = rx.pop_many(out)
                assert out["sequence"][:n].tolist() == list(range(expected, expected + n))
                assert (out["copies"][:n] == out["sequence"][:n, None]).all()
                assert (out["epoch"][:n] == epoch).all()
                expected += n
                if n == 0 and killed:
                    break
                if expected >= goal and not killed:
                    assert child.pid is not None
                    os.kill(child.pid, signal.SIGKILL)
                    child.join()
                    killed = True
                assert time.monotonic() < deadline
            assert not rx.producer_alive
            assert rx.producer_epoch == epoch


def claim_and_wait(ring: SpscRing, said: Connection) -> None:
    tx = ring.producer()
    said.send(tx.epoch)
    signal.pause()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_live_holder_is_named_and_a_dead_one_succeeded_under_a_new_epoch(method: str) -> None:
    context = multiprocessing.get_context(method)
    mine, theirs = context.Pipe()
    with SpscRing.create(8, 4) as ring:
        rx = ring.consumer()
        child = context.Process(target=claim_and_wait, args=(ring, theirs))
        child.start()
        assert mine.poll(60)
        assert mine.recv() == 1
        assert rx.producer_alive
        with pytest.raises(RoleTaken, match=f"process {child.pid} is its producer") as caught:
            ring.producer()
        assert caught.value.pid == child.pid
        child.kill()
        child.join()
        assert ring.producer().epoch == 2
    mine.close()
    theirs.close()


# ---- one process ----


def test_a_second_claim_in_the_same_process_is_refused_until_the_first_is_closed_or_gone() -> None:
    ring = SpscRing.create(8, 4)
    first = ring.consumer()
    with pytest.raises(RoleTaken, match="this process is its consumer"):
        ring.consumer()
    first.close()
    second = ring.consumer()
    assert second.epoch == 2
    del second
    with ring.consumer() as third:
        assert third.epoch == 3
    assert ring.consumer().epoch == 4


def test_a_ring_rounds_its_capacity_up_to_a_power_of_two() -> None:
    for asked, got in [(1, 1), (2, 2), (3, 4), (1000, 1024)]:
        ring = SpscRing.create(8, asked)
        assert ring.capacity == got
        tx = ring.producer()
        assert [tx.push(bytes(8)) for _ in range(got + 1)] == [True] * got + [False]


def test_a_batch_keeps_the_record_type() -> None:
    ring = SpscRing.create(RECORD, 16)
    assert ring.dtype == RECORD
    tx, rx = ring.producer(), ring.consumer()
    sent, got = np.zeros(5, RECORD), np.zeros(9, RECORD)
    sent["sequence"] = [5, 4, 3, 2, 1]
    assert tx.push_many(sent) == 5
    assert rx.pop_many(got) == 5
    assert (got[:5] == sent).all()
    with pytest.raises(RecordError, match="this array has"):
        tx.push_many(np.zeros(8, "<i8"))
    with pytest.raises(RecordError, match="this array has"):
        rx.pop_many(np.zeros(8, "<f8"))


def test_records_of_another_size_or_shape_are_refused_and_nothing_is_written() -> None:
    ring = SpscRing.create(8, 4)
    tx, rx = ring.producer(), ring.consumer()
    for wrong in (b"", b"1234567", b"123456789", bytearray(9), np.zeros(2, "<i8")):
        with pytest.raises(RecordError, match="has 8 bytes"):
            tx.push(wrong)
    with pytest.raises(RecordError, match="has 8 bytes"):
        tx.push_many(b"123456789012")
    with pytest.raises(RecordError, match="has 8 bytes"):
        rx.pop_into(bytearray(7))
    with pytest.raises(TypeError):
        tx.push("12345678")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        tx.push(None)  # type: ignore[arg-type]
    with pytest.raises((BufferError, ValueError)):
        tx.push_many(np.zeros(8, "<i8")[::2])
    with pytest.raises(BufferError):
        rx.pop_into(b"12345678")
    assert ring.counters() == (0, 0, 0, 0)


@pytest.mark.parametrize("capacity", [0, -1, 2**32 + 1, 1.5, "4", None, True])
def test_a_capacity_that_makes_no_sense_is_refused(capacity: object) -> None:
    with pytest.raises(RecordError, match="capacity"):
        SpscRing.create(8, capacity)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [0, -8, 2**31, True, None, "no such type", [("a", "<i8"), ("a", "<i8")]])
def test_what_is_no_record_type_is_refused(dtype: object) -> None:
    with pytest.raises(RecordError):
        SpscRing.create(dtype, 4)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "dtype",
    [">i8", "O", [("a", "<i8"), ("b", ">f4")], [("a", [("b", "O")])], [("a", ">i2", (2,))], "V0", "<U0"],
)
def test_a_record_type_that_cannot_be_shared_is_refused(dtype: object) -> None:
    with pytest.raises(LayoutError):
        SpscRing.create(dtype, 4)  # type: ignore[call-overload]


def test_a_request_beyond_the_available_memory_is_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, open_descriptors: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(memory, "available", lambda: memory.Available(100_000, "this test"))
    before = open_descriptors()
    with pytest.raises(MemoryRefused, match=r"needs 1052928 bytes of memory, and this test leaves 100000"):
        SpscRing.create(64, 16384)
    assert open_descriptors() == before
    SpscRing.create(64, 64).close()


def test_two_threads_on_one_endpoint_get_role_busy_and_lose_nothing() -> None:
    ring = SpscRing.create(8, 1 << 20)
    tx, rx = ring.producer(), ring.consumer()
    batch, out = np.zeros(1 << 20, "<i8"), np.zeros(1 << 20, "<i8")
    pushed, stop = [0], threading.Event()

    def fill() -> None:
        while not stop.is_set():
            try:
                pushed[0] += tx.push_many(batch.view("V8"))
            except RoleBusy:
                continue

    thread = threading.Thread(target=fill)
    thread.start()
    busy, mine, popped, deadline = 0, 0, 0, time.monotonic() + 60
    try:
        while not busy and time.monotonic() < deadline:
            popped += rx.pop_many(out)
            try:
                for _ in range(100):
                    mine += tx.push(bytes(8))
            except RoleBusy:
                busy += 1
    finally:
        stop.set()
        thread.join()
    assert busy
    popped += rx.pop_many(out)
    assert popped == pushed[0] + mine


# ---- fork, close, lifetime ----


def in_forked_child(check) -> None:  # type: ignore[no-untyped-def]
    """Run `check` in a bare forked child (no multiprocessing around it) and fail with what it said."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            check()
            os.write(write, b"fine")
        except BaseException as error:  # noqa: BLE001  (it is handed to the parent, then the child ends)
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert said.read() == b"fine"
    os.waitpid(pid, 0)


def test_an_endpoint_raises_in_a_forked_child_and_the_handle_works_there() -> None:
    ring = SpscRing.create(8, 4)
    tx, rx = ring.producer(), ring.consumer()
    tx.push(b"before..")

    def check() -> None:
        for call in (lambda: tx.push(bytes(8)), lambda: tx.push_many(bytes(8)), rx.pop, lambda: rx.waiting):
            with pytest.raises(ForkedError, match="before the fork"):
                call()
        assert ring.counters().pushed == 1
        with pytest.raises(RoleTaken):
            ring.producer()
        tx.close()  # gives up the child's copy, not the parent's role
        with pytest.raises(RoleTaken):
            ring.producer()

    in_forked_child(check)
    assert tx.push(b"after...")
    assert [rx.pop(), rx.pop()] == [b"before..", b"after..."]


def test_use_after_close_raises() -> None:
    ring = SpscRing.create(8, 4)
    tx, rx = ring.producer(), ring.consumer()
    tx.close()
    tx.close()
    for call in (lambda: tx.push(bytes(8)), lambda: tx.push_many(bytes(8)), lambda: tx.consumer_alive):
        with pytest.raises(ClosedError, match="closed"):
            call()
    rx.close()
    for call in (rx.pop, lambda: rx.pop_into(bytearray(8)), lambda: rx.pop_many(bytearray(8)), lambda: rx.waiting):
        with pytest.raises(ClosedError):
            call()
    ring.close()
    ring.close()
    for call in (ring.counters, ring.producer, ring.consumer, ring.fileno, lambda: pickle.dumps(ring)):
        with pytest.raises(ClosedError):
            call()


def test_a_record_whose_own_code_closes_the_endpoint_is_refused() -> None:
    ring = SpscRing.create(8, 4)
    tx = ring.producer()

    class Closing(bytearray):
        def __len__(self) -> int:
            tx.close()
            return 8

    tx.push(Closing(8))
    tx.close()
    with pytest.raises(ClosedError):
        tx.push(Closing(8))


def test_endpoints_outlive_their_handle_and_the_memory_goes_with_the_last(
    open_descriptors: Callable[[], list[str]],
) -> None:
    gc.collect()
    fds = open_descriptors()
    ring = SpscRing.create(8, 4)
    tx, rx = ring.producer(), ring.consumer()
    ring.close()
    assert tx.push(b"12345678")
    assert rx.pop() == b"12345678"
    tx.close()
    assert rx.pop() is None
    rx.close()
    assert open_descriptors() == fds
    ring = SpscRing.create(8, 4)
    tx, rx = ring.producer(), ring.consumer()
    del ring
    gc.collect()
    assert tx.push(b"12345678")
    assert rx.pop() == b"12345678"


def test_a_garbage_cycle_with_an_endpoint_gives_the_role_back() -> None:
    ring = SpscRing.create(8, 4)
    gone = []

    class Cycle:
        pass

    cycle = Cycle()
    cycle.me, cycle.tx, cycle.ring = cycle, ring.producer(), ring  # type: ignore[attr-defined]
    weakref.finalize(cycle, gone.append, 1)
    del cycle
    gc.collect()
    assert gone
    assert ring.producer().epoch == 2


def test_half_made_objects_raise() -> None:
    for kind in (SpscRing, SpscProducer, SpscConsumer):
        with pytest.raises(TypeError, match="no constructor"):
            kind()
    with pytest.raises(ClosedError, match="never opened"):
        SpscRing.__new__(SpscRing).counters()
    SpscRing.__new__(SpscRing).close()
    with pytest.raises(ClosedError, match="never opened"):
        SpscProducer.__new__(SpscProducer).push(b"")
    SpscConsumer.__new__(SpscConsumer).close()


def test_endpoints_do_not_pickle() -> None:
    ring = SpscRing.create(8, 4)
    with pytest.raises(TypeError, match="hand over the handle"):
        pickle.dumps(ring.producer())


# ---- names ----


@pytest.fixture
def own_name() -> str:
    return f"test-ring-{os.getpid()}"


def test_a_named_ring_is_found_by_name_and_gone_after_close(own_name: str) -> None:
    with SpscRing.create(RECORD, 4, name=own_name) as ring:
        tx = ring.producer()
        with SpscRing.attach(own_name, RECORD) as again:
            assert again.dtype == RECORD
            rx = again.consumer()
            tx.push_many(np.ones(1, RECORD))
            assert rx.waiting == 1
        with pytest.raises(NameInUse, match="attach to it"):
            SpscRing.create(8, 4, name=own_name)
        with pytest.raises(LayoutError, match="expected"):
            SpscRing.attach(own_name, "<i8")
        with pytest.raises(RoleTaken, match=f"process {os.getpid()}, which made it, lives"):
            SpscRing.remove(own_name)
        assert pickle.loads(pickle.dumps(ring)).counters().pushed == 1
    with pytest.raises(NoSuchSegment, match=own_name):
        SpscRing.attach(own_name)


def make_named_and_wait(name: str, said: Connection) -> None:
    ring = SpscRing.create(8, 4, name=name)
    ring.producer().push(b"a legacy")
    said.send("made")
    signal.pause()


def test_what_a_killed_creator_left_can_be_read_and_removed(own_name: str) -> None:
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    child = context.Process(target=make_named_and_wait, args=(own_name, theirs))
    child.start()
    assert mine.poll(60)
    assert mine.recv() == "made"
    child.kill()
    child.join()
    ring = SpscRing.attach(own_name)
    rx = ring.consumer()
    assert rx.pop() == b"a legacy"
    with pytest.raises(RoleTaken, match="holds a role"):
        SpscRing.remove(own_name)
    rx.close()
    SpscRing.remove(own_name)
    with pytest.raises(NoSuchSegment):
        SpscRing.remove(own_name)
    mine.close()
    theirs.close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "ä", "a b", "a\0b", "x" * 201, b"bytes", 7])
def test_a_bad_name_is_refused(name: object) -> None:
    with pytest.raises(RecordError, match="name"):
        SpscRing.create(8, 4, name=name)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="name"):
        SpscRing.attach(name)  # type: ignore[arg-type]


def test_a_descriptor_can_be_handed_over_and_anything_else_is_refused() -> None:
    ring = SpscRing.create(8, 4)
    ring.producer().push(b"12345678")
    again = SpscRing.attach_fd(os.dup(ring.fileno()))
    assert again.consumer().pop() == b"12345678"
    assert not os.get_inheritable(again.fileno())
    with mftcore.Doorbell.create() as bell, pytest.raises(LayoutError, match=r"file type|file size"):
        SpscRing.attach_fd(os.dup(bell.fileno()))
