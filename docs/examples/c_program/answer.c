/* A C program beside Python: takes trades from a ring that Python made, keeps their sums in a seqlock that Python made, and
 * answers each trade in a ring that it makes itself.
 *
 *     answer NAME     attaches to NAME-trades and NAME-sums, makes NAME-answers, prints "ready", ends after a trade of size 0
 *
 * Exit codes: 0; 1: memory that cannot be used; 2: usage; 3: no trade for ten seconds. */
#include <stdio.h>

#include <mftcore/named.h>
#include <mftcore/ring.h>
#include <mftcore/seqlock.h>

struct trade { /* the dtype of NAME-trades, and the text of it that stands in the header */
    int64_t price_ticks, size_lots;
};
#define TRADE_TEXT                                                                                                         \
    "{\"names\":[\"price_ticks\",\"size_lots\"],\"formats\":[\"<i8\",\"<i8\"],\"offsets\":[0,8],\"itemsize\":16}"

struct sums {
    int64_t trades, lots;
};

struct answer {
    int64_t number;
    double value_ticks;
};
#define ANSWER_TEXT                                                                                                        \
    "{\"names\":[\"number\",\"value_ticks\"],\"formats\":[\"<i8\",\"<f8\"],\"offsets\":[0,8],\"itemsize\":16}"

#define TRY(code, what)                                                                                                    \
    do {                                                                                                                   \
        rc = (code);                                                                                                       \
        if (rc < 0) {                                                                                                      \
            failed = (what);                                                                                               \
            goto out;                                                                                                      \
        }                                                                                                                  \
    } while (0)

/* Attach by name, and refuse records that are not what we were compiled for. */
static int attach(mft_segment_t *s, int directory, const char *name, uint32_t kind, uint32_t version, size_t record_bytes,
                  const char *text)
{
    const int rc = mft_named_attach(s, directory, name, kind, version);

    if (rc != MFT_OK)
        return rc;
    if (s->layout.record_bytes != record_bytes)
        return mft_fault(s, "record size", record_bytes, s->layout.record_bytes);
    if (text && strcmp(s->layout.dtype, text) != 0)
        return mft_fault(s, "dtype hash", mft_fnv1a(text, strlen(text)), s->layout.dtype_hash);
    return MFT_OK;
}

/* Sleep until the ring has records; 0 when none came for so long. */
static int wait_for_records(mft_ring_t *ring, int64_t timeout_ns)
{
    mft_bell_t *const bell = &ring->shared->records;
    const int64_t until_ns = mft_now_ns() + timeout_ns;
    int64_t longest_ns = mft_bell_want(bell);

    while (!mft_ring_has_records(ring) && mft_now_ns() < until_ns) {
        const uint32_t armed = mft_bell_arm(bell);

        if (!mft_ring_has_records(ring)) /* once more after arming, or a wake-up could be lost */
            mft_bell_sleep(bell, armed, longest_ns);
        mft_bell_disarm(bell, armed);
        longest_ns = MFT_LONGEST_SLEEP_NS;
    }
    return mft_ring_has_records(ring);
}

