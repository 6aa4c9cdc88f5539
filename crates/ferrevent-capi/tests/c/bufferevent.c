/* Bufferevents over descriptors: every callback is printed. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/buffer_compat.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_compat.h>
#include <event2/bufferevent_struct.h>
#include <event2/event_compat.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct event_base *base;
static int quiet_reads;

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
	if (!quiet_reads)
		SAY("  %s reads: %zu\n", (char *)arg, evbuffer_get_length(bufferevent_get_input(bev)));
}

static void on_write(struct bufferevent *bev, void *arg)
{
	SAY("  %s wrote: %zu left\n", (char *)arg, evbuffer_get_length(bufferevent_get_output(bev)));
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	int error = EVUTIL_SOCKET_ERROR();
	SAY("  %s:%s%s%s, enabled %x\n", (char *)arg, what_of(what), what & BEV_EVENT_ERROR ? " " : "",
		what & BEV_EVENT_ERROR ? evutil_socket_error_to_string(error) : "", bufferevent_get_enabled(bev));
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

static struct bufferevent *make(int fd, int options, const char *name)
{
	struct bufferevent *bev = bufferevent_socket_new(base, fd, options);
	bufferevent_setcb(bev, on_read, on_write, on_event, (void *)name);
	return bev;
}

static void end(struct bufferevent *bev)
{
	bufferevent_free(bev);
	turns(1);
}

static void basics(void)
{
	int fds[2];
	char out[100];
	struct bufferevent *bev;
	struct evbuffer *buf = evbuffer_new();
	bufferevent_data_cb readcb, writecb;
	bufferevent_event_cb eventcb;
	void *arg;
	size_t low = 7, high = 7;
	ssize_t got;

	SECTION("basics");
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("enabled %x, fd %d, base %d, priority %d\n", bufferevent_get_enabled(bev), bufferevent_getfd(bev) == fds[0],
		bufferevent_get_base(bev) == base, bufferevent_get_priority(bev));
	SAY("underlying %d, partner %d\n", bufferevent_get_underlying(bev) != NULL, bufferevent_pair_get_partner(bev) != NULL);
	bufferevent_getcb(bev, &readcb, &writecb, &eventcb, &arg);
	SAY("callbacks %d %d %d %s\n", readcb == on_read, writecb == on_write, eventcb == on_event, (char *)arg);
	bufferevent_getcb(bev, NULL, NULL, NULL, NULL);
	SAY("marks %d %zu %zu\n", bufferevent_getwatermark(bev, EV_READ, &low, &high), low, high);
	SAY("marks %d %d\n", bufferevent_getwatermark(bev, EV_READ | EV_WRITE, &low, &high), bufferevent_getwatermark(bev, EV_WRITE, NULL, NULL));
	SAY("input refuses %d, output refuses %d\n", evbuffer_add(bufferevent_get_input(bev), "x", 1),
		evbuffer_drain(bufferevent_get_output(bev), 1));
	SAY("flush %d\n", bufferevent_flush(bev, EV_READ | EV_WRITE, BEV_FLUSH));
	SAY("most %zd %zd %zd %zd\n", bufferevent_get_max_single_read(bev), bufferevent_get_max_single_write(bev),
		bufferevent_get_max_to_read(bev), bufferevent_get_max_to_write(bev));
	SAY("set %d %d\n", bufferevent_set_max_single_read(bev, 100), bufferevent_set_max_single_write(bev, (size_t)-1));
	SAY("most %zd %zd\n", bufferevent_get_max_single_read(bev), bufferevent_get_max_single_write(bev));
	bufferevent_set_max_single_read(bev, 0);
	turns(2);
	SAY("write %d\n", bufferevent_write(bev, "hello", 5));
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %zd\n", got);
	bufferevent_enable(bev, EV_READ);
	turns(2);
	put(fds[1], "good morning");
	turns(2);
	SAY("read %zu", bufferevent_read(bev, out, 5));
	SAY(" %.5s\n", out);
	SAY("buffer %d %zu\n", bufferevent_read_buffer(bev, buf), evbuffer_get_length(buf));
	SAY("read %zu\n", bufferevent_read(bev, out, 5));
	SAY("write %d %zu\n", bufferevent_write_buffer(bev, buf), evbuffer_get_length(buf));
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %zd\n", got);
	bufferevent_disable(bev, EV_WRITE);
	bufferevent_write(bev, "later", 5);
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %zd\n", got);
	bufferevent_enable(bev, EV_WRITE);
	turns(2);
	got = read(fds[1], out, sizeof out);
	SAY("there %zd\n", got);
	close(fds[1]);
	turns(2);
	bufferevent_write(bev, "nobody", 6);
	turns(2);
	SAY("left %zu\n", evbuffer_get_length(bufferevent_get_output(bev)));
	end(bev);
	SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
	evbuffer_free(buf);
}

static void enabling_calls_back(void)
{
	int fds[2];
	struct bufferevent *bev;
	SECTION("enabling");
	pair(fds);
	bev = make(fds[0], 0, "bev");
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	SAY("pending %x %x\n", event_pending(&bev->ev_read, EV_READ, NULL), event_pending(&bev->ev_write, EV_WRITE, NULL));
	turns(3);
	SAY("pending %x %x\n", event_pending(&bev->ev_read, EV_READ, NULL), event_pending(&bev->ev_write, EV_WRITE, NULL));
	bufferevent_disable(bev, EV_READ | EV_WRITE);
	SAY("pending %x %x\n", event_pending(&bev->ev_read, EV_READ, NULL), event_pending(&bev->ev_write, EV_WRITE, NULL));
	turns(1);
	end(bev);
	SAY("open %d\n", fcntl(fds[0], F_GETFD) >= 0);
	close(fds[0]);
	close(fds[1]);
}

static void watermarks(void)
{
	int fds[2], i;
	char out[4096];
	struct bufferevent *bev;
	SECTION("watermarks");
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_setwatermark(bev, EV_READ, 4, 10);
	bufferevent_enable(bev, EV_READ);
	for (i = 0; i < 3; i++) {
		put(fds[1], "abc");
		turns(1);
	}
	bufferevent_setcb(bev, NULL, on_write, on_event, "bev");
	put(fds[1], "defghijk");
	turns(2);
	SAY("input %zu, pending %x\n", evbuffer_get_length(bufferevent_get_input(bev)), event_pending(&bev->ev_read, EV_READ, NULL));
	SAY("read %zu\n", bufferevent_read(bev, out, 6));
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ, NULL));
	turns(2);
	SAY("input %zu\n", evbuffer_get_length(bufferevent_get_input(bev)));
	bufferevent_setwatermark(bev, EV_READ, 0, 3);
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ, NULL));
	bufferevent_setwatermark(bev, EV_READ, 0, 0);
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ, NULL));
	turns(2);
	SAY("input %zu\n", evbuffer_get_length(bufferevent_get_input(bev)));
	bufferevent_disable(bev, EV_READ);
	bufferevent_setwatermark(bev, EV_READ, 0, 100);
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ, NULL));
	bufferevent_setwatermark(bev, EV_WRITE, 1000, 0);
	memset(out, 'x', sizeof out);
	bufferevent_write(bev, out, 900);
	bufferevent_trigger(bev, EV_WRITE, 0);
	turns(2);
	bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
	bufferevent_disable(bev, EV_WRITE);
	bufferevent_write(bev, out, 900);
	bufferevent_trigger(bev, EV_WRITE, 0);
	bufferevent_trigger(bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS);
	bufferevent_trigger(bev, EV_READ | EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
	SAY("deferred\n");
	turns(1);
	end(bev);
	close(fds[1]);
}

static int again;

static void stubborn(struct bufferevent *bev, void *arg)
{
	char out[4];
	(void)arg;
	SAY("  called with %zu\n", evbuffer_get_length(bufferevent_get_input(bev)));
	if (++again == 3)
		bufferevent_read(bev, out, 4);
}

static void at_the_high_mark(void)
{
	int fds[2];
	struct bufferevent *bev;
	SECTION("a callback that leaves the input full");
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_setcb(bev, stubborn, NULL, on_event, "bev");
	bufferevent_setwatermark(bev, EV_READ, 0, 5);
	bufferevent_enable(bev, EV_READ);
	put(fds[1], "12345678");
	turns(1);
	SAY("called %d\n", again);
	turns(6);
	SAY("called %d\n", again > 2);
	end(bev);
	close(fds[1]);
}

static void large(void)
{
	static char bytes[300000], seen[300000];
	int fds[2];
	size_t got = 0, left = 0;
	unsigned i;
	struct bufferevent *bev, *other;
	SECTION("large");
	pair(fds);
	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	other = make(fds[1], BEV_OPT_CLOSE_ON_FREE, "other");
	quiet_reads = 1;
	bufferevent_setcb(bev, on_read, NULL, on_event, "bev");
	bufferevent_enable(other, EV_READ);
	turns(2);
	bufferevent_write(bev, bytes, sizeof bytes);
	for (i = 0; i < 1000 && got < sizeof bytes; i++) {
		turns(1);
		left = bufferevent_read(other, seen + got, sizeof seen - got);
		got += left;
	}
	SAY("all %d, the same %d\n", got == sizeof bytes, memcmp(bytes, seen, got) == 0);
	turns(2);
	/* To one that does not read: it waits, and comes whole. */
	bufferevent_disable(other, EV_READ);
	for (i = 0; i < 10; i++)
		bufferevent_write(bev, bytes, sizeof bytes);
	turns(50);
	left = evbuffer_get_length(bufferevent_get_output(bev));
	SAY("waits %d, for the kernel %x\n", left > 1000000, event_pending(&bev->ev_write, EV_WRITE, NULL));
	bufferevent_enable(other, EV_READ);
	for (i = 0, got = 0; i < 10000 && got < 10 * sizeof bytes; i++) {
		size_t n;
		turns(1);
		while ((n = bufferevent_read(other, seen, sizeof seen)) > 0)
			got += n;
	}
	SAY("all %d\n", got == 10 * sizeof bytes);
	quiet_reads = 0;
	end(bev);
	turns(2);
	end(other);
}

