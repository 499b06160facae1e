"""The strategy while it runs: without the interpreter, without memory of its own, woken by what there is, killed."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mftcore import RoleBusy
from mftpy import records
from mftpy.links import Links
from mftpy.processes import strategy
from mftpy.records import Command, Reason
from tests.py import strategy_world
from tests.py.strategy_world import INSTRUMENT, MS, SECOND, World, forked

ROOT = Path(__file__).parents[2]


class Strategy:
    """A strategy on the structures of a market that is played by another process."""

    def __init__(self, links, wait_mode="park"):
        self.status = records.blank(records.STATUS)
        self.writer = links.strategy.writer()
        settings = strategy_world.config.load()
        code = strategy_world.code_of(settings.model.name)
        self.loop = strategy.make_loop(links, settings, code, self.status, self.writer, wait_mode=wait_mode)


def hold_interpreter(seconds):
    """Keep every thread of Python from running, as a long call into C that does not give the interpreter away."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def answered_while_held(drive, seconds):
    """Return how many books another process published, and how many were answered, while the interpreter was held.

    `drive(loop, until)` is the thread that drives the strategy.
    """
    links = Links.create(INSTRUMENT)
    made = Strategy(links)
    with forked(strategy_world.publish_until_told, links) as (_, conn):
        assert conn.recv() == "ready"
        until = time.monotonic_ns() + int((seconds + 0.3) * SECOND)
        thread = threading.Thread(target=drive, args=(made.loop, until))
        thread.start()
        time.sleep(0.1)
        began = time.monotonic_ns()
        hold_interpreter(seconds)
        ended = time.monotonic_ns()
        thread.join()
        conn.send("enough")
        told = conn.recv()
    made.loop.close()
    links.close()
    # a turn that was under way when it began is not what is asked about
    inside = [answered for at_ns, answered in told if began + 100 * MS < at_ns < ended - 50 * MS]
    return len(inside), sum(inside)


def run_once(loop, until):
    loop.run(until)


def turn_by_turn(loop, until):
    while (now := time.monotonic_ns()) < until:
        loop.turn(now)
        time.sleep(0)


def test_quotes_go_on_while_the_interpreter_is_blocked_for_a_second():
    books, answered = answered_while_held(run_once, 1.0)
    assert books > 20
    assert answered > 0.9 * books


def test_a_loop_that_needs_the_interpreter_is_seen_to_stand_still_meanwhile():
    books, answered = answered_while_held(turn_by_turn, 0.5)
    assert books > 5
    assert answered == 0


