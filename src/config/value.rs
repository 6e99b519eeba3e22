//! A written value, and the readers that convert a value into its meaning.
//!
//! A reader takes a [`Value`] and returns the meaning, or reports a mistake: `boolean`, `integer`,
//! `duration`, `size`, `percentage`, `word`, `name`. A reader with limits is built from the limits.
//! `unless` adds a word such as "off" to a reader. Readers for a single concern (addresses, lanes)
//! are in the file of that concern.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{Reason, Reported};
use super::file::File;
use super::units::{self, Quantity};

/// The longest name. A name appears in every log line and metric of its owner.
const NAME_BYTES_MAX: usize = 64;
/// The longest path (`PATH_MAX`), with its NUL.
const PATH_BYTES_MAX: usize = 4095;

/// A value, with its key and its position in the file.
#[derive(Debug)]
pub(super) struct Value<'f> {
    file: &'f File<'f>,
    path: String,
    raw: &'f Spanned<DeValue<'f>>,
    /// A word that the key accepts besides the value, such as "off".
    word: Option<&'static str>,
}

impl<'f> Value<'f> {
    pub(super) fn new(file: &'f File<'f>, path: String, raw: &'f Spanned<DeValue<'f>>) -> Self {
        Self {
            file,
            path,
            raw,
            word: None,
        }
    }

    /// The file of the value.
    pub(super) fn file(&self) -> &'f File<'f> {
        self.file
    }

    /// `listener[1].bind`
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The offset of the first byte.
    pub(super) fn at(&self) -> usize {
        self.raw.span().start
    }

    /// The line of the first byte, counted from 1.
    pub(super) fn line(&self) -> usize {
        self.file.line(self.at())
    }

    /// The parsed TOML value.
    pub(super) fn raw(&self) -> &'f DeValue<'f> {
        self.raw.get_ref()
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<&'f str> {
        match self.raw() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer, saturated: a number that does not fit is out of every range.
    pub(super) fn number(&self) -> Option<i64> {
        let DeValue::Integer(digits) = self.raw() else {
            return None;
        };
        let saturated = match digits.as_str().starts_with('-') {
            true => i64::MIN,
            false => i64::MAX,
        };
        Some(i64::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(saturated))
    }

    /// The table. `write` is the remedy in the error for another type.
    pub(super) fn table(&self, write: &str) -> Result<&'f DeTable<'f>, Reported> {
        match self.raw() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.malformed("a table", write)),
        }
    }

    /// The elements of a list. `wanted` and `write` describe the list in the error for another
    /// type.
    pub(super) fn elements(
        &self,
        wanted: &'static str,
        write: &str,
    ) -> Result<Vec<Self>, Reported> {
        let DeValue::Array(array) = self.raw() else {
            return Err(self.malformed(wanted, write));
        };
        let element = |(index, raw)| Self::new(self.file, format!("{}[{index}]", self.path), raw);
        Ok(array.iter().enumerate().map(element).collect())
    }

    /// Refuses the value.
    pub(super) fn refuse(&self, reason: Reason) -> Reported {
        self.file.report_value(self.path.clone(), self.raw, reason)
    }

    /// Refuses the value as not of the kind `wanted`.
    pub(super) fn malformed(&self, wanted: &'static str, write: impl Into<String>) -> Reported {
        let write = match self.word {
            Some(word) => format!("\"{word}\", or {}", write.into()),
            None => write.into(),
        };
        self.refuse(Reason::Malformed { wanted, write })
    }

    /// Refuses the value as of the right kind, but without a meaning here.
    pub(super) fn senseless(&self, why: &'static str, write: impl Into<String>) -> Reported {
        let write = write.into();
        self.refuse(Reason::Senseless { why, write })
    }

    /// Refuses the value as outside the limits.
    pub(super) fn out_of_range(
        &self,
        min: impl Display,
        max: impl Display,
        why: &'static str,
    ) -> Reported {
        self.refuse(Reason::OutOfRange {
            word: self.word,
            min: min.to_string(),
            max: max.to_string(),
            why,
        })
    }
}

/// `true` or `false`
pub(super) fn boolean(value: &Value<'_>) -> Result<bool, Reported> {
    match value.raw() {
        DeValue::Boolean(is) => Ok(*is),
        _ => Err(value.malformed("a boolean", "true or false, without quotes")),
    }
}

/// A whole number within a range; `why` explains the limits.
pub(super) fn integer<N>(
    range: RangeInclusive<N>,
    why: &'static str,
) -> impl Fn(&Value<'_>) -> Result<N, Reported>
where
    N: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let (min, max) = (range.start(), range.end());
        let Some(number) = value.number() else {
            let write = format!("{min} to {max}, without quotes");
            return Err(value.malformed("a whole number", write));
        };
        match N::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(value.out_of_range(min, max, why)),
        }
    }
}

/// A duration within a range; `why` explains the limits.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
    why: &'static str,
) -> impl Fn(&Value<'_>) -> Result<Duration, Reported> {
    quantity(&units::DURATION, range, why)
}

/// A size in bytes within a range, all of which fits `N`; `why` explains the limits.
pub(super) fn size<N: TryFrom<u64>>(
    range: RangeInclusive<u64>,
    why: &'static str,
) -> impl Fn(&Value<'_>) -> Result<N, Reported> {
    quantity(&units::SIZE, range, why)
}

/// Whole percent within a range; `why` explains the limits.
pub(super) fn percentage(
    range: RangeInclusive<u8>,
    why: &'static str,
) -> impl Fn(&Value<'_>) -> Result<u8, Reported> {
    let (min, max) = range.into_inner();
    quantity(&units::PERCENTAGE, min.into()..=max.into(), why)
}

