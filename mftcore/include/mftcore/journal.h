/* The journal's live part: records of any length, one writer, one drainer that brings them to disk (journal_drain.h), any
 * number of readers, none of whom can slow the writer.
 *
 * Promise: the release store of `tail` is the only commit point. A writer killed at any instruction leaves every record it
 * committed and nothing of the one it was writing; its successor goes on with the next sequence number. A record is written
 * over only when it is on disk. A reader gets whole records, or is told to read them from the files.
 *
 * Method: one position counts bytes for ever; memory holds the last `bytes` of them, mapped twice so that each record lies
 * in one piece, and laid out as in the files. `wip` is stored before memory is touched that readers may be copying, as
 * `begun` in seqlock.h: a copy of the record at p is whole if `wip` - p had not exceeded `bytes` when the copying ended. */
#ifndef MFTCORE_JOURNAL_H
#define MFTCORE_JOURNAL_H

#include "crc32c.h"
#include "segment.h"
#include "wait.h"

#define MFT_JOURNAL_VERSION 1u
#define MFT_JOURNAL_CONTROL (65536u - MFT_PAGE) /* the records begin at 64 KiB of the segment: a page on any machine */
#define MFT_JOURNAL_LEAST UINT64_C(65536)
#define MFT_JOURNAL_MOST (UINT64_C(1) << 32)
#define MFT_RECORD_HEADER 32u
#define MFT_JOURNAL_TRIES 1000

enum { MFT_JOURNAL_WRITER = 0, MFT_JOURNAL_DRAINER = 1 }; /* roles */

/* Numbers in the segment's header. */
enum { MFT_JOURNAL_FILE_BYTES, MFT_JOURNAL_ID_LOW, MFT_JOURNAL_ID_HIGH, MFT_JOURNAL_START };

/* The orders have names, so that the tests can weaken each in turn and see it objected to. The words of a record carry
 * orders themselves (free on x86-64) in place of standalone fences, which ThreadSanitizer does not model. */
#ifndef MFT_JOURNAL_WORD_RELEASE
#define MFT_JOURNAL_WORD_RELEASE memory_order_release
#endif
#ifndef MFT_JOURNAL_WORD_ACQUIRE
#define MFT_JOURNAL_WORD_ACQUIRE memory_order_acquire
#endif
#ifndef MFT_JOURNAL_TAIL_RELEASE
#define MFT_JOURNAL_TAIL_RELEASE memory_order_release
#endif
#ifndef MFT_JOURNAL_TAIL_ACQUIRE
#define MFT_JOURNAL_TAIL_ACQUIRE memory_order_acquire
#endif
#ifndef MFT_JOURNAL_DRAINED_RELEASE
#define MFT_JOURNAL_DRAINED_RELEASE memory_order_release
#endif
#ifndef MFT_JOURNAL_DRAINED_ACQUIRE
#define MFT_JOURNAL_DRAINED_ACQUIRE memory_order_acquire
#endif

/* Whether the record at a position was untouched when `wip` was read. Unsigned: a damaged `wip` below it is refused too.
 * The tests plant a version of it that is always true. */
#ifndef MFT_JOURNAL_WHOLE
#define MFT_JOURNAL_WHOLE(position, wip) ((wip) - (position) <= j->bytes)
#endif

/* A record in memory and in the files, 8-aligned, then the payload, padded with zeros to 8 bytes. The checksum is over the
 * words of header, payload and padding, the first word without the checksum itself. */
enum { MFT_RECORD_LENGTH_CRC, MFT_RECORD_SEQUENCE, MFT_RECORD_STAMP, MFT_RECORD_TYPE, MFT_RECORD_WORDS };

/* Which record ends at a position. */
typedef struct {
    _Atomic(uint64_t) position;
    _Atomic(uint64_t) sequence;
} mft_journal_mark_t;

