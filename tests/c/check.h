/* Checks that stay in, whatever the build says, and small things that every C test needs. */
#ifndef CHECK_H
#define CHECK_H

#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                   \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)

#define RUN(test)                                                                                                     \
    do {                                                                                                              \
        test();                                                                                                       \
        fprintf(stderr, "ok %s\n", #test);                                                                            \
    } while (0)

/* Sanitizers cost a factor of ten; the same claims are then checked on fewer repetitions. SHORT: a tenth of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SHORT)
#define REPEAT(n) ((n) / 10)
#else
#define REPEAT(n) (n)
#endif

#endif
