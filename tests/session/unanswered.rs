//! Ends whose host stops answering, in a network namespace: the record distinguishes a timeout of
//! the kernel from a reset.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use socket2::{Domain, Socket, Type};

use crate::namespace::in_namespace;
use crate::rig::{Rig, drain};
use crate::support::{End, accept, on_both, patient};

/// The address of the end that stops answering.
const CUT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const KEEPALIVE: &str = "socket.keepalive = { idle = \"1s\", interval = \"1s\", count = 1 }";
const USER_TIMEOUT: &str = "socket.user_timeout = \"1s\"";

#[test]
fn a_silent_client_that_is_gone_has_timed_out() {
    let name = "unanswered::a_silent_client_that_is_gone_has_timed_out";
    in_namespace(name, || {
        on_both(|poller| client_is_gone(poller, KEEPALIVE, b""))
    });
}

#[test]
fn a_client_that_acknowledges_nothing_has_timed_out() {
    let name = "unanswered::a_client_that_acknowledges_nothing_has_timed_out";
    in_namespace(name, || {
        on_both(|poller| client_is_gone(poller, USER_TIMEOUT, b"reply"));
    });
}

#[test]
fn a_silent_upstream_that_is_gone_has_timed_out() {
    let name = "unanswered::a_silent_upstream_that_is_gone_has_timed_out";
    in_namespace(name, || {
        on_both(|poller| upstream_is_gone(poller, KEEPALIVE, b""));
    });
}

#[test]
fn an_upstream_that_acknowledges_nothing_has_timed_out() {
    let name = "unanswered::an_upstream_that_acknowledges_nothing_has_timed_out";
    in_namespace(name, || {
        on_both(|poller| upstream_is_gone(poller, USER_TIMEOUT, b"request"));
    });
}

fn client_is_gone(poller: &str, option: &str, bytes: &[u8]) {
    let mut rig = Rig::with(poller, option, "");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((CUT, 0)).into()).unwrap();
    socket.connect(&rig.address.into()).unwrap();
    rig.expect_session();
    let client = TcpStream::from(socket);
    let mut upstream = accept(&rig.upstream);
    patient(&upstream);
    route("add");
    upstream.write_all(bytes).unwrap();
    assert_timed_out(&mut rig, &client, "client_timeout");
    assert_eq!(drain(&upstream), (0, End::Reset));
    route("del");
    rig.stop();
}

fn upstream_is_gone(poller: &str, option: &str, bytes: &[u8]) {
    let upstream = TcpListener::bind((CUT, 0)).unwrap();
    let endpoint = upstream.local_addr().unwrap();
    let mut rig = Rig::before(poller, &[endpoint], upstream, "", option);
    let (mut client, _upstream) = rig.pair();
    route("add");
    client.write_all(bytes).unwrap();
    assert_timed_out(&mut rig, &client, "upstream_timeout");
    assert_eq!(drain(&client), (0, End::Reset));
    route("del");
    rig.stop();
}

fn assert_timed_out(rig: &mut Rig, client: &TcpStream, ended: &str) {
    rig.record(client.local_addr().unwrap()).assert_ended(ended);
    let is_its = |line: &&String| line.contains(&format!(" ended={ended} "));
    let line = rig.server.log.iter().find(is_its).unwrap();
    let error = std::io::Error::from_raw_os_error(libc::ETIMEDOUT);
    assert!(line.contains(&format!("error={error}")), "{line}");
}

/// Adds or deletes a route into nothing for the packets to [`CUT`].
fn route(change: &str) {
    let cut = CUT.to_string();
    let status = Command::new("ip")
        .args(["route", change, "blackhole", &cut, "table", "local"])
        .status()
        .unwrap();
    assert!(status.success(), "{change} a route to {cut}: {status}");
}
