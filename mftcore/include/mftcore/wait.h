/* How a loop sleeps until there is work, and how the others know whether it does. Whoever publishes looks at a word in
 * shared memory; only when somebody sleeps is there a system call.
 *
 *   waiter:  want (once) -> arm -> look for work once more -> sleep (with a timeout) -> disarm -> work
 *   others:  publish -> ring
 *
 * The word counts arms and rings and is odd while somebody sleeps or is about to. It is the futex that sleepers wait
 * on, so a ring that comes between arm and sleep lets the sleep return at once. A `Doorbell` has an eventfd besides, for
 * loops that wait on sockets as well.
 *
 * A ringer that is killed between publishing and ringing, or between moving the word and waking, wakes nobody: hence
 * every sleep has a timeout, of MFT_LONGEST_SLEEP_NS at most, after which the waiter looks for work all the same. */
#ifndef MFTCORE_WAIT_H
#define MFTCORE_WAIT_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* Linux 5.16, the same number on every machine */
#endif
#ifndef FUTEX_32
#define FUTEX_32 2
struct futex_waitv {
    uint64_t val, uaddr;
    uint32_t flags, __reserved;
};
#endif

#define MFT_DOORBELL_VERSION 1u
#define MFT_MOST_BELLS 128u /* that one thread can wait on: FUTEX_WAITV_MAX */
#define MFT_LONGEST_SLEEP_NS INT64_C(10000000)
#define MFT_FIRST_SLEEP_NS INT64_C(1000000)

/* Shared. A cache line of its own, which nobody writes while nobody sleeps. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint32_t) word; /* odd: somebody sleeps, or is about to */
    _Atomic(uint32_t) wanted;                  /* 0 until somebody first sleeps here: ringing is then one load */
} mft_bell_t;
_Static_assert(sizeof(mft_bell_t) == MFT_LINE, "processes share this layout");

/* The planted bug of the tests: without the fences the wake-up gets lost. */
#ifdef MFT_PLANT_NO_FENCE
#define mft_bell_fence() atomic_signal_fence(memory_order_seq_cst)
#else
#define mft_bell_fence() atomic_thread_fence(memory_order_seq_cst)
#endif

/* Waiter: announce that somebody will sleep here, before the first arm; a fence per ring is the price, so that those
 * who never sleep do not ask others to pay it. Returns how long the next sleep may be: a ringer that read the old
 * `wanted` a moment ago may have published and not rung, so the first sleep is short and only afterwards is every
 * ringer known to look (a store becomes visible to other cores within a microsecond, not within any stated number of
 * instructions). Who comes second within that microsecond is bound by MFT_LONGEST_SLEEP_NS alone. */
static inline int64_t mft_bell_want(mft_bell_t *b)
{
    if (atomic_load_explicit(&b->wanted, memory_order_relaxed))
        return MFT_LONGEST_SLEEP_NS;
    atomic_store_explicit(&b->wanted, 1, memory_order_relaxed); /* the fence of the arm that follows orders it */
    return MFT_FIRST_SLEEP_NS;
}

/* Waiter: from here on a ring moves the word and wakes. Look for work once more before sleeping on the value that is
 * returned. Any number of waiters may be armed at once. */
static inline uint32_t mft_bell_arm(mft_bell_t *b)
{
    uint32_t word = atomic_load_explicit(&b->word, memory_order_relaxed);

    /* a failed exchange tells the value that another waiter or a ringer has left */
    while (!(word & 1) && !atomic_compare_exchange_weak_explicit(&b->word, &word, word + 1, memory_order_relaxed,
                                                                 memory_order_relaxed))
        ;
    word |= 1;
    /* PAIR fence, with the one in mft_bell_ring. Hazard: our store of the word waits in the store buffer while the
     * look for work that follows reads memory; the ringer's publication likewise waits while it reads the word. Then
     * we see no work, it sees no sleeper, and the wake-up is lost. Release and acquire do not order a store before a
     * later load; with both fences, one of the two loads sees the other side's store. */
    mft_bell_fence();
    return word;
}

/* The only waiter of this bell: awake again, so that rings cost no system call from here on. 1 when it was rung since
 * the arm, else 0. Where several wait, none may do this: it would disarm the others. */
static inline int mft_bell_disarm(mft_bell_t *b, uint32_t armed)
{
    return !atomic_compare_exchange_strong_explicit(&b->word, &armed, armed + 1, memory_order_relaxed,
                                                    memory_order_relaxed);
}

/* Was it rung since it was armed with this value? A look without a barrier: a hint for loops that look again. */
static inline int mft_bell_rung(const mft_bell_t *b, uint32_t armed)
{
    return atomic_load_explicit(&b->word, memory_order_relaxed) != armed;
}

/* Sleep until a ring moves the word from the value that arming returned: MFT_OK, MFT_TIMEOUT, or MFT_E_SYSTEM
 * (EINTR: a signal wants to be looked at). */
