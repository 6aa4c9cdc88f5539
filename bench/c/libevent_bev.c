/* libevent's bufferevents, used the plain way. libevent_bev echo|sink|pump ADDR */
#include "libevent.h"

static char mode;

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *context) {
    struct bufferevent *stream = bufferevent_socket_new(context, fd, BEV_OPT_CLOSE_ON_FREE);
    (void)listener, (void)peer, (void)length;
    if (!stream) die("bufferevent_socket_new");
    begin(stream, mode, ended);
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
