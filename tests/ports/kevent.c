/* Layouts and numbers that src/sys/kevent.rs and src/sys/bsd.rs rely on, held against the headers
 * of the system that it is compiled for. `./ci-ports kqueue` compiles it for each; nothing is run.
 */
#include <stddef.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/ioctl.h>
#include <sys/filio.h>

#define IS(what, value) _Static_assert((what) == (value), #what)

#if defined(__FreeBSD__)
IS(sizeof(struct kevent), 64);
IS(EVFILT_USER, -11);
IS(FIONWRITE, 0x40046677);
IS(SO_REUSEPORT_LB, 0x10000);
#elif defined(__NetBSD__)
/* Up to the four words that NetBSD 10 has put behind it, the struct is the one of __kevent50. */
IS(sizeof(struct kevent) == 40 || sizeof(struct kevent) == 72, 1);
IS(offsetof(struct kevent, data), 24);
IS(offsetof(struct kevent, udata), 32);
IS(EVFILT_USER, 8);
IS(FIONWRITE, 0x40046679);
#elif defined(__OpenBSD__)
IS(sizeof(struct kevent), 32);
IS(EVFILT_USER, -10);
#elif defined(__APPLE__)
IS(sizeof(struct kevent), 32);
IS(EVFILT_USER, -10);
IS(SO_NOSIGPIPE, 0x1022);
IS(SO_NWRITE, 0x1024);
#else
#error "a system that corelane does not know"
#endif

IS(offsetof(struct kevent, ident), 0);
IS(offsetof(struct kevent, filter), 8);
IS(sizeof(((struct kevent *)0)->udata), 8);

IS(EV_ADD, 0x0001);
IS(EV_CLEAR, 0x0020);
IS(EV_ERROR, 0x4000);
IS(EV_EOF, 0x8000);
IS(NOTE_TRIGGER, 0x01000000);
#if defined(__NetBSD__)
IS(EVFILT_READ, 0);
IS(EVFILT_WRITE, 1);
#else
IS(EVFILT_READ, -1);
IS(EVFILT_WRITE, -2);
#endif
