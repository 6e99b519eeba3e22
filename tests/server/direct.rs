//! Connections in the ring's own table: `runtime.direct_descriptors`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use corelane::poller::direct_descriptors_refusal;

use crate::limits::{free_descriptors, leave_descriptors};
use crate::proxy::AMOUNTS;
use crate::support::{
    End, Server, accept, connect, corelane, echo, echo_all, expect_pattern, listener, pattern,
    ping, pollers, proxy, read_pattern, reset, runtime, send_pattern, until,
};

/// The tables of the process, if its lanes can have so many direct descriptors.
#[expect(clippy::print_stderr, reason = "says which test did not run")]
fn direct(lanes: usize, descriptors: usize) -> Option<String> {
    if !pollers().contains(&"io_uring") {
        return None;
    }
    if let Some(refusal) = direct_descriptors_refusal() {
        eprintln!("not run: {refusal}");
        return None;
    }
    Some(runtime("io_uring", lanes) + &format!("direct_descriptors = {descriptors}\n"))
}

#[test]
fn two_hundred_connections_are_not_among_the_descriptors() {
    let Some(runtime) = direct(2, 150) else {
        return;
    };
    let server = Server::start(&(runtime + &echo()));
    let idle = server.sockets();
    let clients: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
    for round in 0..3 {
        for (own, mut client) in clients.iter().enumerate() {
            client.write_all(&pattern(own + round * 10, 10)).unwrap();
        }
        for (own, client) in clients.iter().enumerate() {
            expect_pattern(client, own + round * 10, 10);
        }
        // The kernel spreads them over two lanes, seldom worse than this.
        let open = server.sockets() - idle;
        assert!(open <= 50, "{open} sockets of 200 have a descriptor");
    }
    for client in &clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(client, 0), (0, End::Fin));
    }
    server.until_sockets(idle);
    server.stop();
}

#[test]
fn who_finds_the_table_full_is_served_all_the_same() {
    let Some(runtime) = direct(1, 10) else {
        return;
    };
    let server = Server::start(&(runtime + &echo()));
    let idle = server.sockets();
    let mut clients: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    clients.iter().for_each(ping);
    assert_eq!(server.sockets(), idle + 50);
    // Places that come free are taken by those that come then.
    for round in 0..5 {
        for client in clients.drain(..10) {
            match round % 2 {
                0 => reset(client),
                _ => drop(client),
            }
        }
        let newer: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
        newer.iter().for_each(ping);
        clients.extend(newer);
        clients.iter().for_each(ping);
    }
    until("places are used again", || server.sockets() <= idle + 50);
    clients
        .iter()
        .for_each(|client| echo_all(client, 3000, 100));
    drop(clients);
    server.until_sockets(idle);
    server.stop();
}

/// Bytes, by both data paths, and both ends' FIN.
#[test]
fn a_proxy_relays_as_ever() {
    let Some(runtime) = direct(2, 100) else {
        return;
    };
    let behind = Server::start(&(runtime.clone() + &echo()));
    let front = Server::start(&(runtime + &proxy(&[behind.address("echo")])));
    let idle = front.sockets();
    for (bytes, piece) in AMOUNTS {
        echo_all(&connect(front.address("proxy")), bytes, piece);
    }
    let pairs: Vec<TcpStream> = (0..40).map(|_| connect(front.address("proxy"))).collect();
    for _ in 0..3 {
        pairs.iter().for_each(ping);
    }
    let open = front.sockets() - idle;
    assert!(open <= 2, "{open} sockets of 80 have a descriptor");
    drop(pairs);
    front.until_sockets(idle);
    front.stop();
    behind.stop();
}

/// A FIN, a reset, and each behind bytes, from either side.
#[test]
fn a_proxy_ends_as_ever() {
    let Some(runtime) = direct(1, 100) else {
        return;
    };
    let (upstreams, address) = listener();
    let server = Server::start(&(runtime + &proxy(&[address])));
    let idle = server.sockets();
    for from_client in [true, false] {
        for bytes in [0, 1000, 300_000] {
            for parked in [true, false] {
                let client = connect(server.address("proxy"));
                let upstream = accept(&upstreams);
                let (one, other) = match from_client {
                    true => (client, upstream),
                    false => (upstream, client),
                };
                if parked {
                    both_ways(&one, &other);
                    assert!(server.sockets() <= idle, "a pair has descriptors");
                }
                ends_as_ever(&one, other, bytes, 10_000);
            }
        }
    }
    server.until_sockets(idle);
    server.stop();
}