static inline int mft_bell_sleep(mft_bell_t *b, uint32_t armed, int64_t timeout_ns)
{
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};

    /* shared, not PRIVATE: the ringers are other processes */
    if (syscall(SYS_futex, &b->word, FUTEX_WAIT, armed, &timeout, NULL, 0) == 0 || errno == EAGAIN)
        return MFT_OK;
    return errno == ETIMEDOUT ? MFT_TIMEOUT : MFT_E_SYSTEM;
}

/* Sleep until any of `count` bells is rung; each with the value that arming it returned. As mft_bell_sleep; on a kernel
 * before 5.16 it sleeps for a millisecond at most and says MFT_TIMEOUT. */
static inline int mft_bells_sleep(mft_bell_t *const *bells, const uint32_t *armed, uint32_t count, int64_t timeout_ns)
{
    struct futex_waitv list[MFT_MOST_BELLS];
    int64_t until_ns;
    struct timespec until;

    if (count == 1)
        return mft_bell_sleep(bells[0], armed[0], timeout_ns);
    if (count > MFT_MOST_BELLS)
        return MFT_E_ARGUMENT;
    for (uint32_t i = 0; i < count; i++)
        list[i] = (struct futex_waitv){.val = armed[i], .uaddr = (uintptr_t)&bells[i]->word, .flags = FUTEX_32};
    until_ns = mft_now_ns() + timeout_ns;
    until = (struct timespec){until_ns / 1000000000, until_ns % 1000000000};
    if (count > 0 && (syscall(SYS_futex_waitv, list, count, 0, &until, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN))
        return MFT_OK;
    if (count == 0 || errno == ENOSYS || errno == EPERM) { /* EPERM: what an old seccomp filter says of a new call */
        if (timeout_ns > MFT_FIRST_SLEEP_NS)
            timeout_ns = MFT_FIRST_SLEEP_NS;
        until = (struct timespec){0, timeout_ns};
        return nanosleep(&until, NULL) == 0 ? MFT_TIMEOUT : MFT_E_SYSTEM;
    }
    return errno == ETIMEDOUT ? MFT_TIMEOUT : MFT_E_SYSTEM;
}

/* Anybody, after publishing, once per batch. 1: somebody slept and is woken (a system call); 0: nobody did. `fd` is the
 * eventfd of a doorbell, or -1. Negative: the eventfd cannot be written. */
static inline int mft_bell_ring_fd(mft_bell_t *b, int fd)
{
    const uint64_t one = 1;
    uint32_t word;

    /* relaxed: see mft_bell_want */
    if (!atomic_load_explicit(&b->wanted, memory_order_relaxed))
        return 0;
    /* PAIR fence, with the one in mft_bell_arm: our publication comes before this look at the word. */
    mft_bell_fence();
    word = atomic_load_explicit(&b->word, memory_order_relaxed);
    if (!(word & 1))
        return 0;
    /* The eventfd first: killed after it, we have woken the waiter all the same. EAGAIN: 2^64 - 2 rings have not been
     * taken yet, so it is readable anyway. */
    if (fd >= 0 && write(fd, &one, sizeof one) < 0 && errno != EAGAIN)
        return MFT_E_SYSTEM;
    /* From the very value that was seen: delayed until here, we cannot undo a later arm. */
    if (atomic_compare_exchange_strong_explicit(&b->word, &word, word + 1, memory_order_relaxed, memory_order_relaxed))
        syscall(SYS_futex, &b->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return 1;
}

static inline int mft_bell_ring(mft_bell_t *b)
{
    return mft_bell_ring_fd(b, -1);
}

/* ---- the eventfd of a doorbell ---- */

/* A new eventfd, or -1 with errno. */
static inline int mft_doorbell_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Take what was written to the eventfd; 1 when there was anything. */
static inline int mft_doorbell_take(int fd)
{
    uint64_t rings;

    return read(fd, &rings, sizeof rings) == (ssize_t)sizeof rings;
}

/* Sleep until the eventfd is readable: MFT_OK, MFT_TIMEOUT, or MFT_E_SYSTEM (EINTR: a signal wants to be looked at). */
static inline int mft_doorbell_sleep(int fd, int64_t timeout_ns)
{
    struct pollfd ask = {.fd = fd, .events = POLLIN};
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    const int rc = ppoll(&ask, 1, &timeout, NULL);

    return rc > 0 ? MFT_OK : rc == 0 ? MFT_TIMEOUT : MFT_E_SYSTEM;
}

/* ---- one idle step of a loop that does not sleep ---- */

/* On a core of its own. */
static inline void mft_idle_spin(void)
{
    mft_pause();
}

/* On a core that only loops of ours share. */
static inline void mft_idle_yield(void)
{
    sched_yield();
}

#endif
