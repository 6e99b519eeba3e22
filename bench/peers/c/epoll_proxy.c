/* Proxy on epoll: edge-triggered, one registration per socket. Built twice: it copies through one
 * buffer for all, or with -DSPLICE moves through a pipe of 1 MiB per direction, for bulk.
 *
 * usage: epoll_proxy PORT UPSTREAM_PORT */
#include "net.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

enum { BUFFER_BYTES = 256 << 10, PIPE_BYTES = 1 << 20, EVENTS = 512, MOVES_MAX = 16 };

/* One socket of a pair, and what waits to be written to it. */
struct side {
    int fd;
    bool read_ended;
    struct side *other;
    struct pair *pair;
    size_t waiting; /* bytes kept below, or in the pipe */
#ifdef SPLICE
    int pipe[2];
#else
    char *rest;
    size_t at;
#endif
};

struct pair {
    struct side client, upstream;
    bool connected, ended;
    struct pair *next_ended;
};

enum moved { ALL, BLOCKED, FAILED };

static struct sockaddr_in upstream_address;
static int epoll_fd;
/* Freed after the turn: its other socket may have an event in the same turn. */
static struct pair *ended;

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK; }

#ifdef SPLICE

static void open_side(struct side *s) {
    must(pipe2(s->pipe, O_NONBLOCK | O_CLOEXEC), "pipe2");
    must(fcntl(s->pipe[1], F_SETPIPE_SZ, PIPE_BYTES), "F_SETPIPE_SZ");
}

static void close_side(struct side *s) {
    close(s->pipe[0]);
    close(s->pipe[1]);
}

static enum moved flush(struct side *to) {
    while (to->waiting > 0) {
        ssize_t n = splice(to->pipe[0], NULL, to->fd, NULL, to->waiting,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0) return would_block() ? BLOCKED : FAILED;
        to->waiting -= (size_t)n;
    }
    return ALL;
}

/* How much came; 0 at the end. Nothing waits for `to` before. */
static ssize_t take(struct side *from, struct side *to) {
    ssize_t n = splice(from->fd, NULL, to->pipe[1], NULL, PIPE_BYTES,
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) to->waiting = (size_t)n;
    return n;
}

/* A splice may end early for reasons of its own, so that only EAGAIN says that nothing is left. */
static bool took_all(ssize_t n) { (void)n; return false; }

#else

static char buffer[BUFFER_BYTES];

static void open_side(struct side *s) { (void)s; }

static void close_side(struct side *s) { free(s->rest); }

static enum moved flush(struct side *to) {
    const char *from = to->rest ? to->rest + to->at : buffer;
    while (to->waiting > 0) {
        ssize_t n = send(to->fd, from, to->waiting, MSG_NOSIGNAL);
        if (n < 0 && !would_block()) return FAILED;
        if (n < 0) break;
        from += n;
        to->at += to->rest ? (size_t)n : 0;
        to->waiting -= (size_t)n;
    }
    if (to->waiting == 0) {
        free(to->rest);
        to->rest = NULL;
        return ALL;
    }
    if (!to->rest) {
        to->rest = must_have(malloc(to->waiting));
        memcpy(to->rest, from, to->waiting);
        to->at = 0;
    }
    return BLOCKED;
}

static ssize_t take(struct side *from, struct side *to) {
    ssize_t n = recv(from->fd, buffer, sizeof buffer, 0);
    if (n > 0) to->waiting = (size_t)n;
    return n;
}

/* After a short read there is nothing left, unless an end or an error came with it. */
static bool took_all(ssize_t n) { return n < BUFFER_BYTES; }

#endif

static void finish(struct pair *p, void (*with)(int)) {
    if (p->ended) return;
    p->ended = true;
    p->next_ended = ended;
    ended = p;
    with(p->client.fd);
    with(p->upstream.fd);
    close_side(&p->client);
    close_side(&p->upstream);
}

static void close_fd(int fd) { close(fd); }

/* Added, or modified to be told again of what is ready. */
static void watch(struct side *s, int how) {
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = s,
    };
    must(epoll_ctl(epoll_fd, how, s->fd, &event), "epoll_ctl");
}

/* Moves what there is from one side to the other, as far as the other takes it. */
static void pump(struct side *from, bool to_the_end) {
    struct side *to = from->other;
    struct pair *p = from->pair;
    if (to->waiting > 0) {
        to_the_end = true;
        enum moved moved = flush(to);
        if (moved == FAILED) return finish(p, reset);
        if (moved == BLOCKED) return;
    }
    for (int moves = 0; !from->read_ended; moves++) {
        /* A fast stream must not keep the others waiting: the rest after them. */
        if (moves == MOVES_MAX) return watch(from, EPOLL_CTL_MOD);
        ssize_t n = take(from, to);
        if (n < 0) {
            if (!would_block()) finish(p, reset);
            return;
        }
        if (n == 0) {
            from->read_ended = true;
            if (to->read_ended) return finish(p, close_fd);
            shutdown(to->fd, SHUT_WR);
            return;
        }
        enum moved moved = flush(to);
        if (moved == FAILED) return finish(p, reset);
        if (moved == BLOCKED) return;
        if (!to_the_end && took_all(n)) return;
    }
}

static void serve(struct side *s, unsigned events) {
    struct pair *p = s->pair;
    if (p->ended) return;
    bool to_the_end = events != EPOLLIN && events != (EPOLLIN | EPOLLOUT);
    if (!p->connected) {
        int error = 0;
        socklen_t bytes = sizeof error;
        /* The client is looked at once there is where to send to. */
        if (s == &p->client) return;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
        if (error) return finish(p, reset);
        if (!(events & EPOLLOUT)) return;
        p->connected = true;
        pump(&p->client, true);
    } else if ((events & EPOLLOUT) && s->waiting > 0) {
        pump(s->other, true);
    }
    if (!p->ended && (events & ~(unsigned)EPOLLOUT)) pump(s, to_the_end);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return; /* none left, or it has gone, or no descriptor: the next edge asks again */
        int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int yes = 1;
        if (up < 0) {
            reset(fd);
            continue;
        }
        setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (connect(up, (struct sockaddr *)&upstream_address, sizeof upstream_address) < 0 &&
            errno != EINPROGRESS) {
            reset(fd);
            close(up);
            continue;
        }
        struct pair *p = must_have(calloc(1, sizeof *p));
        p->client = (struct side){.fd = fd, .other = &p->upstream, .pair = p};
        p->upstream = (struct side){.fd = up, .other = &p->client, .pair = p};
        open_side(&p->client);
        open_side(&p->upstream);
        watch(&p->client, EPOLL_CTL_ADD);
        watch(&p->upstream, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv) {
    arguments(argc, argv, 2, "PORT UPSTREAM_PORT");
    raise_descriptors();
    signal(SIGPIPE, SIG_IGN); /* splice knows no MSG_NOSIGNAL */
    upstream_address = loopback(argv[2]);
    epoll_fd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    int listener = listen_on(argv[1], SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        static struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct side *s = events[i].data.ptr;
            if (s)
                serve(s, events[i].events);
            else
                accept_all(listener);
        }
        while (ended) {
            struct pair *p = ended;
            ended = p->next_ended;
            free(p);
        }
    }
}
