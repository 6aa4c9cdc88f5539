#include "check.h"

#include <event2/buffer.h>
#include <event2/buffer_compat.h>
#include <event2/thread.h>

static void told(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
	SAY("  %s: %zu +%zu -%zu of %zu\n", (char *)arg, info->orig_size, info->n_added, info->n_deleted,
		evbuffer_get_length(buf));
}

static void callbacks(void)
{
	struct evbuffer *buf = evbuffer_new(), *other = evbuffer_new();
	struct evbuffer_cb_entry *one, *two;
	SECTION("callbacks");
	one = evbuffer_add_cb(buf, told, "one");
	two = evbuffer_add_cb(buf, told, "two");
	evbuffer_add_cb(other, told, "other");
	evbuffer_add(buf, "hello", 5);
	SAY("clear %d\n", evbuffer_cb_clear_flags(buf, one, EVBUFFER_CB_ENABLED));
	evbuffer_add(buf, "", 0);
	evbuffer_drain(buf, 2);
	SAY("set %d\n", evbuffer_cb_set_flags(buf, one, EVBUFFER_CB_ENABLED));
	evbuffer_add_buffer(other, buf);
	evbuffer_remove_buffer(other, buf, 2);
	evbuffer_remove_buffer(other, buf, 200);
	evbuffer_prepend_buffer(other, buf);
	SAY("remove %d %d\n", evbuffer_remove_cb_entry(buf, two), evbuffer_remove_cb(buf, told, "nobody"));
	evbuffer_add_printf(buf, "%d", 12345);
	SAY("remove %d\n", evbuffer_remove_cb(buf, told, "one") == 0 || 1);
	evbuffer_free(buf);
	evbuffer_free(other);
}

static void freeing(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
	(void)info;
	(void)arg;
	SAY("frees its buffer\n");
	evbuffer_free(buf);
}

static struct evbuffer_cb_entry *doomed;

static void removing(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
	struct evbuffer_cb_entry **itself = arg;
	(void)info;
	SAY("removes itself %d\n", evbuffer_remove_cb_entry(buf, *itself));
}

static void odd_callbacks(void)
{
	struct evbuffer *buf = evbuffer_new();
	SECTION("callbacks that change the list");
	evbuffer_add_cb(buf, told, "after");
	doomed = evbuffer_add_cb(buf, removing, &doomed);
	evbuffer_add(buf, "x", 1);
	evbuffer_add(buf, "y", 1);
	evbuffer_free(buf);
	buf = evbuffer_new();
	evbuffer_enable_locking(buf, NULL);
	evbuffer_add_cb(buf, freeing, NULL);
	evbuffer_add(buf, "x", 1);
}

static void deferred(void)
{
	struct event_base *base = event_base_new();
	struct evbuffer *buf = evbuffer_new();
	SECTION("deferred callbacks");
	evbuffer_add_cb(buf, told, "deferred");
	SAY("defer %d\n", evbuffer_defer_callbacks(buf, base));
	evbuffer_add(buf, "hello", 5);
	evbuffer_drain(buf, 3);
	evbuffer_add(buf, "more", 4);
	SAY("not yet\n");
	SAY("loop %d\n", event_base_loop(base, EVLOOP_NONBLOCK));
	evbuffer_drain(buf, 100);
	SAY("loop %d\n", event_base_loop(base, 0));
	evbuffer_free(buf);
	event_base_free(base);
}

static void cleaned(struct evbuffer_file_segment const *segment, int flags, void *arg)
{
	(void)segment;
	SAY("segment gone %d %s\n", flags, (char *)arg);
}

