"""The exchange's core against a slow, obvious twin: the same answers, fills, notices, queues, positions, money.

An example is a list of numbers; each draws one operation, at that time's state of things. Hypothesis shortens a list
that fails by leaving out operations.
"""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT
from mftpy.sim.orders import SIDE_NAMES, ClientOrder
from tests.py.beside_plain import DATED, PERPETUAL, Beside

FLAGS: list[dict[str, Any]] = [
    {"time_in_force": "immediate_or_cancel"},
    {"post_only": True},
    {"post_only": True, "reject_post_only": True},
    {"reduce_only": True},
    {"reduce_only": True},
    {"reduce_only": True},
    {"reduce_only": True, "post_only": True},
    {"reduce_only": True, "time_in_force": "immediate_or_cancel"},
    {"order_type": "market"},
    {"order_type": "market", "reduce_only": True},
]
ILLEGAL: list[dict[str, Any]] = [
    {"order_type": "market", "collar": "reject"},
    {"post_only": True, "time_in_force": "immediate_or_cancel"},
    {"order_type": "market", "time_in_force": "good_till_cancelled"},
    {"order_type": "market", "collar": "ignore"},
    {"reject_post_only": True},
    {"label": "no spaces"},
    {"instrument_name": "BTC-1JAN70"},
]
PREVENTIONS: list[dict[str, Any]] = [
    {"stp_level": "account"},
    {"stp_level": "disabled"},
    {"stp_level": "disabled"},
    {"stp_action": "cancel_aggressive_no_fill"},
    {"stp_action": "cancel_aggressive_no_fill"},
    {"stp_level": "account", "stp_action": "cancel_aggressive_no_fill"},
]
COLLARS: list[dict[str, Any]] = [{"collar": "clamp"}, {"collar": "ignore"}, {"collar": "reject"}]


