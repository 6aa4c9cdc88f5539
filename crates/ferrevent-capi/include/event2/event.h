/* Events: descriptors that are ready, times that are over, signals that came,
 * and bases that wait for them and call what belongs to them. */
#ifndef EVENT2_EVENT_H_INCLUDED_
#define EVENT2_EVENT_H_INCLUDED_

#include <stdio.h>
#ifdef _WIN32
#include <winsock2.h>
#endif
#include <sys/time.h>
#include <sys/types.h>

#include <event2/event-config.h>
#include <event2/util.h>
#include <event2/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event;
struct event_base;
struct event_config;

/* Version of the interface. */
#define LIBEVENT_VERSION EVENT__VERSION
#define LIBEVENT_VERSION_NUMBER EVENT__NUMERIC_VERSION
EVENT2_EXPORT_SYMBOL const char *event_get_version(void);
EVENT2_EXPORT_SYMBOL ev_uint32_t event_get_version_number(void);

/* Configuration of a base. Functions that return an int answer 0 or -1. */
enum event_method_feature {
	/* EV_ET works. */
	EV_FEATURE_ET = 0x01,
	/* As fast with many descriptors as with few. */
	EV_FEATURE_O1 = 0x02,
	/* Any file will do, not only what epoll(7) takes. */
	EV_FEATURE_FDS = 0x04,
	/* EV_CLOSED works. */
	EV_FEATURE_EARLY_CLOSE = 0x08
};

enum event_base_config_flag {
	/* No lock: the base is used from one thread only. */
	EVENT_BASE_FLAG_NOLOCK = 0x01,
	/* EVENT_* variables of the environment mean nothing. */
	EVENT_BASE_FLAG_IGNORE_ENV = 0x02,
	/* Bufferevents hand their bytes to the kernel, which tells when they have
	 * moved: on a completion port (Windows), io_uring. Elsewhere it means
	 * nothing. */
	EVENT_BASE_FLAG_STARTUP_IOCP = 0x04,
	/* The clock is read whenever the time is asked for. */
	EVENT_BASE_FLAG_NO_CACHE_TIME = 0x08,
	/* Means nothing here. */
	EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST = 0x10,
	/* The clock is always as precise as it can be. */
	EVENT_BASE_FLAG_PRECISE_TIMER = 0x20
};

EVENT2_EXPORT_SYMBOL struct event_config *event_config_new(void);
EVENT2_EXPORT_SYMBOL void event_config_free(struct event_config *cfg);
EVENT2_EXPORT_SYMBOL int event_config_avoid_method(struct event_config *cfg, const char *method);
EVENT2_EXPORT_SYMBOL int event_config_require_features(struct event_config *cfg, int feature);
EVENT2_EXPORT_SYMBOL int event_config_set_flag(struct event_config *cfg, int flag);
EVENT2_EXPORT_SYMBOL int event_config_set_num_cpus_hint(struct event_config *cfg, int cpus);
/* Ask the kernel again after so long or so many callbacks, among those of a
 * priority of this number or less urgent ones. */
EVENT2_EXPORT_SYMBOL int event_config_set_max_dispatch_interval(struct event_config *cfg,
	const struct timeval *max_interval, int max_callbacks, int min_priority);

/* Bases. */
EVENT2_EXPORT_SYMBOL struct event_base *event_base_new(void);
EVENT2_EXPORT_SYMBOL struct event_base *event_base_new_with_config(const struct event_config *);
EVENT2_EXPORT_SYMBOL void event_base_free(struct event_base *);
EVENT2_EXPORT_SYMBOL void event_base_free_nofinalize(struct event_base *);
/* To be called in the child of a fork(2) that goes on with the base. */
EVENT2_EXPORT_SYMBOL int event_reinit(struct event_base *base);
EVENT2_EXPORT_SYMBOL const char *event_base_get_method(const struct event_base *);
EVENT2_EXPORT_SYMBOL const char **event_get_supported_methods(void);
EVENT2_EXPORT_SYMBOL int event_base_get_features(const struct event_base *base);

#define EVENT_BASE_COUNT_ACTIVE 1U
#define EVENT_BASE_COUNT_VIRTUAL 2U
#define EVENT_BASE_COUNT_ADDED 4U
EVENT2_EXPORT_SYMBOL int event_base_get_num_events(struct event_base *, unsigned int);
EVENT2_EXPORT_SYMBOL int event_base_get_max_events(struct event_base *, unsigned int, int);

