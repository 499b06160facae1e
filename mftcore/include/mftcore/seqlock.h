/* The newest value of one record: one writer, any number of readers, none of whom can slow the writer.
 *
 * Promise: a read gives one whole value, never a mixture, never an older one than the same reader saw before. A writer
 * killed at any instruction leaves the last complete value readable for ever; its successor goes on from there. A
 * writer that never pauses does not starve a reader: K cells rotate, so a reader has K - 1 writes' time to copy one.
 *
 * Method: `begun` is stored before a cell is touched, `version` after it is whole. Version v lives in cell v mod K,
 * which is next overwritten by version v + K; a copy of version v is whole if `begun` had not reached v + K when the
 * copying ended. */
#ifndef MFTCORE_SEQLOCK_H
#define MFTCORE_SEQLOCK_H

#include <string.h>

#include "segment.h"
#include "wait.h"

#define MFT_SEQLOCK_VERSION 1u
#ifndef MFT_SEQLOCK_CELLS /* the tests also run with 2, where a reader meets an overwritten cell far more often */
#define MFT_SEQLOCK_CELLS 8u /* K */
#endif
#define MFT_SEQLOCK_TRIES 64 /* then MFT_UNSTABLE */
#define MFT_SEQLOCK_MAX_BYTES (UINT64_C(1) << 30)

enum { MFT_SEQLOCK_WRITER = 0 }; /* role */

/* The four orders have names, so that the tests can weaken each and see it objected to. The payload words carry the
 * orders themselves (free on x86-64) in place of standalone fences, which ThreadSanitizer does not model. */
#ifndef MFT_SEQLOCK_WORD_RELEASE
#define MFT_SEQLOCK_WORD_RELEASE memory_order_release
#endif
#ifndef MFT_SEQLOCK_WORD_ACQUIRE
#define MFT_SEQLOCK_WORD_ACQUIRE memory_order_acquire
#endif
#ifndef MFT_SEQLOCK_VERSION_RELEASE
#define MFT_SEQLOCK_VERSION_RELEASE memory_order_release
#endif
#ifndef MFT_SEQLOCK_VERSION_ACQUIRE
#define MFT_SEQLOCK_VERSION_ACQUIRE memory_order_acquire
#endif

/* Whether the cell of `version` was untouched when `begun` was read. Unsigned: a damaged `begun` below `version` is
 * refused too. The tests plant a version of it that is always true. */
#ifndef MFT_SEQLOCK_WHOLE
#define MFT_SEQLOCK_WHOLE(version, begun) ((begun) - (version) < MFT_SEQLOCK_CELLS)
#endif

/* Shared: no pointers. Only the writer writes, but for the bell. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) version; /* newest whole value; 0: never written */
    _Atomic(uint64_t) begun;                      /* newest value whose cell was touched: version or version + 1 */
    mft_bell_t news;                              /* readers sleep here until there is a newer value */
    _Alignas(MFT_LINE) _Atomic(uint64_t) words[]; /* K cells of `stride` words */
} mft_seqlock_shared_t;
_Static_assert(offsetof(mft_seqlock_shared_t, news) == MFT_LINE, "processes share this layout");
_Static_assert(offsetof(mft_seqlock_shared_t, words) == 2 * MFT_LINE, "processes share this layout");

enum { MFT_CELL_EPOCH, MFT_CELL_WRITTEN_NS, MFT_CELL_HEAD }; /* words of a cell before its payload */

/* Private to an endpoint. */
typedef struct {
    mft_seqlock_shared_t *shared;
    uint64_t bytes;  /* of a record */
    uint64_t words;  /* of a record, the last one perhaps in part */
    uint64_t stride; /* words from cell to cell, whole cache lines */
} mft_seqlock_t;

typedef struct {
    uint64_t version;    /* 0: never written, nothing was copied */
    uint64_t epoch;      /* of the writer that wrote this value */
    int64_t written_ns;  /* CLOCK_MONOTONIC, by the writer */
} mft_stamp_t;

static inline uint64_t mft_seqlock_stride(uint64_t bytes)
{
    const uint64_t words = MFT_CELL_HEAD + (bytes + 7) / 8;

    return (words + 7) / 8 * 8;
}

/* Bytes of the data part for a record size; 0 when it makes no seqlock. */
static inline uint64_t mft_seqlock_data_bytes(uint64_t bytes)
{
    if (bytes == 0 || bytes > MFT_SEQLOCK_MAX_BYTES)
        return 0;
    return sizeof(mft_seqlock_shared_t) + MFT_SEQLOCK_CELLS * mft_seqlock_stride(bytes) * 8;
}

/* Checks the geometry once; every later index is modulo K, so no value of the shared words can lead out of bounds. */
static inline int mft_seqlock_open(mft_seqlock_t *q, mft_segment_t *s)
{
    const uint64_t bytes = s->layout.record_bytes;

    if (mft_seqlock_data_bytes(bytes) == 0 || s->data_bytes < mft_seqlock_data_bytes(bytes))
        return MFT_E_CORRUPT;
    q->shared = (mft_seqlock_shared_t *)(void *)s->data;
    q->bytes = bytes;
    q->words = (bytes + 7) / 8;
    q->stride = mft_seqlock_stride(bytes);
    return MFT_OK;
}

