/* Shared memory without Python: what attach refuses, who gets a role, how names come and go. */
#include "check.h"

#include <sys/resource.h>

#include "mftcore/named.h"

static mft_spec_t spec = {
    .kind = MFT_KIND_RING,
    .version = 3,
    .record_bytes = 64,
    .capacity = 4,
    .data_bytes = 5000,
    .params = {1, 2, 3},
    .dtype = "\"|V64\"",
    .meta = "BTC-PERPETUAL",
};

static void make(mft_segment_t *s)
{
    CHECK(mft_segment_make(s, &spec) == MFT_OK);
    mft_segment_publish(s);
}

static int attach_again(mft_segment_t *again, const mft_segment_t *s)
{
    const int fd = dup(s->fd);

    CHECK(fd >= 0);
    return mft_segment_attach(again, fd, spec.kind, spec.version);
}

static void an_attached_segment_is_the_same_memory_and_tells_the_same(void)
{
    mft_segment_t s, again;

    make(&s);
    CHECK(s.layout.total_bytes == 3 * MFT_PAGE);
    CHECK(attach_again(&again, &s) == MFT_OK);
    CHECK(memcmp(&again.layout, &s.layout, sizeof s.layout) == 0);
    CHECK(again.data != s.data);
    s.data[17] = 42;
    CHECK(again.data[17] == 42);
    mft_segment_detach(&s);
    CHECK(again.data[17] == 42);
    mft_segment_detach(&again);
}

static void nobody_can_truncate_a_sealed_segment(void)
{
    mft_segment_t s;

    make(&s);
    CHECK(ftruncate(s.fd, 0) != 0 && errno == EPERM);
    CHECK(ftruncate(s.fd, 1 << 20) != 0 && errno == EPERM);
    mft_segment_detach(&s);
}

static void an_unfinished_segment_is_refused(void)
{
    mft_segment_t s, again;

    CHECK(mft_segment_make(&s, &spec) == MFT_OK);
    CHECK(attach_again(&again, &s) == MFT_E_LAYOUT && strcmp(again.fault.field, "ready") == 0);
    CHECK(again.fd == -1 && again.header == NULL);
    mft_segment_publish(&s);
    CHECK(attach_again(&again, &s) == MFT_OK);
    mft_segment_detach(&again);
    mft_segment_detach(&s);
}

static void every_damaged_byte_of_the_header_is_noticed(void)
{
    const unsigned char damage[] = {0x01, 0x10, 0x80, 0xFF};
    mft_segment_t s, again;
    unsigned char *bytes;
    uint64_t epoch, holder;

    make(&s);
    CHECK(mft_role_claim(&s, 0, &epoch, &holder) == MFT_OK);
    bytes = (unsigned char *)s.header;
    for (size_t at = 0; at < MFT_PAGE; at++)
        for (size_t d = 0; d < sizeof damage; d++) {
            bytes[at] ^= damage[d];
            if (attach_again(&again, &s) != MFT_E_LAYOUT) {
                fprintf(stderr, "byte %zu changed by %#x went unnoticed\n", at, damage[d]);
                exit(1);
            }
            CHECK(again.fault.field != NULL && again.header == NULL);
            bytes[at] ^= damage[d];
        }
    CHECK(attach_again(&again, &s) == MFT_OK);
    mft_segment_detach(&again);
    mft_segment_detach(&s);
}

static void a_random_header_is_refused(void)
{
    mft_segment_t s, again;
    unsigned seed = 5;

    make(&s);
    for (int round = 0; round < REPEAT(2000); round++) {
        for (size_t at = 0; at < MFT_PAGE; at++)
            ((unsigned char *)s.header)[at] = (unsigned char)rand_r(&seed);
        if (round % 2) {
            s.header->layout.magic = MFT_MAGIC;
            atomic_store(&s.header->ready, MFT_READY);
            s.header->layout.kind = spec.kind;
            s.header->layout.version = spec.version;
            s.header->layout.total_bytes = s.mapped_bytes;
            s.header->layout.data_offset = MFT_PAGE;
        }
        CHECK(attach_again(&again, &s) == MFT_E_LAYOUT);
    }
    mft_segment_detach(&s);
}

