/* One order against a small exchange that tells the truth, through a world that does not hurry.
 *
 * `explore` visits every state of exchange, client and what is under way between them, up to a few requests, trades and
 * doubts: requests wait as long as they like; answers come once or never, successes in order, errors whenever; each
 * order object that was ever told may come at any later time, any number of times or never; likewise fills and lists of
 * open orders. In each state: what may still trade is never understated, what was counted is exact, an end is an end.
 *
 * PLANT plain: -DPLANT_NOTICE */
#include "check.h"

#include "mftcore/order_state.h"

enum { ORDER = 10, UP = 20, DOWN = 5 };
enum { WAITING = 0, OPEN = 1, ENDED = 2, REFUSED = 3 };
enum { R_INSERT = 1, R_UP, R_DOWN, R_CANCEL };
enum { QUEUE = 4, ANSWERS = 6, NOTICES = 10, TRADES = 3 };

/* What an order object says, in one number: kind, price, total, filled. */
typedef uint32_t said_t;

typedef struct {
    mft_order_facts_t client;
    said_t answers[ANSWERS]; /* low byte: event kind; then the object */
    said_t notices[NOTICES]; /* all that were ever told */
    said_t listed;           /* list of open orders on its way, 0: none; 1: without the order */
    uint8_t exchange, full, price, total, filled; /* the order there; `full`: ended by trading */
    uint8_t queue[QUEUE];                         /* requests on their way */
    uint8_t trades[TRADES], seen;                 /* bit i: the client has trade i */
    uint8_t n_queue, n_answers, n_notices, n_trades;
    uint8_t fresh;   /* nothing that the client knows has changed since the list was asked for */
    uint8_t dropped; /* an answer that never comes */
    uint8_t amends, cancels, doubts, refusals, lists; /* still to be used */
} world_t;

static uint64_t *visited, visits, n_facts;
static mft_order_facts_t facts[1 << 14];
enum { VISITED = 1 << 23 };

