"""Requests to the exchange, as bytes: compact JSON, prices and amounts as exact decimals."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, Final, NamedTuple

import msgspec

from mftpy.errors import VenueError
from mftpy.venue.codec import Reply
from mftpy.venue.scale import Scale

LABEL: Final = re.compile(r"[A-Za-z0-9<>|_-]{1,32}")
MOST_CLIENT_ORDER_ID: Final = 2**32 - 1
TIMES_IN_FORCE: Final = {"good_till_cancelled": b"", "immediate_or_cancel": b',"time_in_force":"immediate_or_cancel"'}


class RequestError(VenueError):
    """A request was about to be built that the exchange would refuse or misread; nothing was sent."""


class Pending(NamedTuple):
    """A request that awaits its answer."""

    method: str
    context: Any
    sent_ns: int


class RequestIds:
    """Ids of one session's requests, and what each unanswered one was about.

    Attributes
    ----------
    unknown : int
        Answers that matched no open request.
    """

    def __init__(self) -> None:
        self._next = 1
        self._open: dict[int, Pending] = {}
        self.unknown = 0

    def __len__(self) -> int:
        """Return how many requests await their answer."""
        return len(self._open)

    def issue(self, method: str, context: Any, now_ns: int) -> int:
        """Return a fresh id, unique in this session, and remember what it is for."""
        number = self._next
        self._next += 1
        self._open[number] = Pending(method, context, now_ns)
        return number

    def take(self, reply: Reply) -> Pending | None:
        """Return what `reply` answers and forget it; None, counted, when it answers nothing that is open."""
        pending = self._open.pop(reply.id, None) if type(reply.id) is int else None
        if pending is None:
            self.unknown += 1
        return pending

    def forget(self, number: int) -> Pending | None:
        """Take back an id whose request was not sent after all."""
        return self._open.pop(number, None)

    def overdue(self, sent_before_ns: int) -> list[tuple[int, Pending]]:
        """Return the open requests that were sent before a time, oldest first."""
        return [(number, pending) for number, pending in self._open.items() if pending.sent_ns < sent_before_ns]


def request(request_id: int, method: str, params: Mapping[str, Any] | None = None) -> bytes:
    """Return any request; parameters that are None are left out.

    Raises
    ------
    RequestError
        A parameter is not a finite number, or nothing that JSON can say.
    """
    given = {name: value for name, value in (params or {}).items() if value is not None}
    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RequestError(f"{method} cannot be sent with {name} = {value}")
    try:
        return msgspec.json.encode({"method": method, "params": given, "id": index(request_id)})
    except TypeError as error:
        raise RequestError(f"{method} cannot be sent: {error}") from error


def login(request_id: int, token: str, account: str | None = None) -> bytes:
    """Return ``public/login``; without `account` the key's default account is meant."""
    return request(request_id, "public/login", {"token": token, "account": account})


def set_cancel_on_disconnect(request_id: int, timeout_s: int) -> bytes:
    """Return ``private/set_cancel_on_disconnect``: send something at least every `timeout_s`, or the session dies."""
    if timeout_s < 1:
        raise RequestError(f"cancel-on-disconnect needs a timeout of at least one second, not {timeout_s}")
    return request(request_id, "private/set_cancel_on_disconnect", {"timeout_secs": index(timeout_s)})


def public_subscribe(request_id: int, channels: Sequence[str]) -> bytes:
    """Return ``public/subscribe``; compare the answer's list with `channels`."""
    return request(request_id, "public/subscribe", {"channels": list(channels)})


def private_subscribe(request_id: int, channels: Sequence[str]) -> bytes:
    """Return ``private/subscribe``; compare the answer's list with `channels`."""
    return request(request_id, "private/subscribe", {"channels": list(channels)})


def unsubscribe(request_id: int, channels: Sequence[str]) -> bytes:
    """Return ``unsubscribe``, for public and private channels."""
    return request(request_id, "unsubscribe", {"channels": list(channels)})


def instruments(request_id: int) -> bytes:
    """Return ``public/instruments``, unfiltered."""
    return request(request_id, "public/instruments")


def ticker(request_id: int, instrument_name: str) -> bytes:
    """Return ``public/ticker``."""
    return request(request_id, "public/ticker", {"instrument_name": instrument_name})


def cancel_session(request_id: int) -> bytes:
    """Return ``private/cancel_session``: every order of this session, in-flight inserts included."""
    return request(request_id, "private/cancel_session")


def open_orders(request_id: int) -> bytes:
    """Return ``private/open_orders``, of the whole account."""
    return request(request_id, "private/open_orders")


def portfolio(request_id: int) -> bytes:
    """Return ``private/portfolio``."""
    return request(request_id, "private/portfolio")


def account_summary(request_id: int) -> bytes:
    """Return ``private/account_summary``."""
    return request(request_id, "private/account_summary")


