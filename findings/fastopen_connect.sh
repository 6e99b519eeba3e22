#!/usr/bin/env bash
# Linux TCP (seen on 6.18): connect(2) with TCP_FASTOPEN_CONNECT.
#
# Guess: the option saves a round trip and changes nothing else: connect() still tells whether the
#   server is there, and a SYN leaves at the latest a moment after it.
# Seen:  Without a cookie connect() is an ordinary one. Once the client holds a cookie, connect()
#   returns success at once and nothing is sent until the first write: the state is SYN_SENT,
#   getpeername() says ENOTCONN, poll says writable. So a server that speaks first (SSH, SMTP,
#   MySQL) is never reached, and a closed port looks connected: the first write succeeds as well,
#   and only the read after it says ECONNREFUSED. The cookie is kept for each IP address and not
#   for each port: one fast-open service changes how connect() behaves for all ports of that host,
#   those without fast open too.
# Met by: a proxy, pool or health check that sets the option and takes connect() as proof.
#
# Output seen:
#   state without a cookie: 1
#   state with a cookie: 2
#   server accepts within 1 s: timeout
#   getpeername: ENOTCONN
#   poll: 4
#   server accepts after a write: success
#   state, other port without fast open: 2
#   state, other address: 1
#   closed port: state: 2
#   closed port: write: success
#   closed port: read: ECONNREFUSED
#
# Needs python3, unshare and ip; makes a network namespace. Takes 2 s.
# Exit 1: the behaviour has changed; 2: no namespace to be had.
set -euo pipefail
uname -sr
unshare --map-root-user --net true || exit 2
body=$(cat <<'PY'
import errno, select, socket, sys

ESTABLISHED, SYN_SENT = 1, 2
TCP_FASTOPEN_CONNECT = 30
ok = True


def see(what, got, want):
    global ok
    ok &= got == want
    print(f"{what}: {got}" + ("" if got == want else f" (was {want})"))


def state(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def listen(ip, fast_open):
    listener = socket.socket()
    listener.bind((ip, 0))
    if fast_open:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.listen()
    listener.settimeout(1)
    return listener


def connect(address):
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    sock.settimeout(2)
    sock.connect(address)
    return sock


def error(call, *args):
    try:
        call(*args)
    except OSError as e:
        return errno.errorcode.get(e.errno, "timeout")
    return "success"


fast = listen("127.0.0.1", True)
first = connect(fast.getsockname())
see("state without a cookie", state(first), ESTABLISHED)
fast.accept()
again = connect(fast.getsockname())
see("state with a cookie", state(again), SYN_SENT)
see("server accepts within 1 s", error(fast.accept), "timeout")
see("getpeername", error(again.getpeername), "ENOTCONN")
poll = select.poll()
poll.register(again, select.POLLOUT)
see("poll", poll.poll(0)[0][1], select.POLLOUT)
again.send(b"x")
see("server accepts after a write", error(fast.accept), "success")
plain = listen("127.0.0.1", False)
see("state, other port without fast open", state(connect(plain.getsockname())), SYN_SENT)
other = listen("127.0.0.2", True)
see("state, other address", state(connect(other.getsockname())), ESTABLISHED)
closed = plain.getsockname()
plain.close()
refused = connect(closed)  # No OSError.
see("closed port: state", state(refused), SYN_SENT)
see("closed port: write", error(refused.send, b"x"), "success")
see("closed port: read", error(refused.recv, 1), "ECONNREFUSED")
sys.exit(not ok)
PY
)
export body
exec timeout 60 unshare --map-root-user --net sh -ec '
    ip link set lo up
    echo 3 > /proc/sys/net/ipv4/tcp_fastopen
    exec python3 -c "$body"'