class Walk:
    """Draws and does one operation after the other, on both sides."""

    def __init__(self, number: int) -> None:
        draw = random.Random(number)
        self.both = Beside(
            before_eight_s=draw.choice([3_600, 40, 9]),
            expires=draw.random() < 0.3,
            keeps_post_only=draw.random() < 0.5,
            stp_override=draw.random() < 0.9,
            dampener_bps=draw.choice([0, 0, 20]),
            cash=draw.choice([12, 25, 50, 1_000]),
            most_orders=draw.choice([3, 8, 30]),
            most_value=draw.choice([1_000, 10_000, 10_000]),
        )
        for which in (0, 1):
            for away, size in ((2, 5), (4, 9), (9, 30)):
                for side in (BUY, SELL):
                    self.both.set_level(which, side, (500 - side * away) * (1 + which), size)

    def step(self, number: int) -> None:
        draw = random.Random(number)
        kinds = {
            self.insert: 16,
            self.amend: 8,
            self.cancel: 2,
            self.many: 0.3,
            self.fill: 3,
            self.level: 5,
            self.whole_book: 0.5,
            self.take: 4,
            self.index: 2,
            self.wait: 3,
            self.ruin: 0.4,
        }
        draw.choices(list(kinds), list(kinds.values()))[0](draw)

    def insert(self, draw: random.Random) -> None:
        which = draw.choice([0, 0, 0, 1])
        listed = self.both.contracts[which].listed
        asked: dict[str, Any] = {
            "direction": draw.choice(["buy", "sell"]),
            "instrument_name": (PERPETUAL, DATED)[which],
            "price": sent(draw, round(draw.gauss(500, 3)) * (1 + which), listed.tick_size),
            "amount": sent(draw, draw.choice([1, 2, 3, 5, 8, 12, 20]), listed.lot_size),
            "client_order_id": draw.choice([None, 2**64 - 1, *range(20)]),
        }
        for chance, some in ((0.5, FLAGS), (0.4, PREVENTIONS), (0.3, COLLARS), (0.03, ILLEGAL)):
            if draw.random() < chance:
                asked |= draw.choice(some)
        other = self.pick(draw)
        if other is not None and other.contract.listed is listed and draw.random() < 0.3:  # stand in line behind it
            assert other.price_ticks is not None
            asked["direction"], asked["price"] = SIDE_NAMES[other.side], listed.price(other.price_ticks)
        session = draw.randrange(4)
        held = self.both.sessions[session].account.positions.get(asked["instrument_name"])
        if asked.get("reduce_only") and held is not None and held.lots and draw.random() < 0.8:
            asked["direction"] = "sell" if held.lots > 0 else "buy"
        self.both.insert(session, asked)

    def pick(self, draw: random.Random) -> ClientOrder | None:
        live = self.both.live()
        return draw.choice(live) if live else None

    def amend(self, draw: random.Random) -> None:
        order = self.pick(draw)
        if order is None:
            return
        assert order.price_ticks is not None
        listed = order.contract.listed
        price = max(order.price_ticks + draw.choice([0, 0, 0, 0, 0, 1, -1, 2, 3, 5, -3, -5, 12, -30]), 1)
        size = max(order.total_lots + draw.choice([-100, -3, -1, 0, 0, 0, 1, 2, 5]), 0)
        asked = {"price": sent(draw, price, listed.tick_size), "amount": sent(draw, size, listed.lot_size)}
        if draw.random() < 0.15:  # to what it is
            asked = {"price": listed.price(order.price_ticks), "amount": listed.amount(order.total_lots)}
        if draw.random() < 0.3:
            asked |= draw.choice(COLLARS)
        self.both.amend(order, asked)

    def cancel(self, draw: random.Random) -> None:
        order = self.pick(draw)
        if order is not None:
            self.both.cancel(order)

    def fill(self, draw: random.Random) -> None:
        order = self.pick(draw)
        if order is not None:
            self.both.fill(order, draw.randint(1, 6))

    def many(self, draw: random.Random) -> None:
        if draw.random() < 0.5:
            self.both.cancel_all(draw.randrange(3))
        else:
            self.both.cancel_session(draw.randrange(4))

    def level(self, draw: random.Random) -> None:
        which, side = draw.randrange(2), draw.choice([BUY, SELL])
        self.both.set_level(which, side, round(draw.gauss(500, 6)) * (1 + which), draw.randint(0, 9))

    def whole_book(self, draw: random.Random) -> None:
        which = draw.randrange(2)
        middle = round(draw.gauss(500, 4)) * (1 + which)
        wanted = {
            side: {middle - side * away: draw.randint(1, 9) for away in range(1, 9) if draw.random() < 0.4}
            for side in (BUY, SELL)
        }
        self.both.set_background(which, wanted)

    def take(self, draw: random.Random) -> None:
        which = draw.randrange(2)
        limit = draw.choice([None, round(draw.gauss(500, 5)) * (1 + which)])
        self.both.take(which, draw.choice([BUY, SELL]), limit, draw.randint(1, 15))

    def index(self, draw: random.Random) -> None:
        crash = draw.random() < 0.4
        self.both.set_index(round(500 * 10**8 * (1 + draw.gauss(0, 0.08 if crash else 0.01))) + draw.randrange(100))
        if crash:
            self.both.pass_seconds(1)

    def ruin(self, draw: random.Random) -> None:
        """Somebody buys or sells as much as can be paid for, and the price goes the other way at once."""
        both, side, session = self.both, draw.choice([BUY, SELL]), draw.randrange(4)
        both.cancel_all(both.accounts.index(both.sessions[session].account))
        both.set_index(500 * UNIT)
        both.set_background(0, {BUY: {499: 900}, SELL: {501: 900}})
        coins = both.sessions[session].account.equity() * 19 // (500 * MONEY)
        asked = {"direction": SIDE_NAMES[side], "instrument_name": PERPETUAL, "amount": max(coins, 1)}
        both.insert(session, asked | {"order_type": "market", "stp_level": "disabled"})
        price = 500 - side * draw.choice([12, 30, 60])
        both.set_index(price * UNIT)
        both.set_background(0, {BUY: {price - 1: 900}, SELL: {price + 1: 900}})
        both.pass_seconds(1)

    def wait(self, draw: random.Random) -> None:
        self.both.pass_seconds(draw.choice([1, 1, 2, 5, 15]))


def sent(draw: random.Random, steps: int, step: float) -> Any:
    """A price or an amount as clients send it: with the noise of doubles, and now and then a wrong one."""
    value = steps * step
    if draw.random() < 0.9:
        return value
    return draw.choice([value + 4e-9, value - 4e-9, value + step / 4, 0, -value, "1", int(value)])


def walk(numbers: Iterable[int]) -> None:
    """The first number draws the exchange, each other one an operation."""
    first, *others = numbers
    found = Walk(first)
    for number in others:
        found.step(number)


operations = st.lists(st.integers(0, 2**48), min_size=60, max_size=90)


@settings(max_examples=30)
@given(operations)
def test_the_core_does_what_the_plain_exchange_does(numbers: list[int]) -> None:
    walk(numbers)


@pytest.mark.long
@settings(max_examples=1_000)
@given(st.lists(st.integers(0, 2**48), min_size=100, max_size=400))
def test_the_core_does_what_the_plain_exchange_does_for_long(numbers: list[int]) -> None:
    walk(numbers)
