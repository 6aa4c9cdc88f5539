/* Sixteen threads share two bases and what is on them: bufferevents, events and
 * functions that are called once; and buffers that have locks. */
#include "threads.h"

#define BASES 2
#define PAIRS 8
#define THREADS 16
#define MESSAGES 300
#define BUFFERS 4
#define TIMERS 4

static struct event_base *bases[BASES];
static struct bufferevent *all[PAIRS * 2];
static struct evbuffer *buffers[BUFFERS];
static struct event *users[BASES], *timers[TIMERS];
static atomic_size_t sent, added, taken;
static atomic_int asked, once, hits;

static void on_user(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	atomic_fetch_add(&hits, 1);
}

static void on_once(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	atomic_fetch_add(&once, 1);
}

/* Buffers, and events of bases that somebody else turns. */
static void share(unsigned state)
{
	static const char bytes[2000];
	char out[500];
	struct timeval soon = millis(1);
	struct evbuffer *one = buffers[(state >> 8) % BUFFERS], *other = buffers[(state >> 18) % BUFFERS];
	size_t length = (state >> 14) % sizeof bytes + 1;
	struct event *timer = timers[(state >> 8) % TIMERS];
	int n;
	switch ((state >> 20) % 8) {
	case 0: case 1:
		evbuffer_add(one, bytes, length);
		atomic_fetch_add(&added, length);
		break;
	case 2:
		n = evbuffer_remove(one, out, sizeof out);
		if (n > 0)
			atomic_fetch_add(&taken, n);
		break;
	case 3:
		evbuffer_add_buffer(one, other);
		break;
	case 4:
		evbuffer_lock(one);
		n = evbuffer_get_length(one) > length ? (int)length : (int)evbuffer_get_length(one);
		evbuffer_drain(one, n);
		evbuffer_unlock(one);
		atomic_fetch_add(&taken, n);
		break;
	case 5:
		event_active(users[(state >> 8) % BASES], EV_READ, 1);
		break;
	case 6:
		atomic_fetch_add(&asked, 1);
		event_base_once(bases[(state >> 8) % BASES], -1, EV_TIMEOUT, on_once, NULL, state & 64 ? &soon : NULL);
		break;
	case 7:
		event_add(timer, &soon);
		if (event_pending(timer, EV_TIMEOUT, NULL) && state & 64)
			event_del(timer);
		break;
	}
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
		share(state);
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

int main(int argc, char **argv)
{
	pthread_t turners[BASES], workers[THREADS];
	int i, patience = 60000;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	evthread_use_pthreads();
	for (i = 0; i < BASES; i++)
		bases[i] = event_base_new();
	for (i = 0; i < BASES; i++)
		users[i] = event_new(bases[i], -1, EV_PERSIST, on_user, NULL);
	for (i = 0; i < TIMERS; i++)
		timers[i] = event_new(bases[i % BASES], -1, 0, on_user, NULL);
	for (i = 0; i < BUFFERS; i++) {
		buffers[i] = evbuffer_new();
		/* With an argument it is wrong, as ThreadSanitizer has to see. */
		if (argc == 1)
			evbuffer_enable_locking(buffers[i], NULL);
	}
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
	while ((atomic_load(&received) < atomic_load(&sent) || atomic_load(&once) < atomic_load(&asked)) && --patience)
		usleep(1000);
	SAY("all %d, %zu, problems %d\n", atomic_load(&received) == atomic_load(&sent), atomic_load(&sent), atomic_load(&problems));
	for (i = 0; i < BUFFERS; i++) {
		atomic_fetch_add(&taken, evbuffer_get_length(buffers[i]));
		evbuffer_free(buffers[i]);
	}
	SAY("buffers %d, %zu, once %d, %d, hits %d\n", atomic_load(&added) == atomic_load(&taken), atomic_load(&added),
		atomic_load(&once) == atomic_load(&asked), atomic_load(&asked), atomic_load(&hits) > 0);
	/* While the loops go on. */
	for (i = 0; i < BASES; i++)
		event_free(users[i]);
	for (i = 0; i < TIMERS; i++)
		event_free(timers[i]);
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
