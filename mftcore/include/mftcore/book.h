/* The order book: a private master book, kept from a snapshot and changes, and the window of its best levels that is
 * published under the seqlock. Prices are integer ticks, sizes integer lots. */
#ifndef MFTCORE_BOOK_H
#define MFTCORE_BOOK_H

#include <stdlib.h>

#include "seqlock.h"

#define MFT_BOOK_VERSION 1u
#define MFT_BOOK_MAX_LEVELS 4096u /* fits 16 bits */
#define MFT_BOOK_LIMIT (INT64_C(1) << 53) /* beyond it a price in ticks is no number of this world */
#define MFT_BOOK_SIZE_LIMIT (INT64_C(1) << 47) /* so is a size in lots; all levels of a side add up within 63 bits */
#define MFT_BOOK_MOST_LEVELS (UINT64_C(1) << 16) /* of a side of a master book */

enum { /* state flags */
    MFT_BOOK_EMPTY = 1,     /* no level on either side */
    MFT_BOOK_ONE_SIDED = 2, /* one side has none */
    MFT_BOOK_CROSSED = 4,   /* best bid at or above best ask */
    MFT_BOOK_STALE = 8,     /* the source has gone quiet or away */
    MFT_BOOK_RESYNCING = 16 /* known to be wrong: a fresh snapshot was asked for */
};

typedef struct {
    int64_t price_ticks;
    int64_t size_lots;
    int64_t outright_lots; /* the venue's third column */
} mft_level_t;
_Static_assert(sizeof(mft_level_t) == 24, "Python sees it as three int64");

/* One side of the master book: sorted with the best level LAST, since most changes are near the best and then move
 * few levels. Own-process memory. */
typedef struct {
    mft_level_t *levels;
    uint64_t count;
    uint64_t capacity;
    int64_t total_lots;
    int sign; /* +1: bids, higher is better; -1: asks */
} mft_side_t;

typedef struct {
    mft_side_t bids, asks;
    uint64_t overflowed;     /* levels that found no room: the book is incomplete until the next snapshot */
    uint64_t removed_absent; /* removals of levels that were not there */
} mft_master_t;

static inline int mft_master_init(mft_master_t *m, uint64_t capacity)
{
    memset(m, 0, sizeof(*m));
    m->bids.sign = 1;
    m->asks.sign = -1;
    m->bids.capacity = m->asks.capacity = capacity;
    m->bids.levels = calloc(capacity, sizeof(mft_level_t));
    m->asks.levels = calloc(capacity, sizeof(mft_level_t));
    return m->bids.levels != NULL && m->asks.levels != NULL ? MFT_OK : MFT_E_SYSTEM;
}

static inline void mft_master_free(mft_master_t *m)
{
    free(m->bids.levels);
    free(m->asks.levels);
    m->bids.levels = m->asks.levels = NULL;
}

static inline void mft_master_clear(mft_master_t *m)
{
    m->bids.count = m->asks.count = 0;
    m->bids.total_lots = m->asks.total_lots = 0;
    m->overflowed = 0;
}

/* MFT_E_ARGUMENT for a level that no book can hold; checked for a whole message before any of it is applied. */
static inline int mft_levels_check(const mft_level_t *levels, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const mft_level_t l = levels[i];

        if (l.price_ticks <= -MFT_BOOK_LIMIT || l.price_ticks >= MFT_BOOK_LIMIT || l.size_lots < 0 ||
            l.size_lots >= MFT_BOOK_SIZE_LIMIT || l.outright_lots < 0 || l.outright_lots >= MFT_BOOK_SIZE_LIMIT)
            return MFT_E_ARGUMENT;
    }
    return MFT_OK;
}

