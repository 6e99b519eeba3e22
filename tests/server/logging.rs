//! Readers of the log that are stuck, slow, gone or full. Sessions and signals continue all the
//! same, lines stay whole, and lost lines are counted.
#![expect(
    unsafe_code,
    reason = "descriptors and limits are set between fork and exec"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;

use crate::support::{
    Directory, End, Server, connect, corelane, dead_address, echo, on_both, ping, read_pattern,
    runtime, signal, until,
};

/// More sessions than the log queue has room for lines.
const SESSIONS: usize = 3500;

fn debug(poller: &str) -> String {
    runtime(poller, 2) + "[log]\nlevel = \"debug\"\n" + &echo()
}

/// Opens and ends this many sessions in sequence; each logs a line.
fn sessions(to: SocketAddr, count: usize) {
    for _ in 0..count {
        let client = connect(to);
        ping(&client);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_pattern(&client, 0), (0, End::Fin));
    }
}

/// The server with these status flags on its standard error, a pipe of one page.
fn with_small_pipe(flags: libc::c_int) -> Command {
    let mut command = corelane();
    let prepare = move || {
        // SAFETY: no pointers.
        let size = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_SETPIPE_SZ, 4096) };
        // SAFETY: no pointers.
        let set = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_SETFL, flags) };
        let is_done = size == 4096 && set == 0;
        is_done.then_some(()).ok_or_else(io::Error::last_os_error)
    };
    // SAFETY: `prepare` makes only two system calls between fork and exec.
    unsafe { command.pre_exec(prepare) };
    command
}

/// The number behind `lines=`.
fn dropped(line: &str) -> usize {
    let rest = line.split_once(" lines=").unwrap().1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

fn assert_whole(lines: &[String]) {
    for line in lines {
        let has_level = [" INFO ", " WARN ", "DEBUG "]
            .iter()
            .any(|l| line.contains(l));
        assert!(line.starts_with("20") && has_level, "{line:?}");
        assert!(
            !line.contains("DEBUG ") || line.contains(" ended="),
            "{line:?}"
        );
        assert_eq!(line.matches("Z ").count(), 1, "{line:?}");
    }
}

/// Issue 14: a collector that stops reading, a container's log driver, Ctrl-S.
#[test]
fn a_stuck_reader_holds_nobody_up_and_learns_what_it_missed() {
    for flags in [0, libc::O_NONBLOCK] {
        on_both(|poller| {
            let mut server = Server::spawn(with_small_pipe(flags), &debug(poller));
            server.await_line("ready");
            let lasting = server.connect();
            ping(&lasting);
            server.read_on(false);
            sessions(server.address("echo"), SESSIONS);
            ping(&lasting);
            server.read_on(true);
            let line = server.await_line("log lines dropped");
            assert!(line.contains("WARN"), "{line}");
            sessions(server.address("echo"), 10);
            drop(lasting);
            server.signal("TERM");
            assert_eq!(server.wait(), Some(0));
            assert!(
                server.log.last().unwrap().contains("drained"),
                "{:#?}",
                server.log
            );
            assert_whole(&server.log);
            let with = |what: &str| -> Vec<&String> {
                server
                    .log
                    .iter()
                    .filter(|line| line.contains(what))
                    .collect()
            };
            let gaps = with("log lines dropped")
                .into_iter()
                .map(|line| dropped(line));
            assert_eq!(with(" session ").len() + gaps.sum::<usize>(), SESSIONS + 11);
        });
    }
}

/// The process ends although its last lines cannot be written.
#[test]
fn a_stuck_reader_does_not_hold_up_a_stop() {
    on_both(|poller| {
        let mut server = Server::spawn(with_small_pipe(0), &debug(poller));
        server.await_line("ready");
        server.read_on(false);
        sessions(server.address("echo"), 200);
        server.signal("TERM");
        assert_eq!(server.until_ended(), Some(0));
        server.read_on(true);
        assert_eq!(server.wait(), Some(0));
        assert_whole(&server.log);
    });
}

/// A failing start ends as well: signals are handled only while the server serves.
#[test]
fn a_stuck_reader_does_not_hold_up_a_start_that_fails() {
    let (reader, writer) = io::pipe().unwrap();
    // SAFETY: no pointers.
    let set = |flags: libc::c_int| unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) };
    assert_eq!(set(libc::O_NONBLOCK), 0);
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    assert_eq!(set(0), 0);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let (directory, file) = (Directory::new(), "corelane.toml");
    for (code, config) in [
        (1, echo().replace("127.0.0.1:0", &taken.to_string())),
        (2, format!("[runtime]\nlanes = [999]\n{}", echo())),
    ] {
        fs::write(directory.0.join(file), config).unwrap();
        let mut command = corelane();
        command
            .current_dir(&directory.0)
            .args(["run", "--config", file]);
        let stderr = writer.try_clone().unwrap();
        let mut child = Killed(command.stderr(stderr).spawn().unwrap());
        assert_eq!(child.until_ended(), Some(code));
    }
    drop(reader);
}

