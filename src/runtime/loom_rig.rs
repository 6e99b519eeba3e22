//! What the loom models share: the bound of the search, and a notifier that loom can see.

use std::sync::Arc;

use loom::sync::Notify;

use crate::poller;

/// Every interleaving with at most two preemptions: enough for nearly all races of so few steps.
/// Without a bound the larger models take hours.
pub(super) fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// A notifier in the models: ends the present wait, or else the next.
#[derive(Clone, Debug)]
pub(super) struct Notifier(Arc<Notify>);

impl Notifier {
    pub(super) fn new() -> Self {
        Self(Arc::new(Notify::new()))
    }

    pub(super) fn wait(&self) {
        self.0.wait();
    }

    pub(super) fn notify(&self) {
        self.0.notify();
    }
}

impl From<poller::Notifier> for Notifier {
    fn from(_: poller::Notifier) -> Self {
        Self::new()
    }
}
