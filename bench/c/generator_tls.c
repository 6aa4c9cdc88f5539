/* The load over TLS 1.3 with AES-128-GCM: as generator.c, with OpenSSL between it and the socket.
 *
 * generator_tls echo|sink|pump|handshake|idle ADDR CERT [conns=N] [size=BYTES] [pid=SERVER]
 *     [warmup=MS] [window=MS]
 *
 * echo:      N connections, each with one message on its way; head and tail of every answer are checked.
 * sink:      sends for ever on N connections.     pump: receives for ever on N connections.
 * handshake: N at a time: connect, a full handshake, one byte there and back, reset.
 * idle:      opens N connections, one exchange of `size` bytes on each, prints `ready`, and holds
 *            them until a line or the end of its standard input.
 *
 * Every peer is checked to have agreed on the same: version, cipher, certificate, nothing resumed. */
#include "load.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

enum { RECORD = 16384 };

struct connection {
    SSL *ssl;
    int fd, open;
    uint32_t number;
    uint64_t serial;  /* of the message on its way; 0 before the first */
    uint64_t started; /* ns */
    size_t sent, received;
};

static SSL_CTX *context;
static X509 *certificate;
static struct connection *table;
static char message[1 << 20], arrived[1 << 20];

static void fail_tls(const char *what) {
    ERR_print_errors_fp(stderr);
    fail(what);
}

static void prepare_tls(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file || !(certificate = PEM_read_X509(file, NULL, NULL, NULL))) fail(path);
    fclose(file);
    if (!(context = SSL_CTX_new(TLS_client_method()))) fail_tls("SSL_CTX_new");
    if (!SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") ||
        !SSL_CTX_set1_groups_list(context, "X25519"))
        fail_tls("TLS 1.3");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* True if it has to be tried again once the socket is ready. */
static int again(const struct connection *c, int outcome) {
    int why = SSL_get_error(c->ssl, outcome);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static void begin(struct connection *c, int blocking) {
    c->fd = connect_socket(blocking);
    c->open = 0;
    c->serial = c->sent = c->received = 0;
    if (!(c->ssl = SSL_new(context)) || !SSL_set_fd(c->ssl, c->fd)) fail_tls("SSL_new");
    SSL_set_connect_state(c->ssl);
}

/* True once it is over. */
static int handshake(struct connection *c) {
    int outcome = c->open ? 1 : SSL_do_handshake(c->ssl);
    if (outcome != 1) {
        if (!again(c, outcome)) fail_tls("handshake");
        return 0;
    }
    if (!c->open && (SSL_version(c->ssl) != TLS1_3_VERSION || SSL_session_reused(c->ssl) ||
                     SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(c->ssl)) != 0x1301 ||
                     X509_cmp(SSL_get0_peer_certificate(c->ssl), certificate)))
        errno = 0, fail("something else was agreed on");
    c->open = 1;
    return 1;
}

static void check(const struct connection *c) {
    char wanted[STAMP];
    if (size < 2 * STAMP) return;
    stamp(c->number, c->serial, wanted);
    if (memcmp(arrived, wanted, STAMP) || memcmp(arrived + size - STAMP, wanted, STAMP)) errno = 0, fail("content");
}

static void send_rest(struct connection *c) {
    if (size >= 2 * STAMP) {
        stamp(c->number, c->serial, message);
        memcpy(message + size - STAMP, message, STAMP);
    }
    while (c->sent < size) {
        int n = SSL_write(c->ssl, message + c->sent, (int)(size - c->sent));
        if (n > 0) c->sent += (size_t)n;
        else if (again(c, n)) return;
        else fail_tls("write");
    }
}

static void send_next(struct connection *c) {
    c->serial++;
    c->started = now;
    c->sent = c->received = 0;
    send_rest(c);
}

/* Edge-triggered both ways; true when the answer is whole. A message is a record, or what comes of
 * one piece by piece. */
static int exchange(struct connection *c) {
    if (c->sent < size) send_rest(c);
    while (c->received < size) {
        int n = SSL_read(c->ssl, arrived + c->received, (int)(size - c->received));
        if (n > 0) c->received += (size_t)n;
        else if (again(c, n)) return 0;
        else fail_tls("read");
    }
    check(c);
    return 1;
}

static void on_echo(struct connection *c) {
    if (c->serial == 0 || !exchange(c)) return;
    record(now - c->started);
    figures.requests++;
    figures.bytes += size;
    send_next(c);
}

/* Level-triggered: some records, so that all connections get their turn. OpenSSL reads no more than
 * one at a time, so that what is left is in the socket. */
static void on_bulk(struct connection *c) {
    for (size_t done = 0; done < CHUNK;) {
        int n = mode == 's' ? SSL_write(c->ssl, message, CHUNK) : SSL_read(c->ssl, arrived, RECORD);
        if (n <= 0 && again(c, n)) return;
        if (n <= 0) fail_tls("bulk");
        done += (size_t)n, figures.bytes += (size_t)n, figures.requests++;
    }
}

static void begin_visit(struct connection *c) {
    begin(c, 0);
    c->started = clock_ns();
    watch(c->fd, c, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void on_visit(struct connection *c) {
    char byte = 'x';
    if (!handshake(c)) return;
    if (c->serial == 0) {
        if (SSL_write(c->ssl, &byte, 1) != 1) fail_tls("write");
        c->serial = 1;
    }
    int n = SSL_read(c->ssl, &byte, 1);
    if (n <= 0 && again(c, n)) return;
    if (n != 1 || byte != 'x') fail_tls("read");
    record(now - c->started);
    figures.requests++, figures.bytes++;
    SSL_free(c->ssl);
    reset(c->fd);
    begin_visit(c);
}

static void turn(void) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, 1000);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        now = clock_ns();
        if (mode == 'e') on_echo(c);
        else if (mode == 'h') on_visit(c);
        else on_bulk(c);
    }
    now = clock_ns();
}

static void run_until(uint64_t end) {
    while (clock_ns() < end) turn();
}

/* One after the other, each with its exchange where one is wanted: the socket blocks meanwhile. */
static void open_connections(void) {
    uint32_t events = mode == 's' ? EPOLLOUT : mode == 'p' ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET;
    if (!(table = calloc(conns, sizeof *table))) fail("calloc");
    for (size_t i = 0; i < conns; i++) {
        struct connection *c = &table[i];
        c->number = (uint32_t)i;
        if (mode == 'h') {
            begin_visit(c);
            continue;
        }
        begin(c, 1);
        if (!handshake(c)) fail_tls("handshake");
        if (mode == 'i') {
            send_next(c);
            exchange(c);
            continue;
        }
        make_nonblocking(c->fd);
        watch(c->fd, c, events);
    }
    now = clock_ns();
    for (size_t i = 0; i < conns && mode == 'e'; i++) send_next(&table[i]);
}

int main(int argc, char **argv) {
    if (argc < 4) errno = EINVAL, fail("usage: generator_tls MODE ADDR CERT [KEY=VALUE]...");
    mode = argv[1][0];
    prepare_process();
    target = parse_address(argv[2]);
    prepare_tls(argv[3]);
    for (int i = 4; i < argc; i++) option(argv[i]);
    if (size < 1 || size > sizeof message) errno = EINVAL, fail("size");
    memset(message, 'm', sizeof message);
    alarm(120 + (unsigned)((warmup_ms + window_ms) / 1000)); /* a server that stands still ends us */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    open_connections();
    if (mode == 'i') {
        char line;
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
