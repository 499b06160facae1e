"""Ends that come by accident: Ctrl-C while it starts, an output that cannot be written, a lost terminal."""

import os
import pty
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


def one_sentence(text):
    """Check that there is one line of complaint and return it."""
    assert text.startswith("mftpy: ")
    assert text.count("\n") == 1
    return text


AT_THESE_MOMENTS = {(0, signal.SIGINT), (2, signal.SIGINT), (3, signal.SIGTERM)}


@pytest.mark.parametrize(
    ("started", "number"),
    [
        pytest.param(started, number, marks=() if (started, number) in AT_THESE_MOMENTS else pytest.mark.long)
        for started in range(5)
        for number in (signal.SIGINT, signal.SIGTERM)
    ],
)
def test_a_signal_while_it_starts_ends_it_without_a_traceback(start, started, number):
    run = start()
    deadline = time.monotonic() + PATIENCE_S
    if not started:
        run.until("SIMULATED")
    while len(run.spawned()) < started:
        assert time.monotonic() < deadline
    run.family = run.spawned()
    os.killpg(run.process.pid, number)  # the newest child has not yet imported anything
    code, summary = run.end()
    assert (code, run.error) == (0, "")
    assert summary["errors"] == []
    assert summary["orders_left_open"] in (0, None)


def test_a_second_signal_does_not_skip_the_cancelling(start):
    run = start()
    run.quoting()
    for _ in range(2):
        os.killpg(run.process.pid, signal.SIGINT)
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)


def test_ctrl_c_is_heard_while_an_exchange_does_not_answer(start, tmp_path):
    key = tmp_path / "key.pem"
    key.write_text("none", encoding="ascii")
    key.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws/api/v2"
        run = start("--url", url, THALEX_KEY_ID="K1", THALEX_KEY_FILE=str(key))
        with silent.accept()[0] as connection:
            connection.recv(1)  # its handshake has come and is never answered
            run.process.send_signal(signal.SIGINT)
            code, _ = run.end()
    assert code == 0, run.error  # the patience for the answer would have ended it with 4
    assert "ended by Ctrl-C" in run.output


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_an_output_that_cannot_be_written_is_one_sentence(start, arguments):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        run = start("--duration", "1", *arguments, stdout=full)
        code, _ = run.end()
    assert code == 5
    assert "No space left on device" in one_sentence(run.error)


def test_a_reader_that_goes_before_the_first_word_ends_the_run_in_order(start):
    reader, writer = os.pipe()
    os.close(reader)
    run = start("--duration", "30", stdout=writer)
    os.close(writer)
    code, _ = run.end()
    assert (code, run.error) == (0, "")


@pytest.mark.parametrize("closed", [pytest.param(">&-", marks=pytest.mark.long), ">&- 2>&- <&-"])
def test_closed_standard_streams_do_not_matter(tmp_path, closed):
    command = f'exec "$0" -m mftpy --duration 1 --out {tmp_path / "out"} {closed}'
    result = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=ROOT,
        check=False,
        timeout=PATIENCE_S,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "out" / "summary.json").exists()


def test_a_terminal_that_is_closed_ends_the_run_in_order(start):
    leader, follower = pty.openpty()
    run = start(stdout=follower, TERM="xterm")
    os.close(follower)
    shown = b""
    while "◀".encode() not in shown:  # our quotes are marked in the book on the screen
        shown += os.read(leader, 65_536)
    assert b"SIMULATED" in shown
    run.family = run.spawned()
    os.close(leader)
    code, summary = run.end()
    assert (code, run.error) == (0, "")
    run.settled(summary)


def test_a_run_without_a_home_says_where_it_would_write(tmp_path):
    result = subprocess.run(
        ["unshare", "-Ur", "--map-user=54321", "env", "-u", "HOME", "-u", "XDG_STATE_HOME",
         sys.executable, "-m", "mftpy", "--duration", "1"],
        cwd=ROOT, check=False, timeout=PATIENCE_S, capture_output=True, text=True,
    )  # fmt: skip
    if "unshare" in result.stderr:
        pytest.skip(f"no user namespaces here: {result.stderr}")
    assert result.returncode == 5
    assert "XDG_STATE_HOME" in one_sentence(result.stderr)


def test_an_output_directory_that_is_a_file_is_refused(start, tmp_path):
    (tmp_path / "out").touch()
    run = start("--duration", "1")
    _, error = run.process.communicate(timeout=PATIENCE_S)
    assert run.process.returncode == 5
    assert "--out" in one_sentence(error)


def test_a_killed_exchange_ends_the_run_and_is_named(start):
    run = start()
    run.quoting()
    run.child("exchange").kill()
    code, summary = run.end()
    assert code in (4, 6)  # whichever was seen first: the lost connection or the dead process
    assert summary["errors"]
    one_sentence(run.error)
    assert not psutil.pid_exists(run.process.pid)
