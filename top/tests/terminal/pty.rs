//! A program on a pseudo-terminal: its keys, its screen, and what became of the terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with a program, which is killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    /// The program's side, which stays open behind the program.
    line: File,
    bytes: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// Everything the program wrote.
    pub(crate) raw: Vec<u8>,
    before: Termios,
}

impl Terminal {
    /// Runs `program` on a terminal of this size, as the leader of its session.
    pub(crate) fn start(program: &mut Command, [rows, columns]: [u16; 2]) -> Self {
        let (keyboard, line) = open([rows, columns]);
        let before = tcgetattr(&line).unwrap();
        let child = spawn(program, &line);
        let bytes = read_on(keyboard.try_clone().unwrap());
        Self {
            child,
            keyboard,
            line,
            bytes,
            parser: vt100::Parser::new(nonzero(rows), nonzero(columns), 0),
            raw: Vec::new(),
            before,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines on the screen.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (_, columns) = self.parser.screen().size();
        let lines = self.parser.screen().rows(0, columns.get());
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The line with `part`.
    pub(crate) fn line_with(&self, part: &str) -> String {
        let found = self.lines().into_iter().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no line with {part:?} in:\n{}", self.text()))
    }

    /// Waits until the screen is as wanted.
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let end = now() + PATIENCE;
        while !is(self) {
            match self
                .bytes
                .recv_timeout(end.saturating_duration_since(now()))
            {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("{what}: not on the screen:\n{}", self.text()),
            }
        }
    }

    /// Waits until the screen has a text.
    pub(crate) fn until_shown(&mut self, part: &str) {
        self.until(part, |terminal| terminal.text().contains(part));
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.parser.process(bytes);
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.parser
            .screen_mut()
            .set_size(nonzero(rows), nonzero(columns));
        tcsetwinsize(&self.line, size(rows, columns)).unwrap();
    }

    /// Tells the program of a size that this terminal does not have.
    pub(crate) fn say_size(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.line, size(rows, columns)).unwrap();
    }

    /// Waits for the end of the program, and for all that it wrote.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let left = end.saturating_duration_since(now());
            assert!(!left.is_zero(), "the program goes on:\n{}", self.text());
            // Wakes for bytes, and to look at the child.
            match self.bytes.recv_timeout(left.min(Duration::from_millis(20))) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the terminal has gone"),
            }
        };
        // A mark behind the program's last byte, since the line is still open here.
        let mark = "\u{1b}]0;mark\u{7}";
        (&self.line).write_all(mark.as_bytes()).unwrap();
        while !self.raw.ends_with(mark.as_bytes()) {
            let bytes = self.bytes.recv_timeout(PATIENCE).unwrap();
            self.take(&bytes);
        }
        status
    }

    /// Fails unless the terminal is as before the program, with `left` on its screen.
    pub(crate) fn assert_restored(&self, left: &str) {
        let after = tcgetattr(&self.line).unwrap();
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before));
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        assert_eq!(self.text().trim(), left);
        // The way back: what was on the alternate screen left no attributes behind.
        assert_eq!(screen.fgcolor(), vt100::Color::Default);
        assert!(!screen.bold() && !screen.inverse());
    }
}

/// Runs `program` on a terminal that hangs up once the program has written `shown`.
pub(crate) fn hang_up_after(program: &Command, shown: &str) -> ExitStatus {
    let (mut keyboard, line) = open([24, 80]);
    let mut child = spawn(program, &line);
    drop(line);
    let (mut written, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&written).contains(shown) {
        let count = keyboard.read(&mut buffer).unwrap();
        written.extend_from_slice(&buffer[..count]);
    }
    drop(keyboard);
    let end = now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the program outlives its terminal");
        }
        thread::yield_now();
    }
}

/// A terminal of this size: the keyboard and screen, and the program's side.
fn open([rows, columns]: [u16; 2]) -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
    let mut open = OpenOptions::new();
    let line = open.read(true).write(true).open(path).unwrap();
    tcsetwinsize(&line, size(rows, columns)).unwrap();
    (File::from(master), line)
}

/// Starts a program as the leader of a session with this terminal.
fn spawn(program: &Command, line: &File) -> Child {
    // SIGWINCH comes to programs with a controlling terminal.
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program.get_program());
    command
        .args(program.get_args())
        .env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR");
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap());
    }
    let stdio = || Stdio::from(OwnedFd::from(line.try_clone().unwrap()));
    // The copies of the line in `command` would hide the end of the program: they end here.
    command
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn()
        .unwrap()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread of a test")]
fn read_on(mut screen: File) -> Receiver<Vec<u8>> {
    let (sender, bytes) = channel();
    drop(thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    }));
    bytes
}

fn nonzero(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's deadline")]
fn now() -> Instant {
    Instant::now()
}
