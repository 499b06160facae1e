"""An order book kept from a snapshot and changes, whose best levels another process reads."""

import multiprocessing
import time

import numpy as np

from mftcore import BOOK_RESYNCING, MasterBook, SeqlockBook

CHANGES = 500


def keep(book: SeqlockBook) -> None:
    """Do what a market data process does: message in, master book changed, window published once per batch."""
    master, nothing = MasterBook(), np.empty((0, 3), np.int64)
    with book.writer() as writer:
        bids = np.array([[1000 - i, 10 + i, 0] for i in range(20)])  # price_ticks, size_lots, outright_lots
        asks = np.array([[1001 + i, 10 + i, 0] for i in range(20)])
        master.snapshot(bids, asks)
        writer.publish(master, exchange_time_ns=0, receive_ns=time.monotonic_ns())
        for n in range(1, CHANGES + 1):
            master.apply(np.array([[1000, 0, 0], [999, n, 0]]), nothing)  # size 0 removes the level
            writer.publish(master, exchange_time_ns=n, receive_ns=time.monotonic_ns())
        writer.mark(BOOK_RESYNCING)  # known to be wrong from here on: nobody should trade on it


def main() -> None:
    with SeqlockBook.create("BTC-PERPETUAL", tick_size=0.5, lot_size=0.001, levels=10) as book:
        reader = book.reader()
        price_ticks = reader.bids["price_ticks"]  # taken once: each read fills the same arrays
        child = multiprocessing.get_context("spawn").Process(target=keep, args=(book,), daemon=True)
        child.start()
        while not reader.top().state & BOOK_RESYNCING:
            assert reader.wait(10.0)
            stamp = reader.read(5)  # the best five levels a side; read() gets all
            assert (stamp.n_bids, stamp.n_asks, stamp.ask_ticks) == (5, 5, 1001)
            assert list(price_ticks[:5]) == list(range(stamp.bid_ticks, stamp.bid_ticks - 5, -1))
        child.join()
        stamp = reader.read()
        assert (stamp.bid_ticks, stamp.bid_lots, stamp.spread_ticks, stamp.mid_ticks) == (999, CHANGES, 2, 1000.0)
        assert (stamp.version, stamp.exchange_time_ns, stamp.n_bids) == (CHANGES + 2, CHANGES, 10)
        assert stamp.mid_ticks * book.tick_size == 500.0
        assert (stamp.writer_alive, stamp.age_ns > 0) == (False, True)


if __name__ == "__main__":
    main()
