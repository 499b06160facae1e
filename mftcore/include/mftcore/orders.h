/* The orders of one session: a fixed number of slots, found by our id or the exchange's; the fills that were counted,
 * so that none is counted twice; what may still trade, per side. Memory of one process, taken once at creation; one
 * thread. What a message makes of an order is order_state.h's affair. */
#ifndef MFTCORE_ORDERS_H
#define MFTCORE_ORDERS_H

#include "order_state.h"
#include "slab.h"

#define MFT_ORDERS_MOST_LIVE (UINT32_C(1) << 16)  /* orders that may be live at once: largest capacity */
#define MFT_ORDERS_MOST_ENDED (UINT32_C(1) << 20) /* ended orders that may be remembered */
#define MFT_ORDERS_MOST_FILLS (UINT32_C(1) << 22) /* fills that may be remembered, of live orders and after */

/* Results beside those of base.h and of a step. */
enum {
    MFT_ORDER_STRANGE = 3, /* no order of ours, or not the one that the ids say: nothing was changed */
    MFT_FILL_NEW = 0,      /* counted; the order, if any, has it */
    MFT_FILL_REPEATED = 1, /* counted before */
    MFT_FILL_NO_ROOM = 2   /* not counted: live orders hold all places, and none of theirs may be forgotten */
};

typedef struct {
    uint64_t client_order_id;
    mft_order_facts_t facts;
    int64_t created_ns;
    int64_t changed_ns; /* of the last message of ours, answer or change of state */
    int64_t absent_ns;  /* when the newest list that lacked it was asked for */
    mft_id_t order_id;
    uint64_t serial; /* which order since creation; 0: the slot is free. Tells a view that its slot has another tenant */
    mft_list_t fills; /* while it lives */
    uint32_t before, after; /* in the list of the live or of the ended; `after` also in that of the free */
    int32_t side;           /* +1 buys, -1 sells */
} mft_order_t;

typedef struct {
    mft_id_t trade_id, order_id;
    int64_t lots;
    int32_t leg;
    uint32_t hash;
    uint32_t before, after; /* in the list of its order or of those remembered after; `after` also of the free */
} mft_fill_t;

typedef struct {
    mft_order_t *orders;
    mft_fill_t *fills;
    mft_index_t by_client_id, by_order_id, by_fill;
    mft_list_t live, ended, remembered;
    uint32_t free_order, free_fill;     /* given back */
    uint32_t fresh_orders, fresh_fills; /* never used are those from here on */
    uint32_t capacity, keep_ended, order_slots, keep_fills, fill_slots;
    uint64_t serial;
    int64_t exposure_lots[2]; /* buys, sells: of all orders, ended and forgotten ones with missing fills included */
    int64_t missing_lots;     /* told as filled, fills not seen: of all orders ever */
    uint64_t illegal, unknown, late, presumed, duplicate_fills, late_fills, overfills, refused_fills;
} mft_orders_t;

static inline uint32_t mft_hash_client(uint64_t client_order_id)
{
    return (uint32_t)(mft_mix(1, client_order_id) >> 32);
}

static inline uint32_t mft_hash_id(const mft_id_t *id)
{
    return (uint32_t)(mft_id_mix(2, id) >> 32);
}

static inline uint32_t mft_hash_fill(const mft_id_t *trade_id, const mft_id_t *order_id, int32_t leg)
{
    return (uint32_t)(mft_mix(mft_id_mix(mft_id_mix(3, trade_id), order_id), (uint64_t)(uint32_t)leg) >> 32);
}

/* creation */

static inline void mft_orders_free(mft_orders_t *t)
{
    free(t->orders);
    free(t->fills);
    free(t->by_client_id.cells);
    free(t->by_order_id.cells);
    free(t->by_fill.cells);
    memset(t, 0, sizeof *t);
}

/* Takes all memory that will ever be used: slots for `capacity` live orders and the last `keep_ended` ended ones, for
 * `live_fills` fills of live orders and the last `keep_fills` of ended ones. MFT_E_ARGUMENT, MFT_E_SYSTEM. */
