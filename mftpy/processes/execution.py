"""The execution process: owns every order; sends what brings the slots nearer to the newest target."""

from __future__ import annotations

import math
import time
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

from mftcore import JournalWriter, Unstable
from mftpy import records
from mftpy.errors import HaltedError, VenueError
from mftpy.execution.actions_kept import ActionsKept
from mftpy.execution.desk import Desk
from mftpy.execution.limits import limits_of
from mftpy.execution.slots import Action, Kind
from mftpy.journal_meta import ACTIONS
from mftpy.journals import writing
from mftpy.links import Links
from mftpy.processes.alarms import Alarms
from mftpy.processes.child import Child, run_child
from mftpy.processes.conversation import Conversation, connect
from mftpy.processes.jobs import Credentials, Job
from mftpy.processes.last_word import last_word
from mftpy.processes.trading_session import Books, cancel_ours, log_in, read_books, wait_until
from mftpy.processes.waiting import Waiter
from mftpy.records import Command, Mode, Side, State
from mftpy.venue import codec, requests
from mftpy.venue.codec import Notification, Reply
from mftpy.venue.messages import OrderStatus
from mftpy.venue.requests import OrderRequests, Pending
from mftpy.venue.scale import Scale

WAIT_S: Final = 0.05
PING_S: Final = 1.0
ASK_AGAIN_S: Final = 0.5
FEES_S: Final = 5.0
CANCELLED_S: Final = 3.0


