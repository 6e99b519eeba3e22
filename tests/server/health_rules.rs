//! What follows from the health of endpoints: ejections, panic, slow start, the end of sessions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::SeqCst;

use crate::health::{FAST, Redis, ask, await_health, endpoint};
use crate::removed::{Operated, is_reset};
use crate::support::{
    connect, dead_address, listener, on_both, pollers, proxy, reset, spawn, until,
};

/// Sessions until the endpoint is ejected; no session may fail.
fn await_ejection(of: &Operated, index: usize, at: SocketAddr) -> String {
    until("it is ejected", || {
        ask(at);
        endpoint(of, index)["health"] == "ejected"
    });
    let found = endpoint(of, index);
    found["health_reason"].as_str().unwrap().to_owned()
}

#[test]
fn failing_connects_eject_an_endpoint_for_a_growing_time() {
    on_both(|poller| {
        let server = Redis::start(1);
        let text = proxy(&[dead_address(), server.address]);
        let rules = "health = { eject_after = 3, eject_time = '1s' }\n";
        let mut of = Operated::start(poller, &format!("{text}{rules}"));
        let at = of.server.address("proxy");
        let reason = await_ejection(&of, 0, at);
        assert!(
            reason.contains("connects in a row failed; out for 1s"),
            "{reason}"
        );
        let attempts = |of: &Operated| endpoint(of, 0)["connect_attempts"].clone();
        let before = attempts(&of);
        // All within the second of the ejection, or the endpoint is back.
        let asked: Vec<_> = (0..4).map(|_| ask(at)).collect();
        let after = attempts(&of);
        assert!(after == before || endpoint(&of, 0)["health"] != "ejected");
        assert_eq!(asked, [Some(1); 4]);
        // Back, and a single failure ejects for twice the time.
        until("it is ejected again", || {
            ask(at);
            of.server.read_log();
            of.server.log.iter().any(|line| line.contains("out for 2s"))
        });
        let page = of.told("ctl metrics");
        assert!(page.contains("corelane_endpoint_ejections_total"), "{page}");
    });
}

#[test]
fn early_resets_eject_an_endpoint_and_max_ejected_keeps_the_last() {
    let resetting = || {
        let (listener, address) = listener();
        spawn(move || {
            let streams = listener.incoming().map_while(Result::ok);
            streams.for_each(|mut stream| {
                // Behind the first bytes: the session is connected.
                _ = stream.read(&mut [0; 8]);
                reset(stream);
            });
        });
        address
    };
    let text = proxy(&[resetting(), resetting()]);
    let rules = "health = { eject_after = 2, eject_time = '1h', eject_time_max = '1h' }\n";
    let mut of = Operated::start(pollers()[0], &format!("{text}{rules}"));
    let at = of.server.address("proxy");
    let mut ejected = Vec::new();
    until("one is ejected", || {
        assert_eq!(ask(at), None);
        ejected = (0..2)
            .filter(|index| endpoint(&of, *index)["health"] == "ejected")
            .collect();
        !ejected.is_empty()
    });
    let reason = endpoint(&of, ejected[0])["health_reason"].clone();
    let reason = reason.as_str().unwrap();
    assert!(
        reason.contains("sessions in a row were reset before a byte"),
        "{reason}"
    );
    let other = 1 - ejected[0];
    (0..4).for_each(|_| assert_eq!(ask(at), None));
    of.server
        .await_line("max_ejected endpoints are ejected already");
    assert_eq!(endpoint(&of, other)["health"], "unknown");
}

#[test]
fn a_panic_uses_all_endpoints() {
    let servers = [Redis::start(1), Redis::start(2)];
    servers.iter().for_each(|of| of.serves.store(false, SeqCst));
    let text = proxy(&servers.each_ref().map(|of| of.address));
    let rules = format!("health.check = 'redis'\nhealth.panic_below = '50%'\n{FAST}");
    let mut of = Operated::start(pollers()[0], &format!("{text}{rules}"));
    await_health(&of, 0, "down");
    await_health(&of, 1, "down");
    of.server.await_line("too few endpoints are usable");
    assert!(ask(of.server.address("proxy")).is_some());
    assert!(
        of.told("ctl metrics")
            .contains("corelane_upstream_panic{upstream=\"up\"} 1")
    );
    servers[1].serves.store(true, SeqCst);
    await_health(&of, 1, "up");
    of.server.await_line("enough endpoints are usable again");
    let at = of.server.address("proxy");
    (0..8).for_each(|_| assert_eq!(ask(at), Some(2)));
}

#[test]
fn an_endpoint_that_comes_back_starts_slowly() {
    let servers = [Redis::start(1), Redis::start(2)];
    servers[1].serves.store(false, SeqCst);
    let text = proxy(&servers.each_ref().map(|of| of.address));
    let rules = format!("health.check = 'redis'\nhealth.slow_start = '1h'\n{FAST}");
    let of = Operated::start(pollers()[0], &format!("{text}{rules}"));
    await_health(&of, 1, "down");
    servers[1].serves.store(true, SeqCst);
    await_health(&of, 1, "up");
    let at = of.server.address("proxy");
    let of_second = (0..200).filter(|_| ask(at) == Some(2)).count();
    // An eleventh is expected; a half without a slow start.
    assert!((1..60).contains(&of_second), "{of_second}");
}

#[test]
fn sessions_of_an_endpoint_that_goes_down_end_as_the_rule_says() {
    on_both(|poller| {
        for (rule, ends) in [
            ("on_down = 'keep'", false),
            ("on_down = 'reset'", true),
            ("on_down = 'drain', drain_over = '1s'", true),
        ] {
            let server = Redis::start(1);
            let text = proxy(&[server.address]);
            let rules = format!(
                "health = {{ check = 'redis', interval = '100ms', fast_interval = '100ms', \
                 {rule} }}\n\
                 [log]\nlevel = 'debug'\n"
            );
            let mut of = Operated::start(poller, &format!("{text}{rules}"));
            await_health(&of, 0, "up");
            let mut session = connect(of.server.address("proxy"));
            let answer = |session: &mut TcpStream| {
                let mut byte = [0];
                session.write_all(b"who").unwrap();
                session.read_exact(&mut byte).unwrap();
            };
            answer(&mut session);
            server.serves.store(false, SeqCst);
            await_health(&of, 0, "down");
            if ends {
                assert!(is_reset(&session));
                of.server.await_line("ended=endpoint_down");
            } else {
                answer(&mut session);
            }
        }
    });
}
