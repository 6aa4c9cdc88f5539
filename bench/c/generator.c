/* The load: one thread, one epoll, one line of figures.
 *
 * generator echo|sink|pump|accept|idle ADDR [conns=N] [size=BYTES] [pid=SERVER] [warmup=MS] [window=MS]
 *
 * echo:   N connections, each with one message on its way; head and tail of every answer are checked.
 * sink:   sends for ever on N connections.        pump: receives for ever on N connections.
 * accept: N at a time: connect, one byte there and back, reset.
 * idle:   opens N connections, one exchange of `size` bytes on each (at most 50 at a time), prints
 *         `ready`, and holds them until a line or the end of its standard input.
 *
 * The server's CPU time is read here, at the very edges of the window. */
#include "common.h"
#include <dirent.h>
#include <sys/epoll.h>
#include <time.h>

enum { EVENTS = 512, SUB = 64, BUCKETS = 64 * SUB, IN_FLIGHT = 50, STAMP = 8 };

struct connection {
    int fd;
    uint32_t number;
    uint64_t serial;  /* of the message on its way; 0 before the first */
    uint64_t started; /* ns */
    size_t sent, received;
};

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
static struct connection *table;
static struct window figures;
static size_t idle_begun, idle_done;
static char message[1 << 20], arrived[1 << 20];

static uint64_t clock_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "generator: %s: %s\n", what, errno ? strerror(errno) : "wrong");
    exit(3);
}

/* The sum over the server's threads of the time they spent on a CPU, ns. */
static uint64_t server_cpu(void) {
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
static void record(uint64_t ns) {
    unsigned shift = ns < SUB ? 0 : 58u - (unsigned)__builtin_clzll(ns);
    size_t at = ns < SUB ? ns : (size_t)shift * SUB + (size_t)(ns >> (shift - 1)) - SUB;
    figures.histogram[at < BUCKETS ? at : BUCKETS - 1]++;
}

static uint64_t percentile(double share) {
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

static void open_window(void) {
    memset(&figures, 0, sizeof figures);
    figures.cpu = server_cpu();
    figures.begin = clock_ns();
}

static void close_window(void) {
    double seconds = (double)(clock_ns() - figures.begin) / 1e9;
    uint64_t cpu = server_cpu() - figures.cpu;
    printf("requests=%llu bytes=%llu seconds=%.6f cpu_ns=%llu p50_ns=%llu p99_ns=%llu\n",
           (unsigned long long)figures.requests, (unsigned long long)figures.bytes, seconds,
           (unsigned long long)cpu, (unsigned long long)percentile(0.5),
           (unsigned long long)percentile(0.99));
    fflush(stdout);
}

static void watch(struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void connect_one(struct connection *c, int blocking) {
    int one = 1;
    c->fd = socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
    if (c->fd < 0) fail("socket");
    if (target.storage.ss_family == AF_INET) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&target.storage, target.length) < 0 && errno != EINPROGRESS) fail("connect");
    if (blocking && fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");
}

/* A stamp opens and closes every message that has room for it. */
static void stamp(const struct connection *c, char *at) {
    uint64_t value = ((uint64_t)c->number << 40) ^ (c->serial * 0x9E3779B97F4A7C15u);
    memcpy(at, &value, STAMP);
}

static void check(const struct connection *c, const char *bytes, size_t from, size_t length) {
    char wanted[STAMP];
    if (size < 2 * STAMP) return;
    stamp(c, wanted);
    if (from == 0 && length >= size) {
        if (memcmp(bytes, wanted, STAMP) || memcmp(bytes + size - STAMP, wanted, STAMP)) errno = 0, fail("content");
        return;
    }
    for (size_t i = 0; i < length; i++) {
        size_t at = from + i;
        if (at == STAMP && size - STAMP > at) i += size - STAMP - at, at = size - STAMP;
        if (i >= length) return;
        if (at >= STAMP && at < size - STAMP) continue;
        if (bytes[i] != wanted[at < STAMP ? at : at - (size - STAMP)]) errno = 0, fail("content");
    }
}

static void send_rest(struct connection *c) {
    if (size >= 2 * STAMP) stamp(c, message), stamp(c, message + size - STAMP);
    while (c->sent < size) {
        ssize_t n = write(c->fd, message + c->sent, size - c->sent);
        if (n > 0) c->sent += (size_t)n;
        else if (errno == EAGAIN) return;
        else fail("write");
    }
}

static void send_next(struct connection *c) {
    c->serial++;
    c->started = now;
    c->sent = c->received = 0;
    send_rest(c);
}

/* Edge-triggered both ways; true when the answer is whole. */
static int exchange(struct connection *c) {
    if (c->sent < size) send_rest(c);
    while (c->received < size) {
        ssize_t n = read(c->fd, arrived, sizeof arrived);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n <= 0) fail("read");
        if (c->received + (size_t)n > size) errno = 0, fail("more came back than was sent");
        check(c, arrived, c->received, (size_t)n);
        c->received += (size_t)n;
    }
    return c->serial > 0;
}

static void on_echo(struct connection *c) {
    if (c->serial == 0 || !exchange(c)) return;
    record(now - c->started);
    figures.requests++;
    figures.bytes += size;
    send_next(c);
}

static void on_bulk(struct connection *c) {
    ssize_t n = mode == 's' ? write(c->fd, message, CHUNK) : read(c->fd, arrived, sizeof arrived);
    if (n > 0) figures.bytes += (size_t)n, figures.requests++;
    else if (n == 0 || errno != EAGAIN) fail("bulk");
}

static void begin_visit(struct connection *c) {
    c->started = clock_ns();
    c->serial = 0;
    connect_one(c, 0);
    watch(c, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void on_visit(struct connection *c, uint32_t events) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    char byte = 'x';
    if (c->serial == 0 && events & EPOLLOUT) {
        if (write(c->fd, &byte, 1) != 1) fail("write");
        c->serial = 1;
    }
    if (!(events & EPOLLIN)) return;
    ssize_t n = read(c->fd, &byte, 1);
    if (n < 0 && errno == EAGAIN) return;
    if (n != 1 || byte != 'x') fail("read");
    record(now - c->started);
    figures.requests++, figures.bytes++;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(c->fd);
    begin_visit(c);
}

static void on_idle(struct connection *c) {
    if (c->serial == 0 || c->received == size || !exchange(c)) return;
    figures.requests++, idle_done++;
    if (idle_begun < conns) send_next(&table[idle_begun++]);
}

static void turn(void) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, 1000);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        now = clock_ns();
        if (mode == 'e') on_echo(c);
        else if (mode == 'a') on_visit(c, events[i].events);
        else if (mode == 'i') on_idle(c);
        else on_bulk(c);
    }
    now = clock_ns();
}

