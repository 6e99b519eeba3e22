//! An accepted connection with a permit, as accept loops deliver it.
//!
//! Belongs to no lane yet, so that a hand-over can choose the lane.

use std::rc::Rc;

use super::limit::Permit;
use super::listener_context::ListenerContext;
use super::opening::start;
use super::spare::Reserved;
use crate::net::Accepted;

/// A connection that may become a session, on any lane. Drop resets the connection and returns the
/// permit.
#[derive(Debug)]
pub struct Admitted {
    pub(super) connection: Accepted,
    pub(super) permit: Permit,
    pub(super) reserved: Option<Reserved>,
}

impl Admitted {
    /// Starts the session on the lane of this context.
    pub fn start(self, context: &Rc<ListenerContext>) {
        let connection = self.connection.attach(&context.lane);
        start(connection, self.permit, context, self.reserved);
    }
}
