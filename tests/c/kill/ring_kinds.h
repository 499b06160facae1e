/* The ring: a producer or a consumer killed at each instruction of each of its calls.
 *
 * The survivor keeps one handle through all kills. Positions (where in the ring the operation starts) and backlogs
 * (how many records are unread then) go round, so that every call is killed also across the end of the slots, on a
 * full and on an empty ring. Sequence numbers are positions in the stream: record n is the n-th ever pushed. */
#ifndef RING_KINDS_H
#define RING_KINDS_H

#include "kind.h"
#include "mftcore/ring.h"

enum { RING_CAPACITY = 8, RING_WORDS = 9, RING_BATCH = 6, RING_CLAIM = 3 }; /* 72 bytes: no special size */

static mft_segment_t ring_segment;
static mft_ring_t survivor;
static uint64_t ring_tail, ring_head;              /* before the operation */
static uint64_t ring_epochs[2 * RING_CAPACITY];    /* of the records in the ring, by sequence modulo that */
static uint64_t survivor_epoch, survivor_word;
static uint64_t ring_words = RING_WORDS;
static unsigned ring_child_role;

/* By round: the first ones go round the end of the slots, and meet a partly filled, a full and an empty ring. */
static const uint64_t backlogs[] = {3, 8, 0, 7, 5, 1, 2}, positions[RING_CAPACITY] = {6, 7, 0, 3, 5, 1, 4, 2};

static uint64_t now_tail(void)
{
    return atomic_load(&survivor.shared->tail);
}

static uint64_t now_head(void)
{
    return atomic_load(&survivor.shared->head);
}

