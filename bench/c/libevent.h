/* What the peers on libevent's bufferevents share: what they do at each event. */
#ifndef FERREVENT_BENCH_LIBEVENT_H
#define FERREVENT_BENCH_LIBEVENT_H

#include "common.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static char block[CHUNK];

static inline void echo(struct bufferevent *stream, void *context) {
    (void)context;
    evbuffer_add_buffer(bufferevent_get_output(stream), bufferevent_get_input(stream));
}

static inline void sink(struct bufferevent *stream, void *context) {
    struct evbuffer *input = bufferevent_get_input(stream);
    (void)context;
    evbuffer_drain(input, evbuffer_get_length(input));
}

/* By reference: the other peers send from one static block too. */
static inline void pump(struct bufferevent *stream, void *context) {
    (void)context;
    evbuffer_add_reference(bufferevent_get_output(stream), block, CHUNK, NULL, NULL);
}

static inline void ended(struct bufferevent *stream, short what, void *context) {
    (void)context;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) bufferevent_free(stream);
}

/* What a stream does in a mode: echo, sink or pump, by its first letter. */
static inline void begin(struct bufferevent *stream, char mode, bufferevent_event_cb told) {
    if (mode == 'e') bufferevent_setcb(stream, echo, NULL, told, NULL);
    if (mode == 's') bufferevent_setcb(stream, sink, NULL, told, NULL);
    if (mode == 'p') bufferevent_setcb(stream, NULL, pump, told, NULL);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

#endif
