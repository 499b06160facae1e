"""The study: what it counts is what the exchange books, and the same seed gives the same bytes."""

import dataclasses
import json
import math
import os

import pytest

from mftpy import cli
from mftpy.settings import Config
from mftpy.sim.matching import BUY, SELL
from mftpy.study import running, table
from mftpy.study.accounting import WINDOW_NS, Ledger, Row
from mftpy.study.maker import Maker
from mftpy.study.quoters import Naive, Shipped
from mftpy.study.venue import Fill

HOURS = 0.02


def make(seed, strategy):
    return running.run_one(seed, HOURS, strategy, Config())


def test_the_same_seed_gives_the_same_bytes():
    first, second = (json.dumps(running.as_json([make(1, name) for name in running.STRATEGIES])) for _ in range(2))
    assert first == second
    assert make(2, running.SHIPPED) != make(1, running.SHIPPED)


@pytest.mark.parametrize("strategy", running.STRATEGIES)
def test_lots_and_money_come_from_nowhere_and_the_book_is_never_crossed(strategy, monkeypatch):
    seen = []
    look = Maker._look

    def checked(self, now_ns):
        bid, ask = self._venue.market.best(BUY), self._venue.market.best(SELL)
        assert bid is None or ask is None or bid < ask
        assert self._venue.imbalance == (0, 0)
        seen.append(now_ns)
        look(self, now_ns)

    monkeypatch.setattr(Maker, "_look", checked)
    row = make(4, strategy)
    assert seen == sorted(seen)
    assert row.fills > 0
    assert row.before_fees - row.fees == pytest.approx(row.after_fees)


def test_more_latency_changes_what_happens_and_not_the_market_before_it():
    fast, slow = make(3, running.SHIPPED), make(3, running.SLOW)
    assert (fast.fills, fast.after_fees) != (slow.fills, slow.after_fees)


def test_the_naive_quotes_keep_their_distance_and_stop_at_the_limit():
    naive = Naive(5.0, Config(), 1.0, 0.001)
    assert naive.decide(61_699, 61_700, 0) == {BUY: 61_694, SELL: 61_705}
    assert naive.decide(61_699, 61_700, 95)[BUY] == 0
    assert naive.decide(61_699, 61_700, -95)[SELL] == 0


def test_the_shipped_quotes_are_those_of_the_compiled_quoter():
    shipped = Shipped(Config(), 1.0, 0.001)
    wishes = shipped.decide(61_699, 61_700, 0)
    assert 61_699.5 - wishes[BUY] == pytest.approx(wishes[SELL] - 61_699.5, abs=1)
    long = shipped.decide(61_699, 61_700, 50)
    assert long[BUY] < wishes[BUY]
    assert long[SELL] < wishes[SELL]
    assert shipped.decide(61_699, 61_700, 95)[BUY] == 0


def test_windows_and_inventory_are_weighed_by_time():
    ledger = Ledger()
    ledger.fill(0, Fill(BUY, 100, 10, True))
    ledger.fill(WINDOW_NS, Fill(SELL, 100, 20, True))
    assert ledger.windows(4 * WINDOW_NS + 1) == (4, 2)
    assert ledger.inventory_mean_square(4 * WINDOW_NS) == 100
    assert ledger.position_lots == -10


def rows(difference):
    base = Row(0, "", 1.0, 360, 0, -10.0, 5.0, -15.0, 100.0, 30, 0, 7200)
    made = []
    for seed in range(1, 41):
        noise = math.sin(seed)
        for name, less in ((running.NAIVE, 2 * difference), (running.SHIPPED, 0.0), (running.SLOW, difference)):
            after = -15.0 + noise - less
            made.append(dataclasses.replace(base, seed=seed, strategy=name, after_fees=after, before_fees=after + 5))
    return made


def test_the_table_says_what_holds_and_what_does_not():
    made = rows(0.0)
    assert [check.holds for check in table.Table(made).checks] == [True, False, False, True, True]
    for row_index, row in enumerate(made):  # differences that are not quite constant
        shift = {running.NAIVE: -5.0, running.SHIPPED: 0.0, running.SLOW: -1.0}[row.strategy] + 0.1 * math.cos(
            row_index
        )
        made[row_index] = dataclasses.replace(row, after_fees=row.after_fees + shift)
    held = table.Table(made)
    assert all(check.holds for check in held.checks)
    assert "| as shipped | 6.00 |" in held.text()
    assert json.loads(json.dumps(held.summary()))["seeds"] == 40
    empty = [dataclasses.replace(row, empty_windows=1) for row in made]
    assert [check.holds for check in table.Table(empty).checks] == [True, True, True, True, False]


def test_a_study_of_two_markets_runs_in_other_processes_and_tells_how_far_it_is():
    told = []
    found = running.run(2, 0.02, lambda done, of: told.append((done, of)), workers=2)
    assert told == [(n, 6) for n in range(1, 7)]
    assert [(row.seed, row.strategy) for row in found] == [(s, name) for s in (1, 2) for name in running.STRATEGIES]
    assert found[1] == running.run_one(1, 0.02, running.SHIPPED, Config())


def test_the_command_line_prints_the_table_or_every_run_and_tells_how_far_it_is(capfd, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # one core: no other processes
    assert cli.main(["exchange", "--study", "--seeds", "2", "--hours", "0.02"]) == 0
    printed = capfd.readouterr()
    assert "2 markets of 0.02 h each" in printed.out
    assert "| naive quotes lose before fees" in printed.out
    assert printed.err.endswith("6 of 6 runs\n")
    assert cli.main(["exchange", "--study", "--seeds", "1", "--hours", "0.02", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert len(said["runs"]) == 3
    assert [check["holds"] for check in said["checks"][:3]] == [False] * 3  # one market has no standard error
    assert not said["checks"][4]["holds"]  # 72 seconds hold no two minutes
    assert said["usd_per_hour"]["shipped"]["empty_two_minutes"] is None
    assert cli.main(["exchange", "--study", "--seeds", "0"]) == 2
    assert cli.main(["exchange", "--study", "--hours", "1e-13"]) == 2
