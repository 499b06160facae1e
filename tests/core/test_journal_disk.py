"""The journal and its disk: full, mended, read-only; the command that prints it, on what is whole and what is not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mftcore import Journal
from mftcore.segment import directory_path

ROOT = Path(__file__).resolve().parents[2]
HANG_S = 60


def in_small_disk(program: str, options: str, tmp_path: Path) -> str:
    """Run a program whose first argument is a tmpfs of its own, mounted with these options; return what it prints."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = f'mount -t tmpfs -o {options} tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-Urm", "sh", "-c", mount, "sh", str(place), sys.executable, program]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    can = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f"mount -t tmpfs tmpfs {place}"], capture_output=True, check=False
    )
    if can.returncode != 0:
        pytest.skip("needs user namespaces that may mount a tmpfs")
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


FULL_AND_MENDED = """
import errno, sys
from pathlib import Path
from mftcore import Journal, JournalDiskError, JournalFull
place = Path(sys.argv[1])
(place / "other").write_bytes(bytes(200_000))  # somebody else's
journal = Journal.create(place / "j", memory_bytes=1 << 16, file_bytes=1 << 14)
writer = journal.writer(drain=True)
payload, count, why = bytes(500), 0, ""
while True:
    try:
        writer.append(1, payload)
        count += 1
    except JournalFull as error:
        try:
            writer.flush()
        except JournalDiskError as error:
            why = error
            break
assert why.errno == errno.ENOSPC and "free space" in str(why), why
assert writer.disk_error == errno.ENOSPC and writer.undrained_bytes
while True:
    try:
        writer.append(1, payload)
        count += 1
    except JournalFull as error:
        assert "No space left" in str(error), error
        break
(place / "other").unlink()
assert writer.flush(30) and writer.disk_error == 0
assert writer.append(2, b"mended") == count + 1
writer.close()
numbers = [record.sequence for record in journal.reader()]
assert numbers == list(range(1, count + 2)), (len(numbers), count)
print("lost nothing")
"""


def test_a_full_disk_is_told_and_when_it_is_mended_nothing_was_lost_or_written_twice(tmp_path: Path) -> None:
    assert in_small_disk(FULL_AND_MENDED, "size=600k", tmp_path) == "lost nothing\n"


CLOSED_WHILE_FULL = """
import errno, os, sys
from pathlib import Path
from mftcore import Journal, JournalDiskError
place = Path(sys.argv[1])
journal = Journal.create(place / "j", memory_bytes=1 << 16, file_bytes=1 << 13)
(place / "other").write_bytes(bytes(os.statvfs(place).f_bavail * os.statvfs(place).f_frsize))
try:
    with journal.writer(drain=True) as writer:
        for i in range(20):
            writer.append(1, bytes(500))
except JournalDiskError as error:
    assert error.errno == errno.ENOSPC
else:
    raise AssertionError("closing said nothing")
try:
    with journal.writer(drain=True) as writer:
        raise KeyError("the user's own")
except KeyError as error:
    assert "not on disk" in error.__notes__[0], error.__notes__
try:
    Journal.create(place / "another")
except JournalDiskError as error:
    assert error.errno == errno.ENOSPC and not list((place / "another").iterdir())
(place / "other").unlink()
with journal.writer(drain=True) as writer:
    assert writer.sequence == 20
assert [record.sequence for record in journal.reader()] == list(range(1, 21))
print("lost nothing")
"""


def test_closing_on_a_full_disk_says_so_and_keeps_the_records_in_memory(tmp_path: Path) -> None:
    assert in_small_disk(CLOSED_WHILE_FULL, "size=300k", tmp_path) == "lost nothing\n"


READ_ONLY = """
import errno, subprocess, sys
from pathlib import Path
from mftcore import Journal, JournalDiskError
place = Path(sys.argv[1])
with Journal.create(place / "j") as journal, journal.writer(drain=True) as writer:
    writer.append(1, b"kept")
subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
with Journal.open(place / "j") as journal:
    assert [record.payload for record in journal.reader()] == [b"kept"]
    for refused in (journal.writer, lambda: Journal.create(place / "new")):
        try:
            refused()
        except JournalDiskError as error:
            assert error.errno == errno.EROFS and "writable" in str(error)
        else:
            raise AssertionError("written to a read-only disk")
print("read")
"""


