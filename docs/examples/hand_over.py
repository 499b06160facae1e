"""Hand records to a child process: the ring goes along as an argument, and the child asks it for its end."""

import multiprocessing

import numpy as np

from mftcore import SpscRing

TRADE = np.dtype([("sequence", "<u8"), ("price_ticks", "<i8"), ("size_lots", "<i8")])
COUNT = 10_000


def produce(ring: SpscRing) -> None:
    trades = np.zeros(100, TRADE)
    with ring.producer() as tx:
        for first in range(0, COUNT, len(trades)):
            trades["sequence"] = np.arange(first, first + len(trades))
            left = trades[tx.push_many(trades) :]
            while len(left) and tx.wait(10.0):  # full: wait for room, then push what is left
                left = left[tx.push_many(left) :]


def main() -> None:
    with SpscRing.create(TRADE, capacity=1024) as ring, ring.consumer() as rx:
        child = multiprocessing.get_context("spawn").Process(target=produce, args=(ring,), daemon=True)
        child.start()
        batch, expected = np.zeros(256, TRADE), 0
        while expected < COUNT:
            assert rx.wait(10.0), "no records for ten seconds"  # PeerDied if the child dies before its last record
            n = rx.pop_many(batch)
            assert np.array_equal(batch["sequence"][:n], np.arange(expected, expected + n))
            expected += n
        child.join()
        assert child.exitcode == 0
        assert (rx.pop(), rx.producer_epoch, rx.producer_alive) == (None, 1, False)
        assert ring.counters().pushed == ring.counters().popped == COUNT


if __name__ == "__main__":
    main()
