/* Processes at full speed, killed at random instants. */
#ifndef LOAD_H
#define LOAD_H

#include "kind.h"
#include <sched.h>

/* Words of scratch: what children say, which nobody but they can know. */
enum { SAID_FAULT, SAID_SEQUENCE, SAID_EPOCH, USED, LAST_EPOCH, STARTS, CONSUMERS, HOLDER, STOP, CLASSIC = 64 };

enum { LOAD_BATCH = 16 }; /* records of a call, at most */

static uint64_t dice = 88172645463325252u;
static const uint64_t longest_ns = 2000000; /* from a process's start to its kill, at most */

static uint64_t roll(uint64_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

/* Now and then, let the others run: where they share this core, each would otherwise find the ring only full or empty,
 * and be killed at the end of a time slice. */
static void give_way(void)
{
    if (roll(32) == 0)
        sched_yield();
}

static volatile uint64_t *say(int word)
{
    return &scratch->words[word];
}

/* In a child: report a fault and end. */
static void child_fault(fault_t kind, uint64_t sequence, uint64_t epoch)
{
    *say(SAID_SEQUENCE) = sequence;
    *say(SAID_EPOCH) = epoch;
    __atomic_store_n(&scratch->words[SAID_FAULT], (uint64_t)kind + 1, __ATOMIC_SEQ_CST);
    _exit(9);
}

/* In a child: judge a record, and end with the fault if it is not as it must be. */
static void child_judges(const uint64_t *words, uint64_t count, uint64_t sequence, uint64_t lowest, uint64_t highest)
{
    if (judge(words, count, sequence, lowest, highest))
        return;
    for (int i = 0; i < FAULTS; i++)
        if (tally.faults[i] > 0)
            child_fault((fault_t)i, words[SEQUENCE], words[EPOCH]);
}

/* In the parent: take over what a child has found. */
static void hear_children(void)
{
    const uint64_t said = __atomic_load_n(&scratch->words[SAID_FAULT], __ATOMIC_SEQ_CST);

    if (said > 0 && said <= FAULTS)
        fault((fault_t)(said - 1), "a child got record or version %llu of epoch %llu",
              (unsigned long long)*say(SAID_SEQUENCE), (unsigned long long)*say(SAID_EPOCH));
}

/* Kill a child and wait for its death. It stays a zombie until the next one: its successor has to see that an unreaped
 * process is dead. */
static void kill_at_random(pid_t pid)
{
    static pid_t unreaped;
    siginfo_t info = {0};

    if (unreaped)
        CHECK(waitpid(unreaped, NULL, 0) == unreaped);
    unreaped = 0;
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    hear_children();
    if (info.si_code != CLD_KILLED && tally_faults() == 0)
        fault(BLOCKED, "a child ended by itself with status %d", info.si_status);
    unreaped = pid;
    tally.kills++;
}

static pid_t start(void (*work)(void), uint64_t seed)
{
    const pid_t pid = step_fork();

    if (pid == 0) {
        dice ^= seed * UINT64_C(0x9E3779B97F4A7C15);
        work();
        _exit(8);
    }
    return pid;
}

static int64_t kill_at_ns;
static uint64_t starts_before;

/* Choose an instant for the kill: in every fourth turn counted from the fork, so that it may come before the process
 * has its role, else from the moment at which it has. */
static void choose_instant(void)
{
    starts_before = *say(STARTS);
    kill_at_ns = roll(4) == 0 ? mft_now_ns() + (int64_t)roll(longest_ns / 4) : 0;
}

static int instant_has_come(void)
{
    if (kill_at_ns == 0 && *say(STARTS) != starts_before)
        kill_at_ns = mft_now_ns() + (int64_t)roll(longest_ns);
    return (kill_at_ns != 0 && mft_now_ns() >= kill_at_ns) || *say(SAID_FAULT) != 0;
}

static void let_it_work(void)
{
    const struct timespec moment = {0, 20000};

    while (!instant_has_come())
        nanosleep(&moment, NULL); /* leaves the cores to those who work */
}

/* End a process that may have ended by itself, having said why. */
static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

/* A role, as a dead predecessor's successor. */
static uint64_t take_role(mft_segment_t *s, unsigned role)
{
    uint64_t epoch = 0, word;

    if (mft_role_claim(s, role, &epoch, &word) != MFT_OK)
        _exit(4);
    __atomic_add_fetch(&scratch->words[STARTS], 1, __ATOMIC_SEQ_CST);
    return epoch;
}

/* What the dead consumer had used and what it had given back (`head`, counted in records) differ at most by the records of
 * one call. */
static void judge_consumer(uint64_t head, uint64_t head_before, uint64_t consumers_before)
{
    const uint64_t used = *say(USED);

    if (*say(CONSUMERS) == consumers_before)
        return;
    if (head < head_before)
        fault(REPEATED, "head went back from %llu to %llu", (unsigned long long)head_before, (unsigned long long)head);
    else if (used > head && used - head > LOAD_BATCH)
        fault(REPEATED, "%llu used records are seen again", (unsigned long long)(used - head));
    else if (head > used && head > head_before && head - used > LOAD_BATCH)
        fault(LOST, "%llu records were given back and not used", (unsigned long long)(head - used));
    else if (used > head)
        tally.again += (long)(used - head);
    else if (head > head_before)
        tally.gone += (long)(head - used);
    tally.done += head > head_before;
    tally.records += (long)(head - head_before);
    *say(USED) = head;
}

/* Two processes, of which one or the other is killed; `head` says how many records were given back. */
static pid_t producing, consuming;
static uint64_t both_head, both_consumers; /* when a consumer was killed last */

static void both_in_turn(void (*produce)(void), void (*consume)(void), uint64_t (*head)(void))
{
    choose_instant();
    if (!producing)
        producing = start(produce, (uint64_t)tally.kills + 1);
    if (!consuming)
        consuming = start(consume, (uint64_t)tally.kills + 2);
    let_it_work();
    if (roll(2)) {
        kill_at_random(producing);
        producing = 0;
        tally.done++;
    } else {
        kill_at_random(consuming);
        consuming = 0;
        judge_consumer(head(), both_head, both_consumers);
        both_head = head();
        both_consumers = *say(CONSUMERS);
    }
}

static void both_stop(void)
{
    if (producing)
        stop(producing);
    if (consuming)
        stop(consuming);
    producing = consuming = 0;
    both_head = both_consumers = 0;
}

#endif
