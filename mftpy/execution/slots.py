"""Fixed quote slots (side, level): what should rest in each, and the one message that brings it nearer.

A wish is a state, not a message: the newest target replaces the older one and never queues behind it, so nothing
piles up while an answer is awaited or the venue's budget is spent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from mftcore.orders import Order, OrderManager, OrderState
from mftpy.records import SLOTS_PER_SIDE, Side

AMEND_SAFE_TICKS: Final = 5
"""An amend carries no post_only: it is sent only when the new price is at least this far from the opposite best."""

STALE_THRESHOLDS: Final = 2
"""A throttled order is stale, and cancelled, when its price is this many requote thresholds too aggressive."""


class Kind(Enum):
    """Which message an action is."""

    INSERT = "insert"
    AMEND = "amend"
    CANCEL = "cancel"


class Action(NamedTuple):
    """One message to send for a slot.

    `total_lots` is what the exchange is to show as the order's amount: for an amend, filled plus wanted.
    """

    kind: Kind
    side: int
    level: int
    client_order_id: int
    price_ticks: int
    total_lots: int


@dataclass(slots=True)
class Slot:
    """One place for one order.

    `want_lots` 0 means that nothing should rest. `client_order_id` 0 means that no order was ever put here.
    `throttled` is true from a message that the budget held back until one is sent.
    """

    side: int
    level: int
    want_ticks: int = 0
    want_lots: int = 0
    client_order_id: int = 0
    throttled: bool = False


class QuoteSlots:
    """The slots of one instrument.

    Parameters
    ----------
    orders : OrderManager
        Where the slots' orders live.
    threshold_ticks : int
        A resting price is left alone while it differs from the wanted one by less than this.

    Attributes
    ----------
    threshold_ticks : int
        The one in force: a target may ask for a smaller one. What counts as stale goes by the configured one.
    held : dict of Side to bool
        A side whose quotes may have been filled: what rests there may be cancelled, nothing is inserted or amended.
    amend_allowed : bool
        False once an amend has taken liquidity: from then on cancel and insert.
    """

    def __init__(self, orders: OrderManager, threshold_ticks: int) -> None:
        self._orders = orders
        self._configured_ticks = max(threshold_ticks, 1)
        self.threshold_ticks = self._configured_ticks
        self.held = dict.fromkeys(Side, False)
        self._slots: dict[tuple[int, int], Slot] = {
            (side, level): Slot(side, level) for side in (Side.BUY, Side.SELL) for level in range(SLOTS_PER_SIDE)
        }
        self.amend_allowed = True

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def use_threshold(self, ticks: int) -> None:
        """Take over a target's threshold; less than 1 stands for the configured one."""
        self.threshold_ticks = ticks if ticks >= 1 else self._configured_ticks

    def want(self, side: int, level: int, price_ticks: int, lots: int) -> None:
        """Set what should rest in a slot; 0 lots for nothing."""
        slot = self._slots[side, level]
        slot.want_ticks, slot.want_lots = price_ticks, lots

    def want_nothing(self) -> None:
        """Empty every slot's wish."""
        for slot in self._slots.values():
            slot.want_lots = 0

    def order_of(self, slot: Slot) -> Order | None:
        """Return the slot's order while it is not final."""
        order = self._orders.get(slot.client_order_id) if slot.client_order_id else None
        return None if order is None or order.state.terminal else order

    def next_action(self, slot: Slot, net_bid_ticks: int, net_ask_ticks: int) -> Action | None:
        """Return the message that brings a slot nearer to its wish, or None when it is there or must wait.

        Parameters
        ----------
        net_bid_ticks, net_ask_ticks : int
            Best prices of the book without our own orders; 0 where there is none.
        """
        order = self.order_of(slot)
        if order is None:
            if slot.want_lots <= 0 or self.held[Side(slot.side)]:
                return None
            return Action(Kind.INSERT, slot.side, slot.level, 0, slot.want_ticks, slot.want_lots)
        if slot.want_lots <= 0:
            if order.state in (OrderState.CANCELLING, OrderState.UNKNOWN):
                return None
            return self.cancel(slot, order)
        if order.state is not OrderState.LIVE or not self.differs(slot, order):
            return None
        if self.held[Side(slot.side)]:
            return self.cancel(slot, order) if self.is_stale(slot, order) else None
        if not self._amend_is_safe(slot, net_bid_ticks, net_ask_ticks):
            return self.cancel(slot, order)
        total_lots = order.done_lots + slot.want_lots
        return Action(Kind.AMEND, slot.side, slot.level, order.client_order_id, slot.want_ticks, total_lots)

    @staticmethod
    def cancel(slot: Slot, order: Order) -> Action:
        """Return the message that takes a slot's order out of the market."""
        return Action(Kind.CANCEL, slot.side, slot.level, order.client_order_id, order.price_ticks, order.total_lots)

    def is_stale(self, slot: Slot, order: Order) -> bool:
        """True when an order rests so much more aggressively than wanted that it must go if it cannot be moved."""
        return (order.price_ticks - slot.want_ticks) * slot.side >= STALE_THRESHOLDS * self._configured_ticks

    def differs(self, slot: Slot, order: Order) -> bool:
        """True when an order is not what is wanted: its price by the threshold, or its size."""
        if abs(order.price_ticks - slot.want_ticks) >= self.threshold_ticks:
            return True
        return order.total_lots - order.done_lots != slot.want_lots

    def _amend_is_safe(self, slot: Slot, net_bid_ticks: int, net_ask_ticks: int) -> bool:
        if not self.amend_allowed or self._meets_our_own(slot):
            return False
        if slot.side == Side.BUY:
            return net_ask_ticks > 0 and slot.want_ticks <= net_ask_ticks - AMEND_SAFE_TICKS
        return net_bid_ticks > 0 and slot.want_ticks >= net_bid_ticks + AMEND_SAFE_TICKS

    def _meets_our_own(self, slot: Slot) -> bool:
        """Whether an amend could trade with an order of ours: while one is moved, it may be at either of its prices."""
        for order in self._orders:
            if order.side == slot.side or not order.exposed_lots:
                continue
            if any((slot.want_ticks - at) * slot.side >= 0 for at in (order.price_ticks, order.pending_price_ticks)):
                return True
        return False
