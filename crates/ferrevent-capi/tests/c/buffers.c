/* Random operations on buffers: buffers SEED COUNT. Every line tells of one. */
#include "check.h"

#include <event2/buffer.h>
#include <event2/buffer_compat.h>

#define BUFFERS 4
#define MOST 30000

static unsigned long long state;
static struct evbuffer *buffers[BUFFERS];
static int cleanups;

static unsigned pick(unsigned below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(state >> 33) % below;
}

static size_t some_length(void)
{
	switch (pick(8)) {
	case 0: return 0;
	case 1: return 1;
	case 2: return pick(5000);
	case 3: return 500 + pick(30);
	default: return pick(100);
	}
}

static const char *some_text(size_t length)
{
	static char text[8192];
	static const char letters[] = "abcdefgh\r\n\r\nab";
	size_t i;
	for (i = 0; i < length; i++)
		text[i] = letters[pick(sizeof letters - 1)];
	if (pick(40) == 0 && length)
		text[pick(length)] = 0;
	return text;
}

static unsigned hash(const void *data, size_t length)
{
	const unsigned char *it = data;
	unsigned h = 2166136261u;
	while (length--)
		h = (h ^ *it++) * 16777619u;
	return h;
}

/* Everything in a buffer, without changing it. */
static unsigned content(struct evbuffer *buf)
{
	static char all[MOST * 4];
	ev_ssize_t n = evbuffer_copyout(buf, all, sizeof all);
	return n < 0 ? 1 : hash(all, n);
}

/* The same, by way of the vectors. */
static unsigned peeked(struct evbuffer *buf, size_t from)
{
	static char all[MOST * 4];
	struct evbuffer_iovec vec[2048];
	struct evbuffer_ptr ptr;
	size_t done = 0;
	int n, i;
	if (evbuffer_ptr_set(buf, &ptr, from, EVBUFFER_PTR_SET) < 0)
		return 2;
	n = evbuffer_peek(buf, -1, &ptr, vec, 2048);
	for (i = 0; i < n; i++) {
		memcpy(all + done, vec[i].iov_base, vec[i].iov_len);
		done += vec[i].iov_len;
	}
	return hash(all, done);
}

static void told(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
	(void)buf;
	printf("  %d: %zu +%zu -%zu\n", (int)(long)arg, info->orig_size, info->n_added, info->n_deleted);
}

static void told_before_2(struct evbuffer *buf, size_t before, size_t after, void *arg)
{
	(void)buf;
	printf("  %d: %zu to %zu\n", (int)(long)arg, before, after);
}

static void cleanup(const void *data, size_t length, void *arg)
{
	cleanups++;
	(void)length;
	(void)arg;
	free((void *)data);
}

static struct evbuffer_ptr somewhere(struct evbuffer *buf)
{
	struct evbuffer_ptr ptr;
	size_t length = evbuffer_get_length(buf);
	evbuffer_ptr_set(buf, &ptr, length ? pick(length) : 0, EVBUFFER_PTR_SET);
	return ptr;
}