static inline int mft_orders_init(mft_orders_t *t, uint32_t capacity, uint32_t keep_ended, uint32_t live_fills,
                                  uint32_t keep_fills)
{
    memset(t, 0, sizeof *t);
    if (capacity == 0 || capacity > MFT_ORDERS_MOST_LIVE || keep_ended == 0 || keep_ended > MFT_ORDERS_MOST_ENDED ||
        live_fills == 0 || live_fills > MFT_ORDERS_MOST_FILLS / 2 || keep_fills == 0 ||
        keep_fills > MFT_ORDERS_MOST_FILLS / 2)
        return MFT_E_ARGUMENT;
    t->capacity = capacity;
    t->keep_ended = keep_ended;
    t->order_slots = capacity + keep_ended;
    t->keep_fills = keep_fills;
    t->fill_slots = live_fills + keep_fills;
    t->live = t->ended = t->remembered = mft_list_empty();
    t->free_order = t->free_fill = MFT_NO_ENTRY;
    t->orders = calloc(t->order_slots, sizeof(mft_order_t));
    t->fills = calloc(t->fill_slots, sizeof(mft_fill_t));
    if (t->orders == NULL || t->fills == NULL || mft_index_init(&t->by_client_id, t->order_slots) != MFT_OK ||
        mft_index_init(&t->by_order_id, t->order_slots) != MFT_OK ||
        mft_index_init(&t->by_fill, t->fill_slots) != MFT_OK) {
        mft_orders_free(t);
        return MFT_E_SYSTEM;
    }
    return MFT_OK;
}

/* Bytes that creation took. */
static inline uint64_t mft_orders_bytes(const mft_orders_t *t)
{
    const uint64_t cells = (uint64_t)t->by_client_id.mask + t->by_order_id.mask + t->by_fill.mask + 3;

    return sizeof *t + t->order_slots * sizeof(mft_order_t) + t->fill_slots * sizeof(mft_fill_t) +
           cells * sizeof(mft_index_cell_t);
}

/* finding */

static inline mft_order_t *mft_orders_get(const mft_orders_t *t, uint64_t client_order_id)
{
    const mft_index_t *const x = &t->by_client_id;
    const uint32_t hash = mft_hash_client(client_order_id);

    for (uint32_t at = hash & x->mask; x->cells[at].entry != 0; at = (at + 1) & x->mask)
        if (x->cells[at].hash == hash && t->orders[x->cells[at].entry - 1].client_order_id == client_order_id)
            return &t->orders[x->cells[at].entry - 1];
    return NULL;
}

static inline mft_order_t *mft_orders_get_by_order_id(const mft_orders_t *t, const mft_id_t *order_id)
{
    const mft_index_t *const x = &t->by_order_id;
    const uint32_t hash = mft_hash_id(order_id);

    for (uint32_t at = hash & x->mask; x->cells[at].entry != 0; at = (at + 1) & x->mask)
        if (x->cells[at].hash == hash && mft_id_equal(&t->orders[x->cells[at].entry - 1].order_id, order_id))
            return &t->orders[x->cells[at].entry - 1];
    return NULL;
}

/* The order that a message is about, its exchange id bound if this is the first to bring it. NULL, and counted, when
 * there is none, or when the two ids do not belong together. A client id of 0 means that the message has none. */
static inline mft_order_t *mft_orders_addressed(mft_orders_t *t, uint64_t client_order_id, const mft_id_t *order_id)
{
    const int told = mft_id_length(order_id) > 0;
    mft_order_t *o = client_order_id != 0 ? mft_orders_get(t, client_order_id)
                     : told               ? mft_orders_get_by_order_id(t, order_id)
                                          : NULL;

    if (o != NULL && told && !mft_id_equal(&o->order_id, order_id)) {
        if (mft_id_length(&o->order_id) > 0 || mft_orders_get_by_order_id(t, order_id) != NULL) {
            o = NULL; /* the exchange calls another order so, or this one otherwise */
        } else {
            o->order_id = *order_id;
            mft_index_add(&t->by_order_id, mft_hash_id(order_id), (uint32_t)(o - t->orders));
        }
    }
    t->unknown += o == NULL;
    return o;
}

/* fills: identity */

