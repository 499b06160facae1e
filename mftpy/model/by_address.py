"""Compiled functions that are called by their address, from loops that hold no interpreter.

A model is a plain function ``quote(x, out)`` of one `MODEL_INPUT` and one `MODEL_OUTPUT` of `mftpy.decisions`.
`compile_model` makes a C function ``int64_t model(void *x, void *out)`` of it that returns 0, or 1 when the function
raised an exception; what is in `out` is then to be ignored. It takes no lock and does not need the interpreter.
"""

from __future__ import annotations

import ctypes
import linecache
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, NamedTuple

import numpy as np
from numba import types
from numba.core import callconv, cgutils
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaWarning
from numba.core.sigutils import normalize_signature
from numba.extending import intrinsic
from numba.np.numpy_support import carray, from_dtype

from mftpy.decisions import MODEL_INPUT, MODEL_OUTPUT
from mftpy.errors import ResourceError
from mftpy.model.compiled import note_uncached
from mftpy.model.plain import PlainRecord
from mftpy.model.relinked import Relinked

CALLABLES: Final[list[ByAddress]] = []
"""Every C function that was made, in that order."""


class Pointer(NamedTuple):
    """A parameter of a C function: a pointer to so many records.

    Attributes
    ----------
    dtype : numpy.dtype
    records : int
        The function that is compiled gets an array of them; with 0 it gets the one record itself.
    """

    dtype: np.dtype[np.void]
    records: int = 1


@intrinsic
def attempt(typing: Any, function: Any, arguments: Any) -> Any:
    """Call a function with a tuple of arguments; 1 when it raised an exception, else 0.

    The compiled form of ``try`` and ``except`` would leak what an exception with arguments from run time allocates.
    """
    called = function.get_call_type(typing, arguments.types, {})

    def lowered(context: Any, builder: Any, _: Any, values: Any) -> Any:
        compiled = function.dispatcher.overloads[called.args]
        context.active_code_library.add_linking_library(compiled.library)
        passed = cgutils.unpack_tuple(builder, values[1])
        status, returned = context.call_internal_no_propagate(builder, compiled.fndesc, called, passed)
        with builder.if_then(status.is_ok):
            context.nrt.decref(builder, called.return_type, returned)
        with cgutils.if_unlikely(builder, builder.icmp_signed(">=", status.code, callconv.RETCODE_USEREXC)):
            members = builder.load(status.excinfoptr)
            allocated = builder.extract_value(members, callconv.ALLOC_FLAG_IDX)
            with builder.if_then(builder.icmp_signed(">", allocated, allocated.type(0))):
                context.nrt.free(builder, builder.extract_value(members, callconv.HASH_BUF_IDX))
                context.nrt.free(builder, builder.bitcast(status.excinfoptr, cgutils.voidptr_t))
        return builder.zext(status.is_error, context.get_value_type(types.int64))

    return types.int64(function, arguments), lowered


class ByAddress:
    """A compiled C function; keep it for as long as its address is in use.

    Attributes
    ----------
    name : str
    address : int
    from_cache : bool
        It was loaded from disk, nothing was compiled.
    """

    def __init__(self, name: str, function: Any, parameters: Sequence[Any]) -> None:
        self.name = name
        self._function = function
        self.address: int = function.address
        self.from_cache: bool = function.cache_hits > 0
        as_ctypes: dict[Any, Any] = {types.int64: ctypes.c_int64, types.float64: ctypes.c_double}
        prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *(as_ctypes.get(p, ctypes.c_void_p) for p in parameters))
        self._call = prototype(self.address)
        self._parameters = parameters
        CALLABLES.append(self)

    def call(self, *arguments: Any) -> int:
        """Call it from Python: with `PlainRecord` or arrays of records, whole numbers and floats.

        Returns
        -------
        int
            0, or 1 when the function raised an exception.

        Raises
        ------
        TypeError
            Records of another type, arrays of another shape, or what cannot be written.
        """
        passed = []
        for parameter, argument in zip(self._parameters, arguments, strict=True):
            passed.append(self._memory(parameter, argument) if isinstance(parameter, Pointer) else argument)
        return int(self._call(*passed))

    def _memory(self, parameter: Pointer, argument: Any) -> int:
        array = argument.array if isinstance(argument, PlainRecord) else argument
        if not isinstance(array, np.ndarray) or array.shape != (max(parameter.records, 1),):
            raise TypeError(f"{self.name} is called with arrays of records, not with {type(argument).__name__}")
        if array.dtype != parameter.dtype:
            raise TypeError(f"{self.name} is called with records of another type: {array.dtype}")
        if not (array.flags.writeable and array.flags.c_contiguous):
            raise TypeError(f"{self.name} is called with records that are contiguous and can be written")
        return int(array.ctypes.data)


