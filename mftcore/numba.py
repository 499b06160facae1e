"""The structures inside Numba's nopython code: import this module, then pass endpoints to ``@njit`` functions.

::

    import mftcore.numba  # once, before the function is compiled or loaded from its cache

    @njit(nogil=True, cache=True)
    def relay(rx, tx, record):
        while rx.pop(record):
            tx.push(record)

=================  ==================================================================================================
endpoint           in nopython code
=================  ==================================================================================================
`SpscProducer`     ``push(record) -> bool``, ``push_many(records) -> int``
`SpscConsumer`     ``pop(record) -> bool``, ``pop_many(records) -> int``
`SeqlockWriter`    ``write(record) -> int`` (the version)
`SeqlockReader`    ``read(record) -> (version, age_ns)``
`BookReader`       ``read(levels) -> (version, age_ns, state, n_bids, n_asks)``, into ``reader.bids`` and ``asks``,
                   which are passed beside it; negative `levels`: all
`BroadcastWriter`  ``write(record) -> int`` (its number), ``write_many(records) -> int`` (that of the last one)
`BroadcastReader`  ``read(record) -> (number, lost)``: 0 when there is none yet; `lost`: missed by this reader in all
`ByteProducer`     ``push(message) -> bool``
`ByteConsumer`     ``pop(buffer) -> int``: the length of the message, -1 when there is none; one that is longer than
                   the buffer is an error, and stays
`HistogramRecorder`  ``record(ns)``
=================  ==================================================================================================

`record` is a contiguous array of the structure's dtype with one element, `message` and `buffer` are of ``uint8``. The
calls do what they do in Python, wake who sleeps included, and need no interpreter: an endpoint is used by one thread at
a time, and whoever passes it keeps it open. Errors raise `NopythonError` with a sentence: an endpoint that is closed or
in use, damaged indices, a value that changed 64 times under its reader, machine code from a cache of another version of
this package.

Notes
-----
With ``cache=True`` the compiled function is kept on disk and finds the calls by name at the next start, wherever they
lie then. The names carry a version; see ``mftcore/abi.pyx``.
"""

from typing import Any, Final

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, models, overload_method, register_model, typeof_impl, unbox

from mftcore import abi
from mftcore.book import BookReader
from mftcore.broadcast import BroadcastReader, BroadcastWriter
from mftcore.byte_ring import ByteConsumer, ByteProducer
from mftcore.errors import MftError
from mftcore.histogram import HistogramRecorder
from mftcore.ring import SpscConsumer, SpscProducer
from mftcore.seqlock import SeqlockReader, SeqlockWriter

intrinsic: Any = numba.extending.intrinsic  # its declared type knows nothing of the typing context

for _name, _address in abi.symbols().items():
    binding.add_symbol(_name, _address)


class NopythonError(MftError):
    """A call of a structure failed inside nopython code."""


class EndpointType(types.Type):
    """An endpoint in nopython code: the address of its port, and the type of its records.

    Parameters
    ----------
    kind : str
        Name of the endpoint's class.
    record : numba type or None
        Of one record.
    """

    def __init__(self, kind: str, record: Any) -> None:
        self.kind = kind
        self.record = record
        super().__init__(name=f"mftcore.{kind}({record})")

    @property
    def key(self) -> tuple[str, Any]:
        """What makes two of them the same type."""
        return self.kind, self.record


class ProducerType(EndpointType):
    """`SpscProducer`."""


class ConsumerType(EndpointType):
    """`SpscConsumer`."""


class WriterType(EndpointType):
    """`SeqlockWriter`."""


class ReaderType(EndpointType):
    """`SeqlockReader`."""


class BookReaderType(EndpointType):
    """`BookReader`."""


class RecorderType(EndpointType):
    """`HistogramRecorder`."""


class BroadcastWriterType(EndpointType):
    """`BroadcastWriter`."""


class BroadcastReaderType(EndpointType):
    """`BroadcastReader`."""


class ByteProducerType(EndpointType):
    """`ByteProducer`."""


class ByteConsumerType(EndpointType):
    """`ByteConsumer`."""


_TYPES: Final[dict[type, type[EndpointType]]] = {
    SpscProducer: ProducerType,
    SpscConsumer: ConsumerType,
    SeqlockWriter: WriterType,
    SeqlockReader: ReaderType,
    BookReader: BookReaderType,
    HistogramRecorder: RecorderType,
    BroadcastWriter: BroadcastWriterType,
    BroadcastReader: BroadcastReaderType,
    ByteProducer: ByteProducerType,
    ByteConsumer: ByteConsumerType,
}


def _typeof(endpoint: Any, _context: Any) -> EndpointType:
    dtype = getattr(endpoint, "dtype", None)
    record = None if dtype is None else numba.from_dtype(dtype)
    return _TYPES[type(endpoint)](type(endpoint).__name__, record)


