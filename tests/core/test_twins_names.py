"""Names and roles beside a dict: create, attach, claim, close, remove, in any order.

A name goes when the handle that made it is closed; nobody else may take it away while its maker lives. Endpoints and
other handles keep the memory.
"""

import os
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mftcore import ClosedError, NameInUse, NoSuchSegment, RoleBusy, RoleTaken, Seqlock

NAMES = [f"twin-{os.getpid()}-{letter}" for letter in "ab"]


class NamesBesideADict(RuleBasedStateMachine):
    """The twin: which memory a name means, who writes each memory, and how many have."""

    handles: Bundle[Any] = Bundle("handles")
    writers: Bundle[Any] = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, int] = {}
        self.epochs: list[int] = []
        self.held: set[int] = set()
        self.makers: dict[str, Any] = {}
        self.closed: set[int] = set()
        self.open: list[Any] = []

    @rule(target=handles, name=st.sampled_from(NAMES))
    def create(self, name: str) -> Any:
        if name in self.named:
            with pytest.raises(NameInUse):
                Seqlock.create(8, name=name)
            return None
        handle = Seqlock.create(8, name=name)
        self.named[name], self.makers[name] = len(self.epochs), handle
        self.epochs.append(0)
        self.open.append(handle)
        return handle, self.named[name]

    @rule(target=handles, name=st.sampled_from(NAMES))
    def attach(self, name: str) -> Any:
        if name not in self.named:
            with pytest.raises(NoSuchSegment):
                Seqlock.attach(name)
            return None
        handle = Seqlock.attach(name)
        self.open.append(handle)
        return handle, self.named[name]

    @rule(target=writers, handle=handles)
    def claim(self, handle: Any) -> Any:
        if handle is None:
            return None
        lock, memory = handle
        if id(lock) in self.closed:
            with pytest.raises(ClosedError):
                lock.writer()
            return None
        if memory in self.held:
            with pytest.raises((RoleTaken, RoleBusy)):
                lock.writer()
            return None
        writer = lock.writer()
        self.epochs[memory] += 1
        self.held.add(memory)
        assert writer.epoch == self.epochs[memory]
        writer.write(self.epochs[memory].to_bytes(8, "little"))
        return writer, memory

    @rule(writer=consumes(writers))
    def close(self, writer: Any) -> None:
        if writer is not None:
            writer[0].close()
            writer[0].close()  # a second time does nothing
            self.held.discard(writer[1])

    @rule(handle=handles)
    def read(self, handle: Any) -> None:
        if handle is not None and id(handle[0]) not in self.closed:
            lock, memory = handle
            with lock.reader() as reader:
                value, stamp = reader.read()
            if self.epochs[memory]:
                assert int.from_bytes(value, "little") == self.epochs[memory] == stamp.epoch
                assert stamp.writer_alive is (memory in self.held)

    @rule(name=st.sampled_from(NAMES))
    def remove_from_under_its_maker(self, name: str) -> None:
        with pytest.raises(RoleTaken if name in self.named else NoSuchSegment):
            Seqlock.remove(name)

    @rule(name=st.sampled_from(NAMES))
    def close_the_maker(self, name: str) -> None:
        if name in self.named:
            maker = self.makers.pop(name)
            maker.close()
            self.closed.add(id(maker))
            del self.named[name]

    @invariant()
    def names_mean_what_they_meant(self) -> None:
        for name in NAMES:
            if name in self.named:
                Seqlock.attach(name).close()
            else:
                with pytest.raises(NoSuchSegment):
                    Seqlock.attach(name)

    def teardown(self) -> None:
        for handle in self.open:
            handle.close()


TestNames = NamesBesideADict.TestCase
TestNames.settings = settings(max_examples=30, stateful_step_count=25)
