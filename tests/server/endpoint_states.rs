//! The administrative states of endpoints: an operator drains an endpoint, takes it into
//! maintenance, and makes it ready again.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use crate::proxy::ping_through;
use crate::removed::{Operated, is_reset};
use crate::support::{connect, listener, now, on_both, patient, proxy, until};

/// A line for each session.
const LOG: &str = "[log]\nlevel = \"debug\"\n";

/// A proxy to endpoints of the test's own, with a control socket.
struct Operating {
    one: Operated,
    endpoints: Vec<(TcpListener, SocketAddr)>,
}

/// Both ends of a proxied connection.
type Pair = (TcpStream, TcpStream);

impl Operating {
    fn start(poller: &str, count: usize) -> Self {
        let endpoints: Vec<_> = (0..count).map(|_| listener()).collect();
        for (listener, _) in &endpoints {
            listener.set_nonblocking(true).unwrap();
        }
        let text = Self::text(&endpoints, &[]);
        let one = Operated::start(poller, &(LOG.to_owned() + &text));
        Self { one, endpoints }
    }

    /// The proxy, without the endpoints of these indices.
    fn text(endpoints: &[(TcpListener, SocketAddr)], without: &[usize]) -> String {
        let kept = endpoints.iter().enumerate();
        let kept = kept.filter(|(index, _)| !without.contains(index));
        proxy(&kept.map(|(_, (_, at))| *at).collect::<Vec<_>>())
    }

    fn reload(&self, without: &[usize], more: &str) {
        let text = Self::text(&self.endpoints, without);
        self.one.write(&(LOG.to_owned() + &text + more));
        assert_eq!(self.one.json("reload")["changed"], true);
    }

    fn set(&self, endpoint: usize, state: &str) -> Value {
        let at = self.endpoints[endpoint].1;
        self.one.json(&format!("ctl endpoint up {at} {state}"))
    }

    /// Connects once more; returns the index of the endpoint and both ends.
    fn next(&self) -> (usize, Pair) {
        let client = connect(self.one.server.address("proxy"));
        let mut came = None;
        until("it comes to an endpoint", || {
            let taken =
                |(index, (of, _)): (usize, &(TcpListener, _))| Some((index, of.accept().ok()?.0));
            came = self.endpoints.iter().enumerate().find_map(taken);
            came.is_some()
        });
        let (index, end) = came.unwrap();
        end.set_nonblocking(false).unwrap();
        patient(&end);
        (index, (client, end))
    }

