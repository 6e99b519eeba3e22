//! What a configuration means; what is refused, and how, in `process`, `refused` and
//! `session_refused`.
//!
//! Every key, word and limit once, and the default against its documentation.

mod arbitrary;
mod bind;
mod changes;
mod companions;
mod discovery;
mod doubts;
mod health;
mod json;
mod loops;
mod process;
mod refused;
mod schema;
mod session;
mod session_refused;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::endpoint::Written;
use super::{
    AccessFormat, AccessLog, Balance, Bind, BindForm, BindTo, Config, ConnectPorts, Control,
    DEFAULT, Dashboard, Endpoint, Health, Keepalive, Lanes, Listener, Log, LogFormat, LogLevel,
    LogTarget, MaxSessions, OnRemoved, Pin, PollerChoice, Process, Reason, Runtime, Sandbox,
    SandboxMode, Service, Shutdown, SocketOptions, Source, Timeouts, UnixFile, Upstream,
};

/// A listener for texts that are about something else; two lines.
const ECHO: &str = "listener = [{ name = \"e\", bind = \"[::1]:0\", service = \"echo\" }]\n\n";

/// A proxy with lines of its own from line 6 on, and its upstream behind them.
fn proxy(lines: &str) -> String {
    format!(
        "[[listener]]\nname = 'p'\nbind = '[::1]:0'\nservice = 'proxy'\nupstream = 'u'\n{lines}\n\
         [[upstream]]\nname = 'u'\nendpoints = ['10.0.0.1:1']\n"
    )
}

/// An upstream with these endpoints on line 5, and lines of its own from line 6 on.
fn upstream(endpoints: &str, lines: &str) -> String {
    format!(
        "listener = [{{ name = 'e', bind = '[::1]:0', service = 'echo' }}]\n\n\
         [[upstream]]\nname = 'u'\nendpoints = {endpoints}\n{lines}"
    )
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A listener's only address.
fn bound(text: &str) -> Bind {
    Bind {
        element: 0,
        form: BindForm::Single,
        to: BindTo::Tcp(address(text)),
    }
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

/// `[[listener]]` timeouts where nothing is said about them.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    connect_total: Duration::from_secs(10),
    idle: Some(Duration::from_hours(1)),
    half_close: Duration::from_secs(60),
    lifetime: None,
    lifetime_jitter: 10,
};

/// The files of unix sockets where nothing is said about them.
const UNIX: UnixFile = UnixFile {
    mode: 0o660,
    owner: None,
    group: None,
};

/// Socket options where nothing is said about them.
const SOCKET: SocketOptions = SocketOptions {
    nodelay: true,
    keepalive: Some(Keepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 6,
    }),
    user_timeout: None,
    send_buffer: None,
    receive_buffer: None,
    notsent_lowat: None,
    congestion: None,
    fast_open: false,
    freebind: false,
};

fn access_log() -> AccessLog {
    AccessLog {
        target: None,
        syslog_socket: "/dev/log".into(),
        format: AccessFormat::Json,
        start: false,
        every: None,
        only: Vec::new(),
        longer_than: None,
        sample: 100,
        rotate: None,
        keep: 5,
    }
}

fn no_dashboard() -> Dashboard {
    Dashboard {
        bind: None,
        token_file: None,
    }
}

fn no_control() -> Control {
    Control {
        socket: None,
        mode: 0o600,
        read: Vec::new(),
        operate: Vec::new(),
        tcp: None,
    }
}

#[test]
fn the_default_means_what_its_comments_say() {
    let expected = Config {
        runtime: Runtime {
            lanes: Lanes::Auto,
            pin: Pin::Auto,
            poller: PollerChoice::Auto,
            idle_spin: Duration::ZERO,
            max_sessions: MaxSessions::Auto,
            high_mark: 81_920,
        },
        process: Process {
            user: None,
            group: None,
            pid_file: None,
        },
        control: no_control(),
        dashboard: no_dashboard(),
        sandbox: Sandbox {
            mode: SandboxMode::On,
            connect_ports: ConnectPorts::Any,
        },
        resolver: discovery::resolver(),
        discovery: discovery::rules(),
        etcd: discovery::etcd(),
        log: Log {
            level: LogLevel::Info,
            format: LogFormat::Text,
            target: LogTarget::StandardError,
        },
        access_log: access_log(),
        shutdown: Shutdown {
            grace: Duration::from_secs(2),
        },
        listeners: vec![
            Listener {
                name: "echo".into(),
                bind: vec![bound("127.0.0.1:7007")],
                service: Service::Echo,
                backlog: 4096,
                access_log: true,
                on_removed: OnRemoved::Keep,
                timeouts: TIMEOUTS,
                socket: SOCKET,
                unix: UNIX,
            },
            Listener {
                name: "proxy".into(),
                bind: vec![bound("127.0.0.1:7008")],
                service: Service::Proxy { upstream: 0 },
                backlog: 4096,
                access_log: true,
                on_removed: OnRemoved::Keep,
                timeouts: TIMEOUTS,
                socket: SOCKET,
                unix: UNIX,
            },
        ],
        upstreams: vec![echo_upstream()],
        source: Source::new("", ""),
    };
    assert_eq!(parse(DEFAULT), expected);
}

