/* The floor on Windows: an echo on a bare completion port, one thread.
   iocp_floor PORT */
#include <winsock2.h>
#include <mswsock.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK 65536
#define BATCH 128

struct connection {
    OVERLAPPED overlapped; /* of the one call that is under way */
    SOCKET socket;
    DWORD length, done; /* of what is being sent back */
    int sending;
    char block[CHUNK];
};

static void die(const char *what) {
    fprintf(stderr, "%s: %d\n", what, WSAGetLastError());
    exit(1);
}

static void end(struct connection *it) {
    closesocket(it->socket);
    free(it);
}

/* Begins the next call; what is done at once has no completion and goes on here. */
static void go_on(struct connection *it) {
    for (;;) {
        WSABUF part;
        DWORD moved = 0, flags = 0;
        int answer;
        memset(&it->overlapped, 0, sizeof it->overlapped);
        if (it->sending) {
            part.buf = it->block + it->done;
            part.len = it->length - it->done;
            answer = WSASend(it->socket, &part, 1, &moved, 0, &it->overlapped, NULL);
        } else {
            part.buf = it->block;
            part.len = CHUNK;
            answer = WSARecv(it->socket, &part, 1, &moved, &flags, &it->overlapped, NULL);
        }
        if (answer != 0) {
            if (WSAGetLastError() != WSA_IO_PENDING) end(it);
            return;
        }
        if (it->sending) {
            it->done += moved;
            it->sending = it->done < it->length;
        } else {
            if (moved == 0) { end(it); return; }
            it->length = moved;
            it->done = 0;
            it->sending = 1;
        }
    }
}

static void came_home(struct connection *it, DWORD moved) {
    if (it->overlapped.Internal != 0 || (moved == 0 && !it->sending)) { end(it); return; }
    if (it->sending) {
        it->done += moved;
        it->sending = it->done < it->length;
    } else {
        it->length = moved;
        it->done = 0;
        it->sending = 1;
    }
    go_on(it);
}

static HANDLE port;

/* Connections are few and taken aside: this measures what moves bytes. */
static DWORD WINAPI take(void *listener) {
    for (;;) {
        SOCKET socket = accept((SOCKET)listener, NULL, NULL);
        if (socket == INVALID_SOCKET) die("accept");
        struct connection *it = calloc(1, sizeof *it);
        int on = 1;
        if (!it) die("memory");
        it->socket = socket;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, (char *)&on, sizeof on);
        if (!CreateIoCompletionPort((HANDLE)socket, port, 0, 0)) die("CreateIoCompletionPort");
        SetFileCompletionNotificationModes(
            (HANDLE)socket, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE);
        /* The first call is the loop's. */
        it->sending = 1;
        PostQueuedCompletionStatus(port, 0, 0, &it->overlapped);
    }
    return 0;
}

int main(int argc, char **argv) {
    WSADATA data;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc != 2 || WSAStartup(MAKEWORD(2, 2), &data)) die("usage: iocp_floor PORT");
    name.sin_port = htons((u_short)atoi(argv[1]));
    SOCKET listener = WSASocketW(AF_INET, SOCK_STREAM, 0, NULL, 0, WSA_FLAG_OVERLAPPED);
    if (bind(listener, (struct sockaddr *)&name, sizeof name) || listen(listener, 512)) die("listen");
    port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    if (!port || !CreateThread(NULL, 0, take, (void *)listener, 0, NULL)) die("port");
    for (;;) {
        OVERLAPPED_ENTRY entries[BATCH];
        ULONG count;
        if (!GetQueuedCompletionStatusEx(port, entries, BATCH, &count, INFINITE, FALSE)) die("wait");
        for (ULONG i = 0; i < count; i++)
            came_home((struct connection *)entries[i].lpOverlapped, entries[i].dwNumberOfBytesTransferred);
    }
}
