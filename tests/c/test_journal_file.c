/* The journal's files without Python: drained, rolled and removed; then cut at every byte and changed at every byte, after
 * which what is read is an exact prefix, or a clear refusal.
 *
 * Without the look behind what is bad, damage is taken for a torn tail, and records after it are lost in silence:
 * PLANT plain: -DTAKE_DAMAGE_FOR_A_TORN_TAIL
 */
#include "check.h"

#include "mftcore/journal_drain.h"

enum { BYTES = 65536, FILE_BYTES = 8192, LONGEST = 500, ALL = 40 };

static char place[] = "/dev/shm/test_journal_file-XXXXXX"; /* no disk is tested here, only what is written to it */
static const uint8_t id[16] = {1, 2, 3, 4};
static int directory;
static mft_segment_t segment;
static mft_journal_t journal;

static uint64_t contents(uint64_t sequence, unsigned char *payload)
{
    const uint64_t length = sequence * 7919 % LONGEST;

    for (uint64_t i = 0; i < length; i++)
        payload[i] = (unsigned char)(sequence * 31 + i * 7);
    return length;
}

static void append(uint64_t count)
{
    unsigned char payload[LONGEST];
    uint64_t sequence;

    for (uint64_t i = 0; i < count; i++) {
        const uint64_t length = contents(journal.sequence + 1, payload);

        CHECK(mft_journal_append(&journal, 7, -5, payload, length, &sequence) == MFT_OK);
    }
}

static void memory_at(uint64_t position, uint64_t sequence)
{
    mft_spec_t spec = {.kind = MFT_KIND_JOURNAL, .version = MFT_JOURNAL_VERSION, .record_bytes = 1, .capacity = BYTES,
                       .data_bytes = mft_journal_data_bytes(BYTES)};

    spec.params[MFT_JOURNAL_FILE_BYTES] = FILE_BYTES;
    spec.params[MFT_JOURNAL_START] = position;
    CHECK(mft_segment_make(&segment, &spec) == MFT_OK);
    mft_journal_begin(&segment, position, sequence);
    mft_segment_publish(&segment);
    CHECK(mft_segment_mirror(&segment, BYTES) == MFT_OK && mft_journal_open(&journal, &segment) == MFT_OK);
    CHECK(mft_journal_take_over(&journal) == MFT_OK);
}

