/* Attach to a damaged segment, open the structure, use it: an error or defined behaviour, never a stray access.
 *
 * Input: byte 0 chooses the kind, byte 1 whether the header's checksum is made right again and what was checked is
 * used; then changes of four bytes each (place, place, place, exclusive-or), or, for a ring of messages and a broadcast, the
 * steps of hostile_peer.h if byte 1 says so. Run by libFuzzer, or by the main below with inputs of its own (-DOWN_DRIVER:
 * argv[1] seconds, argv[2] seed). With -DPLANT the environment's FUZZ_PLANT names a structure that lacks a check. */
#include "../check.h"

#include "mftcore/book.h"
#include "mftcore/histogram.h"
#include "mftcore/ring.h"
#include "hostile_peer.h"

static int open_ring(mft_ring_t *r, mft_segment_t *s)
{
    if (strcmp(planted(), "ring") != 0)
        return mft_ring_open(r, s);
    r->shared = (mft_ring_shared_t *)s->data;
    r->capacity = s->layout.capacity;
    r->mask = r->capacity - 1;
    r->record_bytes = s->layout.record_bytes;
    r->look_at = r->head_seen = r->tail_seen = 0;
    return MFT_OK;
}

enum { KINDS = 7, RECORD = 64, CAPACITY = 8, LEVELS = 4, BUFFER = 1 << 16 };
static const uint32_t kinds[KINDS] = {MFT_KIND_RING,     MFT_KIND_SEQLOCK, MFT_KIND_BOOK,     MFT_KIND_HISTOGRAM,
                                      MFT_KIND_DOORBELL, MFT_KIND_BYTES,   MFT_KIND_BROADCAST};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static mft_segment_t make(uint32_t kind)
{
    const uint64_t record = kind == MFT_KIND_BOOK ? mft_window_bytes(LEVELS) : RECORD;
    mft_spec_t spec = {.kind = kind, .version = 1, .capacity = CAPACITY, .dtype = "\"|V64\"", .meta = "m"};
    mft_segment_t s;

    spec.record_bytes = record;
    spec.data_bytes = kind == MFT_KIND_RING        ? mft_ring_data_bytes(CAPACITY, RECORD)
                      : kind == MFT_KIND_HISTOGRAM ? sizeof(mft_histogram_shared_t)
                      : kind == MFT_KIND_DOORBELL  ? sizeof(mft_bell_t)
                      : kind == MFT_KIND_BYTES     ? mft_bytes_data_bytes(MFT_BYTES_LEAST)
                                                   : mft_seqlock_data_bytes(record);
    if (kind == MFT_KIND_HISTOGRAM)
        spec.capacity = MFT_HISTOGRAM_BUCKETS;
    if (kind == MFT_KIND_BYTES)
        spec.capacity = MFT_BYTES_LEAST;
    CHECK(mft_segment_make(&s, &spec) == MFT_OK);
    mft_segment_publish(&s);
    return s;
}

static void use_ring(mft_segment_t *s, unsigned char *buffer)
{
    mft_ring_t tx, rx;
    mft_ring_counters_t counters;
    uint64_t n = 3;
    const void *there;
    void *place;

    /* records larger than our buffer are the caller's business: it made the buffer from the header's record size */
    if (open_ring(&tx, s) != MFT_OK || open_ring(&rx, s) != MFT_OK)
        return;
    /* what lies behind the segment may be mapped as well, and then no access to it would be seen */
    MUST(tx.capacity != 0 && tx.record_bytes <= (s->data_bytes - sizeof(mft_ring_shared_t)) / tx.capacity);
    if (tx.record_bytes > BUFFER / 8)
        return;
    for (int i = 0; i < 3 * CAPACITY; i++) {
        mft_ring_push(&tx, buffer);
        if (i % 3 == 0)
            mft_ring_pop(&rx, buffer);
    }
    mft_ring_push_many(&tx, buffer, 8);
    mft_ring_pop_many(&rx, buffer, 8);
    if (mft_ring_claim(&tx, &n, &place) == MFT_OK) {
        memset(place, 1, n * tx.record_bytes);
        mft_ring_commit(&tx, n);
    }
    n = 3;
    if (mft_ring_peek(&rx, &n, &there) == MFT_OK) {
        memcpy(buffer, there, n * rx.record_bytes);
        mft_ring_release(&rx, n);
    }
    mft_ring_counters(&rx, &counters);
    mft_ring_ring_records(&tx);
    mft_ring_ring_room(&rx);
    (void)(mft_ring_has_records(&rx) + mft_ring_has_room(&tx));
}

static void use_seqlock(mft_segment_t *s, unsigned char *buffer)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;

    if (mft_seqlock_open(&q, s) != MFT_OK || q.bytes > BUFFER)
        return;
    mft_seqlock_read(&q, buffer, BUFFER, &stamp);
    mft_seqlock_write(&q, buffer, 1, 1);
    mft_seqlock_ring(&q);
    mft_seqlock_read(&q, buffer, q.bytes / 2, &stamp);
}

