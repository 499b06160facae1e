/* The journal: its writer killed at each instruction of an append, also over the end of the memory and when it is full; its
 * drainer at each system call of a drain that rolls, and at instructions between. Nothing appended may be lost, nothing torn,
 * and the numbers go on exactly. */
#ifndef JOURNAL_KINDS_H
#define JOURNAL_KINDS_H

#include "kind.h"
#include "mftcore/journal_drain.h"

enum { JN_BYTES = 65536, JN_FILE = 8192, JN_LEAST_WORDS = 3, JN_MOST_WORDS = 500, JN_KEPT = 65536, JN_FILES = 4 };

static const uint8_t jn_id[16] = {7, 7, 7};
static mft_segment_t jn_segment;
static mft_journal_t jn_survivor, jn_child;
static char jn_path[200];
static int jn_directory;
static uint64_t jn_appended, jn_position;   /* records, and where the survivor reads next */
static uint64_t jn_read;                    /* number of the record that it has read last */
static uint64_t jn_epochs[JN_KEPT];         /* of the writer of a record, by number */
static uint64_t jn_tail, jn_drained, jn_fits; /* before the operation */
static uint64_t jn_word, jn_epoch;          /* of the survivor's role */

static uint64_t jn_words(uint64_t number)
{
    return JN_LEAST_WORDS + number * 7 % 20;
}

static int jn_append(mft_journal_t *j, uint64_t words, uint64_t epoch)
{
    uint64_t record[JN_MOST_WORDS], number = 0;
    int rc;

    write_record(record, words, jn_appended + 1, epoch);
    rc = mft_journal_append(j, (uint32_t)words, 1, record, words * 8, &number);
    if (rc == MFT_OK) {
        jn_epochs[++jn_appended % JN_KEPT] = epoch;
        if (number != jn_appended)
            fault(WRONG, "record %llu got the number %llu", (unsigned long long)jn_appended, (unsigned long long)number);
    }
    return rc;
}

static int jn_judge(const mft_record_t *r, const void *payload, uint64_t number)
{
    const uint64_t epoch = jn_epochs[number % JN_KEPT];
    uint64_t record[JN_MOST_WORDS];

    if (r->length > sizeof record || r->length != (uint64_t)r->type * 8 || r->sequence != number) {
        fault(r->sequence == number ? TORN : r->sequence < number ? REPEATED : LOST, "record %llu has number %llu",
              (unsigned long long)number, (unsigned long long)r->sequence);
        return 0;
    }
    memcpy(record, payload, r->length);
    return judge(record, r->length / 8, number, epoch, epoch);
}

/* The survivor reads what is new in memory; each record must be the next one. */
static void jn_read_on(void)
{
    unsigned char payload[JN_MOST_WORDS * 8];
    mft_record_t r;
    int rc;

    while (tally_faults() == 0 && (rc = mft_journal_look(&jn_survivor, jn_position, &r)) != MFT_EMPTY) {
        if (rc == MFT_OK && r.length <= sizeof payload)
            rc = mft_journal_copy(&jn_survivor, &r, payload);
        if (rc != MFT_OK || jn_read == jn_appended) {
            fault(TORN, "reading record %llu of %llu says %d", (unsigned long long)jn_read + 1,
                  (unsigned long long)jn_appended, rc);
            return;
        }
        jn_judge(&r, payload, ++jn_read);
        jn_position += mft_record_taken(r.length);
    }
    if (tally_faults() == 0 && jn_read != jn_appended)
        fault(LOST, "%llu records are not there", (unsigned long long)(jn_appended - jn_read));
}

