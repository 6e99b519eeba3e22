//! Tests the built binary: its output and its exit code.
//!
//! Each test has its own directory. No test needs a server.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

#[path = "cli/config.rs"]
mod config;
#[path = "cli/diff.rs"]
mod diff;
#[path = "everyday/configuration.rs"]
mod everyday;
#[path = "cli/here.rs"]
mod here;
#[path = "cli/probe.rs"]
mod probe;
#[path = "cli/scale.rs"]
mod scale;

/// The embedded default, from its file.
const DEFAULT: &str = include_str!("../config/default.toml");

/// A directory, empty at first and removed when dropped.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corelane-cli-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// With one file in it.
    fn with(file: &str, content: impl AsRef<[u8]>) -> Self {
        let directory = Self::new();
        fs::write(directory.0.join(file), content).unwrap();
        directory
    }

    /// Runs corelane in the directory.
    fn run(&self, arguments: &[&str]) -> Answer {
        run(&self.0, arguments)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// The server's description of this process as the holder of a port.
fn holder() -> String {
    let pid = std::process::id();
    // Only Linux shows the sockets of foreign processes.
    if std::env::consts::OS != "linux" {
        return "somebody".to_owned();
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    format!("process {pid} ({})", name.trim_end())
}

/// The results of a process.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn corelane(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.current_dir(directory).args(arguments);
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Answer {
    let output = corelane(directory, arguments).output().unwrap();
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Success, with only this on standard output.
fn ok(stdout: &str) -> Answer {
    Answer {
        code: Some(0),
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

/// A usage or configuration error, with only this on standard error.
fn refused(stderr: &str) -> Answer {
    Answer {
        code: Some(2),
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}

#[test]
fn version_and_help_work_beside_a_broken_configuration() {
    let directory = Directory::with("corelane.toml", "no toml");
    let version = directory.run(&["--version"]);
    assert_eq!(
        version,
        ok(&format!("corelane {}\n", env!("CARGO_PKG_VERSION")))
    );
    for arguments in [
        &["--help"][..],
        &["help"],
        &["run", "--config", "corelane.toml", "--help"],
        &["check", "--help"],
        &["diff", "--help"],
        &["config", "default", "--help"],
        &["config", "schema", "--help"],
    ] {
        let help = directory.run(arguments);
        assert_eq!(
            (help.code, help.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        assert!(help.stdout.contains("Usage: corelane"), "{help:?}");
    }
    let help = directory.run(&["--help"]).stdout;
    for command in ["run", "check", "diff", "config"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_a_usage_error() {
    let directory = Directory::new();
    for (arguments, why) in [
        (&[][..], "Usage: corelane <COMMAND>"),
        (&["serve"], "unrecognized subcommand 'serve'"),
        (
            &["check", "--default", "--config", "corelane.toml"],
            "'--default' cannot be used with '--config <FILE>'",
        ),
        (
            &["check", "corelane.toml"],
            "unexpected argument 'corelane.toml'",
        ),
        (&["probe"], "<HOST:PORT>"),
        (&["probe", "7007"], "write HOST:PORT, e.g. 127.0.0.1:7007"),
        (&["probe", ":7007"], "write HOST:PORT, e.g. 127.0.0.1:7007"),
        (
            &["probe", "localhost:0"],
            "write HOST:PORT, e.g. 127.0.0.1:7007",
        ),
        (&["run", "--config"], "a value is required"),
        (
            &["run", "--config", "a", "--config", "b"],
            "cannot be used multiple times",
        ),
        (&["config"], "Usage: corelane config <COMMAND>"),
    ] {
        let answer = directory.run(arguments);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(
            answer.stderr.contains(why),
            "{arguments:?}: {}",
            answer.stderr
        );
    }
}

#[test]
fn arguments_of_other_servers_get_the_command_that_was_meant() {
    let directory = Directory::new();
    for (arguments, command) in [
        (&["-t", "-c", "a.toml"][..], "check --config a.toml"),
        (&["-c", "a.toml", "-t"], "check --config a.toml"),
        (&["run", "-t", "-c", "a.toml"], "check --config a.toml"),
        (&["--test"], "check --config FILE"),
        (&["check", "a.toml"], "check --config a.toml"),
        (&["-c", "etc/a"], "run --config etc/a"),
        (&["--config", "a.toml"], "run --config a.toml"),
        (&["-f", "a.toml"], "run --config a.toml"),
        (&["run", "-f", "a.toml"], "run --config a.toml"),
        (&["run", "a\u{1b}.toml"], r"run --config a\u{1b}.toml"),
        (&["a.toml"], "run --config a.toml"),
    ] {
        let answer = directory.run(arguments);
        assert_eq!(answer.code, Some(2), "{arguments:?}");
        let tip = format!("  tip: write 'corelane {command}'\n");
        assert!(answer.stderr.contains(&tip), "{arguments:?}: {answer:?}");
    }
    let answer = directory.run(&["chekc"]);
    assert!(answer.stderr.contains("similar subcommand"), "{answer:?}");
}

/// What cannot be meant and is allowed: see `src/config/tests/doubts.rs` for all of it.
#[test]
fn a_check_warns_and_succeeds() {
    let text = DEFAULT.replace("#tries = 3", "tries = 3");
    let line = text.lines().position(|line| line == "tries = 3").unwrap() + 1;
    let directory = Directory::with("a.toml", text);
    let answer = directory.run(&["check", "-c", "a.toml"]);
    let expected = Answer {
        code: Some(0),
        stdout: "a.toml: ok: 2 listeners, 1 upstream, 1 warning\n".to_owned(),
        stderr: format!(
            "a.toml:{line}: warning: upstream[0].tries = 3: more than there are endpoints, each of \
             which is tried once; write 1 at most, or more endpoints\n"
        ),
    };
    assert_eq!(answer, expected);
}

/// Valid settings that this machine cannot provide are reported with their line, too.
#[test]
fn resources_missing_here_are_reported_with_their_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let poller = match cfg!(target_os = "linux") {
        true => "kqueue",
        false => "epoll",
    };
    for (lines, code, expected) in [
        (
            "bind = ['127.0.0.1:0',\n'203.0.113.1:7007']".to_owned(),
            2,
            "a.toml:5: listener[0].bind[1] = '203.0.113.1:7007': no interface of this machine has \
             that address; write one that it has, or \"0.0.0.0\" or \"[::]\" for all\n"
                .to_owned(),
        ),
        (
            format!("bind = '{taken}'"),
            1,
            format!(
                "a.toml:4: listener[0].bind = '{taken}': {} listens there already; stop it, \
                 or choose another address\n",
                holder()
            ),
        ),
        (
            format!("bind = '127.0.0.1:0'\n[runtime]\npoller = '{poller}'"),
            2,
            format!("a.toml:6: runtime.poller = '{poller}': "),
        ),
    ] {
        let text = format!("[[listener]]\nname = 'a'\nservice = 'echo'\n{lines}\n");
        let answer = Directory::with("a.toml", text).run(&["run", "-c", "a.toml"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(code), ""));
        assert!(answer.stderr.contains("corelane starts"), "{answer:?}");
        // A configuration error has a line; a lack that may pass is an ordinary failure.
        let before = if code == 2 { "\n" } else { " ERROR " };
        let error = format!("{before}{expected}");
        assert!(answer.stderr.contains(&error), "{answer:?}");
        assert_eq!(answer.stderr.matches("a.toml:").count(), 1, "{answer:?}");
    }
}

#[test]
fn every_example_passes_its_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = fs::read_dir(root.join("config")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path());
    // Those of the container image and of the Debian package.
    let deployed = ["deploy/container.toml", "deploy/packages/corelane.toml"];
    for path in examples.chain(deployed.map(|path| root.join(path))) {
        // The schema stands beside the examples.
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let answer = run(root, &["check", "--config", path.to_str().unwrap()]);
        assert_eq!(
            (answer.code, answer.stderr.as_str()),
            (Some(0), ""),
            "{path:?}"
        );
    }
}

/// One error of each kind, in a different order than the checks.
const BROKEN: &str = r#"
[[listener]]
name = "web"
bind = ["0.0.0.0:80", "localhost"]
service = "proxy"
upstream = "wab"

[[listener]]
bind = "0.0.0.0:80"
service = "echo"
protocol = "udp"

[runtime]
lanes = 0
pin = "yes"
idle_spin = "1h"

[[upstream]]
name = "web"
endpoints = ["10.0.0.1:0"]
"#;

const BROKEN_ANSWER: &str = include_str!("cli/broken_answer.txt");

#[test]
fn every_mistake_is_shown_in_one_run_in_the_order_of_lines() {
    let directory = Directory::with("a.toml", BROKEN);
    for command in ["check", "run"] {
        let answer = directory.run(&[command, "--config", "a.toml"]);
        assert_eq!(answer, refused(BROKEN_ANSWER));
    }
}

#[test]
fn text_that_is_no_toml_has_its_line_and_column() {
    let directory = Directory::with("a.toml", "[log]\nlevel = debug\n");
    let why = "not TOML: a text has quotes; write level = \"debug\"";
    let answer = directory.run(&["check", "--config", "a.toml"]);
    assert_eq!(answer, refused(&format!("a.toml:2:9: {why}\n")));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = Directory::with("bytes.toml", b"# one\n# two \xff\n");
    fs::create_dir(directory.0.join("folder")).unwrap();
    fs::write(
        directory.0.join("large.toml"),
        "#".repeat(4 * 1024 * 1024 + 1),
    )
    .unwrap();
    for (file, why) in [
        ("bytes.toml", "not UTF-8 on line 2"),
        ("folder", "it is a folder; name the file in it"),
        (
            "none.toml",
            "there is no such file; `corelane config default > none.toml` writes one",
        ),
        (
            "large.toml",
            "larger than 4194304 bytes, which no configuration is",
        ),
    ] {
        for command in ["check", "run"] {
            let answer = directory.run(&[command, "--config", file]);
            let expected = format!("corelane: the configuration {file} cannot be read: {why}\n");
            assert_eq!(answer, refused(&expected));
        }
    }
    let answer = directory.run(&["check", "--config", "no\x1b\nfile"]);
    let expected = r"corelane: the configuration no\u{1b}\nfile cannot be read: there is";
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""));
    assert!(answer.stderr.starts_with(expected), "{}", answer.stderr);
    assert_eq!(answer.stderr.lines().count(), 1);
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_unescaped() {
    let text = "\"\\u001b]0;title\\u0007\" = \"a\u{9b}2J\"\n'b\u{202e}' = 1";
    let directory = Directory::with("a.toml", text.replace('\u{9b}', "\\u009b"));
    let answer = directory.run(&["check", "--config", "a.toml"]);
    assert_eq!(answer.code, Some(2));
    let hidden = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!answer.stderr.contains(hidden), "{:?}", answer.stderr);
    assert!(
        answer
            .stderr
            .contains(r#"a.toml:2: "b\u{202e}" = 1: unknown key"#),
        "{answer:?}"
    );
}

#[test]
fn a_closed_standard_output_is_no_failure() {
    let directory = Directory::new();
    for arguments in [
        &["config", "default"][..],
        &["config", "schema"],
        &["--help"],
        &["--version"],
    ] {
        let mut child = corelane(&directory.0, arguments)
            .stdout(closed_pipe())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn unread_errors_keep_their_exit_code() {
    let directory = Directory::with("a.toml", BROKEN);
    for arguments in [&["check", "--config", "a.toml"][..], &["check", "FILE"]] {
        let status = corelane(&directory.0, arguments)
            .stderr(closed_pipe())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}

/// The writing end of a pipe whose reading end is closed.
fn closed_pipe() -> Stdio {
    let (_reader, writer) = std::io::pipe().unwrap();
    writer.into()
}

/// A bound port of the loopback without a listener, as long as the socket lives.
fn held_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}
