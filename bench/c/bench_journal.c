/* The floor under the Python figures of the journal: one record appended from C, readers awake.
 *
 * usage: bench_journal append BYTES COUNT CPU
 * prints one line of JSON: percentiles of calls timed one by one, a pair of clock readings included, and "ns", the mean within
 * runs of 64. What is appended counts as drained now and then, outside of what is timed: the disk is not measured here. */
#include "mftcore/journal.h"
#include "pair.h"

#define RUN 64
#define MEMORY (UINT64_C(1) << 22)

static mft_journal_t journal;
static unsigned char *payload;
static uint64_t length;

static void append(void)
{
    uint64_t sequence;

    if (mft_journal_append(&journal, 1, mft_now_ns(), payload, length, &sequence) != MFT_OK)
        exit(3);
    mft_journal_ring(&journal);
}

static void drain(void)
{
    mft_journal_drained(&journal, mft_journal_tail(&journal) - mft_journal_safe(&journal));
}

int main(int argc, char **argv)
{
    mft_spec_t spec = {.kind = MFT_KIND_JOURNAL, .version = MFT_JOURNAL_VERSION, .record_bytes = 1, .capacity = MEMORY,
                       .data_bytes = mft_journal_data_bytes(MEMORY)};
    mft_segment_t s;
    int64_t *taken, *runs;
    long count;

    if (argc < 5)
        return 2;
    length = strtoull(argv[2], NULL, 10);
    count = atol(argv[3]);
    pin(atoi(argv[4]));
    spec.params[MFT_JOURNAL_FILE_BYTES] = MEMORY;
    taken = malloc((size_t)count * sizeof *taken);
    runs = malloc((size_t)(count / RUN + 1) * sizeof *runs);
    payload = calloc(1, length + 1);
    if (!taken || !runs || !payload || mft_segment_make(&s, &spec) != MFT_OK)
        return 2;
    mft_journal_begin(&s, 0, 0);
    mft_segment_publish(&s);
    if (mft_segment_mirror(&s, MEMORY) != MFT_OK || mft_journal_open(&journal, &s) != MFT_OK ||
        mft_journal_take_over(&journal) != MFT_OK)
        return 2;
    for (long i = 0; i < count / 10; i++) {
        append();
        drain();
    }
    for (long i = 0; i < count; i++) {
        const int64_t start = mft_now_ns();
        append();
        taken[i] = mft_now_ns() - start;
        if (i % 1024 == 0)
            drain();
    }
    for (long i = 0; i < count / RUN; i++) {
        const int64_t start = mft_now_ns();
        for (int k = 0; k < RUN; k++)
            append();
        runs[i] = mft_now_ns() - start;
        drain();
    }
    qsort(runs, (size_t)(count / RUN), sizeof *runs, by_value);
    printf("{\"ns\": %.3f, ", (double)runs[count / RUN / 2] / RUN);
    print_percentiles(taken, count);
    printf("}\n");
    return 0;
}
