//! The stack of another thread of this process, as names of functions, for the log: on Linux on
//! x86-64 (`present`), nowhere else (`absent`).
//!
//! `capture` has the thread copy its registers and a part of its stack, in a signal handler;
//! `unwind` finds the return addresses in the copy, on the asking thread; `symbols` names them.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod absent;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod capture;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod present;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod symbols;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod unwind;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) use self::absent::{StackReader, stack_end};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use self::capture::stack_end;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use self::present::StackReader;
