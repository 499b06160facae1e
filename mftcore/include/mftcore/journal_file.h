/* The journal's files: `000001.mftj`, `000002.mftj`, ... in a directory of their own. Each is a header page and then whole
 * records as they lay in memory (journal.h); records do not go over the end of a file. Read with pread, not mapped: a file
 * that somebody cuts off is then a short read and no signal.
 *
 * A file that was rolled ends where the next one begins. The newest has zeros behind its last record, preallocated. So what
 * is read is always an exact prefix of what was written, and its end is one of: zeros, or no more bytes (all is read);
 * something bad with nothing whole behind it (a torn tail); anything else (damage). */
#ifndef MFTCORE_JOURNAL_FILE_H
#define MFTCORE_JOURNAL_FILE_H

#include <dirent.h>

#include "journal.h"

#define MFT_FILE_MAGIC UINT64_C(0x314C4E524A54464D) /* "MFTJRNL1" */
#define MFT_FILE_VERSION 1u
#define MFT_FILE_META_BYTES 3976u
#define MFT_FILE_NAME_BYTES 40u
#define MFT_FILE_LEAST UINT64_C(8192)
#define MFT_FILE_MOST (UINT64_C(1) << 40)
#define MFT_CURSOR_BYTES UINT64_C(262144) /* read at once */
#define MFT_EVERYWHERE UINT64_MAX         /* no limit for a cursor: all that is in the files counts */

/* The first page of a file. */
typedef struct {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint8_t id[16];          /* of the journal: random */
    uint64_t number;         /* of the file, from 1 */
    uint64_t first_position; /* of the first byte behind this page */
    uint64_t first_sequence; /* of the first record, written or not */
    uint64_t file_bytes;     /* the file is rolled before it grows beyond */
    uint64_t memory_bytes;
    uint64_t keep_files;     /* how many stay when it is rolled; 0: all */
    uint8_t boot[16];
    int64_t realtime_ns;     /* two clocks, read at once when the file was begun: so stamps have a wall time */
    int64_t monotonic_ns;
    uint32_t meta_length;
    uint32_t crc;            /* CRC32C of the page, with 0 here */
    char meta[MFT_FILE_META_BYTES];
} mft_file_header_t;
_Static_assert(sizeof(mft_file_header_t) == MFT_PAGE, "the format of the files");
_Static_assert(offsetof(mft_file_header_t, crc) == 116, "the format of the files");

static inline uint32_t mft_file_crc(const mft_file_header_t *h)
{
    mft_file_header_t page;

    memcpy(&page, h, sizeof page);
    page.crc = 0;
    return ~mft_crc32c_words(~UINT32_C(0), (const unsigned char *)&page, sizeof page / 8);
}

static inline int mft_file_fault(mft_fault_t *fault, const char *field, uint64_t expected, uint64_t found)
{
    *fault = (mft_fault_t){field, expected, found};
    return MFT_E_LAYOUT;
}

/* Refuse what is no file of ours with this number, of this version, and of this journal (`id`; NULL: of any). */
static inline int mft_file_check(const mft_file_header_t *h, uint64_t number, const uint8_t *id, mft_fault_t *fault)
{
    uint32_t crc;

    if (h->magic != MFT_FILE_MAGIC)
        return mft_file_fault(fault, "magic", MFT_FILE_MAGIC, h->magic);
    if (h->version != MFT_FILE_VERSION)
        return mft_file_fault(fault, "version", MFT_FILE_VERSION, h->version);
    crc = mft_file_crc(h);
    if (h->crc != crc)
        return mft_file_fault(fault, "checksum of its first page", crc, h->crc);
    if (h->header_bytes != MFT_PAGE)
        return mft_file_fault(fault, "size of its first page", MFT_PAGE, h->header_bytes);
    if (h->number != number)
        return mft_file_fault(fault, "number", number, h->number);
    if (id != NULL && memcmp(h->id, id, sizeof h->id) != 0)
        return mft_file_fault(fault, "journal id", mft_fnv1a(id, 16), mft_fnv1a(h->id, 16));
    if (h->file_bytes < MFT_FILE_LEAST || h->file_bytes > MFT_FILE_MOST)
        return mft_file_fault(fault, "bytes of a file", MFT_FILE_LEAST, h->file_bytes);
    if (mft_journal_data_bytes(h->memory_bytes) == 0)
        return mft_file_fault(fault, "bytes of memory", MFT_JOURNAL_LEAST, h->memory_bytes);
    if ((h->first_position & 7) != 0 || h->first_position > INT64_MAX)
        return mft_file_fault(fault, "first position", 0, h->first_position);
    if (h->first_sequence == 0)
        return mft_file_fault(fault, "first sequence", 1, h->first_sequence);
    if (h->meta_length >= MFT_FILE_META_BYTES)
        return mft_file_fault(fault, "length of its text", MFT_FILE_META_BYTES - 1, h->meta_length);
    return MFT_OK;
}

