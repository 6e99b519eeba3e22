//! What an operator does to a running server by the control socket: reload with and without a dry
//! run, sessions of what a reload removes, pause and drain of a listener.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::proxy::ping_through;
use crate::support::{
    Directory, End, Server, accept, connect, corelane, echo, listener, on_both, patient, ping,
    proxy, read_pattern, runtime, until,
};

/// A server with a control socket.
pub(crate) struct Operated {
    pub(crate) server: Server,
    socket: PathBuf,
    head: String,
    _directory: Directory,
}

impl Operated {
    /// `text` follows the tables of the process.
    pub(crate) fn start(poller: &str, text: &str) -> Self {
        let directory = Directory::new();
        let socket = directory.0.join("control.sock");
        let head = format!(
            "[control]\nsocket = \"{}\"\n{}",
            socket.display(),
            runtime(poller, 2)
        );
        Self {
            server: Server::start(&(head.clone() + text)),
            socket,
            head,
            _directory: directory,
        }
    }

    pub(crate) fn write(&self, text: &str) {
        self.server.write_config(&(self.head.clone() + text));
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        let mut corelane = corelane();
        corelane
            .args(arguments.split(' '))
            .arg("--socket")
            .arg(&self.socket);
        corelane.output().unwrap()
    }

    /// The output of a command that succeeds.
    pub(crate) fn told(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.told(&format!("{arguments} --json"))).unwrap()
    }
}

pub(crate) fn is_reset(client: &TcpStream) -> bool {
    read_pattern(client, 0) == (0, End::Reset)
}

#[test]
fn a_dry_run_says_what_the_reload_then_does() {
    on_both(|poller| {
        let goes = echo().replace("\"echo\"\nbind", "\"goes\"\nbind") + "on_removed = \"reset\"\n";
        let mut one = Operated::start(poller, &(echo() + &goes));
        let stays = one.server.connect();
        let going = [
            connect(one.server.address("goes")),
            connect(one.server.address("goes")),
        ];
        [&stays, &going[0], &going[1]].into_iter().for_each(ping);
        one.write(&(echo() + "timeouts.idle = \"7s\"\n"));
        let dry = one.json("reload --dry-run");
        assert_eq!(dry["dry_run"], true);
        going.iter().for_each(ping);
        let text = one.told("reload --dry-run");
        for part in [
            "dry run: nothing has changed",
            "listener \"goes\"",
            "timeouts.idle: \"1h\" → \"7s\"",
            "1 stay, 0 drain, 2 are reset",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let done = one.json("reload");
        for key in [
            "changed",
            "generation",
            "lines",
            "changes",
            "addresses",
            "sessions",
        ] {
            assert_eq!(done[key], dry[key], "{key}");
        }
        assert_eq!(done["generation"], 1);
        assert!(going.iter().all(is_reset));
        ping(&stays);
        one.server.await_line("the sessions have ended");
        // The file has not changed since.
        let again = one.json("ctl reload");
        assert_eq!(
            (&again["changed"], &again["generation"]),
            (&false.into(), &1.into())
        );
        drop(stays);
        one.server.stop();
    });
}

#[test]
fn a_refused_reload_tells_who_asked() {
    on_both(|poller| {
        let one = Operated::start(poller, &echo());
        one.write(&echo().replace("service", "servce"));
        for arguments in ["reload", "reload --dry-run", "ctl reload"] {
            let output = one.run(arguments);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains("did you mean service?"), "{error}");
        }
        // Neither a device nor a pipe nor a large file holds or fills the process.
        let file = one.server.directory.0.join("corelane.toml");
        for special in ["/dev/zero", "/dev/full"] {
            fs::remove_file(&file).unwrap();
            symlink(special, &file).unwrap();
            let output = one.run("reload");
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.contains("it is no ordinary file any more"), "{error}");
        }
        fs::remove_file(&file).unwrap();
        fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
        let error = String::from_utf8(one.run("reload").stderr).unwrap();
        assert!(error.contains("which no configuration is"), "{error}");
        ping(&one.server.connect());
        assert_eq!(one.json("ctl status")["generation"], 0);
    });
}