static void jn_setup(unsigned child_role)
{
    const char *root = getenv("KILL_DIRECTORY");
    mft_spec_t spec = {.kind = MFT_KIND_JOURNAL, .version = MFT_JOURNAL_VERSION, .record_bytes = 1, .capacity = JN_BYTES,
                       .data_bytes = mft_journal_data_bytes(JN_BYTES)};
    mft_file_header_t header = {.number = 1, .first_sequence = 1, .file_bytes = JN_FILE, .memory_bytes = JN_BYTES,
                                .keep_files = JN_FILES};
    int fd;

    spec.params[MFT_JOURNAL_FILE_BYTES] = JN_FILE;
    CHECK(mft_segment_make(&jn_segment, &spec) == MFT_OK);
    mft_journal_begin(&jn_segment, 0, 0);
    mft_segment_publish(&jn_segment);
    CHECK(mft_segment_mirror(&jn_segment, JN_BYTES) == MFT_OK);
    CHECK(mft_journal_open(&jn_survivor, &jn_segment) == MFT_OK && mft_journal_take_over(&jn_survivor) == MFT_OK);
    CHECK(mft_role_claim(&jn_segment, !child_role, &jn_epoch, &jn_word) == MFT_OK);
    jn_appended = jn_position = jn_read = 0;
    snprintf(jn_path, sizeof jn_path, "%s/journal-XXXXXX", root ? root : "/tmp");
    CHECK(mkdtemp(jn_path) != NULL && (jn_directory = open(jn_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
    memcpy(header.id, jn_id, sizeof jn_id);
    CHECK(mft_file_create(jn_directory, &header, &fd) == MFT_OK && close(fd) == 0);
}

static void jn_writer_setup(void) { jn_setup(MFT_JOURNAL_WRITER); }
static void jn_drainer_setup(void) { jn_setup(MFT_JOURNAL_DRAINER); }

static void jn_teardown(void)
{
    struct dirent *entry;
    DIR *entries = opendir(jn_path);

    CHECK(entries != NULL);
    while ((entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.')
            CHECK(unlinkat(jn_directory, entry->d_name, 0) == 0);
    closedir(entries);
    close(jn_directory);
    CHECK(rmdir(jn_path) == 0);
    mft_segment_detach(&jn_segment);
}

/* ---- the writer is killed ---- */

/* Go to this round's place in the memory; in every fourth round it is full. The disk is not tested here. */
static void jn_writer_before(void)
{
    static const uint64_t places[] = {JN_BYTES - 40, JN_BYTES - 8, 0, 4096, JN_BYTES - 96};
    const uint64_t there = places[round_number % (long)(sizeof places / sizeof *places)];
    uint64_t word, epoch = 0, way;
    mft_journal_t tx;

    CHECK(mft_role_claim(&jn_segment, MFT_JOURNAL_WRITER, &epoch, &word) == MFT_OK);
    CHECK(mft_journal_open(&tx, &jn_segment) == MFT_OK && mft_journal_take_over(&tx) == MFT_OK);
    way = (there - atomic_load(&tx.shared->tail)) % JN_BYTES;
    if (way > 0 && way < mft_record_taken(8 * JN_LEAST_WORDS))
        way += JN_BYTES;
    while (way > 0) {
        const uint64_t step = way <= 2048 ? way : 1024;

        mft_journal_drained(&tx, mft_journal_tail(&tx) - mft_journal_safe(&tx));
        CHECK(jn_append(&tx, (step - MFT_RECORD_HEADER) / 8, epoch) == MFT_OK);
        jn_read_on();
        way -= step;
    }
    mft_journal_drained(&tx, mft_journal_tail(&tx) - mft_journal_safe(&tx));
    if (round_number % 4 == 3) {
        while (jn_append(&tx, 200, epoch) == MFT_OK)
            jn_read_on();
        while (jn_append(&tx, JN_LEAST_WORDS, epoch) == MFT_OK)
            jn_read_on();
    }
    give_up(&jn_segment, MFT_JOURNAL_WRITER, word);
    jn_tail = mft_journal_tail(&tx);
    jn_fits = mft_record_taken(jn_words(jn_appended + 1) * 8) <= JN_BYTES - (jn_tail - mft_journal_safe(&tx));
}

static void jn_writer_prepare(void)
{
    child_claims(&jn_segment, MFT_JOURNAL_WRITER);
    if (mft_journal_open(&jn_child, &jn_segment) != MFT_OK || mft_journal_take_over(&jn_child) != MFT_OK)
        _exit(5);
    write_record(scratch->words, jn_words(jn_appended + 1), jn_appended + 1, scratch->epoch);
}

static void jn_append_operate(void)
{
    const uint64_t words = jn_words(jn_appended + 1);
    uint64_t number;

    STEP_MARK();
    mft_journal_append(&jn_child, (uint32_t)words, 1, scratch->words, words * 8, &number);
    STEP_MARK();
}

/* The record is there or not; the successor's get the next numbers. */
static void jn_append_after(step_end_t end)
{
    const uint64_t moved = mft_journal_tail(&jn_survivor) - jn_tail, epoch = scratch->epoch;
    uint64_t word, next;
    mft_journal_t successor;

    if (moved != 0 && moved != mft_record_taken(jn_words(jn_appended + 1) * 8))
        fault(TORN, "%llu bytes were committed", (unsigned long long)moved);
    if (end == STEP_FINISHED && jn_fits && moved == 0)
        fault(LOST, "the call ended and its record is not there");
    if (moved > 0)
        jn_epochs[++jn_appended % JN_KEPT] = epoch;
    tally.done += moved > 0;
    jn_read_on();
    next = succeed(&jn_segment, MFT_JOURNAL_WRITER, epoch, &word);
    if (tally_faults() > 0)
        return;
    CHECK(mft_journal_open(&successor, &jn_segment) == MFT_OK);
    if (mft_journal_take_over(&successor) != MFT_OK || successor.sequence != jn_appended)
        fault(WRONG, "the successor goes on behind record %llu, not %llu", (unsigned long long)successor.sequence,
              (unsigned long long)jn_appended);
    mft_journal_drained(&successor, mft_journal_tail(&successor) - mft_journal_safe(&successor));
    for (int i = 0; i < 3 && tally_faults() == 0; i++)
        CHECK(jn_append(&successor, jn_words(jn_appended + 1), next) == MFT_OK);
    jn_read_on();
    if (tally_faults() == 0)
        give_up(&jn_segment, MFT_JOURNAL_WRITER, word);
}

/* Planted: the tail moves before the record is there. */
static void jn_early_append_operate(void)
{
    const uint64_t words = jn_words(jn_appended + 1), taken = mft_record_taken(words * 8);
    uint64_t number;

    STEP_MARK();
    if (jn_fits) {
        atomic_fetch_add(&jn_child.shared->tail, taken);
        atomic_fetch_sub(&jn_child.shared->tail, taken);
        mft_journal_append(&jn_child, (uint32_t)words, 1, scratch->words, words * 8, &number);
    }
    STEP_MARK();
}

/* ---- the drainer is killed ---- */

/* The files must hold exactly the records up to a position, from the oldest that is kept; or to their end. */
static void jn_judge_files(uint64_t limit)
{
    const unsigned char *payload;
    mft_files_t files;
    mft_cursor_t c;
    mft_record_t r;
    int rc;

    mft_cursor_init(&c, jn_directory);
    rc = mft_files_list(jn_directory, &files);
    if (rc == MFT_OK)
        rc = files.count == files.newest - files.oldest + 1 ? mft_cursor_open(&c, files.oldest) : MFT_E_NOT_FOUND;
    while (rc == MFT_OK && tally_faults() == 0) {
        const uint64_t number = c.sequence;

        rc = mft_cursor_next(&c, limit, &r, &payload);
        if (rc == MFT_OK)
            jn_judge(&r, payload, number);
    }
    if (tally_faults() == 0 && rc != MFT_EMPTY)
        fault(LOST, "reading the files ends with %d behind record %llu", rc, (unsigned long long)c.sequence - 1);
    else if (tally_faults() == 0 && limit == MFT_EVERYWHERE && c.sequence != jn_appended + 1)
        fault(LOST, "the files end with record %llu, not %llu", (unsigned long long)c.sequence - 1,
              (unsigned long long)jn_appended);
    else if (tally_faults() == 0 && files.count > JN_FILES + 1)
        fault(WRONG, "%llu files were kept", (unsigned long long)files.count);
    mft_cursor_close(&c);
}

static void jn_drainer_before(void)
{
    for (uint64_t size = 0; size < JN_FILE - MFT_PAGE; size += mft_record_taken(100 * 8)) /* so that a file is rolled */
        CHECK(jn_append(&jn_survivor, 100, jn_epoch) == MFT_OK);
    jn_tail = mft_journal_tail(&jn_survivor);
    jn_drained = mft_journal_safe(&jn_survivor);
}

static void jn_drainer_prepare(void)
{
    child_claims(&jn_segment, MFT_JOURNAL_DRAINER);
    if (mft_journal_open(&jn_child, &jn_segment) != MFT_OK)
        _exit(5);
}

static void jn_drain_operate(void)
{
    uint64_t count;
    mft_drain_t d;

    STEP_MARK();
    if (mft_drain_open(&d, &jn_child, jn_directory, jn_id) == MFT_OK)
        while (mft_drain_step(&d, &count) == MFT_OK)
            ;
    STEP_MARK();
}

static void jn_drain_after(step_end_t end)
{
    const uint64_t drained = mft_journal_safe(&jn_survivor);
    uint64_t word, count;
    mft_journal_t successor;
    mft_drain_t d;
    int rc;

    if (drained < jn_drained || drained > jn_tail || (end == STEP_FINISHED && drained != jn_tail))
        fault(WRONG, "drained is %llu", (unsigned long long)drained);
    tally.done += drained == jn_tail;
    if (tally_faults() == 0)
        jn_judge_files(drained);
    succeed(&jn_segment, MFT_JOURNAL_DRAINER, scratch->epoch, &word);
    if (tally_faults() > 0)
        return;
    CHECK(mft_journal_open(&successor, &jn_segment) == MFT_OK);
    rc = mft_drain_open(&d, &successor, jn_directory, jn_id);
    while (rc == MFT_OK)
        rc = mft_drain_step(&d, &count);
    if (rc != MFT_EMPTY)
        fault(BLOCKED, "the successor's drain says %d (%s)", rc, d.fault.field ? d.fault.field : "");
    mft_drain_close(&d);
    if (tally_faults() == 0)
        jn_judge_files(MFT_EVERYWHERE);
    if (tally_faults() == 0)
        give_up(&jn_segment, MFT_JOURNAL_DRAINER, word);
}

/* Planted: `drained` moves before the bytes are in the file. */
static void jn_early_drain_operate(void)
{
    const unsigned char *from;
    uint64_t there, count;
    mft_drain_t d;

    STEP_MARK();
    if (mft_drain_open(&d, &jn_child, jn_directory, jn_id) == MFT_OK &&
        mft_journal_undrained(&jn_child, &from, &there) == MFT_OK) {
        mft_journal_drained(&jn_child, there);
        (void)lseek(jn_directory, 0, SEEK_CUR); /* a place to be killed at */
        atomic_fetch_sub(&jn_child.shared->drained, there);
        while (mft_drain_step(&d, &count) == MFT_OK)
            ;
    }
    STEP_MARK();
}

#endif
