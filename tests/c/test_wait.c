/* Waiting without Python. The hazard is a lost wake-up; a litmus test looks for it directly: a waiter arms and looks for
 * work while the ringer publishes and rings. That neither notices the other must never happen.
 *
 * PLANT plain: -DMFT_PLANT_NO_FENCE
 */
#include "check.h"

#include <sched.h>

#include "mftcore/wait.h"

static mft_bell_t bell;
static int fd;
static _Atomic(uint32_t) turn_waiter, turn_ringer;
static _Atomic(uint64_t) work;

/* Wait for the other thread. 1 when it came at once: then both really run at the same time. */
static int meet(_Atomic(uint32_t) *mine, _Atomic(uint32_t) *other, uint32_t turn)
{
    unsigned spins = 0;

    atomic_store(mine, turn);
    for (; atomic_load(other) < turn; spins++)
        if (spins > 2000)
            sched_yield();
    return spins <= 2000;
}

static void a_bell_at_which_nobody_ever_slept_is_not_even_looked_at(void)
{
    CHECK(mft_bell_arm(&bell) == 1);
    CHECK(mft_bell_ring(&bell) == 0 && atomic_load(&bell.word) == 1); /* armed, but nobody said that he would sleep */
    CHECK(mft_bell_disarm(&bell, 1) == 0);
    CHECK(mft_bell_want(&bell) == MFT_FIRST_SLEEP_NS); /* ringers may still have the old word in mind */
    CHECK(mft_bell_want(&bell) == MFT_LONGEST_SLEEP_NS);
}

static void only_an_armed_waiter_costs_a_system_call(void)
{
    uint32_t armed;

    CHECK(mft_bell_ring_fd(&bell, fd) == 0);
    armed = mft_bell_arm(&bell);
    CHECK(mft_doorbell_sleep(fd, 0) == MFT_TIMEOUT);
    CHECK(mft_bell_ring_fd(&bell, fd) == 1);
    CHECK(mft_bell_ring_fd(&bell, fd) == 0); /* once per sleep, however many ring */
    CHECK(mft_doorbell_sleep(fd, 1000000000) == MFT_OK);
    CHECK(mft_bell_disarm(&bell, armed) == 1);
    CHECK(mft_doorbell_take(fd) == 1 && mft_doorbell_take(fd) == 0);
    CHECK(mft_doorbell_sleep(fd, 0) == MFT_TIMEOUT);
    armed = mft_bell_arm(&bell);
    CHECK(mft_bell_arm(&bell) == armed && atomic_load(&bell.word) == armed); /* a second waiter leaves it armed */
    CHECK(mft_bell_disarm(&bell, armed) == 0);
    CHECK(mft_bell_ring(&bell) == 0);
}

static void a_late_ringer_cannot_undo_a_later_arm(void)
{
    uint32_t seen, armed = mft_bell_arm(&bell);

    seen = atomic_load(&bell.word); /* a ringer sees the waiter armed, and is held up */
    mft_bell_disarm(&bell, armed);
    armed = mft_bell_arm(&bell);
    CHECK(!atomic_compare_exchange_strong(&bell.word, &seen, seen + 1));
    CHECK(mft_bell_ring(&bell) == 1);
    mft_bell_disarm(&bell, armed);
}

static void a_ring_between_arm_and_sleep_lets_the_sleep_return_at_once(void)
{
    mft_bell_t other = {.wanted = 1};
    mft_bell_t *const both[2] = {&other, &bell};
    uint32_t armed[2] = {mft_bell_arm(&other), mft_bell_arm(&bell)};

    CHECK(mft_bell_ring(&bell) == 1);
    CHECK(mft_bell_sleep(&bell, armed[1], INT64_C(100000000000)) == MFT_OK);
    CHECK(mft_bells_sleep(both, armed, 2, INT64_C(100000000000)) == MFT_OK);
    armed[1] = mft_bell_arm(&bell);
    CHECK(mft_bell_sleep(&bell, armed[1], 1000) == MFT_TIMEOUT);
    CHECK(mft_bells_sleep(both, armed, 2, 1000) == MFT_TIMEOUT);
    errno = 0;
    CHECK(mft_bells_sleep(both, armed, 0, 1000) == MFT_TIMEOUT); /* nothing to wait for: the time passes */
    CHECK(mft_bells_sleep(both, armed, MFT_MOST_BELLS + 1, 1000) == MFT_E_ARGUMENT);
    mft_bell_disarm(&bell, armed[1]);
}

