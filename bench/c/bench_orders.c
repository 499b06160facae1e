/* The floor under the Python figures of the orders: the table from C.
 *
 * usage: bench_orders life   LIVE COUNT CPU    whole lives: insert, acknowledged, partly filled, its fill, amend,
 *                                              answered, cancel, cancelled; "ns" is of one of the eight messages
 *        bench_orders notice LIVE COUNT CPU    an order object that tells nothing new, to one of LIVE orders
 *        bench_orders get    LIVE COUNT CPU    an order found by our id
 * prints one line of JSON: the median over runs of 64 of the mean of one; then percentiles of single ones, timed one by
 * one. LIVE orders are live all the time; ids are texts as the exchange sends them: 16 and 32 hexadecimal digits. */
#include "mftcore/orders.h"
#include "pair.h"

enum { RUN = 64, MESSAGES = 8, ENDED = 4096, FILLS = 65536 };

static mft_orders_t table;
static mft_order_t *found;
static uint64_t next_id = 1;
static long live;

static void must(int rc)
{
    if (rc != MFT_OK) {
        fprintf(stderr, "a message was not applied: %d\n", rc);
        exit(3);
    }
}

static mft_id_t id_of(const char *text, uint64_t length)
{
    mft_id_t id;

    must(mft_id_set(&id, text, length));
    return id;
}

/* The texts of an order; made ahead, since the exchange makes them. */
typedef struct {
    char order_id[17], trade_id[33];
} texts_t;

static void write_texts(texts_t *t, uint64_t number)
{
    snprintf(t->order_id, sizeof t->order_id, "001F24B7%08llX", (unsigned long long)number);
    snprintf(t->trade_id, sizeof t->trade_id, "0000000000000001182EF416%08llX", (unsigned long long)number);
}

static void told(uint64_t number, const texts_t *t, uint32_t kind, int64_t price, int64_t total, int64_t filled)
{
    const mft_id_t id = id_of(t->order_id, 16);

    must(mft_orders_told(&table, number, &id,
                         (mft_order_event_t){.kind = kind, .price_ticks = price, .total_lots = total, .filled_lots = filled},
                         0, (int64_t)number, &found));
}

static void message(int which, uint64_t number, const texts_t *t)
{
    const int64_t now_ns = (int64_t)number;
    mft_id_t id, trade_id;

    switch (which) {
    case 0:
        must(mft_orders_insert(&table, number, number % 2 ? 1 : -1, 617000, 10, now_ns, &found));
        break;
    case 1:
        told(number, t, MFT_ORDER_TOLD_OPEN, 617000, 10, 0);
        break;
    case 2:
        told(number, t, MFT_ORDER_TOLD_OPEN, 617000, 10, 4);
        break;
    case 3:
        id = id_of(t->order_id, 16), trade_id = id_of(t->trade_id, 32);
        must(mft_orders_fill(&table, number, &trade_id, &id, 0, 4, &found));
        break;
    case 4:
        must(mft_orders_ours(&table, number, MFT_ORDER_AMEND, 617010, 14, now_ns, &found));
        break;
    case 5:
        must(mft_orders_answered(
            &table, number, (mft_order_event_t){.kind = MFT_ORDER_AMENDED, .price_ticks = 617010, .total_lots = 14},
            now_ns, &found));
        break;
    case 6:
        must(mft_orders_ours(&table, number, MFT_ORDER_CANCEL, 0, 0, now_ns, &found));
        break;
    default:
        told(number, t, MFT_ORDER_TOLD_CANCELLED, 617010, 14, 4);
    }
}

/* One of each kind; the order that is cancelled is the one that was inserted `live` lives ago. */
static void lives(int64_t *taken, uint64_t number, const texts_t *texts)
{
    for (int which = 0; which < MESSAGES; which++) {
        const uint64_t whose = which < 4 ? number : number - (uint64_t)live;
        const int64_t start = taken != NULL ? mft_now_ns() : 0;

        message(which, whose, &texts[whose % ENDED]);
        if (taken != NULL)
            taken[which] = mft_now_ns() - start;
    }
}

static void begin(texts_t *texts)
{
    must(mft_orders_init(&table, (uint32_t)live + 1, ENDED, FILLS, FILLS));
    for (; next_id <= (uint64_t)live; next_id++) {
        write_texts(&texts[next_id % ENDED], next_id);
        for (int which = 0; which < 4; which++)
            message(which, next_id, &texts[next_id % ENDED]);
    }
}

int main(int argc, char **argv)
{
    static texts_t texts[ENDED];
    const long count = argc > 3 ? atol(argv[3]) : 0;
    int64_t *runs, *taken;
    double per = RUN;

    if (argc != 5 || count < RUN || (live = atol(argv[2])) < 1 || live > ENDED / 2) {
        fprintf(stderr, "usage: bench_orders life|notice|get LIVE COUNT CPU\n");
        return 2;
    }
    pin(atoi(argv[4]));
    runs = samples_for(count / RUN);
    taken = samples_for(count);
    begin(texts);
    if (strcmp(argv[1], "life") == 0) {
        per = RUN * MESSAGES;
        for (long i = 0; i < ENDED + FILLS; i++, next_id++) { /* until old ones are forgotten for each new one */
            write_texts(&texts[next_id % ENDED], next_id);
            lives(NULL, next_id, texts);
        }
    }
    for (long run = 0; run < count / RUN; run++) {
        int64_t start;

        for (uint64_t i = 0; i < RUN; i++)
            write_texts(&texts[(next_id + i) % ENDED], next_id + i);
        start = mft_now_ns();
        for (int i = 0; i < RUN; i++) {
            if (per > RUN)
                lives(NULL, next_id++, texts);
            else if (argv[1][0] == 'n')
                told(1 + (uint64_t)(run * RUN + i) % (uint64_t)live, &texts[1 + (run * RUN + i) % live],
                     MFT_ORDER_TOLD_OPEN, 617000, 10, 4);
            else if (mft_orders_get(&table, 1 + (uint64_t)(run * RUN + i) % (uint64_t)live) == NULL)
                return 3;
        }
        runs[run] = mft_now_ns() - start;
    }
    for (long i = 0; i + MESSAGES <= count;) {
        write_texts(&texts[next_id % ENDED], next_id);
        if (per > RUN) {
            lives(&taken[i], next_id++, texts);
            i += MESSAGES;
        } else {
            const uint64_t number = 1 + (uint64_t)i % (uint64_t)live;
            const int64_t start = mft_now_ns();

            if (argv[1][0] == 'n')
                told(number, &texts[number], MFT_ORDER_TOLD_OPEN, 617000, 10, 4);
            else if (mft_orders_get(&table, number) == NULL)
                return 3;
            taken[i++] = mft_now_ns() - start;
        }
    }
    qsort(runs, (size_t)(count / RUN), sizeof *runs, by_value);
    printf("{\"ns\": %.3f, \"runs\": %ld, ", (double)runs[count / RUN / 2] / per, count / RUN);
    print_percentiles(taken, count / MESSAGES * MESSAGES);
    printf("}\n");
    return 0;
}