/* Shared: no pointers. The records follow at MFT_JOURNAL_CONTROL. */
typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) tail;    /* end of the newest committed record; writer */
    _Atomic(uint64_t) wip;                        /* how far anything was ever written: never less than tail; writer */
    mft_journal_mark_t marks[2];                  /* of records with even and odd numbers; one of them ends at tail; writer */
    _Atomic(uint64_t) full;                       /* records refused for want of room; writer */
    _Alignas(MFT_LINE) _Atomic(uint64_t) drained; /* all before it is on disk and synced; drainer */
    _Atomic(uint64_t) disk_error;                 /* errno of the last attempt to drain, 0 when it succeeded; drainer */
    _Atomic(uint64_t) attempts;                   /* attempts to drain that ended; drainer */
    _Atomic(uint64_t) retired;                    /* 1: all is on disk and nobody will append; holder of both roles */
    mft_bell_t news;                              /* readers sleep here until there is a record */
    mft_bell_t work;                              /* the drainer sleeps here between two attempts */
    mft_bell_t done;                              /* a writer sleeps here until an attempt has ended */
} mft_journal_shared_t;
_Static_assert(offsetof(mft_journal_shared_t, drained) == MFT_LINE, "processes share this layout");
_Static_assert(offsetof(mft_journal_shared_t, news) == 2 * MFT_LINE, "processes share this layout");
_Static_assert(sizeof(mft_journal_shared_t) == 5 * MFT_LINE, "processes share this layout");

/* Private to an endpoint. */
typedef struct {
    mft_journal_shared_t *shared;
    unsigned char *data;   /* `bytes` long, and the same once more behind it */
    uint64_t bytes;        /* a power of two */
    uint64_t mask;
    uint64_t start;        /* the first position that ever lay in this memory */
    uint64_t longest;      /* payload bytes of the longest record that memory and files can hold */
    uint64_t drained_seen; /* writer: the drainer was at least here */
    uint64_t sequence;     /* writer: of the newest record */
    int crc_by_instruction;
} mft_journal_t;

/* What stands before a payload. */
typedef struct {
    uint64_t position; /* of its first byte */
    uint64_t sequence;
    int64_t stamp_ns;
    uint32_t type;
    uint32_t length;   /* payload bytes */
    uint32_t crc;
} mft_record_t;

/* What a record takes of memory and file. */
static inline uint64_t mft_record_taken(uint64_t length)
{
    return MFT_RECORD_HEADER + ((length + 7) & ~UINT64_C(7));
}

/* Bytes of the data part for a journal of so much memory (a power of two); 0 when it makes none. */
static inline uint64_t mft_journal_data_bytes(uint64_t bytes)
{
    if (bytes < MFT_JOURNAL_LEAST || bytes > MFT_JOURNAL_MOST || (bytes & (bytes - 1)) != 0)
        return 0;
    return MFT_JOURNAL_CONTROL + bytes;
}

/* Sets what a new memory begins with: `position` and the number of the record that ends there (0: none). */
static inline void mft_journal_begin(mft_segment_t *s, uint64_t position, uint64_t sequence)
{
    mft_journal_shared_t *const shared = (mft_journal_shared_t *)(void *)s->data;

    /* relaxed: the release of `ready` follows */
    atomic_store_explicit(&shared->tail, position, memory_order_relaxed);
    atomic_store_explicit(&shared->wip, position, memory_order_relaxed);
    atomic_store_explicit(&shared->drained, position, memory_order_relaxed);
    atomic_store_explicit(&shared->marks[sequence & 1].position, position, memory_order_relaxed);
    atomic_store_explicit(&shared->marks[sequence & 1].sequence, sequence, memory_order_relaxed);
    atomic_store_explicit(&shared->marks[~sequence & 1].position, UINT64_MAX, memory_order_relaxed);
}

/* End and number of the newest record, as they belong together. MFT_UNSTABLE: the writer was too quick each time. Of a
 * damaged memory, in which no mark is at the tail, the same. */
static inline int mft_journal_newest(const mft_journal_t *j, uint64_t *position, uint64_t *sequence)
{
    for (int tries = 0; tries < MFT_JOURNAL_TRIES; tries++) {
        /* SYNC tail, with the release in mft_journal_append: the mark that belongs to it is there. It is written anew two
         * records later at the earliest, its sequence last: a tail that did not move meanwhile vouches for it. */
        const uint64_t tail = atomic_load_explicit(&j->shared->tail, MFT_JOURNAL_TAIL_ACQUIRE);

        for (int i = 0; i < 2; i++)
            if (atomic_load_explicit(&j->shared->marks[i].position, memory_order_acquire) == tail) {
                *sequence = atomic_load_explicit(&j->shared->marks[i].sequence, memory_order_acquire);
                *position = tail;
                if (atomic_load_explicit(&j->shared->tail, memory_order_relaxed) == tail)
                    return MFT_OK;
            }
        mft_pause();
    }
    return MFT_UNSTABLE;
}