static void step(unsigned number)
{
	static char out[8192];
	int at = pick(BUFFERS), other = pick(BUFFERS);
	struct evbuffer *buf = buffers[at], *to = buffers[other];
	size_t length = some_length(), n = 0;
	long result = 0;
	unsigned seen = 0;
	unsigned what = pick(30);
	struct evbuffer_ptr ptr, end;
	char *line, *copy;
	int fds[2];
	struct evbuffer_iovec vec[2];
	if (evbuffer_get_length(buf) > MOST)
		what = 5;
	switch (what) {
	case 0: case 1: result = evbuffer_add(buf, some_text(length), length); break;
	case 2: result = evbuffer_prepend(buf, some_text(length), length); break;
	case 3:
		result = evbuffer_remove(buf, out, length);
		seen = result > 0 ? hash(out, result) : 0;
		break;
	case 4:
		result = evbuffer_copyout(buf, out, length);
		seen = result > 0 ? hash(out, result) : 0;
		break;
	case 5: result = evbuffer_drain(buf, length * 4); break;
	case 6: result = evbuffer_add_buffer(to, buf); break;
	case 7: result = evbuffer_prepend_buffer(to, buf); break;
	case 8: case 9: result = evbuffer_remove_buffer(buf, to, length); break;
	case 10: case 11:
		line = evbuffer_readln(buf, &n, pick(5));
		result = line ? (long)n : -1;
		seen = line ? hash(line, n + 1) : 0;
		free(line);
		break;
	case 12:
		ptr = evbuffer_search(buf, some_text(3), 1 + pick(3), NULL);
		result = ptr.pos;
		break;
	case 13:
		ptr = somewhere(buf);
		ptr = evbuffer_search(buf, some_text(2), 1 + pick(2), evbuffer_get_length(buf) ? &ptr : NULL);
		result = ptr.pos;
		break;
	case 14:
		if (evbuffer_get_length(buf) < 10)
			break;
		ptr = somewhere(buf);
		end = somewhere(buf);
		ptr = evbuffer_search_range(buf, some_text(2), 1 + pick(2), &ptr, &end);
		result = ptr.pos >= end.pos ? -1 : ptr.pos;
		break;
	case 15:
		ptr = somewhere(buf);
		ptr = evbuffer_search_eol(buf, evbuffer_get_length(buf) && pick(2) ? &ptr : NULL, &n, pick(5));
		result = ptr.pos;
		seen = n;
		break;
	case 16:
		result = evbuffer_ptr_set(buf, &ptr, length, EVBUFFER_PTR_SET);
		seen = ptr.pos;
		if (result == 0 && ptr.pos < (long)evbuffer_get_length(buf)) {
			result = evbuffer_ptr_set(buf, &ptr, length, EVBUFFER_PTR_ADD);
			seen = seen * 100000 + ptr.pos;
		}
		break;
	case 17:
		line = (char *)evbuffer_pullup(buf, (ev_ssize_t)length - (pick(4) ? 0 : 10000));
		result = line != NULL;
		break;
	case 18: result = evbuffer_add_printf(buf, "%s-%d-%*d", "text", (int)length, (int)length, 7); break;
	case 19:
		copy = malloc(length + 1);
		memcpy(copy, some_text(length), length);
		if (length == 0 || (result = evbuffer_add_reference(buf, copy, length, cleanup, NULL)) < 0)
			free(copy);
		break;
	/* Not evbuffer_add_buffer_reference(): among the others it breaks libevent 2.1.12. */
	case 21:
		vec[0].iov_len = vec[1].iov_len = 0;
		result = evbuffer_reserve_space(buf, length + 1, vec, 1);
		if (result < 1)
			break;
		memcpy(vec[0].iov_base, some_text(length), length);
		if (pick(5) == 0)
			break;
		vec[0].iov_len = length;
		result = evbuffer_commit_space(buf, vec, 1);
		break;
	case 22:
		vec[0].iov_base = (void *)some_text(length);
		vec[0].iov_len = length / 2;
		vec[1].iov_base = (char *)vec[0].iov_base + length / 2;
		vec[1].iov_len = length - length / 2;
		result = evbuffer_add_iovec(buf, vec, 2);
		break;
	case 23:
		if (pick(3) == 0)
			result = evbuffer_freeze(buf, pick(2));
		break;
	case 24: case 25:
		evbuffer_unfreeze(buf, 0);
		result = evbuffer_unfreeze(buf, 1);
		break;
	case 26:
		pair(fds);
		result = evbuffer_write_atmost(buf, fds[0], pick(3) ? (ev_ssize_t)length : -1);
		/* How much goes at once is the kernel's affair and that of the pieces. */
		if (result > 0) {
			/* Reading 0 bytes fails an assertion of libevent. */
			seen = evbuffer_read(to, fds[1], pick(2) ? -1 : (int)length + 1);
		}
		close(fds[0]);
		close(fds[1]);
		break;
	case 27:
		if (evbuffer_get_length(buf)) {
			ptr = somewhere(buf);
			result = evbuffer_copyout_from(buf, &ptr, out, length);
			seen = result > 0 ? hash(out, result) : 0;
			seen += peeked(buf, ptr.pos);
		}
		break;
	case 28: result = evbuffer_expand(buf, length); break;
	case 29:
		line = (char *)evbuffer_find(buf, (const unsigned char *)"ab", 2);
		result = line != NULL;
		seen = line ? hash(line, 2) : 0;
		break;
	}
	printf("%u: %u on %d, %d: %ld %u", number, what, at, other, result, seen);
	for (at = 0; at < BUFFERS; at++)
		printf(" %zu/%08x", evbuffer_get_length(buffers[at]), content(buffers[at]));
	printf("\n");
}

int main(int argc, char **argv)
{
	unsigned i, count = argc > 2 ? atoi(argv[2]) : 1000;
	state = argc > 1 ? atoi(argv[1]) : 1;
	for (i = 0; i < BUFFERS; i++) {
		buffers[i] = evbuffer_new();
		if (i == 3)
			evbuffer_setcb(buffers[i], told_before_2, (void *)(long)i);
		else if (i > 0)
			evbuffer_add_cb(buffers[i], told, (void *)(long)i);
	}
	for (i = 0; i < count; i++)
		step(i);
	for (i = 0; i < BUFFERS; i++) {
		evbuffer_setcb(buffers[i], NULL, NULL);
		evbuffer_free(buffers[i]);
	}
	printf("cleanups %d\n", cleanups);
	return 0;
}
