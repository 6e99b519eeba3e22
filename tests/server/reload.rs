//! A running server reads its configuration again.

use std::fs;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{
    Server, accept, connect, dead_address, echo, listener, on_both, ping, proxy, runtime, spawn,
    until,
};

impl Server {
    /// Writes the file of the configuration anew, as an editor does.
    pub(crate) fn write_config(&self, config: &str) {
        let file = self.directory.0.join("corelane.toml");
        let new = file.with_extension("new");
        fs::write(&new, config).unwrap();
        fs::rename(&new, &file).unwrap();
    }

    /// Writes the file anew and reloads; returns the line with the result.
    pub(crate) fn reload(&mut self, config: &str) -> String {
        self.write_config(config);
        self.signal("HUP");
        self.await_line(" reloaded ")
    }
}

/// An echo of this name.
fn echo_named(name: &str) -> String {
    echo().replace("\"echo\"\nbind", &format!("\"{name}\"\nbind"))
}

fn is_refused(address: SocketAddr) -> bool {
    let connecting = TcpStream::connect_timeout(&address, Duration::from_millis(50));
    connecting.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn listeners_come_and_go_and_sessions_stay() {
    on_both(|poller| {
        let runtime = runtime(poller, 2);
        let text = |names: &[&str]| -> String {
            let listeners = names.iter().map(|name| echo_named(name));
            runtime.clone() + &listeners.collect::<String>()
        };
        let mut server = Server::start(&text(&["stays", "goes"]));
        let (stays, goes) = (server.address("stays"), server.address("goes"));
        let sessions = [connect(stays), connect(goes)];
        sessions.iter().for_each(ping);
        let line = server.reload(&text(&["stays", "comes"]));
        assert!(
            line.contains("opened=1 replaced=0 kept=1 closed=1"),
            "{line}"
        );
        until("the removed listener is closed", || is_refused(goes));
        let comes = server.address("comes");
        ping(&connect(comes));
        ping(&connect(stays));
        sessions.iter().for_each(ping);
        drop(sessions);
        server.stop();
    });
}

/// The sockets of a removed listener serve the last handshakes for a while; a reload that wants the
/// address again waits for them.
#[test]
fn a_removed_listener_comes_back_at_once() {
    on_both(|poller| {
        let (held, address) = listener();
        drop(held);
        let other = echo_named("other").replace("127.0.0.1:0", &address.to_string());
        let without = runtime(poller, 2) + &echo();
        let with = without.clone() + &other;
        let mut server = Server::start(&with);
        for _ in 0..5 {
            server.reload(&without);
            server.reload(&with);
            ping(&connect(address));
        }
        server.stop();
    });
}

#[test]
fn a_mistake_changes_nothing_and_the_next_reload_works() {
    on_both(|poller| {
        let good = runtime(poller, 2) + &echo();
        let mut server = Server::start(&good);
        let session = server.connect();
        let (_held, held) = listener();
        let with = |address: SocketAddr| {
            let bind = format!("bind = \"{address}\"");
            good.clone()
                + &echo_named("new")
                + &echo_named("taken").replace("bind = \"127.0.0.1:0\"", &bind)
        };
        for (bad, said) in [
            (
                good.replace("echo\"\nbind", "echo\"\nbnd"),
                "did you mean bind?",
            ),
            (good.clone() + "[", "not TOML"),
            (with(held), "listener[2].bind"),
            (
                with("192.0.2.1:7".parse().unwrap()),
                "no interface of this machine has that address",
            ),
            (
                good.replace("[runtime]", "[runtime]\nmax_sessions = 90000000"),
                "runtime.max_sessions",
            ),
        ] {
            server.write_config(&bad);
            server.signal("HUP");
            server.await_line(said);
            server.await_line("not reloaded: the configuration in service stays");
            ping(&session);
            ping(&server.connect());
        }
        assert!(server.addresses("new").is_empty(), "{:#?}", server.log);
        let line = server.reload(&with(dead_address()));
        assert!(
            line.contains("generation=1 opened=2 replaced=0 kept=1 closed=0"),
            "{line}"
        );
        ping(&session);
        ping(&connect(server.address("taken")));
        drop(session);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
    });
}

#[test]
fn keys_that_need_a_restart_are_named_and_the_rest_is_reloaded() {
    on_both(|poller| {
        let mut server = Server::start(&(runtime(poller, 1) + &echo()));
        let other = format!(
            "runtime.lanes = 2\nruntime.poller = \"{poller}\"\nruntime.idle_spin = \"20us\"\n"
        );
        let line = server.reload(&(other + &echo() + &echo_named("new")));
        assert!(line.contains("opened=1"), "{line}");
        for key in ["runtime.lanes", "runtime.pin", "runtime.idle_spin"] {
            let warned = |line: &&String| line.contains(&format!("key=\"{key}\""));
            let line = server.log.iter().find(warned).expect(key);
            assert!(line.contains("restart"), "{line}");
        }
        ping(&connect(server.address("new")));
        server.stop();
    });
}

#[test]
fn new_sessions_go_to_the_new_endpoint_and_old_ones_stay() {
    on_both(|poller| {
        let (first, first_at) = listener();
        let (second, second_at) = listener();
        let text = |at| runtime(poller, 2) + &proxy(&[at]);
        let mut server = Server::start(&text(first_at));
        let address = server.address("proxy");
        let old = connect(address);
        let old_end = accept(&first);
        server.reload(&text(second_at));
        let new = connect(address);
        let new_end = accept(&second);
        for (client, end) in [(&old, &old_end), (&new, &new_end)] {
            crate::proxy::ping_through(client, end);
        }
        drop((old, old_end, new, new_end));
        server.stop();
    });
}

#[test]
fn a_raised_limit_serves_the_clients_that_wait() {
    on_both(|poller| {
        let text = |most: usize| runtime(poller, 2) + &format!("max_sessions = {most}\n") + &echo();
        let mut server = Server::start(&text(1));
        let first = server.connect();
        ping(&first);
        let waiting = [server.connect(), server.connect()];
        server.await_line("the limit on sessions is reached");
        server.reload(&text(3));
        waiting.iter().for_each(ping);
        server.reload(&text(1));
        let late = server.connect();
        ping(&first);
        drop((first, waiting));
        ping(&late);
        drop(late);
        server.stop();
    });
}

/// How many segments the kernel has sent again (`tcpi_total_retrans` of `TCP_INFO`): a SYN without
/// an answer, after a second.
#[expect(unsafe_code, reason = "the standard library has no TCP_INFO")]
fn retransmits(client: &TcpStream) -> u32 {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut bytes = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap();
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let into = info.as_mut_ptr().cast();
    // SAFETY: `into` is valid for writes of `bytes` bytes.
    let rc = unsafe { libc::getsockopt(client.as_raw_fd(), level, name, into, &raw mut bytes) };
    assert_eq!(rc, 0);
    // SAFETY: any bytes are a `tcp_info`, and these are zero or the kernel's.
    unsafe { info.assume_init() }.tcpi_total_retrans
}

/// Clients connect all the time, each from a port of its own, while options, names and timeouts
/// change.
#[test]
fn no_client_is_refused_or_reset_while_the_server_reloads() {
    on_both(|poller| {
        let text = |round: usize| {
            let name = format!("echo-{}", round % 3);
            let option = [
                "",
                "socket.nodelay = false\n",
                "backlog = 100\n",
                "timeouts.idle = \"9s\"\n",
            ][round % 4];
            runtime(poller, 2) + &echo_named(&name) + option
        };
        // A fixed port: one that the system chose belongs to the name.
        let (held, address) = listener();
        drop(held);
        let text = |round| text(round).replace("127.0.0.1:0", &address.to_string());
        let mut server = Server::start(&text(0));
        let stop = Arc::new(AtomicBool::new(false));
        let clients = [(); 2].map(|()| {
            let stop = Arc::clone(&stop);
            spawn(move || {
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    let client = connect(address);
                    ping(&client);
                    assert_eq!(retransmits(&client), 0, "it waited for a second");
                    // A reset leaves no port in TIME_WAIT.
                    crate::support::reset(client);
                    served += 1;
                }
                served
            })
        });
        for round in 1..40 {
            server.reload(&text(round));
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
        server.stop();
    });
}

/// From a specific address to the wildcard and back, on one port: the addresses overlap.
#[test]
fn a_port_moves_between_overlapping_addresses() {
    on_both(|poller| {
        let (held, at) = listener();
        drop(held);
        let text = |bind: &str| runtime(poller, 2) + &echo().replace("127.0.0.1:0", bind);
        let mut server = Server::start(&text(&at.to_string()));
        let session = connect(at);
        ping(&session);
        for bind in [format!("0.0.0.0:{}", at.port()), at.to_string()] {
            server.reload(&text(&bind));
            ping(&session);
            ping(&connect(at));
        }
        drop(session);
        server.stop();
    });
}

/// The kernel lets sockets share a port only if they have the same owner.
#[test]
fn a_server_that_has_changed_its_user_gets_new_sockets_for_a_port() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    on_both(|poller| {
        let text = runtime(poller, 2) + "[process]\nuser = \"nobody\"\n" + &echo();
        let mut server = Server::start(&text);
        let session = server.connect();
        ping(&session);
        fs::set_permissions(&server.directory.0, fs::Permissions::from_mode(0o755)).unwrap();
        let line = server.reload(&(text + "socket.nodelay = false\n"));
        assert!(line.contains("replaced=1"), "{line}");
        ping(&session);
        ping(&server.connect());
        drop(session);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
    });
}

