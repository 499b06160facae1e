/* One order: what is known of it, and what each message makes of that. Pure: no table, no clock, no memory.
 *
 * Messages may come in any order, more than once or never; requests may be answered late. So the state that users see
 * is derived from facts, each of which only its own proof changes: an answer settles its request, an order object ends
 * the order, a list of open orders that was asked for since settles a doubt. A notice may be older than what is known,
 * so it never makes the exposure smaller by its price or its size. */
#ifndef MFTCORE_ORDER_STATE_H
#define MFTCORE_ORDER_STATE_H

#include "base.h"

#define MFT_ORDER_PRICE_LIMIT (INT64_C(1) << 53) /* beyond it a price in ticks is no number of this world */
#define MFT_ORDER_SIZE_LIMIT (INT64_C(1) << 40)  /* so is a size in lots; all orders and fills add up within 63 bits */
#define MFT_ORDER_ABSENCES 3u /* lists of open orders that must lack a doubtful order before it counts as gone */

enum { /* states; the last three are final */
    MFT_ORDER_INSERTING = 0, /* sent, and nothing heard */
    MFT_ORDER_LIVE = 1,
    MFT_ORDER_AMENDING = 2,   /* the answer to an amend is awaited */
    MFT_ORDER_CANCELLING = 3, /* the answer to a cancel is awaited */
    MFT_ORDER_UNKNOWN = 4,    /* an answer did not come in time, or the exchange contradicts itself */
    MFT_ORDER_FILLED = 5,
    MFT_ORDER_CANCELLED = 6,
    MFT_ORDER_REJECTED = 7
};

enum { /* flags */
    MFT_ORDER_SEEN = 1,       /* an order object has told price and size */
    MFT_ORDER_AMEND_DUE = 2,  /* the answer to an amend is awaited */
    MFT_ORDER_CANCEL_DUE = 4, /* the answer to a cancel is awaited */
    MFT_ORDER_OVERDUE = 8,    /* an answer did not come in time: over when all answers are there */
    MFT_ORDER_GONE = 16,      /* "not found", or a contradiction: over with a list asked for since, or an end */
    MFT_ORDER_CONCLUDED = 32  /* ended without an order object saying so: an order object may still contradict */
};

enum { /* events: ours first */
    MFT_ORDER_AMEND = 0,         /* price, total: about to be sent; from LIVE only */
    MFT_ORDER_CANCEL = 1,        /* about to be sent; from every state that is not final */
    MFT_ORDER_DOUBT = 2,         /* an answer did not come in time; from every state that is not final */
    MFT_ORDER_TOLD_OPEN = 3,     /* order object, reply or notice: price, total, filled; listed: see below */
    MFT_ORDER_TOLD_FILLED = 4,   /* likewise: the order is no more */
    MFT_ORDER_TOLD_CANCELLED = 5,
    MFT_ORDER_AMENDED = 6,       /* answer to an amend: price, total */
    MFT_ORDER_INSERT_REFUSED = 7,
    MFT_ORDER_AMEND_REFUSED = 8,  /* the order rests as it was */
    MFT_ORDER_AMEND_MISSED = 9,   /* "not found": the order is gone, and how is not told */
    MFT_ORDER_CANCEL_REFUSED = 10,
    MFT_ORDER_CANCEL_MISSED = 11, /* "not found" */
    MFT_ORDER_ABSENT = 12,        /* not in a list of open orders, asked for since the doubt began; from UNKNOWN only */
    MFT_ORDER_FILL = 13,          /* total: lots of a fill that is new */
    MFT_ORDER_EVENTS = 14
};

enum { /* what became of an event */
    MFT_ORDER_APPLIED = 0,
    MFT_ORDER_LATE = 1,   /* about an order that has ended: only the cumulative filled size may have risen */
    MFT_ORDER_ILLEGAL = 2 /* no such transition. Not applied: of what it says only what raises the exposure is kept,
                           * or the order is put in doubt */
};

typedef struct {
    int64_t price_ticks, total_lots;             /* as last acknowledged; as sent until then */
    int64_t asked_price_ticks, asked_total_lots; /* of the amend in flight; the same when there is none */
    int64_t most_lots;                           /* the largest total that the exchange may hold, now or later */
    int64_t ever_lots;                           /* the largest total that there ever was: an old notice may tell it */
    int64_t filled_lots;                         /* cumulative, as told; never falls */
    int64_t fill_sum_lots;                       /* sum of the distinct fills */
    uint32_t amends_due, cancels_due;            /* sent, and never answered */
    uint32_t absences;                           /* lists that lacked it, in a row */
    uint16_t state, flags;
} mft_order_facts_t;

