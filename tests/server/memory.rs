//! Limits on memory and address space: shared at start, and never found out by an abort.
#![expect(unsafe_code, reason = "limits are set between fork and exec")]

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use socket2::{Domain, Socket, Type};

use crate::limits::is_silent;
use crate::support::{
    Directory, Server, connect, corelane, echo, on_both, ping, proxy, runtime, until,
};

const MIB: u64 = 1 << 20;

/// The server with so much address space.
fn with_address_space(bytes: u64) -> Command {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    let mut command = corelane();
    let set = move || {
        // SAFETY: the limit is valid for a read.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: it is a system call only.
    unsafe { command.pre_exec(set) };
    command
}

/// Issue 14: one lane reserved what the other, the rings and the heap needed, so that a start
/// failed, or the process aborted when the heap found no room.
#[test]
fn lanes_share_the_address_space_and_leave_the_heap_its_room() {
    const SESSIONS: usize = 1500;
    on_both(|poller| {
        for mib in [96, 256] {
            let config = runtime(poller, 2) + &echo();
            let mut server = Server::spawn(with_address_space(mib * MIB), &config);
            server.await_line("ready");
            let clients: Vec<TcpStream> = (0..SESSIONS).map(|_| server.connect()).collect();
            clients.iter().for_each(ping);
            drop(clients);
            server.stop();
        }
    });
}

#[test]
fn too_little_address_space_is_logged_at_the_start() {
    on_both(|poller| {
        let config = runtime(poller, 4) + &echo();
        let mut server = Server::spawn(with_address_space(40 * MIB), &config);
        let line = server.await_line("runtime.lanes = 4");
        assert!(
            line.contains("RLIMIT_AS (LimitAS, ulimit -v) is 40 MiB, too low for 4 lanes"),
            "{line}"
        );
        assert_eq!(server.wait(), Some(2));
    });
}

/// What `check --here` says would do does, though a server has more threads than a check.
#[test]
fn a_check_wants_as_much_address_space_as_a_run() {
    on_both(|poller| {
        let config = runtime(poller, 2) + &echo();
        let directory = Directory::new();
        let file = directory.0.join("corelane.toml");
        fs::write(&file, &config).unwrap();
        let mut check = with_address_space(30 * MIB);
        let answer = check.args(["check", "--here", "-c"]).arg(&file).output();
        let answer = String::from_utf8(answer.unwrap().stderr).unwrap();
        let least = answer.split("raise it to ").nth(1).expect(&answer);
        let least: u64 = least.split(' ').next().unwrap().parse().unwrap();
        let mut server = Server::spawn(with_address_space(least * MIB), &config);
        server.await_line("ready");
        server.stop();
    });
}

/// A client that reads nothing, whose kernel holds little of what it is sent.
fn small_client(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// Readers that do not read hold the few buffers that there is room for: that is told, and when
/// they have gone others are served.
#[test]
fn exhausted_buffers_are_logged() {
    on_both(|poller| {
        let small = "socket = { send_buffer = \"16KiB\", receive_buffer = \"16KiB\" }\n";
        let config = runtime(poller, 1) + &echo() + small;
        let mut server = Server::spawn(with_address_space(64 * MIB), &config);
        server.await_line("ready");
        let address = server.address("echo");
        // There are some 470 buffers, and each of them holds one at least.
        let clients: Vec<TcpStream> = (0..1000).map(|_| small_client(address)).collect();
        let piece = vec![7; 64 * 1024];
        until("all buffers are in use", || {
            for mut client in &clients {
                drop(client.write(&piece));
            }
            server.read_log();
            let told = "all buffers of a lane are in use";
            server.log.iter().any(|line| line.contains(told))
        });
        drop(clients);
        ping(&server.connect());
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
    });
}

/// A cgroup of the test's own, with a limit on memory.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None` where this test may make none.
    fn new(poller: &str, bytes: u64) -> Option<Self> {
        let name = format!("corelane-test-{}-{poller}", process::id());
        let mounts = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        mounts.into_iter().find_map(|(mount, file)| {
            let cgroup = Self(Path::new(mount).join(&name));
            fs::create_dir(&cgroup.0).ok()?;
            let file = cgroup.0.join(file);
            let is_of_memory = file.exists();
            (is_of_memory && fs::write(file, bytes.to_string()).is_ok()).then_some(cgroup)
        })
    }

    fn corelane(&self) -> Command {
        let mut command = corelane();
        let processes = self.0.join("cgroup.procs");
        // SAFETY: a file is opened and written; the child has one thread, and its own heap.
        unsafe { command.pre_exec(move || fs::write(&processes, "0")) };
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The processes in it have ended; if not, it stays.
        drop(fs::remove_dir(&self.0));
    }
}

/// Issue 14: the kernel killed the process, every session with it, at 4,100 sessions in 24 MiB.
#[test]
#[expect(clippy::print_stderr, reason = "says which test did not run")]
fn a_memory_cgroup_bounds_the_sessions() {
    on_both(|poller| {
        let Some(cgroup) = Cgroup::new(poller, 24 * MIB) else {
            eprintln!("not run: no memory cgroup can be made here");
            return;
        };
        let behind = Server::echo(poller, 1);
        let config = runtime(poller, 2) + &proxy(&[behind.address("echo")]);
        let mut server = Server::spawn(cgroup.corelane(), &config);
        let line = server.await_line("ready");
        let bound = "bound_by=\"memory\" memory_limit=\"/sys/fs/cgroup/";
        assert!(line.contains(bound), "{line}");
        let most = line.split_once("max_sessions=").unwrap().1;
        let most: usize = most.split(' ').next().unwrap().parse().unwrap();
        assert!((500..2500).contains(&most), "{line}");
        let address = server.address("proxy");
        let clients: Vec<TcpStream> = (0..most).map(|_| connect(address)).collect();
        clients.iter().for_each(ping);
        let waiting = connect(address);
        assert!(is_silent(&waiting), "served above the limit");
        clients.iter().for_each(ping);
        drop((clients, waiting));
        server.stop();
        behind.stop();
    });
}
