//! The server as a daemon: reports to a service manager, the user, the PID file.

#![expect(unsafe_code, reason = "system calls")]

use std::fs;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Directory, PATIENCE, Server, connect, corelane, echo, now, on_both, pause, ping, runtime,
    spawn, until,
};

/// A service manager: the socket of systemd for its services.
struct FakeSystemd {
    socket: UnixDatagram,
    /// The value of `NOTIFY_SOCKET`.
    name: String,
    reports: Vec<String>,
    _directory: Option<Directory>,
}

impl FakeSystemd {
    /// A socket with an abstract name, or with a path.
    fn new(is_abstract: bool) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = (!is_abstract).then(Directory::new);
        let (socket, name) = match &directory {
            Some(directory) => {
                let path = directory.0.join("notify");
                let socket = UnixDatagram::bind(&path).unwrap();
                (socket, path.to_str().unwrap().to_owned())
            }
            None => {
                let name = format!("corelane-daemon-{}-{count}", process::id());
                let address = SocketAddr::from_abstract_name(&name).unwrap();
                (
                    UnixDatagram::bind_addr(&address).unwrap(),
                    format!("@{name}"),
                )
            }
        };
        Self {
            socket,
            name,
            reports: Vec::new(),
            _directory: directory,
        }
    }

    fn command(&self) -> Command {
        let mut command = corelane();
        command.env("NOTIFY_SOCKET", &self.name);
        command
    }

    /// Waits for a report with this line; returns the whole report.
    fn await_report(&mut self, line: &str) -> String {
        let end = now() + PATIENCE;
        let mut bytes = [0; 4096];
        loop {
            let left = end
                .saturating_duration_since(now())
                .max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).unwrap();
            let count = match self.socket.recv(&mut bytes) {
                Ok(count) => count,
                // The end of a traced thread's stop interrupts the call.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("no {line} ({error}): {:#?}", self.reports),
            };
            let report = String::from_utf8(bytes[..count].to_vec()).unwrap();
            self.reports.push(report.clone());
            if report.lines().any(|said| said == line) {
                return report;
            }
        }
    }

    /// A server of this manager whose lanes have to turn every 200 ms.
    fn spawn_watched(&self, poller: &str) -> Server {
        let mut command = self.command();
        command.env("WATCHDOG_USEC", "200000");
        let mut server = Server::spawn(command, &(runtime(poller, 2) + &echo()));
        server.await_line("ready");
        server
    }

    /// The reports that wait in the socket.
    fn take_reports(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let (mut reports, mut bytes) = (Vec::new(), [0; 4096]);
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(count) => reports.push(String::from_utf8(bytes[..count].to_vec()).unwrap()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        self.socket.set_nonblocking(false).unwrap();
        reports
    }
}

/// After READY=1 a client is served at once.
#[test]
fn a_service_manager_hears_of_the_start_and_the_stop() {
    on_both(|poller| {
        for is_abstract in [false, true] {
            let mut manager = FakeSystemd::new(is_abstract);
            let config = runtime(poller, 2) + &echo();
            let mut server = Server::spawn(manager.command(), &config);
            let report = manager.await_report("READY=1");
            assert_eq!(
                report,
                "READY=1\nSTATUS=listening on 1 address, 0 sessions\n"
            );
            assert_eq!(manager.reports.len(), 1, "{:?}", manager.reports);
            server.await_line("ready");
            let client = connect(server.address("echo"));
            ping(&client);
            server.signal("TERM");
            let report = manager.await_report("STOPPING=1");
            assert_eq!(report, "STOPPING=1\nSTATUS=stopping, 1 session left\n");
            drop(client);
            assert_eq!(server.wait(), Some(0));
            server.assert_calm();
        }
    });
}

/// The status line follows the sessions; the pings go on while the server drains.
#[test]
fn a_watchdog_is_pinged_while_the_lanes_turn() {
    on_both(|poller| {
        let mut manager = FakeSystemd::new(false);
        let mut server = manager.spawn_watched(poller);
        manager.await_report("WATCHDOG=1");
        let client = connect(server.address("echo"));
        ping(&client);
        manager.await_report("STATUS=listening on 1 address, 1 session");
        manager.await_report("WATCHDOG=1");
        server.signal("TERM");
        manager.await_report("STOPPING=1");
        manager.await_report("WATCHDOG=1");
        drop(client);
        assert_eq!(server.wait(), Some(0));
        server.assert_calm();
    });
}

/// A stopped thread of another process. The drop continues the thread; the same test thread must
/// drop it.
struct Frozen(libc::pid_t);

impl Frozen {
    fn new(thread: libc::pid_t) -> Self {
        Self::ptrace(libc::PTRACE_SEIZE, thread);
        Self::ptrace(libc::PTRACE_INTERRUPT, thread);
        let mut status = 0;
        // SAFETY: the pointer is valid for a write of one status during the call.
        let stopped = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
        assert_eq!(stopped, thread, "{}", io::Error::last_os_error());
        Self(thread)
    }

