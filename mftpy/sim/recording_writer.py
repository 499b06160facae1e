"""Writes a recording of the model flow, in the formats that `recording` reads; on a clock of its own, in no time."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
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
from mftpy.sim.recording_format import Kind, contract_usd, decimal
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Rules, Trading

START_UNIX_NS: Final = 1_700_000_000_000_000_000
"""A fixed date, so that the same seed gives the same bytes."""

UPDATES_BEFORE_SNAPSHOT: Final = 3

DEPTH_STREAM: Final = {Kind.USD_M: "depth@0ms", Kind.COIN_M: "depth@0ms", Kind.SPOT: "depth@100ms"}
"""The depth streams that the collector subscribes to."""

STEPS_PER_UPDATE: Final = {Kind.USD_M: 1, Kind.COIN_M: 1, Kind.SPOT: 2}
"""Spot gathers the changes of 100 ms, two steps of the flow."""

FOREIGN_IDS: Final = {Kind.USD_M: 6, Kind.COIN_M: 6, Kind.SPOT: 0}
"""Ids before each change that go to other symbols: on the futures exchanges ids are shared."""

Book = dict[tuple[int, int], int]
"""Lots by side and price in ticks."""


class _World:
    """A market that the model flow moves and no client trades in."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self.tick_units = _step("--tick", settings.tick_size or 0.1)
        self.lot_units = _step("--lot", settings.lot_size or 0.001)
        listed = Listed(settings.instrument, "perpetual", settings.underlying, self.tick_units, self.lot_units)
        underlying = Underlying(settings.underlying, decimal_units(settings.initial_price))
        self._contract = Contract(listed, underlying)
        clock = Clock(START_UNIX_NS, START_UNIX_NS)
        trading = Trading(Clearing(clock, [], FeeRates(0, 0)), [self._contract], Rules())
        self._market, self._flow = Market(trading, self._contract), ModelFlow(settings)

    def start(self, now_ns: int) -> None:
        """Make the first book."""
        self._flow.start(self._market, now_ns)

    def step(self, now_ns: int) -> None:
        """Let time pass."""
        self._flow.step(self._market, now_ns)

    def prints(self) -> list[tuple[int, int, int]]:
        """Return trades since the last call: price in ticks, lots, side of the taker."""
        found = [(price, lots, side) for price, lots, side, _ in self._contract.prints]
        self._contract.prints.clear()
        return found

    def book(self) -> Book:
        """Return all that rests, best first on each side."""
        book = self._contract.book
        return {(side, price): book.size(side, price) for side in (BUY, SELL) for price in book.prices(side)}


