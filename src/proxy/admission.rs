//! The part of a session in its listener's limit and in its lane's session count, from the
//! session's begin to its end.

use std::rc::Rc;
use std::sync::Arc;

use super::limit::Permit;
use super::listener_context::ListenerContext;
use crate::runtime::Release;

/// The permit of a session that has begun. [`Admission::end`] returns the permit to the limit as
/// soon as the session's descriptors are closed. The limit is found through the listener context,
/// which every session needs anyway, so the permit costs an idle session no memory.
#[derive(Debug)]
pub(super) struct Admission {
    listener_context: Rc<ListenerContext>,
}

impl Admission {
    /// A session begins.
    pub(super) fn new(listener_context: Rc<ListenerContext>, permit: Permit) -> Self {
        debug_assert!(permit.is_of(&listener_context.limit), "of this limit");
        permit.keep();
        listener_context.lane.stats().begun.add(1);
        listener_context.stats.begun.add(1);
        Self { listener_context }
    }

    pub(super) fn listener_context(&self) -> &ListenerContext {
        &self.listener_context
    }

    /// The listener context for another owner.
    pub(super) fn share(&self) -> Rc<ListenerContext> {
        Rc::clone(&self.listener_context)
    }
}

impl Admission {
    /// The session ends, and returns its `place` at an endpoint. Called once, by the drop of the
    /// record.
    pub(super) fn end(&self, place: Option<Arc<dyn Release>>) {
        let lane = &self.listener_context.lane;
        lane.stats().ended.add(1);
        let limit = Arc::clone(&self.listener_context.limit);
        lane.release_after_close(limit);
        place
            .into_iter()
            .for_each(|place| lane.release_place_after_close(place));
    }
}
