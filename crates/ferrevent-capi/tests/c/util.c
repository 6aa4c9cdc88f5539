#include "check.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static void addresses(void)
{
	static const char *const text[] = {"1.2.3.4", "1.2.3.4:80", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65535",
		"1.2.3.4:65536", "1.2.3.4:80x", "1.2.3:4", "1.2.3.4.5", "::1", "[::1]", "[::1]:443", "[::1]x",
		"[::1]:", "[::1", "::1]", "fe80::1%lo", "[fe80::1%lo]:9", "fe80::1%nothing", "fe80::1%7", "",
		":80", "[]:80", "name", "1.2.3.4:-1", "1.2.3.4: 80", "::ffff:1.2.3.4"};
	struct sockaddr_storage ss, other;
	struct sockaddr *sa = (struct sockaddr *)&ss;
	char buf[64];
	unsigned i;
	int len;
	SECTION("addresses");
	for (i = 0; i < sizeof text / sizeof *text; i++) {
		len = sizeof ss;
		memset(&ss, 0, sizeof ss);
		if (evutil_parse_sockaddr_port(text[i], sa, &len)) {
			SAY("%s: no\n", text[i]);
		} else if (sa->sa_family == AF_INET) {
			struct sockaddr_in *sin = (struct sockaddr_in *)sa;
			SAY("%s: %s %d %d\n", text[i], evutil_inet_ntop(AF_INET, &sin->sin_addr, buf, sizeof buf),
				ntohs(sin->sin_port), len);
		} else {
			struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)sa;
			SAY("%s: %s %d %d %u\n", text[i], evutil_inet_ntop(AF_INET6, &sin6->sin6_addr, buf, sizeof buf),
				ntohs(sin6->sin6_port), len, (unsigned)sin6->sin6_scope_id);
		}
	}
	/* CVE-2016-10196: what is in brackets may be longer than any address. */
	for (i = 100; i <= 100000; i *= 10) {
		char *longer = malloc(i + 8);
		memset(longer, '1', i);
		longer[0] = '[';
		strcpy(longer + i, "]:80");
		len = sizeof ss;
		SAY("%u in brackets: %d\n", i, evutil_parse_sockaddr_port(longer, sa, &len));
		longer[0] = '1';
		len = sizeof ss;
		SAY("%u before a bracket: %d\n", i, evutil_parse_sockaddr_port(longer, sa, &len));
		strcpy(longer + i, ":80");
		len = sizeof ss;
		SAY("%u and a port: %d\n", i, evutil_parse_sockaddr_port(longer, sa, &len));
		free(longer);
	}
	len = 10;
	SAY("no room %d %d\n", evutil_parse_sockaddr_port("1.2.3.4:80", sa, &len), len);
	SAY("no room %d\n", evutil_inet_ntop(AF_INET, "\1\2\3\4", buf, 4) == NULL);
	SAY("pton %d %d %d\n", evutil_inet_pton(AF_INET, "1.2.3.4", buf), evutil_inet_pton(AF_INET, "1.2.3", buf),
		evutil_inet_pton(AF_INET6, "::2", buf));
	SECTION("comparing");
	for (i = 0; i < 5; i++) {
		static const char *const a[] = {"1.2.3.4:80", "1.2.3.4:80", "1.2.3.4:80", "[::1]:9", "1.2.3.4:80"};
		static const char *const b[] = {"1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80", "[::1]:9", "[::1]:80"};
		int port, r;
		len = sizeof ss;
		evutil_parse_sockaddr_port(a[i], sa, &len);
		len = sizeof other;
		evutil_parse_sockaddr_port(b[i], (struct sockaddr *)&other, &len);
		for (port = 0; port < 2; port++) {
			r = evutil_sockaddr_cmp(sa, (struct sockaddr *)&other, port);
			SAY("%s %s %d: %d\n", a[i], b[i], port, (r > 0) - (r < 0));
		}
	}
}

static void texts(void)
{
	static const char *const text[] = {"", "a", "A", "b", "ab", "AB", "aB\xc4", "ab\xe4", "[", "{"};
	char buf[16], date[64], *end;
	unsigned i, j;
	int r;
	struct tm tm;
	SECTION("text");
	for (i = 0; i < 10; i++)
		for (j = 0; j < 10; j++) {
			r = evutil_ascii_strcasecmp(text[i], text[j]);
			SAY("%d ", (r > 0) - (r < 0));
			r = evutil_ascii_strncasecmp(text[i], text[j], 1);
			SAY("%d ", (r > 0) - (r < 0));
		}
	SAY("\nzero %d\n", evutil_ascii_strncasecmp("a", "b", 0));
	SAY("snprintf %d %s\n", evutil_snprintf(buf, sizeof buf, "%s-%d-%.2f", "x", 42, 2.5), buf);
	SAY("snprintf %d %s\n", evutil_snprintf(buf, sizeof buf, "%030d", 7), buf);
	SAY("snprintf %d\n", evutil_snprintf(buf, 0, "%s", "x"));
	SAY("snprintf %d %s\n", evutil_snprintf(buf, sizeof buf, "%d%d%d%d%d%d%d%d%g", 1, 2, 3, 4, 5, 6, 7, 8, 9.5), buf);
	SAY("strtoll %lld", (long long)evutil_strtoll("-9223372036854775808x", &end, 10));
	SAY(" %s\n", end);
	memset(&tm, 0, sizeof tm);
	tm.tm_year = 126;
	tm.tm_mon = 1;
	tm.tm_mday = 3;
	tm.tm_hour = 4;
	tm.tm_wday = 2;
	r = evutil_date_rfc1123(date, sizeof date, &tm);
	SAY("date %d %s\n", r, date);
	r = evutil_date_rfc1123(date, 10, &tm);
	SAY("date %d %s\n", r, date);
	SAY("now %d\n", evutil_date_rfc1123(date, sizeof date, NULL));
	SAY("errors %s, %s, %d\n", evutil_gai_strerror(0), evutil_gai_strerror(EVUTIL_EAI_CANCEL),
		evutil_gai_strerror(EVUTIL_EAI_NONAME)[0] != 0);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;
	getsockopt(fd, level, name, &value, &len);
	return value != 0;
}

static void sockets(void)
{
	int fds[2], tcp, tcp6;
	SECTION("sockets");
	SAY("pair %d\n", evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	SAY("nonblocking %d %d\n", evutil_make_socket_nonblocking(fds[0]), (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
	SAY("again %d\n", evutil_make_socket_nonblocking(fds[0]));
	SAY("closeonexec %d %d\n", evutil_make_socket_closeonexec(fds[0]), fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	SAY("close %d %d\n", evutil_closesocket(fds[0]), evutil_closesocket(fds[0]));
	SAY("bad %d %d\n", evutil_make_socket_nonblocking(fds[0]), EVUTIL_SOCKET_ERROR() == EBADF);
	tcp = socket(AF_INET, SOCK_STREAM, 0);
	tcp6 = socket(AF_INET6, SOCK_STREAM, 0);
	SAY("reuseable %d %d\n", evutil_make_listen_socket_reuseable(tcp), option(tcp, SOL_SOCKET, SO_REUSEADDR));
	SAY("port %d %d\n", evutil_make_listen_socket_reuseable_port(tcp), option(tcp, SOL_SOCKET, SO_REUSEPORT));
	SAY("deferred %d %d\n", evutil_make_tcp_listen_socket_deferred(tcp), option(tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT));
	if (tcp6 >= 0)
		SAY("v6only %d %d\n", evutil_make_listen_socket_ipv6only(tcp6), option(tcp6, IPPROTO_IPV6, IPV6_V6ONLY));
	close(fds[1]);
	close(tcp);
	close(tcp6);
}

static void names(void)
{
	struct evutil_addrinfo hints, *list = NULL;
	SECTION("names");
	memset(&hints, 0, sizeof hints);
	hints.ai_family = AF_INET;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = EVUTIL_AI_NUMERICHOST;
	SAY("address %d", evutil_getaddrinfo("127.0.0.1", "80", &hints, &list));
	SAY(" %d %d\n", list->ai_family == AF_INET, ntohs(((struct sockaddr_in *)list->ai_addr)->sin_port));
	evutil_freeaddrinfo(list);
	SAY("name %d\n", evutil_getaddrinfo("no number", "80", &hints, &list) != 0);
}

static void randoms(void)
{
	unsigned char one[64], two[64];
	char file[] = "/dev/urandom";
	SECTION("random bytes");
	SAY("init %d\n", evutil_secure_rng_init());
	evutil_secure_rng_get_bytes(one, sizeof one);
	evutil_secure_rng_get_bytes(two, sizeof two);
	evutil_secure_rng_add_bytes("x", 1);
	evutil_secure_rng_get_bytes(two, 0);
	SAY("differ %d file %d\n", memcmp(one, two, sizeof one) != 0, evutil_secure_rng_set_urandom_device_file(file) <= 0);
}

static void clocks(void)
{
	struct evutil_monotonic_timer *timer = evutil_monotonic_timer_new();
	struct timeval one, two, three;
	SECTION("clocks");
	SAY("configure %d\n", evutil_configure_monotonic_time(timer, EV_MONOT_PRECISE));
	SAY("get %d", evutil_gettime_monotonic(timer, &one));
	usleep(1000);
	SAY(" %d\n", evutil_gettime_monotonic(timer, &two));
	SAY("later %d\n", evutil_timercmp(&one, &two, <));
	evutil_monotonic_timer_free(timer);
	one.tv_sec = 1;
	one.tv_usec = 999999;
	two.tv_sec = 2;
	two.tv_usec = 2;
	evutil_timeradd(&one, &two, &three);
	SAY("sum %ld.%06ld\n", (long)three.tv_sec, (long)three.tv_usec);
	evutil_timersub(&two, &one, &three);
	SAY("difference %ld.%06ld %d\n", (long)three.tv_sec, (long)three.tv_usec, evutil_timerisset(&three) != 0);
	evutil_timerclear(&three);
	SAY("clear %d\n", evutil_timerisset(&three) != 0);
}

static void quiet(int severity, const char *text)
{
	(void)text;
	SAY("log %d\n", severity);
}

int main(void)
{
	event_set_log_callback(quiet);
	addresses();
	texts();
	sockets();
	names();
	randoms();
	clocks();
	return 0;
}