static void use_histogram(mft_segment_t *s)
{
    static uint64_t counts[MFT_HISTOGRAM_BUCKETS];
    mft_histogram_t h;

    if (mft_histogram_open(&h, s) != MFT_OK)
        return;
    mft_histogram_record(&h, INT64_MAX);
    mft_histogram_record(&h, -1);
    mft_histogram_copy(&h, counts);
}

static void use_bell(mft_segment_t *s)
{
    mft_bell_t *const bell = (mft_bell_t *)(void *)s->data;
    uint32_t armed;

    if (s->data_bytes < sizeof *bell)
        return;
    mft_bell_want(bell);
    armed = mft_bell_arm(bell);
    mft_bell_ring(bell);
    mft_bell_sleep(bell, armed, 1);
    mft_bell_disarm(bell, armed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static mft_segment_t all[KINDS];
    static unsigned char *originals[KINDS], *buffer;
    static const uint8_t messages_used[] = {2, 16, 0, 0, 2, 1, 7, 0, 6, 0, 0, 0, 8, 0, 0, 0, 6, 0, 0, 0, 9, 0, 0, 0};
    static const uint8_t records_used[] = {2, 1, 0, 0, 4, 0, 0, 0, 3, 0, 0, 1, 4, 0, 0, 0, 2, 1, 0, 0, 4, 0, 0, 0};
    static volatile uint64_t sum;
    mft_segment_t s, *made;
    unsigned char **original;
    uint32_t kind;
    int reseal, live, rc;

    if (length < 2)
        return 0;
    kind = kinds[bytes[0] % KINDS];
    made = &all[bytes[0] % KINDS];
    original = &originals[bytes[0] % KINDS];
    live = (kind == MFT_KIND_BYTES || kind == MFT_KIND_BROADCAST) && (bytes[1] & 4);
    reseal = bytes[1] & 1;
    if (buffer == NULL)
        CHECK((buffer = calloc(1, BUFFER)) != NULL);
    if (*original == NULL) {
        *made = make(kind);
        CHECK((*original = malloc(made->mapped_bytes)) != NULL);
        memcpy(*original, made->header, made->mapped_bytes);
    }
    memcpy(made->header, *original, made->mapped_bytes);
    for (size_t i = 2; i + 4 <= length && !live; i += 4) {
        size_t at = (bytes[i] | (size_t)bytes[i + 1] << 8 | (size_t)bytes[i + 2] << 16) % made->mapped_bytes;

        if (bytes[i + 2] & 0x80) /* every second change where it matters most: the numbers, the first data words */
            at = bytes[i + 2] & 0x40 ? MFT_PAGE + at % 512 : at % 128;
        if (kind == MFT_KIND_BYTES && (bytes[i + 2] & 0xE0) == 0xE0) /* the lengths of messages */
            at = MFT_PAGE + MFT_BYTES_CONTROL + at % 64;
        ((unsigned char *)made->header)[at] ^= bytes[i + 3];
    }
    if (reseal) {
        mft_layout_t *const layout = &made->header->layout;
        layout->checksum = mft_fnv1a(layout, offsetof(mft_layout_t, checksum));
    }
    rc = mft_segment_attach(&s, dup(made->fd), kind, 1);
    if (rc != MFT_OK) {
        CHECK(rc == MFT_E_LAYOUT && s.fault.field != NULL && s.header == NULL && s.fd == -1);
        return 0;
    }
    if (kind == MFT_KIND_RING)
        use_ring(&s, buffer);
    else if (kind == MFT_KIND_SEQLOCK || kind == MFT_KIND_BOOK)
        use_seqlock(&s, buffer);
    else if (kind == MFT_KIND_HISTOGRAM)
        use_histogram(&s);
    else if (kind == MFT_KIND_BYTES)
        sum = use_bytes(&s, buffer, BUFFER, live ? bytes + 2 : messages_used, live ? length - 2 : sizeof messages_used);
    else if (kind == MFT_KIND_BROADCAST)
        use_broadcast(&s, buffer, BUFFER, live ? bytes + 2 : records_used, live ? length - 2 : sizeof records_used);
    else
        use_bell(&s);
    for (unsigned role = 0; role < MFT_ROLES; role++) {
        uint64_t epoch = 0, holder = 0;

        if (mft_role_claim(&s, role, &epoch, &holder) == MFT_OK)
            CHECK(mft_role_release(&s, role, holder) == MFT_OK);
        if (bytes[1] & 2)
            break;
    }
    mft_segment_detach(&s);
    (void)sum;
    return 0;
}

#ifdef OWN_DRIVER
int main(int argc, char **argv)
{
    const int64_t until_ns = mft_now_ns() + (int64_t)(argc > 1 ? atoi(argv[1]) : 5) * 1000000000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_C(88172645463325252), inputs = 0;
    uint8_t input[66];

    for (; mft_now_ns() < until_ns; inputs++) {
        size_t length;

        for (size_t i = 0; i < sizeof input; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            input[i] = (uint8_t)(state >> 32);
        }
        length = 2 + 4 * ((state >> 40) % (1 + (state >> 50) % 17)); /* up to sixteen changes, mostly few */
        alarm(10); /* a hang is a failure */
        LLVMFuzzerTestOneInput(input, length);
    }
    printf("%llu inputs\n", (unsigned long long)inputs);
    return 0;
}
#endif
