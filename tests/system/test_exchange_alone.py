"""The embedded exchange as a process of its own, and runs against it: keys, several instances, its death."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0


class Exchange:
    """An exchange in the background, and what it says that a client's shell needs."""

    def __init__(self, keys):
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "mftpy", "exchange", "--port", "0", "--keys", str(keys)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.key, self.others = {}, []
        for line in self.process.stdout:
            words = shlex.split(line)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                self.key[name] = value
            elif "--url" in words:
                self.url = words[-1]
            elif words[0] == "another":
                self.others.append((words[2].rstrip(":"), words[4], words[-1]))
            elif "--control" in words:
                self.control = words[words.index("--control") + 1]
                break

    def fault(self, text):
        """Send a command about faults, as a user would; returns what came of it."""
        return subprocess.run(
            [sys.executable, "-m", "mftpy", "exchange", "--control", self.control, "--fault", text],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture
def exchange(tmp_path):
    made = Exchange(tmp_path / "the keys")
    yield made
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(timeout=PATIENCE_S) == 0
    made.process.stdout.close()


def ended_at_start(run, code, *words):
    """Check that a run ended before it quoted: one sentence with these words, and no report."""
    out, error = run.process.communicate(timeout=PATIENCE_S)
    assert run.process.returncode == code, error
    assert error.startswith("mftpy: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert "P&L" not in out
    return error


def test_a_run_with_the_printed_key_and_address_ends_settled(exchange, start):
    run = start("--url", exchange.url, "--duration", "3", **exchange.key)
    run.quoting()
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)
    assert summary["flow"] == "exchange"


def test_every_account_has_a_key_of_its_own_that_nobody_else_may_read(exchange):
    assert exchange.key["THALEX_KEY_ID"] == "K000000001"
    ((account, key_id, path),) = exchange.others
    assert (account, key_id) == ("A000000002", "K000000002")
    for file in (Path(path), Path(exchange.key["THALEX_KEY_FILE"]), Path(exchange.control)):
        assert file.stat().st_mode & 0o077 == 0
    assert Path(path).read_bytes() != Path(exchange.key["THALEX_KEY_FILE"]).read_bytes()


def test_faults_by_command_reach_a_run_which_goes_on_and_ends_settled(exchange, start):
    assert exchange.fault('kind = "delay", delay_ms = 20, methods = ["private/*"]').stdout == '{"number": 1}\n'
    refused = exchange.fault('kind = "drop", cuont = 1')
    assert refused.returncode == 2
    assert "did you mean count?" in refused.stderr
    run = start("--url", exchange.url, "--duration", "4", **exchange.key)
    run.quoting()
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)
    (listed,) = exchange.fault("list").stdout.splitlines()
    assert json.loads(listed)["hits"] > 0
    assert exchange.fault("clear").stdout == '{"cleared": 1}\n'


def test_an_instrument_that_is_not_listed_is_named(exchange, start):
    run = start("--url", exchange.url, "--instrument", "NOPE-PERPETUAL", "--duration", "1", **exchange.key)
    ended_at_start(run, 2, "does not list NOPE-PERPETUAL", "BTC-PERPETUAL")


@pytest.mark.parametrize(
    "what",
    [
        "another's key",
        pytest.param("unknown name", marks=pytest.mark.long),
        "no key",
        pytest.param("public key", marks=pytest.mark.long),
    ],
)
def test_a_key_that_is_not_the_accounts_is_one_sentence_and_no_alarm_about_orders(exchange, start, tmp_path, what):
    key, path = dict(exchange.key), tmp_path / "other.pem"
    if what == "unknown name":
        key["THALEX_KEY_ID"] = "NOBODY"
    else:
        private = tmp_path / "private.pem"
        subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
        if what == "public key":
            subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-out", path], check=True, capture_output=True)
        else:
            path.write_bytes(b"none" if what == "no key" else private.read_bytes())
        path.chmod(0o600)
        key["THALEX_KEY_FILE"] = str(path)
    run = start("--url", exchange.url, "--duration", "1", **key)
    error = ended_at_start(run, 4 if what in ("another's key", "unknown name") else 2, "key")
    assert "look there" not in error  # nothing was sent, so nothing can rest


def test_two_instances_leave_each_others_orders_alone(exchange, start, tmp_path):
    first = start("--url", exchange.url, "--instance", "first", **exchange.key)
    first.quoting()
    (tmp_path / "second").mkdir()
    second = type(first)(
        tmp_path / "second", "--url", exchange.url, "--instance", "second", "--duration", "1", **exchange.key
    )
    second.end()
    assert second.summary()["orders_left_open"] == 0
    assert any("orders of others rest on this account" in warning for warning in second.summary()["warnings"])
    second.process.stdout.close()
    second.process.stderr.close()
    first.quoting()  # it goes on
    first.process.send_signal(signal.SIGINT)
    first.end()
    summary = first.summary()
    assert summary["orders_left_open"] == 0
    assert summary["orders_cancelled"] >= 1  # its own, by itself: nobody took them before


def test_an_exchange_that_dies_under_a_run_ends_it_with_a_warning_about_what_may_rest(exchange, start):
    run = start("--url", exchange.url, **exchange.key)
    run.quoting()
    exchange.process.send_signal(signal.SIGTERM)
    code, summary = run.end()
    assert code == 4
    assert run.error.count("\n") == 1
    assert "is closed" in run.error
    assert "look there yourself" in run.error
    assert summary["orders_left_open"] is None
