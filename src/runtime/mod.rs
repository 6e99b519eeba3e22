//! Lanes and tasks: Go's scheduler for one core, on one poller.
//!
//! A [`Lane`] turns: it fires timers, reads its inbox, runs tasks and waits for completions, which
//! wake tasks. Tasks reach it through a [`Handle`], other threads through a [`Remote`]. Knows no
//! TOML, no proxy and no operating system.

mod handle;
mod idle_trim;
mod inbox;
mod lane;
mod latch;
mod log_interval;
#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, loom))]
mod loom_rig;
mod mailbox;
mod release;
mod remote;
mod run_queue;
mod scheduler;
mod semaphore;
mod session;
mod shared;
mod socket;
mod socket_table;
mod spin;
mod splice;
mod task;
mod task_timer;
// The simulator's build has the same lanes: once is enough for what takes long.
#[cfg(all(test, not(loom), not(feature = "sim")))]
mod tests;
mod timer;
mod waitlist;
mod watchdog;

pub use self::handle::Handle;
pub use self::lane::{Lane, LaneOptions};
pub use self::latch::{Either, Latch, both, either};
pub use self::log_interval::LogInterval;
pub use self::mailbox::{MailSender, Mailbox};
pub use self::release::Release;
pub use self::remote::Remote;
pub use self::scheduler::Visited;
pub use self::semaphore::Semaphore;
pub use self::session::{Control, Cursor, Description, EndRequest, Session, SessionId};
pub use self::socket::LaneSocket;
pub use self::socket_table::Sent;
pub use self::splice::{SourceState, Spliced};
pub use self::task::TaskName;
pub use self::task_timer::{Elapsed, Sleep, Timer, timeout, yield_now};
pub use self::timer::{TICK, TimerKey, Timers};
pub use self::waitlist::{Seat, Wait, Waitlist};
pub use self::watchdog::{Heartbeat, Pulse, Stall, Watchdog};
pub use crate::poller::Close;
pub(crate) use crate::sys::{Bug, seeded};
pub use crate::sys::{ErrorCode, Time};
