"""A journal beside a plain list, whatever the order of appends, drains, deaths, rolls, removals and reads."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mftcore import Journal, JournalDrainer, JournalFull, JournalReader, NoSuchSegment
from mftcore.segment import directory_path

KEEP_FILES = 3


class JournalBesideList(RuleBasedStateMachine):
    """The twin is the list of all payloads; a record's number is its place in it, plus one."""

    @initialize()
    def make(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.journal = Journal.create(self.place / "j", memory_bytes=1 << 16, file_bytes=8192, keep_files=KEEP_FILES)
        self.name = self.journal.memory_name
        self.payloads: list[bytes] = []
        self.drained = 0  # records that are surely on disk
        self.writer = self.journal.writer()
        self.drainer: JournalDrainer | None = None
        self.readers: list[tuple[JournalReader, list[int]]] = []

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.drain_all()
            for reader, _ in self.readers:
                self.read(reader, 10_000)
                assert reader.next_sequence == len(self.payloads) + 1
                reader.close()
            self.writer.close()
            if self.drainer is not None:
                self.drainer.close()
            self.journal.close()
            assert not Path(
                directory_path(), self.name
            ).exists()  # all is on disk, nobody is there: so it was taken away
            shutil.rmtree(self.place)

    @rule(lengths=st.lists(st.integers(0, 900), max_size=20))
    def append(self, lengths: list[int]) -> None:
        for length in lengths:
            payload = (b"%d " % len(self.payloads)) * (length // 2 + 1)
            payload = payload[:length]
            try:
                number = self.writer.append(length, payload, -length)
            except JournalFull:
                assert self.writer.undrained_bytes + length + 32 > (1 << 16) - 8
                return
            self.payloads.append(payload)
            assert number == len(self.payloads) == self.writer.sequence

    @rule()
    def drain_once(self) -> None:
        if self.drainer is None:
            self.drainer = self.journal.drainer()
        left = self.writer.undrained_bytes
        assert self.drainer.drain() == left - self.writer.undrained_bytes
        if not self.writer.undrained_bytes:
            self.drained = len(self.payloads)

    @rule()
    def drain_all(self) -> None:
        self.drain_once()
        while self.writer.undrained_bytes:
            self.drain_once()
        assert self.writer.flush(0)

    @rule()
    def another_drainer(self) -> None:
        if self.drainer is not None:
            self.drainer.close()
            self.drainer = None

    @rule()
    def another_writer(self) -> None:
        self.writer.close()
        self.writer = self.journal.writer()
        assert self.writer.sequence == len(self.payloads)

    @rule()
    def the_machine_is_started_anew(self) -> None:
        """Memory is gone; what was on disk is there, and perhaps more."""
        self.writer.close()
        if self.drainer is not None:
            self.drainer.close()
            self.drainer = None
        for reader, _ in self.readers:
            reader.close()
        self.readers = []
        Path(directory_path(), self.name).unlink(missing_ok=True)
        self.writer = self.journal.writer()
        assert self.drained <= self.writer.sequence <= len(self.payloads)
        assert self.writer.recovered_bytes == 0
        del self.payloads[self.writer.sequence :]

    @rule(place=st.sampled_from(["oldest", "newest", "middle"]))
    def join(self, place: str) -> None:
        if len(self.readers) == 4:
            self.readers.pop(0)[0].close()
        if place == "middle":
            number = len(self.payloads) // 2 + 1
            reader = self.journal.reader(sequence=number)
            assert reader.next_sequence - reader.lost == number
        else:
            reader = self.journal.reader(at="oldest" if place == "oldest" else "newest")
            assert place == "oldest" or reader.next_sequence == len(self.payloads) + 1
        self.readers.append((reader, [reader.next_sequence, reader.lost]))

    @rule(who=st.integers(0, 3), most=st.integers(1, 60))
    def read_some(self, who: int, most: int) -> None:
        if self.readers:
            reader, _ = self.readers[who % len(self.readers)]
            self.read(reader, most)

    def read(self, reader: JournalReader, most: int) -> None:
        before, lost = reader.next_sequence, reader.lost
        records = reader.read_many(most)
        for record in records:
            payload = self.payloads[record.sequence - 1]
            assert (record.payload, record.type, record.stamp_ns) == (payload, len(payload), -len(payload))
        numbers = [record.sequence for record in records]
        assert numbers == sorted(set(numbers))
        assert reader.next_sequence - before == len(records) + reader.lost - lost
        if len(records) < most:
            assert reader.next_sequence == len(self.payloads) + 1

    @rule()
    def files_are_bounded(self) -> None:
        assert len(list((self.place / "j").glob("*.mftj"))) <= KEEP_FILES

    @rule()
    def there_is_no_memory_without_need(self) -> None:
        if self.drainer is None and not Path(directory_path(), self.name).exists():
            try:
                self.journal.drainer()
            except NoSuchSegment:
                return
            raise AssertionError


TestJournalBesideList = JournalBesideList.TestCase
TestJournalBesideList.settings = settings(max_examples=40, stateful_step_count=30)
