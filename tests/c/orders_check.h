/* What must hold of a table of orders at any time, counted anew from its entries. */
#ifndef ORDERS_CHECK_H
#define ORDERS_CHECK_H

#include "check.h"

#include "mftcore/orders.h"

/* Entries of a list of orders, which must be of one kind; adds what they expose. */
static uint32_t check_orders_of(mft_orders_t *t, const mft_list_t *list, int ended, int64_t *exposure_lots)
{
    uint32_t count = 0, before = MFT_NO_ENTRY;

    for (uint32_t at = list->first; at != MFT_NO_ENTRY; before = at, at = t->orders[at].after) {
        mft_order_t *const o = &t->orders[at];

        CHECK(++count <= t->order_slots && o->before == before && o->serial != 0);
        CHECK(mft_order_ended(&o->facts) == ended);
        CHECK(mft_orders_get(t, o->client_order_id) == o);
        if (mft_id_length(&o->order_id) > 0)
            CHECK(mft_orders_get_by_order_id(t, &o->order_id) == o);
        CHECK(!ended || o->fills.count == 0);
        exposure_lots[o->side < 0] += mft_order_exposure(&o->facts);
    }
    CHECK(count == list->count && list->last == before);
    return count;
}

static uint32_t check_fills_of(mft_orders_t *t, const mft_list_t *list)
{
    uint32_t count = 0, before = MFT_NO_ENTRY;

    for (uint32_t at = list->first; at != MFT_NO_ENTRY; before = at, at = t->fills[at].after) {
        const mft_fill_t *const f = &t->fills[at];

        CHECK(++count <= t->fill_slots && f->before == before);
        CHECK(mft_orders_find_fill(t, &f->trade_id, &f->order_id, f->leg, f->hash) == f);
    }
    CHECK(count == list->count && list->last == before);
    return count;
}

static uint32_t cells_used(const mft_index_t *x)
{
    uint32_t used = 0;

    for (uint32_t at = 0; at <= x->mask; at++)
        used += x->cells[at].entry != 0;
    return used;
}

/* `evicted`: whether orders may have been forgotten, whose missing fills stay in the sums. */
static void check_orders(mft_orders_t *t, int evicted)
{
    int64_t exposure_lots[2] = {0, 0};
    uint32_t with_id = 0;
    const uint32_t live = check_orders_of(t, &t->live, 0, exposure_lots);
    const uint32_t ended = check_orders_of(t, &t->ended, 1, exposure_lots);
    uint32_t fills = check_fills_of(t, &t->remembered);

    for (uint32_t at = t->live.first; at != MFT_NO_ENTRY; at = t->orders[at].after)
        fills += check_fills_of(t, &t->orders[at].fills);
    for (uint32_t slot = 0; slot < t->fresh_orders; slot++)
        with_id += t->orders[slot].serial != 0 && mft_id_length(&t->orders[slot].order_id) > 0;
    CHECK(cells_used(&t->by_client_id) == live + ended && cells_used(&t->by_order_id) == with_id);
    CHECK(cells_used(&t->by_fill) == fills);
    CHECK(ended <= t->keep_ended && t->remembered.count <= t->keep_fills);
    for (int side = 0; side < 2; side++)
        CHECK(evicted ? t->exposure_lots[side] >= exposure_lots[side] : t->exposure_lots[side] == exposure_lots[side]);
    CHECK(t->missing_lots >= 0);
}

#endif
