"""From the parameters of trading requests to typed ones: what is wrong with them by themselves is refused here.

The order of the checks is the exchange's: instrument, words and flags, price, amount, then what does not go together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mftpy.sim.contract import Contract
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.protocol import (
    BAD_AMOUNT,
    BAD_TIME_IN_FORCE,
    INVALID_REQUEST,
    UNBOUNDED_MARKET_ORDER,
    UNKNOWN_INSTRUMENT,
    Refusal,
    choice_of,
    flag_of,
    number_of,
    text_of,
)

GTC: Final = "good_till_cancelled"
IOC: Final = "immediate_or_cancel"
LIMIT: Final = "limit"
MARKET: Final = "market"
COLLARS: Final = ("ignore", "reject", "clamp")
STP_LEVELS: Final = ("customer", "account", "disabled")
STP_ACTIONS: Final = ("cancel_aggressive_partial_fill", "cancel_aggressive_no_fill")

_LABEL: Final = re.compile(r"[A-Za-z0-9<>|_-]{0,64}", re.ASCII)


class Insert(NamedTuple):
    """A new order; `price_ticks` None for a market order."""

    contract: Contract
    side: int
    price_ticks: int | None
    lots: int
    time_in_force: str = GTC
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    collar: str = "reject"
    stp_level: str = "customer"
    stp_whole: bool = False
    client_order_id: int | None = None
    label: str | float | None = None


class Amend(NamedTuple):
    """New price and total size of an order; `price_ticks` None where only the size, zero, matters."""

    price_ticks: int | None
    lots: int
    collar: str = "reject"


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are not null: clients send null for what they leave out."""
    return {name: value for name, value in params.items() if value is not None}


def contract_of(params: Mapping[str, Any], contracts: Mapping[str, Contract]) -> Contract:
    """Return the contract that ``instrument_name`` names."""
    found = contracts.get(text_of(params, "instrument_name"))
    if found is None:
        raise Refusal(UNKNOWN_INSTRUMENT, "unknown instrument")
    return found


def client_order_id_of(params: Mapping[str, Any]) -> int | None:
    """Return ``client_order_id``, if there is one."""
    number = params.get("client_order_id")
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**64:
        raise Refusal(INVALID_REQUEST, "request parsing error: client_order_id must be an unsigned 64-bit integer")
    return number


def read_insert(params: Mapping[str, Any], direction: str | None, contracts: Mapping[str, Contract]) -> Insert:
    """Read ``private/insert``, or ``buy`` and ``sell``, which name the direction themselves."""
    params = given(params)
    if direction is None:
        direction = choice_of(params, "direction", ("buy", "sell"), "")
    if "legs" in params:
        raise Refusal(INVALID_REQUEST, "combination orders are not traded here")
    contract = contract_of(params, contracts)
    order_type = choice_of(params, "order_type", (LIMIT, MARKET), LIMIT)
    market = order_type == MARKET
    time_in_force = choice_of(params, "time_in_force", (GTC, IOC), IOC if market else GTC)
    post_only, reduce_only = flag_of(params, "post_only"), flag_of(params, "reduce_only")
    reject_post_only = flag_of(params, "reject_post_only")
    collar = choice_of(params, "collar", COLLARS, "clamp" if market else "reject")
    stp_level = choice_of(params, "stp_level", STP_LEVELS, STP_LEVELS[0])
    stp_action = choice_of(params, "stp_action", STP_ACTIONS, STP_ACTIONS[0])
    number = client_order_id_of(params)
    label = params.get("label")
    if label is not None and not _is_label(label):
        raise Refusal(INVALID_REQUEST, "request parsing error: label: at most 64 of A-Z a-z 0-9 < > | _ -")
    price = None if market else number_of(params, "price")
    amount = number_of(params, "amount")
    price_ticks = None if price is None else contract.listed.ticks(price)
    lots = contract.listed.lots(amount)
    if lots < 1:
        raise Refusal(BAD_AMOUNT, "amount is below the minimum")
    if (market and time_in_force == GTC) or (post_only and time_in_force == IOC):
        raise Refusal(BAD_TIME_IN_FORCE, "invalid time in force")
    if reject_post_only and not post_only:
        raise Refusal(INVALID_REQUEST, "reject_post_only needs post_only")
    if market and collar == "ignore":
        raise Refusal(UNBOUNDED_MARKET_ORDER, "a market order cannot ignore the collar")
    return Insert(
        contract,
        BUY if direction == "buy" else SELL,
        price_ticks,
        lots,
        time_in_force,
        post_only,
        reject_post_only,
        reduce_only,
        collar,
        stp_level,
        stp_action == STP_ACTIONS[1],
        number,
        label,
    )


def read_amend(params: Mapping[str, Any], contract: Contract) -> Amend:
    """Read the price and the size of ``private/amend``; a size of 0 deletes, whatever the price."""
    params = given(params)
    collar = choice_of(params, "collar", COLLARS, "reject")
    price, amount = number_of(params, "price"), number_of(params, "amount")
    if amount == 0:
        return Amend(None, 0, collar)
    return Amend(contract.listed.ticks(price), contract.listed.lots(amount), collar)


def _is_label(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**64  # integers in JSON may have thousands of digits, and come back in every notice
    return isinstance(value, float) or (isinstance(value, str) and _LABEL.fullmatch(value) is not None)
