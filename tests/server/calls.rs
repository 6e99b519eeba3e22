//! The system calls of a message, counted on a running server: no more than each poller promises.
//!
//! ptrace stops the lane's thread at each kernel entry, so the count is complete and needs no tool.
//! A round waits until the lane sleeps, so no count depends on speed.
#![expect(unsafe_code, reason = "ptrace(2)")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::support::{PATIENCE, Server, echo, now, on_both, ping, runtime, until};

const MESSAGE: [u8; 64] = [b'm'; 64];
const WARM_UP: usize = 200;
const MESSAGES: usize = 2000;

/// The number of clients, each with a message in flight, and the maximum of system calls per
/// hundred messages.
type Promise = (usize, u64);

/// One call sends the answers and waits for the next messages. With many clients in flight the call
/// serves many messages.
const IO_URING: [Promise; 2] = [(1, 105), (50, 10)];
/// A loop on epoll in C waits, reads and writes: 3 calls for a lone message. Many clients share the
/// wait.
const EPOLL: [Promise; 2] = [(1, 310), (50, 215)];

/// A lane checks at this interval whether memory can be returned (`runtime/lane.rs`), with or
/// without messages. A slower machine therefore makes more calls that belong to no message; the
/// elapsed time bounds them.
const TRIM_INTERVAL: Duration = Duration::from_millis(250);
/// When the alarm ends a wait, some memory may be returned, and the alarm is set again: by the
/// first turn, and by each turn with a shorter timeout than all turns before, 8 of 2,000 on average
/// (the logarithm). Measured: 4 to 13.
const CALLS_PER_TRIM: u64 = 20;

#[test]
fn a_message_costs_no_more_system_calls_than_promised() {
    on_both(|poller| {
        let promises = if poller == "epoll" { EPOLL } else { IO_URING };
        for (clients, promised) in promises {
            let server = Server::echo(poller, 1);
            match Traced::seize(&server) {
                Ok(lane) => count(lane, clients, promised),
                Err(why) => skipped(&why),
            }
            server.stop();
        }
    });
}

/// A lane stuck in a system call does not keep the process from stopping, and the log reports it.
#[test]
fn a_lane_that_is_stuck_does_not_keep_a_stop() {
    on_both(|poller| {
        let shutdown = "[shutdown]\ngrace = \"0s\"\n";
        let mut server = Server::start(&(runtime(poller, 1) + shutdown + &echo()));
        // A serving lane has reported its start and holds no lock.
        ping(&server.connect());
        // The lane stays where ptrace stops it next.
        let lane = match Traced::seize(&server) {
            Ok(lane) => lane,
            Err(why) => return skipped(&why),
        };
        server.signal("TERM");
        // A traced thread has ended for its process once the tracer has seen its end.
        let is_over = |status: libc::c_int| !libc::WIFSTOPPED(status);
        until("the process ends its lane", || {
            take_status(lane.thread).unwrap().is_some_and(is_over)
        });
        drop(lane);
        assert_eq!(server.wait(), Some(1));
        let last = server.log.last().unwrap();
        let expected = "ERROR the server failed: lanes that do not end when told to: [0]; ";
        assert!(last.contains(expected), "{:#?}", server.log);
    });
}

/// Exchanges messages until the server is warm, then counts this many messages.
fn count(mut lane: Traced, clients: usize, promised: u64) {
    let clients: Vec<TcpStream> = (0..clients).map(|_| lane.server.connect()).collect();
    for client in &clients {
        client.set_nonblocking(true).unwrap();
    }
    (0..WARM_UP / clients.len()).for_each(|_| lane.round(&clients));
    lane.calls.clear();
    let start = now();
    let rounds = MESSAGES / clients.len();
    (0..rounds).for_each(|_| lane.round(&clients));
    let trims = start.elapsed().as_millis() / TRIM_INTERVAL.as_millis() + 1;
    let own = CALLS_PER_TRIM * u64::try_from(trims).unwrap();
    let made: u64 = lane.calls.values().sum();
    let messages = u64::try_from(rounds * clients.len()).unwrap();
    let what = format!(
        "{made} calls for {messages} messages of {} clients; by their numbers {:?}",
        clients.len(),
        lane.calls
    );
    say(&what);
    assert!(
        made * 100 <= promised * messages + own * 100,
        "{what}; not {}.{:02} for each and {own} of the lane's own",
        promised / 100,
        promised % 100,
    );
}