static void timeouts(void)
{
	int fds[2];
	struct timeval soon = millis(60), late = millis(10000);
	struct bufferevent *bev;
	static char bytes[100000];
	SECTION("timeouts");
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_setcb(bev, on_read, NULL, on_event, "bev");
	SAY("set %d\n", bufferevent_set_timeouts(bev, &soon, NULL));
	bufferevent_enable(bev, EV_READ);
	run_for(300);
	SAY("enabled %x\n", bufferevent_get_enabled(bev));
	/* Each byte begins it anew. */
	bufferevent_set_timeouts(bev, &late, NULL);
	bufferevent_enable(bev, EV_READ);
	put(fds[1], "x");
	turns(1);
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ | EV_TIMEOUT, NULL));
	bufferevent_set_timeouts(bev, NULL, NULL);
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ | EV_TIMEOUT, NULL));
	put(fds[1], "x");
	turns(1);
	SAY("pending %x\n", event_pending(&bev->ev_read, EV_READ | EV_TIMEOUT, NULL));
	bufferevent_disable(bev, EV_READ);
	/* One that is not read. */
	bufferevent_set_timeouts(bev, NULL, &soon);
	while (write(fds[0], bytes, sizeof bytes) > 0)
		;
	bufferevent_write(bev, bytes, sizeof bytes);
	run_for(300);
	SAY("enabled %x\n", bufferevent_get_enabled(bev));
	bufferevent_settimeout(bev, 7, 8);
	SAY("seconds %ld %ld\n", (long)bev->timeout_read.tv_sec, (long)bev->timeout_write.tv_sec);
	bufferevent_settimeout(bev, 0, 0);
	SAY("seconds %ld %ld\n", (long)bev->timeout_read.tv_sec, (long)bev->timeout_write.tv_sec);
	end(bev);
	close(fds[1]);
}

