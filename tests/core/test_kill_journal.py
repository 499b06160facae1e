"""`Journal` under Python processes that append and drain and are killed at random instants."""

from pathlib import Path
from typing import Any

from mftcore import Journal, JournalFull, JournalReader, remove_dead
from tests.core.test_kill_records import Victims, kills, report, victims
from tests.core.test_kill_streams import fault_of, message

__all__ = ["victims"]

SIGNS, APPENDED = range(2)  # words of `said`
AFTER = 3  # records of each successor


def write(said: Any, path: str, _seed: int) -> None:
    """Append as fast as it goes, and say after each call that its record is there."""
    with Journal.open(path) as journal:
        writer = journal.writer(drain=True)
        number = writer.sequence
        said[APPENDED] = number
        said[SIGNS] += 1
        while True:
            try:
                number = writer.append(writer.epoch, message(number + 1, writer.epoch))
            except JournalFull:
                writer.flush()
            said[APPENDED] = number


class Follower:
    """A reader that reads all the time, and notes the first fault."""

    def __init__(self, reader: JournalReader) -> None:
        self.reader, self.number, self.fault = reader, 0, ""

    def __call__(self) -> None:
        for record in self.reader:
            self.number += 1
            if record.sequence != self.number:
                self.fault = self.fault or f"number {record.sequence} in place of {self.number}"
            # the type says who wrote it
            self.fault = self.fault or fault_of(record.payload, record.sequence, record.type, record.type)
            if self.fault:
                return


def test_what_killed_writers_appended_is_there_once_whole_and_in_order(tmp_path: Path, victims: Victims) -> None:
    method, total, done = victims.context.get_start_method(), kills(victims.context.get_start_method()), 0
    path = str(tmp_path / "j")
    with Journal.create(path, memory_bytes=1 << 16, file_bytes=1 << 16) as journal:
        follower = Follower(journal.reader())
        for turn in range(total):
            signs, start = victims.said[SIGNS], follower.number
            victims.said[APPENDED] = start
            child = victims.start(write, path, turn)
            victims.kill_at_random(child, follower, signs)
            follower()
            assert follower.fault == ""
            # what append returned is there; at most the one that it was killed in was committed as well
            assert victims.said[APPENDED] <= follower.number <= victims.said[APPENDED] + 1
            done += follower.number > start
            with journal.writer(drain=True) as writer:  # a successor while the dead one is still a zombie
                assert writer.sequence == follower.number
                writer.flush()  # the dead one may have left no room
                for _ in range(AFTER):
                    last = writer.append(writer.epoch, message(writer.sequence + 1, writer.epoch))
            follower()
            assert (follower.fault, follower.number) == ("", last)
            child.join()
        assert done > 0
        assert not any(journal.memory_name == removal.name for removal in remove_dead(dry_run=True))
    with Journal.open(path) as journal:  # all of it from the files alone
        again = Follower(journal.reader())
        again()
        assert (again.fault, again.number, again.reader.torn) == ("", follower.number, False)
    report("Python: journal, writer and drainer", method, done, total, handed_over=follower.number)
