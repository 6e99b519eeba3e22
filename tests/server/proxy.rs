//! The proxy service: both directions, both ends, and endpoints that do not answer.
//!
//! The upstream is the test's own, so that it sees what a server behind corelane would see.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{
    End, PATIENCE, Server, accept, black_hole, dead_address, echo, echo_all, fill, listener, now,
    on_both, patient, pattern, ping, proxy, read_pattern, reset, runtime, send_pattern, spawn,
};

/// What is echoed through a proxy: so many bytes in pieces of so many, by each data path.
pub(crate) const AMOUNTS: [(usize, usize); 5] = [
    (0, 1),
    (1, 1),
    (5000, 1),
    (1 << 20, 4096),
    (20 << 20, 1 << 20),
];

/// A proxy in front of a listener of the test's own.
struct Front {
    server: Server,
    upstream: TcpListener,
}

impl Front {
    fn new(poller: &str) -> Self {
        let (upstream, address) = listener();
        let server = Server::start(&(runtime(poller, 1) + &proxy(&[address])));
        Self { server, upstream }
    }

    fn client(&self) -> TcpStream {
        crate::support::connect(self.server.address("proxy"))
    }

    /// Both ends of one proxied connection.
    fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.client();
        (client, accept(&self.upstream))
    }
}

#[test]
fn an_echo_behind_a_proxy_is_an_echo() {
    on_both(|poller| {
        for lanes in [1, 2] {
            let behind = Server::echo(poller, lanes);
            let front = runtime(poller, lanes) + &proxy(&[behind.address("echo")]);
            let front = Server::start(&front);
            for (bytes, piece) in AMOUNTS {
                let client = crate::support::connect(front.address("proxy"));
                echo_all(&client, bytes, piece);
            }
            front.stop();
            behind.stop();
        }
    });
}

/// The default configuration's shape: the proxy's endpoint is a listener of the same server.
#[test]
fn a_proxy_may_lead_to_its_own_server() {
    on_both(|poller| {
        let port = dead_address();
        let echo = echo().replace("127.0.0.1:0", &port.to_string());
        let server = Server::start(&(runtime(poller, 2) + &echo + &proxy(&[port])));
        echo_all(
            &crate::support::connect(server.address("proxy")),
            3 << 20,
            100_000,
        );
        server.stop();
    });
}

/// Client FIN, then a 1 MiB reply.
#[test]
fn a_reply_after_the_client_s_fin_arrives_whole() {
    on_both(|poller| {
        let front = Front::new(poller);
        let (client, upstream) = front.pair();
        let sender = send_pattern(&client, 1000, 1000);
        assert_eq!(read_pattern(&upstream, 0), (1000, End::Fin));
        let reply = send_pattern(&upstream, 1 << 20, 1 << 20);
        assert_eq!(read_pattern(&client, 0), (1 << 20, End::Fin));
        sender.join().unwrap();
        reply.join().unwrap();
        front.server.stop();
    });
}

/// Server FIN, then a 1 MiB request.
#[test]
fn a_request_after_the_server_s_fin_arrives_whole() {
    on_both(|poller| {
        let front = Front::new(poller);
        let (client, upstream) = front.pair();
        let reply = send_pattern(&upstream, 1000, 1000);
        assert_eq!(read_pattern(&client, 0), (1000, End::Fin));
        let request = send_pattern(&client, 1 << 20, 1 << 20);
        assert_eq!(read_pattern(&upstream, 0), (1 << 20, End::Fin));
        reply.join().unwrap();
        request.join().unwrap();
        front.server.stop();
    });
}

/// Both FIN at the same instant, and no reset on either leg.
#[test]
fn both_ends_may_end_at_once() {
    on_both(|poller| {
        let front = Front::new(poller);
        for bytes in [0, 1, 100_000] {
            let (client, upstream) = front.pair();
            let request = send_pattern(&client, bytes, 10_000);
            let reply = send_pattern(&upstream, bytes, 10_000);
            assert_eq!(read_pattern(&client, 0), (bytes, End::Fin));
            assert_eq!(read_pattern(&upstream, 0), (bytes, End::Fin));
            request.join().unwrap();
            reply.join().unwrap();
        }
        front.server.stop();
    });
}

/// The client has sent all, and its FIN, before its upstream is connected.
#[test]
fn a_client_that_has_ended_before_the_connect_is_relayed() {
    on_both(|poller| {
        // The first endpoint refuses, so the connect takes a round more.
        let (upstream, address) = listener();
        let config = runtime(poller, 1) + &proxy(&[dead_address(), address]);
        let server = Server::start(&config);
        let client = crate::support::connect(server.address("proxy"));
        let request = send_pattern(&client, 100_000, 100_000);
        let upstream = accept(&upstream);
        assert_eq!(read_pattern(&upstream, 0), (100_000, End::Fin));
        let reply = send_pattern(&upstream, 10, 10);
        assert_eq!(read_pattern(&client, 0), (10, End::Fin));
        request.join().unwrap();
        reply.join().unwrap();
        server.stop();
    });
}