static inline mft_fill_t *mft_orders_find_fill(const mft_orders_t *t, const mft_id_t *trade_id,
                                               const mft_id_t *order_id, int32_t leg, uint32_t hash)
{
    const mft_index_t *const x = &t->by_fill;

    for (uint32_t at = hash & x->mask; x->cells[at].entry != 0; at = (at + 1) & x->mask) {
        mft_fill_t *const f = &t->fills[x->cells[at].entry - 1];

        if (x->cells[at].hash == hash && f->leg == leg && mft_id_equal(&f->trade_id, trade_id) &&
            mft_id_equal(&f->order_id, order_id))
            return f;
    }
    return NULL;
}

static inline void mft_orders_forget_fill(mft_orders_t *t)
{
    const uint32_t oldest = t->remembered.first;

    mft_index_remove(&t->by_fill, t->fills[oldest].hash, oldest);
    MFT_LIST_REMOVE(t->fills, &t->remembered, oldest);
    t->fills[oldest].after = t->free_fill;
    t->free_fill = oldest;
}

/* Lets the fills of an order that has ended join those remembered after. */
static inline void mft_orders_release_fills(mft_orders_t *t, mft_order_t *o)
{
    if (o->fills.count == 0)
        return;
    if (t->remembered.count == 0) {
        t->remembered = o->fills;
    } else {
        t->fills[t->remembered.last].after = o->fills.first;
        t->fills[o->fills.first].before = t->remembered.last;
        t->remembered.last = o->fills.last;
        t->remembered.count += o->fills.count;
    }
    o->fills = mft_list_empty();
    while (t->remembered.count > t->keep_fills)
        mft_orders_forget_fill(t);
}

/* Takes the fills of an order that lives after all back from those remembered; rare, and as long as their list. */
static inline void mft_orders_retake_fills(mft_orders_t *t, mft_order_t *o)
{
    for (uint32_t at = t->remembered.first, next; at != MFT_NO_ENTRY; at = next) {
        next = t->fills[at].after;
        if (mft_id_equal(&t->fills[at].order_id, &o->order_id)) {
            MFT_LIST_REMOVE(t->fills, &t->remembered, at);
            MFT_LIST_APPEND(t->fills, &o->fills, at);
        }
    }
}

/* orders: change */

static inline void mft_orders_forget_order(mft_orders_t *t)
{
    const uint32_t oldest = t->ended.first;
    mft_order_t *const o = &t->orders[oldest];

    mft_index_remove(&t->by_client_id, mft_hash_client(o->client_order_id), oldest);
    if (mft_id_length(&o->order_id) > 0)
        mft_index_remove(&t->by_order_id, mft_hash_id(&o->order_id), oldest);
    MFT_LIST_REMOVE(t->orders, &t->ended, oldest);
    o->serial = 0;
    o->after = t->free_order;
    t->free_order = oldest;
}

/* Lets an event change an order, and keeps sums, lists and counters in step. */
static inline int mft_orders_step(mft_orders_t *t, mft_order_t *o, const mft_order_event_t *event, int64_t now_ns)
{
    const mft_order_facts_t was = o->facts;
    const mft_order_step_t step = mft_order_step(was, *event);
    const uint32_t slot = (uint32_t)(o - t->orders);

    o->facts = step.facts;
    t->exposure_lots[o->side < 0] += mft_order_exposure(&step.facts) - mft_order_exposure(&was);
    t->missing_lots += mft_order_missing(&step.facts) - mft_order_missing(&was);
    t->overfills += mft_order_overfill(&step.facts) > mft_order_overfill(&was);
    if (event->kind == MFT_ORDER_FILL)
        t->late_fills += step.result == MFT_ORDER_LATE;
    else
        t->late += step.result == MFT_ORDER_LATE;
    t->illegal += step.result == MFT_ORDER_ILLEGAL && event->kind > MFT_ORDER_DOUBT;
    /* answers that leave the state as it was count too: a list asked for before them is older than they are */
    if (step.facts.state != was.state || step.facts.amends_due != was.amends_due ||
        step.facts.cancels_due != was.cancels_due)
        o->changed_ns = now_ns;
    if (mft_order_ended(&step.facts) && !mft_order_ended(&was)) {
        t->presumed += event->kind == MFT_ORDER_ABSENT;
        MFT_LIST_REMOVE(t->orders, &t->live, slot);
        MFT_LIST_APPEND(t->orders, &t->ended, slot);
        mft_orders_release_fills(t, o);
        if (t->ended.count > t->keep_ended)
            mft_orders_forget_order(t);
    } else if (!mft_order_ended(&step.facts) && mft_order_ended(&was)) {
        MFT_LIST_REMOVE(t->orders, &t->ended, slot);
        MFT_LIST_APPEND(t->orders, &t->live, slot);
        mft_orders_retake_fills(t, o);
    }
    return step.result;
}

