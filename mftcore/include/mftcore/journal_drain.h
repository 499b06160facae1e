/* The journal on its way to disk: files begun, filled, rolled, removed; and made ready for a new writer.
 *
 * Promise: whatever was said to be drained is on disk (fdatasync), each record once, also when drainers are killed at any
 * instruction: a successor writes again from `drained`, the same bytes to the same places. Nothing is given up on an error of
 * the disk: the next attempt writes the same again, from memory. */
#ifndef MFTCORE_JOURNAL_DRAIN_H
#define MFTCORE_JOURNAL_DRAIN_H

#include "journal_file.h"

#define MFT_DRAIN_MOST UINT64_C(4194304) /* bytes between two fdatasync */

/* Private to a drainer. */
typedef struct {
    mft_journal_t *journal;
    int directory;
    int fd;                 /* of the newest file */
    int error;              /* errno of the last MFT_E_SYSTEM or MFT_E_NO_SPACE */
    mft_fault_t fault;
    mft_file_header_t file; /* of the newest file */
    uint64_t oldest;        /* file number */
    uint64_t end;           /* offset in the newest file of what is not on disk */
} mft_drain_t;

static inline int mft_write_all(int fd, const void *from, uint64_t count, uint64_t offset)
{
    for (uint64_t done = 0; done < count;) {
        const ssize_t n = pwrite(fd, (const char *)from + done, count - done, (off_t)(offset + done));

        if (n > 0)
            done += (uint64_t)n;
        else if (n == 0 || errno != EINTR)
            return MFT_E_SYSTEM;
    }
    return MFT_OK;
}

/* Make the file of this header, preallocated, complete before its name appears and both on disk; then it is open in `*fd`.
 * The header's number, positions and sizes are the caller's; id, boot and clocks are filled in where they are new. On
 * failure nothing is left under that name, and errno says why. */
static inline int mft_file_create(int directory, mft_file_header_t *h, int *fd)
{
    char name[MFT_FILE_NAME_BYTES], fresh[MFT_FILE_NAME_BYTES + 4];
    struct timespec now;
    int rc, error;

    mft_file_name(name, h->number);
    snprintf(fresh, sizeof fresh, "%s.new", name);
    h->magic = MFT_FILE_MAGIC;
    h->version = MFT_FILE_VERSION;
    h->header_bytes = MFT_PAGE;
    mft_boot_id(h->boot);
    clock_gettime(CLOCK_REALTIME, &now);
    h->realtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    h->monotonic_ns = mft_now_ns();
    h->crc = mft_file_crc(h);
    *fd = openat(directory, fresh, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0)
        return MFT_E_SYSTEM;
    do
        rc = posix_fallocate(*fd, 0, (off_t)h->file_bytes);
    while (rc == EINTR);
    errno = rc != 0 ? rc : errno;
    if (rc == 0 && mft_write_all(*fd, h, sizeof *h, 0) == MFT_OK && fsync(*fd) == 0 &&
        renameat(directory, fresh, directory, name) == 0 && fsync(directory) == 0)
        return MFT_OK;
    error = errno;
    close(*fd);
    *fd = -1;
    unlinkat(directory, fresh, 0); /* what it held of a full disk */
    errno = error;
    return MFT_E_SYSTEM;
}

/* ---- the drainer ---- */

static inline int mft_drain_failed(mft_drain_t *d)
{
    d->error = errno;
    return errno == ENOSPC || errno == EDQUOT ? MFT_E_NO_SPACE : MFT_E_SYSTEM;
}

