//! Signals: how the server stops, and how a stop looks to its clients.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::limits::leave_descriptors;
use crate::support::{
    End, Server, connect, corelane, echo, expect_pattern, fill, listener, now, on_both, patient,
    pattern, ping, proxy, read_pattern, runtime, signal, spawn, until,
};

fn with_grace(poller: &str, lanes: usize, grace: &str) -> String {
    let shutdown = format!("[shutdown]\ngrace = \"{grace}\"\n");
    runtime(poller, lanes) + &shutdown + &echo()
}

/// Waits until the listener refuses connections.
fn until_closed(server: &Server) {
    let address = server.address("echo");
    until("it stops listening", || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
    });
}

#[test]
fn each_signal_to_stop_ends_an_idle_server_well() {
    on_both(|poller| {
        for name in ["TERM", "INT", "QUIT"] {
            let mut server = Server::echo(poller, 2);
            server.signal(name);
            assert_eq!(server.wait(), Some(0));
            let last = server.log.last().unwrap();
            assert!(last.contains("drained"), "{:#?}", server.log);
            let all = server.log.join("\n");
            assert!(all.contains(&format!("SIG{name}")), "{all}");
        }
    });
}

/// At any time, also before the first lane is open.
#[test]
fn a_signal_to_stop_is_obeyed_during_the_start() {
    on_both(|poller| {
        let config = runtime(poller, 2) + &echo();
        for _ in 0..5 {
            let mut server = Server::spawn(corelane(), &config);
            server.await_line("corelane starts");
            server.signal("TERM");
            assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        }
    });
}

/// The server waits for a port in use. A stop during the wait is a stop and no failure.
#[test]
fn a_signal_to_stop_is_obeyed_while_a_port_is_taken() {
    on_both(|poller| {
        let (_taken, address) = listener();
        let bind = format!("[\"{address}\"]");
        let config = runtime(poller, 2) + &echo().replace("\"127.0.0.1:0\"", &bind);
        let is_obeyed = || {
            let mut server = Server::spawn(corelane(), &config);
            server.await_line("waiting for the port");
            server.signal("TERM");
            let code = server.wait();
            let log = server.log.join("\n");
            // The server may have given up before the signal.
            code == Some(0) && log.contains("stopped before the start")
        };
        assert!((0..5).any(|_| is_obeyed()));
    });
}

/// With `grace = 0` an idle server still stops with exit code 0: no session is cut.
#[test]
fn an_idle_server_is_drained_without_grace_too() {
    on_both(|poller| {
        for _ in 0..10 {
            let mut server = Server::start(&with_grace(poller, 2, "0s"));
            server.signal("TERM");
            assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        }
    });
}

/// accept(2) allocates a descriptor before it looks for a connection, so its error does not tell
/// whether a connection is waiting.
#[test]
fn a_stop_without_descriptors_waits_for_nobody() {
    on_both(|poller| {
        let mut server = Server::start(&with_grace(poller, 2, "1h"));
        leave_descriptors(&server, 0);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        let said = server.log.join("\n");
        assert!(!said.contains("cannot accept"), "nobody came: {said}");
    });
}

#[test]
fn live_sessions_finish_and_no_client_is_accepted() {
    on_both(|poller| {
        for lanes in [1, 2] {
            let mut server = Server::echo(poller, lanes);
            let clients: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
            clients.iter().for_each(ping);
            server.signal("TERM");
            server.await_line("stopping");
            until_closed(&server);
            clients.iter().for_each(ping);
            for mut client in &clients {
                client.write_all(&pattern(0, 100_000)).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(read_pattern(client, 0), (100_000, End::Fin));
            }
            assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
            server.assert_calm();
        }
    });
}

/// A client connected before the signal is served, in every state of its connection: the signal
/// comes while clients connect.
#[test]
fn clients_in_the_backlog_at_the_signal_are_served() {
    on_both(|poller| {
        for lanes in [1, 2] {
            for _ in 0..10 {
                let mut server = Server::echo(poller, lanes);
                // A steady load, so that the backlog is not empty.
                let clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
                server.signal("TERM");
                for (own, mut client) in clients.iter().enumerate() {
                    client.write_all(&pattern(own, 1000)).unwrap();
                    client.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(read_pattern(client, own), (1000, End::Fin));
                }
                assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
            }
        }
    });
}