class Executor:
    """The desk and everything around it: session, shared structures, timers."""

    def __init__(
        self, links: Links, job: Job, credentials: Credentials, child: Child, journal: JournalWriter | None = None
    ) -> None:
        instrument, config = links.instrument, job.config
        self.links, self.job, self.child = links, job, child
        self.scale = Scale(instrument.tick_size, instrument.lot_size)
        self.desk = Desk(
            instrument, limits_of(config, instrument), config.quoting.requote_threshold_ticks, time.monotonic_ns()
        )
        self.session = connect(job.url, config)
        self.talk = Conversation(
            self.session, self.on_notification, self.turn, self.on_reply, patience_s=config.system.request_timeout_s
        )
        self.requests = OrderRequests(instrument.name, self.scale, label=job.label)
        self.latency = links.latency.recorder()
        self.warn = partial(child.send, "warning")
        self.alarms = Alarms(self.desk, self.warn)
        self.kept = ActionsKept(self.desk, journal, self.warn)
        self.start: Books | None = None
        self.foreign: set[str] = set()
        self.pulls = 0
        self.ready = False
        self._credentials = credentials
        self._index_channel = f"price_index.{instrument.underlying}"
        self._account = records.blank(records.ACCOUNT)
        self._account_writer = links.account.writer()
        self._target = records.blank(records.TARGET)
        self._target_reader = links.target.reader()
        self._fills = links.fills.producer()
        self._fill = records.blank(records.FILL)
        self._peers = {name: getattr(links, name).reader() for name in ("market_data", "strategy")}
        self._peer_status = records.blank(records.STATUS)
        self._pull_ns = int(config.system.pull_quotes_after_s * 1e9)
        self._target_version = 0
        self._cause_version = 0
        self._told = False
        self._dirty = True
        self._asked_open_ns = 0
        self._quoted = self._pulled = False
        self._last_ping_ns = time.monotonic_ns()
        self._venue_rate = 0.0

    # start

    def open(self) -> None:
        """Log in, arm cancel-on-disconnect, cancel strays, take over position and equity."""
        child, talk = self.child, self.talk
        child.enter(State.RECONCILING)
        self._venue_rate = log_in(talk, self._credentials)
        own_rate = self.job.config.limits.message_rate_per_s
        self.desk.matching.set_rate(min(own_rate, self._venue_rate), time.monotonic_ns())
        talk.subscribe(["session.orders", "account.orders", "account.trade_history", "account.portfolio"], private=True)
        talk.subscribe([self._index_channel])
        strays, left = cancel_ours(talk, self.job.label_prefix)
        if left:
            raise VenueError(f"{left} orders of an earlier run of this instance could not be cancelled; look there")
        if strays:
            child.send("warning", f"{strays} orders of an earlier run of this instance were found and cancelled")
        self.start = books = read_books(talk, self.links.instrument, self.scale)
        if books.position_lots:
            self.desk.start_with(books.position_lots, books.mark_price)
            child.send("warning", f"the account already holds {books.position_lots} lots; they count as ours")
        if not wait_until(talk, lambda: not math.isnan(self.desk.index_price), 10.0, self.turn):
            raise VenueError(f"no index price came on {self._index_channel} within 10 s")
        if self.foreign:
            child.send("warning", f"{len(self.foreign)} orders of others rest on this account; they are left alone")

    def begin(self) -> None:
        """Tell the strategy that the account is ready; call it when the loop is about to run."""
        self.take_target()  # what has been asked for until now was not asked of a loop that runs
        self.ready = self._dirty = True
        self.publish()

    # messages

    def on_notification(self, note: Notification, receive_ns: int) -> None:
        """Apply one notification."""
        self.child.status["received"] += 1
        if note.channel == "session.orders":
            for item in codec.decode_orders(note.data):
                self._on_order(item, receive_ns)
        elif note.channel == "account.orders":
            for item in codec.decode_orders(note.data):
                self._on_account_order(item, receive_ns)
        elif note.channel == "account.trade_history":
            for trade in codec.decode_trades(note.data):
                self.desk.on_trade(trade)
            self._dirty = True
        elif note.channel == self._index_channel:
            self.desk.index_price = codec.decode_index(note.data).price

    def on_reply(self, pending: Pending, reply: Reply, receive_ns: int) -> None:
        """Apply the answer to a posted request."""
        if pending.method == "private/open_orders":
            self._on_open_orders(pending, reply, receive_ns)
            return
        if pending.method == "private/cancel_session":
            return
        action: Action = pending.context
        self._dirty = True
        if reply.error is not None:
            self.desk.on_refused(action.kind, action.client_order_id, reply.error.code, receive_ns)
            return
        assert reply.result is not None
        item: OrderStatus = codec.decode_result(pending.method, reply.result)
        if action.kind is Kind.AMEND and item.is_open and item.price is not None:
            self.desk.orders.on_amended(
                action.client_order_id, self.scale.ticks(item.price), self.scale.lots(item.amount), receive_ns
            )
        self._on_order(item, receive_ns)

    def _on_account_order(self, item: OrderStatus, receive_ns: int) -> None:
        if item.label == self.job.label:
            if not item.is_open:  # an end is final; what is open may be told late, and would undo a newer price
                self._on_order(item, receive_ns)
        elif item.is_open:
            self.foreign.add(item.order_id)
        else:
            self.foreign.discard(item.order_id)

    def _on_order(self, item: OrderStatus, receive_ns: int, *, asked_ns: int = 0) -> None:
        scale = self.scale
        price_ticks = scale.ticks(item.price) if item.price is not None else 0
        known = self.desk.on_order(
            item, price_ticks, scale.lots(item.amount), scale.lots(item.filled_amount), receive_ns, asked_ns=asked_ns
        )
        self._dirty = True
        if not known:
            return
        for fill in item.fills or ():
            self.desk.on_fill(
                item,
                fill.trade_id,
                fill.leg_index or 0,
                scale.ticks(fill.price),
                scale.lots(fill.amount),
                maker=fill.is_maker,
                exchange_time_ns=fill.exchange_time_ns or 0,
                now_ns=receive_ns,
            )

    def _on_open_orders(self, pending: Pending, reply: Reply, receive_ns: int) -> None:
        if reply.error is not None or reply.result is None:
            return  # asked again by timer while anything is in doubt
        listed: list[OrderStatus] = codec.decode_result(pending.method, reply.result)
        mine = [item for item in listed if item.label == self.job.label]
        for item in mine:
            self._on_order(item, receive_ns, asked_ns=pending.sent_ns)
        self.desk.settle_doubts({item.order_id for item in mine}, pending.sent_ns, receive_ns)
        self._dirty = True

    # targets and actions

    @property
    def target_version(self) -> int:
        """Version of the target that was last taken over."""
        return self._target_version

    def take_target(self) -> bool:
        """Take over the newest target; True when a book update that none before it named has changed the wishes."""
        version = self._target_reader.version
        if version == self._target_version:
            return False
        try:
            stamp = self._target_reader.read_into(self._target)
        except Unstable:
            return False  # the next turn reads it
        self._target_version = stamp.version
        self.desk.on_target(self._target[0])
        self.kept.on_target(int(self._target["decision_id"][0]))
        cause, before = int(self._target["cause_version"][0]), self._cause_version
        self._cause_version = cause
        return cause > before

    def quote(self, mode: Mode) -> None:
        """Act on the newest target, or take every order out of the market: halted, a stalled peer, a silent exchange.

        Raises
        ------
        VenueError
            The exchange has been silent for so long that the session is of no more use.
        """
        new_book = self.take_target()
        stale_s = self.job.config.limits.stale_feed_s
        silent_s = time.monotonic() - self.session.last_receive_ns / 1e9
        trouble = bool(self.stalled_peer()) or silent_s > stale_s
        if not trouble and mode is not Mode.HALTED:
            self.act(new_book=new_book)
            self._pulled = False
            self._quoted = self._quoted or len(self.desk.orders) > 0
            return
        if trouble and self._quoted and not self._pulled:
            self.pulls += 1
        self._pulled = True
        self.cancel_all()
        if silent_s > 2 * stale_s:
            raise VenueError(f"nothing came from {self.job.url} for {silent_s:.1f} s; the session is given up")

    def act(self, *, new_book: bool) -> None:
        """Send what brings the slots nearer to their wishes; time it when a new book update is what caused it.

        What a fill, an answer or the budget lets go is not timed: the newest book may have come long before.
        """
        receive_ns = int(self._target["cause_receive_ns"][0])
        for action in self.desk.actions(time.monotonic_ns()):
            sent_ns = self._send(action)
            if new_book:
                self.latency.record(sent_ns - receive_ns)
            self.kept.sent(action, sent_ns)

    def cancel_all(self) -> None:
        """Cancel every order of ours that may rest."""
        for action in self.desk.cancels_for_all(time.monotonic_ns()):
            self.kept.sent(action, self._send(action), pulled=True)

    def _send(self, action: Action) -> int:
        self._dirty = True
        build, method = self.requests, f"private/{action.kind.value}"
        if action.kind is Kind.INSERT:
            if not self._told:
                self._told = True
                self.child.send("began")  # before the first order, so that the supervisor knows that there may be some
            direction = "buy" if action.side == Side.BUY else "sell"
            return self.talk.post(
                method,
                lambda number: build.insert(
                    number, direction, action.price_ticks, action.total_lots, action.client_order_id
                ),
                action,
            )
        if action.kind is Kind.AMEND:
            return self.talk.post(
                method,
                lambda number: build.amend(number, action.client_order_id, action.price_ticks, action.total_lots),
                action,
            )
        return self.talk.post(method, lambda number: build.cancel(number, action.client_order_id), action)

    def settle(self) -> None:
        """Ask for the list of open orders while the fate of an order is not known."""
        now_ns = time.monotonic_ns()
        if self.desk.doubt_unanswered(now_ns) and now_ns - self._asked_open_ns > ASK_AGAIN_S * 1e9:
            self._asked_open_ns = now_ns
            self.talk.post("private/open_orders", requests.open_orders)

    def stalled_peer(self) -> str:
        """Return the name of a process that makes no progress, or ``""``."""
        now_ns = time.monotonic_ns()
        for name, reader in self._peers.items():
            try:
                stamp = reader.read_into(self._peer_status)
            except Unstable:
                continue
            status = self._peer_status[0]
            if status["state"] != State.READY:
                return name
            if not stamp.writer_alive or now_ns - int(status["turn_ns"]) > self._pull_ns:
                return name
        return ""

    def work(self, mode: Mode) -> None:
        """Do one turn of the loop: what has arrived, what is to be sent, what is due, what the others see.

        Raises
        ------
        HaltedError
            An order was filled beyond its size.
        VenueError
            The connection was lost, or is of no more use.
        """
        self.talk.pump()
        self.quote(mode)
        if self.desk.orders.overfills:
            raise HaltedError("an order was filled beyond its size: the account is not what it seems")
        now_ns = time.monotonic_ns()
        self.settle()
        self.alarms.lost_fills(now_ns)
        self.alarms.held_inserts(now_ns)
        if now_ns - self._last_ping_ns > PING_S * 1e9:
            self._last_ping_ns = now_ns
            self.session.ping()
        self.kept.settle(now_ns)
        self.turn()

    # what the others see

    def publish(self) -> None:
        """Publish account, fills and counters when anything has changed."""
        status, now_ns = self.child.status[0], time.monotonic_ns()
        counts = self.desk.counts
        for name in ("inserted", "amended", "cancelled", "rejected", "throttled"):
            status[name] = counts[name]
        status["messages_per_s"] = self.desk.rate.per_s(now_ns)
        status["message_limit_per_s"] = self.desk.matching.rate_per_s
        if not self._dirty and self._account["fills"][0] == self.desk.position.fills:
            return
        self._dirty = False
        self.desk.write_account(self._account[0], ready=self.ready)
        self._account_writer.write(self._account)
        for fill in self.desk.new_fills:
            for name, value in fill.items():
                self._fill[name] = value
            if not self._fills.push(self._fill):
                status["dropped"] += 1  # the view's copy only: position and money have it
        self.desk.new_fills.clear()
        self.links.strategy_bell.ring()

    def turn(self) -> None:
        """Publish, and say that a turn was completed and how old the transport is."""
        self.publish()
        self.child.status["transport_ns"] = self.session.last_receive_ns
        self.child.turn()

    # end

    def close(self) -> dict[str, Any]:
        """Take every order out of the market, ask the exchange that none is left, compare the account with ours."""
        child, desk, talk = self.child, self.desk, self.talk
        child.enter(State.STOPPING)
        self.cancel_all()
        talk.post("private/cancel_session", requests.cancel_session)
        wait_until(talk, lambda: len(desk.orders) == 0, CANCELLED_S, self.turn)
        _, left = cancel_ours(talk, self.job.label_prefix)
        talk.post("private/open_orders", requests.open_orders)
        if not wait_until(talk, lambda: desk.fees_missing == 0, FEES_S, self.turn):
            child.send("warning", f"the trade history did not tell the fee of {desk.fees_missing} fills")
        books = read_books(talk, self.links.instrument, self.scale)
        foreign_now = len(talk.ask("private/open_orders", requests.open_orders)) - left
        if foreign_now:
            child.send("warning", f"{foreign_now} orders of others rest on this account; they were left alone")
        self.kept.settle(time.monotonic_ns())
        assert self.start is not None
        return last_word(desk, self.start, books, left, self.pulls, self.warn)


