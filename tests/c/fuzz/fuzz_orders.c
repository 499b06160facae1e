/* Any messages at all to a small table of orders: whatever the bytes say, lists, sums and indices stay in step, no fill
 * counts twice, an end that an order object told stays the end.
 *
 * Input: eight bytes for each message: what, which order, ids, price, total, filled or lots, time, kind. Run by libFuzzer,
 * or by the main below with inputs of its own (-DOWN_DRIVER: argv[1] seconds, argv[2] seed). -DPLANT lets a fill be
 * remembered without its leg. */
#include "../orders_check.h"

#ifdef OWN_DRIVER
#include "mftcore/clock.h"
#endif

enum { CAPACITY = 3, KEEP = 4, FILLS = 6, MESSAGE = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static mft_id_t id_of(char letter, unsigned number)
{
    char text[MFT_ID_LONGEST];
    mft_id_t id;

    memset(text, letter, sizeof text);
    CHECK(mft_id_set(&id, text, number == 0 ? 0 : number % 2 ? number : sizeof text - number) == MFT_OK);
    return id;
}

/* Price and sizes: small ones, and those at and beyond the bounds. */
static int64_t size_of(uint8_t byte)
{
    static const int64_t odd[] = {-1, INT64_MIN, INT64_MAX, MFT_ORDER_SIZE_LIMIT, MFT_ORDER_SIZE_LIMIT - 1,
                                  MFT_ORDER_PRICE_LIMIT, -MFT_ORDER_PRICE_LIMIT, 0};

    return byte < 224 ? byte % 16 : odd[byte % 8];
}

static int count_fill(mft_orders_t *t, uint64_t number, const uint8_t *b, mft_order_t **found)
{
    const mft_id_t trade_id = id_of('t', b[3] % 8);
    const mft_id_t order_id = id_of('o', b[2] % 8);
    const int32_t leg = b[4] % 3;
    const uint64_t before = t->duplicate_fills;
    const mft_fill_t *const known =
        mft_orders_find_fill(t, &trade_id, &order_id, leg, mft_hash_fill(&trade_id, &order_id, leg));
#ifdef PLANT
    const int rc = mft_orders_fill(t, number, &trade_id, &order_id, 0, size_of(b[5]), found);
#else
    const int rc = mft_orders_fill(t, number, &trade_id, &order_id, leg, size_of(b[5]), found);
#endif

    if (rc == MFT_FILL_NEW)
        CHECK(known == NULL && mft_orders_find_fill(t, &trade_id, &order_id, leg,
                                                    mft_hash_fill(&trade_id, &order_id, leg)) != NULL);
    else if (rc == MFT_FILL_REPEATED)
        CHECK(known != NULL && t->duplicate_fills == before + 1);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    mft_orders_t t;
    mft_order_t *found;

    CHECK(mft_orders_init(&t, CAPACITY, KEEP, FILLS, FILLS) == MFT_OK);
    for (size_t at = 0; at + MESSAGE <= length; at += MESSAGE) {
        const uint8_t *const b = bytes + at;
        const uint64_t number = b[1] % 10 == 9 ? UINT64_MAX : b[1] % 10;
        const mft_id_t order_id = id_of('o', b[2] % 8);
        const mft_order_t *const order = mft_orders_get(&t, number);
        const int final = order && mft_order_ended(&order->facts) && !(order->facts.flags & MFT_ORDER_CONCLUDED);
        const uint64_t serial = order ? order->serial : 0;
        const uint16_t state = order ? order->facts.state : 0;
        const int64_t now_ns = (int64_t)at, asked_ns = now_ns - b[6] % 32;
        const mft_order_event_t event = {.kind = b[7] % (MFT_ORDER_EVENTS + 2), .price_ticks = size_of(b[3]),
                                         .total_lots = size_of(b[4]), .filled_lots = size_of(b[5])};
        int rc = MFT_E_ARGUMENT;

        switch (b[0] % 8) {
        case 0:
        case 1:
            rc = mft_orders_insert(&t, number, b[2] % 3 - 1, event.price_ticks, event.total_lots, now_ns, &found);
            break;
        case 2:
            rc = mft_orders_ours(&t, number, event.kind, event.price_ticks, event.total_lots, now_ns, &found);
            break;
        case 3:
        case 4:
            rc = mft_orders_told(&t, number, &order_id, event, asked_ns, now_ns, &found);
            break;
        case 5:
            rc = mft_orders_answered(&t, number, event, now_ns, &found);
            break;
        case 6:
            rc = mft_orders_absent(&t, number, asked_ns, b[5] % 16, now_ns, &found);
            break;
        default:
            rc = count_fill(&t, number, b, &found);
        }
        CHECK(rc >= MFT_E_LOST && rc <= MFT_ORDER_STRANGE);
        CHECK(rc != MFT_E_ARGUMENT || found == NULL);
        if (final && order->serial == serial)
            CHECK(order->facts.state == state);
        check_orders(&t, 1);
    }
    mft_orders_free(&t);
    return 0;
}

#ifdef OWN_DRIVER
int main(int argc, char **argv)
{
    const int64_t until_ns = mft_now_ns() + (int64_t)(argc > 1 ? atoi(argv[1]) : 5) * 1000000000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_C(88172645463325252), inputs = 0;
    uint8_t input[64 * MESSAGE];

    for (; mft_now_ns() < until_ns; inputs++) {
        for (size_t i = 0; i < sizeof input; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            input[i] = (uint8_t)(state >> 32);
        }
        alarm(10); /* a hang is a failure */
        LLVMFuzzerTestOneInput(input, sizeof input);
    }
    printf("%llu inputs\n", (unsigned long long)inputs);
    return 0;
}
#endif
