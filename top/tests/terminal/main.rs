//! The view on a pseudo-terminal, in front of a running server.
//!
//! Wants `corelane` beside `corelane-top`: `cargo build`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod pty;
mod server;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use pty::Terminal;
use server::{Server, beside};

const ESC: &str = "\u{1b}";
const ENTER: &str = "\r";

/// The view of `server`, after its first look.
fn top(server: &Server, more: &[&str]) -> Terminal {
    let mut terminal = Terminal::start(&mut command(server, more), [24, 80]);
    terminal.until_shown("alpha");
    terminal
}

fn command(server: &Server, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane-top"));
    command.arg("--socket").arg(server.socket());
    if !more.contains(&"--interval") {
        command.args(["--interval", "100ms"]);
    }
    command.args(more);
    command
}

/// The port of a client, as the view shows it.
fn port(client: &TcpStream) -> String {
    client.local_addr().unwrap().to_string()
}

/// The index of the line with `part`.
fn row(terminal: &Terminal, part: &str) -> Option<usize> {
    terminal.lines().iter().position(|line| line.contains(part))
}

/// Whether the client's session has ended. The client sends nothing more.
fn is_reset(mut client: &TcpStream) -> bool {
    client.read(&mut [0]).is_err()
}

#[test]
fn the_pages_show_the_names_and_counts_of_the_server() {
    let server = Server::start();
    let _clients = [server.client(1000), server.client(10), server.client(10)];
    server.refused_client();
    let mut terminal = top(&server, &[]);
    terminal.until_shown("sessions 3 of ");
    let head = terminal.line_with("corelane ");
    for part in ["serving", &format!("pid {}", server.pid()), "every 100ms"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    let alpha = terminal.line_with("alpha");
    assert!(
        alpha.contains("accepting") && alpha.contains("127.0.0.1:"),
        "{alpha}"
    );
    assert!(terminal.line_with("beta").contains("up"));
    let counts: Vec<&str> = alpha.split_whitespace().collect();
    assert_eq!(counts[1..3], ["accepting", "3"], "{alpha}");
    // Why sessions of the chosen row have ended.
    terminal.press("j");
    terminal.until_shown("ended: connect_refused 1");
    terminal.press("2");
    terminal.until_shown("127.0.0.1:9");
    let endpoint = terminal.line_with("127.0.0.1:9");
    assert!(
        endpoint.contains("ready") && endpoint.contains("failing"),
        "{endpoint}"
    );
    terminal.until_shown("connects failed: connect_refused 1");
    terminal.press("3");
    terminal.until_shown("POLLER");
    // Of two looks, as all rates.
    terminal.until_shown("%");
    let lanes = terminal.lines();
    let lanes: Vec<&String> = lanes
        .iter()
        .filter(|line| line.contains("epoll") || line.contains("io_uring"))
        .collect();
    assert_eq!(lanes.len(), 2, "{}", terminal.text());
    terminal.press("4");
    terminal.until_shown("3 shown");
    let sessions = terminal.lines();
    assert_eq!(
        sessions
            .iter()
            .filter(|line| line.contains("127.0.0.1:"))
            .count(),
        3
    );
    // Rates need two looks.
    terminal.until("rates", |terminal| {
        terminal.line_with("received").contains("B/s")
            || terminal.line_with("received").contains("0/s")
    });
}

#[test]
fn sessions_are_sorted_and_filtered() {
    let server = Server::start();
    let (small, large) = (server.client(1), server.client(300_000));
    let mut terminal = Terminal::start(&mut command(&server, &[]), [24, 120]);
    terminal.press("4");
    terminal.until_shown("2 shown");
    let order =
        |terminal: &Terminal| row(terminal, &port(&large)).cmp(&row(terminal, &port(&small)));
    // To the column of bytes from clients: the largest first.
    for _ in 0..20 {
        if terminal.text().contains("IN▼") {
            break;
        }
        terminal.press("s");
        let before = terminal.line_with("CLIENT");
        terminal.until("another column", |terminal| {
            terminal.line_with("CLIENT") != before
        });
    }
    terminal.until("largest first", |terminal| order(terminal).is_lt());
    terminal.press("r");
    terminal.until("smallest first", |terminal| order(terminal).is_gt());
    assert!(terminal.text().contains("IN▲"));
    terminal.press("/bytes-min=1KiB\r");
    terminal.until_shown("1 shown: bytes-min=1KiB");
    assert!(row(&terminal, &port(&large)).is_some() && row(&terminal, &port(&small)).is_none());
    terminal.press(ESC);
    terminal.until_shown("2 shown");
    terminal.press(&format!("/{}\r", port(&small)));
    terminal.until_shown("1 shown: 127");
    assert!(row(&terminal, &port(&large)).is_none());
    // A mistake is named in the server's words.
    terminal.press(ESC);
    terminal.until_shown("2 shown");
    terminal.press("/listner=alpha\r");
    terminal.until_shown("did you mean listener?");
    // The sessions of a listener, by Enter on the listener.
    terminal.press("1");
    terminal.until_shown("accepting");
    terminal.press(ENTER);
    terminal.until_shown("2 shown: listener=alpha");
}

#[test]
fn a_session_has_a_page_with_its_connection() {
    let server = Server::start();
    let client = server.client(3000);
    let mut terminal = top(&server, &[]);
    terminal.press("4");
    terminal.until_shown(&port(&client));
    terminal.press(ENTER);
    terminal.until_shown("TCP");
    for part in ["established", "rtt", "2.9KiB", "echo", "alpha"] {
        assert!(
            terminal.text().contains(part),
            "{part}:\n{}",
            terminal.text()
        );
    }
    assert!(terminal.line_with("client").contains(&port(&client)));
    // The last lines come by scrolling.
    assert!(
        !terminal.text().contains("buffer limited"),
        "{}",
        terminal.text()
    );
    terminal.press("G");
    terminal.until_shown("buffer limited");
    drop(client);
    terminal.until_shown("ended");
    terminal.press(ESC);
    terminal.until_shown("no sessions");
}

#[test]
fn a_session_ends_after_a_yes_only() {
    let server = Server::start();
    let client = server.client(10);
    let mut terminal = top(&server, &[]);
    terminal.press("4");
    terminal.until_shown(&port(&client));
    for no in ["n", ESC, "x"] {
        terminal.press("e");
        terminal.until_shown(&format!("of {} by a reset", port(&client)));
        terminal.press(no);
        terminal.until_shown("nothing done");
    }
    terminal.until_shown(&port(&client));
    client.set_nonblocking(true).unwrap();
    let lives = (&client).read(&mut [0]).unwrap_err();
    assert_eq!(lives.kind(), std::io::ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    terminal.press("e");
    terminal.until_shown("y/n");
    terminal.press("y");
    terminal.until_shown("no sessions");
    assert!(is_reset(&client));
}

#[test]
fn listeners_and_endpoints_change_after_a_yes() {
    let server = Server::start();
    let client = server.client(10);
    let mut terminal = top(&server, &[]);
    terminal.press("p");
    terminal.until_shown("Pause listener alpha?");
    terminal.press("y");
    terminal.until("paused", |terminal| {
        terminal.line_with("127.0.0.1:").contains("paused")
    });
    terminal.press("p");
    terminal.until_shown("Resume listener alpha?");
    terminal.press("y");
    terminal.until("accepting", |terminal| {
        terminal.line_with("127.0.0.1:").contains("accepting")
    });
    terminal.press("d");
    terminal.until_shown("Drain listener alpha");
    terminal.press("y");
    terminal.until_shown("1 session ends");
    assert!(is_reset(&client));
    terminal.press("2d");
    terminal.until_shown("to drain");
    terminal.press("n");
    terminal.until_shown("nothing done");
    assert!(terminal.line_with("127.0.0.1:9").contains("ready"));
    terminal.press("d");
    terminal.until_shown("to drain");
    terminal.press("y");
    terminal.until("drained", |terminal| {
        terminal.line_with("127.0.0.1:9").contains(" drain ")
    });
}

#[test]
fn a_resize_shows_more_and_less() {
    let server = Server::start();
    let _client = server.client(10);
    let mut terminal = top(&server, &["--interval", "1m"]);
    terminal.press("4");
    terminal.until_shown("1 shown");
    assert!(
        !terminal.text().contains("GENERATION"),
        "{}",
        terminal.text()
    );
    assert!(
        terminal.lines()[23].contains("? help"),
        "{}",
        terminal.text()
    );
    // At once, without a new look at the server.
    terminal.resize(40, 160);
    terminal.until_shown("GENERATION");
    terminal.until("the last line", |terminal| {
        terminal.lines()[39].contains("? help")
    });
    for (rows, columns) in [(5, 20), (1, 1), (2, 300)] {
        terminal.resize(rows, columns);
    }
    // More than there is memory for.
    terminal.say_size(u16::MAX, u16::MAX);
    terminal.until("a drawing of 500 rows", |terminal| {
        let latest = &terminal.raw[terminal.raw.len().saturating_sub(20_000)..];
        String::from_utf8_lossy(latest).contains("\u{1b}[500;1H")
    });
    terminal.resize(24, 80);
    terminal.until("80 columns", |terminal| {
        terminal.lines()[23].contains("? help") && !terminal.text().contains("GENERATION")
    });
    terminal.press("?");
    terminal.until_shown("leave");
}

/// The parameters of all SGR sequences.
fn colors(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let sequences = text.split("\u{1b}[").skip(1);
    let sgr = sequences.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then(|| rest[..end].to_owned())
    });
    let is_color = |parameters: &String| {
        parameters
            .split(';')
            .any(|p| matches!(p.parse(), Ok(30..=38 | 40..=48 | 90..=107)))
    };
    sgr.filter(is_color).collect()
}

