# Half-closed connections: a server that answers only after the client's FIN, at once or late, and
# a server that sends its FIN first and goes on reading.
# shellcheck shell=bash disable=SC2154,SC2034
needs=(socat nc)

start() {
    direct=$(free_port)
    head -c 50000000 /dev/urandom >"$case_dir/sent"
    # Run for each connection.
    cat >"$case_dir/answer" <<'END'
#!/usr/bin/env bash
read -r how name
case $how in
at_once) exec sha256sum ;;
late)
    hash=$(sha256sum)
    sleep 0.7
    echo "$hash"
    ;;
first)
    # socat ends its child as soon as both sides are closed.
    trap '' TERM
    head -c 1000000 /dev/zero
    # Its output is a socket, and the same one as its input.
    python3 -c 'import socket; socket.socket(fileno=1).shutdown(socket.SHUT_WR)'
    sha256sum >"$name.part"
    mv "$name.part" "$name"
    ;;
esac
END
    chmod 755 "$case_dir/answer"
    # After one side's FIN, -t waits for the other.
    start_server socat "$direct" socat -t 60 \
        "TCP-LISTEN:$direct,bind=127.0.0.1,reuseaddr,fork" "EXEC:$case_dir/answer"
}

measure() {
    local how size
    sent_hash=$(hash_of "$case_dir/sent")
    for how in at_once late; do
        for size in 0 1 50000000; do
            answered nc "$how" "$size" nc -N 127.0.0.1 "$port"
            answered socat "$how" "$size" socat -t 30 STDIO "TCP:127.0.0.1:$port"
        done
    done

    # The client sends only when it has the server's FIN.
    local hash_file=$out/received
    timed "50 MB after the FIN" \
        python3 "$here/after_fin.py" "$port" "first $hash_file" "$case_dir/sent"
    for _ in {1..500}; do
        [[ ! -e $hash_file ]] || break
        sleep 0.02
    done
    [[ $(cut -d ' ' -f 1 "$hash_file") == "$sent_hash" ]] ||
        fail "what is sent after the server's FIN does not arrive whole"
    result "after the server's FIN: $(cat "$hash_file")"
}

# answered NAME HOW SIZE COMMAND…: so many bytes, then a FIN, and then the hash must come back.
answered() {
    local name=$1 how=$2 size=$3 begin=$EPOCHREALTIME answer expected
    shift 3
    expected=$(head -c "$size" "$case_dir/sent" | hash_of)
    answer=$({ echo "$how" && head -c "$size" "$case_dir/sent"; } | "$@")
    [[ $answer == "$expected  -" ]] || fail "$name, $how, $size bytes: '$answer' for '$expected'"
    result "$name $how $size $answer"
    ((size < 50000000)) || figure "50 MB $name $how s" \
        "$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')"
}
