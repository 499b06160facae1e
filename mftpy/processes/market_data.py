"""The market data process: keeps the book of one instrument, publishes its best levels, trades, mark and index.

One connection, no login. The book is published once per received batch. On any doubt (a message that cannot be read, a
crossed book, an overflow, a side that holds in all what the exchange does not say) the state flag comes first, then a
fresh snapshot is asked for.
"""

from __future__ import annotations

import math
import time
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from mftcore import BOOK_RESYNCING, BOOK_STALE, MasterBook
from mftpy import records
from mftpy.errors import VenueError
from mftpy.links import Links
from mftpy.processes.child import Child, run_child
from mftpy.processes.conversation import Conversation, connect
from mftpy.processes.jobs import Job
from mftpy.processes.waiting import Waiter
from mftpy.records import Command, State
from mftpy.venue import codec, requests
from mftpy.venue.codec import Notification, ProtocolError, Reply
from mftpy.venue.error_codes import RefusedError
from mftpy.venue.requests import Pending
from mftpy.venue.scale import Scale
from mftpy.venue.session import Session

PING_S: Final = 1.0
RESYNC_AFTER_S: Final = 5.0
WAIT_S: Final = 0.05


class Feed:
    """The book, trades and prices of one instrument, from notifications to shared memory.

    Parameters
    ----------
    links : Links
    child : Child
        Its status record is counted in.
    """

    def __init__(self, links: Links, child: Child) -> None:
        instrument = links.instrument
        self.book_channel = f"book.{instrument.name}.none.all.raw"
        self.ticker_channel = f"ticker.{instrument.name}.100ms"
        self.index_channel = f"price_index.{instrument.underlying}"
        self.resync_wanted = False
        self.updates = 0
        self._scale = Scale(instrument.tick_size, instrument.lot_size)
        self._master = MasterBook()
        self._book = links.book.writer()
        self._ticker_writer = links.ticker.writer()
        self._trades = links.trades.producer()
        self._bell = links.strategy_bell
        self._ticker = records.blank(records.TICKER)
        for name in ("mark_price", "index_price", "funding_rate", "collar_low", "collar_high"):
            self._ticker[name] = math.nan
        self._status = child.status
        self._lot_size = instrument.lot_size
        self._have_snapshot = False
        self._totals_agree = False  # of the last snapshot
        self._changed = False
        self._told = False  # of trades or prices, which the strategy may want to know without a change of the book
        self._receive_ns = 0
        self._exchange_time_ns = 0

    @property
    def channels(self) -> list[str]:
        """What to subscribe."""
        return [self.book_channel, self.ticker_channel, self.index_channel]

    @property
    def complete(self) -> bool:
        """True once there is a whole book and an index."""
        return self._have_snapshot and not math.isnan(self._ticker["index_price"][0])

    def on_notification(self, note: Notification, receive_ns: int) -> None:
        """Apply one notification; `publish` makes it visible."""
        self._status["received"] += 1
        if note.channel == self.book_channel:
            self._on_book(note, receive_ns)
        elif note.channel == self.ticker_channel:
            ticker = codec.decode_ticker(note.data)
            self._ticker["mark_price"] = ticker.mark_price
            self._ticker["index_price"] = ticker.index
            self._ticker["funding_rate"] = math.nan if ticker.funding_rate is None else ticker.funding_rate
            self._ticker["collar_low"] = math.nan if ticker.collar_low is None else ticker.collar_low
            self._ticker["collar_high"] = math.nan if ticker.collar_high is None else ticker.collar_high
            self._write_ticker(ticker.exchange_time_ns, receive_ns)
        elif note.channel == self.index_channel:
            index = codec.decode_index(note.data)
            self._ticker["index_price"] = index.price
            self._write_ticker(index.exchange_time_ns, receive_ns)

    def publish(self) -> None:
        """Make the book of this batch visible, and wake the strategy."""
        if not self._changed:
            if self._told:
                self._told = False
                self._bell.ring()
            return
        self._changed = self._told = False
        if self._master.overflowed or self._master.crossed:
            self.resync_wanted = True
        self._book.publish(
            self._master,
            exchange_time_ns=self._exchange_time_ns,
            receive_ns=self._receive_ns,
            state=BOOK_RESYNCING if self.resync_wanted else 0,
        )
        self._status["published"] += 1
        self._bell.ring()

    def lost(self, *, stale: bool = False) -> None:
        """Say that the book can no longer be trusted, before anything is done about it."""
        self._book.mark(BOOK_STALE if stale else BOOK_RESYNCING)
        self._have_snapshot = False
        self._bell.ring()

    def _on_book(self, note: Notification, receive_ns: int) -> None:
        book = codec.decode_book(note.data, self._scale)
        self._push_trades(book, receive_ns, in_snapshot=note.snapshot)
        if note.snapshot:
            self._master.snapshot(book.bids, book.asks)
            self._have_snapshot, self.resync_wanted = True, False
            told = book.total_bid_amount is not None and book.total_ask_amount is not None
            self._totals_agree = told and not self._differs(book)
        elif not self._have_snapshot:
            return  # changes of a book whose beginning was lost: the snapshot that was asked for follows
        else:
            self._master.apply(book.bids, book.asks)
            # a change was lost, or is wrong; totals that never agreed count something else
            self.resync_wanted |= self._totals_agree and self._differs(book)
        self.updates += 1
        self._changed = True
        self._receive_ns = receive_ns
        self._exchange_time_ns = book.exchange_time_ns

    def _differs(self, book: codec.Book) -> bool:
        """Whether what rests in all on either side is something else than the exchange says, if it does say."""
        lot = self._lot_size
        return any(
            total is not None and not abs(total - lots * lot) < 0.5 * lot
            for total, lots in (
                (book.total_bid_amount, self._master.total_bid_lots),
                (book.total_ask_amount, self._master.total_ask_lots),
            )
        )

    def _push_trades(self, book: codec.Book, receive_ns: int, *, in_snapshot: bool) -> None:
        """Pass trades on; those of a snapshot are marked, not counted: they may be old, or have been told before."""
        if not book.trades:
            return
        batch = np.zeros(len(book.trades), records.TRADE)
        for row, trade in zip(batch, book.trades, strict=True):
            row["price_ticks"] = trade.price_ticks
            row["size_lots"] = trade.size_lots
            row["taker_side"] = trade.taker_side
            row["exchange_time_ns"] = trade.exchange_time_ns
            row["receive_ns"] = receive_ns
            row["in_snapshot"] = in_snapshot
        pushed = self._trades.push_many(batch)
        self._told = True
        self._status["trades"] += 0 if in_snapshot else len(batch)
        self._status["dropped"] += len(batch) - pushed  # estimation is marked by it; quoting is not

    def _write_ticker(self, exchange_time_ns: int, receive_ns: int) -> None:
        self._ticker["exchange_time_ns"] = exchange_time_ns
        self._ticker["receive_ns"] = receive_ns
        self._ticker_writer.write(self._ticker)
        self._told = True


