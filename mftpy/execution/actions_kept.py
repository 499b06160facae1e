"""What became of every slot of a target, for the journal of actions: what was sent, or why nothing was.

It looks at the desk after each of its turns and writes what has changed: a message that was sent at once, and another
outcome only when the slot's wish or the outcome is another. While nothing changes nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mftcore import JournalFull, JournalWriter, MftError
from mftcore.orders import Order, OrderState
from mftpy import records
from mftpy.decisions import ACTION, Outcome
from mftpy.execution.desk import Desk
from mftpy.execution.slots import Action, Kind, Slot

_SENT: Final = {Kind.INSERT: Outcome.INSERTED, Kind.AMEND: Outcome.AMENDED, Kind.CANCEL: Outcome.CANCELLED}
_MESSAGES: Final = (*_SENT.values(), Outcome.PULLED)
_FOLLOWS: Final = (Outcome.RESTS_ALREADY, Outcome.WAITS_FOR_ANSWER)
"""What a message leads to by itself: told only of a slot about which nothing was sent."""


@dataclass(slots=True)
class _Wish:
    """A slot as it was last told of."""

    ticks: int = 0
    lots: int = 0
    held: bool = False
    decision_id: int = 0
    told: tuple[int, Outcome | None] = (0, None)


@dataclass(slots=True)
class _Watched:
    """An order of which the end is not known yet."""

    side: int
    level: int
    filled_lots: int = 0
    cancelled: bool = False


class ActionsKept:
    """Writes an `ACTION` for whatever becomes of a slot.

    Parameters
    ----------
    desk : Desk
    writer : JournalWriter or None
        None: nothing is kept.
    warn : callable
        Takes a sentence for the user, once, when the journal cannot be used any more. A full one is counted by itself.
    """

    def __init__(self, desk: Desk, writer: JournalWriter | None, warn: Callable[[str], None]) -> None:
        self._desk = desk
        self._writer = writer
        self._warn = warn
        self._wishes = {(slot.side, slot.level): _Wish() for slot in desk.slots}
        self._orders: dict[int, _Watched] = {}
        self._record = records.blank(ACTION)

    def on_target(self, decision_id: int) -> None:
        """Note which wishes a target has changed; call it when the desk has taken it over."""
        if self._writer is None:
            return
        held = self._desk.slots.held
        for slot in self._desk.slots:
            wish = self._wishes[slot.side, slot.level]
            lots = max(slot.want_lots, 0)
            ticks = slot.want_ticks if lots else 0
            if (ticks, lots, held[records.Side(slot.side)]) != (wish.ticks, wish.lots, wish.held):
                wish.ticks, wish.lots, wish.held = ticks, lots, held[records.Side(slot.side)]
                wish.decision_id = decision_id

    def sent(self, action: Action, sent_ns: int, *, pulled: bool = False) -> None:
        """Write that a message was sent; `pulled`: not for a target, but to leave the market."""
        if self._writer is None:
            return
        self._follow_all(sent_ns)  # a fill comes before the message that it led to
        wish, number = self._wishes[action.side, action.level], action.client_order_id
        outcome = Outcome.PULLED if pulled else _SENT[action.kind]
        order, lots = self._desk.orders.get(number), action.total_lots
        if order is not None and action.kind is not Kind.INSERT:
            lots -= order.done_lots
        if action.kind is Kind.INSERT:
            self._orders[number] = _Watched(action.side, action.level)
        elif action.kind is Kind.CANCEL and number in self._orders:
            self._orders[number].cancelled = True
        self._write(action.side, action.level, outcome, action.price_ticks, lots, number, sent_ns, sent_ns)
        wish.told = wish.decision_id, outcome

    def settle(self, now_ns: int) -> None:
        """Write what has become of orders, and of slots about which nothing was sent; call it after each turn."""
        if self._writer is None:
            return
        self._follow_all(now_ns)
        for slot in self._desk.slots:
            if slot.want_lots <= 0 and not slot.client_order_id:
                continue
            wish = self._wishes[slot.side, slot.level]
            order = self._desk.slots.order_of(slot)
            outcome = self._outcome(slot, order, now_ns)
            decided, told = wish.told
            if outcome is None or wish.told == (wish.decision_id, outcome):
                continue
            if order is not None and outcome in _FOLLOWS and decided == wish.decision_id and told in _MESSAGES:
                continue
            if order is not None and outcome in _FOLLOWS:
                ticks, lots = order.price_ticks, order.total_lots - order.done_lots
            else:
                ticks, lots = slot.want_ticks, slot.want_lots
            number = order.client_order_id if order is not None else 0
            self._write(slot.side, slot.level, outcome, ticks, lots, number, now_ns, 0)
            wish.told = wish.decision_id, outcome

    def _outcome(self, slot: Slot, order: Order | None, now_ns: int) -> Outcome | None:
        """Why a slot was left as it is; None when nothing is wanted in it and nothing rests."""
        desk, slots = self._desk, self._desk.slots
        action = slots.next_action(slot, desk.net_bid_ticks, desk.net_ask_ticks)
        if action is None:
            return self._outcome_of_nothing(slot, order)
        if action.kind is Kind.CANCEL or slot.throttled:
            return Outcome.THROTTLED
        if action.kind is Kind.INSERT and desk.uninformed:
            return Outcome.WAITS_FOR_ANSWER
        if desk.paused(slot.side, slot.want_ticks, now_ns):
            return Outcome.PAUSED_AFTER_REFUSAL
        return Outcome.REFUSED_BY_LIMITS

    def _outcome_of_nothing(self, slot: Slot, order: Order | None) -> Outcome | None:
        slots = self._desk.slots
        held = slots.held[records.Side(slot.side)]
        if order is None:
            return Outcome.HELD_POSSIBLY_FILLED if held and slot.want_lots > 0 else None
        if order.state is not OrderState.LIVE:
            return Outcome.WAITS_FOR_ANSWER
        return Outcome.HELD_POSSIBLY_FILLED if held and slots.differs(slot, order) else Outcome.RESTS_ALREADY

    def _follow_all(self, now_ns: int) -> None:
        for number in list(self._orders):
            self._follow(number, now_ns)

    def _follow(self, number: int, now_ns: int) -> None:
        """Write an order's fills and, if it was not by a cancel of ours, its end."""
        watched, order = self._orders[number], self._desk.orders.get(number)
        if order is None:
            del self._orders[number]
            return
        ticks, filled = order.price_ticks, order.fill_sum_lots - watched.filled_lots
        if filled > 0:
            watched.filled_lots += filled
            self._write(watched.side, watched.level, Outcome.FILLED, ticks, filled, number, now_ns, 0)
        if order.state.terminal and order.missing_lots == 0:
            del self._orders[number]
            if order.state is not OrderState.FILLED and not watched.cancelled:
                left = order.total_lots - order.done_lots
                self._write(watched.side, watched.level, Outcome.ENDED, ticks, left, number, now_ns, 0)

    def _write(
        self, side: int, level: int, outcome: Outcome, ticks: int, lots: int, number: int, now_ns: int, sent_ns: int
    ) -> None:
        if self._writer is None:
            return
        self._record[0] = (
            self._wishes[side, level].decision_id, now_ns, outcome, side, level, ticks, lots, number, sent_ns,
        )  # fmt: skip
        try:
            self._writer.append(1, self._record)
        except JournalFull:
            pass  # the journal counts it; the summary and the supervisor's warning tell of it
        except MftError as error:
            self._writer = None
            self._warn(f"the actions of this run are no longer kept: {error}")
