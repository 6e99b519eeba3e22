//! What a configuration means, and every message it can give, as tables.
//!
//! A case of `REFUSED` is a text and all the lines that it must get, to the letter.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{
    Config, DEFAULT, Lanes, Listener, Log, LogFormat, LogLevel, MaxSessions, PollerChoice, Reason,
    Runtime, Service, Shutdown, Upstream,
};

/// A listener for texts that are about something else; two lines.
const ECHO: &str = "listener = [{ name = \"e\", bind = \"[::1]:0\", service = \"echo\" }]\n\n";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn parse(text: &str) -> Config {
    Config::parse(text, "t.toml").unwrap_or_else(|errors| panic!("{errors}\nin\n{text}"))
}

/// What is wrong with `text`, one line an error, without the name of the file.
fn wrong(text: &str) -> Vec<String> {
    let errors = Config::parse(text, "t.toml").expect_err(text);
    let lines: Vec<String> = errors.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), errors.iter().count(), "one line an error");
    let rest = |line: &String| line.strip_prefix("t.toml:").unwrap().to_owned();
    lines.iter().map(rest).collect()
}

#[test]
fn the_default_means_what_its_comments_say() {
    let expected = Config {
        runtime: Runtime {
            lanes: Lanes::Auto,
            pin: true,
            poller: PollerChoice::Auto,
            idle_spin: Duration::from_micros(20),
            max_sessions: MaxSessions::Auto,
        },
        log: Log {
            level: LogLevel::Info,
            format: LogFormat::Text,
        },
        shutdown: Shutdown {
            grace: Duration::from_secs(30),
        },
        listeners: vec![
            Listener {
                name: "echo".into(),
                bind: vec![address("127.0.0.1:7007")],
                service: Service::Echo,
                backlog: 4096,
            },
            Listener {
                name: "proxy".into(),
                bind: vec![address("127.0.0.1:7008")],
                service: Service::Proxy { upstream: 0 },
                backlog: 4096,
            },
        ],
        upstreams: vec![Upstream {
            name: "echo".into(),
            endpoints: vec![address("127.0.0.1:7007")],
        }],
    };
    assert_eq!(parse(DEFAULT), expected);
}

#[test]
fn what_is_left_out_is_as_in_the_default() {
    let (default, least) = (parse(DEFAULT), parse(ECHO));
    assert_eq!(least.runtime, default.runtime);
    assert_eq!(least.log, default.log);
    assert_eq!(least.shutdown, default.shutdown);
    assert_eq!(least.listeners[0].backlog, default.listeners[0].backlog);
    assert_eq!(least.upstreams, []);
}

#[test]
fn every_example_file_parses() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let files = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        Config::parse(&text, &file.display().to_string()).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn lanes_are_automatic_a_number_or_a_list() {
    let lanes = |value| parse(&format!("{ECHO}[runtime]\nlanes = {value}")).runtime.lanes;
    let count = |count| Lanes::Count(NonZeroUsize::new(count).unwrap());
    assert_eq!(lanes("\"auto\""), Lanes::Auto);
    assert_eq!(lanes("1"), count(1));
    assert_eq!(lanes("1_024"), count(1024));
    assert_eq!(lanes("0x10"), count(16));
    assert_eq!(lanes("[3, 0, 1023]"), Lanes::Cpus(vec![3, 0, 1023]));
}

