//! Bulk transfer: the path from kernel to kernel, its ends, and what one session of it does to
//! another.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use socket2::SockRef;

use crate::rig::{Rig, drain};
use crate::support::{
    End, expect_pattern, fill, on_both, pattern, read_pattern, reset, send_pattern, spawn,
};

/// Enough for hundreds of moves.
const BULK: usize = 40 << 20;

/// Sends so many bytes of the pattern from `at` on, on a thread of its own; no FIN.
fn send(stream: &TcpStream, at: usize, bytes: usize) -> JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    spawn(move || {
        let end = at + bytes;
        for from in (at..end).step_by(1 << 20) {
            let piece = pattern(from, (end - from).min(1 << 20));
            stream.write_all(&piece).unwrap();
        }
    })
}

/// Case 5: the FIN comes behind all bytes, from either end, and the other direction goes on: in
/// bulk, too.
#[test]
fn a_bulk_transfer_ends_in_its_fin() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for upward in [true, false] {
            let (client, upstream) = rig.pair();
            let address = client.local_addr().unwrap();
            let (first, second) = match upward {
                true => (&client, &upstream),
                false => (&upstream, &client),
            };
            let sender = send_pattern(first, BULK, 1 << 20);
            assert_eq!(drain(second), (BULK, End::Fin));
            sender.join().unwrap();
            // Half-closed, in bulk.
            let sender = send_pattern(second, BULK, 1 << 20);
            assert_eq!(drain(first), (BULK, End::Fin));
            sender.join().unwrap();
            let record = rig.record(address);
            record.assert_ended(if upward { "client_fin" } else { "upstream_fin" });
            record.assert_bytes(BULK, BULK);
        }
        rig.stop();
    });
}

/// A bulk transfer with a `high_mark` above what one move carries was a panic.
#[test]
fn a_high_mark_above_a_move_is_no_panic() {
    on_both(|poller| {
        for mark in ["16KiB", "1MiB", "16MiB"] {
            let mut rig = Rig::with_runtime(poller, &format!("high_mark = \"{mark}\""));
            let (client, upstream) = rig.pair();
            let sender = send_pattern(&upstream, BULK, 1 << 20);
            assert_eq!(drain(&client), (BULK, End::Fin));
            sender.join().unwrap();
            let sent = fill(&client, BULK);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&upstream), (sent, End::Fin));
            rig.stop();
        }
    });
}

/// Case 27: an urgent byte is delivered in its place, as any other, and nothing waits behind it:
/// on the interactive path and in bulk. Bulk moves stopped there for ever, and span.
#[test]
fn an_urgent_byte_is_one_of_the_bytes() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for bulk in [0, BULK] {
            for upward in [true, false] {
                let (client, upstream) = rig.pair();
                let address = client.local_addr().unwrap();
                let (mut from, to) = match upward {
                    true => (&client, &upstream),
                    false => (&upstream, &client),
                };
                let sender = send(from, 0, bulk);
                expect_pattern(to, 0, bulk);
                sender.join().unwrap();
                let mut at = bulk;
                for behind in [0, 1, 1000, 500_000] {
                    let urgent = pattern(at, 1);
                    assert_eq!(SockRef::from(from).send_out_of_band(&urgent).unwrap(), 1);
                    from.write_all(&pattern(at + 1, behind)).unwrap();
                    if behind > 0 {
                        expect_pattern(to, at, 1 + behind);
                        at += 1 + behind;
                    } else {
                        expect_pattern(to, at, 1);
                        at += 1;
                    }
                }
                // All at once, and the FIN.
                let urgent = pattern(at + 10, 1);
                from.write_all(&pattern(at, 10)).unwrap();
                SockRef::from(from).send_out_of_band(&urgent).unwrap();
                from.write_all(&pattern(at + 11, 20)).unwrap();
                from.shutdown(Shutdown::Write).unwrap();
                assert_eq!(read_pattern(to, at), (31, End::Fin));
                to.shutdown(Shutdown::Write).unwrap();
                let record = rig.record(address);
                let all = at + 31;
                match upward {
                    true => record.assert_bytes(all, 0),
                    false => record.assert_bytes(0, all),
                }
            }
        }
        rig.stop();
    });
}

/// Case 17: the sink resets in mid-bulk, again and again. The source is reset, and a session that
/// moves in bulk right after gets its own bytes only.
#[test]
fn a_dead_session_leaves_no_bytes_to_the_next() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for round in 0..20 {
            let (client, mut upstream) = rig.pair();
            let address = client.local_addr().unwrap();
            let sender = spawn(move || {
                let bytes = vec![0xdd; 1 << 20];
                while upstream.write_all(&bytes).is_ok() {}
                // A write may have been told of the reset, or a read is now.
                drop(upstream);
            });
            let mut got = vec![0; (2 << 20) + round * 77_777];
            (&client).read_exact(&mut got).unwrap();
            reset(client);
            let (client, upstream) = rig.pair();
            let next = send_pattern(&upstream, 4 << 20, 1 << 20);
            assert_eq!(drain(&client), (4 << 20, End::Fin));
            next.join().unwrap();
            drop((client, upstream));
            sender.join().unwrap();
            rig.record(address).assert_ended("client_rst");
        }
        rig.stop();
    });
}
