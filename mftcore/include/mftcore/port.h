/* What compiled code needs of an endpoint that Python made, so that it can use it without the interpreter: pointers, good
 * for as long as the endpoint is. One thread at a time, as always. The calls below look at the endpoint's state first, so a
 * closed one is an error and not a crash.
 *
 * These are the calls behind mftcore/numba.py. Their names carry MFT_ABI: machine code that Numba has cached outlives our
 * version, so a call that changes gets a new number, and the old name stays and says MFT_E_RETIRED. */
#ifndef MFTCORE_PORT_H
#define MFTCORE_PORT_H

#include "book.h"
#include "histogram.h"
#include "ring.h"

#define MFT_ABI 1

enum {
    MFT_E_RETIRED = -11, /* compiled for another version of this library */
    MFT_E_UNUSABLE = -12, /* the endpoint is closed, of before a fork, in use by another thread, or lends its records */
    MFT_E_UNSTABLE = -13  /* MFT_UNSTABLE, as an error */
};

typedef struct {
    void *handle;             /* mft_ring_t, mft_seqlock_t, mft_histogram_t */
    const uint32_t *state;    /* 0: usable */
    const uint64_t *born;     /* fork generation of the endpoint, and of the process */
    const uint64_t *generation;
    const uint64_t *epoch;
    mft_bell_t *outer;        /* a doorbell to ring as well, or NULL */
    int outer_fd;
    mft_window_t *window;     /* of a book reader */
    uint64_t levels;
    uint64_t *seen;           /* of a reader: the version that was read last */
} mft_port_t;

static inline int mft_port_usable(const mft_port_t *p)
{
    return *p->state == 0 && *p->born == *p->generation;
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
    mft_ring_t *r = p->handle;
    int rc;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
    rc = mft_ring_push(r, record);
    if (rc == MFT_OK)
        mft_port_ring(p, &r->shared->records);
    return rc == MFT_OK ? 1 : rc == MFT_FULL ? 0 : rc;
}

/* How many of `count` were pushed, or an error. */
static inline int64_t mft_port_push_many(mft_port_t *p, const void *records, int64_t count)
{
    mft_ring_t *r = p->handle;
    int64_t done;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
    done = mft_ring_push_many(r, records, (uint64_t)count);
    if (done > 0)
        mft_port_ring(p, &r->shared->records);
    return done;
}

/* 1: popped; 0: empty; negative: an error. */
static inline int64_t mft_port_pop(mft_port_t *p, void *record)
{
    mft_ring_t *r = p->handle;
    int rc;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
    rc = mft_ring_pop(r, record);
    if (rc == MFT_OK)
        mft_port_ring(p, &r->shared->room);
    return rc == MFT_OK ? 1 : rc == MFT_EMPTY ? 0 : rc;
}

/* How many of at most `count` were popped, or an error. */
static inline int64_t mft_port_pop_many(mft_port_t *p, void *records, int64_t count)
{
    mft_ring_t *r = p->handle;
    int64_t done;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
    done = mft_ring_pop_many(r, records, (uint64_t)count);
    if (done > 0)
        mft_port_ring(p, &r->shared->room);
    return done;
}

/* The new version, or an error. */
static inline int64_t mft_port_write(mft_port_t *p, const void *record)
{
    mft_seqlock_t *q = p->handle;
    uint64_t version;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
    version = mft_seqlock_write(q, record, *p->epoch, mft_now_ns());
    mft_port_ring(p, &q->shared->news);
    return (int64_t)version;
}

/* The version that was read, 0 when there is none, or an error. `age_ns` since it was written. */
static inline int64_t mft_port_read(mft_port_t *p, void *record, int64_t *age_ns)
{
    mft_seqlock_t *q = p->handle;
    mft_stamp_t stamp;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
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
    mft_seqlock_t *q = p->handle;
    mft_book_top_t *top = &p->window->top;
    const uint64_t wanted = levels < 0 || (uint64_t)levels > p->levels ? p->levels : (uint64_t)levels;
    const uint64_t bytes = wanted ? mft_window_bytes(wanted) : sizeof(mft_book_top_t);
    mft_stamp_t stamp;

    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
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

/* 0, or an error. */
static inline int64_t mft_port_record(mft_port_t *p, int64_t ns)
{
    if (!mft_port_usable(p))
        return MFT_E_UNUSABLE;
    mft_histogram_record(p->handle, ns);
    return 0;
}

#endif
