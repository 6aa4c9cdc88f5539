#include "check.h"

static struct event_base *base;
static int left;

static void signal_cb(int sig, short what, void *arg)
{
	struct event *ev = arg;
	SAY("signal %d what %#x left %d\n", sig == SIGUSR1, what, left);
	if (--left == 0)
		SAY("del %d\n", event_del(ev));
}

static void old_handler(int sig)
{
	(void)sig;
	if (write(1, "old handler\n", 12) != 12)
		abort();
}

static void other_cb(int sig, short what, void *arg)
{
	(void)sig;
	SAY("%s %#x\n", (char *)arg, what);
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
	struct event *ev, *more, *timed;
	struct timeval tv = millis(5);
	struct event_base *second;
	pid_t child;
	int status;
	event_set_log_callback(quiet);
	base = event_base_new();

	SECTION("a signal that comes");
	signal(SIGUSR1, old_handler);
	raise(SIGUSR1);
	left = 3;
	ev = evsignal_new(base, SIGUSR1, signal_cb, event_self_cbarg());
	SAY("add %d pending %#x\n", evsignal_add(ev, NULL), evsignal_pending(ev, NULL));
	raise(SIGUSR1);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	kill(getpid(), SIGUSR1);
	raise(SIGUSR1);
	SAY("dispatch %d\n", event_base_dispatch(base));
	raise(SIGUSR1);

	SECTION("several events of a signal");
	more = event_new(base, SIGUSR1, EV_SIGNAL, other_cb, "once");
	left = 2;
	event_add(ev, NULL);
	event_add(more, NULL);
	raise(SIGUSR1);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	SAY("pending %#x %#x\n", evsignal_pending(ev, NULL), evsignal_pending(more, NULL));
	event_base_active_by_signal(base, SIGUSR1);
	event_base_active_by_signal(base, SIGUSR2);
	SAY("dispatch %d\n", event_base_dispatch(base));

	SECTION("a signal with a timeout");
	timed = event_new(base, SIGUSR2, EV_SIGNAL | EV_PERSIST, other_cb, "timed");
	event_add(timed, &tv);
	SAY("loop %d\n", event_base_loop(base, EVLOOP_ONCE));
	SAY("pending %#x\n", event_pending(timed, EV_SIGNAL | EV_TIMEOUT, NULL));
	event_del(timed);

	SECTION("activated several times");
	left = 3;
	event_add(ev, NULL);
	event_active(ev, EV_SIGNAL, 5);
	SAY("dispatch %d\n", event_base_dispatch(base));

	SECTION("what was there before is back");
	raise(SIGUSR1);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		signal(SIGUSR2, SIG_DFL);
		event_add(timed, NULL);
		event_del(timed);
		raise(SIGUSR2);
		_exit(0);
	}
	waitpid(child, &status, 0);
	SAY("ended by its signal %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);

	SECTION("no signal");
	event_free(ev);
	ev = event_new(base, 4711, EV_SIGNAL, signal_cb, NULL);
	SAY("made %d\n", ev != NULL);
	event_free(ev);
	ev = evsignal_new(base, SIGKILL, signal_cb, NULL);
	SAY("add %d\n", event_add(ev, NULL));
	event_free(ev);
	event_free(more);
	event_free(timed);

	SECTION("another base");
	second = event_base_new();
	left = 1;
	ev = evsignal_new(second, SIGUSR1, signal_cb, event_self_cbarg());
	event_add(ev, NULL);
	raise(SIGUSR1);
	SAY("dispatch %d\n", event_base_dispatch(second));
	event_free(ev);
	event_base_free(second);
	event_base_free(base);
	raise(SIGUSR1);
	SAY("end\n");
	return 0;
}
