# Redis: its benchmark with and without pipelining, and values that are written through the proxy
# and read back past it.
# shellcheck shell=bash disable=SC2154,SC2034
needs=(redis-server redis-cli redis-benchmark)

start() {
    direct=$(free_port)
    start_server redis "$direct" redis-server --bind 127.0.0.1 --port "$direct" --save '' \
        --dir "$case_dir" --enable-debug-command local
    head -c 8000000 /dev/urandom >"$case_dir/big"
}

measure() {
    local at=(-h 127.0.0.1 -p "$port") past=(-h 127.0.0.1 -p "$direct")
    load ping --send 'PING\r\n' --expect '+PONG\r\n' --pipeline 4
    load get --send 'SET a 1\r\nGET a\r\n' --expect '+OK\r\n$1\r\n1\r\n'
    redis-cli "${past[@]}" config resetstat
    benchmark plain -n 10000
    benchmark pipelined -n 40000 -P 16
    redis-cli "${past[@]}" info stats | tr -d '\r' | grep -x 'total_error_replies:0' ||
        fail "the server sent error replies"

    redis-cli "${past[@]}" flushall
    seq 20000 | awk '{ printf "SET key:%d value-%d-%0200d\r\n", $1, $1 * 7, $1 }' >commands
    redis-cli "${at[@]}" --pipe <commands | tee pipe
    grep -qx 'errors: 0, replies: 20000' pipe || fail "redis-cli --pipe had errors"
    redis-cli "${at[@]}" -x set big <"$case_dir/big"
    result "keys $(redis-cli "${past[@]}" dbsize), digest $(redis-cli "${past[@]}" debug digest)"
    local value
    value=$(redis-cli "${past[@]}" --raw get big | head -c 8000000 | hash_of)
    [[ $value == "$(hash_of "$case_dir/big")" ]] || fail "what was written is not what is there"
    result "big $(redis-cli "${at[@]}" --raw get big | hash_of)"
    result "all $(seq -f key:%.0f 20000 | xargs -n 20000 redis-cli "${at[@]}" --raw mget | hash_of)"
}

# benchmark NAME OPTION…: all of the benchmark's own tests with 50 clients.
benchmark() {
    local name=$1
    shift
    redis-benchmark -h 127.0.0.1 -p "$port" -c 50 --csv "$@" >"$name.csv" 2>"$name.err"
    [[ ! -s $name.err ]] || fail "redis-benchmark says: $(head -n 3 "$name.err")"
    ! grep -i error "$name.csv" || fail "redis-benchmark had errors"
    result "$name tests: $(cut -d , -f 1 "$name.csv" | paste -s -d ' ')"
    local test
    for test in SET GET 'LRANGE_600 (first 600 elements)'; do
        figure "$name ${test%% *}/s" \
            "$(awk -F '","' -v t="\"$test" '$1 == t { printf "%.0f", $2 }' "$name.csv")"
    done
}
