"""From asyncio and uvloop: awaited records come in order, a cancelled task loses none, and nothing spins."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import uvloop

from mftcore import ByteRing, ClosedError, PeerDied, RecordError, Seqlock, SpscRing, aio
from tests.core.children import child

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
on_both_loops = pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS.keys())


def run(new_loop: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(asyncio.wait_for(main, 60))


def send(ring: SpscRing, count: int, pause_every: int) -> None:
    tx = ring.producer()
    for i in range(count):
        assert tx.push_wait(i.to_bytes(8, "little"), 60.0)
        if i % pause_every == 0:
            time.sleep(0.001)  # so that the other side really goes to sleep
    tx.wait(60.0)


@on_both_loops
def test_awaited_records_of_another_process_come_once_and_in_order(new_loop: Any) -> None:
    async def main(ring: SpscRing) -> None:
        rx = ring.consumer()
        for i in range(3000):
            assert await rx.pop_async() == i.to_bytes(8, "little")

    with SpscRing.create(8, 16) as ring, child(send, ring, 3000, 100):
        run(new_loop, main(ring))


@on_both_loops
def test_async_for_and_batches_take_everything(new_loop: Any) -> None:
    async def one_by_one(ring: SpscRing) -> None:
        rx, expected = ring.consumer(), 0
        async for record in rx:
            assert record == expected.to_bytes(8, "little")
            expected += 1
            if expected == 3000:
                break
        rx.close()

    async def in_batches(ring: SpscRing) -> None:
        rx, expected = ring.consumer(), 0
        async for part in rx.batches(np.zeros(64, "<u8")):
            assert (part == np.arange(expected, expected + len(part), dtype="<u8")).all()
            expected += len(part)
            if expected == 3000:
                break

    for main in (one_by_one, in_batches):
        with SpscRing.create("<u8", 16) as ring, child(send, ring, 3000, 100):
            run(new_loop, main(ring))


@on_both_loops
def test_a_cancelled_task_loses_no_record_and_its_endpoint_is_free_at_once(new_loop: Any) -> None:
    async def main(ring: SpscRing) -> None:
        rx, got = ring.consumer(), []
        while len(got) < 500:
            task = asyncio.ensure_future(rx.pop_async())
            await asyncio.sleep(0)
            if len(got) % 2:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                got.append(await task)
            record = rx.pop()  # not busy: nothing of the cancelled wait holds it
            if record is not None:
                got.append(record)
        assert got[:500] == [i.to_bytes(8, "little") for i in range(500)]

    with SpscRing.create(8, 8) as ring, child(send, ring, 600, 10):
        run(new_loop, main(ring))


@on_both_loops
def test_many_tasks_wait_at_their_own_endpoints_beside_other_work(new_loop: Any) -> None:
    async def main() -> None:
        rings = [SpscRing.create(8, 4) for _ in range(300)]  # more than one thread can sleep for
        consumers, producers = [ring.consumer() for ring in rings], [ring.producer() for ring in rings]
        tasks = [asyncio.ensure_future(rx.pop_async()) for rx in consumers]
        ticks = 0
        while ticks < 3:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not any(task.done() for task in tasks)
        for i, tx in enumerate(producers):
            tx.push(i.to_bytes(8, "little"))
        assert await asyncio.gather(*tasks) == [i.to_bytes(8, "little") for i in range(300)]

    run(new_loop, main())


@on_both_loops
def test_timeouts_pass_and_news_of_a_seqlock_and_room_are_waited_for_as_well(new_loop: Any) -> None:
    async def main() -> None:
        with Seqlock.create(8) as lock, SpscRing.create(8, 1) as ring, ByteRing.create(9) as messages:
            writer, reader = lock.writer(), lock.reader()
            assert await reader.wait_async(0.002) is False
            task = asyncio.ensure_future(reader.wait_async())
            await asyncio.sleep(0.001)
            writer.write(bytes(8))
            assert await task is True
            tx, rx = ring.producer(), ring.consumer()
            tx.push(bytes(8))
            room = asyncio.ensure_future(tx.wait_async())
            await asyncio.sleep(0.001)
            rx.pop()
            assert await room is True
            message = asyncio.ensure_future(messages.consumer().pop_async())
            messages.producer().push(b"any size")
            assert await message == b"any size"
            rx.close()
            with pytest.raises(ClosedError):
                await rx.pop_async()

    run(new_loop, main())


@on_both_loops
def test_a_timeout_that_makes_no_sense_is_refused_and_not_waited_for(new_loop: Any) -> None:
    async def main() -> None:
        with SpscRing.create(8, 4) as ring, ring.consumer() as rx:
            for timeout_s in (-1.0, float("nan"), float("inf")):
                with pytest.raises(RecordError, match="timeout"):
                    await rx.wait_async(timeout_s)

    run(new_loop, main())


@on_both_loops
def test_a_death_is_told_to_the_task_that_waits(new_loop: Any) -> None:
    def die(ring: SpscRing) -> None:
        _held = ring.producer()
        _held.push(bytes(8))
        os.kill(os.getpid(), signal.SIGKILL)

    async def main(ring: SpscRing) -> None:
        rx = ring.consumer()
        assert await rx.pop_async() == bytes(8)
        with pytest.raises(PeerDied):
            await rx.pop_async()

    with SpscRing.create(8, 4) as ring, child(die, ring):
        run(new_loop, main(ring))


@on_both_loops
def test_a_task_that_waits_is_woken_by_a_ring_or_ten_times_a_second_and_never_spins(
    new_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = []
    wake = aio._wake
    monkeypatch.setattr(aio, "_wake", lambda futures: (woken.append(len(futures)), wake(futures)))

    async def main(ring: SpscRing) -> None:
        task = asyncio.ensure_future(ring.consumer().pop_async())
        start = time.monotonic()
        await asyncio.sleep(0.5)
        assert 1 <= len(woken) <= (time.monotonic() - start) / aio.LOOK_AGAIN_S + 2  # the first look comes early
        task.cancel()

    with SpscRing.create(8, 4) as ring:
        run(new_loop, main(ring))


def test_the_sleeping_thread_ends_with_its_loop() -> None:
    def sleepers() -> int:
        return sum(thread.name == "mftcore-sleeper" for thread in threading.enumerate())

    async def main(ring: SpscRing) -> None:
        assert await ring.consumer().wait_async(0.01) is False
        assert sleepers() >= 1

    with SpscRing.create(8, 4) as ring:
        for _ in range(5):
            asyncio.run(main(ring))
    for thread in threading.enumerate():
        if thread.name == "mftcore-sleeper":
            thread.join(30)
    assert sleepers() == 0
