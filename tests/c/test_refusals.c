/* What is refused although its checksum is right: a header as another maker, or a maker of other conventions, would
 * write it. Each check of mft_segment_check must object by itself, not leave it to the checksum. Then the corners of
 * the structures that damaged shared words could lead out of bounds. */
#include "check.h"

#include <sys/types.h>
#include <unistd.h>

/* What mft_segment_look reads: the file as it is, one that was cut off a moment ago, a role word in the middle of a change. */
static enum { WHOLE, CUT, TORN } readings;
static int torn_left;

static ssize_t read_at(int fd, void *page, size_t bytes, off_t at)
{
    const ssize_t got = pread(fd, page, readings == CUT ? 100 : bytes, at);

    if (readings == TORN && torn_left > 0) {
        torn_left--;
        ((unsigned char *)page)[3136]++; /* the first role's owner */
    }
    return got;
}
#define pread read_at

#include "mftcore/book.h"
#include "mftcore/histogram.h"
#include "mftcore/named.h"
#include "mftcore/ring.h"

static mft_segment_t segment;

static void make(uint32_t kind, uint64_t capacity, uint64_t record_bytes, uint64_t data_bytes)
{
    mft_spec_t spec = {.kind = kind, .version = 1, .dtype = "\"|V8\"", .meta = "text"};

    spec.capacity = capacity;
    spec.record_bytes = record_bytes;
    spec.data_bytes = data_bytes;
    CHECK(mft_segment_make(&segment, &spec) == MFT_OK);
    mft_segment_publish(&segment);
}

static void reseal(void)
{
    mft_layout_t *layout = &segment.header->layout;

    layout->checksum = mft_fnv1a(layout, offsetof(mft_layout_t, checksum));
}

static int refused_for(const char *field)
{
    mft_segment_t again;
    mft_header_t page;
    int rc = mft_segment_look(&again, segment.fd, &page);

    /* looking refuses the same, but takes every kind and version */
    if (field == NULL || strcmp(field, "kind") == 0 || strcmp(field, "layout version") == 0)
        CHECK(rc == MFT_OK && again.layout.total_bytes == segment.layout.total_bytes && again.header == NULL);
    else
        CHECK(rc == MFT_E_LAYOUT && strcmp(again.fault.field, field) == 0);
    rc = mft_segment_attach(&again, dup(segment.fd), MFT_KIND_RING, 1);
    if (field == NULL)
        CHECK(rc == MFT_OK);
    else if (rc != MFT_E_LAYOUT || strcmp(again.fault.field, field) != 0) {
        fprintf(stderr, "must be refused for its %s, was %d (%s)\n", field, rc, rc ? again.fault.field : "");
        exit(1);
    }
    mft_segment_detach(&again);
    return 1;
}

#define EACH(change, field)                                                                                           \
    do {                                                                                                              \
        const mft_layout_t before = segment.header->layout;                                                           \
        mft_layout_t *layout = &segment.header->layout;                                                               \
        change;                                                                                                       \
        reseal();                                                                                                     \
        CHECK(refused_for(field));                                                                                    \
        *layout = before;                                                                                             \
        CHECK(refused_for(NULL));                                                                                     \
    } while (0)

