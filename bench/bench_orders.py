"""The orders of a session: what each message about an order costs, and each look at one.

A regression means that each reply, notice and fill costs the execution process more, or each look of the desk at its
orders. The C rows are the same messages without Python; "plain dicts" is what a competent Python quoter would write.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from _harness import Figures, c_program, contest, in_runs, percentiles, pinned, scaled, two_cores
from _plain_orders import PlainOrders
from _targets import ORDER_LIFE

from mftcore import OrderManager

LIVE = 100
MESSAGES = 8
RUN = 8
AHEAD = 4096


def from_c(what: str, count: int) -> Any:
    return partial(c_program, "bench_orders.c", what, LIVE, scaled(count, 6400), two_cores()[0])


@pytest.mark.benchmark(group="orders")
def bench_lives(benchmark: Any) -> None:
    """Insert, acknowledged, partly filled, its fill, amend, answered, cancel, cancelled; ns per message, 100 live."""
    contestants = {
        "C table": from_c("life", 200_000),
        "mftcore OrderManager": partial(lives, OrderManager),
        "plain dicts": partial(lives, PlainOrders),
    }
    contest(benchmark, ORDER_LIFE, contestants, key="ns")


@pytest.mark.benchmark(group="orders")
def bench_notices(benchmark: Any) -> None:
    """An order object that tells nothing new: each change comes by reply and by notice, so this is every second one."""
    contestants = {
        "C table": from_c("notice", 200_000),
        "mftcore OrderManager": partial(calls, OrderManager, lambda o: partial(o.on_order, *NOTICE)),
        "plain dicts": partial(calls, PlainOrders, lambda o: partial(o.on_order, *NOTICE)),
    }
    contest(benchmark, "orders, a notice that tells nothing new, ns", contestants, key="ns")


@pytest.mark.benchmark(group="orders")
def bench_looks(benchmark: Any) -> None:
    """Finding an order, reading it, and what one side may still cost with 100 orders live."""
    contestants = {
        "C get": from_c("get", 200_000),
        "mftcore get": partial(calls, OrderManager, lambda o: partial(o.get, 7)),
        "mftcore get, state": partial(calls, OrderManager, lambda o: lambda: o.get(7).state),
        "mftcore exposure": partial(calls, OrderManager, lambda o: partial(o.exposure, 1)),
        "plain dicts get": partial(calls, PlainOrders, lambda o: partial(o.get, 7)),
        "plain dicts get, state": partial(calls, PlainOrders, lambda o: lambda: o.get(7).state),
        "plain dicts exposure": partial(calls, PlainOrders, lambda o: partial(o.exposure, 1)),
    }
    contest(benchmark, "orders, a look, ns", contestants, key="ns")


NOTICE = (7, "001F24B700000007", True, False, 617_000, 10, 4, 1)


def begin(orders: Any, number: int, order_id: str, trade_id: str) -> None:
    orders.insert(number, 1 if number % 2 else -1, 617_000, 10, number)
    orders.on_order(number, order_id, True, False, 617_000, 10, 0, number)
    orders.on_order(number, order_id, True, False, 617_000, 10, 4, number)
    orders.on_fill(number, order_id, trade_id, 0, 4)


def end(orders: Any, number: int, order_id: str) -> None:
    orders.amend(number, 617_010, 14, number)
    orders.on_amended(number, 617_010, 14, number)
    orders.cancel(number, number)
    orders.on_order(number, order_id, False, False, 617_010, 14, 4, number)


def texts(number: int) -> tuple[str, str]:
    return f"001F24B7{number:08X}", f"0000000000000001182EF416{number:08X}"


def lives(make: Callable[[], Any]) -> Figures:
    """Runs of eight lives, the texts made ahead as the codec makes them; percentiles of runs, per message."""
    orders, clock, count = make(), time.perf_counter_ns, scaled(10_000, 640)
    taken = np.empty(count, np.int64)
    names = [texts(number) for number in range(1, LIVE + 1)]
    for number, name in enumerate(names, 1):
        begin(orders, number, *name)
    with pinned(two_cores()[0]):
        number = LIVE
        for i in range(-AHEAD // RUN - 1, count):
            names = [*names[-LIVE:], *(texts(number + k) for k in range(1, RUN + 1))]
            start = clock()
            for k in range(RUN):
                number += 1
                begin(orders, number, *names[LIVE + k])
                end(orders, number - LIVE, names[k][0])
            taken[max(i, 0)] = clock() - start
    each = RUN * MESSAGES
    return {name: value if name == "count" else value / each for name, value in percentiles(taken).items()} | {
        "ns": float(np.median(taken)) / each
    }


def calls(make: Callable[[], Any], of: Callable[[Any], Callable[[], Any]]) -> Figures:
    orders = make()
    for number in range(1, LIVE + 1):
        begin(orders, number, *texts(number))
    with pinned(two_cores()[0]):
        return in_runs(of(orders), scaled(50_000, 6400))
