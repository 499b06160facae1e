"""What every structure owes its user's machine: nothing is left behind, whichever way an object ends."""

import gc
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mftcore import (
    Broadcast,
    ByteRing,
    ClosedError,
    Doorbell,
    Histogram,
    KernelError,
    LayoutError,
    MemoryRefused,
    MftError,
    RecordError,
    Seqlock,
    SeqlockBook,
    SpscRing,
    memory,
)

UNALIGNED = np.dtype([("flag", "u1"), ("price", "<f8"), ("name", "S3")])
Ends = list[Callable[[], Any]]
KINDS: dict[str, tuple[Callable[..., Any], Callable[[Any], Ends]]] = {
    "SpscRing": (lambda **k: SpscRing.create(UNALIGNED, 64, **k), lambda h: [h.producer, h.consumer]),
    "Broadcast": (lambda **k: Broadcast.create(UNALIGNED, 9, **k), lambda h: [h.writer, h.reader]),
    "ByteRing": (lambda **k: ByteRing.create(100, **k), lambda h: [h.producer, h.consumer]),
    "Seqlock": (lambda **k: Seqlock.create(UNALIGNED, **k), lambda h: [h.writer, h.reader]),
    "SeqlockBook": (lambda **k: SeqlockBook.create("X", 0.1, 0.1, levels=3, **k), lambda h: [h.writer, h.reader]),
    "Histogram": (lambda **k: Histogram.create(**k), lambda h: [h.recorder]),
    "Doorbell": (lambda **k: Doorbell.create(**k), lambda h: []),
}
EACH = [60, pytest.param(360, marks=pytest.mark.long)]
"""Creations of each of seven kinds in each of four ways: 1,700 in all; 10,000 in the long run."""

every_kind = pytest.mark.parametrize(("create", "ends"), KINDS.values(), ids=KINDS.keys())


def anonymous_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1])
    raise AssertionError("the kernel does not tell RssAnon")


def mappings() -> int:
    return sum("mftcore" in line for line in Path("/proc/self/maps").read_text().splitlines())


@every_kind
@pytest.mark.parametrize("each", EACH)
@pytest.mark.parametrize("way", ["closed in order", "endpoints last", "dropped", "in a cycle"])
def test_creations_and_closings_leak_nothing(
    create: Callable[..., Any],
    ends: Callable[[Any], Ends],
    way: str,
    each: int,
    open_descriptors: Callable[[], list[str]],
) -> None:
    def once() -> None:
        handle = create()
        open_ends = [make() for make in ends(handle)]
        if way == "closed in order":
            for end in open_ends:
                end.close()
            handle.close()
        elif way == "endpoints last":
            handle.close()
            for end in open_ends:
                end.close()
        elif way == "in a cycle":
            cycle: list[Any] = [handle, *open_ends]
            cycle.append(cycle)

    for _ in range(each // 3):
        once()
    before = open_descriptors(), mappings()
    grown = []
    for _ in range(4):
        start = anonymous_kib()
        for _ in range(each // 4):
            once()
        gc.collect()
        grown.append(anonymous_kib() - start)
    assert (open_descriptors(), mappings()) == before
    assert min(grown) <= 0  # the allocator takes more once in a while, a leak takes more each time


@every_kind
def test_the_interpreter_ends_with_live_handles_endpoints_and_cycles(
    create: Callable[..., Any], ends: Callable[[Any], Ends], request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.id
    program = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
        from tests.core.test_lifetime import KINDS
        create, ends = KINDS[{kind!r}]
        handle = create()
        kept = [handle, *(make() for make in ends(handle))]
        kept.append(kept)
        sys.modules[__name__].kept = kept

        class Last:
            def __del__(self):
                self.handle.close()
        last = Last()
        last.handle, last.me = handle, last
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@every_kind
def test_no_descriptors_left_is_an_error_of_ours_and_leaves_nothing_half_made(
    create: Callable[..., Any], ends: Callable[[Any], Ends], open_descriptors: Callable[[], list[str]]
) -> None:
    import resource

    before = open_descriptors()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    refused = 0
    try:
        for spare in range(4):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + spare, limits[1]))
            taken = []
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                for fd in taken[len(taken) - spare :]:
                    os.close(fd)
                del taken[len(taken) - spare :]
            try:
                create().close()
            except KernelError as error:
                refused += error.errno != 0
            for fd in taken:
                os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert refused > 0
    assert open_descriptors() == before


@every_kind
def test_no_memory_left_is_said_before_anything_is_made(
    create: Callable[..., Any],
    ends: Callable[[Any], Ends],
    monkeypatch: pytest.MonkeyPatch,
    open_descriptors: Callable[[], list[str]],
) -> None:
    before = open_descriptors()
    monkeypatch.setattr(memory, "available", lambda: memory.Available(100, "this test"))
    with pytest.raises(MemoryRefused, match="this test leaves 100"):
        create()
    assert open_descriptors() == before


@every_kind
def test_what_is_sent_as_another_kind_is_refused(create: Callable[..., Any], ends: Callable[[Any], Ends]) -> None:
    with create() as handle, SpscRing.create(8, 8) as ring:
        other = Seqlock if isinstance(handle, SpscRing) else SpscRing
        if not isinstance(handle, Doorbell):
            with pytest.raises(LayoutError, match="kind is"):
                other.attach_fd(os.dup(handle.fileno()))
            copy = type(handle).attach_fd(os.dup(handle.fileno()))
            assert "closed" not in repr(copy)
            copy.close()
            assert "closed" in repr(copy)
            receive, arguments = type(handle).attach_fd(os.dup(handle.fileno())).__reduce__()
            with pytest.raises(LayoutError, match="is none"):
                receive(other, arguments[1])
        for end in (*(make() for make in ends(handle)), ring.producer()):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(end)
    with pytest.raises(ClosedError):
        pickle.dumps(handle)


@every_kind
def test_locked_memory_is_had_or_not_and_works_either_way(
    create: Callable[..., Any], ends: Callable[[Any], Ends]
) -> None:
    import resource

    with create() as handle:
        assert handle.lock() in (True, False)
        if os.geteuid() != 0:
            limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, limits[1]))
            try:
                assert handle.lock() is False
            finally:
                resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)


def test_a_doorbell_has_no_name() -> None:
    for call in (lambda: Doorbell.attach("x"), lambda: Doorbell.attach_fd(0), lambda: Doorbell.remove("x")):
        with pytest.raises(TypeError, match="Doorbell"):
            call()


@pytest.mark.parametrize("name", [7, b"bytes", "", "a/b", "..", "a" * 201, "nul\0", "ümlaut"])
def test_a_name_that_is_none_is_refused_by_every_kind(name: Any) -> None:
    for kind, (create, _) in KINDS.items():
        if kind == "Doorbell":
            continue
        with pytest.raises(RecordError, match="name"):
            create(name=name)
        structure = type(create())
        for use in (structure.attach, structure.remove):
            with pytest.raises(RecordError, match="name"):
                use(name)


def test_every_error_of_ours_has_one_base() -> None:
    from mftcore import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 10
    assert all(issubclass(kind, MftError) for kind in kinds)
