//! Inherited state of the process, and the effect of signals.
#![expect(unsafe_code, reason = "signals are set between fork and exec")]

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{End, Server, corelane, echo, on_both, ping, read_pattern, runtime};

const STOPS: [(libc::c_int, &str); 3] = [
    (libc::SIGTERM, "TERM"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
];

/// A server whose parent prepares the process between fork and exec.
fn after(prepare: fn()) -> Command {
    let mut command = corelane();
    let prepare = move || {
        prepare();
        Ok(())
    };
    // SAFETY: `prepare` makes only system calls.
    unsafe { command.pre_exec(prepare) };
    command
}

fn block_all() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is valid for a write of one set.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: the set is filled; the old set is not requested.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
}

fn ignore_stops() {
    // Ignored under nohup(1), for the tests too.
    // SAFETY: the handler is none of our code.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    for (signal, _) in STOPS {
        // SAFETY: the handler is none of our code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Programs started by posix_spawn(3), such as these tests and their children, ignore the signals
/// that glibc reserves; a shell's children do not.
fn reset_reserved() {
    for signal in 32..libc::SIGRTMIN() {
        // The kernel's structure: the handler comes first, `SIG_DFL`.
        let action = [0_usize; 4];
        let (from, none) = (action.as_ptr(), std::ptr::null_mut::<usize>());
        // SAFETY: `from` is valid for a read of the structure, which names no code.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, from, none, 8) };
    }
}

/// Issue 14: a supervisor with blocked signals, whose children then obey SIGKILL only.
#[test]
fn signals_that_the_parent_blocked_or_ignored_are_obeyed() {
    on_both(|poller| {
        for (prepare, said) in [
            (block_all as fn(), "signals_blocked=\"SIGHUP SIGINT SIGQUIT"),
            (ignore_stops, "signals_ignored=\"SIGINT SIGQUIT SIGTERM\""),
        ] {
            for (_, name) in STOPS {
                let mut server = Server::spawn(after(prepare), &(runtime(poller, 1) + &echo()));
                let line = server.await_line("left by the parent process");
                assert!(line.contains(said), "{line}");
                server.await_line("ready");
                let client = server.connect();
                ping(&client);
                server.signal("HUP");
                server.await_line("SIGHUP");
                server.signal(name);
                server.await_line(&format!("signal=\"SIG{name}\""));
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(read_pattern(&client, 0), (0, End::Fin));
                assert_eq!(server.wait(), Some(0));
            }
        }
    });
}

/// Sends a signal by its number: kill(1) does not know every name.
fn send(server: &Server, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(server.pid()).unwrap();
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal}");
}

/// An unexpected signal is logged and does not end the process. The system handles the signals of a
/// crash, the stop signals, and the signals that are ignored by default.
#[test]
fn every_other_signal_is_survived_and_said() {
    const SYSTEMS: [libc::c_int; 17] = [
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGTRAP,
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGCHLD,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGPIPE,
    ];
    on_both(|poller| {
        let mut server = Server::spawn(after(reset_reserved), &(runtime(poller, 2) + &echo()));
        server.await_line("ready");
        let client = server.connect();
        for number in (1..=libc::SIGRTMAX()).filter(|number| !SYSTEMS.contains(number)) {
            if [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT].contains(&number) {
                continue;
            }
            send(&server, number);
            // The C library's reserved signals cannot be handled, and end no process.
            if (32..libc::SIGRTMIN()).contains(&number) {
                ping(&client);
                continue;
            }
            let line = server.await_line("SIG");
            let is_reload = line.contains("reloading by=\"SIGHUP\"");
            let is_other = match number {
                libc::SIGUSR1 => line.contains("SIGUSR1: the log goes to standard error"),
                _ => line.contains("a signal that does nothing here signal=\"SIG"),
            };
            assert!(
                is_other != is_reload && is_reload == (number == libc::SIGHUP),
                "{line}"
            );
            ping(&client);
        }
        // Ignored, or stopped and continued, without a line.
        for name in ["PIPE", "TTOU", "CHLD", "WINCH", "TSTP", "CONT"] {
            server.signal(name);
        }
        ping(&client);
        drop(client);
        server.stop();
    });
}

/// A timer of the parent continues in the process, and may fire a thousand times a second.
#[test]
fn a_recurring_signal_is_logged_once_a_second() {
    on_both(|poller| {
        let mut server = Server::echo(poller, 1);
        for _ in 0..30 {
            server.signal("USR1");
        }
        server.signal("HUP");
        server.await_line("reloaded");
        let said = server.log.iter().filter(|line| line.contains("SIGUSR1"));
        assert!((1..=10).contains(&said.count()), "{:#?}", server.log);
        server.stop();
    });
}

/// The number in a line's field.
fn field(line: &str, name: &str) -> usize {
    let rest = line.split_once(&format!(" {name}=")).unwrap().1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn descriptors_that_the_parent_left_are_counted_and_kept_from_others() {
    const LEFT: usize = 100;
    on_both(|poller| {
        let config = runtime(poller, 1) + &echo();
        let mut ordinary = Server::start(&config);
        let room = field(ordinary.log.last().unwrap(), "max_sessions");
        let before = ordinary.log[1].contains("descriptors=");
        let before = before.then(|| field(&ordinary.log[1], "descriptors"));
        ordinary.read_log();
        ordinary.stop();

        let null = File::open("/dev/null").unwrap();
        let fd = null.as_raw_fd();
        let mut command = corelane();
        let leave = move || {
            for number in 500..500 + libc::c_int::try_from(LEFT).unwrap() {
                // SAFETY: no pointers. The copies stay open at exec.
                unsafe { libc::dup2(fd, number) };
            }
            Ok(())
        };
        // SAFETY: `leave` makes only system calls.
        unsafe { command.pre_exec(leave) };
        let mut server = Server::spawn(command, &config);
        let line = server.await_line("left by the parent process");
        assert_eq!(field(&line, "descriptors"), LEFT + before.unwrap_or(0));
        let line = server.await_line("ready");
        assert_eq!(field(&line, "max_sessions"), room - LEFT);
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/500", server.pid())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{info}");
        server.stop();
    });
}
