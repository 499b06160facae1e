"""The whole: exchange and three processes, from start to an orderly end, also when they are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0


class Run:
    """A run in the background, started as a user would start it."""

    def __init__(self, directory, *arguments, **environment):
        self.out = directory / "out"
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "mftpy", "--out", str(self.out), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(directory / "state"), **environment},
            start_new_session=True,
        )
        self.lines = []
        self.family = []

    def until(self, words):
        """Read plain lines until one holds `words`."""
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                self.family = psutil.Process(self.process.pid).children(recursive=True)
                return line
        raise AssertionError(f"ended without {words!r}: {''.join(self.lines)}{self.process.stderr.read()}")

    def quoting(self):
        """Wait until it quotes."""
        return self.until("recv-to-send p50")

    def child(self, name):
        """Return the process whose spawn arguments were for `name`, by the order in which they were started."""
        spawned = sorted(
            (process for process in self.family if "spawn_main" in " ".join(process.cmdline())),
            key=lambda process: (process.create_time(), process.pid),
        )
        return dict(zip(("exchange", "market_data", "execution", "strategy"), spawned, strict=True))[name]

    def end(self):
        """Wait for the end; returns (exit code, summary) and checks that no process is left."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        self.output = "".join(self.lines) + out
        self.error = err
        _, alive = psutil.wait_procs(self.family, timeout=PATIENCE_S)
        assert not alive, f"left behind: {alive}"
        assert "Traceback" not in err
        assert not [path for path in Path("/dev/shm").iterdir() if "mft" in path.name and path.is_file()]
        return self.process.returncode, json.loads((self.out / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture
def start(tmp_path):
    runs = []

    def start_one(*arguments, **environment):
        runs.append(Run(tmp_path, *arguments, **environment))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        for pipe in (run.process.stdout, run.process.stderr):
            pipe.close()


def settled(summary):
    """What must hold after every run that ended in order."""
    assert summary["orders_left_open"] == 0
    assert summary["position_lots"] == summary["position_exchange_lots"]
    assert abs(summary["cash_difference"]) < 0.005
    assert summary["errors"] == []


def test_a_run_ends_after_its_duration_and_its_figures_agree_with_the_exchange(start):
    run = start("--duration", "6")
    run.quoting()
    code, summary = run.end()
    assert code == 0, run.error
    settled(summary)
    assert summary["orders_inserted"] >= 2
    assert summary["book_updates"] > 20
    assert summary["recv_to_send_ns"]["count"] > 0
    assert all(process["gc_collections"] == 0 for process in summary["processes"].values())
    assert not [warning for warning in summary["warnings"] if "compiled" in warning]
    assert "SIMULATED" in run.output
    assert "edge" in run.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_ends_it_in_order(start, number):
    run = start()
    run.quoting()
    os.killpg(run.process.pid, number)  # as a terminal or a service manager does: children get it too
    code, summary = run.end()
    assert code == 0, run.error
    settled(summary)


def test_twice_in_a_row_begins_afresh(start):
    for _ in range(2):
        run = start("--duration", "2")
        run.quoting()
        code, summary = run.end()
        assert code == 0, run.error
        settled(summary)
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
    settled(json.loads((run.out / "summary.json").read_text(encoding="utf-8")))


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


def test_an_exchange_run_alone_serves_a_run_with_its_key(tmp_path, start):
    exchange = subprocess.Popen(
        [sys.executable, "-u", "-m", "mftpy", "exchange", "--port", "0", "--keys", str(tmp_path / "keys")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        exports, url, deadline = {}, "", time.monotonic() + PATIENCE_S
        while not url and time.monotonic() < deadline:
            line = exchange.stdout.readline()
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exports[name] = value
            elif "--url" in line:
                url = line.split()[-1]
        wrong = start("--url", url, "--instrument", "NOPE-PERPETUAL", "--duration", "1", **exports)
        _, err = wrong.process.communicate(timeout=PATIENCE_S)
        assert (wrong.process.returncode, "does not list NOPE-PERPETUAL" in err) == (2, True), err
        run = start("--url", url, "--duration", "3", **exports)
        run.quoting()
        code, summary = run.end()
        assert code == 0, run.error
        settled(summary)
    finally:
        exchange.send_signal(signal.SIGTERM)
        assert exchange.wait(timeout=PATIENCE_S) == 0
        exchange.stdout.close()