static void every_field_is_checked_by_itself(void)
{
    uint64_t *spare;

    make(MFT_KIND_RING, 4, 8, mft_ring_data_bytes(4, 8));
    EACH(layout->magic++, "magic");
    EACH(layout->kind = MFT_KIND_BOOK, "kind");
    EACH(layout->version = 2, "layout version");
    EACH(layout->total_bytes += MFT_PAGE, "total size");
    EACH(layout->data_offset = 2 * MFT_PAGE, "data offset");
    EACH(layout->uid++, "user");
    EACH(layout->dtype_length = MFT_DTYPE_BYTES, "dtype length");
    EACH(layout->dtype_length = UINT32_MAX, "dtype length");
    EACH(layout->dtype_length--, "dtype length");
    EACH(layout->dtype_hash++, "dtype hash");
    EACH(layout->meta_length = MFT_META_BYTES, "text length");
    EACH(layout->meta_length = UINT32_MAX, "text length");
    EACH(layout->meta_length--, "text length");
    EACH(layout->boot[3]++, "boot id");
    segment.header->layout.created_ns++; /* and not resealed */
    CHECK(refused_for("checksum"));
    segment.header->layout.created_ns--;
    atomic_store(&segment.header->ready, 0);
    CHECK(refused_for("ready"));
    atomic_store(&segment.header->ready, MFT_READY);
    for (unsigned role = 0; role < MFT_ROLES; role++) {
        atomic_store(&segment.header->roles[role].owner, 1);
        CHECK(refused_for("role owner"));
        atomic_store(&segment.header->roles[role].owner, 0);
        atomic_store(&segment.header->roles[role].epoch, 1);
        CHECK(refused_for("role epoch"));
        atomic_store(&segment.header->roles[role].epoch, 0);
        segment.header->roles[role].zero[5] = 1;
        CHECK(refused_for("reserved"));
        segment.header->roles[role].zero[5] = 0;
    }
    spare = (uint64_t *)(void *)&segment.header->ready + 7;
    *spare = 1;
    CHECK(refused_for("reserved"));
    *spare = 0;
    segment.header->zero[sizeof segment.header->zero - 1] = 1;
    CHECK(refused_for("reserved"));
    segment.header->zero[sizeof segment.header->zero - 1] = 0;
    CHECK(refused_for(NULL));
    mft_segment_detach(&segment);
}

static void a_header_that_changes_while_it_is_looked_at_is_no_surprise(void)
{
    mft_segment_t seen;
    mft_header_t page;

    make(MFT_KIND_RING, 4, 8, mft_ring_data_bytes(4, 8));
    readings = CUT;
    CHECK(mft_segment_look(&seen, segment.fd, &page) == MFT_E_LAYOUT && strcmp(seen.fault.field, "file size") == 0);
    readings = TORN;
    torn_left = 1;
    CHECK(mft_segment_look(&seen, segment.fd, &page) == MFT_OK && torn_left == 0);
    torn_left = 100;
    CHECK(mft_segment_look(&seen, segment.fd, &page) == MFT_E_LAYOUT && strcmp(seen.fault.field, "role owner") == 0);
    readings = WHOLE;
    CHECK(mft_segment_look(&seen, -1, &page) == MFT_E_SYSTEM && seen.error == EBADF);
    mft_segment_detach(&segment);
}

static void files_are_checked_before_their_header(void)
{
    mft_segment_t again;
    const mode_t modes[] = {0640, 0606, 0400, 04600};

    make(MFT_KIND_RING, 4, 8, mft_ring_data_bytes(4, 8));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        CHECK(fchmod(segment.fd, modes[i]) == 0);
        CHECK(refused_for("file mode"));
    }
    CHECK(fchmod(segment.fd, 0600) == 0);
    CHECK(mft_segment_attach(&again, open("/dev/null", O_RDWR | O_CLOEXEC), MFT_KIND_RING, 1) == MFT_E_LAYOUT);
    CHECK(strcmp(again.fault.field, "file type") == 0);
    if (geteuid() == 0) { /* only root can give a file away */
        CHECK(fchown(segment.fd, 12345, (gid_t)-1) == 0);
        CHECK(refused_for("file owner"));
        CHECK(fchown(segment.fd, 0, (gid_t)-1) == 0);
    }
    CHECK(refused_for(NULL));
    mft_segment_detach(&segment);
}

static void each_seal_is_asked_for(void)
{
    const int all[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW};
    mft_segment_t again;

    make(MFT_KIND_RING, 4, 8, mft_ring_data_bytes(4, 8));
    for (int missing = 0; missing < 3; missing++) {
        const int fd = memfd_create("partly sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
        CHECK(write(fd, segment.header, segment.mapped_bytes) == (ssize_t)segment.mapped_bytes);
        CHECK(fcntl(fd, F_ADD_SEALS, MFT_SEALS & ~all[missing]) == 0);
        CHECK(mft_segment_attach(&again, fd, MFT_KIND_RING, 1) == MFT_E_LAYOUT);
        CHECK(strcmp(again.fault.field, "seals") == 0);
    }
    mft_segment_detach(&segment);
}

static void a_file_of_odd_size_is_refused_before_it_is_mapped(void)
{
    const off_t sizes[] = {0, 1, MFT_PAGE, 2 * MFT_PAGE - 1, 2 * MFT_PAGE + 1, 3 * MFT_PAGE - 8};
    mft_segment_t again;
    int fd = memfd_create("odd", MFD_CLOEXEC);

    CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(ftruncate(fd, sizes[i]) == 0);
        CHECK(mft_segment_attach(&again, dup(fd), MFT_KIND_RING, 1) == MFT_E_LAYOUT);
        CHECK(strcmp(again.fault.field, "file size") == 0);
    }
    close(fd);
}

