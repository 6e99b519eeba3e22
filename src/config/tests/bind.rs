//! `bind`: single addresses, ranges, ports alone, unix sockets, and repeated addresses.

use super::{parse, wrong};
use crate::config::BindTo;

/// How to write an address.
macro_rules! ip_port {
    () => {
        "write IP:PORT, e.g. \"127.0.0.1:7008\" or \"[::1]:7008\""
    };
}

/// How to write a unix socket.
macro_rules! unix {
    () => {
        "write \"unix:/run/corelane/web.sock\", or \"unix:@NAME\" for an abstract name"
    };
}

/// The error of a port behind a colon.
macro_rules! anywhere {
    () => {
        "no address before the port; write 80 for every address of this machine, \"0.0.0.0:80\" \
         for the IPv4 ones, \"[::]:80\" for the IPv6 ones, or \"127.0.0.1:80\" for connections \
         from this machine only"
    };
}

/// The error of an impossible port.
macro_rules! no_port {
    () => {
        "out of range; write 1 to 65535: a port has 16 bits"
    };
}

/// Refused values, with the errors.
const BINDS: &[(&str, &str)] = &[
    (
        "'127.0.0.1'",
        "no port; write IP:PORT, e.g. \"127.0.0.1:7007\"",
    ),
    (
        "'::1:80'",
        "an IPv6 address has brackets before its port; write \"[::1]:80\", or \"[::1:80]:7007\"",
    ),
    ("'[::1]'", "no port; write IP:PORT, e.g. \"[::1]:7007\""),
    ("':80'", anywhere!()),
    ("'*:80'", anywhere!()),
    ("0", no_port!()),
    ("-1", no_port!()),
    ("'0'", no_port!()),
    ("'65536'", no_port!()),
    (
        "'[::1]:90-80'",
        "the last port is below the first; write \"[::1]:80-90\"",
    ),
    (
        "'90-80'",
        "the last port is below the first; write \"80-90\"",
    ),
    (
        "'127.0.0.1:0-9'",
        "port 0 is any free port, and begins no range; write \"127.0.0.1:1-9\"",
    ),
    (
        "'127.0.0.1:1-4097'",
        "too many addresses for one listener; write a shorter range, or several listeners with \
         4096 addresses at most",
    ),
    (
        "'1-2049'",
        "too many addresses for one listener; write a shorter range, or several listeners with \
         4096 addresses at most",
    ),
    (
        "'::1:80-90'",
        "an IPv6 address has brackets before its port; write \"[::1]:80\", or \"[::1:80]:7007\"",
    ),
    ("'127.0.0.1:80-'", concat!("not an address; ", ip_port!())),
    (
        "'127.0.0.1:80-65536'",
        concat!("not an address; ", ip_port!()),
    ),
    ("'80-+90'", concat!("not an address; ", ip_port!())),
    (
        "'127.0.0.1:65536'",
        "no such port; write a port from 0 to 65535",
    ),
    ("70000", no_port!()),
    (
        "' 127.0.0.1:80'",
        "more than an address; write \"127.0.0.1:80\"",
    ),
    (
        "'10.0.0.x:80'",
        concat!("host names are looked up for endpoints alone; ", ip_port!()),
    ),
    ("'1.2.3.4.5:80'", concat!("not an address; ", ip_port!())),
    ("'127.1:80'", concat!("not an address; ", ip_port!())),
    ("'unix:run/x'", concat!("not a unix socket; ", unix!())),
    ("'unix:/run/'", concat!("not a unix socket; ", unix!())),
    ("'unix:@'", concat!("not a unix socket; ", unix!())),
    ("'unix:'", concat!("not a unix socket; ", unix!())),
    ("'/run/x.sock'", concat!("not an address; ", unix!())),
    ("'unix@/run/x.sock'", concat!("not an address; ", unix!())),
    ("'abns@x'", concat!("not an address; ", unix!())),
    ("''", concat!("not an address; ", ip_port!())),
    (
        "'localhost:80'",
        "host names are looked up for endpoints alone; write \"127.0.0.1:80\" or \"[::1]:80\"",
    ),
    (
        "true",
        concat!("not an address or a list of them; ", ip_port!()),
    ),
    ("[]", concat!("no address in the list; ", ip_port!())),
    (
        "'[fe80::1]:80'",
        "a link-local address is one only with the number of its interface; write e.g. \
         \"[fe80::1%2]:80\"; `ip link` shows the numbers",
    ),
    (
        "'[ff02::1]:80'",
        "TCP has one receiver, this address has many; write the address of one machine",
    ),
    (
        "'255.255.255.255:80'",
        "TCP has one receiver, this address has many; write the address of one machine",
    ),
];

fn listener(lines: &str) -> String {
    format!("[[listener]]\nname = 'a'\nservice = 'echo'\n{lines}\n")
}

/// Where the listener accepts, in the order of the file: the element and the address.
fn binds(bind: &str) -> Vec<(usize, String)> {
    let config = parse(&listener(&format!("bind = {bind}")));
    let all = config.listeners[0].bind.iter();
    all.map(|bind| (bind.element, bind.to.to_string()))
        .collect()
}

