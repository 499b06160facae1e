"""What a model is given and answers, for plain Python: to call one in tests and to try it out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mftpy.decisions import MODEL_INPUT, MODEL_LEVELS, MODEL_OUTPUT


class PlainRecord:
    """One record whose members are attributes, as in compiled code; an unknown one is refused.

    (NumPy's own records cannot do this: to them ``x.clip`` is a method.)

    Attributes
    ----------
    array : ndarray, shape (1,)
        What is read and written; for callers of compiled code.
    """

    __slots__ = ("array",)
    array: NDArray[np.void]

    def __init__(self, array: NDArray[np.void]) -> None:
        object.__setattr__(self, "array", array)

    def __getattr__(self, name: str) -> Any:
        return self.array[self._checked(name)][0]

    def __setattr__(self, name: str, value: Any) -> None:
        self.array[self._checked(name)][0] = value

    def _checked(self, name: str) -> str:
        if name not in (self.array.dtype.names or ()):
            raise AttributeError(f"there is no {name}; there are {', '.join(self.array.dtype.names or ())}")
        return name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainRecord) and self.array.tobytes() == other.array.tobytes()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return ", ".join(f"{name}={self.array[name][0]}" for name in self.array.dtype.names or ())


def example_input(**members: Any) -> PlainRecord:
    """Return an ``x`` with the numbers of a quiet market around 61,700 USD and of the default settings.

    Parameters
    ----------
    **members
        Members of `MODEL_INPUT` that are to be other than that.

    Raises
    ------
    AttributeError
        There is no such member.
    """
    x = PlainRecord(np.zeros(1, MODEL_INPUT))
    steps = np.arange(MODEL_LEVELS)
    values: dict[str, Any] = {
        "time_ns": 1_000_000_000, "fair": 61_700.0, "bid": 61_699.0, "ask": 61_701.0, "micro": 61_700.0,
        "index": 61_700.0, "max_position": 0.1, "clip": 0.01, "gamma": 0.04, "sigma": 8.0, "A_bid": 0.55,
        "A_ask": 0.55, "k_bid": 0.25, "k_ask": 0.25, "fee": 6.17, "horizon_s": -1.0, "tick": 1.0, "lot": 0.001,
        "level_step": 1.0, "levels": 1, "n_bids": MODEL_LEVELS, "n_asks": MODEL_LEVELS,
        "bid_price": 61_699.0 - steps, "ask_price": 61_701.0 + steps, "bid_size": 1.0, "ask_size": 1.0,
    }  # fmt: skip
    for name, value in (values | members).items():
        setattr(x, name, value)
    return x


def blank_output() -> PlainRecord:
    """Return an ``out`` that says: no quote."""
    return PlainRecord(np.zeros(1, MODEL_OUTPUT))