/* Make a private handle. `s` is mapped with its last `capacity` bytes mirrored (mft_segment_mirror). */
static inline int mft_journal_open(mft_journal_t *j, mft_segment_t *s)
{
    const uint64_t bytes = s->layout.capacity, needed = mft_journal_data_bytes(bytes);
    const uint64_t file_bytes = s->layout.params[MFT_JOURNAL_FILE_BYTES];
    uint64_t drained, tail;

    if (needed == 0 || s->data_bytes != needed || s->mirror_bytes != bytes)
        return mft_fault(s, "capacity", s->data_bytes, needed);
    if (file_bytes < MFT_PAGE + MFT_RECORD_HEADER || file_bytes > INT64_MAX)
        return mft_fault(s, "bytes of a file", MFT_PAGE + MFT_RECORD_HEADER, file_bytes);
    *j = (mft_journal_t){.shared = (mft_journal_shared_t *)(void *)s->data, .data = s->data + MFT_JOURNAL_CONTROL,
                         .bytes = bytes, .mask = bytes - 1, .start = s->layout.params[MFT_JOURNAL_START]};
    j->longest = (bytes < file_bytes - MFT_PAGE ? bytes : file_bytes - MFT_PAGE) - MFT_RECORD_HEADER;
    j->longest = (j->longest < UINT32_MAX ? j->longest : UINT32_MAX) & ~UINT64_C(7);
    j->crc_by_instruction = mft_crc32c_by_instruction();
    for (int tries = 0; tries < MFT_JOURNAL_TRIES; tries++) {
        /* drained before tail: see mft_ring_open */
        drained = atomic_load_explicit(&j->shared->drained, memory_order_acquire);
        tail = atomic_load_explicit(&j->shared->tail, memory_order_acquire);
        if (tail - drained <= bytes && ((tail | drained | j->start) & 7) == 0 && drained - j->start <= INT64_MAX) {
            j->drained_seen = drained;
            return MFT_OK;
        }
    }
    return MFT_E_CORRUPT;
}

/* ---- writer ---- */

/* A new holder of the role: go on where the last one committed. */
static inline int mft_journal_take_over(mft_journal_t *j)
{
    uint64_t position;

    if (mft_journal_newest(j, &position, &j->sequence) != MFT_OK)
        return MFT_E_CORRUPT;
    /* relaxed: the claim of the role came before, and nobody else writes it. */
    return atomic_load_explicit(&j->shared->wip, memory_order_relaxed) - position <= j->bytes ? MFT_OK : MFT_E_CORRUPT;
}

/* Store a payload and return the checksum of what came before and it. */
#define MFT_JOURNAL_PUT(step)                                                                                         \
    const uint64_t whole = length / 8;                                                                                \
    uint64_t word;                                                                                                    \
    for (uint64_t i = 0; i < whole; i++) {                                                                            \
        memcpy(&word, from + 8 * i, 8);                                                                               \
        atomic_store_explicit(&to[i], word, MFT_JOURNAL_WORD_RELEASE);                                                \
        crc = step(crc, word);                                                                                        \
    }                                                                                                                 \
    if (length % 8) {                                                                                                 \
        word = 0;                                                                                                     \
        memcpy(&word, from + 8 * whole, length % 8);                                                                  \
        atomic_store_explicit(&to[whole], word, MFT_JOURNAL_WORD_RELEASE);                                            \
        crc = step(crc, word);                                                                                        \
    }                                                                                                                 \
    return crc;

MFT_CRC32C_TARGET static inline uint32_t mft_journal_put_by_instruction(_Atomic(uint64_t) *to, const unsigned char *from,
                                                                        uint64_t length, uint32_t crc)
{
    MFT_JOURNAL_PUT(MFT_CRC32C_WORD)
}

static inline uint32_t mft_journal_put_by_table(_Atomic(uint64_t) *to, const unsigned char *from, uint64_t length,
                                                uint32_t crc)
{
    MFT_JOURNAL_PUT(mft_crc32c_word_by_table)
}