/// The upstream of the default configuration.
fn echo_upstream() -> Upstream {
    Upstream {
        name: "echo".into(),
        written: vec![Written::Endpoint(Endpoint::plain(address(
            "127.0.0.1:7007",
        )))],
        endpoints: vec![Endpoint::plain(address("127.0.0.1:7007"))],
        balance: Balance::TwoChoices,
        hash_prefix: 64,
        endpoint_max_sessions: None,
        queue: 1024,
        queue_timeout: Duration::from_secs(5),
        source: vec![],
        tries: 3,
        on_removed: OnRemoved::Keep,
        health: Health::DEFAULT,
        socket: SOCKET,
    }
}

/// The default with the keys it shows behind a `#`.
fn default_in_full() -> String {
    let key = |c: char| c.is_ascii_lowercase();
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(shown) if shown.starts_with(key) => shown,
        _ => line,
    };
    let lines: Vec<&str> = DEFAULT.lines().map(line).collect();
    lines.join("\n")
}

#[test]
fn what_the_default_shows_behind_a_hash_is_the_default() {
    let full = default_in_full();
    assert!(full.contains("\ntimeouts.idle = ") && full.contains("\ntries = "));
    assert_eq!(parse(&full), parse(DEFAULT));
}

#[test]
fn the_default_shows_every_key() {
    let full = default_in_full();
    let mut tables = 0;
    let globals = "runtime process control log access_log shutdown".split(' ');
    let globals = globals.map(|table| (format!("[{table}]\n"), "x"));
    let listener = "x timeouts.x socket.x socket.keepalive.x unix.x".split(' ');
    let listener = listener.map(|key| ("[[listener]]\n".to_owned(), key));
    let upstream = [("[[upstream]]\n".to_owned(), "x")];
    for (table, key) in globals.chain(listener).chain(upstream) {
        let errors = Config::parse(&format!("{table}{key} = 0"), "t.toml").unwrap_err();
        for error in errors.iter() {
            let Reason::UnknownKey { known, .. } = error.reason() else {
                continue;
            };
            tables += 1;
            for known in known {
                let shown = ["\n", ".", "{ ", ", "]
                    .iter()
                    .any(|before| full.contains(&format!("{before}{known} = ")));
                assert!(shown || full.contains(&format!("\n{known}.")), "{known}");
            }
        }
    }
    assert_eq!(tables, 12);
}

#[test]
fn what_is_left_out_is_as_in_the_default() {
    let (default, least) = (parse(DEFAULT), parse(ECHO));
    assert_eq!(least.runtime, default.runtime);
    assert_eq!(least.log, default.log);
    // The one exception, which its comment says: who tries the default does not wait.
    assert_eq!(least.shutdown.grace, Duration::from_secs(30));
    assert_eq!(least.listeners[0].backlog, default.listeners[0].backlog);
    assert_eq!(least.upstreams, []);
}

