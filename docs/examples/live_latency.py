"""Latencies counted by one process and read by another while they are counted, coordinated omission corrected."""

import multiprocessing
import time
from multiprocessing.synchronize import Event

from mftcore import Histogram

INTERVAL_NS = 1_000_000  # the loop under test asks once a millisecond ...
USUAL_NS = 10_000
STALL_NS = 500_000_000  # ... and once got no answer for half a second: 500 questions were never asked
COUNT = 500


def measure(plain: Histogram, corrected: Histogram, go_on: Event) -> None:
    with plain.recorder() as raw, corrected.recorder() as honest:
        for i in range(COUNT):
            latency_ns = STALL_NS if i == 250 else USUAL_NS
            raw.record(latency_ns)
            honest.record_corrected(latency_ns, INTERVAL_NS)
            if i == 100:
                assert go_on.wait(10.0)  # so that the reader certainly reads while we are at it


def main() -> None:
    context = multiprocessing.get_context("spawn")
    go_on = context.Event()
    with Histogram.create() as plain, Histogram.create() as corrected:
        child = context.Process(target=measure, args=(plain, corrected, go_on), daemon=True)
        child.start()
        while corrected.count < 101 and child.is_alive():
            time.sleep(0.001)
        assert (plain.count, plain.max_ns) == (101, USUAL_NS)  # live, and without disturbing the recorder
        go_on.set()
        child.join()
        assert child.exitcode == 0
        assert (plain.count, plain.max_ns, plain.negative) == (COUNT, STALL_NS, 0)
        assert plain.percentile(99) <= USUAL_NS * (1 + 1 / 128)  # all is well, it seems
        assert corrected.count == COUNT + STALL_NS // INTERVAL_NS - 1
        assert corrected.percentile(99) > 0.97 * STALL_NS  # what a user who came at any time would have met
        both = plain.summary(corrected)  # merged: the counts of several recorders make one distribution
        assert both["count"] == plain.count + corrected.count
        assert both["max"] == STALL_NS


if __name__ == "__main__":
    main()
