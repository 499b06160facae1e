"""The live picture: what is printed adds up, fits the terminal, and marks our own quotes."""

import io
import re
import time
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from mftcore import LEVEL
from mftpy import config, records
from mftpy.execution.position import waterfall
from mftpy.links import PROCESSES, Instrument
from mftpy.records import Reason, State
from mftpy.snapshot import Snapshot
from mftpy.strategy.shown import as_report
from mftpy.view import View, ladder_rows, pnl_words


def snapshot(skew=1.2345678, position_lots=-30):
    """Return a state in which both sides are quoted outside the best levels."""
    bids, asks = np.zeros(50, LEVEL), np.zeros(50, LEVEL)
    bids["price_ticks"] = 616_999 - np.arange(50)
    asks["price_ticks"] = 617_000 + np.arange(50)
    bids["size_lots"] = asks["size_lots"] = 12_345
    target, account = records.blank(records.TARGET), records.blank(records.ACCOUNT)
    target["fair"], target["skew"], target["model_half"], target["fee"] = 61_699.95, skew, 10.3078123, 6.1699876
    target["n_bids"] = target["n_asks"] = 1
    target["bid_ticks"][0][0], target["ask_ticks"][0][0] = 616_834, 617_165
    account["position_lots"], account["average_price"] = position_lots, 61_690.0
    account["traded_cash"] = -position_lots * 0.001 * 61_690.0
    account["n_own"] = 2
    account["own_side"][0][:2], account["own_ticks"][0][:2], account["own_lots"][0][:2] = (
        (1, -1),
        (616_834, 617_165),
        10,
    )
    ticker = records.blank(records.TICKER)
    ticker["mark_price"] = 61_700.0
    statuses = {name: records.blank(records.STATUS) for name in PROCESSES}
    for status in statuses.values():
        status["state"] = State.READY
    latency = {"p50": 512_345, "p90": 700_000, "p99": 1_234_567, "p999": 2, "max": 2, "count": 9}
    estimates = records.blank(records.ESTIMATES)
    estimates["time_ns"] = 1
    estimates["value"], estimates["error"] = [7.86, 0.61, 0.24, 0.58, 0.25], [0.64, 0.1, 0.02, 0.1, 0.02]
    estimates["used"] = [8.0, 0.61, 0.24, 0.58, 0.25]
    estimates["standing"], estimates["doubt"] = [3, 2, 2, 1, 1], [3, 0, 0, 2, 2]
    return Snapshot(bids, asks, None, target, account, ticker, estimates, statuses, latency)


