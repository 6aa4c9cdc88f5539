/*
 * CPU time of libevent's resolver: 10,000 questions to a server of a few lines
 * that runs on the other core. Prints `name<TAB>ns` a line, nanoseconds of this
 * process for one question:
 *
 *   at-once   all of them are asked for in one go; 64 are on their way at a time
 *   in-turn   each when the one before is answered
 *   info      by evdns_getaddrinfo, both families: two questions each, in one go
 *
 *   cc -O2 dns_libevent.c -levent_core -levent_extra -o dns_libevent
 */
#include "common.h"
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

enum { WARMUP = 1000, QUESTIONS = 10000, SERVER_CORE = 1 };

static struct event_base *base;
static struct evdns_base *dns;
static int next_name, left, in_turn;

/* Answers each question with an address, and one for IPv6 with nothing. */
static void serve(int fd) {
    static const unsigned char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7";
    unsigned char message[1500];
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET(SERVER_CORE, &core);
    if (sched_setaffinity(0, sizeof core, &core) < 0) die("sched_setaffinity");
    for (;;) {
        struct sockaddr_storage from;
        socklen_t room = sizeof from;
        ssize_t length = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &room);
        int at = 12;
        if (length < 17) continue;
        while (at < length && message[at]) at += message[at] + 1;
        at += 5;
        if (at > length) continue;
        message[2] |= 0x80;
        message[3] = 0x80;
        message[7] = message[at - 3] == 1;
        memset(message + 8, 0, 4);
        if (message[7]) {
            memcpy(message + at, record, sizeof record - 1);
            at += sizeof record - 1;
        }
        sendto(fd, message, (size_t)at, 0, (struct sockaddr *)&from, room);
    }
}

/* The server is a process of its own, which ends with this one. */
static void start_server(char *text, size_t size) {
    struct sockaddr_in sin;
    socklen_t length = sizeof sin;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&sin, 0, sizeof sin);
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) < 0) die("bind");
    if (getsockname(fd, (struct sockaddr *)&sin, &length) < 0) die("getsockname");
    snprintf(text, size, "127.0.0.1:%d", ntohs(sin.sin_port));
    switch (fork()) {
    case -1:
        die("fork");
    case 0:
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
    }
    close(fd);
}

static void ask(void);

static void count(int result) {
    if (result != 0) die("no answer");
    if (--left == 0) event_base_loopbreak(base);
    else if (in_turn) ask();
}

static void answered(int result, char type, int found, int ttl, void *addresses, void *context) {
    (void)type, (void)found, (void)ttl, (void)addresses, (void)context;
    count(result);
}

static void informed(int result, struct evutil_addrinfo *info, void *context) {
    (void)context;
    if (info) evutil_freeaddrinfo(info);
    count(result);
}

static void ask(void) {
    char name[64];
    snprintf(name, sizeof name, "host%d.bench.test", next_name++);
    if (!evdns_base_resolve_ipv4(dns, name, DNS_QUERY_NO_SEARCH, answered, NULL)) die("asking");
}

static void ask_info(void) {
    struct evutil_addrinfo hints;
    char name[64];
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    snprintf(name, sizeof name, "host%d.bench.test", next_name++);
    if (!evdns_getaddrinfo(dns, name, "443", &hints, informed, NULL)) die("asking");
}

static double cpu(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static double run(void (*asks)(void), int count, int turns) {
    double begin = cpu();
    left = count;
    in_turn = turns;
    for (int i = turns ? count - 1 : 0; i < count; i++) asks();
    while (left > 0) event_base_dispatch(base);
    return cpu() - begin;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*asks)(void);
        int each, turns;
    } kinds[] = {{"at-once", ask, 1, 0}, {"in-turn", ask, 1, 1}, {"info", ask_info, 2, 0}};
    char server[64];
    start_server(server, sizeof server);
    base = event_base_new();
    dns = evdns_base_new(base, 0);
    if (!dns || evdns_base_nameserver_ip_add(dns, server) != 0) die("resolver");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (argc == 3 && strcmp(argv[2], kinds[i].name) != 0) continue;
        int count = QUESTIONS / kinds[i].each;
        run(kinds[i].asks, WARMUP, kinds[i].turns);
        printf("%s\t%.1f\n", kinds[i].name, run(kinds[i].asks, count, kinds[i].turns) / QUESTIONS);
    }
    evdns_base_free(dns, 0);
    event_base_free(base);
    return 0;
}