/* Writer only. MFT_OK and the record's number; MFT_FULL, counted: too little is on disk yet; MFT_E_ARGUMENT: longer than
 * j->longest; MFT_E_CORRUPT: the drainer's position makes no sense. Never blocks, makes no system call. */
static inline int mft_journal_append(mft_journal_t *j, uint32_t type, int64_t stamp_ns, const void *payload,
                                     uint64_t length, uint64_t *sequence)
{
    mft_journal_shared_t *const shared = j->shared;
    /* relaxed: nobody else writes tail. */
    const uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_relaxed), taken = mft_record_taken(length);
    const uint64_t header[MFT_RECORD_WORDS] = {length << 32, j->sequence + 1, (uint64_t)stamp_ns, type};
    _Atomic(uint64_t) *const to = (_Atomic(uint64_t) *)(void *)(j->data + (tail & j->mask));
    mft_journal_mark_t *const mark = &shared->marks[(j->sequence + 1) & 1];
    uint32_t crc;

    if (length > j->longest)
        return MFT_E_ARGUMENT;
    if (tail - j->drained_seen > j->bytes - taken) {
        /* SYNC drained, with the release in mft_journal_drained: it was read before we write over it. */
        j->drained_seen = atomic_load_explicit(&shared->drained, MFT_JOURNAL_DRAINED_ACQUIRE);
        if (tail - j->drained_seen > j->bytes)
            return MFT_E_CORRUPT;
        if (tail - j->drained_seen > j->bytes - taken) {
            atomic_store_explicit(&shared->full, atomic_load_explicit(&shared->full, memory_order_relaxed) + 1,
                                  memory_order_relaxed);
            return MFT_FULL;
        }
    }
    /* Never back: a dead writer may have got further with a longer record than this one. relaxed: nobody else writes it. */
    if (atomic_load_explicit(&shared->wip, memory_order_relaxed) - tail < taken)
        atomic_store_explicit(&shared->wip, tail + taken, memory_order_relaxed);
    /* SYNC word, with the acquire loads of the readers: who sees a word of this record sees `wip` of it too, and so refuses
     * what it took for an older record. */
    for (int i = MFT_RECORD_SEQUENCE; i < MFT_RECORD_WORDS; i++)
        atomic_store_explicit(&to[i], header[i], MFT_JOURNAL_WORD_RELEASE);
    if (j->crc_by_instruction) {
        crc = mft_crc32c_words_by_instruction(~UINT32_C(0), (const unsigned char *)header, MFT_RECORD_WORDS);
        crc = mft_journal_put_by_instruction(to + MFT_RECORD_WORDS, payload, length, crc);
    } else {
        crc = mft_crc32c_words_by_table(~UINT32_C(0), (const unsigned char *)header, MFT_RECORD_WORDS);
        crc = mft_journal_put_by_table(to + MFT_RECORD_WORDS, payload, length, crc);
    }
    atomic_store_explicit(&to[MFT_RECORD_LENGTH_CRC], header[0] | (uint32_t)~crc, MFT_JOURNAL_WORD_RELEASE);
    /* The mark of the record before this one stays: killed anywhere here, one of the two still belongs to tail. SYNC mark,
     * with the acquire loads in mft_journal_newest: who sees this position sees its sequence, and who sees this sequence
     * sees that the tail has moved on from the position that it replaces. */
    atomic_store_explicit(&mark->sequence, j->sequence + 1, memory_order_release);
    atomic_store_explicit(&mark->position, tail + taken, memory_order_release);
    /* SYNC tail, with the acquire in mft_journal_look and in mft_journal_undrained: who sees it sees the whole record. */
    atomic_store_explicit(&shared->tail, tail + taken, MFT_JOURNAL_TAIL_RELEASE);
    *sequence = ++j->sequence;
    return MFT_OK;
}

/* Writer only, after appending: wake the readers that sleep; and the drainer when half of the memory is not on disk. One
 * load while nobody ever slept and the disk keeps up. */
static inline void mft_journal_ring(mft_journal_t *j)
{
    const uint64_t tail = atomic_load_explicit(&j->shared->tail, memory_order_relaxed);

    mft_bell_ring(&j->shared->news);
    if (tail - j->drained_seen > j->bytes / 2) {
        j->drained_seen = atomic_load_explicit(&j->shared->drained, MFT_JOURNAL_DRAINED_ACQUIRE);
        if (tail - j->drained_seen > j->bytes / 2)
            mft_bell_ring(&j->shared->work);
    }
}

