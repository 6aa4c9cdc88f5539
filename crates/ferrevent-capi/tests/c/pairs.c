/* Bufferevents that are over each other, and filters over those. */
#include "check.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <event2/thread.h>

static struct event_base *base;

static const char *what_of(short what)
{
	static char text[100];
	snprintf(text, sizeof text, "%s%s%s%s%s%s", what & BEV_EVENT_READING ? " reading" : "",
		what & BEV_EVENT_WRITING ? " writing" : "", what & BEV_EVENT_EOF ? " eof" : "",
		what & BEV_EVENT_ERROR ? " error" : "", what & BEV_EVENT_TIMEOUT ? " timeout" : "",
		what & BEV_EVENT_CONNECTED ? " connected" : "");
	return text;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	static int full;
	char out[4];
	size_t high, length = evbuffer_get_length(bufferevent_get_input(bev));
	SAY("  %s reads: %zu\n", (char *)arg, length);
	bufferevent_getwatermark(bev, EV_READ, NULL, &high);
	/* It is called until there is room again. */
	if (high && length >= high && ++full % 3 == 0)
		bufferevent_read(bev, out, sizeof out);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	SAY("  %s wrote: %zu left\n", (char *)arg, evbuffer_get_length(bufferevent_get_output(bev)));
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	SAY("  %s:%s, enabled %x\n", (char *)arg, what_of(what), bufferevent_get_enabled(bev));
}