static uint64_t digest(const void *bytes, size_t length)
{
    uint64_t hash = 7, word;

    for (size_t i = 0; i < length; i += 8) {
        word = 0;
        memcpy(&word, (const char *)bytes + i, length - i < 8 ? length - i : 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 31;
    }
    return hash | 1;
}

static int first_visit(uint64_t hash)
{
    for (uint64_t at = hash >> 20;; at++) {
        uint64_t *const place = &visited[at % VISITED];

        if (*place == hash)
            return 0;
        if (*place == 0) {
            *place = hash;
            CHECK(++visits < VISITED / 2);
            return 1;
        }
    }
}

/* the exchange */

static said_t object(const world_t *w)
{
    const uint32_t kind = w->exchange == OPEN ? MFT_ORDER_TOLD_OPEN
                          : w->full           ? MFT_ORDER_TOLD_FILLED
                                              : MFT_ORDER_TOLD_CANCELLED;

    return kind | (uint32_t)w->price << 8 | (uint32_t)w->total << 16 | (uint32_t)w->filled << 24;
}

static void tell(world_t *w)
{
    const said_t said = object(w);

    for (int i = 0; i < w->n_notices; i++)
        if (w->notices[i] == said)
            return;
    CHECK(w->n_notices < NOTICES);
    w->notices[w->n_notices++] = said;
}

static void answer(world_t *w, said_t said)
{
    CHECK(w->n_answers < ANSWERS);
    w->answers[w->n_answers++] = said;
}

static void process(world_t *w, int refuse)
{
    const uint8_t request = w->queue[0];
    const uint8_t total = request == R_UP ? UP : DOWN;

    memmove(w->queue, w->queue + 1, QUEUE - 1);
    w->queue[--w->n_queue] = 0;
    if (request == R_INSERT) {
        w->exchange = refuse ? REFUSED : OPEN;
        if (refuse) {
            answer(w, MFT_ORDER_INSERT_REFUSED);
            return;
        }
        tell(w);
        answer(w, object(w));
    } else if (refuse) {
        answer(w, request == R_CANCEL ? MFT_ORDER_CANCEL_REFUSED : MFT_ORDER_AMEND_REFUSED);
    } else if (w->exchange != OPEN) {
        answer(w, request == R_CANCEL ? MFT_ORDER_CANCEL_MISSED : MFT_ORDER_AMEND_MISSED);
    } else if (request == R_CANCEL || total <= w->filled) { /* an amend to what is filled deletes */
        w->exchange = ENDED;
        tell(w);
        answer(w, object(w));
    } else {
        w->price = request;
        w->total = total;
        tell(w);
        answer(w, (object(w) & ~0xFFu) | MFT_ORDER_AMENDED);
    }
}

static void trade(world_t *w, uint8_t lots)
{
    w->trades[w->n_trades++] = lots;
    w->filled += lots;
    if (w->filled == w->total) {
        w->exchange = ENDED;
        w->full = 1;
    }
    tell(w);
}

/* what must hold */

static int64_t seen_lots(const world_t *w)
{
    int64_t lots = 0;

    for (int i = 0; i < w->n_trades; i++)
        lots += w->seen >> i & 1 ? w->trades[i] : 0;
    return lots;
}

/* By how much the sum of the fills may still grow, whatever happens next. */
static int64_t may_come(const world_t *w)
{
    int64_t most = w->exchange == WAITING || w->exchange == OPEN ? w->total : w->filled;

    if (w->exchange == REFUSED)
        return 0;
    for (int i = 0; i < w->n_queue && w->exchange != ENDED; i++)
        if (w->queue[i] == R_UP)
            most = mft_larger(most, UP);
    return most - seen_lots(w);
}

static void must_hold(const world_t *w)
{
    const mft_order_facts_t *const f = &w->client;
    const int quiet = w->n_queue == 0 && w->n_answers == 0 && !w->dropped && f->fill_sum_lots == w->filled;

    /* an order that three lists have lacked can trade no more; that no fill of it was lost, no list can say */
    CHECK(f->flags & MFT_ORDER_CONCLUDED ? w->exchange != OPEN && w->exchange != WAITING
                                         : mft_order_exposure(f) >= may_come(w));
    CHECK(f->fill_sum_lots == seen_lots(w));
    CHECK(f->filled_lots <= w->filled && mft_order_overfill(f) == 0);
    if (mft_order_ended(f)) {
        CHECK(w->exchange == ENDED || w->exchange == REFUSED);
        CHECK(!quiet || mft_order_exposure(f) == 0);
    } else if (quiet && w->exchange == OPEN && f->filled_lots == w->filled && f->flags & MFT_ORDER_SEEN) {
        /* all is known: nothing is overstated either, and the order can be dealt with */
        CHECK(mft_order_exposure(f) == w->total - w->filled);
        CHECK(f->price_ticks == w->price && f->total_lots == w->total && f->asked_total_lots == w->total);
        CHECK(f->state == MFT_ORDER_LIVE || f->flags & MFT_ORDER_GONE);
    }
}

/* the client */

static int deliver(world_t *w, mft_order_event_t event)
{
    const mft_order_facts_t was = w->client;
    const mft_order_step_t step = mft_order_step(was, event);

    w->client = step.facts;
    if (was.state != step.facts.state || was.amends_due != step.facts.amends_due ||
        was.cancels_due != step.facts.cancels_due)
        w->fresh = 0;
    if (mft_order_ended(&was) && !(was.flags & MFT_ORDER_CONCLUDED))
        CHECK(step.facts.state == was.state);
    /* nothing that a truthful exchange says is illegal, but that an order rests which three lists have lacked */
    CHECK(step.result != MFT_ORDER_ILLEGAL || event.kind <= MFT_ORDER_DOUBT || was.flags & MFT_ORDER_CONCLUDED);
    return step.result;
}

static mft_order_event_t event_of(said_t said, int listed)
{
    return (mft_order_event_t){.kind = said & 0xFF,
                               .listed = listed,
                               .price_ticks = said >> 8 & 0xFF,
                               .total_lots = said >> 16 & 0xFF,
                               .filled_lots = said >> 24};
}

static void deliver_answer(world_t *w, int at)
{
    const said_t said = w->answers[at];
    const int success = (said & 0xFF) <= MFT_ORDER_AMENDED;

    /* successes come in order: those before this one never come; errors may be overtaken */
    for (int i = 0, kept = 0, n = w->n_answers; i < n; i++) {
        const int passed = i < at && success && (w->answers[i] & 0xFF) <= MFT_ORDER_AMENDED;

        w->dropped |= (uint8_t)passed;
        if (passed || i == at)
            w->n_answers--;
        else
            w->answers[kept++] = w->answers[i];
    }
    memset(w->answers + w->n_answers, 0, (ANSWERS - w->n_answers) * sizeof(said_t));
    deliver(w, event_of(said, 0));
    if ((said & 0xFF) == MFT_ORDER_AMENDED) /* the answer is a whole order object */
        deliver(w, event_of((said & ~0xFFu) | MFT_ORDER_TOLD_OPEN, 0));
}

static void notice(world_t *w, said_t said)
{
    deliver(w, event_of(said, 0));
#ifdef PLANT_NOTICE /* a notice settles an amend, or changes price and size, whenever it was sent */
    if ((said & 0xFF) == MFT_ORDER_TOLD_OPEN && !mft_order_ended(&w->client)) {
        w->client.total_lots = w->client.most_lots = event_of(said, 0).total_lots;
        w->client.amends_due = 0;
    }
#endif
}

static int send(world_t *w, uint8_t request)
{
    const uint32_t kind = request == R_CANCEL ? MFT_ORDER_CANCEL : MFT_ORDER_AMEND;

    if (deliver(w, (mft_order_event_t){.kind = kind,
                                       .price_ticks = request,
                                       .total_lots = request == R_UP ? UP : DOWN}) != MFT_ORDER_APPLIED)
        return 0;
    CHECK(w->n_queue < QUEUE);
    w->queue[w->n_queue++] = request;
    w->fresh = 0;
    return 1;
}

static void explore(const world_t *w);

static void explore_client(const world_t *w)
{
    world_t v;

    for (uint8_t request = R_UP; request <= R_CANCEL; request++) {
        if (w->n_queue == QUEUE || !(request == R_CANCEL ? w->cancels : w->amends))
            continue;
        v = *w;
        v.cancels -= request == R_CANCEL;
        v.amends -= request != R_CANCEL;
        if (send(&v, request))
            explore(&v);
    }
    if (w->doubts && !mft_order_ended(&w->client)) {
        v = *w;
        v.doubts--;
        deliver(&v, (mft_order_event_t){.kind = MFT_ORDER_DOUBT});
        explore(&v);
    }
    if (w->lists && w->listed == 0) { /* asked for and made at one instant: what is under way is under way in both */
        v = *w;
        v.lists--;
        v.fresh = 1;
        v.listed = w->exchange == OPEN ? object(w) : 1;
        if (w->exchange != WAITING) /* the grace: an insert is not under way for ever */
            explore(&v);
    }
}

static void explore_messages(const world_t *w)
{
    world_t v;

    for (int i = 0; i < w->n_answers; i++) {
        v = *w;
        deliver_answer(&v, i);
        explore(&v);
    }
    for (int i = 0; i < w->n_notices; i++) {
        v = *w;
        notice(&v, w->notices[i]);
        explore(&v);
    }
    for (int i = 0; i < w->n_trades; i++) {
        if (w->seen >> i & 1)
            continue;
        v = *w;
        v.seen |= (uint8_t)(1 << i);
        deliver(&v, (mft_order_event_t){.kind = MFT_ORDER_FILL, .total_lots = w->trades[i]});
        explore(&v);
    }
    if (w->listed > 1) {
        v = *w;
        v.listed = 0;
        v.fresh = 0;
        deliver(&v, event_of(w->listed, w->fresh));
        explore(&v);
    } else if (w->listed == 1) { /* and two more like it */
        v = *w;
        v.listed = 0;
        v.fresh = 0;
        for (unsigned i = 0; i < MFT_ORDER_ABSENCES && w->fresh && v.client.state == MFT_ORDER_UNKNOWN; i++)
            deliver(&v, (mft_order_event_t){.kind = MFT_ORDER_ABSENT});
        explore(&v);
    }
}

static void explore(const world_t *w)
{
    world_t v;

    if (!first_visit(digest(w, sizeof *w)))
        return;
    must_hold(w);
    if (first_visit(digest(&w->client, sizeof w->client) ^ 2)) {
        CHECK(n_facts < sizeof facts / sizeof facts[0]);
        facts[n_facts++] = w->client;
    }
    for (int refuse = 0; refuse <= (w->refusals > 0) && w->n_queue > 0; refuse++) {
        v = *w;
        v.refusals -= (uint8_t)refuse;
        process(&v, refuse);
        explore(&v);
    }
    for (int all = 0; all <= 1 && w->exchange == OPEN && w->n_trades < TRADES; all++) {
        const uint8_t rest = w->total - w->filled;

        if (!all && rest <= 4)
            continue;
        v = *w;
        trade(&v, all ? rest : 4);
        explore(&v);
    }
    explore_client(w);
    explore_messages(w);
}

static void whatever_comes_when_exposure_is_never_understated_and_fills_are_exact(void)
{
    static const uint8_t budgets[][5] = { /* amends, cancels, doubts, refusals, lists */
        {1, 0, 1, 1, 1}, {1, 1, 1, 0, 0}, /* the others are for the plain program */
        {1, 1, 1, 1, 1}, {2, 0, 1, 0, 1}, {2, 0, 0, 1, 0}, {1, 2, 0, 1, 0},
    };

    visited = calloc(VISITED, sizeof *visited);
    CHECK(visited != NULL);
    for (unsigned i = 0; i < 2 + REPEAT(40) / 10; i++) {
        const uint64_t before = visits;
        world_t w;

        memset(&w, 0, sizeof w);
        w.client = mft_order_sent(1, ORDER);
        w.price = 1;
        w.total = ORDER;
        w.queue[w.n_queue++] = R_INSERT;
        w.amends = budgets[i][0], w.cancels = budgets[i][1], w.doubts = budgets[i][2];
        w.refusals = budgets[i][3], w.lists = budgets[i][4];
        explore(&w);
        fprintf(stderr, "   %llu states\n", (unsigned long long)(visits - before));
    }
    free(visited);
    fprintf(stderr, "   %llu states of an order\n", (unsigned long long)n_facts);
}

/* What an exchange may say that does not tell the truth, and what we may do, legal or not. */
static const mft_order_event_t anything[] = {
    {MFT_ORDER_AMEND, 0, 2, UP, 0},
    {MFT_ORDER_AMEND, 0, 3, DOWN, 0},
    {MFT_ORDER_CANCEL, 0, 0, 0, 0},
    {MFT_ORDER_DOUBT, 0, 0, 0, 0},
    {MFT_ORDER_TOLD_OPEN, 0, 1, ORDER, 0},
    {MFT_ORDER_TOLD_OPEN, 0, 1, ORDER, 4},
    {MFT_ORDER_TOLD_OPEN, 0, 2, UP, 15},
    {MFT_ORDER_TOLD_OPEN, 1, 1, ORDER, 4},
    {MFT_ORDER_TOLD_OPEN, 1, 3, UP, 0}, /* a list, and perhaps more than can be */
    {MFT_ORDER_TOLD_OPEN, 0, 1, 40, 0}, /* more than was ever asked for */
    {MFT_ORDER_TOLD_FILLED, 0, 1, ORDER, ORDER},
    {MFT_ORDER_TOLD_FILLED, 0, 1, ORDER, 4}, /* not so */
    {MFT_ORDER_TOLD_CANCELLED, 0, 1, ORDER, 4},
    {MFT_ORDER_AMENDED, 0, 2, UP, 0},
    {MFT_ORDER_AMENDED, 0, 3, DOWN, 0},
    {MFT_ORDER_INSERT_REFUSED, 0, 0, 0, 0},
    {MFT_ORDER_AMEND_REFUSED, 0, 0, 0, 0},
    {MFT_ORDER_AMEND_MISSED, 0, 0, 0, 0},
    {MFT_ORDER_CANCEL_REFUSED, 0, 0, 0, 0},
    {MFT_ORDER_CANCEL_MISSED, 0, 0, 0, 0},
    {MFT_ORDER_ABSENT, 0, 0, 0, 0},
    {MFT_ORDER_FILL, 0, 0, 4, 0},
    {MFT_ORDER_FILL, 0, 0, ORDER, 0},
    {MFT_ORDER_EVENTS, 0, 0, 0, 0}, /* no event */
};
enum { ANYTHING = sizeof anything / sizeof anything[0] };

static int64_t certain(const mft_order_facts_t *f)
{
    return f->filled_lots < f->fill_sum_lots ? f->filled_lots : f->fill_sum_lots;
}

static mft_order_facts_t hostile_step(const mft_order_facts_t *was, const mft_order_event_t *e)
{
    const mft_order_step_t step = mft_order_step(*was, *e);
    const mft_order_facts_t *const f = &step.facts;
    const int ended = mft_order_ended(was), final = ended && !(was->flags & MFT_ORDER_CONCLUDED);
    const int answer = e->kind >= MFT_ORDER_AMENDED && e->kind <= MFT_ORDER_CANCEL_MISSED;
    mft_order_facts_t same = *was;

    CHECK(f->filled_lots >= was->filled_lots && f->ever_lots >= was->ever_lots && f->ever_lots >= f->most_lots);
    CHECK(f->fill_sum_lots == was->fill_sum_lots + (e->kind == MFT_ORDER_FILL ? e->total_lots : 0));
    CHECK(mft_order_exposure(f) >= mft_order_missing(f));
    CHECK(f->total_lots <= f->most_lots && f->asked_total_lots <= f->most_lots);
    if (final) {
        same.filled_lots = f->filled_lots, same.fill_sum_lots = f->fill_sum_lots;
        CHECK(memcmp(f, &same, sizeof same) == 0);
        CHECK(step.result != MFT_ORDER_APPLIED || e->kind == MFT_ORDER_FILL);
    } else if (step.result == MFT_ORDER_LATE) {
        CHECK(ended);
    }
    if (step.result == MFT_ORDER_ILLEGAL) {
        CHECK(f->most_lots >= was->most_lots || ended);
        CHECK(f->state == was->state || f->state == MFT_ORDER_UNKNOWN ||
              (e->kind >= MFT_ORDER_TOLD_OPEN && e->kind <= MFT_ORDER_AMENDED));
        if (e->kind <= MFT_ORDER_DOUBT || e->kind == MFT_ORDER_EVENTS || e->kind == MFT_ORDER_ABSENT)
            CHECK(memcmp(f, was, sizeof *f) == 0);
        if (answer && was->amends_due + was->cancels_due == 0) { /* an answer to nothing: at most in doubt, or larger */
            same.state = f->state, same.flags = f->flags, same.most_lots = f->most_lots, same.ever_lots = f->ever_lots;
            CHECK(memcmp(f, &same, sizeof same) == 0);
            CHECK((f->flags | MFT_ORDER_GONE) == (was->flags | MFT_ORDER_GONE));
        }
    }
    if (e->kind == MFT_ORDER_AMEND && step.result == MFT_ORDER_APPLIED)
        CHECK(was->state == MFT_ORDER_LIVE && f->state == MFT_ORDER_AMENDING && f->most_lots >= e->total_lots);
    if (e->kind == MFT_ORDER_TOLD_OPEN && !e->listed && was->flags & MFT_ORDER_SEEN && !ended) {
        CHECK(mft_order_exposure(f) >= mft_larger(was->most_lots - certain(f), 0)); /* a notice may be an old one */
        CHECK(f->price_ticks == was->price_ticks && f->total_lots == was->total_lots);
    }
    if (was->flags & MFT_ORDER_GONE && !(f->flags & MFT_ORDER_GONE))
        CHECK(e->listed || mft_order_ended(f));
    if (step.result == MFT_ORDER_APPLIED && !mft_order_ended(f)) {
        CHECK(e->kind != MFT_ORDER_DOUBT || f->state == MFT_ORDER_UNKNOWN);
        CHECK((e->kind != MFT_ORDER_AMEND_MISSED && e->kind != MFT_ORDER_CANCEL_MISSED) || f->flags & MFT_ORDER_GONE);
        CHECK(e->kind != MFT_ORDER_AMENDED || f->amends_due > 0 || e->total_lots >= f->filled_lots);
    }
    if (step.result == MFT_ORDER_APPLIED && e->kind == MFT_ORDER_INSERT_REFUSED)
        CHECK(!(was->flags & MFT_ORDER_SEEN) && mft_order_done(was) == 0); /* it had never been there */
    if (step.result == MFT_ORDER_APPLIED && e->kind == MFT_ORDER_ABSENT)
        CHECK(was->state == MFT_ORDER_UNKNOWN);
    if (!mft_order_ended(f) && !ended) {
        CHECK(f->absences == 0 || f->state == MFT_ORDER_UNKNOWN);
        CHECK(f->ever_lots >= (e->kind == MFT_ORDER_TOLD_OPEN ? e->total_lots : 0));
        CHECK(!(was->flags & ~f->flags & MFT_ORDER_CANCEL_DUE) || e->listed || f->cancels_due == 0);
        CHECK(!(was->flags & ~f->flags & MFT_ORDER_AMEND_DUE) || e->listed || f->amends_due == 0);
        CHECK(!(was->flags & ~f->flags & MFT_ORDER_OVERDUE) || e->listed ||
              !(f->flags & (MFT_ORDER_AMEND_DUE | MFT_ORDER_CANCEL_DUE)));
    }
    if (f->amends_due > 0 && !mft_order_ended(f) && !mft_order_ended(was))
        CHECK(f->most_lots >= was->most_lots); /* as long as an answer is due */
    return step.facts;
}

static void whatever_is_said_an_end_is_an_end_and_what_is_illegal_is_not_applied(void)
{
    const uint64_t stride = 100 / (REPEAT(90) + 10); /* all of them, or every fifth */

    CHECK(n_facts > 500);
    for (uint64_t i = 0; i < n_facts; i += stride)
        for (int a = 0; a < ANYTHING; a++) {
            const mft_order_facts_t first = hostile_step(&facts[i], &anything[a]);

            for (int b = 0; b < ANYTHING; b++) {
                const mft_order_facts_t second = hostile_step(&first, &anything[b]);

                for (int c = 0; c < ANYTHING; c++)
                    hostile_step(&second, &anything[c]);
            }
        }
}

int main(void)
{
    RUN(whatever_comes_when_exposure_is_never_understated_and_fills_are_exact);
    RUN(whatever_is_said_an_end_is_an_end_and_what_is_illegal_is_not_applied);
    return 0;
}