/* ---- drainer ---- */

/* Drainer only. Where the bytes that are not on disk lie, in one piece, and how many; MFT_E_CORRUPT: more than the memory
 * holds. */
static inline int mft_journal_undrained(const mft_journal_t *j, const unsigned char **from, uint64_t *count)
{
    /* relaxed: nobody else writes drained. */
    const uint64_t drained = atomic_load_explicit(&j->shared->drained, memory_order_relaxed);
    /* SYNC tail, with the release in mft_journal_append: the records are whole. */
    const uint64_t tail = atomic_load_explicit(&j->shared->tail, MFT_JOURNAL_TAIL_ACQUIRE);

    *from = j->data + (drained & j->mask);
    *count = tail - drained;
    return *count > j->bytes || ((tail | drained) & 7) != 0 ? MFT_E_CORRUPT : MFT_OK;
}

/* Drainer only: so many more bytes are on disk. */
static inline void mft_journal_drained(mft_journal_t *j, uint64_t count)
{
    const uint64_t drained = atomic_load_explicit(&j->shared->drained, memory_order_relaxed);

    /* SYNC drained, with the acquire in mft_journal_append: the writer writes there only after we have read. */
    atomic_store_explicit(&j->shared->drained, drained + count, MFT_JOURNAL_DRAINED_RELEASE);
}

/* ---- readers ---- */

/* The header of the record at `position`: MFT_OK; MFT_EMPTY: it is the end; MFT_UNSTABLE: it is no longer, or not yet, in
 * this memory: read the files; MFT_E_CORRUPT: no writer left this. */
static inline int mft_journal_look(const mft_journal_t *j, uint64_t position, mft_record_t *r)
{
    /* SYNC tail, with the release in mft_journal_append: the record is whole before we read it. */
    const uint64_t tail = atomic_load_explicit(&j->shared->tail, MFT_JOURNAL_TAIL_ACQUIRE);
    _Atomic(uint64_t) *const at = (_Atomic(uint64_t) *)(void *)(j->data + (position & j->mask));
    uint64_t words[MFT_RECORD_WORDS], wip;

    if (position == tail)
        return MFT_EMPTY;
    if (position > tail || (position & 7) != 0)
        return MFT_E_CORRUPT;
    if (position < j->start || tail - position > j->bytes)
        return MFT_UNSTABLE;
    for (int i = 0; i < MFT_RECORD_WORDS; i++)
        words[i] = atomic_load_explicit(&at[i], MFT_JOURNAL_WORD_ACQUIRE);
    /* relaxed: the acquire loads above keep it behind them. */
    wip = atomic_load_explicit(&j->shared->wip, memory_order_relaxed);
    if (!MFT_JOURNAL_WHOLE(position, wip))
        return MFT_UNSTABLE;
    *r = (mft_record_t){.position = position, .sequence = words[MFT_RECORD_SEQUENCE],
                        .stamp_ns = (int64_t)words[MFT_RECORD_STAMP], .type = (uint32_t)words[MFT_RECORD_TYPE],
                        .length = (uint32_t)(words[0] >> 32), .crc = (uint32_t)words[0]};
    if (r->length > j->longest || mft_record_taken(r->length) > tail - position || words[MFT_RECORD_TYPE] >> 32 != 0)
        return MFT_E_CORRUPT;
    return MFT_OK;
}

/* The checksum that a header and its payload (of r->length bytes, then padding up to 8) should have. */
static inline uint32_t mft_record_crc(const mft_record_t *r, const void *payload, uint64_t padded_end)
{
    const uint64_t header[MFT_RECORD_WORDS] = {(uint64_t)r->length << 32, r->sequence, (uint64_t)r->stamp_ns, r->type};
    const uint64_t whole = r->length / 8;
    uint32_t crc = mft_crc32c_words(~UINT32_C(0), (const unsigned char *)header, MFT_RECORD_WORDS);

    crc = mft_crc32c_words(crc, payload, whole);
    if (r->length % 8)
        crc = mft_crc32c_words(crc, (const unsigned char *)&padded_end, 1);
    return ~crc;
}