static void deferred(int options)
{
	int fds[2];
	struct bufferevent *bev;
	SECTION("deferred");
	pair(fds);
	bev = make(fds[0], options | BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_enable(bev, EV_READ);
	bufferevent_trigger(bev, EV_READ | EV_WRITE, 0);
	SAY("triggered\n");
	turns(2);
	bufferevent_trigger_event(bev, BEV_EVENT_EOF, 0);
	bufferevent_trigger_event(bev, BEV_EVENT_READING | BEV_EVENT_CONNECTED, 0);
	bufferevent_trigger(bev, EV_READ, 0);
	SAY("triggered\n");
	turns(2);
	put(fds[1], "abc");
	turns(2);
	bufferevent_write(bev, "def", 3);
	turns(2);
	close(fds[1]);
	turns(2);
	/* What was put off is not told any more. */
	bufferevent_trigger(bev, EV_READ, 0);
	end(bev);
	turns(1);
	SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
}

static void unheard(int severity, const char *text)
{
	(void)text;
	SAY("  severity %d\n", severity);
}

static void options(void)
{
	int fds[2];
	struct bufferevent *bev;
	SECTION("options");
	event_set_log_callback(unheard);
	pair(fds);
	SAY("unlock alone %d\n", bufferevent_socket_new(base, fds[0], BEV_OPT_UNLOCK_CALLBACKS) != NULL);
	bev = bufferevent_socket_new(base, fds[0], BEV_OPT_THREADSAFE);
	SAY("threadsafe %d\n", bev != NULL);
	if (bev)
		end(bev);
	event_set_log_callback(NULL);
	close(fds[0]);
	close(fds[1]);
}

static void frees_itself(struct bufferevent *bev, void *arg)
{
	SAY("  %s frees itself\n", (char *)arg);
	bufferevent_free(bev);
}

static void frees_itself_at_event(struct bufferevent *bev, short what, void *arg)
{
	SAY("  %s frees itself at%s\n", (char *)arg, what_of(what));
	bufferevent_free(bev);
}

static void ends(void)
{
	int fds[2], i;
	struct bufferevent *bev;
	SECTION("callbacks that free");
	for (i = 0; i < 4; i++) {
		pair(fds);
		bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE | (i % 2 ? BEV_OPT_DEFER_CALLBACKS : 0), "bev");
		bufferevent_setcb(bev, frees_itself, on_write, frees_itself_at_event, "bev");
		bufferevent_enable(bev, EV_READ);
		turns(2);
		if (i < 2)
			put(fds[1], "bytes");
		else
			shutdown(fds[1], SHUT_WR);
		turns(3);
		SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
		close(fds[1]);
	}
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_setcb(bev, NULL, frees_itself, NULL, "bev");
	bufferevent_write(bev, "bytes", 5);
	turns(3);
	SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
	close(fds[1]);
}