class MarketData:
    """The feed, its session and its timers; one turn of the loop at a time.

    Attributes
    ----------
    session : Session
    feed : Feed
    """

    def __init__(self, links: Links, job: Job, child: Child) -> None:
        child.enter(State.CONNECTING)
        self.session: Session = connect(job.url, job.config)
        self.feed = Feed(links, child)
        self._child, self._job = child, job
        self._talk = Conversation(
            self.session, self.feed.on_notification, self._turned, self._on_reply,
            patience_s=job.config.system.request_timeout_s,
        )  # fmt: skip
        self._talk.subscribe(self.feed.channels)
        self._ready = False
        self._asked_s: float | None = None  # since when the answer to a request for a fresh book is awaited
        self._last_ping_s = self._last_resync_s = time.monotonic()

    def turn(self) -> None:
        """Take what has arrived, publish it, and do what is due.

        Raises
        ------
        VenueError
            The connection was lost, or nothing came for too long; the book was marked as stale before. Or the exchange
            refused a fresh book, or did not answer.
        """
        child, feed = self._child, self.feed
        try:
            self._talk.pump()
        except ProtocolError as error:
            child.send("warning", f"market data: {error}; asking for a fresh book")
            feed.resync_wanted = True
        feed.publish()
        now_s = time.monotonic()
        if feed.resync_wanted and self._asked_s is None and now_s - self._last_resync_s > RESYNC_AFTER_S:
            self._last_resync_s = now_s
            child.status["resyncs"] += 1
            self._resync()
        self._check_answered(now_s)
        if not self._ready and feed.complete:
            self._ready = True
            child.enter(State.READY)
        if now_s - self._last_ping_s > PING_S:
            self._last_ping_s = now_s
            self.session.ping()
        stale_s = self._job.config.limits.stale_feed_s
        if self._ready and now_s - self.session.last_receive_ns / 1e9 > stale_s:
            feed.lost(stale=True)
            raise VenueError(f"nothing came from {self._job.url} for {stale_s:g} s, not even the answer to a ping")
        self._turned()

    @property
    def ready(self) -> bool:
        """True once the book is whole and published."""
        return self._ready

    def close(self) -> dict[str, Any]:
        """Mark the book as stale, disconnect, and return what was seen."""
        status = self._child.status
        self._child.enter(State.STOPPING)
        self.feed.lost(stale=True)
        self.session.close()
        return {
            "book_updates": self.feed.updates,
            "trades_seen": int(status["trades"][0]),
            "resyncs": int(status["resyncs"][0]),
            "trades_dropped": int(status["dropped"][0]),
        }

    def _turned(self) -> None:
        self._child.status["transport_ns"] = self.session.last_receive_ns
        self._child.turn()

    def _resync(self) -> None:
        """Ask for a fresh book and wait for no answer: whoever has orders in the market must learn of the doubt."""
        self.feed.lost()
        self._asked_s = time.monotonic()
        channels = [self.feed.book_channel]
        self._talk.post("unsubscribe", lambda number: requests.unsubscribe(number, channels))

    def _on_reply(self, pending: Pending, reply: Reply, _receive_ns: int) -> None:
        """Ask for the book once it is not told any more; then see whether it will be."""
        channels = [self.feed.book_channel]
        if reply.error is not None:
            raise RefusedError(pending.method, reply.error)
        if pending.method == "unsubscribe":
            self._asked_s = time.monotonic()
            self._talk.post("public/subscribe", lambda number: requests.public_subscribe(number, channels))
            return
        self._asked_s = None
        assert reply.result is not None
        if channels[0] not in codec.decode_result(pending.method, reply.result):
            raise VenueError(f"the exchange did not accept the subscription to {channels[0]}")

    def _check_answered(self, now_s: float) -> None:
        patience_s = self._job.config.system.request_timeout_s
        if self._asked_s is not None and now_s - self._asked_s > patience_s:
            raise VenueError(f"the exchange did not answer a request for a fresh book within {patience_s:g} s")


def _loop(links: Links, job: Job, child: Child) -> None:
    market = MarketData(links, job, child)
    session = market.session
    waiter = Waiter(links.market_data_bell, job.placement.wait_mode, session.fileno(), child.conn.fileno())
    frozen = False
    while child.command() != Command.EXIT:
        market.turn()
        if market.ready and not frozen:
            child.freeze_garbage_collector()
            frozen = True
        if not session.has_pending:
            waiter.want_write(session.fileno(), session.wants_write)
            waiter.wait(WAIT_S, lambda: False)
    report = market.close()
    waiter.close()
    child.final({**report, "resources": child.resources()})


def main(links: Links, job: Job, conn: Connection) -> None:
    """Run the process; the target that the supervisor starts."""
    run_child(
        "market_data", links.market_data, links.control, conn, job.placement.market_data_cores,
        lambda child: _loop(links, job, child),
    )  # fmt: skip
