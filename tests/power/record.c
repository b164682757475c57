/*
 * Records what a process does to the files below one directory, and lets such calls fail.
 *
 * Loaded with LD_PRELOAD, but it interposes no symbol: a seccomp filter traps the system calls
 * themselves (SIGSYS), so that calls which bypass libc (rustix) are seen like all others. The
 * handler makes the call, from the one place that the filter lets through, and appends a record to
 * the trace. The trace is written before the call returns, so nothing can follow from an effect
 * that is not in it. Must never change what a call does, unless it was told to let it fail.
 *
 * Environment
 *   TILLWAY_POWER_ROOT     directory whose files are recorded (absolute, no symbolic links in it)
 *   TILLWAY_POWER_TRACE    file that records are appended to; outside the directory
 *   TILLWAY_POWER_SENDS    if set, what is sent on sockets is recorded too
 *   TILLWAY_POWER_CONTROL  file with one order: "<word> <number> <part of a path>"
 *     room N   files may grow by N bytes altogether, then ENOSPC
 *     call K   the K-th call that takes space, and every later one, fails with ENOSPC
 *     sync K   the K-th sync fails with EIO; the ones after it "succeed", as in Linux
 *     data K   as "sync", but only fdatasync counts
 *     die 0    the process ends before the next call, between two records
 *     Counting begins anew when the order changes; without the file nothing fails.
 *
 * A record, all numbers low byte first:
 *   u8 kind | u8 flag | u16 0 | u32 error | u64 begin | u64 end | u64 inode | u64 offset |
 *   u64 length | u32 bytes of path | u32 bytes of second path | u64 bytes of data | the three
 * Times are CLOCK_MONOTONIC in nanoseconds. The kinds are in tests/harness/power/trace.rs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define PATH_BYTES 1024
/* Files that are known at once; a shop has a few dozen. */
#define FILES_MAX 8192

enum kind {
    K_START = 1, K_CREATE = 2, K_WRITE = 3, K_ZERO = 4, K_TRUNCATE = 5, K_ALLOCATE = 6,
    K_RENAME = 7, K_UNLINK = 8, K_MKDIR = 9, K_RMDIR = 10, K_LINK = 11, K_SYNC = 12,
    K_SYNC_DIRECTORY = 13, K_RANGE = 14, K_BYPASS = 15, K_SEND = 16, K_KNOWN = 17, K_FAILED = 18
};

struct record {
    uint8_t kind, flag;
    uint16_t zero;
    uint32_t error;
    uint64_t begin, end, inode, offset, length;
    uint32_t path_bytes, second_bytes;
    uint64_t data_bytes;
} __attribute__((packed));

struct known {
    uint64_t inode;
    char path[512];
};

/* The only place whose system calls the filter lets through. */
long tillway_power_raw(long number, long a, long b, long c, long d, long e, long f);
extern char tillway_power_raw_end[];
#if defined(__x86_64__)
__asm__(".text\n.globl tillway_power_raw\n.hidden tillway_power_raw\n"
        ".type tillway_power_raw,@function\ntillway_power_raw:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\n"
        "mov 8(%rsp),%r9\nsyscall\nret\n"
        ".globl tillway_power_raw_end\n.hidden tillway_power_raw_end\ntillway_power_raw_end:\nnop\n");
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define ARGUMENT(c, n) ((long)(c)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}[n]])
#define RESULT(c) ((c)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
__asm__(".text\n.globl tillway_power_raw\n.hidden tillway_power_raw\n"
        ".type tillway_power_raw,%function\ntillway_power_raw:\n"
        "mov x8,x0\nmov x0,x1\nmov x1,x2\nmov x2,x3\nmov x3,x4\nmov x4,x5\nmov x5,x6\nsvc #0\nret\n"
        ".globl tillway_power_raw_end\n.hidden tillway_power_raw_end\ntillway_power_raw_end:\nnop\n");
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define ARGUMENT(c, n) ((long)(c)->uc_mcontext.regs[n])
#define RESULT(c) ((c)->uc_mcontext.regs[0])
#else
#error "no recorder for this processor"
#endif

