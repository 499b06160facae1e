"""The journals of a run: nothing that was appended is lost, nothing is left behind, and trouble never stops a run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mftcore import Journal, JournalFull, segments
from mftpy.config import load
from mftpy.decisions import ACTION, DECISION
from mftpy.errors import InputFileError
from mftpy.journal_meta import ACTIONS, DECISIONS, NAMES, Meta
from mftpy.journals import (
    MIB,
    RunJournals,
    close_writer,
    finish,
    open_writer,
    remove_oldest,
    sizes,
    writing,
)
from tests.core.test_journal_disk import in_small_disk
from tests.py.made_decisions import INSTRUMENT, plain_decision

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60

CHILD = """
import os, sys
from mftpy.journal_meta import DECISIONS
from mftpy.journals import close_writer, open_writer
from tests.py.made_decisions import plain_decision
directory, count, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
writer = open_writer(directory, DECISIONS, lambda said: sys.exit(said))
for number in range(1, count + 1):
    writer.append(1, plain_decision(number).tobytes())
print("appended", flush=True)
sys.stdin.readline()
close_writer(writer, directory, DECISIONS, sys.exit, lambda: False)
"""


@pytest.fixture(autouse=True)
def leave_nothing(tmp_path):
    yield
    for place in tmp_path.rglob(DECISIONS):
        if place.is_dir():
            finish(place.parent)


def begin(directory, **overrides):
    return RunJournals.create(directory, load(None, overrides), INSTRUMENT, "20260131T120000Z-1")


def child(directory, count):
    """A process that has appended so many decisions, and closes when it is told."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory), str(count), "-"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "appended\n"
    return process


def end(process):
    process.communicate("\n", timeout=PATIENCE_S)
    return process.returncode


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)


def numbers(directory):
    with Journal.open(directory / DECISIONS) as journal, journal.reader() as reader:
        return [int(np.frombuffer(record.payload, DECISION)["decision_id"][0]) for record in reader]


def live(directory):
    """Names of the memory of this run's journals that is still there."""
    mine = []
    for name in NAMES:
        with Journal.open(directory / name) as journal:
            mine.append(journal.memory_name)
    return [info.name for info in segments() if info.name in mine]


def warn(sentence):
    raise AssertionError(sentence)


def test_what_a_child_appends_is_on_disk_after_a_clean_end_and_no_memory_stays(tmp_path):
    kept = begin(tmp_path)
    assert end(child(kept.path, 500)) == 0
    ended = kept.close()
    assert (ended[DECISIONS], ended[ACTIONS]) == ((500, 0, 0), (0, 0, 0))
    assert numbers(tmp_path) == list(range(1, 501))
    assert (live(tmp_path), kept.warnings) == ([], [])


def test_a_killed_child_loses_nothing_that_it_appended(tmp_path):
    kept = begin(tmp_path)
    kill(child(kept.path, 500))
    assert kept.close()[DECISIONS] == (500, 0, 0)
    assert numbers(tmp_path) == list(range(1, 501))
    assert live(tmp_path) == []


SUPERVISOR = """
import sys
from pathlib import Path
from mftpy.config import load
from mftpy.journals import RunJournals
from tests.py.made_decisions import INSTRUMENT
kept = RunJournals.create(Path(sys.argv[1]), load(None), INSTRUMENT, "1")
print(kept.path, flush=True)
sys.stdin.readline()
"""


def supervisor(directory):
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(directory)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline().strip() == str(directory)
    return process


def test_when_the_supervisor_is_killed_a_child_that_ends_in_order_keeps_all_by_itself(tmp_path):
    parent = supervisor(tmp_path)
    writing = child(tmp_path, 1)
    with Journal.open(tmp_path / ACTIONS) as journal:
        actions = journal.writer()
    kill(parent)
    actions.append(1, np.zeros(1, ACTION).tobytes())  # nobody drains
    assert actions.undrained_bytes > 0
    close_writer(actions, str(tmp_path), ACTIONS, warn, lambda: True)
    assert end(writing) == 0
    assert numbers(tmp_path) == [1]
    assert live(tmp_path) == []


