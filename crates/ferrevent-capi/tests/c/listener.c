/* Listeners. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct event_base *base;
static int taken, mode;

static void turns(int n)
{
	while (n-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void on_error(struct evconnlistener *lev, void *arg)
{
	int error = EVUTIL_SOCKET_ERROR();
	(void)lev;
	SAY("  %s: %s\n", (char *)arg, evutil_socket_error_to_string(error));
	evconnlistener_disable(lev);
}

static void on_accept(struct evconnlistener *lev, evutil_socket_t fd, struct sockaddr *addr, int length, void *arg)
{
	taken++;
	SAY("  %s: family %d, length %d, nonblocking %d, cloexec %d\n", (char *)arg, addr->sa_family, length,
		(fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(fd);
	if (mode == 1)
		evconnlistener_disable(lev);
	if (mode == 2)
		evconnlistener_free(lev);
	if (mode == 3)
		evconnlistener_set_cb(lev, NULL, NULL);
}

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof value;
	if (getsockopt(fd, level, name, &value, &length) < 0)
		return -1;
	return value != 0;
}

static struct sockaddr_in address_of(struct evconnlistener *lev)
{
	struct sockaddr_in sin;
	socklen_t length = sizeof sin;
	if (getsockname(evconnlistener_get_fd(lev), (struct sockaddr *)&sin, &length) < 0)
		abort();
	return sin;
}

static int connect_to(struct evconnlistener *lev)
{
	struct sockaddr_in sin = address_of(lev);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof sin) < 0)
		abort();
	return fd;
}

static struct evconnlistener *make(unsigned flags)
{
	struct sockaddr_in sin;
	struct evconnlistener *lev;
	memset(&sin, 0, sizeof sin);
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	lev = evconnlistener_new_bind(base, on_accept, "listener", flags, -1, (struct sockaddr *)&sin, sizeof sin);
	if (!lev)
		abort();
	return lev;
}

static void flags(void)
{
	static const unsigned all[] = { 0, LEV_OPT_LEAVE_SOCKETS_BLOCKING, LEV_OPT_CLOSE_ON_EXEC, LEV_OPT_REUSEABLE, LEV_OPT_REUSEABLE_PORT,
		LEV_OPT_DEFERRED_ACCEPT, LEV_OPT_DISABLED };
	unsigned i;
	SECTION("flags");
	for (i = 0; i < sizeof all / sizeof *all; i++) {
		struct evconnlistener *lev = make(all[i] | LEV_OPT_CLOSE_ON_FREE);
		int fd = evconnlistener_get_fd(lev), to;
		SAY("%x: reuse %d, port %d, deferred %d, keepalive %d, cloexec %d, nonblocking %d, base %d\n", all[i],
			option(fd, SOL_SOCKET, SO_REUSEADDR), option(fd, SOL_SOCKET, SO_REUSEPORT), option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT),
			option(fd, SOL_SOCKET, SO_KEEPALIVE), (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0,
			evconnlistener_get_base(lev) == base);
		to = connect_to(lev);
		if (all[i] & LEV_OPT_DEFERRED_ACCEPT)
			put(to, "x");
		turns(2);
		if (all[i] & LEV_OPT_DISABLED) {
			SAY("enable %d\n", evconnlistener_enable(lev));
			turns(2);
		}
		evconnlistener_free(lev);
		SAY("closed %d\n", fcntl(fd, F_GETFD) < 0);
		close(to);
	}
}

static void changes(void)
{
	struct evconnlistener *lev = make(LEV_OPT_CLOSE_ON_FREE);
	int to[4], i;
	SECTION("changes");
	for (i = 0; i < 3; i++)
		to[i] = connect_to(lev);
	mode = 1;
	turns(3);
	SAY("taken %d\n", taken);
	SAY("enable %d\n", evconnlistener_enable(lev));
	mode = 3;
	turns(1);
	mode = 0;
	evconnlistener_set_cb(lev, on_accept, "another");
	turns(2);
	to[3] = connect_to(lev);
	evconnlistener_set_cb(lev, on_accept, "last");
	turns(2);
	SAY("disable %d\n", evconnlistener_disable(lev));
	SAY("disable %d\n", evconnlistener_disable(lev));
	SAY("enable %d %d\n", evconnlistener_enable(lev), evconnlistener_enable(lev));
	mode = 2;
	close(to[3]);
	to[3] = connect_to(lev);
	turns(2);
	mode = 0;
	for (i = 0; i < 4; i++)
		close(to[i]);
}

static void refused(void)
{
	struct sockaddr_in sin;
	struct evconnlistener *lev = make(LEV_OPT_CLOSE_ON_FREE), *again;
	SECTION("refused");
	sin = address_of(lev);
	again = evconnlistener_new_bind(base, on_accept, "again", LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&sin, sizeof sin);
	SAY("again %d: %s\n", again != NULL, evutil_socket_error_to_string(errno));
	SAY("no backlog %d\n", evconnlistener_new_bind(base, on_accept, "", 0, 0, (struct sockaddr *)&sin, sizeof sin) != NULL);
	SAY("not a socket %d\n", evconnlistener_new(base, on_accept, "", 0, 5, 0) != NULL);
	evconnlistener_free(lev);
	lev = evconnlistener_new_bind(base, on_accept, "again", LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 5, (struct sockaddr *)&sin, sizeof sin);
	SAY("now %d\n", lev != NULL);
	evconnlistener_free(lev);
}

static void others(void)
{
	struct sockaddr_un sun;
	struct sockaddr_in6 sin6;
	struct evconnlistener *lev;
	int fd, to;
	SECTION("other families");
	memset(&sun, 0, sizeof sun);
	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path + 1, sizeof sun.sun_path - 1, "ferrevent-listener-%d", (int)getpid());
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(fd, (struct sockaddr *)&sun, sizeof sun) < 0 || listen(fd, 5) < 0)
		abort();
	/* It listens already, and has no callback yet. */
	lev = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	to = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(to, (struct sockaddr *)&sun, sizeof sun) < 0)
		abort();
	turns(2);
	evconnlistener_set_cb(lev, on_accept, "unix");
	turns(2);
	evconnlistener_free(lev);
	SAY("open %d\n", fcntl(fd, F_GETFD) >= 0);
	close(fd);
	close(to);
	memset(&sin6, 0, sizeof sin6);
	sin6.sin6_family = AF_INET6;
	lev = evconnlistener_new_bind(base, on_accept, "v6", LEV_OPT_CLOSE_ON_FREE | LEV_OPT_BIND_IPV6ONLY, -1, (struct sockaddr *)&sin6, sizeof sin6);
	if (lev) {
		SAY("only %d\n", option(evconnlistener_get_fd(lev), IPPROTO_IPV6, IPV6_V6ONLY));
		evconnlistener_free(lev);
	} else {
		SAY("only 1\n");
	}
}

