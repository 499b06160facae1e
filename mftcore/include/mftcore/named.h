/* Segments with a name, for processes that are not each other's children: files in a 0700 directory of our own.
 *
 * A name appears by linkat when the segment behind it is complete, so nobody ever sees half of one, and it never
 * replaces another. Names go by mft_named_remove, under an flock of the directory, and only the very file that was
 * meant. Everything is done relative to the opened and checked directory: what happens to its path later is of no
 * consequence. */
#ifndef MFTCORE_NAMED_H
#define MFTCORE_NAMED_H

#include "segment.h"

#define MFT_LOCK_TRIES 1000 /* of 1 ms: an flock here is held for microseconds */

/* A descriptor of `path`, a directory that is ours, 0700 and no link; made when `make`. Negative on failure:
 * MFT_E_UNSAFE when it is somebody else's or open to others, MFT_E_NOT_FOUND when it is not there. */
static inline int mft_named_directory(const char *path, int make)
{
    char proc[32];
    struct stat st;
    int at, fd;

    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno == ENOSPC || errno == EDQUOT ? MFT_E_NO_SPACE : MFT_E_SYSTEM;
    at = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0)
        return errno == ENOENT ? MFT_E_NOT_FOUND : errno == ELOOP || errno == ENOTDIR ? MFT_E_UNSAFE : MFT_E_SYSTEM;
    if (fstat(at, &st) != 0) {
        close(at);
        return MFT_E_SYSTEM;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 0077) != 0) {
        close(at);
        return MFT_E_UNSAFE;
    }
    if ((st.st_mode & 07777) != 0700) { /* mkdir subtracted a harsh umask */
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", at);
        if (chmod(proc, 0700) != 0) {
            close(at);
            return MFT_E_SYSTEM;
        }
    }
    fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(at);
    return fd < 0 ? MFT_E_SYSTEM : fd;
}

/* Letters, digits, '.', '_' and '-', at most 200, not starting with a dot: a name, never a path. */
static inline int mft_name_ok(const char *name)
{
    size_t length = 0;

    if (name[0] == '.')
        return 0;
    for (; name[length]; length++) {
        const char c = name[length];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return 0;
    }
    return length >= 1 && length <= 200;
}

/* Make a segment in `directory` that has no name yet; mft_named_publish gives it one. On failure nothing is left. */
static inline int mft_named_make(mft_segment_t *s, int directory, const mft_spec_t *spec)
{
    int rc, error;

    mft_segment_init(s);
    s->fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return mft_system_error(s);
    rc = mft_segment_fill(s, spec, 1);
    if (rc != MFT_OK) {
        error = s->error;
        mft_segment_detach(s);
        s->error = error;
    }
    return rc;
}

/* Everything is in place: mark it ready and let the name appear. MFT_E_EXISTS when it is in use; the segment is then
 * still without a name. */
static inline int mft_named_publish(mft_segment_t *s, int directory, const char *name)
{
    char proc[32];

    if (!mft_name_ok(name))
        return MFT_E_ARGUMENT;
    mft_segment_publish(s);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", s->fd);
    if (linkat(AT_FDCWD, proc, directory, name, AT_SYMLINK_FOLLOW) == 0)
        return MFT_OK;
    if (errno == EEXIST)
        return MFT_E_EXISTS;
    return mft_system_error(s);
}

/* Attach by name. */
static inline int mft_named_attach(mft_segment_t *s, int directory, const char *name, uint32_t kind, uint32_t version)
{
    int fd;

    mft_segment_init(s);
    if (!mft_name_ok(name))
        return MFT_E_ARGUMENT;
    /* O_NONBLOCK: a FIFO of that name must not hold us up before it is refused */
    fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT)
            return MFT_E_NOT_FOUND;
        return errno == ELOOP || errno == ENXIO || errno == EISDIR ? MFT_E_UNSAFE : mft_system_error(s);
    }
    return mft_segment_attach(s, fd, kind, version);
}

/* Take the name away if it still means this segment. MFT_E_NOT_FOUND when it does not (any more). Attached processes
 * keep the memory. */
static inline int mft_named_remove(const mft_segment_t *s, int directory, const char *name)
{
    const struct timespec pause = {0, 1000000};
    struct stat mine, there;
    int rc = MFT_E_SYSTEM, tries = 0;

    while (flock(directory, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return MFT_E_SYSTEM;
        if (++tries == MFT_LOCK_TRIES)
            return MFT_E_TAKEN;
        nanosleep(&pause, NULL);
    }
    if (fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) != 0)
        rc = errno == ENOENT ? MFT_E_NOT_FOUND : MFT_E_SYSTEM;
    else if (fstat(s->fd, &mine) == 0) {
        if (there.st_ino != mine.st_ino || there.st_dev != mine.st_dev)
            rc = MFT_E_NOT_FOUND;
        else
            rc = unlinkat(directory, name, 0) == 0 ? MFT_OK : MFT_E_SYSTEM;
    }
    flock(directory, LOCK_UN); /* said, not left to close: a child forked meanwhile holds the descriptor open */
    return rc;
}

#endif
