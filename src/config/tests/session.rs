//! What every key of `timeouts` and `socket`, `on_removed`, and an upstream's `source` and `tries`,
//! means; what is refused in `session_refused`.

use std::net::IpAddr;
use std::time::Duration;

use super::{SOCKET, TIMEOUTS, parse, proxy, upstream};
use crate::config::{Balance, Endpoint, Keepalive, OnRemoved, SocketOptions, Timeouts, Upstream};

fn timeouts(lines: &str) -> Timeouts {
    parse(&proxy(lines)).listeners[0].timeouts
}

/// The options of a listener, which are also those of an upstream with the same lines.
fn socket(lines: &str) -> SocketOptions {
    let listener = parse(&proxy(lines)).listeners[0].socket.clone();
    let upstream = parse(&upstream("['10.0.0.1:1']", lines)).upstreams[0]
        .socket
        .clone();
    assert_eq!(listener, upstream, "{lines}");
    listener
}

fn upstream_of(endpoints: &str, lines: &str) -> Upstream {
    parse(&upstream(endpoints, lines)).upstreams.remove(0)
}

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const H: Duration = Duration::from_hours(1);

#[test]
fn timeouts_are_read_in_every_form_and_to_their_limits() {
    let most = Timeouts {
        connect: 600 * S,
        connect_total: H,
        idle: Some(365 * 24 * H),
        half_close: 24 * H,
        lifetime: Some(365 * 24 * H),
        lifetime_jitter: 50,
    };
    let least = Timeouts {
        connect: MS,
        connect_total: MS,
        idle: Some(100 * MS),
        half_close: 100 * MS,
        lifetime: Some(100 * MS),
        lifetime_jitter: 0,
    };
    let cases = [
        ("", TIMEOUTS),
        ("timeouts = {}", TIMEOUTS),
        (
            "timeouts = { connect = '10m', connect_total = '1h', idle = '365d', \
             half_close = '24h', lifetime = '8760h', lifetime_jitter = '50%' }",
            most,
        ),
        (
            "[listener.timeouts]\nconnect = '1ms'\nconnect_total = '1ms'\nidle = '100ms'\n\
             half_close = '0.1s'\nlifetime = '100ms'\nlifetime_jitter = '0%'",
            least,
        ),
        (
            "timeouts.idle = 'off'\ntimeouts.lifetime = 'off'",
            Timeouts {
                idle: None,
                ..TIMEOUTS
            },
        ),
        (
            "timeouts.lifetime = '1h'",
            Timeouts {
                lifetime: Some(H),
                ..TIMEOUTS
            },
        ),
        (
            "timeouts.connect = '10s'",
            Timeouts {
                connect: 10 * S,
                ..TIMEOUTS
            },
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(timeouts(lines), expected, "{lines}");
    }
}

#[test]
fn an_echo_has_the_timeouts_of_a_session() {
    let text = "[[listener]]\nname = 'e'\nbind = '[::1]:0'\nservice = 'echo'\n\
                timeouts = { idle = '1s', half_close = '2s', lifetime = '3s' }";
    let expected = Timeouts {
        idle: Some(S),
        half_close: 2 * S,
        lifetime: Some(3 * S),
        ..TIMEOUTS
    };
    assert_eq!(parse(text).listeners[0].timeouts, expected);
}

#[test]
fn socket_options_are_read_in_every_form_and_to_their_limits() {
    let keepalive = |idle: Duration, interval, count| SocketOptions {
        keepalive: Some(Keepalive {
            idle,
            interval,
            count,
        }),
        ..SOCKET
    };
    let most = SocketOptions {
        nodelay: false,
        user_timeout: Some(24 * 24 * H),
        send_buffer: Some(1 << 30),
        receive_buffer: Some(1 << 30),
        notsent_lowat: Some(1 << 30),
        congestion: Some("a-1_234567890bc".into()),
        fast_open: true,
        ..keepalive(9 * H, 9 * H, 127)
    };
    let least = SocketOptions {
        user_timeout: Some(S),
        send_buffer: Some(4096),
        receive_buffer: Some(4096),
        notsent_lowat: Some(4096),
        congestion: Some("c".into()),
        ..keepalive(S, S, 1)
    };
    let cases = [
        ("", SOCKET),
        ("socket.keepalive = {}", SOCKET),
        (
            "socket.nodelay = false\nsocket.keepalive.idle = '9h'\nsocket.keepalive.interval = \
             '540m'\nsocket.keepalive.count = 127\nsocket.user_timeout = '24d'\n\
             socket.send_buffer = '1GiB'\nsocket.receive_buffer = '1024MiB'\n\
             socket.notsent_lowat = '1g'\nsocket.congestion = 'a-1_234567890bc'\n\
             socket.fast_open = true",
            most,
        ),
        (
            "socket = { keepalive = { idle = '1s', interval = '1s', count = 1 }, user_timeout = \
             '1s', send_buffer = '4KiB', receive_buffer = '4k', notsent_lowat = '4096B', \
             congestion = 'c' }",
            least,
        ),
        ("socket.keepalive.count = 3", keepalive(60 * S, 10 * S, 3)),
        (
            "socket.keepalive = 'off'",
            SocketOptions {
                keepalive: None,
                ..SOCKET
            },
        ),
        (
            "socket = { user_timeout = 'off', send_buffer = 'auto', receive_buffer = 'auto', \
             notsent_lowat = 'off', congestion = 'auto' }",
            SOCKET,
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(socket(lines), expected, "{lines}");
    }
}

#[test]
fn an_upstream_has_sources_and_tries() {
    let ips =
        |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|t| t.parse().unwrap()).collect() };
    let both = "['10.0.0.1:1', '[2001:db8::1]:1']";
    let cases: [(&str, &str, &[&str]); 6] = [
        (both, "[]", &[]),
        (
            both,
            "['127.0.0.2', '127.0.0.3']",
            &["127.0.0.2", "127.0.0.3"],
        ),
        (both, "['::1', '10.0.0.9']", &["::1", "10.0.0.9"]),
        ("['[::1]:1']", "['::1']", &["::1"]),
        // What is IPv4 is so in either form.
        ("['[::ffff:10.0.0.1]:1']", "['10.0.0.9']", &["10.0.0.9"]),
        ("['10.0.0.1:1']", "['::ffff:10.0.0.9']", &["10.0.0.9"]),
    ];
    for (endpoints, source, expected) in cases {
        let read = upstream_of(endpoints, &format!("source = {source}"));
        assert_eq!(read.source, ips(expected), "{source}");
        assert_eq!(read.tries, 3);
    }
    let mapped = upstream_of("['[::ffff:10.0.0.1]:1']", "").endpoints;
    assert!(mapped[0].address.is_ipv4(), "{mapped:?}");
    for tries in [1, 100] {
        let read = upstream_of(both, &format!("tries = {tries}"));
        assert_eq!(read.tries, tries);
    }
}