    fn ptrace(request: libc::c_uint, thread: libc::pid_t) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: none of these requests reads or writes this process's memory.
        let rc = unsafe { libc::ptrace(request, thread, none, none) };
        assert_eq!(rc, 0, "{}", io::Error::last_os_error());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        Self::ptrace(libc::PTRACE_DETACH, self.0);
    }
}

/// The thread with this name.
fn thread_named(name: &str, server: &Server) -> libc::pid_t {
    let threads = format!("/proc/{}/task", server.pid());
    let mut threads = fs::read_dir(threads)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_named = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).unwrap().trim_end() == name
    };
    let thread = threads.find(is_named).unwrap();
    thread
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// A sleeping lane is no stall, so the test stops the lanes under traffic until a stall appears.
#[test]
fn a_lane_that_stalls_gets_no_ping() {
    on_both(|poller| {
        let mut manager = FakeSystemd::new(false);
        let mut server = manager.spawn_watched(poller);
        let lanes = ["lane-0", "lane-1"].map(|name| thread_named(name, &server));
        let client = connect(server.address("echo"));
        let (mut writer, mut reader) = (client.try_clone().unwrap(), client.try_clone().unwrap());
        let writing = spawn(move || while writer.write_all(&[1; 65_536]).is_ok() {});
        let reading = spawn(move || while reader.read(&mut [0; 65_536]).is_ok_and(|n| n > 0) {});
        let stalls = |server: &Server| {
            let is_stall = |line: &&String| line.contains("do not turn");
            server.log.iter().filter(is_stall).count()
        };
        until("a frozen lane is noticed", || {
            // Either lane may have the connection.
            lanes.iter().any(|&lane| {
                let _frozen = Frozen::new(lane);
                let end = now() + Duration::from_millis(500);
                while now() < end && stalls(&server) == 0 {
                    server.read_log();
                    manager.take_reports();
                    pause();
                }
                if stalls(&server) == 0 {
                    return false;
                }
                // Some twenty looks at the lanes lie between two lines of the log.
                manager.take_reports();
                until("the stall is logged again", || {
                    server.read_log();
                    stalls(&server) > 1
                });
                let reports = manager.take_reports();
                let has_ping = reports.iter().any(|report| report.contains("WATCHDOG"));
                assert!(!has_ping, "{reports:?}");
                true
            })
        });
        let line = server.log.iter().find(|line| line.contains("do not turn"));
        assert!(
            line.unwrap().contains("ERROR lanes do not turn"),
            "{line:?}"
        );
        client.shutdown(std::net::Shutdown::Both).unwrap();
        writing.join().unwrap();
        reading.join().unwrap();
        // The lane turns again, and the pings resume.
        manager.take_reports();
        manager.await_report("WATCHDOG=1");
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
    });
}

/// A parent's watchdog is not the server's.
#[test]
fn a_watchdog_of_another_process_is_not_pinged() {
    let mut manager = FakeSystemd::new(false);
    let mut command = manager.command();
    let parent = process::id().to_string();
    command
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", parent);
    let mut server = Server::spawn(command, &(runtime("epoll", 1) + &echo()));
    manager.await_report("READY=1");
    server.await_line("ready");
    let client = connect(server.address("echo"));
    // Ten periods of the pings that must not come.
    let end = now() + Duration::from_millis(100);
    while now() < end {
        ping(&client);
    }
    drop(client);
    server.signal("TERM");
    manager.await_report("STOPPING=1");
    let pings = |report: &String| report.contains("WATCHDOG");
    assert!(!manager.reports.iter().any(pings), "{:?}", manager.reports);
}

/// A failed start sends no report: systemd reads the exit code.
#[test]
fn a_start_that_fails_is_not_ready() {
    let manager = FakeSystemd::new(false);
    let mut server = Server::spawn(
        manager.command(),
        &echo().replace("127.0.0.1:0", "192.0.2.1:1"),
    );
    assert_eq!(server.wait(), Some(2), "{:#?}", server.log);
    assert!(manager.take_reports().is_empty());
}

/// The server serves without a manager, and with an unusable name.
#[test]
fn a_manager_that_cannot_be_reached_is_a_warning() {
    for name in ["/nonexistent/notify", "@corelane-nobody", "vsock:2:1"] {
        let mut command = corelane();
        command.env("NOTIFY_SOCKET", name);
        let mut server = Server::spawn(command, &(runtime("epoll", 1) + &echo()));
        server.await_line("WARN the service manager");
        let client = connect(server.address("echo"));
        ping(&client);
        drop(client);
        server.stop();
    }
}

/// The user and group IDs of every thread of a server: real, effective, saved, of the file system.
fn accounts(server: &Server) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let status = |thread: io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let is_account = |line: &&str| {
            ["Uid:", "Gid:", "Groups:"]
                .iter()
                .any(|k| line.starts_with(k))
        };
        let lines: Vec<&str> = status
            .lines()
            .filter(is_account)
            .map(str::trim_end)
            .collect();
        lines.join(" ").replace('\t', " ")
    };
    threads.map(status).collect()
}

