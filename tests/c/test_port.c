/* The calls of compiled code without Python: what an endpoint that is not usable says, who is rung, what is bounded. */
#include "check.h"

#include "mftcore/port.h"

enum { LEVELS = 3, RECORD = 13 };

static uint32_t state;
static uint64_t born = 1, generation = 1, epoch = 5, seen;
static mft_bell_t outer;
static int outer_fd;

static mft_segment_t make(uint32_t kind, uint32_t version, uint64_t capacity, uint64_t record_bytes, uint64_t data_bytes)
{
    const mft_spec_t spec = {.kind = kind, .version = version, .capacity = capacity, .record_bytes = record_bytes,
                             .data_bytes = data_bytes};
    mft_segment_t s;

    CHECK(mft_segment_make(&s, &spec) == MFT_OK);
    mft_segment_publish(&s);
    return s;
}

static mft_port_t port_of(void *handle)
{
    return (mft_port_t){.handle = handle, .end = UINT32_MAX, .state = &state, .born = &born, .generation = &generation, .epoch = &epoch,
                        .outer = &outer, .outer_fd = outer_fd, .seen = &seen};
}

/* Arm both bells; afterwards, were both rung? */
static uint32_t armed_own, armed_outer;

static void arm(mft_bell_t *own)
{
    mft_bell_want(own);
    armed_own = mft_bell_arm(own);
    armed_outer = mft_bell_arm(&outer);
}

static int rung(mft_bell_t *own)
{
    const int first = mft_bell_disarm(own, armed_own), second = mft_bell_disarm(&outer, armed_outer);

    return first * 2 + second;
}

static void a_ring_moves_records_and_rings_both_bells(void)
{
    mft_segment_t s = make(MFT_KIND_RING, MFT_RING_VERSION, 4, 8, mft_ring_data_bytes(4, 8));
    uint64_t records[6] = {1, 2, 3, 4, 5, 6}, out[6] = {0};
    mft_ring_t tx, rx;
    mft_port_t in, from;

    CHECK(mft_ring_open(&tx, &s) == MFT_OK && mft_ring_open(&rx, &s) == MFT_OK);
    in = port_of(&tx);
    from = port_of(&rx);
    arm(&tx.shared->records);
    CHECK(mft_port_push(&in, records) == 1 && rung(&tx.shared->records) == 3);
    arm(&tx.shared->records);
    CHECK(mft_port_push_many(&in, records + 1, 5) == 3 && rung(&tx.shared->records) == 3);
    arm(&tx.shared->records);
    CHECK(mft_port_push(&in, records) == 0 && mft_port_push_many(&in, records, 2) == 0);
    CHECK(rung(&tx.shared->records) == 0); /* nothing came, nobody is woken */
    arm(&rx.shared->room);
    CHECK(mft_port_pop(&from, out) == 1 && out[0] == 1 && rung(&rx.shared->room) == 3);
    arm(&rx.shared->room);
    CHECK(mft_port_pop_many(&from, out, 6) == 3 && out[0] == 2 && out[2] == 4 && rung(&rx.shared->room) == 3);
    arm(&rx.shared->room);
    CHECK(mft_port_pop(&from, out) == 0 && mft_port_pop_many(&from, out, 6) == 0 && rung(&rx.shared->room) == 0);
    CHECK(mft_port_push_many(&in, records, -1) == MFT_E_ARGUMENT && mft_port_pop_many(&from, out, -1) == MFT_E_ARGUMENT);
    atomic_store(&tx.shared->head, 1000);
    CHECK(mft_port_push(&in, records) < 0 && mft_port_push_many(&in, records, 2) < 0);
    CHECK(mft_port_pop(&from, out) < 0 && mft_port_pop_many(&from, out, 2) < 0);
    mft_segment_detach(&s);
}

static void a_value_comes_with_its_version_and_its_age(void)
{
    mft_segment_t s = make(MFT_KIND_SEQLOCK, MFT_SEQLOCK_VERSION, 1, RECORD, mft_seqlock_data_bytes(RECORD));
    unsigned char value[RECORD] = "some record", out[RECORD];
    mft_seqlock_t q;
    mft_stamp_t stamp;
    mft_port_t p;
    int64_t age_ns = 7;

    CHECK(mft_seqlock_open(&q, &s) == MFT_OK);
    p = port_of(&q);
    memset(out, 9, sizeof out);
    seen = 9;
    CHECK(mft_port_read(&p, out, &age_ns) == 0 && age_ns == -1 && seen == 0);
    for (int i = 0; i < RECORD; i++)
        CHECK(out[i] == 0); /* not what the caller's array held */
    arm(&q.shared->news);
    CHECK(mft_port_write(&p, value) == 1 && rung(&q.shared->news) == 3);
    CHECK(mft_port_read(&p, out, &age_ns) == 1 && memcmp(out, value, RECORD) == 0 && seen == 1);
    CHECK(age_ns >= 0 && age_ns < INT64_C(100000000000));
    CHECK(mft_seqlock_read(&q, out, RECORD, &stamp) == MFT_OK && stamp.epoch == epoch);
    mft_seqlock_write(&q, value, 1, INT64_MIN); /* a stamp that nobody's clock says */
    CHECK(mft_port_read(&p, out, &age_ns) == 2);
    atomic_store(&q.shared->begun, 2 + MFT_SEQLOCK_CELLS);
    CHECK(mft_port_read(&p, out, &age_ns) == MFT_E_UNSTABLE && seen == 2);
    mft_segment_detach(&s);
}