/* The payload of a record that mft_journal_look has just shown, r->length bytes: MFT_OK; MFT_UNSTABLE: written over
 * meanwhile, the copy may hold anything, read the files; MFT_E_CORRUPT: its checksum is wrong. */
static inline int mft_journal_copy(const mft_journal_t *j, const mft_record_t *r, void *payload)
{
    _Atomic(uint64_t) *const at =
        (_Atomic(uint64_t) *)(void *)(j->data + (r->position & j->mask) + MFT_RECORD_HEADER);
    unsigned char *const to = payload;
    const uint64_t whole = r->length / 8;
    uint64_t word = 0, wip;

    for (uint64_t i = 0; i < whole; i++) {
        word = atomic_load_explicit(&at[i], MFT_JOURNAL_WORD_ACQUIRE);
        memcpy(to + 8 * i, &word, 8);
    }
    if (r->length % 8) {
        word = atomic_load_explicit(&at[whole], MFT_JOURNAL_WORD_ACQUIRE);
        memcpy(to + 8 * whole, &word, r->length % 8);
    }
    /* relaxed: the acquire loads above keep it behind them. */
    wip = atomic_load_explicit(&j->shared->wip, memory_order_relaxed);
    if (!MFT_JOURNAL_WHOLE(r->position, wip))
        return MFT_UNSTABLE;
    return mft_record_crc(r, payload, word) == r->crc ? MFT_OK : MFT_E_CORRUPT;
}

/* Is there anything at a position, or is the tail damaged? */
static inline int mft_journal_has_news(const mft_journal_t *j, uint64_t position)
{
    return atomic_load_explicit(&j->shared->tail, memory_order_relaxed) != position;
}

/* ---- anybody ---- */

static inline uint64_t mft_journal_tail(const mft_journal_t *j)
{
    return atomic_load_explicit(&j->shared->tail, memory_order_acquire);
}

/* The position before which all is on disk and synced. */
static inline uint64_t mft_journal_safe(const mft_journal_t *j)
{
    return atomic_load_explicit(&j->shared->drained, memory_order_acquire);
}

/* Records refused for want of room, by all writers of this memory. */
static inline uint64_t mft_journal_refused(const mft_journal_t *j)
{
    return atomic_load_explicit(&j->shared->full, memory_order_relaxed);
}

/* Nobody will append here any more; all is in the files. Who goes on makes a new memory. */
static inline int mft_journal_retired(const mft_journal_t *j)
{
    return atomic_load_explicit(&j->shared->retired, memory_order_acquire) != 0;
}

/* The holder of both roles, with everything on disk. */
static inline void mft_journal_retire(mft_journal_t *j)
{
    /* SYNC retired, with the acquire in mft_journal_retired: who sees it sees the last tail. */
    atomic_store_explicit(&j->shared->retired, 1, memory_order_release);
    mft_bell_ring(&j->shared->news);
}

/* A record in private memory or in a piece of memory that does not change: MFT_OK; MFT_EMPTY: no header fits into `room`;
 * MFT_UNSTABLE: its length says that it goes on behind `room` (or is wrong); MFT_E_CORRUPT. */
static inline int mft_record_check(const unsigned char *at, uint64_t room, uint64_t longest, mft_record_t *r)
{
    uint64_t words[MFT_RECORD_WORDS], padded_end = 0, whole;

    if (room < MFT_RECORD_HEADER)
        return MFT_EMPTY;
    memcpy(words, at, sizeof words); /* once: what is checked is what is used */
    r->sequence = words[MFT_RECORD_SEQUENCE];
    r->stamp_ns = (int64_t)words[MFT_RECORD_STAMP];
    r->type = (uint32_t)words[MFT_RECORD_TYPE];
    r->length = (uint32_t)(words[0] >> 32);
    r->crc = (uint32_t)words[0];
    if (r->length > longest || words[MFT_RECORD_TYPE] >> 32 != 0)
        return MFT_E_CORRUPT;
    if (mft_record_taken(r->length) > room)
        return MFT_UNSTABLE;
    whole = r->length / 8;
    if (r->length % 8)
        memcpy(&padded_end, at + MFT_RECORD_HEADER + 8 * whole, 8);
    return mft_record_crc(r, at + MFT_RECORD_HEADER, padded_end) == r->crc ? MFT_OK : MFT_E_CORRUPT;
}

#endif
