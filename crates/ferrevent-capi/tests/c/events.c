#include "check.h"

static struct event_base *base;

static void name_cb(int fd, short what, void *arg)
{
	(void)fd;
	SAY("%s %#x\n", (char *)arg, what);
}

static void timers(void)
{
	struct event *ev[6];
	long due[6] = {600, 200, 400, 200, 0, 100};
	static char name[6][8];
	int i;
	SECTION("timers in order");
	for (i = 0; i < 6; i++) {
		struct timeval tv = millis(due[i]);
		/* The same deadlines are a little apart, lest the order be anybody's. */
		sprintf(name[i], "t%d", i);
		ev[i] = evtimer_new(base, name_cb, name[i]);
		tv.tv_usec += i;
		SAY("add %d\n", event_add(ev[i], &tv));
	}
	SAY("pending %d\n", event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED));
	event_del(ev[2]);
	SAY("dispatch %d\n", event_base_dispatch(base));
	for (i = 0; i < 6; i++)
		event_free(ev[i]);
}

struct counted {
	struct event ev;
	int left;
	int fd;
};

static void counted_cb(int fd, short what, void *arg)
{
	struct counted *it = arg;
	SAY("counted fd %d what %#x left %d pending %#x\n", fd >= 0 ? 1 : fd, what, it->left,
		event_pending(&it->ev, EV_TIMEOUT | EV_READ | EV_WRITE, NULL));
	if (--it->left == 0)
		SAY("del %d\n", event_del(&it->ev));
}

static void persist(void)
{
	struct counted it;
	struct timeval tv = millis(5);
	int fds[2];
	SECTION("a timer that persists");
	it.left = 4;
	event_assign(&it.ev, base, -1, EV_PERSIST, counted_cb, &it);
	SAY("initialized %d\n", event_initialized(&it.ev) != 0);
	event_add(&it.ev, &tv);
	SAY("dispatch %d\n", event_base_dispatch(base));

	SECTION("a descriptor that persists, with a timeout");
	pair(fds);
	it.left = 3;
	event_assign(&it.ev, base, fds[0], EV_READ | EV_PERSIST, counted_cb, &it);
	event_add(&it.ev, &tv);
	SAY("dispatch %d\n", event_base_dispatch(base));
	put(fds[1], "x");
	it.left = 2;
	tv = millis(50000);
	event_add(&it.ev, &tv);
	SAY("dispatch %d\n", event_base_dispatch(base));

	SECTION("a descriptor that does not persist, with a timeout");
	tv = millis(50000);
	it.left = 10;
	event_assign(&it.ev, base, fds[0], EV_READ, counted_cb, &it);
	event_add(&it.ev, &tv);
	SAY("dispatch %d\n", event_base_dispatch(base));
	SAY("pending %#x\n", event_pending(&it.ev, EV_READ | EV_TIMEOUT, NULL));
	take(fds[0]);
	tv = millis(5);
	event_add(&it.ev, &tv);
	SAY("dispatch %d\n", event_base_dispatch(base));
	close(fds[0]);
	close(fds[1]);
}

static void edge_cb(int fd, short what, void *arg)
{
	(void)fd;
	SAY("edge %#x\n", what);
	++*(int *)arg;
}

static void edges(void)
{
	int fds[2], seen = 0;
	struct event *ev, *level;
	SECTION("edges");
	if (!(event_base_get_features(base) & EV_FEATURE_ET))
		return;
	pair(fds);
	ev = event_new(base, fds[0], EV_READ | EV_ET | EV_PERSIST, edge_cb, &seen);
	event_add(ev, NULL);
	put(fds[1], "a");
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	put(fds[1], "b");
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	SAY("seen %d\n", seen);
	SECTION("edges and levels on one descriptor");
	level = event_new(base, fds[0], EV_READ | EV_PERSIST, edge_cb, &seen);
	SAY("add %d\n", event_add(level, NULL));
	event_free(ev);
	event_free(level);
	close(fds[0]);
	close(fds[1]);
}

