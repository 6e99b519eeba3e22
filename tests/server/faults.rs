//! System calls that fail, each with the errors that it may have: a seccomp filter answers them
//! instead of the kernel, so that what never happens on an idle machine does here.
#![expect(unsafe_code, reason = "a filter is installed between fork and exec")]

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::proxy::assert_reset;
use crate::support::{
    End, Server, connect, corelane, dead_address, echo, now, on_both, pattern, pause, ping,
    pollers, proxy, read_pattern, runtime, send_pattern,
};

/// The server, to whom these system calls (without rules: always) answer with that error.
fn failing<const N: usize>(calls: [(libc::c_long, Vec<SeccompRule>); N], error: i32) -> Command {
    let errno = SeccompAction::Errno(error.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(calls.into(), SeccompAction::Allow, errno, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let mut command = corelane();
    // SAFETY: the filter is made already; to install it is two system calls.
    unsafe { command.pre_exec(move || apply_filter(&program).map_err(std::io::Error::other)) };
    command
}

/// A sandbox that knows no splice, a machine that has no pipe or no memory for one: bulk
/// moves without. That a splice is not to be had was taken for a reset of the source.
#[test]
fn bulk_needs_neither_splice_nor_pipes() {
    const BULK: usize = 12 << 20;
    on_both(|poller| {
        for (call, error) in [
            (libc::SYS_splice, libc::ENOSYS),
            (libc::SYS_splice, libc::EPERM),
            (libc::SYS_splice, libc::EINVAL),
            (libc::SYS_splice, libc::ENOMEM),
            (libc::SYS_pipe2, libc::EMFILE),
            (libc::SYS_pipe2, libc::ENFILE),
            (libc::SYS_pipe2, libc::EPERM),
        ] {
            let mut server = Server::spawn(
                failing([(call, Vec::new())], error),
                &(runtime(poller, 1) + &echo()),
            );
            server.await_line("ready");
            let client = server.connect();
            let sender = send_pattern(&client, BULK, 1 << 20);
            assert_eq!(read_pattern(&client, 0), (BULK, End::Fin));
            sender.join().unwrap();
            server.stop();
        }
    });
}

/// Too little memory to lock for all the rings, say: the self-test has had its small one. The start
/// names the poller that the lanes have.
#[test]
fn the_start_names_the_poller_that_the_lanes_have() {
    if !pollers().contains(&"io_uring") {
        return;
    }
    let of_lanes = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Gt, 64).unwrap();
    let rings = SeccompRule::new(vec![of_lanes]).unwrap();
    let setup = [(libc::SYS_io_uring_setup, vec![rings])];
    let config = runtime("auto", 2) + &echo();
    let mut server = Server::spawn(failing(setup, libc::ENOMEM), &config);
    let line = server.await_line("io_uring was refused to 2 of 2 lanes: epoll");
    assert!(
        line.contains("WARN") && line.contains("Cannot allocate memory"),
        "{line}"
    );
    let ready = server.await_line("ready");
    let expected =
        "poller=epoll why=\"io_uring was refused: Cannot allocate memory (os error 12)\"";
    assert!(ready.contains(expected), "{ready}");
    ping(&server.connect());
    server.stop();
}

/// A sandbox of TCP and nothing else, as systemd's `RestrictAddressFamilies=AF_INET AF_INET6`: the
/// list of this machine's addresses comes by netlink, and is not needed to serve.
#[test]
fn a_sandbox_without_netlink_is_served_in() {
    let netlink = u64::try_from(libc::AF_NETLINK).unwrap();
    let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, netlink);
    let rule = SeccompRule::new(vec![family.unwrap()]).unwrap();
    on_both(|poller| {
        let calls = [(libc::SYS_socket, vec![rule.clone()])];
        let config = runtime(poller, 1) + &echo().replace("127.0.0.1:0", "0.0.0.0:0");
        let mut server = Server::spawn(failing(calls, libc::EAFNOSUPPORT), &config);
        server.await_line("ready");
        let port = server.address("echo").port();
        ping(&connect(([127, 0, 0, 1], port).into()));
        server.stop();
    });
}

