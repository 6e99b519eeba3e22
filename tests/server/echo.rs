//! The echo service: every byte back, then the FIN; no client disturbs a second client.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::{
    End, Server, connect, echo, echo_all, expect_pattern, fill, on_both, pattern, ping,
    read_pattern, reset, runtime, send_pattern,
};

/// Every size, with the FIN right behind.
#[test]
fn every_size_comes_back_and_then_the_fin() {
    on_both(|poller| {
        let server = Server::echo(poller, 2);
        let mut sizes = vec![0, 1];
        for power in 1..=20 {
            sizes.extend([(1 << power) - 1, 1 << power, (1 << power) + 1]);
        }
        for size in sizes {
            echo_all(&server.connect(), size, size.max(1));
        }
        server.stop();
    });
}

/// Fifty mebibytes, read on arrival.
#[test]
fn fifty_mebibytes_come_back() {
    on_both(|poller| {
        let server = Server::echo(poller, 1);
        echo_all(&server.connect(), 50 << 20, 1 << 20);
        server.stop();
    });
}

/// Bytes in pieces of any size come back complete.
#[test]
fn every_chunking_comes_back() {
    on_both(|poller| {
        let server = Server::echo(poller, 2);
        for (bytes, piece) in [(3000, 1), (20_000, 7), (300_000, 1460), (2 << 20, 65_537)] {
            echo_all(&server.connect(), bytes, piece);
        }
        server.stop();
    });
}

#[test]
fn a_message_goes_there_and_back_many_times_on_one_connection() {
    on_both(|poller| {
        let server = Server::echo(poller, 1);
        let client = server.connect();
        (0..500).for_each(|_| ping(&client));
        drop(client);
        server.stop();
    });
}

#[test]
fn messages_may_be_sent_before_the_answers_to_earlier_ones() {
    on_both(|poller| {
        let server = Server::echo(poller, 2);
        let mut client = server.connect();
        let mut at = 0;
        for depth in [1, 2, 16, 100] {
            for _ in 0..20 {
                for message in 0..depth {
                    client.write_all(&pattern(at + message * 100, 100)).unwrap();
                }
                expect_pattern(&client, at, depth * 100);
                at += depth * 100;
            }
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&client, at), (0, End::Fin));
        server.stop();
    });
}

/// FIN for FIN and never a reset, even for an empty stream.
#[test]
fn a_connection_that_only_ends_gets_a_fin() {
    on_both(|poller| {
        let server = Server::echo(poller, 2);
        for _ in 0..50 {
            let client = server.connect();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(&client, 0), (0, End::Fin));
        }
        server.stop();
    });
}

/// A client that sends and never reads costs a bounded amount of memory and delays no session (I5).
/// When the client reads at last, all bytes arrive.
#[test]
fn clients_that_do_not_read_cost_little_and_lose_nothing() {
    const CLIENTS: usize = 8;
    const MAX: usize = 64 << 20;
    on_both(|poller| {
        let server = Server::echo(poller, 1);
        let warm: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        warm.iter().for_each(ping);
        echo_all(&server.connect(), 1 << 20, 1 << 20);
        let before = server.memory();
        let other = server.connect();
        let sent: Vec<usize> = warm
            .iter()
            .map(|client| {
                // The pattern begins here, without the bytes of the ping.
                let sent = fill(client, MAX);
                ping(&other);
                sent
            })
            .collect();
        assert!(
            sent.iter().all(|&sent| sent < MAX),
            "nothing holds them back: {sent:?}"
        );
        let grown = server.memory().saturating_sub(before);
        // A connection may hold 12 buffers of 20 KiB in each lane's plan, and the kernel delivers
        // 32 at once; the clients sent sixty-four times as much.
        assert!(
            grown < CLIENTS * (1 << 20) + (8 << 20),
            "{grown} bytes more"
        );
        for (client, sent) in warm.iter().zip(sent) {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(client, 0), (sent, End::Fin));
            ping(&other);
        }
        drop(other);
        server.stop();
    });
}

/// A client that resets in the middle ends only its own session.
#[test]
fn a_reset_ends_its_own_session_only() {
    on_both(|poller| {
        let server = Server::echo(poller, 2);
        let idle = server.sockets();
        let others: Vec<_> = (0..10).map(|_| server.connect()).collect();
        for round in 0..20 {
            let mut client = server.connect();
            match round % 4 {
                0 => {}
                1 => client.write_all(&pattern(0, 100)).unwrap(),
                2 => ping(&client),
                _ => _ = fill(&client, 4 << 20),
            }
            reset(client);
            others.iter().for_each(ping);
        }
        for client in others {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(&client, 0), (0, End::Fin));
        }
        server.until_sockets(idle);
        server.stop();
    });
}

