/* The table of orders without Python: who is found, what is remembered and what is forgotten, and that nothing grows.
 * What a message makes of one order is test_order_states.c's affair. */
#include "check.h"

#include <malloc.h>

#include "mftcore/orders.h"
#include "orders_check.h"

enum { OPEN = MFT_ORDER_TOLD_OPEN, FILLED = MFT_ORDER_TOLD_FILLED, CANCELLED = MFT_ORDER_TOLD_CANCELLED };

static mft_orders_t t;
static mft_order_t *found;
static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static mft_id_t id_of(const char *letter, uint64_t number)
{
    char text[32];
    mft_id_t id;

    CHECK(mft_id_set(&id, text, (uint64_t)snprintf(text, sizeof text, "%s%016llX", letter, (unsigned long long)number)) ==
          MFT_OK);
    return id;
}

static int insert(uint64_t number, int side, int64_t lots)
{
    return mft_orders_insert(&t, number, side, 100, lots, 1, &found);
}

static int tell(uint32_t kind, uint64_t number, int64_t total, int64_t filled)
{
    const mft_id_t id = id_of("X", number);
    const mft_order_event_t event = {.kind = kind, .price_ticks = 100, .total_lots = total, .filled_lots = filled};

    return mft_orders_told(&t, number, &id, event, 0, 2, &found);
}

static int fill(uint64_t number, uint64_t trade, int64_t lots)
{
    const mft_id_t id = id_of("X", number), trade_id = id_of("T", trade);

    return mft_orders_fill(&t, number, &trade_id, &id, 0, lots, &found);
}

static void begin(uint32_t capacity, uint32_t keep_ended, uint32_t live_fills, uint32_t keep_fills)
{
    CHECK(mft_orders_init(&t, capacity, keep_ended, live_fills, keep_fills) == MFT_OK);
}

static void end(void)
{
    check_orders(&t, t.serial > t.live.count + t.ended.count);
    mft_orders_free(&t);
}

static void what_is_no_table_is_not_made(void)
{
    static const uint32_t bad[][4] = {
        {0, 1, 1, 1}, {MFT_ORDERS_MOST_LIVE + 1, 1, 1, 1}, {1, 0, 1, 1}, {1, MFT_ORDERS_MOST_ENDED + 1, 1, 1},
        {1, 1, 0, 1}, {1, 1, MFT_ORDERS_MOST_FILLS / 2 + 1, 1}, {1, 1, 1, 0}, {1, 1, 1, MFT_ORDERS_MOST_FILLS / 2 + 1},
    };

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(mft_orders_init(&t, bad[i][0], bad[i][1], bad[i][2], bad[i][3]) == MFT_E_ARGUMENT && t.orders == NULL);
}

static void an_id_is_kept_whole_or_refused(void)
{
    static const char longest[] = "12345678901234567890123456789012345678901234567";
    char other[sizeof longest];
    mft_id_t a, b;

    CHECK(strlen(longest) == MFT_ID_LONGEST);
    CHECK(mft_id_set(&a, longest, MFT_ID_LONGEST + 1) == MFT_E_ARGUMENT && mft_id_length(&a) == 0);
    CHECK(mft_id_set(&a, longest, MFT_ID_LONGEST) == MFT_OK && mft_id_length(&a) == MFT_ID_LONGEST);
    for (unsigned i = 0; i < MFT_ID_LONGEST; i++) {
        memcpy(other, longest, sizeof other);
        other[i] ^= 1;
        CHECK(mft_id_set(&b, other, MFT_ID_LONGEST) == MFT_OK && !mft_id_equal(&a, &b));
        CHECK(mft_hash_id(&a) != mft_hash_id(&b));
    }
    CHECK(mft_id_set(&a, "a", 1) == MFT_OK && mft_id_set(&b, "a\0", 2) == MFT_OK && !mft_id_equal(&a, &b));
}