/* Index of the first level that is not worse than `price`. */
static inline uint64_t mft_side_find(const mft_side_t *s, int64_t price)
{
    uint64_t low = 0, high = s->count;

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;

        if ((s->levels[middle].price_ticks - price) * s->sign < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Sets one level; size 0 removes it. A full side loses its worst level, or does not take a still worse one: either is
 * counted, and the book is then incomplete. */
static inline void mft_master_set(mft_master_t *m, mft_side_t *s, mft_level_t level)
{
    uint64_t at = mft_side_find(s, level.price_ticks);
    const int there = at < s->count && s->levels[at].price_ticks == level.price_ticks;

    if (there) {
        s->total_lots += level.size_lots - s->levels[at].size_lots;
        if (level.size_lots > 0) {
            s->levels[at] = level;
            return;
        }
        memmove(&s->levels[at], &s->levels[at + 1], (s->count - at - 1) * sizeof(mft_level_t));
        s->count--;
        return;
    }
    if (level.size_lots == 0) {
        m->removed_absent++;
        return;
    }
    if (s->count == s->capacity) {
        m->overflowed++;
        if (at == 0)
            return; /* worse than all there are */
        s->total_lots -= s->levels[0].size_lots;
        memmove(&s->levels[0], &s->levels[1], (at - 1) * sizeof(mft_level_t));
        s->levels[at - 1] = level;
        s->total_lots += level.size_lots;
        return;
    }
    memmove(&s->levels[at + 1], &s->levels[at], (s->count - at) * sizeof(mft_level_t));
    s->levels[at] = level;
    s->count++;
    s->total_lots += level.size_lots;
}

/* Applies checked changes; later entries of one message replace earlier ones at the same price. */
static inline void mft_master_apply(mft_master_t *m, const mft_level_t *bids, uint64_t n_bids, const mft_level_t *asks,
                                    uint64_t n_asks)
{
    for (uint64_t i = 0; i < n_bids; i++)
        mft_master_set(m, &m->bids, bids[i]);
    for (uint64_t i = 0; i < n_asks; i++)
        mft_master_set(m, &m->asks, asks[i]);
}

static inline const mft_level_t *mft_side_best(const mft_side_t *s)
{
    return s->count > 0 ? &s->levels[s->count - 1] : NULL;
}

static inline int mft_master_crossed(const mft_master_t *m)
{
    const mft_level_t *bid = mft_side_best(&m->bids), *ask = mft_side_best(&m->asks);

    return bid != NULL && ask != NULL && bid->price_ticks >= ask->price_ticks;
}

/* The published window. The head fills one cache line with the two words of the cell before it, so that the top of
 * the book is read with one; bids and asks alternate, so that the best n levels are a prefix. */
typedef struct {
    int64_t bid_ticks, bid_lots, ask_ticks, ask_lots; /* 0 lots: no such side */
    int64_t receive_ns;                               /* CLOCK_MONOTONIC */
    uint16_t n_bids, n_asks;
    uint32_t state;
} mft_book_top_t;
_Static_assert(sizeof(mft_book_top_t) + 8 * MFT_CELL_HEAD == MFT_LINE, "the top is one cache line");

typedef struct {
    mft_book_top_t top;
    int64_t exchange_time_ns; /* the exchange's clock */
    int64_t zero;
    mft_level_t levels[]; /* bid 0, ask 0, bid 1, ask 1, ...; zero beyond n_bids and n_asks */
} mft_window_t;
_Static_assert(offsetof(mft_window_t, levels) == 64, "processes share this layout");

static inline uint64_t mft_window_bytes(uint64_t levels)
{
    return levels == 0 || levels > MFT_BOOK_MAX_LEVELS ? 0 : sizeof(mft_window_t) + levels * 2 * sizeof(mft_level_t);
}

static inline void mft_window_fill(mft_window_t *w, uint64_t levels, const mft_master_t *m, uint32_t state)
{
    const mft_side_t *const sides[2] = {&m->bids, &m->asks};
    uint32_t counts[2];

    memset(w, 0, mft_window_bytes(levels));
    for (int k = 0; k < 2; k++) {
        const mft_side_t *s = sides[k];

        counts[k] = (uint32_t)(s->count < levels ? s->count : levels);
        for (uint64_t i = 0; i < counts[k]; i++)
            w->levels[2 * i + k] = s->levels[s->count - 1 - i];
    }
    w->top.n_bids = (uint16_t)counts[0];
    w->top.n_asks = (uint16_t)counts[1];
    if (counts[0] > 0) {
        w->top.bid_ticks = w->levels[0].price_ticks;
        w->top.bid_lots = w->levels[0].size_lots;
    }
    if (counts[1] > 0) {
        w->top.ask_ticks = w->levels[1].price_ticks;
        w->top.ask_lots = w->levels[1].size_lots;
    }
    if (counts[0] == 0 && counts[1] == 0)
        state |= MFT_BOOK_EMPTY;
    else if (counts[0] == 0 || counts[1] == 0)
        state |= MFT_BOOK_ONE_SIDED;
    if (mft_master_crossed(m))
        state |= MFT_BOOK_CROSSED;
    w->top.state = state;
}

#endif
