/* Random calls on the limits of three bufferevents, by ticks so long that none
 * passes. After each the loop runs until nothing more happens, and what there
 * is then is printed. */
#include "check.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#define COUNT 3
#define CONFIGS 4

static struct event_base *base;
static struct bufferevent *all[COUNT];
static struct ev_token_bucket_cfg *configs[CONFIGS];
static int fds[COUNT];
static long came[COUNT];
static unsigned state;

static unsigned pick(unsigned below)
{
	state = state * 1103515245u + 12345u;
	return (state >> 8) % below;
}

static void make(int at)
{
	int two[2];
	pair(two);
	fds[at] = two[1];
	came[at] = 0;
	all[at] = bufferevent_socket_new(base, two[0], BEV_OPT_CLOSE_ON_FREE);
	bufferevent_enable(all[at], EV_READ);
}

static void end(int at)
{
	bufferevent_free(all[at]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	close(fds[at]);
}

static void look(void)
{
	static char room[65536];
	int i, at;
	for (i = 0; i < 15; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		for (at = 0; at < COUNT; at++) {
			ssize_t got = read(fds[at], room, sizeof room);
			if (got > 0)
				came[at] += got;
		}
	}
}

static void step(unsigned number)
{
	static char text[700];
	unsigned what = pick(14), at = pick(COUNT), length = pick(sizeof text) + 1;
	struct bufferevent *bev = all[at];
	int limited = bufferevent_get_token_bucket_cfg(bev) != NULL;
	long result = 0;
	switch (what) {
	case 0: case 1: case 2:
		result = bufferevent_write(bev, text, length);
		break;
	case 3: case 4: case 5:
		result = write(fds[at], text, length);
		break;
	case 6: case 7:
		result = bufferevent_set_rate_limit(bev, pick(5) ? configs[pick(CONFIGS)] : NULL);
		break;
	case 8: case 9:
		if (limited)
			result = bufferevent_decrement_read_limit(bev, (long)length - 400);
		break;
	case 10: case 11:
		if (limited)
			result = bufferevent_decrement_write_limit(bev, (long)length - 400);
		break;
	case 12:
		if (pick(3) == 0)
			result = bufferevent_disable(bev, (short)(pick(4) * EV_READ));
		else
			result = bufferevent_enable(bev, EV_READ | EV_WRITE);
		break;
	case 13:
		if (pick(10) == 0) {
			end(at);
			make(at);
		} else if (pick(2)) {
			bufferevent_setwatermark(bev, EV_READ, 0, pick(2) ? pick(2000) : 0);
		} else {
			result = evbuffer_drain(bufferevent_get_input(bev), length);
		}
		break;
	}
	look();
	printf("%u: %u on %u %u: %ld", number, what, at, length, result);
	for (at = 0; at < COUNT; at++) {
		bev = all[at];
		printf(" |%x %zd %zd %zd %zd, %zu %zu %ld", bufferevent_get_enabled(bev), bufferevent_get_read_limit(bev), bufferevent_get_write_limit(bev),
			bufferevent_get_max_to_read(bev), bufferevent_get_max_to_write(bev), evbuffer_get_length(bufferevent_get_input(bev)),
			evbuffer_get_length(bufferevent_get_output(bev)), came[at]);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	static const struct timeval never = { 1000000, 0 };
	unsigned i, count = argc > 2 ? atoi(argv[2]) : 1000;
	signal(SIGPIPE, SIG_IGN);
	state = argc > 1 ? atoi(argv[1]) : 1;
	base = event_base_new();
	/* Room for all that is ever put in. */
	for (i = 0; i < CONFIGS; i++)
		configs[i] = ev_token_bucket_cfg_new(100 + 300 * i, 4000000, 50 + 400 * i, 4000000, &never);
	for (i = 0; i < COUNT; i++)
		make((int)i);
	for (i = 0; i < count; i++)
		step(i);
	for (i = 0; i < COUNT; i++)
		end((int)i);
	for (i = 0; i < CONFIGS; i++)
		ev_token_bucket_cfg_free(configs[i]);
	event_base_free(base);
	return 0;
}
