//! Upstreams: named sets of endpoints that a proxy connects to.
//!
//! `shared` is an upstream as all lanes see it, with a group of atomics for each endpoint
//! (`endpoint`). `choose` picks an endpoint, `dial` connects to it, `lease` counts the sessions of
//! each endpoint, `log` reports failures. Knows no session and no listener.

mod choose;
mod dial;
mod endpoint;
mod lease;
mod log;
mod shared;

pub(super) use self::dial::{Dialling, FirstBytes};
pub(super) use self::lease::Lease;
pub use self::shared::{Upstream, UpstreamOptions};