static void no_descriptors(void)
{
	struct evconnlistener *lev = make(LEV_OPT_CLOSE_ON_FREE);
	struct rlimit limit, none;
	int to = connect_to(lev), spare = dup(0);
	SECTION("no descriptors");
	evconnlistener_set_error_cb(lev, on_error);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = spare;
	close(spare);
	setrlimit(RLIMIT_NOFILE, &none);
	turns(2);
	setrlimit(RLIMIT_NOFILE, &limit);
	evconnlistener_enable(lev);
	turns(2);
	evconnlistener_free(lev);
	close(to);
}

static int warnings;

static void warned(int severity, const char *text)
{
	(void)severity;
	(void)text;
	warnings++;
}

static void run_for(long ms)
{
	struct timeval tv = millis(ms);
	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* Nobody is told but the log, and the processor has better things to do. */
static void starved(void)
{
	struct evconnlistener *lev = make(LEV_OPT_CLOSE_ON_FREE);
	struct rlimit limit, none;
	int to = connect_to(lev), spare = dup(0), fd = evconnlistener_get_fd(lev);
	event_set_log_callback(warned);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = spare;
	close(spare);
	setrlimit(RLIMIT_NOFILE, &none);
	run_for(450);
	SAY("warnings %d, taken %d, fd %d\n", warnings > 0 && warnings < 10, taken, evconnlistener_get_fd(lev) == fd);
	setrlimit(RLIMIT_NOFILE, &limit);
	run_for(500);
	SAY("taken %d\n", taken);
	setrlimit(RLIMIT_NOFILE, &none);
	close(to);
	to = connect_to(lev);
	run_for(50);
	evconnlistener_free(lev);
	SAY("closed %d\n", fcntl(fd, F_GETFD) < 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(to);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "threads") == 0)
		evthread_use_pthreads();
	base = event_base_new();
	if (argc > 1 && strcmp(argv[1], "starved") == 0) {
		starved();
		event_base_free(base);
		return 0;
	}
	flags();
	changes();
	refused();
	others();
	no_descriptors();
	event_base_free(base);
	return 0;
}
