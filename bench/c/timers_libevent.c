/*
 * Times libevent's timers (its binary heap): prints `name<TAB>count<TAB>ns` a
 * line, the time being nanoseconds for one timer, as the example timer_bench
 * of ferrevent-core does, with the same deadlines in the same order.
 *
 *   cc -O2 timers_libevent.c -levent_core -o timers_libevent
 *   timers_libevent [--only add|rearm|delete|fire]
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ADD, REARM, DELETE, FIRE, NAMES };
static const char *const names[NAMES] = { "add", "rearm", "delete", "fire" };
static const uint64_t minute = 60000000;
static uint64_t state;
static size_t fired;

static uint64_t next(void)
{
	uint64_t mixed = state += 0x9e3779b97f4a7c15;
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return mixed ^ (mixed >> 31);
}

static double nanos(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
	fired++;
}

/* An hour is added where no timer may expire meanwhile. */
static void add(struct event *timer, uint64_t micros, long plus)
{
	struct timeval after;
	after.tv_sec = (long)(micros / 1000000) + plus;
	after.tv_usec = (long)(micros % 1000000);
	event_add(timer, &after);
}

static struct event_base *start(struct event *timers, size_t count)
{
	struct event_config *config = event_config_new();
	struct event_base *base;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	for (size_t at = 0; at < count; at++)
		event_assign(&timers[at], base, -1, 0, on_timer, NULL);
	return base;
}

struct work {
	struct event *timers;
	uint64_t *deadlines, *others;
	size_t *order, count;
	double times[4];
};

/* In the loop, as programs set timers: it knows the time, and no clock is read. */
static void change(evutil_socket_t fd, short what, void *context)
{
	struct work *it = context;
	(void)fd, (void)what;
	it->times[0] = nanos();
	for (size_t at = 0; at < it->count; at++)
		add(&it->timers[at], it->deadlines[at], 3600);
	it->times[1] = nanos();
	for (size_t at = 0; at < it->count; at++)
		add(&it->timers[it->order[at]], it->others[at], 3600);
	it->times[2] = nanos();
	for (size_t at = 0; at < it->count; at++)
		event_del(&it->timers[it->order[at]]);
	it->times[3] = nanos();
}

static void measure(size_t count, uint64_t seed, double *sums)
{
	uint64_t *deadlines = malloc(count * sizeof *deadlines);
	uint64_t *others = malloc(count * sizeof *others);
	size_t *order = malloc(count * sizeof *order);
	struct event *timers = calloc(count, sizeof *timers);
	struct work work = { timers, deadlines, others, order, count, { 0 } };
	struct event_base *base;
	double begin;

	state = seed;
	for (size_t at = 0; at < count; at++)
		deadlines[at] = 1 + next() % minute;
	for (size_t at = 0; at < count; at++)
		others[at] = 1 + next() % minute;
	for (size_t at = 0; at < count; at++)
		order[at] = at;
	for (size_t last = count - 1; last > 0; last--) {
		size_t other = next() % (last + 1), swapped = order[last];
		order[last] = order[other];
		order[other] = swapped;
	}

	base = start(timers, count);
	event_base_once(base, -1, EV_TIMEOUT, change, &work, NULL);
	event_base_loop(base, EVLOOP_ONCE);
	event_base_free(base);
	sums[ADD] += work.times[1] - work.times[0];
	sums[REARM] += work.times[2] - work.times[1];
	sums[DELETE] += work.times[3] - work.times[2];

	/* A minute is not worth waiting for: the same order of deadlines,
	 * sixty times closer, waited for before the measurement. */
	base = start(timers, count);
	for (size_t at = 0; at < count; at++)
		add(&timers[at], deadlines[at] / 60, 0);
	nanosleep(&(struct timespec){ 1, 100000000 }, NULL);
	fired = 0;
	begin = nanos();
	event_base_loop(base, EVLOOP_NONBLOCK);
	sums[FIRE] += nanos() - begin;
	if (fired != count) {
		fprintf(stderr, "%zu of %zu timers fired\n", fired, count);
		exit(1);
	}
	event_base_free(base);
	free(timers);
	free(order);
	free(others);
	free(deadlines);
}

int main(int argc, char **argv)
{
	static const size_t counts[] = { 1000000, 10000 };
	const char *only = argc == 3 && !strcmp(argv[1], "--only") ? argv[2] : NULL;

	if (argc != 1 && !only) {
		fprintf(stderr, "usage: %s [--only add|rearm|delete|fire]\n", argv[0]);
		return 2;
	}
	for (size_t size = 0; size < 2; size++) {
		size_t count = counts[size], rounds = size == 0 ? 2 : 10;
		double sums[NAMES] = { 0 };
		for (size_t round = 0; round < rounds; round++)
			measure(count, round, sums);
		for (int name = 0; name < NAMES; name++)
			if (!only || !strcmp(only, names[name]))
				printf("%s\t%zu\t%.1f\n", names[name], count,
				    sums[name] / (double)(rounds * count));
	}
	return 0;
}
