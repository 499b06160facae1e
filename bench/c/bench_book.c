/* The floor under the Python figures of the book: the seqlock and the master book from C.
 *
 * usage: bench_book read  BYTES WRITER COUNT CPU_A CPU_B    reads on A while B writes: WRITER is idle, 1mhz, saturating
 *        bench_book write BYTES idle   COUNT CPU_A CPU_B    writes, nobody reads
 *        bench_book publish LEVELS idle COUNT CPU_A CPU_B   fills the window from a master book of 1,000 levels a side
 *                                                           and writes it
 *        bench_book apply CHANGES idle COUNT CPU_A CPU_B    master book: messages of so many changed levels
 * prints one line of JSON; "ns" is the median over runs of 64 calls of the mean of one, and for `apply` is per level.
 * `read` adds percentiles of calls that were timed one by one, and retries per read. Every value read is checked. */
static unsigned long attempts;
#define MFT_SEQLOCK_WHOLE(version, begun) (attempts++, (begun) - (version) < MFT_SEQLOCK_CELLS)

#include "mftcore/book.h"
#include "mftcore/histogram.h"
#include "pair.h"

#define RUN 64
#define DEPTH 1000

static void make_seqlock(mft_seqlock_t *q, uint64_t bytes)
{
    static mft_segment_t s;
    mft_spec_t spec = {.kind = MFT_KIND_SEQLOCK, .version = MFT_SEQLOCK_VERSION, .record_bytes = bytes, .capacity = 1};

    spec.data_bytes = mft_seqlock_data_bytes(bytes);
    if (spec.data_bytes == 0 || mft_segment_make(&s, &spec) != MFT_OK) {
        fprintf(stderr, "no shared memory: %s\n", strerror(s.error));
        exit(2);
    }
    mft_segment_publish(&s);
    if (mft_seqlock_open(q, &s) != MFT_OK)
        exit(2);
}

static void print_runs(int64_t *runs, long count, double per)
{
    qsort(runs, (size_t)count, sizeof *runs, by_value);
    printf("{\"ns\": %.3f, \"runs\": %ld", (double)runs[count / 2] / per, count);
}

static void write_value(mft_seqlock_t *q, uint64_t *value, uint64_t number, int64_t now_ns)
{
    for (uint64_t i = 0; i < q->words; i++)
        value[i] = number;
    mft_seqlock_write(q, value, 1, now_ns);
}

static void write_until_killed(mft_seqlock_t *q, int64_t every_ns)
{
    uint64_t *value = calloc(q->words, 8);
    int64_t due = mft_now_ns();

    for (uint64_t number = 2;; number++) {
        const int64_t now_ns = mft_now_ns();
        write_value(q, value, number, now_ns);
        for (due += every_ns; every_ns > 0 && mft_now_ns() < due;)
            mft_pause();
    }
}

static void read_once(mft_seqlock_t *q, uint64_t *value, uint64_t *last)
{
    mft_stamp_t stamp;

    if (mft_seqlock_read(q, value, q->bytes, &stamp) != MFT_OK || value[0] != value[q->words - 1] || value[0] < *last) {
        fprintf(stderr, "a torn, older or refused value\n");
        exit(3);
    }
    *last = value[0];
}

static void measure_read(uint64_t bytes, const char *writer, long count, int cpu)
{
    mft_seqlock_t q;
    uint64_t *value, last = 0, before;
    double retries, writes_per_us;
    int64_t began, *taken = samples_for(count), *runs = samples_for(count / RUN);
    const int64_t every_ns = strcmp(writer, "1mhz") == 0 ? 1000 : 0;
    pid_t child = 0;

    make_seqlock(&q, bytes);
    value = calloc(q.words, 8);
    write_value(&q, value, 1, mft_now_ns());
    if (strcmp(writer, "idle") != 0) {
        child = child_on(cpu);
        if (child == 0)
            write_until_killed(&q, every_ns);
        while (mft_seqlock_version(&q) < 1000)
            mft_pause();
    }
    for (long i = 0; i < count / 10; i++)
        read_once(&q, value, &last);
    attempts = 0;
    before = mft_seqlock_version(&q);
    began = mft_now_ns();
    for (long run = 0; run < count / RUN; run++) {
        const int64_t start = mft_now_ns();
        for (int i = 0; i < RUN; i++)
            read_once(&q, value, &last);
        runs[run] = mft_now_ns() - start;
    }
    retries = (double)attempts / (double)(count / RUN * RUN) - 1;
    writes_per_us = (double)(mft_seqlock_version(&q) - before) * 1e3 / (double)(mft_now_ns() - began);
    for (long i = 0; i < count; i++) {
        const int64_t start = mft_now_ns();
        read_once(&q, value, &last);
        taken[i] = mft_now_ns() - start;
    }
    if (child != 0)
        child_kill(child);
    print_runs(runs, count / RUN, RUN);
    printf(", \"retries\": %.6f, \"writes_per_us\": %.3f, ", retries, writes_per_us);
    print_percentiles(taken, count);
    printf("}\n");
}

