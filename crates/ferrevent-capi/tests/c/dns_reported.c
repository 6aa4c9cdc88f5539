/* What has harmed other resolvers and servers: inputs of their reports. */
#include "dns.h"

#include <event2/listener.h>
#include <event2/thread.h>

static struct evdns_base *dns;
static struct event *udp;
static struct evconnlistener *tcp;
static char server_text[64];
static int open_questions, keeps_sockets;

/* Answers the question that lies in `message`, in the same room; the length, or 0 for none. */
typedef int (*answer_fn)(unsigned char *message, int end, int by_tcp);
static answer_fn answer;
/* So many bytes lie behind an answer by TCP, and are sent with it. */
static int behind;

static const char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7";

/* Where the question ends. */
static int end_of(const unsigned char *message, int length)
{
	int at = 12;
	while (at < length && message[at])
		at += message[at] + 1;
	return at + 5 <= length ? at + 5 : 0;
}

static void head(unsigned char *message, int flags, int answers)
{
	message[2] |= 0x80 | flags >> 8;
	message[3] = flags & 255;
	message[6] = answers >> 8;
	message[7] = answers & 255;
	memset(message + 8, 0, 4);
}

static int append(unsigned char *message, int end, const void *bytes, int length)
{
	memcpy(message + end, bytes, length);
	return end + length;
}

static int good(unsigned char *message, int end, int by_tcp)
{
	(void)by_tcp;
	head(message, 0, 1);
	return append(message, end, record, 16);
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	unsigned char message[1500], *exact;
	struct sockaddr_in from;
	socklen_t room = sizeof from;
	int length = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &room), end;
	(void)what;
	(void)arg;
	end = length > 0 ? end_of(message, length) : 0;
	length = end ? answer(message, end, 0) : 0;
	if (length == 0)
		return;
	/* With nothing behind its last byte. */
	exact = malloc(length);
	memcpy(exact, message, length);
	sendto(fd, exact, length, 0, (struct sockaddr *)&from, room);
	free(exact);
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
	unsigned char message[3000];
	int length = recv(fd, message, sizeof message, 0), end;
	(void)what;
	if (length > 2 && (end = end_of(message + 2, length - 2)) > 0) {
		behind = 0;
		length = answer(message + 2, end, 1);
		message[0] = length >> 8;
		message[1] = length & 255;
		send(fd, message, length + 2 + behind, MSG_NOSIGNAL);
	}
	event_free(*(struct event **)arg);
	free(arg);
	close(fd);
}

static void on_connection(struct evconnlistener *lev, evutil_socket_t fd, struct sockaddr *address, int length, void *arg)
{
	struct event **ev = malloc(sizeof *ev);
	(void)lev;
	(void)address;
	(void)length;
	(void)arg;
	*ev = event_new(base, fd, EV_READ, on_question, ev);
	event_add(*ev, NULL);
}

/* A server that answers as is wanted, at one port by datagrams and by TCP. */
static void open_server(void)
{
	struct sockaddr_in sin;
	int fd;
	for (;;) {
		fd = bound(&sin);
		tcp = evconnlistener_new_bind(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&sin, sizeof sin);
		if (tcp)
			break;
		close(fd);
	}
	snprintf(server_text, sizeof server_text, "127.0.0.1:%d", ntohs(sin.sin_port));
	udp = event_new(base, fd, EV_READ | EV_PERSIST, on_datagram, NULL);
	event_add(udp, NULL);
}

static void close_server(void)
{
	close(event_get_fd(udp));
	event_free(udp);
	evconnlistener_free(tcp);
}

