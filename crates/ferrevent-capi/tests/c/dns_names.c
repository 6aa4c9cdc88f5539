/* A server of some names, for dig(1) and dnspython: it prints its port, and
 * runs until it is ended. */
#include "dns.h"

static void on_request(struct evdns_server_request *req, void *arg)
{
	const char *name = req->questions[0]->name;
	struct in_addr four;
	struct in6_addr six;
	int type = req->questions[0]->type, code = DNS_ERR_NONE, i;
	char text[256];
	(void)arg;
	evdns_server_request_set_flags(req, EVDNS_FLAGS_AA | EVDNS_FLAGS_RD);
	four.s_addr = htonl(0xc0000207);
	if (evutil_inet_pton(AF_INET6, "2001:db8::7", &six) != 1)
		abort();
	if (is(req, "here.test") && type == EVDNS_TYPE_A) {
		evdns_server_request_add_a_reply(req, name, 1, &four, 60);
	} else if (is(req, "here.test") && type == EVDNS_TYPE_AAAA) {
		evdns_server_request_add_aaaa_reply(req, name, 1, &six, 61);
	} else if (is(req, "here.test") && type == EVDNS_TYPE_TXT) {
		evdns_server_request_add_reply(req, EVDNS_ANSWER_SECTION, name, type, EVDNS_CLASS_INET, 62, 12, 0, "\005hello\005world");
	} else if (is(req, "here.test") && type == EVDNS_TYPE_MX) {
		evdns_server_request_add_reply(req, EVDNS_ANSWER_SECTION, name, type, EVDNS_CLASS_INET, 63, 13, 0,
			"\0\012\004mail\004test\0");
	} else if (is(req, "here.test")) {
		evdns_server_request_add_reply(req, EVDNS_AUTHORITY_SECTION, "test", EVDNS_TYPE_NS, EVDNS_CLASS_INET, 64, -1, 1, "ns.test");
		evdns_server_request_add_reply(req, EVDNS_ADDITIONAL_SECTION, "ns.test", EVDNS_TYPE_A, EVDNS_CLASS_INET, 65, 4, 0,
			(const char *)&four);
	} else if (is(req, "alias.test")) {
		evdns_server_request_add_cname_reply(req, name, "here.test", 66);
		evdns_server_request_add_a_reply(req, "here.test", 1, &four, 67);
	} else if (is(req, "7.2.0.192.in-addr.arpa")) {
		evdns_server_request_add_ptr_reply(req, &four, NULL, "here.test", 68);
	} else if (is(req, "many.test")) {
		/* More than there is room for. */
		for (i = 0; i < 100; i++) {
			snprintf(text, sizeof text, "n%d.many.test", i);
			evdns_server_request_add_a_reply(req, text, 1, &four, 69);
		}
	} else if (is(req, "refused.test")) {
		code = DNS_ERR_REFUSED;
	} else if (is(req, "silent.test")) {
		evdns_server_request_drop(req);
		return;
	} else {
		code = DNS_ERR_NOTEXIST;
	}
	if (evdns_server_request_respond(req, code) < 0)
		evdns_server_request_drop(req);
}

int main(void)
{
	struct sockaddr_in sin;
	int fd = bound(&sin);
	base = event_base_new();
	if (!evdns_add_server_port_with_base(base, fd, 0, on_request, NULL))
		abort();
	SAY("%d\n", ntohs(sin.sin_port));
	event_base_dispatch(base);
	return 0;
}
