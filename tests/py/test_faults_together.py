"""Faults drawn from seeds, several at once, around an exchange on an injected clock: nothing fails, nothing is lost."""

import json
import random

import pytest

from mftpy.sim.acts import Close, Raw, Reset
from mftpy.sim.faults import KINDS, Plan, make_fault
from mftpy.sim.faults_injector import Injector
from tests.py.exchange_box import PERPETUAL, Box, check_invariants, money_in_all

REQUIRED = {"delay_ms": [1, 50, 3000], "offset_s": [-1.27, 5, -3600, 1e7], "code": [1, 24, 9999]}
CHANNELS = [
    "session.orders",
    "account.portfolio",
    f"book.{PERPETUAL}.none.all.raw",
    f"ticker.{PERPETUAL}.raw",
    "system",
]
STEPS = 120


def drawn(rng, name):
    """Return an entry of a kind."""
    kind = KINDS[name]
    entry = {"kind": name, **{field: rng.choice(REQUIRED[field]) for field in kind.required}}
    if rng.random() < 0.6:
        entry["every_s"] = rng.choice([0.5, 2, 0.05])
        if kind.hits == "span" or (kind.hits == "messages" and rng.random() < 0.5):
            entry["duration_s"] = entry["every_s"] * rng.choice([0.3, 1])
        elif kind.hits == "messages":
            entry["count"] = rng.randrange(1, 5)
    choices = {
        "sessions": ["logged in", [1, 2]],
        "methods": [["private/*"]],
        "channels": [["*"]],
        "direction": ["in"],
        "form": ["text"],
    }
    for field, values in choices.items():
        if field in kind.fields and rng.random() < 0.5:
            entry[field] = rng.choice(values)
    return entry


class Wild:
    """Clients that come, ask and are cut off."""

    def __init__(self, rng, box, injector):
        self.rng, self.box, self.injector = rng, box, injector
        self.live, self.count = [], 0

    def perform(self, acts):
        ended = {to for to, act in acts if isinstance(act, Close | Reset) or (isinstance(act, Raw) and act.then_close)}
        for number in sorted(ended.intersection(self.live)):
            self.live.remove(number)
            self.perform(self.injector.disconnect(number, self.box.now_ns))

    def ask(self, number, method, **params):
        request = json.dumps({"method": method, "params": params, "id": 1}).encode()
        self.perform(self.injector.handle(number, request, self.box.now_ns))

    def enter(self):
        self.count += 1
        self.injector.connect(self.count, self.box.now_ns)
        self.live.append(self.count)
        stamp = self.box.exchange.clock.unix_s + self.count * 1e-5
        self.ask(self.count, "public/login", token=self.box.token(self.count % 2, iat=stamp))
        if self.count in self.live:
            self.ask(self.count, "private/subscribe", channels=CHANNELS)

    def step(self):
        self.box.now_ns += int(self.rng.expovariate(30) * 1e9)
        self.perform(self.injector.advance(self.box.now_ns))
        if len(self.live) < 3 and self.injector.refusal(self.box.now_ns) is None:
            self.enter()
        if not self.live:
            return
        number, side = self.rng.choice(self.live), self.rng.choice(["buy", "sell"])
        order = {
            "client_order_id": self.rng.randrange(9),
            "price": self.box.bid + self.rng.randrange(-5, 6),
            "amount": 0.01,
        }
        method, params = self.rng.choice(
            [
                (f"private/{side}", {"instrument_name": PERPETUAL, **order}),
                ("private/amend", order),
                ("private/cancel_all", {}),
                ("private/set_cancel_on_disconnect", {"timeout_secs": 1}),
                ("public/system_info", {}),
            ]
        )
        self.ask(number, method, **params)


@pytest.mark.parametrize("seed", range(8))
def test_any_faults_together_leave_every_order_owned_and_the_money_whole(seed):
    rng = random.Random(seed)
    box = Box(sigma_usd_sqrt_s=8.0, A_per_s=2.0, seed=seed)
    names = rng.sample(sorted(KINDS), 5)
    plan = Plan(tuple(make_fault(drawn(rng, name), "drawn") for name in names), seed)
    injector = Injector(box.exchange, plan, box.now_ns, box.unix_ns)
    total = money_in_all(box.exchange)
    wild = Wild(rng, box, injector)
    for _ in range(STEPS):
        wild.step()
    check_invariants(box.exchange)
    assert money_in_all(box.exchange) == total
    assert wild.count
    for order in box.exchange.trading.orders.values():
        assert order.persistent or order.session.number in wild.live


@pytest.mark.parametrize("name", ["missing_change", "crossed_book", "frozen_book"])
def test_a_fault_of_the_book_leaves_alone_what_is_no_book_whatever_its_globs(name):
    box = Box()
    garbage = make_fault({"kind": "garbage_frame", "form": "text"}, "one")
    plan = Plan((garbage, make_fault({"kind": name, "channels": ["*"]}, "two")))
    wild = Wild(random.Random(1), box, Injector(box.exchange, plan, box.now_ns, box.unix_ns))
    wild.enter()
    wild.perform(wild.injector.advance(box.now_ns))
    seen = []
    wild.perform = seen.extend
    wild.ask(1, "private/buy", instrument_name=PERPETUAL, price=box.ask, amount=0.01)
    notices = [json.loads(act) for to, act in seen if isinstance(act, bytes) and act.startswith(b'{"channel_name"')]
    kept = {notice["channel_name"] for notice in notices}
    assert {"session.orders", "account.portfolio", f"ticker.{PERPETUAL}.raw"} <= kept
