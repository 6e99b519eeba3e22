//! Every warning about what cannot be meant, to the letter, as tables; and what is not doubted.

use super::{ECHO, parse, proxy, upstream};
use crate::config::DEFAULT;

/// Lines of a proxy from line 6 on, and the warnings that they get.
const OF_LISTENERS: &[(&str, &[&str])] = &[
    (
        "timeouts = { idle = '1h', lifetime = '59m' }",
        &[
            "6: listener[0].timeouts.lifetime = '59m': shorter than timeouts.idle, which so never \
             ends a session; write \"1h\" or more, or a shorter idle, or idle = \"off\"",
        ],
    ),
    // The default of idle, too: it never ends a session then.
    (
        "timeouts.lifetime = '1m'",
        &[
            "6: listener[0].timeouts.lifetime = '1m': shorter than timeouts.idle, which so never \
             ends a session; write \"1h\" or more, or a shorter idle, or idle = \"off\"",
        ],
    ),
    (
        "timeouts.idle = '30s'\ntimeouts.half_close = '31s'",
        &[
            "7: listener[0].timeouts.half_close = '31s': longer than timeouts.idle, so a session \
             gets more time once one end is gone; write \"30s\" or less, or a longer idle",
        ],
    ),
    (
        "timeouts = { idle = 'off', lifetime = '1m', half_close = '2m' }",
        &[
            "6: listener[0].timeouts.half_close = '2m': longer than timeouts.lifetime, which ends \
             the session before; write \"1m\" or less, or a longer lifetime",
        ],
    ),
    (
        "timeouts.idle = '1m'\nsocket.keepalive.idle = '1m'",
        &[
            "7: listener[0].socket.keepalive.idle = '1m': no shorter than timeouts.idle, so no \
             silent session lasts until a probe; write less than \"1m\", or a longer \
             timeouts.idle",
        ],
    ),
    (
        "socket = { send_buffer = '64KiB', notsent_lowat = '64KiB' }",
        &[
            "6: listener[0].socket.notsent_lowat = '64KiB': no less than socket.send_buffer, so \
             it limits nothing; write less, or a larger send_buffer, or \"off\"",
        ],
    ),
    // One endpoint: there is no second try that would lack time.
    ("timeouts = { connect = '5s', connect_total = '5s' }", &[]),
    // What is not written is not doubted.
    ("timeouts.idle = '1s'", &[]),
    ("timeouts = { idle = 'off', lifetime = '100ms' }", &[]),
    (
        "timeouts = { idle = '1m', lifetime = '1m', half_close = '1m' }",
        &[],
    ),
    (
        "socket = { send_buffer = '64KiB', notsent_lowat = '63KiB' }",
        &[],
    ),
    ("socket.notsent_lowat = '1GiB'", &[]),
    ("on_removed = 'drain'\ndrain_over = '10m'", &[]),
    (
        "on_removed = 'reset'\ndrain_over = '10m'",
        &[
            "7: listener[0].drain_over = '10m': on_removed drains nothing; write on_removed = \
             \"drain\" too, or no drain_over",
        ],
    ),
];

/// Lines of an unused upstream with two endpoints from line 6 on, and the warnings that they get
/// besides that it is not used.
const OF_UPSTREAMS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("tries = 2", &[]),
    (
        "drain_over = '1s'",
        &[
            "6: upstream[0].drain_over = '1s': on_removed drains nothing; write on_removed = \
             \"drain\" too, or no drain_over",
        ],
    ),
    (
        "tries = 3",
        &[
            "6: upstream[0].tries = 3: more than there are endpoints, each of which is tried once; \
             write 2 at most, or more endpoints",
        ],
    ),
    (
        "socket = { send_buffer = '4KiB', notsent_lowat = '1MiB' }",
        &[
            "6: upstream[0].socket.notsent_lowat = '1MiB': no less than socket.send_buffer, so it \
             limits nothing; write less, or a larger send_buffer, or \"off\"",
        ],
    ),
];

const UNUSED: &str = "4: upstream[0].name = 'u': no listener uses this upstream; write its name as \
                      the upstream of a listener, or leave it out";

/// The warnings about a text, without the name of the file.
fn doubts(text: &str) -> Vec<String> {
    let warnings = parse(text).warnings();
    let shown = warnings.iter().map(ToString::to_string);
    shown
        .map(|line| line.strip_prefix("t.toml:").expect("its place").to_owned())
        .collect()
}

#[test]
fn doubts_what_cannot_be_meant() {
    for (lines, expected) in OF_LISTENERS {
        assert_eq!(doubts(&proxy(lines)), *expected, "{lines}");
    }
    for (lines, expected) in OF_UPSTREAMS {
        let found = doubts(&upstream("['10.0.0.1:1', '10.0.0.2:1']", lines));
        let expected: Vec<&str> = [UNUSED].iter().chain(*expected).copied().collect();
        assert_eq!(found, expected, "{lines}");
    }
    let two = proxy("timeouts = { connect = '5s', connect_total = '5s' }")
        .replace("['10.0.0.1:1']", "['10.0.0.1:1', '10.0.0.2:1']");
    let expected = "6: listener[0].timeouts.connect_total = '5s': one try may take all of \
                    connect_total, so no other endpoint is tried after one that does not answer; \
                    write a connect_total of \"10s\" or more, or a shorter connect, or tries = 1";
    assert_eq!(doubts(&two), [expected]);
    assert_eq!(doubts(&format!("{two}tries = 1")), [""; 0]);
}

