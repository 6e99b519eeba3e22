//! A broken invariant.

use std::fmt;

/// A broken invariant, and the observation.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The invariant's number in ARCHITECTURE.md, or "panic".
    pub invariant: &'static str,
    /// The observation.
    pub what: String,
}

impl Violation {
    pub(super) fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { invariant, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}
