/* Random calls on events: series SEED COUNT. After each the loop runs until
 * nothing more happens, and every callback is told, in its order.
 *
 * In what order several descriptors are told that are ready at the same time is
 * the kernel's affair, and so is that of equal deadlines: no more than one
 * becomes ready at a time, and no more than one short deadline waits. A signal
 * comes alone, since libevent looks for signals in the midst of callbacks. */
#include "check.h"

#include <sys/socket.h>

#define COUNT 12
#define PAIRS 3
#define MOST_CALLED 40

static struct event_base *base;
static struct event *all[COUNT];
static int kinds[COUNT];
static int fds[PAIRS][2];
static const int signals[2] = { SIGUSR1, SIGUSR2 };
static unsigned state;
static int called, short_ones, finalized;

static unsigned pick(unsigned below)
{
	state = state * 1103515245u + 12345u;
	return (state >> 8) % below;
}

/* Nothing can be written to it until the other end has been read. */
static void fill(int fd)
{
	static const char bytes[4096];
	while (write(fd, bytes, sizeof bytes) > 0)
		;
	while (write(fd, bytes, 1) > 0)
		;
}

static void act(struct event *current);

static void on_event(int fd, short what, void *arg)
{
	long at = (long)arg;
	int pair;
	printf(" [%ld %#x", at, what);
	for (pair = 0; pair < PAIRS; pair++) {
		/* A signal has a number too. */
		if (kinds[at] != 0 || fd != fds[pair][0])
			continue;
		if (what & EV_READ)
			take(fd);
		if (what & EV_WRITE)
			fill(fd);
	}
	if (what & EV_TIMEOUT && kinds[at] == 2)
		short_ones = 0;
	if (++called >= MOST_CALLED)
		event_base_loopbreak(base);
	else if (pick(3) == 0)
		act(all[at]);
	printf("]");
}

static void on_once(int fd, short what, void *arg)
{
	(void)fd;
	printf(" [%s %#x]", (char *)arg, what);
}

static void on_end(struct event *ev, void *arg)
{
	(void)ev;
	(void)arg;
	finalized++;
	printf(" [end]");
}

/* A fresh one of some kind: of a descriptor, of a time, of a signal, of the program's own. */
static void make(unsigned at)
{
	static const short interests[] = { EV_READ, EV_WRITE, EV_READ | EV_WRITE, EV_READ | EV_PERSIST,
		EV_WRITE | EV_PERSIST, EV_READ | EV_WRITE | EV_PERSIST };
	void *arg = (void *)(long)at;
	short persist = pick(2) ? EV_PERSIST : 0;
	kinds[at] = pick(4);
	switch (kinds[at]) {
	case 0:
		all[at] = event_new(base, fds[pick(PAIRS)][0], interests[pick(6)], on_event, arg);
		break;
	case 1:
		all[at] = event_new(base, signals[pick(2)], EV_SIGNAL | persist, on_event, arg);
		break;
	default:
		all[at] = event_new(base, -1, persist, on_event, arg);
	}
	printf(" made %d", kinds[at]);
}

static int start(unsigned at)
{
	struct timeval hour = { 3600 + pick(100), pick(1000000) }, now = { 0, 0 };
	/* One that persists would come again and again: its time is 0, which stands for none. */
	if (kinds[at] == 2 && !short_ones && pick(2)) {
		short_ones = 1;
		return event_add(all[at], &now);
	}
	return event_add(all[at], pick(2) ? &hour : NULL);
}

static void stop(unsigned at)
{
	/* The short one may be this. */
	if (kinds[at] == 2)
		short_ones = 0;
	event_del(all[at]);
}

