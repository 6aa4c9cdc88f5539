/* libevent's rate limits at a tick of 50 ms.
 * paced_libevent pump|sink ADDR CONNS RATE BURST SECONDS
 *
 * So many connections share a rate, one alone has it to itself. Once all stand and the burst is
 * gone, what moved and the CPU time it took are printed after so many seconds, from the beginning
 * of one movement to that of another. */
#include "libevent.h"
#include <time.h>

enum { TICKS = 20, WARM_UP = 2, GAP = 2000000, PATIENCE = 300000000 };

static int pumps;
static size_t connections, wanted;
static struct ev_token_bucket_cfg *limit;
static struct bufferevent_rate_limit_group *group;
static uint64_t seconds, ready_at, before, total, since, base_bytes, base_cpu;

static uint64_t clock_of(clockid_t which) {
    struct timespec time;
    clock_gettime(which, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A boundary lies where nothing has moved for a while; with no such gap, anywhere. */
static void moved(size_t bytes) {
    uint64_t now = clock_of(CLOCK_MONOTONIC);
    uint64_t due = since ? since + seconds * 1000000000u : ready_at + WARM_UP * 1000000000ull;
    if (ready_at && now >= due && (now - before > GAP || now >= due + PATIENCE)) {
        uint64_t cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
        if (since) {
            printf("bytes=%llu ns=%llu cpu_ns=%llu\n", (unsigned long long)(total - base_bytes),
                   (unsigned long long)(now - since), (unsigned long long)(cpu - base_cpu));
            exit(0);
        }
        since = now, base_bytes = total, base_cpu = cpu;
    }
    total += bytes;
    before = now;
}

static void changed(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *context) {
    size_t bytes = pumps ? info->n_deleted : info->n_added;
    (void)buffer, (void)context;
    if (bytes) moved(bytes);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *base) {
    struct bufferevent *stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    (void)listener, (void)peer, (void)length;
    if (!stream) die("bufferevent_socket_new");
    bufferevent_setcb(stream, pumps ? NULL : sink, pumps ? pump : NULL, ended, NULL);
    if (wanted == 1 ? bufferevent_set_rate_limit(stream, limit) : bufferevent_add_to_rate_limit_group(stream, group))
        die("rate limit");
    evbuffer_add_cb(pumps ? bufferevent_get_output(stream) : bufferevent_get_input(stream), changed, NULL);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
    if (pumps) pump(stream, NULL);
    if (++connections == wanted) ready_at = clock_of(CLOCK_MONOTONIC);
}

int main(int argc, char **argv) {
    if (argc != 7) die("usage: paced_libevent pump|sink ADDR CONNS RATE BURST SECONDS");
    prepare_process();
    pumps = argv[1][0] == 'p';
    wanted = strtoul(argv[3], NULL, 10);
    size_t rate = strtoul(argv[4], NULL, 10), burst = strtoul(argv[5], NULL, 10);
    seconds = strtoul(argv[6], NULL, 10);
    struct timeval tick = {0, 1000000 / TICKS};
    struct event_base *base = event_base_new();
    limit = ev_token_bucket_cfg_new(rate / TICKS, burst, rate / TICKS, burst, &tick);
    if (!base || !limit) die("rate or burst");
    group = bufferevent_rate_limit_group_new(base, limit);
    if (!group || !evconnlistener_new(base, accepted, base, 0, BACKLOG, listen_on(argv[2]))) die("listener");
    puts("listening");
    fflush(stdout);
    return event_base_dispatch(base);
}
