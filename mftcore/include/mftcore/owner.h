/* Who holds a role, in one 64-bit word, and whether that process still lives.
 *
 *   bits  0-21  pid                       (Linux allows at most 2^22)
 *   bits 22-54  start time in clock ticks (field 22 of /proc/PID/stat; 33 bits come round after 2.7 years)
 *   bit  55     foreign: the holder is not in the pid and time namespace in which the segment was made
 *   bits 56-63  CRC-8 of the rest: a damaged word is seen, not believed
 *
 * One word, because a compare-and-swap must change pid and start time together: a pid alone may by now belong to
 * another process. 0 is "nobody". */
#ifndef MFTCORE_OWNER_H
#define MFTCORE_OWNER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base.h"

#define MFT_OWNER_FOREIGN (UINT64_C(1) << 55)
#define MFT_CHECKED_BITS ((UINT64_C(1) << 56) - 1)

/* CRC-8 (x^8 + x^2 + x + 1) of the low 56 bits, in the top byte: finds every change within one byte. 0 stays 0. */
static inline uint64_t mft_checked(uint64_t value)
{
    uint64_t rest;
    unsigned crc = 0;

    value &= MFT_CHECKED_BITS;
    rest = value;
    for (int byte = 6; byte >= 0; byte--) {
        crc ^= (unsigned)(rest >> (8 * byte)) & 0xFF;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xFF : crc << 1;
    }
    return value | (uint64_t)crc << 56;
}

static inline int mft_checked_ok(uint64_t word)
{
    return mft_checked(word) == word;
}

/* What identifies this process: filled by mft_self. */
typedef struct {
    uint64_t start_ticks;
    uint64_t pid_namespace; /* inode numbers of the namespaces; 0: /proc does not tell */
    uint64_t time_namespace;
    int pid;
} mft_process_t;

/* Start time of a process in clock ticks since boot, or 0 when /proc does not tell. */
static inline uint64_t mft_start_ticks(int pid)
{
    char path[32], text[1024];
    char *field;
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    do
        length = read(fd, text, sizeof text - 1);
    while (length < 0 && errno == EINTR);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = 0;
    field = strrchr(text, ')'); /* the name before it may hold blanks and brackets */
    for (int n = 2; field && n < 22; n++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

static inline uint64_t mft_namespace(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static inline void mft_self(mft_process_t *self)
{
    self->pid = (int)getpid();
    self->start_ticks = mft_start_ticks(self->pid);
    self->pid_namespace = mft_namespace("/proc/self/ns/pid");
    self->time_namespace = mft_namespace("/proc/self/ns/time");
}

static inline uint64_t mft_owner_word(int pid, uint64_t start_ticks, int foreign)
{
    return mft_checked(((uint64_t)pid & 0x3FFFFF) | (start_ticks & 0x1FFFFFFFF) << 22 |
                       (foreign ? MFT_OWNER_FOREIGN : 0));
}

static inline int mft_owner_pid(uint64_t word)
{
    return (int)(word & 0x3FFFFF);
}

static inline uint64_t mft_owner_start(uint64_t word)
{
    return word >> 22 & 0x1FFFFFFFF;
}

/* A pidfd of the holder, -1 when it is proved dead, -2 when it cannot be told (then it counts as alive). The start
 * time is read between opening and asking: if the pidfd is alive afterwards, it was that process all the time. */
static inline int mft_owner_pidfd(uint64_t word)
{
    const int pid = mft_owner_pid(word);
    struct pollfd ask = {.events = POLLIN};
    uint64_t start;

    if (pid == 0)
        return -1;
    ask.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ask.fd < 0) /* EINVAL, ENOENT: the number is now that of a thread, so the process is gone */
        return errno == ESRCH || errno == EINVAL || errno == ENOENT ? -1 : -2;
    start = mft_start_ticks(pid);
    if ((poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN)) || (start != 0 && mft_owner_start(word) != 0 &&
                                  (start & 0x1FFFFFFFF) != mft_owner_start(word))) {
        close(ask.fd); /* readable: it has ended, reaped or not; a stopped process stays unreadable */
        return -1;
    }
    return ask.fd;
}

/* 1: alive, or not to be told from here; 0: proved dead. */
static inline int mft_owner_alive(uint64_t word)
{
    const int fd = mft_owner_pidfd(word);

    if (fd >= 0)
        close(fd);
    return fd != -1;
}

#endif