def _unbox(_type: EndpointType, endpoint: Any, c: Any) -> NativeValue:
    """Take the address of the endpoint's port; raises what asking for it raises, such as `ClosedError`."""
    number = c.pyapi.object_getattr_string(endpoint, "port")
    address = cgutils.alloca_once_value(c.builder, ir.Constant(c.pyapi.voidptr, None))
    with c.builder.if_then(cgutils.is_not_null(c.builder, number)):
        c.builder.store(c.pyapi.long_as_voidptr(number), address)
        c.pyapi.decref(number)
    return NativeValue(c.builder.load(address), is_error=c.pyapi.c_api_error())


for _class, _type in _TYPES.items():
    typeof_impl.register(_class)(_typeof)
    register_model(_type)(models.OpaqueModel)
    unbox(_type)(_unbox)


def _call(name: str, *arguments: Any) -> Any:
    """Return the nopython function of one of our calls: (pointer to port, arguments) -> int64."""
    return types.ExternalFunction(f"mft{abi.ABI}_{name}", types.int64(types.voidptr, *arguments))


_push = _call("push", types.voidptr)
_push_many = _call("push_many", types.voidptr, types.int64)
_pop = _call("pop", types.voidptr)
_pop_many = _call("pop_many", types.voidptr, types.int64)
_write = _call("write", types.voidptr)
_record = _call("record", types.int64)
_write_many = _call("write_many", types.voidptr, types.int64)
_push_bytes = _call("push_bytes", types.voidptr, types.int64)

_RETIRED: Final = abi.RETIRED
_UNUSABLE: Final = abi.UNUSABLE
_UNSTABLE: Final = abi.UNSTABLE
_SMALL: Final = abi.SMALL
_ARGUMENT: Final = abi.ARGUMENT


@intrinsic
def _port(_typing: Any, endpoint: Any) -> Any:
    """Return an endpoint's port as a void pointer."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(endpoint), generate


@intrinsic
def _pointer(_typing: Any, array: Any) -> Any:
    """Return where an array's data lies, as a void pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.bitcast(data, context.get_value_type(types.voidptr))

    return types.voidptr(array), generate


@numba.njit(cache=True)
def _checked(code: int) -> int:
    """Return a result that is no error."""
    if code >= 0:
        return code
    if code == _RETIRED:
        raise NopythonError("this function was compiled for another version of mftcore: delete Numba's cache of it")
    if code == _UNUSABLE:
        raise NopythonError("the endpoint is closed, of before a fork, in use by another thread, or lends its records")
    if code == _UNSTABLE:
        raise NopythonError("the value was overwritten during each of 64 attempts to read it: try again")
    if code == _SMALL:
        raise NopythonError("the message is longer than the buffer, and stays in the ring: pop it into a larger one")
    if code == _ARGUMENT:
        raise NopythonError("the message is longer than the ring can ever hold")
    raise NopythonError("the indices in shared memory are out of their bounds: something else writes to it")


def _fits(endpoint: EndpointType, array: Any, *, writable: bool = False) -> bool:
    return (
        isinstance(array, types.Array)
        and array.dtype == endpoint.record
        and array.is_contig
        and (not writable or array.mutable)
    )


@overload_method(ProducerType, "push")
def _producer_push(tx: Any, record: Any) -> Any:
    if not _fits(tx, record):
        return None

    def push(tx: Any, record: Any) -> bool:
        if record.size != 1:
            raise NopythonError("push takes an array of one record: use push_many for several")
        return _checked(_push(_port(tx), _pointer(record))) == 1

    return push


@overload_method(ProducerType, "push_many")
def _producer_push_many(tx: Any, records: Any) -> Any:
    if not _fits(tx, records):
        return None

    def push_many(tx: Any, records: Any) -> int:
        return _checked(_push_many(_port(tx), _pointer(records), records.size))

    return push_many


@overload_method(ConsumerType, "pop")
def _consumer_pop(rx: Any, record: Any) -> Any:
    if not _fits(rx, record, writable=True):
        return None

    def pop(rx: Any, record: Any) -> bool:
        if record.size != 1:
            raise NopythonError("pop takes an array of one record: use pop_many for several")
        return _checked(_pop(_port(rx), _pointer(record))) == 1

    return pop


@overload_method(ConsumerType, "pop_many")
def _consumer_pop_many(rx: Any, records: Any) -> Any:
    if not _fits(rx, records, writable=True):
        return None

    def pop_many(rx: Any, records: Any) -> int:
        return _checked(_pop_many(_port(rx), _pointer(records), records.size))

    return pop_many


@overload_method(BroadcastWriterType, "write")
@overload_method(WriterType, "write")
def _writer_write(writer: Any, record: Any) -> Any:
    if not _fits(writer, record):
        return None

    def write(writer: Any, record: Any) -> int:
        if record.size != 1:
            raise NopythonError("write takes an array of one record")
        return _checked(_write(_port(writer), _pointer(record)))

    return write


