#!/usr/bin/env bash
# Linux scheduler (seen on 6.18, cgroup v1): run_delay of /proc/PID/schedstat under a CPU quota.
#
# Guess: run_delay is the time for which others had the CPU. A thread that its cgroup's quota stops
#   is taken off the run queue, so that time shows in the cgroup's cpu.stat only.
# Seen:  The time for which the quota stopped the thread is in run_delay as well: with a quota of
#   5 % the thread "waits" for more than 90 % of the time, whether others want the CPU or not.
# Met by: monitors and load generators that take run_delay for noisy neighbours. In a container with
#   a CPU limit it says "neighbours" where the remedy is a higher limit: subtract throttled_time.
#
# Output seen:
#   of 3 s: run_delay 2.79 s, throttled 2.64 s
#   as described
#
# Needs python3, root, and a writable cpu cgroup (v1, or v2 with the cpu controller given to
# children). Takes 3 s. Exit 1: the behaviour has changed; 2: no such cgroup here.
set -euo pipefail
uname -sr
exec timeout 60 python3 - <<'PY'
import os, signal, sys, time

QUOTA_US, PERIOD_US, SECONDS = 5_000, 100_000, 3
V1, V2 = "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def run_delay_s(pid):
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


def throttled_s(group):
    with open(f"{group}/cpu.stat") as file:
        stat = dict(line.split() for line in file)
    return int(stat["throttled_usec"]) / 1e6 if "throttled_usec" in stat else int(
        stat["throttled_time"]) / 1e9


group = f"{V1 if os.path.isdir(V1) else V2}/finding-{os.getpid()}"
try:
    os.mkdir(group)
except OSError as e:
    print(f"cannot make a cgroup: {e}")
    sys.exit(2)
spinner = 0
try:
    try:
        if os.path.exists(f"{group}/cpu.max"):
            write(f"{group}/cpu.max", f"{QUOTA_US} {PERIOD_US}")
        else:
            write(f"{group}/cpu.cfs_period_us", str(PERIOD_US))
            write(f"{group}/cpu.cfs_quota_us", str(QUOTA_US))
    except OSError as e:
        print(f"cannot set a quota: {e}")
        sys.exit(2)
    spinner = os.fork()
    if spinner == 0:
        signal.alarm(30)
        while True:
            pass
    before = run_delay_s(spinner)
    write(f"{group}/cgroup.procs", str(spinner))
    time.sleep(SECONDS)
    delay, throttled = run_delay_s(spinner) - before, throttled_s(group)
finally:
    if spinner:
        os.kill(spinner, signal.SIGKILL)
        os.waitpid(spinner, 0)
    time.sleep(0.1)
    os.rmdir(group)
print(f"of {SECONDS} s: run_delay {delay:.2f} s, throttled {throttled:.2f} s")
# The quota leaves so little to wait for that neighbours cannot make up this much.
ok = throttled > 0.6 * SECONDS and delay > 0.9 * throttled
print("as described" if ok else "CHANGED")
sys.exit(not ok)
PY
