"""What the running strategy tells the estimators, and what its decisions take from them."""

import threading
import time

import numpy as np
import pytest

from mftcore import BOOK_RESYNCING, BOOK_STALE
from mftpy import config, records
from mftpy.model.estimator import Estimator
from mftpy.model.standing import ASK_A, ASK_K, BID_A, BID_K, SIGMA, Standing
from mftpy.records import Side
from mftpy.strategy import code as strategy_code
from tests.py.strategy_world import MS, SECOND, START_NS, World, code_of

ALL = {
    "model.sigma_usd_sqrt_s": "estimated",
    "model.A_per_s": "estimated",
    "model.k_per_usd": "estimated",
    "estimation.stale_s": 60.0,
}


@pytest.fixture
def world():
    made = World(ALL)
    yield made
    made.close()


def intensity(world):
    """Return the state of A and k."""
    return world.estimator.intensity[0]


def test_the_estimators_are_told_just_what_they_are_told_in_python(world):
    """The same mids, own prices and prints at the same times, through shared memory and by hand."""
    rng, by_hand = np.random.default_rng(3), Estimator(world.config.estimation, 0.1)
    mid, own = 617_000, np.zeros(2, np.int64)
    for step in range(400):
        mid += int(rng.integers(-20, 21))
        receive_ns = world.now_ns + 10 * MS
        if step % 7 == 0:
            own[:] = mid - 15, mid + 12
            world.change_account(n_own=2, own_side=[1, -1], own_ticks=own, own_lots=[10, 10])
        world.show(mid, receive_ns)
        prints = []
        for _ in range(rng.integers(0, 3)):
            side = int(rng.choice([-1, 1]))
            price = int(own[0 if side < 0 else 1]) if rng.random() < 0.3 else mid + side * int(rng.integers(1, 60))
            prints.append((price, side, int(rng.random() < 0.05)))
            world.print_trade(price, side, receive_ns, in_snapshot=prints[-1][2])
        world.turn(later_ns=10 * MS + int(rng.integers(0, 90 * MS)))
        for price, side, in_snapshot in prints:
            hit = price == own[0 if side < 0 else 1]
            by_hand.on_print(receive_ns, price * 0.1, 0.01, side, own=hit, in_snapshot=bool(in_snapshot))
        net_mid = world.loop.quoter.net_mid_ticks
        assert net_mid > 0
        by_hand.on_mid(receive_ns, net_mid * 0.1, own[0] * 0.1, own[1] * 0.1)
    assert world.estimator.volatility.tobytes() == by_hand.volatility.tobytes()
    assert world.estimator.intensity.tobytes() == by_hand.intensity.tobytes()
    assert intensity(world)["prints"] > 100
    assert intensity(world)["censored"].sum() > 0


def test_what_is_to_be_estimated_is_taken_over_and_what_is_configured_is_not():
    for overrides, taken in ((ALL, True), ({}, False)):
        world = World(overrides)
        for step in range(40):
            world.show(617_000 + 20 * (step % 3), world.now_ns)
            world.turn(later_ns=250 * MS)
        p, r = world.loop.quoter.parameters[0], world.loop.estimates.record[0]
        used = [p["sigma"], p["A_bid"], p["k_bid"], p["A_ask"], p["k_ask"]]
        assert list(r["used"]) == used
        assert (used == list(r["value"])) == taken
        assert np.all(r["value"] > 0)
        standings = [p["sigma_standing"], p["bid_standing"], p["ask_standing"]]
        if taken:
            assert standings == [
                r["standing"][SIGMA],
                r["standing"][[BID_A, BID_K]].max(),
                r["standing"][[ASK_A, ASK_K]].max(),
            ]
        else:
            assert (used, standings) == ([8.0, 0.55, 0.25, 0.55, 0.25], [-1, -1, -1])
        assert world.target()["n_bids"] == 1
        world.close()


def test_the_first_decision_on_a_book_has_its_estimates(world):
    """From the prior, at a price near enough: nothing must wait for a quarter of a second, nor be made with nothing."""
    world.show(617_000, world.now_ns)
    world.turn()
    target = world.turn()
    assert target["n_bids"] == 1
    record = world.loop.estimates.record[0]
    assert set(record["standing"]) == {Standing.PRIOR}
    assert record["value"][SIGMA] == pytest.approx(1.3e-4 * 61_700, rel=1e-9)


def test_estimates_are_made_four_times_a_second_and_published(world):
    reader, record, times = world.links.estimates.reader(), records.blank(records.ESTIMATES), []
    for step in range(100):
        world.show(617_000 + step % 3, world.now_ns)
        world.turn(later_ns=10 * MS)
        reader.read_into(record)
        times.append(int(record["time_ns"][0]))
    assert len(set(times)) in (4, 5)
    assert np.diff(sorted(set(times))).min() >= 250 * MS
    assert record.tobytes() == world.loop.estimates.record.tobytes()
    reader.close()


def test_estimates_get_stale_by_the_clock_alone(world):
    for step in range(200):
        world.show(617_000 + 10 * (step % 5), world.now_ns)
        world.turn(later_ns=500 * MS)
    assert world.loop.estimates.record["standing"][0][SIGMA] == Standing.LIVE
    world.book.mark(BOOK_STALE)
    for _ in range(70):
        world.turn(later_ns=SECOND)
    assert world.loop.estimates.record["standing"][0][SIGMA] == Standing.REJECTED
    assert world.loop.quoter.parameters["sigma_standing"][0] == Standing.REJECTED


