#include "check.h"

static struct event_base *base;

static void read_cb(int fd, short what, void *arg)
{
	char c = 0;
	ssize_t n = read(fd, &c, 1);
	SAY("%s reads %zd %c %#x\n", (char *)arg, n, c, what);
	event_base_loopbreak(base);
}

static void timer_cb(int fd, short what, void *arg)
{
	(void)fd;
	SAY("%s %#x\n", (char *)arg, what);
	event_base_loopbreak(base);
}

static void wait_for(pid_t child)
{
	int status;
	waitpid(child, &status, 0);
	SAY("child %s\n", status == 0 ? "well" : "ill");
}

static void reinit(void)
{
	int fds[2];
	struct event *reader, *sig;
	pid_t child;
	SECTION("fork and event_reinit");
	pair(fds);
	base = event_base_new();
	reader = event_new(base, fds[0], EV_READ | EV_PERSIST, read_cb, "the child");
	sig = evsignal_new(base, SIGUSR1, timer_cb, "the child's signal");
	event_add(reader, NULL);
	event_add(sig, NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		SAY("reinit %d\n", event_reinit(base));
		put(fds[1], "c");
		SAY("loop %d\n", event_base_loop(base, 0));
		raise(SIGUSR1);
		SAY("loop %d\n", event_base_loop(base, 0));
		_exit(0);
	}
	wait_for(child);
	SAY("nothing here %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	put(fds[1], "p");
	SAY("loop %d\n", event_base_loop(base, 0));
	event_free(reader);
	event_free(sig);
	event_base_free(base);
}

static void daemonise(void)
{
	int fds[2];
	struct event *reader, *timer;
	struct timeval tv = millis(5);
	pid_t child;
	SECTION("a daemon goes on with its parent's base");
	pair(fds);
	base = event_base_new();
	reader = event_new(base, fds[0], EV_READ | EV_PERSIST, read_cb, "the daemon");
	timer = event_new(base, -1, 0, timer_cb, "the daemon's timer");
	event_add(reader, NULL);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		put(fds[1], "d");
		SAY("loop %d\n", event_base_loop(base, 0));
		event_add(timer, &tv);
		SAY("loop %d\n", event_base_loop(base, 0));
		_exit(0);
	}
	wait_for(child);
	event_free(reader);
	event_free(timer);
	event_base_free(base);
}

static void fatal(int code)
{
	SAY("fatal %d\n", code == (int)0xdeaddead);
	_exit(3);
}

static void quiet(int severity, const char *text)
{
	SAY("log %d %d\n", severity, text[0] != 0);
}

enum mistake { TWICE, BLANK, READD, FREED, BLOCKING, MISTAKES };

static void in_debug_mode(enum mistake mistake)
{
	struct event ev;
	struct event *heap;
	struct timeval tv = millis(1000);
	int fds[2];
	pid_t child;
	int status;
	fflush(stdout);
	child = fork();
	if (child != 0) {
		waitpid(child, &status, 0);
		SAY("mistake %d: ended %d with %d\n", mistake, WIFEXITED(status), WEXITSTATUS(status));
		return;
	}
	event_set_log_callback(quiet);
	event_set_fatal_callback(fatal);
	event_enable_debug_mode();
	if (mistake == TWICE)
		event_enable_debug_mode();
	base = event_base_new();
	memset(&ev, 0, sizeof ev);
	event_assign(&ev, base, -1, EV_PERSIST, timer_cb, NULL);
	event_add(&ev, &tv);
	event_del(&ev);
	event_add(&ev, &tv);
	if (mistake == READD)
		event_assign(&ev, base, -1, 0, timer_cb, NULL);
	event_del(&ev);
	event_assign(&ev, base, -1, 0, timer_cb, NULL);
	event_debug_unassign(&ev);
	if (mistake == BLANK)
		event_add(&ev, &tv);
	heap = event_new(base, -1, 0, timer_cb, NULL);
	event_free(heap);
	if (mistake == FREED) {
		/* What malloc() leaves there still names a base. */
		event_assign(&ev, base, -1, 0, timer_cb, NULL);
		event_debug_unassign(&ev);
		event_active(&ev, EV_READ, 1);
	}
	if (mistake == BLOCKING) {
		if (evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
			abort();
		event_assign(&ev, base, fds[0], EV_READ, timer_cb, NULL);
	}
	SAY("fine\n");
	_exit(0);
}

static size_t given, taken;

static void *own_malloc(size_t size)
{
	given++;
	return malloc(size);
}

static void *own_realloc(void *place, size_t size)
{
	return realloc(place, size);
}

static void own_free(void *place)
{
	taken++;
	free(place);
}

static void memory(void)
{
	struct event *ev;
	pid_t child;
	SECTION("memory functions");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		event_set_mem_functions(own_malloc, own_realloc, own_free);
		base = event_base_new();
		ev = event_new(base, -1, 0, timer_cb, "timer");
		SAY("given %d\n", given >= 2);
		event_active(ev, EV_READ, 1);
		event_base_loop(base, 0);
		event_free(ev);
		event_base_free(base);
		SAY("taken %d\n", taken >= 2);
		_exit(0);
	}
	wait_for(child);
}

int main(void)
{
	int mistake;
	reinit();
	daemonise();
	memory();
	SECTION("debug mode");
	for (mistake = 0; mistake <= MISTAKES; mistake++)
		in_debug_mode(mistake);
	return 0;
}
