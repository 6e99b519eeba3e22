//! Every message about listeners, upstreams and files as a whole, to the letter, as tables.
//!
//! A case is a text and all the lines of its answer, without the name of the file.

use super::{ECHO, parse, wrong};
use crate::config::{Config, ConfigError, Reason};

/// How to write an address.
macro_rules! ip_port {
    () => {
        "write IP:PORT, e.g. \"127.0.0.1:7008\" or \"[::1]:7008\""
    };
}

/// How to write an endpoint.
macro_rules! endpoint {
    () => {
        "write IP:PORT or NAME:PORT, e.g. \"127.0.0.1:7008\" or \"db.internal:5432\""
    };
}

/// Whole files about listeners and upstreams, with the errors.
const LISTENERS: &[(&str, &[&str])] = &[
    (
        "",
        &["1: listener: missing; write at least one [[listener]]"],
    ),
    (
        "listener = []",
        &["1: listener: missing; write at least one [[listener]]"],
    ),
    (
        "\n[listener]\nname = 'a'",
        &["2: listener: not a list of tables; write [[listener]], in two brackets, for each"],
    ),
    (
        "listener = ['a',\n{ }]",
        &[
            "1: listener[0] = 'a': not a table; write [[listener]]",
            "2: listener[1].name: missing; write a name, e.g. name = \"echo\"",
            "2: listener[1].bind: missing; write an address, e.g. bind = \"127.0.0.1:7007\"",
            "2: listener[1].service: missing; write service = \"echo\" or \"proxy\"",
        ],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'http'\nbind = 'a'\n",
        &[
            "3: listener[0].service = 'http': not a service; write \"echo\" or \"proxy\"",
            concat!(
                "4: listener[0].bind = 'a': host names are looked up for endpoints alone; ",
                ip_port!()
            ),
        ],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'echo'\nbind = '[::1]:0'\nupstream = 'a'",
        &[
            "5: listener[0].upstream = 'a': an echo connects to no upstream; write service = \
             \"proxy\", or no upstream",
        ],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = '[::1]:0'\nbacklog = 65536",
        &[
            "1: listener[0].upstream: missing; write the name of an [[upstream]], e.g. upstream = \
             \"echo\"",
            "5: listener[0].backlog = 65536: out of range; write 1 to 65535: the kernel counts no \
             further",
        ],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'echo'\nbind = '[::1]:0'\nbacklog = '1k'\nblog = 0",
        &[
            "5: listener[0].backlog = '1k': not a whole number; write 1 to 65535, without quotes",
            "6: listener[0].blog = 0: unknown key; known here: name, bind, service, upstream, \
             backlog, access_log, on_removed, drain_over, timeouts, socket, unix",
        ],
    ),
];

/// Refused endpoints, with the errors.
const ENDPOINTS: &[(&str, &str)] = &[
    (
        "'10.0.0.1'",
        "no port; write IP:PORT, e.g. \"10.0.0.1:7007\"",
    ),
    (
        "'10.0.0.1:70000'",
        "no such port; write a port from 1 to 65535",
    ),
    (
        "'db-1.example.org'",
        "no port; write a port behind the name, e.g. \"db-1.example.org:5432\"",
    ),
    (
        "'db-1.example.org:0'",
        "nothing listens on port 0; write a port from 1 to 65535",
    ),
    (
        "'db-1.example.org:70000'",
        "no such port; write a port from 1 to 65535",
    ),
    (
        "'srv:_db._tcp.example.org:5432'",
        "the records of a service have the ports; write \"srv:_db._tcp.example.org\"",
    ),
    (
        "'srv:10.0.0.1'",
        "not the name of a service; write \"srv:_SERVICE._tcp.NAME\", e.g. \
         \"srv:_postgresql._tcp.db.internal\"",
    ),
    (
        "10",
        "a port alone; write an address before it, e.g. \"127.0.0.1:10\"",
    ),
    ("1.5", concat!("not an address; ", endpoint!())),
    ("['[::1]:80']", concat!("not an address; ", endpoint!())),
    (
        "'10.0.0.1:0'",
        "nothing listens on port 0; write a port from 1 to 65535",
    ),
    (
        "'[fe80::1]:80'",
        "a link-local address is one only with the number of its interface; write e.g. \
         \"[fe80::1%2]:80\"; `ip link` shows the numbers",
    ),
    (
        "'0.0.0.0:80'",
        "the wildcard address is for listeners; write the address of one machine",
    ),
    (
        "'[::ffff:0.0.0.0]:80'",
        "the wildcard address is for listeners; write the address of one machine",
    ),
    (
        "'224.0.0.1:80'",
        "TCP has one receiver, this address has many; write the address of one machine",
    ),
];

