//! The planned changes of endpoints, by an operator and by health checks, and the times without new
//! sessions that they make.

use std::net::SocketAddr;

use super::plan::{Plan, part};
use crate::proxy::AdminState;
use crate::sys::sim::{Fault, MILLI, Random};

/// A planned change: an endpoint of the upstream, by its place in the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) after: u64,
    pub(super) endpoint: usize,
    pub(super) to: To,
}

/// What an endpoint changes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// A state of the operator.
    State(AdminState),
    /// A verdict of the health checks: whether sessions may choose the endpoint.
    Usable(bool),
}

/// Who takes an endpoint out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Operator,
    Health,
}

impl To {
    pub(super) fn cause(self) -> Cause {
        match self {
            Self::State(_) => Cause::Operator,
            Self::Usable(_) => Cause::Health,
        }
    }

    /// Whether sessions may choose the endpoint.
    pub(super) fn lets_in(self) -> bool {
        matches!(self, Self::State(AdminState::Ready) | Self::Usable(true))
    }
}

/// The changes of a world, in order.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) Vec<Change>);

/// A time without new sessions for an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) server: usize,
    pub(super) endpoint: SocketAddr,
    pub(super) cause: Cause,
    pub(super) from: u64,
    /// `None` while it lasts.
    pub(super) until: Option<u64>,
}

impl Changes {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut all = Vec::new();
        if plan.faults.has(Fault::EndpointsOut) {
            let mut random = part(plan.seed, 9_998);
            let count = random.between(1, 6);
            all.extend((0..count).map(|_| Change::of_operator(&mut random)));
        }
        if plan.faults.has(Fault::VerdictsFlap) {
            let mut random = part(plan.seed, 9_997);
            let count = random.between(2, 12);
            all.extend((0..count).map(|_| Change::of_health(&mut random)));
        }
        all.sort_by_key(|change| change.after);
        Self(all)
    }

    /// When the next change is due, after the begin of the world.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.first().map(|change| change.after)
    }
}

impl Change {
    fn of_operator(random: &mut Random) -> Self {
        let states = [
            AdminState::Drain,
            AdminState::Maintenance,
            AdminState::Ready,
        ];
        let after = random.between(1, 4_000) as u64 * MILLI;
        let endpoint = random.below(2);
        let to = To::State(random.pick(&states));
        Self {
            after,
            endpoint,
            to,
        }
    }

    fn of_health(random: &mut Random) -> Self {
        Self {
            after: random.between(1, 4_000) as u64 * MILLI,
            endpoint: random.below(2),
            to: To::Usable(random.one_in(2)),
        }
    }
}
