"""Strategy and execution on the same structures: no fill is answered with silence, and none with an order too many."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

from mftpy import records
from mftpy.processes import execution
from mftpy.processes.jobs import Credentials, Job, choose_placement
from mftpy.records import Mode, Side, State
from tests.py.strategy_world import MS, SECOND, World


class Wire:
    """A session that takes what is sent and hears of the exchange all the time."""

    def __init__(self):
        self.sent = []

    @property
    def last_receive_ns(self):
        return time.monotonic_ns()

    def send(self, payload):
        self.sent.append(json.loads(payload))
        return time.monotonic_ns()


class Both:
    """A strategy, and an execution whose exchange confirms everything at once and fills what it is told to."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(execution, "connect", lambda _url, _config: Wire())
        self.world = world = World(with_account=False)
        job = Job("run", "ws://127.0.0.1:1/", world.config, choose_placement(world.config))
        child = SimpleNamespace(status=records.blank(records.STATUS), send=lambda *_: None)
        self.executor = execution.Executor(world.links, job, Credentials("K"), child)
        self.executor.desk.index_price = 61_700.0
        self.executor.ready = True
        # the loop's status is told on its injected clock, execution's on the real one
        self.executor.stalled_peer = lambda: ""
        world.status["state"] = State.READY
        self.fills = 0
        self.executor.publish()

    @property
    def desk(self):
        return self.executor.desk

    def strategy_turn(self, later_ns=10 * MS):
        """One turn; True when it woke execution."""
        bell = self.world.links.execution_bell
        bell.arm()
        self.world.turn(later_ns=later_ns)
        return bell.disarm()

    def execution_turn(self):
        """One turn; returns the sides of the orders that it inserted."""
        before = self.desk.counts["inserted"]
        sent = len(self.executor.session.sent)
        self.executor.quote(Mode.RUN)
        for order in self.desk.orders:
            if order.state.terminal:
                continue
            self.desk.orders.on_amended(order.client_order_id, order.pending_price_ticks, order.pending_total_lots, 1)
            self.desk.orders.on_order(
                order.client_order_id, f"X{order.client_order_id}", open_=True, filled=False,
                price_ticks=order.price_ticks, total_lots=order.total_lots, filled_lots=order.filled_lots,
                now_ns=time.monotonic_ns(),
            )  # fmt: skip
        inserts = [item for item in self.executor.session.sent[sent:] if item["method"] == "private/insert"]
        assert len(inserts) == self.desk.counts["inserted"] - before
        return [item["params"]["direction"] for item in inserts]

    def fill(self, order):
        """Let an order be filled whole."""
        self.fills += 1
        lots = order.total_lots - order.filled_lots
        self.desk.orders.on_order(
            order.client_order_id, order.order_id, open_=False, filled=True, price_ticks=order.price_ticks,
            total_lots=order.total_lots, filled_lots=order.total_lots, now_ns=time.monotonic_ns(),
        )  # fmt: skip
        item = SimpleNamespace(
            client_order_id=order.client_order_id,
            order_id=order.order_id,
            direction="buy" if order.side == Side.BUY else "sell",
        )
        self.desk.on_fill(
            item,
            f"T{self.fills}",
            0,
            order.price_ticks,
            lots,
            maker=True,
            exchange_time_ns=0,
            now_ns=time.monotonic_ns(),
        )

    def resting(self, side):
        return next(o for o in self.desk.orders if o.side == side and not o.state.terminal)


@pytest.fixture
def both(monkeypatch):
    made = Both(monkeypatch)
    yield made
    made.world.close()


def test_a_filled_quote_comes_back_only_by_a_decision_that_knows_of_the_fill_and_then_at_once(both):
    both.world.show(617_000, both.world.now_ns)
    assert both.strategy_turn()
    assert sorted(both.execution_turn()) == ["buy", "sell"]
    for side in (Side.BUY, Side.SELL, Side.SELL, Side.BUY):
        both.fill(both.resting(side))
        assert both.execution_turn() == []  # the target still asks for it, and does not know
        both.executor.publish()
        assert both.strategy_turn()  # whatever it asks for now, execution is woken
        assert both.execution_turn() == ["buy" if side == Side.BUY else "sell"]
        assert both.desk.held_since_ns == 0


def test_whatever_is_filled_and_whenever_both_sides_are_quoted_again_after_a_turn_of_each(both):
    """No order of turns and fills leaves a side that may be quoted empty, or inserts what does not know."""
    rng = np.random.default_rng(11)
    for step in range(400):
        both.world.show(617_000 + int(rng.integers(-40, 41)), both.world.now_ns)
        for act in rng.permutation(4)[: rng.integers(1, 5)]:
            if act == 0:
                both.strategy_turn(later_ns=int(rng.integers(1, 40)) * MS)
            elif act == 1:
                known = int(both.world.target()["account_fills"])
                if both.execution_turn():
                    assert known == both.desk.position.fills
            elif act == 2:
                both.executor.publish()
            elif live := [o for o in both.desk.orders if not o.state.terminal]:
                both.fill(live[rng.integers(len(live))])
        # everything has been told, and time has passed for the message budget
        both.executor.publish()
        both.strategy_turn(later_ns=SECOND // 2)
        both.desk.matching.set_rate(1e6, time.monotonic_ns() + step * SECOND)
        for _ in range(3):  # a cancel may have to come before an insert
            both.execution_turn()
        target = both.world.target()
        live = {o.side for o in both.desk.orders if not o.state.terminal}
        wanted = {Side.BUY} if target["n_bids"] else set()
        wanted |= {Side.SELL} if target["n_asks"] else set()
        assert wanted <= live, (step, target["reasons"])
        assert target["account_fills"] == both.desk.position.fills
        assert both.desk.held_since_ns == 0
    assert both.fills > 100
