//! The clock of the view, read in one place.

use std::time::Instant;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for lanes; this program has none"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
