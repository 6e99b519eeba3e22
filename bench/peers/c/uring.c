/* Echo, or with an upstream proxy, on io_uring: multishot accept and receive, one ring of provided
 * buffers for all, one kernel entry per turn.
 *
 * A send carries MSG_DONTWAIT and MSG_WAITALL and is silent when it succeeds: it is carried out
 * while it is submitted, so a send that has not answered when the entry returns has sent all, and no
 * second entry is spent on an answer. What could not be sent at once answers, and is sent again by
 * an ordinary send that waits. An echo is a pair of one: its socket is its own other side.
 *
 * usage: uring PORT [UPSTREAM_PORT] */
#include "net.h"
#include <liburing.h>

/* 16 KiB each: the largest message of the echo cells in one piece. A connection whose other side
 * does not read holds HELD_MAX of them, then it is not read. */
enum { BUFFERS = 1024, BUFFER_BYTES = 16 << 10, HELD_MAX = 16, GROUP = 0, SQ = 4096, CQ = 32768 };
enum kind { ACCEPT, RECEIVE, SEND, RESEND, CONNECT, SILENT, KINDS_MASK = 7 };

/* One socket, and the buffers that wait to be written to it, linked by number. */
struct side {
    int fd;
    struct side *other, *next_sending;
    struct pair *pair;
    unsigned short first, last, held;
    int result; /* of a send that did not send all */
    bool receiving, paused, read_ended, listed, resending, failed, shut;
};

struct pair {
    struct side client, upstream;
    unsigned ops; /* that have an answer to come; memory and descriptors stay until then */
    bool ending, broken, ended;
    struct pair *next_ended;
};

static struct io_uring ring;
static struct io_uring_buf_ring *pool;
static char *memory;
static unsigned free_buffers = BUFFERS;
static struct { unsigned at, end; unsigned short next; } piece[BUFFERS];

static bool proxy;
static struct sockaddr_in upstream_address;
static unsigned char fixed; /* the echo's sockets are direct descriptors */
static struct side *sending;
static struct pair *ended;
static struct side **starved; /* have had no buffer to receive into */
static unsigned starved_count, starved_room;

static struct io_uring_sqe *op(struct side *s, enum kind kind) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        must(io_uring_submit(&ring), "io_uring_submit");
        sqe = must_have(io_uring_get_sqe(&ring));
    }
    /* The prep functions clear it all but the user data. */
    io_uring_sqe_set_data64(sqe, (unsigned long)s | kind);
    return sqe;
}

static void receive(struct side *s) {
    struct io_uring_sqe *sqe = op(s, RECEIVE);
    io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT | fixed;
    sqe->buf_group = GROUP;
    s->receiving = true;
    s->pair->ops++;
}

