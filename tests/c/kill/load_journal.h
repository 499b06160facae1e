/* The journal under load: its writer or its drainer killed at random instants, in turn at random; the files are judged after
 * each kill, the memory all the time. */
#ifndef LOAD_JOURNAL_H
#define LOAD_JOURNAL_H

#include "journal_kinds.h"
#include "load.h"

static pid_t jn_writing, jn_draining;
static int jn_loses; /* planted: the writer takes its numbers from a count that is stored now and then */

static void jn_write_for_ever(void)
{
    const uint64_t epoch = take_role(&jn_segment, MFT_JOURNAL_WRITER);
    uint64_t record[JN_MOST_WORDS], number = 0;
    mft_journal_t tx;

    if (mft_journal_open(&tx, &jn_segment) != MFT_OK || mft_journal_take_over(&tx) != MFT_OK)
        child_fault(BLOCKED, 0, epoch);
    if (jn_loses)
        tx.sequence = *say(USED) / 64 * 64;
    for (;;) {
        const uint64_t next = tx.sequence + 1, words = jn_words(next);

        write_record(record, words, next, epoch);
        const int rc = mft_journal_append(&tx, (uint32_t)words, 1, record, words * 8, &number);
        if (rc == MFT_OK)
            __atomic_store_n(&scratch->words[USED], number, __ATOMIC_SEQ_CST); /* it was told that this one is safe */
        else if (rc != MFT_FULL)
            child_fault(WRONG, next, epoch);
        give_way();
    }
}

static void jn_drain_for_ever(void)
{
    const uint64_t epoch = take_role(&jn_segment, MFT_JOURNAL_DRAINER);
    mft_journal_t rx;
    uint64_t count;
    mft_drain_t d;

    if (mft_journal_open(&rx, &jn_segment) != MFT_OK || mft_drain_open(&d, &rx, jn_directory, jn_id) != MFT_OK)
        child_fault(BLOCKED, 0, epoch);
    for (;;) {
        const int rc = mft_drain_step(&d, &count);

        if (rc != MFT_OK && rc != MFT_EMPTY)
            child_fault(WRONG, count, epoch);
        give_way();
    }
}

/* From the oldest file on: whole records, each the next, up to where all is said to be on disk. */
static uint64_t jn_judge_load(uint64_t limit)
{
    const unsigned char *payload;
    uint64_t record[JN_MOST_WORDS], last = 0;
    mft_files_t files;
    mft_cursor_t c;
    mft_record_t r;
    int rc = MFT_OK;

    mft_cursor_init(&c, jn_directory);
    for (int tries = 0; tries < 100; tries++) { /* retention may take the oldest from under us */
        CHECK(mft_files_list(jn_directory, &files) == MFT_OK);
        rc = mft_cursor_open(&c, files.oldest);
        if (rc != MFT_E_NOT_FOUND)
            break;
    }
    while (rc == MFT_OK && (rc = mft_cursor_next(&c, limit, &r, &payload)) == MFT_OK) {
        memcpy(record, payload, r.length < sizeof record ? r.length : sizeof record);
        if (!judge(record, r.length / 8, c.sequence - 1, 1, UINT64_MAX))
            break;
        last = r.sequence;
    }
    if (tally_faults() == 0 && rc != MFT_EMPTY && !(files.oldest != c.file.number && rc < 0)) {
        mft_files_t now;

        CHECK(mft_files_list(jn_directory, &now) == MFT_OK);
        if (now.oldest <= c.file.number)
            fault(LOST, "reading the files ends with %d behind record %llu", rc, (unsigned long long)c.sequence - 1);
    }
    mft_cursor_close(&c);
    return last;
}

static void journal_under_load(void)
{
    uint64_t position, newest;

    choose_instant();
    if (!jn_writing)
        jn_writing = start(jn_write_for_ever, (uint64_t)tally.kills + 1);
    if (!jn_draining)
        jn_draining = start(jn_drain_for_ever, (uint64_t)tally.kills + 2);
    let_it_work();
    if (roll(2)) {
        kill_at_random(jn_writing);
        jn_writing = 0;
        tally.done++;
        if (mft_journal_newest(&jn_survivor, &position, &newest) != MFT_OK)
            fault(BLOCKED, "after the writer's death no mark is at the tail");
        else if (newest < *say(USED))
            fault(LOST, "record %llu was said to be safe, and the newest is %llu", (unsigned long long)*say(USED),
                  (unsigned long long)newest);
    } else {
        kill_at_random(jn_draining);
        jn_draining = 0;
        if (tally_faults() == 0)
            jn_judge_load(mft_journal_safe(&jn_survivor));
    }
}

static void jn_load_setup(void)
{
    jn_setup(MFT_JOURNAL_DRAINER);
    give_up(&jn_segment, MFT_JOURNAL_WRITER, jn_word); /* both are children here */
    jn_loses = 0;
}

static void jn_setup_numbers_of_its_own(void)
{
    jn_load_setup();
    jn_loses = 1;
}

static void jn_load_teardown(void)
{
    uint64_t position, newest, count, word, epoch = 0;
    mft_drain_t d;
    int rc;

    if (jn_writing)
        stop(jn_writing);
    if (jn_draining)
        stop(jn_draining);
    jn_writing = jn_draining = 0;
    hear_children();
    if (tally_faults() == 0) {
        CHECK(mft_role_claim(&jn_segment, MFT_JOURNAL_DRAINER, &epoch, &word) == MFT_OK);
        CHECK(mft_journal_newest(&jn_survivor, &position, &newest) == MFT_OK);
        rc = mft_drain_open(&d, &jn_survivor, jn_directory, jn_id);
        while (rc == MFT_OK)
            rc = mft_drain_step(&d, &count);
        if (rc != MFT_EMPTY)
            fault(BLOCKED, "the last drain says %d", rc);
        mft_drain_close(&d);
        tally.records = (long)newest;
        if (tally_faults() == 0 && jn_judge_load(MFT_EVERYWHERE) != newest)
            fault(LOST, "the files do not end with record %llu", (unsigned long long)newest);
    }
    jn_teardown();
}

#endif
