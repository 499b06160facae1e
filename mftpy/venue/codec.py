"""Bytes of the exchange in, events out. No socket, no clock, no state.

`decode` reads the envelope only and leaves the payload as raw JSON; the caller knows what a reply answers, or which
channel it subscribed, and calls the decoder for that. Whatever cannot be read raises `ProtocolError`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from mftpy.venue import messages
from mftpy.venue.messages import (
    AccountSummary,
    BookMessage,
    Error,
    Index,
    Instrument,
    LightTicker,
    OrderStatus,
    PortfolioEntry,
    ProtocolError,
    SystemEvent,
    Ticker,
    Trade,
    nanoseconds,
)
from mftpy.venue.scale import Levels, Scale

__all__ = [
    "Book",
    "Event",
    "Notification",
    "ProtocolError",
    "PublicTrade",
    "Reply",
    "Scale",
    "decode",
    "decode_account_summary",
    "decode_book",
    "decode_index",
    "decode_light_ticker",
    "decode_notification",
    "decode_orders",
    "decode_portfolio",
    "decode_result",
    "decode_system",
    "decode_ticker",
    "decode_trades",
]

T = TypeVar("T")

EXCERPT: Final = 60


class Reply(NamedTuple):
    """An answer to a request: `result` is raw JSON (``null`` included), or `error` is set."""

    id: int | float | str | bool | None
    result: Raw | None
    error: Error | None


class Notification(NamedTuple):
    """A message of a subscribed channel; `data` is raw JSON."""

    channel: str
    snapshot: bool
    data: Raw


Event = Reply | Notification


_ABSENT: Final = Raw(b"")


class _Envelope(msgspec.Struct, gc=False):
    id: int | float | str | bool | None = None
    result: Raw = _ABSENT
    error: Raw = _ABSENT
    channel_name: str | None = None
    notification: Raw = _ABSENT
    snapshot: bool | None = None


_envelope: Final = Decoder(_Envelope)
_error: Final = Decoder(Error)
_book: Final = Decoder(BookMessage)
_ticker: Final = Decoder(Ticker)
_light_ticker: Final = Decoder(LightTicker)
_index: Final = Decoder(Index)
_orders: Final = Decoder(list[OrderStatus])
_trades: Final = Decoder(list[Trade])
_portfolio: Final = Decoder(list[PortfolioEntry])
_account_summary: Final = Decoder(AccountSummary)
_system: Final = Decoder(SystemEvent)
_order: Final = Decoder(OrderStatus)
_channels: Final = Decoder(list[str])
_instruments: Final = Decoder(list[Instrument])
_nothing: Final = Decoder(None)

_RESULTS: Final[dict[str, Decoder[Any]]] = {
    "public/login": Decoder(messages.Login),
    "public/subscribe": _channels,
    "public/instruments": _instruments,
    "public/all_instruments": _instruments,
    "public/instrument": Decoder(Instrument),
    "public/ticker": _ticker,
    "public/index": _index,
    "public/system_info": Decoder(messages.SystemInfo),
    "private/subscribe": _channels,
    "unsubscribe": _channels,
    "private/set_cancel_on_disconnect": Decoder(messages.CancelOnDisconnect),
    "private/insert": _order,
    "private/buy": _order,
    "private/sell": _order,
    "private/amend": _order,
    "private/cancel": _order,
    "private/cancel_all": Decoder(int),
    "private/cancel_session": _nothing,
    "private/open_orders": _orders,
    "private/portfolio": _portfolio,
    "private/account_summary": _account_summary,
    "private/trade_history": Decoder(messages.TradeHistory),
}

_FAMILIES: Final[dict[str, Decoder[Any]]] = {
    "book": _book,
    "ticker": _ticker,
    "lwt": _light_ticker,
    "price_index": _index,
    "session.orders": _orders,
    "account.orders": _orders,
    "account.persistent_orders": _orders,
    "account.trade_history": _trades,
    "account.portfolio": _portfolio,
    "account.summary": _account_summary,
    "system": _system,
}


def _excerpt(payload: bytes) -> str:
    text = payload[:EXCERPT].decode("utf-8", "backslashreplace")
    return repr(text + "..." if len(payload) > EXCERPT else text)


def _read(decoder: Decoder[T], raw: Raw | bytes, what: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(
            f"the exchange sent {what} that cannot be read ({error}): {_excerpt(bytes(raw))}"
        ) from error


def decode(payload: bytes | bytearray | memoryview) -> Event:
    """Read the envelope of one message.

    Parameters
    ----------
    payload : bytes-like
        One whole message. Anything but `bytes` is copied, since the raw parts of the event refer to it.

    Raises
    ------
    ProtocolError
        It is neither an answer nor a notification, or not valid JSON in UTF-8.
    """
    if type(payload) is not bytes:
        payload = bytes(payload)
    try:
        if not payload.isascii():
            payload.decode()  # msgspec does not look into the strings of members that it skips
        envelope = _envelope.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the exchange sent what is no message ({error}): {_excerpt(payload)}") from error
    has_result, has_error = envelope.result is not _ABSENT, envelope.error is not _ABSENT
    if envelope.channel_name is not None:
        if has_result or has_error or envelope.notification is _ABSENT:
            raise ProtocolError(f"the exchange sent a notification that contradicts itself: {_excerpt(payload)}")
        return Notification(envelope.channel_name, bool(envelope.snapshot), envelope.notification)
    if has_result == has_error:
        raise ProtocolError(f"the exchange sent neither an answer nor a notification: {_excerpt(payload)}")
    if has_error:
        return Reply(envelope.id, None, _read(_error, envelope.error, "an error"))
    return Reply(envelope.id, envelope.result, None)


def decode_result(method: str, raw: Raw | bytes) -> Any:
    """Read the result of `method`.

    Returns
    -------
    object
        ``public/login``: Login; ``*subscribe``: list of the accepted channels; ``private/insert|amend|cancel``:
        OrderStatus; ``private/open_orders``: list of OrderStatus; and so on as in `messages`. None for
        ``private/cancel_session``.

    Raises
    ------
    ProtocolError
        It is not what this method answers.
    KeyError
        This program never sends `method`.
    """
    return _read(_RESULTS[method], raw, f"an answer to {method}")


def decode_notification(note: Notification) -> Any:
    """Read a notification by the family of its channel, with floats as sent; for books rather use `decode_book`.

    Raises
    ------
    ProtocolError
        It cannot be read, or the channel is of a family that this program never subscribes.
    """
    decoder = _FAMILIES.get(note.channel) or _FAMILIES.get(note.channel.partition(".")[0])
    if decoder is None:
        raise ProtocolError(
            f"the exchange sent a message of channel {note.channel[:EXCERPT]!r}, which was not asked for"
        )
    return _read(decoder, note.data, f"a message of {note.channel}")


class PublicTrade(NamedTuple):
    """A public trade in ticks and lots; `taker_side` 1 is a buy, -1 a sell, as `direction` in the message says."""

    price_ticks: int
    size_lots: int
    taker_side: int
    exchange_time_ns: int
    implied_taker: bool


class Book(NamedTuple):
    """One message of a book channel in ticks and lots.

    Attributes
    ----------
    bids, asks : ndarray of int64, shape (n, 3)
        ``[price_ticks, size_lots, outright_lots]``; size 0 removes the level.
    trades : list of PublicTrade
        Those of a snapshot may be old: ignore them.
    exchange_time_ns : int
        Unix time; 0 when the message carries none.
    total_bid_amount, total_ask_amount : float or None
        Of all levels, in coins.
    """

    bids: Levels
    asks: Levels
    trades: list[PublicTrade]
    exchange_time_ns: int
    total_bid_amount: float | None
    total_ask_amount: float | None


def decode_book(raw: Raw | bytes, scale: Scale) -> Book:
    """Read a message of a book channel.

    Raises
    ------
    ProtocolError
        It cannot be read, or a number is no whole number of ticks or lots.
    """
    message = _read(_book, raw, "a book")
    trades = [
        PublicTrade(
            scale.ticks(trade.price),
            scale.lots(trade.amount),
            1 if trade.direction == "buy" else -1,
            nanoseconds(trade.time),
            bool(trade.implied_taker),
        )
        for trade in message.trades or ()
    ]
    return Book(
        scale.levels(message.bid_changes or ()),
        scale.levels(message.ask_changes or ()),
        trades,
        0 if message.time is None else nanoseconds(message.time),
        message.total_bid_amount,
        message.total_ask_amount,
    )


def decode_ticker(raw: Raw | bytes) -> Ticker:
    """Read a message of a ticker channel."""
    return _read(_ticker, raw, "a ticker")


def decode_light_ticker(raw: Raw | bytes) -> LightTicker:
    """Read a message of a light ticker (``lwt``) channel."""
    return _read(_light_ticker, raw, "a light ticker")


def decode_index(raw: Raw | bytes) -> Index:
    """Read a message of a price index channel."""
    return _read(_index, raw, "an index")


def decode_orders(raw: Raw | bytes) -> list[OrderStatus]:
    """Read a message of an order channel."""
    return _read(_orders, raw, "orders")


def decode_trades(raw: Raw | bytes) -> list[Trade]:
    """Read a message of ``account.trade_history``."""
    return _read(_trades, raw, "trades")


def decode_portfolio(raw: Raw | bytes) -> list[PortfolioEntry]:
    """Read a message of ``account.portfolio``."""
    return _read(_portfolio, raw, "positions")


def decode_account_summary(raw: Raw | bytes) -> AccountSummary:
    """Read a message of ``account.summary``."""
    return _read(_account_summary, raw, "an account summary")


def decode_system(raw: Raw | bytes) -> SystemEvent:
    """Read a message of ``system``."""
    return _read(_system, raw, "a system event")
