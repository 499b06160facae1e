"""One file of a recording: gzip lines, checked one by one, as events in ticks and lots."""

from __future__ import annotations

import gzip
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from mftpy.errors import InputFileError
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.recording_format import Best, Kind, Levels, Other, Trade, contract_usd, decimal, parse, units

PREFIX_LINES: Final = 20_000
"""Tick and lot are the greatest common divisors of the prices and sizes of so many lines."""

Level = tuple[int, int]


class Depth(NamedTuple):
    """Changes of the book: (price in ticks, new size in lots) a side; a snapshot is the whole book.

    It goes on from `previous_id`; 0 for a snapshot.
    """

    line: int
    local_ns: int
    snapshot: bool
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


class Steps(NamedTuple):
    """Price step and size step, in units of 1e-8."""

    tick_units: int
    lot_units: int


class RecordedFile:
    """One file; its beginning is looked at when it is made.

    Parameters
    ----------
    path : str
    needs_snapshot : bool
        Look on until a depth snapshot is found.

    Attributes
    ----------
    kind : Kind
    symbol : str
    begin_ns : int
        Local timestamp of the first line.
    price_divisor, size_divisor : int
        Greatest common divisors found, in units of 1e-8; 0 when there is no number.
    best_units : int
        Best bid of the first snapshot, else its best ask, in units of 1e-8; 0 without one.
    passed_over : Counter of str to int
        Lines of the last reading that no book is made of, by what they are.

    Raises
    ------
    InputFileError
        One sentence that names file and line.
    """

    def __init__(self, path: str, *, needs_snapshot: bool) -> None:
        self.path = path
        self.begin_ns = -1
        self.price_divisor = self.size_divisor = self.best_units = 0
        self.passed_over: Counter[str] = Counter()
        self._kind: Kind | None = None
        self._symbol: str | None = None
        self._look(needs_snapshot)

    @property
    def kind(self) -> Kind:
        """Which exchange's streams it holds."""
        assert self._kind is not None  # _look refuses a file without
        return self._kind

    @property
    def symbol(self) -> str:
        """Name of the market in the names of the streams, in small letters."""
        assert self._symbol is not None  # as above
        return self._symbol

    @property
    def contract_usd(self) -> int:
        """Value of one contract in USD, where sizes are contracts."""
        return contract_usd(self.symbol)

    def events(self, steps: Steps) -> Iterator[Depth | Top | Print]:
        """Yield what the file holds, in its order; lines of other streams are passed over, and counted."""
        self.passed_over.clear()
        for number, local_ns, content in self._lines():
            try:
                event = self._event(number, local_ns, content, steps)
            except ValueError as error:
                raise self.refusal(number, str(error)) from error
            if event is not None:
                yield event

    def refusal(self, line: int, what: str) -> InputFileError:
        """Return the error for one line of this file."""
        return InputFileError(f"{self.path}, line {line}: {what}")

    # inside

    def _look(self, needs_snapshot: bool) -> None:
        """Read the beginning: kind, symbol, the divisors of prices and sizes, the first snapshot's best price."""
        number, snapshot = 0, not needs_snapshot
        for number, local_ns, content in self._lines():
            if self.begin_ns < 0:
                self.begin_ns = local_ns
            if isinstance(content, Levels) and content.snapshot:
                snapshot = True
            try:
                prices, sizes = self._numbers(content)
            except ValueError as error:
                raise self.refusal(number, str(error)) from error
            self.price_divisor = math.gcd(self.price_divisor, *prices)
            self.size_divisor = math.gcd(self.size_divisor, *sizes)
            if number >= PREFIX_LINES and snapshot:
                break
        if not number:
            raise InputFileError(f"{self.path} is empty; a recording holds gzip lines 'local_timestamp_ns json'")
        if not snapshot:
            raise InputFileError(
                f"{self.path}: no depth snapshot (lastUpdateId) in the first {number} lines; "
                "the recording needs the line of the REST depth snapshot"
            )
        if self._kind is None:
            raise InputFileError(
                f"{self.path}: no depth update of Binance's USD-M, COIN-M or spot streams in the first {number} lines; "
                "only recordings of these can be played"
            )

    def _numbers(self, content: Levels | Best | Trade | Other) -> tuple[list[int], list[int]]:
        if isinstance(content, Levels):
            pairs = [*content.bids, *content.asks]
            if content.snapshot and not self.best_units and pairs:
                self.best_units = units(pairs[0][0])
            return [units(price) for price, _ in pairs], [units(size) for _, size in pairs]
        if isinstance(content, Best):
            return [units(content.bid), units(content.ask)], []
        if isinstance(content, Trade):
            return [units(content.price)], [units(content.size)]
        return [], []

    def _lines(self) -> Iterator[tuple[int, int, Levels | Best | Trade | Other]]:
        number = 0
        try:
            if Path(self.path).is_dir():
                raise InputFileError(f"{self.path} is a directory; name the file of a recording")
            with gzip.open(self.path, "rb") as file:
                for raw in file:
                    number += 1
                    stamp, _, text = raw.partition(b" ")
                    if not stamp.isdigit() or len(stamp) > 19:
                        raise self.refusal(
                            number,
                            "does not begin with a local timestamp in ns; "
                            "is it a recording in hftbacktest's collector format?",
                        )
                    yield number, int(stamp), self._parse(number, text)
        except gzip.BadGzipFile as error:
            raise self.refusal(number + 1, f"not gzip, or damaged: {error}") from error
        except (EOFError, zlib.error) as error:
            raise self.refusal(number + 1, f"cut off or damaged: {error}") from error
        except OSError as error:
            raise InputFileError(f"cannot read {self.path}: {error.strerror or error}") from error

    def _parse(self, number: int, text: bytes) -> Levels | Best | Trade | Other:
        try:
            content = parse(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.refusal(number, f"not the JSON of such a feed: {error}") from error
        except ValueError as error:
            raise self.refusal(number, str(error)) from error
        if isinstance(content, Other):
            return content
        if content.symbol is not None:
            self._symbol = self._symbol or content.symbol
            if content.symbol != self._symbol:
                raise self.refusal(
                    number, f"is of {content.symbol}, but the file began with {self._symbol}; one file holds one symbol"
                )
        if isinstance(content, Levels) and content.kind is not None:
            self._kind = self._kind or content.kind
            if content.kind is not self._kind:
                raise self.refusal(
                    number,
                    f"is of {content.kind} streams, but the file began with {self._kind}; record each exchange into a "
                    "file of its own",
                )
        return content

    def _event(
        self, number: int, local_ns: int, content: Levels | Best | Trade | Other, steps: Steps
    ) -> Depth | Top | Print | None:
        if isinstance(content, Levels):
            return Depth(
                number,
                local_ns,
                content.snapshot,
                content.first_id,
                content.final_id,
                content.previous_id,
                self._levels(content.bids, steps),
                self._levels(content.asks, steps),
            )
        if isinstance(content, Best):
            bid, ask = _ticks(units(content.bid), steps), _ticks(units(content.ask), steps)
            return Top(number, local_ns, content.update_id, bid, ask)
        if isinstance(content, Trade):
            price_units = units(content.price)
            side = SELL if content.buyer_is_maker else BUY
            lots = self._lots(content.size, price_units, steps)
            return Print(number, local_ns, _ticks(price_units, steps), lots, side)
        self.passed_over[content.what] += 1
        return None

    def _levels(self, pairs: list[tuple[str, str]], steps: Steps) -> list[Level]:
        found = []
        for price, size in pairs:
            price_units = units(price)
            found.append((_ticks(price_units, steps), self._lots(size, price_units, steps)))
        return found

    def _lots(self, text: str, price_units: int, steps: Steps) -> int:
        size_units = units(text)
        if self._kind is Kind.COIN_M:
            return self._contract_lots(size_units, price_units, steps)
        lots, rest = divmod(size_units, steps.lot_units)
        if rest:
            raise ValueError(f"the size {text} is not on the lot {decimal(steps.lot_units)}; try another --lot")
        return lots

    def _contract_lots(self, size_units: int, price_units: int, steps: Steps) -> int:
        """Return contracts as lots of coins at a price, rounded down.

        Prints that use up a level come to no more lots than the level had, whatever their number.
        """
        contracts, rest = divmod(size_units, UNIT)
        if rest:
            raise ValueError(f"the size {decimal(size_units)} is not a whole number of contracts")
        lots = contracts * self.contract_usd * UNIT * UNIT // (price_units * steps.lot_units)
        if contracts and not lots:
            raise ValueError(
                f"{contracts} contracts at {decimal(price_units)} are less than the lot {decimal(steps.lot_units)}; "
                "try a smaller --lot"
            )
        return lots


def _ticks(price_units: int, steps: Steps) -> int:
    ticks, rest = divmod(price_units, steps.tick_units)
    if rest or not ticks:
        raise ValueError(
            f"the price {decimal(price_units)} is not on the tick {decimal(steps.tick_units)}; try another --tick"
        )
    return ticks
