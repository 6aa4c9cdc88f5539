#include "check.h"

static void show(const char *name, struct event_config *cfg)
{
	struct event_base *base = event_base_new_with_config(cfg);
	if (!base) {
		SAY("%s: none\n", name);
		return;
	}
	SAY("%s: %s %#x\n", name, event_base_get_method(base), event_base_get_features(base));
	event_base_free(base);
}

static int ran;
static struct event *urgent;

static void low_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	SAY("%s after %d\n", (char *)arg, ran);
	if (++ran == 2)
		event_active(urgent, EV_READ, 1);
}

static void limits(int callbacks, int from, const char *name)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;
	struct event *ev[5];
	int i;
	SECTION(name);
	SAY("set %d\n", event_config_set_max_dispatch_interval(cfg, NULL, callbacks, from));
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	event_base_priority_init(base, 2);
	urgent = event_new(base, -1, 0, low_cb, "urgent");
	event_priority_set(urgent, 0);
	ran = 0;
	for (i = 0; i < 5; i++) {
		ev[i] = event_new(base, -1, 0, low_cb, "low");
		event_priority_set(ev[i], 1);
		event_active(ev[i], EV_READ, 1);
	}
	SAY("once %d\n", event_base_loop(base, EVLOOP_ONCE));
	SAY("ran %d\n", ran);
	SAY("dispatch %d\n", event_base_dispatch(base));
	for (i = 0; i < 5; i++)
		event_free(ev[i]);
	event_free(urgent);
	event_base_free(base);
}

static void slow_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ran++;
	usleep(30000);
}

static void interval(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;
	struct timeval tv = millis(5);
	struct event *ev[3];
	int i;
	SECTION("an interval");
	event_config_set_max_dispatch_interval(cfg, &tv, -1, 0);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	ran = 0;
	for (i = 0; i < 3; i++) {
		ev[i] = event_new(base, -1, 0, slow_cb, NULL);
		event_active(ev[i], EV_READ, 1);
	}
	SAY("count %d\n", event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE));
	SAY("dispatch %d ran %d\n", event_base_dispatch(base), ran);
	for (i = 0; i < 3; i++)
		event_free(ev[i]);
	event_base_free(base);
}

static void quiet(int severity, const char *text)
{
	(void)text;
	if (severity > EVENT_LOG_MSG)
		SAY("log %d\n", severity);
	else
		SAY("%s\n", text);
}

int main(void)
{
	struct event_config *cfg;
	const char **methods = event_get_supported_methods();
	event_set_log_callback(quiet);
	SAY("first %s then %s\n", methods[0], methods[1]);
	show("default", NULL);
	cfg = event_config_new();
	show("fresh", cfg);
	SAY("avoid %d\n", event_config_avoid_method(cfg, "epoll"));
	show("without epoll", cfg);
	event_config_free(cfg);
	cfg = event_config_new();
	SAY("require %d\n", event_config_require_features(cfg, EV_FEATURE_FDS));
	SAY("hint %d flag %d\n", event_config_set_num_cpus_hint(cfg, 3),
		event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK));
	show("files", cfg);
	event_config_require_features(cfg, EV_FEATURE_ET | EV_FEATURE_O1 | EV_FEATURE_EARLY_CLOSE);
	show("edges", cfg);
	event_config_require_features(cfg, EV_FEATURE_ET | EV_FEATURE_FDS);
	show("both", cfg);
	event_config_free(cfg);
	setenv("EVENT_NOEPOLL", "1", 1);
	show("EVENT_NOEPOLL", NULL);
	cfg = event_config_new();
	event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NO_CACHE_TIME);
	show("deaf to it", cfg);
	event_config_free(cfg);
	unsetenv("EVENT_NOEPOLL");
	setenv("EVENT_SHOW_METHOD", "1", 1);
	show("EVENT_SHOW_METHOD", NULL);
	unsetenv("EVENT_SHOW_METHOD");
	limits(2, 0, "two callbacks");
	limits(1, 1, "one callback, of the second priority");
	limits(2, 2, "two callbacks, of no priority");
	limits(-1, 0, "no limit");
	interval();
	return 0;
}
