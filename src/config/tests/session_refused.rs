//! Every message about `timeouts`, `socket`, `on_removed`, `source` and `tries`, to the letter.
//!
//! A case is what stands from line 5 or 6 on in a listener or an upstream, and its answer.

use super::{proxy, upstream, wrong};

macro_rules! duration {
    () => {
        "a number and a unit (ns, us, ms, s, m, h, d), "
    };
}

macro_rules! size {
    () => {
        "a number and a unit (B, KiB, MiB, GiB), "
    };
}

/// Keys of `timeouts` or `socket` with a value, and why it is refused.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "timeouts.connect",
        "'0s'",
        "out of range; write \"1ms\" to \"10m\": TCP itself gives up within minutes",
    ),
    (
        "timeouts.connect",
        "'off'",
        concat!("not a duration; write ", duration!(), "\"1ms\" to \"10m\""),
    ),
    (
        "timeouts.connect",
        "'11s'",
        "longer than connect_total, which is for all tries; write \"10s\" or less, or a longer \
         connect_total than \"10s\" too",
    ),
    (
        "timeouts.connect_total",
        "'2s'",
        "shorter than connect, which is for one try; write \"3s\" or more, or a shorter connect",
    ),
    (
        "timeouts.connect_total",
        "'61m'",
        "out of range; write \"1ms\" to \"1h\": no client waits longer for a connection",
    ),
    (
        "timeouts.idle",
        "'0s'",
        "out of range; write \"off\", or \"100ms\" to \"365d\": less would end sessions that only \
         wait for the network",
    ),
    (
        "timeouts.idle",
        "'never'",
        concat!(
            "not a duration; write \"off\", or ",
            duration!(),
            "\"100ms\" to \"365d\""
        ),
    ),
    (
        "timeouts.idle",
        "0",
        concat!(
            "not a duration; write \"off\", or ",
            duration!(),
            "\"100ms\" to \"365d\""
        ),
    ),
    (
        "timeouts.half_close",
        "'off'",
        "sessions whose other end does not answer a FIN would pile up; write \"100ms\" to \"1d\"",
    ),
    (
        "timeouts.half_close",
        "'99ms'",
        "out of range; write \"100ms\" to \"1d\": less would cut off answers, more \
         lets unanswered ends pile up",
    ),
    (
        "timeouts.half_close",
        "true",
        concat!("not a duration; write ", duration!(), "\"100ms\" to \"1d\""),
    ),
    (
        "timeouts.lifetime",
        "'366d'",
        "out of range; write \"off\", or \"100ms\" to \"365d\": less would end sessions before \
         they are of use",
    ),
    (
        "timeouts.lifetime_jitter",
        "'10%'",
        "there is no lifetime that it could shorten; write a lifetime too, or no lifetime_jitter",
    ),
    (
        "socket.nodelay",
        "'on'",
        "not a boolean; write true or false, without quotes",
    ),
    (
        "socket.keepalive",
        "true",
        "not a table; write \"off\", or { idle = \"60s\", interval = \"10s\", count = 6 }, or some \
         of these",
    ),
    (
        "socket.keepalive.idle",
        "'1500ms'",
        "the kernel counts whole seconds; write \"2s\"",
    ),
    (
        "socket.keepalive.interval",
        "'10h'",
        "out of range; write \"1s\" to \"9h\": the kernel counts no further",
    ),
    (
        "socket.keepalive.interval",
        "10",
        concat!("not a duration; write ", duration!(), "\"1s\" to \"9h\""),
    ),
    (
        "socket.keepalive.count",
        "128",
        "out of range; write 1 to 127: the kernel counts no further",
    ),
    (
        "socket.keepalive.cnt",
        "1",
        "unknown key; known here: idle, interval, count",
    ),
    (
        "socket.user_timeout",
        "'0s'",
        "out of range; write \"off\", or \"1s\" to \"24d\": less fails where one packet is lost, \
         and the kernel counts no further",
    ),
    (
        "socket.user_timeout",
        "'1.0005s'",
        "the kernel counts whole milliseconds; write \"1001ms\"",
    ),
    (
        "socket.send_buffer",
        "262144",
        concat!(
            "not a size; write \"auto\", or ",
            size!(),
            "\"4KiB\" to \"1GiB\""
        ),
    ),
    (
        "socket.receive_buffer",
        "'4095B'",
        "out of range; write \"auto\", or \"4KiB\" to \"1GiB\": a packet must fit, and the kernel \
         counts no further",
    ),
    (
        "socket.notsent_lowat",
        "'auto'",
        concat!(
            "not a size; write \"off\", or ",
            size!(),
            "\"4KiB\" to \"1GiB\""
        ),
    ),
    (
        "socket.congestion",
        "'BBR'",
        "not the name of a congestion control; write \"auto\", or 1 to 15 of a-z, 0-9, '_' and \
         '-', e.g. \"cubic\"",
    ),
    (
        "socket.fast_open",
        "1",
        "not a boolean; write true or false, without quotes",
    ),
    (
        "socket.quickack",
        "true",
        "unknown key; known here: nodelay, keepalive, user_timeout, send_buffer, receive_buffer, \
         notsent_lowat, congestion, fast_open, freebind",
    ),
    (
        "timeouts.handshake",
        "'1s'",
        "unknown key; known here: connect, connect_total, idle, half_close, lifetime, \
         lifetime_jitter",
    ),
    (
        "timeouts",
        "'10m'",
        "not a table; write e.g. timeouts = { idle = \"1h\" }",
    ),
    (
        "socket",
        "[]",
        "not a table; write e.g. socket = { nodelay = true }",
    ),
];

