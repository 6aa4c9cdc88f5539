/* libevent's bufferevents over OpenSSL, used the plain way. libevent_ssl echo|sink|pump ADDR CERT KEY */
#include "libevent.h"
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static char mode;
static SSL_CTX *tls;

static void told(struct bufferevent *stream, short what, void *context) {
    if (what & BEV_EVENT_CONNECTED && mode == 'p') pump(stream, NULL);
    ended(stream, what, context);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *context) {
    SSL *ssl = SSL_new(tls);
    struct bufferevent *stream = ssl ? bufferevent_openssl_socket_new(context, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
    (void)listener, (void)peer, (void)length;
    if (!stream) die("bufferevent_openssl_socket_new");
    begin(stream, mode, told);
}

/* Nothing is resumed, so that every handshake is a full one. */
static void prepare_tls(const char *certificate, const char *key) {
    tls = SSL_CTX_new(TLS_server_method());
    if (!tls || !SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) ||
        SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 || !SSL_CTX_set_num_tickets(tls, 0)) {
        ERR_print_errors_fp(stderr);
        die(certificate);
    }
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("%s, %s\n", event_get_version(), OpenSSL_version(OPENSSL_VERSION));
        return 0;
    }
    if (argc != 5) die("usage: libevent_ssl echo|sink|pump ADDR CERT KEY");
    prepare_process();
    mode = argv[1][0];
    prepare_tls(argv[3], argv[4]);
    struct event_base *base = event_base_new();
    if (!base || !evconnlistener_new(base, accepted, base, 0, BACKLOG, listen_on(argv[2]))) die("listener");
    return event_base_dispatch(base);
}
