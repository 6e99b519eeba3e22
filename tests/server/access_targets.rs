//! Targets of the access log that are stuck, slow, gone or full. Sessions and signals continue all
//! the same, lines stay whole, and lost lines are counted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use serde_json::Value;

use crate::access::{all_dropped, await_lines, objects, sessions, table, text_of, to_file};
use crate::log_file::named_pipe;
use crate::support::{Directory, PATIENCE, Server, corelane, echo, on_both, ping, runtime, until};

/// More sessions than the rings of two lanes and a full pipe have room for lines.
const SESSIONS: usize = 10_000;

/// A named pipe whose reader stops. Sessions go on, and no line is torn.
#[test]
fn a_stuck_reader_holds_nobody_up_and_learns_what_it_missed() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("pipe");
        let mut reader = named_pipe(&path);
        let config = runtime(poller, 2) + &table(&to_file(&path)) + &echo();
        let mut server = Server::start(&config);
        let lasting = server.connect();
        ping(&lasting);
        sessions(server.address("echo"), SESSIONS);
        ping(&lasting);
        let mut text = Vec::new();
        let mut is_told = false;
        until("the gap", || {
            _ = reader.read_to_end(&mut text);
            server.read_log();
            is_told |= server
                .log
                .iter()
                .any(|line| line.contains("access log lines dropped"));
            is_told
        });
        sessions(server.address("echo"), 10);
        drop(lasting);
        server.signal("TERM");
        until("the end", || {
            _ = reader.read_to_end(&mut text);
            server.read_log();
            server.log.iter().any(|line| line.contains("drained"))
        });
        assert_eq!(server.wait(), Some(0));
        _ = reader.read_to_end(&mut text);
        let lines = objects(&String::from_utf8(text).unwrap());
        let ids: BTreeSet<u64> = lines
            .iter()
            .map(|line| line["session"].as_u64().unwrap())
            .collect();
        assert_eq!(ids.len(), lines.len());
        assert!(all_dropped(&server) > 0);
        assert_eq!(
            lines.len() + all_dropped(&server),
            SESSIONS + 11,
            "{:#?}",
            server.log
        );
    });
}

/// A full pipe has a part of a line. After a switch to another target the reader gets the rest.
#[test]
fn a_switch_leaves_no_cut_line_in_a_stuck_target() {
    on_both(|poller| {
        let directory = Directory::new();
        let [pipe, file] = ["pipe", "file"].map(|name| directory.0.join(name));
        let mut reader = named_pipe(&pipe);
        let config = |path| runtime(poller, 1) + &table(&to_file(path)) + &echo();
        let mut server = Server::start(&config(&pipe));
        // More than a pipe has room for: 64 KiB, or half in pieces of little more than half a page.
        sessions(server.address("echo"), 1000);
        server.write_config(&config(&file));
        server.signal("HUP");
        server.await_line(&format!("log is on target=\"{}\"", file.display()));
        let mut text = Vec::new();
        until("the rest of the line", || {
            _ = reader.read_to_end(&mut text);
            text.len() > 10_000 && text.ends_with(b"\n")
        });
        objects(&String::from_utf8(text).unwrap());
        server.stop();
    });
}

/// SIGUSR1 while the target has a part of a line: the new file begins with the whole line.
#[test]
fn a_file_opened_anew_begins_with_a_whole_line() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("access");
        let mut reader = named_pipe(&path);
        let config = runtime(poller, 1) + &table(&to_file(&path)) + &echo();
        let mut server = Server::start(&config);
        sessions(server.address("echo"), 1000);
        fs::rename(&path, directory.0.join("old")).unwrap();
        server.signal("USR1");
        server.await_line("the access log is open anew");
        // Nothing comes to the pipe any more.
        let mut text = Vec::new();
        _ = reader.read_to_end(&mut text);
        let whole = text.iter().filter(|byte| **byte == b'\n').count();
        assert!((10..1000).contains(&whole), "{whole}");
        let lines = await_lines(&path, 1000 - whole);
        let ids = lines.iter().map(|line| line["session"].as_u64().unwrap());
        let expected = whole as u64 + 1..=1000;
        assert!(ids.eq(expected), "{whole}");
        server.stop();
    });
}