int main(int argc, char **argv)
{
    mft_segment_t trades_memory, sums_memory, answers_memory, *blamed = NULL;
    uint64_t trades_role = 0, sums_role = 0, answers_role = 0, epoch, sums_epoch;
    char directory_path[64], name[256];
    int directory = -1, published = 0, rc = MFT_OK;
    const char *failed = NULL;
    mft_ring_t trades, answers;
    mft_seqlock_t sums;
    struct trade trade;
    struct sums sum = {0, 0};
    struct answer answer = {0, 0.0};
    const mft_spec_t spec = {.kind = MFT_KIND_RING, .version = MFT_RING_VERSION, .record_bytes = sizeof answer,
                             .capacity = 1024, .data_bytes = mft_ring_data_bytes(1024, sizeof answer), .dtype = ANSWER_TEXT};

    if (argc != 2 || strlen(argv[1]) > 190) {
        fprintf(stderr, "usage: answer NAME\n");
        return 2;
    }
    mft_segment_init(&trades_memory);
    mft_segment_init(&sums_memory);
    mft_segment_init(&answers_memory);
    snprintf(directory_path, sizeof directory_path, "/dev/shm/mftcore-%u", (unsigned)geteuid());
    TRY(directory = mft_named_directory(directory_path, 1), "the directory of named memory");

    blamed = &trades_memory;
    snprintf(name, sizeof name, "%s-trades", argv[1]);
    TRY(attach(blamed, directory, name, MFT_KIND_RING, MFT_RING_VERSION, sizeof trade, TRADE_TEXT), "the ring of trades");
    TRY(mft_role_claim(blamed, MFT_RING_CONSUMER, &epoch, &trades_role), "its consumer's role");
    TRY(mft_ring_open(&trades, blamed), "the ring of trades"); /* after the claim: only the holder sees its index stand still */

    blamed = &sums_memory;
    snprintf(name, sizeof name, "%s-sums", argv[1]);
    TRY(attach(blamed, directory, name, MFT_KIND_SEQLOCK, MFT_SEQLOCK_VERSION, sizeof sum, NULL), "the seqlock of sums");
    TRY(mft_role_claim(blamed, MFT_SEQLOCK_WRITER, &sums_epoch, &sums_role), "its writer's role");
    TRY(mft_seqlock_open(&sums, blamed), "the seqlock of sums");

    blamed = &answers_memory;
    snprintf(name, sizeof name, "%s-answers", argv[1]);
    TRY(mft_named_make(blamed, directory, &spec), "the ring of answers");
    TRY(mft_role_claim(blamed, MFT_RING_PRODUCER, &epoch, &answers_role), "its producer's role");
    TRY(mft_ring_open(&answers, blamed), "the ring of answers");
    TRY(mft_named_publish(blamed, directory, name), "the name of the ring of answers");
    published = 1;
    puts("ready");
    fflush(stdout);

    blamed = &trades_memory;
    for (;;) {
        TRY(mft_ring_pop(&trades, &trade), "a trade");
        if (rc == MFT_EMPTY) {
            if (!wait_for_records(&trades, INT64_C(10000000000))) {
                fprintf(stderr, "answer: no trade for ten seconds\n");
                rc = 3;
                goto out;
            }
            continue;
        }
        mft_ring_ring_room(&trades);
        if (trade.size_lots == 0)
            break;
        sum.trades++;
        sum.lots += trade.size_lots;
        mft_seqlock_write(&sums, &sum, sums_epoch, mft_now_ns());
        mft_seqlock_ring(&sums);
        answer.number = sum.trades;
        answer.value_ticks = (double)trade.price_ticks * (double)trade.size_lots;
        do {
            TRY(mft_ring_push(&answers, &answer), "an answer");
            if (rc == MFT_FULL)
                mft_idle_yield();
        } while (rc == MFT_FULL);
        mft_ring_ring_records(&answers);
    }
    getchar(); /* until Python has attached and read: then the name may go */
    rc = 0;
out:
    if (failed) {
        fprintf(stderr, "answer: %s: code %d", failed, rc);
        if (rc == MFT_E_LAYOUT && blamed)
            fprintf(stderr, ", %s is %#llx, expected %#llx", blamed->fault.field, (unsigned long long)blamed->fault.found,
                    (unsigned long long)blamed->fault.expected);
        if ((rc == MFT_E_SYSTEM || rc == MFT_E_NO_SPACE) && blamed)
            fprintf(stderr, ", %s", strerror(blamed->error));
        fprintf(stderr, "\n");
        rc = 1;
    }
    if (published)
        mft_named_remove(&answers_memory, directory, name);
    if (answers_role)
        mft_role_release(&answers_memory, MFT_RING_PRODUCER, answers_role);
    if (sums_role)
        mft_role_release(&sums_memory, MFT_SEQLOCK_WRITER, sums_role);
    if (trades_role)
        mft_role_release(&trades_memory, MFT_RING_CONSUMER, trades_role);
    mft_segment_detach(&answers_memory);
    mft_segment_detach(&sums_memory);
    mft_segment_detach(&trades_memory);
    if (directory >= 0)
        close(directory);
    return rc;
}
