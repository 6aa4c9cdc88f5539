/* Lists of names and values. */
#ifndef EVENT2_KEYVALQ_STRUCT_H_INCLUDED_
#define EVENT2_KEYVALQ_STRUCT_H_INCLUDED_

#ifdef __cplusplus
extern "C" {
#endif

struct evkeyval {
	/* As TAILQ_ENTRY of queue(7) has it. */
	struct {
		struct evkeyval *tqe_next;
		struct evkeyval **tqe_prev;
	} next;
	char *key;
	char *value;
};

/* As TAILQ_HEAD has it. */
struct evkeyvalq {
	struct evkeyval *tqh_first;
	struct evkeyval **tqh_last;
};

#ifdef __cplusplus
}
#endif
#endif
