//! Upstreams: named sets of endpoints that a proxy connects to.
//!
//! `shared` is an upstream of a generation, with a group of atomics for each endpoint (`endpoint`).
//! Endpoints and turns outlive a generation: `known` finds them by name. `choose` picks an
//! endpoint among those whose `admin_state` permits new sessions, `dial` connects to it, `lease`
//! counts the sessions of each endpoint, `log` reports failures. Knows no session and no listener.

mod admin_state;
mod choose;
mod dial;
mod endpoint;
mod known;
mod lease;
mod log;
mod shared;
mod turns;

pub(crate) use self::admin_state::AdminState;
pub(super) use self::dial::{Dialling, FirstBytes};
pub use self::known::KnownUpstreams;
pub(super) use self::lease::Lease;
pub(crate) use self::shared::EndpointState;
pub use self::shared::{Upstream, UpstreamOptions};
