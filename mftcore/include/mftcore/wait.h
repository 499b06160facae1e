/* How a loop sleeps until there is work, and how the others know whether it does: a word in shared memory and an
 * eventfd. Whoever publishes looks at the word; only when the waiter sleeps is there a system call.
 *
 *   waiter:  arm -> look for work once more -> poll the eventfd (with a timeout) -> disarm -> work
 *   others:  publish -> ring
 *
 * The word counts arms and rings and is odd while the waiter is armed. A ringer writes the eventfd first and moves
 * the word afterwards, and only from the very value it saw: killed in between, it has woken the waiter; delayed in
 * between, it cannot undo a later arm. One killed between publishing and ringing rings nobody: hence the timeout. */
#ifndef MFTCORE_WAIT_H
#define MFTCORE_WAIT_H

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"

#define MFT_DOORBELL_VERSION 1u

/* Shared. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint32_t) word; /* odd: the waiter is armed */
} mft_doorbell_shared_t;

/* The planted bug of the tests: without the fences the wake-up gets lost. */
#ifdef MFT_PLANT_NO_FENCE
#define mft_doorbell_fence() atomic_signal_fence(memory_order_seq_cst)
#else
#define mft_doorbell_fence() atomic_thread_fence(memory_order_seq_cst)
#endif

/* A new eventfd, or -1 with errno. */
static inline int mft_doorbell_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Waiter only. From here on a ring writes the eventfd. Look for work once more before sleeping. */
static inline void mft_doorbell_arm(mft_doorbell_shared_t *b)
{
    const uint32_t word = atomic_load_explicit(&b->word, memory_order_relaxed);

    if (!(word & 1)) /* a plain store will do: a late ringer's exchange expects an older value and fails */
        atomic_store_explicit(&b->word, word + 1, memory_order_relaxed);
    /* PAIR fence, with the one in mft_doorbell_ring. Hazard: our store of the word waits in the store buffer while
     * the look for work that follows reads memory; the ringer's publication likewise waits while it reads the word.
     * Then we see no work, it sees no sleeper, and the wake-up is lost. Release and acquire do not order a store
     * before a later load; with both fences, one of the two loads sees the other side's store. */
    mft_doorbell_fence();
}

/* Waiter only. Awake again: rings cost nothing from here on. Takes what was written to the eventfd; 1 when there was
 * anything or the word had been moved, else 0. */
static inline int mft_doorbell_disarm(mft_doorbell_shared_t *b, int fd)
{
    uint32_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    uint64_t rings;
    int rung = 1;

    if (word & 1) /* fails when a ringer moves it at this moment: then it is even already */
        rung = !atomic_compare_exchange_strong_explicit(&b->word, &word, word + 1, memory_order_relaxed,
                                                        memory_order_relaxed);
    if (read(fd, &rings, sizeof rings) == (ssize_t)sizeof rings)
        rung = 1;
    return rung;
}

/* Anybody, after publishing. 1: the waiter was armed and is woken (one system call); 0: it was awake; negative: the
 * eventfd cannot be written. */
static inline int mft_doorbell_ring(mft_doorbell_shared_t *b, int fd)
{
    const uint64_t one = 1;
    uint32_t word;

    /* PAIR fence, with the one in mft_doorbell_arm: our publication comes before this look at the word. */
    mft_doorbell_fence();
    word = atomic_load_explicit(&b->word, memory_order_relaxed);
    if (!(word & 1))
        return 0;
    /* EAGAIN: 2^64 - 2 rings have not been taken yet, so it is readable anyway */
    if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN)
        return MFT_E_SYSTEM;
    atomic_compare_exchange_strong_explicit(&b->word, &word, word + 1, memory_order_relaxed, memory_order_relaxed);
    return 1;
}

/* Sleep until the eventfd is readable: MFT_OK, MFT_TIMEOUT, or MFT_E_SYSTEM (EINTR: a signal wants to be looked at). */
static inline int mft_doorbell_sleep(int fd, int64_t timeout_ns)
{
    struct pollfd ask = {.fd = fd, .events = POLLIN};
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    const int rc = ppoll(&ask, 1, &timeout, NULL);

    return rc > 0 ? MFT_OK : rc == 0 ? MFT_TIMEOUT : MFT_E_SYSTEM;
}

/* One idle step of a loop that does not sleep: spin (a core of its own) or yield (ours alone share the core). */
static inline void mft_idle_spin(void)
{
    mft_pause();
}

static inline void mft_idle_yield(void)
{
    sched_yield();
}

#endif
