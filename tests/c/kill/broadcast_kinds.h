/* The broadcast: its writer killed at each instruction of a write, a reader at each instruction of taking a record, and a
 * reader stopped at each of them while the writer goes on, round all cells.
 *
 * One reader of ours keeps up through all of it, another is left behind and lapped, a third comes anew after each kill.
 * Each must get every record once, whole and in order, or know exactly how many it has lost. */
#ifndef BROADCAST_KINDS_H
#define BROADCAST_KINDS_H

#include "kind.h"
#include "mftcore/broadcast.h"

enum { CAST_CELLS = 8, CAST_WORDS = 8, CAST_KEPT = 4096 };
enum { SAID_CODE = 1000, SAID_SKIPPED, SAID_STAMP }; /* words of scratch: what the child's call returned */
#define CODE_SAID UINT64_C(1000) /* so that every code differs from "not yet" */

static mft_segment_t cast_segment;
static mft_broadcast_t cast_prompt, cast_late; /* readers */
static mft_broadcast_t cast_writer, cast_child;
static uint64_t cast_written, cast_epochs[CAST_KEPT]; /* by our own count; who wrote each record */
static uint64_t cast_epoch, cast_word;                /* of our own writer, where a reader is killed */
static unsigned char cast_before[4096];
static size_t cast_bytes;

static void cast_setup(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_BROADCAST, .version = MFT_BROADCAST_VERSION, .capacity = CAST_CELLS,
                       .record_bytes = CAST_WORDS * 8};

    spec.data_bytes = mft_cells_data_bytes(spec.capacity, spec.record_bytes);
    cast_bytes = spec.data_bytes;
    CHECK(cast_bytes <= sizeof cast_before);
    CHECK(mft_segment_make(&cast_segment, &spec) == MFT_OK);
    mft_segment_publish(&cast_segment);
    CHECK(mft_broadcast_open(&cast_prompt, &cast_segment) == MFT_OK);
    CHECK(mft_broadcast_open(&cast_late, &cast_segment) == MFT_OK);
    CHECK(mft_broadcast_open(&cast_writer, &cast_segment) == MFT_OK);
    cast_written = 0;
}

static void cast_setup_for_readers(void)
{
    cast_setup();
    CHECK(mft_role_claim(&cast_segment, MFT_BROADCAST_WRITER, &cast_epoch, &cast_word) == MFT_OK);
}

static void cast_teardown(void)
{
    mft_segment_detach(&cast_segment);
}

static void cast_write(mft_broadcast_t *writer, uint64_t epoch)
{
    const uint64_t number = cast_written + 1;
    uint64_t words[CAST_WORDS];

    write_record(words, CAST_WORDS, number, epoch);
    if (mft_seqlock_write(&writer->cells, words, epoch, (int64_t)number) != number)
        fault(WRONG, "the writer did not write record %llu", (unsigned long long)number);
    cast_epochs[number % CAST_KEPT] = epoch;
    cast_written = number;
}

/* Judge what a reader got that was to read `next`: the record behind those that it says to have skipped. */
static int cast_judge(const uint64_t *words, const mft_stamp_t *stamp, uint64_t next, uint64_t skipped)
{
    const uint64_t epoch = cast_epochs[stamp->version % CAST_KEPT];

    if (stamp->version != next + skipped)
        fault(stamp->version < next ? REPEATED : LOST, "record %llu after %llu, and %llu said to be lost",
              (unsigned long long)stamp->version, (unsigned long long)next - 1, (unsigned long long)skipped);
    else if (stamp->epoch != epoch || (uint64_t)stamp->written_ns != stamp->version)
        fault(TORN, "record %llu has epoch %llu and time %lld", (unsigned long long)stamp->version,
              (unsigned long long)stamp->epoch, (long long)stamp->written_ns);
    else
        return judge(words, CAST_WORDS, stamp->version, epoch, epoch);
    return 0;
}

