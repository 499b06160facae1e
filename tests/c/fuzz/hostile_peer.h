/* A peer that writes anything into any word at any time, beside ends of ours that are at work: every call ends, with a code,
 * and leads nowhere but into the structure's own memory. (What a mapping does not own may be mapped all the same: hence each
 * place is checked before it is touched.)
 *
 * Input: four bytes a step, of which the first chooses what is done, the second and third where, the last with what. */
#ifndef HOSTILE_PEER_H
#define HOSTILE_PEER_H

#include "mftcore/broadcast.h"
#include "mftcore/byte_ring.h"

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static const char *planted(void)
{
#ifdef PLANT
    return getenv("FUZZ_PLANT") ? getenv("FUZZ_PLANT") : "ring";
#else
    return "";
#endif
}

/* Numbers near the ends of all ranges, out of one byte. */
static uint64_t odd_number(uint8_t byte, uint64_t capacity, uint64_t now)
{
    const uint64_t near = (uint64_t)(byte >> 3) - 16;
    const uint64_t bases[] = {0, capacity, 2 * capacity, UINT64_C(1) << 63, UINT64_C(1) << 32, now, now + capacity,
                              now - capacity};

    return bases[byte & 7] + near;
}

static void poke(unsigned char *data, uint64_t at, uint64_t value)
{
    atomic_store((_Atomic(uint64_t) *)(void *)(data + at / 8 * 8), value);
}

/* ---- the ring of messages ---- */

static int believing_peek(mft_bytes_t *r, const unsigned char **place, uint64_t *length)
{
    const uint64_t at = mft_bytes_at(atomic_load(&r->shared->head));
    uint64_t word;

    if (!mft_bytes_has_messages(r))
        return MFT_EMPTY;
    memcpy(&word, r->data + (at & r->mask), sizeof word);
    *length = word & UINT32_MAX;
    *place = r->data + (at & r->mask) + MFT_BYTES_HEADER;
    return MFT_OK;
}

static void must_lie_within(const mft_bytes_t *r, const unsigned char *place, uint64_t length)
{
    MUST(length <= r->bytes && place >= r->data && place + length <= r->data + 2 * r->bytes);
}

/* Both ends at work, with a peer that pokes; `sum` keeps the reads alive. */
static uint64_t use_bytes(mft_segment_t *s, unsigned char *buffer, uint64_t size, const uint8_t *steps, size_t count)
{
    const int believing = strcmp(planted(), "bytes") == 0;
    mft_bytes_t tx, rx;
    mft_bytes_counters_t c;
    const unsigned char *there;
    unsigned char *place;
    uint64_t length, sum = 0;
    int rc;

    if (s->layout.capacity > s->data_bytes || mft_segment_mirror(s, s->layout.capacity) != MFT_OK ||
        mft_bytes_open(&tx, s) != MFT_OK || mft_bytes_open(&rx, s) != MFT_OK)
        return 0;
    for (; count >= 4; steps += 4, count -= 4) {
        const uint64_t where = steps[1] | (uint64_t)steps[2] << 8, now = atomic_load(&tx.shared->tail);

        switch (steps[0] % 10) {
        case 0: /* the control words */
            poke(s->data, where % sizeof(mft_bytes_shared_t), odd_number(steps[3], tx.bytes, now));
            break;
        case 1: /* the lengths, where the next message begins */
            length = odd_number(steps[3], tx.bytes, where);
            poke(tx.data, mft_bytes_at(atomic_load(&tx.shared->head)) & tx.mask & ~UINT64_C(7),
                 (length & UINT32_MAX) | (steps[1] & 1 ? ~length << 32 : length << 32));
            break;
        case 2:
            rc = mft_bytes_push(&tx, buffer, where % size);
            MUST(rc == MFT_OK || rc == MFT_FULL || rc == MFT_E_CORRUPT || rc == MFT_E_ARGUMENT);
            break;
        case 3:
            length = steps[3] & 1 ? odd_number(steps[3], tx.bytes, where) : where;
            if (mft_bytes_claim(&tx, length, &place) == MFT_OK) {
                must_lie_within(&tx, place - MFT_BYTES_HEADER, length + MFT_BYTES_HEADER);
                memset(place, steps[3], length);
                mft_bytes_put(&tx, place, length);
            }
            break;
        case 4:
            mft_bytes_commit(&tx);
            break;
        case 5:
            mft_bytes_drop(&tx);
            break;
        case 6:
        case 7:
            rc = believing ? believing_peek(&rx, &there, &length) : mft_bytes_peek(&rx, &there, &length);
            MUST(rc == MFT_OK || rc == MFT_EMPTY || rc == MFT_E_CORRUPT);
            if (rc == MFT_OK) {
                must_lie_within(&rx, there, length);
                for (uint64_t i = 0; i < length; i += 64)
                    sum += there[i];
                mft_bytes_take(&rx, length);
            }
            break;
        case 8:
            mft_bytes_release(&rx);
            break;
        default:
            rc = mft_bytes_counters(&rx, &c);
            MUST(rc == MFT_OK || rc == MFT_UNSTABLE);
            sum += c.used_bytes + (uint64_t)mft_bytes_has_room(&tx, where) + (uint64_t)mft_bytes_has_messages(&rx);
        }
    }
    return sum;
}

/* ---- the broadcast ---- */

static int unmasked_next(mft_broadcast_t *b, void *record, mft_stamp_t *stamp)
{
    const uint64_t newest = mft_broadcast_newest(b);

    if (newest == 0)
        return MFT_EMPTY;
    memcpy(record, (const void *)(b->cells.shared->words + newest * b->cells.stride + MFT_CELL_HEAD), b->cells.bytes);
    stamp->version = b->next++;
    return MFT_OK;
}

static void use_broadcast(mft_segment_t *s, unsigned char *buffer, uint64_t size, const uint8_t *steps, size_t count)
{
    const int unmasked = strcmp(planted(), "broadcast") == 0;
    mft_broadcast_t writer, reader;

    if (mft_broadcast_open(&writer, s) != MFT_OK || mft_broadcast_open(&reader, s) != MFT_OK ||
        writer.cells.bytes > size) /* as for the ring: the caller's buffer is as large as the header says */
        return;
    for (; count >= 4; steps += 4, count -= 4) {
        const uint64_t where = steps[1] | (uint64_t)steps[2] << 8, next = reader.next, lost = reader.lost;
        uint64_t skipped = 0;
        mft_stamp_t stamp = {0};
        int rc;

        switch (steps[0] % 6) {
        case 0: /* number, begun, bell */
            poke(s->data, where % 128, odd_number(steps[3], writer.cells.cells, next));
            break;
        case 1: /* the cells */
            poke(s->data, where % s->data_bytes, odd_number(steps[3], writer.cells.cells, next));
            break;
        case 2:
            mft_seqlock_write(&writer.cells, buffer, where, (int64_t)where);
            mft_seqlock_ring(&writer.cells);
            break;
        case 3:
            mft_broadcast_join(&reader, steps[3] & 1);
            break;
        default:
            rc = unmasked ? unmasked_next(&reader, buffer, &stamp) : mft_broadcast_next(&reader, buffer, &stamp, &skipped);
            MUST(rc == MFT_OK || rc == MFT_EMPTY || rc == MFT_UNSTABLE || rc == MFT_E_CORRUPT);
            MUST(reader.lost == lost + skipped && reader.next == next + skipped + (rc == MFT_OK));
            MUST(rc != MFT_OK || stamp.version == next + skipped);
        }
    }
}

#endif
