/* Makes the n-th call of one kind fail, for files below one folder: `cc -shared -fPIC -o failing.so failing_calls.c -ldl`,
   then LD_PRELOAD. Nothing fails before `failing_arm`; how often each kind was called since is told by `failing_count`.
   Forks of the process that armed it count with it: the n-th call fails, whichever of them makes it.
   A read or write is asked of the system where a descriptor leads, so that only the files attacked are counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, FSYNC, RENAME, UNLINK, LINK, KINDS };

static char root[PATH_MAX];
static size_t root_length;
static int armed, kind_failing, error_given;
static long number_failing;
static struct { long counts[KINDS], fired; } *shared;

void failing_arm(const char *folder, int kind, long number, int error) {
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    kind_failing = kind, number_failing = number, error_given = error, armed = shared != MAP_FAILED;
}

void failing_disarm(void) { armed = 0; }

long failing_count(int kind) { return shared->counts[kind]; }

long failing_fired(void) { return shared->fired; }

static int is_inside(const char *path) { return armed && path && !strncmp(path, root, root_length); }

static int leads_inside(int descriptor) {
    if (!armed) return 0;
    int before = errno;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return is_inside(path);
}

static int fails(int kind) {
    if (__sync_add_and_fetch(&shared->counts[kind], 1) != number_failing || kind != kind_failing) return 0;
    shared->fired = 1;
    errno = error_given;
    return 1;
}

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPENING(name)                                                   \
    int name(const char *path, int flags, ...) {                        \
        NEXT(name);                                                     \
        va_list rest; va_start(rest, flags);                            \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                   \
        if (is_inside(path) && fails(OPEN)) return -1;                  \
        return next(path, flags, mode);                                 \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                \
    int name(int folder, const char *path, int flags, ...) {            \
        NEXT(name);                                                     \
        va_list rest; va_start(rest, flags);                            \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                   \
        if (is_inside(path) && fails(OPEN)) return -1;                  \
        return next(folder, path, flags, mode);                         \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define MOVING(kind, result, name, parameters, arguments)               \
    result name parameters {                                            \
        NEXT(name);                                                     \
        if (leads_inside(fd) && fails(kind)) return -1;                 \
        return next arguments;                                          \
    }
MOVING(READ, ssize_t, read, (int fd, void *to, size_t n), (fd, to, n))
MOVING(READ, ssize_t, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
MOVING(READ, ssize_t, pread64, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at))
MOVING(WRITE, ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n))
MOVING(WRITE, ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at))
MOVING(WRITE, ssize_t, pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at))
MOVING(WRITE, ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n))
MOVING(FSYNC, int, fsync, (int fd), (fd))
MOVING(FSYNC, int, fdatasync, (int fd), (fd))

int rename(const char *from, const char *to) {
    NEXT(rename);
    return is_inside(to) && fails(RENAME) ? -1 : next(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    NEXT(renameat);
    return is_inside(to) && fails(RENAME) ? -1 : next(a, from, b, to);
}
int unlink(const char *path) {
    NEXT(unlink);
    return is_inside(path) && fails(UNLINK) ? -1 : next(path);
}
int unlinkat(int folder, const char *path, int flags) {
    NEXT(unlinkat);
    return is_inside(path) && fails(UNLINK) ? -1 : next(folder, path, flags);
}
int link(const char *from, const char *to) {
    NEXT(link);
    return is_inside(to) && fails(LINK) ? -1 : next(from, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    NEXT(linkat);
    return is_inside(to) && fails(LINK) ? -1 : next(a, from, b, to, flags);
}
