//! `check --here` and `run` try everything that can be tried on a machine, and report all failures.
//!
//! Addresses of no machine are from 203.0.113.0/24, the network for documentation (RFC 5737).

use std::net::{IpAddr, TcpListener, UdpSocket};

use super::{Directory, holder, ok};

/// A configuration, and the beginnings of its lines of output.
type Case = (String, Vec<String>);

const NOBODY: &str = "no interface of this machine has that address; write one that it has, or ";

/// A proxy with `listener` in lines 5 and 6, in front of an upstream with `upstream` from line 9
/// on.
fn proxied(listener: &str, upstream: &str) -> String {
    format!(
        "[[listener]]\nname = 'p'\nservice = 'proxy'\nupstream = 'u'\n{listener}\n\n\
         [[upstream]]\nname = 'u'\n{upstream}\n"
    )
}

/// The address of a foreign machine, and addresses of no machine.
fn addresses() -> Vec<Case> {
    let any = "bind = '127.0.0.1:0'";
    vec![
        (
            proxied(
                any,
                "endpoints = ['127.0.0.1:9']\nsource = ['203.0.113.55']",
            ),
            vec![format!(
                "10: upstream[0].source[0] = '203.0.113.55': {NOBODY}leave it out"
            )],
        ),
        (
            proxied(
                any,
                "endpoints = ['127.0.0.1:9', '203.0.113.9:9']\nsource = ['127.0.0.1']",
            ),
            vec![
                "10: upstream[0].source[0] = '127.0.0.1': from the loopback no connection leaves \
                 this machine, and the endpoint 203.0.113.9:9 is elsewhere; write an address of \
                 another interface"
                    .to_owned(),
            ],
        ),
        (
            proxied(
                "bind = ['127.0.0.1:0',\n'203.0.113.1:9']",
                "endpoints = ['127.0.0.1:9']\nsource = ['127.0.0.1',\n'203.0.113.2']",
            ),
            vec![
                format!("6: listener[0].bind[1] = '203.0.113.1:9': {NOBODY}\"0.0.0.0\""),
                format!("12: upstream[0].source[1] = '203.0.113.2': {NOBODY}leave it out"),
            ],
        ),
    ]
}

/// Features that only Linux has, or numbers by Linux.
fn linux() -> Vec<Case> {
    let congestion = "the kernel has no congestion control of this name; load its module, or write \
                      one that it has: ";
    let interface = "this machine has no interface 99999; `ip link` shows their numbers";
    vec![
        (
            proxied(
                "bind = '127.0.0.1:0'\nsocket.congestion = 'nosuch'",
                "endpoints = ['127.0.0.1:9']\nsocket.congestion = 'nosuch'",
            ),
            vec![
                format!("6: listener[0].socket.congestion = 'nosuch': {congestion}"),
                format!("11: upstream[0].socket.congestion = 'nosuch': {congestion}"),
            ],
        ),
        (
            proxied(
                "bind = '[fe80::1%99999]:9'",
                "endpoints = ['[fe80::2%99999]:9']",
            ),
            vec![
                format!("5: listener[0].bind = '[fe80::1%99999]:9': {interface}"),
                format!("9: upstream[0].endpoints[0] = '[fe80::2%99999]:9': {interface}"),
            ],
        ),
        (
            "[control]\nsocket = '/nosuch/control.sock'\nread = ['root', 'nosuch']\n\
             [[listener]]\nname = 'e'\nservice = 'echo'\nbind = '127.0.0.1:0'\n"
                .to_owned(),
            vec![
                "2: control.socket = '/nosuch/control.sock': cannot listen there: No such file"
                    .to_owned(),
                "3: control.read[1] = 'nosuch': there is no such user in /etc/passwd".to_owned(),
            ],
        ),
        (
            "[runtime]\nlanes = [1023]\npoller = 'kqueue'\n[[listener]]\nname = 'e'\n\
             service = 'echo'\nbind = '203.0.113.1:9'\n"
                .to_owned(),
            vec![
                "2: runtime.lanes = [1023]: this process may not use CPU 1023; it may use ["
                    .to_owned(),
                "3: runtime.poller = 'kqueue': this system has io_uring and epoll".to_owned(),
                format!("7: listener[0].bind = '203.0.113.1:9': {NOBODY}"),
            ],
        ),
    ]
}

