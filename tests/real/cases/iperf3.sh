# iperf3: up, down and both ways at once, with one stream and with four.
# shellcheck shell=bash disable=SC2154,SC2034
needs=(iperf3)
# With --bidir the server takes the first connection that reaches it for the one it reads, though
# the client has told it nothing. Two lanes may connect in another order than the client did; then
# both ends send on the same connection, and none reads.
lanes=1

start() {
    direct=$(free_port)
    start_server iperf3 "$direct" iperf3 --server --bind 127.0.0.1 --port "$direct"
}

measure() {
    local streams way figures
    for streams in 1 4; do
        for way in up down both; do
            local options=()
            [[ $way != down ]] || options=(--reverse)
            [[ $way != both ]] || options=(--bidir)
            # Its exit code is no news: what went wrong is in the report.
            iperf3 --client 127.0.0.1 --port "$port" --time 2 --parallel $streams --json \
                "${options[@]}" >"$way$streams.json" || true
            figures=$(python3 "$here/iperf3.py" "$way$streams.json")
            figure "$way x$streams" "$figures"
            result "$way with $streams streams"
        done
    done
}