#[test]
fn every_word_and_limit_is_read() {
    let runtime = |key| parse(&format!("{ECHO}[runtime]\n{key}")).runtime;
    for (word, poller) in [
        ("auto", PollerChoice::Auto),
        ("io_uring", PollerChoice::IoUring),
        ("epoll", PollerChoice::Epoll),
        ("kqueue", PollerChoice::Kqueue),
        ("iocp", PollerChoice::Iocp),
    ] {
        assert_eq!(runtime(&format!("poller = '{word}'")).poller, poller);
    }
    assert!(!runtime("pin = false").pin);
    assert!(!runtime("pin = false\nlanes = 2").pin);
    assert!(runtime("pin = true\nlanes = [2]").pin);
    assert_eq!(runtime("idle_spin = '0us'").idle_spin, Duration::ZERO);
    assert_eq!(runtime("idle_spin = '1ms'").idle_spin, Duration::from_millis(1));
    assert_eq!(runtime("max_sessions = 'auto'").max_sessions, MaxSessions::Auto);
    let one = MaxSessions::Count(NonZeroU32::MIN);
    assert_eq!(runtime("max_sessions = 1").max_sessions, one);

    let log = |key| parse(&format!("{ECHO}[log]\n{key}")).log;
    for (word, level) in [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ] {
        assert_eq!(log(&format!("level = '{word}'")).level, level);
    }
    assert_eq!(log("format = 'json'").format, LogFormat::Json);
    let grace = |value| parse(&format!("{ECHO}shutdown.grace = '{value}'")).shutdown.grace;
    assert_eq!(grace("0s"), Duration::ZERO);
    assert_eq!(grace("24h"), Duration::from_hours(24));
}

#[test]
fn binds_that_may_stand_together() {
    let text = "
        [[listener]]
        name = 'a'
        service = 'echo'
        bind = ['127.0.0.1:80', '0.0.0.0:80', '[::]:80', '[::1]:80', '127.0.0.1:81']
        backlog = 65535
        [[listener]]
        name = 'b'
        service = 'echo'
        bind = ['127.0.0.1:0', '127.0.0.1:0', '127.0.0.2:80', '[fe80::1%2]:80', '[fe80::1%3]:80']
        backlog = 1
    ";
    let config = parse(text);
    assert_eq!(config.listeners[0].bind.len(), 5);
    assert_eq!(config.listeners[1].bind[0], config.listeners[1].bind[1]);
    assert_eq!(config.listeners[0].backlog, 65_535);
    assert_eq!(config.listeners[1].backlog, 1);
}

#[test]
fn upstreams_are_found_wherever_they_stand() {
    let text = "
        [[upstream]]
        name = 'unused'
        endpoints = ['192.0.2.1:1', '[2001:db8::1]:1']
        [[listener]]
        name = 'same'
        bind = '127.0.0.1:0'
        service = 'proxy'
        upstream = 'same'
        [[upstream]]
        name = 'same'
        endpoints = ['192.0.2.1:1']
    ";
    let config = parse(text);
    assert_eq!(config.listeners[0].service, Service::Proxy { upstream: 1 });
    assert_eq!(config.upstreams[0].endpoints.len(), 2);
}

#[test]
fn proxies_in_a_row_are_no_loop() {
    let text = "
        upstream = [
            { name = 'b', endpoints = ['127.0.0.1:2'] },
            { name = 'c', endpoints = ['127.0.0.1:3', '127.0.0.1:9'] },
            { name = 'a elsewhere', endpoints = ['192.0.2.1:1'] },
        ]
        listener = [
            { name = 'a', bind = '0.0.0.0:1', service = 'proxy', upstream = 'b' },
            { name = 'b', bind = '127.0.0.1:2', service = 'proxy', upstream = 'c' },
            { name = 'c', bind = '127.0.0.1:3', service = 'proxy', upstream = 'a-elsewhere' },
            { name = 'exact', bind = '127.0.0.1:9', service = 'echo' },
            { name = 'wild', bind = '0.0.0.0:9', service = 'proxy', upstream = 'c' },
        ]
    ";
    parse(&text.replace("a elsewhere", "a-elsewhere"));
}

/// How to write an address.
macro_rules! ip_port {
    () => {
        "write IP:PORT, e.g. \"127.0.0.1:7008\" or \"[::1]:7008\""
    };
}

