"""The command ``mftpy explain``: which decision it finds, and what it says when there is none or a part is damaged."""

import json
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mftcore import Journal
from mftpy import cli, journal_meta
from mftpy.config import load
from mftpy.decisions import Outcome
from mftpy.instance import InstanceLock
from mftpy.kept_run import KeptRun
from mftpy.records import Reason
from tests.py.made_decisions import (
    INSTRUMENT,
    MS,
    action,
    kept_run,
    model_quotes,
    plain_decision,
)
from tests.py.test_explain import META, adds_up

ROOT = Path(__file__).resolve().parents[2]


def told(capsys, *arguments):
    """Run the command in this process; returns (exit code, output, complaint)."""
    code = cli.main(["explain", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def decisions(count=20, every_ms=500):
    made = []
    for number in range(1, count + 1):
        row = plain_decision(number, decided_ns=10_000 * MS + number * every_ms * MS)
        model_quotes(row, 0.3 + number / 100, 2.2, 6.17)
        row["passed_on"] = number % 5 == 1
        made.append(row)
    return made


ACTIONS = [
    action(1, Outcome.INSERTED, 10_501 * MS, client_order_id=7, price_ticks=616_900, lots=10, sent_ns=10_501 * MS),
    action(6, Outcome.AMENDED, 13_001 * MS, client_order_id=7, price_ticks=616_880, lots=10, sent_ns=13_001 * MS),
    action(9, Outcome.RESTS_ALREADY, 13_501 * MS, client_order_id=7, price_ticks=616_880, lots=10),
    action(6, Outcome.FILLED, 14_000 * MS, client_order_id=7, price_ticks=616_880, lots=4),
    action(11, Outcome.THROTTLED, 15_501 * MS, price_ticks=616_870, lots=6),
]


@pytest.fixture
def run(tmp_path):
    return kept_run(tmp_path / "run", decisions(), ACTIONS)


def which(out):
    return [int(number.replace(",", "")) for number in re.findall(r"^decision ([\d,]+)", out, re.MULTILINE)]


def test_the_newest_decisions_are_explained_by_default_one(run, capsys):
    assert which(told(capsys, "--run", run)[1]) == [20]
    code, out, err = told(capsys, "--run", run, "--last", 3)
    assert (code, which(out), err) == (0, [18, 19, 20], "")
    assert adds_up(out) == 6
    assert "against decision 16, whose quotes stand" in " ".join(out.split())
    assert which(told(capsys, "--run", run, "--last", 1000)[1]) == list(range(1, 21))


def test_what_was_decided_because_the_run_ended_is_not_the_default(tmp_path, capsys):
    rows = decisions(12)
    for row in rows[9:]:
        row["reasons"] = Reason.STOPPING
    directory = str(kept_run(tmp_path / "run", rows))
    assert which(told(capsys, "--run", directory)[1]) == [9]
    assert which(told(capsys, "--run", directory, "--last", "2")[1]) == [11, 12]
    for row in rows:
        row["reasons"] = Reason.STOPPING
    assert which(told(capsys, "--run", str(kept_run(tmp_path / "none", rows)))[1]) == [12]


def test_the_decision_in_force_at_a_time_is_found_however_the_time_is_written(run, capsys, monkeypatch):
    with KeptRun(run) as kept:
        wall_ns = kept.meta.wall_minus_monotonic_ns + 12_700 * MS  # decision 5 is of 12,500
    at = datetime.fromtimestamp(wall_ns / 1e9).astimezone()
    for text in (
        at.replace(tzinfo=None).isoformat(), at.isoformat(), (at.astimezone(None) + timedelta(0)).isoformat(),
        at.strftime("%H:%M:%S.%f"), "-7.3s", "-7300ms",
    ):  # fmt: skip
        code, out, err = told(capsys, "--run", run, "--at", text)
        assert (code, which(out), err) == (0, [5], ""), text
    assert which(told(capsys, "--run", run, "--at", "-0s")[1]) == [20]
    assert which(told(capsys, "--run", run, "--at", "2100-01-01T00:00:00Z")[1]) == [20]


@pytest.mark.parametrize("text", ["yesterday", "25:00:00", "12", "-10", "10s", "", "2026-13-01", "-1e3s"])
def test_a_time_that_is_none_or_too_early_is_refused_in_a_sentence(run, capsys, text):
    code, out, err = told(capsys, "--run", run, f"--at={text}")
    assert out == ""
    assert err.count("\n") == 1
    assert code == 2
    code, out, err = told(capsys, "--run", run, "--at=-1h")
    assert (code, out) == (2, "")
    assert "the oldest decision that is kept was made at" in err


def test_a_time_of_day_in_a_run_over_midnight_is_the_one_within_the_run(tmp_path, capsys):
    meta = journal_meta.Meta.of(load(None), INSTRUMENT, "1", journal_meta.DECISIONS)
    tomorrow = (datetime.now() + timedelta(days=1)).replace(hour=23, minute=59, second=50, microsecond=0)
    start_ns = round(tomorrow.timestamp()) * 10**9 - meta.wall_minus_monotonic_ns
    rows = [plain_decision(number, decided_ns=start_ns + number * 2000 * MS) for number in range(1, 11)]
    run = kept_run(tmp_path / "run", rows)
    for text, number in (("23:59:55.5", 2), ("00:00:03.5", 6), ("00:00:01", 5), ("00:00:59", 10), ("00:01", 10)):
        code, out, err = told(capsys, "--run", run, "--at", text)
        assert (code, which(out), err) == (0, [number], ""), text
    assert told(capsys, "--run", run, "--at", "-1h")[0] == 2


def test_an_order_is_told_from_its_insertion_to_its_end_with_the_decisions_behind_it(run, capsys):
    code, out, err = told(capsys, "--run", run, "--order", 7)
    assert (code, which(out), err) == (0, [1, 6], "")
    life = out.splitlines()[:4]
    assert [word in line for word, line in zip(("order 7,", "inserted", "moved", "filled"), life, strict=True)] == [
        True
    ] * 4
    assert "at 61,688, 4 lots" in life[3]
    assert [line for line in out.splitlines() if len(line) > 100] == []
    code, out, err = told(capsys, "--run", run, "--order", 99)
    assert (code, out) == (2, "")
    assert "orders 7 to 7 are kept" in err
    code, out, _ = told(capsys, "--run", run, "--order", 0)
    assert (code, out) == (2, "")


def test_json_holds_the_run_the_decisions_and_the_order(run, capsys):
    code, out, _ = told(capsys, "--run", run, "--order", 7, "--json")
    found = json.loads(out)
    assert code == 0
    assert [decision["decision_id"] for decision in found["decisions"]] == [1, 6]
    assert [action["outcome"] for action in found["order"]["actions"]] == [
        "INSERTED", "AMENDED", "RESTS_ALREADY", "FILLED",
    ]  # fmt: skip
    assert found["run"]["instrument"] == "BTC-PERPETUAL"
    assert found["run"]["live"] is False


def test_what_was_not_sent_is_told_with_why(run, capsys):
    out = told(capsys, "--run", run, "--at", "-4.5s")[1]
    assert which(out) == [11]
    assert "nothing sent at 61,687, 6 lots: the budget of messages is spent" in out


def test_a_directory_without_decisions_is_refused_with_code_3(tmp_path, capsys):
    for place, said in ((tmp_path, "holds no decisions"), (tmp_path / "nowhere", "there is no directory")):
        code, out, err = told(capsys, "--run", place)
        assert (code, out) == (3, "")
        assert said in err
    empty = kept_run(tmp_path / "empty", [])
    code, out, err = told(capsys, "--run", empty)
    assert (code, out) == (3, "")
    assert "nothing has been decided yet" in err


def test_the_newest_run_of_an_instance_and_of_all_are_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert told(capsys)[0] == 3
    kept_run(tmp_path / "state" / "mftpy" / "runs" / "20260101T000000Z-5", decisions(3), run_id="20260101T000000Z-5")
    assert which(told(capsys)[1]) == [3]
    elsewhere = kept_run(tmp_path / "else\nwhere", decisions(4), run_id="20260102T000000Z-5")
    with InstanceLock("one") as lock:
        lock.note("20260102T000000Z-5", elsewhere)
    assert which(told(capsys)[1]) == [4]
    assert which(told(capsys, "--instance", "one")[1]) == [4]
    code, out, err = told(capsys, "--instance", "two")
    assert (code, out) == (3, "")
    assert '"two"' in err
    assert told(capsys, "--instance", "../one")[0] == 2
    with InstanceLock("one") as lock:
        assert lock.previous.directory == elsewhere


def test_of_a_damaged_journal_what_can_be_read_is_shown_and_the_rest_told(tmp_path, capsys):
    run = kept_run(tmp_path / "run", decisions(200), ACTIONS, file_bytes=1 << 16)
    files = sorted((run / "decisions").glob("*.mftj"))
    assert len(files) > 5
    content = bytearray(files[3].read_bytes())
    content[30_000] ^= 1
    files[3].write_bytes(content)
    code, out, err = told(capsys, "--run", run, "--last", 2)
    assert (code, which(out), err) == (0, [199, 200], "")  # behind the damage nothing is lost
    code, out, err = told(capsys, "--run", run, "--at", "-10s")
    assert (code, which(out)) == (3, [180])  # found over what is damaged
    code, out, err = told(capsys, "--run", run, "--last", 1000)
    assert code == 3
    assert which(out)[:50] == list(range(1, 51))
    assert "damaged in 000004.mftj" in err
    shutil.copyfile(files[0], files[-1])
    code, out, err = told(capsys, "--run", run)
    assert code == 3
    assert err.count("\n") == 1


def test_that_actions_are_damaged_is_told_although_nothing_of_the_order_is_left(run, capsys):
    path = run / "actions" / "000001.mftj"
    content = bytearray(path.read_bytes())
    content[4096 + 40] ^= 1  # in the first record
    path.write_bytes(content)
    code, out, err = told(capsys, "--run", run, "--order", 7)
    assert (code, out) == (3, "")
    assert "nothing about an order 7" in err
    assert "damaged in 000001.mftj" in err
    assert err.count("\n") == 1


def test_a_journal_that_ends_with_a_part_of_a_record_is_read_to_its_last_whole_one(run, capsys):
    path = run / "decisions" / "000001.mftj"
    size = 4096 + 10 * (2280 + 32) + 100
    with path.open("r+b") as file:
        file.truncate(size)
    code, out, _ = told(capsys, "--run", run)
    assert (code, which(out)) == (0, [10])


def test_a_journal_of_another_version_is_refused_in_a_sentence(tmp_path, capsys):
    run = kept_run(tmp_path / "run", decisions(2))
    shutil.rmtree(run / "decisions")
    text = META.text.replace("decided_ns:i8", "decided_ns:i8 another:i8")
    with Journal.create(run / "decisions", meta=text) as journal, journal.writer(drain=True) as writer:
        writer.append(1, bytes(2288))
    code, out, err = told(capsys, "--run", run)
    assert (code, out) == (3, "")
    assert "another version of mftpy" in err


def test_bad_arguments_are_refused(run, capsys):
    assert told(capsys, "--run", run, "--last", 0)[0] == 2
    for arguments in (
        ["--last", "-1"],
        ["--order", "x"],
        ["--last", "2", "--at", "-1s"],
        ["--run", "a", "--instance", "b"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["explain", *arguments])
        assert ended.value.code == 2


def test_a_closed_pipe_ends_it_in_silence_and_a_full_disk_in_a_sentence(run):
    result = subprocess.run(
        f"{sys.executable} -m mftpy explain --run {run} --last 20 | head -1",
        shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.stderr == ""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        result = subprocess.run(
            [sys.executable, "-m", "mftpy", "explain", "--run", str(run)],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert result.returncode == 5
    assert "standard output" in result.stderr


def test_explaining_needs_no_compiler(run):
    code = (
        "import sys, mftpy.cli as cli\n"
        f"cli.main(['explain', '--run', {str(run)!r}])\n"
        "print([name for name in ('numba', 'uvloop', 'websockets') if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert which(result.stdout) == [20]
