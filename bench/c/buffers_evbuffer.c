/* What evbuffer's operations cost, as buffer_bench prints it for ours:
 * name<TAB>nanoseconds, the best of several rounds.
 * cc -O2 -o buffers_evbuffer buffers_evbuffer.c -levent_core */
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char text[42 * 1000], small[64], page[4096], out[4096];
static char *large;

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void append64(long count) {
    struct evbuffer *buffer = evbuffer_new();
    for (long i = 0; i < count; i++) {
        evbuffer_add(buffer, small, 64);
        if (i % 16384 == 16383) evbuffer_drain(buffer, evbuffer_get_length(buffer));
    }
    evbuffer_free(buffer);
}

static void append_drain64(long count) {
    struct evbuffer *buffer = evbuffer_new();
    for (long i = 0; i < count; i++) {
        evbuffer_add(buffer, small, 64);
        evbuffer_drain(buffer, 64);
    }
    evbuffer_free(buffer);
}

static void crlf_line40(long count) {
    struct evbuffer *buffer = evbuffer_new();
    long read = 0;
    while (read < count) {
        char *line;
        evbuffer_add(buffer, text, sizeof text);
        while ((line = evbuffer_readln(buffer, NULL, EVBUFFER_EOL_CRLF_STRICT))) {
            free(line);
            read++;
        }
    }
    evbuffer_free(buffer);
}

static void reference_1m_drain(long count) {
    struct evbuffer *buffer = evbuffer_new();
    for (long i = 0; i < count; i++) {
        evbuffer_add_reference(buffer, large, 1 << 20, NULL, NULL);
        evbuffer_drain(buffer, 1 << 20);
    }
    evbuffer_free(buffer);
}

static void move_64k_twice(long count) {
    struct evbuffer *one = evbuffer_new(), *other = evbuffer_new();
    evbuffer_add(one, large, 65536);
    for (long i = 0; i < count; i++) {
        evbuffer_add_buffer(other, one);
        evbuffer_add_buffer(one, other);
    }
    evbuffer_free(one);
    evbuffer_free(other);
}

static void new_add_free64(long count) {
    for (long i = 0; i < count; i++) {
        struct evbuffer *buffer = evbuffer_new();
        evbuffer_add(buffer, small, 64);
        evbuffer_free(buffer);
    }
}

static void copy_4k_in_out(long count) {
    struct evbuffer *buffer = evbuffer_new();
    for (long i = 0; i < count; i++) {
        evbuffer_add(buffer, page, 4096);
        evbuffer_remove(buffer, out, 4096);
    }
    evbuffer_free(buffer);
}

static const struct {
    const char *name;
    long count;
    void (*run)(long);
} cells[] = {
    {"append64", 4000000, append64},
    {"append_drain64", 4000000, append_drain64},
    {"crlf_line40", 2000000, crlf_line40},
    {"reference_1m_drain", 1000000, reference_1m_drain},
    {"move_64k_twice", 1000000, move_64k_twice},
    {"new_add_free64", 2000000, new_add_free64},
    {"copy_4k_in_out", 1000000, copy_4k_in_out},
};

int main(int argc, char **argv) {
    const char *only = argc == 3 && !strcmp(argv[1], "--only") ? argv[2] : NULL;
    large = calloc(1, 1 << 20);
    for (int i = 0; i < 1000; i++) memcpy(text + 42 * i, "0123456789012345678901234567890123456789\r\n", 42);
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        double best = 1e9;
        if (only && strcmp(only, cells[i].name)) continue;
        for (int round = 0; round < 7; round++) {
            double start = seconds();
            cells[i].run(cells[i].count);
            double each = (seconds() - start) * 1e9 / cells[i].count;
            if (each < best) best = each;
        }
        printf("%s\t%.1f\n", cells[i].name, best);
    }
    return 0;
}
