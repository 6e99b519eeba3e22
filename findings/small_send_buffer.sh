#!/usr/bin/env bash
# Linux TCP (seen on 6.18, congestion control cubic, reno and bbr): a send buffer below one segment.
#
# Guess: SO_SNDBUF = 4096 makes a bulk transfer over loopback a few times slower, and smaller
#   segments make that worse, since every segment costs.
# Seen:  The transfer crawls: some 45 segments a second, a few MB/s where the default buffer moves
#   thousands. Segments of a quarter of the size (TCP_MAXSEG) make the same buffer several hundred
#   times faster. The kernel checks the buffer before it builds a packet and not for each byte, so
#   one full 64 KiB segment fits into an 8 KiB buffer, and then nothing more until it is
#   acknowledged, which a single segment is late (delayed ACK).
# Met by: whoever lowers SO_SNDBUF to bound memory per connection, and tests it over loopback, where
#   the segment is 64 KiB. Lower TCP_MAXSEG with it.
#
# Output seen:
#   default: 5287.4 MB/s, 84572 segments, MSS 65483
#   SO_SNDBUF 4096: 2.3 MB/s, 39 segments, MSS 65483
#   SO_SNDBUF 4096, TCP_MAXSEG 16384: 3074.7 MB/s, 187803 segments, MSS 16372
#   as described
#
# Needs python3. Takes 4 s. Exit 1: the behaviour has changed.
set -euo pipefail
uname -sr
exec timeout 60 python3 - <<'PY'
import socket, struct, sys, threading, time

SECONDS = 1.0
TCP_INFO_SND_MSS, TCP_INFO_SEGS_IN = 16, 140  # Offsets in struct tcp_info.


def transfer(send_buffer, segment):
    """Sends for SECONDS over loopback; bytes and segments that arrived, the MSS, the buffer."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    sender = socket.socket()
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    if send_buffer:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    if segment:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
    sender.connect(listener.getsockname())
    receiver = listener.accept()[0]
    seen = [0]

    def read():
        into = bytearray(1 << 18)
        while count := receiver.recv_into(into):
            seen[0] += count

    reader = threading.Thread(target=read)
    reader.start()
    data, end = bytes(1 << 18), time.monotonic() + SECONDS
    sender.settimeout(0.2)
    while time.monotonic() < end:
        try:
            sender.send(data)
        except TimeoutError:
            pass
    info = receiver.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    mss = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    sender.close()
    reader.join()
    return (
        seen[0],
        struct.unpack_from("I", info, TCP_INFO_SEGS_IN)[0],
        struct.unpack_from("I", mss, TCP_INFO_SND_MSS)[0],
    )


rates = {}
for name, send_buffer, segment in (
    ("default", 0, 0),
    ("SO_SNDBUF 4096", 4096, 0),
    ("SO_SNDBUF 4096, TCP_MAXSEG 16384", 4096, 16384),
):
    count, segments, mss = transfer(send_buffer, segment)
    rates[name] = count / SECONDS
    print(f"{name}: {count / SECONDS / 1e6:.1f} MB/s, {segments} segments, MSS {mss}")
default, small, cut = rates.values()
ok = small * 50 < default and small * 20 < cut
print("as described" if ok else "CHANGED")
sys.exit(not ok)
PY
