/* The floor under the Python figures: the same ring from C, two pinned processes, no interpreter.
 *
 * usage: bench_ring CPU_A CPU_B       prints one line of JSON per figure, times in ns
 * Round trip: A pushes a 64-byte record, B pops and pushes it back, A pops. Throughput: A pushes, B pops. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mftcore/ring.h"

#define RECORD 64u
#define BATCH 64u
#define CAPACITY 1024u

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        perror("bench_ring: sched_setaffinity");
        exit(2);
    }
}

static void make(mft_segment_t *s, uint64_t capacity)
{
    mft_spec_t spec = {.kind = MFT_KIND_RING, .version = MFT_RING_VERSION, .record_bytes = RECORD, .dtype = "\"|V64\""};

    spec.capacity = capacity;
    spec.data_bytes = mft_ring_data_bytes(capacity, RECORD);
    if (mft_segment_make(s, &spec) != MFT_OK) {
        fprintf(stderr, "bench_ring: no shared memory: %s\n", strerror(s->error));
        exit(2);
    }
    mft_segment_publish(s);
}

static void open_ring(mft_ring_t *r, mft_segment_t *s)
{
    if (mft_ring_open(r, s) != MFT_OK)
        exit(2);
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static pid_t child_on(int cpu)
{
    const pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(cpu);
    }
    return child;
}

static void round_trip(int cpu, long rounds)
{
    mft_segment_t there, back;
    mft_ring_t tx, rx;
    unsigned char record[RECORD] = {0};
    int64_t *taken = malloc((size_t)rounds * sizeof *taken);
    pid_t child;

    make(&there, CAPACITY);
    make(&back, CAPACITY);
    child = child_on(cpu);
    if (child == 0) {
        open_ring(&rx, &there);
        open_ring(&tx, &back);
        for (;;) {
            while (mft_ring_pop(&rx, record) != MFT_OK)
                mft_pause();
            while (mft_ring_push(&tx, record) != MFT_OK)
                mft_pause();
        }
    }
    open_ring(&tx, &there);
    open_ring(&rx, &back);
    for (long i = -rounds / 10; i < rounds; i++) {
        const int64_t start = mft_now_ns();
        mft_ring_push(&tx, record);
        while (mft_ring_pop(&rx, record) != MFT_OK)
            mft_pause();
        if (i >= 0)
            taken[i] = mft_now_ns() - start;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    qsort(taken, (size_t)rounds, sizeof *taken, by_value);
    printf("{\"name\": \"round_trip\", \"p50\": %ld, \"p90\": %ld, \"p99\": %ld, \"p999\": %ld, \"max\": %ld, "
           "\"count\": %ld}\n",
           (long)taken[rounds / 2], (long)taken[rounds * 9 / 10], (long)taken[rounds * 99 / 100],
           (long)taken[rounds * 999 / 1000], (long)taken[rounds - 1], rounds);
    free(taken);
    mft_segment_detach(&there);
    mft_segment_detach(&back);
}

enum way { ONE_BY_ONE, CLAIM, IN_BATCHES };

/* The consumer: pops `messages` records, one by one or in batches. */
static void drain(mft_ring_t *rx, enum way way, long messages)
{
    static unsigned char out[BATCH * RECORD];
    long got = 0;

    while (got < messages) {
        if (way == IN_BATCHES) {
            got += (long)mft_ring_pop_many(rx, out, BATCH);
        } else if (way == CLAIM) {
            const void *place;
            uint64_t n = 1;
            if (mft_ring_peek(rx, &n, &place) == MFT_OK) {
                __asm__ __volatile__("" ::"r"(*(const uint64_t *)place) : "memory");
                mft_ring_release(rx, 1);
                got++;
            }
        } else if (mft_ring_pop(rx, out) == MFT_OK) {
            got++;
        }
    }
}

static void throughput(int cpu, enum way way, const char *name, long messages)
{
    static unsigned char in[BATCH * RECORD];
    mft_segment_t s;
    mft_ring_t tx, rx;
    pid_t child;
    int64_t start;
    long sent = 0;

    make(&s, CAPACITY);
    child = child_on(cpu);
    if (child == 0) {
        open_ring(&rx, &s);
        drain(&rx, way, messages);
        _exit(0);
    }
    open_ring(&tx, &s);
    start = mft_now_ns();
    while (sent < messages) {
        if (way == IN_BATCHES) {
            const uint64_t left = (uint64_t)(messages - sent);
            sent += (long)mft_ring_push_many(&tx, in, left < BATCH ? left : BATCH);
        } else if (way == CLAIM) {
            void *place;
            uint64_t n = 1;
            if (mft_ring_claim(&tx, &n, &place) == MFT_OK) {
                for (unsigned i = 0; i < RECORD / 8; i++)
                    ((uint64_t *)place)[i] = (uint64_t)sent;
                mft_ring_commit(&tx, 1);
                sent++;
            }
        } else if (mft_ring_push(&tx, in) == MFT_OK) {
            sent++;
        }
    }
    waitpid(child, NULL, 0);
    printf("{\"name\": \"%s\", \"ns_per_message\": %.3f, \"count\": %ld}\n", name,
           (double)(mft_now_ns() - start) / (double)messages, messages);
    mft_segment_detach(&s);
}

static void one_process(long rounds)
{
    mft_segment_t s;
    mft_ring_t tx, rx;
    unsigned char record[RECORD] = {0};
    int64_t start;

    make(&s, CAPACITY);
    open_ring(&tx, &s);
    open_ring(&rx, &s);
    start = mft_now_ns();
    for (long i = 0; i < rounds; i++) {
        mft_ring_push(&tx, record);
        mft_ring_pop(&rx, record);
    }
    printf("{\"name\": \"push_and_pop\", \"ns_per_message\": %.3f, \"count\": %ld}\n",
           (double)(mft_now_ns() - start) / (double)rounds, rounds);
    mft_segment_detach(&s);
}

int main(int argc, char **argv)
{
    int a, b;

    if (argc != 3) {
        fprintf(stderr, "usage: bench_ring CPU_A CPU_B\n");
        return 2;
    }
    a = atoi(argv[1]);
    b = atoi(argv[2]);
    pin(a);
    one_process(2000000);
    round_trip(b, 200000);
    throughput(b, ONE_BY_ONE, "throughput", 10000000);
    throughput(b, CLAIM, "throughput_claim", 10000000);
    throughput(b, IN_BATCHES, "throughput_batch_64", 20000000);
    return 0;
}