/* calls: each leaves the order in `*found`, NULL when there is none */

static inline int mft_order_sensible(int64_t price_ticks, int64_t lots, int64_t least)
{
    return price_ticks > -MFT_ORDER_PRICE_LIMIT && price_ticks < MFT_ORDER_PRICE_LIMIT && lots >= least &&
           lots < MFT_ORDER_SIZE_LIMIT;
}

/* An order that is about to be sent. MFT_FULL, MFT_E_EXISTS (the id is remembered), MFT_E_ARGUMENT. */
static inline int mft_orders_insert(mft_orders_t *t, uint64_t client_order_id, int32_t side, int64_t price_ticks,
                                    int64_t lots, int64_t now_ns, mft_order_t **found)
{
    uint32_t slot = t->free_order;

    *found = NULL;
    if (client_order_id == 0 || (side != 1 && side != -1) || !mft_order_sensible(price_ticks, lots, 1))
        return MFT_E_ARGUMENT;
    if (mft_orders_get(t, client_order_id) != NULL)
        return MFT_E_EXISTS;
    if (t->live.count >= t->capacity)
        return MFT_FULL;
    if (slot != MFT_NO_ENTRY)
        t->free_order = t->orders[slot].after;
    else
        slot = t->fresh_orders++;
    *found = &t->orders[slot];
    **found = (mft_order_t){.client_order_id = client_order_id,
                            .facts = mft_order_sent(price_ticks, lots),
                            .created_ns = now_ns,
                            .changed_ns = now_ns,
                            .serial = ++t->serial,
                            .fills = mft_list_empty(),
                            .side = side};
    mft_index_add(&t->by_client_id, mft_hash_client(client_order_id), slot);
    MFT_LIST_APPEND(t->orders, &t->live, slot);
    t->exposure_lots[side < 0] += lots;
    return MFT_OK;
}

/* AMEND, CANCEL, DOUBT: MFT_ORDER_APPLIED; ILLEGAL, and nothing changed; MFT_ORDER_STRANGE; MFT_E_ARGUMENT. */
static inline int mft_orders_ours(mft_orders_t *t, uint64_t client_order_id, uint32_t kind, int64_t price_ticks,
                                  int64_t total_lots, int64_t now_ns, mft_order_t **found)
{
    const mft_order_event_t event = {.kind = kind, .price_ticks = price_ticks, .total_lots = total_lots};

    *found = NULL;
    if (kind > MFT_ORDER_DOUBT || (kind == MFT_ORDER_AMEND && !mft_order_sensible(price_ticks, total_lots, 1)))
        return MFT_E_ARGUMENT;
    *found = mft_orders_get(t, client_order_id);
    return *found != NULL ? mft_orders_step(t, *found, &event, now_ns) : MFT_ORDER_STRANGE;
}

/* An order object, from a reply, a notice or a list. `asked_ns`: when the list was asked for, else 0. It is proof when
 * nothing has changed since. */
static inline int mft_orders_told(mft_orders_t *t, uint64_t client_order_id, const mft_id_t *order_id,
                                  mft_order_event_t event, int64_t asked_ns, int64_t now_ns, mft_order_t **found)
{
    *found = NULL;
    if (event.kind < MFT_ORDER_TOLD_OPEN || event.kind > MFT_ORDER_TOLD_CANCELLED ||
        !mft_order_sensible(event.price_ticks, event.total_lots, 0) || !mft_order_sensible(0, event.filled_lots, 0))
        return MFT_E_ARGUMENT;
    *found = mft_orders_addressed(t, client_order_id, order_id);
    if (*found == NULL)
        return MFT_ORDER_STRANGE;
    event.listed = asked_ns > (*found)->changed_ns;
    return mft_orders_step(t, *found, &event, now_ns);
}

