//! Connecting: sessions before they have an upstream.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::rig::{Rig, drain, queues};
use crate::support::{
    End, accept, black_hole, dead_address, fill, listener, now, on_both, patient, pattern, reset,
    signal, until,
};

/// A full backlog, so that the proxy's connect waits. [`Door::open`] makes room, and the kernel's
/// second SYN, after a second, is accepted.
struct Door {
    waiting: Vec<TcpStream>,
}

impl Door {
    fn closed() -> (Self, TcpListener) {
        let (listener, waiting) = black_hole();
        (Self { waiting }, listener)
    }

    fn open(self, listener: &TcpListener) {
        for _ in &self.waiting {
            drop(accept(listener));
        }
    }
}

fn behind_a_door(poller: &str) -> (Door, Rig) {
    let (door, listener) = Door::closed();
    let endpoint = listener.local_addr().unwrap();
    let rig = Rig::before(poller, &[endpoint], listener, "", "");
    (door, rig)
}

/// An upstream that resets right after its greeting counted as refusing when the proxy looked late,
/// and the greeting was lost.
#[test]
fn a_reset_right_behind_a_greeting_is_no_refusal() {
    on_both(|poller| {
        let (door, mut rig) = behind_a_door(poller);
        let client = rig.client();
        until("it waits for the upstream", || syn_is_out(&rig));
        signal(rig.server.pid(), "STOP");
        door.open(&rig.upstream);
        let mut upstream = accept(&rig.upstream);
        upstream.write_all(&pattern(0, 50_000)).unwrap();
        reset(upstream);
        signal(rig.server.pid(), "CONT");
        assert_eq!(drain(&client), (50_000, End::Reset));
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("upstream_rst");
        record.assert_bytes(0, 50_000);
        rig.stop();
    });
}

/// An upstream that resets before the proxy has looked counted as refusing, and the next endpoint
/// was tried, by chance on a busy machine. An endpoint that has accepted has not refused.
#[test]
fn what_has_accepted_has_not_refused() {
    on_both(|poller| {
        for (greeting, fin) in [(0, false), (0, true), (50_000, true)] {
            let (door, first) = Door::closed();
            let (second, second_address) = listener();
            second.set_nonblocking(true).unwrap();
            let endpoints = [first.local_addr().unwrap(), second_address];
            let mut rig = Rig::before(poller, &endpoints, first, "", "tries = 2");
            let client = rig.client();
            until("it waits for the upstream", || syn_is_out(&rig));
            signal(rig.server.pid(), "STOP");
            door.open(&rig.upstream);
            let mut upstream = accept(&rig.upstream);
            upstream.write_all(&pattern(0, greeting)).unwrap();
            if fin {
                upstream.shutdown(Shutdown::Write).unwrap();
            }
            reset(upstream);
            signal(rig.server.pid(), "CONT");
            // The end seen by a client connected directly to the upstream.
            let end = if fin { End::Fin } else { End::Reset };
            assert_eq!(drain(&client), (greeting, end));
            let address = client.local_addr().unwrap();
            drop(client);
            let record = rig.record(address);
            record.assert_ended("upstream_rst");
            record.assert_bytes(0, greeting);
            assert_eq!(record.number("tries"), 1, "{record:?}");
            assert!(record.has("endpoint"), "{record:?}");
            assert!(second.accept().is_err(), "another endpoint was tried");
            rig.stop();
        }
    });
}

/// Whether the proxy's connect has sent its SYN and has no answer yet.
fn syn_is_out(rig: &Rig) -> bool {
    let port = rig.upstream.local_addr().unwrap().port();
    let remote = format!(":{port:04X} 02 ");
    std::fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .contains(&remote)
}

/// The client's bytes and FIN arrive once the upstream is connected, and the answer comes back.
#[test]
fn a_client_that_has_ended_before_the_connect_loses_nothing() {
    on_both(|poller| {
        for bytes in [0, 10_000, 4 << 20] {
            let (door, mut rig) = behind_a_door(poller);
            let client = rig.client();
            let sent = fill(&client, bytes);
            client.shutdown(Shutdown::Write).unwrap();
            door.open(&rig.upstream);
            let mut upstream = accept(&rig.upstream);
            assert_eq!(drain(&upstream), (sent, End::Fin));
            upstream.write_all(&pattern(0, 10_000)).unwrap();
            drop(upstream);
            assert_eq!(drain(&client), (10_000, End::Fin));
            let record = rig.record(client.local_addr().unwrap());
            record.assert_ended("client_fin");
            record.assert_bytes(sent, 10_000);
            rig.stop();
        }
    });
}

/// A client that resets during the connect to its upstream leaves nothing behind, long before the
/// connect timeout.
#[test]
fn a_client_that_resets_before_the_connect_cancels_it() {
    on_both(|poller| {
        let (_door, mut rig) = behind_a_door(poller);
        for bytes in [0, 10_000] {
            let mut client = rig.client();
            let address = client.local_addr().unwrap();
            client.write_all(&pattern(0, bytes)).unwrap();
            until("it waits for the upstream", || syn_is_out(&rig));
            let left = now();
            reset(client);
            let record = rig.record(address);
            assert!(
                left.elapsed().as_secs() < 2,
                "only when the connect timed out"
            );
            record.assert_ended("client_rst");
            record.assert_bytes(0, 0);
            until("the connect is given up", || !syn_is_out(&rig));
        }
        rig.stop();
    });
}

