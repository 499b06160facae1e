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
#define MFT_SEQLOCK_WHOLE(version, begun) ((begun) - (version) < q->cells)
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
    uint64_t cells;  /* K, a power of two: MFT_SEQLOCK_CELLS, or more for a broadcast */
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

/* Bytes of the data part for so many cells (a power of two) of a record size; 0 when they make none. */
static inline uint64_t mft_cells_data_bytes(uint64_t cells, uint64_t bytes)
{
    uint64_t all;

    if (bytes == 0 || bytes > MFT_SEQLOCK_MAX_BYTES || cells < 2 || (cells & (cells - 1)) != 0 ||
        __builtin_mul_overflow(cells, mft_seqlock_stride(bytes) * 8, &all) || all > (UINT64_C(1) << 60))
        return 0;
    return sizeof(mft_seqlock_shared_t) + all;
}

/* The same for a seqlock. */
static inline uint64_t mft_seqlock_data_bytes(uint64_t bytes)
{
    return mft_cells_data_bytes(MFT_SEQLOCK_CELLS, bytes);
}

/* Checks the geometry once; every later index is modulo K, so no value of the shared words can lead out of bounds. */
static inline int mft_cells_open(mft_seqlock_t *q, mft_segment_t *s, uint64_t cells)
{
    const uint64_t bytes = s->layout.record_bytes, needed = mft_cells_data_bytes(cells, bytes);

    if (needed == 0 || s->data_bytes < needed)
        return MFT_E_CORRUPT;
    q->shared = (mft_seqlock_shared_t *)(void *)s->data;
    q->bytes = bytes;
    q->words = (bytes + 7) / 8;
    q->stride = mft_seqlock_stride(bytes);
    q->cells = cells;
    return MFT_OK;
}

static inline int mft_seqlock_open(mft_seqlock_t *q, mft_segment_t *s)
{
    return mft_cells_open(q, s, MFT_SEQLOCK_CELLS);
}

static inline _Atomic(uint64_t) *mft_seqlock_cell(const mft_seqlock_t *q, uint64_t version)
{
    return q->shared->words + (version & (q->cells - 1)) * q->stride;
}

/* Writer only. Never blocks, never fails; returns the new version. */
static inline uint64_t mft_seqlock_write(mft_seqlock_t *q, const void *record, uint64_t epoch, int64_t now_ns)
{
    mft_seqlock_shared_t *const shared = q->shared;
    /* relaxed: nobody else writes. A predecessor killed between the two stores left begun = version + 1; the cell it
     * was in is the one that is written again now. */
    const uint64_t version = atomic_load_explicit(&shared->version, memory_order_relaxed) + 1;
    _Atomic(uint64_t) *const cell = mft_seqlock_cell(q, version);
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

/* Copies the first `bytes` (at most the record) of the value of a version that the caller has seen published. MFT_OK, or
 * MFT_UNSTABLE: its cell was written over meanwhile, and the copy may hold anything. */
static inline int mft_seqlock_copy(const mft_seqlock_t *q, uint64_t version, void *record, uint64_t bytes,
                                   mft_stamp_t *stamp)
{
    _Atomic(uint64_t) *const cell = mft_seqlock_cell(q, version);
    unsigned char *const to = record;
    const uint64_t whole = bytes / 8;
    uint64_t word, begun;

    stamp->version = version;
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
    begun = atomic_load_explicit(&q->shared->begun, memory_order_relaxed);
    return MFT_SEQLOCK_WHOLE(version, begun) ? MFT_OK : MFT_UNSTABLE;
}

/* Copies the first `bytes` of the newest value (at most the record). MFT_OK, or MFT_UNSTABLE after so many tries in
 * each of which the writer went round all cells. The copy may then hold anything. Version 0: nothing was copied. */
static inline int mft_seqlock_read(const mft_seqlock_t *q, void *record, uint64_t bytes, mft_stamp_t *stamp)
{
    if (bytes > q->bytes)
        bytes = q->bytes;
    for (int tries = 0; tries < MFT_SEQLOCK_TRIES; tries++) {
        const uint64_t version = atomic_load_explicit(&q->shared->version, MFT_SEQLOCK_VERSION_ACQUIRE);

        if (version == 0) {
            *stamp = (mft_stamp_t){0};
            return MFT_OK;
        }
        if (mft_seqlock_copy(q, version, record, bytes, stamp) == MFT_OK)
            return MFT_OK;
        mft_pause();
    }
    return MFT_UNSTABLE;
}

#endif
