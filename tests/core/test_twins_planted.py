"""Each twin beside a structure with a planted bug, which must be found: a machine that agrees with all proves nothing.

An endpoint is replaced by one of which a single call errs, now and then or always; the bug is what the test's name
says. Examples are drawn in the same order each time, so that a run says the same as the last.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

import mftcore
from tests.core import test_twins_names
from tests.core.test_broadcast import BroadcastBesideList
from tests.core.test_byte_ring import ByteRingBesideDeque
from tests.core.test_ring import RingBesideDeque
from tests.core.test_twins_book import BookBesideTwoDicts
from tests.core.test_twins_orders import OrdersBesideDicts
from tests.core.test_twins_values import DoorbellBesideTwoFlags, HistogramBesideAList, SeqlockBesideItsLastValue

DRAWN = settings(
    max_examples=200, stateful_step_count=30, phases=[Phase.generate], derandomize=True, database=None, deadline=None
)


class Astray:
    """An endpoint of which one call is `wrong`, a function of the real endpoint and the call's arguments."""

    def __init__(self, real: Any, call: str, wrong: Callable[..., Any]) -> None:
        self._real, self._call, self._wrong = real, call, wrong

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            return lambda *args, **named: self._wrong(self._real, *args, **named)
        return getattr(self._real, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


def with_bug(machine: type[RuleBasedStateMachine], at: str, call: str, wrong: Callable[..., Any]) -> Any:
    """The machine with the endpoint in its attribute `at` gone astray, successors too."""

    class WithBug(machine):  # type: ignore[misc, valid-type]
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, Astray(value, call, wrong) if name == at else value)

    return WithBug


def last_twice(ring: Any, out: Any) -> int:
    taken = ring.pop_many(out)
    if taken > 1:
        out[taken - 1] = out[taken - 2]
    return int(taken)


def published_all_the_same(tx: Any, length: int) -> Any:
    @contextlib.contextmanager
    def lent() -> Iterator[Any]:
        with tx.claim(length) as claim:
            try:
                yield claim
            except ZeroDivisionError:
                failed = True
            else:
                failed = False
        if failed:
            raise ZeroDivisionError

    return lent()


def never_told(broadcast: Any, **named: Any) -> Any:
    return Untold(broadcast.reader(**named))


class Untold:
    """A reader that says never to have lost anything."""

    lost = 0

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def first_byte_old(writer: Any, value: bytes) -> int:
    return int(writer.write(b"\0" + value[1:]))


