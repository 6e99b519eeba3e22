# Starts and stops processes for tests/real/run: servers, and corelane itself. Sourced by it; ends
# only what it has started, by process id.
# shellcheck shell=bash

STOP_SECONDS_MAX=15
servers=()
# corelane's lanes, unless a case says otherwise.
lanes='"auto"'
corelane_pid=''
client=''

# A port that is free, from below the range that the kernel gives to clients, so that no
# connection takes it before its server does.
free_port() {
    python3 - <<'END'
import random, socket
while True:
    port = random.randrange(12000, 32000)
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
END
}

# start_server NAME PORT COMMAND…: starts it and waits until it listens.
start_server() {
    local name=$1 port=$2 log=$case_dir/$1.log pid
    shift 2
    # A process group of its own holds what the server starts in turn.
    setsid "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    servers+=("$pid")
    # /proc says so without a connection, which some servers would take for a client.
    await 10 listens "$port" "$pid" && kill -0 "$pid" && return
    echo "$name does not listen on port $port:"
    cat "$log"
    return 1
}

listens() {
    kill -0 "$2" 2>/dev/null || return 0
    grep -q "^ *[0-9]*: 0100007F:$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp
}

# await SECONDS COMMAND…: until the command succeeds.
await() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS <= end)) || return 1
        sleep 0.02
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# start_corelane POLLER PORT: a proxy to that port; sets `proxied`, the port where it listens.
start_corelane() {
    local config=$case_dir/$1.toml
    corelane_log=$case_dir/$1.log
    cat >"$config" <<END
[runtime]
lanes = $lanes
# The clients and the servers use the same CPUs.
pin = false
poller = "$1"
[log]
level = "info"
[shutdown]
grace = "5s"
[[listener]]
name = "real"
bind = "127.0.0.1:0"
service = "proxy"
upstream = "real"
[[upstream]]
name = "real"
endpoints = ["127.0.0.1:$2"]
END
    "$CORELANE" run --config "$config" >"$case_dir/$1.stdout" 2>"$corelane_log" </dev/null &
    corelane_pid=$!
    await 10 is_ready && kill -0 $corelane_pid 2>/dev/null || return 1
    proxied=$(sed -n 's/.*listening name="real" address=[^ ]*:\([0-9]*\) .*/\1/p' "$corelane_log")
    [[ -n $proxied ]]
}

is_ready() {
    gone "$corelane_pid" || grep -qs " ready " "$corelane_log"
}

# Asks corelane to drain; prints what is wrong with how it ended, and with its log.
stop_corelane() {
    local pid=$corelane_pid code
    kill -TERM "$pid" 2>/dev/null
    if ! await $STOP_SECONDS_MAX gone "$pid"; then
        echo "corelane did not stop $STOP_SECONDS_MAX s after SIGTERM"
        kill -KILL "$pid"
    fi
    wait "$pid"
    code=$?
    corelane_pid=''
    ((code == 0)) || echo "corelane's exit code is $code"
    grep -q drained "$corelane_log" || echo "corelane did not say that it drained"
    grep -E '(WARN|ERROR|panicked)' "$corelane_log" | head -n 5
    return 0
}

# Whatever happened: nothing that was started here is left.
stop_all() {
    local pid
    [[ -z $client ]] || kill "$client" 2>/dev/null
    [[ -z $corelane_pid ]] || kill -KILL "$corelane_pid" 2>/dev/null
    for pid in "${servers[@]}"; do kill -TERM -- "-$pid" 2>/dev/null; done
    for pid in "${servers[@]}"; do
        await 10 gone "$pid" || kill -KILL -- "-$pid" 2>/dev/null
    done
    wait
}