typedef struct {
    uint32_t kind;
    int32_t listed; /* of TOLD_OPEN: from a list that was asked for after all that is known of the order */
    int64_t price_ticks, total_lots, filled_lots;
} mft_order_event_t;

typedef struct {
    mft_order_facts_t facts;
    int result;
} mft_order_step_t;

static inline int64_t mft_larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int mft_order_ended(const mft_order_facts_t *f)
{
    return f->state >= MFT_ORDER_FILLED;
}

/* Lots that have certainly traded. */
static inline int64_t mft_order_done(const mft_order_facts_t *f)
{
    return mft_larger(f->filled_lots, f->fill_sum_lots);
}

/* Lots told as filled whose fills have not come. */
static inline int64_t mft_order_missing(const mft_order_facts_t *f)
{
    return mft_larger(f->filled_lots - f->fill_sum_lots, 0);
}

/* Lots by which the sum of the fills may still grow. What has traded is taken off when figure and fills both say so:
 * a fill that only the cumulative figure knows is not in the position yet, and one that only its own message knows may
 * be a second telling of another under a new id. */
static inline int64_t mft_order_exposure(const mft_order_facts_t *f)
{
    const int64_t missing = mft_order_missing(f);

    if (mft_order_ended(f))
        return missing;
    return mft_larger(f->most_lots - (f->filled_lots < f->fill_sum_lots ? f->filled_lots : f->fill_sum_lots), missing);
}

/* Lots beyond the order's size. */
static inline int64_t mft_order_overfill(const mft_order_facts_t *f)
{
    return mft_larger(mft_order_done(f) - f->most_lots, 0);
}

static inline mft_order_facts_t mft_order_sent(int64_t price_ticks, int64_t total_lots)
{
    return (mft_order_facts_t){.price_ticks = price_ticks,
                               .total_lots = total_lots,
                               .asked_price_ticks = price_ticks,
                               .asked_total_lots = total_lots,
                               .most_lots = total_lots,
                               .ever_lots = total_lots,
                               .state = MFT_ORDER_INSERTING};
}

static inline void mft_order_derive(mft_order_facts_t *f)
{
    const uint32_t due = MFT_ORDER_AMEND_DUE | MFT_ORDER_CANCEL_DUE;

    if (mft_order_ended(f))
        return;
    if ((f->flags & (MFT_ORDER_SEEN | due)) == MFT_ORDER_SEEN)
        f->flags &= (uint16_t)~MFT_ORDER_OVERDUE; /* all answers are there */
    f->state = f->flags & (MFT_ORDER_OVERDUE | MFT_ORDER_GONE) ? MFT_ORDER_UNKNOWN
               : f->flags & MFT_ORDER_CANCEL_DUE               ? MFT_ORDER_CANCELLING
               : f->flags & MFT_ORDER_AMEND_DUE                ? MFT_ORDER_AMENDING
               : f->flags & MFT_ORDER_SEEN                     ? MFT_ORDER_LIVE
                                                               : MFT_ORDER_INSERTING;
    if (f->state != MFT_ORDER_UNKNOWN)
        f->absences = 0;
}

/* A total larger than any we asked for. What the exchange holds can fill, whoever asked for it. */
static inline int mft_order_outgrown(mft_order_facts_t *f, int64_t total_lots)
{
    if (total_lots <= f->most_lots)
        return MFT_ORDER_APPLIED;
    f->most_lots = total_lots;
    f->ever_lots = mft_larger(f->ever_lots, total_lots);
    return MFT_ORDER_ILLEGAL;
}

static inline void mft_order_acknowledge(mft_order_facts_t *f, int64_t price_ticks, int64_t total_lots)
{
    f->price_ticks = price_ticks;
    f->total_lots = total_lots;
    if (f->amends_due > 0)
        return; /* an amend may still be applied */
    f->asked_price_ticks = price_ticks;
    f->asked_total_lots = total_lots;
    f->most_lots = total_lots;
}

