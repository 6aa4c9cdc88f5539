/* Bufferevents whose bytes the kernel moves, and says when: pipelined requests,
 * pauses at both ends, marks, ends, refusals, timeouts. It runs on Windows too,
 * and where there is no such kernel it sees the same. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#endif

#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))
#define SECTION(name) SAY("== %s\n", name)

/* A request is a line, "number length"; its answer is that line, and so many bytes. */
#define REQUESTS 200
#define PAUSE_AFTER 50
#define FULL 65536

static struct event_base *base;
static int options = BEV_OPT_CLOSE_ON_FREE;

static unsigned char byte_of(int number, size_t place)
{
	return (unsigned char)(number * 131 + place * 7 + (place >> 8));
}

static struct timeval millis(long n)
{
	struct timeval tv;
	tv.tv_sec = n / 1000;
	tv.tv_usec = n % 1000 * 1000;
	return tv;
}

static void fail(const char *what)
{
	SAY("FAILED: %s (%d)\n", what, EVUTIL_SOCKET_ERROR());
	exit(1);
}

static void late(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	fail((const char *)arg);
}

/* Turns until it is told to stop, and not for ever. */
static void turn(const char *what)
{
	struct timeval tv = millis(60000);
	struct event *limit = evtimer_new(base, late, (void *)what);
	evtimer_add(limit, &tv);
	event_base_dispatch(base);
	event_free(limit);
}

/* -- the server */

struct service {
	struct evconnlistener *listener;
	struct sockaddr_in at;
	bufferevent_data_cb reads;
	int taken, ended, answered, paused, freed;
};

static void answer(struct bufferevent *bev, void *arg)
{
	struct service *service = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	struct evbuffer *output = bufferevent_get_output(bev);
	char *line;
	while (evbuffer_get_length(output) < FULL && (line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF))) {
		int number;
		unsigned long length, place;
		unsigned char *bytes;
		if (sscanf(line, "%d %lu", &number, &length) != 2)
			fail("a request is broken");
		free(line);
		bytes = malloc(length + 1);
		for (place = 0; place < length; place++)
			bytes[place] = byte_of(number, place);
		evbuffer_add_printf(output, "%d %lu\n", number, length);
		evbuffer_add(output, bytes, length);
		free(bytes);
		service->answered++;
	}
	if (evbuffer_get_length(output) >= FULL) {
		/* It reads no more before what waits has left. */
		bufferevent_disable(bev, EV_READ);
		service->paused++;
	}
}

static void left(struct bufferevent *bev, void *arg)
{
	if (!(bufferevent_get_enabled(bev) & EV_READ)) {
		bufferevent_enable(bev, EV_READ);
		answer(bev, arg);
	}
}

static void server_event(struct bufferevent *bev, short what, void *arg)
{
	struct service *service = arg;
	if (!(what & BEV_EVENT_EOF))
		fail("the server's side has an error");
	service->ended++;
	service->freed++;
	bufferevent_free(bev);
}

static void taken(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *arg)
{
	struct service *service = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, fd, options);
	(void)listener;
	if (peer->sa_family != AF_INET || length != (int)sizeof(struct sockaddr_in))
		fail("the peer's address");
	service->taken++;
	bufferevent_setcb(bev, service->reads, service->reads == answer ? left : NULL, server_event, service);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static struct service *serve(bufferevent_data_cb reads)
{
	struct service *service = calloc(1, sizeof *service);
	ev_socklen_t length = sizeof service->at;
	service->reads = reads;
	service->at.sin_family = AF_INET;
	service->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	service->listener = evconnlistener_new_bind(base, taken, service, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1,
		(struct sockaddr *)&service->at, sizeof service->at);
	if (!service->listener)
		fail("listening");
	if (getsockname(evconnlistener_get_fd(service->listener), (struct sockaddr *)&service->at, &length) < 0)
		fail("getsockname");
	return service;
}