static void measure_write(uint64_t bytes, long count)
{
    mft_seqlock_t q;
    uint64_t *value;
    int64_t *runs = samples_for(count / RUN);

    make_seqlock(&q, bytes);
    value = calloc(q.words, 8);
    for (long run = -count / RUN / 10; run < count / RUN; run++) {
        const int64_t start = mft_now_ns();
        for (int i = 0; i < RUN; i++) {
            value[0] = (uint64_t)i;
            mft_seqlock_write(&q, value, 1, start);
        }
        if (run >= 0)
            runs[run] = mft_now_ns() - start;
    }
    print_runs(runs, count / RUN, RUN);
    printf("}\n");
}

static void fill_master(mft_master_t *m)
{
    if (mft_master_init(m, 8192) != MFT_OK)
        die("mft_master_init");
    for (int i = 0; i < DEPTH; i++) {
        const mft_level_t bid = {1000000 - i, 10 + i, 0}, ask = {1000001 + i, 10 + i, 0};
        mft_master_apply(m, &bid, 1, &ask, 1);
    }
}

static void measure_publish(uint64_t levels, long count)
{
    mft_seqlock_t q;
    mft_master_t m;
    mft_window_t *window = malloc(mft_window_bytes(levels));
    int64_t *runs = samples_for(count / RUN);

    make_seqlock(&q, mft_window_bytes(levels));
    fill_master(&m);
    for (long run = -count / RUN / 10; run < count / RUN; run++) {
        const int64_t start = mft_now_ns();
        for (int i = 0; i < RUN; i++) {
            mft_window_fill(window, levels, &m, 0);
            window->top.receive_ns = start;
            mft_seqlock_write(&q, window, 1, mft_now_ns());
        }
        if (run >= 0)
            runs[run] = mft_now_ns() - start;
    }
    print_runs(runs, count / RUN, RUN);
    printf("}\n");
}

/* Half of the changes on each side, at distances from the best whose scale grows with their number; three in ten remove
 * the level. The same rule as in bench_book.py, so that the two rows can be compared. */
static void measure_apply(int changes, long count)
{
    enum { MESSAGES = 32 };
    const int half = changes / 2;
    mft_master_t m;
    mft_level_t *all = calloc((size_t)(MESSAGES * 2 * half), sizeof *all);
    int64_t *taken = samples_for(count);
    uint64_t random = 1;

    fill_master(&m);
    for (int i = 0; i < MESSAGES * 2 * half; i++) {
        const int ask = i % (2 * half) >= half;
        const int64_t distance = (int64_t)(next_random(&random) % (uint64_t)(2 * half + 20));
        const int64_t size = next_random(&random) % 10 < 3 ? 0 : 1 + (int64_t)(next_random(&random) % 1000);
        all[i] = (mft_level_t){ask ? 1000001 + distance : 1000000 - distance, size, 0};
    }
    for (long i = -count / 10; i < count; i++) {
        const mft_level_t *bids = all + ((i + count) % MESSAGES) * 2 * half, *asks = bids + half;
        const int64_t start = mft_now_ns();
        mft_master_apply(&m, bids, (uint64_t)half, asks, (uint64_t)half);
        if (i >= 0)
            taken[i] = mft_now_ns() - start;
    }
    print_runs(taken, count, 2 * half);
    printf("}\n");
}

static void measure_histogram(long count)
{
    mft_histogram_shared_t *shared = shared_bytes(sizeof *shared);
    mft_histogram_t h = {shared};
    int64_t *runs = samples_for(count / RUN);
    uint64_t random = 1;
    int64_t values[RUN];

    for (int i = 0; i < RUN; i++)
        values[i] = 500 + (int64_t)(next_random(&random) % 2000);
    for (long run = -count / RUN / 10; run < count / RUN; run++) {
        const int64_t start = mft_now_ns();
        for (int i = 0; i < RUN; i++)
            mft_histogram_record(&h, values[i]);
        if (run >= 0)
            runs[run] = mft_now_ns() - start;
    }
    print_runs(runs, count / RUN, RUN);
    printf("}\n");
}

int main(int argc, char **argv)
{
    const long number = argc == 7 ? atol(argv[2]) : 0, count = argc == 7 ? atol(argv[4]) : 0;

    if (number < 8 || count < 1000) {
        fprintf(stderr, "usage: bench_book read|write|publish|apply|histogram NUMBER WRITER COUNT CPU_A CPU_B\n");
        return 2;
    }
    pin(atoi(argv[5]));
    if (strcmp(argv[1], "read") == 0)
        measure_read((uint64_t)number, argv[3], count, atoi(argv[6]));
    else if (strcmp(argv[1], "write") == 0)
        measure_write((uint64_t)number, count);
    else if (strcmp(argv[1], "publish") == 0)
        measure_publish((uint64_t)number, count);
    else if (strcmp(argv[1], "apply") == 0)
        measure_apply((int)number, count);
    else
        measure_histogram(count);
    return 0;
}