def a_hundredth_more(recorder: Any, ns: int) -> None:
    recorder.record(ns + ns // 100)


def at_most_ten(recorder: Any, values: Any) -> None:
    recorder.record_many(values[:10])


def removal_forgotten(master: Any, bids: Any, asks: Any) -> None:
    master.apply(bids, asks[asks[:, 1] > 0])


def half_a_message(master: Any, bids: Any, asks: Any) -> None:
    master.apply(bids, np.zeros((0, 3), np.int64))
    master.apply(np.zeros((0, 3), np.int64), asks)


def always_fresh(writer: Any, master: Any, **named: Any) -> int:
    return int(writer.publish(master, **(named | {"state": 0})))


def the_real_master(writer: Any, master: Any, **named: Any) -> int:
    return int(writer.publish(getattr(master, "_real", master), **named))


def settled_by_any_notice(orders: Any, number: int, order_id: str, open_: bool, *rest: Any, **named: Any) -> Any:
    told = orders.on_order(number, order_id, open_, *rest, **named)
    if told is not None and told.state.name == "AMENDING":
        orders.on_amended(told.client_order_id, rest[1], rest[2], rest[4])
    return told


def one_list_is_enough(orders: Any, number: int, asked_ns: int, now_ns: int) -> bool:
    gone = [orders.on_not_open(number, asked_ns + i, now_ns) for i in range(3)]
    return any(gone)


BookOfAnyMaster = with_bug(BookBesideTwoDicts, "writer", "publish", the_real_master)  # C takes only a real one

BUGS: dict[str, tuple[type[RuleBasedStateMachine], str, str, Callable[..., Any]]] = {
    "ring: a full ring takes it all the same": (RingBesideDeque, "tx", "push", lambda tx, record: tx.push(record) or 1),
    "ring: the last of a batch is lost": (
        RingBesideDeque,
        "tx",
        "push_many",
        lambda tx, values: tx.push_many(values[1:]),
    ),
    "ring: a record comes twice": (RingBesideDeque, "rx", "pop_many", last_twice),
    "byte ring: a byte is cut off": (ByteRingBesideDeque, "tx", "push", lambda tx, message: tx.push(message[1:])),
    "byte ring: one too many at once": (ByteRingBesideDeque, "rx", "pop_many", lambda rx, most: rx.pop_many(most + 1)),
    "byte ring: a claim that failed is published": (ByteRingBesideDeque, "tx", "claim", published_all_the_same),
    "broadcast: numbers from nought": (
        BroadcastBesideList,
        "writer",
        "write_many",
        lambda writer, values: writer.write_many(values) - 1,
    ),
    "broadcast: one record is dropped": (
        BroadcastBesideList,
        "writer",
        "write_many",
        lambda writer, values: writer.write_many(values[:-1]) + (len(values) > 0),
    ),
    "broadcast: a lapped reader is not told": (BroadcastBesideList, "broadcast", "reader", never_told),
    "seqlock: a byte of the value before": (SeqlockBesideItsLastValue, "writer", "write", first_byte_old),
    "seqlock: another length is cut": (
        SeqlockBesideItsLastValue,
        "writer",
        "write",
        lambda writer, value: writer.write(bytes(value)[:13].ljust(13)),
    ),
    "histogram: one per cent too high": (HistogramBesideAList, "recorder", "record", a_hundredth_more),
    "histogram: a long batch is cut": (HistogramBesideAList, "recorder", "record_many", at_most_ten),
    "doorbell: says that it woke whom it did not": (
        DoorbellBesideTwoFlags,
        "bell",
        "ring",
        lambda bell: bell.ring() or True,
    ),
    "doorbell: the ring is not heard": (DoorbellBesideTwoFlags, "bell", "disarm", lambda bell: bell.disarm() and False),
    "book: a removed level stays": (BookOfAnyMaster, "master", "apply", removal_forgotten),
    "book: half of a refused message is kept": (BookOfAnyMaster, "master", "apply", half_a_message),
    "orders: a leg is left out of the key": (
        OrdersBesideDicts,
        "orders",
        "on_fill",
        lambda orders, number, order_id, trade, leg, lots: orders.on_fill(number, order_id, trade, 0, lots),
    ),
    "orders: a notice settles an amend": (OrdersBesideDicts, "orders", "on_order", settled_by_any_notice),
    "orders: an old list counts as a new one": (
        OrdersBesideDicts,
        "orders",
        "on_order",
        lambda orders, *told, asked_ns: orders.on_order(*told, asked_ns=asked_ns and told[-1] + 1),
    ),
    "orders: one list is enough": (OrdersBesideDicts, "orders", "on_not_open", one_list_is_enough),
    "orders: not found means that it rests": (
        OrdersBesideDicts,
        "orders",
        "on_cancel_refused",
        lambda orders, number, now_ns, gone: orders.on_cancel_refused(number, now_ns, gone=False),
    ),
    "book: published as fresh when it is not": (BookBesideTwoDicts, "writer", "publish", always_fresh),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    machine, at, call, wrong = BUGS[bug]
    with pytest.raises(AssertionError):
        run_state_machine_as_test(with_bug(machine, at, call, wrong), settings=DRAWN)


@pytest.mark.parametrize("machine", dict.fromkeys(bug[0] for bug in BUGS.values()))
def test_without_a_bug_the_same_machine_agrees(machine: type[RuleBasedStateMachine]) -> None:
    """What is found above is the bug, and not the wrapping."""
    at, call = next((at, call) for other, at, call, _ in BUGS.values() if other is machine)
    honest = with_bug(machine, at, call, lambda real, *args, **named: getattr(real, call)(*args, **named))
    run_state_machine_as_test(honest, settings=settings(DRAWN, max_examples=10))


def take_over(record: Any, **named: Any) -> Any:
    """A name that is in use is taken over as if it were free."""
    try:
        return mftcore.Seqlock.create(record, **named)
    except mftcore.NameInUse:
        return mftcore.Seqlock.attach(named["name"])


def test_a_name_that_is_taken_over_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        test_twins_names,
        "Seqlock",
        SimpleNamespace(create=take_over, attach=mftcore.Seqlock.attach, remove=mftcore.Seqlock.remove),
    )
    with pytest.raises(pytest.fail.Exception):
        run_state_machine_as_test(test_twins_names.NamesBesideADict, settings=DRAWN)
