/* A piece of shared memory: one header page that says what it is, then the structure's data.
 *
 * Anonymous (a sealed memfd: no name to squat, guess or leave behind; nobody can truncate it under a reader) or
 * named (a file in a 0700 directory of our own; it appears under its name only when it is complete). Roles (the one
 * producer, the one writer) are claimed here by compare-and-swap, and a dead holder is succeeded under a new epoch.
 *
 * Order of a life: make -> (the structure fills its data) -> publish; attach elsewhere; claim, release; detach. */
#ifndef MFTCORE_SEGMENT_H
#define MFTCORE_SEGMENT_H

#include <linux/memfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "clock.h"
#include "owner.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

#define MFT_MAGIC UINT64_C(0x313047455354464D) /* "MFTSEG01" in memory order */
#define MFT_READY UINT64_C(0x5944414552474553) /* "SEGREADY" */
#define MFT_ROLES 8u
#define MFT_PARAMS 8u
#define MFT_META_BYTES 248u
#define MFT_DTYPE_BYTES 2616u
#define MFT_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
#define MFT_LIVENESS_NS 1000000 /* how old an answer about a holder's life may be: 1 ms */

enum { MFT_KIND_RING = 1, MFT_KIND_SEQLOCK = 2, MFT_KIND_BOOK = 3, MFT_KIND_HISTOGRAM = 4, MFT_KIND_DOORBELL = 5,
       MFT_KIND_BYTES = 6, MFT_KIND_BROADCAST = 7, MFT_KIND_JOURNAL = 8 };

/* What never changes after `ready`; copied out and checked once, and only the copy is used afterwards. */
typedef struct {
    uint64_t magic;
    uint32_t kind;    /* MFT_KIND_... */
    uint32_t version; /* of this kind's layout */
    uint64_t total_bytes;
    uint64_t data_offset;
    uint64_t record_bytes;
    uint64_t capacity;
    uint64_t params[MFT_PARAMS]; /* the kind's own numbers */
    uint8_t instance[16];        /* random */
    uint8_t boot[16];
    uint64_t pid_namespace; /* of the maker: pids in role words mean something there only */
    uint64_t time_namespace;
    uint64_t creator; /* an owner word */
    uint32_t uid;
    uint32_t named;
    int64_t created_ns;
    uint64_t dtype_hash;
    uint32_t dtype_length;
    uint32_t meta_length;
    char meta[MFT_META_BYTES];   /* the kind's own text, UTF-8 */
    char dtype[MFT_DTYPE_BYTES]; /* canonical text of the record type (mftcore/layout.py) */
    uint64_t checksum;           /* of all above */
} mft_layout_t;
_Static_assert(offsetof(mft_layout_t, checksum) == 3064 && sizeof(mft_layout_t) == 3072, "processes share this layout");

typedef struct {
    _Alignas(MFT_LINE) _Atomic(uint64_t) owner; /* see owner.h; by compare-and-swap only */
    _Atomic(uint64_t) epoch;                    /* how many holders there have been; checked; the holder writes */
    uint64_t zero[6];
} mft_role_t;

/* Shared: no pointers, so each process may map it at its own address. */
typedef struct {
    mft_layout_t layout;
    _Alignas(MFT_LINE) _Atomic(uint64_t) ready; /* MFT_READY, stored last */
    mft_role_t roles[MFT_ROLES];
    unsigned char zero[MFT_PAGE - 3072 - MFT_LINE - MFT_ROLES * MFT_LINE];
} mft_header_t;
_Static_assert(offsetof(mft_header_t, ready) == 3072, "processes share this layout");
_Static_assert(offsetof(mft_header_t, roles) == 3136, "processes share this layout");
_Static_assert(sizeof(mft_header_t) == MFT_PAGE, "the data starts on the second page");

/* What is asked for. */
typedef struct {
    uint32_t kind, version;
    uint64_t record_bytes, capacity, data_bytes;
    uint64_t params[MFT_PARAMS];
    const char *dtype; /* NULL: "" */
    const char *meta;  /* NULL: "" */
} mft_spec_t;

