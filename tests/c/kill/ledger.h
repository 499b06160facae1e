/* Records that can be judged alone and in sequence, and the tally of what was found.
 *
 * Each record carries its sequence number and the epoch of the process that wrote it, and every further word follows
 * from these two. A record that agrees with itself is whole; that is not enough: a ring that hands out old slots again
 * hands out whole records. Hence the sequence must be strict and the epoch the one that was at work. */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include "check.h"

typedef enum { TORN, LOST, REPEATED, BLOCKED, WRONG, FAULTS } fault_t;
static const char *const fault_names[FAULTS] = {"torn", "lost", "repeated", "blocked", "wrong"};

typedef struct {
    long kills;
    long done;           /* kills after which the operation had taken effect */
    long again;          /* records that were, as promised, seen again */
    long gone;           /* records that were, as promised, lost with the consumer that held them */
    long faults[FAULTS]; /* what must not be */
    char first[200];     /* the first fault in words */
    long records;        /* handed over, or versions or claims, while processes were killed at random */
    long unstable;       /* reads that gave up beside a live writer: allowed, and counted */
    time_t began;
} tally_t;

static tally_t tally;

static inline long tally_faults(void)
{
    long sum = 0;

    for (int i = 0; i < FAULTS; i++)
        sum += tally.faults[i];
    return sum;
}

static __attribute__((format(printf, 2, 3))) void fault(fault_t kind, const char *format, ...)
{
    va_list arguments;

    if (tally_faults() == 0) {
        va_start(arguments, format);
        vsnprintf(tally.first, sizeof tally.first, format, arguments);
        va_end(arguments);
    }
    tally.faults[kind]++;
}

enum { SEQUENCE, EPOCH, DERIVED }; /* words of a record */

static inline uint64_t derived(uint64_t sequence, uint64_t epoch, uint64_t i)
{
    const uint64_t x = (sequence + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ epoch * UINT64_C(0xC2B2AE3D27D4EB4F);

    return x + i * UINT64_C(0x165667B19E3779F9);
}

static inline void write_record(uint64_t *words, uint64_t count, uint64_t sequence, uint64_t epoch)
{
    words[SEQUENCE] = sequence;
    words[EPOCH] = epoch;
    for (uint64_t i = DERIVED; i < count; i++)
        words[i] = derived(sequence, epoch, i);
}

static inline int whole(const uint64_t *words, uint64_t count)
{
    for (uint64_t i = DERIVED; i < count; i++)
        if (words[i] != derived(words[SEQUENCE], words[EPOCH], i))
            return 0;
    return 1;
}

/* Judge a record that must be number `sequence`, written under an epoch from `lowest` to `highest`; 1 when it is. */
static inline int judge(const uint64_t *words, uint64_t count, uint64_t sequence, uint64_t lowest, uint64_t highest)
{
    const unsigned long long found = words[SEQUENCE], epoch = words[EPOCH], wanted = sequence;

    if (!whole(words, count))
        fault(TORN, "record %llu is not whole (it says sequence %llu, epoch %llu)", wanted, found, epoch);
    else if (found < wanted)
        fault(REPEATED, "record %llu was handed out in place of %llu: whole, but old", found, wanted);
    else if (found > wanted)
        fault(LOST, "record %llu was handed out in place of %llu", found, wanted);
    else if (epoch < lowest || epoch > highest)
        fault(WRONG, "record %llu has epoch %llu, not %llu to %llu", wanted, epoch, (unsigned long long)lowest,
              (unsigned long long)highest);
    else
        return 1;
    return 0;
}

/* The judge itself, fed with each fault. Exits when it does not object. */
static inline void judge_is_strict(void)
{
    enum { COUNT = 8 };
    uint64_t words[COUNT];
    const struct {
        uint64_t sequence, epoch;
        int flip;
        fault_t expected;
    } fed[] = {{5, 2, -1, FAULTS}, {4, 2, -1, REPEATED}, {6, 2, -1, LOST}, {5, 1, -1, WRONG},
               {5, 4, -1, WRONG},  {5, 2, 2, TORN},      {5, 2, 7, TORN},  {5, 2, 0, TORN},
               {5, 2, 1, TORN}};

    for (size_t i = 0; i < sizeof fed / sizeof *fed; i++) {
        memset(&tally, 0, sizeof tally);
        write_record(words, COUNT, fed[i].sequence, fed[i].epoch);
        if (fed[i].flip >= 0)
            words[fed[i].flip] ^= UINT64_C(1) << (i * 7);
        CHECK(judge(words, COUNT, 5, 2, 3) == (fed[i].expected == FAULTS));
        CHECK(tally_faults() == (fed[i].expected != FAULTS));
        CHECK(fed[i].expected == FAULTS || tally.faults[fed[i].expected] == 1);
    }
    memset(&tally, 0, sizeof tally);
}

/* One line for people and, with tabs, one for the campaign. */
static inline void tally_print(const char *name, const char *build, long places)
{
    printf("%-29s %-4s", name, build);
    if (places)
        printf(" %5ld places", places);
    printf(" %6ld kills %6ld done", tally.kills, tally.done);
    for (int i = 0; i < FAULTS; i++)
        printf("  %s %ld", fault_names[i], tally.faults[i]);
    if (tally.again || tally.gone)
        printf("  (as promised: seen again %ld, lost with the consumer %ld)", tally.again, tally.gone);
    if (tally.records)
        printf("  (%ld handed over)", tally.records);
    if (tally.unstable)
        printf("  (%ld reads unstable)", tally.unstable);
    printf("  %ld s\n", (long)(time(NULL) - tally.began));
    if (getenv("KILL_RESULTS")) {
        FILE *results = fopen(getenv("KILL_RESULTS"), "a");

        CHECK(results != NULL);
        fprintf(results, "%s\t%s\t%ld\t%ld\t%ld", name, build, places, tally.kills, tally.done);
        for (int i = 0; i < FAULTS; i++)
            fprintf(results, "\t%ld", tally.faults[i]);
        fprintf(results, "\t%ld\t%ld\t%ld\n", tally.again, tally.gone, tally.records);
        CHECK(fclose(results) == 0);
    }
}

#endif
