/* The ring of messages: its producer or consumer killed at each instruction of a call, also where a message goes over the
 * end of the memory, and on a full ring. Lengths differ, and are known to the judge besides the contents. */
#ifndef BYTE_KINDS_H
#define BYTE_KINDS_H

#include "kind.h"
#include "mftcore/byte_ring.h"

enum { BYTES = 65536, LEAST_WORDS = 3, MOST_WORDS = 1027, MESSAGES = 3, KEPT = 4096 };

static mft_segment_t bytes_segment;
static mft_bytes_t bytes_survivor;
static uint64_t bytes_pushed, bytes_popped;                  /* messages, by our own count: strict sequence */
static uint64_t bytes_words[KEPT], bytes_epochs[KEPT];        /* of the messages in the ring, by sequence */
static uint64_t bytes_tail, bytes_head, bytes_fitting;        /* before the operation; messages of it that fit */
static uint64_t bytes_survivor_epoch, bytes_survivor_word;
static unsigned bytes_child_role;

static uint64_t message_words(uint64_t sequence)
{
    return LEAST_WORDS + sequence * 7 % 20;
}

static int bytes_push(mft_bytes_t *tx, uint64_t count, uint64_t epoch)
{
    uint64_t words[MOST_WORDS];
    int rc;

    write_record(words, count, bytes_pushed, epoch);
    rc = mft_bytes_push(tx, words, count * 8);
    if (rc == MFT_OK) {
        bytes_words[bytes_pushed % KEPT] = count;
        bytes_epochs[bytes_pushed++ % KEPT] = epoch;
    }
    return rc;
}

static int judge_message(const unsigned char *place, uint64_t length, uint64_t sequence)
{
    const uint64_t count = bytes_words[sequence % KEPT], epoch = bytes_epochs[sequence % KEPT];
    uint64_t words[MOST_WORDS];

    if (length != count * 8) {
        fault(TORN, "message %llu has %llu bytes, not %llu", (unsigned long long)sequence, (unsigned long long)length,
              (unsigned long long)count * 8);
        return 0;
    }
    memcpy(words, place, length);
    return judge(words, count, sequence, epoch, epoch);
}

/* Pop until the ring is empty; each message must be the next one. Returns how many. */
static uint64_t bytes_drain(mft_bytes_t *rx)
{
    const unsigned char *place;
    uint64_t length, count = 0;
    int rc;

    while ((rc = mft_bytes_peek(rx, &place, &length)) == MFT_OK) {
        if (bytes_popped == bytes_pushed)
            fault(WRONG, "a message from nowhere");
        if (tally_faults() > 0 || !judge_message(place, length, bytes_popped))
            return count;
        mft_bytes_take(rx, length);
        mft_bytes_release(rx);
        bytes_popped++;
        count++;
    }
    if (rc != MFT_EMPTY)
        fault(TORN, "looking for a message says %d", rc);
    return count;
}

/* The counters are those of our own count, whoever died where. */
static void judge_counters(void)
{
    mft_bytes_counters_t c;

    CHECK(mft_bytes_counters(&bytes_survivor, &c) == MFT_OK);
    if (c.pushed != bytes_pushed || c.popped != bytes_popped)
        fault(WRONG, "%llu messages counted as pushed and %llu as popped, not %llu and %llu",
              (unsigned long long)c.pushed, (unsigned long long)c.popped, (unsigned long long)bytes_pushed,
              (unsigned long long)bytes_popped);
}

static void bytes_setup(unsigned child_role)
{
    mft_spec_t spec = {.kind = MFT_KIND_BYTES, .version = MFT_BYTES_VERSION, .record_bytes = 1, .capacity = BYTES,
                       .data_bytes = mft_bytes_data_bytes(BYTES)};

    CHECK(mft_segment_make(&bytes_segment, &spec) == MFT_OK);
    mft_segment_publish(&bytes_segment);
    CHECK(mft_segment_mirror(&bytes_segment, BYTES) == MFT_OK);
    CHECK(mft_bytes_open(&bytes_survivor, &bytes_segment) == MFT_OK);
    CHECK(mft_role_claim(&bytes_segment, !child_role, &bytes_survivor_epoch, &bytes_survivor_word) == MFT_OK);
    bytes_child_role = child_role;
    bytes_pushed = bytes_popped = 0;
}

static void bytes_producer_setup(void) { bytes_setup(MFT_BYTES_PRODUCER); }
static void bytes_consumer_setup(void) { bytes_setup(MFT_BYTES_CONSUMER); }

static void bytes_teardown(void)
{
    mft_segment_detach(&bytes_segment);
}

