/* Values that are overwritten: seqlock and book, their writer killed at each instruction of one write.
 *
 * After each kill a reader that has been there all the time and one that comes anew must both get a whole value at
 * once: the last complete one or the one being written. Then a successor writes the next version. */
#ifndef VALUE_KINDS_H
#define VALUE_KINDS_H

#include "kind.h"
#include "mftcore/book.h"

static mft_segment_t value_segment;
static mft_seqlock_t value_reader;
static uint64_t value_words;
static uint64_t value_version, value_epoch; /* the newest complete value before the operation, and who wrote it */
static void (*value_make)(uint64_t *words, uint64_t version, uint64_t epoch);
static int (*value_whole)(const uint64_t *words, uint64_t version, uint64_t epoch);

static void plain_make(uint64_t *words, uint64_t version, uint64_t epoch)
{
    if (value_words == 1)
        words[0] = derived(version, epoch, 0);
    else
        write_record(words, value_words, version, epoch);
}

static int plain_whole(const uint64_t *words, uint64_t version, uint64_t epoch)
{
    if (value_words == 1)
        return words[0] == derived(version, epoch, 0);
    return words[SEQUENCE] == version && words[EPOCH] == epoch && whole(words, value_words);
}

static void value_setup(uint64_t bytes)
{
    mft_spec_t spec = {.kind = MFT_KIND_SEQLOCK, .version = MFT_SEQLOCK_VERSION, .record_bytes = bytes, .capacity = 1};

    value_words = bytes / 8;
    CHECK(value_words <= sizeof scratch->words / 8);
    spec.data_bytes = mft_seqlock_data_bytes(bytes);
    CHECK(mft_segment_make(&value_segment, &spec) == MFT_OK);
    mft_segment_publish(&value_segment);
    CHECK(mft_seqlock_open(&value_reader, &value_segment) == MFT_OK);
    value_version = value_epoch = 0;
    value_make = plain_make;
    value_whole = plain_whole;
}

static void value_teardown(void)
{
    mft_segment_detach(&value_segment);
}

static void setup_8_bytes(void) { value_setup(8); }
static void setup_2400_bytes(void) { value_setup(2400); }

static void value_before(void)
{
    scratch->epoch = 0;
}

static mft_seqlock_t child_writer;
static uint64_t child_value[512];

static void value_prepare(void)
{
    child_claims(&value_segment, MFT_SEQLOCK_WRITER);
    if (mft_seqlock_open(&child_writer, &value_segment) != MFT_OK)
        _exit(5);
    value_make(child_value, value_version + 1, scratch->epoch);
}

static void write_operate(void)
{
    const uint64_t epoch = scratch->epoch;

    STEP_MARK();
    mft_seqlock_write(&child_writer, child_value, epoch, (int64_t)(value_version + 1));
    STEP_MARK();
}

/* The landmarks of a write: the words of its cell, in the order in which they are stored. */
static volatile uint64_t *cell_word(long i)
{
    const uint64_t cell = (value_version + 1) % MFT_SEQLOCK_CELLS * value_reader.stride;

    if (i < 1 || (uint64_t)i > value_words)
        return NULL;
    return (volatile uint64_t *)&value_reader.shared->words[cell + MFT_CELL_HEAD + (uint64_t)i - 1];
}

static uint64_t cell_before[512];

static uint64_t cell_word_before(long i)
{
    return cell_before[i];
}

static void landmarks_before(void)
{
    value_before();
    for (long i = 1; cell_word(i); i++) {
        *cell_word(i) = ~derived(value_version + 1, 7, (uint64_t)i); /* so that each store changes something */
        cell_before[i] = *cell_word(i);
    }
}

