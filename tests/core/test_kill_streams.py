"""`ByteRing` and `Broadcast` between Python processes that are killed at random instants."""

import multiprocessing
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mftcore import Broadcast, BroadcastReader, BroadcastWriter, ByteConsumer, ByteProducer, ByteRing, Unstable
from tests.core.test_kill_records import RECORD, Victims, derived, judge, kills, records, report, victims

__all__ = ["victims"]

BATCH = 16
CAPACITY = 63  # records that a reader of the broadcast may be behind
SIGNS, USED, EPOCH_SEEN, CONSUMERS = range(4)  # words of `said`


@pytest.fixture
def ring() -> Iterator[ByteRing]:
    with ByteRing.create(50_000) as made:
        yield made


@pytest.fixture
def broadcast() -> Iterator[Broadcast]:
    with Broadcast.create(RECORD, CAPACITY) as made:
        yield made


@pytest.fixture
def forked() -> Victims:
    return Victims(multiprocessing.get_context("fork"))


# ---- messages ----


def message(sequence: int, epoch: int) -> bytes:
    """Return a message whose length follows from its sequence, and its contents from that and the epoch."""
    words = derived(
        np.array([sequence], np.uint64),
        np.array([epoch], np.uint64),
        2 + sequence * 7 % (3000 if sequence % 50 == 0 else 60),
    )[0]
    words[:2] = sequence, epoch
    return words.tobytes()


def fault_of(found: bytes, sequence: int, lowest_epoch: int, highest_epoch: int) -> str:
    """Return what is wrong with the message that must be number `sequence`; nothing when nothing is."""
    said, epoch = (int.from_bytes(found[at : at + 8], "little") for at in (0, 8))
    if found != message(said, epoch):
        return "torn"
    if said != sequence:
        return "repeated" if said < sequence else "lost"
    return "" if lowest_epoch <= epoch <= highest_epoch else "wrong"


def push_some(tx: ByteProducer, rng: random.Random, at: int) -> int:
    way, made = rng.randrange(3), message(at, tx.epoch)
    if way == 0:
        return at + tx.push(made)
    if way == 1:
        return at + tx.push_many(message(at + i, tx.epoch) for i in range(rng.randint(1, BATCH)))
    with tx.claim(len(made)) as claim:
        if claim.view is not None:
            claim.view[:] = made
            at += 1
    return at


def produce(said: Any, ring: ByteRing, seed: int) -> None:
    tx, rng = ring.producer(), random.Random(seed)
    at = ring.counters().pushed  # message n is the n-th ever pushed, whoever died
    said[SIGNS] += 1
    while True:
        at = push_some(tx, rng, at)


def consume(said: Any, ring: ByteRing, seed: int) -> None:
    rx, rng = ring.consumer(), random.Random(seed)
    at, latest = ring.counters().popped, rx.producer_epoch

    def use(found: bytes) -> None:
        nonlocal at
        fault = fault_of(found, at, said[EPOCH_SEEN], latest)
        assert fault == "", f"{fault} in the consumer at {at}"  # the parent sees that this process ended by itself
        said[EPOCH_SEEN] = int.from_bytes(found[8:16], "little")
        at += 1
        said[USED] = at

    said[CONSUMERS] += 1
    said[SIGNS] += 1
    while True:
        way = rng.randrange(3)
        if way == 0:
            found = rx.pop()
            if found is not None:
                use(found)
        elif way == 1:
            for found in rx.pop_many(BATCH):
                use(found)
        else:
            with rx.peek() as peek:
                if peek.view is not None:
                    use(bytes(peek.view))


class Drain:
    """The surviving consumer: pops all the time, and notes the first fault."""

    def __init__(self, rx: ByteConsumer) -> None:
        self.rx, self.at, self.epoch, self.fault = rx, 0, 0, ""

    def __call__(self) -> int:
        found = self.rx.pop_many(BATCH)
        for one in found:
            self.fault = self.fault or fault_of(one, self.at, self.epoch, self.epoch)
            self.at += 1
        return len(found)

    def to_the_end(self) -> None:
        while self() and not self.fault:
            pass


