/* The ring under load: the producer, the consumer, or both in turn are killed at random instants. */
#ifndef LOAD_RING_H
#define LOAD_RING_H

#include "load.h"
#include "mftcore/ring.h"

enum { LOAD_CAPACITY = 64, LOAD_WORDS = 8 };

static mft_segment_t load_segment;
static mft_ring_t end_point; /* of this process */
static uint64_t next_sequence, producer_epoch;
static int (*push_record)(mft_ring_t *r, const void *record);
static int (*pop_record)(mft_ring_t *r, void *record);
static int consumer_sleeps; /* until it is rung, or its time is over */

static void load_setup(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_RING, .version = MFT_RING_VERSION, .capacity = LOAD_CAPACITY,
                       .record_bytes = LOAD_WORDS * 8};

    spec.data_bytes = mft_ring_data_bytes(spec.capacity, spec.record_bytes);
    CHECK(mft_segment_make(&load_segment, &spec) == MFT_OK);
    mft_segment_publish(&load_segment);
    CHECK(mft_ring_open(&end_point, &load_segment) == MFT_OK);
    next_sequence = 0;
    push_record = mft_ring_push;
    pop_record = mft_ring_pop;
    consumer_sleeps = 0;
}

static void load_setup_sleeping(void)
{
    load_setup();
    consumer_sleeps = 1;
}

static void load_teardown(void)
{
    mft_segment_detach(&load_segment);
}

static uint64_t load_tail(void) { return atomic_load(&end_point.shared->tail); }
static uint64_t load_head(void) { return atomic_load(&end_point.shared->head); }

/* Push one record or some, in one of the ways there are; the sequence is the position in the stream. */
static void push_some(uint64_t epoch)
{
    uint64_t words[LOAD_BATCH * LOAD_WORDS], count = 1 + roll(LOAD_BATCH);
    const uint64_t tail = load_tail();
    const uint64_t way = push_record == mft_ring_push ? roll(3) : 0;
    void *place;

    if (way == 0)
        count = 1;
    if (way < 2)
        for (uint64_t i = 0; i < count; i++)
            write_record(words + i * LOAD_WORDS, LOAD_WORDS, tail + i, epoch);
    if (way == 0) {
        push_record(&end_point, words);
    } else if (way == 1) {
        mft_ring_push_many(&end_point, words, count);
    } else if (mft_ring_claim(&end_point, &count, &place) == MFT_OK) {
        for (uint64_t i = 0; i < count; i++)
            write_record((uint64_t *)place + i * LOAD_WORDS, LOAD_WORDS, tail + i, epoch);
        mft_ring_commit(&end_point, count);
    }
}

static void produce(void)
{
    const uint64_t epoch = take_role(&load_segment, MFT_RING_PRODUCER);

    if (mft_ring_open(&end_point, &load_segment) != MFT_OK)
        child_fault(WRONG, load_head(), epoch);
    for (;;) {
        push_some(epoch);
        give_way();
        if (consumer_sleeps) {
            mft_ring_ring_records(&end_point);
            if (roll(8) == 0)
                nanosleep(&(struct timespec){0, 30000}, NULL);
        }
    }
}

/* ---- the producer is killed; this process consumes all the time ---- */

static void drain(uint64_t epoch)
{
    uint64_t words[LOAD_BATCH * LOAD_WORDS];
    int64_t n;

    do {
        n = mft_ring_pop_many(&end_point, words, LOAD_BATCH);
        if (n < 0)
            fault(LOST, "popping says %lld", (long long)n);
        for (int64_t i = 0; i < n && tally_faults() == 0; i++)
            judge(words + i * LOAD_WORDS, LOAD_WORDS, next_sequence++, epoch, epoch);
    } while (n > 0 && tally_faults() == 0);
}

/* Where the ring rests empty, sleep; a producer killed before it rings costs one timeout and no record. */
static void sleep_if_empty(void)
{
    mft_bell_t *bell = &end_point.shared->records;
    const int64_t longest_sleep_ns = mft_bell_want(bell);
    const uint32_t armed = mft_bell_arm(bell);

    if (!mft_ring_has_records(&end_point))
        mft_bell_sleep(bell, armed, longest_sleep_ns / 10);
    mft_bell_disarm(bell, armed);
}