static void a_window_is_bounded_by_the_readers_arrays_whatever_it_says(void)
{
    /* published with more levels than this reader has room for */
    const uint64_t bytes = mft_window_bytes(2 * LEVELS);
    mft_segment_t s = make(MFT_KIND_BOOK, 1, 1, bytes, mft_seqlock_data_bytes(bytes));
    mft_window_t *const mine = malloc(mft_window_bytes(LEVELS)), *const published = calloc(1, bytes);
    mft_seqlock_t q;
    mft_port_t p;
    int64_t found[4];

    CHECK(mine != NULL && published != NULL && mft_seqlock_open(&q, &s) == MFT_OK);
    p = port_of(&q);
    p.window = mine;
    p.levels = LEVELS;
    memset(mine, 9, mft_window_bytes(LEVELS));
    CHECK(mft_port_read_book(&p, -1, found) == 0 && seen == 0);
    CHECK(found[0] == -1 && found[1] == MFT_BOOK_EMPTY && found[2] == 0 && found[3] == 0);
    CHECK(mine->levels[2 * LEVELS - 1].price_ticks == 0);
    published->top = (mft_book_top_t){.bid_ticks = 10, .n_bids = 2 * LEVELS, .n_asks = 2, .state = MFT_BOOK_STALE,
                                      .receive_ns = mft_now_ns()};
    published->levels[2 * LEVELS - 1].price_ticks = 77;
    mft_seqlock_write(&q, published, 1, 1);
    CHECK(mft_port_read_book(&p, -1, found) == 1 && seen == 1 && mine->levels[2 * LEVELS - 1].price_ticks == 77);
    CHECK(found[0] >= 0 && found[1] == MFT_BOOK_STALE && found[2] == LEVELS && found[3] == 2);
    CHECK(mft_port_read_book(&p, 100, found) == 1 && found[2] == LEVELS && found[3] == 2);
    CHECK(mft_port_read_book(&p, 1, found) == 1 && found[2] == 1 && found[3] == 1);
    mine->levels[0].price_ticks = 5;
    CHECK(mft_port_read_book(&p, 0, found) == 1 && found[2] == 0 && mine->top.bid_ticks == 10);
    CHECK(mine->levels[0].price_ticks == 5); /* the top alone was read */
    published->top.receive_ns = INT64_MIN;
    mft_seqlock_write(&q, published, 1, 1);
    CHECK(mft_port_read_book(&p, -1, found) == 2);
    atomic_store(&q.shared->begun, 2 + MFT_SEQLOCK_CELLS);
    CHECK(mft_port_read_book(&p, -1, found) == MFT_E_UNSTABLE && seen == 2);
    free(mine);
    free(published);
    mft_segment_detach(&s);
}