static inline uint64_t mft_file_longest(const mft_file_header_t *h)
{
    return (h->file_bytes - MFT_PAGE - MFT_RECORD_HEADER) & ~UINT64_C(7);
}

static inline void mft_file_name(char name[MFT_FILE_NAME_BYTES], uint64_t number)
{
    snprintf(name, MFT_FILE_NAME_BYTES, "%06llu.mftj", (unsigned long long)number);
}

/* The number in a file's name; 0: another file. */
static inline uint64_t mft_file_number(const char *name)
{
    char again[MFT_FILE_NAME_BYTES], *end;
    uint64_t number;

    if (name[0] < '0' || name[0] > '9')
        return 0;
    errno = 0;
    number = strtoull(name, &end, 10);
    if (errno != 0 || strcmp(end, ".mftj") != 0)
        return 0;
    mft_file_name(again, number);
    return strcmp(name, again) == 0 ? number : 0;
}

/* ---- the files of a directory ---- */

typedef struct {
    uint64_t count, oldest, newest; /* count < newest - oldest + 1: some are missing in the middle */
} mft_files_t;

static inline int mft_files_list_once(int directory, mft_files_t *files)
{
    const int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int rc;

    *files = (mft_files_t){0};
    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return MFT_E_SYSTEM;
    }
    errno = 0;
    while ((entry = readdir(entries)) != NULL) {
        const uint64_t number = mft_file_number(entry->d_name);

        if (number == 0)
            continue;
        if (files->count == 0 || number < files->oldest)
            files->oldest = number;
        if (number > files->newest)
            files->newest = number;
        files->count++;
    }
    rc = errno != 0 ? MFT_E_SYSTEM : files->count == 0 ? MFT_E_NOT_FOUND : MFT_OK;
    closedir(entries);
    return rc;
}

/* MFT_OK; MFT_E_NOT_FOUND: none; MFT_E_SYSTEM. While retention removes the oldest files, a listing may show a gap that is
 * none; such a one is gone when we look again. */
static inline int mft_files_list(int directory, mft_files_t *files)
{
    int rc = MFT_OK;

    for (int tries = 0; tries < 5; tries++) {
        rc = mft_files_list_once(directory, files);
        if (rc != MFT_OK || files->count == files->newest - files->oldest + 1)
            break;
    }
    return rc;
}

static inline int mft_read_all(int fd, void *to, uint64_t count, uint64_t offset, uint64_t *got)
{
    for (*got = 0; *got < count;) {
        const ssize_t n = pread(fd, (char *)to + *got, count - *got, (off_t)(offset + *got));

        if (n == 0)
            break;
        if (n > 0)
            *got += (uint64_t)n;
        else if (errno != EINTR)
            return MFT_E_SYSTEM;
    }
    return MFT_OK;
}

/* ---- reading ---- */

