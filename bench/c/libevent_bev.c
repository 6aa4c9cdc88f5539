/* libevent's bufferevents, used the plain way. libevent_bev echo|sink|pump ADDR */
#include "common.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static char block[CHUNK];
static char mode;

static void echo(struct bufferevent *stream, void *context) {
    (void)context;
    evbuffer_add_buffer(bufferevent_get_output(stream), bufferevent_get_input(stream));
}

static void sink(struct bufferevent *stream, void *context) {
    struct evbuffer *input = bufferevent_get_input(stream);
    (void)context;
    evbuffer_drain(input, evbuffer_get_length(input));
}

/* By reference: the other peers send from one static block too. */
static void pump(struct bufferevent *stream, void *context) {
    (void)context;
    evbuffer_add_reference(bufferevent_get_output(stream), block, CHUNK, NULL, NULL);
}

static void ended(struct bufferevent *stream, short what, void *context) {
    (void)context;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) bufferevent_free(stream);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *context) {
    struct bufferevent *stream = bufferevent_socket_new(context, fd, BEV_OPT_CLOSE_ON_FREE);
    (void)listener, (void)peer, (void)length;
    if (!stream) die("bufferevent_socket_new");
    if (mode == 'e') bufferevent_setcb(stream, echo, NULL, ended, NULL);
    if (mode == 's') bufferevent_setcb(stream, sink, NULL, ended, NULL);
    if (mode == 'p') bufferevent_setcb(stream, NULL, pump, ended, NULL);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
    if (mode == 'p') pump(stream, NULL);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts(event_get_version());
        return 0;
    }
    if (argc != 3) die("usage: libevent_bev echo|sink|pump ADDR");
    prepare_process();
    mode = argv[1][0];
    struct event_base *base = event_base_new();
    if (!base || !evconnlistener_new(base, accepted, base, 0, BACKLOG, listen_on(argv[2]))) die("listener");
    return event_base_dispatch(base);
}
