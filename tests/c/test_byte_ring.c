/* The ring of messages without Python: corners in one thread, then order and conservation between two threads.
 *
 * Each memory order, weakened, must be objected to (.ci/c_tests):
 * PLANT tsan: -DMFT_BYTES_TAIL_RELEASE=memory_order_relaxed
 * PLANT tsan: -DMFT_BYTES_TAIL_ACQUIRE=memory_order_relaxed
 * PLANT tsan: -DMFT_BYTES_HEAD_RELEASE=memory_order_relaxed
 * PLANT tsan: -DMFT_BYTES_HEAD_ACQUIRE=memory_order_relaxed
 */
#include "check.h"

#include <sched.h>

#include "mftcore/byte_ring.h"

enum { BYTES = 65536, MOST = BYTES - MFT_BYTES_HEADER };

static unsigned char message[BYTES], out[BYTES];

static void make_ring(mft_segment_t *s, mft_bytes_t *r)
{
    mft_spec_t spec = {.kind = MFT_KIND_BYTES, .version = MFT_BYTES_VERSION, .record_bytes = 1, .capacity = BYTES};

    spec.data_bytes = mft_bytes_data_bytes(BYTES);
    CHECK(mft_segment_make(s, &spec) == MFT_OK);
    CHECK(mft_segment_mirror(s, BYTES) == MFT_OK);
    mft_segment_publish(s);
    CHECK(mft_bytes_open(r, s) == MFT_OK);
}

static void fill_message(uint64_t number, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        message[i] = (unsigned char)(number * 31 + i);
}

static void expect(mft_bytes_t *rx, uint64_t number, uint64_t length)
{
    const unsigned char *place;
    uint64_t found;

    CHECK(mft_bytes_peek(rx, &place, &found) == MFT_OK && found == length);
    for (uint64_t i = 0; i < length; i++)
        CHECK(place[i] == (unsigned char)(number * 31 + i));
    mft_bytes_take(rx, found);
    mft_bytes_release(rx);
}

static void messages_of_every_length_lie_in_one_piece_wherever_the_end_is(void)
{
    mft_segment_t s;
    mft_bytes_t tx, rx;
    uint64_t number = 0;

    make_ring(&s, &tx);
    CHECK(mft_bytes_open(&rx, &s) == MFT_OK);
    for (uint64_t length = 0; length <= 100; length++, number++) {
        fill_message(number, length);
        CHECK(mft_bytes_push(&tx, message, length) == MFT_OK);
        expect(&rx, number, length);
    }
    for (uint64_t length = MOST - 40; length <= MOST; length++, number++) { /* nearly every one goes over the end */
        fill_message(number, length);
        CHECK(mft_bytes_push(&tx, message, length) == MFT_OK);
        CHECK(mft_bytes_push(&tx, message, 33) == MFT_FULL);
        expect(&rx, number, length);
    }
    CHECK(mft_bytes_push(&tx, message, MOST + 1) == MFT_E_ARGUMENT);
    CHECK(mft_bytes_push(&tx, message, UINT64_MAX) == MFT_E_ARGUMENT);
    mft_segment_detach(&s);
}

