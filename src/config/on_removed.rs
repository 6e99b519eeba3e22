//! `on_removed` and `drain_over` of a `[[listener]]` or an `[[upstream]]`: what becomes of sessions
//! when a reload removes the listener, or an endpoint of the upstream.
//!
//! Read by `listener` and `upstream`; carried out by the reload in the server layer.

use std::fmt;
use std::time::Duration;

use super::effective::{Effective, Keys};
use super::section::Section;
use super::units;
use super::value;

/// What becomes of the sessions of a removed listener or a removed endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRemoved {
    /// They last as if nothing were removed.
    Keep,
    /// They are reset at moments that are spread evenly over this time, 1 s to 24 h.
    Drain { over: Duration },
    /// They are reset at once.
    Reset,
}

/// The words, read before the time of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Keep,
    Drain,
    Reset,
}

const WORDS: &[(&str, Word)] = &[
    ("keep", Word::Keep),
    ("drain", Word::Drain),
    ("reset", Word::Reset),
];

/// As for the drain of a stop: a day is the longest that an operator waits.
const DRAIN_MAX: Duration = Duration::from_hours(24);
/// A shorter drain spreads nothing, and "reset" says what is meant.
const DRAIN_MIN: Duration = Duration::from_secs(1);

impl OnRemoved {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self::read_as("on_removed", section)
    }

    /// As [`Self::read`], with this key for the word.
    pub(super) fn read_as(key: &'static str, section: &mut Section<'_>) -> Self {
        let word = value::word("a rule for sessions", WORDS);
        let word = section.optional(key, Word::Keep, word);
        let over = value::duration(
            DRAIN_MIN..=DRAIN_MAX,
            "less is a reset, and a drain of days does not end by itself",
        );
        let over = section.optional("drain_over", Duration::from_mins(10), over);
        match word {
            Word::Keep => Self::Keep,
            Word::Drain => Self::Drain { over },
            Word::Reset => Self::Reset,
        }
    }

    /// Adds the keys to those of the table.
    #[must_use]
    pub(super) fn write(self, keys: Keys) -> Keys {
        self.write_as("on_removed", keys)
    }

    /// As [`Self::write`], with this key for the word.
    #[must_use]
    pub(super) fn write_as(self, key: &'static str, keys: Keys) -> Keys {
        let (word, over) = match self {
            Self::Keep => (Word::Keep, None),
            Self::Drain { over } => (Word::Drain, Some(over)),
            Self::Reset => (Word::Reset, None),
        };
        let keys = keys.on_reload(key, Effective::text(value::word_of(WORDS, &word)));
        match over {
            Some(over) => keys.on_reload("drain_over", Effective::duration(over)),
            None => keys,
        }
    }
}

/// Completes a sentence about sessions: "they …".
impl fmt::Display for OnRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("continue"),
            Self::Drain { over } => write!(f, "are reset over {}", units::show(*over)),
            Self::Reset => f.write_str("are reset"),
        }
    }
}
