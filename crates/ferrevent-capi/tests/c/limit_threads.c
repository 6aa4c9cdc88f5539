/* Eight threads change the limits and groups of bufferevents that four bases
 * turn, each in a thread of its own, and write to them. In the end all bytes
 * have come. */
#include "threads.h"

#define BASES 4
#define PAIRS 8
#define ALL (2 * PAIRS)
#define THREADS 8
#define GROUPS 3
#define CONFIGS 3

static struct event_base *bases[BASES];
static struct bufferevent *all[ALL];
static struct bufferevent_rate_limit_group *groups[GROUPS];
static struct ev_token_bucket_cfg *configs[CONFIGS];
static int steps = 400;
static atomic_size_t sent;

static void *work(void *arg)
{
	static const char bytes[3000];
	unsigned state = (unsigned)(long)arg;
	int i;
	for (i = 0; i < steps; i++) {
		struct bufferevent *bev = all[(state >> 8) % ALL];
		struct bufferevent_rate_limit_group *group = groups[(state >> 16) % GROUPS];
		struct ev_token_bucket_cfg *cfg = configs[(state >> 20) % CONFIGS];
		size_t length = (state >> 16) % sizeof bytes + 1;
		ev_uint64_t read, written;
		state = state * 1103515245u + 12345u;
		switch ((state >> 10) % 12) {
		case 0:
			bufferevent_set_rate_limit(bev, cfg);
			break;
		case 1:
			bufferevent_set_rate_limit(bev, NULL);
			break;
		case 2: case 3:
			bufferevent_add_to_rate_limit_group(bev, group);
			break;
		case 4:
			bufferevent_remove_from_rate_limit_group(bev);
			break;
		case 5:
			bufferevent_rate_limit_group_decrement_read(group, (long)length - 1500);
			bufferevent_rate_limit_group_decrement_write(group, 1500 - (long)length);
			break;
		case 6:
			/* Nobody takes its limits away meanwhile. */
			bufferevent_lock(bev);
			if (bufferevent_get_token_bucket_cfg(bev))
				bufferevent_decrement_write_limit(bev, (long)length - 1500);
			bufferevent_unlock(bev);
			break;
		case 7:
			bufferevent_rate_limit_group_set_cfg(group, cfg);
			bufferevent_rate_limit_group_set_min_share(group, length);
			break;
		case 8:
			bufferevent_disable(bev, EV_READ | EV_WRITE);
			bufferevent_enable(bev, EV_READ | EV_WRITE);
			break;
		case 9:
			bufferevent_rate_limit_group_get_totals(group, &read, &written);
			if (bufferevent_get_max_to_read(bev) < 0 || bufferevent_get_max_to_write(bev) < 0)
				atomic_fetch_add(&problems, 1);
			break;
		default:
			atomic_fetch_add(&sent, length);
			bufferevent_write(bev, bytes, length);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t turners[BASES], workers[THREADS];
	struct timeval tick = millis(10);
	int i, patience = 60000;
	if (argc > 1)
		steps = atoi(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	evthread_use_pthreads();
	for (i = 0; i < BASES; i++)
		bases[i] = event_base_new();
	for (i = 0; i < CONFIGS; i++)
		configs[i] = ev_token_bucket_cfg_new(2000 << i, 8000 << i, 3000 << i, 3000 << i, &tick);
	for (i = 0; i < GROUPS; i++)
		groups[i] = bufferevent_rate_limit_group_new(bases[i], configs[i]);
	for (i = 0; i < ALL; i += 2) {
		int fds[2], end;
		pair(fds);
		for (end = 0; end < 2; end++) {
			int options = BEV_OPT_THREADSAFE | BEV_OPT_CLOSE_ON_FREE | (i % 4 ? BEV_OPT_DEFER_CALLBACKS : 0);
			struct bufferevent *bev = bufferevent_socket_new(bases[(i + 3 * end) / 2 % BASES], fds[end], options);
			bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
			bufferevent_enable(bev, EV_READ | EV_WRITE);
			bufferevent_add_to_rate_limit_group(bev, groups[i % GROUPS]);
			all[i + end] = bev;
		}
	}
	for (i = 0; i < BASES; i++)
		pthread_create(&turners[i], NULL, turn, bases[i]);
	for (i = 0; i < THREADS; i++)
		pthread_create(&workers[i], NULL, work, (void *)(long)(i * 7919 + 1));
	for (i = 0; i < THREADS; i++)
		pthread_join(workers[i], NULL);
	/* Half of them go on by their limits, which are paid off. */
	for (i = 0; i < GROUPS; i++) {
		long owed = bufferevent_rate_limit_group_get_read_limit(groups[i]);
		if (owed < 0)
			bufferevent_rate_limit_group_decrement_read(groups[i], owed);
		owed = bufferevent_rate_limit_group_get_write_limit(groups[i]);
		if (owed < 0)
			bufferevent_rate_limit_group_decrement_write(groups[i], owed);
	}
	for (i = 0; i < ALL; i++) {
		bufferevent_set_rate_limit(all[i], NULL);
		if (i % 2)
			bufferevent_remove_from_rate_limit_group(all[i]);
	}
	while (atomic_load(&received) < atomic_load(&sent) && --patience)
		usleep(1000);
	SAY("all %d, problems %d\n", atomic_load(&received) == atomic_load(&sent), atomic_load(&problems));
	/* While the loops go on, and all wait for their turns. */
	for (i = 0; i < GROUPS; i++)
		bufferevent_rate_limit_group_decrement_write(groups[i], 1000000);
	for (i = 0; i < ALL; i++) {
		if (i % 2) {
			bufferevent_set_rate_limit(all[i], configs[0]);
			bufferevent_decrement_write_limit(all[i], 1000000);
		}
		bufferevent_write(all[i], "nobody", 6);
	}
	usleep(20000);
	for (i = 0; i < ALL; i++) {
		if (i % 2 == 0)
			bufferevent_remove_from_rate_limit_group(all[i]);
		bufferevent_free(all[i]);
	}
	for (i = 0; i < GROUPS; i++)
		bufferevent_rate_limit_group_free(groups[i]);
	for (i = 0; i < CONFIGS; i++)
		ev_token_bucket_cfg_free(configs[i]);
	for (i = 0; i < BASES; i++)
		event_base_loopexit(bases[i], NULL);
	for (i = 0; i < BASES; i++)
		pthread_join(turners[i], NULL);
	for (i = 0; i < BASES; i++)
		event_base_free(bases[i]);
	SAY("ended\n");
	return 0;
}
