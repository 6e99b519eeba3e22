//! Counters by a word of a fixed list.

use super::counter::Counter;

/// A counter for each word of a list, with one writing thread.
#[derive(Debug)]
pub struct PerWord {
    words: &'static [&'static str],
    counts: Box<[Counter]>,
}

impl PerWord {
    /// Zero for each word.
    #[must_use]
    pub fn new(words: &'static [&'static str]) -> Self {
        Self {
            words,
            counts: words.iter().map(|_| Counter::default()).collect(),
        }
    }

    /// Counts the word of this index; for the writing thread only.
    pub fn count(&self, index: usize) {
        self.counts[index].add(1);
    }

    /// The words with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(Counter::value);
        self.words.iter().copied().zip(counts)
    }

    /// All counts together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.counts.iter().map(Counter::value).sum()
    }

    /// The counts of several together; nothing of none.
    pub(crate) fn together<'w>(all: impl Iterator<Item = &'w Self>) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&str, u64)> = Vec::new();
        for one in all {
            if sums.is_empty() {
                sums.extend(one.iter());
            } else {
                debug_assert_eq!(sums.len(), one.words.len(), "of one list of words");
                let counts = one.counts.iter().map(Counter::value);
                sums.iter_mut()
                    .zip(counts)
                    .for_each(|((_, sum), count)| *sum += count);
            }
        }
        sums
    }
}
