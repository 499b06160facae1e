/* The broadcast under load: its writer is killed while two readers read without pause, or a reader while this process
 * writes and reads. */
#ifndef LOAD_BROADCAST_H
#define LOAD_BROADCAST_H

#include "broadcast_kinds.h"
#include "load.h"

enum { READ = 900 }; /* word of scratch: records that killed readers took, in all */

static pid_t second_listener;
static uint64_t heard, heard_epoch, unstable_reads; /* by the reader of this process: records, who wrote the last */
static uint64_t (*write_record_number)(mft_seqlock_t *q, const void *record, uint64_t epoch, int64_t now_ns);
static int (*take_record)(mft_broadcast_t *b, void *record, mft_stamp_t *stamp, uint64_t *skipped);

static void load_cast_setup(void)
{
    cast_setup();
    heard = heard_epoch = unstable_reads = 0;
    write_record_number = mft_seqlock_write;
    take_record = mft_broadcast_next;
}

/* One look beside a writer at work: nothing, or the very next record but those said to be lost. FAULTS: all is well. */
static fault_t listen_once(mft_broadcast_t *reader, uint64_t *epoch, mft_stamp_t *stamp, int *rc)
{
    uint64_t words[CAST_WORDS], skipped = 0;
    const uint64_t next = reader->next;

    *stamp = (mft_stamp_t){0};
    *rc = take_record(reader, words, stamp, &skipped);
    if (*rc == MFT_EMPTY || *rc == MFT_UNSTABLE)
        return FAULTS;
    if (*rc != MFT_OK)
        return REPEATED; /* the newest number went back */
    if (words[SEQUENCE] != stamp->version || words[EPOCH] != stamp->epoch || !whole(words, CAST_WORDS) ||
        (uint64_t)stamp->written_ns != stamp->version)
        return TORN;
    if (stamp->version != next + skipped)
        return stamp->version < next ? REPEATED : LOST;
    if (stamp->epoch < *epoch)
        return WRONG;
    *epoch = stamp->epoch;
    return FAULTS;
}

static void listen_for_ever(void)
{
    mft_broadcast_t reader;
    uint64_t epoch = 0;
    mft_stamp_t stamp;
    fault_t found;
    int rc;

    if (mft_broadcast_open(&reader, &cast_segment) != MFT_OK)
        child_fault(WRONG, 0, 0);
    mft_broadcast_join(&reader, (int)roll(2));
    __atomic_add_fetch(&scratch->words[STARTS], 1, __ATOMIC_SEQ_CST);
    for (;;) {
        found = listen_once(&reader, &epoch, &stamp, &rc);
        if (found != FAULTS)
            child_fault(found, stamp.version, stamp.epoch);
        if (rc == MFT_OK)
            (*say(READ))++;
        give_way();
    }
}

static void broadcast_for_ever(void)
{
    const uint64_t epoch = take_role(&cast_segment, MFT_BROADCAST_WRITER);
    uint64_t words[CAST_WORDS];

    if (mft_broadcast_open(&cast_writer, &cast_segment) != MFT_OK)
        child_fault(WRONG, 0, epoch);
    for (uint64_t number = mft_broadcast_newest(&cast_writer) + 1;; number++) {
        write_record(words, CAST_WORDS, number, epoch);
        if (write_record_number(&cast_writer.cells, words, epoch, (int64_t)number) != number)
            child_fault(WRONG, number, epoch);
        give_way();
    }
}

static void load_cast_writers_setup(void)
{
    load_cast_setup();
    second_listener = start(listen_for_ever, 1);
    while (*say(STARTS) == 0)
        sched_yield();
}

static void load_cast_writers_teardown(void)
{
    hear_children();
    stop(second_listener);
    cast_teardown();
}

/* 1 when a record was got. */
static int listen_here(void)
{
    const uint64_t lost = cast_prompt.lost;
    mft_stamp_t stamp;
    int rc;
    const fault_t found = listen_once(&cast_prompt, &heard_epoch, &stamp, &rc);

    if (found != FAULTS)
        fault(found, "record %llu of epoch %llu, and %llu lost", (unsigned long long)stamp.version,
              (unsigned long long)stamp.epoch, (unsigned long long)(cast_prompt.lost - lost));
    unstable_reads += rc == MFT_UNSTABLE;
    heard += rc == MFT_OK;
    return rc == MFT_OK && found == FAULTS;
}