class Watched(View):
    """A view of one given state."""

    def __init__(self, state, settings=None):
        supervisor = SimpleNamespace(
            links=SimpleNamespace(instrument=Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD")),
            phase="quoting", started_ns=0, ready_ns=1,
        )  # fmt: skip
        super().__init__(supervisor, settings or config.load(), "flow model  seed 1", simulated=True)
        fill = np.zeros(1, records.FILL)[0]
        fill["side"], fill["price_ticks"], fill["size_lots"], fill["fair"] = 1, 616_834, 10, 61_699.95
        fill["receive_ns"] = time.monotonic_ns() - 2_056 * 10**9
        self._watcher = SimpleNamespace(fills=deque([fill] * 12))
        self._given = state

    def read(self):
        return self._given


def printed(view, width, height):
    """Return the screen's lines."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(view.screen(width, height))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("skew", [1.2345678, -0.6554321, 0.0, 25.0004999])
def test_the_printed_equation_adds_up_to_its_last_digit(skew):
    terms, quotes = Watched(snapshot(skew)).equation(snapshot(skew))
    fair, sign, shift, model, fee = re.fullmatch(
        r"fair ([\d,.]+) ([-+]) skew ([\d.]+) ± \(model ([\d.]+) \+ fee ([\d.]+)\)", terms
    ).groups()
    bid, ask = re.fullmatch(r"→ ([\d,.]+) / ([\d,.]+)", quotes).groups()

    def milli(text):
        whole, _, part = text.replace(",", "").partition(".")
        return int(whole + part)

    centre = milli(fair) + (milli(shift) if sign == "+" else -milli(shift))
    half = milli(model) + milli(fee)
    assert (milli(bid), milli(ask)) == (centre - half, centre + half)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (100, 30), (200, 60)])
def test_the_screen_fits_the_terminal_and_marks_our_quotes(width, height):
    lines = printed(Watched(snapshot()), width, height)
    assert len(lines) <= height, "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert sum("◀ 0.010" in line for line in lines) == 2
    assert "SIMULATED" in lines[0]
    assert "seed 1" in lines[0]
    assert "maker 1 bp taker 5 bp" in lines[0]
    text = "\n".join(lines)
    for words in (
        "on ticks",
        "61,683.4 / 61,716.5",
        "of ±0.100",
        "p50 512 us",
        "p99 1,235 us",
        "per s",
        "quoting",
        "34 m",
    ):
        assert words in text
    assert "…" not in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40)])
@pytest.mark.parametrize("quotes", [3, 8])
def test_with_several_levels_the_last_lines_are_still_on_the_screen(width, height, quotes):
    state = snapshot()
    state.account["n_own"] = 2 * quotes
    state.account["own_side"][0][: 2 * quotes] = np.repeat((1, -1), quotes)
    state.account["own_ticks"][0][: 2 * quotes] = (*(616_834 - np.arange(quotes)), *(617_165 + np.arange(quotes)))
    state.account["own_lots"][0][: 2 * quotes] = 10
    lines = printed(Watched(state), width, height)
    assert len(lines) <= height, "\n".join(lines)
    assert lines[-1].startswith("Ctrl-C")
    marked = [line for line in lines if "◀ 0.010" in line]
    assert any("61,683.4" in line for line in marked)  # the first quote of each side is never what is left out
    assert any("61,716.5" in line for line in marked)
    assert any("61,699.9 " in line for line in lines)  # and neither is the best price


def test_what_is_estimated_and_what_is_used_is_shown():
    text = "\n".join(printed(Watched(snapshot()), 200, 40))
    assert "sigma 8 fixed, seen 7.86 ± 0.64 rejected: stale; A 0.61|0.58 live|warming; k 0.24|0.25 live|warming" in text
    state = snapshot()
    state.estimates["time_ns"] = 0
    assert "nothing estimated yet" in "\n".join(printed(Watched(state), 120, 30))


def test_the_summary_tells_of_each_estimate_and_how_far_it_can_be_relied_on():
    told = as_report(snapshot().estimates[0])
    assert list(told) == ["sigma", "bid A", "bid k", "ask A", "ask k"]
    assert told["sigma"] == {"used": 8.0, "value": 7.86, "error": 0.64, "standing": "rejected: stale"}
    assert told["ask A"]["standing"] == "warming"
    assert as_report(records.blank(records.ESTIMATES)[0]) == {}


def test_without_a_quote_the_screen_says_why():
    state = snapshot()
    state.target["fair"] = state.target["n_bids"] = state.target["n_asks"] = 0
    state.target["reasons"] = int(Reason.BOOK_STALE)
    text = "\n".join(printed(Watched(state), 120, 40))
    assert "no quote: book stale" in text
    assert "no bid / no ask" in text


@pytest.mark.parametrize("terms", [(0.0, 0.0, 0.0), (1.0, 2.0, 3.0)])
def test_terms_that_do_not_make_the_prices_are_not_shown_as_if_they_did(terms):
    state = snapshot()
    state.target["skew"], state.target["model_half"], state.target["fee"] = terms
    state.target["bid_unrounded"], state.target["ask_unrounded"] = 61_683.49, 61_716.41
    text = "\n".join(printed(Watched(state), 120, 40))
    assert "fair 61,699.950, the model wants → 61,683.490 / 61,716.410" in text
    state.target["ask_unrounded"] = 0
    assert "61,683.490 / no ask" in "\n".join(printed(Watched(state), 120, 40))


def test_before_the_first_decision_the_screen_does_not_speak_of_a_quote_that_nothing_prevents():
    state = snapshot()
    state.target[:] = 0
    assert "no quote: nothing was decided yet" in "\n".join(printed(Watched(state), 120, 40))


def test_the_printed_waterfall_adds_up_to_the_cent():
    for cents in range(1, 400, 7):
        third, seventh, eleventh = cents / 3, cents / 7, cents / 11
        split = waterfall(
            traded_cash=-third, coins=0.01, start_value=0.0, edge=seventh, fees=eleventh, funding=0.0, mark=61_700.0
        )
        figures = [round(float(word.replace(",", "")) * 100) for word in re.findall(r"[-+][\d,.]+", pnl_words(split))]
        edge, inventory, fees, funding, net = figures
        assert edge + inventory + fees + funding == net


def test_our_quotes_beyond_the_shown_levels_stand_after_a_gap_and_those_among_them_stay_in_place():
    book = np.zeros(20, LEVEL)
    book["price_ticks"], book["size_lots"] = 1000 - np.arange(20), 5
    assert ladder_rows(book, [999, 990], 3, best_high=True) == [(1000, 5), (999, 5), (998, 5), (None, None), (990, 5)]
    assert ladder_rows(book, [900], 1, best_high=True) == [(1000, 5), (None, None), (900, None)]
