/* The server side of DNS, asked by a socket of this program. */
#include "dns.h"

#include <errno.h>
#include <event2/dns_compat.h>
#include <event2/event_compat.h>
#include <event2/thread.h>
#include <sys/un.h>

static int client, server, called;
static struct evdns_server_port *port;
static struct evdns_server_request *held[64];
static int nheld;

typedef void (*answer_fn)(struct evdns_server_request *);
static answer_fn answer;

static void on_request(struct evdns_server_request *req, void *arg)
{
	called++;
	if (arg != &port)
		abort();
	answer(req);
}

static void open_port(void)
{
	struct sockaddr_in there, here;
	server = bound(&there);
	client = bound(&here);
	if (connect(client, (struct sockaddr *)&there, sizeof there) < 0)
		abort();
	port = evdns_add_server_port_with_base(base, server, 0, on_request, &port);
	if (!port)
		abort();
}

static void close_port(void)
{
	evdns_close_server_port(port);
	close(client);
}

static void show_answers(void)
{
	unsigned char reply[2000];
	int length, i, any = 0;
	turns(3);
	while ((length = recv(client, reply, sizeof reply, MSG_DONTWAIT)) >= 0) {
		SAY("  %d:", length);
		for (i = 0; i < length; i++)
			SAY("%s%02x", i == 12 || i % 4 == 0 ? " " : "", reply[i]);
		SAY("\n");
		any = 1;
	}
	if (!any)
		SAY("  no answer, called %d\n", called);
	called = 0;
}

static void ask_bytes(const void *bytes, int length)
{
	if (send(client, bytes, length, 0) != length)
		abort();
}

static void ask(int flags, const char *name, int type)
{
	unsigned char message[600];
	int length = question(message, flags, &name, &type, 1);
	ask_bytes(message, length);
}

static void show(struct evdns_server_request *req)
{
	int i;
	SAY("  flags %#x, %d questions:", req->flags, req->nquestions);
	for (i = 0; i < req->nquestions; i++)
		SAY(" '%s' %d/%d", req->questions[i]->name, req->questions[i]->type, req->questions[i]->dns_question_class);
	SAY("\n");
}

static void reply_nothing(struct evdns_server_request *req)
{
	show(req);
	SAY("  respond %d\n", evdns_server_request_respond(req, 0));
}

static void reply_address(struct evdns_server_request *req)
{
	struct in_addr address;
	address.s_addr = htonl(0xc0000207);
	SAY("  add %d", evdns_server_request_add_a_reply(req, req->questions[0]->name, 1, &address, 60));
	evdns_server_request_set_flags(req, EVDNS_FLAGS_AA);
	SAY(", respond %d\n", evdns_server_request_respond(req, 0));
}

static void reply_all_kinds(struct evdns_server_request *req)
{
	const char *name = req->questions[0]->name;
	struct in_addr four;
	struct in6_addr six;
	four.s_addr = htonl(0x01020304);
	memset(&six, 0, sizeof six);
	six.s6_addr[0] = 0x20;
	six.s6_addr[15] = 1;
	SAY("  a %d", evdns_server_request_add_a_reply(req, name, 1, &four, 1));
	SAY(" aaaa %d", evdns_server_request_add_aaaa_reply(req, name, 1, &six, 0x7fffffff));
	SAY(" cname %d", evdns_server_request_add_cname_reply(req, name, "www.elsewhere.test", 3));
	SAY(" ptr %d", evdns_server_request_add_ptr_reply(req, &four, NULL, "four.elsewhere.test", 4));
	SAY(" ptr %d", evdns_server_request_add_ptr_reply(req, NULL, "1.0.ip6.arpa", "six.elsewhere.test", 5));
	SAY(" ns %d", evdns_server_request_add_reply(req, EVDNS_AUTHORITY_SECTION, "elsewhere.test", EVDNS_TYPE_NS, EVDNS_CLASS_INET,
		-1, -1, 1, "ns.elsewhere.test"));
	SAY(" txt %d", evdns_server_request_add_reply(req, EVDNS_ADDITIONAL_SECTION, "test", EVDNS_TYPE_TXT, 3, 7, 6, 0, "\005hello"));
	SAY(" empty %d", evdns_server_request_add_reply(req, EVDNS_ADDITIONAL_SECTION, "", 65280, 1, 0, 0, 0, NULL));
	SAY(" mx %d", evdns_server_request_add_reply(req, EVDNS_ANSWER_SECTION, name, EVDNS_TYPE_MX, 1, 8, 6, 0, "\0\012\002mx"));
	SAY(" none %d %d", evdns_server_request_add_reply(req, 3, name, 1, 1, 1, 4, 0, "1234"),
		evdns_server_request_add_reply(req, -1, name, 1, 1, 1, 4, 0, "1234"));
	SAY(" ptr %d %d\n", evdns_server_request_add_ptr_reply(req, NULL, NULL, "x", 1),
		evdns_server_request_add_ptr_reply(req, &four, "x", "x", 1));
	SAY("  code %d %d", evdns_server_request_respond(req, -1), evdns_server_request_respond(req, 16));
	SAY(" respond %d\n", evdns_server_request_respond(req, 3));
}

