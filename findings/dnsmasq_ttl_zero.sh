#!/usr/bin/env bash
# dnsmasq 2.90 (Debian 12): the cache times of answers about its own names, and how much of a long
#   answer a client gets by UDP.
#
# Guess: a name from the hosts file, --host-record or --srv-host has a small TTL, such as a minute;
#   a negative answer carries an SOA record, from which a resolver takes the time to remember it
#   (RFC 2308); and a client that offers 4,096 bytes (EDNS0) gets an answer of up to that size.
# Seen:  every TTL is 0. NXDOMAIN and "no such type" have an empty authority section. With 400
#   addresses, 1,227 bytes arrive however much the client offers: 75 addresses with the truncation
#   bit, and 30 without EDNS0.
# Met by: balancers and connection pools that refresh a name by its TTL. They ask again for every
#   connection or fall to a floor of their own, and need a default for negative answers. A client
#   that takes the addresses of a truncated answer changes its endpoints at every query.
#
# Output seen:
#   A from the hosts file: TTL 0
#   A of a host-record: TTL 0
#   SRV: TTL 0
#   name that does not exist: rcode 3, authority records 0
#   AAAA of a name with A alone: rcode 0, authority records 0
#   400 addresses: 30 of them and truncated by UDP, 75 and truncated with EDNS0 of 4096, 400 by TCP
#   as described
#
# Needs python3, apt-get with Debian 12's lists and dpkg; x86-64. Takes 5 s. Exit 1: the behaviour
# has changed; 2: the packages cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
{
    apt-get download dnsmasq-base=2.90-4~deb12u2 libdbus-1-3 libgmp10 libhogweed6 libidn2-0 \
        libjansson4 libmnl0 libnetfilter-conntrack3 libnettle8 libnfnetlink0 libnftables1 \
        libnftnl11 libunistring2 libxtables12 &&
        for package in *.deb; do dpkg -x "$package" root; done
} > install.log 2>&1 || { tail -3 install.log; exit 2; }
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu:$folder/root/lib/x86_64-linux-gnu
timeout 60 python3 - <<'PY'
import os, socket, struct, subprocess, sys, time

A, AAAA, SRV, OPT, PORT = 1, 28, 33, 41, 20353


def ask(name, kind, edns=0, tcp=False):
    """The code, the truncation bit, the counts of answer and authority records, and the first TTL."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">6H", 1, 0x0100, 1, 0, 0, int(edns > 0)) + labels + b"\0"
    query += struct.pack(">2H", kind, 1)
    if edns:
        query += b"\0" + struct.pack(">2HIH", OPT, edns, 0, 0)
    at = ("127.0.0.1", PORT)
    if tcp:
        with socket.create_connection(at, 3) as connection, connection.makefile("rb") as reader:
            connection.sendall(struct.pack(">H", len(query)) + query)
            answer = reader.read(struct.unpack(">H", reader.read(2))[0])
    else:
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(3)
            datagrams.sendto(query, at)
            answer = datagrams.recv(65535)
    _, flags, _, answers, authority, _ = struct.unpack(">6H", answer[:12])
    # The first record follows the question; its name is a pointer of two bytes.
    first = 12 + len(labels) + 1 + 4 + 2
    ttl = struct.unpack(">I", answer[first + 4:first + 8])[0] if answers else None
    return flags & 15, flags >> 9 & 1, answers, authority, ttl


def started():
    for _ in range(100):
        try:
            return ask("rec.test", A)
        except OSError:
            time.sleep(0.1)
    sys.exit("dnsmasq does not answer")


with open("hosts", "w") as hosts:
    hosts.write("127.0.0.9 file.test\n")
    hosts.writelines(f"127.1.{i // 250}.{i % 250 + 1} many.test\n" for i in range(400))
server = subprocess.Popen([
    "root/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={PORT}",
    "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
    f"--addn-hosts={os.getcwd()}/hosts", "--local=/test/", "--host-record=rec.test,127.0.0.3",
    "--srv-host=_db._tcp.test,rec.test,5432,1,5", "--pid-file=", "--user=root"])
try:
    started()
    ok = True
    for what, name, kind in (("A from the hosts file", "file.test", A),
                             ("A of a host-record", "rec.test", A),
                             ("SRV", "_db._tcp.test", SRV)):
        ttl = ask(name, kind)[4]
        ok &= ttl == 0
        print(f"{what}: TTL {ttl}")
    for what, name, kind, code in (("name that does not exist", "no.test", A, 3),
                                   ("AAAA of a name with A alone", "rec.test", AAAA, 0)):
        rcode, _, answers, authority, _ = ask(name, kind)
        ok &= (rcode, answers, authority) == (code, 0, 0)
        print(f"{what}: rcode {rcode}, authority records {authority}")
    plain, wide, tcp = ask("many.test", A), ask("many.test", A, 4096), ask("many.test", A, tcp=True)
    ok &= (plain[1:3], wide[1:3], tcp[1:3]) == ((1, 30), (1, 75), (0, 400))
    print(f"400 addresses: {plain[2]} of them and truncated by UDP, {wide[2]} and truncated with "
          f"EDNS0 of 4096, {tcp[2]} by TCP")
finally:
    server.terminate()
    server.wait()
print("as described" if ok else "CHANGED")
sys.exit(not ok)
PY
