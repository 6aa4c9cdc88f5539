/* How long a completion of one thread's ring is hidden from the others while
 * that thread is held up in user code, by how the ring was set up. It is why a
 * pool's workers share one ring without deferred completions:
 *
 *     cc -O2 -o ring_owner bench/c/ring_owner.c -luring -lpthread && ./ring_owner
 */
#define _GNU_SOURCE
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static struct io_uring ring;
static int pair[2];
static pthread_barrier_t begun;
static unsigned flags;

static void *owner(void *unused) {
    char byte;
    io_uring_queue_init(8, &ring, flags); /* its own: it may be the single issuer */
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_recv(sqe, pair[0], &byte, 1, 0);
    io_uring_submit(&ring);
    pthread_barrier_wait(&begun);
    for (double end = now() + 50; now() < end;) ; /* a handler that is held up for 50 ms */
    io_uring_get_events(&ring);
    pthread_barrier_wait(&begun);
    return unused;
}

static void run(const char *name, unsigned with) {
    flags = with;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pthread_barrier_init(&begun, 0, 2);
    pthread_t thread;
    pthread_create(&thread, 0, owner, 0);
    pthread_barrier_wait(&begun);
    usleep(5000);
    double sent = now();
    write(pair[1], "x", 1);
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&ring, &cqe) || !cqe) ;
    printf("%-40s seen after %7.3f ms\n", name, now() - sent);
    pthread_barrier_wait(&begun);
    pthread_join(thread, 0);
    io_uring_queue_exit(&ring);
}

int main(void) {
    run("plain", 0);
    run("COOP_TASKRUN", IORING_SETUP_COOP_TASKRUN);
    run("SINGLE_ISSUER | DEFER_TASKRUN", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    return 0;
}
