"""A user's own model: found by its name, checked, compiled; every mistake told in one line with its place."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mftpy.decisions import MODEL_INPUT
from mftpy.errors import ConfigError
from mftpy.model.builtin import MODELS
from mftpy.model.own import compile_named, find
from mftpy.model.plain import blank_output, example_input

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "own_model"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module into the current directory; what was imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text, name="mine"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return path

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "models", "helper")]:
        del sys.modules[name]


GOOD = "def quote(x, out):\n    out.n_bids = 1\n    out.bid_price[0] = x.fair - 1.0\n"


def test_a_function_is_found_in_the_current_directory_and_in_packages(module):
    module(GOOD)
    module(GOOD, "models/inner/deep")
    for name in ("mine:quote", "models.inner.deep:quote"):
        model, out = compile_named(name), blank_output()
        assert model.call(example_input(), out) == 0
        assert (out.n_bids, out.bid_price[0]) == (1, 61_699.0)


def test_a_function_may_return_early_and_its_inner_functions_what_they_like(module):
    helper = "def other(x, out):\n    out.n_bids = 0\n\n\n"
    inner = "    def half(a):\n        return a / 2\n    if half(x.fair) < 1.0:\n        return None\n"
    module(f"{helper}{GOOD}{inner}    if x.fair < 0.0:\n        return\n    return other(x, out)\n")
    assert compile_named("mine:quote").call(example_input(), blank_output()) == 0


def test_the_built_in_models_are_found_by_their_names():
    assert [find(name) for name in MODELS] == list(MODELS.values())


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("mine:quote", None, "model.name: there is no module mine; it is looked for in the current directory"),
        ("mine.deep:quote", GOOD, "model.name: there is no module mine.deep; it is looked for"),
        ("mine:qoute", GOOD, r"model.name: there is no function qoute in mine \(.*mine.py\); it has quote"),
        ("mine:X", "X = 3\n", r"model.name: X in mine \(.*\) is a int; it must be a function quote\(x, out\)"),
        ("mine:C", "class C:\n    pass\n", "model.name: C in mine .* is a type; it must be a function"),
        ("mine:quote", "def quote(x):\n    pass\n", r"mine.py:1: quote\(x\) must take two arguments"),
        ("mine:quote", "def quote(x, out, *, n):\n    pass\n", r"mine.py:1: quote\(x, out, \*, n\) must take two"),
        ("mine:quote", "def quote(x, out, n=3):\n    pass\n", r"mine.py:1: quote\(x, out, n=3\) must take two"),
        ("mine:quote", "def quote(*both):\n    pass\n", r"mine.py:1: quote\(\*both\) must take two"),
        ("mine.py:quote", GOOD, "there is no module mine.py; .* name it mine, without .py"),
        (
            "mine:quote",
            "\n\ndef quote(x, out):\n    if x.fair > 0:\n        return x.fair - 1, x.fair + 1\n",
            'mine.py:5: quote must write its prices into its second argument; .*, in "return x.fair - 1, x.fair [+] 1"',
        ),
        ("mine:quote", "def quote(x, out):\n    yield 1\n", "mine.py:1: quote must be a plain function"),
        ("mine:quote", "async def quote(x, out):\n    pass\n", "mine.py:1: quote must be a plain function"),
        (
            "mine:quote",
            "a = 1\nb = a / 0\n",
            'mine.py:2: mine cannot be imported: ZeroDivisionError: .*, in "b = a / 0"',
        ),
        ("mine:quote", "def quote(x, out:\n", "mine.py:1: SyntaxError: "),
        ("mine:quote", "import nowhere\n", "mine.py:1: mine cannot be imported: ModuleNotFoundError: .*nowhere"),
        ("mine:quote", "import sys\nsys.exit(0)\n", "mine.py:2: mine cannot be imported: SystemExit: 0"),
    ],
)
def test_what_cannot_be_a_model_is_refused_before_anything_is_started(module, name, text, sentence):
    if text is not None:
        module(text)
    with pytest.raises(ConfigError, match=sentence) as caught:
        find(name)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


BODY = (
    "import numpy as np\nD = {{'a': 1}}\nA = np.zeros(3)\ndef other(x, out): pass\ndef quote(x, out):\n"
    "    out.n_bids = 1\n    {line}\n"
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("out.bid_price[0] = faire", "NameError: name 'faire' is not defined"),
        ("out.bid_price[0] = x.faire - 1.0", "there is no faire"),
        ("out.bids = 1", "there is no bids"),
        ("s = 'a' + x.fair", "No implementation of function .*add.*"),
        ("out.bid_price[0] = D['a']", "Untyped global name 'D': Cannot determine Numba type of <class 'dict'>"),
        ("out.bid_price = x.fair - 1.0", r"Cannot cast float64 to nestedarray\(float64, \(8,\)\)"),
        ("out.n_bids = '1'", r"Cannot cast Literal\[str\]\(1\) to int64"),
        ("out.bid_price[0] = x.fair - None", r"No implementation of function .*sub.*none"),
        ("other(x, out, gamma=2)", r"it takes \(x, out\): TypeError: .* argument 'gamma'"),
        ("A[0] = x.fair", "Cannot modify readonly array of type: .*"),
    ],
)
def test_what_does_not_compile_is_told_with_file_line_and_source(module, line, said):
    module(BODY.format(line=line))
    with pytest.raises(ConfigError) as caught:
        compile_named("mine:quote")
    assert re.match(f'mine.py:7: {said}.*, in "{re.escape(line)}"$', str(caught.value)), str(caught.value)
    assert not re.search(r"\n|%\S* = | null|Record", str(caught.value))


def test_an_error_in_a_helper_of_another_file_is_told_with_that_file(module):
    module("def skewed(x):\n    y = x.fair\n    return y + x.nothing\n", "helper")
    module("import helper\n\ndef quote(x, out):\n    out.bid_price[0] = helper.skewed(x)\n")
    with pytest.raises(ConfigError, match=r'^helper.py:3: there is no nothing .*, in "return y \+ x.nothing"$'):
        compile_named("mine:quote")


def test_what_numba_cannot_do_at_all_is_told_with_the_function(module):
    module("def quote(x, out):\n    with open('f') as f:\n        out.n_bids = 1\n")
    with pytest.raises(ConfigError, match=r"^mine.py:1: .*with.*, in \"def quote\(x, out\):\"$"):
        compile_named("mine:quote")


# the example, and plain Python


def test_the_example_s_own_tests_pass_and_its_compiled_form_answers_the_same(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    tests = importlib.import_module("test_imbalance")
    run = [getattr(tests, name)() for name in dir(tests) if name.startswith("test_")]
    assert len(run) >= 4
    quote = find("imbalance:quote")
    model = compile_named("imbalance:quote")
    for imbalance in (-0.7, 0.0, 0.3):
        x = example_input(imbalance=imbalance, levels=3, position=0.02, parameter=[3.0, 0, 0, 0, 0, 0, 0, 0])
        plain, compiled = blank_output(), blank_output()
        quote(x, plain)
        assert model.call(x, compiled) == 0
        assert plain == compiled
    assert len((EXAMPLE / "imbalance.py").read_text().split("def quote")[1].splitlines()) <= 10


def test_a_plain_record_has_the_members_of_the_compiled_one_and_no_others():
    x, out = example_input(drift=2.0), blank_output()
    assert (x.clip, x.drift, x.levels) == (0.01, 2.0, 1)
    assert x.bid_price[1] == 61_698.0
    out.bid_price[3] += 5.0
    out.bid_size = np.arange(8.0)
    assert (out.array["bid_price"][0, 3], out.bid_size[7]) == (5.0, 7.0)
    assert "n_bids=0" in repr(out)
    for wrong in (lambda: x.faire, lambda: setattr(out, "bids", 1), lambda: example_input(bids=1)):
        with pytest.raises(AttributeError, match=r"there is no (faire|bids); there are "):
            wrong()
    assert x != example_input()
    assert x == example_input(drift=2.0)
    assert out != x
    assert set(MODEL_INPUT.names) == {part.split("=")[0] for part in repr(x).split(", ")}


def test_config_check_finds_a_model_that_is_not_there(module, tmp_path):
    module(GOOD)
    path = tmp_path / "mm.toml"
    command = [sys.executable, "-m", "mftpy", "config", "check", str(path)]
    for name, code, said in (("mine:quote", 0, "valid for"), ("mine:qoute", 2, "there is no function qoute")):
        path.write_text(f'[model]\nname = "{name}"\n')
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (result.returncode, said in result.stdout + result.stderr) == (code, True), result.stderr