def _loop(links: Links, job: Job, credentials: Credentials, child: Child, journal: JournalWriter | None) -> None:
    child.enter(State.CONNECTING)
    executor = Executor(links, job, credentials, child, journal)
    session = executor.session
    executor.open()
    waiter = Waiter(links.execution_bell, job.placement.wait_mode, session.fileno(), child.conn.fileno())
    child.freeze_garbage_collector()
    executor.begin()
    child.enter(State.READY)
    target_reader = links.target.reader()
    while child.command() == Command.RUN:
        executor.work(child.mode)
        if not session.has_pending:
            waiter.want_write(session.fileno(), session.wants_write)
            seen = executor.target_version
            waiter.wait(WAIT_S, lambda seen=seen: target_reader.version != seen)  # type: ignore[misc]
    report = executor.close()
    waiter.close()
    child.final({**report, "resources": child.resources()})
    session.close()


def main(links: Links, job: Job, credentials: Credentials, conn: Connection) -> None:
    """Run the process; the target that the supervisor starts."""

    def body(child: Child) -> None:
        with writing(job.journals, ACTIONS, partial(child.send, "warning"), child.supervisor_gone) as journal:
            _loop(links, job, credentials, child, journal)

    run_child(
        "execution",
        links.execution,
        links.control,
        conn,
        job.placement.execution_cores,
        body,
    )
