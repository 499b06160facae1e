/* What the orders of segment.h hand over: plain memory from the maker to those who attach, from one holder of a role to
 * the next, and to one who only looks at the role. On one mapping, under ThreadSanitizer, which reports a race where an
 * order is too weak. Each round is begun with relaxed atomics, which order nothing.
 *
 * PLANT tsan: -DRELAXED
 */
#include <stdatomic.h>

#ifdef RELAXED
#define memory_order_release memory_order_relaxed
#endif

#include "check.h"

#include <sched.h>

#include "mftcore/segment.h"

enum { ROUNDS = 20 };

static mft_segment_t segment;
static _Atomic(int) claimed, looked;
static uint64_t plain; /* plain on purpose */

static void make(void)
{
    mft_spec_t spec = {.kind = MFT_KIND_RING, .version = 1, .record_bytes = 8, .capacity = 8, .data_bytes = 4096};

    CHECK(mft_segment_make(&segment, &spec) == MFT_OK);
    plain = 0;
    atomic_store_explicit(&claimed, 0, memory_order_relaxed);
    atomic_store_explicit(&looked, 0, memory_order_relaxed);
}

static void two_threads(void *(*one)(void *), void *(*other)(void *))
{
    pthread_t threads[2];

    for (int round = 0; round < ROUNDS; round++) {
        make();
        CHECK(pthread_create(&threads[0], NULL, one, NULL) == 0 && pthread_create(&threads[1], NULL, other, NULL) == 0);
        CHECK(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
        mft_segment_detach(&segment);
    }
}

static void *fill_and_publish(void *nothing)
{
    plain = 42; /* no memset: gcc expands it in place and does not show it to the sanitizer */
    mft_segment_publish(&segment);
    return nothing;
}

static void *wait_until_ready(void *nothing)
{
    mft_segment_t mine = segment; /* the same mapping */
    struct stat st;

    CHECK(fstat(mine.fd, &st) == 0);
    while (mft_segment_check(&mine, MFT_KIND_RING, 1, &st) != MFT_OK)
        sched_yield();
    CHECK(plain == 42);
    return nothing;
}

static void who_sees_ready_sees_the_data(void)
{
    two_threads(fill_and_publish, wait_until_ready);
}

static void *hold_first(void *nothing)
{
    uint64_t epoch, holder;

    CHECK(mft_role_claim(&segment, 0, &epoch, &holder) == MFT_OK && epoch == 1);
    atomic_store_explicit(&claimed, 1, memory_order_relaxed);
    plain = 42;
    CHECK(mft_role_release(&segment, 0, holder) == MFT_OK);
    return nothing;
}

static void *hold_next(void *nothing)
{
    uint64_t epoch, holder;

    while (!atomic_load_explicit(&claimed, memory_order_relaxed))
        sched_yield();
    while (mft_role_claim(&segment, 0, &epoch, &holder) != MFT_OK)
        sched_yield();
    CHECK(epoch == 2);
    CHECK(plain == 42);
    plain = 43;
    CHECK(mft_role_release(&segment, 0, holder) == MFT_OK);
    return nothing;
}

static void the_next_holder_sees_what_the_last_one_left(void)
{
    two_threads(hold_first, hold_next);
}

static void *watch(void *nothing)
{
    mft_watch_t w;

    mft_watch_init(&w);
    while (!atomic_load_explicit(&claimed, memory_order_relaxed))
        sched_yield();
    while (mft_watch_alive(&w, &segment, 0, mft_segment_self(&segment), mft_now_ns()))
        sched_yield();
    CHECK(plain == 42);
    mft_watch_close(&w);
    return nothing;
}

static void who_sees_a_role_given_up_sees_all_that_its_holder_did(void)
{
    two_threads(hold_first, watch);
}

static void *hold_twice(void *nothing)
{
    uint64_t epoch, holder;

    CHECK(mft_role_claim(&segment, 0, &epoch, &holder) == MFT_OK);
    plain = 42;
    CHECK(mft_role_release(&segment, 0, holder) == MFT_OK);
    CHECK(mft_role_claim(&segment, 0, &epoch, &holder) == MFT_OK);
    return nothing;
}

static void *see_the_second_epoch(void *nothing)
{
    while (mft_role_epoch(&segment, 0) < 2)
        sched_yield();
    CHECK(plain == 42);
    return nothing;
}

static void who_sees_an_epoch_sees_what_the_holders_before_it_did(void)
{
    two_threads(hold_twice, see_the_second_epoch);
}

int main(void)
{
    alarm(60);
    RUN(who_sees_ready_sees_the_data);
    RUN(the_next_holder_sees_what_the_last_one_left);
    RUN(who_sees_a_role_given_up_sees_all_that_its_holder_did);
    RUN(who_sees_an_epoch_sees_what_the_holders_before_it_did);
    return 0;
}
