//! The mistakes of a configuration, and their text for an operator.
//!
//! `file` and the readers report mistakes; the caller of `Config::parse` shows them. The text of
//! each message is in this file or in the `write` of a reader. All text from the file is escaped
//! before a terminal or a log shows it.

use std::error::Error;
use std::fmt;

/// The longest excerpt of a file in an error, in characters. Every correct value fits, and a
/// message stays on a single line.
const EXCERPT_CHARS_MAX: usize = 64;

/// Every mistake in a file, in the order of the lines; never empty.
///
/// Displayed as a line for each mistake, `FILE:LINE: KEY = VALUE: REASON`, without a newline at the
/// end.
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

/// A mistake: its line, the written value and the reason.
///
/// Displayed as `LINE: KEY = VALUE: REASON`, or `LINE:COLUMN: REASON` for a syntax error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The offset in the text, in bytes; the order of the errors.
    pub(super) at: usize,
    /// Counted from 1; of the table's header where a key is missing.
    pub(super) line: usize,
    /// `listener[1].bind`, tables counted from 0; empty where the text is no TOML.
    pub(super) key: String,
    /// The written value, escaped and cut short; `None` for a table or a missing value.
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

/// A value that is allowed but has no effect or a doubtful effect. The configuration is used.
///
/// Displayed as `FILE:LINE: KEY = VALUE: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The name of the file, as in [`ConfigErrors`].
    pub(super) name: String,
    pub(super) error: ConfigError,
}

impl ConfigWarning {
    /// `FILE:LINE`, escaped.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", escape(&self.name), self.error.line)
    }

    /// The written value and the doubt: `KEY = VALUE: REASON`.
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

/// Why a configuration is refused.
///
/// `write` is the remedy, and completes a sentence that begins with "write".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The text is no TOML.
    Syntax {
        /// In characters, counted from 1.
        column: usize,
        /// The parser's message.
        message: String,
    },
    /// Nothing reads this key.
    UnknownKey {
        /// The known key with the most similar spelling.
        nearest: Option<String>,
        /// The known keys of this table.
        known: Vec<&'static str>,
    },
    /// A required key is missing.
    Missing {
        /// The remedy.
        write: &'static str,
    },
    /// Not of the kind wanted.
    Malformed {
        /// The kind, with an article: "an address".
        wanted: &'static str,
        /// The remedy.
        write: String,
    },
    /// Of the kind wanted, but too small or too large.
    OutOfRange {
        /// A word that the key accepts besides the range: "off".
        word: Option<&'static str>,
        /// The smallest value allowed.
        min: String,
        /// The largest value allowed.
        max: String,
        /// Why there is such a limit.
        why: &'static str,
    },
    /// A value that must be unique is in the file already.
    Repeated {
        /// The kind of value: "this name".
        what: &'static str,
        /// The line of the first value.
        line: usize,
    },
    /// A key is in its table already.
    RepeatedKey {
        /// The line of the first key.
        line: usize,
        /// The name of the tables, if a file may have several.
        list: Option<&'static str>,
    },
    /// The referenced table is not in the file.
    Dangling {
        /// The kind of table: "upstream".
        what: &'static str,
        /// The existing name with the most similar spelling.
        nearest: Option<String>,
    },
    /// Well formed, but without a meaning here.
    Senseless {
        /// Why the value has no meaning.
        why: &'static str,
        /// The remedy.
        write: String,
    },
    /// Well formed, but this machine does not have or allow the value.
    Impossible {
        /// What this machine lacks, and the remedy.
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
                write!(f, "the key is on line {line} already; write ")?;
                match list {
                    Some(name) => write!(f, "[[{name}]], in two brackets, for each"),
                    None => f.write_str("the key once"),
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

/// Proof that a mistake was added to the list, so that no reader fails silently.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(pub(super) ());

/// `text` without characters that move a cursor, end a line or hide text.
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

/// The path of a key in the table at `path`, quoted where TOML requires quotes.
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

/// The candidate with the most similar spelling, if any is similar enough.
pub(crate) fn nearest<'c>(
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

/// The remedy for a name that is not among `known`: the nearest name, or else some of the names.
pub(crate) fn nearest_in_words(wanted: &str, known: &[&str]) -> String {
    const SHOWN_MAX: usize = 8;
    match nearest(wanted, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None if known.is_empty() => "there is none".to_owned(),
        None if known.len() <= SHOWN_MAX => format!("there are {}", known.join(", ")),
        None => {
            let more = known.len() - SHOWN_MAX;
            format!(
                "there are {} and {more} more",
                known[..SHOWN_MAX].join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, excerpt, nearest, nearest_in_words};

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

    #[test]
    fn a_remedy_has_the_nearest_name_or_a_few_names() {
        assert_eq!(
            nearest_in_words("wbe", &["web", "app"]),
            "did you mean \"web\"?"
        );
        assert_eq!(nearest_in_words("x", &["web", "app"]), "there are web, app");
        assert_eq!(nearest_in_words("x", &[]), "there is none");
        let many: Vec<String> = (10..30).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let remedy = nearest_in_words("web", &many);
        assert!(remedy.ends_with("16, 17 and 12 more"), "{remedy}");
    }
}
