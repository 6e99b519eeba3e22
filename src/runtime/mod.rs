//! Lanes and tasks: Go's scheduler for one core, on one poller.
//!
//! A [`Lane`] turns: it fires timers, reads its inbox, runs tasks and waits for completions, which
//! wake tasks. Tasks reach it through a [`Handle`], other threads through a [`Remote`]. Knows no
//! TOML, no proxy and no operating system.

mod fifo;
mod handle;
mod idle_trim;
mod inbox;
mod lane;
mod latch;
mod log_interval;
#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, loom))]
mod loom_queue;
#[cfg(all(test, loom))]
mod loom_rig;
mod mailbox;
mod recorder;
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

pub(crate) use self::fifo::{Fifo, Turn};
pub use self::handle::Handle;
pub use self::lane::{Lane, LaneOptions};
pub use self::latch::{Either, Latch, both, either};
pub use self::log_interval::LogInterval;
pub(crate) use self::mailbox::{MailSender, Mailbox};
pub(crate) use self::recorder::{Completed, Event, Recording, What};
pub(crate) use self::release::{Permits, Release};
pub use self::remote::Remote;
pub(crate) use self::scheduler::{NamedTasks, Visited};
pub(crate) use self::semaphore::Semaphore;
pub(crate) use self::session::{
    Control, Cursor, Description, EndRequest, Legs, Session, SessionId,
};
pub use self::socket::LaneSocket;
pub(crate) use self::socket_table::Sent;
pub(crate) use self::splice::{SourceState, Spliced};
pub(crate) use self::task::TaskName;
pub(crate) use self::task_timer::Timer;
pub use self::task_timer::{Elapsed, Sleep, timeout, yield_now};
#[cfg(feature = "sim")]
pub(crate) use self::timer::TICK;
pub(crate) use self::waitlist::{Seat, Waitlist};
pub(crate) use self::watchdog::{Pulse, Seen, Watchdog};
pub use crate::poller::Close;
pub(crate) use crate::sys::{Bug, seeded};
pub(crate) use crate::sys::{ErrorCode, PeerAddress, TcpInfo, Time};