static void references(void)
{
	int fds[2];
	struct bufferevent *bev;
	SECTION("references");
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_incref(bev);
	bufferevent_lock(bev);
	bufferevent_unlock(bev);
	SAY("decref %d\n", bufferevent_decref(bev));
	bufferevent_incref(bev);
	bufferevent_free(bev);
	turns(2);
	SAY("open %d\n", fcntl(fds[0], F_GETFD) >= 0);
	SAY("decref %d\n", bufferevent_decref(bev));
	turns(2);
	SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
	close(fds[1]);
}

static void descriptors(void)
{
	int fds[2], more[2];
	struct bufferevent *bev;
	SECTION("descriptors");
	pair(fds);
	pair(more);
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("fd %d\n", bufferevent_getfd(bev));
	bufferevent_write(bev, "early", 5);
	bufferevent_enable(bev, EV_READ);
	turns(1);
	SAY("set %d\n", bufferevent_setfd(bev, fds[0]));
	turns(2);
	put(fds[1], "abc");
	turns(2);
	SAY("set %d\n", bufferevent_setfd(bev, more[0]));
	put(more[1], "defgh");
	put(fds[1], "nobody reads it");
	turns(2);
	SAY("set %d", bufferevent_setfd(bev, -1));
	SAY(", fd %d\n", bufferevent_getfd(bev));
	turns(1);
	end(bev);
	close(fds[0]);
	close(fds[1]);
	close(more[0]);
	close(more[1]);
}

static int listening(struct sockaddr_in *sin)
{
	socklen_t length = sizeof *sin;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	memset(sin, 0, sizeof *sin);
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)sin, sizeof *sin) < 0 || listen(fd, 10) < 0 ||
		getsockname(fd, (struct sockaddr *)sin, &length) < 0)
		abort();
	return fd;
}

