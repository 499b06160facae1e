/* One producer, one consumer, messages of any length, no locks, no system calls.
 *
 * Promise: as ring.h, for whole messages. The release store of `tail` is the only commit point, also of the count of
 * messages. Every message lies in one piece, also over the end of the memory: the data is mapped twice, one copy right
 * behind the other.
 *
 * Method of the counts: an index is a multiple of 8, so its lowest bit is free. It says which of two words holds the count
 * that belongs to this index; the other one is written before the next index is. */
#ifndef MFTCORE_BYTE_RING_H
#define MFTCORE_BYTE_RING_H

#include <string.h>

#include "segment.h"
#include "wait.h"

#define MFT_BYTES_VERSION 1u
#define MFT_BYTES_HEADER 8u                        /* before each message: its length, and the complement of it */
#define MFT_BYTES_CONTROL (65536u - MFT_PAGE)      /* the data begins at 64 KiB of the file: a page on any machine */
#define MFT_BYTES_LEAST UINT64_C(65536)
#define MFT_BYTES_MOST (UINT64_C(1) << 32)
#define MFT_BYTES_WHICH UINT64_C(1) /* of an index as it is stored: the count that belongs to it */
#define MFT_BYTES_TRIES 1000

enum { MFT_BYTES_PRODUCER = 0, MFT_BYTES_CONSUMER = 1 }; /* roles */

/* The four orders have names, so that the tests can weaken each in turn and see ThreadSanitizer object. */
#ifndef MFT_BYTES_TAIL_RELEASE
#define MFT_BYTES_TAIL_RELEASE memory_order_release
#endif
#ifndef MFT_BYTES_TAIL_ACQUIRE
#define MFT_BYTES_TAIL_ACQUIRE memory_order_acquire
#endif
#ifndef MFT_BYTES_HEAD_RELEASE
#define MFT_BYTES_HEAD_RELEASE memory_order_release
#endif
#ifndef MFT_BYTES_HEAD_ACQUIRE
#define MFT_BYTES_HEAD_ACQUIRE memory_order_acquire
#endif
/* And those of the counts, which only the model can see. */
#ifndef MFT_BYTES_COUNT_RELEASE
#define MFT_BYTES_COUNT_RELEASE memory_order_release
#endif
#ifndef MFT_BYTES_COUNT_ACQUIRE
#define MFT_BYTES_COUNT_ACQUIRE memory_order_acquire
#endif

/* Shared: no pointers. The data follows at MFT_BYTES_CONTROL. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) tail; /* bytes ever committed, headers and padding included, and which count */
    _Atomic(uint64_t) pushed[2];               /* messages */
    _Atomic(uint64_t) full;                    /* messages refused for want of room; only the producer writes this line */
    _Alignas(MFT_LINE) _Atomic(uint64_t) head; /* bytes ever released, and which count; only the consumer writes this line */
    _Atomic(uint64_t) popped[2];               /* messages */
    mft_bell_t messages;                       /* a consumer sleeps here until there are messages */
    mft_bell_t room;                           /* a producer sleeps here until there is room */
} mft_bytes_shared_t;
_Static_assert(offsetof(mft_bytes_shared_t, head) == MFT_LINE, "processes share this layout");
_Static_assert(offsetof(mft_bytes_shared_t, messages) == 2 * MFT_LINE, "processes share this layout");
_Static_assert(sizeof(mft_bytes_shared_t) == 4 * MFT_LINE, "processes share this layout");

/* Private to an endpoint. */
typedef struct {
    mft_bytes_shared_t *shared;
    unsigned char *data;  /* `bytes` long, and the same once more behind it */
    uint64_t bytes;       /* a power of two */
    uint64_t mask;
    uint64_t head_seen;   /* producer: the consumer was at least here */
    uint64_t tail_seen;   /* consumer: the producer was at least here */
    uint64_t pending;     /* written or read, not yet committed or released */
    uint64_t pending_messages;
} mft_bytes_t;

/* The bytes that a stored index says. */
static inline uint64_t mft_bytes_at(uint64_t index)
{
    return index & ~MFT_BYTES_WHICH;
}

/* What a message takes of the ring. */
static inline uint64_t mft_bytes_taken(uint64_t length)
{
    return MFT_BYTES_HEADER + ((length + 7) & ~UINT64_C(7));
}

/* Bytes of the data part for a ring of so many bytes (a power of two); 0 when they make no ring. */
static inline uint64_t mft_bytes_data_bytes(uint64_t bytes)
{
    if (bytes < MFT_BYTES_LEAST || bytes > MFT_BYTES_MOST || (bytes & (bytes - 1)) != 0)
        return 0;
    return MFT_BYTES_CONTROL + bytes;
}

