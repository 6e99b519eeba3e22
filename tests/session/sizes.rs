//! Payloads of every size, in every piece.
#![expect(unsafe_code, reason = "a socket's figures")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::rig::{Rig, drain};
use crate::support::{End, now, on_both, pattern, pause, send_pattern, spawn};

/// Sends `bytes` both ways at once through one session; all arrive, then the FIN.
fn exchange(rig: &mut Rig, bytes: usize, piece: usize) {
    let (client, upstream) = rig.pair();
    let address = client.local_addr().unwrap();
    let up = send_pattern(&client, bytes, piece);
    let down = send_pattern(&upstream, bytes, piece);
    let reader = spawn(move || drain(&upstream));
    assert_eq!(drain(&client), (bytes, End::Fin), "to the client");
    assert_eq!(reader.join().unwrap(), (bytes, End::Fin), "to the upstream");
    up.join().unwrap();
    down.join().unwrap();
    rig.record(address).assert_bytes(bytes, bytes);
}

/// Nothing, one byte, every power of two and its neighbours up to 64 MiB.
#[test]
fn every_size_arrives() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        exchange(&mut rig, 0, 1);
        for power in 0..=26 {
            let size = 1_usize << power;
            // The neighbours of the largest say nothing that those of smaller ones do not.
            let around = if power <= 21 { -1..=1 } else { 0..=0 };
            for by in around {
                exchange(&mut rig, size.checked_add_signed(by).unwrap(), 256 * 1024);
            }
        }
        rig.stop();
    });
}

/// The kernel puts a whole segment into a send buffer of any size, and 64 KiB are one on loopback.
/// The receiver acknowledges every second segment at once and a lone one after 40 ms.
#[test]
fn a_small_send_buffer_holds_two_segments() {
    on_both(|poller| {
        const BUFFER: usize = 4 << 10;
        const BYTES: usize = 4 << 20;
        let small = format!("socket.send_buffer = \"{BUFFER}B\"");
        let mut rig = Rig::with(poller, &small, &small);
        let (client, upstream) = rig.pair();
        for (from, to) in [(&client, &upstream), (&upstream, &client)] {
            let sender = send_pattern(from, BYTES, 1 << 20);
            assert_eq!(drain(to), (BYTES, End::Fin), "{poller}");
            sender.join().unwrap();
            let segments = segments_received(to);
            assert!(
                segments >= BYTES / (BUFFER / 2),
                "{poller}: {BYTES} bytes came in {segments} segments"
            );
        }
        drop((client, upstream));
        rig.stop();
    });
}

/// Segments with data that a connection has received (`tcpi_data_segs_in` of `TCP_INFO`).
fn segments_received(socket: &TcpStream) -> usize {
    // 8 bytes, 24 words, 4 long words and 4 words come before it in `struct tcp_info`.
    const OFFSET: usize = 8 + 24 * 4 + 4 * 8 + 4 * 4;
    let mut info = [0_u8; OFFSET + 4];
    let mut bytes = u32::try_from(info.len()).unwrap();
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let into = info.as_mut_ptr().cast();
    // SAFETY: `into` is valid for writes of `bytes`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut bytes) };
    assert_eq!((rc, bytes as usize), (0, info.len()));
    u32::from_ne_bytes(*info.last_chunk().unwrap()) as usize
}

/// 5 GiB, which no 32-bit count survives.
#[test]
#[ignore = "takes a minute"]
fn five_gibibytes_arrive() {
    on_both(|poller| {
        const BYTES: usize = 5 << 30;
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let sender = spawn(move || send_all(upstream, BYTES));
        assert_eq!(drain(&client), (BYTES, End::Fin));
        sender.join().unwrap();
        drop(client);
        rig.record(address).assert_bytes(0, BYTES);
        rig.stop();
    });
}

fn send_all(mut stream: TcpStream, bytes: usize) {
    let mut sent = 0;
    while sent < bytes {
        let piece = pattern(sent, (bytes - sent).min(1 << 20));
        stream.write_all(&piece).unwrap();
        sent += piece.len();
    }
}