def _with_a_word_more(name: str, initially: int, *given: Any) -> Any:
    """Return what an intrinsic does that calls ``name(*given, &word)`` and returns (result, word)."""
    signature = types.UniTuple(types.int64, 2)(*given)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        result = ir.IntType(64)
        word = cgutils.alloca_once(builder, result)
        builder.store(ir.Constant(result, initially), word)
        pointer = context.get_value_type(types.voidptr)
        passed = [*arguments, builder.bitcast(word, pointer)]
        called = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(result, [value.type for value in passed]), f"mft{abi.ABI}_{name}"
        )
        code = builder.call(called, passed)
        return context.make_tuple(builder, signature.return_type, (code, builder.load(word)))

    return signature, generate


@intrinsic
def _read_value(_typing: Any, port: Any, record: Any) -> Any:
    """Call read with a place on the stack for the age; returns (version or error, age_ns)."""
    return _with_a_word_more("read", -1, port, record)


@intrinsic
def _next(_typing: Any, port: Any, record: Any) -> Any:
    """Call next with a place on the stack for the records lost; returns (number or error, lost)."""
    return _with_a_word_more("next", 0, port, record)


@intrinsic
def _pop_bytes(_typing: Any, port: Any, message: Any, size: Any) -> Any:
    """Call pop_bytes with a place on the stack for the length; returns (found or error, length)."""
    return _with_a_word_more("pop_bytes", 0, port, message, size)


@overload_method(ReaderType, "read")
def _reader_read(reader: Any, record: Any) -> Any:
    if not _fits(reader, record, writable=True):
        return None

    def read(reader: Any, record: Any) -> tuple[int, int]:
        if record.size != 1:
            raise NopythonError("read takes an array of one record")
        code, age_ns = _read_value(_port(reader), _pointer(record))
        return _checked(code), age_ns

    return read


@overload_method(BroadcastWriterType, "write_many")
def _broadcast_write_many(writer: Any, records: Any) -> Any:
    if not _fits(writer, records):
        return None

    def write_many(writer: Any, records: Any) -> int:
        return _checked(_write_many(_port(writer), _pointer(records), records.size))

    return write_many


@overload_method(BroadcastReaderType, "read")
def _broadcast_read(reader: Any, record: Any) -> Any:
    if not _fits(reader, record, writable=True):
        return None

    def read(reader: Any, record: Any) -> tuple[int, int]:
        if record.size != 1:
            raise NopythonError("read takes an array of one record")
        code, lost = _next(_port(reader), _pointer(record))
        return _checked(code), lost

    return read


def _is_bytes(array: Any, *, writable: bool = False) -> bool:
    return (
        isinstance(array, types.Array)
        and array.dtype == types.uint8
        and array.is_contig
        and (not writable or array.mutable)
    )


@overload_method(ByteProducerType, "push")
def _bytes_push(tx: Any, message: Any) -> Any:  # noqa: ARG001 (numba goes by names)
    if not _is_bytes(message):
        return None

    def push(tx: Any, message: Any) -> bool:
        return _checked(_push_bytes(_port(tx), _pointer(message), message.size)) == 1

    return push


@overload_method(ByteConsumerType, "pop")
def _bytes_pop(rx: Any, buffer: Any) -> Any:  # noqa: ARG001
    if not _is_bytes(buffer, writable=True):
        return None

    def pop(rx: Any, buffer: Any) -> int:
        found, length = _pop_bytes(_port(rx), _pointer(buffer), types.int64(buffer.size))
        return length if _checked(found) == 1 else -1

    return pop


@intrinsic
def _read_window(_typing: Any, port: Any, levels: Any) -> Any:
    """Call read_book with places on the stack; returns (version or error, age_ns, state, n_bids, n_asks)."""
    signature = types.UniTuple(types.int64, 5)(port, levels)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        found = cgutils.alloca_once(builder, word, size=4)
        for i in range(4):
            builder.store(ir.Constant(word, 0), builder.gep(found, [ir.Constant(ir.IntType(32), i)]))
        pointer = context.get_value_type(types.voidptr)
        called = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(word, [pointer, word, pointer]), f"mft{abi.ABI}_read_book"
        )
        code = builder.call(called, [arguments[0], arguments[1], builder.bitcast(found, pointer)])
        values = [builder.load(builder.gep(found, [ir.Constant(ir.IntType(32), i)])) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, (code, *values))

    return signature, generate


@overload_method(BookReaderType, "read")
def _book_reader_read(reader: Any, levels: Any) -> Any:  # noqa: ARG001 (numba goes by names)
    if not isinstance(levels, types.Integer):
        return None

    def read(reader: Any, levels: Any) -> Any:
        code, age_ns, state, n_bids, n_asks = _read_window(_port(reader), types.int64(levels))
        return _checked(code), age_ns, state, n_bids, n_asks

    return read


@overload_method(RecorderType, "record")
def _recorder_record(recorder: Any, ns: Any) -> Any:  # noqa: ARG001
    if not isinstance(ns, types.Integer):
        return None

    def record(recorder: Any, ns: Any) -> int:
        return _checked(_record(_port(recorder), types.int64(ns)))

    return record