/* The server's sides see that their peers have gone, and go too. */
static void end(struct service *service)
{
	while (service->freed < service->taken)
		event_base_loop(base, EVLOOP_ONCE);
	evconnlistener_free(service->listener);
	free(service);
}

/* -- clients that ask much, and read when they like */

struct client {
	struct bufferevent *bev;
	struct event *pause;
	int number, next, pauses;
	unsigned long length;
	int in_body;
};

static int clients_left;

static size_t length_of(int number)
{
	return (size_t)number * 7919 % 20011;
}

static void resume(evutil_socket_t fd, short events, void *arg)
{
	struct client *client = arg;
	(void)fd;
	(void)events;
	bufferevent_enable(client->bev, EV_READ);
}

static void client_reads(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	for (;;) {
		if (!client->in_body) {
			int number;
			char *line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF);
			if (!line)
				return;
			if (sscanf(line, "%d %lu", &number, &client->length) != 2 || number != client->next
				|| client->length != length_of(number))
				fail("an answer is not that of the request");
			free(line);
			client->in_body = 1;
		}
		if (evbuffer_get_length(input) < client->length)
			return;
		if (client->length) {
			unsigned char *bytes = evbuffer_pullup(input, client->length);
			unsigned long place;
			for (place = 0; place < client->length; place++)
				if (bytes[place] != byte_of(client->next, place))
					fail("an answer has a wrong byte");
			evbuffer_drain(input, client->length);
		}
		client->in_body = 0;
		client->next++;
		if (client->next == REQUESTS) {
			if (evbuffer_get_length(input))
				fail("there is more than was asked for");
			event_free(client->pause);
			bufferevent_free(client->bev);
			clients_left--;
			return;
		}
		if (client->next % PAUSE_AFTER == 0) {
			struct timeval tv = millis(5);
			bufferevent_disable(bev, EV_READ);
			evtimer_add(client->pause, &tv);
			client->pauses++;
		}
	}
}

static void client_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *client = arg;
	struct evbuffer *output = bufferevent_get_output(bev);
	int number;
	if (what != BEV_EVENT_CONNECTED)
		fail("a client is not connected");
	for (number = client->number % 2 ? REQUESTS / 2 : 0; number < REQUESTS; number++)
		evbuffer_add_printf(output, "%d %lu\n", number, (unsigned long)length_of(number));
}

static void look(evutil_socket_t fd, short events, void *arg)
{
	struct service *service = arg;
	(void)fd;
	(void)events;
	if (clients_left == 0 && service->ended == service->taken)
		event_base_loopbreak(base);
}

static void pipelined(int count)
{
	struct service *service;
	struct client *clients = calloc(count, sizeof *clients);
	struct event *looks;
	struct timeval tv = millis(2);
	int i, pauses = 0;
	SECTION("pipelined requests, with pauses");
	service = serve(answer);
	clients_left = count;
	for (i = 0; i < count; i++) {
		struct client *client = &clients[i];
		client->number = i;
		client->pause = evtimer_new(base, resume, client);
		client->bev = bufferevent_socket_new(base, -1, options);
		bufferevent_setcb(client->bev, client_reads, NULL, client_event, client);
		bufferevent_enable(client->bev, EV_READ | EV_WRITE);
		if (bufferevent_socket_connect(client->bev, (struct sockaddr *)&service->at, sizeof service->at) < 0)
			fail("connecting");
		/* Every second one asks for the first half before it is connected. */
		if (i % 2) {
			int number;
			for (number = 0; number < REQUESTS / 2; number++)
				evbuffer_add_printf(bufferevent_get_output(client->bev), "%d %lu\n", number,
					(unsigned long)length_of(number));
		}
	}
	looks = event_new(base, -1, EV_PERSIST, look, service);
	event_add(looks, &tv);
	turn("pipelined requests");
	event_free(looks);
	for (i = 0; i < count; i++)
		pauses += clients[i].pauses;
	SAY("taken %d, ended %d, answered %d, clients paused %d times, the server %s\n", service->taken, service->ended,
		service->answered, pauses, service->paused ? "too" : "never");
	end(service);
	free(clients);
}