/// As above with a server that is stopped until the signal: all clients wait in the backlog.
#[test]
fn a_whole_backlog_is_served() {
    on_both(|poller| {
        let mut server = Server::echo(poller, 2);
        signal(server.pid(), "STOP");
        let clients: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
        signal(server.pid(), "TERM");
        signal(server.pid(), "CONT");
        for mut client in &clients {
            client.write_all(&pattern(0, 10)).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(client, 0), (10, End::Fin));
        }
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
    });
}

/// Bytes queued for a slow reader are delivered within the grace.
#[test]
fn what_is_under_way_at_the_signal_is_delivered() {
    on_both(|poller| {
        let mut server = Server::echo(poller, 1);
        let client = server.connect();
        let sent = fill(&client, 64 << 20);
        server.signal("TERM");
        server.await_line("stopping");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&client, 0), (sent, End::Fin));
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
    });
}

#[test]
fn sessions_left_when_the_grace_is_over_are_reset() {
    on_both(|poller| {
        for lanes in [1, 2] {
            let mut server = Server::start(&with_grace(poller, lanes, "300ms"));
            let clients: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
            clients.iter().for_each(ping);
            server.signal("TERM");
            for client in &clients {
                assert_eq!(read_pattern(client, 0), (0, End::Reset));
            }
            assert_eq!(server.wait(), Some(0));
            let last = server.log.last().unwrap();
            let expected = "WARN stopped: 3 sessions reset after the grace of 300ms sessions=3";
            assert!(last.ends_with(expected), "{:#?}", server.log);
            let names_oldest = |client: &TcpStream| {
                let client = format!(" client={} ", client.local_addr().unwrap());
                let mut lines = server.log.iter();
                lines.any(|line| line.contains("resetting") && line.contains(&client))
            };
            assert!(names_oldest(&clients[0]), "{:#?}", server.log);
            if lanes == 1 {
                assert!(!names_oldest(&clients[1]), "{:#?}", server.log);
            }
        }
    });
}

#[test]
fn a_second_signal_stops_at_once() {
    on_both(|poller| {
        let mut server = Server::start(&with_grace(poller, 2, "1h"));
        let client = server.connect();
        ping(&client);
        server.signal("TERM");
        server.await_line("stopping");
        ping(&client);
        let begun = now();
        server.hurry("INT");
        assert_eq!(read_pattern(&client, 0), (0, End::Reset));
        assert_eq!(server.wait(), Some(0));
        assert!(now() - begun < Duration::from_secs(10));
        let last = server.log.last().unwrap();
        let expected =
            "WARN stopped: 1 session reset by a second signal sessions=1 signal=\"SIGINT\"";
        assert!(last.ends_with(expected), "{:#?}", server.log);
    });
}

/// GNU timeout sends SIGTERM to the process and to its group. Two signals at once are one request,
/// and no reason to cut sessions.
#[test]
fn two_signals_at_once_count_as_one() {
    on_both(|poller| {
        for _ in 0..5 {
            let mut server = Server::start(&with_grace(poller, 2, "1h"));
            let client = server.connect();
            ping(&client);
            signal(server.pid(), "STOP");
            server.signal("TERM");
            server.signal("INT");
            signal(server.pid(), "CONT");
            server.await_line("stopping already");
            ping(&client);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(&client, 0), (0, End::Fin));
            assert_eq!(server.wait(), Some(0));
            let last = server.log.last().unwrap();
            assert!(last.ends_with("drained"), "{:#?}", server.log);
        }
    });
}

