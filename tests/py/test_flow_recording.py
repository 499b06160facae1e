"""The rules by which our orders fill against a recorded market, on tiny recordings made by hand."""

from fractions import Fraction

import pytest

from mftpy.sim.accounts import Account
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.flow import Market
from mftpy.sim.flow_recording import RecordingFlow
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT
from mftpy.sim.recording import Recording
from mftpy.sim.recording_sync import MOST_SILENCE_NS
from mftpy.sim.requests import Insert
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Rules, Trading
from tests.py.test_recording import depth, made, trade

BOOK = {
    "lastUpdateId": 10,
    "bids": [["100.0", "1.000"], ["99.5", "5.001"]],
    "asks": [["100.5", "2.000"], ["101.0", "3.000"]],
}


class Played:
    """A recording, played to its end one event at a time."""

    def __init__(self, path, *contents, then=()):
        recording = Recording([made(path, BOOK, depth(11, 11, 10), *contents), *then])
        listed = Listed("BTC-PERPETUAL", "perpetual", "BTCUSD", recording.tick_units, recording.lot_units)
        self.contract = Contract(listed, Underlying("BTCUSD", 100 * UNIT))
        account = Account("A000000001", "C000000001", 1000 * MONEY)
        clearing = Clearing(Clock(0, 0), [account], FeeRates(0, 0))
        self.trading = Trading(clearing, [self.contract], Rules())
        self.market, self.flow = Market(self.trading, self.contract), RecordingFlow(recording, 1.0)
        self.flow.start(self.market, 0)
        self.session = Session(1, 0)
        self.session.account = account

    def rest(self, side, price, amount, **more):
        listed = self.contract.listed
        asked = Insert(self.contract, side, listed.ticks(price), listed.lots(amount), post_only=True, **more)
        return self.trading.orders[self.trading.insert(self.session, asked)["order_id"]]

    def filled(self, order):
        return order.filled_lots * self.contract.listed.lot

    @property
    def index(self):
        return Fraction(self.market.index_units, UNIT)

    def step(self):
        """Play what is due next; lines that were made by hand are each due by themselves."""
        self.flow.step(self.market, self.flow.next_due_ns())

    def play(self):
        while self.flow.next_due_ns() is not None:
            self.step()
        assert self.flow.finished
        return self


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.gz"


def test_a_print_through_our_price_fills_us_at_our_price_up_to_its_size(path):
    played = Played(path, trade("99.5", "0.300", sold=True))
    order = played.rest(BUY, 100.0, 1.0)
    played.play()
    assert played.filled(order) == Fraction(3, 10)
    assert order.fills[0]["price"] == 100.0


def test_at_our_price_what_stood_there_first_trades_first(path):
    played = Played(path, trade("100.0", "0.800", sold=True), trade("100.0", "0.500", sold=True))
    order = played.rest(BUY, 100.0, 1.0)  # 1.0 stands there
    played.play()
    assert played.filled(order) == Fraction(3, 10)


def test_what_stood_there_first_trades_once_for_all_orders_behind_it(path):
    played = Played(path, trade("100.0", "0.800", sold=True), trade("100.0", "0.700", sold=True))
    first, second = (played.rest(BUY, 100.0, 0.3) for _ in range(2))  # 1.0 stands before both
    played.play()
    assert (played.filled(first), played.filled(second)) == (Fraction(3, 10), Fraction(2, 10))


def test_what_is_taken_away_ahead_of_us_moves_us_forward_and_what_comes_later_does_not(path):
    played = Played(
        path,
        depth(12, 12, 11, bids=[["100.0", "0.200"]]),
        depth(13, 13, 12, bids=[["100.0", "9.000"]]),
        trade("100.0", "0.300", sold=True),
    )
    order = played.rest(BUY, 100.0, 1.0)
    played.play()
    assert played.filled(order) == Fraction(1, 10)


def test_prints_of_the_other_side_or_short_of_our_price_do_not_fill_us(path):
    played = Played(
        path, trade("100.0", "9", sold=False), trade("100.0", "9", sold=True), trade("101.0", "9", sold=True)
    )
    order = played.rest(BUY, 99.5, 1.0)
    played.play()
    assert order.filled_lots == 0