/* Which header field was refused; numbers where the field is one. */
typedef struct {
    const char *field;
    uint64_t expected, found;
} mft_fault_t;

/* Private to a process. */
typedef struct {
    mft_header_t *header;
    unsigned char *data; /* the structure's own part */
    size_t mapped_bytes;
    uint64_t data_bytes;
    uint64_t mirror_bytes; /* of the data's end that are mapped once more right behind it; 0: none */
    int fd;
    int error; /* errno of the last MFT_E_SYSTEM or MFT_E_NO_SPACE */
    mft_fault_t fault;
    mft_layout_t layout; /* the checked copy */
} mft_segment_t;

/* The answer to "does the holder live", at most MFT_LIVENESS_NS old: a system call per ms, not per read. */
typedef struct {
    uint64_t word;
    int64_t asked_ns;
    int pidfd;
    int alive;
} mft_watch_t;

static inline void mft_segment_init(mft_segment_t *s)
{
    memset(s, 0, sizeof *s);
    s->fd = -1;
}

static inline uint64_t mft_fnv1a(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static inline int mft_system_error(mft_segment_t *s)
{
    s->error = errno;
    return errno == ENOSPC || errno == EDQUOT || errno == ENOMEM || errno == EFBIG ? MFT_E_NO_SPACE : MFT_E_SYSTEM;
}

static inline int mft_fault(mft_segment_t *s, const char *field, uint64_t expected, uint64_t found)
{
    s->fault = (mft_fault_t){field, expected, found};
    return MFT_E_LAYOUT;
}

/* The kernel's random boot id as 16 bytes; zeros when /proc does not tell. */
static inline void mft_boot_id(uint8_t id[16])
{
    char text[64] = {0};
    unsigned nibble = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    memset(id, 0, 16);
    if (fd < 0)
        return;
    if (read(fd, text, sizeof text - 1) > 0)
        for (const char *c = text; *c && nibble < 32; c++) {
            const unsigned digit = *c >= '0' && *c <= '9'   ? (unsigned)(*c - '0')
                                   : *c >= 'a' && *c <= 'f' ? (unsigned)(*c - 'a' + 10)
                                                            : 16;
            if (digit < 16) {
                id[nibble / 2] |= (uint8_t)(digit << (nibble % 2 ? 0 : 4));
                nibble++;
            }
        }
    close(fd);
}

/* Unmap and close. The memory itself goes when the last process has done so (a named one also loses its name). */
static inline void mft_segment_detach(mft_segment_t *s)
{
    if (s->header)
        munmap(s->header, s->mapped_bytes);
    if (s->fd >= 0)
        close(s->fd);
    mft_segment_init(s);
}

static inline int mft_segment_map(mft_segment_t *s, size_t bytes)
{
    /* populated: the pages exist since posix_fallocate, and the first use of each is no page fault */
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s->fd, 0);

    if (at == MAP_FAILED)
        return mft_system_error(s);
    s->header = at;
    s->mapped_bytes = bytes;
    s->data = (unsigned char *)at + MFT_PAGE;
    s->data_bytes = bytes - MFT_PAGE;
    return MFT_OK;
}

/* Map the segment anew with the last `bytes` of its data once more right behind them, so that what goes over the end lies
 * in one piece. For the structure that needs it, after make or attach; pointers into the old mapping are dead. */