/// Refused names.
const NAMES: &[&str] = &[
    "''",
    "' '",
    "'a b'",
    "'-a'",
    "'.a'",
    "'a/b'",
    "'é'",
    "\"a\\nb\"",
    "1",
];

/// Files with contradictions, and the errors.
const CONTRADICTIONS: &[(&str, &[&str])] = &[
    (
        "[[listener]]\nname = 'a'\nservice = 'echo'\n\
         bind = ['127.0.0.1:1', '[::ffff:127.0.0.1]:1']\n\
         [[listener]]\nname = 'a'\nservice = 'echo'\n\
         bind = '127.0.0.1:1'\n\
         [[upstream]]\nname = 'a'\nendpoints = ['[::1]:1', '[0::1]:1']\n\
         [[upstream]]\nname = 'a'\nendpoints = ['[::1]:1']",
        &[
            "4: listener[0].bind[1] = '[::ffff:127.0.0.1]:1': this address is on line 4 already; \
             write another",
            "6: listener[1].name = 'a': this name is on line 2 already; write another",
            "8: listener[1].bind = '127.0.0.1:1': this address is on line 4 already; write another",
            "11: upstream[0].endpoints[1] = '[0::1]:1': this endpoint is on line 11 already; \
             write another",
            "13: upstream[1].name = 'a': this name is on line 10 already; write another",
        ],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = '[::1]:0'\nupstream = 'ecko'\n\
         [[listener]]\nname = 'b'\nservice = 'porxy'\nbind = '[::1]:0'\nupstream = 'other'\n\
         [[listener]]\nname = 'c'\nservice = 'proxy'\nbind = '[::1]:0'\nupstream = ['echo']\n\
         [[upstream]]\nname = 'echo'\nendpoints = ['[::1]:1']",
        &[
            "5: listener[0].upstream = 'ecko': no upstream has this name; did you mean \"echo\"?",
            "8: listener[1].service = 'porxy': not a service; write \"echo\" or \"proxy\"",
            "10: listener[1].upstream = 'other': no upstream has this name; write the name of an \
             [[upstream]]",
            "15: listener[2].upstream = ['echo']: not a name; write the name of an [[upstream]]",
        ],
    ),
    // A slip has one error: a reference to a table with a wrong name is right.
    (
        "[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = '[::1]:0'\nupstream = 'e'\n\
         [[upstream]]\nendpoints = ['[::1]:1']",
        &["6: upstream[0].name: missing; write a name, e.g. name = \"echo\""],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = '[::1]:0'\nupstream = 'e'\n\
         [upstream]\nname = 'e'\nendpoints = ['[::1]:1']",
        &["6: upstream: not a list of tables; write [[upstream]], in two brackets, for each"],
    ),
    (
        "[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = '[::1]:0'\nupstream = 'e'\n\
         [[upstream]]\nname = 'e'",
        &["6: upstream[0].endpoints: missing; write a list, e.g. endpoints = [\"127.0.0.1:7007\"]"],
    ),
];

/// The address of proxies `a` on port 1, `b` on 2 and echo `c` on 3, an endpoint of `a`'s and one
/// of `b`'s upstream, and those that lead into a loop.
const LOOPS: &[(&str, &str, &str, &[&str])] = &[
    ("127.0.0.1", "127.0.0.1:1", "192.0.2.1:1", &["a"]),
    ("127.0.0.1", "[::ffff:127.0.0.1]:1", "192.0.2.1:1", &["a"]),
    ("0.0.0.0", "127.0.0.1:1", "192.0.2.1:1", &["a"]),
    ("[::]", "[::1]:1", "192.0.2.1:1", &["a"]),
    ("127.0.0.1", "127.0.0.1:2", "127.0.0.1:1", &["a", "b"]),
    // A listener in front of a loop is in the loop for ever, too.
    ("127.0.0.1", "127.0.0.1:2", "127.0.0.1:2", &["a", "b"]),
    ("127.0.0.1", "127.0.0.1:2", "192.0.2.1:1", &[]),
    ("127.0.0.1", "127.0.0.1:3", "192.0.2.1:1", &[]),
    ("[::]", "127.0.0.1:1", "192.0.2.1:1", &[]),
    ("127.0.0.2", "127.0.0.1:1", "192.0.2.1:1", &[]),
];

