//! Limits: sessions, descriptors, and all that must be returned after each session.
#![expect(unsafe_code, reason = "prlimit(2) of a running server")]

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::{
    End, Server, connect, echo, now, on_both, ping, proxy, read_pattern, reset, runtime,
    send_pattern,
};

/// I9: clients above the limit wait in the backlog, and are served as soon as there is room.
#[test]
fn the_sixth_of_five_waits_until_one_leaves() {
    on_both(|poller| {
        for lanes in [1, 2] {
            let limit = "max_sessions = 5\n";
            let mut server = Server::start(&(runtime(poller, lanes) + limit + &echo()));
            let mut five: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
            five.iter().for_each(ping);
            let sixth = server.connect();
            assert!(is_silent(&sixth), "served above the limit");
            five.iter().for_each(ping);
            match lanes {
                1 => drop(five.pop()),
                _ => reset(five.pop().unwrap()),
            }
            ping_answered(&sixth);
            drop((five, sixth));
            server.read_log();
            server.stop();
        }
    });
}

/// Sends a ping and gets no answer for a while.
pub(crate) fn is_silent(mut client: &TcpStream) -> bool {
    use std::io::{Read, Write};
    client.write_all(b"ping").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let silent = client.read(&mut [0]).is_err();
    crate::support::patient(client);
    silent
}

/// The answer to the ping of `is_silent`.
fn ping_answered(mut client: &TcpStream) {
    let mut back = [0; 4];
    std::io::Read::read_exact(&mut client, &mut back).unwrap();
    assert_eq!(&back, b"ping");
}

/// Issue 14: a permit came free with its session, and its descriptor a kernel entry later, so one
/// connection too many was accepted.
#[test]
fn with_as_many_permits_as_descriptors_none_is_missing() {
    const PLACES: usize = 20;
    // The connection that waits for a permit, and a socket pair that returns io_uring's buffers.
    const BESIDES: usize = 1 + 2;
    on_both(|poller| {
        let limit = format!("max_sessions = {PLACES}\n");
        let mut server = Server::start(&(runtime(poller, 1) + &limit + &echo()));
        leave_descriptors(&server, PLACES + BESIDES);
        let wave = || -> Vec<TcpStream> { (0..PLACES).map(|_| server.connect()).collect() };
        let mut served = wave();
        served.iter().for_each(ping);
        for _ in 0..10 {
            let waiting = wave();
            // The lane sees all clients of one wave leave in one turn, with the next wave in the
            // backlog.
            server.signal("STOP");
            served = waiting;
            server.signal("CONT");
            served.iter().for_each(ping);
        }
        drop(served);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let missed = server.log.iter().find(|l| l.contains("cannot accept"));
        assert_eq!(missed, None);
    });
}

/// Issue 14: reaching a limit was not logged at any level.
#[test]
fn a_limit_on_sessions_that_is_reached_is_told_and_counted() {
    on_both(|poller| {
        let limit = "max_sessions = 2\n";
        let mut server = Server::start(&(runtime(poller, 1) + limit + &echo()));
        let two: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
        two.iter().for_each(ping);
        let third = server.connect();
        let line = server.await_line("the limit on sessions is reached");
        let said = "limit=\"max_sessions\" value=2 bound_by=\"configured\" waited=1 in_all=1";
        assert!(line.contains(said), "{line}");
        drop(two);
        ping(&third);
        drop(third);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let all = server
            .log
            .iter()
            .filter(|l| l.contains("waited_for_a_place=1"));
        assert_eq!(all.count(), 1, "{:#?}", server.log);
    });
}

/// The kernel drops connections to a full backlog without a report.
#[test]
fn an_overflowing_backlog_is_logged() {
    on_both(|poller| {
        let config = runtime(poller, 1) + "max_sessions = 1\n" + &echo() + "backlog = 1\n";
        let mut server = Server::start(&config);
        let only = server.connect();
        ping(&only);
        let address = server.address("echo").into();
        let more: Vec<Socket> = (0..6)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                // The kernel retries until there is room or the socket is closed.
                drop(socket.connect(&address));
                socket
            })
            .collect();
        let line = server.await_line("a backlog is full");
        assert!(line.contains("limit=\"backlog\" dropped="), "{line}");
        drop(more);
        drop(only);
        server.signal("TERM");
        server.wait();
    });
}

