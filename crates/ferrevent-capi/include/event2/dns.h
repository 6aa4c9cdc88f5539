/* Names and addresses: a resolver that does not wait, and the server side.
 * Unless said otherwise a function answers 0, or something else when it could
 * not do it. */
#ifndef EVENT2_DNS_H_INCLUDED_
#define EVENT2_DNS_H_INCLUDED_

#include <event2/util.h>
#include <event2/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct in_addr;
struct in6_addr;
struct sockaddr;

/* What becomes of a question: the codes of RFC 1035, 4.1.1. */
#define DNS_ERR_NONE 0
#define DNS_ERR_FORMAT 1
#define DNS_ERR_SERVERFAILED 2
#define DNS_ERR_NOTEXIST 3
#define DNS_ERR_NOTIMPL 4
#define DNS_ERR_REFUSED 5
/* And those that no server sends. */
#define DNS_ERR_TRUNCATED 65
#define DNS_ERR_UNKNOWN 66
#define DNS_ERR_TIMEOUT 67
#define DNS_ERR_SHUTDOWN 68
#define DNS_ERR_CANCEL 69
/* The name is there, and has no such records. */
#define DNS_ERR_NODATA 70

EVENT2_EXPORT_SYMBOL const char *evdns_err_to_string(int err);

/* What an answer is made of. */
#define DNS_IPv4_A 1
#define DNS_PTR 2
#define DNS_IPv6_AAAA 3

/* Flag of a question: the name is asked for as it is. */
#define DNS_QUERY_NO_SEARCH 1
#define DNS_NO_SEARCH DNS_QUERY_NO_SEARCH

/* What is taken from resolv.conf(5). */
#define DNS_OPTION_SEARCH 1
#define DNS_OPTION_NAMESERVERS 2
#define DNS_OPTION_MISC 4
#define DNS_OPTION_HOSTSFILE 8
#define DNS_OPTIONS_ALL (DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC | DNS_OPTION_HOSTSFILE | 0)
/* Without a nameserver in the file there is none: not the one on this host. */
#define DNS_OPTION_NAMESERVERS_NO_DEFAULT 16

/* An answer: DNS_ERR_*, what it is made of, how many of them, for how many
 * seconds it is good, and they: addresses one after another, or a char **. */
typedef void (*evdns_callback_type)(int result, char type, int count, int ttl, void *addresses, void *arg);

/* A resolver: nameservers, search list, options, known hosts. */
struct evdns_base;

/* Flags: read the system's configuration; */
#define EVDNS_BASE_INITIALIZE_NAMESERVERS 1
/* a loop ends though its nameservers are waited for, if there is no question; */
#define EVDNS_BASE_DISABLE_WHEN_INACTIVE 0x8000
/* as DNS_OPTION_NAMESERVERS_NO_DEFAULT. */
#define EVDNS_BASE_NAMESERVERS_NO_DEFAULT 0x10000

EVENT2_EXPORT_SYMBOL struct evdns_base *evdns_base_new(struct event_base *event_base, int initialize_nameservers);
/* Who waits for an answer is told DNS_ERR_SHUTDOWN, if asked for, or nothing. */
EVENT2_EXPORT_SYMBOL void evdns_base_free(struct evdns_base *base, int fail_requests);

/* Nameservers: an address in network byte order, on port 53; a text, as
 * evutil_parse_sockaddr_port() reads it; an address of any family. */
EVENT2_EXPORT_SYMBOL int evdns_base_nameserver_add(struct evdns_base *base, unsigned long int address);
EVENT2_EXPORT_SYMBOL int evdns_base_nameserver_ip_add(struct evdns_base *base, const char *ip_as_string);
EVENT2_EXPORT_SYMBOL int evdns_base_nameserver_sockaddr_add(struct evdns_base *base, const struct sockaddr *sa, ev_socklen_t len,
	unsigned flags);
