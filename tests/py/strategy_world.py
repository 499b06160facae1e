"""A strategy's loop and the structures around it, written as the other processes would, on an injected clock."""

import numpy as np

from mftcore import LEVEL, MasterBook
from mftpy import config, records
from mftpy.links import Instrument, Links
from mftpy.processes import strategy
from mftpy.records import Command, Mode, Reason

START_NS = 1_000_000_000_000
MS = 1_000_000
SECOND = 1000 * MS
INSTRUMENT = Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD")


class Market:
    """Book, trades, ticker, account, command and market data's status."""

    def __init__(self, links):
        self.links = links
        self.book, self.ticker = links.book.writer(), links.ticker.writer()
        self.trades, self.account_writer = links.trades.producer(), links.account.writer()
        self.status_writer, self.control = links.market_data.writer(), links.control.writer()
        self.account, self.status = records.blank(records.ACCOUNT), records.blank(records.STATUS)
        self.account["ready"] = 1
        self.account_writer.write(self.account)
        self.order()
        self.set_index(61_700.0)

    def order(self, command=Command.RUN, mode=Mode.RUN):
        control = records.blank(records.CONTROL)
        control["command"], control["mode"] = command, mode
        self.control.write(control)

    def set_index(self, price):
        ticker = records.blank(records.TICKER)
        ticker["index_price"] = ticker["mark_price"] = price
        ticker["receive_ns"] = START_NS
        self.ticker.write(ticker)

    def show(self, mid_ticks, receive_ns, *, exchange_time_ns=0, state=0, lots=1000):
        """Publish a book around a mid; returns its version."""
        master, levels = MasterBook(), np.zeros(12, LEVEL)
        levels["size_lots"] = lots
        bids, asks = levels.copy(), levels.copy()
        bids["price_ticks"], asks["price_ticks"] = mid_ticks - np.arange(1, 13), mid_ticks + np.arange(1, 13)
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

    def __init__(self, *, journal=None, wait_mode="park", **settings):
        super().__init__(Links.create(INSTRUMENT))
        self.config = config.load(**settings) if settings else config.load()
        self.now_ns = START_NS
        self.strategy_status = records.blank(records.STATUS)
        self.status_of_strategy = self.links.strategy.writer()
        self.loop = strategy.make_loop(
            self.links, self.config, strategy.compile_code(self.config), self.strategy_status, self.status_of_strategy,
            journal=journal, wait_mode=wait_mode,
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
