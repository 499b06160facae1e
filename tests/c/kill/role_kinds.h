/* Roles and names: a claim, a release, and the making of a named segment, killed at each instruction. */
#ifndef ROLE_KINDS_H
#define ROLE_KINDS_H

#include <dirent.h>
#include <sys/statvfs.h>

#include "kind.h"
#include "mftcore/named.h"

enum { ROLE = 3, RIVALS = 2 };
enum { CHILD_WORD, GO, REPORTS, RESULTS }; /* words of scratch */

static mft_segment_t role_segment;
static uint64_t word_before, epoch_before;
static cpu_set_t all_cores;
static int (*claim)(mft_segment_t *s, unsigned role, uint64_t *epoch, uint64_t *holder);

static void role_setup(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_DOORBELL, .version = 1, .data_bytes = 8};

    CHECK(mft_segment_make(&role_segment, &spec) == MFT_OK);
    mft_segment_publish(&role_segment);
    claim = mft_role_claim;
}

static void role_teardown(void)
{
    mft_segment_detach(&role_segment);
}

static uint64_t role_word(void)
{
    return atomic_load(&role_segment.header->roles[ROLE].owner);
}

/* In every other round the role is free, in the others its holder is dead. */
static void role_before(void)
{
    memset(scratch, 0, sizeof *scratch);
    if (round_number % 2) {
        const pid_t pid = step_fork();

        if (pid == 0) {
            child_claims(&role_segment, ROLE);
            _exit(0);
        }
        CHECK(waitpid(pid, NULL, 0) == pid && role_word() != 0);
    }
    scratch->epoch = 0;
    word_before = role_word();
    epoch_before = mft_role_epoch(&role_segment, ROLE);
}

static void claim_prepare(void)
{
    scratch->words[CHILD_WORD] = mft_segment_self(&role_segment);
}

static void claim_role_operate(void)
{
    uint64_t *const epoch = &scratch->epoch;
    uint64_t word;

    STEP_MARK();
    mft_role_claim(&role_segment, ROLE, epoch, &word);
    STEP_MARK();
}

/* Two processes claim at the same instant; exactly one may get the role. Both live until both have said how it went. */
static void race(uint64_t epoch)
{
    pid_t rivals[RIVALS];
    volatile uint64_t *const words = scratch->words;
    int winners = 0, losers = 0;
    uint64_t got = 0;

    words[GO] = words[REPORTS] = 0;
    for (int i = 0; i < RIVALS; i++) {
        rivals[i] = step_fork();
        if (rivals[i] == 0) {
            uint64_t mine = 0, word;
            int rc;

            step_pin(&all_cores, i); /* rivals on one core would take turns */
            __atomic_add_fetch(&words[GO], 1, __ATOMIC_SEQ_CST);
            while (words[GO] < RIVALS)
                mft_pause();
            rc = claim(&role_segment, ROLE, &mine, &word);
            words[RESULTS + 2 * i] = (uint64_t)(int64_t)rc;
            words[RESULTS + 2 * i + 1] = mine;
            __atomic_add_fetch(&words[REPORTS], 1, __ATOMIC_SEQ_CST);
            for (;;)
                pause();
        }
    }
    while (words[REPORTS] < RIVALS)
        sched_yield();
    for (int i = 0; i < RIVALS; i++) {
        const int64_t rc = (int64_t)words[RESULTS + 2 * i];

        winners += rc == MFT_OK;
        losers += rc == MFT_E_TAKEN;
        got = rc == MFT_OK ? words[RESULTS + 2 * i + 1] : got;
        step_kill(rivals[i]);
    }
    if (winners == 0)
        fault(BLOCKED, "none of two claimants succeeds the dead holder");
    else if (winners != 1 || losers != RIVALS - 1)
        fault(WRONG, "%d of %d claimants hold the role", winners, RIVALS);
    else if (got != epoch + 1)
        fault(WRONG, "the winner has epoch %llu after %llu", (unsigned long long)got, (unsigned long long)epoch);
}

/* Whoever comes next, alone or as one of two, gets the role and an epoch that no holder had. */
static void role_succession(void)
{
    const uint64_t epoch = mft_role_epoch(&role_segment, ROLE);
    uint64_t word;

    if (tally.kills % 4 == 0) {
        race(epoch);
        if (tally_faults() == 0)
            succeed(&role_segment, ROLE, epoch + 1, &word);
    } else {
        succeed(&role_segment, ROLE, epoch, &word);
    }
    if (tally_faults() == 0)
        give_up(&role_segment, ROLE, word);
}