static void run_until(uint64_t end) {
    while (clock_ns() < end) turn();
}

static void open_connections(void) {
    uint32_t events = mode == 's' ? EPOLLOUT : mode == 'p' ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET;
    if (!(table = calloc(conns, sizeof *table))) fail("calloc");
    for (size_t i = 0; i < conns; i++) {
        table[i].number = (uint32_t)i;
        if (mode == 'a') {
            begin_visit(&table[i]);
        } else {
            connect_one(&table[i], 1);
            watch(&table[i], events);
        }
    }
    now = clock_ns();
    idle_begun = mode == 'i' && conns > IN_FLIGHT ? IN_FLIGHT : conns;
    for (size_t i = 0; i < idle_begun && (mode == 'e' || mode == 'i'); i++) send_next(&table[i]);
}

static void option(const char *text) {
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

int main(int argc, char **argv) {
    if (argc < 3) errno = EINVAL, fail("usage: generator MODE ADDR [KEY=VALUE]...");
    mode = argv[1][0];
    prepare_process();
    target = parse_address(argv[2]);
    for (int i = 3; i < argc; i++) option(argv[i]);
    if (size < 1 || size > sizeof message) errno = EINVAL, fail("size");
    memset(message, 'm', sizeof message);
    alarm(60 + (unsigned)((warmup_ms + window_ms) / 1000)); /* a server that stands still ends us */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    open_connections();
    if (mode == 'i') {
        char line;
        while (idle_done < conns) turn();
        puts("ready");
        fflush(stdout);
        return read(0, &line, 1) < 0;
    }
    run_until(clock_ns() + (uint64_t)warmup_ms * 1000000u);
    open_window();
    run_until(figures.begin + (uint64_t)window_ms * 1000000u);
    close_window();
    return 0;
}