/* A reader must get, at once, version v or v + 1 and its whole value; returns which. */
static uint64_t value_read(const mft_seqlock_t *reader, uint64_t epoch_of_the_dead)
{
    mft_stamp_t stamp;
    uint64_t words[512];
    const int rc = mft_seqlock_read(reader, words, value_words * 8, &stamp);
    const uint64_t version = rc == MFT_OK ? stamp.version : 0;
    const uint64_t epoch = version == value_version ? value_epoch : epoch_of_the_dead;

    if (rc != MFT_OK)
        fault(BLOCKED, "a read after the writer's death says %d", rc);
    else if (version < value_version)
        fault(REPEATED, "version %llu after %llu", (unsigned long long)version, (unsigned long long)value_version);
    else if (version > value_version + 1)
        fault(WRONG, "version %llu from nowhere", (unsigned long long)version);
    else if (version > 0 && !value_whole(words, version, epoch))
        fault(TORN, "version %llu is not the whole value of epoch %llu", (unsigned long long)version,
              (unsigned long long)epoch);
    else if (stamp.epoch != epoch || (uint64_t)stamp.written_ns != version)
        fault(WRONG, "version %llu has epoch %llu and time %lld", (unsigned long long)version,
              (unsigned long long)stamp.epoch, (long long)stamp.written_ns);
    return version;
}

static void value_after(step_end_t end)
{
    const uint64_t next_cell = (derived((uint64_t)tally.kills, 0, 0) >> 32) % MFT_SEQLOCK_CELLS;
    mft_seqlock_t writer, fresh;
    uint64_t words[512], word, next, seen = value_read(&value_reader, scratch->epoch);

    CHECK(mft_seqlock_open(&fresh, &value_segment) == MFT_OK);
    if (tally_faults() == 0 && value_read(&fresh, scratch->epoch) != seen)
        fault(WRONG, "two readers of a dead writer's value disagree");
    if (end == STEP_FINISHED && seen != value_version + 1)
        fault(LOST, "the write ended and version %llu is still the newest", (unsigned long long)seen);
    if (tally_faults() > 0)
        return;
    tally.done += seen == value_version + 1;
    if (seen == value_version + 1)
        value_epoch = scratch->epoch;
    next = succeed(&value_segment, MFT_SEQLOCK_WRITER, scratch->epoch, &word);
    CHECK(mft_seqlock_open(&writer, &value_segment) == MFT_OK);
    value_version = seen;
    /* Once or more, so that the next writer starts in another cell than this one, and in time in each. */
    do {
        value_make(words, value_version + 1, next);
        if (mft_seqlock_write(&writer, words, next, (int64_t)(value_version + 1)) != value_version + 1)
            fault(WRONG, "the successor did not write version %llu", (unsigned long long)value_version + 1);
        value_version++;
        value_epoch = next;
        value_read(&value_reader, next);
    } while (tally_faults() == 0 && value_version % MFT_SEQLOCK_CELLS != next_cell);
    give_up(&value_segment, MFT_SEQLOCK_WRITER, word);
}

/* ---- the very first write: there is no older value to fall back on ---- */

static void first_before(void)
{
    mft_seqlock_shared_t *shared = value_reader.shared;

    value_before();
    memset((void *)shared, 0, mft_seqlock_data_bytes(value_words * 8));
    value_version = value_epoch = 0;
}

static void setup_first(void) { value_setup(64); }

/* ---- book: changes into the master book, the window out of it, and its publication ---- */

#define NO_BOOK UINT64_MAX /* as the version that changes start from */
enum { BOOK_LEVELS = 2, BOOK_DEPTH = 3 };

static mft_master_t child_master;
static mft_level_t changes[2][2 * BOOK_DEPTH];
static uint64_t change_count[2];

/* The book of a version: BOOK_DEPTH levels a side whose prices wander and whose sizes say version and epoch. */
static mft_level_t book_level(int side, uint64_t i, uint64_t version, uint64_t epoch)
{
    const int64_t best = 1000 + (int64_t)(version % 2) + 10 * side;

    return (mft_level_t){side ? best + (int64_t)i : best - (int64_t)i,
                         (int64_t)(derived(version, epoch, 2 * i + (uint64_t)side) >> 20) + 1, (int64_t)version};
}

static void book_changes(uint64_t from, uint64_t to, uint64_t epoch)
{
    for (int side = 0; side < 2; side++) {
        uint64_t n = 0;

        for (uint64_t i = 0; i < BOOK_DEPTH; i++) { /* levels that go, then those that come or stay */
            mft_level_t gone = book_level(side, i, from, 0);
            int stays = 0;

            for (uint64_t k = 0; k < BOOK_DEPTH; k++)
                stays |= book_level(side, k, to, 0).price_ticks == gone.price_ticks;
            gone.size_lots = 0;
            if (from != NO_BOOK && !stays)
                changes[side][n++] = gone;
        }
        for (uint64_t i = 0; i < BOOK_DEPTH; i++)
            changes[side][n++] = book_level(side, i, to, epoch);
        change_count[side] = n;
    }
}