/// Each rule, for an endpoint, with a reload by signal: there is no control socket.
#[test]
fn sessions_of_a_removed_endpoint_stay_drain_or_are_reset() {
    on_both(|poller| {
        let (first, first_at) = listener();
        let (second, second_at) = listener();
        for (rule, ends) in [
            ("on_removed = \"keep\"", false),
            ("on_removed = \"drain\"\ndrain_over = \"1s\"", true),
            ("on_removed = \"reset\"", true),
        ] {
            let log = "log.level = \"debug\"\n".to_owned() + &runtime(poller, 2);
            let text = |at: &[SocketAddr]| log.clone() + &proxy(at) + rule + "\n";
            let mut server = Server::start(&text(&[first_at]));
            let old = connect(server.address("proxy"));
            let old_end = accept(&first);
            server.write_config(&text(&[second_at]));
            server.signal("HUP");
            server.await_line(" reloaded ");
            let new = connect(server.address("proxy"));
            let new_end = accept(&second);
            if ends {
                assert!(is_reset(&old), "{rule}");
                let line = server.await_line("ended=removed");
                assert!(line.contains(&first_at.to_string()), "{line}");
                // The record and the result come from different threads.
                let is_said = |line: &String| line.contains("the sessions have ended");
                if !server.log.iter().any(is_said) {
                    server.await_line("the sessions have ended");
                }
            } else {
                ping_through(&old, &old_end);
            }
            ping_through(&new, &new_end);
            drop((old, old_end, new, new_end));
            server.signal("TERM");
            assert_eq!(server.wait(), Some(0));
        }
    });
}

#[test]
fn a_paused_listener_keeps_its_clients_waiting() {
    on_both(|poller| {
        let other = echo().replace("\"echo\"\nbind", "\"other\"\nbind");
        let mut one = Operated::start(poller, &(echo() + &other));
        let before = one.server.connect();
        ping(&before);
        let text = one.told("ctl pause echo");
        assert!(text.contains("listener echo: paused, 127.0.0.1:"), "{text}");
        ping(&before);
        // A pause outlasts a reload.
        one.write(&(echo() + "backlog = 9\n" + &other));
        assert_eq!(one.json("reload")["addresses"]["kept"], 2);
        let waiting = [one.server.connect(), one.server.connect()];
        ping(&connect(one.server.address("other")));
        let sessions = one.json("ctl sessions --listener echo");
        assert_eq!(
            sessions["sessions"].as_array().unwrap().len(),
            1,
            "{sessions}"
        );
        let error = one.run("ctl resume ech");
        let error = String::from_utf8(error.stderr).unwrap();
        assert!(error.contains("did you mean \"echo\"?"), "{error}");
        assert!(one.told("ctl resume echo").contains("accepting"));
        waiting.iter().for_each(ping);
        let text = one.told("ctl drain echo");
        assert!(text.contains("3 sessions end"), "{text}");
        assert!(waiting.iter().chain([&before]).all(is_reset));
        // Clients of a paused listener are served at a stop.
        let late = one.server.connect();
        one.server.signal("TERM");
        ping(&late);
        drop(late);
        assert_eq!(one.server.wait(), Some(0));
    });
}

#[test]
fn the_log_changes_with_a_reload() {
    on_both(|poller| {
        let log =
            |level: &str| format!("log.level = \"{level}\"\n{}{}", runtime(poller, 1), echo());
        let mut server = Server::start(&log("info"));
        ping(&server.connect());
        server.write_config(&log("debug"));
        server.signal("HUP");
        server.await_line("changed: log.level: \"info\" → \"debug\"");
        server.await_line(" reloaded ");
        let client = server.connect();
        patient(&client);
        ping(&client);
        drop(client);
        server.await_line("ended=client_fin");
        let ended = server.log.iter().filter(|line| line.contains("ended="));
        assert_eq!(ended.count(), 1, "{:#?}", server.log);
        until("the session is gone", || server.sockets() <= 2);
        server.stop();
    });
}