#[test]
fn says_what_is_wrong_with_timeouts_and_sockets() {
    for (key, value, why) in REFUSED {
        let found = wrong(&proxy(&format!("{key} = {value}")));
        assert_eq!(found, [format!("6: listener[0].{key} = {value}: {why}")]);
    }
    for (key, value, why) in REFUSED.iter().filter(|(key, ..)| key.starts_with("socket")) {
        let found = wrong(&upstream("['[::1]:1']", &format!("{key} = {value}")));
        let why = why.replace(", freebind", "");
        assert_eq!(found, [format!("6: upstream[0].{key} = {value}: {why}")]);
    }
    for name in ["''", "'a b'", "'0123456789abcdef'", "'é'", "'../x'", "7"] {
        let found = wrong(&proxy(&format!("socket.congestion = {name}")));
        assert!(found[0].contains("not the name"), "{found:?}");
    }
}

/// Lines of a proxy from line 6 on that do not go together, and what they get.
const CONTRADICTIONS: &[(&str, &[&str])] = &[
    (
        "timeouts.connect_total = '5s'\ntimeouts.connect = '8s'",
        &[
            "6: listener[0].timeouts.connect_total = '5s': shorter than connect, which is for one \
             try; write \"8s\" or more, or a shorter connect",
        ],
    ),
    // One slip, one error: what is wrong is not compared.
    (
        "timeouts.connect_total = '1s'\ntimeouts.connect = '20'",
        &[concat!(
            "7: listener[0].timeouts.connect = '20': not a duration; write ",
            duration!(),
            "\"1ms\" to \"10m\""
        )],
    ),
    (
        "timeouts.connect_total = '20'\ntimeouts.connect = '20s'",
        &[concat!(
            "6: listener[0].timeouts.connect_total = '20': not a duration; write ",
            duration!(),
            "\"1ms\" to \"1h\""
        )],
    ),
    (
        "timeouts.lifetime = '1'\ntimeouts.lifetime_jitter = '5%'",
        &[concat!(
            "6: listener[0].timeouts.lifetime = '1': not a duration; write \"off\", or ",
            duration!(),
            "\"100ms\" to \"365d\""
        )],
    ),
    (
        "timeouts = { lifetime = 'off', lifetime_jitter = '5%' }",
        &[
            "6: listener[0].timeouts.lifetime_jitter = '5%': there is no lifetime that it could \
             shorten; write a lifetime too, or no lifetime_jitter",
        ],
    ),
    (
        "timeouts = { lifetime = '1h', lifetime_jitter = '51%' }",
        &[
            "6: listener[0].timeouts.lifetime_jitter = '51%': out of range; write \"0%\" to \
             \"50%\": more would leave too little of the lifetime",
        ],
    ),
    (
        "timeouts = { lifetime = '1h', lifetime_jitter = 10 }",
        &[
            "6: listener[0].timeouts.lifetime_jitter = 10: not a percentage; write a whole number \
             and %, \"0%\" to \"50%\"",
        ],
    ),
    (
        "socket.keepalive = 'on'\nsocket.nodelya = true",
        &[
            "6: listener[0].socket.keepalive = 'on': not a table; write \"off\", or { idle = \
             \"60s\", interval = \"10s\", count = 6 }, or some of these",
            "7: listener[0].socket.nodelya = true: unknown key; did you mean nodelay?",
        ],
    ),
];

#[test]
fn says_which_keys_do_not_go_together() {
    for (lines, expected) in CONTRADICTIONS {
        assert_eq!(wrong(&proxy(lines)), *expected, "{lines}");
    }
}