/* Every call of an endpoint that is closed, or of before a fork, is an error and does nothing. */
static void expect_unusable(void)
{
    mft_segment_t ring = make(MFT_KIND_RING, MFT_RING_VERSION, 4, 8, mft_ring_data_bytes(4, 8));
    mft_segment_t lock = make(MFT_KIND_SEQLOCK, MFT_SEQLOCK_VERSION, 1, 8, mft_seqlock_data_bytes(8));
    mft_segment_t counts = make(MFT_KIND_HISTOGRAM, 1, MFT_HISTOGRAM_BUCKETS, 8, sizeof(mft_histogram_shared_t));
    static uint64_t copied[MFT_HISTOGRAM_BUCKETS];
    mft_window_t *const window = calloc(1, mft_window_bytes(LEVELS));
    uint64_t record = 1, total = 0;
    int64_t found[4], age_ns;
    mft_histogram_t h;
    mft_seqlock_t q;
    mft_ring_t r;
    mft_port_t p;

    CHECK(mft_ring_open(&r, &ring) == MFT_OK && mft_ring_push(&r, &record) == MFT_OK);
    CHECK(mft_seqlock_open(&q, &lock) == MFT_OK && mft_histogram_open(&h, &counts) == MFT_OK);
    p = port_of(&r);
    CHECK(mft_port_push_bytes(&p, &record, 8) == MFT_E_UNUSABLE);
    CHECK(mft_port_pop_bytes(&p, &record, 8, &age_ns) == MFT_E_UNUSABLE);
    CHECK(mft_port_push(&p, &record) == MFT_E_UNUSABLE && mft_port_push_many(&p, &record, 1) == MFT_E_UNUSABLE);
    CHECK(mft_port_pop(&p, &record) == MFT_E_UNUSABLE && mft_port_pop_many(&p, &record, 1) == MFT_E_UNUSABLE);
    CHECK(atomic_load(&r.shared->tail) == 1 && atomic_load(&r.shared->head) == 0);
    p = port_of(&q);
    p.window = window;
    p.levels = LEVELS;
    CHECK(mft_port_write(&p, &record) == MFT_E_UNUSABLE && mft_port_read(&p, &record, &age_ns) == MFT_E_UNUSABLE);
    CHECK(mft_port_write_many(&p, &record, 1) == MFT_E_UNUSABLE && mft_port_next(&p, &record, found) == MFT_E_UNUSABLE);
    CHECK(mft_port_read_book(&p, -1, found) == MFT_E_UNUSABLE && mft_seqlock_version(&q) == 0);
    p = port_of(&h);
    CHECK(mft_port_record(&p, 7) == MFT_E_UNUSABLE);
    mft_histogram_copy(&h, copied);
    for (uint64_t i = 0; i < MFT_HISTOGRAM_BUCKETS; i++)
        total += copied[i];
    CHECK(total == 0);
    free(window);
    mft_segment_detach(&ring);
    mft_segment_detach(&lock);
    mft_segment_detach(&counts);
}

static void a_closed_endpoint_is_an_error_and_nothing_moves(void)
{
    state = 1;
    expect_unusable();
    state = 0;
}

static void an_endpoint_of_before_a_fork_is_an_error_and_nothing_moves(void)
{
    generation = 2;
    expect_unusable();
    generation = 1;
}

static void a_broadcast_is_written_and_read_with_what_was_lost(void)
{
    mft_segment_t s = make(MFT_KIND_BROADCAST, MFT_BROADCAST_VERSION, 8, 8, mft_cells_data_bytes(8, 8));
    uint64_t records[20], out = 0;
    mft_broadcast_t tx, rx;
    mft_stamp_t stamp = {0, 0, 0};
    mft_port_t in, from;
    int64_t lost = 9;

    for (uint64_t i = 0; i < 20; i++)
        records[i] = i + 1;
    CHECK(mft_broadcast_open(&tx, &s) == MFT_OK && mft_broadcast_open(&rx, &s) == MFT_OK);
    in = port_of(&tx.cells);
    from = port_of(&rx);
    from.stamp = &stamp;
    CHECK(mft_port_next(&from, &out, &lost) == 0 && lost == 0 && stamp.version == 0);
    arm(&tx.cells.shared->news);
    CHECK(mft_port_write_many(&in, records, 0) == 0 && mft_port_write_many(&in, records, -1) == MFT_E_ARGUMENT);
    CHECK(rung(&tx.cells.shared->news) == 0);
    arm(&tx.cells.shared->news);
    CHECK(mft_port_write_many(&in, records, 2) == 2 && rung(&tx.cells.shared->news) == 3);
    CHECK(mft_port_next(&from, &out, &lost) == 1 && out == 1 && lost == 0);
    CHECK(stamp.version == 1 && stamp.epoch == epoch);
    CHECK(mft_port_write_many(&in, records + 2, 18) == 20);
    CHECK(mft_port_next(&from, &out, &lost) == 17 && out == 17 && lost == 15 && stamp.version == 17);
    atomic_store(&tx.cells.shared->begun, 100);
    CHECK(mft_port_next(&from, &out, &lost) == MFT_E_UNSTABLE && stamp.version == 17);
    atomic_store(&tx.cells.shared->version, 3);
    CHECK(mft_port_next(&from, &out, &lost) == MFT_E_CORRUPT);
    mft_segment_detach(&s);
}

