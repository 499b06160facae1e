/* Latency counts in nanoseconds, log-linear: one writer, readable by other processes while it writes.
 *
 * Promise: a value below 2^41 ns (36 minutes) is counted in a bucket whose width is at most 1/128 of it; larger ones in
 * the last bucket, and the largest value is kept exactly. Negative values are counted apart: they are a defect of the
 * caller's clocks, not a latency. */
#ifndef MFTCORE_HISTOGRAM_H
#define MFTCORE_HISTOGRAM_H

#include "segment.h"

#define MFT_HISTOGRAM_VERSION 1u
#define MFT_HISTOGRAM_LINEAR 128u /* buckets to a power of two */
#define MFT_HISTOGRAM_TOP 40u     /* highest power of two that is told apart */
#define MFT_HISTOGRAM_BUCKETS ((MFT_HISTOGRAM_TOP - 7u + 2u) * MFT_HISTOGRAM_LINEAR)

enum { MFT_HISTOGRAM_RECORDER = 0 }; /* role */

/* Shared; only the recorder writes. Relaxed throughout: each word is a count of its own, none guards another. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) max_ns;
    _Atomic(uint64_t) negative;
    _Alignas(MFT_LINE) _Atomic(uint64_t) counts[MFT_HISTOGRAM_BUCKETS];
} mft_histogram_shared_t;
_Static_assert(offsetof(mft_histogram_shared_t, counts) == MFT_LINE, "processes share this layout");

typedef struct {
    mft_histogram_shared_t *shared;
} mft_histogram_t;

static inline int mft_histogram_open(mft_histogram_t *h, mft_segment_t *s)
{
    if (s->data_bytes < sizeof(mft_histogram_shared_t) || s->layout.capacity != MFT_HISTOGRAM_BUCKETS)
        return MFT_E_CORRUPT;
    h->shared = (mft_histogram_shared_t *)(void *)s->data;
    return MFT_OK;
}

static inline uint32_t mft_histogram_bucket(uint64_t ns)
{
    unsigned shift;

    if (ns < 2 * MFT_HISTOGRAM_LINEAR)
        return (uint32_t)ns;
    if (ns >> (MFT_HISTOGRAM_TOP + 1))
        return MFT_HISTOGRAM_BUCKETS - 1;
    shift = 63u - (unsigned)__builtin_clzll(ns) - 7u;
    return (uint32_t)(shift * MFT_HISTOGRAM_LINEAR + (ns >> shift));
}

/* Largest value that is counted in a bucket. */
static inline uint64_t mft_histogram_upper_ns(uint32_t bucket)
{
    unsigned shift;

    if (bucket < 2 * MFT_HISTOGRAM_LINEAR)
        return bucket;
    shift = bucket / MFT_HISTOGRAM_LINEAR - 1;
    return (((uint64_t)bucket - shift * MFT_HISTOGRAM_LINEAR + 1) << shift) - 1;
}

/* Recorder only. */
static inline void mft_histogram_record(mft_histogram_t *h, int64_t ns)
{
    _Atomic(uint64_t) *word;

    if (ns < 0) {
        word = &h->shared->negative;
    } else {
        word = &h->shared->counts[mft_histogram_bucket((uint64_t)ns)];
        if ((uint64_t)ns > atomic_load_explicit(&h->shared->max_ns, memory_order_relaxed))
            atomic_store_explicit(&h->shared->max_ns, (uint64_t)ns, memory_order_relaxed);
    }
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Recorder only. Corrects for coordinated omission, as HdrHistogram does: a value measured by a loop that asks every
 * `interval_ns` and waits for each answer hides those that would have been asked meanwhile; they are counted as `ns`
 * less one interval, less two, ... down to one interval. At most one addition per bucket, however small the interval. */
static inline void mft_histogram_record_corrected(mft_histogram_t *h, int64_t ns, int64_t interval_ns)
{
    uint64_t value = (uint64_t)ns, interval = (uint64_t)interval_ns, hidden;

    mft_histogram_record(h, ns);
    if (ns < 0 || interval_ns <= 0 || value / interval < 2)
        return;
    hidden = value / interval - 1;
    for (uint32_t b = mft_histogram_bucket(value - hidden * interval); b <= mft_histogram_bucket(value - interval); b++) {
        const int last_bucket = b == MFT_HISTOGRAM_BUCKETS - 1;
        const uint64_t lower = b == 0 ? 0 : mft_histogram_upper_ns(b - 1) + 1;
        const uint64_t upper = last_bucket ? UINT64_MAX : mft_histogram_upper_ns(b);
        /* those k of 1 to `hidden` for which value - k * interval lies in this bucket */
        uint64_t first = value > upper ? (value - upper + interval - 1) / interval : 1;
        uint64_t last = value >= lower ? (value - lower) / interval : 0;

        first = first < 1 ? 1 : first;
        last = last > hidden ? hidden : last;
        if (first <= last)
            atomic_store_explicit(&h->shared->counts[b],
                                  atomic_load_explicit(&h->shared->counts[b], memory_order_relaxed) + last - first + 1,
                                  memory_order_relaxed);
    }
}

/* Copies the counts; each was right at some instant of the call. Returns their sum. */
static inline uint64_t mft_histogram_copy(const mft_histogram_t *h, uint64_t *counts)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < MFT_HISTOGRAM_BUCKETS; i++) {
        counts[i] = atomic_load_explicit(&h->shared->counts[i], memory_order_relaxed);
        sum += counts[i];
    }
    return sum;
}

#endif
