#include <event.h>

#include "check.h"

static int left = 3;

static void timer_cb(int fd, short what, void *arg)
{
	struct event *ev = arg;
	struct timeval tv = millis(3);
	SAY("timer %d %#x\n", fd, what);
	if (--left > 0)
		evtimer_add(ev, &tv);
	else
		SAY("exit %d\n", event_loopexit(NULL));
}

static void read_cb(int fd, short what, void *arg)
{
	char c;
	(void)arg;
	SAY("read %zd %#x\n", read(fd, &c, 1), what);
}

static void break_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	SAY("break %d\n", event_loopbreak());
}

int main(void)
{
	struct event timer, reader, stop;
	struct timeval tv = millis(3);
	struct event_base *base, *other;
	int fds[2];
	base = event_init();
	SAY("base %d method %d\n", base != NULL, event_get_method() != NULL);
	SAY("priorities %d\n", event_priority_init(2));
	evtimer_set(&timer, timer_cb, &timer);
	SAY("initialized %d\n", evtimer_initialized(&timer) != 0);
	evtimer_add(&timer, &tv);
	pair(fds);
	event_set(&reader, fds[0], EV_READ | EV_PERSIST, read_cb, NULL);
	event_add(&reader, NULL);
	put(fds[1], "x");
	SAY("dispatch %d\n", event_dispatch());
	put(fds[1], "y");
	SAY("loop %d\n", event_loop(EVLOOP_ONCE));
	event_set(&stop, -1, 0, break_cb, NULL);
	event_active(&stop, EV_READ, 1);
	SAY("dispatch %d\n", event_dispatch());
	event_del(&reader);
	SAY("once %d\n", event_once(-1, EV_TIMEOUT, timer_cb, &timer, &tv));
	SAY("dispatch %d\n", event_dispatch());
	other = event_base_new();
	event_set(&timer, -1, 0, break_cb, NULL);
	SAY("set %d same %d\n", event_base_set(other, &timer), event_get_base(&timer) == other);
	event_add(&timer, &tv);
	SAY("set while added %d\n", event_base_set(base, &timer));
	event_del(&timer);
	event_base_free(other);
	event_base_free(NULL);
	return 0;
}