def test_an_order_that_a_fill_before_it_has_shrunk_is_filled_no_further(path):
    played = Played(path, trade("99.5", "0.500", sold=True), trade("101.5", "5.000", sold=False))
    played.rest(BUY, 100.0, 0.5)
    played.step()
    played.step()
    first, second = (played.rest(SELL, price, 0.5, reduce_only=True) for price in (100.5, 101.0))
    played.play()
    assert (played.filled(first), played.filled(second)) == (Fraction(1, 2), 0)
    assert played.session.account.position(played.contract).lots == 0


def test_a_book_that_moves_through_our_order_fills_it_at_its_price_and_never_crosses(path):
    played = Played(
        path, depth(12, 12, 11, bids=[["102.0", "1"]], asks=[["100.5", "0"], ["101.0", "0"], ["103.0", "1"]])
    )
    order = played.rest(SELL, 101.0, 0.7)
    played.play()
    assert order.status == "filled"
    assert {fill["price"] for fill in order.fills} == {101.0}
    book = played.contract.book
    assert book.best(BUY) < book.best(SELL)


def test_recorded_trades_leave_the_background_alone(path):
    played = Played(path, trade("100.5", "1.500", sold=False))
    ticks = played.contract.listed.ticks(100.5)
    before = played.contract.book.size(SELL, ticks)
    played.play()
    assert played.contract.book.size(SELL, ticks) == before
    assert played.contract.prints


def test_index_is_the_recorded_mid_and_a_damaged_line_is_a_failure_not_an_end(path):
    played = Played(path, depth(12, 12, 11, asks=[["100.5", "0"]]))
    assert played.index == Fraction(10025, 100)
    played.play()
    assert played.index == Fraction(1005, 10)
    broken = Played(path.with_name("b.gz"), depth(13, 13, 12))
    while broken.flow.next_due_ns() is not None:
        broken.step()
    assert broken.flow.finished is None
    assert "line 3" in str(broken.flow.failure)


def test_a_snapshot_in_the_middle_replaces_the_book_and_fills_what_it_has_moved_through(path):
    book = {"lastUpdateId": 90, "bids": [["98.0", "1.000"], ["100.5", "0.300"]], "asks": [["101.0", "2.000"]]}
    then = made(path.with_name("then.gz"), book, depth(91, 91, 90), trade("100.5", "0.200", sold=True), begin_ns=10)
    played = Played(path, then=[then])
    through = played.rest(SELL, 100.5, 0.4)
    kept = played.rest(BUY, 99.5, 0.5)
    played.play()
    assert (through.status, {fill["price"] for fill in through.fills}) == ("filled", {100.5})
    assert (kept.status, kept.filled_lots) == ("open", 0)
    instrument, resting = played.contract.listed, played.contract.book
    sizes = {side: {price: resting.size(side, price) for price in resting.prices(side)} for side in (BUY, SELL)}
    expected = {BUY: {100.5: 0.3, 99.5: 0.5, 98.0: 1.0}, SELL: {101.0: 2.0}}
    assert sizes == {
        side: {instrument.ticks(price): instrument.lots(amount) for price, amount in levels.items()}
        for side, levels in expected.items()
    }
    assert played.index == Fraction(10075, 100)
    assert played.flow.finished == "the end of the recording (1 of its 2 files begun anew from a snapshot)"


def test_the_second_file_is_played_after_the_first_with_at_most_a_few_seconds_between(path):
    then = made(path.with_name("then.gz"), depth(12, 12, 11, bids=[["99.0", "1"]]), begin_ns=3600 * 10**9)
    played = Played(path, then=[then])
    dues = []
    while (due_ns := played.flow.next_due_ns()) is not None:
        dues.append(due_ns)
        played.flow.step(played.market, due_ns)
    assert dues == [0, MOST_SILENCE_NS]
    assert played.flow.finished == "the end of the recording (3,595.0 s of silence between its files left out)"