static void new_dns(void)
{
	dns = evdns_base_new(base, keeps_sockets ? 0 : EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (evdns_base_nameserver_ip_add(dns, server_text) != 0)
		abort();
}

static void run(void)
{
	while (open_questions > 0)
		event_base_loop(base, EVLOOP_ONCE);
}

static void on_answer(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	(void)type;
	(void)ttl;
	(void)addresses;
	open_questions--;
	SAY("  %s: %d, %d found\n", (char *)arg, result, count);
}

static void ask(const char *name, const char *what)
{
	if (evdns_base_resolve_ipv4(dns, name, 0, on_answer, (void *)what))
		open_questions++;
	else
		SAY("  %s: cannot be asked for\n", what);
}

static const struct tail {
	const char *what, *bytes;
	int length, answers;
} tails[] = {
	{"a label beyond the end", "\077abc", 4, 1},
	{"no byte of a label", "\077", 1, 1},
	{"a label to the end", "\003abc", 4, 1},
	{"in a circle", "\001a\xc0\x1b", 4, 1},
	{"to itself", "\xc0\x1b", 2, 1},
	{"half a pointer", "\xc0", 1, 1},
	{"beyond the end", "\xc0\xff", 2, 1},
	{"an unknown kind of label", "\x80\x40", 2, 1},
	{"data beyond the end", "\xc0\x0c\0\1\0\1\0\0\0\x3c\xff\xff\xc0", 13, 1},
	{"data too short", "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\1\2\3", 15, 1},
	{"an alias beyond the end", "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\077abc", 16, 1},
	{"an alias of itself", "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c", 14, 1},
	{"many announced", "", 0, 0xffff},
};
static const struct tail *tail;

/* Damaged first, and then as it should be. */
static int damaged(unsigned char *message, int end, int by_tcp)
{
	const struct tail *now = tail;
	if (!now)
		return good(message, end, by_tcp);
	tail = NULL;
	head(message, 0, now->answers);
	return append(message, end, now->bytes, now->length);
}

/* CVE-2016-10195: a label that ends nowhere, and its like. */
static void labels(void)
{
	unsigned i;
	SECTION("names that end nowhere");
	new_dns();
	answer = damaged;
	evdns_base_set_option(dns, "timeout:", "0.3");
	evdns_base_set_option(dns, "max-timeouts:", "200");
	for (i = 0; i < sizeof tails / sizeof *tails; i++) {
		tail = &tails[i];
		ask("name.test", tails[i].what);
		run();
	}
	evdns_base_free(dns, 0);
}

static void on_info(int result, struct evutil_addrinfo *list, void *arg)
{
	open_questions--;
	SAY("  %s: %d, list %d\n", (char *)arg, result, list != NULL);
	if (list)
		evutil_freeaddrinfo(list);
}

static int nothing(unsigned char *message, int end, int by_tcp)
{
	(void)by_tcp;
	head(message, DNS_ERR_NOTEXIST, 0);
	return end;
}

/* CVE-2016-10197: a name of no bytes, and a search list. */
static void empty_names(void)
{
	static const char *const names[] = {"", ".", "..", ".a", "a.."};
	unsigned i;
	SECTION("empty names");
	new_dns();
	answer = nothing;
	evdns_base_search_add(dns, "");
	evdns_base_search_add(dns, ".");
	evdns_base_search_add(dns, "first.test");
	evdns_base_search_ndots_set(dns, 2);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		ask(names[i], names[i]);
		run();
		open_questions++;
		evdns_getaddrinfo(dns, names[i], "80", NULL, on_info, (void *)names[i]);
		run();
	}
	evdns_base_free(dns, 0);
}

static int filler, shape;

static void on_request(struct evdns_server_request *req, void *arg)
{
	static const int types[] = {EVDNS_TYPE_PTR, EVDNS_TYPE_CNAME, EVDNS_TYPE_NS, EVDNS_TYPE_MX, EVDNS_TYPE_SOA};
	static char bytes[65536];
	const char *name = req->questions[0]->name;
	(void)arg;
	evdns_server_request_add_reply(req, EVDNS_ANSWER_SECTION, name, EVDNS_TYPE_TXT, EVDNS_CLASS_INET, 60, filler, 0, bytes);
	evdns_server_request_add_reply(req, EVDNS_ANSWER_SECTION, name, types[shape], EVDNS_CLASS_INET, 60, -1, 1,
		"another.name.of.some.length.test");
	if (evdns_server_request_respond(req, 0) != 0)
		abort();
}

