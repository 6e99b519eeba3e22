#!/usr/bin/env bash
# Linux TCP (seen on 6.18): what clients see of a server that SIGKILL ends in mid-response.
#
# Guess: nobody closed the connection, so the kernel resets it, and the client gets an error.
#   SO_LINGER concerns close(2), so it changes nothing for a process that never calls it.
# Seen:  The kernel closes it in order: the client reads half of the response and then a clean end,
#   as from a server that had finished. It is reset only if the server had not read all of the
#   client's bytes, so the same crash looks different from one client to the next. With SO_LINGER
#   {1, 0} on the listener, which accepted connections inherit, every one is reset.
# Met by: every protocol that marks the end of data by the end of the connection. A server whose
#   crash is to be told from an end sets the option on its listener, and clears it on a connection
#   before an orderly close.
#
# Output seen:
#   linger {1, 0} on the listener: False, unread request: False: 'half of a resp', then clean end
#   linger {1, 0} on the listener: False, unread request: True: 'half of a resp', then reset
#   linger {1, 0} on the listener: True, unread request: False: 'half of a resp', then reset
#   linger {1, 0} on the listener: True, unread request: True: 'half of a resp', then reset
#
# Needs python3. Takes 1 s. Exit 1: the behaviour has changed.
set -euo pipefail
uname -sr
exec timeout 60 python3 - <<'PY'
import os, signal, socket, struct, sys


def end_seen(linger, unread):
    """How a client's connection ends when its server is killed in the middle of a response."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if linger:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    listener.listen()
    client = socket.socket()
    client.settimeout(5)
    client.connect(listener.getsockname())
    if unread:
        client.sendall(b"a second request")
    ready, tell = os.pipe()
    server = os.fork()
    if server == 0:
        client.close()
        signal.alarm(20)
        connection = listener.accept()[0]
        connection.sendall(b"half of a resp")
        os.write(tell, b"x")
        signal.pause()
    listener.close()
    os.read(ready, 1)
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    text = b""
    try:
        while piece := client.recv(100):
            text += piece
    except ConnectionResetError:
        return text.decode(), "reset"
    return text.decode(), "clean end"


ok = True
for linger, unread, want in (
    (False, False, "clean end"),
    (False, True, "reset"),
    (True, False, "reset"),
    (True, True, "reset"),
):
    text, got = end_seen(linger, unread)
    ok &= got == want
    print(f"linger {{1, 0}} on the listener: {linger}, unread request: {unread}: "
          f"{text!r}, then {got}" + ("" if got == want else f" (was {want})"))
sys.exit(not ok)
PY
