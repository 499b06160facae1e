"""The whole: exchange and three processes, from start to an orderly end, also when they are killed."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0


def test_a_run_ends_after_its_duration_and_its_figures_agree_with_the_exchange(start):
    run = start("--duration", "6")
    run.quoting()
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)
    assert summary["orders_inserted"] >= 2
    assert summary["book_updates"] > 20
    assert summary["recv_to_send_ns"]["count"] > 0
    assert all(process["gc_collections"] == 0 for process in summary["processes"].values())
    assert not [warning for warning in summary["warnings"] if "compiled" in warning]
    assert "SIMULATED" in run.output
    assert "edge" in run.output


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(number, marks=pytest.mark.long) for number in (signal.SIGTERM, signal.SIGHUP))],
)
def test_a_signal_to_the_whole_group_ends_it_in_order(start, number):
    run = start()
    run.quoting()
    os.killpg(run.process.pid, number)  # as a terminal or a service manager does: children get it too
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)


@pytest.mark.long  # .ci/run does it from the command line
def test_twice_in_a_row_begins_afresh(start):
    for _ in range(2):
        run = start("--duration", "2")
        run.quoting()
        code, summary = run.end()
        assert code == 0, run.error
        run.settled(summary)
        assert summary["equity_start"] == 100_000


def test_a_second_run_of_the_same_instance_is_refused_and_the_first_goes_on(start):
    first = start()
    first.quoting()
    second = start("--duration", "1")
    _, err = second.process.communicate(timeout=PATIENCE_S)
    assert second.process.returncode == 5
    assert str(first.process.pid) in err
    first.process.send_signal(signal.SIGINT)
    assert first.end()[0] == 0


@pytest.mark.parametrize("name", ["market_data", "strategy", "execution"])
def test_a_killed_process_ends_the_run_with_no_order_left(start, name):
    run = start()
    run.quoting()
    run.child(name).kill()
    code, summary = run.end()
    assert code == 6
    assert summary["orders_left_open"] == 0
    assert any(name.replace("_", " ") in error for error in summary["errors"])


def test_a_killed_supervisor_takes_everything_with_it(start):
    run = start()
    run.quoting()
    run.process.kill()
    run.process.wait()
    _, alive = psutil.wait_procs(run.family, timeout=PATIENCE_S)
    assert not alive


def test_a_closed_output_ends_the_run_in_order(start):
    run = start()
    run.quoting()
    run.process.stdout.close()
    run.process.wait(timeout=PATIENCE_S)
    _, alive = psutil.wait_procs(run.family, timeout=PATIENCE_S)
    assert not alive
    run.settled(run.summary())


def test_a_port_in_use_is_named_and_nothing_is_left(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "mftpy", "exchange", "--port", str(number), "--keys", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert result.returncode == 5
    assert str(number) in result.stderr
    assert "\n" not in result.stderr.strip()
