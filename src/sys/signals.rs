//! Signals as values on one thread: every other thread has them blocked, so that no signal runs
//! code on a lane or interrupts a call of one.
#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, sigset_t};

/// What somebody asks of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To stop; the signal's name.
    Stop(&'static str),
    /// To read its configuration again.
    Reload,
    /// Nothing: a signal, by name, that would end a process which does not expect it.
    Other(String),
}

/// What whoever started the process had done with the signals that [`take_signals`] takes: names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParentSignals {
    /// Those it had blocked.
    pub(crate) blocked: Vec<String>,
    /// Those it had set to be ignored.
    pub(crate) ignored: Vec<String>,
}

/// The names of those that are on every Unix and may be taken.
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

/// What is left as it is: the crashes, which end the process with a core; what cannot be taken;
/// what stops the process and lets it go on; what is ignored unless somebody wants it; and
/// SIGPIPE, which the standard library has ignored.
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

/// Blocks all signals but [`LEFT`] in the calling thread and in those that it starts from now on,
/// whatever the parent had blocked or ignored, for [`requests`] to take. A signal that something
/// loaded into the process handles is left to it.
///
/// # Errors
/// What `pthread_sigmask(3)` says.
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
            // A system may drop a signal that is ignored, though it is blocked.
            set_disposition(signal, libc::SIG_DFL);
        } else if how != libc::SIG_DFL {
            continue;
        }
        if contains(&before, signal) {
            parent.blocked.push(name(signal));
        }
        // SAFETY: the set is one, and the number is valid by the query above.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // A terminal may be set to stop a process of the background that writes to it (`tostop`).
    set_disposition(libc::SIGTTOU, libc::SIG_IGN);
    mask(libc::SIG_SETMASK, Some(&set))?;
    Ok(parent)
}

/// The signals that the calling thread has blocked, from now on. The iterator waits for the next;
/// it has no end.
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
        _ => Request::Other(name(signal)),
    }
}

/// The signal's name, as kill(1) takes it.
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

/// The highest number of a signal.
fn last() -> c_int {
    #[cfg(target_os = "linux")]
    let last = libc::SIGRTMAX();
    // FreeBSD has the most, 128; what a system has not is invalid.
    #[cfg(not(target_os = "linux"))]
    let last = 128;
    last
}

fn empty() -> sigset_t {
    let mut set = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: the pointer is valid for a write of one set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the call never fails and has filled it.
    unsafe { set.assume_init() }
}

fn contains(set: &sigset_t, signal: c_int) -> bool {
    // SAFETY: the set is one; of an invalid number the call says an error.
    unsafe { libc::sigismember(set, signal) == 1 }
}

/// Changes the calling thread's mask, and gives what it was.
fn mask(how: c_int, set: Option<&sigset_t>) -> io::Result<sigset_t> {
    let set = set.map_or(ptr::null(), ptr::from_ref);
    let mut before = empty();
    // SAFETY: the first pointer is null or valid for a read, the second valid for a write.
    match unsafe { libc::pthread_sigmask(how, set, &raw mut before) } {
        0 => Ok(before),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// What the process does with a signal: `SIG_DFL`, `SIG_IGN` or a handler; `None` of a number that
/// is none, or that the C library keeps.
fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: null changes nothing; the other pointer is valid for a write.
    let rc = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call succeeded and so filled it.
    (rc == 0).then(|| unsafe { action.assume_init() }.sa_sigaction)
}

/// Ignores a signal that the C library keeps for itself and lets nobody name (of pthread_cancel(3),
/// say), until it has a use for it. From elsewhere it would end the process.
#[cfg(all(
    target_os = "linux",
    not(any(target_arch = "mips", target_arch = "mips64"))
))]
fn ignore_reserved(signal: c_int) {
    /// The kernel's own structure: the handler, then flags, a mask and perhaps a restorer.
    type Action = [usize; 4];
    /// The kernel's set of 64 signals.
    const SET_BYTES: usize = 8;
    let nr = libc::SYS_rt_sigaction;
    let mut old: Action = [0; 4];
    let none = ptr::null_mut::<Action>();
    // SAFETY: null changes nothing; the other pointer is valid for a write of the structure.
    let rc = unsafe { libc::syscall(nr, signal, none, &raw mut old, SET_BYTES) };
    if rc == 0 && old[0] == libc::SIG_DFL {
        let action: Action = [libc::SIG_IGN, 0, 0, 0];
        // SAFETY: the pointer is valid for a read of the structure, which names no code.
        unsafe { libc::syscall(nr, signal, &raw const action, none, SET_BYTES) };
    }
}

/// Elsewhere a number that cannot be asked for is none.
#[cfg(not(all(
    target_os = "linux",
    not(any(target_arch = "mips", target_arch = "mips64"))
)))]
fn ignore_reserved(_signal: c_int) {}

/// Sets it to `SIG_DFL` or `SIG_IGN`.
fn set_disposition(signal: c_int, how: libc::sighandler_t) {
    // SAFETY: neither runs code of ours. It fails for numbers that are invalid, which do nothing.
    unsafe { libc::signal(signal, how) };
}