def test_a_child_that_sees_the_supervisor_gone_before_its_end_is_complete_waits_for_that(tmp_path):
    parent = supervisor(tmp_path)
    with Journal.open(tmp_path / ACTIONS) as journal:
        actions = journal.writer()
    looks = []

    def gone():
        if len(looks) == 3:  # until then its role as drainer is not free
            kill(parent)
        looks.append(1)
        return True

    close_writer(actions, str(tmp_path), ACTIONS, warn, gone)
    assert len(looks) > 3
    assert [name for name in live(tmp_path) if name == journal_memory(tmp_path, ACTIONS)] == []


def journal_memory(directory, name):
    with Journal.open(directory / name) as journal:
        return journal.memory_name


def test_when_all_are_killed_the_next_start_brings_the_rest_to_disk(tmp_path):
    parent = supervisor(tmp_path)
    kill(parent)
    kill(child(tmp_path, 300))
    assert live(tmp_path)
    finish(tmp_path)
    assert live(tmp_path) == []
    assert numbers(tmp_path) == list(range(1, 301))
    finish(tmp_path)  # once more, and where there never was one
    finish(tmp_path / "nowhere")


def test_finishing_leaves_a_run_that_goes_on_alone(tmp_path):
    kept = begin(tmp_path)
    writer = open_writer(kept.path, DECISIONS, warn)
    finish(tmp_path)
    writer.append(1, plain_decision(1).tobytes())
    close_writer(writer, kept.path, DECISIONS, warn, lambda: False)
    assert kept.close()[DECISIONS].records == 1


def test_a_directory_that_is_used_again_holds_the_new_run_alone(tmp_path):
    for count in (30, 20):
        kept = begin(tmp_path)
        assert end(child(kept.path, count)) == 0
        kept.close()
    assert numbers(tmp_path) == list(range(1, 21))
    assert live(tmp_path) == []


def test_a_directory_in_which_another_run_writes_is_left_to_it_with_one_warning(tmp_path):
    first = supervisor(tmp_path)
    second = begin(tmp_path)
    assert second.path == ""
    (warning,) = second.warnings
    assert f"process {first.pid}" in warning
    assert second.close() == {}
    assert end(child(tmp_path, 5)) == 0
    kill(first)
    finish(tmp_path)
    assert numbers(tmp_path) == [1, 2, 3, 4, 5]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_directory_is_told_once_and_the_run_goes_on(tmp_path):
    tmp_path.chmod(0o500)
    kept = begin(tmp_path)
    tmp_path.chmod(0o700)
    assert kept.path == ""
    assert len(kept.warnings) == 1


def test_a_place_that_is_no_directory_is_told_once_and_the_run_goes_on(tmp_path):
    (tmp_path / DECISIONS).write_text("a file of the user's", encoding="utf-8")
    kept = begin(tmp_path)
    assert kept.path == ""
    assert len(kept.warnings) == 1
    assert open_writer(kept.path, DECISIONS, warn) is None
    with writing(kept.path, DECISIONS, warn) as writer:
        assert writer is None
    assert (tmp_path / DECISIONS).read_text(encoding="utf-8") == "a file of the user's"


DISK_FULL = """
import sys, time
from pathlib import Path
from mftcore import Journal, JournalFull
from mftpy.config import load
from mftpy.journal_meta import ACTIONS, DECISIONS
from mftpy.journals import RunJournals, close_writer, finish, open_writer
from tests.py.made_decisions import INSTRUMENT, plain_decision
place = Path(sys.argv[1])
kept = RunJournals.create(place, load(None, {"output.decisions_mb": 16}), INSTRUMENT, "1")
assert not kept.warnings, kept.warnings
with open(place / "other", "wb", buffering=0) as other:  # of somebody else
    try:
        while True:
            other.write(bytes(4096))
    except OSError:
        pass
said = []
writer = open_writer(kept.path, DECISIONS, said.append)
appended = refused = 0
while refused < 10:
    try:
        writer.append(1, plain_decision(appended + 1).tobytes())
        appended += 1
    except JournalFull:
        refused += 1
deadline = time.monotonic() + 30
while not kept.warnings and time.monotonic() < deadline:
    kept.look()
kept.look()
assert len(kept.warnings) == 1 and "No space left" in kept.warnings[0], kept.warnings
close_writer(writer, kept.path, DECISIONS, said.append, lambda: False)
ended = kept.close()[DECISIONS]
assert ended.refused == 10 and ended.undrained_bytes > 0 and len(kept.warnings) == 1, (ended, kept.warnings)
assert ended.records == appended, (ended, appended)
(place / "other").unlink()
finish(place)
with Journal.open(place / DECISIONS) as journal, journal.reader() as reader:
    assert [record.sequence for record in reader] == list(range(1, appended + 1))
assert not said, said
print("counted")
"""