/// A refusal is recorded with as many tries as endpoints, and the client is reset within
/// milliseconds.
#[test]
fn refusals_are_bounded_and_recorded() {
    on_both(|poller| {
        let endpoints = [(); 5].map(|()| dead_address());
        let mut rig = Rig::before(poller, &endpoints, listener().0, "", "tries = 4");
        // Bound first: the connect itself may report the reset already.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let connected = socket.connect(&rig.address.into()).is_ok();
        rig.expect_session();
        let mut client = TcpStream::from(socket);
        // The first call reports the reset, later calls do not.
        if connected && client.write_all(b"hello").is_ok() {
            patient(&client);
            assert_eq!(drain(&client), (0, End::Reset));
        }
        let record = rig.record(address);
        record.assert_ended("connect_refused");
        record.assert_bytes(0, 0);
        assert_eq!(record.number("tries"), 4);
        assert!(!record.has("endpoint"), "{record:?}");
        rig.stop();
    });
}

/// A connect without an answer is recorded as timed out, after the listener's timeout.
#[test]
fn a_connect_timeout_is_exact_and_recorded() {
    on_both(|poller| {
        let (listener, _full) = black_hole();
        let endpoint = listener.local_addr().unwrap();
        let of_listener = "timeouts = { connect = \"400ms\", connect_total = \"600ms\" }";
        let endpoints = [endpoint; 1];
        let mut rig = Rig::before(poller, &endpoints, listener, of_listener, "");
        let client = rig.client();
        let start = now();
        assert_eq!(drain(&client), (0, End::Reset));
        assert!(start.elapsed().as_millis() >= 390, "{:?}", start.elapsed());
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("connect_timeout");
        let took = record.number("total_us");
        assert!((400_000..1_400_000).contains(&took), "{record:?}");
        rig.stop();
    });
}

/// A timeout bounds all tries together: three endpoints without an answer, and time for one and a
/// half.
#[test]
fn all_tries_together_have_their_time() {
    on_both(|poller| {
        let holes = [(); 3].map(|()| black_hole());
        let endpoints = [0, 1, 2].map(|at: usize| holes[at].0.local_addr().unwrap());
        let of_listener = "timeouts = { connect = \"400ms\", connect_total = \"600ms\" }";
        let mut rig = Rig::before(poller, &endpoints, listener().0, of_listener, "");
        let client = rig.client();
        assert_eq!(drain(&client), (0, End::Reset));
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("connect_timeout");
        assert_eq!(record.number("tries"), 2, "{record:?}");
        let took = record.number("total_us");
        assert!((600_000..1_600_000).contains(&took), "{record:?}");
        rig.stop();
    });
}

/// Bytes sent to one endpoint are never sent to a second endpoint, however the first ends.
#[test]
fn bytes_are_never_sent_twice() {
    on_both(|poller| {
        let (first, first_address) = listener();
        let (second, second_address) = listener();
        let endpoints = [first_address, second_address];
        let mut rig = Rig::before(poller, &endpoints, first, "", "");
        second.set_nonblocking(true).unwrap();
        for _ in 0..2 {
            let mut client = rig.client();
            client.write_all(b"once").unwrap();
            // The endpoints take turns, so one of the two sessions is on the first endpoint.
            let mut upstream = None;
            rig.upstream.set_nonblocking(true).unwrap();
            until("one of them is connected", || {
                let taken = rig.upstream.accept().or_else(|_| second.accept());
                upstream = taken.ok().map(|(stream, _)| stream);
                upstream.is_some()
            });
            let mut upstream = upstream.unwrap();
            upstream.set_nonblocking(false).unwrap();
            upstream.read_exact(&mut [0; 4]).unwrap();
            reset(upstream);
            assert_eq!(drain(&client), (0, End::Reset));
            let record = rig.record(client.local_addr().unwrap());
            record.assert_ended("upstream_rst");
            assert_eq!(record.number("tries"), 1);
        }
        assert!(rig.upstream.accept().is_err() && second.accept().is_err());
        rig.stop();
    });
}

/// A client that resets before the accept gets one record, and nothing hangs.
#[test]
fn a_client_that_is_gone_at_once_has_a_record() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        signal(rig.server.pid(), "STOP");
        let clients: Vec<TcpStream> = (0..20).map(|_| rig.client()).collect();
        let addresses: Vec<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
        clients.into_iter().for_each(reset);
        signal(rig.server.pid(), "CONT");
        for address in addresses {
            rig.record(address).assert_ended("client_rst");
        }
        rig.stop();
    });
}

/// The proxy's sockets of a session end with the session.
#[test]
fn a_session_leaves_no_connection_behind() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let (ours, its) = (
            upstream.local_addr().unwrap(),
            upstream.peer_addr().unwrap(),
        );
        drop(upstream);
        assert_eq!(drain(&client), (0, End::Fin));
        drop(client);
        // Until both FINs are acknowledged; afterwards only the kernel's TIME_WAIT is left.
        until("the connection is over", || {
            queues(its, ours).is_none_or(|q| q.sent == 0)
        });
        rig.stop();
    });
}
