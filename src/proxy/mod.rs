//! The services: accepting, echo, and the relay to an upstream.
//!
//! One connection of a client is a session, and a session is one task. Names no operating system,
//! knows no TOML.

mod accept;
mod close;
#[cfg(test)]
mod close_model;
mod deadline;
mod endpoint;
mod handoff;
mod limit;
mod pump;
mod record;
mod relay;
mod session;
mod spare;
mod upstream;

pub use self::accept::{ListenerContext, accept};
pub use self::deadline::Timeouts;
pub use self::handoff::{Allowance, Handoff, Services, keep};
pub use self::limit::{Permit, SessionLimit};
pub use self::session::Service;
pub use self::spare::Spares;
pub use self::upstream::{Upstream, UpstreamOptions};
