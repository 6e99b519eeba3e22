#!/usr/bin/env bash
# Linux TCP (seen on 6.18): SO_ATTACH_FILTER on a listening socket.
#
# Guess: the filter sees what comes for the listener, that is handshakes. Accepted connections have
#   none, and taking it off the listener ends it.
# Seen:  Each connection whose handshake ended under the filter carries the filter on, for its data
#   as well: the listener's rule "at most 40 bytes" swallows every larger piece of the client, which
#   the client sends again and again. Taking the filter off the listener, or closing the listener,
#   changes nothing for these; SO_DETACH_FILTER on the connection does, and the lost piece then
#   arrives with the next retransmission. Connections completed before the filter was attached have
#   none, though they were accepted after it.
# Met by: servers that drop SYNs by a filter to hand a port over without refusing anybody, or that
#   filter by address: write the filter so that it passes all that is no SYN, or detach it again.
#
# Output seen:
#   completed before the filter, reads: 100
#   completed after it was taken off, reads: 100
#   completed under the filter, reads: nothing
#   once detached from the connection, reads: 100
#
# Needs python3. Takes 2 s. Exit 1: the behaviour has changed.
set -euo pipefail
uname -sr
exec timeout 60 python3 - <<'PY'
import ctypes, socket, struct, sys

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
LOAD_LENGTH, JUMP_IF_GREATER, RETURN = 0x80, 0x25, 0x06
ok = True


def see(what, got, want):
    global ok
    ok &= got == want
    print(f"{what}: {got}" + ("" if got == want else f" (was {want})"))


def drop_above(sock, length):
    """Drops each segment of more than `length` bytes, TCP header included."""
    program = [(LOAD_LENGTH, 0, 0, 0), (JUMP_IF_GREATER, 0, 1, length),
               (RETURN, 0, 0, 0), (RETURN, 0, 0, 0xFFFFFFFF)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
    pointer = struct.pack("HL", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)


def reads(sock, wait_s):
    sock.settimeout(wait_s)
    try:
        return len(sock.recv(1000))
    except TimeoutError:
        return "nothing"


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
early = socket.create_connection(listener.getsockname())
drop_above(listener, 40)  # A SYN has 40 bytes, an ACK 32.
client = socket.create_connection(listener.getsockname())
before, connection = listener.accept()[0], listener.accept()[0]
listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
after = socket.create_connection(listener.getsockname())
unfiltered = listener.accept()[0]
listener.close()
for sock in (early, client, after):
    sock.sendall(bytes(100))
see("completed before the filter, reads", reads(before, 5), 100)
see("completed after it was taken off, reads", reads(unfiltered, 5), 100)
see("completed under the filter, reads", reads(connection, 1), "nothing")
connection.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
see("once detached from the connection, reads", reads(connection, 10), 100)
sys.exit(not ok)
PY
