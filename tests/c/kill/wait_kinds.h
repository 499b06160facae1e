/* Bells: who sleeps is killed, or who rings. A dead waiter holds nobody up; a dead ringer's waiter finds the work when
 * its sleep times out. */
#ifndef WAIT_KINDS_H
#define WAIT_KINDS_H

#include "kind.h"
#include "mftcore/wait.h"

enum { WORK, OVER }; /* words of scratch */

static mft_bell_t *bell;
static int bell_fd;                 /* an eventfd, or -1 */
static int64_t bell_patience_s;     /* after which a waiter that was told to end counts as hanging */
static int (*waiter_sleep)(uint32_t armed);
static pid_t waiter;

static volatile uint64_t *flag(int which)
{
    return &scratch->words[which];
}

static int sleep_with_timeout(uint32_t armed)
{
    return bell_fd >= 0 ? mft_doorbell_sleep(bell_fd, MFT_LONGEST_SLEEP_NS)
                        : mft_bell_sleep(bell, armed, MFT_LONGEST_SLEEP_NS);
}

static int sleep_without_timeout(uint32_t armed)
{
    return syscall(SYS_futex, &bell->word, FUTEX_WAIT, armed, NULL, NULL, 0) == 0 ? MFT_OK : MFT_E_SYSTEM;
}

static void bell_setup(void)
{
    bell = mmap(NULL, sizeof *bell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(bell != MAP_FAILED);
    bell_fd = -1;
    bell_patience_s = 30;
    waiter_sleep = sleep_with_timeout;
}

static void bell_setup_eventfd(void)
{
    bell_setup();
    CHECK((bell_fd = mft_doorbell_eventfd()) >= 0);
}

static void bell_setup_without_timeout(void)
{
    bell_setup();
    bell_patience_s = 1;
    waiter_sleep = sleep_without_timeout;
}

static void bell_teardown(void)
{
    munmap(bell, sizeof *bell);
    if (bell_fd >= 0)
        close(bell_fd);
}

/* ---- the waiter is killed ---- */

static void wait_before(void)
{
    if (round_number % 2) /* nobody has ever slept here */
        memset((void *)bell, 0, sizeof *bell);
}

static void nothing(void) {}

static void wait_operate(void)
{
    uint32_t armed;

    STEP_MARK();
    mft_bell_want(bell);
    armed = mft_bell_arm(bell);
    mft_bell_sleep(bell, armed, 20000);
    mft_bell_disarm(bell, armed);
    STEP_MARK();
}

static void wait_after(step_end_t end)
{
    const int first = mft_bell_ring(bell), second = mft_bell_ring(bell);
    uint32_t armed;

    tally.done += end == STEP_FINISHED;
    if (first < 0 || second < 0)
        fault(BLOCKED, "ringing after the waiter's death says %d, %d", first, second);
    if (second == 1)
        fault(WRONG, "a dead waiter costs more than one vain ring");
    mft_bell_want(bell);
    armed = mft_bell_arm(bell);
    if (mft_bell_ring(bell) != 1)
        fault(LOST, "the ring does not see the successor armed");
    if (mft_bell_sleep(bell, armed, 1000000000) != MFT_OK || mft_bell_disarm(bell, armed) != 1)
        fault(LOST, "the successor was rung and does not know it");
    armed = mft_bell_arm(bell);
    if (mft_bell_sleep(bell, armed, 20000) != MFT_TIMEOUT || mft_bell_disarm(bell, armed) != 0)
        fault(WRONG, "the successor believes it was rung");
}

/* ---- the ringer is killed while somebody sleeps ---- */

static void wait_for_work(void)
{
    for (;;) {
        uint32_t armed;

        mft_bell_want(bell);
        armed = mft_bell_arm(bell);
        if (*flag(WORK))
            _exit(0);
        if (*flag(OVER))
            _exit(3);
        waiter_sleep(armed);
        if (bell_fd >= 0)
            mft_doorbell_take(bell_fd);
        mft_bell_disarm(bell, armed);
    }
}

static void ring_before(void)
{
    *flag(WORK) = *flag(OVER) = 0;
    mft_bell_ring(bell); /* even: an odd word is then the waiter's */
    waiter = step_fork();
    if (waiter == 0)
        wait_for_work();
    while (!(atomic_load(&bell->word) & 1))
        sched_yield();
}

static void ring_operate(void)
{
    STEP_MARK();
    atomic_store_explicit((_Atomic(uint64_t) *)flag(WORK), 1, memory_order_release);
    mft_bell_ring_fd(bell, bell_fd);
    STEP_MARK();
}

static void ring_after(step_end_t end)
{
    const int published = *flag(WORK) != 0;
    const int64_t until_ns = mft_now_ns() + bell_patience_s * INT64_C(1000000000);
    int status = 0, ended = 0;

    (void)end;
    tally.done += published;
    *flag(OVER) = 1;
    if (!published)
        mft_bell_ring_fd(bell, bell_fd); /* no work came: only to end the waiter */
    while (!ended && mft_now_ns() < until_ns) {
        ended = waitpid(waiter, &status, WNOHANG) == waiter;
        if (!ended)
            sched_yield();
    }
    if (!ended) {
        fault(BLOCKED, "the waiter sleeps on beside published work");
        step_kill(waiter);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != (published ? 0 : 3)) {
        fault(LOST, "the waiter ended with 0x%x, work was %spublished", (unsigned)status, published ? "" : "not ");
    }
}

#endif