/* -- what ends, and how */

static short told;
static int told_error;

static void tell(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)arg;
	told_error = EVUTIL_SOCKET_ERROR();
	told = what;
	event_base_loopbreak(base);
}

static void refused(void)
{
	struct service *service;
	struct bufferevent *bev;
	SECTION("refused");
	service = serve(answer);
	evconnlistener_free(service->listener);
	bev = bufferevent_socket_new(base, -1, options);
	bufferevent_setcb(bev, NULL, NULL, tell, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	bufferevent_write(bev, "lost", 4);
	if (bufferevent_socket_connect(bev, (struct sockaddr *)&service->at, sizeof service->at) < 0)
		fail("connecting");
	turn("a refusal");
#ifdef _WIN32
	SAY("told %#x, refused %d\n", told, told_error == WSAECONNREFUSED);
#else
	SAY("told %#x, refused %d\n", told, told_error == ECONNREFUSED);
#endif
	bufferevent_free(bev);
	free(service);
}

static void silent(struct bufferevent *bev, void *arg)
{
	(void)bev;
	(void)arg;
}

static struct bufferevent *connected(struct service *service)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, options);
	bufferevent_setcb(bev, NULL, NULL, tell, NULL);
	if (bufferevent_socket_connect(bev, (struct sockaddr *)&service->at, sizeof service->at) < 0)
		fail("connecting");
	turn("a connection");
	SAY("told %#x\n", told);
	return bev;
}

static void timeouts(void)
{
	struct service *service;
	struct bufferevent *bev;
	struct timeval tv = millis(50);
	SECTION("timeouts");
	service = serve(silent);
	bev = connected(service);
	bufferevent_set_timeouts(bev, &tv, NULL);
	bufferevent_enable(bev, EV_READ);
	turn("a timeout");
	SAY("told %#x, enabled %#x\n", told, bufferevent_get_enabled(bev));
	bufferevent_free(bev);
	end(service);
}

static void over(struct bufferevent *bev, void *arg)
{
	((struct service *)arg)->freed++;
	bufferevent_free(bev);
}

/* A server that says how much it has when its peer has ended. */
static void reverse_end(struct bufferevent *bev, short what, void *arg)
{
	struct service *service = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	if (what != (BEV_EVENT_EOF | BEV_EVENT_READING))
		fail("the end is not told as such");
	service->ended++;
	evbuffer_add_printf(bufferevent_get_output(bev), "%lu bytes came\n", (unsigned long)evbuffer_get_length(input));
	bufferevent_setcb(bev, NULL, over, NULL, service);
}

static void counts(struct bufferevent *bev, void *arg)
{
	bufferevent_setcb(bev, silent, NULL, reverse_end, arg);
}

static int sent_all;

static void shut(struct bufferevent *bev, void *arg)
{
	(void)arg;
	sent_all = evbuffer_get_length(bufferevent_get_output(bev)) == 0;
	shutdown(bufferevent_getfd(bev), 1);
}

static void half_closed(void)
{
	struct service *service;
	struct bufferevent *bev;
	char *bytes = calloc(1, 300000);
	char said[64];
	size_t length;
	SECTION("ends of one side");
	service = serve(counts);
	bev = connected(service);
	bufferevent_setcb(bev, NULL, shut, tell, NULL);
	bufferevent_enable(bev, EV_READ);
	bufferevent_write(bev, bytes, 300000);
	turn("an end");
	length = bufferevent_read(bev, said, sizeof said - 1);
	said[length] = 0;
	SAY("sent all %d, told %#x, ended %d: %s", sent_all, told, service->ended, said);
	bufferevent_free(bev);
	end(service);
	free(bytes);
}

/* A server that sends much at once. */
static void floods(struct bufferevent *bev, void *arg)
{
	static char bytes[1000000];
	size_t place;
	(void)arg;
	for (place = 0; place < sizeof bytes; place++)
		bytes[place] = (char)byte_of(3, place);
	evbuffer_drain(bufferevent_get_input(bev), 1);
	bufferevent_write(bev, bytes, sizeof bytes);
}

