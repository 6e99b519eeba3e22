//! Where a listener accepts: ranges of ports, ports alone, addresses that are not there yet.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process;

use crate::support::{
    Server, connect, corelane, echo, holder, on_both, ping, pollers, proxy, runtime,
};

fn echo_on(bind: &str) -> String {
    echo().replace("\"127.0.0.1:0\"", bind)
}

/// Adjacent ports of this machine that were free a moment ago, below the ephemeral ports. The first
/// is held, so that no other test takes the range.
fn adjacent(count: u16) -> (TcpListener, u16) {
    let held = (10_000..32_000).step_by(16).find_map(|first| {
        let held = TcpListener::bind(("127.0.0.1", first)).ok()?;
        let mut rest = first + 1..=first + count;
        let is_free = rest.all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok());
        is_free.then_some((held, first))
    });
    held.expect("a free range")
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn a_range_accepts_on_all_of_its_ports() {
    on_both(|poller| {
        let (_held, before) = adjacent(3);
        let (first, last) = (before + 1, before + 3);
        let config = runtime(poller, 2) + &echo_on(&format!("\"127.0.0.1:{first}-{last}\""));
        let server = Server::start(&config);
        for port in first..=last {
            ping(&connect((Ipv4Addr::LOCALHOST, port).into()));
        }
        // One line for all of them.
        let line = format!("listening name=\"echo\" address=127.0.0.1:{first}-{last} ");
        let lines = server.log.iter().filter(|line| line.contains("listening"));
        let lines: Vec<_> = lines.collect();
        assert!(lines.len() == 1 && lines[0].contains(&line), "{lines:?}");
        server.stop();
    });
}

#[test]
fn a_port_alone_accepts_on_every_address() {
    on_both(|poller| {
        let (_held, before) = adjacent(1);
        let port = before + 1;
        let server = Server::start(&(runtime(poller, 1) + &echo_on(&port.to_string())));
        ping(&connect((Ipv4Addr::new(127, 0, 0, 9), port).into()));
        let mut expected = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
        if has_ipv6() {
            ping(&connect((Ipv6Addr::LOCALHOST, port).into()));
            expected.push((Ipv6Addr::UNSPECIFIED, port).into());
        }
        assert_eq!(server.addresses("echo"), expected);
        server.stop();
    });
}

#[test]
fn the_port_of_a_range_that_is_taken_is_named() {
    let (_held, before) = adjacent(2);
    let (first, taken) = (before + 1, before + 2);
    let _taken = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let bind = format!("\"127.0.0.1:{first}-{taken}\"");
    let config = runtime(pollers()[0], 1) + &echo_on(&bind);
    let mut server = Server::spawn(corelane(), &config);
    assert_eq!(server.wait(), Some(1));
    let expected = format!(
        "listener[0].bind = {bind}: 127.0.0.1:{taken}: {} listens there already; stop it, or \
         choose another address",
        holder(process::id())
    );
    let last = server.log.last().unwrap();
    assert!(last.ends_with(&expected), "{last}");
}

/// The address of VRRP, on the machine that does not hold it.
#[test]
fn a_listener_may_wait_for_an_address() {
    let mut documentation = vec!["192.0.2.1:0"];
    if has_ipv6() {
        documentation.push("[2001:db8::1]:0");
    }
    for address in documentation {
        let lines = format!("\"{address}\"");
        // A proxy, so that the options of listeners and upstreams are both in use.
        let config = proxy(&["127.0.0.1:9".parse().unwrap()]).replace("\"127.0.0.1:0\"", &lines);
        let mut refused = Server::spawn(corelane(), &config);
        assert_eq!(refused.wait(), Some(2), "{:#?}", refused.log);
        let freely = format!("{lines}\nsocket.freebind = true");
        let server = Server::start(&config.replace(&lines, &freely));
        let bound = server.address("proxy");
        assert_eq!(bound.ip(), address.parse::<SocketAddr>().unwrap().ip());
        server.stop();
    }
}