/// A quoted number with its unit within a range; `why` explains the limits.
fn quantity<Q: PartialOrd + Copy, N: TryFrom<Q>>(
    kind: &'static Quantity<Q>,
    range: RangeInclusive<Q>,
    why: &'static str,
) -> impl Fn(&Value<'_>) -> Result<N, Reported> {
    move |value| {
        let quoted = |limit: &Q| format!("\"{}\"", (kind.show)(*limit));
        let (min, max) = (quoted(range.start()), quoted(range.end()));
        let Some(amount) = value.text().and_then(kind.read) else {
            let meant = value.text().and_then(kind.meant);
            return Err(
                match meant.map(|meant| (meant.why, format!("\"{}\"", meant.write))) {
                    Some((Some(why), write)) => value.senseless(why, write),
                    Some((None, write)) => value.malformed(kind.wanted, write),
                    None => {
                        let write = format!("{}, {min} to {max}", kind.form);
                        value.malformed(kind.wanted, write)
                    }
                },
            );
        };
        match N::try_from(amount) {
            Ok(number) if range.contains(&amount) => Ok(number),
            _ => Err(value.out_of_range(min, max, why)),
        }
    }
}

/// Adds a rule to `read`: the duration is a multiple of `step`; `why` explains the rule.
pub(super) fn whole(
    step: Duration,
    why: &'static str,
    read: impl Fn(&Value<'_>) -> Result<Duration, Reported>,
) -> impl Fn(&Value<'_>) -> Result<Duration, Reported> {
    move |value| {
        let duration = read(value)?;
        let step = step.as_nanos();
        let next = duration.as_nanos().next_multiple_of(step);
        let next = Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX));
        match next == duration {
            true => Ok(duration),
            false => Err(value.senseless(why, format!("\"{}\"", units::show(next)))),
        }
    }
}

/// Adds `word` to `read`, with the meaning `None`.
pub(super) fn unless<T>(
    word: &'static str,
    read: impl Fn(&Value<'_>) -> Result<T, Reported>,
) -> impl Fn(&Value<'_>) -> Result<Option<T>, Reported> {
    move |value| {
        if value.text() == Some(word) {
            return Ok(None);
        }
        let path = value.path.clone();
        let word = Some(word);
        read(&Value {
            path,
            word,
            ..*value
        })
        .map(Some)
    }
}

/// A word of a fixed list; `wanted` names the kind of word.
pub(super) fn word<T: Clone>(
    wanted: &'static str,
    words: &'static [(&'static str, T)],
) -> impl Fn(&Value<'_>) -> Result<T, Reported> {
    move |value| {
        let text = value.text();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| Some(*word) == text) {
            return Ok(meaning.clone());
        }
        Err(value.malformed(wanted, list(words.iter().map(|(word, _)| *word))))
    }
}

/// The word of a meaning.
///
/// # Panics
/// For a meaning without a word.
pub(super) fn word_of<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> &'static str {
    let found = words.iter().find(|(_, of)| of == meaning);
    found.expect("every meaning has a word").0
}

/// A name for logs, metrics and paths: short, and never in need of quotes.
pub(super) fn name(value: &Value<'_>) -> Result<String, Reported> {
    let sane = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
    match value.text().map(|text| (text, text.as_bytes())) {
        Some((text, bytes @ [first, ..]))
            if first.is_ascii_alphanumeric()
                && bytes.len() <= NAME_BYTES_MAX
                && bytes.iter().copied().all(sane) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(value.malformed(
            "a name",
            "1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.', beginning with a letter or digit",
        )),
    }
}

/// An absolute path.
pub(super) fn path(value: &Value<'_>) -> Result<PathBuf, Reported> {
    match value.text().and_then(as_path) {
        Some(path) => Ok(path),
        None => Err(value.malformed("a path", "an absolute one, in quotes")),
    }
}

/// The absolute path of a file in a text, if there is one.
pub(super) fn as_path(text: &str) -> Option<PathBuf> {
    let is_path = text.starts_with('/')
        && text.len() <= PATH_BYTES_MAX
        && !text.ends_with('/')
        && !text.contains(char::is_control);
    is_path.then(|| PathBuf::from(text))
}

/// Whether a text has this ending, in any case.
pub(super) fn has_ending(text: &str, ending: &str) -> bool {
    let at = text.len().checked_sub(ending.len());
    at.and_then(|at| text.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// `"a", "b" or "c"`
fn list<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Reads every element, also after an element was refused.
pub(super) fn all<'f, T>(
    elements: &[Value<'f>],
    read: impl FnMut(&Value<'f>) -> Result<T, Reported>,
) -> Result<Vec<T>, Reported> {
    let read: Vec<Result<T, Reported>> = elements.iter().map(read).collect();
    read.into_iter().collect()
}

/// Values that must be unique in the file, each with its line.
#[derive(Debug)]
pub(super) struct Unique<K> {
    /// The kind of value, for errors: "this name".
    what: &'static str,
    first: BTreeMap<K, usize>,
}

impl<K: Ord> Unique<K> {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            first: BTreeMap::new(),
        }
    }

    /// Refuses `value` if an earlier value claimed `key`.
    pub(super) fn claim(&mut self, key: K, value: &Value<'_>) -> Result<(), Reported> {
        self.claim_as(self.what, key, value)
    }

    /// As [`Unique::claim`], with another name for the kind of value.
    pub(super) fn claim_as(
        &mut self,
        what: &'static str,
        key: K,
        value: &Value<'_>,
    ) -> Result<(), Reported> {
        match self.first.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(value.line());
                Ok(())
            }
            Entry::Occupied(entry) => Err(value.refuse(Reason::Repeated {
                what,
                line: *entry.get(),
            })),
        }
    }
}
