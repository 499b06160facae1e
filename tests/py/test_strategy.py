"""What the strategy process publishes, on real shared structures."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from mftcore import LEVEL, MasterBook
from mftpy import config, records
from mftpy.links import Instrument, Links
from mftpy.processes.jobs import Job, choose_placement
from mftpy.processes.strategy import Decider
from mftpy.records import Command, Reason, State


class World:
    """Book, account and market data's status, as the other processes would write them."""

    def __init__(self):
        self.links = Links.create(Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD"))
        self.book, self.account_writer = self.links.book.writer(), self.links.account.writer()
        self.status_writer, self.targets = self.links.market_data.writer(), self.links.target.reader()
        self.account = records.blank(records.ACCOUNT)
        self.account["ready"] = 1
        self.account_writer.write(self.account)
        settings = config.load()
        child = SimpleNamespace(status=records.blank(records.STATUS))
        self.decider = Decider(self.links, Job("run", "ws://x/", settings, choose_placement(settings)), child)

    def show(self, mid_ticks, receive_ns):
        """Publish a book around a mid."""
        master, levels = MasterBook(), np.zeros(3, LEVEL)
        levels["size_lots"] = 1000
        bids, asks = levels.copy(), levels.copy()
        bids["price_ticks"], asks["price_ticks"] = mid_ticks - np.arange(1, 4), mid_ticks + np.arange(1, 4)
        master.snapshot(bids, asks)
        self.book.publish(master, exchange_time_ns=0, receive_ns=receive_ns, state=0)

    def hold(self, lots):
        """Let the account hold a position."""
        self.account["position_lots"] = lots
        self.account_writer.write(self.account)

    def fill(self, count):
        """Let the account have seen so many fills."""
        self.account["fills"] = count
        self.account_writer.write(self.account)

    def decide(self, command=Command.RUN):
        """Let the strategy take a turn; returns the target."""
        status = records.blank(records.STATUS)
        status["state"], status["turn_ns"] = State.READY, time.monotonic_ns()
        self.status_writer.write(status)
        self.decider.turn(command)
        target = records.blank(records.TARGET)
        self.targets.read_into(target)
        return target[0]


@pytest.fixture
def world():
    made = World()
    yield made
    made.links.close()


def test_a_book_update_that_moves_the_quotes_is_named_as_their_cause_also_by_later_targets(world):
    world.show(617_000, 100)
    assert world.decide()["cause_version"] == 0  # it was there before the strategy
    world.show(617_100, 200)
    target = world.decide()
    assert (target["cause_version"], target["cause_receive_ns"]) == (target["book_version"], 200)
    world.show(617_101, 300)  # too small a move to ask for anything else
    later = world.decide()
    assert later["book_version"] > target["book_version"]
    assert (later["cause_version"], later["cause_receive_ns"]) == (target["cause_version"], 200)


def test_a_fill_that_moves_the_quotes_is_no_book_update(world):
    world.show(617_000, 100)
    world.decide()
    world.show(617_100, 200)
    before = world.decide()
    world.hold(30)
    after = world.decide()
    assert after["bid_ticks"][0] < before["bid_ticks"][0] - 10
    assert after["cause_version"] == before["cause_version"]


def test_nothing_is_asked_for_without_an_account_or_after_the_stop(world):
    world.show(617_000, 100)
    assert world.decide()["n_bids"] == world.decide()["n_asks"] == 1
    stopping = world.decide(Command.STOP_QUOTING)
    assert (stopping["n_bids"], stopping["n_asks"], stopping["reasons"]) == (0, 0, Reason.STOPPING)
    world.account["ready"] = 0
    world.hold(0)
    assert world.decide()["reasons"] == Reason.ACCOUNT_NOT_READY


def test_execution_is_woken_for_every_fill_that_has_become_known_since_its_inserts_wait_for_that(world):
    world.show(617_000, 100)
    world.decide()
    bell = world.links.execution_bell
    for fills, woken in ((0, False), (1, True), (1, False), (2, True)):
        world.fill(fills)
        bell.arm()
        target = world.decide()
        assert (bell.disarm(), target["account_fills"]) == (woken, fills)
        assert target["threshold_ticks"] == 2
