//! Health checks of a running server against small servers of the test's own.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use serde_json::Value;

use crate::removed::{Operated, is_reset};
use crate::support::{
    Server, accept, listener, on_both, patient, pollers, proxy, runtime, spawn, until,
};

/// Fast checks.
pub(crate) const FAST: &str = "health.interval = '100ms'\nhealth.fast_interval = '100ms'\n";

/// A server that answers PING as Redis does, and all other bytes with its number.
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    pub(crate) serves: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
}

impl Redis {
    pub(crate) fn start(number: u8) -> Self {
        let (listener, address) = listener();
        let (serves, checks) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let of = Self {
            address,
            serves: Arc::clone(&serves),
            checks: Arc::clone(&checks),
        };
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serves, checks) = (Arc::clone(&serves), Arc::clone(&checks));
                spawn(move || answer(stream, number, &serves, &checks));
            }
        });
        of
    }

    /// Waits until the server has answered so many checks more.
    fn await_checks(&self, count: usize) {
        let wanted = self.checks.load(SeqCst) + count;
        until("the checks come", || self.checks.load(SeqCst) >= wanted);
    }
}

fn answer(mut stream: TcpStream, number: u8, serves: &AtomicBool, checks: &AtomicUsize) {
    let mut bytes = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        let answer = match (bytes[..read].starts_with(b"*1\r\n"), serves.load(SeqCst)) {
            (false, _) => vec![number],
            (true, true) => b"+PONG\r\n".to_vec(),
            (true, false) => b"-LOADING Redis is loading\r\n".to_vec(),
        };
        if answer.len() > 1 {
            checks.fetch_add(1, SeqCst);
        }
        _ = stream.write_all(&answer);
    }
}

/// The number of the server behind a new session; `None` for a reset.
pub(crate) fn ask(at: SocketAddr) -> Option<u8> {
    let mut client = TcpStream::connect(at).ok()?;
    patient(&client);
    client.write_all(b"who").ok()?;
    let mut number = [0];
    client.read_exact(&mut number).ok()?;
    Some(number[0])
}

