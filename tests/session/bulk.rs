//! Bulk transfer: the path from kernel to kernel, its ends, and what one session of it does to
//! another.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use socket2::SockRef;

use crate::rig::{Rig, drain};
use crate::support::{
    End, Server, expect_pattern, fill, on_both, pattern, pause, read_pattern, reset, send_pattern,
    spawn, until,
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

/// The FIN comes behind all bytes, from either end, and the other direction goes on: in
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
        for mark in ["40KiB", "1MiB", "16MiB"] {
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

/// An urgent byte is delivered in its place, as any other, and nothing waits behind it:
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

/// The sink resets in mid-bulk, again and again. The source is reset, and a session that
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

/// A reader that stops and goes on, over and over, both ways at once: all bytes arrive in
/// order, and what they took comes back.
#[test]
fn a_reader_may_stop_and_go_on_as_often_as_it_likes() {
    const EACH: usize = 48 << 20;
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let senders = [&client, &upstream].map(|from| send_pattern(from, EACH, 777_777));
        let other = upstream.try_clone().unwrap();
        let reader = spawn(move || assert_eq!(read_in_gulps(&other, 3 << 20), EACH));
        assert_eq!(read_in_gulps(&client, 5 << 20), EACH);
        reader.join().unwrap();
        senders.into_iter().for_each(|one| one.join().unwrap());
        drop((client, upstream));
        rig.record(address).assert_bytes(EACH, EACH);
        rig.stop();
    });
}

/// Reads to the FIN, so many bytes at a time, and stops until nothing moves any more in between.
fn read_in_gulps(mut stream: &TcpStream, gulp: usize) -> usize {
    let (mut at, mut buffer) = (0, vec![0; gulp]);
    loop {
        let mut filled = 0;
        while filled < gulp {
            let bytes = match stream.read(&mut buffer[filled..]) {
                // As in `read_pattern`.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.unwrap(),
            };
            if bytes == 0 {
                assert!(buffer[..filled] == pattern(at, filled), "after {at}");
                return at + filled;
            }
            filled += bytes;
        }
        assert!(buffer == pattern(at, gulp), "after {at}");
        at += gulp;
        (0..10).for_each(|_| pause());
    }
}

/// Sessions that end by a reset while a move's rest is being sent, while their
/// source is held back and while their paths change, from either end: each has its record, the
/// other end is reset, and no buffer stays.
#[test]
fn bulk_sessions_may_end_at_any_moment() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let before = rig.server.memory();
        for round in 0..60 {
            let (client, upstream) = rig.pair();
            let address = client.local_addr().unwrap();
            let (from, to) = match round % 2 {
                0 => (client, upstream),
                _ => (upstream, client),
            };
            let sent = fill_no_wait(&from, 0, (round * 123_457) % (6 << 20));
            let read = (round * 77_777) % (sent + 1);
            if round % 3 > 0 {
                expect_pattern(&to, 0, read);
            }
            let ender_sends = round % 4 < 2;
            let (ends, stays) = if ender_sends { (from, to) } else { (to, from) };
            reset(ends);
            if ender_sends {
                // Bytes first, as many as had got through.
                let (_, end) = read_pattern(&stays, if round % 3 > 0 { read } else { 0 });
                assert_eq!(end, End::Reset);
            } else {
                assert_eq!(drain(&stays), (0, End::Reset));
            }
            let ended = rig.record(address);
            let client_ends = (round % 2 == 0) == ender_sends;
            ended.assert_ended(if client_ends {
                "client_rst"
            } else {
                "upstream_rst"
            });
        }
        let ring = if poller == "io_uring" { 16 << 20 } else { 0 };
        until("the memory comes back", || {
            rig.server.memory().saturating_sub(before) < (6 << 20) + ring
        });
        rig.stop();
    });
}

/// Writes the pattern from `at` on, as far as it goes at once.
fn fill_no_wait(mut stream: &TcpStream, at: usize, max: usize) -> usize {
    stream.set_nonblocking(true).unwrap();
    let all = pattern(at, max);
    let mut sent = 0;
    while sent < max
        && let Ok(bytes) = stream.write(&all[sent..])
    {
        sent += bytes;
    }
    stream.set_nonblocking(false).unwrap();
    sent
}

/// A stop in the middle of a bulk transfer, both ways: it ends as it would have, and well.
#[test]
fn a_stop_lets_bulk_finish() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let senders = [&client, &upstream].map(|from| send(from, 0, BULK));
        expect_pattern(&client, 0, 4 << 20);
        rig.server.signal("TERM");
        rig.server.await_line("stopping");
        let other = upstream.try_clone().unwrap();
        let reader = spawn(move || expect_pattern(&other, 0, BULK));
        expect_pattern(&client, 4 << 20, BULK - (4 << 20));
        reader.join().unwrap();
        senders.into_iter().for_each(|one| one.join().unwrap());
        for (from, to) in [(&client, &upstream), (&upstream, &client)] {
            from.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(to), (0, End::Fin));
        }
        assert_eq!(rig.server.wait(), Some(0), "{:#?}", rig.server.log);
        rig.assert_records();
    });
}

/// Bulk through an echo, whose source and sink are one socket: with a client that stops, and that
/// ends in between.
#[test]
fn an_echo_in_bulk_is_an_echo() {
    on_both(|poller| {
        let server = Server::echo(poller, 1);
        for upfront in [0, 20 << 20] {
            let client = server.connect();
            let sender = send_pattern(&client, BULK, 1 << 20);
            if upfront > 0 {
                expect_pattern(&client, 0, upfront);
                (0..50).for_each(|_| pause());
            }
            assert_eq!(read_pattern(&client, upfront), (BULK - upfront, End::Fin));
            sender.join().unwrap();
        }
        // Both ends stop in the middle; nothing is left for the next.
        let client = server.connect();
        let sent = fill(&client, 64 << 20);
        assert!(sent < 64 << 20);
        reset(client);
        let client = server.connect();
        let sender = send_pattern(&client, 4 << 20, 1 << 20);
        assert_eq!(drain(&client), (4 << 20, End::Fin));
        sender.join().unwrap();
        drop(client);
        server.stop();
    });
}

/// Bulk, silence, questions and answers, bulk again, on both sides in turn.
#[test]
fn bulk_comes_and_goes_on_one_connection() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let mut at = [0, 0];
        for round in 0..6 {
            let bytes = (6 << 20) + round * 10_007;
            let both = round % 3 == 2;
            let mut senders = Vec::new();
            for (side, from, to) in [(0, &client, &upstream), (1, &upstream, &client)] {
                if both || round % 2 == side {
                    senders.push(send(from, at[side], bytes));
                    let (to, from) = (to.try_clone().unwrap(), at[side]);
                    senders.push(spawn(move || expect_pattern(&to, from, bytes)));
                    at[side] += bytes;
                }
            }
            senders.into_iter().for_each(|one| one.join().unwrap());
            (0..10).for_each(|_| pause());
            for (side, mut from, to) in [(0, &client, &upstream), (1, &upstream, &client)]
                .repeat(50)
                .into_iter()
            {
                from.write_all(&pattern(at[side], 100)).unwrap();
                expect_pattern(to, at[side], 100);
                at[side] += 100;
            }
        }
        for (side, from, to) in [(0, &client, &upstream), (1, &upstream, &client)] {
            from.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(to, at[side]), (0, End::Fin));
        }
        rig.record(address).assert_bytes(at[0], at[1]);
        rig.stop();
    });
}

/// Readers that stop in the middle of a transfer cost no more than the high mark
/// and what a poller is ahead, also where little may wait unsent in the kernel. A move used to
/// leave a megabyte over for each of them.
#[test]
fn stopped_bulk_readers_cost_what_the_marks_allow() {
    const READERS: usize = 40;
    /// The high mark, the buffers of a receive stream that is cancelled, and the session.
    const EACH_MAX: usize = (64 + 64 + 16) * 1024;
    on_both(|poller| {
        for lowat in ["", "socket = { notsent_lowat = \"16KiB\" }"] {
            let mut rig = Rig::with(poller, lowat, "");
            // What a first transfer takes for all of them: the pipe, the ring of receive buffers.
            for _ in 0..4 {
                let (client, upstream) = rig.pair();
                let sender = send_pattern(&upstream, 8 << 20, 1 << 20);
                assert_eq!(drain(&client), (8 << 20, End::Fin));
                sender.join().unwrap();
            }
            let before = rig.server.memory();
            let mut sessions = Vec::new();
            for _ in 0..READERS {
                let (client, upstream) = rig.pair();
                let sender = send(&upstream, 0, 2 << 20);
                expect_pattern(&client, 0, 2 << 20);
                sender.join().unwrap();
                let sent = fill_no_wait(&upstream, 2 << 20, 16 << 20);
                sessions.push((client, upstream, sent));
            }
            let mut quiet = 0;
            until("all are held back", || {
                let more = |(_, upstream, sent): &mut (TcpStream, TcpStream, usize)| {
                    upstream.set_nonblocking(true).unwrap();
                    let bytes = (&*upstream).write(&pattern((2 << 20) + *sent, 1 << 16));
                    upstream.set_nonblocking(false).unwrap();
                    *sent += bytes.as_ref().map_or(0, |bytes| *bytes);
                    bytes.is_ok()
                };
                let moved = sessions.iter_mut().map(more).filter(|moved| *moved).count();
                quiet = if moved == 0 { quiet + 1 } else { 0 };
                quiet > 50
            });
            let held = rig.server.memory().saturating_sub(before);
            assert!(held < READERS * EACH_MAX, "{held} bytes, {lowat:?}");
            for (client, upstream, _) in sessions {
                reset(upstream);
                drop(client);
            }
            rig.stop();
        }
    });
}
