"""The rules by which our orders fill against a recorded market, on tiny recordings made by hand."""

from fractions import Fraction

import pytest

from mftpy.sim.accounts import Account
from mftpy.sim.flow import Market
from mftpy.sim.flow_recording import RecordingFlow
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.recording import Recording
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Trading
from tests.py.test_recording import depth, made

BOOK = {
    "lastUpdateId": 10,
    "bids": [["100.0", "1.000"], ["99.5", "5.001"]],
    "asks": [["100.5", "2.000"], ["101.0", "3.000"]],
}


def trade(price, size, *, sold):
    return {"stream": "x@trade", "data": {"e": "trade", "p": price, "q": size, "m": sold}}


class Played:
    """A recording, played to its end one event at a time."""

    def __init__(self, path, *contents):
        recording = Recording(made(path, BOOK, depth(11, 11, 10), *contents))
        listed = Listed("BTC-PERPETUAL", "BTCUSD", recording.tick_size, recording.lot_size, 0.0)
        self.trading = Trading(listed, Account(Fraction(1000), listed.tick, listed.lot), Fraction(0), Fraction(0))
        self.market, self.flow = Market(self.trading), RecordingFlow(recording, 1.0)
        self.flow.start(self.market, 0)
        self.session = Session(1, 0)

    def rest(self, direction, price, amount):
        params = {"instrument_name": "BTC-PERPETUAL", "price": price, "amount": amount, "post_only": True}
        order_id = self.trading.insert(self.session, params, direction)["order_id"]
        return self.trading.orders[order_id]

    def play(self):
        while (due_ns := self.flow.next_due_ns()) is not None:
            self.flow.step(self.market, due_ns)
        assert self.flow.finished
        return self


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.gz"


def test_a_print_through_our_price_fills_us_at_our_price_up_to_its_size(path):
    played = Played(path, trade("99.5", "0.300", sold=True))
    order = played.rest("buy", 100.0, 1.0)
    played.play()
    assert order.filled_lots * played.trading.instrument.lot == Fraction(3, 10)
    assert order.fills[0]["price"] == 100.0


def test_at_our_price_what_stood_there_first_trades_first(path):
    played = Played(path, trade("100.0", "0.800", sold=True), trade("100.0", "0.500", sold=True))
    order = played.rest("buy", 100.0, 1.0)  # 1.0 stands there
    played.play()
    assert order.filled_lots * played.trading.instrument.lot == Fraction(3, 10)


def test_what_is_taken_away_ahead_of_us_moves_us_forward_and_what_comes_later_does_not(path):
    played = Played(
        path,
        depth(12, 12, 11, bids=[["100.0", "0.200"]]),
        depth(13, 13, 12, bids=[["100.0", "9.000"]]),
        trade("100.0", "0.300", sold=True),
    )
    order = played.rest("buy", 100.0, 1.0)
    played.play()
    assert order.filled_lots * played.trading.instrument.lot == Fraction(1, 10)


def test_prints_of_the_other_side_or_short_of_our_price_do_not_fill_us(path):
    played = Played(
        path, trade("100.0", "9", sold=False), trade("100.0", "9", sold=True), trade("101.0", "9", sold=True)
    )
    order = played.rest("buy", 99.5, 1.0)
    played.play()
    assert order.filled_lots == 0


def test_a_book_that_moves_through_our_order_fills_it_at_its_price_and_never_crosses(path):
    played = Played(
        path, depth(12, 12, 11, bids=[["102.0", "1"]], asks=[["100.5", "0"], ["101.0", "0"], ["103.0", "1"]])
    )
    order = played.rest("sell", 101.0, 0.7)
    played.play()
    assert order.status == "filled"
    assert {fill["price"] for fill in order.fills} == {101.0}
    book = played.trading.book
    assert book.best(BUY) < book.best(SELL)


def test_recorded_trades_leave_the_background_alone(path):
    played = Played(path, trade("100.5", "1.500", sold=False))
    ticks = played.trading.instrument.ticks(100.5)
    before = played.trading.book.size(SELL, ticks)
    played.play()
    assert played.trading.book.size(SELL, ticks) == before
    assert played.trading.prints


def test_index_is_the_recorded_mid_and_a_damaged_line_is_a_failure_not_an_end(path):
    played = Played(path, depth(12, 12, 11, asks=[["100.5", "0"]]))
    assert played.trading.index == Fraction(10025, 100)
    played.play()
    assert played.trading.index == Fraction(1005, 10)
    broken = Played(path.with_name("b.gz"), depth(13, 13, 12))
    while (due_ns := broken.flow.next_due_ns()) is not None:
        broken.flow.step(broken.market, due_ns)
    assert broken.flow.finished is None
    assert "line 3" in str(broken.flow.failure)
