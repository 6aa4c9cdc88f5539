/* The floor: nothing but the system calls. floor echo|sink|pump ADDR */
#include "common.h"
#include <poll.h>
#include <sys/epoll.h>

static char block[CHUNK];

static void watch(int epoll, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

/* A full socket is waited for on the spot: rare in the echo cells, and the cheapest that is right. */
static int write_all(int fd, ssize_t length) {
    for (ssize_t done = 0; done < length;) {
        ssize_t n = write(fd, block + done, (size_t)(length - done));
        if (n >= 0) done += n;
        else if (errno == EAGAIN) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else return 0;
    }
    return 1;
}

/* Edge-triggered: a short read has drained the socket, unless the event says that the peer ended. */
static int echo(int fd, uint32_t events) {
    for (;;) {
        ssize_t n = read(fd, block, CHUNK);
        if (n <= 0) return n < 0 && errno == EAGAIN;
        if (!write_all(fd, n)) return 0;
        if (n < CHUNK && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return 1;
    }
}

/* Bulk is level-triggered, one chunk an event, so that all connections get their turn. */
static int bulk(int fd, char mode) {
    ssize_t n = mode == 's' ? read(fd, block, CHUNK) : write(fd, block, CHUNK);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

int main(int argc, char **argv) {
    if (argc != 3) die("usage: floor echo|sink|pump ADDR");
    prepare_process();
    char mode = argv[1][0];
    uint32_t wanted = mode == 'e' ? EPOLLIN | EPOLLRDHUP | EPOLLET : mode == 's' ? EPOLLIN : EPOLLOUT;
    int listener = listen_on(argv[2]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[512];
    watch(epoll, listener, EPOLLIN);
    for (;;) {
        int count = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd, fresh;
            if (fd == listener)
                while ((fresh = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) watch(epoll, fresh, wanted);
            else if (!(mode == 'e' ? echo(fd, events[i].events) : bulk(fd, mode)))
                close(fd);
        }
    }
}
