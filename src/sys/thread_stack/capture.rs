//! A signal has a thread copy its registers and its stack into a place that was there before.
//!
//! The signal is SIGURG, as in Go: ignored by default, hence not among the signals that the threads
//! block, and harmless when another process sends it. The handler copies, and does nothing if no
//! copy of its thread is wanted.
#![expect(unsafe_code, reason = "a signal handler")]

use std::io;
use std::mem::MaybeUninit;
use std::process;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::thread;
use std::time::Duration;

use libc::{c_int, c_void, siginfo_t, ucontext_t};

/// Words of the stack that are copied: 32 KiB.
const WORDS: usize = 4096;
/// A thread that does not answer within 250 pauses, 50 ms, has no CPU.
const PAUSE: Duration = Duration::from_micros(200);
const PAUSES_MAX: usize = 250;

/// The places of registers in a context.
const PC: usize = libc::REG_RIP.cast_unsigned() as usize;
const SP: usize = libc::REG_RSP.cast_unsigned() as usize;
const FP: usize = libc::REG_RBP.cast_unsigned() as usize;

/// The registers and the stack of a thread at a moment.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) pc: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
    /// From `sp` on.
    pub(super) words: Vec<u64>,
}

/// The place of the copy. One thread asks at a time.
struct Place {
    /// The thread that has to copy; 0: none.
    wanted: AtomicU32,
    /// The thread that has copied; 0: none.
    done: AtomicU32,
    end: AtomicU64,
    registers: [AtomicU64; 3],
    count: AtomicUsize,
    words: [AtomicU64; WORDS],
}

static PLACE: Place = Place {
    wanted: AtomicU32::new(0),
    done: AtomicU32::new(0),
    end: AtomicU64::new(0),
    registers: [const { AtomicU64::new(0) }; 3],
    count: AtomicUsize::new(0),
    words: [const { AtomicU64::new(0) }; WORDS],
};

/// Installs the handler for the process.
pub(super) fn install() -> io::Result<()> {
    // SAFETY: all bytes zero are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the action is initialised, and the handler is async-signal-safe.
    match unsafe { libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Async-signal-safe: reads registers and its own stack, writes atomics, and calls gettid(2).
extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: no arguments; it never fails, so `errno` stays.
    let thread = unsafe { libc::gettid() }.cast_unsigned();
    let wanted = &PLACE.wanted;
    if wanted.compare_exchange(thread, 0, AcqRel, Relaxed).is_err() {
        return;
    }
    // SAFETY: the kernel passes the context of the interrupted thread to a handler with SA_SIGINFO.
    let context = unsafe { &*context.cast::<ucontext_t>() };
    let registers = &context.uc_mcontext.gregs;
    PLACE.registers[0].store(registers[PC].cast_unsigned(), Relaxed);
    PLACE.registers[1].store(registers[SP].cast_unsigned(), Relaxed);
    PLACE.registers[2].store(registers[FP].cast_unsigned(), Relaxed);
    let mut at = PLACE.registers[1].load(Relaxed) & !7;
    let end = PLACE.end.load(Relaxed);
    let mut count = 0;
    while count < WORDS && at + 8 <= end {
        // SAFETY: between the stack pointer and the end of the stack of this thread all memory is
        // mapped and readable.
        let word = unsafe { ptr::read_volatile(at as *const u64) };
        PLACE.words[count].store(word, Relaxed);
        (count, at) = (count + 1, at + 8);
    }
    PLACE.count.store(count, Relaxed);
    PLACE.done.store(thread, Release);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the thread of the watchdog, which is no lane"
)]
fn pause() {
    thread::sleep(PAUSE);
}

/// Has a thread of this process copy; `None` if it has ended or does not come to it.
pub(super) fn capture(thread: u32, end: u64) -> Option<Copied> {
    PLACE.done.store(0, Relaxed);
    PLACE.end.store(end, Relaxed);
    PLACE.wanted.store(thread, Release);
    let (process, number) = (process::id(), thread);
    // SAFETY: no pointers. The signal has a handler.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, number, libc::SIGURG) };
    for _ in 0..PAUSES_MAX {
        if sent != 0 || PLACE.done.load(Acquire) == thread {
            break;
        }
        pause();
    }
    // Not later: the next copy is another thread's.
    let is_late = PLACE.wanted.swap(0, AcqRel) == thread;
    if is_late || sent != 0 {
        return None;
    }
    while PLACE.done.load(Acquire) != thread {
        // It copies.
        pause();
    }
    let [pc, sp, fp] = [0, 1, 2].map(|at| PLACE.registers[at].load(Relaxed));
    let count = PLACE.count.load(Relaxed);
    let words = PLACE.words[..count].iter();
    let words = words.map(|word| word.load(Relaxed)).collect();
    Some(Copied { pc, sp, fp, words })
}

/// The end of the calling thread's stack: no address from here on belongs to it. 0 if unknown.
pub(crate) fn stack_end() -> u64 {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no arguments.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: the thread is the caller's, and the call initialises the attributes if it returns 0.
    let found = unsafe { libc::pthread_getattr_np(own, attributes.as_mut_ptr()) };
    if found != 0 {
        return 0;
    }
    let (mut start, mut bytes) = (ptr::null_mut(), 0);
    let attributes = attributes.as_mut_ptr();
    // SAFETY: the attributes are initialised, and both places are valid for a write.
    let got = unsafe { libc::pthread_attr_getstack(attributes, &raw mut start, &raw mut bytes) };
    // SAFETY: initialised above, and not used behind this.
    unsafe { libc::pthread_attr_destroy(attributes) };
    match got {
        0 => start as u64 + bytes as u64,
        _ => 0,
    }
}