/* Whether it ends with its last record, and says so if that is not all. */
static int is_well_formed(const unsigned char *message, int length)
{
	int at = end_of(message, length), count = message[6] << 8 | message[7], i;
	for (i = 0; i < count && at > 0 && at < length; i++) {
		while (at < length && message[at] && message[at] < 0xc0)
			at += message[at] + 1;
		at += at < length && message[at] ? 2 : 1;
		at += 10 + (at + 10 <= length ? message[at + 8] << 8 | message[at + 9] : length);
	}
	return at == length && i == count && (count == 2 || message[2] & 2);
}

/* CVE-2026-63387: a name at the end of the longest answer. */
static void longest_answers(void)
{
	static const int long_ones[] = {1400, 4096, 65000, 65400, 65450, 65480, 65500, 65510, 65520, 65535};
	const char *name = "name.test";
	unsigned char message[1500], reply[2000];
	struct sockaddr_in sin, here;
	int fd = bound(&sin), client = bound(&here), type = EVDNS_QTYPE_ALL, length, wrong = 0, longest = 0, i;
	struct evdns_server_port *port = evdns_add_server_port_with_base(base, fd, 0, on_request, NULL);
	SECTION("names at the end of an answer");
	if (connect(client, (struct sockaddr *)&sin, sizeof sin) < 0)
		abort();
	for (shape = 0; shape < 5; shape++) {
		for (i = 0; i < 560; i++) {
			filler = i < 550 ? i : long_ones[i - 550];
			length = question(message, 0, &name, &type, 1);
			if (send(client, message, length, 0) != length)
				abort();
			turns(2);
			length = recv(client, reply, sizeof reply, MSG_DONTWAIT);
			wrong += length < 0 || length > 512 || !is_well_formed(reply, length);
			longest = length > longest ? length : longest;
		}
	}
	SAY("  longest %d, wrong %d\n", longest, wrong);
	evdns_close_server_port(port);
	close(client);
}

static int letters;

/* In another case than it was asked for. */
static int other_case(unsigned char *message, int end, int by_tcp)
{
	int at, in_label = 0;
	for (at = 12; at < end - 5; at++) {
		if (in_label-- == 0)
			in_label = message[at];
		else if (message[at] >= 'A')
			message[at] = letters ? message[at] & ~0x20 : message[at] | 0x20;
	}
	return good(message, end, by_tcp);
}

/* Issue 288: answers in another case are none if letters are varied, and are good if not. */
static void cases(void)
{
	SECTION("the case of letters");
	answer = other_case;
	for (letters = 0; letters < 2; letters++) {
		new_dns();
		ask("a.name.of.many.letters.test", "varied");
		run();
		evdns_base_set_option(dns, "randomize-case:", "0");
		ask("a.NAME.of.many.letters.test", "as they are");
		run();
		evdns_base_free(dns, 0);
	}
}

static int code;

/* By datagrams an answer that was cut; by TCP several at once, and part of another. */
static int several(unsigned char *message, int end, int by_tcp)
{
	unsigned char first[300];
	int at, i;
	if (!by_tcp) {
		head(message, 0x200, 0);
		return end;
	}
	at = end;
	if (code)
		head(message, code, 0);
	else
		at = good(message, end, 1);
	memcpy(first, message, at);
	for (i = at; i < 900; i += at + 2) {
		message[i] = at >> 8;
		message[i + 1] = at & 255;
		memcpy(message + i + 2, first, at);
	}
	memcpy(message + i, "\1\0\377", 3);
	behind = i + 3 - at;
	return at;
}

/* Issue 1401: the first answer ends the connection, and others lie behind it. */
static void several_answers(void)
{
	static const int codes[] = {DNS_ERR_NONE, DNS_ERR_REFUSED, DNS_ERR_NOTIMPL, DNS_ERR_SERVERFAILED, DNS_ERR_FORMAT};
	char what[32];
	unsigned i;
	SECTION("several answers by TCP");
	answer = several;
	for (i = 0; i < sizeof codes / sizeof *codes; i++) {
		new_dns();
		code = codes[i];
		snprintf(what, sizeof what, "code %d", code);
		ask("name.test", what);
		run();
		turns(3);
		evdns_base_free(dns, 0);
	}
}

