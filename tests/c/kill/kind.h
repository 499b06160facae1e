/* What is killed: an operation, what stands before it, and what must hold afterwards. */
#ifndef KIND_H
#define KIND_H

#include <sys/mman.h>

#include "ledger.h"
#include "mftcore/segment.h"
#include "step.h"

typedef struct {
    const char *name;
    void (*setup)(void);
    void (*teardown)(void);
    void (*before)(void);          /* parent: the state before the operation */
    void (*after)(step_end_t end); /* parent: survivor and successor judge */
    step_plan_t plan;
    unsigned expected; /* a planted bug: the faults of which one must be found, as bits; else 0 */
    int always_done;   /* the operation may take effect at once, or has no effect to be seen */
} kind_t;

#define EXPECT(fault) (1u << (fault))

/* How often all places have been gone through; before and after vary the state with it. */
static long round_number;

/* Memory that parent and child share besides the structure under test: what the child was given and did. */
typedef struct {
    uint64_t epoch; /* under which the child works */
    uint64_t words[2048];
} scratch_t;

static scratch_t *scratch;

static void scratch_make(void)
{
    scratch = mmap(NULL, sizeof *scratch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(scratch != MAP_FAILED);
}

/* The parent claims a role as the dead child's successor: at once, and under the next epoch. */
static uint64_t succeed(mft_segment_t *s, unsigned role, uint64_t epoch_of_the_dead, uint64_t *word)
{
    uint64_t epoch = 0;
    const int rc = mft_role_claim(s, role, &epoch, word);

    if (rc != MFT_OK)
        fault(BLOCKED, "the successor's claim says %d", rc);
    else if (epoch != epoch_of_the_dead + 1)
        fault(WRONG, "the successor got epoch %llu after %llu", (unsigned long long)epoch,
              (unsigned long long)epoch_of_the_dead);
    return epoch;
}

static void give_up(mft_segment_t *s, unsigned role, uint64_t word)
{
    CHECK(mft_role_release(s, role, word) == MFT_OK);
}

/* In the child: claim a role and tell the parent under which epoch. */
static void child_claims(mft_segment_t *s, unsigned role)
{
    uint64_t word;

    if (mft_role_claim(s, role, &scratch->epoch, &word) != MFT_OK)
        _exit(4);
}

#endif