#[test]
fn a_removal_keeps_drains_or_resets() {
    let drain = |over| OnRemoved::Drain { over };
    for (lines, expected) in [
        ("", OnRemoved::Keep),
        ("drain_over = '1s'", OnRemoved::Keep),
        ("on_removed = 'keep'", OnRemoved::Keep),
        ("on_removed = 'reset'", OnRemoved::Reset),
        ("on_removed = 'drain'", drain(Duration::from_mins(10))),
        (
            "on_removed = 'drain'\ndrain_over = '1s'",
            drain(Duration::from_secs(1)),
        ),
        (
            "on_removed = 'drain'\ndrain_over = '24h'",
            drain(Duration::from_hours(24)),
        ),
    ] {
        assert_eq!(parse(&proxy(lines)).listeners[0].on_removed, expected);
        assert_eq!(upstream_of("['10.0.0.1:1']", lines).on_removed, expected);
    }
}

#[test]
fn an_endpoint_has_a_weight_and_a_level() {
    let read = upstream_of(
        "['10.0.0.1:1', { address = '10.0.0.2:1', weight = 0, level = 15 }, \
         { address = '[::ffff:10.0.0.3]:1', weight = 256 }]",
        "balance = 'maglev'\nhash_prefix = 48",
    );
    let endpoint = |text: &str, weight, level| Endpoint {
        address: text.parse().unwrap(),
        weight,
        level,
        max_sessions: None,
    };
    let expected = [
        endpoint("10.0.0.1:1", 1, 0),
        endpoint("10.0.0.2:1", 0, 15),
        endpoint("10.0.0.3:1", 256, 0),
    ];
    assert_eq!(read.endpoints, expected);
    assert_eq!((read.balance, read.hash_prefix), (Balance::Maglev, 48));
    let shown = read.keys().find("endpoints").unwrap().value.to_string();
    assert_eq!(
        shown,
        "[\"10.0.0.1:1\", { address = \"10.0.0.2:1\", weight = 0, level = 15 }, \
         { address = \"10.0.0.3:1\", weight = 256, level = 0 }]"
    );
}