#[expect(clippy::print_stderr, reason = "the harness shows it when asked to")]
fn say(what: &str) {
    eprintln!("{what}");
}

/// Prints past the harness, which hides the output of a passing test.
fn skipped(why: &str) {
    let line = format!("\nskipped because {why}: system calls are not counted\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A server's only lane, stopped at each kernel entry and return. The lane's thread makes all
/// calls; io_uring's worker threads, if any, make none.
struct Traced<'a> {
    server: &'a Server,
    thread: libc::pid_t,
    /// Number of calls, by system call.
    calls: BTreeMap<u64, u64>,
}

impl<'a> Traced<'a> {
    /// Starts tracing the lane.
    ///
    /// # Errors
    /// The kernel's reason to forbid tracing.
    fn seize(server: &'a Server) -> Result<Self, String> {
        let thread = lane_of(server);
        let options = libc::PTRACE_O_TRACESYSGOOD.cast_unsigned();
        if let Err(error) = ask(thread, libc::PTRACE_SEIZE, options) {
            let code = error.raw_os_error();
            // The errors of seccomp, of security modules, and of a kernel or sandbox without
            // ptrace.
            let is_forbidden = matches!(code, Some(libc::EPERM | libc::EACCES | libc::ENOSYS));
            assert!(is_forbidden, "{error}");
            return Err(format!("the kernel forbids tracing ({error})"));
        }
        let lane = Self {
            server,
            thread,
            calls: BTreeMap::new(),
        };
        ask(thread, libc::PTRACE_INTERRUPT, 0).unwrap();
        let end = now() + PATIENCE;
        while lane.stop().is_none() {
            assert!(now() < end, "the lane does not stop");
            thread::yield_now();
        }
        let named = lane.entry();
        if named.is_err_and(|error| error.raw_os_error() == Some(libc::EIO)) {
            return Err("the kernel does not name calls (Linux before 5.3)".to_owned());
        }
        ask(thread, libc::PTRACE_SYSCALL, 0).unwrap();
        Ok(lane)
    }

    /// Sends one message of each client there and back.
    ///
    /// The lane sleeps at first, so that every round costs a whole wait. The first message wakes
    /// the lane, which stays stopped at the return from its wait until all messages have been
    /// written.
    fn round(&mut self, clients: &[TcpStream]) {
        for mut client in clients {
            client.write_all(&MESSAGE).unwrap();
        }
        let mut answered = 0;
        let end = now() + PATIENCE;
        while answered < clients.len() {
            assert!(now() < end, "{answered} of {} answers", clients.len());
            thread::yield_now();
            self.pass();
            if self.is_asleep() {
                let rest = clients[answered..].iter();
                answered += rest.take_while(|client| is_answered(client)).count();
            }
        }
    }

    /// Counts the lane's kernel entries and lets the lane continue, until it stops no more.
    fn pass(&mut self) {
        // Usually read without a kernel entry, depending on the machine's clock.
        let clock = u64::try_from(libc::SYS_clock_gettime).ok();
        while let Some(signal) = self.stop() {
            let entry = self.entry().unwrap();
            if let Some(call) = entry.filter(|_| entry != clock) {
                *self.calls.entry(call).or_default() += 1;
            }
            ask(self.thread, libc::PTRACE_SYSCALL, signal).unwrap();
        }
    }

    /// Whether the lane sleeps in the kernel, not stopped by ptrace.
    fn is_asleep(&self) -> bool {
        let path = format!("/proc/{}/task/{}/stat", self.server.pid(), self.thread);
        let stat = fs::read_to_string(path).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('S')
    }

    /// Takes the lane's ptrace stop, if any: the signal about to be delivered, or 0 for a stop of
    /// the tracer's own.
    fn stop(&self) -> Option<u32> {
        let status = take_status(self.thread).unwrap()?;
        assert!(libc::WIFSTOPPED(status), "the lane has ended: {status:#x}");
        let signal = libc::WSTOPSIG(status).cast_unsigned();
        // The tracer's stops have an event above the signal, or the mark of `TRACESYSGOOD`.
        let ours = status >> 16 != 0 || signal & 0x80 != 0;
        Some(if ours { 0 } else { signal })
    }

    /// The system call at whose entry the lane is stopped; `None` at a different stop.
    fn entry(&self) -> io::Result<Option<u64>> {
        // `struct ptrace_syscall_info`: a word that begins with the kind of stop, two addresses; at
        // an entry also the number of the call and its arguments.
        let mut info = [0_u64; 11];
        let request = libc::c_long::from(libc::PTRACE_GET_SYSCALL_INFO);
        let (call, bytes) = (libc::SYS_ptrace, size_of_val(&info));
        // SAFETY: `info` is valid for a write of `bytes` during the call.
        let rc = unsafe { libc::syscall(call, request, self.thread, bytes, info.as_mut_ptr()) };
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        let is_entry = info[0].to_ne_bytes()[0] == libc::PTRACE_SYSCALL_INFO_ENTRY;
        Ok(is_entry.then_some(info[3]))
    }
}

impl Drop for Traced<'_> {
    /// Detaches from the lane. A traced thread would outlive its killed server until this thread
    /// waits for it.
    fn drop(&mut self) {
        // ptrace refuses until the lane is stopped; the lane may be stopped already.
        let end = now() + PATIENCE;
        let mut is_told = false;
        while ask(self.thread, libc::PTRACE_DETACH, 0).is_err() && now() < end {
            is_told = is_told || ask(self.thread, libc::PTRACE_INTERRUPT, 0).is_ok();
            match take_status(self.thread) {
                Ok(status) if status.is_none_or(|status| libc::WIFSTOPPED(status)) => {}
                _ => return,
            }
            thread::yield_now();
        }
    }
}

