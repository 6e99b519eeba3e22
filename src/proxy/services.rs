//! The listener contexts that a lane keeps, for connections that another lane hands to it.

use std::rc::Rc;

use super::listener_context::ListenerContext;
use crate::runtime::Handle;

/// A lane's own listener contexts, by their listeners' place in the configuration: what it does
/// with the connections that it is handed.
#[derive(Debug)]
pub struct Services(pub Vec<Rc<ListenerContext>>);

/// Keeps the lane's listener contexts for what it is handed.
pub fn keep(lane: &Handle, services: Services) {
    lane.keep(Rc::new(services));
}
