/* Random calls on bufferevents: over a socket, over a pair, with a filter.
 * After each the loop runs until nothing more happens, and what there is then
 * is printed: which callbacks were called, and what is in the buffers. */
#include "check.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>

#define COUNT 6

static struct event_base *base;
static struct bufferevent *all[COUNT];
static struct {
	int read, write, told;
	short what;
} seen[COUNT];
static unsigned state;

static unsigned pick(unsigned below)
{
	state = state * 1103515245u + 12345u;
	return (state >> 8) % below;
}

static unsigned hash(struct evbuffer *buf)
{
	unsigned value = 0;
	size_t length = evbuffer_get_length(buf), i;
	unsigned char *bytes = evbuffer_pullup(buf, -1);
	for (i = 0; i < length; i++)
		value = value * 31 + bytes[i];
	return value;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	long at = (long)arg;
	char out[64];
	size_t high;
	seen[at].read = 1;
	bufferevent_getwatermark(bev, EV_READ, NULL, &high);
	/* Some take what they are told of, and all make room: they are called
	 * until there is some. */
	if (at % 2 || (high && evbuffer_get_length(bufferevent_get_input(bev)) >= high))
		bufferevent_read(bev, out, sizeof out);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	(void)bev;
	seen[(long)arg].write = 1;
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	seen[(long)arg].told = 1;
	seen[(long)arg].what |= what;
}

/* Moves at most 50 bytes, each changed. */
static enum bufferevent_filter_result change(struct evbuffer *src, struct evbuffer *dst, ev_ssize_t limit, enum bufferevent_flush_mode mode, void *arg)
{
	unsigned char bytes[50];
	int n = (int)sizeof bytes, i;
	(void)mode;
	if (limit >= 0 && limit < n)
		n = (int)limit;
	n = evbuffer_remove(src, bytes, n);
	if (n <= 0)
		return BEV_NEED_MORE;
	for (i = 0; i < n; i++)
		bytes[i] ^= (unsigned char)(long)arg;
	evbuffer_add(dst, bytes, n);
	return BEV_OK;
}

static void use(long at, struct bufferevent *bev)
{
	all[at] = bev;
	bufferevent_setcb(bev, on_read, on_write, on_event, (void *)at);
}

static void make(void)
{
	static const int options[] = { 0, BEV_OPT_DEFER_CALLBACKS, BEV_OPT_DEFER_CALLBACKS | BEV_OPT_UNLOCK_CALLBACKS };
	struct bufferevent *two[2];
	int fds[2], option = options[pick(3)] | BEV_OPT_CLOSE_ON_FREE;
	pair(fds);
	use(0, bufferevent_socket_new(base, fds[0], option));
	use(1, bufferevent_socket_new(base, fds[1], option));
	pair(fds);
	use(2, bufferevent_socket_new(base, fds[0], option));
	use(3, bufferevent_filter_new(bufferevent_socket_new(base, fds[1], option), change, change, option, NULL, (void *)0x55));
	bufferevent_pair_new(base, option, two);
	use(4, two[0]);
	use(5, bufferevent_filter_new(two[1], NULL, pick(2) ? change : NULL, option, NULL, (void *)0x11));
}

static void end(void)
{
	int at;
	for (at = 0; at < COUNT; at++)
		bufferevent_free(all[at]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void step(unsigned number)
{
	static char text[200], out[200];
	unsigned what = pick(12), at = pick(COUNT), length = pick(sizeof text), i;
	struct bufferevent *bev = all[at];
	long result = 0;
	memset(seen, 0, sizeof seen);
	for (i = 0; i < length; i++)
		text[i] = (char)pick(256);
	switch (what) {
	case 0: case 1: case 2:
		result = bufferevent_write(bev, text, length);
		break;
	case 3: case 4:
		result = (long)bufferevent_read(bev, out, length);
		break;
	case 5:
		result = bufferevent_enable(bev, pick(4) * EV_READ);
		break;
	case 6:
		if (pick(3) == 0)
			result = bufferevent_disable(bev, pick(4) * EV_READ);
		else
			result = bufferevent_enable(bev, EV_READ | EV_WRITE);
		break;
	case 7:
		bufferevent_setwatermark(bev, EV_READ, pick(100), pick(2) ? 100 + pick(300) : 0);
		break;
	case 8:
		bufferevent_setwatermark(bev, EV_WRITE, pick(100), pick(2) ? 100 + pick(300) : 0);
		break;
	case 9:
		result = bufferevent_flush(bev, (short)(pick(4) * EV_READ), (enum bufferevent_flush_mode)pick(3));
		break;
	case 10:
		bufferevent_trigger(bev, (short)(pick(4) * EV_READ), pick(2) ? BEV_TRIG_IGNORE_WATERMARKS : pick(2) * BEV_TRIG_DEFER_CALLBACKS);
		break;
	case 11:
		if (pick(20) == 0) {
			end();
			make();
		}
		break;
	}
	for (i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	printf("%u: %u on %u %u: %ld", number, what, at, length, result);
	for (at = 0; at < COUNT; at++) {
		struct evbuffer *in = bufferevent_get_input(all[at]), *to = bufferevent_get_output(all[at]);
		printf(" |%x %d%d%d%x %zu/%x %zu", bufferevent_get_enabled(all[at]), seen[at].read, seen[at].write, seen[at].told,
			seen[at].what, evbuffer_get_length(in), hash(in), evbuffer_get_length(to));
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	unsigned i, count = argc > 2 ? atoi(argv[2]) : 1000;
	signal(SIGPIPE, SIG_IGN);
	state = argc > 1 ? atoi(argv[1]) : 1;
	base = event_base_new();
	make();
	for (i = 0; i < count; i++)
		step(i);
	end();
	event_base_free(base);
	return 0;
}
