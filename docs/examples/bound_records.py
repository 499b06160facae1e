"""Bound records: one record on each side, checked once, then pushed and popped with the shortest calls there are."""

import multiprocessing

import numpy as np

from mftcore import SpscRing

PING = np.dtype([("sequence", "<u8"), ("text", "S56")])
COUNT = 200


def echo(there: SpscRing, back: SpscRing) -> None:
    record = np.zeros(1, PING)
    rx, tx = there.consumer(), back.producer()
    pop, push = rx.bind(record).pop, tx.bind(record).push  # the same record: what is popped is pushed back
    for _ in range(COUNT):
        while not pop():
            rx.wait(10.0)
        assert push()  # there is one record on its way at a time, so there is room


def main() -> None:
    with SpscRing.create(PING, capacity=16) as there, SpscRing.create(PING, capacity=16) as back:
        tx, rx = there.producer(), back.consumer()
        sent, got = np.zeros(1, PING), np.zeros(1, PING)
        push, pop = tx.bind(sent).push, rx.bind(got).pop
        sequence, answer = sent["sequence"], got["sequence"]  # views, taken once: setting one is a single store
        sent["text"] = b"the same in each"
        child = multiprocessing.get_context("spawn").Process(target=echo, args=(there, back), daemon=True)
        child.start()
        for i in range(COUNT):
            sequence[0] = i
            assert push()
            while not pop():
                assert rx.wait(10.0)
            assert answer[0] == i
        child.join()
        assert (child.exitcode, bytes(got["text"][0])) == (0, b"the same in each")


if __name__ == "__main__":
    main()
