# PostgreSQL: pgbench, and a dump that is restored, all through the proxy; sums and dumps are
# compared with those taken past it.
# shellcheck shell=bash disable=SC2154,SC2034
export PGHOST=127.0.0.1 PGUSER=corelane
# Debian keeps the server's programs out of PATH; the newest version comes first.
for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done
needs=(postgres initdb createdb psql pgbench pg_dump setpriv)

start() {
    local data=$case_dir/data as=()
    direct=$(free_port)
    mkdir "$data"
    # The server refuses to be root.
    if ((EUID == 0)); then
        as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
        chown postgres: "$data"
    fi
    (cd / && "${as[@]}" initdb -D "$data" -U "$PGUSER" -A trust -N --locale=C) || return 1
    start_server postgres "$direct" "${as[@]}" "$(command -v postgres)" -D "$data" -p "$direct" \
        -h 127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_wal_size=4GB || return 1
    await 10 psql -p "$direct" -c 'select 1' postgres
}

measure() {
    # A startup message of 41 bytes for the user and database of initdb.
    local ready='Z\0\0\0\x05I'
    load select --send 'Q\0\0\0\x0dselect 1\0' --until "$ready" --opening-until "$ready" \
        --opening '\0\0\0\x29\0\x03\0\0user\0corelane\0database\0postgres\0\0'
    local first=bench_$run_name second=restored_$run_name
    createdb -p "$port" "$first"
    createdb -p "$port" "$second"
    timed "init" pgbench -p "$port" -i -q -s 5 "$first"
    pgbench -p "$port" -c 10 -j 2 -T 5 "$first" | tee pgbench
    grep -q '^number of failed transactions: 0 ' pgbench || fail "transactions failed"
    figure "tps" "$(awk '/^tps/ { printf "%.0f", $3 }' pgbench)"
    consistent "$first" "$(sed -n 's/^number of transactions actually processed: //p' pgbench)"

    timed "dump" dump "$port" "$first" dump
    dump "$direct" "$first" past
    equal dump past
    timed "restore" psql -p "$port" -q -v ON_ERROR_STOP=1 -f dump "$second"
    dump "$port" "$second" again
    equal dump again
    dump "$direct" "$second" again
    equal dump again
    result "sums and dumps are equal"
}

# Each transaction adds one amount in three tables and one row of history.
consistent() {
    local sums at balance tellers branches history rows
    for at in "$port" "$direct"; do
        sums=$(psql -p "$at" -AtF ' ' "$1" -c 'select
            (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),
            (select sum(bbalance) from pgbench_branches), sum(delta), count(*)
            from pgbench_history')
        read -r balance tellers branches history rows <<<"$sums"
        [[ $balance == "$tellers" && $balance == "$branches" && $balance == "$history" ]] ||
            fail "the sums differ: $sums"
        [[ $rows == "$2" ]] || fail "pgbench did $2 transactions, the server $rows"
    done
}

# dump PORT DATABASE FILE, without the lines that hold a random key each time.
dump() {
    pg_dump -p "$1" "$2" | sed '/^\\\(un\)\{0,1\}restrict /d' >"$3"
}

equal() {
    [[ -s $1 && $(hash_of "$1") == "$(hash_of "$2")" ]] || fail "dumps $1 and $2 differ"
}