/* Make a private handle. `s` is mapped with its last `capacity` bytes mirrored (mft_segment_mirror). */
static inline int mft_bytes_open(mft_bytes_t *r, mft_segment_t *s)
{
    const uint64_t bytes = s->layout.capacity, needed = mft_bytes_data_bytes(bytes);
    uint64_t head, tail;

    if (needed == 0 || s->data_bytes != needed || s->mirror_bytes != bytes)
        return mft_fault(s, "capacity", s->data_bytes, needed);
    *r = (mft_bytes_t){.shared = (mft_bytes_shared_t *)(void *)s->data, .data = s->data + MFT_BYTES_CONTROL,
                       .bytes = bytes, .mask = bytes - 1};
    for (int tries = 0; tries < MFT_BYTES_TRIES; tries++) {
        /* head before tail: see mft_ring_open */
        head = mft_bytes_at(atomic_load_explicit(&r->shared->head, memory_order_acquire));
        tail = mft_bytes_at(atomic_load_explicit(&r->shared->tail, memory_order_relaxed));
        if (tail - head <= bytes && (tail & 7) == 0 && (head & 7) == 0) {
            r->head_seen = r->tail_seen = head;
            return MFT_OK;
        }
    }
    return MFT_E_CORRUPT;
}

/* ---- producer ---- */

/* Producer only. MFT_OK and the place for a message of at most `length` bytes behind those already put; MFT_FULL, which is
 * counted; MFT_E_ARGUMENT when no ring of this size ever has room for it. */
static inline int mft_bytes_claim(mft_bytes_t *r, uint64_t length, unsigned char **place)
{
    /* relaxed: nobody else writes tail. */
    const uint64_t tail = mft_bytes_at(atomic_load_explicit(&r->shared->tail, memory_order_relaxed));
    uint64_t taken, used;

    if (length > r->bytes - MFT_BYTES_HEADER)
        return MFT_E_ARGUMENT;
    taken = r->pending + mft_bytes_taken(length);
    if (taken > r->bytes || tail - r->head_seen > r->bytes - taken) {
        /* SYNC head, with the release in mft_bytes_release: the consumer has read before we write over it. */
        r->head_seen = mft_bytes_at(atomic_load_explicit(&r->shared->head, MFT_BYTES_HEAD_ACQUIRE));
        used = tail - r->head_seen;
        if (used > r->bytes || ((used | tail) & 7) != 0)
            return MFT_E_CORRUPT;
        if (taken > r->bytes || used > r->bytes - taken) {
            atomic_store_explicit(&r->shared->full,
                                  atomic_load_explicit(&r->shared->full, memory_order_relaxed) + 1,
                                  memory_order_relaxed);
            return MFT_FULL;
        }
    }
    *place = r->data + ((tail + r->pending) & r->mask) + MFT_BYTES_HEADER;
    return MFT_OK;
}

/* Producer only. What was just claimed is a message of `length` bytes, at most as long as the claim. */
static inline void mft_bytes_put(mft_bytes_t *r, unsigned char *place, uint64_t length)
{
    const uint64_t word = length | ~length << 32;

    memcpy(place - MFT_BYTES_HEADER, &word, sizeof word);
    r->pending += mft_bytes_taken(length);
    r->pending_messages++;
}

/* What an index of ours is to be, with all that is pending; the count that will belong to it is written. */
static inline uint64_t mft_bytes_counted(mft_bytes_t *r, const _Atomic(uint64_t) *index, _Atomic(uint64_t) *counts)
{
    const uint64_t old = atomic_load_explicit(index, memory_order_relaxed), which = old & MFT_BYTES_WHICH;
    const uint64_t next = (old + r->pending) ^ MFT_BYTES_WHICH;
    const uint64_t count = atomic_load_explicit(&counts[which], memory_order_relaxed) + r->pending_messages;

    /* SYNC count, with the acquire in mft_bytes_counters: who sees this count sees the index `old`, and so does not take
     * it for the count of the index before that. */
    atomic_store_explicit(&counts[which ^ MFT_BYTES_WHICH], count, MFT_BYTES_COUNT_RELEASE);
    r->pending = r->pending_messages = 0;
    return next;
}

/* Producer only. Publish all that was put, at once. */
static inline void mft_bytes_commit(mft_bytes_t *r)
{
    /* SYNC tail, with the acquire in mft_bytes_peek: who sees the new tail sees whole messages. */
    atomic_store_explicit(&r->shared->tail, mft_bytes_counted(r, &r->shared->tail, r->shared->pushed),
                          MFT_BYTES_TAIL_RELEASE);
}

/* Producer only. Forget what was put. */
static inline void mft_bytes_drop(mft_bytes_t *r)
{
    r->pending = r->pending_messages = 0;
}

