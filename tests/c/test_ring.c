/* The ring without Python: corners in one thread, then order and conservation between two threads on one mapping
 * (ThreadSanitizer does not see across two mappings of the same memory).
 *
 * Each memory order of the ring, weakened, must be objected to (.ci/c_tests):
 * PLANT tsan: -DMFT_RING_TAIL_RELEASE=memory_order_relaxed
 * PLANT tsan: -DMFT_RING_TAIL_ACQUIRE=memory_order_relaxed
 * PLANT tsan: -DMFT_RING_HEAD_RELEASE=memory_order_relaxed
 * PLANT tsan: -DMFT_RING_HEAD_ACQUIRE=memory_order_relaxed
 */
#include "check.h"

#include <sched.h>

#include "mftcore/ring.h"

typedef struct {
    uint64_t number, copies[7];
} record_t;

static void make_ring(mft_segment_t *s, uint64_t capacity, uint64_t record_bytes)
{
    mft_spec_t spec = {.kind = MFT_KIND_RING, .version = MFT_RING_VERSION, .dtype = "\"|V64\""};

    spec.capacity = capacity;
    spec.record_bytes = record_bytes;
    spec.data_bytes = mft_ring_data_bytes(capacity, record_bytes);
    CHECK(spec.data_bytes != 0);
    CHECK(mft_segment_make(s, &spec) == MFT_OK);
    mft_segment_publish(s);
}

static record_t numbered(uint64_t number)
{
    record_t r = {.number = number};

    for (int i = 0; i < 7; i++)
        r.copies[i] = number;
    return r;
}

static void whole(const record_t *r, uint64_t number)
{
    CHECK(r->number == number);
    for (int i = 0; i < 7; i++)
        CHECK(r->copies[i] == number);
}

static void full_and_empty_are_results(void)
{
    mft_segment_t s;
    mft_ring_t tx, rx;
    mft_ring_counters_t c;
    record_t out;

    make_ring(&s, 4, sizeof(record_t));
    CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
    CHECK(mft_ring_pop(&rx, &out) == MFT_EMPTY);
    for (uint64_t i = 0; i < 4; i++) {
        record_t r = numbered(i);
        CHECK(mft_ring_push(&tx, &r) == MFT_OK);
    }
    out = numbered(99);
    CHECK(mft_ring_push(&tx, &out) == MFT_FULL);
    for (uint64_t i = 0; i < 4; i++) {
        CHECK(mft_ring_pop(&rx, &out) == MFT_OK);
        whole(&out, i);
    }
    CHECK(mft_ring_pop(&rx, &out) == MFT_EMPTY);
    mft_ring_counters(&rx, &c);
    CHECK(c.pushed == 4 && c.popped == 4 && c.full == 1 && c.high_water == 4);
    mft_segment_detach(&s);
}

static void indices_may_wrap_around_2_to_the_64(void)
{
    mft_segment_t s;
    mft_ring_t tx, rx;
    mft_ring_shared_t *shared;

    make_ring(&s, 4, sizeof(record_t));
    shared = (mft_ring_shared_t *)s.data;
    atomic_store(&shared->tail, UINT64_MAX - 5); /* set by hand to reach the corner */
    atomic_store(&shared->head, UINT64_MAX - 5);
    CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
    for (uint64_t i = 0; i < 20; i++) {
        record_t r = numbered(i), out;
        CHECK(mft_ring_push(&tx, &r) == MFT_OK);
        CHECK(mft_ring_pop(&rx, &out) == MFT_OK);
        whole(&out, i);
    }
    CHECK(atomic_load(&shared->tail) == 14);
    mft_segment_detach(&s);
}