/// Tables other than listeners and upstreams: what stands on line 3, and what it gets.
const REFUSED_PROCESS: &[(&str, &[&str])] = &[
    ("runtime.lanes = 0", &[
        "3: runtime.lanes = 0: out of range; write 1 to 1024: one for each CPU is enough",
    ]),
    ("runtime.lanes = 1025", &[
        "3: runtime.lanes = 1025: out of range; write 1 to 1024: one for each CPU is enough",
    ]),
    ("runtime.lanes = -99999999999999999999", &[
        "3: runtime.lanes = -99999999999999999999: out of range; write 1 to 1024: one for each \
         CPU is enough",
    ]),
    ("runtime.lanes = \"many\"", &[
        "3: runtime.lanes = \"many\": not a number of lanes; write \"auto\", 1 to 1024, or a list \
         of CPU ids such as [0, 1]",
    ]),
    ("runtime.lanes = 2.0", &[
        "3: runtime.lanes = 2.0: not a number of lanes; write \"auto\", 1 to 1024, or a list of \
         CPU ids such as [0, 1]",
    ]),
    ("runtime.lanes = []", &[
        "3: runtime.lanes = []: no CPU, so no lane; write at least one CPU id, or \"auto\"",
    ]),
    ("runtime.lanes = [1,\n  1, 1024,\n  '2', -1]", &[
        "4: runtime.lanes[1] = 1: this CPU is on line 3 already; write another",
        "4: runtime.lanes[2] = 1024: out of range; write 0 to 1023: the CPUs that a thread can be \
         bound to",
        "5: runtime.lanes[3] = '2': not a whole number; write 0 to 1023, without quotes",
        "5: runtime.lanes[4] = -1: out of range; write 0 to 1023: the CPUs that a thread can be \
         bound to",
    ]),
    ("runtime.pin = \"true\"", &[
        "3: runtime.pin = \"true\": not a boolean; write true or false, without quotes",
    ]),
    ("runtime = { lanes = [0], pin = false }", &[
        "3: runtime.pin = false: runtime.lanes names the CPUs that lanes are bound to; write true \
         here, or a number of lanes there",
    ]),
    ("runtime.poller = \"uring\"", &[
        "3: runtime.poller = \"uring\": not a poller; write \"auto\", \"io_uring\", \"epoll\", \
         \"kqueue\" or \"iocp\"",
    ]),
    ("runtime.poller = \"EPOLL\"", &[
        "3: runtime.poller = \"EPOLL\": not a poller; write \"auto\", \"io_uring\", \"epoll\", \
         \"kqueue\" or \"iocp\"",
    ]),
    ("runtime.idle_spin = 20", &[
        "3: runtime.idle_spin = 20: not a duration; write a number and a unit (ns, us, ms, s, m, \
         h, d), e.g. \"1ms\"",
    ]),
    ("runtime.idle_spin = \"20 us\"", &[
        "3: runtime.idle_spin = \"20 us\": not a duration; write a number and a unit (ns, us, ms, \
         s, m, h, d), e.g. \"1ms\"",
    ]),
    ("runtime.idle_spin = \"1001us\"", &[
        "3: runtime.idle_spin = \"1001us\": out of range; write \"0s\" to \"1ms\": a longer spin \
         burns a core and saves nothing, a wake takes some 50us",
    ]),
    ("runtime.max_sessions = 0", &[
        "3: runtime.max_sessions = 0: out of range; write 1 to 100000000: a session costs memory \
         and descriptors",
    ]),
    ("runtime.max_sessions = 4_294_967_297", &[
        "3: runtime.max_sessions = 4_294_967_297: out of range; write 1 to 100000000: a session \
         costs memory and descriptors",
    ]),
    ("runtime.max_sessions = []", &[
        "3: runtime.max_sessions = []: not a number of sessions; write \"auto\", or 1 to \
         100000000",
    ]),
    ("runtime = 1979-05-27", &["3: runtime = 1979-05-27: not a table; write [runtime]"]),
    ("[runtime]\nlane = 1", &["4: runtime.lane = 1: unknown key; did you mean lanes?"]),
    ("[runtime]\nthreads = [1]", &[
        "4: runtime.threads: unknown key; known here: lanes, pin, poller, idle_spin, max_sessions",
    ]),
    ("[log]\nlevel = 'information'\nformat = 'yaml'", &[
        "4: log.level = 'information': not a level; write \"error\", \"warn\", \"info\", \
         \"debug\" or \"trace\"",
        "5: log.format = 'yaml': not a format; write \"text\" or \"json\"",
    ]),
    ("[log]\nlevel = 3", &[
        "4: log.level = 3: not a level; write \"error\", \"warn\", \"info\", \"debug\" or \
         \"trace\"",
    ]),
    ("[shutdown]\ngrace = '1441m'", &[
        "4: shutdown.grace = '1441m': out of range; write \"0s\" to \"1d\": a drain that takes \
         longer than a day does not end by itself",
    ]),
    ("[shutdown]\ngrace = '-1s'", &[
        "4: shutdown.grace = '-1s': not a duration; write a number and a unit (ns, us, ms, s, m, \
         h, d), e.g. \"1d\"",
    ]),
    ("[runtme]\nlanes = 0", &["3: runtme: unknown key; did you mean runtime?"]),
    ("[tls]", &["3: tls: unknown key; known here: runtime, log, shutdown, upstream, listener"]),
    ("grace = '3s'", &[
        "3: grace = '3s': unknown key; known here: runtime, log, shutdown, upstream, listener",
    ]),
    ("[log.levels]\nx = 1", &["3: log.levels: unknown key; did you mean level?"]),
    ("log.\"\\u001b[31m\\n\" = \"\\u001b\"", &[
        "3: log.\"\\u{1b}[31m\\n\" = \"\\u001b\": unknown key; known here: level, format",
    ]),
    ("log.\"\" = 1", &["3: log.\"\" = 1: unknown key; known here: level, format"]),
    ("log.level = '''\u{202e}\n[31m'''", &[
        "3: log.level = '''\\u{202e}\\n[31m''': not a level; write \"error\", \"warn\", \"info\", \
         \"debug\" or \"trace\"",
    ]),
];