    /// Connects, and is reset.
    fn expect_reset(&self) {
        match TcpStream::connect(self.one.server.address("proxy")) {
            Ok(client) => {
                patient(&client);
                assert!(is_reset(&client));
            }
            // The reset came first.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    /// The endpoints of so many sessions, one after the other; their clients leave.
    fn indices(&self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.next().0).collect()
    }

    /// The administrative states of the endpoints, as the server shows them.
    fn states(&self) -> Vec<String> {
        let upstreams = self.one.json("ctl upstreams");
        let endpoints = upstreams[0]["endpoints"].as_array().unwrap();
        let state = |one: &Value| one["admin_state"].as_str().unwrap().to_owned();
        endpoints.iter().map(state).collect()
    }

    /// The number of sessions that the server shows for an endpoint.
    fn sessions(&self, endpoint: usize) -> u64 {
        let at = self.endpoints[endpoint].1;
        let one = self.one.json(&format!("ctl endpoint up {at}"));
        one["sessions"].as_u64().unwrap()
    }
}

fn ping(pairs: &[Pair]) {
    for (client, end) in pairs {
        ping_through(client, end);
    }
}

#[test]
fn a_drained_endpoint_keeps_its_sessions_and_gets_no_more() {
    on_both(|poller| {
        let mut of = Operating::start(poller, 3);
        let (indices, lasting): (Vec<_>, Vec<_>) = (0..3).map(|_| of.next()).unzip();
        assert_eq!(indices, [0, 1, 2]);
        let changed = of.set(1, "drain");
        assert_eq!(changed["admin_state"], "drain");
        assert_eq!(
            (&changed["sessions"], &changed["ending"]),
            (&1.into(), &0.into())
        );
        of.one.server.await_line("told by the control socket");
        let line = of
            .one
            .server
            .await_line("an operator has changed an endpoint");
        for word in ["upstream=\"up\"", "state=\"drain\"", "sessions=1"] {
            assert!(line.contains(word), "{line}");
        }
        assert_eq!(of.indices(6), [0, 2, 0, 2, 0, 2], "the rest has even turns");
        ping(&lasting);
        of.set(0, "drain");
        assert_eq!(of.indices(3), [2, 2, 2]);
        of.set(0, "ready");
        of.set(1, "ready");
        // Both are due at once, and then all in turn.
        let mut indices = of.indices(8);
        indices.sort_unstable();
        assert_eq!(indices, [0, 0, 0, 1, 1, 1, 2, 2]);
        ping(&lasting);
        drop(lasting);
        of.one.server.stop();
    });
}

#[test]
fn maintenance_ends_the_sessions_of_the_endpoint_alone() {
    on_both(|poller| {
        let mut of = Operating::start(poller, 2);
        let pairs: Vec<Pair> = (0..8).map(|_| of.next().1).collect();
        let (gone, kept): (Vec<_>, Vec<_>) = pairs
            .into_iter()
            .enumerate()
            .partition(|(index, _)| index % 2 == 1);
        until("all are counted", || of.sessions(1) == 4);
        let changed = of.set(1, "maintenance");
        assert_eq!(changed["ending"], 4, "{changed}");
        for (_, (client, end)) in &gone {
            assert!(is_reset(client) && is_reset(end));
        }
        for _ in &gone {
            let line = of.one.server.await_line("ended=operator");
            assert!(line.contains(&of.endpoints[1].1.to_string()), "{line}");
        }
        let kept: Vec<Pair> = kept.into_iter().map(|(_, pair)| pair).collect();
        ping(&kept);
        assert_eq!(of.indices(3), [0, 0, 0]);
        // Over a time: the other one.
        of.set(1, "ready");
        until("the short sessions have ended", || of.sessions(0) == 4);
        let begun = now();
        let changed = of.set(0, "maintenance --over 300ms");
        assert_eq!(changed["ending"], 4, "{changed}");
        assert!(kept.iter().all(|(client, _)| is_reset(client)));
        assert!(begun.elapsed().as_millis() >= 225, "a part each: {begun:?}");
        assert_eq!(of.indices(2), [1, 1]);
        let text = of
            .one
            .told(&format!("ctl endpoint up {}", of.endpoints[0].1));
        assert!(
            text.contains(" of up: maintenance, answering, 0 sessions"),
            "{text}"
        );
        of.one.server.stop();
    });
}

#[test]
fn without_a_ready_endpoint_a_session_ends_at_once() {
    on_both(|poller| {
        let mut of = Operating::start(poller, 2);
        let lasting = of.next().1;
        of.set(0, "drain");
        of.set(1, "maintenance");
        let begun = now();
        for _ in 0..20 {
            of.expect_reset();
        }
        let line = of.one.server.await_line("cannot connect");
        assert!(line.contains("cause=no_endpoint times=1"), "{line}");
        for _ in 1..20 {
            of.one.server.await_line("ended=no_endpoint");
        }
        let lines = of.one.server.log.iter();
        let lines = lines.filter(|line| line.contains("cannot connect")).count();
        assert!(lines as u64 <= 1 + begun.elapsed().as_secs(), "{lines}");
        ping(&[lasting]);
        of.set(1, "ready");
        assert_eq!(of.indices(2), [1, 1]);
        of.one.server.stop();
    });
}

/// A refused connect is tried again at endpoints that are ready, and at no other.
#[test]
fn a_retry_passes_over_endpoints_that_are_not_ready() {
    on_both(|poller| {
        let mut of = Operating::start(poller, 3);
        of.set(1, "drain");
        // Refuses from now on.
        let (_, dead) = std::mem::replace(&mut of.endpoints[0], listener());
        of.endpoints[0].0.set_nonblocking(true).unwrap();
        assert_eq!(of.indices(4), [2; 4]);
        let line = of.one.server.await_line("cannot connect");
        assert!(line.contains(&dead.to_string()), "{line}");
        let at = of.endpoints[2].1;
        of.one.told(&format!("ctl endpoint up {at} drain"));
        of.expect_reset();
        of.one.server.await_line("ended=connect_refused");
        of.one.server.stop();
    });
}

/// Without any session: the state is the endpoint's, and not that of a session.
#[test]
fn a_state_outlasts_reloads_until_the_endpoint_is_removed() {
    on_both(|poller| {
        let mut of = Operating::start(poller, 3);
        of.set(0, "drain");
        of.set(1, "maintenance");
        of.reload(&[], "tries = 2\n");
        assert_eq!(of.states(), ["drain", "maintenance", "ready"]);
        assert_eq!(of.indices(3), [2, 2, 2]);
        // A session of an earlier configuration keeps the removed endpoint alive.
        of.set(0, "ready");
        of.set(2, "drain");
        let (index, lasting) = of.next();
        assert_eq!(index, 0);
        of.set(0, "drain");
        of.reload(&[0], "");
        assert_eq!(of.states(), ["maintenance", "drain"]);
        of.reload(&[], "");
        assert_eq!(of.states(), ["ready", "maintenance", "drain"]);
        assert_eq!(of.indices(2), [0, 0]);
        ping(&[lasting]);
        of.one.server.signal("TERM");
        assert_eq!(of.one.server.wait(), Some(0));
    });
}

/// The weight by the operator stays until the file has another one.
#[test]
fn a_weight_is_changed_live_and_outlasts_reloads() {
    on_both(|poller| {
        let mut of = Operating::start(poller, 2);
        let changed = of.set(1, "--weight 3");
        assert_eq!(
            (&changed["weight"], &changed["admin_state"]),
            (&3.into(), &"ready".into())
        );
        let heavy = |of: &Operating| of.indices(8).iter().filter(|at| **at == 1).count();
        assert!((5..=7).contains(&heavy(&of)));
        of.reload(&[], "tries = 2\n");
        assert!((5..=7).contains(&heavy(&of)));
        let changed = of.set(0, "--weight 0");
        assert_eq!(
            (&changed["weight"], &changed["admin_state"]),
            (&0.into(), &"drain".into())
        );
        assert_eq!(of.indices(3), [1; 3]);
        let changed = of.set(1, "drain --weight 1");
        assert_eq!(changed["admin_state"], "drain");
        of.expect_reset();
        of.one.server.await_line("cause=no_endpoint");
        of.set(0, "ready --weight 256");
        assert_eq!(of.indices(3), [0; 3]);
        of.one.server.stop();
    });
}

#[test]
fn unknown_names_are_told_with_what_was_meant() {
    let of = Operating::start("auto", 2);
    let at = of.endpoints[0].1;
    let near = format!("{at}0");
    for (arguments, part) in [
        (
            format!("upp {at}"),
            "no upstream \"upp\"; did you mean \"up\"?".to_owned(),
        ),
        (
            format!("upp {at} drain"),
            "no upstream \"upp\"; did you mean \"up\"?".to_owned(),
        ),
        (format!("up {near}"), format!("did you mean \"{at}\"?")),
        (
            "up 127.0.0.9:9 drain".to_owned(),
            "has no endpoint \"127.0.0.9:9\"; ".to_owned(),
        ),
        ("up host:9 drain".to_owned(), "write IP:PORT".to_owned()),
        (
            format!("up {at} drain --over 5m"),
            "leave it out".to_owned(),
        ),
    ] {
        let output = of.one.run(&format!("ctl endpoint {arguments}"));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {error}");
        assert!(error.contains(&part), "{arguments}: {error}");
    }
    let output = of.one.run(&format!("ctl endpoint up {at} down"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("ready, drain, maintenance"), "{error}");
    assert_eq!(of.states(), ["ready", "ready"]);
}
