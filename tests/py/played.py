"""A recorded market and an account, played to a strategy at times of their own.

The tape is what the embedded exchange, on an injected clock, sends to a subscriber. The account is a plain one: what
the strategy wants rests at once, and is filled when a trade of the tape reaches its price, which is told a while later.
"""

import itertools
from types import SimpleNamespace

import numpy as np

from mftcore import Journal
from mftpy import records
from mftpy.decisions import DECISION
from mftpy.links import Instrument, Links
from mftpy.processes.market_data import Feed
from mftpy.processes.strategy import make_loop
from mftpy.records import State
from mftpy.strategy.code import Code, load_estimates, load_model
from mftpy.venue import codec
from mftpy.venue.scale import Scale
from tests.py.exchange_box import PERPETUAL, Box

MS = 1_000_000
TOLD_AFTER_NS = 40 * MS
INSTRUMENT = Instrument(PERPETUAL, 1.0, 0.001, 1, "BTCUSD")


def tape(seed, seconds):
    """Return what a subscriber is sent: (ns, bytes), in order."""
    box = Box(flow="realistic", seed=seed)
    client = box.connect()
    links = Links.create(INSTRUMENT)
    channels = Feed(links, SimpleNamespace(status=records.blank(records.STATUS))).channels
    links.close()
    told = []
    first = len(client.raw)
    client.call("public/subscribe", channels=channels)
    end_ns = box.now_ns + round(seconds * 1e9)
    while box.now_ns < end_ns:
        told += [(box.now_ns, payload) for payload in client.raw[first:] if payload.startswith(b'{"channel_name"')]
        first = len(client.raw)
        due_ns = min(max(box.exchange.next_due_ns() or end_ns, box.now_ns + 1), end_ns)
        box.pass_s((due_ns - box.now_ns) * 1e-9)
    return told


class Account:
    """Execution as the strategy sees it."""

    def __init__(self, writer):
        self.row = records.blank(records.ACCOUNT)
        self.row["ready"] = 1
        self._writer = writer
        self._resting = {1: {}, -1: {}}
        self._to_tell = []
        writer.write(self.row)

    def wants(self, target):
        """Let what is wanted rest, and nothing else; held sides stay as they are."""
        for side, name in ((1, "bid"), (-1, "ask")):
            if not target[f"hold_{name}s"]:
                count = int(target[f"n_{name}s"])
                prices, lots = target[f"{name}_ticks"][:count], target[f"{name}_lots"][:count]
                self._resting[side] = dict(zip(map(int, prices), map(int, lots), strict=True))
        self._publish()

    def on_trade(self, trade, now_ns):
        """Fill what a trade reaches."""
        side = -trade.taker_side
        for ticks, lots in list(self._resting[side].items()):
            if (ticks - trade.price_ticks) * side >= 0:
                del self._resting[side][ticks]
                self._to_tell.append((now_ns + TOLD_AFTER_NS, side * lots))

    def next_due_ns(self):
        """When the next fill is told."""
        return self._to_tell[0][0] if self._to_tell else None

    def tell(self, now_ns):
        """Tell of the fills that are due."""
        while self._to_tell and self._to_tell[0][0] <= now_ns:
            due_ns, lots = self._to_tell.pop(0)
            self.row["position_lots"] += lots
            self.row["fills"] += 1
            self.row["last_event_ns"] = due_ns
        self._publish()

    def _publish(self):
        row = self.row[0]
        own = [(side, ticks, lots) for side, orders in self._resting.items() for ticks, lots in orders.items()]
        row["n_own"] = len(own)
        for name, values in zip(("own_side", "own_ticks", "own_lots"), zip(*own, strict=True), strict=False):
            row[name][: len(own)] = values
        for side, name in ((1, "worst_long_lots"), (-1, "worst_short_lots")):
            row[name] = side * row["position_lots"] + sum(self._resting[side].values())
        self._writer.write(self.row)


def play(links, told, turn, *, every_ns=50 * MS):
    """Play a tape; `turn(now_ns)` lets the strategy take a turn, after each message and by timer."""
    child = SimpleNamespace(status=records.blank(records.STATUS))
    feed, scale = Feed(links, child), Scale(INSTRUMENT.tick_size, INSTRUMENT.lot_size)
    account, targets = Account(links.account.writer()), links.target.reader()
    control, market = links.control.writer(), links.market_data.writer()
    control.write(records.blank(records.CONTROL))
    target = records.blank(records.TARGET)

    def step(now_ns):
        child.status["state"], child.status["turn_ns"], child.status["transport_ns"] = State.READY, now_ns, now_ns
        market.write(child.status)
        turn(now_ns)
        targets.read_into(target)
        account.wants(target[0])

    now_ns = told[0][0]
    for at_ns, group in itertools.groupby(told, key=lambda item: item[0]):
        while (due_ns := min(now_ns + every_ns, account.next_due_ns() or now_ns + every_ns)) < at_ns:
            now_ns = max(due_ns, now_ns + 1)
            account.tell(now_ns)
            step(now_ns)
        now_ns = at_ns
        for _, payload in group:
            note = codec.decode(payload)
            feed.on_notification(note, now_ns)
            if note.channel == feed.book_channel and not note.snapshot:
                for trade in codec.decode_book(note.data, scale).trades or ():
                    account.on_trade(trade, now_ns)
        feed.publish()
        step(now_ns)


def strategy_of(links, config, journal):
    """Return a strategy's loop that writes its decisions to a journal."""
    status, code = records.blank(records.STATUS), Code(load_model(config, str), load_estimates(str))
    return make_loop(links, config, code, status, links.strategy.writer(), journal=journal)


def in_child(links, config, path, conn):
    """Take turns as they are asked for, in a process of its own."""
    with Journal.open(path) as journal, journal.writer(drain=True) as writer:
        loop = strategy_of(links, config, writer)
        conn.send("ready")
        while (now_ns := conn.recv()) is not None:
            conn.send(loop.turn(now_ns))


def decisions(path):
    """Return the decisions of a journal, as an array of DECISION."""
    with Journal.open(path) as journal, journal.reader() as reader:
        payloads = list(iter(reader.read, None))
    return np.frombuffer(b"".join(item.payload for item in payloads), DECISION)
