"""What the exchange says, as types: the objects inside its answers and notifications.

Unknown members are skipped, unknown values of most enumerations are kept as text, and a member that the exchange may
leave out or send as null is None. Three things are not forgiven, because guessing them costs money: the direction of
an order or a trade, a number that is not a finite number, and a time outside the years 1970 to 2255.

All are immutable, and untracked by the garbage collector: none can be part of a cycle.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from mftpy.errors import VenueError

Direction = Literal["buy", "sell"]

Seconds = Annotated[float, msgspec.Meta(ge=0.0, lt=9.0e9)]
"""Unix time in seconds; bounded so that its nanoseconds fit 64 bits."""

NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]

CLOSED_STATUSES = frozenset({"cancelled", "cancelled_partially_filled", "filled"})


class ProtocolError(VenueError):
    """The exchange sent something that cannot be read, or that contradicts itself."""


def nanoseconds(seconds: float) -> int:
    """Return a time of the exchange in ns; a float of today's Unix time resolves a quarter of a microsecond."""
    return round(seconds * 1e9)


class Error(msgspec.Struct, frozen=True, gc=False):
    """The ``error`` member of an answer. `code` is one of `error_codes.NAMES`, or newer than it."""

    code: int
    message: str = ""


class Level(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One price of the book: the new absolute amount there, and the part of it from outright orders."""

    price: float
    amount: NotNegative
    outright: NotNegative


class BookTrade(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One public trade of the book channel."""

    price: float
    amount: NotNegative
    direction: Direction
    time: Seconds
    implied_taker: bool | None = None


class BookMessage(msgspec.Struct, frozen=True, gc=False):
    """Notification of ``book.*`` as sent: a whole book when flagged as a snapshot, else changes."""

    bid_changes: list[Level] | None = None
    ask_changes: list[Level] | None = None
    trades: list[BookTrade] | None = None
    total_bid_amount: float | None = None
    total_ask_amount: float | None = None
    time: Seconds | None = None


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """Notification of ``ticker.*`` and result of ``public/ticker``; the instrument is in the channel name only."""

    mark_price: float
    mark_timestamp: Seconds
    index: float
    delta: float | None = None
    best_bid_price: float | None = None
    best_bid_amount: float | None = None
    best_ask_price: float | None = None
    best_ask_amount: float | None = None
    last_price: float | None = None
    collar_low: float | None = None
    collar_high: float | None = None
    funding_rate: float | None = None
    funding_mark: float | None = None
    volume_24h: float | None = None
    open_interest: float | None = None

    @property
    def exchange_time_ns(self) -> int:
        """Unix time of the mark, in ns."""
        return nanoseconds(self.mark_timestamp)


class LightTicker(msgspec.Struct, frozen=True, gc=False):
    """Notification of ``lwt.*``: best bid and ask (None when that side is empty), mark, last. It carries no time."""

    m: float
    b: Level | None = None
    a: Level | None = None
    l: float | None = None  # noqa: E741 - the exchange's name
    v: float | None = None


class Index(msgspec.Struct, frozen=True, gc=False):
    """Notification of ``price_index.*`` and result of ``public/index``."""

    index_name: str
    price: float
    timestamp: Seconds
    previous_settlement_price: float | None = None
    expected_expiration_price: float | None = None

    @property
    def exchange_time_ns(self) -> int:
        """Unix time of the index, in ns."""
        return nanoseconds(self.timestamp)


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution inside an order object. It carries no fee; that comes with the trade history."""

    trade_id: str
    price: float
    amount: NotNegative
    maker_taker: str | None = None
    leg_index: int | None = None
    time: Seconds | None = None

    @property
    def is_maker(self) -> bool:
        """True when it certainly was: an unknown word counts as taker."""
        return self.maker_taker == "maker"

    @property
    def exchange_time_ns(self) -> int:
        """Unix time of the fill, in ns; 0 when the exchange did not say."""
        return 0 if self.time is None else nanoseconds(self.time)


class OrderStatus(msgspec.Struct, frozen=True, gc=False):
    """An order, in results and in the order channels.

    `fills` are the new ones of this update only, except with `change_reason` ``existing``, when they are all that are
    known: apply them by (trade_id, order_id, leg_index). Whether the order lives is `is_open` and nothing else;
    `remaining_amount` of a cancelled order is not reliably 0.
    """

    order_id: str
    direction: Direction
    amount: NotNegative
    filled_amount: NotNegative
    remaining_amount: NotNegative
    status: str
    fills: list[Fill] | None = None
    price: float | None = None
    client_order_id: int | None = None
    label: str | int | float | None = None
    instrument_name: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    change_reason: str | None = None
    delete_reason: str | None = None
    insert_reason: str | None = None
    create_time: Seconds | None = None
    close_time: Seconds | None = None
    reduce_only: bool | None = None
    persistent: bool | None = None

    @property
    def is_open(self) -> bool:
        """True when it may still be filled: a status that we do not know counts as open, hence as exposure."""
        return self.status not in CLOSED_STATUSES

    @property
    def new_fills(self) -> list[Fill]:
        """`fills`, empty when the exchange left them out."""
        return self.fills or []


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One line of ``account.trade_history`` and ``private/trade_history``: late, but with the fee in it."""

    instrument_name: str
    direction: Direction
    price: float
    amount: NotNegative
    time: Seconds
    trade_type: str | None = None
    trade_id: str | None = None
    order_id: str | None = None
    client_order_id: int | None = None
    leg_index: int | None = None
    label: str | int | float | None = None
    maker_taker: str | None = None
    fee: float | None = None
    fee_rate: float | None = None
    fee_basis: float | None = None
    index: float | None = None
    position_after: float | None = None
    session_realised_after: float | None = None
    position_pnl: float | None = None
    perpetual_funding_pnl: float | None = None
    funding_mark: float | None = None
    liquidation_fee: float | None = None


class TradeHistory(msgspec.Struct, frozen=True, gc=False):
    """Result of ``private/trade_history``; ask again with `bookmark` until it is None."""

    trades: list[Trade]
    bookmark: str | None = None


class PortfolioEntry(msgspec.Struct, frozen=True, gc=False):
    """One position, signed."""

    instrument_name: str
    position: float
    mark_price: float | None = None
    index: float | None = None
    start_price: float | None = None
    average_price: float | None = None
    unrealised_pnl: float | None = None
    realised_pnl: float | None = None
    entry_value: float | None = None
    perpetual_funding_entry_value: float | None = None
    unrealised_perpetual_funding: float | None = None


class Cash(msgspec.Struct, frozen=True, gc=False):
    """One currency of the account."""

    currency: str
    balance: float
    collateral_factor: float | None = None
    collateral_index_price: float | None = None
    transactable: bool | None = None


class AccountSummary(msgspec.Struct, frozen=True, gc=False):
    """Money of the account: margin = cash collateral + unrealised P&L; remaining = margin - required."""

    cash: list[Cash]
    unrealised_pnl: float
    session_realised_pnl: float
    cash_collateral: float
    margin: float
    required_margin: float
    remaining_margin: float


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """One tradable instrument."""

    instrument_name: str
    tick_size: float
    volume_tick_size: float
    min_order_amount: float
    underlying: str = ""
    type: str = ""
    product: str = ""
    base_currency: str | None = None
    expiration_timestamp: Seconds | None = None
    strike_price: float | None = None
    option_type: str | None = None


class SystemEvent(msgspec.Struct, frozen=True, gc=False):
    """Notification of ``system``; ``reconnect`` comes at least 10 s before the exchange closes the connection."""

    event: str


class SystemInfo(msgspec.Struct, frozen=True, gc=False):
    """Result of ``public/system_info``."""

    environment: str
    api_version: str | None = None


class Login(msgspec.Struct, frozen=True, gc=False):
    """Result of ``public/login``."""

    account_number: str | None = None


class CancelOnDisconnect(msgspec.Struct, frozen=True, gc=False):
    """Result of ``private/set_cancel_on_disconnect``: matching-engine messages a second now allowed."""

    message_rate: float | None = None
