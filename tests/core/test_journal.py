"""The journal: what was appended is read, whole and in order, live and afterwards; what is wrong is said."""

import asyncio
import contextlib
import fcntl
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mftcore import (
    ClosedError,
    Doorbell,
    ForkedError,
    Journal,
    JournalDamaged,
    JournalExists,
    JournalFull,
    JournalReader,
    KernelError,
    NoSuchJournal,
    NoSuchSegment,
    PeerDied,
    RecordError,
    RoleTaken,
    remove_dead,
    wait_any,
)
from mftcore.segment import directory_path
from tests.core.children import child

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"memory_bytes": 1 << 16, "file_bytes": 8192}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.create(tmp_path / "journal", **SMALL) as made:
        yield made
        forget(made)


def memory_of(journal: Journal) -> Path:
    return Path(directory_path(), journal.memory_name)


def forget(journal: Journal) -> None:
    """Take the memory away, as a machine that is started anew does."""
    memory_of(journal).unlink(missing_ok=True)


def payloads(reader: JournalReader) -> list[bytes]:
    return [record.payload for record in reader]


def test_records_come_back_with_number_type_stamp_and_payload(journal: Journal) -> None:
    with journal.writer(drain=True) as writer, journal.reader() as reader:
        assert [writer.append(7, b"one"), writer.append(0, bytearray(b"two"), -5), writer.append(2**32 - 1, b"")] == [
            1,
            2,
            3,
        ]
        first, second, third = reader
        assert (first.sequence, first.type, first.payload) == (1, 7, b"one")
        assert (second.sequence, second.type, second.stamp_ns, second.payload) == (2, 0, -5, b"two")
        assert (third.sequence, third.type, third.payload) == (3, 2**32 - 1, b"")
        assert first.stamp_ns <= third.stamp_ns
        assert reader.read() is None
        assert (reader.next_sequence, reader.lost, writer.sequence) == (4, 0, 3)


