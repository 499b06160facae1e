"""Orders as a competent plain-Python quoter keeps them: dataclasses in dicts, the fills in an ordered dict.

What `mftcore.OrderManager` is measured against. It believes every notice, and keeps less: no size in flight beyond the
newest, no proof by lists. Nothing in mftpy imports it.
"""

from collections import OrderedDict
from dataclasses import dataclass

FILLS_REMEMBERED, CLOSED_REMEMBERED = 65_536, 4_096


@dataclass(slots=True)
class PlainOrder:
    client_order_id: int
    side: int
    price_ticks: int
    total_lots: int
    pending_price_ticks: int
    pending_total_lots: int
    changed_ns: int
    order_id: str = ""
    filled_lots: int = 0
    fill_sum_lots: int = 0
    state: str = "inserting"


class PlainOrders:
    def __init__(self) -> None:
        self.live: dict[int, PlainOrder] = {}
        self.closed: OrderedDict[int, PlainOrder] = OrderedDict()
        self.by_order_id: dict[str, PlainOrder] = {}
        self.fills: OrderedDict[tuple[str, str, int], None] = OrderedDict()

    def insert(self, client_order_id: int, side: int, price_ticks: int, lots: int, now_ns: int) -> PlainOrder:
        if client_order_id in self.live or client_order_id in self.closed:
            raise ValueError("in use")
        order = PlainOrder(client_order_id, side, price_ticks, lots, price_ticks, lots, now_ns)
        self.live[client_order_id] = order
        return order

    def amend(self, client_order_id: int, price_ticks: int, total_lots: int, now_ns: int) -> None:
        order = self.live[client_order_id]
        order.pending_price_ticks, order.pending_total_lots = price_ticks, total_lots
        order.state, order.changed_ns = "amending", now_ns

    def on_amended(self, client_order_id: int, price_ticks: int, total_lots: int, now_ns: int) -> None:
        order = self.live[client_order_id]
        order.price_ticks = order.pending_price_ticks = price_ticks
        order.total_lots = order.pending_total_lots = total_lots
        order.state, order.changed_ns = "live", now_ns

    def cancel(self, client_order_id: int, now_ns: int) -> None:
        order = self.live[client_order_id]
        order.state, order.changed_ns = "cancelling", now_ns

    def on_order(
        self, client_order_id: int, order_id: str, open_: bool, filled: bool, price_ticks: int, total_lots: int,
        filled_lots: int, now_ns: int,
    ) -> PlainOrder | None:  # fmt: skip
        order = self.live.get(client_order_id) or self.closed.get(client_order_id)
        if order is None:
            return None
        if not order.order_id:
            order.order_id = order_id
            self.by_order_id[order_id] = order
        order.filled_lots = max(order.filled_lots, filled_lots)
        if open_:
            if order.state == "inserting":
                order.price_ticks = order.pending_price_ticks = price_ticks
                order.total_lots = order.pending_total_lots = total_lots
                order.state, order.changed_ns = "live", now_ns
            return order
        order.state, order.changed_ns = "filled" if filled else "cancelled", now_ns
        if self.live.pop(client_order_id, None) is not None:
            self.closed[client_order_id] = order
            while len(self.closed) > CLOSED_REMEMBERED:
                _, old = self.closed.popitem(last=False)
                self.by_order_id.pop(old.order_id, None)
        return order

    def on_fill(self, client_order_id: int, order_id: str, trade_id: str, leg_index: int, lots: int) -> bool:
        key = (trade_id, order_id, leg_index)
        if key in self.fills:
            return False
        self.fills[key] = None
        while len(self.fills) > FILLS_REMEMBERED:
            self.fills.popitem(last=False)
        order = self.live.get(client_order_id) or self.closed.get(client_order_id)
        if order is not None:
            order.fill_sum_lots += lots
        return True

    def get(self, client_order_id: int) -> PlainOrder | None:
        return self.live.get(client_order_id) or self.closed.get(client_order_id)

    def exposure(self, side: int) -> int:
        return sum(
            max(order.total_lots, order.pending_total_lots) - order.filled_lots
            for order in self.live.values()
            if order.side == side
        )
