"""Shared memory as the structures use it: refusals, names, lifetime, children, memory limits."""

import gc
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mftcore
from mftcore import (
    ClosedError,
    KernelError,
    LayoutError,
    MemoryRefused,
    MftError,
    NameInUse,
    NoSuchSegment,
    RecordError,
    SpscRing,
    UnsafePath,
    memory,
)
from mftcore.layout import canonical_text, dtype_from_text, record_dtype
from mftcore.segment import Segment, directory_path

RING_KIND, RING_VERSION = 1, 1


@pytest.fixture
def shm_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of named segments for this test alone."""
    monkeypatch.setattr(memory, "SHM_ROOT", str(tmp_path))
    return tmp_path


# ---- refusals ----


def test_every_damaged_byte_of_the_header_is_refused_by_attach(shm_root: Path) -> None:
    with SpscRing.create([("price_ticks", "<i8"), ("size_lots", "<i8")], 4, name="ring") as ring:
        ring.producer()
        file = Path(directory_path(), "ring")
        whole = file.read_bytes()
        with file.open("r+b", buffering=0) as damaged:
            for at in range(4096):
                for change in (0x01, 0x80, 0xFF):
                    damaged.seek(at)
                    damaged.write(bytes([whole[at] ^ change]))
                    with pytest.raises(LayoutError, match=r"no SpscRing 'ring' that can be used: .* is 0x"):
                        SpscRing.attach("ring")
                damaged.seek(at)
                damaged.write(whole[at : at + 1])
        assert file.read_bytes() == whole
        SpscRing.attach("ring").close()


def test_a_damaged_index_is_refused_by_attach_and_by_every_operation(shm_root: Path) -> None:
    with SpscRing.create(8, 4, name="ring") as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.push(bytes(8))
        with Path(directory_path(), "ring").open("r+b", buffering=0) as file:
            file.seek(4096)
            file.write((1 << 60).to_bytes(8, "little"))
        for call in (lambda: tx.push(bytes(8)), lambda: tx.push_many(bytes(16)), lambda: SpscRing.attach("ring")):
            with pytest.raises(LayoutError, match=r"popped than pushed|than fit"):
                call()
        for call in (rx.pop, lambda: rx.pop_into(bytearray(8)), lambda: rx.pop_many(bytearray(8))):
            with pytest.raises(LayoutError, match="than fit"):
                call()


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8192 - 1, 12288])
def test_a_truncated_or_grown_file_is_refused(shm_root: Path, size: int) -> None:
    with SpscRing.create(8, 4, name="ring"):
        copy = Path(directory_path(), "copy")
        copy.write_bytes(Path(directory_path(), "ring").read_bytes().ljust(size, b"\0")[:size])
        copy.chmod(0o600)
        with pytest.raises(LayoutError, match=r"file size|total size"):
            SpscRing.attach("copy")


def test_foreign_memory_is_refused(shm_root: Path) -> None:
    with SpscRing.create(8, 4, name="ring"):
        Path(directory_path(), "noise").write_bytes(bytes(range(256)) * 32)
        Path(directory_path(), "noise").chmod(0o600)
        with pytest.raises(LayoutError, match="ready"):
            SpscRing.attach("noise")
        Path(directory_path(), "ring").chmod(0o644)
        with pytest.raises(LayoutError, match="file mode is 0x1a4, expected 0x180"):
            SpscRing.attach("ring")
        Path(directory_path(), "ring").chmod(0o600)
        with pytest.raises(LayoutError, match=r"kind is 0x1, expected 0x2"):
            Segment.attach(2, 1, "Seqlock", "ring")
        with pytest.raises(LayoutError, match=r"layout version is 0x1, expected 0x7"):
            Segment.attach(RING_KIND, 7, "SpscRing", "ring")


def test_memory_of_another_user_is_refused(shm_root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file of another user")
    with SpscRing.create(8, 4, name="ring"):
        os.chown(Path(directory_path(), "ring"), 12345, 12345)
        with pytest.raises(LayoutError, match="file owner"):
            SpscRing.attach("ring")
        os.chown(Path(directory_path(), "ring"), 0, 0)


def test_memory_of_an_earlier_boot_is_refused(shm_root: Path) -> None:
    """The boot id stands in the header; a file of another one has another, with a checksum that is right."""
    with SpscRing.create(8, 4, name="ring"):
        path = Path(directory_path(), "ring")
        header = bytearray(path.read_bytes())
        header[128] ^= 0xFF
        digest = 0xCBF29CE484222325
        for byte in header[:3064]:
            digest = (digest ^ byte) * 0x100000001B3 % 2**64
        header[3064:3072] = digest.to_bytes(8, "little")
        with path.open("r+b") as file:
            file.write(header)
        with pytest.raises(LayoutError, match="boot id"):
            SpscRing.attach("ring")


# ---- names ----


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_modes_are_0700_and_0600_whatever_the_umask(shm_root: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with SpscRing.create(8, 4, name="ring"):
            assert Path(directory_path()).stat().st_mode & 0o7777 == 0o700
            assert Path(directory_path(), "ring").stat().st_mode & 0o7777 == 0o600
            SpscRing.attach("ring").close()
        with SpscRing.create(8, 4) as anonymous:
            assert os.fstat(anonymous.fileno()).st_mode & 0o7777 == 0o600
    finally:
        os.umask(before)


def test_a_squatted_directory_is_refused(shm_root: Path) -> None:
    own = Path(directory_path())
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(UnsafePath, match="mode 0700"):
        SpscRing.create(8, 4, name="ring")
    own.rmdir()
    (shm_root / "elsewhere").mkdir(0o700)
    own.symlink_to(shm_root / "elsewhere")
    with pytest.raises(UnsafePath):
        SpscRing.create(8, 4, name="ring")
    own.unlink()
    own.write_text("a file")
    with pytest.raises(UnsafePath):
        SpscRing.create(8, 4, name="ring")
    assert list((shm_root / "elsewhere").iterdir()) == []


def test_a_squatted_name_is_refused(shm_root: Path) -> None:
    with SpscRing.create(8, 4, name="ring"):
        own = Path(directory_path())
        (own / "link").symlink_to("/dev/zero")
        os.mkfifo(own / "fifo", 0o600)
        for name in ("link", "fifo"):
            with pytest.raises(NameInUse):
                SpscRing.create(8, 4, name=name)
            with pytest.raises((UnsafePath, LayoutError)):
                SpscRing.attach(name)


def test_without_a_directory_there_is_no_such_segment_and_a_bad_root_is_an_error(
    shm_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoSuchSegment, match="no named segment"):
        SpscRing.attach("ring")
    monkeypatch.setattr(memory, "SHM_ROOT", str(shm_root / "nowhere"))
    with pytest.raises(KernelError, match="cannot use"):
        SpscRing.create(8, 4, name="ring")


def test_a_refused_name_leaves_the_first_segment_alone_and_no_descriptor(
    shm_root: Path, open_descriptors: Callable[[], list[str]]
) -> None:
    with SpscRing.create(8, 4, name="ring") as first:
        gc.collect()
        fds = open_descriptors()
        for _ in range(3):
            with pytest.raises(NameInUse):
                SpscRing.create(8, 4, name="ring")
        gc.collect()
        assert open_descriptors() == fds
        assert first.producer().push(bytes(8))
        assert SpscRing.attach("ring").counters().pushed == 1


def test_the_name_goes_with_the_creators_handle_not_with_another(shm_root: Path) -> None:
    first = SpscRing.create(8, 4, name="ring")
    SpscRing.attach("ring").close()
    pid = os.fork()
    if pid == 0:
        first.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert SpscRing.attach("ring").capacity == 4
    del first
    gc.collect()
    assert list(Path(directory_path()).iterdir()) == []


def test_the_name_goes_when_the_interpreter_ends_with_a_live_handle() -> None:
    program = (
        "import mftcore, os\n"
        "ring = mftcore.SpscRing.create(8, 4, name=f'test-exit-{os.getpid()}')\n"
        "tx, rx = ring.producer(), ring.consumer()\n"
        "tx.push(bytes(8))\n"
        "cycle = [ring, tx]; cycle.append(cycle)\n"
        "print(os.getpid())\n"
    )
    ran = run_python("-W", "error", "-c", program)
    assert (ran.returncode, ran.stderr) == (0, "")
    with pytest.raises(NoSuchSegment):
        SpscRing.attach(f"test-exit-{int(ran.stdout)}")


def run_python(*arguments: str, under: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    root = str(Path(mftcore.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(
        [*under, sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment
    )


SMALL_TMPFS = """
import mftcore, os
from mftcore import memory
memory.SHM_ROOT = "/mnt"
small = mftcore.SpscRing.create(64, 64, name="fits")
try:
    mftcore.SpscRing.create(64, 1 << 16, name="does-not-fit")
