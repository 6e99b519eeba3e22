//! What can be wrong with a configuration, and the words an operator reads about it.
//!
//! Written by `file` and the readers, read by whoever called `Config::parse`. Every message the
//! configuration can give has its text in this file or in the `write` of the reader that gives
//! it; nothing of the file reaches a terminal or a log unescaped.

use std::error::Error;
use std::fmt;

/// The longest excerpt of a file that an error quotes, in characters: enough for every value
/// that is right, short enough that a message stays on one line.
const EXCERPT_CHARS_MAX: usize = 64;

/// Every mistake in one file, in the order of its lines; never empty.
///
/// Displayed as one line for each mistake, `FILE:LINE: KEY = VALUE: REASON`, without a newline at
/// the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    name: String,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// # Panics
    /// Without an error: a refusal has a reason.
    pub(super) fn new(name: &str, mut errors: Vec<ConfigError>) -> Self {
        assert!(!errors.is_empty(), "a refusal has a reason");
        errors.sort_by_key(|error| error.at);
        Self {
            name: name.to_owned(),
            errors,
        }
    }

    /// The mistakes, in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{error}", escape(&self.name))?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// One mistake: where it stands, what is written there, and why it is refused.
///
/// Displayed as `LINE: KEY = VALUE: REASON`, or `LINE:COLUMN: REASON` where the text is no TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The offset in the text, in bytes; the order of the errors.
    pub(super) at: usize,
    /// Counted from 1; of the table's header where a key is missing.
    pub(super) line: usize,
    /// `listener[1].bind`, tables counted from 0; empty where the text is no TOML.
    pub(super) key: String,
    /// As written, escaped and cut short; `None` where there is no one value to show.
    pub(super) value: Option<String>,
    pub(super) reason: Reason,
}

impl ConfigError {
    /// The line it stands on, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The key as a path, for example `listener[1].bind`; empty where the text is no TOML.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Why it is refused.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// `KEY = VALUE: REASON`, without the place.
    fn text(&self) -> String {
        match (self.key.as_str(), &self.value) {
            ("", _) => self.reason.to_string(),
            (key, Some(value)) => format!("{key} = {value}: {}", self.reason),
            (key, None) => format!("{key}: {}", self.reason),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.line)?;
        if let Reason::Syntax { column, .. } = self.reason {
            write!(f, "{column}:")?;
        }
        write!(f, " {}", self.text())
    }
}

impl Error for ConfigError {}

/// What is allowed and cannot be meant; the configuration is used all the same.
///
/// Displayed as `FILE:LINE: KEY = VALUE: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The name of the file, as in [`ConfigErrors`].
    pub(super) name: String,
    pub(super) error: ConfigError,
}

impl ConfigWarning {
    /// Where it stands: `FILE:LINE`, escaped.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", escape(&self.name), self.error.line)
    }

    /// What stands there and what is doubtful about it: `KEY = VALUE: REASON`.
    #[must_use]
    pub fn text(&self) -> String {
        self.error.text()
    }
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.text())
    }
}

