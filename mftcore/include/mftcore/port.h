/* What compiled code needs of an endpoint that Python made, so that it can use it without the interpreter: pointers, good
 * for as long as the endpoint is. One thread at a time, as always. The calls below look first at which end it is and at its
 * state, so a wrong or closed one is an error and not a crash.
 *
 * These are the calls behind mftcore/numba.py and mftcore/port.pxd. Machine code that Numba has cached, and modules that
 * users have built, outlive our version. They know the calls by name and a port as a pointer, never what is in it, so fields
 * and calls may be added. When a call changes, MFT_ABI goes up: the old names of mftcore/abi.pyx stay and say MFT_E_RETIRED,
 * and port_of of mftcore/port.pyx refuses modules of the old number. */
#ifndef MFTCORE_PORT_H
#define MFTCORE_PORT_H

#include "book.h"
#include "broadcast.h"
#include "byte_ring.h"
#include "histogram.h"
#include "ring.h"

#define MFT_ABI 1

enum {
    MFT_E_RETIRED = -11, /* compiled for another version of this library */
    MFT_E_UNUSABLE = -12, /* the endpoint is closed, of before a fork, in use by another thread, or lends its records */
    MFT_E_UNSTABLE = -13, /* MFT_UNSTABLE, as an error */
    MFT_E_SMALL = -14,    /* the message is longer than the place for it, and stays in the ring */
    MFT_E_WRONG_END = -15 /* this kind of endpoint has no such call */
};

enum { /* which end it is; a call names those that have it */
    MFT_END_PRODUCER = 1,
    MFT_END_CONSUMER = 2,
    MFT_END_BYTES_PRODUCER = 4,
    MFT_END_BYTES_CONSUMER = 8,
    MFT_END_WRITER = 16,
    MFT_END_READER = 32,
    MFT_END_BOOK_READER = 64,
    MFT_END_BROADCAST_WRITER = 128,
    MFT_END_BROADCAST_READER = 256,
    MFT_END_RECORDER = 512
};

typedef struct mft_port {
    void *handle;             /* mft_ring_t, mft_bytes_t, mft_seqlock_t, mft_broadcast_t (of a reader), mft_histogram_t */
    uint32_t end;             /* MFT_END_...; 0: none, every call is refused */
    const uint32_t *state;    /* 0: usable */
    const uint64_t *born;     /* fork generation of the endpoint, and of the process */
    const uint64_t *generation;
    const uint64_t *epoch;
    mft_bell_t *outer;        /* a doorbell to ring as well, or NULL */
    int outer_fd;
    mft_window_t *window;     /* of a book reader */
    uint64_t levels;
    uint64_t *seen;           /* of a reader: the version that was read last */
    mft_stamp_t *stamp;       /* of a broadcast reader: of the record that was read last */
} mft_port_t;

/* 0, or why a call of these ends cannot be made. */
static inline int mft_port_refusal(const mft_port_t *p, uint32_t ends)
{
    if (!(p->end & ends))
        return MFT_E_WRONG_END;
    return *p->state == 0 && *p->born == *p->generation ? 0 : MFT_E_UNUSABLE;
}

static inline void mft_port_ring(mft_port_t *p, mft_bell_t *own)
{
    mft_bell_ring(own);
    if (p->outer)
        mft_bell_ring_fd(p->outer, p->outer_fd);
}

/* 1: pushed; 0: full; negative: an error. */
static inline int64_t mft_port_push(mft_port_t *p, const void *record)
{
    const int refusal = mft_port_refusal(p, MFT_END_PRODUCER);
    mft_ring_t *r = p->handle;
    int rc;

    if (refusal != 0)
        return refusal;
    rc = mft_ring_push(r, record);
    if (rc == MFT_OK)
        mft_port_ring(p, &r->shared->records);
    return rc == MFT_OK ? 1 : rc == MFT_FULL ? 0 : rc;
}