#[test]
fn no_color_means_no_color() {
    let server = Server::start();
    let _client = server.client(10);
    for (value, has_colors) in [("1", false), ("", true)] {
        let mut command = command(&server, &[]);
        let mut terminal = Terminal::start(command.env("NO_COLOR", value), [24, 80]);
        terminal.until_shown("accepting");
        terminal.press("4");
        terminal.until_shown("1 shown");
        terminal.press("\r");
        terminal.until_shown("established");
        terminal.press("e");
        terminal.until_shown("y/n");
        terminal.press("nq");
        assert!(terminal.wait().success());
        assert_eq!(
            !colors(&terminal.raw).is_empty(),
            has_colors,
            "{:?}",
            colors(&terminal.raw)
        );
        // The chosen row and the present page are seen without colours.
        assert!(String::from_utf8_lossy(&terminal.raw).contains("\u{1b}[7"));
    }
}

#[test]
fn the_terminal_is_as_before_after_each_end() {
    let server = Server::start();
    for end in ["q", "\u{3}", "?\u{3}", "SIGTERM"] {
        let mut terminal = top(&server, &[]);
        match end {
            "SIGTERM" => {
                let pid = rustix::process::Pid::from_raw(terminal.pid().try_into().unwrap());
                let signal = rustix::process::Signal::TERM;
                rustix::process::kill_process(pid.unwrap(), signal).unwrap();
            }
            keys => terminal.press(keys),
        }
        assert!(terminal.wait().success(), "{end:?}");
        terminal.assert_restored("");
    }
}

