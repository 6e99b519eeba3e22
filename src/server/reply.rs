//! The answer to a command, as a value for any thread.

use std::fmt;

/// Sends one answer. The closure must not block: a lane calls it.
pub(crate) struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Reply<T> {
    /// An answer goes to `to`.
    pub(crate) fn to(to: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(to))
    }

    pub(crate) fn send(self, answer: T) {
        (self.0)(answer);
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
