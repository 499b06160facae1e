/* One producer, one consumer, records of one size, no locks, no system calls.
 *
 * Promise: the consumer gets whole records, each once, in the order of their pushes. The release store of `tail` is
 * the only commit point: a producer killed at any instruction leaves every record before it and nothing of the one
 * it was writing, and its successor goes on from there. A consumer killed before its release store of `head` leaves
 * the records of that call in the ring; the successor sees them again. */
#ifndef MFTCORE_RING_H
#define MFTCORE_RING_H

#include <string.h>

#include "segment.h"
#include "wait.h"

#define MFT_RING_VERSION 1u
#define MFT_RING_MAX_CAPACITY (UINT64_C(1) << 32)
#define MFT_RING_TRIES 1000

enum { MFT_RING_PRODUCER = 0, MFT_RING_CONSUMER = 1 }; /* roles */

/* The four orders have names, so that the tests can weaken each in turn and see ThreadSanitizer object. */
#ifndef MFT_RING_TAIL_RELEASE
#define MFT_RING_TAIL_RELEASE memory_order_release
#endif
#ifndef MFT_RING_TAIL_ACQUIRE
#define MFT_RING_TAIL_ACQUIRE memory_order_acquire
#endif
#ifndef MFT_RING_HEAD_RELEASE
#define MFT_RING_HEAD_RELEASE memory_order_release
#endif
#ifndef MFT_RING_HEAD_ACQUIRE
#define MFT_RING_HEAD_ACQUIRE memory_order_acquire
#endif

/* Shared: no pointers, so each process may map it at its own address. Capacity and record size are in the header. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) tail; /* records ever pushed; only the producer writes this line */
    _Atomic(uint64_t) full;                    /* records refused for want of room */
    _Atomic(uint64_t) most_by_producer;        /* largest fill the producer has seen */
    _Alignas(MFT_LINE) _Atomic(uint64_t) head; /* records ever popped; only the consumer writes this line */
    _Atomic(uint64_t) most_by_consumer;        /* largest fill the consumer has seen */
    mft_bell_t records;                        /* a consumer sleeps here until there are records */
    mft_bell_t room;                           /* a producer sleeps here until there is room */
    _Alignas(MFT_LINE) unsigned char slots[];  /* capacity x record_bytes */
} mft_ring_shared_t;
_Static_assert(offsetof(mft_ring_shared_t, head) == MFT_LINE, "processes share this layout");
_Static_assert(offsetof(mft_ring_shared_t, records) == 2 * MFT_LINE, "processes share this layout");
_Static_assert(offsetof(mft_ring_shared_t, slots) == 4 * MFT_LINE, "processes share this layout");

/* Private to an endpoint. */
typedef struct {
    mft_ring_shared_t *shared;
    uint64_t capacity; /* a power of two */
    uint64_t mask;
    uint64_t record_bytes;
    uint64_t head_seen; /* producer: the consumer was at least here */
    uint64_t tail_seen; /* consumer: the producer was at least here */
    uint64_t look_at;   /* producer: a fill from which `head` is read anew */
} mft_ring_t;

/* Bytes of the data part for a capacity (a power of two) and record size; 0 when they make no ring. */
static inline uint64_t mft_ring_data_bytes(uint64_t capacity, uint64_t record_bytes)
{
    uint64_t slots;

    if (capacity == 0 || (capacity & (capacity - 1)) != 0 || capacity > MFT_RING_MAX_CAPACITY || record_bytes == 0 ||
        __builtin_mul_overflow(capacity, record_bytes, &slots) || slots > (UINT64_C(1) << 60))
        return 0;
    return sizeof(mft_ring_shared_t) + slots;
}

static inline uint64_t mft_ring_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Make a private handle. The geometry is the checked copy of the header's; MFT_E_LAYOUT when it does not fit the
 * memory, MFT_E_CORRUPT when the indices are out of their bounds. */
