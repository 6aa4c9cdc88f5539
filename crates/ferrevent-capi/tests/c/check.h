/* What the programs share. Each prints what it sees; the test compares. */
#ifndef CHECK_H
#define CHECK_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))
#define SECTION(name) SAY("== %s\n", name)

static inline struct timeval millis(long n)
{
	struct timeval tv;
	tv.tv_sec = n / 1000;
	tv.tv_usec = n % 1000 * 1000;
	return tv;
}

static inline void pair(int fds[2])
{
	if (evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		abort();
	evutil_make_socket_nonblocking(fds[0]);
	evutil_make_socket_nonblocking(fds[1]);
}

static inline void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
}

static inline void take(int fd)
{
	char buf[256];
	while (read(fd, buf, sizeof buf) > 0)
		;
}

#endif