/// Texts without the syntax of TOML, with the errors.
const NO_TOML: &[(&str, &[&str])] = &[
    (
        "[log]\nlevel = debug",
        &["2:9: not TOML: a text has quotes; write level = \"debug\""],
    ),
    (
        "[[listener]]\n  bind =  127.0.0.1:80 # all\ntimeouts.idle = 10m\nupstream = web 1",
        &[
            "2:11: not TOML: a text has quotes; write bind = \"127.0.0.1:80\"",
            "3:17: not TOML: a text has quotes; write timeouts.idle = \"10m\"",
            "4:12: not TOML: a text has quotes; write upstream = \"web 1\"",
        ],
    ),
    (
        "[log]\nlevel = \u{201c}debug\u{201d}",
        &["2:9: not TOML: a text has quotes; write level = \"debug\""],
    ),
    // Where quotes alone do not help the parser's own words stand.
    (
        "name = 'a\n",
        &["1:10: not TOML: invalid literal string, expected `'`"],
    ),
    (
        "pin = \n",
        &["1:7: not TOML: string values must be quoted, expected literal string"],
    ),
    (
        "'é' = 'é'\n[log\nlevel = 1\n",
        &["2:5: not TOML: unclosed table, expected `]`"],
    ),
    (
        "[log]\n'é' = 1\n\"\\u00e9\" = 2\n'é' = 3",
        &[
            "3: log.\"é\": the key is on line 2 already; write the key once",
            "4: log.\"é\": the key is on line 2 already; write the key once",
        ],
    ),
    (
        "[log]\nlevel = 'info'\n[log]\nformat = 3",
        &["3: log: the key is on line 1 already; write the key once"],
    ),
    (
        "[[listener]]\ntimeouts.idle = '1s'\n[listener.timeouts]\n\nidle = '2s'",
        &["3: listener[0].timeouts: the key is on line 2 already; write the key once"],
    ),
    (
        "[[upstream]]\n[[upstream]]\nsocket = { nodelay = true,\n nodelay = false }",
        &["4: upstream[1].socket.nodelay: the key is on line 3 already; write the key once"],
    ),
    (
        "[listener]\nname = 'a'\n\n[listener]\nname = 'b'",
        &[
            "4: listener: the key is on line 1 already; write [[listener]], in two brackets, for \
             each",
        ],
    ),
    (
        "log.level = repeated-0\nlog.format = 1\nlog.format = 2",
        &[
            "1:13: not TOML: a text has quotes; write log.level = \"repeated-0\"",
            "3: log.format: the key is on line 2 already; write the key once",
        ],
    ),
];

#[test]
fn says_what_is_wrong_with_listeners_and_upstreams() {
    for (text, expected) in LISTENERS.iter().chain(CONTRADICTIONS) {
        assert_eq!(wrong(text), *expected, "{text}");
    }
}

#[test]
fn refuses_more_endpoints_than_a_session_can_number() {
    let endpoints: Vec<String> = (0..65_536).map(|_| "'[::1]:1'".to_owned()).collect();
    let endpoints = endpoints.join(",");
    let text = format!("{ECHO}[[upstream]]\nname = 'a'\nendpoints = [{endpoints}]");
    let errors = wrong(&text);
    let end = "too many endpoints for one upstream; write 65535 endpoints at most";
    assert!(
        errors.len() == 1 && errors[0].ends_with(end),
        "{}",
        errors.len()
    );
    assert!(errors[0].len() < 1000, "the list is not repeated");
}

/// Refused tables of an endpoint, with the errors.
const ENDPOINT_TABLES: &[(&str, &str)] = &[
    (
        "{ weight = 1 }",
        "[1].address: missing; write IP:PORT, e.g. \"10.0.0.1:5432\"",
    ),
    (
        "{ address = '10.0.0.1:0' }",
        "[1].address = '10.0.0.1:0': nothing listens on port 0; write a port from 1 to 65535",
    ),
    (
        "{ address = '10.0.0.1:1', weight = 257 }",
        "[1].weight = 257: out of range; write 0 to 256: 0 takes no new session, and 1 beside 256 \
         is the smallest share",
    ),
    (
        "{ address = '10.0.0.1:1', level = 16 }",
        "[1].level = 16: out of range; write 0 to 15: 0 is used first",
    ),
    (
        "{ address = '10.0.0.1:1', wait = 2 }",
        "[1].wait = 2: unknown key; known here: address, weight, level, max_sessions",
    ),
    (
        "{ address = '[::1]:1', weight = 2 }",
        "[1]: this endpoint is on line 5 already; write another",
    ),
];

