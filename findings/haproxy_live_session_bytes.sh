#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12), mode tcp: what its statistics and its check say of a server that is
#   alive for the kernel alone.
#
# Guess: bytes of a session show in the statistics while they move; a server with "check" that
#   accepts no connection any more goes DOWN after its number of failures.
# Seen:  the statistics count a session's bytes when it ends: 0 after 256 KiB each way, all of them
#   afterwards. The check of a server whose process is stopped (SIGSTOP) goes on succeeding: the
#   kernel completes the handshakes, the check ends them, and the server stays UP.
# Met by: dashboards of databases and brokers, whose sessions last for days: no traffic all day and a
#   peak at night. And by whoever takes UP for "answers": a check must wait for a byte of the server
#   (tcp-check expect). "option contstats" counts earlier, in steps.
#
# Output seen:
#   bytes in and out of a live session: 0 0
#   bytes in and out after its end: 262144 262144
#   server stopped for 3 s, checked every 100 ms: UP
#   as described
#
# Needs python3, apt-get with Debian 12's lists and dpkg; x86-64. Takes 6 s. Exit 1: the behaviour
# has changed; 2: the packages cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
{
    apt-get download haproxy=2.6.12-1+deb12u4 liblua5.3-0 libopentracing-c-wrapper0 \
        libopentracing1 libpcre2-8-0 libcap2 &&
        for package in *.deb; do dpkg -x "$package" root; done
} > install.log 2>&1 || { tail -3 install.log; exit 2; }
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu:$folder/root/lib/x86_64-linux-gnu
timeout 60 python3 - <<'PY'
import csv, os, signal, socket, subprocess, sys, time

SERVER, PROXY, PIECE = 20357, 20358, 256 * 1024
ECHO = """
import socket, sys, threading
def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
while True:
    threading.Thread(target=echo, args=[listener.accept()[0]], daemon=True).start()
"""


def stat(name):
    """The row of the backend's server in the statistics."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect("control")
        control.sendall(b"show stat\n")
        text = control.makefile().read().lstrip("# ")
    rows = csv.DictReader(text.splitlines())
    return next(row for row in rows if row["svname"] == "s")[name]


def wait_for(what):
    for _ in range(100):
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("a program does not answer")


with open("conf", "w") as conf:
    conf.write(f"""
global
  stats socket {os.getcwd()}/control
defaults
  mode tcp
  timeout connect 1s
  timeout client 30s
  timeout server 30s
listen l
  bind 127.0.0.1:{PROXY}
  server s 127.0.0.1:{SERVER} check inter 100ms fall 2 rise 1
""")
programs = [subprocess.Popen([sys.executable, "-c", ECHO, str(SERVER)]),
            subprocess.Popen(["root/usr/sbin/haproxy", "-db", "-f", "conf"],
                             stderr=subprocess.DEVNULL)]
try:
    wait_for(lambda: socket.create_connection(("127.0.0.1", SERVER)).close() is None)
    wait_for(lambda: stat("status") == "UP")
    with socket.create_connection(("127.0.0.1", PROXY)) as client:
        for _ in range(PIECE // 65536):
            client.sendall(b"x" * 65536)
            assert len(client.recv(65536, socket.MSG_WAITALL)) == 65536
        live = stat("bin"), stat("bout")
    wait_for(lambda: stat("scur") == "0")
    after = stat("bin"), stat("bout")
    print("bytes in and out of a live session:", *live)
    print("bytes in and out after its end:", *after)
    programs[0].send_signal(signal.SIGSTOP)
    time.sleep(3)
    status = stat("status")
    print(f"server stopped for 3 s, checked every 100 ms: {status}")
    programs[0].send_signal(signal.SIGCONT)
finally:
    for program in programs:
        program.kill()
        program.wait()
ok = live == ("0", "0") and after == (str(PIECE), str(PIECE)) and status.startswith("UP")
print("as described" if ok else "CHANGED")
sys.exit(not ok)
PY
