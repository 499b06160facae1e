"""OrderManager beside dicts: requests, answers, order objects, lists and fills, true and untrue, in any order."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mftcore import OrderManager, OrderTableFull, RecordError, UnknownOrder
from mftcore.orders import CLOSED_REMEMBERED, FILLS_REMEMBERED, GRACE_NS
from tests.core.plain_orders import PlainOrders

CAPACITY, LIVE_FILLS = 3, 50
numbers = st.sampled_from([1, 1, 1, 2, 2, 3, 4, 5, 0])
order_ids = st.sampled_from(["A{}", "A{}", "A{}", "A{}", "A2", "", "Ä" * 23])  # of the order, of another
sizes = st.sampled_from([10, 10, 4, 6, 14, 1, 0])
prices = st.sampled_from([1, 2, 3, 0, -1])


class OrdersBesideDicts(RuleBasedStateMachine):
    """The twin knows nothing of flags and slots; see plain_orders.py."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: Any = OrderManager(CAPACITY, live_fills=LIVE_FILLS)
        self.twin = PlainOrders(
            CAPACITY, keep_ended=CLOSED_REMEMBERED, keep_fills=FILLS_REMEMBERED, live_fills=LIVE_FILLS
        )
        self.now_ns = 0
        for number in (1, 2, 3):
            self.insert(number, 1 if number < 3 else -1, 2, 10)
        for number in (1, 2):
            self.tell(number, "A{}", "open", 2, 10, 0, -1)

    def tick(self) -> int:
        self.now_ns += GRACE_NS // 2
        return self.now_ns

    def said(self, call: str, *arguments: Any) -> str:
        try:
            getattr(self.orders, call)(*arguments)
        except RecordError:
            return "refused"
        except UnknownOrder:
            return "unknown"
        except OrderTableFull:
            return "full"
        return "done"

    @rule(number=numbers, side=st.sampled_from([1, -1, 0]), price=prices, lots=sizes)
    def insert(self, number: int, side: int, price: int, lots: int) -> None:
        now_ns = self.tick()
        wanted = self.twin.insert(number, side, price, lots, now_ns)
        assert self.said("insert", number, side, price, lots, now_ns) == wanted

    @rule(number=numbers, price=prices, total=sizes)
    def amend(self, number: int, price: int, total: int) -> None:
        now_ns = self.tick()
        wanted = self.twin.ours("amend", number, price, total, now_ns)
        assert self.said("amend", number, price, total, now_ns) == wanted

    @precondition(lambda self: any(order.state == "LIVE" for order in self.twin.live.values()))
    @rule(data=st.data(), price=st.integers(1, 3), total=st.integers(1, 14))
    def amend_what_is_live(self, data: Any, price: int, total: int) -> None:
        live = [number for number, order in self.twin.live.items() if order.state == "LIVE"]
        self.amend(data.draw(st.sampled_from(sorted(live))), price, total)

    @rule(call=st.sampled_from(["cancel", "doubt"]), number=numbers)
    def cancel_or_doubt(self, call: str, number: int) -> None:
        now_ns = self.tick()
        assert self.said(call, number, now_ns) == self.twin.ours(call, number, 0, 0, now_ns)

    @rule(
        number=numbers, order_id=order_ids, what=st.sampled_from(["open", "open", "filled", "cancelled"]), price=prices,
        total=sizes, filled=sizes, ago=st.integers(-1, 4),
    )  # fmt: skip
    def tell(self, number: int, order_id: str, what: str, price: int, total: int, filled: int, ago: int) -> None:
        now_ns, order_id = self.tick(), order_id.format(number)
        asked_ns = 0 if ago < 0 else now_ns - ago * GRACE_NS // 2
        told = self.orders.on_order(
            number, order_id, what == "open", what == "filled", price, total, filled, now_ns, asked_ns=asked_ns
        )
        wanted = self.twin.told(number, order_id, what, price, total, filled, now_ns, asked_ns)
        assert (told and told.client_order_id) == (wanted and wanted.client_order_id)

    @precondition(lambda self: self.twin.live)
    @rule(data=st.data(), what=st.sampled_from(["open", "filled", "cancelled"]), filled=sizes)
    def tell_what_is_likely(self, data: Any, what: str, filled: int) -> None:
        order = self.twin.live[data.draw(st.sampled_from(sorted(self.twin.live)))]
        filled = order.total_lots if what == "filled" else min(filled, order.total_lots)
        order_id = order.order_id or "A{}"
        self.tell(order.client_order_id, order_id, what, *order.pending, filled, data.draw(st.integers(-1, 1)))

    @rule(number=numbers, price=prices, total=sizes)
    def amended(self, number: int, price: int, total: int) -> None:
        now_ns = self.tick()
        self.orders.on_amended(number, price, total, now_ns)
        self.twin.answered("amended", number, price, total, now_ns)

    @rule(number=numbers, request=st.sampled_from(["insert", "amend", "cancel"]), gone=st.booleans())
    def refuse(self, number: int, request: str, gone: bool) -> None:
        now_ns = self.tick()
        more = {} if request == "insert" else {"gone": gone}
        getattr(self.orders, f"on_{request}_refused")(number, now_ns, **more)
        kind = f"{request} missed" if gone and more else f"{request} refused"
        self.twin.answered(kind, number, 0, 0, now_ns)

    @precondition(lambda self: any(o.unanswered_amends or o.unanswered_cancels for o in self.twin.live.values()))
    @rule(data=st.data(), gone=st.booleans())
    def refuse_what_is_due(self, data: Any, gone: bool) -> None:
        due = [("amend", n) for n, order in self.twin.live.items() if order.unanswered_amends]
        due += [("cancel", n) for n, order in self.twin.live.items() if order.unanswered_cancels]
        request, number = data.draw(st.sampled_from(sorted(due)))
        self.refuse(number, request, gone)

    @rule(number=numbers, ago=st.integers(0, 4))
    def list_without(self, number: int, ago: int) -> None:
        now_ns = self.tick()
        asked_ns = now_ns - ago * GRACE_NS // 2
        wanted = self.twin.not_open(number, asked_ns, now_ns, GRACE_NS)
        assert self.orders.on_not_open(number, asked_ns, now_ns) == wanted

    @rule(number=numbers, order_id=order_ids, trade=st.sampled_from(["", "T1", "T2", "T3"]), leg=st.integers(0, 1),
          lots=st.integers(0, 6))  # fmt: skip
    def fill(self, number: int, order_id: str, trade: str, leg: int, lots: int) -> None:
        order_id = order_id.format(number)
        wanted = self.twin.fill(number, order_id, trade, leg, lots)
        try:
            assert self.orders.on_fill(number, order_id, trade, leg, lots) == (wanted == "new")
        except RecordError:
            assert wanted == "refused"

    @invariant()
    def each_order_is_as_the_twin_has_it(self) -> None:
        for number in range(1, 6):
            order, wanted = self.orders.get(number), self.twin.get(number)
            assert (order is None) == (wanted is None)
            if order is None or wanted is None:
                continue
            assert order.state.name == wanted.state
            assert (order.order_id, order.side, order.price_ticks, order.total_lots) == (
                wanted.order_id, wanted.side, wanted.price_ticks, wanted.total_lots,
            )  # fmt: skip
            assert (order.pending_price_ticks, order.pending_total_lots) == wanted.pending
            assert (order.filled_lots, order.fill_sum_lots) == (wanted.filled_lots, wanted.sum_lots)
            assert (order.most_lots, order.exposed_lots, order.missing_lots) == (
                wanted.most_lots, wanted.exposed_lots, wanted.missing_lots,
            )  # fmt: skip
            assert (order.created_ns, order.changed_ns) == (wanted.created_ns, wanted.changed_ns)
            if wanted.order_id:
                assert self.orders.by_order_id(wanted.order_id) == order

    @invariant()
    def sums_lists_and_counters_are_too(self) -> None:
        assert [order.client_order_id for order in self.orders] == list(self.twin.live)
        assert len(self.orders) == len(self.twin.live)
        assert [self.orders.exposure(side) for side in (1, -1)] == [self.twin.exposure(side) for side in (1, -1)]
        assert {name: getattr(self.orders, name) for name in self.twin.counts} == self.twin.counts
        known = [*self.twin.live.values(), *self.twin.ended.values()]
        assert self.orders.missing_lots == sum(order.missing_lots for order in known)


TestOrders = OrdersBesideDicts.TestCase
TestOrders.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
