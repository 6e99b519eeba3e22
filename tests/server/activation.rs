//! Sockets of a service manager: taken by name, shared by the lanes, left as they were at a stop.
#![expect(unsafe_code, reason = "descriptors are placed between fork and exec")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::{Directory, PATIENCE, Server, connect, echo, on_both, ping, pollers, runtime};

/// The first descriptor that a manager passes.
const FIRST: RawFd = 3;
/// Numbers above those in use.
const ASIDE: RawFd = 900;

fn echo_at(names: &[&str]) -> String {
    let bind: Vec<String> = names
        .iter()
        .map(|name| format!("\"systemd:{name}\""))
        .collect();
    let bind = format!("[{}]", bind.join(", "));
    "[log]\nlevel = \"debug\"\n".to_owned() + &echo().replace("\"127.0.0.1:0\"", &bind)
}

/// A server that is passed these sockets by these names, as systemd does.
fn passing(sockets: &[(&str, &OwnedFd)]) -> Command {
    let mut command = Command::new("/bin/sh");
    let corelane = env!("CARGO_BIN_EXE_corelane");
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", corelane]);
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    command.env("LISTEN_PID", "0");
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_FDNAMES", names.join(":"));
    let fds: Vec<RawFd> = sockets.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
    let place = move || {
        // A target may be the source of another, so the copies come first.
        for (at, fd) in (ASIDE..).zip(&fds) {
            // SAFETY: no pointers, and the number is free in a new process.
            unsafe { libc::dup2(*fd, at) };
        }
        for (at, from) in (FIRST..).zip(ASIDE..).take(fds.len()) {
            // SAFETY: the same; what had the number was copied.
            unsafe { libc::dup2(from, at) };
            // SAFETY: no pointers.
            unsafe { libc::close(from) };
        }
        Ok(())
    };
    // SAFETY: `place` makes only system calls.
    unsafe { command.pre_exec(place) };
    command
}

fn start(sockets: &[(&str, &OwnedFd)], config: &str) -> Server {
    let mut server = Server::spawn(passing(sockets), config);
    server.await_line("ready");
    server
}

/// A listener of the manager, on a free port or beside another one (`ReusePort=yes`).
fn tcp(beside: Option<SocketAddr>) -> (OwnedFd, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&beside.unwrap_or(any).into()).unwrap();
    socket.listen(64).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket.into(), address)
}

/// Stops a server whose clients have gone.
fn stop(mut server: Server) {
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
    server.assert_calm();
}

#[test]
fn sockets_are_taken_by_their_names() {
    on_both(|poller| {
        let ((web, at_web), (other, at_other)) = (tcp(None), tcp(None));
        let (unused, _) = tcp(None);
        let sockets = [("unused", &unused), ("other", &other), ("web", &web)];
        let second = echo_at(&["other"]).replace("\"echo\"\nbind", "\"second\"\nbind");
        let second = second.replace("[log]\nlevel = \"debug\"\n", "");
        let config = runtime(poller, 1) + &echo_at(&["web"]) + &second;
        let server = start(&sockets, &config);
        assert_eq!(server.addresses("echo"), [at_web]);
        assert_eq!(server.addresses("second"), [at_other]);
        ping(&connect(at_web));
        ping(&connect(at_other));
        let log = server.log.join("\n");
        let warning = "a socket that no listener takes; write bind = \"systemd:unused\"";
        assert!(log.contains(warning), "{log}");
        assert_eq!(log.matches("no listener takes").count(), 1, "{log}");
        stop(server);
    });
}

