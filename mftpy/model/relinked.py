"""A function with all that it calls, made ready to be compiled as one: new dispatchers, and one number for all sources.

Numba keeps the machine code of each function on disk by the text of that function's own file. Code of other files is
compiled into it, so an edited formula in another module would go on quoting as before. Here the functions that a model
calls are followed through their globals, and each is copied into a dispatcher that is not cached and cannot be called
from Python, which also saves a good part of the time to compile. What is cached is the one C function around them, by a
number that depends on all source files and all constants that were met on the way.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.extending import is_jitted
from numba.np.ufunc.dufunc import DUFunc

_KNOWN_TO_NUMBA: Final = frozenset(sys.stdlib_module_names) | {"numpy", "numba", "llvmlite"}
_njit: Final[Any] = njit  # the two options below are not in its declared type
_DROPPED_OPTIONS: Final = ("cache", "forceobj", "looplift", "nopython", "target", "pipeline_class")
_OURS: Final = __name__.partition(".")[0]


class Relinked:
    """Copies of functions and of all that they call, for compiled callers alone.

    Parameters
    ----------
    functions : sequence of function or Dispatcher
        Functions that they call need no decorator.
    *callers : Path
        Further source files that the compiled code depends on.

    Attributes
    ----------
    key : int
        Changes with the source files of all functions and modules that were met, and with the constants they use.
    functions : list of function
        All copies, the first one first.
    dispatchers : list of Dispatcher
        The copies of `functions`; they call the copies of the others.
    """

    def __init__(self, functions: Sequence[Any], *callers: Path) -> None:
        self._digest = hashlib.sha256()
        self._files: set[str] = set()
        self._modules: set[str] = set()
        self._copies: dict[int, Any] = {}
        self._kept: list[Any] = []  # the originals, so that no id is used twice
        self.functions: list[FunctionType] = []
        for path in (Path(__file__), *callers):
            self._note_file(str(path))
        self.dispatchers: list[Any] = [self._copy_function(function) for function in functions]
        self.key = int.from_bytes(self._digest.digest()[:7], "little")
        for copy in self.functions:  # names of machine code: two versions in one process must not be taken for one
            copy.__qualname__ = f"{copy.__qualname__}_{self.key:x}"

    def _copy(self, value: Any, names: frozenset[str]) -> Any:
        """Return what stands for a value that a function uses, and take note of it in the key."""
        if isinstance(value, Dispatcher) or (isinstance(value, FunctionType) and not _known(value.__module__)):
            return self._copy_function(value)
        if isinstance(value, ModuleType):
            return value if _known(value.__name__) else self._copy_module(value, names)
        if isinstance(value, np.ndarray):
            self._note(f"{value.dtype}{value.shape}".encode() + value.tobytes())
        elif isinstance(value, (type, BuiltinFunctionType)) or is_jitted(value):
            self._note_module(getattr(value, "__module__", None))
        elif isinstance(value, DUFunc):  # of `numba.vectorize`: it stays what it is
            made: Any = value
            self._copy_function(made._dispatcher.py_func)
        else:
            self._note(repr(value).encode())
            self._note_module(type(value).__module__)
        return value

    def _copy_function(self, original: Any) -> Any:
        if id(original) in self._copies:
            return self._copies[id(original)]
        self._kept.append(original)
        options: dict[str, Any] = {"error_model": "numpy"}
        python = original
        if isinstance(original, Dispatcher):
            python = original.py_func
            options = {name: value for name, value in original.targetoptions.items() if name not in _DROPPED_OPTIONS}
        if (python.__module__ or "").partition(".")[0] != _OURS:
            options["boundscheck"] = True  # an index too large would write over what is not the model's
        self._note_file(python.__code__.co_filename)
        self._note(python.__qualname__.encode())
        self._note_code(python.__code__)
        scope: dict[str, Any] = {"__name__": python.__module__, "__builtins__": __builtins__}
        closure = tuple(CellType() for _ in python.__closure__ or ())
        copy = FunctionType(python.__code__, scope, python.__name__, python.__defaults__, closure)
        copy.__kwdefaults__, copy.__module__ = python.__kwdefaults__, python.__module__
        copy.__qualname__ = python.__qualname__
        self.functions.append(copy)
        dispatcher = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(copy)
        self._copies[id(original)] = dispatcher
        self._note(repr((python.__defaults__, python.__kwdefaults__)).encode())
        names = frozenset(_names(python.__code__))
        for name in sorted(names & python.__globals__.keys()):
            self._note(name.encode())
            scope[name] = self._copy(python.__globals__[name], names)
        for cell, own in zip(closure, python.__closure__ or (), strict=True):
            cell.cell_contents = self._copy(own.cell_contents, names)
        return dispatcher

    def _copy_module(self, original: ModuleType, names: frozenset[str]) -> ModuleType:
        copy = ModuleType(original.__name__)
        self._kept.append(original)
        self._note_module(original.__name__)
        for name in sorted(names & vars(original).keys()):
            self._note(name.encode())
            setattr(copy, name, self._copy(getattr(original, name), names))
        return copy

    def _note(self, what: bytes) -> None:
        self._digest.update(len(what).to_bytes(8, "little") + what)

    def _note_code(self, code: CodeType) -> None:
        """Take note of a function whose file does not tell it: one from a prompt, a notebook, a string."""
        self._note(code.co_code)
        self._note(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._note_code(constant)
            else:
                said = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
                self._note(repr(said).encode())

    def _note_module(self, name: str | None) -> None:
        """Take note of a module's file and of those it imports from: of a class it is not known what it calls."""
        if name is None or _known(name) or name in self._modules:
            return
        self._modules.add(name)
        module = sys.modules.get(name)
        self._note_file(getattr(module, "__file__", None) or name)
        for value in list(vars(module).values()) if module else ():
            other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(other, str):
                self._note_module(other)

    def _note_file(self, name: str) -> None:
        if name not in self._files:
            self._files.add(name)
            path = Path(name)
            self._note(path.read_bytes() if path.is_file() else name.encode())


def _known(module: str | None) -> bool:
    """Whether Numba knows a module's functions itself, or has its version in the key of what it keeps."""
    return (module or "").partition(".")[0] in _KNOWN_TO_NUMBA


def _names(code: CodeType) -> Iterator[str]:
    """All names of globals and attributes that a function uses, also within functions that it defines."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
