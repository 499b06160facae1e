"""Compiled functions that are called by their address, from loops that hold no interpreter.

A model is a plain function ``quote(x, out)`` of one `MODEL_INPUT` and one `MODEL_OUTPUT` of `mftpy.decisions`.
`compile_model` makes a C function ``int64_t model(void *x, void *out)`` of it that returns 0, or 1 when the function
raised an exception; what is in `out` is then to be ignored. It takes no lock and does not need the interpreter.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from numba import types
from numba.core import callconv, cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from mftpy.decisions import MODEL_INPUT, MODEL_OUTPUT
from mftpy.model.compiled import note_uncached
from mftpy.model.relinked import Relinked

CALLABLES: Final[list[ByAddress]] = []
"""Every C function that was made, in that order."""

_GUARD: Final = """
def make(sources):
    def {name}(x, out):
        _ = sources
        return attempt(function, carray(x, 1)[0], carray(out, 1)[0])
    return {name}
"""


@intrinsic
def attempt(typing: Any, function: Any, x: Any, out: Any) -> Any:
    """Call a function; 1 when it raised an exception, else 0.

    The compiled form of ``try`` and ``except`` would leak what an exception with arguments from run time allocates.
    """
    called = function.get_call_type(typing, (x, out), {})

    def lowered(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        compiled = function.dispatcher.overloads[called.args]
        context.add_linking_libs([compiled.library])
        status, returned = context.call_internal_no_propagate(builder, compiled.fndesc, called, arguments[1:])
        with builder.if_then(status.is_ok):
            context.nrt.decref(builder, called.return_type, returned)
        with cgutils.if_unlikely(builder, builder.icmp_signed(">=", status.code, callconv.RETCODE_USEREXC)):
            members = builder.load(status.excinfoptr)
            allocated = builder.extract_value(members, callconv.ALLOC_FLAG_IDX)
            with builder.if_then(builder.icmp_signed(">", allocated, allocated.type(0))):
                context.nrt.free(builder, builder.extract_value(members, callconv.HASH_BUF_IDX))
                context.nrt.free(builder, builder.bitcast(status.excinfoptr, callconv.GENERIC_POINTER))
        return builder.zext(status.is_error, context.get_value_type(types.int64))

    return types.int64(function, x, out), lowered


class ByAddress:
    """A compiled C function; keep it for as long as its address is in use.

    Attributes
    ----------
    name : str
    address : int
    from_cache : bool
        It was loaded from disk, nothing was compiled.
    """

    def __init__(self, name: str, function: Any) -> None:
        self.name = name
        self._function = function
        self.address: int = function.address
        self.from_cache: bool = function.cache_hits > 0
        CALLABLES.append(self)


class CompiledModel(ByAddress):
    """A model as a C function ``int64_t (void *x, void *out)``."""

    def __init__(self, name: str, function: Any) -> None:
        super().__init__(name, function)
        self._call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(self.address)

    def call(self, x: NDArray[np.void], out: NDArray[np.void]) -> int:
        """Call it from Python.

        Parameters
        ----------
        x : ndarray of MODEL_INPUT, shape (1,)
        out : ndarray of MODEL_OUTPUT, shape (1,)
            As it is: the caller zeroes it first.

        Returns
        -------
        int
            0, or 1 when the function raised an exception.

        Raises
        ------
        TypeError
            Arrays of another type.
        """
        for array, dtype in ((x, MODEL_INPUT), (out, MODEL_OUTPUT)):
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != (1,):
                raise TypeError("a model is called with one record of MODEL_INPUT and one of MODEL_OUTPUT")
        if not out.flags.writeable:
            raise TypeError("a model writes what it answers: out must be writeable")
        return int(self._call(x.ctypes.data, out.ctypes.data))


def compile_model(function: Callable[..., Any], name: str = "") -> CompiledModel:
    """Compile a model, or load it from disk.

    Parameters
    ----------
    function : callable
        ``quote(x, out)``: a function, compiled with Numba or not. Functions that it calls need no decorator.
    name : str
        How it is called in messages.

    Raises
    ------
    numba.core.errors.NumbaError
        It is beyond what Numba compiles.
    """
    relinked = Relinked(function, Path(__file__))
    python = getattr(function, "py_func", function)
    signature = types.int64(types.CPointer(from_dtype(MODEL_INPUT)), types.CPointer(from_dtype(MODEL_OUTPUT)))
    symbol = f"{python.__name__}_{relinked.key:x}"
    scope = {"__name__": __name__, "function": relinked.dispatcher, "carray": numba.carray, "attempt": attempt}
    # as if it stood in the file of the model: the machine code is kept beside that
    exec(compile(_GUARD.format(name=symbol), python.__code__.co_filename, "exec"), scope)
    guard = scope["make"](relinked.key)
    return CompiledModel(name or python.__qualname__, _compiled(signature, guard))


def _compiled(signature: Any, guard: Any) -> Any:
    try:
        return numba.cfunc(signature, cache=True, error_model="numpy")(guard)
    except RuntimeError as error:  # "no locator available": there is no directory to write to
        if "locator" not in str(error):
            raise
        note_uncached(str(error))
    except OSError as error:  # the disk is full, or the directory has become unwritable
        note_uncached(str(error))
    return numba.cfunc(signature, error_model="numpy")(guard)
