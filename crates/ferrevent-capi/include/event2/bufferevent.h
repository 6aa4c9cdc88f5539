/* Bufferevents: an input and an output buffer over a descriptor, over another
 * bufferevent, or over each other. Unless said otherwise a function answers 0,
 * or -1. */
#ifndef EVENT2_BUFFEREVENT_H_INCLUDED_
#define EVENT2_BUFFEREVENT_H_INCLUDED_

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

/* What an event callback is told: in which direction, and what. */
#define BEV_EVENT_READING 0x01
#define BEV_EVENT_WRITING 0x02
#define BEV_EVENT_EOF 0x10
#define BEV_EVENT_ERROR 0x20
#define BEV_EVENT_TIMEOUT 0x40
#define BEV_EVENT_CONNECTED 0x80

struct bufferevent;
struct event_base;
struct evbuffer;
struct evdns_base;
struct sockaddr;

/* There is at least the low mark to read, or at most the low mark to write. */
typedef void (*bufferevent_data_cb)(struct bufferevent *bev, void *ctx);
typedef void (*bufferevent_event_cb)(struct bufferevent *bev, short what, void *ctx);

enum bufferevent_options {
	/* What it is over ends with it. */
	BEV_OPT_CLOSE_ON_FREE = 1 << 0,
	/* Several threads use it. */
	BEV_OPT_THREADSAFE = 1 << 1,
	/* Callbacks are called by the loop, never by a function of these. */
	BEV_OPT_DEFER_CALLBACKS = 1 << 2,
	/* And without its lock: only with BEV_OPT_DEFER_CALLBACKS. */
	BEV_OPT_UNLOCK_CALLBACKS = 1 << 3
};

/* Over a descriptor that does not block, or -1 for one that comes later. */
EVENT2_EXPORT_SYMBOL struct bufferevent *bufferevent_socket_new(struct event_base *base, evutil_socket_t fd, int options);
/* The event callback is told BEV_EVENT_CONNECTED or BEV_EVENT_ERROR. Without
 * an address the descriptor is connecting already. */
EVENT2_EXPORT_SYMBOL int bufferevent_socket_connect(struct bufferevent *bev, const struct sockaddr *addr, int socklen);
/* Waits for the name to be looked up. */
EVENT2_EXPORT_SYMBOL int bufferevent_socket_connect_hostname(struct bufferevent *bev, struct evdns_base *evdns_base, int family, const char *hostname, int port);
/* Why that failed, for evutil_gai_strerror(). */
EVENT2_EXPORT_SYMBOL int bufferevent_socket_get_dns_error(struct bufferevent *bev);

