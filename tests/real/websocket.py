"""A WebSocket echo server and a client that checks it (RFC 6455), with the standard library only.

    websocket.py serve PORT      until it is killed
    websocket.py connect PORT    prints `result NAME VALUE` and `figure NAME VALUE` lines; exits
                                 with a message when anything is not as it must be
"""

import base64
import hashlib
import os
import random
import socket
import struct
import sys
import threading
import time

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
CLIENTS = 8
ROUND_TRIPS = 2000
TIMEOUT_S = 30


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def masked(payload, key):
    # As one big number: a loop over the bytes of 1 MiB would take seconds.
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return number.to_bytes(size, "big")


class Peer:
    """One end of a connection after the handshake; a client masks what it sends (section 5.3)."""

    def __init__(self, connection, reader, masks):
        self.connection, self.reader, self.masks = connection, reader, masks

    def send(self, opcode, payload, final=True):
        size = len(payload)
        head = bytes([opcode | (0x80 if final else 0)])
        mask_bit = 0x80 if self.masks else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 1 << 16:
            head += struct.pack("!BH", mask_bit | 126, size)
        else:
            head += struct.pack("!BQ", mask_bit | 127, size)
        if self.masks:
            key = os.urandom(4)
            head, payload = head + key, masked(payload, key)
        self.connection.sendall(head + payload)

    def receive(self):
        first, second = self.exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.exactly(8))
        if bool(second & 0x80) == self.masks:
            raise ValueError("a client masks, a server does not")
        key = self.exactly(4) if second & 0x80 else None
        payload = self.exactly(size)
        return bool(first & 0x80), first & 0x0F, masked(payload, key) if key else payload

    def exactly(self, size):
        data = self.reader.read(size)
        if len(data) != size:
            raise EOFError(f"{len(data)} bytes of {size} before the FIN")
        return data


def headers(reader):
    lines = []
    while line := reader.readline().strip().decode():
        lines.append(line)
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    keys = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines[1:]}
    return lines[0], fields, keys


def serve_one(connection):
    with connection, connection.makefile("rb") as reader:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, _, keys = headers(reader)
        answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        answer += f"Sec-WebSocket-Accept: {accept_key(keys['sec-websocket-key'])}\r\n\r\n"
        connection.sendall(answer.encode())
        peer = Peer(connection, reader, masks=False)
        while True:
            final, opcode, payload = peer.receive()
            peer.send(PONG if opcode == PING else opcode, payload, final)
            if opcode == CLOSE:
                # The server closes first (section 7.1.1).
                return


def serve(port):
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()


def opened(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    request = "GET /echo HTTP/1.1\r\nHost: real\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    connection.sendall(request.encode())
    reader = connection.makefile("rb")
    status, fields, keys = headers(reader)
    assert status.startswith("HTTP/1.1 101 "), status
    assert fields["upgrade"] == "websocket", fields
    assert keys["sec-websocket-accept"] == accept_key(key), "the key of another handshake"
    return Peer(connection, reader, masks=True)


def echoed(peer, opcode, payload, final=True):
    peer.send(opcode, payload, final)
    answer = peer.receive()
    expected = (final, PONG if opcode == PING else opcode, payload)
    assert answer == expected, f"opcode {opcode} of {len(payload)} bytes came back otherwise"


def session(port, seed):
    """One connection from its handshake to its FIN; the hash of all that came back."""
    generator, digest = random.Random(seed), hashlib.sha256()
    peer = opened(port)
    for size in SIZES:
        payload = generator.randbytes(size)
        echoed(peer, BINARY, payload)
        digest.update(payload)
        echoed(peer, TEXT, b"t" * size)
        if size <= 125:
            echoed(peer, PING, payload)
    # A message in three fragments, with a ping between them (section 5.4).
    echoed(peer, TEXT, b"one ", final=False)
    echoed(peer, PING, b"between")
    echoed(peer, CONTINUATION, b"two ", final=False)
    echoed(peer, CONTINUATION, b"three")
    # Many frames on their way at once.
    frames = [generator.randbytes(generator.randrange(2000)) for _ in range(200)]
    sender = threading.Thread(target=lambda: [peer.send(BINARY, frame) for frame in frames])
    sender.start()
    for frame in frames:
        assert peer.receive() == (True, BINARY, frame), "a pipelined frame came back otherwise"
        digest.update(frame)
    sender.join()
    echoed(peer, CLOSE, struct.pack("!H", 1000) + b"done")
    assert peer.reader.read(1) == b"", "bytes after the close frame"
    peer.connection.close()
    return digest.hexdigest()


def connect(port):
    for seed in range(2):
        print("result", f"session-{seed}", session(port, seed))

    hashes = [None] * CLIENTS

    def run(index):
        hashes[index] = session(port, index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in hashes, "a client of several at once failed"
    print("result", "at-once", " ".join(hashes))

    peer = opened(port)
    begin = time.monotonic()
    for _ in range(ROUND_TRIPS):
        echoed(peer, BINARY, b"0123456789")
    print("figure", "round-trips/s", round(ROUND_TRIPS / (time.monotonic() - begin)))
    echoed(peer, CLOSE, struct.pack("!H", 1000))
    assert peer.reader.read(1) == b"", "bytes after the close frame"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        connect(int(sys.argv[2]))
