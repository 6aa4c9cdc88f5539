/* What the programs of DNS share: a base, sockets, and messages byte for byte. */
#ifndef DNS_H
#define DNS_H

#include "check.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct event_base *base;

static inline void turns(int n)
{
	while (n-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* A datagram socket of this host, at a port of the system's choice. */
static inline int bound(struct sockaddr_in *sin)
{
	socklen_t length = sizeof *sin;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	memset(sin, 0, sizeof *sin);
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)sin, sizeof *sin) < 0)
		abort();
	if (getsockname(fd, (struct sockaddr *)sin, &length) < 0)
		abort();
	return fd;
}

static inline int is(struct evdns_server_request *req, const char *name)
{
	return evutil_ascii_strcasecmp(req->questions[0]->name, name) == 0;
}

static inline int put_name(unsigned char *to, const char *name)
{
	int n = 0;
	while (*name) {
		int length = (int)strcspn(name, ".");
		to[n++] = (unsigned char)length;
		memcpy(to + n, name, length);
		n += length;
		name += length;
		if (*name == '.')
			name++;
	}
	to[n++] = 0;
	return n;
}

/* A question of these flags: names with types, and the class of the internet. */
static inline int question(unsigned char *to, int flags, const char *const *names, const int *types, int count)
{
	unsigned char head[12] = {0x12, 0x34, flags >> 8, flags & 255, 0, count};
	int n = 12, i;
	memcpy(to, head, 12);
	for (i = 0; i < count; i++) {
		n += put_name(to + n, names[i]);
		to[n++] = types[i] >> 8;
		to[n++] = types[i] & 255;
		to[n++] = 0;
		to[n++] = 1;
	}
	return n;
}

/* The same numbers in every run. */
static inline unsigned chance(unsigned n)
{
	static unsigned long seed = 4711;
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % n;
}

#endif