static void cancel(struct side *s, enum kind kind) {
    struct io_uring_sqe *sqe = op(NULL, SILENT);
    io_uring_prep_cancel64(sqe, (unsigned long)s | kind, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void give_back(unsigned short buffer) {
    io_uring_buf_ring_add(pool, memory + (size_t)buffer * BUFFER_BYTES, BUFFER_BYTES, buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(pool, 1);
    free_buffers++;
}

static void pop(struct side *s) {
    unsigned short buffer = s->first;
    s->first = piece[buffer].next;
    s->held--;
    give_back(buffer);
}

static void list_for_sending(struct side *s) {
    if (s->listed || s->resending || s->held == 0) return;
    s->listed = true;
    s->next_sending = sending;
    sending = s;
}

/* Ends a pair once no op of it is under way. */
static void end_if_idle(struct pair *p) {
    if (!p->ending || p->ops > 0 || p->ended) return;
    p->ended = true;
    p->next_ended = ended;
    ended = p;
    struct side *sides[] = {&p->client, &p->upstream};
    for (int i = 0; i < 1 + proxy; i++) {
        while (sides[i]->held > 0) pop(sides[i]);
        if (!proxy) {
            struct io_uring_sqe *sqe = op(NULL, SILENT);
            io_uring_prep_close_direct(sqe, (unsigned)sides[i]->fd);
            sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        } else if (p->broken) {
            reset(sides[i]->fd);
        } else {
            close(sides[i]->fd);
        }
    }
}

static void break_pair(struct pair *p) {
    if (p->ending) return;
    p->ending = p->broken = true;
    struct side *sides[] = {&p->client, &p->upstream};
    for (int i = 0; i < 1 + proxy; i++) {
        if (sides[i]->receiving) cancel(sides[i], RECEIVE);
        if (sides[i]->resending) cancel(sides[i], RESEND);
    }
    end_if_idle(p);
}

/* What follows when nothing waits to be written to `s` any more. */
static void drained(struct side *s) {
    struct side *from = s->other;
    struct pair *p = s->pair;
    if (from->read_ended && !s->shut) {
        s->shut = true;
        if (s->read_ended) {
            p->ending = true;
            end_if_idle(p);
        } else if (proxy) {
            shutdown(s->fd, SHUT_WR);
        }
    } else if (from->paused && !from->receiving) {
        from->paused = false;
        receive(from);
    }
}

static void on_received(struct side *s, int result, unsigned flags) {
    struct side *to = s->other;
    struct pair *p = s->pair;
    if (!(flags & IORING_CQE_F_MORE)) {
        s->receiving = false;
        p->ops--;
    }
    if (result > 0) {
        unsigned short buffer = (unsigned short)(flags >> IORING_CQE_BUFFER_SHIFT);
        free_buffers--;
        if (p->ending) {
            give_back(buffer);
            return end_if_idle(p);
        }
        piece[buffer].at = 0;
        piece[buffer].end = (unsigned)result;
        if (to->held++ > 0)
            piece[to->last].next = buffer;
        else
            to->first = buffer;
        to->last = buffer;
        list_for_sending(to);
        if (to->held >= HELD_MAX && !s->paused) {
            s->paused = true;
            if (s->receiving) cancel(s, RECEIVE);
        }
        if (!s->receiving && !s->paused) receive(s);
    } else if (p->ending) {
        end_if_idle(p);
    } else if (result == 0) {
        s->read_ended = true;
        if (to->held == 0) drained(to);
    } else if (result == -ENOBUFS) {
        if (starved_count == starved_room) {
            starved_room = 2 * starved_room + 64;
            starved = must_have(realloc(starved, starved_room * sizeof *starved));
        }
        p->ops++; /* keeps it until it is served */
        starved[starved_count++] = s;
    } else if (result == -ECANCELED) {
        if (to->held == 0) drained(to);
    } else {
        break_pair(p);
    }
}

/* As many as there are buffers; each has data waiting, so those that are left get another turn. */
static void serve_starved(void) {
    for (unsigned room = free_buffers; starved_count > 0 && room > 0; room--) {
        struct side *s = starved[--starved_count];
        s->pair->ops--;
        s->paused = false;
        if (s->pair->ending)
            end_if_idle(s->pair);
        else
            receive(s);
    }
}

static void resend(struct side *s) {
    struct io_uring_sqe *sqe = op(s, RESEND);
    unsigned short b = s->first;
    io_uring_prep_send(sqe, s->fd, memory + (size_t)b * BUFFER_BYTES + piece[b].at,
                       piece[b].end - piece[b].at, MSG_NOSIGNAL);
    sqe->flags |= fixed;
    s->resending = true;
    s->pair->ops++;
}

static void on_resent(struct side *s, int result) {
    s->pair->ops--;
    s->resending = false;
    if (s->pair->ending) return end_if_idle(s->pair);
    if (result < 0) return break_pair(s->pair);
    piece[s->first].at += (unsigned)result;
    if (piece[s->first].at < piece[s->first].end) return resend(s);
    pop(s);
    if (s->held > 0)
        list_for_sending(s);
    else
        drained(s);
}

/* One silent send for each side on the list, which is kept for `settle`. True: one of them has
 * something to follow, for which nothing may be waited. */
static bool send_listed(void) {
    bool follows = false;
    for (struct side **at = &sending; *at;) {
        struct side *s = *at;
        if (s->pair->ending) {
            s->listed = false;
            *at = s->next_sending;
            continue;
        }
        struct io_uring_sqe *sqe = op(s, SEND);
        unsigned short b = s->first;
        io_uring_prep_send(sqe, s->fd, memory + (size_t)b * BUFFER_BYTES + piece[b].at,
                           piece[b].end - piece[b].at,
                           MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS | fixed;
        follows |= s->held > 1 || s->other->paused || s->other->read_ended;
        at = &s->next_sending;
    }
    return follows;
}

/* After the entry: who has not answered has sent all. */
static void settle(void) {
    struct side *s = sending;
    sending = NULL;
    while (s) {
        struct side *next = s->next_sending;
        s->listed = false;
        if (s->pair->ending) {
            /* Its other side has just failed: its buffers have been given back, or will be. */
        } else if (s->failed) {
            s->failed = false;
            if (s->result >= 0) piece[s->first].at += (unsigned)s->result;
            if (s->result >= 0 || s->result == -EAGAIN)
                resend(s);
            else
                break_pair(s->pair);
        } else {
            pop(s);
            if (s->held > 0)
                list_for_sending(s);
            else
                drained(s);
        }
        s = next;
    }
}

static void accept_next(int listener) {
    struct io_uring_sqe *sqe = op(NULL, ACCEPT);
    if (proxy)
        io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    else
        io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
}

static void on_accepted(int listener, int fd, unsigned flags) {
    if (!(flags & IORING_CQE_F_MORE)) accept_next(listener);
    if (fd < 0) return;
    struct pair *p = must_have(calloc(1, sizeof *p));
    p->client = (struct side){.fd = fd, .pair = p};
    if (!proxy) {
        p->client.other = &p->client;
        return receive(&p->client);
    }
    int yes = 1;
    int up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (up < 0) {
        reset(fd);
        return free(p);
    }
    setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    p->client.other = &p->upstream;
    p->upstream = (struct side){.fd = up, .pair = p, .other = &p->client};
    io_uring_prep_connect(op(&p->upstream, CONNECT), up, (struct sockaddr *)&upstream_address,
                          sizeof upstream_address);
    p->ops++;
}

static void on_connected(struct side *s, int result) {
    s->pair->ops--;
    if (result < 0) return break_pair(s->pair);
    receive(s->other);
    receive(s);
}

static void set_up(int listener) {
    unsigned descriptors = raise_descriptors();
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = CQ,
    };
    int result = io_uring_queue_init_params(SQ, &ring, &parameters);
    errno = -result;
    must(result, "io_uring_setup");
    io_uring_register_ring_fd(&ring);
    if (!proxy) {
        fixed = IOSQE_FIXED_FILE;
        result = io_uring_register_files_sparse(&ring, descriptors);
        errno = -result;
        must(result, "direct descriptors");
    }
    if (posix_memalign((void **)&pool, 4096, BUFFERS * sizeof(struct io_uring_buf)) ||
        posix_memalign((void **)&memory, 4096, (size_t)BUFFERS * BUFFER_BYTES))
        die("memory");
    struct io_uring_buf_reg group = {
        .ring_addr = (unsigned long)pool, .ring_entries = BUFFERS, .bgid = GROUP};
    io_uring_buf_ring_init(pool);
    result = io_uring_register_buf_ring(&ring, &group, 0);
    errno = -result;
    must(result, "ring of buffers");
    free_buffers = 0;
    for (unsigned short i = 0; i < BUFFERS; i++) give_back(i);
    accept_next(listener);
}

/* Answers of silent sends first: they say what `settle` must not take for sent. True: the next
 * entry must not wait. */
static bool turn(int listener) {
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
        struct side *s = (struct side *)(cqe->user_data & ~(unsigned long)KINDS_MASK);
        if ((cqe->user_data & KINDS_MASK) != SEND) continue;
        s->failed = true;
        s->result = cqe->res;
    }
    settle();
    io_uring_for_each_cqe(&ring, head, cqe) {
        struct side *s = (struct side *)(cqe->user_data & ~(unsigned long)KINDS_MASK);
        switch (cqe->user_data & KINDS_MASK) {
        case ACCEPT: on_accepted(listener, cqe->res, cqe->flags); break;
        case RECEIVE: on_received(s, cqe->res, cqe->flags); break;
        case RESEND: on_resent(s, cqe->res); break;
        case CONNECT: on_connected(s, cqe->res); break;
        default: break;
        }
        count++;
    }
    io_uring_cq_advance(&ring, count);
    serve_starved();
    bool follows = send_listed();
    while (ended) {
        struct pair *p = ended;
        ended = p->next_ended;
        free(p);
    }
    return follows;
}

int main(int argc, char **argv) {
    proxy = argc == 3;
    arguments(argc, argv, 1 + proxy, "PORT [UPSTREAM_PORT]");
    if (proxy) upstream_address = loopback(argv[2]);
    int listener = listen_on(argv[1], 0);
    set_up(listener);
    for (bool follows = false;; follows = turn(listener)) {
        int result = io_uring_submit_and_wait(&ring, !follows);
        if (result < 0 && result != -EINTR) {
            errno = -result;
            die("io_uring_enter");
        }
    }
}
