/* The floor under the Python figures of the ring of messages: two pinned processes, no interpreter.
 *
 * usage: bench_byte_ring MEASURE LENGTH ROOM COUNT CPU_A CPU_B      prints one line of JSON, times in ns
 *   MEASURE  round_trip, round_trip_claim, throughput, throughput_claim, throughput_batch (64 at a time)
 *   LENGTH   of each message in bytes, at least 8;  ROOM: for so many of them
 * "claim": the message is written where it lies in the ring and read there; otherwise one that lies ready is copied in and
 * out, in a batch too. The first and the last eight bytes of a message are its number, and one that is not the next in turn
 * ends the program. Spinning with pause in the round trips, without in the throughputs. */
#include "mftcore/byte_ring.h"
#include "pair.h"

#define BATCH 64

typedef struct {
    mft_segment_t segment;
    mft_bytes_t ring;
    unsigned char *message; /* lies ready, or was copied out */
    uint64_t length;
    uint64_t number; /* of the next message */
} side_t;

static void make(side_t *s, uint64_t length, uint64_t room)
{
    mft_spec_t spec = {.kind = MFT_KIND_BYTES, .version = MFT_BYTES_VERSION, .record_bytes = 1};
    uint64_t bytes = MFT_BYTES_LEAST;

    while (bytes < room * mft_bytes_taken(length))
        bytes *= 2;
    spec.capacity = bytes;
    spec.data_bytes = mft_bytes_data_bytes(bytes);
    *s = (side_t){.length = length, .message = calloc(1, length)};
    if (spec.data_bytes == 0 || s->message == NULL || mft_segment_make(&s->segment, &spec) != MFT_OK ||
        mft_segment_mirror(&s->segment, bytes) != MFT_OK) {
        fprintf(stderr, "no shared memory: %s\n", strerror(s->segment.error));
        exit(2);
    }
    mft_segment_publish(&s->segment);
    if (mft_bytes_open(&s->ring, &s->segment) != MFT_OK)
        exit(2);
}

static inline void number_it(unsigned char *message, uint64_t length, uint64_t number)
{
    memcpy(message, &number, sizeof number);
    memcpy(message + length - sizeof number, &number, sizeof number);
}

static inline void check_it(const unsigned char *message, uint64_t length, uint64_t number)
{
    uint64_t first, last;

    memcpy(&first, message, sizeof first);
    memcpy(&last, message + length - sizeof last, sizeof last);
    if (first != number || last != number) {
        fprintf(stderr, "a message was not the next one\n");
        exit(3);
    }
}

/* 1: done; 0: full. What was put is not committed. */
static inline int put(side_t *s, int claim)
{
    unsigned char *place = NULL;

    if (mft_bytes_claim(&s->ring, s->length, &place) != MFT_OK)
        return 0;
    if (claim) {
        memset(place, (int)s->number, s->length);
        number_it(place, s->length, s->number);
    } else {
        number_it(s->message, s->length, s->number);
        memcpy(place, s->message, s->length);
    }
    mft_bytes_put(&s->ring, place, s->length);
    s->number++;
    return 1;
}

/* 1: done; 0: empty. What was taken is not released. */
static inline int take(side_t *s, int claim)
{
    const unsigned char *place = NULL;
    uint64_t length;
    const int rc = mft_bytes_peek(&s->ring, &place, &length);

    if (rc == MFT_EMPTY)
        return 0;
    if (rc != MFT_OK || length != s->length) {
        fprintf(stderr, "not a message of ours (%d)\n", rc);
        exit(3);
    }
    if (!claim) {
        memcpy(s->message, place, length);
        place = s->message;
    }
    check_it(place, length, s->number++);
    mft_bytes_take(&s->ring, length);
    return 1;
}

static inline int send_one(side_t *s, int claim)
{
    if (!put(s, claim))
        return 0;
    mft_bytes_commit(&s->ring);
    return 1;
}

static inline int receive_one(side_t *s, int claim)
{
    if (!take(s, claim))
        return 0;
    mft_bytes_release(&s->ring);
    return 1;
}

static inline void round_trip(side_t *there, side_t *back, int claim, long rounds, int cpu)
{
    const long warm_up = rounds / 10;
    int64_t *taken = samples_for(rounds);
    const pid_t child = child_on(cpu);

    if (child == 0) {
        for (long i = 0; i < warm_up + rounds; i++) {
            while (!receive_one(there, claim))
                mft_pause();
            while (!send_one(back, claim))
                mft_pause();
        }
        _exit(0);
    }
    for (long i = 0; i < warm_up + rounds; i++) {
        const int64_t start = mft_now_ns();
        while (!send_one(there, claim))
            mft_pause();
        while (!receive_one(back, claim))
            mft_pause();
        if (i >= warm_up)
            taken[i - warm_up] = mft_now_ns() - start;
    }
    child_ended(child);
    printf("{");
    print_percentiles(taken, rounds);
    printf("}\n");
}

static inline void send_up_to(side_t *s, int claim, long batch)
{
    for (long done = 0; done < batch;) {
        const long before = done;
        while (done < batch && put(s, claim))
            done++;
        if (done > before)
            mft_bytes_commit(&s->ring);
    }
}

static inline void throughput(side_t *s, int claim, long batch, long messages, int cpu)
{
    const long warm_up = messages / 10 / BATCH * BATCH, all = warm_up + messages / BATCH * BATCH;
    int64_t start = 0, *const ended = shared_bytes(sizeof *ended);
    const pid_t child = child_on(cpu);

    if (child == 0) {
        for (long got = 0; got < all;) {
            const long before = got;
            while (got - before < batch && got < all && take(s, claim))
                got++;
            if (got > before)
                mft_bytes_release(&s->ring);
        }
        *ended = mft_now_ns();
        _exit(0);
    }
    for (long sent = 0; sent < all; sent += batch) {
        if (sent == warm_up)
            start = mft_now_ns();
        send_up_to(s, claim, batch);
    }
    child_ended(child);
    {
        const double ns = (double)(*ended - start) / (double)(all - warm_up);
        printf("{\"ns_per_message\": %.4f, \"million_per_s\": %.4f, \"count\": %ld}\n", ns, 1e3 / ns, all - warm_up);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc == 7 ? argv[1] : "";
    const long length = argc == 7 ? atol(argv[2]) : 0, room = argc == 7 ? atol(argv[3]) : 0;
    const long count = argc == 7 ? atol(argv[4]) : 0;
    side_t there, back;
    int other, known = 1;

    if (length < 8 || room < BATCH || count < 1000) {
        fprintf(stderr, "usage: bench_byte_ring MEASURE LENGTH ROOM COUNT CPU_A CPU_B, LENGTH at least 8, ROOM 64, "
                        "COUNT 1000\n");
        return 2;
    }
    pin(atoi(argv[5]));
    other = atoi(argv[6]);
    make(&there, (uint64_t)length, (uint64_t)room);
    make(&back, (uint64_t)length, (uint64_t)room);
    if (strcmp(what, "round_trip") == 0)
        round_trip(&there, &back, 0, count, other);
    else if (strcmp(what, "round_trip_claim") == 0)
        round_trip(&there, &back, 1, count, other);
    else if (strcmp(what, "throughput") == 0)
        throughput(&there, 0, 1, count, other);
    else if (strcmp(what, "throughput_claim") == 0)
        throughput(&there, 1, 1, count, other);
    else if (strcmp(what, "throughput_batch") == 0)
        throughput(&there, 0, BATCH, count, other);
    else
        known = 0;
    if (!known)
        fprintf(stderr, "no such measure: %s\n", what);
    return known ? 0 : 2;
}
