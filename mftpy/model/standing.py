"""How the estimates are called, and how far one can be relied on. Without the compiler, for those who show them."""

from enum import IntEnum
from typing import Final

SIGMA: Final = 0
BID_A: Final = 1
BID_K: Final = 2
ASK_A: Final = 3
ASK_K: Final = 4
NAMES: Final = ("sigma", "bid A", "bid k", "ask A", "ask k")
"""Rows of `ESTIMATE`, and how they are called."""


class Standing(IntEnum):
    """How far an estimate can be relied on."""

    PRIOR = 0
    WARMING = 1
    LIVE = 2
    REJECTED = 3


class Doubt(IntEnum):
    """Why an estimate is not live."""

    NONE = 0
    NO_DATA = 1
    TOO_FEW = 2
    STALE = 3
    ERROR_TOO_LARGE = 4
    NO_MOVEMENT = 5
    OUTSIDE_BOUNDS = 6
    NO_PRICE = 7