/// Waves of clients above the limit: never too many sessions, and each client is served.
#[test]
fn a_storm_above_the_limit_is_served_wave_by_wave() {
    on_both(|poller| {
        let limit = "max_sessions = 10\n";
        let server = Server::start(&(runtime(poller, 2) + limit + &echo()));
        let idle = server.sockets();
        let address = server.address("echo");
        let threads: Vec<_> = (0..20)
            .map(|_| {
                crate::support::spawn(move || {
                    for _ in 0..10 {
                        let client = connect(address);
                        ping(&client);
                        client.shutdown(std::net::Shutdown::Write).unwrap();
                        assert_eq!(read_pattern(&client, 0), (0, End::Fin));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        server.until_sockets(idle);
        server.stop();
    });
}

/// Leaves the server this many free descriptors.
pub(crate) fn leave_descriptors(server: &Server, more: usize) {
    let entries = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let entries = entries.map(|entry| entry.unwrap());
    // The server opens files of /proc once a second and closes them at once; leave one for them.
    // The folders of the sandbox stay open.
    let short = ["net", "task"].map(|name| format!("/proc/{}/{name}", server.pid()));
    let lasts = entries.filter(|entry| {
        let target = fs::read_link(entry.path());
        target.is_ok_and(|target| !short.iter().any(|short| target.starts_with(short)))
    });
    let number = |entry: fs::DirEntry| entry.file_name().to_str().unwrap().parse().unwrap();
    let open: Vec<u64> = lasts.map(number).collect();
    // The limit is on descriptor numbers, and the kernel uses the lowest free number.
    let free = (0..).filter(|number| !open.contains(number));
    let max = free.take(more + 1).last().unwrap();
    let limit = libc::rlimit {
        rlim_cur: max,
        rlim_max: limit_of(server).rlim_max,
    };
    set_limit(server, &limit);
}

/// Restores the limit.
pub(crate) fn free_descriptors(server: &Server) {
    let all = limit_of(server).rlim_max;
    let limit = libc::rlimit {
        rlim_cur: all,
        rlim_max: all,
    };
    set_limit(server, &limit);
}

fn limit_of(server: &Server) -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: no new limit is set, and the old limit may be written.
    let rc = unsafe { prlimit(server, std::ptr::null(), &raw mut limit) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
    limit
}

fn set_limit(server: &Server, limit: &libc::rlimit) {
    // SAFETY: the new limit is valid for a read, and the old limit is not requested.
    let rc = unsafe { prlimit(server, limit, std::ptr::null_mut()) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

/// # Safety
/// As prlimit(2): `new` is null or readable, `old` null or writable.
unsafe fn prlimit(server: &Server, new: *const libc::rlimit, old: *mut libc::rlimit) -> i32 {
    let pid = libc::pid_t::try_from(server.pid()).unwrap();
    // SAFETY: by this function's contract.
    unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, new, old) }
}

/// Without a free descriptor no session ends, nothing spins, the log stays short, and waiting
/// clients are served soon after a descriptor comes free.
#[test]
fn without_descriptors_clients_wait_and_nothing_spins() {
    on_both(|poller| {
        for lanes in [1, 2] {
            let mut server = Server::echo(poller, lanes);
            leave_descriptors(&server, 2);
            let two: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
            two.iter().for_each(ping);
            let waiting: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
            server.await_line("cannot accept");
            let (ticks, begun) = (server.cpu_ticks(), now());
            for client in &waiting {
                assert!(is_silent(client), "a descriptor out of nowhere");
            }
            two.iter().for_each(ping);
            while now() - begun < Duration::from_millis(1500) {
                assert!(is_quiet(&waiting[0]), "a descriptor out of nowhere");
            }
            let used = server.cpu_ticks() - ticks;
            assert!(used <= 15, "{used} ticks of 10 ms in 1.5 s");
            server.read_log();
            let lines = server.log.iter().filter(|l| l.contains("cannot accept"));
            let lines = lines.count();
            assert!(lines <= 3 * lanes, "{:#?}", server.log);
            free_descriptors(&server);
            waiting.iter().for_each(ping_answered);
            two.iter().for_each(ping);
            drop((two, waiting));
            server.stop();
        }
    });
}

fn is_quiet(mut client: &TcpStream) -> bool {
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let quiet = std::io::Read::read(&mut client, &mut [0]).is_err();
    crate::support::patient(client);
    quiet
}

/// A freed descriptor serves a waiting client at once, not after a second.
#[test]
fn a_freed_descriptor_serves_a_waiting_client() {
    on_both(|poller| {
        let mut server = Server::echo(poller, 1);
        leave_descriptors(&server, 1);
        let first = server.connect();
        ping(&first);
        let second = server.connect();
        server.await_line("cannot accept");
        let begun = now();
        drop(first);
        ping(&second);
        let took = now() - begun;
        assert!(took < Duration::from_secs(1), "{took:?}");
        drop(second);
        server.stop();
    });
}

/// Without descriptors for a client or its upstream. The client was accepted and reset when only
/// the second descriptor was missing; now the client waits, and sessions continue.
#[test]
fn a_client_waits_for_both_descriptors() {
    on_both(|poller| {
        for (left, ends) in [(1, false), (2, false), (1, true), (2, true)] {
            let behind = Server::echo(poller, 1);
            let front = runtime(poller, 1) + &proxy(&[behind.address("echo")]);
            let mut front = Server::start(&front);
            leave_descriptors(&front, left);
            let first = connect(front.address("proxy"));
            ping(&first);
            let second = connect(front.address("proxy"));
            front.await_line("cannot accept");
            if ends {
                drop(first);
                ping(&second);
                free_descriptors(&front);
            } else {
                ping(&first);
                free_descriptors(&front);
                ping(&second);
                drop(first);
            }
            drop(second);
            front.stop();
            behind.stop();
        }
    });
}

/// Without descriptors for a pipe bulk transfers continue, in both directions, also to a client
/// that pauses: the same bytes, and the end.
#[test]
fn without_a_descriptor_for_a_pipe_bulk_goes_on() {
    const BULK: usize = 24 << 20;
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let front = runtime(poller, 1) + &proxy(&[behind.address("echo")]);
        let front = Server::start(&front);
        let client = connect(front.address("proxy"));
        ping(&client);
        let pipes = (front.pipes(), behind.pipes());
        leave_descriptors(&front, 0);
        let sent = crate::support::fill(&client, 8 << 20);
        crate::support::expect_pattern(&client, 0, sent);
        let sender = send_pattern(&client, BULK, 1 << 20);
        assert_eq!(read_pattern(&client, 0), (BULK, End::Fin));
        sender.join().unwrap();
        assert_eq!(front.pipes(), pipes.0, "a pipe out of nowhere");
        assert!(behind.pipes() > pipes.1, "it was not in bulk");
        free_descriptors(&front);
        front.stop();
        behind.stop();
    });
}

/// I6: at rest every descriptor is closed.
#[test]
fn five_hundred_sessions_leave_no_descriptor() {
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let front = runtime(poller, 2) + &proxy(&[behind.address("echo")]);
        let front = Server::start(&front);
        let idle = (behind.sockets(), front.sockets());
        for round in 0..500 {
            let client = connect(front.address("proxy"));
            match round % 5 {
                0 => drop(client),
                1 => reset(client),
                2 => {
                    ping(&client);
                    reset(client);
                }
                _ => {
                    ping(&client);
                    client.shutdown(std::net::Shutdown::Write).unwrap();
                    assert_eq!(read_pattern(&client, 0), (0, End::Fin));
                }
            }
        }
        behind.until_sockets(idle.0);
        front.until_sockets(idle.1);
        front.stop();
        behind.stop();
    });
}

/// A program started by the process inherits no descriptor.
#[test]
fn every_descriptor_is_close_on_exec() {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let config = runtime(poller, 2) + &proxy(&[behind.address("echo")]) + &echo();
        let server = Server::start(&config);
        let clients = [connect(server.address("proxy")), server.connect()];
        clients.iter().for_each(ping);
        let process = format!("/proc/{}", server.pid());
        let mut seen = 0;
        for entry in fs::read_dir(format!("{process}/fd")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if ["0", "1", "2"].contains(&name.as_str()) {
                continue;
            }
            let what = |process: &str| fs::read_link(format!("{process}/fd/{name}"));
            let closes = |process: &str| {
                let info = fs::read_to_string(format!("{process}/fdinfo/{name}")).ok()?;
                let flags = info.lines().find_map(|l| l.strip_prefix("flags:"))?;
                let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
                Some(flags & CLOSE_ON_EXEC != 0)
            };
            // The tests' runner may have left inheritable descriptors.
            let inherited = closes("/proc/self") == Some(false);
            if inherited && what("/proc/self").ok() == what(&process).ok() {
                continue;
            }
            assert_ne!(
                closes(&process),
                Some(false),
                "{name} is {:?}",
                what(&process)
            );
            seen += 1;
        }
        assert!(seen >= 3 + 2 * 3, "only {seen} descriptors");
        drop(clients);
        server.stop();
    });
}

/// An idle server does nothing at all, with no client or a thousand clients connected.
#[test]
fn an_idle_server_uses_no_cpu() {
    on_both(|poller| {
        let server = Server::echo(poller, 2);
        let clients: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
        clients.iter().for_each(ping);
        let (before, begun) = (server.cpu_ticks(), now());
        while now() - begun < Duration::from_secs(2) {
            assert!(is_quiet(&clients[0]));
        }
        let used = server.cpu_ticks() - before;
        assert!(used <= 4, "{used} ticks of 10 ms in 2 s");
        drop(clients);
        server.stop();
    });
}
