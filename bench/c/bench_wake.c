/* The floor under the Python figures of waking up: one way, from the send to the moment the receiver has the record.
 *
 * usage: bench_wake MODE COUNT CPU_A CPU_B      prints one line of JSON, times in ns
 *   MODE   spin, yield, futex (the ring's own bell), eventfd (an epoll loop around an eventfd, always written)
 * The sender is paced by a spin on the clock: gaps of 0.5 to 1.5 ms, uniform, from a fixed seed, so that a receiver
 * which can sleep does sleep. "send" is the median cost of telling the other side. */
#include <sys/epoll.h>

#include "rings.h"

enum mode { SPIN, YIELD, FUTEX, EVENTFD };

static void wait_for(ours_t *r, enum mode mode, int epoll, int event)
{
    mft_bell_t *bell = &r->ring.shared->records;
    struct epoll_event got;

    while (!mft_ring_has_records(&r->ring)) {
        if (mode == SPIN) {
            mft_pause();
        } else if (mode == YIELD) {
            sched_yield();
        } else if (mode == FUTEX) {
            const int64_t longest = mft_bell_want(bell);
            const uint32_t armed = mft_bell_arm(bell);
            if (!mft_ring_has_records(&r->ring))
                mft_bell_sleep(bell, armed, longest);
            mft_bell_disarm(bell, armed);
        } else if (epoll_wait(epoll, &got, 1, 1000) == 1) {
            mft_doorbell_take(event);
        }
    }
}

static void receive(ours_t *r, enum mode mode, int event, long count, int64_t *taken)
{
    struct epoll_event ask = {.events = EPOLLIN};
    const int epoll = epoll_create1(0);
    record_t record;

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, event, &ask) != 0)
        die("epoll");
    for (long i = 0; i < count; i++) {
        while (!ours_pop(r, &record))
            wait_for(r, mode, epoll, event);
        taken[i] = mft_now_ns() - (int64_t)record.words[0];
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"spin", "yield", "futex", "eventfd"};
    const long count = argc == 5 ? atol(argv[2]) : 0;
    int mode = 0, event;
    int64_t *taken, *sent, due;
    record_t record;
    uint64_t random = 1;
    ours_t r;
    pid_t child;

    while (argc == 5 && mode < 4 && strcmp(argv[1], names[mode]) != 0)
        mode++;
    if (mode == 4 || count < 10) {
        fprintf(stderr, "usage: bench_wake spin|yield|futex|eventfd COUNT CPU_A CPU_B\n");
        return 2;
    }
    pin(atoi(argv[3]));
    ours_make(&r);
    event = mft_doorbell_eventfd();
    taken = shared_bytes((size_t)count * sizeof *taken);
    sent = samples_for(count);
    child = child_on(atoi(argv[4]));
    if (child == 0) {
        receive(&r, (enum mode)mode, event, count, taken);
        _exit(0);
    }
    memset(&record, 0, sizeof record);
    due = mft_now_ns() + 20000000; /* the other side is up by then */
    for (long i = 0; i < count; i++) {
        const uint64_t one = 1;
        while (mft_now_ns() < due)
            mft_pause();
        due = mft_now_ns();
        record.words[0] = (uint64_t)due;
        if (!ours_push(&r, &record))
            die("full");
        if (mode == FUTEX)
            mft_ring_ring_records(&r.ring);
        else if (mode == EVENTFD && write(event, &one, sizeof one) < 0)
            die("eventfd");
        sent[i] = mft_now_ns() - due;
        due += 500000 + (int64_t)(next_random(&random) % 1000000);
    }
    child_ended(child);
    qsort(sent, (size_t)count, sizeof *sent, by_value);
    printf("{\"send\": %ld, ", (long)sent[count / 2]);
    print_percentiles(taken, count);
    printf("}\n");
    return 0;
}
