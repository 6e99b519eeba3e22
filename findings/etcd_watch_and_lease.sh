#!/usr/bin/env bash
# etcd 3.4.23 (Debian 12), its JSON gateway: the time of a lease, a watch from a revision that is
#   compacted, a range without keys, and the end of the server under a watch.
#
# Guess: a lease of one second has a TTL of one second, or is refused. A watch from a compacted
#   revision gets an HTTP error, as a range does, or its stream ends. A range without keys says
#   "count": 0. A server that stops ends the watch's stream.
# Seen:  the TTL is raised without a word to 1.5 election timeouts, rounded up: 2 s by default and 8 s
#   with an election timeout of 5 s. The watch gets HTTP 200 and a message "canceled" with
#   compact_revision, and then the stream stays open and silent. A range without keys has neither
#   "kvs" nor "count". The stream of a stopping server goes on with an object "error" without a
#   newline, under the status 200 of before. Revisions and TTLs are strings.
# Met by: service discovery over plain HTTP. A reader that waits for the end of the stream misses
#   every later change; one that reads whole lines misses the error; endpoints with a lease of a
#   second stay for twice or eight times as long.
#
# Output seen:
#   lease of 1 s: TTL '2'
#   range at the compacted revision: HTTP 400
#   watch from there: HTTP 200, canceled, compact_revision '6', then silence for 2 s
#   range without keys: only 'header'
#   end of the server: '{"error":' without a newline, then the end of the stream
#   lease of 1 s with an election timeout of 5 s: TTL '8'
#   as described
#
# Needs python3, apt-get with Debian 12's lists and dpkg; x86-64. Takes 10 s. Exit 1: the behaviour
# has changed; 2: the package cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
{
    apt-get download etcd-server=3.4.23-4+b4 && dpkg -x etcd-server_*.deb root
} > install.log 2>&1 || { tail -3 install.log; exit 2; }
timeout 100 python3 - <<'PY'
import contextlib, http.client, json, subprocess, sys, tempfile, time

CLIENTS, PEERS = 20355, 20356
KEY, NONE, SECONDS = "a2V5", "bm9uZQ==", 2
ok = True


def see(what, holds):
    global ok
    ok &= holds
    print(what + ("" if holds else " (CHANGED)"))


def open_(path, body):
    """The connection and the answer, whose body may be read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", CLIENTS, timeout=5)
    connection.request("POST", "/v3/" + path, json.dumps(body))
    return connection, connection.getresponse()


def post(path, body):
    connection, answer = open_(path, body)
    with contextlib.closing(connection):
        return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def etcd(*options):
    peers = f"http://127.0.0.1:{PEERS}"
    clients = f"http://127.0.0.1:{CLIENTS}"
    with tempfile.TemporaryDirectory() as data, subprocess.Popen(
            ["root/usr/bin/etcd", "--data-dir", data, "--listen-client-urls", clients,
             "--advertise-client-urls", clients, "--listen-peer-urls", peers,
             "--initial-advertise-peer-urls", peers, "--initial-cluster", "default=" + peers,
             *options], stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                try:
                    if post("lease/leases", {})[0] == 200:
                        break
                except OSError:
                    pass
                time.sleep(0.1)
            else:
                sys.exit("etcd does not answer")
            yield server
        finally:
            server.terminate()


def ttl():
    return post("lease/grant", {"TTL": 1})[1]["TTL"]


def watch(start):
    connection, answer = open_("watch", {"create_request": {"key": KEY, **start}})
    created = json.loads(answer.readline())["result"]
    assert created["created"], created
    return connection, answer


with etcd() as server:
    see(f"lease of 1 s: TTL {ttl()!r}", ttl() == "2")
    for _ in range(5):
        revision = post("kv/put", {"key": KEY, "value": KEY})[1]["header"]["revision"]
    post("kv/compaction", {"revision": revision})
    status, _ = post("kv/range", {"key": KEY, "revision": 2})
    see(f"range at the compacted revision: HTTP {status}", status == 400)
    connection, answer = watch({"start_revision": 2})
    told = json.loads(answer.readline())["result"]
    connection.sock.settimeout(SECONDS)
    try:
        answer.readline()
        silent = False
    except TimeoutError:
        silent = True
    connection.close()
    see(f"watch from there: HTTP {answer.status}, canceled, compact_revision "
        f"{told.get('compact_revision')!r}, then silence for {SECONDS} s",
        answer.status == 200 and told.get("canceled") and told["compact_revision"] == revision
        and silent)
    _, nothing = post("kv/range", {"key": NONE})
    see(f"range without keys: only {', '.join(map(repr, nothing))}", [*nothing] == ["header"])
    connection, answer = watch({})
    server.terminate()
    rest = answer.read().decode()
    see(f"end of the server: {rest[:9]!r} without a newline, then the end of the stream",
        rest.startswith('{"error":') and "\n" not in rest)
    connection.close()
with etcd("--election-timeout", "5000"):
    see(f"lease of 1 s with an election timeout of 5 s: TTL {ttl()!r}", ttl() == "8")
print("as described" if ok else "CHANGED")
sys.exit(not ok)
PY
