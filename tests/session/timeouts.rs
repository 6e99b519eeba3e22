//! Time that is over: which time, when, and how both ends learn of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::rig::{Rig, drain};
use crate::support::{End, accept, fill, now, on_both, pattern, pause};

/// The timers' tick and the machine's mood: later than this after its time is too late.
const LATE: Duration = Duration::from_millis(500);

/// Both ends are reset, not before `at` after `start` and not long after.
fn assert_cut(start: Instant, at: Duration, ends: [&TcpStream; 2]) {
    for stream in ends {
        assert_eq!(drain(stream), (0, End::Reset));
    }
    let took = start.elapsed();
    assert!(took >= at && took < at + LATE, "{took:?}, not {at:?}");
}

/// Silence in both directions for the idle time, to the tick, and a reset for both ends,
/// since neither has said that it is done.
#[test]
fn an_idle_session_ends_at_its_time() {
    on_both(|poller| {
        let mut rig = Rig::with(poller, "timeouts.idle = \"300ms\"", "");
        let start = now();
        let (client, upstream) = rig.pair();
        assert_cut(start, Duration::from_millis(300), [&client, &upstream]);
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("idle_timeout");
        let took = record.number("total_us");
        assert!((300_000..800_000).contains(&took), "{record:?}");
        rig.stop();
    });
}

/// A byte in one direction is life for the session, and each counts.
#[test]
fn one_direction_keeps_a_session_alive() {
    on_both(|poller| {
        for from_client in [true, false] {
            let mut rig = Rig::with(poller, "timeouts.idle = \"400ms\"", "");
            let (client, upstream) = rig.pair();
            let (mut from, mut to) = if from_client {
                (&client, &upstream)
            } else {
                (&upstream, &client)
            };
            let start = now();
            let mut last = start;
            // Three times the idle time, a byte every now and then.
            while start.elapsed() < Duration::from_millis(1200) {
                if last.elapsed() > Duration::from_millis(100) {
                    last = now();
                    from.write_all(b"x").unwrap();
                    to.read_exact(&mut [0]).unwrap();
                }
                pause();
            }
            assert_cut(last, Duration::from_millis(400), [&client, &upstream]);
            rig.record(client.local_addr().unwrap())
                .assert_ended("idle_timeout");
            rig.stop();
        }
    });
}

/// A reader that is stuck with bytes outstanding does not keep a session for ever: after 15 s
/// without an acknowledgement, or two idle times if those are longer, the session is reset.
#[test]
fn a_stuck_reader_ends_in_the_end() {
    on_both(|poller| {
        let mut rig = Rig::with(poller, "timeouts.idle = \"1s\"", "");
        let (client, upstream) = rig.pair();
        let sent = fill(&upstream, 64 << 20);
        let filled = now();
        assert_eq!(drain(&upstream), (0, End::Reset));
        assert!(filled.elapsed() < Duration::from_secs(17) + LATE);
        let (got, end) = drain(&client);
        assert!(got <= sent && end == End::Reset, "{got} of {sent}, {end:?}");
        rig.record(client.local_addr().unwrap())
            .assert_ended("idle_timeout");
        rig.stop();
    });
}

/// One long send to a slow reader is alive as long as the reader takes something, though
/// the relay itself sees no byte for longer than the idle time.
#[test]
fn a_slow_transfer_is_alive() {
    on_both(|poller| {
        // Longer than the kernel's probes of a closed window are apart (200 ms, then doubled).
        let mut rig = Rig::with(poller, "timeouts.idle = \"1s\"", "");
        let client = rig.small_client();
        let upstream = accept(&rig.upstream);
        let sent = fill(&upstream, 64 << 20);
        upstream.shutdown(Shutdown::Write).unwrap();
        let slow = Duration::from_millis(30);
        let got = read_slowly(&client, slow, Duration::from_millis(2500));
        let (rest, end) = crate::support::read_pattern(&client, got);
        assert_eq!((got + rest, end), (sent, End::Fin));
        let address = client.local_addr().unwrap();
        drop(client);
        rig.record(address).assert_ended("upstream_fin");
        rig.stop();
    });
}

/// Reads 2,000 bytes of the pattern every `pace`, for so long; how many in all.
fn read_slowly(mut client: &TcpStream, pace: Duration, whole: Duration) -> usize {
    let (start, mut last, mut got) = (now(), now(), 0);
    let mut buffer = vec![0; 2000];
    while start.elapsed() < whole {
        if last.elapsed() > pace {
            last = now();
            let bytes = match client.read(&mut buffer) {
                // As in `read_pattern`.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.unwrap(),
            };
            assert!(buffer[..bytes] == pattern(got, bytes));
            got += bytes;
        }
        pause();
    }
    got
}

/// A large buffer's window opens seldom: nothing is acknowledged for longer than the idle time
/// while its application reads on.
#[test]
fn a_slow_reader_with_a_large_buffer_is_alive() {
    on_both(|poller| {
        let mut rig = Rig::with(poller, "timeouts.idle = \"1s\"", "");
        let client = rig.client();
        socket2::SockRef::from(&client)
            .set_recv_buffer_size(512 << 10)
            .unwrap();
        let upstream = accept(&rig.upstream);
        let sent = fill(&upstream, 64 << 20);
        upstream.shutdown(Shutdown::Write).unwrap();
        // 20 KB a second: a sixteenth of the buffer in three seconds.
        let slow = Duration::from_millis(100);
        let got = read_slowly(&client, slow, Duration::from_secs(5));
        let (rest, end) = crate::support::read_pattern(&client, got);
        assert_eq!((got + rest, end), (sent, End::Fin));
        drop(client);
        rig.stop();
    });
}

/// One side has ended and the other says nothing: the half-close time, then a reset.
#[test]
fn a_half_closed_session_ends_at_its_time() {
    on_both(|poller| {
        for client_ends in [true, false] {
            let mut rig = Rig::with(poller, "timeouts.half_close = \"300ms\"", "");
            let (client, upstream) = rig.pair();
            let (first, mut second) = if client_ends {
                (&client, &upstream)
            } else {
                (&upstream, &client)
            };
            let start = now();
            first.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(second), (0, End::Fin));
            assert_eq!(drain(first), (0, End::Reset));
            let took = start.elapsed();
            assert!(took >= Duration::from_millis(300), "{took:?}");
            assert!(took < Duration::from_millis(300) + LATE, "{took:?}");
            // It has had its FIN; what it sends now is answered by a reset.
            assert!((0..2000).any(|_| {
                pause();
                second.write_all(b"late").is_err()
            }));
            let record = rig.record(client.local_addr().unwrap());
            record.assert_ended("half_close_timeout");
            rig.stop();
        }
    });
}

/// A session that has been silent for longer than the half-close time was reset at once when one
/// side sent its FIN: the silence before it was counted.
#[test]
fn the_half_close_time_starts_at_the_fin() {
    on_both(|poller| {
        let mut rig = Rig::with(poller, "timeouts.half_close = \"400ms\"", "");
        let (client, mut upstream) = rig.pair();
        let start = now();
        while start.elapsed() < Duration::from_millis(600) {
            pause();
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(drain(&upstream), (0, End::Fin));
        let start = now();
        while start.elapsed() < Duration::from_millis(150) {
            pause();
        }
        upstream.write_all(&pattern(0, 1000)).unwrap();
        drop(upstream);
        assert_eq!(drain(&client), (1000, End::Fin));
        rig.record(client.local_addr().unwrap())
            .assert_ended("client_fin");
        rig.stop();
    });
}

/// Bytes the other way are life for a half-closed session, too.
#[test]
fn a_half_closed_session_lives_while_bytes_move() {
    on_both(|poller| {
        let mut rig = Rig::with(poller, "timeouts.half_close = \"300ms\"", "");
        let (client, mut upstream) = rig.pair();
        client.shutdown(Shutdown::Write).unwrap();
        let (start, mut last, mut sent) = (now(), now(), 0);
        while start.elapsed() < Duration::from_millis(1000) {
            if last.elapsed() > Duration::from_millis(80) {
                last = now();
                upstream.write_all(&pattern(sent, 1)).unwrap();
                sent += 1;
            }
            pause();
        }
        drop(upstream);
        assert_eq!(drain(&client), (sent, End::Fin));
        rig.record(client.local_addr().unwrap())
            .assert_ended("client_fin");
        rig.stop();
    });
}

/// A lifetime ends a busy session, never later than it says, and earlier by its jitter at
/// most.
#[test]
fn a_lifetime_ends_a_busy_session() {
    on_both(|poller| {
        let limits = "timeouts = { lifetime = \"800ms\", lifetime_jitter = \"50%\" }";
        let mut rig = Rig::with(poller, limits, "");
        for _ in 0..4 {
            let start = now();
            let (mut client, mut upstream) = rig.pair();
            let mut last = now();
            let exchange = |client: &mut TcpStream, upstream: &mut TcpStream| {
                client.write_all(b"x")?;
                upstream.read_exact(&mut [0])
            };
            while exchange(&mut client, &mut upstream).is_ok() {
                assert!(start.elapsed() < Duration::from_secs(5), "it never ends");
                last = now();
            }
            let took = last - start;
            assert!(took > Duration::from_millis(350), "{took:?}");
            assert!(took < Duration::from_millis(800) + LATE, "{took:?}");
            let record = rig.record(client.local_addr().unwrap());
            record.assert_ended("lifetime");
            let lasted = record.number("total_us");
            assert!((400_000..900_000).contains(&lasted), "{record:?}");
        }
        rig.stop();
    });
}

/// No idle time: silence is nobody's business.
#[test]
fn without_an_idle_time_silence_is_fine() {
    on_both(|poller| {
        let limits = "timeouts = { idle = \"off\", half_close = \"100ms\" }";
        let mut rig = Rig::with(poller, limits, "");
        let (mut client, mut upstream) = rig.pair();
        let start = now();
        while start.elapsed() < Duration::from_millis(500) {
            pause();
        }
        client.write_all(b"x").unwrap();
        upstream.read_exact(&mut [0]).unwrap();
        drop(client);
        drop(upstream);
        rig.stop();
    });
}
