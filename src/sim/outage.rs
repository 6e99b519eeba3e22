//! The planned changes of endpoints' states, and the times without new sessions that they make.

use std::net::SocketAddr;

use super::plan::{Plan, part};
use crate::proxy::AdminState;
use crate::sys::sim::{Fault, MILLI, Random};

/// A planned change: an endpoint of the upstream, by its place in the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) after: u64,
    pub(super) endpoint: usize,
    pub(super) state: AdminState,
}

/// The changes of a world, in order.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) Vec<Change>);

/// A time without new sessions for an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) server: usize,
    pub(super) endpoint: SocketAddr,
    pub(super) from: u64,
    /// `None` while it lasts.
    pub(super) until: Option<u64>,
}

impl Changes {
    pub(super) fn of(plan: &Plan) -> Self {
        if !plan.faults.has(Fault::EndpointsOut) {
            return Self::default();
        }
        let mut random = part(plan.seed, 9_998);
        let mut all: Vec<Change> = (0..random.between(1, 6))
            .map(|_| Change::draw(&mut random))
            .collect();
        all.sort_by_key(|change| change.after);
        Self(all)
    }

    /// When the next change is due, after the begin of the world.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.first().map(|change| change.after)
    }
}

impl Change {
    fn draw(random: &mut Random) -> Self {
        let states = [
            AdminState::Drain,
            AdminState::Maintenance,
            AdminState::Ready,
        ];
        Self {
            after: random.between(1, 4_000) as u64 * MILLI,
            endpoint: random.below(2),
            state: random.pick(&states),
        }
    }
}
