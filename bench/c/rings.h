/* The rings that are compared, each behind the same calls: NAME_put_fields writes a record's fields into the slot's own
 * memory, NAME_take reads them there; NAME_push and NAME_pop copy a record that lies elsewhere. All are told the record
 * size when compiled, except ours, which is told when it runs.
 *
 * The first word of a record is its number; the other words hold it too, so that the receiving side can check each. */
#ifndef BENCH_RINGS_H
#define BENCH_RINGS_H

#include "mftcore/ring.h"
#include "pair.h"

#ifndef RECORD
#define RECORD 64
#endif
#define CAPACITY 1024u

typedef struct {
    uint64_t words[RECORD / 8];
} record_t;

/* Unrolled in every ring alike: where the compiler decides for each, it does so for one and not for the other, and that
 * alone halves or doubles the throughput. */
static inline void fill(uint64_t *words, unsigned count, uint64_t number)
{
#pragma GCC unroll 128
    for (unsigned i = 0; i < count; i++)
        words[i] = number;
}

/* 0 when all words hold the number. */
static inline uint64_t wrong(const uint64_t *words, unsigned count, uint64_t number)
{
    uint64_t differences = 0;

#pragma GCC unroll 128
    for (unsigned i = 0; i < count; i++)
        differences |= words[i] ^ number;
    return differences;
}

/* ---- ours ---- */

static inline mft_segment_t make_segment(void)
{
    mft_segment_t s;
    mft_spec_t spec = {.kind = MFT_KIND_RING, .version = MFT_RING_VERSION, .record_bytes = RECORD, .dtype = "\"|V8\""};

    spec.capacity = CAPACITY;
    spec.data_bytes = mft_ring_data_bytes(CAPACITY, RECORD);
    if (mft_segment_make(&s, &spec) != MFT_OK) {
        fprintf(stderr, "no shared memory: %s\n", strerror(s.error));
        exit(2);
    }
    mft_segment_publish(&s);
    return s;
}

typedef struct {
    mft_segment_t segment;
    mft_ring_t ring;
} ours_t;

static inline void ours_make(ours_t *r)
{
    r->segment = make_segment();
    if (mft_ring_open(&r->ring, &r->segment) != MFT_OK)
        exit(2);
}

static inline int ours_put_fields(ours_t *r, uint64_t number)
{
    void *place;
    uint64_t n = 1;

    if (mft_ring_claim(&r->ring, &n, &place) != MFT_OK)
        return 0;
    fill(place, RECORD / 8, number);
    mft_ring_commit(&r->ring, 1);
    return 1;
}

static inline int ours_take(ours_t *r, uint64_t number, uint64_t *errors)
{
    const void *place;
    uint64_t n = 1;

    if (mft_ring_peek(&r->ring, &n, &place) != MFT_OK)
        return 0;
    *errors |= wrong(place, RECORD / 8, number);
    mft_ring_release(&r->ring, 1);
    return 1;
}

static inline int ours_push(ours_t *r, const record_t *record)
{
    return mft_ring_push(&r->ring, record) == MFT_OK;
}

static inline int ours_pop(ours_t *r, record_t *record)
{
    return mft_ring_pop(&r->ring, record) == MFT_OK;
}

/* ---- the design that rigtorp/SPSCQueue's README describes, rebuilt from that description ----
 *
 * A ring with one slot more than it holds; two indices that wrap; each side keeps the other's index as it last saw it
 * and looks again only when that one says full or empty; all four on lines of their own. */

#define CACHED_SLOTS (CAPACITY + 1)

typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) write_at;
    _Alignas(MFT_LINE) uint64_t read_seen; /* the writer's memory of read_at */
    _Alignas(MFT_LINE) _Atomic(uint64_t) read_at;
    _Alignas(MFT_LINE) uint64_t write_seen; /* the reader's memory of write_at */
    _Alignas(MFT_LINE) unsigned char padding[MFT_LINE];
    _Alignas(MFT_LINE) record_t slots[CACHED_SLOTS];
    unsigned char more_padding[MFT_LINE];
} cached_shared_t;

typedef struct {
    cached_shared_t *s;
} cached_t;

static inline void cached_make(cached_t *r)
{
    r->s = shared_bytes(sizeof *r->s);
}

static inline uint64_t cached_next(uint64_t at)
{
    return at + 1 == CACHED_SLOTS ? 0 : at + 1;
}

/* The slot to write, or NULL when full. */
static inline record_t *cached_room(cached_t *r)
{
    const uint64_t at = atomic_load_explicit(&r->s->write_at, memory_order_relaxed), next = cached_next(at);

    if (next == r->s->read_seen) {
        r->s->read_seen = atomic_load_explicit(&r->s->read_at, memory_order_acquire);
        if (next == r->s->read_seen)
            return NULL;
    }
    return &r->s->slots[at];
}