/* One call, from a callback or from outside. */
static void act(struct event *current)
{
	static const short results[] = { EV_READ, EV_WRITE, EV_TIMEOUT, EV_READ | EV_WRITE, EV_SIGNAL };
	struct timeval hour = millis(3600000);
	unsigned what = pick(20), at = pick(COUNT);
	int result = 0;
	printf(" %u on %u", what, at);
	switch (what) {
	case 0: case 1: case 2: case 3:
		result = start(at);
		break;
	case 4: case 5:
		stop(at);
		break;
	case 6: case 7:
		event_active(all[at], results[pick(5)], (short)(kinds[at] == 1 ? pick(3) : 1));
		break;
	case 8:
		result = event_remove_timer(all[at]);
		if (kinds[at] == 2)
			short_ones = 0;
		break;
	case 9:
		result = event_priority_set(all[at], (int)pick(4));
		break;
	case 10:
		stop(at);
		event_free(all[at]);
		make(at);
		break;
	case 11:
		if (all[at] == current)
			break;
		stop(at);
		result = event_free_finalize(0, all[at], on_end);
		make(at);
		break;
	case 12:
		result = event_base_once(base, -1, EV_TIMEOUT, on_once, "once", NULL);
		break;
	case 13:
		result = event_base_once(base, -1, EV_TIMEOUT, on_once, "never", &hour);
		break;
	case 14:
		event_base_active_by_fd(base, fds[pick(PAIRS)][0], (short)(pick(2) ? EV_READ : EV_WRITE));
		break;
	case 15:
		event_base_active_by_signal(base, signals[pick(2)]);
		break;
	case 16: case 17:
		if (current)
			result = pick(2) ? event_base_loopcontinue(base) : event_base_loopbreak(base);
		break;
	case 18:
		if (current)
			result = event_base_loopexit(base, NULL);
		break;
	case 19:
		result = event_get_priority(all[at]) * 1000 + event_initialized(all[at]);
		break;
	}
	printf(": %d", result);
}

/* Has one descriptor become ready, if any. */
static void stir(void)
{
	int pair = (int)pick(PAIRS);
	switch (pick(4)) {
	case 0:
		put(fds[pair][1], "x");
		printf(" readable %d", pair);
		break;
	case 1:
		take(fds[pair][1]);
		printf(" writable %d", pair);
		break;
	case 2:
		put(fds[pair][1], "x");
		take(fds[pair][1]);
		printf(" both %d", pair);
		break;
	}
}

/* Whoever has not been told will not be. */
static void settle(void)
{
	int pair;
	for (pair = 0; pair < PAIRS; pair++) {
		take(fds[pair][0]);
		fill(fds[pair][0]);
	}
}

static void step(unsigned number)
{
	unsigned i, times = 1 + pick(3);
	printf("%u:", number);
	if (pick(10) == 0) {
		raise(signals[pick(2)]);
		printf(" signal");
	} else {
		for (i = 0; i < times; i++)
			act(NULL);
		stir();
	}
	called = 0;
	for (i = 0; i < 4; i++) {
		int end;
		printf(" (");
		end = event_base_loop(base, EVLOOP_NONBLOCK | (pick(2) ? EVLOOP_ONCE : 0));
		printf(") %d%d%d", end, event_base_got_exit(base), event_base_got_break(base));
	}
	settle();
	printf(" |%d", event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED));
	for (i = 0; i < COUNT; i++)
		printf(" %x", event_pending(all[i], EV_TIMEOUT | EV_READ | EV_WRITE | EV_SIGNAL, NULL));
	printf("\n");
}

int main(int argc, char **argv)
{
	unsigned i, count = argc > 2 ? atoi(argv[2]) : 1000;
	state = argc > 1 ? atoi(argv[1]) : 1;
	/* While no event is there for them. */
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	base = event_base_new();
	event_base_priority_init(base, 1 + state % 3);
	for (i = 0; i < PAIRS; i++) {
		int small = 4096;
		pair(fds[i]);
		setsockopt(fds[i][0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
		fill(fds[i][0]);
	}
	for (i = 0; i < COUNT; i++)
		make(i);
	printf("\n");
	for (i = 0; i < count; i++)
		step(i);
	for (i = 0; i < COUNT; i++)
		event_free(all[i]);
	event_base_free(base);
	printf("finalized %d\n", finalized);
	return 0;
}
