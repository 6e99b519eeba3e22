//! The choice of the lane for a connection, between the accept loop and the start of a session. An
//! accept loop delivers connections and knows no other lane.
//!
//! Where the system lets a single socket listen on a port, lane 0 accepts for all lanes, and the
//! lane with the fewest sessions serves the next connection. Elsewhere the kernel chooses a lane by
//! a hash, which may put eight lasting connections on one lane of two. So the busier lane hands
//! connections over, as often as the comparison costs next to nothing.
//!
//! A connection travels in the mailbox of its new lane. A stopping lane waits until every accept
//! loop has ended, so no connection is lost on the way.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::Duration;

use super::admitted::Admitted;
use super::listener_context::{ListenerContext, SharedListener};
use crate::runtime::{MailSender, Time};

/// Connections that a lane may compare and hand over in a row, and the time to earn one more. A
/// look at all lanes costs some 100 ns a lane, a message 2 to 4 us: within 1 % of a lane. At higher
/// rates the kernel's hash is even enough.
const BURST: u32 = 64;
const EARNED_EVERY: Duration = Duration::from_millis(1);

/// The lanes between which accept loops hand connections over.
#[derive(Debug)]
pub(crate) struct Handoff {
    lanes: Vec<Destination>,
    /// Accept loops of all lanes, including accept loops about to start.
    accepting: AtomicUsize,
}

/// A lane as a destination of connections.
#[derive(Debug)]
struct Destination {
    mail: MailSender<Handed>,
    /// Connections on the way.
    in_transit: AtomicUsize,
}

/// A connection on the way to another lane.
#[derive(Debug)]
pub(crate) struct Handed {
    listener: Arc<SharedListener>,
    admitted: Admitted,
    transit: InTransit,
}

/// Counts a connection as being on the way, until dropped.
#[derive(Debug)]
struct InTransit {
    handoff: Arc<Handoff>,
    to: usize,
}

/// How many more connections one accept loop may compare with other lanes.
#[derive(Debug, Default)]
struct Allowance {
    used: Cell<u32>,
    since: Cell<Time>,
}

/// Delivers the connections of an accept loop, on its own lane or to another lane. Dropped at the
/// end of the accept loop.
#[derive(Debug)]
pub(crate) struct Delivery {
    handoff: Arc<Handoff>,
    /// The kernel spreads the connections of this port over the lanes as well.
    kernel_balances: bool,
    allowance: Allowance,
}

impl Handoff {
    /// Between the lanes of these mailboxes. No accept loop is expected yet.
    #[must_use]
    pub(crate) fn over(lanes: Vec<MailSender<Handed>>) -> Arc<Self> {
        let destination = |mail| Destination {
            mail,
            in_transit: AtomicUsize::new(0),
        };
        Arc::new(Self {
            lanes: lanes.into_iter().map(destination).collect(),
            accepting: AtomicUsize::new(0),
        })
    }

    /// Counts accept loops before the start. Each has a [`Delivery`].
    pub(crate) fn expect(&self, accept_loops: usize) {
        self.accepting.fetch_add(accept_loops, AcqRel);
    }

    /// Whether every accept loop has ended. All handed-over connections are in mailboxes by then.
    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        self.accept_loops() == 0
    }

    /// The number of accept loops of all lanes that have not ended.
    #[must_use]
    pub(crate) fn accept_loops(&self) -> usize {
        self.accepting.load(Acquire)
    }

    /// The number of lanes.
    #[must_use]
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The number of connections on the way to a lane.
    #[must_use]
    pub(crate) fn in_transit(&self, lane: usize) -> usize {
        self.lanes[lane].in_transit.load(Acquire)
    }

    /// The lane with the fewest sessions; `own` if no lane has fewer.
    fn lane_for(&self, own: usize) -> usize {
        let sessions = |&lane: &usize| self.lanes[lane].sessions();
        let fewest = (0..self.lanes.len()).min_by_key(sessions).unwrap_or(own);
        let is_better = sessions(&fewest) < sessions(&own);
        if is_better { fewest } else { own }
    }

    /// Hands a connection of this listener to a lane.
    fn hand(self: &Arc<Self>, to: usize, listener: Arc<SharedListener>, admitted: Admitted) {
        self.lanes[to].in_transit.fetch_add(1, AcqRel);
        let transit = InTransit {
            handoff: Arc::clone(self),
            to,
        };
        self.lanes[to].mail.send(Handed {
            listener,
            admitted,
            transit,
        });
    }
}

impl Destination {
    /// Sessions of the lane, including connections on the way to it.
    fn sessions(&self) -> u64 {
        let in_transit = self.in_transit.load(Acquire) as u64;
        in_transit + self.mail.lane().stats().sessions()
    }
}

impl Handed {
    /// The listener of the connection.
    #[must_use]
    pub(crate) fn listener(&self) -> &Arc<SharedListener> {
        &self.listener
    }

    /// Starts the session on the receiving lane, with this lane's context of the same listener.
    pub(crate) fn start(self, context: &Rc<ListenerContext>) {
        debug_assert_eq!(context.id, self.listener.id, "its own listener's context");
        self.admitted.start(context);
        // Counted twice for a moment rather than not at all.
        drop(self.transit);
    }
}

impl Drop for InTransit {
    fn drop(&mut self) {
        self.handoff.lanes[self.to].in_transit.fetch_sub(1, AcqRel);
    }
}

impl Delivery {
    /// For an accept loop counted by [`Handoff::expect`].
    #[must_use]
    pub(crate) fn new(handoff: Arc<Handoff>, kernel_balances: bool) -> Self {
        Self {
            handoff,
            kernel_balances,
            allowance: Allowance::default(),
        }
    }

    /// Starts the session on this lane or hands the connection over.
    pub(crate) fn deliver(&self, context: &Rc<ListenerContext>, admitted: Admitted) {
        let own = context.lane_index;
        let compares = self.handoff.lanes.len() > 1
            && (!self.kernel_balances || self.allowance.take(context.lane.now()));
        let to = if compares {
            self.handoff.lane_for(own)
        } else {
            own
        };
        if to == own {
            admitted.start(context);
        } else {
            context.lane.record_hand_over(to);
            self.handoff.hand(to, Arc::clone(&context.shared), admitted);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.handoff.accepting.fetch_sub(1, AcqRel);
        // A stopping lane may have waited for this accept loop.
        for lane in &self.handoff.lanes {
            lane.mail.lane().rouse();
        }
    }
}

impl Allowance {
    fn take(&self, now: Time) -> bool {
        let earned = now.since(self.since.get()).as_millis() / EARNED_EVERY.as_millis();
        let mut used = self.used.get();
        if earned > 0 {
            self.since.set(now);
            used = used.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        }
        let may = used < BURST;
        self.used.set(used + u32::from(may));
        may
    }
}
