"""A client's order on the exchange, its fills, and the messages that tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from mftpy.sim.accounts import Account, Position
from mftpy.sim.contract import Contract
from mftpy.sim.matching import BUY, Resting
from mftpy.sim.money import MONEY, UNIT

SIDE_NAMES: Final = {BUY: "buy", -BUY: "sell"}
HISTORY_FILLS: Final = 8
"""So many fills of an order does ``private/order_history`` show."""


@dataclass(slots=True, eq=False)
class ClientOrder:
    """One order from its insert to its end; `resting` while a part of it is in the book."""

    order_id: str
    account: Account
    session: Any
    position: Position
    contract: Contract
    side: int
    price_ticks: int | None
    total_lots: int
    order_type: str
    time_in_force: str
    client_order_id: int | None
    label: str | float | None
    create_time: float
    persistent: bool
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    stp_level: str = "customer"
    stp_whole: bool = False
    """Cancel without any fill where self-trade prevention acts."""
    insert_reason: str = "client_request"
    filled_lots: int = 0
    resting: Resting | None = None
    close_time: float | None = None
    delete_reason: str | None = None
    fills: list[dict[str, Any]] = field(default_factory=list)

    @property
    def open_lots(self) -> int:
        """Lots that may still trade."""
        return self.total_lots - self.filled_lots

    @property
    def status(self) -> str:
        """As the exchange names it."""
        if self.delete_reason is None:
            return "partially_filled" if self.filled_lots else "open"
        if self.delete_reason == "filled":
            return "filled"
        return "cancelled_partially_filled" if self.filled_lots else "cancelled"

    def message(self, change_reason: str, fills: list[dict[str, Any]]) -> dict[str, Any]:
        """Order object of section 6.6, with the fills of this update."""
        listed, total, filled = self.contract.listed, self.total_lots, self.filled_lots
        lot_units, gone = listed.lot_units, self.delete_reason
        said: dict[str, Any] = {
            "order_id": self.order_id,
            "order_type": self.order_type,
            "time_in_force": self.time_in_force,
            "instrument_name": listed.name,
            "direction": SIDE_NAMES[self.side],
            "amount": total * lot_units / UNIT,
            "filled_amount": filled * lot_units / UNIT,
            "remaining_amount": (total - filled) * lot_units / UNIT if gone is None else 0.0,
            "status": self.status,
            "fills": fills,
            "change_reason": change_reason,
            "insert_reason": self.insert_reason,
            "create_time": self.create_time,
            "persistent": self.persistent,
        }
        if self.price_ticks is not None:
            said["price"] = self.price_ticks * listed.tick_units / UNIT
        if self.label is not None:
            said["label"] = self.label
        if self.client_order_id is not None:
            said["client_order_id"] = self.client_order_id
        if gone is not None:
            said["delete_reason"] = gone
            said["close_time"] = self.close_time
        if self.reduce_only:
            said["reduce_only"] = True
        return said

    def existing(self) -> dict[str, Any]:
        """Order object of a snapshot: all fills that are known."""
        return self.message("existing", self.fills)

    @property
    def happened_s(self) -> float:
        """Time of its end."""
        return self.close_time or 0.0

    @property
    def whose(self) -> ClientOrder | None:
        """Itself: whose line of a history this is."""
        return self

    def historical(self) -> dict[str, Any]:
        """Item of ``private/order_history``."""
        said = self.message("existing", self.fills[-HISTORY_FILLS:])
        for name in ("remaining_amount", "change_reason", "time_in_force", "persistent"):
            del said[name]
        return said


class TradeRecord(NamedTuple):
    """One line of an account's trade history; money and units as in `mftpy.sim.money`."""

    sequence: int
    trade_type: str
    trade_id: str
    order: ClientOrder | None
    contract: Contract
    side: int
    price_units: int
    lots: int
    role: str | None
    time_s: float
    position_lots: int
    session_realised: int
    position_pnl: int
    funding_pnl: int
    fee: int
    index_units: int
    fee_rate: float
    funding_units: int

    @property
    def happened_s(self) -> float:
        """Its time."""
        return self.time_s

    @property
    def whose(self) -> ClientOrder | None:
        """The order that traded; None for an expiry."""
        return self.order

    def historical(self) -> dict[str, Any]:
        """Item of ``account.trade_history`` and ``private/trade_history``."""
        listed = self.contract.listed
        said: dict[str, Any] = {
            "trade_type": self.trade_type,
            "trade_id": self.trade_id,
            "instrument_name": listed.name,
            "direction": SIDE_NAMES[self.side],
            "price": self.price_units / UNIT,
            "amount": listed.amount(self.lots),
            "time": self.time_s,
            "position_after": listed.amount(self.position_lots),
            "session_realised_after": self.session_realised / MONEY,
            "position_pnl": self.position_pnl / MONEY,
            "perpetual_funding_pnl": self.funding_pnl / MONEY,
            "fee": self.fee / MONEY,
            "index": self.index_units / UNIT,
            "fee_rate": self.fee_rate,
            "fee_basis": self.index_units / UNIT,
            "funding_mark": self.funding_units / UNIT,
            "leg_index": 0,
        }
        if self.trade_type == "liquidation":
            said["liquidation_fee"] = said["fee"]
        if self.role is not None:
            said["maker_taker"] = self.role
        if self.order is not None:
            said["order_id"] = self.order.order_id
            if self.order.client_order_id is not None:
                said["client_order_id"] = self.order.client_order_id
            if self.order.label is not None:
                said["label"] = str(self.order.label)
        return said