static void an_index_forgets_what_was_removed_and_nothing_else(void)
{
    enum { ENTRIES = 40, STEPS = 100000 };
    uint32_t hashes[ENTRIES];
    uint8_t there[ENTRIES] = {0};
    mft_index_t x;

    CHECK(mft_index_init(&x, ENTRIES) == MFT_OK);
    for (int step = 0; step < REPEAT(STEPS); step++) {
        const uint32_t entry = (uint32_t)draw(ENTRIES);

        if (there[entry])
            mft_index_remove(&x, hashes[entry], entry);
        else /* few homes, the last cells among them: long runs that come round the end */
            mft_index_add(&x, hashes[entry] = (uint32_t)(draw(6) * 26 + draw(3)) & 127, entry);
        there[entry] ^= 1;
        for (uint32_t i = 0, used = 0; i < ENTRIES; i++) {
            uint32_t at = hashes[i] & x.mask;

            used += there[i];
            for (; there[i] && x.cells[at].entry != i + 1; at = (at + 1) & x.mask)
                CHECK(x.cells[at].entry != 0);
            CHECK(i < ENTRIES - 1 || cells_used(&x) == used);
        }
    }
    free(x.cells);
}

static void an_order_is_found_by_either_id_and_a_message_that_mixes_two_is_refused(void)
{
    const mft_id_t first = id_of("X", 1), other = id_of("X", 9), none = {{0}};
    const mft_order_event_t open = {.kind = OPEN, .price_ticks = 100, .total_lots = 10};

    begin(4, 4, 4, 4);
    CHECK(insert(1, 1, 10) == MFT_OK && insert(2, -1, 10) == MFT_OK);
    CHECK(insert(0, 1, 10) == MFT_E_ARGUMENT && insert(3, 0, 10) == MFT_E_ARGUMENT && insert(3, 1, 0) == MFT_E_ARGUMENT);
    CHECK(insert(3, 1, MFT_ORDER_SIZE_LIMIT) == MFT_E_ARGUMENT && insert(1, 1, 10) == MFT_E_EXISTS && found == NULL);
    CHECK(mft_orders_get_by_order_id(&t, &first) == NULL);
    CHECK(fill(1, 1, 2) == MFT_FILL_NEW && mft_orders_get_by_order_id(&t, &first) == mft_orders_get(&t, 1));
    CHECK(mft_orders_told(&t, 0, &first, open, 0, 2, &found) == MFT_ORDER_APPLIED && found->client_order_id == 1);
    CHECK(t.unknown == 0);
    CHECK(mft_orders_told(&t, 1, &other, open, 0, 2, &found) == MFT_ORDER_STRANGE && found == NULL);
    CHECK(mft_orders_told(&t, 2, &first, open, 0, 2, &found) == MFT_ORDER_STRANGE); /* that is what order 1 is called */
    CHECK(mft_orders_told(&t, 7, &first, open, 0, 2, &found) == MFT_ORDER_STRANGE);
    CHECK(mft_orders_told(&t, 0, &none, open, 0, 2, &found) == MFT_ORDER_STRANGE);
    CHECK(mft_id_length(&mft_orders_get(&t, 2)->order_id) == 0 && t.unknown == 4);
    CHECK(mft_orders_told(&t, 2, &none, open, 0, 2, &found) == MFT_ORDER_APPLIED && found->client_order_id == 2);
    CHECK(tell(OPEN, 2, MFT_ORDER_SIZE_LIMIT, 0) == MFT_E_ARGUMENT && tell(OPEN, 2, 10, -1) == MFT_E_ARGUMENT);
    CHECK(tell(MFT_ORDER_AMENDED, 2, 10, 0) == MFT_E_ARGUMENT);
    end();
}

static void a_full_table_refuses_and_an_end_makes_room(void)
{
    begin(3, 2, 4, 4);
    for (uint64_t number = 1; number <= 3; number++)
        CHECK(insert(number, 1, 10) == MFT_OK);
    CHECK(insert(4, 1, 10) == MFT_FULL && t.exposure_lots[0] == 30);
    for (uint64_t number = 1; number <= 100; number++) { /* the last two ended ones are known */
        mft_order_t *const o = mft_orders_get(&t, number);
        const uint64_t serial = o->serial;

        CHECK(tell(CANCELLED, number, 10, 0) == MFT_ORDER_APPLIED && o->serial == serial);
        CHECK(number < 3 || mft_orders_get(&t, number - 2) == NULL);
        CHECK(number < 2 || mft_orders_get(&t, number - 1) != NULL);
        CHECK(tell(CANCELLED, number, 10, 0) == MFT_ORDER_LATE && insert(number, 1, 10) == MFT_E_EXISTS);
        CHECK(insert(number + 3, 1, 10) == MFT_OK && found->serial == number + 3);
        CHECK(t.exposure_lots[0] == 30 && t.live.count == 3);
        check_orders(&t, 1);
    }
    end();
}

