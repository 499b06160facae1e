"""Names of the exchange's error codes, and the exception for a request that it refused."""

from __future__ import annotations

from typing import Final

from mftpy.errors import VenueError
from mftpy.venue.messages import Error

ORDER_NOT_FOUND: Final = 1
DUPLICATE_ORDER_ID: Final = 2
THROTTLED: Final = 4
UNKNOWN_INSTRUMENT: Final = 5
AUTHENTICATION_FAILED: Final = 19

NAMES: Final = {
    1: "order not found",
    2: "duplicate order id",
    3: "too many pending requests",
    4: "throttle exceeded",
    5: "unknown instrument",
    6: "invalid request",
    7: "not logged in",
    8: "already subscribed",
    9: "not subscribed",
    10: "partition unavailable",
    11: "session exhausted",
    12: "invalid order id",
    13: "invalid price",
    14: "invalid amount",
    15: "price off tick",
    16: "instrument exists",
    17: "unknown product",
    18: "product exists",
    19: "authentication failed",
    20: "temporary failure",
    21: "invalid partition",
    22: "invalid protection group",
    23: "protection not set",
    24: "insufficient margin",
    25: "invalid time in force",
    26: "account locked",
    27: "insufficient funds",
    28: "unauthorized",
    29: "need TOTP",
    30: "need SMS",
    31: "unknown method",
    32: "two-factor authentication required",
    33: "password not accepted",
    34: "invalid verification code",
    35: "invalid e-mail",
    36: "session invalid for mass quoting",
    37: "invalid state",
    38: "invalid phone number",
    39: "unknown asset",
    40: "unknown underlying",
    41: "insufficient liquidity",
    42: "excluded jurisdiction",
    43: "price collar breach",
    44: "quote exceeds protection group size",
    45: "unbounded market order",
    46: "unsupported BTC transfer",
    47: "SMS throttle exceeded",
    48: "insufficient fee funds",
    49: "too many open orders",
    50: "total order size too large",
    51: "mass quoting not enabled",
    52: "persistent session",
    53: "API connection limit reached",
    54: "asset not transactable",
    55: "max bots reached",
    56: "combo gross amount too large",
    57: "reduce-only mode",
    58: "rejected on volume quota",
}


class RefusedError(VenueError):
    """The exchange answered a request with an error.

    Attributes
    ----------
    method : str
    code : int
    """

    def __init__(self, method: str, error: Error) -> None:
        name = NAMES.get(error.code, "an error this version does not know")
        said = f': "{error.message}"' if error.message and error.message != name else ""
        super().__init__(f"the exchange refused {method}: {name} (error {error.code}){said}")
        self.method = method
        self.code = error.code
