/* Seqlock and book under load: the writer is killed at random instants while readers read without pause. */
#ifndef LOAD_VALUE_H
#define LOAD_VALUE_H

#include "load.h"
#include "value_kinds.h"

typedef struct {
    uint64_t version, epoch; /* the newest that this reader has seen */
    long unstable;
} seen_t;

static seen_t my_view;
static pid_t second_reader;
static int book_under_load;

/* One read while the writer may be at work: a whole value, of no older version and epoch than before. */
static int read_once(seen_t *seen, mft_stamp_t *stamp, fault_t *found)
{
    uint64_t words[512];
    const int rc = mft_seqlock_read(&value_reader, words, value_words * 8, stamp);

    if (rc == MFT_UNSTABLE) {
        seen->unstable++;
        return 1;
    }
    *found = stamp->version < seen->version                                                  ? REPEATED
             : stamp->epoch < seen->epoch                                                    ? WRONG
             : stamp->version > 0 && !value_whole(words, stamp->version, stamp->epoch) ? TORN
                                                                                             : FAULTS;
    seen->version = stamp->version;
    seen->epoch = stamp->epoch;
    return *found == FAULTS;
}

static void read_for_ever(void)
{
    seen_t seen = {0, 0, 0};
    mft_stamp_t stamp;
    fault_t found;

    for (;;)
        if (!read_once(&seen, &stamp, &found))
            child_fault(found, stamp.version, stamp.epoch);
}

static void write_for_ever(void)
{
    const uint64_t epoch = take_role(&value_segment, MFT_SEQLOCK_WRITER);
    uint64_t version = mft_seqlock_version(&value_reader), words[512];
    mft_stamp_t stamp;

    if (mft_seqlock_open(&child_writer, &value_segment) != MFT_OK)
        child_fault(WRONG, version, epoch);
    if (book_under_load) { /* the snapshot */
        CHECK(mft_master_init(&child_master, 64) == MFT_OK);
        if (mft_seqlock_read(&child_writer, words, value_words * 8, &stamp) != MFT_OK)
            child_fault(BLOCKED, version, epoch);
        book_changes(NO_BOOK, version, stamp.epoch);
        book_apply(&child_master);
    }
    for (;; version++) {
        if (book_under_load) {
            book_changes(version, version + 1, epoch);
            book_apply(&child_master);
            mft_window_fill((mft_window_t *)words, BOOK_LEVELS, &child_master, 0);
            ((mft_window_t *)words)->top.receive_ns = (int64_t)(version + 1);
        } else {
            value_make(words, version + 1, epoch);
        }
        if (mft_seqlock_write(&child_writer, words, epoch, (int64_t)(version + 1)) != version + 1)
            child_fault(WRONG, version + 1, epoch);
    }
}

static void load_value_setup(void)
{
    setup_2400_bytes();
    book_under_load = 0;
    my_view = (seen_t){0, 0, 0};
    second_reader = start(read_for_ever, 1);
}

static void load_book_setup(void)
{
    book_setup();
    book_under_load = 1;
    my_view = (seen_t){0, 0, 0};
    second_reader = start(read_for_ever, 1);
}

static void load_value_teardown(void)
{
    hear_children();
    stop(second_reader);
    value_teardown();
}

static void writer_under_load(void)
{
    const uint64_t before = mft_role_epoch(&value_segment, MFT_SEQLOCK_WRITER), first = my_view.version;
    mft_stamp_t stamp = {0, 0, 0};
    fault_t found;
    pid_t pid;

    choose_instant();
    pid = start(write_for_ever, (uint64_t)tally.kills + 1);
    while (!instant_has_come() && tally_faults() == 0)
        if (!read_once(&my_view, &stamp, &found))
            fault(found, "version %llu of epoch %llu", (unsigned long long)stamp.version,
                  (unsigned long long)stamp.epoch);
    kill_at_random(pid);
    tally.unstable += my_view.unstable;
    my_view.unstable = 0;
    if (tally_faults() == 0 && !read_once(&my_view, &stamp, &found))
        fault(found, "version %llu of epoch %llu after the writer's death", (unsigned long long)stamp.version,
              (unsigned long long)stamp.epoch);
    if (my_view.unstable)
        fault(BLOCKED, "a read after the writer's death is unstable");
    my_view.unstable = 0;
    if (my_view.version > first && my_view.epoch != before + 1)
        fault(WRONG, "the newest value has epoch %llu after %llu", (unsigned long long)my_view.epoch,
              (unsigned long long)before);
    tally.done += my_view.version > first;
    tally.records += (long)(my_view.version - first);
}

/* ---- planted bug: the classic seqlock ---- */

static void classic_for_ever(void)
{
    uint64_t words[300];

    (*say(STARTS))++;
    for (uint64_t version = 1;; version++) {
        write_record(words, 300, version, 1);
        classic_write(say(CLASSIC), words, 300);
    }
}

static void classic_under_load(void)
{
    pid_t pid;

    choose_instant();
    pid = start(classic_for_ever, 1);
    let_it_work();
    kill_at_random(pid);
    classic_judge(say(CLASSIC));
}

#endif