#[test]
fn doubts_a_control_socket_for_nobody() {
    const USED: &str = "control = { socket = '/run/c', ";
    for (lines, expected) in [
        (
            "control.mode = '0666'".to_owned(),
            "3: control.mode = '0666': there is no control socket; write control.socket, too, or \
             leave it out",
        ),
        (
            format!("{USED}operate = ['www'] }}"),
            "3: control.operate = ['www']: control.mode lets no further user connect; write \
             control.mode = \"0666\", too, or leave it out",
        ),
        (format!("{USED}mode = '0660', operate = ['www'] }}"), ""),
        (format!("{USED}mode = '0600' }}"), ""),
        ("control.tcp = '127.0.0.1:9100'".to_owned(), ""),
    ] {
        assert_eq!(
            doubts(&format!("{ECHO}{lines}")).concat(),
            expected,
            "{lines}"
        );
    }
}

#[test]
fn doubts_a_dashboard_for_nobody_or_for_everybody() {
    for (lines, expected) in [
        (
            "dashboard.token_file = '/run/t'",
            "3: dashboard.token_file = '/run/t': there is no dashboard; write dashboard.bind, \
             too, or leave it out",
        ),
        (
            "dashboard.bind = '0.0.0.0:9900'",
            "3: dashboard.bind = '0.0.0.0:9900': whoever reaches this address sees all clients, \
             and the token crosses the network as it is; write a loopback address, and reach it \
             by ssh -L or behind a proxy with TLS",
        ),
        ("dashboard.bind = '[::1]:9900'", ""),
        (
            "dashboard = { bind = '127.0.0.1:9900', token_file = '/run/t' }",
            "",
        ),
    ] {
        assert_eq!(
            doubts(&format!("{ECHO}{lines}")).concat(),
            expected,
            "{lines}"
        );
    }
}

#[test]
fn doubts_keys_of_the_access_log_without_a_file() {
    const ROTATE: &str = ": the target is no file; write the path of a file as access_log.target, \
                          too, or leave it out";
    const KEEP: &str = ": no file is renamed; write access_log.rotate and a file as \
                        access_log.target, too, or leave it out";
    for (lines, expected) in [
        (
            "access_log = { target = 'stderr', rotate = '1MiB' }",
            format!("3: access_log.rotate = '1MiB'{ROTATE}"),
        ),
        (
            "access_log = { target = 'syslog', keep = 3 }",
            format!("3: access_log.keep = 3{KEEP}"),
        ),
        (
            "access_log = { target = '/var/log/a', keep = 3 }",
            format!("3: access_log.keep = 3{KEEP}"),
        ),
        (
            "access_log.target = '/var/log/a'\nlog.target = '/var/log/a'",
            "3: access_log.target = '/var/log/a': log.target is the same file, so no program can \
             read one of the two alone; write the path of another file"
                .to_owned(),
        ),
        (
            "access_log = { target = '/var/log/a', rotate = '1MiB', keep = 3 }\n\
             log.target = '/var/log/b'",
            String::new(),
        ),
        (
            "access_log = { target = 'journald', rotate = 'off' }",
            String::new(),
        ),
        ("access_log.target = 'stderr'", String::new()),
    ] {
        assert_eq!(
            doubts(&format!("{ECHO}{lines}")).concat(),
            expected,
            "{lines}"
        );
    }
}

#[test]
fn does_not_doubt_the_default_or_the_least() {
    assert_eq!(doubts(DEFAULT), [""; 0]);
    assert_eq!(doubts(ECHO), [""; 0]);
    assert_eq!(doubts(&proxy("")), [""; 0]);
}

#[test]
fn warnings_stand_in_the_order_of_the_lines_and_escape_the_name() {
    let text = format!(
        "{}tries = 2\n[[upstream]]\nname = 'v'\nendpoints = ['10.0.0.1:1']\n",
        proxy("timeouts.lifetime = '1s'\ntimeouts.half_close = '2s'")
    );
    let config = crate::config::Config::parse(&text, "a\nb.toml").expect("no mistake");
    let places: Vec<String> = config.warnings().iter().map(|w| w.place()).collect();
    let expected = ["6", "7", "11", "13"].map(|line| format!("a\\nb.toml:{line}"));
    assert_eq!(places, expected);
}

/// What the server finds out has the place of its key, or of the table where the key would be.
#[test]
fn a_later_mistake_has_its_place() {
    let config = parse(
        "[runtime]\nlanes = 2\n[[listener]]\nname = 'a'\nservice = 'echo'\nbind = ['[::1]:1',\n\
         '[::1]:2']\n[[listener]]\nname = 'b'\nservice = 'echo'\nbind = '[::1]:3'\n",
    );
    for (key, expected) in [
        ("runtime.lanes", "2: runtime.lanes = 2: no"),
        (
            "listener[0].bind[1]",
            "7: listener[0].bind[1] = '[::1]:2': no",
        ),
        (
            "listener[1].bind[0]",
            "11: listener[1].bind = '[::1]:3': no",
        ),
        ("listener[1].bind", "11: listener[1].bind = '[::1]:3': no"),
        ("listener[1].backlog", "8: listener[1].backlog: no"),
        (
            "listener[1].socket.nodelay",
            "8: listener[1].socket.nodelay: no",
        ),
        ("runtime.pin", "1: runtime.pin: no"),
        ("log.level", "1: log.level: no"),
        ("upstream[3].source[1]", "1: upstream[3].source[1]: no"),
    ] {
        let errors = config.refuse([(key.to_owned(), "no".to_owned())]);
        assert_eq!(errors.to_string(), format!("t.toml:{expected}"));
    }
}
