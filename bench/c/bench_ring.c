/* The floor under the Python figures: rings from C, two pinned processes, no interpreter.
 *
 * usage: bench_ring RING MEASURE COUNT CPU_A CPU_B      prints one line of JSON, times in ns
 *   RING     ours, cached (rigtorp's published design, rebuilt), inslot (the sequence inside the slot)
 *   MEASURE  round_trip, round_trip_claim, throughput, throughput_claim, throughput_batch (ours alone), one_process
 * Compile with -DRECORD=64 or -DRECORD=1024. "claim": fields are written into the slot and read there; otherwise a
 * record that lies ready is copied in and out. Spinning with pause in the round trips, without in the throughputs
 * (each is then faster). Every record is numbered, and one that is not the next in turn ends the program. */
#include "rings.h"

#define BATCH 64u

static void checked(uint64_t errors)
{
    if (errors != 0) {
        fprintf(stderr, "a record was not the next one\n");
        exit(3);
    }
}

static void print_rate(int64_t ns_taken, long messages)
{
    const double ns = (double)ns_taken / (double)messages;

    printf("{\"ns_per_message\": %.4f, \"million_per_s\": %.4f, \"count\": %ld}\n", ns, 1e3 / ns, messages);
}

/* The four measurements, for one kind of ring. Both sides number the records from 0. */
#define MEASURES(NAME)                                                                                                 \
    static inline int NAME##_send(NAME##_t *r, uint64_t number, int claim, record_t *record)                           \
    {                                                                                                                  \
        if (claim)                                                                                                     \
            return NAME##_put_fields(r, number);                                                                       \
        record->words[0] = number;                                                                                     \
        return NAME##_push(r, record);                                                                                 \
    }                                                                                                                  \
    static inline int NAME##_receive(NAME##_t *r, uint64_t number, int claim, record_t *record, uint64_t *errors)      \
    {                                                                                                                  \
        if (claim)                                                                                                     \
            return NAME##_take(r, number, errors);                                                                     \
        if (!NAME##_pop(r, record))                                                                                    \
            return 0;                                                                                                  \
        *errors |= record->words[0] ^ number;                                                                          \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) void NAME##_round_trip_as(int claim, long rounds, int cpu)            \
    {                                                                                                                  \
        NAME##_t there, back;                                                                                          \
        record_t record;                                                                                               \
        uint64_t errors = 0;                                                                                           \
        const long warm_up = rounds / 10;                                                                              \
        int64_t *taken = samples_for(rounds);                                                                          \
        pid_t child;                                                                                                   \
                                                                                                                       \
        memset(&record, 0, sizeof record);                                                                             \
        NAME##_make(&there);                                                                                           \
        NAME##_make(&back);                                                                                            \
        child = child_on(cpu);                                                                                         \
        if (child == 0) {                                                                                              \
            for (long i = 0; i < warm_up + rounds; i++) {                                                              \
                while (!NAME##_receive(&there, (uint64_t)i, claim, &record, &errors))                                  \
                    mft_pause();                                                                                       \
                while (!NAME##_send(&back, (uint64_t)i, claim, &record))                                               \
                    mft_pause();                                                                                       \
            }                                                                                                          \
            checked(errors);                                                                                           \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        for (long i = 0; i < warm_up + rounds; i++) {                                                                  \
            const int64_t start = mft_now_ns();                                                                        \
            while (!NAME##_send(&there, (uint64_t)i, claim, &record))                                                  \
                mft_pause();                                                                                           \
            while (!NAME##_receive(&back, (uint64_t)i, claim, &record, &errors))                                       \
                mft_pause();                                                                                           \
            if (i >= warm_up)                                                                                          \
                taken[i - warm_up] = mft_now_ns() - start;                                                             \
        }                                                                                                              \
        child_ended(child);                                                                                            \
        checked(errors);                                                                                               \
        printf("{");                                                                                                   \
        print_percentiles(taken, rounds);                                                                              \
        printf("}\n");                                                                                                 \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) void NAME##_throughput_as(int claim, long messages, int cpu)          \
    {                                                                                                                  \
        NAME##_t ring;                                                                                                 \
        record_t record;                                                                                               \
        uint64_t errors = 0;                                                                                           \
        const long warm_up = messages / 10;                                                                            \
        int64_t start = 0, *const ended = shared_bytes(sizeof *ended);                                                 \
        pid_t child;                                                                                                   \
                                                                                                                       \
        memset(&record, 0, sizeof record);                                                                             \
        NAME##_make(&ring);                                                                                            \
        child = child_on(cpu);                                                                                         \
        if (child == 0) {                                                                                              \
            for (long i = 0; i < warm_up + messages; i++)                                                              \
                while (!NAME##_receive(&ring, (uint64_t)i, claim, &record, &errors))                                   \
                    ;                                                                                                  \
            *ended = mft_now_ns();                                                                                     \
            checked(errors);                                                                                           \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        for (long i = 0; i < warm_up + messages; i++) {                                                                \
            if (i == warm_up)                                                                                          \
                start = mft_now_ns();                                                                                  \
            while (!NAME##_send(&ring, (uint64_t)i, claim, &record))                                                   \
                ;                                                                                                      \
        }                                                                                                              \
        child_ended(child);                                                                                            \
        print_rate(*ended - start, messages);                                                                          \
    }                                                                                                                  \
    static void NAME##_one_process(long messages)                                                                      \
    {                                                                                                                  \
        NAME##_t ring;                                                                                                 \
        record_t record;                                                                                               \
        uint64_t errors = 0;                                                                                           \
        int64_t start;                                                                                                 \
                                                                                                                       \
        memset(&record, 0, sizeof record);                                                                             \
        NAME##_make(&ring);                                                                                            \
        start = mft_now_ns();                                                                                          \
        for (long i = 0; i < messages; i++) {                                                                          \
            NAME##_send(&ring, (uint64_t)i, 0, &record);                                                               \
            NAME##_receive(&ring, (uint64_t)i, 0, &record, &errors);                                                   \
        }                                                                                                              \
        checked(errors);                                                                                               \
        print_rate(mft_now_ns() - start, messages);                                                                    \
    }                                                                                                                  \
    static void NAME##_round_trip(long n, int cpu) { NAME##_round_trip_as(0, n, cpu); }                                \
    static void NAME##_round_trip_claim(long n, int cpu) { NAME##_round_trip_as(1, n, cpu); }                          \
    static void NAME##_throughput(long n, int cpu) { NAME##_throughput_as(0, n, cpu); }                                \
    static void NAME##_throughput_claim(long n, int cpu) { NAME##_throughput_as(1, n, cpu); }                          \
    static int NAME##_measure(const char *what, long n, int cpu)                                                       \
    {                                                                                                                  \
        if (strcmp(what, "round_trip") == 0)                                                                           \
            NAME##_round_trip(n, cpu);                                                                                 \
        else if (strcmp(what, "round_trip_claim") == 0)                                                                \
            NAME##_round_trip_claim(n, cpu);                                                                           \
        else if (strcmp(what, "throughput") == 0)                                                                      \
            NAME##_throughput(n, cpu);                                                                                 \
        else if (strcmp(what, "throughput_claim") == 0)                                                                \
            NAME##_throughput_claim(n, cpu);                                                                           \
        else if (strcmp(what, "one_process") == 0)                                                                     \
            NAME##_one_process(n);                                                                                     \
        else                                                                                                           \
            return 0;                                                                                                  \
        return 1;                                                                                                      \
    }

MEASURES(ours)
MEASURES(cached)
MEASURES(inslot)

static void throughput_batch(long messages, int cpu)
{
    static record_t records[BATCH];
    ours_t r;
    const long warm_up = messages / 10 / (long)BATCH * (long)BATCH;
    const long all = warm_up + messages / (long)BATCH * (long)BATCH;
    uint64_t errors = 0;
    int64_t start = 0, *const ended = shared_bytes(sizeof *ended);
    pid_t child;

    ours_make(&r);
    child = child_on(cpu);
    if (child == 0) {
        for (long got = 0; got < all;) {
            const long n = (long)mft_ring_pop_many(&r.ring, records, BATCH);
            for (long i = 0; i < n; i++)
                errors |= records[i].words[0] ^ (uint64_t)(got + i);
            got += n;
        }
        *ended = mft_now_ns();
        checked(errors);
        _exit(0);
    }
    for (long sent = 0; sent < all; sent += (long)BATCH) {
        if (sent == warm_up)
            start = mft_now_ns();
        for (unsigned i = 0; i < BATCH; i++)
            records[i].words[0] = (uint64_t)sent + i;
        for (uint64_t done = 0; done < BATCH;)
            done += (uint64_t)mft_ring_push_many(&r.ring, records + done, BATCH - done);
    }
    child_ended(child);
    print_rate(*ended - start, all - warm_up);
}

int main(int argc, char **argv)
{
    const char *ring = argc == 6 ? argv[1] : "", *what = argc == 6 ? argv[2] : "";
    const long count = argc == 6 ? atol(argv[3]) : 0;
    int known = 0;

    if (count >= 1000) {
        const int other = atoi(argv[5]);

        pin(atoi(argv[4]));
        if (strcmp(ring, "ours") == 0 && strcmp(what, "throughput_batch") == 0) {
            throughput_batch(count, other);
            known = 1;
        } else if (strcmp(ring, "ours") == 0) {
            known = ours_measure(what, count, other);
        } else if (strcmp(ring, "cached") == 0) {
            known = cached_measure(what, count, other);
        } else if (strcmp(ring, "inslot") == 0) {
            known = inslot_measure(what, count, other);
        }
    }
    if (!known)
        fprintf(stderr, "usage: bench_ring ours|cached|inslot MEASURE COUNT CPU_A CPU_B, COUNT at least 1000\n");
    return known ? 0 : 2;
}