static void connects(void)
{
	struct sockaddr_in sin;
	struct sockaddr_un sun;
	int fd = listening(&sin), other, options;
	char out[100];
	ssize_t got;
	struct bufferevent *bev;
	for (options = 0; options <= BEV_OPT_DEFER_CALLBACKS; options += BEV_OPT_DEFER_CALLBACKS) {
		SECTION("connecting");
		bev = make(-1, BEV_OPT_CLOSE_ON_FREE | options, "bev");
		bufferevent_write(bev, "hello", 5);
		bufferevent_enable(bev, EV_READ);
		SAY("connect %d\n", bufferevent_socket_connect(bev, (struct sockaddr *)&sin, sizeof sin));
		SAY("fd %d\n", bufferevent_getfd(bev) >= 0);
		run_for(50);
		other = accept(fd, NULL, NULL);
		got = read(other, out, sizeof out);
		SAY("there %zd\n", got);
		put(other, "abc");
		run_for(50);
		close(other);
		run_for(50);
		end(bev);
	}
	SECTION("connecting without writing");
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_disable(bev, EV_WRITE);
	SAY("connect %d\n", bufferevent_socket_connect(bev, (struct sockaddr *)&sin, sizeof sin));
	run_for(50);
	SAY("pending %x\n", event_pending(&bev->ev_write, EV_WRITE, NULL));
	end(bev);
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("connect %d\n", bufferevent_socket_connect(bev, (struct sockaddr *)&sin, sizeof sin));
	bufferevent_disable(bev, EV_WRITE);
	run_for(50);
	SAY("pending %x\n", event_pending(&bev->ev_write, EV_WRITE, NULL));
	end(bev);
	SECTION("a name");
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("connect %d\n", bufferevent_socket_connect_hostname(bev, NULL, AF_INET, "127.0.0.1", ntohs(sin.sin_port)));
	run_for(50);
	SAY("error %d\n", bufferevent_socket_get_dns_error(bev));
	end(bev);
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("port %d, family %d\n", bufferevent_socket_connect_hostname(bev, NULL, AF_INET, "127.0.0.1", 0),
		bufferevent_socket_connect_hostname(bev, NULL, AF_UNIX, "127.0.0.1", 1));
	SAY("no address %d\n", bufferevent_socket_connect(bev, NULL, 0));
	end(bev);
	SECTION("refused");
	close(fd);
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_enable(bev, EV_READ);
	SAY("connect %d\n", bufferevent_socket_connect(bev, (struct sockaddr *)&sin, sizeof sin));
	run_for(50);
	end(bev);
	SECTION("a unix socket");
	memset(&sun, 0, sizeof sun);
	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path + 1, sizeof sun.sun_path - 1, "ferrevent-%d", (int)getpid());
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("nobody there %d\n", bufferevent_socket_connect(bev, (struct sockaddr *)&sun, sizeof sun));
	run_for(50);
	end(bev);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&sun, sizeof sun) < 0 || listen(fd, 5) < 0)
		abort();
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("connect %d\n", bufferevent_socket_connect(bev, (struct sockaddr *)&sun, sizeof sun));
	SAY("connected\n");
	run_for(50);
	bufferevent_write(bev, "x", 1);
	run_for(50);
	end(bev);
	close(fd);
	SECTION("connecting already");
	fd = listening(&sin);
	other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(other, (struct sockaddr *)&sin, sizeof sin) < 0 && errno != EINPROGRESS)
		abort();
	bev = make(other, BEV_OPT_CLOSE_ON_FREE, "bev");
	SAY("connect %d\n", bufferevent_socket_connect(bev, NULL, 0));
	run_for(50);
	end(bev);
	close(fd);
}