@pytest.mark.parametrize("state", [BOOK_STALE, BOOK_RESYNCING])
def test_after_a_time_in_which_the_book_was_not_to_be_trusted_observing_begins_anew(world, state):
    world.show(617_000, world.now_ns)
    world.turn()
    world.book.mark(state)
    for _ in range(5):
        world.turn(later_ns=100 * MS)
    assert world.loop.estimates.record["restarts"][0] == 1
    world.show(650_000, world.now_ns)  # the move of the time between must not count
    for _ in range(30):
        world.turn(later_ns=100 * MS)
    assert world.estimator.volatility["sum_dp2"][0] == 0
    assert world.estimator.volatility["samples"][0] >= 2


@pytest.mark.parametrize("sign", ["resyncs", "another writer"])
def test_a_book_that_was_lost_and_found_again_between_two_turns_is_noticed(world, sign):
    world.show(617_000, world.now_ns)
    world.turn()
    if sign == "resyncs":
        world.heard(world.now_ns, resyncs=1)
    else:
        world.book.close()
        world.book = world.links.book.writer()
    world.show(650_000, world.now_ns)
    for _ in range(30):
        world.turn(later_ns=100 * MS)
    assert world.loop.estimates.record["restarts"][0] == 1
    assert world.estimator.volatility["sum_dp2"][0] == 0


def test_after_lost_trades_the_interval_does_not_count(world):
    world.show(617_000, world.now_ns)
    world.turn()
    world.trades.push_many(np.zeros(16_384 + 3, records.TRADE))
    world.turn()
    record = world.loop.estimates.record[0]
    assert (record["restarts"], record["lost_trades"]) == (1, 3)
    assert intensity(world)["gaps"] == 1


def test_our_own_orders_alone_move_no_estimate(world):
    """Twice the same market; once with quotes of ours in the book, inside the others' spread."""

    def states(made, quoting):
        for step in range(200):
            mid = 617_000 + 50 * (step // 40)
            own = [mid - 4, mid + 4]
            made.show(mid, made.now_ns, own=own if quoting else [], spread=10)
            if quoting:
                made.change_account(n_own=2, own_side=[1, -1], own_ticks=own, own_lots=[7, 7])
            made.turn(later_ns=100 * MS)
        return made.estimator.volatility.tobytes(), made.loop.estimates.record["value"][0][SIGMA]

    other = World(ALL)
    assert states(world, quoting=True) == states(other, quoting=False)
    assert world.estimator.volatility["sum_dp2"][0] > 0
    other.close()


def test_times_from_elsewhere_cannot_lead_it_astray(world):
    """A print from the past, one from the future, a book from the future, garbage: order and clock are our own."""
    for receive_ns in (-(2**62), 0, START_NS - 100 * SECOND, START_NS + 100 * SECOND, 2**62):
        world.print_trade(617_030, int(Side.BUY), receive_ns)
        world.show(617_000, receive_ns)
        world.turn(later_ns=100 * MS)
    # but for a book from the far future, which is not to be trusted at all, there was no gap
    gaps = int(world.loop.estimates.record["restarts"][0])
    assert intensity(world)["gaps"] == world.estimator.volatility["gaps"][0] == gaps == 1
    assert intensity(world)["backwards"] == world.estimator.volatility["backwards"][0] == 0
    for members in ({"n_own": 2**40}, {"n_own": -1}):
        world.change_account(**members)
        world.turn()


def test_estimates_that_come_later_are_taken_up_while_it_quotes():
    code = code_of("avellaneda_stoikov")
    world = World(code=code._replace(estimates=None))
    reader = world.links.estimates.reader()
    world.show(617_000, world.now_ns)
    assert (world.turn()["n_bids"], world.loop.estimates, reader.version) == (1, None, 0)
    world.loop.attach(code.estimates_for(world.config, 0.1, 0.001))
    for _ in range(2):
        world.turn()
    assert reader.version == 1
    assert world.loop.estimates.record["restarts"][0] == 0
    reader.close()
    world.close()


def test_what_loads_beside_the_loop_is_given_once_and_can_be_given_up(monkeypatch):
    loaded = strategy_code.LoadingEstimates()
    while loaded.goes_on:
        time.sleep(0.01)
    assert loaded.take() is not None
    assert (loaded.take(), loaded.failure) == (None, "")

    functions, resume = [], threading.Event()

    def slow(progress):
        for name in ("first", "second"):
            progress(name)
            functions.append(name)
            resume.wait(20)

    monkeypatch.setattr(strategy_code, "load_estimates", slow)
    loading = strategy_code.LoadingEstimates()
    while not functions:
        time.sleep(0.01)
    assert not loading.end(0.01)  # in the middle of a function
    resume.set()
    assert loading.end(20)
    assert (functions, loading.take(), loading.failure) == (["first"], None, "")


def test_that_estimates_cannot_be_loaded_is_said(monkeypatch):
    def broken(_progress):
        raise OSError("no such disk")

    monkeypatch.setattr(strategy_code, "load_estimates", broken)
    loading = strategy_code.LoadingEstimates()
    assert loading.end(20)
    assert loading.take() is None
    assert "no such disk" in loading.failure


@pytest.mark.parametrize("name", ["sigma_usd_sqrt_s", "A_per_s", "k_per_usd"])
def test_estimates_that_decisions_are_made_with_are_not_left_for_later(name):
    assert strategy_code.are_used(config.load(overrides={f"model.{name}": "estimated"}).model)
    assert not strategy_code.are_used(config.load().model)
