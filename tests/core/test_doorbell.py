"""`Doorbell`: no wake-up lost, no system call while the waiter is awake, and what happens around it."""

import gc
import multiprocessing
import os
import pickle
import select
import signal
import threading
import time
from collections.abc import Callable

import pytest

from mftcore import ClosedError, Doorbell, KernelError, RecordError, SpscRing


def test_a_ring_needs_a_system_call_only_while_the_waiter_is_armed() -> None:
    with Doorbell.create() as bell:
        assert bell.ring() is False
        bell.arm()
        assert bell.ring() is True
        assert bell.ring() is False
        assert select.select([bell], [], [], 0)[0] == [bell]
        assert bell.disarm() is True
        assert select.select([bell], [], [], 0)[0] == []
        assert bell.ring() is False
        bell.arm()
        assert bell.disarm() is False


def test_wait_first_sends_the_caller_to_look_again_then_sleeps_until_rung() -> None:
    with Doorbell.create() as bell:
        assert bell.wait(0) is True
        assert bell.wait(0) is False
        assert bell.wait(0.01) is False
        assert bell.ring() is True
        assert bell.wait(60) is True
        assert bell.ring() is False
        assert bell.wait(60) is True  # armed again: look
        assert bell.ring() is True
        assert bell.wait(60) is True


def feed(ring: SpscRing, bell: Doorbell, total: int) -> None:
    tx = ring.producer()
    for i in range(total):
        while not tx.push(i.to_bytes(8, "little")):
            bell.ring()
            os.sched_yield()
        bell.ring()
        if i % 64 == 0:
            time.sleep(0)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_waiter_that_is_rung_by_another_process_misses_nothing(method: str) -> None:
    """The timeout is far beyond the deadline of the suite: a lost wake-up would show as a False."""
    total = 5_000
    with SpscRing.create(8, 64) as ring, Doorbell.create() as bell:
        rx = ring.consumer()
        child = multiprocessing.get_context(method).Process(target=feed, args=(ring, bell, total))
        child.start()
        expected = 0
        while expected < total:
            while (record := rx.pop()) is not None:
                assert int.from_bytes(record, "little") == expected
                expected += 1
            if expected < total:
                assert bell.wait(60) is True
        child.join()
        assert child.exitcode == 0


@pytest.mark.parametrize("poller", ["epoll", "poll"])
def test_a_loop_that_polls_sockets_as_well_misses_nothing(poller: str) -> None:
    total, got = 3_000, 0
    ring, bell = SpscRing.create(8, 4), Doorbell.create()
    rx, thread = ring.consumer(), threading.Thread(target=feed, args=(ring, bell, total))
    waiting = getattr(select, poller)()
    waiting.register(bell.fileno(), select.EPOLLIN)
    thread.start()
    while got < total:
        bell.arm()
        if not rx.waiting:
            assert waiting.poll(60 if poller == "epoll" else 60_000)
        bell.disarm()
        while rx.pop() is not None:
            got += 1
    thread.join()
    bell.close()


def test_a_signal_interrupts_a_wait_with_its_exception_and_the_bell_still_works() -> None:
    class Interrupted(Exception):  # noqa: N818
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Doorbell.create() as bell:
            bell.wait(0)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupted):
                bell.wait(60)
            assert bell.ring() is True
            assert bell.wait(60) is True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_whose_handler_returns_does_not_end_a_wait() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: seen.append(number))
    try:
        with Doorbell.create() as bell:
            bell.wait(0)
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            ringer = threading.Timer(0.2, bell.ring)
            ringer.start()
            assert bell.wait(60) is True
            ringer.join()
            assert seen
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_successor_of_a_killed_waiter_takes_the_bell_over() -> None:
    with Doorbell.create() as bell:
        pid = os.fork()
        if pid == 0:
            bell.arm()
            os._exit(0)
        os.waitpid(pid, 0)
        assert bell.ring() is True  # the dead one is still armed: one call for nothing
        assert bell.ring() is False
        assert bell.wait(60) is True
        assert bell.wait(60) is True  # what was left in the eventfd
        assert bell.wait(60) is True
        assert bell.wait(0) is False
        assert bell.ring() is True
        assert bell.wait(60) is True


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e12])
def test_a_timeout_that_makes_no_sense_is_refused(timeout: float) -> None:
    with Doorbell.create() as bell, pytest.raises(RecordError, match="timeout"):
        bell.wait(timeout)


def test_use_after_close_and_half_made_bells_raise() -> None:
    bell = Doorbell.create()
    bell.close()
    bell.close()
    for call in (bell.ring, bell.arm, bell.disarm, bell.fileno, lambda: bell.wait(0), lambda: pickle.dumps(bell)):
        with pytest.raises(ClosedError):
            call()
    with pytest.raises(TypeError, match=r"use Doorbell.create"):
        Doorbell()
    with pytest.raises(ClosedError):
        Doorbell.__new__(Doorbell).ring()


def test_bells_leak_no_descriptors(open_descriptors: Callable[[], list[str]]) -> None:
    gc.collect()
    before = open_descriptors()
    for _ in range(300):
        with Doorbell.create() as bell:
            bell.ring()
        Doorbell.create().arm()
    assert open_descriptors() == before


def test_a_bell_whose_descriptor_was_closed_behind_its_back_says_so() -> None:
    bell = Doorbell.create()
    kept = os.dup(bell.fileno())
    os.close(bell.fileno())
    bell.arm()
    with pytest.raises(KernelError, match="cannot be rung"):
        bell.ring()
    os.dup2(kept, bell.fileno())
    os.close(kept)
    bell.close()
