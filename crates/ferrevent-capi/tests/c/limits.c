/* Rate limits of bufferevents and of groups. Mostly by ticks so long that none
 * passes: what a bucket has is told exactly. Where time passes, what moves is
 * between bounds. */
#include "check.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <event2/thread.h>

static struct event_base *base;
static int options = BEV_OPT_CLOSE_ON_FREE;
/* A tick of eleven days. */
static const struct timeval never = { 1000000, 0 };
static char bytes[200000];

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	SAY("  %s: %x\n", (char *)arg, what);
}

static void turns(void)
{
	int i;
	for (i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void run_for(long ms)
{
	struct timeval tv = millis(ms);
	event_base_loopexit(base, &tv);
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	turns();
}

static long now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct ev_token_bucket_cfg *config(size_t rate, size_t burst)
{
	return ev_token_bucket_cfg_new(rate, burst, rate, burst, &never);
}

/* One that waits for bytes, and a descriptor at its other end. */
static struct bufferevent *make(int *fd, const char *name)
{
	int fds[2];
	struct bufferevent *bev;
	pair(fds);
	bev = bufferevent_socket_new(base, fds[0], options);
	bufferevent_setcb(bev, NULL, NULL, on_event, (void *)name);
	bufferevent_enable(bev, EV_READ);
	*fd = fds[1];
	return bev;
}

/* How much has come to the other end. */
static long came(int fd)
{
	static char room[65536];
	long all = 0;
	ssize_t got;
	turns();
	while ((got = read(fd, room, sizeof room)) > 0) {
		all += got;
		turns();
	}
	return all;
}

static void send_to(int fd, size_t length)
{
	if (write(fd, bytes, length) != (ssize_t)length)
		abort();
	turns();
}

static size_t input(struct bufferevent *bev)
{
	return evbuffer_get_length(bufferevent_get_input(bev));
}

static void show(struct bufferevent *bev)
{
	SAY("limits %zd %zd, now %zd %zd\n", bufferevent_get_read_limit(bev), bufferevent_get_write_limit(bev),
		bufferevent_get_max_to_read(bev), bufferevent_get_max_to_write(bev));
}

static void configurations(void)
{
	static const size_t max = EV_RATE_LIMIT_MAX;
	static const struct timeval common = { 0, 1500 };
	struct ev_token_bucket_cfg *cfg;
	SECTION("configurations");
	SAY("%d %d %d %d %d %d %d %d\n", ev_token_bucket_cfg_new(0, 10, 10, 10, NULL) != NULL, ev_token_bucket_cfg_new(10, 10, 0, 10, NULL) != NULL,
		ev_token_bucket_cfg_new(11, 10, 10, 10, NULL) != NULL, ev_token_bucket_cfg_new(10, 10, 11, 10, NULL) != NULL,
		ev_token_bucket_cfg_new(10, 0, 10, 10, NULL) != NULL, ev_token_bucket_cfg_new(max + 1, max + 1, 10, 10, NULL) != NULL,
		ev_token_bucket_cfg_new(10, 10, max + 1, max + 1, NULL) != NULL, ev_token_bucket_cfg_new(0, 0, 0, 0, &never) != NULL);
	cfg = ev_token_bucket_cfg_new(10, 10, 10, 10, NULL);
	SAY("%d", cfg != NULL);
	ev_token_bucket_cfg_free(cfg);
	cfg = ev_token_bucket_cfg_new(1, max, max, max, &common);
	SAY(" %d", cfg != NULL);
	ev_token_bucket_cfg_free(cfg);
	cfg = ev_token_bucket_cfg_new(max, max, max, max, &never);
	SAY(" %d\n", cfg != NULL);
	ev_token_bucket_cfg_free(cfg);
}

static void writing(void)
{
	int fd;
	struct bufferevent *bev = make(&fd, "bev");
	struct ev_token_bucket_cfg *cfg = ev_token_bucket_cfg_new(1000, 2000, 500, 700, &never), *other = config(800, 900);
	SECTION("writing");
	show(bev);
	SAY("config %d\n", bufferevent_get_token_bucket_cfg(bev) != NULL);
	SAY("none %d\n", bufferevent_set_rate_limit(bev, NULL));
	SAY("set %d\n", bufferevent_set_rate_limit(bev, cfg));
	SAY("config %d\n", bufferevent_get_token_bucket_cfg(bev) == cfg);
	show(bev);
	bufferevent_write(bev, bytes, 300);
	SAY("came %ld\n", came(fd));
	show(bev);
	bufferevent_write(bev, bytes, 5000);
	SAY("came %ld\n", came(fd));
	show(bev);
	SAY("waits %x, enabled %x\n", event_pending(&bev->ev_write, EV_WRITE, NULL), bufferevent_get_enabled(bev));
	SAY("less %d\n", bufferevent_decrement_write_limit(bev, 40));
	show(bev);
	SAY("came %ld\n", came(fd));
	SAY("more %d\n", bufferevent_decrement_write_limit(bev, -140));
	SAY("came %ld\n", came(fd));
	show(bev);
	/* Who waits keeps the loop going. */
	bufferevent_disable(bev, EV_READ);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	bufferevent_enable(bev, EV_READ);
	/* One that is not enabled uses nothing. */
	bufferevent_disable(bev, EV_WRITE);
	bufferevent_decrement_write_limit(bev, -200);
	SAY("came %ld\n", came(fd));
	show(bev);
	bufferevent_enable(bev, EV_WRITE);
	SAY("came %ld\n", came(fd));
	/* What is owed stays so. */
	bufferevent_decrement_write_limit(bev, 10);
	SAY("other %d, same %d\n", bufferevent_set_rate_limit(bev, other), bufferevent_set_rate_limit(bev, other));
	show(bev);
	SAY("came %ld\n", came(fd));
	SAY("none %d\n", bufferevent_set_rate_limit(bev, NULL));
	SAY("config %d\n", bufferevent_get_token_bucket_cfg(bev) != NULL);
	show(bev);
	SAY("came %ld\n", came(fd));
	bufferevent_set_rate_limit(bev, cfg);
	show(bev);
	bufferevent_write(bev, bytes, 5000);
	SAY("came %ld\n", came(fd));
	/* While it rests. */
	bufferevent_free(bev);
	turns();
	SAY("came %ld\n", came(fd));
	close(fd);
	ev_token_bucket_cfg_free(cfg);
	ev_token_bucket_cfg_free(other);
}

static void reading(void)
{
	int fd;
	struct bufferevent *bev = make(&fd, "bev");
	struct ev_token_bucket_cfg *cfg = config(1000, 2000);
	struct timeval tv = millis(60);
	SECTION("reading");
	bufferevent_set_rate_limit(bev, cfg);
	send_to(fd, 300);
	SAY("input %zu\n", input(bev));
	show(bev);
	send_to(fd, 900);
	SAY("input %zu\n", input(bev));
	show(bev);
	SAY("waits %x\n", event_pending(&bev->ev_read, EV_READ, NULL));
	bufferevent_decrement_read_limit(bev, -50);
	turns();
	SAY("input %zu\n", input(bev));
	/* Time that it rests does not count. */
	bufferevent_set_timeouts(bev, &tv, NULL);
	run_for(200);
	SAY("enabled %x\n", bufferevent_get_enabled(bev));
	bufferevent_set_timeouts(bev, NULL, NULL);
	bufferevent_disable(bev, EV_READ);
	bufferevent_decrement_read_limit(bev, -70);
	turns();
	SAY("input %zu\n", input(bev));
	show(bev);
	bufferevent_enable(bev, EV_READ);
	turns();
	SAY("input %zu\n", input(bev));
	/* The high mark rests beside the limit. */
	bufferevent_setwatermark(bev, EV_READ, 0, 1125);
	bufferevent_decrement_read_limit(bev, -30);
	turns();
	SAY("input %zu\n", input(bev));
	show(bev);
	bufferevent_setwatermark(bev, EV_READ, 0, 0);
	turns();
	SAY("input %zu\n", input(bev));
	show(bev);
	/* The end comes when all has come. */
	close(fd);
	turns();
	SAY("none %d\n", bufferevent_set_rate_limit(bev, NULL));
	turns();
	SAY("input %zu\n", input(bev));
	bufferevent_free(bev);
	turns();
	ev_token_bucket_cfg_free(cfg);
}

static void sizes(void)
{
	int fd;
	struct bufferevent *bev = make(&fd, "bev");
	struct ev_token_bucket_cfg *cfg = config(100000, 100000), *max = config(EV_RATE_LIMIT_MAX, EV_RATE_LIMIT_MAX);
	SECTION("sizes");
	bufferevent_set_max_single_read(bev, 100);
	bufferevent_set_max_single_write(bev, 200);
	show(bev);
	bufferevent_set_rate_limit(bev, cfg);
	show(bev);
	bufferevent_write(bev, bytes, 1000);
	SAY("came %ld\n", came(fd));
	SAY("most %zd %zd\n", bufferevent_get_max_single_read(bev), bufferevent_get_max_single_write(bev));
	bufferevent_set_rate_limit(bev, NULL);
	bufferevent_set_rate_limit(bev, max);
	show(bev);
	bufferevent_write(bev, bytes, 1000);
	send_to(fd, 500);
	SAY("came %ld, input %zu\n", came(fd), input(bev));
	bufferevent_free(bev);
	turns();
	close(fd);
	ev_token_bucket_cfg_free(cfg);
	ev_token_bucket_cfg_free(max);
}

/* Between these bounds, and where they are not. */
static void between(const char *what, long value, long least, long most)
{
	SAY("%s %s\n", what, value >= least && value <= most ? "as it should be" : "WRONG");
	if (value < least || value > most)
		SAY("  %ld, not %ld to %ld\n", value, least, most);
}

static void show_group(struct bufferevent_rate_limit_group *group)
{
	ev_uint64_t read = 77, written = 77;
	bufferevent_rate_limit_group_get_totals(group, &read, &written);
	bufferevent_rate_limit_group_get_totals(group, NULL, NULL);
	SAY("group %zd %zd, totals %lu %lu\n", bufferevent_rate_limit_group_get_read_limit(group), bufferevent_rate_limit_group_get_write_limit(group),
		(unsigned long)read, (unsigned long)written);
}

static void groups(void)
{
	int a_fd, b_fd;
	long came_b;
	struct bufferevent *a = make(&a_fd, "a"), *b = make(&b_fd, "b");
	struct ev_token_bucket_cfg *cfg = config(1000, 2000), *small = config(100, 150), *large = config(5000, 9000);
	struct bufferevent_rate_limit_group *group;
	SECTION("groups");
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	bufferevent_disable(a, EV_READ);
	bufferevent_disable(b, EV_READ);
	turns();
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	group = bufferevent_rate_limit_group_new(base, cfg);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	show_group(group);
	SAY("out of none %d\n", bufferevent_remove_from_rate_limit_group(a));
	SAY("in %d, again %d, other %d\n", bufferevent_add_to_rate_limit_group(a, group), bufferevent_add_to_rate_limit_group(a, group),
		bufferevent_add_to_rate_limit_group(b, group));
	show(a);
	SAY("config %d\n", bufferevent_get_token_bucket_cfg(a) != NULL);
	SAY("share %d\n", bufferevent_rate_limit_group_set_min_share(group, 600));
	show(a);
	SAY("share %d\n", bufferevent_rate_limit_group_set_min_share(group, 5000));
	show(a);
	SAY("share %d\n", bufferevent_rate_limit_group_set_min_share(group, (size_t)-1));
	SAY("share %d\n", bufferevent_rate_limit_group_set_min_share(group, 64));
	bufferevent_enable(a, EV_READ);
	send_to(a_fd, 100);
	bufferevent_write(a, bytes, 300);
	SAY("came %ld, input %zu\n", came(a_fd), input(a));
	show_group(group);
	show(b);
	bufferevent_write(b, bytes, 900);
	came_b = came(b_fd);
	/* libevent gives the last ones a share that is not there. */
	between("b's part", came_b, 700, 764);
	bufferevent_write(a, bytes, 100);
	SAY("came %ld\n", came(a_fd));
	SAY("more %d\n", bufferevent_rate_limit_group_decrement_write(group, -500));
	SAY("came %ld, all %ld\n", came(a_fd), came_b + came(b_fd));
	show_group(group);
	SAY("less %d\n", bufferevent_rate_limit_group_decrement_write(group, 1000));
	SAY("less %d\n", bufferevent_rate_limit_group_decrement_read(group, 1000));
	show_group(group);
	bufferevent_rate_limit_group_reset_totals(group);
	show_group(group);
	show(a);
	bufferevent_write(a, bytes, 50);
	bufferevent_write(b, bytes, 60);
	send_to(a_fd, 200);
	SAY("came %ld %ld, input %zu\n", came(a_fd), came(b_fd), input(a));
	SAY("out %d\n", bufferevent_remove_from_rate_limit_group(a));
	turns();
	SAY("came %ld %ld, input %zu\n", came(a_fd), came(b_fd), input(a));
	SAY("in %d\n", bufferevent_add_to_rate_limit_group(a, group));
	bufferevent_write(a, bytes, 50);
	send_to(a_fd, 200);
	SAY("came %ld %ld, input %zu\n", came(a_fd), came(b_fd), input(a));
	SAY("settings %d %d %d\n", bufferevent_rate_limit_group_set_cfg(group, large), bufferevent_rate_limit_group_set_cfg(NULL, cfg),
		bufferevent_rate_limit_group_set_cfg(group, NULL));
	show_group(group);
	bufferevent_rate_limit_group_decrement_read(group, -5000);
	bufferevent_rate_limit_group_decrement_write(group, -5000);
	SAY("came %ld %ld, input %zu\n", came(a_fd), came(b_fd), input(a));
	show_group(group);
	bufferevent_rate_limit_group_set_cfg(group, small);
	show_group(group);
	show(a);
	/* Limits of its own besides. */
	bufferevent_set_rate_limit(a, small);
	bufferevent_decrement_write_limit(a, 60);
	show(a);
	bufferevent_write(a, bytes, 70);
	SAY("came %ld\n", came(a_fd));
	show(a);
	show_group(group);
	bufferevent_remove_from_rate_limit_group(a);
	show(a);
	bufferevent_add_to_rate_limit_group(a, group);
	show(a);
	bufferevent_decrement_write_limit(a, -35);
	SAY("came %ld\n", came(a_fd));
	show(a);
	show_group(group);
	bufferevent_set_rate_limit(a, NULL);
	show(a);
	/* One that waits is freed. */
	bufferevent_rate_limit_group_decrement_write(group, 1000);
	bufferevent_write(a, bytes, 70);
	bufferevent_write(b, bytes, 70);
	turns();
	bufferevent_free(a);
	turns();
	bufferevent_remove_from_rate_limit_group(b);
	SAY("came %ld %ld\n", came(a_fd), came(b_fd));
	bufferevent_rate_limit_group_free(group);
	bufferevent_free(b);
	turns();
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	close(a_fd);
	close(b_fd);
	ev_token_bucket_cfg_free(cfg);
	ev_token_bucket_cfg_free(small);
	ev_token_bucket_cfg_free(large);
}

static void from_group_to_group(void)
{
	int fd;
	struct bufferevent *bev = make(&fd, "bev");
	struct ev_token_bucket_cfg *cfg = config(1000, 2000);
	struct bufferevent_rate_limit_group *one = bufferevent_rate_limit_group_new(base, cfg), *other = bufferevent_rate_limit_group_new(base, cfg);
	SECTION("from group to group");
	bufferevent_add_to_rate_limit_group(bev, one);
	bufferevent_rate_limit_group_decrement_write(one, 1000);
	bufferevent_write(bev, bytes, 1500);
	SAY("came %ld\n", came(fd));
	bufferevent_add_to_rate_limit_group(bev, other);
	between("its part", came(fd), 1000, 1064);
	bufferevent_add_to_rate_limit_group(bev, one);
	SAY("came %ld\n", came(fd));
	bufferevent_rate_limit_group_decrement_write(one, -1000);
	came(fd);
	show_group(one);
	bufferevent_free(bev);
	turns();
	bufferevent_rate_limit_group_free(one);
	bufferevent_rate_limit_group_free(other);
	close(fd);
	ev_token_bucket_cfg_free(cfg);
}

/* Those that have no descriptor have buckets, which nobody empties. */
static void pairs_and_filters(void)
{
	int fd;
	struct bufferevent *two[2], *below = make(&fd, "below"), *filter;
	struct ev_token_bucket_cfg *cfg = config(100, 200);
	SECTION("pairs and filters");
	bufferevent_pair_new(base, options, two);
	bufferevent_enable(two[1], EV_READ);
	SAY("set %d\n", bufferevent_set_rate_limit(two[0], cfg));
	bufferevent_write(two[0], bytes, 5000);
	turns();
	SAY("input %zu\n", input(two[1]));
	show(two[0]);
	bufferevent_free(two[0]);
	bufferevent_free(two[1]);
	filter = bufferevent_filter_new(below, NULL, NULL, options, NULL, NULL);
	bufferevent_setcb(filter, NULL, NULL, on_event, "filter");
	bufferevent_enable(filter, EV_READ);
	SAY("set %d\n", bufferevent_set_rate_limit(filter, cfg));
	bufferevent_write(filter, bytes, 5000);
	send_to(fd, 500);
	SAY("came %ld, input %zu\n", came(fd), input(filter));
	show(filter);
	SAY("set %d\n", bufferevent_set_rate_limit(below, cfg));
	bufferevent_write(filter, bytes, 5000);
	send_to(fd, 500);
	SAY("came %ld, input %zu\n", came(fd), input(filter));
	show(below);
	bufferevent_set_rate_limit(below, NULL);
	turns();
	SAY("came %ld, input %zu\n", came(fd), input(filter));
	bufferevent_free(filter);
	turns();
	close(fd);
	ev_token_bucket_cfg_free(cfg);
}

static void another_base(void)
{
	int fd;
	struct bufferevent *bev = make(&fd, "bev");
	struct ev_token_bucket_cfg *cfg = config(100, 200);
	struct event_base *first = base;
	SECTION("another base");
	bufferevent_disable(bev, EV_READ | EV_WRITE);
	bufferevent_set_rate_limit(bev, cfg);
	base = event_base_new();
	SAY("given %d\n", bufferevent_base_set(base, bev));
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	bufferevent_write(bev, bytes, 150);
	SAY("came %ld\n", came(fd));
	bufferevent_decrement_write_limit(bev, -50);
	SAY("came %ld\n", came(fd));
	bufferevent_set_rate_limit(bev, NULL);
	bufferevent_free(bev);
	turns();
	event_base_free(base);
	base = first;
	close(fd);
	ev_token_bucket_cfg_free(cfg);
}

/* Both directions of several, by ticks that pass: never more than what the
 * ticks have brought, and it takes no longer than it must. */
static void by_time(int count, int in_group)
{
	struct timeval tick = millis(50);
	struct ev_token_bucket_cfg *cfg = ev_token_bucket_cfg_new(2000, 2000, 2000, 2000, &tick);
	struct bufferevent_rate_limit_group *group = in_group ? bufferevent_rate_limit_group_new(base, cfg) : NULL;
	struct bufferevent *all[4];
	static char room[65536];
	int fds[4], i, excess = 0;
	long begun, total = 0, read_total = 0, wanted = in_group ? 20000 : 20000 * count, each = wanted / count;
	for (i = 0; i < count; i++) {
		all[i] = make(&fds[i], "bev");
		if (group)
			bufferevent_add_to_rate_limit_group(all[i], group);
		else
			bufferevent_set_rate_limit(all[i], cfg);
		send_to(fds[i], 1);
	}
	begun = now();
	for (i = 0; i < count; i++) {
		bufferevent_write(all[i], bytes, each);
		send_to(fds[i], each - 1);
	}
	while ((total < wanted || read_total < wanted) && now() - begun < 60000) {
		struct timeval tv = millis(1);
		long may;
		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
		read_total = 0;
		for (i = 0; i < count; i++) {
			ssize_t got = read(fds[i], room, sizeof room);
			if (got > 0)
				total += got;
			read_total += (long)input(all[i]);
		}
		/* A tick may just be beginning, or its bytes not be used yet. */
		may = (in_group ? 1 : count) * (2000 * ((now() - begun) / 50 + 3)) + (in_group ? count * 64 : 0);
		excess |= total > may || read_total > may;
	}
	SAY("written %ld, read %ld, too much %d\n", total, read_total, excess);
	between("the time", now() - begun, 400, 20000);
	for (i = 0; i < count; i++) {
		bufferevent_free(all[i]);
		close(fds[i]);
	}
	turns();
	if (group)
		bufferevent_rate_limit_group_free(group);
	ev_token_bucket_cfg_free(cfg);
}

static void paced(void)
{
	SECTION("by time");
	by_time(1, 0);
	by_time(3, 0);
	by_time(4, 1);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "threads")) {
		evthread_use_pthreads();
		options |= BEV_OPT_THREADSAFE;
	}
	base = event_base_new();
	if (argc > 1 && !strcmp(argv[1], "no time")) {
		static const struct timeval short_tick = { 0, 999 };
		SAY("%d\n", ev_token_bucket_cfg_new(10, 10, 10, 10, &short_tick) != NULL);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "members")) {
		int fd;
		struct bufferevent_rate_limit_group *group = bufferevent_rate_limit_group_new(base, config(10, 10));
		bufferevent_add_to_rate_limit_group(make(&fd, "bev"), group);
		bufferevent_rate_limit_group_free(group);
		return 0;
	}
	configurations();
	writing();
	reading();
	sizes();
	groups();
	from_group_to_group();
	pairs_and_filters();
	another_base();
	paced();
	event_base_free(base);
	return 0;
}
