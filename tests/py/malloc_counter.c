/* Preloaded by test_strategy_run.py: counts the calls of the allocator by this thread. */
#include <dlfcn.h>
#include <stddef.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *place, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *place);

static __thread long calls __attribute__((tls_model("initial-exec")));

long allocator_calls(void)
{
    return calls;
}

void *malloc(size_t bytes)
{
    calls++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    calls++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *place, size_t bytes)
{
    calls++;
    return __libc_realloc(place, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    calls++;
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **place, size_t alignment, size_t bytes)
{
    calls++;
    *place = __libc_memalign(alignment, bytes);
    return *place ? 0 : 12;
}

void free(void *place)
{
    calls += place != NULL;
    __libc_free(place);
}
