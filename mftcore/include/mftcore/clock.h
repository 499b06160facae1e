/* Monotonic nanoseconds: the one clock of every interval and age. */
#ifndef MFTCORE_CLOCK_H
#define MFTCORE_CLOCK_H

#include <time.h>

#include "base.h"

/* CLOCK_MONOTONIC in ns: the same for all processes of the machine (of one time namespace), never set back.
 * About 25 ns through the vDSO; no system call. */
static inline int64_t mft_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* How long ago that was. Unsigned, since the stamp comes out of shared memory and may be anything. */
static inline int64_t mft_age_ns(int64_t then_ns)
{
    return (int64_t)((uint64_t)mft_now_ns() - (uint64_t)then_ns);
}

#endif
