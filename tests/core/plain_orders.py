"""The slow twin of `mftcore.OrderManager`: dicts, and each rule as a sentence of its own.

Written from docs/orders.md and not from the C, so that a fault of one is not a fault of the other: what an order may
still cost is not kept as a number, but worked out from the list of all totals that the exchange may hold.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

ENDS = ("FILLED", "CANCELLED", "REJECTED")
ABSENCES = 3


@dataclass
class PlainOrder:
    client_order_id: int
    side: int
    price_ticks: int
    total_lots: int
    changed_ns: int
    created_ns: int
    order_id: str = ""
    told: bool = False  # an order object has come
    end: str = ""
    concluded: bool = False  # no order object said that it ended
    unanswered_amends: list[tuple[int, int]] = field(default_factory=list)  # price and total
    unanswered_cancels: int = 0
    awaits_amend: bool = False
    awaits_cancel: bool = False
    overdue: bool = False
    contradicted: bool = False
    filled_lots: int = 0
    fills: list[int] = field(default_factory=list)
    raised_lots: int = 0  # a total that the exchange told and nobody asked for
    still_most_lots: int = 0  # of amends while one of them was never answered
    ever_lots: int = 0
    lists_without: list[int] = field(default_factory=list)  # when they were asked for

    @property
    def most_lots(self) -> int:
        return max(self.total_lots, self.raised_lots, self.still_most_lots)

    @property
    def sum_lots(self) -> int:
        return sum(self.fills)

    @property
    def state(self) -> str:
        if self.end:
            return self.end
        if self.overdue or self.contradicted:
            return "UNKNOWN"
        if self.awaits_cancel:
            return "CANCELLING"
        if self.awaits_amend:
            return "AMENDING"
        return "LIVE" if self.told else "INSERTING"

    @property
    def pending(self) -> tuple[int, int]:
        return self.unanswered_amends[-1] if self.unanswered_amends else (self.price_ticks, self.total_lots)

    @property
    def missing_lots(self) -> int:
        return max(self.filled_lots - self.sum_lots, 0)

    @property
    def exposed_lots(self) -> int:
        if self.end:
            return self.missing_lots
        return max(self.most_lots - min(self.filled_lots, self.sum_lots), self.missing_lots)

    @property
    def overfilled(self) -> int:
        return max(max(self.filled_lots, self.sum_lots) - self.most_lots, 0)

    def settle(self) -> None:
        """When all that was asked is answered, and nothing else is wrong, nothing is overdue."""
        if self.told and not self.awaits_amend and not self.awaits_cancel:
            self.overdue = False

    def take(self, price_ticks: int, total_lots: int) -> None:
        """Believe what the exchange says of price and size; amends that are not answered may still change it."""
        self.price_ticks, self.total_lots = price_ticks, total_lots
        if not self.unanswered_amends:
            self.raised_lots = self.still_most_lots = 0


class PlainOrders:
    def __init__(self, capacity: int, *, keep_ended: int, keep_fills: int, live_fills: int) -> None:
        self.capacity, self.keep_ended, self.keep_fills, self.live_fills = capacity, keep_ended, keep_fills, live_fills
        self.live: dict[int, PlainOrder] = {}
        self.ended: OrderedDict[int, PlainOrder] = OrderedDict()
        self.forgotten_missing = {1: 0, -1: 0}
        self.live_keys: dict[int, dict[tuple[str, str, int], int]] = {}
        self.old_keys: OrderedDict[tuple[str, str, int], int] = OrderedDict()
        self.counts = dict.fromkeys(
            ("illegal", "unknown", "late", "presumed", "duplicate_fills", "late_fills", "overfills", "refused_fills"), 0
        )

    # what we do

    def insert(self, number: int, side: int, price: int, lots: int, now_ns: int) -> str:
        if number == 0 or side not in (1, -1) or price <= 0 or lots <= 0 or self.get(number):
            return "refused"
        if len(self.live) >= self.capacity:
            return "full"
        self.live[number] = PlainOrder(number, side, price, lots, now_ns, now_ns, ever_lots=lots)
        self.live_keys[number] = {}
        return "done"

    def ours(self, kind: str, number: int, price: int, total: int, now_ns: int) -> str:
        order = self.live.get(number)
        if kind == "amend" and (price <= 0 or total <= 0):
            return "refused"
        if order is None:
            return "unknown"
        was = self._before(order)
        if kind == "amend":
            if order.state != "LIVE":
                return "refused"
            order.still_most_lots = max(order.most_lots, total)
            order.ever_lots = max(order.ever_lots, total)
            order.unanswered_amends.append((price, total))
            order.awaits_amend = True
        elif kind == "cancel":
            order.unanswered_cancels += 1
            order.awaits_cancel = True
        elif order.state == "LIVE":
            order.contradicted = True
        else:
            order.overdue = True
        self._after(order, was, now_ns)
        return "done"

    # what the exchange says

    def told(
        self, number: int, order_id: str, what: str, price: int, total: int, filled: int, now_ns: int, asked_ns: int
    ) -> PlainOrder | None:
        order = self._addressed(number, order_id)
        if order is None:
            return None
        was = self._before(order)
        listed = asked_ns > order.changed_ns
        order.filled_lots = max(order.filled_lots, filled)
        if order.end and not order.concluded:
            self.counts["late"] += 1
        elif what == "open":
            self._told_open(order, price, total, listed)
        else:
            self._told_end(order, what, total, filled)
        self._after(order, was, now_ns)
        return order

    def _told_open(self, order: PlainOrder, price: int, total: int, listed: bool) -> None:
        wrong = bool(order.end)
        if order.end:
            order.end, order.concluded, order.contradicted = "", False, True
            order.awaits_amend = order.awaits_cancel = order.overdue = False
        if total > (order.most_lots if listed else order.ever_lots):
            wrong = True
            order.raised_lots, order.ever_lots = max(order.raised_lots, total), max(order.ever_lots, total)
        self.counts["illegal"] += wrong
        order.lists_without.clear()
        if listed:
            order.awaits_amend = order.awaits_cancel = order.overdue = order.contradicted = False
        if listed or not order.told:
            order.take(price, total)
        order.told = True

    def _told_end(self, order: PlainOrder, what: str, total: int, filled: int) -> None:
        wrong = (order.end == "REJECTED") or (what == "filled" and filled < total) or total > order.most_lots
        if wrong:
            self.counts["illegal"] += 1
        elif order.end:
            self.counts["late"] += 1
        order.raised_lots = max(order.raised_lots, order.most_lots, total)
        order.ever_lots = max(order.ever_lots, total)
        order.end, order.concluded, order.told = ("FILLED" if what == "filled" else "CANCELLED"), False, True
        order.total_lots = total
        order.unanswered_amends.clear()
        order.unanswered_cancels = 0

    def answered(self, kind: str, number: int, price: int, total: int, now_ns: int) -> None:
        order = self._addressed(number, "")
        if order is None:
            return
        was = self._before(order)
        if order.end:
            self.counts["late"] += 1
        elif kind == "insert refused":
            if order.told or order.fills or order.filled_lots:
                self.counts["illegal"] += 1
                order.contradicted = True
            else:
                order.end, order.concluded = "REJECTED", True
        elif kind == "amended":
            self._amended(order, price, total)
        else:
            self._refused(order, kind)
        self._after(order, was, now_ns)

    def _amended(self, order: PlainOrder, price: int, total: int) -> None:
        wrong = not order.unanswered_amends
        if total > order.most_lots:
            wrong, order.raised_lots, order.ever_lots = True, total, max(order.ever_lots, total)
        if order.unanswered_amends:
            order.lists_without.clear()
            if len(order.unanswered_amends) == 1 and total < order.filled_lots:
                wrong, order.contradicted, order.awaits_amend = True, True, False
                order.raised_lots = order.most_lots
                order.unanswered_amends.clear()
            else:
                order.price_ticks, order.total_lots = price, total
                self._amend_answered(order)
        self.counts["illegal"] += wrong

    def _amend_answered(self, order: PlainOrder) -> None:
        order.unanswered_amends.pop(0)
        if not order.unanswered_amends:
            order.awaits_amend = False
            order.take(order.price_ticks, order.total_lots)

    def _refused(self, order: PlainOrder, kind: str) -> None:
        if kind.startswith("amend"):
            if not order.unanswered_amends:
                self.counts["illegal"] += 1
                return
            self._amend_answered(order)
        else:
            if not order.unanswered_cancels:
                self.counts["illegal"] += 1
                return
            order.unanswered_cancels -= 1
            order.awaits_cancel = order.awaits_cancel and order.unanswered_cancels > 0
        if kind.endswith("missed"):
            order.contradicted = True

    def not_open(self, number: int, asked_ns: int, now_ns: int, grace_ns: int) -> bool:
        order = self._addressed(number, "")
        if order is None or order.state != "UNKNOWN" or asked_ns <= order.changed_ns:
            return False
        if order.lists_without and asked_ns <= order.lists_without[-1]:
            return False
        last = len(order.lists_without) + 1 == ABSENCES
        if last and asked_ns - order.changed_ns < grace_ns:
            return False
        was = self._before(order)
        order.lists_without.append(asked_ns)
        if last:
            order.end, order.concluded = "CANCELLED", True
            self.counts["presumed"] += 1
        self._after(order, was, now_ns)
        return last

    def fill(self, number: int, order_id: str, trade_id: str, leg: int, lots: int) -> str:
        if not trade_id or not order_id or lots <= 0:
            return "refused"
        key = (trade_id, order_id, leg)
        for keys in (self.old_keys, *self.live_keys.values()):
            if key in keys:
                self.counts["duplicate_fills"] += 1
                self.counts["illegal"] += keys[key] != lots
                return "repeated"
        order = self._addressed(number, order_id)
        if order is not None and not order.end:
            known = len(self.old_keys) + sum(map(len, self.live_keys.values()))
            if known >= self.live_fills + self.keep_fills:
                self.counts["refused_fills"] += 1
                return "full"
            self.live_keys[order.client_order_id][key] = lots
        else:
            self._remember({key: lots})
        if order is not None:
            was = self._before(order)
            self.counts["late_fills"] += bool(order.end) and order.sum_lots + lots > order.filled_lots
            order.fills.append(lots)
            self._after(order, was, order.changed_ns)
        return "new"

    # what is known

    def get(self, number: int) -> PlainOrder | None:
        return self.live.get(number) or self.ended.get(number)

    def by_order_id(self, order_id: str) -> PlainOrder | None:
        known = [*self.live.values(), *self.ended.values()]
        return next((order for order in known if order_id and order.order_id == order_id), None)

    def exposure(self, side: int) -> int:
        known = [*self.live.values(), *self.ended.values()]
        return sum(order.exposed_lots for order in known if order.side == side) + self.forgotten_missing[side]

    # inside

    def _addressed(self, number: int, order_id: str) -> PlainOrder | None:
        order = self.get(number) if number else self.by_order_id(order_id)
        if order is not None and order_id and order.order_id != order_id:
            if order.order_id or self.by_order_id(order_id):
                order = None
            else:
                order.order_id = order_id
        self.counts["unknown"] += order is None
        return order

    @staticmethod
    def _before(order: PlainOrder) -> tuple[str, int, int, int]:
        return order.state, len(order.unanswered_amends), order.unanswered_cancels, order.overfilled

    def _after(self, order: PlainOrder, was: tuple[str, int, int, int], now_ns: int) -> None:
        if not order.end:
            order.settle()
            if order.state != "UNKNOWN":
                order.lists_without.clear()
        now = self._before(order)
        if now[:3] != was[:3]:
            order.changed_ns = now_ns
        self.counts["overfills"] += now[3] > was[3]
        number = order.client_order_id
        if order.end and number in self.live:
            self.ended[number] = self.live.pop(number)
            self._remember(self.live_keys.pop(number))
            if len(self.ended) > self.keep_ended:
                _, old = self.ended.popitem(last=False)
                self.forgotten_missing[old.side] += old.missing_lots
        elif not order.end and number in self.ended:
            self.live[number] = self.ended.pop(number)
            mine = {key: lots for key, lots in self.old_keys.items() if key[1] == order.order_id}
            self.live_keys[number] = mine
            for key in mine:
                del self.old_keys[key]

    def _remember(self, keys: dict[tuple[str, str, int], int]) -> None:
        self.old_keys.update(keys)
        while len(self.old_keys) > self.keep_fills:
            self.old_keys.popitem(last=False)