#[test]
fn a_range_is_all_of_its_ports() {
    for (written, expected) in [
        (
            "'10.0.0.1:8000-8002'",
            &[
                (0, "10.0.0.1:8000"),
                (0, "10.0.0.1:8001"),
                (0, "10.0.0.1:8002"),
            ][..],
        ),
        (
            "['[::1]:7', '[fe80::1%3]:65534-65535', '[::ffff:10.0.0.1]:9-9']",
            &[
                (0, "[::1]:7"),
                (1, "[fe80::1%3]:65534"),
                (1, "[fe80::1%3]:65535"),
                (2, "10.0.0.1:9"),
            ],
        ),
    ] {
        let expected = expected.iter().map(|(at, to)| (*at, (*to).to_owned()));
        assert_eq!(binds(written), expected.collect::<Vec<_>>(), "{written}");
    }
    assert_eq!(binds("'[::1]:1-4096'").len(), 4096);
}

/// As sockets of both families. A system without IPv6 has IPv4 alone.
#[test]
fn a_port_alone_is_every_address_of_the_machine() {
    for written in ["7007", "'7007'", "[7007]", "'7007-7007'"] {
        let expected = ["0.0.0.0:7007", "[::]:7007"].map(|to| (0, to.to_owned()));
        assert_eq!(binds(written), expected, "{written}");
    }
    let config = parse(&listener("bind = [80, '[::]:81']"));
    let optional: Vec<_> = config.listeners[0]
        .bind
        .iter()
        .map(|bind| (bind.to.to_string(), bind.is_optional()))
        .collect();
    let expected = [("0.0.0.0:80", false), ("[::]:80", true), ("[::]:81", false)];
    assert_eq!(optional, expected.map(|(to, is)| (to.to_owned(), is)));
    assert_eq!(binds("'1-2048'").len(), 4096);
}

#[test]
fn a_range_takes_its_ports() {
    let text = listener("bind = ['10.0.0.1:80', '10.0.0.1:70-90', 443]")
        + &listener("bind = ['[::]:443', '10.0.0.1:443']").replace("'a'", "'b'");
    assert_eq!(
        wrong(&text),
        [
            "4: listener[0].bind[1] = '10.0.0.1:70-90': an address of this range is on line 4 \
             already; write another",
            "8: listener[1].bind[0] = '[::]:443': this address is on line 4 already; write another",
        ]
    );
    let text = listener("bind = '0.0.0.0:80'") + &listener("bind = 80").replace("'a'", "'b'");
    assert_eq!(
        wrong(&text),
        ["8: listener[1].bind = 80: an address of this port is on line 4 already; write another"]
    );
}

#[test]
fn the_addresses_of_all_elements_count() {
    let text = listener("bind = ['127.0.0.1:1-4096', '127.0.0.2:1']");
    assert_eq!(
        wrong(&text),
        [
            "4: listener[0].bind[1] = '127.0.0.2:1': too many addresses for one listener; write a \
             shorter range, or several listeners with 4096 addresses at most"
        ]
    );
}

#[test]
fn only_listeners_bind_foreign_addresses() {
    let config = parse(&listener("bind = '10.0.0.1:80'\nsocket.freebind = true"));
    assert!(config.listeners[0].socket.freebind);
    let text = super::upstream("['10.0.0.1:1']", "socket.freebind = true");
    let errors = wrong(&text);
    assert!(
        errors.len() == 1 && errors[0].contains("freebind = true: unknown key"),
        "{errors:?}"
    );
}

/// A loop may lead through a range or through all addresses.
#[test]
fn a_loop_through_several_addresses_is_found() {
    for (bind, endpoint) in [
        ("'127.0.0.1:80-90'", "127.0.0.1:85"),
        ("80", "127.0.0.7:80"),
    ] {
        let text = format!(
            "[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = {bind}\nupstream = 'u'\n\
             [[upstream]]\nname = 'u'\nendpoints = ['{endpoint}']"
        );
        let errors = wrong(&text);
        assert!(errors[0].contains("endless loop"), "{errors:?}");
    }
}

#[test]
fn a_doubtful_freebind_is_named() {
    let text = listener("bind = [80, '0.0.0.0:81']\nsocket.freebind = true");
    let doubts: Vec<_> = parse(&text).warnings().iter().map(|w| w.text()).collect();
    assert_eq!(
        doubts,
        [
            "listener[0].socket.freebind = true: every machine has the addresses of `bind`; write \
             false, or an address that this machine may lack"
        ]
    );
    let text = listener("bind = [80, '10.0.0.1:81']\nsocket.freebind = true");
    assert_eq!(parse(&text).warnings(), []);
}

/// A reload keeps a listening socket by the address.
#[test]
fn the_same_address_is_equal_however_it_is_written() {
    let of = |bind: &str| -> Vec<BindTo> {
        let config = parse(&listener(&format!("bind = {bind}")));
        let binds = config.listeners[0].bind.iter();
        binds.map(|bind| bind.to.clone()).collect()
    };
    assert_eq!(of("'10.0.0.1:80-81'"), of("['10.0.0.1:80', '10.0.0.1:81']"));
    assert_eq!(of("80"), of("['0.0.0.0:80', '[::]:80']"));
}

