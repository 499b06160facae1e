"""What subscribers are told: snapshots, then changes."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final

from mftpy.sim.matching import BUY, SELL
from mftpy.sim.protocol import notification
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Trading

DELAYS_MS: Final = {
    "raw": 0,
    "100ms": 100,
    "200ms": 200,
    "500ms": 500,
    "1000ms": 1000,
    "5000ms": 5000,
    "60000ms": 60000,
}
SUMMARY_NS: Final = 1_000_000_000
HISTORY_DELAY_NS: Final = 20_000_000
_SNAPSHOT_TRADES: Final = 20


class Feeds:
    """Turns what happened in `Trading` into notifications."""

    def __init__(self, trading: Trading) -> None:
        self._trading = trading
        instrument = trading.instrument
        name, delay = re.escape(instrument.name), "(" + "|".join(DELAYS_MS) + ")"
        self._intervals: list[tuple[re.Pattern[str], bool]] = [
            (re.compile(rf"book\.{name}\.none\.all\.{delay}"), False),
            (re.compile(rf"ticker\.{name}\.{delay}"), False),
            (re.compile(rf"lwt\.{name}\.{delay}"), False),
        ]
        self._plain = {
            f"price_index.{instrument.underlying}": False,
            f"recent_trades.{instrument.name}.single": False,
            "instruments": False,
            "system": False,
            "session.orders": True,
            "account.orders": True,
            "account.persistent_orders": True,
            "account.trade_history": True,
            "account.portfolio": True,
            "account.summary": True,
        }
        self._shown: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self._totals = {BUY: 0, SELL: 0}
        self._last_index: Any = None
        self._last_position = 0
        self._last_trade: float | None = None
        self._recent: deque[list[Any]] = deque(maxlen=_SNAPSHOT_TRADES)
        self._delayed: deque[tuple[int, list[dict[str, Any]]]] = deque()

    # which channels there are

    def interval_ns(self, channel: str, *, private: bool) -> int | None:
        """Return the least time between two messages of a channel; None when there is no such channel."""
        if channel in self._plain:
            return 0 if private or not self._plain[channel] else None
        for pattern, _ in self._intervals:
            match = pattern.fullmatch(channel)
            if match:
                return DELAYS_MS[match[1]] * 1_000_000
        return None

    # content

    def index(self) -> dict[str, Any]:
        """Content of ``price_index`` and ``public/index``."""
        trading = self._trading
        return {
            "index_name": trading.instrument.underlying,
            "price": float(trading.index),
            "timestamp": trading.unix_s,
            "previous_settlement_price": float(trading.index),
        }

    def ticker(self) -> dict[str, Any]:
        """Content of ``ticker`` and ``public/ticker``."""
        trading, instrument = self._trading, self._trading.instrument
        mark = float(trading.index)
        said: dict[str, Any] = {}
        for side, name in ((BUY, "bid"), (SELL, "ask")):
            best = trading.book.best(side)
            said[f"best_{name}_price"] = None if best is None else instrument.price(best)
            said[f"best_{name}_amount"] = None if best is None else instrument.amount(trading.book.size(side, best))
        return {
            **said,
            "last_price": self._last_trade,
            "mark_price": mark,
            "mark_timestamp": trading.unix_s,
            "delta": 1,
            "index": mark,
            "volume_24h": 0,
            "value_24h": 0,
            "low_price_24h": mark,
            "high_price_24h": mark,
            "change_24h": 0,
            "collar_low": mark * 0.95,
            "collar_high": mark * 1.05,
            "open_interest": abs(float(trading.account.position)),
            "funding_rate": 0,
            "funding_mark": 0,
            "realised_funding_24h": 0,
            "average_funding_rate_24h": 0,
        }

    def book_rpc(self) -> dict[str, Any]:
        """Content of ``public/book``: five levels."""
        book = self._trading.book
        sides = {
            name: [self._level(side, price) for _, price in zip(range(5), book.prices(side), strict=False)]
            for name, side in (("bids", BUY), ("asks", SELL))
        }
        return {**sides, "last": self._last_trade, "time": self._trading.unix_s}

    def _lwt(self) -> dict[str, Any]:
        book = self._trading.book
        said: dict[str, Any] = {"m": float(self._trading.index)}
        for name, side in (("b", BUY), ("a", SELL)):
            best = book.best(side)
            if best is not None:
                said[name] = self._level(side, best)
        if self._last_trade is not None:
            said["l"] = self._last_trade
        return said

    def _level(self, side: int, price_ticks: int) -> list[float]:
        instrument = self._trading.instrument
        amount = instrument.amount(self._trading.book.size(side, price_ticks))
        return [instrument.price(price_ticks), amount, amount]

    def _portfolio(self) -> list[dict[str, Any]]:
        trading = self._trading
        lines = trading.account.portfolio(trading.instrument.name, trading.index, trading.index)
        return lines or [
            {"instrument_name": trading.instrument.name, "position": 0, "mark_price": float(trading.index)}
        ]

    def snapshot(self, channel: str, session: Session) -> list[bytes]:
        """Return what a new subscriber gets at once."""
        trading = self._trading
        if channel.startswith("book."):
            instrument = trading.instrument
            content = {
                "bid_changes": [self._level(BUY, price) for price in trading.book.prices(BUY)],
                "ask_changes": [self._level(SELL, price) for price in trading.book.prices(SELL)],
                "trades": [],
                "total_bid_amount": instrument.amount(trading.book.total(BUY)),
                "total_ask_amount": instrument.amount(trading.book.total(SELL)),
                "time": trading.unix_s,
            }
            return [notification(channel, content, snapshot=True)]
        if channel.startswith("ticker."):
            return [notification(channel, self.ticker())]
        if channel.startswith("lwt."):
            return [notification(channel, self._lwt())]
        if channel.startswith("price_index."):
            return [notification(channel, self.index())]
        if channel.startswith("recent_trades."):
            return [notification(channel, list(self._recent), snapshot=True)]
        if channel == "instruments":
            return [notification(channel, [{"added": trading.instrument.listing}], snapshot=True)]
        if channel in ("session.orders", "account.orders", "account.persistent_orders"):
            orders = [
                order.message(trading.instrument, "existing", order.fills)
                for order in trading.orders.values()
                if self._concerns(channel, session, order)
            ]
            return [notification(channel, orders, snapshot=True)]
        if channel == "account.portfolio":
            lines = trading.account.portfolio(trading.instrument.name, trading.index, trading.index)
            return [notification(channel, lines, snapshot=True)]
        if channel == "account.summary":
            return [notification(channel, trading.account.summary(trading.index))]
        return []

    @staticmethod
    def _concerns(channel: str, session: Session, order: Any) -> bool:
        if channel == "session.orders":
            return order.session is session
        return channel == "account.orders" or order.persistent

    # changes

    def collect(self, sessions: list[Session], now_ns: int) -> list[tuple[int, bytes]]:
        """Return the notifications of everything that has happened since the last call."""
        trading, outputs = self._trading, []
        told = [(order, order.message(trading.instrument, change, fills)) for order, change, fills in trading.told]
        trading.told.clear()
        prints, book = self._prints(), self._book_changes()
        index_changed = trading.index != self._last_index
        self._last_index = trading.index
        position_changed = trading.account.position_lots != self._last_position
        self._last_position = trading.account.position_lots
        if trading.trade_records:
            self._delayed.append((now_ns + HISTORY_DELAY_NS, list(trading.trade_records)))
            trading.trade_records.clear()
        records: list[dict[str, Any]] = []
        while self._delayed and self._delayed[0][0] <= now_ns:
            records += self._delayed.popleft()[1]
        cache: dict[str, bytes] = {}

        def once(channel: str, content: Any) -> bytes:
            if channel not in cache:
                cache[channel] = notification(channel, content() if callable(content) else content)
            return cache[channel]

        for session in sessions:
            for channel, last_ns in list(session.channels.items()):
                message: bytes | None = None
                if channel.startswith("book."):
                    if book is not None or prints:
                        message = once(channel, {**(book or self._empty_book()), "trades": [p[:5] for p in prints]})
                elif channel in ("session.orders", "account.orders", "account.persistent_orders"):
                    mine = [said for order, said in told if self._concerns(channel, session, order)]
                    message = notification(channel, mine) if mine else None
                elif channel == "account.trade_history":
                    message = once(channel, records) if records else None
                elif channel == "account.portfolio":
                    message = once(channel, self._portfolio) if position_changed else None
                elif channel.startswith("price_index."):
                    message = once(channel, self.index) if index_changed else None
                elif channel.startswith("recent_trades."):
                    message = once(channel, [self._recent_of(item) for item in prints]) if prints else None
                elif channel.startswith(("ticker.", "lwt.")) and (index_changed or book is not None):
                    interval_ns = self.interval_ns(channel, private=False) or 0
                    if now_ns - last_ns >= interval_ns:
                        session.channels[channel] = now_ns
                        message = once(channel, self.ticker if channel.startswith("ticker.") else self._lwt)
                elif channel == "account.summary" and now_ns - last_ns >= SUMMARY_NS:
                    session.channels[channel] = now_ns
                    message = once(channel, trading.account.summary(trading.index))
                if message is not None:
                    outputs.append((session.number, message))
        return outputs

    def next_due_ns(self) -> int | None:
        """Return when a delayed message must be sent."""
        return self._delayed[0][0] if self._delayed else None

    def _prints(self) -> list[list[Any]]:
        trading = self._trading
        found = []
        for price_ticks, lots, side in trading.prints:
            price = trading.instrument.price(price_ticks)
            self._last_trade = price
            line = [price, trading.instrument.amount(lots), "buy" if side == BUY else "sell", trading.unix_s, False]
            found.append(line)
            self._recent.append(self._recent_of(line))
        trading.prints.clear()
        return found

    def _recent_of(self, line: list[Any]) -> list[Any]:
        return [*line[:4], self._trading.instrument.name, line[4]]

    def _empty_book(self) -> dict[str, Any]:
        return {"bid_changes": [], "ask_changes": [], **self._total_amounts()}

    def _total_amounts(self) -> dict[str, Any]:
        amount = self._trading.instrument.amount
        return {
            "total_bid_amount": amount(self._totals[BUY]),
            "total_ask_amount": amount(self._totals[SELL]),
            "time": self._trading.unix_s,
        }

    def _book_changes(self) -> dict[str, Any] | None:
        book = self._trading.book
        changes: dict[int, list[list[float]]] = {BUY: [], SELL: []}
        for side, price in sorted(book.changed):
            lots, shown = book.size(side, price), self._shown[side].get(price, 0)
            if lots == shown:
                continue
            changes[side].append(self._level(side, price))
            self._totals[side] += lots - shown
            if lots:
                self._shown[side][price] = lots
            else:
                del self._shown[side][price]
        book.changed.clear()
        if not changes[BUY] and not changes[SELL]:
            return None
        return {"bid_changes": changes[BUY], "ask_changes": changes[SELL], **self._total_amounts()}
