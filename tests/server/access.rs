//! The access log: a line for each session, whatever becomes of its target.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{
    Directory, End, Server, connect, dead_address, echo, on_both, ping, proxy, read_pattern, reset,
    runtime, until,
};

pub(crate) fn table(lines: &str) -> String {
    format!("[access_log]\n{lines}\n")
}

pub(crate) fn to_file(path: &Path) -> String {
    format!("target = \"{}\"", path.display())
}

/// Opens and ends this many sessions in sequence.
pub(crate) fn sessions(to: SocketAddr, count: usize) {
    for _ in 0..count {
        let client = connect(to);
        ping(&client);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&client, 0), (0, End::Fin));
    }
}

/// The objects of a text, a line each.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(read).collect()
}

pub(crate) fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Waits until the file has so many lines.
pub(crate) fn await_lines(path: &Path, count: usize) -> Vec<Value> {
    until(&format!("{count} lines"), || {
        text_of(path).matches('\n').count() >= count
    });
    let lines = objects(&text_of(path));
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines
}

/// The number behind `lines=`.
fn dropped(line: &str) -> usize {
    let rest = line.split_once(" lines=").unwrap().1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

pub(crate) fn all_dropped(server: &Server) -> usize {
    let lines = server.log.iter();
    let lines = lines.filter(|line| line.contains("access log lines dropped"));
    lines.map(|line| dropped(line)).sum()
}

#[test]
fn a_session_has_a_line_with_who_where_and_how() {
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let up = behind.address("echo");
        let directory = Directory::new();
        let path = directory.0.join("access");
        let lines = table(&to_file(&path)) + &proxy(&[dead_address(), up]) + &echo();
        let server = Server::start(&(runtime(poller, 2) + &lines));
        let client = connect(server.address("proxy"));
        ping(&client);
        let own = client.local_addr().unwrap().to_string();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&client, 0), (0, End::Fin));
        let line = &await_lines(&path, 1)[0];
        for (key, value) in [
            ("event", "end"),
            ("listener", "proxy"),
            ("service", "proxy"),
            ("client", own.as_str()),
            ("upstream", "up"),
            ("endpoint", &up.to_string()),
            ("ended", "client_fin"),
            ("by", "client"),
            ("how", "fin"),
            ("phase", "relay"),
        ] {
            assert_eq!(line[key], value, "{key} of {line}");
        }
        assert_eq!(line["tries"], 2);
        assert_eq!(line["from_client_bytes"], line["to_client_bytes"]);
        let us = |key: &str| {
            line[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key} of {line}"))
        };
        assert!(us("connect_us") <= us("first_byte_us"), "{line}");
        assert!(us("first_byte_us") <= us("total_us"), "{line}");
        for leg in ["client", "upstream"] {
            assert!(us(&format!("{leg}_rtt_us")) > 0, "{line}");
            assert!(us(&format!("{leg}_rtt_min_us")) > 0, "{line}");
        }

        server.stop();
        behind.stop();
    });
}

/// A reset, and a session that never reached an endpoint.
#[test]
fn an_abnormal_end_has_its_error_and_phase() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("access");
        let lines = table(&to_file(&path)) + &proxy(&[dead_address()]) + &echo();
        let server = Server::start(&(runtime(poller, 2) + &lines));
        reset(server.connect());
        let line = &await_lines(&path, 1)[0];
        assert_eq!(
            (&line["ended"], &line["by"]),
            (&"client_rst".into(), &"client".into())
        );
        assert!(
            line["error"].as_str().unwrap().contains("reset by peer"),
            "{line}"
        );
        assert!(
            line.get("tries").is_none() && line.get("upstream").is_none(),
            "{line}"
        );
        // The reset may come before the connect is known to be made.
        _ = TcpStream::connect(server.address("proxy"));
        let line = &await_lines(&path, 2)[1];
        assert_eq!(
            (&line["ended"], &line["phase"]),
            (&"connect_refused".into(), &"opening".into())
        );
        assert!(
            line.get("endpoint").is_none() && line.get("connect_us").is_none(),
            "{line}"
        );
        assert_eq!(
            (&line["by"], &line["how"]),
            (&"upstream".into(), &"refused".into())
        );
        drop(server);
    });
}

