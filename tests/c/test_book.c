/* The master book without Python, against a plain table of prices. */
#include "check.h"

#include "mftcore/book.h"

enum { PRICES = 200, CAPACITY = 64 };

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void a_book_agrees_with_a_table_of_prices(void)
{
    mft_master_t m;
    int64_t table[2][PRICES] = {{0}};

    CHECK(mft_master_init(&m, PRICES) == MFT_OK);
    for (int step = 0; step < REPEAT(200000); step++) {
        const int asks = (int)draw(2);
        const int64_t price = (int64_t)draw(PRICES), lots = draw(3) ? (int64_t)draw(1000) : 0;
        const mft_level_t level = {price, lots, lots};
        int64_t total = 0, best = -1;
        const mft_side_t *side = asks ? &m.asks : &m.bids;

        mft_master_apply(&m, &level, asks ? 0 : 1, &level, asks ? 1 : 0);
        table[asks][price] = lots;
        for (int i = 0; i < PRICES; i++) {
            total += table[asks][i];
            if (table[asks][i] && (best < 0 || !asks))
                best = i;
        }
        CHECK(side->total_lots == total);
        CHECK(best < 0 ? mft_side_best(side) == NULL : mft_side_best(side)->price_ticks == best);
    }
    CHECK(m.overflowed == 0);
    mft_master_free(&m);
}

static void a_full_side_keeps_the_best_and_counts_the_rest(void)
{
    mft_master_t m;
    mft_level_t level;

    CHECK(mft_master_init(&m, CAPACITY) == MFT_OK);
    for (int64_t price = 1; price <= 2 * CAPACITY; price++) { /* each better than the last, for bids */
        level = (mft_level_t){price, 1, 1};
        mft_master_apply(&m, &level, 1, &level, 1);
    }
    CHECK(m.overflowed == 2 * CAPACITY);
    CHECK(m.bids.count == CAPACITY && m.asks.count == CAPACITY);
    CHECK(mft_side_best(&m.bids)->price_ticks == 2 * CAPACITY && m.bids.levels[0].price_ticks == CAPACITY + 1);
    CHECK(mft_side_best(&m.asks)->price_ticks == 1 && m.asks.levels[0].price_ticks == CAPACITY);
    CHECK(m.bids.total_lots == CAPACITY && m.asks.total_lots == CAPACITY);
    mft_master_free(&m);
}

static void a_level_that_no_book_can_hold_is_refused(void)
{
    const mft_level_t bad[] = {{1, -1, 0}, {MFT_BOOK_LIMIT, 1, 0}, {-MFT_BOOK_LIMIT, 1, 0}, {1, MFT_BOOK_LIMIT, 0}, {1, 1, -1}};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(mft_levels_check(&bad[i], 1) == MFT_E_ARGUMENT);
}

static void the_window_is_the_best_levels_alternating(void)
{
    mft_master_t m;
    mft_window_t *w = calloc(1, mft_window_bytes(3));
    const mft_level_t bids[] = {{98, 2, 2}, {99, 1, 1}}, asks[] = {{103, 5, 5}, {101, 3, 3}, {102, 4, 4}, {104, 6, 6}};

    CHECK(w != NULL && mft_master_init(&m, CAPACITY) == MFT_OK);
    mft_window_fill(w, 3, &m, 0);
    CHECK(w->top.state == MFT_BOOK_EMPTY);
    mft_master_apply(&m, bids, 2, asks, 0);
    mft_window_fill(w, 3, &m, 0);
    CHECK(w->top.state == MFT_BOOK_ONE_SIDED);
    mft_master_apply(&m, bids, 0, asks, 4);
    mft_window_fill(w, 3, &m, MFT_BOOK_STALE);
    CHECK(w->top.state == MFT_BOOK_STALE && w->top.n_bids == 2 && w->top.n_asks == 3);
    CHECK(w->top.bid_ticks == 99 && w->top.ask_ticks == 101 && w->top.ask_lots == 3);
    CHECK(w->levels[2].price_ticks == 98 && w->levels[3].price_ticks == 102 && w->levels[5].price_ticks == 103);
    CHECK(w->levels[4].size_lots == 0);
    mft_master_apply(&m, &(mft_level_t){101, 1, 1}, 1, asks, 0);
    mft_window_fill(w, 3, &m, 0);
    CHECK(w->top.state == MFT_BOOK_CROSSED);
    mft_master_free(&m);
    free(w);
}

int main(void)
{
    RUN(a_book_agrees_with_a_table_of_prices);
    RUN(a_full_side_keeps_the_best_and_counts_the_rest);
    RUN(a_level_that_no_book_can_hold_is_refused);
    RUN(the_window_is_the_best_levels_alternating);
    return 0;
}