/// A ptrace request with a number as its argument.
fn ask(thread: libc::pid_t, request: libc::c_uint, number: u32) -> io::Result<()> {
    let (request, number) = (libc::c_long::from(request), libc::c_ulong::from(number));
    let (call, no_address): (_, libc::c_ulong) = (libc::SYS_ptrace, 0);
    // SAFETY: these requests take no pointers.
    let rc = unsafe { libc::syscall(call, request, thread, no_address, number) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The new state of a traced thread, if the state has changed.
fn take_status(thread: libc::pid_t) -> io::Result<Option<libc::c_int>> {
    let mut status = 0;
    // SAFETY: `status` is valid for a write during the call.
    let rc = unsafe { libc::waitpid(thread, &raw mut status, libc::WNOHANG | libc::__WALL) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((rc > 0).then_some(status))
}

/// The thread of a server's only lane.
fn lane_of(server: &Server) -> libc::pid_t {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let is_lane = |thread: &PathBuf| {
        // A thread that ends meanwhile is not a lane.
        fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.starts_with("lane-"))
    };
    let lanes: Vec<PathBuf> = threads
        .map(|thread| thread.unwrap().path())
        .filter(is_lane)
        .collect();
    assert_eq!(lanes.len(), 1, "{lanes:?}");
    lanes[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Reads a whole answer, if the answer has arrived.
fn is_answered(mut client: &TcpStream) -> bool {
    let mut answer = [0; MESSAGE.len()];
    match client.peek(&mut answer) {
        Ok(bytes) if bytes == answer.len() => {}
        Ok(0) => panic!("the server has ended the connection"),
        Ok(_) => return false,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
        Err(error) => panic!("{error}"),
    }
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, MESSAGE);
    true
}
