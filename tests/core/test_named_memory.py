"""Named memory looked at and cleaned up: what is listed, what is never touched, what goes."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mftcore.segment
from mftcore import (
    Broadcast,
    ByteRing,
    Doorbell,
    Histogram,
    Journal,
    LayoutError,
    MasterBook,
    NoSuchSegment,
    RecordError,
    RoleTaken,
    Seqlock,
    SeqlockBook,
    SpscRing,
    UnsafePath,
    inspect_segment,
    memory,
    named_memory,
    remove_dead,
    segments,
)
from mftcore.__main__ import main
from mftcore.named_memory import KINDS
from mftcore.segment import Segment, directory_path
from tests.golden import layout

ROOT = Path(__file__).resolve().parents[2]
TRADE = [("price_ticks", "<i8"), ("size_lots", "<i8")]
EVIL = "evil\x1b]0;owned\x07\udcff\n"


@pytest.fixture
def shm_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of named segments for this test alone."""
    monkeypatch.setattr(memory, "SHM_ROOT", str(tmp_path))
    return tmp_path


class Others:
    """Processes that make named segments and hold roles in them, until they are told to do otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.running: list[subprocess.Popen[str]] = []

    def run(self, code: str) -> subprocess.Popen[str]:
        """Start a process that runs `code`, with ``mftcore``'s names and `keep`, and then waits to be killed."""
        begin = (
            "import sys, numpy as np, mftcore.memory; from mftcore import *\n"
            f"mftcore.memory.SHM_ROOT = {str(self.root)!r}\nkeep = []\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", f"{begin}{code}\nprint('ready', flush=True)\nsys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> int:
        """Kill one, so that it leaves its names behind; returns its pid."""
        process.kill()
        process.wait()
        return process.pid


@pytest.fixture
def others(shm_root: Path) -> Iterator[Others]:
    them = Others(shm_root)
    yield them
    for process in them.running:
        with process:
            process.kill()


def dead_ring(others: Others, name: str) -> int:
    """Leave a ring of a killed maker, who also was its producer; returns the pid."""
    return others.kill(others.run(f"keep += [r := SpscRing.create(8, 4, name={name!r}), r.producer()]"))


def by_name() -> dict[str, Any]:
    return {info.name: info for info in segments()}


def spoil(name: str, change: Callable[[bytearray], None]) -> None:
    """Change a segment where it stands, checksum included."""
    path = Path(directory_path(), name)
    segment = bytearray(path.read_bytes())
    change(segment)
    layout.sign(segment)
    with path.open("r+b") as file:
        file.write(segment)


# ---- looking ----


def test_every_structure_is_listed_with_its_maker_and_who_holds_its_roles(others: Others) -> None:
    assert segments() == []
    process = others.run(
        f"keep += [r := SpscRing.create({TRADE}, 100, name='ring'), r.consumer()]\n"
        "keep += [Seqlock.create(8, name='seqlock'), Histogram.create(name='histogram')]\n"
        "keep += [SeqlockBook.create('BTC', 0.5, 0.1, levels=5, name='book'), ByteRing.create(9, name='bytes')]\n"
        "keep += [b := Broadcast.create(8, 100, name='broadcast'), b.writer()]"
    )
    found = by_name()
    assert [(name, info.structure, info.capacity, info.capacity_unit) for name, info in found.items()] == [
        ("book", "SeqlockBook", 5, "levels"),
        ("broadcast", "Broadcast", 127, "records"),
        ("bytes", "ByteRing", 65528, "bytes"),
        ("histogram", "Histogram", 4480, "buckets"),
        ("ring", "SpscRing", 128, "records"),
        ("seqlock", "Seqlock", 8, "cells"),
    ]
    for info in found.values():
        assert (info.fault, info.layout_version, info.maker_pid, info.maker_alive) == ("", 1, process.pid, True)
        assert info.users[0] == f"process {process.pid}, which made it"
        assert info.age_ns > 0
        assert info.total_bytes == Path(directory_path(), info.name).stat().st_size
    ring = found["ring"]
    assert (ring.record_bytes, json.loads(ring.record)["names"]) == (16, ["price_ticks", "size_lots"])
    assert [(role.role, role.pid, role.alive, role.epoch) for role in ring.roles] == [
        ("producer", 0, False, 0),
        ("consumer", process.pid, True, 1),
    ]
    others.kill(process)
    ring = by_name()["ring"]
    assert (ring.maker_alive, ring.roles[1].alive, ring.roles[1].pid, ring.users) == (False, False, process.pid, [])


def test_every_kind_of_structure_has_its_row() -> None:
    structures = (SpscRing, Seqlock, SeqlockBook, Histogram, Doorbell, ByteRing, Broadcast)
    assert {number: row.structure for number, row in KINDS.items()}.items() >= {
        (structure.KIND, structure.__name__) for structure in structures
    }
    header = Path(mftcore.get_include(), "mftcore", "segment.h").read_text(encoding="utf-8")
    assert set(map(int, re.findall(r"\bMFT_KIND_[A-Z]+ = (\d+)", header))) == set(KINDS)


def test_what_is_no_segment_is_listed_with_the_reason_and_never_ends_the_listing(shm_root: Path) -> None:
    with SpscRing.create(8, 4, name="good"):
        directory = Path(directory_path())
        whole = (directory / "good").read_bytes()
        for name, content in {
            "noise": bytes(8192),
            "empty": b"",
            "cut": whole[:4096],
            "flipped": whole[:500] + b"x" + whole[501:],
            EVIL: b"",
        }.items():
            (directory / name).write_bytes(content)
            (directory / name).chmod(0o600)
        (directory / "readable").write_bytes(whole)
        (directory / "readable").chmod(0o644)
        with (directory / "sparse").open("wb") as sparse:  # mapped and populated, this would fill any machine
            sparse.truncate(1 << 40)
        (directory / "sparse").chmod(0o600)
        os.mkfifo(directory / "fifo", 0o600)
        (directory / "folder").mkdir()
        (directory / "link").symlink_to("good")
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.open(directory, os.O_RDONLY)  # the path is too long for an address
            listener.bind(f"/proc/self/fd/{here}/socket")
            os.close(here)
            found = {info.name: info.fault for info in segments()}
        assert found.pop("good") == ""
        assert found.pop("link") == found.pop("socket") == "no plain file"
        for name, words in {
            "noise": "ready is 0x0",
            "empty": "file size",
            "cut": "file size",
            "flipped": "dtype hash|checksum",
            "readable": "file mode is 0x1a4, expected 0x180",
            "sparse": "ready is 0x0",
            "fifo": "file type",
            "folder": "file type",
            EVIL: "file size",
        }.items():
            fault = found.pop(name)
            assert any(word in fault for word in words.split("|")), (name, fault)
        assert not found
        for name in ("noise", "flipped", "readable", "sparse", "fifo", "folder"):
            with pytest.raises(LayoutError):
                inspect_segment(name)
        for name in ("link", "socket"):
            with pytest.raises(UnsafePath):
                inspect_segment(name)
        for name in ("nothing", "", ".", "..", "../x", "a\0b", "x" * 300):
            with pytest.raises(NoSuchSegment):
                inspect_segment(name)


def test_inspect_tells_the_state_of_every_structure_and_changes_no_byte(shm_root: Path) -> None:
    master = MasterBook()
    master.snapshot(np.array([[99, 5, 5]]), np.array([[101, 3, 3]]))
    with (
        SpscRing.create(TRADE, 4, name="ring") as ring,
        ring.producer() as tx,
        ring.consumer() as rx,
        ByteRing.create(100, name="bytes") as messages,
        messages.producer() as bytes_tx,
        Broadcast.create(8, 4, name="broadcast") as broadcast,
        broadcast.writer() as broadcaster,
        Seqlock.create(8, name="seqlock") as seqlock,
        seqlock.writer() as writer,
        SeqlockBook.create("BTC", 0.5, 0.1, levels=5, name="book") as book,
        book.writer() as book_writer,
        Histogram.create(name="histogram") as histogram,
        histogram.recorder() as recorder,
    ):
        assert tx.push_many(bytes(16 * 5)) == 4
        assert rx.pop() == bytes(16)
        assert bytes_tx.push(b"seven..")
        broadcaster.write(bytes(8))
        before = inspect_segment("seqlock")["state"]
        writer.write(bytes(8))
        empty = inspect_segment("book")["state"]
        book_writer.publish(master, exchange_time_ns=1, receive_ns=1, state=0)
        for ns in (1, 2, 3, -4):
            recorder.record(ns)
        files = sorted(Path(directory_path()).iterdir())
        contents = [path.read_bytes() for path in files]
        state = {path.name: inspect_segment(path.name)["state"] for path in files}
        everything = inspect_segment("ring")
        assert segments()
        assert [path.read_bytes() for path in files] == contents
    assert state["ring"] == {"pushed": 4, "popped": 1, "full": 1, "high_water": 4, "waiting": 3}
    assert state["bytes"] == {"pushed": 1, "popped": 0, "full": 0, "used_bytes": 16}
    assert state["broadcast"] == {"written": 1}
    assert before == {"version": 0, "epoch": 0, "value_age_ns": None}
    assert state["seqlock"].pop("value_age_ns") >= 0
    assert state["seqlock"] == {"version": 1, "epoch": 1}
    assert empty == {"instrument": "BTC", "tick_size": 0.5, "lot_size": 0.1, "version": 0}
    assert state["book"].pop("value_age_ns") > 0
    assert state["book"] == {
        "instrument": "BTC",
        "tick_size": 0.5,
        "lot_size": 0.1,
        "version": 1,
        "epoch": 1,
        "state": [],
        "bid_ticks": 99,
        "bid_lots": 5,
        "ask_ticks": 101,
        "ask_lots": 3,
    }
    assert (state["histogram"]["count"], state["histogram"]["negative"], state["histogram"]["max_ns"]) == (3, 1, 3)
    assert everything["dtype"] == np.dtype(TRADE)
    assert len(everything["instance"]) == 32


def test_a_doorbells_page_can_be_looked_at_and_a_later_kind_is_listed_by_its_number(shm_root: Path) -> None:
    whole = Doorbell.create().__reduce__()[1][0]
    fd = whole.fileno()
    for name, kind in (("bell", Doorbell.KIND), ("later", 77)):
        put = bytearray(os.pread(fd, os.fstat(fd).st_size, 0))
        header = layout.Header.from_buffer(put)
        header.layout.kind, header.layout.named = kind, 1
        layout.sign(put)
        path = Path(directory_path(), name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(put)
        path.chmod(0o600)
    assert inspect_segment("bell")["state"] == {"word": 0, "sleeping": False, "ever_slept_on": True}
    later = inspect_segment("later")
    assert (later["info"].structure, later["state"]) == ("kind 77", {})
    assert [removal.removed for removal in remove_dead()] == [False, False]  # we, who made them, live


def test_a_damaged_index_is_the_answer_of_inspect(shm_root: Path) -> None:
    with SpscRing.create(8, 4, name="ring"):
        with Path(directory_path(), "ring").open("r+b") as file:
            file.seek(4096)
            file.write((1 << 60).to_bytes(8, "little"))
        assert segments()[0].fault == ""
        with pytest.raises(LayoutError, match="than fit"):
            inspect_segment("ring")


# ---- removing ----


def test_what_a_killed_maker_left_goes_and_what_somebody_uses_stays(others: Others) -> None:
    dead = dead_ring(others, "dead")
    live = others.run("keep += [SpscRing.create(8, 4, name='live')]")
    orphan_maker = others.run("keep += [SpscRing.create(8, 4, name='orphan')]")
    user = others.run("keep += [SpscRing.attach('orphan').consumer()]")
    maker = others.kill(orphan_maker)
    expected = [
        ("dead", True, f"its maker, process {dead}, and all holders of its roles are dead"),
        ("live", False, f"in use by process {live.pid}, which made it"),
        ("orphan", False, f"in use by process {user.pid}, its consumer"),
    ]
    for dry_run in (True, False):
        done = remove_dead(dry_run=dry_run)
        assert [(removal.name, removal.removed, removal.reason) for removal in done] == expected
        assert ("dead" in by_name()) is dry_run
    others.kill(user)
    assert not by_name()["orphan"].users
    with SpscRing.attach("orphan") as kept:
        done = remove_dead(["orphan", "dead", "orphan"])
        assert [(removal.name, removal.removed) for removal in done] == [("orphan", True), ("dead", False)]
        assert f"process {maker}" in done[0].reason
        assert done[1].reason == "there is none of this name"
        with kept.producer() as tx, kept.consumer() as rx:  # who is attached keeps the memory, and its roles are free
            assert tx.push(bytes(8))
            assert rx.pop() == bytes(8)
    assert list(by_name()) == ["live"]
    with pytest.raises(RecordError, match="give a list"):
        remove_dead("live")


def test_a_stopped_process_and_one_of_another_namespace_count_as_alive(others: Others) -> None:
    stopped = others.run("keep += [SpscRing.create(8, 4, name='stopped')]")
    os.kill(stopped.pid, 19)
    dead_ring(others, "elsewhere")

    def in_another_world(segment: bytearray) -> None:
        layout.Header.from_buffer(segment).layout.pid_namespace += 1

    spoil("elsewhere", in_another_world)
    found = by_name()["elsewhere"]
    assert (found.maker_alive, found.maker_foreign, found.roles[0].foreign) == (True, True, True)
    assert [removal.removed for removal in remove_dead(damaged=True)] == [False, False]


@pytest.mark.parametrize(("kind", "version"), [(99, 1), (SpscRing.KIND, 9)])
def test_what_a_later_version_made_stays_since_we_do_not_know_what_would_be_lost(
    others: Others, kind: int, version: int
) -> None:
    dead_ring(others, "later")

    def of_a_later_version(segment: bytearray) -> None:
        header = layout.Header.from_buffer(segment)
        header.layout.kind, header.layout.version = kind, version

    spoil("later", of_a_later_version)
    assert by_name()["later"].users == []
    for dry_run in (True, False):
        (kept,) = remove_dead(damaged=True, dry_run=dry_run)
        assert not kept.removed
        assert "of which we know nothing" in kept.reason
    assert list(by_name()) == ["later"]


def test_the_memory_of_a_journal_stays_until_its_records_are_on_disk(others: Others, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    writer = others.run(f"keep += [j := Journal.create({str(path)!r}), w := j.writer()]; w.append(1, b'a fill')")
    (info,) = segments()
    assert (info.structure, [role.role for role in info.roles]) == ("Journal", ["writer", "drainer"])
    assert inspect_segment(info.name)["state"]["undrained_bytes"] > 0
    others.kill(writer)
    for dry_run in (True, False):
        (kept,) = remove_dead(dry_run=dry_run)
        assert not kept.removed
        assert "not on disk yet" in kept.reason
    with Journal.open(path) as journal, journal.drainer() as drainer:
        drainer.drain()
    for info in segments():
        assert inspect_segment(info.name)["state"]["undrained_bytes"] == 0
    assert all(removal.removed for removal in remove_dead())
    with Journal.open(path) as journal, journal.reader() as reader:
        assert [bytes(record.payload) for record in reader.read_many(9)] == [b"a fill"]
    assert segments() == []


def test_a_damaged_file_goes_only_if_asked_for_and_never_while_a_process_has_it(others: Others) -> None:
    others.run("keep += [SpscRing.create(8, 4, name='used')]")
    dead_ring(others, "unused")
    for name in ("used", "unused"):
        with Path(directory_path(), name).open("r+b") as file:
            file.write(b"not MFTSEG01")
    Path(directory_path(), EVIL).write_bytes(b"")
    Path(directory_path(), EVIL).chmod(0o600)
    Path(directory_path(), "folder").mkdir()
    Path(directory_path(), "link").symlink_to("used")
    assert not any(removal.removed for removal in remove_dead())
    assert sum(removal.removed for removal in remove_dead(damaged=True, dry_run=True)) == 2
    done = {removal.name: removal for removal in remove_dead(damaged=True)}
    assert {name for name, removal in done.items() if removal.removed} == {"unused", EVIL}
    assert "a process may have it open" in done["used"].reason
    assert {info.name for info in segments()} == {"used", "folder", "link"}


def test_a_process_that_attaches_while_a_name_is_taken_away_gets_no_role_in_memory_without_a_name(
    others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_ring(others, "ring")
    refused = []
    take_away = mftcore.segment.remove_name

    def attach_first(*arguments: Any) -> bool:
        with SpscRing.attach("ring") as ring:
            for claim in (ring.producer, ring.consumer):
                with pytest.raises(RoleTaken):
                    claim()
                refused.append(claim)
        return take_away(*arguments)

    monkeypatch.setattr(mftcore.segment, "remove_name", attach_first)
    assert remove_dead()[0].removed
    assert len(refused) == 2
    assert segments() == []


def test_a_role_taken_since_we_looked_keeps_the_name_and_a_name_that_vanished_is_no_error(
    others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_ring(others, "ring")
    seen = by_name()["ring"]
    looked = iter([seen, seen])
    monkeypatch.setattr(named_memory, "_look", lambda *_: next(looked))
    with SpscRing.attach("ring") as ring, ring.consumer():
        (kept,) = remove_dead()
        assert not kept.removed
        assert f"process {os.getpid()} holds a role" in kept.reason
    with SpscRing.attach("ring") as ring:
        assert ring.producer().epoch == 2  # looking has counted no holder
    Segment.remove(SpscRing.KIND, SpscRing.VERSION, "SpscRing", "ring")
    assert remove_dead(["ring"])[0].reason == "there is none of this name"
    monkeypatch.undo()


# ---- in the terminal ----


def test_the_commands_say_what_the_calls_say_and_end_with_the_documented_codes(
    others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    assert "there is no named memory" in capsys.readouterr().out
    dead = dead_ring(others, "ring")
    Path(directory_path(), EVIL).write_bytes(b"")
    assert main(["list"]) == 0
    table = capsys.readouterr().out
    assert f"{dead} dead" in table
    assert "SpscRing v1" in table
    assert r"evil\x1b]0;owned\x07\udcff\n: no usable segment: file mode" in table
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["maker_pid"]) for row in listed] == [(EVIL, 0), ("ring", dead)]
    assert main(["inspect", "ring"]) == 0
    text = capsys.readouterr().out
    assert "high water: 0\n" in text
    assert f"producer:   process {dead} dead, epoch 1\n" in text
    assert main(["inspect", "ring", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"]["pushed"] == 0
    for name in ("nothing", EVIL):
        assert main(["inspect", name]) == 3
        said = capsys.readouterr().err
        assert "\x1b" not in said
        assert said.count("\n") == 1
    assert main(["clean", "--dry-run"]) == 0
    assert "ring: would be removed: its maker" in capsys.readouterr().out
    assert main(["clean", "--json", "ring"]) == 0
    assert [row["removed"] for row in json.loads(capsys.readouterr().out)] == [True]
    assert main(["clean"]) == 0
    kept = capsys.readouterr().out
    assert "\x1b" not in kept
    assert kept.endswith("0 removed, 1 kept\n")
    for wrong in (["inspect"], ["list", "x"], ["clean", "--all"], []):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
    Path(directory_path()).chmod(0o755)
    for command in (["list"], ["inspect", "ring"], ["clean"]):
        assert main(command) == (3 if command[0] == "inspect" else 5)
        assert "0700" in capsys.readouterr().err


def test_a_closed_pipe_ends_the_listing_quietly(others: Others) -> None:
    dead_ring(others, "ring")
    code = (
        f"import sys, mftcore.memory; mftcore.memory.SHM_ROOT = {str(others.root)!r}\n"
        "from mftcore.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    for command in (["list"], ["clean", "--dry-run"]):
        reading, writing = os.pipe()
        os.close(reading)
        ran = subprocess.run(
            [sys.executable, "-c", code, *command],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        os.close(writing)
        assert (ran.returncode, ran.stderr) == (0, b"")