fn numbers(at: SocketAddr, sessions: usize) -> Vec<Option<u8>> {
    let mut all: Vec<_> = (0..sessions).map(|_| ask(at)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The endpoint of this index, as the server shows it.
pub(crate) fn endpoint(of: &Operated, index: usize) -> Value {
    of.json("ctl upstreams")[0]["endpoints"][index].clone()
}

pub(crate) fn await_health(of: &Operated, index: usize, health: &str) -> Value {
    let mut found = Value::Null;
    until("the verdict changes", || {
        found = endpoint(of, index);
        found["health"] == health
    });
    found
}

#[test]
fn an_endpoint_that_is_down_gets_no_session_until_it_is_up_again() {
    on_both(|poller| {
        let servers = [Redis::start(1), Redis::start(2)];
        let text = proxy(&servers.each_ref().map(|of| of.address));
        let mut of = Operated::start(poller, &format!("{text}health.check = 'redis'\n{FAST}"));
        let at = of.server.address("proxy");
        await_health(&of, 0, "up");
        await_health(&of, 1, "up");
        assert_eq!(numbers(at, 8), [Some(1), Some(2)]);

        servers[1].serves.store(false, SeqCst);
        let down = await_health(&of, 1, "down");
        let reason = down["health_reason"].as_str().unwrap();
        assert!(reason.contains("-LOADING Redis is loading"), "{reason}");
        assert_eq!(down["admin_state"], "ready");
        assert_eq!(numbers(at, 8), [Some(1)]);
        let shown = of.told("ctl upstreams");
        assert!(
            shown.contains("HEALTH") && shown.contains("down"),
            "{shown}"
        );
        let shown = of.told(&format!("ctl endpoint up {}", servers[1].address));
        assert!(shown.contains(": ready, down (Redis answers "), "{shown}");
        let page = of.told("ctl metrics");
        let row = format!("endpoint=\"{}\",state=\"down\"}} 1", servers[1].address);
        assert!(page.contains(&row), "{page}");

        servers[1].serves.store(true, SeqCst);
        let up = await_health(&of, 1, "up");
        assert_eq!(up["health_reason"], Value::Null);
        assert_eq!(numbers(at, 8), [Some(1), Some(2)]);

        servers[1].await_checks(3);
        of.server.read_log();
        let lines = |what: &str| {
            let lines = of.server.log.iter().filter(|line| line.contains(what));
            lines
                .filter(|line| line.contains(&servers[1].address.to_string()))
                .count()
        };
        assert_eq!(
            (lines("the endpoint is down"), lines("the endpoint is up")),
            (1, 2)
        );
    });
}

#[test]
fn without_an_endpoint_that_is_up_sessions_end_at_once() {
    on_both(|poller| {
        let server = Redis::start(1);
        server.serves.store(false, SeqCst);
        let text = format!("{}health.check = 'redis'\n{FAST}", proxy(&[server.address]));
        let of = Operated::start(poller, &text);
        await_health(&of, 0, "down");
        match TcpStream::connect(of.server.address("proxy")) {
            Ok(client) => {
                patient(&client);
                assert!(is_reset(&client));
            }
            // The reset came first.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        // Without checks nothing is known, and the endpoint gets sessions.
        of.write(&proxy(&[server.address]));
        assert_eq!(of.json("reload")["changed"], true);
        await_health(&of, 0, "unknown");
        until("sessions come to it", || {
            ask(of.server.address("proxy")) == Some(1)
        });
    });
}

#[test]
fn an_operator_overrules_the_checks() {
    let servers = [Redis::start(1), Redis::start(2)];
    let text = proxy(&servers.each_ref().map(|of| of.address));
    let of = Operated::start(
        pollers()[0],
        &format!("{text}health.check = 'redis'\n{FAST}"),
    );
    let at = of.server.address("proxy");
    await_health(&of, 0, "up");
    await_health(&of, 1, "up");
    let set = |index: usize, verdict: &str| {
        let address = servers[index].address;
        of.json(&format!("ctl endpoint up {address} --health {verdict}"))
    };
    let down = set(0, "down");
    assert_eq!(
        (&down["health"], &down["admin_state"]),
        (&"down".into(), &"ready".into())
    );
    assert_eq!(down["health_reason"], "an operator has set down");
    assert_eq!(numbers(at, 6), [Some(2)]);
    servers[1].serves.store(false, SeqCst);
    await_health(&of, 1, "down");
    assert_eq!(set(1, "up")["health"], "up");
    servers[1].await_checks(4);
    assert_eq!(numbers(at, 6), [Some(2)]);
    assert_eq!(set(0, "auto")["health"], "up");
    assert_eq!(set(1, "auto")["health"], "down");
    assert_eq!(numbers(at, 6), [Some(1)]);
    // Without checks there is nothing to overrule.
    of.write(&text);
    assert_eq!(of.json("reload")["changed"], true);
    await_health(&of, 0, "unknown");
    let refused = of.run(&format!(
        "ctl endpoint up {} --health up",
        servers[0].address
    ));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(
        error.contains("no health checks to overrule; set its state"),
        "{error}"
    );
}

#[test]
fn a_reload_keeps_verdicts() {
    let poller = pollers()[0];
    let server = Redis::start(1);
    let text = format!("{}health.check = 'redis'\n{FAST}", proxy(&[server.address]));
    let of = Operated::start(poller, &text);
    server.serves.store(false, SeqCst);
    await_health(&of, 0, "down");
    // So many checks in a row do not come within the test.
    of.write(&format!("{text}health.rise = 1000\n"));
    server.serves.store(true, SeqCst);
    assert_eq!(of.json("reload")["changed"], true);
    server.await_checks(4);
    assert_eq!(endpoint(&of, 0)["health"], "down");
    of.write(&text);
    assert_eq!(of.json("reload")["changed"], true);
    await_health(&of, 0, "up");
}

/// A FIN, and no reset, ends a check: also of a server whose greeting was not read.
#[test]
fn a_check_leaves_by_fin_without_a_control_socket() {
    for (check, greeting) in [
        ("check = 'connect'", &b""[..]),
        ("check = 'connect'", b"220 mail ready\r\n"),
        (
            "check = 'send_expect', expect = 'prefix:220 '",
            b"220 mail ready\r\n",
        ),
    ] {
        let (listener, at) = listener();
        let text = format!("{}health = {{ {check} }}\n", proxy(&[at]));
        let mut server = Server::start(&(runtime(pollers()[0], 1) + &text));
        let mut stream = accept(&listener);
        stream.write_all(greeting).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("a FIN");
        assert!(rest.is_empty());
        drop(stream);
        server.await_line("the endpoint is up");
        server.stop();
    }
}

/// A process that is stuck answers no bytes, though its system accepts connections.
#[test]
fn a_server_that_never_accepts_is_found_out_by_an_expected_answer() {
    let stuck = || TcpListener::bind("127.0.0.1:0").unwrap();
    for (check, verdict) in [("connect", "up"), ("send_expect", "down")] {
        let listener = stuck();
        let text = format!(
            "{}health = {{ check = '{check}', timeout = '200ms', interval = '100ms', \
             fast_interval = '100ms' }}\n",
            proxy(&[listener.local_addr().unwrap()])
        );
        let of = Operated::start(pollers()[0], &text);
        let found = await_health(&of, 0, verdict);
        if verdict == "down" {
            assert_eq!(found["health_reason"], "no answer within 200ms");
        }
    }
}

#[test]
fn a_check_of_http_judges_the_status_on_its_own_port() {
    let (traffic, at) = listener();
    let (checks, port) = listener();
    let text = format!(
        "{}health = {{ check = 'http', path = '/ready', port = {}, fall = 1, interval = '100ms', \
         fast_interval = '100ms' }}\n",
        proxy(&[at]),
        port.port()
    );
    let of = Operated::start(pollers()[0], &text);
    for (status, verdict) in [("200 OK", "up"), ("503 No", "down")] {
        let mut stream = accept(&checks);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        assert!(
            request.starts_with("GET /ready HTTP/1.1\r\nHost: 127.0.0.1:"),
            "{request}"
        );
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
        drop(stream);
        await_health(&of, 0, verdict);
    }
    drop(traffic);
}