/// A process, killed when dropped.
struct Killed(Child);

impl Killed {
    fn until_ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the server ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A server whose log has no reader.
struct Unread {
    child: Killed,
    address: SocketAddr,
    _directory: Directory,
}

impl Unread {
    fn start(mut command: Command, stderr: Stdio, poller: &str) -> Self {
        let directory = Directory::new();
        let (file, address) = (directory.0.join("corelane.toml"), dead_address());
        let config = debug(poller).replace("127.0.0.1:0", &address.to_string());
        fs::write(&file, config).unwrap();
        let command = command.args(["run", "--config"]).arg(&file).stderr(stderr);
        let child = Killed(command.spawn().unwrap());
        let server = Self {
            child,
            address,
            _directory: directory,
        };
        until("it listens", || TcpStream::connect(address).is_ok());
        server
    }

    /// Sends SIGTERM to an idle server.
    fn stop(mut self) {
        signal(self.pid(), "TERM");
        assert_eq!(self.child.until_ended(), Some(0));
    }

    fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

#[test]
fn a_sink_that_fails_changes_nothing() {
    on_both(|poller| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (reader, gone) = io::pipe().unwrap();
        drop(reader);
        for sink in [Stdio::from(full), Stdio::from(gone)] {
            let server = Unread::start(corelane(), sink, poller);
            sessions(server.address, 100);
            server.stop();
        }
    });
}

/// Ctrl-S on the server's terminal.
#[test]
fn a_stopped_terminal_blocks_no_session() {
    on_both(|poller| {
        let (mut terminal, mut own) = (-1, -1);
        let (name, settings) = (ptr::null_mut(), ptr::null());
        let size = ptr::null();
        // SAFETY: two pointers are valid for the write of a descriptor, the rest may be null.
        let rc = unsafe { libc::openpty(&raw mut terminal, &raw mut own, name, settings, size) };
        assert_eq!(rc, 0, "{}", io::Error::last_os_error());
        // SAFETY: the call succeeded, so the descriptor is open and has no owner yet.
        let _terminal = unsafe { OwnedFd::from_raw_fd(terminal) };
        // SAFETY: as above.
        let own = unsafe { OwnedFd::from_raw_fd(own) };
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::tcflow(own.as_raw_fd(), libc::TCOOFF) }, 0);
        let server = Unread::start(corelane(), own.into(), poller);
        sessions(server.address, 100);
        server.stop();
    });
}

/// A socket never gets the number of a standard stream: the log would go to a client.
#[test]
fn no_socket_replaces_a_closed_standard_stream() {
    on_both(|poller| {
        let mut command = corelane();
        let close = || {
            for stream in 0..=libc::STDERR_FILENO {
                // SAFETY: the process is about to exec and does not use the streams.
                unsafe { libc::close(stream) };
            }
            Ok(())
        };
        // SAFETY: `close` makes only three system calls between fork and exec.
        unsafe { command.pre_exec(close) };
        let server = Unread::start(command, Stdio::null(), poller);
        let client = connect(server.address);
        ping(&client);
        for stream in 0..3 {
            let path = format!("/proc/{}/fd/{stream}", server.pid());
            assert_eq!(fs::read_link(path).unwrap().to_str(), Some("/dev/null"));
        }
        drop(client);
        server.stop();
    });
}

fn set_file_size_limit(pid: libc::pid_t, bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: libc::RLIM_INFINITY,
    };
    let old = ptr::null_mut();
    // SAFETY: the pointer is valid for a read of one rlimit; `old` is null, which is allowed.
    let rc = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, old) };
    (rc == 0).then_some(()).ok_or_else(io::Error::last_os_error)
}

/// The system ends a process that writes beyond its file size limit (SIGXFSZ) unless the process
/// handles the signal. Waiting lines continue in the middle of the line where the file was full.
#[test]
fn a_file_at_its_size_limit_changes_nothing_and_grows_on() {
    const LIMIT: u64 = 2000;
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("log");
        let mut command = corelane();
        // SAFETY: the closure makes only a system call between fork and exec.
        unsafe { command.pre_exec(|| set_file_size_limit(0, LIMIT)) };
        let server = Unread::start(command, File::create(&path).unwrap().into(), poller);
        sessions(server.address, 50);
        until("the file is full", || {
            fs::metadata(&path).unwrap().len() == LIMIT
        });
        sessions(server.address, 50);
        let pid = libc::pid_t::try_from(server.pid()).unwrap();
        set_file_size_limit(pid, libc::RLIM_INFINITY).unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        // One more session: the client that has checked the listener.
        until("all is written", || {
            read().matches(" session ").count() == 101
        });
        server.stop();
        let lines: Vec<String> = read().lines().map(str::to_owned).collect();
        assert_whole(&lines);
        assert!(
            lines[1].contains(&format!("file_size_limit={LIMIT}")),
            "{lines:#?}"
        );
    });
}