/* Go to this round's place in the memory, with two short messages unread, or in every fourth round a full ring. */
static void bytes_arrange(mft_bytes_t *tx, uint64_t epoch, mft_bytes_t *rx)
{
    static const uint64_t places[] = {BYTES - 40, BYTES - 8, 0, 4096, BYTES - 96};
    const uint64_t there = places[round_number % (long)(sizeof places / sizeof *places)];
    const uint64_t ahead = bytes_child_role == MFT_BYTES_PRODUCER ? 2 * mft_bytes_taken(LEAST_WORDS * 8) : 0;
    uint64_t way = (there - ahead - mft_bytes_at(atomic_load(&tx->shared->tail))) % BYTES;

    if (way > 0 && way < mft_bytes_taken(LEAST_WORDS * 8))
        way += BYTES;
    while (way > 0) {
        const uint64_t step = way <= mft_bytes_taken(MOST_WORDS * 8) ? way : 8192;

        CHECK(bytes_push(tx, step / 8 - 1, epoch) == MFT_OK);
        way -= step;
        bytes_drain(rx);
    }
    for (int i = 0; i < 2; i++)
        CHECK(bytes_push(tx, LEAST_WORDS, epoch) == MFT_OK);
    if (round_number % 4 == 3) {
        while (bytes_push(tx, 1024, epoch) == MFT_OK)
            ;
        while (bytes_push(tx, LEAST_WORDS, epoch) == MFT_OK)
            ;
    }
    bytes_tail = mft_bytes_at(atomic_load(&tx->shared->tail));
    bytes_head = mft_bytes_at(atomic_load(&tx->shared->head));
}

/* ---- the producer is killed ---- */

static mft_bytes_t child_bytes;

static void bytes_producer_before(void)
{
    uint64_t word, epoch = 0, room;
    mft_bytes_t tx;

    CHECK(mft_role_claim(&bytes_segment, MFT_BYTES_PRODUCER, &epoch, &word) == MFT_OK);
    CHECK(mft_bytes_open(&tx, &bytes_segment) == MFT_OK);
    bytes_arrange(&tx, epoch, &bytes_survivor);
    give_up(&bytes_segment, MFT_BYTES_PRODUCER, word);
    room = BYTES - (bytes_tail - bytes_head);
    bytes_fitting = 0;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        const uint64_t taken = mft_bytes_taken(message_words(bytes_pushed + i) * 8);

        if (taken > room)
            break;
        room -= taken;
        bytes_fitting++;
    }
}

static void bytes_producer_prepare(void)
{
    child_claims(&bytes_segment, MFT_BYTES_PRODUCER);
    if (mft_bytes_open(&child_bytes, &bytes_segment) != MFT_OK)
        _exit(5);
    write_record(scratch->words, message_words(bytes_pushed), bytes_pushed, scratch->epoch);
}

static void bytes_push_operate(void)
{
    const uint64_t length = message_words(bytes_pushed) * 8;

    STEP_MARK();
    mft_bytes_push(&child_bytes, scratch->words, length);
    STEP_MARK();
}

/* Some messages written in place, and committed at once. */
static void bytes_claim_operate(void)
{
    const uint64_t epoch = scratch->epoch;
    unsigned char *place;

    STEP_MARK();
    for (uint64_t i = 0; i < MESSAGES; i++) {
        const uint64_t count = message_words(bytes_pushed + i);

        if (mft_bytes_claim(&child_bytes, count * 8, &place) != MFT_OK)
            break;
        write_record((uint64_t *)(void *)place, count, bytes_pushed + i, epoch);
        mft_bytes_put(&child_bytes, place, count * 8);
    }
    mft_bytes_commit(&child_bytes);
    STEP_MARK();
}

/* All messages of the call are there, or none. */
static void bytes_producer_after(uint64_t all, step_end_t end)
{
    const uint64_t moved = mft_bytes_at(atomic_load(&bytes_survivor.shared->tail)) - bytes_tail, epoch = scratch->epoch;
    const uint64_t unread = bytes_pushed - bytes_popped, visible = moved > 0 ? all : 0;
    mft_bytes_t successor;
    uint64_t word, next;

    for (uint64_t i = 0; i < visible; i++) {
        bytes_words[bytes_pushed % KEPT] = message_words(bytes_pushed);
        bytes_epochs[bytes_pushed++ % KEPT] = epoch;
    }
    judge_counters();
    if (bytes_drain(&bytes_survivor) != unread + visible && tally_faults() == 0)
        fault(LOST, "some of %llu published messages are not there", (unsigned long long)visible);
    if (end == STEP_FINISHED && visible != all)
        fault(LOST, "the call ended and its messages are not there");
    tally.done += visible > 0;
    next = succeed(&bytes_segment, MFT_BYTES_PRODUCER, epoch, &word);
    if (tally_faults() > 0)
        return;
    CHECK(mft_bytes_open(&successor, &bytes_segment) == MFT_OK);
    for (int i = 0; i < 3; i++)
        CHECK(bytes_push(&successor, message_words(bytes_pushed), next) == MFT_OK);
    bytes_drain(&bytes_survivor);
    if (tally_faults() == 0)
        give_up(&bytes_segment, MFT_BYTES_PRODUCER, word);
}

