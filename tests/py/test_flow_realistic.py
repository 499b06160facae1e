"""The realistic market: repeatable, never crossed, as variable as it says, and fast takers who are late as well."""

import dataclasses
import hashlib
import math
import random

import pytest

from mftpy.sim import flow_realistic_parameters as world
from mftpy.sim.flow_follower import FollowerFlow
from mftpy.sim.flow_realistic import RealisticFlow
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.settings import ExchangeSettings
from mftpy.study.venue import Venue, bitcoin

ETHER = Listed("ETH-PERPETUAL", "perpetual", "ETHUSD", UNIT // 10, UNIT // 100)
DATED = Listed("BTC-27DEC24", "future", "BTCUSD", UNIT, UNIT // 1000, 0.0, 1_735_286_400)
S = 10**9


def venue_of(seed=1, listed=None, price=61_700.0):
    listed = listed or bitcoin()
    settings = ExchangeSettings(flow="realistic", seed=seed, instrument=listed.name, initial_price=price)
    return Venue(settings, RealisticFlow(settings), listed)


def digest(seed, seconds):
    venue, said = venue_of(seed), hashlib.sha256()
    while (due_ns := venue.next_due_ns()) < seconds * S:
        venue.step(due_ns)
        said.update(repr((due_ns, venue.contract.prints, sorted(venue.contract.book.changed))).encode())
        venue.fills()
    return said.hexdigest()


def test_the_same_seed_is_the_same_market_to_the_last_byte_and_another_is_another():
    assert digest(3, 30) == digest(3, 30)
    assert digest(3, 30) != digest(4, 30)


def test_how_the_time_is_cut_into_steps_changes_nothing():
    fine, coarse = venue_of(5), venue_of(5)
    while (due_ns := fine.next_due_ns()) <= 20 * S:
        fine.step(due_ns)
    for step in range(1, 21):
        coarse.step(step * S)
    assert fine.flow.mid == coarse.flow.mid
    for side in (BUY, SELL):
        sizes = [[(p, v.market.size(side, p)) for p in v.contract.book.prices(side)] for v in (fine, coarse)]
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("listed", "price"), [(bitcoin(), 61_700.0), (ETHER, 2_650.0)])
def test_the_book_is_never_crossed_whatever_clients_do_and_the_accounts_balance(listed, price):
    venue, rng = venue_of(8, listed, price), random.Random(5)
    orders = []
    while (due_ns := venue.next_due_ns()) < 60 * S:
        venue.step(due_ns)
        bid, ask = venue.market.best(BUY), venue.market.best(SELL)
        assert bid is None or ask is None or bid < ask
        if rng.random() < 0.2 and bid is not None and ask is not None:
            side = rng.choice([BUY, SELL])
            base = bid if side == BUY else ask
            order = venue.insert(due_ns, side, base + side * rng.randrange(-15, 3), rng.randrange(1, 2000))
            orders += [order] if order is not None else []
        if orders and rng.random() < 0.2:
            order = orders.pop(rng.randrange(len(orders)))
            if rng.random() < 0.5:
                venue.cancel(due_ns, order)
            elif order.price_ticks is not None:
                venue.amend(due_ns, order, order.price_ticks + rng.randrange(-3, 4), order.total_lots)
        venue.fills()
    assert venue.account.fees > 0
    assert venue.imbalance == (0, 0)


def test_the_background_has_no_gaps_once_it_has_been_replenished():
    venue = venue_of(9)
    for step in range(1, 200):
        venue.step(step * 50_000_000)
        venue.flow.background.refresh(venue.market, venue.flow.mid)
        for side in (BUY, SELL):
            prices = list(venue.contract.book.prices(side))
            assert abs(prices[0] - prices[-1]) == len(prices) - 1
            assert world.DEPTH_USD <= len(prices) - 1 <= world.DEPTH_USD + venue.flow.background.slack
            assert all(venue.market.background(side, price) == venue.flow.background.size(price) for price in prices)
        bid = venue.market.best(BUY)
        assert bid < venue.flow.mid <= bid + 1 == venue.market.best(SELL)


def test_what_moves_without_trades_is_what_the_sweeps_leave_of_sigma():
    for regime in world.REGIMES:
        assert 0 < regime.diffusion_usd_sqrt_s < regime.sigma_usd_sqrt_s
        assert sum(probability for _, probability in regime.following) == pytest.approx(1)
        assert sum(item.share for item in regime.classes) < 0.18  # 82 % of the orders stop at the touch


@pytest.mark.parametrize("regime", world.REGIMES, ids=lambda regime: regime.name)
def test_every_regime_is_as_volatile_as_it_says(monkeypatch, regime):
    alone = dataclasses.replace(regime, mean_s=1e9, following=((0, 1.0),))
    monkeypatch.setattr(world, "REGIMES", (alone,))
    monkeypatch.setattr(RealisticFlow, "_first_regime", lambda self: 0)
    squares = []
    for seed in range(2):
        venue = venue_of(seed)
        last, seconds = venue.flow.efficient, 10
        for step in range(1, 26):
            venue.step(step * seconds * S)
            squares.append((venue.flow.efficient - last) ** 2 / seconds)
            last = venue.flow.efficient
    mean = sum(squares) / len(squares)
    error = math.sqrt(sum((square - mean) ** 2 for square in squares) / (len(squares) - 1) / len(squares))
    assert abs(mean - regime.sigma_usd_sqrt_s**2) < 4 * error


def test_takers_come_as_often_as_the_parameters_say_and_in_clusters():
    counts = [0] * 600
    venue = venue_of(12)
    take, now_s = venue.market.take, [0]

    def counted(*arguments):
        counts[now_s[0]] += 1
        return take(*arguments)

    venue.market.take = counted
    while (due_ns := venue.next_due_ns()) < len(counts) * S:
        now_s[0] = due_ns // S
        venue.step(due_ns)
        venue.fills()
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert variance / mean > 8  # of a Poisson process: 1
    error = math.sqrt(variance * 5 / len(counts))  # a state lasts for seconds: neighbours are not independent
    assert abs(mean - 16) < 4 * error


def stale(venue, now_ns, cancel_after_ns):
    """Let the index fall far through a bid of ours, which is cancelled so long after; returns our lots filled."""
    flow = venue.flow
    venue.step(now_ns)
    order = venue.insert(now_ns, BUY, venue.market.best(SELL) - 1, 7)
    flow.efficient -= 40.0
    flow._show_index(venue.market)
    venue.step(now_ns)
    flow.background.refresh(venue.market, flow.mid)
    assert order.filled_lots == 0  # at the very moment nobody has reacted
    assert venue.market.best(SELL) > order.price_ticks
    venue.step(now_ns + cancel_after_ns)
    venue.cancel(now_ns + cancel_after_ns, order)
    venue.step(now_ns + S)
    return order.filled_lots


def quiet(monkeypatch):
    """Nobody comes but fast takers, and nothing is heard but what the test tells."""
    silent = tuple(dataclasses.replace(regime, news_per_s=1e-9) for regime in world.REGIMES)
    monkeypatch.setattr(world, "REGIMES", silent)
    monkeypatch.setattr(world, "LOW_RATE_PER_S", 1e-9)
    monkeypatch.setattr(world, "LOW_MEAN_S", 1e9)


def test_fast_takers_hit_a_client_s_order_that_is_stale_and_still_there_after_their_latency(monkeypatch):
    quiet(monkeypatch)
    assert [stale(venue_of(seed), S, 300_000_000) for seed in range(5)] == [7] * 5


def test_an_order_that_is_gone_before_anybody_can_be_there_is_not_hit(monkeypatch):
    quiet(monkeypatch)
    assert [stale(venue_of(seed), S, world.FAST_NS - 1) for seed in range(5)] == [0] * 5


def test_ether_is_the_same_market_in_basis_points():
    venue = venue_of(2, ETHER, 2_650.0)
    venue.step(120 * S)
    assert venue.flow.usd == pytest.approx(2_650 / 61_700 / 0.1)
    prices = list(venue.contract.book.prices(BUY))
    depth = world.DEPTH_USD * venue.flow.usd
    assert depth - 1 <= prices[0] - prices[-1] <= depth + 1 + venue.flow.background.slack


def test_a_dated_future_stands_around_the_index_and_its_basis():
    settings = ExchangeSettings(flow="realistic", seed=1)
    unix_s = DATED.expiry_s - 73 * 86_400
    venue = Venue(settings, FollowerFlow(settings, unix_s), DATED)
    traded = 0
    for step in range(1, 600):
        venue.market.set_index((61_700 + 10 * (step % 40)) * UNIT)
        venue.step(step * 100_000_000)
        traded += len(venue.contract.prints)
        venue.fills()
        fair = venue.market.index_units / UNIT * (1 + 0.05 * 73 / 365)
        assert venue.market.best(BUY) < fair + 0.01
        assert venue.market.best(SELL) > fair - 0.01
        assert venue.market.best(SELL) - venue.market.best(BUY) == 1
    assert 10 < traded < 60
