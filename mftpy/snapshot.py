"""One reading of every shared structure of a run, for whoever shows it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mftcore import LEVEL, BookStamp, Unstable
from mftpy import records
from mftpy.links import BOOK_LEVELS, PROCESSES, Links

FILLS_KEPT: Final = 12


@dataclass
class Snapshot:
    """One consistent-enough reading of every structure of a run; each structure is whole in itself.

    Attributes
    ----------
    bids, asks : ndarray of mftcore.LEVEL
        Best levels, best first.
    target, account, ticker, estimates : ndarray of length 1
        `records.TARGET`, `records.ACCOUNT`, `records.TICKER`, `records.ESTIMATES`.
    statuses : dict
        `records.STATUS` of each process by name.
    latency : dict
        recv-to-send in ns: p50, p90, p99, p999, max, count.
    """

    bids: Any
    asks: Any
    stamp: BookStamp
    target: Any
    account: Any
    ticker: Any
    estimates: Any
    statuses: dict[str, Any]
    latency: dict[str, int]
    unstable: int = 0


@dataclass
class Watcher:
    """Reads the structures of a run for the view; holds the reading endpoints and the last fills."""

    links: Links
    fills: deque[Any] = field(default_factory=lambda: deque(maxlen=FILLS_KEPT))
    fills_seen: int = 0
    unstable: int = 0

    def __post_init__(self) -> None:
        links = self.links
        self._book = links.book.reader()
        self._target = links.target.reader()
        self._account = links.account.reader()
        self._ticker = links.ticker.reader()
        self._estimates = links.estimates.reader()
        self._fills = links.fills.consumer()
        self._statuses = {name: getattr(links, name).reader() for name in PROCESSES}
        self._bids = np.zeros(BOOK_LEVELS, LEVEL)
        self._asks = np.zeros(BOOK_LEVELS, LEVEL)
        self._batch = np.zeros(64, records.FILL)

    def read(self) -> Snapshot | None:
        """Return the newest state, or None when a structure changed too fast to be read; the next try will do."""
        target, account = records.blank(records.TARGET), records.blank(records.ACCOUNT)
        ticker, estimates = records.blank(records.TICKER), records.blank(records.ESTIMATES)
        statuses = {name: records.blank(records.STATUS) for name in self._statuses}
        while count := self._fills.pop_many(self._batch):
            self.fills_seen += count
            self.fills.extend(self._batch[:count].copy())
        try:
            stamp = self._book.read_into(self._bids, self._asks)
            self._target.read_into(target)
            self._account.read_into(account)
            self._ticker.read_into(ticker)
            self._estimates.read_into(estimates)
            for name, reader in self._statuses.items():
                reader.read_into(statuses[name])
        except Unstable:
            self.unstable += 1
            return None
        return Snapshot(
            bids=self._bids[: stamp.n_bids],
            asks=self._asks[: stamp.n_asks],
            stamp=stamp,
            target=target,
            account=account,
            ticker=ticker,
            estimates=estimates,
            statuses=statuses,
            latency=self.links.latency.summary(),
            unstable=self.unstable,
        )

    def close(self) -> None:
        """Release the endpoints."""
        readers = (self._book, self._target, self._account, self._ticker, self._estimates, self._fills)
        for endpoint in (*readers, *self._statuses.values()):
            endpoint.close()