#define EVENT_MAX_PRIORITIES 256
EVENT2_EXPORT_SYMBOL int event_base_priority_init(struct event_base *, int);
EVENT2_EXPORT_SYMBOL int event_base_get_npriorities(struct event_base *eb);

/* Running a base: 0 when it was told to end, 1 when nothing is added, -1 for
 * an error. */
/* Wait until something is active, and end when that is done. */
#define EVLOOP_ONCE 0x01
/* Do not wait. */
#define EVLOOP_NONBLOCK 0x02
/* Wait on although nothing is added. */
#define EVLOOP_NO_EXIT_ON_EMPTY 0x04
EVENT2_EXPORT_SYMBOL int event_base_dispatch(struct event_base *);
EVENT2_EXPORT_SYMBOL int event_base_loop(struct event_base *, int);
EVENT2_EXPORT_SYMBOL int event_base_loopexit(struct event_base *, const struct timeval *);
EVENT2_EXPORT_SYMBOL int event_base_loopbreak(struct event_base *);
EVENT2_EXPORT_SYMBOL int event_base_loopcontinue(struct event_base *);
EVENT2_EXPORT_SYMBOL int event_base_got_exit(struct event_base *);
EVENT2_EXPORT_SYMBOL int event_base_got_break(struct event_base *);

/* What an event waits for, and what has happened to it. */
#define EV_TIMEOUT 0x01
#define EV_READ 0x02
#define EV_WRITE 0x04
#define EV_SIGNAL 0x08
/* It stays added when it has happened. */
#define EV_PERSIST 0x10
/* The kernel tells only what changes. */
#define EV_ET 0x20
/* event_del() does not wait for a callback that runs on another thread. */
#define EV_FINALIZE 0x40
/* The peer has ended its side. */
#define EV_CLOSED 0x80

typedef void (*event_callback_fn)(evutil_socket_t, short, void *);
typedef void (*event_finalize_callback_fn)(struct event *, void *);

/* Events. */
EVENT2_EXPORT_SYMBOL struct event *event_new(struct event_base *, evutil_socket_t, short, event_callback_fn, void *);
EVENT2_EXPORT_SYMBOL void event_free(struct event *);
EVENT2_EXPORT_SYMBOL int event_assign(struct event *, struct event_base *, evutil_socket_t, short, event_callback_fn, void *);
/* As an argument: the event itself. */
EVENT2_EXPORT_SYMBOL void *event_self_cbarg(void);
EVENT2_EXPORT_SYMBOL int event_base_set(struct event_base *, struct event *);
EVENT2_EXPORT_SYMBOL int event_base_once(struct event_base *, evutil_socket_t, short, event_callback_fn, void *, const struct timeval *);
EVENT2_EXPORT_SYMBOL int event_add(struct event *ev, const struct timeval *timeout);
EVENT2_EXPORT_SYMBOL int event_remove_timer(struct event *ev);
EVENT2_EXPORT_SYMBOL int event_del(struct event *);
EVENT2_EXPORT_SYMBOL int event_del_noblock(struct event *ev);
EVENT2_EXPORT_SYMBOL int event_del_block(struct event *ev);
EVENT2_EXPORT_SYMBOL void event_active(struct event *ev, int res, short ncalls);
EVENT2_EXPORT_SYMBOL void event_base_active_by_fd(struct event_base *base, evutil_socket_t fd, short events);
EVENT2_EXPORT_SYMBOL void event_base_active_by_signal(struct event_base *base, int sig);
EVENT2_EXPORT_SYMBOL int event_finalize(unsigned, struct event *, event_finalize_callback_fn);
EVENT2_EXPORT_SYMBOL int event_free_finalize(unsigned, struct event *, event_finalize_callback_fn);

/* What of these events is pending, and when its time will be over. */
EVENT2_EXPORT_SYMBOL int event_pending(const struct event *ev, short events, struct timeval *tv);
EVENT2_EXPORT_SYMBOL int event_initialized(const struct event *ev);
EVENT2_EXPORT_SYMBOL struct event *event_base_get_running_event(struct event_base *base);
#define event_get_signal(ev) ((int)event_get_fd(ev))
EVENT2_EXPORT_SYMBOL evutil_socket_t event_get_fd(const struct event *ev);
EVENT2_EXPORT_SYMBOL struct event_base *event_get_base(const struct event *ev);
EVENT2_EXPORT_SYMBOL short event_get_events(const struct event *ev);
EVENT2_EXPORT_SYMBOL event_callback_fn event_get_callback(const struct event *ev);
EVENT2_EXPORT_SYMBOL void *event_get_callback_arg(const struct event *ev);
EVENT2_EXPORT_SYMBOL int event_get_priority(const struct event *ev);
EVENT2_EXPORT_SYMBOL void event_get_assignment(const struct event *event,
	struct event_base **base_out, evutil_socket_t *fd_out, short *events_out,
	event_callback_fn *callback_out, void **arg_out);
