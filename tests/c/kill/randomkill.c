/* Producers, consumers, writers, claimants and makers at full speed, killed with SIGKILL at random instants; survivors
 * and successors are judged all the time. Then the same with planted bugs, each of which must be found.
 *
 * usage: randomkill BUILD KILLS SEED SECONDS [FILTER]: so many kills of each kind; after SECONDS it is over: a hang is a
 * failure. Environment: KILL_DIRECTORY, where names may be made; KILL_RESULTS, a file to append to. */
#include "load_broadcast.h"
#include "load_bytes.h"
#include "load_journal.h"
#include "load_ring.h"
#include "load_role.h"
#include "load_value.h"

typedef struct {
    const char *name;
    void (*setup)(void);
    void (*once)(void); /* start, wait, kill, judge */
    void (*teardown)(void);
    unsigned expected;
} load_t;

static const load_t loads[] = {
    {"load: ring, producer", load_setup, producer_under_load, load_teardown, 0},
    {"load: ring, consumer asleep", load_setup_sleeping, producer_under_load, load_teardown, 0},
    {"load: ring, consumer", load_setup, consumer_under_load, load_teardown, 0},
    {"load: ring, both in turn", load_setup, both_under_load, both_teardown, 0},
    {"load: messages, producer", messages_setup, messages_producer_under_load, messages_teardown, 0},
    {"load: messages, consumer", messages_setup, messages_consumer_under_load, messages_teardown, 0},
    {"load: messages, both in turn", messages_setup, messages_both_under_load, messages_both_teardown, 0},
    {"load: broadcast, writer", load_cast_writers_setup, broadcaster_under_load, load_cast_writers_teardown, 0},
    {"load: broadcast, reader", load_cast_setup, listener_under_load, cast_teardown, 0},
    {"load: seqlock writer", load_value_setup, writer_under_load, load_value_teardown, 0},
    {"load: book writer", load_book_setup, writer_under_load, load_value_teardown, 0},
    {"load: journal, both in turn", jn_load_setup, journal_under_load, jn_load_teardown, 0},
    {"load: claimants of a role", role_setup, claimant_under_load, claimant_teardown, 0},
    {"load: maker of a name", named_setup, name_under_load, named_teardown, 0},
    {"planted: tail of its own", setup_tail_of_its_own, producer_under_load, load_teardown,
     EXPECT(REPEATED) | EXPECT(LOST)},
    {"planted: given back early", setup_given_back_early, consumer_under_load, load_teardown,
     EXPECT(TORN) | EXPECT(LOST)},
    {"planted: announced early", messages_setup_announced_early, messages_producer_under_load, messages_teardown,
     EXPECT(TORN) | EXPECT(REPEATED)},
    {"planted: message given back early", messages_setup_given_back_early, messages_consumer_under_load,
     messages_teardown, EXPECT(TORN) | EXPECT(LOST)},
    {"planted: record announced early", load_cast_setup_announced_early, broadcaster_under_load,
     load_cast_writers_teardown, EXPECT(TORN) | EXPECT(REPEATED)},
    {"planted: a reader that writes", load_cast_setup_noting, listener_under_load, cast_teardown,
     EXPECT(WRONG) | EXPECT(REPEATED) | EXPECT(LOST) | EXPECT(BLOCKED)}, /* whatever the others see of it */
    {"planted: numbers of its own", jn_setup_numbers_of_its_own, journal_under_load, jn_load_teardown,
     EXPECT(REPEATED) | EXPECT(LOST) | EXPECT(WRONG)},
    {"planted: one cell, odd and even", role_setup, classic_under_load, role_teardown, EXPECT(BLOCKED)},
    {"planted: claim without exchange", setup_without_exchange, claimant_under_load, claimant_teardown,
     EXPECT(WRONG) | EXPECT(REPEATED) | EXPECT(LOST)},
};

/* 1 when the kind did what is expected of it. */
static int run(const load_t *load, const char *build, long kills)
{
    int found = 0;

    memset(&tally, 0, sizeof tally);
    memset(scratch, 0, sizeof *scratch);
    tally.began = time(NULL);
    load->setup();
    while (tally.kills < kills && tally_faults() == 0)
        load->once();
    load->teardown();
    if (load->expected) {
        for (int i = 0; i < FAULTS; i++)
            found += tally.faults[i] > 0 && (load->expected & EXPECT(i));
        printf("%-34s %-4s %s after %ld kills: %s\n", load->name, build, found ? "found" : "NOT FOUND", tally.kills,
               tally.first);
        return found;
    }
    tally_print(load->name, build, 0);
    if (tally_faults() > 0)
        fprintf(stderr, "FAILED %s %s: %s\n", load->name, build, tally.first);
    if (tally.done + tally.records == 0)
        fprintf(stderr, "FAILED %s %s: no process got as far as doing anything\n", load->name, build);
    return tally_faults() == 0 && tally.done + tally.records > 0;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc < 5) {
        fprintf(stderr, "usage: randomkill BUILD KILLS SEED SECONDS [FILTER]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* with whoever started us */
    alarm((unsigned)atol(argv[4]));
    dice ^= (uint64_t)atol(argv[3]) * UINT64_C(0x9E3779B97F4A7C15);
    judge_is_strict();
    scratch_make();
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        if (strstr(loads[i].name, argc > 5 ? argv[5] : ""))
            failed += !run(&loads[i], argv[1], loads[i].expected ? 2000 : atol(argv[2]));
    return failed > 0;
}