#[test]
fn every_example_file_parses() {
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    // The simulator builds these sources from a folder beside it.
    let here = [package, package.parent().unwrap()].map(|root| root.join("config"));
    let folder = here.iter().find(|folder| folder.is_dir()).unwrap();
    let files = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        Config::parse(&text, &file.display().to_string()).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn lanes_are_automatic_a_number_or_a_list() {
    let lanes = |value| {
        parse(&format!("{ECHO}[runtime]\nlanes = {value}"))
            .runtime
            .lanes
    };
    let count = |count| Lanes::Count(NonZeroUsize::new(count).unwrap());
    assert_eq!(lanes("\"auto\""), Lanes::Auto);
    assert_eq!(lanes("1"), count(1));
    assert_eq!(lanes("1_024"), count(1024));
    assert_eq!(lanes("0x10"), count(16));
    assert_eq!(lanes("[3, 0, 1023]"), Lanes::Cpus(vec![3, 0, 1023]));
}

#[test]
fn the_sandbox_is_read() {
    let sandbox = |key: &str| parse(&format!("{ECHO}[sandbox]\n{key}")).sandbox;
    for (word, mode) in [
        ("on", SandboxMode::On),
        ("log", SandboxMode::Log),
        ("off", SandboxMode::Off),
    ] {
        assert_eq!(sandbox(&format!("mode = '{word}'")).mode, mode);
    }
    let ports = |key: &str| sandbox(&format!("connect_ports = {key}")).connect_ports;
    for (key, ranges) in [
        (
            "[443, '8000-8099', '0']",
            vec![443..=443, 8000..=8099, 0..=0],
        ),
        ("'1-2'", vec![1..=2]),
        ("7", vec![7..=7]),
    ] {
        assert_eq!(ports(key), ConnectPorts::Listed(ranges));
    }
    assert_eq!(ports("'any'"), ConnectPorts::Any);
    assert_eq!(ports("'configured'"), ConnectPorts::Configured);
}

#[test]
fn every_word_and_limit_is_read() {
    let runtime = |key: &str| parse(&format!("{ECHO}[runtime]\n{key}")).runtime;
    for (word, poller) in [
        ("auto", PollerChoice::Auto),
        ("io_uring", PollerChoice::IoUring),
        ("epoll", PollerChoice::Epoll),
        ("kqueue", PollerChoice::Kqueue),
        ("iocp", PollerChoice::Iocp),
    ] {
        assert_eq!(runtime(&format!("poller = '{word}'")).poller, poller);
    }
    assert_eq!(runtime("pin = 'auto'").pin, Pin::Auto);
    assert_eq!(runtime("pin = 'auto'\nlanes = [2]").pin, Pin::Auto);
    assert_eq!(runtime("pin = false").pin, Pin::No);
    assert_eq!(runtime("pin = false\nlanes = 2").pin, Pin::No);
    assert_eq!(runtime("pin = true\nlanes = [2]").pin, Pin::Yes);
    assert_eq!(runtime("idle_spin = '0us'").idle_spin, Duration::ZERO);
    assert_eq!(
        runtime("idle_spin = '1ms'").idle_spin,
        Duration::from_millis(1)
    );
    assert_eq!(
        runtime("max_sessions = 'auto'").max_sessions,
        MaxSessions::Auto
    );
    let one = MaxSessions::Count(NonZeroU32::MIN);
    assert_eq!(runtime("max_sessions = 1").max_sessions, one);

    let process = |key: &str| parse(&format!("{ECHO}[process]\n{key}")).process;
    assert_eq!(process("user = '_web'").user.as_deref(), Some("_web"));
    assert_eq!(process("group = '33'").group.as_deref(), Some("33"));
    assert_eq!(process("user = 'off'").user, None);
    let path = process("pid_file = '/run/c.pid'").pid_file;
    assert_eq!(path, Some("/run/c.pid".into()));

    let control = |key: &str| parse(&format!("{ECHO}[control]\n{key}")).control;
    let socket = control("socket = '/run/c.sock'").socket;
    assert_eq!(socket.unwrap().to_str(), Some("/run/c.sock"));
    assert_eq!(control("socket = 'off'").socket, None);
    assert_eq!(control("mode = '660'").mode, 0o660);
    assert_eq!(control("read = ['www', '33']").read, ["www", "33"]);
    assert_eq!(control("operate = ['ops']").operate, ["ops"]);
    let tcp = control("tcp = '[::ffff:127.0.0.1]:9100'").tcp;
    assert_eq!(tcp, Some(([127, 0, 0, 1], 9100).into()));
    assert_eq!(control("tcp = 'off'").tcp, None);

    let dashboard = |key: &str| parse(&format!("{ECHO}[dashboard]\n{key}")).dashboard;
    let bind = dashboard("bind = '127.0.0.1:9900'").bind;
    assert_eq!(bind, Some(([127, 0, 0, 1], 9900).into()));
    assert_eq!(dashboard("bind = 'off'").bind, None);
    let token_file = dashboard("token_file = '/run/t'").token_file;
    assert_eq!(token_file, Some("/run/t".into()));

    let log = |key: &str| parse(&format!("{ECHO}[log]\n{key}")).log;
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
    let target = |value: &str| log(&format!("target = '{value}'")).target;
    assert_eq!(target("stderr"), LogTarget::StandardError);
    assert_eq!(target("/var/log/c"), LogTarget::File("/var/log/c".into()));
    let grace = |value| {
        parse(&format!("{ECHO}shutdown.grace = '{value}'"))
            .shutdown
            .grace
    };
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
    assert_eq!(
        config.listeners[1].bind[0].to,
        config.listeners[1].bind[1].to
    );
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