static void reply_code(struct evdns_server_request *req)
{
	int code = req->questions[0]->type;
	SAY("  code %d: %d\n", code, evdns_server_request_respond(req, code));
}

static void reply_flags(struct evdns_server_request *req)
{
	int flags = req->questions[0]->type;
	evdns_server_request_set_flags(req, EVDNS_FLAGS_AA | EVDNS_FLAGS_RD);
	evdns_server_request_set_flags(req, flags);
	SAY("  %#x %#x", flags, req->flags);
	SAY(": %d\n", evdns_server_request_respond(req, 0));
}

static void reply_later(struct evdns_server_request *req)
{
	struct sockaddr_in sin, here;
	socklen_t length = sizeof here;
	getsockname(client, (struct sockaddr *)&here, &length);
	SAY("  room %d", evdns_server_request_get_requesting_addr(req, (struct sockaddr *)&sin, sizeof sin - 1));
	SAY(" address %d", evdns_server_request_get_requesting_addr(req, (struct sockaddr *)&sin, sizeof sin));
	SAY(" same %d\n", evutil_sockaddr_cmp((struct sockaddr *)&sin, (struct sockaddr *)&here, 1) == 0);
	held[nheld++] = req;
}

static void hold(struct evdns_server_request *req)
{
	held[nheld++] = req;
}

static void drop(struct evdns_server_request *req)
{
	SAY("  drop %d\n", evdns_server_request_drop(req));
}

static void drop_quietly(struct evdns_server_request *req)
{
	evdns_server_request_drop(req);
}

static void close_and_reply(struct evdns_server_request *req)
{
	reply_nothing(req);
	evdns_close_server_port(port);
}

static void questions(void)
{
	static const char *const names[] = {"a.example.test", "B.eXample.Test", ""};
	static const int types[] = {EVDNS_TYPE_A, EVDNS_TYPE_AAAA, EVDNS_QTYPE_ALL};
	static char label[64], longest[300];
	unsigned char message[1500];
	int i, n;
	SECTION("questions");
	open_port();
	answer = reply_nothing;
	ask(0x0100, "a.test", EVDNS_TYPE_A);
	show_answers();
	ask(0x0110, "", 2);
	show_answers();
	ask(0x07bf, "flags.test", 0xffff);
	show_answers();
	n = question(message, 0, names, types, 3);
	ask_bytes(message, n);
	show_answers();
	/* What follows the questions is not looked at. */
	message[7] = 9;
	message[11] = 1;
	ask_bytes(message, n);
	show_answers();
	memset(label, 'l', 63);
	for (i = 0; i < 3; i++)
		strcat(strcat(longest, label), ".");
	strncat(longest, label, 61);
	ask(0, longest, 1);
	show_answers();
	/* One name points at another. */
	n = question(message, 0, names, types, 1);
	memcpy(message + n, "\001b\xc0\x0e\0\1\0\1", 8);
	message[5] = 2;
	ask_bytes(message, n + 8);
	show_answers();
	close_port();
}