static void a_damaged_role_word_is_neither_believed_nor_displaced(void)
{
    uint64_t epoch = 7, holder = 7;

    make(MFT_KIND_RING, 4, 8, mft_ring_data_bytes(4, 8));
    atomic_store(&segment.header->roles[2].owner, 1);
    CHECK(mft_role_claim(&segment, 2, &epoch, &holder) == MFT_E_CORRUPT && holder == 1);
    CHECK(atomic_load(&segment.header->roles[2].owner) == 1);
    atomic_store(&segment.header->roles[2].owner, 4194303); /* it names nobody: without its check bits it would be dead */
    CHECK(mft_role_claim(&segment, 2, &epoch, &holder) == MFT_E_CORRUPT && holder == 4194303);
    atomic_store(&segment.header->roles[3].epoch, 1);
    CHECK(mft_role_claim(&segment, 3, &epoch, &holder) == MFT_E_CORRUPT);
    CHECK(atomic_load(&segment.header->roles[3].owner) == 0); /* and the role is not left held */
    CHECK(mft_role_claim(&segment, MFT_ROLES, &epoch, &holder) == MFT_E_ARGUMENT);
    mft_segment_detach(&segment);
}

static void structures_do_not_open_what_is_too_small_for_them(void)
{
    mft_ring_t ring;
    mft_seqlock_t lock;
    mft_histogram_t histogram;

    make(MFT_KIND_RING, 4, 8, 64);
    segment.layout.capacity = 1024;
    CHECK(mft_ring_open(&ring, &segment) == MFT_E_LAYOUT);
    segment.layout.capacity = 0;
    CHECK(mft_ring_open(&ring, &segment) == MFT_E_LAYOUT);
    segment.layout.capacity = 4;
    segment.layout.record_bytes = 0;
    CHECK(mft_ring_open(&ring, &segment) == MFT_E_LAYOUT);
    segment.layout.record_bytes = UINT64_C(1) << 62; /* 4 of these are 0 bytes, modulo 2^64 */
    CHECK(mft_ring_open(&ring, &segment) == MFT_E_LAYOUT);
    segment.layout.record_bytes = 8;
    segment.layout.capacity = 4;
    CHECK(mft_ring_open(&ring, &segment) == MFT_OK);
    segment.layout.record_bytes = 8192;
    CHECK(mft_seqlock_open(&lock, &segment) == MFT_E_CORRUPT);
    segment.layout.record_bytes = 0;
    CHECK(mft_seqlock_open(&lock, &segment) == MFT_E_CORRUPT);
    segment.layout.record_bytes = MFT_SEQLOCK_MAX_BYTES + 1;
    CHECK(mft_seqlock_open(&lock, &segment) == MFT_E_CORRUPT);
    segment.layout.record_bytes = 8;
    CHECK(mft_seqlock_open(&lock, &segment) == MFT_OK);
    segment.layout.capacity = MFT_HISTOGRAM_BUCKETS;
    CHECK(mft_histogram_open(&histogram, &segment) == MFT_E_CORRUPT);
    mft_segment_detach(&segment);
    make(MFT_KIND_HISTOGRAM, MFT_HISTOGRAM_BUCKETS, 8, sizeof(mft_histogram_shared_t));
    CHECK(mft_histogram_open(&histogram, &segment) == MFT_OK);
    segment.layout.capacity--;
    CHECK(mft_histogram_open(&histogram, &segment) == MFT_E_CORRUPT);
    mft_segment_detach(&segment);
    CHECK(mft_window_bytes(0) == 0 && mft_window_bytes(MFT_BOOK_MAX_LEVELS + 1) == 0);
    CHECK(mft_window_bytes(MFT_BOOK_MAX_LEVELS) == 64 + MFT_BOOK_MAX_LEVELS * 48);
    CHECK(mft_ring_data_bytes(2 * MFT_RING_MAX_CAPACITY, 1) == 0 && mft_ring_data_bytes(6, 1) == 0);
    CHECK(mft_ring_data_bytes(1 << 10, UINT64_C(1) << 51) == 0);
    CHECK(mft_seqlock_data_bytes(0) == 0 && mft_seqlock_data_bytes(UINT64_MAX) == 0);
}