def compile_model(
    function: Callable[..., Any], name: str = "", compiling: Callable[[], None] | None = None
) -> ByAddress:
    """Compile a model, or load it from disk.

    Parameters
    ----------
    function : callable
        ``quote(x, out)``: a function, compiled with Numba or not. Functions that it calls need no decorator.
    name : str
        How it is called in messages.
    compiling : callable, optional
        Called when it is not found on disk, before it is compiled.

    Returns
    -------
    ByAddress
        Called with one record of `MODEL_INPUT` and one of `MODEL_OUTPUT`, which the caller zeroes first; from Python as
        ``call(x, out)``.

    Raises
    ------
    numba.core.errors.NumbaError
        It is beyond what Numba compiles.
    ResourceError
        What is on disk is damaged; the sentence says which directory to delete.
    """
    relinked = Relinked([function], Path(__file__))
    parameters = (Pointer(MODEL_INPUT, 0), Pointer(MODEL_OUTPUT, 0))
    return by_address(name or function.__name__, relinked.dispatchers[0], parameters, relinked.key, compiling)


def by_address(
    name: str, dispatcher: Any, parameters: Sequence[Any], key: int, compiling: Callable[[], None] | None = None
) -> ByAddress:
    """Compile a function of a `Relinked` as C function, or load it from disk.

    Parameters
    ----------
    name : str
    dispatcher : Dispatcher
    parameters : sequence of Pointer or Numba's types
    key : int
        `Relinked.key`.
    compiling : callable, optional
        Called when it is not found on disk, before it is compiled.

    Returns
    -------
    ByAddress
        ``int64_t (...)``: 0, or 1 when the function raised an exception.
    """
    names = [f"a{i}" for i in range(len(parameters))]
    passed = [_passed(name, parameter) for name, parameter in zip(names, parameters, strict=True)]
    # a name of its own: there may be two versions in a process; a lambda's is none
    symbol = f"guard_{re.sub(r'[^0-9A-Za-z_]', '_', dispatcher.py_func.__name__)}_{key:x}"
    source = (
        f"def make(sources):\n"
        f"    def {symbol}({', '.join(names)}):\n"
        f"        _ = sources\n"
        f"        return attempt(function, ({', '.join(passed)},))\n"
        f"    return {symbol}\n"
    )
    scope: dict[str, Any] = {
        "__name__": __name__,
        "attempt": attempt,
        "carray": carray,
        "function": dispatcher,
    }
    # as if it stood in the file of the function: its machine code is kept beside that. Behind the file's end, so that
    # whoever looks for its source finds none, and not the middle of something else
    filename = dispatcher.py_func.__code__.co_filename
    exec(compile("\n" * len(linecache.getlines(filename)) + source, filename, "exec"), scope)
    arguments = [types.CPointer(from_dtype(p.dtype)) if isinstance(p, Pointer) else p for p in parameters]
    return ByAddress(name, _compiled(types.int64(*arguments), scope["make"](key), compiling), parameters)


def _passed(name: str, parameter: Any) -> str:
    if not isinstance(parameter, Pointer):
        return name
    return f"carray({name}, {parameter.records})" if parameter.records else f"carray({name}, 1)[0]"


class _Announced(CFunc):
    """A C function that says when it is not found on disk."""

    compiling: Callable[[], None] | None = None
    _cache: Any

    def _compile_uncached(self) -> Any:
        if self.compiling is not None:
            self.compiling()
        return super()._compile_uncached()  # type: ignore[misc]


def _compiled(signature: Any, guard: Any, compiling: Callable[[], None] | None) -> Any:
    function = _Announced(guard, normalize_signature(signature), {}, {"error_model": "numpy"})
    function.compiling = compiling
    try:
        function.enable_caching()
        with warnings.catch_warnings():  # of code that Numba can compile and not keep
            warnings.filterwarnings("error", "Cannot cache", NumbaWarning)
            function.compile()
    except RuntimeError as error:  # "no locator available": there is no directory to write to
        if "locator" not in str(error):
            raise
        note_uncached(str(error))
    except (OSError, NumbaWarning) as error:  # the disk is full, or the directory has become unwritable
        note_uncached(str(error))
    except (UnpicklingError, EOFError) as error:
        raise ResourceError(
            f"the cache of compiled code in {function._cache.cache_path} is damaged; delete that directory"
        ) from error
    else:
        return function
    uncached = CFunc(guard, normalize_signature(signature), {}, {"error_model": "numpy"})
    uncached.compile()
    return uncached