/// Whole files about listeners and upstreams, and what they get.
const REFUSED: &[(&str, &[&str])] = &[
    ("", &["1: listener: missing; write at least one [[listener]]"]),
    ("listener = []", &["1: listener: missing; write at least one [[listener]]"]),
    ("\n[listener]\nname = 'a'", &[
        "2: listener: not a list of tables; write [[listener]], in two brackets, for each",
    ]),
    ("listener = ['a',\n{ }]", &[
        "1: listener[0] = 'a': not a table; write [[listener]]",
        "2: listener[1].name: missing; write a name, e.g. name = \"echo\"",
        "2: listener[1].bind: missing; write an address, e.g. bind = \"127.0.0.1:7007\"",
        "2: listener[1].service: missing; write service = \"echo\" or \"proxy\"",
    ]),
    ("[[listener]]\nname = 'a'\nservice = 'http'\nbind = 'a'\n", &[
        "3: listener[0].service = 'http': not a service; write \"echo\" or \"proxy\"",
        concat!(
            "4: listener[0].bind = 'a': host names are not looked up in this version; ",
            ip_port!()
        ),
    ]),
    ("[[listener]]\nname = 'a'\nservice = 'echo'\nbind = '[::1]:0'\nupstream = 'a'", &[
        "5: listener[0].upstream = 'a': an echo connects to no upstream; write service = \
         \"proxy\", or no upstream",
    ]),
    ("[[listener]]\nname = 'a'\nservice = 'proxy'\nbind = '[::1]:0'\nbacklog = 65536", &[
        "1: listener[0].upstream: missing; write the name of an [[upstream]], e.g. upstream = \
         \"echo\"",
        "5: listener[0].backlog = 65536: out of range; write 1 to 65535: the kernel counts no \
         further",
    ]),
    ("[[listener]]\nname = 'a'\nservice = 'echo'\nbind = '[::1]:0'\nbacklog = '1k'\nblog = 0", &[
        "5: listener[0].backlog = '1k': not a whole number; write 1 to 65535, without quotes",
        "6: listener[0].blog = 0: unknown key; known here: name, bind, service, upstream, backlog",
    ]),
];

/// Names that are none.
const NAMES: &[&str] = &["", " ", "a b", "-a", ".a", "a/b", "é", "a\\nb"];

const NAME: &str = "write 1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.', beginning with a letter or \
                    digit";
