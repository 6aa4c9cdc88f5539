/* A program that has not set up threads, and has one end a loop all the same:
 * that loop is not woken, for it would run beside who ends it. */
#include "check.h"

#include <pthread.h>
#include <time.h>

static struct event_base *base;
static int called;

static void call(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	called++;
}

static void *end(void *arg)
{
	struct timespec while_it_waits = {0, 100000000};
	(void)arg;
	nanosleep(&while_it_waits, NULL);
	return (void *)(long)event_base_loopexit(base, NULL);
}

int main(void)
{
	struct timeval tv = {1, 0};
	struct event *timer;
	pthread_t thread;
	void *told;
	int ended;
	base = event_base_new();
	timer = event_new(base, -1, EV_PERSIST, call, NULL);
	event_add(timer, &tv);
	pthread_create(&thread, NULL, end, NULL);
	ended = event_base_dispatch(base);
	pthread_join(thread, &told);
	SAY("told %ld, ended %d, after its timer %d\n", (long)told, ended, called > 0);
	event_free(timer);
	event_base_free(base);
	return 0;
}