/// The reload comes before, behind or amid the stop.
#[test]
fn a_stop_ends_the_server_amid_reloads() {
    on_both(|poller| {
        for round in 0..10 {
            let mut server = Server::echo(poller, 2);
            let session = server.connect();
            ping(&session);
            for _ in 0..round {
                server.signal("HUP");
            }
            server.signal("TERM");
            server.signal("HUP");
            server.await_line("accepting no more");
            ping(&session);
            drop(session);
            assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        }
    });
}

/// A reload an hour for years.
#[test]
fn descriptors_and_threads_do_not_pile_up() {
    on_both(|poller| {
        let mut server = Server::start(&(runtime(poller, 2) + &echo()));
        let open = |server: &Server| {
            let of = |what| {
                fs::read_dir(format!("/proc/{}/{what}", server.pid()))
                    .unwrap()
                    .count()
            };
            (of("fd"), of("task"))
        };
        let names = ["echo", "other"];
        let text = |round: usize| {
            let option = ["", "socket.keepalive = \"off\"\n"][round % 2];
            runtime(poller, 2) + &echo_named(names[round % 2]) + option
        };
        server.reload(&text(1));
        server.reload(&text(0));
        let mut before = (0, 0);
        until("the old listeners close", || {
            let now = open(&server);
            std::mem::replace(&mut before, now) == now
        });
        for round in 1..=100 {
            server.reload(&text(round));
        }
        until("no descriptor is left", || open(&server) <= before);
        server.stop();
    });
}
