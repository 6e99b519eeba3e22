//! A number with one writing thread and any number of readers.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writing thread and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds, without a locked instruction; for the writing thread only.
    pub fn add(&self, n: u64) {
        self.0
            .store(self.value().wrapping_add(n), Ordering::Relaxed);
    }

    /// Raises the value to `n` if it is lower, as [`Counter::add`] does.
    pub fn raise_to(&self, n: u64) {
        self.0.store(self.value().max(n), Ordering::Relaxed);
    }

    /// Sets the value; for the writing thread only.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
