"""The newest value of one record, with its age, and what a reader learns when the writer is killed."""

import multiprocessing
import os
import signal

import numpy as np

from mftcore import PeerDied, Seqlock

TICKER = np.dtype([("bid", "<f8"), ("ask", "<f8"), ("sequence", "<u8")])
COUNT = 1_000


def write(lock: Seqlock) -> None:
    ticker = np.zeros(1, TICKER)
    writer = lock.writer()
    for sequence in range(1, COUNT + 1):
        ticker["bid"], ticker["ask"], ticker["sequence"] = sequence - 0.5, sequence + 0.5, sequence
        writer.write(ticker)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    with Seqlock.create(TICKER) as lock, lock.reader() as reader:
        assert reader.read()[1].version == 0  # never written, and the stamp says so
        child = multiprocessing.get_context("spawn").Process(target=write, args=(lock,), daemon=True)
        child.start()
        ticker, last, dead = np.zeros(1, TICKER), 0, 0
        try:
            while reader.wait(10.0):
                stamp = reader.read_into(ticker)
                assert stamp.version > last  # newer each time; what came in between was skipped
                assert ticker["sequence"][0] == stamp.version  # and never a mixture
                assert ticker["ask"][0] - ticker["bid"][0] == 1.0
                last = stamp.version
        except PeerDied as death:
            dead = death.pid  # said once the last value was read, not before
        child.join()
        assert dead == child.pid
        stamp = reader.read_into(ticker)
        assert (stamp.version, stamp.epoch, stamp.writer_alive) == (COUNT, 1, False)
        assert reader.read()[1].age_ns >= stamp.age_ns > 0  # the value stays, and it gets older
        with lock.writer() as successor:
            successor.write(ticker)
            again = reader.read()[1]
            assert (again.version, again.epoch, again.writer_alive) == (COUNT + 1, 2, True)


if __name__ == "__main__":
    main()