static void shared(void)
{
	int fds[2], other[2], i;
	struct timeval hour = millis(3600000);
	struct event *ev[5];
	static char name[5][8];
	short what[5] = {EV_READ, EV_READ | EV_WRITE, EV_WRITE, EV_READ | EV_PERSIST, EV_READ};
	SECTION("several events of a descriptor");
	pair(fds);
	pair(other);
	put(fds[1], "x");
	for (i = 0; i < 5; i++) {
		sprintf(name[i], "s%d", i);
		ev[i] = event_new(base, i == 4 ? other[0] : fds[0], what[i], name_cb, name[i]);
		event_add(ev[i], NULL);
	}
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	for (i = 0; i < 5; i++)
		SAY("%d pending %#x\n", i, event_pending(ev[i], EV_READ | EV_WRITE, NULL));
	event_base_active_by_fd(base, fds[0], EV_READ);
	event_base_active_by_fd(base, other[0], EV_READ | EV_TIMEOUT);
	event_base_active_by_fd(base, 999, EV_READ);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE));
	event_add(ev[4], &hour);
	event_base_active_by_fd(base, other[0], EV_READ | EV_TIMEOUT);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE));
	for (i = 0; i < 5; i++)
		event_free(ev[i]);
	for (i = 0; i < 2; i++) {
		close(fds[i]);
		close(other[i]);
	}
}

static void closed(void)
{
	int listener, near, far;
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;
	struct event *ev;
	SECTION("a peer that closes");
	if (!(event_base_get_features(base) & EV_FEATURE_EARLY_CLOSE)) {
		SAY("not told\n");
		return;
	}
	memset(&sin, 0, sizeof sin);
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&sin, len) || listen(listener, 5)
	    || getsockname(listener, (struct sockaddr *)&sin, &len))
		abort();
	near = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(near, (struct sockaddr *)&sin, len))
		abort();
	far = accept(listener, NULL, NULL);
	evutil_make_socket_nonblocking(near);
	ev = event_new(base, near, EV_CLOSED | EV_PERSIST, name_cb, "closed");
	event_add(ev, NULL);
	put(far, "x");
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	shutdown(far, SHUT_WR);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	event_del(ev);
	event_assign(ev, base, near, EV_CLOSED | EV_READ, name_cb, "both");
	event_add(ev, NULL);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	event_free(ev);
	close(near);
	close(far);
	close(listener);
}

static struct event *again;

static void active_cb(int fd, short what, void *arg)
{
	int *left = arg;
	(void)fd;
	SAY("active %#x left %d pending %#x\n", what, *left, event_pending(again, 0xff, NULL));
	if ((*left)-- > 0)
		event_active(again, EV_WRITE, 1);
}

static void activation(void)
{
	int left = 3;
	SECTION("activation by hand");
	again = event_new(base, -1, 0, active_cb, &left);
	event_active(again, EV_READ, 1);
	event_active(again, EV_WRITE, 1);
	SAY("pending %#x count %d\n", event_pending(again, 0xff, NULL),
		event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE));
	SAY("dispatch %d\n", event_base_dispatch(base));
	event_active(again, EV_TIMEOUT, 1);
	SAY("del %d\n", event_del(again));
	SAY("dispatch %d\n", event_base_dispatch(base));
	event_free(again);
}

static struct event *urgent, *later[3];

static void prio_cb(int fd, short what, void *arg)
{
	(void)fd;
	SAY("%s %#x\n", (char *)arg, what);
	if (!strcmp(arg, "low0"))
		event_active(urgent, EV_READ, 1);
}

static void priorities(void)
{
	int i;
	static char name[3][8];
	SECTION("priorities");
	SAY("init %d %d %d\n", event_base_priority_init(base, 0), event_base_priority_init(base, 256),
		event_base_priority_init(base, 3));
	SAY("count %d\n", event_base_get_npriorities(base));
	urgent = event_new(base, -1, 0, prio_cb, "urgent");
	SAY("middle %d\n", event_get_priority(urgent));
	SAY("set %d %d %d\n", event_priority_set(urgent, 3), event_priority_set(urgent, -1),
		event_priority_set(urgent, 0));
	for (i = 0; i < 3; i++) {
		sprintf(name[i], "low%d", i);
		later[i] = event_new(base, -1, 0, prio_cb, name[i]);
		event_priority_set(later[i], 2);
		event_active(later[i], EV_WRITE, 1);
	}
	SAY("set while active %d\n", event_priority_set(later[0], 1));
	SAY("init while active %d\n", event_base_priority_init(base, 2));
	SAY("dispatch %d\n", event_base_dispatch(base));
	event_free(urgent);
	for (i = 0; i < 3; i++)
		event_free(later[i]);
	SAY("init %d\n", event_base_priority_init(base, 1));
}

static void stop_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	SAY("stop %s\n", (char *)arg);
	if (!strcmp(arg, "break"))
		event_base_loopbreak(base);
	else if (!strcmp(arg, "exit"))
		event_base_loopexit(base, NULL);
	else if (!strcmp(arg, "continue"))
		event_base_loopcontinue(base);
	else if (!strcmp(arg, "nested"))
		SAY("nested %d\n", event_base_loop(base, 0));
}