static inline int mft_ring_open(mft_ring_t *r, mft_segment_t *s)
{
    const uint64_t needed = mft_ring_data_bytes(s->layout.capacity, s->layout.record_bytes);
    uint64_t head, tail;

    if (needed == 0 || needed > s->data_bytes)
        return mft_fault(s, "capacity", s->data_bytes, needed);
    r->shared = (mft_ring_shared_t *)s->data;
    r->capacity = s->layout.capacity;
    r->mask = r->capacity - 1;
    r->record_bytes = s->layout.record_bytes;
    r->look_at = 0; /* the first push reads head */
    for (int tries = 0; tries < MFT_RING_TRIES; tries++) {
        /* head before tail: it only moves towards tail. With both sides at work tail may still have gone a round
         * between the two loads; then look again. The holder of a role sees one of them stand still. */
        head = atomic_load_explicit(&r->shared->head, memory_order_acquire);
        tail = atomic_load_explicit(&r->shared->tail, memory_order_relaxed); /* what is used is read anew, with acquire */
        if (tail - head <= r->capacity) {
            r->head_seen = head;
            r->tail_seen = head;
            return MFT_OK;
        }
    }
    return MFT_E_CORRUPT;
}

static inline unsigned char *mft_ring_slot(const mft_ring_t *r, uint64_t index)
{
    return r->shared->slots + (index & r->mask) * r->record_bytes;
}

/* A call for the sizes that matter would cost more than the copy. Where a compiler sees a record of a program's own, it does
 * not see that the branches for other sizes are never taken, and would warn of them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#endif
static inline void mft_ring_copy(void *to, const void *from, uint64_t bytes)
{
    if (bytes == 64)
        memcpy(to, from, 64);
    else if (bytes == 8)
        memcpy(to, from, 8);
    else
        memcpy(to, from, bytes);
}
#pragma GCC diagnostic pop

/* ---- producer ---- */

/* The rare part of asking for room: reads head, keeps the high-water mark. MFT_OK when `wanted` records fit. */
static __attribute__((noinline, unused)) int mft_ring_look(mft_ring_t *r, uint64_t tail, uint64_t wanted)
{
    uint64_t used, most;

    /* SYNC head, with the release in mft_ring_release: the consumer has copied the old records out before we write
     * over them. */
    r->head_seen = atomic_load_explicit(&r->shared->head, MFT_RING_HEAD_ACQUIRE);
    used = tail - r->head_seen;
    if (used > r->capacity)
        return MFT_E_CORRUPT;
    most = atomic_load_explicit(&r->shared->most_by_producer, memory_order_relaxed);
    if (used + wanted > most) {
        most = used + wanted < r->capacity ? used + wanted : r->capacity;
        atomic_store_explicit(&r->shared->most_by_producer, most, memory_order_relaxed);
    }
    /* Next look at a fill above this mark, so that the mark is exact from an eighth of the capacity on; below that,
     * reading head at every push would move its line between the cores for nothing. */
    r->look_at = mft_ring_max(most, mft_ring_max(r->capacity / 8, 1));
    if (r->look_at > r->capacity)
        r->look_at = r->capacity;
    return used + wanted > r->capacity ? MFT_FULL : MFT_OK;
}

static inline void mft_ring_count_full(mft_ring_t *r, uint64_t records)
{
    const uint64_t full = atomic_load_explicit(&r->shared->full, memory_order_relaxed); /* relaxed: ours alone */

    atomic_store_explicit(&r->shared->full, full + records, memory_order_relaxed);
}

/* Producer only. MFT_OK and the place of at most `*count` records in one run, `*count` lowered to what there is; or
 * MFT_FULL. Nothing is visible before mft_ring_commit. */
static inline int mft_ring_claim(mft_ring_t *r, uint64_t *count, void **place)
{
    const uint64_t tail = atomic_load_explicit(&r->shared->tail, memory_order_relaxed);
    uint64_t wanted = *count, used = tail - r->head_seen, room;
    int rc;

    if (wanted != 1) { /* one record always lies in one piece: with a constant 1 the compiler drops all this */
        const uint64_t to_end = r->capacity - (tail & r->mask);
        wanted = wanted < to_end ? wanted : to_end;
    }
    /* no sum: a damaged tail would make it small */
    if (used >= r->look_at || (wanted != 1 && wanted > r->look_at - used)) {
        rc = mft_ring_look(r, tail, wanted);
        if (rc < 0)
            return rc;
        room = r->capacity - (tail - r->head_seen);
        if (room == 0)
            return MFT_FULL;
        if (room < wanted)
            wanted = room;
    }
    *count = wanted;
    *place = mft_ring_slot(r, tail);
    return MFT_OK;
}