#[test]
fn a_server_that_goes_away_is_told_and_ends_the_view() {
    let mut server = Server::start();
    let mut terminal = top(&server, &["--patience", "1500ms"]);
    server.kill();
    terminal.until_shown("NO ANSWER for 1.0s");
    assert!(terminal.text().contains("alpha"), "the last figures stay");
    assert_eq!(terminal.wait().code(), Some(2));
    let socket = server.socket();
    let said = format!(
        "corelane-top: the server has gone: nobody listens on {}: the server has \
                        ended without a stop",
        socket.display()
    );
    // Wrapped by the terminal.
    let shown: String = terminal.lines().concat();
    assert_eq!(shown, said);
    terminal.assert_restored(terminal.text().trim());
}

#[test]
fn without_a_server_or_a_terminal_there_is_an_error_and_no_screen() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane-top"));
    let mut terminal = Terminal::start(command.args(["--socket", "/nowhere.sock"]), [24, 200]);
    assert_eq!(terminal.wait().code(), Some(2));
    assert!(
        terminal
            .text()
            .contains("there is no control socket /nowhere.sock")
    );
    assert!(!terminal.raw.contains(&0x1b) || terminal.raw.starts_with(b"corelane-top: "));
    let server = Server::start();
    let output = self::command(&server, &[])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("not a terminal") && said.contains("corelane ctl"),
        "{said}"
    );
}

#[test]
fn corelane_top_becomes_the_program_beside_it() {
    let server = Server::start();
    let mut command = Command::new(beside("corelane"));
    command
        .args(["top", "--interval", "100ms", "--config"])
        .arg(server.file());
    let mut terminal = Terminal::start(&mut command, [24, 80]);
    terminal.until_shown("alpha");
    let name = std::fs::read_to_string(format!("/proc/{}/comm", terminal.pid()));
    if let Ok(name) = name {
        assert_eq!(name.trim(), "corelane-top");
    }
    terminal.press("q");
    assert!(terminal.wait().success());
}

/// A closed window, or a lost connection to another machine.
#[test]
fn a_terminal_that_goes_away_ends_the_view() {
    let server = Server::start();
    let hung_up = pty::hang_up_after(&command(&server, &[]), "alpha");
    assert_eq!(hung_up.signal(), Some(1));
    // As below nohup.
    let mut deaf = Command::new("sh");
    deaf.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    let view = command(&server, &[]);
    deaf.arg(view.get_program()).args(view.get_args());
    assert_eq!(pty::hang_up_after(&deaf, "alpha").code(), Some(1));
}
