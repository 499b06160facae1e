/* Read a damaged journal: whole records of an exact prefix, or an error; never a stray access, never a hang.
 *
 * Input: byte 0 chooses whether first pages and records get right checksums again (bits 0, 1) and how much the newest file is
 * cut (the rest); then changes of four bytes each (place, place, file, exclusive-or). Run by libFuzzer, or by the main below
 * with inputs of its own (-DOWN_DRIVER: argv[1] seconds, argv[2] seed). -DPLANT believes a record's length. */
#include "../check.h"

#include "mftcore/journal_drain.h"

enum { FILES = 2, FILE_BYTES = 8192, MEMORY = 65536, RECORDS = 24, PAYLOAD = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const uint8_t id[16] = {5};
static unsigned char original[FILES][FILE_BYTES], image[FILES][FILE_BYTES];
static char place[64];
static int directory = -1;
static volatile uint64_t sink; /* so that what is read is really read */

static void remove_all(void)
{
    mft_files_t files;
    char name[MFT_FILE_NAME_BYTES];

    if (mft_files_list(directory, &files) == MFT_OK)
        for (uint64_t number = files.oldest; number <= files.newest && number - files.oldest < 100; number++) {
            mft_file_name(name, number);
            unlinkat(directory, name, 0);
        }
    rmdir(place);
}

/* Two files, the second half full, as a drainer leaves them. */
static void make(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_JOURNAL, .version = MFT_JOURNAL_VERSION, .record_bytes = 1, .capacity = MEMORY,
                       .data_bytes = mft_journal_data_bytes(MEMORY)};
    mft_file_header_t header = {.number = 1, .first_sequence = 1, .file_bytes = FILE_BYTES, .memory_bytes = MEMORY};
    unsigned char payload[PAYLOAD + 60] = {1, 2, 3};
    uint64_t sequence, count;
    mft_segment_t s;
    mft_journal_t j;
    mft_drain_t d;
    int fd;

    snprintf(place, sizeof place, "%.40s/fuzz_journal-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(place) != NULL && (directory = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
    atexit(remove_all);
    memcpy(header.id, id, sizeof id);
    CHECK(mft_file_create(directory, &header, &fd) == MFT_OK && close(fd) == 0);
    spec.params[MFT_JOURNAL_FILE_BYTES] = FILE_BYTES;
    CHECK(mft_segment_make(&s, &spec) == MFT_OK);
    mft_journal_begin(&s, 0, 0);
    mft_segment_publish(&s);
    CHECK(mft_segment_mirror(&s, MEMORY) == MFT_OK && mft_journal_open(&j, &s) == MFT_OK);
    CHECK(mft_journal_take_over(&j) == MFT_OK);
    for (uint64_t i = 0; i < RECORDS; i++)
        CHECK(mft_journal_append(&j, 1, 2, payload, (i * 37) % PAYLOAD + 60, &sequence) == MFT_OK);
    CHECK(mft_drain_open(&d, &j, directory, id) == MFT_OK);
    while (mft_drain_step(&d, &count) == MFT_OK)
        ;
    CHECK(d.file.number == FILES);
    mft_drain_close(&d);
    mft_segment_detach(&s);
}

static void write_file(uint64_t number, uint64_t size)
{
    char name[MFT_FILE_NAME_BYTES];
    int fd;

    mft_file_name(name, number);
    fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && mft_write_all(fd, image[number - 1], size, 0) == MFT_OK && close(fd) == 0);
}

