#!/usr/bin/env bash
# Load clients hey 0.1.4, wrk 4.1.0 (Debian 12) and autocannon 9.0.0 (npm), against HTTP servers
# that close each connection: without an answer, or right after one complete answer.
#
# Guess: without answers all report a rate of 0, count errors and exit non-zero. With answers all
#   connect anew, report their rate and times, and nothing as failed.
# Seen, no answers: hey reports thousands of "Requests/sec", for failed requests count in its rate.
#   autocannon reports 0 errors, timeouts and resets beside thousands of requests sent. wrk reports
#   a rate of 0 and read errors. All three exit 0.
# Seen, answers: autocannon sends each request twice, although the answer says "Connection: close",
#   and reports latencies that grow with the length of the run: mean latency times rate is hundreds
#   of times the number of connections, which cannot be (Little's law). wrk is right here; but if
#   the answer has only its Content-Length, wrk counts it as a read error as well.
# Met by: whoever gates a release on the exit code, on the error count or on the rate of one tool
#   alone, or measures a server with a keep-alive limit. Look at the count of 2xx answers instead.
#
# Output seen:
#   closes without an answer:
#     hey: 9160 requests/s, no 200
#     wrk: 0 answers, 46703 read errors
#     autocannon: 30408 sent, 0 2xx, 0 errors
#   closes after each answer:
#     wrk: 37223 answers, 0 read errors
#     autocannon: 20843 answers to 41690 sent
#     autocannon: mean 453.2 ms: 4700 requests at once on 4 connections
#   closes after each answer, without saying so:
#     wrk: 38315 answers, 38315 read errors
#
# Needs python3, node, npm, apt-get with Debian 12's lists and dpkg; x86-64. Takes 20 s.
# Exit 1: the behaviour has changed; 2: a package cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
{
    apt-get download hey=0.1.4-2+b4 wrk=4.1.0-3+b2 \
        libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1
    for package in *.deb; do dpkg -x "$package" .; done
    npm install --silent --no-audit --no-fund autocannon@9.0.0
} > log 2>&1 || { cat log; exit 2; }
PATH=$folder/usr/bin:$folder/node_modules/.bin:$PATH
LD_LIBRARY_PATH=$(echo "$folder"/usr/lib/*-linux-gnu)
export PATH LD_LIBRARY_PATH
timeout 120 python3 - <<'PY'
import contextlib, json, re, socket, subprocess, sys, threading

CONNECTIONS, SECONDS = 4, 2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok"
ok = True


def see(what, holds):
    global ok
    ok &= holds
    print(f"  {what}" + ("" if holds else " (CHANGED)"))


def serve(answer):
    """Reads a request of each connection, writes `answer` and closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)

    def loop():
        while True:
            with listener.accept()[0] as connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.recv(10_000)
                connection.sendall(answer)

    threading.Thread(target=loop, daemon=True).start()
    return "http://127.0.0.1:%d/" % listener.getsockname()[1]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    see(f"{command[0]} exits {done.returncode}", done.returncode == 0)
    return done.stdout


def number(text, pattern):
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


def wrk(url):
    text = run("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", url)
    return number(text, r"(\d+) requests in"), number(text, r"read (\d+), write")


def autocannon(url):
    seen = json.loads(run("autocannon", "-j", f"-c{CONNECTIONS}", f"-d{SECONDS}", url))
    return seen, seen["2xx"], seen["requests"]["sent"]


print("closes without an answer:")
url = serve(b"")
text = run("hey", "-z", f"{SECONDS}s", "-c", str(CONNECTIONS), url)
rate = number(text, r"Requests/sec:\s+([\d.]+)")
see(f"hey: {rate:.0f} requests/s, no 200", rate > 50 and "[200]" not in text)
answers, errors = wrk(url)
see(f"wrk: {answers:.0f} answers, {errors:.0f} read errors", answers == 0 and errors > 100)
seen, answers, sent = autocannon(url)
failed = seen["errors"] + seen["timeouts"] + seen["resets"]
see(f"autocannon: {sent} sent, {answers} 2xx, {failed} errors",
    sent > 100 and answers + failed == 0)

print("closes after each answer:")
url = serve(ANSWER % b"Connection: close\r\n")
answers, errors = wrk(url)
see(f"wrk: {answers:.0f} answers, {errors:.0f} read errors", answers > 100 and errors == 0)
seen, answers, sent = autocannon(url)
see(f"autocannon: {answers} answers to {sent} sent", sent > 1.8 * answers > 180)
mean_ms = seen["latency"]["mean"]
at_once = mean_ms / 1000 * answers / seen["duration"]
see(f"autocannon: mean {mean_ms} ms: {at_once:.0f} requests at once on {CONNECTIONS} connections",
    at_once > 5 * CONNECTIONS)
print("closes after each answer, without saying so:")
answers, errors = wrk(serve(ANSWER % b""))
see(f"wrk: {answers:.0f} answers, {errors:.0f} read errors", errors > 0.9 * answers > 90)
sys.exit(not ok)
PY
