"""`SpscRing` between Python processes that are killed at random instants."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import pytest

from mftcore import SpscConsumer, SpscProducer, SpscRing
from tests.core.test_kill_records import DEADLINE_S, RECORD, Records, Victims, judge, kills, records, report, victims

__all__ = ["victims"]

BATCH = 16
SIGNS, USED, EPOCH_SEEN, CONSUMERS = range(4)  # words of `said`


@pytest.fixture
def ring() -> Iterator[SpscRing]:
    with SpscRing.create(RECORD, 64) as made:
        yield made


# ---- in the children ----


def push_some(tx: SpscProducer, rng: random.Random, at: int) -> int:
    made = records(at, rng.randint(1, BATCH), tx.epoch)
    if rng.random() < 0.5:
        return at + tx.push_many(made)
    for one in made:
        if not tx.push(one.tobytes()):
            break
        at += 1
    return at


def produce(said: Any, ring: SpscRing, seed: int) -> None:
    tx, rng = ring.producer(), random.Random(seed)
    at = ring.counters().pushed  # record n is the n-th ever pushed
    said[SIGNS] += 1
    while True:
        at = push_some(tx, rng, at)


def consume(said: Any, ring: SpscRing, seed: int) -> None:
    rx, rng, at = ring.consumer(), random.Random(seed), ring.counters().popped
    out = np.zeros(BATCH, RECORD)
    said[CONSUMERS] += 1
    said[SIGNS] += 1
    while True:
        way = rng.randrange(3)
        if way == 0:
            n = rx.pop_many(out)
        elif way == 1:
            n = int(rx.pop_into(out[:1]))
        else:
            raw = rx.pop()
            n = int(raw is not None)
            if raw is not None:
                out[:1] = np.frombuffer(raw, RECORD)
        if n:
            fault = judge(out[:n], at, said[EPOCH_SEEN], rx.producer_epoch)
            assert fault is None, (
                f"{fault} in the consumer at {at}"
            )  # the parent sees that this process ended by itself
            said[EPOCH_SEEN] = int(out["epoch"][n - 1])
            at += n
            said[USED] = at


# ---- the survivor's part ----


class Drain:
    """The surviving consumer: pops all the time, and notes the first fault."""

    def __init__(self, rx: SpscConsumer, out: Records | None = None) -> None:
        self.rx, self.out, self.at = rx, np.zeros(BATCH, RECORD) if out is None else out, 0
        self.epoch, self.fault = 0, ""

    def __call__(self) -> None:
        n = self.rx.pop_many(self.out)
        self.fault = self.fault or (judge(self.out[:n], self.at, self.epoch, self.epoch) or "")
        self.at += n

    def to_the_end(self) -> None:
        while self.rx.waiting and not self.fault:
            self()


def test_each_record_of_killed_producers_comes_whole_once_and_in_order(ring: SpscRing, victims: Victims) -> None:
    method, total, done = victims.context.get_start_method(), kills(victims.context.get_start_method()), 0
    drain = Drain(ring.consumer())
    for turn in range(total):
        before, start = drain.rx.producer_epoch, drain.at
        drain.epoch = before + 1
        signs = victims.said[SIGNS]
        child = victims.start(produce, ring, turn)
        victims.kill_at_random(child, drain, signs)
        drain.to_the_end()
        assert drain.fault == ""
        assert ring.counters().pushed == ring.counters().popped == drain.at
        assert not drain.rx.producer_alive  # unreaped, and known to be dead
        assert drain.rx.producer_epoch in {before, before + 1}
        with ring.producer() as tx:  # a successor while the dead one is still a zombie
            assert tx.epoch == drain.rx.producer_epoch > before
            drain.epoch = tx.epoch
            assert tx.push_many(records(drain.at, 3, tx.epoch)) == 3
            drain.to_the_end()
            assert drain.fault == ""
        child.join()
        done += drain.at - start > 3
    assert done > 0
    report("Python: ring, producer", method, done, total, handed_over=drain.at)


def test_a_killed_consumer_costs_at_most_the_records_of_one_call(ring: SpscRing, victims: Victims) -> None:
    method, total, done, gone = victims.context.get_start_method(), kills(victims.context.get_start_method()), 0, 0
    tx, rng = ring.producer(), random.Random(7)
    at = 0

    def push() -> None:
        nonlocal at
        at = push_some(tx, rng, at)

    for turn in range(total):
        head, used, consumers = ring.counters().popped, victims.said[USED], victims.said[CONSUMERS]
        signs = victims.said[SIGNS]
        child = victims.start(consume, ring, turn)
        victims.kill_at_random(child, push, signs)
        counters = ring.counters()
        if victims.said[CONSUMERS] > consumers and counters.popped > head:
            used = max(victims.said[USED], head)
            assert (
                used <= counters.popped <= used + BATCH
            )  # a record is given back before it is used: lost, never again
            gone += counters.popped - used
            done += 1
        assert counters.pushed == at
        free = ring.capacity - (counters.pushed - counters.popped)
        assert tx.push_many(records(at, 2 * ring.capacity, tx.epoch)) == free  # exactly the room that was given back
        at += free
        child.join()
    assert done > 0
    report("Python: ring, consumer", method, done, total, gone=gone, handed_over=ring.counters().popped)


def test_both_ends_killed_in_turn_leave_one_strict_sequence(ring: SpscRing, victims: Victims) -> None:
    method, total, kinds = (
        victims.context.get_start_method(),
        kills(victims.context.get_start_method()),
        [produce, consume],
    )
    running: list[BaseProcess | None] = [None, None]
    rng = random.Random(11)
    done = 0
    for turn in range(total):
        signs = victims.said[SIGNS]
        missing = running.count(None)
        for which in (0, 1):
            if running[which] is None:
                running[which] = victims.start(kinds[which], ring, turn)
        which = rng.randrange(2)
        child = running[which]
        assert child is not None
        popped = ring.counters().popped
        victims.kill_at_random(child, lambda: None, signs if missing else None)
        done += ring.counters().popped > popped
        running[which] = None
        child.join()
    # after all of it the last of both are at work: with few kills none may have fallen into a moment with both alive
    last = [running[which] or victims.start(kinds[which], ring, total) for which in (0, 1)]
    popped, deadline = ring.counters().popped, time.monotonic() + DEADLINE_S
    while ring.counters().popped == popped:
        assert time.monotonic() < deadline, "the last of both do not go on"
    for child in last:
        assert child.is_alive()  # it has found no fault
        child.kill()
        child.join()
    rx = ring.consumer()
    left = np.zeros(64, RECORD)
    at = ring.counters().popped
    n = rx.pop_many(left)
    assert judge(left[:n], at, victims.said[EPOCH_SEEN], rx.producer_epoch) is None
    report("Python: ring, both in turn", method, done, total, handed_over=at)


# ---- planted bugs ----


def replay(said: Any, ring: SpscRing, seed: int) -> None:
    """A producer that counts for itself: its successor begins anew, with records that are whole in themselves."""
    tx, rng, at = ring.producer(), random.Random(seed), 0
    said[SIGNS] += 1
    while True:
        at = push_some(tx, rng, at)


def tear(said: Any, ring: SpscRing, seed: int) -> None:
    """A producer that publishes half a record now and then."""
    tx, at = ring.producer(), ring.counters().pushed
    said[SIGNS] += 1
    while True:
        made = records(at, 1, tx.epoch)
        if at % 100 == 99:
            made["derived"][0, 3:] = 0
        at += tx.push_many(made)


@pytest.mark.parametrize(("bug", "fault"), [(replay, "repeated"), (tear, "torn")])
def test_a_planted_bug_is_found(ring: SpscRing, bug: Any, fault: str) -> None:
    victims = Victims(multiprocessing.get_context("fork"))
    drain = Drain(ring.consumer())
    for turn in range(20):
        drain.epoch = drain.rx.producer_epoch + 1
        signs = victims.said[SIGNS]
        child = victims.start(bug, ring, turn)
        victims.kill_at_random(child, drain, signs, early=0)
        drain.to_the_end()
        child.join()
        if drain.fault:
            break
    assert drain.fault == fault
