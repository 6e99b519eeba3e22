//! The lanes' side of the access log: the choice of sessions, and the way of the facts to the
//! writing thread.
//!
//! A lane pushes a record of fixed size into the lane's ring. The server layer owns the thread for
//! formatting and writing. Nothing here waits. Switched off, the access log costs a branch a
//! session.

mod log;
mod record;
mod ring;

pub(crate) use self::log::{AccessFilter, AccessLog};
pub(crate) use self::record::{AccessNames, AccessRecord, Ending, LegFacts, Moment};