def test_turns_take_no_memory_and_one_that_does_is_seen(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path / "counter.so"
    source = Path(__file__).with_name("malloc_counter.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.py.strategy_allocations", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"LD_PRELOAD": str(library)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    ours, allocating = json.loads(ran.stdout)
    assert ours["turns"] > 100
    assert ours["quoted"] == allocating["quoted"] == [1, 1]
    assert ours["trades"] == 16_000
    assert ours["estimated"] > 0
    assert ours["appended"] > 100
    assert ours["appended"] + ours["refused"] == ours["decisions"]
    assert ours["calls"] == 0
    assert allocating["calls"] >= allocating["turns"] > 100


@pytest.fixture(params=["park", "yield", "spin"])
def world(request):
    made = World(wait_mode=request.param)
    made.heard(time.monotonic_ns())
    made.show(617_000, time.monotonic_ns())
    yield made
    made.close()


def while_it_runs(world, act, until_ns):
    """Let the loop run in a thread; `act` once it has taken its first turn. Returns what was raised there."""
    raised = []

    def body():
        try:
            world.loop.run(until_ns)
        except Exception as error:  # noqa: BLE001 (told to the caller)
            raised.append(error)

    thread = threading.Thread(target=body)
    turns = int(world.strategy_status["turns"][0])
    thread.start()
    while int(world.strategy_status["turns"][0]) == turns:
        time.sleep(0)
    act()
    thread.join()
    return raised


def deadline(seconds=20):
    return time.monotonic_ns() + int(seconds * SECOND)


def test_a_change_of_the_command_is_obeyed_and_ends_the_run_at_once(world):
    def act():
        world.order(Command.STOP_QUOTING)
        world.links.strategy_bell.ring()

    until_ns = deadline()
    assert while_it_runs(world, act, until_ns) == []
    assert time.monotonic_ns() < until_ns - 5 * SECOND
    assert world.reasons == Reason.STOPPING


@pytest.mark.parametrize("news", ["book", "account", "trade"])
def test_whatever_is_published_is_answered_by_a_turn_before_the_timer(world, news):
    world.loop.timer_ns = 100 * SECOND
    seen = []

    def act():
        turns = int(world.strategy_status["turns"][0])
        if news == "book":
            world.show(617_100, time.monotonic_ns())
        elif news == "account":
            world.change_account(fills=1)
        else:
            world.print_trade(617_040, 1, time.monotonic_ns())
        world.links.strategy_bell.ring()
        while int(world.strategy_status["turns"][0]) == turns:
            time.sleep(0)
        seen.append(int(world.strategy_status["turns"][0]) - turns)
        world.order(Command.EXIT)
        world.links.strategy_bell.ring()

    assert while_it_runs(world, act, deadline()) == []
    assert seen[0] >= 1


def test_the_index_is_news_only_where_the_fair_price_is_made_of_it():
    for source, expected in (("index", True), ("mid", False)):
        world = World({"quoting.fair_price": source}, wait_mode="yield")
        world.heard(time.monotonic_ns())
        world.show(617_000, time.monotonic_ns())
        world.loop.timer_ns = 100 * SECOND
        world.loop.run(time.monotonic_ns() + MS)
        turns = int(world.strategy_status["turns"][0])
        thread = threading.Timer(0.02, world.set_index, (61_701.0,))
        thread.start()
        world.loop.run(time.monotonic_ns() + 100 * MS)
        thread.join()
        # one turn at its beginning, and one for the index
        assert int(world.strategy_status["turns"][0]) - turns == 1 + expected
        world.close()


def test_without_any_news_turns_come_by_timer(world):
    world.loop.timer_ns = 5 * MS
    turns = int(world.strategy_status["turns"][0])
    world.loop.run(time.monotonic_ns() + 60 * MS)
    assert 2 <= int(world.strategy_status["turns"][0]) - turns <= 13


def test_a_second_thread_is_told_that_the_loop_is_in_use(world):
    def act():
        with pytest.raises(RoleBusy):
            world.loop.turn(time.monotonic_ns())
        world.order(Command.EXIT)
        world.links.strategy_bell.ring()

    assert while_it_runs(world, act, deadline()) == []


def test_after_a_kill_at_any_moment_a_successor_goes_on_from_the_last_whole_target():
    links = Links.create(INSTRUMENT)
    market = strategy_world.Market(links)
    target = records.blank(records.TARGET)
    reader = links.target.reader()
    version = 0
    for number in range(2):
        with forked(strategy_world.quote_for_ever, links) as (process, conn):
            assert conn.recv() == "ready"
            until_ns = time.monotonic_ns() + 10 * SECOND
            while reader.version < version + 20 and time.monotonic_ns() < until_ns:
                now_ns = time.monotonic_ns()
                market.heard(now_ns)
                market.show(617_000 + 100 * (number % 2), now_ns)
                links.strategy_bell.ring()
            process.kill()
            process.join()
        version = reader.version
        stamp = reader.read_into(target)
        assert (target["n_bids"][0], stamp.writer_alive) == (1, False)
        assert version >= 20 * (number + 1)
    made = Strategy(links)
    market.heard(time.monotonic_ns())
    market.show(617_000, time.monotonic_ns())
    assert made.loop.turn(time.monotonic_ns())
    stamp = reader.read_into(target)
    assert (stamp.version, stamp.epoch, target["n_bids"][0]) == (version + 1, 3, 1)
    made.loop.close()
    reader.close()
    links.close()
