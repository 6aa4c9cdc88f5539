/* The floor of io_uring: multishot accept and receive over a ring of provided buffers, one enter a turn.
   floor_uring echo|sink|pump ADDR */
#include "common.h"
#include <liburing.h>

enum { BUFFER = 16384, BUFFERS = 256, GROUP = 0, ENTRIES = 4096 };
enum { ACCEPT = 1, RECEIVE = 2, SEND = 3 };

static struct io_uring ring;
static struct io_uring_buf_ring *lent;
static unsigned tail;
static char memory[BUFFERS][BUFFER] __attribute__((aligned(4096)));
static char block[CHUNK];
static char mode;

static struct io_uring_sqe *entry(int fd, int kind, int buffer) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    if (!sqe) die("no room in the ring");
    memset(sqe, 0, sizeof *sqe);
    sqe->user_data = (uint64_t)(unsigned)fd | (uint64_t)kind << 32 | (uint64_t)buffer << 40;
    sqe->fd = fd;
    return sqe;
}

static void lend(int id) {
    struct io_uring_buf *place = &lent->bufs[tail & (BUFFERS - 1)];
    place->addr = (uint64_t)(uintptr_t)memory[id];
    place->len = BUFFER;
    place->bid = (uint16_t)id;
    tail++;
    __atomic_store_n(&lent->tail, (uint16_t)tail, __ATOMIC_RELEASE);
}

static void accept_from(int listener) {
    struct io_uring_sqe *sqe = entry(listener, ACCEPT, 0);
    sqe->opcode = IORING_OP_ACCEPT;
    sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    sqe->accept_flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
}

static void receive_from(int fd) {
    struct io_uring_sqe *sqe = entry(fd, RECEIVE, 0);
    sqe->opcode = IORING_OP_RECV;
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
}

static void send_to(int fd, const char *start, unsigned length, int buffer) {
    struct io_uring_sqe *sqe = entry(fd, SEND, buffer);
    sqe->opcode = IORING_OP_SEND;
    sqe->addr = (uint64_t)(uintptr_t)start;
    sqe->len = length;
    sqe->msg_flags = MSG_NOSIGNAL | (mode == 'e' ? MSG_WAITALL : 0);
}

static void complete(struct io_uring_cqe *cqe) {
    int fd = (int)(unsigned)cqe->user_data, kind = (int)(cqe->user_data >> 32 & 0xff);
    int sent = (int)(cqe->user_data >> 40), more = cqe->flags & IORING_CQE_F_MORE;
    int id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    switch (kind) {
    case ACCEPT:
        if (cqe->res >= 0) {
            if (mode == 'p') send_to(cqe->res, block, CHUNK, 0);
            else receive_from(cqe->res);
        }
        if (!more) accept_from(fd);
        break;
    case RECEIVE:
        if (cqe->res > 0) {
            if (mode == 'e') send_to(fd, memory[id], (unsigned)cqe->res, id);
            else lend(id);
        }
        if (cqe->res > 0 || cqe->res == -ENOBUFS) {
            if (!more) receive_from(fd);
        } else if (!more) {
            close(fd);
        }
        break;
    case SEND:
        if (mode == 'e') lend(sent);
        else if (cqe->res > 0) send_to(fd, block, CHUNK, 0);
        else close(fd);
        break;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) die("usage: floor_uring echo|sink|pump ADDR");
    prepare_process();
    mode = argv[1][0];
    int listener = listen_on(argv[2]);
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = ENTRIES * 2};
    if ((errno = -io_uring_queue_init_params(ENTRIES, &ring, &params))) die("io_uring_setup");
    if (posix_memalign((void **)&lent, 4096, BUFFERS * sizeof(struct io_uring_buf))) die("memory");
    memset(lent, 0, BUFFERS * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)lent, .ring_entries = BUFFERS, .bgid = GROUP};
    if ((errno = -io_uring_register_buf_ring(&ring, &reg, 0))) die("io_uring_register_buf_ring");
    for (int id = 0; id < BUFFERS; id++) lend(id);
    accept_from(listener);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe) {
            complete(cqe);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}