static inline void mft_drain_close(mft_drain_t *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

/* Remove the oldest files beyond those that are kept. */
static inline int mft_drain_retain(mft_drain_t *d)
{
    char name[MFT_FILE_NAME_BYTES];

    while (d->file.keep_files != 0 && d->file.number - d->oldest >= d->file.keep_files) {
        mft_file_name(name, d->oldest);
        if (unlinkat(d->directory, name, 0) != 0 && errno != ENOENT)
            return mft_drain_failed(d);
        d->oldest++;
    }
    return MFT_OK;
}

/* What a killed predecessor wrote behind `drained` must be what memory holds, or zeros: anything else was written by
 * somebody who does not know of this memory. */
static inline int mft_drain_compare(mft_drain_t *d)
{
    unsigned char there[8192];
    const unsigned char *from;
    uint64_t count, got;
    struct stat st;

    if (mft_journal_undrained(d->journal, &from, &count) != MFT_OK)
        return MFT_E_CORRUPT;
    if (fstat(d->fd, &st) != 0)
        return mft_drain_failed(d);
    if ((uint64_t)st.st_size < d->end)
        return mft_file_fault(&d->fault, "size", d->end, (uint64_t)st.st_size);
    for (uint64_t at = 0; at < count + MFT_RECORD_HEADER; at += sizeof there) {
        if (mft_read_all(d->fd, there, sizeof there, d->end + at, &got) != MFT_OK)
            return mft_drain_failed(d);
        for (uint64_t i = 0; i + 8 <= got && at + i < count + MFT_RECORD_HEADER; i += 8) {
            uint64_t word, expected = 0;

            memcpy(&word, there + i, 8);
            if (at + i < count)
                memcpy(&expected, from + at + i, 8);
            if (word != 0 && word != expected)
                return mft_file_fault(&d->fault, "what lies behind the last record", expected, word);
        }
        if (got < sizeof there)
            break;
    }
    return MFT_OK;
}

/* Find the place in the newest file at which to go on. `directory` stays the caller's. */
static inline int mft_drain_open(mft_drain_t *d, mft_journal_t *journal, int directory, const uint8_t id[16])
{
    const uint64_t drained = atomic_load_explicit(&journal->shared->drained, memory_order_relaxed);
    char name[MFT_FILE_NAME_BYTES];
    mft_files_t files;
    mft_cursor_t c;
    int rc;

    *d = (mft_drain_t){.journal = journal, .directory = directory, .fd = -1};
    rc = mft_files_list(directory, &files);
    if (rc != MFT_OK)
        return rc == MFT_E_SYSTEM ? mft_drain_failed(d) : rc;
    mft_cursor_init(&c, directory);
    c.has_id = 1;
    memcpy(c.id, id, sizeof c.id);
    rc = mft_cursor_open(&c, files.newest);
    d->error = c.error;
    d->fault = c.fault;
    memcpy(&d->file, &c.file, sizeof d->file);
    mft_cursor_close(&c);
    if (rc != MFT_OK)
        return rc;
    d->oldest = files.oldest;
    d->end = MFT_PAGE + (drained - d->file.first_position);
    if (d->file.first_position > drained || d->end > d->file.file_bytes)
        return mft_file_fault(&d->fault, "first position", drained, d->file.first_position);
    mft_file_name(name, files.newest);
    d->fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (d->fd < 0)
        return mft_drain_failed(d);
    rc = mft_drain_compare(d);
    if (rc == MFT_OK)
        rc = mft_drain_retain(d); /* which a killed predecessor may not have come to */
    if (rc != MFT_OK)
        mft_drain_close(d);
    return rc;
}

/* The newest file is full: cut it off behind its last record, begin the next one, remove the oldest. */
static inline int mft_drain_roll(mft_drain_t *d, uint64_t position, uint64_t sequence)
{
    mft_file_header_t next;
    int fd;

    if (ftruncate(d->fd, (off_t)d->end) != 0 || fsync(d->fd) != 0)
        return mft_drain_failed(d);
    memcpy(&next, &d->file, sizeof next);
    next.number++;
    next.first_position = position;
    next.first_sequence = sequence;
    if (mft_file_create(d->directory, &next, &fd) != MFT_OK)
        return mft_drain_failed(d);
    close(d->fd);
    d->fd = fd;
    d->end = MFT_PAGE;
    memcpy(&d->file, &next, sizeof next);
    return mft_drain_retain(d);
}

/* One step: whole records from memory to the newest file and to the disk; `*count` bytes are safe now. MFT_OK; MFT_EMPTY:
 * all was; MFT_E_NO_SPACE, MFT_E_SYSTEM: d->error says why, call again later; MFT_E_CORRUPT: memory is damaged. */
static inline int mft_drain_step_silently(mft_drain_t *d, uint64_t *count)
{
    mft_journal_t *const j = d->journal;
    const uint64_t drained = atomic_load_explicit(&j->shared->drained, memory_order_relaxed);
    const unsigned char *from;
    uint64_t there, room;
    mft_record_t r;

    *count = 0;
    if (mft_journal_undrained(j, &from, &there) != MFT_OK)
        return MFT_E_CORRUPT;
    if (there == 0)
        return MFT_EMPTY;
    for (;;) {
        room = d->file.file_bytes - d->end;
        while (*count < there && *count < MFT_DRAIN_MOST) {
            if (mft_record_check(from + *count, there - *count, j->longest, &r) != MFT_OK)
                return MFT_E_CORRUPT;
            if (mft_record_taken(r.length) > room - *count)
                break;
            *count += mft_record_taken(r.length);
        }
        if (*count > 0)
            break;
        const int rc = mft_drain_roll(d, drained, r.sequence);
        if (rc != MFT_OK)
            return rc;
    }
    if (mft_write_all(d->fd, from, *count, d->end) != MFT_OK || fdatasync(d->fd) != 0) {
        *count = 0;
        return mft_drain_failed(d);
    }
    d->end += *count;
    mft_journal_drained(j, *count);
    return MFT_OK;
}

/* The same, and says in shared memory how it went, and to who waits for it. */
static inline int mft_drain_step(mft_drain_t *d, uint64_t *count)
{
    mft_journal_shared_t *const shared = d->journal->shared;
    const int rc = mft_drain_step_silently(d, count);
    const int error = rc >= 0 ? 0 : rc == MFT_E_CORRUPT ? EBADMSG : d->error;

    /* SYNC attempts, with the acquire in mft_drain_attempts: who sees it sees how that attempt went. */
    atomic_store_explicit(&shared->disk_error, (uint64_t)error, memory_order_relaxed);
    atomic_store_explicit(&shared->attempts, atomic_load_explicit(&shared->attempts, memory_order_relaxed) + 1,
                          memory_order_release);
    mft_bell_ring(&shared->done);
    return rc;
}

/* Anybody: how many attempts to drain have ended, and how the last of them went: 0, or its errno. */
static inline uint64_t mft_drain_attempts(const mft_journal_t *j, int *error)
{
    const uint64_t attempts = atomic_load_explicit(&j->shared->attempts, memory_order_acquire);

    *error = (int)atomic_load_explicit(&j->shared->disk_error, memory_order_relaxed);
    return attempts;
}

/* ---- before a new writer ---- */

/* What a journal without live memory ends with, and what had to be cut off. */
typedef struct {
    uint64_t position, sequence; /* of the end, and of the newest record (0: none) */
    uint64_t number;             /* of the newest file */
    uint64_t offset;             /* in it, of the end or of the damage */
    uint64_t cut_bytes;          /* of a torn tail, kept as a file aside; 0: none was there */
    char side[MFT_FILE_NAME_BYTES + 16];
} mft_recovery_t;

/* Keep what stands behind the cursor as a file of its own, then cut it off. */
static inline int mft_recover_cut(mft_cursor_t *c, mft_recovery_t *found)
{
    char name[MFT_FILE_NAME_BYTES], fresh[sizeof found->side + 4];
    const uint64_t offset = mft_cursor_offset(c);
    unsigned char *tail;
    struct stat st;
    int fd, side = -1, rc = MFT_E_SYSTEM;

    mft_file_name(name, c->file.number);
    fd = openat(c->directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size < offset) {
        if (fd >= 0)
            close(fd);
        return MFT_E_SYSTEM;
    }
    found->cut_bytes = (uint64_t)st.st_size - offset;
    tail = malloc(found->cut_bytes + 1);
    if (tail == NULL || mft_read_all(fd, tail, found->cut_bytes, offset, &found->cut_bytes) != MFT_OK)
        goto out;
    while (found->cut_bytes > 0 && tail[found->cut_bytes - 1] == 0) /* of what was preallocated */
        found->cut_bytes--;
    for (int n = 1;; n++) {
        snprintf(found->side, sizeof found->side, "%s.torn-%d", name, n);
        if (fstatat(c->directory, found->side, &st, AT_SYMLINK_NOFOLLOW) != 0)
            break;
    }
    if (errno != ENOENT)
        goto out;
    snprintf(fresh, sizeof fresh, "%s.new", found->side);
    side = openat(c->directory, fresh, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (side >= 0 && mft_write_all(side, tail, found->cut_bytes, 0) == MFT_OK && fsync(side) == 0 &&
        renameat(c->directory, fresh, c->directory, found->side) == 0 && fsync(c->directory) == 0 &&
        ftruncate(fd, (off_t)offset) == 0 && fsync(fd) == 0)
        rc = MFT_OK;
out:
    if (rc != MFT_OK)
        c->error = errno;
    if (side >= 0)
        close(side);
    close(fd);
    free(tail);
    return rc;
}

/* Read the headers of all files and the newest file to its end. The caller holds the lock of the journal, and no live memory
 * knows more. `*c` then stands at the end, or at what is wrong, which its fault names (and `found->number` the file). `cut`:
 * what was torn off is kept aside and cut away; otherwise it is left. MFT_OK, MFT_E_NOT_FOUND (none, or this one is missing),
 * MFT_E_LAYOUT, MFT_E_CORRUPT, MFT_E_SYSTEM. */
static inline int mft_recover(mft_cursor_t *c, int cut, mft_recovery_t *found)
{
    const unsigned char *payload;
    mft_files_t files;
    mft_record_t r;
    struct stat st;
    int rc;

    *found = (mft_recovery_t){0};
    rc = mft_files_list(c->directory, &files);
    if (rc != MFT_OK) {
        c->error = errno;
        return rc;
    }
    for (uint64_t number = files.oldest; number <= files.newest; number++) {
        const uint64_t before = c->file.first_position, sequence = c->file.first_sequence;

        found->number = number;
        st.st_size = 0;
        if (number > files.oldest && fstat(c->fd, &st) != 0)
            rc = MFT_E_SYSTEM;
        else
            rc = mft_cursor_open(c, number);
        if (rc != MFT_OK) { /* MFT_E_NOT_FOUND: missing in the middle */
            while (number > files.oldest && mft_cursor_next(c, MFT_EVERYWHERE, &r, &payload) == MFT_OK)
                ;
            found->sequence = number > files.oldest ? c->sequence - 1 : 0;
            return rc;
        }
        if (number > files.oldest && (c->file.first_position < before || c->file.first_sequence < sequence ||
                                      c->file.first_position - before + MFT_PAGE > (uint64_t)st.st_size)) {
            found->number = number - 1;
            found->offset = (uint64_t)st.st_size;
            mft_file_fault(&c->fault, "size", c->file.first_position - before + MFT_PAGE, (uint64_t)st.st_size);
            return MFT_E_CORRUPT;
        }
    }
    do
        rc = mft_cursor_next(c, MFT_EVERYWHERE, &r, &payload);
    while (rc == MFT_OK);
    found->position = c->position;
    found->sequence = c->sequence - 1;
    found->offset = mft_cursor_offset(c);
    if (rc == MFT_UNSTABLE)
        rc = cut ? mft_recover_cut(c, found) : MFT_EMPTY;
    return rc == MFT_EMPTY ? MFT_OK : rc;
}

#endif