/* A new journal in an empty directory, with a memory. */
static void begin(uint64_t keep_files)
{
    mft_file_header_t header = {.number = 1, .first_sequence = 1, .file_bytes = FILE_BYTES, .memory_bytes = BYTES,
                                .keep_files = keep_files};
    struct dirent *entry;
    DIR *entries;
    int fd;

    CHECK((entries = opendir(place)) != NULL);
    while ((entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.')
            CHECK(unlinkat(directory, entry->d_name, 0) == 0);
    closedir(entries);
    memcpy(header.id, id, sizeof id);
    CHECK(mft_file_create(directory, &header, &fd) == MFT_OK && close(fd) == 0);
    memory_at(0, 0);
}

static void end(void)
{
    mft_segment_detach(&segment);
}

static void drain_all(mft_drain_t *d)
{
    uint64_t count, sum = 0, undrained;
    const unsigned char *from;
    int rc;

    CHECK(mft_journal_undrained(&journal, &from, &undrained) == MFT_OK);
    while ((rc = mft_drain_step(d, &count)) == MFT_OK)
        sum += count;
    CHECK(rc == MFT_EMPTY && sum == undrained);
}

/* Read from a file's first record on; every record must be the next one. Returns how it ended, and how many there were. */
static int read_from(uint64_t number, uint64_t limit, uint64_t *got, mft_cursor_t *kept)
{
    unsigned char expected[LONGEST];
    const unsigned char *payload;
    mft_cursor_t c;
    mft_record_t r;
    int rc;

    mft_cursor_init(&c, directory);
    c.has_id = 1;
    memcpy(c.id, id, sizeof id);
    rc = mft_cursor_open(&c, number);
    for (*got = 0; rc == MFT_OK; (*got)++) {
        const uint64_t sequence = c.sequence, length = contents(sequence, expected);

        rc = mft_cursor_next(&c, limit, &r, &payload);
#ifdef TAKE_DAMAGE_FOR_A_TORN_TAIL
        if (rc == MFT_E_CORRUPT)
            rc = MFT_UNSTABLE;
#endif
        if (rc != MFT_OK)
            break;
        CHECK(r.sequence == sequence && r.length == length && r.type == 7 && r.stamp_ns == -5);
        CHECK(memcmp(payload, expected, length) == 0);
    }
    if (kept)
        *kept = c;
    mft_cursor_close(&c);
    return rc;
}

static void what_was_appended_is_in_the_files_once_and_in_order(void)
{
    uint64_t got, sum = 0;
    mft_files_t files;
    mft_drain_t d;

    begin(0);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    for (int i = 0; i < 300; i++) {
        append((uint64_t)(i % 7));
        sum += (uint64_t)(i % 7);
        if (i % 3 == 0)
            drain_all(&d);
        if (i % 10 == 0) { /* another drainer, which knows nothing but memory and files */
            mft_drain_close(&d);
            CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
        }
    }
    drain_all(&d);
    CHECK(read_from(1, MFT_EVERYWHERE, &got, NULL) == MFT_EMPTY && got == sum);
    CHECK(read_from(1, atomic_load(&journal.shared->drained), &got, NULL) == MFT_EMPTY && got == sum);
    CHECK(mft_files_list(directory, &files) == MFT_OK && files.oldest == 1 && files.count == files.newest);
    CHECK(files.newest > 20);
    mft_drain_close(&d);
    end();
}

static void the_oldest_files_go_and_what_is_left_is_read_from_its_first_record(void)
{
    uint64_t got;
    mft_files_t files;
    mft_cursor_t c;
    mft_drain_t d;

    begin(3);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    for (int i = 0; i < 30; i++) {
        append(20);
        drain_all(&d);
    }
    CHECK(mft_files_list(directory, &files) == MFT_OK && files.count == 3 && files.newest - files.oldest == 2);
    CHECK(read_from(files.oldest, MFT_EVERYWHERE, &got, &c) == MFT_EMPTY && c.sequence == 601);
    CHECK(got < 600 && got > 20);
    mft_cursor_init(&c, directory);
    CHECK(mft_cursor_find(&c, &files, 0, 1) == MFT_EMPTY && c.file.number == files.oldest); /* begins later */
    CHECK(mft_cursor_find(&c, &files, 600, 1) == MFT_OK && c.file.number == files.newest);
    CHECK(mft_cursor_find(&c, &files, c.file.first_position - 1, 0) == MFT_OK && c.file.number == files.newest - 1);
    mft_cursor_close(&c);
    mft_drain_close(&d);
    end();
}

/* Whatever a killed drainer has written behind `drained`, its successor writes the same again; what somebody else has
 * written there is refused. */
static void a_successor_writes_the_same_again_and_refuses_what_is_not_ours(void)
{
    uint64_t got, before, word = 0;
    mft_drain_t d;

    begin(0);
    append(5);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    before = atomic_load(&journal.shared->drained);
    drain_all(&d);
    atomic_store(&journal.shared->drained, before); /* killed before it could say so */
    mft_drain_close(&d);
    append(5);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    drain_all(&d);
    CHECK(read_from(1, MFT_EVERYWHERE, &got, NULL) == MFT_EMPTY && got == 10);
    append(1);
    CHECK(pread(d.fd, &word, 8, (off_t)d.end) == 8 && word == 0);
    word = 0x77;
    CHECK(pwrite(d.fd, &word, 8, (off_t)d.end + 8) == 8);
    mft_drain_close(&d);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_E_LAYOUT);
    CHECK(strcmp(d.fault.field, "what lies behind the last record") == 0);
    end();
    begin(0);
    append(5);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    drain_all(&d);
    CHECK(ftruncate(d.fd, (off_t)d.end - 8) == 0);
    mft_drain_close(&d);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_E_LAYOUT && strcmp(d.fault.field, "size") == 0);
    end();
}