#define RAW(number, ...) RAW7(number, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAW7(number, a, b, c, d, e, f, ...) \
    tillway_power_raw((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static char root[PATH_BYTES];
static size_t root_bytes;
static char control_path[PATH_BYTES];
static long trace = -1;
static int records_sends;
static struct known files[FILES_MAX];
static int file_count;
static volatile int taken;

/* The order in force and what it has seen. */
static char order[256];
static char order_word[8], order_part[128];
static uint64_t order_number, order_seen;

static void lock(void)
{
    while (__sync_lock_test_and_set(&taken, 1))
        RAW(SYS_sched_yield);
}

static void unlock(void)
{
    __sync_lock_release(&taken);
}

static uint64_t now(void)
{
    struct timespec at;
    RAW(SYS_clock_gettime, CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void die(const char *why)
{
    RAW(SYS_write, 2, "power recorder: ", 16);
    RAW(SYS_write, 2, why, strlen(why));
    RAW(SYS_write, 2, "\n", 1);
    RAW(SYS_exit_group, 99);
}

static void put(struct record record, const char *path, const char *second,
                const struct iovec *data, int data_count)
{
    struct iovec parts[3 + 64];
    int count = 3;
    if (trace < 0)
        return;
    record.path_bytes = path ? strlen(path) : 0;
    record.second_bytes = second ? strlen(second) : 0;
    parts[0] = (struct iovec){&record, sizeof record};
    parts[1] = (struct iovec){(void *)path, record.path_bytes};
    parts[2] = (struct iovec){(void *)second, record.second_bytes};
    uint64_t left = record.data_bytes, whole = sizeof record + record.path_bytes + record.second_bytes + left;
    for (int i = 0; i < data_count && left > 0; i++) {
        size_t bytes = data[i].iov_len < left ? data[i].iov_len : left;
        if (count == 3 + 64)
            die("too many pieces");
        parts[count++] = (struct iovec){data[i].iov_base, bytes};
        left -= bytes;
    }
    if (RAW(SYS_writev, trace, parts, count) != (long)whole)
        die("the trace cannot be written");
}

static struct known *find(uint64_t inode)
{
    for (int i = file_count - 1; i >= 0; i--)
        if (files[i].inode == inode)
            return &files[i];
    return NULL;
}

/* The entry of a file below the root. */
static struct known *know(uint64_t inode, const char *path)
{
    struct known *known = find(inode);
    if (!known) {
        if (file_count == FILES_MAX)
            die("too many files");
        known = &files[file_count++];
    }
    known->inode = inode;
    strncpy(known->path, path, sizeof known->path - 1);
    return known;
}

static int status_of(long fd, struct stat *status)
{
    return RAW(SYS_fstat, fd, status) == 0;
}

static int status_at(const char *path, struct stat *status)
{
    return RAW(SYS_newfstatat, AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW) == 0;
}

static int is_below(const char *path)
{
    return root_bytes && strncmp(path, root, root_bytes) == 0 &&
           (path[root_bytes] == '/' || path[root_bytes] == 0);
}

/* The absolute path of a call's argument; returns whether it is below the root. */
static int absolute(long directory, const char *path, char *whole)
{
    size_t bytes = 0;
    whole[0] = 0;
    if (!path)
        return 0;
    if (path[0] != '/') {
        if ((int)directory == AT_FDCWD) {
            if (RAW(SYS_getcwd, whole, PATH_BYTES) < 0)
                return 0;
            bytes = strlen(whole);
        } else {
            char link[40] = "/proc/self/fd/";
            char digits[12];
            int count = 0, length = 14;
            unsigned number = (unsigned)directory;
            do {
                digits[count++] = '0' + number % 10;
                number /= 10;
            } while (number);
            while (count)
                link[length++] = digits[--count];
            link[length] = 0;
            long read = RAW(SYS_readlinkat, AT_FDCWD, link, whole, PATH_BYTES - 1);
            if (read < 0)
                return 0;
            bytes = (size_t)read;
        }
        whole[bytes++] = '/';
    }
    if (bytes + strlen(path) >= PATH_BYTES)
        return 0;
    strcpy(whole + bytes, path);
    bytes = strlen(whole);
    while (bytes > 1 && whole[bytes - 1] == '/')
        whole[--bytes] = 0;
    return is_below(whole);
}

static const char *relative(const char *path)
{
    return path[root_bytes] ? path + root_bytes + 1 : "";
}

/* Reads the order; with the lock. */
static void read_order(void)
{
    char text[sizeof order] = {0};
    if (!control_path[0])
        return;
    long fd = RAW(SYS_openat, AT_FDCWD, control_path, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        RAW(SYS_read, fd, text, sizeof text - 1);
        RAW(SYS_close, fd);
    }
    if (strcmp(text, order) == 0)
        return;
    memcpy(order, text, sizeof order);
    memset(order_word, 0, sizeof order_word);
    memset(order_part, 0, sizeof order_part);
    order_number = order_seen = 0;
    const char *at = text;
    for (size_t i = 0; *at && *at != ' ' && i < sizeof order_word - 1; at++)
        order_word[i++] = *at;
    while (*at == ' ')
        at++;
    for (; *at >= '0' && *at <= '9'; at++)
        order_number = order_number * 10 + (uint64_t)(*at - '0');
    while (*at == ' ')
        at++;
    for (size_t i = 0; *at && *at != '\n' && i < sizeof order_part - 1; at++)
        order_part[i++] = *at;
}

/* Takes the lock and the order for a call on something that is recorded. */
static void enter(void)
{
    lock();
    read_order();
    if (strcmp(order_word, "die") == 0)
        RAW(SYS_exit_group, 137);
}

static int is_ordered(const char *word, const char *path)
{
    return strcmp(order_word, word) == 0 && strstr(path, order_part);
}

/* How many of `wanted` new bytes there is room for; -1 when the call is to fail. */
static int64_t room(const char *path, uint64_t wanted, int all_or_none)
{
    if (is_ordered("call", path)) {
        return ++order_seen >= order_number ? -1 : (int64_t)wanted;
    }
    if (!is_ordered("room", path))
        return (int64_t)wanted;
    uint64_t left = order_number - order_seen;
    if (left == 0 || (all_or_none && wanted > left))
        return -1;
    uint64_t given = wanted < left ? wanted : left;
    order_seen += given;
    return (int64_t)given;
}

static int is_zero(const struct iovec *data, int count)
{
    for (int i = 0; i < count; i++) {
        const char *bytes = data[i].iov_base;
        if (data[i].iov_len && (bytes[0] || memcmp(bytes, bytes + 1, data[i].iov_len - 1)))
            return 0;
    }
    return 1;
}

static void failed(const char *path, uint64_t inode, uint8_t call, int error, uint64_t begin)
{
    put((struct record){.kind = K_FAILED, .flag = call, .error = (uint32_t)error, .begin = begin,
                        .end = now(), .inode = inode}, relative(path), NULL, NULL, 0);
}

/* Every way to write. `at` is below zero for the file's own position. */
static long on_write(long number, const long *a, const struct iovec *data, int count, int64_t at)
{
    struct stat status;
    long fd = a[0];
    if (!status_of(fd, &status))
        return -EBADF;
    if (S_ISSOCK(status.st_mode) && records_sends) {
        uint64_t begin = now();
        long sent = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (sent > 0) {
            lock();
            put((struct record){.kind = K_SEND, .begin = begin, .end = now(), .inode = status.st_ino,
                                .length = (uint64_t)sent, .data_bytes = (uint64_t)sent},
                NULL, NULL, data, count);
            unlock();
        }
        return sent;
    }
    if (!S_ISREG(status.st_mode))
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    lock();
    struct known *known = find(status.st_ino);
    unlock();
    if (!known)
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    enter();
    uint64_t begin = now(), wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += data[i].iov_len;
    status_of(fd, &status);
    long flags = RAW(SYS_fcntl, fd, F_GETFL, 0);
    int64_t from = at;
    if (flags & O_APPEND)
        from = status.st_size;
    else if (at < 0)
        from = RAW(SYS_lseek, fd, 0, SEEK_CUR);
    int64_t growth = from + (int64_t)wanted - status.st_size;
    growth = growth < 0 ? 0 : growth;
    int64_t given = growth ? room(known->path, (uint64_t)growth, 0) : 0;
    if (given < 0 || (given < growth && wanted == (uint64_t)(growth - given))) {
        failed(known->path, status.st_ino, K_WRITE, ENOSPC, begin);
        unlock();
        return -ENOSPC;
    }
    struct iovec short_data = count > 0 ? data[0] : (struct iovec){0};
    long result;
    if (given < growth) {
        /* As on a full disk: what fits is written, the caller hears of the rest. */
        uint64_t fits = wanted - (uint64_t)(growth - given);
        if (short_data.iov_len > fits)
            short_data.iov_len = fits;
        data = &short_data;
        count = 1;
        result = at < 0 ? RAW(SYS_write, fd, short_data.iov_base, short_data.iov_len)
                        : RAW(SYS_pwrite64, fd, short_data.iov_base, short_data.iov_len, at);
    } else {
        result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    if (result > 0) {
        int zero = result >= 4096 && is_zero(data, count);
        put((struct record){.kind = zero ? K_ZERO : K_WRITE, .begin = begin, .end = now(),
                            .inode = status.st_ino, .offset = (uint64_t)from,
                            .length = (uint64_t)result,
                            .data_bytes = zero ? 0 : (uint64_t)result},
            NULL, NULL, data, count);
    }
    unlock();
    return result;
}

static long on_open(long number, const long *a, long directory, const char *path, long flags)
{
    char whole[PATH_BYTES];
    if (!absolute(directory, path, whole))
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    struct stat before, after;
    enter();
    uint64_t begin = now();
    int was_there = status_at(whole, &before);
    if ((flags & O_CREAT) && !was_there && room(whole, 1, 1) < 0) {
        failed(whole, 0, K_CREATE, ENOSPC, begin);
        unlock();
        return -ENOSPC;
    }
    long fd = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (fd >= 0 && status_of(fd, &after)) {
        struct record record = {.begin = begin, .end = now(), .inode = after.st_ino,
                                .length = (uint64_t)after.st_size};
        int is_new = !find(after.st_ino);
        know(after.st_ino, whole);
        if ((flags & O_TMPFILE) == O_TMPFILE) {
            record.kind = K_BYPASS;
            put(record, relative(whole), "O_TMPFILE", NULL, 0);
        } else if ((flags & O_CREAT) && !was_there) {
            record.kind = K_CREATE;
            put(record, relative(whole), NULL, NULL, 0);
        } else if (S_ISREG(after.st_mode) && (flags & O_TRUNC) && before.st_size > 0) {
            record.kind = K_TRUNCATE;
            record.length = 0;
            put(record, NULL, NULL, NULL, 0);
        } else if (is_new) {
            record.kind = K_KNOWN;
            put(record, relative(whole), NULL, NULL, 0);
        }
    }
    unlock();
    return fd;
}

static long on_sync(long number, const long *a)
{
    struct stat status;
    if (!status_of(a[0], &status))
        return -EBADF;
    lock();
    struct known *known = find(status.st_ino);
    unlock();
    char path[512] = {0};
    uint64_t begin = now();
    if (known) {
        enter();
        memcpy(path, known->path, sizeof path);
        int counts = is_ordered("sync", path) ||
                     (number == SYS_fdatasync && is_ordered("data", path));
        if (counts && ++order_seen == order_number) {
            failed(path, status.st_ino, K_SYNC, EIO, begin);
            unlock();
            return -EIO;
        }
        unlock();
    }
    begin = now();
    long result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (known && result == 0) {
        uint8_t kind = number == SYS_sync_file_range ? K_RANGE
                       : S_ISDIR(status.st_mode)     ? K_SYNC_DIRECTORY
                                                     : K_SYNC;
        uint64_t end = now();
        lock();
        put((struct record){.kind = kind, .flag = number == SYS_fdatasync, .begin = begin,
                            .end = end, .inode = status.st_ino}, relative(path), NULL, NULL, 0);
        unlock();
    }
    return result;
}

static long on_resize(long number, const long *a, int is_allocation)
{
    struct stat status;
    if (!status_of(a[0], &status))
        return -EBADF;
    lock();
    struct known *known = S_ISREG(status.st_mode) ? find(status.st_ino) : NULL;
    unlock();
    if (!known)
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    enter();
    uint64_t begin = now();
    uint64_t end = is_allocation ? (uint64_t)a[2] + (uint64_t)a[3] : (uint64_t)a[1];
    if (is_allocation && end > (uint64_t)status.st_size &&
        room(known->path, end - (uint64_t)status.st_size, 1) < 0) {
        failed(known->path, status.st_ino, K_ALLOCATE, ENOSPC, begin);
        unlock();
        return -ENOSPC;
    }
    long result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == 0) {
        int is_plain = !is_allocation || a[1] == 0;
        uint8_t kind = !is_plain ? K_BYPASS : is_allocation ? K_ALLOCATE : K_TRUNCATE;
        put((struct record){.kind = kind, .begin = begin, .end = now(), .inode = status.st_ino,
                            .length = end}, relative(known->path),
            is_plain ? NULL : "fallocate with a mode", NULL, 0);
    }
    unlock();
    return result;
}

/* mkdir, unlink, rmdir: one path. */
static long on_name(long number, const long *a, uint8_t kind, long directory, const char *path)
{
    char whole[PATH_BYTES];
    if (!absolute(directory, path, whole))
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    struct stat status = {0};
    enter();
    uint64_t begin = now();
    if (kind == K_MKDIR && room(whole, 1, 1) < 0) {
        failed(whole, 0, K_MKDIR, ENOSPC, begin);
        unlock();
        return -ENOSPC;
    }
    if (kind != K_MKDIR)
        status_at(whole, &status);
    long result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == 0) {
        if (kind == K_MKDIR && status_at(whole, &status))
            know(status.st_ino, whole);
        put((struct record){.kind = kind, .begin = begin, .end = now(), .inode = status.st_ino},
            relative(whole), NULL, NULL, 0);
    }
    unlock();
    return result;
}

/* rename, link: two paths. */
static long on_names(long number, const long *a, uint8_t kind, long from_directory,
                     const char *from, long to_directory, const char *to, long flags)
{
    char whole_from[PATH_BYTES], whole_to[PATH_BYTES];
    int below = absolute(from_directory, from, whole_from);
    below += absolute(to_directory, to, whole_to);
    if (!below)
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    struct stat status = {0};
    enter();
    uint64_t begin = now();
    status_at(whole_from, &status);
    long result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == 0) {
        int is_plain = below == 2 && (flags == 0 || (kind == K_RENAME && flags == RENAME_NOREPLACE));
        if (below == 2)
            know(status.st_ino, whole_to);
        put((struct record){.kind = is_plain ? kind : K_BYPASS, .begin = begin, .end = now(),
                            .inode = status.st_ino},
            is_plain ? relative(whole_from) : "", is_plain ? relative(whole_to) : "rename", NULL, 0);
    }
    unlock();
    return result;
}

/* What could change a file unseen. */
static long on_bypass(long number, const long *a, long fd, const char *what)
{
    struct stat status;
    long result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    lock();
    int is_ours = fd < 0 || (status_of(fd, &status) && S_ISREG(status.st_mode) && find(status.st_ino));
    if (is_ours && !(result < 0 && result > -4096))
        put((struct record){.kind = K_BYPASS, .begin = now(), .end = now()}, NULL, what, NULL, 0);
    unlock();
    return result;
}

static long on_space(long number, const long *a)
{
    long result = RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    struct statfs *space = (struct statfs *)a[1];
    lock();
    read_order();
    int is_full = strcmp(order_word, "room") == 0;
    if (result == 0 && is_full && space->f_bsize > 0) {
        space->f_bavail = (order_number - order_seen) / (uint64_t)space->f_bsize;
        space->f_bfree = space->f_bavail;
    }
    unlock();
    return result;
}

static long dispatch(long number, const long *a)
{
    struct iovec one = {(void *)a[1], (size_t)a[2]};
    switch (number) {
    case SYS_write:
        return on_write(number, a, &one, 1, -1);
    case SYS_pwrite64:
        return on_write(number, a, &one, 1, a[3]);
    case SYS_writev:
        return on_write(number, a, (const struct iovec *)a[1], (int)a[2], -1);
    case SYS_pwritev:
        return on_write(number, a, (const struct iovec *)a[1], (int)a[2], a[3]);
    case SYS_pwritev2:
        return on_write(number, a, (const struct iovec *)a[1], (int)a[2], a[3]);
    case SYS_sendto:
        return on_write(number, a, &one, 1, -1);
    case SYS_sendmsg: {
        const struct msghdr {
            void *name; unsigned name_bytes; struct iovec *parts; size_t count;
        } *message = (const void *)a[1];
        return on_write(number, a, message->parts, (int)message->count, -1);
    }
    case SYS_openat:
        return on_open(number, a, a[0], (const char *)a[1], a[2]);
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_sync_file_range:
        return on_sync(number, a);
    case SYS_ftruncate:
        return on_resize(number, a, 0);
    case SYS_fallocate:
        return on_resize(number, a, 1);
    case SYS_mkdirat:
        return on_name(number, a, K_MKDIR, a[0], (const char *)a[1]);
    case SYS_unlinkat:
        return on_name(number, a, a[2] & AT_REMOVEDIR ? K_RMDIR : K_UNLINK, a[0], (const char *)a[1]);
#ifdef SYS_renameat
    case SYS_renameat:
        return on_names(number, a, K_RENAME, a[0], (const char *)a[1], a[2], (const char *)a[3], 0);
#endif
    case SYS_renameat2:
        return on_names(number, a, K_RENAME, a[0], (const char *)a[1], a[2], (const char *)a[3], a[4]);
    case SYS_linkat:
        return on_names(number, a, K_LINK, a[0], (const char *)a[1], a[2], (const char *)a[3], 0);
#ifdef SYS_open
    case SYS_open:
        return on_open(number, a, AT_FDCWD, (const char *)a[0], a[1]);
    case SYS_creat:
        return on_open(number, a, AT_FDCWD, (const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC);
    case SYS_mkdir:
        return on_name(number, a, K_MKDIR, AT_FDCWD, (const char *)a[0]);
    case SYS_unlink:
        return on_name(number, a, K_UNLINK, AT_FDCWD, (const char *)a[0]);
    case SYS_rmdir:
        return on_name(number, a, K_RMDIR, AT_FDCWD, (const char *)a[0]);
    case SYS_rename:
        return on_names(number, a, K_RENAME, AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_link:
        return on_names(number, a, K_LINK, AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
#endif
    case SYS_statfs:
    case SYS_fstatfs:
        return on_space(number, a);
    case SYS_mmap:
        return on_bypass(number, a, a[4], "a shared writable mapping");
    case SYS_copy_file_range:
        return on_bypass(number, a, a[2], "copy_file_range");
    case SYS_sendfile:
        return on_bypass(number, a, a[0], "sendfile");
    case SYS_splice:
        return on_bypass(number, a, a[2], "splice");
    case SYS_io_uring_setup:
        return on_bypass(number, a, -1, "io_uring");
    case SYS_truncate:
        return on_bypass(number, a, -1, "truncate");
    default:
        return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
    ucontext_t *registers = context;
    long a[6];
    (void)signal;
    for (int i = 0; i < 6; i++)
        a[i] = ARGUMENT(registers, i);
    RESULT(registers) = dispatch(info->si_syscall, a);
}

static const int trapped[] = {
    SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_sendto, SYS_sendmsg,
    SYS_openat, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_ftruncate, SYS_fallocate,
    SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat, SYS_statfs, SYS_fstatfs,
    SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_io_uring_setup, SYS_truncate,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_open
    SYS_open, SYS_creat, SYS_mkdir, SYS_unlink, SYS_rmdir, SYS_rename, SYS_link,
#endif
};

#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))
#define COUNT ((int)(sizeof trapped / sizeof trapped[0]))

static void install(void)
{
    struct sock_filter filter[COUNT + 20];
    uint64_t begin = (uint64_t)(uintptr_t)&tillway_power_raw;
    uint64_t end = (uint64_t)(uintptr_t)tillway_power_raw_end;
    int at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(nr));
    for (int i = 0; i < COUNT; i++)
        /* To the look at the caller, behind the rest of the list and six instructions. */
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)trapped[i],
                                                    (uint8_t)(COUNT - i - 1 + 6), 0);
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(args[3]));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 7);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(args[2]));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 5);
    /* The caller: the kernel gives the address behind the instruction. */
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(instruction_pointer) + 4);
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(begin >> 32), 0, 4);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(instruction_pointer));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)begin, 0, 2);
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)end, 1, 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {(unsigned short)at, filter};
    if (begin >> 32 != end >> 32)
        die("loaded across a boundary of 4 GiB");
    if (RAW(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        RAW(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        die("the kernel takes no filter");
}

__attribute__((constructor)) static void begin(void)
{
    const char *directory = getenv("TILLWAY_POWER_ROOT");
    const char *path = getenv("TILLWAY_POWER_TRACE");
    const char *control = getenv("TILLWAY_POWER_CONTROL");
    if (!directory || strlen(directory) >= sizeof root)
        return;
    strcpy(root, directory);
    root_bytes = strlen(root);
    records_sends = getenv("TILLWAY_POWER_SENDS") != NULL;
    if (control && strlen(control) < sizeof control_path)
        strcpy(control_path, control);
    if (path) {
        trace = RAW(SYS_openat, AT_FDCWD, path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
        if (trace < 0)
            die("the trace cannot be opened");
    }
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    put((struct record){.kind = K_START, .begin = now(), .end = now(),
                        .inode = (uint64_t)RAW(SYS_getpid)}, NULL, NULL, NULL, 0);
    install();
}
