/* The histogram without Python: where values are counted, and how far a bucket is from them. */
#include "check.h"

#include "mftcore/histogram.h"

static void buckets_are_in_order_and_narrow(void)
{
    uint32_t last = 0;

    for (uint64_t ns = 0; ns < UINT64_C(1) << 41; ns += 1 + ns / 1000) {
        const uint32_t bucket = mft_histogram_bucket(ns);
        const uint64_t upper = mft_histogram_upper_ns(bucket);

        CHECK(bucket >= last && bucket < MFT_HISTOGRAM_BUCKETS);
        CHECK(upper >= ns && upper - ns <= ns / 128);
        CHECK(mft_histogram_bucket(upper) == bucket && mft_histogram_bucket(upper + 1) == bucket + 1 - (bucket == MFT_HISTOGRAM_BUCKETS - 1));
        last = bucket;
    }
    CHECK(mft_histogram_bucket(UINT64_MAX) == MFT_HISTOGRAM_BUCKETS - 1);
}

static void values_are_counted_and_negative_ones_apart(void)
{
    static mft_histogram_shared_t shared;
    static uint64_t counts[MFT_HISTOGRAM_BUCKETS];
    mft_histogram_t h = {.shared = &shared};

    for (int64_t ns = -5; ns < 1000; ns++)
        mft_histogram_record(&h, ns);
    CHECK(mft_histogram_copy(&h, counts) == 1000 && counts[7] == 1);
    CHECK(atomic_load(&shared.negative) == 5 && atomic_load(&shared.max_ns) == 999);
}

int main(void)
{
    RUN(buckets_are_in_order_and_narrow);
    RUN(values_are_counted_and_negative_ones_apart);
    return 0;
}