static void stops(void)
{
	char *how[] = {"break", "exit", "continue", "nested"};
	struct event *one, *two;
	struct timeval tv = millis(20);
	int i;
	SECTION("ends of a loop");
	for (i = 0; i < 4; i++) {
		one = event_new(base, -1, 0, stop_cb, how[i]);
		two = event_new(base, -1, 0, name_cb, "second");
		event_active(one, EV_READ, 1);
		event_active(two, EV_READ, 1);
		SAY("dispatch %d break %d exit %d\n", event_base_dispatch(base), event_base_got_break(base),
			event_base_got_exit(base));
		SAY("rest %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
		SAY("break %d exit %d\n", event_base_got_break(base), event_base_got_exit(base));
		event_free(one);
		event_free(two);
	}
	SAY("empty %d %d %d\n", event_base_loop(base, 0), event_base_loop(base, EVLOOP_ONCE),
		event_base_loop(base, EVLOOP_NONBLOCK));
	event_base_loopexit(base, &tv);
	SAY("no exit on empty %d\n", event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY));
	SAY("exit %d\n", event_base_got_exit(base));
	one = evtimer_new(base, name_cb, "ten");
	two = evtimer_new(base, name_cb, "twenty");
	tv = millis(10);
	event_add(one, &tv);
	tv = millis(10000);
	event_add(two, &tv);
	SAY("once %d\n", event_base_loop(base, EVLOOP_ONCE));
	SAY("nonblock %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	SAY("once nonblock %d\n", event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK));
	event_free(one);
	event_free(two);
}

static void once(void)
{
	int fds[2];
	struct timeval tv = millis(5);
	SECTION("once");
	pair(fds);
	put(fds[1], "x");
	SAY("%d %d %d %d %d %d\n",
		event_base_once(base, -1, EV_TIMEOUT, name_cb, "timer", &tv),
		event_base_once(base, -1, EV_TIMEOUT, name_cb, "at once", NULL),
		event_base_once(base, fds[0], EV_READ, name_cb, "read", NULL),
		event_base_once(base, SIGUSR1, EV_SIGNAL, name_cb, "signal", NULL),
		event_base_once(base, fds[0], EV_READ | EV_PERSIST, name_cb, "persist", NULL),
		event_base_once(base, fds[0], 0, name_cb, "nothing", NULL));
	SAY("dispatch %d\n", event_base_dispatch(base));
	/* One that is left when the program ends is freed with the base. */
	event_base_once(base, fds[0], EV_WRITE, name_cb, "write", NULL);
	event_base_once(base, fds[1], EV_READ, name_cb, "never", NULL);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
}

static void getters(void)
{
	struct event_base *b;
	int fd;
	short events;
	event_callback_fn cb;
	void *arg;
	struct timeval tv = millis(100000), when, now;
	struct event blank;
	struct event *ev = event_new(base, 0, EV_READ | EV_PERSIST, name_cb, &tv);
	struct event *self = event_new(base, -1, 0, name_cb, event_self_cbarg());
	SECTION("getters");
	event_get_assignment(ev, &b, &fd, &events, &cb, &arg);
	SAY("%d %d %#x %d %d\n", b == base, fd, events, cb == name_cb, arg == &tv);
	event_get_assignment(ev, NULL, NULL, NULL, NULL, NULL);
	SAY("%d %d %#x %d %d %d\n", event_get_base(ev) == base, event_get_fd(ev), event_get_events(ev),
		event_get_callback(ev) == name_cb, event_get_callback_arg(ev) == &tv, event_get_priority(ev));
	SAY("self %d\n", event_get_callback_arg(self) == self);
	SAY("fields %d %#x %d %#x\n", ev->ev_fd, ev->ev_events, ev->ev_base == base, ev->ev_evcallback.evcb_flags);
	SAY("size %zu %zu\n", event_get_struct_event_size(), sizeof(struct event));
	event_add(self, &tv);
	SAY("pending %#x\n", event_pending(self, EV_TIMEOUT, &when));
	gettimeofday(&now, NULL);
	SAY("due in %ld s\n", (long)((when.tv_sec * 1000000 + when.tv_usec - now.tv_sec * 1000000
		- now.tv_usec + 500000) / 1000000));
	SAY("remove timer %d pending %#x\n", event_remove_timer(self), event_pending(self, EV_TIMEOUT, NULL));
	SAY("version %s %#x %d\n", event_get_version(), (unsigned)event_get_version_number(),
		LIBEVENT_VERSION_NUMBER == event_get_version_number());
	event_free(ev);
	event_free(self);
	SAY("bad %d %d\n", event_new(base, 1, EV_SIGNAL | EV_READ, name_cb, NULL) == NULL,
		event_assign(&blank, base, 1, EV_SIGNAL | EV_WRITE, name_cb, NULL));
}

static void counts(void)
{
	int fds[2], i;
	struct timeval tv = millis(100000);
	struct event *ev[3];
	SECTION("counts");
	pair(fds);
	event_base_get_max_events(base, 7, 1);
	for (i = 0; i < 3; i++)
		ev[i] = event_new(base, fds[0], EV_READ | EV_PERSIST, name_cb, "count");
	event_add(ev[0], NULL);
	event_add(ev[1], &tv);
	event_add(ev[2], &tv);
	event_active(ev[2], EV_READ, 1);
	SAY("%d %d\n", event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED),
		event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE | EVENT_BASE_COUNT_VIRTUAL));
	event_del(ev[1]);
	event_add(ev[0], NULL);
	SAY("%d %d\n", event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED),
		event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE));
	event_base_loop(base, EVLOOP_NONBLOCK);
	SAY("max %d %d\n", event_base_get_max_events(base, EVENT_BASE_COUNT_ADDED, 0),
		event_base_get_max_events(base, EVENT_BASE_COUNT_ACTIVE, 1));
	SAY("max %d\n", event_base_get_max_events(base, EVENT_BASE_COUNT_ACTIVE, 0));
	for (i = 0; i < 3; i++)
		event_free(ev[i]);
	SAY("%d\n", event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED));
	close(fds[0]);
	close(fds[1]);
}