def test_history_and_what_is_live_are_read_as_one(journal: Journal) -> None:
    expected = [b"%d" % i * 40 for i in range(1000)]
    with journal.writer() as writer, journal.drainer() as drainer:
        readers = []
        for i, payload in enumerate(expected):
            writer.append(1, payload)
            if i % 100 == 50:
                while drainer.drain():
                    pass
                readers.append((i, journal.reader(), journal.reader(at="newest"), journal.reader(sequence=i // 2 + 1)))
        for i, oldest, newest, middle in readers:
            assert payloads(oldest) == expected
            assert payloads(newest) == expected[i + 1 :]
            assert payloads(middle) == expected[i // 2 :]
            for reader in (oldest, newest, middle):
                reader.close()


def test_a_closed_journal_leaves_no_memory_and_is_read_from_its_files(journal: Journal) -> None:
    with journal.writer(drain=True) as writer:
        for i in range(300):
            writer.append(1, b"%d" % i * 20)
        assert memory_of(journal).exists()
    assert not memory_of(journal).exists()
    with journal.reader() as reader:
        assert payloads(reader) == [b"%d" % i * 20 for i in range(300)]
    with journal.reader(at="newest") as reader:
        assert (reader.read(), reader.next_sequence) == (None, 301)


def test_a_reader_goes_on_with_the_next_writer_and_its_new_memory(journal: Journal) -> None:
    reader = journal.reader()
    for turn in range(3):
        with journal.writer(drain=True) as writer:
            assert writer.append(1, b"%d" % turn) == turn + 1
        assert reader.wait(10)
        assert payloads(reader) == [b"%d" % turn]
        assert not reader.wait(0)
    reader.close()


def test_what_was_not_drained_survives_its_processes(journal: Journal) -> None:
    with child(append_and_die, journal.path) as process:
        process.join(20)
    with journal.reader() as reader:
        assert payloads(reader) == [b"before", b"the end"]
    with journal.writer(drain=True) as writer:
        assert writer.append(1, b"after") == 3
    with journal.reader() as reader:
        assert payloads(reader) == [b"before", b"the end", b"after"]


def append_and_die(path: str) -> None:
    writer = Journal.open(path).writer()
    writer.append(1, b"before")
    writer.append(1, b"the end")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_full_memory_refuses_counts_and_says_why(journal: Journal) -> None:
    writer = journal.writer()
    while writer.undrained_bytes + 1032 <= 1 << 16:
        writer.append(1, bytes(1000))
    with pytest.raises(JournalFull, match="drain=True"):
        writer.append(1, bytes(1000))
    kept = writer.sequence
    assert writer.refused == 1
    assert not writer.flush(0.01)
    with journal.drainer() as drainer:
        while drainer.drain():
            pass
        assert writer.append(1, b"there is room again") == kept + 1
    writer.close()
    forget(journal)


def test_there_is_one_writer_and_one_drainer(journal: Journal) -> None:
    with journal.writer(drain=True):
        for claim in (journal.writer, journal.drainer):
            with pytest.raises(RoleTaken) as taken:
                claim()
            assert taken.value.pid == os.getpid()
    with journal.writer(drain=True) as writer:
        assert writer.append(1, b"") == 1


def test_a_writer_that_is_dropped_gives_its_roles_back_and_its_records_stay(journal: Journal) -> None:
    assert journal.writer(drain=True).append(1, b"before") == 1
    with journal.writer(drain=True) as writer:
        assert writer.sequence == 1
    with journal.reader() as reader:
        assert payloads(reader) == [b"before"]


def test_a_writer_that_cannot_see_our_memory_is_kept_off_by_the_lock(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with child(hold_writer, journal.path) as holder:
        with journal.reader() as reader:
            assert reader.wait(20)  # it has opened it
        monkeypatch.setattr("mftcore.memory.SHM_ROOT", str(tmp_path))  # as in another container
        with pytest.raises(RoleTaken) as taken:
            journal.writer()
        assert taken.value.pid == holder.pid


def test_what_another_writer_left_between_the_look_for_a_memory_and_the_lock_is_kept(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockf = fcntl.lockf
    program = "import sys; from tests.core.test_journal import append_and_die; append_and_die(sys.argv[1])"

    def late(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "lockf", lockf)
        died = subprocess.run([sys.executable, "-c", program, journal.path], check=False, timeout=20, cwd=ROOT)
        assert died.returncode == -signal.SIGKILL
        lockf(fd, how)

    monkeypatch.setattr(fcntl, "lockf", late)
    with journal.writer(drain=True) as writer:
        assert writer.sequence == 2
    with journal.reader() as reader:
        assert payloads(reader) == [b"before", b"the end"]


def test_a_drainer_is_stopped_before_all_is_on_disk(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", memory_bytes=1 << 22, file_bytes=8192)
    with journal, journal.writer() as writer, journal.drainer() as drainer:
        while writer.undrained_bytes < 1 << 21:
            writer.append(1, bytes(4000))  # each takes a file of its own, and a step
        drainer.start()
        drainer.stop()
        assert writer.undrained_bytes > 0  # else a writer that never pauses would keep it from stopping
        forget(journal)


def test_a_memory_that_has_ended_and_kept_its_name_holds_up_no_writer(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise KernelError("as if killed before the name was taken away")

    writer = journal.writer(drain=True)
    writer.append(1, b"before")
    with monkeypatch.context() as patch:
        patch.setattr("mftcore.segment.remove_name", fail)
        with pytest.raises(KernelError):
            writer.close()
    assert memory_of(journal).exists()
    with child(append_after, journal.path) as process:
        process.join(20)
        assert process.exitcode == 0
    with journal.reader() as reader:
        assert payloads(reader) == [b"before", b"after"]


def append_after(path: str) -> None:
    with Journal.open(path).writer(drain=True) as writer:
        writer.append(1, b"after")


def test_a_reader_goes_on_with_the_next_writer_when_the_memory_of_a_killed_one_was_cleaned_up(
    journal: Journal,
) -> None:
    with child(flush_and_die, journal.path) as process:
        process.join(20)
    with journal.reader() as reader:
        assert payloads(reader) == [b"before"]
        assert [removal.removed for removal in remove_dead([journal.memory_name])] == [True]
        append_after(journal.path)
        assert payloads(reader) == [b"after"]


def flush_and_die(path: str) -> None:
    writer = Journal.open(path).writer(drain=True)
    writer.append(1, b"before")
    writer.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_second_writer_of_the_same_process_is_refused_although_the_memory_has_lost_its_name(journal: Journal) -> None:
    with journal.writer(drain=True) as writer:
        writer.append(1, b"one")
        forget(journal)
        for _ in range(2):
            with pytest.raises(RoleTaken, match="this process is its writer"):
                journal.writer(drain=True)
        assert writer.append(1, b"two") == 2
    with journal.reader() as reader:
        assert payloads(reader) == [b"one", b"two"]


def hold_writer(path: str) -> None:
    with Journal.open(path).writer(drain=True) as writer:
        writer.append(1, b"here")
        signal.pause()


def test_retention_removes_the_oldest_and_a_slow_reader_knows_what_it_lost(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", **SMALL, keep_files=2) as journal:
        slow = journal.reader()
        with journal.writer() as writer, journal.drainer() as drainer:
            for i in range(1, 1001):
                assert writer.append(1, b"%d" % i * 10) == i
                if i == 3:
                    drainer.drain()
                    assert slow.read().sequence == 1
                if i % 20 == 0:
                    drainer.drain()
            while drainer.drain():
                pass
        files = sorted(Path(journal.path).glob("*.mftj"))
        assert len(files) == 2
        found = [record.sequence for record in slow]
        assert found == sorted(set(found))
        assert (found[-1], len(found) + slow.lost) == (1000, 999)
        assert slow.lost > 800
        with journal.reader(sequence=5) as late:
            assert late.lost == late.next_sequence - 5
        slow.close()


def test_a_bad_place_or_number_is_refused(journal: Journal) -> None:
    with journal.writer(drain=True) as writer:
        writer.append(1, b"only")
        for arguments in ({"at": "middle"}, {"sequence": 0}, {"sequence": 3}, {"sequence": "1"}, {"sequence": -1}):
            with pytest.raises(RecordError):
                journal.reader(**arguments)
        with journal.reader(sequence=2) as reader:
            assert reader.read() is None
        for bad in (
            (-1, b""),
            (2**32, b""),
            ("1", b""),
            (1, b"", 2**63),
            (1, b"", "now"),
            (1, bytes(writer.capacity + 1)),
        ):
            with pytest.raises(RecordError):
                writer.append(*bad)
        with pytest.raises(TypeError):
            writer.append(1, "text")
        assert writer.append(1, bytes(writer.capacity)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"memory_bytes": 0},
        {"memory_bytes": 2**40},
        {"file_bytes": 8191},
        {"file_bytes": 1 << 50},
        {"keep_files": 1},
        {"keep_files": "2"},
        {"meta": "x" * 4000},
        {"meta": b"bytes"},
    ],
)
def test_a_journal_of_no_sense_is_refused_and_leaves_nothing(arguments: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        Journal.create(tmp_path / "j", **arguments)
    assert not (tmp_path / "j").exists()


def test_of_many_that_make_a_journal_in_one_place_at_once_one_does(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for turn in range(8):
        start, made, place = context.Barrier(4), context.Value("i", 0), str(tmp_path / str(turn))
        with contextlib.ExitStack() as stack:
            makers = [stack.enter_context(child(make_at_once, place, start, made)) for _ in range(4)]
            for maker in makers:
                maker.join(20)
            assert [maker.exitcode for maker in makers] == [0] * 4
        assert made.value == 1
        with Journal.open(place) as journal, journal.reader() as reader:
            assert payloads(reader) == [b"made"]


def make_at_once(path: str, start: Any, made: Any) -> None:
    start.wait()
    try:
        journal = Journal.create(path, file_bytes=1 << 24)
    except JournalExists:
        return
    with made.get_lock():
        made.value += 1
    with journal.writer(drain=True) as writer:
        writer.append(1, b"made")


def test_settings_and_text_are_kept_in_the_files(tmp_path: Path) -> None:
    Journal.create(tmp_path / "j", memory_bytes=70_000, file_bytes=10_001, keep_files=3, meta="grüße").close()
    with Journal.open(str(tmp_path / "j")) as journal:
        assert (journal.memory_bytes, journal.file_bytes, journal.keep_files) == (131072, 10_000, 3)
        assert (journal.meta, len(journal.id)) == ("grüße", 16)
        with pytest.raises(JournalExists):
            Journal.create(journal.path)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "000001.mftj").write_bytes(bytes(10_000))
    for name in ("empty", "file", "nothing"):
        with pytest.raises(NoSuchJournal):
            Journal.open(tmp_path / name)
    with pytest.raises(JournalDamaged) as damaged:
        Journal.open(tmp_path / "foreign")
    assert (damaged.value.file, damaged.value.sequence) == ("000001.mftj", 0)
    with pytest.raises(TypeError):
        Journal()


def filled(path: Path, count: int = 400) -> list[Path]:
    """Make a journal of several files and no memory; return the files."""
    with Journal.create(path, **SMALL) as journal, journal.writer(drain=True) as writer:
        for i in range(1, count + 1):
            writer.append(1, b"%d" % i * 10)
            if i % 100 == 0:
                assert writer.flush()
    return sorted(path.glob("*.mftj"))


def test_a_missing_file_is_damage_for_reader_and_writer(tmp_path: Path) -> None:
    files = filled(tmp_path / "j")
    files[1].unlink()
    with Journal.open(tmp_path / "j") as journal:
        for end in (journal.reader, journal.writer):
            with pytest.raises(JournalDamaged) as damaged:
                end()
            assert damaged.value.file == "000002.mftj"
            assert damaged.value.sequence > 0


def test_a_changed_byte_is_damage_with_its_file_place_and_the_last_good_record(tmp_path: Path) -> None:
    files = filled(tmp_path / "j")
    data = bytearray(files[1].read_bytes())
    data[5000] ^= 0x10
    files[1].write_bytes(data)
    with Journal.open(tmp_path / "j") as journal, journal.reader() as reader:
        records = []
        with pytest.raises(JournalDamaged) as damaged:
            records.extend(iter(reader.read, None))
        good = reader.next_sequence - 1
        assert [record.payload for record in records] == [b"%d" % number * 10 for number in range(1, good + 1)]
        assert (damaged.value.file, damaged.value.sequence) == ("000002.mftj", good)
        assert 4096 < damaged.value.offset <= 5000
        with pytest.raises(JournalDamaged):  # it does not go away by trying again
            reader.read()


def test_a_torn_tail_is_put_aside_by_the_next_writer(tmp_path: Path) -> None:
    *_, newest = filled(tmp_path / "j")
    data = newest.read_bytes().rstrip(b"\0")
    newest.write_bytes(data[:-3])
    with Journal.open(tmp_path / "j") as journal:
        with journal.reader() as reader:
            assert [record.sequence for record in reader] == list(range(1, 400))
            assert reader.torn
        with journal.writer(drain=True) as writer:
            assert 0 < writer.recovered_bytes < 64
            assert writer.recovered_file is not None
            assert data[:-3].endswith((tmp_path / "j" / writer.recovered_file).read_bytes())
            assert writer.append(1, b"anew") == 400
        with journal.reader() as reader:
            assert [record.sequence for record in reader] == list(range(1, 401))
            assert not reader.torn


def test_a_copy_is_read_by_itself_and_a_moved_journal_goes_on(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", **SMALL) as journal, journal.writer(drain=True) as writer:
        writer.append(1, b"one")
        assert writer.flush()
        shutil.copytree(tmp_path / "j", tmp_path / "copy")
        writer.append(1, b"two")
        with Journal.open(tmp_path / "copy") as copy, copy.reader() as reader:
            assert payloads(reader) == [b"one"]
            with copy.writer(drain=True) as other:  # no claim on the memory of what it was copied from
                assert other.append(1, b"other") == 2
            assert reader.wait(10)
            assert payloads(reader) == [b"other"]
        (tmp_path / "j").rename(tmp_path / "moved")
        with Journal.open(tmp_path / "moved") as moved, moved.reader() as reader:
            assert payloads(reader) == [b"one", b"two"]


def test_the_memory_of_a_removed_journal_is_not_taken_for_the_new_ones(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", **SMALL) as journal:
        writer = journal.writer()
        writer.append(1, b"old")
        writer.close()
        left = memory_of(journal)
    for path in (tmp_path / "j").iterdir():
        path.unlink()
    with Journal.create(tmp_path / "j", **SMALL) as journal:  # in a directory of the same number
        assert memory_of(journal) == left
        with journal.reader() as reader:
            assert reader.read() is None
            with pytest.raises(NoSuchSegment):
                journal.drainer()
            with journal.writer(drain=True) as writer:
                assert writer.append(1, b"new") == 1
            assert payloads(reader) == [b"new"]


def test_records_of_another_memory_are_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.create(tmp_path / "j", **SMALL) as journal:
        writer = journal.writer()
        writer.append(1, b"ours, not on disk")
        writer.close()
        with monkeypatch.context() as patch:
            (tmp_path / "shm").mkdir()
            patch.setattr("mftcore.memory.SHM_ROOT", str(tmp_path / "shm"))  # another container goes on from the files
            with journal.writer(drain=True) as other:
                assert other.append(1, b"theirs") == 1
        with pytest.raises(JournalDamaged, match="behind the last record"):
            journal.drainer()
        forget(journal)
        with journal.reader() as reader:
            assert payloads(reader) == [b"theirs"]


def test_stamps_are_kept_as_they_are_when_the_clock_goes_backwards(journal: Journal) -> None:
    stamps = [100, 90, -1, 2**63 - 1, -(2**63), 100]
    with journal.writer(drain=True) as writer:
        for stamp in stamps:
            writer.append(1, b"", stamp)
        with journal.reader() as reader:
            records = list(reader)
    assert [record.stamp_ns for record in records] == stamps
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5, 6]


def test_a_reader_waits_for_a_record_and_hears_of_a_death(journal: Journal) -> None:
    reader = journal.reader()
    with child(append_and_die, journal.path):
        assert reader.wait(20)
        found = payloads(reader)
        with contextlib.suppress(PeerDied):
            while len(found) < 2 and reader.wait(20):
                found += payloads(reader)
        assert found == [b"before", b"the end"]
    other = journal.reader(at="newest")
    with pytest.raises(PeerDied):
        other.wait(20)
    with journal.writer(drain=True) as writer:
        assert wait_any([other], 0) == []
        writer.append(1, b"successor")
        assert wait_any([other, reader], 10) == [other, reader]
    reader.close()
    other.close()


def test_a_reader_is_iterated_asynchronously(journal: Journal) -> None:
    async def follow() -> list[bytes]:
        found = []
        with journal.writer(drain=True) as writer, journal.reader() as reader:
            loop = asyncio.get_running_loop()
            for i in range(5):
                loop.call_later(0.002 * i, writer.append, 1, b"%d" % i)
            async for record in reader:
                found.append(record.payload)
                if len(found) == 5:
                    break
        return found

    assert asyncio.run(follow()) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_doorbell_is_rung_for_each_record(journal: Journal) -> None:
    with Doorbell.create() as bell, journal.writer(drain=True, bell=bell) as writer:
        assert bell.wait(0)  # armed now
        writer.append(1, b"")
        assert bell.wait(10)


def test_a_handle_goes_to_a_child_and_ends_do_not(journal: Journal) -> None:
    writer = journal.writer()
    writer.append(1, b"x")
    again = pickle.loads(pickle.dumps(journal))
    with again.reader() as reader:
        assert payloads(reader) == [b"x"]
    again.close()
    with pytest.raises(TypeError):
        pickle.dumps(writer)
    pid = os.fork()
    if pid == 0:
        try:
            writer.append(1, b"from the child")
        except ForkedError:
            with journal.reader() as reader:
                os._exit(0 if payloads(reader) == [b"x"] else 2)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    writer.close()
    for use in (writer.flush, lambda: writer.append(1, b""), lambda: writer.sequence):
        with pytest.raises(ClosedError):
            use()
    writer.close()


def test_nothing_is_left_open(journal: Journal, open_descriptors: object) -> None:
    def use() -> None:
        with journal.writer(drain=True) as writer, journal.reader() as reader:
            writer.append(1, b"x")
            assert writer.flush()
            list(reader)
        with journal.reader() as reader:
            list(reader)
        with contextlib.suppress(RecordError):
            journal.reader(sequence=100)

    use()
    before = open_descriptors()
    for _ in range(5):
        use()
    assert open_descriptors() == before
