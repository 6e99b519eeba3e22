//! The way of an answer to the control thread.

use tokio::sync::oneshot;

/// The way of an answer. Never blocks; usable from any thread.
#[derive(Debug)]
pub(crate) struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// A way and the receiving end.
    pub(super) fn new() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. The answer is dropped without a receiver.
    pub(crate) fn send(self, answer: T) {
        drop(self.0.send(answer));
    }
}
