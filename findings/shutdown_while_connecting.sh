#!/usr/bin/env bash
# Linux TCP (seen on 6.18): shutdown(SHUT_WR) before the handshake has finished.
#
# Guess: ENOTCONN, or the kernel remembers it and sends the FIN once the connection is there, as
#   close() after a write does.
# Seen:  shutdown() returns success and throws the attempt away: the socket is back in CLOSE, the
#   server never sees a connection. Poll reports writable and hung up, and SO_ERROR says
#   ECONNRESET although the peer sent nothing.
# Met by: a proxy that passes on a client's early half-close while it still connects upstream: its
#   log then blames the upstream for a reset. Keep the half-close until connect has finished.
#
# Output seen:
#   accepted, left alone: True
#   state after shutdown: 7
#   poll: 20
#   SO_ERROR: ECONNRESET
#   accepted, after shutdown: False
#
# Needs python3. Takes 4 s. Exit 1: the behaviour has changed.
set -euo pipefail
uname -sr
exec timeout 60 python3 - <<'PY'
import errno, select, socket, sys, time

SYN_SENT, CLOSE = 2, 7


def state(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def connecting(address):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)
    return sock


def pending():
    """A listener whose queue is full, so that one more handshake stays unfinished."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fill = []
    while len(fill) < 10:
        sock = connecting(listener.getsockname())
        time.sleep(0.1)
        if state(sock) == SYN_SENT:
            return listener, fill, sock
        fill.append(sock)
    sys.exit("no handshake stayed unfinished")


def accepted(listener, fill, sock):
    """Makes room in the queue; whether the last client is then accepted."""
    listener.settimeout(3)
    for _ in fill:
        listener.accept()
    try:
        return listener.accept()[1] == sock.getsockname()
    except TimeoutError:
        return False


ok = True


def see(what, got, want):
    global ok
    ok &= got == want
    print(f"{what}: {got}" + ("" if got == want else f" (was {want})"))


see("accepted, left alone", accepted(*pending()), True)
listener, fill, sock = pending()
sock.shutdown(socket.SHUT_WR)  # No OSError.
see("state after shutdown", state(sock), CLOSE)
poll = select.poll()
poll.register(sock, select.POLLOUT)
see("poll", poll.poll(0)[0][1] & (select.POLLOUT | select.POLLHUP), select.POLLOUT | select.POLLHUP)
see("SO_ERROR", errno.errorcode[sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], "ECONNRESET")
see("accepted, after shutdown", accepted(listener, fill, sock), False)
sys.exit(not ok)
PY
