/* Echo on epoll: edge-triggered, one registration per connection, one buffer for all. Built twice:
 * with -DFAIR it is an upstream that gives every connection 32 KiB a turn.
 *
 * usage: epoll_echo PORT */
#include "net.h"
#include <sys/epoll.h>

#ifdef FAIR
enum { BUFFER_BYTES = 32 << 10, EVENTS = 512, MOVES_MAX = 1 };
#else
enum { BUFFER_BYTES = 256 << 10, EVENTS = 512, MOVES_MAX = 16 };
#endif

struct connection {
    int fd;
    char *rest; /* what the socket did not take; nothing is read before it has */
    size_t at, end;
};

static int epoll_fd;
static char buffer[BUFFER_BYTES];

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK; }

static void end(struct connection *c) {
    close(c->fd);
    free(c->rest);
    free(c);
}

/* Sends what was kept. False: there is still some, or the connection has failed. */
static bool flush(struct connection *c, bool *failed) {
    while (c->at < c->end) {
        ssize_t n = send(c->fd, c->rest + c->at, c->end - c->at, MSG_NOSIGNAL);
        if (n < 0) {
            *failed = !would_block();
            return false;
        }
        c->at += (size_t)n;
    }
    free(c->rest);
    c->rest = NULL;
    return true;
}

static void keep(struct connection *c, const char *from, size_t bytes) {
    c->rest = must_have(malloc(bytes));
    memcpy(c->rest, from, bytes);
    c->at = 0;
    c->end = bytes;
}

/* Added, or modified to be told again of what is ready. */
static void watch(struct connection *c, int how) {
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = c,
    };
    must(epoll_ctl(epoll_fd, how, c->fd, &event), "epoll_ctl");
}

static void serve(struct connection *c, unsigned events) {
    /* After a short read there is nothing left, unless an end or an error came with the data. */
    bool to_the_end = events != EPOLLIN && events != (EPOLLIN | EPOLLOUT);
    bool failed = false;
    if (c->rest) {
        to_the_end = true;
        if (!flush(c, &failed)) {
            if (failed) end(c);
            return;
        }
    }
    for (int moves = 0;; moves++) {
        /* A fast stream must not keep the others waiting: the rest after them. */
        if (moves == MOVES_MAX) return watch(c, EPOLL_CTL_MOD);
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && would_block()) return;
        if (n <= 0) return end(c);
        ssize_t sent = send(c->fd, buffer, (size_t)n, MSG_NOSIGNAL);
        if (sent < 0 && !would_block()) return end(c);
        if (sent < n) {
            size_t done = sent < 0 ? 0 : (size_t)sent;
            return keep(c, buffer + done, (size_t)n - done);
        }
        if ((size_t)n < sizeof buffer && !to_the_end) return;
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return; /* none left, or it has gone, or no descriptor: the next edge asks again */
        struct connection *c = must_have(calloc(1, sizeof *c));
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv) {
    arguments(argc, argv, 1, "PORT");
    raise_descriptors();
    epoll_fd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    int listener = listen_on(argv[1], SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        static struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c)
                serve(c, events[i].events);
            else
                accept_all(listener);
        }
    }
}
