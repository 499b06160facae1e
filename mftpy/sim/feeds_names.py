"""Channel names are what clients type: read here, strictly, and only here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from mftpy.sim.contract import Contract

DELAYS_MS: Final = {
    "raw": 0,
    "100ms": 100,
    "200ms": 200,
    "500ms": 500,
    "1000ms": 1000,
    "5000ms": 5000,
    "60000ms": 60000,
}
MOST_LEVELS: Final = 1000
MOST_NAME: Final = 96
"""No channel's name is longer, in characters."""

SYSTEM: Final = "system"
INSTRUMENTS: Final = "instruments"
SESSION_ORDERS: Final = "session.orders"
ACCOUNT_ORDERS: Final = "account.orders"
PERSISTENT_ORDERS: Final = "account.persistent_orders"
TRADE_HISTORY: Final = "account.trade_history"
PORTFOLIO: Final = "account.portfolio"
SUMMARY: Final = "account.summary"
ORDERS: Final = (SESSION_ORDERS, ACCOUNT_ORDERS, PERSISTENT_ORDERS)
PRIVATE: Final = frozenset((*ORDERS, TRADE_HISTORY, PORTFOLIO, SUMMARY))

_DELAY: Final = "(" + "|".join(DELAYS_MS) + ")"
_INSTRUMENT: Final = "([A-Z0-9-]{1,32})"
_BOOK: Final = re.compile(
    rf"book\.{_INSTRUMENT}\.(none|(?:0|[1-9][0-9]{{0,6}})(?:\.[0-9]{{1,8}})?)\.(all|[1-9][0-9]{{0,3}})\.{_DELAY}"
)
_TICKER: Final = re.compile(rf"(ticker|lwt)\.{_INSTRUMENT}\.{_DELAY}")
_INDEX: Final = re.compile(r"price_index\.([A-Z0-9]{1,16})")
_TRADES: Final = re.compile(rf"recent_trades\.{_INSTRUMENT}\.(single|all|options|future_rolls)")


class Channel(NamedTuple):
    """What a name asks for.

    Attributes
    ----------
    kind : str
        ``book``, ``ticker``, ``lwt``, ``price_index``, ``recent_trades``, or the whole name of a channel without parts.
    contract : Contract or None
        Whose market; of ``price_index`` and of an underlying's trades any contract on that underlying.
    category : str
        Of ``recent_trades``.
    step_ticks : int
        Of a book: width of a price step.
    levels : int or None
        Of a book: how many per side; None for all.
    interval_ns : int
        Least time between two messages.
    """

    kind: str
    contract: Contract | None = None
    category: str = ""
    step_ticks: int = 1
    levels: int | None = None
    interval_ns: int = 0


def read_name(name: str, contracts: Mapping[str, Contract]) -> Channel | None:
    """Return what a channel's name asks for; None when there is no such channel."""
    if name in PRIVATE or name in (SYSTEM, INSTRUMENTS):
        return Channel(name)
    if len(name) > MOST_NAME:
        return None
    if match := _BOOK.fullmatch(name):
        return _read_book(match, contracts)
    if match := _TICKER.fullmatch(name):
        channel = Channel(match[1], contracts.get(match[2]), interval_ns=DELAYS_MS[match[3]] * 1_000_000)
    elif match := _INDEX.fullmatch(name):
        channel = Channel("price_index", _of_underlying(match[1], contracts))
    elif match := _TRADES.fullmatch(name):
        single = match[2] == "single"
        contract = contracts.get(match[1]) if single else _of_underlying(match[1], contracts)
        channel = Channel("recent_trades", contract, match[2])
    else:
        return None
    return None if channel.contract is None else channel


def _read_book(match: re.Match[str], contracts: Mapping[str, Contract]) -> Channel | None:
    contract = contracts.get(match[1])
    if contract is None:
        return None
    step_ticks = 1
    if match[2] != "none":
        steps = Fraction(match[2]) / contract.listed.tick
        if steps < 1 or steps.denominator != 1:
            return None
        step_ticks = int(steps)
    levels = None if match[3] == "all" else int(match[3])
    if levels is not None and levels > MOST_LEVELS:
        return None
    return Channel("book", contract, "", step_ticks, levels, DELAYS_MS[match[4]] * 1_000_000)


def _of_underlying(name: str, contracts: Mapping[str, Contract]) -> Contract | None:
    return next((one for one in contracts.values() if one.underlying.name == name), None)
