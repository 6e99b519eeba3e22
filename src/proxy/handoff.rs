//! Which lane gets a connection. Where the system gives a port to one socket only, one lane accepts
//! for all and the lane with the fewest sessions gets the next. Elsewhere the kernel chooses by a
//! hash, which may give eight lasting connections to one lane of two: a lane that has more sessions
//! than another hands a connection over, as often as that costs next to nothing.
//!
//! The accepting lane hands a connection over as a message. A lane that stops waits until nobody
//! hands over any more, so that none is lost.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::Duration;

use crate::runtime::{Handle, Remote, Time};

/// Connections that a lane may compare and hand over in a row, and the time that earns one more. To
/// look at all lanes costs some 100 ns each, a message 2 to 4 us: within 1 % of a lane. At higher
/// rates the hash is even enough.
const BURST: u32 = 64;
const EARNED_EVERY: Duration = Duration::from_millis(1);

/// All lanes, as the accepting one sees them.
#[derive(Debug)]
pub struct Handoff {
    lanes: Vec<Place>,
    /// Accept loops that have not ended.
    accepting: AtomicUsize,
    /// The kernel spreads them over the lanes as well.
    kernel_balances: bool,
}

/// How many more connections one accept loop may compare with other lanes.
#[derive(Debug, Default)]
pub struct Allowance {
    used: Cell<u32>,
    since: Cell<Time>,
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

#[derive(Debug)]
struct Place {
    remote: Remote,
    /// Connections handed over that have not arrived.
    in_transit: AtomicUsize,
}

impl Handoff {
    /// Over these lanes, until that many accept loops have ended. `kernel_balances` says that the
    /// kernel gives each lane a share.
    #[must_use]
    pub fn over(lanes: Vec<Remote>, accepting: usize, kernel_balances: bool) -> Arc<Self> {
        let place = |remote| Place {
            remote,
            in_transit: AtomicUsize::new(0),
        };
        Arc::new(Self {
            lanes: lanes.into_iter().map(place).collect(),
            accepting: AtomicUsize::new(accepting),
            kernel_balances,
        })
    }

    /// Whether nobody hands over any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.accepting.load(Acquire) == 0
    }

    /// How many connections handed to a lane have not arrived there.
    #[must_use]
    pub fn in_transit(&self, lane: usize) -> usize {
        self.lanes[lane].in_transit.load(Acquire)
    }

    /// The lane that a connection which lane `own` has accepted is to be handed to; `None` if it
    /// stays.
    pub(super) fn lane_for(&self, own: usize, allowance: &Allowance, now: Time) -> Option<usize> {
        if self.kernel_balances && !allowance.take(now) {
            return None;
        }
        let sessions = |&lane: &usize| self.lanes[lane].sessions();
        let fewest = (0..self.lanes.len()).min_by_key(sessions)?;
        let is_better = sessions(&fewest) < sessions(&own);
        (is_better || !self.kernel_balances).then_some(fewest)
    }

    /// Hands a connection to a lane, which runs `begin` to start its session.
    pub(super) fn hand(self: &Arc<Self>, to: usize, begin: impl FnOnce(&Handle) + Send + 'static) {
        self.lanes[to].in_transit.fetch_add(1, AcqRel);
        let handoff = Arc::clone(self);
        self.lanes[to].remote.call(move |lane| {
            begin(lane);
            // Afterwards: until then it is counted twice rather than not at all.
            handoff.lanes[to].in_transit.fetch_sub(1, AcqRel);
        });
    }

    /// An accept loop has ended.
    pub(super) fn end(&self) {
        self.accepting.fetch_sub(1, AcqRel);
        for lane in &self.lanes {
            lane.remote.call(|_| {});
        }
    }
}

impl Place {
    /// Sessions of the lane, those on their way to it included.
    fn sessions(&self) -> u64 {
        let in_transit = self.in_transit.load(Acquire) as u64;
        in_transit + self.remote.stats().sessions()
    }
}