static void book_apply(mft_master_t *m)
{
    mft_master_apply(m, changes[0], change_count[0], changes[1], change_count[1]);
}

/* The window word by word, made without the master book. */
static void book_make(uint64_t *words, uint64_t version, uint64_t epoch)
{
    mft_window_t *w = (mft_window_t *)words;

    memset(words, 0, mft_window_bytes(BOOK_LEVELS));
    for (uint64_t i = 0; i < BOOK_LEVELS; i++)
        for (int side = 0; side < 2; side++)
            w->levels[2 * i + (uint64_t)side] = book_level(side, i, version, epoch);
    w->top = (mft_book_top_t){.bid_ticks = w->levels[0].price_ticks, .bid_lots = w->levels[0].size_lots,
                              .ask_ticks = w->levels[1].price_ticks, .ask_lots = w->levels[1].size_lots,
                              .n_bids = BOOK_LEVELS, .n_asks = BOOK_LEVELS,
                              .receive_ns = (int64_t)version};
}

static int book_whole(const uint64_t *words, uint64_t version, uint64_t epoch)
{
    uint64_t expected[512];

    book_make(expected, version, epoch);
    return memcmp(words, expected, mft_window_bytes(BOOK_LEVELS)) == 0;
}

static void book_setup(void)
{
    value_setup(mft_window_bytes(BOOK_LEVELS));
    value_make = book_make;
    value_whole = book_whole;
}

static void book_prepare(void)
{
    child_claims(&value_segment, MFT_SEQLOCK_WRITER);
    if (mft_seqlock_open(&child_writer, &value_segment) != MFT_OK || mft_master_init(&child_master, 64) != MFT_OK)
        _exit(5);
    book_changes(NO_BOOK, value_version, value_epoch); /* the snapshot */
    book_apply(&child_master);
    book_changes(value_version, value_version + 1, scratch->epoch);
}

static void book_operate(void)
{
    mft_window_t *w = (mft_window_t *)child_value;
    const uint64_t epoch = scratch->epoch;

    STEP_MARK();
    book_apply(&child_master);
    mft_window_fill(w, BOOK_LEVELS, &child_master, 0);
    w->top.receive_ns = (int64_t)(value_version + 1);
    mft_seqlock_write(&child_writer, w, epoch, (int64_t)(value_version + 1));
    STEP_MARK();
}

/* ---- planted bugs ---- */

/* The new version is announced before its cell is whole. */
static void early_write_operate(void)
{
    const uint64_t epoch = scratch->epoch;
    mft_seqlock_shared_t *shared = child_writer.shared;
    const uint64_t at = (value_version + 1) % MFT_SEQLOCK_CELLS * child_writer.stride;

    STEP_MARK();
    atomic_store(&shared->begun, value_version + 1);
    atomic_store(&shared->version, value_version + 1);
    atomic_store(&shared->words[at + MFT_CELL_EPOCH], epoch);
    atomic_store(&shared->words[at + MFT_CELL_WRITTEN_NS], value_version + 1);
    for (uint64_t i = 0; i < value_words; i++)
        atomic_store(&shared->words[at + MFT_CELL_HEAD + i], child_value[i]);
    STEP_MARK();
}

/* The classic seqlock: one cell, odd while it is written. */
static void classic_write(volatile uint64_t *cell, const uint64_t *words, uint64_t count)
{
    cell[0]++;
    for (uint64_t i = 0; i < count; i++)
        cell[1 + i] = words[i];
    cell[0]++;
}

static void classic_operate(void)
{
    STEP_MARK();
    classic_write(scratch->words, child_value, value_words);
    STEP_MARK();
}

/* Blocked: the counter stays odd for as long as a reader of ours tries. */
static void classic_judge(volatile uint64_t *cell)
{
    int tries = 0;

    while ((cell[0] & 1) && tries < MFT_SEQLOCK_TRIES)
        tries++;
    if (tries == MFT_SEQLOCK_TRIES)
        fault(BLOCKED, "a reader is blocked for ever by a dead writer");
    cell[0] &= ~UINT64_C(1);
}

static void classic_after(step_end_t end)
{
    (void)end;
    classic_judge(scratch->words);
}

#endif