static void damaged_memory_does_not_reach_the_disk(void)
{
    uint64_t got, count;
    mft_drain_t d;

    begin(0);
    append(3);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    drain_all(&d);
    append(3);
    journal.data[atomic_load(&journal.shared->drained) + 40] ^= 1;
    CHECK(mft_drain_step(&d, &count) == MFT_E_CORRUPT && count == 0);
    CHECK(atomic_load(&journal.shared->disk_error) == EBADMSG);
    CHECK(read_from(1, MFT_EVERYWHERE, &got, NULL) == MFT_EMPTY && got == 3);
    mft_drain_close(&d);
    end();
}

static void a_gap_in_the_numbers_is_damage(void)
{
    uint64_t got;
    mft_drain_t d;

    begin(0);
    append(3);
    journal.sequence++; /* a record that nobody wrote */
    append(3);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    drain_all(&d);
    CHECK(read_from(1, MFT_EVERYWHERE, &got, NULL) == MFT_E_CORRUPT && got == 3);
    mft_drain_close(&d);
    end();
}

/* ---- cut and changed at every byte ---- */

typedef struct {
    unsigned char bytes[FILE_BYTES];
    uint64_t size;
    uint64_t records_end; /* offset behind its last record */
    uint64_t first;       /* number of its first record */
} image_t;

static image_t images[8];
static mft_files_t all_files;

static void write_image(uint64_t number, uint64_t size)
{
    const image_t *image = &images[number];
    char name[MFT_FILE_NAME_BYTES];
    int fd;

    mft_file_name(name, number);
    fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && mft_write_all(fd, image->bytes, size, 0) == MFT_OK && close(fd) == 0);
}

static void small_journal(void)
{
    mft_drain_t d;

    begin(0);
    append(ALL);
    CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
    drain_all(&d);
    CHECK(mft_files_list(directory, &all_files) == MFT_OK && all_files.newest >= 3 && all_files.newest < 8);
    for (uint64_t number = 1; number <= all_files.newest; number++) {
        image_t *const image = &images[number];
        mft_cursor_t c;

        mft_cursor_init(&c, directory);
        CHECK(mft_cursor_open(&c, number) == MFT_OK);
        CHECK(mft_read_all(c.fd, image->bytes, FILE_BYTES, 0, &image->size) == MFT_OK);
        image->first = c.file.first_sequence;
        image->records_end = number == all_files.newest ? d.end : image->size;
        mft_cursor_close(&c);
    }
    mft_drain_close(&d);
}

/* Records before an offset of a file. */
static uint64_t records_before(uint64_t number, uint64_t offset, int *at_a_border)
{
    unsigned char payload[LONGEST];
    uint64_t at = MFT_PAGE, sequence = images[number].first;

    while (at < images[number].records_end && at + mft_record_taken(contents(sequence, payload)) <= offset)
        at += mft_record_taken(contents(sequence++, payload));
    *at_a_border = at == offset;
    return sequence - 1;
}

