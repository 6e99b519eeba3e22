//! A lane in the view of other threads.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::inbox::Sender;
#[cfg(all(test, loom))]
use super::loom_rig::Notifier;
use super::task;
use super::watchdog::Heartbeat;
#[cfg(not(all(test, loom)))]
use crate::poller::Notifier;
use crate::stats::LaneStats;

/// A task of a lane.
pub(super) type Task = task::Task<Remote>;

/// A closure from another thread, to run on a lane. The argument is the lane's `Handle`, a type
/// above this file.
pub(super) type Call = Box<dyn FnOnce(&dyn Any) + Send>;

/// A message to a lane from another thread.
pub(super) enum Message {
    Wake(Task),
    /// The lane's driver has to check its conditions between two turns.
    Rouse,
    Call(Call),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Rouse => "Rouse",
            Self::Call(_) => "Call",
        })
    }
}

/// A lane in the view of other threads.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    sender: Sender<Message>,
    notifier: Notifier,
    heartbeat: Heartbeat,
    stats: Arc<LaneStats>,
}

impl Remote {
    pub(super) fn new(sender: Sender<Message>, notifier: impl Into<Notifier>) -> Self {
        Self(Arc::new(Parts {
            sender,
            notifier: notifier.into(),
            heartbeat: Heartbeat::new(),
            stats: Arc::default(),
        }))
    }

    /// Makes the lane turn, and its driver check its conditions, before the lane sleeps again.
    pub fn rouse(&self) {
        self.send(Message::Rouse);
    }

    pub(super) fn send(&self, message: Message) {
        if self.0.sender.send(message) {
            self.0.notifier.notify();
        }
    }

    /// Whether both refer to the same lane.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The lane's counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<LaneStats> {
        &self.0.stats
    }

    /// The CPU time of the lane's thread so far, from the system.
    #[must_use]
    pub(crate) fn cpu_time(&self) -> Duration {
        self.0.heartbeat.cpu_time()
    }

    /// The lane's heartbeat, for a watchdog.
    #[must_use]
    pub(crate) fn heartbeat(&self) -> &Heartbeat {
        &self.0.heartbeat
    }

    /// References to the lane's inbox: this, the lane, its tasks and the messages in the inbox.
    #[cfg(all(test, not(feature = "sim")))]
    pub(super) fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}
