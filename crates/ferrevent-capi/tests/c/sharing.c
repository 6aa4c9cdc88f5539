/* Sixteen threads share two bases and the bufferevents on them. */
#include "check.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>

#define BASES 2
#define PAIRS 8
#define THREADS 16
#define MESSAGES 300

static struct event_base *bases[BASES];
static struct bufferevent *all[PAIRS * 2];
static atomic_size_t sent, received;
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

static void *work(void *arg)
{
	unsigned state = (unsigned)(long)arg, i;
	static const char bytes[3000];
	struct timeval minute = millis(60000);
	for (i = 0; i < MESSAGES; i++) {
		struct bufferevent *bev = all[(state >> 8) % (PAIRS * 2)];
		size_t length = (state >> 16) % sizeof bytes + 1;
		state = state * 1103515245u + 12345u;
		bufferevent_incref(bev);
		switch ((state >> 12) % 8) {
		case 0:
			bufferevent_disable(bev, EV_READ);
			bufferevent_enable(bev, EV_READ);
			break;
		case 1:
			bufferevent_set_timeouts(bev, &minute, &minute);
			break;
		case 2:
			bufferevent_setwatermark(bev, EV_READ, 0, 1 + (state >> 20));
			break;
		case 3:
			bufferevent_trigger(bev, EV_READ | EV_WRITE, 0);
			break;
		case 4:
			/* All of it or nothing comes between two that belong together. */
			bufferevent_lock(bev);
			atomic_fetch_add(&sent, 2 * length);
			bufferevent_write(bev, bytes, length);
			bufferevent_write(bev, bytes, length);
			bufferevent_unlock(bev);
			break;
		default:
			atomic_fetch_add(&sent, length);
			bufferevent_write(bev, bytes, length);
		}
		bufferevent_decref(bev);
	}
	return NULL;
}

int main(void)
{
	pthread_t turners[BASES], workers[THREADS];
	int i, patience = 60000;
	signal(SIGPIPE, SIG_IGN);
	evthread_use_pthreads();
	for (i = 0; i < BASES; i++)
		bases[i] = event_base_new();
	for (i = 0; i < PAIRS; i++) {
		int fds[2], options = BEV_OPT_THREADSAFE | BEV_OPT_CLOSE_ON_FREE, at;
		if (i % 2)
			options |= BEV_OPT_DEFER_CALLBACKS | (i % 4 == 3 ? BEV_OPT_UNLOCK_CALLBACKS : 0);
		if (i == 4) {
			bufferevent_pair_new(bases[0], options, &all[2 * i]);
		} else {
			pair(fds);
			all[2 * i] = bufferevent_socket_new(bases[i % BASES], fds[0], options);
			all[2 * i + 1] = bufferevent_socket_new(bases[i / 2 % BASES], fds[1], options);
		}
		for (at = 2 * i; at < 2 * i + 2; at++) {
			bufferevent_setcb(all[at], on_read, NULL, on_event, NULL);
			bufferevent_enable(all[at], EV_READ);
		}
	}
	for (i = 0; i < BASES; i++)
		pthread_create(&turners[i], NULL, turn, bases[i]);
	for (i = 0; i < THREADS; i++)
		pthread_create(&workers[i], NULL, work, (void *)(long)(i * 7919 + 1));
	for (i = 0; i < THREADS; i++)
		pthread_join(workers[i], NULL);
	for (i = 0; i < PAIRS * 2; i++)
		bufferevent_setwatermark(all[i], EV_READ, 0, 0);
	while (atomic_load(&received) < atomic_load(&sent) && --patience)
		usleep(1000);
	SAY("all %d, %zu, problems %d\n", atomic_load(&received) == atomic_load(&sent), atomic_load(&sent), atomic_load(&problems));
	/* While the loops go on. */
	for (i = 0; i < PAIRS * 2; i++)
		bufferevent_free(all[i]);
	for (i = 0; i < BASES; i++)
		event_base_loopexit(bases[i], NULL);
	for (i = 0; i < BASES; i++)
		pthread_join(turners[i], NULL);
	for (i = 0; i < BASES; i++)
		event_base_free(bases[i]);
	SAY("ended\n");
	return 0;
}