#[test]
fn an_echo_does_not_connect() {
    let echo = |lines: &str| {
        format!("[[listener]]\nname = 'e'\nbind = '[::1]:0'\nservice = 'echo'\n{lines}")
    };
    // Nor does it matter how long the two are.
    let lines = "timeouts.connect = '5m'\ntimeouts.connect_total = '1'\nupstream = 'u'";
    let why =
        |key| format!("an echo listener does not connect; write service = \"proxy\", or no {key}");
    let expected = [
        format!("5: listener[0].timeouts.connect = '5m': {}", why("connect")),
        format!(
            "6: listener[0].timeouts.connect_total = '1': {}",
            why("connect_total")
        ),
        "7: listener[0].upstream = 'u': an echo connects to no upstream; write service = \
         \"proxy\", or no upstream"
            .to_owned(),
    ];
    assert_eq!(wrong(&echo(lines)), expected);
    // Where it is not known what it is to be, it may be a proxy.
    let unknown = echo("timeouts.connect = '1s'").replace("'echo'", "'ecko'");
    assert_eq!(
        wrong(&unknown),
        ["4: listener[0].service = 'ecko': not a service; write \"echo\" or \"proxy\""]
    );
}

/// Sources of an upstream with an IPv4 endpoint, and why they are refused.
const SOURCES: &[(&str, &str)] = &[
    (
        "'127.0.0.2:80'",
        "not an IP address; write IP without a port, e.g. \"127.0.0.2\" or \"::1\"",
    ),
    (
        "'[::1]'",
        "not an IP address; write IP without a port, e.g. \"127.0.0.2\" or \"::1\"",
    ),
    (
        "2130706434",
        "not an IP address; write IP without a port, e.g. \"127.0.0.2\" or \"::1\"",
    ),
    (
        "'eth0'",
        "host names are looked up for endpoints alone; write IP without a port, e.g. \
         \"127.0.0.2\" or \"::1\"",
    ),
    (
        "'0.0.0.0'",
        "the wildcard address leaves the choice to the system; write an address of this machine, \
         or no source",
    ),
    (
        "'::'",
        "the wildcard address leaves the choice to the system; write an address of this machine, \
         or no source",
    ),
    (
        "'224.0.0.1'",
        "TCP has one receiver, this address has many; write the address of one machine",
    ),
    (
        "'255.255.255.255'",
        "TCP has one receiver, this address has many; write the address of one machine",
    ),
    (
        "'fe80::1'",
        "a link-local address is one only with its interface; write an address that is one by \
         itself, or no source",
    ),
    ("'::1'", "no endpoint is IPv6; write an IPv4 address"),
    (
        "'::ffff:10.0.0.8'",
        "this address is on line 6 already; write another",
    ),
];

#[test]
fn says_what_is_wrong_with_a_source() {
    for (value, why) in SOURCES {
        let lines = format!("source = ['10.0.0.8', {value}]");
        let expected = format!("6: upstream[0].source[1] = {value}: {why}");
        assert_eq!(wrong(&upstream("['10.0.0.1:1']", &lines)), [expected]);
    }
    assert_eq!(
        wrong(&upstream("['[::1]:1']", "source = ['10.0.0.8']")),
        ["6: upstream[0].source[0] = '10.0.0.8': no endpoint is IPv4; write an IPv6 address"]
    );
    assert_eq!(
        wrong(&upstream("['[::1]:1']", "source = '::1'\ntries = 0")),
        [
            "6: upstream[0].source = '::1': not a list of IP addresses; write [\"127.0.0.2\", \
             \"127.0.0.3\"]",
            "7: upstream[0].tries = 0: out of range; write 1 to 100: a client does not wait for \
             more",
        ]
    );
    // Endpoints that are wrong have no family to compare with.
    let lines = "source = ['10.0.0.8']\ntries = '3'";
    let found = wrong(&upstream("['[::1]']", lines));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[1],
        "7: upstream[0].tries = '3': not a whole number; write 1 to 100, without quotes"
    );
}

#[test]
fn a_removal_without_a_rule() {
    let lines = "on_removed = 'wait'\ndrain_over = '25h'";
    let expected = |table: &str| {
        [
            format!(
                "6: {table}.on_removed = 'wait': not a rule for sessions; write \"keep\", \
                 \"drain\" or \"reset\""
            ),
            format!(
                "7: {table}.drain_over = '25h': out of range; write \"1s\" to \"1d\": less is a \
                 reset, and a drain of days does not end by itself"
            ),
        ]
    };
    assert_eq!(wrong(&proxy(lines)), expected("listener[0]"));
    let found = wrong(&upstream("['10.0.0.1:1']", lines));
    assert_eq!(found, expected("upstream[0]"));
}
