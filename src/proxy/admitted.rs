//! An accepted connection with a permit, as accept loops deliver it.
//!
//! Belongs to no lane yet, so that a hand-over can choose the lane.

use std::rc::Rc;

use super::admission::Admission;
use super::limit::Permit;
use super::listener_context::ListenerContext;
use super::opening::start;
use super::record::Record;
use super::spare::Reserved;
use crate::net::Accepted;
use crate::runtime::Time;

/// A connection that may become a session, on any lane. Drop resets the connection and returns the
/// permit.
#[derive(Debug)]
pub struct Admitted {
    pub(super) connection: Accepted,
    /// When the accept loop had the connection.
    pub(super) accepted: Time,
    pub(super) permit: Permit,
    pub(super) reserved: Option<Reserved>,
}

impl Admitted {
    /// Starts the session on the lane of this context.
    pub fn start(self, context: &Rc<ListenerContext>) {
        let (stream, peer) = self.connection.attach(&context.lane);
        let admission = Admission::new(Rc::clone(context), self.permit);
        let record = Record::new(admission, peer, self.accepted);
        start(stream, record, self.reserved);
    }
}
