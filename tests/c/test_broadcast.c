/* The broadcast without Python: corners in one thread, then order, wholeness and exact counts of loss under a writer that
 * never pauses. The memory orders are those of seqlock.h.
 *
 * Without the check that a copied cell was not written over, it must fail (.ci/c_tests):
 * PLANT plain: -DMFT_SEQLOCK_WHOLE(version,begun)=(begun!=begun+version)
 */
#include "check.h"

#include <sched.h>

#include "mftcore/broadcast.h"

enum { WORDS = 16 };

typedef struct {
    uint64_t words[WORDS];
} value_t;

static mft_segment_t segment;

static void make(uint64_t cells)
{
    mft_spec_t spec = {.kind = MFT_KIND_BROADCAST, .version = MFT_BROADCAST_VERSION, .dtype = "\"|V128\""};

    spec.capacity = cells;
    spec.record_bytes = sizeof(value_t);
    spec.data_bytes = mft_cells_data_bytes(cells, sizeof(value_t));
    CHECK(mft_segment_make(&segment, &spec) == MFT_OK);
    mft_segment_publish(&segment);
}

static void put(mft_broadcast_t *writer, uint64_t number)
{
    value_t v;

    for (int i = 0; i < WORDS; i++)
        v.words[i] = number;
    CHECK(mft_seqlock_write(&writer->cells, &v, 1, (int64_t)number) == number);
}

static void expect(mft_broadcast_t *reader, uint64_t number, uint64_t skipped)
{
    mft_stamp_t stamp;
    uint64_t found;
    value_t v;

    CHECK(mft_broadcast_next(reader, &v, &stamp, &found) == MFT_OK);
    CHECK(stamp.version == number && found == skipped);
    for (int i = 0; i < WORDS; i++)
        CHECK(v.words[i] == number);
}

static void every_reader_sees_every_record_in_order(void)
{
    mft_broadcast_t writer, early, late, oldest;
    mft_stamp_t stamp;
    uint64_t skipped;
    value_t v;

    make(8);
    CHECK(mft_broadcast_open(&writer, &segment) == MFT_OK && mft_broadcast_open(&early, &segment) == MFT_OK);
    CHECK(mft_broadcast_open(&late, &segment) == MFT_OK && mft_broadcast_open(&oldest, &segment) == MFT_OK);
    CHECK(mft_broadcast_next(&early, &v, &stamp, &skipped) == MFT_EMPTY && skipped == 0);
    for (uint64_t i = 1; i <= 7; i++) {
        put(&writer, i);
        mft_broadcast_join(&oldest, 1);
        CHECK(oldest.next == 1);
    }
    mft_broadcast_join(&late, 0);
    mft_broadcast_join(&oldest, 1);
    CHECK(late.next == 8 && oldest.next == 1);
    for (uint64_t i = 1; i <= 7; i++) {
        expect(&early, i, 0);
        expect(&oldest, i, 0);
    }
    put(&writer, 8);
    expect(&late, 8, 0);
    expect(&early, 8, 0);
    CHECK(mft_broadcast_next(&early, &v, &stamp, &skipped) == MFT_EMPTY);
    mft_broadcast_join(&oldest, 1);
    CHECK(oldest.next == 2); /* record 1 lies where record 9 will be written */
    mft_segment_detach(&segment);
}

static void a_lapped_reader_skips_and_counts_exactly(void)
{
    mft_broadcast_t writer, reader;

    make(8);
    CHECK(mft_broadcast_open(&writer, &segment) == MFT_OK && mft_broadcast_open(&reader, &segment) == MFT_OK);
    for (uint64_t i = 1; i <= 8; i++)
        put(&writer, i);
    expect(&reader, 5, 4); /* eight behind is too many: half of the cells are skipped to */
    for (uint64_t i = 9; i <= 30; i++)
        put(&writer, i);
    expect(&reader, 27, 21);
    CHECK(reader.lost == 25);
    for (uint64_t i = 28; i <= 30; i++)
        expect(&reader, i, 0);
    mft_segment_detach(&segment);
}