static void producer_under_load(void)
{
    const uint64_t before = mft_role_epoch(&load_segment, MFT_RING_PRODUCER), first = next_sequence;
    pid_t pid;
    uint64_t after;

    choose_instant();
    pid = start(produce, (uint64_t)tally.kills + 1);

    while (!instant_has_come() && tally_faults() == 0) {
        drain(before + 1);
        give_way();
        if (consumer_sleeps)
            sleep_if_empty();
    }
    kill_at_random(pid);
    if (tally_faults() == 0)
        drain(before + 1);
    after = mft_role_epoch(&load_segment, MFT_RING_PRODUCER);
    if (after != before && after != before + 1)
        fault(WRONG, "epoch %llu after %llu", (unsigned long long)after, (unsigned long long)before);
    if (load_tail() != next_sequence && tally_faults() == 0)
        fault(LOST, "%llu records were published and %llu seen", (unsigned long long)load_tail(),
              (unsigned long long)next_sequence);
    tally.done += next_sequence > first;
    tally.records += (long)(next_sequence - first);
}

/* ---- the consumer is killed ---- */

static void use(const uint64_t *words, uint64_t sequence)
{
    child_judges(words, LOAD_WORDS, sequence, *say(LAST_EPOCH), mft_role_epoch(&load_segment, MFT_RING_PRODUCER));
    *say(LAST_EPOCH) = words[EPOCH];
    *say(USED) = sequence + 1;
}

static void consume(void)
{
    uint64_t words[LOAD_BATCH * LOAD_WORDS];
    const void *place;

    take_role(&load_segment, MFT_RING_CONSUMER);
    if (mft_ring_open(&end_point, &load_segment) != MFT_OK)
        child_fault(WRONG, load_head(), 0);
    (*say(CONSUMERS))++;
    for (;;) {
        const uint64_t head = load_head(), way = pop_record == mft_ring_pop ? roll(3) : 0;
        uint64_t count = 1 + roll(LOAD_BATCH);

        give_way();
        if (way == 0) {
            count = pop_record(&end_point, words) == MFT_OK;
        } else if (way == 1) {
            count = (uint64_t)mft_ring_pop_many(&end_point, words, count);
        } else {
            if (mft_ring_peek(&end_point, &count, &place) != MFT_OK)
                continue;
            for (uint64_t i = 0; i < count; i++)
                use((const uint64_t *)place + i * LOAD_WORDS, head + i);
            mft_ring_release(&end_point, count);
            continue;
        }
        for (uint64_t i = 0; i < count; i++)
            use(words + i * LOAD_WORDS, head + i);
    }
}

static void consumer_under_load(void)
{
    const uint64_t head = load_head(), consumers = *say(CONSUMERS);
    pid_t pid;

    if (tally.kills == 0)
        producer_epoch = take_role(&load_segment, MFT_RING_PRODUCER);
    choose_instant();
    pid = start(consume, (uint64_t)tally.kills + 1);
    while (!instant_has_come()) {
        push_some(producer_epoch);
        give_way();
    }
    kill_at_random(pid);
    judge_consumer(load_head(), head, consumers);
    while (load_tail() - load_head() < LOAD_CAPACITY) { /* the survivor has exactly the room that was given back */
        const uint64_t tail = load_tail();

        push_some(producer_epoch);
        if (push_record == mft_ring_push && tail == load_tail()) {
            fault(BLOCKED, "there is room and the producer cannot push");
            return;
        }
    }
}

/* ---- both, in turn at random ---- */

static void both_under_load(void)
{
    both_in_turn(produce, consume, load_head);
}

static void both_teardown(void)
{
    both_stop();
    load_teardown();
}

/* ---- planted bugs ---- */

/* The slot from a tail that the process keeps for itself from its first push on, counted from its own beginning. */
static int push_with_tail_of_its_own(mft_ring_t *r, const void *record)
{
    static uint64_t tail;

    if (!mft_ring_has_room(r))
        return MFT_FULL;
    memcpy(mft_ring_slot(r, tail++), record, r->record_bytes);
    atomic_fetch_add(&r->shared->tail, 1);
    return MFT_OK;
}

static int pop_given_back_early(mft_ring_t *r, void *record)
{
    const uint64_t head = atomic_load(&r->shared->head);

    if (!mft_ring_has_records(r))
        return MFT_EMPTY;
    atomic_store(&r->shared->head, head + 1);
    give_way(); /* as a preemption does, which on a core of its own never comes here */
    memcpy(record, mft_ring_slot(r, head), r->record_bytes);
    return MFT_OK;
}

static void setup_tail_of_its_own(void)
{
    load_setup();
    push_record = push_with_tail_of_its_own;
}

static void setup_given_back_early(void)
{
    load_setup();
    pop_record = pop_given_back_early;
}

#endif
