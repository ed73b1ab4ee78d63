/* Preloaded under a process: a record of all that it does to files below SHIM_ROOT, in order, from
 * which the images after a power cut are made (support/power.py); and failures at the n-th call.
 *
 * SHIM_ROOT  absolute folder; SHIM_LOG  the record; SHIM_FAIL  "sync:7", "write:12:ENOSPC",
 * "any:30:EIO:once": from the call of that number on every such call gives the error (EIO unless
 * said otherwise), or just that one. Kinds: write, sync, rename, create, truncate, folder, any;
 * and none, which lets all calls happen. Standard error tells of each call that fails (of none:
 * of each). What goes there and to standard output is not counted, and a process that is started
 * by this one has no failures. A process that forks may call shim_arm to begin to count anew.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char root[PATH_MAX];
static size_t root_length;
static char fail_what[16];
static long fail_at, calls;
static int fail_with, fail_once;

/* Begin to count, up to this failure; an empty text is none. */
void shim_arm(const char *fail) {
    char error[16] = "", once[16] = "";
    fail_what[0] = 0;
    fail_at = calls = 0;
    sscanf(fail, "%15[^:]:%ld:%15[^:]:%15s", fail_what, &fail_at, error, once);
    fail_with = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
    fail_once = strcmp(once, "once") == 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("SHIM_ROOT"), *to = getenv("SHIM_LOG"), *fail = getenv("SHIM_FAIL");
    if (where) {
        strncpy(root, where, sizeof root - 1);
        root_length = strlen(root);
    }
    if (to) log_fd = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fail) {
        shim_arm(fail);
        unsetenv("SHIM_FAIL");
    }
}

static int below(const char *path) {
    return root_length && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static int path_of(int fd, char *path) {
    char link[64];
    if (fd == STDOUT_FILENO || fd == STDERR_FILENO) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path) || strcmp(path, root) == 0;
}

static int absolute(int dir, const char *path, char *full) {
    if (path[0] == '/') snprintf(full, PATH_MAX, "%s", path);
    else if (dir == AT_FDCWD) {
        char here[PATH_MAX / 2];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(full, PATH_MAX, "%s/%.2000s", here, path);
    } else {
        char base[PATH_MAX];
        if (!path_of(dir, base)) return 0;
        snprintf(full, PATH_MAX, "%.2000s/%.2000s", base, path);
    }
    return below(full);
}

/* One record: kind, then lengths and offset, then path, second path, data. */
static void note(char kind, uint64_t inode, const char *one, const char *two, int64_t offset,
                 const void *data, uint64_t size) {
    if (log_fd < 0) return;
    struct { uint32_t kind, one, two, spare; uint64_t inode; int64_t offset; uint64_t size; } head = {
        (uint32_t)kind, (uint32_t)strlen(one), (uint32_t)strlen(two), 0, inode, offset, size};
    struct iovec parts[4] = {{&head, sizeof head}, {(void *)one, head.one}, {(void *)two, head.two},
                             {(void *)data, size}};
    syscall(SYS_writev, log_fd, parts, 4);
}

static uint64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

static int fails(const char *what, const char *path) {
    if (strcmp(fail_what, "none") == 0) dprintf(STDERR_FILENO, "shim: call %s %s\n", what, path);
    if (!fail_at || (strcmp(fail_what, "any") != 0 && strcmp(what, fail_what) != 0)) return 0;
    if (++calls < fail_at || (fail_once && calls > fail_at)) return 0;
    dprintf(STDERR_FILENO, "shim: call %ld fails: %s %s\n", calls, what, path);
    errno = fail_with;
    return 1;
}

static int opened(int dir, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int ours = absolute(dir, path, full);
    pthread_mutex_lock(&guard);
    int fd = -1;
    if (!ours || !(flags & O_CREAT) || !fails("create", full)) {
        fd = syscall(SYS_openat, dir, path, flags, mode);
        if (fd >= 0 && ours && (flags & O_CREAT)) note('C', inode_of(fd), full, "", 0, NULL, 0);
        if (fd >= 0 && ours && (flags & O_TRUNC)) note('T', inode_of(fd), full, "", 0, NULL, 0);
    }
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return fd;
}

