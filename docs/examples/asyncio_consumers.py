"""Tasks of one event loop that await the records of a ring and the newest value of a seqlock."""

import asyncio
import multiprocessing

import numpy as np

from mftcore import Seqlock, SeqlockReader, SpscConsumer, SpscRing

TRADE = np.dtype([("sequence", "<u8"), ("price_ticks", "<i8")])
COUNT = 5_000


def produce(ring: SpscRing, last: Seqlock) -> None:
    trade = np.zeros(1, TRADE)
    with ring.producer() as tx, last.writer() as writer:
        for sequence in range(1, COUNT + 1):
            trade["sequence"] = sequence
            assert tx.push_wait(trade, 10.0)
            writer.write(trade)


async def each(rx: SpscConsumer) -> int:
    seen = 0
    async for trades in rx.batches(np.zeros(256, TRADE)):  # PeerDied if the producer dies before its last record
        assert np.array_equal(trades["sequence"], np.arange(seen + 1, seen + 1 + len(trades)))
        seen += len(trades)
        if seen == COUNT:
            break
    return seen


async def newest(reader: SeqlockReader) -> int:
    trade = np.zeros(1, TRADE)
    while trade["sequence"][0] < COUNT:
        assert await reader.wait_async(10.0)
        assert reader.read_into(trade).version == trade["sequence"][0]  # what came in between was skipped
    return int(trade["sequence"][0])


async def main() -> None:
    with SpscRing.create(TRADE, 256) as ring, Seqlock.create(TRADE) as last:
        child = multiprocessing.get_context("spawn").Process(target=produce, args=(ring, last), daemon=True)
        child.start()
        with ring.consumer() as rx, last.reader() as reader:
            assert tuple(await asyncio.gather(each(rx), newest(reader))) == (COUNT, COUNT)
        child.join()
        assert child.exitcode == 0


if __name__ == "__main__":
    asyncio.run(main())
