//! A lane as other threads see it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::inbox::Sender;
#[cfg(all(test, loom))]
use super::loom_rig::Notifier;
use super::task;
use super::watchdog::Heart;
#[cfg(not(all(test, loom)))]
use crate::poller::Notifier;
use crate::stats::LaneStats;

/// A task of a lane.
pub(super) type Task = task::Task<Remote>;

/// A closure that another thread has a lane run. Its argument is the lane's `Handle`, a type that
/// this file does not know.
pub(super) type Call = Box<dyn FnOnce(&dyn Any) + Send>;

/// A message to a lane from another thread.
pub(super) enum Message {
    Wake(Task),
    /// The lane's driver has something to look at between two turns.
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

/// A lane, as other threads see it.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    sender: Sender<Message>,
    notifier: Notifier,
    heart: Heart,
    stats: Arc<LaneStats>,
}

impl Remote {
    pub(super) fn new(sender: Sender<Message>, notifier: impl Into<Notifier>) -> Self {
        Self(Arc::new(Parts {
            sender,
            notifier: notifier.into(),
            heart: Heart::new(),
            stats: Arc::default(),
        }))
    }

    /// Has the lane turn, and its driver look at what it waits for, before the lane sleeps again.
    pub fn rouse(&self) {
        self.send(Message::Rouse);
    }

    pub(super) fn send(&self, message: Message) {
        if self.0.sender.send(message) {
            self.0.notifier.notify();
        }
    }

    /// Whether both are of one lane.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The lane's counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<LaneStats> {
        &self.0.stats
    }

    /// The lane's heart, for a watchdog.
    #[must_use]
    pub fn heart(&self) -> &Heart {
        &self.0.heart
    }

    /// How many refer to the lane's inbox: this, the lane, its tasks and what is said to it.
    #[cfg(all(test, not(feature = "sim")))]
    pub(super) fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}
