//! The steps of a dialogue.

use crate::config::escape;

/// The longest answer.
pub(in crate::control::health) const ANSWER_BYTES_MAX: usize = 16 << 10;
/// The part of an answer in a reason.
const EXCERPT_BYTES: usize = 80;

/// What a probe does next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::control::health) enum Step {
    /// Waits for more of the answer.
    More,
    /// Sends these bytes. The answer goes on behind its first `taken` bytes.
    Send { bytes: Vec<u8>, taken: usize },
    /// The endpoint is good. The farewell goes out before the FIN.
    Good { farewell: &'static [u8] },
    /// The endpoint is bad, for this reason.
    Bad(String),
}

impl Step {
    /// Good, and nothing to say.
    pub(super) const GOOD: Self = Self::Good { farewell: &[] };
}

/// The begin of an answer, in quotes, without characters that a terminal would obey.
pub(super) fn excerpt(answer: &[u8]) -> String {
    let cut = answer.get(..EXCERPT_BYTES);
    let shown = escape(&String::from_utf8_lossy(cut.unwrap_or(answer)));
    let rest = if cut.is_some() { "..." } else { "" };
    format!("\"{shown}{rest}\"")
}
