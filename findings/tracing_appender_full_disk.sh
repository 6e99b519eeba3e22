#!/usr/bin/env bash
# Rust crate tracing-appender 0.2.5: what its non-blocking writer counts when lines are lost.
#
# Guess: a line that cannot be written to a full disk is an error of the writer, or at least counted by
#   error_counter(); and in the lossy mode the counter counts lines.
# Seen:  on a full disk all lines are lost with no error and a count of 0: the counter knows only what
#   the queue refused. There it counts what write() was called with. writeln! with an argument
#   calls it three times a line, so that 1,000 lines into a queue of 16 lose more than 2,000 "lines",
#   and what does arrive are fragments: lines without an end, ends without a line.
# Met by: servers that log through it to a file and watch the counter: it stays 0 while the disk is
#   full. tracing-subscriber hands whole lines over; own writeln! calls do not. Remedy: format into a
#   string and write once; check the disk elsewhere.
#
# Output seen (the number of pieces differs a little):
#   full disk: 1000 lines, 0 errors, 0 counted
#   queue of 16: 1000 lines, 2984 counted, and a torn line arrived
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
tracing-appender = "=0.2.5"
TOML
cat > src/main.rs <<'RUST'
use std::fs::OpenOptions;
use std::io::{Result, Write};
use std::process::ExitCode;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};

const LINES: usize = 1000;

/// A sink that takes its time, so that the queue fills.
struct Slow(Sender<Vec<u8>>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        thread::sleep(Duration::from_millis(20));
        self.0.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The number of errors of the lines.
fn write_lines(mut to: NonBlocking) -> usize {
    (0..LINES).filter(|line| writeln!(to, "line {line}").is_err()).count()
}

fn main() -> ExitCode {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (writer, guard) = tracing_appender::non_blocking(full);
    let counter = writer.error_counter();
    let errors = write_lines(writer);
    drop(guard);
    let lost = counter.dropped_lines();
    println!("full disk: {LINES} lines, {errors} errors, {lost} counted");

    let (sent, arrived): (_, Receiver<Vec<u8>>) = channel();
    let lossy = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(16);
    let (writer, guard) = lossy.finish(Slow(sent));
    let counter = writer.error_counter();
    write_lines(writer);
    drop(guard);
    let counted = counter.dropped_lines();
    let pieces: Vec<Vec<u8>> = arrived.iter().collect();
    let is_torn = pieces.iter().any(|piece| !piece.ends_with(b"\n"));
    let torn = if is_torn { "a torn line" } else { "whole lines" };
    println!("queue of 16: {LINES} lines, {counted} counted, and {torn} arrived");
    let as_described = (errors, lost) == (0, 0) && counted > 2 * LINES && is_torn;
    println!("{}", if as_described { "as described" } else { "CHANGED" });
    ExitCode::from(u8::from(!as_described))
}
RUST
if ! cargo build --quiet > build.log 2>&1; then cat build.log; exit 2; fi
timeout 60 target/debug/finding
