"""The golden journal: what a release left on disk and in memory when its processes were killed is gone on with."""

import zlib
from pathlib import Path

import pytest

from mftcore import Journal, JournalDamaged, LayoutError, memory
from mftcore.segment import directory_path
from tests.golden import layout
from tests.golden.make import HERE, ON_DISK, RECORDS, journal_images

RELEASES = sorted(path.parent for path in HERE.glob("*/journal_file.z"))
VERSION_OF_FILES = slice(8, 12)
# of a file's first page: the journal's id, boot id, the two clocks and the checksum over them
OF_THE_MOMENT_IN_A_FILE = (slice(16, 32), slice(80, 112), slice(116, 120))
ADVICE = (
    "the format of a journal's {what} differs from the one that release {release} wrote, under the same version: keep "
    "it, or raise the version in the header and make its golden files (python -m tests.golden.make); first at byte {at}"
)
each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)


@pytest.fixture
def shm_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shm"
    root.mkdir()
    monkeypatch.setattr(memory, "SHM_ROOT", str(root))
    return root


def file_of(release: Path) -> bytearray:
    return bytearray(zlib.decompress((release / "journal_file.z").read_bytes()))


def memory_of(release: Path) -> bytearray:
    segment = bytearray(zlib.decompress((release / "journal_memory.z").read_bytes()))
    layout.settle(segment)
    return segment


def put_file(path: Path, content: bytes) -> Path:
    path.mkdir()
    (path / "000001.mftj").write_bytes(content)
    return path


def put_memory(journal: Journal, segment: bytes) -> Path:
    directory = Path(directory_path())
    directory.mkdir(mode=0o700, exist_ok=True)
    place = directory / journal.memory_name
    place.touch(mode=0o600)
    place.chmod(0o600)
    place.write_bytes(segment)
    return place


def first_difference(old: bytes, new: bytes) -> int | None:
    if len(old) != len(new):
        return min(len(old), len(new))
    return next((at for at in range(0, len(old), 8) if old[at : at + 8] != new[at : at + 8]), None)


def test_there_is_a_golden_journal() -> None:
    assert RELEASES


@each_release
def test_golden_files_alone_are_read_and_gone_on_with(shm_root: Path, tmp_path: Path, release: Path) -> None:
    with Journal.open(put_file(tmp_path / "j", file_of(release))) as journal:
        assert (journal.meta, journal.memory_bytes, journal.file_bytes, journal.keep_files) == (
            "golden",
            1 << 16,
            8192,
            2,
        )
        with journal.reader() as reader:
            found = [(r.sequence, r.type, r.payload, r.stamp_ns) for r in reader]
            assert found == [(n + 1, *RECORDS[n], n * 1000) for n in range(ON_DISK)]
            with journal.writer(drain=True) as writer:
                assert writer.append(9, b"one more") == ON_DISK + 1
            assert [record.payload for record in reader] == [b"one more"]


@each_release
def test_golden_memory_gives_what_was_not_on_disk(shm_root: Path, tmp_path: Path, release: Path) -> None:
    with Journal.open(put_file(tmp_path / "j", file_of(release))) as journal:
        place = put_memory(journal, memory_of(release))
        with journal.reader() as reader:
            found = [(r.sequence, r.type, r.payload, r.stamp_ns) for r in reader]
            assert found == [(n + 1, *record, n * 1000) for n, record in enumerate(RECORDS)]
        with journal.writer(drain=True) as writer:
            assert (writer.epoch, writer.sequence) == (2, len(RECORDS))
            assert writer.append(9, b"one more") == len(RECORDS) + 1
        assert not place.exists()
        with journal.reader(sequence=ON_DISK + 1) as reader:
            assert [record.payload for record in reader] == [*(p for _, p in RECORDS[ON_DISK:]), b"one more"]


@each_release
def test_a_fresh_journal_agrees_with_the_golden_one_in_every_byte_of_its_formats(shm_root: Path, release: Path) -> None:
    old_file, old_memory = file_of(release), memory_of(release)
    new_file, new_memory = map(bytearray, journal_images())
    if old_file[VERSION_OF_FILES] == new_file[VERSION_OF_FILES]:
        for content in (old_file, new_file):
            for part in OF_THE_MOMENT_IN_A_FILE:
                content[part] = bytes(part.stop - part.start)
        at = first_difference(old_file, new_file)
        assert at is None, ADVICE.format(what="files", release=release.name, at=at)
    headers = [layout.Header.from_buffer(segment).layout for segment in (old_memory, new_memory)]
    if headers[0].version == headers[1].version:
        for header in headers:
            header.params[1] = header.params[2] = 0  # the journal's id
        found = list(layout.differences(old_memory, new_memory, ()))
        assert not found, ADVICE.format(what="memory", release=release.name, at="; ".join(found[:5]))


def test_a_changed_format_is_found(shm_root: Path) -> None:
    """The planted bug: type and stamp of a record change places; tail and wip do."""
    content, segment = journal_images()
    changed = bytearray(content)
    changed[4096 + 16 : 4096 + 24], changed[4096 + 24 : 4096 + 32] = content[4120:4128], content[4112:4120]
    assert first_difference(content, changed) in (4112, 4120)
    moved = bytearray(segment)
    assert segment[layout.PAGE : layout.PAGE + 8] != segment[layout.PAGE + 64 : layout.PAGE + 72]
    moved[layout.PAGE : layout.PAGE + 8] = segment[layout.PAGE + 64 : layout.PAGE + 72]
    assert any("byte 0 of the data" in place for place in layout.differences(segment, moved, ()))


@each_release
def test_a_golden_journal_of_another_version_is_refused_by_a_sentence_that_names_both(
    shm_root: Path, tmp_path: Path, release: Path
) -> None:
    content, segment = file_of(release), memory_of(release)
    header = layout.Header.from_buffer(segment)
    later = header.layout.version = header.layout.version + 1
    layout.sign(segment)
    with Journal.open(put_file(tmp_path / "j", content)) as journal:
        put_memory(journal, segment)
        with pytest.raises(LayoutError, match=rf"layout version is {later:#x}, expected {later - 1:#x}"):
            journal.writer()
        with pytest.raises(LayoutError, match="layout version"):
            journal.reader()
    content[8] += 1
    with pytest.raises(JournalDamaged, match=rf"version.* is {content[8]:#x}, expected {content[8] - 1:#x}"):
        Journal.open(put_file(tmp_path / "later", content))
