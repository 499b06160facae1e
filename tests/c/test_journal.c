/* The journal's live memory without Python: corners in one thread, then order and wholeness under a writer, a drainer and
 * readers at once. The files are test_journal_file.c.
 *
 * Each order weakened, and the check that a copied record was not written over, must be found (.ci/c_tests):
 * PLANT tsan: -DMFT_JOURNAL_TAIL_RELEASE=memory_order_relaxed -DMFT_JOURNAL_WORD_RELEASE=memory_order_relaxed
 * PLANT tsan: -DMFT_JOURNAL_TAIL_ACQUIRE=memory_order_relaxed
 * PLANT tsan: -DMFT_JOURNAL_DRAINED_RELEASE=memory_order_relaxed
 * PLANT tsan: -DMFT_JOURNAL_DRAINED_ACQUIRE=memory_order_relaxed
 * PLANT plain: -DMFT_JOURNAL_WHOLE(position,wip)=(wip!=position+1)
 */
#include "check.h"

#include <sched.h>

#include "mftcore/journal.h"

enum { BYTES = 65536, LONGEST = 700 };

static mft_segment_t segment;

static void make(uint64_t position, uint64_t sequence)
{
    mft_spec_t spec = {.kind = MFT_KIND_JOURNAL, .version = MFT_JOURNAL_VERSION, .record_bytes = 1, .capacity = BYTES,
                       .data_bytes = mft_journal_data_bytes(BYTES)};

    spec.params[MFT_JOURNAL_FILE_BYTES] = 1 << 20;
    spec.params[MFT_JOURNAL_START] = position;
    CHECK(mft_segment_make(&segment, &spec) == MFT_OK);
    mft_journal_begin(&segment, position, sequence);
    mft_segment_publish(&segment);
    CHECK(mft_segment_mirror(&segment, BYTES) == MFT_OK);
}

static mft_journal_t opened(void)
{
    mft_journal_t j;

    CHECK(mft_journal_open(&j, &segment) == MFT_OK && mft_journal_take_over(&j) == MFT_OK);
    return j;
}

/* A record's contents follow from its number. */
static uint64_t contents(uint64_t sequence, unsigned char *payload)
{
    const uint64_t length = sequence * 7919 % LONGEST;

    for (uint64_t i = 0; i < length; i++)
        payload[i] = (unsigned char)(sequence * 31 + i * 7);
    return length;
}

static int append(mft_journal_t *j)
{
    unsigned char payload[LONGEST];
    const uint64_t next = j->sequence + 1, length = contents(next, payload);
    uint64_t sequence;
    const int rc = mft_journal_append(j, (uint32_t)(next % 5), (int64_t)next * 10, payload, length, &sequence);

    CHECK(rc != MFT_OK || sequence == next);
    return rc;
}

static void is_record(const mft_record_t *r, const unsigned char *payload, uint64_t sequence)
{
    unsigned char expected[LONGEST];
    const uint64_t length = contents(sequence, expected);

    CHECK(r->sequence == sequence && r->length == length && r->type == sequence % 5);
    CHECK(r->stamp_ns == (int64_t)sequence * 10 && memcmp(payload, expected, length) == 0);
}

/* Read the record at a position; it must be number `sequence`. Returns the position behind it. */
static uint64_t expect(const mft_journal_t *j, uint64_t position, uint64_t sequence)
{
    unsigned char payload[LONGEST];
    mft_record_t r;

    CHECK(mft_journal_look(j, position, &r) == MFT_OK && mft_journal_copy(j, &r, payload) == MFT_OK);
    is_record(&r, payload, sequence);
    return position + mft_record_taken(r.length);
}

static void drain_all(mft_journal_t *j)
{
    const unsigned char *from;
    uint64_t count;

    CHECK(mft_journal_undrained(j, &from, &count) == MFT_OK);
    mft_journal_drained(j, count);
}

static void records_come_back_as_they_were_also_over_the_end_of_the_memory(void)
{
    mft_journal_t j;
    uint64_t position = 4096;
    mft_record_t r;

    make(position, 41);
    j = opened();
    for (uint64_t i = 42; i <= 2000; i++) {
        CHECK(mft_journal_look(&j, position, &r) == MFT_EMPTY && !mft_journal_has_news(&j, position));
        CHECK(append(&j) == MFT_OK && mft_journal_has_news(&j, position));
        position = expect(&j, position, i);
        drain_all(&j);
    }
    CHECK(position > 8 * BYTES);
    mft_segment_detach(&segment);
}