static void a_batch_is_visible_when_committed_and_dropped_when_not(void)
{
    mft_segment_t s;
    mft_bytes_t tx, rx;
    mft_bytes_counters_t c;
    unsigned char *place = NULL;
    const unsigned char *there;
    uint64_t length;

    make_ring(&s, &tx);
    CHECK(mft_bytes_open(&rx, &s) == MFT_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(mft_bytes_claim(&tx, 100, &place) == MFT_OK);
        memset(place, i, 10);
        mft_bytes_put(&tx, place, 10); /* shorter than the claim */
    }
    CHECK(mft_bytes_peek(&rx, &there, &length) == MFT_EMPTY);
    mft_bytes_drop(&tx);
    mft_bytes_commit(&tx);
    CHECK(mft_bytes_peek(&rx, &there, &length) == MFT_EMPTY);
    for (int i = 0; i < 3; i++) {
        CHECK(mft_bytes_claim(&tx, 10, &place) == MFT_OK);
        memset(place, i, 10);
        mft_bytes_put(&tx, place, 10);
    }
    CHECK(mft_bytes_claim(&tx, MOST, &place) == MFT_FULL);
    mft_bytes_commit(&tx);
    CHECK(mft_bytes_has_room(&tx, MOST - 72) && !mft_bytes_has_room(&tx, MOST - 71));
    for (int i = 0; i < 3; i++) {
        CHECK(mft_bytes_peek(&rx, &there, &length) == MFT_OK && length == 10 && there[0] == i);
        mft_bytes_take(&rx, length);
    }
    CHECK(mft_bytes_peek(&rx, &there, &length) == MFT_EMPTY);
    CHECK(mft_bytes_counters(&rx, &c) == MFT_OK);
    CHECK(c.pushed == 3 && c.popped == 0 && c.full == 1 && c.used_bytes == 72);
    mft_bytes_release(&rx);
    CHECK(mft_bytes_counters(&rx, &c) == MFT_OK);
    CHECK(c.popped == 3 && c.used_bytes == 0);
    mft_segment_detach(&s);
}

static void damaged_indices_and_lengths_are_refused_not_believed(void)
{
    const uint64_t tails[] = {4, BYTES + 8, UINT64_MAX - 7, UINT64_MAX / 2 + 1};
    const uint64_t words[] = {0, UINT64_MAX, 16, 5 | UINT64_C(1) << 32, (uint32_t)BYTES | ~(uint64_t)BYTES << 32};
    mft_segment_t s;
    mft_bytes_t tx, rx;
    const unsigned char *place;
    uint64_t length;

    make_ring(&s, &tx);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        atomic_store(&tx.shared->tail, 0);
        CHECK(mft_bytes_open(&tx, &s) == MFT_OK && mft_bytes_open(&rx, &s) == MFT_OK);
        atomic_store(&tx.shared->tail, tails[i]);
        for (int again = 0; again < 2; again++) {
            CHECK(mft_bytes_peek(&rx, &place, &length) == MFT_E_CORRUPT);
            CHECK(mft_bytes_has_messages(&rx));
            if (tails[i] > BYTES)
                CHECK(mft_bytes_push(&tx, message, 8) == MFT_E_CORRUPT && mft_bytes_has_room(&tx, 0));
        }
        CHECK(mft_bytes_open(&rx, &s) == MFT_E_CORRUPT);
    }
    atomic_store(&tx.shared->tail, 0);
    CHECK(mft_bytes_open(&tx, &s) == MFT_OK && mft_bytes_open(&rx, &s) == MFT_OK);
    CHECK(mft_bytes_push(&tx, message, 20) == MFT_OK);
    /* valid messages, but indices that no call of ours leaves */
    for (int again = 0; again < 2; again++) {
        atomic_store(&tx.shared->tail, 32 + 4); /* behind the message, and not whole words */
        CHECK(mft_bytes_peek(&rx, &place, &length) == MFT_E_CORRUPT);
        atomic_store(&tx.shared->tail, BYTES + 32);
        CHECK(mft_bytes_peek(&rx, &place, &length) == MFT_E_CORRUPT);
    }
    atomic_store(&tx.shared->tail, 32 + MFT_BYTES_WHICH);
    CHECK(mft_bytes_peek(&rx, &place, &length) == MFT_OK && length == 20);
    memcpy(rx.data + 4096, rx.data, 32); /* a message where the consumer has not been */
    atomic_store(&rx.shared->head, 4096);
    CHECK(mft_bytes_peek(&rx, &place, &length) == MFT_E_CORRUPT);
    atomic_store(&rx.shared->head, 4);
    atomic_store(&rx.shared->tail, 8);
    CHECK(mft_bytes_open(&rx, &s) == MFT_E_CORRUPT);
    atomic_store(&rx.shared->head, 0);
    atomic_store(&tx.shared->tail, BYTES - 4);
    CHECK(mft_bytes_push(&tx, message, 8) == MFT_E_CORRUPT);
    atomic_store(&tx.shared->tail, 32 + MFT_BYTES_WHICH);
    CHECK(mft_bytes_open(&rx, &s) == MFT_OK);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        memcpy(rx.data, &words[i], 8);
        CHECK(mft_bytes_peek(&rx, &place, &length) == MFT_E_CORRUPT);
    }
    mft_segment_detach(&s);
}

