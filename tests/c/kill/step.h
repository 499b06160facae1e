/* Kill a process after exactly so many instructions of one operation.
 *
 * The child stops itself (int3) just before the operation and just after it. In between it is single-stepped with
 * ptrace, and killed where it stands: SIGKILL lets a traced and stopped process execute nothing more. Every place of
 * the operation is reached by a fresh child.
 *
 * A place is (landmark, steps). Landmarks shorten the way to late instructions: system calls, or stores to given
 * words of shared memory (hardware watchpoints); from the last landmark before it a place is reached by single steps.
 * Whether a landmark was met is looked up, not assumed: after a watchpoint the word must have been stored and the next
 * one not. Without landmarks each place is reached by single steps from the start. */
#ifndef STEP_H
#define STEP_H

#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "check.h"

#define SI_KERNEL_TRAP 0x80 /* si_code of an int3; single steps have TRAP_TRACE */

/* The ends of what is stepped. Parts of one function with the operation, so that nothing else is stepped. */
#define STEP_MARK() __asm__ __volatile__("int3" ::: "memory")

typedef enum { STEP_AT_PLACE, STEP_PASSED, STEP_FINISHED } step_end_t;

typedef struct {
    void (*prepare)(void);                 /* in the child, before the operation */
    void (*operate)(void);                 /* in the child: the operation itself */
    volatile uint64_t *(*landmark)(long i); /* address of the i-th store (from 1) or NULL: no more; or no function */
    uint64_t (*landmark_before)(long i);   /* what it holds until it is stored */
    int by_syscalls;                       /* landmarks are system calls */
    /* Sampling; 0: none, every instruction. */
    long every_landmark; /* from landmarks of which every so-manieth (stores in a row), and the first and the last two */
    long dense;          /* after so many steps from a landmark ... */
    long every_step;     /* ... only every so-manieth place, or with ONLY_DENSE none until the next landmark */
    long phase;          /* which of them; rounds differ */
    void (*meet)(pid_t child, step_end_t end); /* what happens at the place before the kill, or no function */
} step_plan_t;

#define ONLY_DENSE LONG_MAX

/* A child that dies with its parent, also when that is killed before the child is ready. */
static inline pid_t step_fork(void)
{
    const pid_t parent = getpid();
    pid_t pid;

    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

static inline void step_kill(pid_t pid)
{
    int status;

    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Stay on the n-th of the cores that we may use, counted round. */
static inline void step_pin(const cpu_set_t *cores, int n)
{
    cpu_set_t one;

    n %= CPU_COUNT(cores);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, cores) && n-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
        }
}

#if defined(__x86_64__)

/* The next stop of the child: 1 when it is the end of the operation. Anything but a trap is a failure of the operation. */
static inline int step_stop(pid_t pid)
{
    siginfo_t info;
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status) || (WSTOPSIG(status) & 0x7F) != SIGTRAP) {
        fprintf(stderr, "the stepped child ended by itself or got a signal: status 0x%x\n", (unsigned)status);
        exit(1);
    }
    if (WSTOPSIG(status) & 0x80)
        return 0; /* at a system call */
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
    return info.si_code == SI_KERNEL_TRAP;
}

static inline int step_once(pid_t pid)
{
    CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
    return step_stop(pid);
}

/* Let the child run from its place to the end of the operation. */
static inline void step_to_end(pid_t pid)
{
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(step_stop(pid));
}

/* Is the child's next instruction a system call? */
static inline int step_at_syscall(pid_t pid)
{
    const long rip = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), 0);

    return (ptrace(PTRACE_PEEKTEXT, pid, rip, 0) & 0xFFFF) == 0x050F;
}