static void messages_are_moved_and_one_that_is_too_long_stays(void)
{
    mft_segment_t s = make(MFT_KIND_BYTES, MFT_BYTES_VERSION, MFT_BYTES_LEAST, 1, mft_bytes_data_bytes(MFT_BYTES_LEAST));
    unsigned char *const place = malloc(5), *const longest = calloc(1, MFT_BYTES_LEAST); /* ASan sees a byte too many */
    mft_bytes_t tx, rx;
    mft_port_t in, from;
    int64_t length = 9;

    CHECK(place != NULL && longest != NULL && mft_segment_mirror(&s, MFT_BYTES_LEAST) == MFT_OK);
    CHECK(mft_bytes_open(&tx, &s) == MFT_OK && mft_bytes_open(&rx, &s) == MFT_OK);
    in = port_of(&tx);
    from = port_of(&rx);
    arm(&rx.shared->room);
    CHECK(mft_port_pop_bytes(&from, place, 5, &length) == 0 && length == 0 && rung(&rx.shared->room) == 0);
    arm(&tx.shared->messages);
    CHECK(mft_port_push_bytes(&in, "hello", 5) == 1 && rung(&tx.shared->messages) == 3);
    CHECK(mft_port_push_bytes(&in, "", -1) == MFT_E_ARGUMENT);
    CHECK(mft_port_push_bytes(&in, longest, MFT_BYTES_LEAST) == MFT_E_ARGUMENT);
    arm(&tx.shared->messages);
    CHECK(mft_port_push_bytes(&in, longest, MFT_BYTES_LEAST - 8) == 0 && rung(&tx.shared->messages) == 0);
    CHECK(mft_port_pop_bytes(&from, place, -1, &length) == MFT_E_ARGUMENT);
    CHECK(mft_port_pop_bytes(&from, place, 4, &length) == MFT_E_SMALL && length == 5);
    arm(&rx.shared->room);
    CHECK(mft_port_pop_bytes(&from, place, 5, &length) == 1 && length == 5 && memcmp(place, "hello", 5) == 0);
    CHECK(rung(&rx.shared->room) == 3);
    CHECK(mft_port_push_bytes(&in, longest, MFT_BYTES_LEAST - 8) == 1);
    atomic_store(&tx.shared->head, 8 * MFT_BYTES_LEAST);
    CHECK(mft_port_push_bytes(&in, "x", 1) < 0 && mft_port_pop_bytes(&from, place, 5, &length) < 0);
    free(place);
    free(longest);
    mft_segment_detach(&s);
}

/* A port of another end has a handle of another type: no call may look into it. */
static void a_call_of_another_end_is_an_error(void)
{
    mft_port_t p = port_of(NULL);
    int64_t found[4];

    for (uint32_t bit = 0; bit < 16; bit++) {
        const uint32_t end = p.end = 1u << bit;

        CHECK(end == MFT_END_PRODUCER || mft_port_push(&p, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_PRODUCER || mft_port_push_many(&p, found, 1) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_CONSUMER || mft_port_pop(&p, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_CONSUMER || mft_port_pop_many(&p, found, 1) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_BYTES_PRODUCER || mft_port_push_bytes(&p, found, 1) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_BYTES_CONSUMER || mft_port_pop_bytes(&p, found, 1, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_WRITER || end == MFT_END_BROADCAST_WRITER || mft_port_write(&p, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_BROADCAST_WRITER || mft_port_write_many(&p, found, 1) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_READER || mft_port_read(&p, found, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_BOOK_READER || mft_port_read_book(&p, 1, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_BROADCAST_READER || mft_port_next(&p, found, found) == MFT_E_WRONG_END);
        CHECK(end == MFT_END_RECORDER || mft_port_record(&p, 1) == MFT_E_WRONG_END);
    }
}

static void a_duration_is_counted(void)
{
    mft_segment_t s = make(MFT_KIND_HISTOGRAM, 1, MFT_HISTOGRAM_BUCKETS, 8, sizeof(mft_histogram_shared_t));
    static uint64_t copied[MFT_HISTOGRAM_BUCKETS];
    uint64_t total = 0;
    mft_histogram_t h;
    mft_port_t p;

    CHECK(mft_histogram_open(&h, &s) == MFT_OK);
    p = port_of(&h);
    CHECK(mft_port_record(&p, 7) == 0 && mft_port_record(&p, INT64_MAX) == 0);
    mft_histogram_copy(&h, copied);
    for (uint64_t i = 0; i < MFT_HISTOGRAM_BUCKETS; i++)
        total += copied[i];
    CHECK(total == 2);
    mft_segment_detach(&s);
}

int main(void)
{
    alarm(60);
    outer_fd = mft_doorbell_eventfd();
    CHECK(outer_fd >= 0);
    mft_bell_want(&outer);
    RUN(a_ring_moves_records_and_rings_both_bells);
    RUN(a_value_comes_with_its_version_and_its_age);
    RUN(a_window_is_bounded_by_the_readers_arrays_whatever_it_says);
    RUN(a_closed_endpoint_is_an_error_and_nothing_moves);
    RUN(an_endpoint_of_before_a_fork_is_an_error_and_nothing_moves);
    RUN(a_broadcast_is_written_and_read_with_what_was_lost);
    RUN(messages_are_moved_and_one_that_is_too_long_stays);
    RUN(a_call_of_another_end_is_an_error);
    RUN(a_duration_is_counted);
    return 0;
}