/// No descriptor is left, so none can be made of a place in the table: the ends are the same, and
/// bulk goes as messages do.
#[test]
fn without_a_descriptor_ends_are_as_ever() {
    let Some(runtime) = direct(1, 100) else {
        return;
    };
    let (upstreams, address) = listener();
    let server = Server::start(&(runtime + &proxy(&[address])));
    let pairs: Vec<_> = (0..6)
        .map(|_| {
            let client = connect(server.address("proxy"));
            let upstream = accept(&upstreams);
            both_ways(&client, &upstream);
            (client, upstream)
        })
        .collect();
    leave_descriptors(&server, 0);
    for (at, (client, upstream)) in pairs.into_iter().enumerate() {
        let (one, other) = match at % 2 {
            0 => (client, upstream),
            _ => (upstream, client),
        };
        let bytes = [0, 1000, 8 << 20][at / 2];
        ends_as_ever(&one, other, bytes, 1 << 20);
    }
    free_descriptors(&server);
    both_ways(&connect(server.address("proxy")), &accept(&upstreams));
    server.stop();
}

/// One end sends so many bytes and its FIN; the other direction goes on, and is reset then.
fn ends_as_ever(one: &TcpStream, other: TcpStream, bytes: usize, piece: usize) {
    let sender = send_pattern(one, bytes, piece);
    assert_eq!(read_pattern(&other, 0), (bytes, End::Fin));
    sender.join().unwrap();
    (&other).write_all(&pattern(0, 100)).unwrap();
    expect_pattern(one, 0, 100);
    reset(other);
    assert_eq!(read_pattern(one, 0), (0, End::Reset));
}

fn both_ways(one: &TcpStream, other: &TcpStream) {
    for (mut from, mut to) in [(one, other), (other, one)] {
        from.write_all(b"ping").unwrap();
        let mut got = [0; 4];
        to.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ping");
    }
}

/// The grace period's end finds them: they are reset, and not told that all was said.
#[test]
fn a_drain_finds_those_without_a_descriptor() {
    let Some(runtime) = direct(2, 100) else {
        return;
    };
    let config = runtime + "[shutdown]\ngrace = \"0s\"\n" + &echo();
    let mut server = Server::start(&config);
    let clients: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
    clients.iter().for_each(ping);
    server.signal("TERM");
    for client in &clients {
        assert_eq!(read_pattern(client, 0), (0, End::Reset));
    }
    assert_eq!(server.wait(), Some(1));
    server.assert_calm();
    let config = config.replace("0s", "20s");
    let mut server = Server::start(&config);
    let client = server.connect();
    ping(&client);
    server.signal("TERM");
    server.await_line("stopping");
    echo_all(&client, 100_000, 1000);
    assert_eq!(server.wait(), Some(0));
    server.assert_calm();
}

/// The limit on the process's descriptors is far below what its lanes hold.
#[test]
fn lanes_hold_more_than_the_process_may_open() {
    if direct(1, 1).is_none() {
        return;
    }
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 200; exec \"$@\"", "sh"]);
    limited.arg(env!("CARGO_BIN_EXE_corelane"));
    let config =
        runtime("io_uring", 3) + "direct_descriptors = 200\nmax_sessions = 600\n" + &echo();
    let mut server = Server::spawn(limited, &config);
    server.await_line("ready");
    let clients: Vec<TcpStream> = (0..450)
        .map(|_| {
            let client = server.connect();
            ping(&client);
            client
        })
        .collect();
    clients.iter().for_each(ping);
    assert!(server.sockets() < 150, "{} sockets", server.sockets());
    for client in &clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(client, 0), (0, End::Fin));
    }
    server.stop();
}

#[test]
fn what_cannot_be_is_said_with_its_remedy() {
    let fails = |runtime: &str| {
        let config = format!("[runtime]\n{runtime}\n{}", echo());
        let mut server = Server::spawn(corelane(), &config);
        assert_eq!(server.wait(), Some(2), "{:#?}", server.log);
        server.log.join("\n")
    };
    let said = fails("poller = \"epoll\"\ndirect_descriptors = 100");
    assert!(
        said.contains(
            "runtime.direct_descriptors = 100: only io_uring has them, and the poller is epoll \
             (configured); write 0"
        ),
        "{said}"
    );
    if direct(1, 1).is_none() {
        return;
    }
    let said = fails("poller = \"io_uring\"\ndirect_descriptors = 1048576");
    let limit = corelane::sys::file_limit().unwrap();
    let expected = format!(
        "runtime.direct_descriptors = 1048576: the limit of {limit} descriptors is that of a \
         ring's table, too; raise it (LimitNOFILE, ulimit -n), or write 0 to {limit}"
    );
    assert!(said.contains(&expected) || limit >= 1 << 20, "{said}");
    let said =
        fails("poller = \"io_uring\"\nlanes = 2\ndirect_descriptors = 7\nmax_sessions = 99999999");
    let expected = format!(
        "runtime.max_sessions = 99999999: the limit of {limit} descriptors and 2 times 7 direct \
         ones allow "
    );
    assert!(said.contains(&expected), "{said}");
}