def trade_history(
    request_id: int,
    *,
    limit: int | None = None,
    time_low_s: float | None = None,
    time_high_s: float | None = None,
    bookmark: str | None = None,
    sort: str | None = None,
    instrument_names: Sequence[str] = (),
) -> bytes:
    """Return ``private/trade_history``; times are Unix seconds, `limit` is at most 1000."""
    params = {
        "limit": limit,
        "time_low": time_low_s,
        "time_high": time_high_s,
        "bookmark": bookmark,
        "sort": sort,
        "instrument_names": ",".join(instrument_names) or None,
    }
    return request(request_id, "private/trade_history", params)


def cancel_by_order_id(request_id: int, order_id: str) -> bytes:
    """Return ``private/cancel`` of an order of any session of the account."""
    return request(request_id, "private/cancel", {"order_id": order_id})


class OrderRequests:
    """Order messages of one instrument, from templates that are made once.

    Parameters
    ----------
    instrument_name : str
    scale : Scale
    label : str or None
        On every order; 1 to 32 characters of ``A-Z a-z 0-9 < > | _ -``.

    Raises
    ------
    RequestError
        The label is not one.
    """

    def __init__(self, instrument_name: str, scale: Scale, *, label: str | None = None) -> None:
        self._price_text = scale.price_text
        self._amount_text = scale.amount_text
        self._instrument = msgspec.json.encode(instrument_name)
        self._label = self._label_part(label)

    def insert(
        self,
        request_id: int,
        direction: str,
        price_ticks: int,
        lots: int,
        client_order_id: int,
        *,
        label: str | None = None,
        post_only: bool = True,
        reject_post_only: bool = True,
        reduce_only: bool = False,
        time_in_force: str = "good_till_cancelled",
    ) -> bytes:
        """Return ``private/insert`` of a limit order.

        With both post-only flags an order that would take is cancelled (``immediate_cancel``); without
        `reject_post_only` it is moved to one tick behind the opposite best.

        Parameters
        ----------
        direction : {"buy", "sell"}
        price_ticks, lots : int
        client_order_id : int
            Unique among the live orders of this session, at most 2**32 - 1.
        label : str or None
            Instead of the one given at the start.
        """
        if direction not in ("buy", "sell"):
            raise RequestError(f"an order is to buy or to sell, not {direction!r}")
        if lots < 1:
            raise RequestError(f"an order needs at least one lot, not {lots}")
        if time_in_force not in TIMES_IN_FORCE:
            raise RequestError(f"time in force is one of {', '.join(TIMES_IN_FORCE)}, not {time_in_force!r}")
        if post_only and time_in_force == "immediate_or_cancel":
            raise RequestError("an order cannot be post-only and immediate-or-cancel at once")
        flags = TIMES_IN_FORCE[time_in_force]
        if post_only:
            flags += b',"post_only":true,"reject_post_only":true' if reject_post_only else b',"post_only":true'
        if reduce_only:
            flags += b',"reduce_only":true'
        return (
            b'{"method":"private/insert","params":{"direction":"%b","instrument_name":%b,"amount":%b,"price":%b,'
            b'"client_order_id":%d%b%b},"id":%d}'
        ) % (
            direction.encode(),
            self._instrument,
            self._amount_text(lots).encode(),
            self._price_text(price_ticks).encode(),
            _client_order_id(client_order_id),
            self._label if label is None else self._label_part(label),
            flags,
            index(request_id),
        )

    def amend(self, request_id: int, client_order_id: int, price_ticks: int, total_lots: int) -> bytes:
        """Return ``private/amend``.

        `total_lots` is what is already filled plus what shall rest; at or below the filled part the order is
        deleted. An amend cannot be post-only: stay away from the opposite side.
        """
        if total_lots < 0:
            raise RequestError(f"an order cannot be amended to {total_lots} lots")
        return b'{"method":"private/amend","params":{"amount":%b,"price":%b,"client_order_id":%d},"id":%d}' % (
            self._amount_text(total_lots).encode(),
            self._price_text(price_ticks).encode(),
            _client_order_id(client_order_id),
            index(request_id),
        )

    def cancel(self, request_id: int, client_order_id: int) -> bytes:
        """Return ``private/cancel`` of an order of this session; its insert need not be answered yet."""
        return b'{"method":"private/cancel","params":{"client_order_id":%d},"id":%d}' % (
            _client_order_id(client_order_id),
            index(request_id),
        )

    @staticmethod
    def _label_part(label: str | None) -> bytes:
        if label is None:
            return b""
        if LABEL.fullmatch(label) is None:
            raise RequestError(f"{label!r} is no label: 1 to 32 of the characters A-Z a-z 0-9 < > | _ -")
        return b',"label":"%b"' % label.encode()


def _client_order_id(number: int) -> int:
    if not 0 <= index(number) <= MOST_CLIENT_ORDER_ID:
        raise RequestError(f"{number} is no client order id: 0 to {MOST_CLIENT_ORDER_ID}")
    return index(number)