/// Connections to an own address return through the wildcard listener, and through a second proxy.
fn loops(own: IpAddr) -> Case {
    let text = format!(
        "listener = [\n\
         {{ name = 'a', bind = '0.0.0.0:9107', service = 'proxy', upstream = 'b' }},\n\
         {{ name = 'b', bind = '127.0.0.1:9108', service = 'proxy', upstream = 'a' }},\n]\n\
         upstream = [\n{{ name = 'a', endpoints = ['{own}:9107'] }},\n\
         {{ name = 'b', endpoints = ['127.0.0.1:9108'] }},\n]\n"
    );
    let back = |endpoint: &str, name: &str| {
        format!(
            "its endpoint {endpoint} is this machine, where connections come to listener \
             \"{name}\" in an endless loop; write an upstream that does not lead back here"
        )
    };
    let through_a = back(&format!("{own}:9107"), "a");
    let through_b = back("127.0.0.1:9108", "b");
    let lines = vec![
        format!("2: listener[0].upstream = 'b': {through_b}"),
        format!("3: listener[1].upstream = 'a': {through_a}"),
    ];
    (text, lines)
}

#[test]
fn what_cannot_work_here_is_told_at_once_and_in_whole() {
    let mut cases = addresses();
    if cfg!(target_os = "linux") {
        cases.extend(linux());
    }
    cases.extend(own_address().map(loops));
    for (text, expected) in cases {
        let directory = Directory::with("a.toml", &text);
        let check = directory.run(&["check", "-c", "a.toml"]);
        assert_eq!(check.code, Some(0), "{text}\n{check:?}");
        for arguments in [
            &["check", "--here", "-c", "a.toml"][..],
            &["run", "-c", "a.toml"],
        ] {
            let answer = directory.run(arguments);
            let (code, stdout) = (answer.code, answer.stdout.as_str());
            assert_eq!((code, stdout), (Some(2), ""), "{text}\n{answer:?}");
            let is_log = |line: &&str| line.contains(" INFO ");
            let lines: Vec<&str> = answer.stderr.lines().skip_while(is_log).collect();
            assert_eq!(lines.len(), expected.len(), "{text}\n{answer:?}");
            for (line, expected) in lines.iter().zip(&expected) {
                let expected = format!("a.toml:{expected}");
                assert!(line.starts_with(&expected), "{line}\n{expected}");
            }
        }
    }
}

/// A non-loopback address of this machine, if the machine has a network: the source address for a
/// route to a foreign network. Sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback())
}

/// A port in use is no mistake; a mistake beside it is reported.
#[test]
fn a_port_in_use_is_told_with_another_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let holder = holder();
    let in_use = format!("{holder} listens there already; stop it, or choose another address");
    let text = format!("[[listener]]\nname = 'e'\nservice = 'echo'\nbind = ['{address}']\n");
    let directory = Directory::with("a.toml", &text);
    let answer = directory.run(&["check", "--here", "-c", "a.toml"]);
    let line = format!("a.toml:4: listener[0].bind[0] = '{address}': {in_use}\n");
    assert_eq!(
        (answer.code, &answer.stderr),
        (Some(1), &line),
        "{answer:?}"
    );

    let both = text.replace("']\n", "', '203.0.113.1:9']\n");
    let directory = Directory::with("a.toml", both);
    let answer = directory.run(&["check", "--here", "-c", "a.toml"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    assert!(answer.stderr.starts_with(&line), "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 2, "{answer:?}");

    drop(taken);
    let directory = Directory::with("a.toml", text.replace(&address.to_string(), "127.0.0.1:0"));
    let answer = directory.run(&["check", "--here", "-c", "a.toml"]);
    assert_eq!(answer, ok("a.toml: ok: 1 listener, 0 upstreams\n"));
}
