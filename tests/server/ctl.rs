//! `corelane ctl` against a running server: what people and programs see, and the exit codes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Directory, Server, connect, corelane, echo, on_both, ping, runtime, until};

/// A server with a control socket, and the arguments to reach it.
struct Controlled {
    server: Server,
    directory: Directory,
}

impl Controlled {
    /// `lines` are those of `[control]` besides the socket.
    fn start(poller: &str, lines: &str) -> Self {
        let directory = Directory::new();
        let socket = directory.0.join("control.sock");
        let control = format!("[control]\nsocket = \"{}\"\n{lines}\n", socket.display());
        let config = control + &runtime(poller, 2) + &echo();
        let server = Server::start(&config);
        Self { server, directory }
    }

    fn socket(&self) -> PathBuf {
        self.directory.0.join("control.sock")
    }

    fn ctl(&self, arguments: &str) -> Output {
        run(corelane(), &self.socket(), arguments)
    }

    /// The output of a command that succeeds.
    fn told(&self, arguments: &str) -> String {
        let output = self.ctl(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.told(&format!("--json {arguments}"))).unwrap()
    }
}

fn run(mut corelane: Command, socket: &Path, arguments: &str) -> Output {
    let corelane = corelane.arg("ctl").arg("--socket").arg(socket);
    corelane.args(arguments.split(' ')).output().unwrap()
}

/// The exit code and the error of a command that fails.
fn failure(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{output:?}");
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), error)
}

#[test]
fn people_see_tables_and_programs_see_json() {
    on_both(|poller| {
        let one = Controlled::start(poller, "");
        let mut client = connect(one.server.address("echo"));
        client.write_all(&[7; 3000]).unwrap();
        client.read_exact(&mut [0; 3000]).unwrap();
        let other = connect(one.server.address("echo"));
        ping(&other);
        let status = one.told("status");
        assert!(status.contains("state          serving\n"), "{status}");
        assert!(
            status.contains(&format!("pid            {}\n", one.server.pid())),
            "{status}"
        );
        assert!(status.lines().any(|line| line.contains(poller)), "{status}");
        let list = one.told("sessions --listener echo");
        let rows: Vec<&str> = list.lines().collect();
        assert!(rows.len() == 3 && rows[0].starts_with("ID"), "{list}");
        let address = client.local_addr().unwrap().to_string();
        let row = rows.iter().find(|row| row.contains(&address)).unwrap();
        assert!(row.contains("2.9KiB"), "{row}");
        let id: u64 = row.split_whitespace().next().unwrap().parse().unwrap();
        // The echoed bytes count at once, also before the lane looks at the end of the send.
        let session = one.json(&format!("session {id}"));
        assert_eq!(session["from_client_bytes"], 3000);
        assert_eq!(session["to_client_bytes"], 3000);
        let text = one.told(&format!("session {id}"));
        assert!(
            text.contains("\nclient_tcp\n") && text.contains("established"),
            "{text}"
        );
        assert!(one.told("config").contains("listener[0].name = \"echo\"\n"));
        assert!(
            one.told("listeners")
                .contains(&one.server.address("echo").to_string())
        );
        assert_eq!(one.told("upstreams").lines().count(), 1);
        assert_eq!(one.json("generations")[0]["is_current"], true);
        assert_eq!(one.told(&format!("end {id}")), "1 session ends\n");
        until("one session is left", || {
            one.json("sessions")["sessions"].as_array().unwrap().len() == 1
        });
        assert_eq!(
            one.told("end --max 0"),
            "0 sessions end; more match than --max allows\n"
        );
        assert_eq!(one.told("end --max 9 --over 1ms"), "1 session ends\n");
        until("none is left", || one.told("sessions").lines().count() == 1);
    });
}

#[test]
fn a_change_is_made_and_told() {
    let mut one = Controlled::start("auto", "");
    assert_eq!(one.told("log-level"), "info\n");
    assert_eq!(one.told("log-level debug"), "debug\n");
    assert_eq!(one.json("log-level")["level"], "debug");
    let client = connect(one.server.address("echo"));
    ping(&client);
    assert_eq!(one.told("stop"), "stopping\n");
    one.server.await_line("stopping: accepting no more");
    drop(client);
    assert_eq!(one.server.wait(), Some(0));
    let (code, error) = failure(&one.ctl("status"));
    assert_eq!(code, Some(2));
    assert!(error.contains("is the server running"), "{error}");
}