/// The next server has the same socket: no filter, no lost client, no reset of those that wait.
#[test]
fn a_stop_leaves_the_socket_and_its_backlog_to_the_next_server() {
    on_both(|poller| {
        let (socket, address) = tcp(None);
        let config = runtime(poller, 2) + "max_sessions = 1\n" + &echo_at(&["web"]);
        let mut first = start(&[("web", &socket)], &config);
        let served = connect(address);
        ping(&served);
        // One is taken off the backlog and waits for a permit; the other waits in the backlog.
        let waiting = [connect(address), connect(address)];
        first.signal("TERM");
        first.await_line("stopping: accepting no more");
        let [one, two] = waiting;
        let waiting = [one, two, connect(address)];
        served.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&served).read(&mut [0]).unwrap(), 0);
        for client in &waiting {
            client.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(first.wait(), Some(0), "{:#?}", first.log);
        let down = connect(address);
        let config = runtime(poller, 2) + &echo_at(&["web"]);
        let second = start(&[("web", &socket)], &config);
        for client in waiting {
            // An echo of nothing: a FIN, by either server.
            assert_eq!((&client).read(&mut [0]).unwrap(), 0);
        }
        for client in [down, connect(address)] {
            ping(&client);
        }
        stop(second);
    });
}

#[test]
fn several_sockets_of_one_address_are_spread_over_the_lanes() {
    on_both(|poller| {
        let (one, address) = tcp(None);
        let (two, _) = tcp(Some(address));
        let config = runtime(poller, 2) + &echo_at(&["web"]);
        let server = start(&[("web", &one), ("web", &two)], &config);
        let log = server.log.join("\n");
        assert!(log.contains("sockets=2 lanes=2"), "{log}");
        assert_eq!(server.addresses("echo"), [address]);
        // Whichever socket the kernel chooses.
        for _ in 0..32 {
            ping(&connect(address));
        }
        stop(server);
    });
}

#[test]
fn a_socket_for_several_lanes_is_shared() {
    on_both(|poller| {
        let (socket, address) = tcp(None);
        let config = runtime(poller, 3) + &echo_at(&["web"]);
        let mut server = start(&[("web", &socket)], &config);
        let log = server.log.join("\n");
        assert!(log.contains("sockets=1 lanes=3"), "{log}");
        // One after the other: the lanes compare the sessions that have begun.
        let served = |_| {
            let client = connect(address);
            ping(&client);
            client
        };
        let clients: Vec<TcpStream> = (0..6).map(served).collect();
        drop(clients);
        let lines: Vec<String> = (0..6).map(|_| server.await_line("ended=")).collect();
        for lane in 0..3 {
            let of_lane = |line: &&String| line.contains(&format!("lane={lane} "));
            assert_eq!(lines.iter().filter(of_lane).count(), 2, "{lines:#?}");
        }
        stop(server);
    });
}

#[test]
fn a_unix_socket_is_passed_as_well() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("passed.sock");
        let socket: OwnedFd = UnixListener::bind(&path).unwrap().into();
        let config = runtime(poller, 2) + &echo_at(&["local"]);
        for _ in 0..2 {
            let server = start(&[("local", &socket)], &config);
            let mut client = UnixStream::connect(&path).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(b"ping").unwrap();
            client.read_exact(&mut [0; 4]).unwrap();
            drop(client);
            stop(server);
            // The manager's file, for the next server.
            assert!(path.exists());
        }
    });
}

/// As a parent may leave it: blocking, with a lasting close, with Nagle's algorithm.
#[test]
fn a_passed_socket_gets_the_options_of_the_listener() {
    on_both(|poller| {
        let (socket, address) = tcp(None);
        let state = SockRef::from(&socket);
        state.set_nonblocking(false).unwrap();
        state.set_linger(Some(PATIENCE)).unwrap();
        let config = runtime(poller, 1) + &echo_at(&["web"]);
        let server = start(&[("web", &socket)], &config);
        ping(&connect(address));
        assert!(state.tcp_nodelay().unwrap());
        assert!(state.nonblocking().unwrap());
        stop(server);
        assert_eq!(
            state.linger().unwrap(),
            None,
            "of the next server's connections"
        );
    });
}

fn refused(sockets: &[(&str, &OwnedFd)], names: &[&str]) -> String {
    let config = runtime(pollers()[0], 1) + &echo_at(names);
    let mut server = Server::spawn(passing(sockets), &config);
    assert_eq!(server.wait(), Some(2), "{:#?}", server.log);
    let line = server.log.last().unwrap();
    line.split_once("corelane.toml:").expect(line).1.to_owned()
}

