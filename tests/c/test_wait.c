/* The doorbell without Python. The hazard is a lost wake-up; a litmus test looks for it directly: waiter arms and
 * looks for work while the ringer publishes and rings. That neither notices the other must never happen.
 *
 * PLANT plain: -DMFT_PLANT_NO_FENCE
 */
#include "check.h"

#include <sched.h>

#include "mftcore/wait.h"

static mft_doorbell_shared_t bell;
static int fd;
static _Atomic(uint32_t) turn_waiter, turn_ringer;
static _Atomic(uint64_t) work;

static void meet(_Atomic(uint32_t) *mine, _Atomic(uint32_t) *other, uint32_t turn)
{
    atomic_store(mine, turn);
    for (unsigned spins = 0; atomic_load(other) < turn; spins++)
        if (spins > 2000)
            sched_yield();
}

static void only_an_armed_waiter_costs_a_system_call(void)
{
    CHECK(mft_doorbell_ring(&bell, fd) == 0);
    mft_doorbell_arm(&bell);
    CHECK(mft_doorbell_sleep(fd, 0) == MFT_TIMEOUT);
    CHECK(mft_doorbell_ring(&bell, fd) == 1);
    CHECK(mft_doorbell_ring(&bell, fd) == 0); /* once per sleep, however many ring */
    CHECK(mft_doorbell_sleep(fd, 1000000000) == MFT_OK);
    CHECK(mft_doorbell_disarm(&bell, fd) == 1);
    CHECK(mft_doorbell_sleep(fd, 0) == MFT_TIMEOUT);
    mft_doorbell_arm(&bell);
    CHECK(mft_doorbell_disarm(&bell, fd) == 0);
    CHECK(mft_doorbell_ring(&bell, fd) == 0);
}

static void a_late_ringer_cannot_undo_a_later_arm(void)
{
    uint32_t seen;

    mft_doorbell_arm(&bell);
    seen = atomic_load(&bell.word); /* a ringer sees the waiter armed, and is held up */
    mft_doorbell_disarm(&bell, fd);
    mft_doorbell_arm(&bell);
    CHECK(!atomic_compare_exchange_strong(&bell.word, &seen, seen + 1));
    CHECK(mft_doorbell_ring(&bell, fd) == 1);
    mft_doorbell_disarm(&bell, fd);
}

static void *ringer(void *rung)
{
    for (uint32_t turn = 1; turn <= REPEAT(1000000); turn++) {
        meet(&turn_ringer, &turn_waiter, 2 * turn - 1);
        atomic_store_explicit(&work, turn, memory_order_release);
        ((char *)rung)[0] = (char)mft_doorbell_ring(&bell, fd);
        meet(&turn_ringer, &turn_waiter, 2 * turn);
    }
    return NULL;
}

static void no_wake_up_is_lost(void)
{
    static _Alignas(64) char rung[64];
    pthread_t thread;
    unsigned long lost = 0;

    CHECK(pthread_create(&thread, NULL, ringer, rung) == 0);
    for (uint32_t turn = 1; turn <= REPEAT(1000000); turn++) {
        uint64_t seen;
        meet(&turn_waiter, &turn_ringer, 2 * turn - 1);
        mft_doorbell_arm(&bell);
        seen = atomic_load_explicit(&work, memory_order_acquire);
        meet(&turn_waiter, &turn_ringer, 2 * turn);
        if (seen != turn && rung[0] != 1)
            lost++;
        mft_doorbell_disarm(&bell, fd);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(lost == 0);
}

int main(void)
{
    alarm(120);
    fd = mft_doorbell_eventfd();
    CHECK(fd >= 0);
    RUN(only_an_armed_waiter_costs_a_system_call);
    RUN(a_late_ringer_cannot_undo_a_later_arm);
    RUN(no_wake_up_is_lost);
    return 0;
}
