"""Envelopes and error codes of the exchange's protocol; see the fact sheet's sections 2 and 4."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec

ORDER_NOT_FOUND: Final = 1
DUPLICATE_ORDER_ID: Final = 2
THROTTLED: Final = 4
UNKNOWN_INSTRUMENT: Final = 5
INVALID_REQUEST: Final = 6
NOT_LOGGED_IN: Final = 7
BAD_PRICE: Final = 13
BAD_AMOUNT: Final = 14
OFF_TICK: Final = 15
AUTHENTICATION_FAILED: Final = 19
INSUFFICIENT_MARGIN: Final = 24
BAD_TIME_IN_FORCE: Final = 25
UNKNOWN_METHOD: Final = 31
INVALID_STATE: Final = 37
COLLAR_BREACH: Final = 43
UNBOUNDED_MARKET_ORDER: Final = 45
TOO_MANY_ORDERS: Final = 49
TOO_LARGE_IN_ALL: Final = 50
NO_MASS_QUOTES: Final = 51
PERSISTENT_SESSION: Final = 52
REDUCE_ONLY: Final = 57

LARGEST_DOUBLE: Final = sys.float_info.max
"""JSON has larger integers: arithmetic of those with floats fails, comparison does not."""

_decoder: Final = msgspec.json.Decoder()


class Refusal(Exception):  # noqa: N818 (an answer to the client, not a failure of ours)
    """The answer to a request is this error.

    Attributes
    ----------
    request_id : object
        Of a request that could not be read further than its id; else None, and the caller knows it.
    """

    def __init__(self, code: int, message: str, request_id: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


def read_request(payload: bytes | str) -> tuple[Any, str, dict[str, Any]]:
    """Return (id, method, params) of a request; raises `Refusal` with code 6, and with the id if that could be read."""
    try:
        request = _decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(INVALID_REQUEST, f"request parsing error: {error}") from error
    if not isinstance(request, dict):
        raise Refusal(INVALID_REQUEST, "request parsing error: not an object")
    request_id = request.get("id")
    if isinstance(request_id, dict | list):
        raise Refusal(INVALID_REQUEST, "request parsing error: id must be a scalar")
    if isinstance(request_id, int) and not -(2**63) <= request_id < 2**64:
        raise Refusal(INVALID_REQUEST, "request parsing error: id does not fit 64 bits")
    method, params = request.get("method"), request.get("params")
    if not isinstance(method, str):
        raise Refusal(INVALID_REQUEST, "request parsing error: missing field `method`", request_id)
    if not isinstance(params, dict):
        raise Refusal(INVALID_REQUEST, "request parsing error: missing field `params`, an object", request_id)
    return request_id, method, params


def result(number: Any, value: Any) -> bytes:
    """Envelope of a success."""
    return msgspec.json.encode({"id": number, "result": value})


def failure(number: Any, refusal: Refusal) -> bytes:
    """Envelope of an error."""
    return msgspec.json.encode({"id": number, "error": {"code": refusal.code, "message": refusal.message}})


def notification(channel: str, content: Any, *, snapshot: bool = False) -> bytes:
    """Envelope of channel data; ``snapshot`` is there only when true."""
    message: dict[str, Any] = {"channel_name": channel}
    if snapshot:
        message["snapshot"] = True
    message["notification"] = content
    return msgspec.json.encode(message)


def text_of(params: Mapping[str, Any], name: str) -> str:
    """Return a parameter that must be a string."""
    value = params.get(name)
    if not isinstance(value, str):
        raise Refusal(INVALID_REQUEST, f"request parsing error: missing field `{name}`")
    return value


def choice_of(params: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    """Return a parameter out of a few."""
    value = params.get(name, default)
    if not isinstance(value, str) or value not in choices:
        shown = value[:64] if isinstance(value, str) else type(value).__name__  # text of what is nested may not exist
        raise Refusal(INVALID_REQUEST, f"request parsing error: unknown variant `{shown}`, expected one of {choices}")
    return value


def flag_of(params: Mapping[str, Any], name: str) -> bool:
    """Return a parameter that is a flag, false when absent."""
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise Refusal(INVALID_REQUEST, f"request parsing error: `{name}` must be a boolean")
    return value


def number_of(params: Mapping[str, Any], name: str) -> int | float:
    """Return a parameter that must be a number that a double can hold."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_DOUBLE:
        raise Refusal(INVALID_REQUEST, f"request parsing error: missing field `{name}`")
    return value
