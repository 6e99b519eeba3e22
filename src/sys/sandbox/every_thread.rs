//! Restricts the running threads by a signal handler on each, as the C library changes the user of
//! every thread.
//!
//! Called once, by `landlock`, while the process has no lane. The signal is SIGURG: unblocked on
//! every thread, and ignored by default.
#![expect(unsafe_code, reason = "system calls and a signal handler")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use super::seccomp::forbid_new_privileges;
use crate::sys::{now, thread_id};

/// How long a thread may take to run the handler, which waits for a CPU only.
const PATIENCE: Duration = Duration::from_secs(2);
/// A thread's number and the error, 0 for none.
const ANSWER_BYTES: usize = 8;

/// The descriptors of the rulesets (-1 for none) and of the answers, for the handler.
static RULESET: AtomicI32 = AtomicI32::new(-1);
static OF_OTHERS: AtomicI32 = AtomicI32::new(-1);
static ANSWERS: AtomicI32 = AtomicI32::new(-1);

/// Restricts all threads, the calling thread last, and the other threads by `of_others` as well.
/// Looks again for threads started meanwhile by an unrestricted thread.
///
/// # Errors
/// The first error of a thread; `TimedOut` for a thread without an answer.
pub(super) fn restrict(ruleset: &OwnedFd, of_others: Option<&OwnedFd>) -> io::Result<()> {
    let (mut answers, sender) = io::pipe()?;
    RULESET.store(ruleset.as_raw_fd(), Release);
    OF_OTHERS.store(of_others.map_or(-1, AsRawFd::as_raw_fd), Release);
    ANSWERS.store(sender.as_raw_fd(), Release);
    let before = handle_by(on_signal as *const () as libc::sighandler_t)?;
    let mut restricted = BTreeSet::from([thread_id()]);
    let mut all = || loop {
        let threads: Vec<u32> = threads()?.difference(&restricted).copied().collect();
        if threads.is_empty() {
            return Ok(());
        }
        for thread in threads {
            restricted.insert(thread);
            if signal(thread) {
                await_answer(&mut answers, thread)?;
            }
        }
    };
    let result: io::Result<()> = all();
    handle_by(before)?;
    result?;
    // Last, since the restricted may not read the list of threads.
    forbid_new_privileges()?;
    restrict_caller(ruleset)
}

/// Restricts the calling thread, which has no_new_privs.
///
/// # Errors
/// The kernel's.
pub(super) fn restrict_caller(ruleset: &OwnedFd) -> io::Result<()> {
    restrict_by(ruleset.as_raw_fd())
}

/// Safe in a signal handler.
fn restrict_by(ruleset: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn on_signal(_signal: libc::c_int) {
    let before = io::Error::last_os_error();
    let result = forbid_new_privileges().and_then(|()| {
        restrict_by(RULESET.load(Acquire))?;
        match OF_OTHERS.load(Acquire) {
            -1 => Ok(()),
            of_others => restrict_by(of_others),
        }
    });
    let code = result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0);
    let mut answer = [0; ANSWER_BYTES];
    answer[..4].copy_from_slice(&thread_id().to_ne_bytes());
    answer[4..].copy_from_slice(&code.to_ne_bytes());
    let to = ANSWERS.load(Acquire);
    // SAFETY: the pointer is valid for a read of so many bytes. A pipe takes so few bytes whole.
    unsafe { libc::write(to, answer.as_ptr().cast(), ANSWER_BYTES) };
    // SAFETY: no arguments.
    let error = unsafe { libc::__errno_location() };
    // SAFETY: the place of the last error of this thread. The interrupted code may still read it.
    unsafe { error.write(before.raw_os_error().unwrap_or(0)) };
}

/// The threads of this process.
fn threads() -> io::Result<BTreeSet<u32>> {
    let names = fs::read_dir("/proc/self/task")?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(names.filter_map(number).collect())
}

/// Sends the signal to a thread; `false` if the thread has ended.
fn signal(thread: u32) -> bool {
    let (process, thread) = (process::id(), thread);
    // SAFETY: no pointers. The handler is installed.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGURG) == 0 }
}

/// Waits for the answer of a thread, or for the end of the thread.
fn await_answer(answers: &mut PipeReader, thread: u32) -> io::Result<()> {
    let end = now() + PATIENCE;
    loop {
        let mut ready = libc::pollfd {
            fd: answers.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the pointer is valid for a read and a write of a structure. The time is short,
        // since no answer comes from an ended thread.
        if unsafe { libc::poll(&raw mut ready, 1, 10) } == 1 {
            let mut answer = [0; ANSWER_BYTES];
            answers.read_exact(&mut answer)?;
            let word = |at: usize| [answer[at], answer[at + 1], answer[at + 2], answer[at + 3]];
            let code = i32::from_ne_bytes(word(4));
            if code != 0 {
                return Err(io::Error::from_raw_os_error(code));
            }
            if u32::from_ne_bytes(word(0)) == thread {
                return Ok(());
            }
        } else if !threads()?.contains(&thread) {
            return Ok(());
        } else if now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Sets the disposition of the signal and returns the former disposition. Interrupted system calls
/// go on.
fn handle_by(how: libc::sighandler_t) -> io::Result<libc::sighandler_t> {
    // SAFETY: `how` is a former disposition, or `on_signal`, whose calls are safe in a signal
    // handler.
    match unsafe { libc::signal(libc::SIGURG, how) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        before => Ok(before),
    }
}