/// Before the lanes start, so that no thread keeps the rights of root.
#[test]
fn root_becomes_the_user_of_the_configuration() {
    on_both(|poller| {
        let directory = Directory::new();
        let pid_file = directory.0.join("pid");
        let table =
            format!("[process]\nuser = \"65533\"\ngroup = \"65532\"\npid_file = {pid_file:?}\n");
        let config = runtime(poller, 2) + &table + &echo();
        let mut command = corelane();
        let set_groups = || {
            let others = [4, 27];
            // SAFETY: the pointer is valid for two group IDs. An ordinary user has no permission,
            // and is refused below.
            unsafe { libc::setgroups(others.len(), others.as_ptr()) };
            Ok(())
        };
        // SAFETY: the closure makes one system call and touches no memory of the parent.
        unsafe { command.pre_exec(set_groups) };
        let mut server = Server::spawn(command, &config);
        // SAFETY: no pointers; the call does not fail.
        if unsafe { libc::geteuid() } != 0 {
            assert_eq!(server.wait(), Some(2), "{:#?}", server.log);
            server.await_line("only root may change its user and group");
            return;
        }
        server.await_line("ready");
        let own = "Uid: 65533 65533 65533 65533 Gid: 65532 65532 65532 65532 Groups:";
        let accounts = accounts(&server);
        assert!(
            accounts.len() > 2 && accounts.iter().all(|a| a == own),
            "{accounts:?}"
        );
        assert_eq!(
            fs::read_to_string(&pid_file).unwrap(),
            format!("{}\n", server.pid())
        );
        let client = connect(server.address("echo"));
        ping(&client);
        drop(client);
        server.stop();
        // The folder belongs to root.
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), "");
    });
}

#[test]
fn the_pid_file_is_gone_at_the_end() {
    let directory = Directory::new();
    let pid_file = directory.0.join("pid");
    // Another user's link leads to no other file.
    let other = directory.0.join("other");
    fs::write(&other, "kept").unwrap();
    std::os::unix::fs::symlink(&other, &pid_file).unwrap();
    let table = format!("[process]\npid_file = {pid_file:?}\n");
    let server = Server::start(&(runtime("epoll", 1) + &table + &echo()));
    assert_eq!(
        fs::read_to_string(&pid_file).unwrap(),
        format!("{}\n", server.pid())
    );
    server.stop();
    assert!(!pid_file.exists());
    assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
}

#[test]
fn accounts_and_paths_that_are_not_there_are_mistakes_of_the_file() {
    let config = "[process]\nuser = \"nobody-of-this-name\"\n".to_owned() + &echo();
    let mut server = Server::spawn(corelane(), &config);
    assert_eq!(server.wait(), Some(2));
    let line = server.log.last().unwrap();
    let expected =
        ":2: process.user = \"nobody-of-this-name\": there is no such user in /etc/passwd";
    assert!(line.ends_with(expected), "{line}");

    let config = "[process]\npid_file = \"/nonexistent/pid\"\n".to_owned() + &echo();
    let mut server = Server::spawn(corelane(), &config);
    assert_eq!(server.wait(), Some(2));
    let line = server.log.last().unwrap();
    assert!(
        line.contains(":2: process.pid_file = \"/nonexistent/pid\": its folder does not exist"),
        "{line}"
    );
}

/// A successor that listens beside an older server has written its own file.
#[test]
fn a_server_leaves_the_pid_file_of_its_successor() {
    let directory = Directory::new();
    let pid_file = directory.0.join("pid");
    let config = runtime("epoll", 1) + &format!("[process]\npid_file = {pid_file:?}\n") + &echo();
    let older = Server::start(&config);
    let newer = Server::start(&config);
    older.stop();
    assert_eq!(
        fs::read_to_string(&pid_file).unwrap(),
        format!("{}\n", newer.pid())
    );
    newer.stop();
    assert!(!pid_file.exists());
}

#[test]
fn a_pid_file_replaces_no_other_file() {
    let directory = Directory::new();
    let other = directory.0.join("data");
    fs::write(&other, "not a number").unwrap();
    for path in [&other, &directory.0] {
        let config = format!("[process]\npid_file = {path:?}\n") + &echo();
        let mut server = Server::spawn(corelane(), &config);
        assert_eq!(server.wait(), Some(2));
        let line = server.log.last().unwrap();
        assert!(
            line.contains("this is no PID file, and is not replaced"),
            "{line}"
        );
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "not a number");
}

/// As under the package's unit with `User=`: the key repeats what the process is.
#[test]
fn a_process_may_name_its_own_user() {
    // SAFETY: no pointers; the call does not fail.
    let user = unsafe { libc::geteuid() };
    // SAFETY: the same.
    let group = unsafe { libc::getegid() };
    let table = format!("[process]\nuser = \"{user}\"\ngroup = \"{group}\"\n");
    Server::start(&(runtime("epoll", 1) + &table + &echo())).stop();
}