static void no_value_falls_out_of_the_histogram(void)
{
    static mft_histogram_shared_t shared;
    mft_histogram_t h = {.shared = &shared};
    const int64_t corners[] = {0, 255, 256, (INT64_C(1) << 41) - 1, INT64_C(1) << 41, INT64_C(1) << 42, INT64_MAX};

    CHECK(mft_histogram_bucket((UINT64_C(1) << 41) - 1) == MFT_HISTOGRAM_BUCKETS - 1);
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++)
        mft_histogram_record(&h, corners[i]);
    mft_histogram_record(&h, INT64_MIN);
    CHECK(atomic_load(&shared.counts[MFT_HISTOGRAM_BUCKETS - 1]) == 4);
    CHECK(atomic_load(&shared.max_ns) == INT64_MAX && atomic_load(&shared.negative) == 1);
}

static void a_level_at_either_limit_is_refused(void)
{
    const int64_t limit = MFT_BOOK_LIMIT, lots = MFT_BOOK_SIZE_LIMIT;
    const mft_level_t bad[] = {{limit, 1, 1}, {-limit, 1, 1}, {1, -1, 1},       {1, lots, 1},
                               {1, 1, -1},    {1, 1, lots},   {INT64_MIN, 1, 1}};
    const mft_level_t good[] = {{limit - 1, lots - 1, lots - 1}, {1 - limit, 0, 0}};
    const mft_level_t second[] = {{1, 1, 1}, {1, -1, 1}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(mft_levels_check(&bad[i], 1) == MFT_E_ARGUMENT);
    CHECK(mft_levels_check(good, 2) == MFT_OK);
    CHECK(mft_levels_check(second, 2) == MFT_E_ARGUMENT);
}

static void a_read_never_goes_past_the_record(void)
{
    mft_seqlock_t q;
    mft_stamp_t stamp;
    unsigned char out[64];
    const uint64_t value = UINT64_C(0x1111111111111111);

    make(MFT_KIND_SEQLOCK, MFT_SEQLOCK_CELLS, 8, mft_seqlock_data_bytes(8));
    CHECK(mft_seqlock_open(&q, &segment) == MFT_OK);
    memset(out, 0xEE, sizeof out);
    CHECK(mft_seqlock_read(&q, out, sizeof out, &stamp) == MFT_OK && stamp.version == 0 && out[0] == 0xEE);
    mft_seqlock_write(&q, &value, 1, 1);
    CHECK(mft_seqlock_read(&q, out, sizeof out, &stamp) == MFT_OK && out[7] == 0x11 && out[8] == 0xEE);
    mft_segment_detach(&segment);
}

static void a_path_is_no_name(void)
{
    const char *bad[] = {"a/b", "a b", "a\nb", "\xC3\xA4", "", ".a"};
    char text[202];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!mft_name_ok(bad[i]));
    memset(text, 'x', 201);
    text[201] = 0;
    CHECK(!mft_name_ok(text));
    text[200] = 0;
    CHECK(mft_name_ok(text) && mft_name_ok("a.b_c-9"));
}

int main(void)
{
    alarm(60);
    RUN(every_field_is_checked_by_itself);
    RUN(a_header_that_changes_while_it_is_looked_at_is_no_surprise);
    RUN(files_are_checked_before_their_header);
    RUN(each_seal_is_asked_for);
    RUN(a_file_of_odd_size_is_refused_before_it_is_mapped);
    RUN(a_damaged_role_word_is_neither_believed_nor_displaced);
    RUN(structures_do_not_open_what_is_too_small_for_them);
    RUN(no_value_falls_out_of_the_histogram);
    RUN(a_level_at_either_limit_is_refused);
    RUN(a_path_is_no_name);
    RUN(a_read_never_goes_past_the_record);
    return 0;
}