static void broadcaster_under_load(void)
{
    const uint64_t before = mft_role_epoch(&cast_segment, MFT_BROADCAST_WRITER), first = heard;
    pid_t pid;

    choose_instant();
    pid = start(broadcast_for_ever, (uint64_t)tally.kills + 1);
    while (!instant_has_come() && tally_faults() == 0) {
        listen_here();
        give_way();
    }
    kill_at_random(pid);
    tally.unstable += (long)unstable_reads;
    unstable_reads = 0;
    while (tally_faults() == 0 && listen_here()) /* to the end, at once */
        ;
    if (unstable_reads > 0)
        fault(BLOCKED, "a reader after the writer's death is unstable");
    if (tally_faults() == 0 && heard + cast_prompt.lost != mft_broadcast_newest(&cast_prompt))
        fault(LOST, "%llu records seen and %llu known to be lost, of %llu", (unsigned long long)heard,
              (unsigned long long)cast_prompt.lost, (unsigned long long)mft_broadcast_newest(&cast_prompt));
    if (tally_faults() == 0 && heard > first && heard_epoch != before + 1)
        fault(WRONG, "the newest record has epoch %llu after %llu", (unsigned long long)heard_epoch,
              (unsigned long long)before);
    tally.done += heard > first;
    tally.records += (long)(heard - first);
}

/* ---- a reader is killed: whoever writes and whoever reads notices nothing ---- */

static void listener_under_load(void)
{
    const uint64_t first = *say(READ);
    pid_t pid;

    if (tally.kills == 0)
        cast_epoch = take_role(&cast_segment, MFT_BROADCAST_WRITER);
    choose_instant();
    pid = start(listen_for_ever, (uint64_t)tally.kills + 1);
    while (!instant_has_come() && tally_faults() == 0) {
        for (uint64_t i = roll(CAST_CELLS); i > 0 && tally_faults() == 0; i--)
            cast_write(&cast_writer, cast_epoch);
        cast_catch_up(&cast_prompt); /* fewer than K records behind: none is lost, however many readers die */
        give_way();
    }
    kill_at_random(pid);
    tally.done += *say(READ) > first;
    tally.records += (long)(*say(READ) - first);
}

/* ---- planted bugs ---- */

/* The number is announced before its record is there. */
static uint64_t write_announced_early(mft_seqlock_t *q, const void *record, uint64_t epoch, int64_t now_ns)
{
    const uint64_t number = mft_seqlock_version(q) + 1;
    _Atomic(uint64_t) *const cell = mft_seqlock_cell(q, number);

    atomic_store(&q->shared->begun, number);
    atomic_store(&q->shared->version, number);
    give_way(); /* see pop_given_back_early */
    atomic_store(&cell[MFT_CELL_EPOCH], epoch);
    atomic_store(&cell[MFT_CELL_WRITTEN_NS], (uint64_t)now_ns);
    for (uint64_t i = 0; i < CAST_WORDS; i++)
        atomic_store(&cell[MFT_CELL_HEAD + i], ((const uint64_t *)record)[i]);
    return number;
}

/* A reader that notes in the shared memory how far it has come. */
static int take_and_note(mft_broadcast_t *b, void *record, mft_stamp_t *stamp, uint64_t *skipped)
{
    const uint64_t newest = mft_broadcast_newest(b);
    const int rc = mft_broadcast_next(b, record, stamp, skipped);

    give_way();
    atomic_store(&b->cells.shared->version, newest);
    return rc;
}

static void load_cast_setup_announced_early(void)
{
    load_cast_setup();
    write_record_number = write_announced_early;
    second_listener = start(listen_for_ever, 1);
    while (*say(STARTS) == 0)
        sched_yield();
}

static void load_cast_setup_noting(void)
{
    load_cast_setup();
    take_record = take_and_note;
}

#endif
