"""What faults do to the content of single messages: decode, change, encode, and nothing else of them."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

_decoder: Final = msgspec.json.Decoder()
_CHANNEL: Final = b'{"channel_name":"'


class _Request(msgspec.Struct):
    method: str = ""


_request_decoder: Final = msgspec.json.Decoder(_Request)


def channel_of(payload: bytes) -> str | None:
    """Return the channel of a notice; None for an answer."""
    if not payload.startswith(_CHANNEL):
        return None
    return payload[len(_CHANNEL) : payload.index(b'"', len(_CHANNEL))].decode()


def method_of(payload: bytes) -> str:
    """Return the method of a request; an empty text when there is none."""
    try:
        return _request_decoder.decode(payload).method
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""


def instrument_of(channel: str) -> str:
    """Return the instrument that a channel is about."""
    return channel.split(".")[1] if "." in channel else ""


def is_snapshot(payload: bytes) -> bool:
    """Whether a notice is flagged as one."""
    return _decoder.decode(payload).get("snapshot") is True


def without_one_level(payload: bytes, rng: random.Random) -> bytes | None:
    """Return a book notice without one of its changed levels; None when it is a snapshot or has none."""
    message = _decoder.decode(payload)
    if message.get("snapshot"):
        return None
    content = message["notification"]
    places = [(side, place) for side in ("bid_changes", "ask_changes") for place in range(len(content.get(side, ())))]
    if not places:
        return None
    side, place = rng.choice(places)
    del content[side][place]
    return msgspec.json.encode(message)


def crossing_bid(answer: bytes) -> tuple[float, float] | None:
    """Return price and amount of a bid that crosses all asks in the answer to ``public/book``; None without asks."""
    asks = (_decoder.decode(answer).get("result") or {}).get("asks") or []
    return (asks[-1][0], asks[0][1]) if asks else None


def has_bid_change(payload: bytes, price: float) -> bool:
    """Whether a book notice says something about a bid price."""
    return any(level[0] == price for level in _decoder.decode(payload)["notification"]["bid_changes"])


def with_bid(payload: bytes, price: float, amount: float) -> bytes:
    """Return a book notice with one bid more in its changes, first of them; an amount of 0 takes it away."""
    message = _decoder.decode(payload)
    message["notification"]["bid_changes"].insert(0, [price, amount, amount])
    return msgspec.json.encode(message)


def with_more_in_total(payload: bytes, amount: float) -> bytes:
    """Return a book notice whose stated total of the bids is larger."""
    message = _decoder.decode(payload)
    content = message["notification"]
    content["total_bid_amount"] = round(content.get("total_bid_amount", 0) + amount, 8)
    return msgspec.json.encode(message)


def with_banner(payload: bytes, banner: dict[str, Any]) -> bytes:
    """Return the answer to ``public/system_info`` with a banner more."""
    message = _decoder.decode(payload)
    if not isinstance(message.get("result"), dict):
        return payload
    message["result"].setdefault("banners", []).append(banner)
    return msgspec.json.encode(message)