static void resets(void)
{
	struct sockaddr_in sin;
	struct linger now = { 1, 0 };
	int fd = listening(&sin), other;
	struct bufferevent *bev;
	SECTION("a reset");
	bev = make(-1, BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_enable(bev, EV_READ);
	bufferevent_socket_connect(bev, (struct sockaddr *)&sin, sizeof sin);
	run_for(50);
	other = accept(fd, NULL, NULL);
	setsockopt(other, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(other);
	run_for(50);
	end(bev);
	close(fd);
}

static void pipes(void)
{
	int fds[2];
	struct bufferevent *in, *out;
	SECTION("pipes");
	if (pipe(fds) < 0)
		abort();
	evutil_make_socket_nonblocking(fds[0]);
	/* The other end blocks: it is only written to when the kernel says so. */
	in = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "in");
	out = make(fds[1], BEV_OPT_CLOSE_ON_FREE, "out");
	bufferevent_enable(in, EV_READ);
	bufferevent_write(out, "through", 7);
	turns(3);
	end(out);
	turns(3);
	end(in);
}

static void before_2(void)
{
	int fds[2];
	struct event_base *first = event_init(), *second = event_base_new();
	struct bufferevent *bev;
	SECTION("before libevent 2");
	pair(fds);
	bev = bufferevent_new(fds[0], on_read, on_write, on_event, "old");
	SAY("base %d\n", bufferevent_get_base(bev) == NULL);
	SAY("set %d %d\n", bufferevent_base_set(second, bev), bufferevent_get_base(bev) == second);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	SAY("set %d\n", bufferevent_base_set(first, bev));
	put(fds[1], "abc");
	event_base_loop(second, EVLOOP_NONBLOCK);
	SAY("priority %d %d %d\n", bufferevent_priority_set(bev, 0), bufferevent_priority_set(bev, 1), bufferevent_get_priority(bev));
	SAY("length %zu\n", EVBUFFER_LENGTH(EVBUFFER_INPUT(bev)));
	bufferevent_base_set(second, bev);
	bufferevent_free(bev);
	event_base_loop(second, EVLOOP_NONBLOCK);
	event_base_free(second);
	event_base_free(first);
	close(fds[0]);
	close(fds[1]);
}

/* Freed, and its base before the loop has run again. */
static void late(void)
{
	int fds[2];
	struct event_base *own = event_base_new();
	struct bufferevent *bev;
	SECTION("its base ends");
	pair(fds);
	bev = bufferevent_socket_new(own, fds[0], BEV_OPT_CLOSE_ON_FREE);
	bufferevent_enable(bev, EV_READ);
	bufferevent_free(bev);
	event_base_free(own);
	SAY("closed %d\n", fcntl(fds[0], F_GETFD) < 0);
	close(fds[1]);
}

static int echoed;

static void echo(struct bufferevent *bev, void *arg)
{
	(void)arg;
	echoed += (int)evbuffer_get_length(bufferevent_get_input(bev));
	bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void echoes(void)
{
	int fds[2], i;
	char text[100];
	struct bufferevent *bev;
	SECTION("echo");
	pair(fds);
	bev = make(fds[0], BEV_OPT_CLOSE_ON_FREE, "bev");
	bufferevent_setcb(bev, echo, NULL, on_event, NULL);
	bufferevent_enable(bev, EV_READ);
	for (i = 0; i < 5; i++) {
		ssize_t got;
		put(fds[1], "message");
		turns(2);
		got = read(fds[1], text, sizeof text);
		SAY("%zd\n", got);
	}
	SAY("echoed %d\n", echoed);
	end(bev);
	close(fds[1]);
}

static void more(struct bufferevent *bev, void *arg)
{
	(void)arg;
	bufferevent_write(bev, "more", 4);
}

/* There is always more to write, and always room for it. */
static void endless(void)
{
	struct timeval tv = millis(50);
	int fd = open("/dev/null", O_WRONLY | O_NONBLOCK);
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, NULL, more, on_event, "bev");
	bufferevent_write(bev, "much", 4);
	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	end(bev);
	SAY("others had their turn\n");
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "threads") == 0)
		evthread_use_pthreads();
	base = event_base_new();
	if (argc > 1 && strcmp(argv[1], "endless") == 0) {
		endless();
		event_base_free(base);
		return 0;
	}
	basics();
	enabling_calls_back();
	watermarks();
	at_the_high_mark();
	large();
	timeouts();
	deferred(BEV_OPT_DEFER_CALLBACKS);
	deferred(BEV_OPT_DEFER_CALLBACKS | BEV_OPT_UNLOCK_CALLBACKS);
	if (argc > 1)
		deferred(BEV_OPT_DEFER_CALLBACKS | BEV_OPT_UNLOCK_CALLBACKS | BEV_OPT_THREADSAFE);
	options();
	ends();
	references();
	descriptors();
	connects();
	resets();
	pipes();
	before_2();
	late();
	echoes();
	event_base_free(base);
	return 0;
}
