//! `[shutdown]`: how long sessions may take to end.
//!
//! Read by `Config::parse`, used by the drain in the server layer.

use std::time::Duration;

use super::effective::{Effective, Keys};
use super::section::Section;
use super::value;

/// The `[shutdown]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shutdown {
    /// How long sessions may go on after the first signal to stop, 0 to 24 h; zero ends them at
    /// once; `shutdown.grace`.
    pub grace: Duration,
}

/// A process that has not drained in a day is not being drained but forgotten.
const GRACE_MAX: Duration = Duration::from_hours(24);

impl Shutdown {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let grace = value::duration(
            Duration::ZERO..=GRACE_MAX,
            "a drain that takes longer than a day does not end by itself",
        );
        Self {
            grace: section.optional("grace", Duration::from_secs(30), grace),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self { grace } = self;
        Keys::default().on_reload("grace", Effective::duration(*grace))
    }
}