/// Also of sessions that end with the process, with names and times of a foreign reader.
#[test]
fn every_session_has_one_line_across_a_reload_a_rotation_and_the_end() {
    on_both(|poller| {
        let directory = Directory::new();
        let (first, second) = (directory.0.join("first"), directory.0.join("second"));
        let rotating = |path: &Path| to_file(path) + "\nrotate = \"64KiB\"\nkeep = 1000";
        let config = |path: &Path| runtime(poller, 2) + &table(&rotating(path)) + &echo();
        let mut server = Server::start(&config(&first));
        let to = server.address("echo");
        let lasting: Vec<_> = (0..20).map(|_| connect(to)).collect();
        lasting.iter().for_each(ping);
        sessions(to, 1000);
        server.reload(&config(&second));
        sessions(to, 500);
        // A name by logrotate, and the signal.
        fs::rename(&second, directory.0.join("second.by.logrotate")).unwrap();
        server.signal("USR1");
        server.await_line("the access log is open anew");
        sessions(to, 500);
        server.hurry_after_term();
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        assert_eq!(all_dropped(&server), 0);
        let mut ids = BTreeMap::new();
        let mut files = 0;
        for entry in fs::read_dir(&directory.0).unwrap() {
            let path = entry.unwrap().path();
            let text = text_of(&path);
            assert!(text.len() <= 64 << 10, "{}: {}", path.display(), text.len());
            files += 1;
            for line in objects(&text) {
                let word = line["ended"].as_str().unwrap().to_owned();
                let before = ids.insert(line["session"].as_u64().unwrap(), word);
                assert_eq!(before, None, "{line}");
            }
        }
        assert!(files > 10, "{files}");
        assert_eq!(ids.len(), 2020);
        assert!(ids.keys().copied().eq(1..=2020), "every id");
        let at_end = ids.values().filter(|word| *word == "shutdown").count();
        assert_eq!(at_end, lasting.len());
        let by_logrotate = text_of(&directory.0.join("second.by.logrotate"));
        assert!(!by_logrotate.is_empty() && !text_of(&second).is_empty());
    });
}

impl Server {
    fn hurry_after_term(&mut self) {
        self.signal("TERM");
        self.await_line("stopping: accepting no more");
        self.hurry("TERM");
    }
}

/// A reader in a language of its own counts what `jq` would.
#[test]
fn a_foreign_reader_reads_the_lines() {
    let directory = Directory::new();
    let path = directory.0.join("access");
    let config = table(&to_file(&path)) + &echo();
    let server = Server::start(&(runtime("epoll", 1) + &config));
    sessions(server.address("echo"), 50);
    await_lines(&path, 50);
    server.stop();
    let script = "import json, sys, datetime\n\
                  form = '%Y-%m-%dT%H:%M:%S.%fZ'\n\
                  lines = [json.loads(line) for line in open(sys.argv[1])]\n\
                  for line in lines: datetime.datetime.strptime(line['time'], form)\n\
                  print(len(lines), len({line['session'] for line in lines}))";
    let python = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .output();
    let Ok(python) = python else {
        // Not every machine has a Python; serde_json has read the same lines.
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&python.stdout),
        "50 50\n",
        "{python:?}"
    );
}

