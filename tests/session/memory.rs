//! The memory cost of slow readers.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use socket2::SockRef;

use crate::rig::{Rig, drain};
use crate::support::{End, accept, on_both, ping, spawn, until};

/// Bytes for each reader that does not read: more than marks and buffers let through.
const FLOOD: usize = 512 * 1024;
/// User-space bytes of one direction at most: the high mark of the configuration, and the buffers
/// received before a cancel takes effect.
const HELD_MAX: usize = (80 + 80) * 1024;
/// The rest of a session: its task and socket entries.
const SESSION_MAX: usize = 8 * 1024;

/// Readers that stop cost at most the high mark each and delay no other session, and all memory is
/// returned after they have gone.
fn slow_readers(poller: &str, count: usize) {
    // Small buffers in the kernel, so that the flood reaches the proxy's own.
    let small = "socket = { send_buffer = \"16KiB\" }";
    let mut rig = Rig::with(poller, small, "socket = { receive_buffer = \"16KiB\" }");
    let (client, upstream) = rig.pair();
    let echo = upstream;
    echo.set_read_timeout(None).unwrap();
    spawn(move || {
        let mut reader = echo.try_clone().unwrap();
        drop(std::io::copy(&mut reader, &mut &echo));
    });
    ping(&client);
    let before = rig.server.memory();
    let mut sessions: Vec<(TcpStream, TcpStream)> = Vec::new();
    let piece = vec![7; FLOOD];
    for _ in 0..count {
        let client = rig.small_client();
        let upstream = accept(&rig.upstream);
        SockRef::from(&upstream)
            .set_send_buffer_size(16 * 1024)
            .unwrap();
        upstream.set_nonblocking(true).unwrap();
        sessions.push((client, upstream));
    }
    let mut taken = 0;
    let mut quiet = 0;
    // Full speed, until no reader takes any more.
    until("all are held back", || {
        let mut round = 0;
        for (_, upstream) in &sessions {
            let mut upstream: &TcpStream = upstream;
            round += upstream.write(&piece).unwrap_or(0);
        }
        taken += round;
        quiet = if round == 0 { quiet + 1 } else { 0 };
        quiet > 50
    });
    let held = rig.server.memory().saturating_sub(before);
    say(&format!(
        "{count} slow readers on {poller}: {held} bytes held, {taken} taken"
    ));
    assert!(
        held < count * (HELD_MAX + SESSION_MAX),
        "{held} bytes for {count}, {taken} taken"
    );
    ping(&client);
    drop(sessions);
    rig.await_records(count);
    // Pages are returned after a lane has been at rest for a moment. The ring of receive buffers
    // stays at its maximum, 512 of 20 KiB. Tables keep their length, 1.5 KB a session by
    // measurement.
    let ring = if poller == "io_uring" { 10 << 20 } else { 0 };
    let kept = (4 << 20) + ring + count * 2048;
    until("the memory comes back", || {
        rig.server.memory().saturating_sub(before) < kept
    });
    drop(client);
    rig.stop();
}

#[expect(clippy::print_stdout, reason = "a measurement, shown with --nocapture")]
fn say(what: &str) {
    println!("{what}");
}

#[test]
fn a_thousand_slow_readers_cost_what_the_marks_allow() {
    on_both(|poller| slow_readers(poller, 1000));
}

#[test]
#[ignore = "takes a minute, and nearly all descriptors"]
fn ten_thousand_slow_readers_cost_what_the_marks_allow() {
    // Both ends of each session are in this process. With the usual limit of 20,000 a few less.
    let ours = descriptors_max().saturating_sub(200) / 2;
    on_both(|poller| slow_readers(poller, ours.min(10_000)));
}

/// Maximum of descriptors of this process.
fn descriptors_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap()
}

/// A reader that stops in the middle of a bulk transfer costs no more, and loses no byte.
#[test]
fn a_stopped_bulk_reader_resumes() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let before = rig.server.memory();
        let (client, upstream) = rig.pair();
        let sent = crate::support::fill(&upstream, 256 << 20);
        let held = rig.server.memory().saturating_sub(before);
        // The kernel owns the pipe; bytes that did not fit the sink are in the pool.
        assert!(held < 4 << 20, "{held} bytes");
        drop(upstream);
        assert_eq!(drain(&client), (sent, End::Fin));
        drop(client);
        rig.stop();
    });
}
