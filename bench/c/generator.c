/* The load: one thread, one epoll, one line of figures.
 *
 * generator echo|sink|pump|accept|idle ADDR [conns=N] [size=BYTES] [pid=SERVER] [warmup=MS] [window=MS]
 *
 * echo:   N connections, each with one message on its way; head and tail of every answer are checked.
 * sink:   sends for ever on N connections.        pump: receives for ever on N connections.
 * accept: N at a time: connect, one byte there and back, reset.
 * idle:   opens N connections, one exchange of `size` bytes on each (at most 50 at a time), prints
 *         `ready`, and holds them until a line or the end of its standard input. */
#include "load.h"

struct connection {
    int fd;
    uint32_t number;
    uint64_t serial;  /* of the message on its way; 0 before the first */
    uint64_t started; /* ns */
    size_t sent, received;
};

static struct connection *table;
static size_t idle_begun, idle_done;
static char message[1 << 20], arrived[1 << 20];

static void check(const struct connection *c, const char *bytes, size_t from, size_t length) {
    char wanted[STAMP];
    if (size < 2 * STAMP) return;
    stamp(c->number, c->serial, wanted);
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
    if (size >= 2 * STAMP) {
        stamp(c->number, c->serial, message);
        memcpy(message + size - STAMP, message, STAMP);
    }
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
    c->fd = connect_socket(0);
    watch(c->fd, c, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void on_visit(struct connection *c, uint32_t events) {
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
    reset(c->fd);
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
            table[i].fd = connect_socket(1);
            make_nonblocking(table[i].fd);
            watch(table[i].fd, &table[i], events);
        }
    }
    now = clock_ns();
    idle_begun = mode == 'i' && conns > IN_FLIGHT ? IN_FLIGHT : conns;
    for (size_t i = 0; i < idle_begun && (mode == 'e' || mode == 'i'); i++) send_next(&table[i]);
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
