/* What the programs of this folder share: two pinned processes, memory that both see, percentiles, lines of JSON. */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mftcore/clock.h"

static inline void die(const char *what)
{
    perror(what);
    exit(2);
}

static inline void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        die("sched_setaffinity");
}

/* Zeroed memory that a child made afterwards sees as well, every page of it there already. */
static inline void *shared_bytes(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

/* fork; the child runs on `cpu` and dies with its parent. */
static inline pid_t child_on(int cpu)
{
    const pid_t child = fork();

    if (child < 0)
        die("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(cpu);
    }
    return child;
}

/* Waits for a child that ends by itself; its failure is ours. */
static inline void child_ended(pid_t child)
{
    int status = 0;

    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "the other side failed (status %d)\n", status);
        exit(3);
    }
}

static inline void child_kill(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static inline int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static inline int64_t *samples_for(long count)
{
    int64_t *taken = calloc((size_t)count, sizeof *taken);

    if (taken == NULL)
        die("calloc");
    return taken;
}

/* Members of a JSON object, without its braces; each percentile is a value that occurred. */
static inline void print_percentiles(int64_t *taken, long count)
{
    qsort(taken, (size_t)count, sizeof *taken, by_value);
    printf("\"p50\": %ld, \"p90\": %ld, \"p99\": %ld, \"p999\": %ld, \"max\": %ld, \"count\": %ld",
           (long)taken[count / 2], (long)taken[count * 9 / 10], (long)taken[count * 99 / 100],
           (long)taken[count * 999 / 1000], (long)taken[count - 1], count);
}

/* The next number of a fixed sequence (xorshift), for jittered gaps. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
