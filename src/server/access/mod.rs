//! The access log: a thread formats and writes the records of the lanes.
//!
//! Started by `run` before the sandbox gives up new threads, also while the log is off: a reload
//! may switch the log on. Asleep, the thread costs nothing. A target may block, fail or be full for
//! any time; the rings of the lanes then drop and count, and no lane waits.

mod batch;
mod change;
mod file;
mod format;
mod lanes;
mod line;
mod live;
mod message;
mod sink;
#[cfg(test)]
mod tests;
mod thread;
mod torn;
mod writer;

pub(super) use self::change::{AccessChange, AccessControl, AccessSettings};
pub(super) use self::lanes::Lanes;
pub(super) use self::thread::{AccessEnd, start};
