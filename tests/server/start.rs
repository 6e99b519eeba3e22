//! Starting: log lines, refusals and their exit codes, choice of the poller.

use std::env;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::support::{
    Server, connect, corelane, echo, echo_all, holder, listener, on_both, ping, pollers, proxy,
    runtime,
};

/// Starts a server that fails: its exit code and the reason in its last line, without the file and
/// line number.
fn fails(command: Command, config: &str) -> (Option<i32>, String) {
    let mut server = Server::spawn(command, config);
    let code = server.wait();
    let last = server.log.last().cloned().unwrap_or_default();
    let (_, position) = last.split_once("corelane.toml:").expect(&last);
    let (line, reason) = position.split_once(": ").expect(&last);
    assert!(line.parse::<usize>().is_ok(), "{last}");
    (code, reason.to_owned())
}

/// An address with a port that was free a moment ago.
fn free() -> SocketAddr {
    crate::support::dead_address()
}

fn echo_on(bind: &str) -> String {
    echo().replace("\"127.0.0.1:0\"", bind)
}

#[test]
fn the_start_says_what_listens_where_and_how() {
    on_both(|poller| {
        let up = free();
        let config = runtime(poller, 2) + "max_sessions = 123\n" + &echo() + &proxy(&[up]);
        let server = Server::start(&config);
        let log = server.log.join("\n");
        let version = format!("corelane starts version=\"{}\"", env!("CARGO_PKG_VERSION"));
        let process = format!(" pid={} configuration=\"/", server.pid());
        assert!(server.log[0].contains(&version), "{log}");
        assert!(server.log[0].contains(&process), "{log}");
        assert!(server.log[0].ends_with("corelane.toml\""), "{log}");
        assert_eq!(server.said().len(), 5, "{log}");
        for part in [
            "sandbox mode=\"on\" holds=\"no new privileges, ",
            "listening name=\"echo\" address=127.0.0.1:",
            "service=\"proxy\" upstream=\"up\"",
            "ready lanes=2",
            &format!("poller={poller} why=\"configured\""),
            "max_sessions=123 bound_by=\"configured\"",
        ] {
            assert!(log.contains(part), "{part}: {log}");
        }
        assert_ne!(server.address("echo").port(), 0);
        server.stop();
    });
}

#[test]
fn an_address_in_use_is_named() {
    on_both(|poller| {
        let (_taken, address) = listener();
        let config = runtime(poller, 1) + &echo_on(&format!("\"{address}\""));
        let (code, line) = fails(corelane(), &config);
        assert_eq!(code, Some(1));
        let holder = holder(process::id());
        let expected = format!(
            "listener[0].bind = \"{address}\": {holder} listens there already; stop it, \
             or choose another address"
        );
        assert_eq!(line, expected);
    });
}

/// Lanes share their port by SO_REUSEPORT, which would let a second server bind the port without an
/// error and get half of the connections (moq#2960).
#[test]
fn a_second_server_on_the_same_port_is_refused() {
    on_both(|poller| {
        let first = Server::echo(poller, 2);
        let address = first.address("echo");
        let in_use = format!("{} listens there already", holder(first.pid()));
        for bind in [
            format!("\"{address}\""),
            format!("[\"127.0.0.1:0\", \"{address}\"]"),
            format!("\"0.0.0.0:{}\"", address.port()),
        ] {
            let (code, line) = fails(corelane(), &(runtime(poller, 2) + &echo_on(&bind)));
            assert_eq!(code, Some(1), "{line}");
            assert!(line.contains("listener[0].bind"), "{line}");
            assert!(line.contains(&in_use), "{line}");
            assert_eq!(line.contains("bind[1]"), bind.starts_with('['), "{line}");
        }
        (0..10).for_each(|_| ping(&connect(address)));
        first.stop();
    });
}

/// A port whose last connections are in TIME_WAIT can be bound again at once.
#[test]
fn a_server_can_be_started_again_at_once() {
    on_both(|poller| {
        let address = free();
        let config = runtime(poller, 2) + &echo_on(&format!("\"{address}\""));
        for _ in 0..3 {
            let mut server = Server::start(&config);
            let client = server.connect();
            ping(&client);
            // The server closes first, so its own port is in TIME_WAIT.
            server.signal("TERM");
            server.await_line("stopping");
            server.hurry("TERM");
            assert_eq!(server.wait(), Some(0));
        }
    });
}

