"""Sessions with an echo, held open: sessions.py

Reads one order a line from standard input and answers each with one line:

    open PORT COUNT   opens so many sessions to 127.0.0.1:PORT
    talk              sends new bytes on every session; each has to bring them back
    close             ends every session by a FIN; each has to be answered by a FIN

An answer is "ok, N sessions", or the error.
"""

import socket
import sys

sessions = []
turn = 0


def obey(order, *arguments):
    global turn
    if order == "open":
        port, count = map(int, arguments)
        address = ("127.0.0.1", port)
        sessions.extend(socket.create_connection(address, 5) for _ in range(count))
        order = "talk"
    for number, session in enumerate(sessions):
        sent = f"turn {turn} of {number}\n".encode()
        session.sendall(sent)
        if order == "close":
            session.shutdown(socket.SHUT_WR)
        got = b""
        while got != sent or order == "close":
            piece = session.recv(1000)
            if not piece:
                break
            got += piece
        if got != sent:
            raise ValueError(f"sent {sent}, got {got}")
    turn += 1
    count = len(sessions)
    if order == "close":
        sessions.clear()
    return f"ok, {count} sessions"


for line in sys.stdin:
    try:
        print(obey(*line.split()), flush=True)
    except (OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
