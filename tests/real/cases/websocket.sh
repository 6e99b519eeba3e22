# A WebSocket echo: frames of every length encoding, fragments, pings, and the close handshake.
# shellcheck shell=bash disable=SC2154,SC2034
needs=(python3)

start() {
    direct=$(free_port)
    start_server websocket "$direct" python3 "$here/websocket.py" serve "$direct"
}

measure() {
    python3 "$here/websocket.py" connect "$port" >told
    local name value
    while read -r kind name value; do
        case $kind in
        figure) figure "$name" "$value" ;;
        result) result "$name $value" ;;
        esac
    done <told
}
