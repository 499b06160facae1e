"""The ring of messages: whole, in order, in one piece, of any length up to its capacity."""

import contextlib
import multiprocessing
import os
import signal
from collections import deque

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mftcore import (
    ByteConsumer,
    ByteRing,
    ClosedError,
    ForkedError,
    LayoutError,
    PeerDied,
    RecordError,
    RoleBusy,
    RoleTaken,
)
from mftcore.byte_ring import BytesClaim, BytesPeek
from tests.core.children import child

LEAST = 65536
MOST = LEAST - 8


def taken(message: bytes) -> int:
    return 8 + (len(message) + 7) // 8 * 8


class ByteRingBesideDeque(RuleBasedStateMachine):
    """A ring of 64 KiB and a deque with a byte count."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = ByteRing.create(1)
        self.tx, self.rx = self.ring.producer(), self.ring.consumer()
        self.model: deque[bytes] = deque()
        self.number = 0
        self.popped = self.full = 0
        self.epochs = [1, 1]

    def teardown(self) -> None:
        for end in (self.tx, self.rx, self.ring):
            end.close()

    def room(self) -> int:
        return LEAST - sum(map(taken, self.model))

    def message(self, length: int) -> bytes:
        self.number += 1
        return bytes([self.number % 251]) * length

    lengths = st.one_of(st.integers(0, 64), st.integers(0, MOST))

    @rule(length=lengths)
    def push(self, length: int) -> None:
        message = self.message(length)
        fits = taken(message) <= self.room()
        assert self.tx.push(message if length % 2 else bytearray(message)) == fits
        self.full += not fits
        if fits:
            self.model.append(message)

    @rule(lengths=st.lists(lengths, max_size=6))
    def push_many(self, lengths: list[int]) -> None:
        messages = [self.message(length) for length in lengths]
        expected, room = 0, self.room()
        for message in messages:
            if taken(message) > room:
                break
            room -= taken(message)
            expected += 1
        assert self.tx.push_many(bytearray(message) for message in messages) == expected
        self.model.extend(messages[:expected])
        self.full += expected < len(messages)

    @rule(length=lengths, shorter=st.floats(0, 1))
    def claim(self, length: int, shorter: float) -> None:
        fits = 8 + (length + 7) // 8 * 8 <= self.room()
        with self.tx.claim(length) as claim:
            assert (claim.view is not None) == fits
            self.full += not fits
            if claim.view is not None:
                claim.length = int(length * shorter)
                message = self.message(claim.length)
                claim.view[: claim.length] = message
                self.model.append(message)

    @rule(length=lengths)
    def claim_and_give_up(self, length: int) -> None:
        with contextlib.suppress(ZeroDivisionError), self.tx.claim(length) as claim:
            self.full += claim.view is None
            if claim.view is not None:
                claim.view[:] = b"x" * length
            raise ZeroDivisionError

    @rule()
    def pop(self) -> None:
        self.popped += bool(self.model)
        assert self.rx.pop() == (self.model.popleft() if self.model else None)

    @rule(most=st.integers(1, 9))
    def pop_many(self, most: int) -> None:
        expected = [self.model.popleft() for _ in range(min(most, len(self.model)))]
        self.popped += len(expected)
        assert self.rx.pop_many(most) == expected

    @rule(keep=st.booleans())
    def peek(self, keep: bool) -> None:
        with contextlib.suppress(ZeroDivisionError), self.rx.peek() as peek:
            assert (None if peek.view is None else bytes(peek.view)) == (self.model[0] if self.model else None)
            if keep:
                raise ZeroDivisionError
        if not keep and self.model:
            self.model.popleft()
            self.popped += 1

    @precondition(lambda self: self.number % 7 == 3)
    @rule(which=st.sampled_from([(True, True), (True, False), (False, True)]))
    def succeed(self, which: tuple[bool, bool]) -> None:
        if which[0]:
            self.tx.close()
            self.tx = self.ring.producer()
        if which[1]:
            self.rx.close()
            self.rx = self.ring.consumer()
        self.epochs = [epoch + succeeded for epoch, succeeded in zip(self.epochs, which, strict=True)]
        assert [self.tx.epoch, self.rx.epoch] == self.epochs == [self.rx.producer_epoch, self.tx.consumer_epoch]

    @invariant()
    def counts(self) -> None:
        counters = self.ring.counters()
        assert counters == (self.popped + len(self.model), self.popped, self.full, LEAST - self.room())
        assert self.rx.wait(0) == bool(self.model)


TestByteRingBesideDeque = ByteRingBesideDeque.TestCase
TestByteRingBesideDeque.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


def numbered(epoch: int, number: int) -> bytes:
    length = number * 2654435761 % (40_000 if number % 50 == 0 else 300)
    return b"%d:%d:" % (epoch, number) + bytes([number % 256]) * length


def send(ring: ByteRing, count: int) -> None:
    tx = ring.producer()
    for i in range(count):
        assert tx.push_wait(numbered(tx.epoch, i), 60.0)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_sends_every_message_once_in_order_and_whole(method: str) -> None:
    with ByteRing.create(50_000) as ring, ring.consumer() as rx:
        process = multiprocessing.get_context(method).Process(target=send, args=(ring, 3000))  # type: ignore[attr-defined]
        process.start()
        for i in range(3000):
            assert rx.pop_wait(60.0) == numbered(1, i)
        process.join()
        assert (process.exitcode, ring.counters().full) == (0, 0)


def send_for_ever(ring: ByteRing) -> None:
    tx, i = ring.producer(), 0
    while True:
        i += tx.push(numbered(tx.epoch, i))


def expect_all(rx: ByteConsumer, epoch: int, number: int) -> None:
    while (message := rx.pop_wait(60.0)) is not None:
        assert message == numbered(epoch, number)
        number += 1


def test_a_killed_producer_leaves_whole_messages_in_order_and_is_succeeded() -> None:
    with ByteRing.create(50_000) as ring, ring.consumer() as rx:
        for epoch in range(1, 21):
            with child(send_for_ever, ring) as process:
                number = 0
                while number < 50 + 13 * epoch:
                    message = rx.pop_wait(60.0)
                    assert message == numbered(epoch, number)
                    number += 1
                os.kill(process.pid, signal.SIGKILL)
                with pytest.raises(PeerDied):
                    expect_all(rx, epoch, number)


def test_messages_over_the_end_of_the_memory_lie_in_one_piece() -> None:
    with ByteRing.create(MOST) as ring, ring.producer() as tx, ring.consumer() as rx:
        for i in range(40):
            message = bytes([i]) * (40_000 + i)
            assert tx.push(message)
            with rx.peek() as peek:
                assert peek.view is not None
                assert (peek.view.contiguous, peek.view.readonly) == (True, True)
                assert peek.view == message


def test_what_is_too_long_or_no_message_is_refused_and_loses_nothing() -> None:
    with ByteRing.create(1) as ring, ring.producer() as tx, ring.consumer() as rx:
        assert ring.capacity == tx.capacity == MOST
        assert tx.push(b"before")
        for call in (
            lambda: tx.push(bytes(MOST + 1)),
            lambda: tx.push(bytearray(MOST + 1)),
            lambda: tx.push_many([b"x", bytes(MOST + 1)]),
            lambda: tx.push_wait(bytes(MOST + 1), None),
            lambda: tx.claim(MOST + 1),
            lambda: tx.claim(-1),
            lambda: tx.claim(1.5),  # type: ignore[arg-type]
            lambda: rx.pop_many(0),
            lambda: rx.pop_many(True),
        ):
            with pytest.raises(RecordError):
                call()
        for wrong in ("text", 7, None, np.zeros((4, 4))[:, 1]):
            with pytest.raises((TypeError, ValueError, BufferError)):
                tx.push(wrong)  # type: ignore[arg-type]
        assert tx.push(np.arange(3, dtype="<i8"))
        assert rx.pop_many(9) == [b"before", np.arange(3, dtype="<i8").tobytes()]
        assert (rx.pop(), rx.pop_many(3)) == (None, [])
        assert tx.push(b"")
        assert rx.pop() == b""


@pytest.mark.parametrize("capacity", [0, -1, 1 << 32, True, None, 1.5, "9"])
def test_a_capacity_that_makes_no_sense_is_refused(capacity: object) -> None:
    with pytest.raises(RecordError, match="capacity"):
        ByteRing.create(capacity)  # type: ignore[arg-type]


def test_a_claim_that_fails_or_is_kept_publishes_nothing() -> None:
    with ByteRing.create(1) as ring, ring.producer() as tx, ring.consumer() as rx:
        with pytest.raises(ZeroDivisionError), tx.claim(9) as claim:
            claim.length = 1 // 0
        with pytest.raises(RecordError, match="outlives"), tx.claim(8) as claim:
            kept = np.frombuffer(claim, "u1")
        with pytest.raises(RoleBusy, match="lent"):
            tx.push(b"x")
        del kept
        with tx.claim(8) as claim, pytest.raises(RecordError, match="between 0 and 8"):
            claim.length = 9
        assert rx.pop() == bytes(8)
        for kind in (BytesClaim, BytesPeek):
            with pytest.raises(TypeError, match="no constructor"):
                kind()


def test_damage_is_an_error_not_a_message() -> None:
    with ByteRing.create(1) as ring, ring.producer() as tx, ring.consumer() as rx:
        tx.push(b"some message")
        with open(f"/proc/self/fd/{ring.fileno()}", "r+b", buffering=0) as file:  # noqa: PTH123
            file.seek(65536)
            file.write(b"\xff" * 4)
        for call in (rx.pop, lambda: rx.pop_many(3), lambda: rx.peek().__enter__()):
            with pytest.raises(LayoutError, match="make no sense"):
                call()


def test_roles_forks_names_and_closing_are_as_everywhere(tmp_path: object) -> None:
    name = f"test-bytes-{os.getpid()}"
    with ByteRing.create(10, name=name) as ring:
        tx, rx = ring.producer(), ring.consumer()
        with pytest.raises(RoleTaken):
            ring.producer()
        tx.push(b"over the end? " * 100)
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(AssertionError):
                with contextlib.suppress(ForkedError):
                    rx.pop()
                    raise AssertionError
                assert ring.counters().pushed == 1
                with ByteRing.attach(name) as other:
                    assert other.counters().used_bytes == 1408
                status = 0
            os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert rx.pop() == b"over the end? " * 100
        rx.close()
    with pytest.raises(ClosedError):
        ring.consumer()
    tx.push(b"still works")
    tx.close()
    with pytest.raises(ClosedError):
        tx.push(b"")