static size_t most, sum;

static void measures(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	unsigned char bytes[3000];
	int length, place;
	(void)arg;
	if (evbuffer_get_length(input) > most)
		most = evbuffer_get_length(input);
	while ((length = evbuffer_remove(input, bytes, sizeof bytes)) > 0)
		for (place = 0; place < length; place++)
			if (bytes[place] != byte_of(3, sum++))
				fail("a byte is wrong");
	if (sum == 1000000)
		event_base_loopbreak(base);
}

static void marks(void)
{
	struct service *service;
	struct bufferevent *bev;
	SECTION("marks");
	service = serve(floods);
	bev = connected(service);
	bufferevent_setwatermark(bev, EV_READ, 0, 4096);
	bufferevent_setcb(bev, measures, NULL, tell, NULL);
	bufferevent_enable(bev, EV_READ);
	bufferevent_write(bev, "!", 1);
	turn("marks");
	SAY("sum %lu, never more than the mark: %d\n", (unsigned long)sum, most <= 4096);
	bufferevent_free(bev);
	end(service);
}

/* -- rate limits */

/* So many bytes in a tick, of which a million take 190 ms at least. */
#define A_TICK 50000
#define LEAST 150

static struct ev_token_bucket_cfg *slow(void)
{
	struct timeval tick = millis(10);
	return ev_token_bucket_cfg_new(A_TICK, A_TICK, A_TICK, A_TICK, &tick);
}

static long passed_since(const struct timeval *from)
{
	struct timeval now;
	evutil_gettimeofday(&now, NULL);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_usec - from->tv_usec) / 1000;
}

static struct ev_token_bucket_cfg *of_server;

static void floods_slowly(struct bufferevent *bev, void *arg)
{
	bufferevent_set_rate_limit(bev, of_server);
	floods(bev, arg);
}

static int groups_left;

static void measures_one(struct bufferevent *bev, void *arg)
{
	size_t *came = arg;
	unsigned char bytes[3000];
	int length, place;
	while ((length = bufferevent_read(bev, bytes, sizeof bytes)) > 0)
		for (place = 0; place < length; place++)
			if (bytes[place] != byte_of(3, (*came)++))
				fail("a byte is wrong");
	if (*came == 1000000 && --groups_left == 0)
		event_base_loopbreak(base);
}

/* A million bytes on each of some connections, each or all together limited. */
static void limited(const char *name, int count, bufferevent_data_cb reads, int alone)
{
	struct ev_token_bucket_cfg *cfg = slow();
	struct bufferevent_rate_limit_group *group = bufferevent_rate_limit_group_new(base, cfg);
	struct service *service;
	struct bufferevent *bev[2];
	struct timeval from;
	size_t came[2] = { 0, 0 };
	int i, in_time;
	SECTION(name);
	of_server = cfg;
	service = serve(reads);
	for (i = 0; i < count; i++) {
		bev[i] = connected(service);
		if (alone && reads == floods && bufferevent_set_rate_limit(bev[i], cfg) < 0)
			fail("a limit");
		if (!alone && bufferevent_add_to_rate_limit_group(bev[i], group) < 0)
			fail("a group");
		bufferevent_setcb(bev[i], measures_one, NULL, tell, &came[i]);
		bufferevent_enable(bev[i], EV_READ);
	}
	groups_left = count;
	evutil_gettimeofday(&from, NULL);
	for (i = 0; i < count; i++)
		bufferevent_write(bev[i], "!", 1);
	turn(name);
	in_time = passed_since(&from) >= (alone ? LEAST : LEAST * count);
	SAY("came %lu, not too early: %d\n", (unsigned long)(came[0] + (count > 1 ? came[1] : 0)), in_time);
	for (i = 0; i < count; i++)
		bufferevent_free(bev[i]);
	/* The server's sides end before their limits do. */
	end(service);
	bufferevent_rate_limit_group_free(group);
	ev_token_bucket_cfg_free(cfg);
}