/* Take a record while no writer is at work; 0: there was none. Only who is more than K - 1 behind may lose any. */
static int cast_take(mft_broadcast_t *reader)
{
    const uint64_t next = reader->next, lost = reader->lost, behind = cast_written - (next - 1);
    uint64_t words[CAST_WORDS], skipped = 0;
    mft_stamp_t stamp;
    const int rc = mft_broadcast_next(reader, words, &stamp, &skipped);

    if (rc == MFT_EMPTY && behind == 0 && skipped == 0)
        return 0;
    if (rc == MFT_EMPTY)
        fault(LOST, "a reader finds none of %llu records", (unsigned long long)behind);
    else if (rc != MFT_OK)
        fault(rc == MFT_E_CORRUPT ? REPEATED : BLOCKED, "a reader beside no writer gets %d", rc);
    else if ((skipped > 0) != (behind >= CAST_CELLS) || reader->lost != lost + skipped)
        fault(LOST, "a reader that was %llu behind lost %llu", (unsigned long long)behind, (unsigned long long)skipped);
    else
        return cast_judge(words, &stamp, next, skipped);
    return 0;
}

static void cast_catch_up(mft_broadcast_t *reader)
{
    while (tally_faults() == 0 && cast_take(reader))
        ;
    if (tally_faults() == 0 && reader->next != cast_written + 1)
        fault(LOST, "a reader stands at %llu of %llu", (unsigned long long)reader->next - 1,
              (unsigned long long)cast_written);
}

/* ---- the writer is killed ---- */

static void cast_writer_before(void)
{
    scratch->epoch = 0;
}

static void cast_writer_prepare(void)
{
    child_claims(&cast_segment, MFT_BROADCAST_WRITER);
    if (mft_broadcast_open(&cast_child, &cast_segment) != MFT_OK)
        _exit(5);
    write_record(scratch->words, CAST_WORDS, cast_written + 1, scratch->epoch);
}

static void cast_write_operate(void)
{
    const uint64_t epoch = scratch->epoch;

    STEP_MARK();
    mft_seqlock_write(&cast_child.cells, scratch->words, epoch, (int64_t)(cast_written + 1));
    STEP_MARK();
}

static void cast_writer_after(step_end_t end)
{
    const uint64_t next_cell = (derived((uint64_t)tally.kills, 0, 0) >> 32) % CAST_CELLS;
    const uint64_t newest = mft_broadcast_newest(&cast_prompt);
    mft_broadcast_t fresh, writer;
    uint64_t word, next;

    if (newest == cast_written + 1) {
        cast_epochs[++cast_written % CAST_KEPT] = scratch->epoch;
        tally.done++;
    } else if (newest != cast_written) {
        fault(newest < cast_written ? REPEATED : WRONG, "the newest record is %llu after %llu",
              (unsigned long long)newest, (unsigned long long)cast_written);
    } else if (end == STEP_FINISHED) {
        fault(LOST, "the write ended and record %llu is still the newest", (unsigned long long)newest);
    }
    cast_catch_up(&cast_prompt);
    CHECK(mft_broadcast_open(&fresh, &cast_segment) == MFT_OK);
    mft_broadcast_join(&fresh, 1);
    if (cast_written >= CAST_CELLS && cast_written - (fresh.next - 1) != CAST_CELLS - 1)
        fault(LOST, "the oldest record that is kept is said to be %llu", (unsigned long long)fresh.next);
    cast_catch_up(&fresh);
    if (tally.kills % 3 == 0)
        cast_catch_up(&cast_late);
    if (tally_faults() > 0)
        return;
    next = succeed(&cast_segment, MFT_BROADCAST_WRITER, scratch->epoch, &word);
    CHECK(mft_broadcast_open(&writer, &cast_segment) == MFT_OK);
    do { /* until the next writer begins in another cell than this one */
        cast_write(&writer, next);
        cast_catch_up(&cast_prompt);
    } while (tally_faults() == 0 && cast_written % CAST_CELLS != next_cell);
    give_up(&cast_segment, MFT_BROADCAST_WRITER, word);
}

/* ---- a reader is killed, or stopped while the writer goes on ---- */

/* A reader that is so many records behind; the place decides nothing, so that all places of a round lie on one way. */
static void cast_reader_before(void)
{
    static const int behind[] = {3, 20, 1, CAST_CELLS, CAST_CELLS - 1, 0};

    memset(scratch, 0, sizeof *scratch);
    CHECK(mft_broadcast_open(&cast_child, &cast_segment) == MFT_OK);
    mft_broadcast_join(&cast_child, 0);
    for (int i = 0; i < behind[round_number % (long)(sizeof behind / sizeof *behind)]; i++)
        cast_write(&cast_writer, cast_epoch);
    memcpy(cast_before, cast_segment.data, cast_bytes);
}