#define MODE                                                                    \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE return opened(dir, path, flags, mode); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (!root_length || !path_of(fd, path)) return syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&guard);
    ssize_t done = -1;
    if (!fails("write", path)) {
        off_t at = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
        done = syscall(SYS_write, fd, data, size);
        if (done > 0) note('W', inode_of(fd), path, "", at, data, done);
    }
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}

static ssize_t written_at(int fd, const void *data, size_t size, off_t at) {
    char path[PATH_MAX];
    if (!root_length || !path_of(fd, path)) return syscall(SYS_pwrite64, fd, data, size, at);
    pthread_mutex_lock(&guard);
    ssize_t done = -1;
    if (!fails("write", path)) {
        done = syscall(SYS_pwrite64, fd, data, size, at);
        if (done > 0) note('W', inode_of(fd), path, "", at, data, done);
    }
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return written_at(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return written_at(fd, data, size, at); }

/* Copies that pass by the memory of the process: those who try them go on with read and write. */
static ssize_t sent(int out, int in, off_t *at, size_t size) {
    char path[PATH_MAX];
    if (!root_length || !path_of(out, path)) return syscall(SYS_sendfile, out, in, at, size);
    errno = EINVAL;
    return -1;
}
ssize_t sendfile(int out, int in, off_t *at, size_t size) { return sent(out, in, at, size); }
ssize_t sendfile64(int out, int in, off_t *at, size_t size) { return sent(out, in, at, size); }

static int cut_to(int fd, off_t size) {
    char path[PATH_MAX];
    if (!root_length || !path_of(fd, path)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&guard);
    int done = fails("truncate", path) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
    if (done == 0) note('T', inode_of(fd), path, "", size, NULL, 0);
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}
int ftruncate(int fd, off_t size) { return cut_to(fd, size); }
int ftruncate64(int fd, off_t size) { return cut_to(fd, size); }

static int synced(int fd, long number) {
    char path[PATH_MAX];
    if (!root_length || !path_of(fd, path)) return syscall(number, fd);
    pthread_mutex_lock(&guard);
    int done = fails("sync", path) ? -1 : (int)syscall(number, fd);
    if (done == 0) note('S', inode_of(fd), path, "", 0, NULL, 0);
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int renamed(int from_dir, const char *from, int to_dir, const char *to) {
    char one[PATH_MAX] = "", two[PATH_MAX] = "";
    int ours = absolute(from_dir, from, one) | absolute(to_dir, to, two);
    pthread_mutex_lock(&guard);
    int done = ours && fails("rename", two) ? -1
                                            : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
    if (done == 0 && ours) note('R', 0, one, two, 0, NULL, 0);
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int a, const char *from, int b, const char *to) { return renamed(a, from, b, to); }

static int removed(int dir, const char *path, int flags) {
    char full[PATH_MAX];
    int ours = absolute(dir, path, full);
    pthread_mutex_lock(&guard);
    int done = syscall(SYS_unlinkat, dir, path, flags);
    if (done == 0 && ours) note('U', 0, full, "", 0, NULL, 0);
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return removed(dir, path, flags); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

static int made(int dir, const char *path, mode_t mode) {
    char full[PATH_MAX];
    int ours = absolute(dir, path, full);
    pthread_mutex_lock(&guard);
    int done = ours && fails("folder", full) ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
    if (done == 0 && ours) note('M', 0, full, "", 0, NULL, 0);
    int kept = errno; pthread_mutex_unlock(&guard); errno = kept;
    return done;
}
int mkdir(const char *path, mode_t mode) { return made(AT_FDCWD, path, mode); }
int mkdirat(int dir, const char *path, mode_t mode) { return made(dir, path, mode); }
