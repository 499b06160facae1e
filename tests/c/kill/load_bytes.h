/* The ring of messages under load: the producer, the consumer, or both in turn are killed at random instants. A message is
 * a record whose length follows from its sequence number; producers take the number from the ring's own counter, which
 * must therefore be exact whoever was killed. */
#ifndef LOAD_BYTES_H
#define LOAD_BYTES_H

#include "load.h"
#include "mftcore/byte_ring.h"

enum { LOAD_BYTES = 65536, LONGEST_WORDS = 3000 };

static mft_segment_t messages_segment;
static mft_bytes_t messages_end; /* of this process */
static uint64_t next_message, messages_epoch;
static int (*push_message)(mft_bytes_t *r, const void *message, uint64_t length);
static int (*pop_message)(mft_bytes_t *r, uint64_t *words, uint64_t *length);

static uint64_t words_of(uint64_t sequence)
{
    return 2 + sequence * 7 % (sequence % 32 == 0 ? LONGEST_WORDS - 2 : 60);
}

static uint64_t messages_count(const _Atomic(uint64_t) *index, const _Atomic(uint64_t) *counts)
{
    return atomic_load(&counts[atomic_load(index) & MFT_BYTES_WHICH]);
}

/* Of the side whose only holder we are, or when it stands still. */
static uint64_t messages_pushed(void) { return messages_count(&messages_end.shared->tail, messages_end.shared->pushed); }
static uint64_t messages_popped(void) { return messages_count(&messages_end.shared->head, messages_end.shared->popped); }

/* Copied out, then given back. */
static int pop_copied(mft_bytes_t *r, uint64_t *words, uint64_t *length)
{
    const unsigned char *place;
    const int rc = mft_bytes_peek(r, &place, length);

    if (rc != MFT_OK)
        return rc;
    memcpy(words, place, *length <= LONGEST_WORDS * 8 ? *length : 0);
    mft_bytes_take(r, *length);
    mft_bytes_release(r);
    return MFT_OK;
}

static void messages_setup(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_BYTES, .version = MFT_BYTES_VERSION, .record_bytes = 1, .capacity = LOAD_BYTES,
                       .data_bytes = mft_bytes_data_bytes(LOAD_BYTES)};

    CHECK(mft_segment_make(&messages_segment, &spec) == MFT_OK);
    CHECK(mft_segment_mirror(&messages_segment, LOAD_BYTES) == MFT_OK);
    mft_segment_publish(&messages_segment);
    CHECK(mft_bytes_open(&messages_end, &messages_segment) == MFT_OK);
    next_message = 0;
    push_message = mft_bytes_push;
    pop_message = pop_copied;
}

static void messages_teardown(void)
{
    mft_segment_detach(&messages_segment);
}

/* Some messages one by one, or written in place and committed together. */
static void push_messages(uint64_t epoch)
{
    uint64_t words[LONGEST_WORDS], sequence = messages_pushed();
    const uint64_t count = 1 + roll(LOAD_BATCH);
    unsigned char *place;

    if (push_message != mft_bytes_push || roll(2)) {
        write_record(words, words_of(sequence), sequence, epoch);
        push_message(&messages_end, words, words_of(sequence) * 8);
        return;
    }
    for (uint64_t i = 0; i < count; i++, sequence++) {
        if (mft_bytes_claim(&messages_end, words_of(sequence) * 8, &place) != MFT_OK)
            break;
        write_record((uint64_t *)(void *)place, words_of(sequence), sequence, epoch);
        mft_bytes_put(&messages_end, place, words_of(sequence) * 8);
    }
    mft_bytes_commit(&messages_end);
}

static void produce_messages(void)
{
    const uint64_t epoch = take_role(&messages_segment, MFT_BYTES_PRODUCER);

    if (mft_bytes_open(&messages_end, &messages_segment) != MFT_OK)
        child_fault(WRONG, messages_pushed(), epoch);
    for (;;) {
        push_messages(epoch);
        give_way();
    }
}

/* ---- the producer is killed; this process consumes all the time ---- */

static void drain_messages(uint64_t epoch)
{
    uint64_t words[LONGEST_WORDS], length;
    int rc;

    while (tally_faults() == 0 && (rc = pop_message(&messages_end, words, &length)) != MFT_EMPTY) {
        if (rc != MFT_OK || length != words_of(next_message) * 8)
            fault(TORN, "message %llu: code %d, %llu bytes", (unsigned long long)next_message, rc,
                  (unsigned long long)length);
        else
            judge(words, length / 8, next_message++, epoch, epoch);
    }
}