#[test]
fn a_name_that_was_not_passed_is_refused() {
    let ((one, _), (two, _)) = (tcp(None), tcp(None));
    let line = refused(&[("b", &one), ("a", &two), ("a", &one)], &["web"]);
    let expected = "listener[0].bind[0] = \"systemd:web\": systemd has passed no socket of this \
                    name, but: a, b; write one of these, or FileDescriptorName= in the socket unit";
    assert!(line.ends_with(expected), "{line}");
    let line = refused(&[], &["web"]);
    let expected = "\"systemd:web\": systemd has passed no socket to this process; start it by a \
                    socket unit (systemd.socket(5))";
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn a_socket_of_another_kind_is_refused() {
    let datagrams = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap().into();
    let silent: OwnedFd = Socket::new(Domain::IPV4, Type::STREAM, None)
        .unwrap()
        .into();
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    for (socket, why) in [
        (datagrams, "no stream socket (ListenStream=)"),
        (silent, "no listening socket (Accept= has to be no)"),
        (file, "no socket"),
    ] {
        let line = refused(&[("web", &socket)], &["web"]);
        let expected = format!("what systemd passes by this name is {why}");
        assert!(line.ends_with(&expected), "{line}");
    }
}

/// The variables of a parent that did not exec this process.
#[test]
fn sockets_of_another_process_are_not_taken() {
    let (socket, _) = tcp(None);
    let mut command = passing(&[("web", &socket)]);
    command.env("LISTEN_FDS", "1");
    let config = runtime(pollers()[0], 1) + &echo_at(&["web"]);
    let mut direct = Command::new(env!("CARGO_BIN_EXE_corelane"));
    direct.envs([
        ("LISTEN_PID", "1"),
        ("LISTEN_FDS", "1"),
        ("LISTEN_FDNAMES", "web"),
    ]);
    let mut server = Server::spawn(direct, &config);
    assert_eq!(server.wait(), Some(2), "{:#?}", server.log);
    let line = server.log.last().unwrap();
    assert!(line.contains("passed no socket to this process"), "{line}");
}

#[test]
fn a_check_accepts_a_name_without_systemd() {
    let directory = Directory::new();
    let file = directory.0.join("a.toml");
    std::fs::write(&file, echo_at(&["web"])).unwrap();
    for (option, warnings) in [(None, 0), (Some("--here"), 1)] {
        let mut check = Command::new(env!("CARGO_BIN_EXE_corelane"));
        check.args(["check", "--config"]).arg(&file).args(option);
        let done = check.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(
            said.matches("known only to a server that systemd starts")
                .count(),
            warnings
        );
    }
}

/// The process keeps the sockets, whatever a configuration names.
#[test]
fn a_reload_lets_a_socket_go_and_takes_it_again() {
    on_both(|poller| {
        let ((one, address), (other, at_other)) = (tcp(None), tcp(None));
        let runtime = runtime(poller, 2);
        let text = |name: &str| runtime.clone() + &echo_at(&[name]);
        let sockets = [("web", &one), ("web", &other), ("local", &other)];
        let mut server = start(&sockets, &text("web"));
        let session = connect(address);
        ping(&session);
        ping(&connect(at_other));
        let line = server.reload(&text("local"));
        assert!(
            line.contains("opened=1 replaced=0 kept=0 closed=1"),
            "{line}"
        );
        // Nobody takes the client until the socket has a listener again.
        let waiting = connect(address);
        ping(&session);
        let line =
            server.reload(&text("web").replace("service =", "socket.nodelay = false\nservice ="));
        assert!(
            line.contains("opened=1 replaced=0 kept=0 closed=1"),
            "{line}"
        );
        ping(&waiting);
        // Other options: the same sockets.
        let line = server.reload(&text("web"));
        assert!(
            line.contains("opened=0 replaced=1 kept=0 closed=0"),
            "{line}"
        );
        for client in [connect(address), connect(at_other), session, waiting] {
            ping(&client);
        }
        stop(server);
    });
}
