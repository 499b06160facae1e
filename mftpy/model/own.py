"""A user's own model, ``model = "package.module:function"``: found, checked, compiled, and its errors made readable."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import linecache
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tokenize import TokenError
from types import CodeType
from typing import Any

from numba.core.dispatcher import Dispatcher
from numba.np.numpy_support import from_dtype

from mftpy.decisions import MODEL_INPUT, MODEL_OUTPUT
from mftpy.errors import ConfigError, MftpyError
from mftpy.model.builtin import MODELS
from mftpy.model.by_address import ByAddress, compile_model
from mftpy.model.relinked import Relinked


def find(name: str) -> Callable[[Any, Any], None]:
    """Return the function that the setting ``model.name`` names; imports the user's module.

    Modules are looked for in the current directory, in PYTHONPATH and among what is installed, as ``python -m`` does.

    Raises
    ------
    ConfigError
        There is no such module or function, it is no function of two arguments, or its module cannot be imported.
    """
    if name in MODELS:
        return MODELS[name]
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ConfigError(f'model.name ({name}) must be {", ".join(MODELS)} or "package.module:function"')
    module = _imported(module_name)
    function = getattr(module, function_name, None)
    where = f"{module_name} ({getattr(module, '__file__', None) or 'no file'})"
    if function is None:
        near = [key for key, value in vars(module).items() if _is_function(value) and value.__module__ == module_name]
        has = f"; it has {', '.join(near)}" if near else ""
        raise ConfigError(f"model.name: there is no function {function_name} in {where}{has}")
    if not _is_function(function):
        raise ConfigError(
            f"model.name: {function_name} in {where} is a {type(function).__name__}; it must be a "
            "function quote(x, out)"
        )
    python = getattr(function, "py_func", function)
    at = f"{_shown(python.__code__.co_filename)}:{python.__code__.co_firstlineno}"
    signature = inspect.signature(python)
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if kinds not in ([inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2, [inspect.Parameter.POSITIONAL_ONLY] * 2):
        raise ConfigError(
            f"{at}: {function_name}{signature} must take two arguments, what it is given and what it answers: (x, out)"
        )
    if inspect.isgeneratorfunction(python) or inspect.iscoroutinefunction(python) or inspect.isasyncgenfunction(python):
        raise ConfigError(f"{at}: {function_name} must be a plain function: no generator, not async")
    if (lineno := _returning(python)) is not None:
        what = f"{function_name} must write its prices into its second argument; what it returns is not used"
        raise ConfigError(_told(python.__code__.co_filename, lineno, what))
    return function  # type: ignore[no-any-return]


def compile_named(name: str, compiling: Callable[[], None] | None = None) -> ByAddress:
    """Compile the model of the setting ``model.name``, or load it from disk.

    Parameters
    ----------
    name : str
    compiling : callable, optional
        Called when it is not found on disk, before it is compiled.

    Raises
    ------
    ConfigError
        As in `find`; or it does not compile: file, line, what stands there, and what Numba says of it.
    ResourceError
        What is on disk is damaged; the sentence says which directory to delete.
    """
    function = find(name)
    if name in MODELS:
        return compile_model(function, name, compiling)
    try:
        return compile_model(function, name, compiling)
    except (Exception, MftpyError) as error:  # a compiler's errors are of many kinds
        complaint = "" if isinstance(error, MftpyError) else _complaint(function)
        if not complaint:
            raise
        raise ConfigError(complaint) from error


def _is_function(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, Dispatcher)


def _returning(function: Callable[..., Any]) -> int | None:
    """Return the line where a function returns what cannot be None: prices, most likely; None if it does not."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TokenError):  # no source, or a lambda in the middle of something
        return None
    nodes: list[ast.AST] = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Return) and isinstance(node.value, (ast.Tuple, ast.List, ast.Dict, ast.BinOp)):
            return first + node.lineno - 1
        nodes += [n for n in ast.iter_child_nodes(node) if not isinstance(n, (ast.FunctionDef, ast.Lambda))]
    return None


