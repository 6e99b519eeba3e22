//! How long a script waits for a condition, on the machine's kernel and on a simulated kernel.

use std::time::Duration;

use crate::poller::Wait;
#[cfg(feature = "sim")]
use crate::sys::sim;
use crate::sys::{self, Time};

/// Long enough for the slowest machine, short enough to notice a hang.
const PATIENCE: Duration = Duration::from_secs(15);
/// Interval between checks of a condition without a completion, after `LOOKS` immediate checks.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 20;
/// Turns of the poller after which nothing more happens without the kernel. No poller needs as many
/// turns between an event and its answer, late completions included.
#[cfg(feature = "sim")]
const IDLE_TURNS: u32 = 32;

/// The kernel, without its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Real,
    #[cfg(feature = "sim")]
    Simulated,
}

/// A bounded wait for a condition.
#[derive(Debug)]
pub(super) struct Patience {
    kind: Kind,
    deadline: Time,
    looks: u32,
}

impl Patience {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            deadline: sys::now() + PATIENCE,
            looks: 0,
        }
    }

    /// Lets the kernel progress; returns the poller's next wait, or `None` at the end of patience.
    pub(super) fn pass(&mut self) -> Option<Wait> {
        self.looks += 1;
        match self.kind {
            Kind::Real if self.looks <= LOOKS => Some(Wait::NOT),
            Kind::Real => (sys::now() < self.deadline).then_some(Wait {
                spin: Duration::ZERO,
                timeout: Some(LOOK),
            }),
            #[cfg(feature = "sim")]
            Kind::Simulated => self.let_happen().then_some(Wait::NOT),
        }
    }

    /// Runs the simulated kernel's next event; advances the time when the poller has nothing to do.
    #[cfg(feature = "sim")]
    fn let_happen(&mut self) -> bool {
        sim::with(|kernel| {
            if kernel.step() {
                self.looks = 0;
                return true;
            }
            if self.looks < IDLE_TURNS {
                return true;
            }
            let Some(next) = kernel.next_at() else {
                return false;
            };
            kernel.now = kernel.now.max(next);
            self.looks = 0;
            kernel.step()
        })
    }
}
