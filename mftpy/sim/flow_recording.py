"""A recorded market as the exchange's background, on the recording's own local timestamps.

The rules by which our orders fill, stated honestly:

- The background's sizes are the recorded ones; depth updates set them, recorded trades and our fills do not.
- A print beyond the price of a resting client order fills it, at the order's price, up to the print's size.
- A print at the order's price first uses up the size that stood there when the order joined; what is left of the print
  fills the order. That size ahead also shrinks to the recorded size when that becomes smaller.
- When the recorded book moves through an order (the opposite best reaches its price), it is filled at its price.
- A client's taking order takes recorded size until the next depth update of that level.
- A snapshot in the middle, where a file does not continue the one before, replaces the book; client orders stay, and
  those that the new book has moved through are filled as above.
- An event whose local timestamp is earlier than that of one before it is played at once.

Best prices come from depth updates; bookTicker lines serve to check them and are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mftpy.errors import InputFileError, MftpyError
from mftpy.sim.flow import Market
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.orders import ClientOrder
from mftpy.sim.recording import Depth, Print, Recording

EVENTS_PER_STEP: Final = 500


@dataclass(slots=True)
class _Place:
    """Where an order stands in line: lots ahead of it, for the resting object it had when it joined."""

    resting: Any
    ahead: int


class RecordingFlow:
    """See the module's text.

    Parameters
    ----------
    recording : Recording
    speed : float
        How many times faster than recorded.
    """

    def __init__(self, recording: Recording, speed: float) -> None:
        self.finished: str | None = None
        self.failure: MftpyError | None = None
        self._recording = recording
        self._events = recording.synchronised()
        self._speed = speed
        self._sides: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self._places: dict[str, _Place] = {}
        self._started_ns = 0
        self._first_ns = 0
        self._next: Any = None

    def start(self, market: Market, now_ns: int) -> None:
        """Read up to the first complete book and show it."""
        self._next = next(self._events)
        self._apply(market, self._next)
        self._take_next()
        self._started_ns = now_ns
        self._first_ns = self._next.local_ns if self._next is not None else 0
        self._index(market)

    def next_due_ns(self) -> int | None:
        """Return when the next recorded event is due; None at the end."""
        if self._next is None:
            return None
        return self._started_ns + int((self._next.local_ns - self._first_ns) / self._speed)

    def step(self, market: Market, now_ns: int) -> None:
        """Play the events that are due, a bounded number: what a slow machine cannot play in time is played late."""
        self._register(market)
        changed = False
        for _ in range(EVENTS_PER_STEP):
            due_ns = self.next_due_ns()
            if due_ns is None or due_ns > now_ns:
                break
            changed = self._apply(market, self._next) or changed
            self._take_next()
        if changed:
            self._index(market)

    def _take_next(self) -> None:
        try:
            self._next = next(self._events, None)
        except InputFileError as error:
            self._next, self.failure = None, error
            return
        if self._next is None:
            self.finished = "the end of the recording" + self._between()

    def _between(self) -> str:
        """Say what was not as in one unbroken recording."""
        joins = self._recording.joins
        left_out_ns = sum(join.silence_ns - join.played_ns for join in joins)
        anew = sum(join.resynchronised for join in joins)
        said = [f"{left_out_ns * 1e-9:,.1f} s of silence between its files left out"] if left_out_ns else []
        if anew:
            said.append(f"{anew} of its {len(joins) + 1} files begun anew from a snapshot")
        return f" ({', '.join(said)})" if said else ""

    def _apply(self, market: Market, event: Any) -> bool:
        if isinstance(event, Depth):
            self._on_depth(market, event)
            return True
        if isinstance(event, Print):
            self._on_print(market, event)
        return False

    def _on_depth(self, market: Market, event: Depth) -> None:
        changes = {BUY: event.bids, SELL: event.asks}
        if event.snapshot:  # what it does not hold is gone
            for side, levels in changes.items():
                held = {price for price, _ in levels}
                changes[side] = [*levels, *((price, 0) for price in self._sides[side] if price not in held)]
        for side, levels in changes.items():
            for price, lots in levels:
                if lots:
                    self._sides[side][price] = lots
                else:
                    self._sides[side].pop(price, None)
        # what moves through a client's order fills it before it is shown: the book never crosses
        for side in (BUY, SELL):
            best = self._best(side)
            for order in market.client_orders(-side):
                assert order.price_ticks is not None
                if best is None or side * (best - order.price_ticks) < 0:
                    break
                market.fill(order, order.open_lots)
        for side, levels in changes.items():  # removals first: the sides may pass each other
            for price, lots in levels:
                if not lots:
                    market.set_level(side, price, 0)
        for side, levels in changes.items():
            for price, lots in levels:
                if lots:
                    market.set_level(side, price, lots)
        for side in (BUY, SELL):
            for order in market.client_orders(side):
                place = self._places.get(order.order_id)
                if place is not None and order.price_ticks is not None:
                    place.ahead = min(place.ahead, self._sides[side].get(order.price_ticks, 0))

    def _on_print(self, market: Market, event: Print) -> None:
        market.print_trade(event.price_ticks, event.lots, event.taker_side)
        left, used = event.lots, 0  # of the background at the print's price: what one order's line has lost, all have
        for order in market.client_orders(-event.taker_side):
            assert order.price_ticks is not None
            beyond = event.taker_side * (event.price_ticks - order.price_ticks)
            if beyond < 0:
                break
            if beyond == 0:
                place = self._places.get(order.order_id)
                ahead = place.ahead if place is not None else self._sides[order.side].get(order.price_ticks, 0)
                more = min(max(ahead - used, 0), left)
                left, used = left - more, used + more
                if place is not None:
                    place.ahead -= min(ahead, used)
            left -= market.fill(order, min(left, order.open_lots))

    def _register(self, market: Market) -> None:
        """Note what stands ahead of orders that have joined a line since the last step."""
        live: dict[str, _Place] = {}
        for side in (BUY, SELL):
            for order in market.client_orders(side):
                place = self._places.get(order.order_id)
                if place is None or place.resting is not order.resting:
                    place = _Place(order.resting, self._ahead_of(order))
                live[order.order_id] = place
        self._places = live

    def _ahead_of(self, order: ClientOrder) -> int:
        return self._sides[order.side].get(order.price_ticks or 0, 0)

    def _best(self, side: int) -> int | None:
        prices = self._sides[side]
        return (max if side == BUY else min)(prices, default=None)

    def _index(self, market: Market) -> None:
        bid, ask = self._best(BUY), self._best(SELL)
        if bid is not None and ask is not None:
            market.set_index((bid + ask) * market.instrument.tick_units // 2)