static void files(void)
{
	char path[] = "/tmp/ferrevent-buffer-XXXXXX", text[64];
	int fd = mkstemp(path), again, i;
	struct evbuffer *buf = evbuffer_new(), *other;
	struct evbuffer_file_segment *segment;
	SECTION("files");
	unlink(path);
	for (i = 0; i < 3000; i++)
		put(fd, "0123456789");
	again = dup(fd);
	SAY("add %d\n", evbuffer_add_file(buf, again, 9995, 20));
	SAY("length %zu\n", evbuffer_get_length(buf));
	i = evbuffer_remove(buf, text, sizeof text);
	SAY("%d %.*s\n", i, i, text);
	SAY("closed %d\n", fcntl(again, F_GETFD) < 0);
	SAY("bad %d %d\n", evbuffer_add_file(buf, -1, 0, 10), evbuffer_add_file(buf, fd, -5, 10));
	segment = evbuffer_file_segment_new(fd, 100, 29900, 0);
	evbuffer_file_segment_add_cleanup_cb(segment, cleaned, "told");
	other = evbuffer_new();
	/* What reaches beyond the segment is refused here, and ends in a crash there. */
	SAY("parts %d %d\n", evbuffer_add_file_segment(buf, segment, 3, 4),
		evbuffer_add_file_segment(other, segment, 29890, 10));
	evbuffer_file_segment_free(segment);
	segment = evbuffer_file_segment_new(fd, 0, 10, 0);
	evbuffer_file_segment_add_cleanup_cb(segment, cleaned, "unused");
	evbuffer_file_segment_free(segment);
	i = evbuffer_copyout(buf, text, sizeof text);
	SAY("%d %.*s\n", i, i, text);
	evbuffer_add_buffer(buf, other);
	evbuffer_free(other);
	SAY("length %zu\n", evbuffer_get_length(buf));
	evbuffer_drain(buf, 5);
	i = evbuffer_remove(buf, text, sizeof text);
	SAY("%d %.*s\n", i, i, text);
	evbuffer_free(buf);
	close(fd);
}

static void gone(const void *data, size_t length, void *arg)
{
	SAY("  gone: %.*s %s\n", (int)length, (const char *)data, (char *)arg);
}

static void references(void)
{
	struct evbuffer *buf = evbuffer_new(), *copy = evbuffer_new();
	char text[32];
	int n;
	SECTION("references");
	SAY("add %d\n", evbuffer_add_reference(buf, "static", 6, gone, "once"));
	evbuffer_add(buf, " and more", 9);
	SAY("drain\n");
	evbuffer_drain(buf, 5);
	SAY("drain\n");
	evbuffer_drain(buf, 1);
	evbuffer_add_reference(buf, "left", 4, gone, "at the end");
	SAY("copy %d\n", evbuffer_add_buffer_reference(copy, buf));
	SAY("itself %d\n", evbuffer_add_buffer_reference(copy, copy));
	evbuffer_freeze(buf, 0);
	SAY("frozen %d\n", evbuffer_add_reference(buf, "x", 1, gone, "never"));
	evbuffer_drain(buf, 13);
	n = evbuffer_copyout(copy, text, sizeof text);
	SAY("%d %.*s\n", n, n, text);
	evbuffer_free(copy);
	evbuffer_free(buf);
	SAY("freed\n");
}

static void refill(const void *data, size_t length, void *arg)
{
	SAY("  adds %d of %zu\n", evbuffer_add(arg, data, length), length);
}

static void refilled(void)
{
	struct evbuffer *buf = evbuffer_new();
	char text[32];
	int n;
	SECTION("a reference whose end adds to its buffer");
	evbuffer_add_cb(buf, told, "refilled");
	evbuffer_add_reference(buf, "again", 5, refill, buf);
	evbuffer_add(buf, " and ", 5);
	SAY("drain %d\n", evbuffer_drain(buf, 5));
	n = evbuffer_remove(buf, text, sizeof text);
	SAY("%d %.*s\n", n, n, text);
	evbuffer_free(buf);
}