/* Private to a reader. */
typedef struct {
    int directory;
    int fd;                /* of the file being read, -1: none */
    int error;             /* errno of the last MFT_E_SYSTEM */
    mft_fault_t fault;     /* of the last MFT_E_LAYOUT or MFT_E_CORRUPT */
    uint64_t number;       /* of the file that the last error is about */
    mft_file_header_t file;
    int has_id;            /* the first file that was opened said which journal this is */
    uint8_t id[16];
    uint64_t position;     /* of the next record */
    uint64_t sequence;     /* of the next record */
    unsigned char *buffer; /* bytes of the file from `held_at` on */
    uint64_t room, held, held_at;
    int torn;              /* what mft_cursor_behind said when the file had this size and time of change */
    struct timespec torn_at;
    off_t torn_size;
} mft_cursor_t;

static inline void mft_cursor_init(mft_cursor_t *c, int directory)
{
    *c = (mft_cursor_t){.directory = directory, .fd = -1, .torn_size = -1};
}

static inline void mft_cursor_close(mft_cursor_t *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->buffer);
    mft_cursor_init(c, c->directory);
}

/* Where the next record begins in its file. */
static inline uint64_t mft_cursor_offset(const mft_cursor_t *c)
{
    return MFT_PAGE + (c->position - c->file.first_position);
}

