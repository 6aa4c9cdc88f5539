/* The first steps on Windows: versions, bases, timers, buffers, pairs, sockets
 * that are only watched, locks, threads, names. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>
#include <event2/util.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(is) \
	do { \
		if (!(is)) { \
			printf("FAILED in line %d: %s (%d)\n", __LINE__, #is, EVUTIL_SOCKET_ERROR()); \
			exit(1); \
		} \
	} while (0)

/* Facts of the interface: a SOCKET is as wide as a pointer, a time 8 bytes. */
typedef char event_has_its_size[sizeof(struct event) == 120 ? 1 : -1];
typedef char bufferevent_has_its_size[sizeof(struct bufferevent) == 360 ? 1 : -1];
typedef char input_has_its_place[offsetof(struct bufferevent, input) == 256 ? 1 : -1];
typedef char descriptor_has_its_place[offsetof(struct event, ev_fd) == 56 ? 1 : -1];

static int called;

static void call(evutil_socket_t fd, short what, void *arg)
{
	CHECK(arg == &called);
	CHECK(fd == -1 || what == EV_READ);
	called += what;
}

static void timers_and_sockets(struct event_base *base)
{
	struct event own;
	struct timeval tv = {0, 20000};
	evutil_socket_t fds[2];
	struct event *ev;
	struct timeval before, after;
	CHECK(event_get_struct_event_size() == sizeof own);
	evutil_gettimeofday(&before, NULL);
	CHECK(event_assign(&own, base, -1, 0, call, &called) == 0);
	CHECK(event_add(&own, &tv) == 0);
	CHECK(event_base_dispatch(base) == 1 && called == EV_TIMEOUT);
	evutil_gettimeofday(&after, NULL);
	evutil_timersub(&after, &before, &after);
	CHECK(after.tv_sec > 0 || after.tv_usec >= 19000);

	CHECK(evutil_socketpair(AF_INET, SOCK_STREAM, 0, fds) == 0);
	CHECK(evutil_make_socket_nonblocking(fds[0]) == 0);
	CHECK(evutil_make_socket_closeonexec(fds[0]) == 0);
	called = 0;
	ev = event_new(base, fds[0], EV_READ | EV_PERSIST, call, &called);
	CHECK(ev && event_add(ev, NULL) == 0 && event_get_fd(ev) == fds[0]);
	CHECK(event_base_loop(base, EVLOOP_NONBLOCK) == 0 && called == 0);
	CHECK(send(fds[1], "x", 1, 0) == 1);
	CHECK(event_base_loop(base, EVLOOP_ONCE) == 0 && called == EV_READ);
	/* It is told as long as it is so. */
	CHECK(event_base_loop(base, EVLOOP_ONCE) == 0 && called == 2 * EV_READ);
	event_free(ev);
	evutil_closesocket(fds[0]);
	evutil_closesocket(fds[1]);
}

static void buffers(void)
{
	struct evbuffer *buf = evbuffer_new(), *other = evbuffer_new();
	struct evbuffer_iovec vec[2];
	char out[64];
	char *line;
	FILE *file;
	evutil_socket_t fds[2];
	CHECK(evbuffer_add_printf(buf, "%s %d %zu %5.2f\n", "text", -5, (size_t)7, 1.5) == 16);
	line = evbuffer_readln(buf, NULL, EVBUFFER_EOL_LF);
	CHECK(line && strcmp(line, "text -5 7  1.50") == 0);
	free(line);
	CHECK(evutil_snprintf(out, 4, "%s", "abcdef") == 6 && strcmp(out, "abc") == 0);
	CHECK(evbuffer_reserve_space(buf, 10, vec, 2) == 1);
	memcpy(vec[0].iov_base, "0123456789", 10);
	vec[0].iov_len = 10;
	CHECK(evbuffer_commit_space(buf, vec, 1) == 0 && evbuffer_get_length(buf) == 10);
	CHECK(evbuffer_peek(buf, -1, NULL, vec, 2) == 1 && vec[0].iov_len == 10);
	CHECK(evutil_socketpair(AF_INET, SOCK_STREAM, 0, fds) == 0);
	CHECK(evbuffer_write(buf, fds[0]) == 10);
	CHECK(evbuffer_read(other, fds[1], -1) == 10);
	CHECK(evbuffer_remove(other, out, sizeof out) == 10 && memcmp(out, "0123456789", 10) == 0);
	evutil_closesocket(fds[0]);
	evutil_closesocket(fds[1]);

	/* A part of a file, by a descriptor of C's. */
	file = fopen("part.txt", "wb");
	CHECK(file && fputs("before the part, and after", file) >= 0 && fclose(file) == 0);
	CHECK(evbuffer_add_file(buf, _open("part.txt", _O_RDONLY | _O_BINARY), 7, 8) == 0);
	CHECK(evbuffer_remove(buf, out, sizeof out) == 8 && memcmp(out, "the part", 8) == 0);
	evbuffer_free(buf);
	evbuffer_free(other);
	CHECK(remove("part.txt") == 0);
}

