/* Mappings in a forked child: a copy of what was there, whatever it writes, and never the parent's memory. */
#include "check.h"

#include <sys/resource.h>

#include "mftcore/fork.h"

enum { PAGE = 4096, PAGES = 4, MIRROR = 2 * PAGE, MAPPED = (PAGES + 2) * PAGE };

static mft_forks_t forks = {.lock = PTHREAD_MUTEX_INITIALIZER, .generation = 1};

static void before_fork(void) { pthread_mutex_lock(&forks.lock); }
static void after_fork(void) { pthread_mutex_unlock(&forks.lock); }

static void in_child(void)
{
    mft_forks_in_child(&forks);
    pthread_mutex_unlock(&forks.lock);
}

/* Four pages of a file, the last two of them once more behind it. */
static volatile unsigned char *map(mft_mapping_t *m, int *fd)
{
    unsigned char *at;

    *fd = memfd_create("fork", MFD_CLOEXEC);
    CHECK(*fd >= 0 && ftruncate(*fd, PAGES * PAGE) == 0);
    at = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    CHECK(at != MAP_FAILED);
    CHECK(mmap(at + PAGES * PAGE, MIRROR, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *fd,
               PAGES * PAGE - MIRROR) != MAP_FAILED);
    mft_forks_add(&forks, m, at, MAPPED, MIRROR, *fd);
    return at;
}

static void unmap(mft_mapping_t *m, int fd)
{
    void *const at = m->address;

    mft_forks_drop(&forks, m);
    CHECK(munmap(at, MAPPED) == 0);
    close(fd);
}

/* What lies where: each page holds its number, and those at the end theirs once more. */
static unsigned char expected(size_t i)
{
    return (unsigned char)(1 + (i < PAGES * PAGE ? i : i - MIRROR) / PAGE);
}

static void fill(volatile unsigned char *at)
{
    for (size_t i = 0; i < PAGES * PAGE; i++)
        at[i] = expected(i);
}

/* Run in a forked child; its exit status, or 128 and the number of the signal that ended it. */
static int in_a_fork(int (*what)(volatile unsigned char *), volatile unsigned char *at)
{
    const pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid == 0)
        _exit(what(at));
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int writes_everywhere(volatile unsigned char *at)
{
    for (size_t i = 0; i < MAPPED; i += PAGE / 2)
        if (at[i] != expected(i))
            return 1;
    for (size_t i = 0; i < MAPPED; i += PAGE / 2)
        at[i] = 99;
    for (size_t i = 0; i < MAPPED; i += PAGE / 2)
        if (at[i] != 99)
            return 2;
    return forks.generation == 2 ? 0 : 3;
}

static void a_child_writes_into_a_copy_also_over_the_end(void)
{
    mft_mapping_t m;
    int fd;
    volatile unsigned char *const at = map(&m, &fd);

    fill(at);
    CHECK(in_a_fork(writes_everywhere, at) == 0);
    for (size_t i = 0; i < MAPPED; i++)
        CHECK(at[i] == expected(i));
    CHECK(forks.generation == 1);
    at[PAGES * PAGE] = 9;
    CHECK(at[PAGES * PAGE - MIRROR] == 9); /* here they are still the same memory */
    unmap(&m, fd);
}

static int forks_again(volatile unsigned char *at)
{
    const pid_t pid = (at[0] = 5, fork());
    int status;

    if (pid == 0)
        _exit(at[0] == 5 && forks.generation == 3 ? 0 : 1); /* the child's own, not the file's once more */
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void a_grandchild_sees_what_the_child_wrote(void)
{
    mft_mapping_t m;
    int fd;
    volatile unsigned char *const at = map(&m, &fd);

    CHECK(in_a_fork(forks_again, at) == 0 && at[0] == 0);
    unmap(&m, fd);
}

static int sees_zeros(volatile unsigned char *at)
{
    return at[0] == 0 && at[MAPPED - 1] == 0 && (at[0] = 3) == 3 ? 0 : 1;
}

static void a_descriptor_closed_behind_our_back_leaves_zeros(void)
{
    mft_mapping_t m;
    int fd;
    volatile unsigned char *const at = map(&m, &fd);

    at[0] = at[MAPPED - 1] = 1;
    close(fd);
    CHECK(in_a_fork(sees_zeros, at) == 0 && at[0] == 1);
    unmap(&m, -1);
}

static int reads_and_writes(volatile unsigned char *at)
{
    if (at[0] != 1 || at[MAPPED - 1] != 1)
        return 1;
    at[0] = 2;
    return 0;
}

static int only_reads(volatile unsigned char *at)
{
    return at[0] == 1 && at[MAPPED - 1] == 1 ? 0 : 1;
}

static void where_private_memory_is_refused_a_child_reads_and_cannot_write(void)
{
    struct rlimit before, none;
    mft_mapping_t m;
    int fd;
    volatile unsigned char *const at = map(&m, &fd);

    memset((void *)at, 1, PAGES * PAGE);
    CHECK(getrlimit(RLIMIT_DATA, &before) == 0);
    none = (struct rlimit){1, before.rlim_max}; /* 0 would mean no limit, for the sake of old programs */
    CHECK(setrlimit(RLIMIT_DATA, &none) == 0);
    CHECK(in_a_fork(only_reads, at) == 0);
    CHECK(in_a_fork(reads_and_writes, at) == 128 + SIGSEGV && at[0] == 1);
    close(fd);
    CHECK(in_a_fork(only_reads, at) == 128 + SIGSEGV); /* not even that without the file */
    CHECK(setrlimit(RLIMIT_DATA, &before) == 0);
    unmap(&m, -1);
}

static void dropped_mappings_leave_the_list_whole_in_any_order(void)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    volatile unsigned char *at[3];
    mft_mapping_t m[3];
    int fds[3];

    for (int k = 0; k < 6; k++) {
        for (int i = 0; i < 3; i++)
            at[i] = map(&m[i], &fds[i]);
        for (int i = 0; i < 3; i++) {
            unmap(&m[orders[k][i]], fds[orders[k][i]]);
            mft_forks_drop(&forks, &m[orders[k][i]]); /* twice does nothing */
            for (int left = i + 1; left < 3; left++) {
                const int which = orders[k][left];

                fill(at[which]);
                CHECK(in_a_fork(writes_everywhere, at[which]) == 0 && at[which][0] == 1);
            }
        }
        CHECK(forks.first == NULL);
    }
}

int main(void)
{
    alarm(60);
    CHECK(pthread_atfork(before_fork, after_fork, in_child) == 0);
    RUN(a_child_writes_into_a_copy_also_over_the_end);
    RUN(a_grandchild_sees_what_the_child_wrote);
    RUN(a_descriptor_closed_behind_our_back_leaves_zeros);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need private memory themselves */
    RUN(where_private_memory_is_refused_a_child_reads_and_cannot_write);
#endif
    RUN(dropped_mappings_leave_the_list_whole_in_any_order);
    return 0;
}
