# A machine of its own, booted by systemd-nspawn, and what a record of it needs. Sourced by bash.
#
#   boot ROOT        boots a copy of the folder ROOT; sets machine, leader
#   in_machine C...  runs a command in the machine
#   in_network C...  runs a command of this system in the machine's network

work=$(mktemp -d)
machine=$work/machine
nspawn=''

say() { printf '\n=== %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    [[ -z $leader ]] || in_machine journalctl -u corelane --no-pager -o cat -n 20 >&2
    exit 1
}

# end PID...: ends children of this script that still run; the number of one that has ended may be
# another process by now.
end() {
    local child
    for child in "$@"; do
        if [[ " $(jobs -rp | tr '\n' ' ') " == *" $child "* ]]; then kill "$child"; fi
    done
}
finish() {
    local code=$? child
    for child in $(jobs -rp); do [[ $child == "$nspawn" ]] || end "$child"; done
    if [[ " $(jobs -rp | tr '\n' ' ') " == *" $nspawn "* ]]; then
        # nspawn's own answer to TERM is an orderly power-off; the limit of `timeout` stands behind it.
        kill -TERM "$nspawn" 2>/dev/null || true
        wait "$nspawn" 2>/dev/null || true
    fi
    if ((code != 0)) && [[ -e $work/console ]]; then tail -n 20 "$work/console"; fi
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT

# within SECONDS COMMAND...: repeats the command until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || fail "not in time: $*"
        sleep 0.2
    done
}

# The machine's first process: a grandchild of `timeout`, named systemd.
leader=
find_leader() {
    local container
    container=$(pgrep -P "$nspawn" | head -n 1) || return 1
    leader=$(pgrep -P "$container" -x systemd | head -n 1) || return 1
    [[ -n $leader ]]
}
in_machine() { nsenter --target "$leader" --mount --pid --net --uts --ipc -- "$@"; }
in_network() { nsenter --target "$leader" --net -- "$@"; }
is_up() { [[ $(in_machine systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]; }

boot() {
    cp -a "$1" "$machine"
    # nspawn's own filter lacks Landlock, which is there on a machine without nspawn.
    timeout --kill-after=10 600 systemd-nspawn --quiet --directory="$machine" --register=no \
        --keep-unit --private-network --boot --console=pipe \
        --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
        <&- >"$work/console" 2>&1 &
    nspawn=$!
    within 60 find_leader
    within 120 is_up
    in_network ip link set lo up
}

# shown COMMAND...: runs a command in the machine as a transcript, and returns its exit code.
shown() {
    local code=0
    printf '$ %s\n' "$*"
    in_machine "$@" 2>&1 || code=$?
    ((code == 0)) || echo "(exit code $code)"
    return "$code"
}

# The number on this system of the process with this number in the machine.
outside() {
    local pid
    pid=$(grep -lE "^NSpid:\s+[0-9]+\s+$1\$" /proc/[0-9]*/status 2>/dev/null | head -n 1 | cut -d/ -f3)
    [[ $(readlink "/proc/$pid/ns/pid") == "$(readlink "/proc/$leader/ns/pid")" ]] || fail "another's process"
    echo "$pid"
}
