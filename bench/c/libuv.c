/* libuv, two ways. libuv echo|sink|pump ADDR [--try]
 * plain: a block allocated for each read, a request allocated for each uv_write;
 * --try: one shared block for all reads, uv_try_write first, uv_write for what is left. */
#include "common.h"
#include <uv.h>

union connection {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct reply {
    uv_write_t request;
    char *bytes;
};

static char block[CHUNK];
static char mode;
static int slab;
static int local;

static void freed(uv_handle_t *handle) { free(handle); }

static void end(uv_stream_t *stream) {
    if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, freed);
}

static void offer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle;
    *buffer = slab ? uv_buf_init(block, CHUNK) : uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void replied(uv_write_t *request, int status) {
    struct reply *reply = (struct reply *)request;
    if (status < 0) end(request->handle);
    free(reply->bytes);
    free(reply);
}

/* Takes the ownership of `bytes`. */
static void send_back(uv_stream_t *stream, char *bytes, size_t length) {
    struct reply *reply = malloc(sizeof *reply);
    uv_buf_t buffer = uv_buf_init(bytes, (unsigned)length);
    reply->bytes = bytes;
    if (uv_write(&reply->request, stream, &buffer, 1, replied) < 0) {
        free(reply);
        free(bytes);
        end(stream);
    }
}

static void send_back_slab(uv_stream_t *stream, char *bytes, size_t length) {
    uv_buf_t buffer = uv_buf_init(bytes, (unsigned)length);
    int sent = uv_try_write(stream, &buffer, 1);
    if (sent == UV_EAGAIN) sent = 0;
    if (sent < 0) {
        end(stream);
    } else if ((size_t)sent < length) {
        char *rest = malloc(length - (size_t)sent);
        memcpy(rest, bytes + sent, length - (size_t)sent);
        send_back(stream, rest, length - (size_t)sent);
    }
}

static void received(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    if (length > 0 && mode == 'e' && !slab) {
        send_back(stream, buffer->base, (size_t)length);
        return;
    }
    if (length > 0 && mode == 'e') send_back_slab(stream, buffer->base, (size_t)length);
    if (length < 0) end(stream);
    if (!slab) free(buffer->base);
}

static void pumped(uv_write_t *request, int status) {
    uv_buf_t buffer = uv_buf_init(block, CHUNK);
    if (status < 0 || uv_write(request, request->handle, &buffer, 1, pumped) < 0) {
        end(request->handle);
        free(request);
    }
}

static void accepted(uv_stream_t *listener, int status) {
    union connection *connection = malloc(local ? sizeof connection->pipe : sizeof connection->tcp);
    if (status < 0) die(uv_strerror(status));
    if (local) uv_pipe_init(listener->loop, &connection->pipe, 0);
    else uv_tcp_init(listener->loop, &connection->tcp);
    if (uv_accept(listener, &connection->stream) < 0) {
        end(&connection->stream);
        return;
    }
    if (mode == 'p') {
        uv_write_t *request = malloc(sizeof *request);
        request->handle = &connection->stream;
        pumped(request, 0);
    } else {
        uv_read_start(&connection->stream, offer, received);
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts(uv_version_string());
        return 0;
    }
    if (argc < 3) die("usage: libuv echo|sink|pump ADDR [--try]");
    prepare_process();
    mode = argv[1][0];
    local = strncmp(argv[2], "unix:", 5) == 0;
    slab = argc > 3 && strcmp(argv[3], "--try") == 0;
    uv_loop_t *loop = uv_default_loop();
    union connection listener;
    if (local) {
        uv_pipe_init(loop, &listener.pipe, 0);
        uv_pipe_open(&listener.pipe, listen_on(argv[2]));
    } else {
        uv_tcp_init(loop, &listener.tcp);
        uv_tcp_open(&listener.tcp, listen_on(argv[2]));
    }
    if (uv_listen(&listener.stream, BACKLOG, accepted) < 0) die("uv_listen");
    return uv_run(loop, UV_RUN_DEFAULT);
}