/* Producer only. Publish the first `count` of the records just claimed. */
static inline void mft_ring_commit(mft_ring_t *r, uint64_t count)
{
    const uint64_t tail = atomic_load_explicit(&r->shared->tail, memory_order_relaxed);

    /* SYNC tail, with the acquire in mft_ring_peek and mft_ring_pop: who sees the new tail sees whole records. */
    atomic_store_explicit(&r->shared->tail, tail + count, MFT_RING_TAIL_RELEASE);
}

/* Producer only. Returns MFT_OK, or MFT_FULL with nothing written. Never blocks. */
static inline int mft_ring_push(mft_ring_t *r, const void *record)
{
    /* relaxed: nobody else writes tail. */
    const uint64_t tail = atomic_load_explicit(&r->shared->tail, memory_order_relaxed);
    int rc;

    if (tail - r->head_seen >= r->look_at) {
        rc = mft_ring_look(r, tail, 1);
        if (rc != MFT_OK) {
            if (rc == MFT_FULL)
                mft_ring_count_full(r, 1);
            return rc;
        }
    }
    mft_ring_copy(mft_ring_slot(r, tail), record, r->record_bytes);

    /* SYNC tail, with the acquire in mft_ring_pop: who sees tail + 1 sees the whole record. */
    atomic_store_explicit(&r->shared->tail, tail + 1, MFT_RING_TAIL_RELEASE);
    return MFT_OK;
}

/* Producer only. Push the first records of an array, as many as fit; returns how many, or an error. The rest counts
 * as refused. Each contiguous run becomes visible at once. */
static inline int64_t mft_ring_push_many(mft_ring_t *r, const void *records, uint64_t count)
{
    const unsigned char *from = records;
    uint64_t done = 0, run;
    void *place = NULL;
    int rc;

    while (done < count) {
        run = count - done;
        rc = mft_ring_claim(r, &run, &place);
        if (rc < 0)
            return rc;
        if (rc == MFT_FULL) {
            mft_ring_count_full(r, count - done);
            break;
        }
        memcpy(place, from + done * r->record_bytes, run * r->record_bytes);
        mft_ring_commit(r, run);
        done += run;
    }
    return (int64_t)done;
}

/* ---- consumer ---- */

/* The rare part of asking for records: reads tail. MFT_OK when there is at least one. */
static __attribute__((noinline, unused)) int mft_ring_refresh(mft_ring_t *r, uint64_t head)
{
    uint64_t fill;

    /* SYNC tail, with the release in mft_ring_push and mft_ring_commit: records are whole before we read them. */
    r->tail_seen = atomic_load_explicit(&r->shared->tail, MFT_RING_TAIL_ACQUIRE);
    fill = r->tail_seen - head;
    if (fill == 0)
        return MFT_EMPTY;
    if (fill > r->capacity) {
        r->tail_seen = head; /* believe nothing: the next call looks again */
        return MFT_E_CORRUPT;
    }
    if (fill > atomic_load_explicit(&r->shared->most_by_consumer, memory_order_relaxed))
        atomic_store_explicit(&r->shared->most_by_consumer, fill, memory_order_relaxed);
    return MFT_OK;
}

/* Consumer only. MFT_OK and the place of at most `*count` records in one run, `*count` lowered to what there is; or
 * MFT_EMPTY. They stay in the ring until mft_ring_release. */
static inline int mft_ring_peek(mft_ring_t *r, uint64_t *count, const void **place)
{
    /* relaxed: nobody else writes head. */
    const uint64_t head = atomic_load_explicit(&r->shared->head, memory_order_relaxed);
    uint64_t wanted = *count, there = r->tail_seen - head;
    int rc;

    if (wanted != 1) { /* as in mft_ring_claim */
        const uint64_t to_end = r->capacity - (head & r->mask);
        wanted = wanted < to_end ? wanted : to_end;
    }
    if (there - 1 >= r->capacity || (wanted != 1 && there < wanted)) { /* none, too many to be true, or too few */
        rc = mft_ring_refresh(r, head);
        if (rc != MFT_OK)
            return rc;
        there = r->tail_seen - head;
    }
    *count = there < wanted ? there : wanted;
    *place = mft_ring_slot(r, head);
    return MFT_OK;
}

