//! Upstreams: named sets of endpoints that a proxy connects to.
//!
//! `shared` is an upstream of a generation, with a group of atomics for each endpoint (`endpoint`).
//! Endpoints and turns outlive a generation: `known` finds both by name. `choose` picks a usable
//! endpoint of the first `level` with usable endpoints, by a method of `balance`, and makes a
//! `claim`. `dial` connects, a `lease` keeps the session counted, `log` reports failures. Knows no
//! session and no listener.

mod admin_state;
mod balance;
mod choose;
mod claim;
mod dial;
mod endpoint;
mod known;
mod lease;
mod level;
mod log;
mod of_name;
mod options;
mod queue;
mod shared;
mod turns;
mod usable;

pub(crate) use self::admin_state::AdminState;
pub use self::balance::Balance;
pub(super) use self::choose::{Choice, Seeker};
pub(super) use self::claim::Claim;
pub(super) use self::dial::{Dialling, FirstBytes};
pub use self::known::KnownUpstreams;
pub(super) use self::lease::Lease;
pub use self::options::{EndpointOptions, UpstreamOptions};
pub(crate) use self::shared::EndpointState;
pub use self::shared::Upstream;
