"""``mftpy model``: what it prints is what the model says, and bad arguments are one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mftpy.cli import main
from mftpy.model import glft, glft_exact, paper
from mftpy.model.avellaneda_stoikov import quote

ROOT = Path(__file__).resolve().parents[2]

STATE = {
    "--mid": "61700",
    "--position": "0.02",
    "--sigma": "8",
    "--gamma": "0.04",
    "--k": "0.25",
    "--A": "0.55",
    "--clip": "0.01",
    "--horizon-s": "20",
}


def quotes(*more, **changed):
    """Run ``model quotes --json`` and return its answer."""
    given = STATE | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return ["model", "quotes", *[word for pair in given.items() for word in pair], *more]


def answer(capsys, arguments):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def refused(capsys, arguments):
    """Return the one sentence with which exit code 2 comes."""
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse
        code = end.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    return err


def test_quotes_are_the_models_own_to_the_last_bit(capsys):
    found = answer(capsys, quotes("--json", max_clips="10", fee="6.17", drift="-1e-3"))
    older = quote(61700.0, 0.02, 0.04, 0.01, 8.0, 0.25, 6.17, 20.0, -0.001)
    closed = glft.quote(61700.0, 0.02, 0.04, 0.01, 8.0, 0.55, 0.25, 6.17, 0.04, -0.001)
    exact = glft_exact.quote(61700.0, 0.02, 0.04, 0.01, 8.0, 0.55, 0.25, 6.17, 20.0, 10, -0.001)
    assert found == {
        "avellaneda_stoikov": {"bid": older.bid, "ask": older.ask},
        "glft": {"bid": closed.bid, "ask": closed.ask},
        "glft_exact": {"bid": exact.bid, "ask": exact.ask},
    }


@pytest.mark.parametrize(
    ("position", "older", "closed"),
    [
        ("0", (61695.747197, 61704.252803), (61695.751577, 61704.248423)),
        ("0.02", (61694.723197, 61703.228803), (61694.745098, 61703.241945)),
        ("-5e-2", (61698.307197, 61706.812803), (61698.267773, 61706.764619)),
    ],
)
def test_the_btc_like_vector_is_met(capsys, position, older, closed):
    found = answer(capsys, quotes("--json", position=position))
    for name, (bid, ask) in (("avellaneda_stoikov", older), ("glft", closed)):
        assert found[name]["bid"] == pytest.approx(bid, abs=0.5e-6, rel=0)
        assert found[name]["ask"] == pytest.approx(ask, abs=0.5e-6, rel=0)


def test_the_exact_solution_of_the_figures_of_2013_is_met(capsys):
    figures = {"mid": "1000", "sigma": "0.3", "gamma": "0.01", "k": "0.3", "A": "0.9", "clip": "1", "horizon_s": "600"}
    for n, delta_bid, delta_ask in ((-20, 1.959200, 4.665542), (5, 3.653479, 2.972522)):
        found = answer(capsys, quotes("--json", **figures, position=str(n), max_clips="30"))["glft_exact"]
        assert found["bid"] == pytest.approx(1000 - delta_bid, abs=0.5e-6, rel=0)
        assert found["ask"] == pytest.approx(1000 + delta_ask, abs=0.5e-6, rel=0)


def test_the_side_that_would_leave_the_bound_is_null(capsys):
    found = answer(capsys, quotes("--json", position="0.1", max_clips="10"))["glft_exact"]
    assert found["bid"] is None
    assert found["ask"] > 0


def test_a_position_between_clips_has_no_exact_solution_and_the_others_are_there(capsys):
    found = answer(capsys, quotes("--json", position="0.025"))
    assert found["glft_exact"]["bid"] is found["glft_exact"]["ask"] is None
    assert "whole clips" in found["glft_exact"]["reason"]
    assert found["glft"]["bid"] < found["glft"]["ask"]


def test_numbers_beyond_a_float_are_no_quote_with_its_reason(capsys):
    found = answer(capsys, quotes("--json", gamma="1e300", sigma="1e300"))
    assert all(sides["bid"] is sides["ask"] is None and "too large" in sides["reason"] for sides in found.values())


def test_the_table_shows_the_same_prices(capsys):
    found = answer(capsys, quotes("--json", position="0.1", max_clips="10"))
    assert main(quotes(position="0.1", max_clips="10")) == 0
    out = capsys.readouterr().out
    assert all(repr(price) in out for sides in found.values() for price in sides.values() if price is not None)
    assert "at the bound" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model"], ["ACTION"]),
        (["model", "quotes"], ["--mid"]),
        (["model", "check"], ["--gamma"]),
        (quotes(max_clips="0"), ["--max-clips 0"]),
        (quotes(max_clips="1000000"), ["--max-clips 1000000"]),
        (quotes(max_clips="1.5"), ["'1.5'"]),
        (quotes(max_clips="1"), ["2 clips", "--max-clips"]),
        (quotes(horizon_s="-1"), ["--horizon-s"]),
        (quotes("--max", "3"), ["--max"]),
        *[(quotes(**{name.strip("-").replace("-", "_"): "nan"}), [name, "'nan'"]) for name in STATE],
        *[(quotes(**{name.strip("-").replace("-", "_"): "inf"}), [name, "'inf'"]) for name in STATE],
        *[(quotes(**{name: "0"}), [f"--{name}", "'0'"]) for name in ("mid", "sigma", "gamma", "k", "A", "clip")],
        (quotes(fee="nan"), ["--fee", "'nan'"]),
        (["model", "check", "--gamma", "0"], ["--gamma", "'0'"]),
        (["model", "check", "--gamma", "0.1", "--paths", "1"], ["--paths 1"]),
        (["model", "check", "--gamma", "0.1", "--paths", "100000000"], ["--paths"]),
        (["model", "check", "--gamma", "0.1", "--seed", "-1"], ["--seed"]),
        (["model", "check", "--gamma", "1e308", "--paths", "2"], ["--gamma", "too large"]),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(capsys, arguments, words):
    sentence = refused(capsys, arguments)
    for word in words:
        assert word in sentence


def test_check_prints_the_experiment_as_json(capsys):
    found = answer(capsys, ["model", "check", "--gamma", "0.1", "--paths", "500", "--seed", "7", "--json"])
    same = paper.experiment(0.1, 500, 7)
    assert found == {
        "gamma": 0.1,
        "paths": 500,
        "inventory": same.inventory.row._asdict(),
        "symmetric": same.symmetric.row._asdict(),
    }
    assert list(found["inventory"]) == ["spread", "profit", "std_profit", "mean_q", "std_q"]


def test_check_prints_the_printed_figures_beside_its_own(capsys):
    assert main(["model", "check", "--gamma", "0.1", "--paths", "500"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines]
    assert ["paper", "1.49", "65.0", "6.6", "0.08", "2.9"] in rows
    assert ["exact", "1.492", "68.223", "13.456", "0.000", "8.399"] in rows
    assert any(row[:4] == ["reference", "1.492", "64.87", "+-0.09"] for row in rows)
    assert all(len(line) <= 120 for line in lines)


def test_a_gamma_that_was_not_printed_has_no_printed_row(capsys):
    assert main(["model", "check", "--gamma", "0.5", "--paths", "100"]) == 0
    out = capsys.readouterr().out
    assert "exact" in out
    assert "  paper" not in out


def test_help_of_the_model_does_not_bring_in_numba():
    code = (
        "import sys, contextlib, mftpy.cli as cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['model', 'quotes', '--help'])\n"
        "print('numba' in sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "False"
    assert "--max-clips" in result.stdout