static void answers(void)
{
	static const int flags[] = {0, EVDNS_FLAGS_AA, EVDNS_FLAGS_RD, EVDNS_FLAGS_AA | EVDNS_FLAGS_RD, 0x20, 0x40};
	unsigned i;
	SECTION("answers");
	open_port();
	answer = reply_address;
	ask(0x0100, "Here.tEst", EVDNS_TYPE_A);
	show_answers();
	answer = reply_all_kinds;
	ask(0, "name.of.all.test", EVDNS_QTYPE_ALL);
	show_answers();
	answer = reply_code;
	for (i = 0; i <= 15; i++) {
		ask(0x0100, "x", i);
		show_answers();
	}
	answer = reply_flags;
	for (i = 0; i < sizeof flags / sizeof *flags; i++) {
		ask(0x0100, "x", flags[i]);
		show_answers();
	}
	answer = drop;
	ask(0, "x", 1);
	show_answers();
	close_port();
}

static void later(void)
{
	int i;
	SECTION("answers that come later");
	open_port();
	answer = reply_later;
	for (i = 0; i < 4; i++)
		ask(0x0100, "later.test", i);
	show_answers();
	for (i = 3; i >= 0; i--) {
		if (i == 2)
			evdns_server_request_drop(held[i]);
		else
			reply_address(held[i]);
	}
	show_answers();
	nheld = 0;
	close_port();
}

static void closing(void)
{
	SECTION("closing");
	open_port();
	evdns_close_server_port(port);
	SAY("  closed %d\n", fcntl(server, F_GETFD) < 0);
	close(client);
	open_port();
	answer = reply_later;
	ask(0, "a", 1);
	ask(0, "b", 1);
	show_answers();
	evdns_close_server_port(port);
	SAY("  open %d\n", fcntl(server, F_GETFD) >= 0);
	reply_address(held[0]);
	SAY("  open %d\n", fcntl(server, F_GETFD) >= 0);
	evdns_server_request_drop(held[1]);
	SAY("  closed %d\n", fcntl(server, F_GETFD) < 0);
	show_answers();
	nheld = 0;
	close(client);
}

static void refused(void)
{
	struct sockaddr_in sin;
	struct event_base *other;
	int fd = bound(&sin);
	SECTION("ports that cannot be");
	SAY("  flags %d\n", evdns_add_server_port_with_base(base, fd, 1, on_request, NULL) == NULL);
	close(fd);
	/* On the base that was made last by event_init(). */
	other = event_init();
	server = bound(&sin);
	client = bound(&sin);
	port = evdns_add_server_port(server, 0, on_request, &port);
	SAY("  old name %d, events %d\n", port != NULL, event_base_get_num_events(other, EVENT_BASE_COUNT_ADDED));
	close_port();
	event_base_free(other);
}

