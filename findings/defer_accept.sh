#!/usr/bin/env bash
# Linux TCP (seen on 6.18): a listener with TCP_DEFER_ACCEPT (nginx `deferred`, HAProxy
# `defer-accept`) and clients that send nothing.
#
# Guess: such a client is dropped when the time is over, a port check (connect, close) never
#   reaches the server, and closing the listener resets all who wait.
# Seen:  With 1 s the silent client is accepted after 1 s all the same, with nothing to read: the
#   option delays and does not filter. A FIN counts as data, so a port check is accepted at once.
#   Until accepted the client believes itself connected, yet the server's kernel holds a mere
#   request: closing the listener says nothing to that client, which waits until it writes. Without
#   the option the same close resets it.
# Met by: a graceful stop or reload (no reset, so no retry: the client hangs), and whoever counts on
#   data being there after accept.
#
# Output seen:
#   silent client, accepted within 0.5 s: False
#   silent client, accepted later: True
#   what it reads: TimeoutError
#   port check, end of file: b''
#   within 10 s: True
#   listener closed, defer 0 s: client reads: ConnectionResetError
#   listener closed, defer 30 s: client reads: TimeoutError
#   and after a write: ConnectionResetError
#
# Needs python3. Takes 5 s. Exit 1: the behaviour has changed.
set -euo pipefail
uname -sr
exec timeout 60 python3 - <<'PY'
import socket, sys, time

ok = True


def see(what, got, want):
    global ok
    ok &= got == want
    print(f"{what}: {got}" + ("" if got == want else f" (was {want})"))


def listen(defer_s):
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, defer_s)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def accepted(listener, wait_s):
    listener.settimeout(wait_s)
    try:
        return listener.accept()[0]
    except TimeoutError:
        return None


def reads(sock, wait_s):
    sock.settimeout(wait_s)
    try:
        return sock.recv(10)
    except (TimeoutError, ConnectionResetError) as e:
        return type(e).__name__


listener = listen(1)
silent = socket.create_connection(listener.getsockname())
see("silent client, accepted within 0.5 s", accepted(listener, 0.5) is not None, False)
connection = accepted(listener, 10)
see("silent client, accepted later", connection is not None, True)
see("what it reads", reads(connection, 0.2), "TimeoutError")

listener = listen(30)
started = time.monotonic()
socket.create_connection(listener.getsockname()).close()
see("port check, end of file", reads(accepted(listener, 20), 5), b"")
see("within 10 s", time.monotonic() - started < 10, True)

for defer_s, want in ((0, "ConnectionResetError"), (30, "TimeoutError")):
    listener = listen(defer_s)
    silent = socket.create_connection(listener.getsockname())
    listener.close()
    see(f"listener closed, defer {defer_s} s: client reads", reads(silent, 2), want)
silent.send(b"x")
see("and after a write", reads(silent, 2), "ConnectionResetError")
sys.exit(not ok)
PY
