"""A quoter with a model that answers what it is told to, and books and accounts in few words."""

import ctypes
import functools

import numpy as np

from mftcore import LEVEL
from mftpy import records
from mftpy.config import load
from mftpy.decisions import MODEL_INPUT, MODEL_OUTPUT
from mftpy.model.builtin import avellaneda_stoikov
from mftpy.model.by_address import compile_model
from mftpy.records import Reason
from mftpy.strategy.decide import Quoter
from mftpy.strategy.parameters import parameters

TICK, LOT = 0.1, 0.001
BUY, SELL = 1, -1
MS = 1_000_000
START_NS = 10**12


def levels(*pairs):
    """Return an array of LEVEL from (price_ticks, size_lots) pairs, best first."""
    array = np.zeros(len(pairs), LEVEL)
    for row, (ticks, lots) in zip(array, pairs, strict=True):
        row["price_ticks"], row["size_lots"] = ticks, lots
    return array


def book(bids, asks):
    """Return both sides as arrays from {price_ticks: size_lots}."""
    return levels(*sorted(bids.items(), reverse=True)), levels(*sorted(asks.items()))


def set_account(q, position_lots=0, own=(), **changes):
    """Write a quoter's account; `own` holds (side, price_ticks, lots)."""
    row = q.account
    row[:] = 0
    row["ready"], row["position_lots"], row["n_own"] = 1, position_lots, len(own)
    for i, (side, ticks, lots) in enumerate(own):
        row["own_side"][0, i], row["own_ticks"][0, i], row["own_lots"][0, i] = side, ticks, lots
    for name, value in changes.items():
        row[name] = value


@functools.cache
def shipped_model():
    return compile_model(avellaneda_stoikov)


class Scripted:
    """A model in Python: gives the answer that it holds, and keeps what it was shown.

    Attributes
    ----------
    out, x : ndarray, shape (1,)
    status : int
    calls : int
    """

    def __init__(self):
        self.out, self.x = np.zeros(1, MODEL_OUTPUT), np.zeros(1, MODEL_INPUT)
        self.status, self.calls = 0, 0
        self._callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(self._call)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value

    def _call(self, x, out):
        self.calls += 1
        ctypes.memmove(self.x.ctypes.data, x, MODEL_INPUT.itemsize)
        ctypes.memmove(out, self.out.ctypes.data, MODEL_OUTPUT.itemsize)
        return self.status

    def answer(self, bids=(), asks=(), *, tick=TICK, lot=LOT, **terms):
        """Say what to answer: prices in ticks, or (price in ticks, size in lots) pairs, best first."""
        self.out[:] = 0
        for name, wanted in (("bid", bids), ("ask", asks)):
            self.out[f"n_{name}s"] = len(wanted)
            for i, item in enumerate(wanted):
                ticks, lots = item if isinstance(item, tuple) else (item, 0)
                self.out[f"{name}_price"][0, i], self.out[f"{name}_size"][0, i] = ticks * tick, lots * lot
        for name, value in terms.items():
            self.out[name] = value


@functools.cache
def _parameters(overrides, tick, lot):
    return parameters(load(None, dict(overrides)), tick, lot)


def quoter(overrides=None, *, model=None, tick=TICK, lot=LOT, **changes):
    """Return a quoter with the default settings, some of them changed, that everything is in order for.

    `changes` are members of `PARAMETERS`; A and k are those of both sides.
    """
    row = _parameters(tuple(sorted((overrides or {}).items())), tick, lot).copy()
    for name, value in changes.items():
        for member in (f"{name}_bid", f"{name}_ask") if name in ("A", "k") else (name,):
            row[member] = value
    model = model or shipped_model()
    q = Quoter(row, model.address, model)
    set_account(q)
    return q


def decide(q, bids, asks, now_ns=START_NS, **stamp):
    """Decide on a book that comes at this moment, from a feed that is alive; return (reasons, the target's row)."""
    q.transport_ns = now_ns
    q.observe_book(bids, asks, len(bids), len(asks), now_ns, **stamp)
    q.decide(now_ns)
    return Reason(int(q.target["reasons"][0])), q.target[0]


def set_index(q, price, now_ns=START_NS):
    q.ticker["index_price"], q.ticker["receive_ns"] = price, now_ns


def trade(price_ticks, taker_side, **changes):
    row = records.blank(records.TRADE)
    row["price_ticks"], row["size_lots"], row["taker_side"] = price_ticks, 10, taker_side
    for name, value in changes.items():
        row[name] = value
    return row


def wanted(row):
    """Return (bids, asks) of a target or decision as lists of (price_ticks, lots)."""
    return tuple(
        [(int(row[f"{side}_ticks"][i]), int(row[f"{side}_lots"][i])) for i in range(int(row[f"n_{side}s"]))]
        for side in ("bid", "ask")
    )
