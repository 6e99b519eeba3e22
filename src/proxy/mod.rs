//! The services: accepting, echo, and the relay to an upstream.
//!
//! One connection of a client is a session: a task for its opening, if it has one, and then a task
//! that relays. Names no operating system, knows no TOML.

mod accept;
mod accept_point;
mod access;
mod admission;
mod admitted;
mod close;
#[cfg(test)]
mod close_model;
mod deadline;
mod end_reason;
mod ended;
mod handoff;
mod known_stats;
mod limit;
mod listener_context;
mod opening;
mod pump;
mod record;
mod relay;
mod service;
mod session_ids;
mod spare;
#[cfg(test)]
mod tests;
mod upstream;

pub use self::accept::accept;
pub use self::accept_point::AcceptPoint;
pub(crate) use self::access::{AccessFilter, AccessLog, AccessRecord, Ending, LegFacts, Moment};
pub use self::admitted::Admitted;
pub use self::deadline::Timeouts;
#[cfg(test)]
pub(crate) use self::end_reason::EndReason;
pub(crate) use self::handoff::{Delivery, Handed, Handoff};
pub(crate) use self::known_stats::KnownStats;
pub use self::limit::SessionLimit;

pub use self::listener_context::{Access, ListenerContext, ListenerId, SharedListener};
pub use self::service::Service;
pub use self::session_ids::SessionIds;
pub(crate) use self::upstream::{AdminState, EndpointState};
pub use self::upstream::{Balance, EndpointOptions, KnownUpstreams, Upstream, UpstreamOptions};
