"""Rates: what a token bucket lets through, on a clock that the test sets."""

import random

from mftpy.execution.budget import MessageRate, TokenBucket

SECOND_NS = 1_000_000_000


def test_a_full_bucket_lets_one_second_of_messages_through_at_once_and_no_more():
    bucket = TokenBucket(10, now_ns=0)
    assert [bucket.take(0) for _ in range(11)] == [True] * 10 + [False]


def test_no_second_of_any_phase_sees_more_than_twice_the_rate_and_no_minute_more_than_rate_and_burst():
    rng, bucket, now_ns, sent = random.Random(1), TokenBucket(50, now_ns=0), 0, []
    for _ in range(60_000):
        now_ns += rng.randrange(2_000_000)
        if bucket.take(now_ns):
            sent.append(now_ns)
    for start in sent[:: len(sent) // 200]:
        assert sum(start <= when < start + SECOND_NS for when in sent) <= 100
    assert len(sent) <= 50 * (now_ns / SECOND_NS) + 50


def test_a_clock_that_stands_or_goes_back_brings_no_tokens():
    bucket = TokenBucket(1, now_ns=5 * SECOND_NS)
    assert bucket.take(5 * SECOND_NS)
    assert not bucket.take(5 * SECOND_NS)
    assert not bucket.take(1 * SECOND_NS)
    assert bucket.take(6 * SECOND_NS)


def test_a_lower_rate_takes_away_what_its_bucket_cannot_hold():
    bucket = TokenBucket(100, now_ns=0)
    bucket.set_rate(10, now_ns=0)
    assert bucket.available(0) == 10
    bucket.empty(0)
    assert not bucket.take(0)


def test_the_message_rate_counts_the_last_second_only():
    rate = MessageRate()
    for tenth in range(25):
        rate.add(tenth * 100_000_000)
    assert rate.per_s(24 * 100_000_000) == 10
    assert rate.per_s(40 * 100_000_000) == 0
