"""Runs of the whole, started as a user would start them, and what must hold when they have ended."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0


class Run:
    """A run in the background, started as a user would start it."""

    def __init__(self, directory, *arguments, stdout=subprocess.PIPE, **environment):
        self.out = directory / "out"
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "mftpy", "--out", str(self.out), *arguments],
            cwd=ROOT,
            stdout=stdout,
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

    def spawned(self):
        """Return the exchange and our processes that run now, in the order in which they were started."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if "spawn_main" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue  # it has just ended
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def child(self, name):
        """Return one process of a run whose processes have all been started."""
        return dict(zip(("exchange", "market_data", "execution", "strategy"), self.spawned(), strict=True))[name]

    def end(self):
        """Wait for the end; returns (exit code, summary) and checks that no process is left."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        self.output = "".join(self.lines) + (out or "")
        self.error = err
        _, alive = psutil.wait_procs(self.family, timeout=PATIENCE_S)
        assert not alive, f"left behind: {alive}"
        assert "Traceback" not in err
        assert not [path for path in Path("/dev/shm").iterdir() if "mft" in path.name and path.is_file()]
        return self.process.returncode, self.summary()

    def summary(self):
        """Return the summary that it has written; None when it has not."""
        path = self.out / "summary.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    @staticmethod
    def settled(summary):
        """Check what must hold after every run that ended in order."""
        assert summary["orders_left_open"] == 0
        assert summary["position_lots"] == summary["position_exchange_lots"]
        assert abs(summary["cash_difference"]) < 0.005
        assert summary["errors"] == []


@pytest.fixture
def start(tmp_path):
    runs = []

    def start_one(*arguments, **options):
        runs.append(Run(tmp_path, *arguments, **options))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        for pipe in (run.process.stdout, run.process.stderr):
            if pipe is not None:
                pipe.close()
