"""Writes a recording of the model flow, in the format that `recording` reads; on a clock of its own, in no time."""

from __future__ import annotations

import gzip
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from mftpy.errors import ConfigError
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.flow import Market
from mftpy.sim.flow_model import STEP_NS, ModelFlow
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT, decimal_units
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Rules, Trading

START_UNIX_NS: Final = 1_700_000_000_000_000_000
"""A fixed date, so that the same seed gives the same bytes."""

UPDATES_BEFORE_SNAPSHOT: Final = 3


class _Lines:
    """The lines of a recording, made from the book of `Trading`."""

    def __init__(self, contract: Contract, symbol: str) -> None:
        self._contract = contract
        self._symbol = symbol
        self._last_id = 1_000
        self._shown: dict[tuple[int, int], int] = {}
        self._top: tuple[int | None, int | None] = (None, None)
        self.now_ns = START_UNIX_NS

    def _line(self, content: dict[str, Any]) -> bytes:
        return b"%d %s\n" % (self.now_ns, msgspec.json.encode(content))

    def _stream(self, name: str, data: dict[str, Any]) -> bytes:
        return self._line({"stream": f"{self._symbol.lower()}@{name}", "data": data})

    def _price(self, ticks: int) -> str:
        return _text(ticks * self._contract.listed.tick)

    def _size(self, lots: int) -> str:
        return _text(lots * self._contract.listed.lot)

    def snapshot(self) -> bytes:
        """The answer of the REST depth snapshot."""
        book = self._contract.book
        sides = {
            name: [[self._price(price), self._size(book.size(side, price))] for price in book.prices(side)]
            for name, side in (("bids", BUY), ("asks", SELL))
        }
        return self._line({"lastUpdateId": self._last_id, "E": self.now_ns // 10**6, **sides})

    def changes(self) -> list[bytes]:
        """Trades, the depth update and the bookTicker of one step; nothing where nothing has changed."""
        trading, lines = self._contract, []
        for price, lots, side, _ in trading.prints:
            data = {"e": "trade", "s": self._symbol, "p": self._price(price), "q": self._size(lots), "m": side == SELL}
            lines.append(self._stream("trade", data))
        trading.prints.clear()
        sides: dict[int, list[list[str]]] = {BUY: [], SELL: []}
        for side, price in sorted(trading.book.changed):
            lots = trading.book.size(side, price)
            if lots != self._shown.get((side, price), 0):
                self._shown[side, price] = lots
                sides[side].append([self._price(price), self._size(lots)])
        trading.book.changed.clear()
        count = len(sides[BUY]) + len(sides[SELL])
        if count:
            first, previous = self._last_id + 1, self._last_id
            self._last_id += count
            data = {"e": "depthUpdate", "s": self._symbol, "U": first, "u": self._last_id, "pu": previous}
            lines.append(self._stream("depth@0ms", {**data, "b": sides[BUY], "a": sides[SELL]}))
        top = (trading.book.best(BUY), trading.book.best(SELL))
        if top != self._top and top[0] is not None and top[1] is not None:
            self._top = top
            data = {"e": "bookTicker", "s": self._symbol, "u": self._last_id}
            lines.append(
                self._stream(
                    "bookTicker",
                    {
                        **data,
                        "b": self._price(top[0]),
                        "B": self._size(trading.book.size(BUY, top[0])),
                        "a": self._price(top[1]),
                        "A": self._size(trading.book.size(SELL, top[1])),
                    },
                )
            )
        return lines


def _text(value: Fraction) -> str:
    scaled = value * 10**8
    whole, part = divmod(int(scaled), 10**8)
    return f"{whole}.{part:08d}".rstrip("0").rstrip(".")


def write_recording(path: str, seconds: float, settings: ExchangeSettings) -> None:
    """Write so many seconds of the model flow.

    Raises
    ------
    ConfigError
        The file exists, or cannot be written.
    """
    target = Path(path)
    if target.exists():
        raise ConfigError(f"{path} exists; remove it or name another file")
    tick, lot = Fraction(repr(settings.tick_size or 0.1)), Fraction(repr(settings.lot_size or 0.001))
    listed = Listed(settings.instrument, "perpetual", settings.underlying, int(tick * UNIT), int(lot * UNIT))
    contract = Contract(listed, Underlying(settings.underlying, decimal_units(settings.initial_price)))
    clock = Clock(START_UNIX_NS, START_UNIX_NS)
    trading = Trading(Clearing(clock, [], FeeRates(0, 0)), [contract], Rules())
    market, flow = Market(trading, contract), ModelFlow(settings)
    lines = _Lines(contract, settings.underlying)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        # mtime and name are left out of the gzip header: the same seed gives the same bytes
        with fresh.open("xb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
            flow.start(market, lines.now_ns)
            steps = max(round(seconds * 1e9 / STEP_NS), UPDATES_BEFORE_SNAPSHOT + 1)
            for step in range(steps):
                file.writelines(lines.changes())
                if step == UPDATES_BEFORE_SNAPSHOT:
                    file.write(lines.snapshot())
                lines.now_ns += STEP_NS
                flow.step(market, lines.now_ns)
        fresh.replace(target)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; name another file") from error
    finally:
        fresh.unlink(missing_ok=True)
