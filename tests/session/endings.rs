//! Ends at awkward moments.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use crate::rig::{Rig, drain, queues};
use crate::support::{
    End, accept, expect_pattern, fill, now, on_both, pattern, reset, signal, until,
};

/// More than a client with a small buffer takes, less than a socket's send buffer.
const REPLY: usize = 300_000;

/// Waits until the proxy has passed the whole reply to its kernel, while the client reads nothing.
fn await_reply_in_kernel(proxy: SocketAddr, client: SocketAddr) {
    until("the reply waits in the kernel", || {
        let (from, to) = (queues(proxy, client), queues(client, proxy));
        matches!((from, to), (Some(from), Some(to)) if from.sent + to.received >= REPLY)
    });
}

/// A reset waits until the client has acknowledged all earlier bytes. A client that leaves
/// meanwhile acknowledges nothing, and the kernel's count of unacknowledged bytes stays: the
/// session lasted until its half-close timeout.
#[test]
fn a_client_may_leave_while_a_reset_waits_for_its_acknowledgements() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for _ in 0..10 {
            let client = rig.small_client();
            let address = client.local_addr().unwrap();
            let mut upstream = accept(&rig.upstream);
            upstream.write_all(&pattern(0, REPLY)).unwrap();
            await_reply_in_kernel(rig.address, address);
            reset(upstream);
            reset(client);
            let record = rig.record(address);
            record.assert_bytes(0, REPLY);
        }
        rig.stop();
    });
}

/// As above, but the client reads after all: every byte, then the reset.
#[test]
fn a_reset_comes_behind_the_reply() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let client = rig.small_client();
        let mut upstream = accept(&rig.upstream);
        upstream.write_all(&pattern(0, REPLY)).unwrap();
        await_reply_in_kernel(rig.address, client.local_addr().unwrap());
        reset(upstream);
        assert_eq!(drain(&client), (REPLY, End::Reset));
        rig.record(client.local_addr().unwrap())
            .assert_ended("upstream_rst");
        rig.stop();
    });
}

/// The upstream has sent its reply and its FIN, and resets the client's later bytes. The reply is
/// in flight by then and must arrive, with its FIN.
#[test]
fn a_reset_behind_a_fin_does_not_destroy_the_reply() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let mut client = rig.small_client();
        let address = client.local_addr().unwrap();
        let mut upstream = accept(&rig.upstream);
        let (ours, its) = (
            upstream.local_addr().unwrap(),
            upstream.peer_addr().unwrap(),
        );
        client.write_all(b"request").unwrap();
        upstream.read_exact(&mut [0; 7]).unwrap();
        upstream.write_all(&pattern(0, REPLY)).unwrap();
        drop(upstream);
        await_reply_in_kernel(rig.address, address);
        for _ in 0..2 {
            // A reset answers the first write, the second write reports the reset.
            client.write_all(b"more").unwrap();
            until("the proxy has read it", || {
                queues(rig.address, address).is_none_or(|queues| queues.received == 0)
            });
            until("the upstream has reset", || queues(its, ours).is_none());
        }
        let mut got = vec![0; REPLY];
        client.read_exact(&mut got).unwrap();
        assert!(got == pattern(0, REPLY));
        assert_eq!(drain(&client), (0, End::Fin), "the FIN, too");
        rig.record(address).assert_ended("upstream_rst");
        rig.stop();
    });
}

/// Bytes and the end in one event, since the proxy is stopped while they arrive.
#[test]
fn bytes_that_come_together_with_their_end_go_first() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for (end, word) in [(End::Fin, "upstream_fin"), (End::Reset, "upstream_rst")] {
            let (client, mut upstream) = rig.pair();
            signal(rig.server.pid(), "STOP");
            upstream.write_all(&pattern(0, 50_000)).unwrap();
            close(upstream, end);
            signal(rig.server.pid(), "CONT");
            assert_eq!(drain(&client), (50_000, end));
            let address = client.local_addr().unwrap();
            drop(client);
            rig.record(address).assert_ended(word);
        }
        for (end, word) in [(End::Fin, "client_fin"), (End::Reset, "client_rst")] {
            let (mut client, upstream) = rig.pair();
            let address = client.local_addr().unwrap();
            signal(rig.server.pid(), "STOP");
            client.write_all(&pattern(0, 50_000)).unwrap();
            close(client, end);
            signal(rig.server.pid(), "CONT");
            assert_eq!(drain(&upstream), (50_000, end));
            drop(upstream);
            let record = rig.record(address);
            record.assert_ended(word);
            record.assert_bytes(50_000, 0);
        }
        rig.stop();
    });
}

fn close(stream: TcpStream, end: End) {
    match end {
        End::Fin => drop(stream),
        End::Reset => reset(stream),
    }
}