/* Consumer only. Give the first `count` of the records just peeked back to the producer. */
static inline void mft_ring_release(mft_ring_t *r, uint64_t count)
{
    const uint64_t head = atomic_load_explicit(&r->shared->head, memory_order_relaxed);

    /* SYNC head, with the acquire in mft_ring_look: the producer writes there only after we have read. */
    atomic_store_explicit(&r->shared->head, head + count, MFT_RING_HEAD_RELEASE);
}

/* Consumer only. Returns MFT_OK, or MFT_EMPTY with nothing written. Never blocks. */
static inline int mft_ring_pop(mft_ring_t *r, void *record)
{
    const uint64_t head = atomic_load_explicit(&r->shared->head, memory_order_relaxed);
    int rc;

    if (r->tail_seen - head - 1 >= r->capacity) { /* none seen, or too many to be true */
        rc = mft_ring_refresh(r, head);
        if (rc != MFT_OK)
            return rc;
    }
    mft_ring_copy(record, mft_ring_slot(r, head), r->record_bytes);

    /* SYNC head, with the acquire in mft_ring_look: the producer writes there only after we have read. */
    atomic_store_explicit(&r->shared->head, head + 1, MFT_RING_HEAD_RELEASE);
    return MFT_OK;
}

/* Consumer only. Pop at most `count` records into an array; returns how many, or an error. */
static inline int64_t mft_ring_pop_many(mft_ring_t *r, void *records, uint64_t count)
{
    unsigned char *to = records;
    uint64_t done = 0, run;
    const void *place = NULL;
    int rc;

    while (done < count) {
        run = count - done;
        rc = mft_ring_peek(r, &run, &place);
        if (rc < 0)
            return rc;
        if (rc == MFT_EMPTY)
            break;
        memcpy(to + done * r->record_bytes, place, run * r->record_bytes);
        mft_ring_release(r, run);
        done += run;
    }
    return (int64_t)done;
}

/* ---- waiting ---- */

/* Producer only, after a push or commit, once per batch: wake a consumer that sleeps. One load while none ever did. */
static inline int mft_ring_ring_records(mft_ring_t *r)
{
    return mft_bell_ring(&r->shared->records);
}

/* Consumer only, after a pop or release: wake a producer that sleeps. */
static inline int mft_ring_ring_room(mft_ring_t *r)
{
    return mft_bell_ring(&r->shared->room);
}

/* Consumer only: is there a record, or are the indices damaged (the next call says so)? */
static inline int mft_ring_has_records(const mft_ring_t *r)
{
    /* relaxed: only a hint; the call that takes the record reads tail with acquire. */
    return atomic_load_explicit(&r->shared->tail, memory_order_relaxed) !=
           atomic_load_explicit(&r->shared->head, memory_order_relaxed);
}

/* Producer only: is there room for a record, or are the indices damaged? */
static inline int mft_ring_has_room(const mft_ring_t *r)
{
    return atomic_load_explicit(&r->shared->tail, memory_order_relaxed) -
               atomic_load_explicit(&r->shared->head, memory_order_relaxed) != r->capacity;
}

/* ---- anybody ---- */

typedef struct {
    uint64_t pushed, popped, full, high_water;
} mft_ring_counters_t;

/* Each number is right at some instant of the call; together they are not a snapshot. `popped` is read first, so it
 * never exceeds `pushed`. */
static inline void mft_ring_counters(const mft_ring_t *r, mft_ring_counters_t *c)
{
    c->popped = atomic_load_explicit(&r->shared->head, memory_order_acquire);
    c->pushed = atomic_load_explicit(&r->shared->tail, memory_order_relaxed);
    c->full = atomic_load_explicit(&r->shared->full, memory_order_relaxed);
    c->high_water = mft_ring_max(atomic_load_explicit(&r->shared->most_by_producer, memory_order_relaxed),
                                 atomic_load_explicit(&r->shared->most_by_consumer, memory_order_relaxed));
}

#endif