/// The log of a stop states the sessions awaited, the grace, and the signal that ends the wait.
#[test]
fn a_stop_says_how_long_it_waits_and_for_how_many() {
    on_both(|poller| {
        let mut server = Server::start(&with_grace(poller, 2, "3s"));
        let clients: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
        clients.iter().for_each(ping);
        server.signal("TERM");
        let line = server.await_line("stopping");
        assert!(line.contains("sessions=2 grace=3s"), "{line}");
        server.await_line("another signal, in a second or later, resets them");
        let line = server.await_line("sessions=2 left=2s");
        assert!(line.contains("waiting for sessions to end"), "{line}");
        drop(clients);
        assert_eq!(server.wait(), Some(0));
    });
}

#[test]
fn a_hangup_is_survived() {
    on_both(|poller| {
        let mut server = Server::echo(poller, 1);
        let client = server.connect();
        for _ in 0..100 {
            server.signal("HUP");
            ping(&client);
        }
        server.await_line("reloaded");
        ping(&server.connect());
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&client, 0), (0, End::Fin));
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
    });
}

/// The stop finds each lane asleep or awake, over and over, and no lane misses the stop.
#[test]
fn a_busy_server_stops_as_an_idle_one_does() {
    on_both(|poller| {
        for round in 0..10 {
            let mut server = Server::echo(poller, 2);
            let idle = server.connect();
            ping(&idle);
            let address = server.address("echo");
            let client = connect(address);
            let busy = spawn(move || {
                (0..50 + round * 20).for_each(|_| ping(&client));
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(read_pattern(&client, 0), (0, End::Fin));
            });
            let client = connect(address);
            (0..20).for_each(|_| ping(&client));
            drop(client);
            server.signal("TERM");
            busy.join().unwrap();
            idle.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_pattern(&idle, 0), (0, End::Fin));
            assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        }
    });
}

/// A relay, too, may finish: half of its bytes at the signal, the rest afterwards.
#[test]
fn a_relay_finishes_after_the_signal() {
    on_both(|poller| {
        let (upstream, address) = listener();
        let mut server = Server::start(&(runtime(poller, 1) + &proxy(&[address])));
        let mut client = connect(server.address("proxy"));
        let mut upstream = crate::support::accept(&upstream);
        client.write_all(&pattern(0, 10)).unwrap();
        expect_pattern(&upstream, 0, 10);
        server.signal("TERM");
        server.await_line("stopping");
        client.write_all(&pattern(10, 10)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&upstream, 10), (10, End::Fin));
        upstream.write_all(&pattern(0, 1 << 20)).unwrap();
        drop(upstream);
        assert_eq!(read_pattern(&client, 0), (1 << 20, End::Fin));
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
    });
}

/// Connects, asks and hangs up until the connect is refused; returns the number of served clients,
/// and the errors of connected clients that were not served.
fn ask_until_refused(to: SocketAddr) -> (usize, Vec<String>) {
    let (mut served, mut lost) = (0, Vec::new());
    loop {
        // The kernel repeats a dropped SYN after a second.
        let Ok(mut client) = TcpStream::connect_timeout(&to, Duration::from_millis(300)) else {
            return (served, lost);
        };
        patient(&client);
        let mut answer = Vec::new();
        let asked = client.write_all(b"hello").and_then(|()| {
            client.shutdown(Shutdown::Write)?;
            client.read_to_end(&mut answer)
        });
        match asked {
            Ok(_) if answer == b"hello" => served += 1,
            other => lost.push(format!("{other:?} after {answer:?}")),
        }
    }
}

/// A client whose handshake the kernel has completed is served.
#[test]
fn a_stop_loses_no_client_that_was_connected() {
    on_both(|poller| {
        for _ in 0..12 {
            let mut server = Server::echo(poller, 2);
            let address = server.address("echo");
            let asking: Vec<_> = (0..8)
                .map(|_| spawn(move || ask_until_refused(address)))
                .collect();
            let mut first = connect(address);
            first.write_all(b"x").unwrap();
            first.shutdown(Shutdown::Write).unwrap();
            first.read_exact(&mut [0]).unwrap();
            server.signal("TERM");
            assert_eq!(server.wait(), Some(0));
            for asked in asking {
                let (served, lost) = asked.join().unwrap();
                assert!(lost.is_empty(), "{served} served, then {lost:?}");
            }
        }
    });
}
