"""How the compiled functions are compiled, counted and kept on disk."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba.core.event
import numpy as np
import pytest

from mftpy import records
from mftpy.config import load
from mftpy.model import quoting
from mftpy.model.compiled import DISPATCHERS, compilations
from mftpy.model.net_book import LEVEL
from mftpy.model.quoting import Quoter, parameters, quote_ticks, warm_up
from mftpy.records import ACCOUNT, Reason

ROOT = Path(__file__).resolve().parents[2]
BUY = 1


def account(position_lots=0, own=()):
    """Return an account record; `own` holds (side, price_ticks, lots)."""
    row = records.blank(ACCOUNT)
    row["ready"], row["position_lots"], row["n_own"] = 1, position_lots, len(own)
    for i, (side, ticks, lots) in enumerate(own):
        row["own_side"][0, i], row["own_ticks"][0, i], row["own_lots"][0, i] = side, ticks, lots
    return row


def quoter(overrides=None, *, tick=0.1, lot=0.001, **changes):
    """Return a quoter with the default settings, some of them changed."""
    row = parameters(load(None, overrides), tick, lot)
    for name, value in changes.items():
        row[name] = value
    return Quoter(row, 10)


def test_after_the_warm_up_nothing_compiles_whatever_the_loop_does():
    warm_up()
    before = compilations()
    with numba.core.event.install_recorder("numba:compile") as recorder:
        q = quoter()
        for n_levels in (1, 10, 50):
            bids = np.zeros(50, LEVEL)
            asks = np.zeros(50, LEVEL)
            bids["price_ticks"], asks["price_ticks"] = 616_999 - np.arange(50), 617_001 + np.arange(50)
            bids["size_lots"] = asks["size_lots"] = 100
            for mine in (account(), account(100), account(-5, own=[(BUY, 616_999, 10)])):
                q.decide(bids, asks, n_levels, n_levels, mine)
                if q.changed:
                    q.passed_on()
                q.refuse(Reason.BOOK_NOT_READY, int(mine["position_lots"][0]))
    assert not recorder.buffer
    assert compilations() == before


def test_the_count_rises_when_something_compiles_after_all():
    warm_up()
    before = compilations()
    quote_ticks(np.float32(1.0), 2.0, 1.5, 1, 2, 0)
    assert compilations() > before


def test_every_compiled_function_of_the_package_is_counted_and_warmed_up():
    found = set()
    for module in [module for name, module in sys.modules.items() if name.startswith("mftpy.")]:
        found |= {id(value) for value in vars(module).values() if isinstance(value, type(quoting.decide))}
    assert found == {id(dispatcher) for dispatcher in DISPATCHERS}
    warm_up()
    used = {module.__name__ for module in vars(quoting).values() if isinstance(module, ModuleType)} | {quoting.__name__}
    in_the_loop = [dispatcher for dispatcher in DISPATCHERS if dispatcher.py_func.__module__ in used]
    assert len(in_the_loop) >= 15
    assert all(dispatcher.signatures for dispatcher in in_the_loop)


def test_no_function_is_compiled_with_fastmath():
    assert not any(dispatcher.targetoptions.get("fastmath") for dispatcher in DISPATCHERS)


WARM_UP = """
import json, resource, sys
limit = {limit}
if limit is not None:
    import mftpy.model.quoting
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from mftpy.model.quoting import compilations, warm_up, Quoter, parameters, LEVEL
from mftpy.config import load
from mftpy.errors import ResourceError
from mftpy import records
import numpy as np
try:
    first = warm_up()
except ResourceError as error:
    print(json.dumps(str(error)))
    sys.exit()
before = compilations()
q = Quoter(parameters(load(), 0.1, 0.001), 10)
account = records.blank(records.ACCOUNT)
account["ready"] = 1
bids, asks = np.zeros(1, LEVEL), np.zeros(1, LEVEL)
bids["price_ticks"], asks["price_ticks"], bids["size_lots"], asks["size_lots"] = 616_999, 617_001, 100, 100
reasons = q.decide(bids, asks, 1, 1, account)
print(json.dumps([first.from_cache, first.note, reasons, float(q.target["model_half"][0]), compilations() - before]))
"""


@pytest.fixture
def copy(tmp_path):
    """Return the root of a copy of the package, with nothing compiled."""
    shutil.copytree(ROOT / "mftpy", tmp_path / "copy" / "mftpy", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def start(root, limit=None, **environment):
    """Warm up in a process of its own; return [from cache, note, reasons, model half, compilations afterwards].

    Or the sentence with which it is refused.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "PYTHON"))}
    env |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    result = subprocess.run(
        [sys.executable, "-c", WARM_UP.format(limit=limit)],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return json.loads(result.stdout)


def test_a_second_start_compiles_nothing_and_an_edited_formula_is_compiled_anew(copy, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    from_cache, note, reasons, half, rise = start(copy, **cache)
    assert (from_cache, note, reasons, rise) == (False, "", 0, 0)
    assert start(copy, **cache) == [True, "", 0, half, 0]
    path = copy / "mftpy" / "model" / "avellaneda_stoikov.py"
    text = path.read_text()
    assert text.count("model_half = 0.5 *") == 1
    path.write_text(text.replace("model_half = 0.5 *", "model_half = 1.0 *"))
    # the compiled decision is in another file, and its own text is as it was
    assert start(copy, **cache)[3] == pytest.approx(2 * half)


def test_without_a_directory_to_write_to_it_runs_and_says_so(copy, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    (copy / "mftpy" / "model" / "__pycache__").touch()  # a file where the directory would be
    unusable = {"NUMBA_CACHE_DIR": str(blocked / "a"), "XDG_CACHE_HOME": str(blocked / "b"), "HOME": str(blocked / "c")}
    from_cache, note, reasons, _, rise = start(copy, **unusable)
    assert (from_cache, reasons, rise) == (False, 0, 0)
    assert note.startswith("the compiled model cannot be kept on disk (")
    assert note.endswith("set NUMBA_CACHE_DIR to a directory that you can write")
    assert len(note.splitlines()) == 1


def test_when_the_package_cannot_be_written_the_user_s_cache_is_used_and_named_when_it_is_damaged(copy, tmp_path):
    (copy / "mftpy" / "model" / "__pycache__").touch()
    home = tmp_path / "home"
    assert start(copy, XDG_CACHE_HOME=str(home))[1] == ""
    written = list(home.rglob("*.nbi"))
    assert written
    for content in (b"", b"no index"):
        for path in written:
            path.write_bytes(content)
        sentence = start(copy, XDG_CACHE_HOME=str(home))
        assert sentence == f"the cache of compiled code in {written[0].parent} is damaged; delete that directory"


def test_a_full_disk_is_said_and_does_no_harm(copy, tmp_path):
    from_cache, note, reasons, _, rise = start(copy, limit=0, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert (from_cache, reasons, rise) == (False, 0, 0)
    assert "cannot be kept on disk" in note
