/* One writer, any number of readers, records of one size that each count: every reader sees every record in order, as long
 * as it keeps up, and knows exactly how many it missed when it does not. The writer never waits and knows of no reader.
 *
 * Promise: a record is whole, never repeated, never out of order. A reader that was lapped skips, and counts what it skipped.
 * Readers write nothing, so one that is killed, stopped or slow does not matter to anybody. A writer killed at any
 * instruction leaves every record before the one it was writing; its successor goes on from there.
 *
 * Method: the rotating cells of seqlock.h, as many as records are kept, read in order in place of the newest only. Record n
 * is version n: it lies in cell n mod K until version n + K begins. */
#ifndef MFTCORE_BROADCAST_H
#define MFTCORE_BROADCAST_H

#include "seqlock.h"

#define MFT_BROADCAST_VERSION 1u
#define MFT_BROADCAST_LEAST_CELLS UINT64_C(8)
#define MFT_BROADCAST_MOST_CELLS (UINT64_C(1) << 32)

enum { MFT_BROADCAST_WRITER = 0 }; /* role */

/* Private to a reader. */
typedef struct {
    mft_seqlock_t cells;
    uint64_t next; /* number of the record to read next, from 1 */
    uint64_t lost; /* records that were written over before they were read */
} mft_broadcast_t;

/* Checks the geometry. The writer uses `cells` alone, with mft_seqlock_write and mft_seqlock_ring. */
static inline int mft_broadcast_open(mft_broadcast_t *b, mft_segment_t *s)
{
    *b = (mft_broadcast_t){.next = 1};
    return mft_cells_open(&b->cells, s, s->layout.capacity);
}

/* Number of the newest record; 0: none yet. */
static inline uint64_t mft_broadcast_newest(const mft_broadcast_t *b)
{
    return atomic_load_explicit(&b->cells.shared->version, MFT_SEQLOCK_VERSION_ACQUIRE);
}

/* Reader: begin behind the newest record, or at the oldest that is surely still there. */
static inline void mft_broadcast_join(mft_broadcast_t *b, int at_the_oldest)
{
    const uint64_t newest = mft_broadcast_newest(b), kept = b->cells.cells - 1;

    b->next = !at_the_oldest ? newest + 1 : newest > kept ? newest - kept + 1 : 1;
}

/* Reader: take the next record. MFT_OK; MFT_EMPTY; MFT_E_CORRUPT when the number of the newest record went back;
 * MFT_UNSTABLE when the writer went round all cells during each of many attempts. `*skipped` is how many records this call
 * has lost, with MFT_OK just before this one (also counted in `lost`). */
static inline int mft_broadcast_next(mft_broadcast_t *b, void *record, mft_stamp_t *stamp, uint64_t *skipped)
{
    const uint64_t before = b->lost;

    *skipped = 0;
    for (int tries = 0; tries < MFT_SEQLOCK_TRIES; tries++) {
        const uint64_t newest = mft_broadcast_newest(b), behind = newest - (b->next - 1);

        if (behind == 0)
            return MFT_EMPTY;
        if (behind > UINT64_MAX / 2)
            return MFT_E_CORRUPT;
        /* at most K - 1 behind: the version that begins next then lies in another cell */
        if (behind < b->cells.cells &&
            mft_seqlock_copy(&b->cells, b->next, record, b->cells.bytes, stamp) == MFT_OK) {
            b->next++;
            return MFT_OK;
        }
        /* Lapped. Half of the cells ahead of the writer: one record further than lost would be lapped again at once. */
        const uint64_t to = newest - b->cells.cells / 2 + 1;
        if (to - b->next < UINT64_MAX / 2) {
            b->lost += to - b->next;
            b->next = to;
            *skipped = b->lost - before;
        }
        mft_pause();
    }
    return MFT_UNSTABLE;
}

#endif