static void a_journal_cut_at_any_byte_gives_an_exact_prefix_or_is_refused(void)
{
    small_journal();
    for (uint64_t number = 1; number <= all_files.newest; number++) {
        const int newest = number == all_files.newest;

        for (uint64_t size = 0; size < images[number].size; size += size < MFT_PAGE - 8 || REPEAT(10) == 1 ? 97 : 1) {
            uint64_t got, expected;
            int rc, border = 0;

            write_image(number, size);
            rc = read_from(1, MFT_EVERYWHERE, &got, NULL);
            if (size < MFT_PAGE) {
                CHECK(rc == MFT_E_LAYOUT && (number == 1 || got == images[number].first - 1));
                continue;
            }
            expected = records_before(number, size, &border);
            CHECK(got == expected);
            if (!newest)
                CHECK(rc == MFT_E_CORRUPT); /* the file behind it begins elsewhere */
            else
                CHECK(rc == (border || size >= images[number].records_end ? MFT_EMPTY : MFT_UNSTABLE));
        }
        write_image(number, images[number].size);
    }
    for (uint64_t number = 1; number < all_files.newest; number++) { /* a file that is gone */
        char name[MFT_FILE_NAME_BYTES];
        mft_recovery_t found;
        mft_cursor_t c;

        if (number == 1)
            continue; /* retention does that */
        mft_file_name(name, number);
        CHECK(unlinkat(directory, name, 0) == 0);
        mft_cursor_init(&c, directory);
        CHECK(mft_recover(&c, 1, &found) == MFT_E_NOT_FOUND && found.number == number);
        CHECK(found.sequence == images[number].first - 1);
        mft_cursor_close(&c);
        write_image(number, images[number].size);
    }
    end();
}

static void a_journal_changed_at_any_byte_gives_an_exact_prefix_or_is_refused(void)
{
    small_journal();
    for (uint64_t number = 1; number <= all_files.newest; number++) {
        const image_t *image = &images[number];
        const int newest = number == all_files.newest;
        char name[MFT_FILE_NAME_BYTES];
        int fd;

        mft_file_name(name, number);
        fd = openat(directory, name, O_WRONLY);
        CHECK(fd >= 0);
        for (uint64_t at = 0; at < image->size; at += REPEAT(10) == 1 ? 61 : 1) {
            const unsigned char changed = image->bytes[at] ^ (unsigned char)(1 << at % 8);
            uint64_t got, before;
            int rc, border;

            CHECK(pwrite(fd, &changed, 1, (off_t)at) == 1);
            rc = read_from(1, MFT_EVERYWHERE, &got, NULL);
            if (at < MFT_PAGE) {
                CHECK(rc == MFT_E_LAYOUT && (number == 1 || got == image->first - 1));
            } else if (at >= image->records_end) { /* behind all records: nothing is lost, and it is seen */
                CHECK(got == ALL && rc == MFT_UNSTABLE);
            } else {
                before = records_before(number, at, &border);
                CHECK(got == before);
                CHECK(rc == (newest && before == ALL - 1 ? MFT_UNSTABLE : MFT_E_CORRUPT));
            }
            CHECK(pwrite(fd, &image->bytes[at], 1, (off_t)at) == 1);
        }
        close(fd);
    }
    end();
}

static void a_torn_tail_is_kept_aside_and_cut_off_and_the_journal_goes_on(void)
{
    mft_recovery_t found;
    uint64_t got, cut, size;
    mft_cursor_t c;
    mft_drain_t d;
    int border;

    small_journal();
    end();
    for (cut = 1; cut < 100; cut += 7) {
        struct stat st;

        size = images[all_files.newest].records_end - cut;
        for (uint64_t number = 1; number <= all_files.newest; number++)
            write_image(number, number == all_files.newest ? size : images[number].size);
        mft_cursor_init(&c, directory);
        CHECK(mft_recover(&c, 1, &found) == MFT_OK && found.sequence == records_before(all_files.newest, size, &border));
        CHECK(found.position == c.position && found.cut_bytes <= LONGEST + MFT_RECORD_HEADER);
        if (!border) {
            CHECK(fstatat(directory, found.side, &st, 0) == 0 && (uint64_t)st.st_size == found.cut_bytes);
            CHECK(found.cut_bytes > 0);
        }
        mft_cursor_close(&c);
        memory_at(found.position, found.sequence);
        CHECK(mft_drain_open(&d, &journal, directory, id) == MFT_OK);
        append(30);
        drain_all(&d);
        CHECK(read_from(1, MFT_EVERYWHERE, &got, NULL) == MFT_EMPTY && got == found.sequence + 30);
        mft_drain_close(&d);
        end();
        for (uint64_t number = all_files.newest + 1; number < 10; number++) {
            char name[MFT_FILE_NAME_BYTES];

            mft_file_name(name, number);
            unlinkat(directory, name, 0);
        }
    }
}

