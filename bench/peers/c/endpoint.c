/* The far end of a bulk transfer: a sink that reads and throws away, or a source that writes as long
 * as it is let. Not measured: it runs beside the load client.
 *
 * usage: endpoint PORT sink|source */
#include "net.h"
#include <sys/epoll.h>

enum { PIECE_BYTES = 256 << 10, EVENTS = 64, MOVES_MAX = 16 };

static char piece[PIECE_BYTES];

/* Without a copy for a sink (MSG_TRUNC, tcp(7)). A few moves, so that no connection starves another:
 * level-triggered, it comes again. */
static void serve(int fd, bool source) {
    for (int moves = 0; moves < MOVES_MAX; moves++) {
        ssize_t n = source ? send(fd, piece, sizeof piece, MSG_NOSIGNAL)
                           : recv(fd, NULL, PIECE_BYTES, MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            close(fd);
            return;
        }
    }
}

int main(int argc, char **argv) {
    arguments(argc, argv, 2, "PORT sink|source");
    bool source = strcmp(argv[2], "source") == 0;
    if (!source && strcmp(argv[2], "sink") != 0) arguments(argc, argv, 0, "PORT sink|source");
    raise_descriptors();
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    int listener = listen_on(argv[1], SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                serve(fd, source);
                continue;
            }
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) continue;
            event = (struct epoll_event){
                .events = source ? EPOLLOUT | EPOLLRDHUP : EPOLLIN, .data.fd = fd};
            must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
        }
    }
}
