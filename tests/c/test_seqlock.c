/* The seqlock without Python: corners in one thread, then whole and never older values under a writer that never
 * pauses, on one mapping (ThreadSanitizer does not see across two mappings of the same memory).
 *
 * Without the check that a copied cell was not overwritten, it must fail (.ci/c_tests):
 * PLANT plain: -DMFT_SEQLOCK_WHOLE(version,begun)=(begun!=begun+version)
 */
#include "check.h"

#include "mftcore/seqlock.h"

enum { WORDS = 64 };

typedef struct {
    uint64_t words[WORDS];
} value_t;

static mft_segment_t segment;

static void open_lock(mft_seqlock_t *q)
{
    if (segment.data == NULL) {
        mft_spec_t spec = {.kind = MFT_KIND_SEQLOCK, .version = MFT_SEQLOCK_VERSION, .dtype = "\"|V512\""};

        spec.capacity = MFT_SEQLOCK_CELLS;
        spec.record_bytes = sizeof(value_t);
        spec.data_bytes = mft_seqlock_data_bytes(sizeof(value_t));
        CHECK(mft_segment_make(&segment, &spec) == MFT_OK);
        mft_segment_publish(&segment);
    }
    CHECK(mft_seqlock_open(q, &segment) == MFT_OK);
}

static value_t filled(uint64_t x)
{
    value_t v;

    for (int i = 0; i < WORDS; i++)
        v.words[i] = x;
    return v;
}

static void a_value_is_read_as_it_was_written(void)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;
    value_t v, out;

    open_lock(&q);
    CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_OK && stamp.version == 0);
    for (uint64_t i = 1; i <= 3 * MFT_SEQLOCK_CELLS; i++) {
        v = filled(i);
        CHECK(mft_seqlock_write(&q, &v, 7, (int64_t)i) == i);
        CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_OK);
        CHECK(stamp.version == i && stamp.epoch == 7 && stamp.written_ns == (int64_t)i);
        CHECK(memcmp(&v, &out, sizeof(v)) == 0);
    }
}

static void a_part_of_a_record_is_its_beginning(void)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;
    value_t v = filled(5);
    unsigned char out[24];

    open_lock(&q);
    v.words[1] = UINT64_C(0x0807060504030201);
    mft_seqlock_write(&q, &v, 1, 1);
    memset(out, 0xEE, sizeof(out));
    CHECK(mft_seqlock_read(&q, out, 13, &stamp) == MFT_OK);
    CHECK(out[8] == 1 && out[12] == 5 && out[13] == 0xEE);
}

static void a_writer_that_died_anywhere_leaves_the_last_whole_value(void)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;
    value_t v = filled(100), out;
    uint64_t version;

    open_lock(&q);
    version = mft_seqlock_write(&q, &v, 1, 1);
    /* what a writer leaves that is killed after so many of its stores */
    for (int stores = 0; stores <= WORDS; stores++) {
        _Atomic(uint64_t) *cell = q.shared->words + ((version + 1) % MFT_SEQLOCK_CELLS) * q.stride;

        atomic_store(&q.shared->begun, version + 1);
        for (int i = 0; i < stores; i++)
            atomic_store(&cell[MFT_CELL_HEAD + i], UINT64_C(0xDEAD));
        CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_OK);
        CHECK(stamp.version == version && out.words[0] == 100 && out.words[WORDS - 1] == 100);
    }
    v = filled(101);
    CHECK(mft_seqlock_write(&q, &v, 2, 2) == version + 1); /* the successor */
    CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_OK);
    CHECK(stamp.epoch == 2 && out.words[WORDS - 1] == 101);
}

static void an_overwritten_cell_is_refused(void)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;
    value_t out;
    uint64_t version;

    open_lock(&q);
    version = atomic_load(&q.shared->version);
    atomic_store(&q.shared->begun, version + MFT_SEQLOCK_CELLS);
    CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_UNSTABLE);
    atomic_store(&q.shared->begun, version - 1); /* no writer leaves this: damage */
    CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_UNSTABLE);
    atomic_store(&q.shared->begun, version + MFT_SEQLOCK_CELLS - 1);
    CHECK(mft_seqlock_read(&q, &out, sizeof(out), &stamp) == MFT_OK);
    atomic_store(&q.shared->begun, version);
}

static _Atomic int done, met;

static void *write_without_pause(void *arg)
{
    mft_seqlock_t q;
    uint64_t first;

    (void)arg;
    open_lock(&q);
    first = mft_seqlock_version(&q);
    /* and on until the reader has met it: a scheduler may run all of this before the reader's first turn */
    for (uint64_t i = 1; i <= REPEAT(UINT64_C(2000000)) || !atomic_load(&met); i++) {
        const value_t v = filled(first + i);

        mft_seqlock_write(&q, &v, 3, 3);
    }
    atomic_store(&done, 1);
    return NULL;
}

static void values_are_whole_and_never_older_under_a_writer_that_never_pauses(void)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;
    value_t out;
    pthread_t writer;
    uint64_t first, last = 0;

    open_lock(&q);
    {
        const value_t v = filled(mft_seqlock_version(&q) + 1);
        mft_seqlock_write(&q, &v, 3, 3);
    }
    first = mft_seqlock_version(&q);
    atomic_store(&done, 0);
    atomic_store(&met, 0);
    CHECK(pthread_create(&writer, NULL, write_without_pause, NULL) == 0);
    while (!atomic_load(&done)) {
        if (mft_seqlock_read(&q, &out, sizeof(out), &stamp) != MFT_OK)
            continue;
        CHECK(stamp.version >= last);
        last = stamp.version;
        for (int i = 0; i < WORDS; i++)
            CHECK(out.words[i] == stamp.version);
        if (last > first)
            atomic_store(&met, 1);
    }
    pthread_join(writer, NULL);
    CHECK(last > first); /* it was read while it wrote: no writer starves a reader for ever */
}

int main(void)
{
    RUN(a_value_is_read_as_it_was_written);
    RUN(a_part_of_a_record_is_its_beginning);
    RUN(a_writer_that_died_anywhere_leaves_the_last_whole_value);
    RUN(an_overwritten_cell_is_refused);
    RUN(values_are_whole_and_never_older_under_a_writer_that_never_pauses);
    return 0;
}