static void foreign_files_are_refused_by_what_is_foreign(void)
{
    static const struct {
        uint64_t at, value;
        const char *field;
    } wrong[] = {{offsetof(mft_file_header_t, magic), 5, "magic"},
                 {offsetof(mft_file_header_t, version), 2 | UINT64_C(4096) << 32, "version"},
                 {offsetof(mft_file_header_t, version), 1 | UINT64_C(8192) << 32, "size of its first page"},
                 {offsetof(mft_file_header_t, id), 9, "journal id"},
                 {offsetof(mft_file_header_t, number), 9, "number"},
                 {offsetof(mft_file_header_t, first_position), 9, "first position"},
                 {offsetof(mft_file_header_t, first_position), UINT64_MAX - 7, "first position"},
                 {offsetof(mft_file_header_t, first_sequence), 0, "first sequence"},
                 {offsetof(mft_file_header_t, file_bytes), 4096, "bytes of a file"},
                 {offsetof(mft_file_header_t, file_bytes), UINT64_C(1) << 60, "bytes of a file"},
                 {offsetof(mft_file_header_t, memory_bytes), 5, "bytes of memory"},
                 {offsetof(mft_file_header_t, meta_length), 4096, "length of its text"}};

    small_journal();
    end();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mft_file_header_t header;
        mft_fault_t fault = {0};

        memcpy(&header, images[2].bytes, sizeof header);
        memcpy((char *)&header + wrong[i].at, &wrong[i].value, 8);
        header.crc = mft_file_crc(&header);
        CHECK(mft_file_check(&header, 2, id, &fault) == MFT_E_LAYOUT && strcmp(fault.field, wrong[i].field) == 0);
    }
    CHECK(mft_file_number("000001.mftj") == 1 && mft_file_number("1234567.mftj") == 1234567);
    CHECK(mft_file_number("1.mftj") == 0 && mft_file_number("000001.mftj.new") == 0 && mft_file_number("lock") == 0);
    CHECK(mft_file_number("000000.mftj") == 0 && mft_file_number("99999999999999999999999.mftj") == 0);
    CHECK(mft_file_number("-00001.mftj") == 0 && mft_file_number(" 00001.mftj") == 0);
}

/* Also when a check fails: the planted bugs and mutants leave nothing behind. */
static void remove_all(void)
{
    struct dirent *entry;
    DIR *entries = opendir(place);

    while (entries && (entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(directory, entry->d_name, 0);
    if (entries)
        closedir(entries);
    rmdir(place);
}

int main(void)
{
    if (access("/dev/shm", W_OK) != 0)
        strcpy(place, "/tmp/test_journal_file-XXXXXX");
    alarm(100);
    CHECK(mkdtemp(place) != NULL);
    directory = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(directory >= 0 && atexit(remove_all) == 0);
    RUN(what_was_appended_is_in_the_files_once_and_in_order);
    RUN(the_oldest_files_go_and_what_is_left_is_read_from_its_first_record);
    RUN(a_successor_writes_the_same_again_and_refuses_what_is_not_ours);
    RUN(damaged_memory_does_not_reach_the_disk);
    RUN(a_gap_in_the_numbers_is_damage);
    RUN(a_journal_cut_at_any_byte_gives_an_exact_prefix_or_is_refused);
    RUN(a_journal_changed_at_any_byte_gives_an_exact_prefix_or_is_refused);
    RUN(a_torn_tail_is_kept_aside_and_cut_off_and_the_journal_goes_on);
    RUN(foreign_files_are_refused_by_what_is_foreign);
    return 0;
}
