#!/usr/bin/env bash
# Rust crate prometheus-client 0.26.0, and promtool 2.42.0 (Debian 12) as the reader of its pages.
#
# Guess: two metrics registered under one name are refused or become one family, and a name that
#   Prometheus does not allow is refused; at worst a reader leaves the bad lines out.
# Seen:  both are written as they are, in the debug build too. The reader refuses the whole page for
#   one of them: no other metric of the process arrives.
# Met by: programs whose metrics come from several modules or whose names come from a configuration:
#   one clash blinds the monitoring of everything else. Remedy: let a test run promtool over the page.
#
# Output seen:
#   good names: promtool accepts the page
#   a name twice: promtool refuses the page
#   a name with a space: promtool refuses the page
#   as described
#
# Needs cargo, apt-get with Debian 12's lists and dpkg; x86-64. Takes half a minute. Exit 1: the
# behaviour has changed; 2: a package cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
prometheus-client = "=0.26.0"
TOML
cat > src/main.rs <<'RUST'
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Prints a page with a gauge for each argument.
fn main() {
    let mut registry = Registry::default();
    for name in std::env::args().skip(1) {
        registry.register(name, "A gauge", Gauge::<i64>::default());
    }
    let mut page = String::new();
    prometheus_text::encode(&mut page, &registry).unwrap();
    print!("{page}");
}
RUST
{
    apt-get download prometheus=2.42.0+ds-5+deb12u1 && dpkg -x prometheus_*.deb root &&
        cargo build --quiet
} > install.log 2>&1 || { tail -3 install.log; exit 2; }
as_described=yes
# see WHAT EXPECTED NAME...: shows the page with these names to promtool.
see() {
    local what=$1 expected=$2 verdict=accepts
    shift 2
    target/debug/finding "$@" > page
    root/usr/bin/promtool check metrics < page > promtool.log 2>&1 || verdict=refuses
    echo "$what: promtool $verdict the page"
    [[ $verdict == "$expected" ]] || as_described=no
}
see "good names" accepts sessions_live sessions_queued
see "a name twice" refuses sessions_live sessions_queued sessions_live
see "a name with a space" refuses sessions_live "sessions queued"
[[ $as_described == yes ]] && echo "as described" || { echo CHANGED; exit 1; }