static int look(const struct event_base *b, const struct event *ev, void *arg)
{
	int *left = arg;
	(void)b;
	SAY("look at %#x\n", event_get_events(ev));
	return --*left == 0 ? 7 : 0;
}

static void looking(void)
{
	int fds[2], left = 100, two = 2;
	struct timeval tv = millis(100000);
	struct event *a, *b, *c, *d;
	SECTION("looking at all");
	pair(fds);
	a = event_new(base, fds[0], EV_READ, name_cb, NULL);
	b = event_new(base, fds[0], EV_WRITE | EV_PERSIST, name_cb, NULL);
	c = event_new(base, -1, EV_PERSIST, name_cb, NULL);
	d = event_new(base, SIGUSR2, EV_SIGNAL, name_cb, NULL);
	event_add(a, &tv);
	event_add(b, NULL);
	event_add(c, &tv);
	event_active(c, EV_READ, 1);
	SAY("all %d\n", event_base_foreach_event(base, look, &left));
	SAY("seen %d\n", 100 - left);
	SAY("two %d\n", event_base_foreach_event(base, look, &two));
	SAY("none %d\n", event_base_foreach_event(base, NULL, &two));
	event_free(a);
	event_free(b);
	event_free(c);
	event_free(d);
	close(fds[0]);
	close(fds[1]);
}

static void common(void)
{
	struct timeval tv = millis(10), other = millis(20);
	const struct timeval *it = event_base_init_common_timeout(base, &tv);
	const struct timeval *same = event_base_init_common_timeout(base, &tv);
	struct counted counted;
	int i;
	struct event *ev[4];
	static char name[4][8];
	SECTION("common timeouts");
	SAY("same %d other %d\n", it == same, event_base_init_common_timeout(base, &other) != it);
	SAY("marked %d\n", it->tv_usec != tv.tv_usec);
	for (i = 0; i < 4; i++) {
		sprintf(name[i], "c%d", i);
		ev[i] = evtimer_new(base, name_cb, name[i]);
		event_add(ev[i], it);
	}
	SAY("dispatch %d\n", event_base_dispatch(base));
	for (i = 0; i < 4; i++)
		event_free(ev[i]);
	counted.left = 3;
	event_assign(&counted.ev, base, -1, EV_PERSIST, counted_cb, &counted);
	event_add(&counted.ev, it);
	SAY("dispatch %d\n", event_base_dispatch(base));
}