EVENT2_EXPORT_SYMBOL int evdns_base_count_nameservers(struct evdns_base *base);
/* The length of the address of the nameserver with that number, or -1. */
EVENT2_EXPORT_SYMBOL int evdns_base_get_nameserver_addr(struct evdns_base *base, int idx, struct sockaddr *sa, ev_socklen_t len);
/* Questions wait, until evdns_base_resume(), for other nameservers. */
EVENT2_EXPORT_SYMBOL int evdns_base_clear_nameservers_and_suspend(struct evdns_base *base);
EVENT2_EXPORT_SYMBOL int evdns_base_resume(struct evdns_base *base);

/* Configuration. An option is named as in resolv.conf(5), with a colon. */
EVENT2_EXPORT_SYMBOL int evdns_base_set_option(struct evdns_base *base, const char *option, const char *val);
/* 0; 1 no such file; 2 no reading it; 3 too long; 4 no memory; 5 malformed; 6 no
 * nameserver in it, so the one on this host is used. */
EVENT2_EXPORT_SYMBOL int evdns_base_resolv_conf_parse(struct evdns_base *base, int flags, const char *const filename);
#ifdef _WIN32
/* The system's nameservers; -1 when it has none. */
#define EVDNS_BASE_CONFIG_WINDOWS_NAMESERVERS_IMPLEMENTED
EVENT2_EXPORT_SYMBOL int evdns_base_config_windows_nameservers(struct evdns_base *base);
#endif
/* As hosts(5); null for this host's own name alone. */
EVENT2_EXPORT_SYMBOL int evdns_base_load_hosts(struct evdns_base *base, const char *hosts_fname);
EVENT2_EXPORT_SYMBOL void evdns_base_clear_host_addresses(struct evdns_base *base);
/* Domains that names with fewer dots than that are looked for in. */
EVENT2_EXPORT_SYMBOL void evdns_base_search_clear(struct evdns_base *base);
EVENT2_EXPORT_SYMBOL void evdns_base_search_add(struct evdns_base *base, const char *domain);
EVENT2_EXPORT_SYMBOL void evdns_base_search_ndots_set(struct evdns_base *base, const int ndots);

/* Questions; null when one cannot be asked. The callback is called once. */
struct evdns_request;
EVENT2_EXPORT_SYMBOL struct evdns_request *evdns_base_resolve_ipv4(struct evdns_base *base, const char *name, int flags,
	evdns_callback_type callback, void *ptr);
EVENT2_EXPORT_SYMBOL struct evdns_request *evdns_base_resolve_ipv6(struct evdns_base *base, const char *name, int flags,
	evdns_callback_type callback, void *ptr);
EVENT2_EXPORT_SYMBOL struct evdns_request *evdns_base_resolve_reverse(struct evdns_base *base, const struct in_addr *in, int flags,
	evdns_callback_type callback, void *ptr);
EVENT2_EXPORT_SYMBOL struct evdns_request *evdns_base_resolve_reverse_ipv6(struct evdns_base *base, const struct in6_addr *in,
	int flags, evdns_callback_type callback, void *ptr);
/* The callback is told DNS_ERR_CANCEL. */
EVENT2_EXPORT_SYMBOL void evdns_cancel_request(struct evdns_base *base, struct evdns_request *req);

/* As getaddrinfo(3), without waiting: EVUTIL_EAI_*, and a list for
 * evutil_freeaddrinfo(). Null when the callback was called already. */
struct evdns_getaddrinfo_request;
typedef void (*evdns_getaddrinfo_cb)(int result, struct evutil_addrinfo *res, void *arg);
EVENT2_EXPORT_SYMBOL struct evdns_getaddrinfo_request *evdns_getaddrinfo(struct evdns_base *dns_base, const char *nodename,
	const char *servname, const struct evutil_addrinfo *hints_in, evdns_getaddrinfo_cb cb, void *arg);
/* The callback is told EVUTIL_EAI_CANCEL. */
EVENT2_EXPORT_SYMBOL void evdns_getaddrinfo_cancel(struct evdns_getaddrinfo_request *req);

/* Messages of what is declared here; without a function they go where those of
 * the library do. */
