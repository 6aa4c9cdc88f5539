/* evbuffer's figures. Prints: name <TAB> ns for one of what the name says.
 * Each is the best of seven runs, so that a disturbed run does not count. */
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

/* 64 B at a time up to 1 MiB, then all drained at once; the drain is not timed. */
static double append64(void) {
    struct evbuffer *buffer = evbuffer_new();
    double spent = 0;
    int rounds = 20, each = (1 << 20) / 64;
    for (int r = 0; r < rounds; r++) {
        double begin = now_ns();
        for (int i = 0; i < each; i++) evbuffer_add(buffer, block, 64);
        spent += now_ns() - begin;
        evbuffer_drain(buffer, evbuffer_get_length(buffer));
    }
    evbuffer_free(buffer);
    return spent / rounds / each;
}

static double append_drain64(void) {
    struct evbuffer *buffer = evbuffer_new();
    int times = 1000000;
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        evbuffer_add(buffer, block, 64);
        evbuffer_drain(buffer, 64);
    }
    double spent = now_ns() - begin;
    evbuffer_free(buffer);
    return spent / times;
}

/* 1 MiB of lines of 40 bytes, CRLF included, each read out as a string of its own. */
static double crlf_line40(void) {
    int lines = (1 << 20) / 40, rounds = 10;
    double spent = 0;
    char *text = malloc((size_t)lines * 40);
    for (int i = 0; i < lines; i++) {
        memset(text + i * 40, 'l', 38);
        memcpy(text + i * 40 + 38, "\r\n", 2);
    }
    struct evbuffer *buffer = evbuffer_new();
    for (int r = 0; r < rounds; r++) {
        evbuffer_add(buffer, text, (size_t)lines * 40);
        double begin = now_ns();
        for (int i = 0; i < lines; i++) {
            size_t length = 0;
            char *line = evbuffer_readln(buffer, &length, EVBUFFER_EOL_CRLF);
            kept += length;
            free(line);
        }
        spent += now_ns() - begin;
    }
    evbuffer_free(buffer);
    free(text);
    return spent / rounds / lines;
}

static double reference_1m_drain(void) {
    struct evbuffer *buffer = evbuffer_new();
    int times = 1000000;
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
static double move_64k_twice(void) {
    struct evbuffer *one = evbuffer_new(), *other = evbuffer_new();
    int times = 1000000;
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

static double new_add_free64(void) {
    int times = 1000000;
    double begin = now_ns();
    for (int i = 0; i < times; i++) {
        struct evbuffer *buffer = evbuffer_new();
        evbuffer_add(buffer, block, 64);
        kept += evbuffer_get_length(buffer);
        evbuffer_free(buffer);
    }
    return (now_ns() - begin) / times;
}

static double copy_4k_in_out(void) {
    static char out[4096];
    struct evbuffer *buffer = evbuffer_new();
    int times = 500000;
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
    double (*run)(void);
} table[] = {
    {"append64", append64},
    {"append_drain64", append_drain64},
    {"crlf_line40", crlf_line40},
    {"reference_1m_drain", reference_1m_drain},
    {"move_64k_twice", move_64k_twice},
    {"new_add_free64", new_add_free64},
    {"copy_4k_in_out", copy_4k_in_out},
};

int main(void) {
    memset(block, 'b', sizeof block);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double best = 1e18;
        for (int run = 0; run < 7; run++) {
            double ns = table[i].run();
            if (ns < best) best = ns;
        }
        printf("%s\t%.2f\n", table[i].name, best);
    }
    return 0;
}
