"""`Histogram`: percentiles within the stated error, readable while it records."""

import math

import numpy as np
import pytest

from mftcore import Histogram, RecordError, RoleTaken


def test_percentiles_are_within_a_128th_of_those_of_the_sorted_values():
    values = np.random.default_rng(3).lognormal(10, 2, 20_000).astype(np.int64)
    with Histogram.create() as histogram:
        histogram.recorder().record_many(values)
        ordered = np.sort(values)
        for percent in (1, 25, 50, 90, 99, 99.9, 100):
            exact = int(ordered[math.ceil(len(values) * percent / 100 - 1e-9) - 1])
            assert exact <= histogram.percentile(percent) <= exact + exact / 128 + 1
        summary = histogram.summary()
        assert (summary["count"], summary["max"]) == (len(values), int(ordered[-1]))


def test_negative_values_are_counted_apart_and_huge_ones_kept_as_the_maximum():
    with Histogram.create() as histogram:
        recorder = histogram.recorder()
        for ns in (-1, 5, 2**62):
            recorder.record(ns)
        assert (histogram.count, histogram.negative, histogram.max_ns) == (2, 1, 2**62)


def test_several_are_summed_up_and_an_empty_one_says_zero():
    with Histogram.create() as one, Histogram.create() as other:
        assert one.summary() == {"p50": 0, "p90": 0, "p99": 0, "p999": 0, "max": 0, "count": 0}
        one.recorder().record(10)
        other.recorder().record(100)
        assert one.summary(other)["count"] == 2
        assert one.summary(other)["max"] == 100
        assert one.count == 1


def test_one_recorder_at_a_time_and_percentiles_have_bounds():
    with Histogram.create() as histogram:
        recorder = histogram.recorder()
        with pytest.raises(RoleTaken):
            histogram.recorder()
        with pytest.raises(RecordError):
            histogram.percentile(101)
        recorder.close()


def test_corrected_values_are_those_that_a_loop_over_the_hidden_ones_would_have_counted():
    rng = np.random.default_rng(5)
    with Histogram.create() as one, Histogram.create() as plain:
        corrected, recorder = one.recorder(), plain.recorder()
        corners = [(0, 1), (1, 1), (7, 3), (10_000, 1000), (5, 0), (5, -1), (-3, 2), (2**63 - 1, 2**61)]
        drawn = np.stack((rng.integers(1, 10**7, 200), rng.integers(500, 10**6, 200)), axis=1).tolist()
        for ns, interval in corners + [tuple(pair) for pair in drawn]:
            corrected.record_corrected(ns, interval)
            recorder.record(ns)
            if interval > 0:
                for hidden in range(ns - interval, interval - 1, -interval):
                    recorder.record(hidden)
        assert (one.counts() == plain.counts()).all()
        assert (one.max_ns, one.negative) == (plain.max_ns, plain.negative)
        corrected.record_corrected(2**62, 1)  # as fast as any other, however many it hides
        assert one.count > 2**61
