"""Connects to a port, sends a line, reads to the server's FIN, and only then sends a file: the
client of a server that closes its side first. The half_close case runs it."""

import socket
import sys

GREETING_BYTES = 1_000_000


def main():
    port, line, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(line.encode() + b"\n")
        received = 0
        while chunk := connection.recv(1 << 16):
            received += len(chunk)
        if received != GREETING_BYTES:
            sys.exit(f"{received} bytes came before the FIN, not {GREETING_BYTES}")
        with open(path, "rb") as file:
            connection.sendfile(file)
        connection.shutdown(socket.SHUT_WR)


main()