EVENT2_EXPORT_SYMBOL size_t event_get_struct_event_size(void);
EVENT2_EXPORT_SYMBOL int event_priority_set(struct event *, int);

/* Short names for the common kinds. */
#define evtimer_assign(ev, b, cb, arg) event_assign((ev), (b), -1, 0, (cb), (arg))
#define evtimer_new(b, cb, arg) event_new((b), -1, 0, (cb), (arg))
#define evtimer_add(ev, tv) event_add((ev), (tv))
#define evtimer_del(ev) event_del(ev)
#define evtimer_pending(ev, tv) event_pending((ev), EV_TIMEOUT, (tv))
#define evtimer_initialized(ev) event_initialized(ev)

#define evsignal_assign(ev, b, x, cb, arg) event_assign((ev), (b), (x), EV_SIGNAL | EV_PERSIST, cb, (arg))
#define evsignal_new(b, x, cb, arg) event_new((b), (x), EV_SIGNAL | EV_PERSIST, (cb), (arg))
#define evsignal_add(ev, tv) event_add((ev), (tv))
#define evsignal_del(ev) event_del(ev)
#define evsignal_pending(ev, tv) event_pending((ev), EV_SIGNAL, (tv))
#define evsignal_initialized(ev) event_initialized(ev)

#define evuser_new(b, cb, arg) event_new((b), -1, 0, (cb), (arg))
#define evuser_del(ev) event_del(ev)
#define evuser_pending(ev, tv) event_pending((ev), 0, (tv))
#define evuser_initialized(ev) event_initialized(ev)
#define evuser_trigger(ev) event_active((ev), 0, 0)

/* Time. */
EVENT2_EXPORT_SYMBOL int event_gettime_monotonic(struct event_base *base, struct timeval *tp);
EVENT2_EXPORT_SYMBOL int event_base_gettimeofday_cached(struct event_base *base, struct timeval *tv);
EVENT2_EXPORT_SYMBOL int event_base_update_cache_time(struct event_base *base);
/* A duration that many events have: the answer is to be given to event_add(). */
EVENT2_EXPORT_SYMBOL const struct timeval *event_base_init_common_timeout(struct event_base *base,
	const struct timeval *duration);

/* Looking at a base. */
typedef int (*event_base_foreach_event_cb)(const struct event_base *, const struct event *, void *);
EVENT2_EXPORT_SYMBOL int event_base_foreach_event(struct event_base *base, event_base_foreach_event_cb fn, void *arg);
EVENT2_EXPORT_SYMBOL void event_base_dump_events(struct event_base *, FILE *);

/* Messages. */
#define EVENT_LOG_DEBUG 0
#define EVENT_LOG_MSG 1
#define EVENT_LOG_WARN 2
#define EVENT_LOG_ERR 3
#define _EVENT_LOG_DEBUG EVENT_LOG_DEBUG
#define _EVENT_LOG_MSG EVENT_LOG_MSG
#define _EVENT_LOG_WARN EVENT_LOG_WARN
#define _EVENT_LOG_ERR EVENT_LOG_ERR
typedef void (*event_log_cb)(int severity, const char *msg);
typedef void (*event_fatal_cb)(int err);
EVENT2_EXPORT_SYMBOL void event_set_log_callback(event_log_cb cb);
EVENT2_EXPORT_SYMBOL void event_set_fatal_callback(event_fatal_cb cb);
#define EVENT_DBG_ALL 0xffffffffu
#define EVENT_DBG_NONE 0
EVENT2_EXPORT_SYMBOL void event_enable_debug_logging(ev_uint32_t which);
/* Every use of an event is checked; to be called before any is made. */
EVENT2_EXPORT_SYMBOL void event_enable_debug_mode(void);
EVENT2_EXPORT_SYMBOL void event_debug_unassign(struct event *);

/* Memory for what is given to the program. */
#define EVENT_SET_MEM_FUNCTIONS_IMPLEMENTED
EVENT2_EXPORT_SYMBOL void event_set_mem_functions(void *(*malloc_fn)(size_t sz),
	void *(*realloc_fn)(void *ptr, size_t sz), void (*free_fn)(void *ptr));

EVENT2_EXPORT_SYMBOL void libevent_global_shutdown(void);

#ifdef __cplusplus
}
#endif
#endif