static void a_segment_that_is_no_such_ring_is_refused(void)
{
    mft_segment_t s;
    mft_bytes_t r;

    CHECK(mft_bytes_data_bytes(65535) == 0 && mft_bytes_data_bytes(32768) == 0 && mft_bytes_data_bytes(0) == 0);
    CHECK(mft_bytes_data_bytes(UINT64_C(1) << 33) == 0 && mft_bytes_data_bytes(3 * BYTES) == 0);
    make_ring(&s, &r);
    CHECK(mft_segment_mirror(&s, BYTES) == MFT_E_ARGUMENT); /* once is enough */
    s.layout.capacity = 2 * BYTES;
    CHECK(mft_bytes_open(&r, &s) == MFT_E_LAYOUT);
    s.layout.capacity = BYTES;
    s.data_bytes += MFT_PAGE;
    CHECK(mft_bytes_open(&r, &s) == MFT_E_LAYOUT);
    s.data_bytes -= MFT_PAGE;
    s.mirror_bytes = 0;
    CHECK(mft_bytes_open(&r, &s) == MFT_E_LAYOUT);
    s.mirror_bytes = BYTES;
    mft_segment_detach(&s);
}

static mft_segment_t shared_segment;

static uint64_t length_of(uint64_t number)
{
    return number * 2654435761u % (number % 64 == 0 ? 30000 : 200);
}

static void *produce(void *unused)
{
    mft_bytes_t tx;
    unsigned char *place = NULL;

    (void)unused;
    CHECK(mft_bytes_open(&tx, &shared_segment) == MFT_OK);
    for (uint64_t i = 0; i < REPEAT(200000);) {
        const uint64_t length = length_of(i);
        const int rc = mft_bytes_claim(&tx, length, &place);

        CHECK(rc == MFT_OK || rc == MFT_FULL);
        if (rc == MFT_FULL) {
            mft_bytes_commit(&tx);
            sched_yield();
            continue;
        }
        memset(place, (int)(i & 0xFF), length);
        mft_bytes_put(&tx, place, length);
        if (++i % 5 == 0)
            mft_bytes_commit(&tx);
    }
    mft_bytes_commit(&tx);
    return NULL;
}

static void threads_hand_over_every_message_once_whole_and_in_order(void)
{
    mft_bytes_t rx;
    pthread_t thread;
    uint64_t got = 0, length;
    const unsigned char *place;

    make_ring(&shared_segment, &rx);
    CHECK(pthread_create(&thread, NULL, produce, NULL) == 0);
    while (got < REPEAT(200000)) {
        const int rc = mft_bytes_peek(&rx, &place, &length);

        CHECK(rc == MFT_OK || rc == MFT_EMPTY);
        if (rc == MFT_EMPTY) {
            mft_bytes_release(&rx);
            sched_yield();
            continue;
        }
        CHECK(length == length_of(got));
        memcpy(out, place, length);
        for (uint64_t i = 0; i < length; i++)
            CHECK(out[i] == (got & 0xFF));
        mft_bytes_take(&rx, length);
        if (++got % 3 == 0)
            mft_bytes_release(&rx);
    }
    mft_bytes_release(&rx);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!mft_bytes_has_messages(&rx));
    mft_segment_detach(&shared_segment);
}

int main(void)
{
    alarm(120);
    RUN(messages_of_every_length_lie_in_one_piece_wherever_the_end_is);
    RUN(a_batch_is_visible_when_committed_and_dropped_when_not);
    RUN(damaged_indices_and_lengths_are_refused_not_believed);
    RUN(a_segment_that_is_no_such_ring_is_refused);
    RUN(threads_hand_over_every_message_once_whole_and_in_order);
    return 0;
}
