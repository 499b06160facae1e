"""Golden segments: what a release wrote into shared memory is attached, read and gone on with by later ones."""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mftcore import (
    Broadcast,
    ByteRing,
    Doorbell,
    Histogram,
    LayoutError,
    MasterBook,
    Seqlock,
    SeqlockBook,
    SpscRing,
    doorbell,
    memory,
)
from mftcore.segment import Segment, directory_path
from tests.golden import layout
from tests.golden.make import (
    ASKS,
    BIDS,
    FORMS,
    LATENCIES_NS,
    MESSAGES,
    TRADE,
    Form,
    golden_files,
    image,
    trades,
)

F_ADD_SEALS, SEALS = 1033, 1 | 2 | 4
FILES = [
    pytest.param(form, path, id=f"{path.parent.name}-{path.stem}") for form in FORMS for path in golden_files(form)
]
NAMED = [parameters for parameters in FILES if parameters.values[0].structure != "doorbell"]
ADVICE = (
    "the layout of {structure} in shared memory differs from the one that release {release} wrote, under the same "
    "layout version {version}: keep the layout, or raise the version in the header and make its golden file "
    "(python -m tests.golden.make). {differences}"
)


def golden(path: Path) -> bytearray:
    """Return a golden segment, settled on this machine."""
    segment = bytearray(zlib.decompress(path.read_bytes()))
    layout.settle(segment)
    return segment


def put(segment: bytes | bytearray, name: str) -> None:
    """Put a segment into the directory of named memory, as its maker would have left it."""
    directory = Path(directory_path())
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / name
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(segment)


@pytest.fixture
def shm_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "SHM_ROOT", str(tmp_path))
    return tmp_path


def of(structure: str) -> list[Any]:
    return [parameters for parameters in FILES if parameters.values[0].structure == structure]


def test_there_is_a_golden_file_of_every_structure_in_its_present_version() -> None:
    for form in FORMS:
        versions = {layout.Header.from_buffer(golden(path)).layout.version for path in golden_files(form)}
        assert form.version in versions, (
            f"no golden file has version {form.version} of {form.structure}: python -m tests.golden.make writes it"
        )


@pytest.mark.parametrize(("form", "path"), FILES)
def test_a_fresh_segment_agrees_with_the_golden_one_in_every_byte_of_its_layout(
    shm_root: Path, form: Form, path: Path
) -> None:
    old = golden(path)
    header = layout.Header.from_buffer(old)
    assert header.layout.kind == form.kind
    if header.layout.version != form.version:
        pytest.skip(f"version {header.layout.version}: made by an earlier release")
    found = list(layout.differences(old, image(form), form.times))
    assert not found, ADVICE.format(
        structure=form.structure, release=path.parent.name, version=form.version, differences="; ".join(found[:5])
    )


@pytest.mark.parametrize("name", ["dtype", "kind", "roles", "data"])
def test_a_changed_layout_is_found_wherever_it_changes(shm_root: Path, name: str) -> None:
    """The planted bug: head and tail of a ring change places, a role moves, a field of the header is another."""
    form = FORMS[0]
    old = image(form)
    changed = bytearray(old)
    if name == "data":
        line = slice(layout.PAGE, layout.PAGE + 64)
        after = slice(layout.PAGE + 64, layout.PAGE + 128)
        changed[line], changed[after] = old[after], old[line]
        expected = "byte 0 of the data"
    elif name == "roles":
        first = layout.Header.roles.offset
        changed[first : first + 64], changed[first + 64 : first + 128] = bytes(64), old[first : first + 64]
        expected = "role 0"
    else:
        at = getattr(layout.Layout, name).offset
        changed[at] ^= 1
        expected = name
    assert not list(layout.differences(old, image(form), form.times))
    assert expected in "; ".join(layout.differences(old, changed, form.times))


@pytest.mark.parametrize(("form", "path"), NAMED)
def test_a_golden_segment_of_another_version_is_refused_by_a_sentence_that_names_both(
    shm_root: Path, form: Form, path: Path
) -> None:
    segment = golden(path)
    layout.Header.from_buffer(segment).layout.version = form.version + 1
    layout.sign(segment)
    put(segment, "later")
    handle = {
        "ring": SpscRing,
        "byte_ring": ByteRing,
        "seqlock": Seqlock,
        "broadcast": Broadcast,
        "book": SeqlockBook,
        "histogram": Histogram,
    }[form.structure]
    with pytest.raises(LayoutError, match=rf"layout version is {form.version + 1:#x}, expected {form.version:#x}"):
        handle.attach("later")


@pytest.mark.parametrize(("form", "path"), of("ring"))
def test_a_golden_ring_is_read_and_gone_on_with(shm_root: Path, form: Form, path: Path) -> None:
    put(golden(path), "old")
    with SpscRing.attach("old", TRADE) as ring:
        assert (ring.capacity, ring.record_size) == (16, TRADE.itemsize)
        assert tuple(ring.counters()) == (22, 10, 4, 16)
        tx, rx = ring.producer(), ring.consumer()
        assert (tx.epoch, rx.epoch) == (2, 2)
        assert tx.push_many(trades(22, 4)) == 4
        out = np.zeros(16, TRADE)
        assert rx.pop_many(out) == 16
        assert np.array_equal(out, trades(10, 16))
        assert tuple(ring.counters()) == (26, 26, 4, 16)