def test_a_read_only_disk_is_read_and_not_written(tmp_path: Path) -> None:
    assert in_small_disk(READ_ONLY, "size=200m", tmp_path) == "read\n"


# ---- the command ----


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mftcore", "journal", *arguments],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        cwd=ROOT,
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with (
        Journal.create(tmp_path / "j", memory_bytes=1 << 16, file_bytes=8192) as journal,
        journal.writer(drain=True) as writer,
    ):
        for payload in (b"plain text", b"\x00\xff", b"\x1b[31mred", b"", bytes(100)):
            writer.append(len(payload), payload)
    return tmp_path / "j"


def test_the_command_prints_records_and_a_summary(written: Path) -> None:
    ran = command(str(written))
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [line.split(" ", 4) for line in ran.stdout.splitlines()]
    assert [line[0] for line in lines[:5]] == ["1", "2", "3", "4", "5"]
    assert all(line[1].endswith("Z") and line[1].startswith("20") for line in lines[:5])
    assert [line[2:] for line in lines[:3]] == [
        ["10", "10", "plain text"],
        ["2", "2", "00ff"],
        ["8", "8", b"\x1b[31mred".hex()],  # a terminal must not obey it
    ]
    assert lines[4][4] == "00" * 64 + "..."
    assert ran.stdout.splitlines()[5] == "5 records, 1 to 5, all whole"


def test_the_command_chooses_by_number_and_type_and_speaks_json(written: Path) -> None:
    ran = command(str(written), "--from", "2", "--type", "8", "--json")
    record, summary = map(json.loads, ran.stdout.splitlines())
    assert (record["sequence"], record["type"], bytes.fromhex(record["payload"])) == (3, 8, b"\x1b[31mred")
    assert summary["summary"] == {
        "records": 4,
        "printed": 1,
        "first": 2,
        "last": 5,
        "removed": 0,
        "torn_tail": False,
        "whole": True,
    }
    assert command(str(written), "--verify").stdout == "5 records, 1 to 5, all whole\n"


def test_the_command_says_what_is_damaged_and_what_is_no_journal(written: Path, tmp_path: Path) -> None:
    file = written / "000001.mftj"
    data = bytearray(file.read_bytes())
    data[4096 + 32] ^= 1
    file.write_bytes(data)
    ran = command(str(written), "--verify")
    assert (ran.returncode, ran.stdout) == (3, "0 records, whole so far; then damage\n")
    assert "000001.mftj at byte 4096" in ran.stderr
    assert ran.stderr.count("\n") == 1
    ran = command(str(tmp_path / "nothing"))
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (3, "", 1)


@pytest.mark.parametrize("arguments", [["--from", "-1"], ["--from", "x"], ["--type", "٣"], ["--what"]])
def test_the_command_refuses_what_makes_no_sense(arguments: list[str], written: Path) -> None:
    ran = command(str(written), *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert subprocess.run([sys.executable, "-m", "mftcore"], capture_output=True, check=False, cwd=ROOT).returncode == 2


def test_the_command_ends_quietly_when_nobody_reads_on(written: Path) -> None:
    with Journal.open(written) as journal, journal.writer(drain=True) as writer:
        for _ in range(100):
            writer.append(1, b"x" * 300)
            writer.flush()
    program = f"'{sys.executable}' -m mftcore journal '{written}' --json | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, timeout=HANG_S)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_the_command_follows_a_journal_that_is_written(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", memory_bytes=1 << 16, file_bytes=8192) as journal:
        # a handler here is the default there: tests run in the background may ignore Ctrl-C, and so would the child
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "-m", "mftcore", "journal", str(tmp_path / "j"), "--follow"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        signal.signal(signal.SIGINT, handler)
        hung = threading.Timer(HANG_S, process.kill)
        hung.start()
        try:
            assert process.stdout is not None
            for turn in range(2):
                with journal.writer(drain=True) as writer:
                    writer.append(1, b"turn %d" % turn)
                    assert process.stdout.readline().endswith(f" turn {turn}\n")
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "2 records, 1 to 2, all whole\n"
            assert process.wait(HANG_S) == 0
        finally:
            hung.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        assert not Path(directory_path(), journal.memory_name).exists()