static void descriptors(void)
{
	struct evbuffer *buf = evbuffer_new();
	int fds[2], n;
	char text[64];
	SECTION("descriptors");
	pair(fds);
	evbuffer_add(buf, "hello, world", 12);
	SAY("write %d\n", evbuffer_write_atmost(buf, fds[0], 5));
	SAY("write %d left %zu\n", evbuffer_write(buf, fds[0]), evbuffer_get_length(buf));
	SAY("nothing %d\n", evbuffer_write(buf, fds[0]));
	SAY("read %d\n", evbuffer_read(buf, fds[1], 7));
	SAY("read %d\n", evbuffer_read(buf, fds[1], -1));
	n = evbuffer_read(buf, fds[1], -1);
	SAY("again %d %d\n", n, errno == EAGAIN);
	n = evbuffer_remove(buf, text, sizeof text);
	SAY("%d %.*s\n", n, n, text);
	close(fds[0]);
	SAY("end %d\n", evbuffer_read(buf, fds[1], 100));
	close(fds[1]);
	SAY("closed %d\n", evbuffer_read(buf, fds[1], 100));
	evbuffer_freeze(buf, 0);
	SAY("frozen %d\n", evbuffer_read(buf, 0, 100));
	evbuffer_free(buf);
}

static void limits(void)
{
	struct evbuffer *buf = evbuffer_new();
	struct evbuffer_iovec vec[2];
	struct evbuffer_ptr ptr;
	SECTION("limits");
	SAY("add %d\n", evbuffer_add(buf, "x", 1));
	/* CVE-2014-6272, CVE-2015-6525: lengths that go round. */
	SAY("huge %d %d %d\n", evbuffer_add(buf, "x", (size_t)-1), evbuffer_prepend(buf, "x", (size_t)-1),
		evbuffer_expand(buf, (size_t)-1));
	SAY("huge %d\n", evbuffer_add_reference(buf, "x", (size_t)-1, NULL, NULL) <= 0);
	evbuffer_free(buf);
	buf = evbuffer_new();
	evbuffer_add(buf, "abc", 3);
	SAY("huge drain %d remove %d\n", evbuffer_drain(buf, (size_t)-1), evbuffer_remove(buf, vec, (size_t)-1));
	SAY("reserve %d %d\n", evbuffer_reserve_space(buf, -1, vec, 1), evbuffer_reserve_space(buf, 10, vec, 0));
	SAY("reserve %d\n", evbuffer_reserve_space(buf, 10, vec, 1));
	vec[0].iov_len++;
	vec[0].iov_len *= 100;
	SAY("too much %d\n", evbuffer_commit_space(buf, vec, 1));
	evbuffer_add(buf, "abc", 3);
	SAY("behind %d", evbuffer_ptr_set(buf, &ptr, 4, EVBUFFER_PTR_SET));
	SAY(" %d\n", (int)ptr.pos);
	SAY("at the end %d", evbuffer_ptr_set(buf, &ptr, 3, EVBUFFER_PTR_SET));
	SAY(" %d\n", (int)ptr.pos);
	SAY("empty needle %d\n", (int)evbuffer_search(buf, "", 0, NULL).pos);
	SAY("pullup %d %d %d\n", evbuffer_pullup(buf, 4) == NULL, evbuffer_pullup(buf, 0) == NULL,
		evbuffer_pullup(buf, -1) == NULL);
	SAY("contiguous %zu\n", evbuffer_get_contiguous_space(buf));
	SAY("same buffer %d %d %d\n", evbuffer_add_buffer(buf, buf), evbuffer_prepend_buffer(buf, buf),
		evbuffer_remove_buffer(buf, buf, 2));
	evbuffer_free(buf);
}

static void quiet(int severity, const char *text)
{
	(void)severity;
	(void)text;
}

int main(void)
{
	event_set_log_callback(quiet);
	callbacks();
	deferred();
	files();
	references();
	refilled();
	descriptors();
	limits();
	evthread_use_pthreads();
	odd_callbacks();
	return 0;
}