static void mistakes(void)
{
	struct event *ev, *none;
	int file;
	struct event blank;
	SECTION("mistakes");
	ev = event_new(base, 777, EV_READ, name_cb, NULL);
	SAY("not open: %d\n", event_add(ev, NULL));
	SAY("pending %#x\n", event_pending(ev, EV_READ, NULL));
	event_del(ev);
	none = event_new(base, -1, EV_READ, name_cb, "no descriptor");
	SAY("no descriptor: %d\n", event_add(none, NULL));
	SAY("pending %#x del %d\n", event_pending(none, EV_READ, NULL), event_del(none));
	file = open("/proc/self/exe", O_RDONLY);
	event_assign(ev, base, file, EV_READ, name_cb, "file");
	SAY("file: %d\n", event_add(ev, NULL) == (event_base_get_features(base) & EV_FEATURE_FDS ? 0 : -1));
	event_free(ev);
	event_free(none);
	close(file);
	memset(&blank, 0, sizeof blank);
	SAY("blank %d %d %d\n", event_initialized(&blank), event_pending(&blank, EV_READ, NULL), event_del(&blank));
	SAY("null base %d %d %d\n", event_base_loopbreak(NULL), event_base_loopcontinue(NULL),
		event_base_get_npriorities(base));
}

static void free_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	SAY("frees itself\n");
	event_free(arg);
}

static struct event *victim;

static void kill_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	SAY("frees another\n");
	event_free(victim);
}

static void frees(void)
{
	struct event *ev, *killer;
	struct timeval tv = millis(1);
	SECTION("callbacks that free");
	ev = event_new(base, -1, EV_PERSIST, free_cb, event_self_cbarg());
	event_add(ev, &tv);
	SAY("dispatch %d\n", event_base_dispatch(base));
	killer = event_new(base, -1, 0, kill_cb, NULL);
	victim = event_new(base, -1, 0, name_cb, "must not run");
	event_active(killer, EV_READ, 1);
	event_active(victim, EV_READ, 1);
	SAY("dispatch %d\n", event_base_dispatch(base));
	event_free(killer);
}

static void finalizer(struct event *ev, void *arg)
{
	(void)ev;
	SAY("finalizer of %s\n", (char *)arg);
}

static void finalising(void)
{
	struct event mine;
	struct event *ev;
	struct event_base *other;
	struct timeval tv = millis(1000);
	SECTION("finalising");
	event_assign(&mine, base, -1, EV_FINALIZE, name_cb, "mine");
	event_add(&mine, &tv);
	SAY("finalize %d\n", event_finalize(0, &mine, finalizer));
	SAY("add %d del %d\n", event_add(&mine, &tv), event_del(&mine));
	event_active(&mine, EV_READ, 1);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	ev = event_new(base, -1, EV_FINALIZE, name_cb, "heap");
	SAY("finalize %d\n", event_free_finalize(0, ev, finalizer));
	SAY("loop %d\n", event_base_loop(base, 0));
	other = event_base_new();
	ev = event_new(other, -1, EV_FINALIZE, name_cb, "left");
	event_free_finalize(0, ev, finalizer);
	event_base_free(other);
	other = event_base_new();
	event_assign(&mine, other, -1, EV_FINALIZE, name_cb, "unheard");
	event_finalize(0, &mine, finalizer);
	event_base_free_nofinalize(other);
}

static void time_cb(int fd, short what, void *arg)
{
	struct timeval one, two;
	(void)fd;
	(void)what;
	(void)arg;
	event_base_gettimeofday_cached(base, &one);
	usleep(20000);
	event_base_gettimeofday_cached(base, &two);
	SAY("still %d\n", one.tv_sec == two.tv_sec && one.tv_usec == two.tv_usec);
	SAY("update %d\n", event_base_update_cache_time(base));
	event_base_gettimeofday_cached(base, &two);
	SAY("later %d\n", evutil_timercmp(&one, &two, <));
	SAY("running %d\n", event_base_get_running_event(base) == arg);
}

static void times(void)
{
	struct timeval now, cached, monotonic;
	struct event *ev = event_new(base, -1, 0, time_cb, event_self_cbarg());
	SECTION("time");
	event_base_gettimeofday_cached(base, &cached);
	gettimeofday(&now, NULL);
	SAY("now %d\n", now.tv_sec - cached.tv_sec <= 1);
	SAY("monotonic %d %d\n", event_gettime_monotonic(base, &monotonic), event_gettime_monotonic(NULL, &monotonic));
	event_active(ev, EV_READ, 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_free(ev);
}

static void quiet(int severity, const char *text)
{
	SAY("log %d %d\n", severity, text[0] != 0);
}

int main(void)
{
	event_set_log_callback(quiet);
	base = event_base_new();
	timers();
	persist();
	edges();
	shared();
	closed();
	activation();
	priorities();
	stops();
	once();
	getters();
	event_base_free(base);
	base = event_base_new();
	counts();
	looking();
	common();
	mistakes();
	frees();
	finalising();
	times();
	event_base_free(base);
	libevent_global_shutdown();
	SAY("end\n");
	return 0;
}