#[test]
fn mistakes_have_their_exit_codes_and_remedies() {
    let one = Controlled::start("auto", "");
    for (arguments, code, part) in [
        (
            "sessions --listener ehco",
            1,
            "no listener \"ehco\"; did you mean \"echo\"?",
        ),
        (
            "end --max 5 --upstream x",
            1,
            "no upstream \"x\"; there is none",
        ),
        ("session 99", 1, "there is no session 99"),
        ("sessions --age-min 5", 1, "a number and a unit"),
        ("end --listener echo", 2, "<ID|--max <NUMBER>>"),
        ("end 7 --listener echo", 2, "cannot be used with"),
        ("statsu", 2, "a similar subcommand exists: 'status'"),
        ("log-level loud", 2, "possible values: error, warn"),
    ] {
        let (found, error) = failure(&one.ctl(arguments));
        assert_eq!(found, Some(code), "{arguments}: {error}");
        assert!(error.contains(part), "{arguments}: {error}");
    }
    let file = one.directory.0.join("c.toml");
    let with = |config: &str| {
        fs::write(&file, config.to_owned() + &echo()).unwrap();
        let mut corelane = corelane();
        let corelane = corelane.arg("ctl").arg("--config").arg(&file);
        corelane.arg("log-level").output().unwrap()
    };
    let socket = one.socket();
    let found = with(&format!("control.socket = \"{}\"\n", socket.display()));
    assert_eq!(found.stdout, b"info\n");
    let (code, error) = failure(&with(""));
    assert_eq!(code, Some(2));
    assert!(error.contains("control.socket is \"off\""), "{error}");
}

/// Needs root, to be another user: elsewhere the unit tests alone judge users.
#[test]
fn another_user_does_what_its_level_allows() {
    const NOBODY: u32 = 65_534;
    if !fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("\nUid:\t0\t")
    {
        return;
    }
    // The folder of the build may be closed to others.
    let programs = Directory::new();
    fs::set_permissions(&programs.0, fs::Permissions::from_mode(0o755)).unwrap();
    let program = programs.0.join("corelane");
    fs::copy(corelane().get_program(), &program).unwrap();
    let ctl = |one: &Controlled, arguments: &str| {
        let mut nobody = Command::new(&program);
        nobody.uid(NOBODY).gid(NOBODY);
        run(nobody, &one.socket(), arguments)
    };
    let closed = Controlled::start("auto", "");
    fs::set_permissions(&closed.directory.0, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, error) = failure(&ctl(&closed, "status"));
    assert_eq!(code, Some(2));
    assert!(error.contains("control.mode"), "{error}");
    for (users, reads, operates) in [
        ("", false, false),
        ("read = [\"65534\"]", true, false),
        ("operate = [\"65534\"]", true, true),
    ] {
        let mut one = Controlled::start("auto", &format!("mode = \"0666\"\n{users}"));
        fs::set_permissions(&one.directory.0, fs::Permissions::from_mode(0o755)).unwrap();
        let is_done = |output: Output| output.status.code() == Some(0);
        assert_eq!(is_done(ctl(&one, "status")), reads, "{users}");
        let output = ctl(&one, "log-level debug");
        assert_eq!(is_done(output.clone()), operates, "{users}");
        if operates {
            let line = one.server.await_line("told by the control socket");
            assert!(line.contains("uid=65534"), "{line}");
            continue;
        }
        let (code, error) = failure(&output);
        assert_eq!(code, Some(1));
        assert!(error.contains("user 65534 may not do this"), "{error}");
        one.server.await_line("user 65534 may not do this");
    }
}

/// Whoever has just made a mistake names the file with the mistake.
#[test]
fn a_file_with_a_mistake_still_names_the_socket() {
    on_both(|poller| {
        let one = Controlled::start(poller, "");
        let file = one.directory.0.join("broken.toml");
        let socket = format!("[control]\nsocket = \"{}\"\n", one.socket().display());
        for mistake in ["[runtime]\nlane = 2\n", "[runtime\n"] {
            fs::write(&file, format!("{socket}{mistake}")).unwrap();
            let status = corelane()
                .args(["ctl", "status", "--config"])
                .arg(&file)
                .output()
                .unwrap();
            assert_eq!(status.status.code(), Some(0), "{status:?}");
            let text = String::from_utf8(status.stdout).unwrap();
            assert!(text.contains("serving"), "{text}");
        }
        // Without a socket in the file the mistake is told.
        fs::write(&file, "[runtime]\nlane = 2\n").unwrap();
        let status = corelane()
            .args(["ctl", "status", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let (code, error) = failure(&status);
        assert!(code == Some(2) && error.contains("runtime.lane"), "{error}");
    });
}
