"""A client's order on the exchange, and the messages that tell of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mftpy.sim.matching import BUY, Resting


@dataclass(slots=True, eq=False)
class ClientOrder:
    """One order from its insert to its end; `resting` while a part of it is in the book."""

    order_id: str
    session: Any
    side: int
    price_ticks: int | None
    total_lots: int
    order_type: str
    time_in_force: str
    client_order_id: int | None
    label: str | None
    reduce_only: bool
    create_time: float
    persistent: bool
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

    def message(self, instrument: Any, change_reason: str, fills: list[dict[str, Any]]) -> dict[str, Any]:
        """Order object of section 6.6, with the fills of this update."""
        said: dict[str, Any] = {
            "order_id": self.order_id,
            "order_type": self.order_type,
            "time_in_force": self.time_in_force,
            "instrument_name": instrument.name,
            "direction": "buy" if self.side == BUY else "sell",
            "amount": instrument.amount(self.total_lots),
            "filled_amount": instrument.amount(self.filled_lots),
            "remaining_amount": instrument.amount(self.open_lots if self.delete_reason is None else 0),
            "status": self.status,
            "fills": fills,
            "change_reason": change_reason,
            "insert_reason": "client_request",
            "create_time": self.create_time,
            "persistent": self.persistent,
        }
        if self.price_ticks is not None:
            said["price"] = instrument.price(self.price_ticks)
        optional = {
            "label": self.label,
            "client_order_id": self.client_order_id,
            "delete_reason": self.delete_reason,
            "close_time": self.close_time,
            "reduce_only": True if self.reduce_only else None,
        }
        said.update({name: value for name, value in optional.items() if value is not None})
        return said