static void claim_role_after(step_end_t end)
{
    const uint64_t word = role_word(), epoch = mft_role_epoch(&role_segment, ROLE);
    const int taken = word == scratch->words[CHILD_WORD];

    if (!taken && word != word_before)
        fault(TORN, "the owner word is %llx", (unsigned long long)word);
    if (epoch != epoch_before && !(taken && epoch == epoch_before + 1))
        fault(WRONG, "the epoch went from %llu to %llu", (unsigned long long)epoch_before, (unsigned long long)epoch);
    if (end == STEP_FINISHED && !(taken && epoch == epoch_before + 1 && scratch->epoch == epoch))
        fault(LOST, "the claim ended and the role is not held");
    tally.done += taken;
    role_succession();
}

/* ---- one claimant stopped at each instruction while another claims from beginning to end ---- */

static void raced_operate(void)
{
    uint64_t *const epoch = &scratch->epoch;
    uint64_t word;

    STEP_MARK();
    scratch->words[RESULTS] = (uint64_t)(int64_t)claim(&role_segment, ROLE, epoch, &word);
    STEP_MARK();
}

static void raced_meet(pid_t child, step_end_t end)
{
    volatile uint64_t *const words = scratch->words;
    const pid_t rival = step_fork();

    if (rival == 0) {
        uint64_t mine = 0, word;

        words[RESULTS + 2] = (uint64_t)(int64_t)claim(&role_segment, ROLE, &mine, &word);
        words[RESULTS + 3] = mine;
        words[REPORTS] = 1;
        for (;;)
            pause();
    }
    while (!words[REPORTS])
        sched_yield();
    if (end != STEP_FINISHED)
        step_to_end(child);
    step_kill(rival);
}

static void raced_after(step_end_t end)
{
    const int64_t stopped = (int64_t)scratch->words[RESULTS], other = (int64_t)scratch->words[RESULTS + 2];
    const uint64_t got = stopped == MFT_OK ? scratch->epoch : scratch->words[RESULTS + 3];

    (void)end;
    if (!((stopped == MFT_OK && other == MFT_E_TAKEN) || (stopped == MFT_E_TAKEN && other == MFT_OK)))
        fault(WRONG, "of two claimants one says %lld, the other %lld", (long long)stopped, (long long)other);
    else if (got != epoch_before + 1)
        fault(WRONG, "the winner has epoch %llu after %llu", (unsigned long long)got,
              (unsigned long long)epoch_before);
    tally.done += stopped == MFT_OK;
    if (tally_faults() == 0)
        role_succession();
}

static uint64_t child_word;

static void release_prepare(void)
{
    if (mft_role_claim(&role_segment, ROLE, &scratch->epoch, &child_word) != MFT_OK)
        _exit(4);
    scratch->words[CHILD_WORD] = child_word;
}

static void release_operate(void)
{
    STEP_MARK();
    mft_role_release(&role_segment, ROLE, child_word);
    STEP_MARK();
}

static void release_after(step_end_t end)
{
    const uint64_t word = role_word();

    if (word != 0 && word != scratch->words[CHILD_WORD])
        fault(TORN, "the owner word is %llx", (unsigned long long)word);
    if (end == STEP_FINISHED && word != 0)
        fault(LOST, "the release ended and the role is held");
    tally.done += word == 0;
    role_succession();
}

/* ---- a named segment ---- */

enum { NAMED_WORDS = 64, NAMED_BYTES = 1024 * 1024 }; /* so large that hundreds of them left behind are seen */

static int directory;
static char directory_path[128];
static uint64_t used_before;
static const mft_spec_t named_spec = {.kind = MFT_KIND_RING, .version = 9, .record_bytes = 8, .capacity = 1,
                                      .data_bytes = NAMED_BYTES, .dtype = "\"<i8\"", .meta = "a text"};

static uint64_t file_system_used(void)
{
    struct statvfs st;

    CHECK(fstatvfs(directory, &st) == 0);
    return (st.f_blocks - st.f_bfree) * st.f_frsize;
}

static void named_setup(void)
{
    const char *root = getenv("KILL_DIRECTORY");

    snprintf(directory_path, sizeof directory_path, "%s/named-XXXXXX", root ? root : "/tmp");
    CHECK(mkdtemp(directory_path) != NULL);
    CHECK((directory = mft_named_directory(directory_path, 0)) >= 0);
    used_before = file_system_used();
}