static void what_is_not_on_disk_is_never_written_over(void)
{
    mft_journal_t j;
    uint64_t position = 0, kept, sequence;
    mft_record_t r;

    make(0, 0);
    j = opened();
    while (append(&j) == MFT_OK)
        ;
    kept = j.sequence;
    CHECK(append(&j) == MFT_FULL && j.sequence == kept && atomic_load(&j.shared->full) == 2);
    for (uint64_t i = 1; i <= kept; i++)
        position = expect(&j, position, i);
    CHECK(mft_journal_append(&j, 1, 0, "", j.longest + 1, &sequence) == MFT_E_ARGUMENT);
    CHECK(mft_journal_look(&j, 0, &r) == MFT_OK);
    for (uint64_t i = 1; append(&j) == MFT_FULL; i++) { /* from the oldest on, until there is room */
        CHECK(i <= kept && mft_journal_look(&j, atomic_load(&j.shared->drained), &r) == MFT_OK && r.sequence == i);
        mft_journal_drained(&j, mft_record_taken(r.length));
    }
    CHECK(j.sequence == kept + 1);
    expect(&j, position, kept + 1);
    mft_segment_detach(&segment);
}

static void the_longest_record_fills_the_memory(void)
{
    unsigned char *const payload = calloc(1, BYTES), *const copy = calloc(1, BYTES);
    mft_journal_t j;
    mft_record_t r;
    uint64_t sequence;

    make(0, 0);
    j = opened();
    CHECK(payload && copy && j.longest == BYTES - MFT_RECORD_HEADER);
    for (uint64_t i = 1; i <= 3; i++) {
        memset(payload, (int)i, j.longest);
        CHECK(mft_journal_append(&j, 9, -1, payload, j.longest, &sequence) == MFT_OK && sequence == i);
        CHECK(mft_journal_append(&j, 9, -1, payload, 0, &sequence) == MFT_FULL);
        CHECK(mft_journal_look(&j, (i - 1) * BYTES, &r) == MFT_OK && mft_journal_copy(&j, &r, copy) == MFT_OK);
        CHECK(r.length == j.longest && r.stamp_ns == -1 && memcmp(payload, copy, j.longest) == 0);
        drain_all(&j);
    }
    free(payload);
    free(copy);
    mft_segment_detach(&segment);
}

static void a_reader_that_was_lapped_is_told(void)
{
    unsigned char payload[LONGEST];
    mft_journal_t j;
    mft_record_t r;

    make(0, 0);
    j = opened();
    CHECK(append(&j) == MFT_OK && mft_journal_look(&j, 0, &r) == MFT_OK);
    while (atomic_load(&j.shared->tail) <= BYTES) {
        drain_all(&j);
        CHECK(append(&j) == MFT_OK);
    }
    CHECK(mft_journal_copy(&j, &r, payload) == MFT_UNSTABLE); /* between look and copy */
    CHECK(mft_journal_look(&j, 0, &r) == MFT_UNSTABLE);
    mft_segment_detach(&segment);
    make(8192, 3); /* a memory that began later than the reader */
    j = opened();
    CHECK(mft_journal_look(&j, 0, &r) == MFT_UNSTABLE && mft_journal_look(&j, 8192, &r) == MFT_EMPTY);
    CHECK(mft_journal_look(&j, 8200, &r) == MFT_E_CORRUPT && mft_journal_look(&j, 4, &r) == MFT_E_CORRUPT);
    mft_segment_detach(&segment);
}

/* Every state that a killed writer can leave between two stores; its successor must go on exactly. */
static void a_successor_goes_on_with_the_next_number(void)
{
    for (int stage = 0; stage < 4; stage++) {
        mft_journal_t j, successor;
        uint64_t tail, position = 0, newest, number;

        make(0, 0);
        j = opened();
        for (int i = 0; i < 5; i++)
            CHECK(append(&j) == MFT_OK);
        tail = atomic_load(&j.shared->tail);
        CHECK(append(&j) == MFT_OK);
        /* back to before the commit of number 6, and further */
        atomic_store(&j.shared->tail, tail);
        if (stage < 3)
            atomic_store(&j.shared->marks[0].position, 0); /* as number 4 left it: anything but tail */
        if (stage < 2)
            atomic_store(&j.shared->marks[0].sequence, 4);
        if (stage < 1)
            atomic_store(&j.shared->wip, tail);
        successor = opened();
        CHECK(successor.sequence == 5);
        CHECK(mft_journal_newest(&successor, &newest, &number) == MFT_OK && newest == tail && number == 5);
        CHECK(append(&successor) == MFT_OK && append(&successor) == MFT_OK && successor.sequence == 7);
        for (uint64_t i = 1; i <= 7; i++)
            position = expect(&j, position, i);
        mft_segment_detach(&segment);
    }
}

