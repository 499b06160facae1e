"""Order books, accounts and feeds without an exchange around them, and subscribers that note what they are told."""

import json

from mftpy.sim.accounts import Account
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.feeds import Feeds
from mftpy.sim.flow import Market
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT
from mftpy.sim.protocol import Refusal
from mftpy.sim.requests import Amend, Insert
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Rules, Trading

START_NS = 1_776_715_497_000_000_000
MS = 1_000_000
PRICE = 61_700
"""About where the books stand, in USD and in ticks of the perpetual."""


class Rig:
    """Two accounts, a perpetual with a tick of 1 USD, one of 0.1 USD, and a dated future."""

    def __init__(self):
        self.clock = Clock(0, START_NS)
        bitcoin, ether = Underlying("BTCUSD", PRICE * UNIT), Underlying("ETHUSD", 2_650 * UNIT)
        self.perpetual = Contract(Listed("BTC-PERPETUAL", "perpetual", "BTCUSD", UNIT, UNIT // 1000), bitcoin)
        self.ether = Contract(Listed("ETH-PERPETUAL", "perpetual", "ETHUSD", UNIT // 10, UNIT // 100), ether)
        expiry_s = 1_782_460_800
        self.dated = Contract(Listed("BTC-26JUN26", "future", "BTCUSD", UNIT, UNIT // 1000, 0, expiry_s), bitcoin)
        self.accounts = [Account(f"A{number:09d}", f"C{number}", 10**7 * MONEY) for number in (1, 2)]
        self.clearing = Clearing(self.clock, self.accounts, FeeRates(UNIT // 10_000, UNIT // 2_000))
        self.trading = Trading(self.clearing, [self.perpetual, self.ether, self.dated], Rules())
        self.feeds = Feeds(self.trading)
        self.market = Market(self.trading, self.perpetual)
        self.sessions = {}
        self.told = {}

    def session(self, account=None):
        """Return a session, logged in to the account of that number."""
        session = Session(len(self.sessions), self.clock.now_ns, None if account is None else self.accounts[account])
        self.sessions[session.number] = session
        self.told[session.number] = []
        return session

    def subscribe(self, session, *names):
        """Subscribe, and note what is shown at once."""
        for name in names:
            assert self.feeds.is_channel(name, private=session.account is not None), name
            self.told[session.number] += self.feeds.subscribe(session, name)

    def collect(self):
        """Let everybody hear what has happened; returns the outputs."""
        outputs = self.feeds.collect()
        for number, payload in outputs:
            self.told[number].append(payload)
        due = self.feeds.next_due_ns()
        assert due is None or due > self.clock.now_ns
        return outputs

    def run(self, ms):
        """Let time pass, and everything that becomes due be told when it is; returns the outputs."""
        end, outputs = self.clock.now_ns + ms * MS, self.collect()
        while (due := self.feeds.next_due_ns()) is not None and due <= end:
            self.clock.now_ns = due
            outputs += self.collect()
        self.clock.now_ns = end
        return outputs + self.collect()

    def heard(self, session, name):
        """Return (flagged, content) of all messages of a channel so far."""
        messages = [json.loads(payload) for payload in self.told[session.number]]
        return [(one.get("snapshot", False), one["notification"]) for one in messages if one["channel_name"] == name]

    def insert(self, session, side, price_ticks, lots, **more):
        """Insert an order; returns it, or None when it was refused."""
        contract = more.pop("contract", self.perpetual)
        try:
            said = self.trading.insert(session, Insert(contract, side, price_ticks, lots, **more))
        except Refusal:
            return None
        return self.trading.orders.get(said["order_id"])

    def amend(self, order, price_ticks, lots):
        """Amend an order that may have gone."""
        if order.resting is not None:
            try:
                self.trading.amend(order, Amend(price_ticks, lots))
            except Refusal:
                return

    def cancel(self, order):
        """Cancel an order that may have gone."""
        if order.resting is not None:
            self.trading.cancel(order)


def shown_book(contract, step_ticks, levels):
    """What a book channel ought to show now, the slow way: side -> price -> amount, best first."""
    found = {}
    for side in (BUY, SELL):
        steps = {}
        for price in contract.book.prices(side):
            step = price // step_ticks * step_ticks if side == BUY else -(-price // step_ticks) * step_ticks
            steps[step] = steps.get(step, 0) + contract.book.size(side, price)
        best = sorted(steps, reverse=side == BUY)[:levels]
        found[side] = {contract.listed.price(step): contract.listed.amount(steps[step]) for step in best}
    return found