#[test]
fn a_unix_socket_has_a_path_or_a_name() {
    let written = "['unix:/run/x.sock', 'unix:@web', '127.0.0.1:1']";
    let expected = [
        (0, "unix:/run/x.sock"),
        (1, "unix:@web"),
        (2, "127.0.0.1:1"),
    ];
    assert_eq!(binds(written), expected.map(|(at, to)| (at, to.to_owned())));
    let longest = format!("'unix:/{}'", "x".repeat(106));
    assert_eq!(binds(&longest).len(), 1);
    for too_long in [
        format!("unix:/{}", "x".repeat(107)),
        format!("unix:@{}", "x".repeat(107)),
    ] {
        let errors = wrong(&listener(&format!("bind = '{too_long}'")));
        let why = "longer than the 107 bytes of a unix socket; write a shorter path; a symbolic \
                   link to its folder helps";
        assert!(errors.len() == 1 && errors[0].ends_with(why), "{errors:?}");
    }
}

#[test]
fn a_unix_socket_belongs_to_one_listener() {
    let text = listener("bind = 'unix:/run/x.sock'")
        + &listener("bind = ['unix:@/run/x.sock', 'unix:/run/./x.sock']").replace("'a'", "'b'");
    let expected = "8: listener[1].bind[1] = 'unix:/run/./x.sock': this address is on line 4 \
                    already; write another";
    assert_eq!(wrong(&text), [expected]);
}

#[test]
fn who_may_connect_to_a_unix_socket() {
    let of = |lines: &str| {
        let text = listener(&format!("bind = 'unix:/run/x.sock'\n{lines}"));
        parse(&text).listeners[0].unix.clone()
    };
    assert_eq!(of(""), super::UNIX);
    let unix = of("unix = { mode = '600', owner = 'web', group = '33' }");
    let names = (unix.owner.as_deref(), unix.group.as_deref());
    assert_eq!((unix.mode, names), (0o600, (Some("web"), Some("33"))));
    for mode in ["'0o660'", "660", "'888'", "'4755'", "''", "'rw'", "0o660"] {
        let text = listener(&format!("bind = 'unix:/run/x'\nunix.mode = {mode}"));
        let expected = format!(
            "5: listener[0].unix.mode = {mode}: not a file mode; write octal digits, in quotes: \
             \"0600\" or \"0660\""
        );
        assert_eq!(wrong(&text), [expected]);
    }
}

#[test]
fn keys_without_a_socket_for_them_are_named() {
    let doubts = |lines: &str| -> Vec<String> {
        let warnings = parse(&listener(lines)).warnings();
        warnings.iter().map(|warning| warning.text()).collect()
    };
    let socket = "listener[0].socket: a unix socket has none of these options; write an IP address \
                  in `bind`, or leave it out";
    let unix = "listener[0].unix: no unix socket of this listener has a file; write a path in \
                `bind`, or leave it out";
    for (bind, expected) in [
        ("'unix:/run/x'", &[socket][..]),
        ("'127.0.0.1:1'", &[unix]),
        ("'unix:@x'", &[socket, unix]),
        ("['unix:/run/x', '127.0.0.1:1']", &[]),
    ] {
        let lines = format!("bind = {bind}\nsocket.keepalive = 'off'\nunix.mode = '666'");
        assert_eq!(doubts(&lines), expected, "{bind}");
        assert_eq!(doubts(&format!("bind = {bind}")), [""; 0], "{bind}");
    }
}

#[test]
fn says_what_is_wrong_with_an_address() {
    for (value, why) in BINDS {
        let text = listener(&format!("bind = {value}"));
        let expected = format!("4: listener[0].bind = {value}: {why}");
        assert_eq!(wrong(&text), [expected]);
    }
}

#[test]
fn a_socket_of_systemd_has_a_name() {
    let expected = [(0, "systemd:web".to_owned()), (1, "127.0.0.1:1".to_owned())];
    assert_eq!(binds("['systemd:web', '127.0.0.1:1']"), expected);
    let long = format!("systemd:{}", "x".repeat(256));
    for name in ["systemd:", "systemd:a:b", "systemd:é", &long] {
        let errors = wrong(&listener(&format!("bind = '{name}'")));
        let why = "not the name of a socket of systemd; write \"systemd:NAME\", with the \
                   FileDescriptorName= of a socket unit";
        assert!(errors.len() == 1 && errors[0].ends_with(why), "{errors:?}");
    }
    let text =
        listener("bind = 'systemd:web'") + &listener("bind = 'systemd:web'").replace("'a'", "'b'");
    let expected =
        "8: listener[1].bind = 'systemd:web': this name is on line 4 already; write another";
    assert_eq!(wrong(&text), [expected]);
    // The socket may be of TCP.
    assert_eq!(
        parse(&listener("bind = 'systemd:web'\nsocket.nodelay = false")).warnings(),
        []
    );
}
