"""Lines of a recorded feed: hftbacktest's collector format of Binance's USD-M, COIN-M and spot streams.

Each line is ``local_timestamp_ns json``: ``depth``, ``bookTicker`` and ``trade`` in stream envelopes, and the answers
of the REST depth snapshot. Which of the three exchanges a file is of shows in its depth updates: spot has no ``pu``,
COIN-M has a pair (``ps``). Field names are the vendor's: developers.binance.com, "Diff Book Depth Streams", "Individual
Symbol Book Ticker Streams", "Trade Streams" and "Order Book" of each. Prices and sizes become integers from their
decimal text; no float is involved.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from mftpy.sim.money import UNIT

SYMBOL_LENGTH: Final = 40


class Kind(Enum):
    """Which exchange's streams a recording holds; the value is its name on the command line."""

    USD_M = "usd-m"
    COIN_M = "coin-m"
    SPOT = "spot"

    def __str__(self) -> str:
        """Return the name as in messages."""
        return {"usd-m": "USD-M", "coin-m": "COIN-M", "spot": "spot"}[self.value]


class Levels(NamedTuple):
    """Changes of the book as texts of price and size; a snapshot holds all of it.

    `previous_id` is what the update goes on from: ``pu`` where there is one, else ``U - 1``, which says the same by
    spot's rule that each ``U`` is the previous ``u`` plus one. It is 0 for a snapshot.
    """

    snapshot: bool
    first_id: int
    final_id: int
    previous_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    kind: Kind | None
    symbol: str | None


class Best(NamedTuple):
    """Best prices as the exchange published them, as texts."""

    symbol: str
    update_id: int
    bid: str
    ask: str


class Trade(NamedTuple):
    """One trade; price and size as texts."""

    symbol: str
    price: str
    size: str
    buyer_is_maker: bool


class Other(NamedTuple):
    """A line that no book is made of: another stream, a trade outside the book, or a refusal of the REST interface."""

    what: str


class _Line(msgspec.Struct, frozen=True):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    last_update_id: int | None = msgspec.field(name="lastUpdateId", default=None)
    code: int | None = None


class _Snapshot(msgspec.Struct, frozen=True):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    symbol: str | None = None
    pair: str | None = None


class _DepthUpdate(msgspec.Struct, frozen=True):
    first_id: int = msgspec.field(name="U")
    final_id: int = msgspec.field(name="u")
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    previous_id: int | None = msgspec.field(name="pu", default=None)
    pair: str | None = msgspec.field(name="ps", default=None)


class _BookTicker(msgspec.Struct, frozen=True):
    update_id: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    ask: str = msgspec.field(name="a")


class _Trade(msgspec.Struct, frozen=True):
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    execution: str = msgspec.field(name="X", default="MARKET")


_line: Final = msgspec.json.Decoder(_Line)
_snapshot: Final = msgspec.json.Decoder(_Snapshot)
_depth_update: Final = msgspec.json.Decoder(_DepthUpdate)
_book_ticker: Final = msgspec.json.Decoder(_BookTicker)
_trade: Final = msgspec.json.Decoder(_Trade)


def parse(text: bytes) -> Levels | Best | Trade | Other:
    """Return what one line holds, without its timestamp.

    Raises
    ------
    ValueError
        It is no JSON of such a feed; msgspec.DecodeError is one.
    """
    line = _line.decode(text)
    if line.last_update_id is not None:
        whole = _snapshot.decode(text)
        if whole.last_update_id <= 0:
            raise ValueError(f"a depth snapshot with the id {whole.last_update_id}")
        kind = Kind.COIN_M if whole.pair is not None else None
        symbol = None if whole.symbol is None else _symbol(whole.symbol.lower())
        return Levels(True, 0, whole.last_update_id, 0, whole.bids, whole.asks, kind, symbol)
    if line.stream is None or not bytes(line.data):
        if line.code is not None:
            return Other("a refused snapshot")
        raise ValueError("neither a stream of Binance's nor a depth snapshot")
    symbol, _, name = line.stream.partition("@")
    symbol = _symbol(symbol)
    if name == "depth" or name.startswith("depth@"):
        return _levels(symbol, _depth_update.decode(line.data))
    if name == "bookTicker":
        top = _book_ticker.decode(line.data)
        return Best(symbol, top.update_id, top.bid, top.ask)
    if name == "trade":
        trade = _trade.decode(line.data)
        if trade.execution != "MARKET":  # insurance fund and automatic deleveraging: no order of the book has traded
            return Other("a trade outside the book")
        return Trade(symbol, trade.price, trade.quantity, trade.buyer_is_maker)
    return Other("another stream")


def _symbol(text: str) -> str:
    """Return a symbol that is fit for one line of a message."""
    if not 0 < len(text) <= SYMBOL_LENGTH or not text.isprintable():
        raise ValueError(f"{text[:SYMBOL_LENGTH]!r} is not a symbol")
    return text


def _levels(symbol: str, update: _DepthUpdate) -> Levels:
    if update.previous_id is None:
        if update.pair is not None:
            raise ValueError("a depth update with a pair (ps) but without pu: of none of USD-M, COIN-M and spot")
        kind, previous_id = Kind.SPOT, update.first_id - 1
    else:
        kind, previous_id = Kind.USD_M if update.pair is None else Kind.COIN_M, update.previous_id
    if not 0 <= previous_id < update.first_id <= update.final_id:
        raise ValueError(
            f"a depth update from {update.first_id} to {update.final_id} after {previous_id}: its ids are out of order"
        )
    return Levels(False, update.first_id, update.final_id, previous_id, update.b, update.a, kind, symbol)


def units(text: str) -> int:
    """Return a decimal text in units of 1e-8, exactly; ValueError when it is none, or finer."""
    whole, _, part = text.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (part and not (part.isascii() and part.isdigit())) or len(part) > 8:
        raise ValueError(f"{text[:40]!r} is not a decimal with at most 8 digits after the point")
    return int(whole + part.ljust(8, "0"))


def decimal(value_units: int) -> str:
    """Return a text without trailing zeros of a number in units of 1e-8; the reverse of `units`."""
    whole, part = divmod(value_units, UNIT)
    return f"{whole}.{part:08d}".rstrip("0").rstrip(".")


def contract_usd(symbol: str) -> int:
    """Value of one COIN-M contract in USD: 100 for BTC, 10 for every other coin (the vendor's contract sizes)."""
    return 100 if re.fullmatch(r"btcusd_\w+", symbol) else 10
