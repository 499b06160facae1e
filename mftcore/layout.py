"""Record types as they stand in the header of shared memory: one canonical text for each layout.

Two processes share a record type when names, formats, offsets and item size agree, however each of them wrote it.
"""

import json
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mftcore.errors import LayoutError, RecordError

RecordType: TypeAlias = "npt.DTypeLike | int"

MAX_RECORD_BYTES = 1 << 30


def record_dtype(record: Any) -> "np.dtype[Any]":
    """Return the dtype that `record` means: a NumPy dtype or anything that makes one, or a size in bytes.

    Parameters
    ----------
    record : dtype-like or int
        An int is a record of so many opaque bytes (``V`` type).

    Raises
    ------
    LayoutError
        Types that cannot be shared: with object or big-endian fields, or empty.
    RecordError
        Not a record type at all, or larger than 1 GiB.
    """
    if isinstance(record, bool) or record is None:
        raise RecordError(f"a record type is a NumPy dtype or a size in bytes, not {record!r}")
    if isinstance(record, (int, np.integer)):
        if not 1 <= record <= MAX_RECORD_BYTES:
            raise RecordError(f"a record has between 1 and {MAX_RECORD_BYTES} bytes, not {record}")
        return np.dtype((np.void, int(record)))
    try:
        dtype: np.dtype[Any] = np.dtype(record)
    except (TypeError, ValueError, SyntaxError) as error:
        raise RecordError(f"a record type is a NumPy dtype or a size in bytes, not {record!r}: {error}") from error
    _describe(dtype)
    if not 1 <= dtype.itemsize <= MAX_RECORD_BYTES:
        raise LayoutError(f"a record has between 1 and {MAX_RECORD_BYTES} bytes, {dtype} has {dtype.itemsize}")
    return dtype


def canonical_text(dtype: "np.dtype[Any]") -> str:
    """Return the text that stands for this layout in a header: equal texts, equal layouts."""
    return json.dumps(_describe(dtype), separators=(",", ":"), ensure_ascii=True)


def dtype_from_text(text: str) -> "np.dtype[Any]":
    """Return the dtype that a header's text describes; `LayoutError` when it describes none."""
    try:
        dtype = _restore(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LayoutError(f"the record type in the header cannot be read: {text[:100]!r}: {error}") from error
    _describe(dtype)  # what cannot be shared is refused, whoever wrote it there
    return dtype


def _describe(dtype: "np.dtype[Any]") -> Any:
    if dtype.hasobject:
        raise LayoutError(f"{dtype} holds Python objects, which mean nothing in another process; use numbers or bytes")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_describe(base), list(shape)]
    if dtype.names is not None and dtype.fields is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        return {
            "names": list(dtype.names),
            "formats": [_describe(field[0]) for field in fields],
            "offsets": [int(field[1]) for field in fields],
            "itemsize": dtype.itemsize,
        }
    if dtype.newbyteorder("=") != dtype:
        little = dtype.newbyteorder("<").str
        raise LayoutError(f"{dtype.str} is big-endian, shared records are little-endian: use {little}")
    return dtype.str


def _restore(described: Any) -> "np.dtype[Any]":
    if isinstance(described, str):
        return np.dtype(described)
    if isinstance(described, list):
        base, shape = described
        return np.dtype((_restore(base), tuple(shape)))
    return np.dtype(
        {
            "names": described["names"],
            "formats": [_restore(form) for form in described["formats"]],
            "offsets": described["offsets"],
            "itemsize": described["itemsize"],
        }
    )
