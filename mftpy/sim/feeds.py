"""What subscribers are told: who listens to what, and when which message goes out."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any, Final

from mftpy.sim.accounts import Account
from mftpy.sim.contract import Contract
from mftpy.sim.feeds_account import HistoryTopic, PortfolioTopic, open_private
from mftpy.sim.feeds_market import IndexTopic, MarketWatch, recent_lines, trade_lines
from mftpy.sim.feeds_names import (
    ACCOUNT_ORDERS,
    INSTRUMENTS,
    ORDERS,
    PERSISTENT_ORDERS,
    PORTFOLIO,
    PRIVATE,
    SESSION_ORDERS,
    SYSTEM,
    TRADE_HISTORY,
    Channel,
    read_name,
)
from mftpy.sim.feeds_topic import ListTopic, Topic
from mftpy.sim.protocol import notification
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Trading

MOST_CHANNELS: Final = 100
"""Of one session; what it subscribes to beyond them is not accepted."""

TIDY: Final = 1024

Output = tuple[int, bytes]


class Feeds:
    """Turns what has happened in `Trading` into messages, each built once for all that listen to its channel.

    It takes, and clears, ``Trading.told``, ``Clearing.records``, ``Clearing.moved``, and every contract's ``prints``
    and ``book.changed``. The public channels of a contract that is no longer listed fall silent.
    """

    def __init__(self, trading: Trading) -> None:
        self._trading = trading
        self._clearing = trading.clearing
        self._clock = trading.clock
        self._watches: dict[str, MarketWatch] = {}
        self._underlyings: dict[str, IndexTopic | ListTopic] = {}
        self._accounts: dict[Account, dict[str, Topic]] = {}
        self._instruments = ListTopic(INSTRUMENTS, self._clock, self._listing)
        self._system = Topic(SYSTEM, self._clock)
        self._later: list[tuple[int, int, Topic]] = []
        self._scheduled = 0
        self._most_later = TIDY

    # who listens

    def is_channel(self, name: str, *, private: bool) -> bool:
        """True when there is such a channel: ``private/subscribe`` takes all, ``public/subscribe`` the public ones."""
        return (private or name not in PRIVATE) and read_name(name, self._trading.contracts) is not None

    def subscribe(self, session: Session, name: str) -> list[bytes]:
        """Let a session listen; returns what it is shown at once, also when it listens already.

        Nothing is registered when there is no such channel, a private one is asked for before login, or the session
        listens to `MOST_CHANNELS` others.
        """
        channel = read_name(name, self._trading.contracts)
        if channel is None or (name in PRIVATE and session.account is None):
            return []
        topic: Topic | None = session.channels.get(name)
        if topic is None:
            if len(session.channels) >= MOST_CHANNELS:
                return []
            topic = self._find(session, name, channel)
            topic.listeners[session] = None
            session.channels[name] = topic
            self._schedule(topic)
        return topic.snapshot()

    def unsubscribe(self, session: Session, name: str) -> bool:
        """Let a session listen no more; False when it did not."""
        topic: Topic | None = session.channels.pop(name, None)
        if topic is None:
            return False
        topic.listeners.pop(session, None)
        if not topic.listeners:
            self._close(session, topic)
        return True

    def drop(self, session: Session) -> None:
        """Forget a session whose connection is gone."""
        for name in list(session.channels):
            self.unsubscribe(session, name)

    def replay_existing(self, session: Session) -> list[bytes]:
        """Return the snapshots of a session's order channels once more."""
        return [message for name in ORDERS if name in session.channels for message in session.channels[name].snapshot()]

    # what has happened

    def listed(self, changes: list[dict[str, Any]]) -> None:
        """Note what is listed now, ``{"added": ...}``, or no longer, ``{"removed": ...}``."""
        for change in changes:
            watch = self._watches.pop(change["removed"]["instrument_name"], None) if "removed" in change else None
            if watch is not None:
                for topic in watch.topics.values():
                    topic.listeners.clear()
        self._instruments.add(*changes)

    def announce_reconnect(self) -> list[Output]:
        """Return the notice that all connections will be closed, for those that listen to ``system``."""
        message = notification(SYSTEM, {"event": "reconnect"})
        return [(session.number, message) for session in self._system.listeners]

    def collect(self) -> list[Output]:
        """Return what there is to tell of everything since the last call, and what has waited until now."""
        ready: dict[Topic, None] = {}
        if self._trading.told:
            self._take_orders(ready)
        self._take_markets(ready)
        self._take_accounts(ready)
        if self._instruments.dirty:
            ready[self._instruments] = None
        now_ns, later = self._clock.now_ns, self._later
        while later and later[0][0] <= now_ns:
            topic = heappop(later)[2]
            topic.waiting = False
            ready[topic] = None
        outputs: list[Output] = []
        for topic in ready:
            while (due_ns := topic.wants_ns()) is not None and due_ns <= now_ns:
                message = topic.flush()
                if message is not None:
                    outputs += [(session.number, message) for session in topic.listeners]
            self._schedule(topic)
        return outputs

    def next_due_ns(self) -> int | None:
        """Return when something will have waited for long enough; None when nothing waits."""
        return self._later[0][0] if self._later else None

    def _schedule(self, topic: Topic) -> None:
        if topic.waiting or not topic.listeners:
            return
        due_ns = topic.wants_ns()
        if due_ns is not None:
            topic.waiting = True
            self._scheduled += 1
            heappush(self._later, (due_ns, self._scheduled, topic))
            if len(self._later) > self._most_later:  # topics that nobody listens to any more must not pile up
                self._later = [one for one in self._later if one[2].listeners]
                heapify(self._later)
                self._most_later = max(2 * len(self._later), TIDY)

    def _take_orders(self, ready: dict[Topic, None]) -> None:
        for order, said in self._trading.told:
            topics = self._accounts.get(order.account, {})
            found = [topics.get(ACCOUNT_ORDERS), topics.get(PERSISTENT_ORDERS) if order.persistent else None]
            if order.session is not None:
                found.insert(0, order.session.channels.get(SESSION_ORDERS))
            for topic in found:
                if isinstance(topic, ListTopic):
                    topic.add(said)
                    ready[topic] = None
        self._trading.told.clear()

    def _take_markets(self, ready: dict[Topic, None]) -> None:
        for name, contract in self._trading.contracts.items():
            watch = self._watches.get(name)
            if watch is not None:
                watch.update(ready)
            elif contract.book.changed:
                contract.book.changed.clear()
            if contract.prints:
                trades = self._underlyings.get(_all_trades(contract))
                if isinstance(trades, ListTopic):
                    trades.add(*trade_lines(contract, contract.prints))
                    ready[trades] = None
                contract.prints.clear()
        for topic in self._underlyings.values():
            if isinstance(topic, IndexTopic):
                topic.look()
                if topic.dirty:
                    ready[topic] = None

    def _take_accounts(self, ready: dict[Topic, None]) -> None:
        clearing = self._clearing
        for account, record in clearing.records:
            history = self._accounts.get(account, {}).get(TRADE_HISTORY)
            if isinstance(history, HistoryTopic):
                history.add(record)
                ready[history] = None
        clearing.records.clear()
        if clearing.moved:
            for account, contract in sorted(clearing.moved, key=lambda one: (one[0].number, one[1].listed.name)):
                moved = self._accounts.get(account, {}).get(PORTFOLIO)
                if isinstance(moved, PortfolioTopic):
                    moved.move(contract)
            clearing.moved.clear()
        for topics in self._accounts.values():
            portfolio = topics.get(PORTFOLIO)
            if isinstance(portfolio, PortfolioTopic):
                portfolio.look()
                if portfolio.dirty:
                    ready[portfolio] = None

    # topics

    def _find(self, session: Session, name: str, channel: Channel) -> Topic:
        """Return the topic of a channel, a new one if nobody listens to it."""
        if name == SYSTEM:
            return self._system
        if name == INSTRUMENTS:
            return self._instruments
        if name in PRIVATE:
            assert session.account is not None
            if name == SESSION_ORDERS:
                return open_private(name, self._clock, session.account, session)
            topics = self._accounts.setdefault(session.account, {})
            if name not in topics:
                topics[name] = open_private(name, self._clock, session.account, session)
            return topics[name]
        contract = channel.contract
        assert contract is not None
        if channel.kind == "price_index" or channel.category not in ("", "single"):
            if name not in self._underlyings:
                self._underlyings[name] = self._open_underlying(name, channel, contract)
            return self._underlyings[name]
        watch = self._watches.get(contract.listed.name)
        if watch is None:
            watch = self._watches[contract.listed.name] = MarketWatch(self._clearing, contract)
        return watch.topics.get(name) or watch.open(name, channel)

    def _open_underlying(self, name: str, channel: Channel, contract: Contract) -> IndexTopic | ListTopic:
        contracts, underlying = self._trading.contracts, contract.underlying
        if channel.kind == "price_index":
            return IndexTopic(name, self._clearing, underlying, contracts)
        if channel.category == "all":
            return ListTopic(
                name,
                self._clock,
                lambda: recent_lines(one for one in contracts.values() if one.underlying is underlying),
            )
        return ListTopic(name, self._clock, list)  # options and rolls: none are listed

    def _close(self, session: Session, topic: Topic) -> None:
        """Forget a topic that nobody listens to."""
        name = topic.name
        self._underlyings.pop(name, None)
        if session.account is not None and name in PRIVATE and name != SESSION_ORDERS:
            self._accounts[session.account].pop(name)
            if not self._accounts[session.account]:
                del self._accounts[session.account]
        for instrument, watch in list(self._watches.items()):
            if watch.topics.get(name) is topic:
                watch.close(name)
                if not watch.topics:
                    del self._watches[instrument]

    def _listing(self) -> list[dict[str, Any]]:
        return [{"added": contract.listed.listing} for contract in self._trading.contracts.values()]


def _all_trades(contract: Contract) -> str:
    return f"recent_trades.{contract.underlying.name}.all"
