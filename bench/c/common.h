/* What every C peer needs before it serves: an address, a listening socket, descriptors enough. */
#ifndef FERREVENT_BENCH_COMMON_H
#define FERREVENT_BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CHUNK = 65536, BACKLOG = 4096 };

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "wrong");
    exit(2);
}

/* `127.0.0.1:PORT` or `unix:/path` */
static inline struct address parse_address(const char *text) {
    struct address address;
    memset(&address, 0, sizeof address);
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)&address.storage;
        un->sun_family = AF_UNIX;
        if (strlen(text + 5) >= sizeof un->sun_path) die("address too long");
        strcpy(un->sun_path, text + 5);
        address.length = sizeof *un;
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
        const char *colon = strrchr(text, ':');
        char host[64] = {0};
        if (!colon || (size_t)(colon - text) >= sizeof host) die("address");
        memcpy(host, text, (size_t)(colon - text));
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)atoi(colon + 1));
        if (inet_pton(AF_INET, host, &in->sin_addr) != 1) die("address");
        address.length = sizeof *in;
    }
    return address;
}

/* Accepted sockets inherit TCP_NODELAY from the listener, so nobody pays for it per connection. */
static inline int listen_on(const char *text) {
    struct address address = parse_address(text);
    int one = 1;
    int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (address.storage.ss_family == AF_INET) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (bind(fd, (struct sockaddr *)&address.storage, address.length) < 0) die(text);
    if (listen(fd, BACKLOG) < 0) die("listen");
    return fd;
}

static inline void prepare_process(void) {
    struct rlimit limit;
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

#endif
