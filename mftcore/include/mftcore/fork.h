/* Mappings that become private in a forked child. An endpoint does not cross a fork, but a view of its memory that was
 * kept might: in the child such a view shows what was there, may even be written to, and never reaches the parent.
 *
 * One list per process, owned by whoever registers the handlers (mftcore/segment.pyx). C programs that fork map their
 * segments anew in the child instead. */
#ifndef MFTCORE_FORK_H
#define MFTCORE_FORK_H

#include <pthread.h>
#include <sys/mman.h>

#include "base.h"

typedef struct mft_mapping {
    struct mft_mapping *next, *previous;
    void *address;
    size_t bytes;
    size_t mirror; /* bytes of the file's end that are mapped once more at the end of `bytes` */
    int fd;
    int private; /* in this process already; its forks copy it like all private memory */
} mft_mapping_t;

typedef struct {
    pthread_mutex_t lock; /* held across fork, so that no child inherits half a list */
    mft_mapping_t *first;
    uint64_t generation; /* forks between the first process and this one, plus one */
} mft_forks_t;

static inline void mft_forks_add(mft_forks_t *forks, mft_mapping_t *m, void *address, size_t bytes,
                                 size_t mirror, int fd)
{
    *m = (mft_mapping_t){.address = address, .bytes = bytes, .mirror = mirror, .fd = fd};
    pthread_mutex_lock(&forks->lock);
    m->next = forks->first;
    if (m->next)
        m->next->previous = m;
    forks->first = m;
    pthread_mutex_unlock(&forks->lock);
}

/* Before the mapping is taken away. Twice does nothing. */
static inline void mft_forks_drop(mft_forks_t *forks, mft_mapping_t *m)
{
    if (m->address == NULL)
        return;
    pthread_mutex_lock(&forks->lock);
    if (m->previous)
        m->previous->next = m->next;
    else
        forks->first = m->next;
    if (m->next)
        m->next->previous = m->previous;
    pthread_mutex_unlock(&forks->lock);
    *m = (mft_mapping_t){0};
}

/* The same pages, copied at the first store; where the limit for private memory does not allow that, read-only; without
 * the file (its descriptor was closed behind our back) zeros, or else no access at all. Anything but the parent's memory. */
static inline void mft_mapping_privatise(void *address, size_t bytes, int fd, off_t offset)
{
    if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, offset) == MAP_FAILED &&
        mmap(address, bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, offset) == MAP_FAILED &&
        mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        mprotect(address, bytes, PROT_NONE);
}

/* In the child, by pthread_atfork, hence system calls only. */
static inline void mft_forks_in_child(mft_forks_t *forks)
{
    forks->generation++;
    for (mft_mapping_t *m = forks->first; m; m = m->next) {
        const size_t once = m->bytes - m->mirror;

        if (m->private)
            continue;
        m->private = 1;
        mft_mapping_privatise(m->address, once, m->fd, 0);
        if (m->mirror) /* the two are no longer the same memory: nobody but a kept view looks there */
            mft_mapping_privatise((char *)m->address + once, m->mirror, m->fd, (off_t)(once - m->mirror));
    }
}

#endif
