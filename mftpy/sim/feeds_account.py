"""The private channels: orders, trade history, portfolio, summary."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from mftpy.sim.accounts import Account
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.feeds_names import PERSISTENT_ORDERS, PORTFOLIO, SESSION_ORDERS, SUMMARY, TRADE_HISTORY
from mftpy.sim.feeds_topic import MOST_ITEMS, ListTopic, Topic
from mftpy.sim.orders import TradeRecord
from mftpy.sim.protocol import notification
from mftpy.sim.sessions import Session

SUMMARY_NS: Final = 1_000_000_000
"""From one message of ``account.summary`` to the next."""

HISTORY_DELAY_NS: Final = 20_000_000
"""By so much later than the order feeds does ``account.trade_history`` tell of a trade."""

MARK_PERCENT: Final = 1
"""``account.portfolio`` tells of a mark that has moved by more than this."""


class HistoryTopic(Topic):
    """``account.trade_history``: later than the order feeds, and without a snapshot."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name, clock)
        self._records: deque[tuple[int, TradeRecord]] = deque()

    def add(self, record: TradeRecord) -> None:
        """Note a trade."""
        self._records.append((self.clock.now_ns + HISTORY_DELAY_NS, record))

    def wants_ns(self) -> int | None:
        """Return when the oldest trade may be told."""
        return self._records[0][0] if self._records else None

    def message(self) -> bytes | None:
        """Return trades that are old enough."""
        lines: list[dict[str, Any]] = []
        while self._records and self._records[0][0] <= self.clock.now_ns and len(lines) < MOST_ITEMS:
            lines.append(self._records.popleft()[1].historical())
        return notification(self.name, lines) if lines else None


class PortfolioTopic(Topic):
    """``account.portfolio``: all lines first, then those whose position or mark has moved."""

    flagged = True

    def __init__(self, name: str, clock: Clock, account: Account) -> None:
        super().__init__(name, clock, 0, self._all)
        self._account = account
        self._moved: dict[Contract, None] = {}
        self._marks: dict[Contract, tuple[int, int]] = {}
        """Of each position the lowest and the highest mark that some listener was told last."""

    def move(self, contract: Contract) -> None:
        """Note that a position has changed."""
        self._moved[contract] = None
        self.dirty = True

    def look(self) -> None:
        """Find marks that have moved far enough to be told."""
        for contract, (low, high) in self._marks.items():
            mark = contract.mark_units
            if mark * 100 > low * (100 + MARK_PERCENT) or mark * 100 < high * (100 - MARK_PERCENT):
                self.move(contract)

    def message(self) -> bytes | None:
        """Return the lines that have changed."""
        moved, self._moved = self._moved, {}
        lines = []
        for contract in moved:
            lines.append(self._account.portfolio_line(contract))
            if self._account.position(contract).lots:
                self._marks[contract] = (contract.mark_units, contract.mark_units)
            else:
                self._marks.pop(contract, None)
        return notification(self.name, lines) if lines else None

    def _all(self) -> list[dict[str, Any]]:
        for name, position in self._account.positions.items():
            if position.lots:
                contract = self._account.contracts[name]
                mark = contract.mark_units
                low, high = self._marks.get(contract, (mark, mark))
                self._marks[contract] = (min(low, mark), max(high, mark))
        return self._account.portfolio()


class SummaryTopic(Topic):
    """``account.summary``: whether something has happened or not."""

    def __init__(self, name: str, clock: Clock, account: Account) -> None:
        super().__init__(name, clock, SUMMARY_NS, account.summary)

    def wants_ns(self) -> int:
        """Return when the next message is due."""
        return self.sent_ns + SUMMARY_NS


def open_private(name: str, clock: Clock, account: Account, session: Session) -> Topic:
    """Return a new topic for a private channel."""
    if name == TRADE_HISTORY:
        return HistoryTopic(name, clock)
    if name == PORTFOLIO:
        return PortfolioTopic(name, clock, account)
    if name == SUMMARY:
        return SummaryTopic(name, clock, account)

    def existing() -> list[dict[str, Any]]:
        return [
            order.existing()
            for order in account.orders.values()
            if (name != SESSION_ORDERS or order.session is session) and (name != PERSISTENT_ORDERS or order.persistent)
        ]

    return ListTopic(name, clock, existing)
