/* The histogram, its recorder killed at each instruction of one record. */
#ifndef HISTOGRAM_KINDS_H
#define HISTOGRAM_KINDS_H

#include "kind.h"
#include "mftcore/histogram.h"

static mft_segment_t histogram_segment;
static mft_histogram_t histogram;
static uint64_t counts_before[MFT_HISTOGRAM_BUCKETS], max_before, negative_before, recorded, records_before;
static int64_t recorded_ns;

static void histogram_setup(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_HISTOGRAM, .version = MFT_HISTOGRAM_VERSION, .record_bytes = 8,
                       .capacity = MFT_HISTOGRAM_BUCKETS, .data_bytes = sizeof(mft_histogram_shared_t)};

    CHECK(mft_segment_make(&histogram_segment, &spec) == MFT_OK);
    mft_segment_publish(&histogram_segment);
    CHECK(mft_histogram_open(&histogram, &histogram_segment) == MFT_OK);
    recorded = 0;
}

static void histogram_teardown(void)
{
    mft_segment_detach(&histogram_segment);
}

/* Small and large, a new maximum and none, beyond the last bucket, negative. */
static void histogram_before(void)
{
    const int64_t values[] = {100, 5000, 70000, 1000000000, -3};

    records_before = mft_histogram_copy(&histogram, counts_before);
    max_before = atomic_load(&histogram.shared->max_ns);
    negative_before = atomic_load(&histogram.shared->negative);
    recorded_ns = round_number % 6 == 5 ? (INT64_C(1) << 41) + (int64_t)recorded++ * 2
                  : round_number % 2    ? (int64_t)max_before + 1
                                        : values[round_number / 2 % 5];
}

static void histogram_prepare(void)
{
    child_claims(&histogram_segment, MFT_HISTOGRAM_RECORDER);
}

static void histogram_operate(void)
{
    STEP_MARK();
    mft_histogram_record(&histogram, recorded_ns);
    STEP_MARK();
}

/* The value is counted once in its bucket or not at all, the maximum is known before its count, nothing else moves. */
static void histogram_after(step_end_t end)
{
    static uint64_t counts[MFT_HISTOGRAM_BUCKETS];
    const uint64_t now = mft_histogram_copy(&histogram, counts), max = atomic_load(&histogram.shared->max_ns);
    const uint64_t negative = atomic_load(&histogram.shared->negative);
    const uint64_t added = recorded_ns < 0 ? negative - negative_before : now - records_before;
    const uint64_t max_after = recorded_ns > (int64_t)max_before ? (uint64_t)recorded_ns : max_before;
    const uint32_t bucket = recorded_ns < 0 ? MFT_HISTOGRAM_BUCKETS : mft_histogram_bucket((uint64_t)recorded_ns);
    uint64_t word;

    if (added > 1)
        fault(REPEATED, "one value was counted %lld times", (long long)added);
    if (end == STEP_FINISHED && added != 1)
        fault(LOST, "a recorded value is not counted");
    if (max != max_before && max != max_after)
        fault(TORN, "the maximum is %llu", (unsigned long long)max);
    if (added == 1 && max != max_after)
        fault(LOST, "a value is counted that the maximum %llu does not know", (unsigned long long)max);
    for (uint32_t i = 0; i < MFT_HISTOGRAM_BUCKETS; i++)
        if (counts[i] != counts_before[i] + (i == bucket ? added : 0))
            fault(WRONG, "bucket %u changed", i);
    tally.done += added == 1;
    succeed(&histogram_segment, MFT_HISTOGRAM_RECORDER, scratch->epoch, &word);
    mft_histogram_record(&histogram, 1);
    if (atomic_load(&histogram.shared->counts[1]) != counts[1] + 1)
        fault(LOST, "the successor's value is not counted");
    give_up(&histogram_segment, MFT_HISTOGRAM_RECORDER, word);
}

/* ---- planted bug ---- */

/* Counted first, the maximum afterwards. */
static void late_max_operate(void)
{
    _Atomic(uint64_t) *word = &histogram.shared->counts[mft_histogram_bucket((uint64_t)recorded_ns)];

    STEP_MARK();
    atomic_store(word, atomic_load(word) + 1);
    if ((uint64_t)recorded_ns > atomic_load(&histogram.shared->max_ns))
        atomic_store(&histogram.shared->max_ns, (uint64_t)recorded_ns);
    STEP_MARK();
}

#endif