/* The descriptor goes from one bufferevent to another. */
static void passed_on(void)
{
	struct service *service;
	struct bufferevent *one, *other;
	evutil_socket_t fd;
	SECTION("a descriptor that is passed on");
	service = serve(floods);
	one = connected(service);
	fd = bufferevent_getfd(one);
	bufferevent_setfd(one, -1);
	SAY("none %d\n", bufferevent_getfd(one) == -1);
	bufferevent_free(one);
	other = bufferevent_socket_new(base, fd, options);
	sum = 0;
	bufferevent_setcb(other, measures, NULL, tell, NULL);
	bufferevent_enable(other, EV_READ | EV_WRITE);
	bufferevent_write(other, "!", 1);
	turn("what is passed on");
	SAY("sum %lu\n", (unsigned long)sum);
	bufferevent_free(other);
	end(service);
}

/* -- another thread writes while the loop runs */

static struct bufferevent *shared;

#ifdef _WIN32
static DWORD WINAPI write_much(void *arg)
#else
static void *write_much(void *arg)
#endif
{
	int i;
	(void)arg;
	for (i = 0; i < 1000; i++) {
		unsigned char bytes[1000];
		size_t place;
		for (place = 0; place < sizeof bytes; place++)
			bytes[place] = byte_of(3, (size_t)i * 1000 + place);
		if (bufferevent_write(shared, bytes, sizeof bytes) < 0)
			abort();
	}
	return 0;
}

static void keeps(struct bufferevent *bev, void *arg)
{
	(void)arg;
	shared = bev;
	evbuffer_drain(bufferevent_get_input(bev), 1);
	event_base_loopbreak(base);
}

static void from_a_thread(void)
{
	struct service *service;
	struct bufferevent *bev;
	SECTION("from another thread");
	service = serve(keeps);
	bev = connected(service);
	sum = 0;
	bufferevent_setcb(bev, measures, NULL, tell, NULL);
	bufferevent_enable(bev, EV_READ);
	bufferevent_write(bev, "!", 1);
	turn("the other end");
	bufferevent_setcb(shared, silent, NULL, server_event, service);
	{
#ifdef _WIN32
		HANDLE thread = CreateThread(NULL, 0, write_much, NULL, 0, NULL);
		turn("what a thread has written");
		WaitForSingleObject(thread, INFINITE);
		CloseHandle(thread);
#else
		pthread_t thread;
		pthread_create(&thread, NULL, write_much, NULL);
		turn("what a thread has written");
		pthread_join(thread, NULL);
#endif
	}
	SAY("sum %lu\n", (unsigned long)sum);
	bufferevent_free(bev);
	bufferevent_free(shared);
	service->freed++;
	end(service);
}

int main(int argc, char **argv)
{
	struct event_config *config = event_config_new();
	int threads = argc > 1 && strcmp(argv[1], "threads") == 0;
	int count = argc > 2 ? atoi(argv[2]) : 20;
#ifdef _WIN32
	WSADATA data;
	WSAStartup(MAKEWORD(2, 2), &data);
	if (threads)
		evthread_use_windows_threads();
#else
	signal(SIGPIPE, SIG_IGN);
	if (threads)
		evthread_use_pthreads();
#endif
	if (threads)
		options |= BEV_OPT_THREADSAFE;
	event_config_set_flag(config, EVENT_BASE_FLAG_STARTUP_IOCP);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (!base)
		fail("a base");
#ifdef _WIN32
	SAY("method %s\n", event_base_get_method(base));
#endif
	pipelined(count);
	refused();
	timeouts();
	half_closed();
	marks();
	limited("a limit on reading", 1, floods, 1);
	limited("a limit on writing", 1, floods_slowly, 1);
	limited("a group", 2, floods, 0);
	passed_on();
	if (threads)
		from_a_thread();
	event_base_free(base);
	SAY("done\n");
	return 0;
}
