/* event_active on one event from another thread, as fast as it goes; what counts is the callbacks
 * that ran. Prints: wakes <TAB> callbacks <TAB> CPU ns of the loop's thread <TAB> seconds */
#include "wakes.h"
#include <event2/event.h>
#include <event2/thread.h>

static struct event_base *base;
static struct event *event;

static void ran(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what, (void)context;
    if (count_callback()) event_base_loopbreak(base);
}

static void wake_once(void) { event_active(event, EV_READ, 0); }

static void loop(void) {
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

int main(void) {
    evthread_use_pthreads();
    base = event_base_new();
    event = event_new(base, -1, EV_PERSIST, ran, NULL);
    if (!base || !event || event_add(event, NULL) < 0) return 2;
    flood(loop, wake_once);
    return 0;
}
