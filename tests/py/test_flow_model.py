"""The model flow is the world it claims to be: fill rates and volatility, on a clock that the test moves."""

import itertools
import math
import random
from fractions import Fraction

import pytest

from mftpy.sim.accounts import Account
from mftpy.sim.flow import Market
from mftpy.sim.flow_model import STEP_NS, ModelFlow
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.sessions import Session
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Trading


def world(**settings):
    chosen = ExchangeSettings(**settings)
    tick, lot = Fraction(1, 10), Fraction(1, 1000)
    listed = Listed(chosen.instrument, chosen.underlying, tick, lot, 0.0)
    trading = Trading(listed, Account(Fraction(10**9), tick, lot), Fraction(0), Fraction(0))
    market, flow = Market(trading), ModelFlow(chosen)
    flow.start(market, 0)
    return trading, market, flow


@pytest.mark.parametrize(
    "distance", [pytest.param(2.0, marks=pytest.mark.long), 10.0, pytest.param(20.0, marks=pytest.mark.long)]
)
def test_a_quote_at_the_distance_d_is_hit_at_the_rate_a_exp_minus_k_d(distance):
    trading, market, flow = world(seed=11, sigma_usd_sqrt_s=0.0)  # a mid that stands: only takers fill
    session, seconds = Session(1, 0), 600.0
    fills, steps = {BUY: 0, SELL: 0}, int(seconds * 1e9 / STEP_NS)
    for step in range(1, steps + 1):
        for direction, side in (("buy", BUY), ("sell", SELL)):
            if not trading.client_orders(side):
                price = round(flow.mid - side * distance, 1)
                params = {"instrument_name": "BTC-PERPETUAL", "price": price, "amount": 0.01, "post_only": True}
                trading.insert(session, params, direction)
        trading.told.clear()
        flow.step(market, step * STEP_NS)
        for order, change, _ in trading.told:
            fills[order.side] += change == "fill"
        trading.prints.clear()
    rate = 1.5 * math.exp(-0.1 * distance)
    expected = steps * -math.expm1(-rate * STEP_NS * 1e-9)  # a step fills an order at most once
    for side, count in fills.items():
        assert abs(count - expected) < 4 * math.sqrt(expected), f"{side}: {count}, expected {expected:.0f}"


def test_the_mid_has_the_volatility_that_was_asked_for():
    _, market, flow = world(seed=5, sigma_usd_sqrt_s=8.0)
    mids = []
    for step in range(1, 20 * 300):
        flow.step(market, step * STEP_NS)
        mids.append(flow.mid)
    variance = sum((b - a) ** 2 for a, b in itertools.pairwise(mids)) / (len(mids) * STEP_NS * 1e-9)
    assert math.sqrt(variance) == pytest.approx(8.0, rel=4 / math.sqrt(2 * len(mids)))


def test_nothing_moves_through_a_client_s_order_without_filling_it():
    trading, market, flow = world(seed=2, sigma_usd_sqrt_s=40.0, A_per_s=1e-9)
    rng, session = random.Random(4), Session(1, 0)
    for step in range(1, 3000):
        if not trading.orders and trading.book.best(SELL) is not None:
            direction = rng.choice(["buy", "sell"])
            touch = trading.book.best(BUY if direction == "buy" else SELL)
            offset = rng.randrange(30) * (-1 if direction == "buy" else 1)
            params = {"instrument_name": "BTC-PERPETUAL", "price": (touch + offset) / 10, "amount": 0.01}
            trading.insert(session, {**params, "post_only": True}, direction)
        flow.step(market, step * STEP_NS)
        assert trading.book.best(BUY) < trading.book.best(SELL)
        touch = flow._touch(0.1)
        for order in trading.orders.values():
            assert (touch[BUY] if order.side == BUY else -touch[SELL]) > order.side * order.price_ticks
    assert len(trading.history) > 20


def test_the_same_seed_is_the_same_world_and_a_window_of_fifty_levels_reaches_twenty_dollars():
    first, second = world(seed=7), world(seed=7)
    for step in range(1, 400):
        for _, market, flow in (first, second):
            flow.step(market, step * STEP_NS)
    for side in (BUY, SELL):
        levels = [list(trading.book.prices(side)) for trading, _, _ in (first, second)]
        assert levels[0] == levels[1]
        assert abs(levels[0][0] - levels[0][min(49, len(levels[0]) - 1)]) >= 200
    assert first[0].prints == second[0].prints
