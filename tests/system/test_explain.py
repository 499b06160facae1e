"""A run explained while it goes on and when it has ended, also when everything was killed."""

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction

import psutil

from mftcore import Journal, segments
from mftpy.journal_meta import NAMES
from tests.py.test_explain import adds_up
from tests.py.test_explain_command import which
from tests.system.conftest import PATIENCE_S, ROOT


def explain(run, *arguments, code=0):
    result = subprocess.run(
        [sys.executable, "-m", "mftpy", "explain", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        env={**os.environ, "XDG_STATE_HOME": str(run.out.parent / "state")},
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    return result.stdout


def memory_left(run):
    """Names of memory of this run's journals."""
    mine = set()
    for name in NAMES:
        with Journal.open(run.out / name) as journal:
            mine.add(journal.memory_name)
    return [info.name for info in segments() if info.name in mine]


def exact_sums(told):
    """Check the sums of decisions told as JSON; returns how many quotes there were."""
    count = 0
    for decision in told["decisions"]:
        for quote in decision["quotes"]:
            terms = sum(Fraction(term["ticks"]) for term in quote["terms"])
            clamps = sum(Fraction(term["ticks"]) for term in quote["clamps"])
            assert terms == Fraction(quote["unrounded"])
            assert terms + clamps == Fraction(quote["price"])
            if quote["quoted"]:
                word, level = quote["side"], quote["level"] - 1
                assert Fraction(quote["price"]) == decision["record"][f"{word}_ticks"][level]
            count += 1
    return count


def test_a_run_is_explained_while_it_goes_on_and_afterwards_and_every_number_adds_up(start):
    run = start()
    run.quoting()
    live = explain(run)  # the newest decision of the newest run
    assert len(which(live)) == 1
    assert json.loads(explain(run, "--json", "--instance", "default"))["run"]["live"] is True
    run.process.send_signal(signal.SIGINT)
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)
    assert memory_left(run) == []
    assert summary["decisions_kept"] == summary["quotes_decided"] > 0
    assert summary["decisions_not_kept"] == 0
    told = json.loads(explain(run, "--last", "5000", "--json"))
    assert [decision["decision_id"] for decision in told["decisions"]] == list(range(1, summary["quotes_decided"] + 1))
    assert exact_sums(told) > 20
    assert adds_up(explain(run, "--last", "300")) > 20
    inserted = [
        action for decision in told["decisions"] for action in decision["actions"] if action["outcome"] == "INSERTED"
    ]
    assert len(inserted) == summary["orders_inserted"]
    for action in inserted:
        decision = told["decisions"][action["decision_id"] - 1]
        word = "bid" if action["side"] > 0 else "ask"
        assert action["price_ticks"] == decision["record"][f"{word}_ticks"][action["level"]]
        assert action["sent_ns"] > decision["record"]["decided_ns"]
    life = json.loads(explain(run, "--order", str(inserted[0]["client_order_id"]), "--json"))
    assert life["order"]["actions"][0]["outcome"] == "INSERTED"
    assert life["order"]["actions"][-1]["outcome"] in ("CANCELLED", "PULLED", "FILLED")


def test_what_was_decided_before_everything_was_killed_is_explained_and_no_memory_stays(start):
    run = start()
    run.quoting()
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    _, alive = psutil.wait_procs(run.family, timeout=PATIENCE_S)
    assert not alive
    told = json.loads(explain(run, "--last", "5000", "--json"))
    assert [decision["decision_id"] for decision in told["decisions"]] == list(range(1, len(told["decisions"]) + 1))
    assert exact_sums(told) > 0
    assert memory_left(run) == []
