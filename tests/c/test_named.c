/* Names and owners in the corners that test_segment leaves out: the lock of the directory, and a process with a strange name. */
#include "check.h"

#include <sys/prctl.h>

#include "mftcore/named.h"

static const mft_spec_t spec = {.kind = MFT_KIND_RING, .version = 1, .record_bytes = 8, .capacity = 1, .data_bytes = 4096};
static char directory_path[] = "/dev/shm/mftcore-named-XXXXXX";

static void a_name_goes_while_nobody_else_holds_the_lock(void)
{
    const int directory = mft_named_directory(directory_path, 0), other = open(directory_path, O_RDONLY | O_DIRECTORY);
    const struct timespec moment = {0, 20000000};
    int pipes[2], status;
    char byte = 0;
    mft_segment_t s;
    pid_t pid;

    CHECK(directory >= 0 && other >= 0 && pipe(pipes) == 0);
    CHECK(mft_named_make(&s, directory, &spec) == MFT_OK && mft_named_publish(&s, directory, "a") == MFT_OK);
    pid = fork();
    if (pid == 0) { /* holds the lock for a while, in which the name must stay */
        const int mine = open(directory_path, O_RDONLY | O_DIRECTORY);

        if (mine < 0 || flock(mine, LOCK_EX) != 0 || write(pipes[1], &byte, 1) != 1)
            _exit(1);
        nanosleep(&moment, NULL);
        _exit(faccessat(directory, "a", F_OK, 0) == 0 ? 0 : 2);
    }
    CHECK(pid > 0 && read(pipes[0], &byte, 1) == 1);
    CHECK(mft_named_remove(&s, directory, "a") == MFT_OK);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(flock(other, LOCK_EX | LOCK_NB) == 0); /* given back, though a descriptor of ours is open */
    close(other);
    close(directory);
    mft_segment_detach(&s);
}

static void a_process_may_be_called_anything(void)
{
    const uint64_t before = mft_start_ticks(getpid());

    CHECK(before > 0);
    CHECK(prctl(PR_SET_NAME, "a) b (1 2 3) ") == 0);
    CHECK(mft_start_ticks(getpid()) == before);
    CHECK(mft_start_ticks(0x3FFFFF) == 0); /* no such process */
}

static void leave_nothing(void) /* also after a CHECK that failed */
{
    const int directory = open(directory_path, O_RDONLY | O_DIRECTORY);

    if (directory >= 0)
        unlinkat(directory, "a", 0);
    rmdir(directory_path);
}

int main(void)
{
    alarm(60);
    if (access("/dev/shm", W_OK) != 0)
        strcpy(directory_path, "/tmp/mftcore-named-XXXXXX");
    CHECK(mkdtemp(directory_path) != NULL && atexit(leave_nothing) == 0);
    RUN(a_name_goes_while_nobody_else_holds_the_lock);
    RUN(a_process_may_be_called_anything);
    CHECK(rmdir(directory_path) == 0); /* nothing is left in it */
    return 0;
}
