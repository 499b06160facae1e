"""How compiled models are kept on disk: loaded at the next start, never after an edit; what is said otherwise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mftpy.model.compiled import DISPATCHERS
from mftpy.model.glft import quote

ROOT = Path(__file__).resolve().parents[2]

START = """
import json, os, resource, sys
from pathlib import Path
from mftpy.errors import MftpyError
from mftpy.model.compiled import cache_note
from mftpy.model.own import compile_named
from mftpy.model.plain import blank_output, example_input
full, *steps = json.loads(sys.argv[1])
if full:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
found = []
for file, old, new, limit in steps:
    if old == "damaged":
        for path in Path(os.environ["NUMBA_CACHE_DIR"]).rglob(file):
            path.write_text(new)
    elif file:
        path = Path(file)
        text, stat = path.read_text(), path.stat()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # nothing is to depend on the clock
    os.environ["LIMIT"] = limit
    for name in ("mine", "helper", "inner", "other"):
        sys.modules.pop(name, None)
    told = []
    try:
        model = compile_named("mine:quote", lambda: told.append("compiling"))
    except MftpyError as error:
        found.append(str(error))
        continue
    out = blank_output()
    status = model.call(example_input(), out)
    found.append([model.from_cache, told, cache_note(), status, float(out.bid_price[0])])
print(json.dumps(found))
"""

MODEL = """
import helper
from helper import half
from other import SHIFT as MOVED

def quote(x, out):
    out.n_bids = 1
    out.bid_price[0] = helper.skewed(x.fair) - half(x) - MOVED - helper.inner.deep()
"""
HELPER = """
import inner
import numba

WIDTH = 4.0

def half(x):
    return WIDTH / 2

@numba.njit(cache=True)
def skewed(fair):
    return fair - inner.deep()
"""
INNER = """
import os

LIMIT = float(os.environ.get("LIMIT", "0"))

def deep():
    return 1.0 + LIMIT
"""
OTHER = "SHIFT = 10.0\n"
FIRST = 61_700.0 - 1.0 - 2.0 - 10.0 - 1.0


@pytest.fixture
def mine(tmp_path):
    """Return a directory with a model of the user's in four files."""
    directory = tmp_path / "user"
    directory.mkdir()
    for name, text in (("mine", MODEL), ("helper", HELPER), ("inner", INNER), ("other", OTHER)):
        (directory / f"{name}.py").write_text(text)
    return directory


AS_IT_IS = ("", "", "", "0")


def start(directory, *steps, full=False, **environment):
    """Compile or load in a process of its own, for each step: edit a file, set LIMIT, import anew.

    Returns for each [from cache, what was told, note, status, bid], or the sentence with which it is refused.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "PYTHON"))}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    command = [sys.executable, "-c", START, json.dumps([full, *(steps or (AS_IT_IS,))])]
    result = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return json.loads(result.stdout)


def test_a_second_start_compiles_nothing_and_an_edit_in_any_file_is_never_passed_over(mine):
    compiled, loaded = [False, ["compiling"], "", 0], [True, [], "", 0]
    deeper = ("inner.py", "1.0 + LIMIT", "3.0 + LIMIT", "0")
    wider = ("helper.py", "WIDTH = 4.0", "WIDTH = 6.0", "0")
    further = ("other.py", "10.0", "20.0", "0")
    limited = ("", "", "", "100")  # no file changes
    assert start(mine, AS_IT_IS, AS_IT_IS, deeper, wider, further, limited) == [
        [*compiled, FIRST],
        [*loaded, FIRST],
        [*compiled, FIRST - 4.0],
        [*compiled, FIRST - 5.0],
        [*compiled, FIRST - 15.0],
        [*compiled, FIRST - 215.0],
    ]
    assert list((mine / "__pycache__").glob("*.nbc"))
    assert start(mine, AS_IT_IS, limited, ("other.py", "20.0", "10.0", "0")) == [
        [*loaded, FIRST - 15.0],
        [*loaded, FIRST - 215.0],
        [*loaded, FIRST - 5.0],
    ]


def test_without_a_directory_to_write_to_it_compiles_and_says_so(mine):
    blocked = mine / "file"
    blocked.touch()
    (mine / "__pycache__").touch()  # a file where the directory would be
    unusable = {"NUMBA_CACHE_DIR": str(blocked / "a"), "XDG_CACHE_HOME": str(blocked / "b"), "HOME": str(blocked / "c")}
    (mine / "helper.py").write_text(HELPER.replace("(cache=True)", ""))  # Numba refuses that by itself
    [(from_cache, _, note, status, bid)] = start(mine, **unusable)
    assert (from_cache, status, bid) == (False, 0, FIRST)
    assert note.startswith("the compiled model cannot be kept on disk (")
    assert note.endswith("set NUMBA_CACHE_DIR to a directory that you can write")
    assert len(note.splitlines()) == 1


def test_a_damaged_cache_is_named(mine, tmp_path):
    damages = [("*.nbc", "damaged", "", "0"), ("*.nbi", "damaged", "", "0"), ("*.nbi", "damaged", "no index", "0")]
    first, *others = start(mine, AS_IT_IS, *damages, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert first[0] is False
    [directory] = {path.parent for path in (tmp_path / "cache").rglob("*.nbi")}
    assert others == 3 * [f"the cache of compiled code in {directory} is damaged; delete that directory"]


def test_a_full_disk_is_said_and_does_no_harm(mine):
    [(from_cache, _, note, status, bid)] = start(mine, full=True)
    assert (from_cache, status, bid) == (False, 0, FIRST)
    assert "cannot be kept on disk" in note


def test_every_compiled_function_of_the_package_is_known():
    kind = type(quote)
    modules = [module for name, module in sys.modules.items() if name.startswith("mftpy.")]
    found = {id(value) for module in modules for value in vars(module).values() if isinstance(value, kind)}
    assert found == {id(dispatcher) for dispatcher in DISPATCHERS}
    assert not any(dispatcher.targetoptions.get("fastmath") for dispatcher in DISPATCHERS)
