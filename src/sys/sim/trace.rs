//! The trace of events: a hash of all events, and the text of the last events.

use std::collections::VecDeque;
use std::fmt;

/// How many words are kept.
const KEPT: usize = 1_000_000;

/// The trace of a world: equal for two runs of the same seed.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    /// Whether to keep the text of events.
    pub(crate) verbose: bool,
    words: VecDeque<String>,
}

impl Trace {
    /// Adds an event: numbers to the hash, and text if kept.
    pub(crate) fn note(&mut self, what: u64, words: impl FnOnce() -> String) {
        // FNV with a rotation: cheap, and every bit counts.
        self.hash = (self.hash.rotate_left(5) ^ what).wrapping_mul(0x0100_0000_01B3);
        if self.verbose {
            self.words_only(words());
        }
    }

    fn words_only(&mut self, words: String) {
        if self.words.len() == KEPT {
            self.words.pop_front();
        }
        self.words.push_back(words);
    }

    /// Adds words only.
    pub(crate) fn say(&mut self, words: impl fmt::Display) {
        if self.verbose {
            self.words_only(words.to_string());
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }
}
