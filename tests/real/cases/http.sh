# nginx under wrk, with connections that stay and connections of one request, and downloads by curl.
# shellcheck shell=bash disable=SC2154,SC2034
needs=(nginx wrk curl)

start() {
    local temp
    direct=$(free_port)
    mkdir "$case_dir/files" "$case_dir/temp"
    head -c 100 /dev/urandom >"$case_dir/files/100B"
    head -c 100000 /dev/urandom >"$case_dir/files/100kB"
    head -c 5000000 /dev/urandom >"$case_dir/files/5MB"
    {
        # As root it would become another user, who may not read the directory.
        ((EUID != 0)) || echo "user root;"
        echo "daemon off; worker_processes 1; pid $case_dir/nginx.pid;"
        echo "error_log $case_dir/nginx.error.log notice;"
        echo "events { worker_connections 1024; }"
        echo "http { access_log off; sendfile on; keepalive_requests 1000000;"
        for temp in client_body proxy fastcgi uwsgi scgi; do
            echo "${temp}_temp_path $case_dir/temp/$temp;"
        done
        echo "server { listen 127.0.0.1:$direct; root $case_dir/files; } }"
    } >"$case_dir/nginx.conf"
    start_server nginx "$direct" nginx -e "$case_dir/nginx.error.log" -c "$case_dir/nginx.conf"
}

measure() {
    local file mode
    for file in 100B 100kB 5MB; do
        for mode in keep-alive close; do
            wrk -t 2 -c 32 -d 2s -H "Connection: $mode" "http://127.0.0.1:$port/$file" | tee wrk
            # wrk speaks of them only when there are any.
            ! grep -E 'Socket errors|Non-2xx' wrk || fail "wrk had errors: $file, $mode"
            figure "$file $mode/s" "$(awk '/^Requests\/sec/ { printf "%.0f", $2 }' wrk)"
            download "$file" "$mode"
        done
    done
    # A reader slower than the server: the proxy waits with it, and loses nothing.
    curl -sS --fail --limit-rate 4M -o slow "http://127.0.0.1:$port/5MB"
    result "5MB slowly $(hash_of slow)"
}

# Twice by one curl: with keep-alive this is one connection.
download() {
    local url=http://127.0.0.1:$port/$1 count
    count=$(curl -sS --fail -H "Connection: $2" -w '%{num_connects}\n' -o one "$url" -o two "$url" |
        paste -s -d ' ')
    cmp one "$case_dir/files/$1"
    cmp two "$case_dir/files/$1"
    result "$1 $2 connections $count $(hash_of one)"
}