@pytest.mark.parametrize(("form", "path"), of("byte_ring"))
def test_a_golden_ring_of_messages_is_read_and_gone_on_with(shm_root: Path, form: Form, path: Path) -> None:
    put(golden(path), "old")
    with ByteRing.attach("old") as ring:
        assert ring.counters()[:3] == (4, 1, 0)
        tx, rx = ring.producer(), ring.consumer()
        assert (tx.epoch, rx.epoch) == (2, 2)
        assert tx.push(b"one more")
        assert rx.pop_many(9) == [*MESSAGES, b"one more"]
        assert ring.counters() == (5, 5, 0, 0)


@pytest.mark.parametrize(("form", "path"), of("seqlock"))
def test_a_golden_seqlock_is_read_and_gone_on_with(shm_root: Path, form: Form, path: Path) -> None:
    put(golden(path), "old")
    with Seqlock.attach("old", TRADE) as seqlock, seqlock.reader() as reader:
        value, stamp = reader.read()
        assert (value, stamp.version, stamp.epoch, stamp.writer_alive) == (trades(10, 1).tobytes(), 11, 1, False)
        with seqlock.writer() as writer:
            assert (writer.epoch, writer.write(trades(11, 1))) == (2, 12)
        value, stamp = reader.read()
        assert (value, stamp.version, stamp.epoch) == (trades(11, 1).tobytes(), 12, 2)


@pytest.mark.parametrize(("form", "path"), of("broadcast"))
def test_a_golden_broadcast_is_read_and_gone_on_with(shm_root: Path, form: Form, path: Path) -> None:
    put(golden(path), "old")
    out = np.zeros(16, TRADE)
    with Broadcast.attach("old", TRADE) as broadcast, broadcast.reader(at="oldest") as reader:
        assert (broadcast.capacity, broadcast.written) == (7, 11)
        with broadcast.writer() as writer:
            assert (writer.epoch, writer.write(trades(11, 1))) == (2, 12)
        assert reader.read_into(out[:1])
        assert (reader.number, reader.record_epoch, reader.lost) == (9, 1, 4)  # lapped: it goes on half a round ahead
        assert out[:1] == trades(8, 1)
        assert reader.read_many(out) == 3
        assert np.array_equal(out[:3], trades(9, 3))
        assert reader.record_epoch == 2


@pytest.mark.parametrize(("form", "path"), of("book"))
def test_a_golden_book_is_read_and_gone_on_with(shm_root: Path, form: Form, path: Path) -> None:
    put(golden(path), "old")
    with SeqlockBook.attach("old") as book, book.reader() as reader:
        assert (book.instrument, book.tick_size, book.lot_size, book.levels) == ("BTC-PERPETUAL", 0.5, 0.001, 3)
        stamp = reader.read()
        assert (stamp.version, stamp.epoch, stamp.n_bids, stamp.n_asks) == (1, 1, 2, 1)
        assert (stamp.exchange_time_ns, stamp.receive_ns, stamp.state) == (1_700_000_000_000_000_000, 1_000, 0)
        assert reader.bids[:2].tolist() == [tuple(level) for level in BIDS]
        assert reader.asks[:1].tolist() == [tuple(level) for level in ASKS]
        with book.writer() as writer:
            assert writer.publish(MasterBook(), exchange_time_ns=1, receive_ns=2) == 2
        assert (reader.read().epoch, reader.read().n_bids) == (2, 0)


@pytest.mark.parametrize(("form", "path"), of("histogram"))
def test_a_golden_histogram_is_read_and_gone_on_with(shm_root: Path, form: Form, path: Path) -> None:
    put(golden(path), "old")
    with Histogram.attach("old") as histogram:
        assert (histogram.count, histogram.negative, histogram.max_ns) == (len(LATENCIES_NS) - 1, 1, 1 << 41)
        assert histogram.percentile(50) == 128
        with histogram.recorder() as recorder:
            assert recorder.epoch == 2
            recorder.record(3)
        assert histogram.count == len(LATENCIES_NS)


class _Handed:
    """What `multiprocessing.reduction.DupFd` is at the receiver's end."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def detach(self) -> int:
        return self.fd


@contextlib.contextmanager
def received(segment: bytes | bytearray) -> Iterator[Doorbell]:
    """Give a doorbell as another process receives it: sealed memory and an eventfd."""
    fd = os.memfd_create("golden", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(fd, 0o600)
    os.write(fd, segment)
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    bell = doorbell._receive(
        Segment.attach_fd(Doorbell.KIND, Doorbell.VERSION, "Doorbell", fd), _Handed(os.eventfd(0, os.EFD_CLOEXEC))
    )
    with bell:
        yield bell


@pytest.mark.parametrize(("form", "path"), of("doorbell"))
def test_a_golden_doorbell_wakes_whoever_slept_there(form: Form, path: Path) -> None:
    segment = golden(path)
    with received(segment) as bell:
        assert bell.ring()  # its maker had armed it
        assert bell.disarm()
        assert not bell.ring()
    layout.Header.from_buffer(segment).layout.version = form.version + 1
    layout.sign(segment)
    with (
        pytest.raises(LayoutError, match=rf"layout version is {form.version + 1:#x}, expected {form.version:#x}"),
        received(segment),
    ):
        pass