/// A switch off waits for the lines of a stuck target, and a later switch for the switch off.
#[test]
fn switches_of_a_stuck_target_keep_their_order() {
    on_both(|poller| {
        let directory = Directory::new();
        let [pipe, file] = ["pipe", "file"].map(|name| directory.0.join(name));
        let _reader = named_pipe(&pipe);
        let config = |lines: &str| runtime(poller, 1) + &table(lines) + &echo();
        let mut server = Server::start(&config(&to_file(&pipe)));
        sessions(server.address("echo"), 1000);
        for lines in ["target = \"off\"", &to_file(&file)] {
            server.reload(&config(lines));
        }
        server.await_line("the access log is off");
        server.await_line(&format!("log is on target=\"{}\"", file.display()));
        sessions(server.address("echo"), 10);
        until("the last line", || {
            let text = text_of(&file);
            text.contains("\"session\":1010,") && text.ends_with('\n')
        });
        objects(&text_of(&file));
        server.stop();
    });
}

#[test]
fn a_stuck_reader_does_not_hold_up_a_stop() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("pipe");
        let _reader = named_pipe(&path);
        let config = runtime(poller, 1) + &table(&to_file(&path)) + &echo();
        let mut server = Server::start(&config);
        sessions(server.address("echo"), 1000);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        assert!(
            server.log.last().unwrap().contains("drained"),
            "{:#?}",
            server.log
        );
    });
}

#[test]
fn a_full_disk_is_told_with_its_error() {
    on_both(|poller| {
        let config = runtime(poller, 1) + &table("target = \"/dev/full\"") + &echo();
        let mut server = Server::start(&config);
        let lasting = server.connect();
        sessions(server.address("echo"), SESSIONS);
        ping(&lasting);
        let line = server.await_line("the access log's target fails");
        assert!(
            line.contains("/dev/full") && line.contains("No space left on device"),
            "{line}"
        );
        // Another target is another chance.
        let directory = Directory::new();
        let path = directory.0.join("access");
        server.write_config(&(runtime(poller, 1) + &table("target = \"stderr\"") + &echo()));
        server.signal("HUP");
        let line = server.await_line("access log lines dropped");
        assert!(line.contains("No space left on device"), "{line}");
        assert!(!path.exists());
        drop(lasting);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let lines = server
            .log
            .iter()
            .filter(|line| line.starts_with("{\"time\":"))
            .count();
        assert_eq!(lines + all_dropped(&server), SESSIONS + 1);
    });
}

/// Standard error is shared with the log: lines of both stay whole.
#[test]
fn lines_on_standard_error_stand_between_those_of_the_log() {
    on_both(|poller| {
        let log = "[log]\nlevel = \"debug\"\n";
        let config = runtime(poller, 2) + log + &table("target = \"stderr\"") + &echo();
        let mut server = Server::spawn(corelane(), &config);
        server.await_line("ready");
        let to = server.address("echo");
        sessions(to, 200);
        server.read_on(false);
        sessions(to, 2000);
        server.read_on(true);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let mut lines = 0;
        for line in &server.log {
            if line.starts_with('{') {
                lines += 1;
                assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
            } else {
                assert!(
                    line.starts_with("20") && !line.contains("{\"time"),
                    "{line}"
                );
            }
        }
        assert_eq!(lines + all_dropped(&server), 2200);
    });
}