/// Why a piece of a configuration is refused.
///
/// `write` says what would be right, and completes a sentence that begins with "write".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The text is no TOML.
    Syntax {
        /// In characters, counted from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// Nothing reads this key.
    UnknownKey {
        /// The known key that is spelled most alike, if one is.
        nearest: Option<String>,
        /// The keys that are known in this table.
        known: Vec<&'static str>,
    },
    /// A key that has no default is not there.
    Missing {
        /// What would be right.
        write: &'static str,
    },
    /// Not of the kind wanted.
    Malformed {
        /// The kind, with its article: "an address".
        wanted: &'static str,
        /// What would be right.
        write: String,
    },
    /// Of the kind wanted, but too small or too large.
    OutOfRange {
        /// The word that would be right too, if there is one: "off".
        word: Option<&'static str>,
        /// The smallest value allowed.
        min: String,
        /// The largest value allowed.
        max: String,
        /// Why there is such a limit.
        why: &'static str,
    },
    /// What must be unique stands in the file before.
    Repeated {
        /// What must be unique: "this name".
        what: &'static str,
        /// The line of the first one.
        line: usize,
    },
    /// TOML has a key once in a table, and this one is there before.
    RepeatedKey {
        /// The line of the first one.
        line: usize,
        /// The name of the tables of which there may be many.
        list: Option<&'static str>,
    },
    /// Refers to something that is not in the file.
    Dangling {
        /// What is not there: "upstream".
        what: &'static str,
        /// The existing name that is spelled most alike, if one is.
        nearest: Option<String>,
    },
    /// Well formed, but without a meaning here.
    Senseless {
        /// Why it has none.
        why: &'static str,
        /// What would be right.
        write: String,
    },
    /// Right by itself, and this machine does not have it or allow it.
    Impossible {
        /// What this machine says, and what would be right.
        remedy: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { message, .. } => write!(f, "not TOML: {}", escape(message)),
            Self::UnknownKey { nearest, known } => {
                f.write_str("unknown key; ")?;
                match nearest {
                    Some(nearest) => write!(f, "did you mean {nearest}?"),
                    None => write!(f, "known here: {}", known.join(", ")),
                }
            }
            Self::Missing { write } => write!(f, "missing; write {write}"),
            Self::Malformed { wanted, write } => write!(f, "not {wanted}; write {write}"),
            Self::OutOfRange {
                word,
                min,
                max,
                why,
            } => {
                f.write_str("out of range; write ")?;
                if let Some(word) = word {
                    write!(f, "\"{word}\", or ")?;
                }
                write!(f, "{min} to {max}: {why}")
            }
            Self::Repeated { what, line } => {
                write!(f, "{what} is on line {line} already; write another")
            }
            Self::RepeatedKey { line, list } => {
                write!(f, "this key is on line {line} already; write ")?;
                match list {
                    Some(name) => write!(f, "[[{name}]], in two brackets, for each"),
                    None => f.write_str("it once"),
                }
            }
            Self::Dangling { what, nearest } => {
                write!(f, "no {what} has this name; ")?;
                match nearest {
                    Some(nearest) => write!(f, "did you mean \"{nearest}\"?"),
                    None => write!(f, "write the name of an [[{what}]]"),
                }
            }
            Self::Senseless { why, write } => write!(f, "{why}; write {write}"),
            Self::Impossible { remedy } => f.write_str(remedy),
        }
    }
}

/// Proof that a mistake has been put into the list, so that a reader cannot fail in silence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(pub(super) ());

/// `text` without anything that moves a cursor, ends a line or hides a character.
///
/// Quotes and backslashes stay: the text is shown, not read back.
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// [`escape`], cut short after [`EXCERPT_CHARS_MAX`] characters of `text`.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", escape(&text[..end])),
        None => escape(text),
    }
}

/// The path of a key in the table at `path`, quoted where TOML would want it to be.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = match !key.is_empty() && key.chars().all(bare) {
        true => excerpt(key),
        false => format!("\"{}\"", excerpt(key)),
    };
    match path.is_empty() {
        true => key,
        false => format!("{path}.{key}"),
    }
}

/// The candidate that `text` was most likely meant to be.
pub(super) fn nearest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    // No candidate is longer, and the distance takes time in the product of the lengths.
    if text.len() > EXCERPT_CHARS_MAX {
        return None;
    }
    let text = text.to_lowercase();
    // One slip in three letters; a transposition is one slip.
    let slips_max = (text.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&text, &c.to_lowercase()), c))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{escape, excerpt, nearest};

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        assert_eq!(escape("a\nb\r\t\0"), r"a\nb\r\t\0");
        assert_eq!(
            escape("\u{1b}[31m\u{9b}2J\u{7f}"),
            r"\u{1b}[31m\u{9b}2J\u{7f}"
        );
        assert_eq!(
            escape("\u{202e}evil"),
            r"\u{202e}evil",
            "bidirectional override"
        );
        assert_eq!(escape(r#""C:\x" 'é' 日"#), r#""C:\x" 'é' 日"#);
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(excerpt(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(excerpt(&"é".repeat(65)), format!("{}...", "é".repeat(64)));
    }

    #[test]
    fn suggests_only_what_is_near() {
        let keys = ["lanes", "pin", "poller", "idle_spin"];
        let suggested = |text| nearest(text, keys);
        assert_eq!(suggested("lane").as_deref(), Some("lanes"));
        assert_eq!(suggested("LANES").as_deref(), Some("lanes"));
        assert_eq!(suggested("polelr").as_deref(), Some("poller"));
        assert_eq!(suggested("idle-spin").as_deref(), Some("idle_spin"));
        assert_eq!(suggested("threads"), None);
        assert_eq!(suggested(""), None);
        assert_eq!(suggested(&"lanes".repeat(1_000_000)), None);
    }
}
