//! The state that all generations of an upstream of a name share.

use super::turns::Turns;
use crate::runtime::Fifo;

/// The turns of the endpoints, and the sessions that wait for room at an endpoint.
#[derive(Debug, Default)]
pub(super) struct OfName {
    pub(super) turns: Turns,
    pub(super) queue: Fifo,
}
