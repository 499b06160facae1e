"""What execution reports at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mftpy.execution.desk import Desk
from mftpy.processes.trading_session import Books, close_report


def last_word(
    desk: Desk, start: Books, books: Books, left: int, pulls: int, warn: Callable[[str], None]
) -> dict[str, Any]:
    """Return what execution did, for the summary, and warn of each thing that should not have been.

    Parameters
    ----------
    desk : Desk
    start, books : Books
        What the exchange said at the start, and says now.
    left : int
        Orders of ours that are still open.
    pulls : int
        Times that quotes were pulled because another process made no progress.
    warn : callable
        Gets one sentence.
    """
    position = desk.position
    mark = books.mark_price if not math.isnan(books.mark_price) else 0.0
    split = position.waterfall(mark)
    counts = desk.counts
    orders = desk.orders
    for name, what in (
        (orders.overfills, "fills beyond the size of their order"),
        (orders.unknown, "messages about orders that were never sent"),
        (orders.illegal, "messages that contradict what was known"),
        (orders.presumed, "orders that the lists of open orders lacked; whether they traded, nobody told"),
        (orders.late_fills, "fills that came after their order was said to have ended without them"),
        (orders.missing_lots, "lots that were told as filled, and whose fills never came"),
        (counts["taker_fills"], "fills that took liquidity; amends were then no longer used"),
        (
            counts["foreign_fills"],
            "fills of others on this account: its position and money are not ours alone",
        ),
        (counts["refused_by_limits"], "order messages that the limits refused"),
        (pulls, "times that quotes were pulled because another process made no progress"),
    ):
        if name:
            warn(f"execution counted {name} {what}")
    return {
        "orders_inserted": counts["inserted"],
        "orders_amended": counts["amended"],
        "orders_cancelled": counts["cancelled"],
        "orders_rejected": counts["rejected"],
        "throttled": counts["throttled"],
        "fills": position.fills,
        "position_lots": position.lots,
        "realised_pnl": position.realised,
        "unrealised_pnl": position.unrealised(mark),
        "fees": position.fees,
        "funding": position.funding,
        "equity_start": start.equity,
        **close_report(books, left),
        "cash_difference": books.equity - start.equity - split.net,
        "split": (split.edge, split.inventory, split.fees, split.funding, split.net),
    }