def test_each_message_of_killed_producers_comes_whole_once_and_in_order(ring: ByteRing, victims: Victims) -> None:
    method, total, done = victims.context.get_start_method(), kills(victims.context.get_start_method()), 0
    drain = Drain(ring.consumer())
    for turn in range(total):
        before, start, signs = drain.rx.producer_epoch, drain.at, victims.said[SIGNS]
        drain.epoch = before + 1
        child = victims.start(produce, ring, turn)
        victims.kill_at_random(child, drain, signs)
        drain.to_the_end()
        assert drain.fault == ""
        counters = ring.counters()
        assert (counters.pushed, counters.popped, counters.used_bytes) == (drain.at, drain.at, 0)
        assert not drain.rx.producer_alive
        with ring.producer() as tx:  # a successor while the dead one is still a zombie
            assert tx.epoch == drain.rx.producer_epoch > before
            drain.epoch = tx.epoch
            assert tx.push_many(message(drain.at + i, tx.epoch) for i in range(3)) == 3
            drain.to_the_end()
            assert drain.fault == ""
        child.join()
        done += drain.at - start > 3
    assert done > 0
    report("Python: messages, producer", method, done, total, handed_over=drain.at)


def test_a_killed_consumer_costs_at_most_the_messages_of_one_call(ring: ByteRing, forked: Victims) -> None:
    total, done, again, gone = kills("fork"), 0, 0, 0
    tx, rng, at = ring.producer(), random.Random(7), 0

    def push() -> None:
        nonlocal at
        at = push_some(tx, rng, at)

    for turn in range(total):
        head, consumers, signs = ring.counters().popped, forked.said[CONSUMERS], forked.said[SIGNS]
        forked.said[USED] = head
        child = forked.start(consume, ring, turn)
        forked.kill_at_random(child, push, signs)
        counters = ring.counters()
        used = forked.said[USED]
        if forked.said[CONSUMERS] > consumers and used > head:
            # popped and not used: at most a call's; used and not popped: the one that was peeked at
            assert used - 1 <= counters.popped <= used + BATCH
            again += max(used - counters.popped, 0)
            gone += max(counters.popped - used, 0)
            done += 1
        assert counters.pushed == at
        while (after := push_some(tx, rng, at)) != at:  # the survivor goes on until the ring is full
            at = after
        child.join()
    assert done > 0
    report("Python: messages, consumer", "fork", done, total, again, gone, ring.counters().popped)


# ---- the broadcast ----


def write_some(writer: BroadcastWriter, rng: random.Random, number: int) -> int:
    made = records(number + 1, rng.randint(1, BATCH), writer.epoch)
    if rng.random() < 0.5:
        return writer.write_many(made)
    return writer.write(made[:1].tobytes())


def spread(said: Any, broadcast: Broadcast, seed: int) -> None:
    writer, rng = broadcast.writer(), random.Random(seed)
    number = broadcast.written
    said[SIGNS] += 1
    while True:
        number = write_some(writer, rng, number)


class Listener:
    """A reader that reads all the time, and notes the first fault."""

    def __init__(self, reader: BroadcastReader) -> None:
        self.reader, self.out = reader, np.zeros(BATCH, RECORD)
        self.number = reader.number
        self.got = self.epoch = self.unstable = 0
        self.fault = ""

    def __call__(self) -> int:
        try:
            count = self.reader.read_many(self.out)
        except Unstable:
            self.unstable += 1
            return 0
        if count:
            first = self.reader.number - count + 1
            if first <= self.number:
                self.fault = self.fault or "repeated"
            self.fault = self.fault or (judge(self.out[:count], first, self.epoch, self.reader.writer_epoch) or "")
            self.number, self.epoch = self.reader.number, self.reader.record_epoch
            self.got += count
        return count

    def to_the_end(self) -> None:
        while self() and not self.fault:
            pass


def test_a_reader_sees_each_record_of_killed_writers_or_knows_that_it_was_lost(
    broadcast: Broadcast, victims: Victims
) -> None:
    method, total, done = victims.context.get_start_method(), kills(victims.context.get_start_method()), 0
    prompt, late = Listener(broadcast.reader()), Listener(broadcast.reader())
    for turn in range(total):
        prompt.to_the_end()
        start, epoch, signs = prompt.number, prompt.reader.writer_epoch, victims.said[SIGNS]
        child = victims.start(spread, broadcast, turn)
        victims.kill_at_random(child, prompt, signs)
        unstable = prompt.unstable
        for listener in (prompt, late):
            listener.to_the_end()
            assert listener.fault == ""
            assert listener.got + listener.reader.lost == broadcast.written  # each one was seen or is counted
        assert prompt.unstable == unstable, "a dead writer makes the reader wait"
        if prompt.number > start:
            assert prompt.epoch == prompt.reader.writer_epoch == epoch + 1
            done += 1
        with broadcast.writer() as writer:  # a successor while the dead one is still a zombie
            assert writer.epoch > prompt.epoch
            assert write_some(writer, random.Random(turn), broadcast.written) == broadcast.written
        child.join()
    assert done > 0
    report("Python: broadcast, writer", method, done, total, handed_over=prompt.got)