class _Lines:
    """The lines of a recording, in the fields that the vendor documents for each kind of stream."""

    def __init__(self, world: _World, kind: Kind, underlying: str) -> None:
        self._world = world
        self._kind = kind
        self._symbol = f"{underlying}_PERP" if kind is Kind.COIN_M else f"{underlying}T"
        self._pair = underlying
        self._contract_usd = contract_usd(self._symbol.lower())
        self._last_id = 1_000
        self._shown_id = 1_000
        self._first_id = 0
        self._trade_id = 0
        self._steps = 0
        self._book: Book = {}
        self._shown: dict[tuple[int, int], str] = {}
        self._top: tuple[Any, Any] = (None, None)
        self.now_ns = START_UNIX_NS

    def snapshot(self) -> bytes:
        """The answer of the REST depth snapshot."""
        sides = {
            name: [
                [self._price(price), self._size(price, lots)] for (of, price), lots in self._book.items() if of == side
            ]
            for name, side in (("bids", BUY), ("asks", SELL))
        }
        names = {"symbol": self._symbol, "pair": self._pair} if self._kind is Kind.COIN_M else {}
        times = {} if self._kind is Kind.SPOT else {"E": self._now_ms(), "T": self._now_ms()}
        return self._line({"lastUpdateId": self._last_id, **names, **times, **sides})

    def changes(self) -> Iterator[bytes]:
        """Trades, the depth update and the bookTicker of one step; nothing where nothing has changed."""
        for price, lots, side in self._world.prints():
            self._trade_id += 1
            data = {"t": self._trade_id, "p": self._price(price), "q": self._size(price, lots)}
            data |= {"m": side == SELL, "M": True} if self._kind is Kind.SPOT else {"X": "MARKET", "m": side == SELL}
            yield self._stream("trade", {**self._head("trade"), **data})
        now = self._world.book()
        changed = [level for level in now.keys() | self._book.keys() if now.get(level, 0) != self._book.get(level, 0)]
        self._book = now
        if changed:
            self._first_id = self._first_id or self._last_id + FOREIGN_IDS[self._kind] + 1
            self._last_id += FOREIGN_IDS[self._kind] + len(changed)
        self._steps += 1
        if self._steps % STEPS_PER_UPDATE[self._kind] == 0:
            yield from self._update()
        yield from self._best()

    def _update(self) -> Iterator[bytes]:
        """Every level whose size is another than the one shown last."""
        sides: dict[int, list[list[str]]] = {BUY: [], SELL: []}
        for side, price in sorted(self._book.keys() | self._shown.keys()):
            size = self._size(price, self._book.get((side, price), 0))
            if size != self._shown.get((side, price), self._size(price, 0)):
                self._shown[side, price] = size
                sides[side].append([self._price(price), size])
        if not self._first_id:
            return
        ids = {"U": self._first_id, "u": self._last_id}
        if self._kind is not Kind.SPOT:
            ids["pu"] = self._shown_id
        self._first_id, self._shown_id = 0, self._last_id
        data = {**self._head("depthUpdate"), **ids, "b": sides[BUY], "a": sides[SELL]}
        yield self._stream(DEPTH_STREAM[self._kind], data)

    def _best(self) -> Iterator[bytes]:
        bid = next((level for level in self._book if level[0] == BUY), None)
        ask = next((level for level in self._book if level[0] == SELL), None)
        if bid is None or ask is None or (bid, ask) == self._top:
            return
        self._top = (bid, ask)
        head = {} if self._kind is Kind.SPOT else self._head("bookTicker")
        data = {**head, "u": self._last_id, "s": self._symbol}
        for level, (price, size) in ((bid, "bB"), (ask, "aA")):
            data |= {price: self._price(level[1]), size: self._size(level[1], self._book[level])}
        yield self._stream("bookTicker", data)

    def _head(self, event: str) -> dict[str, Any]:
        """Return what all events begin with; spot states the trade's time only, COIN-M the pair of what has a book."""
        head: dict[str, Any] = {"e": event, "E": self._now_ms()}
        if self._kind is not Kind.SPOT or event == "trade":
            head["T"] = self._now_ms()
        head["s"] = self._symbol
        if self._kind is Kind.COIN_M and event != "trade":
            head["ps"] = self._pair
        return head

    def _now_ms(self) -> int:
        return self.now_ns // 10**6

    def _line(self, content: dict[str, Any]) -> bytes:
        return b"%d %s\n" % (self.now_ns, msgspec.json.encode(content))

    def _stream(self, name: str, data: dict[str, Any]) -> bytes:
        return self._line({"stream": f"{self._symbol.lower()}@{name}", "data": data})

    def _price(self, ticks: int) -> str:
        return self._text(ticks * self._world.tick_units)

    def _size(self, ticks: int, lots: int) -> str:
        """Return a size: coins, but for COIN-M the nearest number of contracts that is not none."""
        coin_units = lots * self._world.lot_units
        if self._kind is not Kind.COIN_M:
            return self._text(coin_units)
        contract = self._contract_usd * UNIT * UNIT
        value = coin_units * ticks * self._world.tick_units
        return str(max((2 * value + contract) // (2 * contract), 1 if lots else 0))

    def _text(self, value_units: int) -> str:
        if self._kind is Kind.SPOT:  # with all its digits, as spot has it
            return f"{value_units // UNIT}.{value_units % UNIT:08d}"
        return decimal(value_units)


def _step(flag: str, size: float) -> int:
    units = decimal_units(size)
    if units < 1 or units / UNIT != size:
        raise ConfigError(f"{flag} {size:g} is not a whole number of 1e-8, the finest step of such a recording")
    return units


def write_recording(path: str, seconds: float, settings: ExchangeSettings, kind: Kind = Kind.USD_M) -> None:
    """Write so many seconds of the model flow, as the collector would have recorded it from one of its exchanges.

    Raises
    ------
    ConfigError
        The file exists, or cannot be written; tick or lot are finer than such a recording can have.
    """
    target = Path(path)
    if target.exists():
        raise ConfigError(f"{path} exists; remove it or name another file")
    world = _World(settings)
    lines = _Lines(world, kind, settings.underlying)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        # mtime and name are left out of the gzip header: the same seed gives the same bytes
        with fresh.open("xb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
            world.start(lines.now_ns)
            steps = max(round(seconds * 1e9 / STEP_NS), UPDATES_BEFORE_SNAPSHOT + 1)
            for step in range(steps):
                file.writelines(lines.changes())
                if step == UPDATES_BEFORE_SNAPSHOT:
                    file.write(lines.snapshot())
                lines.now_ns += STEP_NS
                world.step(lines.now_ns)
        fresh.replace(target)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; name another file") from error
    finally:
        fresh.unlink(missing_ok=True)