/// RFC 3164, 4.1, as a daemon on the same machine reads it.
fn of_syslog(datagram: &str) -> Value {
    let rest = datagram.strip_prefix('<').unwrap();
    let (priority, rest) = rest.split_once('>').unwrap();
    assert!(["29", "30"].contains(&priority), "{datagram}");
    let (time, rest) = rest.split_at(16);
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    assert!(months.contains(&time[..3]), "{datagram}");
    let day: u8 = time[4..6].trim_start().parse().unwrap();
    assert!((1..=31).contains(&day) && time.ends_with(' '), "{datagram}");
    assert_eq!(time[6..15].matches(':').count(), 2, "{datagram}");
    let (tag, text) = rest.split_once(": ").unwrap();
    let pid = tag
        .strip_prefix("corelane[")
        .unwrap()
        .strip_suffix(']')
        .unwrap();
    assert!(pid.parse::<u32>().is_ok(), "{datagram}");
    assert!(!datagram.contains('\n'), "{datagram}");
    serde_json::from_str(text).unwrap()
}

fn daemon(path: &PathBuf) -> UnixDatagram {
    _ = fs::remove_file(path);
    let daemon = UnixDatagram::bind(path).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    daemon
}

fn receive(daemon: &UnixDatagram) -> Value {
    let mut bytes = [0; 4096];
    let count = daemon.recv(&mut bytes).unwrap();
    of_syslog(str::from_utf8(&bytes[..count]).unwrap())
}

#[test]
fn a_syslog_daemon_gets_a_datagram_a_line_and_may_begin_anew() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("syslog");
        let first = daemon(&path);
        let lines = format!(
            "target = \"syslog\"\nsyslog_socket = \"{}\"",
            path.display()
        );
        let mut server = Server::start(&(runtime(poller, 2) + &table(&lines) + &echo()));
        let to = server.address("echo");
        sessions(to, 5);
        let got = (0..5).map(|_| receive(&first)["session"].as_u64().unwrap());
        assert_eq!(got.collect::<BTreeSet<_>>(), (1..=5).collect());
        // Lines wait for the next daemon.
        drop(first);
        sessions(to, 5);
        let second = daemon(&path);
        sessions(to, 5);
        let got = (0..10).map(|_| receive(&second)["session"].as_u64().unwrap());
        assert_eq!(got.collect::<BTreeSet<_>>(), (6..=15).collect());
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        assert_eq!(all_dropped(&server), 0);
    });
}

#[test]
fn a_rotation_that_fails_is_told_once_and_loses_no_line() {
    let directory = Directory::new();
    let path = directory.0.join("access");
    let in_the_way = directory.0.join("access.1");
    fs::create_dir(&in_the_way).unwrap();
    File::create(in_the_way.join("file")).unwrap();
    let lines = to_file(&path) + "\nrotate = \"64KiB\"\nkeep = 1";
    let mut server = Server::start(&(runtime("epoll", 1) + &table(&lines) + &echo()));
    let to = server.address("echo");
    sessions(to, 400);
    await_lines(&path, 400);
    let line = server.await_line("cannot be rotated");
    assert!(
        line.contains("WARN") && line.contains("lines go on"),
        "{line}"
    );
    fs::remove_dir_all(&in_the_way).unwrap();
    until("a rotation", || {
        sessions(to, 1);
        in_the_way.is_file()
    });
    server.read_log();
    let told = server
        .log
        .iter()
        .filter(|line| line.contains("cannot be rotated"));
    assert_eq!(told.count(), 1, "{:#?}", server.log);
    server.stop();
    let both = [path, in_the_way].map(|path| objects(&text_of(&path)).len());
    assert!(both[0] > 0 && both.iter().sum::<usize>() > 400, "{both:?}");
}

#[test]
fn a_target_that_cannot_be_opened_is_a_mistake_of_its_key() {
    let directory = Directory::new();
    for (target, why) in [
        (directory.0.join("none/log"), "its folder does not exist"),
        (directory.0.clone(), "it is a folder"),
    ] {
        let config = runtime("epoll", 1) + &table(&to_file(&target)) + &echo();
        let mut server = Server::spawn(corelane(), &config);
        server.await_line(why);
        assert_eq!(server.wait(), Some(2), "{:?}", server.log);
        let said = server.log.join("\n");
        assert!(said.contains("access_log.target = \""), "{said}");
    }
}