/* How many of `count` were pushed, or an error. */
static inline int64_t mft_port_push_many(mft_port_t *p, const void *records, int64_t count)
{
    const int refusal = mft_port_refusal(p, MFT_END_PRODUCER);
    mft_ring_t *r = p->handle;
    int64_t done;

    if (refusal != 0)
        return refusal;
    if (count < 0)
        return MFT_E_ARGUMENT;
    done = mft_ring_push_many(r, records, (uint64_t)count);
    if (done > 0)
        mft_port_ring(p, &r->shared->records);
    return done;
}

/* 1: popped; 0: empty; negative: an error. */
static inline int64_t mft_port_pop(mft_port_t *p, void *record)
{
    const int refusal = mft_port_refusal(p, MFT_END_CONSUMER);
    mft_ring_t *r = p->handle;
    int rc;

    if (refusal != 0)
        return refusal;
    rc = mft_ring_pop(r, record);
    if (rc == MFT_OK)
        mft_port_ring(p, &r->shared->room);
    return rc == MFT_OK ? 1 : rc == MFT_EMPTY ? 0 : rc;
}

/* How many of at most `count` were popped, or an error. */
static inline int64_t mft_port_pop_many(mft_port_t *p, void *records, int64_t count)
{
    const int refusal = mft_port_refusal(p, MFT_END_CONSUMER);
    mft_ring_t *r = p->handle;
    int64_t done;

    if (refusal != 0)
        return refusal;
    if (count < 0)
        return MFT_E_ARGUMENT;
    done = mft_ring_pop_many(r, records, (uint64_t)count);
    if (done > 0)
        mft_port_ring(p, &r->shared->room);
    return done;
}

/* The new version, or an error. */
static inline int64_t mft_port_write(mft_port_t *p, const void *record)
{
    const int refusal = mft_port_refusal(p, MFT_END_WRITER | MFT_END_BROADCAST_WRITER);
    mft_seqlock_t *q = p->handle;
    uint64_t version;

    if (refusal != 0)
        return refusal;
    version = mft_seqlock_write(q, record, *p->epoch, mft_now_ns());
    mft_port_ring(p, &q->shared->news);
    return (int64_t)version;
}

/* The version that was read, 0 when there is none, or an error. `age_ns` since it was written. */
static inline int64_t mft_port_read(mft_port_t *p, void *record, int64_t *age_ns)
{
    const int refusal = mft_port_refusal(p, MFT_END_READER);
    mft_seqlock_t *q = p->handle;
    mft_stamp_t stamp;

    if (refusal != 0)
        return refusal;
    if (mft_seqlock_read(q, record, q->bytes, &stamp) != MFT_OK)
        return MFT_E_UNSTABLE;
    if (stamp.version == 0)
        memset(record, 0, q->bytes);
    *p->seen = stamp.version;
    *age_ns = stamp.version ? mft_age_ns(stamp.written_ns) : -1;
    return (int64_t)stamp.version;
}

/* The version of the window that was read into the reader's arrays; found: age_ns, state, n_bids, n_asks. As above. */
static inline int64_t mft_port_read_book(mft_port_t *p, int64_t levels, int64_t *found)
{
    const int refusal = mft_port_refusal(p, MFT_END_BOOK_READER);
    mft_seqlock_t *q = p->handle;
    mft_book_top_t *top;
    const uint64_t wanted = levels < 0 || (uint64_t)levels > p->levels ? p->levels : (uint64_t)levels;
    const uint64_t bytes = wanted ? mft_window_bytes(wanted) : sizeof(mft_book_top_t);
    mft_stamp_t stamp;

    if (refusal != 0)
        return refusal;
    top = &p->window->top;
    if (mft_seqlock_read(q, p->window, bytes, &stamp) != MFT_OK)
        return MFT_E_UNSTABLE;
    if (stamp.version == 0) {
        memset(p->window, 0, bytes);
        top->state = MFT_BOOK_EMPTY;
    }
    *p->seen = stamp.version;
    found[0] = stamp.version ? mft_age_ns(top->receive_ns) : -1;
    found[1] = top->state;
    found[2] = top->n_bids < wanted ? top->n_bids : (int64_t)wanted;
    found[3] = top->n_asks < wanted ? top->n_asks : (int64_t)wanted;
    return (int64_t)stamp.version;
}