static void a_batch_goes_round_the_end_and_says_how_much_fitted(void)
{
    mft_segment_t s;
    mft_ring_t tx, rx;
    mft_ring_counters_t c;
    record_t in[12], out[12];

    make_ring(&s, 8, sizeof(record_t));
    CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
    for (uint64_t i = 0; i < 12; i++)
        in[i] = numbered(i);
    CHECK(mft_ring_push_many(&tx, in, 5) == 5);
    CHECK(mft_ring_pop_many(&rx, out, 3) == 3);
    CHECK(mft_ring_push_many(&tx, in + 5, 7) == 6); /* 2 there, 6 free, over the end */
    CHECK(mft_ring_push_many(&tx, in, 0) == 0);
    CHECK(mft_ring_pop_many(&rx, out + 3, 9) == 8);
    for (uint64_t i = 0; i < 11; i++)
        whole(&out[i], i);
    CHECK(mft_ring_pop_many(&rx, out, 1) == 0);
    mft_ring_counters(&rx, &c);
    CHECK(c.pushed == 11 && c.popped == 11 && c.full == 1 && c.high_water == 8);
    mft_segment_detach(&s);
}

static void a_claim_is_invisible_until_committed_and_a_peek_stays_until_released(void)
{
    mft_segment_t s;
    mft_ring_t tx, rx, successor;
    const void *there;
    void *place;
    uint64_t n = 3;
    record_t out;

    make_ring(&s, 4, sizeof(record_t));
    CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
    CHECK(mft_ring_claim(&tx, &n, &place) == MFT_OK && n == 3);
    ((record_t *)place)[0] = numbered(7);
    ((record_t *)place)[1] = numbered(8);
    n = 1;
    CHECK(mft_ring_peek(&rx, &n, &there) == MFT_EMPTY);
    mft_ring_commit(&tx, 2); /* the third was not needed */
    n = 9;
    CHECK(mft_ring_peek(&rx, &n, &there) == MFT_OK && n == 2);
    whole(there, 7);
    CHECK(mft_ring_open(&successor, &s) == MFT_OK); /* as if the consumer had died here */
    CHECK(mft_ring_pop(&successor, &out) == MFT_OK);
    whole(&out, 7);
    mft_segment_detach(&s);
}

static void indices_out_of_bounds_are_refused_not_believed(void)
{
    const uint64_t wrong[][2] = {{0, 5}, {0, UINT64_MAX}, {UINT64_MAX / 2, 0}, {100, 99}, {3, 1u << 31}};
    mft_segment_t s;
    mft_ring_t tx, rx;
    mft_ring_shared_t *shared;
    record_t out = numbered(1);

    make_ring(&s, 4, sizeof(record_t));
    shared = (mft_ring_shared_t *)s.data;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        atomic_store(&shared->head, 0);
        atomic_store(&shared->tail, 0);
        CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
        atomic_store(&shared->head, wrong[i][0]);
        atomic_store(&shared->tail, wrong[i][1]);
        CHECK(mft_ring_pop(&rx, &out) == MFT_E_CORRUPT);
        CHECK(mft_ring_pop(&rx, &out) == MFT_E_CORRUPT); /* and again, not believed the second time */
        CHECK(mft_ring_push(&tx, &out) == MFT_E_CORRUPT);
        CHECK(mft_ring_pop_many(&rx, &out, 1) == MFT_E_CORRUPT);
        CHECK(mft_ring_push_many(&tx, &out, 1) == MFT_E_CORRUPT);
        CHECK(mft_ring_open(&tx, &s) == MFT_E_CORRUPT);
    }
    mft_segment_detach(&s);
}

static void a_geometry_that_does_not_fit_the_memory_is_refused(void)
{
    mft_segment_t s;
    mft_ring_t r;

    CHECK(mft_ring_data_bytes(3, 8) == 0 && mft_ring_data_bytes(0, 8) == 0 && mft_ring_data_bytes(4, 0) == 0);
    CHECK(mft_ring_data_bytes(UINT64_C(1) << 32, UINT64_C(1) << 40) == 0);
    make_ring(&s, 4, 64);
    s.layout.capacity = 1u << 20;
    CHECK(mft_ring_open(&r, &s) == MFT_E_LAYOUT && strcmp(s.fault.field, "capacity") == 0);
    s.layout.capacity = 5;
    CHECK(mft_ring_open(&r, &s) == MFT_E_LAYOUT);
    mft_segment_detach(&s);
}