static inline int mft_order_told_open(mft_order_facts_t *f, const mft_order_event_t *e)
{
    int result = MFT_ORDER_APPLIED;

    if (mft_order_ended(f)) {
        if (!(f->flags & MFT_ORDER_CONCLUDED))
            return MFT_ORDER_LATE;
        /* we had concluded that it was gone; if it rests, somebody must own it */
        f->state = MFT_ORDER_UNKNOWN;
        f->flags = (uint16_t)((f->flags & MFT_ORDER_SEEN) | MFT_ORDER_GONE);
        result = MFT_ORDER_ILLEGAL;
    }
    if (e->total_lots > (e->listed ? f->most_lots : f->ever_lots))
        result = mft_order_outgrown(f, e->total_lots);
    f->absences = 0;
    if (e->listed)
        f->flags &= (uint16_t) ~(MFT_ORDER_AMEND_DUE | MFT_ORDER_CANCEL_DUE | MFT_ORDER_OVERDUE | MFT_ORDER_GONE);
    if (e->listed || !(f->flags & MFT_ORDER_SEEN))
        mft_order_acknowledge(f, e->price_ticks, e->total_lots);
    f->flags |= MFT_ORDER_SEEN;
    return result;
}

static inline int mft_order_told_ended(mft_order_facts_t *f, const mft_order_event_t *e, uint16_t state)
{
    int result = MFT_ORDER_APPLIED;

    if (mft_order_ended(f)) {
        if (!(f->flags & MFT_ORDER_CONCLUDED))
            return MFT_ORDER_LATE;
        result = f->state == MFT_ORDER_REJECTED ? MFT_ORDER_ILLEGAL : MFT_ORDER_LATE;
    }
    f->state = state;
    f->flags = MFT_ORDER_SEEN;
    f->amends_due = f->cancels_due = 0;
    f->asked_price_ticks = f->price_ticks;
    f->total_lots = f->asked_total_lots = e->total_lots;
    if (state == MFT_ORDER_FILLED && e->filled_lots < e->total_lots)
        result = MFT_ORDER_ILLEGAL; /* filled, but not so far: the end is taken, the figure is not believed */
    return mft_order_outgrown(f, e->total_lots) == MFT_ORDER_APPLIED ? result : MFT_ORDER_ILLEGAL;
}

static inline void mft_order_amend_answered(mft_order_facts_t *f)
{
    if (--f->amends_due == 0) {
        f->flags &= (uint16_t)~MFT_ORDER_AMEND_DUE;
        mft_order_acknowledge(f, f->price_ticks, f->total_lots);
    }
}

static inline int mft_order_amended(mft_order_facts_t *f, const mft_order_event_t *e)
{
    const int result = mft_order_outgrown(f, e->total_lots);

    if (f->amends_due == 0)
        return MFT_ORDER_ILLEGAL;
    f->absences = 0;
    if (f->amends_due == 1 && e->total_lots < f->filled_lots) {
        f->amends_due = 0; /* an order of less than has been filled is deleted: what holds, a list must say */
        f->flags = (uint16_t)((f->flags & ~MFT_ORDER_AMEND_DUE) | MFT_ORDER_GONE);
        f->asked_price_ticks = f->price_ticks;
        f->asked_total_lots = f->total_lots;
        return MFT_ORDER_ILLEGAL;
    }
    f->price_ticks = e->price_ticks;
    f->total_lots = e->total_lots;
    mft_order_amend_answered(f);
    return result;
}

static inline int mft_order_insert_refused(mft_order_facts_t *f)
{
    if (f->flags & MFT_ORDER_SEEN || mft_order_done(f) > 0) {
        f->flags |= MFT_ORDER_GONE; /* it was there */
        return MFT_ORDER_ILLEGAL;
    }
    f->state = MFT_ORDER_REJECTED;
    f->flags = MFT_ORDER_CONCLUDED;
    return MFT_ORDER_APPLIED;
}

static inline int mft_order_absent(mft_order_facts_t *f)
{
    if (f->state != MFT_ORDER_UNKNOWN)
        return MFT_ORDER_ILLEGAL;
    if (++f->absences < MFT_ORDER_ABSENCES)
        return MFT_ORDER_APPLIED;
    f->state = MFT_ORDER_CANCELLED;
    f->flags = (f->flags & MFT_ORDER_SEEN) | MFT_ORDER_CONCLUDED;
    return MFT_ORDER_APPLIED;
}

