/* Cache line, pause, status codes. Includes nothing of ours. */
#ifndef MFTCORE_BASE_H
#define MFTCORE_BASE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MFT_LINE 64u   /* bytes of a cache line: what two cores hand over at a time */
#define MFT_PAGE 4096u /* bytes of a header page, whatever the machine's page size is */

/* Results are not errors: "not now" is positive, a failure is negative. One Python function per class turns the
 * negative ones into exceptions (mftcore/segment.pyx, `fail`). */
enum {
    MFT_OK = 0,
    MFT_FULL = 1,     /* no room now: back-pressure */
    MFT_EMPTY = 2,    /* nothing there now */
    MFT_UNSTABLE = 3, /* a bounded number of retries was used up */
    MFT_TIMEOUT = 4,  /* a deadline passed */

    MFT_E_SYSTEM = -1,    /* a system call failed; errno says how */
    MFT_E_CORRUPT = -2,   /* an index or length in shared memory is out of its bounds */
    MFT_E_LAYOUT = -3,    /* a header field is not what it must be; the fault names it */
    MFT_E_TAKEN = -4,     /* a live process (or one that cannot be proved dead) holds the role */
    MFT_E_EXISTS = -5,    /* the name is in use */
    MFT_E_UNSAFE = -6,    /* directory or file belongs to somebody else, or others may write to it */
    MFT_E_NO_SPACE = -7,  /* the file system (or the control group) has no room for the segment */
    MFT_E_ARGUMENT = -8,  /* the caller's numbers make no sense */
    MFT_E_NOT_FOUND = -9, /* no segment of that name */
    MFT_E_LOST = -10      /* the caller does not hold the role (any more) */
};

/* Tells the core that this is a spin: it leaves execution units to its sibling and, on leaving the loop, does not
 * have to throw away a pipeline full of speculated loads of the word that just changed. */
static inline void mft_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* A 64-bit index or counter in shared memory must be one load and one store: 32-bit targets would tear it. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free in shared memory");
_Static_assert(sizeof(_Atomic(uint64_t)) == 8, "an atomic word has no room for a lock");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layouts are little-endian");

#endif