typedef void (*evdns_debug_log_fn_type)(int is_warning, const char *msg);
EVENT2_EXPORT_SYMBOL void evdns_set_log_fn(evdns_debug_log_fn_type fn);
/* Mean nothing: both are the kernel's random numbers. */
EVENT2_EXPORT_SYMBOL void evdns_set_transaction_id_fn(ev_uint16_t (*fn)(void));
EVENT2_EXPORT_SYMBOL void evdns_set_random_bytes_fn(void (*fn)(char *, size_t));

/* Servers. A request is the program's until it has answered or dropped it; its
 * struct is in event2/dns_struct.h. */
struct evdns_server_port;
struct evdns_server_request;
struct evdns_server_question;
typedef void (*evdns_request_callback_fn_type)(struct evdns_server_request *, void *);

#define EVDNS_ANSWER_SECTION 0
#define EVDNS_AUTHORITY_SECTION 1
#define EVDNS_ADDITIONAL_SECTION 2

#define EVDNS_TYPE_A 1
#define EVDNS_TYPE_NS 2
#define EVDNS_TYPE_CNAME 5
#define EVDNS_TYPE_SOA 6
#define EVDNS_TYPE_PTR 12
#define EVDNS_TYPE_MX 15
#define EVDNS_TYPE_TXT 16
#define EVDNS_TYPE_AAAA 28
#define EVDNS_QTYPE_AXFR 252
#define EVDNS_QTYPE_ALL 255

#define EVDNS_CLASS_INET 1

/* The answer is authoritative; recursion is available, whatever its name says. */
#define EVDNS_FLAGS_AA 0x400
#define EVDNS_FLAGS_RD 0x080

/* On a socket of datagrams that does not block, which is the library's to close
 * from then on. There are no flags yet. */
EVENT2_EXPORT_SYMBOL struct evdns_server_port *evdns_add_server_port_with_base(struct event_base *base, evutil_socket_t socket,
	int flags, evdns_request_callback_fn_type callback, void *user_data);
/* Nobody asks any more. Its socket is closed when the last request is answered
 * or dropped. */
EVENT2_EXPORT_SYMBOL void evdns_close_server_port(struct evdns_server_port *port);

EVENT2_EXPORT_SYMBOL void evdns_server_request_set_flags(struct evdns_server_request *req, int flags);
/* The data of a record are bytes, or a name as a string. */
EVENT2_EXPORT_SYMBOL int evdns_server_request_add_reply(struct evdns_server_request *req, int section, const char *name, int type,
	int dns_class, int ttl, int datalen, int is_name, const char *data);
/* One record for each of n addresses, in network byte order. */
EVENT2_EXPORT_SYMBOL int evdns_server_request_add_a_reply(struct evdns_server_request *req, const char *name, int n,
	const void *addrs, int ttl);
EVENT2_EXPORT_SYMBOL int evdns_server_request_add_aaaa_reply(struct evdns_server_request *req, const char *name, int n,
	const void *addrs, int ttl);
/* Of an address, or of a name below in-addr.arpa or ip6.arpa: one of them is null. */
EVENT2_EXPORT_SYMBOL int evdns_server_request_add_ptr_reply(struct evdns_server_request *req, struct in_addr *in,
	const char *inaddr_name, const char *hostname, int ttl);
EVENT2_EXPORT_SYMBOL int evdns_server_request_add_cname_reply(struct evdns_server_request *req, const char *name, const char *cname,
	int ttl);

/* Answers it with a code of RFC 1035: 0 when that is sent, 1 when it will be.
 * After -1 the request is still the program's. */
EVENT2_EXPORT_SYMBOL int evdns_server_request_respond(struct evdns_server_request *req, int err);
EVENT2_EXPORT_SYMBOL int evdns_server_request_drop(struct evdns_server_request *req);
/* The length of the address, or -1 when there is no room for it. */
EVENT2_EXPORT_SYMBOL int evdns_server_request_get_requesting_addr(struct evdns_server_request *req, struct sockaddr *sa, int addr_len);

#ifdef __cplusplus
}
#endif
#endif
