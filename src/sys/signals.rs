//! Signals as values on one thread. All threads block the signals, so no signal runs code on a lane
//! or interrupts a lane's system call.
#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, sigset_t};

/// A request to the process, by signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Stop; the signal's name.
    Stop(&'static str),
    /// Read the configuration again.
    Reload,
    /// Open the log file anew.
    ReopenLog,
    /// No request: the name of a signal that by default would end the process.
    Other(String),
}

/// The parent's settings for the signals of [`take_signals`], by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParentSignals {
    /// Signals that the parent had blocked.
    pub(crate) blocked: Vec<String>,
    /// Signals that the parent had set to be ignored.
    pub(crate) ignored: Vec<String>,
}

/// The names of the signals that exist on every Unix and can be blocked.
const NAMES: &[(c_int, &str)] = &[
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
    #[cfg(target_os = "linux")]
    (libc::SIGPWR, "SIGPWR"),
    #[cfg(all(
        target_os = "linux",
        not(any(target_arch = "mips", target_arch = "mips64"))
    ))]
    (libc::SIGSTKFLT, "SIGSTKFLT"),
];

/// Signals left alone: crashes, which end the process with a core; signals that cannot be blocked;
/// stop and continue; signals ignored by default; and SIGPIPE, which the standard library ignores.
const LEFT: &[c_int] = &[
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
    #[cfg(not(target_os = "linux"))]
    libc::SIGINFO,
];

/// Blocks all signals but [`LEFT`] in the calling thread and in its later child threads, for
/// [`requests`] to receive, whatever the parent had blocked or ignored. Signals with a handler, of
/// a library loaded into the process, keep the handler.
///
/// # Errors Errors of `pthread_sigmask(3)`.
pub(crate) fn take_signals() -> io::Result<ParentSignals> {
    let mut set = empty();
    let mut parent = ParentSignals::default();
    let before = mask(libc::SIG_SETMASK, None)?;
    for signal in (1..=last()).filter(|signal| !LEFT.contains(signal)) {
        let Some(how) = disposition(signal) else {
            ignore_reserved(signal);
            continue;
        };
        if how == libc::SIG_IGN {
            parent.ignored.push(name(signal));
            // A system may drop an ignored signal although the signal is blocked.
            set_disposition(signal, libc::SIG_DFL);
        } else if how != libc::SIG_DFL {
            continue;
        }
        if contains(&before, signal) {
            parent.blocked.push(name(signal));
        }
        // SAFETY: the set is initialised, and the query above has validated the number.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // With `tostop` a terminal stops a background process that writes to the terminal.
    set_disposition(libc::SIGTTOU, libc::SIG_IGN);
    mask(libc::SIG_SETMASK, Some(&set))?;
    Ok(parent)
}

/// The signals that the calling thread blocks, from now on. The endless iterator waits for the next
/// signal.
pub(crate) fn requests() -> io::Result<impl Iterator<Item = Request> + Send> {
    let set = mask(libc::SIG_BLOCK, None)?;
    Ok(std::iter::from_fn(move || {
        loop {
            let mut signal = 0;
            // SAFETY: both pointers are valid during the call, the second for a write.
            if unsafe { libc::sigwait(&raw const set, &raw mut signal) } == 0 {
                return Some(request(signal));
            }
        }
    }))
}

fn request(signal: c_int) -> Request {
    match signal {
        libc::SIGTERM => Request::Stop("SIGTERM"),
        libc::SIGINT => Request::Stop("SIGINT"),
        libc::SIGQUIT => Request::Stop("SIGQUIT"),
        libc::SIGHUP => Request::Reload,
        libc::SIGUSR1 => Request::ReopenLog,
        _ => Request::Other(name(signal)),
    }
}

/// The signal's name in the notation of kill(1).
fn name(signal: c_int) -> String {
    #[cfg(target_os = "linux")]
    if signal >= libc::SIGRTMIN() {
        return match signal - libc::SIGRTMIN() {
            0 => "SIGRTMIN".to_owned(),
            above => format!("SIGRTMIN+{above}"),
        };
    }
    let known = NAMES.iter().find(|(number, _)| *number == signal);
    known.map_or_else(
        || format!("signal {signal}"),
        |(_, name)| (*name).to_owned(),
    )
}

/// The highest signal number.
fn last() -> c_int {
    #[cfg(target_os = "linux")]
    let last = libc::SIGRTMAX();
    // FreeBSD has the most, 128; numbers beyond a system's last signal are invalid.
    #[cfg(not(target_os = "linux"))]
    let last = 128;
    last
}

fn empty() -> sigset_t {
    let mut set = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: the pointer is valid for a write of a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the call never fails and has filled the set.
    unsafe { set.assume_init() }
}

fn contains(set: &sigset_t, signal: c_int) -> bool {
    // SAFETY: the set is initialised; an invalid number is an error of the call.
    unsafe { libc::sigismember(set, signal) == 1 }
}

/// Changes the calling thread's mask and returns the former mask.
fn mask(how: c_int, set: Option<&sigset_t>) -> io::Result<sigset_t> {
    let set = set.map_or(ptr::null(), ptr::from_ref);
    let mut before = empty();
    // SAFETY: the first pointer is null or valid for a read, the second valid for a write.
    match unsafe { libc::pthread_sigmask(how, set, &raw mut before) } {
        0 => Ok(before),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The process's disposition of a signal: `SIG_DFL`, `SIG_IGN` or a handler; `None` for an invalid
/// number and for a signal reserved by the C library.
fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: null changes nothing; the second pointer is valid for a write.
    let rc = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call succeeded and so filled the structure.
    (rc == 0).then(|| unsafe { action.assume_init() }.sa_sigaction)
}

/// Ignores a signal that the C library reserves and does not name (such as pthread_cancel(3)'s),
/// until the library uses the signal. Sent by a foreign process, it would end this process.
#[cfg(all(
    target_os = "linux",
    not(any(target_arch = "mips", target_arch = "mips64"))
))]
fn ignore_reserved(signal: c_int) {
    /// The kernel's structure: handler, flags, mask and perhaps restorer.
    type Action = [usize; 4];
    /// The kernel's set of 64 signals.
    const SET_BYTES: usize = 8;
    let nr = libc::SYS_rt_sigaction;
    let mut old: Action = [0; 4];
    let none = ptr::null_mut::<Action>();
    // SAFETY: null changes nothing; the second pointer is valid for a write of the structure.
    let rc = unsafe { libc::syscall(nr, signal, none, &raw mut old, SET_BYTES) };
    if rc == 0 && old[0] == libc::SIG_DFL {
        let action: Action = [libc::SIG_IGN, 0, 0, 0];
        // SAFETY: the pointer is valid for a read of the structure, which contains no code address.
        unsafe { libc::syscall(nr, signal, &raw const action, none, SET_BYTES) };
    }
}

/// On these systems a number without a disposition is invalid.
#[cfg(not(all(
    target_os = "linux",
    not(any(target_arch = "mips", target_arch = "mips64"))
)))]
fn ignore_reserved(_signal: c_int) {}

/// Sets a signal's disposition to `SIG_DFL` or `SIG_IGN`.
fn set_disposition(signal: c_int, how: libc::sighandler_t) {
    // SAFETY: neither runs code of ours. The call fails for invalid numbers, without effect.
    unsafe { libc::signal(signal, how) };
}