/// An accept that finds no memory or table entry is put off: nothing spins, the log stays
/// short, and the server can be stopped. (On epoll, since the self-test of io_uring accepts, too;
/// both accept by the same code.)
#[test]
fn a_failing_accept_is_put_off() {
    for error in [libc::ENOBUFS, libc::ENOMEM, libc::ENFILE, libc::EPERM] {
        let config = runtime("epoll", 1) + &echo();
        let accepts = [(libc::SYS_accept4, Vec::new())];
        let mut server = Server::spawn(failing(accepts, error), &config);
        server.await_line("ready");
        let clients: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        server.await_line("cannot accept");
        let (ticks, begun) = (server.cpu_ticks(), now());
        while now() - begun < Duration::from_millis(700) {
            pause();
        }
        let used = server.cpu_ticks() - ticks;
        assert!(used <= 10, "{used} ticks of 10 ms in 700 ms");
        server.read_log();
        let lines = server.log.iter().filter(|l| l.contains("cannot accept"));
        assert!(lines.count() <= 2, "{:#?}", server.log);
        server.stop();
        // Nobody has accepted them, and the listener is gone.
        for client in clients {
            assert_eq!(read_pattern(&client, 0), (0, End::Reset));
        }
    }
}

/// No memory to connect with is no fault of the endpoint: the client waits for it as long
/// as all tries may take, then it is reset, the record says why, and no other endpoint was tried.
/// (io_uring connects without a system call.)
#[test]
fn a_connect_without_resources_is_local() {
    for error in [libc::ENOBUFS, libc::ENOMEM] {
        let behind = Server::echo("epoll", 1);
        let endpoints = [behind.address("echo"), dead_address()];
        let connects = [(libc::SYS_connect, Vec::new())];
        let log = "[log]\nlevel = \"debug\"\n";
        let of_listener = "timeouts = { connect = \"200ms\", connect_total = \"300ms\" }";
        let tables =
            proxy(&endpoints).replace("[[upstream]]", &format!("{of_listener}\n[[upstream]]"));
        let config = runtime("epoll", 1) + log + &tables;
        let mut server = Server::spawn(failing(connects, error), &config);
        server.await_line("ready");
        for _ in 0..3 {
            assert_reset(server.address("proxy"));
            let line = server.await_line(" session ");
            assert!(line.contains("ended=local_resources"), "{line}");
            assert!(line.contains("tries=1"), "{line}");
        }
        server.stop();
        behind.stop();
    }
}

/// A send that fails for want of memory ends its session, by a reset and not by a FIN; the
/// server lives on. (io_uring sends without a system call.)
#[test]
fn a_send_without_resources_ends_its_session_only() {
    for error in [libc::ENOBUFS, libc::ENOMEM] {
        // A signal wakes its thread by a send of one byte.
        let longer = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Gt, 1);
        let longer = SeccompRule::new(vec![longer.unwrap()]).unwrap();
        let sends = [
            (libc::SYS_sendto, vec![longer]),
            (libc::SYS_sendmsg, Vec::new()),
        ];
        let config = runtime("epoll", 1) + &echo();
        let mut server = Server::spawn(failing(sends, error), &config);
        server.await_line("ready");
        let idle = server.sockets();
        let resident = server.connect();
        for _ in 0..3 {
            let mut client = server.connect();
            std::io::Write::write_all(&mut client, &pattern(0, 50_000)).unwrap();
            assert_eq!(read_pattern(&client, 0), (0, End::Reset));
        }
        server.until_sockets(idle + 1);
        drop(resident);
        server.until_sockets(idle);
        drop(connect(server.address("echo")));
        server.stop();
    }
}