except mftcore.MemoryRefused as error:
    print(error)
print(os.listdir(f"/mnt/mftcore-{os.geteuid()}"), small.producer().push(bytes(64)))
"""


def test_a_full_tmpfs_is_an_error_that_names_the_numbers_and_dockers_default() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    mount = 'mount -t tmpfs -o size=256k none /mnt && exec "$@"'
    under = ("unshare", "-Urm", "sh", "-c", mount, "sh")
    if subprocess.run([*under, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs unprivileged user and mount namespaces")
    ran = run_python("-c", SMALL_TMPFS, under=under)
    assert ran.returncode == 0, ran.stderr
    message, rest = ran.stdout.splitlines()
    assert message.startswith("SpscRing 'does-not-fit' needs 4198656 bytes and /mnt has ")
    assert "64 MiB" in message
    assert rest == "['fits'] True"


# ---- lifetime ----


def test_a_view_keeps_the_memory_of_a_closed_or_dropped_owner() -> None:
    segment = Segment.make(RING_KIND, 1, "Test", record_bytes=8, capacity=4, data_bytes=5000)
    view = memoryview(segment)
    assert (len(view), view.readonly) == (8192, True)
    segment.close()
    with pytest.raises(ClosedError):
        memoryview(segment)
    assert bytes(view[:8]) == bytes(8)
    array = np.frombuffer(view, "u1")
    del segment, view
    gc.collect()
    assert array.sum() == 0


def test_sizes_and_texts_out_of_bounds_are_refused() -> None:
    good = {"record_bytes": 8, "capacity": 4, "data_bytes": 100}
    for wrong in ({"capacity": 0}, {"data_bytes": -1}, {"record_bytes": 1 << 62}, {"data_bytes": 1 << 80}):
        with pytest.raises(RecordError, match="size"):
            Segment.make(RING_KIND, 1, "Test", **{**good, **wrong})  # type: ignore[arg-type]
    for wrong_text in ({"meta": "x" * 248}, {"dtype": "x" * 2616}, {"meta": "a\0b"}):
        with pytest.raises(RecordError, match="shorter"):
            Segment.make(RING_KIND, 1, "Test", **good, **wrong_text)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="at most 8"):
        Segment.make(RING_KIND, 1, "Test", **good, params=range(9))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no constructor"):
        Segment()


def test_no_descriptors_left_is_an_error_of_ours() -> None:
    program = (
        "import mftcore, resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "for make in (lambda: mftcore.SpscRing.create(8, 4), mftcore.Doorbell.create):\n"
        "    try: make()\n"
        "    except mftcore.KernelError as error: print(error.errno)\n"
    )
    ran = run_python("-c", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "24\n24\n", "")


def test_a_role_is_given_back_even_when_no_descriptors_are_left() -> None:
    program = (
        "import mftcore, resource\n"
        "ring = mftcore.SpscRing.create(8, 4)\n"
        "tx = ring.producer()\n"
        "before = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))\n"
        "tx.close()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, before)\n"
        "print(ring.producer().epoch)\n"
    )
    ran = run_python("-c", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "2\n", "")


# ---- children ----


def report(ring: SpscRing, queue: "multiprocessing.queues.Queue[object]") -> None:
    queue.put((os.getpid(), ring.consumer().pop(), ring.name, os.get_inheritable(ring.fileno())))


def in_worker(_: int) -> "bytes | None":
    return WORKER_RING.consumer().pop()


def keep(ring: SpscRing) -> None:
    global WORKER_RING
    WORKER_RING = ring


WORKER_RING: SpscRing


@pytest.mark.parametrize("name", [None, "test-children"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_handle_given_to_a_child_works_there(method: str, name: "str | None") -> None:
    context = multiprocessing.get_context(method)
    with SpscRing.create(8, 4, name=None if name is None else f"{name}-{os.getpid()}") as ring:
        ring.producer().push(b"to child")
        queue = context.Queue()
        child = context.Process(target=report, args=(ring, queue))
        child.start()
        pid, popped, child_name, inheritable = queue.get(timeout=60)
        child.join()
        assert (pid, popped, child_name, inheritable) == (child.pid, b"to child", ring.name, False)
        queue.close()
        queue.join_thread()


@pytest.mark.parametrize("method", ["spawn"])
def test_a_handle_works_in_pool_initargs_and_through_a_queue(method: str) -> None:
    context = multiprocessing.get_context(method)
    with SpscRing.create(8, 4) as ring:
        ring.producer().push(b"to pool.")
        with context.Pool(1, initializer=keep, initargs=(ring,)) as pool:
            assert pool.map(in_worker, [0]) == [b"to pool."]
    program = Path(__file__).with_name("handle_through_queue.py")
    ran = run_python("-W", "error", str(program))
    assert (ran.returncode, ran.stdout) == (0, "b'in queue'\n"), ran.stderr


def test_a_named_segment_made_anew_under_the_same_name_is_not_taken_for_the_one_that_was_sent(shm_root: Path) -> None:
    with SpscRing.create(8, 4, name="ring") as ring:
        sent = pickle.dumps(ring)
    with SpscRing.create(8, 4, name="ring"), pytest.raises(LayoutError, match="another segment"):
        pickle.loads(sent)


# ---- memory limits ----


def machine(root: Path, **files: str) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "proc", root / "groups"


MEMINFO = "MemTotal: 2000 kB\nMemFree: 10 kB\nMemAvailable: 1000 kB\n"


def test_available_memory_is_the_machines_when_no_group_limits(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    assert memory.available(proc, groups) == (1_024_000, "the machine")


def test_available_memory_is_the_tightest_group_above_us_with_its_file_cache_given_back(tmp_path: Path) -> None:
    proc, groups = machine(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/a/b\n",
        groups__a__memory_DOT_max="500000\n",
        groups__a__memory_DOT_current="450000\n",
        groups__a__memory_DOT_stat="anon 1\ninactive_file 30000\n",
        groups__a__b__memory_DOT_max="max\n",
        groups__a__b__memory_DOT_current="100\n",
    )
    assert memory.available(proc, groups) == (80_000, "the memory limit of the control group")


def test_available_memory_knows_control_groups_version_1_and_containers(tmp_path: Path) -> None:
    proc, groups = machine(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="5:cpu,cpuacct:/x\n4:memory:/docker/0123\n",
        groups__memory__memory_DOT_limit_in_bytes="300000\n",
        groups__memory__memory_DOT_usage_in_bytes="100000\n",
    )
    assert memory.available(proc, groups) == (200_000, "the memory limit of the control group")


def test_nothing_is_refused_when_nobody_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.available(tmp_path, tmp_path) is None
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.require(1 << 60, "a test")


def test_a_refusal_names_needed_and_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: memory.Available(-5, "the control group"))
    with pytest.raises(MemoryRefused, match="a test needs 7 bytes of memory, and the control group leaves 0") as caught:
        memory.require(7, "a test")
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, MftError)


# ---- record types ----


@pytest.mark.parametrize(
    "dtype",
    [
        "<i8",
        "S5",
        "<M8[ns]",
        64,
        [("a", "<i8"), ("b", "u1")],
        np.dtype([("a", "<i8"), ("b", "u1")], align=True),
        {"names": ["late", "early"], "formats": ["<i4", "<f8"], "offsets": [16, 0], "itemsize": 64},
        [("nested", [("x", "<f4", (2, 3))]), ("y", "?")],
        ("<i4", (7,)),
    ],
)
def test_a_record_type_survives_the_header(dtype: object) -> None:
    meant = record_dtype(dtype)
    assert dtype_from_text(canonical_text(meant)) == meant
    with SpscRing.create(dtype, 2) as ring:  # type: ignore[call-overload]
        assert ring.dtype == meant
        assert ring.record_size == meant.itemsize


def test_layouts_are_equal_exactly_when_their_texts_are() -> None:
    same = [np.dtype("i8,u1"), np.dtype([("f0", "=i8"), ("f1", "u1")])]
    assert len({canonical_text(dtype) for dtype in same}) == 1
    other = [np.dtype("i8,u1", align=True), np.dtype("i8,i1"), np.dtype([("f0", "<i8"), ("g", "u1")])]
    assert len({canonical_text(dtype) for dtype in [*same, *other]}) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", '"no"', '{"names":[1]}', "[" * 10_000, "7"])
def test_a_text_that_is_no_record_type_is_refused(text: str) -> None:
    with pytest.raises(LayoutError, match="cannot be read"):
        dtype_from_text(text)


def test_a_record_type_too_long_for_the_header_is_refused() -> None:
    with pytest.raises(RecordError, match="shorter than 2616"):
        SpscRing.create([(f"a_long_field_name_{i}", "<i8") for i in range(200)], 4)
