/* Every operation of the structures, its process killed at every instruction; survivor and successor are judged after
 * each kill. Then the same with planted bugs, each of which must be found.
 *
 * usage: stepkill BUILD KILLS sampled|all SECONDS [FILTER]
 *
 * BUILD is a word for the listing. Each kind is killed at least KILLS times, in whole rounds. `sampled` goes to a part
 * of the places of the few longest operations (see `kinds`), `all` to every instruction, except where pure computation
 * for a segment that has no name yet takes thousands of them (THIN). After SECONDS it is over: a hang is a failure.
 * Environment: KILL_CORE, on which of the cores; KILL_HALF, 0 or 1: every other kind only; KILL_DIRECTORY, where names may
 * be made; KILL_RESULTS, a file to append to.
 * Exit status 0: all held; 1: something did not; 77: processes cannot be traced here. */
#include "broadcast_kinds.h"
#include "byte_kinds.h"
#include "histogram_kinds.h"
#include "journal_kinds.h"
#include "kind.h"
#include "ring_kinds.h"
#include "role_kinds.h"
#include "value_kinds.h"
#include "wait_kinds.h"

enum { THIN = 499 };

#define STEPPED(before, operation, ...) {.prepare = before, .operate = operation, __VA_ARGS__}
#define LANDMARKS .landmark = cell_word, .landmark_before = cell_word_before
#define RING_KIND(name, side, what) \
    {name, side##_setup, ring_teardown, side##_before, what##_after, STEPPED(side##_prepare, what##_operate), 0, 0}

static kind_t kinds[] = {
    RING_KIND("ring: push", producer, push),
    {"ring: claim and commit", producer_setup, ring_teardown, producer_before, claim_after,
     STEPPED(producer_prepare, claim_operate, .dense = 240, .every_step = 19), 0, 0},
    RING_KIND("ring: push_many", producer, push_many),
    RING_KIND("ring: pop", consumer, pop),
    RING_KIND("ring: peek and release", consumer, peek),
    RING_KIND("ring: pop_many", consumer, pop_many),
    {"ring: push, 64 bytes", producer_setup_64, ring_teardown, producer_before, push_after,
     STEPPED(producer_prepare, push_operate), 0, 0},
    {"ring: pop, 64 bytes", consumer_setup_64, ring_teardown, consumer_before, pop_after,
     STEPPED(consumer_prepare, pop_operate), 0, 0},
    {"messages: push", bytes_producer_setup, bytes_teardown, bytes_producer_before, bytes_push_after,
     STEPPED(bytes_producer_prepare, bytes_push_operate), 0, 0},
    {"messages: claim, put, commit", bytes_producer_setup, bytes_teardown, bytes_producer_before, bytes_claim_after,
     STEPPED(bytes_producer_prepare, bytes_claim_operate, .dense = 240, .every_step = 29), 0, 0},
    {"messages: peek, take, release", bytes_consumer_setup, bytes_teardown, bytes_consumer_before, bytes_take_after,
     STEPPED(bytes_consumer_prepare, bytes_take_operate), 0, 0},
    {"broadcast: write", cast_setup, cast_teardown, cast_writer_before, cast_writer_after,
     STEPPED(cast_writer_prepare, cast_write_operate), 0, 0},
    {"broadcast: next", cast_setup_for_readers, cast_teardown, cast_reader_before, cast_reader_after,
     STEPPED(cast_prepare, cast_next_operate), 0, 0},
    {"broadcast: next, raced", cast_setup_for_readers, cast_teardown, cast_reader_before, cast_raced_after,
     STEPPED(cast_prepare, cast_next_operate, .meet = cast_raced_meet), 0, 1},
    {"journal: append", jn_writer_setup, jn_teardown, jn_writer_before, jn_append_after,
     STEPPED(jn_writer_prepare, jn_append_operate), 0, 0},
    {"journal: open, drain, roll", jn_drainer_setup, jn_teardown, jn_drainer_before, jn_drain_after,
     STEPPED(jn_drainer_prepare, jn_drain_operate, .by_syscalls = 1, .dense = 20, .every_step = ONLY_DENSE), 0, 0},
    {"seqlock: write 8 bytes", setup_8_bytes, value_teardown, value_before, value_after,
     STEPPED(value_prepare, write_operate), 0, 0},
    {"seqlock: write 2,400 bytes", setup_2400_bytes, value_teardown, landmarks_before, value_after,
     STEPPED(value_prepare, write_operate, LANDMARKS, .every_landmark = 23), 0, 0},
    {"seqlock: the first write", setup_first, value_teardown, first_before, value_after,
     STEPPED(value_prepare, write_operate), 0, 0},
    {"book: apply, fill, publish", book_setup, value_teardown, landmarks_before, value_after,
     STEPPED(book_prepare, book_operate, LANDMARKS, .every_landmark = 7, .dense = 30, .every_step = 47), 0, 0},
    {"histogram: record", histogram_setup, histogram_teardown, histogram_before, histogram_after,
     STEPPED(histogram_prepare, histogram_operate), 0, 0},
    {"bell: arm, sleep, disarm", bell_setup, bell_teardown, wait_before, wait_after, STEPPED(nothing, wait_operate), 0, 0},
    {"bell: ring", bell_setup, bell_teardown, ring_before, ring_after, STEPPED(nothing, ring_operate), 0, 1},
    {"bell: ring with an eventfd", bell_setup_eventfd, bell_teardown, ring_before, ring_after,
     STEPPED(nothing, ring_operate), 0, 1},
    {"role: claim", role_setup, role_teardown, role_before, claim_role_after,
     STEPPED(claim_prepare, claim_role_operate, .by_syscalls = 1, .dense = 20, .every_step = 19), 0, 0},
    {"role: claim, raced", role_setup, role_teardown, role_before, raced_after,
     STEPPED(claim_prepare, raced_operate, .by_syscalls = 1, .dense = 20, .every_step = 19, .meet = raced_meet), 0, 0},
    {"role: release", role_setup, role_teardown, role_before, release_after, STEPPED(release_prepare, release_operate), 0, 0},
    {"name: make and publish", named_setup, named_teardown, nothing, named_after,
     STEPPED(nothing, named_operate, .by_syscalls = 1, .dense = 20, .every_step = ONLY_DENSE), 0, 0},
};

static kind_t planted[] = {
    {"planted: index before record", producer_setup, ring_teardown, producer_before, push_after,
     STEPPED(producer_prepare, early_push_operate), EXPECT(REPEATED), 0},
    {"planted: tail kept in the process", producer_setup, ring_teardown, producer_before, push_after,
     STEPPED(producer_prepare, cached_push_operate), EXPECT(REPEATED), 0},
    {"planted: released before copied", consumer_setup, ring_teardown, consumer_before, pop_after,
     STEPPED(consumer_prepare, early_pop_operate), EXPECT(TORN), 0},
    {"planted: released half-copied", consumer_setup, ring_teardown, consumer_before, pop_many_after,
     STEPPED(consumer_prepare, early_pop_many_operate), EXPECT(TORN), 0},
    {"planted: message before its length", bytes_producer_setup, bytes_teardown, bytes_producer_before,
     bytes_push_after, STEPPED(bytes_producer_prepare, bytes_early_operate), EXPECT(TORN), 0},
    {"planted: count before index", bytes_producer_setup, bytes_teardown, bytes_producer_before, bytes_push_after,
     STEPPED(bytes_producer_prepare, bytes_miscounted_operate), EXPECT(WRONG), 0},
    {"planted: number before record", cast_setup, cast_teardown, cast_writer_before, cast_writer_after,
     STEPPED(cast_writer_prepare, cast_early_operate), EXPECT(TORN), 0},
    {"planted: a copy is believed", cast_setup_for_readers, cast_teardown, cast_reader_before, cast_raced_after,
     STEPPED(cast_prepare, cast_trusting_operate, .meet = cast_raced_meet), EXPECT(TORN), 0},
    {"planted: a reader that writes", cast_setup_for_readers, cast_teardown, cast_reader_before, cast_reader_after,
     STEPPED(cast_prepare, cast_noting_operate), EXPECT(WRONG), 0},
    {"planted: tail before the record", jn_writer_setup, jn_teardown, jn_writer_before, jn_append_after,
     STEPPED(jn_writer_prepare, jn_early_append_operate), EXPECT(TORN) | EXPECT(REPEATED), 0}, /* of the round before */
    {"planted: drained before written", jn_drainer_setup, jn_teardown, jn_drainer_before, jn_drain_after,
     STEPPED(jn_drainer_prepare, jn_early_drain_operate, .by_syscalls = 1, .dense = 20, .every_step = ONLY_DENSE),
     EXPECT(LOST), 0},
    {"planted: version before cell", setup_2400_bytes, value_teardown, value_before, value_after,
     STEPPED(value_prepare, early_write_operate), EXPECT(TORN), 0},
    {"planted: one cell, odd and even", setup_8_bytes, value_teardown, value_before, classic_after,
     STEPPED(value_prepare, classic_operate), EXPECT(BLOCKED), 0},
    {"planted: maximum after count", histogram_setup, histogram_teardown, histogram_before, histogram_after,
     STEPPED(histogram_prepare, late_max_operate), EXPECT(LOST), 0},
    {"planted: sleep without timeout", bell_setup_without_timeout, bell_teardown, ring_before, ring_after,
     STEPPED(nothing, ring_operate), EXPECT(BLOCKED), 0},
    {"planted: claim without exchange", setup_without_exchange, role_teardown, role_before, raced_after,
     STEPPED(claim_prepare, raced_operate, .by_syscalls = 1, .dense = 20, .every_step = 19, .meet = raced_meet),
     EXPECT(WRONG), 0},
    {"planted: lock that death keeps", setup_if_free, role_teardown, role_before, release_after,
     STEPPED(release_prepare, release_operate), EXPECT(BLOCKED), 0},
    {"planted: name before contents", named_setup, named_teardown, nothing, named_after,
     STEPPED(nothing, early_name_operate, .by_syscalls = 1, .dense = 20, .every_step = ONLY_DENSE), EXPECT(TORN), 0},
};

static kind_t *current;

/* Is the n-th kind one of those that this process is to go through? */
static int is_ours(size_t n, const char *name, const char *filter)
{
    const char *half = getenv("KILL_HALF");

    return strstr(name, filter) && (!half || (size_t)atoi(half) == n % 2);
}

static int judge_and_go_on(step_end_t end)
{
    tally.kills++;
    current->after(end);
    return tally_faults() == 0;
}

/* 1 when the kind did what is expected of it. */
static int run(kind_t *kind, const char *build, long kills)
{
    long places = 0;

    memset(&tally, 0, sizeof tally);
    tally.began = time(NULL);
    memset(scratch, 0, sizeof *scratch);
    current = kind;
    kind->setup();
    for (round_number = 0; tally.kills < kills && tally_faults() == 0; round_number++) {
        long through;

        kind->plan.phase = round_number * 17;
        through = step_through(&kind->plan, kind->before, judge_and_go_on);

        places = through > places ? through : places;
    }
    kind->teardown();
    if (kind->expected) {
        const int found = tally_faults() > 0;

        for (int i = 0; i < FAULTS; i++)
            if (tally.faults[i] > 0 && !(kind->expected & EXPECT(i)))
                fprintf(stderr, "FAILED %s: found as \"%s\", which is not its fault\n", kind->name, fault_names[i]);
        printf("%-34s %-4s %s after %ld kills: %s\n", kind->name, build, found ? "found" : "NOT FOUND", tally.kills,
               found ? tally.first : "the harness is blind to it");
        for (int i = 0; i < FAULTS; i++)
            if (tally.faults[i] > 0 && (kind->expected & EXPECT(i)))
                return 1;
        return 0;
    }
    tally_print(kind->name, build, places);
    if (tally_faults() > 0)
        fprintf(stderr, "FAILED %s %s, round %ld: %s\n", kind->name, build, round_number - 1, tally.first);
    if (tally_faults() == 0 && (tally.done == 0 || (!kind->always_done && tally.done == tally.kills))) {
        fprintf(stderr, "FAILED %s: %ld of %ld kills came after the effect: it was not stepped through\n", kind->name,
                tally.done, tally.kills);
        return 0;
    }
    return tally_faults() == 0;
}

int main(int argc, char **argv)
{
    const char *filter = argc > 5 ? argv[5] : "", *why;
    int failed = 0, all, watchpoints;
    long kills;

    if (argc < 5) {
        fprintf(stderr, "usage: stepkill BUILD KILLS sampled|all SECONDS [FILTER]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* with whoever started us */
    kills = atol(argv[2]);
    all = strcmp(argv[3], "all") == 0;
    alarm((unsigned)atol(argv[4]));
    why = step_unavailable();
    if (why) {
        printf("NOT VERIFIED: killed at every instruction: %s\n", why);
        return 77;
    }
    CHECK(sched_getaffinity(0, sizeof all_cores, &all_cores) == 0);
    step_pin(&all_cores, getenv("KILL_CORE") ? atoi(getenv("KILL_CORE")) : 0); /* tracer and tracee take turns anyway */
    judge_is_strict();
    scratch_make();
    watchpoints = step_watchpoints_work(scratch->words);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        step_plan_t *plan = &kinds[i].plan;

        if (all) {
            plan->every_step = plan->every_step == ONLY_DENSE ? THIN : 0;
            plan->every_landmark = 0;
            plan->dense = 64;
        }
        if (!is_ours(i, kinds[i].name, filter))
            continue;
        if (plan->landmark && !watchpoints)
            printf("NOT VERIFIED: %s: no hardware watchpoints here\n", kinds[i].name);
        else
            failed += !run(&kinds[i], argv[1], kills);
    }
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
        if (is_ours(i, planted[i].name, filter))
            failed += !run(&planted[i], argv[1], 3000);
    return failed > 0;
}