static void the_high_water_mark_is_exact_from_an_eighth_of_the_capacity_on(void)
{
    mft_segment_t s;
    mft_ring_t tx, rx;
    mft_ring_counters_t c;
    unsigned seed = 1;
    uint64_t fill = 0, most = 0;
    record_t r = numbered(0);

    make_ring(&s, 64, sizeof(record_t));
    CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
    for (int i = 0; i < 5000; i++) {
        if ((rand_r(&seed) % 100) < 50) {
            if (mft_ring_push(&tx, &r) == MFT_OK)
                fill++;
        } else if (mft_ring_pop(&rx, &r) == MFT_OK) {
            fill--;
        }
        most = fill > most ? fill : most;
        mft_ring_counters(&rx, &c);
        CHECK(c.high_water <= most);
        CHECK(most <= 8 || c.high_water == most);
        CHECK(c.pushed - c.popped == fill);
    }
    CHECK(most > 16);
    mft_segment_detach(&s);
}

/* ---- two threads ---- */

static mft_segment_t shared_segment;
static uint64_t records_to_send;

static void *produce(void *batch)
{
    mft_ring_t tx;
    record_t many[16];
    uint64_t next = 0;
    unsigned seed = 2;

    CHECK(mft_ring_open(&tx, &shared_segment) == MFT_OK);
    while (next < records_to_send) {
        int64_t done;
        if (batch) {
            uint64_t n = 1 + (uint64_t)rand_r(&seed) % 16;
            n = n < records_to_send - next ? n : records_to_send - next;
            for (uint64_t i = 0; i < n; i++)
                many[i] = numbered(next + i);
            done = mft_ring_push_many(&tx, many, n);
        } else {
            many[0] = numbered(next);
            done = mft_ring_push(&tx, &many[0]) == MFT_OK;
        }
        CHECK(done >= 0);
        next += (uint64_t)done;
        if (done == 0)
            sched_yield();
    }
    return NULL;
}

static void between_threads(uint64_t capacity, int batch)
{
    mft_ring_t rx;
    mft_ring_counters_t c;
    record_t many[16];
    pthread_t producer;
    uint64_t next = 0;

    records_to_send = REPEAT(1000000);
    make_ring(&shared_segment, capacity, sizeof(record_t));
    CHECK(mft_ring_open(&rx, &shared_segment) == MFT_OK);
    CHECK(pthread_create(&producer, NULL, produce, batch ? &rx : NULL) == 0);
    while (next < records_to_send) {
        const int64_t n = batch ? mft_ring_pop_many(&rx, many, 16) : mft_ring_pop(&rx, many) == MFT_OK;
        CHECK(n >= 0);
        for (int64_t i = 0; i < n; i++)
            whole(&many[i], next++);
        if (n == 0)
            sched_yield();
        mft_ring_counters(&rx, &c);
        CHECK(c.pushed - c.popped <= capacity + 16);
    }
    CHECK(pthread_join(producer, NULL) == 0);
    mft_ring_counters(&rx, &c);
    CHECK(c.pushed == records_to_send && c.popped == records_to_send && c.high_water <= capacity);
    mft_segment_detach(&shared_segment);
}

static void threads_hand_over_every_record_once_and_in_order_one_by_one(void)
{
    between_threads(8, 0);
    between_threads(1, 0);
}

static void threads_hand_over_every_record_once_and_in_order_in_batches(void)
{
    between_threads(8, 1);
    between_threads(1024, 1);
}

int main(void)
{
    alarm(120); /* a hang is a failure */
    RUN(full_and_empty_are_results);
    RUN(indices_may_wrap_around_2_to_the_64);
    RUN(a_batch_goes_round_the_end_and_says_how_much_fitted);
    RUN(a_claim_is_invisible_until_committed_and_a_peek_stays_until_released);
    RUN(indices_out_of_bounds_are_refused_not_believed);
    RUN(a_geometry_that_does_not_fit_the_memory_is_refused);
    RUN(the_high_water_mark_is_exact_from_an_eighth_of_the_capacity_on);
    RUN(threads_hand_over_every_record_once_and_in_order_one_by_one);
    RUN(threads_hand_over_every_record_once_and_in_order_in_batches);
    return 0;
}
