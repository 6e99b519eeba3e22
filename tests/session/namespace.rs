//! Local ports, in a network namespace of the test's own: the test program runs itself again inside
//! `unshare -n`, which needs root. Without root the tests report that they did not run.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

use crate::rig::{Rig, drain};
use crate::support::{End, PATIENCE, accept, on_both, pause};

/// Set for the run inside.
const INSIDE: &str = "CORELANE_TEST_NAMESPACE";
/// The local ports available to connects inside.
const PORT_RANGE: &str = "40000 40099";
const PORTS: usize = 100;

/// Runs a test inside a namespace with that port range; `name` is the test's path.
#[expect(clippy::print_stderr, reason = "says that a test did not run, and why")]
pub(crate) fn in_namespace(name: &str, test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        narrow(PORT_RANGE);
        return test();
    }
    let up = "ip link set lo up && test -w /proc/sys/net/ipv4/ip_local_port_range";
    let possible = Command::new("unshare")
        .args(["-n", "sh", "-c", up])
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("{name} not run: it takes root, unshare(1) and ip(8)");
        return;
    }
    let status = Command::new("unshare")
        .args(["-n", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "inside the namespace: {status}");
}

/// A client with a fixed port outside the range: a port bound to any address is not available to
/// connects.
fn client(rig: &mut Rig) -> TcpStream {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, NEXT.fetch_add(1, Ordering::Relaxed)));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    // The reset may arrive before the connect returns; later checks notice it.
    drop(socket.connect(&rig.address.into()));
    rig.expect_session();
    let client = TcpStream::from(socket);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Opens and keeps this many sessions; returns the served ones, and how the rest ended.
fn open(rig: &mut Rig, count: usize) -> (Vec<(TcpStream, TcpStream)>, Vec<String>) {
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut client = client(rig);
        // The connection may be reset already.
        drop(client.write_all(b"x"));
        rig.upstream.set_nonblocking(true).unwrap();
        loop {
            if let Ok((mut upstream, _)) = rig.upstream.accept() {
                upstream.set_nonblocking(false).unwrap();
                upstream.read_exact(&mut [0]).unwrap();
                served.push((client, upstream));
                break;
            }
            client.set_nonblocking(true).unwrap();
            let ended = client.peek(&mut [0]);
            client.set_nonblocking(false).unwrap();
            if ended.is_ok() || ended.is_err_and(|e| e.kind() != ErrorKind::WouldBlock) {
                let record = rig.record(client.local_addr().unwrap());
                refused.push(record.ended().to_owned());
                break;
            }
            pause();
        }
    }
    (served, refused)
}

/// A lack of local ports is this machine's failure, not the endpoint's: sessions with a port
/// continue, the rest is reset and recorded as such, until ports are free again.
#[test]
fn no_port_left_is_no_fault_of_the_endpoint() {
    let name = "namespace::no_port_left_is_no_fault_of_the_endpoint";
    in_namespace(name, || {
        on_both(|poller| {
            let upstream = listener_outside_the_range();
            let endpoint = upstream.local_addr().unwrap();
            let mut rig = Rig::before(poller, &[endpoint], upstream, "", "");
            let (served, refused) = open(&mut rig, 2 * PORTS);
            assert!(served.len() >= PORTS - 5, "{} served", served.len());
            assert_eq!(served.len() + refused.len(), 2 * PORTS);
            assert!(
                refused.iter().all(|word| word == "local_resources"),
                "{refused:?}"
            );
            let warned = |line: &&String| line.contains("WARN") && line.contains("local_resources");
            let warnings = rig.server.log.iter().filter(warned).count();
            assert!((1..10).contains(&warnings), "{:#?}", rig.server.log);
            // The upstream ends first, so the proxy's ports are free at once.
            for (client, upstream) in served {
                drop(upstream);
                assert_eq!(drain(&client), (0, End::Fin));
            }
            let (served, refused) = open(&mut rig, 10);
            assert_eq!((served.len(), refused), (10, Vec::new()));
            drop(served);
            rig.stop();
        });
    });
}

/// With a pool of source addresses each address has the whole range.
#[test]
fn a_pool_of_sources_has_more_ports() {
    let name = "namespace::a_pool_of_sources_has_more_ports";
    in_namespace(name, || {
        on_both(|poller| {
            let upstream = listener_outside_the_range();
            let endpoint = upstream.local_addr().unwrap();
            let source = "source = [\"127.0.0.11\", \"127.0.0.12\", \"127.0.0.13\"]";
            let mut rig = Rig::before(poller, &[endpoint], upstream, "", source);
            let (served, refused) = open(&mut rig, 2 * PORTS + PORTS / 2);
            assert_eq!((served.len(), refused), (2 * PORTS + PORTS / 2, Vec::new()));
            for address in ["127.0.0.11", "127.0.0.12", "127.0.0.13"] {
                let its = |(_, upstream): &&(TcpStream, TcpStream)| {
                    upstream.peer_addr().unwrap().ip().to_string() == address
                };
                assert!(served.iter().filter(its).count() > PORTS / 2, "{address}");
            }
            for (client, upstream) in served {
                drop(upstream);
                assert_eq!(drain(&client), (0, End::Fin));
            }
            rig.stop();
        });
    });
}

/// Ports are reused: many more sessions than ports, in sequence.
#[test]
fn every_port_comes_back() {
    let name = "namespace::every_port_comes_back";
    in_namespace(name, || {
        on_both(|poller| {
            let upstream = listener_outside_the_range();
            let endpoint = upstream.local_addr().unwrap();
            let mut rig = Rig::before(poller, &[endpoint], upstream, "", "tries = 1");
            for round in 0..10 * PORTS {
                let client = client(&mut rig);
                let upstream = accept(&rig.upstream);
                drop(upstream);
                assert_eq!(drain(&client), (0, End::Fin), "round {round}");
            }
            rig.stop();
        });
    });
}

/// A connect to a closed port of the range may connect to itself, and would echo the client's
/// bytes. It counts as refused.
#[test]
fn a_connect_that_meets_itself_is_refused() {
    let name = "namespace::a_connect_that_meets_itself_is_refused";
    in_namespace(name, || {
        on_both(|poller| {
            for port in [40_000, 40_001_u16] {
                let dead = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into();
                let unused = listener_outside_the_range();
                // The proxy's own listener must not take a port of the range.
                narrow("40002 40099");
                let mut rig = Rig::before(poller, &[dead], unused, "", "tries = 1");
                narrow("40000 40001");
                for _ in 0..10 {
                    let mut client = client(&mut rig);
                    let from = client.local_addr().unwrap();
                    // A failed send has consumed the reset, and no read reports it again.
                    if client.write_all(b"who is there").is_ok() {
                        assert_eq!(drain(&client), (0, End::Reset));
                    }
                    rig.record(from).assert_ended("connect_refused");
                }
                rig.stop();
                narrow(PORT_RANGE);
            }
        });
    });
}

/// Sets the port range of the namespace.
fn narrow(range: &str) {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
}

/// A listener outside the port range.
fn listener_outside_the_range() -> TcpListener {
    (30_000..31_000)
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .unwrap()
}
