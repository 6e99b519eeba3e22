//! What `bind` means: single addresses, ranges, ports alone, and what stands in the file already.

use super::{parse, wrong};
use crate::config::BindTo;

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

/// As both families of sockets; the IPv6 ones only where the system has IPv6.
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

/// A loop through a port of a range, or of all addresses, is one.
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

/// The identity of a listening socket, by which a reload keeps it.
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
