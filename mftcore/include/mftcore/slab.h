/* What a table of a fixed number of entries is made of: ids of the exchange, lists and an index of entries by number.
 * Memory of one process; nothing here allocates but `mft_index_init`. */
#ifndef MFTCORE_SLAB_H
#define MFTCORE_SLAB_H

#include <stdlib.h>
#include <string.h>

#include "base.h"

#define MFT_ID_LONGEST 47u /* bytes of an id */
#define MFT_NO_ENTRY UINT32_MAX

/* An id of the exchange: its bytes, zeros, and the length in the last byte. Whole and never cut: equal words are equal
 * ids. All zeros: none. */
typedef struct {
    uint64_t words[6];
} mft_id_t;
_Static_assert(sizeof(mft_id_t) == MFT_ID_LONGEST + 1, "bytes and their number");

typedef struct {
    uint32_t first, last, count;
} mft_list_t;

/* Open addressing with linear probing; a removal moves back what stands behind it, so that nothing piles up. */
typedef struct {
    uint32_t hash, entry; /* entry + 1; 0: free */
} mft_index_cell_t;

typedef struct {
    mft_index_cell_t *cells;
    uint32_t mask;
} mft_index_t;

/* MFT_E_ARGUMENT for more than MFT_ID_LONGEST bytes. */
static inline int mft_id_set(mft_id_t *id, const char *bytes, uint64_t length)
{
    memset(id, 0, sizeof *id);
    if (length > MFT_ID_LONGEST)
        return MFT_E_ARGUMENT;
    memcpy(id, bytes, length);
    ((unsigned char *)id)[MFT_ID_LONGEST] = (unsigned char)length;
    return MFT_OK;
}

static inline uint32_t mft_id_length(const mft_id_t *id)
{
    return ((const unsigned char *)id)[MFT_ID_LONGEST];
}

static inline int mft_id_equal(const mft_id_t *a, const mft_id_t *b)
{
    uint64_t differ = 0;

    for (int i = 0; i < 6; i++)
        differ |= a->words[i] ^ b->words[i];
    return differ == 0;
}

static inline uint64_t mft_mix(uint64_t seed, uint64_t word)
{
    seed = (seed ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return seed ^ seed >> 29;
}

static inline uint64_t mft_id_mix(uint64_t seed, const mft_id_t *id)
{
    for (uint32_t i = 0; i <= mft_id_length(id) / 8 && i < 5; i++)
        seed = mft_mix(seed, id->words[i]);
    return mft_mix(seed, id->words[5]);
}

static inline int mft_index_init(mft_index_t *x, uint32_t entries)
{
    uint32_t cells = 16;

    while (cells < 2 * entries)
        cells *= 2;
    x->mask = cells - 1;
    x->cells = calloc(cells, sizeof(mft_index_cell_t));
    return x->cells != NULL ? MFT_OK : MFT_E_SYSTEM;
}

static inline void mft_index_add(mft_index_t *x, uint32_t hash, uint32_t entry)
{
    uint32_t at = hash & x->mask;

    while (x->cells[at].entry != 0)
        at = (at + 1) & x->mask;
    x->cells[at] = (mft_index_cell_t){hash, entry + 1};
}

static inline void mft_index_remove(mft_index_t *x, uint32_t hash, uint32_t entry)
{
    uint32_t hole = hash & x->mask;

    while (x->cells[hole].entry != entry + 1)
        hole = (hole + 1) & x->mask;
    for (uint32_t at = (hole + 1) & x->mask; x->cells[at].entry != 0; at = (at + 1) & x->mask) {
        const uint32_t from_home = (at - x->cells[at].hash) & x->mask;

        if (from_home >= ((at - hole) & x->mask)) { /* it may stand in the hole: that is not before its own place */
            x->cells[hole] = x->cells[at];
            hole = at;
        }
    }
    x->cells[hole].entry = 0;
}

/* Joins `entry` to the end of a list of orders or fills. */
#define MFT_LIST_APPEND(array, list, entry)                                                                           \
    do {                                                                                                              \
        (array)[entry].before = (list)->last;                                                                         \
        (array)[entry].after = MFT_NO_ENTRY;                                                                          \
        if ((list)->count++ == 0)                                                                                     \
            (list)->first = (entry);                                                                                  \
        else                                                                                                          \
            (array)[(list)->last].after = (entry);                                                                    \
        (list)->last = (entry);                                                                                       \
    } while (0)

#define MFT_LIST_REMOVE(array, list, entry)                                                                           \
    do {                                                                                                              \
        const uint32_t before_ = (array)[entry].before, after_ = (array)[entry].after;                                \
        if (before_ == MFT_NO_ENTRY)                                                                                  \
            (list)->first = after_;                                                                                   \
        else                                                                                                          \
            (array)[before_].after = after_;                                                                          \
        if (after_ == MFT_NO_ENTRY)                                                                                   \
            (list)->last = before_;                                                                                   \
        else                                                                                                          \
            (array)[after_].before = before_;                                                                         \
        (list)->count--;                                                                                              \
    } while (0)

static inline mft_list_t mft_list_empty(void)
{
    return (mft_list_t){MFT_NO_ENTRY, MFT_NO_ENTRY, 0};
}

#endif
