/* What the loads share: one thread, one epoll, and the figures of a window. The server's CPU time
 * is read here, at the very edges of the window. */
#ifndef FERREVENT_BENCH_LOAD_H
#define FERREVENT_BENCH_LOAD_H

#include "common.h"
#include <dirent.h>
#include <sys/epoll.h>
#include <time.h>

enum { EVENTS = 512, SUB = 64, BUCKETS = 64 * SUB, IN_FLIGHT = 50, STAMP = 8 };

struct window {
    uint64_t requests, bytes, begin, cpu;
    uint32_t histogram[BUCKETS];
};

static char mode;
static struct address target;
static size_t conns = 1, size = 64;
static long pid, warmup_ms = 300, window_ms = 500;

static int epoll_fd;
static uint64_t now; /* ns, read once an event */
static struct window figures;

static inline uint64_t clock_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void fail(const char *what) {
    fprintf(stderr, "generator: %s: %s\n", what, errno ? strerror(errno) : "wrong");
    exit(3);
}

/* The sum over the server's threads of the time they spent on a CPU, ns. */
static inline uint64_t server_cpu(void) {
    char path[512], text[128];
    uint64_t sum = 0;
    struct dirent *entry;
    if (!pid) return 0;
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) fail("the server is gone");
    while ((entry = readdir(tasks))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", pid, entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        if (length > 0) text[length] = 0, sum += strtoull(text, NULL, 10);
    }
    closedir(tasks);
    return sum;
}

/* Log-linear: 64 buckets to each doubling, so a percentile is exact to 1.6 %. */
static inline void record(uint64_t ns) {
    unsigned shift = ns < SUB ? 0 : 58u - (unsigned)__builtin_clzll(ns);
    size_t at = ns < SUB ? ns : (size_t)shift * SUB + (size_t)(ns >> (shift - 1)) - SUB;
    figures.histogram[at < BUCKETS ? at : BUCKETS - 1]++;
}

static inline uint64_t percentile(double share) {
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) total += figures.histogram[i];
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += figures.histogram[i];
        if (seen && (double)seen >= share * (double)total) {
            size_t shift = i / SUB;
            return shift ? (uint64_t)(i % SUB + SUB) << (shift - 1) : i;
        }
    }
    return 0;
}

static inline void open_window(void) {
    memset(&figures, 0, sizeof figures);
    figures.cpu = server_cpu();
    figures.begin = clock_ns();
}

static inline void close_window(void) {
    double seconds = (double)(clock_ns() - figures.begin) / 1e9;
    uint64_t cpu = server_cpu() - figures.cpu;
    printf("requests=%llu bytes=%llu seconds=%.6f cpu_ns=%llu p50_ns=%llu p99_ns=%llu\n",
           (unsigned long long)figures.requests, (unsigned long long)figures.bytes, seconds,
           (unsigned long long)cpu, (unsigned long long)percentile(0.5),
           (unsigned long long)percentile(0.99));
    fflush(stdout);
}

static inline int connect_socket(int blocking) {
    int one = 1, fd = socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0) fail("socket");
    if (target.storage.ss_family == AF_INET) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&target.storage, target.length) < 0 && errno != EINPROGRESS) fail("connect");
    return fd;
}

static inline void make_nonblocking(int fd) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");
}

static inline void watch(int fd, void *connection, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

/* So that nothing lingers, and the server is told by a reset. */
static inline void reset(int fd) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

/* A stamp opens and closes every message that has room for it. */
static inline void stamp(uint32_t number, uint64_t serial, char *at) {
    uint64_t value = ((uint64_t)number << 40) ^ (serial * 0x9E3779B97F4A7C15u);
    memcpy(at, &value, STAMP);
}

static inline void option(const char *text) {
    const char *value = strchr(text, '=');
    long number = value ? atol(value + 1) : -1;
    if (number < 0) errno = EINVAL, fail(text);
    if (strncmp(text, "conns=", 6) == 0) conns = (size_t)number;
    else if (strncmp(text, "size=", 5) == 0) size = (size_t)number;
    else if (strncmp(text, "pid=", 4) == 0) pid = number;
    else if (strncmp(text, "warmup=", 7) == 0) warmup_ms = number;
    else if (strncmp(text, "window=", 7) == 0) window_ms = number;
    else errno = EINVAL, fail(text);
}

#endif