static void named_teardown(void)
{
    const uint64_t made = (uint64_t)tally.kills * NAMED_BYTES, used = file_system_used();

    /* Others use the file system too; but what every maker left behind would be far more. */
    if (made > (UINT64_C(1) << 28) && used > used_before + made / 4 * 3)
        fault(WRONG, "memory was left behind: %llu bytes", (unsigned long long)(used - used_before));
    close(directory);
    CHECK(rmdir(directory_path) == 0);
}

static void named_fill(mft_segment_t *s)
{
    for (uint64_t i = 0; i < NAMED_WORDS; i++)
        ((uint64_t *)s->data)[i] = derived(i, 1, 0);
}

static void named_operate(void)
{
    mft_segment_t s;

    STEP_MARK();
    if (mft_named_make(&s, directory, &named_spec) == MFT_OK) {
        named_fill(&s);
        mft_named_publish(&s, directory, "ring");
    }
    STEP_MARK();
}

static void only_entry_is(int there)
{
    const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fdopendir(copy);
    int entries = 0;

    CHECK(listing != NULL);
    for (struct dirent *at = readdir(listing); at; at = readdir(listing))
        entries += at->d_name[0] != '.';
    closedir(listing);
    if (entries != there)
        fault(WRONG, "%d entries in the directory, not %d", entries, there);
}

/* The name is not there, or the whole segment is; a successor then publishes under it, or is told that it exists. */
static void named_after(step_end_t end)
{
    mft_segment_t s, mine;
    int rc = mft_named_attach(&s, directory, "ring", named_spec.kind, named_spec.version);
    const int there = rc == MFT_OK;

    if (!there && rc != MFT_E_NOT_FOUND)
        fault(TORN, "half a segment is visible: %d, %s", rc, s.fault.field ? s.fault.field : "");
    if (there) {
        if (strcmp(s.layout.meta, named_spec.meta) != 0 || s.data_bytes < NAMED_BYTES)
            fault(TORN, "the segment is not what was made");
        for (uint64_t i = 0; i < NAMED_WORDS; i++)
            if (((uint64_t *)s.data)[i] != derived(i, 1, 0))
                fault(TORN, "the segment is visible before its data");
    }
    if (end == STEP_FINISHED && !there)
        fault(LOST, "publishing ended and the name is not there");
    only_entry_is(rc != MFT_E_NOT_FOUND);
    tally.done += there;
    if (tally_faults() > 0) {
        unlinkat(directory, "ring", 0);
        return;
    }
    CHECK(mft_named_make(&mine, directory, &named_spec) == MFT_OK);
    named_fill(&mine);
    rc = mft_named_publish(&mine, directory, "ring");
    if (rc != (there ? MFT_E_EXISTS : MFT_OK))
        fault(BLOCKED, "the successor's publishing says %d", rc);
    if (mft_named_remove(there ? &s : &mine, directory, "ring") != MFT_OK)
        fault(BLOCKED, "the name cannot be removed");
    mft_segment_detach(&mine);
    if (there)
        mft_segment_detach(&s);
}

/* ---- planted bugs ---- */

/* A role without compare-and-swap: two who see a dead holder both take over. */
static int claim_without_exchange(mft_segment_t *s, unsigned role, uint64_t *epoch, uint64_t *holder)
{
    const uint64_t self = mft_segment_self(s);
    mft_role_t *at = &s->header->roles[role];
    const uint64_t seen = atomic_load(&at->owner);

    *holder = seen;
    if (seen != 0 && !mft_role_dead(seen, self))
        return MFT_E_TAKEN;
    *epoch = mft_role_epoch(s, role) + 1;
    atomic_store(&at->owner, self);
    atomic_store(&at->epoch, mft_checked(*epoch));
    return MFT_OK;
}

/* A lock that only its holder can take away. */
static int claim_if_free(mft_segment_t *s, unsigned role, uint64_t *epoch, uint64_t *holder)
{
    *holder = atomic_load(&s->header->roles[role].owner);
    return *holder != 0 ? MFT_E_TAKEN : mft_role_claim(s, role, epoch, holder);
}

static void setup_without_exchange(void)
{
    role_setup();
    claim = claim_without_exchange;
}

static void setup_if_free(void)
{
    role_setup();
    claim = claim_if_free;
}

/* The file under its name first, its contents afterwards. */
static void early_name_operate(void)
{
    mft_segment_t s;

    mft_segment_init(&s);
    STEP_MARK();
    s.fd = openat(directory, "ring", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (mft_segment_fill(&s, &named_spec, 1) == MFT_OK) {
        named_fill(&s);
        mft_segment_publish(&s);
    }
    STEP_MARK();
}

#endif