/* Whether the child has looked at the other side's index before the operation, and so does not look in it. */
static int known_position(void)
{
    return round_number / 7 % 2;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void push_one(mft_ring_t *tx, uint64_t epoch)
{
    const uint64_t sequence = atomic_load(&tx->shared->tail);
    uint64_t words[RING_WORDS];

    write_record(words, ring_words, sequence, epoch);
    CHECK(mft_ring_push(tx, words) == MFT_OK);
    ring_epochs[sequence % (2 * RING_CAPACITY)] = epoch;
}

/* Pop and judge `count` records; each must be there. */
static void pop_strictly(mft_ring_t *rx, uint64_t count)
{
    uint64_t words[RING_WORDS];

    while (count-- > 0) {
        const uint64_t sequence = atomic_load(&rx->shared->head);
        const uint64_t epoch = ring_epochs[sequence % (2 * RING_CAPACITY)];
        const int rc = mft_ring_pop(rx, words);

        if (rc != MFT_OK) {
            fault(LOST, "record %llu cannot be popped: %d", (unsigned long long)sequence, rc);
            return;
        }
        if (!judge(words, ring_words, sequence, epoch, epoch))
            return;
    }
    CHECK(atomic_load(&rx->shared->head) <= atomic_load(&rx->shared->tail));
}

static void ring_setup(unsigned child_role, uint64_t words)
{
    mft_spec_t spec = {.kind = MFT_KIND_RING, .version = MFT_RING_VERSION, .capacity = RING_CAPACITY};

    ring_words = words;
    spec.record_bytes = words * 8;
    spec.data_bytes = mft_ring_data_bytes(RING_CAPACITY, spec.record_bytes);
    CHECK(mft_segment_make(&ring_segment, &spec) == MFT_OK);
    mft_segment_publish(&ring_segment);
    CHECK(mft_ring_open(&survivor, &ring_segment) == MFT_OK);
    ring_child_role = child_role;
    CHECK(mft_role_claim(&ring_segment, !child_role, &survivor_epoch, &survivor_word) == MFT_OK);
    for (int i = 0; i < 2 * RING_CAPACITY; i++) { /* every slot holds an old record that is whole in itself */
        push_one(&survivor, 1);
        pop_strictly(&survivor, 1);
    }
}

static void ring_teardown(void)
{
    mft_segment_detach(&ring_segment);
}

static void producer_setup(void) { ring_setup(MFT_RING_PRODUCER, RING_WORDS); }
static void producer_setup_64(void) { ring_setup(MFT_RING_PRODUCER, 8); }
static void consumer_setup(void) { ring_setup(MFT_RING_CONSUMER, RING_WORDS); }
static void consumer_setup_64(void) { ring_setup(MFT_RING_CONSUMER, 8); }

/* Bring an empty ring to this round's position and backlog, as the holder of both roles. */
static void ring_arrange(mft_ring_t *tx, uint64_t tx_epoch, mft_ring_t *rx)
{
    const uint64_t backlog = backlogs[round_number % (long)(sizeof backlogs / sizeof *backlogs)];
    const uint64_t ahead = ring_child_role == MFT_RING_PRODUCER ? backlog : 0; /* the position is the child's own */

    while ((now_tail() + ahead) % RING_CAPACITY != positions[round_number % RING_CAPACITY]) {
        push_one(tx, tx_epoch);
        pop_strictly(rx, 1);
    }
    while (now_tail() - now_head() < backlog)
        push_one(tx, tx_epoch);
    ring_tail = now_tail();
    ring_head = now_head();
}

/* ---- the producer is killed ---- */

static mft_ring_t child_ring;
static uint64_t child_records[RING_BATCH * RING_WORDS];

static void producer_before(void)
{
    uint64_t word, epoch = 0;
    mft_ring_t tx;

    CHECK(mft_role_claim(&ring_segment, MFT_RING_PRODUCER, &epoch, &word) == MFT_OK);
    CHECK(mft_ring_open(&tx, &ring_segment) == MFT_OK);
    ring_arrange(&tx, epoch, &survivor);
    give_up(&ring_segment, MFT_RING_PRODUCER, word);
}

static void producer_prepare(void)
{
    child_claims(&ring_segment, MFT_RING_PRODUCER);
    if (mft_ring_open(&child_ring, &ring_segment) != MFT_OK)
        _exit(5);
    if (known_position()) /* half of them with the consumer's position known, half without */
        mft_ring_look(&child_ring, ring_tail, 1);
    for (uint64_t i = 0; i < RING_BATCH; i++)
        write_record(child_records + i * ring_words, ring_words, ring_tail + i, scratch->epoch);
}

/* What became visible must be one of `first` (if not 0) and `all`, or nothing; everything whole and in order; then a
 * successor goes on. */
static void producer_after(uint64_t first, uint64_t all, step_end_t end)
{
    const uint64_t visible = now_tail() - ring_tail, epoch = scratch->epoch;
    mft_ring_t successor;
    uint64_t word, next;

    if (visible != 0 && visible != first && visible != all)
        fault(TORN, "%lld records became visible, of %llu", (long long)visible, (unsigned long long)all);
    if (end == STEP_FINISHED && visible != all)
        fault(LOST, "the call ended with %lld of %llu records visible", (long long)visible, (unsigned long long)all);
    for (uint64_t i = 0; i < at_most(visible, RING_BATCH); i++)
        ring_epochs[(ring_tail + i) % (2 * RING_CAPACITY)] = epoch;
    tally.done += visible == all && all > 0;
    next = succeed(&ring_segment, MFT_RING_PRODUCER, epoch, &word);
    if (tally_faults() == 0) {
        CHECK(mft_ring_open(&successor, &ring_segment) == MFT_OK);
        while (now_tail() - now_head() < RING_CAPACITY) /* without room for one record too many */
            push_one(&successor, next);
        if (mft_ring_push(&successor, child_records) != MFT_FULL)
            fault(WRONG, "a full ring took one more record");
    }
    pop_strictly(&survivor, now_tail() - now_head());
    if (tally_faults() == 0)
        give_up(&ring_segment, MFT_RING_PRODUCER, word);
}

static uint64_t ring_room(void)
{
    return RING_CAPACITY - (ring_tail - ring_head);
}

static uint64_t run_to_end(uint64_t from)
{
    return RING_CAPACITY - from % RING_CAPACITY;
}

static void push_operate(void)
{
    STEP_MARK();
    mft_ring_push(&child_ring, child_records);
    STEP_MARK();
}

static void push_after(step_end_t end)
{
    producer_after(0, at_most(1, ring_room()), end);
}

static void claim_operate(void)
{
    const uint64_t epoch = scratch->epoch;
    uint64_t count = RING_CLAIM;
    void *place;

    STEP_MARK();
    if (mft_ring_claim(&child_ring, &count, &place) == MFT_OK) {
        for (uint64_t i = 0; i < count; i++)
            write_record((uint64_t *)place + i * ring_words, ring_words, ring_tail + i, epoch);
        mft_ring_commit(&child_ring, count);
    }
    STEP_MARK();
}

static void claim_after(step_end_t end)
{
    producer_after(0, at_most(RING_CLAIM, at_most(ring_room(), run_to_end(ring_tail))), end);
}

static void push_many_operate(void)
{
    STEP_MARK();
    mft_ring_push_many(&child_ring, child_records, RING_BATCH);
    STEP_MARK();
}

static void push_many_after(step_end_t end)
{
    const uint64_t all = at_most(RING_BATCH, ring_room());

    producer_after(at_most(all, run_to_end(ring_tail)), all, end);
}

/* ---- the consumer is killed ---- */

static void consumer_before(void)
{
    mft_ring_t rx;
    uint64_t word, epoch = 0;

    CHECK(mft_role_claim(&ring_segment, MFT_RING_CONSUMER, &epoch, &word) == MFT_OK);
    CHECK(mft_ring_open(&rx, &ring_segment) == MFT_OK);
    ring_arrange(&survivor, survivor_epoch, &rx);
    give_up(&ring_segment, MFT_RING_CONSUMER, word);
    memset(scratch, 0, sizeof *scratch);
}

static void consumer_prepare(void)
{
    child_claims(&ring_segment, MFT_RING_CONSUMER);
    if (mft_ring_open(&child_ring, &ring_segment) != MFT_OK)
        _exit(5);
    if (known_position())
        mft_ring_refresh(&child_ring, ring_head);
}

/* What was given back must be one of `first` and `all`, or nothing; all of it was copied out whole before; what was
 * not given back is seen again, whole and in order; the surviving producer finds exactly the room there is. */
static void consumer_after(uint64_t first, uint64_t all, step_end_t end)
{
    const uint64_t given = now_head() - ring_head, epoch = scratch->epoch;
    mft_ring_t successor;
    uint64_t word;

    if (given != 0 && given != first && given != all)
        fault(TORN, "%lld records were given back, of %llu", (long long)given, (unsigned long long)all);
    if (end == STEP_FINISHED && given != all)
        fault(REPEATED, "the call ended with %lld of %llu records given back", (long long)given,
              (unsigned long long)all);
    for (uint64_t i = 0; i < at_most(given, all); i++) {
        const uint64_t e = ring_epochs[(ring_head + i) % (2 * RING_CAPACITY)];

        judge(scratch->words + i * ring_words, ring_words, ring_head + i, e, e);
    }
    tally.done += given == all && all > 0;
    tally.gone += (long)(end == STEP_FINISHED ? 0 : given);
    tally.again += (long)(all - at_most(given, all));
    if (tally_faults() > 0)
        return;
    while (now_tail() - now_head() < RING_CAPACITY) /* the survivor's room: all that was given back */
        push_one(&survivor, survivor_epoch);
    succeed(&ring_segment, MFT_RING_CONSUMER, epoch, &word);
    CHECK(mft_ring_open(&successor, &ring_segment) == MFT_OK);
    pop_strictly(&successor, now_tail() - now_head());
    if (tally_faults() == 0)
        give_up(&ring_segment, MFT_RING_CONSUMER, word);
}

static uint64_t ring_fill(void)
{
    return ring_tail - ring_head;
}

static void pop_operate(void)
{
    STEP_MARK();
    mft_ring_pop(&child_ring, scratch->words);
    STEP_MARK();
}

static void pop_after(step_end_t end)
{
    consumer_after(0, at_most(1, ring_fill()), end);
}

static void peek_operate(void)
{
    uint64_t count = RING_CLAIM;
    const void *place;

    STEP_MARK();
    if (mft_ring_peek(&child_ring, &count, &place) == MFT_OK) {
        memcpy(scratch->words, place, count * ring_words * 8);
        mft_ring_release(&child_ring, count);
    }
    STEP_MARK();
}

static void peek_after(step_end_t end)
{
    consumer_after(0, at_most(RING_CLAIM, at_most(ring_fill(), run_to_end(ring_head))), end);
}

static void pop_many_operate(void)
{
    STEP_MARK();
    mft_ring_pop_many(&child_ring, scratch->words, RING_BATCH);
    STEP_MARK();
}

static void pop_many_after(step_end_t end)
{
    const uint64_t all = at_most(RING_BATCH, ring_fill());

    consumer_after(at_most(all, run_to_end(ring_head)), all, end);
}

/* ---- planted bugs ---- */

/* The index before the record. */
static void early_push_operate(void)
{
    mft_ring_shared_t *shared = child_ring.shared;

    STEP_MARK();
    if (mft_ring_has_room(&child_ring)) {
        atomic_store(&shared->tail, ring_tail + 1);
        memcpy(mft_ring_slot(&child_ring, ring_tail), child_records, ring_words * 8);
    }
    STEP_MARK();
}

/* The slot from a tail that the process keeps for itself, and which its successor does not know: it starts with the one
 * at which the ring began. What gets visible is an old slot, whole in itself. */
static void cached_push_operate(void)
{
    static uint64_t tail_of_this_process = 1;

    STEP_MARK();
    if (mft_ring_has_room(&child_ring)) {
        memcpy(mft_ring_slot(&child_ring, tail_of_this_process++), child_records, ring_words * 8);
        atomic_fetch_add(&child_ring.shared->tail, 1);
    }
    STEP_MARK();
}

/* The record given back before it is copied. */
static void early_pop_operate(void)
{
    mft_ring_shared_t *shared = child_ring.shared;

    STEP_MARK();
    if (mft_ring_has_records(&child_ring)) {
        atomic_store(&shared->head, ring_head + 1);
        memcpy(scratch->words, mft_ring_slot(&child_ring, ring_head), ring_words * 8);
    }
    STEP_MARK();
}

/* Each record of a batch given back alone would be right; given back before the second half is copied it is not. */
static void early_pop_many_operate(void)
{
    const uint64_t all = at_most(RING_BATCH, ring_fill());

    STEP_MARK();
    for (uint64_t i = 0; i < all; i++) {
        if (i == all / 2)
            mft_ring_release(&child_ring, all);
        memcpy(scratch->words + i * ring_words, mft_ring_slot(&child_ring, ring_head + i), ring_words * 8);
    }
    STEP_MARK();
}

#endif