static inline void cached_written(cached_t *r)
{
    const uint64_t at = atomic_load_explicit(&r->s->write_at, memory_order_relaxed);

    atomic_store_explicit(&r->s->write_at, cached_next(at), memory_order_release);
}

/* The oldest record, or NULL when empty. */
static inline record_t *cached_front(cached_t *r)
{
    const uint64_t at = atomic_load_explicit(&r->s->read_at, memory_order_relaxed);

    if (at == r->s->write_seen) {
        r->s->write_seen = atomic_load_explicit(&r->s->write_at, memory_order_acquire);
        if (at == r->s->write_seen)
            return NULL;
    }
    return &r->s->slots[at];
}

static inline void cached_taken(cached_t *r)
{
    const uint64_t at = atomic_load_explicit(&r->s->read_at, memory_order_relaxed);

    atomic_store_explicit(&r->s->read_at, cached_next(at), memory_order_release);
}

static inline int cached_put_fields(cached_t *r, uint64_t number)
{
    record_t *slot = cached_room(r);

    if (slot == NULL)
        return 0;
    fill(slot->words, RECORD / 8, number);
    cached_written(r);
    return 1;
}

static inline int cached_take(cached_t *r, uint64_t number, uint64_t *errors)
{
    const record_t *slot = cached_front(r);

    if (slot == NULL)
        return 0;
    *errors |= wrong(slot->words, RECORD / 8, number);
    cached_taken(r);
    return 1;
}

static inline int cached_push(cached_t *r, const record_t *record)
{
    record_t *slot = cached_room(r);

    if (slot == NULL)
        return 0;
    memcpy(slot, record, sizeof *slot);
    cached_written(r);
    return 1;
}

static inline int cached_pop(cached_t *r, record_t *record)
{
    const record_t *slot = cached_front(r);

    if (slot == NULL)
        return 0;
    memcpy(record, slot, sizeof *record);
    cached_taken(r);
    return 1;
}

/* ---- the sequence inside the slot ----
 *
 * A slot is RECORD bytes of which the first eight say whose turn it is: position p may be written when they hold p,
 * read when they hold p + 1, and p + CAPACITY gives it back. Payload and flag travel as one line; no index is shared.
 * So a record here has eight bytes less than in the other rings. */

typedef struct {
    _Atomic(uint64_t) turn;
    uint64_t words[RECORD / 8 - 1];
} slot_t;

typedef struct {
    slot_t *slots;
    uint64_t write_at, read_at; /* private: each side has its own copy of this struct */
} inslot_t;

static inline void inslot_make(inslot_t *r)
{
    memset(r, 0, sizeof *r);
    r->slots = shared_bytes(CAPACITY * sizeof(slot_t));
    for (uint64_t i = 0; i < CAPACITY; i++)
        atomic_store_explicit(&r->slots[i].turn, i, memory_order_relaxed);
}

static inline slot_t *inslot_room(inslot_t *r)
{
    slot_t *slot = &r->slots[r->write_at % CAPACITY];

    return atomic_load_explicit(&slot->turn, memory_order_acquire) == r->write_at ? slot : NULL;
}

static inline slot_t *inslot_front(inslot_t *r)
{
    slot_t *slot = &r->slots[r->read_at % CAPACITY];

    return atomic_load_explicit(&slot->turn, memory_order_acquire) == r->read_at + 1 ? slot : NULL;
}

static inline int inslot_put_fields(inslot_t *r, uint64_t number)
{
    slot_t *slot = inslot_room(r);

    if (slot == NULL)
        return 0;
    fill(slot->words, RECORD / 8 - 1, number);
    atomic_store_explicit(&slot->turn, ++r->write_at, memory_order_release);
    return 1;
}

static inline int inslot_take(inslot_t *r, uint64_t number, uint64_t *errors)
{
    slot_t *slot = inslot_front(r);

    if (slot == NULL)
        return 0;
    *errors |= wrong(slot->words, RECORD / 8 - 1, number);
    atomic_store_explicit(&slot->turn, r->read_at++ + CAPACITY, memory_order_release);
    return 1;
}

static inline int inslot_push(inslot_t *r, const record_t *record)
{
    slot_t *slot = inslot_room(r);

    if (slot == NULL)
        return 0;
    memcpy(slot->words, record, sizeof slot->words);
    atomic_store_explicit(&slot->turn, ++r->write_at, memory_order_release);
    return 1;
}

static inline int inslot_pop(inslot_t *r, record_t *record)
{
    slot_t *slot = inslot_front(r);

    if (slot == NULL)
        return 0;
    memcpy(record, slot->words, sizeof slot->words);
    atomic_store_explicit(&slot->turn, r->read_at++ + CAPACITY, memory_order_release);
    return 1;
}

#endif