static inline int mft_order_refused(mft_order_facts_t *f, uint32_t kind)
{
    if (kind == MFT_ORDER_AMEND_REFUSED || kind == MFT_ORDER_AMEND_MISSED) {
        if (f->amends_due == 0)
            return MFT_ORDER_ILLEGAL;
        mft_order_amend_answered(f);
    } else {
        if (f->cancels_due == 0)
            return MFT_ORDER_ILLEGAL;
        if (--f->cancels_due == 0)
            f->flags &= (uint16_t)~MFT_ORDER_CANCEL_DUE;
    }
    if (kind == MFT_ORDER_AMEND_MISSED || kind == MFT_ORDER_CANCEL_MISSED)
        f->flags |= MFT_ORDER_GONE;
    return MFT_ORDER_APPLIED;
}

/* The two requests and the doubt, which are ours: ILLEGAL is the caller's mistake, and nothing changes. */
static inline int mft_order_ours(mft_order_facts_t *f, const mft_order_event_t *e)
{
    if (mft_order_ended(f))
        return MFT_ORDER_ILLEGAL;
    if (e->kind == MFT_ORDER_AMEND) {
        if (f->state != MFT_ORDER_LIVE || f->amends_due == UINT32_MAX)
            return MFT_ORDER_ILLEGAL;
        f->amends_due++;
        f->flags |= MFT_ORDER_AMEND_DUE;
        f->asked_price_ticks = e->price_ticks;
        f->asked_total_lots = e->total_lots;
        f->most_lots = mft_larger(f->most_lots, e->total_lots);
        f->ever_lots = mft_larger(f->ever_lots, e->total_lots);
    } else if (e->kind == MFT_ORDER_CANCEL) {
        if (f->cancels_due == UINT32_MAX)
            return MFT_ORDER_ILLEGAL;
        f->cancels_due++;
        f->flags |= MFT_ORDER_CANCEL_DUE;
    } else {
        f->flags |= f->state == MFT_ORDER_LIVE ? MFT_ORDER_GONE : MFT_ORDER_OVERDUE;
    }
    return MFT_ORDER_APPLIED;
}

/* The order after an event, and what became of the event. */
static inline mft_order_step_t mft_order_step(mft_order_facts_t facts, mft_order_event_t event)
{
    mft_order_step_t s = {.facts = facts, .result = MFT_ORDER_ILLEGAL};
    mft_order_facts_t *const f = &s.facts;

    if (event.kind >= MFT_ORDER_TOLD_OPEN && event.kind <= MFT_ORDER_TOLD_CANCELLED)
        f->filled_lots = mft_larger(f->filled_lots, event.filled_lots);
    switch (event.kind) {
    case MFT_ORDER_AMEND:
    case MFT_ORDER_CANCEL:
    case MFT_ORDER_DOUBT:
        s.result = mft_order_ours(f, &event);
        break;
    case MFT_ORDER_TOLD_OPEN:
        s.result = mft_order_told_open(f, &event);
        break;
    case MFT_ORDER_TOLD_FILLED:
        s.result = mft_order_told_ended(f, &event, MFT_ORDER_FILLED);
        break;
    case MFT_ORDER_TOLD_CANCELLED:
        s.result = mft_order_told_ended(f, &event, MFT_ORDER_CANCELLED);
        break;
    case MFT_ORDER_FILL:
        s.result = mft_order_ended(f) && f->fill_sum_lots + event.total_lots > f->filled_lots ? MFT_ORDER_LATE
                                                                                              : MFT_ORDER_APPLIED;
        f->fill_sum_lots += event.total_lots;
        break;
    default:
        if (event.kind >= MFT_ORDER_EVENTS)
            break;
        if (mft_order_ended(f))
            s.result = MFT_ORDER_LATE;
        else if (event.kind == MFT_ORDER_AMENDED)
            s.result = mft_order_amended(f, &event);
        else if (event.kind == MFT_ORDER_INSERT_REFUSED)
            s.result = mft_order_insert_refused(f);
        else if (event.kind == MFT_ORDER_ABSENT)
            s.result = mft_order_absent(f);
        else
            s.result = mft_order_refused(f, event.kind);
    }
    mft_order_derive(f);
    return s;
}

#endif