/// A reply is in flight: the send to the client consumes the reset, and the receive then sees an
/// end of stream, which must not reach the upstream as a half-close.
#[test]
fn a_reset_is_one_though_a_send_learns_of_it_first() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for _ in 0..10 {
            let client = rig.small_client();
            let address = client.local_addr().unwrap();
            let upstream = accept(&rig.upstream);
            fill(&upstream, 64 << 20);
            signal(rig.server.pid(), "STOP");
            reset(client);
            signal(rig.server.pid(), "CONT");
            assert_eq!(drain(&upstream), (0, End::Reset));
            rig.record(address).assert_ended("client_rst");
        }
        rig.stop();
    });
}

/// FIN for FIN, and no reset on either leg: both ends read to a FIN, and neither socket has an
/// error.
#[test]
fn an_orderly_end_has_no_reset() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        for client_first in [true, false] {
            let (client, upstream) = rig.pair();
            let (first, second) = if client_first {
                (&client, &upstream)
            } else {
                (&upstream, &client)
            };
            for (from, to) in [(first, second), (second, first)] {
                from.shutdown(Shutdown::Write).unwrap();
                assert_eq!(drain(to), (0, End::Fin));
            }
            let record = rig.record(client.local_addr().unwrap());
            record.assert_ended(if client_first {
                "client_fin"
            } else {
                "upstream_fin"
            });
            record.assert_bytes(0, 0);
            for end in [&client, &upstream] {
                assert!(end.take_error().unwrap().is_none());
            }
        }
        rig.stop();
    });
}

/// An upstream that sees a FIN has received all bytes of the client.
#[test]
fn a_half_sent_request_is_no_request() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (mut client, upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        client.write_all(&pattern(0, 1000)).unwrap();
        // Unread input at the close turns the close into a reset.
        (&upstream).write_all(b"early answer").unwrap();
        client.peek(&mut [0]).unwrap();
        drop(client);
        assert_eq!(drain(&upstream), (1000, End::Reset));
        rig.record(address).assert_ended("client_rst");
        rig.stop();
    });
}

/// A failed write ends the session at once, though the opposite direction is blocked.
#[test]
fn a_failed_write_ends_a_session_that_is_blocked_the_other_way() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let sent = fill(&client, 64 << 20);
        reset(upstream);
        let (got, end) = drain(&client);
        assert_eq!((got, end), (0, End::Reset));
        let record = rig.record(address);
        record.assert_ended("upstream_rst");
        assert!(record.number("from_client_bytes") <= sent);
        rig.stop();
    });
}

/// The record counts the bytes of a send cut short, as far as the client's kernel took them.
#[test]
fn a_send_that_is_cut_is_counted_as_far_as_it_came() {
    on_both(|poller| {
        let mut rig = Rig::with(poller, IN_FLIGHT, "");
        for read in [0, 1000, 10_000] {
            cut(&mut rig, read, "client_rst");
        }
        rig.stop();
        let idle = format!("{IN_FLIGHT}\ntimeouts.idle = \"1s\"");
        let mut rig = Rig::with(poller, &idle, "");
        cut(&mut rig, 1000, "idle_timeout");
        rig.stop();
    });
}

/// Buffers so small that a send is in flight nearly always.
const IN_FLIGHT: &str = "socket = { send_buffer = \"8KiB\" }";

/// A client reads this many bytes of a stream, and then no more until the session ends.
fn cut(rig: &mut Rig, read: usize, end: &str) {
    let client = rig.small_client();
    let address = client.local_addr().unwrap();
    let upstream = accept(&rig.upstream);
    let sent = fill(&upstream, 16 << 20);
    expect_pattern(&client, 0, read);
    let mut waiting = vec![0; 64 * 1024];
    let waiting = client.peek(&mut waiting).unwrap();
    if end == "client_rst" {
        reset(client);
    }
    let record = rig.record(address);
    record.assert_ended(end);
    let counted = record.number("to_client_bytes");
    let least = read + waiting;
    assert!(counted >= least, "{counted} counted, {least} at the client");
    assert!(counted <= sent, "{counted} counted, {sent} sent");
}

/// The first byte counts when it leaves for the client. A lane without other work sleeps behind a
/// send, and learns of its success much later.
#[test]
fn the_first_byte_counts_when_it_leaves() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let began = now();
        let (mut client, mut upstream) = rig.pair();
        client.write_all(b"question").unwrap();
        upstream.read_exact(&mut [0; 8]).unwrap();
        upstream.write_all(b"answer").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        let arrived = began.elapsed();
        // Nothing happens, for much longer than all before.
        while began.elapsed() < arrived * 10 {
            thread::yield_now();
        }
        let address = client.local_addr().unwrap();
        reset(client);
        let record = rig.record(address);
        record.assert_bytes(8, 6);
        let (first_byte, total) = (record.number("first_byte_us"), record.number("total_us"));
        assert!(first_byte < total / 2, "{arrived:?}: {record:?}");
        rig.stop();
    });
}