/* Open a file and stand at its first record. MFT_E_NOT_FOUND; MFT_E_LAYOUT and the fault. */
static inline int mft_cursor_open(mft_cursor_t *c, uint64_t number)
{
    char name[MFT_FILE_NAME_BYTES];
    mft_file_header_t header;
    struct stat st;
    uint64_t got;
    int fd, rc;

    c->number = number;
    mft_file_name(name, number);
    fd = openat(c->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        c->error = errno;
        return errno == ENOENT ? MFT_E_NOT_FOUND : MFT_E_SYSTEM;
    }
    rc = fstat(fd, &st) == 0 ? MFT_OK : MFT_E_SYSTEM;
    if (rc == MFT_OK && !S_ISREG(st.st_mode))
        rc = mft_file_fault(&c->fault, "file type", S_IFREG, st.st_mode & S_IFMT);
    if (rc == MFT_OK)
        rc = mft_read_all(fd, &header, sizeof header, 0, &got);
    if (rc == MFT_OK && got < sizeof header)
        rc = mft_file_fault(&c->fault, "size", sizeof header, got);
    if (rc == MFT_OK)
        rc = mft_file_check(&header, number, c->has_id ? c->id : NULL, &c->fault);
    if (rc != MFT_OK) {
        c->error = errno;
        close(fd);
        return rc;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = fd;
    memcpy(&c->file, &header, sizeof header);
    memcpy(c->id, header.id, sizeof c->id);
    c->has_id = 1;
    c->position = header.first_position;
    c->sequence = header.first_sequence;
    c->held = c->held_at = 0;
    c->torn_size = -1;
    return MFT_OK;
}

/* The file's bytes from an offset on: how many there are, `want` at least unless the file ends before. */
static inline int mft_cursor_bytes(mft_cursor_t *c, uint64_t offset, uint64_t want, const unsigned char **at,
                                   uint64_t *there)
{
    if (offset < c->held_at || offset > c->held_at + c->held || c->held_at + c->held - offset < want) {
        if (c->room < want || c->buffer == NULL) {
            const uint64_t room = want < MFT_CURSOR_BYTES ? MFT_CURSOR_BYTES : want;
            unsigned char *const larger = realloc(c->buffer, room);

            if (larger == NULL) {
                c->error = ENOMEM;
                return MFT_E_SYSTEM;
            }
            c->buffer = larger;
            c->room = room;
        }
        c->held_at = offset;
        if (mft_read_all(c->fd, c->buffer, c->room, offset, &c->held) != MFT_OK) {
            c->error = errno;
            c->held = 0;
            return MFT_E_SYSTEM;
        }
    }
    *at = c->buffer + (offset - c->held_at);
    *there = c->held_at + c->held - offset;
    return MFT_OK;
}

/* What lies in the file from the next record's place on, which holds none: MFT_EMPTY, zeros; MFT_UNSTABLE, a torn tail;
 * MFT_E_CORRUPT, a whole record of a later number: what lies before it was damaged, not torn off; MFT_E_SYSTEM. */
static inline int mft_cursor_behind(mft_cursor_t *c)
{
    const uint64_t longest = mft_file_longest(&c->file);
    uint64_t offset = mft_cursor_offset(c), looked = 0, there, word, sequence;
    const unsigned char *at;
    int found = MFT_EMPTY;
    mft_record_t r;

    for (;; offset += 8) {
        if (offset >= looked) { /* over what was preallocated and never written */
            const off_t data = lseek(c->fd, (off_t)offset, SEEK_DATA);

            if (data < 0 && errno == ENXIO)
                return found;
            if (data > (off_t)offset)
                offset = (uint64_t)data & ~UINT64_C(7);
            looked = offset + MFT_CURSOR_BYTES;
        }
        if (mft_cursor_bytes(c, offset, MFT_RECORD_HEADER, &at, &there) != MFT_OK)
            return MFT_E_SYSTEM;
        if (there == 0)
            return found;
        word = 0;
        memcpy(&word, at, there < 8 ? there : 8);
        if (word != 0)
            found = MFT_UNSTABLE;
        if (there < MFT_RECORD_HEADER)
            continue;
        memcpy(&sequence, at + 8 * MFT_RECORD_SEQUENCE, 8);
        if (sequence - c->sequence - 1 >= c->file.file_bytes / MFT_RECORD_HEADER)
            continue; /* most places, at the price of one comparison */
        if (mft_record_check(at, there, longest, &r) == MFT_UNSTABLE &&
            mft_cursor_bytes(c, offset, mft_record_taken(r.length), &at, &there) != MFT_OK)
            return MFT_E_SYSTEM;
        if (mft_record_check(at, there, longest, &r) == MFT_OK) {
            mft_file_fault(&c->fault, "checksum of a record", r.sequence, c->sequence);
            return MFT_E_CORRUPT;
        }
    }
}

/* Go on to the file behind this one, if it begins where we stand: MFT_OK; MFT_E_NOT_FOUND: there is none; MFT_E_CORRUPT: it
 * begins elsewhere; MFT_E_LAYOUT; MFT_E_SYSTEM. */
static inline int mft_cursor_go_on(mft_cursor_t *c)
{
    mft_cursor_t next;
    int rc;

    mft_cursor_init(&next, c->directory);
    next.has_id = 1;
    memcpy(next.id, c->id, sizeof next.id);
    rc = mft_cursor_open(&next, c->file.number + 1);
    if (rc == MFT_OK && (next.position != c->position || next.sequence != c->sequence)) {
        mft_file_fault(&c->fault, "first position of the file behind it", c->position, next.position);
        rc = MFT_E_CORRUPT;
    } else if (rc == MFT_E_LAYOUT)
        c->fault = next.fault;
    if (rc == MFT_OK) {
        next.buffer = c->buffer;
        next.room = c->room;
        close(c->fd);
        *c = next;
        return MFT_OK;
    }
    c->error = next.error;
    c->number = rc == MFT_E_LAYOUT || rc == MFT_E_SYSTEM ? next.number : c->file.number;
    mft_cursor_close(&next);
    return rc;
}

/* The place of the next record holds none: MFT_OK, it is in the next file; MFT_EMPTY, MFT_UNSTABLE and errors as
 * mft_cursor_next. */
static inline int mft_cursor_end(mft_cursor_t *c)
{
    const int next = mft_cursor_go_on(c);
    struct stat st;

    if (next != MFT_E_NOT_FOUND)
        return next;
    if (fstat(c->fd, &st) != 0) {
        c->error = errno;
        return MFT_E_SYSTEM;
    }
    if (c->torn_size != st.st_size || c->torn_at.tv_sec != st.st_mtim.tv_sec || c->torn_at.tv_nsec != st.st_mtim.tv_nsec) {
        const int behind = mft_cursor_behind(c);

        if (behind < 0)
            return behind;
        c->torn = behind;
        c->torn_size = st.st_size;
        c->torn_at = st.st_mtim;
    }
    return c->torn;
}

/* The next record, if all of it lies before the position `limit`. MFT_OK and its payload, good until the next call;
 * MFT_EMPTY: there is none yet; MFT_UNSTABLE: a torn tail, as before; MFT_E_CORRUPT or MFT_E_LAYOUT: damage, and the fault
 * says which; MFT_E_SYSTEM. Goes on to the next file by itself. */
static inline int mft_cursor_next(mft_cursor_t *c, uint64_t limit, mft_record_t *r, const unsigned char **payload)
{
    int looks = 0; /* from our copy of the file; anew, as more may have been written; and once more, as the next file may
                    * have been begun in between */

    if (c->fd < 0)
        return MFT_E_NOT_FOUND;
    while (c->position < limit) {
        const uint64_t offset = mft_cursor_offset(c), longest = mft_file_longest(&c->file);
        const unsigned char *at = NULL;
        uint64_t there = 0;
        int rc;

        if (looks > 0)
            c->held = 0;
        rc = mft_cursor_bytes(c, offset, MFT_RECORD_HEADER, &at, &there);
        if (rc == MFT_OK)
            rc = mft_record_check(at, there, longest, r);
        if (rc == MFT_UNSTABLE) {
            rc = mft_cursor_bytes(c, offset, mft_record_taken(r->length), &at, &there);
            if (rc == MFT_OK)
                rc = mft_record_check(at, there, longest, r);
        }
        if (rc == MFT_E_SYSTEM)
            return rc;
        if (rc == MFT_OK && r->sequence == c->sequence) {
            if (mft_record_taken(r->length) > limit - c->position)
                return MFT_EMPTY;
            r->position = c->position;
            *payload = at + MFT_RECORD_HEADER;
            c->position += mft_record_taken(r->length);
            c->sequence++;
            return MFT_OK;
        }
        if (looks++ == 0)
            continue;
        if (rc == MFT_OK) {
            mft_file_fault(&c->fault, "sequence", c->sequence, r->sequence);
            return MFT_E_CORRUPT;
        }
        rc = mft_cursor_end(c);
        if (rc == MFT_OK) {
            looks = 0;
            continue;
        }
        if (rc >= 0 && limit != MFT_EVERYWHERE) { /* it is said to be whole and on disk */
            mft_file_fault(&c->fault, "position of a record that is not there", limit, c->position);
            rc = MFT_E_CORRUPT;
        }
        if (rc != MFT_E_CORRUPT || looks == 3)
            return rc;
    }
    return MFT_EMPTY;
}

/* Stand in the file that holds a position, or (`by_sequence`) a record's number, at its first record; MFT_EMPTY: at the
 * oldest file, which begins later. MFT_E_NOT_FOUND: a file is missing. */
static inline int mft_cursor_find(mft_cursor_t *c, const mft_files_t *files, uint64_t key, int by_sequence)
{
    uint64_t low = files->oldest, high = files->newest;
    int rc;

    while (low < high) { /* the newest file that begins at the key or before */
        const uint64_t middle = low + (high - low + 1) / 2;

        rc = mft_cursor_open(c, middle);
        if (rc != MFT_OK)
            return rc;
        if ((by_sequence ? c->file.first_sequence : c->file.first_position) <= key)
            low = middle;
        else
            high = middle - 1;
    }
    rc = mft_cursor_open(c, low);
    if (rc != MFT_OK)
        return rc;
    return (by_sequence ? c->file.first_sequence : c->file.first_position) <= key ? MFT_OK : MFT_EMPTY;
}

/* Stand at a record of the open file whose position and number are known. */
static inline void mft_cursor_jump(mft_cursor_t *c, uint64_t position, uint64_t sequence)
{
    c->position = position;
    c->sequence = sequence;
}

#endif