/* Give every record that still fits a right checksum, so that what is behind the checksum is reached. */
static void reseal(unsigned char *file)
{
    for (uint64_t at = MFT_PAGE; at + MFT_RECORD_HEADER <= FILE_BYTES;) {
        uint64_t words[MFT_RECORD_WORDS], padded_end = 0;
        mft_record_t r;

        memcpy(words, file + at, sizeof words);
        r = (mft_record_t){.sequence = words[1], .stamp_ns = (int64_t)words[2], .type = (uint32_t)words[3],
                           .length = (uint32_t)(words[0] >> 32)};
        if (words[0] == 0 || mft_record_taken(r.length) > FILE_BYTES - at)
            return;
        if (r.length % 8)
            memcpy(&padded_end, file + at + MFT_RECORD_HEADER + r.length / 8 * 8, 8);
        r.crc = mft_record_crc(&r, file + at + MFT_RECORD_HEADER, padded_end);
        memcpy(file + at, &r.crc, 4);
        at += mft_record_taken(r.length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const unsigned char *payload;
    mft_recovery_t found;
    uint64_t last = 0, sum = 0;
    mft_cursor_t c;
    mft_record_t r;
    int rc;

    if (length < 1)
        return 0;
    if (directory < 0) {
        make();
        for (uint64_t number = 1; number <= FILES; number++) {
            char name[MFT_FILE_NAME_BYTES];
            uint64_t got;
            int fd;

            mft_file_name(name, number);
            CHECK((fd = openat(directory, name, O_RDONLY | O_CLOEXEC)) >= 0);
            CHECK(mft_read_all(fd, original[number - 1], FILE_BYTES, 0, &got) == MFT_OK && close(fd) == 0);
        }
    }
    memcpy(image, original, sizeof image);
    for (size_t i = 1; i + 4 <= length; i += 4) {
        size_t at = (bytes[i] | (size_t)bytes[i + 1] << 8) % FILE_BYTES;

        if (bytes[i + 2] & 0x80) /* every second change where it matters most */
            at = bytes[i + 2] & 0x40 ? MFT_PAGE + at % 128 : at % 128;
        image[bytes[i + 2] % FILES][at] ^= bytes[i + 3];
    }
    for (int file = 0; file < FILES; file++) {
        mft_file_header_t header;

        if (bytes[0] & 1) {
            memcpy(&header, image[file], sizeof header);
            header.crc = mft_file_crc(&header);
            memcpy(image[file], &header, sizeof header);
        }
        if (bytes[0] & 2)
            reseal(image[file]);
    }
    write_file(1, FILE_BYTES);
    write_file(2, FILE_BYTES - (uint64_t)(bytes[0] >> 2) * 131 % FILE_BYTES);
    mft_cursor_init(&c, directory);
    rc = mft_cursor_open(&c, 1);
    while (rc == MFT_OK) {
        rc = mft_cursor_next(&c, MFT_EVERYWHERE, &r, &payload);
        if (rc != MFT_OK)
            break;
        CHECK(last == 0 || r.sequence == last + 1);
        last = r.sequence;
        for (uint64_t i = 0; i < r.length; i++)
            sum += payload[i];
    }
    CHECK(rc < 0 || rc == MFT_EMPTY || rc == MFT_UNSTABLE);
    CHECK(rc != MFT_E_LAYOUT || c.fault.field != NULL);
#ifdef PLANT
    if (c.fd >= 0 && c.buffer != NULL) {
        uint32_t believed;

        memcpy(&believed, c.buffer + 4, 4);
        for (uint64_t i = 0; i < believed; i++)
            sum += c.buffer[i];
    }
#endif
    mft_cursor_close(&c);
    mft_cursor_init(&c, directory);
    rc = mft_recover(&c, 1, &found);
    CHECK(rc <= 0);
    mft_cursor_close(&c);
    if (rc == MFT_OK) { /* what a writer would go on with is whole now */
        mft_cursor_init(&c, directory);
        CHECK(mft_recover(&c, 0, &found) == MFT_OK && found.cut_bytes == 0);
        mft_cursor_close(&c);
        if (found.side[0])
            unlinkat(directory, found.side, 0);
    }
    {
        DIR *const entries = opendir(place);
        struct dirent *entry;

        while (entries && (entry = readdir(entries)) != NULL)
            if (strstr(entry->d_name, ".torn-"))
                unlinkat(directory, entry->d_name, 0);
        closedir(entries);
    }
    sink += sum;
    return 0;
}

#ifdef OWN_DRIVER
int main(int argc, char **argv)
{
    const int64_t until_ns = mft_now_ns() + (int64_t)(argc > 1 ? atoi(argv[1]) : 5) * 1000000000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_C(88172645463325252), inputs = 0;
    uint8_t input[65];

    for (; mft_now_ns() < until_ns; inputs++) {
        for (size_t i = 0; i < sizeof input; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            input[i] = (uint8_t)(state >> 32);
        }
        alarm(10); /* a hang is a failure */
        LLVMFuzzerTestOneInput(input, 1 + 4 * ((state >> 40) % (1 + (state >> 50) % 17))); /* mostly few changes */
    }
    printf("%llu inputs\n", (unsigned long long)inputs);
    return 0;
}
#endif