/* Writer only. Never blocks, never fails; returns the new version. */
static inline uint64_t mft_seqlock_write(mft_seqlock_t *q, const void *record, uint64_t epoch, int64_t now_ns)
{
    mft_seqlock_shared_t *const shared = q->shared;
    /* relaxed: nobody else writes. A predecessor killed between the two stores left begun = version + 1; the cell it
     * was in is the one that is written again now. */
    const uint64_t version = atomic_load_explicit(&shared->version, memory_order_relaxed) + 1;
    _Atomic(uint64_t) *const cell = shared->words + (version % MFT_SEQLOCK_CELLS) * q->stride;
    const unsigned char *from = record;
    const uint64_t whole = q->bytes / 8;
    uint64_t word;

    atomic_store_explicit(&shared->begun, version, memory_order_relaxed);
    /* SYNC word, with the acquire loads in mft_seqlock_read: who sees a word of this value sees `begun` of this value,
     * and so refuses what it took for an older one. */
    atomic_store_explicit(&cell[MFT_CELL_EPOCH], epoch, MFT_SEQLOCK_WORD_RELEASE);
    atomic_store_explicit(&cell[MFT_CELL_WRITTEN_NS], (uint64_t)now_ns, MFT_SEQLOCK_WORD_RELEASE);
#pragma GCC unroll 8 /* atomics are not vectorised: this is a quarter of the time for a book */
    for (uint64_t i = 0; i < whole; i++) {
        memcpy(&word, from + 8 * i, 8);
        atomic_store_explicit(&cell[MFT_CELL_HEAD + i], word, MFT_SEQLOCK_WORD_RELEASE);
    }
    if (whole < q->words) {
        word = 0;
        memcpy(&word, from + 8 * whole, q->bytes % 8);
        atomic_store_explicit(&cell[MFT_CELL_HEAD + whole], word, MFT_SEQLOCK_WORD_RELEASE);
    }
    /* SYNC version, with the acquire in mft_seqlock_read: who sees this version sees the whole cell. */
    atomic_store_explicit(&shared->version, version, MFT_SEQLOCK_VERSION_RELEASE);
    return version;
}

/* Writer only, after writing: wake the readers that sleep. One load while none ever did. */
static inline int mft_seqlock_ring(mft_seqlock_t *q)
{
    return mft_bell_ring(&q->shared->news);
}

static inline uint64_t mft_seqlock_version(const mft_seqlock_t *q)
{
    return atomic_load_explicit(&q->shared->version, memory_order_relaxed);
}

/* Copies the first `bytes` of the newest value (at most the record). MFT_OK, or MFT_UNSTABLE after so many tries in
 * each of which the writer went round all cells. The copy may then hold anything. Version 0: nothing was copied. */
static inline int mft_seqlock_read(const mft_seqlock_t *q, void *record, uint64_t bytes, mft_stamp_t *stamp)
{
    mft_seqlock_shared_t *const shared = q->shared;
    unsigned char *const to = record;
    uint64_t whole;

    if (bytes > q->bytes)
        bytes = q->bytes;
    whole = bytes / 8;
    for (int tries = 0; tries < MFT_SEQLOCK_TRIES; tries++) {
        const uint64_t version = atomic_load_explicit(&shared->version, MFT_SEQLOCK_VERSION_ACQUIRE);
        _Atomic(uint64_t) *const cell = shared->words + (version % MFT_SEQLOCK_CELLS) * q->stride;
        uint64_t word, begun;

        stamp->version = version;
        if (version == 0) {
            stamp->epoch = 0;
            stamp->written_ns = 0;
            return MFT_OK;
        }
        stamp->epoch = atomic_load_explicit(&cell[MFT_CELL_EPOCH], MFT_SEQLOCK_WORD_ACQUIRE);
        stamp->written_ns = (int64_t)atomic_load_explicit(&cell[MFT_CELL_WRITTEN_NS], MFT_SEQLOCK_WORD_ACQUIRE);
#pragma GCC unroll 8
        for (uint64_t i = 0; i < whole; i++) {
            word = atomic_load_explicit(&cell[MFT_CELL_HEAD + i], MFT_SEQLOCK_WORD_ACQUIRE);
            memcpy(to + 8 * i, &word, 8);
        }
        if (bytes % 8) {
            word = atomic_load_explicit(&cell[MFT_CELL_HEAD + whole], MFT_SEQLOCK_WORD_ACQUIRE);
            memcpy(to + 8 * whole, &word, bytes % 8);
        }
        /* relaxed: the acquire loads above keep it behind them. */
        begun = atomic_load_explicit(&shared->begun, memory_order_relaxed);
        if (MFT_SEQLOCK_WHOLE(version, begun))
            return MFT_OK;
        mft_pause();
    }
    return MFT_UNSTABLE;
}

#endif
