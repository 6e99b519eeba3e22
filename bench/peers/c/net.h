/* What every server here needs of sockets. They listen on 127.0.0.1 and serve on one thread.
 *
 * These servers are the limit ("L"): what one would write by hand for this task and no other. What
 * goes wrong while setting up ends the program; what goes wrong on a connection ends that. */
#pragma once

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* The value, or the end of the program if it is negative. */
static inline int must(int value, const char *what) {
    if (value < 0) die(what);
    return value;
}

static inline void *must_have(void *memory) {
    if (!memory) die("memory");
    return memory;
}

static inline struct sockaddr_in loopback(const char *port) {
    char *end;
    unsigned long number = strtoul(port, &end, 10);
    if (*end || number == 0 || number > 65535) {
        fprintf(stderr, "%s: write a port, 1 to 65535\n", port);
        exit(2);
    }
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)number),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

/* Accepted sockets inherit TCP_NODELAY. The backlog is somaxconn: less costs seconds in a storm. */
static inline int listen_on(const char *port, int flags) {
    struct sockaddr_in address = loopback(port);
    int yes = 1;
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket");
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
    must(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
    must(listen(fd, 65535), "listen");
    return fd;
}

/* As many descriptors as the system lets this process have. */
static inline unsigned raise_descriptors(void) {
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
    return (unsigned)limit.rlim_cur;
}

/* Ends in a reset, so that the other side does not take a part for the whole. */
static inline void reset(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static inline void arguments(int argc, char **argv, int count, const char *names) {
    if (argc == count + 1) return;
    fprintf(stderr, "usage: %s %s\n", argv[0], names);
    exit(2);
}