static void damage_is_refused(void)
{
    mft_broadcast_t writer, reader;
    mft_stamp_t stamp;
    uint64_t skipped;
    value_t v;

    make(8);
    CHECK(mft_broadcast_open(&writer, &segment) == MFT_OK && mft_broadcast_open(&reader, &segment) == MFT_OK);
    for (uint64_t i = 1; i <= 3; i++)
        put(&writer, i);
    expect(&reader, 1, 0);
    expect(&reader, 2, 0);
    atomic_store(&writer.cells.shared->version, 1);
    CHECK(mft_broadcast_next(&reader, &v, &stamp, &skipped) == MFT_E_CORRUPT);
    atomic_store(&writer.cells.shared->version, 3);
    atomic_store(&writer.cells.shared->begun, 3 + 8); /* no writer leaves this */
    CHECK(mft_broadcast_next(&reader, &v, &stamp, &skipped) == MFT_UNSTABLE && reader.lost == 0);
    segment.layout.capacity = 7;
    CHECK(mft_broadcast_open(&reader, &segment) == MFT_E_CORRUPT);
    segment.layout.capacity = UINT64_C(1) << 40;
    CHECK(mft_broadcast_open(&reader, &segment) == MFT_E_CORRUPT);
    mft_segment_detach(&segment);
}

static _Atomic uint64_t written;

static void *write_without_pause(void *unused)
{
    mft_broadcast_t writer;

    (void)unused;
    CHECK(mft_broadcast_open(&writer, &segment) == MFT_OK);
    for (uint64_t i = 1; i <= REPEAT(UINT64_C(1000000)); i++) {
        put(&writer, i);
        if (i % 1000 == 0)
            sched_yield(); /* on few cores the readers would else never meet it at work */
    }
    atomic_store(&written, REPEAT(UINT64_C(1000000)));
    return NULL;
}

static void *read_all(void *unused)
{
    mft_broadcast_t reader;
    mft_stamp_t stamp;
    uint64_t last = 0, got = 0, skipped;
    value_t v;

    (void)unused;
    CHECK(mft_broadcast_open(&reader, &segment) == MFT_OK);
    for (;;) {
        const uint64_t end = atomic_load(&written);
        const int rc = mft_broadcast_next(&reader, &v, &stamp, &skipped);

        CHECK(rc == MFT_OK || rc == MFT_EMPTY || rc == MFT_UNSTABLE);
        if (rc == MFT_OK) {
            got++;
            CHECK(stamp.version > last && stamp.version == got + reader.lost); /* nothing repeated, every loss counted */
            for (int i = 0; i < WORDS; i++)
                CHECK(v.words[i] == stamp.version);
            last = stamp.version;
        } else if (end && rc == MFT_EMPTY) {
            break;
        }
    }
    CHECK(last == REPEAT(UINT64_C(1000000)) && got + reader.lost == last && got > 0);
    return NULL;
}

static void readers_lose_nothing_uncounted_under_a_writer_that_never_pauses(uint64_t cells)
{
    pthread_t threads[3];

    make(cells);
    atomic_store(&written, 0);
    CHECK(pthread_create(&threads[0], NULL, read_all, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, read_all, NULL) == 0);
    CHECK(pthread_create(&threads[2], NULL, write_without_pause, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    mft_segment_detach(&segment);
}

static void few_cells(void)
{
    readers_lose_nothing_uncounted_under_a_writer_that_never_pauses(8);
}

static void many_cells(void)
{
    readers_lose_nothing_uncounted_under_a_writer_that_never_pauses(4096);
}

int main(void)
{
    alarm(120);
    RUN(every_reader_sees_every_record_in_order);
    RUN(a_lapped_reader_skips_and_counts_exactly);
    RUN(damage_is_refused);
    RUN(few_cells);
    RUN(many_cells);
    return 0;
}
