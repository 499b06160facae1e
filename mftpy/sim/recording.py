"""Reads a recorded feed: hftbacktest's collector format of Binance USD-M streams.

Gzip lines ``local_timestamp_ns json``: ``depth@0ms``, ``bookTicker`` and ``trade`` in stream envelopes, and one answer
of the REST depth snapshot. Prices and sizes become integers from their decimal text; no float is involved.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from mftpy.errors import InputFileError
from mftpy.sim.matching import BUY, SELL

UNIT: Final = 10**8
"""Prices and sizes are read in units of 1e-8, as fine as such a feed gets."""

PREFIX_LINES: Final = 20_000
"""Tick and lot are the greatest common divisors of the prices and sizes of so many lines."""

BUFFERED_LINES: Final = 100_000

Level = tuple[int, int]


class Depth(NamedTuple):
    """Changes of the book: (price in ticks, new size in lots) a side; a snapshot when `first_id` is 0."""

    line: int
    local_ns: int
    first_id: int
    final_id: int
    previous_id: int
    bids: list[Level]
    asks: list[Level]


class Top(NamedTuple):
    """Best prices as the exchange published them."""

    line: int
    local_ns: int
    update_id: int
    bid_ticks: int
    ask_ticks: int


class Print(NamedTuple):
    """One trade."""

    line: int
    local_ns: int
    price_ticks: int
    lots: int
    taker_side: int


class _Data(msgspec.Struct, frozen=True):
    kind: str | None = msgspec.field(name="e", default=None)
    first_id: int = msgspec.field(name="U", default=0)
    final_id: int = msgspec.field(name="u", default=0)
    previous_id: int = msgspec.field(name="pu", default=0)
    b: list[tuple[str, str]] | str | None = None
    a: list[tuple[str, str]] | str | None = None
    price: str = msgspec.field(name="p", default="")
    quantity: str = msgspec.field(name="q", default="")
    buyer_is_maker: bool = msgspec.field(name="m", default=False)


class _Line(msgspec.Struct, frozen=True):
    stream: str | None = None
    data: _Data | None = None
    last_update_id: int | None = msgspec.field(name="lastUpdateId", default=None)
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


_decoder: Final = msgspec.json.Decoder(_Line)


def units(text: str) -> int:
    """Return a decimal text in units of 1e-8, exactly; ValueError when it is none, or finer."""
    whole, _, part = text.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (part and not (part.isascii() and part.isdigit())) or len(part) > 8:
        raise ValueError(f"{text!r} is not a decimal with at most 8 digits after the point")
    return int(whole + part.ljust(8, "0"))


class Recording:
    """One recorded file.

    Parameters
    ----------
    path : str
    tick_size, lot_size : float or None
        None: found from the first `PREFIX_LINES` lines, as the greatest common divisor of their prices and sizes.

    Raises
    ------
    InputFileError
        The file is missing, empty, damaged, of another kind, without snapshot, or not on the given steps; one sentence
        that names file and line.
    """

    def __init__(self, path: str, tick_size: float | None = None, lot_size: float | None = None) -> None:
        self.path = path
        self._tick_units = _step("--tick", tick_size)
        self._lot_units = _step("--lot", lot_size)
        self._read = 0
        found_tick, found_lot, snapshot = self._look()
        if not snapshot:
            raise InputFileError(
                f"{path}: no depth snapshot (lastUpdateId) in the first {self._read} lines; "
                "the recording needs the line of the REST depth snapshot"
            )
        self._tick_units = self._tick_units or found_tick
        self._lot_units = self._lot_units or found_lot
        if not self._tick_units or not self._lot_units:
            raise InputFileError(f"{path}: the first {self._read} lines hold no price and size to find the steps from")

    @property
    def tick_size(self) -> Fraction:
        """Quote currency per tick."""
        return Fraction(self._tick_units, UNIT)

    @property
    def lot_size(self) -> Fraction:
        """Coins per lot."""
        return Fraction(self._lot_units, UNIT)

    def events(self) -> Iterator[Depth | Top | Print]:
        """Yield what the file holds, in its order; lines of other streams are passed over."""
        for number, local_ns, line in self._lines():
            try:
                event = self._event(number, local_ns, line)
            except ValueError as error:
                raise InputFileError(f"{self.path}, line {number}: {error}") from error
            if event is not None:
                yield event

    def synchronised(self) -> Iterator[Depth | Top | Print]:
        """Yield the snapshot first, then all depth updates that it does not contain, and everything after it.

        Depth updates from before the snapshot's line that it does not contain follow it. Each update must go on where
        the one before ended; the first must reach back to the snapshot.
        """
        buffered: list[Depth] = []
        last_id, first = 0, True
        for event in self.events():
            if isinstance(event, Depth):
                if event.first_id == 0 and event.previous_id == 0 and not last_id:
                    last_id = event.final_id
                    yield event
                    following = [update for update in buffered if update.final_id > last_id]
                    buffered.clear()
                elif not last_id:
                    buffered.append(event)
                    if len(buffered) > BUFFERED_LINES:
                        raise InputFileError(f"{self.path}, line {event.line}: still no depth snapshot; giving up")
                    continue
                else:
                    following = [event] if event.final_id > last_id else []
                for update in following:
                    bridges = update.first_id <= last_id + 1 or update.previous_id <= last_id
                    if not (bridges if first else update.previous_id == last_id):
                        raise InputFileError(
                            f"{self.path}, line {update.line}: depth updates are missing before this one: it goes on "
                            f"from {update.previous_id}, the last one ended at {last_id}"
                        )
                    first, last_id = False, update.final_id
                    yield update
            elif last_id:
                yield event
        if not last_id:
            raise InputFileError(f"{self.path}: no depth snapshot (lastUpdateId) in the whole file")

    # inside

    def _look(self) -> tuple[int, int, bool]:
        """Read the beginning: the divisors of prices and sizes, and whether a snapshot is there."""
        tick = lot = 0
        snapshot = False
        for number, _, line in self._lines():
            self._read = number
            try:
                prices, sizes = _numbers(line)
            except ValueError as error:
                raise InputFileError(f"{self.path}, line {number}: {error}") from error
            tick, lot = math.gcd(tick, *prices), math.gcd(lot, *sizes)
            snapshot = snapshot or line.last_update_id is not None
            if number >= PREFIX_LINES and snapshot:
                break
        if not self._read:
            raise InputFileError(f"{self.path} is empty; a recording holds gzip lines 'local_timestamp_ns json'")
        return tick, lot, snapshot

    def _lines(self) -> Iterator[tuple[int, int, _Line]]:
        number = 0
        try:
            if Path(self.path).is_dir():
                raise InputFileError(f"{self.path} is a directory; name the file of a recording")
            with gzip.open(self.path, "rb") as file:
                for raw in file:
                    number += 1
                    stamp, _, text = raw.partition(b" ")
                    if not stamp.isdigit() or len(stamp) > 19:
                        raise InputFileError(
                            f"{self.path}, line {number}: does not begin with a local timestamp in ns; "
                            "is it a recording in hftbacktest's collector format?"
                        )
                    try:
                        yield number, int(stamp), _decoder.decode(text)
                    except msgspec.DecodeError as error:
                        raise InputFileError(
                            f"{self.path}, line {number}: not the JSON of such a feed: {error}"
                        ) from error
        except gzip.BadGzipFile as error:
            raise InputFileError(f"{self.path}, line {number + 1}: not gzip, or damaged: {error}") from error
        except (EOFError, zlib.error) as error:
            raise InputFileError(f"{self.path}, line {number + 1}: cut off or damaged: {error}") from error
        except OSError as error:
            raise InputFileError(f"cannot read {self.path}: {error.strerror or error}") from error

    def _event(self, number: int, local_ns: int, line: _Line) -> Depth | Top | Print | None:
        if line.last_update_id is not None:
            return Depth(number, local_ns, 0, line.last_update_id, 0, self._levels(line.bids), self._levels(line.asks))
        data = line.data
        if data is None:
            return None
        if data.kind == "depthUpdate":
            if not isinstance(data.b, list) or not isinstance(data.a, list) or data.final_id <= 0:
                raise ValueError("a depth update without levels or id")
            return Depth(
                number,
                local_ns,
                data.first_id,
                data.final_id,
                data.previous_id,
                self._levels(data.b),
                self._levels(data.a),
            )
        if data.kind == "bookTicker":
            if not isinstance(data.b, str) or not isinstance(data.a, str):
                raise ValueError("a bookTicker without prices")
            return Top(number, local_ns, data.final_id, self._ticks(data.b), self._ticks(data.a))
        if data.kind == "trade":
            side = SELL if data.buyer_is_maker else BUY
            return Print(number, local_ns, self._ticks(data.price), self._lots(data.quantity), side)
        return None

    def _levels(self, pairs: list[tuple[str, str]]) -> list[Level]:
        return [(self._ticks(price), self._lots(size)) for price, size in pairs]

    def _ticks(self, text: str) -> int:
        ticks, rest = divmod(units(text), self._tick_units)
        if rest or not ticks:
            raise ValueError(f"the price {text} is not on the tick {float(self.tick_size):g}; try another --tick")
        return ticks

    def _lots(self, text: str) -> int:
        lots, rest = divmod(units(text), self._lot_units)
        if rest:
            raise ValueError(f"the size {text} is not on the lot {float(self.lot_size):g}; try another --lot")
        return lots


def _step(flag: str, size: float | None) -> int:
    """Return a step in units of 1e-8; 0 when it is to be found."""
    if size is None:
        return 0
    exact = Fraction(repr(size)) * UNIT
    if exact < 1 or exact.denominator != 1:
        raise InputFileError(f"{flag} {size:g} is not a whole number of 1e-8, the finest step of such a recording")
    return int(exact)


def _numbers(line: _Line) -> tuple[list[int], list[int]]:
    pairs = [*line.bids, *line.asks]
    prices: list[str] = []
    sizes: list[str] = []
    data = line.data
    if data is not None:
        for side in (data.b, data.a):
            if isinstance(side, list):
                pairs += side
            elif side is not None:
                prices.append(side)
        if data.kind == "trade":
            prices.append(data.price)
            sizes.append(data.quantity)
    prices += [price for price, _ in pairs]
    sizes += [size for _, size in pairs]
    return [units(text) for text in prices], [units(text) for text in sizes]