static void malformed(void)
{
	/* The first is too short for a head; the last of each pair ends too early. */
	static const struct {
		const char *what, *bytes;
		int length;
	} bad[] = {
		{"an answer", "\x12\x34\x80\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19},
		{"no question", "\x12\x34\0\0\0\0\0\0\0\0\0\0", 12},
		{"no name", "\x12\x34\0\0\0\1\0\0\0\0\0\0", 12},
		{"half a label", "\x12\x34\0\0\0\1\0\0\0\0\0\0\077abc", 16},
		{"no end of a name", "\x12\x34\0\0\0\1\0\0\0\0\0\0\3abc", 16},
		{"no type", "\x12\x34\0\0\0\1\0\0\0\0\0\0\3abc\0", 17},
		{"half a class", "\x12\x34\0\0\0\1\0\0\0\0\0\0\3abc\0\0\1\0", 20},
		{"two announced", "\x12\x34\0\0\0\2\0\0\0\0\0\0\3abc\0\0\1\0\1", 21},
		{"many announced", "\x12\x34\0\0\xff\xff\0\0\0\0\0\0\3abc\0\0\1\0\1", 21},
		{"half a pointer", "\x12\x34\0\0\0\1\0\0\0\0\0\0\xc0", 13},
		{"to itself", "\x12\x34\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18},
		{"beyond the end", "\x12\x34\0\0\0\1\0\0\0\0\0\0\xc0\x40\0\1\0\1", 18},
		{"in a circle", "\x12\x34\0\0\0\1\0\0\0\0\0\0\1a\xc0\x0c\0\1\0\1", 20},
	};
	unsigned i;
	SECTION("malformed questions");
	open_port();
	answer = reply_nothing;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		SAY("  %s\n", bad[i].what);
		ask_bytes(bad[i].bytes, bad[i].length);
		show_answers();
	}
	ask(0, "still.here", 1);
	show_answers();
	close_port();
}

/* Every beginning of a question, where libevent crashes (its issue 1231), and
 * questions with bytes by chance. */
static void noise(void)
{
	unsigned char message[64], changed[64];
	const char *name = "some.name.test";
	int type = 1, i, place;
	int length = question(message, 0x0100, &name, &type, 1);
	open_port();
	answer = reply_code;
	for (i = 0; i < length; i++)
		ask_bytes(message, i);
	turns(3);
	SAY("begun: called %d\n", called);
	answer = drop_quietly;
	for (i = 0; i < 20000; i++) {
		memcpy(changed, message, length);
		for (place = 0; place < 3; place++)
			changed[2 + chance(length - 2)] = chance(256);
		ask_bytes(changed, chance(length + 1));
		turns(1);
		while (recv(client, changed, sizeof changed, MSG_DONTWAIT) >= 0)
			;
	}
	turns(2);
	called = 0;
	answer = reply_code;
	ask(0, "still.here", 5);
	show_answers();
	close_port();
}

static void reply_with_addresses(struct evdns_server_request *req)
{
	struct in_addr addresses[3];
	int i, added = 0;
	for (i = 0; i < 3; i++)
		addresses[i].s_addr = htonl(0xc0000201 + i);
	for (i = 0; i < req->questions[0]->type; i++)
		added += evdns_server_request_add_a_reply(req, req->questions[0]->name, 3, addresses, 60) == 0;
	SAY("added %d", added);
	SAY(", none %d %d", evdns_server_request_add_a_reply(req, "x", 0, addresses, 60),
		evdns_server_request_add_a_reply(req, "x", 1, NULL, 60));
	SAY(", names %d %d %d", evdns_server_request_add_a_reply(req, "a..b", 1, addresses, 60),
		evdns_server_request_add_cname_reply(req, ".", "..", 60),
		evdns_server_request_add_cname_reply(req, "x", NULL, 60));
	SAY(", respond %d\n", evdns_server_request_respond(req, 0));
}

/* What libevent does otherwise, see docs/libevent-differences.md. */
static void ours(void)
{
	static const char notify[] = "\x12\x34\x21\x10\0\1\0\0\0\0\0\0\3abc\0\0\6\0\1";
	static const char dotted[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\3a.c\0\0\1\0\1";
	static const char zero[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\3a\0c\0\0\1\0\1";
	unsigned char message[300];
	int n, at;
	open_port();
	answer = reply_with_addresses;
	ask(0, "three.test", 1);
	show_answers();
	ask(0, "many.test", 40);
	show_answers();
	ask_bytes(notify, sizeof notify - 1);
	show_answers();
	ask_bytes(dotted, sizeof dotted - 1);
	show_answers();
	ask_bytes(zero, sizeof zero - 1);
	show_answers();
	/* A name that is longer than 255 bytes, of labels that are not too long. */
	memcpy(message, zero, 12);
	for (n = 12, at = 0; at < 4; at++) {
		message[n] = 63;
		memset(message + n + 1, 'l', 63);
		n += 64;
	}
	memcpy(message + n, "\0\0\1\0\1", 5);
	ask_bytes(message, n + 5);
	show_answers();
	/* Closed, it is not asked any more though a request is open. */
	answer = hold;
	ask(0, "open.test", 1);
	turns(2);
	called = 0;
	evdns_close_server_port(port);
	ask(0, "late.test", 1);
	show_answers();
	reply_address(held[0]);
	close(client);
	nheld = 0;
	open_port();
	answer = close_and_reply;
	ask(0, "last.test", 1);
	ask(0, "later.test", 1);
	turns(3);
	SAY("closed %d, called %d\n", fcntl(server, F_GETFD) < 0, called);
	close(client);
}

static void open_unix_port(void)
{
	struct sockaddr_un there, here;
	memset(&there, 0, sizeof there);
	there.sun_family = AF_UNIX;
	here = there;
	snprintf(there.sun_path + 1, 50, "ferrevent-there-%d", (int)getpid());
	snprintf(here.sun_path + 1, 50, "ferrevent-here-%d", (int)getpid());
	server = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	client = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(server, (struct sockaddr *)&there, sizeof there) < 0 || bind(client, (struct sockaddr *)&here, sizeof here) < 0)
		abort();
	if (connect(client, (struct sockaddr *)&there, sizeof there) < 0)
		abort();
	port = evdns_add_server_port_with_base(base, server, 0, on_request, &port);
}

/* A receiver that does not take answers: those that came first are first. */
static void choked(void)
{
	const char *name = "choked.test";
	unsigned char message[64];
	int i, sent = 0, kept = 0, got = 0, in_order = 1, type, room = 1;
	open_unix_port();
	/* No more than some answers are on their way. */
	setsockopt(server, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	answer = hold;
	for (type = 1; type <= 60; type++) {
		ask_bytes(message, question(message, 0, &name, &type, 1));
		turns(1);
	}
	SAY("held %d\n", nheld);
	for (i = 0; i < nheld; i++) {
		int outcome = evdns_server_request_respond(held[i], 0);
		sent += outcome == 0;
		kept += outcome == 1;
	}
	SAY("all %d, kept %d\n", sent + kept, kept > 10);
	/* One of those that wait is dropped; the port is closed meanwhile. */
	SAY("again %d, ", evdns_server_request_respond(held[58], 0));
	SAY("drop %d\n", evdns_server_request_drop(held[58]));
	evdns_close_server_port(port);
	for (i = 0; i < 1000 && got < 59; i++) {
		while (recv(client, message, sizeof message, MSG_DONTWAIT) > 0) {
			got++;
			in_order &= message[12 + 13 + 1] == (got < 59 ? got : 60);
		}
		turns(1);
	}
	SAY("got %d, in order %d, closed %d\n", got, in_order, fcntl(server, F_GETFD) < 0);
	close(client);
	nheld = 0;
}

static void to_log(int is_warning, const char *text)
{
	SAY("  warning %d, says something %d\n", is_warning, *text != 0);
}

/* An answer to somebody who is gone. */
static void lost(void)
{
	SECTION("lost answers");
	open_unix_port();
	answer = hold;
	ask(0, "lost.test", 1);
	turns(2);
	SAY("  held %d\n", nheld);
	close(client);
	evdns_set_log_fn(to_log);
	evdns_close_server_port(port);
	SAY("  respond %d\n", evdns_server_request_respond(held[0], 0));
	turns(2);
	SAY("  closed %d\n", fcntl(server, F_GETFD) < 0);
	evdns_set_log_fn(NULL);
	nheld = 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	if (argc > 1 && strcmp(mode, "threads") == 0)
		evthread_use_pthreads();
	base = event_base_new();
	if (strcmp(mode, "noise") == 0) {
		noise();
	} else if (strcmp(mode, "ours") == 0) {
		ours();
		choked();
	} else {
		questions();
		answers();
		later();
		closing();
		refused();
		malformed();
		lost();
	}
	event_base_free(base);
	return 0;
}
