"""The longer wire: late by what was asked for, in order, the same for the same seed; and on a real connection."""

import asyncio
import random
import time

import pytest

from mftpy.errors import ConfigError
from mftpy.sim.latency import Latency
from tests.py.exchange_served import BOOK, on_loop, served


def travel(latency, number=1, direction="in", count=500):
    """Return what arrived, in order, as (when it set out, when it arrived, which)."""
    line, rng, now_ns, found = latency.line(number, direction), random.Random(7), 0, []
    for place in range(count):
        now_ns += rng.randrange(400_000)
        line.put((now_ns, place), now_ns)
    while (due_ns := line.next_due_ns()) is not None:
        assert line.take(due_ns - 1) == []
        found += [(set_out_ns, due_ns, place) for set_out_ns, place in line.take(due_ns)]
    return found


def test_everything_arrives_in_order_and_as_late_as_was_asked():
    found = travel(Latency(20, 5))
    assert [place for _, _, place in found] == list(range(500))
    late = [(arrived - set_out) / 1e6 for set_out, arrived, _ in found]
    assert min(late) >= 15
    arrivals = [arrived for _, arrived, _ in found]
    assert arrivals == sorted(arrivals)
    free = [late[0], *(ms for ms, before, at in zip(late[1:], arrivals, arrivals[1:], strict=False) if at > before)]
    assert max(free) <= 25  # what waits for nobody before it


def test_without_jitter_everything_is_late_by_the_same():
    assert {arrived - set_out for set_out, arrived, _ in travel(Latency(3))} == {3_000_000}


def test_the_same_seed_gives_the_same_delays_and_each_direction_its_own():
    assert travel(Latency(20, 5)) == travel(Latency(20, 5))
    different = [travel(Latency(20, 5)), travel(Latency(20, 5, seed=2)), travel(Latency(20, 5), 2),
                 travel(Latency(20, 5), direction="out")]  # fmt: skip
    assert len({tuple(one) for one in different}) == 4


@pytest.mark.parametrize("wrong", [(-1, 0), (1, 2), (1, -1), (1e9, 0), (float("nan"), 0)])
def test_an_impossible_latency_is_refused(wrong):
    with pytest.raises(ConfigError):
        Latency(*wrong)


@on_loop
async def test_a_connection_has_it_both_ways_for_pings_answers_and_the_end():
    async with served(latency=Latency(15, 5)) as exchange:
        client = await exchange.client()
        for what in (client.call("public/system_info"), client.ws.ping()):
            start = time.monotonic()
            found = await what
            if not isinstance(found, dict):
                await found
            assert time.monotonic() - start >= 0.02  # it cannot be quicker than two times the least
        await client.subscribe(BOOK)
        stamps = [(await client.notice(BOOK))["notification"]["time"] for _ in range(30)]
        assert stamps == sorted(stamps)
        await client.login()
        await client.call("private/set_cancel_on_disconnect", timeout_secs=60)
        await client.insert("buy", 900)
        watcher = await exchange.client()
        await watcher.login()
        await watcher.subscribe("account.orders")
        client.ws.transport.abort()
        gone = await watcher.until(lambda message: "session_end" in str(message))
        assert gone["notification"][0]["delete_reason"] == "session_end"
        exchange.add(kind="session_kill")
        assert await watcher.closed() == 1006


@on_loop
async def test_many_requests_at_once_are_answered_in_order_along_a_longer_wire():
    async with served(latency=Latency(5, 5)) as exchange:
        client = await exchange.client()
        asked = [await client.ask("public/index", underlying="BTCUSD") for _ in range(200)]
        assert [(await client.read())["id"] for _ in asked] == asked
        await asyncio.gather(*[(await exchange.client()).call("public/system_info") for _ in range(5)])
