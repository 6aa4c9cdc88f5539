/* What was asked of a server: to be looked at. */
#ifndef EVENT2_DNS_STRUCT_H_INCLUDED_
#define EVENT2_DNS_STRUCT_H_INCLUDED_

#include <event2/event-config.h>
#include <event2/util.h>

#ifdef __cplusplus
extern "C" {
#endif

struct evdns_server_request {
	int flags;
	int nquestions;
	struct evdns_server_question **questions;
};

struct evdns_server_question {
	int type;
#ifdef __cplusplus
	int dns_question_class;
#else
	/* Not the name that it has in C++: there it is a keyword. */
	int class;
#define dns_question_class class
#endif
	/* As long as it is, with a zero at its end. */
	char name[1];
};

#ifdef __cplusplus
}
#endif
#endif