/// Byte by byte with waits between, and in pieces of odd sizes; both ways at once.
#[test]
fn sliced_payloads_arrive() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for (piece, bytes) in [(1, 2000), (7, 20_000), (1447, 1 << 20), (65_537, 8 << 20)] {
            exchange(&mut rig, bytes, piece);
        }
        let (client, mut upstream) = rig.pair();
        let writer = spawn(move || {
            for at in 0..300 {
                upstream.write_all(&pattern(at, 1)).unwrap();
                pause();
            }
        });
        assert_eq!(drain(&client), (300, End::Fin));
        writer.join().unwrap();
        drop(client);
        rig.stop();
    });
}

/// Messages go both ways while one direction of the same session moves in bulk.
#[test]
fn messages_pass_while_the_other_direction_moves_in_bulk() {
    on_both(|poller| {
        const BULK: usize = 48 << 20;
        let mut rig = Rig::new(poller);
        let (mut client, upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let sender = send_pattern(&upstream, BULK, 1 << 20);
        let reader = client.try_clone().unwrap();
        let reader = spawn(move || drain(&reader));
        let mut messages = 0;
        let mut one = [0];
        while !sender.is_finished() || messages < 100 {
            client.write_all(b"m").unwrap();
            (&upstream).read_exact(&mut one).unwrap();
            messages += 1;
        }
        sender.join().unwrap();
        assert_eq!(reader.join().unwrap(), (BULK, End::Fin));
        drop(client);
        rig.record(address).assert_bytes(messages, BULK);
        rig.stop();
    });
}

/// Bulk, quiet, bulk again, many times over: no byte is lost where the paths change.
#[test]
fn the_paths_change_without_a_seam() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (mut client, mut upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let mut sent = 0;
        let start = now();
        for round in 0..40 {
            // Large, then some small ones, of which every fourth round waits for each.
            for bytes in [3 << 20, 1, 100, 1 << 14, 5, 70_000, 2, 2, 2, 2, 2] {
                let piece = pattern(sent, bytes);
                let mut from = upstream.try_clone().unwrap();
                let writer = spawn(move || from.write_all(&piece).unwrap());
                crate::support::expect_pattern(&client, sent, bytes);
                writer.join().unwrap();
                sent += bytes;
                if round % 4 == 0 {
                    client.write_all(b"k").unwrap();
                    upstream.read_exact(&mut [0]).unwrap();
                }
            }
        }
        assert!(start.elapsed() < Duration::from_secs(60));
        drop(upstream);
        assert_eq!(drain(&client), (0, End::Fin));
        drop(client);
        rig.record(address).assert_bytes(110, sent);
        rig.stop();
    });
}

/// A session that has moved in bulk and is quiet costs nothing, whichever way it waits.
#[test]
fn a_quiet_session_takes_no_time_after_a_bulk_transfer() {
    on_both(|poller| {
        const BULK: usize = 16 << 20;
        let mut rig = Rig::new(poller);
        let (client, mut upstream) = rig.pair();
        let writer = spawn(move || {
            upstream.write_all(&pattern(0, BULK)).unwrap();
            upstream
        });
        crate::support::expect_pattern(&client, 0, BULK);
        let mut upstream = writer.join().unwrap();
        for trickle in 0..10 {
            upstream.write_all(&pattern(BULK + trickle, 1)).unwrap();
            crate::support::expect_pattern(&client, BULK + trickle, 1);
            let (start, ticks) = (now(), rig.server.cpu_ticks());
            while start.elapsed() < Duration::from_millis(200) {
                pause();
            }
            let used = rig.server.cpu_ticks() - ticks;
            assert!(
                used <= 5,
                "{used} of 20 ticks, after {trickle} small pieces"
            );
        }
        drop(upstream);
        drop(client);
        rig.stop();
    });
}