/* Broadcast: the number of the last record that was written, of the newest when `count` is 0; or an error. */
static inline int64_t mft_port_write_many(mft_port_t *p, const void *records, int64_t count)
{
    const int refusal = mft_port_refusal(p, MFT_END_BROADCAST_WRITER);
    mft_seqlock_t *q = p->handle;
    const unsigned char *from = records;
    uint64_t number;

    if (refusal != 0)
        return refusal;
    if (count < 0)
        return MFT_E_ARGUMENT;
    number = mft_seqlock_version(q);
    for (int64_t i = 0; i < count; i++)
        number = mft_seqlock_write(q, from + (uint64_t)i * q->bytes, *p->epoch, mft_now_ns());
    if (count > 0)
        mft_port_ring(p, &q->shared->news);
    return (int64_t)number;
}

/* Broadcast: the number of the record that was read, 0 when there is none yet, or an error. `lost`: how many this reader has
 * missed in all. */
static inline int64_t mft_port_next(mft_port_t *p, void *record, int64_t *lost)
{
    const int refusal = mft_port_refusal(p, MFT_END_BROADCAST_READER);
    mft_broadcast_t *b = p->handle;
    mft_stamp_t stamp;
    uint64_t skipped;
    int rc;

    if (refusal != 0)
        return refusal;
    rc = mft_broadcast_next(b, record, &stamp, &skipped);
    *lost = (int64_t)b->lost;
    if (rc == MFT_EMPTY)
        return 0;
    if (rc != MFT_OK)
        return rc == MFT_UNSTABLE ? MFT_E_UNSTABLE : rc;
    *p->stamp = stamp;
    return (int64_t)stamp.version;
}

/* 1: pushed; 0: no room; MFT_E_ARGUMENT: longer than the ring has room for, ever; or another error. */
static inline int64_t mft_port_push_bytes(mft_port_t *p, const void *message, int64_t length)
{
    const int refusal = mft_port_refusal(p, MFT_END_BYTES_PRODUCER);
    mft_bytes_t *r = p->handle;
    int rc;

    if (refusal != 0)
        return refusal;
    rc = mft_bytes_push(r, message, (uint64_t)length); /* a negative one is longer than any ring */
    if (rc == MFT_OK)
        mft_port_ring(p, &r->shared->messages);
    return rc == MFT_OK ? 1 : rc == MFT_FULL ? 0 : rc;
}

/* 1: popped; 0: empty; MFT_E_SMALL: it is longer than `size`, the place for it, and stays where it is; or another error.
 * `length` is that of the message, in both cases. */
static inline int64_t mft_port_pop_bytes(mft_port_t *p, void *message, int64_t size, int64_t *length)
{
    const int refusal = mft_port_refusal(p, MFT_END_BYTES_CONSUMER);
    mft_bytes_t *r = p->handle;
    const unsigned char *place = NULL;
    uint64_t found = 0;
    int rc;

    *length = 0;
    if (refusal != 0)
        return refusal;
    if (size < 0)
        return MFT_E_ARGUMENT;
    rc = mft_bytes_peek(r, &place, &found);
    if (rc != MFT_OK)
        return rc == MFT_EMPTY ? 0 : rc;
    *length = (int64_t)found;
    if (found > (uint64_t)size)
        return MFT_E_SMALL;
    memcpy(message, place, found);
    mft_bytes_take(r, found);
    mft_bytes_release(r);
    mft_port_ring(p, &r->shared->room);
    return 1;
}

/* 0, or an error. */
static inline int64_t mft_port_record(mft_port_t *p, int64_t ns)
{
    const int refusal = mft_port_refusal(p, MFT_END_RECORDER);
    if (refusal != 0)
        return refusal;
    mft_histogram_record(p->handle, ns);
    return 0;
}

#endif