/* Only for those over a descriptor. */
EVENT2_EXPORT_SYMBOL int bufferevent_base_set(struct event_base *base, struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL struct event_base *bufferevent_get_base(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL int bufferevent_priority_set(struct bufferevent *bev, int pri);
EVENT2_EXPORT_SYMBOL int bufferevent_get_priority(const struct bufferevent *bev);

/* What is not written yet is lost. Its own callbacks may free it. */
EVENT2_EXPORT_SYMBOL void bufferevent_free(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL void bufferevent_incref(struct bufferevent *bev);
/* 1 when that was the last reference. */
EVENT2_EXPORT_SYMBOL int bufferevent_decref(struct bufferevent *bev);

EVENT2_EXPORT_SYMBOL void bufferevent_setcb(struct bufferevent *bev, bufferevent_data_cb readcb, bufferevent_data_cb writecb,
	bufferevent_event_cb eventcb, void *cbarg);
EVENT2_EXPORT_SYMBOL void bufferevent_getcb(struct bufferevent *bev, bufferevent_data_cb *readcb, bufferevent_data_cb *writecb,
	bufferevent_event_cb *eventcb, void **cbarg);

EVENT2_EXPORT_SYMBOL int bufferevent_setfd(struct bufferevent *bev, evutil_socket_t fd);
EVENT2_EXPORT_SYMBOL evutil_socket_t bufferevent_getfd(struct bufferevent *bev);
/* What a filter is over; null for others. */
EVENT2_EXPORT_SYMBOL struct bufferevent *bufferevent_get_underlying(struct bufferevent *bev);

EVENT2_EXPORT_SYMBOL int bufferevent_write(struct bufferevent *bev, const void *data, size_t size);
EVENT2_EXPORT_SYMBOL int bufferevent_write_buffer(struct bufferevent *bev, struct evbuffer *buf);
EVENT2_EXPORT_SYMBOL size_t bufferevent_read(struct bufferevent *bev, void *data, size_t size);
EVENT2_EXPORT_SYMBOL int bufferevent_read_buffer(struct bufferevent *bev, struct evbuffer *buf);
/* The program takes from the input and adds to the output, and nothing else. */
EVENT2_EXPORT_SYMBOL struct evbuffer *bufferevent_get_input(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL struct evbuffer *bufferevent_get_output(struct bufferevent *bev);

/* EV_READ, EV_WRITE or both; at first it is EV_WRITE. */
EVENT2_EXPORT_SYMBOL int bufferevent_enable(struct bufferevent *bev, short event);
EVENT2_EXPORT_SYMBOL int bufferevent_disable(struct bufferevent *bev, short event);
EVENT2_EXPORT_SYMBOL short bufferevent_get_enabled(struct bufferevent *bev);

/* After so long without a byte the direction is disabled, and the event
 * callback told BEV_EVENT_TIMEOUT. Null is no timeout. */
EVENT2_EXPORT_SYMBOL int bufferevent_set_timeouts(struct bufferevent *bev, const struct timeval *timeout_read, const struct timeval *timeout_write);
/* Reading stops at the high mark of EV_READ; 0 is none. */
EVENT2_EXPORT_SYMBOL void bufferevent_setwatermark(struct bufferevent *bev, short events, size_t lowmark, size_t highmark);
EVENT2_EXPORT_SYMBOL int bufferevent_getwatermark(struct bufferevent *bev, short events, size_t *lowmark, size_t *highmark);

/* With BEV_OPT_THREADSAFE. */
EVENT2_EXPORT_SYMBOL void bufferevent_lock(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL void bufferevent_unlock(struct bufferevent *bev);

enum bufferevent_flush_mode {
	/* As it is convenient. */
	BEV_NORMAL = 0,
	/* Everything so far. */
	BEV_FLUSH = 1,
	/* Everything there will ever be. */
	BEV_FINISHED = 2
};

/* 1 when bytes were produced. */
EVENT2_EXPORT_SYMBOL int bufferevent_flush(struct bufferevent *bev, short iotype, enum bufferevent_flush_mode mode);

enum bufferevent_trigger_options {
	BEV_TRIG_IGNORE_WATERMARKS = 1 << 16,
	BEV_TRIG_DEFER_CALLBACKS = BEV_OPT_DEFER_CALLBACKS
};

/* Calls callbacks as if something had happened. */
EVENT2_EXPORT_SYMBOL void bufferevent_trigger(struct bufferevent *bev, short iotype, int options);
EVENT2_EXPORT_SYMBOL void bufferevent_trigger_event(struct bufferevent *bev, short what, int options);

enum bufferevent_filter_result {
	BEV_OK = 0,
	/* It needs more before it can produce anything. */
	BEV_NEED_MORE = 1,
	BEV_ERROR = 2
};

/* Takes from src and adds to dst, dst_limit bytes unless that is -1. */
typedef enum bufferevent_filter_result (*bufferevent_filter_cb)(struct evbuffer *src, struct evbuffer *dst, ev_ssize_t dst_limit,
	enum bufferevent_flush_mode mode, void *ctx);

/* What has no filter passes as it is. */
EVENT2_EXPORT_SYMBOL struct bufferevent *bufferevent_filter_new(struct bufferevent *underlying, bufferevent_filter_cb input_filter,
	bufferevent_filter_cb output_filter, int options, void (*free_context)(void *), void *ctx);

/* Each reads what the other writes. */
EVENT2_EXPORT_SYMBOL int bufferevent_pair_new(struct event_base *base, int options, struct bufferevent *pair[2]);
EVENT2_EXPORT_SYMBOL struct bufferevent *bufferevent_pair_get_partner(struct bufferevent *bev);

/* Rate limits. They count what bufferevents over descriptors read and write;
 * pairs and filters have buckets too, which nobody empties: limit what a
 * filter is over. */
struct ev_token_bucket_cfg;
struct bufferevent_rate_limit_group;
#define EV_RATE_LIMIT_MAX EV_SSIZE_MAX

/* Bytes in a tick, and the most in a bucket; a bucket has a tick's bytes at
 * first, and gains them evenly. A tick is a second unless it is given, and of
 * whole milliseconds. Null for a rate of 0, or above its burst, and for a tick
 * below a millisecond. */
EVENT2_EXPORT_SYMBOL struct ev_token_bucket_cfg *ev_token_bucket_cfg_new(size_t read_rate, size_t read_burst, size_t write_rate, size_t write_burst,
	const struct timeval *tick_len);
/* When no bufferevent has it any more. */
EVENT2_EXPORT_SYMBOL void ev_token_bucket_cfg_free(struct ev_token_bucket_cfg *cfg);
/* Null takes its limits away. The buckets of one that has limits stay as they
 * are, as far as they have room. */
EVENT2_EXPORT_SYMBOL int bufferevent_set_rate_limit(struct bufferevent *bev, struct ev_token_bucket_cfg *cfg);
/* What was given there, or null. */
EVENT2_EXPORT_SYMBOL const struct ev_token_bucket_cfg *bufferevent_get_token_bucket_cfg(const struct bufferevent *bev);

/* Bufferevents that share limits, of any bases and threads; turns come by way
 * of this base, which goes on as long as the group is there. The settings are
 * copied. */
EVENT2_EXPORT_SYMBOL struct bufferevent_rate_limit_group *bufferevent_rate_limit_group_new(struct event_base *base, const struct ev_token_bucket_cfg *cfg);
EVENT2_EXPORT_SYMBOL int bufferevent_rate_limit_group_set_cfg(struct bufferevent_rate_limit_group *, const struct ev_token_bucket_cfg *);
/* The least that one of it may move at a time: 64 bytes unless it is set, and
 * no more than a tick brings. */
EVENT2_EXPORT_SYMBOL int bufferevent_rate_limit_group_set_min_share(struct bufferevent_rate_limit_group *, size_t);
/* Nobody may be in it: otherwise the process is ended. */
EVENT2_EXPORT_SYMBOL void bufferevent_rate_limit_group_free(struct bufferevent_rate_limit_group *);
/* It leaves the group that it is in; null is no other. */
EVENT2_EXPORT_SYMBOL int bufferevent_add_to_rate_limit_group(struct bufferevent *bev, struct bufferevent_rate_limit_group *g);
EVENT2_EXPORT_SYMBOL int bufferevent_remove_from_rate_limit_group(struct bufferevent *bev);

/* What is in its own buckets: EV_SSIZE_MAX without limits of its own, and less
 * than nothing while bytes are owed. */
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_get_read_limit(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_get_write_limit(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_rate_limit_group_get_read_limit(struct bufferevent_rate_limit_group *);
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_rate_limit_group_get_write_limit(struct bufferevent_rate_limit_group *);
/* Takes bytes out of them; a negative number puts some in. */
EVENT2_EXPORT_SYMBOL int bufferevent_decrement_read_limit(struct bufferevent *bev, ev_ssize_t decr);
EVENT2_EXPORT_SYMBOL int bufferevent_decrement_write_limit(struct bufferevent *bev, ev_ssize_t decr);
EVENT2_EXPORT_SYMBOL int bufferevent_rate_limit_group_decrement_read(struct bufferevent_rate_limit_group *, ev_ssize_t);
EVENT2_EXPORT_SYMBOL int bufferevent_rate_limit_group_decrement_write(struct bufferevent_rate_limit_group *, ev_ssize_t);
/* The bytes that were read and written by those who were in the group. */
EVENT2_EXPORT_SYMBOL void bufferevent_rate_limit_group_get_totals(struct bufferevent_rate_limit_group *grp, ev_uint64_t *total_read_out, ev_uint64_t *total_written_out);
EVENT2_EXPORT_SYMBOL void bufferevent_rate_limit_group_reset_totals(struct bufferevent_rate_limit_group *grp);

/* The most of one read, and of one write; 0 for the usual 16384. */
EVENT2_EXPORT_SYMBOL int bufferevent_set_max_single_read(struct bufferevent *bev, size_t size);
EVENT2_EXPORT_SYMBOL int bufferevent_set_max_single_write(struct bufferevent *bev, size_t size);
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_get_max_single_read(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_get_max_single_write(struct bufferevent *bev);
/* How much may move now, by that and by the limits. */
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_get_max_to_read(struct bufferevent *bev);
EVENT2_EXPORT_SYMBOL ev_ssize_t bufferevent_get_max_to_write(struct bufferevent *bev);

#ifdef __cplusplus
}
#endif
#endif
