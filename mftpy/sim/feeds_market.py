"""The public channels of one contract: its books, tickers and trades."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mftpy.sim.clearing import Clearing
from mftpy.sim.contract import RECENT_TRADES, Contract, PublicTrade
from mftpy.sim.feeds_book import BookTopic, Ladder
from mftpy.sim.feeds_names import Channel
from mftpy.sim.feeds_topic import ListTopic, Topic
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.orders import SIDE_NAMES


class MarketWatch:
    """Turns what happens in one contract into what its channels' topics have to say.

    Attributes
    ----------
    topics : dict of str to Topic
        By the channel's name.
    """

    def __init__(self, clearing: Clearing, contract: Contract) -> None:
        self._clearing = clearing
        self._clock = clearing.clock
        self._contract = contract
        self._ladders: dict[int, Ladder] = {}
        self._tickers: dict[str, Topic] = {}
        self._trades: dict[str, ListTopic] = {}
        self._state = self._ticker_state()
        self.topics: dict[str, Topic] = {}

    def open(self, name: str, channel: Channel) -> Topic:
        """Return a new topic for a channel of this contract."""
        contract, clock = self._contract, self._clock
        if channel.kind == "book":
            ladder = self._ladder(channel.step_ticks)
            book = BookTopic(name, clock, channel.interval_ns, contract.listed, ladder, channel.levels)
            self.topics[name] = ladder.topics[name] = book
        elif channel.kind == "recent_trades":
            trades = ListTopic(name, clock, lambda: recent_lines([contract]))
            self.topics[name] = self._trades[name] = trades
        else:
            if not self._tickers:
                self._state = self._ticker_state()
            content = self._ticker if channel.kind == "ticker" else self._light_ticker
            self.topics[name] = self._tickers[name] = Topic(name, clock, channel.interval_ns, content)
        return self.topics[name]

    def close(self, name: str) -> None:
        """Forget a topic that nobody listens to."""
        del self.topics[name]
        self._tickers.pop(name, None)
        self._trades.pop(name, None)
        for step_ticks, ladder in list(self._ladders.items()):
            if ladder.topics.pop(name, None) is not None and not ladder.topics and step_ticks > 1:
                del self._ladders[step_ticks]
        if len(self._ladders) == 1 and not self._ladders[1].topics:
            self._ladders.clear()

    def update(self, ready: dict[Topic, None]) -> None:
        """Take the book's changes; add the topics that have something to say, now or later."""
        book, prints = self._contract.book, self._contract.prints
        if book.changed:
            if self._ladders:
                self._move(ready)
            book.changed.clear()
        if prints:
            if self._ladders:
                trades = [[*line[:4], False] for line in trade_lines(self._contract, prints)]
                for ladder in self._ladders.values():
                    for shown in ladder.topics.values():
                        shown.add_trades(trades)
                        ready[shown] = None
            for topic in self._trades.values():
                topic.add(*trade_lines(self._contract, prints))
                ready[topic] = None
        if self._tickers:
            state = self._ticker_state()
            if state != self._state or prints:
                self._state = state
                for ticker in self._tickers.values():
                    ticker.dirty = True
                    ready[ticker] = None

    def _ladder(self, step_ticks: int) -> Ladder:
        """Return the ladder of a step; that of single ticks is always there, since changes are found by it."""
        ladders, book = self._ladders, self._contract.book
        if not ladders:
            ladders[1] = Ladder(
                1, {side: {at: book.size(side, at) for at in book.prices(side)} for side in (BUY, SELL)}
            )
        if step_ticks not in ladders:
            ladders[step_ticks] = Ladder(step_ticks, ladders[1].levels)
        return ladders[step_ticks]

    def _move(self, ready: dict[Topic, None]) -> None:
        book, ladders = self._contract.book, self._ladders
        known = ladders[1].levels
        for side, price_ticks in sorted(book.changed):
            more = book.size(side, price_ticks) - known[side].get(price_ticks, 0)
            if not more:
                continue
            for ladder in ladders.values():
                key = ladder.move(side, price_ticks, more)
                for topic in ladder.topics.values():
                    topic.touch(side, key)
                    ready[topic] = None

    # content

    def _ticker_state(self) -> tuple[int | None, ...]:
        book = self._contract.book
        bid, ask = book.best(BUY), book.best(SELL)
        return (
            bid,
            None if bid is None else book.size(BUY, bid),
            ask,
            None if ask is None else book.size(SELL, ask),
            self._contract.mark_units,
            self._contract.underlying.index_units,
        )

    def _ticker(self) -> dict[str, Any]:
        return self._contract.ticker(self._clock.unix_s, self._clearing.open_interest_lots(self._contract))

    def _light_ticker(self) -> dict[str, Any]:
        contract, said = self._contract, {}
        for side, name in ((BUY, "b"), (SELL, "a")):
            best = contract.book.best(side)
            if best is not None:
                said[name] = contract.level(side, best)
        last = contract.last_price()
        return {**said, "m": contract.mark_units / UNIT, **({} if last is None else {"l": last})}


class IndexTopic(Topic):
    """``price_index``: says the index whenever it, or what it is expected to be at an expiry, has changed."""

    def __init__(self, name: str, clearing: Clearing, underlying: Underlying, contracts: dict[str, Contract]) -> None:
        super().__init__(name, clearing.clock, 0, self._said)
        self._underlying = underlying
        self._contracts = contracts
        self._state = self._now()

    def look(self) -> None:
        """Find out whether there is something to say."""
        state = self._now()
        if state != self._state:
            self._state = state
            self.dirty = True

    def _now(self) -> tuple[int, float, int, int]:
        one = self._underlying
        return (one.index_units, one.updated_s, one.previous_settlement_units, one.expiry_units)

    def _said(self) -> dict[str, Any]:
        expiries = [one.listed.expiry_s for one in self._contracts.values() if one.underlying is self._underlying]
        first = min((expiry for expiry in expiries if expiry is not None), default=None)
        return self._underlying.content(first, self.clock.unix_s)


def trade_lines(contract: Contract, trades: Iterable[PublicTrade]) -> list[list[Any]]:
    """Return trades as ``recent_trades`` carries them; the direction is the taker's."""
    price, amount, name = contract.listed.price, contract.listed.amount, contract.listed.name
    return [
        [price(one.price_ticks), amount(one.lots), SIDE_NAMES[one.taker_side], one.time_s, name, False]
        for one in trades
    ]


def recent_lines(contracts: Iterable[Contract]) -> list[list[Any]]:
    """Return the last trades of some contracts, the oldest first, without those that are still to be told."""
    found: list[list[Any]] = []
    for contract in contracts:
        known = list(contract.recent)
        found += trade_lines(contract, known[: max(len(known) - len(contract.prints), 0)])
    found.sort(key=lambda line: line[3])
    return found[-RECENT_TRADES:]
