/* The floor under the Python figures of the broadcast: one writer as fast as it can, readers that spin, no interpreter.
 *
 * usage: bench_broadcast READERS COUNT CPU_WRITER CPU_READER...      prints one line of JSON
 *   COUNT records of 64 bytes; the readers share the CPUs named behind the writer's
 * Each reader checks that records are whole, in order, and that those read and those lost add up. */
#include "mftcore/broadcast.h"
#include "pair.h"

#define CELLS 1024u
#define WORDS 8
#define MOST 64
#define EVERY 64 /* records between two looks at how far behind a reader is */
#define LAGS 100000

typedef struct {
    uint64_t words[WORDS];
} record_t;

typedef struct {
    _Atomic(int) ready;
    uint64_t got, lost;
    double cpu;
    long looks;
    int64_t lags[LAGS];
} reader_t;

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_all(mft_segment_t *segment, reader_t *r, long count)
{
    mft_broadcast_t b;
    mft_stamp_t stamp = {0};
    record_t record;
    uint64_t last = 0, skipped = 0;
    double busy;
    int64_t start;

    if (mft_broadcast_open(&b, segment) != MFT_OK)
        exit(2);
    mft_broadcast_join(&b, 0);
    atomic_store_explicit(&r->ready, 1, memory_order_release); /* SYNC with the writer's acquire: this reader has joined */
    while (mft_broadcast_newest(&b) == 0)
        mft_pause();
    busy = cpu_seconds();
    start = mft_now_ns();
    while (b.next <= (uint64_t)count) {
        const int rc = mft_broadcast_next(&b, &record, &stamp, &skipped);
        uint64_t wrong = 0;

        if (rc == MFT_EMPTY || rc == MFT_UNSTABLE)
            continue;
        for (int i = 0; i < WORDS; i++)
            wrong |= record.words[i] ^ stamp.version;
        if (rc != MFT_OK || wrong != 0 || stamp.version != last + 1 + skipped) {
            fprintf(stderr, "a record was torn, or not the next one (%d)\n", rc);
            exit(3);
        }
        last = stamp.version;
        if (r->got++ % EVERY == 0 && r->looks < LAGS)
            r->lags[r->looks++] = (int64_t)(mft_broadcast_newest(&b) - last);
    }
    r->cpu = (cpu_seconds() - busy) * 1e9 / (double)(mft_now_ns() - start);
    r->lost = b.lost;
    if (r->got + r->lost != (uint64_t)count) {
        fprintf(stderr, "read and lost do not add up\n");
        exit(3);
    }
}

static void report(reader_t *all, int readers, long count, double ns, double writer_cpu)
{
    double got = 0, lost = 0, cpu = 0, slowest = (double)count;
    long looks = 0;
    int64_t *lags = samples_for((long)readers * LAGS);

    for (int i = 0; i < readers; i++) {
        got += (double)all[i].got / readers;
        lost += (double)all[i].lost / readers;
        cpu += all[i].cpu / readers;
        if ((double)all[i].got < slowest)
            slowest = (double)all[i].got;
        memcpy(lags + looks, all[i].lags, (size_t)all[i].looks * sizeof *lags);
        looks += all[i].looks;
    }
    qsort(lags, (size_t)looks, sizeof *lags, by_value);
    printf("{\"million_per_s\": %.4f, \"slowest\": %.4f, \"write\": %.4f, \"lost_pct\": %.4f, \"writer_cpu\": %.3f, "
           "\"reader_cpu\": %.3f, \"count\": %ld, \"lag_p50\": %ld, \"lag_p99\": %ld, \"lag_max\": %ld}\n",
           got * 1e3 / ns, slowest * 1e3 / ns, ns / (double)count, 100 * lost / (double)count, writer_cpu, cpu, count,
           (long)lags[looks / 2], (long)lags[looks * 99 / 100], (long)lags[looks - 1]);
}

int main(int argc, char **argv)
{
    const int readers = argc >= 5 ? atoi(argv[1]) : 0, cpus = argc - 4;
    const long count = argc >= 5 ? atol(argv[2]) : 0;
    mft_spec_t spec = {.kind = MFT_KIND_BROADCAST, .version = MFT_BROADCAST_VERSION, .dtype = "\"|V64\"",
                       .record_bytes = sizeof(record_t), .capacity = CELLS};
    mft_segment_t segment;
    mft_broadcast_t writer;
    reader_t *all;
    pid_t children[MOST];
    int64_t start;
    double busy, ns;

    if (readers < 1 || readers > MOST || count < 1000) {
        fprintf(stderr, "usage: bench_broadcast READERS COUNT CPU_WRITER CPU_READER..., COUNT at least 1000\n");
        return 2;
    }
    pin(atoi(argv[3]));
    spec.data_bytes = mft_cells_data_bytes(CELLS, sizeof(record_t));
    if (mft_segment_make(&segment, &spec) != MFT_OK) {
        fprintf(stderr, "no shared memory: %s\n", strerror(segment.error));
        return 2;
    }
    mft_segment_publish(&segment);
    if (mft_broadcast_open(&writer, &segment) != MFT_OK)
        return 2;
    all = shared_bytes((size_t)readers * sizeof *all);
    for (int i = 0; i < readers; i++) {
        children[i] = child_on(atoi(argv[4 + i % cpus]));
        if (children[i] == 0) {
            read_all(&segment, &all[i], count);
            _exit(0);
        }
    }
    for (int i = 0; i < readers; i++)
        while (!atomic_load_explicit(&all[i].ready, memory_order_acquire)) /* SYNC with the release in read_all */
            sched_yield();
    busy = cpu_seconds();
    start = mft_now_ns();
    for (long n = 1; n <= count; n++) {
        record_t record;
        for (int i = 0; i < WORDS; i++)
            record.words[i] = (uint64_t)n;
        mft_seqlock_write(&writer.cells, &record, 1, mft_now_ns());
    }
    ns = (double)(mft_now_ns() - start);
    busy = (cpu_seconds() - busy) * 1e9 / ns;
    for (int i = 0; i < readers; i++)
        child_ended(children[i]);
    report(all, readers, count, ns, busy);
    return 0;
}