enum { SLEEPERS = 4, WORK = 2000 };
static _Atomic(uint32_t) sleepers_done;

static void *sleeper(void *both)
{
    mft_bell_t *const list[2] = {both, &bell};

    for (uint64_t seen = 0; seen < REPEAT(WORK);) {
        const uint32_t armed[2] = {mft_bell_arm(list[0]), mft_bell_arm(list[1])};
        const uint64_t now = atomic_load_explicit(&work, memory_order_acquire);

        if (now == seen) /* no timeout that would hide a lost wake-up: the alarm would end the test */
            CHECK(mft_bells_sleep(list, armed, 2, INT64_C(100000000000)) != MFT_TIMEOUT);
        seen = now;
    }
    atomic_fetch_add(&sleepers_done, 1);
    return NULL;
}

static void every_sleeper_at_a_bell_is_woken(void)
{
    pthread_t threads[SLEEPERS];
    mft_bell_t never = {.wanted = 1};

    atomic_store(&work, 0);
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(pthread_create(&threads[i], NULL, sleeper, &never) == 0);
    while (atomic_load(&sleepers_done) < SLEEPERS) {
        if (atomic_load(&work) < REPEAT(WORK))
            atomic_fetch_add(&work, 1);
        mft_bell_ring(&bell);
        sched_yield();
    }
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static cpu_set_t cores;

/* Stay on the first or the second of our cores: on one and the same, where a busy machine likes to put two threads that wait
 * for each other, they never meet. */
static void pin(int which)
{
    cpu_set_t one;

    if (CPU_COUNT(&cores) < 2)
        return;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &cores) && which-- == 0)
            CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

static _Atomic(uint32_t) over;

static void *ringer(void *rung)
{
    pin(1);
    for (uint32_t turn = 1; !atomic_load(&over); turn++) {
        meet(&turn_ringer, &turn_waiter, 2 * turn - 1);
        atomic_store_explicit(&work, turn, memory_order_release);
        ((char *)rung)[0] = (char)mft_bell_ring(&bell);
        meet(&turn_ringer, &turn_waiter, 2 * turn);
    }
    return NULL;
}

static void no_wake_up_is_lost(void)
{
    static _Alignas(64) char rung[64];
    pthread_t thread;

    atomic_store(&work, 0);
    CHECK(sched_getaffinity(0, sizeof cores, &cores) == 0);
    CHECK(pthread_create(&thread, NULL, ringer, rung) == 0);
    pin(0);
    /* so many turns in which both ran at once; on a busy machine those are few of all */
    for (uint32_t turn = 1, together = 0; !atomic_load(&over); turn++) {
        uint32_t armed;
        uint64_t seen;
        together += (uint32_t)meet(&turn_waiter, &turn_ringer, 2 * turn - 1);
        if (together >= REPEAT(500000) || turn >= REPEAT(5000000))
            atomic_store(&over, 1); /* seen by the ringer after it has met us once more */
        armed = mft_bell_arm(&bell);
        seen = atomic_load_explicit(&work, memory_order_acquire);
        meet(&turn_waiter, &turn_ringer, 2 * turn);
        CHECK(seen == turn || rung[0] == 1); /* else neither noticed the other */
        mft_bell_disarm(&bell, armed);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sched_setaffinity(0, sizeof cores, &cores) == 0);
}

int main(void)
{
    alarm(120);
    fd = mft_doorbell_eventfd();
    CHECK(fd >= 0);
    RUN(a_bell_at_which_nobody_ever_slept_is_not_even_looked_at);
    RUN(only_an_armed_waiter_costs_a_system_call);
    RUN(a_late_ringer_cannot_undo_a_later_arm);
    RUN(a_ring_between_arm_and_sleep_lets_the_sleep_return_at_once);
    RUN(no_wake_up_is_lost); /* before the next, which would sleep for ever */
    RUN(every_sleeper_at_a_bell_is_woken);
    return 0;
}
