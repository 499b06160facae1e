"""The model flow is the world it claims to be: fill rates and volatility, on a clock that the test moves."""

import itertools
import math
import random

import pytest

from mftpy.sim.flow_model import STEP_NS, ModelFlow
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.settings import ExchangeSettings
from mftpy.study.venue import Venue, bitcoin

TENTH = Listed("BTC-PERPETUAL", "perpetual", "BTCUSD", UNIT // 10, UNIT // 1000)
ETHER = Listed("ETH-PERPETUAL", "perpetual", "ETHUSD", UNIT // 10, UNIT // 100)


def world(listed=TENTH, **settings):
    settings = {"A_per_s": 1.5, "k_per_usd": 0.1, "initial_cash": 1e9, **settings}
    chosen = ExchangeSettings(flow="model", instrument=listed.name, **settings)
    return Venue(chosen, ModelFlow(chosen), listed)


def hits(venue, distance_ticks, seconds):
    """Keep a quote on each side at a distance from the mid; returns fills by side, and steps."""
    fills, steps = {BUY: 0, SELL: 0}, int(seconds * 1e9 / STEP_NS)
    tick = venue.listed.tick_size
    orders = {BUY: None, SELL: None}
    for step in range(1, steps + 1):
        now_ns = step * STEP_NS
        for side in (BUY, SELL):
            wanted = round(venue.flow.mid / tick) - side * distance_ticks
            if orders[side] is not None and orders[side].price_ticks != wanted:
                venue.cancel(now_ns, orders[side])
            if orders[side] is None or orders[side].resting is None:
                orders[side] = venue.insert(now_ns, side, wanted, 10)
        venue.fills()
        venue.step(now_ns)
        for fill in venue.fills():
            fills[fill.side] += 1
    return fills, steps


@pytest.mark.parametrize(
    ("listed", "price", "distance_ticks", "k_per_usd"),
    [
        pytest.param(TENTH, 61_700.0, 20, 0.1, marks=pytest.mark.long),
        (TENTH, 61_700.0, 100, 0.1),
        (bitcoin(), 61_700.0, 10, 0.1),
        (ETHER, 2_650.0, 4, 0.1 * 61_700 / 2_650),
        pytest.param(TENTH, 61_700.0, 200, 0.1, marks=pytest.mark.long),
    ],
)
def test_a_quote_at_the_distance_d_is_hit_at_the_rate_a_exp_minus_k_d(listed, price, distance_ticks, k_per_usd):
    venue = world(listed, seed=11, sigma_usd_sqrt_s=0.0, initial_price=price, k_per_usd=k_per_usd)  # only takers fill
    fills, steps = hits(venue, distance_ticks, 150.0)
    rate = 1.5 * math.exp(-k_per_usd * distance_ticks * listed.tick_size)
    expected = steps * -math.expm1(-rate * STEP_NS * 1e-9)  # a step fills an order at most once
    for side, count in fills.items():
        assert abs(count - expected) < 4 * math.sqrt(expected), f"{side}: {count}, expected {expected:.0f}"


def test_what_hits_a_quote_knows_nothing_of_where_the_mid_goes():
    venue = world(seed=3, sigma_usd_sqrt_s=2.0)
    moves = []
    for step in range(1, 2000):
        order = venue.insert(step * STEP_NS, BUY, round(venue.flow.mid / 0.1) - 100, 10)
        venue.fills()
        venue.step(step * STEP_NS)
        before = venue.flow.mid
        filled = bool(venue.fills())
        if order is not None and order.resting is not None:
            venue.cancel(step * STEP_NS, order)
        if filled:
            venue.step((step + 1) * STEP_NS)
            moves.append(venue.flow.mid - before)
    spread = 2.0 * math.sqrt(STEP_NS * 1e-9)
    assert len(moves) > 25
    assert abs(sum(moves) / len(moves)) < 4 * spread / math.sqrt(len(moves))


def test_the_mid_has_the_volatility_that_was_asked_for():
    venue = world(seed=5, sigma_usd_sqrt_s=8.0)
    mids = []
    for step in range(1, 20 * 60):
        venue.step(step * STEP_NS)
        mids.append(venue.flow.mid)
    variance = sum((b - a) ** 2 for a, b in itertools.pairwise(mids)) / (len(mids) * STEP_NS * 1e-9)
    assert math.sqrt(variance) == pytest.approx(8.0, rel=4 / math.sqrt(2 * len(mids)))


def test_nothing_moves_through_a_client_s_order_without_filling_it():
    venue = world(seed=2, sigma_usd_sqrt_s=40.0, A_per_s=1e-9)
    rng, filled = random.Random(4), 0
    for step in range(1, 1500):
        now_ns = step * STEP_NS
        if not venue.trading.orders:
            side = rng.choice([BUY, SELL])
            venue.insert(now_ns, side, venue.market.best(side) - side * rng.randrange(30), 10)
        venue.step(now_ns)
        assert venue.market.best(BUY) < venue.market.best(SELL)
        for order in venue.trading.orders.values():
            beyond = [
                price
                for price in venue.contract.book.prices(-order.side)
                if venue.market.background(-order.side, price)
            ]
            assert order.side * beyond[0] > order.side * order.price_ticks
        filled += len(venue.fills())
    assert filled > 10


def test_the_same_seed_is_the_same_world_and_a_window_of_fifty_levels_reaches_twenty_dollars():
    first, second = world(seed=7), world(seed=7)
    for step in range(1, 400):
        first.step(step * STEP_NS)
        second.step(step * STEP_NS)
    for side in (BUY, SELL):
        levels = [list(venue.contract.book.prices(side)) for venue in (first, second)]
        assert levels[0] == levels[1]
        assert abs(levels[0][0] - levels[0][min(49, len(levels[0]) - 1)]) >= 200
    assert first.contract.prints == second.contract.prints
