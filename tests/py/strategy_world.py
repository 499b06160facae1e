"""A strategy's loop and the structures around it, written as the other processes would, on an injected clock."""

import multiprocessing
import time
import warnings
from contextlib import contextmanager
from functools import cache

import numpy as np

from mftcore import LEVEL, MasterBook
from mftpy import config, records
from mftpy.links import Instrument, Links
from mftpy.model.estimator import Estimator
from mftpy.processes import strategy
from mftpy.processes.child import Child
from mftpy.records import Command, Mode, Reason
from mftpy.strategy.code import Code, load_estimates, load_model

START_NS = 1_000_000_000_000
MS = 1_000_000
SECOND = 1000 * MS
INSTRUMENT = Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD")


@cache
def code_of(name):
    """Return the compiled code for a model's name, loaded once in a process."""
    told = []
    return Code(load_model(config.load(overrides={"model.name": name}), told.append), load_estimates(told.append))


class Market:
    """Book, trades, ticker, account, command and market data's status."""

    def __init__(self, links, *, with_account=True):
        self.links = links
        self.book, self.ticker = links.book.writer(), links.ticker.writer()
        self.trades, self.status_writer, self.control = (
            links.trades.producer(), links.market_data.writer(), links.control.writer(),
        )  # fmt: skip
        self.account, self.status = records.blank(records.ACCOUNT), records.blank(records.STATUS)
        if with_account:
            self.account_writer = links.account.writer()
            self.change_account(ready=1)
        self.order()
        self.set_index(61_700.0)

    def order(self, command=Command.RUN, mode=Mode.RUN):
        control = records.blank(records.CONTROL)
        control["command"], control["mode"] = command, mode
        self.control.write(control)

    def set_index(self, price, receive_ns=START_NS):
        ticker = records.blank(records.TICKER)
        ticker["index_price"] = ticker["mark_price"] = price
        ticker["receive_ns"] = receive_ns
        self.ticker.write(ticker)

    def show(self, mid_ticks, receive_ns, *, exchange_time_ns=0, state=0, lots=1000, spread=1, own=()):
        """Publish a book around a mid, `own` orders of 7 lots at prices within its spread; returns its version."""
        master, levels = MasterBook(), np.zeros(12, LEVEL)
        levels["size_lots"] = lots
        bids, asks = levels.copy(), levels.copy()
        bids["price_ticks"], asks["price_ticks"] = (mid_ticks + side * (spread + np.arange(12)) for side in (-1, 1))
        if len(own):
            bids[-1]["price_ticks"], asks[-1]["price_ticks"] = own
            bids[-1]["size_lots"] = asks[-1]["size_lots"] = 7
        master.snapshot(bids, asks)
        return self.book.publish(master, exchange_time_ns=exchange_time_ns, receive_ns=receive_ns, state=state)

    def print_trade(self, price_ticks, taker_side, receive_ns, *, lots=10, in_snapshot=0):
        trade = records.blank(records.TRADE)
        for name, value in (
            ("price_ticks", price_ticks), ("size_lots", lots), ("taker_side", taker_side),
            ("receive_ns", receive_ns), ("in_snapshot", in_snapshot),
        ):  # fmt: skip
            trade[name] = value
        return self.trades.push(trade)

    def change_account(self, **members):
        for name, value in members.items():
            if np.ndim(value):
                self.account[name][0, : len(value)] = value
            else:
                self.account[name] = value
        self.account_writer.write(self.account)

    def heard(self, now_ns, resyncs=0):
        """Let market data have heard from the exchange just now."""
        self.status["transport_ns"], self.status["resyncs"] = now_ns, resyncs
        self.status_writer.write(self.status)


class World(Market):
    """A market and a strategy in it."""

    def __init__(self, overrides=None, *, journal=None, wait_mode="park", code=None, with_account=True):
        super().__init__(Links.create(INSTRUMENT), with_account=with_account)
        self.config = config.load(overrides=overrides)
        self.now_ns = START_NS
        self.strategy_status = records.blank(records.STATUS)
        self.status_of_strategy = self.links.strategy.writer()
        self.code = code or code_of(self.config.model.name)
        self.estimator = Estimator(self.config.estimation, INSTRUMENT.tick_size)
        self.loop = strategy.make_loop(
            self.links, self.config, self.code, self.strategy_status,
            self.status_of_strategy, journal=journal, wait_mode=wait_mode, estimator=self.estimator,
        )  # fmt: skip
        self.targets = self.links.target.reader()

    def turn(self, *, later_ns=MS, heard=True):
        """Let the strategy take a turn a little later; returns the target."""
        self.now_ns += later_ns
        if heard:
            self.heard(self.now_ns, self.status["resyncs"][0])
        assert self.loop.turn(self.now_ns)
        return self.target()

    def target(self):
        target = records.blank(records.TARGET)
        self.targets.read_into(target)
        return target[0]

    @property
    def reasons(self):
        return Reason(int(self.target()["reasons"]))

    def close(self):
        self.loop.close()
        self.links.close()


@contextmanager
def forked(target, *args):
    """Run a function in a process of its own, where what is compiled need not be loaded; gives it and its pipe."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs), daemon=True)
    with warnings.catch_warnings():
        # numerical libraries have threads here, which sleep: nothing of theirs is used in the child
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def publish_until_told(links, conn):
    """Child: move the book's mid to and fro; send (time of publication, version, answered within 20 ms) of each."""
    market, targets, told = Market(links), links.target.reader(), []
    target = records.blank(records.TARGET)
    conn.send("ready")
    number = 0
    while not conn.poll():
        number += 1
        now_ns = time.monotonic_ns()
        market.heard(now_ns)
        version = market.show(617_000 + 100 * (number % 2), now_ns)
        links.strategy_bell.ring()
        answered = False
        while not answered and time.monotonic_ns() - now_ns < 20 * MS:
            targets.read_into(target)
            answered = bool(target["book_version"][0] >= version and target["n_bids"][0] == 1)
            time.sleep(0)
        told.append((now_ns, answered))
    conn.recv()
    conn.send(told)


def quote_for_ever(links, conn):
    """Child: a strategy that runs until it is killed."""
    settings = config.load()
    child = Child("strategy", links.strategy, links.control, conn)
    loop = strategy.make_loop(links, settings, code_of(settings.model.name), child.status, child.status_writer)
    conn.send("ready")
    while True:
        loop.run(time.monotonic_ns() + 50 * MS)
