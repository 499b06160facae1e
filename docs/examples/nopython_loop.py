"""A loop without the interpreter: trades from a ring and the book beside them, a value out, latencies recorded."""

from typing import Any

import numpy as np
from numba import njit

import mftcore.numba
from mftcore import LEVEL, Histogram, MasterBook, Seqlock, SeqlockBook, SpscRing

TRADE = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i8"), ("sent_ns", "<i8")])
VALUE = np.dtype([("trades", "<i8"), ("lots", "<i8"), ("beyond_ticks", "<i8")])
COUNT = 100


@njit(nogil=True)  # cache=True in a module of yours: compiled once, found again at each start
def follow(
    trades: Any, book: Any, asks: Any, writer: Any, reader: Any, latency: Any, trade: Any, value: Any, now_ns: int
) -> Any:
    done = 0
    while trades.pop(trade):
        version, age_ns, state, n_bids, n_asks = book.read(1)  # into `book.bids` and `book.asks`
        if version and state == 0 and n_bids and n_asks:
            value[0].trades += 1
            value[0].lots += trade[0].size_lots
            value[0].beyond_ticks += max(trade[0].price_ticks - asks[0].price_ticks, 0)
        latency.record(now_ns - trade[0].sent_ns)
        done += 1
    written = writer.write(value)
    value[0].trades = -1
    read, age_ns = reader.read(value)  # our own value, as any other process reads it
    return done, written, read, age_ns


def main() -> None:
    master = MasterBook()
    master.snapshot(np.array([(99, 1, 1)], LEVEL), np.array([(101, 1, 1)], LEVEL))
    with (
        SpscRing.create(TRADE, 128) as ring,
        SeqlockBook.create("BTC-PERPETUAL", 0.5, 0.001, levels=5) as books,
        Seqlock.create(VALUE) as values,
        Histogram.create() as latencies,
        ring.producer() as tx,
        ring.consumer() as rx,
        books.writer() as publisher,
        books.reader() as book,
        values.writer() as writer,
        values.reader() as reader,
        latencies.recorder() as latency,
    ):
        publisher.publish(master, exchange_time_ns=0, receive_ns=0)
        trades = np.zeros(COUNT, TRADE)
        trades["price_ticks"], trades["size_lots"], trades["sent_ns"] = 103, 2, np.arange(COUNT)
        assert tx.push_many(trades) == COUNT
        value = np.zeros(1, VALUE)
        found = follow(rx, book, book.asks, writer, reader, latency, np.zeros(1, TRADE), value, 1_000)
        assert found[:3] == (COUNT, 1, 1)
        assert found[3] >= 0
        assert value.tolist() == [(COUNT, 2 * COUNT, 2 * COUNT)]
        assert (latencies.count, latencies.max_ns) == (COUNT, 1_000)
        rx.close()
        try:
            follow(rx, book, book.asks, writer, reader, latency, np.zeros(1, TRADE), value, 1_000)
        except mftcore.ClosedError:
            closed = True
        assert closed


if __name__ == "__main__":
    main()