static void a_fill_counts_once_and_its_identity_is_exact(void)
{
    const mft_id_t a = id_of("X", 1), b = id_of("X", 2), trade = id_of("T", 1);

    begin(4, 4, 8, 8);
    CHECK(insert(1, 1, 10) == MFT_OK && insert(2, -1, 10) == MFT_OK);
    CHECK(fill(1, 1, 3) == MFT_FILL_NEW && fill(1, 1, 3) == MFT_FILL_REPEATED && t.duplicate_fills == 1);
    CHECK(fill(1, 1, 4) == MFT_FILL_REPEATED && t.illegal == 1); /* the same one, of another size */
    CHECK(fill(2, 1, 3) == MFT_FILL_NEW); /* a trade with ourselves */
    CHECK(mft_orders_fill(&t, 1, &trade, &a, 1, 3, &found) == MFT_FILL_NEW); /* another leg */
    CHECK(mft_orders_fill(&t, 1, &trade, &(mft_id_t){{0}}, 0, 3, &found) == MFT_E_ARGUMENT);
    CHECK(mft_orders_fill(&t, 1, &(mft_id_t){{0}}, &b, 0, 3, &found) == MFT_E_ARGUMENT);
    CHECK(fill(1, 2, 0) == MFT_E_ARGUMENT && fill(1, 2, -1) == MFT_E_ARGUMENT);
    CHECK(mft_orders_get(&t, 1)->facts.fill_sum_lots == 6 && mft_orders_get(&t, 2)->facts.fill_sum_lots == 3);
    CHECK(fill(9, 5, 1) == MFT_FILL_NEW && found == NULL && t.unknown == 1); /* none of ours: known all the same */
    CHECK(fill(9, 5, 1) == MFT_FILL_REPEATED && t.unknown == 1);
    end();
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void two_fills_of_one_hash_are_two(void)
{
    enum { TRADES = 1 << 18 }; /* of so many, about 8 pairs share the 32 bits of the hash */
    const mft_id_t order_id = id_of("X", 1);
    uint64_t *const hashes = malloc(TRADES * sizeof *hashes);
    int pairs = 0;

    CHECK(hashes != NULL);
    for (uint64_t i = 0; i < TRADES; i++) {
        const mft_id_t trade_id = id_of("T", i);

        hashes[i] = (uint64_t)mft_hash_fill(&trade_id, &order_id, 0) << 32 | i;
    }
    qsort(hashes, TRADES, sizeof *hashes, by_hash);
    begin(1, 1, 1000, 1000);
    CHECK(insert(1, 1, 1000) == MFT_OK);
    for (uint64_t i = 1; i < TRADES; i++)
        if (hashes[i] >> 32 == hashes[i - 1] >> 32) {
            CHECK(fill(1, hashes[i - 1] & UINT32_MAX, 1) == MFT_FILL_NEW);
            CHECK(fill(1, hashes[i] & UINT32_MAX, 1) == MFT_FILL_NEW);
            CHECK(fill(1, hashes[i] & UINT32_MAX, 1) == MFT_FILL_REPEATED);
            pairs++;
        }
    CHECK(pairs > 0 && pairs < 100 && mft_orders_get(&t, 1)->facts.fill_sum_lots == 2 * pairs);
    free(hashes);
    end();
}

static void fills_of_the_living_are_never_forgotten_and_so_many_of_the_ended(void)
{
    enum { KEEP = 50, LIVE = 20 };
    uint64_t trade = 100;

    begin(8, 8, LIVE, KEEP);
    CHECK(insert(1, 1, 1000) == MFT_OK && fill(1, 1, 1) == MFT_FILL_NEW);
    for (uint64_t number = 2; number <= 200; number++) {
        CHECK(insert(number, -1, 10) == MFT_OK);
        for (int i = 0; i < 3; i++)
            CHECK(fill(number, trade++, 1) == MFT_FILL_NEW);
        CHECK(tell(CANCELLED, number, 10, 4) == MFT_ORDER_APPLIED);
        CHECK(fill(number, trade++, 1) == MFT_FILL_NEW && t.late_fills == 0); /* it was in the figure */
        CHECK(fill(1, 1, 1) == MFT_FILL_REPEATED);
        check_orders(&t, 1);
    }
    CHECK(insert(201, -1, 10) == MFT_OK && fill(201, trade++, 1) == MFT_FILL_NEW);
    CHECK(tell(CANCELLED, 201, 10, 1) == MFT_ORDER_APPLIED);
    CHECK(t.remembered.count == KEEP && t.exposure_lots[1] == 0 && t.missing_lots == 0);
    for (uint64_t i = 1; i <= KEEP; i++)
        CHECK(fill(2 + (trade - i - 100) / 4, trade - i, 1) == MFT_FILL_REPEATED);
    CHECK(fill(2 + (trade - KEEP - 101) / 4, trade - KEEP - 1, 1) == MFT_FILL_NEW); /* forgotten, and not too late */

    /* as many fills of live orders as there is room for; then each is refused, and exposure says that it is missing */
    for (int i = 1; i < LIVE; i++)
        CHECK(fill(1, trade++, 1) == MFT_FILL_NEW);
    CHECK(tell(OPEN, 1, 1000, LIVE + 1) == MFT_ORDER_APPLIED);
    CHECK(fill(1, trade, 1) == MFT_FILL_NO_ROOM && t.refused_fills == 1);
    CHECK(mft_orders_get(&t, 1)->facts.fill_sum_lots == LIVE && t.exposure_lots[0] == 1000 - LIVE);
    CHECK(fill(1, 1, 1) == MFT_FILL_REPEATED);
    CHECK(tell(CANCELLED, 1, 1000, LIVE + 1) == MFT_ORDER_APPLIED && t.exposure_lots[0] == 1 && t.missing_lots == 1);
    CHECK(fill(1, trade, 1) == MFT_FILL_NEW && t.exposure_lots[0] == 0);
    end();
}

static void an_order_in_doubt_is_gone_when_three_lists_lacked_it_and_comes_back_when_it_rests(void)
{
    const mft_id_t id = id_of("X", 1);
    const mft_order_event_t open = {.kind = OPEN, .price_ticks = 100, .total_lots = 10, .filled_lots = 2};

    begin(4, 4, 8, 8);
    CHECK(insert(1, 1, 10) == MFT_OK && tell(OPEN, 1, 10, 2) == MFT_ORDER_APPLIED && fill(1, 1, 2) == MFT_FILL_NEW);
    CHECK(mft_orders_ours(&t, 1, MFT_ORDER_CANCEL, 0, 0, 10, &found) == MFT_ORDER_APPLIED);
    CHECK(mft_orders_absent(&t, 1, 11, 0, 12, &found) == MFT_ORDER_LATE); /* not in doubt: proves nothing */
    CHECK(mft_orders_ours(&t, 1, MFT_ORDER_DOUBT, 0, 0, 20, &found) == MFT_ORDER_APPLIED && found->changed_ns == 20);
    CHECK(mft_orders_absent(&t, 1, 20, 0, 21, &found) == MFT_ORDER_LATE && found->facts.absences == 0);
    CHECK(mft_orders_absent(&t, 1, 21, 30, 21, &found) == MFT_ORDER_APPLIED);
    CHECK(mft_orders_absent(&t, 1, 21, 30, 21, &found) == MFT_ORDER_LATE && found->facts.absences == 1);
    CHECK(mft_orders_absent(&t, 1, 22, 30, 22, &found) == MFT_ORDER_APPLIED && found->facts.absences == 2);
    CHECK(mft_orders_absent(&t, 1, 49, 30, 49, &found) == MFT_ORDER_LATE); /* before the grace is over */
    CHECK(found->facts.state == MFT_ORDER_UNKNOWN && t.exposure_lots[0] == 8);
    CHECK(mft_orders_absent(&t, 1, 50, 30, 51, &found) == MFT_ORDER_APPLIED && t.presumed == 1);
    CHECK(found->facts.state == MFT_ORDER_CANCELLED && t.exposure_lots[0] == 0 && t.live.count == 0);
    CHECK(t.remembered.count == 1 && t.illegal == 0);

    CHECK(mft_orders_told(&t, 1, &id, open, 0, 60, &found) == MFT_ORDER_ILLEGAL && t.illegal == 1);
    CHECK(found->facts.state == MFT_ORDER_UNKNOWN && t.exposure_lots[0] == 8 && t.live.count == 1);
    CHECK(t.remembered.count == 0 && found->fills.count == 1 && fill(1, 1, 2) == MFT_FILL_REPEATED);
    check_orders(&t, 0);
    CHECK(mft_orders_told(&t, 1, &id, open, 60, 70, &found) == MFT_ORDER_APPLIED);
    CHECK(found->facts.state == MFT_ORDER_UNKNOWN); /* asked for when it was put in doubt, not after */
    CHECK(mft_orders_told(&t, 1, &id, open, 61, 70, &found) == MFT_ORDER_APPLIED);
    CHECK(found->facts.state == MFT_ORDER_LIVE && found->changed_ns == 70);
    end();
}

static void an_answer_makes_older_lists_worthless(void)
{
    const mft_id_t id = id_of("X", 1);
    const mft_order_event_t listed = {.kind = OPEN, .price_ticks = 100, .total_lots = 10};

    begin(4, 4, 8, 8);
    CHECK(insert(1, 1, 10) == MFT_OK && tell(OPEN, 1, 10, 0) == MFT_ORDER_APPLIED);
    for (int64_t at_ns = 10; at_ns <= 20; at_ns += 10) { /* two amends to 20, the first settled by a list */
        CHECK(mft_orders_ours(&t, 1, MFT_ORDER_AMEND, 100, 20, at_ns, &found) == MFT_ORDER_APPLIED);
        if (at_ns == 10) {
            CHECK(mft_orders_ours(&t, 1, MFT_ORDER_DOUBT, 0, 0, 11, &found) == MFT_ORDER_APPLIED);
            CHECK(mft_orders_told(&t, 1, &id, listed, 12, 13, &found) == MFT_ORDER_APPLIED);
            CHECK(found->facts.state == MFT_ORDER_LIVE && t.exposure_lots[0] == 20); /* it may still be applied */
        }
    }
    CHECK(mft_orders_answered(&t, 1, (mft_order_event_t){.kind = MFT_ORDER_AMENDED, .price_ticks = 100, .total_lots = 20},
                              40, &found) == MFT_ORDER_APPLIED);
    CHECK(found->facts.state == MFT_ORDER_AMENDING && found->changed_ns == 40 && found->facts.amends_due == 1);
    CHECK(mft_orders_told(&t, 1, &id, listed, 30, 41, &found) == MFT_ORDER_APPLIED && found->facts.total_lots == 20);
    CHECK(mft_orders_answered(&t, 1, (mft_order_event_t){.kind = MFT_ORDER_AMEND_REFUSED}, 42, &found) == MFT_ORDER_APPLIED);
    CHECK(found->facts.state == MFT_ORDER_LIVE && t.exposure_lots[0] == 20);
    CHECK(mft_orders_answered(&t, 9, (mft_order_event_t){.kind = MFT_ORDER_AMEND_REFUSED}, 42, &found) ==
          MFT_ORDER_STRANGE);
    CHECK(mft_orders_answered(&t, 1, (mft_order_event_t){.kind = MFT_ORDER_FILL}, 42, &found) == MFT_E_ARGUMENT);
    CHECK(mft_orders_ours(&t, 9, MFT_ORDER_CANCEL, 0, 0, 43, &found) == MFT_ORDER_STRANGE);
    CHECK(mft_orders_ours(&t, 1, MFT_ORDER_AMEND, 100, 0, 43, &found) == MFT_E_ARGUMENT);
    CHECK(mft_orders_ours(&t, 1, OPEN, 100, 5, 43, &found) == MFT_E_ARGUMENT);
    end();
}

static void any_messages_leave_lists_sums_and_indices_in_step(void)
{
    begin(8, 6, 10, 12);
    for (int step = 0; step < 20000 + REPEAT(300000); step++) {
        const uint64_t number = t.fresh_orders && draw(16) ? t.orders[draw(t.fresh_orders)].client_order_id : draw(20);
        const int64_t lots = (int64_t)draw(12), now_ns = step;
        const mft_id_t id = id_of("X", number);
        const uint32_t kind = (uint32_t)draw(MFT_ORDER_EVENTS);
        const mft_order_event_t event = {.kind = kind, .price_ticks = 100, .total_lots = lots,
                                         .filled_lots = (int64_t)draw(8)};

        if (draw(4) == 0)
            mft_orders_insert(&t, t.serial + 1, draw(2) ? 1 : -1, 100, 10, now_ns, &found);
        else if (kind <= MFT_ORDER_DOUBT)
            mft_orders_ours(&t, number, kind, 101, lots, now_ns, &found);
        else if (kind <= CANCELLED)
            mft_orders_told(&t, draw(8) ? number : 0, &id, event, draw(2) ? now_ns : 0, now_ns, &found);
        else if (kind < MFT_ORDER_ABSENT)
            mft_orders_answered(&t, number, event, now_ns, &found);
        else if (kind == MFT_ORDER_ABSENT)
            mft_orders_absent(&t, number, now_ns, 0, now_ns, &found);
        else
            fill(number, draw(30), lots);
        if (step % 16 == 0)
            check_orders(&t, 1);
    }
    CHECK(t.serial > 500 && t.presumed > 0 && t.duplicate_fills > 0 && t.refused_fills > 0);
    CHECK(t.late > 0 && t.illegal > 0 && t.overfills > 0 && t.late_fills > 0);
    end();
}

static void a_million_orders_take_no_more_memory_than_the_first_ones(void)
{
    const int64_t orders = REPEAT(1000000) > 6000 ? REPEAT(1000000) : 6000; /* of which 1,000 live at the end */
    size_t before = 0;

    begin(1024, 4096, 65536, 65536);
    for (int64_t i = 1; i <= orders; i++) {
        const uint64_t number = (uint64_t)i;

        if (i == 2)
            before = mallinfo2().uordblks + mallinfo2().hblkhd;
        CHECK(insert(number, i % 2 ? 1 : -1, 10) == MFT_OK && tell(OPEN, number, 10, 0) == MFT_ORDER_APPLIED);
        if (i > 1000) { /* so many are live all the time */
            CHECK(tell(OPEN, number - 500, 10, 4) == MFT_ORDER_APPLIED && fill(number - 500, number, 4) == MFT_FILL_NEW);
            CHECK(mft_orders_ours(&t, number - 1000, MFT_ORDER_CANCEL, 0, 0, i, &found) == MFT_ORDER_APPLIED);
            CHECK(tell(CANCELLED, number - 1000, 10, i > 1500 ? 4 : 0) == MFT_ORDER_APPLIED);
        }
    }
    CHECK(before == mallinfo2().uordblks + mallinfo2().hblkhd);
    CHECK(t.live.count == 1000 && t.ended.count == (orders > 5096 ? 4096 : orders - 1000));
    CHECK(t.fresh_orders <= t.order_slots && t.fresh_fills <= t.fill_slots && t.refused_fills == 0);
    CHECK(t.remembered.count == (orders > 70000 ? 65536 : t.remembered.count));
    CHECK(cells_used(&t.by_client_id) == t.live.count + t.ended.count);
    CHECK(t.illegal + t.unknown + t.late + t.overfills + t.late_fills == 0 && t.missing_lots == 0);
    CHECK(t.exposure_lots[0] + t.exposure_lots[1] == 1000 * 10 - 500 * 4);
    end();
}

int main(void)
{
    RUN(what_is_no_table_is_not_made);
    RUN(an_id_is_kept_whole_or_refused);
    RUN(an_index_forgets_what_was_removed_and_nothing_else);
    RUN(an_order_is_found_by_either_id_and_a_message_that_mixes_two_is_refused);
    RUN(a_full_table_refuses_and_an_end_makes_room);
    RUN(a_fill_counts_once_and_its_identity_is_exact);
    RUN(two_fills_of_one_hash_are_two);
    RUN(fills_of_the_living_are_never_forgotten_and_so_many_of_the_ended);
    RUN(an_order_in_doubt_is_gone_when_three_lists_lacked_it_and_comes_back_when_it_rests);
    RUN(an_answer_makes_older_lists_worthless);
    RUN(any_messages_leave_lists_sums_and_indices_in_step);
    RUN(a_million_orders_take_no_more_memory_than_the_first_ones);
    return 0;
}