def _imported(name: str) -> Any:
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(_at_import(name, error)) from error
        name_it = f"; name it {name[:-3]}, without .py" if name.endswith(".py") else ""
        raise ConfigError(
            f"model.name: there is no module {error.name}; it is looked for in the current directory ({Path.cwd()}), in"
            f" PYTHONPATH, and among what is installed{name_it}"
        ) from None
    except (Exception, SystemExit) as error:  # whatever the user's code does is told as an error of it
        raise ConfigError(_at_import(name, error)) from error


def _at_import(name: str, error: BaseException) -> str:
    """Return where in the user's module its import fails, and how."""
    what = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return _told(error.filename, error.lineno or 1, f"{type(error).__name__}: {error.msg}")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    frames = [f for f in frames if Path(f.filename) != Path(__file__)]
    if not frames:
        return f"model.name: the module {name} cannot be imported: {what}"
    return _told(frames[-1].filename, frames[-1].lineno or 1, f"{name} cannot be imported: {what}")


def _complaint(function: Any) -> str:
    """Return file, line, source and what Numba says of a function in one line; an empty string when it compiles."""
    relinked = Relinked([function])
    codes = [code for python in relinked.functions for code in _codes(python.__code__)]
    try:  # without what is put around it: the error is then the function's own
        relinked.dispatchers[0].compile((from_dtype(MODEL_INPUT), from_dtype(MODEL_OUTPUT)))
    except Exception as found:  # noqa: BLE001  (as above; it is told)
        error = found
    else:
        return ""
    root = codes[0]
    if isinstance(error, KeyError) and (place := next(_uses(error.args[0], codes), None)):  # of a member of a record
        return _told(*place, f"there is no {error.args[0]} (docs/own-model.md has the members of x and out)")
    filename, lineno = _place(error, {code.co_filename for code in codes}) or (root.co_filename, root.co_firstlineno)
    return _told(filename, lineno, _said(error))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _uses(member: Any, codes: list[CodeType]) -> Iterator[tuple[str, int]]:
    """Where functions use an attribute of this name."""
    for code in codes:
        if member not in code.co_names:
            continue
        try:
            lines, first = inspect.getsourcelines(code)
            tree = ast.parse(inspect.cleandoc("\n" + "".join(lines)) if lines[0][:1].isspace() else "".join(lines))
        except (OSError, SyntaxError, TokenError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == member:
                yield code.co_filename, first + node.lineno - 1


def _place(error: Exception, filenames: set[str]) -> tuple[str, int] | None:
    """Where in these files the error is: the innermost place that it names."""
    said = [(name, int(line)) for name, line in re.findall(r"(?:at|from|defined at) (\S[^\n(]*) \((\d+)\)", str(error))]
    place = getattr(error, "loc", None)
    if place is not None:
        said.append((place.filename, place.line))
    return next(((name, line) for name, line in said if name in filenames), None)


def _said(error: Exception) -> str:
    """Return what is said in one line, without the list of everything that was tried."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failed in nopython mode pipeline")]
    if not lines:
        return type(error).__name__
    what = lines[0]
    if what.endswith(":") and len(lines) > 1:
        what += " " + lines[1].removeprefix(">>> ")
    for line, following in itertools.pairwise(lines):
        if line.endswith("raised a specific error:") and "must be Sets" not in following:  # of sets' operators
            what = following.partition(": ")[2] or following
            break
    what = re.sub(r"\.* Raised from .*", "", what)
    what = re.sub(r"(Cannot cast .*?): (%\S+ = |\w+\*+ null).*", r"\1", what)  # without the compiler's own code
    what = re.sub(r"Cannot bind 'args=.*' to signature '(.*)' due to \"(.*)\".*", r"it takes \1: \2", what)
    return what if len(what) <= 300 else what[:300] + " ..."


def _told(filename: str, lineno: int, what: str) -> str:
    text = linecache.getline(filename, lineno).strip()
    return f"{_shown(filename)}:{lineno}: {what}" + (f', in "{text}"' if text else "")


def _shown(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename
