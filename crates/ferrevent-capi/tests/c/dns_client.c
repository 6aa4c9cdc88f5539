/* The resolver, with a server of this program to ask, or another. */
#include "dns.h"

#include <event2/bufferevent.h>
#include <event2/dns_compat.h>
#include <event2/event_compat.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <pthread.h>

static struct evdns_base *dns;
static struct evdns_server_port *port;
static struct evdns_server_request *silent[64];
static int nsilent, open_questions, shows_questions;
static char server_text[64];

static void on_request(struct evdns_server_request *req, void *arg)
{
	const char *name = req->questions[0]->name;
	int type = req->questions[0]->type, code = DNS_ERR_NONE, i;
	struct in_addr four;
	struct in6_addr six;
	(void)arg;
	if (shows_questions)
		SAY("  asked for %s, %d\n", name, type);
	if (strncmp(name, "silent", 6) == 0) {
		silent[nsilent++] = req;
		return;
	}
	four.s_addr = htonl(0xc0000200);
	evutil_inet_pton(AF_INET6, "2001:db8::7", &six);
	if (is(req, "one.test") || is(req, "both.test") || is(req, "one.second.test")) {
		if (type == EVDNS_TYPE_A)
			evdns_server_request_add_a_reply(req, name, 1, &four, 60);
		else if (type == EVDNS_TYPE_AAAA && is(req, "both.test"))
			evdns_server_request_add_aaaa_reply(req, name, 1, &six, 61);
	} else if (is(req, "six.test")) {
		if (type == EVDNS_TYPE_AAAA)
			evdns_server_request_add_aaaa_reply(req, name, 1, &six, 62);
	} else if (is(req, "many.test")) {
		for (i = 0; i < 5 && type == EVDNS_TYPE_A; i++) {
			four.s_addr = htonl(0xc0000201 + i);
			evdns_server_request_add_a_reply(req, name, 1, &four, 100 - i);
		}
	} else if (is(req, "loopback.test")) {
		four.s_addr = htonl(INADDR_LOOPBACK);
		if (type == EVDNS_TYPE_A)
			evdns_server_request_add_a_reply(req, name, 1, &four, 60);
	} else if (is(req, "alias.test")) {
		evdns_server_request_add_cname_reply(req, name, "one.test", 60);
		if (type == EVDNS_TYPE_A)
			evdns_server_request_add_a_reply(req, "one.test", 1, &four, 60);
	} else if (is(req, "7.2.0.192.in-addr.arpa") ||
			is(req, "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")) {
		evdns_server_request_add_ptr_reply(req, NULL, name, "seven.test", 63);
	} else if (is(req, "refused.test")) {
		code = DNS_ERR_REFUSED;
	} else if (is(req, "failed.test")) {
		code = DNS_ERR_SERVERFAILED;
	} else if (is(req, "nodata.test")) {
		code = DNS_ERR_NONE;
	} else {
		code = DNS_ERR_NOTEXIST;
	}
	if (evdns_server_request_respond(req, code) < 0)
		abort();
}

static void on_guard(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	SAY("  stands still, %d open\n", open_questions);
	exit(1);
}

/* Until every question is answered. */
static void run(void)
{
	struct timeval tv = millis(60000);
	struct event *guard = event_new(base, -1, 0, on_guard, NULL);
	event_add(guard, &tv);
	while (open_questions > 0)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(guard);
}

static void on_answer(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	char text[64];
	int i;
	open_questions--;
	SAY("  %s: %d type %d, %d", (char *)arg, result, type, count);
	if (result == DNS_ERR_NONE)
		SAY(" for %d:", ttl);
	for (i = 0; i < count; i++) {
		if (type == DNS_PTR)
			SAY(" %s", ((char **)addresses)[i]);
		else if (type == DNS_IPv4_A)
			SAY(" %s", evutil_inet_ntop(AF_INET, (struct in_addr *)addresses + i, text, sizeof text));
		else
			SAY(" %s", evutil_inet_ntop(AF_INET6, (struct in6_addr *)addresses + i, text, sizeof text));
	}
	SAY("\n");
}

static struct evdns_request *ask4(const char *name, int flags)
{
	struct evdns_request *req = evdns_base_resolve_ipv4(dns, name, flags, on_answer, (void *)name);
	open_questions += req != NULL;
	if (!req)
		SAY("  %s cannot be asked for\n", name);
	return req;
}

static void ask6(const char *name)
{
	open_questions += evdns_base_resolve_ipv6(dns, name, DNS_QUERY_NO_SEARCH, on_answer, (void *)name) != NULL;
}

static void new_dns(int with_server)
{
	dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	evdns_base_set_option(dns, "randomize-case:", "0");
	if (with_server && evdns_base_nameserver_ip_add(dns, server_text) != 0)
		abort();
}

static void open_server(void)
{
	struct sockaddr_in sin;
	int fd = bound(&sin);
	port = evdns_add_server_port_with_base(base, fd, 0, on_request, NULL);
	snprintf(server_text, sizeof server_text, "127.0.0.1:%d", ntohs(sin.sin_port));
}

static void answers(void)
{
	struct in_addr four;
	struct in6_addr six;
	SECTION("answers");
	new_dns(1);
	ask4("one.test", 0);
	run();
	ask4("one.test.", DNS_QUERY_NO_SEARCH);
	run();
	ask6("six.test");
	run();
	ask4("many.test", 0);
	run();
	ask4("alias.test", 0);
	run();
	ask4("nowhere.test", 0);
	run();
	ask4("nodata.test", 0);
	run();
	ask6("one.test");
	run();
	four.s_addr = htonl(0xc0000207);
	open_questions++;
	evdns_base_resolve_reverse(dns, &four, 0, on_answer, "reverse");
	run();
	evutil_inet_pton(AF_INET6, "2001:db8::7", &six);
	open_questions++;
	evdns_base_resolve_reverse_ipv6(dns, &six, 0, on_answer, "reverse six");
	run();
	four.s_addr = htonl(0xc0000208);
	open_questions++;
	evdns_base_resolve_reverse(dns, &four, 0, on_answer, "reverse of nobody");
	run();
	ask4("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test", DNS_QUERY_NO_SEARCH);
	evdns_base_free(dns, 0);
}

static void on_counted(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	(void)ttl;
	(void)addresses;
	if (result != DNS_ERR_NONE || type != DNS_IPv4_A || count != 1)
		abort();
	__sync_fetch_and_add((int *)arg, 1);
}

static void many_at_once(void)
{
	int i, counted = 0;
	SECTION("many at once");
	new_dns(1);
	evdns_base_set_option(dns, "max-inflight:", "3");
	for (i = 0; i < 20; i++)
		ask4("one.test", 0);
	run();
	for (i = 0; i < 6000; i++)
		evdns_base_resolve_ipv4(dns, "one.test", DNS_QUERY_NO_SEARCH, on_counted, &counted);
	while (counted < 6000)
		event_base_loop(base, EVLOOP_ONCE);
	SAY("  counted %d\n", counted);
	evdns_base_free(dns, 0);
}

static void search(void)
{
	SECTION("search list");
	new_dns(1);
	shows_questions = 1;
	evdns_base_search_add(dns, "second.test");
	evdns_base_search_add(dns, ".first.test");
	ask4("one", 0);
	run();
	ask4("one.two", 0);
	run();
	ask4("one", DNS_QUERY_NO_SEARCH);
	run();
	evdns_base_search_ndots_set(dns, 2);
	ask4("one.two", 0);
	run();
	/* CVE-2016-10197. */
	ask4("", DNS_QUERY_NO_SEARCH);
	run();
	evdns_base_search_clear(dns);
	ask4("one", 0);
	run();
	shows_questions = 0;
	evdns_base_free(dns, 0);
}

static void drop_silent(void)
{
	while (nsilent > 0)
		evdns_server_request_drop(silent[--nsilent]);
}

static void ends(void)
{
	struct evdns_request *req;
	int i;
	SECTION("canceled, shut down, not answered");
	new_dns(1);
	req = ask4("silent.cancel", DNS_QUERY_NO_SEARCH);
	turns(3);
	evdns_cancel_request(dns, req);
	SAY("  canceled\n");
	run();
	ask4("silent.shutdown", DNS_QUERY_NO_SEARCH);
	turns(3);
	evdns_base_free(dns, 1);
	SAY("  freed\n");
	run();
	new_dns(1);
	ask4("silent.forgotten", DNS_QUERY_NO_SEARCH);
	turns(3);
	evdns_base_free(dns, 0);
	SAY("  open %d\n", open_questions);
	open_questions = 0;
	/* Most of them wait for their turn (libevent's issue 1278). */
	new_dns(1);
	evdns_base_set_option(dns, "max-inflight:", "2");
	for (i = 0; i < 10; i++)
		ask4("silent.waiting", DNS_QUERY_NO_SEARCH);
	turns(3);
	evdns_base_free(dns, 1);
	run();
	turns(3);
	new_dns(1);
	evdns_base_set_option(dns, "timeout:", "0.1");
	evdns_base_set_option(dns, "attempts:", "2");
	ask4("silent.timeout", DNS_QUERY_NO_SEARCH);
	run();
	evdns_base_free(dns, 0);
	drop_silent();
}

static void servers(void)
{
	struct sockaddr_in sin, other;
	int mute = bound(&sin);
	char text[64];
	SECTION("servers");
	new_dns(0);
	ask4("one.test", 0);
	turns(3);
	SAY("  open %d\n", open_questions);
	SAY("  add %d", evdns_base_nameserver_ip_add(dns, server_text));
	SAY(" again %d", evdns_base_nameserver_ip_add(dns, server_text));
	SAY(" nonsense %d", evdns_base_nameserver_ip_add(dns, "nonsense"));
	SAY(" count %d\n", evdns_base_count_nameservers(dns));
	evdns_base_resume(dns);
	run();
	SAY("  address %d", evdns_base_get_nameserver_addr(dns, 0, (struct sockaddr *)&other, sizeof other));
	snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(other.sin_port));
	SAY(" same %d", strcmp(text, server_text) == 0);
	SAY(" room %d", evdns_base_get_nameserver_addr(dns, 0, (struct sockaddr *)&other, 3));
	SAY(" none %d\n", evdns_base_get_nameserver_addr(dns, 1, (struct sockaddr *)&other, sizeof other));
	/* What is on its way is asked again, of another server. */
	SAY("  suspend %d\n", evdns_base_clear_nameservers_and_suspend(dns));
	SAY("  add %d\n", evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&sin, sizeof sin, 0));
	evdns_base_resume(dns);
	ask4("one.test", 0);
	turns(3);
	SAY("  open %d\n", open_questions);
	evdns_base_clear_nameservers_and_suspend(dns);
	SAY("  count %d\n", evdns_base_count_nameservers(dns));
	evdns_base_nameserver_ip_add(dns, server_text);
	turns(3);
	SAY("  open %d\n", open_questions);
	SAY("  resume %d\n", evdns_base_resume(dns));
	run();
	/* One of two does not answer. */
	evdns_base_set_option(dns, "timeout:", "0.1");
	evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&sin, sizeof sin, 0);
	ask4("one.test", 0);
	run();
	ask4("many.test", 0);
	run();
	evdns_base_free(dns, 0);
	close(mute);
}

/* Which loops go on. */
static void alive(void)
{
	struct event_base *own = event_base_new();
	SECTION("what keeps a loop going");
	dns = evdns_base_new(own, 0);
	SAY("  none %d", event_base_loop(own, EVLOOP_NONBLOCK));
	evdns_base_nameserver_ip_add(dns, server_text);
	SAY(" one %d", event_base_loop(own, EVLOOP_NONBLOCK));
	evdns_base_clear_nameservers_and_suspend(dns);
	SAY(" cleared %d", event_base_loop(own, EVLOOP_NONBLOCK));
	evdns_base_nameserver_ip_add(dns, server_text);
	evdns_base_resume(dns);
	evdns_base_free(dns, 0);
	SAY(" freed %d\n", event_base_loop(own, EVLOOP_NONBLOCK));
	dns = evdns_base_new(own, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	evdns_base_nameserver_ip_add(dns, server_text);
	SAY("  inactive %d\n", event_base_loop(own, EVLOOP_NONBLOCK));
	evdns_base_free(dns, 0);
	event_base_free(own);
}

static void options(void)
{
	static const char *const list[][2] = {{"ndots:", "2"}, {"ndots", "2"}, {"ndots:", "x"}, {"timeout:", "3"}, {"timeout:", "0.5"},
		{"timeout:", "0"}, {"timeout:", "-1"}, {"unknown:", "3"}, {"max-timeouts:", "300"}, {"max-inflight:", "0"},
		{"attempts:", "0"}, {"randomize-case:", "0"}, {"randomize-case:", "x"}, {"bind-to:", "127.0.0.1"},
		{"bind-to:", "x"}, {"initial-probe-timeout:", "3"}, {"initial-probe-timeout:", "-3"},
		{"getaddrinfo-allow-skew:", "1"}, {"getaddrinfo-allow-skew:", "x"}, {"so-rcvbuf:", "10000"}, {"so-sndbuf:", "x"}};
	unsigned i;
	SECTION("options");
	new_dns(1);
	for (i = 0; i < sizeof list / sizeof *list; i++)
		SAY("  %s %s: %d\n", list[i][0], list[i][1], evdns_base_set_option(dns, list[i][0], list[i][1]));
	/* From that address, and with that room. */
	evdns_base_clear_nameservers_and_suspend(dns);
	evdns_base_nameserver_ip_add(dns, server_text);
	evdns_base_resume(dns);
	ask4("one.test", 0);
	run();
	evdns_base_free(dns, 0);
}

static void put_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	fputs(text, file);
	fclose(file);
}

static void parse(const char *what, const char *name, int flags)
{
	new_dns(0);
	SAY("  %s: %d", what, evdns_base_resolv_conf_parse(dns, flags, name));
	SAY(", %d servers\n", evdns_base_count_nameservers(dns));
	evdns_base_free(dns, 0);
}

static void files(const char *folder)
{
	char name[512], text[256];
	SECTION("files");
	snprintf(name, sizeof name, "%s/resolv.conf", folder);
	put_file(name, "# nothing\nnameserver 127.0.0.1\nnameserver 127.0.0.2\nsearch a.test b.test\noptions ndots:3\n");
	parse("all", name, DNS_OPTIONS_ALL);
	parse("search", name, DNS_OPTION_SEARCH);
	parse("misc", name, DNS_OPTION_MISC);
	put_file(name, "search a.test\n");
	parse("no server", name, DNS_OPTIONS_ALL);
	parse("no default", name, DNS_OPTIONS_ALL | DNS_OPTION_NAMESERVERS_NO_DEFAULT);
	put_file(name, "");
	parse("empty", name, DNS_OPTIONS_ALL);
	snprintf(name, sizeof name, "%s/nowhere", folder);
	parse("nowhere", name, DNS_OPTIONS_ALL);
	/* Asks as the file says. */
	snprintf(name, sizeof name, "%s/resolv.conf", folder);
	snprintf(text, sizeof text, "nameserver %s\nsearch first.test second.test\noptions attempts:2\n", server_text);
	put_file(name, text);
	new_dns(0);
	SAY("  parse %d\n", evdns_base_resolv_conf_parse(dns, DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC, name));
	shows_questions = 1;
	ask4("one", 0);
	run();
	shows_questions = 0;
	evdns_base_free(dns, 0);
	unlink(name);
}

static void on_info(int result, struct evutil_addrinfo *list, void *arg)
{
	struct evutil_addrinfo *ai;
	char text[64];
	open_questions--;
	SAY("  %s: %d\n", (char *)arg, result);
	for (ai = list; ai; ai = ai->ai_next) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ai->ai_addr;
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)ai->ai_addr;
		const void *address = ai->ai_family == AF_INET ? (void *)&sin->sin_addr : (void *)&six->sin6_addr;
		SAY("    %s port %d, type %d, protocol %d, length %d, %s\n",
			evutil_inet_ntop(ai->ai_family, address, text, sizeof text), ntohs(sin->sin_port), ai->ai_socktype,
			ai->ai_protocol, (int)ai->ai_addrlen, ai->ai_canonname ? ai->ai_canonname : "-");
	}
	if (list)
		evutil_freeaddrinfo(list);
}

static struct evdns_getaddrinfo_request *info(const char *name, const char *service, int family, int type, int flags)
{
	struct evutil_addrinfo hints;
	struct evdns_getaddrinfo_request *req;
	memset(&hints, 0, sizeof hints);
	hints.ai_family = family;
	hints.ai_socktype = type;
	hints.ai_flags = flags;
	open_questions++;
	req = evdns_getaddrinfo(dns, name, service, &hints, on_info, (void *)(name ? name : "null"));
	SAY("  later %d\n", req != NULL);
	return req;
}

static void address_info(const char *folder)
{
	char name[512];
	SECTION("address info");
	new_dns(1);
	info("192.0.2.1", "80", AF_UNSPEC, 0, 0);
	info("::1", "http", AF_UNSPEC, SOCK_STREAM, 0);
	info(NULL, "80", AF_INET, SOCK_STREAM, 0);
	info(NULL, "80", AF_INET, SOCK_STREAM, EVUTIL_AI_PASSIVE);
	info("one.test", "80", AF_UNSPEC, SOCK_STREAM, EVUTIL_AI_NUMERICHOST);
	info("one.test", "80", AF_UNSPEC, SOCK_STREAM, 0);
	run();
	info("one.test", "80", AF_INET, 0, 0);
	run();
	info("both.test", "http", AF_UNSPEC, SOCK_STREAM, 0);
	run();
	info("both.test", NULL, AF_INET6, SOCK_DGRAM, 0);
	run();
	info("many.test", "1", AF_UNSPEC, SOCK_STREAM, 0);
	run();
	info("alias.test", "80", AF_INET, SOCK_STREAM, EVUTIL_AI_CANONNAME);
	run();
	/* The families of this host's own addresses. */
	shows_questions = 1;
	info("six.test", "80", AF_INET6, SOCK_STREAM, EVUTIL_AI_ADDRCONFIG);
	run();
	info("one.test", "80", AF_INET, SOCK_STREAM, EVUTIL_AI_ADDRCONFIG);
	run();
	shows_questions = 0;
	info("both.test", "80", AF_UNSPEC, SOCK_STREAM, EVUTIL_AI_ADDRCONFIG);
	run();
	info("nowhere.test", "80", AF_INET, SOCK_STREAM, 0);
	run();
	evdns_getaddrinfo_cancel(info("silent.test", "80", AF_INET, SOCK_STREAM, 0));
	run();
	snprintf(name, sizeof name, "%s/hosts", folder);
	put_file(name, "192.0.2.9 Printer.test printer # by the window\n2001:db8::9 printer.test\nnonsense printer\n");
	SAY("  hosts %d\n", evdns_base_load_hosts(dns, name));
	info("printer", "80", AF_UNSPEC, SOCK_STREAM, 0);
	info("PRINTER.test", "80", AF_UNSPEC, SOCK_STREAM, 0);
	info("printer.test", "80", AF_INET6, SOCK_STREAM, 0);
	evdns_base_clear_host_addresses(dns);
	info("printer.test", "80", AF_INET, SOCK_STREAM, 0);
	run();
	unlink(name);
	SAY("  hosts %d", evdns_base_load_hosts(dns, name));
	SAY(" %d\n", evdns_base_load_hosts(dns, NULL));
	info("localhost", "80", AF_INET, SOCK_STREAM, 0);
	info("silent.shutdown", "80", AF_INET, SOCK_STREAM, 0);
	turns(3);
	evdns_base_free(dns, 1);
	run();
	drop_silent();
}

static void on_connection(struct evconnlistener *lev, evutil_socket_t fd, struct sockaddr *address, int length, void *arg)
{
	(void)lev;
	(void)address;
	(void)length;
	(void)arg;
	put(fd, "hello");
	close(fd);
}

static void on_bev_event(struct bufferevent *bev, short what, void *arg)
{
	char text[16];
	int length;
	if (what & BEV_EVENT_CONNECTED) {
		SAY("  %s: connected\n", (char *)arg);
		return;
	}
	length = (int)bufferevent_read(bev, text, sizeof text);
	SAY("  %s: %#x, error %d, %d bytes\n", (char *)arg, what, bufferevent_socket_get_dns_error(bev), length);
	open_questions--;
}

static struct bufferevent *connect_to(const char *name, int family, int number)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, NULL, NULL, on_bev_event, (void *)name);
	bufferevent_enable(bev, EV_READ);
	SAY("  %s: %d\n", name, bufferevent_socket_connect_hostname(bev, dns, family, name, number));
	return bev;
}

/* Connecting by name. */
static void connections(void)
{
	static const char *const names[] = {"127.0.0.1", "loopback.test", "nowhere.test"};
	struct sockaddr_in sin;
	socklen_t length = sizeof sin;
	struct evconnlistener *lev;
	struct bufferevent *bev;
	unsigned i;
	SECTION("connections");
	new_dns(1);
	memset(&sin, 0, sizeof sin);
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	lev = evconnlistener_new_bind(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&sin, sizeof sin);
	getsockname(evconnlistener_get_fd(lev), (struct sockaddr *)&sin, &length);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		open_questions = 1;
		bev = connect_to(names[i], AF_INET, ntohs(sin.sin_port));
		run();
		bufferevent_free(bev);
	}
	/* Freed while it is looked up. */
	bev = connect_to("loopback.test", AF_INET, ntohs(sin.sin_port));
	bufferevent_free(bev);
	ask4("one.test", 0);
	run();
	turns(3);
	bev = connect_to("silent.test", AF_INET, ntohs(sin.sin_port));
	turns(3);
	open_questions = 1;
	evdns_base_free(dns, 1);
	run();
	bufferevent_free(bev);
	evconnlistener_free(lev);
	drop_silent();
}

static void old_names(void)
{
	struct in_addr four;
	SECTION("old names");
	/* On the base that was made last by event_init(). */
	event_base_free(base);
	base = event_init();
	open_server();
	SAY("  none %d\n", evdns_get_global_base() == NULL);
	SAY("  add %d", evdns_nameserver_ip_add(server_text));
	SAY(" count %d", evdns_count_nameservers());
	SAY(" option %d\n", evdns_set_option("randomize-case:", "0", 0));
	open_questions = 1;
	SAY("  ask %d\n", evdns_resolve_ipv4("one.test", 0, on_answer, "four"));
	run();
	open_questions = 1;
	SAY("  ask %d\n", evdns_resolve_ipv6("six.test", 0, on_answer, "six"));
	run();
	four.s_addr = htonl(0xc0000207);
	open_questions = 1;
	SAY("  ask %d\n", evdns_resolve_reverse(&four, 0, on_answer, "reverse"));
	run();
	evdns_search_add("second.test");
	evdns_search_ndots_set(3);
	open_questions = 1;
	SAY("  ask %d\n", evdns_resolve_ipv4("one", 0, on_answer, "search"));
	run();
	evdns_search_clear();
	SAY("  suspend %d", evdns_clear_nameservers_and_suspend());
	SAY(" resume %d\n", evdns_resume());
	evdns_shutdown(0);
	SAY("  none %d\n", evdns_get_global_base() == NULL);
	evdns_close_server_port(port);
}

/* Asks a server for the addresses of names, IPv4 and IPv6. */
static void ask_server(const char *server, char **names, int count)
{
	int i;
	dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (evdns_base_nameserver_ip_add(dns, server) != 0)
		abort();
	for (i = 0; i < count; i++) {
		ask4(names[i], DNS_QUERY_NO_SEARCH);
		run();
		ask6(names[i]);
		run();
	}
	evdns_base_free(dns, 0);
}

/* Answers with damaged messages first, and then as it should. */
static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	/* A name with a label that ends nowhere (CVE-2016-10195), and one in a circle. */
	static const char *const names[] = {"\077abc", "\001a\xc0\x1b", "\xc0\x1b"};
	static const char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7";
	unsigned char message[600], changed[600];
	struct sockaddr_in from;
	socklen_t room = sizeof from;
	int length = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &room), i, n, place;
	(void)what;
	(void)arg;
	if (length < 27)
		return;
	/* The head, one question for name.test, and an answer. */
	length = 27;
	message[2] |= 0x80;
	message[7] = 1;
	message[11] = 0;
	memcpy(message + length, record, 16);
	length += 16;
	for (i = 0; i < 4; i++) {
		memcpy(changed, message, length);
		n = length;
		if (i == 0) {
			n = 27 + (int)strlen(names[chance(3)]);
			memcpy(changed + 27, names[chance(3)], 3);
		} else if (i == 1) {
			n = chance(length);
		} else {
			for (place = 0; place < 3; place++)
				changed[2 + chance(length - 2)] = chance(256);
		}
		if (chance(3) == 0)
			sendto(fd, changed, n, 0, (struct sockaddr *)&from, room);
	}
	sendto(fd, message, length, 0, (struct sockaddr *)&from, room);
}

static void on_any(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	(void)result;
	(void)type;
	(void)count;
	(void)ttl;
	(void)addresses;
	open_questions--;
	++*(int *)arg;
}

static void noise(void)
{
	struct sockaddr_in sin;
	int fd = bound(&sin), i, answered = 0;
	struct event *ev = event_new(base, fd, EV_READ | EV_PERSIST, on_datagram, NULL);
	event_add(ev, NULL);
	dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&sin, sizeof sin, 0);
	evdns_base_set_option(dns, "timeout:", "1");
	for (i = 0; i < 2000; i++) {
		open_questions++;
		evdns_base_resolve_ipv4(dns, "name.test", DNS_QUERY_NO_SEARCH, on_any, &answered);
		run();
	}
	SAY("answered %d\n", answered);
	evdns_base_free(dns, 1);
	event_free(ev);
	close(fd);
}

static void on_counted_info(int result, struct evutil_addrinfo *list, void *arg)
{
	if (result != 0)
		abort();
	evutil_freeaddrinfo(list);
	__sync_fetch_and_add((int *)arg, 1);
}

static void *asks(void *counted)
{
	struct evutil_addrinfo hints;
	int i;
	memset(&hints, 0, sizeof hints);
	hints.ai_family = AF_INET;
	hints.ai_socktype = SOCK_STREAM;
	for (i = 0; i < 250; i++) {
		evdns_base_resolve_ipv4(dns, "one.test", DNS_QUERY_NO_SEARCH, on_counted, counted);
		evdns_getaddrinfo(dns, "one.test", "80", &hints, on_counted_info, counted);
		/* Settings change meanwhile. */
		if (i == 125)
			evdns_base_search_add(dns, "second.test");
	}
	return NULL;
}

static void *dispatches(void *arg)
{
	(void)arg;
	event_base_dispatch(base);
	return NULL;
}

/* Threads that ask what another's loop answers (libevent's issue 1130). */
static void threads(void)
{
	pthread_t asking[4], loop;
	int i, counted = 0;
	open_server();
	new_dns(1);
	/* The server's socket has room for that, also when they change. */
	evdns_base_set_option(dns, "max-inflight:", "16");
	pthread_create(&loop, NULL, dispatches, NULL);
	for (i = 0; i < 4; i++)
		pthread_create(&asking[i], NULL, asks, &counted);
	for (i = 0; i < 4; i++)
		pthread_join(asking[i], NULL);
	for (i = 0; i < 6000 && __sync_fetch_and_add(&counted, 0) < 2000; i++)
		usleep(10000);
	evdns_base_free(dns, 1);
	event_base_loopbreak(base);
	pthread_join(loop, NULL);
	evdns_close_server_port(port);
	turns(3);
	SAY("counted %d\n", counted);
}

static void on_log(int is_warning, const char *text)
{
	(void)is_warning;
	(void)text;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	evdns_set_log_fn(on_log);
	if (argc > 2 && strcmp(argv[2], "threads") == 0)
		evthread_use_pthreads();
	base = event_base_new();
	if (argc > 3 && strcmp(argv[1], "ask") == 0) {
		ask_server(argv[2], argv + 3, argc - 3);
		event_base_free(base);
		return 0;
	}
	if (strcmp(argv[1], "crowd") == 0) {
		evthread_use_pthreads();
		event_base_free(base);
		base = event_base_new();
		threads();
		event_base_free(base);
		return 0;
	}
	if (strcmp(argv[1], "noise") == 0) {
		noise();
		event_base_free(base);
		return 0;
	}
	open_server();
	answers();
	many_at_once();
	search();
	ends();
	servers();
	alive();
	options();
	files(argv[1]);
	address_info(argv[1]);
	connections();
	evdns_close_server_port(port);
	old_names();
	event_base_free(base);
	return 0;
}