static void turns(int n)
{
	while (n-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void run_for(long ms)
{
	struct timeval tv = millis(ms);
	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
	/* On a machine that has been busy, what is ready only now. */
	turns(5);
}

static void lengths(const char *when, struct bufferevent *one, struct bufferevent *other)
{
	SAY("%s: %zu %zu, %zu %zu\n", when, evbuffer_get_length(bufferevent_get_input(one)),
		evbuffer_get_length(bufferevent_get_output(one)), evbuffer_get_length(bufferevent_get_input(other)),
		evbuffer_get_length(bufferevent_get_output(other)));
}

static void make(struct bufferevent *pair[2], int options)
{
	if (bufferevent_pair_new(base, options, pair) < 0)
		abort();
	bufferevent_setcb(pair[0], on_read, on_write, on_event, "one");
	bufferevent_setcb(pair[1], on_read, on_write, on_event, "other");
}

static void pairs(int options)
{
	struct bufferevent *pair[2], *again[2];
	struct timeval soon = millis(60);
	char out[100];
	SECTION("pairs");
	make(pair, options);
	SAY("partners %d %d, fd %d, underlying %d\n", bufferevent_pair_get_partner(pair[0]) == pair[1],
		bufferevent_pair_get_partner(pair[1]) == pair[0], bufferevent_getfd(pair[0]), bufferevent_get_underlying(pair[0]) != NULL);
	SAY("setfd %d, priority %d %d, base %d\n", bufferevent_setfd(pair[0], 0), bufferevent_priority_set(pair[0], 0),
		bufferevent_get_priority(pair[0]), bufferevent_base_set(base, pair[0]));
	SAY("enabled %x, refuses %d %d\n", bufferevent_get_enabled(pair[0]), evbuffer_add(bufferevent_get_input(pair[0]), "x", 1),
		evbuffer_drain(bufferevent_get_output(pair[0]), 1));
	bufferevent_write(pair[0], "hello", 5);
	turns(1);
	lengths("nobody reads", pair[0], pair[1]);
	bufferevent_enable(pair[1], EV_READ);
	lengths("read", pair[0], pair[1]);
	turns(1);
	bufferevent_write(pair[0], "again", 5);
	lengths("at once", pair[0], pair[1]);
	turns(1);
	bufferevent_setwatermark(pair[1], EV_READ, 3, 12);
	bufferevent_write(pair[0], "more than fits", 14);
	lengths("high mark", pair[0], pair[1]);
	turns(3);
	bufferevent_read(pair[1], out, 11);
	lengths("taken", pair[0], pair[1]);
	turns(3);
	bufferevent_read(pair[1], out, 100);
	lengths("taken", pair[0], pair[1]);
	turns(3);
	bufferevent_disable(pair[0], EV_WRITE);
	bufferevent_write(pair[0], "waits", 5);
	lengths("disabled", pair[0], pair[1]);
	turns(1);
	SAY("flush %d\n", bufferevent_flush(pair[0], EV_WRITE, BEV_NORMAL));
	lengths("normal", pair[0], pair[1]);
	SAY("flush %d\n", bufferevent_flush(pair[0], EV_WRITE, BEV_FLUSH));
	lengths("flushed", pair[0], pair[1]);
	bufferevent_enable(pair[0], EV_WRITE);
	bufferevent_write(pair[1], "back", 4);
	SAY("flush %d\n", bufferevent_flush(pair[0], EV_READ | EV_WRITE, BEV_FINISHED));
	lengths("finished", pair[0], pair[1]);
	turns(2);
	bufferevent_set_timeouts(pair[1], &soon, NULL);
	SAY("pending %x\n", event_pending(&pair[1]->ev_read, EV_TIMEOUT, NULL));
	run_for(200);
	bufferevent_set_timeouts(pair[0], NULL, &soon);
	bufferevent_write(pair[0], "x", 1);
	SAY("pending %x\n", event_pending(&pair[0]->ev_write, EV_TIMEOUT, NULL));
	bufferevent_set_timeouts(pair[0], NULL, &soon);
	SAY("pending %x\n", event_pending(&pair[0]->ev_write, EV_TIMEOUT, NULL));
	run_for(200);
	bufferevent_free(pair[0]);
	SAY("partner %d\n", bufferevent_pair_get_partner(pair[1]) != NULL);
	bufferevent_write(pair[1], "nobody", 6);
	SAY("flush %d\n", bufferevent_flush(pair[1], EV_WRITE, BEV_FLUSH));
	turns(2);
	bufferevent_free(pair[1]);
	turns(2);
	make(again, options);
	bufferevent_enable(again[0], EV_READ);
	bufferevent_enable(again[1], EV_READ);
	bufferevent_write(again[0], "one", 3);
	bufferevent_write(again[1], "other", 5);
	bufferevent_free(again[1]);
	turns(2);
	bufferevent_free(again[0]);
	turns(1);
}

struct state {
	const char *name;
	int step;
	int calls;
};

/* Adds a number to each byte; a few at a time. */
static enum bufferevent_filter_result shift(struct evbuffer *src, struct evbuffer *dst, ev_ssize_t limit, enum bufferevent_flush_mode mode, void *arg)
{
	struct state *state = arg;
	unsigned char bytes[8];
	int n, i;
	SAY("  %s: %zu, limit %zd, mode %d\n", state->name, evbuffer_get_length(src), limit, mode);
	state->calls++;
	n = (int)sizeof bytes;
	if (limit >= 0 && limit < n)
		n = (int)limit;
	n = evbuffer_remove(src, bytes, n);
	if (n <= 0)
		return BEV_NEED_MORE;
	for (i = 0; i < n; i++)
		bytes[i] = (unsigned char)(bytes[i] + state->step);
	evbuffer_add(dst, bytes, n);
	return BEV_OK;
}

static enum bufferevent_filter_result unshift(struct evbuffer *src, struct evbuffer *dst, ev_ssize_t limit, enum bufferevent_flush_mode mode, void *arg)
{
	struct state *state = arg, back = { "unshift", -state->step, 0 };
	return shift(src, dst, limit, mode, &back);
}

static void gone(void *arg)
{
	SAY("  context of %s goes\n", ((struct state *)arg)->name);
}

static void filters(int options)
{
	int fds[2];
	char out[100];
	struct state state = { "shift", 1, 0 };
	struct bufferevent *below, *filter;
	ssize_t got;
	SECTION("filters");
	pair(fds);
	below = bufferevent_socket_new(base, fds[0], options | BEV_OPT_CLOSE_ON_FREE);
	filter = bufferevent_filter_new(below, unshift, shift, options | BEV_OPT_CLOSE_ON_FREE, gone, &state);
	bufferevent_setcb(filter, on_read, on_write, on_event, "filter");
	SAY("underlying %d, fd %d, enabled %x %x, priority %d\n", bufferevent_get_underlying(filter) == below, bufferevent_getfd(filter) == fds[0],
		bufferevent_get_enabled(filter), bufferevent_get_enabled(below), bufferevent_priority_set(filter, 0));
	SAY("partner %d, setfd %d\n", bufferevent_pair_get_partner(filter) != NULL, bufferevent_setfd(filter, fds[0]));
	bufferevent_write(filter, "HAL to Dave, over", 17);
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %.*s\n", (int)got, out);
	put(fds[1], "IBM");
	turns(2);
	SAY("nobody reads %zu %zu\n", evbuffer_get_length(bufferevent_get_input(below)), evbuffer_get_length(bufferevent_get_input(filter)));
	bufferevent_enable(filter, EV_READ);
	turns(2);
	got = (ssize_t)bufferevent_read(filter, out, sizeof out);
	SAY("here %.*s\n", (int)got, out);
	SECTION("marks of filters");
	bufferevent_setwatermark(filter, EV_READ, 0, 10);
	bufferevent_setcb(filter, NULL, on_write, on_event, "filter");
	put(fds[1], "a long text that does not fit at once");
	turns(1);
	SAY("below %zu, here %zu\n", evbuffer_get_length(bufferevent_get_input(below)), evbuffer_get_length(bufferevent_get_input(filter)));
	bufferevent_setcb(filter, on_read, on_write, on_event, "filter");
	bufferevent_setwatermark(below, EV_WRITE, 0, 12);
	bufferevent_disable(below, EV_WRITE);
	bufferevent_write(filter, "a long text that does not fit at once", 37);
	SAY("here %zu, below %zu\n", evbuffer_get_length(bufferevent_get_output(filter)), evbuffer_get_length(bufferevent_get_output(below)));
	bufferevent_enable(below, EV_WRITE);
	turns(6);
	got = read(fds[1], out, sizeof out);
	SAY("there %.*s\n", (int)got, out);
	SECTION("flushes of filters");
	bufferevent_disable(filter, EV_WRITE);
	bufferevent_write(filter, "flush", 5);
	turns(1);
	SAY("normal %d\n", bufferevent_flush(filter, EV_WRITE, BEV_NORMAL));
	SAY("flush %d\n", bufferevent_flush(filter, EV_WRITE, BEV_FLUSH));
	SAY("finish %d\n", bufferevent_flush(filter, EV_READ | EV_WRITE, BEV_FINISHED));
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %.*s\n", (int)got, out);
	close(fds[1]);
	turns(3);
	bufferevent_free(filter);
	turns(3);
	SAY("closed %d, calls %d\n", fcntl(fds[0], F_GETFD) < 0, state.calls);
}

static void plain_filters(void)
{
	int fds[2];
	char out[100];
	ssize_t got;
	struct bufferevent *below, *filter;
	SECTION("filters that change nothing");
	pair(fds);
	below = bufferevent_socket_new(base, fds[0], BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(below, on_read, on_write, on_event, "below");
	filter = bufferevent_filter_new(below, NULL, NULL, 0, NULL, NULL);
	SAY("none below %d\n", bufferevent_filter_new(NULL, NULL, NULL, 0, NULL, NULL) != NULL);
	bufferevent_setcb(filter, on_read, on_write, on_event, "filter");
	bufferevent_enable(filter, EV_READ);
	bufferevent_write(filter, "plain", 5);
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %zd\n", got);
	put(fds[1], "text");
	turns(2);
	bufferevent_disable(filter, EV_READ);
	SAY("pending %x\n", event_pending(&below->ev_read, EV_READ, NULL));
	bufferevent_enable(filter, EV_READ);
	SAY("pending %x\n", event_pending(&below->ev_read, EV_READ, NULL));
	/* What is below outlives it. */
	bufferevent_free(filter);
	turns(2);
	bufferevent_setcb(below, on_read, on_write, on_event, "below");
	bufferevent_write(below, "alone", 5);
	put(fds[1], "alone");
	turns(2);
	bufferevent_free(below);
	turns(2);
	SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
	close(fds[1]);
}

/* One that never read, and what is below it afterwards. */
static void unread_filter(void)
{
	int fds[2];
	struct bufferevent *below, *filter;
	SECTION("a filter that never read");
	pair(fds);
	below = bufferevent_socket_new(base, fds[0], BEV_OPT_CLOSE_ON_FREE);
	filter = bufferevent_filter_new(below, NULL, NULL, 0, NULL, NULL);
	SAY("pending %x\n", event_pending(&below->ev_read, EV_READ, NULL));
	bufferevent_free(filter);
	SAY("pending %x\n", event_pending(&below->ev_read, EV_READ, NULL));
	bufferevent_setcb(below, on_read, on_write, on_event, "below");
	put(fds[1], "alone");
	turns(3);
	bufferevent_free(below);
	turns(2);
	close(fds[1]);
}

static void cleanup(const void *data, size_t length, void *arg)
{
	(void)data;
	SAY("  %s: %zu bytes\n", (char *)arg, length);
}

/* Foreign memory on its way through bufferevents. */
static void memory(int options)
{
	static char bytes[5000];
	struct bufferevent *two[2];
	int fds[2];
	char out[5000];
	size_t got;
	ssize_t there;
	SECTION("foreign memory");
	make(two, options);
	SAY("input %d\n", evbuffer_add_reference(bufferevent_get_input(two[0]), bytes, sizeof bytes, cleanup, "input"));
	bufferevent_enable(two[1], EV_READ);
	SAY("output %d\n", evbuffer_add_reference(bufferevent_get_output(two[0]), bytes, sizeof bytes, cleanup, "output"));
	lengths("added", two[0], two[1]);
	turns(1);
	got = bufferevent_read(two[1], out, sizeof out);
	SAY("read %zu\n", got);
	bufferevent_free(two[1]);
	turns(1);
	SAY("alone %d\n", evbuffer_add_reference(bufferevent_get_output(two[0]), bytes, sizeof bytes, cleanup, "alone"));
	bufferevent_free(two[0]);
	turns(1);
	pair(fds);
	two[0] = bufferevent_socket_new(base, fds[0], options | BEV_OPT_CLOSE_ON_FREE);
	SAY("socket %d\n", evbuffer_add_reference(bufferevent_get_output(two[0]), bytes, sizeof bytes, cleanup, "socket"));
	turns(2);
	there = read(fds[1], out, sizeof out);
	SAY("there %zd\n", there);
	bufferevent_free(two[0]);
	turns(1);
	close(fds[1]);
}

static void frees_itself(struct bufferevent *bev, void *arg)
{
	SAY("  %s frees itself\n", (char *)arg);
	bufferevent_free(bev);
}

static void over_pairs(int options)
{
	struct bufferevent *two[2], *one, *other;
	struct state state = { "shift", 1, 0 };
	char out[100];
	size_t got;
	SECTION("filters over pairs");
	if (bufferevent_pair_new(base, options, two) < 0)
		abort();
	one = bufferevent_filter_new(two[0], unshift, shift, BEV_OPT_CLOSE_ON_FREE | options, NULL, &state);
	other = bufferevent_filter_new(two[1], unshift, shift, BEV_OPT_CLOSE_ON_FREE | options, NULL, &state);
	bufferevent_setcb(one, on_read, on_write, on_event, "one");
	bufferevent_setcb(other, on_read, on_write, on_event, "other");
	bufferevent_enable(one, EV_READ);
	bufferevent_enable(other, EV_READ);
	bufferevent_write(one, "across", 6);
	turns(3);
	got = bufferevent_read(other, out, sizeof out);
	SAY("other %.*s\n", (int)got, out);
	bufferevent_setcb(one, frees_itself, on_write, on_event, "one");
	bufferevent_write(other, "back", 4);
	turns(3);
	bufferevent_free(other);
	turns(3);
}

int main(int argc, char **argv)
{
	int options = 0;
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "threads") == 0) {
		evthread_use_pthreads();
		options = BEV_OPT_THREADSAFE;
	}
	base = event_base_new();
	pairs(options);
	filters(options);
	filters(options | BEV_OPT_DEFER_CALLBACKS);
	plain_filters();
	unread_filter();
	over_pairs(options);
	memory(options);
	event_base_free(base);
	return 0;
}
