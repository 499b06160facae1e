"""What our processes tell of themselves."""

import multiprocessing
import time

from mftcore import Seqlock
from mftpy import records
from mftpy.processes.child import Child
from mftpy.records import Command, State


def test_a_process_that_has_just_become_ready_does_not_look_stalled():
    status, control = Seqlock.create(records.STATUS), Seqlock.create(records.CONTROL)
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs, status, control:
        before_ns = time.monotonic_ns()
        child = Child("strategy", status, control, theirs)
        child.enter(State.READY)
        seen = records.blank(records.STATUS)
        with status.reader() as reader:
            reader.read_into(seen)
    assert seen["state"][0] == State.READY
    assert seen["turn_ns"][0] >= before_ns


def test_a_process_whose_supervisor_is_gone_is_told_to_exit():
    status, control = Seqlock.create(records.STATUS), Seqlock.create(records.CONTROL)
    ours, theirs = multiprocessing.Pipe()
    with theirs, status, control:
        child = Child("strategy", status, control, theirs)
        ours.close()
        assert child.command() == Command.EXIT
        assert child.orphaned