static inline int mft_segment_mirror(mft_segment_t *s, uint64_t bytes)
{
    const size_t once = s->mapped_bytes;
    unsigned char *at;

    if (s->mirror_bytes != 0 || bytes == 0 || bytes > s->data_bytes || bytes % MFT_PAGE != 0)
        return MFT_E_ARGUMENT;
    at = mmap(NULL, once + bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return mft_system_error(s);
    if (mmap(at, once, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, s->fd, 0) == MAP_FAILED ||
        mmap(at + once, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, s->fd,
             (off_t)(once - bytes)) == MAP_FAILED) {
        const int error = errno;
        munmap(at, once + bytes);
        errno = error;
        return mft_system_error(s);
    }
    munmap(s->header, once);
    s->header = (mft_header_t *)(void *)at;
    s->data = at + MFT_PAGE;
    s->mapped_bytes = once + bytes;
    s->mirror_bytes = bytes;
    return MFT_OK;
}

/* Give the open, empty file `s->fd` its size, mode and header. Not ready yet: nobody else may use it. */
static inline int mft_segment_fill(mft_segment_t *s, const mft_spec_t *spec, int named)
{
    const size_t dtype_length = spec->dtype ? strlen(spec->dtype) : 0, meta_length = spec->meta ? strlen(spec->meta) : 0;
    mft_layout_t *layout = &s->layout;
    mft_process_t self;
    uint64_t total;
    int rc;

    if (dtype_length >= MFT_DTYPE_BYTES || meta_length >= MFT_META_BYTES || spec->data_bytes == 0 ||
        spec->data_bytes > (uint64_t)INT64_MAX / 2)
        return MFT_E_ARGUMENT;
    total = MFT_PAGE + (spec->data_bytes + MFT_PAGE - 1) / MFT_PAGE * MFT_PAGE;
    if (fchmod(s->fd, 0600) != 0) /* whatever the umask is, and a memfd starts at 0777 */
        return mft_system_error(s);
    /* Not ftruncate: memory that is not there would then be a SIGBUS at the first store, here it is an error. */
    do
        rc = posix_fallocate(s->fd, 0, (off_t)total);
    while (rc == EINTR);
    if (rc != 0) {
        errno = rc;
        return mft_system_error(s);
    }
    rc = mft_segment_map(s, total);
    if (rc != MFT_OK)
        return rc;
    mft_self(&self);
    memset(layout, 0, sizeof *layout);
    layout->magic = MFT_MAGIC;
    layout->kind = spec->kind;
    layout->version = spec->version;
    layout->total_bytes = total;
    layout->data_offset = MFT_PAGE;
    layout->record_bytes = spec->record_bytes;
    layout->capacity = spec->capacity;
    memcpy(layout->params, spec->params, sizeof layout->params);
    if (getrandom(layout->instance, sizeof layout->instance, 0) != (ssize_t)sizeof layout->instance)
        return mft_system_error(s);
    mft_boot_id(layout->boot);
    layout->pid_namespace = self.pid_namespace;
    layout->time_namespace = self.time_namespace;
    layout->creator = mft_owner_word(self.pid, self.start_ticks, 0);
    layout->uid = (uint32_t)geteuid();
    layout->named = (uint32_t)named;
    layout->created_ns = mft_now_ns();
    layout->dtype_length = (uint32_t)dtype_length;
    layout->meta_length = (uint32_t)meta_length;
    if (dtype_length)
        memcpy(layout->dtype, spec->dtype, dtype_length);
    if (meta_length)
        memcpy(layout->meta, spec->meta, meta_length);
    layout->dtype_hash = mft_fnv1a(layout->dtype, dtype_length);
    layout->checksum = mft_fnv1a(layout, offsetof(mft_layout_t, checksum));
    memcpy(&s->header->layout, layout, sizeof *layout);
    return MFT_OK;
}

/* Make an anonymous segment. On failure nothing is left. */
static inline int mft_segment_make(mft_segment_t *s, const mft_spec_t *spec)
{
    int rc;

    mft_segment_init(s);
    s->fd = memfd_create("mftcore", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (s->fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
        s->fd = memfd_create("mftcore", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->fd < 0)
        return mft_system_error(s);
    rc = mft_segment_fill(s, spec, 0);
    if (rc == MFT_OK && fcntl(s->fd, F_ADD_SEALS, MFT_SEALS) != 0)
        rc = mft_system_error(s);
    if (rc != MFT_OK) {
        const int error = s->error;
        mft_segment_detach(s);
        s->error = error;
    }
    return rc;
}

/* Everything is in place: let others in. Anonymous: by handing on the descriptor. Named: mft_named_publish in named.h. */
static inline void mft_segment_publish(mft_segment_t *s)
{
    /* SYNC ready, with the acquire in mft_segment_attach: who sees it sees the whole header and the data as the
     * structure filled them. */
    atomic_store_explicit(&s->header->ready, MFT_READY, memory_order_release);
}

/* Refuse what is not a complete segment of ours, of this kind and version, for this user, of this boot. Any byte of
 * the header that differs from what a maker wrote is found, by its own check or by the checksum. */
static inline int mft_segment_check(mft_segment_t *s, uint32_t kind, uint32_t version, const struct stat *st)
{
    const mft_header_t *header = s->header;
    mft_layout_t *layout = &s->layout;
    uint8_t boot[16];
    uint64_t found;

    /* SYNC ready, with the release in mft_segment_publish. */
    found = atomic_load_explicit(&header->ready, memory_order_acquire);
    if (found != MFT_READY)
        return mft_fault(s, "ready", MFT_READY, found);
    memcpy(layout, &header->layout, sizeof *layout); /* once: what is checked is what is used */
    if (layout->magic != MFT_MAGIC)
        return mft_fault(s, "magic", MFT_MAGIC, layout->magic);
    if (layout->kind != kind)
        return mft_fault(s, "kind", kind, layout->kind);
    if (layout->version != version)
        return mft_fault(s, "layout version", version, layout->version);
    if (layout->total_bytes != (uint64_t)st->st_size)
        return mft_fault(s, "total size", (uint64_t)st->st_size, layout->total_bytes);
    if (layout->data_offset != MFT_PAGE)
        return mft_fault(s, "data offset", MFT_PAGE, layout->data_offset);
    if (layout->uid != (uint32_t)st->st_uid)
        return mft_fault(s, "user", st->st_uid, layout->uid);
    if (layout->dtype_length >= MFT_DTYPE_BYTES || layout->dtype[layout->dtype_length] != 0)
        return mft_fault(s, "dtype length", MFT_DTYPE_BYTES - 1, layout->dtype_length);
    found = mft_fnv1a(layout->dtype, layout->dtype_length);
    if (layout->dtype_hash != found)
        return mft_fault(s, "dtype hash", found, layout->dtype_hash);
    if (layout->meta_length >= MFT_META_BYTES || layout->meta[layout->meta_length] != 0)
        return mft_fault(s, "text length", MFT_META_BYTES - 1, layout->meta_length);
    found = mft_fnv1a(layout, offsetof(mft_layout_t, checksum));
    if (layout->checksum != found)
        return mft_fault(s, "checksum", found, layout->checksum);
    mft_boot_id(boot);
    if (memcmp(boot, layout->boot, sizeof boot) != 0)
        return mft_fault(s, "boot id", mft_fnv1a(boot, 16), mft_fnv1a(layout->boot, 16));
    for (unsigned role = 0; role < MFT_ROLES; role++) {
        const mft_role_t *at = &header->roles[role];

        found = atomic_load_explicit(&at->owner, memory_order_relaxed);
        if (!mft_checked_ok(found))
            return mft_fault(s, "role owner", mft_checked(found), found);
        found = atomic_load_explicit(&at->epoch, memory_order_relaxed);
        if (!mft_checked_ok(found))
            return mft_fault(s, "role epoch", mft_checked(found), found);
        for (unsigned word = 0; word < 6; word++)
            if (at->zero[word] != 0)
                return mft_fault(s, "reserved", 0, at->zero[word]);
    }
    for (const unsigned char *at = (const unsigned char *)&header->ready + 8; at < (const unsigned char *)header->roles; at++)
        if (*at != 0)
            return mft_fault(s, "reserved", 0, *at);
    for (size_t i = 0; i < sizeof header->zero; i++)
        if (header->zero[i] != 0)
            return mft_fault(s, "reserved", 0, header->zero[i]);
    return MFT_OK;
}

/* Refuse a file that cannot be a segment of this user, whatever is in it. What fstat says of it goes to `found`. */
static inline int mft_segment_file(mft_segment_t *s, int fd, struct stat *found)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return mft_system_error(s);
    *found = st;
    if (!S_ISREG(st.st_mode))
        return mft_fault(s, "file type", S_IFREG, st.st_mode & S_IFMT);
    if (st.st_uid != geteuid())
        return mft_fault(s, "file owner", geteuid(), st.st_uid);
    if ((st.st_mode & 07777) != 0600)
        return mft_fault(s, "file mode", 0600, st.st_mode & 07777);
    if (st.st_size < 2 * (off_t)MFT_PAGE || st.st_size % MFT_PAGE != 0)
        return mft_fault(s, "file size", 2 * MFT_PAGE, (uint64_t)st.st_size);
    return MFT_OK;
}

/* Read and check the header of a segment of whatever kind and version, without mapping it: a file that is cut off meanwhile
 * is then a refusal and not a signal, a sparse one of any size takes no memory, and nobody sees that we looked. The checked
 * copy is `s->layout`; `header` is the caller's page and keeps the roles as they were at some instant of the call. */
static inline int mft_segment_look(mft_segment_t *s, int fd, mft_header_t *header)
{
    struct stat st = {0};
    ssize_t got;
    int rc;

    mft_segment_init(s);
    rc = mft_segment_file(s, fd, &st);
    if (rc != MFT_OK)
        return rc;
    for (int tries = 0; tries < 3; tries++) { /* a role word may change while it is copied, and then looks damaged */
        got = pread(fd, header, sizeof *header, 0);
        if (got < 0)
            return mft_system_error(s);
        if (got != (ssize_t)sizeof *header)
            return mft_fault(s, "file size", sizeof *header, (uint64_t)got);
        s->header = header;
        rc = mft_segment_check(s, header->layout.kind, header->layout.version, &st);
        s->header = NULL;
        if (rc == MFT_OK)
            return rc;
    }
    return rc;
}

/* Map a segment that another process made. Takes the descriptor over, also when it fails. */
static inline int mft_segment_attach(mft_segment_t *s, int fd, uint32_t kind, uint32_t version)
{
    struct stat st = {0};
    mft_fault_t fault;
    int rc, seals, error;

    mft_segment_init(s);
    s->fd = fd;
    rc = mft_segment_file(s, fd, &st);
    if (rc == MFT_OK)
        rc = mft_segment_map(s, (size_t)st.st_size);
    if (rc == MFT_OK)
        rc = mft_segment_check(s, kind, version, &st);
    if (rc == MFT_OK && !s->layout.named) {
        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & MFT_SEALS) != MFT_SEALS) /* somebody could cut it off under us */
            rc = mft_fault(s, "seals", MFT_SEALS, (uint64_t)seals);
    }
    if (rc != MFT_OK) {
        fault = s->fault;
        error = s->error;
        mft_segment_detach(s);
        s->fault = fault;
        s->error = error;
    }
    return rc;
}