/// Nobody takes it, so the client is told, and not with a FIN that would mean an answer.
#[test]
fn a_client_whose_endpoints_all_refuse_is_reset() {
    on_both(|poller| {
        let endpoints = [dead_address(), dead_address()];
        let front = Server::start(&(runtime(poller, 1) + &proxy(&endpoints)));
        let begun = now();
        for _ in 0..5 {
            assert_reset(front.address("proxy"));
        }
        assert!(now() - begun < Duration::from_secs(5), "quickly");
        front.stop();
    });
}

/// No answer at all, so the next endpoint after the connect timeout of 3 s.
#[test]
fn an_endpoint_that_does_not_answer_is_given_up() {
    let tests: Vec<_> = crate::support::pollers()
        .iter()
        .map(|&poller| {
            spawn(move || {
                let (hole, full) = black_hole();
                let behind = Server::echo(poller, 1);
                let endpoints = [hole.local_addr().unwrap(), behind.address("echo")];
                let front = Server::start(&(runtime(poller, 1) + &proxy(&endpoints)));
                let begun = now();
                let first = crate::support::connect(front.address("proxy"));
                let second = crate::support::connect(front.address("proxy"));
                ping(&second);
                assert!(
                    now() - begun < Duration::from_secs(3),
                    "it waited for the first"
                );
                ping(&first);
                assert!(now() - begun >= Duration::from_secs(3), "it did not wait");
                drop((first, second, hole, full));
                front.stop();
                behind.stop();
            })
        })
        .collect();
    tests.into_iter().for_each(|test| test.join().unwrap());
}

/// I5 through the proxy, in either direction; the other direction still flows.
#[test]
fn a_reader_that_stops_costs_little_and_loses_nothing() {
    const MAX: usize = 64 << 20;
    on_both(|poller| {
        let front = Front::new(poller);
        for upward in [true, false] {
            let (client, upstream) = front.pair();
            ping_through(&client, &upstream);
            let before = front.server.memory();
            let (writer, reader) = match upward {
                true => (&client, &upstream),
                false => (&upstream, &client),
            };
            let sent = fill(writer, MAX);
            assert!(sent < MAX, "nothing holds it back");
            let grown = front.server.memory().saturating_sub(before);
            assert!(grown < 12 << 20, "{grown} bytes more");
            ping_through(reader, writer);
            writer.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(reader, 0), (sent, End::Fin));
        }
        front.server.stop();
    });
}

/// Sends something one way and sees it arrive.
pub(crate) fn ping_through(mut from: &TcpStream, mut to: &TcpStream) {
    let mut got = [0; 4];
    from.write_all(b"ping").unwrap();
    io::Read::read_exact(&mut to, &mut got).unwrap();
    assert_eq!(&got, b"ping");
}

/// An upstream's reset reaches the client as one.
#[test]
fn an_upstream_s_reset_is_the_client_s() {
    on_both(|poller| {
        let front = Front::new(poller);
        let idle = front.server.sockets();
        for bytes in [0, 1, 100_000] {
            let (client, mut upstream) = front.pair();
            upstream.write_all(&pattern(0, bytes)).unwrap();
            crate::support::expect_pattern(&client, 0, bytes);
            reset(upstream);
            assert_eq!(read_pattern(&client, 0), (0, End::Reset));
        }
        // In mid-reply, with the client behind.
        let (client, upstream) = front.pair();
        fill(&upstream, 64 << 20);
        reset(upstream);
        assert_eq!(read_pattern(&client, 0).1, End::Reset);
        drop(client);
        front.server.until_sockets(idle);
        front.server.stop();
    });
}

/// A client's reset reaches the upstream as one.
#[test]
fn a_client_s_reset_is_the_upstream_s() {
    on_both(|poller| {
        let front = Front::new(poller);
        let idle = front.server.sockets();
        for bytes in [0, 1, 100_000] {
            let (mut client, upstream) = front.pair();
            client.write_all(&pattern(0, bytes)).unwrap();
            crate::support::expect_pattern(&upstream, 0, bytes);
            reset(client);
            assert_eq!(read_pattern(&upstream, 0), (0, End::Reset));
        }
        let (client, upstream) = front.pair();
        fill(&client, 64 << 20);
        reset(client);
        assert_eq!(read_pattern(&upstream, 0).1, End::Reset);
        drop(upstream);
        front.server.until_sockets(idle);
        front.server.stop();
    });
}

/// When one leg is gone, the other ends at once though nobody reads there.
#[test]
fn when_one_leg_breaks_the_other_ends() {
    on_both(|poller| {
        let front = Front::new(poller);
        let idle = front.server.sockets();
        let (client, upstream) = front.pair();
        ping_through(&client, &upstream);
        // The upstream closes with unread input: a reset for who writes to it.
        client.try_clone().unwrap().write_all(b"more").unwrap();
        drop(upstream);
        assert_eq!(read_pattern(&client, 0).0, 0);
        drop(client);
        front.server.until_sockets(idle);
        front.server.stop();
    });
}

/// Connects and is reset at once, perhaps before it has learnt that it is connected.
pub(crate) fn assert_reset(to: SocketAddr) {
    match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(stream) => {
            patient(&stream);
            assert_eq!(read_pattern(&stream, 0), (0, End::Reset));
        }
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}