static void echoes(struct bufferevent *bev, void *arg)
{
	(void)arg;
	bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void pairs(struct event_base *base)
{
	struct bufferevent *pair[2];
	char out[64];
	CHECK(bufferevent_pair_new(base, 0, pair) == 0);
	bufferevent_setcb(pair[1], echoes, NULL, NULL, NULL);
	bufferevent_enable(pair[0], EV_READ | EV_WRITE);
	bufferevent_enable(pair[1], EV_READ | EV_WRITE);
	bufferevent_write(pair[0], "to and fro", 10);
	CHECK(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
	CHECK(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
	CHECK(bufferevent_read(pair[0], out, sizeof out) == 10 && memcmp(out, "to and fro", 10) == 0);
	bufferevent_free(pair[0]);
	bufferevent_free(pair[1]);
}

static DWORD WINAPI breaks(void *base)
{
	Sleep(50);
	event_base_loopbreak(base);
	return 0;
}

static void threads(struct event_base *base)
{
	HANDLE thread = CreateThread(NULL, 0, breaks, base, 0, NULL);
	CHECK(event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY) == 0);
	CHECK(event_base_got_break(base));
	WaitForSingleObject(thread, INFINITE);
	CloseHandle(thread);
}

static void names(void)
{
	struct sockaddr_storage at;
	int length = sizeof at;
	struct evutil_addrinfo hints, *found = NULL;
	char out[64];
	unsigned char bytes[16] = {0}, none[16] = {0};
	CHECK(evutil_parse_sockaddr_port("[::1]:80", (struct sockaddr *)&at, &length) == 0);
	CHECK(at.ss_family == AF_INET6 && length == (int)sizeof(struct sockaddr_in6));
	CHECK(evutil_inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&at)->sin6_addr, out, sizeof out));
	CHECK(strcmp(out, "::1") == 0);
	memset(&hints, 0, sizeof hints);
	hints.ai_family = AF_INET;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = EVUTIL_AI_NUMERICHOST;
	CHECK(evutil_getaddrinfo("127.0.0.1", "80", &hints, &found) == 0 && found);
	CHECK(((struct sockaddr_in *)found->ai_addr)->sin_port == htons(80));
	evutil_freeaddrinfo(found);
	CHECK(evutil_getaddrinfo("not a number", "80", &hints, &found) == EVUTIL_EAI_NONAME);
	CHECK(evutil_gai_strerror(EVUTIL_EAI_NONAME) && evutil_socket_error_to_string(WSAECONNRESET));
	evutil_secure_rng_get_bytes(bytes, sizeof bytes);
	CHECK(memcmp(bytes, none, sizeof bytes) != 0);
}

int main(void)
{
	WSADATA data;
	struct event_config *config;
	struct event_base *base;
	const char **methods = event_get_supported_methods();
	CHECK(WSAStartup(MAKEWORD(2, 2), &data) == 0);
	CHECK(strcmp(event_get_version(), "2.1.12-stable") == 0);
	CHECK(strcmp(methods[0], "iocp") == 0 && strcmp(methods[1], "poll") == 0 && !methods[2]);
	CHECK(evthread_use_windows_threads() == 0);
	/* Both mechanisms. */
	config = event_config_new();
	for (;;) {
		base = event_base_new_with_config(config);
		CHECK(base);
		printf("on %s\n", event_base_get_method(base));
		called = 0;
		timers_and_sockets(base);
		pairs(base);
		threads(base);
		event_base_free(base);
		if (called && strcmp(methods[0], "iocp") == 0 && event_config_avoid_method(config, methods[0]) == 0) {
			methods++;
			continue;
		}
		break;
	}
	/* Without completion ports there is nothing that the flag could start. */
	event_config_set_flag(config, EVENT_BASE_FLAG_STARTUP_IOCP);
	CHECK(!event_base_new_with_config(config));
	event_config_free(config);
	buffers();
	names();
	printf("done\n");
	return 0;
}