#[test]
fn what_this_machine_does_not_have_is_a_configuration_error() {
    for (runtime, expected) in [
        (
            "poller = \"kqueue\"",
            "runtime.poller = \"kqueue\": this system has io_uring and epoll; write \
             \"auto\"",
        ),
        (
            "poller = \"iocp\"",
            "runtime.poller = \"iocp\": this system has io_uring and epoll; write \
             \"auto\"",
        ),
        (
            "lanes = [999]",
            "runtime.lanes = [999]: this process may not use CPU 999; it may use [",
        ),
        (
            "max_sessions = 99999999",
            "runtime.max_sessions = 99999999: the limit of ",
        ),
    ] {
        let config = format!("[runtime]\n{runtime}\n{}", echo());
        let (code, line) = fails(corelane(), &config);
        assert_eq!(code, Some(2), "{line}");
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn an_address_that_no_interface_has_is_named() {
    // A documentation address (RFC 5737): no machine has it.
    let config = echo_on("\"192.0.2.1:7007\"");
    let (code, line) = fails(corelane(), &config);
    assert_eq!(code, Some(2));
    let expected = "listener[0].bind = \"192.0.2.1:7007\": no interface of this machine has that \
                    address; write one that it has";
    assert!(line.starts_with(expected), "{line}");
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn ipv6_and_lists_of_addresses() {
    assert!(has_ipv6(), "this test needs ::1");
    on_both(|poller| {
        let binds = "[\"127.0.0.1:0\", \"[::1]:0\", \"127.0.0.2:0\"]";
        let server = Server::start(&(runtime(poller, 2) + &echo_on(binds)));
        let all = server.addresses("echo");
        assert_eq!(all.len(), 3, "{:#?}", server.log);
        assert!(all[1].is_ipv6() && all[2].to_string().starts_with("127.0.0.2:"));
        for address in all {
            for _ in 0..4 {
                echo_all(&connect(address), 10_000, 1000);
            }
        }
        server.stop();
        // All addresses of each family, side by side on one port.
        let port = free().port();
        let binds = format!("[\"0.0.0.0:{port}\", \"[::]:{port}\"]");
        let server = Server::start(&(runtime(poller, 2) + &echo_on(&binds)));
        for to in ["127.0.0.1", "[::1]"] {
            ping(&connect(format!("{to}:{port}").parse().unwrap()));
        }
        server.stop();
    });
}

#[test]
fn a_proxy_connects_over_ipv6() {
    on_both(|poller| {
        let behind = Server::start(&(runtime(poller, 1) + &echo_on("\"[::1]:0\"")));
        let config = runtime(poller, 1) + &proxy(&[behind.address("echo")]);
        let front = Server::start(&config);
        echo_all(&connect(front.address("proxy")), 1 << 20, 10_000);
        front.stop();
        behind.stop();
    });
}

/// Every line is one object with the same first fields; a parser is not worth a dependency here.
#[test]
fn json_lines_are_objects() {
    on_both(|poller| {
        let log = "[log]\nformat = \"json\"\nlevel = \"debug\"\n";
        let mut server = Server::spawn(corelane(), &(runtime(poller, 1) + log + &echo()));
        let line = server.await_line("\"listening\"");
        let address = line.split_once("\"address\":\"").unwrap().1;
        let address: SocketAddr = address.split('"').next().unwrap().parse().unwrap();
        server.await_line("\"ready\"");
        let client = connect(address);
        echo_all(&client, 1000, 1000);
        let session = server.await_line("\"session\"");
        for field in [
            "\"listener\":\"echo\"",
            "\"from_client_bytes\":1000",
            "\"to_client_bytes\":1000",
            "\"ended\":\"client_fin\"",
        ] {
            assert!(session.contains(field), "{session}");
        }
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        for line in &server.log {
            assert!(line.starts_with("{\"timestamp\":\""), "{line}");
            assert!(line.ends_with('}') && !line.contains("\\n"), "{line}");
            assert_eq!(line.matches('{').count(), 1, "flat: {line}");
            assert_eq!(line.matches('"').count() % 2, 0, "{line}");
        }
    });
}

/// The JSON log, too, contains the reason for the server's end.
#[test]
fn a_failure_has_the_form_of_the_log() {
    let log = "[log]\nformat = \"json\"\nlevel = \"error\"\n";
    let (_taken, address) = listener();
    let config = log.to_owned() + &echo_on(&format!("\"{address}\""));
    let mut server = Server::spawn(corelane(), &config);
    assert_eq!(server.wait(), Some(1));
    let [line] = &server.log[..] else {
        panic!("{:#?}", server.log);
    };
    assert!(
        line.starts_with("{\"timestamp\":\"") && line.ends_with('}'),
        "{line}"
    );
    let holder = holder(process::id());
    let reason = format!("{address}\\\": {holder} listens there already");
    assert!(line.contains(&reason), "{line}");
}

/// Errors of the configuration are text for the configuration's author, in either form of log: some
/// errors are found before the form is known.
#[test]
fn a_mistake_of_the_configuration_is_text() {
    let log = "[log]\nformat = \"json\"\nlevel = \"error\"\n";
    let config = format!("[runtime]\nlanes = [999]\n{log}{}", echo());
    let mut server = Server::spawn(corelane(), &config);
    assert_eq!(server.wait(), Some(2));
    let [line] = &server.log[..] else {
        panic!("{:#?}", server.log);
    };
    let reason = "corelane.toml:2: runtime.lanes = [999]: this process may not use CPU 999";
    assert!(line.starts_with('/') && line.contains(reason), "{line}");
}

/// I8: one record per session, however the session ends, with exact bytes.
#[test]
fn each_session_has_one_line_at_its_end() {
    on_both(|poller| {
        let log = "[log]\nlevel = \"debug\"\n";
        let mut server = Server::start(&(runtime(poller, 2) + log + &echo()));
        echo_all(&server.connect(), 12_345, 1000);
        let line = server.await_line(" session ");
        for part in [
            "from_client_bytes=12345",
            "to_client_bytes=12345",
            "ended=client_fin",
        ] {
            assert!(line.contains(part), "{line}");
        }
        let client = server.connect();
        ping(&client);
        crate::support::reset(client);
        let line = server.await_line(" session ");
        for part in [
            "from_client_bytes=4 ",
            "to_client_bytes=4 ",
            "ended=client_rst",
        ] {
            assert!(line.contains(part), "{line}");
        }
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let lines = server.log.iter().filter(|l| l.contains(" session "));
        assert_eq!(lines.count(), 2, "{:#?}", server.log);
    });
}

/// In a folder of the build: examples lie beside the folder of the test programs.
fn example(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let path = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join(Path::new("examples"))
        .join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Under the runner that denies io_uring, with the given error.
fn denied(errno: &str) -> Command {
    let mut command = Command::new(example("deny_io_uring"));
    command
        .args(["--errno", errno])
        .arg(env!("CARGO_BIN_EXE_corelane"));
    command
}

/// Without io_uring epoll serves, and one line states the reason.
#[test]
fn without_io_uring_epoll_serves_and_says_why() {
    for (errno, why) in [
        ("EPERM", "not permitted, as by a container's seccomp filter"),
        (
            "ENOSYS",
            "not in this kernel, or hidden by a container's seccomp filter",
        ),
        ("ENOMEM", "no memory to lock: raise RLIMIT_MEMLOCK"),
    ] {
        let mut server = Server::spawn(denied(errno), &(runtime("auto", 2) + &echo()));
        let ready = server.await_line("ready");
        let expected = format!("poller=epoll why=\"io_uring is {why}\"");
        assert!(ready.contains(&expected), "{ready}");
        assert_eq!(server.said().len(), 4, "{:#?}", server.log);
        echo_all(&server.connect(), 1 << 20, 10_000);
        server.stop();

        let (code, line) = fails(denied(errno), &(runtime("io_uring", 1) + &echo()));
        let expected =
            format!("runtime.poller = \"io_uring\": {why}; permit it, or write \"auto\"");
        assert_eq!((code, line), (Some(2), expected));
    }
}

#[test]
fn auto_takes_the_best_that_is_there() {
    let server = Server::start(&(runtime("auto", 1) + &echo()));
    let ready = server.log.last().unwrap();
    if pollers().contains(&"io_uring") {
        assert!(
            ready.contains("poller=io_uring why=\"its self-test passed\""),
            "{ready}"
        );
    } else {
        assert!(ready.contains("poller=epoll why=\"io_uring is "), "{ready}");
    }
    server.stop();
}

#[test]
fn lanes_are_pinned_where_the_configuration_says() {
    on_both(|poller| {
        let config = format!("[runtime]\npoller = \"{poller}\"\nlanes = [0]\n{}", echo());
        let server = Server::start(&config);
        let ready = server.log.last().unwrap();
        assert!(ready.contains("lanes=1 pinned_to=[0]"), "{ready}");
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let mut lanes = 0;
        for task in tasks {
            let task = task.unwrap().path();
            let name = std::fs::read_to_string(task.join("comm")).unwrap();
            if name.starts_with("lane-") {
                let status = std::fs::read_to_string(task.join("status")).unwrap();
                assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
                lanes += 1;
            }
        }
        assert_eq!(lanes, 1);
        server.stop();
    });
}