static void what_is_no_segment_of_ours_is_refused(void)
{
    mft_segment_t s, again;
    int fd, ends[2];

    make(&s);
    CHECK(mft_segment_attach(&again, dup(s.fd), MFT_KIND_BOOK, spec.version) == MFT_E_LAYOUT);
    CHECK(strcmp(again.fault.field, "kind") == 0 && again.fault.expected == MFT_KIND_BOOK);
    CHECK(mft_segment_attach(&again, dup(s.fd), spec.kind, 4) == MFT_E_LAYOUT);
    CHECK(strcmp(again.fault.field, "layout version") == 0 && again.fault.found == 3);
    CHECK(fchmod(s.fd, 0640) == 0);
    CHECK(attach_again(&again, &s) == MFT_E_LAYOUT && strcmp(again.fault.field, "file mode") == 0);
    CHECK(pipe(ends) == 0);
    close(ends[1]);
    CHECK(mft_segment_attach(&again, ends[0], spec.kind, spec.version) == MFT_E_LAYOUT);
    CHECK(strcmp(again.fault.field, "file type") == 0);
    CHECK(mft_segment_attach(&again, 9999, spec.kind, spec.version) == MFT_E_SYSTEM && again.error == EBADF);
    fd = memfd_create("unsealed", MFD_CLOEXEC); /* a faithful copy, but it could be cut off under a reader */
    CHECK(fd >= 0 && fchmod(fd, 0600) == 0 && ftruncate(fd, (off_t)s.mapped_bytes) == 0);
    CHECK(pwrite(fd, s.header, s.mapped_bytes, 0) == (ssize_t)s.mapped_bytes);
    CHECK(mft_segment_attach(&again, dup(fd), spec.kind, spec.version) == MFT_E_LAYOUT);
    CHECK(strcmp(again.fault.field, "seals") == 0);
    for (off_t size = 0; size < (off_t)s.mapped_bytes; size += 1000) {
        CHECK(ftruncate(fd, size) == 0);
        CHECK(mft_segment_attach(&again, dup(fd), spec.kind, spec.version) == MFT_E_LAYOUT);
    }
    close(fd);
    mft_segment_detach(&s);
}

static void the_owner_word_keeps_pid_and_start_time_and_shows_damage(void)
{
    const uint64_t word = mft_owner_word(4194303, 0x1FFFFFFFF, 1);

    CHECK(mft_owner_pid(word) == 4194303 && mft_owner_start(word) == 0x1FFFFFFFF && (word & MFT_OWNER_FOREIGN));
    CHECK(mft_checked_ok(0) && mft_checked_ok(word));
    for (int byte = 0; byte < 8; byte++)
        for (uint64_t change = 1; change < 256; change++)
            CHECK(!mft_checked_ok(word ^ change << (8 * byte)));
}

/* ---- roles ---- */