/// Clients that send a byte now and then, or nothing, delay no session.
#[test]
fn slow_clients_delay_no_session() {
    on_both(|poller| {
        let server = Server::echo(poller, 1);
        let mut slow: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
        for at in 0..3 {
            for client in slow.iter_mut().step_by(3) {
                client.write_all(&pattern(at, 1)).unwrap();
            }
            echo_all(&server.connect(), 100_000, 5000);
        }
        for client in slow.iter().step_by(3) {
            expect_pattern(client, 0, 3);
        }
        drop(slow);
        server.stop();
    });
}

/// This many connections at once, all used, half of them at a time from a second thread.
fn hold(poller: &str, count: usize) {
    let server = Server::echo(poller, 2);
    let idle = server.sockets();
    let address = server.address("echo");
    let holders: Vec<_> = (0..2)
        .map(|_| {
            crate::support::spawn(move || -> Vec<_> {
                (0..count / 2).map(|_| connect(address)).collect()
            })
        })
        .collect();
    let clients: Vec<TcpStream> = holders
        .into_iter()
        .flat_map(|h| h.join().unwrap())
        .collect();
    for at in 0..3 {
        for (own, mut client) in clients.iter().enumerate() {
            client.write_all(&pattern(own + at * 10, 10)).unwrap();
        }
        for (own, client) in clients.iter().enumerate() {
            expect_pattern(client, own + at * 10, 10);
        }
    }
    assert_eq!(server.sockets(), idle + count / 2 * 2);
    for client in &clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(client, 0), (0, End::Fin));
    }
    drop(clients);
    server.until_sockets(idle);
    server.stop();
}

#[test]
fn two_thousand_connections_at_once() {
    on_both(|poller| hold(poller, 2000));
}

/// Needs 10,000 descriptors in both processes: `ulimit -n`.
#[test]
#[ignore = "takes a while and 10,000 descriptors"]
fn ten_thousand_connections_at_once() {
    on_both(|poller| hold(poller, 10_000));
}

#[test]
fn spinning_before_sleeping_changes_nothing() {
    on_both(|poller| {
        for spin in ["0us", "1ms"] {
            let runtime = runtime(poller, 1);
            let server = Server::start(&format!("{runtime}idle_spin = \"{spin}\"\n{}", echo()));
            let client = server.connect();
            (0..100).for_each(|_| ping(&client));
            let sender = send_pattern(&client, 1 << 20, 10_000);
            assert_eq!(read_pattern(&client, 0), (1 << 20, End::Fin));
            sender.join().unwrap();
            server.stop();
        }
    });
}

/// Clients that close before the accept are skipped, and the listener continues.
#[test]
fn clients_that_reset_in_the_backlog_are_skipped() {
    on_both(|poller| {
        let server = Server::echo(poller, 1);
        let idle = server.sockets();
        for _ in 0..200 {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.connect(&server.address("echo").into()).unwrap();
            drop(socket);
        }
        ping(&server.connect());
        server.until_sockets(idle);
        server.stop();
    });
}

/// Lasting connections opened in sequence are spread evenly over the lanes, whatever the kernel's
/// hash: the hash gave eight to one lane of two.
#[test]
fn each_lane_has_its_share_of_lasting_connections() {
    on_both(|poller| {
        for (lanes, each) in [(2, 4), (3, 3)] {
            let log = "[log]\nlevel = \"debug\"\n";
            let mut server = Server::start(&(runtime(poller, lanes) + log + &echo()));
            let client = |_| {
                let client = server.connect();
                ping(&client);
                client
            };
            let clients: Vec<TcpStream> = (0..lanes * each).map(client).collect();
            drop(clients);
            let mut of_lanes = vec![0; lanes];
            for _ in 0..lanes * each {
                let line = server.await_line(" session listener=");
                let lane = (0..lanes).find(|lane| line.contains(&format!(" lane={lane} ")));
                of_lanes[lane.expect("a record names its lane")] += 1;
            }
            assert_eq!(of_lanes, vec![each; lanes], "{:#?}", server.log);
            server.stop();
        }
    });
}
