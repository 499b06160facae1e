"""The calls for compiled code, one by one, through the very function pointers that Cython modules of users look up."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mftcore.port
from mftcore import (
    Broadcast,
    ByteRing,
    ClosedError,
    Histogram,
    LayoutError,
    MasterBook,
    MftError,
    RecordError,
    RoleBusy,
    Seqlock,
    SeqlockBook,
    SpscRing,
    Unstable,
)
from tests.core.children import child
from tests.golden.make import HERE, exported_calls

CORRUPT, ARGUMENT, UNUSABLE, UNSTABLE, SMALL, WRONG_END, RETIRED = -2, -8, -12, -13, -14, -15, -11
ABI = 1

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def _function(name: str, kind: Any, *types: Any) -> Any:
    capsule = mftcore.port.__pyx_capi__[name]
    return kind(*types)(_pointer(capsule, exported_calls()[name].encode()))


def _call(name: str, *types: Any) -> Any:
    return _function(name, ctypes.CFUNCTYPE, ctypes.c_int64, *types)


_PORT, _WORD, _MEMORY = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
port_for = _function("port_for", ctypes.PYFUNCTYPE, ctypes.c_void_p, ctypes.py_object, ctypes.c_int)
port_error = _function("port_error", ctypes.PYFUNCTYPE, ctypes.c_int, ctypes.c_int64)
push, pop = _call("port_push", _PORT, _MEMORY), _call("port_pop", _PORT, _MEMORY)
push_many, pop_many = _call("port_push_many", _PORT, _MEMORY, _WORD), _call("port_pop_many", _PORT, _MEMORY, _WORD)
push_bytes = _call("port_push_bytes", _PORT, _MEMORY, _WORD)
pop_bytes = _call("port_pop_bytes", _PORT, _MEMORY, _WORD, ctypes.POINTER(_WORD))
write, write_many = _call("port_write", _PORT, _MEMORY), _call("port_write_many", _PORT, _MEMORY, _WORD)
read = _call("port_read", _PORT, _MEMORY, ctypes.POINTER(_WORD))
read_book = _call("port_read_book", _PORT, _WORD, ctypes.POINTER(_WORD))
next_ = _call("port_next", _PORT, _MEMORY, ctypes.POINTER(_WORD))
record = _call("port_record", _PORT, _WORD)
now_ns = _call("port_now_ns")


def port_of(endpoint: Any) -> Any:
    return port_for(endpoint, ABI)


def test_what_a_release_exported_is_there_with_the_same_arguments_or_the_number_has_gone_up() -> None:
    exported = exported_calls()
    for path in HERE.glob("*/port.txt"):
        abi, *lines = path.read_text(encoding="utf-8").splitlines()
        if int(abi) != ABI:
            continue
        for line in lines:
            name, _, signature = line.partition(" ")
            assert exported.get(name) == signature, (
                f"modules built against {path.parent.name} need {name} {signature}: keep it, or raise MFT_ABI"
            )


def test_records_messages_values_and_latencies_go_through_and_are_pythons() -> None:
    out, word, found = ctypes.create_string_buffer(64), _WORD(), (_WORD * 4)()
    with SpscRing.create(8, 4) as ring, ring.producer() as tx, ring.consumer() as rx:
        producer, consumer = port_of(tx), port_of(rx)
        assert push(producer, b"12345678") == 1
        assert push_many(producer, b"abcdefgh" * 5, 5) == 3
        assert push(producer, b"12345678") == 0
        assert rx.pop() == b"12345678"
        assert pop(consumer, out) == 1
        assert out.raw[:8] == b"abcdefgh"
        assert pop_many(consumer, out, 8) == 2
        assert pop(consumer, out) == 0
        assert push_many(producer, out, -1) == pop_many(consumer, out, -1) == ARGUMENT
    with ByteRing.create(100) as messages, messages.producer() as tx, messages.consumer() as rx:
        producer, consumer = port_of(tx), port_of(rx)
        assert pop_bytes(consumer, out, 64, word) == 0
        assert push_bytes(producer, b"hello", 5) == 1
        assert push_bytes(producer, b"", 0) == 1
        assert push_bytes(producer, b"", -1) == push_bytes(producer, b"", messages.capacity + 1) == ARGUMENT
        assert (pop_bytes(consumer, out, 4, word), word.value) == (SMALL, 5)
        assert pop_bytes(consumer, out, -1, word) == ARGUMENT
        assert (pop_bytes(consumer, out, 5, word), word.value, out.raw[:5]) == (1, 5, b"hello")
        assert rx.pop() == b""
    with Seqlock.create(8) as seqlock, seqlock.writer() as writer, seqlock.reader() as reader:
        assert (read(port_of(reader), out, word), word.value) == (0, -1)
        assert write(port_of(writer), b"12345678") == 1
        assert read(port_of(reader), out, word) == 1
        assert (out.raw[:8], word.value >= 0) == (b"12345678", True)
    with Broadcast.create(8, 7) as broadcast, broadcast.writer() as writer, broadcast.reader() as reader:
        assert (next_(port_of(reader), out, word), word.value) == (0, 0)
        assert write(port_of(writer), b"12345678") == 1
        assert write_many(port_of(writer), b"abcdefgh" * 2, 2) == 3
        assert write_many(port_of(writer), b"", -1) == ARGUMENT
        assert (next_(port_of(reader), out, word), word.value, out.raw[:8]) == (1, 0, b"12345678")
        assert (reader.number, reader.read(), reader.number) == (1, b"abcdefgh", 2)
    master = MasterBook()
    master.snapshot(np.array([[9, 1, 1]]), np.array([[11, 2, 2], [12, 3, 3]]))
    with SeqlockBook.create("X", 1.0, 1.0, levels=2) as book, book.writer() as publisher, book.reader() as reader:
        publisher.publish(master, exchange_time_ns=0, receive_ns=now_ns())
        assert (read_book(port_of(reader), -1, found), *found[1:]) == (1, 0, 1, 2)
        assert reader.asks["price_ticks"].tolist() == [11, 12]
        with pytest.raises(TypeError, match="cannot be used from compiled code"):
            port_of(publisher)
    with Histogram.create() as histogram, histogram.recorder() as recorder:
        assert record(port_of(recorder), 5) == 0
        assert histogram.count == 1


def test_a_call_of_another_end_and_an_endpoint_that_cannot_be_used_are_codes() -> None:
    out, word, found = ctypes.create_string_buffer(64), _WORD(), (_WORD * 4)()
    with (
        SpscRing.create(8, 4) as ring,
        ByteRing.create(100) as messages,
        Seqlock.create(8) as seqlock,
        Broadcast.create(8, 7) as broadcast,
        SeqlockBook.create("X", 1.0, 1.0, levels=2) as book,
        Histogram.create() as histogram,
    ):
        ends = [
            ring.producer(),
            ring.consumer(),
            messages.producer(),
            messages.consumer(),
            seqlock.writer(),
            seqlock.reader(),
            broadcast.writer(),
            broadcast.reader(),
            book.reader(),
            histogram.recorder(),
        ]
        calls = [
            (lambda p: push(p, out), {0}),
            (lambda p: push_many(p, out, 1), {0}),
            (lambda p: pop(p, out), {1}),
            (lambda p: pop_many(p, out, 1), {1}),
            (lambda p: push_bytes(p, out, 1), {2}),
            (lambda p: pop_bytes(p, out, 64, word), {3}),
            (lambda p: write(p, out), {4, 6}),
            (lambda p: write_many(p, out, 1), {6}),
            (lambda p: read(p, out, word), {5}),
            (lambda p: next_(p, out, word), {7}),
            (lambda p: read_book(p, 1, found), {8}),
            (lambda p: record(p, 1), {9}),
        ]
        ports = [port_of(end) for end in ends]
        for call, right in calls:
            for i, port in enumerate(ports):
                assert (call(port) == WRONG_END) == (i not in right)
        with ends[0].claim(1):
            assert push(ports[0], out) == UNUSABLE
        for i, end in enumerate(ends):
            end.close()
            for call, right in calls:
                assert call(ports[i]) == (UNUSABLE if i in right else WRONG_END)
            with pytest.raises(ClosedError):
                port_of(end)


def _push_in_the_child(port: int) -> None:
    assert push(port, b"12345678") == UNUSABLE


def test_in_a_forked_child_a_port_of_the_parent_is_a_code() -> None:
    with SpscRing.create(8, 4) as ring, ring.producer() as tx:
        port = port_of(tx)
        with child(_push_in_the_child, port) as process:
            process.join()
            assert process.exitcode == 0
        assert ring.counters().pushed == 0


def test_damage_is_a_code_and_every_code_has_its_exception() -> None:
    with SpscRing.create(8, 4) as ring, ring.consumer() as rx:
        port = port_of(rx)
        with Path(f"/proc/self/fd/{ring.fileno()}").open("r+b", buffering=0) as file:
            file.seek(4096)
            file.write((99).to_bytes(8, "little"))
        assert pop(port, ctypes.create_string_buffer(8)) == CORRUPT
    assert port_error(0) == port_error(7) == 0
    for code, error in {
        CORRUPT: LayoutError,
        ARGUMENT: RecordError,
        UNUSABLE: ClosedError,
        UNSTABLE: Unstable,
        SMALL: RecordError,
        WRONG_END: TypeError,
        RETIRED: LayoutError,
        -99: MftError,
    }.items():
        with pytest.raises(error, match=r"\w"):
            port_error(code)


def test_a_module_of_another_interface_and_what_is_no_endpoint_are_refused() -> None:
    with SpscRing.create(8, 4) as ring, ring.producer() as tx:
        with pytest.raises(LayoutError, match=r"for binary interface 2 of mftcore, and this version has 1: build"):
            port_for(tx, 2)
        for wrong in (ring, None, 7):
            with pytest.raises(TypeError, match="compiled code takes"):
                port_of(wrong)
        with tx.claim(1), pytest.raises(RoleBusy):
            port_of(tx)