def test_a_full_disk_is_told_once_and_what_did_not_fit_is_counted_and_the_rest_kept_when_it_is_mended(tmp_path):
    assert in_small_disk(DISK_FULL, "size=16m", tmp_path) == "counted\n"


@pytest.mark.parametrize("total_mib", [16, 17, 100, 512, 4096, 1_000_000])
def test_both_journals_together_stay_within_what_may_be_kept(total_mib):
    most = 0
    for name in NAMES:
        file_bytes, keep_files = sizes(total_mib, name)
        assert keep_files >= 2
        assert file_bytes >= 10 * (DECISION.itemsize + 32)
        most += file_bytes * (keep_files + 1)
    assert 0.9 * total_mib * MIB < most <= total_mib * MIB


def test_retention_removes_the_oldest_and_never_exceeds_the_bound(tmp_path):
    kept = begin(tmp_path, **{"output.decisions_mb": 16})
    writer = open_writer(kept.path, DECISIONS, warn)
    record = plain_decision(1)
    for number in range(1, 9001):  # 20 MB
        record["decision_id"] = number
        while True:
            try:
                writer.append(1, record.tobytes())
                break
            except JournalFull:
                writer.flush()
    close_writer(writer, kept.path, DECISIONS, warn, lambda: False)
    kept.close()
    found = numbers(tmp_path)
    assert found == list(range(found[0], 9001))
    assert found[0] > 1
    on_disk = sum(path.stat().st_size for name in NAMES for path in (tmp_path / name).iterdir())
    assert on_disk <= 16 * MIB


def test_the_oldest_finished_runs_go_when_all_take_more_than_may_be_kept(tmp_path):
    for name in ("20260101T000000Z-1", "20260102T000000Z-1", "20260103T000000Z-1", "20260104T000000Z-1"):
        begin(tmp_path / name, **{"output.decisions_mb": 64}).close()  # 4 MiB each, preallocated
    going_on = supervisor(tmp_path / "20260101T000000Z-0")
    writing = child(tmp_path / "20260101T000000Z-0", 5)
    assert remove_oldest(tmp_path, 1000) == 0
    assert remove_oldest(tmp_path, 19) == 2
    kill(going_on)
    kept = [path.name[:8] for path in sorted(tmp_path.iterdir()) if (path / DECISIONS).exists()]
    assert kept == ["20260101", "20260103", "20260104"]
    assert end(writing) == 0
    assert numbers(tmp_path / "20260101T000000Z-0") == [1, 2, 3, 4, 5]
    assert remove_oldest(tmp_path / "nowhere", 16) == 0


def test_a_journal_says_of_which_run_it_is(tmp_path):
    kept = begin(tmp_path, **{"limits.stale_feed_s": 3.5})
    with Journal.open(tmp_path / ACTIONS) as journal:
        meta = Meta.read(journal, ACTIONS)
        with pytest.raises(InputFileError, match="another version"):
            Meta.read(journal, DECISIONS)
    kept.close()
    assert (meta.instrument, meta.tick_size, meta.lot_size, meta.model) == (
        "BTC-PERPETUAL", 0.1, 0.001, "avellaneda_stoikov",
    )  # fmt: skip
    assert meta.settings["stale_feed_s"] == 3.5
    assert meta.wall_minus_monotonic_ns > 1e18
    other = Journal.create(tmp_path / "other", meta=json.dumps({"a": 1}))
    with pytest.raises(InputFileError, match="none of a run"):
        Meta.read(other, ACTIONS)
    other.close()


def test_the_longest_description_of_a_run_fits_into_a_journal(tmp_path):
    kept = begin(tmp_path, **{"model.name": "a" * 5000 + ":f", "venue.instance": "i" * 32})
    assert kept.warnings == []
    kept.close()
