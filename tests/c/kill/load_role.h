/* Roles and names under load: claimants that take a role from each other, makers of a named segment, killed at random
 * instants; those fall also within system calls, where single steps do not reach. */
#ifndef LOAD_ROLE_H
#define LOAD_ROLE_H

#include "load.h"
#include "role_kinds.h"

enum { CLAIMANTS = 3 };

static pid_t claimants[CLAIMANTS];

/* Claim, be the only one, release, for ever. Who finds another holder's mark must find that holder dead. */
static void claim_for_ever(void)
{
    for (;;) {
        uint64_t epoch, word, before, mine;

        if (claim(&role_segment, ROLE, &epoch, &word) != MFT_OK)
            continue;
        before = __atomic_exchange_n(&scratch->words[HOLDER], word, __ATOMIC_SEQ_CST);
        if (before != 0 && mft_owner_alive(before))
            child_fault(WRONG, before, epoch);
        if (epoch <= *say(LAST_EPOCH))
            child_fault(REPEATED, *say(LAST_EPOCH), epoch);
        *say(LAST_EPOCH) = epoch;
        __atomic_add_fetch(&scratch->words[STARTS], 1, __ATOMIC_SEQ_CST);
        for (uint64_t i = roll(200); i > 0; i--)
            mft_pause();
        mine = word;
        if (!__atomic_compare_exchange_n(&scratch->words[HOLDER], &mine, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            child_fault(WRONG, mine, epoch);
        if (mft_role_release(&role_segment, ROLE, word) != MFT_OK)
            child_fault(LOST, word, epoch);
    }
}

static void claimant_under_load(void)
{
    const int victim = (int)roll(CLAIMANTS);
    const uint64_t before = mft_role_epoch(&role_segment, ROLE);

    choose_instant();
    for (int i = 0; i < CLAIMANTS; i++)
        if (!claimants[i])
            claimants[i] = start(claim_for_ever, (uint64_t)tally.kills + (uint64_t)i);
    let_it_work();
    kill_at_random(claimants[victim]);
    claimants[victim] = 0;
    tally.done += mft_role_epoch(&role_segment, ROLE) > before;
    tally.records += (long)(mft_role_epoch(&role_segment, ROLE) - before);
}

static void claimant_teardown(void)
{
    for (int i = 0; i < CLAIMANTS; i++)
        if (claimants[i])
            stop(claimants[i]);
    memset(claimants, 0, sizeof claimants);
    hear_children();
    role_teardown();
}

static void name_for_ever(void)
{
    const int mine = mft_named_directory(directory_path, 0);
    mft_segment_t s;

    if (mine < 0)
        _exit(5);
    for (;;) {
        if (mft_named_make(&s, mine, &named_spec) != MFT_OK)
            _exit(6);
        named_fill(&s);
        if (mft_named_publish(&s, mine, "ring") != MFT_OK)
            _exit(7);
        __atomic_add_fetch(&scratch->words[STARTS], 1, __ATOMIC_SEQ_CST);
        if (mft_named_remove(&s, mine, "ring") != MFT_OK)
            _exit(8);
        mft_segment_detach(&s);
    }
}

static void name_under_load(void)
{
    const uint64_t before = *say(STARTS);
    pid_t pid;

    choose_instant();
    pid = start(name_for_ever, (uint64_t)tally.kills + 1);
    let_it_work();
    kill_at_random(pid);
    tally.records += (long)(*say(STARTS) - before);
    if (tally_faults() == 0)
        named_after(STEP_AT_PLACE);
}

#endif