static void cast_prepare(void) {}

static void cast_next_operate(void)
{
    STEP_MARK();
    scratch->words[SAID_CODE] =
        CODE_SAID + (uint64_t)mft_broadcast_next(&cast_child, scratch->words, (mft_stamp_t *)&scratch->words[SAID_STAMP],
                                                 &scratch->words[SAID_SKIPPED]);
    STEP_MARK();
}

/* What the child was told, if it got so far. */
static void cast_judge_child(step_end_t end)
{
    const int rc = (int)(scratch->words[SAID_CODE] - CODE_SAID);

    if (scratch->words[SAID_CODE] == 0) {
        if (end == STEP_FINISHED)
            fault(BLOCKED, "the call ended and returned nothing");
        return;
    }
    tally.done++;
    if (rc == MFT_OK)
        cast_judge(scratch->words, (const mft_stamp_t *)&scratch->words[SAID_STAMP], cast_child.next,
                   scratch->words[SAID_SKIPPED]);
    else if (rc != MFT_EMPTY || cast_child.next <= cast_written - (uint64_t)tally.records)
        fault(BLOCKED, "a reader gets %d", rc);
}

static void cast_go_on(void)
{
    for (int i = 0; i < 2 && tally_faults() == 0; i++) {
        cast_write(&cast_writer, cast_epoch);
        cast_catch_up(&cast_prompt);
    }
    if (tally.kills % 3 == 0)
        cast_catch_up(&cast_late);
}

static void cast_reader_after(step_end_t end)
{
    if (memcmp(cast_before, cast_segment.data, cast_bytes) != 0)
        fault(WRONG, "a reader has written to the memory");
    tally.records = 0; /* nothing was written meanwhile */
    cast_judge_child(end);
    cast_go_on();
}

static void cast_raced_meet(pid_t child, step_end_t end)
{
    static const int meanwhile[] = {CAST_CELLS, 1, CAST_CELLS - 1, CAST_CELLS + 1, CAST_CELLS / 2, 3 * CAST_CELLS};
    const int count = meanwhile[tally.kills % (long)(sizeof meanwhile / sizeof *meanwhile)];

    tally.records = 0;
    if (end == STEP_FINISHED)
        return;
    for (int i = 0; i < count; i++)
        cast_write(&cast_writer, cast_epoch);
    tally.records = count; /* an empty broadcast may have been seen before these */
    step_to_end(child);
}

static void cast_raced_after(step_end_t end)
{
    (void)end;
    cast_judge_child(STEP_FINISHED);
    tally.records = 0;
    cast_catch_up(&cast_prompt);
    cast_go_on();
}

/* ---- planted bugs ---- */

/* The number is announced before its cell is whole. */
static void cast_early_operate(void)
{
    const uint64_t epoch = scratch->epoch, number = cast_written + 1;
    mft_seqlock_shared_t *const shared = cast_child.cells.shared;
    _Atomic(uint64_t) *const cell = mft_seqlock_cell(&cast_child.cells, number);

    STEP_MARK();
    atomic_store(&shared->begun, number);
    atomic_store(&shared->version, number);
    atomic_store(&cell[MFT_CELL_EPOCH], epoch);
    atomic_store(&cell[MFT_CELL_WRITTEN_NS], number);
    for (uint64_t i = 0; i < CAST_WORDS; i++)
        atomic_store(&cell[MFT_CELL_HEAD + i], scratch->words[i]);
    STEP_MARK();
}

/* A copy is believed without a look at what the writer did meanwhile. */
static void cast_trusting_operate(void)
{
    mft_stamp_t *const stamp = (mft_stamp_t *)&scratch->words[SAID_STAMP];

    STEP_MARK();
    mft_seqlock_copy(&cast_child.cells, cast_child.next, scratch->words, CAST_WORDS * 8, stamp);
    scratch->words[SAID_CODE] = CODE_SAID + MFT_OK;
    STEP_MARK();
}

/* A reader that notes in the shared memory how far it has come. */
static void cast_noting_operate(void)
{
    STEP_MARK();
    mft_broadcast_next(&cast_child, scratch->words, (mft_stamp_t *)&scratch->words[SAID_STAMP],
                       &scratch->words[SAID_SKIPPED]);
    atomic_store(&cast_child.cells.shared->begun, cast_child.next - 1);
    STEP_MARK();
}

#endif