static void bytes_push_after(step_end_t end)
{
    bytes_producer_after(bytes_fitting > 0, end);
}

static void bytes_claim_after(step_end_t end)
{
    bytes_producer_after(bytes_fitting, end);
}

/* ---- the consumer is killed ---- */

static void bytes_consumer_before(void)
{
    uint64_t word, epoch = 0;
    mft_bytes_t rx;

    CHECK(mft_role_claim(&bytes_segment, MFT_BYTES_CONSUMER, &epoch, &word) == MFT_OK);
    CHECK(mft_bytes_open(&rx, &bytes_segment) == MFT_OK);
    bytes_arrange(&bytes_survivor, bytes_survivor_epoch, &rx);
    give_up(&bytes_segment, MFT_BYTES_CONSUMER, word);
    memset(scratch, 0, sizeof *scratch);
}

static void bytes_consumer_prepare(void)
{
    child_claims(&bytes_segment, MFT_BYTES_CONSUMER);
    if (mft_bytes_open(&child_bytes, &bytes_segment) != MFT_OK)
        _exit(5);
}

static void bytes_take_operate(void)
{
    const unsigned char *place;
    uint64_t length, at = 0;

    STEP_MARK();
    for (int i = 0; i < 2 && mft_bytes_peek(&child_bytes, &place, &length) == MFT_OK; i++) {
        memcpy(scratch->words + at, place, length);
        at += length / 8;
        mft_bytes_take(&child_bytes, length);
    }
    mft_bytes_release(&child_bytes);
    STEP_MARK();
}

/* Both messages were given back, having been copied whole, or both are seen again. */
static void bytes_take_after(step_end_t end)
{
    const uint64_t moved = mft_bytes_at(atomic_load(&bytes_survivor.shared->head)) - bytes_head, epoch = scratch->epoch;
    mft_bytes_t successor;
    uint64_t word, at = 0;

    if (moved != 0 && moved != 2 * mft_bytes_taken(LEAST_WORDS * 8))
        fault(TORN, "%llu bytes were given back", (unsigned long long)moved);
    if (end == STEP_FINISHED && moved == 0)
        fault(REPEATED, "the call ended and its messages were not given back");
    for (int i = 0; moved > 0 && i < 2; i++) {
        const uint64_t length = bytes_words[bytes_popped % KEPT] * 8;

        judge_message((unsigned char *)(scratch->words + at), length, bytes_popped++);
        at += length / 8;
    }
    judge_counters();
    tally.done += moved > 0;
    tally.gone += moved > 0 && end != STEP_FINISHED ? 2 : 0;
    tally.again += moved > 0 ? 0 : 2;
    if (tally_faults() > 0)
        return;
    bytes_push(&bytes_survivor, LEAST_WORDS, bytes_survivor_epoch); /* the survivor goes on, if there is room */
    succeed(&bytes_segment, MFT_BYTES_CONSUMER, epoch, &word);
    CHECK(mft_bytes_open(&successor, &bytes_segment) == MFT_OK);
    bytes_drain(&successor);
    if (bytes_popped != bytes_pushed && tally_faults() == 0)
        fault(LOST, "%llu messages are not there", (unsigned long long)(bytes_pushed - bytes_popped));
    if (tally_faults() == 0)
        give_up(&bytes_segment, MFT_BYTES_CONSUMER, word);
}

/* ---- planted bugs ---- */

/* The count in a word of its own, written before the index: the successor's is too large. */
static void bytes_miscounted_operate(void)
{
    const uint64_t length = message_words(bytes_pushed) * 8;
    mft_bytes_shared_t *const shared = child_bytes.shared;
    unsigned char *place;

    STEP_MARK();
    if (mft_bytes_claim(&child_bytes, length, &place) == MFT_OK) {
        memcpy(place, scratch->words, length);
        mft_bytes_put(&child_bytes, place, length);
        atomic_fetch_add(&shared->pushed[atomic_load(&shared->tail) & MFT_BYTES_WHICH], 1);
        atomic_fetch_add(&shared->tail, child_bytes.pending);
    }
    STEP_MARK();
}

/* Each message committed before its length is there. */

static void bytes_early_operate(void)
{
    const uint64_t length = message_words(bytes_pushed) * 8;
    unsigned char *place;

    STEP_MARK();
    if (mft_bytes_claim(&child_bytes, length, &place) == MFT_OK) {
        memcpy(place, scratch->words, length);
        child_bytes.pending = mft_bytes_taken(length);
        child_bytes.pending_messages = 1;
        mft_bytes_commit(&child_bytes);
        mft_bytes_put(&child_bytes, place, length);
    }
    STEP_MARK();
}

#endif