/* ---- roles ---- */

/* This process as seen by this segment: its owner word, foreign when its pid means nothing to the maker's world. */
static inline uint64_t mft_segment_self(const mft_segment_t *s)
{
    mft_process_t self;

    mft_self(&self);
    return mft_owner_word(self.pid, self.start_ticks,
                          self.pid_namespace != s->layout.pid_namespace ||
                              self.time_namespace != s->layout.time_namespace);
}

/* May `word` be taken for dead, seen from the process `self`? Another pid namespace counts as alive, for ever. */
static inline int mft_role_dead(uint64_t word, uint64_t self)
{
    return !((word | self) & MFT_OWNER_FOREIGN) && !mft_owner_alive(word);
}

/* Claim a role: MFT_OK, the new epoch (from 1) and in `*holder` our own word, to be kept for the release; or MFT_E_TAKEN
 * and the holder's word. A live holder is never displaced; a dead one is, by exactly one claimant. */
static inline int mft_role_claim(mft_segment_t *s, unsigned role, uint64_t *epoch, uint64_t *holder)
{
    uint64_t self, seen, count;
    mft_role_t *at;

    if (role >= MFT_ROLES)
        return MFT_E_ARGUMENT;
    errno = 0;
    self = mft_segment_self(s);
    if (mft_owner_start(self) == 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return mft_system_error(s); /* without our start time, whoever gets our pid later would seem to hold the role */
    at = &s->header->roles[role];
    seen = atomic_load_explicit(&at->owner, memory_order_relaxed);
    do {
        if (seen != 0 && (!mft_checked_ok(seen) || !mft_role_dead(seen, self))) {
            *holder = seen;
            return mft_checked_ok(seen) ? MFT_E_TAKEN : MFT_E_CORRUPT;
        }
        /* SYNC owner, with the release in mft_role_release: the last holder's stores come before ours. A killed one
         * released nothing, but its death was learnt from the kernel after its last store. */
    } while (!atomic_compare_exchange_strong_explicit(&at->owner, &seen, self, memory_order_acquire,
                                                      memory_order_relaxed));
    count = atomic_load_explicit(&at->epoch, memory_order_relaxed);
    if (!mft_checked_ok(count)) {
        atomic_store_explicit(&at->owner, 0, memory_order_release);
        return MFT_E_CORRUPT;
    }
    *holder = self;
    *epoch = (count & MFT_CHECKED_BITS) + 1;
    /* SYNC epoch, with the acquire in mft_role_epoch: who sees the new holder's data after this sees its epoch too,
     * because all of them are stored later, with release. */
    atomic_store_explicit(&at->epoch, mft_checked(*epoch), memory_order_release);
    return MFT_OK;
}

/* Give the role up that was claimed with this word; MFT_E_LOST when it is not held with it (any more). The word is not
 * made anew: without a free descriptor /proc would not tell our start time, and the role would stay ours for ever. */
static inline int mft_role_release(mft_segment_t *s, unsigned role, uint64_t word)
{
    return atomic_compare_exchange_strong_explicit(&s->header->roles[role].owner, &word, 0, memory_order_release,
                                                   memory_order_relaxed)
               ? MFT_OK
               : MFT_E_LOST;
}

/* How many holders the role has had; 0: nobody yet. */
static inline uint64_t mft_role_epoch(const mft_segment_t *s, unsigned role)
{
    return atomic_load_explicit(&s->header->roles[role].epoch, memory_order_acquire) & MFT_CHECKED_BITS;
}

static inline void mft_watch_init(mft_watch_t *w)
{
    *w = (mft_watch_t){.pidfd = -1};
}

static inline void mft_watch_close(mft_watch_t *w)
{
    if (w->pidfd >= 0)
        close(w->pidfd);
    mft_watch_init(w);
}

/* Does the role have a live holder? 0 when nobody holds it. The answer is at most MFT_LIVENESS_NS old. `self` is
 * mft_segment_self of the asking process. */
static inline int mft_watch_alive(mft_watch_t *w, const mft_segment_t *s, unsigned role, uint64_t self, int64_t now_ns)
{
    const uint64_t word = atomic_load_explicit(&s->header->roles[role].owner, memory_order_acquire);
    struct pollfd ask = {.events = POLLIN};

    if (word == 0) {
        mft_watch_close(w); /* nobody: and who held it last must not be taken for dead later */
        return 0;
    }
    if (word == w->word && now_ns - w->asked_ns < MFT_LIVENESS_NS)
        return w->alive;
    if (word != w->word || w->pidfd == -2) { /* new, or could not be told the last time: no descriptors, say */
        mft_watch_close(w);
        w->word = word;
        if (((word | self) & MFT_OWNER_FOREIGN) || !mft_checked_ok(word)) { /* a damaged word is not believed */
            w->alive = 1;
        } else {
            w->pidfd = mft_owner_pidfd(word);
            w->alive = w->pidfd != -1;
        }
    } else if (w->pidfd >= 0) {
        ask.fd = w->pidfd;
        w->alive = !(poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN)); /* an error proves nothing */
    }
    w->asked_ns = now_ns;
    return w->alive;
}

/* The word of a holder that is proved dead and was not succeeded, or 0. As old as mft_watch_alive's answer. */
static inline uint64_t mft_watch_dead(mft_watch_t *w, const mft_segment_t *s, unsigned role, uint64_t self,
                                      int64_t now_ns)
{
    const int alive = mft_watch_alive(w, s, role, self, now_ns);
    const uint64_t word = atomic_load_explicit(&s->header->roles[role].owner, memory_order_relaxed);

    return !alive && word == w->word ? word : 0;
}

#endif
