//! The share of referring words ("it", "that", "who", "others") in the comments of the product.
//!
//! A reader of "it gives them back to the one that took them" must look up five nouns. The share
//! over `src/`, `bench/src/` and `top/src/` may fall and never grow: lower `PER_MILLE_MAX` with the
//! share.

use std::fs;
use std::path::Path;

use crate::source::Source;
use crate::tracked;

/// The largest share of referring words, in thousandths of all words in comments.
const PER_MILLE_MAX: usize = 40;
/// How far below `PER_MILLE_MAX` the share may be before the test asks for a lower ceiling.
const SLACK_PER_MILLE: usize = 2;
const WORST_FILES: usize = 10;

const TREES: &[&str] = &["src/", "bench/src/", "top/src/"];

const REFERRING: &[&str] = &[
    "another",
    "anybody",
    "everybody",
    "it",
    "its",
    "itself",
    "nobody",
    "one",
    "ones",
    "other",
    "others",
    "somebody",
    "that",
    "their",
    "them",
    "themselves",
    "they",
    "those",
    "what",
    "whatever",
    "which",
    "who",
    "whoever",
    "whom",
    "whose",
];

/// The words in comments of one file or of several.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) words: usize,
    pub(crate) referring: usize,
}

impl Count {
    pub(crate) fn of(source: &Source) -> Self {
        let mut count = Self::default();
        let mut in_block = false;
        for line in &source.comments {
            for (at, text) in line.split("```").enumerate() {
                in_block ^= at > 0;
                if !in_block {
                    count.add_line(text);
                }
            }
        }
        count
    }

    /// Counts one line of prose; text between two backticks is code and does not count.
    fn add_line(&mut self, line: &str) {
        let parts: Vec<&str> = line.split('`').collect();
        for (at, text) in parts.iter().enumerate() {
            let unpaired = at + 1 == parts.len();
            if at % 2 == 1 && !unpaired {
                continue;
            }
            let is_part = |c: char| c.is_ascii_alphabetic() || c == '\'';
            let words = text.split(|c| !is_part(c)).filter(|word| !word.is_empty());
            for word in words {
                self.words += 1;
                let word = word.to_ascii_lowercase();
                self.referring += usize::from(REFERRING.contains(&word.as_str()));
            }
        }
    }

    fn exceeds(self, per_mille: usize) -> bool {
        self.referring * 1000 > self.words * per_mille
    }

    fn percent(self) -> f64 {
        100.0 * self.referring as f64 / self.words.max(1) as f64
    }
}

#[test]
fn the_share_of_referring_words_does_not_grow() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for path in tracked(root) {
        let counted = path.ends_with(".rs") && TREES.iter().any(|tree| path.starts_with(tree));
        // A file that is deleted and not yet committed cannot be read.
        let Some(text) = fs::read_to_string(root.join(&path))
            .ok()
            .filter(|_| counted)
        else {
            continue;
        };
        let count = Count::of(&Source::new(&path, &text));
        files.push((path, count));
    }
    assert!(!files.is_empty(), "no source file in {TREES:?}");
    if let Err(error) = judge(files, PER_MILLE_MAX, SLACK_PER_MILLE) {
        panic!("\n{error}");
    }
}

pub(crate) fn judge(
    mut files: Vec<(String, Count)>,
    per_mille_max: usize,
    slack: usize,
) -> Result<(), String> {
    let mut all = Count::default();
    for (_, count) in &files {
        all.words += count.words;
        all.referring += count.referring;
    }
    let now = format!(
        "{:.1} % of the words in comments of {} refer to a noun elsewhere",
        all.percent(),
        TREES.join(" and "),
    );
    let ceiling = per_mille_max as f64 / 10.0;
    if !all.exceeds(per_mille_max.saturating_sub(slack)) {
        return Err(format!(
            "{now}, far below {ceiling} %: lower PER_MILLE_MAX in tests/tidy/words.rs"
        ));
    }
    if !all.exceeds(per_mille_max) {
        return Ok(());
    }
    // The worst file is the one with the most words to repair, not the highest share of a few.
    let excess =
        |count: &Count| (count.referring * 1000).saturating_sub(count.words * per_mille_max);
    files.sort_by_key(|(_, count)| std::cmp::Reverse(excess(count)));
    let worst: Vec<String> = files
        .iter()
        .take(WORST_FILES)
        .map(|(path, count)| {
            format!(
                "{path}: {:.1} %, {} of {}",
                count.percent(),
                count.referring,
                count.words
            )
        })
        .collect();
    Err(format!(
        "{now}, more than {ceiling} %: name the nouns; the worst files are\n{}",
        worst.join("\n"),
    ))
}