/* The answer to a request: AMENDED and all REFUSED and MISSED. */
static inline int mft_orders_answered(mft_orders_t *t, uint64_t client_order_id, mft_order_event_t event,
                                      int64_t now_ns, mft_order_t **found)
{
    *found = NULL;
    if (event.kind < MFT_ORDER_AMENDED || event.kind > MFT_ORDER_CANCEL_MISSED ||
        !mft_order_sensible(event.price_ticks, event.total_lots, 0))
        return MFT_E_ARGUMENT;
    *found = mft_orders_addressed(t, client_order_id, &(mft_id_t){{0}});
    return *found != NULL ? mft_orders_step(t, *found, &event, now_ns) : MFT_ORDER_STRANGE;
}

/* A list of open orders, asked for at `asked_ns`, lacks the order. Counts only while it is in doubt, since before the
 * asking, and once for each list; the last one that is needed must have been asked for `grace_ns` after the doubt. */
static inline int mft_orders_absent(mft_orders_t *t, uint64_t client_order_id, int64_t asked_ns, int64_t grace_ns,
                                    int64_t now_ns, mft_order_t **found)
{
    mft_order_t *const o = *found = mft_orders_addressed(t, client_order_id, &(mft_id_t){{0}});

    if (o == NULL)
        return MFT_ORDER_STRANGE;
    if (o->facts.state != MFT_ORDER_UNKNOWN || asked_ns <= o->changed_ns ||
        (o->facts.absences > 0 && asked_ns <= o->absent_ns))
        return MFT_ORDER_LATE; /* proves nothing */
    if (o->facts.absences + 1 == MFT_ORDER_ABSENCES && asked_ns - o->changed_ns < grace_ns)
        return MFT_ORDER_LATE;
    o->absent_ns = asked_ns;
    return mft_orders_step(t, o, &(mft_order_event_t){.kind = MFT_ORDER_ABSENT}, now_ns);
}

/* Counts a fill once. MFT_FILL_NEW, REPEATED, NO_ROOM; MFT_E_ARGUMENT. `*found` is its order, NULL when it is none of
 * ours: such a fill is remembered all the same. */
static inline int mft_orders_fill(mft_orders_t *t, uint64_t client_order_id, const mft_id_t *trade_id,
                                  const mft_id_t *order_id, int32_t leg, int64_t lots, mft_order_t **found)
{
    const uint32_t hash = mft_hash_fill(trade_id, order_id, leg);
    const mft_order_event_t event = {.kind = MFT_ORDER_FILL, .total_lots = lots};
    mft_fill_t *known;
    uint32_t slot;
    int lives;

    *found = NULL;
    if (mft_id_length(trade_id) == 0 || mft_id_length(order_id) == 0 || !mft_order_sensible(0, lots, 1))
        return MFT_E_ARGUMENT;
    known = mft_orders_find_fill(t, trade_id, order_id, leg, hash);
    if (known != NULL) {
        t->duplicate_fills++;
        t->illegal += known->lots != lots; /* the same fill with another size */
        return MFT_FILL_REPEATED;
    }
    *found = mft_orders_addressed(t, client_order_id, order_id);
    lives = *found != NULL && !mft_order_ended(&(*found)->facts);
    if (!lives && t->remembered.count == t->keep_fills)
        mft_orders_forget_fill(t);
    slot = t->free_fill;
    if (slot != MFT_NO_ENTRY) {
        t->free_fill = t->fills[slot].after;
    } else if (t->fresh_fills < t->fill_slots) {
        slot = t->fresh_fills++;
    } else {
        t->refused_fills++;
        return MFT_FILL_NO_ROOM;
    }
    t->fills[slot] = (mft_fill_t){*trade_id, *order_id, lots, leg, hash, MFT_NO_ENTRY, MFT_NO_ENTRY};
    mft_index_add(&t->by_fill, hash, slot);
    if (lives)
        MFT_LIST_APPEND(t->fills, &(*found)->fills, slot);
    else
        MFT_LIST_APPEND(t->fills, &t->remembered, slot);
    if (*found != NULL)
        mft_orders_step(t, *found, &event, (*found)->changed_ns);
    return MFT_FILL_NEW;
}

#endif
