#!/usr/bin/env bash
# BIND 9.18.49 (Debian 12): a name with more than a hundred addresses or SRV records.
#
# Guess: a name may have as many records as fit into an answer of 64 KiB, some thousand addresses;
#   a resolver gets them by TCP.
# Seen:  with 101 records of one type at one name, BIND loads nothing of the zone: it answers
#   SERVFAIL for every name in it. The default of max-records-per-type is 100; 100 records load.
# Met by: those who publish the endpoints of a balancer as addresses or SRV records of one name.
#   The 101st endpoint does not merely stay unknown: at the next start of BIND all names of its zone
#   are gone. Remedy: max-records-per-type in options, or several names.
#
# Output seen:
#   100 A records: rcode 0 for another name of the zone
#   101 A records: rcode 2 for another name of the zone: too many records (must not exceed 100)
#   100 SRV records: rcode 0 for another name of the zone
#   101 SRV records: rcode 2 for another name of the zone: too many records (must not exceed 100)
#   as described
#
# Needs python3, apt-get with Debian 12's lists and dpkg; x86-64. Takes 15 s. Exit 1: the behaviour
# has changed; 2: the packages cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
{
    apt-get download bind9=1:9.18.49-1~deb12u3 bind9-libs=1:9.18.49-1~deb12u3 libcap2 libfstrm0 \
        libicu72 libjemalloc2 libjson-c5 liblmdb0 libmaxminddb0 libnghttp2-14 libprotobuf-c1 \
        libuv1 libxml2 &&
        for package in *.deb; do dpkg -x "$package" root; done
} > install.log 2>&1 || { tail -3 install.log; exit 2; }
libraries=$folder/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$libraries:$libraries/bind9:$folder/root/lib/x86_64-linux-gnu
timeout 100 python3 - <<'PY'
import os, re, socket, struct, subprocess, sys, time

PORT = 20354
RECORDS = {"A": lambda i: f"many A 127.1.0.{i + 1}", "SRV": lambda i: f"many SRV 1 1 {i + 1} ns"}


def rcode_of_another_name():
    """The code of an answer about ns.test."""
    query = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\2ns\4test\0" + struct.pack(">2H", 1, 1)
    for _ in range(100):
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(1)
            try:
                datagrams.connect(("127.0.0.1", PORT))
                datagrams.send(query)
                return datagrams.recv(512)[3] & 15
            except OSError:
                time.sleep(0.1)
    sys.exit("BIND does not answer")


with open("named.conf", "w") as conf:
    conf.write(f'''options {{
        directory "{os.getcwd()}"; recursion no; pid-file none;
        listen-on port {PORT} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    }};
    controls {{}};
    zone "test" {{ type primary; file "zone"; }};''')
ok = True
for kind, record in RECORDS.items():
    for count in (100, 101):
        with open("zone", "w") as zone:
            zone.write("$TTL 60\n@ SOA ns a 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n")
            zone.writelines(record(i) + "\n" for i in range(count))
        server = subprocess.Popen(
            ["root/usr/sbin/named", "-g", "-c", "named.conf", "-n", "1"],
            stderr=subprocess.PIPE, text=True)
        try:
            rcode = rcode_of_another_name()
        finally:
            server.terminate()
            log = server.communicate(timeout=20)[1]
        why = re.search(r"too many records \(.*\)", log)
        ok &= rcode == (2 if count > 100 else 0) and bool(why) == (count > 100)
        print(f"{count} {kind} records: rcode {rcode} for another name of the zone"
              + (f": {why[0]}" if why else ""))
print("as described" if ok else "CHANGED")
sys.exit(not ok)
PY
