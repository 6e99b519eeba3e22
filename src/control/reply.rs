//! The way of an answer, from any thread to any thread.

use std::fmt;

use tokio::sync::oneshot;

/// The way of an answer. Never blocks; usable from any thread.
pub(crate) struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T: Send + 'static> Reply<T> {
    /// A way and the receiving end. The answer is dropped without a receiver.
    pub(super) fn new() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self::to(|answer| drop(sender.send(answer))), receiver)
    }
}

impl<T> Reply<T> {
    /// The answer goes to `to`. A lane calls `to`: no blocking.
    pub(crate) fn to(to: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(to))
    }

    /// Answers.
    pub(crate) fn send(self, answer: T) {
        (self.0)(answer);
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