static pid_t child_that_claims(mft_segment_t *s, unsigned role)
{
    int ends[2];
    char said;
    pid_t child;

    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        uint64_t epoch, holder;
        said = (char)mft_role_claim(s, role, &epoch, &holder);
        if (write(ends[1], &said, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    CHECK(read(ends[0], &said, 1) == 1 && said == MFT_OK);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void a_role_has_one_holder_and_the_second_learns_who(void)
{
    mft_segment_t s;
    uint64_t epoch = 0, holder = 0, mine = 0;

    make(&s);
    CHECK(mft_role_epoch(&s, 1) == 0);
    CHECK(mft_role_claim(&s, 1, &epoch, &mine) == MFT_OK && epoch == 1);
    CHECK(mft_role_claim(&s, MFT_ROLES, &epoch, &holder) == MFT_E_ARGUMENT);
    CHECK(mft_role_claim(&s, 1, &epoch, &holder) == MFT_E_TAKEN && mft_owner_pid(holder) == getpid());
    CHECK(mft_role_claim(&s, 2, &epoch, &holder) == MFT_OK && epoch == 1);
    CHECK(mft_role_release(&s, 1, mine) == MFT_OK && mft_role_release(&s, 1, mine) == MFT_E_LOST);
    CHECK(mft_role_claim(&s, 1, &epoch, &holder) == MFT_OK && epoch == 2 && mft_role_epoch(&s, 1) == 2);
    mft_segment_detach(&s);
}

static void a_stopped_holder_is_alive_and_an_unreaped_one_is_dead(void)
{
    mft_segment_t s;
    mft_watch_t watch;
    uint64_t epoch = 0, holder = 0, self;
    siginfo_t info;
    pid_t child;

    make(&s);
    self = mft_segment_self(&s);
    mft_watch_init(&watch);
    CHECK(!mft_watch_alive(&watch, &s, 0, self, mft_now_ns())); /* nobody */
    child = child_that_claims(&s, 0);
    CHECK(mft_watch_alive(&watch, &s, 0, self, mft_now_ns()));
    CHECK(kill(child, SIGSTOP) == 0 && waitid(P_PID, (id_t)child, &info, WSTOPPED) == 0);
    CHECK(mft_role_claim(&s, 0, &epoch, &holder) == MFT_E_TAKEN && mft_owner_pid(holder) == child);
    CHECK(kill(child, SIGKILL) == 0 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(kill(child, 0) == 0); /* a test by pid would still call it alive */
    CHECK(!mft_watch_alive(&watch, &s, 0, self, mft_now_ns() + 2 * MFT_LIVENESS_NS));
    CHECK(mft_role_claim(&s, 0, &epoch, &holder) == MFT_OK && epoch == 2);
    CHECK(mft_watch_alive(&watch, &s, 0, self, mft_now_ns())); /* us: another word, asked anew */
    CHECK(waitpid(child, NULL, 0) == child);
    mft_watch_close(&watch);
    mft_segment_detach(&s);
}

static void a_pid_used_again_by_another_process_does_not_keep_a_role(void)
{
    mft_segment_t s;
    uint64_t epoch = 0, holder = 0;

    make(&s);
    atomic_store(&s.header->roles[0].owner, mft_owner_word(getpid(), mft_start_ticks(getpid()) - 1, 0));
    CHECK(mft_role_claim(&s, 0, &epoch, &holder) == MFT_OK);
    atomic_store(&s.header->roles[1].owner, mft_owner_word(1, mft_start_ticks(1) + 1, 0));
    CHECK(mft_role_claim(&s, 1, &epoch, &holder) == MFT_OK);
    mft_segment_detach(&s);
}

static void a_holder_in_another_pid_namespace_counts_as_alive(void)
{
    mft_segment_t s;
    uint64_t epoch = 0, holder = 0;

    make(&s);
    atomic_store(&s.header->roles[0].owner, mft_owner_word(4194303, 1, 1));
    CHECK(mft_role_claim(&s, 0, &epoch, &holder) == MFT_E_TAKEN);
    atomic_store(&s.header->roles[1].owner, mft_owner_word(4194303, 1, 0)); /* here that pid is nobody */
    s.layout.pid_namespace++;                                              /* but now we are the foreigner */
    CHECK(mft_role_claim(&s, 1, &epoch, &holder) == MFT_E_TAKEN);
    s.layout.pid_namespace--;
    CHECK(mft_role_claim(&s, 1, &epoch, &holder) == MFT_OK);
    mft_segment_detach(&s);
}

static mft_segment_t contested;
static _Atomic(int) inside, wins;

static void *contend(void *ignored)
{
    (void)ignored;
    for (int i = 0; i < REPEAT(200); i++) {
        uint64_t epoch, holder;
        if (mft_role_claim(&contested, 0, &epoch, &holder) == MFT_OK) {
            CHECK(atomic_fetch_add(&inside, 1) == 0);
            CHECK(epoch == (uint64_t)atomic_fetch_add(&wins, 1) + 1);
            CHECK(atomic_fetch_sub(&inside, 1) == 1);
            CHECK(mft_role_release(&contested, 0, holder) == MFT_OK);
        }
    }
    return NULL;
}

static void of_many_claimants_one_wins_and_each_win_is_an_epoch(void)
{
    pthread_t threads[4];

    make(&contested);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, contend, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&wins) >= 1 && mft_role_epoch(&contested, 0) == (uint64_t)atomic_load(&wins));
    mft_segment_detach(&contested);
}

static void a_dead_holder_is_succeeded_by_exactly_one(void)
{
    for (int round = 0; round < REPEAT(50); round++) {
        mft_segment_t s;
        pid_t dead, heirs[4];
        int status, won = 0;

        make(&s);
        dead = child_that_claims(&s, 0);
        CHECK(kill(dead, SIGKILL) == 0 && waitpid(dead, &status, 0) == dead);
        for (int i = 0; i < 4; i++) {
            heirs[i] = fork();
            if (heirs[i] == 0) {
                uint64_t epoch, holder;
                const int rc = mft_role_claim(&s, 0, &epoch, &holder);
                if (rc == MFT_OK && epoch != 2)
                    _exit(2);
                if (rc == MFT_OK)
                    pause(); /* the winner stays, or the others would succeed it */
                _exit(1);
            }
        }
        for (int i = 0; i < 3; i++) {
            pid_t loser = waitpid(-1, &status, 0);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
            for (int j = 0; j < 4; j++)
                if (heirs[j] == loser)
                    heirs[j] = 0;
        }
        for (int j = 0; j < 4; j++)
            if (heirs[j]) {
                uint64_t epoch, holder = 0;
                while (mft_role_claim(&s, 0, &epoch, &holder) != MFT_E_TAKEN)
                    CHECK(!"the winner lost it");
                CHECK(mft_owner_pid(holder) == heirs[j]);
                kill(heirs[j], SIGKILL);
                waitpid(heirs[j], &status, 0);
                won++;
            }
        CHECK(won == 1);
        mft_segment_detach(&s);
    }
}

/* ---- names ---- */

static char directory_path[64];

static int fresh_directory(void)
{
    char template[] = "/tmp/mft-test-XXXXXX";
    int fd;

    CHECK(mkdtemp(template) != NULL);
    snprintf(directory_path, sizeof directory_path, "%s/own", template);
    fd = mft_named_directory(directory_path, 1);
    CHECK(fd >= 0);
    return fd;
}

static void drop_directory(int directory)
{
    close(directory);
    CHECK(rmdir(directory_path) == 0);
    *strrchr(directory_path, '/') = 0;
    CHECK(rmdir(directory_path) == 0);
}

static void a_name_appears_complete_is_unique_and_goes(void)
{
    const int directory = fresh_directory();
    mft_segment_t s, other, again;

    CHECK(mft_named_make(&s, directory, &spec) == MFT_OK);
    CHECK(mft_named_attach(&again, directory, "a", spec.kind, spec.version) == MFT_E_NOT_FOUND);
    CHECK(mft_named_publish(&s, directory, "a") == MFT_OK);
    CHECK(mft_named_make(&other, directory, &spec) == MFT_OK);
    CHECK(mft_named_publish(&other, directory, "a") == MFT_E_EXISTS);
    CHECK(mft_named_attach(&again, directory, "a", spec.kind, spec.version) == MFT_OK);
    CHECK(memcmp(again.layout.instance, s.layout.instance, 16) == 0);
    CHECK(mft_named_remove(&other, directory, "a") == MFT_E_NOT_FOUND); /* not its name */
    CHECK(mft_named_remove(&again, directory, "a") == MFT_OK);
    CHECK(mft_named_remove(&again, directory, "a") == MFT_E_NOT_FOUND);
    s.data[0] = 9;
    CHECK(again.data[0] == 9); /* users keep the memory */
    mft_segment_detach(&s);
    mft_segment_detach(&other);
    mft_segment_detach(&again);
    drop_directory(directory);
}

static void modes_do_not_depend_on_the_umask(void)
{
    const mode_t masks[] = {0, 0777};

    for (size_t i = 0; i < 2; i++) {
        const mode_t before = umask(masks[i]);
        struct stat st;
        mft_segment_t s;
        int directory;

        umask(before); /* for mkdtemp */
        directory = fresh_directory();
        close(directory);
        CHECK(rmdir(directory_path) == 0);
        umask(masks[i]);
        directory = mft_named_directory(directory_path, 1);
        CHECK(directory >= 0);
        CHECK(mft_named_make(&s, directory, &spec) == MFT_OK && mft_named_publish(&s, directory, "m") == MFT_OK);
        umask(before);
        CHECK(fstat(directory, &st) == 0 && (st.st_mode & 07777) == 0700);
        CHECK(fstat(s.fd, &st) == 0 && (st.st_mode & 07777) == 0600);
        CHECK(mft_named_remove(&s, directory, "m") == MFT_OK);
        mft_segment_detach(&s);
        make(&s);
        CHECK(fstat(s.fd, &st) == 0 && (st.st_mode & 07777) == 0600);
        mft_segment_detach(&s);
        drop_directory(directory);
    }
}

static void a_squatted_name_or_directory_is_refused(void)
{
    int directory = fresh_directory();
    mft_segment_t s;
    char elsewhere[80];

    CHECK(mknodat(directory, "fifo", S_IFIFO | 0600, 0) == 0);
    CHECK(mft_named_attach(&s, directory, "fifo", spec.kind, spec.version) == MFT_E_LAYOUT);
    CHECK(symlinkat("/dev/zero", directory, "link") == 0);
    CHECK(mft_named_attach(&s, directory, "link", spec.kind, spec.version) == MFT_E_UNSAFE);
    CHECK(mkdirat(directory, "dir", 0700) == 0);
    CHECK(mft_named_attach(&s, directory, "dir", spec.kind, spec.version) == MFT_E_UNSAFE);
    CHECK(mft_named_make(&s, directory, &spec) == MFT_OK);
    CHECK(mft_named_publish(&s, directory, "link") == MFT_E_EXISTS);
    CHECK(mft_named_publish(&s, directory, "../link") == MFT_E_ARGUMENT);
    CHECK(mft_named_publish(&s, directory, "") == MFT_E_ARGUMENT);
    CHECK(mft_named_publish(&s, directory, ".hidden") == MFT_E_ARGUMENT);
    mft_segment_detach(&s);
    CHECK(unlinkat(directory, "fifo", 0) == 0 && unlinkat(directory, "link", 0) == 0);
    CHECK(unlinkat(directory, "dir", AT_REMOVEDIR) == 0);

    CHECK(fchmod(directory, 0755) == 0);
    CHECK(mft_named_directory(directory_path, 1) == MFT_E_UNSAFE); /* others could have put things there */
    CHECK(fchmod(directory, 0700) == 0);
    snprintf(elsewhere, sizeof elsewhere, "%s-link", directory_path);
    CHECK(symlink(directory_path, elsewhere) == 0);
    CHECK(mft_named_directory(elsewhere, 1) == MFT_E_UNSAFE);
    CHECK(unlink(elsewhere) == 0);
    CHECK(mft_named_directory("/nowhere/at/all", 0) == MFT_E_NOT_FOUND);
    drop_directory(directory);
}

static void what_is_impossible_is_an_error_and_leaves_nothing(void)
{
    mft_spec_t big = spec;
    mft_segment_t s;
    struct rlimit before, none;
    char text[MFT_META_BYTES + 1];

    big.data_bytes = 0;
    CHECK(mft_segment_make(&s, &big) == MFT_E_ARGUMENT && s.fd == -1);
    big.data_bytes = UINT64_MAX - 5;
    CHECK(mft_segment_make(&s, &big) == MFT_E_ARGUMENT);
    big.data_bytes = 5000;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    big.meta = text;
    CHECK(mft_segment_make(&s, &big) == MFT_E_ARGUMENT);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(mft_segment_make(&s, &spec) == MFT_E_SYSTEM && s.error == EMFILE && s.header == NULL);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

int main(void)
{
    alarm(300); /* a hang is a failure */
    RUN(an_attached_segment_is_the_same_memory_and_tells_the_same);
    RUN(nobody_can_truncate_a_sealed_segment);
    RUN(an_unfinished_segment_is_refused);
    RUN(every_damaged_byte_of_the_header_is_noticed);
    RUN(a_random_header_is_refused);
    RUN(what_is_no_segment_of_ours_is_refused);
    RUN(the_owner_word_keeps_pid_and_start_time_and_shows_damage);
    RUN(a_role_has_one_holder_and_the_second_learns_who);
    RUN(a_stopped_holder_is_alive_and_an_unreaped_one_is_dead);
    RUN(a_pid_used_again_by_another_process_does_not_keep_a_role);
    RUN(a_holder_in_another_pid_namespace_counts_as_alive);
    RUN(of_many_claimants_one_wins_and_each_win_is_an_epoch);
    RUN(a_dead_holder_is_succeeded_by_exactly_one);
    RUN(a_name_appears_complete_is_unique_and_goes);
    RUN(modes_do_not_depend_on_the_umask);
    RUN(a_squatted_name_or_directory_is_refused);
    RUN(what_is_impossible_is_an_error_and_leaves_nothing);
    return 0;
}
