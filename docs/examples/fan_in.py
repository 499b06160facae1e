"""Many producers, one consumer: a ring for each producer, and one wait over all of them."""

import multiprocessing
from multiprocessing.process import BaseProcess

import numpy as np

from mftcore import SpscConsumer, SpscRing, wait_any

ORDER = np.dtype([("source", "<u4"), ("sequence", "<u4")])
SOURCES, COUNT = 3, 2_000


def produce(ring: SpscRing, source: int) -> None:
    record = np.zeros(1, ORDER)
    record["source"] = source
    with ring.producer() as tx:
        for sequence in range(COUNT):
            record["sequence"] = sequence
            assert tx.push_wait(record, 10.0)


def drain(rx: SpscConsumer, batch: "np.ndarray[tuple[int], np.dtype[np.void]]") -> list[int]:
    return [int(sequence) for sequence in batch["sequence"][: rx.pop_many(batch)]]


def main() -> None:
    rings = [SpscRing.create(ORDER, capacity=256) for _ in range(SOURCES)]
    ends = [ring.consumer() for ring in rings]
    context = multiprocessing.get_context("spawn")
    children: list[BaseProcess] = [
        context.Process(target=produce, args=(ring, source), daemon=True) for source, ring in enumerate(rings)
    ]
    for child in children:
        child.start()
    seen: dict[SpscConsumer, list[int]] = {rx: [] for rx in ends}
    batch = np.zeros(64, ORDER)  # as many from one ring at a turn: none can starve the others
    while sum(map(len, seen.values())) < SOURCES * COUNT:
        ready = wait_any(ends, 10.0)
        assert ready, "no records for ten seconds"
        for rx in ready:
            seen[rx] += drain(rx, batch)
    for child in children:
        child.join()
    assert all(sequences == list(range(COUNT)) for sequences in seen.values())  # each in its own order, none lost
    assert [child.exitcode for child in children] == [0] * SOURCES


if __name__ == "__main__":
    main()