#[test]
fn the_table_changes_by_a_reload_all_or_nothing() {
    on_both(|poller| {
        let directory = Directory::new();
        let (path, other) = (directory.0.join("access"), directory.0.join("other"));
        let two = echo() + &echo().replace("\"echo\"\nbind", "\"quiet\"\naccess_log = false\nbind");
        let config = |lines: &str| runtime(poller, 2) + &table(lines) + &two;
        let mut server = Server::start(&config(&to_file(&path)));
        let (to, quiet) = (server.address("echo"), server.address("quiet"));
        let old = connect(to);
        ping(&old);
        sessions(quiet, 3);
        sessions(to, 1);
        await_lines(&path, 1);

        // Nothing has changed by a table that cannot be had.
        fs::create_dir(&other).unwrap();
        server.write_config(&config(&(to_file(&other) + "\nformat = \"logfmt\"")));
        server.signal("HUP");
        let line = server.await_line("access_log.target");
        assert!(line.contains("it is a folder"), "{line}");
        sessions(to, 1);
        await_lines(&path, 2);

        fs::remove_dir(&other).unwrap();
        let template = "\nformat = \"{event} {ended} {listener} {upstream} {{}}\"\nstart = true\n\
                        only = [\"client_rst\"]";
        server.reload(&config(&(to_file(&other) + template)));
        sessions(to, 2);
        sessions(quiet, 2);
        reset(old);
        until("two starts and the reset", || {
            text_of(&other).matches('\n').count() == 3
        });
        let text = text_of(&other);
        let mut lines: Vec<&str> = text.lines().collect();
        // Two lanes have no order between them.
        lines.sort_unstable();
        let start = "start - echo - {}";
        assert_eq!(lines, ["end client_rst echo - {}", start, start]);
        // Off, and the lines of its time have been written.
        sessions(to, 1);
        server.reload(&config("target = \"off\""));
        until("it is off", || {
            server.read_log();
            server
                .log
                .iter()
                .any(|line| line.contains("the access log is off"))
        });
        sessions(to, 2);
        assert_eq!(text_of(&other).matches('\n').count(), 4);
        // On again, to another target, with all sessions.
        server.reload(&config(
            "target = \"stderr\"\nformat = \"{event} of {listener}\"",
        ));
        sessions(to, 1);
        server.await_line("end of echo");
        assert_eq!(text_of(&path).matches('\n').count(), 2);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
    });
}

#[test]
fn a_long_session_has_a_line_an_interval_with_the_bytes_since() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("access");
        let lines = to_file(&path) + "\nevery = \"1s\"";
        let server = Server::start(&(runtime(poller, 2) + &table(&lines) + &echo()));
        let clients = [server.connect(), server.connect()];
        clients.iter().for_each(ping);
        let of = |lines: &[Value], id: u64| -> Vec<(u64, u64)> {
            let own = lines.iter().filter(|line| line["session"] == id);
            let numbers = own.map(|line| {
                assert_eq!(line["event"], "live");
                let number = |key: &str| line[key].as_u64().unwrap();
                (
                    number("from_client_bytes"),
                    number("from_client_delta_bytes"),
                )
            });
            numbers.collect()
        };
        let read = || objects(&text_of(&path));
        until("a line each", || {
            (1..=2).all(|id| !of(&read(), id).is_empty())
        });
        ping(&clients[0]);
        until("the next lines", || {
            let lines = read();
            let moved = |id: u64| of(&lines, id).last().is_some_and(|last| last.1 > 0);
            of(&lines, 1).len() > 1
                && of(&lines, 2).len() > 1
                && (moved(1) || moved(2) || lines.len() > 4)
        });
        let lines = read();
        for id in 1..=2 {
            // The deltas sum up to the bytes.
            let mut sum = 0;
            for (all, delta) in of(&lines, id) {
                sum += delta;
                assert_eq!(all, sum, "{lines:#?}");
            }
        }
        drop(clients);
        server.stop();
    });
}

/// The counts of the admin API.
#[test]
fn the_status_counts_lines() {
    let directory = Directory::new();
    let path = directory.0.join("access");
    let socket = directory.0.join("control");
    let control = format!("[control]\nsocket = \"{}\"\n", socket.display());
    let config = runtime("epoll", 1) + &control + &table(&to_file(&path)) + &echo();
    let server = Server::start(&config);
    sessions(server.address("echo"), 7);
    await_lines(&path, 7);
    let mut status = Command::new(env!("CARGO_BIN_EXE_corelane"));
    let status = status
        .args(["ctl", "--json", "--socket"])
        .arg(&socket)
        .arg("status");
    let output = status.stderr(Stdio::inherit()).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!({ "is_on": true, "written": 7, "dropped": 0 });
    assert_eq!(status["access_log"], expected, "{status}");
    server.stop();
}

/// Clients of which half end at once.
#[test]
fn many_clients_at_a_time_have_a_line_each() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("access");
        let server = Server::start(&(runtime(poller, 2) + &table(&to_file(&path)) + &echo()));
        let to = server.address("echo");
        let clients: Vec<_> = (0..8)
            .map(|_| crate::support::spawn(move || sessions(to, 250)))
            .collect();
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        let ids = await_lines(&path, 2000);
        let ids: BTreeSet<u64> = ids
            .iter()
            .map(|line| line["session"].as_u64().unwrap())
            .collect();
        assert!(ids.into_iter().eq(1..=2000));
        server.stop();
    });
}
