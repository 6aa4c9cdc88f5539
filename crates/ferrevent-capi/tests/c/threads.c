#include "check.h"

#include <event2/thread.h>
#include <pthread.h>

static struct event_base *base;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int phase;

static void enter(int n)
{
	pthread_mutex_lock(&mutex);
	phase = n;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void reach(int n)
{
	pthread_mutex_lock(&mutex);
	while (phase < n)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
}

static void *run(void *arg)
{
	(void)arg;
	return (void *)(long)event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void tell_cb(int fd, short what, void *arg)
{
	(void)fd;
	SAY("%s %#x\n", (char *)arg, what);
	enter(phase + 1);
}

static void slow_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	enter(1);
	usleep(50000);
	SAY("slow callback ends\n");
}

static void from_outside(void)
{
	pthread_t thread;
	void *end;
	int fds[2];
	struct timeval tv = millis(3), hour = millis(3600000);
	struct event *user, *timer, *reader, *slow, *far;
	SECTION("another thread");
	base = event_base_new();
	pair(fds);
	user = event_new(base, -1, 0, tell_cb, "user");
	timer = event_new(base, -1, 0, tell_cb, "timer");
	far = event_new(base, -1, 0, tell_cb, "far");
	reader = event_new(base, fds[0], EV_READ, tell_cb, "reader");
	slow = event_new(base, -1, 0, slow_cb, NULL);
	event_add(far, &hour);
	pthread_create(&thread, NULL, run, NULL);
	usleep(20000);
	event_active(user, EV_READ, 1);
	reach(1);
	event_add(timer, &tv);
	reach(2);
	put(fds[1], "x");
	event_add(reader, NULL);
	reach(3);
	event_base_once(base, -1, EV_TIMEOUT, tell_cb, "once", NULL);
	reach(4);
	phase = 0;
	event_active(slow, EV_READ, 1);
	reach(1);
	SAY("del %d\n", event_del(slow));
	SAY("del has waited\n");
	usleep(20000);
	SAY("break %d\n", event_base_loopbreak(base));
	pthread_join(thread, &end);
	SAY("loop %ld break %d\n", (long)end, event_base_got_break(base));
	event_free(user);
	event_free(timer);
	event_free(far);
	event_free(reader);
	event_free(slow);
	event_base_free(base);
	close(fds[0]);
	close(fds[1]);
}

#define ROUNDS 2000
#define THREADS 4

static int hits;

static void hit_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	__sync_fetch_and_add(&hits, 1);
}

static void *storm(void *arg)
{
	struct event *ev = arg;
	struct timeval tv = millis(1);
	int i;
	for (i = 0; i < ROUNDS; i++) {
		event_add(ev, &tv);
		event_active(ev, EV_READ, 1);
		if (i % 3 == 0)
			event_del(ev);
		event_pending(ev, EV_TIMEOUT, &tv);
		tv = millis(1);
	}
	event_del(ev);
	return NULL;
}

static void many(void)
{
	pthread_t loop, thread[THREADS];
	struct event *ev[THREADS];
	int i;
	SECTION("many threads");
	base = event_base_new();
	for (i = 0; i < THREADS; i++)
		ev[i] = event_new(base, -1, EV_PERSIST, hit_cb, NULL);
	pthread_create(&loop, NULL, run, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, storm, ev[i]);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	event_base_loopexit(base, NULL);
	pthread_join(loop, NULL);
	/* Whether there was a hit is a matter of who was faster. */
	SAY("hits %d left %d\n", hits >= 0, event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED));
	for (i = 0; i < THREADS; i++)
		event_free(ev[i]);
	event_base_free(base);
}

static int locks, conditions, held;

static void *own_alloc(unsigned kind)
{
	pthread_mutex_t *it = malloc(sizeof *it);
	(void)kind;
	locks++;
	pthread_mutex_init(it, NULL);
	return it;
}

static void own_free(void *lock, unsigned kind)
{
	(void)kind;
	locks--;
	free(lock);
}

static int own_lock(unsigned mode, void *lock)
{
	(void)mode;
	pthread_mutex_lock(lock);
	held++;
	return 0;
}

static int own_unlock(unsigned mode, void *lock)
{
	(void)mode;
	held--;
	return pthread_mutex_unlock(lock);
}

static void *own_condition(unsigned kind)
{
	pthread_cond_t *it = malloc(sizeof *it);
	(void)kind;
	conditions++;
	pthread_cond_init(it, NULL);
	return it;
}

static void own_condition_free(void *cond)
{
	conditions--;
	free(cond);
}

static int own_signal(void *cond, int all)
{
	return all ? pthread_cond_broadcast(cond) : pthread_cond_signal(cond);
}

static int own_wait(void *cond, void *lock, const struct timeval *tv)
{
	(void)tv;
	return pthread_cond_wait(cond, lock);
}

static unsigned long own_id(void)
{
	return (unsigned long)pthread_self();
}

static void look_cb(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	SAY("held in a callback %d\n", held);
}

static void own_functions(void)
{
	struct evthread_lock_callbacks mine = {EVTHREAD_LOCK_API_VERSION, EVTHREAD_LOCKTYPE_RECURSIVE,
		own_alloc, own_free, own_lock, own_unlock};
	struct evthread_condition_callbacks cond = {EVTHREAD_CONDITION_API_VERSION, own_condition,
		own_condition_free, own_signal, own_wait};
	struct evthread_lock_callbacks bad = mine;
	struct event *ev;
	int before;
	SECTION("functions of the program's own");
	bad.unlock = NULL;
	SAY("bad %d\n", evthread_set_lock_callbacks(&bad));
	SAY("set %d %d\n", evthread_set_lock_callbacks(&mine), evthread_set_condition_callbacks(&cond));
	evthread_set_id_callback(own_id);
	SAY("again %d\n", evthread_set_lock_callbacks(&mine));
	before = locks;
	base = event_base_new();
	SAY("locks %d conditions %d\n", locks > before, conditions);
	SAY("notifiable %d\n", evthread_make_base_notifiable(base));
	ev = event_new(base, -1, 0, look_cb, NULL);
	event_active(ev, EV_READ, 1);
	event_base_dispatch(base);
	event_free(ev);
	event_base_free(base);
	SAY("given back %d %d held %d\n", locks == before, conditions, held);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		own_functions();
		return 0;
	}
	SAY("pthreads %d %d\n", evthread_use_pthreads(), evthread_use_pthreads());
	base = event_base_new();
	SAY("notifiable %d\n", evthread_make_base_notifiable(base));
	event_base_free(base);
	from_outside();
	many();
	return 0;
}