/* Let the child run until it has stored to `address`. */
static inline int step_to_store(pid_t pid, volatile uint64_t *address)
{
    const unsigned long write_of_8_bytes = 1UL | 1UL << 16 | 2UL << 18;
    const size_t registers = offsetof(struct user, u_debugreg);

    CHECK(ptrace(PTRACE_POKEUSER, pid, registers, address) == 0);
    CHECK(ptrace(PTRACE_POKEUSER, pid, registers + 7 * sizeof(long), write_of_8_bytes) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    if (step_stop(pid))
        return 1;
    CHECK(ptrace(PTRACE_POKEUSER, pid, registers + 7 * sizeof(long), 0UL) == 0);
    return 0;
}

/* A fresh child, taken to (landmark, steps) and left stopped there. */
static inline step_end_t step_to(const step_plan_t *plan, long landmark, long steps, pid_t *child)
{
    int at_syscall = 0;
    const pid_t pid = step_fork();

    if (pid == 0) {
        plan->prepare();
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(2);
        plan->operate();
        _exit(3);
    }
    *child = pid;
    CHECK(step_stop(pid)); /* the mark before the operation */
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) == 0);
    if (plan->by_syscalls) {
        for (long i = 0; i < 2 * landmark; i++) { /* into the call, out of it */
            CHECK(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
            if (step_stop(pid))
                return STEP_FINISHED;
        }
    } else if (landmark > 0) {
        CHECK(!step_to_store(pid, plan->landmark(landmark))); /* else the watchpoint did not work */
        CHECK(*plan->landmark(landmark) != plan->landmark_before(landmark));
        CHECK(!plan->landmark(landmark + 1) ||
              *plan->landmark(landmark + 1) == plan->landmark_before(landmark + 1));
    }
    for (long i = 0; i < steps; i++) {
        if (plan->by_syscalls && (plan->every_step > 1 || i == steps - 1))
            at_syscall = at_syscall || step_at_syscall(pid);
        if (step_once(pid))
            return STEP_FINISHED;
        if (at_syscall)
            return STEP_PASSED;
    }
    if (plan->landmark && plan->landmark(landmark + 1) &&
        *plan->landmark(landmark + 1) != plan->landmark_before(landmark + 1))
        return STEP_PASSED;
    return STEP_AT_PLACE;
}

static inline long step_next(const step_plan_t *plan, long steps)
{
    if (plan->every_step <= 1 || plan->every_step == ONLY_DENSE || steps < plan->dense)
        return 1;
    return steps == plan->dense ? 1 + plan->phase % plan->every_step : plan->every_step;
}

/* One kill at each place of the operation, in order. `before` and `after` run in the parent around each; `after` says
 * whether to go on. Returns the number of places. */
static inline long step_through(const step_plan_t *plan, void (*before)(void), int (*after)(step_end_t end))
{
    long places = 0;

    for (long landmark = 0;; landmark++) {
        step_end_t end = STEP_AT_PLACE;
        pid_t child;

        if (plan->every_landmark > 1 && landmark > 2 && landmark % plan->every_landmark != 0 &&
            plan->landmark(landmark + 2))
            continue;
        for (long steps = 0; end == STEP_AT_PLACE && !(plan->every_step == ONLY_DENSE && steps > plan->dense);
             steps += step_next(plan, steps)) {
            before();
            end = step_to(plan, landmark, steps, &child);
            if (plan->meet)
                plan->meet(child, end);
            step_kill(child);
            places++;
            if (!after(end) || end == STEP_FINISHED)
                return places;
        }
    }
}

/* Do hardware watchpoints stop a process right after the store? `words` are two shared ones. */
static inline int step_watchpoints_work(volatile uint64_t *words)
{
    const size_t registers = offsetof(struct user, u_debugreg);
    const pid_t pid = step_fork();
    int works = 0;

    words[0] = words[1] = 0;
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(1);
        STEP_MARK();
        words[0] = 1;
        words[1] = 1;
        STEP_MARK();
        _exit(0);
    }
    CHECK(step_stop(pid));
    if (ptrace(PTRACE_POKEUSER, pid, registers, words) == 0)
        works = !step_to_store(pid, words) && words[0] == 1 && words[1] == 0;
    step_kill(pid);
    words[0] = words[1] = 0;
    return works;
}

/* Can processes be traced and stepped here? Says why not. */
static inline const char *step_unavailable(void)
{
    int status;
    const pid_t pid = step_fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(1);
        raise(SIGSTOP);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        return "waitpid failed";
    if (!WIFSTOPPED(status))
        return "ptrace is refused here (a container without CAP_SYS_PTRACE, or a seccomp filter)";
    if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0) {
        step_kill(pid);
        return "ptrace cannot single-step here";
    }
    waitpid(pid, &status, 0);
    step_kill(pid);
    return NULL;
}

#else

static inline int step_watchpoints_work(volatile uint64_t *words)
{
    (void)words;
    return 0;
}

static inline const char *step_unavailable(void)
{
    return "single-stepping is written for x86-64 only";
}

static inline void step_to_end(pid_t pid)
{
    (void)pid;
}

static inline long step_through(const step_plan_t *plan, void (*before)(void), int (*after)(step_end_t end))
{
    (void)plan, (void)before, (void)after;
    return 0;
}

#endif

#endif