/* Producer only. One message, copied and committed. */
static inline int mft_bytes_push(mft_bytes_t *r, const void *message, uint64_t length)
{
    unsigned char *place = NULL;
    const int rc = mft_bytes_claim(r, length, &place);

    if (rc != MFT_OK)
        return rc;
    memcpy(place, message, length);
    mft_bytes_put(r, place, length);
    mft_bytes_commit(r);
    return MFT_OK;
}

/* Producer only: is there room for a message of `length` bytes, or are the indices damaged? */
static inline int mft_bytes_has_room(const mft_bytes_t *r, uint64_t length)
{
    const uint64_t used = mft_bytes_at(atomic_load_explicit(&r->shared->tail, memory_order_relaxed)) -
                          mft_bytes_at(atomic_load_explicit(&r->shared->head, memory_order_relaxed));

    return used > r->bytes || mft_bytes_taken(length) <= r->bytes - used;
}

/* ---- consumer ---- */

/* Consumer only. MFT_OK and the oldest message behind those already taken, where it lies; or MFT_EMPTY. It stays in the
 * ring until mft_bytes_release. */
static inline int mft_bytes_peek(mft_bytes_t *r, const unsigned char **place, uint64_t *length)
{
    /* relaxed: nobody else writes head. */
    const uint64_t at = mft_bytes_at(atomic_load_explicit(&r->shared->head, memory_order_relaxed)) + r->pending;
    uint64_t fill = r->tail_seen - at, word;

    if (fill - 1 >= r->bytes) { /* nothing seen, or too much to be true */
        /* SYNC tail, with the release in mft_bytes_commit: messages are whole before we read them. */
        r->tail_seen = mft_bytes_at(atomic_load_explicit(&r->shared->tail, MFT_BYTES_TAIL_ACQUIRE));
        fill = r->tail_seen - at;
        if (fill == 0)
            return MFT_EMPTY;
        if (fill > r->bytes || ((fill | at) & 7) != 0) {
            r->tail_seen = at; /* believe nothing: the next call looks again */
            return MFT_E_CORRUPT;
        }
    }
    memcpy(&word, r->data + (at & r->mask), sizeof word); /* once: what is checked is what is used */
    *length = word & UINT32_MAX;
    if (word >> 32 != (~word & UINT32_MAX) || mft_bytes_taken(*length) > fill)
        return MFT_E_CORRUPT;
    *place = r->data + (at & r->mask) + MFT_BYTES_HEADER;
    return MFT_OK;
}

/* Consumer only. The message just peeked, of this length, was read. */
static inline void mft_bytes_take(mft_bytes_t *r, uint64_t length)
{
    r->pending += mft_bytes_taken(length);
    r->pending_messages++;
}

/* Consumer only. Give all that was taken back to the producer, at once. */
static inline void mft_bytes_release(mft_bytes_t *r)
{
    /* SYNC head, with the acquire in mft_bytes_claim: the producer writes there only after we have read. */
    atomic_store_explicit(&r->shared->head, mft_bytes_counted(r, &r->shared->head, r->shared->popped),
                          MFT_BYTES_HEAD_RELEASE);
}

/* Consumer only: is there a message, or are the indices damaged? */
static inline int mft_bytes_has_messages(const mft_bytes_t *r)
{
    return mft_bytes_at(atomic_load_explicit(&r->shared->tail, memory_order_relaxed)) !=
           mft_bytes_at(atomic_load_explicit(&r->shared->head, memory_order_relaxed));
}

/* ---- anybody ---- */

typedef struct {
    uint64_t pushed, popped, full, used_bytes;
} mft_bytes_counters_t;

/* All are of one instant: an index is looked at again after its count was, and has not moved. MFT_OK; MFT_UNSTABLE when
 * that did not come about in so many tries. */
static inline int mft_bytes_counters(const mft_bytes_t *r, mft_bytes_counters_t *c)
{
    const mft_bytes_shared_t *const shared = r->shared;

    for (int tries = 0; tries < MFT_BYTES_TRIES; tries++) {
        const uint64_t head = atomic_load_explicit(&shared->head, memory_order_acquire);
        /* SYNC count, with the release in mft_bytes_counted */
        c->popped = atomic_load_explicit(&shared->popped[head & MFT_BYTES_WHICH], MFT_BYTES_COUNT_ACQUIRE);
        const uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_acquire);
        c->pushed = atomic_load_explicit(&shared->pushed[tail & MFT_BYTES_WHICH], MFT_BYTES_COUNT_ACQUIRE);
        c->full = atomic_load_explicit(&shared->full, memory_order_relaxed);
        c->used_bytes = mft_bytes_at(tail) - mft_bytes_at(head);
        /* relaxed: the acquire loads above keep them behind */
        if (atomic_load_explicit(&shared->tail, memory_order_relaxed) == tail &&
            atomic_load_explicit(&shared->head, memory_order_relaxed) == head)
            return MFT_OK;
        mft_pause();
    }
    return MFT_UNSTABLE;
}

#endif