enum { MANY = 16, MORE = 40 };
static struct evdns_request *asked[MANY + MORE];
static struct evdns_getaddrinfo_request *informed[MANY + MORE];
static int nasked, told[MANY + MORE], frees;

static void ask_one(void);

/* A callback that cancels itself and all others, asks more, and ends the resolver. */
static void meddle(int number)
{
	int i;
	told[number]++;
	open_questions--;
	for (i = 0; i < nasked; i++) {
		if (asked[i])
			evdns_cancel_request(dns, asked[i]);
		if (informed[i])
			evdns_getaddrinfo_cancel(informed[i]);
	}
	asked[number] = NULL;
	informed[number] = NULL;
	if (dns && nasked < MANY + MORE)
		ask_one();
	if (dns && frees) {
		evdns_base_free(dns, 1);
		dns = NULL;
	}
}

static void on_meddler(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	(void)result;
	(void)type;
	(void)count;
	(void)ttl;
	(void)addresses;
	meddle((int)((int *)arg - told));
}

static void on_meddling_info(int result, struct evutil_addrinfo *list, void *arg)
{
	(void)result;
	if (list)
		evutil_freeaddrinfo(list);
	meddle((int)((int *)arg - told));
}

static void ask_one(void)
{
	int number = nasked++;
	open_questions++;
	if (number % 2 == 0)
		asked[number] = evdns_base_resolve_ipv4(dns, "name.test", DNS_QUERY_NO_SEARCH, on_meddler, &told[number]);
	else
		informed[number] = evdns_getaddrinfo(dns, "name.test", "80", NULL, on_meddling_info, &told[number]);
}

static int never(unsigned char *message, int end, int by_tcp)
{
	(void)message;
	(void)end;
	(void)by_tcp;
	return 0;
}

static int refused(unsigned char *message, int end, int by_tcp)
{
	(void)by_tcp;
	head(message, DNS_ERR_REFUSED, 0);
	return end;
}

static int cut(unsigned char *message, int end, int by_tcp)
{
	if (by_tcp)
		return good(message, end, 1);
	head(message, 0x200, 0);
	return end;
}

/* CVE-2026-33630 of c-ares: what is asked ends while its end is told. */
static void meddlers(void)
{
	static const struct {
		const char *what;
		answer_fn answer;
		int inflight;
	} ways[] = {{"not answered", never, 4}, {"answered", good, 64}, {"refused", refused, 3}, {"by TCP", cut, 64}, {"one at a time", good, 1}};
	char inflight[8];
	unsigned i;
	int number, once;
	SECTION("callbacks that cancel");
	for (frees = 0; frees < 2; frees++) {
		keeps_sockets = frees;
		for (i = 0; i < sizeof ways / sizeof *ways; i++) {
			new_dns();
			answer = ways[i].answer;
			evdns_base_set_option(dns, "timeout:", "0.05");
			evdns_base_set_option(dns, "attempts:", "1");
			snprintf(inflight, sizeof inflight, "%d", ways[i].inflight);
			evdns_base_set_option(dns, "max-inflight:", inflight);
			memset(told, 0, sizeof told);
			for (nasked = 0; nasked < MANY;)
				ask_one();
			run();
			turns(3);
			if (dns)
				evdns_base_free(dns, 1);
			turns(3);
			for (number = once = 0; number < nasked; number++)
				once += told[number] == 1;
			SAY("  %s: all %d\n", ways[i].what, once == nasked);
		}
	}
}

static void on_log(int is_warning, const char *text)
{
	(void)is_warning;
	(void)text;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "threads") == 0)
		evthread_use_pthreads();
	evdns_set_log_fn(on_log);
	base = event_base_new();
	open_server();
	labels();
	empty_names();
	longest_answers();
	cases();
	several_answers();
	meddlers();
	close_server();
	event_base_free(base);
	return 0;
}
