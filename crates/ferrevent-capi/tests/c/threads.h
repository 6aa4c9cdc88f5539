/* What programs share whose bufferevents are written to by many threads. */
#ifndef THREADS_H
#define THREADS_H

#include "check.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_size_t received;
static atomic_int problems;

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	size_t length;
	(void)arg;
	evbuffer_lock(input);
	length = evbuffer_get_length(input);
	evbuffer_drain(input, length);
	evbuffer_unlock(input);
	atomic_fetch_add(&received, length);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	(void)arg;
	atomic_fetch_add(&problems, 1);
}

static void *turn(void *base)
{
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

#endif
