/* libevent's low-level interface: one persistent event a connection, plain read and write.
 * libevent_event echo|sink|pump ADDR */
#include "common.h"
#include <event2/event.h>
#include <event2/listener.h>
#include <poll.h>

static char block[CHUNK];
static char mode;

/* The descriptor arrives as an argument; the event itself is the context, so that it can be freed. */
static void end(evutil_socket_t fd, struct event *event) {
    event_free(event);
    close(fd);
}

static void echo(evutil_socket_t fd, short what, void *context) {
    ssize_t length = read(fd, block, CHUNK);
    (void)what;
    if (length <= 0) {
        if (length == 0 || errno != EAGAIN) end(fd, context);
        return;
    }
    for (ssize_t done = 0; done < length;) {
        ssize_t n = write(fd, block + done, (size_t)(length - done));
        if (n >= 0) {
            done += n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else {
            end(fd, context);
            return;
        }
    }
}

static void bulk(evutil_socket_t fd, short what, void *context) {
    ssize_t n = mode == 's' ? read(fd, block, CHUNK) : write(fd, block, CHUNK);
    (void)what;
    if (n == 0 || (n < 0 && errno != EAGAIN)) end(fd, context);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *context) {
    struct event_base *base = context;
    struct event *event = event_new(base, fd, (mode == 'p' ? EV_WRITE : EV_READ) | EV_PERSIST,
                                    mode == 'e' ? echo : bulk, event_self_cbarg());
    (void)listener, (void)peer, (void)length;
    if (!event || event_add(event, NULL) < 0) die("event_add");
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts(event_get_version());
        return 0;
    }
    if (argc != 3) die("usage: libevent_event echo|sink|pump ADDR");
    prepare_process();
    mode = argv[1][0];
    struct event_base *base = event_base_new();
    if (!base || !evconnlistener_new(base, accepted, base, 0, BACKLOG, listen_on(argv[2]))) die("listener");
    return event_base_dispatch(base);
}