static void what_a_dead_writer_wrote_over_is_not_read_as_an_older_record(void)
{
    static unsigned char payload[BYTES / 2];
    mft_journal_t j, successor;
    uint64_t sequence, tail, second = 0;
    mft_record_t r;

    make(0, 0);
    j = opened();
    do {
        CHECK(append(&j) == MFT_OK);
        if (j.sequence == 1)
            second = atomic_load(&j.shared->tail);
        drain_all(&j);
        tail = atomic_load(&j.shared->tail);
    } while (tail < BYTES - LONGEST);
    expect(&j, second, 2);
    /* it dies in the middle of a long record, which has gone over numbers 1 and 2; the successor's is short */
    atomic_store(&j.shared->wip, tail + mft_record_taken(sizeof payload));
    memset(j.data, 0xEE, 4096);
    successor = opened();
    CHECK(mft_journal_append(&successor, 0, 0, payload, 8, &sequence) == MFT_OK);
    CHECK(atomic_load(&j.shared->tail) < BYTES + second);
    CHECK(mft_journal_look(&j, second, &r) == MFT_UNSTABLE); /* read the files; it is no damage */
    atomic_store(&j.shared->wip, 0);
    CHECK(mft_journal_take_over(&j) == MFT_E_CORRUPT);
    mft_segment_detach(&segment);
}

static void every_changed_bit_of_a_record_is_seen(void)
{
    unsigned char payload[LONGEST];
    mft_journal_t j;
    mft_record_t r;

    make(0, 6); /* number 7 has 2 bytes less than whole words */
    j = opened();
    CHECK(append(&j) == MFT_OK && append(&j) == MFT_OK && mft_journal_look(&j, 0, &r) == MFT_OK);
    for (uint64_t bit = 0; bit < mft_record_taken(r.length) * 8; bit++) {
        int rc;

        j.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        rc = mft_journal_look(&j, 0, &r);
        if (rc == MFT_OK)
            rc = mft_journal_copy(&j, &r, payload);
        CHECK(rc == MFT_E_CORRUPT);
        CHECK(mft_record_check(j.data, BYTES, j.longest, &r) != MFT_OK);
        j.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    CHECK(mft_record_check(j.data, BYTES, j.longest, &r) == MFT_OK);
    CHECK(mft_record_check(j.data, mft_record_taken(r.length) - 1, j.longest, &r) == MFT_UNSTABLE);
    CHECK(mft_record_check(j.data, 31, j.longest, &r) == MFT_EMPTY);
    CHECK(mft_record_check(j.data, BYTES, r.length - 1, &r) == MFT_E_CORRUPT);
    mft_segment_detach(&segment);
}

static void damaged_positions_are_refused(void)
{
    mft_journal_t j, again;
    const unsigned char *from;
    uint64_t count, newest, number;
    mft_record_t r;

    make(0, 0);
    j = opened();
    CHECK(append(&j) == MFT_OK);
    atomic_store(&j.shared->drained, 4096); /* ahead of tail */
    CHECK(mft_journal_open(&again, &segment) == MFT_E_CORRUPT && mft_journal_undrained(&j, &from, &count) == MFT_E_CORRUPT);
    j.drained_seen = 4096;
    CHECK(append(&j) == MFT_E_CORRUPT);
    atomic_store(&j.shared->drained, 0);
    atomic_store(&j.shared->tail, BYTES + 8);
    CHECK(mft_journal_open(&again, &segment) == MFT_E_CORRUPT);
    CHECK(mft_journal_newest(&j, &newest, &number) == MFT_UNSTABLE && mft_journal_take_over(&j) == MFT_E_CORRUPT);
    atomic_store(&j.shared->tail, 12);
    CHECK(mft_journal_open(&again, &segment) == MFT_E_CORRUPT);
    atomic_store(&j.shared->tail, 16); /* within the record */
    CHECK(mft_journal_look(&j, 0, &r) == MFT_E_CORRUPT);
    segment.layout.capacity = BYTES / 2;
    CHECK(mft_journal_open(&again, &segment) == MFT_E_LAYOUT);
    segment.layout.capacity = BYTES;
    segment.layout.params[MFT_JOURNAL_FILE_BYTES] = 4096;
    CHECK(mft_journal_open(&again, &segment) == MFT_E_LAYOUT);
    CHECK(mft_journal_data_bytes(BYTES - 1) == 0 && mft_journal_data_bytes(4096) == 0 && mft_journal_data_bytes(0) == 0);
    mft_segment_detach(&segment);
}

static void both_ways_to_the_checksum_agree(void)
{
    /* RFC 3720, appendix B.4, as numbers: 32 bytes of 0, of 0xFF, from 0 up */
    const uint32_t known[3] = {0x8A9136AA, 0x62A8AB43, 0x46DD794E};
    unsigned char bytes[32];
    mft_journal_t j;
    uint64_t position = 0;

    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 32; k++)
            bytes[k] = (unsigned char)(i == 0 ? 0 : i == 1 ? 255 : k);
        CHECK(~mft_crc32c_words_by_table(~UINT32_C(0), bytes, 4) == known[i]);
        CHECK(~mft_crc32c_words(~UINT32_C(0), bytes, 4) == known[i]);
    }
    make(0, 0);
    j = opened();
    for (uint64_t i = 1; i <= 40; i++) {
        j.crc_by_instruction = i % 2 ? 0 : mft_crc32c_by_instruction();
        CHECK(append(&j) == MFT_OK);
        position = expect(&j, position, i);
    }
    mft_segment_detach(&segment);
}