static void messages_producer_under_load(void)
{
    const uint64_t before = mft_role_epoch(&messages_segment, MFT_BYTES_PRODUCER), first = next_message;
    mft_bytes_counters_t c;
    pid_t pid;

    choose_instant();
    pid = start(produce_messages, (uint64_t)tally.kills + 1);
    while (!instant_has_come() && tally_faults() == 0) {
        drain_messages(before + 1);
        give_way();
    }
    kill_at_random(pid);
    drain_messages(before + 1);
    CHECK(mft_bytes_counters(&messages_end, &c) == MFT_OK);
    if (tally_faults() == 0 && (c.pushed != next_message || c.popped != next_message || c.used_bytes != 0))
        fault(LOST, "%llu messages seen, %llu counted as pushed, %llu as popped", (unsigned long long)next_message,
              (unsigned long long)c.pushed, (unsigned long long)c.popped);
    tally.done += next_message > first;
    tally.records += (long)(next_message - first);
}

/* ---- the consumer is killed ---- */

static void use_message(const uint64_t *words, uint64_t length, uint64_t sequence)
{
    if (length != words_of(sequence) * 8)
        child_fault(TORN, sequence, length);
    child_judges(words, length / 8, sequence, *say(LAST_EPOCH), mft_role_epoch(&messages_segment, MFT_BYTES_PRODUCER));
    *say(LAST_EPOCH) = words[EPOCH];
    *say(USED) = sequence + 1;
}

static void consume_messages(void)
{
    uint64_t words[LONGEST_WORDS], length;
    const unsigned char *place;

    take_role(&messages_segment, MFT_BYTES_CONSUMER);
    if (mft_bytes_open(&messages_end, &messages_segment) != MFT_OK)
        child_fault(WRONG, messages_popped(), 0);
    (*say(CONSUMERS))++;
    for (;;) {
        const uint64_t head = messages_popped(), most = 1 + roll(LOAD_BATCH);
        uint64_t count = 0;
        int rc = MFT_OK;

        give_way();
        if (pop_message != pop_copied || roll(2)) {
            rc = pop_message(&messages_end, words, &length);
            if (rc == MFT_OK)
                use_message(words, length, head);
        } else {
            while (count < most && (rc = mft_bytes_peek(&messages_end, &place, &length)) == MFT_OK) {
                use_message((const uint64_t *)(const void *)place, length, head + count++);
                mft_bytes_take(&messages_end, length);
            }
            mft_bytes_release(&messages_end);
        }
        if (rc < 0)
            child_fault(TORN, head, 0);
    }
}

static void messages_consumer_under_load(void)
{
    const uint64_t head = messages_popped(), consumers = *say(CONSUMERS);
    uint64_t pushed;
    pid_t pid;

    if (tally.kills == 0)
        messages_epoch = take_role(&messages_segment, MFT_BYTES_PRODUCER);
    choose_instant();
    pid = start(consume_messages, (uint64_t)tally.kills + 1);
    while (!instant_has_come()) {
        push_messages(messages_epoch);
        give_way();
    }
    kill_at_random(pid);
    judge_consumer(messages_popped(), head, consumers);
    do { /* the survivor has exactly the room that was given back */
        const uint64_t used = mft_bytes_at(atomic_load(&messages_end.shared->tail)) -
                              mft_bytes_at(atomic_load(&messages_end.shared->head));

        pushed = messages_pushed();
        push_messages(messages_epoch);
        if (push_message == mft_bytes_push && pushed == messages_pushed() &&
            mft_bytes_taken(words_of(pushed) * 8) <= LOAD_BYTES - used)
            fault(BLOCKED, "there is room and the producer cannot push");
    } while (pushed != messages_pushed() && tally_faults() == 0);
}

static void messages_both_under_load(void)
{
    both_in_turn(produce_messages, consume_messages, messages_popped);
}

static void messages_both_teardown(void)
{
    both_stop();
    messages_teardown();
}

/* ---- planted bugs ---- */

/* The message is published before it is there. */
static int push_announced_early(mft_bytes_t *r, const void *message, uint64_t length)
{
    unsigned char *place = NULL;
    const int rc = mft_bytes_claim(r, length, &place);

    if (rc != MFT_OK)
        return rc;
    mft_bytes_put(r, place, length);
    mft_bytes_commit(r);
    give_way(); /* see pop_given_back_early */
    memcpy(place, message, length);
    return MFT_OK;
}

static int pop_message_given_back_early(mft_bytes_t *r, uint64_t *words, uint64_t *length)
{
    const unsigned char *place;
    const int rc = mft_bytes_peek(r, &place, length);

    if (rc != MFT_OK)
        return rc;
    mft_bytes_take(r, *length);
    mft_bytes_release(r);
    give_way();
    memcpy(words, place, *length <= LONGEST_WORDS * 8 ? *length : 0);
    return MFT_OK;
}

static void messages_setup_announced_early(void)
{
    messages_setup();
    push_message = push_announced_early;
}

static void messages_setup_given_back_early(void)
{
    messages_setup();
    pop_message = pop_message_given_back_early;
}

#endif
