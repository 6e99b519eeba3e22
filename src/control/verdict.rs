//! The verdict on an endpoint: its words, and the keys of an answer.

use serde::Serialize;

/// The verdict on an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No check has decided: sessions choose the endpoint.
    #[default]
    Unknown,
    Up,
    /// The checks fail: no new session chooses the endpoint.
    Down,
    /// Sessions fail: for a time no new session chooses the endpoint.
    Ejected,
}

impl Verdict {
    /// Whether new sessions may choose the endpoint.
    pub(crate) fn is_usable(self) -> bool {
        matches!(self, Self::Unknown | Self::Up)
    }

    /// The word for answers, metrics and the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
        }
    }
}

/// The verdict of the health checks on an endpoint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HealthView {
    /// "up", "down", "ejected", or "unknown" without a check.
    pub(crate) health: &'static str,
    /// Of the last bad check or of the ejection, until the endpoint is up.
    pub(crate) health_reason: Option<String>,
    /// The time since the last change; `None` without checks.
    pub(crate) health_for_ms: Option<u64>,
}

impl Default for HealthView {
    fn default() -> Self {
        Self {
            health: Verdict::Unknown.word(),
            health_reason: None,
            health_for_ms: None,
        }
    }
}
