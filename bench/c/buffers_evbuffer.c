/* evbuffer's figures. Prints: name <TAB> ns for one of what the name says.
 * Each is the best of seven runs, so that a disturbed run does not count.
 *
 *   buffers_evbuffer [--only NAME [COUNT]]
 *
 * With a count there is one run, of so many: for callgrind, which counts instructions. */
#include <event2/buffer.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char block[1 << 20];
static volatile size_t kept; /* so that no result is optimised away */

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* 64 B at a time, all drained at every MiB. */
static double append64(int times) {
    struct evbuffer *buffer = evbuffer_new();
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        evbuffer_add(buffer, block, 64);
        if (i % 16384 == 16383) evbuffer_drain(buffer, evbuffer_get_length(buffer));
    }
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

static double append_drain64(int times) {
    struct evbuffer *buffer = evbuffer_new();
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        evbuffer_add(buffer, block, 64);
        evbuffer_drain(buffer, 64);
    }
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

/* A thousand lines of forty bytes at a time, CRLF included, each read out as a string of its own:
 * evbuffer has no other way to read a line. */
static double crlf_line40(int times) {
    struct evbuffer *buffer = evbuffer_new();
    static char text[40 * 1000];
    int read = 0;
    for (int i = 0; i < 1000; i++) memcpy(text + i * 40, "01234567890123456789012345678901234567\r\n", 40);
    double begin = now_ns();
    while (read < times) {
        char *line;
        size_t length = 0;
        evbuffer_add(buffer, text, sizeof text);
        while ((line = evbuffer_readln(buffer, &length, EVBUFFER_EOL_CRLF))) {
            kept += length;
            free(line);
            read++;
        }
    }
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

/* Sixteen pieces of 4 KiB, the sequence at the very end. */
static double search_64k(int times) {
    struct evbuffer *buffer = evbuffer_new();
    for (int i = 0; i < 16; i++) evbuffer_add(buffer, block, 4096);
    evbuffer_add(buffer, "\r\n\r\n", 4);
    double begin = now_ns();
    for (int i = 0; i < times; i++) kept += (size_t)evbuffer_search(buffer, "\r\n\r\n", 4, NULL).pos;
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

static double reference_1m_drain(int times) {
    struct evbuffer *buffer = evbuffer_new();
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        evbuffer_add_reference(buffer, block, sizeof block, NULL, NULL);
        evbuffer_drain(buffer, sizeof block);
    }
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

/* There and back: two moves. */
static double move_64k_twice(int times) {
    struct evbuffer *one = evbuffer_new(), *other = evbuffer_new();
    evbuffer_add(one, block, 65536);
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        evbuffer_add_buffer(other, one);
        evbuffer_add_buffer(one, other);
    }
    double spent = now_ns() - begin;
    kept += evbuffer_get_length(one);
    evbuffer_free(one);
    evbuffer_free(other);
    return spent / times;
}

static double new_add_free64(int times) {
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        struct evbuffer *buffer = evbuffer_new();
        evbuffer_add(buffer, block, 64);
        kept += evbuffer_get_length(buffer);
        evbuffer_free(buffer);
    }
    return (now_ns() - begin) / times;
}

static double copy_4k_in_out(int times) {
    static char out[4096];
    struct evbuffer *buffer = evbuffer_new();
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        evbuffer_add(buffer, block, sizeof out);
        kept += (size_t)evbuffer_remove(buffer, out, sizeof out);
    }
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

static const struct {
    const char *name;
    double (*run)(int times);
    int times;
} table[] = {
    {"append64", append64, 4000000},
    {"append_drain64", append_drain64, 1000000},
    {"crlf_line40", crlf_line40, 2000000},
    {"crlf_line40_owned", crlf_line40, 2000000},
    {"search_64k", search_64k, 20000},
    {"reference_1m_drain", reference_1m_drain, 1000000},
    {"move_64k_twice", move_64k_twice, 1000000},
    {"new_add_free64", new_add_free64, 1000000},
    {"copy_4k_in_out", copy_4k_in_out, 500000},
};

int main(int argc, char **argv) {
    const char *only = argc > 2 && !strcmp(argv[1], "--only") ? argv[2] : NULL;
    int count = argc > 3 ? atoi(argv[3]) : 0;
    memset(block, 'b', sizeof block);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double best = 1e18;
        if (only && strcmp(only, table[i].name)) continue;
        for (int run = 0; run < (count ? 1 : 7); run++) {
            double ns = table[i].run(count ? count : table[i].times);
            if (ns < best) best = ns;
        }
        printf("%s\t%.2f\n", table[i].name, best);
    }
    return 0;
}
