//! `[discovery]`: how far the answers of names and of all sources of endpoints are believed.
//!
//! Read by `Config::parse`, used by the main thread, the keeper of the last answer of each source.

use std::time::Duration;

use super::effective::{Effective, Keys};
use super::section::Section;
use super::value;

/// The `[discovery]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Discovery {
    /// How long the start waits for the first answers, 0 to 10 min; `discovery.start_wait`.
    pub start_wait: Duration,
    /// How long a source must have no endpoint before the last endpoints go, 0 to 24 h;
    /// `discovery.empty_after`.
    pub empty_after: Duration,
    /// How long the last answer of a failing source stands, 1 s to 365 days; `None` without
    /// limit; `discovery.stale_for`.
    pub stale_for: Option<Duration>,
}

const DAY: Duration = Duration::from_hours(24);

impl Discovery {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let start_wait = value::duration(
            Duration::ZERO..=Duration::from_mins(10),
            "a service manager gives a start up by then",
        );
        let empty_after = value::duration(
            Duration::ZERO..=DAY,
            "who empties a source for a day means it",
        );
        let stale_for = value::duration(
            Duration::from_secs(1)..=DAY * 365,
            "write \"unlimited\" for a longer time",
        );
        Self {
            start_wait: section.optional("start_wait", Duration::from_secs(5), start_wait),
            empty_after: section.optional("empty_after", Duration::from_secs(30), empty_after),
            stale_for: section.optional("stale_for", None, value::unless("unlimited", stale_for)),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            start_wait,
            empty_after,
            stale_for,
        } = self;
        let stale_for = Effective::unless("unlimited", *stale_for, Effective::duration);
        Keys::default()
            .on_restart("start_wait", Effective::duration(*start_wait))
            .on_reload("empty_after", Effective::duration(*empty_after))
            .on_reload("stale_for", stale_for)
    }
}