def listen(said: Any, broadcast: Broadcast, seed: int) -> None:
    listener = Listener(broadcast.reader(at=random.Random(seed).choice(["oldest", "newest"])))
    said[SIGNS] += 1
    while True:
        said[USED] += listener()
        assert listener.fault == ""  # the parent sees that this process ended by itself


def test_a_killed_reader_matters_neither_to_the_writer_nor_to_other_readers(
    broadcast: Broadcast, forked: Victims
) -> None:
    total, done = kills("fork"), 0
    writer, other, rng = broadcast.writer(), Listener(broadcast.reader()), random.Random(5)

    def write_and_read() -> None:
        number = broadcast.written
        assert number < write_some(writer, rng, number) <= number + BATCH
        other.to_the_end()

    for turn in range(total):
        used, signs = forked.said[USED], forked.said[SIGNS]
        child = forked.start(listen, broadcast, turn)
        forked.kill_at_random(child, write_and_read, signs)
        write_and_read()
        assert (other.fault, other.unstable, other.reader.lost) == ("", 0, 0)
        assert other.got == broadcast.written
        done += forked.said[USED] > used
        child.join()
    assert done > 0
    report("Python: broadcast, reader", "fork", done, total, handed_over=forked.said[USED])


# ---- planted bugs ----


def send_halves(said: Any, ring: ByteRing, _seed: int) -> None:
    """A producer that publishes half a message now and then."""
    tx, at = ring.producer(), ring.counters().pushed
    said[SIGNS] += 1
    while True:
        made = message(at, tx.epoch)
        at += tx.push(made if at % 100 < 99 else made[: len(made) // 16 * 8])


def send_anew(said: Any, ring: ByteRing, _seed: int) -> None:
    """A producer that counts for itself: its successor begins anew."""
    tx, at = ring.producer(), 0
    said[SIGNS] += 1
    while True:
        at += tx.push(message(at, tx.epoch))


@pytest.mark.parametrize(("bug", "fault"), [(send_halves, "torn"), (send_anew, "repeated")])
def test_a_planted_bug_of_a_producer_is_found(ring: ByteRing, forked: Victims, bug: Any, fault: str) -> None:
    drain = Drain(ring.consumer())
    for turn in range(20):
        drain.epoch = drain.rx.producer_epoch + 1
        signs = forked.said[SIGNS]
        child = forked.start(bug, ring, turn)
        forked.kill_at_random(child, drain, signs, early=0)
        drain.to_the_end()
        child.join()
        if drain.fault:
            break
    assert drain.fault == fault


def spread_halves(said: Any, broadcast: Broadcast, _seed: int) -> None:
    """A writer that publishes half a record now and then."""
    writer, number = broadcast.writer(), broadcast.written
    said[SIGNS] += 1
    while True:
        made = records(number + 1, 1, writer.epoch)
        if number % 10 == 9:
            made["derived"][0, 3:] = 0
        number = writer.write_many(made)


def spread_anew(said: Any, broadcast: Broadcast, _seed: int) -> None:
    """A writer that counts for itself: its successor begins anew."""
    writer, number = broadcast.writer(), 0
    said[SIGNS] += 1
    while True:
        number += 1
        writer.write_many(records(number, 1, writer.epoch))


@pytest.mark.parametrize(("bug", "fault"), [(spread_halves, "torn"), (spread_anew, "repeated")])
def test_a_planted_bug_of_a_writer_is_found(broadcast: Broadcast, forked: Victims, bug: Any, fault: str) -> None:
    listener = Listener(broadcast.reader())
    for turn in range(20):
        signs = forked.said[SIGNS]
        child = forked.start(bug, broadcast, turn)
        forked.kill_at_random(child, listener, signs, early=0)
        listener.to_the_end()
        child.join()
        if listener.fault:
            break
    assert listener.fault == fault
