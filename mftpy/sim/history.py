"""Answers to questions about what has been: trade history, order history, instruments; filters and pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from mftpy.sim.accounts import Account
from mftpy.sim.instrument import Listed
from mftpy.sim.orders import SIDE_NAMES, ClientOrder, TradeRecord
from mftpy.sim.protocol import INVALID_REQUEST, Refusal, choice_of, number_of
from mftpy.sim.requests import given

MOST: Final = 1000
MOST_BYTES: Final = 1_000_000
"""A page that has grown beyond ends, whatever its limit: clients take messages of up to 1 MiB."""
WINDOW_S: Final = 3 * 86_400
"""Longest window of ``public/all_instruments``, and its default."""

_TYPES: Final = {"futures": ("perpetual", "future"), "options": (), "future_rolls": ()}


def trade_history(account: Account, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer ``private/trade_history``."""
    return _page("trades", account.trades, params)


def order_history(account: Account, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer ``private/order_history``."""
    return _page("orders", account.closed, params)


def _page(name: str, items: deque[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items that are wanted, as many as fit; `items` are in the order in which they happened."""
    params = given(params)
    limit = params.get("limit", MOST)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise Refusal(INVALID_REQUEST, f"limit must be between 1 and {MOST}")
    low = number_of(params, "time_low") if "time_low" in params else 0.0
    high = number_of(params, "time_high") if "time_high" in params else float("inf")
    ascending = choice_of(params, "sort", ("ascending", "descending"), "descending") == "ascending"
    instruments, orders = _names(params, "instrument_names"), _names(params, "order_ids")
    direction = choice_of(params, "direction", ("buy", "sell"), "buy") if "direction" in params else None
    label, bookmark = params.get("label"), params.get("bookmark")
    if bookmark is not None and not (isinstance(bookmark, str) and bookmark.isascii() and bookmark.isdigit()):
        raise Refusal(INVALID_REQUEST, "bookmark must be one that an earlier answer gave")
    if "bot_ids" in params:
        return {name: [], "bookmark": None}

    def fits(one: TradeRecord | ClientOrder) -> bool:
        order = one.whose
        return (
            low <= one.happened_s <= high
            and (instruments is None or one.contract.listed.name in instruments)
            and (orders is None or (order is not None and order.order_id in orders))
            and (direction is None or SIDE_NAMES[one.side] == direction)
            and (label is None or (order is not None and order.label == label))
        )

    first, found, size = int(bookmark[:18]) if isinstance(bookmark, str) else 0, 0, 0
    page: list[dict[str, Any]] = []
    for one in items if ascending else reversed(items):
        if not fits(one):
            continue
        if len(page) == limit or size > MOST_BYTES:
            return {name: page, "bookmark": str(found)}
        found += 1
        if found > first:
            page.append(one.historical())
            size += len(msgspec.json.encode(page[-1]))
    return {name: page, "bookmark": None}


def _names(params: Mapping[str, Any], name: str) -> set[str] | None:
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refusal(INVALID_REQUEST, f"request parsing error: `{name}` must be a comma-separated string")
    return {part.strip() for part in value.split(",")}


def instruments(listed: Iterable[Listed], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answer ``public/instruments``: those that can be traded, by the filters given."""
    params = given(params)
    kinds = (
        _TYPES[choice_of(params, "instrument_type", tuple(_TYPES), "futures")] if "instrument_type" in params else None
    )
    wanted = {name: params[name] for name in ("underlying", "expiry_date") if name in params}
    return [
        said
        for one in listed
        for said in [one.listing]
        if (kinds is None or one.kind in kinds) and all(said.get(name) == value for name, value in wanted.items())
    ]


def all_instruments(
    listed: Iterable[Listed], expired: Iterable[dict[str, Any]], params: Mapping[str, Any], now_s: float
) -> list[dict[str, Any]]:
    """Answer ``public/all_instruments``: those that could be traded in a window of time."""
    params = given(params)
    high = number_of(params, "time_high") if "time_high" in params else now_s
    low = number_of(params, "time_low") if "time_low" in params else high - WINDOW_S
    if not 0 <= high - low <= WINDOW_S:
        raise Refusal(INVALID_REQUEST, "the window from time_low to time_high is at most 3 days")
    gone = [said for said in expired if said["create_time"] <= high and said["expiration_timestamp"] >= low]
    return [*instruments((one for one in listed if one.create_time_s <= high), params), *gone]
