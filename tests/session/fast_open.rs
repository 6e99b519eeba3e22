//! An upstream with fast open and a known cookie: the kernel delays the SYN until there are bytes
//! to send, so earlier calls on the socket fail.
//!
//! In a namespace, where fast open can be switched on.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::namespace::in_namespace;
use crate::rig::{Rig, drain};
use crate::support::{End, accept, listener, on_both, pattern, reset};

/// For clients, for servers, and for listeners without the socket option.
const ALL: &str = "1027";
const FAST_OPEN: &str = "socket.fast_open = true";

/// Runs a test with a proxy that has the cookie of 127.0.0.1.
fn with_a_cookie(name: &str, test: impl Fn(&mut Rig, &str)) {
    in_namespace(name, || {
        fs::write("/proc/sys/net/ipv4/tcp_fastopen", ALL).unwrap();
        on_both(|poller| {
            let mut rig = Rig::with(poller, "", FAST_OPEN);
            while with_the_syn() == 0 {
                ask(&mut rig);
            }
            test(&mut rig, poller);
            rig.stop();
        });
    });
}

/// Sends bytes there and back.
fn ask(rig: &mut Rig) {
    let mut client = rig.client();
    client.write_all(b"ping").unwrap();
    let mut upstream = accept(&rig.upstream);
    upstream.read_exact(&mut [0; 4]).unwrap();
    upstream.write_all(b"pong").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}

/// Number of SYNs with accepted bytes in this namespace.
fn with_the_syn() -> u64 {
    let all = fs::read_to_string("/proc/net/netstat").unwrap();
    let lines = all.lines().filter(|line| line.starts_with("TcpExt:"));
    let columns: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    let at = columns[0]
        .iter()
        .position(|name| *name == "TCPFastOpenActive");
    columns[1][at.unwrap()].parse().unwrap()
}

/// The FIN of a silent client reached a connection without a SYN: the client was reset, and the
/// upstream blamed. (envoyproxy/envoy#42006.)
#[test]
fn a_client_that_ends_without_a_byte_is_connected() {
    let name = "fast_open::a_client_that_ends_without_a_byte_is_connected";
    with_a_cookie(name, |rig, _| {
        let client = rig.client();
        client.shutdown(Shutdown::Write).unwrap();
        let mut upstream = accept(&rig.upstream);
        assert_eq!(drain(&upstream), (0, End::Fin));
        upstream.write_all(&pattern(0, 1000)).unwrap();
        drop(upstream);
        assert_eq!(drain(&client), (1000, End::Fin));
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("client_fin");
    });
}

/// A client that waits for a greeting waited without end: no bytes from the client, no SYN.
#[test]
fn an_upstream_that_speaks_first_is_connected_to() {
    let name = "fast_open::an_upstream_that_speaks_first_is_connected_to";
    with_a_cookie(name, |rig, _| {
        let mut client = rig.client();
        let mut upstream = accept(&rig.upstream);
        upstream.write_all(b"220 ").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
    });
}

/// The first bytes go with the SYN. The FIN right behind them would undo a pending connect, so it
/// waits for the handshake.
#[test]
fn a_request_and_its_end_arrive_whole() {
    let name = "fast_open::a_request_and_its_end_arrive_whole";
    with_a_cookie(name, |rig, _| {
        for bytes in [1, 1000, 1_000_000] {
            // On a busy machine the client's bytes may come when corelane waits no longer.
            let goes_with_the_syn = |_| {
                let before = with_the_syn();
                send_a_request_and_its_end(rig, bytes);
                with_the_syn() > before
            };
            let is_seen = (0..50).any(goes_with_the_syn);
            assert!(is_seen, "{bytes} bytes went behind the SYN, fifty times");
        }
    });
}

fn send_a_request_and_its_end(rig: &mut Rig, bytes: usize) {
    let client = rig.client();
    let address = client.local_addr().unwrap();
    let sender = crate::support::send_pattern(&client, bytes, bytes);
    let mut upstream = accept(&rig.upstream);
    assert_eq!(drain(&upstream), (bytes, End::Fin));
    sender.join().unwrap();
    upstream.write_all(&pattern(0, 1000)).unwrap();
    drop(upstream);
    assert_eq!(drain(&client), (1000, End::Fin));
    drop(client);
    let record = rig.record(address);
    record.assert_ended("client_fin");
    record.assert_bytes(bytes, 1000);
}

/// A dead endpoint counted as connected. Now the next endpoint is tried, with the bytes of the
/// first SYN.
#[test]
fn an_endpoint_that_refuses_is_passed_over() {
    let name = "fast_open::an_endpoint_that_refuses_is_passed_over";
    with_a_cookie(name, |_, poller| {
        let dead = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        dead.bind(&any.into()).unwrap();
        let refuses = dead.local_addr().unwrap().as_socket().unwrap();
        let (live, answers): (TcpListener, _) = listener();
        let mut rig = Rig::before(poller, &[refuses, answers], live, "", FAST_OPEN);
        // The second try uses the second turn, so the next session begins with the dead endpoint.
        for _ in 0..2 {
            let mut client: TcpStream = rig.client();
            let address = client.local_addr().unwrap();
            client.write_all(&pattern(0, 100)).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let upstream = accept(&rig.upstream);
            assert_eq!(drain(&upstream), (100, End::Fin));
            drop(upstream);
            assert_eq!(drain(&client), (0, End::Fin));
            drop(client);
            let record = rig.record(address);
            record.assert_ended("client_fin");
            record.assert_bytes(100, 0);
            assert_eq!(record.number("tries"), 2, "{record:?}");
        }
        rig.stop();
    });
}

/// Bytes before a client's reset arrive, whenever the reset comes.
#[test]
fn bytes_before_a_reset_arrive() {
    let name = "fast_open::bytes_before_a_reset_arrive";
    with_a_cookie(name, |rig, _| {
        let mut client = rig.client();
        client.write_all(&pattern(0, 100)).unwrap();
        let upstream = accept(&rig.upstream);
        reset(client);
        assert_eq!(drain(&upstream), (100, End::Reset));
    });
}
