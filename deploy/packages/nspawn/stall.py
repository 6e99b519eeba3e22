"""Stops lane 0 of a process, and no other thread, for as long as the process lives: stall.py PID"""

import ctypes
import os
import sys
import time

PTRACE_CONT, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 7, 0x4206, 0x4207, 0x40000000
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def text(thread, file):
    with open(f"/proc/{pid}/task/{thread}/{file}") as opened:
        return opened.read()


lane = next(int(t) for t in os.listdir(f"/proc/{pid}/task") if text(t, "comm") == "lane-0\n")
end = time.monotonic() + 60
ptrace(PTRACE_SEIZE, lane)
while time.monotonic() < end:
    while text(lane, "stat").split(") ")[1][0] != "R" and time.monotonic() < end:
        pass
    ptrace(PTRACE_INTERRUPT, lane)
    os.waitpid(lane, WALL)
    stop = time.monotonic() + 4  # WatchdogSec=, three more looks, and time to spare
    while time.monotonic() < stop:
        done, status = os.waitpid(lane, WALL | os.WNOHANG)
        if done and (os.WIFSIGNALED(status) or os.WIFEXITED(status)):
            sys.exit(0)
        time.sleep(0.1)
    # The lane slept, which is no stall.
    libc.ptrace(PTRACE_CONT, lane, None, None)
sys.exit("no stall within a minute")
