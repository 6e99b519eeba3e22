#!/usr/bin/env bash
# Rust crate governor 0.10.4: a limiter of more than 1e9 cells a second.
#
# Guess: Quota::per_second takes a NonZeroU32, so a limit of up to 4.29e9 a second holds, or one that
#   cannot be kept is refused.
# Seen:  every limit above 1e9 a second is one of exactly 1e9: the time of a cell is kept in whole
#   nanoseconds. Limits that do not divide a second into whole nanoseconds are off as well: one of
#   600 million passes 1e9, since 1.67 ns become 1.
# Met by: limits in bytes. 1e9 bytes a second are 8 Gbit/s: a limit of 20 Gbit/s is one of 8, and one of
#   5 Gbit/s (625 million bytes) is one of 8 too. Remedy: count in larger units, KiB for example.
#
# Output seen (the last digit may differ):
#   limit 500000000 a second: passed 1.00 of it
#   limit 600000000 a second: passed 1.67 of it
#   limit 1000000000 a second: passed 1.00 of it
#   limit 3000000000 a second: passed 0.33 of it
#   as described
#
# Needs cargo. Takes half a minute. Exit 1: the behaviour has changed.
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
governor = { version = "=0.10.4", default-features = false, features = ["std"] }
TOML
cat > src/main.rs <<'RUST'
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use governor::{Quota, RateLimiter};

const PIECE: u32 = 1_000_000;
const DURATION: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let piece = NonZeroU32::new(PIECE).unwrap();
    let mut as_described = true;
    for (limit, share) in
        [(500_000_000, 1.0), (600_000_000, 1.67), (1_000_000_000, 1.0), (3_000_000_000_u32, 0.33)]
    {
        let limiter = RateLimiter::direct(Quota::per_second(NonZeroU32::new(limit).unwrap()));
        // The burst of the first second.
        while limiter.check_n(piece).unwrap().is_ok() {}
        let begun = Instant::now();
        let mut passed = 0_u32;
        while begun.elapsed() < DURATION {
            passed += u32::from(limiter.check_n(piece).unwrap().is_ok());
        }
        let rate = f64::from(passed) * f64::from(PIECE) / begun.elapsed().as_secs_f64();
        let of_limit = rate / f64::from(limit);
        as_described &= (of_limit - share).abs() < 0.1 * share;
        println!("limit {limit} a second: passed {of_limit:.2} of it");
    }
    println!("{}", if as_described { "as described" } else { "CHANGED" });
    ExitCode::from(u8::from(!as_described))
}
RUST
if ! cargo build --release --quiet > build.log 2>&1; then cat build.log; exit 2; fi
timeout 60 target/release/finding
