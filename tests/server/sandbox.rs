//! The sandbox of a running server, seen from outside.

use std::fs;

use crate::support::connect;
use crate::support::{PATIENCE, Server, corelane, echo, now, on_both, pause, ping, proxy, runtime};

/// A line of `/proc/PID/status`, of every thread.
fn status(server: &Server, key: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let of_thread = |thread: std::io::Result<fs::DirEntry>| {
        // A thread that starts others ends at once.
        let status = fs::read_to_string(thread.unwrap().path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        Some(line.unwrap().trim().to_owned())
    };
    threads.filter_map(of_thread).collect()
}

/// The threads of a server with two lanes.
const OF_TWO_LANES: &[&str] = &[
    "access", "control", "corelane", "lane-0", "lane-1", "log", "signals", "watchdog",
];

#[test]
fn every_thread_is_in_the_sandbox() {
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let up = behind.address("echo");
        let server = Server::start(&(runtime(poller, 2) + &proxy(&[up]) + &echo()));
        // The watchdog comes last, from a thread that ends at once.
        let end = now() + PATIENCE;
        loop {
            let mut names = status(&server, "Name:");
            names.sort();
            if names == OF_TWO_LANES {
                break;
            }
            assert!(now() < end, "{names:?}");
            pause();
        }
        assert_eq!(status(&server, "Seccomp:"), ["2"; OF_TWO_LANES.len()]);
        assert_eq!(status(&server, "NoNewPrivs:"), ["1"; OF_TWO_LANES.len()]);
        ping(&server.connect());
        server.stop();
        drop(behind);
    });
}

#[test]
fn the_start_says_what_holds() {
    on_both(|poller| {
        for (mode, said) in [
            (
                "log",
                "sandbox mode=\"log\" holds=\"no new privileges, others than ",
            ),
            ("off", "sandbox mode=\"off\""),
        ] {
            let config = runtime(poller, 1) + &echo() + &format!("[sandbox]\nmode = '{mode}'\n");
            let mut server = Server::spawn(corelane(), &config);
            server.await_line(said);
            server.await_line("ready");
            // A process inherits the filters of its parent: here those of the test.
            let inherited = fs::read_to_string("/proc/self/status").unwrap();
            let inherited = inherited
                .lines()
                .find_map(|line| line.strip_prefix("Seccomp:"));
            let filter = if mode == "off" {
                inherited.unwrap().trim()
            } else {
                "2"
            };
            assert!(status(&server, "Seccomp:").iter().all(|of| of == filter));
            ping(&server.connect());
            server.stop();
        }
    });
}

/// The key is named before anything changes, and other addresses at the same ports need no restart.
#[test]
fn a_reload_beyond_the_sandbox_is_refused_with_the_key() {
    on_both(|poller| {
        let behind = [Server::echo(poller, 1), Server::echo(poller, 1)];
        let [first, second] = behind.each_ref().map(|server| server.address("echo"));
        let configured = "[sandbox]\nconnect_ports = \"configured\"\n";
        let runtime = || configured.to_owned() + &runtime(poller, 1);
        let mut server = Server::start(&(runtime() + &proxy(&[first])));
        let session = connect(server.address("proxy"));
        ping(&session);
        for (endpoints, said) in [
            (
                &[first, second][..],
                "upstream[0].endpoints[1] = \"127.0.0.1:",
            ),
            (&[first][..], "reloaded"),
        ] {
            server.write_config(&(runtime() + &proxy(endpoints)));
            server.signal("HUP");
            let line = server.await_line(said);
            let is_refused = line.contains("the sandbox of the running process does not permit");
            assert_eq!(is_refused, endpoints.len() > 1, "{line}");
            ping(&session);
        }
        drop(session);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        drop(behind);
    });
}
