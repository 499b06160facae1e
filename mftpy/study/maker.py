"""A market maker on the injected clock: sees late, decides, and what it sends arrives late.

The rules are those of execution: one order a side, one message in flight for each, an order is moved when its price
differs from the wanted one by the threshold; moved by an amend where that cannot take, else cancelled and inserted
again; a budget of messages.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Final

from mftpy.execution.slots import AMEND_SAFE_TICKS, STALE_THRESHOLDS
from mftpy.settings import Config
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.orders import ClientOrder
from mftpy.study.accounting import Ledger
from mftpy.study.quoters import Strategy
from mftpy.study.venue import Fill, Venue

SEEN: Final = 0
ARRIVED: Final = 1
ANSWERED: Final = 2
FILLED: Final = 3


@dataclass(slots=True)
class Live:
    """An order of ours as we know it: what the exchange has since done to it, we are yet to hear."""

    order: ClientOrder
    price_ticks: int
    open_lots: int
    filled_lots: int


class Maker:
    """See the module's text.

    Parameters
    ----------
    venue : Venue
    strategy : Strategy
    config : Config
    to_us_ns, to_venue_ns : int
        Latency of what the exchange tells until it is acted on, and of what is sent until it is matched.
    ledger : Ledger
    """

    def __init__(
        self, venue: Venue, strategy: Strategy, config: Config, to_us_ns: int, to_venue_ns: int, ledger: Ledger
    ) -> None:
        self._venue, self._strategy, self._ledger = venue, strategy, ledger
        self._to_us_ns, self._to_venue_ns = to_us_ns, to_venue_ns
        self._threshold = config.quoting.requote_threshold_ticks
        self._clip = round(config.quoting.clip_coins / venue.listed.lot_size)
        self._rate = config.limits.message_rate_per_s
        self._tokens, self._filled_ns = self._rate, 0
        self._events: list[tuple[int, int, int, Any]] = []
        self._count = 0
        self._best = (0, 0)  # of the others, as last told
        self._known = (0, 0, 0)  # and as we know it, with our position
        self._position = 0
        self._wanted = {BUY: 0, SELL: 0}
        self._live: dict[int, Live | None] = {BUY: None, SELL: None}
        self._in_flight = {BUY: False, SELL: False}
        self._changed, self._told = venue.contract.book.changed, venue.trading.told
        self._amend_allowed = True  # until one has taken: then cancel and insert, as execution does

    def run(self, until_ns: int) -> None:
        """Let the market and the maker go on until a time."""
        venue, events = self._venue, self._events
        while True:
            due_ns = venue.next_due_ns()
            if events and events[0][0] < due_ns:
                now_ns, _, kind, what = events[0]
                if now_ns >= until_ns:
                    return
                heapq.heappop(events)
                if kind == SEEN:
                    self._known = (*what, self._position)
                    self._decide(now_ns)
                elif kind == ARRIVED:
                    self._deliver(now_ns, *what)
                elif kind == ANSWERED:
                    side, self._live[side] = what
                    self._in_flight[side] = False
                    self._act(side, now_ns)
                else:
                    self._on_fill(now_ns, what)
            else:
                if due_ns >= until_ns:
                    return
                now_ns = due_ns
                venue.step(now_ns)
            self._look(now_ns)

    # the exchange's side

    def _look(self, now_ns: int) -> None:
        """Pass on what the last event changed at the exchange."""
        venue = self._venue
        if not (self._changed or self._told):
            return
        for fill in venue.fills():
            self._ledger.fill(now_ns, fill)
            self._at(now_ns + self._to_us_ns, FILLED, fill)
        best = venue.net_best()
        if best != self._best:
            self._best = best
            self._at(now_ns + self._to_us_ns, SEEN, best)

    def _deliver(self, now_ns: int, side: int, order: ClientOrder | None, price_ticks: int, lots: int) -> None:
        venue, live = self._venue, None
        if order is None:
            order = venue.insert(now_ns, side, price_ticks, lots)
        elif price_ticks:
            venue.amend(now_ns, order, price_ticks, lots)
        else:
            venue.cancel(now_ns, order)
        if order is not None and order.resting is not None:
            live = Live(order, order.resting.price_ticks, order.open_lots, order.filled_lots)
        self._at(now_ns + self._to_us_ns, ANSWERED, (side, live))

    # our side

    def _on_fill(self, now_ns: int, fill: Fill) -> None:
        self._position += fill.side * fill.lots
        self._amend_allowed = self._amend_allowed and fill.maker
        live = self._live[fill.side]
        if live is not None and live.order is fill.order:
            live.open_lots -= fill.lots
            live.filled_lots += fill.lots
            if live.open_lots == 0:
                self._live[fill.side] = None
        self._known = (*self._known[:2], self._position)
        self._decide(now_ns)

    def _decide(self, now_ns: int) -> None:
        bid, ask, position = self._known
        self._wanted = self._strategy.decide(bid, ask, position) if 0 < bid < ask else {BUY: 0, SELL: 0}
        self._act(BUY, now_ns)
        self._act(SELL, now_ns)

    def _act(self, side: int, now_ns: int) -> None:
        if self._in_flight[side]:
            return
        live, wanted = self._live[side], self._wanted[side]
        if live is None:
            if wanted:
                self._send(now_ns, side, None, wanted, self._clip)
            return
        if not wanted:
            self._send(now_ns, side, live, 0, 0)
            return
        if abs(live.price_ticks - wanted) < self._threshold and live.open_lots == self._clip:
            return
        bid, ask, _ = self._known
        safe = wanted <= ask - AMEND_SAFE_TICKS if side == BUY else wanted >= bid + AMEND_SAFE_TICKS
        if safe and self._amend_allowed:
            self._send(now_ns, side, live, wanted, live.filled_lots + self._clip)
        else:
            self._send(now_ns, side, live, 0, 0)

    def _send(self, now_ns: int, side: int, live: Live | None, price_ticks: int, lots: int) -> None:
        if price_ticks:
            self._tokens = min(self._rate, self._tokens + (now_ns - self._filled_ns) * 1e-9 * self._rate)
            self._filled_ns = now_ns
            if self._tokens < 1.0:
                if live is None or (live.price_ticks - self._wanted[side]) * side < STALE_THRESHOLDS * self._threshold:
                    return
                price_ticks = lots = 0  # too aggressive to be left where it is: cancelled, which has its own budget
            else:
                self._tokens -= 1.0
        self._in_flight[side] = True
        order = None if live is None else live.order
        self._at(now_ns + self._to_venue_ns, ARRIVED, (side, order, price_ticks, lots))

    def _at(self, when_ns: int, kind: int, what: Any) -> None:
        self._count += 1
        heapq.heappush(self._events, (when_ns, self._count, kind, what))