#[test]
fn says_what_is_wrong_with_the_table_of_an_endpoint() {
    for (value, why) in ENDPOINT_TABLES {
        let text = format!("{ECHO}[[upstream]]\nname = 'a'\nendpoints = ['[::1]:1', {value}]");
        assert_eq!(wrong(&text), [format!("5: upstream[0].endpoints{why}")]);
    }
}

#[test]
fn says_what_is_wrong_with_an_address() {
    for (value, why) in ENDPOINTS {
        let text = format!("{ECHO}[[upstream]]\nname = 'a'\nendpoints = ['[::1]:1', {value}]");
        let expected = format!("5: upstream[0].endpoints[1] = {value}: {why}");
        assert_eq!(wrong(&text), [expected]);
    }
    for (value, why) in [
        ("'[::1]:1'", "not a list of addresses"),
        ("[]", "no address in the list"),
    ] {
        let text = format!("{ECHO}upstream = [{{ name = 'a', endpoints = {value} }}]");
        let write = "write [\"127.0.0.1:7007\", \"[::1]:7007\"]";
        let expected = format!("3: upstream[0].endpoints = {value}: {why}; {write}");
        assert_eq!(wrong(&text), [expected]);
    }
}

#[test]
fn says_what_is_wrong_with_a_name() {
    let rule = "not a name; write 1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.', beginning with a \
    letter or digit";
    let named =
        |name: &str| format!("[[listener]]\nname = {name}\nservice = 'echo'\nbind = '[::1]:0'");
    for name in NAMES {
        assert_eq!(
            wrong(&named(name)),
            [format!("2: listener[0].name = {name}: {rule}")]
        );
    }
    let long = format!("'{}'", "a".repeat(65));
    let expected = format!("2: listener[0].name = {}...: {rule}", &long[..64]);
    assert_eq!(wrong(&named(&long)), [expected]);
    let most = format!("'{}'", "a".repeat(64));
    assert_eq!(parse(&named(&most)).listeners[0].name.len(), 64);
}

#[test]
fn finds_proxies_that_lead_to_themselves() {
    let why = "connections would return to an earlier listener in an endless loop; write an \
    upstream that does not lead back here";
    for (ip, x, y, expected) in LOOPS {
        let text = format!(
            "listener = [
                {{ name = 'a', bind = '{ip}:1', service = 'proxy', upstream = 'x' }},
                {{ name = 'b', bind = '{ip}:2', service = 'proxy', upstream = 'y' }},
                {{ name = 'c', bind = '{ip}:3', service = 'echo' }},
            ]
            upstream = [
                {{ name = 'x', endpoints = ['192.0.2.2:1', '{x}'] }},
                {{ name = 'y', endpoints = ['192.0.2.2:1', '{y}'] }},
            ]"
        );
        let found = match Config::parse(&text, "t.toml") {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        let line = |name: &&str| match *name {
            "a" => format!("2: listener[0].upstream = 'x': {why}"),
            _ => format!("3: listener[1].upstream = 'y': {why}"),
        };
        let expected: Vec<String> = expected.iter().map(line).collect();
        assert_eq!(found, expected, "{ip}: a to {x}, b to {y}");
    }
}

#[test]
fn text_that_is_no_toml_is_refused_with_line_and_column() {
    for (text, expected) in NO_TOML {
        assert_eq!(wrong(text), *expected, "{text}");
    }
}

#[test]
fn counts_lines_whatever_ends_them() {
    let text = format!(
        "\u{feff}# first\r\n\r\n{}log.level = 1",
        ECHO.replace('\n', "\r\n")
    );
    let errors = Config::parse(&text, "t.toml").unwrap_err();
    assert_eq!(
        errors.iter().map(ConfigError::line).collect::<Vec<_>>(),
        [5]
    );
}

#[test]
fn errors_can_be_told_apart() {
    let errors = Config::parse("log.levle = 1", "a\nb.toml").unwrap_err();
    let found: Vec<(usize, &str)> = errors.iter().map(|e| (e.line(), e.key())).collect();
    assert_eq!(found, [(1, "listener"), (1, "log.levle")]);
    let last = errors.iter().last().unwrap();
    assert!(matches!(last.reason(), Reason::UnknownKey { nearest: Some(n), .. } if n == "level"));
    assert!(
        errors
            .to_string()
            .starts_with("a\\nb.toml:1: listener: missing")
    );
}