static _Atomic uint64_t appended; /* 0: still at it */
static _Atomic int met;           /* readers that have read a record */

static void *write_all_the_time(void *unused)
{
    mft_journal_t j = opened();

    (void)unused;
    /* and on until both readers have met it: a scheduler may run all of it before their first turn */
    while (j.sequence < REPEAT(UINT64_C(300000)) || atomic_load(&met) < 2) {
        const int rc = append(&j);

        CHECK(rc == MFT_OK || rc == MFT_FULL);
        mft_journal_ring(&j);
        if (rc == MFT_FULL || j.sequence % 1000 == 0)
            sched_yield(); /* on few cores the others would else never meet it at work */
    }
    atomic_store(&appended, j.sequence);
    return NULL;
}

static void *drain_all_the_time(void *unused)
{
    mft_journal_t j;
    uint64_t sequence = 0;

    (void)unused;
    CHECK(mft_journal_open(&j, &segment) == MFT_OK);
    while (atomic_load(&appended) == 0 || sequence < atomic_load(&appended)) {
        const unsigned char *from;
        uint64_t count, at = 0;

        CHECK(mft_journal_undrained(&j, &from, &count) == MFT_OK);
        while (at < count) {
            mft_record_t r;

            CHECK(mft_record_check(from + at, count - at, j.longest, &r) == MFT_OK && r.sequence == sequence + 1);
            is_record(&r, from + at + MFT_RECORD_HEADER, ++sequence);
            at += mft_record_taken(r.length);
        }
        mft_journal_drained(&j, count);
        if (count == 0)
            sched_yield();
    }
    return NULL;
}

static void *read_all_the_time(void *unused)
{
    unsigned char payload[LONGEST];
    uint64_t position = 0, got = 0, last = 0;
    mft_journal_t j;

    (void)unused;
    CHECK(mft_journal_open(&j, &segment) == MFT_OK);
    while (atomic_load(&appended) == 0 || last < atomic_load(&appended)) {
        uint64_t sequence;
        mft_record_t r;
        int rc = mft_journal_look(&j, position, &r);

        if (rc == MFT_OK)
            rc = mft_journal_copy(&j, &r, payload);
        if (rc == MFT_OK) {
            CHECK(r.sequence == last + 1);
            is_record(&r, payload, ++last);
            position += mft_record_taken(r.length);
            if (got++ == 0)
                atomic_fetch_add(&met, 1);
        } else if (rc == MFT_UNSTABLE) { /* lapped: in real life, from the files */
            rc = mft_journal_newest(&j, &position, &sequence);
            CHECK(rc == MFT_UNSTABLE || (rc == MFT_OK && sequence >= last));
            if (rc == MFT_OK)
                last = sequence;
            else
                position = 0;
        } else {
            CHECK(rc == MFT_EMPTY);
            sched_yield();
        }
    }
    CHECK(got > 0);
    return NULL;
}

static void whole_records_in_order_with_all_sides_at_work(void)
{
    void *(*const sides[])(void *) = {read_all_the_time, read_all_the_time, drain_all_the_time, write_all_the_time};
    pthread_t threads[4];

    make(0, 0);
    atomic_store(&appended, 0);
    atomic_store(&met, 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, sides[i], NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    mft_segment_detach(&segment);
}

int main(void)
{
    alarm(60);
    RUN(records_come_back_as_they_were_also_over_the_end_of_the_memory);
    RUN(what_is_not_on_disk_is_never_written_over);
    RUN(the_longest_record_fills_the_memory);
    RUN(a_reader_that_was_lapped_is_told);
    RUN(a_successor_goes_on_with_the_next_number);
    RUN(what_a_dead_writer_wrote_over_is_not_read_as_an_older_record);
    RUN(every_changed_bit_of_a_record_is_seen);
    RUN(damaged_positions_are_refused);
    RUN(both_ways_to_the_checksum_agree);
    RUN(whole_records_in_order_with_all_sides_at_work);
    return 0;
}
